/* eventfd(2) and eventfd2(2).  The work is in sentry/fs/anon/eventfd.c. */
#include "abi/errno.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/fs_args.h"

static long make_eventfd(struct task *t, uint32_t initial, uint32_t flags)
{
	struct file *f;
	int r;

	if (flags & ~(uint32_t)(L_EFD_SEMAPHORE | L_EFD_CLOEXEC | L_EFD_NONBLOCK))
		return -EINVAL;
	r = eventfd_file_new(initial, flags, t->cred, &f);
	return r < 0 ? r : task_install(t, f, flags & L_EFD_CLOEXEC);
}

long sys_eventfd(struct task *t, const struct sys_args *args)
{
	return make_eventfd(t, (uint32_t)args->a[0], 0);
}

long sys_eventfd2(struct task *t, const struct sys_args *args)
{
	return make_eventfd(t, (uint32_t)args->a[0], (uint32_t)args->a[1]);
}
