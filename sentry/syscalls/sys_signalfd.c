/* signalfd(2) and signalfd4(2).  The work is in sentry/fs/anon/signalfd.c. */
#include "abi/errno.h"
#include "abi/signal.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/fs_args.h"

/* fd -1 makes a new one; another must be a signalfd, which gets the mask. */
static long set_signalfd(struct task *t, const struct sys_args *args, uint32_t flags)
{
	int fd = (int)args->a[0], r;
	struct file *f;
	sigset mask;

	r = signal_copy_mask(t, args->a[1], args->a[2], &mask);
	if (r < 0)
		return r;
	if (flags & ~(uint32_t)(L_SFD_CLOEXEC | L_SFD_NONBLOCK))
		return -EINVAL;
	if (fd == -1) {
		r = signalfd_file_new(mask, flags, t->cred, &f);
		return r < 0 ? r : task_install(t, f, flags & L_SFD_CLOEXEC);
	}
	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	if (signalfd_file_is(f))
		signalfd_set_mask(f, mask);
	else
		r = -EINVAL;
	file_put(f);
	return r < 0 ? r : fd;
}

long sys_signalfd(struct task *t, const struct sys_args *args)
{
	return set_signalfd(t, args, 0);
}

long sys_signalfd4(struct task *t, const struct sys_args *args)
{
	return set_signalfd(t, args, (uint32_t)args->a[3]);
}
