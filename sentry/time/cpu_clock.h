/*
 * CPU-time clocks: of a process or a thread, as clock ids name them (clock_getcpuclockid(3)), and waiting for them.
 *
 * The host tells the CPU time of a stub when asked and at no other time.  Who waits for such a clock looks at it when it may
 * have come so far at the earliest, and again.
 */
#ifndef BAILEY_SENTRY_TIME_CPU_CLOCK_H
#define BAILEY_SENTRY_TIME_CPU_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct process;
struct task;

struct cpu_clock {
	struct process *process; /* counted */
	struct task *task;	 /* counted; NULL: of the whole process */
	bool user_only;		 /* the id's kind is CPUCLOCK_VIRT */
};

/* True for ids of CPU-time clocks, good or bad. */
bool cpu_clock_is(int clock);
/* Whose clock it is, as t sees it; *out is to be put.  -EINVAL: nobody's, or another process's thread's. */
int cpu_clock_find(struct task *t, int clock, struct cpu_clock *out) MUST_CHECK;
void cpu_clock_put(struct cpu_clock *c);
/* ns; takes tasks_lock.  0 once a thread has ended. */
int64_t cpu_clock_now(const struct cpu_clock *c);

/* Of one who waits for a CPU clock. */
struct cpu_wait {
	int64_t seen_ns;  /* what the clock said at the last look */
	int64_t delay_ns; /* how long was slept before it */
};
/* How long to sleep before c, at now_ns, can have come left_ns further.  Longer each time that it stands still. */
int64_t cpu_wait_delay(struct cpu_wait *w, const struct cpu_clock *c, int64_t now_ns, int64_t left_ns);

#endif
