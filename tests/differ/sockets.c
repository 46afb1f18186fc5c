/*
 * AF_UNIX sockets, all of which are non-blocking: names, connections, messages with what goes beside them, edges that epoll sees.
 *
 * Left out is what differs by nature: process ids, names of the kernel's choice, how much a full buffer holds, urgent data, and sockets
 * on their way, which Linux finds to be garbage at a time of its own.
 */
#include "differ.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 10
#define MESSAGE_MAX 300

static int sockets[SLOTS]; /* -1: none */
static int epoll_fd;
static pid_t self;

static const int types[] = {SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_DGRAM, SOCK_SEQPACKET};

void sockets_start(void)
{
	for (int i = 0; i < SLOTS; i++)
		sockets[i] = -1;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	self = getpid();
}

/* One that is there, if a few tries find it. */
static int some_slot(void)
{
	int slot = 0;

	for (int tries = 0; tries < 6; tries++) {
		slot = (int)roll(SLOTS);
		if (sockets[slot] >= 0)
			break;
	}
	return slot;
}

static void keep_socket(int fd)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	int slot = (int)roll(SLOTS);

	if (fd < 0)
		return;
	for (int i = 0; i < SLOTS && sockets[slot] >= 0; i++)
		slot = (slot + 1) % SLOTS;
	if (sockets[slot] >= 0)
		close(sockets[slot]);
	sockets[slot] = fd;
	e.data.u32 = (uint32_t)slot;
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
	more(" at %d", slot);
}

/* One of a few names, by a path or abstract; now and then one that is none. */
static socklen_t some_name(struct sockaddr_un *un)
{
	int n = (int)roll(4);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	if (once_in(2)) {
		sprintf(un->sun_path, "socket%d", n);
		more(" %s", un->sun_path);
		return (socklen_t)(sizeof(sa_family_t) + strlen(un->sun_path) + roll(2));
	}
	if (once_in(30)) {
		un->sun_family = (sa_family_t)roll(3);
		more(" family %d", un->sun_family);
	}
	if (once_in(30)) {
		socklen_t len = (socklen_t)(roll(2) ? roll(3) : 109 + roll(5));

		more(" length %u", len);
		return len;
	}
	more(" @%d", n);
	return (socklen_t)(sizeof(sa_family_t) + 1 + (size_t)sprintf(un->sun_path + 1, "differ-%d-%d", self, n));
}

/* What is the same each time. */
static void say_name(const struct sockaddr_un *un, socklen_t len)
{
	more(" len %u", len > sizeof(sa_family_t) && !un->sun_path[0] ? 99 : len);
	if (len > sizeof(sa_family_t) && un->sun_path[0])
		more(" %.20s", un->sun_path);
}

static void make(void)
{
	int type = PICK(types), p[2];

	if (once_in(2)) {
		step("socket %d", type);
		keep_socket((int)gave(socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
		return;
	}
	step("socketpair %d", type);
	if (gave(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p)) == 0) {
		keep_socket(p[0]);
		keep_socket(p[1]);
	}
}

static void bind_or_connect(int slot, int fd)
{
	struct sockaddr_un un;
	socklen_t len;

	switch (roll(8)) {
	case 0:
		step("bind %d to anything", slot);
		un.sun_family = AF_UNIX;
		gave(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)));
		break;
	case 1:
		step("disconnect %d", slot);
		un.sun_family = AF_UNSPEC;
		gave(connect(fd, (struct sockaddr *)&un, sizeof(sa_family_t)));
		break;
	case 2:
	case 3:
	case 4:
		step("bind %d", slot);
		len = some_name(&un);
		gave(bind(fd, (struct sockaddr *)&un, len));
		break;
	default:
		step("connect %d", slot);
		len = some_name(&un);
		gave(connect(fd, (struct sockaddr *)&un, len));
	}
}

static void listen_or_accept(int slot, int fd)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	int backlog = (int)roll(3), r;

	if (once_in(2)) {
		step("listen %d, %d", slot, backlog);
		gave(listen(fd, backlog));
		return;
	}
	step("accept %d", slot);
	memset(&un, 0, sizeof(un));
	r = (int)gave(accept4(fd, (struct sockaddr *)&un, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	if (r >= 0)
		say_name(&un, len);
	keep_socket(r);
}

static void names(int slot, int fd)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	char from[16], to[16];

	memset(&un, 0, sizeof(un));
	switch (roll(5)) {
	case 0:
		step("getsockname %d", slot);
		if (gave(getsockname(fd, (struct sockaddr *)&un, &len)) == 0)
			say_name(&un, len);
		break;
	case 1:
		step("getpeername %d", slot);
		if (gave(getpeername(fd, (struct sockaddr *)&un, &len)) == 0)
			say_name(&un, len);
		break;
	case 2:
		sprintf(from, "socket%u", roll(4));
		step("unlink %s", from);
		gave(unlink(from));
		break;
	default:
		sprintf(from, "socket%u", roll(4));
		sprintf(to, "socket%u", roll(4));
		step("%s %s %s", slot % 2 ? "rename" : "link", from, to);
		gave(slot % 2 ? rename(from, to) : link(from, to));
	}
}

static void send_some(int slot, int fd)
{
	static const int flags[] = {0, 0, 0, MSG_NOSIGNAL, MSG_DONTWAIT, MSG_EOR, MSG_MORE};
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr m = {0};
	struct iovec iov[2];
	struct sockaddr_un un;
	size_t size = roll(MESSAGE_MAX);
	int f = PICK(flags);

	step("send %d, %zu, %x", slot, size, f);
	iov[0] = (struct iovec){once_in(4) ? some_memory(size, true) : whole_memory(size), size};
	if (once_in(4)) {
		m.msg_namelen = some_name(&un);
		m.msg_name = &un;
	}
	m.msg_iov = iov;
	m.msg_iovlen = 1;
	if (once_in(3)) {
		size_t count = roll(4);
		int fds[4];

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		if (once_in(3)) {
			struct ucred u = {getpid(), getuid() + (once_in(4) ? 1 : 0), getgid()};

			more(" credentials");
			m.msg_controllen = CMSG_SPACE(sizeof(u));
			control.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(u)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
			memcpy(CMSG_DATA(&control.h), &u, sizeof(u));
		} else {
			for (size_t i = 0; i < count; i++)
				fds[i] = some_fd();
			more(" %zu files", count);
			m.msg_controllen = CMSG_SPACE(count * sizeof(int));
			control.h = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
			memcpy(CMSG_DATA(&control.h), fds, count * sizeof(int));
		}
	}
	gave(once_in(6) ? write(fd, iov[0].iov_base, size) : sendmsg(fd, &m, f));
}

static void say_control(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		more(" {%d %zu", c->cmsg_type, size);
		if (c->cmsg_type == SCM_RIGHTS)
			for (size_t i = 0; i < size / sizeof(int); i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
				more(" %d", fd);
				keep_fd(fd);
			}
		if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(struct ucred)) {
			struct ucred u;

			memcpy(&u, CMSG_DATA(c), sizeof(u));
			more(" %s %u %u", u.pid == 0 ? "nobody" : u.pid == self ? "self" : "other", u.uid, u.gid);
		}
		more("}");
	}
}

static void recv_some(int slot, int fd)
{
	static const int flags[] = {0, 0, 0, MSG_PEEK, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_PEEK | MSG_TRUNC, MSG_CMSG_CLOEXEC};
	_Alignas(struct cmsghdr) char control[256];
	size_t size = roll(MESSAGE_MAX), room = once_in(3) ? roll(80) : once_in(3) ? 0 : sizeof(control);
	struct sockaddr_un un;
	struct iovec iov = {once_in(5) ? some_memory(size, false) : whole_memory(size), size};
	struct msghdr m = {.msg_name = &un, .msg_namelen = sizeof(un), .msg_iov = &iov, .msg_iovlen = 1};
	int f = PICK(flags);
	long n;

	step("recv %d, %zu, %x", slot, size, f);
	if (once_in(6)) {
		n = gave(read(fd, iov.iov_base, size));
		if (n > 0)
			wrote(iov.iov_base, (size_t)n);
		return;
	}
	memset(&un, 0, sizeof(un));
	m.msg_control = control;
	m.msg_controllen = room;
	n = gave(recvmsg(fd, &m, f));
	if (n < 0)
		return;
	wrote(iov.iov_base, (size_t)n < size ? (size_t)n : size);
	more(" flags %x control %zu of %zu", m.msg_flags, m.msg_controllen, room);
	say_name(&un, m.msg_namelen);
	say_control(&m);
}

static void options(int slot, int fd)
{
	static const int gets[] = {SO_TYPE, SO_ERROR, SO_ERROR, SO_ACCEPTCONN, SO_PASSCRED, SO_PEEK_OFF, SO_RCVLOWAT, SO_SNDBUF};
	static const int sets[] = {SO_PASSCRED, SO_PASSCRED, SO_PEEK_OFF, SO_PEEK_OFF, SO_RCVLOWAT, 83 /* PASSRIGHTS */};
	int v = 0, name;
	socklen_t len = sizeof(v);

	if (once_in(2)) {
		name = PICK(gets);
		step("getsockopt %d, %d", slot, name);
		gave(getsockopt(fd, SOL_SOCKET, name, &v, &len));
		more(" %d", v);
		return;
	}
	name = PICK(sets);
	v = name == SO_PEEK_OFF ? (int)roll(40) - 10 : once_in(3) ? 0 : (int)roll(3);
	if (name == 83)
		v = !once_in(3);
	step("setsockopt %d, %d, %d", slot, name, v);
	gave(setsockopt(fd, SOL_SOCKET, name, &v, sizeof(v)));
}

static void look(int slot, int fd)
{
	struct epoll_event e[SLOTS];
	uint32_t seen[SLOTS] = {0};
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	int n, v = 0;

	switch (roll(4)) {
	case 0:
		step("poll %d", slot);
		gave(poll(&p, 1, 0));
		more(" %x", (unsigned)p.revents);
		break;
	case 1:
		step("FIONREAD %d", slot);
		gave(ioctl(fd, FIONREAD, &v));
		more(" %d", v);
		break;
	default:
		step("edges");
		n = (int)gave(epoll_wait(epoll_fd, e, SLOTS, 0));
		for (int i = 0; i < n; i++)
			seen[e[i].data.u32 % SLOTS] |= e[i].events;
		for (int i = 0; i < SLOTS; i++)
			if (seen[i])
				more(" %d:%x", i, seen[i]);
	}
}

static void end_some(int slot, int fd)
{
	if (once_in(2)) {
		int how = (int)roll(3);

		step("shutdown %d, %d", slot, how);
		gave(shutdown(fd, how));
		return;
	}
	step("close %d", slot);
	gave(close(fd));
	sockets[slot] = -1;
}

void socket_step(void)
{
	int slot = some_slot(), fd = sockets[slot];

	switch (roll(24)) {
	case 0:
	case 1:
	case 2:
		make();
		break;
	case 3:
	case 4:
	case 5:
		bind_or_connect(slot, fd);
		break;
	case 6:
	case 7:
		listen_or_accept(slot, fd);
		break;
	case 8:
		names(slot, fd);
		break;
	case 9:
		end_some(slot, fd);
		break;
	case 10:
	case 11:
		options(slot, fd);
		break;
	case 12:
	case 13:
	case 14:
	case 15:
		look(slot, fd);
		break;
	case 16:
	case 17:
	case 18:
	case 19:
		recv_some(slot, fd);
		break;
	default:
		send_some(slot, fd);
	}
}
