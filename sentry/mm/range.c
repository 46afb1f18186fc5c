/* Walking a range of an address space mapping by mapping, and the checks that calls on ranges have in common. */
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/mm/change.h"

int mm_for_each_part(struct task *t, struct mm *mm, uint64_t addr, uint64_t end,
			 int (*fn)(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t arg),
			 uintptr_t arg)
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

uint64_t mm_mapped_end(const struct mm *mm, uint64_t addr, uint64_t end)
{
	for (size_t i = vma_index(mm, addr); i < mm->vma_count && mm->vmas[i]->start <= addr && addr < end; i++)
		addr = mm->vmas[i]->end;
	return min_of(addr, end);
}

int mm_check_range(uint64_t addr, uint64_t *len, uint64_t *end)
{
	if ((addr & ~PAGE_MASK) || !page_up(*len, len) || !checked_add(addr, *len, end))
		return -EINVAL;
	return *end > GUEST_CEILING ? -ENOMEM : 0;
}

int mm_check_mapped(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int r = mm_check_range(addr, &len, &end);

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
