/* Clocks and sleeping: clock_gettime and kin, nanosleep and kin, interval timers. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/time.h"
#include "base/checked.h"
#include "host/clock.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"
#include "sentry/task/usage.h"
#include "sentry/time/clock.h"
#include "sentry/time/cpu_clock.h"
#include "sentry/time/timers.h"

long sys_clock_gettime(struct task *t, const struct sys_args *args)
{
	int64_t ns = clock_read(t, (int)args->a[0]);
	struct l_timespec ts;

	if (ns < 0)
		return ns;
	ts = ns_to_timespec(ns);
	return copy_out(t->ctx, args->a[1], &ts, sizeof(ts));
}

long sys_clock_getres(struct task *t, const struct sys_args *args)
{
	int clock = (int)args->a[0];
	int64_t ns = clock_read(t, clock);
	struct l_timespec ts = {0, 1};

	if (ns < 0)
		return ns;
	if (clock == L_CLOCK_REALTIME_COARSE || clock == L_CLOCK_MONOTONIC_COARSE)
		ts.tv_nsec = host_clock_resolution_ns(clock);
	return args->a[1] ? copy_out(t->ctx, args->a[1], &ts, sizeof(ts)) : 0;
}

long sys_gettimeofday(struct task *t, const struct sys_args *args)
{
	struct l_timeval tv = ns_to_timeval(host_clock_ns(L_CLOCK_REALTIME));
	struct l_timezone tz = {0, 0};
	int r = 0;

	if (args->a[0])
		r = copy_out(t->ctx, args->a[0], &tv, sizeof(tv));
	if (r == 0 && args->a[1])
		r = copy_out(t->ctx, args->a[1], &tz, sizeof(tz));
	return r;
}

long sys_time(struct task *t, const struct sys_args *args)
{
	int64_t s = host_clock_ns(L_CLOCK_REALTIME) / L_NSEC_PER_SEC;
	int r = args->a[0] ? copy_out(t->ctx, args->a[0], &s, sizeof(s)) : 0;

	return r < 0 ? r : s;
}

long sys_times(struct task *t, const struct sys_args *args)
{
	const int64_t tick = L_NSEC_PER_SEC / L_USER_HZ;
	struct rusage_sum self;
	struct l_tms tms;

	process_usage(t->process, &self);
	tms.tms_utime = self.utime_ns / tick;
	tms.tms_stime = self.stime_ns / tick;
	mutex_lock(&tasks_lock);
	tms.tms_cutime = t->process->reaped_children.utime_ns / tick;
	tms.tms_cstime = t->process->reaped_children.stime_ns / tick;
	mutex_unlock(&tasks_lock);
	if (args->a[0]) {
		int r = copy_out(t->ctx, args->a[0], &tms, sizeof(tms));

		if (r < 0)
			return r;
	}
	return host_clock_ns(L_CLOCK_BOOTTIME) / tick;
}

/* ---- sleeping ---- */

static int sleep_until(struct task *t, int64_t deadline)
{
	int r;

	do {
		sleeper_arm(&t->sleeper);
		r = sleeper_sleep(&t->sleeper, deadline);
	} while (r == 0);
	return r == -ETIMEDOUT ? 0 : r;
}

/* rem gets what is left of a sleep that a signal cut short. */
static int put_remaining(struct task *t, uint64_t rem, int64_t deadline)
{
	int64_t left = deadline - monotonic_now();
	struct l_timespec ts = ns_to_timespec(left > 0 ? left : 0);

	return rem ? copy_out(t->ctx, rem, &ts, sizeof(ts)) : 0;
}

static long sleep_again(struct task *t)
{
	int r = sleep_until(t, t->restart.deadline_ns);

	if (r == 0)
		return 0;
	r = put_remaining(t, t->restart.arg[0], t->restart.deadline_ns);
	if (r < 0)
		return r;
	t->restart.fn = sleep_again;
	return -ERESTART_RESTARTBLOCK;
}

static long relative_sleep(struct task *t, const struct l_timespec *ts, uint64_t rem)
{
	t->restart = (struct restart_block){.deadline_ns = deadline_after(ts), .arg = {rem}};
	return sleep_again(t);
}

/* ---- sleeping by CPU time ---- */

/* Sleeps until c comes to until_ns. */
static int cpu_sleep(struct task *t, const struct cpu_clock *c, int64_t until_ns)
{
	struct cpu_wait w = {0, 0};
	int64_t now;
	int r = 0;

	while (r == 0 && (now = cpu_clock_now(c)) < until_ns) {
		r = sleep_until(t, monotonic_now() + min_of(cpu_wait_delay(&w, c, now, until_ns - now), INT64_MAX / 2));
	}
	return r;
}

static long cpu_sleep_again(struct task *t)
{
	int64_t until = t->restart.deadline_ns, left;
	struct l_timespec ts;
	struct cpu_clock c;
	int r = cpu_clock_find(t, (int)t->restart.arg[1], &c);

	if (r < 0)
		return r;
	r = cpu_sleep(t, &c, until);
	left = until - cpu_clock_now(&c);
	cpu_clock_put(&c);
	if (r == 0)
		return 0;
	ts = ns_to_timespec(max_of(left, (int64_t)0));
	r = t->restart.arg[0] ? copy_out(t->ctx, t->restart.arg[0], &ts, sizeof(ts)) : 0;
	if (r < 0)
		return r;
	t->restart.fn = cpu_sleep_again;
	return -ERESTART_RESTARTBLOCK;
}

/* One's own thread's clock stands still while one sleeps: that is refused. */
static long sleep_on_cpu_clock(struct task *t, int clock, bool absolute, const struct l_timespec *ts, uint64_t rem)
{
	int64_t until = timespec_to_ns(ts);
	struct cpu_clock c;
	int r = cpu_clock_find(t, clock, &c);

	if (r < 0)
		return r;
	if (c.task == t)
		r = -EINVAL;
	else if (absolute)
		r = cpu_sleep(t, &c, until);
	else if (__builtin_add_overflow(cpu_clock_now(&c), until, &until))
		until = INT64_MAX;
	cpu_clock_put(&c);
	if (r < 0 || absolute)
		return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
	t->restart = (struct restart_block){.deadline_ns = until, .arg = {rem, (uint64_t)(int64_t)clock}};
	return cpu_sleep_again(t);
}

long sys_nanosleep(struct task *t, const struct sys_args *args)
{
	struct l_timespec ts;
	int r = copy_in(t->ctx, &ts, args->a[0], sizeof(ts));

	if (r < 0)
		return r;
	return timespec_valid(&ts) ? relative_sleep(t, &ts, args->a[1]) : -EINVAL;
}

long sys_clock_nanosleep(struct task *t, const struct sys_args *args)
{
	int clock = (int)args->a[0], flags = (int)args->a[1], r;
	struct l_timespec ts;

	switch (clock) {
	case L_CLOCK_REALTIME:
	case L_CLOCK_MONOTONIC:
	case L_CLOCK_BOOTTIME:
	case L_CLOCK_TAI:
		break;
	case L_CLOCK_REALTIME_ALARM:
	case L_CLOCK_BOOTTIME_ALARM:
		if (!cred_capable(t->cred, L_CAP_WAKE_ALARM))
			return -EPERM;
		break;
	case L_CLOCK_THREAD_CPUTIME_ID:
		return -EOPNOTSUPP;
	default:
		if (cpu_clock_is(clock))
			break;
		return clock_read(t, clock) >= 0 ? -EOPNOTSUPP : -EINVAL;
	}
	r = copy_in(t->ctx, &ts, args->a[2], sizeof(ts));
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	if (cpu_clock_is(clock))
		return sleep_on_cpu_clock(t, clock, flags & L_TIMER_ABSTIME, &ts, args->a[3]);
	if (!(flags & L_TIMER_ABSTIME))
		return relative_sleep(t, &ts, args->a[3]);
	r = sleep_until(t, deadline_at(clock, &ts));
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

/* ---- interval timers ---- */

long sys_getitimer(struct task *t, const struct sys_args *args)
{
	struct itimer_value v;
	struct l_itimerval out;
	int r = process_itimer_get(t->process, (int)args->a[0], &v);

	if (r < 0)
		return r;
	out.it_value = ns_to_timeval(v.value_ns);
	out.it_interval = ns_to_timeval(v.interval_ns);
	return copy_out(t->ctx, args->a[1], &out, sizeof(out));
}

long sys_setitimer(struct task *t, const struct sys_args *args)
{
	struct itimer_value next = {0, 0}, old;
	struct l_itimerval in, out;
	int r;

	if (args->a[1]) {
		r = copy_in(t->ctx, &in, args->a[1], sizeof(in));
		if (r < 0)
			return r;
		if (!timeval_valid(&in.it_value) || !timeval_valid(&in.it_interval))
			return -EINVAL;
		next.value_ns = timeval_to_ns(&in.it_value);
		next.interval_ns = timeval_to_ns(&in.it_interval);
	}
	r = process_itimer_set(t->process, (int)args->a[0], &next, &old);
	if (r < 0 || !args->a[2])
		return r;
	out.it_value = ns_to_timeval(old.value_ns);
	out.it_interval = ns_to_timeval(old.interval_ns);
	return copy_out(t->ctx, args->a[2], &out, sizeof(out));
}

long sys_alarm(struct task *t, const struct sys_args *args)
{
	struct itimer_value next = {(int64_t)(uint32_t)args->a[0] * L_NSEC_PER_SEC, 0}, old;
	int r = process_itimer_set(t->process, L_ITIMER_REAL, &next, &old);
	int64_t left;

	if (r < 0)
		return r;
	left = (old.value_ns + L_NSEC_PER_SEC / 2) / L_NSEC_PER_SEC;
	return old.value_ns && !left ? 1 : left; /* a pending alarm is never told as 0 */
}
