/*
 * inotify(7): instances with their queues of events and watches, and the calls by which the VFS tells of events
 * (notify.h).
 *
 * One lock over all of it: an event concerns a directory, a file, their watches and the queues of several instances,
 * and is short.  A watch hangs in its inode's list and in its instance's, and keeps the inode; so whoever finds the file
 * by name finds the same inode, and the watch.  Watches that end are put on a list and freed without the lock, since the
 * last put of an inode may wait for the host.
 *
 * Memory is bounded: so many watches, so many events an instance, so many bytes of events in all (an event that finds no
 * room becomes an overflow, as on Linux).
 */
#include "sentry/vfs/inotify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/windows.h"

#define QUEUED_BYTES_MAX (64ul << 20) /* of all instances together */

struct event {
	struct list_head node;
	struct l_inotify_event head;
	size_t name_len; /* without the NUL; head.len is 0 or more than this */
	char name[];
};

struct inotify {
	struct list_head node; /* of instances */
	struct list_head events, watches;
	unsigned event_count;
	bool overflowed; /* an overflow event is queued */
	int last_wd;
	bool wrapped; /* last_wd was at the end once: numbers may be in use */
	struct waitqueue wq;
	struct fasync_list async;
};

struct watch {
	struct list_head of_instance;
	struct watch *next_of_inode; /* the inode's list begins at inode->watches */
	struct inotify *owner;
	struct inode *inode; /* counted */
	uint32_t mask;	     /* events; L_IN_ONESHOT and L_IN_EXCL_UNLINK */
	int wd;
};

/* Guards all of the above, and inode->watches.  Outside of waitqueue locks, inside of all others. */
static struct mutex inotify_lock = MUTEX_INIT;
static struct list_head instances = LIST_HEAD_INIT(instances); /* guarded by inotify_lock */
struct tunable inotify_max_queued_events = {16384, 0, 1 << 20, NULL};
struct tunable inotify_max_instances = {512, 0, 8192, NULL};
struct tunable inotify_max_watches = {65536, 0, 1 << 20, NULL};

static unsigned instance_count;				       /* guarded by inotify_lock */
static size_t queued_bytes;				       /* guarded by inotify_lock */
static uint32_t last_cookie;				       /* guarded by inotify_lock */
static _Atomic unsigned watch_count; /* changed with inotify_lock held; read without to see that nobody watches */

/* ---- the queue ---- */

static size_t event_size(const struct event *e)
{
	return sizeof(e->head) + e->head.len;
}

static struct event *event_new(int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	size_t name_len = name ? strlen(name) : 0;
	/* The name, its NUL, and zeros up to a whole number of heads. */
	size_t padded = name ? (name_len + sizeof(struct l_inotify_event)) / sizeof(struct l_inotify_event) *
				       sizeof(struct l_inotify_event)
			     : 0;
	struct event *e = calloc(1, sizeof(*e) + padded);

	if (!e)
		return NULL;
	e->head = (struct l_inotify_event){.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)padded};
	e->name_len = name_len;
	if (name)
		memcpy(e->name, name, name_len); /* NOLINT(bugprone-not-null-terminated-result): calloc gave the NULs */
	return e;
}

static bool same_event(const struct event *a, int wd, uint32_t mask, const char *name)
{
	if (a->head.wd != wd || a->head.mask != mask || (a->head.len == 0) != (name == NULL))
		return false;
	return !name || !strcmp(a->name, name);
}

static void append(struct inotify *n, struct event *e) REQUIRES(inotify_lock)
{
	list_add_tail(&e->node, &n->events);
	n->event_count++;
	queued_bytes += event_size(e);
}

static void take_out(struct inotify *n, struct event *e) REQUIRES(inotify_lock)
{
	list_del_init(&e->node);
	if (e->head.mask & L_IN_Q_OVERFLOW)
		n->overflowed = false;
	else
		n->event_count--;
	queued_bytes -= event_size(e);
}

/* What is not queued is told of by one overflow event; if there is no memory for that either, by nothing. */
static void overflow(struct inotify *n) REQUIRES(inotify_lock)
{
	struct event *e;

	if (n->overflowed)
		return;
	e = event_new(-1, L_IN_Q_OVERFLOW, 0, NULL);
	if (!e)
		return;
	append(n, e);
	n->event_count--;
	n->overflowed = true;
	waitqueue_wake(&n->wq, L_POLLIN | L_POLLRDNORM);
	fasync_tell_later(&n->async, L_POLL_IN);
}

/* Queues an event, unless it says what the last one says. */
static void queue(struct inotify *n, int wd, uint32_t mask, uint32_t cookie, const char *name) REQUIRES(inotify_lock)
{
	struct event *e;

	if (!list_empty(&n->events) && same_event(list_last_entry(&n->events, struct event, node), wd, mask, name))
		return;
	if (n->event_count >= tunable_get(&inotify_max_queued_events) || queued_bytes >= QUEUED_BYTES_MAX) {
		overflow(n);
		return;
	}
	e = event_new(wd, mask, cookie, name);
	if (!e) {
		overflow(n);
		return;
	}
	append(n, e);
	waitqueue_wake(&n->wq, L_POLLIN | L_POLLRDNORM);
	fasync_tell_later(&n->async, L_POLL_IN);
}

/* ---- watches ---- */

/* Takes w out of its lists and says so to its owner; it goes to *gone, to be freed without the lock. */
static void end_watch(struct watch *w, struct list_head *gone) REQUIRES(inotify_lock)
{
	struct watch *at = w->inode->watches;

	if (at == w) {
		w->inode->watches = w->next_of_inode;
	} else {
		while (at->next_of_inode != w)
			at = at->next_of_inode;
		at->next_of_inode = w->next_of_inode;
	}
	list_del_init(&w->of_instance);
	list_add_tail(&w->of_instance, gone);
	watch_count--;
	queue(w->owner, w->wd, L_IN_IGNORED, 0, NULL);
}

static void free_watches(struct list_head *gone)
{
	while (!list_empty(gone)) {
		struct watch *w = list_first_entry(gone, struct watch, of_instance);

		list_del_init(&w->of_instance);
		inode_put(w->inode);
		free(w);
	}
}

static struct watch *watch_of(const struct inotify *n, const struct inode *i) REQUIRES(inotify_lock)
{
	struct watch *w = i->watches;

	while (w && w->owner != n)
		w = w->next_of_inode;
	return w;
}

static bool wd_is_used(const struct inotify *n, int wd)
{
	const struct watch *w;

	list_for_each_entry(w, &n->watches, of_instance)
		if (w->wd == wd)
			return true;
	return false;
}

/* Numbers go up; only after the last they begin anew. */
static int next_wd(struct inotify *n)
{
	do {
		if (n->last_wd == INT32_MAX) {
			n->last_wd = 0;
			n->wrapped = true;
		}
		n->last_wd++;
	} while (n->wrapped && wd_is_used(n, n->last_wd));
	return n->last_wd;
}

static int change_watch(struct watch *w, uint32_t mask) REQUIRES(inotify_lock)
{
	const uint32_t kept = L_IN_ALL_EVENTS | L_IN_UNMOUNT | L_IN_EXCL_UNLINK | L_IN_ONESHOT;

	if (mask & L_IN_MASK_CREATE)
		return -EEXIST;
	w->mask = (mask & L_IN_MASK_ADD ? w->mask : 0) | (mask & kept);
	return w->wd;
}

int inotify_watch(struct file *f, struct inode *i, uint32_t mask)
{
	struct watch *fresh = calloc(1, sizeof(*fresh)), *w;
	struct inotify *n = f->priv;
	int r;

	if (!fresh)
		return -ENOMEM;
	mutex_lock(&inotify_lock);
	w = watch_of(n, i);
	if (w) {
		r = change_watch(w, mask);
	} else if (watch_count >= tunable_get(&inotify_max_watches)) {
		r = -ENOSPC;
	} else {
		fresh->owner = n;
		fresh->inode = inode_get(i);
		fresh->wd = next_wd(n);
		fresh->next_of_inode = i->watches;
		i->watches = fresh;
		list_add(&fresh->of_instance, &n->watches); /* the newest first, as fdinfo shows them */
		watch_count++;
		lends_recall_all();
		r = change_watch(fresh, mask & ~L_IN_MASK_CREATE);
		fresh = NULL;
	}
	mutex_unlock(&inotify_lock);
	free(fresh);
	return r;
}

int inotify_unwatch(struct file *f, int wd)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inotify *n = f->priv;
	struct watch *w;
	int r = -EINVAL;

	mutex_lock(&inotify_lock);
	list_for_each_entry(w, &n->watches, of_instance) {
		if (w->wd != wd)
			continue;
		end_watch(w, &gone);
		r = 0;
		break;
	}
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
	return r;
}

/* ---- events ---- */

/* Tells all who watch i.  unlinked: of a file whose name is gone already. */
static void tell(struct inode *i, uint32_t mask, uint32_t cookie, const char *name, bool unlinked,
		 struct list_head *gone) REQUIRES(inotify_lock)
{
	struct watch *w, *next;

	if (i->dnotify)
		dnotify_tell(i, mask);
	for (w = i->watches; w; w = next) {
		next = w->next_of_inode;
		if (!(w->mask & mask & ~L_IN_ISDIR) || (unlinked && (w->mask & L_IN_EXCL_UNLINK)))
			continue;
		queue(w->owner, w->wd, mask, cookie, name);
		if (w->mask & L_IN_ONESHOT)
			end_watch(w, gone);
	}
}

static uint32_t dir_bit(const struct inode *i)
{
	return inode_is(i, L_S_IFDIR) ? L_IN_ISDIR : 0;
}

static bool nobody_watches(void)
{
	return LIKELY(!atomic_load_explicit(&watch_count, memory_order_relaxed) &&
		      !atomic_load_explicit(&dnotify_count, memory_order_relaxed));
}

bool nobody_watches_files(void)
{
	return !atomic_load(&watch_count) && !atomic_load(&dnotify_count);
}

static bool is_watched(const struct inode *i)
{
	return i->watches || i->dnotify;
}

/* What is written to a terminal or a pipe is not told to those who watch its directory: it could tell when keys are pressed. */
static bool is_for_parent(const struct inode *i, uint32_t mask)
{
	return !(mask & (L_IN_ACCESS | L_IN_MODIFY)) || inode_is(i, L_S_IFREG) || inode_is(i, L_S_IFDIR);
}

/* Apart from notify_dentry, which every read and write comes through, so that they pay for no name. */
static NOINLINE void tell_of_dentry(struct dentry *d, uint32_t mask)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	char name[L_NAME_MAX + 1];
	struct dentry *parent;
	bool named; /* one who begins to watch the parent meanwhile has come too late for this event */

	mask |= dir_bit(d->inode);
	parent = dentry_parent(d);
	named = parent != d && is_watched(parent->inode) && is_for_parent(d->inode, mask);
	if (named)
		dentry_copy_name(d, name, sizeof(name));
	mutex_lock(&inotify_lock);
	if (named)
		tell(parent->inode, mask, 0, name, d->flags & D_UNLINKED, &gone);
	tell(d->inode, mask, 0, NULL, false, &gone);
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
	dentry_put(parent);
}

void notify_dentry(struct dentry *d, uint32_t mask)
{
	if (!nobody_watches() && !(d->flags & D_ANONYMOUS) && d->inode)
		tell_of_dentry(d, mask);
}

void notify_file(const struct file *f, uint32_t mask)
{
	if (!(f->mode & FILE_PATH))
		notify_dentry(f->path.dentry, mask);
}

void notify_inode(struct inode *i, uint32_t mask)
{
	struct list_head gone = LIST_HEAD_INIT(gone);

	if (nobody_watches() || !is_watched(i))
		return;
	mutex_lock(&inotify_lock);
	tell(i, mask & L_IN_MOVE_SELF ? mask : mask | dir_bit(i), 0, NULL, false, &gone); /* as inotify always did */
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
}

void notify_name(struct inode *dir, const char *name, bool is_dir, uint32_t mask)
{
	struct list_head gone = LIST_HEAD_INIT(gone);

	if (nobody_watches() || !is_watched(dir))
		return;
	mutex_lock(&inotify_lock);
	tell(dir, mask | (is_dir ? L_IN_ISDIR : 0), 0, name, false, &gone);
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
}

void notify_moved(struct inode *old_dir, const char *old_name, struct inode *new_dir, const char *new_name,
		  struct inode *moved)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	uint32_t bit = dir_bit(moved), cookie;

	if (nobody_watches())
		return;
	mutex_lock(&inotify_lock);
	cookie = ++last_cookie ? last_cookie : ++last_cookie; /* 0 is for events without one */
	tell(old_dir, L_IN_MOVED_FROM | bit, cookie, old_name, false, &gone);
	tell(new_dir, L_IN_MOVED_TO | bit, cookie, new_name, false, &gone);
	if (old_dir == new_dir && old_dir->dnotify)
		dnotify_tell_renamed(old_dir);
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
}

/* Tells of i's end by mask, and ends its watches. */
static void end_inode(struct inode *i, uint32_t mask, struct list_head *gone) REQUIRES(inotify_lock)
{
	tell(i, mask, 0, NULL, false, gone);
	while (i->watches)
		end_watch(i->watches, gone);
}

void notify_dentry_gone(struct inode *i)
{
	struct list_head gone = LIST_HEAD_INIT(gone);

	if (nobody_watches() || !i->watches || i->nlink > 0)
		return;
	mutex_lock(&inotify_lock);
	end_inode(i, L_IN_DELETE_SELF, &gone);
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
}

void notify_unmounted(struct super_block *sb)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inotify *n;
	struct watch *w, *tmp;

	if (nobody_watches())
		return;
	mutex_lock(&inotify_lock);
	list_for_each_entry(n, &instances, node) {
		list_for_each_entry_safe(w, tmp, &n->watches, of_instance) {
			if (w->inode->sb != sb)
				continue;
			queue(n, w->wd, L_IN_UNMOUNT, 0, NULL); /* whatever the mask */
			end_watch(w, &gone);
		}
	}
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
}

/* ---- the file ---- */

/* Takes the first event if it fits into room: it (the caller frees), or NULL; *any: there is one at all. */
static struct event *next_event(struct inotify *n, uint64_t room, bool *any)
{
	struct event *e = NULL;

	mutex_lock(&inotify_lock);
	*any = !list_empty(&n->events);
	if (*any && event_size(list_first_entry(&n->events, struct event, node)) <= room) {
		e = list_first_entry(&n->events, struct event, node);
		take_out(n, e);
	}
	mutex_unlock(&inotify_lock);
	return e;
}

static bool has_events(struct inotify *n)
{
	bool any;

	mutex_lock(&inotify_lock);
	any = !list_empty(&n->events);
	mutex_unlock(&inotify_lock);
	return any;
}

/* As many whole events as fit. */
static ssize_t read_events(struct file *f, struct uio *u, int64_t pos)
{
	struct inotify *n = f->priv;
	ssize_t done = 0;
	struct event *e;
	bool any, copied;
	int r;

	(void)pos;
	for (;;) {
		e = next_event(n, uio_left(u), &any);
		if (e) {
			size_t size = event_size(e);

			copied = uio_put(u, &e->head, sizeof(e->head)) == sizeof(e->head) &&
				 (!e->head.len || uio_put(u, e->name, e->head.len) == (ssize_t)e->head.len);
			free(e);
			if (!copied)
				return -EFAULT;
			done += (ssize_t)size;
			continue;
		}
		if (done)
			return done;
		if (any)
			return -EINVAL; /* the first is too large for the buffer */
		if (file_nonblock(f))
			return -EAGAIN;
		r = wait_event(&n->wq, has_events(n));
		if (r < 0)
			return r;
	}
}

static uint32_t poll_events(struct file *f, struct wait_entry *entry)
{
	struct inotify *n = f->priv;

	if (entry)
		waitqueue_add(&n->wq, entry);
	return has_events(n) ? L_POLLIN | L_POLLRDNORM : 0;
}

static long inotify_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct inotify *n = f->priv;
	const struct event *e;
	int bytes = 0;

	if (cmd != L_FIONREAD)
		return -ENOTTY;
	mutex_lock(&inotify_lock);
	list_for_each_entry(e, &n->events, node)
		bytes += (int)event_size(e);
	mutex_unlock(&inotify_lock);
	return copy_out(ctx, arg, &bytes, sizeof(bytes));
}

/* As many watches as there is room for.  File handles are not given: there are none to open. */
static void inotify_fdinfo(struct file *f, char *buf, size_t size)
{
	struct inotify *n = f->priv;
	const struct watch *w;
	size_t at = 0;

	mutex_lock(&inotify_lock);
	list_for_each_entry(w, &n->watches, of_instance) {
		uint64_t dev = w->inode->sb->dev;
		int len = snprintf(buf + at, size - at, "inotify wd:%x ino:%llx sdev:%x mask:%x ignored_mask:0 \n",
				   (unsigned)w->wd, (unsigned long long)w->inode->ino, l_major(dev) << 20 | l_minor(dev),
				   w->mask);

		if (len < 0 || (size_t)len >= size - at) {
			buf[at] = '\0';
			break;
		}
		at += (size_t)len;
	}
	mutex_unlock(&inotify_lock);
}

static void inotify_release(struct file *f)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inotify *n = f->priv;

	mutex_lock(&inotify_lock);
	while (!list_empty(&n->watches))
		end_watch(list_first_entry(&n->watches, struct watch, of_instance), &gone);
	while (!list_empty(&n->events)) {
		struct event *e = list_first_entry(&n->events, struct event, node);

		take_out(n, e);
		free(e);
	}
	list_del_init(&n->node);
	instance_count--;
	mutex_unlock(&inotify_lock);
	free_watches(&gone);
	waitqueue_destroy(&n->wq);
	free(n);
}

static int inotify_fasync(struct file *f, int fd, bool on)
{
	struct inotify *n = f->priv;

	return fasync_set(&n->async, f, fd, on);
}

static const struct file_ops inotify_ops = {
	.lseek = file_lseek_noop,
	.read = read_events,
	.by_piece = FILE_READ,
	.poll = poll_events,
	.ioctl = inotify_ioctl,
	.fdinfo = inotify_fdinfo,
	.fasync = inotify_fasync,
	.release = inotify_release,
};

bool inotify_file_is(const struct file *f)
{
	return f->ops == &inotify_ops;
}

int inotify_file_new(uint32_t flags, const struct cred *c, struct file **out)
{
	struct inotify *n = calloc(1, sizeof(*n));
	int r = n ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	list_init(&n->events);
	list_init(&n->watches);
	waitqueue_init(&n->wq);
	mutex_lock(&inotify_lock);
	if (instance_count >= tunable_get(&inotify_max_instances)) {
		r = -EMFILE;
	} else {
		instance_count++;
		list_add_tail(&n->node, &instances);
	}
	mutex_unlock(&inotify_lock);
	if (r < 0)
		goto out_free;
	r = file_anonymous("anon_inode:inotify", &inotify_ops, n, L_O_RDONLY | flags, FILE_READ | FILE_STREAM, c, out);
	if (r == 0)
		return 0;
	mutex_lock(&inotify_lock);
	list_del_init(&n->node);
	instance_count--;
	mutex_unlock(&inotify_lock);
out_free:
	waitqueue_destroy(&n->wq);
	free(n);
	return r;
}
