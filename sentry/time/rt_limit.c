/*
 * RLIMIT_RTTIME: how long a thread of a real-time policy may use its processor without a call that waits.  Such
 * policies have no effect on the host, and the limit holds all the same.
 *
 * The threads are looked at when one may have reached the limit at the earliest.  That one has waited meanwhile is seen
 * by its count of sleeps; its time then begins anew at the look.  So the signal may come late, by the time between two
 * looks.
 */
#include "sentry/time/rt_limit.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/sched.h"
#include "abi/signal.h"
#include "abi/time.h"
#include "base/checked.h"
#include "sentry/signal/signal.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"
#include "sentry/time/cpu_clock.h"

#define LOOK_MIN_NS (4 * 1000000ll) /* a tick */
#define LOOK_MAX_NS (100 * 1000000ll)

static bool is_real_time(struct task *t)
{
	int policy;

	mutex_lock(&t->alloc_lock);
	policy = t->sched.policy;
	mutex_unlock(&t->alloc_lock);
	return policy == L_SCHED_FIFO || policy == L_SCHED_RR;
}

/* p's threads that are limited, each counted: how many, in *out, which the caller frees. */
static size_t real_time_threads(struct process *p, struct task ***out)
{
	struct task **list, *t;
	size_t n = 0;

	mutex_lock(&tasks_lock);
	list = calloc((size_t)p->thread_count + 1, sizeof(struct task *));
	if (list) {
		list_for_each_entry (t, &p->threads, thread_node)
			if (!t->dead && is_real_time(t))
				list[n++] = task_get(t);
	}
	mutex_unlock(&tasks_lock);
	*out = list;
	return n;
}

/* How long t has gone on without waiting, as far as the looks can tell. */
static int64_t used_by(struct process *p, struct task *t)
{
	struct cpu_clock c = {p, t, false};
	int64_t now = cpu_clock_now(&c);
	/* Not those in rings, which are the guest's own word.  Never 0, which is of one not yet looked at. */
	uint64_t sleeps = t->sleeper.sleeps + 1;

	if (t->rt_sleeps != sleeps) {
		t->rt_sleeps = sleeps;
		t->rt_base_ns = now;
	}
	return now - t->rt_base_ns;
}

static int64_t limit_ns(uint64_t us)
{
	return us > INT64_MAX / L_NSEC_PER_USEC ? INT64_MAX : (int64_t)us * L_NSEC_PER_USEC;
}

/* What that time calls for: a signal or 0.  The soft limit moves on by a second each time.  *left_ns: until the next.
 */
static int check_limit(struct process *p, int64_t used_ns, int64_t *left_ns)
{
	struct l_rlimit64 *l = &p->rlimits[L_RLIMIT_RTTIME];
	int sig = 0;

	mutex_lock(&p->limits_lock);
	if (used_ns >= limit_ns(l->rlim_max)) {
		sig = L_SIGKILL;
	} else if (used_ns >= limit_ns(l->rlim_cur)) {
		sig = L_SIGXCPU;
		l->rlim_cur += L_USEC_PER_SEC;
	}
	*left_ns = limit_ns(min_of(l->rlim_cur, l->rlim_max)) - used_ns;
	mutex_unlock(&p->limits_lock);
	return sig;
}

static void send(struct process *p, int sig)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, sig);
	if (signal_send_process(p, &info) < 0)
		log_debug("signal %d to process %d lost", sig, p->pid);
}

int64_t rt_limit_look(struct process *p)
{
	int64_t next = LOOK_MAX_NS, left;
	struct task **threads;
	size_t n;

	if (process_rlimit(p, L_RLIMIT_RTTIME) == L_RLIM_INFINITY)
		return 0;
	n = real_time_threads(p, &threads);
	for (size_t k = 0; k < n; k++) {
		int sig = check_limit(p, used_by(p, threads[k]), &left);

		if (sig)
			send(p, sig);
		next = min_of(next, left);
		task_put(threads[k]);
	}
	free(threads);
	return n ? monotonic_now() + max_of(next, LOOK_MIN_NS) : 0;
}
