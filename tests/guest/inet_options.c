/*
 * Options of AF_INET and AF_INET6 sockets, by the table: what each is at first, what may be set and what it is then, and what is said to
 * values of the wrong size.
 */
#include "inet.h"

#include <net/if.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum kind { TCP4, TCP6, UDP4, UDP6, KINDS };
#define ALL 15u
#define TCP (1u << TCP4 | 1u << TCP6)
#define UDP (1u << UDP4 | 1u << UDP6)
#define V6 (1u << TCP6 | 1u << UDP6)

struct row {
	const char *name;
	int level, option;
	unsigned kinds;	    /* of 1 << enum kind: whose it is */
	int first;	    /* value at first */
	int good, then;	    /* a value that may be set, and what it is told as */
	int bad, bad_errno; /* one that may not, 0: there is none */
};

/* A row that ends early has no value that may not be set. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define ROW(level, option) #option, level, option
static const struct row rows[] = {
	{ROW(SOL_SOCKET, SO_REUSEADDR), ALL, 0, 5, 1},
	{ROW(SOL_SOCKET, SO_REUSEPORT), ALL, 0, 1, 1},
	{ROW(SOL_SOCKET, SO_KEEPALIVE), ALL, 0, 1, 1},
	{ROW(SOL_SOCKET, SO_BROADCAST), ALL, 0, 1, 1},
	{ROW(SOL_SOCKET, SO_OOBINLINE), ALL, 0, 1, 1},
	{ROW(SOL_SOCKET, SO_DONTROUTE), ALL, 0, 1, 1},
	{ROW(SOL_SOCKET, SO_PRIORITY), ALL, 0, 6, 6},
	{ROW(SOL_SOCKET, SO_RCVLOWAT), ALL, 1, 100, 100},
	{ROW(SOL_SOCKET, SO_SNDBUF), UDP, 212992, 10000, 20000},
	{ROW(SOL_SOCKET, SO_RCVBUF), UDP, 212992, 10000, 20000},
	{ROW(SOL_SOCKET, SO_SNDBUF), UDP, 212992, 0, 4608},
	{ROW(SOL_SOCKET, SO_RCVBUF), UDP, 212992, 0, 2304},
	{ROW(IPPROTO_IP, IP_TOS), 1u << TCP4 | 1u << UDP4, 0, 0x10, 0x10},
	{ROW(IPPROTO_IP, IP_TTL), ALL, 64, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IP, IP_TTL), ALL, 64, 1, 1, 0, EINVAL},
	{ROW(IPPROTO_IP, IP_TTL), ALL, 64, -1, 64, -2, EINVAL},
	{ROW(IPPROTO_IP, IP_MINTTL), ALL, 0, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IP, IP_MTU_DISCOVER), ALL, 1, 2, 2, 6, EINVAL},
	{ROW(IPPROTO_IP, IP_RECVERR), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_PKTINFO), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_RECVTTL), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_RECVTOS), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_FREEBIND), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), ALL, 0, 1, 1},
	{ROW(IPPROTO_IP, IP_MULTICAST_TTL), UDP, 1, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IP, IP_MULTICAST_TTL), UDP, 1, -1, 1, -2, EINVAL},
	{ROW(IPPROTO_IP, IP_MULTICAST_LOOP), ALL, 1, 0, 0},
	{ROW(IPPROTO_IP, IP_MULTICAST_ALL), 1u << TCP4 | 1u << UDP4, 1, 0, 0, 2, EINVAL},
	{ROW(IPPROTO_IP, IP_MULTICAST_ALL), V6, 0, 1, 1, 2, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_V6ONLY), V6, 0, 1, 1},
	{ROW(IPPROTO_IPV6, IPV6_UNICAST_HOPS), V6, 64, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_UNICAST_HOPS), V6, 64, -1, 64, -2, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 1u << UDP6, 1, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), V6, 1, 0, 0, 2, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_TCLASS), 1u << UDP6, 0, 255, 255, 256, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_MTU_DISCOVER), V6, 1, 2, 2, 6, EINVAL},
	{ROW(IPPROTO_IPV6, IPV6_RECVERR), V6, 0, 1, 1},
	{ROW(IPPROTO_IPV6, IPV6_RECVPKTINFO), V6, 0, 1, 1},
	{ROW(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), V6, 0, 1, 1},
	{ROW(IPPROTO_IPV6, IPV6_RECVTCLASS), V6, 0, 1, 1},
	{ROW(IPPROTO_IPV6, IPV6_MULTICAST_IF), 1u << UDP6, 0, 1, 1, 99, ENODEV},
	{ROW(IPPROTO_TCP, TCP_NODELAY), TCP, 0, 7, 1},
	{ROW(IPPROTO_TCP, TCP_CORK), TCP, 0, 7, 1},
	{ROW(IPPROTO_TCP, TCP_KEEPIDLE), TCP, 7200, 32767, 32767, 32768, EINVAL},
	{ROW(IPPROTO_TCP, TCP_KEEPIDLE), TCP, 7200, 1, 1, 0, EINVAL},
	{ROW(IPPROTO_TCP, TCP_KEEPINTVL), TCP, 75, 32767, 32767, 32768, EINVAL},
	{ROW(IPPROTO_TCP, TCP_KEEPCNT), TCP, 9, 127, 127, 128, EINVAL},
	{ROW(IPPROTO_TCP, TCP_SYNCNT), TCP, 6, 127, 127, 128, EINVAL},
	{ROW(IPPROTO_TCP, TCP_LINGER2), TCP, 60, 30, 30},
	{ROW(IPPROTO_TCP, TCP_LINGER2), TCP, 60, -5, -1},
	{ROW(IPPROTO_TCP, TCP_DEFER_ACCEPT), TCP, 0, 1, 1},
	{ROW(IPPROTO_TCP, TCP_USER_TIMEOUT), TCP, 0, 1234, 1234, -1, EINVAL},
	{ROW(IPPROTO_TCP, TCP_NOTSENT_LOWAT), TCP, 0, 4096, 4096},
	{ROW(IPPROTO_TCP, TCP_MAXSEG), TCP, 536, 1000, 1000, 10, EINVAL},
	{ROW(IPPROTO_TCP, TCP_QUICKACK), TCP, 1, 0, 0},
};

static int open_kind(enum kind k)
{
	int fd = socket(k == TCP6 || k == UDP6 ? AF_INET6 : AF_INET, k == TCP4 || k == TCP6 ? SOCK_STREAM : SOCK_DGRAM, 0);

	REQUIRE(fd >= 0);
	return fd;
}

/* As CHECK_EQ, with the row's name. */
static void same(const struct row *r, enum kind k, const char *what, int got, int wanted)
{
	if (got != wanted)
		H_FAIL("%s of kind %d: %s is %d, not %d\n", r->name, (int)k, what, got, wanted);
}

TEST(values)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];

		for (enum kind k = TCP4; k < KINDS; k++) {
			int fd;

			if (!(r->kinds & 1u << k))
				continue;
			fd = open_kind(k);
			same(r, k, "the first value", option(fd, r->level, r->option), r->first);
			same(r, k, "the answer to a good one", set_option(fd, r->level, r->option, r->good), 0);
			same(r, k, "what it is then", option(fd, r->level, r->option), r->then);
			if (r->bad_errno) {
				errno = 0;
				same(r, k, "the answer to a bad one", set_option(fd, r->level, r->option, r->bad), -1);
				same(r, k, "errno", errno, r->bad_errno);
			}
			close(fd);
		}
	}
}

/* Values that are too short, and places that are not there. */
TEST(sizes)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		enum kind k = r->kinds & 1u ? TCP4 : r->kinds & 2u ? TCP6 : r->kinds & 4u ? UDP4 : UDP6;
		int fd = open_kind(k), value[4] = {-1, -1, -1, -1}, got;
		socklen_t len = sizeof(value);

		got = getsockopt(fd, r->level, r->option, value, &len);
		same(r, k, "the answer to much room", got, 0);
		same(r, k, "the size", (int)len, sizeof(int));
		len = 0;
		got = getsockopt(fd, r->level, r->option, value, &len);
		same(r, k, "the answer to no room", got, 0);
		if (r->level != IPPROTO_IPV6) { /* which takes it for a large one */
			len = (socklen_t)-1;
			got = getsockopt(fd, r->level, r->option, value, &len);
			same(r, k, "the answer to a size below 0", got ? errno : 0, EINVAL);
		}
		len = sizeof(value);
		got = getsockopt(fd, r->level, r->option, (void *)1, &len);
		same(r, k, "the answer to no memory", got ? errno : 0, EFAULT);
		got = setsockopt(fd, r->level, r->option, (void *)1, sizeof(int));
		same(r, k, "the answer to no memory", got ? errno : 0, EFAULT);
		got = setsockopt(fd, r->level, r->option, value, (socklen_t)-1);
		same(r, k, "the answer to a size below 0", got ? errno : 0, EINVAL);
		if (r->level != IPPROTO_IP) {
			got = setsockopt(fd, r->level, r->option, value, 2);
			same(r, k, "the answer to half a value", got ? errno : 0, EINVAL);
		}
		close(fd);
	}
}

/* Those of IP take a byte, and give one where there is no room for more. */
TEST(one_byte)
{
	int fd = open_kind(UDP4);
	uint8_t byte = 9, more[3] = {7, 0, 0};
	socklen_t len = 1;

	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_TTL, &byte, 1), 0);
	CHECK_EQ(option(fd, IPPROTO_IP, IP_TTL), 9);
	CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, more, 3), 0);
	CHECK_EQ(option(fd, IPPROTO_IP, IP_MULTICAST_TTL), 7);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_TTL, &byte, 0), EINVAL);
	byte = 0;
	CHECK_EQ(getsockopt(fd, IPPROTO_IP, IP_TTL, &byte, &len), 0);
	CHECK_EQ(len, 1);
	CHECK_EQ(byte, 9);
	len = 3;
	CHECK_EQ(getsockopt(fd, IPPROTO_IP, IP_TTL, more, &len), 0);
	CHECK_EQ(len, 1);
	close(fd);
}

TEST(not_there)
{
	int fd = open_kind(TCP4), udp = open_kind(UDP4), fd6 = open_kind(TCP6);

	CHECK_ERR(set_option(fd, SOL_SOCKET, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, IPPROTO_IP, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, IPPROTO_TCP, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, 9999, 1, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(udp, IPPROTO_TCP, TCP_NODELAY, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd6, IPPROTO_IPV6, 9999, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, SOL_SOCKET, SO_TYPE, 1), ENOPROTOOPT);
	CHECK_ERR(set_option(fd, SOL_SOCKET, SO_ERROR, 1), ENOPROTOOPT);
	CHECK_ERR(option(fd, SOL_SOCKET, 9999), ENOPROTOOPT);
	CHECK_ERR(option(fd, IPPROTO_IP, 9999), ENOPROTOOPT);
	CHECK_ERR(option(fd, IPPROTO_TCP, 9999), ENOPROTOOPT);
	CHECK_ERR(option(fd6, IPPROTO_IPV6, 9999), ENOPROTOOPT);
	CHECK_ERR(option(fd, 9999, 1), EOPNOTSUPP);
	CHECK_ERR(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), EOPNOTSUPP);
	CHECK_ERR(option(udp, IPPROTO_TCP, TCP_NODELAY), EOPNOTSUPP);
	CHECK_ERR(option(fd, IPPROTO_IP, IP_MTU), ENOTCONN);
	CHECK_ERR(option(fd6, IPPROTO_IPV6, IPV6_MTU), ENOTCONN);
	CHECK_ERR(set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1), EINVAL);
	CHECK_ERR(set_option(fd, IPPROTO_IP, IP_HDRINCL, 1), ENOPROTOOPT);
	close(fd);
	close(fd6);
	close(udp);
}

TEST(structures)
{
	struct linger l = {1, 3}, got_l = {0};
	struct timeval tv = {1, 500000}, got_tv = {0};
	int fd = open_kind(TCP4), port, listener = listen4(0, 3, &port), s[2];
	struct tcp_info info;
	char name[32];
	socklen_t len = sizeof(got_l);

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got_l, &len), 0);
	CHECK_EQ(len, sizeof(l));
	CHECK(got_l.l_onoff == 1 && got_l.l_linger == 3);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4), EINVAL);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	len = sizeof(got_tv);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got_tv, &len), 0);
	CHECK(got_tv.tv_sec == 1 && got_tv.tv_usec == 500000);
	tv.tv_usec = 1000000;
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
	CHECK_EQ(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	len = sizeof(name);
	CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	CHECK_EQ(len, 16);
	CHECK_STR(name, "reno");
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), ENOENT);
	CHECK_ERR(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 0), EINVAL);
	tcp_pair(s);
	len = sizeof(info);
	CHECK_EQ(getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	CHECK_EQ(len, sizeof(info));
	CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
	CHECK_EQ(option(s[0], IPPROTO_IP, IP_MTU), 65535);
	CHECK(option(s[0], IPPROTO_TCP, TCP_MAXSEG) > 32700);
	CHECK_EQ(set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 77), 0);
	CHECK_EQ(set_option(listener, IPPROTO_IP, IP_TTL, 33), 0);
	CHECK_EQ(set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	close(s[0]);
	close(s[1]);
	/* What is accepted has what its listener has. */
	CHECK_EQ(connect4(fd, "127.0.0.1", port), 0);
	s[1] = accept(listener, NULL, NULL);
	CHECK_EQ(option(s[1], IPPROTO_TCP, TCP_KEEPIDLE), 77);
	CHECK_EQ(option(s[1], IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(option(s[1], IPPROTO_IP, IP_TTL), 33);
	close(s[1]);
	close(fd);
	close(listener);
}
