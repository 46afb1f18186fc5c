/* pipe and pipe2. */
#include "sentry/syscalls/fs_args.h"

static long make_pipe(struct task *t, uint64_t out, uint32_t flags)
{
	struct file *rd, *wr;
	int fds[2], r;

	/* O_NOTIFICATION_PIPE (O_EXCL) is for watch queues, which need CONFIG_WATCH_QUEUE. */
	if (flags & ~(uint32_t)(L_O_CLOEXEC | L_O_NONBLOCK | L_O_DIRECT | L_O_EXCL))
		return -EINVAL;
	if (flags & L_O_EXCL)
		return -ENOPKG;
	r = pipe_create(flags & ~(uint32_t)L_O_CLOEXEC, t->cred, &rd, &wr);
	if (r < 0)
		return r;
	r = fd_install_pair(t->files, rd, wr, task_fd_limit(t), flags & L_O_CLOEXEC, fds);
	if (r < 0) {
		file_put(rd);
		file_put(wr);
		return r;
	}
	r = copy_out(t->ctx, out, fds, sizeof(fds));
	if (r < 0) {
		(void)!fd_close(t->files, fds[0]);
		(void)!fd_close(t->files, fds[1]);
	}
	return r;
}

long sys_pipe(struct task *t, const struct sys_args *args)
{
	return make_pipe(t, args->a[0], 0);
}

long sys_pipe2(struct task *t, const struct sys_args *args)
{
	return make_pipe(t, args->a[0], (uint32_t)args->a[1]);
}
