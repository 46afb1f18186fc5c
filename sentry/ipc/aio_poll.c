/*
 * IOCB_CMD_POLL: a request that hangs on a file's wait queue until the file is ready.
 *
 * The queue's callback may do little, as it comes with the queue locked: it sets a timer that is due at once, and the
 * timer thread looks at the file.  A request is finished by whoever takes it off its context's list of polls, and by
 * nobody else; that one leaves the queue first and takes the timer off then, so that nothing of the request is in use
 * any more.
 */
#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/ipc/aio_internal.h"
#include "sentry/vfs/vfs.h"

/* True if the caller is to finish req. */
static bool claim(struct aio_req *req)
{
	bool ours;

	mutex_lock(&req->ctx->lock);
	ours = !list_empty(&req->node);
	list_del_init(&req->node);
	mutex_unlock(&req->ctx->lock);
	return ours;
}

/* req has been claimed.  Drops what it holds and completes it. */
static void finish(struct aio_req *req, uint32_t events)
{
	struct aio_ctx *ctx = req->ctx;
	struct file *f = req->file;

	waitqueue_remove(&req->wait);
	ktimer_cancel(&req->look);
	req->file = NULL;
	file_put(f);
	aio_req_complete(req, events);
	aio_ctx_put(ctx);
}

/* On the timer thread: the file told of something. */
static void look(struct ktimer *kt, void *arg)
{
	struct aio_req *req = arg;
	uint32_t events = file_poll(req->file, NULL) & req->events;

	(void)kt;
	if (events && claim(req))
		finish(req, events);
}

/* The file's queue is locked. */
static bool on_wake(struct wait_entry *e, uint32_t events)
{
	struct aio_req *req = e->arg;

	if (events && !(events & req->events))
		return false;
	req->told = true;
	return ktimer_set(&req->look, 0) == 0; /* it was set before: it cannot fail */
}

/* Leaves req, which hangs on its file's queue, to what the queue tells; now: what was true then. */
static void await(struct aio_req *req, uint32_t now)
{
	struct aio_ctx *ctx = req->ctx;
	bool dead;

	mutex_lock(&ctx->lock);
	dead = ctx->dead;
	if (!dead) {
		list_add_tail(&req->node, &ctx->polls);
		/* A look that came until now could not claim it.  With the lock, as it may be another's afterwards. */
		if (now || req->told)
			(void)!ktimer_set(&req->look, 0);
	}
	mutex_unlock(&ctx->lock);
	if (dead)
		finish(req, 0);
}

int aio_req_poll(struct aio_req *req, struct file *f, uint32_t events)
{
	uint32_t now;
	int r;

	events |= L_POLLERR | L_POLLHUP;
	now = file_poll(f, NULL) & events;
	if (now) {
		aio_req_complete(req, now);
		return 0;
	}
	if (!f->ops->poll)
		return -EINVAL;
	ktimer_init(&req->look, look, req);
	r = ktimer_set(&req->look, INT64_MAX);
	if (r < 0)
		return r;
	req->file = file_get(f);
	req->events = events;
	req->wait = (struct wait_entry){.wake = on_wake, .arg = req};
	list_init(&req->wait.node);
	refcount_inc(&req->ctx->refs);
	await(req, file_poll(f, &req->wait) & events);
	return 0;
}

int aio_poll_cancel(struct aio_ctx *ctx, uint64_t obj)
{
	struct aio_req *req, *found = NULL;

	mutex_lock(&ctx->lock);
	list_for_each_entry (req, &ctx->polls, node) {
		if (req->event.obj == obj) {
			found = req;
			break;
		}
	}
	if (found)
		list_del_init(&found->node);
	mutex_unlock(&ctx->lock);
	if (!found)
		return -EINVAL;
	finish(found, 0);
	return 0;
}

void aio_polls_end(struct aio_ctx *ctx)
{
	struct aio_req *req;

	for (;;) {
		req = NULL;
		mutex_lock(&ctx->lock);
		if (!list_empty(&ctx->polls)) {
			req = list_first_entry(&ctx->polls, struct aio_req, node);
			list_del_init(&req->node);
		}
		mutex_unlock(&ctx->lock);
		if (!req)
			return;
		finish(req, 0);
	}
}
