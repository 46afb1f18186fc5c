/*
 * System V IPC: shared memory, semaphores and message queues; sysvipc(7).  sysv.c has what the three have in common: tables of
 * ids, keys and permissions.  shm.c, sem.c and msg.c are the three.  Each namespace (ipc_ns.h) has its own tables.
 *
 * Locks: each table has one lock, which guards all its objects.  shm's nests inside mm->lock; those of sem and
 * msg are held with nothing but a waitqueue inside.
 */
#ifndef BAILEY_SENTRY_IPC_SYSV_H
#define BAILEY_SENTRY_IPC_SYSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "abi/ipc.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/lock.h"
#include "sentry/core/cred.h"
#include "sentry/core/tunable.h"
#include "sentry/core/wait.h"

struct task;
struct ipc_ns;

/* ---- ids, keys and permissions (sysv.c) ---- */

struct ipc_perm { /* embedded in each object; guarded by its table's lock */
	struct ipc_ns *ns; /* borrowed: it takes its objects along; immutable */
	int id;
	int32_t key; /* L_IPC_PRIVATE: cannot be found by key */
	uint32_t uid, gid, cuid, cgid;
	uint32_t mode; /* permission bits, and SHM_DEST and SHM_LOCKED */
};

struct ipc_ids { /* a table; guarded by lock */
	struct mutex lock;
	struct ipc_perm **slots; /* by an id's low part; NULL: free */
	int cap, count;
	struct tunable *limit; /* objects at most; immutable */
	struct tunable *next_id; /* which id is to be given out next, -1: any; immutable, but its value is reset under lock */
	int last_index; /* of the last id given out: one not above it begins a new sequence */
	int seq;
};
#define IPC_IDS_INIT(limit_, next_id_) { .lock = MUTEX_INIT, .limit = (limit_), .next_id = (next_id_), .last_index = -1 }

/* What shmget, semget and msgget have in common. */
struct ipc_request {
	struct ipc_ns *ns;
	int32_t key;
	uint32_t flags;		  /* L_IPC_CREAT, L_IPC_EXCL, and the mode */
	uint64_t size;		  /* bytes or semaphores */
	const struct cred *cred;
	/* Makes an object (its perm is filled in afterwards).  The table's lock is held. */
	int (*create)(const struct ipc_request *req, struct ipc_perm **out);
	/* May the object be had by this request, permissions apart. */
	int (*check)(const struct ipc_perm *p, const struct ipc_request *req);
	/* Takes back what create made. */
	void (*destroy)(struct ipc_perm *p);
};
/* Finds or makes an object; its id, or the errno of shmget(2) and its kin. */
int ipc_get(struct ipc_ids *ids, const struct ipc_request *req) MUST_CHECK;

/* The object of an id, or at an index (of SHM_STAT and the like); borrowed, NULL if there is none. */
struct ipc_perm *ipc_find(struct ipc_ids *ids, int id) REQUIRES(ids->lock);
struct ipc_perm *ipc_at(struct ipc_ids *ids, int index) REQUIRES(ids->lock);
/* The highest index in use, 0 if none is: what IPC_INFO returns. */
int ipc_max_index(const struct ipc_ids *ids) REQUIRES(ids->lock);
void ipc_remove(struct ipc_ids *ids, struct ipc_perm *p) REQUIRES(ids->lock);
/* want: of 0444, 0222 and 0111.  0 or -EACCES. */
int ipc_permission(const struct ipc_perm *p, unsigned want, const struct cred *c) MUST_CHECK;
/* May c remove and change it: 0 or -EPERM. */
int ipc_owner_check(const struct ipc_perm *p, const struct cred *c) MUST_CHECK;
/* Finds for a ..._STAT command: by id with IPC_STAT, else by index; `any` asks for no permission.  *id gets the id. */
int ipc_stat_find(struct ipc_ids *ids, int id, bool by_index, bool any, const struct cred *c,
		  struct ipc_perm **out) MUST_CHECK REQUIRES(ids->lock);
/* Ids are as c's user namespace has them, here and in the next. */
void ipc_perm_fill(struct l_ipc64_perm *out, const struct ipc_perm *p, const struct cred *c);
/* IPC_SET's part: owner and mode.  -EINVAL for an id of -1. */
int ipc_perm_set(struct ipc_perm *p, const struct l_ipc64_perm *from, const struct cred *c) MUST_CHECK;
int64_t ipc_now(void); /* seconds, as the times of objects */

/* The sentry's memory for objects, messages and undos of all namespaces is bounded: Linux's limits, which count objects, would let
 * a program make it hold gigabytes.  Zeroed; NULL is -ENOMEM.  more: what the object costs besides.  No lock needed. */
void *ipc_alloc(size_t size, size_t more) MUST_CHECK;
void ipc_free(void *p, size_t size, size_t more); /* NULL is allowed; sizes as they were */

/* One who sleeps for an object of sem or msg.  Whoever ends the wait does so with the table's lock held. */
struct ipc_waiter {
	struct list_head node; /* in the object's list */
	struct waitqueue wq;
	_Atomic bool done;
	int result; /* valid once done */
};
void ipc_waiter_init(struct ipc_waiter *w);
void ipc_waiter_end(struct ipc_waiter *w, int result); /* unlinks and wakes it; the table's lock is held */
/* Sleeps, with lock let go meanwhile, until ended (its result), a signal (-EINTR) or deadline_ns (-ETIMEDOUT), after both of which
 * w is unlinked.  w is done with afterwards. */
int ipc_waiter_sleep(struct ipc_waiter *w, struct mutex *lock, int64_t deadline_ns) MUST_CHECK;

/* ---- shared memory (shm.c): errors as the calls' ---- */

#define SHMMAX (UINT64_MAX - (1ull << 24))
#define SHMALL (UINT64_MAX - (1ull << 24))

int shm_get(struct task *t, int32_t key, uint64_t size, uint32_t flags) MUST_CHECK;
int64_t shm_attach(struct task *t, int id, uint64_t addr, uint32_t flags) MUST_CHECK;
int shm_detach(struct task *t, uint64_t addr) MUST_CHECK;
int shm_stat(struct task *t, int id, bool by_index, bool any, struct l_shmid64_ds *out) MUST_CHECK; /* the id */
int shm_set(struct task *t, int id, const struct l_ipc64_perm *perm) MUST_CHECK;
int shm_remove(struct task *t, int id) MUST_CHECK;
int shm_lock(struct task *t, int id, bool lock) MUST_CHECK;
int shm_info(struct ipc_ns *ns, struct l_shm_info *out); /* the highest index */
int shm_show(struct ipc_ns *ns, const struct cred *c, FILE *out); /* /proc/sysvipc/shm */

/* ---- semaphores (sem.c) ---- */

#define SEMMSL 32000
#define SEMMNS (32000 * SEMMSL)
#define SEMOPM 500
#define SEMOPM_MAX 32768 /* DIVERGES: what the limit can be raised to; Linux knows none */
#define SEMVMX 32767

int sem_get(struct task *t, int32_t key, int count, uint32_t flags) MUST_CHECK;
/* ops is the caller's.  -EINTR is final; -EAGAIN when deadline_ns has passed. */
int sem_operate(struct task *t, int id, const struct l_sembuf *ops, unsigned count, int64_t deadline_ns) MUST_CHECK;
int sem_stat(struct task *t, int id, bool by_index, bool any, struct l_semid64_ds *out) MUST_CHECK; /* the id */
int sem_set(struct task *t, int id, const struct l_ipc64_perm *perm) MUST_CHECK;
int sem_remove(struct task *t, int id) MUST_CHECK;
int sem_query(struct task *t, int id, int num, int cmd) MUST_CHECK; /* GETVAL, GETPID, GETNCNT, GETZCNT */
int sem_set_value(struct task *t, int id, int num, int value) MUST_CHECK;
/* How many semaphores a set has, for the size of GETALL's and SETALL's array; permission want is checked. */
int sem_count(struct task *t, int id, unsigned want) MUST_CHECK;
/* Both fail with -EIDRM if the set has no longer `count` semaphores. */
int sem_get_all(struct task *t, int id, uint16_t *values, int count) MUST_CHECK;
int sem_set_all(struct task *t, int id, const uint16_t *values, int count) MUST_CHECK;
int sem_info(struct ipc_ns *ns, int *sets, int *semaphores); /* in use; returns the highest index */
int sem_show(struct ipc_ns *ns, const struct cred *c, FILE *out);

/* What SEM_UNDO has noted for the tasks that share it (CLONE_SYSVSEM). */
struct sem_undos;
/* t's, counted once more for a child that shares it; made if there is none.  NULL: no memory. */
struct sem_undos *sem_undos_share(struct task *t);
/* t lets go of it; the last one's going undoes what is noted. */
void sem_undos_leave(struct task *t);

/* ---- message queues (msg.c) ---- */

struct ipc_msg { /* a message on its way; msg_free() it */
	struct list_head node;
	int64_t type;
	size_t size;
	uint8_t data[];
};
struct ipc_msg *msg_alloc(size_t size) MUST_CHECK; /* NULL: no memory */
void msg_free(struct ipc_msg *m);
int msg_get(struct task *t, int32_t key, uint32_t flags) MUST_CHECK;
/* m is consumed on success. */
int msg_send(struct task *t, int id, struct ipc_msg *m, uint32_t flags) MUST_CHECK;
/* *out is the caller's to free; it may be longer than size with L_MSG_NOERROR. */
int msg_receive(struct task *t, int id, size_t size, int64_t type, uint32_t flags, struct ipc_msg **out) MUST_CHECK;
int msg_stat(struct task *t, int id, bool by_index, bool any, struct l_msqid64_ds *out) MUST_CHECK; /* the id */
int msg_set(struct task *t, int id, const struct l_msqid64_ds *from) MUST_CHECK;
int msg_remove(struct task *t, int id) MUST_CHECK;
int msg_info(struct ipc_ns *ns, int *queues, int *messages, int *bytes); /* in use; returns the highest index */
int msg_show(struct ipc_ns *ns, const struct cred *c, FILE *out);

#endif
