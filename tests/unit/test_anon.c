/*
 * eventfd, epoll and timerfd files and the kernel timers under them, as the sentry's own threads use them.  What a
 * guest sees through system calls is shown by tests/guest.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/core/cred.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/pollset.h"
#include "sentry/time/clock.h"
#include "sentry/time/timer.h"
#include "sentry/vfs/vfs.h"

#define MS 1000000ll

static const struct cred *cred;

static struct file *new_eventfd(uint32_t initial, uint32_t flags)
{
	struct file *f;

	ck_assert_int_eq(eventfd_file_new(initial, flags | L_EFD_NONBLOCK, cred, &f), 0);
	return f;
}

static struct file *new_epoll(void)
{
	struct file *f;

	ck_assert_int_eq(eventpoll_file_new(cred, &f), 0);
	return f;
}

static int64_t read8(struct file *f)
{
	uint64_t v;
	struct uio u = uio_kernel(&v, sizeof(v));
	ssize_t n = file_read(f, &u);

	return n < 0 ? n : (int64_t)v;
}

static ssize_t write8(struct file *f, uint64_t v)
{
	struct uio u = uio_kernel(&v, sizeof(v));

	return file_write(f, &u);
}

/* ---- eventfd ---- */

START_TEST(eventfd_counts)
{
	struct file *f = new_eventfd(3, 0);

	ck_assert_int_eq(read8(f), 3);
	ck_assert_int_eq(read8(f), -EAGAIN);
	ck_assert_int_eq(write8(f, 5), 8);
	ck_assert_int_eq(write8(f, 7), 8);
	ck_assert_int_eq(read8(f), 12);
	ck_assert_int_eq(write8(f, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(write8(f, UINT64_MAX - 1), 8);
	ck_assert_int_eq(write8(f, 1), -EAGAIN);
	ck_assert_uint_eq(file_poll(f, NULL), L_POLLIN);
	eventfd_file_signal(f, 10);
	ck_assert_uint_eq(file_poll(f, NULL), L_POLLIN | L_POLLERR);
	file_put(f);

	f = new_eventfd(2, L_EFD_SEMAPHORE);
	ck_assert_int_eq(read8(f), 1);
	ck_assert_int_eq(read8(f), 1);
	ck_assert_int_eq(read8(f), -EAGAIN);
	file_put(f);
}
END_TEST

static void *write_later(void *arg)
{
	usleep(20000);
	ck_assert_int_eq(write8(arg, 9), 8);
	return NULL;
}

START_TEST(eventfd_blocks)
{
	struct file *f;
	pthread_t th;

	ck_assert_int_eq(eventfd_file_new(0, 0, cred, &f), 0);
	pthread_create(&th, NULL, write_later, f);
	ck_assert_int_eq(read8(f), 9);
	pthread_join(th, NULL);
	file_put(f);
}
END_TEST

/* ---- epoll ---- */

struct sink {
	struct l_epoll_event ev[64];
	size_t count;
	int refuse;
};

static int put(void *arg, size_t first, const struct l_epoll_event *events, size_t count)
{
	struct sink *s = arg;

	if (s->refuse)
		return s->refuse;
	memcpy(s->ev + first, events, count * sizeof(*events));
	s->count = first + count;
	return 0;
}

/* What is ready now, at most max. */
static int ready(struct file *ep, size_t max, struct sink *s)
{
	memset(s, 0, sizeof(*s));
	return eventpoll_wait(ep, max, 0, put, s);
}

static int ctl(struct file *ep, int op, struct file *f, uint32_t events)
{
	struct l_epoll_event ev = {events, (uintptr_t)f};

	return eventpoll_ctl(ep, op, f, 1, &ev);
}

START_TEST(epoll_level_and_edge)
{
	struct file *ep = new_epoll(), *f = new_eventfd(0, 0);
	struct sink s;

	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_ADD, f, L_EPOLLIN), 0);
	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_ADD, f, L_EPOLLIN), -EEXIST);
	ck_assert_int_eq(ready(ep, 8, &s), 0);
	write8(f, 1);
	ck_assert_int_eq(ready(ep, 8, &s), 1);
	ck_assert_uint_eq(s.ev[0].events, L_EPOLLIN);
	ck_assert_uint_eq(s.ev[0].data, (uintptr_t)f);
	ck_assert_int_eq(ready(ep, 8, &s), 1); /* still */
	ck_assert_uint_eq(file_poll(ep, NULL), L_POLLIN | L_POLLRDNORM);
	read8(f);
	ck_assert_uint_eq(file_poll(ep, NULL), 0);
	ck_assert_int_eq(ready(ep, 8, &s), 0);

	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_MOD, f, L_EPOLLIN | L_EPOLLET), 0);
	write8(f, 1);
	ck_assert_int_eq(ready(ep, 8, &s), 1);
	ck_assert_int_eq(ready(ep, 8, &s), 0); /* told once */
	write8(f, 1);
	ck_assert_int_eq(ready(ep, 8, &s), 1); /* a new edge, though it was readable all the time */

	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_MOD, f, L_EPOLLIN | L_EPOLLONESHOT), 0);
	ck_assert_int_eq(ready(ep, 8, &s), 1);
	write8(f, 1);
	ck_assert_int_eq(ready(ep, 8, &s), 0);
	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_MOD, f, L_EPOLLIN | L_EPOLLONESHOT), 0);
	ck_assert_int_eq(ready(ep, 8, &s), 1);

	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_DEL, f, 0), 0);
	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_DEL, f, 0), -ENOENT);
	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_MOD, f, 0), -ENOENT);
	file_put(f);
	file_put(ep);
}
END_TEST

START_TEST(epoll_refused_events_stay)
{
	struct file *ep = new_epoll(), *f = new_eventfd(1, 0);
	struct sink s = {.refuse = -EFAULT};

	ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_ADD, f, L_EPOLLIN | L_EPOLLET | L_EPOLLONESHOT), 0);
	ck_assert_int_eq(eventpoll_wait(ep, 8, 0, put, &s), -EFAULT);
	ck_assert_int_eq(ready(ep, 8, &s), 1);
	ck_assert_int_eq(ready(ep, 8, &s), 0);
	file_put(f);
	file_put(ep);
}
END_TEST

START_TEST(epoll_takes_turns)
{
	struct file *ep = new_epoll(), *f[50];
	uint64_t seen = 0;
	struct sink s;

	for (int i = 0; i < 50; i++) {
		f[i] = new_eventfd(1, 0);
		ck_assert_int_eq(ctl(ep, L_EPOLL_CTL_ADD, f[i], L_EPOLLIN), 0);
	}
	ck_assert_int_eq(ready(ep, 64, &s), 50);
	for (int i = 0; i < 25; i++) { /* two at a time: nobody starves */
		ck_assert_int_eq(ready(ep, 2, &s), 2);
		for (int k = 0; k < 50; k++)
			if (s.ev[0].data == (uintptr_t)f[k] || s.ev[1].data == (uintptr_t)f[k])
				seen |= 1ull << k;
	}
	ck_assert_uint_eq(seen, (1ull << 50) - 1);
	for (int i = 0; i < 50; i += 2)
		file_put(f[i]); /* a closed file is not watched any more */
	ck_assert_int_eq(ready(ep, 64, &s), 25);
	file_put(ep); /* before the rest of the files */
	for (int i = 1; i < 50; i += 2)
		file_put(f[i]);
}
END_TEST

START_TEST(epoll_nests)
{
	struct file *ep[6], *f = new_eventfd(0, 0);
	struct sink s;

	for (int i = 0; i < 6; i++)
		ep[i] = new_epoll();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(ctl(ep[i], L_EPOLL_CTL_ADD, ep[i + 1], L_EPOLLIN), 0);
	ck_assert_int_eq(ctl(ep[4], L_EPOLL_CTL_ADD, ep[5], L_EPOLLIN), -ELOOP); /* too deep */
	ck_assert_int_eq(ctl(ep[5], L_EPOLL_CTL_ADD, ep[0], L_EPOLLIN), -ELOOP);
	ck_assert_int_eq(ctl(ep[3], L_EPOLL_CTL_ADD, ep[1], L_EPOLLIN), -ELOOP); /* a circle */
	ck_assert_int_eq(ctl(ep[0], L_EPOLL_CTL_ADD, ep[0], L_EPOLLIN), -EINVAL);
	ck_assert_int_eq(ctl(ep[0], L_EPOLL_CTL_ADD, ep[5], L_EPOLLIN | L_EPOLLEXCLUSIVE), -EINVAL);
	ck_assert_int_eq(ctl(f, L_EPOLL_CTL_ADD, ep[0], L_EPOLLIN), -EINVAL);

	ck_assert_int_eq(ctl(ep[4], L_EPOLL_CTL_ADD, f, L_EPOLLIN), 0);
	ck_assert_int_eq(ready(ep[0], 8, &s), 0);
	write8(f, 1);
	ck_assert_int_eq(ready(ep[0], 8, &s), 1);
	ck_assert_uint_eq(s.ev[0].data, (uintptr_t)ep[1]);
	read8(f);
	ck_assert_int_eq(ready(ep[0], 8, &s), 0);
	write8(f, 1);
	ck_assert_int_eq(ready(ep[0], 8, &s), 1);
	file_put(ep[2]);
	ck_assert_int_eq(ready(ep[0], 8, &s), 0);
	file_put(f);
	for (int i = 0; i < 6; i++)
		if (i != 2)
			file_put(ep[i]);
}
END_TEST

/* Threads that wait, one that writes, one that adds and removes, files that are closed under them. */
struct storm {
	struct file *ep, *f;
	_Atomic uint64_t taken;
	_Atomic bool stop;
};

static void *storm_wait(void *arg)
{
	struct storm *st = arg;
	struct sink s;
	int64_t v;

	while (!st->stop) {
		s.refuse = 0;
		if (eventpoll_wait(st->ep, 4, monotonic_now() + 10 * MS, put, &s) > 0 && (v = read8(st->f)) > 0)
			st->taken += (uint64_t)v;
	}
	return NULL;
}

static void *storm_churn(void *arg)
{
	struct storm *st = arg;

	while (!st->stop) {
		struct file *g = new_eventfd(1, 0), *inner = new_epoll();

		ck_assert_int_eq(ctl(st->ep, L_EPOLL_CTL_ADD, g, L_EPOLLOUT | L_EPOLLET), 0);
		ck_assert_int_eq(ctl(inner, L_EPOLL_CTL_ADD, g, L_EPOLLIN), 0);
		ck_assert_int_eq(ctl(st->ep, L_EPOLL_CTL_ADD, inner, L_EPOLLIN | L_EPOLLET), 0);
		write8(g, 1);
		file_put(g);
		file_put(inner);
	}
	return NULL;
}

START_TEST(epoll_storm)
{
	struct storm st = {.ep = new_epoll(), .f = new_eventfd(0, 0)};
	uint64_t written = 0;
	pthread_t th[5];

	ck_assert_int_eq(ctl(st.ep, L_EPOLL_CTL_ADD, st.f, L_EPOLLIN), 0);
	for (int i = 0; i < 5; i++)
		pthread_create(&th[i], NULL, i < 3 ? storm_wait : storm_churn, &st);
	for (int i = 0; i < 2000; i++, written++)
		ck_assert_int_eq(write8(st.f, 1), 8);
	while (st.taken < written)
		usleep(1000);
	st.stop = true;
	for (int i = 0; i < 5; i++)
		pthread_join(th[i], NULL);
	ck_assert_uint_eq(st.taken, written);
	file_put(st.f);
	file_put(st.ep);
}
END_TEST

/* ---- pollset ---- */

static void slot_for(struct pollset *ps, size_t i, struct file *f, uint32_t events)
{
	ps->slots[i].file = file_get(f);
	ps->slots[i].events = events;
}

START_TEST(pollset_waits)
{
	struct file *a = new_eventfd(0, 0), *b = new_eventfd(0, 0);
	int64_t start = monotonic_now();
	struct pollset ps;
	pthread_t th;

	ck_assert_int_eq(pollset_init(&ps, 20), 0);
	slot_for(&ps, 3, a, L_POLLIN);
	slot_for(&ps, 17, b, L_POLLIN);
	ck_assert_int_eq(pollset_wait(&ps, 0), 0);
	ck_assert_int_eq(pollset_wait(&ps, start + 10 * MS), 0);
	ck_assert_int_ge(monotonic_now() - start, 10 * MS);
	pthread_create(&th, NULL, write_later, b);
	ck_assert_int_eq(pollset_wait(&ps, NO_DEADLINE), 1);
	ck_assert_uint_eq(ps.slots[3].revents, 0);
	ck_assert_uint_eq(ps.slots[17].revents, L_POLLIN);
	pthread_join(th, NULL);
	pollset_free(&ps);
	file_put(a);
	file_put(b);
}
END_TEST

/* ---- timers ---- */

struct shot {
	struct ktimer kt;
	_Atomic int fired;
	_Atomic int64_t at;
	int again;
};

static void fire(struct ktimer *kt, void *arg)
{
	struct shot *s = arg;

	s->at = monotonic_now();
	s->fired++;
	if (s->again-- > 0)
		ck_assert_int_eq(ktimer_set(kt, s->at + MS), 0);
}

START_TEST(timers_fire_in_order)
{
	struct shot shots[100] = {0};
	int64_t now = monotonic_now();

	for (int i = 0; i < 100; i++) {
		ktimer_init(&shots[i].kt, fire, &shots[i]);
		ck_assert_int_eq(ktimer_set(&shots[i].kt, now + 3600000 * MS), 0);
	}
	for (int i = 0; i < 100; i++) /* moved, in a scrambled order */
		ck_assert_int_eq(ktimer_set(&shots[i * 37 % 100].kt, now + 20 * MS + i * 37 % 100 * 100000ll), 0);
	for (int i = 0; i < 100; i += 3)
		ck_assert(ktimer_cancel(&shots[i].kt));
	for (int i = 0; i < 100; i++) /* a busy machine's timers are late */
		while (i % 3 != 0 && !shots[i].fired)
			usleep(1000);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(shots[i].fired, i % 3 != 0);
		if (i % 3 == 2)
			ck_assert_int_le(shots[i - 1].at, shots[i].at);
		ck_assert(!ktimer_cancel(&shots[i].kt));
	}
}
END_TEST

START_TEST(timers_cancel_waits)
{
	struct shot s = {.again = 1 << 30};

	ktimer_init(&s.kt, fire, &s);
	for (int round = 0; round < 50; round++) {
		int fired;

		ck_assert_int_eq(ktimer_set(&s.kt, 0), 0);
		usleep((unsigned)round * 100);
		ktimer_cancel(&s.kt);
		fired = s.fired;
		usleep(1500);
		ck_assert_int_eq(s.fired, fired);
	}
}
END_TEST

START_TEST(timerfd_ticks)
{
	struct l_itimerspec spec = {.it_value = {0, 5 * MS}, .it_interval = {0, 10 * MS}}, old;
	struct file *f;
	int64_t n, started;

	ck_assert_int_eq(timerfd_file_new(L_CLOCK_MONOTONIC, L_O_NONBLOCK, cred, &f), 0);
	ck_assert_int_eq(read8(f), -EAGAIN);
	ck_assert_int_eq(timerfd_set(f, false, &spec, &old), 0);
	ck_assert_int_eq(old.it_value.tv_nsec, 0);
	timerfd_get(f, &old);
	ck_assert_int_eq(old.it_interval.tv_nsec, 10 * MS);
	ck_assert(old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 10 * MS);
	started = monotonic_now();
	for (n = 0; n < 5;) { /* at 5, 15, 25, 35, 45 */
		while (file_poll(f, NULL) != L_POLLIN)
			usleep(1000);
		n += read8(f);
	}
	ck_assert_int_ge(monotonic_now() - started, 35 * MS);

	spec = (struct l_itimerspec){0};
	ck_assert_int_eq(timerfd_set(f, false, &spec, &old), 0);
	usleep(12000);
	ck_assert_int_eq(read8(f), -EAGAIN);
	spec.it_value.tv_sec = 1; /* long past, on the clock itself */
	ck_assert_int_eq(timerfd_set(f, true, &spec, &old), 0);
	for (int i = 0; i < 5000 && (n = read8(f)) == -EAGAIN; i++) /* a busy machine's timers are late */
		usleep(1000);
	ck_assert_int_eq(n, 1);
	file_put(f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("anon");
	TCase *ev = tcase_create("eventfd"), *ep = tcase_create("epoll"), *tm = tcase_create("timers");
	SRunner *sr;
	int failed;

	cred = cred_new(0, 0, NULL, 0);
	tcase_add_test(ev, eventfd_counts);
	tcase_add_test(ev, eventfd_blocks);
	tcase_add_test(ep, epoll_level_and_edge);
	tcase_add_test(ep, epoll_refused_events_stay);
	tcase_add_test(ep, epoll_takes_turns);
	tcase_add_test(ep, epoll_nests);
	tcase_add_test(ep, epoll_storm);
	tcase_add_test(ep, pollset_waits);
	tcase_add_test(tm, timers_fire_in_order);
	tcase_add_test(tm, timers_cancel_waits);
	tcase_add_test(tm, timerfd_ticks);
	tcase_set_timeout(ep, 60);
	suite_add_tcase(s, ev);
	suite_add_tcase(s, ep);
	suite_add_tcase(s, tm);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	cred_put(cred);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
