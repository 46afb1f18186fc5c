/* Datagrams of AF_UNIX: to whom they go, who is heard, what happens when the other is gone or full, looking without taking. */
#include "unixsock.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/time.h>

static char buf[64];

TEST(by_name)
{
	struct name a = abstract("a"), b = abstract("b");
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b), u = new_socket(SOCK_DGRAM);

	CHECK_ERR(send(s, "x", 1, 0), ENOTCONN);
	CHECK_EQ(sendto(s, "one", 3, 0, NAME(b)), 3);
	CHECK_EQ(recvfrom(t, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK_EQ(len, a.len);
	CHECK(memcmp(&from, &a.un, len) == 0);
	CHECK_EQ(sendto(u, "two", 3, 0, NAME(b)), 3);
	len = sizeof(from);
	CHECK_EQ(recvfrom(t, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 3);
	CHECK_EQ(len, 0); /* it has no name */
	CHECK_EQ(sendto(s, "", 0, 0, NAME(a)), 0); /* to itself */
	CHECK_EQ(events_of(s), POLLIN | POLLOUT);
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 0);
	CHECK_ERR(recv(s, buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	CHECK_ERR(send(s, "x", 1, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(recv(s, buf, 1, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(sendto(s, "x", 1, 0, (struct sockaddr *)&b.un, 1), EINVAL);
	CHECK_ERR(sendto(s, "x", 1, 0, (struct sockaddr *)&b.un, 2), EINVAL);
	CHECK_ERR(sendto(s, "x", 1, 0, (struct sockaddr *)8, b.len), EFAULT);
	CHECK_ERR(sendto(s, (void *)8, 1, 0, NAME(b)), EFAULT);
	CHECK_ERR(recv(t, buf, 1, MSG_DONTWAIT), EAGAIN);
	close(t);
	CHECK_ERR(sendto(s, "x", 1, 0, NAME(b)), ECONNREFUSED);
	close(s);
	close(u);
}

TEST(connected_to_one)
{
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct name a = abstract("a"), b = abstract("b"), c = abstract("c");
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b), u = bound(SOCK_DGRAM, c);

	CHECK_EQ(connect(s, NAME(b)), 0);
	CHECK_EQ(send(s, "1", 1, 0), 1);
	CHECK_EQ(sendto(s, "2", 1, 0, NAME(c)), 1); /* elsewhere all the same */
	CHECK_EQ(recv(u, buf, 1, 0), 1);
	CHECK_EQ(recv(t, buf, 1, 0), 1);
	CHECK_EQ(sendto(t, "3", 1, 0, NAME(a)), 1);
	CHECK_ERR(sendto(u, "4", 1, 0, NAME(a)), EPERM); /* it hears its peer alone */
	CHECK_ERR(connect(u, NAME(a)), EPERM);
	CHECK_EQ(recv(s, buf, 1, 0), 1);
	CHECK_EQ(connect(s, NAME(c)), 0);
	CHECK_EQ(connect(u, NAME(a)), 0);
	CHECK_EQ(connect(s, &unspec, sizeof(unspec)), 0);
	CHECK_ERR(send(s, "5", 1, 0), ENOTCONN);
	CHECK_EQ(sendto(t, "6", 1, 0, NAME(a)), 1);
	CHECK_EQ(recv(s, buf, 1, 0), 1);
	CHECK_EQ(connect(s, &unspec, 2), 0); /* again */
	CHECK_ERR(connect(s, &unspec, 1), EINVAL);

	/* The other turns to somebody else. */
	CHECK_EQ(connect(u, &unspec, sizeof(unspec)), 0);
	CHECK_EQ(connect(s, NAME(b)), 0);
	CHECK_EQ(connect(t, NAME(c)), 0);
	CHECK_ERR(send(s, "7", 1, 0), EPERM);
	close(s);
	close(t);
	close(u);
}

/* Who has another peer from now on has lost what it did not read; the peer that it had is told. */
TEST(turned_away)
{
	struct name a = abstract("a"), b = abstract("b"), c = abstract("c");
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b), u = bound(SOCK_DGRAM, c);

	CHECK_EQ(connect(s, NAME(b)), 0);
	CHECK_EQ(connect(t, NAME(a)), 0);
	CHECK_EQ(send(t, "lost", 4, 0), 4);
	CHECK_EQ(connect(s, NAME(c)), 0);
	CHECK_ERR(recv(s, buf, 4, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(events_of(t), POLLOUT | POLLERR);
	CHECK_ERR(recv(t, buf, 1, 0), ECONNRESET);
	CHECK_EQ(events_of(t), POLLOUT);
	close(s);
	close(t);
	close(u);
}

TEST(peer_gone)
{
	struct name a = abstract("a"), b = abstract("b");
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b);

	CHECK_EQ(connect(s, NAME(b)), 0);
	CHECK_EQ(sendto(t, "kept?", 5, 0, NAME(a)), 5);
	close(t);
	CHECK_EQ(events_of(s), POLLIN | POLLOUT);
	CHECK_ERR(send(s, "x", 1, 0), ECONNREFUSED);
	CHECK_ERR(recv(s, buf, 8, MSG_DONTWAIT), EAGAIN); /* it went with the peer */
	CHECK_ERR(send(s, "x", 1, 0), ENOTCONN);
	close(s);
}

TEST(shut)
{
	struct name a = abstract("a"), b = abstract("b");
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b);

	signal(SIGPIPE, SIG_DFL); /* of which there is none here */
	CHECK_EQ(connect(s, NAME(b)), 0);
	CHECK_EQ(shutdown(s, SHUT_WR), 0);
	CHECK_ERR(send(s, "x", 1, 0), EPIPE);
	CHECK_ERR(sendto(s, "x", 1, 0, NAME(b)), EPIPE);
	CHECK_EQ(send(t, "", 0, MSG_NOSIGNAL) < 0 ? errno : 0, ENOTCONN);
	CHECK_EQ(sendto(t, "q", 1, 0, NAME(a)), 1);
	CHECK_EQ(shutdown(s, SHUT_RD), 0);
	CHECK_ERR(sendto(t, "x", 1, 0, NAME(a)), EPIPE);
	CHECK_EQ(events_of(s), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(recv(s, buf, 8, 0), 1);
	CHECK_EQ(recv(s, buf, 8, 0), 0);
	CHECK_ERR(recv(s, buf, 8, MSG_DONTWAIT), EAGAIN);
	close(s);
	close(t);
}

/* How many fit, which is how many net.unix.max_dgram_qlen says, and one. */
static int fill(int from, struct name to)
{
	int n = 0;

	while (sendto(from, "x", 1, MSG_DONTWAIT, NAME(to)) == 1)
		n++;
	CHECK_EQ(errno, EAGAIN);
	return n;
}

static int qlen(void)
{
	char text[16];

	REQUIRE(read_file("/proc/sys/net/unix/max_dgram_qlen", text, sizeof(text)) > 0);
	return atoi(text);
}

TEST(full)
{
	struct name a = abstract("a"), b = abstract("b");
	int s = bound(SOCK_DGRAM, a), t = bound(SOCK_DGRAM, b), c = new_socket(SOCK_DGRAM), limit = qlen();

	CHECK_EQ(fill(s, b), limit + 1);
	CHECK_EQ(events_of(s), POLLOUT); /* it is not connected */
	CHECK_EQ(connect(c, NAME(b)), 0);
	CHECK_ERR(send(c, "x", 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(events_of(c), 0);
	CHECK_EQ(recv(t, buf, 1, 0), 1);
	CHECK_EQ(events_of(c), POLLOUT);
	CHECK_EQ(send(c, "y", 1, MSG_DONTWAIT), 1);
	CHECK_EQ(events_of(c), 0);
	close(t); /* nobody is full who is gone */
	CHECK_EQ(events_of(c), POLLOUT);
	CHECK_ERR(send(c, "x", 1, 0), ECONNREFUSED);
	close(c);
	close(s);
}

/* Of a pair neither is ever full for the other, but a buffer is. */
TEST(pair_is_not_full)
{
	int s[2], n = 0;

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s) == 0);
	while (send(s[0], "x", 1, 0) == 1)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK(n > qlen() + 1);
	CHECK(n <= 1000);
	CHECK_EQ(events_of(s[0]), 0);
	CHECK_ERR(send(s[0], (void *)8, 1, 0), EAGAIN); /* before it is looked at */
	for (int i = 0; i < n; i++)
		CHECK_EQ(recv(s[1], buf, 1, 0), 1);
	CHECK_EQ(events_of(s[0]), POLLOUT);
	close(s[0]);
	close(s[1]);
}

struct sender {
	int fd;
	struct name to;
	_Atomic pid_t tid;
};

static void *send_one(void *arg)
{
	struct sender *s = arg;
	long r;

	s->tid = gettid();
	r = sendto(s->fd, "late", 4, 0, NAME(s->to));
	return (void *)(r < 0 ? -errno : r);
}

static pthread_t start(struct sender *s)
{
	pthread_t t;

	s->tid = 0;
	REQUIRE(pthread_create(&t, NULL, send_one, s) == 0);
	while (!s->tid)
		sched_yield();
	REQUIRE(h_wait_state(s->tid, "S"));
	return t;
}

static long end_of(pthread_t t)
{
	void *r;

	REQUIRE(pthread_join(t, &r) == 0);
	return (long)r;
}

TEST(waits_for_room)
{
	struct name b = abstract("b");
	struct sender one = {.fd = new_socket(SOCK_DGRAM), .to = b}, two = {.fd = new_socket(SOCK_DGRAM), .to = b};
	struct timeval tv = {.tv_usec = 1000};
	int t = bound(SOCK_DGRAM, b), n = fill(one.fd, b);
	pthread_t p, q;

	p = start(&one);
	CHECK_EQ(recv(t, buf, 8, 0), 1);
	CHECK_EQ(end_of(p), 4);
	p = start(&one);
	q = start(&two);
	for (int i = 0; i < n; i++)
		CHECK(recv(t, buf, 8, 0) > 0);
	CHECK_EQ(end_of(p), 4);
	CHECK_EQ(end_of(q), 4);
	CHECK_EQ(fill(one.fd, b), n - 2);
	CHECK_EQ(setsockopt(two.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(sendto(two.fd, "x", 1, 0, NAME(b)), EAGAIN);
	p = start(&one);
	CHECK_EQ(shutdown(t, SHUT_RD), 0);
	CHECK_EQ(recv(t, buf, 8, 0), 4);
	CHECK_EQ(end_of(p), -EPIPE);
	close(t);
	t = bound(SOCK_DGRAM, b);
	fill(one.fd, b);
	p = start(&one);
	close(t);
	CHECK_EQ(end_of(p), -ECONNREFUSED);
	close(one.fd);
	close(two.fd);
}

TEST(looks_and_cuts)
{
	struct iovec iov = {buf, 2};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int s[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	CHECK_EQ(send(s[0], "abcdef", 6, 0), 6);
	CHECK_EQ(send(s[0], "gh", 2, 0), 2);
	CHECK_EQ(recv(s[1], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv(s[1], buf, 3, MSG_PEEK | MSG_TRUNC), 6);
	CHECK_EQ(recvmsg(s[1], &m, MSG_PEEK), 2);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(recv(s[1], buf, 0, MSG_TRUNC), 6);
	CHECK_EQ(recvmsg(s[1], &m, MSG_TRUNC), 2);
	CHECK_EQ(m.msg_flags, 0);
	CHECK(memcmp(buf, "gh", 2) == 0);

	/* What cannot be stored is lost. */
	CHECK_EQ(send(s[0], "lost", 4, 0), 4);
	CHECK_EQ(send(s[0], "kept", 4, 0), 4);
	CHECK_ERR(recv(s[1], (void *)8, 4, MSG_PEEK), EFAULT);
	CHECK_ERR(recv(s[1], (void *)8, 4, 0), EFAULT);
	CHECK_EQ(recv(s[1], buf, 8, 0), 4);
	CHECK(memcmp(buf, "kept", 4) == 0);
	close(s[0]);
	close(s[1]);
}

TEST(look_from_an_offset)
{
	int s[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s) == 0);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), -1);
	CHECK_EQ(send(s[0], "abcd", 4, 0), 4);
	CHECK_EQ(send(s[0], "efgh", 4, 0), 4);
	CHECK_EQ(set_option(s[1], SO_PEEK_OFF, 1), 0);
	CHECK_EQ(recv(s[1], buf, 2, MSG_PEEK), 2);
	CHECK(memcmp(buf, "bc", 2) == 0);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), 3);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 1);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 4);
	CHECK(memcmp(buf, "efgh", 4) == 0);
	CHECK_ERR(recv(s[1], buf, 8, MSG_PEEK), EAGAIN);
	CHECK_EQ(recv(s[1], buf, 8, 0), 4);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), 4);
	CHECK_EQ(recv(s[1], buf, 8, 0), 4);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), 0);
	CHECK_EQ(send(s[0], "", 0, 0), 0);
	CHECK_EQ(send(s[0], "ij", 2, 0), 2);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 0);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 2); /* an empty one is seen once */
	CHECK_EQ(set_option(s[1], SO_PEEK_OFF, -1), 0);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 0);
	CHECK_EQ(recv(s[1], buf, 8, MSG_PEEK), 0);
	close(s[0]);
	close(s[1]);

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
	CHECK_EQ(set_option(s[1], SO_PEEK_OFF, 0), 0);
	CHECK_EQ(send(s[0], "abcd", 4, 0), 4);
	CHECK_EQ(send(s[0], "efgh", 4, 0), 4);
	CHECK_EQ(recv(s[1], buf, 6, MSG_PEEK), 6);
	CHECK_EQ(recv(s[1], buf, 6, MSG_PEEK), 2);
	CHECK(memcmp(buf, "gh", 2) == 0);
	CHECK_ERR(recv(s[1], buf, 6, MSG_PEEK), EAGAIN);
	CHECK_EQ(recv(s[1], buf, 3, 0), 3);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), 5);
	CHECK_EQ(recv(s[1], buf, 8, 0), 5);
	CHECK_EQ(int_option(s[1], SO_PEEK_OFF), 0);
	close(s[0]);
	close(s[1]);
}

TEST(sequenced_packets)
{
	struct name n = abstract("packets");
	int l = listener(SOCK_SEQPACKET, n, 5), c = connected(SOCK_SEQPACKET, n), a = accept(l, NULL, NULL), v;

	CHECK_EQ(sendto(c, "ab", 2, 0, NAME(n)), 2); /* the name is overlooked */
	CHECK_EQ(send(c, "cde", 3, 0), 3);
	CHECK_EQ(ioctl(a, FIONREAD, &v), 0);
	CHECK_EQ(v, 5);
	CHECK_EQ(recv(a, buf, 1, 0), 1);
	CHECK_EQ(recv(a, buf, 8, MSG_WAITALL), 3);
	CHECK_EQ(send(c, "", 0, 0), 0);
	CHECK_EQ(recv(a, buf, 8, 0), 0);
	CHECK_ERR(recv(a, buf, 8, MSG_DONTWAIT), EAGAIN);
	close(c);
	CHECK_EQ(recv(a, buf, 8, MSG_DONTWAIT), 0);
	close(a);
	close(l);
}
