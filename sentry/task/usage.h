/*
 * What tasks and processes have used: CPU time as getrusage(2), times(2) and the CPU clocks tell it.
 *
 * User time is what the stub's threads used on the host, system time what the sentry's threads did for them.
 */
#ifndef BAILEY_SENTRY_TASK_USAGE_H
#define BAILEY_SENTRY_TASK_USAGE_H

#include <stdint.h>

struct task;
struct process;
struct rusage_sum;

int64_t task_cpu_ns(struct task *t);
int64_t process_cpu_ns(struct process *p);
/* Of p's live and dead threads. */
void process_usage(struct process *p, struct rusage_sum *out);
void task_usage(struct task *t, struct rusage_sum *out);

#endif
