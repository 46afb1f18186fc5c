/*
 * POSIX timers: timer_create(2) and its kin.
 *
 * A timer brings its own queue entry, so that its signal is never lost for want of memory and is queued once at most.  While it is
 * queued an interval timer rests; taking the signal counts the periods that have passed (the overrun) and sets it again.
 */
#ifndef BAILEY_SENTRY_TIME_POSIX_TIMERS_H
#define BAILEY_SENTRY_TIME_POSIX_TIMERS_H

#include <stdbool.h>
#include <stdio.h>

#include "abi/signal.h"
#include "abi/time.h"
#include "base/compiler.h"

struct posix_timer;
struct process;
struct sigqueue;
struct task;

#define POSIX_TIMER_ANY_ID (-1)

/* ev NULL: SIGALRM with the timer's id, which is to be `want`.  -EINVAL, -EOPNOTSUPP (no such timers on this clock), -EBUSY,
 * -EAGAIN (RLIMIT_SIGPENDING). */
int posix_timer_create(struct task *t, int clock, const struct l_sigevent *ev, int want, int *id_out) MUST_CHECK;
/* spec has been checked.  -EINVAL: no such timer, here and below. */
int posix_timer_set(struct task *t, int id, bool absolute, const struct l_itimerspec *spec,
		    struct l_itimerspec *old) MUST_CHECK;
int posix_timer_get(struct task *t, int id, struct l_itimerspec *out) MUST_CHECK;
int posix_timer_overrun(struct task *t, int id) MUST_CHECK;
int posix_timer_delete(struct task *t, int id) MUST_CHECK;
/* All of p's: at exec, and at its end.  No lock held. */
void posix_timers_delete_all(struct process *p);
/* The text of /proc/PID/timers. */
struct pid_ns;
void posix_timers_show(struct process *p, const struct pid_ns *ns, FILE *out);

/* For the queues; sig_lock held.  s, a timer's entry, has been taken off its queue: *info is completed for its receiver, or
 * nobody gets it. */
void posix_timer_taken(struct sigqueue *s, struct l_siginfo *info);
void posix_timer_dropped(struct sigqueue *s);

#endif
