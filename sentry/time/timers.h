/*
 * A process's timers: the three interval timers of setitimer(2), the CPU time that RLIMIT_CPU grants, and the list of its POSIX
 * timers, which posix_timers.c keeps.
 */
#ifndef BAILEY_SENTRY_TIME_TIMERS_H
#define BAILEY_SENTRY_TIME_TIMERS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

struct process;
struct process_timers;

struct itimer_value {
	int64_t value_ns;    /* until it fires; 0: disarmed */
	int64_t interval_ns; /* then again; 0: once */
};

/* -EINVAL for an unknown timer; -ENOMEM. */
int process_itimer_get(struct process *p, int which, struct itimer_value *out) MUST_CHECK;
/* old gets what was; -EINVAL, -ENOMEM, -EAGAIN. */
int process_itimer_set(struct process *p, int which, const struct itimer_value *next,
		       struct itimer_value *old) MUST_CHECK;

/*
 * A SIGALRM, whoever sent it, was taken off p's shared queue: an ITIMER_REAL with an interval that has fired is set again, as Linux
 * does it (kernel/signal.c).  So one that fires faster than its signal is taken costs nothing, and one whose signal is ignored
 * fires once.  p->sig_lock held.
 */
void process_itimer_taken(struct process *p);

/* RLIMIT_CPU was set or inherited: watches p's CPU time from now on, if it is limited. */
void process_watch_cpu_limit(struct process *p);
/* The same of RLIMIT_RTTIME, also when a thread of p's got a real-time policy. */
void process_watch_rt_limit(struct process *p);

struct posix_timer_list {
	struct list_head timers; /* newest first */
	int next_id;
};
/* Guarded by p->sig_lock.  The first makes it on first use, NULL: no memory; the second gives NULL if there is none. */
struct posix_timer_list *process_posix_timers(struct process *p);
struct posix_timer_list *process_posix_timers_locked(struct process *p);

/* The process is gone.  NULL is harmless. */
void process_timers_free(struct process_timers *pt);
/* The last thread is gone: nothing may fire any more.  Waits for a callback that is running. */
void process_timers_stop(struct process *p);
/* execve(2): interval timers stay, POSIX timers go. */
void process_timers_exec(struct process *p);

#endif
