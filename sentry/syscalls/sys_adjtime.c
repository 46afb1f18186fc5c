/*
 * adjtimex(2) and clock_adjtime(2).  The clock is the host's: it can be read, not set, and nothing is said of how the host
 * keeps it: it is a clock that nobody has synchronised.
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/time.h"
#include "host/clock.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

/* Linux's values before anybody has synchronised the clock; microseconds, and scaled ppm for tolerance. */
#define MAX_ERROR 16000000
#define TIME_CONSTANT 2
#define PRECISION 1
#define TOLERANCE 32768000
#define TICK 10000

static long adjust(struct task *t, uint64_t gva)
{
	struct l_timex tx;
	int64_t now;
	uint32_t modes;
	int r = copy_in(t->ctx, &tx, gva, sizeof(tx));

	if (r < 0)
		return r;
	modes = tx.modes;
	/* One bit says that the others are those of adjtime(3), which has two requests alone. */
	if ((modes & L_ADJ_ADJTIME) && !(modes & L_ADJ_OFFSET))
		return -EINVAL;
	if (modes != 0 && modes != L_ADJ_OFFSET_SS_READ)
		return -EPERM;
	now = host_clock_ns(L_CLOCK_REALTIME);
	memset(&tx, 0, sizeof(tx));
	tx.modes = modes;
	tx.maxerror = tx.esterror = MAX_ERROR;
	tx.status = L_STA_UNSYNC;
	tx.constant = TIME_CONSTANT;
	tx.precision = PRECISION;
	tx.tolerance = TOLERANCE;
	tx.time = ns_to_timeval(now);
	tx.tick = TICK;
	r = copy_out(t->ctx, gva, &tx, sizeof(tx));
	return r < 0 ? r : L_TIME_ERROR;
}

long sys_adjtimex(struct task *t, const struct sys_args *args)
{
	return adjust(t, args->a[0]);
}

long sys_clock_adjtime(struct task *t, const struct sys_args *args)
{
	int clock = (int)args->a[0];

	struct l_timex tx;
	int r;

	if (clock == L_CLOCK_REALTIME)
		return adjust(t, args->a[1]);
	r = copy_in(t->ctx, &tx, args->a[1], sizeof(tx));
	if (r < 0)
		return r;
	return clock >= 0 && clock_read(t, clock) < 0 ? -EINVAL : -EOPNOTSUPP;
}
