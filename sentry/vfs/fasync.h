/*
 * SIGIO: who asked by O_ASYNC to be told of what happens to a file, and the telling (fcntl(2), "Managing signals").
 *
 * An object that tells has a fasync_list for each kind of news; the fasync operation of its files puts them on it and takes them
 * off.  Whom a file tells, and how, is its owner (F_SETOWN, F_SETSIG).  One lock guards the lists and the owners: news is rare
 * where nobody asked, and costs one load there.
 */
#ifndef BAILEY_SENTRY_VFS_FASYNC_H
#define BAILEY_SENTRY_VFS_FASYNC_H

#include "sentry/vfs/vfs.h"

struct fasync_list {
	struct fasync *first;  /* guarded by fasync.c's lock */
	_Atomic unsigned count; /* changed with that lock held; read without to see that nobody asked */
};

/* For a fasync operation: puts f on l with the descriptor it was asked by, or takes it off; either again is harmless. */
int fasync_set(struct fasync_list *l, struct file *f, int fd, bool on) MUST_CHECK;

void fasync_tell_all(struct fasync_list *l, int code);
void fasync_tell_all_later(struct fasync_list *l, int code);

/* Sends the signals: code is L_POLL_IN and so on.  No lock is held that stands before tasks_lock's family. */
static inline void fasync_tell(struct fasync_list *l, int code)
{
	if (UNLIKELY(l->count))
		fasync_tell_all(l, code);
}

/* The same with inode locks held: the signals go when the calling task's system call ends (fasync_send_due). */
static inline void fasync_tell_later(struct fasync_list *l, int code)
{
	if (UNLIKELY(l->count))
		fasync_tell_all_later(l, code);
}

extern _Atomic unsigned fasync_due; /* how many told later are still to be told */
void fasync_send_due(void);

/* ---- owners ---- */

/* Sets whom f tells; only_if_none: unless there is one.  0 or -ENOMEM. */
int file_set_owner(struct file *f, int type, int pid, uint32_t uid, uint32_t euid, bool only_if_none) MUST_CHECK;
int file_set_owner_signal(struct file *f, int sig) MUST_CHECK;
struct file_owner file_owner(struct file *f);

/* Sends o's signal about what code (L_POLL_*) says of the file that is, or was, at fd.  Set once, before there are tasks: signals
 * are another layer's. */
extern void (*file_owner_signal)(const struct file_owner *o, int fd, int code);

#endif
