/* What the files of this folder share: answers as they are put together. */
#ifndef BAILEY_SENTRY_NET_NETLINK_INTERNAL_H
#define BAILEY_SENTRY_NET_NETLINK_INTERNAL_H

#include <stddef.h>

#include "abi/netlink.h"
#include "sentry/net/netlink/netlink.h"

/* Messages one after the other, as a program receives them. */
struct nl_answer {
	uint8_t *data;	 /* owned */
	size_t len, cap; /* bytes */
	size_t message;	 /* where the one that is being put together begins */
	uint32_t seq, pid; /* of the question */
	bool failed;	 /* out of memory: the answer is no good */
};

void nl_begin(struct nl_answer *a, uint16_t type, uint16_t flags);
void nl_put(struct nl_answer *a, const void *data, size_t size); /* the message's own header */
void nl_attr(struct nl_answer *a, uint16_t type, const void *data, size_t size);
void nl_attr32(struct nl_answer *a, uint16_t type, uint32_t v);
void nl_attr8(struct nl_answer *a, uint16_t type, uint8_t v);
void nl_end(struct nl_answer *a);

/* Answers a question of NETLINK_ROUTE, whose header q is followed by len bytes of body; 0 or the -errno that it is told. */
int route_answer(struct task *t, const struct l_nlmsghdr *q, const uint8_t *body, size_t len, struct nl_answer *a) MUST_CHECK;

#endif
