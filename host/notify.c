/* The watcher of host descriptors.  See notify.h. */
#include "host/notify.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/lock.h"

#define EVENT_BATCH 16

struct host_watch {
	int fd;
	void (*ready)(void *arg, uint32_t events);
	void *arg;
	uint64_t id;		 /* never reused: a report that is late finds nobody */
	struct host_watch *next; /* guarded by watches_lock */
};

/*
 * watches_lock is held over a callback, so that removing a watch waits for it.  It is outside of the locks that
 * callbacks take (waitqueues').
 */
static struct mutex watches_lock = MUTEX_INIT;
static struct host_watch *watches; /* guarded by watches_lock */
static uint64_t next_id = 1;	   /* guarded by watches_lock */
static int epoll_fd = -1;	   /* set with watches_lock held, before there is a watch; immutable then */
static bool running;		   /* the thread; guarded by watches_lock */

static void report(uint64_t id, uint32_t events)
{
	mutex_lock(&watches_lock);
	for (struct host_watch *w = watches; w; w = w->next) {
		if (w->id == id) {
			w->ready(w->arg, events);
			break;
		}
	}
	mutex_unlock(&watches_lock);
}

static void *watch_loop(void *unused)
{
	struct epoll_event events[EVENT_BATCH];

	pthread_setname_np(pthread_self(), "bailey-watch");
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENT_BATCH, -1);

		for (int k = 0; k < n; k++)
			report(events[k].data.u64, events[k].events);
	}
	return NULL;
}

static int open_locked(void)
{
	if (epoll_fd < 0)
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

static int start_locked(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (running)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	r = pthread_create(&thread, &attr, watch_loop, NULL);
	pthread_attr_destroy(&attr);
	running = r == 0;
	return -r;
}

/* What cannot be watched starts no thread. */
static int add_locked(struct host_watch *w)
{
	struct epoll_event ev = {.events = EPOLLONESHOT};
	int r = open_locked();

	if (r < 0)
		return r;
	w->id = ev.data.u64 = next_id++;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0)
		return -errno;
	r = start_locked();
	if (r < 0)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	return r;
}

int host_watch_add(int fd, void (*ready)(void *arg, uint32_t events), void *arg, struct host_watch **out)
{
	struct host_watch *w = malloc(sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct host_watch){.fd = fd, .ready = ready, .arg = arg};
	mutex_lock(&watches_lock);
	r = add_locked(w);
	if (r == 0) {
		w->next = watches;
		watches = w;
	}
	mutex_unlock(&watches_lock);
	if (r < 0) {
		free(w);
		return r;
	}
	*out = w;
	return 0;
}

int host_watch_arm(struct host_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = EPOLLONESHOT | events, .data.u64 = w->id};

	/* EPOLLIN and its like have poll(2)'s values. */
	_Static_assert(EPOLLIN == L_POLLIN && EPOLLOUT == L_POLLOUT && EPOLLHUP == L_POLLHUP, "event values");
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void host_watch_remove(struct host_watch *w)
{
	struct host_watch **link;

	if (!w)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	mutex_lock(&watches_lock);
	for (link = &watches; *link != w; link = &(*link)->next)
		;
	*link = w->next;
	mutex_unlock(&watches_lock);
	free(w);
}
