/*
 * timerfd_create(2): a timer whose expirations are read from a file.
 *
 * A periodic timer is not kept going while nobody reads: when it expires it says so once, and the periods that have
 * passed are counted, and the timer set again, by the next read or look at it.
 *
 * DIVERGES: a deadline on the real-time clock is turned into a monotonic one when it is set; steps of the host's clock
 * after that neither move it nor cancel it (TFD_TIMER_CANCEL_ON_SET is accepted).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/time/clock.h"
#include "sentry/time/timer.h"
#include "sentry/vfs/vfs.h"

struct timerfd {
	int clock; /* immutable */
	struct ktimer timer;
	struct waitqueue wq;
	struct mutex lock;
	/* Guarded by lock. */
	int64_t expiry_ns;   /* on the monotonic clock; 0: disarmed */
	int64_t interval_ns; /* 0: once */
	bool expired;	     /* and not yet set again */
	uint64_t ticks;	     /* not yet read */
	unsigned settime_flags;
};

static const struct file_ops timerfd_ops;

bool timerfd_file_is(const struct file *f)
{
	return f->ops == &timerfd_ops;
}

/* On the timers' thread.  What it was set for may have been changed since. */
static void on_expiry(struct ktimer *kt, void *arg)
{
	struct timerfd *tf = arg;
	bool due;

	mutex_lock(&tf->lock);
	due = tf->expiry_ns && !tf->expired && monotonic_now() >= tf->expiry_ns;
	if (due) {
		tf->expired = true;
		tf->ticks++;
	}
	mutex_unlock(&tf->lock);
	if (due)
		waitqueue_wake(&tf->wq, L_POLLIN);
}

/* Brings a periodic timer that has expired up to date.  lock held. */
static void catch_up(struct timerfd *tf)
{
	int64_t periods;

	if (!tf->expired || !tf->interval_ns)
		return;
	periods = 1 + (monotonic_now() - tf->expiry_ns) / tf->interval_ns;
	tf->ticks += (uint64_t)periods - 1; /* the first was counted when it expired */
	tf->expired = false;
	if (__builtin_mul_overflow(periods, tf->interval_ns, &periods) ||
	    __builtin_add_overflow(tf->expiry_ns, periods, &tf->expiry_ns))
		tf->expiry_ns = NO_DEADLINE;
	(void)!ktimer_set(&tf->timer, tf->expiry_ns); /* the helper thread runs: the timer has expired once */
}

static bool take(struct timerfd *tf, uint64_t *ticks)
{
	mutex_lock(&tf->lock);
	if (tf->ticks)
		catch_up(tf);
	*ticks = tf->ticks;
	tf->ticks = 0;
	mutex_unlock(&tf->lock);
	return *ticks != 0;
}

static ssize_t timerfd_read(struct file *f, struct uio *u, int64_t pos)
{
	struct timerfd *tf = f->priv;
	uint64_t ticks;
	int r;

	if (uio_left(u) < sizeof(ticks))
		return -EINVAL;
	if (!take(tf, &ticks)) {
		if (file_nonblock(f))
			return -EAGAIN;
		r = wait_event(&tf->wq, take(tf, &ticks));
		if (r < 0)
			return r;
	}
	return uio_put(u, &ticks, sizeof(ticks)) == sizeof(ticks) ? (ssize_t)sizeof(ticks) : -EFAULT;
}

static uint32_t timerfd_poll(struct file *f, struct wait_entry *e)
{
	struct timerfd *tf = f->priv;
	uint32_t events;

	if (e)
		waitqueue_add(&tf->wq, e);
	mutex_lock(&tf->lock);
	events = tf->ticks ? L_POLLIN : 0;
	mutex_unlock(&tf->lock);
	return events;
}

static void read_setting(struct timerfd *tf, struct l_itimerspec *out)
{
	int64_t left = 0;

	catch_up(tf);
	if (tf->expiry_ns && !tf->expired)
		left = max_of(tf->expiry_ns - monotonic_now(), (int64_t)1); /* 0 would say that it is disarmed */
	out->it_value = ns_to_timespec(left);
	out->it_interval = ns_to_timespec(tf->interval_ns);
}

void timerfd_get(struct file *f, struct l_itimerspec *out)
{
	struct timerfd *tf = f->priv;

	mutex_lock(&tf->lock);
	read_setting(tf, out);
	mutex_unlock(&tf->lock);
}

int timerfd_set(struct file *f, unsigned flags, const struct l_itimerspec *spec, struct l_itimerspec *old)
{
	bool armed = spec->it_value.tv_sec || spec->it_value.tv_nsec, absolute = flags & L_TFD_TIMER_ABSTIME;
	struct timerfd *tf = f->priv;
	int r = 0;

	mutex_lock(&tf->lock);
	read_setting(tf, old);
	/* A callback that is on its way finds what is set here, and judges by that. */
	ktimer_cancel_nowait(&tf->timer);
	tf->expired = false;
	tf->ticks = 0;
	tf->settime_flags = flags;
	tf->interval_ns = timespec_to_ns(&spec->it_interval);
	tf->expiry_ns = 0;
	if (armed) {
		tf->expiry_ns = absolute ? deadline_at(tf->clock, &spec->it_value) : deadline_after(&spec->it_value);
		tf->expiry_ns = max_of(tf->expiry_ns, (int64_t)1);
		r = ktimer_set(&tf->timer, tf->expiry_ns);
		if (r < 0)
			tf->expiry_ns = 0;
	}
	mutex_unlock(&tf->lock);
	return r;
}

static void timerfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct timerfd *tf = f->priv;
	struct l_itimerspec now;

	mutex_lock(&tf->lock);
	read_setting(tf, &now);
	snprintf(buf, size,
		 "clockid: %d\nticks: %" PRIu64 "\nsettime flags: 0%o\nit_value: (%" PRId64 ", %" PRId64
		 ")\nit_interval: (%" PRId64 ", %" PRId64 ")\n",
		 tf->clock, tf->ticks, tf->settime_flags, now.it_value.tv_sec, now.it_value.tv_nsec,
		 now.it_interval.tv_sec, now.it_interval.tv_nsec);
	mutex_unlock(&tf->lock);
}

static void timerfd_release(struct file *f)
{
	struct timerfd *tf = f->priv;

	ktimer_cancel(&tf->timer);
	waitqueue_destroy(&tf->wq);
	mutex_destroy(&tf->lock);
	free(tf);
}

static const struct file_ops timerfd_ops = {
	.lseek = file_lseek_noop,
	.read = timerfd_read,
	.poll = timerfd_poll,
	.fdinfo = timerfd_fdinfo,
	.release = timerfd_release,
};

int timerfd_file_new(int clock, uint32_t flags, const struct cred *c, struct file **out)
{
	struct timerfd *tf = calloc(1, sizeof(*tf));
	int r;

	if (!tf)
		return -ENOMEM;
	tf->clock = clock;
	ktimer_init(&tf->timer, on_expiry, tf);
	mutex_init(&tf->lock);
	waitqueue_init(&tf->wq);
	r = file_anonymous("anon_inode:[timerfd]", &timerfd_ops, tf, L_O_RDWR | (flags & L_O_NONBLOCK),
			   FILE_READ | FILE_WRITE | FILE_STREAM, c, out);
	if (r < 0)
		free(tf);
	return r;
}
