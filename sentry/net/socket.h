/*
 * Sockets: what all families share.  A socket is the object behind a descriptor; a family embeds struct socket in its own and fills in
 * the operations.  What is written once for all of them is the file's side, the calling conventions of socket(7)'s options, and
 * waiting; all else is the family's.
 */
#ifndef BAILEY_SENTRY_NET_SOCKET_H
#define BAILEY_SENTRY_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/errno.h"
#include "abi/socket.h"
#include "sentry/core/wait.h"
#include "sentry/net/scm.h"
#include "sentry/vfs/fasync.h"

struct socket;
struct task;
struct uio;

#define NET_TOLD_MAX 192u

/* A message on its way in or out. */
struct net_msg {
	struct uio *u;	   /* borrowed */
	unsigned flags;	   /* L_MSG_*, as the caller gave them */
	bool nonblock;	   /* by L_MSG_DONTWAIT or the file's flag */
	uint32_t name_len; /* bytes of name: where to (0: not said), or where from (0: it has none) */
	unsigned out_flags; /* L_MSG_TRUNC and the like: what recvmsg(2) reports */
	bool nothing;	   /* no message was received, and so nothing beside it */
	struct scm scm;	   /* the caller's to end */
	/* Ancillary data of the family's own that was received, as guests have it (a sequence of struct l_cmsghdr). */
	uint32_t told_len; /* bytes */
	_Alignas(8) uint8_t told[NET_TOLD_MAX];
	struct l_sockaddr_storage name;
};

/* All but the name's bytes, of which there are none. */
static inline void net_msg_init(struct net_msg *m, struct uio *u, unsigned flags, bool nonblock)
{
	m->u = u;
	m->flags = flags;
	m->nonblock = nonblock || (flags & L_MSG_DONTWAIT);
	m->name_len = 0;
	m->out_flags = 0;
	m->nothing = false;
	m->told_len = 0;
	m->scm = (struct scm){0};
}

/* For a family's recv: one more piece of ancillary data; what there is no room for is left out. */
void net_msg_tell(struct net_msg *m, int level, int type, const void *data, size_t size);

/*
 * What a family fills in.  No lock is held.  t is the calling task; nonblock says that the caller will not wait.  Addresses have at
 * least the two bytes of a family, which it has to check, and at most sizeof(struct l_sockaddr_storage).  A NULL slot: -EOPNOTSUPP.
 */
struct socket_ops {
	int (*bind)(struct socket *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len);
	int (*connect)(struct socket *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock);
	int (*listen)(struct socket *s, struct task *t, int backlog); /* backlog is 0 to somaxconn */
	int (*accept)(struct socket *s, bool nonblock, struct socket **out); /* *out owned: for socket_file_new or release */
	/* Its own name, or its peer's (-ENOTCONN). */
	int (*name)(struct socket *s, bool peer, struct l_sockaddr_storage *addr, uint32_t *len);
	ssize_t (*send)(struct socket *s, struct task *t, struct net_msg *m); /* takes scm.rights on success */
	ssize_t (*recv)(struct socket *s, struct net_msg *m);
	int (*shutdown)(struct socket *s, bool rd, bool wr);
	uint32_t (*poll)(struct socket *s);
	long (*ioctl)(struct socket *s, struct pctx *ctx, unsigned cmd, uint64_t arg); /* -ENOTTY for what is not known */
	bool (*listens)(struct socket *s);
	/* Options that are not every family's; *len is room, and becomes the value's size.  -ENOPROTOOPT. */
	int (*get)(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len);
	int (*set)(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len);
	void (*buffers_changed)(struct socket *s); /* send_buffer or recv_buffer; NULL: nothing to do */
	void (*opened)(struct socket *s, struct file *f);  /* f, which holds s until release, is its file; NULL: nothing to do */
	void (*closing)(struct socket *s, struct file *f); /* each close(2); NULL: nothing to do */
	unsigned (*rights_waiting)(struct socket *s); /* files in its queue, for fdinfo; NULL: none */
	void (*release)(struct socket *s); /* its file is gone, or was never made */
};

/* Boolean options of socket(7), kept and told; what acts upon one looks here. */
enum socket_flag {
	SOCKET_DEBUG,
	SOCKET_REUSEADDR,
	SOCKET_REUSEPORT,
	SOCKET_DONTROUTE,
	SOCKET_BROADCAST,
	SOCKET_KEEPALIVE,
	SOCKET_OOBINLINE,
	SOCKET_NO_CHECK,
	SOCKET_PASSCRED,
	SOCKET_PASSSEC,
	SOCKET_PASSPIDFD,
	SOCKET_NO_RIGHTS, /* SO_PASSRIGHTS switched off */
	SOCKET_TIMESTAMP,
	SOCKET_TIMESTAMPNS,
	SOCKET_RXQ_OVFL,
	SOCKET_ZEROCOPY,
	SOCKET_WIFI_STATUS,
	SOCKET_NOFCS,
	SOCKET_SELECT_ERR_QUEUE,
	SOCKET_RCVMARK,
	SOCKET_RCVPRIORITY,
};

#define SOCKET_BUFFER_DEFAULT 212992u /* net.core.[rw]mem_default, and _max */
#define SOCKET_SEND_MIN 4608u
#define SOCKET_RECV_MIN 2304u

struct socket {
	const struct socket_ops *ops; /* immutable, as are the next three */
	int family;   /* L_AF_* */
	int type;     /* L_SOCK_STREAM, _DGRAM, ... */
	int protocol;
	struct waitqueue wq; /* everything that can happen to it */
	struct fasync_list async;
	_Atomic int error;   /* an errno; 0: none.  The family sets it; told once, by socket_take_error */
	/* Options: set by any thread at any time, each by itself. */
	_Atomic uint32_t flags;	       /* of 1 << enum socket_flag */
	_Atomic uint32_t send_buffer, recv_buffer; /* bytes, doubled as Linux does */
	_Atomic int64_t recv_wait_ns, send_wait_ns; /* SO_RCVTIMEO, SO_SNDTIMEO; 0: for ever, below: not at all */
	_Atomic int32_t recv_low;      /* SO_RCVLOWAT, 1 or more */
	_Atomic int32_t priority, mark, peek_off, busy_poll, incoming_cpu;
	_Atomic uint32_t buffer_lock;  /* SO_BUF_LOCK: sizes that were asked for; 1: send_buffer's, 2: recv_buffer's */
	_Atomic uint64_t pacing_rate;  /* bytes a second at most */
	_Atomic uint64_t linger;       /* l_onoff << 32 | l_linger */
	_Atomic uint64_t cookie;       /* SO_COOKIE; 0: not asked for yet */
};

void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol);
void socket_destroy(struct socket *s);

/* The error that waits to be told, as -errno; 0: none. */
static inline int socket_take_error(struct socket *s)
{
	return s->error ? -atomic_exchange(&s->error, 0) : 0;
}

static inline bool socket_has(const struct socket *s, enum socket_flag flag)
{
	return s->flags & 1u << flag;
}

/* A file for s (consumed, also on failure); flags are L_O_NONBLOCK or 0. */
int socket_file_new(struct socket *s, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
/* The socket behind f, or NULL: borrowed while f is held. */
struct socket *socket_of(const struct file *f);

/* SOL_SOCKET and whatever the family knows.  value has *len bytes of room; *len becomes the value's size, cut to the room. */
int socket_get_option(struct socket *s, struct task *t, int level, int name, void *value, uint32_t *len) MUST_CHECK;
int socket_set_option(struct socket *s, struct task *t, int level, int name, const void *value, uint32_t len) MUST_CHECK;
/* How much of a value of len bytes an option takes: the rest need not be there. */
uint32_t socket_option_size(int level, int name, uint32_t len);
#define SOCKET_OPTION_MAX 262144 /* bytes of the longest value that anybody takes or gives: as many groups as there can be */

/* When to give up a wait that may take wait_ns (0: for ever); and what the result r of such a wait is to the caller. */
int64_t socket_deadline(int64_t wait_ns);
static inline int socket_waited(int r, int64_t wait_ns)
{
	if (r == -ETIMEDOUT)
		return -EAGAIN;
	return r == -ERESTARTSYS && wait_ns ? -EINTR : r; /* what has waited for a time is not begun anew: signal(7) */
}

/* Waits on wq_ for cond_ as one who would block, nonblock_ or not: 0, or the errno that the call ends with; -EAGAIN: not to be waited for. */
#define socket_wait(wq_, nonblock_, wait_ns_, deadline_, cond_)                                                        \
	((nonblock_) || (wait_ns_) < 0 ? -EAGAIN : socket_waited(wait_event_deadline(wq_, deadline_, cond_), wait_ns_))

/* How many bytes a receive from a stream waits for: SO_RCVLOWAT, or all with MSG_WAITALL. */
uint64_t socket_low_water(const struct socket *s, const struct net_msg *m);

extern struct tunable net_somaxconn; /* net.core.somaxconn */

#endif
