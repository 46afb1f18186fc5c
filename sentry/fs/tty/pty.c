/* The two ends of a pseudo-terminal: opening, reading, writing, poll, hang-up.  See pty.h. */
#include "sentry/fs/tty/pty.h"

#include <stdio.h>
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "abi/time.h"
#include "base/checked.h"
#include "host/clock.h"
#include "sentry/task/task.h"

#define CHUNK 2048u /* of a write: what is not torn apart by other writers */
#define READ_EVENTS (L_POLLIN | L_POLLRDNORM)
#define WRITE_EVENTS (L_POLLOUT | L_POLLWRNORM)
#define ALL_EVENTS (READ_EVENTS | WRITE_EVENTS | L_POLLERR | L_POLLHUP)

/* ---- life ---- */

static bool never_away(struct tty *tty)
{
	return false;
}

static int attach(struct tty *tty, struct file *f)
{
	return pty_open_slave(container_of(tty, struct pty, tty), f);
}

static const struct tty_ops pty_tty_ops = {.is_away = never_away, .attach = attach, .hangup = pty_hang_up};

int pty_new(struct inode *i, struct devpts *fs, unsigned index, struct pty **out)
{
	struct pty *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->tty.ops = &pty_tty_ops;
	p->tty.inode = i;
	p->fs = fs;
	p->index = index;
	p->locked = true;
	p->pending = (struct ring){p->pending_data, PTY_PENDING_SIZE, 0, 0};
	line_init(&p->line);
	mutex_init(&p->lock);
	waitqueue_init(&p->slave_wq);
	waitqueue_init(&p->master_wq);
	i->priv = p;
	*out = p;
	return 0;
}

void pty_free(struct pty *p)
{
	waitqueue_destroy(&p->slave_wq);
	waitqueue_destroy(&p->master_wq);
	mutex_destroy(&p->lock);
	free(p);
}

static void make_stream(struct pty *p, struct file *f, const struct file_ops *ops)
{
	inode_get(p->tty.inode);
	f->ops = ops;
	f->priv = p;
	f->mode = (f->mode & ~FILE_PREAD) | FILE_STREAM;
}

void pty_open_master(struct pty *p, struct file *f)
{
	make_stream(p, f, &pty_master_ops);
}

int pty_open_slave(struct pty *p, struct file *f)
{
	bool noctty = (f->flags & L_O_NOCTTY) || f->inode != p->tty.inode; /* by /dev/tty it is the caller's already */
	int r = 0;

	mutex_lock(&p->lock);
	if (p->locked || p->master_closed)
		r = -EIO;
	else if (p->exclusive && !cred_capable(f->cred, L_CAP_SYS_ADMIN))
		r = -EBUSY;
	if (r == 0) {
		p->slave_count++;
		p->slave_closed = false;
		f->version = p->hangups;
	}
	mutex_unlock(&p->lock);
	if (r < 0)
		return r;
	make_stream(p, f, &pty_slave_ops);
	if (!noctty && (f->mode & FILE_READ))
		tty_opened(&p->tty);
	return 0;
}

bool pty_is_hung_up(struct pty *p, const struct file *f)
{
	return f->ops == &pty_slave_ops && f->version != p->hangups;
}

static void wake_all(struct pty *p)
{
	waitqueue_wake(&p->slave_wq, ALL_EVENTS);
	waitqueue_wake(&p->master_wq, ALL_EVENTS | L_POLLPRI);
}

void pty_hang_up(struct tty *tty)
{
	struct pty *p = container_of(tty, struct pty, tty);

	mutex_lock(&p->lock);
	p->hangups++;
	p->exclusive = p->packet = false;
	ring_clear(&p->pending);
	line_reset(&p->line);
	mutex_unlock(&p->lock);
	tty_lost(tty);
	wake_all(p);
}

static void release_slave(struct file *f)
{
	struct pty *p = pty_of(f);

	mutex_lock(&p->lock);
	if (--p->slave_count == 0)
		p->slave_closed = true;
	mutex_unlock(&p->lock);
	wake_all(p);
	inode_put(p->tty.inode);
}

static void release_master(struct file *f)
{
	struct pty *p = pty_of(f);

	mutex_lock(&p->lock);
	p->master_closed = true;
	mutex_unlock(&p->lock);
	devpts_remove(p);
	pty_hang_up(&p->tty);
	inode_put(p->tty.inode);
}

/* ---- what a change brings about ---- */

static void signal_foreground(struct pty *p, uint64_t signals)
{
	for (int sig = 1; sig <= L_SIGTSTP; sig++)
		if (signals & (1ull << (sig - 1)))
			tty_signal(&p->tty, sig);
}

void pty_changed(struct pty *p)
{
	uint32_t to_slave = 0, to_master = 0;
	bool input = false, output;
	uint64_t signals;

	while (ring_used(&p->pending) && line_accepts(&p->line)) {
		line_input(&p->line, ring_get(&p->pending));
		input = true;
	}
	line_flush_echo(&p->line);
	signals = p->line.signals;
	p->line.signals = 0;
	if (line_ready(&p->line, 1))
		to_slave |= READ_EVENTS;
	if (line_writable(&p->line))
		to_slave |= WRITE_EVENTS;
	if (ring_used(&p->line.out))
		to_master |= READ_EVENTS;
	if (ring_room(&p->pending))
		to_master |= WRITE_EVENTS;
	if (!p->packet)
		p->line.events = 0;
	else if (p->line.events)
		to_master |= READ_EVENTS | L_POLLPRI;
	output = p->out_told != p->line.out.head;
	p->out_told = p->line.out.head;
	mutex_unlock(&p->lock);
	if (to_slave)
		waitqueue_wake(&p->slave_wq, to_slave);
	if (to_master)
		waitqueue_wake(&p->master_wq, to_master);
	if (input && (to_slave & READ_EVENTS))
		fasync_tell(&p->slave_async, L_POLL_IN);
	if (output)
		fasync_tell(&p->master_async, L_POLL_IN);
	signal_foreground(p, signals);
}

/* ---- the slave: reading ---- */

static bool slave_readable(struct file *f)
{
	struct pty *p = pty_of(f);
	bool r;

	mutex_lock(&p->lock);
	r = pty_is_hung_up(p, f) || line_ready(&p->line, 1);
	mutex_unlock(&p->lock);
	return r;
}

struct slave_read {
	uint8_t buf[LINE_SIZE];
	size_t size, got;
	int64_t deadline_ns;
	bool done; /* nothing is to be waited for any more */
};

/*
 * Takes what is there and decides whether that will do: a line; or without ICANON VMIN bytes (one, if that is 0), or what came
 * until VTIME tenths of a second had passed: since the start if VMIN is 0, else since the last byte.
 */
static void read_step(struct file *f, struct slave_read *rd)
{
	struct pty *p = pty_of(f);
	unsigned min, time;
	size_t n = 0;
	bool ended, raw;

	mutex_lock(&p->lock);
	raw = !line_is_canonical(&p->line);
	min = p->line.t.c_cc[L_VMIN];
	time = p->line.t.c_cc[L_VTIME];
	if (line_is_external(&p->line)) {
		min = 1;
		time = 0;
	}
	if (pty_is_hung_up(p, f))
		rd->done = true;
	else
		n = line_read(&p->line, rd->buf + rd->got, rd->size - rd->got, &ended);
	if (!rd->done)
		rd->done = ended;
	pty_changed(p);
	rd->got += n;
	if (rd->done || !raw)
		return;
	rd->done = rd->got >= min_of((size_t)(min ? min : 1), rd->size) || (!min && !time);
	if (time && ((min && n) || (!min && rd->deadline_ns == NO_DEADLINE)))
		rd->deadline_ns = host_clock_ns(L_CLOCK_MONOTONIC) + time * (L_NSEC_PER_SEC / 10);
}

static bool is_hung_up(struct file *f)
{
	struct pty *p = pty_of(f);
	bool r;

	mutex_lock(&p->lock);
	r = pty_is_hung_up(p, f);
	mutex_unlock(&p->lock);
	return r;
}

static ssize_t slave_read(struct file *f, struct uio *u, int64_t pos)
{
	struct pty *p = pty_of(f);
	struct slave_read rd = {.size = min_of(uio_left(u), (uint64_t)LINE_SIZE), .deadline_ns = NO_DEADLINE};
	int r;

	if (is_hung_up(f) || rd.size == 0)
		return 0;
	r = tty_check_job(&p->tty, L_SIGTTIN);
	while (r == 0) {
		read_step(f, &rd);
		if (rd.done)
			break;
		r = file_nonblock(f) ? -EAGAIN : wait_event_deadline(&p->slave_wq, rd.deadline_ns, slave_readable(f));
	}
	if (rd.got)
		return uio_put(u, rd.buf, rd.got);
	return r == -ETIMEDOUT ? 0 : r;
}

/* ---- the slave: writing ---- */

static bool slave_writable(struct file *f)
{
	struct pty *p = pty_of(f);
	bool r;

	mutex_lock(&p->lock);
	r = pty_is_hung_up(p, f) || line_writable(&p->line);
	mutex_unlock(&p->lock);
	return r;
}

static int may_write(struct file *f)
{
	struct pty *p = pty_of(f);
	bool hung_up, tostop;

	mutex_lock(&p->lock);
	hung_up = pty_is_hung_up(p, f);
	tostop = line_has(p->line.t.c_lflag, L_TOSTOP);
	mutex_unlock(&p->lock);
	if (hung_up)
		return -EIO;
	return tostop ? tty_check_job(&p->tty, L_SIGTTOU) : 0;
}

/* How many bytes went, or -errno; never 0 of some. */
static ssize_t slave_put(struct file *f, const uint8_t *buf, size_t len)
{
	struct pty *p = pty_of(f);

	for (;;) {
		size_t n = 0;
		bool hung_up;
		int r;

		mutex_lock(&p->lock);
		hung_up = pty_is_hung_up(p, f);
		if (!hung_up)
			n = line_output(&p->line, buf, len);
		pty_changed(p);
		if (hung_up)
			return -EIO;
		if (n)
			return (ssize_t)n;
		r = file_nonblock(f) ? -EAGAIN : wait_event(&p->slave_wq, slave_writable(f));
		if (r < 0)
			return r;
	}
}

typedef ssize_t put_fn(struct file *f, const uint8_t *buf, size_t len);

/* Brings all of u away by put, which takes as much as there is room for. */
static ssize_t write_all(struct file *f, struct uio *u, put_fn *put)
{
	uint8_t buf[CHUNK];
	ssize_t total = 0, n = 0;

	while (uio_left(u)) {
		size_t want = min_of(uio_left(u), (uint64_t)sizeof(buf)), done = 0, got;

		n = uio_take(u, buf, want);
		if (n <= 0)
			break;
		for (got = (size_t)n; done < got; done += (size_t)n) {
			n = put(f, buf + done, got - done);
			if (n < 0)
				break;
			total += n;
		}
		if (n < 0 || got < want)
			break;
	}
	return total ? total : n;
}

static ssize_t slave_write(struct file *f, struct uio *u, int64_t pos)
{
	int r = may_write(f);

	return r < 0 ? r : write_all(f, u, slave_put);
}

static uint32_t slave_poll(struct file *f, struct wait_entry *e)
{
	struct pty *p = pty_of(f);
	uint32_t events = 0, min;

	if (e)
		waitqueue_add(&p->slave_wq, e);
	mutex_lock(&p->lock);
	min = p->line.t.c_cc[L_VTIME] ? 1 : max_of(p->line.t.c_cc[L_VMIN], 1);
	if (pty_is_hung_up(p, f)) {
		events = ALL_EVENTS;
	} else {
		if (line_ready(&p->line, min))
			events |= READ_EVENTS;
		if (line_writable(&p->line))
			events |= WRITE_EVENTS;
	}
	mutex_unlock(&p->lock);
	return events;
}

/* ---- the master ---- */

static bool master_readable(struct pty *p)
{
	bool r;

	mutex_lock(&p->lock);
	r = ring_used(&p->line.out) || p->slave_closed || (p->packet && p->line.events);
	mutex_unlock(&p->lock);
	return r;
}

/* What is there for the screen; in packet mode with the byte before it, or that alone. */
static ssize_t take_output(struct pty *p, uint8_t *buf, size_t size) REQUIRES(p->lock)
{
	size_t n = 0;

	if (p->packet && p->line.events) {
		buf[0] = p->line.events;
		p->line.events = 0;
		return 1;
	}
	if (ring_used(&p->line.out) == 0)
		return p->slave_closed ? -EIO : -EAGAIN;
	if (p->packet)
		buf[n++] = L_TIOCPKT_DATA;
	while (n < size && ring_used(&p->line.out))
		buf[n++] = ring_get(&p->line.out);
	return (ssize_t)n;
}

static ssize_t master_read(struct file *f, struct uio *u, int64_t pos)
{
	struct pty *p = pty_of(f);
	uint8_t buf[LINE_SIZE];

	if (!uio_left(u))
		return 0;
	for (;;) {
		ssize_t n;
		int r;

		mutex_lock(&p->lock);
		n = take_output(p, buf, min_of(uio_left(u), (uint64_t)sizeof(buf)));
		pty_changed(p);
		if (n != -EAGAIN || file_nonblock(f))
			return n > 0 ? uio_put(u, buf, (size_t)n) : n;
		r = wait_event(&p->master_wq, master_readable(p));
		if (r < 0)
			return r;
	}
}

static bool master_writable(struct pty *p)
{
	bool r;

	mutex_lock(&p->lock);
	r = ring_room(&p->pending) && !p->master_held;
	mutex_unlock(&p->lock);
	return r;
}

static ssize_t master_put(struct file *f, const uint8_t *buf, size_t len)
{
	struct pty *p = pty_of(f);

	for (;;) {
		size_t n = 0;
		int r;

		mutex_lock(&p->lock);
		while (!p->master_held && n < len && ring_put(&p->pending, buf[n]))
			n++;
		pty_changed(p);
		if (n)
			return (ssize_t)n;
		r = file_nonblock(f) ? -EAGAIN : wait_event(&p->master_wq, master_writable(p));
		if (r < 0)
			return r;
	}
}

static ssize_t master_write(struct file *f, struct uio *u, int64_t pos)
{
	return write_all(f, u, master_put);
}

static uint32_t master_poll(struct file *f, struct wait_entry *e)
{
	struct pty *p = pty_of(f);
	uint32_t events = 0;

	if (e)
		waitqueue_add(&p->master_wq, e);
	mutex_lock(&p->lock);
	if (ring_used(&p->line.out))
		events |= READ_EVENTS;
	if (p->packet && p->line.events)
		events |= READ_EVENTS | L_POLLPRI;
	if (p->slave_closed)
		events |= L_POLLHUP;
	if (ring_room(&p->pending) && !p->master_held)
		events |= WRITE_EVENTS;
	mutex_unlock(&p->lock);
	return events;
}

/* ---- SIGIO ---- */

static int pty_fasync(struct file *f, int fd, bool on)
{
	struct pty *p = pty_of(f);
	int r = on ? tty_default_owner(&p->tty, f) : 0;

	return r < 0 ? r : fasync_set(f->ops == &pty_slave_ops ? &p->slave_async : &p->master_async, f, fd, on);
}

/* ---- the tables ---- */

const struct file_ops pty_slave_ops = {
	.read = slave_read,
	.write = slave_write,
	.poll = slave_poll,
	.ioctl = pty_ioctl,
	.fasync = pty_fasync,
	.release = release_slave,
};
static void master_fdinfo(struct file *f, char *buf, size_t size)
{
	snprintf(buf, size, "tty-index:\t%u\n", pty_of(f)->index);
}

const struct file_ops pty_master_ops = {
	.fdinfo = master_fdinfo,
	.read = master_read,
	.write = master_write,
	.poll = master_poll,
	.ioctl = pty_ioctl,
	.fasync = pty_fasync,
	.release = release_master,
};

struct tty *pty_tty(struct file *f)
{
	return f->ops == &pty_slave_ops ? &pty_of(f)->tty : NULL;
}
