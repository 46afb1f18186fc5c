/* TCP connections on the loopback interface: how they begin, and what goes over them.  How they end is in tcp_end.c. */
#include "inet.h"

#include <sys/epoll.h>

static int s[2];

static void open_pair(void)
{
	tcp_pair(s);
}

static void close_pair(void)
{
	close(s[0]);
	close(s[1]);
}

TEST(names)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int port, l = listen4(0, 5, &port), c = socket(AF_INET, SOCK_STREAM, 0), p;

	CHECK_EQ(port_of(c, false), 0);
	CHECK_EQ(port_of(c, true), -1);
	CHECK_EQ(option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_EQ(option(c, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	CHECK_EQ(option(c, SOL_SOCKET, SO_DOMAIN), AF_INET);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	p = accept4(l, SA(a), &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	REQUIRE(p >= 0);
	CHECK_EQ(fcntl(p, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(p, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(len, sizeof(a));
	CHECK_EQ(a.sin_family, AF_INET);
	CHECK_EQ(ntohs(a.sin_port), port_of(c, false));
	CHECK_EQ(port_of(p, false), port);
	CHECK_EQ(port_of(c, true), port);
	CHECK_EQ(port_of(p, true), port_of(c, false));
	CHECK_STR(addr_of(c, false), "127.0.0.1");
	CHECK_STR(addr_of(p, true), "127.0.0.1");
	CHECK_EQ(port_of(l, true), -1);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EISCONN);
	CHECK_ERR(connect4(p, "127.0.0.1", port), EISCONN);
	CHECK_ERR(connect4(l, "127.0.0.1", port), EISCONN);
	CHECK_ERR(listen(c, 1), EINVAL);
	CHECK_ERR(accept(c, NULL, NULL), EINVAL);
	CHECK_ERR(bind4(c, "127.0.0.1", 0), EINVAL);
	/* A name is cut to the room that there is, and its whole size told. */
	len = 4;
	memset(&a, 0xff, sizeof(a));
	CHECK_EQ(getpeername(c, SA(a), &len), 0);
	CHECK_EQ(len, sizeof(a));
	CHECK_EQ(ntohs(a.sin_port), port);
	CHECK_EQ(a.sin_addr.s_addr, 0xffffffff);
	len = (socklen_t)-1;
	CHECK_ERR(getpeername(c, SA(a), &len), EINVAL);
	close(p);
	close(c);
	close(l);
}

TEST(bytes)
{
	char buf[16];
	int n;

	open_pair();
	CHECK_EQ(events(s[0]), POLLOUT);
	CHECK_ERR(recv(s[0], buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(send(s[0], "def", 3, 0), 3);
	CHECK_EQ(ioctl(s[1], FIONREAD, &n), 0);
	CHECK_EQ(n, 6);
	CHECK_EQ(ioctl(s[0], TIOCOUTQ, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT);
	CHECK_EQ(recv(s[1], buf, 4, MSG_PEEK), 4);
	CHECK_EQ(recv(s[1], buf, 16, MSG_PEEK), 6);
	CHECK_EQ(read(s[1], buf, 2), 2);
	CHECK_EQ(recv(s[1], buf, 2, MSG_TRUNC), 2); /* thrown away */
	CHECK(memcmp(buf, "ab", 2) == 0);
	CHECK_EQ(recv(s[1], buf, 16, MSG_WAITALL | MSG_DONTWAIT), 2);
	CHECK(memcmp(buf, "ef", 2) == 0);
	CHECK_EQ(send(s[1], "", 0, 0), 0);
	CHECK_EQ(events(s[0]), POLLOUT);
	CHECK_ERR(recv(s[0], buf, 16, MSG_DONTWAIT | MSG_ERRQUEUE), EAGAIN);
	CHECK_EQ(read(s[0], buf, 0), 0);
	CHECK_ERR(lseek(s[0], 0, SEEK_SET), ESPIPE);
	/* An address means nothing to a connection. */
	struct sockaddr_in a = at4("127.0.0.1", 1);
	CHECK_EQ(sendto(s[0], "x", 1, 0, SA(a), sizeof(a)), 1);
	socklen_t len = sizeof(a);
	CHECK_EQ(recvfrom(s[1], buf, 1, 0, SA(a), &len), 1);
	CHECK_EQ(len, 0);
	close_pair();
}

TEST(pieces)
{
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	char one[2], two[8];
	struct iovec in[2] = {{one, 2}, {two, 8}};
	struct msghdr m = {.msg_iov = in, .msg_iovlen = 2};

	open_pair();
	CHECK_EQ(writev(s[0], out, 3), 5);
	CHECK_EQ(recvmsg(s[1], &m, 0), 5);
	CHECK_EQ(m.msg_flags, 0);
	CHECK(memcmp(one, "ab", 2) == 0 && memcmp(two, "cde", 3) == 0);
	/* Memory that is not there: nothing is sent, nothing is lost. */
	CHECK_ERR(write(s[0], (void *)1, 4), EFAULT);
	CHECK_EQ(write(s[0], "xyz", 3), 3);
	CHECK_ERR(read(s[1], (void *)1, 3), EFAULT);
	CHECK_EQ(read(s[1], two, 8), 3);
	CHECK(memcmp(two, "xyz", 3) == 0);
	close_pair();
}

TEST(refused)
{
	int port, l = listen4(0, 1, &port), c = socket(AF_INET, SOCK_STREAM, 0);

	close(l);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNREFUSED);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(events(c), POLLOUT | POLLHUP);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNREFUSED);
	l = listen4(0, 1, &port);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	close(l);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	CHECK_EQ(wait_events(c, POLLOUT), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNABORTED); /* that one is over */
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	wait_events(c, POLLOUT);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNREFUSED);
	close(c);
}

TEST(nonblocking)
{
	int port, l = listen4(SOCK_NONBLOCK, 5, &port), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), p;

	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(events(l), 0);
	CHECK_EQ(events(c), POLLOUT | POLLHUP);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	CHECK_EQ(wait_events(c, POLLOUT), POLLOUT);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EISCONN);
	CHECK_EQ(wait_events(l, POLLIN), POLLIN);
	p = accept(l, NULL, NULL);
	CHECK(p >= 0);
	CHECK_EQ(events(l), 0);
	close(p);
	close(c);
	close(l);
}

/* More call than may wait: a call that is not answered goes on by itself. */
TEST(backlog)
{
	int port, l = listen4(0, 0, &port), c[2], late = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char byte;

	c[0] = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect4(c[0], "127.0.0.1", port), 0);
	CHECK_ERR(connect4(late, "127.0.0.1", port), EINPROGRESS);
	CHECK_ERR(connect4(late, "127.0.0.1", port), EALREADY);
	CHECK_EQ(events(late), 0);
	CHECK_EQ(port_of(late, true), -1);
	CHECK(port_of(late, false) > 0);
	CHECK_ERR(write(late, "x", 1), EAGAIN);
	CHECK_ERR(read(late, &byte, 1), EAGAIN);
	CHECK_ERR(listen(late, 1), EINVAL);
	c[1] = accept(l, NULL, NULL);
	CHECK_EQ(port_of(c[1], true), port_of(c[0], false));
	close(c[1]);
	CHECK_EQ(wait_events(late, POLLOUT), POLLOUT);
	c[1] = accept(l, NULL, NULL);
	CHECK_EQ(port_of(c[1], true), port_of(late, false));
	CHECK_EQ(write(late, "x", 1), 1);
	CHECK_EQ(read(c[1], &byte, 1), 1);
	close(c[1]);
	close(c[0]);
	close(late);
	close(l);
}

/* A caller that gives up, by close, by shutdown or by the time, leaves nothing to accept. */
TEST(callers_give_up)
{
	int port, l = listen4(SOCK_NONBLOCK, 0, &port), first = socket(AF_INET, SOCK_STREAM, 0), c;
	struct timeval tv = {.tv_usec = 20000};

	CHECK_EQ(connect4(first, "127.0.0.1", port), 0);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	CHECK_EQ(unconnect(c), 0);
	CHECK_EQ(events(c), POLLOUT | POLLHUP | POLLERR);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), ECONNRESET);
	CHECK_EQ(events(c), POLLOUT | POLLHUP);
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EINPROGRESS);
	CHECK_ERR(connect4(c, "127.0.0.1", port), EALREADY);
	close(c);
	c = accept(l, NULL, NULL);
	CHECK_EQ(port_of(c, true), port_of(first, false));
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	close(c);
	close(first);
	close(l);
}

TEST(two_families)
{
	int l = socket(AF_INET6, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), p, port;

	REQUIRE(l >= 0);
	CHECK_EQ(bind6(l, "::", 0), 0);
	CHECK_EQ(listen(l, 5), 0);
	port = port_of(l, false);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	p = accept(l, NULL, NULL);
	CHECK_STR(addr_of(p, true), "::ffff:127.0.0.1");
	CHECK_STR(addr_of(p, false), "::ffff:127.0.0.1");
	CHECK_STR(addr_of(c, true), "127.0.0.1");
	close(p);
	close(c);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_EQ(connect6(c, "::1", port), 0);
	p = accept(l, NULL, NULL);
	CHECK_STR(addr_of(p, true), "::1");
	close(p);
	close(c);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	CHECK_EQ(connect6(c, "::ffff:127.0.0.1", port), 0);
	p = accept(l, NULL, NULL);
	CHECK_STR(addr_of(p, true), "::ffff:127.0.0.1");
	CHECK_STR(addr_of(c, false), "::ffff:127.0.0.1");
	close(p);
	close(c);
	/* Any address is this machine. */
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect4(c, "0.0.0.0", port), 0);
	CHECK_STR(addr_of(c, true), "127.0.0.1");
	close(c);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect4(c, "127.1.2.3", port), 0);
	CHECK_STR(addr_of(c, true), "127.1.2.3");
	CHECK_STR(addr_of(c, false), "127.0.0.1");
	close(c);
	close(l);
}

/* A connection may be given up, and the socket used again. */
TEST(again)
{
	int port, l = listen4(0, 5, &port), c = socket(AF_INET, SOCK_STREAM, 0), p;
	char byte;

	CHECK_EQ(unconnect(c), 0);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	p = accept(l, NULL, NULL);
	CHECK_EQ(write(p, "x", 1), 1);
	CHECK_EQ(unconnect(c), 0);
	CHECK_EQ(port_of(c, true), -1);
	CHECK_STR(addr_of(c, false), "0.0.0.0");
	CHECK_ERR(read(c, &byte, 1), ECONNRESET);
	CHECK_ERR(read(c, &byte, 1), ENOTCONN);
	CHECK_ERR(read(p, &byte, 1), ECONNRESET);
	close(p);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	p = accept(l, NULL, NULL);
	CHECK_EQ(write(p, "y", 1), 1);
	CHECK_EQ(read(c, &byte, 1), 1);
	CHECK_EQ(byte, 'y');
	close(p);
	close(c);
	/* A listener, too. */
	CHECK_EQ(unconnect(l), 0);
	CHECK_EQ(port_of(l, false), port);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_ERR(connect4(c, "127.0.0.1", port), ECONNREFUSED);
	close(c);
	close(l);
}

/* More than fits: the writer sleeps until the reader takes some. */
TEST(blocks)
{
	enum { TOTAL = 20 << 20 };
	static char buf[100000];
	size_t got = 0, bad = 0;
	ssize_t n;
	pid_t pid;

	open_pair();
	pid = h_fork();
	if (pid == 0) {
		close(s[1]);
		for (size_t sent = 0; sent < TOTAL; sent += (size_t)n) {
			size_t left = TOTAL - sent;

			if (left > sizeof(buf))
				left = sizeof(buf);
			for (size_t i = 0; i < left; i++)
				buf[i] = (char)((sent + i) * 2654435761u >> 16);
			n = write(s[0], buf, left);
			if (n <= 0)
				_exit(1);
		}
		child_exit();
	}
	close(s[0]);
	do {
		n = got ? read(s[1], buf, sizeof(buf)) : recv(s[1], buf, 70000, MSG_WAITALL);
		CHECK(got || n == 70000);
		for (ssize_t i = 0; i < n; i++)
			bad += buf[i] != (char)((got + (size_t)i) * 2654435761u >> 16);
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(got, TOTAL);
	CHECK_EQ(bad, 0);
	JOIN(pid);
	close(s[1]);
}

TEST(fills)
{
	static char buf[65536];
	ssize_t n, total = 0;
	bool saw_room = false;

	open_pair();
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	fcntl(s[1], F_SETFL, O_NONBLOCK);
	while ((n = write(s[0], buf, sizeof(buf))) > 0)
		total += n;
	CHECK_ERR(write(s[0], buf, sizeof(buf)), EAGAIN);
	CHECK(total >= 65536);
	CHECK_EQ(events(s[0]), 0);
	while (total > 0) {
		n = read(s[1], buf, sizeof(buf));
		if (n < 0)
			wait_events(s[1], POLLIN);
		else
			total -= n;
		saw_room |= events(s[0]) == POLLOUT;
	}
	CHECK(saw_room);
	CHECK_EQ(total, 0);
	CHECK_EQ(wait_events(s[0], POLLOUT), POLLOUT);
	close_pair();
}

TEST(timeouts)
{
	struct timeval tv = {.tv_usec = 1000}, got;
	socklen_t len = sizeof(got);
	static char buf[65536];
	int port, l = listen4(0, 1, &port);
	ssize_t n;

	open_pair();
	CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	CHECK(got.tv_sec == 0 && got.tv_usec > 0);
	CHECK_ERR(read(s[0], buf, 1), EAGAIN);
	CHECK_EQ(write(s[1], "x", 1), 1);
	CHECK_EQ(recv(s[0], buf, 2, MSG_WAITALL), 1); /* what came in the time */
	do
		n = write(s[0], buf, sizeof(buf));
	while (n > 0);
	CHECK_EQ(errno, EAGAIN);
	close_pair();
	close(l);
}

TEST(low_water)
{
	char buf[16];

	open_pair();
	CHECK_EQ(option(s[1], SOL_SOCKET, SO_RCVLOWAT), 1);
	CHECK_EQ(set_option(s[1], SOL_SOCKET, SO_RCVLOWAT, 4), 0);
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(events(s[1]), POLLOUT);
	CHECK_EQ(recv(s[1], buf, 16, MSG_DONTWAIT), 3);
	CHECK_EQ(write(s[0], "abcd", 4), 4);
	CHECK_EQ(events(s[1]), POLLOUT | POLLIN);
	CHECK_EQ(read(s[1], buf, 2), 2);
	CHECK_EQ(events(s[1]), POLLOUT);
	close(s[0]);
	CHECK_EQ(events(s[1]), POLLOUT | POLLIN | POLLRDHUP);
	close(s[1]);
}

/* More than there is room for is asked for: what there is is told once no more can come. */
TEST(low_water_too_high)
{
	static char big[65536];
	ssize_t n, total = 0, got = 0;

	open_pair();
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	fcntl(s[1], F_SETFL, O_NONBLOCK);
	CHECK_EQ(set_option(s[1], SOL_SOCKET, SO_RCVBUF, 20000), 0);
	CHECK_EQ(set_option(s[1], SOL_SOCKET, SO_RCVLOWAT, 1 << 30), 0);
	while ((n = write(s[0], big, sizeof(big))) > 0)
		total += n;
	CHECK_EQ(wait_events(s[1], POLLIN) & POLLIN, POLLIN);
	shutdown(s[0], SHUT_WR);
	while (got < total) {
		n = read(s[1], big, sizeof(big));
		if (n < 0)
			wait_events(s[1], POLLRDHUP);
		else
			got += n;
	}
	CHECK_EQ(got, total);
	close_pair();
}

TEST(edges)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int port, l = listen4(0, 5, &port), c = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), p;
	char buf[4];

	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, c, &e), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.events, EPOLLOUT | EPOLLHUP);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 1);
	CHECK_EQ(e.events, EPOLLOUT);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	p = accept(l, NULL, NULL);
	CHECK_EQ(write(p, "a", 1), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 20000), 1);
	CHECK_EQ(e.events, EPOLLOUT | EPOLLIN);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(write(p, "b", 1), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 20000), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(read(c, buf, 4), 2);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(shutdown(p, SHUT_WR), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, 20000), 1);
	CHECK_EQ(e.events, EPOLLOUT | EPOLLIN | EPOLLRDHUP);
	close(p);
	close(c);
	close(l);
	close(ep);
}

TEST(bad_addresses)
{
	struct sockaddr_in a = at4("127.0.0.1", 9);
	int c = socket(AF_INET, SOCK_STREAM, 0), c6 = socket(AF_INET6, SOCK_STREAM, 0);

	CHECK_ERR(connect(c, SA(a), 1), EINVAL);
	CHECK_ERR(connect(c, SA(a), 8), EINVAL);
	CHECK_ERR(connect(c, SA(a), 200), EINVAL);
	CHECK_ERR(connect(c, (void *)1, sizeof(a)), EFAULT);
	CHECK_ERR(connect(c6, SA(a), sizeof(a)), EINVAL);
	a.sin_family = AF_UNIX;
	CHECK_ERR(connect(c, SA(a), sizeof(a)), EAFNOSUPPORT);
	CHECK_ERR(connect6(c, "::1", 9), EAFNOSUPPORT);
	CHECK_ERR(connect4(c, "224.0.0.1", 9), ENETUNREACH);
	CHECK_ERR(connect4(c, "127.0.0.1", 0), ECONNREFUSED);
	CHECK_ERR(connect6(c6, "::1", 0), ECONNREFUSED);
	close(c);
	close(c6);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, 263), EINVAL);
	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
}
