/* What locks.c, leases.c and locks_show.c share: the locks and leases of an inode and who waits for one. */
#ifndef BAILEY_SENTRY_VFS_LOCKS_H
#define BAILEY_SENTRY_VFS_LOCKS_H

#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"

struct range_lock {
	struct list_head node;
	const void *owner;
	const struct file *file; /* that it was set through, for fdinfo; never dereferenced */
	struct lock_range r;
};

struct whole_lock {
	struct list_head node;
	const struct file *owner;
	bool exclusive;
	int pid; /* of who set it */
};

struct lease {
	struct list_head node;
	struct file *file; /* borrowed: its last put ends the lease */
	int type;	   /* L_F_RDLCK, L_F_WRLCK */
	int pid;	   /* of who set it */
	/* When it will be made a read lease, or ended, for the holder; 0: nobody asked for that. */
	int64_t downgrade_at, unlock_at;
	struct fasync_list async; /* of file alone */
};

/* Guarded by locks_lock but for wq. */
struct inode_locks {
	const struct inode *inode; /* borrowed: it owns this */
	struct list_head all_node; /* in locks_all */
	struct list_head ranges;   /* of one owner: in order, disjoint, neighbours of one type joined */
	struct list_head wholes;
	struct list_head leases;
	struct waitqueue wq;
};

struct lock_waiter { /* on its thread's stack while it waits */
	struct list_head node;
	const struct inode_locks *l;
	bool whole;
	const void *owner;
	const void *blocker; /* for finding deadlocks; NULL: it makes none */
	struct lock_range r; /* what it wants; of a flock only type and pid */
	bool shown;	     /* in the listing that is being made */
};

/* Guards every inode's locks and the waiters. */
extern struct mutex locks_lock;
extern struct list_head locks_all;
extern struct list_head lock_waiters;

/* i's, made on first use; NULL: no memory. */
struct inode_locks *locks_of(struct inode *i) REQUIRES(locks_lock);
/* Memory for a lock or lease, zeroed and counted; 0, -ENOMEM or -ENOLCK.  NULL may be freed. */
int lock_alloc(size_t size, void *out) MUST_CHECK;
void lock_free(void *k);
/* The type that a lease has, or is asked to take. */
int lease_target(const struct lease *k);

#endif
