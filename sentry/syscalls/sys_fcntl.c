/* fcntl and flock: what is asked of a descriptor or an open file, and locks. */
#include "sentry/syscalls/file_owner.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/task/pidns.h"
#include "sentry/vfs/dnotify.h"

static long dup_from(struct task *t, struct file *f, uint64_t min, bool cloexec)
{
	int limit = task_fd_limit(t), fd;

	if (min >= (uint64_t)limit)
		return -EINVAL;
	fd = fd_install(t->files, file_get(f), (int)min, limit, cloexec);
	if (fd < 0)
		file_put(f);
	return fd;
}

/* ---- locks ---- */

/* The bytes that *fl means, from where f stands. */
static int range_of(struct file *f, const struct l_flock *fl, struct lock_range *out)
{
	struct l_statx st;
	int64_t start;
	int r;

	switch (fl->l_whence) {
	case L_SEEK_SET:
		start = 0;
		break;
	case L_SEEK_CUR:
		start = file_position(f);
		break;
	case L_SEEK_END:
		r = vfs_getattr(&f->path, &st);
		if (r < 0)
			return r;
		start = (int64_t)st.stx_size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(start, fl->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	out->start = (uint64_t)start;
	out->end = LOCK_TO_THE_END;
	if (fl->l_len > 0) {
		if (fl->l_len - 1 > INT64_MAX - start)
			return -EOVERFLOW;
		out->end = (uint64_t)(start + (fl->l_len - 1));
	} else if (fl->l_len < 0) {
		if (start + fl->l_len < 0)
			return -EINVAL;
		out->end = (uint64_t)start - 1;
		out->start = (uint64_t)(start + fl->l_len);
	}
	if (fl->l_type != L_F_RDLCK && fl->l_type != L_F_WRLCK && fl->l_type != L_F_UNLCK)
		return -EINVAL;
	out->type = fl->l_type;
	return 0;
}

static long get_lock(struct task *t, struct file *f, uint64_t arg, bool ofd)
{
	struct lock_range range = {0};
	struct l_flock fl;
	int r = copy_in(t->ctx, &fl, arg, sizeof(fl));

	if (r < 0)
		return r;
	if (!ofd && fl.l_type == L_F_UNLCK)
		return -EINVAL;
	r = ofd && fl.l_pid != 0 ? -EINVAL : range_of(f, &fl, &range);
	if (r < 0)
		return r;
	vfs_lock_test(f, ofd ? (const void *)f : t->files, &range);
	fl.l_type = (int16_t)range.type;
	if (range.type != L_F_UNLCK) {
		fl.l_whence = L_SEEK_SET;
		fl.l_start = (int64_t)range.start;
		fl.l_len = range.end == LOCK_TO_THE_END ? 0 : (int64_t)(range.end - range.start + 1);
		fl.l_pid = range.pid < 0 ? range.pid : global_nr(range.pid, task_pid_ns(t));
	}
	return copy_out(t->ctx, arg, &fl, sizeof(fl));
}

static long set_lock(struct task *t, struct file *f, int fd, uint64_t arg, bool ofd, bool wait)
{
	const void *owner = ofd ? (const void *)f : t->files;
	struct lock_range range = {.pid = ofd ? -1 : t->process->pid};
	struct file *now;
	struct l_flock fl;
	int r = copy_in(t->ctx, &fl, arg, sizeof(fl));

	if (r == 0)
		r = range_of(f, &fl, &range);
	if (r < 0)
		return r;
	if ((range.type == L_F_RDLCK && !(f->mode & FILE_READ)) || (range.type == L_F_WRLCK && !(f->mode & FILE_WRITE)))
		return -EBADF;
	if (ofd && fl.l_pid != 0)
		return -EINVAL;
	r = vfs_lock(f, owner, &range, wait);
	if (r < 0 || ofd || range.type == L_F_UNLCK)
		return r;
	/* Another thread may have closed the descriptor while this one waited: then nobody is left to let the lock go. */
	now = fd_lookup(t->files, fd);
	if (now != f) {
		range.type = L_F_UNLCK;
		(void)!vfs_lock(f, owner, &range, false);
		r = -EBADF;
	}
	file_put(now);
	return r;
}

long sys_flock(struct task *t, const struct sys_args *args)
{
	unsigned op = (unsigned)args->a[1], kind = op & ~(unsigned)L_LOCK_NB;
	struct file *f;
	int r;

	if (op & L_LOCK_MAND) /* as Linux, which once had such locks */
		return 0;
	if (kind != L_LOCK_SH && kind != L_LOCK_EX && kind != L_LOCK_UN) /* before a bad descriptor */
		return -EINVAL;
	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	r = vfs_flock(f, op, t->process->pid);
	file_put(f);
	return r == -EAGAIN ? -EWOULDBLOCK : r;
}

/* ---- hints ---- */

/* How long what is written will last: kept with the file and told, and of no consequence, as on Linux but for some disks. */
static long write_hint(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	uint64_t hint = f->inode->write_hint;

	if (cmd == L_F_GET_RW_HINT)
		return copy_out(t->ctx, arg, &hint, sizeof(hint));
	if (!inode_owner_or_capable(f->inode, t->cred))
		return -EPERM;
	if (copy_in(t->ctx, &hint, arg, sizeof(hint)) < 0)
		return -EFAULT;
	if (hint > L_RWH_WRITE_LIFE_EXTREME)
		return -EINVAL;
	f->inode->write_hint = (uint8_t)hint;
	return 0;
}

/* ---- fcntl ---- */

/* The commands that an O_PATH descriptor knows too. */
static long descriptor_call(struct task *t, struct file *f, int fd, unsigned cmd, uint64_t arg)
{
	struct file *other;
	long r;

	switch (cmd) {
	case L_F_DUPFD:
		return dup_from(t, f, (uint32_t)arg, false);
	case L_F_DUPFD_CLOEXEC:
		return dup_from(t, f, (uint32_t)arg, true);
	case L_F_GETFD:
		return fd_get_cloexec(t->files, fd);
	case L_F_SETFD:
		return fd_set_cloexec(t->files, fd, arg & L_FD_CLOEXEC);
	case L_F_GETFL:
		return f->flags;
	case L_F_CREATED_QUERY:
		return (f->mode & FILE_CREATED) != 0;
	case L_F_DUPFD_QUERY:
		r = arg_file_path_ok(t, arg, &other);
		if (r == 0) {
			r = other == f;
			file_put(other);
		}
		return r;
	default:
		return -EBADF;
	}
}

static long file_call(struct task *t, struct file *f, int fd, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case L_F_SETFL:
		return file_set_flags(f, fd, (uint32_t)arg);
	case L_F_GETLK:
	case L_F_OFD_GETLK:
		return get_lock(t, f, arg, cmd == L_F_OFD_GETLK);
	case L_F_SETLK:
	case L_F_SETLKW:
		return set_lock(t, f, fd, arg, false, cmd == L_F_SETLKW);
	case L_F_OFD_SETLK:
	case L_F_OFD_SETLKW:
		return set_lock(t, f, fd, arg, true, cmd == L_F_OFD_SETLKW);
	case L_F_SETOWN:
	case L_F_GETOWN:
	case L_F_SETOWN_EX:
	case L_F_GETOWN_EX:
	case L_F_SETSIG:
	case L_F_GETSIG:
		return owner_fcntl(t, f, cmd, arg);
	case L_F_SETLEASE:
		return vfs_set_lease(f, fd, (int)arg, t->cred, t->process->pid);
	case L_F_GETLEASE:
		return vfs_get_lease(f);
	case L_F_NOTIFY:
		return dnotify_set(f, fd, t->files, (uint32_t)arg, t->cred, t->process->pid);
	case L_F_GET_RW_HINT:
	case L_F_SET_RW_HINT:
		return write_hint(t, f, cmd, arg);
	case L_F_SETPIPE_SZ:
	case L_F_GETPIPE_SZ:
		return inode_is(f->inode, L_S_IFIFO) && f->ops->fcntl ? f->ops->fcntl(f, cmd, arg) : -EBADF;
	case L_F_ADD_SEALS:
		if (!(f->mode & FILE_WRITE))
			return -EPERM;
		FALLTHROUGH;
	default:
		return f->ops->fcntl ? f->ops->fcntl(f, cmd, arg) : -EINVAL;
	}
}

long sys_fcntl(struct task *t, const struct sys_args *args)
{
	int fd = (int)args->a[0];
	unsigned cmd = (unsigned)args->a[1];
	struct file *f;
	long r = arg_file_path_ok(t, args->a[0], &f);

	if (r < 0)
		return r;
	switch (cmd) {
	case L_F_DUPFD:
	case L_F_DUPFD_CLOEXEC:
	case L_F_GETFD:
	case L_F_SETFD:
	case L_F_GETFL:
	case L_F_CREATED_QUERY:
	case L_F_DUPFD_QUERY:
		r = descriptor_call(t, f, fd, cmd, args->a[2]);
		break;
	default:
		r = f->mode & FILE_PATH ? -EBADF : file_call(t, f, fd, cmd, args->a[2]);
		break;
	}
	file_put(f);
	return r;
}
