/*
 * What the internet protocols share: sockets with ports, and the table of those.
 *
 * As with AF_UNIX one lock, inet_lock, guards how sockets are bound and connected and what lies in their queues; it is never held over
 * guest memory.  A receiver holds its socket's recv_lock as well while it copies, and nobody
 * else takes anything off that queue.
 *
 *     recv_lock > inet_lock > waitqueue locks, fasync's
 */
#ifndef BAILEY_SENTRY_NET_INET_INTERNAL_H
#define BAILEY_SENTRY_NET_INET_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "sentry/net/inet/addr.h"
#include "sentry/net/inet/inet.h"

extern struct mutex inet_lock;

enum inet_protocol { INET_TCP, INET_UDP, INET_PROTOCOLS };

/* Something that has a port: a socket, or what is left of a connection for a while (TIME_WAIT). */
struct port_user {
	struct list_head node;	/* in the table; guarded by inet_lock, as is all that follows */
	struct list_head listen_node; /* in the table of those that listen: TCP's alone */
	enum inet_protocol protocol;
	struct endpoint local, remote; /* bound while it is in the table; remote.port 0: not connected */
	bool is_v6only;		/* it has an IPv6 address, and means IPv6 alone */
	bool reuse, reuse_port; /* SO_REUSEADDR, SO_REUSEPORT, as they were when it was bound */
	bool listens;
	bool is_waiting;	/* it is a struct tcp_wait */
	bool was_chosen;	/* the port was the table's choice, for a connection: others may share it */
	bool has_port;		/* local.port is what bind(2) said: it is kept until the end */
	bool has_addr;		/* local.addr is what bind(2) said */
	uint32_t uid;		/* whose it is: those of one user may share a port by SO_REUSEPORT */
};

struct inet_sock {
	struct socket sock;
	struct refcount refs;	/* its file, its peer, who waits in a queue to be accepted */
	struct mutex recv_lock;
	struct port_user port;	/* guarded by inet_lock, as is: */
	struct file *file;	/*   not counted; NULL: none (yet, or any more) */
	/* Options of IP and IPv6: set by any thread at any time, each by itself. */
	_Atomic int32_t ttl, tos, hops, tclass, mtu_discover, mtu_discover6, multicast_ttl, multicast_hops;
	_Atomic int32_t multicast_if, multicast_if_addr, multicast_if6, minttl;
	_Atomic uint32_t ip_flags; /* of 1 << enum inet_flag */
};

enum inet_flag {
	INET_V6ONLY,
	INET_FREEBIND,
	INET_TRANSPARENT,
	INET_BIND_NO_PORT,
	INET_HDRINCL,
	INET_RECVERR,
	INET_RECVERR6,
	INET_PKTINFO,
	INET_PKTINFO6,
	INET_RECVTTL,
	INET_RECVTOS,
	INET_RECVHOPS,
	INET_RECVTCLASS,
	INET_RECVOPTS,
	INET_ORIGDST,
	INET_MULTICAST_LOOP,
	INET_MULTICAST_LOOP6,
	INET_MULTICAST_ALL,
	INET_MULTICAST_ALL6,
};

static inline bool inet_has(const struct inet_sock *s, enum inet_flag flag)
{
	return s->ip_flags & 1u << flag;
}

static inline struct inet_sock *inet_of(struct socket *s)
{
	return container_of(s, struct inet_sock, sock);
}

void inet_sock_init(struct inet_sock *s, const struct socket_ops *ops, int family, int type, int protocol, enum inet_protocol p);
void inet_sock_destroy(struct inet_sock *s);
/* Sets s's options as those of `of`, its listener, are. */
void inet_inherit(struct inet_sock *s, const struct inet_sock *of);

/* ---- ports.c ---- */

/* Puts u into the table at u->local (whose port 0 means any: it is chosen).  -EADDRINUSE. */
int port_bind(struct port_user *u) REQUIRES(inet_lock) MUST_CHECK;
/* Chooses a port for a connection from u->local.addr to u->remote.  -EADDRNOTAVAIL: there is none. */
int port_bind_for(struct port_user *u) REQUIRES(inet_lock) MUST_CHECK;
/* Puts u, whose local end is `of`'s, beside it. */
void port_share(struct port_user *u, const struct port_user *of) REQUIRES(inet_lock);
/* Whether u may begin to listen where it is bound: nobody else does.  -EADDRINUSE. */
int port_may_listen(const struct port_user *u) REQUIRES(inet_lock) MUST_CHECK;
/* u, which is in the table, begins to listen, or ends it. */
void port_listen(struct port_user *u, bool on) REQUIRES(inet_lock);
/* u, who may be in no table, leaves it; what its end was can still be told. */
void port_leave(struct port_user *u) REQUIRES(inet_lock);
/* Who hears what comes from `from` to `to`: listeners (TCP), or whoever is bound (UDP).  NULL: nobody. */
struct port_user *port_find(enum inet_protocol p, const struct endpoint *to, const struct endpoint *from) REQUIRES(inet_lock);
/* Who has that very connection (and is no remainder of one), or NULL. */
struct port_user *port_find_connection(enum inet_protocol p, const struct endpoint *local, const struct endpoint *remote)
	REQUIRES(inet_lock);
/* Calls fn for each of p's, in the order of the table. */
void port_for_each(enum inet_protocol p, void (*fn)(struct port_user *u, void *arg), void *arg) REQUIRES(inet_lock);
/* Calls fn for all (of UDP) that hear what comes to a group or a broadcast address. */
void port_for_each_at(enum inet_protocol p, uint16_t port, void (*fn)(struct port_user *u, void *arg), void *arg) REQUIRES(inet_lock);

/* ---- ip_options.c ---- */

int inet_give(void *value, uint32_t *len, const void *what, size_t size);

/* ---- inet.c ---- */

/* Where a program may be bound: -EADDRNOTAVAIL, -EACCES, -EINVAL (it is bound).  Takes inet_lock. */
int inet_bind(struct socket *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len) MUST_CHECK;
/* Where *to is, which a program wants to reach: on this machine.  -ENETUNREACH: it is not.  Takes inet_lock. */
int inet_route(struct inet_sock *s, struct endpoint *to) MUST_CHECK;
/* The address from which `to` is reached. */
struct inet_addr inet_source(const struct endpoint *to);
void inet_opened(struct socket *s, struct file *f);
int inet_name(struct socket *s, bool peer, struct l_sockaddr_storage *addr, uint32_t *len);
int inet_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len) MUST_CHECK;
int inet_set_option(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len) MUST_CHECK;

#endif
