/* Making, copying and freeing an mm, and questions about what is mapped.  What changes it is in map.c and its like: see change.h. */
#include "sentry/mm/mm.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "host/process.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/windows.h"

struct mm *mm_new(struct pas *as)
{
	struct mm *mm = calloc(1, sizeof(*mm));

	if (!mm)
		return NULL;
	refcount_init(&mm->refs, 1);
	mutex_init(&mm->lock);
	aio_contexts_init(&mm->aio);
	mm->as = as;
	mm->user_ns = user_ns_get(&user_ns_first);
	mm->mmap_base = GUEST_CEILING;
	return mm;
}

struct mm *mm_get(struct mm *mm)
{
	refcount_inc(&mm->refs);
	return mm;
}

/* The last reference is gone: put lets go of the address space. */
static void mm_end(struct mm *mm, void (*put)(struct pas *as))
{
	aio_contexts_destroy(&mm->aio);
	for (size_t i = 0; i < mm->vma_count; i++) {
		vma_refs_put(mm->vmas[i]);
		free(mm->vmas[i]);
	}
	free(mm->vmas);
	put(mm->as);
	fd_windows_put(mm->windows);
	user_ns_put(mm->user_ns);
	mutex_destroy(&mm->lock);
	free(mm);
}

void mm_put(struct mm *mm)
{
	if (mm && refcount_dec(&mm->refs))
		mm_end(mm, pas_put);
}

void mm_leave(struct mm *mm)
{
	if (mm && refcount_dec(&mm->refs))
		mm_end(mm, pas_leave);
}

int mm_fork(struct mm *old, struct pas *as, struct mm **out)
{
	struct mm *mm = mm_new(as);
	size_t n = 0;

	if (!mm)
		goto out_as;
	mutex_lock(&old->lock);
	mm->vmas = malloc((old->vma_count + 3) * sizeof(struct vma *));
	if (!mm->vmas)
		goto out_unlock;
	mm->vma_cap = old->vma_count + 3;
	mm->total_size = old->total_size;
	mm->data_size = old->data_size;
	mm->stack_size = old->stack_size;
	mm->membarriers = old->membarriers;
	mm->mdwe = mm_inherited_mdwe(old);
	mm->guarded = old->guarded;
	user_ns_put(mm->user_ns);
	mm->user_ns = user_ns_get(old->user_ns);
	for (size_t i = 0; i < old->vma_count; i++) {
		const struct vma *from = old->vmas[i];
		struct vma *v;

		if (from->dont_fork) {
			mm->total_size -= vma_len(from);
			if (vma_grows(from))
				mm->stack_size -= vma_len(from);
			else if (vma_is_data(from))
				mm->data_size -= vma_len(from);
			continue;
		}
		v = malloc(sizeof(*v));
		if (!v)
			goto out_unlock;
		*v = *from;
		v->locked = v->lock_on_fault = false; /* memory locks are not inherited: mlock(2) */
		vma_refs_get(v);
		mm->vmas[n++] = v;
		mm->vma_count = n;
	}
	mm->peak_size = mm->total_size;
	mm->brk_start = old->brk_start;
	mm->brk = old->brk;
	mm->mmap_base = old->mmap_base;
	mm->bottom_up = old->bottom_up;
	mm->stack_top = old->stack_top;
	mm->stack_limit = old->stack_limit;
	mm->stack_start = old->stack_start;
	mm->stack_floor = old->stack_floor;
	mm->arg_start = old->arg_start;
	mm->arg_end = old->arg_end;
	mm->env_start = old->env_start;
	mm->env_end = old->env_end;
	mm->start_code = old->start_code;
	mm->end_code = old->end_code;
	mm->start_data = old->start_data;
	mm->end_data = old->end_data;
	mm->start_stack = old->start_stack;
	memcpy(mm->auxv, old->auxv, sizeof(mm->auxv));
	mutex_unlock(&old->lock);
	*out = mm;
	return 0;

out_unlock:
	mutex_unlock(&old->lock);
	mm_put(mm); /* the address space goes with it */
	return -ENOMEM;
out_as:
	pas_put(as);
	return -ENOMEM;
}

bool mm_range_mapped(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end, at = addr;
	bool whole = true;

	if (!checked_add(addr, len, &end))
		return false;
	mutex_lock(&mm->lock);
	while (at < end) {
		struct vma *v = mm_find(mm, at);

		if (!v) {
			whole = false;
			break;
		}
		at = v->end;
	}
	mutex_unlock(&mm->lock);
	return whole;
}

bool mm_next_of_file(struct mm *mm, uint64_t at, uint64_t base, const struct file_ops *ops, struct file **file, uint64_t *start,
		     uint64_t *end)
{
	bool found = false;

	mutex_lock(&mm->lock);
	for (size_t i = vma_index(mm, at); i < mm->vma_count && !found; i++) {
		struct vma *v = mm->vmas[i];

		if (v->start < at || !v->file || v->file->ops != ops || v->start - base != v->off)
			continue;
		if (*file && (v->file != *file || v->start - base >= v->file->inode->size))
			continue;
		if (!*file)
			*file = file_get(v->file);
		*start = v->start;
		*end = v->end;
		found = true;
	}
	mutex_unlock(&mm->lock);
	return found;
}

bool mm_next_file_mapping(struct mm *mm, uint64_t from, struct mm_mapping *out)
{
	bool found = false;

	mutex_lock(&mm->lock);
	for (size_t i = vma_index(mm, from); i < mm->vma_count && !found; i++) {
		const struct vma *v = mm->vmas[i];

		if (v->start < from || !v->file)
			continue;
		*out = (struct mm_mapping){v->start, v->end, file_get(v->file)};
		found = true;
	}
	mutex_unlock(&mm->lock);
	return found;
}

struct file *mm_file_at(struct mm *mm, uint64_t addr)
{
	struct file *f = NULL;
	struct vma *v;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v && v->file)
		f = file_get(v->file);
	mutex_unlock(&mm->lock);
	return f;
}

bool mm_file_extent(struct mm *mm, uint64_t addr, uint64_t *start, uint64_t *end)
{
	bool found = false;
	struct vma *v;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v && v->file) {
		*end = v->end;
		for (size_t i = vma_index(mm, addr) + 1; i-- > 0 && !found;) {
			struct vma *w = mm->vmas[i];

			if (w->file && w->file->inode == v->file->inode && w->off == 0) {
				*start = w->start;
				found = true;
			}
		}
	}
	mutex_unlock(&mm->lock);
	return found;
}

struct tunable mm_max_map_count = {65530, 0, 1 << 20, NULL};

int mm_futex_key(struct mm *mm, uint64_t addr, bool process_private, struct mm_key *out)
{
	struct vma *v;
	int r = 0;

	*out = (struct mm_key){(uintptr_t)mm, addr};
	if (process_private)
		return addr < GUEST_CEILING ? 0 : -EFAULT;
	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	/* A private page that is only read is none's in particular: whoever writes to it gets another. */
	if (!v || !(v->prot & (L_PROT_READ | L_PROT_WRITE)) ||
	    (!(v->prot & L_PROT_WRITE) && !(v->flags & L_MAP_SHARED) && !v->file))
		r = -EFAULT;
	else if ((v->flags & L_MAP_SHARED) && v->shared_id)
		*out = (struct mm_key){v->shared_id, v->off + (addr - v->start)};
	else if ((v->flags & L_MAP_SHARED) && v->file)
		*out = (struct mm_key){(uintptr_t)v->file->inode, v->off + (addr - v->start)};
	else
		out->off |= MM_KEY_SHARED_FORM;
	mutex_unlock(&mm->lock);
	return r;
}

void mm_usage(struct mm *mm, uint64_t *size_bytes, uint64_t *rss_bytes, uint64_t *shared_bytes)
{
	mutex_lock(&mm->lock);
	*size_bytes = mm->total_size;
	mutex_unlock(&mm->lock);
	*rss_bytes = host_process_rss(pas_host_pid(mm->as), shared_bytes);
}
