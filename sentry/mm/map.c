/*
 * mmap, munmap, mprotect, mremap, brk, madvise and their kin on an mm.  Each validates as Linux does, tells the
 * stub, and then brings the VMA list into line; memory for that is reserved first, so nothing can fail afterwards.
 */
#include <stdatomic.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/task/task.h"
#include "sentry/vfs/vfs.h"

#define HOST_MAP_FLAGS (L_MAP_SHARED | L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_NORESERVE | L_MAP_POPULATE)
#define LOW_2G 0x80000000ull

static _Atomic uint64_t next_shared_id = 1;

/* The calling context, if it stands in mm's address space: the ptrace platform works through it. */
static struct pctx *via(struct task *t, struct mm *mm)
{
	return t && t->mm == mm ? t->ctx : NULL;
}

/* Where what may be mapped below v has to end. */
static uint64_t top_below(const struct vma *v)
{
	return vma_grows(v) && v->start > MM_STACK_GAP ? v->start - MM_STACK_GAP : v->start;
}

uint64_t mm_find_gap(struct mm *mm, uint64_t len, uint64_t align, uint64_t ceiling)
{
	uint64_t top = min_of(mm->mmap_base, ceiling);
	size_t i = vma_index(mm, top - 1);

	if (align < PAGE_SIZE)
		align = PAGE_SIZE;
	if (i < mm->vma_count)
		top = min_of(top, top_below(mm->vmas[i]));
	for (;;) {
		uint64_t floor = i > 0 ? mm->vmas[i - 1]->end : GUEST_MIN;

		if (floor < GUEST_MIN)
			floor = GUEST_MIN;
		if (top > floor && top - floor >= len) {
			uint64_t at = (top - len) & ~(align - 1);

			if (at >= floor)
				return at;
		}
		if (i == 0)
			return 0;
		top = top_below(mm->vmas[--i]);
	}
}

static bool range_free(struct mm *mm, uint64_t addr, uint64_t len)
{
	size_t i = vma_index(mm, addr);

	return i == mm->vma_count || mm->vmas[i]->start >= addr + len;
}

/* Whether something in [addr, addr + len) is sealed: mseal(2). */
static bool any_sealed(struct mm *mm, uint64_t addr, uint64_t len) REQUIRES(mm->lock)
{
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < addr + len; i++)
		if (mm->vmas[i]->sealed)
			return true;
	return false;
}

/* Limits that a growth by len bytes meets. */
static int check_limits(struct task *t, struct mm *mm, uint64_t len, int prot, int flags, int kind)
{
	uint64_t as_limit, data_limit;

	if (!t)
		return 0;
	if (mm->vma_count >= MM_MAX_MAP_COUNT)
		return -ENOMEM;
	as_limit = process_rlimit(t->process, L_RLIMIT_AS);
	if (mm->total_size + len > as_limit)
		return -ENOMEM;
	if ((flags & L_MAP_PRIVATE) && (prot & L_PROT_WRITE) && kind != VMA_STACK) {
		data_limit = process_rlimit(t->process, L_RLIMIT_DATA);
		if (mm->data_size + len > data_limit)
			return -ENOMEM;
	}
	return 0;
}

/* Whether file's mode allows a mapping of this kind; see mmap(2), EACCES and EPERM. */
static int check_file(struct file *file, int prot, int flags)
{
	if (file->mode & FILE_PATH)
		return -EBADF;
	if (!(file->mode & FILE_READ))
		return -EACCES;
	if ((flags & L_MAP_SHARED) && (prot & L_PROT_WRITE) &&
	    (!(file->mode & FILE_WRITE) || (file->flags & L_O_APPEND)))
		return -EACCES;
	if ((prot & L_PROT_EXEC) && vfs_is_noexec(&file->path))
		return -EPERM;
	if (!file->ops->mmap)
		return -ENODEV;
	return 0;
}

/* Chooses where: checks a fixed address, honours a hint, or searches.  mm->lock held. */
static int64_t choose_address(struct mm *mm, uint64_t addr, uint64_t len, int flags) REQUIRES(mm->lock)
{
	uint64_t at;

	if (flags & (L_MAP_FIXED | L_MAP_FIXED_NOREPLACE)) {
		if (addr & ~PAGE_MASK)
			return -EINVAL;
		if (len > GUEST_CEILING || addr > GUEST_CEILING - len)
			return -ENOMEM;
		if (addr < GUEST_MIN)
			return -EPERM;
		if ((flags & L_MAP_FIXED_NOREPLACE) && !range_free(mm, addr, len))
			return -EEXIST;
		return (int64_t)addr;
	}
	if (len > GUEST_CEILING - GUEST_MIN)
		return -ENOMEM;
	addr = page_down(addr);
	if (addr >= GUEST_MIN && addr <= GUEST_CEILING - len && range_free(mm, addr, len) &&
	    (!(flags & L_MAP_32BIT) || addr + len <= LOW_2G))
		return (int64_t)addr;
	at = mm_find_gap(mm, len, 0, flags & L_MAP_32BIT ? LOW_2G : GUEST_CEILING);
	if (!at && !(flags & L_MAP_32BIT) && mm->mmap_base < GUEST_CEILING) {
		uint64_t base = mm->mmap_base; /* full below: try above it, as Linux's bottom-up fallback does */

		mm->mmap_base = GUEST_CEILING;
		at = mm_find_gap(mm, len, 0, GUEST_CEILING);
		mm->mmap_base = base;
	}
	return at ? (int64_t)at : -ENOMEM;
}

/* mm_map with len a multiple of pages, not 0, and file checked. */
static int64_t map_locked(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *file,
			  uint64_t off, int kind) REQUIRES(mm->lock)
{
	struct vma v = {.prot = prot & (L_PROT_READ | L_PROT_WRITE | L_PROT_EXEC), .off = off, .kind = kind};
	struct vma_spare spare;
	uint64_t host_off = 0;
	int host_fd = -1, host_flags = flags & HOST_MAP_FLAGS;
	int64_t at = choose_address(mm, addr, len, flags);
	int r;

	if (at < 0)
		return at;
	if (any_sealed(mm, (uint64_t)at, len))
		return -EPERM;
	r = check_limits(t, mm, len, v.prot, flags, kind);
	if (r < 0)
		return r;
	if (file) {
		r = file->ops->mmap(file, off, len, prot, flags, &host_fd, &host_off);
		if (r < 0)
			return r;
		if (host_fd < 0)
			host_flags |= L_MAP_ANONYMOUS;
	}
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_map(mm->as, via(t, mm), (gva_t)at, len, v.prot, host_flags, host_fd, host_off);
	if (r < 0)
		goto out_spare;
	v.start = (uint64_t)at;
	v.end = v.start + len;
	v.flags = flags & (L_MAP_SHARED | L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_GROWSDOWN | L_MAP_NORESERVE);
	v.file = file;
	v.locked = mm->lock_future || (flags & L_MAP_LOCKED);
	if ((flags & L_MAP_SHARED) && !file) {
		v.shared_id = atomic_fetch_add(&next_shared_id, 1);
		v.off = 0;
	}
	vma_remove_range(mm, v.start, v.end, &spare);
	vma_insert(mm, &v, &spare);
out_spare:
	vma_spare_free(&spare);
	return r < 0 ? r : at;
}

int64_t mm_map(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *file,
	       uint64_t off, int kind)
{
	int64_t r;

	if (len == 0)
		return -EINVAL;
	if (!page_up(len, &len) || len == 0)
		return -ENOMEM;
	if (mm->mdwe && (prot & L_PROT_EXEC) && (prot & L_PROT_WRITE))
		return -EACCES;
	if (file) {
		r = check_file(file, prot, flags);
		if (r < 0)
			return r;
	}
	mutex_lock(&mm->lock);
	r = map_locked(t, mm, addr, len, prot, flags, file, off, kind);
	mutex_unlock(&mm->lock);
	return r;
}

/* Cuts [addr, addr+len) down to what a guest can have mapped; false if nothing is left of it. */
static bool clamp_range(uint64_t *addr, uint64_t *len)
{
	uint64_t end = *addr + *len;

	if (*addr >= GUEST_CEILING)
		return false;
	*len = min_of(end, GUEST_CEILING) - *addr;
	return *len > 0;
}

static int unmap_locked(struct task *t, struct mm *mm, uint64_t addr, uint64_t len) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	if (range_free(mm, addr, len))
		return 0;
	if (any_sealed(mm, addr, len))
		return -EPERM;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_unmap(mm->as, via(t, mm), addr, len);
	if (r == 0)
		vma_remove_range(mm, addr, addr + len, &spare);
	vma_spare_free(&spare);
	return r;
}

int mm_unmap(struct task *t, struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int r;

	if ((addr & ~PAGE_MASK) || len == 0 || !page_up(len, &len) || !checked_add(addr, len, &end) ||
	    end > L_TASK_SIZE)
		return -EINVAL;
	if (!clamp_range(&addr, &len))
		return 0;
	mutex_lock(&mm->lock);
	r = unmap_locked(t, mm, addr, len);
	mutex_unlock(&mm->lock);
	return r;
}

/* Whether v may have prot: a shared mapping of a file that is not open for writing may not become writable. */
static bool prot_allowed(const struct vma *v, int prot)
{
	return !(v->file && (v->flags & L_MAP_SHARED) && (prot & L_PROT_WRITE) && !(v->file->mode & FILE_WRITE));
}

/* One VMA's part of a change of protection.  mm->lock held. */
static int protect_part(struct task *t, struct mm *mm, uint64_t start, uint64_t end, int prot) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	struct vma *v = mm_find(mm, start);
	int r;

	if (v->sealed)
		return -EPERM;
	if (!prot_allowed(v, prot))
		return -EACCES;
	if (mm->mdwe && (prot & L_PROT_EXEC) && ((prot & L_PROT_WRITE) || !(v->prot & L_PROT_EXEC)))
		return -EACCES;
	if (v->prot == prot)
		return 0;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_protect(mm->as, via(t, mm), start, end - start, prot);
	if (r == 0) {
		vma_split(mm, start, &spare);
		vma_split(mm, end, &spare);
		v = mm_find(mm, start);
		if ((v->flags & L_MAP_PRIVATE) && v->kind != VMA_STACK) {
			if ((prot & L_PROT_WRITE) && !(v->prot & L_PROT_WRITE))
				mm->data_size += vma_len(v);
			else if (!(prot & L_PROT_WRITE) && (v->prot & L_PROT_WRITE))
				mm->data_size -= vma_len(v);
		}
		v->prot = prot;
	}
	vma_spare_free(&spare);
	return r;
}

int mm_protect(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot)
{
	uint64_t end, at;
	int r = 0;

	if (prot & ~(L_PROT_READ | L_PROT_WRITE | L_PROT_EXEC | L_PROT_SEM | L_PROT_GROWSDOWN | L_PROT_GROWSUP))
		return -EINVAL;
	if ((prot & L_PROT_GROWSDOWN) && (prot & L_PROT_GROWSUP))
		return -EINVAL;
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (len == 0)
		return 0;
	if (!page_up(len, &len) || len == 0 || !checked_add(addr, len, &end) || end > GUEST_CEILING)
		return -ENOMEM;
	mutex_lock(&mm->lock);
	if (prot & L_PROT_GROWSUP)
		r = -EINVAL;
	if (prot & L_PROT_GROWSDOWN) {
		struct vma *v = mm_find(mm, addr);

		if (!v || !(v->kind == VMA_STACK || (v->flags & L_MAP_GROWSDOWN)))
			r = v ? -EINVAL : -ENOMEM;
		else
			addr = v->start;
	}
	prot &= L_PROT_READ | L_PROT_WRITE | L_PROT_EXEC;
	for (at = addr; r == 0 && at < end;) {
		struct vma *v = mm_find(mm, at);
		uint64_t part_end;

		if (!v) {
			r = -ENOMEM; /* what came before the hole stays changed, as on Linux */
			break;
		}
		part_end = min_of(v->end, end);
		r = protect_part(t, mm, at, part_end, prot);
		at = part_end;
	}
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

/* ---- mremap ---- */

struct remap {
	uint64_t addr, old_len, new_len, new_addr;
	int flags;
};

static int remap_check(const struct remap *m)
{
	uint64_t end;

	if (m->flags & ~(L_MREMAP_MAYMOVE | L_MREMAP_FIXED | L_MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((m->flags & (L_MREMAP_FIXED | L_MREMAP_DONTUNMAP)) && !(m->flags & L_MREMAP_MAYMOVE))
		return -EINVAL;
	if ((m->flags & L_MREMAP_DONTUNMAP) && m->old_len != m->new_len)
		return -EINVAL;
	if ((m->addr & ~PAGE_MASK) || m->new_len == 0 || m->new_len > GUEST_CEILING)
		return -EINVAL;
	if (!checked_add(m->addr, m->old_len, &end) || end > GUEST_CEILING)
		return -EFAULT;
	if (m->flags & L_MREMAP_FIXED) {
		if ((m->new_addr & ~PAGE_MASK) || m->new_addr > GUEST_CEILING - m->new_len)
			return -EINVAL;
		if (m->new_addr < GUEST_MIN)
			return -EPERM;
		if (m->new_addr < m->addr + m->old_len && m->addr < m->new_addr + m->new_len)
			return -EINVAL;
	}
	return 0;
}

/* Moves old to new_addr.  v is the VMA of the old range; mm->lock held. */
static int64_t remap_move(struct task *t, struct mm *mm, const struct remap *m, const struct vma *v, uint64_t to)
{
	struct vma_spare clear_new, clear_old, insert;
	struct vma moved = *v;
	int r;

	r = vma_reserve(mm, &clear_new);
	if (r < 0)
		return r;
	r = vma_reserve(mm, &clear_old);
	if (r < 0)
		goto out_new;
	r = vma_reserve_more(mm, 9, &insert);
	if (r < 0)
		goto out_old;
	r = pas_remap(mm->as, via(t, mm), m->addr, m->old_len, m->new_len, to, m->flags & L_MREMAP_DONTUNMAP);
	if (r < 0)
		goto out_insert;
	moved.off += m->addr - v->start;
	moved.start = to;
	moved.end = to + m->new_len;
	if (moved.file)
		file_get(moved.file); /* the old VMA may be the last holder */
	vma_remove_range(mm, moved.start, moved.end, &clear_new);
	if (m->old_len && !(m->flags & L_MREMAP_DONTUNMAP))
		vma_remove_range(mm, m->addr, m->addr + m->old_len, &clear_old);
	vma_insert(mm, &moved, &insert);
	if (moved.file)
		file_put(moved.file);
out_insert:
	vma_spare_free(&insert);
out_old:
	vma_spare_free(&clear_old);
out_new:
	vma_spare_free(&clear_new);
	return r < 0 ? r : (int64_t)to;
}

/* Grows v, which ends where the old range ends, in place.  mm->lock held. */
static int remap_grow(struct task *t, struct mm *mm, const struct remap *m) REQUIRES(mm->lock)
{
	struct vma *v;
	int r = pas_remap(mm->as, via(t, mm), m->addr, m->old_len, m->new_len, m->addr, 0);

	if (r < 0)
		return r;
	v = mm_find(mm, m->addr);
	v->end = m->addr + m->new_len;
	mm->total_size += m->new_len - m->old_len;
	if (v->kind == VMA_STACK)
		mm->stack_size += m->new_len - m->old_len;
	else if ((v->flags & L_MAP_PRIVATE) && (v->prot & L_PROT_WRITE))
		mm->data_size += m->new_len - m->old_len;
	mm->peak_size = max_of(mm->peak_size, mm->total_size);
	vma_merge_range(mm, v->start, v->end);
	return 0;
}

static int64_t remap_locked(struct task *t, struct mm *mm, struct remap *m) REQUIRES(mm->lock)
{
	struct vma *v = mm_find(mm, m->addr);
	uint64_t to;
	int r;

	if (!v)
		return -EFAULT;
	if (v->sealed || ((m->flags & L_MREMAP_FIXED) && any_sealed(mm, m->new_addr, m->new_len)))
		return -EPERM;
	if (m->old_len == 0 && !((v->flags & L_MAP_SHARED) && (m->flags & L_MREMAP_MAYMOVE)))
		return -EINVAL;
	if (m->old_len > v->end - m->addr)
		return -EFAULT;
	if ((m->flags & L_MREMAP_DONTUNMAP) && !(v->flags & L_MAP_PRIVATE))
		return -EINVAL;
	if (m->new_len > m->old_len) {
		r = check_limits(t, mm, m->new_len - m->old_len, v->prot, v->flags, v->kind);
		if (r < 0)
			return r;
	}
	if (m->flags & L_MREMAP_FIXED)
		return remap_move(t, mm, m, v, m->new_addr);
	if (m->flags & L_MREMAP_DONTUNMAP) {
		to = mm_find_gap(mm, m->new_len, 0, GUEST_CEILING);
		return to ? remap_move(t, mm, m, v, to) : -ENOMEM;
	}
	if (m->old_len && m->old_len == v->end - m->addr && m->addr <= GUEST_CEILING - m->new_len &&
	    range_free(mm, v->end, m->new_len - m->old_len)) {
		r = remap_grow(t, mm, m);
		if (r == 0)
			return (int64_t)m->addr;
		if (r != -ENOMEM)
			return r;
	}
	if (!(m->flags & L_MREMAP_MAYMOVE))
		return -ENOMEM;
	to = mm_find_gap(mm, m->new_len, 0, GUEST_CEILING);
	return to ? remap_move(t, mm, m, v, to) : -ENOMEM;
}

int64_t mm_remap(struct task *t, struct mm *mm, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags,
		 uint64_t new_addr)
{
	struct remap m = {addr, 0, 0, new_addr, flags};
	int64_t r;

	if (!page_up(old_len, &m.old_len) || !page_up(new_len, &m.new_len))
		return -EINVAL;
	r = remap_check(&m);
	if (r < 0)
		return r;
	if (m.new_len <= m.old_len && !(flags & (L_MREMAP_FIXED | L_MREMAP_DONTUNMAP))) {
		if (!mm_range_mapped(mm, addr, m.old_len))
			return -EFAULT;
		if (m.new_len < m.old_len)
			r = mm_unmap(t, mm, addr + m.new_len, m.old_len - m.new_len);
		return r < 0 ? r : (int64_t)addr;
	}
	if ((flags & L_MREMAP_FIXED) && m.new_len < m.old_len) {
		r = mm_unmap(t, mm, addr + m.new_len, m.old_len - m.new_len);
		if (r < 0)
			return r;
		m.old_len = m.new_len;
	}
	mutex_lock(&mm->lock);
	r = remap_locked(t, mm, &m);
	mutex_unlock(&mm->lock);
	return r;
}

/* ---- brk ---- */

/* Moves the end of the heap.  mm->lock held over it all: two threads' calls do not mix. */
static int brk_locked(struct task *t, struct mm *mm, uint64_t brk) REQUIRES(mm->lock)
{
	uint64_t old_end, new_end;
	int64_t r = 0;

	if (brk < mm->brk_start || brk >= GUEST_CEILING || !page_up(mm->brk, &old_end) || !page_up(brk, &new_end) ||
	    brk - mm->brk_start > process_rlimit(t->process, L_RLIMIT_DATA))
		return -ENOMEM;
	if (new_end > old_end) {
		/* A page is left free above, so that the heap does not grow into a neighbour unnoticed. */
		if (!range_free(mm, old_end, new_end - old_end + PAGE_SIZE))
			return -ENOMEM;
		r = map_locked(t, mm, old_end, new_end - old_end, L_PROT_READ | L_PROT_WRITE,
			       L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED_NOREPLACE, NULL, 0, VMA_HEAP);
	} else if (new_end < old_end) {
		r = unmap_locked(t, mm, new_end, old_end - new_end);
	}
	if (r < 0)
		return (int)r;
	mm->brk = brk;
	return 0;
}

uint64_t mm_brk(struct task *t, struct mm *mm, uint64_t brk)
{
	uint64_t now;
	int r;

	mutex_lock(&mm->lock);
	r = brk_locked(t, mm, brk);
	now = mm->brk; /* after a failure the old one, which is how brk(2) fails */
	mutex_unlock(&mm->lock);
	return r < 0 ? now : brk;
}

/* ---- madvise, msync, mlock ---- */

/* Calls fn for each mapped stretch of [addr, end); -ENOMEM at the end if there were holes.  mm->lock held. */
static int for_each_part(struct task *t, struct mm *mm, uint64_t addr, uint64_t end,
			 int (*fn)(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, int arg),
			 int arg)
{
	int r = 0, hole = 0;
	uint64_t at = addr;

	while (at < end) {
		size_t i = vma_index(mm, at);
		uint64_t stop;

		if (i == mm->vma_count || mm->vmas[i]->start >= end) {
			hole = -ENOMEM;
			break;
		}
		if (mm->vmas[i]->start > at) {
			hole = -ENOMEM;
			at = mm->vmas[i]->start;
		}
		stop = min_of(mm->vmas[i]->end, end);
		r = fn(t, mm, mm->vmas[i], at, stop, arg);
		if (r < 0)
			return r;
		at = stop;
	}
	return hole;
}

static int check_range(uint64_t addr, uint64_t *len, uint64_t *end)
{
	if ((addr & ~PAGE_MASK) || !page_up(*len, len) || !checked_add(addr, *len, end))
		return -EINVAL;
	return *end > GUEST_CEILING ? -ENOMEM : 0;
}

/* Whether advice throws contents away, which a seal forbids of private memory that could not be written over either. */
static bool breaks_seal(const struct vma *v, int advice)
{
	if (!v->sealed || !(v->flags & L_MAP_PRIVATE) || (v->prot & L_PROT_WRITE))
		return false;
	return advice == L_MADV_FREE || advice == L_MADV_DONTNEED || advice == L_MADV_DONTNEED_LOCKED ||
	       advice == L_MADV_REMOVE || advice == L_MADV_DONTFORK || advice == L_MADV_WIPEONFORK;
}

static int advise_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, int advice) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	if (breaks_seal(v, advice))
		return -EPERM;
	switch (advice) {
	case L_MADV_FREE:
	case L_MADV_WIPEONFORK:
		if (v->file || !(v->flags & L_MAP_PRIVATE))
			return -EINVAL;
		break;
	case L_MADV_DONTNEED:
		if (v->locked)
			return -EINVAL;
		break;
	case L_MADV_REMOVE:
		if (v->locked || !(v->flags & L_MAP_SHARED) || !(v->prot & L_PROT_WRITE))
			return v->locked || !(v->flags & L_MAP_SHARED) ? -EINVAL : -EACCES;
		break;
	default:
		break;
	}
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_advise(mm->as, via(t, mm), PAS_MADVISE, start, stop - start, advice);
	if (r == 0 && (advice == L_MADV_DONTFORK || advice == L_MADV_DOFORK || advice == L_MADV_WIPEONFORK ||
		       advice == L_MADV_KEEPONFORK || advice == L_MADV_DONTDUMP || advice == L_MADV_DODUMP)) {
		vma_split(mm, start, &spare);
		vma_split(mm, stop, &spare);
		v = mm_find(mm, start);
		if (advice == L_MADV_DONTFORK || advice == L_MADV_DOFORK)
			v->dont_fork = advice == L_MADV_DONTFORK;
		else if (advice == L_MADV_WIPEONFORK || advice == L_MADV_KEEPONFORK)
			v->wipe_on_fork = advice == L_MADV_WIPEONFORK;
		else
			v->dont_dump = advice == L_MADV_DONTDUMP;
	}
	vma_spare_free(&spare);
	return r;
}

static bool advice_known(int advice)
{
	switch (advice) {
	case L_MADV_NORMAL:
	case L_MADV_RANDOM:
	case L_MADV_SEQUENTIAL:
	case L_MADV_WILLNEED:
	case L_MADV_DONTNEED:
	case L_MADV_FREE:
	case L_MADV_REMOVE:
	case L_MADV_DONTFORK:
	case L_MADV_DOFORK:
	case L_MADV_MERGEABLE:
	case L_MADV_UNMERGEABLE:
	case L_MADV_HUGEPAGE:
	case L_MADV_NOHUGEPAGE:
	case L_MADV_DONTDUMP:
	case L_MADV_DODUMP:
	case L_MADV_WIPEONFORK:
	case L_MADV_KEEPONFORK:
	case L_MADV_COLD:
	case L_MADV_PAGEOUT:
	case L_MADV_POPULATE_READ:
	case L_MADV_POPULATE_WRITE:
	case L_MADV_DONTNEED_LOCKED:
	case L_MADV_COLLAPSE:
		return true;
	default:
		return false;
	}
}

int mm_advise(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int advice)
{
	uint64_t end;
	int r;

	if (!advice_known(advice))
		return -EINVAL;
	r = check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	r = for_each_part(t, mm, addr, end, advise_part, advice);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

int mm_check_mapped(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int r = check_range(addr, &len, &end);

	if (r < 0)
		return r;
	mutex_lock(&mm->lock);
	while (r == 0 && addr < end) {
		size_t i = vma_index(mm, addr);

		if (i == mm->vma_count || mm->vmas[i]->start > addr)
			r = -ENOMEM;
		else
			addr = mm->vmas[i]->end;
	}
	mutex_unlock(&mm->lock);
	return r;
}

static int sync_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, int flags)
{
	if ((flags & L_MS_INVALIDATE) && v->locked)
		return -EBUSY;
	if (!v->file || !(v->flags & L_MAP_SHARED))
		return 0;
	return pas_advise(mm->as, via(t, mm), PAS_MSYNC, start, stop - start, flags);
}

int mm_sync(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags)
{
	uint64_t end;
	int r;

	if ((flags & ~(L_MS_ASYNC | L_MS_INVALIDATE | L_MS_SYNC)) || ((flags & L_MS_ASYNC) && (flags & L_MS_SYNC)))
		return -EINVAL;
	r = check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	r = for_each_part(t, mm, addr, end, sync_part, flags);
	mutex_unlock(&mm->lock);
	return r;
}

/*
 * Locks are kept in the books (limits, /proc) and not asked of the host, which would charge the caller's own
 * RLIMIT_MEMLOCK: pages of a stub may be swapped like the sentry's.  DIVERGES: mlock does not pin.
 */
static int lock_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, int lock) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r;

	if (v->locked == (bool)lock)
		return 0;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	vma_split(mm, start, &spare);
	vma_split(mm, stop, &spare);
	v = mm_find(mm, start);
	v->locked = lock;
	mm->locked_size += lock ? vma_len(v) : -vma_len(v);
	vma_spare_free(&spare);
	return 0;
}

static int seal_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, int arg) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	int r = v->sealed ? 1 : vma_reserve(mm, &spare);

	if (r)
		return r < 0 ? r : 0;
	vma_split(mm, start, &spare);
	vma_split(mm, stop, &spare);
	mm_find(mm, start)->sealed = true;
	vma_spare_free(&spare);
	return 0;
}

int mm_seal(struct task *t, struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int r = check_range(addr, &len, &end);

	if (r < 0 || len == 0)
		return r;
	r = mm_check_mapped(mm, addr, len);
	if (r < 0)
		return r;
	mutex_lock(&mm->lock);
	r = for_each_part(t, mm, addr, end, seal_part, 0);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

/* What remap_file_pages(2) is to map again: the file (counted), the protection and the flags of the mapping at addr. */
static int remapped_file(struct mm *mm, uint64_t addr, uint64_t len, int *prot, int *flags, struct file **out)
{
	struct vma *v;
	int r = -EINVAL;

	mutex_lock(&mm->lock);
	v = mm_find(mm, addr);
	if (v && (v->flags & L_MAP_SHARED) && v->file && addr + len <= v->end) {
		*prot = v->prot;
		*flags = L_MAP_SHARED | L_MAP_FIXED | L_MAP_POPULATE | (v->locked ? L_MAP_LOCKED : 0);
		*out = file_get(v->file);
		r = 0;
	}
	mutex_unlock(&mm->lock);
	return r;
}

int mm_remap_file(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, uint64_t page_off, int nonblock)
{
	uint64_t end, off;
	int prot, flags, r;
	struct file *file;
	int64_t at;

	addr = page_down(addr);
	len = page_down(len);
	if (!checked_add(addr, len, &end) || end <= addr || end > GUEST_CEILING)
		return -EINVAL;
	if (page_off > (INT64_MAX >> 12) || !checked_add(page_off * PAGE_SIZE, len, &off) || off > INT64_MAX)
		return -EINVAL;
	r = remapped_file(mm, addr, len, &prot, &flags, &file);
	if (r < 0)
		return r;
	if (nonblock)
		flags |= L_MAP_NONBLOCK;
	at = mm_map(t, mm, addr, len, prot, flags, file, page_off * PAGE_SIZE, VMA_PLAIN);
	file_put(file);
	return at < 0 ? (int)at : 0;
}

static int check_lock_limit(struct task *t, struct mm *mm, uint64_t more)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_MEMLOCK);

	if (cred_capable(t->cred, L_CAP_IPC_LOCK))
		return 0;
	if (limit == 0)
		return -EPERM;
	return mm->locked_size + more > limit ? -ENOMEM : 0;
}

int mm_lock(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags, bool lock)
{
	uint64_t end;
	int r;

	if (lock && (flags & ~L_MLOCK_ONFAULT))
		return -EINVAL;
	if (!checked_add(len, addr & ~PAGE_MASK, &len)) /* mlock rounds addr down, unlike its kin */
		return -EINVAL;
	addr = page_down(addr);
	r = check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	r = lock ? check_lock_limit(t, mm, len) : 0;
	if (r == 0)
		r = for_each_part(t, mm, addr, end, lock_part, lock);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

int mm_lock_all(struct task *t, struct mm *mm, int flags)
{
	int r;

	if (!flags || (flags & ~(L_MCL_CURRENT | L_MCL_FUTURE | L_MCL_ONFAULT)) || flags == L_MCL_ONFAULT)
		return -EINVAL;
	mutex_lock(&mm->lock);
	r = check_lock_limit(t, mm, flags & L_MCL_CURRENT ? mm->total_size - mm->locked_size : 0);
	if (r == 0) {
		mm->lock_future = (flags & L_MCL_FUTURE) != 0;
		if (flags & L_MCL_CURRENT)
			for (size_t i = 0; i < mm->vma_count; i++)
				mm->vmas[i]->locked = true;
		if (flags & L_MCL_CURRENT)
			mm->locked_size = mm->total_size;
	}
	mutex_unlock(&mm->lock);
	return r;
}

int mm_unlock_all(struct task *t, struct mm *mm)
{
	mutex_lock(&mm->lock);
	mm->lock_future = false;
	for (size_t i = 0; i < mm->vma_count; i++)
		mm->vmas[i]->locked = false;
	mm->locked_size = 0;
	vma_merge_range(mm, 0, GUEST_CEILING);
	mutex_unlock(&mm->lock);
	return 0;
}
