/*
 * Pipes that are lent.  A pipe that is used in small pieces, a read and a write by turns, each by one thread, is lent to these
 * two: the platform answers their read(2) and write(2) from a ring (platform.h) as long as there are bytes, or there is room.
 * For that
 *
 *     it is not a FIFO, whose uses inotify may tell of;
 *     both ends are open once, each in one descriptor table and nowhere else, and neither is O_NONBLOCK or O_DIRECT;
 *     nobody hangs on the pipe's queue, nor is to get a signal from it.
 *
 * Each thread's end is lent in a call of its own, as it wants a slot in its own hands; with the second one the ring is opened.
 * All else that anybody does with the pipe, or with a descriptor of it, takes it back first: by pipe_lock, or by file.lent,
 * which every way out of a descriptor table looks at.  So the ring changes nothing of what a pipe does, but for this: bytes
 * that come back are in one page, where those of Linux may lie in two, so that for as long up to a page more fits into the
 * pipe.
 *
 * A loan that does not last is not worth its making: then more uses are wanted before the next.
 */
#include "abi/fcntl.h"
#include "abi/resource.h"
#include "base/checked.h"
#include "host/pages.h"
#include "platform/platform.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

#define LEND_AFTER 16u
#define LEND_AFTER_MAX 4096u
/* A loan that was shorter was in vain. */
#define WORTH_NS 500000

_Static_assert(PAGE_SIZE == PRING_SIZE, "a ring's bytes fit a page");

static struct pipe_buf *first_buf(struct pipe *p) REQUIRES(p->lock)
{
	return &p->bufs[p->first];
}

static void lend_later(struct pipe_loan *l)
{
	l->uses = 0;
	l->after = min_of(max_of(l->after, LEND_AFTER) * 2, LEND_AFTER_MAX);
}

/* Puts what was in the ring into the pipe, which is empty, by exchanging pages. */
static void put_back(struct pipe *p, size_t len) REQUIRES(p->lock)
{
	struct pipe_buf *b = first_buf(p);
	uint8_t *page = b->page;

	if (!len)
		return;
	b->page = p->loan.page;
	p->loan.page = page;
	b->off = 0;
	b->len = (uint32_t)len;
	b->packet = false;
	p->used = 1;
}

/*
 * Closes the ring.  A read that sleeps there goes on in the sentry, with the file that it has slept with, whatever becomes of
 * its descriptor before its thread comes over (task.nap_file).
 */
static void close_ring(struct pipe *p) REQUIRES(p->lock)
{
	struct pipe_loan *l = &p->loan;
	struct file *reader = l->end[0] ? file_get(l->end[0]) : NULL;
	bool owed;
	size_t len = pring_close(l->ring, l->page, reader, &owed);

	l->ring = NULL;
	if (l->open)
		put_back(p, len);
	if (reader && !owed)
		file_put(reader); /* not the last: its table has one as long as it is lent */
}

static void take_back(struct pipe *p) REQUIRES(p->lock)
{
	struct pipe_loan *l = &p->loan;
	bool any = l->ring;

	if (any)
		close_ring(p);
	/* Only now: who finds an end not lent changes what its descriptor means. */
	for (unsigned i = 0; i < 2; i++) {
		if (l->end[i])
			atomic_store(&l->end[i]->lent, false);
		l->end[i] = NULL;
	}
	if (!any)
		return;
	if (l->open && monotonic_now() - l->since_ns >= WORTH_NS) {
		l->after = LEND_AFTER;
		l->uses = 0;
	} else {
		lend_later(l);
	}
	l->open = false;
}

void pipe_lock(struct pipe *p)
{
	mutex_lock(&p->lock);
	if (UNLIKELY(p->loan.open))
		take_back(p);
}

void pipe_recall(struct file *f)
{
	struct pipe *p = f->priv;

	mutex_lock(&p->lock);
	take_back(p);
	mutex_unlock(&p->lock);
}

void pipe_loan_end(struct pipe *p)
{
	mutex_lock(&p->lock);
	take_back(p);
	mutex_unlock(&p->lock);
	host_page_free(p->loan.page);
}

/* Notes a use; true if it is time for a loan. */
static bool note_use(struct pipe_loan *l, const struct pctx *ctx, bool write, size_t n)
{
	if (n > PRING_SIZE || l->last[write] != ctx || l->last_as[write] != pas_serial(pctx_as(ctx)) || l->wrote == write)
		l->uses = 0;
	l->last[write] = ctx;
	l->last_as[write] = pas_serial(pctx_as(ctx));
	l->wrote = write;
	return ++l->uses > max_of(l->after, LEND_AFTER);
}

static bool may_lend(const struct pipe *p, const struct file *f) REQUIRES(p->lock)
{
	/* Sleeps in a ring are not counted for the limit (rt_limit.c). */
	if (process_rlimit(task_current()->process, L_RLIMIT_RTTIME) != L_RLIM_INFINITY)
		return false;
	return p->anonymous && p->readers == 1 && p->writers == 1 && p->slots > 1 &&
	       !(f->flags & (L_O_NONBLOCK | L_O_DIRECT)) && !f->async;
}

/* Lends f, an end, to ctx's thread. */
static bool lend_end(struct pipe *p, struct file *f, struct pctx *ctx, struct fdtable *t, int fd) REQUIRES(p->lock)
{
	bool write = f->mode & FILE_WRITE;
	struct pipe_loan *l = &p->loan;

	if (!l->page)
		l->page = host_page_alloc();
	if (!l->page)
		return false;
	if (!l->ring)
		l->ring = pring_new(ctx, l->last_as[!write]);
	else if (!pring_map(l->ring, ctx))
		return false;
	if (!l->ring || l->end[write] || !pring_give(l->ring, ctx, fd, write) || !fd_lend(t, fd, f))
		return false;
	l->end[write] = f;
	return true;
}

/* Both ends are lent: the pipe's bytes go to the ring.  False if that cannot be. */
static bool open_ring(struct pipe *p) REQUIRES(p->lock)
{
	const struct pipe_buf *b = first_buf(p);
	struct pipe_loan *l = &p->loan;

	if (p->used > 1 || (p->used == 1 && b->packet) || waitqueue_busy(&p->wq))
		return false;
	pring_open(l->ring, p->used ? b->page + b->off : NULL, p->used ? b->len : 0);
	p->used = 0;
	l->open = true;
	l->since_ns = monotonic_now();
	return true;
}

void pipe_lend(struct file *f, struct pctx *ctx, struct fdtable *t, int fd, size_t n)
{
	bool write = f->mode & FILE_WRITE;
	struct pipe *p = f->priv;
	struct pipe_loan *l = &p->loan;

	if (write && (f->mode & FILE_READ))
		return;
	pipe_lock(p);
	/* The writer's end first: a reader mostly is in its next read before the next write has come. */
	if (note_use(l, ctx, write, n) && (write || l->end[1]) && may_lend(p, f)) {
		if (!lend_end(p, f, ctx, t, fd) || (l->end[0] && l->end[1] && !open_ring(p))) {
			if (l->ring)
				take_back(p);
			else
				lend_later(l);
		}
	}
	mutex_unlock(&p->lock);
}
