/* UDP: datagrams between sockets of this machine, to groups and to all. */
#ifndef BAILEY_SENTRY_NET_INET_UDP_H
#define BAILEY_SENTRY_NET_INET_UDP_H

#include "sentry/net/inet/internal.h"

struct udp_msg {
	struct list_head node;
	struct endpoint from;
	struct inet_addr to;
	int32_t ttl, tos;
	size_t len; /* bytes */
	uint8_t data[];
};

#define UDP_GROUPS_MAX 20 /* net.ipv4.igmp_max_memberships */

struct udp_sock {
	struct inet_sock inet;

	/* What follows is guarded by inet_lock. */
	bool recv_shut, send_shut;
	struct list_head queue; /* of udp_msg.node */
	size_t queued;		/* what they are charged to recv_buffer, bytes */
	uint32_t drops;
	struct inet_addr groups[UDP_GROUPS_MAX];
	unsigned group_count;
};

int udp_socket_new(int family, struct socket **out) MUST_CHECK;

static inline struct udp_sock *udp_of(struct socket *s)
{
	return container_of(inet_of(s), struct udp_sock, inet);
}

#endif
