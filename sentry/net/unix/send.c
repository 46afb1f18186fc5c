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

/*
 * s has so much more room to send.  Its waiters hear of that each time, as on Linux: of an edge-triggered epoll's edges there is one for
 * each message that is gone, even if it could not be sent.
 */
static void give_room(struct unix_sock *s, size_t charge)
{
	bool wake, tell;

	mutex_lock(&unix_lock);
	s->charged -= charge;
	wake = unix_has_much_room(s);
	tell = wake && s->wants_signal;
	if (tell)
		s->wants_signal = false;
	mutex_unlock(&unix_lock);
	if (wake)
		waitqueue_wake(&s->sock.wq, L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND);
	if (tell)
		fasync_tell(&s->sock.async, L_POLL_OUT);
}

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
		give_room(s, 0);
		return -EFAULT;
	}
	list_init(&msg->node);
	msg->from = unix_get(s);
	msg->off = 0;
	msg->len = len;
	msg->charge = 0;
	msg->peeked = false;
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

	give_room(from, msg->charge);
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

static bool wants_cred(const struct unix_sock *s)
{
	return socket_has(&s->sock, SOCKET_PASSCRED) || socket_has(&s->sock, SOCKET_PASSPIDFD);
}

/* Puts msg, which t sends, into to's queue. */
static void enqueue(struct unix_sock *s, struct unix_sock *to, struct task *t, struct unix_msg *msg) REQUIRES(unix_lock)
{
	if (!msg->has_cred && (wants_cred(s) || wants_cred(to))) {
		msg->cred = scm_cred_of(t, false);
		msg->has_cred = true;
	}
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
	r = has_room(s) || s->send_shut || s->sock.error;
	mutex_unlock(&unix_lock);
	return r;
}

static int look_for_own_room(struct unix_sock *s)
{
	int r;

	mutex_lock(&unix_lock);
	r = socket_take_error(&s->sock);
	if (r == 0 && s->send_shut) {
		r = -EPIPE;
	} else if (r == 0 && !has_room(s)) {
		s->wants_signal = true;
		r = -EAGAIN;
	}
	mutex_unlock(&unix_lock);
	return r;
}

/* Waits until s may send something; an end meanwhile raises no signal. */
static int wait_for_own_room(struct unix_sock *s, bool nonblock)
{
	int64_t wait_ns = s->sock.send_wait_ns, deadline = socket_deadline(wait_ns);
	int r;

	while ((r = look_for_own_room(s)) == -EAGAIN) {
		r = socket_wait(&s->sock.wq, nonblock, wait_ns, deadline, own_room_or_end(s));
		if (r < 0)
			break;
	}
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

/* to does not take files (SO_PASSRIGHTS). */
static bool refuses(const struct unix_sock *to, const struct unix_msg *msg)
{
	return msg->rights && socket_has(&to->sock, SOCKET_NO_RIGHTS);
}

/* ---- streams ---- */

/* *broken: SIGPIPE is due. */
static int check_stream(struct unix_sock *s, bool *broken)
{
	int r = 0;

	mutex_lock(&unix_lock);
	if (!s->peer)
		r = -ENOTCONN;
	else if (s->send_shut)
		r = -EPIPE;
	mutex_unlock(&unix_lock);
	*broken = r == -EPIPE;
	return r;
}

static int queue_piece(struct unix_sock *s, struct task *t, struct unix_msg *msg, bool *broken)
{
	struct unix_sock *peer;
	int r = 0;

	mutex_lock(&unix_lock);
	peer = s->peer;
	if (peer->dead || peer->recv_shut)
		r = -EPIPE;
	else if (refuses(peer, msg))
		r = -EPERM;
	else
		enqueue(s, peer, t, msg);
	mutex_unlock(&unix_lock);
	*broken = r == -EPIPE;
	if (r == 0) /* a connection's peer stays as long as s does */
		tell_receiver(peer);
	return r;
}

static int send_piece(struct unix_sock *s, struct task *t, struct net_msg *m, bool *broken)
{
	size_t most = min_of(s->sock.send_buffer / 2 - 64u, STREAM_CHUNK);
	struct unix_msg *msg;
	int r = wait_for_own_room(s, m->nonblock);

	if (r == 0)
		r = message_new(s, m, min_of(uio_left(m->u), (uint64_t)most), &msg);
	if (r < 0)
		return r;
	r = queue_piece(s, t, msg, broken);
	if (r < 0)
		message_undo(msg, m);
	return r;
}

static ssize_t send_stream(struct unix_sock *s, struct task *t, struct net_msg *m)
{
	uint64_t before = m->u->done, sent = before;
	bool broken;
	int r = check_stream(s, &broken);

	while (r == 0 && uio_left(m->u)) {
		r = send_piece(s, t, m, &broken);
		if (r == 0)
			sent = m->u->done;
	}
	if (sent > before || r == 0)
		return (ssize_t)(sent - before);
	return r == -EPIPE && broken && !(m->flags & L_MSG_NOSIGNAL) ? fs_broken_pipe() : r;
}

/* ---- datagrams and sequenced packets ---- */

/* What there is to say against sending msg from s to `to`; *lost: its peer is gone, and so it has none any more. */
static int packet_error(struct unix_sock *s, struct unix_sock *to, const struct unix_msg *msg, bool *lost) REQUIRES(unix_lock)
{
	if (to->peer && to->peer != s)
		return -EPERM;
	if (to->dead && unix_connects(s))
		return -EPIPE;
	if (to->dead) {
		*lost = s->peer == to;
		return -ECONNREFUSED;
	}
	if (to->recv_shut)
		return -EPIPE;
	return refuses(to, msg) ? -EPERM : 0;
}

/* One try.  -EAGAIN: there is no room in the other's queue. */
static int try_packet(struct unix_sock *s, struct unix_sock *to, struct task *t, struct unix_msg *msg)
{
	struct unix_sock *lost = NULL;
	bool is_lost = false;
	int r;

	mutex_lock(&unix_lock);
	r = packet_error(s, to, msg, &is_lost);
	if (is_lost) {
		lost = unix_take_peer(s);
		s->state = UNIX_CLOSED;
	}
	if (r == 0 && unix_is_full_for(to, s)) {
		to->room_wanted = true;
		s->wants_peer_room |= s->peer == to; /* its epoll hears of room as after a poll */
		r = -EAGAIN;
	}
	if (r == 0)
		enqueue(s, to, t, msg);
	mutex_unlock(&unix_lock);
	if (lost)
		unix_forget_peer(s, lost);
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
	int64_t wait_ns = s->sock.send_wait_ns, deadline = socket_deadline(wait_ns);
	struct unix_sock *to;
	int r;

	do {
		r = m->name_len ? unix_find(t, &m->name, m->name_len, s->sock.type, &to) : peer_of(s, &to);
		if (r < 0)
			return r;
		r = try_packet(s, to, t, msg);
		if (r != -EAGAIN) {
			unix_put(to);
			return r;
		}
		r = socket_wait(&to->room_wq, m->nonblock, wait_ns, deadline, peer_room_or_end(to, s));
		unix_put(to);
	} while (r == 0);
	return r;
}

/* Before there is a message: whether there is anybody to get it comes after that. */
static int check_packet(struct unix_sock *s, const struct net_msg *m)
{
	int r = m->name_len ? unix_check_addr(&m->name, m->name_len) : 0;

	if (r == 0 && wants_cred(s))
		r = unix_autobind(s);
	if (r == 0 && uio_left(m->u) > s->sock.send_buffer - 32u)
		r = -EMSGSIZE;
	return r;
}

static ssize_t send_packet(struct unix_sock *s, struct task *t, struct net_msg *m)
{
	size_t len = uio_left(m->u);
	struct unix_msg *msg;
	int r = check_packet(s, m);

	if (r == 0)
		r = wait_for_own_room(s, m->nonblock);
	if (r == 0)
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

static int check_state(struct unix_sock *s, struct net_msg *m)
{
	int r = 0;

	mutex_lock(&unix_lock);
	switch (s->sock.type) {
	case L_SOCK_STREAM:
		if (m->name_len)
			r = s->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
		break;
	case L_SOCK_SEQPACKET:
		m->name_len = 0; /* overlooked */
		r = socket_take_error(&s->sock);
		if (r == 0 && s->state != UNIX_CONNECTED)
			r = -ENOTCONN;
		break;
	}
	mutex_unlock(&unix_lock);
	return r;
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
	n = unix_is_stream(s) ? send_stream(s, t, m) : send_packet(s, t, m);
	if (m->scm.rights)
		unix_rights_uncheck(m->scm.rights);
	return n;
}
