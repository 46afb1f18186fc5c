/* Extended attributes: by path, by path without following, by descriptor, and from a directory.  xattr(7). */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"

/* What the calls differ in: by path from a directory, or by descriptor. */
struct target {
	bool by_fd;
	uint64_t dirfd; /* or the descriptor itself */
	uint64_t path;
	unsigned at_flags;
};

static struct target by_path(uint64_t path, unsigned at_flags)
{
	return (struct target){.dirfd = (uint64_t)L_AT_FDCWD, .path = path, .at_flags = at_flags};
}

static struct target by_fd(uint64_t fd)
{
	return (struct target){.by_fd = true, .dirfd = fd};
}

static int find_by_fd(struct task *t, uint64_t fd, struct path *out)
{
	struct file *f;
	int r;

	if ((int)fd == L_AT_FDCWD) { /* since Linux 6.13, in which the f calls became calls from a directory */
		fs_info_cwd(t->fs, out);
		return 0;
	}
	r = arg_file(t, fd, &f);
	if (r < 0)
		return r;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

/* With AT_EMPTY_PATH and no path a descriptor is meant as by the f calls: not one of O_PATH. */
static int find(struct task *t, const struct target *where, struct path *out)
{
	struct lookup l = task_lookup(t);
	unsigned flags = where->at_flags & L_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	bool may_be_empty = where->at_flags & L_AT_EMPTY_PATH;
	char *name;
	int r;

	if (where->by_fd || (may_be_empty && !where->path && (int)where->dirfd >= 0))
		return find_by_fd(t, where->dirfd, out);
	r = copy_in_path(t->ctx, where->path, &name);
	if (r < 0)
		return r;
	if (may_be_empty && !name[0] && (int)where->dirfd >= 0)
		r = find_by_fd(t, where->dirfd, out);
	else
		r = vfs_resolve(&l, (int)where->dirfd, name, flags | (may_be_empty ? LOOKUP_EMPTY : 0), 0, out);
	free(name);
	return r;
}

static int copy_in_name(struct task *t, uint64_t gva, char name[L_XATTR_NAME_MAX + 1])
{
	ssize_t n = copy_in_str(t->ctx, name, gva, L_XATTR_NAME_MAX + 1);

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

static long set(struct task *t, struct target where, uint64_t name_at, const struct l_xattr_args *a)
{
	char name[L_XATTR_NAME_MAX + 1];
	void *value;
	struct path p;
	long r;

	if (a->flags & ~(uint32_t)(L_XATTR_CREATE | L_XATTR_REPLACE))
		return -EINVAL;
	r = copy_in_name(t, name_at, name);
	if (r < 0)
		return r;
	if (a->size > L_XATTR_SIZE_MAX)
		return -E2BIG;
	value = malloc(a->size + 1);
	if (!value)
		return -ENOMEM;
	r = a->size ? copy_in(t->ctx, value, a->value, a->size) : 0;
	if (r == 0)
		r = find(t, &where, &p);
	if (r == 0) {
		r = vfs_setxattr(&p, name, value, a->size, (int)a->flags, t->cred);
		path_put(&p);
	}
	free(value);
	return r;
}

static long get(struct task *t, struct target where, uint64_t name_at, uint64_t value_at, uint64_t value_size)
{
	size_t size = min_of(value_size, (uint64_t)L_XATTR_SIZE_MAX);
	char name[L_XATTR_NAME_MAX + 1];
	void *value;
	struct path p;
	long r = copy_in_name(t, name_at, name);

	if (r < 0)
		return r;
	value = malloc(size + 1);
	if (!value)
		return -ENOMEM;
	r = find(t, &where, &p);
	if (r == 0) {
		r = vfs_getxattr(&p, name, value, size, t->cred);
		path_put(&p);
	}
	if (r > 0 && size && copy_out(t->ctx, value_at, value, (size_t)r) < 0)
		r = -EFAULT;
	free(value);
	return r;
}

static long list(struct task *t, struct target where, uint64_t list_at, uint64_t list_size)
{
	size_t size = min_of(list_size, (uint64_t)L_XATTR_LIST_MAX);
	char *names = malloc(size + 1);
	struct path p;
	long r;

	if (!names)
		return -ENOMEM;
	r = find(t, &where, &p);
	if (r == 0) {
		r = vfs_listxattr(&p, names, size, t->cred);
		path_put(&p);
	}
	if (r > 0 && size && copy_out(t->ctx, list_at, names, (size_t)r) < 0)
		r = -EFAULT;
	free(names);
	return r;
}

static long discard(struct task *t, struct target where, uint64_t name_at)
{
	char name[L_XATTR_NAME_MAX + 1];
	struct path p;
	long r = copy_in_name(t, name_at, name);

	if (r == 0)
		r = find(t, &where, &p);
	if (r < 0)
		return r;
	r = vfs_removexattr(&p, name, t->cred);
	path_put(&p);
	return r;
}

/* ---- the twelve old calls ---- */

static struct l_xattr_args set_args(const struct sys_args *args)
{
	return (struct l_xattr_args){
		.value = args->a[2],
		.size = (uint32_t)min_of(args->a[3], (uint64_t)UINT32_MAX),
		.flags = (uint32_t)args->a[4],
	};
}

long sys_setxattr(struct task *t, const struct sys_args *args)
{
	struct l_xattr_args a = set_args(args);

	return set(t, by_path(args->a[0], 0), args->a[1], &a);
}

long sys_lsetxattr(struct task *t, const struct sys_args *args)
{
	struct l_xattr_args a = set_args(args);

	return set(t, by_path(args->a[0], L_AT_SYMLINK_NOFOLLOW), args->a[1], &a);
}

long sys_fsetxattr(struct task *t, const struct sys_args *args)
{
	struct l_xattr_args a = set_args(args);

	return set(t, by_fd(args->a[0]), args->a[1], &a);
}

long sys_getxattr(struct task *t, const struct sys_args *args)
{
	return get(t, by_path(args->a[0], 0), args->a[1], args->a[2], args->a[3]);
}

long sys_lgetxattr(struct task *t, const struct sys_args *args)
{
	return get(t, by_path(args->a[0], L_AT_SYMLINK_NOFOLLOW), args->a[1], args->a[2], args->a[3]);
}

long sys_fgetxattr(struct task *t, const struct sys_args *args)
{
	return get(t, by_fd(args->a[0]), args->a[1], args->a[2], args->a[3]);
}

long sys_listxattr(struct task *t, const struct sys_args *args)
{
	return list(t, by_path(args->a[0], 0), args->a[1], args->a[2]);
}

long sys_llistxattr(struct task *t, const struct sys_args *args)
{
	return list(t, by_path(args->a[0], L_AT_SYMLINK_NOFOLLOW), args->a[1], args->a[2]);
}

/* Neither list nor remove takes AT_FDCWD for a descriptor, unlike set and get. */
long sys_flistxattr(struct task *t, const struct sys_args *args)
{
	if ((int)args->a[0] == L_AT_FDCWD)
		return -EBADF;
	return list(t, by_fd(args->a[0]), args->a[1], args->a[2]);
}

long sys_removexattr(struct task *t, const struct sys_args *args)
{
	return discard(t, by_path(args->a[0], 0), args->a[1]);
}

long sys_lremovexattr(struct task *t, const struct sys_args *args)
{
	return discard(t, by_path(args->a[0], L_AT_SYMLINK_NOFOLLOW), args->a[1]);
}

long sys_fremovexattr(struct task *t, const struct sys_args *args)
{
	if ((int)args->a[0] == L_AT_FDCWD)
		return -EBADF;
	return discard(t, by_fd(args->a[0]), args->a[1]);
}

/* ---- those that begin at a directory ---- */

static int at_target(const struct sys_args *args, struct target *out)
{
	*out = (struct target){.dirfd = args->a[0], .path = args->a[1], .at_flags = (unsigned)args->a[2]};
	return out->at_flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH) ? -EINVAL : 0;
}

/* The structure may be larger than we know if what we do not know is zero. */
static int copy_in_args(struct task *t, const struct sys_args *args, struct l_xattr_args *out)
{
	uint64_t size = args->a[5];
	uint8_t buf[PAGE_SIZE];
	int r;

	if (size < sizeof(*out))
		return -EINVAL;
	if (size > sizeof(buf))
		return -E2BIG;
	r = copy_in(t->ctx, buf, args->a[4], size);
	if (r < 0)
		return r;
	for (size_t n = sizeof(*out); n < size; n++)
		if (buf[n])
			return -E2BIG;
	memcpy(out, buf, sizeof(*out));
	return 0;
}

long sys_setxattrat(struct task *t, const struct sys_args *args)
{
	struct l_xattr_args a;
	struct target where;
	long r = copy_in_args(t, args, &a);

	if (r == 0)
		r = at_target(args, &where);
	return r < 0 ? r : set(t, where, args->a[3], &a);
}

long sys_getxattrat(struct task *t, const struct sys_args *args)
{
	struct l_xattr_args a;
	struct target where;
	long r = copy_in_args(t, args, &a);

	if (r == 0)
		r = a.flags ? -EINVAL : at_target(args, &where);
	return r < 0 ? r : get(t, where, args->a[3], a.value, a.size);
}

long sys_listxattrat(struct task *t, const struct sys_args *args)
{
	struct target where;
	long r = at_target(args, &where);

	return r < 0 ? r : list(t, where, args->a[3], args->a[4]);
}

long sys_removexattrat(struct task *t, const struct sys_args *args)
{
	struct target where;
	long r = at_target(args, &where);

	return r < 0 ? r : discard(t, where, args->a[3]);
}
