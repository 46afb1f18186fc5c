/*
 * splice, tee and vmsplice: transfers with a pipe at one end or both.  Bytes are copied where Linux passes pages on; what
 * was taken from a pipe and finds no place goes back to its front.
 */
#include <stdlib.h>

#include "base/checked.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/syscalls/fs_args.h"

#define CHUNK (64u * 1024)
#define OWN_POSITION (-1)
#define KNOWN_FLAGS (L_SPLICE_F_MOVE | L_SPLICE_F_NONBLOCK | L_SPLICE_F_MORE | L_SPLICE_F_GIFT)

struct end {
	struct file *f;
	struct pipe *pipe; /* NULL: no pipe */
	int64_t pos;	   /* of what is no pipe; OWN_POSITION */
};

/* How much of one piece may be moved. */
static size_t piece(uint64_t len)
{
	return (size_t)min_of(len, (uint64_t)CHUNK);
}

/* Waits until there are bytes, and copies up to len of them.  0: there will be none. */
static ssize_t wait_for_bytes(struct pipe *in, uint8_t *buf, size_t len, bool nonblock)
{
	for (;;) {
		ssize_t n = pipe_peek(in, buf, len);

		if (n != -EAGAIN || nonblock)
			return n;
		n = pipe_wait_readable(in);
		if (n < 0)
			return n;
	}
}

bool arg_splices(const struct file *f)
{
	return !inode_is(f->inode, L_S_IFDIR) && (f->inode->mode & L_S_IFMT) != 0;
}

static ssize_t into_pipe(struct end *in, struct pipe *out, uint64_t len, bool nonblock, uint8_t *buf)
{
	struct uio u;
	ssize_t n, room = pipe_room(out, nonblock);

	if (room < 0)
		return room;
	if (!arg_splices(in->f))
		return -EINVAL;
	u = uio_kernel(buf, piece(min_of(len, (uint64_t)room)));
	n = in->pos == OWN_POSITION ? file_read(in->f, &u) : file_pread(in->f, &u, in->pos);
	if (n <= 0)
		return n;
	/* There is room, but for other writers: then wait, since a stream cannot be read again. */
	u = uio_kernel(buf, (size_t)n);
	return pipe_give(out, &u, false, false, false);
}

static int limit_out(struct task *t, const struct end *out, uint64_t *len)
{
	if (out->f->mode & FILE_STREAM)
		return 0;
	return task_limit_fsize(t, out->f, out->pos == OWN_POSITION ? file_position(out->f) : out->pos, len);
}

static ssize_t out_of_pipe(struct task *t, struct pipe *in, struct end *out, uint64_t len, bool nonblock, uint8_t *buf)
{
	struct uio u;
	ssize_t n = wait_for_bytes(in, buf, 1, nonblock), put;

	/* The limit concerns those who have something to write. */
	if (n > 0) {
		int r = limit_out(t, out, &len);

		if (r < 0)
			return r;
		u = uio_kernel(buf, piece(len));
		n = pipe_take(in, &u, nonblock);
	}
	if (n <= 0)
		return n;
	u = uio_kernel(buf, (size_t)n);
	put = out->pos == OWN_POSITION ? file_write(out->f, &u) : file_pwrite(out->f, &u, out->pos);
	if (put < n) {
		int r = pipe_untake(in, buf + max_of(put, 0), (size_t)(n - max_of(put, 0)));

		if (r < 0)
			return r;
	}
	return put;
}

/* The same of what is to go from pipe to pipe: what is to be taken is looked for before anybody asks whether it can be given. */
static ssize_t look_into(struct pipe *in, struct pipe *out, uint8_t *buf, size_t len, bool nonblock)
{
	ssize_t n = wait_for_bytes(in, buf, len, nonblock);

	return n == 0 && pipe_room(out, true) == -EPIPE ? -EPIPE : n;
}

static ssize_t between_pipes(struct pipe *in, struct pipe *out, uint64_t len, bool nonblock, uint8_t *buf)
{
	ssize_t n = look_into(in, out, buf, 1, nonblock), room, put;
	struct uio u;

	if (n <= 0)
		return n;
	room = pipe_room(out, nonblock);
	if (room < 0)
		return room;
	u = uio_kernel(buf, piece(min_of(len, (uint64_t)room)));
	n = pipe_take(in, &u, nonblock);
	if (n <= 0)
		return n;
	u = uio_kernel(buf, (size_t)n);
	put = pipe_give(out, &u, false, nonblock, true);
	if (put < n) {
		int r = pipe_untake(in, buf + max_of(put, 0), (size_t)(n - max_of(put, 0)));

		if (r < 0)
			return r;
	}
	return put;
}

static int check_ends(const struct end *in, const struct end *out, uint64_t off_in, uint64_t off_out)
{
	if (!(in->f->mode & FILE_READ) || !(out->f->mode & FILE_WRITE))
		return -EBADF;
	if (in->pos < OWN_POSITION || out->pos < OWN_POSITION)
		return -EINVAL;
	if ((!in->pipe && !out->pipe) || in->pipe == out->pipe)
		return -EINVAL;
	if ((off_in && (in->f->mode & FILE_STREAM)) || (off_out && (out->f->mode & FILE_STREAM)))
		return -EINVAL;
	if (!out->pipe && ((out->f->flags & L_O_APPEND) || !arg_splices(out->f)))
		return -EINVAL;
	return 0;
}

static int position_in(struct task *t, uint64_t gva, struct end *e)
{
	int r;

	e->pos = OWN_POSITION;
	if (!gva)
		return 0;
	r = copy_in(t->ctx, &e->pos, gva, sizeof(e->pos));
	if (r == 0 && e->pos == OWN_POSITION)
		e->pos = INT64_MIN; /* one as bad as the other */
	return r;
}

static int position_out(struct task *t, uint64_t gva, const struct end *e, ssize_t moved)
{
	int64_t pos = e->pos + moved;

	return gva ? copy_out(t->ctx, gva, &pos, sizeof(pos)) : 0;
}

/*
 * One piece is moved, as much as fits a buffer: like Linux, which moves what a pipe holds or has room for, and leaves it to
 * the caller to go on.
 */
static long splice(struct task *t, struct end *in, uint64_t off_in, struct end *out, uint64_t off_out, uint64_t len,
		   unsigned flags)
{
	bool nonblock = flags & L_SPLICE_F_NONBLOCK;
	int64_t stood = 0;
	uint8_t *buf;
	ssize_t n;
	int r = (in->pipe && off_in) || (out->pipe && off_out) ? -ESPIPE : 0;

	if (r == 0)
		r = position_in(t, off_out, out);
	if (r == 0)
		r = position_in(t, off_in, in);
	if (r == 0 && (int64_t)len < 0)
		r = -EINVAL;
	if (r == 0)
		r = check_ends(in, out, off_in, off_out);
	if (r < 0)
		return r;
	buf = malloc(CHUNK);
	if (!buf)
		return -ENOMEM;
	nonblock |= (in->pipe && file_nonblock(in->f)) || (out->pipe && file_nonblock(out->f));
	if (in->pipe && out->pipe) {
		n = between_pipes(in->pipe, out->pipe, len, nonblock, buf);
	} else if (in->pipe) {
		n = out_of_pipe(t, in->pipe, out, len, nonblock, buf);
	} else {
		stood = file_position(in->f);
		n = into_pipe(in, out->pipe, len, nonblock, buf);
		/* What was read and did not arrive is read again. */
		if (!off_in && !(in->f->mode & FILE_STREAM) && file_lseek(in->f, stood + max_of(n, 0), L_SEEK_SET) < 0)
			n = -EIO;
	}
	free(buf);
	if (n > 0) {
		r = position_out(t, off_in, in, n);
		if (r == 0)
			r = position_out(t, off_out, out, n);
		if (r < 0)
			return r;
	}
	return n;
}

long sys_splice(struct task *t, const struct sys_args *args)
{
	struct end in, out;
	long r;

	if (args->a[4] == 0)
		return 0;
	if ((unsigned)args->a[5] & ~(unsigned)KNOWN_FLAGS)
		return -EINVAL;
	r = arg_file(t, args->a[0], &in.f);
	if (r < 0)
		return r;
	r = arg_file(t, args->a[2], &out.f);
	if (r == 0) {
		in.pipe = pipe_of(in.f);
		out.pipe = pipe_of(out.f);
		r = splice(t, &in, args->a[1], &out, args->a[3], args->a[4], (unsigned)args->a[5]);
		file_put(out.f);
	}
	file_put(in.f);
	return r;
}

/* ---- tee ---- */

static ssize_t tee(struct pipe *in, struct pipe *out, uint64_t len, bool nonblock)
{
	uint8_t *buf = malloc(CHUNK);
	struct uio u;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = look_into(in, out, buf, piece(len), nonblock);
	if (n > 0) {
		u = uio_kernel(buf, (size_t)n);
		n = pipe_give(out, &u, false, nonblock, true);
	}
	free(buf);
	return n;
}

long sys_tee(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[3];
	struct file *in, *out;
	bool nonblock;
	long r;

	if (flags & ~(unsigned)KNOWN_FLAGS)
		return -EINVAL;
	if (args->a[2] == 0)
		return 0;
	r = arg_file(t, args->a[0], &in);
	if (r < 0)
		return r;
	r = arg_file(t, args->a[1], &out);
	if (r < 0) {
		file_put(in);
		return r;
	}
	nonblock = (flags & L_SPLICE_F_NONBLOCK) || file_nonblock(in) || file_nonblock(out);
	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE))
		r = -EBADF;
	else if (!pipe_of(in) || !pipe_of(out) || pipe_of(in) == pipe_of(out))
		r = -EINVAL;
	else
		r = tee(pipe_of(in), pipe_of(out), args->a[2], nonblock);
	file_put(in);
	file_put(out);
	return r;
}

/* ---- vmsplice: the guest's pages are copied, so a gift is as good as any other ---- */

long sys_vmsplice(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[3];
	bool nonblock = flags & L_SPLICE_F_NONBLOCK;
	struct ua_iov iov;
	struct uio u;
	struct file *f;
	long r;

	if (flags & ~(unsigned)KNOWN_FLAGS)
		return -EINVAL;
	r = arg_file(t, args->a[0], &f);
	if (r < 0)
		return r;
	if (f->mode & (FILE_READ | FILE_WRITE))
		r = ua_iov_import(t->ctx, args->a[1], args->a[2], &iov);
	else
		r = -EBADF;
	if (r == 0) {
		u = uio_guest(t->ctx, &iov);
		if (uio_left(&u) == 0)
			r = 0;
		else if (!pipe_of(f))
			r = -EBADF;
		else if (f->mode & FILE_WRITE)
			r = pipe_give(pipe_of(f), &u, false, nonblock, true);
		else
			r = pipe_take(pipe_of(f), &u, nonblock);
		ua_iov_free(&iov);
	}
	file_put(f);
	return r;
}
