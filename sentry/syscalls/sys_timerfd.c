/* The timerfd calls.  The work is in sentry/fs/anon/timerfd.c. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/time/clock.h"

long sys_timerfd_create(struct task *t, const struct sys_args *args)
{
	int clock = (int)args->a[0];
	uint32_t flags = (uint32_t)args->a[1];
	struct file *f;
	int r;

	if (flags & ~(uint32_t)(L_TFD_CLOEXEC | L_TFD_NONBLOCK))
		return -EINVAL;
	switch (clock) {
	case L_CLOCK_REALTIME:
	case L_CLOCK_MONOTONIC:
	case L_CLOCK_BOOTTIME:
		break;
	case L_CLOCK_REALTIME_ALARM: /* there is no suspend to wake from */
	case L_CLOCK_BOOTTIME_ALARM:
		if (!cred_capable(t->cred, L_CAP_WAKE_ALARM))
			return -EPERM;
		clock = clock == L_CLOCK_REALTIME_ALARM ? L_CLOCK_REALTIME : L_CLOCK_BOOTTIME;
		break;
	default:
		return -EINVAL;
	}
	r = timerfd_file_new(clock, flags & L_TFD_NONBLOCK, t->cred, &f);
	return r < 0 ? r : task_install(t, f, flags & L_TFD_CLOEXEC);
}

static int arg_timerfd(struct task *t, uint64_t fd, struct file **out)
{
	int r = arg_file(t, fd, out);

	if (r < 0 || timerfd_file_is(*out))
		return r;
	file_put(*out);
	return -EINVAL;
}

long sys_timerfd_settime(struct task *t, const struct sys_args *args)
{
	uint32_t flags = (uint32_t)args->a[1];
	struct l_itimerspec spec, old;
	struct file *f;
	int r;

	if (copy_in(t->ctx, &spec, args->a[2], sizeof(spec)) < 0)
		return -EFAULT;
	if ((flags & ~(uint32_t)(L_TFD_TIMER_ABSTIME | L_TFD_TIMER_CANCEL_ON_SET)) || !timespec_valid(&spec.it_value) ||
	    !timespec_valid(&spec.it_interval))
		return -EINVAL;
	r = arg_timerfd(t, args->a[0], &f);
	if (r < 0)
		return r;
	r = timerfd_set(f, flags, &spec, &old);
	file_put(f);
	if (r == 0 && args->a[3])
		r = copy_out(t->ctx, args->a[3], &old, sizeof(old));
	return r;
}

long sys_timerfd_gettime(struct task *t, const struct sys_args *args)
{
	struct l_itimerspec now;
	struct file *f;
	int r = arg_timerfd(t, args->a[0], &f);

	if (r < 0)
		return r;
	timerfd_get(f, &now);
	file_put(f);
	return copy_out(t->ctx, args->a[1], &now, sizeof(now));
}
