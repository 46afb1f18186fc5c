/*
 * Advisory locks: flock(2), POSIX record locks and open-file-description locks (fcntl_locking(2)).
 *
 * One lock over all of them: deadlocks are found across inodes, and the lists are short.  Whoever must wait sleeps on
 * its inode's queue and looks again when anything there was let go.  A POSIX lock is owned by a descriptor table, an
 * OFD lock and a flock by a file; owners are compared, never dereferenced.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/vfs/locks.h"

#define DEADLOCK_STEPS 10 /* how far a chain of waiters is followed, as Linux does */
/* DIVERGES: -ENOLCK past so many.  Linux has no limit but the memory of who locks; here it is the sentry's. */
#define LOCKS_MAX (1u << 17)

struct mutex locks_lock = MUTEX_INIT;
struct list_head locks_all = LIST_HEAD_INIT(locks_all);
struct list_head lock_waiters = LIST_HEAD_INIT(lock_waiters);
static _Atomic unsigned lock_count; /* of all locks and leases */

struct inode_locks *locks_of(struct inode *i)
{
	struct inode_locks *l = i->locks;

	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	list_init(&l->ranges);
	list_init(&l->wholes);
	list_init(&l->leases);
	waitqueue_init(&l->wq);
	l->inode = i;
	list_add_tail(&l->all_node, &locks_all);
	i->locks = l;
	return l;
}

/* The inode has no user any more, and so no lock. */
void locks_free(struct inode *i)
{
	if (!i->locks)
		return;
	ASSERT(list_empty(&i->locks->ranges) && list_empty(&i->locks->wholes));
	mutex_lock(&locks_lock);
	list_del_init(&i->locks->all_node);
	mutex_unlock(&locks_lock);
	waitqueue_destroy(&i->locks->wq);
	free(i->locks);
}

int lock_alloc(size_t size, void *out)
{
	void *k;

	if (lock_count >= LOCKS_MAX)
		return -ENOLCK;
	k = calloc(1, size);
	if (!k)
		return -ENOMEM;
	lock_count++;
	*(void **)out = k;
	return 0;
}

void lock_free(void *k)
{
	if (k)
		lock_count--;
	free(k);
}

/* ---- flock ---- */

static struct whole_lock *own_whole(struct inode_locks *l, const struct file *f)
{
	struct whole_lock *w;

	list_for_each_entry(w, &l->wholes, node)
		if (w->owner == f)
			return w;
	return NULL;
}

static bool whole_conflicts(struct inode_locks *l, const struct file *f, bool exclusive)
{
	struct whole_lock *w;

	list_for_each_entry(w, &l->wholes, node)
		if (w->owner != f && (exclusive || w->exclusive))
			return true;
	return false;
}

static bool whole_is_free(struct inode_locks *l, const struct file *f, bool exclusive)
{
	bool r;

	mutex_lock(&locks_lock);
	r = !whole_conflicts(l, f, exclusive);
	mutex_unlock(&locks_lock);
	return r;
}

/* Sleeps until the file looks free, and is shown in /proc/locks meanwhile. */
static int whole_wait(struct inode_locks *l, const struct file *f, bool exclusive, int pid)
{
	struct lock_waiter me = {.l = l, .whole = true, .owner = f};
	int r;

	me.r.type = exclusive ? L_F_WRLCK : L_F_RDLCK;
	me.r.pid = pid;
	mutex_lock(&locks_lock);
	list_add_tail(&me.node, &lock_waiters);
	mutex_unlock(&locks_lock);
	r = wait_event(&l->wq, whole_is_free(l, f, exclusive));
	mutex_lock(&locks_lock);
	list_del_init(&me.node);
	mutex_unlock(&locks_lock);
	return r;
}

/* One attempt: 0, -EAGAIN.  fresh is used up on success.  An own lock of the other kind is let go first, and stays so. */
static int whole_try(struct inode_locks *l, struct file *f, bool exclusive, struct whole_lock **fresh, bool *let_go)
	REQUIRES(locks_lock)
{
	struct whole_lock *own = own_whole(l, f);

	if (own && own->exclusive == exclusive)
		return 0;
	if (own) {
		list_del_init(&own->node);
		lock_free(own);
		*let_go = true;
	}
	if (whole_conflicts(l, f, exclusive))
		return -EAGAIN;
	(*fresh)->owner = f;
	(*fresh)->exclusive = exclusive;
	list_add_tail(&(*fresh)->node, &l->wholes);
	*fresh = NULL;
	return 0;
}

static int whole_unlock(struct inode *i, struct file *f)
{
	struct inode_locks *l;
	struct whole_lock *own = NULL;

	mutex_lock(&locks_lock);
	l = i->locks;
	if (l)
		own = own_whole(l, f);
	if (own)
		list_del_init(&own->node);
	mutex_unlock(&locks_lock);
	if (own)
		waitqueue_wake(&l->wq, 0);
	lock_free(own);
	return 0;
}

int vfs_flock(struct file *f, unsigned op, int pid)
{
	bool exclusive = (op & ~(unsigned)L_LOCK_NB) == L_LOCK_EX;
	struct whole_lock *fresh;
	struct inode_locks *l;
	int r;

	switch (op & ~(unsigned)L_LOCK_NB) {
	case L_LOCK_UN:
		return whole_unlock(f->inode, f);
	case L_LOCK_SH:
	case L_LOCK_EX:
		break;
	default:
		return -EINVAL;
	}
	if (!(f->mode & (FILE_READ | FILE_WRITE)))
		return -EBADF;
	r = lock_alloc(sizeof(*fresh), &fresh);
	if (r < 0)
		return r;
	fresh->pid = pid;
	do {
		bool let_go = false;

		mutex_lock(&locks_lock);
		l = locks_of(f->inode);
		r = l ? whole_try(l, f, exclusive, &fresh, &let_go) : -ENOMEM;
		mutex_unlock(&locks_lock);
		if (let_go)
			waitqueue_wake(&l->wq, 0);
		if (r != -EAGAIN || (op & L_LOCK_NB))
			break;
		r = whole_wait(l, f, exclusive, pid);
	} while (r == 0);
	lock_free(fresh);
	return r;
}

/* ---- ranges ---- */

static bool overlap(const struct lock_range *a, const struct lock_range *b)
{
	return a->start <= b->end && b->start <= a->end;
}

static struct range_lock *range_blocker(struct inode_locks *l, const void *owner, const struct lock_range *want)
{
	struct range_lock *k;

	list_for_each_entry(k, &l->ranges, node)
		if (k->owner != owner && overlap(&k->r, want) &&
		    (k->r.type == L_F_WRLCK || want->type == L_F_WRLCK))
			return k;
	return NULL;
}

/* Cuts [start, end] out of the owner's ranges.  *spare is used when one range becomes two. */
static void cut(struct inode_locks *l, const void *owner, const struct lock_range *r, struct range_lock **spare,
		struct list_head *gone)
{
	struct range_lock *k, *tmp;

	list_for_each_entry_safe(k, tmp, &l->ranges, node) {
		if (k->owner != owner || !overlap(&k->r, r))
			continue;
		if (k->r.start < r->start && k->r.end > r->end) {
			struct range_lock *tail = *spare;

			*spare = NULL;
			tail->owner = owner;
			tail->file = k->file;
			tail->r = k->r;
			tail->r.start = r->end + 1;
			k->r.end = r->start - 1;
			list_add(&tail->node, &k->node);
		} else if (k->r.start < r->start) {
			k->r.end = r->start - 1;
		} else if (k->r.end > r->end) {
			k->r.start = r->end + 1;
		} else {
			list_del_init(&k->node);
			list_add(&k->node, gone);
		}
	}
}

/* Puts fresh in its place among the owner's, and joins it with neighbours of its type. */
static void insert(struct inode_locks *l, struct range_lock *fresh, struct list_head *gone)
{
	struct range_lock *k, *tmp;
	struct list_head *before = &l->ranges, *after = NULL;

	list_for_each_entry_safe(k, tmp, &l->ranges, node) {
		if (k->owner != fresh->owner)
			continue;
		if (k->r.type == fresh->r.type &&
		    (k->r.end + 1 == fresh->r.start || fresh->r.end + 1 == k->r.start)) {
			fresh->r.start = min_of(fresh->r.start, k->r.start);
			fresh->r.end = max_of(fresh->r.end, k->r.end);
			list_del_init(&k->node);
			list_add(&k->node, gone);
		} else if (k->r.start < fresh->r.start) {
			after = &k->node;
		} else if (before == &l->ranges) {
			before = &k->node;
		}
	}
	if (after)
		list_add(&fresh->node, after);
	else
		list_add_tail(&fresh->node, before);
}

/* The file that a lock of f's will be known by: that of an earlier lock which it only makes longer. */
static const struct file *known_by(struct inode_locks *l, const void *owner, const struct lock_range *want,
				   const struct file *f)
{
	struct range_lock *k;

	list_for_each_entry(k, &l->ranges, node)
		if (k->owner == owner && k->r.type == want->type && k->r.start <= want->end + 1 &&
		    want->start <= k->r.end + 1)
			return k->file;
	return f;
}

static void free_ranges(struct list_head *gone)
{
	while (!list_empty(gone)) {
		struct range_lock *k = list_first_entry(gone, struct range_lock, node);

		list_del_init(&k->node);
		lock_free(k);
	}
}

/* True if owner, waiting for blocker, would wait for itself.  Who waits for an OFD lock waits for nobody in particular. */
static bool would_deadlock(const void *owner, const void *blocker) REQUIRES(locks_lock)
{
	for (int n = 0; n < DEADLOCK_STEPS; n++) {
		const struct lock_waiter *w, *found = NULL;

		list_for_each_entry(w, &lock_waiters, node)
			if (w->owner == blocker && w->blocker)
				found = w;
		if (!found)
			return false;
		blocker = found->blocker;
		if (blocker == owner)
			return true;
	}
	return false;
}

/* The range looks free, or somebody else than blocker holds it. */
static bool range_changed(struct inode_locks *l, const void *owner, const struct lock_range *want, const void *blocker)
{
	const struct range_lock *k;
	bool r;

	mutex_lock(&locks_lock);
	k = range_blocker(l, owner, want);
	r = !k || k->owner != blocker;
	mutex_unlock(&locks_lock);
	return r;
}

/* Sleeps until the range looks free, or another holds it: whether that one waits for us is to be asked anew. */
static int range_wait(struct inode_locks *l, const void *owner, const struct lock_range *want)
{
	struct lock_waiter me = {.l = l, .owner = owner, .r = *want};
	const struct range_lock *k;
	const void *blocker = NULL;
	int r = 0;

	mutex_lock(&locks_lock);
	k = range_blocker(l, owner, want);
	if (k) {
		blocker = k->owner;
		if (want->pid >= 0 && would_deadlock(owner, blocker))
			r = -EDEADLK;
		if (k->r.pid >= 0)
			me.blocker = blocker;
	}
	if (k && r == 0)
		list_add_tail(&me.node, &lock_waiters);
	mutex_unlock(&locks_lock);
	if (!k || r < 0)
		return r;
	r = wait_event(&l->wq, range_changed(l, owner, want, blocker));
	mutex_lock(&locks_lock);
	list_del_init(&me.node);
	mutex_unlock(&locks_lock);
	return r;
}

/* One attempt: 0, -EAGAIN, -ENOMEM.  *fresh and *spare are used up as needed. */
static int range_try(struct file *f, const void *owner, const struct lock_range *want, struct range_lock **fresh,
		     struct range_lock **spare, struct list_head *gone) REQUIRES(locks_lock)
{
	struct inode_locks *l = locks_of(f->inode);

	if (!l)
		return -ENOMEM;
	if (want->type != L_F_UNLCK && range_blocker(l, owner, want))
		return -EAGAIN;
	if (want->type != L_F_UNLCK) {
		(*fresh)->owner = owner;
		(*fresh)->file = known_by(l, owner, want, f);
		(*fresh)->r = *want;
	}
	cut(l, owner, want, spare, gone);
	if (want->type != L_F_UNLCK) {
		insert(l, *fresh, gone);
		*fresh = NULL;
	}
	return 0;
}

int vfs_lock(struct file *f, const void *owner, const struct lock_range *want, bool wait)
{
	struct range_lock *fresh = NULL, *spare = NULL;
	struct list_head gone = LIST_HEAD_INIT(gone);
	int r = want->type == L_F_UNLCK ? 0 : lock_alloc(sizeof(*fresh), &fresh);

	if (r == 0)
		r = lock_alloc(sizeof(*spare), &spare);
	/* All of a file can always be let go. */
	if (r == -ENOLCK && want->type == L_F_UNLCK && want->start == 0 && want->end == LOCK_TO_THE_END)
		r = 0;
	while (r == 0) {
		mutex_lock(&locks_lock);
		r = range_try(f, owner, want, &fresh, &spare, &gone);
		mutex_unlock(&locks_lock);
		if (r == 0) /* less may be held than before: by unlocking, or from writing to reading */
			waitqueue_wake(&f->inode->locks->wq, 0);
		if (r != -EAGAIN || !wait)
			break;
		r = range_wait(f->inode->locks, owner, want);
	}
	free_ranges(&gone);
	lock_free(fresh);
	lock_free(spare);
	return r;
}

/* An own lock in the range, whatever its type. */
static struct range_lock *own_range(struct inode_locks *l, const void *owner, const struct lock_range *r)
{
	struct range_lock *k;

	list_for_each_entry(k, &l->ranges, node)
		if (k->owner == owner && overlap(&k->r, r))
			return k;
	return NULL;
}

void vfs_lock_test(struct file *f, const void *owner, struct lock_range *range)
{
	struct range_lock *k = NULL;

	mutex_lock(&locks_lock);
	if (f->inode->locks)
		k = range->type == L_F_UNLCK ? own_range(f->inode->locks, owner, range)
					     : range_blocker(f->inode->locks, owner, range);
	if (k)
		*range = k->r;
	else
		range->type = L_F_UNLCK;
	mutex_unlock(&locks_lock);
}

void vfs_locks_release(struct inode *i, const void *owner)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inode_locks *l;
	struct range_lock *k, *tmp;
	struct whole_lock *w = NULL;

	mutex_lock(&locks_lock);
	l = i->locks;
	if (l) {
		list_for_each_entry_safe(k, tmp, &l->ranges, node) {
			if (k->owner != owner)
				continue;
			list_del_init(&k->node);
			list_add(&k->node, &gone);
		}
		w = own_whole(l, owner);
		if (w)
			list_del_init(&w->node);
	}
	mutex_unlock(&locks_lock);
	if (l && (w || !list_empty(&gone)))
		waitqueue_wake(&l->wq, 0);
	free_ranges(&gone);
	lock_free(w);
}
