/* What the tests of AF_INET and AF_INET6 share: addresses of the loopback interface, sockets with them, pairs. */
#ifndef BAILEY_TESTS_INET_H
#define BAILEY_TESTS_INET_H

#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SA(a) ((struct sockaddr *)&(a))

H_UNUSED static struct sockaddr_in at4(const char *addr, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	REQUIRE(inet_pton(AF_INET, addr, &a.sin_addr) == 1);
	return a;
}

H_UNUSED static struct sockaddr_in6 at6(const char *addr, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	REQUIRE(inet_pton(AF_INET6, addr, &a.sin6_addr) == 1);
	return a;
}

H_UNUSED static int bind4(int fd, const char *addr, int port)
{
	struct sockaddr_in a = at4(addr, port);

	return bind(fd, SA(a), sizeof(a));
}

H_UNUSED static int bind6(int fd, const char *addr, int port)
{
	struct sockaddr_in6 a = at6(addr, port);

	return bind(fd, SA(a), sizeof(a));
}

H_UNUSED static int connect4(int fd, const char *addr, int port)
{
	struct sockaddr_in a = at4(addr, port);

	return connect(fd, SA(a), sizeof(a));
}

H_UNUSED static int connect6(int fd, const char *addr, int port)
{
	struct sockaddr_in6 a = at6(addr, port);

	return connect(fd, SA(a), sizeof(a));
}

H_UNUSED static int unconnect(int fd)
{
	struct sockaddr a = {.sa_family = AF_UNSPEC};

	return connect(fd, &a, sizeof(a));
}

/* The port of fd's own end, or of the other one; -1 where there is none. */
H_UNUSED static int port_of(int fd, bool peer)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	if (peer ? getpeername(fd, SA(a), &len) : getsockname(fd, SA(a), &len))
		return -1;
	return ntohs(a.sin6_port); /* at the same place in both families */
}

/* Its address, in letters. */
H_UNUSED static const char *addr_of(int fd, bool peer)
{
	static char name[INET6_ADDRSTRLEN];
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (peer ? getpeername(fd, SA(a), &len) : getsockname(fd, SA(a), &len))
		return "none";
	if (a.ss_family == AF_INET)
		return inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, name, sizeof(name));
	return inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, name, sizeof(name));
}

H_UNUSED static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

H_UNUSED static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

#define EVENTS (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

/* What poll says of fd at this moment. */
H_UNUSED static short events(int fd)
{
	struct pollfd p = {.fd = fd, .events = EVENTS};

	REQUIRE(poll(&p, 1, 0) >= 0);
	return p.revents;
}

/* Waits until one of those events, or an error or a hang-up, is there. */
H_UNUSED static short wait_events(int fd, short wanted)
{
	struct pollfd p = {.fd = fd, .events = wanted};

	CHECK_EQ(poll(&p, 1, 20000), 1);
	return events(fd);
}

/* A listener at a port of its own on 127.0.0.1. */
H_UNUSED static int listen4(int type, int backlog, int *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | type, 0);

	REQUIRE(fd >= 0);
	REQUIRE(bind4(fd, "127.0.0.1", 0) == 0);
	REQUIRE(listen(fd, backlog) == 0);
	*port = port_of(fd, false);
	return fd;
}

/* Two ends of a connection: s[0] called, s[1] was accepted. */
H_UNUSED static void tcp_pair(int s[2])
{
	int port, l = listen4(0, 1, &port);

	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	REQUIRE(s[0] >= 0);
	REQUIRE(connect4(s[0], "127.0.0.1", port) == 0);
	s[1] = accept(l, NULL, NULL);
	REQUIRE(s[1] >= 0);
	close(l);
}

#endif
