/* epoll(7). */
#ifndef BAILEY_ABI_EPOLL_H
#define BAILEY_ABI_EPOLL_H

#include "abi/types.h"

#define L_EPOLLIN 0x00000001u
#define L_EPOLLPRI 0x00000002u
#define L_EPOLLOUT 0x00000004u
#define L_EPOLLERR 0x00000008u
#define L_EPOLLHUP 0x00000010u
#define L_EPOLLNVAL 0x00000020u
#define L_EPOLLRDNORM 0x00000040u
#define L_EPOLLRDBAND 0x00000080u
#define L_EPOLLWRNORM 0x00000100u
#define L_EPOLLWRBAND 0x00000200u
#define L_EPOLLMSG 0x00000400u
#define L_EPOLLRDHUP 0x00002000u
#define L_EPOLLEXCLUSIVE (1u << 28)
#define L_EPOLLWAKEUP (1u << 29)
#define L_EPOLLONESHOT (1u << 30)
#define L_EPOLLET (1u << 31)

#define L_EPOLL_CTL_ADD 1
#define L_EPOLL_CTL_DEL 2
#define L_EPOLL_CTL_MOD 3
#define L_EPOLL_CLOEXEC 02000000

struct l_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));
L_ASSERT_SIZE(struct l_epoll_event, 12);

#endif
