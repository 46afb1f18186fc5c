/* eventfd(2): a counter that readers wait for. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/vfs/vfs.h"

struct eventfd {
	struct mutex lock;
	uint64_t count;	  /* guarded by lock; UINT64_MAX only by overflow of eventfd_file_signal */
	bool semaphore;	  /* immutable */
	uint32_t id;	  /* tells it from others; immutable */
	struct waitqueue wq;
};

static _Atomic uint32_t next_id;

/* Takes what a read gives; false if there is nothing. */
static bool take(struct eventfd *e, uint64_t *value)
{
	bool some;

	mutex_lock(&e->lock);
	some = e->count != 0;
	*value = e->semaphore ? some : e->count;
	e->count -= *value;
	mutex_unlock(&e->lock);
	return some;
}

/* Adds value; false if the counter would pass UINT64_MAX - 1. */
static bool add(struct eventfd *e, uint64_t value)
{
	bool fits;

	mutex_lock(&e->lock);
	fits = e->count < UINT64_MAX && value < UINT64_MAX - e->count;
	if (fits)
		e->count += value;
	mutex_unlock(&e->lock);
	return fits;
}

static ssize_t eventfd_read(struct file *f, struct uio *u, int64_t pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	int r;

	if (uio_left(u) < sizeof(value))
		return -EINVAL;
	if (!take(e, &value)) {
		if (file_nonblock(f))
			return -EAGAIN;
		r = wait_event(&e->wq, take(e, &value));
		if (r < 0)
			return r;
	}
	waitqueue_wake(&e->wq, L_POLLOUT);
	return uio_put(u, &value, sizeof(value)) == sizeof(value) ? (ssize_t)sizeof(value) : -EFAULT;
}

static ssize_t eventfd_write(struct file *f, struct uio *u, int64_t pos)
{
	struct eventfd *e = f->priv;
	uint64_t value;
	int r;

	if (uio_left(u) != sizeof(value))
		return -EINVAL;
	if (uio_take(u, &value, sizeof(value)) != sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	if (!add(e, value)) {
		if (file_nonblock(f))
			return -EAGAIN;
		r = wait_event(&e->wq, add(e, value));
		if (r < 0)
			return r;
	}
	waitqueue_wake(&e->wq, L_POLLIN);
	return sizeof(value);
}

void eventfd_file_signal(struct file *f, uint64_t n)
{
	struct eventfd *e = f->priv;
	uint64_t sum;

	mutex_lock(&e->lock);
	e->count = checked_add(e->count, n, &sum) ? sum : UINT64_MAX;
	mutex_unlock(&e->lock);
	waitqueue_wake(&e->wq, L_POLLIN);
}

static uint32_t eventfd_poll(struct file *f, struct wait_entry *entry)
{
	struct eventfd *e = f->priv;
	uint32_t events = 0;

	if (entry)
		waitqueue_add(&e->wq, entry);
	mutex_lock(&e->lock);
	if (e->count > 0)
		events |= L_POLLIN;
	if (e->count == UINT64_MAX)
		events |= L_POLLERR;
	if (e->count < UINT64_MAX - 1)
		events |= L_POLLOUT;
	mutex_unlock(&e->lock);
	return events;
}

static void eventfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct eventfd *e = f->priv;
	uint64_t count;

	mutex_lock(&e->lock);
	count = e->count;
	mutex_unlock(&e->lock);
	snprintf(buf, size, "eventfd-count: %16" PRIx64 "\neventfd-id: %u\neventfd-semaphore: %d\n", count, e->id, e->semaphore);
}

static void eventfd_release(struct file *f)
{
	struct eventfd *e = f->priv;

	waitqueue_destroy(&e->wq);
	mutex_destroy(&e->lock);
	free(e);
}

static const struct file_ops eventfd_ops = {
	.lseek = file_lseek_noop,
	.read = eventfd_read,
	.write = eventfd_write,
	.by_piece = FILE_WRITE,
	.poll = eventfd_poll,
	.fdinfo = eventfd_fdinfo,
	.release = eventfd_release,
};

bool eventfd_file_is(const struct file *f)
{
	return f->ops == &eventfd_ops;
}

int eventfd_file_new(uint32_t initial, uint32_t flags, const struct cred *c, struct file **out)
{
	struct eventfd *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock);
	waitqueue_init(&e->wq);
	e->count = initial;
	e->semaphore = (flags & L_EFD_SEMAPHORE) != 0;
	e->id = atomic_fetch_add(&next_id, 1) & INT32_MAX;
	r = file_anonymous("anon_inode:[eventfd]", &eventfd_ops, e, L_O_RDWR | (flags & L_EFD_NONBLOCK),
			   FILE_READ | FILE_WRITE | FILE_STREAM, c, out);
	if (r < 0)
		free(e);
	return r;
}
