/*
 * How a guest thread gets a file to map: the sentry sends the descriptor to a socket that the stub has at SYSTRAP_SOCKET_FD, and
 * the thread, which waits in the shim for the answer to its call, receives it, maps it and closes it (context_map_file).  That is
 * one hand-over, where the leader would have to be woken.
 *
 * What a guest can do that receives by itself: keep one file that the sentry mapped for this process at SYSTRAP_FILE_FD (no more: the
 * limit on descriptors), or, if it closes the socket while another thread of its receives, at SYSTRAP_SOCKET_FD, by which
 * nothing can be mapped.  At SYSTRAP_FILE_FD it can map it privately, which is what it may do with a file that it can map at
 * all; and no other descriptor can be exchanged for it.  Who leaves a file in the socket is killed: they count against the host's user.
 *
 * Each stub has a socket of its own, made when it is first wanted.  A fork's child, who may become somebody else, loses its
 * parent's, and what its parent had received, before any guest code runs in it; a stub that is used again keeps its own if
 * nothing is left in it.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/systrap/systrap.h"

/* Gives the stub its end.  False if that fails, now or for good. */
static bool make_socket(struct stub *s)
{
	struct leader_call call = close_call(SYSTRAP_FILE_FD);
	long result;
	int ends[2], done;

	if (s->socket == SOCKET_FAILS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	call.args[4] = SYSTRAP_SOCKET_FD;
	done = leader_request(s, &call, 1, ends[1], &result);
	close(ends[1]);
	s->socket = done == 1 ? ends[0] : SOCKET_FAILS;
	if (done != 1)
		close(ends[0]);
	return done == 1;
}

bool files_send(struct stub *s, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	_Static_assert(sizeof(control.buf) == CH_DO_END - CH_DO_CONTROL, "room for one descriptor");
	if (s->socket < 0 && !make_socket(s))
		return false;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(s->socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return true;
	if (errno == EPIPE)
		files_give_up(s); /* the stub has closed its end */
	return false;
}

void files_end(struct stub *s)
{
	if (s->socket >= 0)
		close(s->socket);
	s->socket = SOCKET_NONE;
}

void files_give_up(struct stub *s)
{
	files_end(s);
	s->socket = SOCKET_FAILS;
}

bool files_connected(const struct stub *s)
{
	struct pollfd p = {.fd = s->socket};

	return s->socket >= 0 && poll(&p, 1, 0) == 0;
}

bool files_all_received(const struct stub *s)
{
	int left = 0;

	return s->socket < 0 || (ioctl(s->socket, SIOCOUTQ, &left) == 0 && left == 0);
}
