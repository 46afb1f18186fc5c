/*
 * The sentry's threads.  One that has ended a task waits for the next: making a thread and taking it apart again costs the host
 * more than all else that the start of a guest's thread needs.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "base/lock.h"
#include "host/futex.h"
#include "host/process.h"
#include "platform/placement.h"
#include "sentry/task/internal.h"

#define STACK_SIZE (256 * 1024)
/* Each keeps a few pages of stack.  Programs that start threads or processes one after the other need one or two. */
#define IDLE_MAX 8

struct worker {
	struct worker *next;	/* guarded by idle_lock */
	void *(*start)(void *); /* with arg: written by whoever took it off the list, before `called` */
	void *arg;
	_Atomic uint32_t called;
	pid_t tid;	/* immutable */
	uint32_t cpu;	/* where it is pinned; guarded by idle_lock */
};

static struct mutex idle_lock = MUTEX_INIT;
/* Guarded by idle_lock. */
static struct worker *idle; /* the latest first: its stack and its CPU's caches are warm */
static unsigned idle_count;

/* False if there are enough of them already. */
static bool wait_for_call(struct worker *w)
{
	bool stay;

	mutex_lock(&idle_lock);
	stay = idle_count < IDLE_MAX;
	if (stay) {
		w->cpu = placement_pinned();
		w->next = idle;
		idle = w;
		idle_count++;
	}
	mutex_unlock(&idle_lock);
	while (stay && !atomic_load(&w->called))
		(void)!host_futex_wait(&w->called, 0, INT64_MAX);
	atomic_store(&w->called, 0);
	return stay;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->tid = host_gettid();
	do
		w->start(w->arg);
	while (wait_for_call(w));
	free(w);
	return NULL;
}

static struct worker *take_idle(void)
{
	struct worker *w;

	mutex_lock(&idle_lock);
	w = idle;
	if (w) {
		idle = w->next;
		idle_count--;
	}
	mutex_unlock(&idle_lock);
	return w;
}

static int start_new(void *(*start)(void *), void *arg)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!w)
		return -EAGAIN;
	w->start = start;
	w->arg = arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (r)
		free(w);
	return r ? -EAGAIN : 0;
}

int sentry_thread_start(void *(*start)(void *), void *arg)
{
	struct worker *w = take_idle();

	if (!w)
		return start_new(start, arg);
	w->start = start;
	w->arg = arg;
	placement_bring(w->tid, w->cpu);
	atomic_store(&w->called, 1);
	host_futex_wake(&w->called, 1);
	return 0;
}
