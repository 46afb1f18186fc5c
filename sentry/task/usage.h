/*
 * What tasks and processes have used: CPU time as getrusage(2), times(2) and the CPU clocks tell it, and what their calls
 * read and wrote.
 *
 * User time is what the stub's threads used on the host, system time what the sentry's threads did for them.
 */
#ifndef BAILEY_SENTRY_TASK_USAGE_H
#define BAILEY_SENTRY_TASK_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct task;
struct process;
struct rusage_sum;

int64_t task_cpu_ns(struct task *t);
int64_t process_cpu_ns(struct process *p);
/* Of p's live and dead threads. */
void process_usage(struct process *p, struct rusage_sum *out);
/* The CPU that it ran on last; 0 if that cannot be learnt. */
unsigned task_cpu(struct task *t);
void task_usage(struct task *t, struct rusage_sum *out);
/* Adds the faults and resident memory of t's address space, which its process has not been booked for yet. */
void process_memory_usage(struct task *t, struct rusage_sum *out);
/* Adds; of peaks the higher. */
void rusage_add(struct rusage_sum *sum, const struct rusage_sum *more);

struct io_sum;
struct io_count;
struct pctx;
void task_io(struct task *t, struct io_sum *out);
/* Of p's live and dead threads. */
void process_io(struct process *p, struct io_sum *out);
/* t lets go of ctx, which is about to end: what its thread did in rings is t's own from now on.  sig_lock held. */
void task_book_rings(struct task *t, const struct pctx *ctx);
/* And it ends, with what it is owed. */
void task_drop_ctx(struct pctx *ctx);
/* How often t has slept, in the sentry or in a ring. */
uint64_t task_sleeps(struct task *t);
/* Whether it sleeps in a ring just now. */
bool task_naps(const struct task *t);
void io_sum_add(struct io_sum *sum, const struct io_count *n);
/* Notes that the calling task's read or write came to result: bytes or -errno. */
void task_count_io(struct task *t, bool write, int64_t result);
/* The same of those that the calling task's thread has made by itself. */
void task_count_own_reads(struct task *t);

#endif
