/* Interval timers.  See timers.h. */
#include "sentry/time/timers.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "abi/time.h"
#include "sentry/signal/signal.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"
#include "sentry/time/timer.h"

struct process_timers {
	struct process *process; /* borrowed: stopped before the process goes */
	struct mutex lock;
	struct ktimer real;
	int64_t deadline_ns; /* guarded by lock; 0: disarmed */
	int64_t interval_ns; /* guarded by lock */
};

static void fire(struct ktimer *kt, void *arg)
{
	struct process_timers *pt = arg;
	struct l_siginfo info;
	bool due = false;

	mutex_lock(&pt->lock);
	if (pt->deadline_ns && pt->deadline_ns <= monotonic_now()) {
		due = true;
		if (pt->interval_ns) {
			/* The next one lies on the grid, however late this one is. */
			int64_t late = monotonic_now() - pt->deadline_ns;

			pt->deadline_ns += late / pt->interval_ns * pt->interval_ns;
			if (__builtin_add_overflow(pt->deadline_ns, pt->interval_ns, &pt->deadline_ns))
				pt->deadline_ns = INT64_MAX;
		} else {
			pt->deadline_ns = 0;
		}
	}
	if (pt->deadline_ns && ktimer_set(&pt->real, pt->deadline_ns) < 0)
		pt->deadline_ns = 0;
	mutex_unlock(&pt->lock);
	if (!due)
		return;
	signal_fill_kernel(&info, L_SIGALRM);
	if (signal_send_process(pt->process, &info) < 0)
		log_debug("SIGALRM to process %d lost", pt->process->pid);
}

/* Made on first use. */
static struct process_timers *timers_of(struct process *p)
{
	struct process_timers *pt;

	mutex_lock(&p->sig_lock);
	pt = p->timers;
	if (!pt) {
		pt = calloc(1, sizeof(*pt));
		if (pt) {
			pt->process = p;
			mutex_init(&pt->lock);
			ktimer_init(&pt->real, fire, pt);
			p->timers = pt;
		}
	}
	mutex_unlock(&p->sig_lock);
	return pt;
}

static void read_locked(struct process_timers *pt, struct itimer_value *out)
{
	int64_t left = pt->deadline_ns ? pt->deadline_ns - monotonic_now() : 0;

	out->value_ns = pt->deadline_ns && left <= 0 ? L_NSEC_PER_USEC : left;
	out->interval_ns = pt->interval_ns;
}

int process_itimer_get(struct process *p, int which, struct itimer_value *out)
{
	struct process_timers *pt;

	if (which != L_ITIMER_REAL)
		return -EINVAL;
	pt = timers_of(p);
	if (!pt)
		return -ENOMEM;
	mutex_lock(&pt->lock);
	read_locked(pt, out);
	mutex_unlock(&pt->lock);
	return 0;
}

int process_itimer_set(struct process *p, int which, const struct itimer_value *next, struct itimer_value *old)
{
	struct process_timers *pt;
	int r = 0;

	if (which != L_ITIMER_REAL)
		return -EINVAL;
	pt = timers_of(p);
	if (!pt)
		return -ENOMEM;
	mutex_lock(&pt->lock);
	read_locked(pt, old);
	pt->interval_ns = next->interval_ns;
	pt->deadline_ns = 0;
	if (next->value_ns) {
		struct l_timespec rel = ns_to_timespec(next->value_ns);

		pt->deadline_ns = deadline_after(&rel);
		r = ktimer_set(&pt->real, pt->deadline_ns);
		if (r < 0)
			pt->deadline_ns = 0;
	} else {
		ktimer_cancel_nowait(&pt->real);
	}
	mutex_unlock(&pt->lock);
	return r;
}

void process_timers_stop(struct process *p)
{
	struct process_timers *pt;

	mutex_lock(&p->sig_lock);
	pt = p->timers;
	mutex_unlock(&p->sig_lock);
	if (pt)
		ktimer_cancel(&pt->real);
}

void process_timers_free(struct process_timers *pt)
{
	if (!pt)
		return;
	mutex_destroy(&pt->lock);
	free(pt);
}

void process_timers_exec(struct process *p)
{
	/* There are no POSIX timers yet, and interval timers stay. */
}
