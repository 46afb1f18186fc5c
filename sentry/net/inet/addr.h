/*
 * Internet addresses.  Inside, all are IPv6 addresses, IPv4 ones in their mapped form (::ffff:a.b.c.d), so that one table of ports and
 * one comparison serve both families; ports are in host order.  What a program says and is told is converted here.
 */
#ifndef BAILEY_SENTRY_NET_INET_ADDR_H
#define BAILEY_SENTRY_NET_INET_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/socket.h"
#include "base/compiler.h"

struct inet_addr {
	uint8_t b[16];
};

struct endpoint {
	struct inet_addr addr;
	uint16_t port; /* 0: none */
	uint32_t scope; /* IPv6: the interface that the program said; 0: none */
};

extern const struct inet_addr inet_any4, inet_any6, inet_loopback4, inet_loopback6;

bool inet_equal(const struct inet_addr *a, const struct inet_addr *b);
bool inet_is_v4(const struct inet_addr *a);	   /* mapped */
bool inet_is_any(const struct inet_addr *a);	   /* of either family */
bool inet_is_multicast(const struct inet_addr *a);
bool inet_is_broadcast(const struct inet_addr *a); /* 255.255.255.255, and 127.255.255.255 */
bool inet_is_local(const struct inet_addr *a);	   /* one of this machine's own: 127/8, ::1 */

/* What bind(2) or connect(2) says to a socket of that family (L_AF_INET, L_AF_INET6).  -EINVAL: too short; -EAFNOSUPPORT. */
int inet_read_addr(int family, const struct l_sockaddr_storage *addr, uint32_t len, struct endpoint *out) MUST_CHECK;
/* Where a datagram goes: an IPv6 socket may say an IPv4 address, and what is of no family is one, too.  Errors likewise. */
int inet_read_target(int family, const struct l_sockaddr_storage *addr, uint32_t len, struct endpoint *out) MUST_CHECK;
/* e as a program with a socket of that family is told; the count of bytes. */
uint32_t inet_show_addr(int family, const struct endpoint *e, struct l_sockaddr_storage *out);

static inline uint16_t inet_swap16(uint16_t v)
{
	return __builtin_bswap16(v);
}

#endif
