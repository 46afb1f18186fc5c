/*
 * poll(2), ppoll(2), select(2) and pselect6(2).  All wait by pollset.h; what is theirs is the decoding, and how each ends
 * when a signal comes: poll goes on through restart_syscall with its first deadline; the others write the time that
 * is left into the guest's timeout and start again with that.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "abi/resource.h"
#include "abi/time.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/pollset.h"
#include "sentry/time/clock.h"

#define MSEC_PER_SEC 1000
#define NSEC_PER_MSEC 1000000ll
#define STICKY_TIMEOUTS 0x4000000 /* personality(2): timeouts are left alone */

/* ---- timeouts and masks ---- */

/* A monotonic deadline for a relative time; 0, "do not wait", for none at all. */
static int64_t deadline_for(const struct l_timespec *rel)
{
	return rel->tv_sec || rel->tv_nsec ? deadline_after(rel) : 0;
}

static struct l_timespec time_left(int64_t deadline)
{
	return ns_to_timespec(max_of(deadline - monotonic_now(), (int64_t)0));
}

enum timeout_form { TIMEOUT_TIMESPEC, TIMEOUT_TIMEVAL };

/* Reads a guest's timeout (0: none) into a deadline. */
static int read_timeout(struct task *t, uint64_t gva, enum timeout_form form, int64_t *deadline)
{
	struct l_timespec ts;
	struct l_timeval tv;

	*deadline = NO_DEADLINE;
	if (!gva)
		return 0;
	if (form == TIMEOUT_TIMEVAL) {
		if (copy_in(t->ctx, &tv, gva, sizeof(tv)) < 0)
			return -EFAULT;
		/* A second and more of microseconds is taken; negative parts make it invalid. */
		if (__builtin_add_overflow(tv.tv_sec, tv.tv_usec / L_USEC_PER_SEC, &ts.tv_sec))
			return -EINVAL;
		ts.tv_nsec = tv.tv_usec % L_USEC_PER_SEC * L_NSEC_PER_USEC;
	} else if (copy_in(t->ctx, &ts, gva, sizeof(ts)) < 0) {
		return -EFAULT;
	}
	if (!timespec_valid(&ts))
		return -EINVAL;
	*deadline = deadline_for(&ts);
	return 0;
}

/*
 * The end of a call with a timeout that is written back.  r is its result.  If the guest's timeout cannot be written
 * the call must not be restarted with the old one.
 */
static long finish_timeout(struct task *t, uint64_t gva, enum timeout_form form, int64_t deadline, long r)
{
	struct l_timespec left;
	struct l_timeval tv;
	int w;

	if (!gva || !deadline)
		return r;
	if (t->process->personality & STICKY_TIMEOUTS)
		return r == -ERESTARTNOHAND ? -EINTR : r;
	left = time_left(deadline);
	if (form == TIMEOUT_TIMEVAL) {
		tv = (struct l_timeval){left.tv_sec, left.tv_nsec / L_NSEC_PER_USEC};
		w = copy_out(t->ctx, gva, &tv, sizeof(tv));
	} else {
		w = copy_out(t->ctx, gva, &left, sizeof(left));
	}
	return w < 0 && r == -ERESTARTNOHAND ? -EINTR : r;
}

/* ---- poll ---- */

/* A bad descriptor has its event already: pollset_wait counts it, and does not wait. */
static void fill_slots(struct task *t, struct pollset *ps, const struct l_pollfd *fds)
{
	for (size_t i = 0; i < ps->count; i++) {
		struct poll_slot *s = &ps->slots[i];

		if (fds[i].fd < 0)
			continue;
		s->events = (uint16_t)fds[i].events | L_POLLERR | L_POLLHUP;
		s->file = fd_lookup(t->files, fds[i].fd);
		if (!s->file)
			s->revents = L_POLLNVAL;
	}
}

static long poll_fds(struct task *t, struct l_pollfd *fds, size_t count, int64_t deadline)
{
	struct pollset ps;
	int r = pollset_init(&ps, count);

	if (r == 0) {
		fill_slots(t, &ps, fds);
		r = pollset_wait(&ps, deadline);
	}
	for (size_t i = 0; i < ps.count; i++)
		fds[i].revents = (int16_t)ps.slots[i].revents;
	pollset_free(&ps);
	return r;
}

/* -ERESTARTNOHAND when a signal came. */
static long do_poll(struct task *t, uint64_t gva, uint64_t count, int64_t deadline)
{
	struct l_pollfd fast[POLLSET_FAST], *fds = fast;
	long r;

	if (count > process_rlimit(t->process, L_RLIMIT_NOFILE))
		return -EINVAL;
	if (count > POLLSET_FAST) {
		fds = malloc(count * sizeof(*fds));
		if (!fds)
			return -ENOMEM;
	}
	r = count ? copy_in(t->ctx, fds, gva, count * sizeof(*fds)) : 0;
	if (r == 0)
		r = poll_fds(t, fds, count, deadline);
	if (r >= 0 && count && copy_out(t->ctx, gva, fds, count * sizeof(*fds)) < 0)
		r = -EFAULT;
	if (fds != fast)
		free(fds);
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

static long poll_again(struct task *t)
{
	struct restart_block *rb = &t->restart;
	long r = do_poll(t, rb->arg[0], rb->arg[1], rb->deadline_ns);

	return r == -ERESTARTNOHAND ? -ERESTART_RESTARTBLOCK : r;
}

long sys_poll(struct task *t, const struct sys_args *args)
{
	uint64_t count = (uint32_t)args->a[1];
	int timeout = (int)args->a[2];
	int64_t deadline = NO_DEADLINE;
	long r;

	if (timeout >= 0)
		deadline = deadline_for(&(struct l_timespec){timeout / MSEC_PER_SEC,
							     timeout % MSEC_PER_SEC * NSEC_PER_MSEC});
	r = do_poll(t, args->a[0], count, deadline);
	if (r != -ERESTARTNOHAND)
		return r;
	t->restart = (struct restart_block){poll_again, deadline, {args->a[0], count}};
	return -ERESTART_RESTARTBLOCK;
}

long sys_ppoll(struct task *t, const struct sys_args *args)
{
	uint64_t timeout = args->a[2];
	int64_t deadline;
	long r;

	r = read_timeout(t, timeout, TIMEOUT_TIMESPEC, &deadline);
	if (r == 0)
		r = arg_temporary_mask(t, args->a[3], args->a[4]);
	if (r < 0)
		return r;
	r = do_poll(t, args->a[0], (uint32_t)args->a[1], deadline);
	return finish_timeout(t, timeout, TIMEOUT_TIMESPEC, deadline, r);
}

/* ---- select ---- */

#define SETS 3
static const uint32_t set_events[SETS] = {
	L_POLLIN | L_POLLRDNORM | L_POLLRDBAND | L_POLLHUP | L_POLLERR,
	L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND | L_POLLERR,
	L_POLLPRI,
};

/* The guest's three sets, as words of 64 descriptors; out is what goes back. */
struct fd_sets {
	uint64_t gva[SETS];	/* 0: no such set */
	uint64_t *in[SETS], *out[SETS];
	size_t words;		/* of each */
	int n;
	uint64_t fast[2 * SETS]; /* room for 64 descriptors */
	uint64_t *room;
};

static int sets_read(struct task *t, struct fd_sets *s)
{
	s->room = s->fast;
	s->words = ((size_t)s->n + 63) / 64;
	if (s->words > 1) {
		s->room = calloc(2 * SETS * s->words, sizeof(uint64_t));
		if (!s->room)
			return -ENOMEM;
	}
	for (int i = 0; i < SETS; i++) {
		s->in[i] = s->room + (size_t)i * s->words;
		s->out[i] = s->room + (size_t)(SETS + i) * s->words;
		if (s->gva[i] && s->words && copy_in(t->ctx, s->in[i], s->gva[i], s->words * sizeof(uint64_t)) < 0)
			return -EFAULT;
	}
	return 0;
}

static int sets_write(struct task *t, const struct fd_sets *s)
{
	for (int i = 0; i < SETS; i++)
		if (s->gva[i] && s->words && copy_out(t->ctx, s->gva[i], s->out[i], s->words * sizeof(uint64_t)) < 0)
			return -EFAULT;
	return 0;
}

/* The sets that hold fd, as bits. */
static unsigned sets_of(const struct fd_sets *s, int fd)
{
	unsigned in = 0;

	for (int i = 0; i < SETS; i++)
		in |= (unsigned)(s->in[i][fd / 64] >> (fd % 64) & 1) << i;
	return in;
}

/* The next descriptor >= fd in any of the sets, or n. */
static int sets_next(const struct fd_sets *s, int fd)
{
	while (fd < s->n) {
		size_t w = (size_t)fd / 64;
		uint64_t any = (s->in[0][w] | s->in[1][w] | s->in[2][w]) >> (fd % 64);

		if (any)
			return min_of(fd + __builtin_ctzll(any), s->n);
		fd = (int)(w + 1) * 64;
	}
	return s->n;
}

static int sets_fill(struct task *t, const struct fd_sets *s, struct pollset *ps)
{
	struct poll_slot *slot;
	size_t count = 0;
	int r;

	for (int fd = sets_next(s, 0); fd < s->n; fd = sets_next(s, fd + 1))
		count++;
	r = pollset_init(ps, count);
	if (r < 0)
		return r;
	slot = ps->slots;
	for (int fd = sets_next(s, 0); fd < s->n; fd = sets_next(s, fd + 1), slot++) {
		slot->file = fd_lookup(t->files, fd);
		if (!slot->file)
			return -EBADF;
		for (int i = 0; i < SETS; i++)
			if (sets_of(s, fd) >> i & 1)
				slot->events |= set_events[i];
	}
	return 0;
}

/* Turns the slots' events into bits of the out sets; their count. */
static int sets_collect(const struct fd_sets *s, const struct pollset *ps)
{
	const struct poll_slot *slot = ps->slots;
	int bits = 0;

	for (int fd = sets_next(s, 0); fd < s->n; fd = sets_next(s, fd + 1), slot++) {
		for (int i = 0; i < SETS; i++) {
			if (!(sets_of(s, fd) >> i & 1) || !(slot->revents & set_events[i]))
				continue;
			s->out[i][fd / 64] |= 1ull << (fd % 64);
			bits++;
		}
	}
	return bits;
}

/* -ERESTARTNOHAND when a signal came. */
static long do_select(struct task *t, const struct sys_args *args, int64_t deadline)
{
	struct fd_sets s = {.n = (int)args->a[0], .gva = {args->a[1], args->a[2], args->a[3]}};
	struct pollset ps = {0};
	long r;

	if (s.n < 0)
		return -EINVAL;
	s.n = min_of(s.n, fdtable_capacity(t->files));
	r = sets_read(t, &s);
	if (r == 0)
		r = sets_fill(t, &s, &ps);
	if (r == 0)
		r = pollset_wait(&ps, deadline);
	if (r >= 0) {
		r = sets_collect(&s, &ps);
		if (sets_write(t, &s) < 0)
			r = -EFAULT;
	}
	pollset_free(&ps);
	if (s.room != s.fast)
		free(s.room);
	return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

long sys_select(struct task *t, const struct sys_args *args)
{
	uint64_t timeout = args->a[4];
	int64_t deadline;
	long r;

	r = read_timeout(t, timeout, TIMEOUT_TIMEVAL, &deadline);
	if (r < 0)
		return r;
	r = do_select(t, args, deadline);
	return finish_timeout(t, timeout, TIMEOUT_TIMEVAL, deadline, r);
}

long sys_pselect6(struct task *t, const struct sys_args *args)
{
	struct l_sigset_argpack pack = {0};
	uint64_t timeout = args->a[4];
	int64_t deadline = NO_DEADLINE;
	long r = 0;

	if (args->a[5])
		r = copy_in(t->ctx, &pack, args->a[5], sizeof(pack));
	if (r == 0)
		r = read_timeout(t, timeout, TIMEOUT_TIMESPEC, &deadline);
	if (r == 0)
		r = arg_temporary_mask(t, pack.p, pack.size);
	if (r < 0)
		return r;
	r = do_select(t, args, deadline);
	return finish_timeout(t, timeout, TIMEOUT_TIMESPEC, deadline, r);
}
