/* What the files of sentry/mm that change an address space share: map.c, protect.c, remap.c, advise.c and lock.c. */
#ifndef BAILEY_SENTRY_MM_CHANGE_H
#define BAILEY_SENTRY_MM_CHANGE_H

#include "sentry/mm/vma.h"
#include "sentry/task/task.h"

/* The calling context, if it stands in mm's address space: the ptrace platform works through it. */
static inline struct pctx *mm_via(struct task *t, struct mm *mm)
{
	return t && t->mm == mm ? t->ctx : NULL;
}

/* ---- map.c ---- */

/* Whether t's limits allow len more bytes that are mapped as v is; of v its protection, flags and kind matter.  t may be NULL. */
bool mm_may_expand(struct task *t, const struct mm *mm, uint64_t len, const struct vma *v) REQUIRES(mm->lock);
/* The same, and that there may be one more mapping: -ENOMEM if not. */
int mm_check_limits(struct task *t, struct mm *mm, uint64_t len, const struct vma *v) MUST_CHECK REQUIRES(mm->lock);

/* Whether memory mapped so may be made writable: not if it is shared with a file that is not open for writing. */
bool mm_may_write(const struct file *file, int flags);
/*
 * The flags that the host is to map it with.  What may not become writable is mapped privately: it shows the file's bytes all
 * the same, and a guest that gets round the sentry to mprotect(2) writes to its own copy.  The host's descriptor may be
 * open for writing though the guest's is not.
 */
int mm_host_flags(const struct file *file, int flags);

/* ---- lock.c ---- */

/* Whether t may have len bytes more locked: -EPERM if it may lock nothing, -EAGAIN if that is over its limit.  t may be NULL. */
int mm_check_more_locked(struct task *t, struct mm *mm, uint64_t len) MUST_CHECK REQUIRES(mm->lock);

/* Brings [start, end), part of one VMA, in if that VMA is locked so; only -ESRCH is an error, as after mmap(2). */
int mm_populate_locked(struct task *t, struct mm *mm, uint64_t start, uint64_t end) MUST_CHECK REQUIRES(mm->lock);

/* ---- range.c ---- */

/* Calls fn for each mapped stretch of [addr, end) up to the first that fails; -ENOMEM at the end if there were holes. */
int mm_for_each_part(struct task *t, struct mm *mm, uint64_t addr, uint64_t end,
		     int (*fn)(struct task *t, struct mm *mm, struct vma *v, uint64_t start, uint64_t stop, uintptr_t arg), uintptr_t arg)
	MUST_CHECK REQUIRES(mm->lock);

/* Where what is mapped from addr on without a hole ends, or end. */
uint64_t mm_mapped_end(const struct mm *mm, uint64_t addr, uint64_t end) REQUIRES(mm->lock);

/* Rounds *len up to pages and gives the end of [addr, addr + *len): -EINVAL if that is no range, -ENOMEM if it leaves what a
 * guest can have mapped. */
int mm_check_range(uint64_t addr, uint64_t *len, uint64_t *end) MUST_CHECK;

#endif
