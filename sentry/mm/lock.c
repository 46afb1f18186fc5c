/*
 * mlock(2), mlockall(2) and their opposites.
 *
 * Locks are kept in the books (limits, /proc) and not asked of the host, which would charge the caller's own
 * RLIMIT_MEMLOCK.  What is locked is brought in, as Linux does, and stays as long as the host has memory.  DIVERGES: mlock does
 * not pin: pages of a stub may be swapped like the sentry's.
 */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/change.h"

/* How a part is to be locked: an argument of lock_part. */
enum lock_how { UNLOCK, LOCK, LOCK_ON_FAULT };

static int lock_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t how) REQUIRES(mm->lock)
{
	bool lock = how != UNLOCK, on_fault = how == LOCK_ON_FAULT;
	struct vma_spare spare;
	int r;

	if (v->locked == lock && v->lock_on_fault == on_fault)
		return 0;
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	vma_split(mm, start, &spare);
	vma_split(mm, stop, &spare);
	v = mm_find(mm, start);
	if (v->locked != lock)
		mm->locked_size += lock ? vma_len(v) : -vma_len(v);
	v->locked = lock;
	v->lock_on_fault = on_fault;
	vma_spare_free(&spare);
	return 0;
}

/* Brings a part in: what is private and may be written is made the process's own. */
static int populate_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t arg)
	REQUIRES(mm->lock)
{
	bool own = (v->prot & L_PROT_WRITE) && (v->flags & L_MAP_PRIVATE);
	int r = -EFAULT;

	(void)arg;
	if (own || (v->prot & (L_PROT_READ | L_PROT_WRITE)))
		r = pas_advise(mm->as, mm_via(t, mm), PAS_MADVISE, start, stop - start,
			       own ? L_MADV_POPULATE_WRITE : L_MADV_POPULATE_READ);
	/* As mlock(2) has it: no access is as no memory, and no memory is to be tried again. */
	if (r == -ESRCH || r >= 0)
		return r;
	return r == -ENOMEM ? -EAGAIN : -ENOMEM;
}

static bool may_lock_all(struct task *t)
{
	return cred_capable(t->cred, L_CAP_IPC_LOCK);
}

int mm_populate_locked(struct task *t, struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = mm_find(mm, start);
	int r = v && v->locked && !v->lock_on_fault ? populate_part(t, mm, v, start, end, 0) : 0;

	return r == -ESRCH ? r : 0;
}

int mm_check_more_locked(struct task *t, struct mm *mm, uint64_t len)
{
	uint64_t limit;

	if (!t || may_lock_all(t))
		return 0;
	limit = process_rlimit(t->process, L_RLIMIT_MEMLOCK);
	if (limit == 0)
		return -EPERM;
	return mm->locked_size + len > limit ? -EAGAIN : 0;
}

/* How much of [addr, end) is locked already, and so is not locked anew. */
static uint64_t locked_within(const struct mm *mm, uint64_t addr, uint64_t end)
{
	uint64_t sum = 0;

	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start < end; i++)
		if (mm->vmas[i]->locked)
			sum += min_of(mm->vmas[i]->end, end) - max_of(mm->vmas[i]->start, addr);
	return sum;
}

int mm_lock(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags, bool lock)
{
	bool on_fault = flags & L_MLOCK_ONFAULT;
	uint64_t end, mapped_end;
	int r;

	if (lock && (flags & ~L_MLOCK_ONFAULT))
		return -EINVAL;
	/* mlock rounds addr down, unlike its kin, and a length that comes round to 0 is as good as none. */
	len = page_down(len + (addr & ~PAGE_MASK) + PAGE_SIZE - 1);
	addr = page_down(addr);
	if (lock && !may_lock_all(t)) { /* before anybody asks whether that is a range */
		uint64_t limit = process_rlimit(t->process, L_RLIMIT_MEMLOCK);

		if (limit == 0)
			return -EPERM;
		if (len > limit)
			return -ENOMEM;
	}
	r = mm_check_range(addr, &len, &end);
	if (r < 0 || len == 0)
		return r;
	mutex_lock(&mm->lock);
	if (lock) {
		r = mm_check_more_locked(t, mm, len - locked_within(mm, addr, end));
		if (r == -EAGAIN)
			r = -ENOMEM;
	}
	mapped_end = mm_mapped_end(mm, addr, end); /* a hole ends it, unlike advice */
	if (r == 0)
		r = mm_for_each_part(t, mm, addr, mapped_end, lock_part, !lock ? UNLOCK : on_fault ? LOCK_ON_FAULT : LOCK);
	if (r == 0 && mapped_end < end)
		r = -ENOMEM;
	if (r == 0 && lock && !on_fault)
		r = mm_for_each_part(t, mm, addr, end, populate_part, 0);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}

/* Locks all that is mapped now.  What cannot be brought in is locked all the same. */
static int lock_current(struct task *t, struct mm *mm, bool on_fault) REQUIRES(mm->lock)
{
	int r = 0;

	mm->locked_size = 0;
	for (size_t i = 0; i < mm->vma_count; i++) {
		struct vma *v = mm->vmas[i];

		mm->locked_size += vma_len(v);
		v->locked = true;
		v->lock_on_fault = on_fault;
		if (!on_fault && r != -ESRCH)
			r = populate_part(t, mm, v, v->start, v->end, 0);
	}
	vma_merge_range(mm, 0, GUEST_CEILING);
	return r == -ESRCH ? r : 0;
}

int mm_lock_all(struct task *t, struct mm *mm, int flags)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_MEMLOCK);
	bool current = flags & L_MCL_CURRENT, on_fault = flags & L_MCL_ONFAULT;
	int r = 0;

	if (!flags || (flags & ~(L_MCL_CURRENT | L_MCL_FUTURE | L_MCL_ONFAULT)) || flags == L_MCL_ONFAULT)
		return -EINVAL;
	mutex_lock(&mm->lock);
	if (!may_lock_all(t)) {
		if (limit == 0)
			r = -EPERM;
		else if (current && mm->total_size > limit)
			r = -ENOMEM;
	}
	if (r == 0) {
		mm->lock_future = (flags & L_MCL_FUTURE) != 0;
		mm->lock_future_on_fault = mm->lock_future && on_fault;
		if (current)
			r = lock_current(t, mm, on_fault);
	}
	mutex_unlock(&mm->lock);
	return r;
}

int mm_unlock_all(struct task *t, struct mm *mm)
{
	(void)t;
	mutex_lock(&mm->lock);
	mm->lock_future = mm->lock_future_on_fault = false;
	for (size_t i = 0; i < mm->vma_count; i++)
		mm->vmas[i]->locked = mm->vmas[i]->lock_on_fault = false;
	mm->locked_size = 0;
	vma_merge_range(mm, 0, GUEST_CEILING);
	mutex_unlock(&mm->lock);
	return 0;
}
