/*
 * Files that guests read by themselves, through windows (platform.h): which are lent to whom, and when a loan ends.
 *
 * Windows belong to one table of descriptors and one address space together (struct fd_windows): to the first table by which somebody in
 * that address space reads a file often.  A table that is used from several address spaces has none, nor have further tables that are used
 * from one.  What is lent is one descriptor's file, at one place: its bytes, which are the same memory, and its size.  A loan is taken
 * back, which is one store (pas_window.loan), before anything happens by which a read would have to come out otherwise:
 *
 *     the descriptor leads to another file, or none        fdtable.c, take(); no task uses the table any more
 *     size, holes, times or attributes of the inode change, or its bytes are kept elsewhere     inode_recall, with its lock held
 *     somebody watches files, or mounts have other flags   lends_recall_all
 *     calls are to be seen                                 CH_SHORT_CUTS, task.may_lend
 *
 * What is mapped stays for the next loan of the same descriptor, and is unmapped when that one has been closed (by whoever closed it,
 * before close(2) returns, mm_clean_windows).  Pages need no counting: each memfile is a host file of its own, so its pages are
 * no other file's as long as anything maps them.
 *
 * Locks: mm.lock (what is mapped; whose the windows are) > inode.lock (of the file: what is true of it while it is lent) >
 * fdtable.lock (which descriptor has which window) > windows.c: lends_lock, a leaf.
 */
#ifndef BAILEY_SENTRY_VFS_WINDOWS_H
#define BAILEY_SENTRY_VFS_WINDOWS_H

#include "platform/platform.h"
#include "sentry/vfs/vfs.h"

struct fd_windows;

/* What file_ops.lend_pages says of a file. */
struct file_loan {
	int host_fd;   /* maps its bytes at their own offsets; borrowed, as long as the file is open or its bytes are where they are */
	uint64_t past; /* no byte from here on may be looked at by a mapping */
	uint64_t size; /* where it ends, until the loan is taken back */
};

/* Owns records from now on, if not NULL.  Counted: a table's and an address space's. */
struct fd_windows *fd_windows_new(struct pas_window *records);
void fd_windows_put(struct fd_windows *w);
/* No task uses the table any more; and whether that is so of any that are still there. */
bool fd_windows_left(const struct fd_windows *w);
bool fd_windows_any_left(void);

/* f, the caller's counted file, has been read by fd from pos on.  What is to be done about it: */
enum fd_reads { READS_SELDOM, READS_LENT /* the thread may look at the records */, READS_OFTEN /* fd_lend_window is worth it */ };
enum fd_reads fd_note_read(struct fdtable *t, int fd, const struct file *f, int64_t pos);
/* Lends f to whoever reads it by fd of t, where w are the windows of t and of the address space that ctx, which is in the caller's hands, is
 * a thread of.  That one's mm.lock is held. */
bool fd_lend_window(struct fdtable *t, struct fd_windows *w, struct pctx *ctx, int fd, struct file *f, int64_t pos);
/* Gives t its windows: false if it has others, or is to have none.  And: it is to have none, and all are to be unmapped. */
bool fdtable_set_windows(struct fdtable *t, struct fd_windows *w);
void fdtable_no_windows(struct fdtable *t);
/* t goes over to another address space, or nobody uses it any more: whether it had windows. */
bool fdtable_leave_windows(struct fdtable *t);
bool fdtable_has_windows(struct fdtable *t, const struct fd_windows *w);
/* Which windows are to be unmapped because their file was closed (bits); and, with mm.lock held, whether that is still so of window i. */
bool fdtable_is_stale(const struct fdtable *t);
uint32_t fdtable_take_stale(struct fdtable *t);
bool fd_window_is_empty(struct fdtable *t, const struct fd_windows *w, unsigned i);

/* ---- for whoever changes something ---- */

void inode_recall_lent(struct inode *i);
/* i's lock is held, and something of i is about to change. */
static inline void inode_recall(struct inode *i)
{
	if (UNLIKELY(atomic_load(&i->lent)))
		inode_recall_lent(i);
}
void lends_recall_all(void);
/* Nobody watches a file (inotify.c). */
bool nobody_watches_files(void);

#endif
