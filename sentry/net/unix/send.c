/*
 * Sending.  What one sends lies in the other's queue, and is charged to the sender's buffer until it is taken.  A stream's bytes go in
 * pieces, each a message; files and credentials go with the first.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "sentry/core/tunable.h"
#include "sentry/core/uio.h"
#include "sentry/fs/common.h"
#include "sentry/net/unix/internal.h"
#include "sentry/task/task.h"

#define STREAM_CHUNK 32768u /* bytes of a piece, at most */

struct tunable unix_max_dgram_qlen = {.value = 10, .min = 0, .max = 4096};

/* ---- messages ---- */

/* The next len bytes of u as a message of s's, with what m has beside them (m gives its files up). */
static int message_new(struct unix_sock *s, struct net_msg *m, size_t len, struct unix_msg **out)
{
	struct unix_msg *msg = malloc(sizeof(*msg) + len);
	ssize_t n;

	if (!msg)
		return -ENOBUFS;
	n = len ? uio_take(m->u, msg->data, len) : 0;
	if (n != (ssize_t)len) {
		free(msg);
		return -EFAULT;
	}
	list_init(&msg->node);
	msg->from = unix_get(s);
	msg->off = 0;
	msg->len = len;
	msg->charge = 0;
	msg->has_cred = m->scm.has_cred;
	if (msg->has_cred)
		msg->cred = scm_cred_get(&m->scm.cred);
	msg->rights = m->scm.rights;
	m->scm.rights = NULL;
	*out = msg;
	return 0;
}

void unix_msg_free(struct unix_msg *msg)
{
	struct unix_sock *from = msg->from;
	bool wake = false, tell = false;

	mutex_lock(&unix_lock);
	from->charged -= msg->charge;
	if (unix_has_much_room(from)) {
		wake = from->wants_room;
		tell = from->wants_signal;
		from->wants_room = from->wants_signal = false;
	}
	mutex_unlock(&unix_lock);
	if (wake)
		waitqueue_wake(&from->sock.wq, L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND);
	if (tell)
		fasync_tell(&from->sock.async, L_POLL_OUT);
	if (msg->has_cred)
		scm_cred_put(&msg->cred);
	scm_rights_put(msg->rights);
	unix_put(from);
	free(msg);
}

/* What did not come to be sent: its files are m's again, for another try or the end. */
static void message_undo(struct unix_msg *msg, struct net_msg *m)
{
	m->scm.rights = msg->rights;
	msg->rights = NULL;
	unix_msg_free(msg);
}

/* Who is to know who sends, does; lock held, as the receiver may only now be known. */
static bool wants_cred(const struct unix_sock *s)
{
	return socket_has(&s->sock, SOCKET_PASSCRED) || socket_has(&s->sock, SOCKET_PASSPIDFD);
}

/* Puts msg into to's queue. */
static void enqueue(struct unix_sock *s, struct unix_sock *to, struct unix_msg *msg) REQUIRES(unix_lock)
{
	msg->charge = msg->len + UNIX_CHARGE;
	s->charged += msg->charge;
	list_add_tail(&msg->node, &to->queue);
	to->queued++;
	if (msg->rights)
		unix_rights_fly(msg->rights);
}

static void tell_receiver(struct unix_sock *to)
{
	waitqueue_wake(&to->sock.wq, L_POLLIN | L_POLLRDNORM);
	fasync_tell(&to->sock.async, L_POLL_IN);
}

/* ---- room ---- */

static bool has_room(const struct unix_sock *s) REQUIRES(unix_lock)
{
	return s->charged < s->sock.send_buffer;
}

bool unix_is_full_for(const struct unix_sock *to, const struct unix_sock *from)
{
	return !unix_connects(to) && to != from && to->peer != from && to->queued > tunable_get(&unix_max_dgram_qlen);
}

/* True if it is worth another try: there is room of its own, or something has ended. */
static bool own_room_or_end(struct unix_sock *s)
{
	bool r;

	mutex_lock(&unix_lock);
	r = has_room(s) || s->send_shut || s->error;
	if (!r)
		s->wants_room = true;
	mutex_unlock(&unix_lock);
	return r;
}

static bool peer_room_or_end(struct unix_sock *to, struct unix_sock *s)
{
	bool r;

	mutex_lock(&unix_lock);
	r = to->dead || to->recv_shut || !unix_is_full_for(to, s);
	if (!r)
		to->room_wanted = true;
	mutex_unlock(&unix_lock);
	return r;
}

static int wait_for_room(struct unix_sock *s, int64_t deadline)
{
	int64_t wait_ns = s->sock.send_wait_ns;

	if (wait_ns < 0)
		return -EAGAIN;
	return socket_waited(wait_event_deadline(&s->sock.wq, deadline, own_room_or_end(s)), wait_ns);
}

static int wait_for_peer(struct unix_sock *s, struct unix_sock *to, int64_t deadline)
{
	int64_t wait_ns = s->sock.send_wait_ns;

	if (wait_ns < 0)
		return -EAGAIN;
	return socket_waited(wait_event_deadline(&to->sock.wq, deadline, peer_room_or_end(to, s)), wait_ns);
}

static int take_error(struct unix_sock *s) REQUIRES(unix_lock)
{
	int error = s->error;

	s->error = 0;
	return -error;
}

/* ---- streams ---- */

/* One try at the connection: -EAGAIN, there is no room. */
static int try_stream(struct unix_sock *s, struct unix_msg *msg)
{
	struct unix_sock *peer;
	int r = 0;

	mutex_lock(&unix_lock);
	peer = s->peer;
	if (!peer)
		r = -ENOTCONN;
	else if (s->send_shut || peer->dead || peer->recv_shut)
		r = -EPIPE;
	else if (msg && !has_room(s))
		r = -EAGAIN;
	if (r == -EAGAIN)
		s->wants_room = s->wants_signal = true;
	if (r == 0 && msg)
		enqueue(s, peer, msg);
	mutex_unlock(&unix_lock);
	if (r == 0 && msg) /* a connection's peer stays as long as s does */
		tell_receiver(peer);
	return r;
}

static int send_piece(struct unix_sock *s, struct net_msg *m, int64_t deadline)
{
	size_t most = max_of(s->sock.send_buffer / 2, 128u) - 64u;
	struct unix_msg *msg;
	int r = message_new(s, m, min_of(uio_left(m->u), (uint64_t)min_of(most, (size_t)STREAM_CHUNK)), &msg);

	if (r < 0)
		return r;
	while ((r = try_stream(s, msg)) == -EAGAIN) {
		if (!m->nonblock)
			r = wait_for_room(s, deadline);
		if (r < 0)
			break;
	}
	if (r < 0)
		message_undo(msg, m);
	return r;
}

static ssize_t send_stream(struct unix_sock *s, struct net_msg *m)
{
	int64_t deadline = socket_deadline(s->sock.send_wait_ns);
	uint64_t before = m->u->done, sent = before;
	int r = try_stream(s, NULL);

	while (r == 0 && uio_left(m->u)) {
		r = send_piece(s, m, deadline);
		if (r == 0)
			sent = m->u->done;
	}
	if (sent > before || r == 0)
		return (ssize_t)(sent - before);
	return r == -EPIPE && !(m->flags & L_MSG_NOSIGNAL) ? fs_broken_pipe() : r;
}

/* ---- datagrams and sequenced packets ---- */

/* What there is to say against sending from s to `to`; *lost: its peer is gone, and so it has none any more. */
static int packet_error(struct unix_sock *s, struct unix_sock *to, bool named, struct unix_sock **lost) REQUIRES(unix_lock)
{
	if (s->error)
		return take_error(s);
	if (s->send_shut)
		return -EPIPE;
	if (to->dead && unix_connects(s))
		return -EPIPE;
	if (to->dead) {
		if (s->peer == to) {
			*lost = unix_take_peer(s);
			s->state = UNIX_CLOSED;
		}
		return -ECONNREFUSED;
	}
	if (named && to->peer && to->peer != s)
		return -EPERM;
	return to->recv_shut ? -EPIPE : 0;
}

/* One try.  -EAGAIN: there is no room, of its own or (*peer_full) in the other's queue. */
static int try_packet(struct unix_sock *s, struct unix_sock *to, struct unix_msg *msg, bool named, bool *peer_full)
{
	struct unix_sock *lost = NULL;
	int r;

	*peer_full = false;
	mutex_lock(&unix_lock);
	r = packet_error(s, to, named, &lost);
	if (r == 0 && !has_room(s)) {
		s->wants_room = s->wants_signal = true;
		r = -EAGAIN;
	} else if (r == 0 && unix_is_full_for(to, s)) {
		*peer_full = to->room_wanted = true;
		r = -EAGAIN;
	}
	if (r == 0)
		enqueue(s, to, msg);
	mutex_unlock(&unix_lock);
	unix_put(lost);
	if (r == 0)
		tell_receiver(to);
	return r;
}

static int peer_of(struct unix_sock *s, struct unix_sock **out)
{
	mutex_lock(&unix_lock);
	*out = s->peer ? unix_get(s->peer) : NULL;
	mutex_unlock(&unix_lock);
	return *out ? 0 : -ENOTCONN;
}

/* Until it is in a queue, or cannot be. */
static int deliver(struct unix_sock *s, struct task *t, struct net_msg *m, struct unix_msg *msg)
{
	int64_t deadline = socket_deadline(s->sock.send_wait_ns);
	bool named = m->name_len, peer_full;
	struct unix_sock *to;
	int r;

	do {
		r = named ? unix_find(t, &m->name, m->name_len, s->sock.type, &to) : peer_of(s, &to);
		if (r < 0)
			return r;
		r = try_packet(s, to, msg, named, &peer_full);
		if (r == 0 || r != -EAGAIN || m->nonblock) {
			unix_put(to);
			return r;
		}
		r = peer_full ? wait_for_peer(s, to, deadline) : wait_for_room(s, deadline);
		unix_put(to);
	} while (r == 0);
	return r;
}

static ssize_t send_packet(struct unix_sock *s, struct task *t, struct net_msg *m)
{
	size_t len = uio_left(m->u);
	struct unix_msg *msg;
	int r = 0;

	if (m->name_len)
		r = unix_check_addr(&m->name, m->name_len);
	if (r == 0 && wants_cred(s))
		r = unix_autobind(s);
	if (r < 0)
		return r;
	if (!m->name_len) {
		struct unix_sock *peer;

		r = peer_of(s, &peer);
		if (r < 0)
			return r;
		unix_put(peer);
	}
	if (len > s->sock.send_buffer - 32)
		return -EMSGSIZE;
	r = message_new(s, m, len, &msg);
	if (r < 0)
		return r;
	r = deliver(s, t, m, msg);
	if (r == 0)
		return (ssize_t)len;
	message_undo(msg, m);
	return r;
}

/* ---- both ---- */

/* Whether the one it is connected to wants to know who sends; of a name that is written to now, the one who is found. */
static bool peer_wants_cred(struct unix_sock *s)
{
	bool r;

	mutex_lock(&unix_lock);
	r = s->peer && wants_cred(s->peer);
	mutex_unlock(&unix_lock);
	return r;
}

static int check_state(struct unix_sock *s, struct net_msg *m)
{
	bool connected;

	mutex_lock(&unix_lock);
	connected = s->state == UNIX_CONNECTED;
	mutex_unlock(&unix_lock);
	switch (s->sock.type) {
	case L_SOCK_STREAM:
		if (m->name_len)
			return connected ? -EISCONN : -EOPNOTSUPP;
		return 0;
	case L_SOCK_SEQPACKET:
		m->name_len = 0; /* overlooked */
		return connected ? 0 : -ENOTCONN;
	}
	return 0;
}

ssize_t unix_send(struct socket *sock, struct task *t, struct net_msg *m)
{
	struct unix_sock *s = unix_of(sock);
	ssize_t n;
	int r;

	if (m->flags & L_MSG_OOB)
		return -EOPNOTSUPP;
	r = check_state(s, m);
	if (r == 0 && m->scm.rights)
		r = unix_rights_check(t, m->scm.rights);
	if (r < 0)
		return r;
	if (!m->scm.has_cred && (wants_cred(s) || m->name_len || peer_wants_cred(s))) {
		m->scm.cred = scm_cred_of(t, false);
		m->scm.has_cred = true;
	}
	n = unix_is_stream(s) ? send_stream(s, m) : send_packet(s, t, m);
	if (m->scm.rights)
		unix_rights_uncheck(m->scm.rights);
	return n;
}
