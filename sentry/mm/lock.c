/* mlock(2), mlockall(2) and their opposites. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/change.h"

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
	r = mm_check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	r = lock ? check_lock_limit(t, mm, len) : 0;
	if (r == 0)
		r = mm_for_each_part(t, mm, addr, end, lock_part, lock);
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
