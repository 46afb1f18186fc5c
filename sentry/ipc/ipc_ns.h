/*
 * IPC namespaces, ipc_namespaces(7): the System V objects, their limits, and the file system of POSIX message queues.
 * What is left in one goes with it; whoever has a segment attached keeps its namespace.
 */
#ifndef BAILEY_SENTRY_IPC_IPC_NS_H
#define BAILEY_SENTRY_IPC_IPC_NS_H

#include "sentry/core/ns.h"
#include "sentry/ipc/sysv.h"
#include "sentry/vfs/vfs.h"

struct ipc_ns {
	struct ns ns;
	struct ipc_ids sem, msg, shm;
	int sem_total;					      /* semaphores in all sets; guarded by sem.lock */
	uint64_t shm_pages;				      /* of all segments; guarded by shm.lock */
	struct tunable sem_next_id, msg_next_id, shm_next_id; /* which id is to be given out next, -1: any */
	struct tunable semmni;				      /* sets */
	struct tunable semmsl, semmns, semopm;		      /* semaphores of a set, of all; operations of a call */
	_Atomic uint64_t shmmax, shmall;		      /* bytes of a segment, pages of all */
	struct tunable shmmni;				      /* segments */
	struct tunable msgmni;				      /* queues */
	struct tunable msgmax;				      /* bytes of a message */
	struct tunable msgmnb;				      /* bytes of a new queue */
	struct mutex mqueue_lock;
	struct path mqueue_root; /* mqueuefs.c's, made on first use; guarded by mqueue_lock */
	uint32_t uid, gid;	 /* who made it: the owner of its message queues' directory; immutable */
};

struct ns *ipc_ns_first(void); /* borrowed */
/* A new one of owner's, empty, with the limits that a fresh system has; *out counted.  c: who makes it. */
int ipc_ns_new(const struct cred *c, struct user_ns *owner, struct ns **out) MUST_CHECK;
/* ns is of kind NS_IPC. */
struct ipc_ns *ipc_ns_of(struct ns *ns);
/* The one t is in; of a caller that is no task, the first.  Borrowed: it stays while t, which is the caller, is in it.
 */
struct ipc_ns *task_ipc_ns(const struct task *t);

/* What each kind does when its namespace goes: nobody can reach it any more. */
void sem_ns_free(struct ipc_ns *ns);
void msg_ns_free(struct ipc_ns *ns);
void shm_ns_free(struct ipc_ns *ns);

#endif
