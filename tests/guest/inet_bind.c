/* Who may have which port: bind(2) of AF_INET and AF_INET6. */
#include "inet.h"

#include <sys/prctl.h>

static int open_at(int type, const char *addr, int port)
{
	bool v6 = strchr(addr, ':');
	int fd = socket(v6 ? AF_INET6 : AF_INET, type, 0);

	REQUIRE(fd >= 0);
	REQUIRE((v6 ? bind6(fd, addr, port) : bind4(fd, addr, port)) == 0);
	return fd;
}

/* What bind says to a second one, at that address; with a flag set before on it. */
static int second(int type, const char *addr, int port, int flag)
{
	bool v6 = strchr(addr, ':');
	int fd = socket(v6 ? AF_INET6 : AF_INET, type, 0), r;

	REQUIRE(fd >= 0);
	if (flag)
		REQUIRE(set_option(fd, flag == IPV6_V6ONLY ? IPPROTO_IPV6 : SOL_SOCKET, flag, 1) == 0);
	r = (v6 ? bind6(fd, addr, port) : bind4(fd, addr, port)) ? errno : 0;
	close(fd);
	return r;
}

TEST(ports)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

	for (int i = 0; i < 2; i++) {
		int fd = open_at(types[i], "127.0.0.1", 0), port = port_of(fd, false);

		CHECK(port >= 32768 && port <= 60999);
		CHECK_STR(addr_of(fd, false), "127.0.0.1");
		CHECK_ERR(bind4(fd, "127.0.0.1", 0), EINVAL);
		CHECK_EQ(second(types[i], "127.0.0.1", port, 0), EADDRINUSE);
		CHECK_EQ(second(types[i], "127.0.0.1", port, SO_REUSEADDR), EADDRINUSE);
		CHECK_EQ(second(types[i], "127.0.0.1", port, SO_REUSEPORT), EADDRINUSE);
		CHECK_EQ(second(types[i], "0.0.0.0", port, 0), EADDRINUSE);
		CHECK_EQ(second(types[i], "::", port, 0), EADDRINUSE);
		CHECK_EQ(second(types[i], "::", port, IPV6_V6ONLY), 0);
		CHECK_EQ(second(types[i], "::1", port, 0), 0);
		CHECK_EQ(second(types[i], "::ffff:127.0.0.1", port, 0), EADDRINUSE);
		CHECK_EQ(second(types[i], "127.0.0.2", port, 0), 0);
		CHECK_EQ(second(types[1 - i], "127.0.0.1", port, 0), 0); /* TCP and UDP have nothing to do with each other */
		close(fd);
		CHECK_EQ(second(types[i], "127.0.0.1", port, 0), 0);
	}
}

TEST(any_address)
{
	int fd = open_at(SOCK_STREAM, "0.0.0.0", 0), port = port_of(fd, false);

	CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
	CHECK_EQ(second(SOCK_STREAM, "::", port, 0), EADDRINUSE);
	CHECK_EQ(second(SOCK_STREAM, "::1", port, 0), 0);
	close(fd);
	fd = open_at(SOCK_STREAM, "::", 0);
	port = port_of(fd, false);
	CHECK_EQ(second(SOCK_STREAM, "0.0.0.0", port, 0), EADDRINUSE);
	CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
	CHECK_EQ(second(SOCK_STREAM, "::1", port, 0), EADDRINUSE);
	close(fd);
}

TEST(reuse_address)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), port;

	CHECK_EQ(set_option(a, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(set_option(b, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CHECK_EQ(bind4(a, "127.0.0.1", 0), 0);
	port = port_of(a, false);
	CHECK_EQ(bind4(b, "127.0.0.1", port), 0);
	CHECK_EQ(listen(a, 1), 0);
	CHECK_ERR(listen(b, 1), EADDRINUSE);
	CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, SO_REUSEADDR), EADDRINUSE);
	close(a);
	CHECK_EQ(listen(b, 1), 0);
	CHECK_EQ(listen(b, 5), 0);
	close(b);
}

TEST(reuse_port)
{
	int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), port, c, got = 0;
	struct pollfd p[2];

	CHECK_EQ(set_option(a, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	CHECK_EQ(set_option(b, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	CHECK_EQ(bind4(a, "127.0.0.1", 0), 0);
	port = port_of(a, false);
	CHECK_EQ(bind4(b, "127.0.0.1", port), 0);
	CHECK_EQ(listen(a, 100), 0);
	CHECK_EQ(listen(b, 100), 0);
	CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, SO_REUSEADDR), EADDRINUSE);
	/* Each caller gets to one of them. */
	for (int i = 0; i < 20; i++) {
		c = socket(AF_INET, SOCK_STREAM, 0);
		CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
		p[0] = (struct pollfd){.fd = a, .events = POLLIN};
		p[1] = (struct pollfd){.fd = b, .events = POLLIN};
		CHECK_EQ(poll(p, 2, 20000), 1);
		got |= p[0].revents ? 1 : 2;
		close(accept(p[0].revents ? a : b, NULL, NULL));
		close(c);
	}
	CHECK_EQ(got, 3);
	if (geteuid() == 0) { /* another user may not join */
		pid_t pid = h_fork();

		if (pid == 0) {
			REQUIRE(setuid(65534) == 0);
			CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, SO_REUSEPORT), EADDRINUSE);
			child_exit();
		}
		JOIN(pid);
	}
	close(a);
	close(b);
}

/* Whoever ends a connection first keeps its port for a while: without SO_REUSEADDR it is not to be had. */
TEST(time_wait)
{
	for (int reuse = 0; reuse < 2; reuse++) {
		int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), p, port;

		CHECK_EQ(set_option(l, SOL_SOCKET, SO_REUSEADDR, reuse), 0);
		CHECK_EQ(bind4(l, "127.0.0.1", 0), 0);
		CHECK_EQ(listen(l, 1), 0);
		port = port_of(l, false);
		CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
		p = accept(l, NULL, NULL);
		close(l);
		/* While it is established the same holds. */
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, SO_REUSEADDR), reuse ? 0 : EADDRINUSE);
		close(p);
		wait_events(c, POLLRDHUP);
		close(c);
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, 0), EADDRINUSE);
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", port, SO_REUSEADDR), reuse ? 0 : EADDRINUSE);
	}
}

TEST(only_v6)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), port;

	CHECK_EQ(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	CHECK_EQ(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
	CHECK_ERR(bind6(fd, "::ffff:127.0.0.1", 0), EINVAL);
	CHECK_ERR(connect6(fd, "::ffff:127.0.0.1", 9), ENETUNREACH);
	CHECK_EQ(bind6(fd, "::", 0), 0);
	CHECK_ERR(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0), EINVAL);
	CHECK_EQ(listen(fd, 1), 0);
	port = port_of(fd, false);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNREFUSED);
	CHECK_EQ(bind4(c, "0.0.0.0", port), 0);
	close(fd);
	close(c);
}

TEST(privileged)
{
	pid_t pid;

	if (geteuid() != 0)
		SKIP("needs root");
	CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", 997, 0), 0);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setuid(65534) == 0);
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", 997, 0), EACCES);
		CHECK_EQ(second(SOCK_DGRAM, "::1", 997, 0), EACCES);
		CHECK_EQ(second(SOCK_STREAM, "127.0.0.1", 1024, 0), 0);
		child_exit();
	}
	JOIN(pid);
}

TEST(not_ours)
{
	int one = 1;

	CHECK_EQ(second(SOCK_STREAM, "192.0.2.1", 0, 0), EADDRNOTAVAIL);
	CHECK_EQ(second(SOCK_DGRAM, "192.0.2.1", 0, 0), EADDRNOTAVAIL);
	CHECK_EQ(second(SOCK_STREAM, "2001:db8::1", 0, 0), EADDRNOTAVAIL);
	CHECK_EQ(second(SOCK_STREAM, "::2", 0, 0), EADDRNOTAVAIL);
	CHECK_EQ(second(SOCK_STREAM, "224.0.0.1", 0, 0), 0);
	CHECK_EQ(second(SOCK_DGRAM, "224.0.0.1", 0, 0), 0);
	CHECK_EQ(second(SOCK_DGRAM, "255.255.255.255", 0, 0), 0);
	CHECK_EQ(second(SOCK_STREAM, "127.255.3.4", 0, 0), 0);
	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, i ? SOCK_DGRAM : SOCK_STREAM, 0);

		CHECK_EQ(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)), 0);
		CHECK_EQ(bind4(fd, "192.0.2.1", 0), 0);
		CHECK_STR(addr_of(fd, false), "192.0.2.1");
		close(fd);
	}
}

TEST(bad_addresses)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), fd6 = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in a = at4("127.0.0.1", 0);
	struct sockaddr_in6 a6 = at6("::1", 0);
	struct sockaddr_storage big = {.ss_family = AF_INET};

	for (socklen_t len = 0; len < sizeof(a); len++)
		CHECK_ERR(bind(fd, SA(a), len), EINVAL);
	CHECK_ERR(bind(fd, SA(big), sizeof(big) + 1), EINVAL);
	CHECK_ERR(bind(fd, SA(big), (socklen_t)-1), EINVAL);
	CHECK_ERR(bind(fd, (void *)1, sizeof(a)), EFAULT);
	CHECK_ERR(bind(fd, SA(a6), sizeof(a6)), EAFNOSUPPORT);
	CHECK_ERR(bind(fd6, SA(a), sizeof(a)), EINVAL);
	a.sin_family = AF_UNSPEC;
	CHECK_ERR(bind(fd, SA(a), sizeof(a)), EAFNOSUPPORT);
	CHECK_ERR(bind(fd6, SA(big), sizeof(big)), EAFNOSUPPORT);
	a.sin_addr.s_addr = 0;
	CHECK_EQ(bind(fd, SA(a), sizeof(a)), 0); /* as old programs do */
	CHECK_EQ(bind(fd6, SA(a6), 24), 0);
	CHECK_STR(addr_of(fd6, false), "::1");
	close(fd);
	close(fd6);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(fd, SA(big), sizeof(big)), 0); /* too much is no harm */
	close(fd);
}

TEST(unbound)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), port;

	CHECK_EQ(port_of(l, false), 0);
	CHECK_STR(addr_of(l, false), "0.0.0.0");
	CHECK_EQ(listen(l, 1), 0);
	port = port_of(l, false);
	CHECK(port >= 32768 && port <= 60999);
	CHECK_ERR(bind4(l, "127.0.0.1", 0), EINVAL);
	/* An end may be chosen before the connection. */
	CHECK_EQ(bind4(c, "127.0.0.5", 0), 0);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	CHECK_STR(addr_of(c, false), "127.0.0.5");
	close(c);
	close(l);
}

/* One end may have one connection to another: the second is refused. */
TEST(same_connection)
{
	int port, l = listen4(0, 5, &port), a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0);

	set_option(a, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(b, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK_EQ(bind4(a, "127.0.0.1", 0), 0);
	CHECK_EQ(bind4(b, "127.0.0.1", port_of(a, false)), 0);
	CHECK_EQ(connect4(a, "127.0.0.1", port), 0);
	CHECK_ERR(connect4(b, "127.0.0.1", port), EADDRNOTAVAIL);
	close(a);
	close(b);
	close(l);
}
