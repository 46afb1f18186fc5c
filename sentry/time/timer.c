/*
 * Kernel timers.  See timer.h.  The timers that are set form an intrusive pairing heap, earliest at the root, so that
 * setting one allocates nothing and cannot fail for want of memory.
 */
#include "sentry/time/timer.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include "abi/errno.h"
#include "abi/time.h"
#include "base/lock.h"
#include "host/clock.h"

static struct mutex lock = MUTEX_INIT; /* a leaf; guards all that follows */
static pthread_cond_t earlier = PTHREAD_COND_INITIALIZER; /* the root changed */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;	  /* running changed */
static struct ktimer *root;
static struct ktimer *running; /* its callback is being called; it may have been freed, so only compare */
static unsigned waiters;       /* on done */
static bool started;
static pthread_t helper;

/* ---- the heap ---- */

static struct ktimer *meld(struct ktimer *a, struct ktimer *b)
{
	struct ktimer *t;

	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline_ns < a->deadline_ns) {
		t = a;
		a = b;
		b = t;
	}
	b->next = a->child;
	b->prev = a;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Melds a list of siblings, in pairs from the left and then all from the right: what keeps the heap shallow. */
static struct ktimer *meld_list(struct ktimer *first)
{
	struct ktimer *pairs = NULL, *a, *b, *rest;

	while (first) {
		a = first;
		b = a->next;
		rest = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs; /* a stack of roots */
		pairs = a;
		first = rest;
	}
	a = NULL;
	while (pairs) {
		b = pairs;
		pairs = b->next;
		b->next = NULL;
		a = meld(a, b);
	}
	return a;
}

static void heap_insert(struct ktimer *kt)
{
	kt->child = kt->next = kt->prev = NULL;
	kt->set = true;
	root = meld(root, kt);
}

static void heap_remove(struct ktimer *kt)
{
	struct ktimer *orphans = meld_list(kt->child);

	if (kt == root) {
		root = orphans;
	} else {
		if (kt->prev->child == kt)
			kt->prev->child = kt->next;
		else
			kt->prev->next = kt->next;
		if (kt->next)
			kt->next->prev = kt->prev;
		root = meld(root, orphans);
	}
	kt->child = kt->next = kt->prev = NULL;
	kt->set = false;
}

/* ---- the helper thread ---- */

static void sleep_until_change(void)
{
	struct timespec ts;

	if (!root) {
		pthread_cond_wait(&earlier, &lock.m);
		return;
	}
	ts.tv_sec = root->deadline_ns / L_NSEC_PER_SEC;
	ts.tv_nsec = root->deadline_ns % L_NSEC_PER_SEC;
	pthread_cond_clockwait(&earlier, &lock.m, CLOCK_MONOTONIC, &ts);
}

static void *run_timers(void *arg)
{
	struct ktimer *kt;

	mutex_lock(&lock);
	for (;;) {
		if (!root || root->deadline_ns > host_clock_ns(CLOCK_MONOTONIC)) {
			sleep_until_change();
			continue;
		}
		kt = root;
		heap_remove(kt);
		running = kt;
		mutex_unlock(&lock);

		kt->fn(kt, kt->arg);

		mutex_lock(&lock);
		running = NULL;
		if (waiters)
			pthread_cond_broadcast(&done);
	}
	return NULL;
}

/* Signals are for the threads that run guests: the helper blocks them all from its first instruction on. */
static int start_helper(void)
{
	pthread_attr_t attr;
	sigset_t all;
	int r;

	sigfillset(&all);
	if (pthread_attr_init(&attr))
		return -EAGAIN;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_attr_setsigmask_np(&attr, &all);
	if (!r)
		r = pthread_create(&helper, &attr, run_timers, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return -EAGAIN;
	started = true;
	return 0;
}

/* ---- the interface ---- */

void ktimer_init(struct ktimer *kt, void (*fn)(struct ktimer *kt, void *arg), void *arg)
{
	*kt = (struct ktimer){.fn = fn, .arg = arg};
}

int ktimer_set(struct ktimer *kt, int64_t deadline_ns)
{
	struct ktimer *first;
	int r = 0;

	mutex_lock(&lock);
	if (!started)
		r = start_helper();
	if (r)
		goto out;
	if (kt->set)
		heap_remove(kt);
	first = root;
	kt->deadline_ns = deadline_ns < 0 ? 0 : deadline_ns;
	heap_insert(kt);
	if (root != first) /* a root that went later is found out by an early wake-up */
		pthread_cond_signal(&earlier);
out:
	mutex_unlock(&lock);
	return r;
}

bool ktimer_cancel_nowait(struct ktimer *kt)
{
	bool was_set;

	mutex_lock(&lock);
	was_set = kt->set;
	if (was_set)
		heap_remove(kt);
	mutex_unlock(&lock);
	return was_set;
}

bool ktimer_cancel(struct ktimer *kt)
{
	bool was_set = false;

	mutex_lock(&lock);
	for (;;) {
		/* Each time round: the callback may have set it again. */
		if (kt->set) {
			heap_remove(kt);
			was_set = true;
		}
		if (running != kt || pthread_equal(pthread_self(), helper))
			break;
		waiters++;
		pthread_cond_wait(&done, &lock.m);
		waiters--;
	}
	mutex_unlock(&lock);
	return was_set;
}
