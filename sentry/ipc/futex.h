/*
 * Futexes: all waiters of a word wait here, in the sentry.  See futex(2), set_robust_list(2).
 *
 * futex.c has plain futexes, futex_pi.c those with an owner.  A word is known by its key (mm_futex_key).  A waiter of a
 * plain one queues first and reads the word afterwards, from guest memory itself, so that a wake-up between the two is not
 * lost.
 */
#ifndef BAILEY_SENTRY_IPC_FUTEX_H
#define BAILEY_SENTRY_IPC_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct task;

/* Waits while the word is val.  deadline_ns: CLOCK_MONOTONIC or NO_DEADLINE.  -EAGAIN, -ETIMEDOUT, -ERESTARTSYS, -EFAULT. */
int futex_wait(struct task *t, uint64_t addr, bool process_private, uint32_t val, uint32_t bitset,
	       int64_t deadline_ns) MUST_CHECK;
/* Wakes at most n waiters of a common bit: how many, or -errno. */
int futex_wake(struct task *t, uint64_t addr, bool process_private, int n, uint32_t bitset) MUST_CHECK;
/* Wakes n, moves at most m more to addr2; with cmp, only if the word at addr is *cmp (-EAGAIN). */
int futex_requeue(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int m,
		  const uint32_t *cmp) MUST_CHECK;
/* FUTEX_WAKE_OP. */
int futex_wake_op(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int n2,
		  uint32_t op) MUST_CHECK;

/* futex_waitv(2): waits while all n words (at most L_FUTEX_WAITV_MAX) are as said; the index of one that was woken. */
struct futex_word {
	uint64_t addr;
	uint32_t val;
	bool process_private;
};
int futex_waitv(struct task *t, const struct futex_word *words, unsigned n, int64_t deadline_ns) MUST_CHECK;

/* ---- futexes with an owner: futex_pi.c ---- */

/* FUTEX_LOCK_PI; try_only: FUTEX_TRYLOCK_PI (-EAGAIN).  -EDEADLK, -ESRCH (no such owner), -EINVAL, -ETIMEDOUT, -ERESTARTNOINTR. */
int futex_lock_pi(struct task *t, uint64_t addr, bool process_private, bool try_only, int64_t deadline_ns) MUST_CHECK;
/* -EPERM: t is not the owner. */
int futex_unlock_pi(struct task *t, uint64_t addr, bool process_private) MUST_CHECK;
/* Waits at addr to be moved to addr2 and to own that: 0.  -EAGAIN, -ETIMEDOUT, -ERESTARTNOINTR. */
int futex_wait_requeue_pi(struct task *t, uint64_t addr, bool process_private, uint32_t val, uint32_t bitset,
			  int64_t deadline_ns, uint64_t addr2) MUST_CHECK;
/* Lets one of them (n is 1) own addr2, if that is free, and moves m more: how many in all. */
int futex_cmp_requeue_pi(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int m,
			 uint32_t cmp) MUST_CHECK;
/* Hands what t, which leaves its address space, owns and others wait for to the first of them each. */
void futex_exit_pi(struct task *t);

/* Wakes one waiter of a shared or private word: what clear_child_tid does. */
void futex_wake_at(struct task *t, uint64_t addr);
/* Where t's robust list begins: with its context, where its thread may set it by itself (pctx_robust), or in the task.  set: t's own
 * thread. */
uint64_t futex_robust_list(struct task *t);
void futex_set_robust_list(struct task *t, uint64_t head);
/* Walks t's robust list and marks what it held as OWNER_DIED. */
void futex_exit_robust_list(struct task *t);

#endif
