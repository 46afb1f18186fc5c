/* Connections of AF_UNIX sockets: listen, connect, accept; who is told what when the other end goes; credentials of the peer. */
#include "unixsock.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>

static const int kinds[] = {SOCK_STREAM, SOCK_SEQPACKET};

TEST(one_connection)
{
	struct sockaddr_un from;
	socklen_t len;
	char buf[8];

	for (int i = 0; i < 2; i++) {
		struct name n = abstract("one"), own = abstract("own");
		int l = listener(kinds[i], n, 5), c = bound(kinds[i], own), a;

		CHECK_EQ(int_option(l, SO_ACCEPTCONN), 1);
		CHECK_EQ(events_of(l), 0);
		CHECK_EQ(events_of(c), POLLOUT | POLLHUP);
		CHECK_EQ(connect(c, NAME(n)), 0);
		CHECK_EQ(events_of(l), POLLIN);
		CHECK_EQ(events_of(c), POLLOUT);
		CHECK_EQ(send(c, "early", 5, 0), 5); /* before it is accepted */
		len = sizeof(from);
		a = accept4(l, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		REQUIRE(a >= 0);
		CHECK_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
		CHECK_EQ(fcntl(a, F_GETFL), O_RDWR | O_NONBLOCK);
		CHECK_EQ(len, own.len);
		CHECK(memcmp(&from, &own.un, len) == 0);
		CHECK_EQ(events_of(l), 0);
		CHECK_EQ(int_option(a, SO_ACCEPTCONN), 0);
		CHECK_EQ(recv(a, buf, 8, 0), 5);
		CHECK_ERR(recv(a, buf, 8, 0), EAGAIN);
		CHECK_EQ(send(a, "back", 4, 0), 4);
		CHECK_EQ(recv(c, buf, 8, 0), 4);
		CHECK_ERR(connect(c, NAME(n)), EISCONN);
		CHECK_ERR(connect(a, NAME(n)), EISCONN);
		CHECK_ERR(connect(l, NAME(n)), EINVAL);
		CHECK_ERR(listen(c, 5), EINVAL);
		CHECK_ERR(bind(c, NAME(n)), EINVAL);
		close(a);
		CHECK_EQ(recv(c, buf, 8, 0), 0);
		close(c);
		close(l);
	}
}

TEST(what_cannot_be)
{
	struct name n = abstract("cannot");
	int d = bound(SOCK_DGRAM, n), s = new_socket(SOCK_STREAM), l;
	char c;

	CHECK_ERR(listen(d, 1), EOPNOTSUPP);
	CHECK_ERR(accept(d, NULL, NULL), EOPNOTSUPP);
	CHECK_ERR(listen(s, 1), EINVAL); /* it has no name */
	CHECK_ERR(accept(s, NULL, NULL), EINVAL);
	CHECK_ERR(recv(s, &c, 1, 0), EINVAL);
	CHECK_ERR(send(s, &c, 1, 0), ENOTCONN);
	CHECK_ERR(write(s, &c, 1), ENOTCONN);
	CHECK_ERR(sendto(s, &c, 1, 0, NAME(n)), EOPNOTSUPP);
	CHECK_EQ(bind(s, NAME(n)), 0);
	CHECK_ERR(accept(s, NULL, NULL), EINVAL);
	CHECK_EQ(listen(s, 1), 0);
	CHECK_ERR(recv(s, &c, 1, 0), EINVAL);
	CHECK_ERR(accept4(s, NULL, NULL, 1), EINVAL);
	CHECK_ERR(accept(0, NULL, NULL), ENOTSOCK);
	l = new_socket(SOCK_SEQPACKET);
	CHECK_ERR(recv(l, &c, 1, 0), ENOTCONN);
	CHECK_ERR(send(l, &c, 1, 0), ENOTCONN);
	CHECK_ERR(connect(l, NAME(n)), ECONNREFUSED); /* another type's name */
	close(l);
	close(s);
	close(d);
}

/* A failure to tell who it was loses the connection. */
TEST(accept_to_nowhere)
{
	struct name n = abstract("nowhere");
	int l = listener(SOCK_STREAM, n, 5), c = connected(SOCK_STREAM, n);
	socklen_t len = sizeof(struct sockaddr_un), none = (socklen_t)-1;
	struct sockaddr_un un;
	char b;

	CHECK_ERR(accept(l, (struct sockaddr *)8, &len), EFAULT);
	CHECK_EQ(recv(c, &b, 1, 0), 0);
	close(c);
	c = connected(SOCK_STREAM, n);
	CHECK_ERR(accept(l, (struct sockaddr *)&un, &none), EINVAL);
	CHECK_EQ(recv(c, &b, 1, 0), 0);
	close(c);
	fcntl(l, F_SETFL, O_NONBLOCK);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	c = connected(SOCK_STREAM, n);
	CHECK(accept(l, NULL, (socklen_t *)8) >= 0); /* nobody asked */
	close(c);
	close(l);
}

TEST(backlog)
{
	struct name n = abstract("backlog");
	int l = listener(SOCK_STREAM, n, 1), c[4];

	for (int i = 0; i < 4; i++)
		c[i] = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
	CHECK_EQ(connect(c[0], NAME(n)), 0);
	CHECK_EQ(connect(c[1], NAME(n)), 0);
	CHECK_ERR(connect(c[2], NAME(n)), EAGAIN); /* one more than was asked for */
	CHECK_EQ(listen(l, 2), 0);
	CHECK_EQ(connect(c[2], NAME(n)), 0);
	CHECK_ERR(connect(c[3], NAME(n)), EAGAIN);
	close(c[0]); /* it stays in the queue */
	CHECK_ERR(connect(c[3], NAME(n)), EAGAIN);
	close(accept(l, NULL, NULL));
	CHECK_EQ(connect(c[3], NAME(n)), 0);
	close(l);
	for (int i = 1; i < 4; i++) {
		char b;

		CHECK_ERR(recv(c[i], &b, 1, 0), ECONNRESET);
		close(c[i]);
	}
}

static void *connect_to(void *arg)
{
	struct name *n = arg;
	int c = new_socket(SOCK_STREAM);
	long r = connect(c, NAME(*n)) ? -errno : 0;

	close(c);
	return (void *)r;
}

struct waiter {
	struct name n;
	_Atomic pid_t tid;
};

static void *connect_and_tell(void *arg)
{
	struct waiter *w = arg;

	w->tid = gettid();
	return connect_to(&w->n);
}

static pthread_t start_waiter(struct waiter *w)
{
	pthread_t t;

	w->tid = 0;
	REQUIRE(pthread_create(&t, NULL, connect_and_tell, w) == 0);
	while (!w->tid)
		sched_yield();
	REQUIRE(h_wait_state(w->tid, "S"));
	return t;
}

static long end_of(pthread_t t)
{
	void *r;

	REQUIRE(pthread_join(t, &r) == 0);
	return (long)r;
}

TEST(connect_waits_for_room)
{
	struct waiter w = {.n = abstract("room")}, v = w;
	int l = listener(SOCK_STREAM, w.n, 0), c = connected(SOCK_STREAM, w.n);
	pthread_t t, u;

	t = start_waiter(&w);
	close(accept(l, NULL, NULL));
	CHECK_EQ(end_of(t), 0);
	t = start_waiter(&w);
	u = start_waiter(&v);
	close(l);
	CHECK_EQ(end_of(t), -ECONNREFUSED);
	CHECK_EQ(end_of(u), -ECONNREFUSED);
	close(c);
}

static void on_alarm(int sig)
{
}

static void alarm_soon(int sa_flags)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = sa_flags};
	struct itimerval soon = {.it_value.tv_usec = 20000};

	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	REQUIRE(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

TEST(interrupted)
{
	struct timeval long_time = {.tv_sec = 100}, short_time = {.tv_usec = 10000};
	struct name n = abstract("interrupted");
	int l = listener(SOCK_STREAM, n, 0), c = connected(SOCK_STREAM, n), d = new_socket(SOCK_STREAM);

	alarm_soon(0);
	CHECK_ERR(connect(d, NAME(n)), EINTR);
	CHECK_EQ(setsockopt(d, SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof(long_time)), 0);
	alarm_soon(SA_RESTART); /* not restarted: it waits for a time */
	CHECK_ERR(connect(d, NAME(n)), EINTR);
	CHECK_EQ(setsockopt(d, SOL_SOCKET, SO_SNDTIMEO, &short_time, sizeof(short_time)), 0);
	CHECK_ERR(connect(d, NAME(n)), EAGAIN);
	close(accept(l, NULL, NULL));
	alarm_soon(0);
	CHECK_ERR(accept(l, NULL, NULL), EINTR);
	CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time)), 0);
	alarm_soon(SA_RESTART);
	CHECK_ERR(accept(l, NULL, NULL), EINTR);
	CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof(short_time)), 0);
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	signal(SIGALRM, SIG_DFL);
	close(c);
	close(d);
	close(l);
}

static void *accept_one(void *arg)
{
	int a = accept(*(int *)arg, NULL, NULL);
	long r = a < 0 ? -errno : 0;

	if (a >= 0)
		close(a);
	return (void *)r;
}

TEST(shutdown_of_listener)
{
	struct name n = abstract("shut");
	int l = listener(SOCK_STREAM, n, 5), c = connected(SOCK_STREAM, n);
	pthread_t t;

	CHECK_EQ(shutdown(l, SHUT_RD), 0);
	CHECK_EQ(events_of(l), POLLIN | POLLRDHUP);
	CHECK_ERR(connect(new_socket(SOCK_STREAM), NAME(n)), ECONNREFUSED);
	CHECK_EQ((long)accept_one(&l), 0); /* who came before */
	CHECK_ERR(accept(l, NULL, NULL), EINVAL);
	close(c);
	close(l);
	l = listener(SOCK_STREAM, n, 5);
	REQUIRE(pthread_create(&t, NULL, accept_one, &l) == 0);
	CHECK_EQ(shutdown(l, SHUT_RDWR), 0); /* it may be there already or not */
	CHECK_EQ(end_of(t), -EINVAL);
	close(l);
}

TEST(resets)
{
	char buf[8];
	int s[2];

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		bool stream = kinds[i] == SOCK_STREAM;

		/* What was not read resets the other end, of which SO_ERROR tells, once. */
		REQUIRE(socketpair(AF_UNIX, kinds[i], 0, s) == 0);
		CHECK_EQ(send(s[0], "lost", 4, 0), 4);
		CHECK_EQ(send(s[1], "kept", 4, 0), 4);
		close(s[1]);
		CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
		if (!stream)
			CHECK_ERR(recv(s[0], buf, 8, 0), ECONNRESET); /* an error comes first */
		CHECK_EQ(recv(s[0], buf, 8, 0), 4);
		if (stream)
			CHECK_EQ(int_option(s[0], SO_ERROR), ECONNRESET);
		CHECK_EQ(int_option(s[0], SO_ERROR), 0);
		CHECK_EQ(recv(s[0], buf, 8, 0), 0);
		CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
		CHECK_ERR(send(s[0], "x", 1, 0), EPIPE);
		close(s[0]);

		/* A writer hears of it, too; a stream's has the pipe broken. */
		REQUIRE(socketpair(AF_UNIX, kinds[i], 0, s) == 0);
		CHECK_EQ(send(s[0], "lost", 4, 0), 4);
		close(s[1]);
		CHECK_ERR(send(s[0], "x", 1, 0), stream ? EPIPE : ECONNRESET);
		CHECK_EQ(int_option(s[0], SO_ERROR), stream ? ECONNRESET : 0);
		close(s[0]);

		/* All was read: the end. */
		REQUIRE(socketpair(AF_UNIX, kinds[i], 0, s) == 0);
		CHECK_EQ(send(s[0], "read", 4, 0), 4);
		CHECK_EQ(recv(s[1], buf, 8, 0), 4);
		close(s[1]);
		CHECK_EQ(recv(s[0], buf, 8, 0), 0);
		close(s[0]);
	}
}

TEST(half_close)
{
	char b;
	int s[2];

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		REQUIRE(socketpair(AF_UNIX, kinds[i], 0, s) == 0);
		CHECK_EQ(send(s[1], "q", 1, 0), 1);
		CHECK_EQ(shutdown(s[0], SHUT_RD), 0);
		CHECK_EQ(events_of(s[0]), POLLIN | POLLOUT | POLLRDHUP);
		CHECK_EQ(events_of(s[1]), POLLOUT);
		CHECK_ERR(send(s[1], "x", 1, 0), EPIPE);
		CHECK_EQ(recv(s[0], &b, 1, 0), 1); /* what came before */
		CHECK_EQ(recv(s[0], &b, 1, 0), 0);
		CHECK_EQ(send(s[0], "y", 1, 0), 1);
		CHECK_EQ(recv(s[1], &b, 1, 0), 1);
		CHECK_EQ(shutdown(s[1], SHUT_RD), 0);
		CHECK_EQ(events_of(s[1]), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
		close(s[0]);
		close(s[1]);
	}
	s[0] = new_socket(SOCK_STREAM);
	CHECK_EQ(shutdown(s[0], SHUT_RDWR), 0); /* of what is not connected */
	CHECK_ERR(shutdown(s[0], -1), EINVAL);
	CHECK_ERR(shutdown(0, SHUT_RD), ENOTSOCK);
	close(s[0]);
}

static struct ucred peer_of(int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len), 0);
	CHECK_EQ(len, sizeof(c));
	return c;
}

TEST(peer_credentials)
{
	struct name n = abstract("peer");
	int l = bound(SOCK_STREAM, n), c, a;
	struct ucred u = peer_of(l);
	struct gate listening, accepted;
	pid_t pid;

	gate_init(&listening);
	gate_init(&accepted);
	CHECK_EQ(u.pid, 0);
	CHECK_EQ(u.uid, (uid_t)-1);
	CHECK_EQ(u.gid, (gid_t)-1);
	CHECK_EQ(listen(l, 5), 0);
	u = peer_of(l); /* who listens */
	CHECK_EQ(u.pid, getpid());
	pid = fork();
	if (pid == 0) {
		c = connected(SOCK_STREAM, n);
		u = peer_of(c); /* who called listen */
		CHECK_EQ(u.pid, getppid());
		gate_open(&listening);
		gate_pass(&accepted);
		child_exit();
	}
	gate_pass(&listening);
	a = accept(l, NULL, NULL);
	u = peer_of(a);
	CHECK_EQ(u.pid, pid);
	CHECK_EQ(u.uid, geteuid());
	CHECK_EQ(u.gid, getegid());
	gate_open(&accepted);
	JOIN(pid);
	u = peer_of(a); /* who is no more */
	CHECK_EQ(u.pid, pid);
	close(a);
	close(l);
	gate_free(&listening);
	gate_free(&accepted);
}

TEST(no_descriptor_left)
{
	struct name n = abstract("emfile");
	int l = listener(SOCK_STREAM, n, 5), c = connected(SOCK_STREAM, n), a;
	struct rlimit old, none;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = old;
	none.rlim_cur = 0;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK_ERR(accept(l, NULL, NULL), EMFILE);
	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
	a = accept(l, NULL, NULL); /* it has waited */
	CHECK(a >= 0);
	close(a);
	close(c);
	close(l);
}

/* Many at once, from several threads; nothing is left. */
static void *connect_many(void *arg)
{
	long failed = 0;

	for (int i = 0; i < 200; i++)
		failed |= (long)connect_to(arg);
	return (void *)failed;
}

TEST(many)
{
	struct name n = abstract("many");
	int before = count_fds(), l = listener(SOCK_STREAM, n, 3);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&t[i], NULL, connect_many, &n) == 0);
	for (int i = 0; i < 800; i++) {
		int a = accept(l, NULL, NULL);

		REQUIRE(a >= 0);
		close(a);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(end_of(t[i]), 0);
	close(l);
	CHECK_EQ(count_fds(), before);
}
