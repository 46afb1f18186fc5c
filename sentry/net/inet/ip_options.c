/* Options of level IPPROTO_IP and IPPROTO_IPV6: ip(7), ipv6(7). */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/net/inet/internal.h"
#include "sentry/net/interface.h"
#include "sentry/task/task.h"

#define HOPS_DEFAULT 64
#define PACKET_MAX 65535 /* bytes of an IPv4 packet, however large the interface's may be */

/* ---- values ---- */

int inet_give(void *value, uint32_t *len, const void *what, size_t size)
{
	*len = min_of(*len, (uint32_t)size);
	memcpy(value, what, *len);
	return 0;
}

/* As Linux gives an option of IP: in one byte where there is no room for more and it fits. */
static int give_small(void *value, uint32_t *len, int32_t v)
{
	uint8_t byte = (uint8_t)v;

	if (*len > 0 && *len < sizeof(v) && v >= 0 && v <= 255)
		return inet_give(value, len, &byte, sizeof(byte));
	return inet_give(value, len, &v, sizeof(v));
}

static int32_t take_small(const void *value, uint32_t len)
{
	int32_t v = 0;
	uint8_t byte;

	if (len >= sizeof(v)) {
		memcpy(&v, value, sizeof(v));
	} else if (len) {
		memcpy(&byte, value, sizeof(byte));
		v = byte;
	}
	return v;
}

static int flag4(int name)
{
	switch (name) {
	case L_IP_HDRINCL:
		return INET_HDRINCL;
	case L_IP_RECVOPTS:
		return INET_RECVOPTS;
	case L_IP_PKTINFO:
		return INET_PKTINFO;
	case L_IP_RECVERR:
		return INET_RECVERR;
	case L_IP_RECVTTL:
		return INET_RECVTTL;
	case L_IP_RECVTOS:
		return INET_RECVTOS;
	case L_IP_FREEBIND:
		return INET_FREEBIND;
	case L_IP_RECVORIGDSTADDR:
		return INET_ORIGDST;
	case L_IP_BIND_ADDRESS_NO_PORT:
		return INET_BIND_NO_PORT;
	case L_IP_MULTICAST_LOOP:
		return INET_MULTICAST_LOOP;
	case L_IP_MULTICAST_ALL:
		return INET_MULTICAST_ALL;
	}
	return -1;
}

static int flag6(int name)
{
	switch (name) {
	case L_IPV6_V6ONLY:
		return INET_V6ONLY;
	case L_IPV6_RECVERR:
		return INET_RECVERR6;
	case L_IPV6_RECVPKTINFO:
		return INET_PKTINFO6;
	case L_IPV6_RECVHOPLIMIT:
		return INET_RECVHOPS;
	case L_IPV6_RECVTCLASS:
		return INET_RECVTCLASS;
	case L_IPV6_MULTICAST_LOOP:
		return INET_MULTICAST_LOOP6;
	case L_IPV6_MULTICAST_ALL:
		return INET_MULTICAST_ALL6;
	}
	return -1;
}

static void set_flag(struct inet_sock *s, int flag, bool on)
{
	if (on)
		atomic_fetch_or(&s->ip_flags, 1u << flag);
	else
		atomic_fetch_and(&s->ip_flags, ~(1u << flag));
}

static bool is_connected(struct inet_sock *s)
{
	bool r;

	mutex_lock(&inet_lock);
	r = s->port.remote.port;
	mutex_unlock(&inet_lock);
	return r;
}

/* Flags that take 0 or 1 and nothing else. */
static bool is_strict(int flag)
{
	return flag == INET_MULTICAST_ALL || flag == INET_MULTICAST_ALL6 || flag == INET_MULTICAST_LOOP6;
}

/* ---- IP ---- */

static int get4(struct inet_sock *s, int name, void *value, uint32_t *len)
{
	int flag = flag4(name);
	int32_t v;

	if (flag >= 0)
		return give_small(value, len, inet_has(s, (enum inet_flag)flag));
	switch (name) {
	case L_IP_TOS:
		return give_small(value, len, s->tos);
	case L_IP_TTL:
		return give_small(value, len, s->ttl < 0 ? HOPS_DEFAULT : s->ttl);
	case L_IP_MINTTL:
		return give_small(value, len, s->minttl);
	case L_IP_MTU_DISCOVER:
		return give_small(value, len, s->mtu_discover);
	case L_IP_MTU:
		return is_connected(s) ? give_small(value, len, PACKET_MAX) : -ENOTCONN;
	case L_IP_MULTICAST_TTL:
		return give_small(value, len, s->multicast_ttl);
	case L_IP_MULTICAST_IF:
		v = s->multicast_if_addr;
		return inet_give(value, len, &v, sizeof(v));
	case L_IP_TRANSPARENT:
		return give_small(value, len, inet_has(s, INET_TRANSPARENT));
	case L_IP_OPTIONS:
		*len = 0;
		return 0;
	}
	return -ENOPROTOOPT;
}

/* The loopback interface, by its number or an address of its own; or none. */
static int set_multicast_if(struct inet_sock *s, const void *value, uint32_t len)
{
	struct l_ip_mreqn req = {0};

	if (len < sizeof(req.imr_address))
		return -EINVAL;
	if (len < 2 * sizeof(req.imr_address))
		memcpy(&req.imr_address, value, sizeof(req.imr_address));
	else
		memcpy(&req, value, min_of(len, (uint32_t)sizeof(req)));
	if (!req.imr_ifindex && req.imr_address && (req.imr_address & 0xff) != 127)
		return -EADDRNOTAVAIL;
	if (req.imr_ifindex && req.imr_ifindex != LOOPBACK_INDEX)
		return -EADDRNOTAVAIL;
	s->multicast_if = req.imr_ifindex || req.imr_address ? LOOPBACK_INDEX : 0;
	s->multicast_if_addr = (int32_t)req.imr_address;
	return 0;
}

static int set4(struct inet_sock *s, struct task *t, int name, const void *value, uint32_t len)
{
	int32_t v = take_small(value, len);
	int flag = flag4(name);

	if (flag == INET_HDRINCL)
		return -ENOPROTOOPT; /* of raw sockets alone */
	if (is_strict(flag) && (!len || (v != 0 && v != 1)))
		return -EINVAL;
	if (flag >= 0) {
		set_flag(s, flag, v);
		return 0;
	}
	switch (name) {
	case L_IP_TOS:
		s->tos = v & 0xff;
		return 0;
	case L_IP_TTL:
		if (!len || (v != -1 && (v < 1 || v > 255)))
			return -EINVAL;
		s->ttl = v;
		return 0;
	case L_IP_MINTTL:
		if (!len || v < 0 || v > 255)
			return -EINVAL;
		s->minttl = v;
		return 0;
	case L_IP_MTU_DISCOVER:
		if (v < 0 || v > 5)
			return -EINVAL;
		s->mtu_discover = v;
		return 0;
	case L_IP_MULTICAST_TTL:
		if (s->sock.type == L_SOCK_STREAM || !len || v < -1 || v > 255)
			return -EINVAL;
		s->multicast_ttl = v == -1 ? 1 : v;
		return 0;
	case L_IP_MULTICAST_IF:
		return s->sock.type == L_SOCK_STREAM ? -EINVAL : set_multicast_if(s, value, len);
	case L_IP_TRANSPARENT:
		if (v && !cred_own_capable(t->cred, L_CAP_NET_RAW) && !cred_own_capable(t->cred, L_CAP_NET_ADMIN))
			return -EPERM;
		set_flag(s, INET_TRANSPARENT, v);
		return 0;
	case L_IP_OPTIONS:
		return len ? -EINVAL : 0;
	}
	return -ENOPROTOOPT;
}

/* ---- IPv6 ---- */

static int get6(struct inet_sock *s, int name, void *value, uint32_t *len)
{
	int flag = flag6(name);
	int32_t v;

	if (s->sock.family != L_AF_INET6)
		return -EOPNOTSUPP; /* tcp(7) of an IPv4 socket knows no such level */
	if (flag >= 0)
		v = inet_has(s, (enum inet_flag)flag);
	else if (name == L_IPV6_UNICAST_HOPS)
		v = s->hops < 0 ? HOPS_DEFAULT : s->hops;
	else if (name == L_IPV6_MULTICAST_HOPS)
		v = s->multicast_hops;
	else if (name == L_IPV6_MULTICAST_IF)
		v = s->multicast_if6;
	else if (name == L_IPV6_TCLASS)
		v = s->tclass;
	else if (name == L_IPV6_MTU_DISCOVER)
		v = s->mtu_discover6;
	else if (name == L_IPV6_MTU && is_connected(s))
		v = LOOPBACK_MTU;
	else
		return name == L_IPV6_MTU ? -ENOTCONN : -ENOPROTOOPT;
	return inet_give(value, len, &v, sizeof(v));
}

static int set6(struct inet_sock *s, int name, const void *value, uint32_t len)
{
	int flag = flag6(name);
	int32_t v;

	if (s->sock.family != L_AF_INET6)
		return -ENOPROTOOPT;
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (is_strict(flag) && v != 0 && v != 1)
		return -EINVAL;
	if (flag == INET_V6ONLY) {
		bool bound;

		mutex_lock(&inet_lock);
		bound = !list_empty(&s->port.node);
		mutex_unlock(&inet_lock);
		if (bound)
			return -EINVAL;
	}
	if (flag >= 0) {
		set_flag(s, flag, v);
		return 0;
	}
	switch (name) {
	case L_IPV6_UNICAST_HOPS:
		if (v < -1 || v > 255)
			return -EINVAL;
		s->hops = v;
		return 0;
	case L_IPV6_MULTICAST_HOPS:
		if (s->sock.type == L_SOCK_STREAM)
			return -ENOPROTOOPT;
		if (v < -1 || v > 255)
			return -EINVAL;
		s->multicast_hops = v == -1 ? 1 : v;
		return 0;
	case L_IPV6_MULTICAST_IF:
		if (v && v != 1)
			return -ENODEV;
		s->multicast_if6 = v;
		return 0;
	case L_IPV6_TCLASS:
		if (v < -1 || v > 255)
			return -EINVAL;
		s->tclass = v == -1 ? 0 : v;
		return 0;
	case L_IPV6_MTU_DISCOVER:
		if (v < 0 || v > 5)
			return -EINVAL;
		s->mtu_discover6 = v;
		return 0;
	}
	return -ENOPROTOOPT;
}

/* ---- both ---- */

int inet_get_option(struct socket *sock, struct task *t, int level, int name, void *value, uint32_t *len)
{
	switch (level) {
	case L_SOL_SOCKET:
		return -ENOPROTOOPT;
	case L_SOL_IP:
		return get4(inet_of(sock), name, value, len);
	case L_SOL_IPV6:
		return get6(inet_of(sock), name, value, len);
	}
	return -EOPNOTSUPP;
}

int inet_set_option(struct socket *sock, struct task *t, int level, int name, const void *value, uint32_t len)
{
	switch (level) {
	case L_SOL_SOCKET:
		return -ENOPROTOOPT;
	case L_SOL_IP:
		return set4(inet_of(sock), t, name, value, len);
	case L_SOL_IPV6:
		return set6(inet_of(sock), name, value, len);
	}
	return -ENOPROTOOPT;
}
