/*
 * Reading and writing: read, write and their vector and positioned forms, lseek.  Transfers between two files are in
 * sys_copy.c.
 */
#include "abi/ioctl.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/transfer.h"
#include "sentry/task/usage.h"

/* Cuts u to what RLIMIT_FSIZE allows. */
static int limit_size(struct task *t, struct file *f, struct uio *u, int64_t pos)
{
	uint64_t left = uio_left(u);
	int r;

	if (!inode_is(f->inode, L_S_IFREG))
		return 0;
	if (file_appends(f, u))
		pos = (int64_t)f->inode->size;
	else if (pos == OWN_POSITION)
		pos = file_position(f);
	r = task_limit_fsize(t, f, pos, &left);
	u->total = u->done + left;
	return r;
}

/* Whether f can be read or written at all, which Linux asks before it looks at the buffers. */
static int check_access(const struct file *f, int64_t pos, bool write)
{
	if (pos != OWN_POSITION && (!(f->mode & FILE_PREAD) || (f->mode & FILE_STREAM)))
		return -ESPIPE;
	if (inode_is(f->inode, L_S_IFDIR))
		return f->mode & (write ? FILE_WRITE : FILE_READ) ? 0 : -EBADF; /* EISDIR comes last */
	return write ? file_check_write(f) : file_check_read(f);
}

static long sync_after(struct file *f, bool data_only)
{
	return f->ops->fsync ? f->ops->fsync(f, data_only) : -EINVAL;
}

long transfer(struct task *t, struct file *f, const struct ua_iov *iov, int64_t pos, bool write, unsigned flags)
{
	struct uio u = uio_guest(t->ctx, iov);
	long r;

	u.rwf = flags;
	if (!write) {
		r = pos == OWN_POSITION ? file_read(f, &u) : file_pread(f, &u, pos);
		task_count_io(t, write, r);
		return r;
	}
	if (f->mode & FILE_WRITE) {
		if (pos != OWN_POSITION && uio_left(&u) > (uint64_t)(INT64_MAX - pos))
			return -EINVAL;
		r = limit_size(t, f, &u, pos);
		if (r < 0)
			return r;
	}
	r = pos == OWN_POSITION ? file_write(f, &u) : file_pwrite(f, &u, pos);
	task_count_io(t, write, r);
	if (r > 0 && (flags & (L_RWF_DSYNC | L_RWF_SYNC))) {
		long synced = sync_after(f, !(flags & L_RWF_SYNC));

		if (synced < 0)
			r = synced;
	}
	return r;
}

/* The next read of the like may be one that t's thread can make by itself. */
static void note_read(struct task *t, int fd, struct file *f, int64_t pos)
{
	struct pctx_position *at = pctx_position(t->ctx);

	if (pos != OWN_POSITION)
		(void)mm_lend_reads(t, fd, f, pos);
	else if (mm_lend_reads(t, fd, f, f->pos) && f->ops->lendable_pos && at)
		fd_note_seek(t->files, fd, f, at);
}

static long one_buffer(struct task *t, const struct sys_args *args, int64_t pos, bool write)
{
	struct ua_iov iov;
	struct file *f = t->nap_file;
	unsigned flags = 0;
	long r = 0;

	if (UNLIKELY(f != NULL)) {
		t->nap_file = NULL;
		flags = UIO_WAITED;
	} else {
		r = arg_file(t, args->a[0], &f);
	}
	if (r < 0)
		return r;
	r = check_access(f, pos, write);
	if (r == 0)
		r = ua_iov_single(args->a[1], args->a[2], &iov);
	/* A write before it wakes the reader, who may have had its turn before we come back. */
	if (r == 0 && write && iov.total && f->ops->lend && t->may_lend)
		f->ops->lend(f, t->ctx, t->files, (int)args->a[0], iov.total);
	if (r == 0)
		r = transfer(t, f, &iov, pos, write, flags);
	if (!write && r >= 0 && f->ops->lend_pages && t->may_lend)
		note_read(t, (int)args->a[0], f, pos);
	if (!write && r > 0 && f->ops->lend && t->may_lend)
		f->ops->lend(f, t->ctx, t->files, (int)args->a[0], (size_t)r);
	file_put(f);
	return r;
}

long sys_read(struct task *t, const struct sys_args *args)
{
	return one_buffer(t, args, OWN_POSITION, false);
}

long sys_write(struct task *t, const struct sys_args *args)
{
	return one_buffer(t, args, OWN_POSITION, true);
}

long sys_pread64(struct task *t, const struct sys_args *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : one_buffer(t, args, (int64_t)args->a[3], false);
}

long sys_pwrite64(struct task *t, const struct sys_args *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : one_buffer(t, args, (int64_t)args->a[3], true);
}

/* ---- vectors ---- */

int transfer_check_flags(const struct file *f, unsigned flags)
{
	const unsigned known =
		L_RWF_HIPRI | L_RWF_DSYNC | L_RWF_SYNC | L_RWF_NOWAIT | L_RWF_APPEND | L_RWF_NOAPPEND | L_RWF_NOSIGNAL;

	if (flags & ~known)
		return -EOPNOTSUPP;
	if ((flags & L_RWF_APPEND) && (flags & L_RWF_NOAPPEND))
		return -EINVAL;
	if ((flags & L_RWF_NOAPPEND) && (f->inode->iflags & L_FS_APPEND_FL))
		return -EPERM;
	/* What never waits, and what can say so: the other kinds of files are not asked. */
	if ((flags & L_RWF_NOWAIT) && !inode_is(f->inode, L_S_IFREG) && !inode_is(f->inode, L_S_IFIFO))
		return -EOPNOTSUPP;
	return 0;
}

/*
 * What has an operation for one buffer alone is called for each piece until one is not done whole: an event that does not fit the first
 * is not read, however long they are together.
 */
static long by_piece(struct task *t, struct file *f, const struct ua_iov *all, bool write, unsigned flags)
{
	long total = 0;

	if (flags & ~L_RWF_HIPRI)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < all->count; i++) {
		struct ua_iov one;
		long n = ua_iov_single(all->v[i].iov_base, all->v[i].iov_len, &one);

		if (n == 0)
			n = transfer(t, f, &one, OWN_POSITION, write, flags);
		if (n < 0)
			return total ? total : n;
		total += n;
		if ((uint64_t)n != all->v[i].iov_len)
			break;
	}
	return total;
}

static long vector(struct task *t, const struct sys_args *args, int64_t pos, bool write, unsigned flags)
{
	struct ua_iov iov;
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = check_access(f, pos, write);
	if (r == 0)
		r = ua_iov_import(t->ctx, args->a[1], args->a[2], &iov);
	if (r < 0)
		goto out;
	/* Without anything to move Linux asks neither about the flags nor the file. */
	if (iov.total)
		r = transfer_check_flags(f, flags);
	if (r == 0 && iov.total)
		r = f->ops->by_piece & (write ? FILE_WRITE : FILE_READ) ? by_piece(t, f, &iov, write, flags) : transfer(t, f, &iov, pos, write, flags);
	ua_iov_free(&iov);
out:
	file_put(f);
	return r;
}

long sys_readv(struct task *t, const struct sys_args *args)
{
	return vector(t, args, OWN_POSITION, false, 0);
}

long sys_writev(struct task *t, const struct sys_args *args)
{
	return vector(t, args, OWN_POSITION, true, 0);
}

/* pos_l holds all 64 bits on this machine; pos_h adds nothing. */
long sys_preadv(struct task *t, const struct sys_args *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : vector(t, args, (int64_t)args->a[3], false, 0);
}

long sys_pwritev(struct task *t, const struct sys_args *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : vector(t, args, (int64_t)args->a[3], true, 0);
}

static long vector2(struct task *t, const struct sys_args *args, bool write)
{
	int64_t pos = (int64_t)args->a[3];
	unsigned flags = (unsigned)args->a[5];

	if (pos == -1)
		return vector(t, args, OWN_POSITION, write, flags);
	return pos < 0 ? -EINVAL : vector(t, args, pos, write, flags);
}

long sys_preadv2(struct task *t, const struct sys_args *args)
{
	return vector2(t, args, false);
}

long sys_pwritev2(struct task *t, const struct sys_args *args)
{
	return vector2(t, args, true);
}

long sys_lseek(struct task *t, const struct sys_args *args)
{
	struct pctx_position *at;
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = file_lseek(f, (int64_t)args->a[1], (int)args->a[2]);
	at = t->may_lend && f->ops->lendable_pos ? pctx_position(t->ctx) : NULL;
	if (at)
		fd_note_seek(t->files, (int)args->a[0], f, at);
	file_put(f);
	return r;
}
