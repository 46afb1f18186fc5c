/*
 * What the files of this folder share: the sockets and their messages.
 *
 * One lock, unix_lock, guards all that says how sockets are connected and what lies in their queues.  It is held for a few
 * instructions, never over guest memory, a path walk, an allocation or the letting go of anything that somebody might close; with it, to
 * connect, accept, send to a third, and find garbage among sockets that lie in each other's queues need no order of locks.
 * A receiver holds its socket's recv_lock as well, over the copy to its memory, and nobody else takes messages off that queue.
 *
 *     bind_lock > the file system's locks
 *     recv_lock > unix_lock > waitqueue locks, fasync's
 */
#ifndef BAILEY_SENTRY_NET_UNIX_INTERNAL_H
#define BAILEY_SENTRY_NET_UNIX_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "sentry/net/unix/unix.h"

#define UNIX_NAME_OFFSET 2u /* of sun_path */
#define UNIX_CHARGE 768u    /* what a message costs its sender beside its bytes, about as on Linux */

enum unix_state { UNIX_CLOSED, UNIX_LISTENING, UNIX_CONNECTED };

/* A name: immutable, counted, as it outlives its socket in those that were accepted. */
struct unix_addr {
	struct refcount refs;
	uint32_t len; /* bytes of name, or one more: the NUL behind a path that fills it */
	struct l_sockaddr_un name;
	char nul;
};

struct unix_msg {
	struct list_head node;	 /* in the receiver's queue */
	struct unix_sock *from;	 /* counted: whose buffer it is charged to */
	size_t off, len;	 /* bytes taken already (changed with the receiver's recv_lock, too); bytes in all */
	size_t charge;		 /* bytes */
	bool peeked;		 /* an empty packet that was looked at; guarded by the receiver's recv_lock */
	bool has_cred;		 /* cred is the sender's */
	struct scm_cred cred;
	struct scm_rights *rights; /* or NULL; counted as in flight while the message is in a queue */
	uint8_t data[];
};

struct unix_sock {
	struct socket sock;
	struct refcount refs; /* its file, its peers, messages that it sent, a queue that it waits in to be accepted */
	struct mutex recv_lock;
	struct mutex bind_lock;	    /* over the whole of bind(2) */
	struct waitqueue room_wq;   /* who waits for room in its queue, of messages or of connections */

	/* What follows is guarded by unix_lock. */
	enum unix_state state;
	bool dead;		    /* its file is gone; nothing is queued for it any more */
	bool recv_shut, send_shut;  /* shutdown(2), a connection's other end too */
	struct unix_sock *peer;	    /* counted, or NULL */
	struct list_head peers;	    /* of peer_node: those whose peer it is */
	struct list_head peer_node;
	struct list_head queue;	    /* of unix_msg.node: what it may receive */
	unsigned queued;	    /* in queue */
	size_t charged;		    /* for what it sent and nobody has taken yet */
	bool wants_signal;	    /* a send found no room of its own: SIGIO, too, when there is some */
	bool wants_peer_room;	    /* a send or a poll found none in its peer's queue */
	bool room_wanted;	    /* somebody waits for room in this one's queue */
	struct list_head embryos;   /* listening: of accept_node, ends of connections that nobody has accepted yet; counted */
	unsigned embryo_count;
	int backlog;
	struct list_head accept_node;
	struct scm_cred peer_cred;  /* SO_PEERCRED; of one that listens: who listens, and what its peers will be told */
	const struct cred *peer_groups; /* counted: whose supplementary groups go with it; or NULL */
	struct unix_addr *_Atomic addr; /* counted; set once, read without the lock from then on */
	struct path path;	    /* where it is bound; mnt NULL: nowhere, or by an abstract name */
	struct list_head name_node; /* in the table of names */
	struct list_head all_node;
	struct file *file;	    /* not counted; NULL: none (yet) */

	/* garbage.c's, likewise. */
	unsigned inflight;	    /* in how many messages in queues its file lies */
	struct list_head flight_node; /* while inflight is not 0 */
	struct list_head suspect_node; /* while garbage is sought: */
	unsigned outside;	    /*   in how many messages that are no suspect's */
};

extern struct mutex unix_lock;
extern struct list_head unix_all; /* of unix_sock.all_node */

static inline struct unix_sock *unix_of(struct socket *s)
{
	return container_of(s, struct unix_sock, sock);
}

static inline bool unix_is_stream(const struct unix_sock *s)
{
	return s->sock.type == L_SOCK_STREAM;
}

/* A stream or a sequence of packets: listens, connects, accepts. */
static inline bool unix_connects(const struct unix_sock *s)
{
	return s->sock.type != L_SOCK_DGRAM;
}

struct unix_sock *unix_get(struct unix_sock *s);
void unix_put(struct unix_sock *s);

/* ---- socket.c ---- */

int unix_sock_new(int type, struct unix_sock **out) MUST_CHECK;
/* Takes a socket out of the world: what waits in its queue goes, and its peer hears of it.  embryo: nobody had accepted it. */
void unix_end(struct unix_sock *s, bool embryo);
/* Makes b the peer of a (which has none). */
void unix_set_peer(struct unix_sock *a, struct unix_sock *b) REQUIRES(unix_lock);
/* Takes a's peer away: the caller's to put, or NULL. */
struct unix_sock *unix_take_peer(struct unix_sock *a) REQUIRES(unix_lock);

/* ---- names.c ---- */

int unix_check_addr(const struct l_sockaddr_storage *addr, uint32_t len) MUST_CHECK; /* 0 or -EINVAL */
int unix_bind(struct socket *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len) MUST_CHECK;
/* Gives s a name of its own choice, if it has none. */
int unix_autobind(struct unix_sock *s) MUST_CHECK;
/* Who is bound to addr, counted: -ECONNREFUSED, -EPROTOTYPE, -EACCES, or as path_resolution(7). */
int unix_find(struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, int type, struct unix_sock **out) MUST_CHECK;
int unix_name(struct socket *s, bool peer, struct l_sockaddr_storage *addr, uint32_t *len);
/* Its name's bytes; their count, or 0 if it has none. */
uint32_t unix_copy_name(const struct unix_sock *s, struct l_sockaddr_storage *out);
void unix_unname(struct unix_sock *s) REQUIRES(unix_lock);
struct unix_addr *unix_addr_get(struct unix_addr *a);
void unix_addr_put(struct unix_addr *a);

/* ---- connect.c ---- */

int unix_connect(struct socket *s, struct task *t, const struct l_sockaddr_storage *addr, uint32_t len, bool nonblock) MUST_CHECK;
int unix_listen(struct socket *s, struct task *t, int backlog) MUST_CHECK;
int unix_accept(struct socket *s, bool nonblock, struct socket **out) MUST_CHECK;
int unix_shutdown(struct socket *s, bool rd, bool wr);
/* A datagram socket has lost its peer `old`, and with it all that it has not read; a peer that had s for its own is told of that. */
void unix_forget_peer(struct unix_sock *s, struct unix_sock *old);
/* SO_PEERCRED of s tells of t from now on. */
void unix_note_cred(struct unix_sock *s, struct task *t);

/* ---- send.c, recv.c ---- */

ssize_t unix_send(struct socket *s, struct task *t, struct net_msg *m) MUST_CHECK;
ssize_t unix_recv(struct socket *s, struct net_msg *m) MUST_CHECK;
/* m is in no queue any more, and unix_lock not held: uncharges the sender, tells it of room, lets go of all that m holds. */
void unix_msg_free(struct unix_msg *m);
/* Takes the first message off s's queue.  Whoever waits for room there is woken. */
struct unix_msg *unix_dequeue(struct unix_sock *s) REQUIRES(unix_lock);
/* Lets go of all that is in s's queue. */
void unix_purge(struct unix_sock *s);
/* As Linux has it, a sender is told of room when three quarters of its buffer are free. */
static inline bool unix_has_much_room(const struct unix_sock *s)
{
	return s->charged * 4 <= s->sock.send_buffer;
}
/* A datagram socket's queue has a bound for all but its own peer, and itself. */
bool unix_is_full_for(const struct unix_sock *to, const struct unix_sock *from) REQUIRES(unix_lock);

/* ---- garbage.c ---- */

/* Before r goes on its way for the first time: -ETOOMANYREFS (t's user has too many there already), -ENOMEM. */
int unix_rights_check(struct task *t, struct scm_rights *r) MUST_CHECK;
void unix_rights_uncheck(struct scm_rights *r); /* it does not go after all */
/* The files of a message that goes into a queue, or has come out of one. */
void unix_rights_fly(struct scm_rights *r) REQUIRES(unix_lock);
void unix_rights_land(struct scm_rights *r) REQUIRES(unix_lock);
/*
 * Lets go of what only garbage can reach.  closing is about to lose a descriptor, and nothing is done if that makes no difference;
 * NULL: something else has happened that may leave garbage.  Of calls that come up within one nothing is left to do when it returns.
 */
void unix_collect(const struct file *closing);

#endif
