/* See udp.h.  A datagram goes straight into the queue of whoever is bound to where it is sent; what finds no room there is lost, as ever. */
#include "sentry/net/inet/udp.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/core/uio.h"
#include "sentry/net/interface.h"
#include "sentry/task/task.h"

#define UDP_MAX_V4 65507u /* bytes of a datagram: what an IP packet holds beside two headers */
#define UDP_MAX_V6 65527u
#define HOPS_DEFAULT 64
#define CHARGE 768u	  /* what a datagram costs beside its bytes, about as on Linux */

static const struct socket_ops udp_ops;

int udp_socket_new(int family, struct socket **out)
{
	struct udp_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	inet_sock_init(&s->inet, &udp_ops, family, L_SOCK_DGRAM, L_IPPROTO_UDP, INET_UDP);
	list_init(&s->queue);
	*out = &s->inet.sock;
	return 0;
}

static void udp_put(struct udp_sock *s)
{
	if (!s || !refcount_dec(&s->inet.refs))
		return;
	inet_sock_destroy(&s->inet);
	free(s);
}

static void udp_release(struct socket *sock)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct udp_sock *s = udp_of(sock);
	struct udp_msg *msg, *next;

	mutex_lock(&inet_lock);
	s->inet.file = NULL;
	port_leave(&s->inet.port);
	list_splice_tail_init(&s->queue, &gone);
	mutex_unlock(&inet_lock);
	list_for_each_entry_safe (msg, next, &gone, node)
		free(msg);
	udp_put(s);
}

/* ---- where to ---- */

/* Gives s a port, if it has none. */
static int need_port(struct udp_sock *s) REQUIRES(inet_lock)
{
	struct port_user *u = &s->inet.port;

	if (!list_empty(&u->node))
		return 0;
	u->local.port = 0;
	u->is_v6only = inet_has(&s->inet, INET_V6ONLY);
	u->uid = task_current()->cred->euid;
	return port_bind(u) < 0 ? -EAGAIN : 0;
}

static int disconnect(struct udp_sock *s)
{
	struct port_user *u = &s->inet.port;

	mutex_lock(&inet_lock);
	u->remote.port = 0;
	if (!u->has_addr)
		u->local.addr = s->inet.sock.family == L_AF_INET ? inet_any4 : inet_any6;
	if (!u->has_port) {
		port_leave(u);
		u->local.port = 0;
	}
	mutex_unlock(&inet_lock);
	return 0;
}

static int udp_connect(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock)
{
	struct udp_sock *s = udp_of(sock);
	struct endpoint to;
	int r;

	if (len < sizeof(addr->ss_family))
		return -EINVAL;
	if (addr->ss_family == L_AF_UNSPEC)
		return disconnect(s);
	r = addr->ss_family == L_AF_INET ? inet_read_target(sock->family, addr, len, &to) : inet_read_addr(sock->family, addr, len, &to);
	if (r == 0)
		r = inet_route(&s->inet, &to);
	if (r == 0 && inet_is_broadcast(&to.addr) && !socket_has(sock, SOCKET_BROADCAST))
		r = -EACCES;
	if (r < 0)
		return r;
	mutex_lock(&inet_lock);
	r = need_port(s);
	if (r == 0) {
		if (!s->inet.port.has_addr)
			s->inet.port.local.addr = inet_source(&to);
		s->inet.port.remote = to;
	}
	mutex_unlock(&inet_lock);
	return r;
}

/* ---- sending ---- */

/* Puts msg (consumed) into to's queue; what finds no room is dropped. */
static void enqueue(struct udp_sock *to, struct udp_msg *msg, struct list_head *dropped) REQUIRES(inet_lock)
{
	size_t charge = msg->len + CHARGE;

	if (to->recv_shut || to->queued + charge > to->inet.sock.recv_buffer) {
		to->drops++;
		list_add_tail(&msg->node, dropped);
		return;
	}
	to->queued += charge;
	list_add_tail(&msg->node, &to->queue);
}

/* One datagram's way to several receivers. */
struct spread {
	const struct udp_msg *msg;
	bool is_joined; /* somebody is a member of the group: then those hear it, too, who have not said whose they are */
	struct list_head woken; /* of struct receiver.node */
	struct list_head dropped;
};

struct receiver {
	struct list_head node;
	struct udp_sock *s; /* counted */
};

static bool is_member(const struct udp_sock *s, const struct inet_addr *group) REQUIRES(inet_lock)
{
	for (unsigned i = 0; i < s->group_count; i++)
		if (inet_equal(&s->groups[i], group))
			return true;
	return false;
}

static bool hears_all(const struct udp_sock *s, const struct inet_addr *group)
{
	return inet_has(&s->inet, inet_is_v4(group) ? INET_MULTICAST_ALL : INET_MULTICAST_ALL6);
}

static void look_for_member(struct port_user *u, void *arg) REQUIRES(inet_lock)
{
	struct spread *sp = arg;

	sp->is_joined |= is_member(container_of(container_of(u, struct inet_sock, port), struct udp_sock, inet), &sp->msg->to);
}

static void spread_to(struct port_user *u, void *arg) REQUIRES(inet_lock)
{
	struct udp_sock *s = container_of(container_of(u, struct inet_sock, port), struct udp_sock, inet);
	struct spread *sp = arg;
	struct receiver *r;
	struct udp_msg *copy;

	if (inet_is_multicast(&sp->msg->to) && !is_member(s, &sp->msg->to) && !(sp->is_joined && hears_all(s, &sp->msg->to)))
		return;
	if (!inet_is_any(&u->local.addr) && !inet_equal(&u->local.addr, &sp->msg->to))
		return;
	if (u->remote.port && (u->remote.port != sp->msg->from.port || !inet_equal(&u->remote.addr, &sp->msg->from.addr)))
		return;
	copy = malloc(sizeof(*copy) + sp->msg->len);
	r = malloc(sizeof(*r));
	if (!copy || !r) { /* lost */
		free(copy);
		free(r);
		return;
	}
	memcpy(copy, sp->msg, sizeof(*copy) + sp->msg->len);
	enqueue(s, copy, &sp->dropped);
	refcount_inc(&s->inet.refs);
	r->s = s;
	list_add_tail(&r->node, &sp->woken);
}

static void tell(struct udp_sock *s)
{
	waitqueue_wake(&s->inet.sock.wq, L_POLLIN | L_POLLRDNORM);
	fasync_tell(&s->inet.sock.async, L_POLL_IN);
}

static void free_all(struct list_head *msgs)
{
	struct udp_msg *msg, *next;

	list_for_each_entry_safe (msg, next, msgs, node)
		free(msg);
	list_init(msgs);
}

/* To a group, or to all: whoever hears it. */
static void send_to_many(struct udp_msg *msg, uint16_t port)
{
	struct spread sp = {.msg = msg};
	struct receiver *r, *next;

	list_init(&sp.woken);
	list_init(&sp.dropped);
	mutex_lock(&inet_lock);
	port_for_each_at(INET_UDP, port, look_for_member, &sp);
	port_for_each_at(INET_UDP, port, spread_to, &sp);
	mutex_unlock(&inet_lock);
	list_for_each_entry_safe (r, next, &sp.woken, node) {
		tell(r->s);
		udp_put(r->s);
		free(r);
	}
	free_all(&sp.dropped);
	free(msg);
}

/* To one; nobody there is told the sender if it is connected: ICMP's port unreachable. */
static void send_to_one(struct udp_sock *s, struct udp_msg *msg, const struct endpoint *to)
{
	struct list_head dropped = LIST_HEAD_INIT(dropped);
	struct udp_sock *receiver = NULL;
	struct port_user *u;
	bool refused = false;

	mutex_lock(&inet_lock);
	u = port_find(INET_UDP, to, &msg->from);
	if (u) {
		receiver = container_of(container_of(u, struct inet_sock, port), struct udp_sock, inet);
		refcount_inc(&receiver->inet.refs);
		enqueue(receiver, msg, &dropped);
	} else {
		refused = s->inet.port.remote.port || inet_has(&s->inet, INET_RECVERR) || inet_has(&s->inet, INET_RECVERR6);
		if (refused)
			s->inet.sock.error = ECONNREFUSED;
		list_add_tail(&msg->node, &dropped);
	}
	mutex_unlock(&inet_lock);
	free_all(&dropped);
	if (receiver) {
		tell(receiver);
		udp_put(receiver);
	}
	if (refused)
		waitqueue_wake(&s->inet.sock.wq, 0);
}

/* Where m goes: as it says, or where s is connected to. */
static int find_target(struct udp_sock *s, struct net_msg *m, struct endpoint *to, struct endpoint *from)
{
	struct port_user *u = &s->inet.port;
	int r = 0;

	if (m->name_len) {
		r = inet_read_target(s->inet.sock.family, &m->name, m->name_len, to);
		if (r == 0 && !to->port)
			r = -EINVAL;
		if (r == 0)
			r = inet_route(&s->inet, to);
		if (r < 0)
			return r;
	}
	mutex_lock(&inet_lock);
	r = socket_take_error(&s->inet.sock);
	if (r < 0) {
		mutex_unlock(&inet_lock);
		return r;
	}
	if (s->send_shut) {
		r = -EPIPE;
	} else if (!m->name_len && !u->remote.port) {
		r = -EDESTADDRREQ;
	} else {
		if (!m->name_len)
			*to = u->remote;
		r = need_port(s);
		*from = u->local;
		if (inet_is_any(&from->addr))
			from->addr = inet_source(to);
	}
	mutex_unlock(&inet_lock);
	return r;
}

/* What the options say of the packet that it would be. */
static void mark_header(struct udp_sock *s, struct udp_msg *msg)
{
	bool v4 = inet_is_v4(&msg->to);
	int32_t hops = v4 ? s->inet.ttl : s->inet.hops;

	if (inet_is_multicast(&msg->to))
		hops = v4 ? s->inet.multicast_ttl : s->inet.multicast_hops;
	msg->ttl = hops < 0 ? HOPS_DEFAULT : hops;
	msg->tos = v4 ? s->inet.tos : s->inet.tclass;
}

static ssize_t udp_send(struct socket *sock, struct task *t, struct net_msg *m)
{
	struct udp_sock *s = udp_of(sock);
	struct endpoint to, from;
	size_t len = uio_left(m->u);
	struct udp_msg *msg;
	int r;

	if (len > (sock->family == L_AF_INET ? UDP_MAX_V4 : UDP_MAX_V6))
		return -EMSGSIZE;
	if (m->flags & L_MSG_OOB)
		return -EOPNOTSUPP;
	r = find_target(s, m, &to, &from);
	if (r == 0 && inet_is_broadcast(&to.addr) && !socket_has(sock, SOCKET_BROADCAST))
		r = -EACCES;
	if (r < 0)
		return r;
	msg = malloc(sizeof(*msg) + len);
	if (!msg)
		return -ENOBUFS;
	if (len && uio_take(m->u, msg->data, len) != (ssize_t)len) {
		free(msg);
		return -EFAULT;
	}
	list_init(&msg->node);
	msg->from = from;
	msg->to = to.addr;
	mark_header(s, msg);
	msg->len = len;
	if (inet_is_multicast(&to.addr) || inet_is_broadcast(&to.addr))
		send_to_many(msg, to.port);
	else
		send_to_one(s, msg, &to);
	return (ssize_t)len;
}

/* ---- receiving ---- */

static bool receivable(struct udp_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = !list_empty(&s->queue) || s->recv_shut || s->inet.sock.error;
	mutex_unlock(&inet_lock);
	return r;
}

/* What the options ask for beside the bytes. */
static void tell_more(struct udp_sock *s, const struct udp_msg *msg, struct net_msg *m)
{
	bool v4 = inet_is_v4(&msg->to);
	struct l_in_pktinfo info = {.ipi_ifindex = LOOPBACK_INDEX};
	struct l_in6_pktinfo info6 = {.ipi6_ifindex = LOOPBACK_INDEX};
	uint8_t tos = (uint8_t)msg->tos;

	if (v4 && inet_has(&s->inet, INET_PKTINFO)) {
		memcpy(&info.ipi_addr, msg->to.b + 12, 4);
		memcpy(&info.ipi_spec_dst, inet_is_local(&msg->to) ? msg->to.b + 12 : inet_loopback4.b + 12, 4);
		net_msg_tell(m, L_SOL_IP, L_IP_PKTINFO, &info, sizeof(info));
	}
	if (v4 && inet_has(&s->inet, INET_RECVTTL))
		net_msg_tell(m, L_SOL_IP, L_IP_TTL, &msg->ttl, sizeof(msg->ttl));
	if (v4 && inet_has(&s->inet, INET_RECVTOS))
		net_msg_tell(m, L_SOL_IP, L_IP_TOS, &tos, sizeof(tos));
	if (s->inet.sock.family == L_AF_INET6 && inet_has(&s->inet, INET_PKTINFO6)) {
		memcpy(info6.ipi6_addr, msg->to.b, sizeof(info6.ipi6_addr));
		net_msg_tell(m, L_SOL_IPV6, L_IPV6_PKTINFO, &info6, sizeof(info6));
	}
	if (!v4 && inet_has(&s->inet, INET_RECVHOPS))
		net_msg_tell(m, L_SOL_IPV6, L_IPV6_HOPLIMIT, &msg->ttl, sizeof(msg->ttl));
	if (!v4 && inet_has(&s->inet, INET_RECVTCLASS))
		net_msg_tell(m, L_SOL_IPV6, L_IPV6_TCLASS, &msg->tos, sizeof(msg->tos));
}

/* The first datagram into m; recv_lock held, so that it stays the first. */
static ssize_t give(struct udp_sock *s, struct udp_msg *msg, struct net_msg *m)
{
	size_t want = (size_t)min_of((uint64_t)msg->len, uio_left(m->u));
	ssize_t n = want ? uio_put(m->u, msg->data, want) : 0;

	if (n != (ssize_t)want)
		n = -EFAULT;
	if (n >= 0) {
		m->name_len = inet_show_addr(s->inet.sock.family, &msg->from, &m->name);
		tell_more(s, msg, m);
		if (msg->len > want) {
			m->out_flags |= L_MSG_TRUNC;
			if (m->flags & L_MSG_TRUNC)
				n = (ssize_t)msg->len;
		}
	}
	if (m->flags & L_MSG_PEEK)
		return n;
	mutex_lock(&inet_lock);
	list_del_init(&msg->node);
	s->queued -= msg->len + CHARGE;
	mutex_unlock(&inet_lock);
	free(msg);
	return n;
}

static ssize_t udp_recv(struct socket *sock, struct net_msg *m)
{
	struct udp_sock *s = udp_of(sock);
	int64_t wait_ns = sock->recv_wait_ns, deadline = socket_deadline(wait_ns);
	ssize_t r;

	m->out_flags = 0;
	m->name_len = 0;
	if (m->flags & L_MSG_ERRQUEUE)
		return -EAGAIN;
	mutex_lock(&s->inet.recv_lock);
	for (;;) {
		struct udp_msg *msg;

		mutex_lock(&inet_lock);
		r = socket_take_error(sock); /* an error comes first */
		msg = r < 0 || list_empty(&s->queue) ? NULL : list_first_entry(&s->queue, struct udp_msg, node);
		if (r == 0 && !s->recv_shut)
			r = -EAGAIN;
		mutex_unlock(&inet_lock);
		if (msg)
			r = give(s, msg, m);
		if (msg || r != -EAGAIN)
			break;
		mutex_unlock(&s->inet.recv_lock);
		r = socket_wait(&sock->wq, m->nonblock, wait_ns, deadline, receivable(s));
		mutex_lock(&s->inet.recv_lock);
		if (r < 0)
			break;
	}
	mutex_unlock(&s->inet.recv_lock);
	return r;
}

/* ---- state ---- */

static int udp_shutdown(struct socket *sock, bool rd, bool wr)
{
	struct udp_sock *s = udp_of(sock);
	int r = 0;

	mutex_lock(&inet_lock);
	if (!s->inet.port.remote.port) {
		r = -ENOTCONN;
	}
	s->recv_shut |= rd;
	s->send_shut |= wr;
	mutex_unlock(&inet_lock);
	waitqueue_wake(&sock->wq, 0);
	return r;
}

static uint32_t udp_poll(struct socket *sock)
{
	struct udp_sock *s = udp_of(sock);
	uint32_t events = L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND;

	mutex_lock(&inet_lock);
	if (s->inet.sock.error)
		events |= L_POLLERR;
	if (s->recv_shut)
		events |= L_POLLRDHUP | L_POLLIN | L_POLLRDNORM;
	if (s->recv_shut && s->send_shut)
		events |= L_POLLHUP;
	if (!list_empty(&s->queue))
		events |= L_POLLIN | L_POLLRDNORM;
	mutex_unlock(&inet_lock);
	return events;
}

static long udp_ioctl(struct socket *sock, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct udp_sock *s = udp_of(sock);
	int32_t n = 0;

	if (cmd != L_TIOCINQ && cmd != L_TIOCOUTQ)
		return -ENOTTY;
	mutex_lock(&inet_lock);
	if (cmd == L_TIOCINQ && !list_empty(&s->queue))
		n = (int32_t)list_first_entry(&s->queue, struct udp_msg, node)->len;
	mutex_unlock(&inet_lock);
	return copy_out(ctx, arg, &n, sizeof(n));
}

/* ---- groups ---- */

static int change_group(struct udp_sock *s, const struct inet_addr *group, bool join)
{
	int r = 0;

	if (!inet_is_multicast(group))
		return -EINVAL;
	mutex_lock(&inet_lock);
	if (join && is_member(s, group)) {
		r = -EADDRINUSE;
	} else if (join && s->group_count == UDP_GROUPS_MAX) {
		r = -ENOBUFS;
	} else if (join) {
		s->groups[s->group_count++] = *group;
	} else {
		r = -EADDRNOTAVAIL;
		for (unsigned i = 0; r < 0 && i < s->group_count; i++) {
			if (!inet_equal(&s->groups[i], group))
				continue;
			s->groups[i] = s->groups[--s->group_count];
			r = 0;
		}
	}
	mutex_unlock(&inet_lock);
	return r;
}

static int change_group4(struct udp_sock *s, const void *value, uint32_t len, bool join)
{
	struct l_ip_mreqn req = {0};
	struct inet_addr group = inet_any4;

	if (len < 8)
		return -EINVAL;
	memcpy(&req, value, min_of(len, (uint32_t)sizeof(req)));
	if (req.imr_ifindex && req.imr_ifindex != LOOPBACK_INDEX)
		return -ENODEV;
	/* Without a route to it a group has to come with an interface. */
	if (!req.imr_ifindex && !req.imr_address)
		return -ENODEV;
	memcpy(group.b + 12, &req.imr_multiaddr, 4);
	return change_group(s, &group, join);
}

static int change_group6(struct udp_sock *s, const void *value, uint32_t len, bool join)
{
	struct l_ipv6_mreq req;
	struct inet_addr group;

	if (len < sizeof(req))
		return -EINVAL;
	memcpy(&req, value, sizeof(req));
	if (req.ipv6mr_ifindex != LOOPBACK_INDEX && req.ipv6mr_ifindex)
		return -ENODEV;
	memcpy(group.b, req.ipv6mr_multiaddr, sizeof(group.b));
	return change_group(s, &group, join);
}

static int udp_set_option(struct socket *sock, struct task *t, int level, int name, const void *value, uint32_t len)
{
	struct udp_sock *s = udp_of(sock);

	if (level == L_SOL_IP && (name == L_IP_ADD_MEMBERSHIP || name == L_IP_DROP_MEMBERSHIP))
		return change_group4(s, value, len, name == L_IP_ADD_MEMBERSHIP);
	if (level == L_SOL_IPV6 && sock->family == L_AF_INET6 && (name == L_IPV6_ADD_MEMBERSHIP || name == L_IPV6_DROP_MEMBERSHIP))
		return change_group6(s, value, len, name == L_IPV6_ADD_MEMBERSHIP);
	return inet_set_option(sock, t, level, name, value, len);
}

static const struct socket_ops udp_ops = {
	.bind = inet_bind,
	.connect = udp_connect,
	.name = inet_name,
	.send = udp_send,
	.recv = udp_recv,
	.shutdown = udp_shutdown,
	.poll = udp_poll,
	.ioctl = udp_ioctl,
	.get = inet_get_option,
	.set = udp_set_option,
	.opened = inet_opened,
	.release = udp_release,
};
