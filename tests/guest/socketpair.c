/* Connected pairs of AF_UNIX sockets: bytes and packets, ends and shutdowns, what poll says. */
#include "harness.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int s[2];

static void open_pair(int type)
{
	REQUIRE(socketpair(AF_UNIX, type, 0, s) == 0);
}

static void close_pair(void)
{
	close(s[0]);
	close(s[1]);
}

static short events(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

	poll(&p, 1, 0);
	return p.revents;
}

TEST(stream)
{
	char buf[16];
	int n;

	open_pair(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(s[1], F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(events(s[0]), POLLOUT);
	CHECK_ERR(read(s[0], buf, 1), EAGAIN);
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(send(s[0], "def", 3, 0), 3);
	CHECK_EQ(ioctl(s[1], FIONREAD, &n), 0);
	CHECK_EQ(n, 6);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT);
	CHECK_EQ(recv(s[1], buf, 4, MSG_PEEK), 4);
	CHECK_EQ(read(s[1], buf, 16), 6);
	CHECK(memcmp(buf, "abcdef", 6) == 0);
	CHECK_EQ(write(s[1], "back", 4), 4);
	CHECK_EQ(read(s[0], buf, 2), 2);
	CHECK_EQ(read(s[0], buf + 2, 16 - 2), 2);
	CHECK(memcmp(buf, "back", 4) == 0);
	CHECK_ERR(lseek(s[0], 0, SEEK_SET), ESPIPE);
	close_pair();
}

TEST(packets)
{
	static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};
	char buf[8];

	for (size_t i = 0; i < 2; i++) {
		struct iovec iov = {buf, 2};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

		open_pair(types[i] | SOCK_NONBLOCK);
		CHECK_EQ(write(s[0], "abcd", 4), 4);
		CHECK_EQ(send(s[0], "", 0, 0), 0);
		CHECK_EQ(write(s[0], "efgh", 4), 4);
		CHECK_EQ(write(s[0], "ij", 2), 2);
		CHECK_EQ(read(s[1], buf, 2), 2);
		CHECK_EQ(recv(s[1], buf, 8, 0), 0);
		CHECK_EQ(recv(s[1], buf, 2, MSG_TRUNC | MSG_PEEK), 4);
		CHECK_EQ(recvmsg(s[1], &m, 0), 2);
		CHECK_EQ(m.msg_flags, MSG_TRUNC);
		CHECK(memcmp(buf, "ef", 2) == 0);
		CHECK_EQ(read(s[1], buf, 8), 2);
		CHECK_ERR(read(s[1], buf, 8), EAGAIN);
		close_pair();
	}
}

TEST(too_long)
{
	static char big[1 << 20];

	open_pair(SOCK_DGRAM);
	CHECK_ERR(write(s[0], big, sizeof(big)), EMSGSIZE);
	close_pair();
}

TEST(end_of_peer)
{
	char c;

	signal(SIGPIPE, SIG_IGN);
	open_pair(SOCK_STREAM);
	CHECK_EQ(write(s[0], "x", 1), 1);
	close(s[0]);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(read(s[1], &c, 1), 1);
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_ERR(write(s[1], "x", 1), EPIPE);
	close(s[1]);

	/* What was sent and not read resets the connection. */
	open_pair(SOCK_STREAM);
	CHECK_EQ(write(s[0], "x", 1), 1);
	close(s[1]);
	CHECK_ERR(read(s[0], &c, 1), ECONNRESET);
	CHECK_EQ(read(s[0], &c, 1), 0);
	close(s[0]);

	open_pair(SOCK_DGRAM);
	close(s[1]);
	CHECK_ERR(write(s[0], "x", 1), ECONNREFUSED);
	close(s[0]);
}

static volatile sig_atomic_t pipes;

static void on_sigpipe(int sig)
{
	pipes++;
}

TEST(sigpipe)
{
	signal(SIGPIPE, on_sigpipe);
	open_pair(SOCK_STREAM);
	close(s[1]);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(pipes, 0);
	CHECK_ERR(send(s[0], "x", 1, 0), EPIPE);
	CHECK_EQ(pipes, 1);
	close(s[0]);
	open_pair(SOCK_SEQPACKET);
	close(s[1]);
	CHECK_ERR(send(s[0], "x", 1, 0), EPIPE);
	CHECK_EQ(pipes, 1);
	close(s[0]);
}

TEST(shutdowns)
{
	char c;

	signal(SIGPIPE, SIG_IGN);
	open_pair(SOCK_STREAM);
	CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_EQ(events(s[1]), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_ERR(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(write(s[1], "y", 1), 1);
	CHECK_EQ(read(s[0], &c, 1), 1);
	CHECK_ERR(shutdown(s[0], 3), EINVAL);
	close_pair();
}

/* More than fits: the writer sleeps until the reader takes some. */
TEST(blocks)
{
	enum { TOTAL = 3 << 20 };
	static char buf[100000];
	size_t got = 0;
	ssize_t n;
	pid_t pid;

	open_pair(SOCK_STREAM);
	pid = fork();
	if (pid == 0) {
		close(s[1]);
		for (size_t sent = 0; sent < TOTAL; sent += (size_t)n) {
			size_t left = TOTAL - sent;

			n = write(s[0], buf, left < sizeof(buf) ? left : sizeof(buf));
			if (n <= 0)
				_exit(1);
		}
		_exit(0);
	}
	close(s[0]);
	CHECK_EQ(recv(s[1], buf, 70000, MSG_WAITALL), 70000);
	got = 70000;
	while ((n = read(s[1], buf, sizeof(buf))) > 0)
		got += (size_t)n;
	CHECK_EQ(got, TOTAL);
	JOIN(pid);
	close(s[1]);
}

TEST(fills)
{
	static char buf[65536];
	ssize_t n, total = 0;

	open_pair(SOCK_STREAM | SOCK_NONBLOCK);
	while ((n = write(s[0], buf, sizeof(buf))) > 0)
		total += n;
	CHECK_ERR(write(s[0], buf, sizeof(buf)), EAGAIN);
	CHECK(total >= 65536 && total <= 1 << 20);
	CHECK_EQ(events(s[0]), 0);
	while (total > 0 && (n = read(s[1], buf, sizeof(buf))) > 0)
		total -= n;
	CHECK_EQ(total, 0);
	CHECK_EQ(events(s[0]), POLLOUT);
	close_pair();
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0)
		return -1;
	CHECK_EQ(len, sizeof(value));
	return value;
}

TEST(questions)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct ucred peer;
	struct stat st;

	open_pair(SOCK_SEQPACKET);
	CHECK_EQ(option(s[0], SO_TYPE), SOCK_SEQPACKET);
	CHECK_EQ(option(s[0], SO_DOMAIN), AF_UNIX);
	CHECK_EQ(option(s[0], SO_ERROR), 0);
	CHECK_EQ(option(s[0], SO_ACCEPTCONN), 0);
	CHECK_EQ(getsockname(s[0], (struct sockaddr *)&name, &len), 0);
	CHECK_EQ(len, sizeof(sa_family_t));
	CHECK_EQ(name.ss_family, AF_UNIX);
	len = sizeof(peer);
	CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	CHECK_EQ(peer.pid, getpid());
	CHECK_EQ(peer.uid, geteuid());
	CHECK_EQ(fstat(s[0], &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	close_pair();
}

TEST(errors)
{
	char c;
	int p[2];

	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 99, s), EPROTONOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_RDM, 0, s), ESOCKTNOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, 99, 0, s), EINVAL);
	CHECK_ERR(socketpair(999, SOCK_STREAM, 0, s), EAFNOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL), EFAULT);
	/* A family that the kernel does not have: libraries go by this errno. */
	CHECK_ERR(socket(AF_DECnet, SOCK_STREAM, 0), EAFNOSUPPORT);
	REQUIRE(pipe(p) == 0);
	CHECK_ERR(send(p[1], "x", 1, 0), ENOTSOCK);
	CHECK_ERR(recv(p[0], &c, 1, 0), ENOTSOCK);
	CHECK_ERR(send(-1, "x", 1, 0), EBADF);
	close(p[0]);
	close(p[1]);
}
