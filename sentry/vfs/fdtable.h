/* What a table of descriptors is, for fdtable.c and windows.c. */
#ifndef BAILEY_SENTRY_VFS_FDTABLE_H
#define BAILEY_SENTRY_VFS_FDTABLE_H

#include "base/lock.h"
#include "sentry/vfs/vfs.h"

struct fdtable {
	struct refcount refs;
	struct mutex lock;
	/* Guarded by lock. */
	struct file **files;
	uint64_t *used, *cloexec;
	unsigned cap;  /* a multiple of WORD_BITS */
	unsigned hint; /* no descriptor below it is free */
	int sought;		     /* the descriptor of the last lseek, */
	unsigned uses;		     /* how often it was looked up since, */
	unsigned seeks;		     /* how many there were with nothing in between, */
	struct pctx_position *lent; /* and where its file's position is lent to, or NULL */
	bool lends;		    /* one of its files was lent some day (file_ops.lend) */
	struct fd_windows *windows; /* counted, or NULL; */
	_Atomic bool no_windows;    /* and there will be none; changed with lock held */
	unsigned reads;		    /* how many there were before */
	_Atomic uint32_t windows_stale; /* those that are to be unmapped; more only with lock held */
};

/* windows.c: the file at fd leaves a table with windows.  The window that is to be unmapped, as a bit. */
uint32_t fd_windows_closed(struct fdtable *t, unsigned fd) REQUIRES(t->lock);

#endif
