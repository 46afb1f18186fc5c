/*
 * Transfers between two open files, through a buffer of the sentry's: sendfile and copy_file_range.
 *
 * What was read and could not be written is not lost: the source's position moves by what arrived.
 */
#include <stdlib.h>

#include "abi/ioctl.h"
#include "base/checked.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/syscalls/fs_args.h"

#define CHUNK (64u * 1024)
#define OWN_POSITION INT64_MIN /* the file's own, not the guest's */

/* One side: the file, and a position that is either the caller's or the file's. */
struct side {
	struct file *f;
	int64_t pos; /* OWN_POSITION, or where the next byte is */
};

/* Copies len bytes; the count, or -errno if there is none.  from->pos is a position, unless it is a stream; to->pos may be
 * OWN_POSITION. */
static int64_t copy(struct task *t, struct side *from, struct side *to, uint64_t len)
{
	uint8_t *buf = malloc(CHUNK);
	uint64_t done = 0;
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	while (done < len) {
		struct uio in = uio_kernel(buf, (size_t)min_of(len - done, (uint64_t)CHUNK)), out;
		uint64_t got;

		n = from->f->mode & FILE_STREAM ? file_read(from->f, &in) : file_pread(from->f, &in, from->pos);
		if (n <= 0)
			break;
		got = (uint64_t)n;
		n = -EINVAL;
		if (!arg_splices(to->f))
			break;
		n = task_limit_fsize(t, to->f, to->pos == OWN_POSITION ? file_position(to->f) : to->pos, &got);
		if (n < 0)
			break;
		out = uio_kernel(buf, (size_t)got);
		n = to->pos == OWN_POSITION ? file_write(to->f, &out) : file_pwrite(to->f, &out, to->pos);
		if (n <= 0)
			break;
		done += (uint64_t)n;
		from->pos += n;
		if (to->pos != OWN_POSITION)
			to->pos += n;
		if ((uint64_t)n < in.done)
			break;
	}
	free(buf);
	return done ? (int64_t)done : n;
}

/* The position that the guest keeps at gva; OWN_POSITION if there is none. */
static int copy_in_pos(struct task *t, uint64_t gva, int64_t *pos)
{
	int r;

	*pos = OWN_POSITION;
	if (!gva)
		return 0;
	r = copy_in(t->ctx, pos, gva, sizeof(*pos));
	if (r == 0 && *pos == OWN_POSITION)
		*pos = -1; /* one as bad as the other */
	return r;
}

static int set_position(struct task *t, uint64_t gva, struct file *f, int64_t pos)
{
	if (gva)
		return copy_out(t->ctx, gva, &pos, sizeof(pos));
	pos = file_lseek(f, pos, L_SEEK_SET);
	return pos < 0 ? (int)pos : 0;
}

/* Linux's order: what concerns the source alone comes before the target is looked at.  pos: OWN_POSITION, or the
 * guest's. */
static int check_source(const struct file *in, int64_t pos, uint64_t count)
{
	if (!(in->mode & FILE_READ))
		return -EBADF;
	if (pos != OWN_POSITION && (!(in->mode & FILE_PREAD) || (in->mode & FILE_STREAM)))
		return -ESPIPE;
	return (pos != OWN_POSITION && pos < 0) || count > INT64_MAX ? -EINVAL : 0;
}

/* *pos: OWN_POSITION, or where to begin; afterwards where it ended. */
static long send_file(struct task *t, struct file *out, struct file *in, int64_t *pos, uint64_t count)
{
	struct side from = {in, *pos}, to = {out, OWN_POSITION};
	struct pipe *pipe = pipe_of(out);
	int64_t n;

	if (!(out->mode & FILE_WRITE))
		return -EBADF;
	if (pipe) {
		/* As much as it has room for now, from whatever there is; streams can be read for a pipe alone. */
		n = pipe_room(pipe, file_nonblock(out));
		if (n < 0)
			return n;
		count = min_of(count, (uint64_t)n);
	} else if ((out->flags & L_O_APPEND) || ((in->mode & FILE_STREAM) && arg_splices(in))) {
		return -EINVAL;
	}
	if (!count)
		return 0;
	if (!arg_splices(in) || pipe_of(in))
		return -EINVAL;
	if (from.pos == OWN_POSITION && !(in->mode & FILE_STREAM))
		from.pos = file_position(in);
	n = copy(t, &from, &to, min_of(count, (uint64_t)L_MAX_RW_COUNT));
	*pos = from.pos;
	return n;
}

long sys_sendfile(struct task *t, const struct sys_args *args)
{
	int64_t pos = OWN_POSITION;
	struct file *in, *out;
	long r = copy_in_pos(t, args->a[2], &pos);

	if (r == 0)
		r = arg_file(t, args->a[1], &in);
	if (r < 0)
		return r;
	r = check_source(in, pos, args->a[3]);
	if (r == 0)
		r = arg_file(t, args->a[0], &out);
	if (r == 0) {
		r = send_file(t, out, in, &pos, args->a[3]);
		file_put(out);
	}
	/* The guest's is written even if nothing was moved. */
	if ((r > 0 && !(in->mode & FILE_STREAM)) || args->a[2]) {
		int put = set_position(t, args->a[2], in, pos);

		if (put < 0)
			r = put;
	}
	file_put(in);
	return r;
}

static int copy_range_check(const struct file *in, const struct file *out)
{
	if (inode_is(in->inode, L_S_IFDIR) || inode_is(out->inode, L_S_IFDIR))
		return -EISDIR;
	if (!inode_is(in->inode, L_S_IFREG) || !inode_is(out->inode, L_S_IFREG))
		return -EINVAL;
	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE) || (out->flags & L_O_APPEND))
		return -EBADF;
	return in->inode->sb == out->inode->sb ? 0 : -EXDEV;
}

/* Shortens *len to what the source has and the target may hold. */
static int copy_range_limits(struct task *t, const struct side *from, const struct side *to, uint64_t *len)
{
	struct l_statx st = {0};
	uint64_t room;
	int r;

	if (*len > UINT64_MAX - (uint64_t)from->pos || *len > UINT64_MAX - (uint64_t)to->pos)
		return -EOVERFLOW;
	r = vfs_getattr(&from->f->path, &st);
	if (r < 0)
		return r;
	*len = from->pos < (int64_t)st.stx_size ? min_of(*len, st.stx_size - (uint64_t)from->pos) : 0;
	room = max_of(*len, (uint64_t)1); /* the limit is asked for even if there is nothing to copy */
	r = task_limit_fsize(t, to->f, to->pos, &room);
	if (r < 0)
		return r;
	*len = min_of(*len, room);
	if (to->pos == INT64_MAX)
		return -EFBIG;
	*len = min_of(*len, (uint64_t)(INT64_MAX - to->pos));
	return 0;
}

static bool overlap(const struct side *a, const struct side *b, uint64_t len)
{
	return a->f->inode == b->f->inode && (uint64_t)a->pos < (uint64_t)b->pos + len &&
	       (uint64_t)b->pos < (uint64_t)a->pos + len;
}

static long copy_range(struct task *t, struct file *in, uint64_t off_in, struct file *out, uint64_t off_out,
		       uint64_t len, unsigned flags)
{
	struct side from = {in, 0}, to = {out, 0};
	int64_t n;
	int r;

	r = copy_in_pos(t, off_in, &from.pos);
	if (r == 0)
		r = copy_in_pos(t, off_out, &to.pos);
	if (r == 0 && flags)
		r = -EINVAL;
	if (r == 0)
		r = copy_range_check(in, out);
	if (r < 0)
		return r;
	if (!off_in)
		from.pos = file_position(in);
	if (!off_out)
		to.pos = file_position(out);
	r = copy_range_limits(t, &from, &to, &len);
	if (r < 0)
		return r;
	if (overlap(&from, &to, len) || from.pos < 0 || to.pos < 0)
		return -EINVAL;
	len = min_of(len, (uint64_t)L_MAX_RW_COUNT);
	n = len ? copy(t, &from, &to, len) : 0;
	if (n > 0) {
		r = set_position(t, off_in, in, from.pos);
		if (r == 0)
			r = set_position(t, off_out, out, to.pos);
		if (r < 0)
			return r;
	}
	return n;
}

long sys_copy_file_range(struct task *t, const struct sys_args *args)
{
	struct file *in, *out;
	long r = arg_file(t, args->a[0], &in);

	if (r < 0)
		return r;
	r = arg_file(t, args->a[2], &out);
	if (r == 0) {
		r = copy_range(t, in, args->a[1], out, args->a[3], args->a[4], (unsigned)args->a[5]);
		file_put(out);
	}
	file_put(in);
	return r;
}

/* ---- FICLONE and its kin ---- */

/* No file system here lets two files share what they hold; what else is wrong is told first, as Linux does. */
static long clone_check(const struct file *from, const struct file *to)
{
	int r;

	if (from->inode->sb != to->inode->sb)
		return -EXDEV;
	r = copy_range_check(from, to);
	return r < 0 ? r : -EOPNOTSUPP;
}

static long clone_into(struct task *t, struct file *to, int64_t fd)
{
	struct file *from;
	long r = arg_file(t, (uint64_t)fd, &from);

	if (r < 0)
		return r;
	r = clone_check(from, to);
	file_put(from);
	return r;
}

static long clone_range_into(struct task *t, struct file *to, gva_t arg)
{
	struct l_file_clone_range range;
	int r = copy_in(t->ctx, &range, arg, sizeof(range));

	return r < 0 ? r : clone_into(t, to, range.src_fd);
}

static long dedupe(struct task *t, const struct file *from, gva_t arg)
{
	struct l_file_dedupe_range range;
	int r = copy_in(t->ctx, &range, arg, sizeof(range));

	if (r < 0)
		return r;
	if (sizeof(range) + range.dest_count * sizeof(struct l_file_dedupe_range_info) > PAGE_SIZE)
		return -ENOMEM;
	if (!(from->mode & FILE_READ) || range.reserved1 || range.reserved2)
		return -EINVAL;
	if (inode_is(from->inode, L_S_IFDIR))
		return -EISDIR;
	return inode_is(from->inode, L_S_IFREG) ? -EOPNOTSUPP : -EINVAL;
}

long share_ioctl(struct task *t, struct file *f, unsigned cmd, gva_t arg)
{
	switch (cmd) {
	case L_FICLONE:
		return clone_into(t, f, (int32_t)arg);
	case L_FICLONERANGE:
		return clone_range_into(t, f, arg);
	default:
		return dedupe(t, f, arg);
	}
}
