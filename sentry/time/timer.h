/*
 * Kernel timers: a function to be called when the monotonic clock reaches a deadline.
 *
 * One helper thread for the whole sentry sleeps until the earliest deadline and calls what is due; with no timer set
 * it sleeps without bound, so an idle sandbox costs nothing.  The thread starts with the first ktimer_set.
 *
 * Callbacks run on that thread, one at a time and with no lock of this module held.  They must not block for long, but
 * may take mutexes, wake waitqueues, send signals, set any timer (their own too) and free their own.  The module's lock is
 * a leaf.
 */
#ifndef BAILEY_SENTRY_TIME_TIMER_H
#define BAILEY_SENTRY_TIME_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct ktimer {
	void (*fn)(struct ktimer *kt, void *arg); /* immutable */
	void *arg;				  /* immutable */
	/* The rest is timer.c's, guarded by its lock: a node of a pairing heap. */
	int64_t deadline_ns; /* CLOCK_MONOTONIC */
	struct ktimer *child, *next, *prev; /* prev: the sibling before, or of a first child the parent */
	bool set;
};

void ktimer_init(struct ktimer *kt, void (*fn)(struct ktimer *kt, void *arg), void *arg);

/* Sets or moves the timer; a deadline in the past is due at once.  -EAGAIN if the helper thread could not be started:
 * possible in the first call only. */
int ktimer_set(struct ktimer *kt, int64_t deadline_ns) MUST_CHECK;

/*
 * Takes the timer off; true if it was set.  When it returns the callback is not running and will not run until the next
 * ktimer_set, so the caller must hold no lock that the callback takes.  (Called from the timer's own callback it does
 * not wait.)
 */
bool ktimer_cancel(struct ktimer *kt);
/* The same without waiting: the callback may still be running. */
bool ktimer_cancel_nowait(struct ktimer *kt);

#endif
