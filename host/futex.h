/* Waiting on a word of the sentry's own memory. */
#ifndef BAILEY_HOST_FUTEX_H
#define BAILEY_HOST_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"

/*
 * Sleeps while *word is `expected`, until woken or until CLOCK_MONOTONIC passes deadline_ns (INT64_MAX: for ever).
 * 0: woken, perhaps for nothing; -EAGAIN: the word was another already; -EINTR; -ETIMEDOUT.  Look at the word again.
 */
int host_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns) MUST_CHECK;
/* Wakes at most `count` waiters; returns how many. */
int host_futex_wake(_Atomic uint32_t *word, int count);

#endif
