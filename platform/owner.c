/* Whose an address space is, so that its stub can be used again for the same: see pas_create_for in platform.h. */
#include "platform/ops.h"

int pas_create_for(struct platform *pf, uint64_t owner, struct pas **out)
{
	int r;

	if (owner && pf->ops->as_reuse && pf->ops->as_reuse(pf, owner, out))
		return 0;
	r = pf->ops->as_create(pf, out);
	if (r == 0)
		(*out)->owner = owner;
	return r;
}

void pas_leave(struct pas *as)
{
	if (!as || !refcount_dec(&as->refs))
		return;
	if (as->pf->ops->as_leave)
		as->pf->ops->as_leave(as);
	else
		as->pf->ops->as_release(as);
}

void pas_had_by(struct pas *as, uint64_t owner)
{
	if (owner != as->owner)
		atomic_store(&as->kept_apart, true);
}

struct pas_before pas_before(const struct pas *as)
{
	return as->before;
}

void pas_note_faults(struct pas *as, uint64_t minor, uint64_t major)
{
	atomic_store_explicit(&as->faults[0], minor, memory_order_relaxed);
	atomic_store_explicit(&as->faults[1], major, memory_order_relaxed);
}
