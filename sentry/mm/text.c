/* Which of a guest's text a platform may write to. */
#include "abi/mman.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"

/* Code of a file, which the program can only read and execute: what a compiler made, not what the program makes. */
static bool is_text(const struct vma *v)
{
	return v->file && !(v->flags & L_MAP_SHARED) && v->prot == (L_PROT_READ | L_PROT_EXEC);
}

void mm_patch_text(struct task *t, const struct pf_event *ev)
{
	struct mm *mm = t->mm;
	struct vma *v;

	mutex_lock(&mm->lock);
	/* ip is behind the instruction, perhaps at the very end. */
	v = mm_find(mm, ev->ip - 1);
	if (v && is_text(v))
		pctx_patch(t->ctx, ev, v->start, v->end);
	mutex_unlock(&mm->lock);
}
