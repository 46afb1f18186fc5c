/* Extended attributes: by path, by path without following, and by descriptor.  xattr(7). */
#include <stdlib.h>

#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"

enum how { FOLLOW, NOFOLLOW, BY_FD };

/* What the first argument names. */
static int target(struct task *t, uint64_t arg, enum how how, struct path *out)
{
	struct file *f;
	int r;

	if (how != BY_FD)
		return arg_resolve(t, (uint64_t)L_AT_FDCWD, arg, how == FOLLOW ? LOOKUP_FOLLOW : 0, out);
	r = arg_file(t, arg, &f);
	if (r < 0)
		return r;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

static int copy_in_name(struct task *t, uint64_t gva, char name[L_XATTR_NAME_MAX + 1])
{
	ssize_t n = copy_in_str(t->ctx, name, gva, L_XATTR_NAME_MAX + 1);

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

static long set(struct task *t, const struct sys_args *args, enum how how)
{
	char name[L_XATTR_NAME_MAX + 1];
	uint64_t size = args->a[3];
	unsigned flags = (unsigned)args->a[4];
	void *value;
	struct path p;
	long r;

	if (flags & ~(unsigned)(L_XATTR_CREATE | L_XATTR_REPLACE))
		return -EINVAL;
	r = copy_in_name(t, args->a[1], name);
	if (r < 0)
		return r;
	if (size > L_XATTR_SIZE_MAX)
		return -E2BIG;
	value = malloc(size + 1);
	if (!value)
		return -ENOMEM;
	r = size ? copy_in(t->ctx, value, args->a[2], size) : 0;
	if (r == 0)
		r = target(t, args->a[0], how, &p);
	if (r == 0) {
		r = vfs_setxattr(&p, name, value, size, (int)flags, t->cred);
		path_put(&p);
	}
	free(value);
	return r;
}

static long get(struct task *t, const struct sys_args *args, enum how how)
{
	size_t size = min_of(args->a[3], (uint64_t)L_XATTR_SIZE_MAX);
	char name[L_XATTR_NAME_MAX + 1];
	void *value;
	struct path p;
	long r = copy_in_name(t, args->a[1], name);

	if (r < 0)
		return r;
	value = malloc(size + 1);
	if (!value)
		return -ENOMEM;
	r = target(t, args->a[0], how, &p);
	if (r == 0) {
		r = vfs_getxattr(&p, name, value, size, t->cred);
		path_put(&p);
	}
	if (r > 0 && size && copy_out(t->ctx, args->a[2], value, (size_t)r) < 0)
		r = -EFAULT;
	free(value);
	return r;
}

static long list(struct task *t, const struct sys_args *args, enum how how)
{
	size_t size = min_of(args->a[2], (uint64_t)L_XATTR_LIST_MAX);
	char *names = malloc(size + 1);
	struct path p;
	long r;

	if (!names)
		return -ENOMEM;
	r = target(t, args->a[0], how, &p);
	if (r == 0) {
		r = vfs_listxattr(&p, names, size, t->cred);
		path_put(&p);
	}
	if (r > 0 && size && copy_out(t->ctx, args->a[1], names, (size_t)r) < 0)
		r = -EFAULT;
	free(names);
	return r;
}

static long discard(struct task *t, const struct sys_args *args, enum how how)
{
	char name[L_XATTR_NAME_MAX + 1];
	struct path p;
	long r = copy_in_name(t, args->a[1], name);

	if (r == 0)
		r = target(t, args->a[0], how, &p);
	if (r < 0)
		return r;
	r = vfs_removexattr(&p, name, t->cred);
	path_put(&p);
	return r;
}

long sys_setxattr(struct task *t, const struct sys_args *args)
{
	return set(t, args, FOLLOW);
}

long sys_lsetxattr(struct task *t, const struct sys_args *args)
{
	return set(t, args, NOFOLLOW);
}

long sys_fsetxattr(struct task *t, const struct sys_args *args)
{
	return set(t, args, BY_FD);
}

long sys_getxattr(struct task *t, const struct sys_args *args)
{
	return get(t, args, FOLLOW);
}

long sys_lgetxattr(struct task *t, const struct sys_args *args)
{
	return get(t, args, NOFOLLOW);
}

long sys_fgetxattr(struct task *t, const struct sys_args *args)
{
	return get(t, args, BY_FD);
}

long sys_listxattr(struct task *t, const struct sys_args *args)
{
	return list(t, args, FOLLOW);
}

long sys_llistxattr(struct task *t, const struct sys_args *args)
{
	return list(t, args, NOFOLLOW);
}

long sys_flistxattr(struct task *t, const struct sys_args *args)
{
	return list(t, args, BY_FD);
}

long sys_removexattr(struct task *t, const struct sys_args *args)
{
	return discard(t, args, FOLLOW);
}

long sys_lremovexattr(struct task *t, const struct sys_args *args)
{
	return discard(t, args, NOFOLLOW);
}

long sys_fremovexattr(struct task *t, const struct sys_args *args)
{
	return discard(t, args, BY_FD);
}
