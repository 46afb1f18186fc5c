/*
 * Pipes: the ring between the ends, shared by pipe(2)'s files and FIFOs.  Behaves as pipe(7) and fifo(7).
 *
 * Locks: p->lock guards the ring and the counts.  It may be held over a copy from or to guest memory, which no other lock may
 * be below: nothing is taken while it is held but the wait queues' locks, a descriptor table's, and the platform's.
 *
 * A pipe that one thread reads and one writes, and that nobody else has or waits for, is lent to the two: its bytes are in a
 * ring that they reach without us (lend.c, platform.h).  Whoever takes the lock takes it back (pipe_lock).
 */
#ifndef BAILEY_SENTRY_FS_PIPE_PIPE_H
#define BAILEY_SENTRY_FS_PIPE_PIPE_H

#include "sentry/core/tunable.h"
#include "sentry/vfs/fasync.h"

/* A page's worth of bytes that were written together, or added to. */
struct pipe_buf {
	uint8_t *page; /* owned; NULL: none yet */
	uint32_t off, len;
	bool packet; /* O_DIRECT: a read takes no more than this, and the rest of it is lost */
};

/* Index 0 is the read end's, 1 the write end's; guarded by the pipe's lock. */
struct pipe_loan {
	struct pring *ring;   /* closed, while not both ends are lent; or NULL */
	bool open;	      /* the pipe's bytes are there */
	struct file *end[2];  /* lent; not counted, for it is recalled before it leaves its table */
	uint8_t *page;	      /* owned: where the ring's bytes go; NULL: none yet */
	const struct pctx *last[2]; /* whose thread used the end last: to be compared with, no more */
	uint64_t last_as[2];  /* and its address space's serial */
	bool wrote;	      /* the last use was a write */
	unsigned uses;	      /* how many were small, and a read and a write by turns, up to the last one */
	unsigned after;	      /* so many are wanted */
	int64_t since_ns;     /* when it was opened */
};

struct pipe {
	struct mutex lock;
	/* Guarded by lock. */
	struct pipe_buf *bufs;		     /* [slots] */
	unsigned slots;			     /* a power of two */
	unsigned first, used;		     /* the full ones: first, first + 1, ... modulo slots */
	unsigned readers, writers;	     /* open ends */
	uint64_t reader_opens, writer_opens; /* ever: a FIFO's open waits for them to change */

	bool anonymous; /* made by pipe(2), perhaps opened again through /proc: nobody waits to open it; immutable */
	struct waitqueue wq; /* everything that can happen to it */
	struct pipe_loan loan;
	struct fasync_list reader_async, writer_async; /* whom it tells by SIGIO: files open for reading, for writing */
};

extern struct tunable pipe_max_size; /* bytes that a pipe may be made to hold without CAP_SYS_RESOURCE */

struct pipe *pipe_new(void);
void pipe_free(struct pipe *p);
extern const struct file_ops pipe_ops;

/* Locks p, and takes back what is lent of its bytes. */
void pipe_lock(struct pipe *p) ACQUIRES(p->lock);
/* file_ops. */
void pipe_lend(struct file *f, struct pctx *ctx, struct fdtable *t, int fd, size_t n);
void pipe_recall(struct file *f);
/* p ends. */
void pipe_loan_end(struct pipe *p);

/* ---- for splice(2) and its kin ---- */

/* The pipe that f is an end of, or NULL. */
struct pipe *pipe_of(const struct file *f);
/* As a read.  Waits for bytes unless nonblock (-EAGAIN); 0: no writer is left. */
ssize_t pipe_take(struct pipe *p, struct uio *u, bool nonblock) MUST_CHECK;
/* As a write; packet: as with O_DIRECT; partial: what there is room for at first is enough. */
ssize_t pipe_give(struct pipe *p, struct uio *u, bool packet, bool nonblock, bool partial) MUST_CHECK;
/* Copies the first bytes and leaves them there; does not wait.  -EAGAIN if there are none, 0: no writer is left. */
ssize_t pipe_peek(struct pipe *p, void *buf, size_t len) MUST_CHECK;
int pipe_wait_readable(struct pipe *p) MUST_CHECK; /* until a read need not wait */
/* Gives back to the front what was taken and could not be used. */
int pipe_untake(struct pipe *p, const uint8_t *buf, size_t len) MUST_CHECK;
/* Bytes that there is surely room for, in whole pages; waits for some unless nonblock.  -EPIPE without a reader. */
ssize_t pipe_room(struct pipe *p, bool nonblock) MUST_CHECK;

#endif
