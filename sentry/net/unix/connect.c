/* Connections: connect, listen, accept, shutdown. */
#include "abi/errno.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "sentry/net/unix/internal.h"
#include "sentry/task/task.h"

/* SO_PEERCRED of s is who (consumed, as is groups) from now on. */
static void set_peer_cred(struct unix_sock *s, struct scm_cred who, const struct cred *groups)
{
	struct scm_cred old;
	const struct cred *old_groups;

	mutex_lock(&unix_lock);
	old = s->peer_cred;
	old_groups = s->peer_groups;
	s->peer_cred = who;
	s->peer_groups = groups;
	mutex_unlock(&unix_lock);
	scm_cred_put(&old);
	if (old_groups)
		cred_put(old_groups);
}

void unix_note_cred(struct unix_sock *s, struct task *t)
{
	set_peer_cred(s, scm_cred_of(t, true), cred_get(t->cred));
}

/* Who wants to be told who sends, says who it is itself. */
static int name_for_cred(struct unix_sock *s)
{
	return socket_has(&s->sock, SOCKET_PASSCRED) || socket_has(&s->sock, SOCKET_PASSPIDFD) ? unix_autobind(s) : 0;
}

/* ---- datagrams: a connection is where to send, and from where alone to receive ---- */

void unix_forget_peer(struct unix_sock *s, struct unix_sock *old)
{
	bool told = false;

	mutex_lock(&unix_lock);
	if (!list_empty(&s->queue) && !old->dead && old->peer == s) {
		old->sock.error = ECONNRESET;
		told = true;
	}
	mutex_unlock(&unix_lock);
	mutex_lock(&s->recv_lock);
	unix_purge(s);
	mutex_unlock(&s->recv_lock);
	if (told)
		waitqueue_wake(&old->sock.wq, 0);
}

/* to: borrowed; NULL: nobody from now on. */
static int point_at(struct unix_sock *s, struct unix_sock *to)
{
	struct unix_sock *old;

	mutex_lock(&unix_lock);
	if (to && (to->dead || (to->peer && to->peer != s))) {
		int r = to->dead ? -ECONNREFUSED : -EPERM;

		mutex_unlock(&unix_lock);
		return r;
	}
	old = unix_take_peer(s);
	s->wants_peer_room = false;
	if (to)
		unix_set_peer(s, to);
	s->state = to ? UNIX_CONNECTED : UNIX_CLOSED;
	mutex_unlock(&unix_lock);
	if (old && old != to)
		unix_forget_peer(s, old);
	if (old) /* it may have waited for room there */
		waitqueue_wake(&s->sock.wq, L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND);
	unix_put(old);
	return 0;
}

static int connect_datagrams(struct unix_sock *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len)
{
	struct unix_sock *to;
	int r;

	if (len < UNIX_NAME_OFFSET)
		return -EINVAL;
	if (addr->ss_family == L_AF_UNSPEC)
		return point_at(s, NULL);
	r = unix_check_addr(addr, len);
	if (r == 0)
		r = name_for_cred(s);
	if (r == 0)
		r = unix_find(t, addr, len, s->sock.type, &to);
	if (r < 0)
		return r;
	r = point_at(s, to);
	unix_put(to);
	return r;
}

/* ---- streams and sequenced packets ---- */

static bool is_full(const struct unix_sock *listener) REQUIRES(unix_lock)
{
	return listener->embryo_count > (unsigned)listener->backlog;
}

static bool takes_connections(const struct unix_sock *l) REQUIRES(unix_lock)
{
	return l->state == UNIX_LISTENING && !l->recv_shut;
}

static bool is_worth_a_try(struct unix_sock *listener)
{
	bool r;

	mutex_lock(&unix_lock);
	r = !takes_connections(listener) || !is_full(listener);
	mutex_unlock(&unix_lock);
	return r;
}

/* Joins s and child, which waits at listener from now on (consumed on success).  -EAGAIN: there is no room for it. */
static int join(struct unix_sock *s, struct unix_sock *child, struct unix_sock *listener)
{
	const uint32_t inherited = 1u << SOCKET_PASSCRED | 1u << SOCKET_PASSSEC | 1u << SOCKET_PASSPIDFD | 1u << SOCKET_NO_RIGHTS;
	int r = 0;

	mutex_lock(&unix_lock);
	if (!takes_connections(listener))
		r = -ECONNREFUSED;
	else if (is_full(listener))
		r = -EAGAIN;
	else if (s->state != UNIX_CLOSED)
		r = s->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	if (r == 0) {
		s->state = child->state = UNIX_CONNECTED;
		unix_set_peer(s, child);
		unix_set_peer(child, s);
		child->addr = unix_addr_get(listener->addr);
		child->path = listener->path;
		if (child->path.mnt)
			path_get(&child->path);
		child->sock.flags |= listener->sock.flags & inherited;
		list_add_tail(&child->accept_node, &listener->embryos);
		listener->embryo_count++;
	}
	mutex_unlock(&unix_lock);
	return r;
}

/* The listener's, for whoever connects to it. */
static void copy_peer_cred(struct unix_sock *to, struct unix_sock *listener)
{
	const struct cred *groups;
	struct scm_cred c;

	mutex_lock(&unix_lock);
	c = scm_cred_get(&listener->peer_cred);
	groups = listener->peer_groups ? cred_get(listener->peer_groups) : NULL;
	mutex_unlock(&unix_lock);
	set_peer_cred(to, c, groups);
}

/* One try.  -EAGAIN: the queue was full, and *listener is counted. */
static int try_connect(struct unix_sock *s, struct unix_sock *child, struct task *t, const struct l_sockaddr_storage *addr,
		       uint32_t len, struct unix_sock **listener)
{
	struct unix_sock *l;
	int r = unix_find(t, addr, len, s->sock.type, &l);

	if (r < 0)
		return r;
	r = join(s, child, l);
	if (r == -EAGAIN) {
		*listener = l;
		return r;
	}
	if (r == 0) {
		copy_peer_cred(s, l);
		waitqueue_wake(&l->sock.wq, L_POLLIN | L_POLLRDNORM);
		fasync_tell(&l->sock.async, L_POLL_IN);
	}
	unix_put(l);
	return r;
}

static int connect_stream(struct unix_sock *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock)
{
	int64_t wait_ns = s->sock.send_wait_ns, deadline = socket_deadline(wait_ns);
	struct unix_sock *child, *listener = NULL;
	int r = unix_check_addr(addr, len);

	if (r == 0)
		r = name_for_cred(s);
	if (r == 0)
		r = unix_sock_new(s->sock.type, &child);
	if (r < 0)
		return r;
	unix_note_cred(child, t);
	while ((r = try_connect(s, child, t, addr, len, &listener)) == -EAGAIN) {
		r = socket_wait(&listener->room_wq, nonblock, wait_ns, deadline, is_worth_a_try(listener));
		unix_put(listener);
		if (r < 0)
			break;
	}
	if (r < 0)
		unix_put(child);
	return r;
}

int unix_connect(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock)
{
	struct unix_sock *s = unix_of(sock);

	return unix_connects(s) ? connect_stream(s, t, addr, len, nonblock) : connect_datagrams(s, t, addr, len);
}

int unix_listen(struct socket *sock, struct task *t, int backlog)
{
	struct unix_sock *s = unix_of(sock);
	int r = 0;

	if (!unix_connects(s))
		return -EOPNOTSUPP;
	mutex_lock(&unix_lock);
	if (!s->addr || s->state == UNIX_CONNECTED) {
		r = -EINVAL;
	} else {
		s->backlog = backlog;
		s->state = UNIX_LISTENING;
	}
	mutex_unlock(&unix_lock);
	if (r < 0)
		return r;
	unix_note_cred(s, t);
	waitqueue_wake(&s->room_wq, 0); /* there may be room now */
	return 0;
}

static bool acceptable(struct unix_sock *s)
{
	bool r;

	mutex_lock(&unix_lock);
	r = s->embryo_count || s->recv_shut;
	mutex_unlock(&unix_lock);
	return r;
}

/* -EAGAIN: nobody is there. */
static int take_embryo(struct unix_sock *s, struct unix_sock **out)
{
	int r = 0;

	mutex_lock(&unix_lock);
	if (s->state != UNIX_LISTENING) {
		r = -EINVAL;
	} else if (s->embryo_count) {
		*out = list_first_entry(&s->embryos, struct unix_sock, accept_node);
		list_del_init(&(*out)->accept_node);
		s->embryo_count--;
	} else {
		r = s->recv_shut ? -EINVAL : -EAGAIN;
	}
	mutex_unlock(&unix_lock);
	return r;
}

int unix_accept(struct socket *sock, bool nonblock, struct socket **out)
{
	struct unix_sock *s = unix_of(sock), *child;
	int64_t wait_ns = sock->recv_wait_ns, deadline = socket_deadline(wait_ns);
	int r;

	if (!unix_connects(s))
		return -EOPNOTSUPP;
	while ((r = take_embryo(s, &child)) == -EAGAIN) {
		r = socket_wait(&sock->wq, nonblock, wait_ns, deadline, acceptable(s));
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	waitqueue_wake(&s->room_wq, 0); /* there is room for another */
	*out = &child->sock;
	return 0;
}

/* ---- shutdown ---- */

int unix_shutdown(struct socket *sock, bool rd, bool wr)
{
	struct unix_sock *s = unix_of(sock), *peer = NULL;

	mutex_lock(&unix_lock);
	s->recv_shut |= rd;
	s->send_shut |= wr;
	if (s->peer && unix_connects(s)) {
		peer = unix_get(s->peer);
		peer->send_shut |= rd;
		peer->recv_shut |= wr;
	}
	mutex_unlock(&unix_lock);
	waitqueue_wake(&sock->wq, 0);
	waitqueue_wake(&s->room_wq, 0);
	if (peer) {
		waitqueue_wake(&peer->sock.wq, 0);
		if (wr)
			fasync_tell(&peer->sock.async, rd ? L_POLL_HUP : L_POLL_IN);
		unix_put(peer);
	}
	return 0;
}
