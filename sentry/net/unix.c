/*
 * The two ends of a connected pair, their queues, and sending and receiving.  See unix.h.
 *
 * Both ends live in one unix_pair with one lock and one wait queue, since almost every change concerns both: what one
 * end sends lies in the other's queue and is charged to the sender's buffer.  The lock may be held over a copy to guest
 * memory; nothing is taken while it is held but the lock of fasync.c.
 */
#include "sentry/net/unix.h"

#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/fs/common.h"
#include "sentry/vfs/fasync.h"

#define DEFAULT_BUFFER 212992u /* net.core.wmem_default, and wmem_max */
#define MIN_BUFFER 4608u
#define CHARGE 768u		/* what a message costs beside its bytes, about as on Linux */
#define STREAM_CHUNK 32768u	/* a stream's bytes are queued in messages of at most so many */

struct unix_msg {
	struct list_head node;
	size_t off, len; /* bytes taken already; bytes in all */
	bool eor;	 /* sent with MSG_EOR */
	uint8_t data[];
};

struct unix_end {
	struct unix_pair *pair; /* immutable */
	/* Guarded by pair->lock. */
	struct list_head queue;	   /* of unix_msg.node: what it may receive */
	size_t charged;		   /* for what it sent and the peer has not taken */
	uint32_t send_buffer;	   /* the limit of that */
	int error;		   /* an errno, told once; 0: none */
	bool recv_shut, send_shut; /* shutdown(2), the peer's too */
	bool closed;
	bool wants_room; /* a send found none: the owner is to be told of it (SIGIO) */
	struct fasync_list async;
};

struct unix_pair {
	struct mutex lock;
	struct waitqueue wq;  /* everything that can happen to either end */
	int type;	      /* immutable, as is maker */
	struct l_ucred maker;
	struct unix_end end[2];
};

static const struct file_ops unix_ops;

static struct unix_end *peer_of(const struct unix_end *e)
{
	return &e->pair->end[e == &e->pair->end[0]];
}

static bool is_stream(const struct unix_end *e)
{
	return e->pair->type == L_SOCK_STREAM;
}

bool unix_file_is(const struct file *f)
{
	return f->ops == &unix_ops;
}

/* Takes a message off e's queue for good; lock held. */
static void drop_first(struct unix_end *e)
{
	struct unix_msg *m = list_first_entry(&e->queue, struct unix_msg, node);

	list_del_init(&m->node);
	peer_of(e)->charged -= m->len + CHARGE;
	free(m);
}

/* ---- sending ---- */

/* 0 if e may send; lock held. */
static int send_error(struct unix_end *e)
{
	const struct unix_end *peer = peer_of(e);

	if (e->error && !is_stream(e)) {
		int error = e->error;

		e->error = 0;
		return -error;
	}
	if (e->send_shut)
		return -EPIPE;
	if (peer->closed)
		return e->pair->type == L_SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
	return peer->recv_shut ? -EPIPE : 0;
}

/* As Linux has it, a sender is told of room when three quarters of its buffer are free. */
static bool has_much_room(const struct unix_end *e)
{
	return e->charged * 4 <= e->send_buffer;
}

static bool has_room(const struct unix_end *e)
{
	return e->charged < e->send_buffer;
}

/* True if a sender need not sleep. */
static bool sendable(struct unix_end *e)
{
	bool r;

	mutex_lock(&e->pair->lock);
	r = has_room(e) || e->send_shut || e->error || peer_of(e)->closed || peer_of(e)->recv_shut;
	mutex_unlock(&e->pair->lock);
	return r;
}

/* Waits for room and queues m (consumed on success). */
static int queue_message(struct unix_end *e, struct unix_msg *m, bool nonblock)
{
	for (;;) {
		bool done;
		int r;

		mutex_lock(&e->pair->lock);
		r = send_error(e);
		done = r == 0 && has_room(e);
		if (done) {
			list_add_tail(&m->node, &peer_of(e)->queue);
			e->charged += m->len + CHARGE;
		} else if (r == 0) {
			e->wants_room = true;
		}
		mutex_unlock(&e->pair->lock);
		if (done) {
			waitqueue_wake(&e->pair->wq, L_POLLIN | L_POLLRDNORM);
			fasync_tell(&peer_of(e)->async, L_POLL_IN);
		}
		if (done || r < 0)
			return r;
		if (nonblock)
			return -EAGAIN;
		r = wait_event(&e->pair->wq, sendable(e));
		if (r < 0)
			return r;
	}
}

/* The next len bytes of u as a message of the caller's. */
static int take_message(struct uio *u, size_t len, struct unix_msg **out)
{
	struct unix_msg *m = malloc(sizeof(*m) + len);
	ssize_t n;

	if (!m)
		return -ENOBUFS;
	n = len ? uio_take(u, m->data, len) : 0;
	if (n != (ssize_t)len) {
		free(m);
		return -EFAULT;
	}
	m->off = 0;
	m->len = len;
	m->eor = false;
	*out = m;
	return 0;
}

static ssize_t send_packet(struct unix_end *e, struct uio *u, unsigned flags, bool nonblock)
{
	size_t len = uio_left(u);
	struct unix_msg *m;
	uint32_t limit;
	int r;

	mutex_lock(&e->pair->lock);
	limit = e->send_buffer - 32;
	mutex_unlock(&e->pair->lock);
	if (len > limit)
		return -EMSGSIZE;
	r = take_message(u, len, &m);
	if (r < 0)
		return r;
	m->eor = flags & L_MSG_EOR;
	r = queue_message(e, m, nonblock);
	if (r < 0) {
		free(m);
		return r;
	}
	return (ssize_t)len;
}

static ssize_t send_stream(struct unix_end *e, struct uio *u, unsigned flags, bool nonblock)
{
	ssize_t total = 0;
	int r;

	mutex_lock(&e->pair->lock);
	r = send_error(e);
	mutex_unlock(&e->pair->lock);
	while (r == 0 && uio_left(u)) {
		size_t len = min_of(uio_left(u), (uint64_t)STREAM_CHUNK);
		struct unix_msg *m;

		r = take_message(u, len, &m);
		if (r < 0)
			break;
		r = queue_message(e, m, nonblock);
		if (r < 0)
			free(m);
		else
			total += (ssize_t)len;
	}
	if (total || r == 0)
		return total;
	return r == -EPIPE && !(flags & L_MSG_NOSIGNAL) ? fs_broken_pipe() : r;
}

ssize_t unix_send(struct file *f, struct uio *u, unsigned flags)
{
	bool nonblock = file_nonblock(f) || (flags & L_MSG_DONTWAIT);

	if (flags & L_MSG_OOB)
		return -EOPNOTSUPP;
	return is_stream(f->priv) ? send_stream(f->priv, u, flags, nonblock) : send_packet(f->priv, u, flags, nonblock);
}

static ssize_t unix_write(struct file *f, struct uio *u, int64_t pos)
{
	return unix_send(f, u, 0);
}

/* ---- receiving ---- */

/* True if a receiver need not sleep. */
static bool receivable(struct unix_end *e)
{
	bool r;

	mutex_lock(&e->pair->lock);
	r = !list_empty(&e->queue) || e->recv_shut || e->error;
	mutex_unlock(&e->pair->lock);
	return r;
}

/* The first packet into u; lock held, and there is one. */
static ssize_t take_packet(struct unix_end *e, struct uio *u, unsigned flags, unsigned *out_flags)
{
	struct unix_msg *m = list_first_entry(&e->queue, struct unix_msg, node);
	size_t want = min_of(uio_left(u), (uint64_t)m->len), len = m->len;
	ssize_t n = want ? uio_put(u, m->data, want) : 0;

	if (n != (ssize_t)want)
		n = -EFAULT;
	else if (len > want)
		*out_flags |= L_MSG_TRUNC;
	if (m->eor)
		*out_flags |= L_MSG_EOR;
	if (!(flags & L_MSG_PEEK))
		drop_first(e);
	return n >= 0 && (flags & L_MSG_TRUNC) ? (ssize_t)len : n;
}

/* What the queue holds, as far as u takes it; lock held.  Of a piece that u's memory cannot take whole nothing counts as received. */
static ssize_t take_stream(struct unix_end *e, struct uio *u, unsigned flags)
{
	struct unix_msg *m, *next;
	ssize_t total = 0;

	list_for_each_entry_safe(m, next, &e->queue, node) {
		size_t want = min_of(uio_left(u), (uint64_t)(m->len - m->off));
		ssize_t n;

		if (!want)
			break;
		n = uio_put(u, m->data + m->off, want);
		if (n != (ssize_t)want)
			return total ? total : -EFAULT;
		total += n;
		if (!(flags & L_MSG_PEEK)) {
			m->off += (size_t)n;
			if (m->off == m->len)
				drop_first(e);
		}
	}
	return total;
}

/* One try; lock held.  -EAGAIN: nothing yet. */
static ssize_t take(struct unix_end *e, struct uio *u, unsigned flags, unsigned *out_flags)
{
	if (!list_empty(&e->queue))
		return is_stream(e) ? take_stream(e, u, flags) : take_packet(e, u, flags, out_flags);
	if (e->error) {
		int error = e->error;

		e->error = 0;
		return -error;
	}
	return e->recv_shut ? 0 : -EAGAIN;
}

ssize_t unix_recv(struct file *f, struct uio *u, unsigned flags, unsigned *out_flags)
{
	struct unix_end *e = f->priv;
	bool nonblock = file_nonblock(f) || (flags & L_MSG_DONTWAIT);
	bool all = (flags & L_MSG_WAITALL) && is_stream(e) && !(flags & L_MSG_PEEK);
	ssize_t total = 0;

	*out_flags = 0;
	if (flags & L_MSG_OOB)
		return is_stream(e) ? -EINVAL : -EOPNOTSUPP;
	if (is_stream(e) && !uio_left(u))
		return 0;
	for (;;) {
		ssize_t n;
		int r;

		mutex_lock(&e->pair->lock);
		n = take(e, u, flags, out_flags);
		if (peer_of(e)->wants_room && has_much_room(peer_of(e))) {
			peer_of(e)->wants_room = false;
			fasync_tell_later(&peer_of(e)->async, L_POLL_OUT);
		}
		mutex_unlock(&e->pair->lock);
		if (n > 0 && !(flags & L_MSG_PEEK))
			waitqueue_wake(&e->pair->wq, L_POLLOUT | L_POLLWRNORM);
		if (n > 0)
			total += n;
		if (n >= 0 && !(all && n > 0 && uio_left(u)))
			return total;
		if (n < 0 && n != -EAGAIN)
			return total ? total : n;
		if (nonblock)
			return total ? total : -EAGAIN;
		r = wait_event(&e->pair->wq, receivable(e));
		if (r < 0)
			return total ? total : r;
	}
}

static ssize_t unix_read(struct file *f, struct uio *u, int64_t pos)
{
	unsigned flags;

	return uio_left(u) ? unix_recv(f, u, 0, &flags) : 0;
}

/* ---- state ---- */

int unix_shutdown(struct file *f, int how)
{
	struct unix_end *e = f->priv, *peer = peer_of(e);
	bool rd = how == L_SHUT_RD || how == L_SHUT_RDWR, wr = how == L_SHUT_WR || how == L_SHUT_RDWR;

	if (!rd && !wr)
		return -EINVAL;
	mutex_lock(&e->pair->lock);
	e->recv_shut |= rd;
	e->send_shut |= wr;
	if (e->pair->type != L_SOCK_DGRAM) {
		peer->send_shut |= rd;
		peer->recv_shut |= wr;
		if (wr)
			fasync_tell_later(&peer->async, rd ? L_POLL_HUP : L_POLL_IN);
	}
	mutex_unlock(&e->pair->lock);
	waitqueue_wake(&e->pair->wq, L_POLLIN | L_POLLOUT | L_POLLHUP | L_POLLRDHUP);
	return 0;
}

static uint32_t unix_poll(struct file *f, struct wait_entry *entry)
{
	struct unix_end *e = f->priv;
	uint32_t events = 0;

	if (entry)
		waitqueue_add(&e->pair->wq, entry);
	mutex_lock(&e->pair->lock);
	if (e->error)
		events |= L_POLLERR;
	if (e->recv_shut && e->send_shut)
		events |= L_POLLHUP;
	if (e->recv_shut)
		events |= L_POLLRDHUP | L_POLLIN | L_POLLRDNORM;
	if (!list_empty(&e->queue))
		events |= L_POLLIN | L_POLLRDNORM;
	if (has_much_room(e))
		events |= L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND;
	mutex_unlock(&e->pair->lock);
	return events;
}

static long unix_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct unix_end *e = f->priv;
	struct unix_msg *m;
	int32_t count = 0;

	if (cmd != L_TIOCINQ && cmd != L_TIOCOUTQ)
		return -ENOTTY;
	mutex_lock(&e->pair->lock);
	if (cmd == L_TIOCOUTQ)
		count = (int32_t)e->charged;
	else
		list_for_each_entry(m, &e->queue, node) {
			count += (int32_t)(m->len - m->off);
			if (!is_stream(e))
				break; /* the first packet's size */
		}
	mutex_unlock(&e->pair->lock);
	return copy_out(ctx, arg, &count, sizeof(count));
}

int unix_type(const struct file *f)
{
	const struct unix_end *e = f->priv;

	return e->pair->type;
}

void unix_peer_cred(const struct file *f, struct l_ucred *out)
{
	const struct unix_end *e = f->priv;

	*out = e->pair->maker;
}

int unix_take_error(struct file *f)
{
	struct unix_end *e = f->priv;
	int error;

	mutex_lock(&e->pair->lock);
	error = e->error;
	e->error = 0;
	mutex_unlock(&e->pair->lock);
	return error;
}

uint32_t unix_send_buffer(struct file *f)
{
	struct unix_end *e = f->priv;
	uint32_t size;

	mutex_lock(&e->pair->lock);
	size = e->send_buffer;
	mutex_unlock(&e->pair->lock);
	return size;
}

void unix_set_send_buffer(struct file *f, uint32_t size)
{
	struct unix_end *e = f->priv;

	mutex_lock(&e->pair->lock);
	e->send_buffer = size < MIN_BUFFER / 2 ? MIN_BUFFER : min_of(size, DEFAULT_BUFFER) * 2;
	mutex_unlock(&e->pair->lock);
	waitqueue_wake(&e->pair->wq, L_POLLOUT | L_POLLWRNORM);
}

/* ---- life ---- */

static void pair_free(struct unix_pair *p)
{
	waitqueue_destroy(&p->wq);
	mutex_destroy(&p->lock);
	free(p);
}

/* What was not read is lost, and the peer of a connection is told so (ECONNRESET). */
static void close_end(struct unix_end *e)
{
	struct unix_pair *p = e->pair;
	struct unix_end *peer = peer_of(e);
	bool last, unread;

	mutex_lock(&p->lock);
	unread = !list_empty(&e->queue);
	while (!list_empty(&e->queue))
		drop_first(e);
	e->closed = e->recv_shut = e->send_shut = true;
	if (p->type != L_SOCK_DGRAM) {
		peer->recv_shut = peer->send_shut = true;
		fasync_tell_later(&peer->async, L_POLL_HUP); /* with the lock held: see below */
		if (unread)
			peer->error = ECONNRESET;
	}
	last = peer->closed;
	if (!last) /* with the lock held: the peer may close and free the pair as soon as it is dropped */
		waitqueue_wake(&p->wq, L_POLLIN | L_POLLOUT | L_POLLHUP | L_POLLRDHUP | L_POLLERR);
	mutex_unlock(&p->lock);
	if (last)
		pair_free(p);
}

static void unix_release(struct file *f)
{
	close_end(f->priv);
}

static int unix_fasync(struct file *f, int fd, bool on)
{
	struct unix_end *e = f->priv;

	return fasync_set(&e->async, f, fd, on);
}

/* Descriptors on their way: none, for none are taken. */
static void unix_fdinfo(struct file *f, char *buf, size_t size)
{
	(void)f;
	snprintf(buf, size, "scm_fds: %d\n", 0);
}

static const struct file_ops unix_ops = {
	.fdinfo = unix_fdinfo,
	.read = unix_read,
	.write = unix_write,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.fasync = unix_fasync,
	.release = unix_release,
};

int unix_pair_new(int type, uint32_t flags, const struct l_ucred *maker, const struct cred *c, struct file *out[2])
{
	struct unix_pair *p;
	int r;

	if (type != L_SOCK_STREAM && type != L_SOCK_DGRAM && type != L_SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	mutex_init(&p->lock);
	waitqueue_init(&p->wq);
	p->type = type;
	p->maker = *maker;
	for (int i = 0; i < 2; i++) {
		p->end[i].pair = p;
		list_init(&p->end[i].queue);
		p->end[i].send_buffer = DEFAULT_BUFFER;
	}
	for (int i = 0; i < 2; i++) {
		r = file_anonymous("socket:", &unix_ops, &p->end[i], L_O_RDWR | flags, FILE_READ | FILE_WRITE | FILE_STREAM,
				   c, &out[i]);
		if (r < 0 && i == 0)
			pair_free(p);
		else if (r < 0) {
			close_end(&p->end[1]);
			file_put(out[0]);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
