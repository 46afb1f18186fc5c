/* What aio.c and aio_poll.c share. */
#ifndef BAILEY_SENTRY_IPC_AIO_INTERNAL_H
#define BAILEY_SENTRY_IPC_AIO_INTERNAL_H

#include "base/refcount.h"
#include "sentry/core/wait.h"
#include "sentry/ipc/aio.h"
#include "sentry/time/timer.h"

struct aio_ctx {
	struct refcount refs;	/* the address space, requests that wait, and calls under way */
	struct list_head node;	/* guarded by aio_contexts.lock */
	uint64_t id;		/* gva; immutable once published */
	unsigned nr, capacity;	/* what was asked for, what it takes; immutable */
	struct waitqueue wq;	/* an event came, or the end */
	struct mutex lock;	/* guards the rest; timer.c's may be taken inside */
	unsigned used;		/* places taken */
	struct list_head polls; /* of aio_req.node: who wait */
	struct list_head done;	/* of aio_req.node, oldest first */
	bool dead;
};

struct aio_req {
	struct list_head node; /* in one of its context's lists; guarded by ctx->lock */
	struct aio_ctx *ctx;   /* counted while it waits, else borrowed */
	struct l_io_event event;
	struct file *eventfd; /* counted, or NULL */
	/* A poll's. */
	struct file *file; /* counted */
	uint32_t events;   /* L_POLL* */
	struct wait_entry wait;
	struct ktimer look; /* due when the file told of something */
	_Atomic bool told;  /* it has */
};

/* Ends every poll in ctx. */
void aio_polls_end(struct aio_ctx *ctx);

#endif
