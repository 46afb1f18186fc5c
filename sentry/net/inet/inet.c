/* What TCP and UDP share: making, binding, routes, names, the options that are inherited. */
#include "sentry/net/inet/internal.h"

#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "base/checked.h"
#include "platform/uaccess.h"
#include "sentry/net/inet/tcp.h"
#include "sentry/net/inet/udp.h"
#include "sentry/net/interface.h"
#include "sentry/task/task.h"

#define PRIVILEGED_PORTS 1024u /* net.ipv4.ip_unprivileged_port_start */

/* ---- life ---- */

void inet_sock_init(struct inet_sock *s, const struct socket_ops *ops, int family, int type, int protocol, enum inet_protocol p)
{
	socket_init(&s->sock, ops, family, type, protocol);
	refcount_init(&s->refs, 1);
	mutex_init(&s->recv_lock);
	list_init(&s->port.node);
	list_init(&s->port.listen_node);
	s->port.protocol = p;
	s->port.local.addr = s->port.remote.addr = family == L_AF_INET ? inet_any4 : inet_any6;
	s->ttl = s->hops = -1;
	s->multicast_ttl = s->multicast_hops = 1;
	s->mtu_discover = s->mtu_discover6 = 1;
	s->ip_flags = 1u << INET_MULTICAST_LOOP | 1u << INET_MULTICAST_LOOP6 | 1u << INET_MULTICAST_ALL6;
	if (family == L_AF_INET)
		s->ip_flags |= 1u << INET_MULTICAST_ALL;
}

void inet_inherit(struct inet_sock *s, const struct inet_sock *of)
{
	s->sock.flags = (uint32_t)of->sock.flags;
	s->sock.send_buffer = (uint32_t)of->sock.send_buffer;
	s->sock.recv_buffer = (uint32_t)of->sock.recv_buffer;
	s->sock.linger = (uint64_t)of->sock.linger;
	s->sock.recv_wait_ns = (int64_t)of->sock.recv_wait_ns;
	s->sock.send_wait_ns = (int64_t)of->sock.send_wait_ns;
	s->sock.recv_low = (int32_t)of->sock.recv_low;
	s->sock.priority = (int32_t)of->sock.priority;
	s->sock.mark = (int32_t)of->sock.mark;
	s->ttl = (int32_t)of->ttl;
	s->tos = (int32_t)of->tos;
	s->hops = (int32_t)of->hops;
	s->tclass = (int32_t)of->tclass;
	s->minttl = (int32_t)of->minttl;
	s->mtu_discover = (int32_t)of->mtu_discover;
	s->mtu_discover6 = (int32_t)of->mtu_discover6;
	s->ip_flags = (uint32_t)of->ip_flags;
}

void inet_sock_destroy(struct inet_sock *s)
{
	mutex_destroy(&s->recv_lock);
	socket_destroy(&s->sock);
}

void inet_opened(struct socket *sock, struct file *f)
{
	mutex_lock(&inet_lock);
	inet_of(sock)->file = f;
	mutex_unlock(&inet_lock);
}

/* The protocol that type and protocol mean together, as socket(2) has it. */
static int choose_protocol(struct task *t, int type, int protocol)
{
	switch (type) {
	case L_SOCK_STREAM:
		return protocol == 0 || protocol == L_IPPROTO_TCP ? L_IPPROTO_TCP : -EPROTONOSUPPORT;
	case L_SOCK_DGRAM:
		return protocol == 0 || protocol == L_IPPROTO_UDP ? L_IPPROTO_UDP : -EPROTONOSUPPORT;
	case L_SOCK_RAW:
		if (!cred_own_capable(t->cred, L_CAP_NET_RAW))
			return -EPERM;
		return -EPROTONOSUPPORT;
	}
	return -ESOCKTNOSUPPORT;
}

int inet_socket_new(struct task *t, int family, int type, int protocol, struct socket **out)
{
	struct tcp_sock *tcp;
	int r;

	if (protocol < 0 || protocol > L_IPPROTO_RAW)
		return -EINVAL;
	r = choose_protocol(t, type, protocol);
	if (r == L_IPPROTO_UDP)
		return udp_socket_new(family, out);
	if (r < 0)
		return r;
	r = tcp_sock_new(family, &tcp);
	if (r == 0)
		*out = &tcp->inet.sock;
	return r;
}

/* ---- addresses ---- */

/* An IPv6 socket that means IPv6 alone has nothing to do with IPv4 addresses. */
static bool is_foreign(const struct inet_sock *s, const struct inet_addr *a)
{
	return s->sock.family == L_AF_INET6 && inet_has(s, INET_V6ONLY) && inet_is_v4(a);
}

static bool may_bind_to(const struct inet_sock *s, const struct inet_addr *a)
{
	if (inet_is_any(a) || inet_is_local(a) || inet_has(s, INET_FREEBIND) || inet_has(s, INET_TRANSPARENT))
		return true;
	return inet_is_multicast(a) || inet_is_broadcast(a);
}

int inet_bind(struct socket *sock, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len)
{
	struct inet_sock *s = inet_of(sock);
	struct port_user *u = &s->port;
	struct endpoint e;
	int r = inet_read_addr(sock->family, addr, len, &e);

	if (r < 0)
		return r;
	if (is_foreign(s, &e.addr))
		return -EINVAL;
	if (!may_bind_to(s, &e.addr))
		return -EADDRNOTAVAIL;
	if (e.port && e.port < PRIVILEGED_PORTS && !cred_own_capable(t->cred, L_CAP_NET_BIND_SERVICE))
		return -EACCES;
	mutex_lock(&inet_lock);
	if (!list_empty(&u->node) || u->remote.port) {
		r = -EINVAL;
	} else {
		u->local = e;
		u->is_v6only = inet_has(s, INET_V6ONLY);
		u->reuse = socket_has(sock, SOCKET_REUSEADDR);
		u->reuse_port = socket_has(sock, SOCKET_REUSEPORT);
		u->uid = t->cred->euid;
		r = port_bind(u);
		u->has_addr = r == 0 && !inet_is_any(&e.addr);
		u->has_port = r == 0 && e.port;
		if (r < 0) {
			u->local.addr = sock->family == L_AF_INET ? inet_any4 : inet_any6;
			u->local.port = 0;
		}
	}
	mutex_unlock(&inet_lock);
	return r;
}

static bool has_route(const struct inet_sock *s, const struct endpoint *to)
{
	if (inet_is_local(&to->addr))
		return true;
	if (inet_is_multicast(&to->addr)) /* there is no default route: it has to be said which interface */
		return inet_is_v4(&to->addr) ? s->multicast_if : s->multicast_if6 || to->scope == LOOPBACK_INDEX;
	return inet_is_broadcast(&to->addr) && to->addr.b[12] == 127;
}

int inet_route(struct inet_sock *s, struct endpoint *to)
{
	bool from_v4;

	/* No address is this machine. */
	if (inet_equal(&to->addr, &inet_any4))
		to->addr = inet_loopback4;
	if (inet_equal(&to->addr, &inet_any6)) {
		mutex_lock(&inet_lock);
		from_v4 = s->port.has_addr && inet_is_v4(&s->port.local.addr);
		mutex_unlock(&inet_lock);
		to->addr = from_v4 ? inet_loopback4 : inet_loopback6;
	}
	return is_foreign(s, &to->addr) || !has_route(s, to) ? -ENETUNREACH : 0;
}

struct inet_addr inet_source(const struct endpoint *to)
{
	return inet_is_v4(&to->addr) ? inet_loopback4 : inet_loopback6;
}

int inet_name(struct socket *sock, bool peer, struct l_sockaddr_storage *addr, uint32_t *len)
{
	struct inet_sock *s = inet_of(sock);
	struct endpoint e;
	int r = 0;

	mutex_lock(&inet_lock);
	if (peer && !s->port.remote.port)
		r = -ENOTCONN;
	e = peer ? s->port.remote : s->port.local;
	mutex_unlock(&inet_lock);
	if (r == 0)
		*len = inet_show_addr(sock->family, &e, addr);
	return r;
}
