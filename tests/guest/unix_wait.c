/* Waiting for AF_UNIX sockets: poll, select, epoll's levels and edges, SIGIO, times, low-water marks, several messages at once. */
#include "unixsock.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>

static int s[2];
static char buf[1 << 16];

static void open_pair(int type)
{
	REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, s) == 0);
}

static void close_pair(void)
{
	close(s[0]);
	close(s[1]);
}

static int epoll_of(int fd, uint32_t events)
{
	struct epoll_event e = {.events = events};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	REQUIRE(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
	return ep;
}

static uint32_t edge(int ep)
{
	struct epoll_event e = {0};

	return epoll_wait(ep, &e, 1, 0) == 1 ? e.events : 0;
}

TEST(edges)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

	for (int i = 0; i < 3; i++) {
		int in, out;

		open_pair(types[i] | SOCK_NONBLOCK);
		in = epoll_of(s[1], EPOLLIN | EPOLLET);
		out = epoll_of(s[0], EPOLLOUT | EPOLLET);
		CHECK_EQ(edge(in), 0);
		CHECK_EQ(edge(out), EPOLLOUT);
		CHECK_EQ(edge(out), 0);
		CHECK_EQ(send(s[0], "ab", 2, 0), 2);
		CHECK_EQ(edge(in), EPOLLIN);
		CHECK_EQ(edge(in), 0);
		CHECK_EQ(edge(out), 0);
		CHECK_EQ(send(s[0], "cd", 2, 0), 2); /* another edge, though there was something */
		CHECK_EQ(edge(in), EPOLLIN);
		CHECK_EQ(recv(s[1], buf, 1, 0), 1);
		CHECK_EQ(edge(in), 0);
		CHECK_EQ(edge(out), types[i] == SOCK_STREAM ? 0 : EPOLLOUT); /* a message was freed */
		while (recv(s[1], buf, 8, 0) > 0)
			;
		CHECK_EQ(edge(out), EPOLLOUT);
		CHECK_EQ(edge(in), 0);
		while (send(s[0], buf, 2000, 0) > 0)
			;
		CHECK_EQ(edge(out), 0);
		CHECK_EQ(edge(in), EPOLLIN);
		while (recv(s[1], buf, sizeof(buf), 0) > 0)
			;
		CHECK_EQ(edge(out), EPOLLOUT);
		CHECK_EQ(edge(out), 0);
		CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
		CHECK_EQ(edge(in), types[i] == SOCK_DGRAM ? 0 : EPOLLIN);
		close(in);
		in = epoll_of(s[1], EPOLLIN | EPOLLRDHUP | EPOLLET);
		edge(in);
		close(s[0]);
		CHECK_EQ(edge(in), types[i] == SOCK_DGRAM ? 0 : EPOLLIN | EPOLLRDHUP | EPOLLHUP);
		close(in);
		close(out);
		close(s[1]);
	}
}

TEST(edges_of_listener)
{
	struct name n = abstract("edges");
	int l = listener(SOCK_STREAM | SOCK_NONBLOCK, n, 5), c[3], a;
	int ep = epoll_of(l, EPOLLIN | EPOLLOUT | EPOLLET);

	CHECK_EQ(edge(ep), 0);
	for (int i = 0; i < 3; i++) {
		c[i] = connected(SOCK_STREAM, n);
		CHECK_EQ(edge(ep), EPOLLIN);
		CHECK_EQ(edge(ep), 0);
	}
	a = accept(l, NULL, NULL);
	close(a);
	CHECK_EQ(edge(ep), 0);
	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_EQ(edge(ep), EPOLLIN);
	for (int i = 0; i < 3; i++)
		close(c[i]);
	close(l);
	close(ep);
}

/* A connected datagram socket is told when its peer's queue has room again, once it has asked. */
TEST(edges_of_a_full_peer)
{
	struct name n = abstract("full");
	int t = bound(SOCK_DGRAM, n), c = connected(SOCK_DGRAM | SOCK_NONBLOCK, n), other = new_socket(SOCK_DGRAM), ep;

	while (sendto(other, "x", 1, MSG_DONTWAIT, NAME(n)) == 1)
		;
	ep = epoll_of(c, EPOLLOUT | EPOLLET);
	CHECK_EQ(edge(ep), 0);
	CHECK_EQ(recv(t, buf, 8, 0), 1);
	CHECK_EQ(edge(ep), EPOLLOUT);
	CHECK_EQ(edge(ep), 0);
	CHECK_EQ(send(c, "y", 1, 0), 1);
	CHECK_ERR(send(c, "y", 1, 0), EAGAIN);
	CHECK_EQ(recv(t, buf, 8, 0), 1);
	CHECK_EQ(edge(ep), EPOLLOUT);
	CHECK_EQ(send(c, "y", 1, 0), 1);
	CHECK_ERR(send(c, "y", 1, 0), EAGAIN);
	close(t);
	CHECK_EQ(edge(ep), EPOLLOUT);
	close(c);
	close(other);
	close(ep);
}

TEST(select_and_levels)
{
	struct timeval zero = {0};
	fd_set r, w, x;
	int ep, top;

	open_pair(SOCK_STREAM);
	top = (s[0] > s[1] ? s[0] : s[1]) + 1;
	ep = epoll_of(s[1], EPOLLIN | EPOLLOUT);
	for (int i = 0; i < 2; i++) {
		FD_ZERO(&r);
		FD_ZERO(&w);
		FD_ZERO(&x);
		FD_SET(s[1], &r);
		FD_SET(s[0], &w);
		FD_SET(s[1], &x);
		CHECK_EQ(select(top, &r, &w, &x, &zero), i ? 2 : 1);
		CHECK_EQ(FD_ISSET(s[1], &r) != 0, i);
		CHECK(FD_ISSET(s[0], &w));
		CHECK(!FD_ISSET(s[1], &x));
		CHECK_EQ(edge(ep), i ? EPOLLIN | EPOLLOUT : EPOLLOUT);
		CHECK_EQ(edge(ep), i ? EPOLLIN | EPOLLOUT : EPOLLOUT);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
	}
	close(ep);
	close_pair();
}

struct job {
	int fd;
	ssize_t n;
	size_t size;
	int flags, err;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *do_recv(void *arg)
{
	struct job *j = arg;

	j->tid = gettid();
	j->n = recv(j->fd, buf, j->size, j->flags);
	j->err = errno;
	return NULL;
}

static void *do_send(void *arg)
{
	struct job *j = arg;

	j->tid = gettid();
	j->n = send(j->fd, buf, j->size, j->flags);
	j->err = errno;
	return NULL;
}

static void *do_poll(void *arg)
{
	struct job *j = arg;
	struct pollfd p = {.fd = j->fd, .events = (short)j->flags};

	j->tid = gettid();
	j->n = poll(&p, 1, -1) == 1 ? p.revents : -1;
	return NULL;
}

static void begin(struct job *j, void *(*fn)(void *))
{
	j->tid = 0;
	REQUIRE(pthread_create(&j->thread, NULL, fn, j) == 0);
	while (!j->tid)
		sched_yield();
	REQUIRE(h_wait_state(j->tid, "S"));
}

static ssize_t end(struct job *j)
{
	REQUIRE(pthread_join(j->thread, NULL) == 0);
	return j->n;
}

TEST(sleepers_wake)
{
	struct job j = {.size = 10}, k;

	signal(SIGPIPE, SIG_IGN);
	for (int kind = 0; kind < 2; kind++) {
		open_pair(kind ? SOCK_SEQPACKET : SOCK_STREAM);
		j.fd = s[1];
		j.size = 10;
		j.flags = 0;
		begin(&j, do_recv);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
		CHECK_EQ(end(&j), 1);
		j.size = 1;
		begin(&j, do_recv);
		k = j;
		begin(&k, do_recv);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
		CHECK(end(&j) + end(&k) == 2);
		begin(&j, do_recv);
		CHECK_EQ(shutdown(s[1], SHUT_RD), 0);
		CHECK_EQ(end(&j), 0);
		close_pair();

		open_pair(kind ? SOCK_SEQPACKET : SOCK_STREAM);
		j.fd = s[1];
		begin(&j, do_recv);
		close(s[0]);
		CHECK_EQ(end(&j), 0);
		close(s[1]);

		/* One that was read from is not reset; a writer that waits is told so. */
		open_pair(kind ? SOCK_SEQPACKET : SOCK_STREAM);
		while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
			;
		j.fd = s[0];
		begin(&j, do_send);
		close(s[1]);
		CHECK_EQ(end(&j), -1);
		CHECK_EQ(j.err, ECONNRESET);
		close(s[0]);

		open_pair(kind ? SOCK_SEQPACKET : SOCK_STREAM);
		while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
			;
		j.fd = s[0];
		begin(&j, do_send);
		CHECK_EQ(shutdown(s[1], SHUT_RD), 0);
		CHECK_EQ(end(&j), -1);
		CHECK_EQ(j.err, EPIPE);
		close_pair();

		open_pair(kind ? SOCK_SEQPACKET : SOCK_STREAM);
		while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
			;
		j.fd = s[0];
		j.flags = POLLOUT;
		begin(&j, do_poll);
		while (recv(s[1], buf, 1000, MSG_DONTWAIT) > 0)
			;
		CHECK_EQ(end(&j), POLLOUT);
		j.flags = POLLIN;
		begin(&j, do_poll);
		close(s[1]);
		CHECK_EQ(end(&j), POLLIN | POLLHUP);
		close(s[0]);
	}
}

TEST(all_that_was_asked_for)
{
	struct job j = {.size = 10, .flags = MSG_WAITALL};

	open_pair(SOCK_STREAM);
	j.fd = s[1];
	begin(&j, do_recv);
	CHECK_EQ(send(s[0], "12345", 5, 0), 5);
	REQUIRE(h_wait_state(j.tid, "S"));
	CHECK_EQ(send(s[0], "6789012", 7, 0), 7);
	CHECK_EQ(end(&j), 10);
	CHECK_EQ(recv(s[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT), 2);
	CHECK_ERR(recv(s[1], buf, 10, MSG_WAITALL | MSG_DONTWAIT), EAGAIN);
	begin(&j, do_recv);
	CHECK_EQ(send(s[0], "123", 3, 0), 3);
	CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
	CHECK_EQ(end(&j), 3);
	close_pair();

	/* A low-water mark is waited for, but is no matter of poll's. */
	open_pair(SOCK_STREAM);
	CHECK_EQ(set_option(s[1], SO_RCVLOWAT, 4), 0);
	j = (struct job){.fd = s[1], .size = 10};
	begin(&j, do_recv);
	CHECK_EQ(send(s[0], "12", 2, 0), 2);
	REQUIRE(h_wait_state(j.tid, "S"));
	CHECK_EQ(send(s[0], "34", 2, 0), 2);
	CHECK_EQ(end(&j), 4);
	CHECK_EQ(send(s[0], "1", 1, 0), 1);
	CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT);
	CHECK_EQ(recv(s[1], buf, 10, MSG_DONTWAIT), 1);
	close_pair();
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	signals++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};

	signals = 0;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static void alarm_soon(int flags)
{
	struct itimerval soon = {.it_value.tv_usec = 20000};

	handle(SIGALRM, flags);
	REQUIRE(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

TEST(times_and_signals)
{
	struct timeval short_time = {.tv_usec = 5000}, long_time = {.tv_sec = 100};

	for (int kind = 0; kind < 2; kind++) {
		open_pair(kind ? SOCK_DGRAM : SOCK_STREAM);
		CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time)), 0);
		CHECK_ERR(recv(s[1], buf, 10, 0), EAGAIN);
		CHECK_EQ(send(s[0], "abc", 3, 0), 3);
		CHECK_EQ(recv(s[1], buf, 10, MSG_WAITALL), 3);
		CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time)), 0);
		alarm_soon(SA_RESTART);
		CHECK_ERR(recv(s[1], buf, 10, 0), EINTR);
		alarm_soon(0);
		CHECK_ERR(read(s[1], buf, 10), EINTR);
		CHECK_EQ(signals, 1);
		CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof(short_time)), 0);
		while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
			;
		CHECK_ERR(send(s[0], buf, 1000, 0), EAGAIN);
		CHECK_EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof(long_time)), 0);
		alarm_soon(SA_RESTART);
		CHECK_ERR(send(s[0], buf, 1000, 0), EINTR);
		close_pair();
	}
	/* What has been sent already is told. */
	open_pair(SOCK_STREAM);
	alarm_soon(0);
	size_t sum = 0;
	ssize_t n;
	while ((n = send(s[0], buf, sizeof(buf), 0)) == (ssize_t)sizeof(buf))
		sum += (size_t)n;
	if (n > 0) {
		sum += (size_t)n;
	} else {
		CHECK_EQ(errno, EINTR);
	}
	size_t got = 0;
	while ((n = recv(s[1], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		got += (size_t)n;
	CHECK_EQ(got, sum);
	close_pair();
	signal(SIGALRM, SIG_DFL);
}

TEST(sigio)
{
	int on = 1;

	handle(SIGIO, SA_RESTART);
	open_pair(SOCK_STREAM);
	CHECK_EQ(fcntl(s[1], F_SETOWN, getpid()), 0);
	CHECK_EQ(ioctl(s[1], FIOASYNC, &on), 0);
	CHECK_EQ(fcntl(s[1], F_GETFL) & O_ASYNC, O_ASYNC);
	CHECK_EQ(send(s[0], "x", 1, 0), 1);
	CHECK_EQ(signals, 1);
	CHECK_EQ(recv(s[1], buf, 1, 0), 1);
	CHECK_EQ(signals, 1);
	CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
	CHECK_EQ(signals, 2);
	close(s[0]);
	CHECK_EQ(signals, 3);
	close(s[1]);

	/* Room is told of to who found none. */
	signals = 0;
	open_pair(SOCK_DGRAM);
	CHECK_EQ(fcntl(s[0], F_SETOWN, getpid()), 0);
	CHECK_EQ(ioctl(s[0], FIOASYNC, &on), 0);
	CHECK_EQ(send(s[0], "x", 1, 0), 1);
	CHECK_EQ(recv(s[1], buf, 1, 0), 1);
	CHECK_EQ(signals, 0);
	while (send(s[0], buf, 1000, MSG_DONTWAIT) > 0)
		;
	while (recv(s[1], buf, 1000, MSG_DONTWAIT) > 0)
		;
	CHECK_EQ(signals, 1);
	close_pair();
	signal(SIGIO, SIG_DFL);
}

static void headers(struct mmsghdr *m, struct iovec *iov, unsigned n)
{
	memset(m, 0, n * sizeof(*m));
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){buf + 16 * i, 16};
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
}

TEST(several_messages)
{
	struct timespec ts = {.tv_sec = 100}, bad = {.tv_nsec = -1};
	struct mmsghdr m[4];
	struct iovec iov[4];

	open_pair(SOCK_DGRAM);
	headers(m, iov, 4);
	for (size_t i = 0; i < 4; i++)
		iov[i].iov_len = i + 1;
	CHECK_EQ(sendmmsg(s[0], m, 4, 0), 4);
	CHECK_EQ(m[3].msg_len, 4);
	headers(m, iov, 4);
	CHECK_EQ(recvmmsg(s[1], m, 2, 0, &ts), 2);
	CHECK_EQ(m[1].msg_len, 2);
	CHECK(ts.tv_sec == 99);
	CHECK_EQ(recvmmsg(s[1], m, 4, MSG_WAITFORONE, NULL), 2);
	CHECK_EQ(m[1].msg_len, 4);
	CHECK_ERR(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
	CHECK_ERR(recvmmsg(s[1], m, 4, 0, &bad), EINVAL);
	CHECK_ERR(recvmmsg(s[1], m, 4, 0, (void *)8), EFAULT);
	CHECK_EQ(recvmmsg(s[1], m, 0, 0, NULL), 0);
	CHECK_EQ(sendmmsg(s[0], m, 0, 0), 0);
	CHECK_ERR(sendmmsg(s[0], (void *)8, 1, 0), EFAULT);
	m[2].msg_hdr.msg_iovlen = 1025;
	CHECK_EQ(sendmmsg(s[0], m, 4, 0), 2);
	CHECK_ERR(sendmmsg(s[0], m + 2, 2, 0), EMSGSIZE);
	CHECK_ERR(sendmmsg(-1, m, 1, 0), EBADF);
	CHECK_ERR(recvmmsg(0, m, 1, 0, NULL), ENOTSOCK);
	close_pair();
}
