/* What the socket calls share. */
#ifndef BAILEY_SENTRY_SYSCALLS_SOCKET_ARGS_H
#define BAILEY_SENTRY_SYSCALLS_SOCKET_ARGS_H

#include "sentry/net/socket.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* The socket at descriptor fd; it lives while *out, counted, does.  -EBADF, -ENOTSOCK. */
int arg_socket(struct task *t, uint64_t fd, struct file **out, struct socket **s) MUST_CHECK;
/* Takes an address of len bytes in; what is missing of a family is zero.  -EINVAL: a length that none has. */
int socket_take_addr(struct task *t, uint64_t src, int32_t len, struct l_sockaddr_storage *addr) MUST_CHECK;
/* Gives an address: as much of it as the int at dst_size says there is room for; that int becomes its whole size. */
int socket_put_addr(struct task *t, uint64_t dst, uint64_t dst_size, const struct l_sockaddr_storage *addr, uint32_t size) MUST_CHECK;

/* ---- ancillary data (socket_control.c) ---- */

/* Takes in what m's control buffer says, for a socket of that family; *out is the caller's to end, also on failure. */
int control_take(struct task *t, const struct l_msghdr *m, int family, struct scm *out) MUST_CHECK;
/* Where ancillary data goes. */
struct control_out {
	uint64_t at, left; /* gva, bytes */
	bool given;	   /* there is a buffer */
	bool cloexec;	   /* for descriptors */
	unsigned flags;	   /* L_MSG_CTRUNC if something did not fit */
};
/* What m has of what s's options ask for; files become descriptors.  Cannot fail: what does not fit is cut off. */
void control_give(struct task *t, struct socket *s, struct net_msg *m, struct control_out *out);

#endif
