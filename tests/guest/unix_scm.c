/* Ancillary data: descriptors of every kind on their way, how much of it is told to whom has how much room, who says that he is whom. */
#include "unixsock.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#define SCM_MAX 253
#define PEERPIDFD 77
#define PASSPIDFD 76
#define PASSRIGHTS 83

static int s[2];

static void open_pair(int type)
{
	REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, s) == 0);
}

static void close_pair(void)
{
	close(s[0]);
	close(s[1]);
}

static void close_got(const struct got *g)
{
	for (int i = 0; i < g->fd_count; i++)
		close(g->fds[i]);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	REQUIRE(fstat(a, &x) == 0 && fstat(b, &y) == 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino && x.st_mode == y.st_mode;
}

TEST(every_kind_of_file)
{
	int before = count_fds(), p[2], kinds[12], n = 0;
	struct got g;

	use_tmpdir();
	open_pair(SOCK_STREAM);
	REQUIRE(pipe(p) == 0);
	kinds[n++] = p[0];
	kinds[n++] = p[1];
	kinds[n++] = open("file", O_RDWR | O_CREAT, 0600);
	kinds[n++] = open(".", O_RDONLY | O_DIRECTORY);
	kinds[n++] = open("file", O_PATH);
	kinds[n++] = open("/dev/null", O_RDWR);
	kinds[n++] = eventfd(0, 0);
	kinds[n++] = timerfd_create(CLOCK_MONOTONIC, 0);
	kinds[n++] = epoll_create1(0);
	kinds[n++] = memfd_create("m", 0);
	kinds[n++] = new_socket(SOCK_DGRAM);
	kinds[n++] = s[0]; /* the one that it goes through */
	CHECK_EQ(send_fds(s[0], kinds, (size_t)n, 0), 1);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.n, 1);
	CHECK_EQ(g.flags, 0);
	CHECK_EQ(g.control, CMSG_SPACE((size_t)n * sizeof(int)));
	if (CHECK_EQ(g.fd_count, n))
		for (int i = 0; i < n; i++) {
			CHECK(same_file(g.fds[i], kinds[i]));
			CHECK_EQ(fcntl(g.fds[i], F_GETFD), 0);
		}
	CHECK_EQ(write(kinds[2], "abc", 3), 3);
	CHECK_EQ(lseek(g.fds[2], 0, SEEK_CUR), 3); /* one position */
	for (int i = 0; i < n - 1; i++)
		close(kinds[i]);
	close_got(&g);
	close_pair();
	CHECK_EQ(count_fds(), before);
}

TEST(limits)
{
	int fds[300], before = count_fds();
	struct got g;

	open_pair(SOCK_DGRAM);
	for (int i = 0; i < 300; i++)
		fds[i] = 0;
	CHECK_EQ(send_fds(s[0], fds, SCM_MAX, 0), 1);
	CHECK_ERR(send_fds(s[0], fds, SCM_MAX + 1, 0), EINVAL);
	fds[5] = 0x7fff;
	CHECK_ERR(send_fds(s[0], fds, 10, 0), EBADF);
	fds[5] = -1;
	CHECK_ERR(send_fds(s[0], fds, 10, 0), EBADF);
	CHECK_EQ(send_fds(s[0], fds, 0, 0), 1); /* none is none */
	g = recv_control(s[1], 4096, MSG_CMSG_CLOEXEC);
	CHECK_EQ(g.flags, MSG_CMSG_CLOEXEC);
	if (CHECK_EQ(g.fd_count, SCM_MAX))
		CHECK_EQ(fcntl(g.fds[SCM_MAX - 1], F_GETFD), FD_CLOEXEC);
	close_got(&g);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.control, 0);
	close_pair();
	CHECK_EQ(count_fds(), before);
}

/* All lengths of room for three descriptors; what does not fit is closed. */
TEST(cut_off)
{
	int fds[3] = {0, 1, 2}, before = count_fds();

	for (size_t room = 0; room <= CMSG_SPACE(sizeof(fds)); room++) {
		int fit = room < CMSG_LEN(0) ? 0 : (int)((room - CMSG_LEN(0)) / sizeof(int));
		struct got g;

		if (fit > 3)
			fit = 3;
		open_pair(SOCK_STREAM);
		CHECK_EQ(send_fds(s[0], fds, 3, 0), 1);
		g = recv_control(s[1], room, 0);
		CHECK_EQ(g.n, 1);
		CHECK_EQ(g.flags, fit < 3 ? MSG_CTRUNC : 0);
		CHECK_EQ(g.fd_count, fit);
		CHECK_EQ(g.control, fit ? (CMSG_SPACE((size_t)fit * sizeof(int)) < room ? CMSG_SPACE((size_t)fit * sizeof(int)) : room) : 0);
		close_got(&g);
		close_pair();
	}
	CHECK_EQ(count_fds(), before);
}

TEST(credentials_cut_off)
{
	for (size_t room = 0; room <= CMSG_SPACE(sizeof(struct ucred)); room++) {
		struct got g;

		open_pair(SOCK_DGRAM);
		CHECK_EQ(set_option(s[1], SO_PASSCRED, 1), 0);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
		g = recv_control(s[1], room, 0);
		CHECK_EQ(g.flags, room < CMSG_LEN(sizeof(struct ucred)) ? MSG_CTRUNC : 0);
		CHECK_EQ(g.control, room < CMSG_LEN(0) ? 0 : room);
		CHECK_EQ(g.has_cred, room >= CMSG_LEN(sizeof(struct ucred)));
		close_pair();
	}
}

TEST(no_room_for_descriptors)
{
	int fds[3] = {0, 1, 2}, next = dup(0);
	struct rlimit old, few;
	struct got g;

	close(next);
	open_pair(SOCK_STREAM);
	CHECK_EQ(send_fds(s[0], fds, 3, 0), 1);
	REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
	few = old;
	few.rlim_cur = (rlim_t)next + 3; /* beside the pair, one */
	REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
	g = recv_control(s[1], 4096, 0);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
	CHECK_EQ(g.n, 1);
	CHECK_EQ(g.fd_count, 1);
	CHECK_EQ(g.flags, MSG_CTRUNC);
	close_got(&g);
	close_pair();
}

TEST(looked_at)
{
	int fd = open("/dev/null", O_RDONLY), before = count_fds();
	struct got g;

	open_pair(SOCK_STREAM);
	CHECK_EQ(send_fds(s[0], &fd, 1, 0), 1);
	for (int i = 0; i < 3; i++) {
		g = recv_control(s[1], 4096, i < 2 ? MSG_PEEK : 0);
		if (CHECK_EQ(g.fd_count, 1))
			CHECK(same_file(g.fds[0], fd));
		close_got(&g);
	}
	CHECK_EQ(send_fds(s[0], &fd, 1, 0), 1);
	CHECK_EQ(read(s[1], g.data, 4), 1); /* which loses them */
	close_pair();
	CHECK_EQ(count_fds(), before);
	close(fd);
}

/* A stream's reader is not given two messages' descriptors at once, nor bytes behind the first ones'. */
TEST(where_they_are_in_a_stream)
{
	int fd = 0;
	struct got g;

	open_pair(SOCK_STREAM);
	CHECK_EQ(send(s[0], "ab", 2, 0), 2);
	CHECK_EQ(send_fds(s[0], &fd, 1, 0), 1);
	CHECK_EQ(send(s[0], "cd", 2, 0), 2);
	CHECK_EQ(send_fds(s[0], &fd, 1, 0), 1);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.n, 3);
	CHECK_EQ(g.fd_count, 1);
	close_got(&g);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.n, 3);
	CHECK_EQ(g.fd_count, 1);
	close_got(&g);
	close_pair();
}

/* Headers that are none. */
TEST(malformed)
{
	_Alignas(struct cmsghdr) char control[256] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct ucred u = {getpid(), getuid(), getgid()};

	open_pair(SOCK_DGRAM | SOCK_NONBLOCK);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	for (size_t len = 0; len < sizeof(*c); len++) {
		c->cmsg_len = 3;
		m.msg_controllen = len;
		CHECK_EQ(sendmsg(s[0], &m, 0), 1); /* there is none */
	}
	m.msg_controllen = sizeof(*c);
	CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_len = sizeof(*c) + 1;
	CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_len = (size_t)-1;
	CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_len = sizeof(*c);
	c->cmsg_type = 99;
	CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_type = SCM_CREDENTIALS;
	CHECK_ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_level = SOL_SOCKET + 1;
	CHECK_EQ(sendmsg(s[0], &m, 0), 1); /* another level's */
	m.msg_controllen = (size_t)1 << 33;
	CHECK_ERR(sendmsg(s[0], &m, 0), ENOBUFS);
	m.msg_controllen = 1 << 20;
	CHECK_ERR(sendmsg(s[0], &m, 0), ENOBUFS);
	m.msg_controllen = 64;
	m.msg_control = NULL;
	CHECK_ERR(sendmsg(s[0], &m, 0), EFAULT);
	m.msg_control = (void *)8;
	CHECK_ERR(sendmsg(s[0], &m, 0), EFAULT);

	/* Several at once. */
	m.msg_control = control;
	m.msg_controllen = CMSG_SPACE(sizeof(int)) * 2 + CMSG_SPACE(sizeof(u));
	for (int i = 0; i < 2; i++) {
		c = (struct cmsghdr *)(control + (size_t)i * CMSG_SPACE(sizeof(int)));
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &(int){i}, sizeof(int));
	}
	c = (struct cmsghdr *)(control + 2 * CMSG_SPACE(sizeof(int)));
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(u)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
	memcpy(CMSG_DATA(c), &u, sizeof(u));
	close_pair();
	open_pair(SOCK_DGRAM | SOCK_NONBLOCK);
	CHECK_EQ(sendmsg(s[0], &m, 0), 1);
	struct got g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.fd_count, 2);
	CHECK(!g.has_cred);
	close_got(&g);
	close_pair();
}

static ssize_t send_cred(int fd, struct ucred u)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(u))] = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(u)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
	memcpy(CMSG_DATA(c), &u, sizeof(u));
	return sendmsg(fd, &m, 0);
}

TEST(credentials)
{
	struct ucred me = {getpid(), getuid(), getgid()}, u;
	struct got g;
	pid_t pid;

	open_pair(SOCK_DGRAM);
	CHECK_EQ(send(s[0], "before", 6, 0), 6);
	CHECK_EQ(set_option(s[1], SO_PASSCRED, 1), 0);
	CHECK_EQ(int_option(s[1], SO_PASSCRED), 1);
	CHECK_EQ(int_option(s[0], SO_PASSCRED), 0);
	g = recv_control(s[1], 4096, 0); /* nobody wanted to know when it was sent */
	CHECK(g.has_cred);
	CHECK_EQ(g.cred.pid, 0);
	CHECK_EQ(g.cred.uid, 65534);
	CHECK_EQ(send(s[0], "after", 5, 0), 5);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.cred.pid, getpid());
	CHECK_EQ(g.cred.uid, getuid());
	CHECK_EQ(send_cred(s[0], me), 1);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.cred.pid, getpid());
	CHECK_EQ(g.cred.gid, getgid());
	pid = fork();
	if (pid == 0) {
		CHECK_EQ(send(s[0], "child", 5, 0), 5);
		if (geteuid() == 0) {
			CHECK_EQ(send_cred(s[0], (struct ucred){1, 33, 44}), 1); /* root may say anything */
			CHECK_ERR(send_cred(s[0], (struct ucred){0x7ffffff0, 0, 0}), ESRCH);
			CHECK_ERR(send_cred(s[0], (struct ucred){getpid(), (uid_t)-1, 0}), EINVAL);
			REQUIRE(setgid(1000) == 0 && setuid(1000) == 0);
		}
		u = (struct ucred){getpid(), getuid(), getgid()};
		CHECK_EQ(send_cred(s[0], u), 1);
		u.pid = getppid();
		CHECK_ERR(send_cred(s[0], u), EPERM);
		u.pid = getpid();
		u.uid = 12345;
		CHECK_ERR(send_cred(s[0], u), EPERM);
		u.uid = getuid();
		u.gid = 12345;
		CHECK_ERR(send_cred(s[0], u), EPERM);
		child_exit();
	}
	JOIN(pid);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.cred.pid, pid); /* who is no more */
	if (geteuid() == 0) {
		g = recv_control(s[1], 4096, 0);
		CHECK_EQ(g.cred.pid, 1);
		CHECK_EQ(g.cred.uid, 33);
		CHECK_EQ(g.cred.gid, 44);
	}
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.cred.pid, pid);
	close_pair();
}

/* Of two senders a stream's reader hears one after the other, if it wants to know who they are. */
TEST(senders_of_a_stream)
{
	char b[8];
	pid_t pid;

	for (int told = 0; told < 2; told++) {
		open_pair(SOCK_STREAM);
		CHECK_EQ(set_option(s[1], SO_PASSCRED, told), 0);
		CHECK_EQ(send(s[0], "ab", 2, 0), 2);
		pid = fork();
		if (pid == 0)
			_exit(send(s[0], "cd", 2, 0) != 2);
		JOIN(pid);
		CHECK_EQ(recv(s[1], b, 8, 0), told ? 2 : 4);
		close_pair();
	}
}

TEST(own_name_for_credentials)
{
	struct name n = abstract("cred"), got = {.len = sizeof(got.un)};
	int l = bound(SOCK_DGRAM, n), c = new_socket(SOCK_DGRAM);

	CHECK_EQ(set_option(c, SO_PASSCRED, 1), 0);
	CHECK_EQ(sendto(c, "x", 1, 0, NAME(n)), 1);
	CHECK_EQ(getsockname(c, (struct sockaddr *)&got.un, &got.len), 0);
	CHECK_EQ(got.len, PATH_AT + 6);
	close(c);
	close(l);
}

static pid_t pid_of(int pidfd)
{
	char path[64], text[1024], *p;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (read_file(path, text, sizeof(text)) < 0)
		return -2;
	p = strstr(text, "Pid:");
	return p ? atoi(p + 4) : -3;
}

TEST(pidfds)
{
	struct name n = abstract("pidfd");
	int l, c, a, fd = -1, before = count_fds();
	socklen_t len = sizeof(fd);
	struct got g;

	open_pair(SOCK_STREAM);
	if (set_option(s[1], PASSPIDFD, 1) < 0) {
		close_pair();
		SKIP("no SO_PASSPIDFD");
	}
	CHECK_EQ(send(s[0], "x", 1, 0), 1);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(pid_of(g.pidfd), getpid());
	CHECK_EQ(fcntl(g.pidfd, F_GETFD), FD_CLOEXEC);
	close(g.pidfd);
	CHECK_EQ(send(s[0], "x", 1, 0), 1);
	g = recv_control(s[1], CMSG_LEN(sizeof(int)) - 1, 0);
	CHECK_EQ(g.flags, MSG_CTRUNC);
	CHECK_EQ(g.control, 0);
	close_pair();

	l = listener(SOCK_STREAM, n, 5);
	c = connected(SOCK_STREAM, n);
	a = accept(l, NULL, NULL);
	CHECK_EQ(getsockopt(a, SOL_SOCKET, PEERPIDFD, &fd, &len), 0);
	CHECK_EQ(len, sizeof(fd));
	CHECK_EQ(pid_of(fd), getpid());
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	CHECK_ERR(getsockopt(a, SOL_SOCKET, PEERPIDFD, (void *)8, &len), EFAULT);
	close(c);
	c = new_socket(SOCK_STREAM);
	CHECK_ERR(getsockopt(c, SOL_SOCKET, PEERPIDFD, &fd, &len), ENODATA);
	close(c);
	close(a);
	close(l);
	CHECK_EQ(count_fds(), before);
}

TEST(files_refused)
{
	int fd = 0;
	struct got g;

	open_pair(SOCK_STREAM);
	if (set_option(s[1], PASSRIGHTS, 0) < 0) {
		close_pair();
		SKIP("no SO_PASSRIGHTS");
	}
	CHECK_ERR(send_fds(s[0], &fd, 1, 0), EPERM);
	CHECK_EQ(send(s[0], "y", 1, 0), 1);
	CHECK_EQ(set_option(s[1], PASSRIGHTS, 1), 0);
	CHECK_EQ(send_fds(s[0], &fd, 1, 0), 1);
	g = recv_control(s[1], 4096, 0);
	CHECK_EQ(g.n, 2);
	CHECK_EQ(g.fd_count, 1);
	close_got(&g);
	close_pair();
}
