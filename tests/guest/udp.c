/* Datagrams on the loopback interface: udp(7), and what ip(7) and ipv6(7) tell beside them. */
#include "inet.h"

#include <net/if.h>

static char buf[70000];

static int open4(int *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	REQUIRE(fd >= 0);
	REQUIRE(bind4(fd, "127.0.0.1", 0) == 0);
	*port = port_of(fd, false);
	return fd;
}

static ssize_t send_to(int fd, const char *addr, int port, const void *data, size_t size)
{
	struct sockaddr_in a = at4(addr, port);

	return sendto(fd, data, size, 0, SA(a), sizeof(a));
}

TEST(to_and_fro)
{
	struct sockaddr_in from = {0};
	socklen_t len = sizeof(from);
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0), n;

	CHECK_EQ(option(a, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	CHECK_EQ(events(a), POLLOUT);
	CHECK_EQ(port_of(b, false), 0);
	CHECK_EQ(send_to(b, "127.0.0.1", port, "hello", 5), 5);
	CHECK(port_of(b, false) >= 32768);
	CHECK_STR(addr_of(b, false), "0.0.0.0");
	CHECK_EQ(wait_events(a, POLLIN), POLLIN | POLLOUT);
	CHECK_EQ(ioctl(a, FIONREAD, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(recvfrom(a, buf, 64, 0, SA(from), &len), 5);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(ntohs(from.sin_port), port_of(b, false));
	CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK(memcmp(buf, "hello", 5) == 0);
	CHECK_ERR(recv(a, buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(sendto(a, "back", 4, 0, SA(from), len), 4);
	CHECK_EQ(recv(b, buf, 64, 0), 4);
	CHECK_EQ(send_to(b, "0.0.0.0", port, "any", 3), 3);
	CHECK_EQ(recv(a, buf, 64, 0), 3);
	/* Nobody there: who is not connected does not learn of it. */
	close(a);
	CHECK_EQ(send_to(b, "127.0.0.1", port, "lost", 4), 4);
	CHECK_EQ(send_to(b, "127.0.0.1", port, "lost", 4), 4);
	CHECK_EQ(option(b, SOL_SOCKET, SO_ERROR), 0);
	close(b);
}

TEST(bounds)
{
	struct iovec iov = {buf, 2};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_EQ(send(b, "abcd", 4, 0), 4);
	CHECK_EQ(send(b, "efgh", 4, 0), 4);
	CHECK_EQ(send(b, "", 0, 0), 0);
	CHECK_EQ(send(b, "ij", 2, 0), 2);
	CHECK_EQ(recv(a, buf, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(a, buf, 2, MSG_PEEK | MSG_TRUNC), 4);
	CHECK_EQ(recvmsg(a, &m, 0), 2);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(recv(a, buf, 2, MSG_TRUNC), 4);
	CHECK(memcmp(buf, "ef", 2) == 0);
	CHECK_EQ(events(a), POLLIN | POLLOUT);
	CHECK_EQ(recv(a, buf, 64, 0), 0);
	CHECK_EQ(recv(a, buf, 64, MSG_WAITALL), 2);
	CHECK_EQ(events(a), POLLOUT);
	close(a);
	close(b);
}

TEST(sizes)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET6, SOCK_DGRAM, 0);
	int d = socket(AF_INET6, SOCK_DGRAM, 0);

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7);
	CHECK_EQ(send_to(b, "127.0.0.1", port, buf, 65507), 65507);
	CHECK_ERR(send_to(b, "127.0.0.1", port, buf, 65508), EMSGSIZE);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(recv(a, buf, sizeof(buf), 0), 65507);
	CHECK_EQ(buf[65506], (char)(65506 * 7));
	CHECK_EQ(bind6(c, "::1", 0), 0);
	CHECK_EQ(connect6(d, "::1", port_of(c, false)), 0);
	CHECK_EQ(send(d, buf, 65527, 0), 65527);
	CHECK_ERR(send(d, buf, 65528, 0), EMSGSIZE);
	CHECK_EQ(recv(c, buf, sizeof(buf), 0), 65527);
	CHECK_ERR(sendto(b, (void *)1, 5, 0, NULL, 0), EDESTADDRREQ);
	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_ERR(send(b, (void *)1, 5, 0), EFAULT);
	CHECK_EQ(send(b, "abc", 3, 0), 3);
	CHECK_ERR(recv(a, (void *)1, 3, 0), EFAULT);
	close(a);
	close(b);
	close(c);
	close(d);
}

TEST(connected)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0), other_port, other = open4(&other_port);

	CHECK_EQ(port_of(b, true), -1);
	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_EQ(port_of(b, true), port);
	CHECK_STR(addr_of(b, false), "127.0.0.1");
	/* It hears its peer alone; it may send elsewhere. */
	CHECK_EQ(send_to(other, "127.0.0.1", port_of(b, false), "no", 2), 2);
	CHECK_EQ(send_to(a, "127.0.0.1", port_of(b, false), "yes", 3), 3);
	CHECK_EQ(recv(b, buf, 64, 0), 3);
	CHECK_ERR(recv(b, buf, 64, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send_to(b, "127.0.0.1", other_port, "here", 4), 4);
	CHECK_EQ(recv(other, buf, 64, 0), 4);
	CHECK_EQ(connect4(b, "127.0.0.1", other_port), 0);
	CHECK_EQ(port_of(b, true), other_port);
	CHECK_EQ(unconnect(b), 0);
	CHECK_EQ(port_of(b, true), -1);
	CHECK_EQ(port_of(b, false), 0); /* it was not asked for by its number */
	CHECK_STR(addr_of(b, false), "0.0.0.0");
	CHECK_ERR(send(b, "x", 1, 0), EDESTADDRREQ);
	CHECK_EQ(connect4(other, "127.0.0.1", port), 0);
	CHECK_EQ(unconnect(other), 0);
	CHECK_STR(addr_of(other, false), "127.0.0.1");
	close(a);
	close(b);
	close(other);
}

TEST(refused)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0);

	close(a);
	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	CHECK_EQ(wait_events(b, POLLPRI), POLLOUT | POLLERR);
	CHECK_ERR(send(b, "x", 1, 0), ECONNREFUSED);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	wait_events(b, POLLPRI);
	CHECK_ERR(recv(b, buf, 1, 0), ECONNREFUSED);
	CHECK_ERR(recv(b, buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	wait_events(b, POLLPRI);
	CHECK_EQ(option(b, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(option(b, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(events(b), POLLOUT);
	close(b);
}

TEST(overflow)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0), got = 0;

	CHECK_EQ(set_option(a, SOL_SOCKET, SO_RCVBUF, 4096), 0);
	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(send(b, buf, 512, 0), 512);
	while (recv(a, buf, 512, MSG_DONTWAIT) == 512)
		got++;
	CHECK(got > 0 && got < 50);
	CHECK_EQ(send(b, "again", 5, 0), 5);
	CHECK_EQ(recv(a, buf, 512, 0), 5);
	close(a);
	close(b);
}

TEST(shut)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0);

	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(shutdown(b, SHUT_RD), ENOTCONN);
	close(b);
	b = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_EQ(shutdown(b, SHUT_RD), 0);
	CHECK_EQ(events(b), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(recv(b, buf, 1, 0), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	CHECK_EQ(shutdown(b, SHUT_WR), 0);
	CHECK_ERR(send(b, "x", 1, 0), EPIPE);
	CHECK_EQ(events(b), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_ERR(shutdown(b, 3), EINVAL);
	CHECK_ERR(listen(b, 1), EOPNOTSUPP);
	CHECK_ERR(accept(b, NULL, NULL), EOPNOTSUPP);
	close(a);
	close(b);
}

TEST(bad_addresses)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET6, SOCK_DGRAM, 0);
	struct sockaddr_in to = at4("127.0.0.1", port);
	struct sockaddr_in6 to6 = at6("::1", 9);

	CHECK_ERR(sendto(b, "x", 1, 0, SA(to), 15), EINVAL);
	CHECK_ERR(sendto(b, "x", 1, 0, SA(to6), sizeof(to6)), EAFNOSUPPORT);
	CHECK_ERR(sendto(b, "x", 1, 0, (void *)1, sizeof(to)), EFAULT);
	CHECK_ERR(sendto(b, "x", 1, MSG_OOB, SA(to), sizeof(to)), EOPNOTSUPP);
	CHECK_ERR(send_to(b, "127.0.0.1", 0, "x", 1), EINVAL);
	CHECK_ERR(send(b, "x", 1, 0), EDESTADDRREQ);
	to.sin_family = AF_UNSPEC;
	CHECK_EQ(sendto(b, "x", 1, 0, SA(to), sizeof(to)), 1);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	/* An IPv6 socket takes addresses of both families. */
	to.sin_family = AF_INET;
	CHECK_EQ(sendto(c, "y", 1, 0, SA(to), sizeof(to)), 1);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	CHECK_EQ(connect(c, SA(to), sizeof(to)), 0);
	CHECK_STR(addr_of(c, true), "::ffff:127.0.0.1");
	CHECK_EQ(send(c, "z", 1, 0), 1);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	close(a);
	close(b);
	close(c);
}

TEST(broadcast)
{
	struct sockaddr_in all = at4("127.255.255.255", 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), a = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_EQ(bind4(a, "0.0.0.0", 0), 0);
	all.sin_port = htons((uint16_t)port_of(a, false));
	CHECK_ERR(sendto(fd, "x", 1, 0, SA(all), sizeof(all)), EACCES);
	CHECK_ERR(connect(fd, SA(all), sizeof(all)), EACCES);
	CHECK_EQ(set_option(fd, SOL_SOCKET, SO_BROADCAST, 1), 0);
	CHECK_EQ(sendto(fd, "x", 1, 0, SA(all), sizeof(all)), 1);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	close(fd);
	close(a);
}

/* ---- told beside the bytes ---- */

/* Receives one byte, and gives the value of that ancillary message; NULL: it did not come. */
static const void *told(int fd, int level, int type, size_t size)
{
	static char control[256];
	struct iovec iov = {buf, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	REQUIRE(recvmsg(fd, &m, 0) == 1);
	CHECK_EQ(m.msg_flags, 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == level && c->cmsg_type == type && CHECK_EQ(c->cmsg_len, CMSG_LEN(size)))
			return CMSG_DATA(c);
	return NULL;
}

TEST(told_v4)
{
	int port, a = open4(&port), b = socket(AF_INET, SOCK_DGRAM, 0);
	const struct in_pktinfo *info;
	const uint8_t *tos;
	const int *ttl;

	CHECK_EQ(connect4(b, "127.0.0.1", port), 0);
	CHECK_EQ(set_option(a, IPPROTO_IP, IP_PKTINFO, 1), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	info = told(a, IPPROTO_IP, IP_PKTINFO, sizeof(*info));
	if (CHECK(info)) {
		CHECK_EQ(info->ipi_ifindex, 1);
		CHECK_EQ(info->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
		CHECK_EQ(info->ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
	}
	CHECK_EQ(set_option(a, IPPROTO_IP, IP_RECVTTL, 1), 0);
	CHECK_EQ(set_option(a, IPPROTO_IP, IP_RECVTOS, 1), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	ttl = told(a, IPPROTO_IP, IP_TTL, sizeof(*ttl));
	CHECK(ttl && *ttl == 64);
	CHECK_EQ(set_option(b, IPPROTO_IP, IP_TTL, 7), 0);
	CHECK_EQ(set_option(b, IPPROTO_IP, IP_TOS, 0x10), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	ttl = told(a, IPPROTO_IP, IP_TTL, sizeof(*ttl));
	CHECK(ttl && *ttl == 7);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	tos = told(a, IPPROTO_IP, IP_TOS, 1);
	CHECK(tos && *tos == 0x10);
	close(a);
	close(b);
}

TEST(told_v6)
{
	int a = socket(AF_INET6, SOCK_DGRAM, 0), b = socket(AF_INET6, SOCK_DGRAM, 0);
	const struct in6_pktinfo *info;
	const int *number;

	CHECK_EQ(bind6(a, "::1", 0), 0);
	CHECK_EQ(connect6(b, "::1", port_of(a, false)), 0);
	CHECK_EQ(set_option(a, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1), 0);
	CHECK_EQ(set_option(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1), 0);
	CHECK_EQ(set_option(a, IPPROTO_IPV6, IPV6_RECVTCLASS, 1), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	info = told(a, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(*info));
	if (CHECK(info)) {
		CHECK_EQ(info->ipi6_ifindex, 1);
		CHECK(IN6_IS_ADDR_LOOPBACK(&info->ipi6_addr));
	}
	CHECK_EQ(set_option(b, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9), 0);
	CHECK_EQ(set_option(b, IPPROTO_IPV6, IPV6_TCLASS, 0x20), 0);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	number = told(a, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(*number));
	CHECK(number && *number == 9);
	CHECK_EQ(send(b, "x", 1, 0), 1);
	number = told(a, IPPROTO_IPV6, IPV6_TCLASS, sizeof(*number));
	CHECK(number && *number == 0x20);
	close(a);
	close(b);
}

/* ---- groups ---- */

TEST(groups)
{
	struct ip_mreqn r = {.imr_multiaddr = {htonl(0xe9010203)}, .imr_ifindex = 1};
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = at4("233.1.2.3", 0);

	CHECK_EQ(set_option(a, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(set_option(other, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind4(a, "0.0.0.0", 0), 0);
	CHECK_EQ(bind4(other, "0.0.0.0", port_of(a, false)), 0);
	CHECK_EQ(set_option(other, IPPROTO_IP, IP_MULTICAST_ALL, 0), 0);
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), 0);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), EADDRINUSE);
	to.sin_port = htons((uint16_t)port_of(a, false));
	r.imr_address.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(setsockopt(b, IPPROTO_IP, IP_MULTICAST_IF, &r, sizeof(r)), 0);
	CHECK_EQ(sendto(b, "x", 1, 0, SA(to), sizeof(to)), 1);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	CHECK_ERR(recv(other, buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof(r)), 0);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_DROP_MEMBERSHIP, &r, sizeof(r)), EADDRNOTAVAIL);
	r.imr_multiaddr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, sizeof(r)), EINVAL);
	CHECK_ERR(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &r, 4), EINVAL);
	close(a);
	close(b);
	close(other);
}
