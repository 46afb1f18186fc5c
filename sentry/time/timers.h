/* A process's interval timers: setitimer(2).  POSIX timers will live here too. */
#ifndef BAILEY_SENTRY_TIME_TIMERS_H
#define BAILEY_SENTRY_TIME_TIMERS_H

#include <stdint.h>

#include "base/compiler.h"

struct process;
struct process_timers;

struct itimer_value {
	int64_t value_ns;    /* until it fires; 0: disarmed */
	int64_t interval_ns; /* then again; 0: once */
};

/* -EINVAL for an unknown timer, and for VIRTUAL and PROF, which are not had yet. */
int process_itimer_get(struct process *p, int which, struct itimer_value *out) MUST_CHECK;
/* old gets what was; -ENOMEM, -EAGAIN. */
int process_itimer_set(struct process *p, int which, const struct itimer_value *next,
		       struct itimer_value *old) MUST_CHECK;

/* The process is gone, or lets go of its timers at the end; waits for a callback that is running.  NULL is harmless. */
void process_timers_free(struct process_timers *pt);
/* The last thread is gone: nothing may fire any more. */
void process_timers_stop(struct process *p);
/* execve(2): interval timers stay, POSIX timers go. */
void process_timers_exec(struct process *p);

#endif
