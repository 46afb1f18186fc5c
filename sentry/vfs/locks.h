/* What locks.c and locks_show.c share: the locks of an inode and who waits for one. */
#ifndef BAILEY_SENTRY_VFS_LOCKS_H
#define BAILEY_SENTRY_VFS_LOCKS_H

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

/* Guarded by locks_lock but for wq. */
struct inode_locks {
	const struct inode *inode; /* borrowed: it owns this */
	struct list_head all_node; /* in locks_all */
	struct list_head ranges;   /* of one owner: in order, disjoint, neighbours of one type joined */
	struct list_head wholes;
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

#endif
