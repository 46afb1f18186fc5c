/*
 * Linux AIO: decoding, and the transfers, which are done as they are submitted, as Linux does for whatever is cached.
 * Contexts, events and polls are in sentry/ipc/aio.c.
 *
 * Linux refuses some requests at their submission, and tells of other failures by the event: what is wrong with the
 * request is the former, what comes of doing it the latter.
 */
#include "abi/aio.h"
#include "abi/mman.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/ipc/aio.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/transfer.h"
#include "sentry/time/clock.h"

long sys_io_setup(struct task *t, const struct sys_args *args)
{
	struct aio_ctx *ctx;
	uint64_t id;
	int64_t page;
	int r;

	if (copy_in(t->ctx, &id, args->a[1], sizeof(id)) < 0)
		return -EFAULT;
	if (id)
		return -EINVAL;
	r = aio_ctx_new((unsigned)args->a[0], &ctx);
	if (r < 0)
		return r;
	/* For libraries that look there: see aio.h. */
	page = mm_map(t, t->mm, 0, PAGE_SIZE, L_PROT_READ, L_MAP_PRIVATE | L_MAP_ANONYMOUS, NULL, 0, VMA_PLAIN);
	if (page < 0) {
		aio_ctx_put(ctx);
		return page;
	}
	id = (uint64_t)page;
	aio_ctx_publish(&t->mm->aio, ctx, id);
	if (copy_out(t->ctx, args->a[1], &id, sizeof(id)) == 0)
		return 0;
	if (aio_ctx_destroy(&t->mm->aio, id) == 0)
		(void)!mm_unmap(t, t->mm, id, PAGE_SIZE);
	return -EFAULT;
}

long sys_io_destroy(struct task *t, const struct sys_args *args)
{
	int r = aio_ctx_destroy(&t->mm->aio, args->a[0]);

	if (r == 0) /* whatever is there by now, as on Linux */
		(void)!mm_unmap(t, t->mm, args->a[0], PAGE_SIZE);
	return r;
}

/* ---- submission ---- */

static int check_rw(const struct file *f, const struct l_iocb *cb, bool write)
{
	int r = cb->rw_flags ? transfer_check_flags(f, cb->rw_flags) : 0;

	if (r == 0)
		r = write ? file_check_write(f) : file_check_read(f);
	return r == -EISDIR ? -EINVAL : r;
}

/* Where the transfer begins; streams have no positions, and pay no heed to the request's. */
static int64_t transfer_position(const struct file *f, const struct l_iocb *cb)
{
	return (f->mode & FILE_STREAM) || !(f->mode & FILE_PREAD) ? OWN_POSITION : cb->offset;
}

static int do_rw(struct task *t, struct aio_req *req, struct file *f, const struct l_iocb *cb)
{
	bool write = cb->opcode == L_IOCB_CMD_PWRITE || cb->opcode == L_IOCB_CMD_PWRITEV;
	bool vector = cb->opcode == L_IOCB_CMD_PREADV || cb->opcode == L_IOCB_CMD_PWRITEV;
	struct ua_iov iov;
	long n;
	int r = check_rw(f, cb, write);

	if (r < 0)
		return r;
	if (vector)
		r = ua_iov_import(t->ctx, cb->buf, cb->nbytes, &iov);
	else
		r = ua_iov_single(cb->buf, cb->nbytes, &iov);
	if (r < 0)
		return r;
	if (cb->offset < 0) {
		r = -EINVAL;
	} else {
		n = transfer(t, f, &iov, transfer_position(f, cb), write, cb->rw_flags);
		aio_req_complete(req, n == -ERESTARTSYS ? -EINTR : n);
	}
	if (vector)
		ua_iov_free(&iov);
	return r;
}

static int do_sync(struct aio_req *req, struct file *f, const struct l_iocb *cb)
{
	if (cb->buf || cb->offset || cb->nbytes || cb->rw_flags || !f->ops->fsync)
		return -EINVAL;
	aio_req_complete(req, f->ops->fsync(f, cb->opcode == L_IOCB_CMD_FDSYNC));
	return 0;
}

static int do_poll(struct aio_req *req, struct file *f, const struct l_iocb *cb)
{
	if (cb->buf > UINT16_MAX || cb->offset || cb->nbytes || cb->rw_flags)
		return -EINVAL;
	return aio_req_poll(req, f, (uint32_t)cb->buf);
}

/* Consumes req upon success. */
static int start(struct task *t, struct aio_req *req, struct file *f, const struct l_iocb *cb)
{
	switch (cb->opcode) {
	case L_IOCB_CMD_PREAD:
	case L_IOCB_CMD_PWRITE:
	case L_IOCB_CMD_PREADV:
	case L_IOCB_CMD_PWRITEV:
		return do_rw(t, req, f, cb);
	case L_IOCB_CMD_FSYNC:
	case L_IOCB_CMD_FDSYNC:
		return do_sync(req, f, cb);
	case L_IOCB_CMD_POLL:
		return do_poll(req, f, cb);
	default:
		return -EINVAL;
	}
}

static int attach_eventfd(struct task *t, struct aio_req *req, uint32_t fd)
{
	struct file *f;
	int r = arg_file(t, fd, &f);

	if (r < 0)
		return r;
	if (!eventfd_file_is(f)) {
		file_put(f);
		return -EINVAL;
	}
	aio_req_set_eventfd(req, f);
	return 0;
}

static int submit_one(struct task *t, struct aio_ctx *ctx, uint64_t obj)
{
	const uint32_t key = L_KIOCB_KEY;
	struct aio_req *req;
	struct l_iocb cb;
	struct file *f;
	int r;

	if (copy_in(t->ctx, &cb, obj, sizeof(cb)) < 0)
		return -EFAULT;
	if (cb.reserved2 || (int64_t)cb.nbytes < 0)
		return -EINVAL;
	r = aio_req_new(ctx, obj, cb.data, &req);
	if (r < 0)
		return r;
	r = arg_file(t, cb.fildes, &f);
	if (r < 0) {
		aio_req_cancel(req);
		return r;
	}
	if (cb.flags & L_IOCB_FLAG_RESFD)
		r = attach_eventfd(t, req, cb.resfd);
	if (r == 0 && copy_out(t->ctx, obj + L_IOCB_KEY_OFF, &key, sizeof(key)) < 0)
		r = -EFAULT;
	if (r == 0)
		r = start(t, req, f, &cb);
	if (r < 0)
		aio_req_cancel(req);
	file_put(f);
	return r;
}

long sys_io_submit(struct task *t, const struct sys_args *args)
{
	struct aio_ctx *ctx;
	int64_t n = (int64_t)args->a[1], done;
	uint64_t obj;
	int r = 0;

	if (n < 0)
		return -EINVAL;
	ctx = aio_ctx_find(&t->mm->aio, args->a[0]);
	if (!ctx)
		return -EINVAL;
	n = min_of(n, (int64_t)aio_ctx_capacity(ctx) + 1);
	for (done = 0; done < n; done++) {
		r = copy_in(t->ctx, &obj, args->a[2] + (uint64_t)done * sizeof(obj), sizeof(obj)) < 0 ? -EFAULT : 0;
		if (r == 0)
			r = submit_one(t, ctx, obj);
		if (r < 0)
			break;
	}
	aio_ctx_put(ctx);
	return done ? done : r;
}

long sys_io_cancel(struct task *t, const struct sys_args *args)
{
	struct aio_ctx *ctx;
	uint32_t key;
	int r;

	if (copy_in(t->ctx, &key, args->a[1] + L_IOCB_KEY_OFF, sizeof(key)) < 0)
		return -EFAULT;
	if (key != L_KIOCB_KEY)
		return -EINVAL;
	ctx = aio_ctx_find(&t->mm->aio, args->a[0]);
	if (!ctx)
		return -EINVAL;
	r = aio_poll_cancel(ctx, args->a[1]);
	aio_ctx_put(ctx);
	return r < 0 ? r : -EINPROGRESS; /* success: the event comes as others do, and nothing is put at the last
					    argument */
}

/* ---- events ---- */

struct sink {
	struct task *t;
	uint64_t gva;
};

static int put_events(void *arg, size_t first, const struct l_io_event *events, size_t count)
{
	const struct sink *s = arg;

	return copy_out(s->t->ctx, s->gva + first * sizeof(*events), events, count * sizeof(*events)) < 0 ? -EFAULT : 0;
}

/* The time is not checked, as by Linux: what has passed means not to wait. */
static int read_deadline(struct task *t, uint64_t gva, int64_t *out)
{
	struct l_timespec ts;
	int64_t ns;

	*out = NO_DEADLINE;
	if (!gva)
		return 0;
	if (copy_in(t->ctx, &ts, gva, sizeof(ts)) < 0)
		return -EFAULT;
	if (__builtin_mul_overflow(ts.tv_sec, (int64_t)L_NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, ts.tv_nsec, &ns))
		ns = ts.tv_sec < 0 ? 0 : INT64_MAX;
	if (ns <= 0)
		*out = 0;
	else if (!__builtin_add_overflow(monotonic_now(), ns, &ns))
		*out = ns;
	return 0;
}

/* The arguments that both calls share: ctx_id, min_nr, nr, events. */
static long get_events(struct task *t, const struct sys_args *args, int64_t deadline)
{
	int64_t min = (int64_t)args->a[1], max = (int64_t)args->a[2];
	struct aio_ctx *ctx = aio_ctx_find(&t->mm->aio, args->a[0]);
	struct sink sink = {t, args->a[3]};
	long r = -EINVAL;

	if (!ctx)
		return -EINVAL;
	if (min >= 0 && min <= max)
		r = aio_get_events(ctx, (size_t)min, (size_t)max, deadline, put_events, &sink);
	aio_ctx_put(ctx);
	return r;
}

long sys_io_getevents(struct task *t, const struct sys_args *args)
{
	int64_t deadline;
	long r = read_deadline(t, args->a[4], &deadline);

	if (r == 0)
		r = get_events(t, args, deadline);
	return r == -ERESTARTSYS ? -EINTR : r;
}

long sys_io_pgetevents(struct task *t, const struct sys_args *args)
{
	struct l_sigset_argpack pack = {0};
	int64_t deadline;
	long r = read_deadline(t, args->a[4], &deadline);

	if (r == 0 && args->a[5] && copy_in(t->ctx, &pack, args->a[5], sizeof(pack)) < 0)
		r = -EFAULT;
	if (r == 0)
		r = arg_temporary_mask(t, pack.p, pack.size);
	if (r < 0)
		return r;
	r = get_events(t, args, deadline);
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}
