/*
 * Futexes: all waiters of a word wait here, in the sentry.  See futex(2), set_robust_list(2).
 *
 * A word is known by its key (mm_futex_key).  A waiter queues first and reads the word afterwards, from guest memory itself,
 * so that a wake-up between the two is not lost.
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

/* Wakes one waiter of a shared or private word: what clear_child_tid does. */
void futex_wake_at(struct task *t, uint64_t addr);
/* Walks t's robust list and marks what it held as OWNER_DIED. */
void futex_exit_robust_list(struct task *t);

#endif
