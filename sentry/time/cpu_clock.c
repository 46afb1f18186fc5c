/* See cpu_clock.h. */
#include "sentry/task/pidns.h"
#include "sentry/time/cpu_clock.h"

#include "abi/errno.h"
#include "abi/time.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/task/task.h"
#include "sentry/task/usage.h"

#define SHORTEST_DELAY_NS 1000000ll /* a kernel that counts CPU time by ticks is not more exact */
#define IDLE_DELAY_MAX_NS 64000000ll

bool cpu_clock_is(int clock)
{
	return clock < 0 || clock == L_CLOCK_PROCESS_CPUTIME_ID || clock == L_CLOCK_THREAD_CPUTIME_ID;
}

static int find_thread(struct task *t, int tid, struct cpu_clock *out)
{
	struct task *o = tid ? task_named(t, tid) : task_get(t);

	if (!o || o->process != t->process) {
		task_put(o);
		return -EINVAL;
	}
	out->task = o;
	out->process = process_get(o->process);
	return 0;
}

int cpu_clock_find(struct task *t, int clock, struct cpu_clock *out)
{
	int id = ~(clock >> 3), kind = clock & L_CPUCLOCK_CLOCK_MASK;

	*out = (struct cpu_clock){NULL, NULL, false};
	if (clock == L_CLOCK_THREAD_CPUTIME_ID)
		return find_thread(t, 0, out);
	if (clock == L_CLOCK_PROCESS_CPUTIME_ID) {
		out->process = process_get(t->process);
		return 0;
	}
	if (clock >= 0 || kind == L_CLOCKFD)
		return -EINVAL;
	out->user_only = kind == L_CPUCLOCK_VIRT;
	if (clock & L_CPUCLOCK_PERTHREAD_MASK)
		return find_thread(t, id, out);
	out->process = id ? process_named(t, id) : process_get(t->process);
	return out->process ? 0 : -EINVAL;
}

void cpu_clock_put(struct cpu_clock *c)
{
	task_put(c->task);
	process_put(c->process);
}

int64_t cpu_clock_now(const struct cpu_clock *c)
{
	struct rusage_sum u;

	if (c->task)
		task_usage(c->task, &u);
	else
		process_usage(c->process, &u);
	return u.utime_ns + (c->user_only ? 0 : u.stime_ns);
}

int64_t cpu_wait_delay(struct cpu_wait *w, const struct cpu_clock *c, int64_t now_ns, int64_t left_ns)
{
	int64_t runners = c->task ? 1 : (int64_t)host_cpu_count();
	int64_t delay = max_of(left_ns / runners, SHORTEST_DELAY_NS);

	if (now_ns == w->seen_ns && w->delay_ns)
		delay = max_of(delay, min_of(w->delay_ns * 2, IDLE_DELAY_MAX_NS));
	w->seen_ns = now_ns;
	w->delay_ns = delay;
	return delay;
}
