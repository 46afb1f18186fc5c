/* See addr.h. */
#include "sentry/net/inet/addr.h"

#include <string.h>

#include "abi/errno.h"

#define V6_LEN_MIN 24u /* sockaddr_in6 as it once was, without the scope: RFC 2133 */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
const struct inet_addr inet_any4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};
const struct inet_addr inet_any6 = {{0}};
const struct inet_addr inet_loopback4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
const struct inet_addr inet_loopback6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

bool inet_equal(const struct inet_addr *a, const struct inet_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool inet_is_v4(const struct inet_addr *a)
{
	return !memcmp(a->b, mapped, sizeof(mapped));
}

bool inet_is_any(const struct inet_addr *a)
{
	return inet_equal(a, &inet_any4) || inet_equal(a, &inet_any6);
}

bool inet_is_multicast(const struct inet_addr *a)
{
	return inet_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool inet_is_broadcast(const struct inet_addr *a)
{
	return inet_is_v4(a) && (a->b[12] & 0x7f) == 0x7f && (a->b[13] & a->b[14] & a->b[15]) == 0xff;
}

bool inet_is_local(const struct inet_addr *a)
{
	return inet_is_v4(a) ? a->b[12] == 127 && !inet_is_broadcast(a) : inet_equal(a, &inet_loopback6);
}

static int read_v4(const struct l_sockaddr_storage *addr, uint32_t len, struct endpoint *out)
{
	struct l_sockaddr_in in;

	if (len < sizeof(in))
		return -EINVAL;
	memcpy(&in, addr, sizeof(in));
	/* Old programs leave the family out where they say no address either. */
	if (in.sin_family != L_AF_INET && (in.sin_family != L_AF_UNSPEC || in.sin_addr))
		return -EAFNOSUPPORT;
	out->addr = inet_any4;
	memcpy(out->addr.b + 12, &in.sin_addr, sizeof(in.sin_addr));
	out->port = inet_swap16(in.sin_port);
	out->scope = 0;
	return 0;
}

int inet_read_addr(int family, const struct l_sockaddr_storage *addr, uint32_t len, struct endpoint *out)
{
	struct l_sockaddr_in6 in6 = {0};

	if (family == L_AF_INET)
		return read_v4(addr, len, out);
	if (len < V6_LEN_MIN)
		return -EINVAL;
	memcpy(&in6, addr, len < sizeof(in6) ? len : sizeof(in6));
	if (in6.sin6_family != L_AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(out->addr.b, in6.sin6_addr, sizeof(out->addr.b));
	out->port = inet_swap16(in6.sin6_port);
	out->scope = in6.sin6_scope_id;
	return 0;
}

int inet_read_target(int family, const struct l_sockaddr_storage *addr, uint32_t len, struct endpoint *out)
{
	struct l_sockaddr_storage named = *addr;

	if (len < sizeof(addr->ss_family))
		return -EINVAL;
	if (family == L_AF_INET && named.ss_family == L_AF_UNSPEC)
		named.ss_family = L_AF_INET;
	return inet_read_addr(named.ss_family == L_AF_INET ? L_AF_INET : family, &named, len, out);
}

uint32_t inet_show_addr(int family, const struct endpoint *e, struct l_sockaddr_storage *out)
{
	struct l_sockaddr_in in = {.sin_family = L_AF_INET};
	struct l_sockaddr_in6 in6 = {.sin6_family = L_AF_INET6};

	if (family == L_AF_INET) {
		in.sin_port = inet_swap16(e->port);
		memcpy(&in.sin_addr, e->addr.b + 12, sizeof(in.sin_addr));
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	in6.sin6_port = inet_swap16(e->port);
	memcpy(in6.sin6_addr, e->addr.b, sizeof(in6.sin6_addr));
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}
