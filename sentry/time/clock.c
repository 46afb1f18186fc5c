/* See clock.h. */
#include "sentry/time/clock.h"

#include "abi/errno.h"
#include "host/clock.h"
#include "sentry/core/wait.h"
#include "sentry/task/task.h"
#include "sentry/time/cpu_clock.h"

#define TIMESPEC_MAX_SEC (INT64_MAX / L_NSEC_PER_SEC)

bool timespec_valid(const struct l_timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < L_NSEC_PER_SEC;
}

int64_t timespec_to_ns(const struct l_timespec *ts)
{
	if (ts->tv_sec >= TIMESPEC_MAX_SEC)
		return INT64_MAX;
	return ts->tv_sec * L_NSEC_PER_SEC + ts->tv_nsec;
}

struct l_timespec ns_to_timespec(int64_t ns)
{
	return (struct l_timespec){ns / L_NSEC_PER_SEC, ns % L_NSEC_PER_SEC};
}

struct l_timeval ns_to_timeval(int64_t ns)
{
	return (struct l_timeval){ns / L_NSEC_PER_SEC, ns % L_NSEC_PER_SEC / L_NSEC_PER_USEC};
}

bool timeval_valid(const struct l_timeval *tv)
{
	return tv->tv_sec >= 0 && tv->tv_usec >= 0 && tv->tv_usec < L_USEC_PER_SEC;
}

int64_t timeval_to_ns(const struct l_timeval *tv)
{
	struct l_timespec ts = {tv->tv_sec, tv->tv_usec * L_NSEC_PER_USEC};

	return timespec_to_ns(&ts);
}

int64_t monotonic_now(void)
{
	return host_clock_ns(L_CLOCK_MONOTONIC);
}

static int64_t saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? 0 : NO_DEADLINE - 1) : sum;
}

int64_t deadline_after(const struct l_timespec *rel)
{
	return saturating_add(monotonic_now(), timespec_to_ns(rel));
}

int64_t deadline_at(int clock, const struct l_timespec *abs)
{
	int64_t at = timespec_to_ns(abs), left;

	if (clock == L_CLOCK_MONOTONIC || clock == L_CLOCK_MONOTONIC_RAW || clock == L_CLOCK_MONOTONIC_COARSE)
		return at;
	left = saturating_add(at,
			      -host_clock_ns(clock)); /* read first: a delay in between makes it late, never early */
	return max_of(saturating_add(monotonic_now(), left),
		      (int64_t)0); /* what is long past may lie before the start */
}

static int64_t cpu_clock_read(struct task *t, int clock)
{
	struct cpu_clock c;
	int64_t ns;
	int r = cpu_clock_find(t, clock, &c);

	if (r < 0)
		return r;
	ns = cpu_clock_now(&c);
	cpu_clock_put(&c);
	return ns;
}

int64_t clock_read(struct task *t, int clock)
{
	switch (clock) {
	case L_CLOCK_REALTIME:
	case L_CLOCK_MONOTONIC:
	case L_CLOCK_MONOTONIC_RAW:
	case L_CLOCK_REALTIME_COARSE:
	case L_CLOCK_MONOTONIC_COARSE:
	case L_CLOCK_BOOTTIME:
	case L_CLOCK_TAI:
		return host_clock_ns(clock);
	case L_CLOCK_REALTIME_ALARM:
		return host_clock_ns(L_CLOCK_REALTIME);
	case L_CLOCK_BOOTTIME_ALARM:
		return host_clock_ns(L_CLOCK_BOOTTIME);
	default:
		return cpu_clock_read(t, clock);
	}
}
