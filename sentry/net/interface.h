/* Network interfaces: the loopback interface, number 1. */
#ifndef BAILEY_SENTRY_NET_INTERFACE_H
#define BAILEY_SENTRY_NET_INTERFACE_H

#include <stdint.h>

struct pctx;

#define LOOPBACK_INDEX 1
#define LOOPBACK_NAME "lo"
#define LOOPBACK_MTU 65536
#define LOOPBACK_QUEUE 1000

/* The ioctls of netdevice(7).  -ENOTTY: none of them. */
long interface_ioctl(struct pctx *ctx, unsigned cmd, uint64_t arg);

#endif
