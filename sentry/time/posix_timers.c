/* See posix_timers.h. */
#include "sentry/task/pidns.h"
#include "sentry/time/posix_timers.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/core/wait.h"
#include "sentry/signal/signal.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"
#include "sentry/time/cpu_clock.h"
#include "sentry/time/timer.h"
#include "sentry/time/timers.h"

#define TIMERS_MAX (1u << 16) /* of a process, whatever RLIMIT_SIGPENDING says: each takes the sentry's memory */
#define IGNORED_PERIOD_MIN_NS 10000000ll /* how often a timer that nobody listens to runs at most */

struct posix_timer {
	/* Immutable. */
	struct process *process; /* borrowed: deleted before the process goes */
	int id, clock;
	bool on_cpu;
	struct cpu_clock cpu;	 /* if on_cpu */
	int notify;
	struct task *target;	 /* counted; SIGEV_THREAD_ID, else NULL */

	struct list_head node;	 /* of the process's list, newest first; guarded by sig_lock, as is the rest */
	struct ktimer kt;
	struct cpu_wait wait;
	struct sigqueue entry;	 /* info is immutable but for the overrun */
	bool queued, deleted;
	int64_t expiry_ns;	 /* monotonic, or of the CPU clock; 0: disarmed.  While queued: of the expiry that is told */
	int64_t interval_ns;	 /* 0: once */
	int64_t overrun;	 /* of the signal that is queued */
	int overrun_last;	 /* of the signal taken last */
};

static struct posix_timer *timer_of(struct sigqueue *s)
{
	return container_of(s, struct posix_timer, entry);
}

/* The first point of the timer's grid after now; expiry_ns <= now.  *passed gets how many were, the one at expiry_ns not counted. */
static int64_t next_on_grid(const struct posix_timer *pt, int64_t now, int64_t *passed)
{
	int64_t next;

	*passed = (now - pt->expiry_ns) / pt->interval_ns;
	if (__builtin_mul_overflow(*passed + 1, pt->interval_ns, &next) ||
	    __builtin_add_overflow(pt->expiry_ns, next, &next))
		next = NO_DEADLINE;
	return next;
}

/* Arms the host side of it; now is the timer's clock. */
static void start(struct posix_timer *pt, int64_t now)
{
	int64_t at = pt->expiry_ns;

	if (pt->on_cpu)
		at = monotonic_now() + min_of(cpu_wait_delay(&pt->wait, &pt->cpu, now, pt->expiry_ns - now), NO_DEADLINE / 2);
	(void)!ktimer_set(&pt->kt, at); /* the helper thread was started by posix_timer_create */
}

/* ---- expiry ---- */

static int64_t add_capped(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT_MAX : min_of(sum, (int64_t)INT_MAX);
}

static bool queue_signal(struct posix_timer *pt) REQUIRES(tasks_lock)
{
	pt->queued = signal_send_timer(pt->process, pt->target, &pt->entry);
	return pt->queued;
}

/* The CPU clock has come to expiry_ns.  Such a timer goes on while its signal is queued. */
static void expire_on_cpu(struct posix_timer *pt, int64_t now) REQUIRES(tasks_lock)
{
	int64_t passed = 0;

	pt->expiry_ns = pt->interval_ns ? next_on_grid(pt, now, &passed) : 0;
	if (pt->queued)
		pt->overrun = add_capped(pt->overrun, passed + 1);
	else if (queue_signal(pt))
		pt->overrun = passed;
	if (pt->expiry_ns)
		start(pt, now);
}

static void expire(struct posix_timer *pt, int64_t now) REQUIRES(tasks_lock)
{
	int64_t passed;

	if (queue_signal(pt)) {
		pt->overrun = 0;
		if (!pt->interval_ns)
			pt->expiry_ns = 0;
		return;
	}
	/* Ignored: the grid goes on, for a handler may come.  But no thread comes back. */
	pt->expiry_ns = pt->interval_ns && !(pt->target && pt->target->dead) ? next_on_grid(pt, now, &passed) : 0;
	if (pt->expiry_ns)
		(void)!ktimer_set(&pt->kt, max_of(pt->expiry_ns, now + IGNORED_PERIOD_MIN_NS));
}

/* On the timers' thread. */
static void on_expiry(struct ktimer *kt, void *arg)
{
	struct posix_timer *pt = arg;
	int64_t now = pt->on_cpu ? cpu_clock_now(&pt->cpu) : monotonic_now();

	mutex_lock(&tasks_lock);
	mutex_lock(&pt->process->sig_lock);
	if (!pt->deleted && pt->expiry_ns && (pt->on_cpu || !pt->queued)) {
		if (now < pt->expiry_ns)
			start(pt, now);
		else if (pt->on_cpu)
			expire_on_cpu(pt, now);
		else
			expire(pt, now);
	}
	mutex_unlock(&pt->process->sig_lock);
	mutex_unlock(&tasks_lock);
}

void posix_timer_taken(struct sigqueue *s, struct l_siginfo *info)
{
	struct posix_timer *pt = timer_of(s);
	int64_t now, passed;

	pt->queued = false;
	if (!pt->on_cpu && pt->interval_ns) {
		now = monotonic_now();
		pt->expiry_ns = next_on_grid(pt, max_of(now, pt->expiry_ns), &passed);
		pt->overrun = add_capped(pt->overrun, passed);
		start(pt, now);
	}
	pt->overrun_last = (int)pt->overrun;
	pt->overrun = 0;
	info->timer.overrun = pt->overrun_last;
}

void posix_timer_dropped(struct sigqueue *s)
{
	struct l_siginfo unused;

	posix_timer_taken(s, &unused);
}

/* ---- life ---- */

static int check_event(struct task *t, const struct l_sigevent *ev, struct task **target)
{
	struct task *o;

	switch (ev->sigev_notify) {
	case L_SIGEV_NONE:
		return 0;
	case L_SIGEV_SIGNAL:
	case L_SIGEV_THREAD:
		break;
	case L_SIGEV_SIGNAL | L_SIGEV_THREAD_ID:
		o = task_named(t, ev->sigev_tid);
		if (!o || o->process != t->process || !sig_valid(ev->sigev_signo)) {
			task_put(o);
			return -EINVAL;
		}
		*target = o;
		return 0;
	default:
		return -EINVAL;
	}
	return sig_valid(ev->sigev_signo) ? 0 : -EINVAL;
}

static int check_clock(struct task *t, int clock, struct cpu_clock *cpu)
{
	switch (clock) {
	case L_CLOCK_REALTIME:
	case L_CLOCK_MONOTONIC:
	case L_CLOCK_BOOTTIME:
	case L_CLOCK_TAI:
		return 0;
	case L_CLOCK_MONOTONIC_RAW:
	case L_CLOCK_REALTIME_COARSE:
	case L_CLOCK_MONOTONIC_COARSE:
	case L_CLOCK_REALTIME_ALARM: /* as on a machine without a clock that could wake it */
	case L_CLOCK_BOOTTIME_ALARM:
		return -EOPNOTSUPP;
	default:
		return cpu_clock_is(clock) ? cpu_clock_find(t, clock, cpu) : -EINVAL;
	}
}

static void timer_free(struct posix_timer *pt)
{
	if (pt->on_cpu)
		cpu_clock_put(&pt->cpu);
	task_put(pt->target);
	free(pt);
}

static bool id_is_taken(const struct posix_timer_list *l, int id)
{
	const struct posix_timer *pt;

	list_for_each_entry(pt, &l->timers, node)
		if (pt->id == id)
			return true;
	return false;
}

/* Enters pt into its process's list under the id that is wanted, or with POSIX_TIMER_ANY_ID a new one: that, -EBUSY or -EAGAIN.
 * Others may delete it from then on. */
static int enter(struct posix_timer *pt, const struct l_sigevent *ev, int want)
{
	struct process *p = pt->process;
	struct posix_timer_list *l;
	int r = -EAGAIN;

	l = process_posix_timers(p);
	if (!l)
		return -EAGAIN;
	mutex_lock(&p->sig_lock);
	if (want != POSIX_TIMER_ANY_ID && id_is_taken(l, want)) {
		r = -EBUSY;
	} else if (p->pending_count < min_of(process_rlimit(p, L_RLIMIT_SIGPENDING), (uint64_t)TIMERS_MAX)) {
		p->pending_count++;
		pt->id = want == POSIX_TIMER_ANY_ID ? l->next_id : want;
		l->next_id = (int)(((unsigned)pt->id + 1) & INT_MAX);
		pt->entry.info.timer.tid = pt->id;
		if (!ev)
			pt->entry.info.timer.value.sival_int = pt->id;
		list_add(&pt->node, &l->timers);
		r = pt->id;
	}
	mutex_unlock(&p->sig_lock);
	return r;
}

int posix_timer_create(struct task *t, int clock, const struct l_sigevent *ev, int want, int *id_out)
{
	struct posix_timer *pt = calloc(1, sizeof(*pt));
	int r, id = -1;

	if (!pt)
		return -EAGAIN;
	pt->process = t->process;
	pt->clock = clock;
	r = check_clock(t, clock, &pt->cpu);
	if (r < 0) {
		free(pt);
		return r;
	}
	pt->on_cpu = cpu_clock_is(clock);
	pt->notify = ev ? ev->sigev_notify : L_SIGEV_SIGNAL;
	r = ev ? check_event(t, ev, &pt->target) : 0;
	ktimer_init(&pt->kt, on_expiry, pt);
	list_init(&pt->entry.node);
	pt->entry.of_timer = true;
	pt->entry.info.si_signo = ev ? ev->sigev_signo : L_SIGALRM;
	pt->entry.info.si_code = L_SI_TIMER;
	if (ev)
		pt->entry.info.timer.value = ev->sigev_value;
	/* A first deadline that never comes starts the helper thread while failing is still possible. */
	if (r == 0)
		r = ktimer_set(&pt->kt, NO_DEADLINE);
	if (r == 0)
		r = id = enter(pt, ev, want);
	if (r < 0) {
		ktimer_cancel(&pt->kt);
		timer_free(pt);
		return r;
	}
	*id_out = id;
	return 0;
}

/* Borrowed; NULL: no such timer.  sig_lock held. */
static struct posix_timer *find(struct process *p, int id)
{
	struct posix_timer_list *l = process_posix_timers_locked(p);
	struct posix_timer *pt;

	if (!l)
		return NULL;
	list_for_each_entry(pt, &l->timers, node)
		if (pt->id == id)
			return pt;
	return NULL;
}

/* Takes pt out of everything but memory; the caller then cancels kt and frees it.  sig_lock held. */
static void unlink_timer(struct posix_timer *pt)
{
	list_del_init(&pt->node);
	pt->deleted = true;
	pt->interval_ns = 0;
	pt->expiry_ns = 0;
	if (pt->queued)
		signal_unqueue_timer(pt->process, pt->target, &pt->entry);
	pt->queued = false;
	pt->process->pending_count--;
}

int posix_timer_delete(struct task *t, int id)
{
	struct process *p = t->process;
	struct posix_timer *pt;

	mutex_lock(&p->sig_lock);
	pt = find(p, id);
	if (pt)
		unlink_timer(pt);
	mutex_unlock(&p->sig_lock);
	if (!pt)
		return -EINVAL;
	ktimer_cancel(&pt->kt);
	timer_free(pt);
	return 0;
}

void posix_timers_delete_all(struct process *p)
{
	struct posix_timer_list *l;
	struct posix_timer *pt;

	for (;;) {
		mutex_lock(&p->sig_lock);
		l = process_posix_timers_locked(p);
		pt = l && !list_empty(&l->timers) ? list_first_entry(&l->timers, struct posix_timer, node) : NULL;
		if (pt)
			unlink_timer(pt);
		mutex_unlock(&p->sig_lock);
		if (!pt)
			return;
		ktimer_cancel(&pt->kt);
		timer_free(pt);
	}
}

/* ---- setting and reading ---- */

/* What timer id's clock says; read without sig_lock, for a CPU clock needs tasks_lock. */
static int timer_now(struct process *p, int id, int64_t *now)
{
	struct cpu_clock cpu = {NULL, NULL, false};
	struct posix_timer *pt;

	mutex_lock(&p->sig_lock);
	pt = find(p, id);
	if (pt && pt->on_cpu) {
		cpu = pt->cpu;
		process_get(cpu.process);
		if (cpu.task)
			task_get(cpu.task);
	}
	mutex_unlock(&p->sig_lock);
	if (!pt)
		return -EINVAL;
	*now = cpu.process ? cpu_clock_now(&cpu) : monotonic_now();
	cpu_clock_put(&cpu);
	return 0;
}

static void read_timer(const struct posix_timer *pt, int64_t now, struct l_itimerspec *out)
{
	int64_t left = 0, at = pt->expiry_ns, passed;

	if (at) {
		if (pt->interval_ns && at <= now && (pt->queued || pt->notify == L_SIGEV_NONE))
			at = next_on_grid(pt, now, &passed);
		left = at - now;
		if (left <= 0)
			left = pt->notify == L_SIGEV_NONE ? 0 : 1; /* 0 would say that it is disarmed */
	}
	out->it_value = ns_to_timespec(left);
	out->it_interval = ns_to_timespec(pt->interval_ns);
}

int posix_timer_get(struct task *t, int id, struct l_itimerspec *out)
{
	struct process *p = t->process;
	struct posix_timer *pt;
	int64_t now;
	int r = timer_now(p, id, &now);

	if (r < 0)
		return r;
	mutex_lock(&p->sig_lock);
	pt = find(p, id);
	if (pt)
		read_timer(pt, now, out);
	mutex_unlock(&p->sig_lock);
	return pt ? 0 : -EINVAL;
}

static int64_t expiry_of(const struct posix_timer *pt, bool absolute, const struct l_timespec *value, int64_t now)
{
	int64_t at;

	if (!pt->on_cpu)
		at = absolute ? deadline_at(pt->clock, value) : deadline_after(value);
	else if (absolute)
		at = timespec_to_ns(value);
	else if (__builtin_add_overflow(now, timespec_to_ns(value), &at))
		at = NO_DEADLINE;
	return max_of(at, (int64_t)1);
}

int posix_timer_set(struct task *t, int id, bool absolute, const struct l_itimerspec *spec, struct l_itimerspec *old)
{
	bool armed = spec->it_value.tv_sec || spec->it_value.tv_nsec;
	struct process *p = t->process;
	struct posix_timer *pt;
	int64_t now;
	int r = timer_now(p, id, &now);

	if (r < 0)
		return r;
	mutex_lock(&p->sig_lock);
	pt = find(p, id);
	if (!pt) {
		mutex_unlock(&p->sig_lock);
		return -EINVAL;
	}
	read_timer(pt, now, old);
	/* A callback that is on its way finds what is set here, and judges by that. */
	ktimer_cancel_nowait(&pt->kt);
	if (pt->queued)
		signal_unqueue_timer(p, pt->target, &pt->entry);
	pt->queued = false;
	pt->overrun = 0;
	pt->overrun_last = 0;
	pt->wait = (struct cpu_wait){0, 0};
	pt->interval_ns = armed ? timespec_to_ns(&spec->it_interval) : 0;
	pt->expiry_ns = armed ? expiry_of(pt, absolute, &spec->it_value, now) : 0;
	if (armed && pt->notify != L_SIGEV_NONE)
		(void)!ktimer_set(&pt->kt, pt->on_cpu ? 0 : pt->expiry_ns); /* a CPU timer's callback looks how long to wait */
	mutex_unlock(&p->sig_lock);
	return 0;
}

int posix_timer_overrun(struct task *t, int id)
{
	struct process *p = t->process;
	struct posix_timer *pt;
	int r;

	mutex_lock(&p->sig_lock);
	pt = find(p, id);
	r = pt ? pt->overrun_last : -EINVAL;
	mutex_unlock(&p->sig_lock);
	return r;
}

/* ---- /proc/PID/timers ---- */

/* The clock as Linux shows it: those of the caller's own CPU time have ids of the general form there. */
static int shown_clock(int clock)
{
	if (clock == L_CLOCK_PROCESS_CPUTIME_ID)
		return (int)(~0u << 3 | L_CPUCLOCK_SCHED);
	if (clock == L_CLOCK_THREAD_CPUTIME_ID)
		return (int)(~0u << 3 | L_CPUCLOCK_PERTHREAD_MASK | L_CPUCLOCK_SCHED);
	return clock;
}

void posix_timers_show(struct process *p, const struct pid_ns *ns, FILE *out)
{
	static const char *const how[] = {"signal", "none", "thread"};
	struct posix_timer_list *l;
	struct posix_timer *pt;

	mutex_lock(&p->sig_lock);
	l = process_posix_timers_locked(p);
	if (l)
		list_for_each_entry(pt, &l->timers, node)
			fprintf(out, "ID: %d\nsignal: %d/%016" PRIx64 "\nnotify: %s/%s.%d\nClockID: %d\n", pt->id,
				pt->entry.info.si_signo, pt->entry.info.timer.value.sival_ptr,
				how[pt->notify & ~L_SIGEV_THREAD_ID], pt->target ? "tid" : "pid",
				pt->target ? task_nr(pt->target, ns) : process_nr(p, ns), shown_clock(pt->clock));
	mutex_unlock(&p->sig_lock);
}
