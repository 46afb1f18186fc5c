/* RLIMIT_RTTIME.  process_watch_rt_limit (timers.h) has it looked at. */
#ifndef BAILEY_SENTRY_TIME_RT_LIMIT_H
#define BAILEY_SENTRY_TIME_RT_LIMIT_H

#include <stdint.h>

struct process;

/* Signals p if a thread is past the limit.  When to look again, by the monotonic clock; 0: no need to.  On the timer
 * thread alone. */
int64_t rt_limit_look(struct process *p);

#endif
