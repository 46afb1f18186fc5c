/*
 * mmap, munmap and brk on an mm; their kin have files of their own.  Each validates as Linux does, tells the
 * stub, and then brings the VMA list into line; memory for that is reserved first, so nothing can fail afterwards.
 */
#include <stdatomic.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/change.h"
#include "sentry/vfs/vfs.h"

#define HOST_MAP_FLAGS (L_MAP_SHARED | L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_NORESERVE | L_MAP_POPULATE)
#define LOW_2G 0x80000000ull

static _Atomic uint64_t next_shared_id = 1;

/* Where what may be mapped below v has to end. */
static uint64_t top_below(const struct vma *v)
{
	return vma_grows(v) && v->start > MM_STACK_GAP ? v->start - MM_STACK_GAP : v->start;
}

static uint64_t find_gap_upwards(const struct mm *mm, uint64_t len, uint64_t align, uint64_t ceiling)
{
	uint64_t at = mm->mmap_base;

	for (size_t i = vma_index(mm, at);; i++) {
		uint64_t top = i < mm->vma_count ? min_of(top_below(mm->vmas[i]), ceiling) : ceiling;

		at = (at + align - 1) & ~(align - 1);
		if (top > at && top - at >= len)
			return at;
		if (i == mm->vma_count || mm->vmas[i]->end >= ceiling)
			return 0;
		at = mm->vmas[i]->end;
	}
}

uint64_t mm_find_gap(struct mm *mm, uint64_t len, uint64_t align, uint64_t ceiling)
{
	uint64_t top = min_of(mm->mmap_base, ceiling);
	size_t i = vma_index(mm, top - 1);

	if (align < PAGE_SIZE)
		align = PAGE_SIZE;
	if (mm->bottom_up && mm->mmap_base < ceiling)
		return find_gap_upwards(mm, len, align, ceiling);
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

bool mm_may_expand(struct task *t, const struct mm *mm, uint64_t len, const struct vma *v)
{
	struct l_rlimit64 data;

	if (!t)
		return true;
	if (mm->total_size + len > process_rlimit(t->process, L_RLIMIT_AS))
		return false;
	if (!vma_is_data(v))
		return true;
	process_rlimits(t->process, L_RLIMIT_DATA, &data);
	if (data.rlim_cur == 0) /* nothing was meant for data by brk(2); as Linux has it, the hard limit counts then */
		data.rlim_cur = data.rlim_max;
	return mm->data_size + len <= data.rlim_cur;
}

int mm_check_limits(struct task *t, struct mm *mm, uint64_t len, const struct vma *v)
{
	if (t && mm->vma_count >= tunable_get(&mm_max_map_count))
		return -ENOMEM;
	return mm_may_expand(t, mm, len, v) ? 0 : -ENOMEM;
}

static int check_shared(const struct file *file, int prot)
{
	if ((prot & L_PROT_WRITE) && !(file->mode & FILE_WRITE))
		return -EACCES;
	if ((file->mode & FILE_WRITE) && (file->inode->iflags & L_FS_APPEND_FL))
		return -EACCES; /* mprotect could make it writable */
	return 0;
}

/* Whether file's mode allows a mapping of this kind; see mmap(2), EACCES and EPERM. */
static int check_file(const struct file *file, uint64_t off, uint64_t len, int prot, int flags)
{
	uint64_t end;
	int r = 0;

	if (!checked_add(off, len, &end) || end > INT64_MAX)
		return -EOVERFLOW;
	switch (flags & L_MAP_TYPE) {
	case L_MAP_SHARED_VALIDATE:
		if (flags & ~L_LEGACY_MAP_MASK)
			return -EOPNOTSUPP;
		FALLTHROUGH;
	case L_MAP_SHARED:
		r = check_shared(file, prot);
		break;
	case L_MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (r < 0)
		return r;
	if (!(file->mode & FILE_READ))
		return -EACCES;
	if ((prot & L_PROT_EXEC) && vfs_is_noexec(&file->path))
		return -EPERM;
	if (!file->ops->mmap)
		return -ENODEV;
	return flags & L_MAP_GROWSDOWN ? -EINVAL : 0;
}

static int check_anonymous(int flags)
{
	switch (flags & L_MAP_TYPE) {
	case L_MAP_PRIVATE:
		return 0;
	case L_MAP_SHARED:
		return flags & L_MAP_GROWSDOWN ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
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
		if ((flags & L_MAP_FIXED_NOREPLACE) && !vma_range_free(mm, addr, len))
			return -EEXIST;
		return (int64_t)addr;
	}
	if (len > GUEST_CEILING - GUEST_MIN)
		return -ENOMEM;
	addr = page_down(addr);
	if (addr >= GUEST_MIN && addr <= GUEST_CEILING - len && vma_range_free(mm, addr, len) &&
	    (!(flags & L_MAP_32BIT) || addr + len <= LOW_2G))
		return (int64_t)addr;
	at = mm_find_gap(mm, len, 0, flags & L_MAP_32BIT ? LOW_2G : GUEST_CEILING);
	if (!at && !(flags & L_MAP_32BIT) && !mm->bottom_up && mm->mmap_base < GUEST_CEILING) {
		uint64_t base = mm->mmap_base; /* full below: try above it, as Linux's bottom-up fallback does */

		mm->mmap_base = GUEST_CEILING;
		at = mm_find_gap(mm, len, 0, GUEST_CEILING);
		mm->mmap_base = base;
	}
	return at ? (int64_t)at : -ENOMEM;
}

bool mm_may_write(const struct file *file, int flags)
{
	return !(file && (flags & L_MAP_SHARED)) || (file->mode & FILE_WRITE);
}

int mm_host_flags(const struct file *file, int flags)
{
	int host = flags & HOST_MAP_FLAGS;

	if (flags & L_MAP_NONBLOCK) /* nothing is brought in */
		host &= ~L_MAP_POPULATE;
	if (!mm_may_write(file, flags))
		host = (host & ~L_MAP_TYPE) | L_MAP_PRIVATE;
	return host;
}

/* How much of [addr, addr + len) is mapped. */
static uint64_t mapped_within(const struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t sum = 0, end = addr + len;

	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < end; i++)
		sum += min_of(mm->vmas[i]->end, end) - max_of(mm->vmas[i]->start, addr);
	return sum;
}

/* mm_map with len a multiple of pages, not 0.  What is wrong with several things is told in Linux's order. */
static int64_t map_locked(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *file,
			  uint64_t off, int kind) REQUIRES(mm->lock)
{
	struct vma v = {.prot = prot & (L_PROT_READ | L_PROT_WRITE | L_PROT_EXEC), .off = off, .kind = kind};
	struct vma_spare spare;
	uint64_t host_off = 0;
	int host_fd = -1, host_flags;
	int64_t at = choose_address(mm, addr, len, flags);
	int r;

	if (at < 0)
		return at;
	v.locked = mm->lock_future || (flags & L_MAP_LOCKED);
	v.lock_on_fault = v.locked && mm->lock_future_on_fault;
	if (v.locked) {
		r = mm_check_more_locked(t, mm, len);
		if (r < 0)
			return r;
	}
	r = file ? check_file(file, off, len, prot, flags) : check_anonymous(flags);
	if (r < 0)
		return r;
	if ((flags & L_MAP_TYPE) == L_MAP_SHARED_VALIDATE)
		flags = (flags & ~L_MAP_TYPE) | L_MAP_SHARED;
	if (mm->mdwe && (prot & L_PROT_EXEC) && (prot & L_PROT_WRITE))
		return -EACCES;
	if (vma_any_sealed(mm, (uint64_t)at, len))
		return -EPERM;
	v.flags = flags & (L_MAP_SHARED | L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_GROWSDOWN | L_MAP_NORESERVE);
	r = mm_check_limits(t, mm, len - mapped_within(mm, (uint64_t)at, len), &v);
	if (r < 0)
		return r;
	host_flags = mm_host_flags(file, flags);
	if (v.locked && !v.lock_on_fault)
		host_flags |= L_MAP_POPULATE;
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
	r = pas_map(mm->as, mm_via(t, mm), (gva_t)at, len, v.prot, host_flags, host_fd, host_off);
	if (r < 0)
		goto out_spare;
	v.start = (uint64_t)at;
	v.end = v.start + len;
	v.file = file;
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

	if (vma_range_free(mm, addr, len))
		return 0;
	if (vma_any_sealed(mm, addr, len))
		return -EPERM;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_unmap(mm->as, mm_via(t, mm), addr, len);
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

/* ---- brk ---- */

/* Moves the end of the heap.  mm->lock held over it all: two threads' calls do not mix. */
static int brk_locked(struct task *t, struct mm *mm, uint64_t brk) REQUIRES(mm->lock)
{
	uint64_t old_end, new_end;
	int64_t r = 0;

	if (brk < mm->brk_start || brk >= GUEST_CEILING || !page_up(mm->brk, &old_end) || !page_up(brk, &new_end) ||
	    brk - mm->brk_start + (mm->end_data - mm->start_data) > process_rlimit(t->process, L_RLIMIT_DATA))
		return -ENOMEM;
	if (new_end > old_end) {
		/* A page is left free above, so that the heap does not grow into a neighbour unnoticed. */
		if (!vma_range_free(mm, old_end, new_end - old_end + PAGE_SIZE))
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
