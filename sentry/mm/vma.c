/* The sorted array of VMAs.  See vma.h. */
#include "sentry/mm/vma.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "sentry/vfs/vfs.h"

int vma_reserve(struct mm *mm, struct vma_spare *spare)
{
	return vma_reserve_more(mm, 3, spare);
}

int vma_reserve_more(struct mm *mm, size_t room, struct vma_spare *spare)
{
	if (mm->vma_count + room > mm->vma_cap) {
		size_t cap = mm->vma_cap ? mm->vma_cap * 2 + room : 64;
		struct vma **grown = realloc(mm->vmas, cap * sizeof(struct vma *));

		if (!grown)
			return -ENOMEM;
		mm->vmas = grown;
		mm->vma_cap = cap;
	}
	for (size_t i = 0; i < 3; i++) {
		spare->v[i] = malloc(sizeof(struct vma));
		if (!spare->v[i]) {
			while (i--)
				free(spare->v[i]);
			return -ENOMEM;
		}
	}
	return 0;
}

void vma_spare_free(struct vma_spare *spare)
{
	for (size_t i = 0; i < 3; i++) {
		free(spare->v[i]);
		spare->v[i] = NULL;
	}
}

static struct vma *spare_take(struct vma_spare *spare)
{
	for (size_t i = 0; i < 3; i++) {
		struct vma *v = spare->v[i];

		if (v) {
			spare->v[i] = NULL;
			return v;
		}
	}
	panic("a change to the VMA list needed more than it reserved");
}

size_t vma_index(const struct mm *mm, uint64_t addr)
{
	size_t lo = 0, hi = mm->vma_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mm->vmas[mid]->end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool vma_is_data(const struct vma *v)
{
	return (v->flags & L_MAP_PRIVATE) && (v->prot & L_PROT_WRITE) && !vma_grows(v);
}

void vma_account(struct mm *mm, const struct vma *v, uint64_t len)
{
	mm->total_size += len;
	if (vma_grows(v))
		mm->stack_size += len;
	else if (vma_is_data(v))
		mm->data_size += len;
	if (v->locked)
		mm->locked_size += len;
	if (mm->total_size > mm->peak_size)
		mm->peak_size = mm->total_size;
}

/* What a VMA adds to the sums; sign is 1 or -1. */
static void account(struct mm *mm, const struct vma *v, int sign)
{
	vma_account(mm, v, sign > 0 ? vma_len(v) : -vma_len(v));
}

static void array_insert(struct mm *mm, size_t i, struct vma *v)
{
	memmove(&mm->vmas[i + 1], &mm->vmas[i], (mm->vma_count - i) * sizeof(struct vma *));
	mm->vmas[i] = v;
	mm->vma_count++;
}

static void array_remove(struct mm *mm, size_t i)
{
	mm->vma_count--;
	memmove(&mm->vmas[i], &mm->vmas[i + 1], (mm->vma_count - i) * sizeof(struct vma *));
}

void vma_set_name(struct vma *v, struct vma_name *name)
{
	if (name)
		refcount_inc(&name->refs);
	if (v->name && refcount_dec(&v->name->refs))
		free(v->name);
	v->name = name;
}

void vma_refs_get(struct vma *v)
{
	if (v->name)
		refcount_inc(&v->name->refs);
	if (!v->file)
		return;
	file_get(v->file);
	if (v->file->ops->map_count)
		v->file->ops->map_count(v->file, 1);
}

void vma_refs_put(struct vma *v)
{
	vma_set_name(v, NULL);
	if (!v->file)
		return;
	if (v->file->ops->map_count)
		v->file->ops->map_count(v->file, -1);
	file_put(v->file);
}

static void vma_free(struct vma *v)
{
	vma_refs_put(v);
	free(v);
}

void vma_split(struct mm *mm, uint64_t addr, struct vma_spare *spare)
{
	size_t i = vma_index(mm, addr);
	struct vma *low, *high;

	if (i == mm->vma_count || mm->vmas[i]->start >= addr)
		return;
	low = mm->vmas[i];
	high = spare_take(spare);
	*high = *low;
	high->start = addr;
	high->off += addr - low->start;
	vma_refs_get(high);
	low->end = addr;
	array_insert(mm, i + 1, high);
}

void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end, struct vma_spare *spare)
{
	size_t first, last;

	vma_split(mm, start, spare);
	vma_split(mm, end, spare);
	first = vma_index(mm, start);
	for (last = first; last < mm->vma_count && mm->vmas[last]->start < end; last++) {
		account(mm, mm->vmas[last], -1);
		vma_free(mm->vmas[last]);
	}
	memmove(&mm->vmas[first], &mm->vmas[last], (mm->vma_count - last) * sizeof(struct vma *));
	mm->vma_count -= last - first;
}

static bool same_name(const struct vma_name *a, const struct vma_name *b)
{
	return a == b || (a && b && strcmp(a->text, b->text) == 0);
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
	if (a->end != b->start || a->prot != b->prot || a->flags != b->flags || a->file != b->file ||
	    a->kind != b->kind || a->locked != b->locked || a->shared_id != b->shared_id ||
	    a->wipe_on_fork != b->wipe_on_fork || a->dont_fork != b->dont_fork || a->dont_dump != b->dont_dump ||
	    a->lock_on_fault != b->lock_on_fault || a->hints != b->hints || !same_name(a->name, b->name) ||
	    a->sealed != b->sealed || a->policy.mode != b->policy.mode || a->policy.nodes != b->policy.nodes)
		return false;
	return (!a->file && !a->shared_id) || a->off + vma_len(a) == b->off;
}

void vma_merge_range(struct mm *mm, uint64_t start, uint64_t end)
{
	size_t i = vma_index(mm, start ? start - 1 : 0);

	while (i + 1 < mm->vma_count && mm->vmas[i]->start <= end) {
		struct vma *a = mm->vmas[i], *b = mm->vmas[i + 1];

		if (mergeable(a, b)) {
			a->end = b->end;
			array_remove(mm, i + 1);
			vma_free(b);
		} else {
			i++;
		}
	}
}

void vma_insert(struct mm *mm, const struct vma *v, struct vma_spare *spare)
{
	struct vma *n = spare_take(spare);

	*n = *v;
	vma_refs_get(n);
	array_insert(mm, vma_index(mm, v->start), n);
	account(mm, n, 1);
	vma_merge_range(mm, v->start, v->end);
}

struct vma *mm_find(struct mm *mm, uint64_t addr)
{
	size_t i = vma_index(mm, addr);

	return i < mm->vma_count && mm->vmas[i]->start <= addr ? mm->vmas[i] : NULL;
}

bool vma_range_free(const struct mm *mm, uint64_t addr, uint64_t len)
{
	size_t i = vma_index(mm, addr);

	return i == mm->vma_count || mm->vmas[i]->start >= addr + len;
}

bool vma_any_sealed(const struct mm *mm, uint64_t addr, uint64_t len)
{
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < addr + len; i++)
		if (mm->vmas[i]->sealed)
			return true;
	return false;
}
