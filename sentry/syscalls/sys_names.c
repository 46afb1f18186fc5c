/* Changes of the tree: mkdir, mknod, link, symlink, unlink, rmdir, rename and their *at forms. */
#include <stdlib.h>

#include "sentry/syscalls/fs_args.h"

#define CWD ((uint64_t)L_AT_FDCWD)

static long mkdir_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t mode)
{
	struct lookup l = task_lookup(t);
	char *name;
	int r = copy_in_path(t->ctx, path, &name);

	if (r < 0)
		return r;
	r = vfs_mkdir(&l, (int)dirfd, name, (uint32_t)mode);
	free(name);
	return r;
}

long sys_mkdir(struct task *t, const struct sys_args *args)
{
	return mkdir_at(t, CWD, args->a[0], args->a[1]);
}

long sys_mkdirat(struct task *t, const struct sys_args *args)
{
	return mkdir_at(t, args->a[0], args->a[1], args->a[2]);
}

static long mknod_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t mode, uint64_t dev)
{
	struct lookup l = task_lookup(t);
	char *name;
	int r = vfs_may_mknod((uint32_t)(uint16_t)mode);

	if (r == 0)
		r = copy_in_path(t->ctx, path, &name);
	if (r < 0)
		return r;
	r = vfs_mknod(&l, (int)dirfd, name, (uint32_t)(uint16_t)mode, (uint32_t)dev);
	free(name);
	return r;
}

long sys_mknod(struct task *t, const struct sys_args *args)
{
	return mknod_at(t, CWD, args->a[0], args->a[1], args->a[2]);
}

long sys_mknodat(struct task *t, const struct sys_args *args)
{
	return mknod_at(t, args->a[0], args->a[1], args->a[2], args->a[3]);
}

static long symlink_at(struct task *t, uint64_t target, uint64_t dirfd, uint64_t path)
{
	struct lookup l = task_lookup(t);
	char *text, *name;
	int r = copy_in_path(t->ctx, target, &text);

	if (r < 0)
		return r;
	r = copy_in_path(t->ctx, path, &name);
	if (r == 0) {
		r = vfs_symlink(&l, text, (int)dirfd, name);
		free(name);
	}
	free(text);
	return r;
}

long sys_symlink(struct task *t, const struct sys_args *args)
{
	return symlink_at(t, args->a[0], CWD, args->a[1]);
}

long sys_symlinkat(struct task *t, const struct sys_args *args)
{
	return symlink_at(t, args->a[0], args->a[1], args->a[2]);
}

/* ---- removal ---- */

static long unlink_at(struct task *t, uint64_t dirfd, uint64_t path,
		      int (*op)(const struct lookup *, int, const char *))
{
	struct lookup l = task_lookup(t);
	char *name;
	int r = copy_in_path(t->ctx, path, &name);

	if (r < 0)
		return r;
	r = op(&l, (int)dirfd, name);
	free(name);
	return r;
}

long sys_unlink(struct task *t, const struct sys_args *args)
{
	return unlink_at(t, CWD, args->a[0], vfs_unlink);
}

long sys_rmdir(struct task *t, const struct sys_args *args)
{
	return unlink_at(t, CWD, args->a[0], vfs_rmdir);
}

long sys_unlinkat(struct task *t, const struct sys_args *args)
{
	if ((uint32_t)args->a[2] & ~(uint32_t)L_AT_REMOVEDIR)
		return -EINVAL;
	return unlink_at(t, args->a[0], args->a[1], args->a[2] & L_AT_REMOVEDIR ? vfs_rmdir : vfs_unlink);
}

/* ---- two paths ---- */

typedef int two_path_op(const struct lookup *l, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
			unsigned flags);

static long two_paths(struct task *t, two_path_op *op, uint64_t old_dirfd, uint64_t old_path, uint64_t new_dirfd,
		      uint64_t new_path, uint64_t flags)
{
	struct lookup l = task_lookup(t);
	char *from = NULL, *to = NULL;
	int r = copy_in_path(t->ctx, old_path, &from), first;

	if (r == 0)
		r = copy_in_path(t->ctx, new_path, &to);
	/* What is wrong with the flags and with the old path comes before a path that could not be copied in. */
	first = op(&l, (int)old_dirfd, from, (int)new_dirfd, to, (unsigned)flags);
	free(to);
	free(from);
	return first < 0 ? first : r;
}

long sys_link(struct task *t, const struct sys_args *args)
{
	return two_paths(t, vfs_link, CWD, args->a[0], CWD, args->a[1], 0);
}

long sys_linkat(struct task *t, const struct sys_args *args)
{
	return two_paths(t, vfs_link, args->a[0], args->a[1], args->a[2], args->a[3], args->a[4]);
}

long sys_rename(struct task *t, const struct sys_args *args)
{
	return two_paths(t, vfs_rename, CWD, args->a[0], CWD, args->a[1], 0);
}

long sys_renameat(struct task *t, const struct sys_args *args)
{
	return two_paths(t, vfs_rename, args->a[0], args->a[1], args->a[2], args->a[3], 0);
}

long sys_renameat2(struct task *t, const struct sys_args *args)
{
	return two_paths(t, vfs_rename, args->a[0], args->a[1], args->a[2], args->a[3], args->a[4]);
}
