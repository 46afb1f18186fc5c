/*
 * Receiving.  Whoever holds recv_lock is the only one to take messages off the queue, so that the first stays where it is while it is
 * copied to the guest without unix_lock.
 */
#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/core/tunable.h"
#include "sentry/core/uio.h"
#include "sentry/net/unix/internal.h"

/* Room in s's queue for those who wait for it. */
static void tell_senders(struct unix_sock *s) REQUIRES(unix_lock)
{
	struct unix_sock *p;

	s->room_wanted = false;
	waitqueue_wake(&s->room_wq, 0);
	list_for_each_entry (p, &s->peers, peer_node) {
		if (!p->wants_peer_room)
			continue;
		p->wants_peer_room = false;
		waitqueue_wake(&p->sock.wq, L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND);
	}
}

struct unix_msg *unix_dequeue(struct unix_sock *s)
{
	struct unix_msg *msg = list_first_entry(&s->queue, struct unix_msg, node);

	list_del_init(&msg->node);
	s->queued--;
	if (msg->rights)
		unix_rights_land(msg->rights);
	if (s->room_wanted && s->queued <= tunable_get(&unix_max_dgram_qlen))
		tell_senders(s);
	return msg;
}

void unix_purge(struct unix_sock *s)
{
	struct unix_msg *msg;

	do {
		mutex_lock(&unix_lock);
		msg = list_empty(&s->queue) ? NULL : unix_dequeue(s);
		mutex_unlock(&unix_lock);
		if (msg)
			unix_msg_free(msg);
	} while (msg);
}

/* ---- what there is to receive ---- */

/* Where a receive begins, in the queue. */
struct place {
	bool by_offset; /* it is a look from SO_PEEK_OFF on */
	size_t skip;	/* bytes that are looked at already */
};

static struct place place_of(const struct unix_sock *s, unsigned flags)
{
	int32_t off = s->sock.peek_off;
	bool by_offset = (flags & L_MSG_PEEK) && off >= 0;

	return (struct place){by_offset, by_offset ? (size_t)off : 0};
}

/* The message at a place; *skip: where in it (behind what is taken already).  NULL: there is none. */
static struct unix_msg *find(struct unix_sock *s, struct place p, size_t *skip) REQUIRES(unix_lock)
{
	struct unix_msg *msg;

	*skip = p.skip;
	list_for_each_entry (msg, &s->queue, node) {
		size_t left = msg->len - msg->off;

		/* A packet without bytes is one all the same, the first time. */
		if (*skip < left || (!*skip && !unix_is_stream(s) && !(p.by_offset && msg->peeked)))
			return msg;
		*skip -= left;
	}
	return NULL;
}

/* Why there is nothing: an error, 0 for the end, or -EAGAIN. */
static int nothing(struct unix_sock *s, bool nonblock) REQUIRES(unix_lock)
{
	int r = socket_take_error(&s->sock);

	if (r < 0)
		return r;
	if (!s->recv_shut)
		return -EAGAIN;
	/* Only a datagram socket, which others may write to all the same, has to be waited for to be at its end. */
	return nonblock && !unix_connects(s) ? -EAGAIN : 0;
}

/* True if a receiver need not sleep. */
static bool receivable(struct unix_sock *s, struct place p)
{
	size_t skip;
	bool r;

	mutex_lock(&unix_lock);
	r = find(s, p, &skip) || s->recv_shut || s->sock.error;
	mutex_unlock(&unix_lock);
	return r;
}

/* That there is room to send something is no news to a receiver, and it comes each time its own message is taken. */
static bool wake_receiver(struct wait_entry *e, uint32_t events)
{
	if (events && !(events & ~(uint32_t)(L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND)))
		return false;
	sleeper_wake(e->arg);
	return true;
}

/* As wait_event_deadline. */
static int sleep_for_more(struct unix_sock *s, struct place p, int64_t deadline)
{
	struct sleeper *self = sleeper_self();
	struct wait_entry e;
	int r = 0;

	wait_entry_init_sleeper(&e, self);
	e.wake = wake_receiver;
	waitqueue_add(&s->sock.wq, &e);
	for (;;) {
		sleeper_arm(self);
		if (receivable(s, p)) {
			r = 0;
			break;
		}
		if (r)
			break;
		r = sleeper_sleep(self, deadline);
	}
	waitqueue_remove(&e);
	return r;
}

/* Waits without recv_lock, which is held before and after. */
static int wait_for_more(struct unix_sock *s, struct place p, int64_t deadline) REQUIRES(s->recv_lock)
{
	int64_t wait_ns = s->sock.recv_wait_ns;
	int r;

	if (wait_ns < 0)
		return -EAGAIN;
	mutex_unlock(&s->recv_lock);
	r = socket_waited(sleep_for_more(s, p, deadline), wait_ns);
	mutex_lock(&s->recv_lock);
	return r;
}

/* n bytes were looked at, or taken. */
static void peek_move(struct unix_sock *s, unsigned flags, size_t n)
{
	int32_t off = s->sock.peek_off;

	if (off < 0)
		return;
	if (flags & L_MSG_PEEK)
		s->sock.peek_off = (int32_t)min_of((uint64_t)off + n, (uint64_t)INT32_MAX);
	else
		s->sock.peek_off = off > (int64_t)n ? off - (int32_t)n : 0;
}

/* What msg says of its sender, to m. */
static void take_sender(const struct unix_msg *msg, struct net_msg *m)
{
	m->name_len = unix_copy_name(msg->from, &m->name);
	if (msg->has_cred && !m->scm.has_cred) {
		m->scm.cred = scm_cred_get(&msg->cred);
		m->scm.has_cred = true;
	}
}

/* Its files, or the same once more. */
static int take_rights(struct unix_msg *msg, struct net_msg *m)
{
	if (!msg->rights)
		return 0;
	if (m->flags & L_MSG_PEEK) {
		m->scm.rights = scm_rights_copy(msg->rights);
		return m->scm.rights ? 0 : -ENOMEM;
	}
	mutex_lock(&unix_lock);
	unix_rights_land(msg->rights);
	m->scm.rights = msg->rights;
	msg->rights = NULL;
	mutex_unlock(&unix_lock);
	return 0;
}

static void drop_first(struct unix_sock *s)
{
	struct unix_msg *msg;

	mutex_lock(&unix_lock);
	msg = unix_dequeue(s);
	mutex_unlock(&unix_lock);
	unix_msg_free(msg);
}

/* ---- packets ---- */

/* The first packet, or what is looked at; recv_lock held. */
static ssize_t give_packet(struct unix_sock *s, struct net_msg *m, struct unix_msg *msg, size_t skip)
{
	size_t len = msg->len - skip, want = min_of(uio_left(m->u), (uint64_t)len);
	ssize_t n = want ? uio_put(m->u, msg->data + skip, want) : 0;
	int r;

	if (n != (ssize_t)want)
		n = -EFAULT;
	if (n >= 0) {
		take_sender(msg, m);
		if (len > want)
			m->out_flags |= L_MSG_TRUNC;
		peek_move(s, m->flags, m->flags & L_MSG_PEEK ? want : msg->len);
	}
	/* What cannot be copied is lost, with its files, which m's owner lets go of as no lock is held there. */
	if (n >= 0 || !(m->flags & L_MSG_PEEK)) {
		r = take_rights(msg, m);
		if (r < 0)
			n = r;
	}
	if (!(m->flags & L_MSG_PEEK))
		drop_first(s);
	else if (!msg->len)
		msg->peeked = true;
	return n >= 0 && (m->flags & L_MSG_TRUNC) ? (ssize_t)len : n;
}

static ssize_t recv_packet(struct unix_sock *s, struct net_msg *m)
{
	int64_t deadline = socket_deadline(s->sock.recv_wait_ns);
	ssize_t n;

	mutex_lock(&s->recv_lock);
	for (;;) {
		struct place at = place_of(s, m->flags);
		struct unix_msg *msg;
		size_t skip;

		mutex_lock(&unix_lock);
		msg = s->sock.error ? NULL : find(s, at, &skip);
		n = msg ? 0 : nothing(s, m->nonblock);
		mutex_unlock(&unix_lock);
		if (msg) {
			n = give_packet(s, m, msg, skip);
			break;
		}
		m->nothing = n == 0;
		if (n != -EAGAIN || m->nonblock)
			break;
		n = wait_for_more(s, at, deadline);
		if (n < 0)
			break;
	}
	mutex_unlock(&s->recv_lock);
	return n;
}

/* ---- streams ---- */

static bool same_sender(const struct unix_msg *msg, const struct scm *scm)
{
	if (!msg->has_cred || !scm->has_cred)
		return msg->has_cred == scm->has_cred;
	return msg->cred.process == scm->cred.process && msg->cred.uid == scm->cred.uid && msg->cred.gid == scm->cred.gid;
}

/* A reader who is told who sends gets nothing of two senders at once. */
static bool tells_sender(const struct unix_sock *s)
{
	return socket_has(&s->sock, SOCKET_PASSCRED) || socket_has(&s->sock, SOCKET_PASSPIDFD);
}

/* Takes n bytes of msg, the first. */
static void consume(struct unix_sock *s, struct unix_msg *msg, size_t n)
{
	bool is_done;

	mutex_lock(&unix_lock);
	msg->off += n; /* who waits without recv_lock looks at it */
	is_done = msg->off == msg->len;
	if (is_done)
		msg = unix_dequeue(s);
	mutex_unlock(&unix_lock);
	if (is_done)
		unix_msg_free(msg);
}

/*
 * Of msg, from skip on, what goes into m.  The count; *more: what follows may go there, too.  Of a piece that m's memory cannot take whole
 * nothing counts as received.
 */
static ssize_t give_piece(struct unix_sock *s, struct net_msg *m, struct unix_msg *msg, size_t skip, bool *more)
{
	size_t want = min_of(uio_left(m->u), (uint64_t)(msg->len - msg->off - skip));
	ssize_t n = want ? uio_put(m->u, msg->data + msg->off + skip, want) : 0;
	bool had_rights = msg->rights != NULL;
	int r;

	*more = false;
	if (n != (ssize_t)want)
		return -EFAULT;
	r = take_rights(msg, m);
	if (r < 0)
		return r;
	peek_move(s, m->flags, want);
	*more = !had_rights;
	if (!(m->flags & L_MSG_PEEK))
		consume(s, msg, want);
	return n;
}

/* How far a receive from a stream has come. */
struct progress {
	bool begun; /* m knows the sender */
	bool ended; /* nothing more goes into m, whatever comes */
};

/* What there is, as far as it goes into m; recv_lock held.  0: nothing at all. */
static ssize_t give_pieces(struct unix_sock *s, struct net_msg *m, struct progress *p)
{
	struct place at = place_of(s, m->flags);
	ssize_t total = 0, n;
	bool more;

	while (!p->ended) {
		struct unix_msg *msg;
		size_t skip;

		mutex_lock(&unix_lock);
		msg = find(s, at, &skip);
		mutex_unlock(&unix_lock);
		if (!msg)
			break;
		if (p->begun && tells_sender(s) && !same_sender(msg, &m->scm)) {
			p->ended = true;
			break;
		}
		if (!p->begun)
			take_sender(msg, m);
		p->begun = true;
		n = give_piece(s, m, msg, skip, &more);
		if (n < 0)
			return total ? total : n;
		total += n;
		if (m->flags & L_MSG_PEEK)
			at.skip += (size_t)n;
		p->ended = !more || !uio_left(m->u);
	}
	if (total && (m->flags & L_MSG_PEEK))
		p->ended = true;
	return total;
}

static ssize_t recv_stream(struct unix_sock *s, struct net_msg *m)
{
	int64_t deadline = socket_deadline(s->sock.recv_wait_ns);
	uint64_t target = socket_low_water(&s->sock, m), total = 0;
	struct progress p = {0};
	ssize_t n;
	int r = 0;

	mutex_lock(&s->recv_lock);
	for (;;) {
		n = give_pieces(s, m, &p);
		if (n < 0) {
			r = (int)n;
			break;
		}
		total += (uint64_t)n;
		if (p.ended || total >= target)
			break;
		mutex_lock(&unix_lock);
		r = nothing(s, m->nonblock);
		mutex_unlock(&unix_lock);
		if (r != -EAGAIN || m->nonblock)
			break;
		r = wait_for_more(s, place_of(s, m->flags), deadline);
		if (r < 0)
			break;
	}
	mutex_unlock(&s->recv_lock);
	/* What Linux says of the sender of an end: process 0, root. */
	if (!p.begun && r == 0)
		m->scm.has_cred = true;
	return total ? (ssize_t)total : r;
}

ssize_t unix_recv(struct socket *sock, struct net_msg *m)
{
	struct unix_sock *s = unix_of(sock);
	bool connected;

	m->out_flags = 0;
	m->name_len = 0;
	if (m->flags & L_MSG_OOB)
		return unix_is_stream(s) ? -EINVAL : -EOPNOTSUPP;
	if (sock->recv_wait_ns < 0)
		m->nonblock = true;
	mutex_lock(&unix_lock);
	connected = s->state == UNIX_CONNECTED;
	mutex_unlock(&unix_lock);
	if (unix_connects(s) && !connected)
		return unix_is_stream(s) ? -EINVAL : -ENOTCONN;
	return unix_is_stream(s) ? recv_stream(s, m) : recv_packet(s, m);
}
