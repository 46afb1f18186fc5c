/* rseq(2): what may be registered, and when the host is told.  See rseq.h. */
#include "sentry/task/rseq.h"

#include <sys/auxv.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/mm/mm.h"
#include "sentry/task/internal.h"

#define AREA_ALIGN 32u /* of struct rseq, and what AT_RSEQ_ALIGN says */

/* The host may have refused what the books say was registered: it did so only on the thread's way back to the guest. */
static void settle(struct task *t)
{
	if (t->rseq && !pctx_rseq_registered(t->ctx))
		t->rseq = 0;
}

/* What is wrong with a call that names what is registered: area, size and signature have to be the same. */
static int check_same(const struct task *t, uint64_t area, uint32_t size, uint32_t sig)
{
	if (t->rseq != area || t->rseq_size != size)
		return -EINVAL;
	return t->rseq_sig != sig ? -EPERM : 0;
}

static int unregister(struct task *t, uint64_t area, uint32_t size, uint32_t sig)
{
	int r = t->rseq ? check_same(t, area, size, sig) : -EINVAL;

	if (r == 0)
		r = pctx_rseq_unregister(t->ctx, area, size, sig);
	if (r == 0)
		t->rseq = 0;
	return r;
}

/* The size is that of the first version of the structure, or enough for all that the host knows of. */
static int check_area(uint64_t area, uint32_t size)
{
	if (size < L_RSEQ_ORIG_SIZE || (size != L_RSEQ_ORIG_SIZE && size < getauxval(AUX_RSEQ_FEATURE_SIZE)) ||
	    area % AREA_ALIGN)
		return -EINVAL;
	return area > L_TASK_SIZE || size > L_TASK_SIZE - area ? -EFAULT : 0;
}

int rseq_call(struct task *t, uint64_t area, uint32_t size, int flags, uint32_t sig)
{
	int r;

	settle(t);
	if (flags == L_RSEQ_FLAG_UNREGISTER)
		return unregister(t, area, size, sig);
	if (flags)
		return -EINVAL;
	if (t->rseq) {
		r = check_same(t, area, size, sig);
		return r < 0 ? r : -EBUSY;
	}
	r = check_area(area, size);
	if (r == 0)
		r = pctx_rseq_register(t->ctx, area, size, sig, true);
	if (r < 0)
		return r;
	t->rseq = area;
	t->rseq_size = size;
	t->rseq_sig = sig;
	return 0;
}

void rseq_inherit(struct task *t, struct task *child)
{
	settle(t);
	child->rseq = t->rseq;
	child->rseq_size = t->rseq_size;
	child->rseq_sig = t->rseq_sig;
}

void rseq_start(struct task *t)
{
	if (t->rseq && pctx_rseq_register(t->ctx, t->rseq, t->rseq_size, t->rseq_sig, false) < 0)
		t->rseq = 0;
}

void rseq_release(struct task *t)
{
	/* The last user's stub ends with it. */
	if (t->rseq && t->ctx && t->mm && refcount_read(&t->mm->refs) > 1)
		(void)!pctx_rseq_unregister(t->ctx, t->rseq, t->rseq_size, t->rseq_sig);
	t->rseq = 0;
}
