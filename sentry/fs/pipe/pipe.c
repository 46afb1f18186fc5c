/* The pipe's ring, and reading and writing it.  See pipe.h; making pipes and opening FIFOs: ends.c. */
#include "sentry/fs/pipe/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "host/pages.h"
#include "platform/uaccess.h"
#include "sentry/fs/common.h"
#include "sentry/task/task.h"

#define DEFAULT_SLOTS 16u /* 64 KiB */
#define MAX_SIZE (1ul << 31)

/* A power of two. */
static unsigned slots_for(uint64_t size)
{
	unsigned slots = 1;

	while (slots * PAGE_SIZE < size)
		slots *= 2;
	return slots;
}

static int64_t whole_slots(int64_t size)
{
	return (int64_t)slots_for((uint64_t)size) * (int64_t)PAGE_SIZE;
}

struct tunable pipe_max_size = {1 << 20, PAGE_SIZE, MAX_SIZE, whole_slots};

struct pipe *pipe_new(void)
{
	struct pipe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->bufs = calloc(DEFAULT_SLOTS, sizeof(*p->bufs));
	if (!p->bufs) {
		free(p);
		return NULL;
	}
	p->slots = DEFAULT_SLOTS;
	mutex_init(&p->lock);
	waitqueue_init(&p->wq);
	return p;
}

void pipe_free(struct pipe *p)
{
	pipe_loan_end(p);
	for (unsigned s = 0; s < p->slots; s++)
		host_page_free(p->bufs[s].page);
	free(p->bufs);
	mutex_destroy(&p->lock);
	waitqueue_destroy(&p->wq);
	free(p);
}

static struct pipe_buf *buf_at(const struct pipe *p, unsigned n)
{
	return &p->bufs[(p->first + n) & (p->slots - 1)];
}

/* ---- reading ---- */

/* What may be read in one go: the first packet, or plain pages up to the next. */
static unsigned find_full(const struct pipe *p, uint64_t left, struct pctx_part parts[PCTX_PARTS_MAX])
{
	unsigned count = 0;

	while (left > 0 && count < p->used && count < PCTX_PARTS_MAX) {
		const struct pipe_buf *b = buf_at(p, count);
		size_t want = min_of(left, (uint64_t)b->len);

		if (b->packet && count > 0)
			break;
		parts[count++] = (struct pctx_part){b->page + b->off, want};
		left -= want;
		if (b->packet)
			break;
	}
	return count;
}

/* n bytes of the first page have been read. */
static void drop_bytes(struct pipe *p, size_t n)
{
	struct pipe_buf *b = buf_at(p, 0);

	b->off += (uint32_t)n;
	b->len -= (uint32_t)n;
	if (b->len == 0 || b->packet) {
		p->first = (p->first + 1) & (p->slots - 1);
		p->used--;
	}
}

/* Moves what is there; p->lock held.  Of a page that the reader's memory cannot take whole nothing counts as read, as on Linux. */
static ssize_t take_bytes(struct pipe *p, struct uio *u)
{
	struct pctx_part parts[PCTX_PARTS_MAX] NOT_ZEROED;
	ssize_t total = 0;

	while (uio_left(u) && p->used > 0) {
		bool packet = buf_at(p, 0)->packet;
		unsigned count = find_full(p, uio_left(u), parts);
		ssize_t n = uio_put_parts(u, parts, count);

		for (unsigned k = 0; k < count; k++) {
			if (n < (ssize_t)parts[k].len)
				return total ? total : -EFAULT;
			drop_bytes(p, parts[k].len);
			total += (ssize_t)parts[k].len;
			n -= (ssize_t)parts[k].len;
		}
		if (packet)
			break;
	}
	return total;
}

/* True if a reader need not sleep. */
static bool readable(struct pipe *p)
{
	bool r;

	pipe_lock(p);
	r = p->used > 0 || p->writers == 0;
	mutex_unlock(&p->lock);
	return r;
}

ssize_t pipe_take(struct pipe *p, struct uio *u, bool nonblock)
{
	if (!uio_left(u))
		return 0;
	for (;;) {
		bool ended;
		ssize_t n;
		int r;

		pipe_lock(p);
		ended = p->used == 0 && p->writers == 0;
		n = take_bytes(p, u);
		mutex_unlock(&p->lock);
		if (n != 0)
			waitqueue_wake(&p->wq, L_POLLOUT | L_POLLWRNORM);
		if (n != 0 || ended || nonblock) {
			/* Writers are told whether or not there is more room, as by Linux. */
			fasync_tell(&p->writer_async, L_POLL_OUT);
			return n || ended ? n : -EAGAIN;
		}
		r = wait_event(&p->wq, readable(p));
		if (r < 0)
			return r;
	}
}

static ssize_t pipe_read(struct file *f, struct uio *u, int64_t pos)
{
	return pipe_take(f->priv, u, !(u->rwf & UIO_WAITED) && file_nonblock_for(f, u));
}

/* ---- writing ---- */

/* What the last page still takes: only plain bytes are added to it. */
static size_t tail_room(const struct pipe *p)
{
	const struct pipe_buf *b;

	if (p->used == 0)
		return 0;
	b = buf_at(p, p->used - 1);
	return b->packet ? 0 : PAGE_SIZE - b->off - b->len;
}

/* Appends max bytes from u to the page b: all of them, or as Linux's write(2) none (-EFAULT); partial: as far as it
 * goes. */
static ssize_t fill(struct pipe_buf *b, struct uio *u, size_t max, bool partial)
{
	ssize_t n = uio_take(u, b->page + b->off + b->len, max);

	if (n >= 0 && (size_t)n < max && !partial)
		return -EFAULT;
	if (n > 0)
		b->len += (uint32_t)n;
	return n;
}

/* Free pages for as much of left as they take, in one go. */
static unsigned find_free(struct pipe *p, uint64_t left, struct pctx_part parts[PCTX_PARTS_MAX])
{
	unsigned count = 0;

	while (left > 0 && p->used + count < p->slots && count < PCTX_PARTS_MAX) {
		struct pipe_buf *b = buf_at(p, p->used + count);
		size_t want = min_of(left, PAGE_SIZE);

		if (!b->page)
			b->page = host_page_alloc();
		if (!b->page)
			break;
		parts[count++] = (struct pctx_part){b->page, want};
		left -= want;
	}
	return count;
}

/*
 * Moves what there is room for; p->lock held.  A write of at most PIPE_BUF bytes is done whole or (0) not at all: it
 * fits if the tail takes it, or else a free page, of which none holds less.
 */
static ssize_t put_bytes(struct pipe *p, struct uio *u, bool packet, bool partial)
{
	size_t tail = packet ? 0 : tail_room(p);
	struct pctx_part parts[PCTX_PARTS_MAX] NOT_ZEROED;
	ssize_t total = 0, n = 0;

	if (tail && uio_left(u) % PAGE_SIZE <= tail && uio_left(u) % PAGE_SIZE != 0) {
		size_t part = uio_left(u) % PAGE_SIZE;

		n = fill(buf_at(p, p->used - 1), u, part, partial);
		if (n < 0)
			return n;
		total = n;
		if ((size_t)n < part)
			return total;
	}
	while (uio_left(u) && p->used < p->slots) {
		unsigned count = find_free(p, uio_left(u), parts);

		if (count == 0)
			return total ? total : -ENOMEM;
		n = uio_take_parts(u, parts, count);
		for (unsigned k = 0; k < count; k++) {
			size_t got = (size_t)min_of(max_of(n, (ssize_t)0), (ssize_t)parts[k].len);

			if (got < parts[k].len && (!partial || got == 0))
				return total ? total : -EFAULT;
			*buf_at(p, p->used++) = (struct pipe_buf){.page = parts[k].at, .len = (uint32_t)got, .packet = packet};
			total += (ssize_t)got;
			n -= (ssize_t)got;
			if (got < parts[k].len)
				return total;
		}
	}
	return total;
}

/* True if a writer of left bytes need not sleep: Linux asks for a free page. */
static bool writable(struct pipe *p, uint64_t left)
{
	bool r;

	pipe_lock(p);
	r = p->used < p->slots || p->readers == 0 || (left <= L_PIPE_BUF && left <= tail_room(p));
	mutex_unlock(&p->lock);
	return r;
}

ssize_t pipe_give(struct pipe *p, struct uio *u, bool packet, bool nonblock, bool partial)
{
	ssize_t total = 0;

	if (!uio_left(u))
		return 0;
	for (;;) {
		bool dead, short_copy;
		ssize_t n = 0;
		int r;

		pipe_lock(p);
		dead = p->readers == 0;
		if (!dead)
			n = put_bytes(p, u, packet, partial);
		short_copy = n >= 0 && uio_left(u) && p->used < p->slots; /* a fault, not want of room */
		mutex_unlock(&p->lock);
		if (dead)
			return total ? total : fs_broken_pipe();
		if (n > 0)
			waitqueue_wake(&p->wq, L_POLLIN | L_POLLRDNORM);
		fasync_tell(&p->reader_async, L_POLL_IN);
		if (n < 0)
			return total ? total : n;
		total += n;
		if (!uio_left(u) || (short_copy && n > 0) || (partial && total))
			return total;
		if (nonblock)
			return total ? total : -EAGAIN;
		r = wait_event(&p->wq, writable(p, uio_left(u)));
		if (r < 0)
			return total ? total : r;
	}
}

static ssize_t pipe_write(struct file *f, struct uio *u, int64_t pos)
{
	return pipe_give(f->priv, u, f->flags & L_O_DIRECT, file_nonblock_for(f, u), false);
}

/* ---- poll, ioctl, size ---- */

static uint32_t pipe_poll(struct file *f, struct wait_entry *e)
{
	struct pipe *p = f->priv;
	uint32_t events = 0;

	if (e)
		waitqueue_add(&p->wq, e);
	pipe_lock(p);
	if (f->mode & FILE_READ) {
		if (p->used > 0)
			events |= L_POLLIN | L_POLLRDNORM;
		/* A FIFO that nobody has opened for writing yet since we opened it has not hung up. */
		if (p->writers == 0 && (uint64_t)f->version != p->writer_opens)
			events |= L_POLLHUP;
	}
	if (f->mode & FILE_WRITE) {
		if (p->used < p->slots)
			events |= L_POLLOUT | L_POLLWRNORM;
		if (p->readers == 0)
			events |= L_POLLERR;
	}
	mutex_unlock(&p->lock);
	return events;
}

static long pipe_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	int count = 0;

	if (cmd != L_FIONREAD)
		return -ENOTTY;
	pipe_lock(p);
	for (unsigned n = 0; n < p->used; n++)
		count += (int)buf_at(p, n)->len;
	mutex_unlock(&p->lock);
	return copy_out(ctx, arg, &count, sizeof(count));
}

/* Gives the ring another number of slots, a power of two and no less than are used; p->lock held. */
static int set_slots(struct pipe *p, unsigned slots)
{
	struct pipe_buf *bufs;

	bufs = calloc(slots, sizeof(*bufs));
	if (!bufs)
		return -ENOMEM;
	for (unsigned n = 0; n < p->slots; n++) {
		struct pipe_buf *b = buf_at(p, n);

		if (n < p->used)
			bufs[n] = *b;
		else
			host_page_free(b->page);
	}
	free(p->bufs);
	p->bufs = bufs;
	p->slots = slots;
	p->first = 0;
	return 0;
}

/* size is rounded up to a power of two of pages; what lies in the pipe must fit. */
static long resize(struct pipe *p, uint64_t size, const struct cred *c)
{
	unsigned slots;
	int r;

	if (size > MAX_SIZE)
		return -EINVAL;
	slots = slots_for(size);
	if (slots > p->slots && slots * PAGE_SIZE > tunable_get(&pipe_max_size) && !cred_capable(c, L_CAP_SYS_RESOURCE))
		return -EPERM;
	if (p->used > slots)
		return -EBUSY;
	r = set_slots(p, slots);
	return r < 0 ? r : (long)(slots * PAGE_SIZE);
}

static long pipe_fcntl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	struct task *t = task_current();
	long r;

	pipe_lock(p);
	if (cmd == L_F_GETPIPE_SZ)
		r = (long)(p->slots * PAGE_SIZE);
	else if (cmd == L_F_SETPIPE_SZ)
		r = resize(p, (uint32_t)arg, t ? t->cred : f->cred);
	else
		r = -EINVAL;
	mutex_unlock(&p->lock);
	if (cmd == L_F_SETPIPE_SZ && r > 0)
		waitqueue_wake(&p->wq, L_POLLOUT | L_POLLWRNORM);
	return r;
}

/* ---- splice's ---- */

struct pipe *pipe_of(const struct file *f)
{
	return f->ops == &pipe_ops ? f->priv : NULL;
}

ssize_t pipe_peek(struct pipe *p, void *buf, size_t len)
{
	struct uio u = uio_kernel(buf, len);
	bool ended;

	pipe_lock(p);
	ended = p->used == 0 && p->writers == 0;
	for (unsigned n = 0; n < p->used && uio_left(&u); n++) {
		const struct pipe_buf *b = buf_at(p, n);

		(void)!uio_put(&u, b->page + b->off, b->len); /* into our own memory */
	}
	mutex_unlock(&p->lock);
	return u.done || ended ? (ssize_t)u.done : -EAGAIN;
}

int pipe_wait_readable(struct pipe *p)
{
	return wait_event(&p->wq, readable(p));
}

/* The last pages first; the ring grows past its limit, if it must, rather than lose what was written. */
int pipe_untake(struct pipe *p, const uint8_t *buf, size_t len)
{
	int r = 0;

	pipe_lock(p);
	while (len && r == 0) {
		size_t part = len % PAGE_SIZE ? len % PAGE_SIZE : PAGE_SIZE;
		struct pipe_buf *b;

		if (p->used == p->slots)
			r = set_slots(p, p->slots * 2);
		if (r < 0)
			break;
		b = &p->bufs[(p->first - 1) & (p->slots - 1)];
		if (!b->page)
			b->page = host_page_alloc();
		if (!b->page) {
			r = -ENOMEM;
			break;
		}
		len -= part;
		memcpy(b->page, buf + len, part);
		b->off = 0;
		b->len = (uint32_t)part;
		b->packet = false;
		p->first = (p->first - 1) & (p->slots - 1);
		p->used++;
	}
	mutex_unlock(&p->lock);
	waitqueue_wake(&p->wq, L_POLLIN | L_POLLRDNORM);
	return r;
}

ssize_t pipe_room(struct pipe *p, bool nonblock)
{
	for (;;) {
		ssize_t room;
		bool dead;
		int r;

		pipe_lock(p);
		dead = p->readers == 0;
		room = (ssize_t)((p->slots - min_of(p->used, p->slots)) * PAGE_SIZE);
		mutex_unlock(&p->lock);
		if (dead)
			return fs_broken_pipe();
		if (room)
			return room;
		if (nonblock)
			return -EAGAIN;
		r = wait_event(&p->wq, writable(p, PAGE_SIZE + 1ul));
		if (r < 0)
			return r;
	}
}

static void pipe_end_release(struct file *f)
{
	struct pipe *p = f->priv;
	bool half;

	pipe_lock(p);
	if (f->mode & FILE_READ)
		p->readers--;
	if (f->mode & FILE_WRITE)
		p->writers--;
	if (p->readers == 0 && p->writers == 0)
		p->used = 0; /* a FIFO that is opened again begins empty */
	half = !p->readers != !p->writers;
	mutex_unlock(&p->lock);
	waitqueue_wake(&p->wq, L_POLLIN | L_POLLOUT | L_POLLHUP | L_POLLERR);
	if (half) {
		fasync_tell_later(&p->reader_async, L_POLL_IN);
		fasync_tell_later(&p->writer_async, L_POLL_OUT);
	}
}

static int pipe_fasync(struct file *f, int fd, bool on)
{
	struct pipe *p = f->priv;
	int r = 0;

	if (f->mode & FILE_READ)
		r = fasync_set(&p->reader_async, f, fd, on);
	if (r == 0 && (f->mode & FILE_WRITE)) {
		r = fasync_set(&p->writer_async, f, fd, on);
		if (r < 0) /* no memory for it: both or none */
			(void)!fasync_set(&p->reader_async, f, fd, false);
	}
	return r;
}

const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.lend = pipe_lend,
	.recall = pipe_recall,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.fcntl = pipe_fcntl,
	.fasync = pipe_fasync,
	.release = pipe_end_release,
};
