/* Contexts, requests and events of Linux AIO.  See aio.h. */
#include <stdatomic.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/ipc/aio_internal.h"
#include "sentry/vfs/vfs.h"

#define BATCH 32 /* events that are copied out at once */
/* Requests of all contexts together.  A context takes more than it was set up for (as Linux's do), many small ones by
 * far: this is what bounds the sentry's memory. */
#define MAX_REQUESTS 131072

struct tunable aio_max_nr = {65536, 0, 1 << 20, NULL};
static _Atomic uint64_t set_up;	  /* the sum of all contexts' nr */
static _Atomic unsigned requests; /* how many there are */

uint64_t aio_nr(void)
{
	return set_up;
}

/* ---- contexts ---- */

void aio_contexts_init(struct aio_contexts *all)
{
	mutex_init(&all->lock);
	list_init(&all->list);
}

/* What Linux makes room for: a ring of whole pages, with places for each CPU to keep some at hand. */
static unsigned ring_capacity(unsigned nr)
{
	uint64_t size = L_AIO_RING_SIZE + ((uint64_t)nr + 2) * sizeof(struct l_io_event);

	size = (size + PAGE_SIZE - 1) & PAGE_MASK;
	return (unsigned)((size - L_AIO_RING_SIZE) / sizeof(struct l_io_event)) - 1;
}

/* Counts nr more requests that were set up for, if there may be so many. */
static bool reserve(unsigned nr)
{
	uint64_t before = set_up;

	do
		if (before + nr > tunable_get(&aio_max_nr))
			return false;
	while (!atomic_compare_exchange_weak(&set_up, &before, before + nr));
	return true;
}

int aio_ctx_new(unsigned nr, struct aio_ctx **out)
{
	unsigned wanted = 2 * max_of(nr, host_cpu_count() * 4); /* wraps, as on Linux: then nr is past all limits */
	struct aio_ctx *ctx;

	if (nr == 0 || wanted > L_AIO_EVENTS_MAX)
		return -EINVAL;
	if (!wanted || !reserve(nr))
		return -EAGAIN;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx) {
		set_up -= nr;
		return -ENOMEM;
	}
	refcount_init(&ctx->refs, 1);
	list_init(&ctx->node);
	list_init(&ctx->polls);
	list_init(&ctx->done);
	mutex_init(&ctx->lock);
	waitqueue_init(&ctx->wq);
	ctx->nr = nr;
	ctx->capacity = ring_capacity(wanted);
	*out = ctx;
	return 0;
}

static void req_free(struct aio_req *req)
{
	if (req->eventfd)
		file_put(req->eventfd);
	free(req);
	requests--;
}

void aio_ctx_put(struct aio_ctx *ctx)
{
	struct aio_req *req, *next;

	if (!refcount_dec(&ctx->refs))
		return;
	list_for_each_entry_safe (req, next, &ctx->done, node)
		req_free(req);
	set_up -= ctx->nr;
	waitqueue_destroy(&ctx->wq);
	mutex_destroy(&ctx->lock);
	free(ctx);
}

void aio_ctx_publish(struct aio_contexts *all, struct aio_ctx *ctx, uint64_t id)
{
	ctx->id = id;
	mutex_lock(&all->lock);
	list_add_tail(&ctx->node, &all->list);
	mutex_unlock(&all->lock);
}

static struct aio_ctx *find_locked(struct aio_contexts *all, uint64_t id) REQUIRES(all->lock)
{
	struct aio_ctx *ctx;

	list_for_each_entry (ctx, &all->list, node)
		if (ctx->id == id)
			return ctx;
	return NULL;
}

struct aio_ctx *aio_ctx_find(struct aio_contexts *all, uint64_t id)
{
	struct aio_ctx *ctx;

	mutex_lock(&all->lock);
	ctx = find_locked(all, id);
	if (ctx)
		refcount_inc(&ctx->refs);
	mutex_unlock(&all->lock);
	return ctx;
}

/* Ends what waits in ctx (consumed), and wakes who waits for events. */
static void end(struct aio_ctx *ctx)
{
	mutex_lock(&ctx->lock);
	ctx->dead = true;
	mutex_unlock(&ctx->lock);
	aio_polls_end(ctx);
	waitqueue_wake(&ctx->wq, 0);
	aio_ctx_put(ctx);
}

int aio_ctx_destroy(struct aio_contexts *all, uint64_t id)
{
	struct aio_ctx *ctx;

	mutex_lock(&all->lock);
	ctx = find_locked(all, id);
	if (ctx)
		list_del_init(&ctx->node);
	mutex_unlock(&all->lock);
	if (!ctx)
		return -EINVAL;
	end(ctx);
	return 0;
}

void aio_contexts_destroy(struct aio_contexts *all)
{
	struct aio_ctx *ctx, *next;

	list_for_each_entry_safe (ctx, next, &all->list, node) {
		list_del_init(&ctx->node);
		end(ctx);
	}
	mutex_destroy(&all->lock);
}

unsigned aio_ctx_capacity(const struct aio_ctx *ctx)
{
	return ctx->capacity;
}

/* ---- requests ---- */

int aio_req_new(struct aio_ctx *ctx, uint64_t obj, uint64_t data, struct aio_req **out)
{
	struct aio_req *req;
	bool room;

	mutex_lock(&ctx->lock);
	room = ctx->used < ctx->capacity;
	if (room)
		ctx->used++;
	mutex_unlock(&ctx->lock);
	if (!room)
		return -EAGAIN;
	req = requests++ < MAX_REQUESTS ? calloc(1, sizeof(*req)) : NULL;
	if (!req) {
		requests--;
		mutex_lock(&ctx->lock);
		ctx->used--;
		mutex_unlock(&ctx->lock);
		return -EAGAIN;
	}
	list_init(&req->node);
	req->ctx = ctx;
	req->event.obj = obj;
	req->event.data = data;
	*out = req;
	return 0;
}

void aio_req_set_eventfd(struct aio_req *req, struct file *eventfd)
{
	req->eventfd = eventfd;
}

void aio_req_cancel(struct aio_req *req)
{
	mutex_lock(&req->ctx->lock);
	req->ctx->used--;
	mutex_unlock(&req->ctx->lock);
	req_free(req);
}

void aio_req_complete(struct aio_req *req, int64_t res)
{
	struct file *eventfd = req->eventfd;
	struct aio_ctx *ctx = req->ctx;

	req->eventfd = NULL;
	req->event.res = res;
	mutex_lock(&ctx->lock);
	list_add_tail(&req->node, &ctx->done);
	mutex_unlock(&ctx->lock);
	/* req may be gone from here on. */
	if (eventfd) {
		eventfd_file_signal(eventfd, 1);
		file_put(eventfd);
	}
	waitqueue_wake(&ctx->wq, 0);
}

/* ---- events ---- */

/* Takes the oldest events, at most max, off the context and on to list; the count. */
static size_t take(struct aio_ctx *ctx, struct l_io_event *events, size_t max, struct list_head *list)
{
	struct aio_req *req;
	size_t n = 0;

	mutex_lock(&ctx->lock);
	while (n < max && !list_empty(&ctx->done)) {
		req = list_first_entry(&ctx->done, struct aio_req, node);
		list_del_init(&req->node);
		list_add_tail(&req->node, list);
		events[n++] = req->event;
	}
	mutex_unlock(&ctx->lock);
	return n;
}

/* They were not taken: they come first again. */
static void give_back(struct aio_ctx *ctx, struct list_head *list)
{
	mutex_lock(&ctx->lock);
	list_splice_tail_init(&ctx->done, list);
	list_splice_tail_init(list, &ctx->done);
	mutex_unlock(&ctx->lock);
}

static void taken(struct aio_ctx *ctx, struct list_head *list, size_t n)
{
	struct aio_req *req, *next;

	mutex_lock(&ctx->lock);
	ctx->used -= (unsigned)n;
	mutex_unlock(&ctx->lock);
	list_for_each_entry_safe (req, next, list, node)
		req_free(req);
}

/* What is there, from the first-th of the call's events on and max of them altogether: the count, or put's error if it
 * took none. */
static long give(struct aio_ctx *ctx, size_t first, size_t max, aio_put *put, void *arg)
{
	struct l_io_event events[BATCH];
	struct list_head list;
	size_t given = 0, n;
	int r = 0;

	do {
		list_init(&list);
		n = take(ctx, events, min_of((size_t)BATCH, max - first - given), &list);
		if (n)
			r = put(arg, first + given, events, n);
		if (r < 0) {
			give_back(ctx, &list);
			break;
		}
		taken(ctx, &list, n);
		given += n;
	} while (n == BATCH);
	return given ? (long)given : r;
}

static bool something_came(struct aio_ctx *ctx)
{
	bool some;

	mutex_lock(&ctx->lock);
	some = ctx->dead || !list_empty(&ctx->done);
	mutex_unlock(&ctx->lock);
	return some;
}

static bool is_dead(struct aio_ctx *ctx)
{
	bool dead;

	mutex_lock(&ctx->lock);
	dead = ctx->dead;
	mutex_unlock(&ctx->lock);
	return dead;
}

long aio_get_events(struct aio_ctx *ctx, size_t min, size_t max, int64_t deadline_ns, aio_put *put, void *arg)
{
	int waited = deadline_ns ? 0 : -ETIMEDOUT;
	size_t got = 0;
	long r;

	for (;;) {
		r = give(ctx, got, max, put, arg);
		if (r > 0)
			got += (size_t)r;
		if (r >= 0 && is_dead(ctx))
			r = -EINVAL;
		if (r < 0 || got >= min || waited)
			break;
		waited = wait_event_deadline(&ctx->wq, deadline_ns, something_came(ctx));
	}
	if (got)
		return (long)got;
	if (r < 0)
		return r;
	return waited == -ETIMEDOUT ? 0 : waited;
}
