/*
 * POSIX message queues, mq_overview(7): the file system whose files are the queues, and what the mq_ calls do.  Each
 * IPC namespace has one such file system, however often it is mounted.
 *
 *   mqueuefs.c  names, limits, the super block
 *   queue.c     messages and notification
 */
#ifndef BAILEY_SENTRY_FS_MQUEUE_MQUEUE_H
#define BAILEY_SENTRY_FS_MQUEUE_MQUEUE_H

#include "abi/ipc.h"
#include "abi/signal.h"
#include "sentry/vfs/vfs.h"

struct task;
struct ipc_ns;

/* /proc/sys/fs/mqueue: what a caller without CAP_SYS_RESOURCE may ask for, and what a queue without attributes gets. */
#define MQ_QUEUES_MAX 256
#define MQ_MSG_MAX 10
#define MQ_MSG_DEFAULT 10
#define MQ_MSGSIZE_MAX 8192
#define MQ_MSGSIZE_DEFAULT 8192
/* What nobody may exceed. */
#define MQ_HARD_MSG_MAX 65536
#define MQ_HARD_MSGSIZE_MAX (16 << 20)
#define MQ_PRIO_MAX 32768
#define MQ_HARD_QUEUES_MAX 65536
#define MQ_HARD_BYTES (512ull << 20) /* of all queues, whatever RLIMIT_MSGQUEUE says: they lie in the sentry's memory  \
				      */

struct mq_message { /* on its way; free() it */
	struct list_head node;
	unsigned prio;
	size_t size;
	uint8_t data[];
};

/* The file system of ns, counted: for a mount of it. */
int mqueuefs_get(struct ipc_ns *ns, struct super_block **out) MUST_CHECK;

/* mq_open(2): name without a slash, flags L_O_*, attr NULL for the defaults.  Errors as the call's. */
int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode, const struct l_mq_attr *attr,
		struct file **out) MUST_CHECK;
int mqueue_unlink(struct task *t, const char *name) MUST_CHECK;

bool mqueue_file_is(const struct file *f);
/* What a message may measure; f is a queue's, as below. */
uint64_t mqueue_msgsize(const struct file *f);
/* m is consumed on success.  -EAGAIN, -ETIMEDOUT after deadline_ns (monotonic), -ERESTARTSYS. */
int mqueue_send(struct task *t, struct file *f, struct mq_message *m, int64_t deadline_ns) MUST_CHECK;
/* The oldest of the highest priority; *out is the caller's to free. */
int mqueue_receive(struct file *f, int64_t deadline_ns, struct mq_message **out) MUST_CHECK;
/* mq_notify(2), by signal or not at all.  NULL takes the caller's registration back.  -EBUSY. */
int mqueue_notify(struct task *t, struct file *f, const struct l_sigevent *ev) MUST_CHECK;
void mqueue_get_attr(struct file *f, struct l_mq_attr *out);

/* ---- between the two files ---- */

struct mqueue;
struct mq_charge { /* what a queue counts for against its maker's limits; mqueuefs.c's */
	struct list_head node;
	uint32_t uid;
	uint64_t bytes;
	unsigned *queues; /* how many its file system has */
};
struct mq_charge *mqueue_charge(struct mqueue *q);
/* A queue, for the new inode i, of which it is the priv: NULL, no memory. */
struct mqueue *mqueue_new(int64_t maxmsg, int64_t msgsize);
void mqueue_free(struct mqueue *q);
extern const struct file_ops mqueue_file_ops;

#endif
