/* How TCP connections end: half and whole, by reset, with a byte out of band on the way. */
#include "inet.h"

static int s[2];
static char buf[64];

static void open_pair(void)
{
	tcp_pair(s);
}

static void close_pair(void)
{
	close(s[0]);
	close(s[1]);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	signals++;
}

static int state(int fd)
{
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	REQUIRE(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) == 0);
	return i.tcpi_state;
}

static void linger(int fd, int seconds)
{
	struct linger l = {1, seconds};

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
}

TEST(half)
{
	signal(SIGPIPE, SIG_IGN);
	open_pair();
	CHECK_EQ(state(s[0]), TCP_ESTABLISHED);
	CHECK_EQ(write(s[0], "last", 4), 4);
	CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
	CHECK_EQ(wait_events(s[1], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(events(s[0]), POLLOUT);
	CHECK(state(s[0]) == TCP_FIN_WAIT2 || state(s[0]) == TCP_FIN_WAIT1); /* an answer may take its time */
	CHECK_EQ(state(s[1]), TCP_CLOSE_WAIT);
	CHECK_EQ(read(s[1], buf, 64), 4);
	CHECK_EQ(read(s[1], buf, 64), 0);
	CHECK_EQ(read(s[1], buf, 64), 0);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(write(s[1], "back", 4), 4);
	CHECK_EQ(read(s[0], buf, 64), 4);
	CHECK(port_of(s[0], true) > 0);
	CHECK_EQ(shutdown(s[1], SHUT_WR), 0);
	CHECK_EQ(wait_events(s[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(wait_events(s[1], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(read(s[0], buf, 64), 0);
	CHECK_EQ(state(s[0]), TCP_CLOSE);
	CHECK_EQ(state(s[1]), TCP_CLOSE);
	CHECK_EQ(port_of(s[0], true), -1);
	CHECK_EQ(port_of(s[1], true), -1);
	CHECK(port_of(s[1], false) > 0);
	CHECK_ERR(write(s[1], "x", 1), EPIPE);
	CHECK_ERR(shutdown(s[1], SHUT_RD), ENOTCONN);
	CHECK_EQ(option(s[0], SOL_SOCKET, SO_ERROR), 0);
	close_pair();
}

TEST(reading_shut)
{
	open_pair();
	CHECK_EQ(write(s[1], "ab", 2), 2);
	CHECK_EQ(shutdown(s[0], SHUT_RD), 0);
	CHECK_EQ(events(s[0]), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(read(s[0], buf, 64), 2);
	CHECK_EQ(read(s[0], buf, 64), 0);
	CHECK_EQ(write(s[1], "cd", 2), 2); /* who sends does not learn of it */
	CHECK_EQ(read(s[0], buf, 64), 2);
	CHECK_EQ(events(s[1]), POLLOUT);
	CHECK_EQ(write(s[0], "e", 1), 1);
	CHECK_EQ(read(s[1], buf, 64), 1);
	CHECK_ERR(shutdown(s[0], 3), EINVAL);
	CHECK_ERR(shutdown(s[0], -1), EINVAL);
	close_pair();
}

/* Writing to one that is gone: the first is sent, and answered by a reset; then there is a signal. */
TEST(writes_to_nobody)
{
	signal(SIGPIPE, on_signal);
	signals = 0;
	open_pair();
	close(s[1]);
	CHECK_EQ(wait_events(s[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(write(s[0], "x", 1), 1);
	CHECK_EQ(wait_events(s[0], POLLPRI), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_EQ(read(s[0], buf, 1), 0);
	CHECK_EQ(signals, 0);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(signals, 0);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(signals, 1);
	CHECK_EQ(read(s[0], buf, 1), 0);
	close(s[0]);
	open_pair();
	close(s[1]);
	wait_events(s[0], POLLRDHUP);
	CHECK_EQ(write(s[0], "x", 1), 1);
	wait_events(s[0], POLLPRI);
	CHECK_EQ(option(s[0], SOL_SOCKET, SO_ERROR), EPIPE);
	CHECK_EQ(option(s[0], SOL_SOCKET, SO_ERROR), 0);
	close(s[0]);
}

TEST(never_connected)
{
	int c = socket(AF_INET, SOCK_STREAM, 0), port, l = listen4(0, 1, &port);

	signal(SIGPIPE, on_signal);
	signals = 0;
	CHECK_ERR(read(c, buf, 1), ENOTCONN);
	CHECK_ERR(write(c, "x", 1), EPIPE);
	CHECK_EQ(signals, 1);
	CHECK_ERR(shutdown(c, SHUT_RDWR), ENOTCONN);
	CHECK_ERR(read(l, buf, 1), ENOTCONN);
	CHECK_ERR(write(l, "x", 1), EPIPE);
	CHECK_EQ(state(l), TCP_LISTEN);
	CHECK_EQ(state(c), TCP_CLOSE);
	close(c);
	close(l);
}

/* Bytes that nobody read make the end a reset, as does SO_LINGER without time. */
TEST(resets)
{
	signal(SIGPIPE, SIG_IGN);
	open_pair();
	CHECK_EQ(write(s[0], "x", 1), 1);
	CHECK_EQ(write(s[1], "kept", 4), 4);
	wait_events(s[1], POLLIN);
	close(s[1]);
	CHECK_EQ(wait_events(s[0], POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
	CHECK_EQ(port_of(s[0], true), -1);
	CHECK_EQ(read(s[0], buf, 64), 4);
	CHECK_ERR(read(s[0], buf, 64), ECONNRESET);
	CHECK_EQ(read(s[0], buf, 64), 0);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	close(s[0]);

	open_pair();
	linger(s[1], 0);
	close(s[1]);
	wait_events(s[0], POLLRDHUP);
	CHECK_ERR(write(s[0], "x", 1), ECONNRESET);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(read(s[0], buf, 1), 0);
	close(s[0]);

	open_pair();
	linger(s[1], 0);
	close(s[1]);
	wait_events(s[0], POLLRDHUP);
	CHECK_EQ(option(s[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
	CHECK_EQ(events(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(read(s[0], buf, 1), 0);
	close(s[0]);

	/* With time, it is an end like others. */
	open_pair();
	CHECK_EQ(write(s[1], "bye", 3), 3);
	linger(s[1], 5);
	close(s[1]);
	CHECK_EQ(recv(s[0], buf, 64, MSG_WAITALL), 3);
	close(s[0]);
}

/* Those who wait to be accepted, and those who wait for room, when the listener ends. */
TEST(listener_ends)
{
	for (int how = 0; how < 2; how++) {
		int port, l = listen4(0, 0, &port), c = socket(AF_INET, SOCK_STREAM, 0);

		CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
		if (how)
			CHECK_EQ(shutdown(l, SHUT_RD), 0);
		else
			close(l);
		wait_events(c, POLLRDHUP);
		CHECK_ERR(read(c, buf, 1), ECONNRESET);
		if (how) {
			CHECK_ERR(accept(l, NULL, NULL), EINVAL);
			CHECK_EQ(events(l), POLLOUT | POLLHUP);
			CHECK_EQ(listen(l, 1), 0);
			CHECK(port_of(l, false) > 0); /* another one: the first was not asked for by its number */
			close(l);
		}
		close(c);
	}
	int port, l = listen4(0, 5, &port);
	CHECK_EQ(shutdown(l, SHUT_WR), 0);
	CHECK_EQ(events(l), 0);
	close(l);
}

/* A sleeping accept, and a sleeping read, are woken by a shutdown in another process. */
TEST(shutdown_wakes)
{
	int port, l = listen4(0, 5, &port);
	pid_t pid = h_fork();

	if (pid == 0) {
		CHECK_ERR(accept(l, NULL, NULL), EINVAL);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	JOIN(pid);
	close(l);
	open_pair();
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(read(s[0], buf, 1), 0);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(shutdown(s[0], SHUT_RDWR), 0);
	JOIN(pid);
	close_pair();
}

/* Ended by the other one before it is accepted: accept succeeds. */
TEST(gone_before_accept)
{
	int port, l = listen4(0, 5, &port), c = socket(AF_INET, SOCK_STREAM, 0), p;

	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	CHECK_EQ(write(c, "abc", 3), 3);
	close(c);
	p = accept(l, NULL, NULL);
	CHECK(p >= 0);
	CHECK_EQ(read(p, buf, 64), 3);
	CHECK_EQ(read(p, buf, 64), 0);
	close(p);
	c = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect4(c, "127.0.0.1", port), 0);
	linger(c, 0);
	close(c);
	p = accept(l, NULL, NULL);
	CHECK(p >= 0);
	CHECK_ERR(read(p, buf, 64), ECONNRESET);
	close(p);
	close(l);
}

TEST(descriptors_shared)
{
	pid_t pid;

	open_pair();
	pid = h_fork();
	if (pid == 0) {
		close_pair();
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(events(s[0]), POLLOUT);
	CHECK_EQ(write(s[0], "x", 1), 1);
	CHECK_EQ(read(s[1], buf, 1), 1);
	close_pair();
}

/* ---- out of band ---- */

TEST(urgent)
{
	int at = -1;

	signal(SIGURG, on_signal);
	signals = 0;
	open_pair();
	CHECK_EQ(fcntl(s[1], F_SETOWN, getpid()), 0);
	CHECK_ERR(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(write(s[0], "ab", 2), 2);
	CHECK_EQ(send(s[0], "cU", 2, MSG_OOB), 2);
	CHECK_EQ(write(s[0], "de", 2), 2);
	wait_events(s[1], POLLPRI);
	CHECK_EQ(signals, 1);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT | POLLPRI);
	CHECK_EQ(ioctl(s[1], SIOCATMARK, &at), 0);
	CHECK_EQ(at, 0);
	CHECK_EQ(recv(s[1], buf, 1, MSG_OOB | MSG_PEEK), 1);
	CHECK_EQ(recv(s[1], buf, 4, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'U');
	CHECK_ERR(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT);
	/* A read does not go across its place. */
	CHECK_EQ(read(s[1], buf, 64), 3);
	CHECK(memcmp(buf, "abc", 3) == 0);
	CHECK_EQ(ioctl(s[1], SIOCATMARK, &at), 0);
	CHECK_EQ(at, 1);
	CHECK_EQ(read(s[1], buf, 64), 2);
	CHECK(memcmp(buf, "de", 2) == 0);
	CHECK_EQ(ioctl(s[1], SIOCATMARK, &at), 0);
	CHECK_EQ(at, 0);
	close_pair();
}

TEST(urgent_inline)
{
	int at = -1, n;

	open_pair();
	CHECK_EQ(set_option(s[1], SOL_SOCKET, SO_OOBINLINE, 1), 0);
	CHECK_EQ(write(s[0], "ab", 2), 2);
	CHECK_EQ(send(s[0], "U", 1, MSG_OOB), 1);
	CHECK_EQ(write(s[0], "cd", 2), 2);
	wait_events(s[1], POLLPRI);
	CHECK_ERR(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(ioctl(s[1], FIONREAD, &n), 0);
	CHECK_EQ(read(s[1], buf, 64), 2);
	CHECK_EQ(ioctl(s[1], SIOCATMARK, &at), 0);
	CHECK_EQ(at, 1);
	CHECK_EQ(read(s[1], buf, 64), 3);
	CHECK(memcmp(buf, "Ucd", 3) == 0);
	close_pair();
}

/* Read past without being looked at, it is gone. */
TEST(urgent_passed)
{
	open_pair();
	CHECK_EQ(send(s[0], "U", 1, MSG_OOB), 1);
	wait_events(s[1], POLLPRI);
	CHECK_EQ(events(s[1]), POLLOUT | POLLPRI);
	CHECK_ERR(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(write(s[0], "a", 1), 1);
	CHECK_EQ(wait_events(s[1], POLLIN) & POLLIN, POLLIN);
	CHECK_EQ(read(s[1], buf, 64), 1);
	CHECK_EQ(buf[0], 'a');
	CHECK_ERR(recv(s[1], buf, 1, MSG_OOB), EINVAL);
	close_pair();
}
