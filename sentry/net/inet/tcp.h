/*
 * TCP between two ends on this machine.  There are no packets: what one end sends is put into the other's queue, and what TCP says by
 * SYN, FIN and RST is done to the other end.  So both ends are always in the states in which they would be once all packets had
 * arrived, which on a loopback interface is at once.
 */
#ifndef BAILEY_SENTRY_NET_INET_TCP_H
#define BAILEY_SENTRY_NET_INET_TCP_H

#include "sentry/net/inet/internal.h"

/* As /proc/net/tcp and TCP_INFO number them. */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
};

/* Bytes that wait to be received. */
struct tcp_chunk {
	struct list_head node;
	size_t off, len, cap; /* bytes taken; bytes in all; bytes that there is room for */
	uint8_t data[];
};

/* The byte that is out of band, if there is one. */
enum tcp_urgent { TCP_URG_NONE, TCP_URG_VALID, TCP_URG_READ };

struct tcp_sock {
	struct inet_sock inet;

	/* What follows is guarded by inet_lock. */
	enum tcp_state state;
	bool recv_shut, send_shut;
	bool was_connected;	     /* so that its end is one, and not that it never began */
	bool connecting;	     /* a connect(2) that did not wait: its outcome has not been asked for yet */
	struct tcp_sock *peer;	     /* counted, or NULL: none yet, or its end is gone */

	struct list_head queue;	     /* of tcp_chunk.node */
	size_t queued;		     /* bytes in queue */
	uint64_t taken;		     /* bytes that have been received so far: the position of the queue's first */
	bool wants_room, wants_signal; /* a send, or a poll, found none at the peer; the former is told by SIGIO, too */
	enum tcp_urgent urgent;
	uint64_t urgent_at;	     /* its position */
	uint8_t urgent_byte;

	struct list_head embryos;    /* listening: of accept_node; counted */
	unsigned embryo_count;
	int backlog;
	struct list_head accept_node;
	struct list_head callers;    /* listening: of caller_node, those for whom there is no room yet */
	struct list_head caller_node;
	struct tcp_sock *listener;   /* while it is such a caller; not counted: it leaves the list, or is taken off it */
	struct tcp_sock *child;	     /* likewise: what will be the other end; counted */

	/* Options of TCP: each by itself. */
	_Atomic int32_t nodelay, cork, keep_idle, keep_interval, keep_count, syn_count, linger2, defer_accept, window_clamp, quickack,
		user_timeout, notsent_low, max_segment;
	_Atomic uint32_t congestion; /* its index in the list of algorithms */
};

#define TCP_SEND_DEFAULT 16384u	 /* net.ipv4.tcp_wmem[1] */
#define TCP_RECV_DEFAULT 131072u /* net.ipv4.tcp_rmem[1] */

extern const struct socket_ops tcp_ops;

static inline struct tcp_sock *tcp_of(struct socket *s)
{
	return container_of(inet_of(s), struct tcp_sock, inet);
}

static inline struct tcp_sock *tcp_get(struct tcp_sock *s)
{
	refcount_inc(&s->inet.refs);
	return s;
}

int tcp_sock_new(int family, struct tcp_sock **out) MUST_CHECK;
void tcp_put(struct tcp_sock *s);

/* The connection is over because the other end says so: by RST. */
void tcp_reset(struct tcp_sock *s) REQUIRES(inet_lock);
/* What has just been done to s is news to whoever waits. */
void tcp_tell(struct tcp_sock *s);

/* u, which is_waiting, goes if it had its time. */
void tcp_wait_expire(struct port_user *u) REQUIRES(inet_lock);

/* ---- tcp_data.c ---- */

ssize_t tcp_send(struct socket *s, struct task *t, struct net_msg *m) MUST_CHECK;
ssize_t tcp_recv(struct socket *s, struct net_msg *m) MUST_CHECK;
/* Takes all that waits to be received. */
void tcp_drop_queue(struct tcp_sock *s, struct list_head *out) REQUIRES(inet_lock);
void tcp_free_chunks(struct list_head *chunks);
/* How many bytes s may send at this moment. */
size_t tcp_room(const struct tcp_sock *s) REQUIRES(inet_lock);
/* Whether there is enough of it to be worth a wake-up. */
bool tcp_has_much_room(const struct tcp_sock *s) REQUIRES(inet_lock);
/* Bytes that a read could take now. */
size_t tcp_readable(const struct tcp_sock *s) REQUIRES(inet_lock);

/* ---- tcp_options.c ---- */

int tcp_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len) MUST_CHECK;
int tcp_set_option(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len) MUST_CHECK;

#endif
