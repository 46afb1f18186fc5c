/* A process's timers but for the POSIX ones.  See timers.h. */
#include "sentry/time/timers.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "abi/time.h"
#include "base/checked.h"
#include "sentry/signal/signal.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"
#include "sentry/time/cpu_clock.h"
#include "sentry/time/posix_timers.h"
#include "sentry/time/rt_limit.h"
#include "sentry/time/timer.h"

#define ITIMERS 3

struct itimer {
	struct process_timers *owner; /* immutable */
	int which;		      /* immutable: L_ITIMER_* */
	struct ktimer kt;
	/* Guarded by owner->lock. */
	struct cpu_wait wait;
	int64_t deadline_ns; /* monotonic, or of the CPU clock; 0: disarmed */
	int64_t interval_ns;
	bool fired; /* ITIMER_REAL: not set again before its signal is taken */
};

struct process_timers {
	struct process *process; /* borrowed: stopped before the process goes */
	struct mutex lock;
	struct itimer itimers[ITIMERS];
	struct ktimer cpu_limit, rt_limit;
	struct cpu_wait limit_wait;	    /* its callback's own */
	struct posix_timer_list posix_list; /* guarded by process->sig_lock */
};

static const int signals[ITIMERS] = {L_SIGALRM, L_SIGVTALRM, L_SIGPROF};

static struct cpu_clock clock_of(const struct process_timers *pt, int which)
{
	return (struct cpu_clock){pt->process, NULL, which == L_ITIMER_VIRTUAL};
}

static int64_t now_of(const struct process_timers *pt, int which)
{
	struct cpu_clock c = clock_of(pt, which);

	return which == L_ITIMER_REAL ? monotonic_now() : cpu_clock_now(&c);
}

/* The monotonic time at which `it` is to be looked at, its clock being now. */
static int64_t look_at(struct itimer *it, int64_t now)
{
	struct cpu_clock c = clock_of(it->owner, it->which);

	if (it->which == L_ITIMER_REAL)
		return it->deadline_ns;
	return monotonic_now() + min_of(cpu_wait_delay(&it->wait, &c, now, it->deadline_ns - now), INT64_MAX / 2);
}

/* Moves one that is due on.  The next deadline lies on the grid, however late this one is. */
static void move_on(struct itimer *it, int64_t now)
{
	it->deadline_ns += (now - it->deadline_ns) / it->interval_ns * it->interval_ns;
	if (__builtin_add_overflow(it->deadline_ns, it->interval_ns, &it->deadline_ns))
		it->deadline_ns = INT64_MAX;
}

/* Whether it is due; what follows then is in its fields. */
static bool expire(struct itimer *it, int64_t now)
{
	if (!it->deadline_ns || it->fired || now < it->deadline_ns)
		return false;
	if (!it->interval_ns)
		it->deadline_ns = 0;
	else if (it->which == L_ITIMER_REAL)
		it->fired = true; /* process_itimer_taken */
	else
		move_on(it, now);
	return true;
}

static void send(struct process *p, int sig)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, sig);
	if (signal_send_process(p, &info) < 0)
		log_debug("signal %d to process %d lost", sig, p->pid);
}

static void fire(struct ktimer *kt, void *arg)
{
	struct itimer *it = arg;
	struct process_timers *pt = it->owner;
	int64_t now = now_of(pt, it->which);
	bool due;

	mutex_lock(&pt->lock);
	due = expire(it, now);
	if (it->deadline_ns && !it->fired && ktimer_set(&it->kt, look_at(it, now)) < 0)
		it->deadline_ns = 0;
	mutex_unlock(&pt->lock);
	if (due)
		send(pt->process, signals[it->which]);
}

/* ---- RLIMIT_CPU ---- */

/* What the CPU time used calls for: a signal or 0.  The soft limit moves on by a second each time, as Linux has it.  *next_ns gets
 * the CPU time at which to look again, INT64_MAX if never. */
static int check_cpu_limit(struct process *p, int64_t used_ns, int64_t *next_ns)
{
	struct l_rlimit64 *l = &p->rlimits[L_RLIMIT_CPU];
	uint64_t used = (uint64_t)used_ns / L_NSEC_PER_SEC, next;
	int sig = 0;

	mutex_lock(&p->limits_lock);
	if (used >= max_of(l->rlim_max, 1ull)) {
		sig = L_SIGKILL;
	} else if (used >= max_of(l->rlim_cur, 1ull)) {
		sig = L_SIGXCPU;
		l->rlim_cur = min_of(used + 1, l->rlim_max);
	}
	next = max_of(min_of(l->rlim_cur, l->rlim_max), 1ull);
	mutex_unlock(&p->limits_lock);
	*next_ns = next > INT64_MAX / L_NSEC_PER_SEC ? INT64_MAX : (int64_t)next * L_NSEC_PER_SEC;
	return sig;
}

static void on_cpu_limit(struct ktimer *kt, void *arg)
{
	struct process_timers *pt = arg;
	struct cpu_clock c = clock_of(pt, L_ITIMER_PROF);
	int64_t used = cpu_clock_now(&c), next, delay;
	int sig = check_cpu_limit(pt->process, used, &next);

	if (sig)
		send(pt->process, sig);
	if (sig == L_SIGKILL || next == INT64_MAX)
		return;
	delay = min_of(cpu_wait_delay(&pt->limit_wait, &c, used, next - used), INT64_MAX / 2);
	(void)!ktimer_set(kt, monotonic_now() + delay); /* the helper thread runs */
}

static void on_rt_limit(struct ktimer *kt, void *arg)
{
	struct process_timers *pt = arg;
	int64_t next = rt_limit_look(pt->process);

	if (next)
		(void)!ktimer_set(kt, next); /* the helper thread runs */
}

/* ---- making, getting, setting ---- */

static struct process_timers *timers_new(struct process *p)
{
	struct process_timers *pt = calloc(1, sizeof(*pt));

	if (!pt)
		return NULL;
	pt->process = p;
	mutex_init(&pt->lock);
	list_init(&pt->posix_list.timers);
	ktimer_init(&pt->cpu_limit, on_cpu_limit, pt);
	ktimer_init(&pt->rt_limit, on_rt_limit, pt);
	for (int i = 0; i < ITIMERS; i++) {
		pt->itimers[i].owner = pt;
		pt->itimers[i].which = i;
		ktimer_init(&pt->itimers[i].kt, fire, &pt->itimers[i]);
	}
	return pt;
}

/* Made on first use. */
static struct process_timers *timers_of(struct process *p)
{
	struct process_timers *pt;

	mutex_lock(&p->sig_lock);
	if (!p->timers)
		p->timers = timers_new(p);
	pt = p->timers;
	mutex_unlock(&p->sig_lock);
	return pt;
}

struct posix_timer_list *process_posix_timers(struct process *p)
{
	struct process_timers *pt = timers_of(p);

	return pt ? &pt->posix_list : NULL;
}

struct posix_timer_list *process_posix_timers_locked(struct process *p)
{
	return p->timers ? &p->timers->posix_list : NULL;
}

static void read_locked(const struct itimer *it, int64_t now, struct itimer_value *out)
{
	bool set = it->deadline_ns && !it->fired;
	int64_t left = set ? it->deadline_ns - now : 0;

	out->value_ns = set && left <= 0 ? L_NSEC_PER_USEC : left;
	out->interval_ns = it->interval_ns;
}

static int find_itimer(struct process *p, int which, struct itimer **out)
{
	struct process_timers *pt;

	if (which < 0 || which >= ITIMERS)
		return -EINVAL;
	pt = timers_of(p);
	if (!pt)
		return -ENOMEM;
	*out = &pt->itimers[which];
	return 0;
}

int process_itimer_get(struct process *p, int which, struct itimer_value *out)
{
	struct itimer *it;
	int64_t now;
	int r = find_itimer(p, which, &it);

	if (r < 0)
		return r;
	now = now_of(it->owner, which);
	mutex_lock(&it->owner->lock);
	read_locked(it, now, out);
	mutex_unlock(&it->owner->lock);
	return 0;
}

int process_itimer_set(struct process *p, int which, const struct itimer_value *next, struct itimer_value *old)
{
	struct itimer *it;
	int64_t now;
	int r = find_itimer(p, which, &it);

	if (r < 0)
		return r;
	now = now_of(it->owner, which);
	mutex_lock(&it->owner->lock);
	read_locked(it, now, old);
	it->interval_ns = next->value_ns || which != L_ITIMER_REAL ? next->interval_ns : 0;
	it->deadline_ns = 0;
	it->fired = false;
	it->wait = (struct cpu_wait){0, 0};
	if (next->value_ns) {
		if (__builtin_add_overflow(now, next->value_ns, &it->deadline_ns))
			it->deadline_ns = INT64_MAX;
		r = ktimer_set(&it->kt, look_at(it, now));
		if (r < 0)
			it->deadline_ns = 0;
	} else {
		ktimer_cancel_nowait(&it->kt);
	}
	mutex_unlock(&it->owner->lock);
	return r;
}

void process_itimer_taken(struct process *p)
{
	struct process_timers *pt = p->timers;
	struct itimer *it;

	if (!pt)
		return;
	it = &pt->itimers[L_ITIMER_REAL];
	mutex_lock(&pt->lock);
	if (it->fired) {
		it->fired = false;
		move_on(it, monotonic_now());
		if (ktimer_set(&it->kt, it->deadline_ns) < 0)
			it->deadline_ns = 0;
	}
	mutex_unlock(&pt->lock);
}

static void watch_limit(struct process *p, unsigned resource)
{
	struct process_timers *pt;

	if (process_rlimit(p, resource) == L_RLIM_INFINITY)
		return; /* a watch that runs finds that out by itself */
	mutex_lock(&tasks_lock);
	if (p->live_count) { /* else process_timers_stop may have been here already */
		pt = timers_of(p);
		if (!pt || ktimer_set(resource == L_RLIMIT_CPU ? &pt->cpu_limit : &pt->rt_limit, 0) < 0)
			log_warn("process %d: no memory to watch its CPU time", p->pid);
	}
	mutex_unlock(&tasks_lock);
}

void process_watch_cpu_limit(struct process *p)
{
	watch_limit(p, L_RLIMIT_CPU);
}

void process_watch_rt_limit(struct process *p)
{
	watch_limit(p, L_RLIMIT_RTTIME);
}

void process_timers_stop(struct process *p)
{
	struct process_timers *pt;

	mutex_lock(&p->sig_lock);
	pt = p->timers;
	mutex_unlock(&p->sig_lock);
	if (!pt)
		return;
	posix_timers_delete_all(p);
	ktimer_cancel(&pt->cpu_limit);
	ktimer_cancel(&pt->rt_limit);
	for (int i = 0; i < ITIMERS; i++)
		ktimer_cancel(&pt->itimers[i].kt);
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
	posix_timers_delete_all(p);
	p->timer_restore_ids = false;
}
