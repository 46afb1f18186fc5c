/* What the tests of AF_UNIX sockets share: addresses, messages with ancillary data, counting descriptors. */
#ifndef BAILEY_TESTS_UNIXSOCK_H
#define BAILEY_TESTS_UNIXSOCK_H

#include "harness.h"

#include <dirent.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

struct name {
	struct sockaddr_un un;
	socklen_t len;
};
#define NAME(n) (struct sockaddr *)&(n).un, (n).len

/* A path, with its NUL. */
H_UNUSED static struct name at_path(const char *path)
{
	struct name n = {.un.sun_family = AF_UNIX, .len = (socklen_t)(PATH_AT + strlen(path) + 1)};

	strcpy(n.un.sun_path, path);
	return n;
}

/* An abstract name of this process's own. */
H_UNUSED static struct name abstract(const char *what)
{
	struct name n = {.un.sun_family = AF_UNIX};

	n.len = (socklen_t)(PATH_AT + 1 + (size_t)snprintf(n.un.sun_path + 1, sizeof(n.un.sun_path) - 1, "guest-%d-%s", getpid(), what));
	return n;
}

H_UNUSED static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	return fd;
}

H_UNUSED static int bound(int type, struct name n)
{
	int fd = new_socket(type);

	REQUIRE(bind(fd, NAME(n)) == 0);
	return fd;
}

H_UNUSED static int listener(int type, struct name n, int backlog)
{
	int fd = bound(type, n);

	REQUIRE(listen(fd, backlog) == 0);
	return fd;
}

H_UNUSED static int connected(int type, struct name n)
{
	int fd = new_socket(type);

	REQUIRE(connect(fd, NAME(n)) == 0);
	return fd;
}

H_UNUSED static short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};

	REQUIRE(poll(&p, 1, 0) >= 0);
	return p.revents;
}

H_UNUSED static int int_option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int v = -1;

	return getsockopt(fd, SOL_SOCKET, name, &v, &len) ? -errno : v;
}

H_UNUSED static int set_option(int fd, int name, int v)
{
	return setsockopt(fd, SOL_SOCKET, name, &v, sizeof(v));
}

/* How many descriptors the process has, without the one that counts. */
H_UNUSED static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	REQUIRE(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3;
}

/* A message of one byte, with so many descriptors. */
H_UNUSED static ssize_t send_fds(int to, const int *fds, size_t count, int flags)
{
	static _Alignas(struct cmsghdr) char control[CMSG_SPACE(300 * sizeof(int))];
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(control, 0, sizeof(control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(to, &m, flags);
}

/* A message was received. */
struct got {
	ssize_t n;
	int flags, fd_count, pidfd;
	int fds[300];
	bool has_cred;
	struct ucred cred;
	size_t control; /* bytes of it used */
	char data[64];
};

H_UNUSED static struct got recv_control(int fd, size_t room, int flags)
{
	static _Alignas(struct cmsghdr) char control[4096];
	struct got g = {.pidfd = -1};
	struct iovec iov = {g.data, sizeof(g.data)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? control : NULL, .msg_controllen = room};

	memset(control, 0xa5, sizeof(control));
	g.n = recvmsg(fd, &m, flags);
	if (g.n < 0)
		return g;
	g.flags = m.msg_flags;
	g.control = m.msg_controllen;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			g.fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(g.fds, CMSG_DATA(c), (size_t)g.fd_count * sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(g.cred))) {
			g.has_cred = true;
			memcpy(&g.cred, CMSG_DATA(c), sizeof(g.cred));
		} else if (c->cmsg_type == 4 && c->cmsg_len == CMSG_LEN(sizeof(int))) { /* SCM_PIDFD */
			memcpy(&g.pidfd, CMSG_DATA(c), sizeof(int));
		}
	}
	return g;
}

#endif
