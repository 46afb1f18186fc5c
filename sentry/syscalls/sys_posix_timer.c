/* timer_create and its kin.  The work is in sentry/time/posix_timers.c. */
#include "abi/errno.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"
#include "sentry/time/posix_timers.h"

long sys_timer_create(struct task *t, const struct sys_args *args)
{
	struct l_sigevent ev;
	int32_t id32, want = POSIX_TIMER_ANY_ID;
	int id, r = 0;

	if (args->a[1])
		r = copy_in(t->ctx, &ev, args->a[1], sizeof(ev));
	if (r == 0 && t->process->timer_restore_ids) {
		r = copy_in(t->ctx, &want, args->a[2], sizeof(want));
		if (r == 0 && want < 0)
			r = -EINVAL;
	}
	if (r == 0)
		r = posix_timer_create(t, (int)args->a[0], args->a[1] ? &ev : NULL, want, &id);
	if (r < 0)
		return r;
	id32 = id;
	r = copy_out(t->ctx, args->a[2], &id32, sizeof(id32));
	if (r < 0)
		(void)!posix_timer_delete(t, id);
	return r;
}

long sys_timer_settime(struct task *t, const struct sys_args *args)
{
	struct l_itimerspec spec, old;
	int r;

	if (!args->a[2])
		return -EINVAL;
	r = copy_in(t->ctx, &spec, args->a[2], sizeof(spec));
	if (r < 0)
		return r;
	if (!timespec_valid(&spec.it_value) || !timespec_valid(&spec.it_interval))
		return -EINVAL;
	/* Linux knows one flag and overlooks the rest. */
	r = posix_timer_set(t, (int)args->a[0], args->a[1] & L_TIMER_ABSTIME, &spec, &old);
	return r < 0 || !args->a[3] ? r : copy_out(t->ctx, args->a[3], &old, sizeof(old));
}

long sys_timer_gettime(struct task *t, const struct sys_args *args)
{
	struct l_itimerspec now;
	int r = posix_timer_get(t, (int)args->a[0], &now);

	return r < 0 ? r : copy_out(t->ctx, args->a[1], &now, sizeof(now));
}

long sys_timer_getoverrun(struct task *t, const struct sys_args *args)
{
	return posix_timer_overrun(t, (int)args->a[0]);
}

long sys_timer_delete(struct task *t, const struct sys_args *args)
{
	return posix_timer_delete(t, (int)args->a[0]);
}
