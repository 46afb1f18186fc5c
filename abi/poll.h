/* poll(2) and select(2). */
#ifndef BAILEY_ABI_POLL_H
#define BAILEY_ABI_POLL_H

#include "abi/types.h"

#define L_POLLIN 0x0001
#define L_POLLPRI 0x0002
#define L_POLLOUT 0x0004
#define L_POLLERR 0x0008
#define L_POLLHUP 0x0010
#define L_POLLNVAL 0x0020
#define L_POLLRDNORM 0x0040
#define L_POLLRDBAND 0x0080
#define L_POLLWRNORM 0x0100
#define L_POLLWRBAND 0x0200
#define L_POLLMSG 0x0400
#define L_POLLREMOVE 0x1000
#define L_POLLRDHUP 0x2000

struct l_pollfd {
	int32_t fd;
	int16_t events;
	int16_t revents;
};
L_ASSERT_SIZE(struct l_pollfd, 8);

#define L_FD_SETSIZE 1024 /* libc's; select(2) itself takes any n */

/* pselect6's last argument. */
struct l_sigset_argpack {
	uint64_t p; /* gva of a mask */
	uint64_t size;
};
L_ASSERT_SIZE(struct l_sigset_argpack, 16);

#endif
