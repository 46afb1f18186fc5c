/*
 * epoll(7).  An epoll (eventpoll) holds items, each of which watches one open file under one descriptor number.  An
 * item hangs on its file's waitqueue; when that tells of something, the item goes on the ready list.  What is on
 * the list is only a hint: whoever waits polls the file again, and lists what is still true.
 *
 * An item does not count its file.  The file's last put removes the item (forget_file) before the file is taken apart,
 * so a file reached through an item that is still there can be polled.
 *
 * Lock order: links_lock > eventpoll.mtx (an outer epoll's before that of one it watches) > the files' own locks and
 * waitqueues > eventpoll.ready_lock; callbacks come with a file's waitqueue locked and take ready_lock and then the
 * queues of the epoll itself, one after the other.  Epolls cannot watch each other in a circle, so neither can locks wait
 * in one.
 */
#include <inttypes.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/vfs/vfs.h"

#define MAX_NESTS 4	   /* epolls that watch epolls, in a row */
#define MAX_WATCHES 262144 /* items in the whole sandbox: max_user_watches */
#define BATCH 32	   /* events that are copied out at once */

#define MODE_BITS (L_EPOLLET | L_EPOLLONESHOT | L_EPOLLWAKEUP | L_EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK                                                                                                   \
	(L_EPOLLIN | L_EPOLLOUT | L_EPOLLERR | L_EPOLLHUP | L_EPOLLWAKEUP | L_EPOLLET | L_EPOLLEXCLUSIVE)
#define READABLE (L_POLLIN | L_POLLRDNORM)

struct eventpoll {
	struct mutex mtx;	  /* over items, and over a scan of the ready list */
	void *tree;		  /* of items by file and descriptor, tsearch(3)'s; guarded by mtx */
	struct list_head items;	  /* of epitem.node; written under links_lock and mtx */
	struct mutex ready_lock;
	struct list_head ready;	  /* of epitem.ready_node; guarded by ready_lock */
	struct waitqueue wq;	  /* epoll_wait: one is woken at a time */
	struct waitqueue poll_wq; /* whoever polls the epoll itself */
	struct file *file;	  /* its own; immutable, not counted */
	uint64_t depth_stamp;	  /* what depth was computed for; guarded by links_lock, as is depth */
	int depth;
};

struct epitem {
	struct eventpoll *ep;	     /* immutable */
	struct file *file;	     /* immutable; not counted, see above */
	int fd;			     /* immutable */
	_Atomic uint32_t events;     /* with MODE_BITS; written under ep->mtx */
	uint64_t data;		     /* guarded by ep->mtx */
	struct wait_entry wait;
	struct list_head node;	     /* of ep->items */
	struct list_head ready_node; /* guarded by ep->ready_lock; also while on a scan's list */
	struct epitem *next_of_file; /* guarded by links_lock */
};

static struct mutex links_lock = MUTEX_INIT; /* guards every file's epoll_links, and the shape of the graph of epolls */
static uint64_t watch_count;		     /* guarded by links_lock */
static uint64_t depth_stamp;		     /* guarded by links_lock */

static pthread_once_t hooked = PTHREAD_ONCE_INIT;

static const struct file_ops eventpoll_ops;

bool eventpoll_file_is(const struct file *f)
{
	return f->ops == &eventpoll_ops;
}

/* ---- the ready list ---- */

static bool is_ready(struct eventpoll *ep)
{
	bool some;

	mutex_lock(&ep->ready_lock);
	some = !list_empty(&ep->ready);
	mutex_unlock(&ep->ready_lock);
	return some;
}

static void make_ready(struct epitem *it)
{
	mutex_lock(&it->ep->ready_lock);
	if (list_empty(&it->ready_node))
		list_add_tail(&it->ready_node, &it->ep->ready);
	mutex_unlock(&it->ep->ready_lock);
}

/* True if that woke one who waits in epoll_wait. */
static bool make_ready_and_wake(struct epitem *it)
{
	bool woken;

	make_ready(it);
	woken = waitqueue_wake_some(&it->ep->wq, READABLE, 1) > 0;
	waitqueue_wake(&it->ep->poll_wq, READABLE);
	return woken;
}

/* The file's waitqueue tells of events (0: of something); its lock is held. */
static bool on_wake(struct wait_entry *e, uint32_t events)
{
	struct epitem *it = e->arg;
	uint32_t wanted = it->events & ~MODE_BITS;

	if (!wanted || (events && !(events & wanted)))
		return false;
	return make_ready_and_wake(it);
}

/* What of the item's events is true now.  ep->mtx held. */
static uint32_t item_poll(struct epitem *it)
{
	uint32_t wanted = it->events & ~MODE_BITS;

	return wanted ? file_poll(it->file, NULL) & wanted : 0;
}

/*
 * A scan takes the list as it stands off the epoll and looks at it item by item; what becomes ready meanwhile
 * gathers on the epoll's own list.  ep->mtx is held from the beginning of a scan to its end.
 */
static void scan_begin(struct eventpoll *ep, struct list_head *scan)
{
	list_init(scan);
	mutex_lock(&ep->ready_lock);
	list_splice_tail_init(&ep->ready, scan);
	mutex_unlock(&ep->ready_lock);
}

/* The next item, which is on no list from now on: if its file tells of something more, it is ready again. */
static struct epitem *scan_next(struct eventpoll *ep, struct list_head *scan)
{
	struct epitem *it = NULL;

	mutex_lock(&ep->ready_lock);
	if (!list_empty(scan)) {
		it = list_first_entry(scan, struct epitem, ready_node);
		list_del_init(&it->ready_node);
	}
	mutex_unlock(&ep->ready_lock);
	return it;
}

static void scan_give_back(struct epitem *it, struct list_head *scan)
{
	mutex_lock(&it->ep->ready_lock);
	if (list_empty(&it->ready_node))
		list_add(&it->ready_node, scan);
	mutex_unlock(&it->ep->ready_lock);
}

/* What the scan left comes first again. */
static void scan_end(struct eventpoll *ep, struct list_head *scan)
{
	mutex_lock(&ep->ready_lock);
	list_splice_tail_init(&ep->ready, scan);
	list_splice_tail_init(scan, &ep->ready);
	mutex_unlock(&ep->ready_lock);
}

/* ---- waiting ---- */

/* An event was given for it: what becomes of the item. */
static void item_given(struct epitem *it)
{
	if (it->events & L_EPOLLONESHOT)
		it->events &= MODE_BITS; /* nothing is wanted until EPOLL_CTL_MOD */
	else if (!(it->events & L_EPOLLET))
		make_ready(it); /* level-triggered: it is looked at again */
}

/* Gives what is ready; the count, or put's error if it took nothing. */
static int give(struct eventpoll *ep, size_t max, eventpoll_put *put, void *arg)
{
	struct l_epoll_event events[BATCH];
	struct epitem *items[BATCH], *it;
	struct list_head scan;
	size_t given = 0, n;
	uint32_t now;
	int r = 0;

	mutex_lock(&ep->mtx);
	scan_begin(ep, &scan);
	do {
		n = 0;
		while (n < BATCH && given + n < max && (it = scan_next(ep, &scan))) {
			now = item_poll(it);
			if (!now)
				continue;
			events[n] = (struct l_epoll_event){.events = now, .data = it->data};
			items[n++] = it;
		}
		r = n ? put(arg, given, events, n) : 0;
		for (size_t i = n; i-- > 0 && r < 0;)
			scan_give_back(items[i], &scan);
		for (size_t i = 0; i < n && r >= 0; i++)
			item_given(items[i]);
		if (r >= 0)
			given += n;
	} while (n == BATCH && r >= 0);
	scan_end(ep, &scan);
	mutex_unlock(&ep->mtx);
	if (is_ready(ep)) /* somebody else may take the rest */
		waitqueue_wake_some(&ep->wq, READABLE, 1);
	return given ? (int)given : r;
}

/* Wakes the sleeper and leaves the queue, so that the next event wakes another. */
static bool wake_once(struct wait_entry *e, uint32_t events)
{
	list_del_init(&e->node);
	sleeper_wake(e->arg);
	return true;
}

static int wait_until_ready(struct eventpoll *ep, int64_t deadline_ns)
{
	struct sleeper *s = sleeper_self();
	struct wait_entry e;
	int r = 0;

	wait_entry_init_sleeper(&e, s);
	e.wake = wake_once;
	sleeper_arm(s);
	waitqueue_add_exclusive(&ep->wq, &e);
	if (!is_ready(ep))
		r = sleeper_sleep(s, deadline_ns);
	waitqueue_remove(&e);
	return r;
}

int eventpoll_wait(struct file *f, size_t max, int64_t deadline_ns, eventpoll_put *put, void *arg)
{
	struct eventpoll *ep = f->priv;
	int r, waited = deadline_ns ? 0 : -ETIMEDOUT;

	for (;;) {
		/* After an interruption too: whoever was woken for an event is the only one to know of it. */
		r = is_ready(ep) ? give(ep, max, put, arg) : 0;
		if (r)
			return r;
		if (waited)
			return waited == -ETIMEDOUT ? 0 : -EINTR;
		waited = wait_until_ready(ep, deadline_ns);
	}
}

static uint32_t eventpoll_poll(struct file *f, struct wait_entry *e)
{
	struct eventpoll *ep = f->priv;
	struct list_head scan;
	struct epitem *it;

	if (e)
		waitqueue_add(&ep->poll_wq, e);
	mutex_lock(&ep->mtx);
	scan_begin(ep, &scan);
	while ((it = scan_next(ep, &scan))) {
		if (item_poll(it)) {
			scan_give_back(it, &scan);
			break;
		}
	}
	scan_end(ep, &scan);
	mutex_unlock(&ep->mtx);
	return it ? READABLE : 0;
}

/* ---- items ---- */

static int compare_items(const void *a, const void *b)
{
	const struct epitem *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->fd > y->fd) - (x->fd < y->fd);
}

static struct epitem *find_item(struct eventpoll *ep, struct file *target, int fd)
{
	struct epitem key = {.file = target, .fd = fd};
	struct epitem *const *found = tfind(&key, &ep->tree, compare_items);

	return found ? *found : NULL;
}

/* links_lock and ep->mtx held.  The queue is left before the file is told: see file_put. */
static void remove_item(struct epitem *it)
{
	struct eventpoll *ep = it->ep;
	struct epitem *prev = it->file->epoll_links;

	waitqueue_remove(&it->wait);
	tdelete(it, &ep->tree, compare_items);
	list_del_init(&it->node);
	mutex_lock(&ep->ready_lock);
	list_del_init(&it->ready_node);
	mutex_unlock(&ep->ready_lock);
	if (prev == it) {
		it->file->epoll_links = it->next_of_file;
	} else {
		while (prev->next_of_file != it)
			prev = prev->next_of_file;
		prev->next_of_file = it->next_of_file;
	}
	watch_count--;
	free(it);
}

/* links_lock and ep->mtx held. */
static int add_item(struct eventpoll *ep, struct file *target, int fd, const struct l_epoll_event *event)
{
	struct waitqueue *wq;
	struct epitem *it;

	if (watch_count >= MAX_WATCHES)
		return -ENOSPC;
	it = calloc(1, sizeof(*it));
	if (!it)
		return -ENOMEM;
	it->ep = ep;
	it->file = target;
	it->fd = fd;
	it->events = event->events;
	it->data = event->data;
	it->wait.wake = on_wake;
	it->wait.arg = it;
	list_init(&it->wait.node);
	list_init(&it->ready_node);
	if (!tsearch(it, &ep->tree, compare_items)) {
		free(it);
		return -ENOMEM;
	}
	list_add_tail(&it->node, &ep->items);
	it->next_of_file = target->epoll_links;
	target->epoll_links = it;
	watch_count++;

	/* Hangs on the queue first and looks then, so that nothing falls in between. */
	file_poll(target, &it->wait);
	wq = it->wait.wq;
	if ((event->events & L_EPOLLEXCLUSIVE) && wq) {
		waitqueue_remove(&it->wait);
		waitqueue_add_exclusive(wq, &it->wait);
	}
	if (item_poll(it))
		make_ready_and_wake(it);
	return 0;
}

static int modify_item(struct epitem *it, const struct l_epoll_event *event)
{
	if (it->events & L_EPOLLEXCLUSIVE)
		return -EINVAL;
	it->events = event->events;
	it->data = event->data;
	if (item_poll(it))
		make_ready_and_wake(it);
	return 0;
}

/* The last reference to f is gone. */
static void forget_file(struct file *f)
{
	struct epitem *it;
	struct eventpoll *ep;

	mutex_lock(&links_lock);
	while ((it = f->epoll_links)) {
		ep = it->ep;
		mutex_lock(&ep->mtx);
		remove_item(it);
		mutex_unlock(&ep->mtx);
	}
	mutex_unlock(&links_lock);
}

/* ---- epolls that watch epolls ---- */

/* The longest chain of epolls below ep, and whether `seek` is among them.  links_lock held. */
static int depth_below(struct eventpoll *ep, const struct eventpoll *seek, bool *found)
{
	struct epitem *it;
	int depth = 0, d;

	if (ep == seek)
		*found = true;
	if (ep->depth_stamp == depth_stamp)
		return ep->depth;
	list_for_each_entry(it, &ep->items, node) {
		if (!eventpoll_file_is(it->file))
			continue;
		d = 1 + depth_below(it->file->priv, seek, found);
		depth = max_of(depth, d);
	}
	ep->depth_stamp = depth_stamp;
	ep->depth = depth;
	return depth;
}

static int depth_above(struct eventpoll *ep)
{
	int depth = 0, d;

	if (ep->depth_stamp == depth_stamp)
		return ep->depth;
	for (struct epitem *it = ep->file->epoll_links; it; it = it->next_of_file) {
		d = 1 + depth_above(it->ep);
		depth = max_of(depth, d);
	}
	ep->depth_stamp = depth_stamp;
	ep->depth = depth;
	return depth;
}

/* May ep watch `target`?  A circle would never come to rest, and each level costs a stack frame and a lock. */
static int check_nesting(struct eventpoll *ep, struct eventpoll *target)
{
	bool circle = false;
	int below, above;

	depth_stamp++;
	below = depth_below(target, ep, &circle);
	depth_stamp++;
	above = depth_above(ep);
	return circle || below + 1 + above > MAX_NESTS ? -ELOOP : 0;
}

/* ---- epoll_ctl ---- */

static int check_ctl(struct file *f, int op, struct file *target, const struct l_epoll_event *event)
{
	if (!target->ops || !target->ops->poll)
		return -EPERM;
	if (f == target || !eventpoll_file_is(f))
		return -EINVAL;
	if (op != L_EPOLL_CTL_ADD && op != L_EPOLL_CTL_DEL && op != L_EPOLL_CTL_MOD)
		return -EINVAL;
	if (op == L_EPOLL_CTL_DEL || !(event->events & L_EPOLLEXCLUSIVE))
		return 0;
	if (op == L_EPOLL_CTL_MOD || eventpoll_file_is(target) || (event->events & ~EXCLUSIVE_OK))
		return -EINVAL;
	return 0;
}

int eventpoll_ctl(struct file *f, int op, struct file *target, int fd, const struct l_epoll_event *event)
{
	struct l_epoll_event wanted = {0};
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	int r;

	r = check_ctl(f, op, target, event);
	if (r < 0)
		return r;
	if (event) {
		/* Errors are always told.  There is no suspend to hold off. */
		wanted.events = (event->events | L_EPOLLERR | L_EPOLLHUP) & ~L_EPOLLWAKEUP;
		wanted.data = event->data;
	}
	mutex_lock(&links_lock);
	if (op == L_EPOLL_CTL_ADD && eventpoll_file_is(target))
		r = check_nesting(ep, target->priv);
	if (r < 0)
		goto out;
	mutex_lock(&ep->mtx);
	it = find_item(ep, target, fd);
	if (op == L_EPOLL_CTL_ADD)
		r = it ? -EEXIST : add_item(ep, target, fd, &wanted);
	else if (!it)
		r = -ENOENT;
	else if (op == L_EPOLL_CTL_MOD)
		r = modify_item(it, &wanted);
	else
		remove_item(it);
	mutex_unlock(&ep->mtx);
out:
	mutex_unlock(&links_lock);
	return r;
}

int eventpoll_target(struct file *f, int fd, uint32_t skip, const struct file **out)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	int r = -ENOENT;

	if (!eventpoll_file_is(f))
		return -EINVAL;
	mutex_lock(&ep->mtx);
	list_for_each_entry(it, &ep->items, node) {
		if (it->fd != fd || skip--)
			continue;
		*out = it->file;
		r = 0;
		break;
	}
	mutex_unlock(&ep->mtx);
	return r;
}

/* ---- the file ---- */

static void eventpoll_fdinfo(struct file *f, char *buf, size_t size)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	size_t at = 0;
	int n;

	if (size)
		buf[0] = '\0';
	mutex_lock(&ep->mtx);
	list_for_each_entry(it, &ep->items, node) {
		n = snprintf(buf + at, size - at, "tfd: %8d events: %8x data: %16" PRIx64 "  pos:%" PRId64 " ino:%" PRIx64
			     " sdev:%" PRIx64 "\n", it->fd, it->events, it->data, file_pos_peek(it->file), it->file->inode->ino,
			     it->file->inode->sb->dev);
		if (n < 0 || (size_t)n >= size - at) {
			buf[at] = '\0'; /* no half lines */
			break;
		}
		at += (size_t)n;
	}
	mutex_unlock(&ep->mtx);
}

static void eventpoll_release(struct file *f)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it, *tmp;

	mutex_lock(&links_lock);
	mutex_lock(&ep->mtx);
	list_for_each_entry_safe(it, tmp, &ep->items, node)
		remove_item(it);
	mutex_unlock(&ep->mtx);
	mutex_unlock(&links_lock);
	waitqueue_destroy(&ep->wq);
	waitqueue_destroy(&ep->poll_wq);
	mutex_destroy(&ep->ready_lock);
	mutex_destroy(&ep->mtx);
	free(ep);
}

static const struct file_ops eventpoll_ops = {
	.lseek = file_lseek_noop,
	.poll = eventpoll_poll,
	.fdinfo = eventpoll_fdinfo,
	.release = eventpoll_release,
};

/* Before the first item exists, and so before any file has links that make file_put look at the hook. */
static void hook_file_put(void)
{
	file_epoll_forget = forget_file;
}

int eventpoll_file_new(const struct cred *c, struct file **out)
{
	struct eventpoll *ep = calloc(1, sizeof(*ep));
	int r;

	if (!ep)
		return -ENOMEM;
	mutex_init(&ep->mtx);
	mutex_init(&ep->ready_lock);
	list_init(&ep->items);
	list_init(&ep->ready);
	waitqueue_init(&ep->wq);
	waitqueue_init(&ep->poll_wq);
	pthread_once(&hooked, hook_file_put);
	r = file_anonymous("anon_inode:[eventpoll]", &eventpoll_ops, ep, L_O_RDWR,
			   FILE_READ | FILE_WRITE | FILE_STREAM, c, out);
	if (r < 0)
		free(ep);
	else
		ep->file = *out;
	return r;
}
