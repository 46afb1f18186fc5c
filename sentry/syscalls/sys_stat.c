/* Asking about files: stat and kin, statx, access and kin, statfs, readlink. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/vfs/mount.h"

/* ---- stat ---- */

/* x's ids become what t is told. */
static void show_ids(const struct task *t, struct l_statx *x)
{
	x->stx_uid = cred_show_uid(t->cred, x->stx_uid);
	x->stx_gid = cred_show_gid(t->cred, x->stx_gid);
}

static struct l_stat stat_of(const struct l_statx *x)
{
	return (struct l_stat){
		.st_dev = l_makedev(x->stx_dev_major, x->stx_dev_minor),
		.st_ino = x->stx_ino,
		.st_nlink = x->stx_nlink,
		.st_mode = x->stx_mode,
		.st_uid = x->stx_uid,
		.st_gid = x->stx_gid,
		.st_rdev = l_makedev(x->stx_rdev_major, x->stx_rdev_minor),
		.st_size = (int64_t)x->stx_size,
		.st_blksize = x->stx_blksize,
		.st_blocks = (int64_t)x->stx_blocks,
		.st_atime_sec = (uint64_t)x->stx_atime.tv_sec,
		.st_atime_nsec = x->stx_atime.tv_nsec,
		.st_mtime_sec = (uint64_t)x->stx_mtime.tv_sec,
		.st_mtime_nsec = x->stx_mtime.tv_nsec,
		.st_ctime_sec = (uint64_t)x->stx_ctime.tv_sec,
		.st_ctime_nsec = x->stx_ctime.tv_nsec,
	};
}

static int put_stat(struct task *t, struct l_statx *x, uint64_t buf)
{
	struct l_stat st;

	show_ids(t, x);
	st = stat_of(x);
	return copy_out(t->ctx, buf, &st, sizeof(st));
}

/* fstat(2) as C libraries make it: no path is walked for it. */
static bool names_fd_alone(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags)
{
	char first;

	if (!(at_flags & L_AT_EMPTY_PATH) || (int)dirfd == L_AT_FDCWD)
		return false;
	return !path || (copy_in(t->ctx, &first, path, 1) == 0 && first == '\0');
}

static long stat_at(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags, uint64_t buf)
{
	struct l_statx x = {0};
	struct path p;
	int r = arg_stat_at(t, dirfd, path, at_flags, &p, &x);

	if (r < 0)
		return r;
	path_put(&p);
	return put_stat(t, &x, buf);
}

long sys_stat(struct task *t, const struct sys_args *args)
{
	return stat_at(t, (uint64_t)L_AT_FDCWD, args->a[0], 0, args->a[1]);
}

long sys_lstat(struct task *t, const struct sys_args *args)
{
	return stat_at(t, (uint64_t)L_AT_FDCWD, args->a[0], L_AT_SYMLINK_NOFOLLOW, args->a[1]);
}

long sys_fstat(struct task *t, const struct sys_args *args)
{
	struct l_statx x = {0};
	struct file *f;
	int r = arg_file_path_ok(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = vfs_getattr(&f->path, &x);
	file_put(f);
	return r < 0 ? r : put_stat(t, &x, args->a[1]);
}

long sys_newfstatat(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[3];

	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH | L_AT_NO_AUTOMOUNT | L_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	if (names_fd_alone(t, args->a[0], args->a[1], flags))
		return sys_fstat(t, &(struct sys_args){.a = {args->a[0], args->a[2]}});
	return stat_at(t, args->a[0], args->a[1], flags, args->a[2]);
}

long sys_statx(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[2], mask = (unsigned)args->a[3];
	struct l_statx x = {0};
	struct path p;
	int r;

	if ((mask & L_STATX__RESERVED) || (flags & L_AT_STATX_SYNC_TYPE) == L_AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH | L_AT_NO_AUTOMOUNT | L_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	r = arg_stat_at(t, args->a[0], args->a[1], flags, &p, &x);
	if (r < 0)
		return r;
	if (mask & L_STATX_MNT_ID_UNIQUE) {
		x.stx_mnt_id = mount_unique_id(p.mnt);
		x.stx_mask = (x.stx_mask & ~L_STATX_MNT_ID) | L_STATX_MNT_ID_UNIQUE;
	}
	path_put(&p);
	show_ids(t, &x);
	return copy_out(t->ctx, args->a[4], &x, sizeof(x));
}

/* ---- access ---- */

/*
 * access(2) asks for the real user: its ids become the ones that count, and capabilities are those it would have, which is all
 * that are permitted for root and none for others.
 */
static struct cred *real_cred(const struct cred *c)
{
	struct cred *real = cred_copy(c, c->group_count);

	if (!real)
		return NULL;
	real->fsuid = c->uid;
	real->fsgid = c->gid;
	if (!(c->securebits & L_SECBIT_NO_SETUID_FIXUP))
		real->cap_effective = c->uid == cred_root(c) ? c->cap_permitted : 0;
	return real;
}

static long access_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t mode, unsigned flags)
{
	struct lookup l = task_lookup(t);
	struct cred *real = NULL;
	unsigned lookup_flags = LOOKUP_ATTR;
	struct path p;
	char *name;
	int r;

	if ((uint32_t)mode & ~7u)
		return -EINVAL;
	if (flags & ~(unsigned)(L_AT_EACCESS | L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	r = copy_in_path(t->ctx, path, &name);
	if (r < 0)
		return r;
	if (!(flags & L_AT_EACCESS)) {
		real = real_cred(t->cred);
		if (!real) {
			free(name);
			return -ENOMEM;
		}
		l.cred = real;
	}
	if (!(flags & L_AT_SYMLINK_NOFOLLOW))
		lookup_flags |= LOOKUP_FOLLOW;
	if (flags & L_AT_EMPTY_PATH)
		lookup_flags |= LOOKUP_EMPTY;
	r = vfs_resolve(&l, (int)dirfd, name, lookup_flags, 0, &p);
	if (r == 0) {
		/* R_OK, W_OK and X_OK have the values of MAY_READ, MAY_WRITE and MAY_EXEC. */
		if (mode)
			r = vfs_permission(&p, (unsigned)mode, l.cred);
		path_put(&p);
	}
	cred_put(real);
	free(name);
	return r;
}

long sys_access(struct task *t, const struct sys_args *args)
{
	return access_at(t, (uint64_t)L_AT_FDCWD, args->a[0], args->a[1], 0);
}

long sys_faccessat(struct task *t, const struct sys_args *args)
{
	return access_at(t, args->a[0], args->a[1], args->a[2], 0);
}

long sys_faccessat2(struct task *t, const struct sys_args *args)
{
	return access_at(t, args->a[0], args->a[1], args->a[2], (unsigned)args->a[3]);
}

/* ---- statfs ---- */

static int statfs_path(struct task *t, const struct path *p, uint64_t buf)
{
	struct l_statfs st;
	int r = vfs_statfs(p, &st);

	return r < 0 ? r : copy_out(t->ctx, buf, &st, sizeof(st));
}

long sys_statfs(struct task *t, const struct sys_args *args)
{
	struct path p;
	int r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &p);

	if (r < 0)
		return r;
	r = statfs_path(t, &p, args->a[1]);
	path_put(&p);
	return r;
}

long sys_fstatfs(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file_path_ok(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = statfs_path(t, &f->path, args->a[1]);
	file_put(f);
	return r;
}

/* ---- readlink ---- */

/* An empty path means the link that dirfd was opened on with O_PATH | O_NOFOLLOW; if that is none, it is a bad path. */
static long readlink_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t buf, uint64_t size)
{
	struct lookup l = task_lookup(t);
	char *name, *target;
	struct path p;
	bool empty;
	long r;

	if ((int)size <= 0)
		return -EINVAL;
	r = copy_in_path(t->ctx, path, &name);
	if (r < 0)
		return r;
	empty = name[0] == '\0';
	r = vfs_resolve(&l, (int)dirfd, name, LOOKUP_EMPTY, 0, &p);
	free(name);
	if (r < 0)
		return r;
	r = vfs_readlink(&p, &target);
	path_put(&p);
	if (r < 0)
		return r == -EINVAL && empty ? -ENOENT : r;
	size = min_of(strlen(target), (size_t)(int)size);
	r = copy_out(t->ctx, buf, target, size);
	free(target);
	return r < 0 ? r : (long)size;
}

long sys_readlink(struct task *t, const struct sys_args *args)
{
	return readlink_at(t, (uint64_t)L_AT_FDCWD, args->a[0], args->a[1], args->a[2]);
}

long sys_readlinkat(struct task *t, const struct sys_args *args)
{
	return readlink_at(t, args->a[0], args->a[1], args->a[2], args->a[3]);
}
