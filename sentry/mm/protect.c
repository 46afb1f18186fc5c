/* mprotect(2) and mseal(2).  Each part is told to the stub before its VMA changes: see vma.h. */
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/prctl.h"
#include "base/checked.h"
#include "sentry/mm/change.h"
#include "sentry/vfs/vfs.h"

/* One VMA's part of a change of protection.  mm->lock held. */
static int protect_part(struct task *t, struct mm *mm, uint64_t start, uint64_t end, int prot) REQUIRES(mm->lock)
{
	struct vma_spare spare;
	struct vma *v = mm_find(mm, start), changed = *v;
	int r;

	if (v->sealed)
		return -EPERM;
	if ((prot & L_PROT_WRITE) && !mm_may_write(v->file, v->flags))
		return -EACCES;
	if (mm->mdwe && (prot & L_PROT_EXEC) && ((prot & L_PROT_WRITE) || !(v->prot & L_PROT_EXEC)))
		return -EACCES;
	if (v->prot == prot)
		return 0;
	changed.prot = prot;
	if ((prot & L_PROT_WRITE) && !mm_may_expand(t, mm, end - start, &changed) && mm_may_expand(t, mm, end - start, v))
		return -ENOMEM; /* it becomes data, of which there may be no more */
	r = vma_reserve(mm, &spare);
	if (r < 0)
		return r;
	r = pas_protect(mm->as, mm_via(t, mm), start, end - start, prot);
	if (r == 0) {
		vma_split(mm, start, &spare);
		vma_split(mm, end, &spare);
		v = mm_find(mm, start);
		if (vma_is_data(v))
			mm->data_size -= vma_len(v);
		v->prot = prot;
		if (vma_is_data(v))
			mm->data_size += vma_len(v);
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

static int seal_part(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t arg) REQUIRES(mm->lock)
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
	int r = mm_check_range(addr, &len, &end);

	if (r < 0 || len == 0)
		return r;
	r = mm_check_mapped(mm, addr, len);
	if (r < 0)
		return r;
	mutex_lock(&mm->lock);
	r = mm_for_each_part(t, mm, addr, end, seal_part, 0);
	vma_merge_range(mm, addr, end);
	mutex_unlock(&mm->lock);
	return r;
}
