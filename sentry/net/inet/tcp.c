/* Connections: how they begin and end.  See tcp.h; what goes over them is tcp_data.c's. */
#include "sentry/net/inet/tcp.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

#define WAIT_NS 60000000000ll		/* TIME_WAIT */
#define WAITS_MAX 16384u		/* net.ipv4.tcp_max_tw_buckets */
#define LINGER_NONE (1ull << 32)	/* SO_LINGER with no time: the end is a RST */
#define CONNECT_NS 127000000000ll	/* six repetitions of a SYN that nobody answers */

struct mutex inet_lock = MUTEX_INIT;

/* ---- life ---- */

int tcp_sock_new(int family, struct tcp_sock **out)
{
	struct tcp_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	inet_sock_init(&s->inet, &tcp_ops, family, L_SOCK_STREAM, L_IPPROTO_TCP, INET_TCP);
	s->inet.sock.send_buffer = TCP_SEND_DEFAULT;
	s->inet.sock.recv_buffer = TCP_RECV_DEFAULT;
	s->state = TCP_CLOSE;
	s->keep_idle = 7200;
	s->keep_interval = 75;
	s->keep_count = 9;
	s->syn_count = 6;
	s->linger2 = 60;
	s->quickack = 1;
	list_init(&s->queue);
	list_init(&s->embryos);
	list_init(&s->accept_node);
	list_init(&s->callers);
	list_init(&s->caller_node);
	*out = s;
	return 0;
}

void tcp_put(struct tcp_sock *s)
{
	if (!s || !refcount_dec(&s->inet.refs))
		return;
	inet_sock_destroy(&s->inet);
	free(s);
}

void tcp_tell(struct tcp_sock *s)
{
	waitqueue_wake(&s->inet.sock.wq, 0);
}

/* ---- TIME_WAIT ---- */

/* What is left of a connection at the end that was closed first: it keeps its port from being taken without SO_REUSEADDR. */
struct tcp_wait {
	struct port_user port;
	struct list_head order; /* of all; guarded by inet_lock */
	int64_t until_ns;
};

static struct list_head waits = LIST_HEAD_INIT(waits); /* the oldest first; guarded by inet_lock */
static unsigned wait_count;			       /* likewise */

static void wait_end(struct tcp_wait *w) REQUIRES(inet_lock)
{
	list_del_init(&w->order);
	list_del_init(&w->port.node);
	wait_count--;
	free(w);
}

void tcp_wait_expire(struct port_user *u)
{
	struct tcp_wait *w = container_of(u, struct tcp_wait, port);

	if (w->until_ns <= monotonic_now())
		wait_end(w);
}

/* Without memory for it the port is free at once: that is all that is lost. */
static void wait_begin(const struct tcp_sock *s) REQUIRES(inet_lock)
{
	struct tcp_wait *w;

	while (!list_empty(&waits)) {
		w = list_first_entry(&waits, struct tcp_wait, order);
		if (wait_count < WAITS_MAX && w->until_ns > monotonic_now())
			break;
		wait_end(w);
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return;
	w->port = s->inet.port;
	list_init(&w->port.node);
	list_init(&w->port.listen_node);
	w->port.is_waiting = true;
	w->port.listens = false;
	w->until_ns = monotonic_now() + WAIT_NS;
	list_add_tail(&w->order, &waits);
	wait_count++;
	port_share(&w->port, &s->inet.port);
}

/* ---- ends ---- */

/* Two ends that were tied to each other: references to be put when inet_lock is not held. */
struct tie {
	struct tcp_sock *peer, *self;
};

/* s and its peer, if it has one, have nothing to do with each other any more. */
static struct tie untie(struct tcp_sock *s) REQUIRES(inet_lock)
{
	struct tie t = {s->peer, NULL};

	if (t.peer) {
		t.self = t.peer->peer;
		t.peer->peer = NULL;
	}
	s->peer = NULL;
	return t;
}

static void tie_put(struct tie t)
{
	tcp_put(t.peer);
	tcp_put(t.self);
}

/* The connection, or the attempt at one, is over. */
static void become_closed(struct tcp_sock *s) REQUIRES(inet_lock)
{
	s->state = TCP_CLOSE;
	s->recv_shut = s->send_shut = true;
	s->inet.port.remote.port = 0;
	if (!s->inet.port.has_port)
		port_leave(&s->inet.port);
}

/* s, which is closed, is as it was before it was connected, but for what it was bound to. */
static void begin_anew(struct tcp_sock *s) REQUIRES(inet_lock)
{
	s->recv_shut = s->send_shut = s->connecting = s->was_connected = false;
	if (!s->inet.port.has_addr)
		s->inet.port.local.addr = s->inet.sock.family == L_AF_INET ? inet_any4 : inet_any6;
}

void tcp_reset(struct tcp_sock *s)
{
	s->inet.sock.error = s->state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET;
	become_closed(s);
}

/* s will send no more: its peer is told. */
static void finish(struct tcp_sock *s) REQUIRES(inet_lock)
{
	struct tcp_sock *peer = s->peer;

	s->send_shut = true;
	if (s->state == TCP_ESTABLISHED) {
		s->state = TCP_FIN_WAIT2;
		if (!peer)
			return;
		peer->recv_shut = true;
		peer->state = TCP_CLOSE_WAIT;
	} else if (s->state == TCP_CLOSE_WAIT) {
		/* The other one was first, and waits. */
		become_closed(s);
		if (!peer)
			return;
		peer->recv_shut = true;
		wait_begin(peer);
		become_closed(peer);
	}
}

/* Ends s's connection without ceremony: RST. */
static void abort_connection(struct tcp_sock *s) REQUIRES(inet_lock)
{
	if (s->peer)
		tcp_reset(s->peer);
	become_closed(s);
}

/* A caller that no listener has answered yet goes its way; what would have been the other end is the caller's to put. */
static struct tcp_sock *stop_calling(struct tcp_sock *s) REQUIRES(inet_lock)
{
	struct tcp_sock *child = s->child;

	list_del_init(&s->caller_node);
	s->listener = NULL;
	s->child = NULL;
	return child;
}

static void tcp_release(struct socket *sock);
static bool tcp_listens(struct socket *sock);

/* Nobody accepts any more: those who wait for it are told.  Its port is free, unless it was asked for. */
static void stop_listening(struct tcp_sock *s)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct tcp_sock *c;

	for (;;) {
		mutex_lock(&inet_lock);
		s->state = TCP_CLOSE;
		port_listen(&s->inet.port, false);
		if (!list_empty(&s->callers)) {
			struct tcp_sock *child;

			c = tcp_get(list_first_entry(&s->callers, struct tcp_sock, caller_node));
			child = stop_calling(c);
			c->inet.sock.error = ECONNREFUSED;
			become_closed(c);
			mutex_unlock(&inet_lock);
			tcp_tell(c);
			tcp_put(c);
			tcp_put(child);
			continue;
		}
		if (list_empty(&s->embryos))
			break;
		c = list_first_entry(&s->embryos, struct tcp_sock, accept_node);
		list_del_init(&c->accept_node);
		s->embryo_count--;
		mutex_unlock(&inet_lock);
		c->inet.sock.linger = LINGER_NONE;
		tcp_release(&c->inet.sock);
	}
	if (!s->inet.port.has_port)
		port_leave(&s->inet.port);
	mutex_unlock(&inet_lock);
	tcp_tell(s);
}

static void tcp_release(struct socket *sock)
{
	struct list_head chunks = LIST_HEAD_INIT(chunks);
	struct tcp_sock *s = tcp_of(sock), *child;
	struct tie tie;

	if (tcp_listens(sock))
		stop_listening(s);
	mutex_lock(&inet_lock);
	s->inet.file = NULL;
	child = stop_calling(s);
	if (s->peer && (s->queued || sock->linger == LINGER_NONE))
		abort_connection(s);
	else
		finish(s);
	if (s->state == TCP_FIN_WAIT2) /* until the peer ends, or the time is over */
		wait_begin(s);
	tcp_drop_queue(s, &chunks);
	tie = untie(s);
	s->recv_shut = s->send_shut = true;
	port_leave(&s->inet.port);
	mutex_unlock(&inet_lock);
	if (tie.peer) {
		tcp_tell(tie.peer);
		fasync_tell(&tie.peer->inet.sock.async, L_POLL_HUP);
	}
	tcp_free_chunks(&chunks);
	tie_put(tie);
	tcp_put(child);
	tcp_put(s);
}

/* ---- connect ---- */

static bool is_full(const struct tcp_sock *l) REQUIRES(inet_lock)
{
	return l->embryo_count > (unsigned)l->backlog;
}

/* The connection of s and child, which waits at l from now on. */
static void join(struct tcp_sock *s, struct tcp_sock *child, struct tcp_sock *l) REQUIRES(inet_lock)
{
	struct port_user *mine = &s->inet.port, *theirs = &child->inet.port;

	theirs->local = mine->remote;
	theirs->remote = mine->local;
	theirs->is_v6only = l->inet.port.is_v6only;
	port_share(theirs, &l->inet.port);
	child->inet.sock.family = l->inet.sock.family; /* it is the listener's, and nobody's yet */
	s->state = child->state = TCP_ESTABLISHED;
	s->was_connected = child->was_connected = true;
	s->recv_shut = s->send_shut = false;
	s->peer = tcp_get(child);
	child->peer = tcp_get(s);
	inet_inherit(&child->inet, &l->inet);
	child->nodelay = (int32_t)l->nodelay;
	child->keep_idle = (int32_t)l->keep_idle;
	child->keep_interval = (int32_t)l->keep_interval;
	child->keep_count = (int32_t)l->keep_count;
	child->user_timeout = (int32_t)l->user_timeout;
	list_add_tail(&child->accept_node, &l->embryos);
	l->embryo_count++;
}

/* Takes callers in as long as there is room. */
static void answer_callers(struct tcp_sock *l)
{
	struct tcp_sock *c;

	for (;;) {
		mutex_lock(&inet_lock);
		if (l->state != TCP_LISTEN || is_full(l) || list_empty(&l->callers))
			break;
		c = tcp_get(list_first_entry(&l->callers, struct tcp_sock, caller_node));
		join(c, stop_calling(c), l);
		mutex_unlock(&inet_lock);
		tcp_tell(c);
		tcp_tell(l);
		tcp_put(c);
	}
	mutex_unlock(&inet_lock);
}

/* What connect(2) says to a socket in that state; 0: go on. */
static int may_connect(struct tcp_sock *s) REQUIRES(inet_lock)
{
	int error;

	if (s->state == TCP_SYN_SENT)
		return -EALREADY;
	if (s->connecting) { /* the outcome of the one before */
		s->connecting = false;
		if (s->state != TCP_CLOSE)
			return 1;
		error = socket_take_error(&s->inet.sock);
		begin_anew(s);
		return error < 0 ? error : -ECONNABORTED;
	}
	return s->state == TCP_CLOSE ? 0 : -EISCONN;
}

/* Gives s its own end of a connection to `to`. */
static int choose_end(struct tcp_sock *s, const struct endpoint *to) REQUIRES(inet_lock)
{
	struct port_user *u = &s->inet.port;
	int r = 0;

	if (!u->has_addr)
		u->local.addr = inet_source(to);
	if (!list_empty(&u->node) && port_find_connection(INET_TCP, &u->local, to))
		r = -EADDRNOTAVAIL;
	u->remote = *to;
	if (list_empty(&u->node))
		r = port_bind_for(u);
	if (r < 0)
		u->remote.port = 0;
	return r;
}

/* Calls whoever listens at `to`.  child is consumed unless this fails; -EAGAIN: there is no room yet, s waits for it. */
static int call(struct tcp_sock *s, struct tcp_sock *child, const struct endpoint *to, struct tcp_sock **listener) REQUIRES(inet_lock)
{
	struct port_user *u;
	struct tcp_sock *l;
	int r = choose_end(s, to);

	*listener = NULL;
	if (r < 0)
		return r;
	u = port_find(INET_TCP, to, &s->inet.port.local);
	if (!u) {
		become_closed(s);
		return -ECONNREFUSED;
	}
	l = container_of(container_of(u, struct inet_sock, port), struct tcp_sock, inet);
	if (is_full(l)) {
		s->state = TCP_SYN_SENT;
		s->child = child;
		s->listener = l;
		list_add_tail(&s->caller_node, &l->callers);
		return -EAGAIN;
	}
	join(s, child, l);
	*listener = tcp_get(l);
	return 0;
}

static bool is_calling(struct tcp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = s->state == TCP_SYN_SENT;
	mutex_unlock(&inet_lock);
	return r;
}

/* Until the listener has room, or the call has failed. */
static int wait_for_answer(struct tcp_sock *s)
{
	int64_t wait_ns = s->inet.sock.send_wait_ns;
	int64_t patience = wait_ns > 0 ? min_of(wait_ns, CONNECT_NS) : CONNECT_NS;
	int r = wait_event_deadline(&s->inet.sock.wq, monotonic_now() + patience, !is_calling(s));
	struct tcp_sock *child = NULL;

	mutex_lock(&inet_lock);
	if (s->state == TCP_SYN_SENT && r == -ETIMEDOUT && wait_ns <= 0) {
		child = stop_calling(s);
		become_closed(s);
		begin_anew(s);
	} else if (s->state == TCP_SYN_SENT) { /* it goes on without us */
		s->connecting = true;
		r = r == -ETIMEDOUT ? -EINPROGRESS : socket_waited(r, wait_ns);
	} else {
		r = socket_take_error(&s->inet.sock);
		if (r < 0 && s->state == TCP_CLOSE)
			begin_anew(s);
	}
	mutex_unlock(&inet_lock);
	tcp_put(child);
	return r;
}

static int disconnect(struct tcp_sock *s)
{
	struct list_head chunks = LIST_HEAD_INIT(chunks);
	struct tcp_sock *child;
	struct tie tie;

	mutex_lock(&s->inet.recv_lock); /* nobody is just receiving what is thrown away */
	mutex_lock(&inet_lock);
	if (s->state == TCP_LISTEN) {
		mutex_unlock(&inet_lock);
		mutex_unlock(&s->inet.recv_lock);
		stop_listening(s);
		return 0;
	}
	child = stop_calling(s);
	if (s->state != TCP_CLOSE)
		s->inet.sock.error = ECONNRESET; /* as whoever uses it meanwhile is told */
	if (s->peer)
		abort_connection(s);
	tie = untie(s);
	become_closed(s);
	begin_anew(s);
	tcp_drop_queue(s, &chunks);
	mutex_unlock(&inet_lock);
	mutex_unlock(&s->inet.recv_lock);
	if (tie.peer)
		tcp_tell(tie.peer);
	tcp_tell(s);
	tcp_free_chunks(&chunks);
	tie_put(tie);
	tcp_put(child);
	return 0;
}

static int tcp_connect(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock)
{
	struct tcp_sock *s = tcp_of(sock), *child, *l;
	struct endpoint to;
	int r;

	if (len < sizeof(addr->ss_family))
		return -EINVAL;
	if (addr->ss_family == L_AF_UNSPEC)
		return disconnect(s);
	mutex_lock(&inet_lock);
	r = may_connect(s);
	mutex_unlock(&inet_lock);
	if (r)
		return r < 0 ? r : 0;
	r = inet_read_addr(sock->family, addr, len, &to);
	if (r == 0)
		r = inet_route(&s->inet, &to);
	if (r == 0 && (inet_is_multicast(&to.addr) || inet_is_broadcast(&to.addr)))
		r = -ENETUNREACH;
	if (r == 0)
		r = tcp_sock_new(sock->family, &child);
	if (r < 0)
		return r;
	nonblock |= sock->send_wait_ns < 0;
	mutex_lock(&inet_lock);
	r = may_connect(s); /* another thread may have been first */
	if (r == 0)
		r = call(s, child, &to, &l);
	if (nonblock && (r == 0 || r == -EAGAIN || r == -ECONNREFUSED))
		s->connecting = true;
	if (nonblock && r == -ECONNREFUSED)
		s->inet.sock.error = ECONNREFUSED;
	else if (r == -ECONNREFUSED)
		begin_anew(s);
	mutex_unlock(&inet_lock);
	if (r == 1) { /* it was, and is told so */
		tcp_put(child);
		return 0;
	}
	if (r == 0 && l) {
		waitqueue_wake(&l->inet.sock.wq, L_POLLIN | L_POLLRDNORM);
		fasync_tell(&l->inet.sock.async, L_POLL_IN);
		tcp_put(l);
	}
	if (r == 0 || r == -ECONNREFUSED)
		tcp_tell(s);
	if (r < 0 && r != -EAGAIN)
		tcp_put(child);
	if (nonblock && (r == 0 || r == -EAGAIN || r == -ECONNREFUSED))
		return -EINPROGRESS;
	return r == -EAGAIN ? wait_for_answer(s) : r;
}

/* ---- listen and accept ---- */

/* Where nothing was said, any port will do. */
static int bind_to_listen(struct tcp_sock *s, struct task *t) REQUIRES(inet_lock)
{
	struct port_user *u = &s->inet.port;

	if (!list_empty(&u->node))
		return port_may_listen(u);
	u->local.port = 0;
	u->is_v6only = inet_has(&s->inet, INET_V6ONLY);
	u->uid = t->cred->euid;
	return port_bind(u);
}

static int tcp_listen(struct socket *sock, struct task *t, int backlog)
{
	struct tcp_sock *s = tcp_of(sock);
	struct port_user *u = &s->inet.port;
	int r = 0;

	mutex_lock(&inet_lock);
	if (s->state != TCP_CLOSE && s->state != TCP_LISTEN)
		r = -EINVAL;
	if (r == 0 && s->state == TCP_CLOSE)
		r = bind_to_listen(s, t);
	if (r == 0) {
		s->state = TCP_LISTEN;
		s->recv_shut = s->send_shut = false;
		port_listen(u, true);
		s->backlog = backlog;
	}
	mutex_unlock(&inet_lock);
	if (r == 0)
		answer_callers(s);
	return r;
}

static bool acceptable(struct tcp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = s->embryo_count || s->state != TCP_LISTEN;
	mutex_unlock(&inet_lock);
	return r;
}

/* -EAGAIN: nobody is there. */
static int take_embryo(struct tcp_sock *s, struct tcp_sock **out)
{
	int r = 0;

	mutex_lock(&inet_lock);
	if (s->state != TCP_LISTEN) {
		r = -EINVAL;
	} else if (s->embryo_count) {
		*out = list_first_entry(&s->embryos, struct tcp_sock, accept_node);
		list_del_init(&(*out)->accept_node);
		s->embryo_count--;
	} else {
		r = -EAGAIN;
	}
	mutex_unlock(&inet_lock);
	return r;
}

static int tcp_accept(struct socket *sock, bool nonblock, struct socket **out)
{
	int64_t wait_ns = sock->recv_wait_ns, deadline = socket_deadline(wait_ns);
	struct tcp_sock *s = tcp_of(sock), *child;
	int r;

	while ((r = take_embryo(s, &child)) == -EAGAIN) {
		r = socket_wait(&sock->wq, nonblock, wait_ns, deadline, acceptable(s));
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	answer_callers(s);
	*out = &child->inet.sock;
	return 0;
}

/* ---- shutdown and state ---- */

static int tcp_shutdown(struct socket *sock, bool rd, bool wr)
{
	struct tcp_sock *s = tcp_of(sock), *peer = NULL;
	int r = 0;

	mutex_lock(&inet_lock);
	switch (s->state) {
	case TCP_CLOSE:
		r = -ENOTCONN;
		break;
	case TCP_LISTEN:
	case TCP_SYN_SENT:
		break;
	default:
		s->recv_shut |= rd;
		peer = s->peer ? tcp_get(s->peer) : NULL;
		if (wr)
			finish(s);
	}
	mutex_unlock(&inet_lock);
	if (r < 0)
		return r;
	if ((rd && sock->ops->listens(sock)) || is_calling(s))
		return disconnect(s);
	tcp_tell(s);
	if (peer) {
		tcp_tell(peer);
		if (wr)
			fasync_tell(&peer->inet.sock.async, L_POLL_IN);
	}
	tcp_put(peer);
	return 0;
}

static uint32_t poll_connection(struct tcp_sock *s) REQUIRES(inet_lock)
{
	uint32_t events = 0;

	if ((s->recv_shut && s->send_shut) || s->state == TCP_CLOSE)
		events |= L_POLLHUP;
	if (s->recv_shut)
		events |= L_POLLIN | L_POLLRDNORM | L_POLLRDHUP;
	if (s->state != TCP_SYN_SENT) {
		/* However much it asks for: more than there is room for does not come. */
		if (tcp_readable(s) >= (size_t)s->inet.sock.recv_low || (s->peer && tcp_readable(s) && !tcp_room(s->peer)))
			events |= L_POLLIN | L_POLLRDNORM;
		if (s->send_shut || !s->peer || tcp_has_much_room(s))
			events |= L_POLLOUT | L_POLLWRNORM;
		else
			s->wants_room = true;
		if (s->urgent == TCP_URG_VALID)
			events |= L_POLLPRI;
	}
	return s->inet.sock.error ? events | L_POLLERR : events;
}

static uint32_t tcp_poll(struct socket *sock)
{
	struct tcp_sock *s = tcp_of(sock);
	uint32_t events;

	mutex_lock(&inet_lock);
	if (s->state == TCP_LISTEN)
		events = s->embryo_count ? L_POLLIN | L_POLLRDNORM : 0;
	else
		events = poll_connection(s);
	mutex_unlock(&inet_lock);
	return events;
}

/* While nobody has answered there is no peer. */
static int tcp_name(struct socket *sock, bool peer, struct l_sockaddr_storage *addr, uint32_t *len)
{
	return peer && is_calling(tcp_of(sock)) ? -ENOTCONN : inet_name(sock, peer, addr, len);
}

static bool tcp_listens(struct socket *sock)
{
	struct tcp_sock *s = tcp_of(sock);
	bool r;

	mutex_lock(&inet_lock);
	r = s->state == TCP_LISTEN;
	mutex_unlock(&inet_lock);
	return r;
}

static long tcp_ioctl(struct socket *sock, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct tcp_sock *s = tcp_of(sock);
	int32_t n = 0;

	if (cmd != L_TIOCINQ && cmd != L_TIOCOUTQ && cmd != L_SIOCATMARK)
		return -ENOTTY;
	mutex_lock(&inet_lock);
	if (s->state == TCP_LISTEN && cmd != L_SIOCATMARK) {
		mutex_unlock(&inet_lock);
		return -EINVAL;
	}
	if (cmd == L_TIOCINQ)
		n = (int32_t)min_of(tcp_readable(s), (size_t)INT32_MAX);
	else if (cmd == L_SIOCATMARK)
		n = s->urgent != TCP_URG_NONE && s->urgent_at == s->taken;
	mutex_unlock(&inet_lock); /* all that was sent has arrived: TIOCOUTQ is 0 */
	return copy_out(ctx, arg, &n, sizeof(n));
}

static void tcp_buffers_changed(struct socket *sock)
{
	waitqueue_wake(&sock->wq, L_POLLOUT | L_POLLWRNORM);
}

const struct socket_ops tcp_ops = {
	.bind = inet_bind,
	.connect = tcp_connect,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.name = tcp_name,
	.send = tcp_send,
	.recv = tcp_recv,
	.shutdown = tcp_shutdown,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
	.listens = tcp_listens,
	.get = tcp_get_option,
	.set = tcp_set_option,
	.buffers_changed = tcp_buffers_changed,
	.opened = inet_opened,
	.release = tcp_release,
};
