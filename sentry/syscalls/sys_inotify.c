/* inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).  The work is in sentry/vfs/inotify.c. */
#include "abi/errno.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/vfs/inotify.h"

#define KNOWN_BITS                                                                                                     \
	(L_IN_ALL_EVENTS | L_IN_UNMOUNT | L_IN_Q_OVERFLOW | L_IN_IGNORED | L_IN_ONLYDIR | L_IN_DONT_FOLLOW |           \
	 L_IN_EXCL_UNLINK | L_IN_MASK_CREATE | L_IN_MASK_ADD | L_IN_ISDIR | L_IN_ONESHOT)

static long make_instance(struct task *t, uint32_t flags)
{
	struct file *f;
	int r;

	if (flags & ~(uint32_t)(L_IN_CLOEXEC | L_IN_NONBLOCK))
		return -EINVAL;
	r = inotify_file_new(flags & L_IN_NONBLOCK, t->cred, &f);
	return r < 0 ? r : task_install(t, f, flags & L_IN_CLOEXEC);
}

long sys_inotify_init(struct task *t, const struct sys_args *args)
{
	return make_instance(t, 0);
}

long sys_inotify_init1(struct task *t, const struct sys_args *args)
{
	return make_instance(t, (uint32_t)args->a[0]);
}

static long add_watch(struct task *t, struct file *f, uint64_t name, uint32_t mask)
{
	unsigned flags = (mask & L_IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & L_IN_ONLYDIR ? LOOKUP_DIRECTORY : 0);
	struct path p;
	long r;

	if ((mask & L_IN_MASK_ADD) && (mask & L_IN_MASK_CREATE))
		return -EINVAL;
	if (!inotify_file_is(f))
		return -EINVAL;
	r = arg_resolve(t, (uint64_t)L_AT_FDCWD, name, flags, &p);
	if (r < 0)
		return r;
	r = vfs_permission(&p, MAY_READ, t->cred);
	if (r == 0)
		r = inotify_watch(f, dentry_inode(p.dentry), mask);
	path_put(&p);
	return r;
}

long sys_inotify_add_watch(struct task *t, const struct sys_args *args)
{
	uint32_t mask = (uint32_t)args->a[2];
	struct file *f;
	long r;

	if (!mask || (mask & ~KNOWN_BITS))
		return -EINVAL;
	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	r = add_watch(t, f, args->a[1], mask);
	file_put(f);
	return r;
}

long sys_inotify_rm_watch(struct task *t, const struct sys_args *args)
{
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = inotify_file_is(f) ? inotify_unwatch(f, (int)args->a[1]) : -EINVAL;
	file_put(f);
	return r;
}
