/* The epoll calls.  The work is in sentry/fs/anon/epoll.c. */
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/time/clock.h"

#define MAX_EVENTS (INT32_MAX / (int)sizeof(struct l_epoll_event))
#define NSEC_PER_MSEC 1000000ll

static long make_epoll(struct task *t, bool cloexec)
{
	struct file *f;
	int r = eventpoll_file_new(t->cred, &f);

	return r < 0 ? r : task_install(t, f, cloexec);
}

long sys_epoll_create(struct task *t, const struct sys_args *args)
{
	/* Once a size; now it only has to be one. */
	return (int)args->a[0] <= 0 ? -EINVAL : make_epoll(t, false);
}

long sys_epoll_create1(struct task *t, const struct sys_args *args)
{
	uint32_t flags = (uint32_t)args->a[0];

	return flags & ~(uint32_t)L_EPOLL_CLOEXEC ? -EINVAL : make_epoll(t, flags & L_EPOLL_CLOEXEC);
}

long sys_epoll_ctl(struct task *t, const struct sys_args *args)
{
	int op = (int)args->a[1], fd = (int)args->a[2];
	struct file *ep = NULL, *target = NULL;
	struct l_epoll_event event;
	bool has_event = op != L_EPOLL_CTL_DEL;
	int r;

	if (has_event && copy_in(t->ctx, &event, args->a[3], sizeof(event)) < 0)
		return -EFAULT;
	r = arg_file(t, args->a[0], &ep);
	if (r < 0)
		return r;
	r = arg_file(t, args->a[2], &target);
	if (r == 0)
		r = eventpoll_ctl(ep, op, target, fd, has_event ? &event : NULL);
	file_put(ep);
	if (target)
		file_put(target);
	return r;
}

/* ---- waiting ---- */

/* Where the events go. */
struct sink {
	struct task *t;
	uint64_t gva;
};

static int put_events(void *arg, size_t first, const struct l_epoll_event *events, size_t count)
{
	const struct sink *s = arg;

	return copy_out(s->t->ctx, s->gva + first * sizeof(*events), events, count * sizeof(*events));
}

/* The arguments that all the calls share: epfd, events, maxevents. */
static long wait_events(struct task *t, const struct sys_args *args, int64_t deadline)
{
	struct sink sink = {t, args->a[1]};
	int max = (int)args->a[2];
	struct file *ep;
	uint64_t end;
	long r;

	r = arg_file(t, args->a[0], &ep);
	if (r < 0)
		return r;
	if (max <= 0 || max > MAX_EVENTS)
		r = -EINVAL;
	else if (!checked_add(sink.gva, (uint64_t)max * sizeof(struct l_epoll_event), &end) || end > GUEST_CEILING)
		r = -EFAULT;
	else if (!eventpoll_file_is(ep))
		r = -EINVAL;
	else
		r = eventpoll_wait(ep, (size_t)max, deadline, put_events, &sink);
	file_put(ep);
	return r;
}

/* For epoll_wait's milliseconds; negative: for ever. */
static int64_t deadline_ms(int ms)
{
	if (ms < 0)
		return NO_DEADLINE;
	return ms ? monotonic_now() + ms * NSEC_PER_MSEC : 0;
}

long sys_epoll_wait(struct task *t, const struct sys_args *args)
{
	return wait_events(t, args, deadline_ms((int)args->a[3]));
}

long sys_epoll_pwait(struct task *t, const struct sys_args *args)
{
	int r = arg_temporary_mask(t, args->a[4], args->a[5]);

	return r < 0 ? r : wait_events(t, args, deadline_ms((int)args->a[3]));
}

long sys_epoll_pwait2(struct task *t, const struct sys_args *args)
{
	int64_t deadline = NO_DEADLINE;
	struct l_timespec ts;
	int r;

	if (args->a[3]) {
		if (copy_in(t->ctx, &ts, args->a[3], sizeof(ts)) < 0)
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		deadline = ts.tv_sec || ts.tv_nsec ? deadline_after(&ts) : 0;
	}
	r = arg_temporary_mask(t, args->a[4], args->a[5]);
	return r < 0 ? r : wait_events(t, args, deadline);
}
