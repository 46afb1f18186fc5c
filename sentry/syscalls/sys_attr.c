/* Attributes and contents as a whole: chmod, chown, times, truncate, fallocate, sync and advice.  xattr: sys_xattr.c. */
#include "abi/ioctl.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/vfs/notify.h"

#define CWD ((uint64_t)L_AT_FDCWD)

/* ---- mode and owner ---- */

static long chmod_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t mode, unsigned flags)
{
	struct path p;
	int r;

	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	r = arg_resolve_at(t, dirfd, path, flags, &p);
	if (r < 0)
		return r;
	r = vfs_chmod(&p, (uint32_t)mode, t->cred);
	path_put(&p);
	return r;
}

long sys_chmod(struct task *t, const struct sys_args *args)
{
	return chmod_at(t, CWD, args->a[0], args->a[1], 0);
}

long sys_fchmodat(struct task *t, const struct sys_args *args)
{
	return chmod_at(t, args->a[0], args->a[1], args->a[2], 0);
}

long sys_fchmodat2(struct task *t, const struct sys_args *args)
{
	return chmod_at(t, args->a[0], args->a[1], args->a[2], (unsigned)args->a[3]);
}

long sys_fchmod(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = vfs_chmod(&f->path, (uint32_t)args->a[1], t->cred);
	file_put(f);
	return r;
}

/* By the caller's ids; -EINVAL: his namespace does not know them. */
static int chown_path(struct task *t, const struct path *p, uint32_t uid, uint32_t gid)
{
	uint32_t u = cred_read_uid(t->cred, uid), g = cred_read_gid(t->cred, gid);

	if ((u == ID_NONE && uid != ID_NONE) || (g == ID_NONE && gid != ID_NONE))
		return -EINVAL;
	return vfs_chown(p, u, g, t->cred);
}

static long chown_at(struct task *t, uint64_t dirfd, uint64_t path, uint64_t uid, uint64_t gid, unsigned flags)
{
	struct path p;
	int r;

	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	r = arg_resolve_at(t, dirfd, path, flags, &p);
	if (r < 0)
		return r;
	r = chown_path(t, &p, (uint32_t)uid, (uint32_t)gid);
	path_put(&p);
	return r;
}

long sys_chown(struct task *t, const struct sys_args *args)
{
	return chown_at(t, CWD, args->a[0], args->a[1], args->a[2], 0);
}

long sys_lchown(struct task *t, const struct sys_args *args)
{
	return chown_at(t, CWD, args->a[0], args->a[1], args->a[2], L_AT_SYMLINK_NOFOLLOW);
}

long sys_fchownat(struct task *t, const struct sys_args *args)
{
	return chown_at(t, args->a[0], args->a[1], args->a[2], args->a[3], (unsigned)args->a[4]);
}

long sys_fchown(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = chown_path(t, &f->path, (uint32_t)args->a[1], (uint32_t)args->a[2]);
	file_put(f);
	return r;
}

/* ---- times ---- */

/* A null path means dirfd itself. */
static long set_times(struct task *t, uint64_t dirfd, uint64_t path, const struct l_timespec *times, unsigned flags)
{
	struct file *f;
	struct path p;
	int r;

	if (!path && (int)dirfd != L_AT_FDCWD) {
		if (flags)
			return -EINVAL;
		r = arg_file(t, dirfd, &f);
		if (r < 0)
			return r;
		r = vfs_utimes(&f->path, times, t->cred);
		file_put(f);
		return r;
	}
	r = arg_resolve_at(t, dirfd, path, flags, &p);
	if (r < 0)
		return r;
	r = vfs_utimes(&p, times, t->cred);
	path_put(&p);
	return r;
}

long sys_utimensat(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[3];
	struct l_timespec times[2];
	int r;

	if (args->a[2]) {
		r = copy_in(t->ctx, times, args->a[2], sizeof(times));
		if (r < 0)
			return r;
		if (times[0].tv_nsec == L_UTIME_OMIT && times[1].tv_nsec == L_UTIME_OMIT)
			return 0;
	}
	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	return set_times(t, args->a[0], args->a[1], args->a[2] ? times : NULL, flags);
}

static long set_timevals(struct task *t, uint64_t dirfd, uint64_t path, uint64_t gva)
{
	struct l_timeval tv[2];
	struct l_timespec times[2];
	int r;

	if (!gva)
		return set_times(t, dirfd, path, NULL, 0);
	r = copy_in(t->ctx, tv, gva, sizeof(tv));
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= L_USEC_PER_SEC)
			return -EINVAL;
		times[i] = (struct l_timespec){tv[i].tv_sec, tv[i].tv_usec * L_NSEC_PER_USEC};
	}
	return set_times(t, dirfd, path, times, 0);
}

long sys_futimesat(struct task *t, const struct sys_args *args)
{
	return set_timevals(t, args->a[0], args->a[1], args->a[2]);
}

long sys_utimes(struct task *t, const struct sys_args *args)
{
	return set_timevals(t, CWD, args->a[0], args->a[1]);
}

long sys_utime(struct task *t, const struct sys_args *args)
{
	struct l_utimbuf buf;
	struct l_timespec times[2];
	int r;

	if (!args->a[1])
		return set_times(t, CWD, args->a[0], NULL, 0);
	r = copy_in(t->ctx, &buf, args->a[1], sizeof(buf));
	if (r < 0)
		return r;
	times[0] = (struct l_timespec){buf.actime, 0};
	times[1] = (struct l_timespec){buf.modtime, 0};
	return set_times(t, CWD, args->a[0], times, 0);
}

/* ---- sizes ---- */

static int check_growth(struct task *t, const struct inode *i, int64_t size)
{
	return inode_is(i, L_S_IFREG) && (uint64_t)size > i->size ? task_check_fsize(t, (uint64_t)size) : 0;
}

long sys_truncate(struct task *t, const struct sys_args *args)
{
	int64_t size = (int64_t)args->a[1];
	struct path p;
	int r;

	if (size < 0)
		return -EINVAL;
	r = arg_resolve(t, CWD, args->a[0], LOOKUP_FOLLOW, &p);
	if (r < 0)
		return r;
	r = check_growth(t, dentry_inode(p.dentry), size);
	if (r == 0)
		r = vfs_truncate(&p, (uint64_t)size, t->cred);
	path_put(&p);
	return r;
}

long sys_ftruncate(struct task *t, const struct sys_args *args)
{
	int64_t size = (int64_t)args->a[1];
	struct file *f;
	int r;

	if (size < 0)
		return -EINVAL;
	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	/* What may not be truncated at all is told first. */
	if (f->mode & FILE_WRITE)
		r = check_growth(t, f->inode, size);
	if (r == 0)
		r = vfs_ftruncate(f, (uint64_t)size);
	file_put(f);
	return r;
}

/* The modes that go together: fallocate(2). */
static int check_fallocate_mode(unsigned mode)
{
	const unsigned known = L_FALLOC_FL_KEEP_SIZE | L_FALLOC_FL_PUNCH_HOLE | L_FALLOC_FL_COLLAPSE_RANGE |
			       L_FALLOC_FL_ZERO_RANGE | L_FALLOC_FL_INSERT_RANGE | L_FALLOC_FL_UNSHARE_RANGE;
	unsigned op = mode & ~(unsigned)L_FALLOC_FL_KEEP_SIZE;

	if (mode & ~known)
		return -EOPNOTSUPP;
	switch (op) {
	case 0:
	case L_FALLOC_FL_UNSHARE_RANGE:
	case L_FALLOC_FL_ZERO_RANGE:
		return 0;
	case L_FALLOC_FL_PUNCH_HOLE:
		return mode & L_FALLOC_FL_KEEP_SIZE ? 0 : -EOPNOTSUPP;
	case L_FALLOC_FL_COLLAPSE_RANGE:
	case L_FALLOC_FL_INSERT_RANGE:
		return mode & L_FALLOC_FL_KEEP_SIZE ? -EOPNOTSUPP : 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* Whether RLIMIT_FSIZE has a say in what fallocate is asked for. */
static bool is_limited(const struct inode *i, unsigned mode)
{
	if (i->sb->flags & SB_SHMEM)
		return !(mode & ~(unsigned)L_FALLOC_FL_KEEP_SIZE);
	return !(mode & (L_FALLOC_FL_KEEP_SIZE | L_FALLOC_FL_COLLAPSE_RANGE));
}

static long allocate(struct task *t, struct file *f, unsigned mode, int64_t off, int64_t len)
{
	int64_t end;
	int r = check_fallocate_mode(mode);

	if (r < 0)
		return r;
	if (!(f->mode & FILE_WRITE))
		return -EBADF;
	/* What can only grow may have room for that. */
	if ((f->inode->iflags & L_FS_IMMUTABLE_FL) ||
	    ((f->inode->iflags & L_FS_APPEND_FL) && (mode & ~(unsigned)L_FALLOC_FL_KEEP_SIZE)))
		return -EPERM;
	if (inode_is(f->inode, L_S_IFIFO))
		return -ESPIPE;
	if (inode_is(f->inode, L_S_IFDIR))
		return -EISDIR;
	if (!inode_is(f->inode, L_S_IFREG))
		return -ENODEV;
	if (__builtin_add_overflow(off, len, &end))
		return -EFBIG;
	if (!f->ops->fallocate)
		return -EOPNOTSUPP;
	if (is_limited(f->inode, mode)) {
		r = check_growth(t, f->inode, end);
		if (r < 0)
			return r;
	}
	r = f->ops->fallocate(f, (int)mode, (uint64_t)off, (uint64_t)len);
	if (r == 0)
		notify_file(f, L_IN_MODIFY);
	return r;
}

long sys_fallocate(struct task *t, const struct sys_args *args)
{
	int64_t off = (int64_t)args->a[2], len = (int64_t)args->a[3];
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = off < 0 || len <= 0 ? -EINVAL : allocate(t, f, (unsigned)args->a[1], off, len);
	file_put(f);
	return r;
}

/* ---- to the disk ---- */

static long sync_file(struct task *t, uint64_t fd, bool data_only)
{
	struct file *f;
	long r = arg_file(t, fd, &f);

	if (r < 0)
		return r;
	r = f->ops->fsync ? f->ops->fsync(f, data_only) : -EINVAL;
	file_put(f);
	return r;
}

long sys_fsync(struct task *t, const struct sys_args *args)
{
	return sync_file(t, args->a[0], false);
}

long sys_fdatasync(struct task *t, const struct sys_args *args)
{
	return sync_file(t, args->a[0], true);
}

/* What is written to the host's files is in the host's page cache at once, and survives the sandbox; to wait until all of the
 * host's disks have it is not the guest's to ask. */
long sys_sync(struct task *t, const struct sys_args *args)
{
	return 0;
}

long sys_syncfs(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file(t, args->a[0], &f);

	if (r == 0)
		file_put(f);
	return r;
}

long sys_sync_file_range(struct task *t, const struct sys_args *args)
{
	const unsigned known =
		L_SYNC_FILE_RANGE_WAIT_BEFORE | L_SYNC_FILE_RANGE_WRITE | L_SYNC_FILE_RANGE_WAIT_AFTER;
	int64_t off = (int64_t)args->a[1], len = (int64_t)args->a[2], end;
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	if (((unsigned)args->a[3] & ~known) || off < 0 || len < 0 || __builtin_add_overflow(off, len, &end))
		r = -EINVAL;
	else if (!inode_is(f->inode, L_S_IFREG) && !inode_is(f->inode, L_S_IFBLK) && !inode_is(f->inode, L_S_IFDIR))
		r = -ESPIPE;
	else if (args->a[3])
		r = f->ops->fsync ? f->ops->fsync(f, true) : 0;
	file_put(f);
	return r;
}

/* ---- advice: checked, and then there is nothing to do that the host's page cache does not do better ---- */

long sys_fadvise64(struct task *t, const struct sys_args *args)
{
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	if (inode_is(f->inode, L_S_IFIFO))
		r = -ESPIPE;
	else if ((int64_t)args->a[2] < 0 || (unsigned)args->a[3] > L_POSIX_FADV_NOREUSE)
		r = -EINVAL;
	file_put(f);
	return r;
}

long sys_readahead(struct task *t, const struct sys_args *args)
{
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	if (!(f->mode & FILE_READ))
		r = -EBADF;
	else if ((!inode_is(f->inode, L_S_IFREG) && !inode_is(f->inode, L_S_IFBLK)) || args->a[2] > INT64_MAX)
		r = -EINVAL;
	file_put(f);
	return r;
}
