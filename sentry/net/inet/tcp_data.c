/*
 * What goes over a connection.  A sender's bytes are put into its peer's queue at once; how much may lie there is what both ends'
 * buffers hold together.  Buffers that no program has set are large, as Linux's grow to be; and all are small while the sandbox holds too
 * much in all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "sentry/core/uio.h"
#include "sentry/fs/common.h"
#include "sentry/net/inet/tcp.h"

#define PIECE_MAX 65536u	 /* bytes that are copied at once */
#define CHUNK_MIN 2048u		 /* room in a chunk, so that small pieces need none of their own */
#define GROWN_BUFFER 2097152u	 /* what a buffer that nobody has set grows to */
#define SMALL_BUFFER 16384u	 /* and what any has at most when all together hold more than: */
#define ALL_BUFFERS 268435456u

static _Atomic size_t all_queued; /* bytes in all queues */

/* ---- queues ---- */

static void count(struct tcp_sock *s, ssize_t bytes) REQUIRES(inet_lock)
{
	s->queued += (size_t)bytes;
	all_queued += (size_t)bytes;
}

void tcp_drop_queue(struct tcp_sock *s, struct list_head *out)
{
	list_splice_tail_init(&s->queue, out);
	count(s, -(ssize_t)s->queued);
	s->urgent = TCP_URG_NONE;
}

void tcp_free_chunks(struct list_head *chunks)
{
	struct tcp_chunk *c, *next;

	list_for_each_entry_safe (c, next, chunks, node) {
		list_del_init(&c->node);
		free(c);
	}
}

static size_t buffer(uint32_t size, uint32_t initial)
{
	size_t mine = size != initial ? size : GROWN_BUFFER;

	return all_queued > ALL_BUFFERS ? min_of(mine, (size_t)SMALL_BUFFER) : mine;
}

/* What may lie between s and its peer. */
static size_t capacity(const struct tcp_sock *s) REQUIRES(inet_lock)
{
	return buffer(s->inet.sock.send_buffer, TCP_SEND_DEFAULT) + buffer(s->peer->inet.sock.recv_buffer, TCP_RECV_DEFAULT);
}

size_t tcp_room(const struct tcp_sock *s)
{
	size_t cap;

	if (!s->peer)
		return SMALL_BUFFER; /* nobody takes it: the answer will be a RST */
	cap = capacity(s);
	return cap > s->peer->queued ? cap - s->peer->queued : 0;
}

bool tcp_has_much_room(const struct tcp_sock *s)
{
	return !s->peer || s->peer->queued * 3 <= capacity(s) * 2;
}

size_t tcp_readable(const struct tcp_sock *s)
{
	/* A byte out of band that is next is no part of the stream. */
	if (s->urgent != TCP_URG_NONE && s->urgent_at == s->taken && s->queued && !socket_has(&s->inet.sock, SOCKET_OOBINLINE))
		return s->queued - 1;
	return s->queued;
}

/* ---- sending ---- */

static bool sendable(struct tcp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = s->inet.sock.error || s->send_shut || (s->state != TCP_SYN_SENT && tcp_room(s));
	if (!r)
		s->wants_room = true;
	mutex_unlock(&inet_lock);
	return r;
}

/* Whether s may send, and how much (*room): -EAGAIN, nothing yet. */
static int look(struct tcp_sock *s, size_t *room)
{
	int r;

	mutex_lock(&inet_lock);
	r = socket_take_error(&s->inet.sock);
	if (r < 0) {
		mutex_unlock(&inet_lock);
		return r;
	}
	if (s->state == TCP_SYN_SENT) {
		r = -EAGAIN;
	} else if (s->send_shut || (s->state != TCP_ESTABLISHED && s->state != TCP_CLOSE_WAIT)) {
		r = -EPIPE;
	} else {
		*room = tcp_room(s);
		if (!*room) {
			s->wants_room = s->wants_signal = true;
			r = -EAGAIN;
		}
	}
	mutex_unlock(&inet_lock);
	return r;
}

/* The last byte of what has just been queued for s is out of band. */
static void mark_urgent(struct tcp_sock *s) REQUIRES(inet_lock)
{
	const struct tcp_chunk *last = list_last_entry(&s->queue, struct tcp_chunk, node);

	s->urgent = TCP_URG_VALID;
	s->urgent_at = s->taken + s->queued - 1;
	s->urgent_byte = last->data[last->len - 1];
}

/* Puts c's bytes into s's queue; c itself unless they go into the last one there.  Then it is the caller's to free. */
static bool append(struct tcp_sock *s, struct tcp_chunk *c) REQUIRES(inet_lock)
{
	struct tcp_chunk *last = list_last_entry(&s->queue, struct tcp_chunk, node);

	count(s, (ssize_t)c->len);
	if (!list_empty(&s->queue) && last->cap - last->len >= c->len) {
		memcpy(last->data + last->len, c->data, c->len);
		last->len += c->len;
		return false;
	}
	list_add_tail(&c->node, &s->queue);
	return true;
}

/* SIGURG, whether O_ASYNC was asked for or not: socket(7). */
static void tell_urgent(struct file_owner *o)
{
	if (!o->pid || !file_owner_signal)
		return;
	o->sig = L_SIGURG;
	file_owner_signal(o, -1, L_POLL_PRI);
}

/* Gives c to s's peer: its bytes count as sent, whether there is one or not. */
static int deliver(struct tcp_sock *s, struct tcp_chunk *c, bool urgent)
{
	struct file_owner owner = {0};
	struct tcp_sock *peer = NULL;
	bool kept = false;
	int r = 0;

	mutex_lock(&inet_lock);
	if (s->send_shut) {
		r = socket_take_error(&s->inet.sock);
		if (r == 0)
			r = -EPIPE;
	} else if (!s->peer) { /* who is gone says so */
		tcp_reset(s);
	} else {
		peer = tcp_get(s->peer);
		kept = append(peer, c);
		if (urgent) {
			mark_urgent(peer);
			if (peer->inet.file)
				owner = file_owner(peer->inet.file);
		}
	}
	mutex_unlock(&inet_lock);
	if (!kept)
		free(c);
	if (peer) {
		waitqueue_wake(&peer->inet.sock.wq, urgent ? L_POLLIN | L_POLLRDNORM | L_POLLPRI : L_POLLIN | L_POLLRDNORM);
		if (urgent)
			tell_urgent(&owner);
		fasync_tell(&peer->inet.sock.async, L_POLL_IN);
		tcp_put(peer);
	} else if (r == 0) {
		tcp_tell(s);
	}
	return r;
}

static int send_piece(struct tcp_sock *s, struct net_msg *m, size_t room)
{
	size_t len = min_of(min_of(uio_left(m->u), (uint64_t)room), (uint64_t)PIECE_MAX), cap = max_of(len, (size_t)CHUNK_MIN);
	struct tcp_chunk *c = malloc(sizeof(*c) + cap);

	if (!c)
		return -ENOBUFS;
	if (uio_take(m->u, c->data, len) != (ssize_t)len) {
		free(c);
		return -EFAULT;
	}
	list_init(&c->node);
	c->off = 0;
	c->len = len;
	c->cap = cap;
	return deliver(s, c, (m->flags & L_MSG_OOB) && !uio_left(m->u));
}

ssize_t tcp_send(struct socket *sock, struct task *t, struct net_msg *m)
{
	struct tcp_sock *s = tcp_of(sock);
	int64_t wait_ns = sock->send_wait_ns, deadline = socket_deadline(wait_ns);
	uint64_t before = m->u->done, sent = before;
	size_t room;
	int r;

	if (m->flags & L_MSG_FASTOPEN)
		return -EOPNOTSUPP;
	for (;;) {
		r = look(s, &room);
		if (r == 0 && !uio_left(m->u))
			break;
		if (r == 0)
			r = send_piece(s, m, room);
		if (r == 0) {
			sent = m->u->done;
			if (!uio_left(m->u))
				break;
			continue;
		}
		if (r != -EAGAIN)
			break;
		r = socket_wait(&sock->wq, m->nonblock, wait_ns, deadline, sendable(s));
		if (r < 0)
			break;
	}
	if (sent > before || r == 0)
		return (ssize_t)(sent - before);
	return r == -EPIPE && !(m->flags & L_MSG_NOSIGNAL) ? fs_broken_pipe() : r;
}

/* ---- receiving ---- */

/* The byte out of band. */
static ssize_t recv_urgent(struct tcp_sock *s, struct net_msg *m)
{
	ssize_t r = 0;
	uint8_t byte;

	mutex_lock(&inet_lock);
	if (s->urgent != TCP_URG_VALID || socket_has(&s->inet.sock, SOCKET_OOBINLINE))
		r = -EINVAL;
	else if (!s->was_connected)
		r = -ENOTCONN;
	byte = s->urgent_byte;
	if (r == 0 && !(m->flags & L_MSG_PEEK))
		s->urgent = TCP_URG_READ;
	mutex_unlock(&inet_lock);
	if (r < 0)
		return r;
	m->out_flags |= L_MSG_OOB;
	if (!uio_left(m->u)) {
		m->out_flags |= L_MSG_TRUNC;
		return 0;
	}
	if (m->flags & L_MSG_TRUNC)
		return 1;
	return uio_put(m->u, &byte, 1) == 1 ? 1 : -EFAULT;
}

/* What is next of s's queue, `at` bytes from its begin. */
struct piece {
	struct tcp_chunk *chunk; /* NULL: nothing */
	size_t off, len;	 /* in chunk */
	bool skip;		 /* its first byte is out of band, and to be passed over */
	bool mark;		 /* the place of such a byte, seen or not: a read ends before it */
};

static struct piece next_piece(struct tcp_sock *s, uint64_t at)
{
	struct tcp_chunk *c;
	struct piece p = {0};
	uint64_t pos;

	mutex_lock(&inet_lock);
	pos = s->taken + at;
	list_for_each_entry (c, &s->queue, node) {
		if (at >= c->len - c->off) {
			at -= c->len - c->off;
			continue;
		}
		p.chunk = c;
		p.off = c->off + at;
		p.len = c->len - p.off;
		break;
	}
	if (p.chunk && s->urgent != TCP_URG_NONE && s->urgent_at >= pos && s->urgent_at - pos < p.len) {
		p.mark = s->urgent_at == pos;
		p.skip = p.mark && !socket_has(&s->inet.sock, SOCKET_OOBINLINE);
		p.len = p.mark ? (size_t)1 : (size_t)(s->urgent_at - pos);
	}
	mutex_unlock(&inet_lock);
	return p;
}

/* n bytes have been received; recv_lock held. */
static void consume(struct tcp_sock *s, size_t n)
{
	struct list_head done = LIST_HEAD_INIT(done);
	struct tcp_sock *peer = NULL;
	bool signal = false;

	mutex_lock(&inet_lock);
	s->taken += n;
	count(s, -(ssize_t)n);
	if (s->urgent != TCP_URG_NONE && s->urgent_at < s->taken)
		s->urgent = TCP_URG_NONE;
	while (n) {
		struct tcp_chunk *c = list_first_entry(&s->queue, struct tcp_chunk, node);
		size_t part = min_of(n, c->len - c->off);

		c->off += part;
		n -= part;
		if (c->off < c->len)
			break;
		list_del_init(&c->node);
		list_add_tail(&c->node, &done);
	}
	if (s->peer && s->peer->wants_room && tcp_has_much_room(s->peer)) {
		peer = tcp_get(s->peer);
		signal = peer->wants_signal;
		peer->wants_room = peer->wants_signal = false;
	}
	mutex_unlock(&inet_lock);
	tcp_free_chunks(&done);
	if (!peer)
		return;
	waitqueue_wake(&peer->inet.sock.wq, L_POLLOUT | L_POLLWRNORM);
	if (signal)
		fasync_tell(&peer->inet.sock.async, L_POLL_OUT);
	tcp_put(peer);
}

/* What there is, as far as it goes into m; recv_lock held.  *stopped: at a byte out of band, or a fault. */
static ssize_t give(struct tcp_sock *s, struct net_msg *m, uint64_t *left, bool *stopped)
{
	int32_t peek_off = s->inet.sock.peek_off;
	bool peek = m->flags & L_MSG_PEEK;
	uint64_t at = peek && peek_off > 0 ? (uint64_t)peek_off : 0;
	ssize_t total = 0;

	*stopped = false;
	while (*left) {
		struct piece p = next_piece(s, at);
		size_t want = (size_t)min_of((uint64_t)p.len, *left);

		if (!p.chunk)
			break;
		if (p.mark && total) {
			*stopped = true;
			break;
		}
		if (!p.skip && !(m->flags & L_MSG_TRUNC) && uio_put(m->u, p.chunk->data + p.off, want) != (ssize_t)want) {
			*stopped = true;
			return total ? total : -EFAULT;
		}
		if (peek)
			at += want;
		else
			consume(s, want);
		if (p.skip)
			continue;
		total += (ssize_t)want;
		*left -= want;
	}
	if (peek_off >= 0 && total)
		s->inet.sock.peek_off = peek ? peek_off + (int32_t)total : max_of(peek_off - (int32_t)total, 0);
	return total;
}

/* Why there is nothing: 0 for the end, an error, or -EAGAIN. */
static int nothing(struct tcp_sock *s)
{
	int r = 0;

	mutex_lock(&inet_lock);
	if (!(s->was_connected && s->state == TCP_CLOSE && s->inet.sock.error == EPIPE))
		r = socket_take_error(&s->inet.sock);
	if (r == 0 && !s->recv_shut) {
		if (s->state != TCP_CLOSE && s->state != TCP_LISTEN)
			r = -EAGAIN;
		else if (!s->was_connected)
			r = -ENOTCONN;
	}
	mutex_unlock(&inet_lock);
	return r;
}

static bool receivable(struct tcp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = tcp_readable(s) || s->recv_shut || s->inet.sock.error || (s->state != TCP_SYN_SENT && s->state == TCP_CLOSE);
	mutex_unlock(&inet_lock);
	return r;
}

static int wait_for_more(struct tcp_sock *s, bool nonblock, int64_t deadline) REQUIRES(s->inet.recv_lock)
{
	int64_t wait_ns = s->inet.sock.recv_wait_ns;
	int r;

	mutex_unlock(&s->inet.recv_lock);
	r = socket_wait(&s->inet.sock.wq, nonblock, wait_ns, deadline, receivable(s));
	mutex_lock(&s->inet.recv_lock);
	return r;
}

static bool is_listening(struct tcp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = s->state == TCP_LISTEN;
	mutex_unlock(&inet_lock);
	return r;
}

ssize_t tcp_recv(struct socket *sock, struct net_msg *m)
{
	struct tcp_sock *s = tcp_of(sock);
	int64_t deadline = socket_deadline(sock->recv_wait_ns);
	uint64_t left = uio_left(m->u), target = socket_low_water(sock, m), total = 0;
	bool stopped;
	ssize_t n;
	int r = 0;

	m->out_flags = 0;
	m->name_len = 0;
	if (is_listening(s))
		return -ENOTCONN;
	if (m->flags & L_MSG_OOB)
		return recv_urgent(s, m);
	if (m->flags & L_MSG_ERRQUEUE)
		return -EAGAIN; /* nothing is ever there */
	mutex_lock(&s->inet.recv_lock);
	for (;;) {
		n = give(s, m, &left, &stopped);
		if (n < 0) {
			r = (int)n;
			break;
		}
		total += (uint64_t)n;
		if (stopped || total >= target || (total && !left) || (total && (m->flags & L_MSG_PEEK)))
			break;
		r = nothing(s);
		if (r != -EAGAIN)
			break;
		r = wait_for_more(s, m->nonblock, deadline);
		if (r < 0)
			break;
	}
	mutex_unlock(&s->inet.recv_lock);
	return total ? (ssize_t)total : r;
}
