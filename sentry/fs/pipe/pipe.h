/*
 * Pipes: the ring between the ends, shared by pipe(2)'s files and FIFOs.  Behaves as pipe(7) and fifo(7).
 *
 * Locks: p->lock guards the ring and the counts.  It may be held over a copy from or to guest memory, which no
 * other lock may be below: nothing is taken while it is held but the wait queues' locks.
 */
#ifndef BAILEY_SENTRY_FS_PIPE_PIPE_H
#define BAILEY_SENTRY_FS_PIPE_PIPE_H

#include "sentry/vfs/vfs.h"

/* A page's worth of bytes that were written together, or added to. */
struct pipe_buf {
	uint8_t *page; /* owned; NULL: none yet */
	uint32_t off, len;
	bool packet; /* O_DIRECT: a read takes no more than this, and the rest of it is lost */
};

struct pipe {
	struct mutex lock;
	/* Guarded by lock. */
	struct pipe_buf *bufs; /* [slots] */
	unsigned slots;	       /* a power of two */
	unsigned first, used;  /* the full ones: first, first + 1, ... modulo slots */
	unsigned readers, writers; /* open ends */
	uint64_t reader_opens, writer_opens; /* ever: a FIFO's open waits for them to change */

	bool anonymous; /* made by pipe(2), perhaps opened again through /proc: nobody waits to open it; immutable */
	struct waitqueue wq; /* everything that can happen to it */
};

struct pipe *pipe_new(void);
void pipe_free(struct pipe *p);
extern const struct file_ops pipe_ops;

#endif
