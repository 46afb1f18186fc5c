/*
 * Linux AIO: contexts, the requests in them, and the events that wait to be fetched.  Decoding and the transfers
 * themselves, which are done at once as Linux does for what is cached, are in sys_aio.c; what is truly awaited is
 * IOCB_CMD_POLL (aio_poll.c).
 *
 * A context belongs to an address space and ends with it.  A request is reserved before anything is done for it, and
 * either cancelled, completed or left to a poll.  Each takes one of its context's places until its event is fetched.
 *
 * DIVERGES: the memory behind a context's id is a page of zeros and no ring: libaio and others look for a magic number
 * there, find none and make the call, so that no event is ever read but through io_getevents.  Test:
 * aio.context_can_be_read.
 */
#ifndef BAILEY_SENTRY_IPC_AIO_H
#define BAILEY_SENTRY_IPC_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/aio.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/lock.h"
#include "sentry/core/tunable.h"

struct aio_ctx;
struct aio_req;
struct file;

/* Those of one address space. */
struct aio_contexts {
	struct mutex lock;
	struct list_head list; /* of aio_ctx.node; guarded by lock */
};
void aio_contexts_init(struct aio_contexts *all);
/* Nobody uses the address space any more: ends them all. */
void aio_contexts_destroy(struct aio_contexts *all);

extern struct tunable aio_max_nr; /* fs.aio-max-nr: requests that contexts were set up for, in the whole sandbox */
uint64_t aio_nr(void);		  /* how many there are */

/* A context for nr requests, that nobody can find yet: *out owned.  -EINVAL, -EAGAIN (too many), -ENOMEM. */
int aio_ctx_new(unsigned nr, struct aio_ctx **out) MUST_CHECK;
/* Puts it (consumed) where aio_ctx_find finds it by id. */
void aio_ctx_publish(struct aio_contexts *all, struct aio_ctx *ctx, uint64_t id);
/* Counted, or NULL. */
struct aio_ctx *aio_ctx_find(struct aio_contexts *all, uint64_t id);
void aio_ctx_put(struct aio_ctx *ctx);
/* Takes it out and ends what waits in it; -EINVAL if there is none. */
int aio_ctx_destroy(struct aio_contexts *all, uint64_t id) MUST_CHECK;
/* Most requests that it takes. */
unsigned aio_ctx_capacity(const struct aio_ctx *ctx);

/* A request for the iocb at obj, in ctx, which the caller holds until the request is done with or waits.  -EAGAIN: no
 * room. */
int aio_req_new(struct aio_ctx *ctx, uint64_t obj, uint64_t data, struct aio_req **out) MUST_CHECK;
/* An eventfd (consumed) that is to be told of the event. */
void aio_req_set_eventfd(struct aio_req *req, struct file *eventfd);
/* Nothing came of it, and no event: takes it back. */
void aio_req_cancel(struct aio_req *req);
/* Consumes req: its event can be fetched. */
void aio_req_complete(struct aio_req *req, int64_t res);

/* Completes req (consumed upon success) once one of events (L_POLL*) is true of f (borrowed), which may be now.
 * -EINVAL: f tells of no changes; -EAGAIN. */
int aio_req_poll(struct aio_req *req, struct file *f, uint32_t events) MUST_CHECK;
/* Ends the poll for the iocb at obj, with an event of no result; -EINVAL if none waits. */
int aio_poll_cancel(struct aio_ctx *ctx, uint64_t obj) MUST_CHECK;

/* Takes count events, the first-th and following of a call; an error leaves them where they were. */
typedef int aio_put(void *arg, size_t first, const struct l_io_event *events, size_t count);
/* io_getevents(2): gives at most max events to put, and waits for min of them until the monotonic clock reaches
 * deadline_ns (0: not at all).  The count; -EINVAL if the context was destroyed, -ERESTARTSYS, or put's error, if none
 * was given. */
long aio_get_events(struct aio_ctx *ctx, size_t min, size_t max, int64_t deadline_ns, aio_put *put,
		    void *arg) MUST_CHECK;

#endif
