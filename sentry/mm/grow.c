/*
 * Mappings that grow downwards: the main stack beyond what exec mapped, and MAP_GROWSDOWN.  The host's own growing is
 * never used: the stub's fault comes here, and what is missing is mapped.
 *
 * Where Linux grows at any access of its own, too, the main stack is grown at each system call to where the thread's stack
 * pointer is: what a frame holds lies above that.  DIVERGES: it grows in steps of several pages, because each costs an event;
 * and of MAP_GROWSDOWN only the guest's own accesses and signal frames grow it, not what a system call copies.  Test: stack.
 */
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "sentry/mm/change.h"

#define MAIN_STACK_STEP (32 * PAGE_SIZE)

bool vma_grows(const struct vma *v)
{
	return v->kind == VMA_STACK || (v->flags & L_MAP_GROWSDOWN);
}

/* Whether the i-th VMA may begin at start: limits, and the gap to what lies below (of its own kind none). */
static int check_growth(struct task *t, struct mm *mm, size_t i, uint64_t start) REQUIRES(mm->lock)
{
	const struct vma *v = mm->vmas[i], *below = i > 0 ? mm->vmas[i - 1] : NULL;
	uint64_t more = v->start - start;

	if (start < GUEST_MIN || v->end - start > process_rlimit(t->process, L_RLIMIT_STACK))
		return -ENOMEM;
	if (below && start < below->end)
		return -ENOMEM; /* a whole step may reach further than the hole does */
	if (below && below->prot && !vma_grows(below) && start - below->end < MM_STACK_GAP)
		return -ENOMEM;
	if (mm->total_size + more > process_rlimit(t->process, L_RLIMIT_AS))
		return -ENOMEM;
	if (v->locked && mm->locked_size + more > process_rlimit(t->process, L_RLIMIT_MEMLOCK))
		return -ENOMEM;
	return 0;
}

static int grow_locked(struct task *t, struct mm *mm, uint64_t addr) REQUIRES(mm->lock)
{
	size_t i = vma_index(mm, addr);
	uint64_t start = page_down(addr), more;
	struct vma *v;
	int r;

	if (i == mm->vma_count || mm->vmas[i]->start <= addr || !vma_grows(mm->vmas[i]))
		return -EFAULT;
	v = mm->vmas[i];
	if (v->kind == VMA_STACK && v->start - start < MAIN_STACK_STEP && v->start > MAIN_STACK_STEP &&
	    check_growth(t, mm, i, v->start - MAIN_STACK_STEP) == 0)
		start = v->start - MAIN_STACK_STEP;
	r = check_growth(t, mm, i, start);
	if (r < 0)
		return r;
	more = v->start - start;
	r = pas_map(mm->as, t->mm == mm ? t->ctx : NULL, start, more, v->prot,
		    L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_NORESERVE, -1, 0);
	if (r < 0)
		return r;
	v->start = start;
	vma_account(mm, v, more);
	if (v->kind == VMA_STACK)
		mm->stack_start = start;
	return mm_populate_locked(t, mm, start, start + more);
}

int mm_grow_down(struct task *t, struct mm *mm, uint64_t addr)
{
	int r;

	mutex_lock(&mm->lock);
	r = grow_locked(t, mm, addr);
	mutex_unlock(&mm->lock);
	return r;
}
