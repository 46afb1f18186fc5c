/*
 * Leases: F_SETLEASE and F_GETLEASE of fcntl(2).  Who holds one is told by a signal (SIGIO, or F_SETSIG's) before another opens
 * the file in a way that conflicts with it, or truncates it; the other waits until the lease is given up or weakened, for
 * fs.lease-break-time at most, after which that is done for the holder.
 *
 * Leases hang in the inode's inode_locks under locks_lock.  A lease is borrowed from its file: the last put ends it.
 */
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/signal.h"
#include "host/clock.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/locks.h"

struct tunable lease_break_time = {45, 0, INT32_MAX, NULL}; /* s; 0: for ever */
struct tunable leases_enable = {1, INT32_MIN, INT32_MAX, NULL};

static struct lease *lease_of(struct inode_locks *l, const struct file *f) REQUIRES(locks_lock)
{
	struct lease *k;

	list_for_each_entry(k, &l->leases, node)
		if (k->file == f)
			return k;
	return NULL;
}

int lease_target(const struct lease *k)
{
	return k->unlock_at ? L_F_UNLCK : k->downgrade_at ? L_F_RDLCK : k->type;
}

/* Makes k weaker, or ends it: then it goes to *gone. */
static void modify(struct lease *k, int type, struct list_head *gone) REQUIRES(locks_lock)
{
	k->type = type;
	k->downgrade_at = 0;
	if (type != L_F_UNLCK)
		return;
	k->unlock_at = 0;
	list_del_init(&k->node);
	list_add(&k->node, gone);
}

/* What was to be given up by now is. */
static void time_out(struct inode_locks *l, struct list_head *gone) REQUIRES(locks_lock)
{
	int64_t now = host_clock_ns(L_CLOCK_MONOTONIC);
	struct lease *k, *tmp;

	list_for_each_entry_safe(k, tmp, &l->leases, node) {
		if (k->unlock_at && now >= k->unlock_at)
			modify(k, L_F_UNLCK, gone);
		else if (k->downgrade_at && now >= k->downgrade_at)
			modify(k, L_F_RDLCK, gone);
	}
}

/* Leases that have ended: no locks held.  As on Linux the file then tells nobody anything. */
static void end_leases(struct inode_locks *l, struct list_head *gone)
{
	bool any = !list_empty(gone);

	while (!list_empty(gone)) {
		struct lease *k = list_first_entry(gone, struct lease, node);

		list_del_init(&k->node);
		(void)!fasync_set(&k->async, k->file, -1, false);
		lock_free(k);
	}
	if (any)
		waitqueue_wake(&l->wq, 0);
}

/* ---- by the holder ---- */

/* Others have the file open in a way that a lease of this type cannot stand beside. */
static int conflicting_open(const struct file *f, int type)
{
	const struct inode *i = f->inode;
	int writers = i->writers > 0 ? i->writers : 0;

	if (type == L_F_RDLCK)
		return writers ? -EAGAIN : 0;
	return writers != ((f->mode & FILE_WRITER) != 0) || i->readers != ((f->mode & FILE_READER) != 0) ? -EAGAIN : 0;
}

/* 0 if f may have a lease of this type beside those of others. */
static int beside_others(struct inode_locks *l, const struct file *f, int type) REQUIRES(locks_lock)
{
	const struct lease *k;

	list_for_each_entry(k, &l->leases, node)
		if (k->file != f && (type == L_F_WRLCK || k->unlock_at))
			return -EAGAIN;
	return conflicting_open(f, type);
}

static int add(struct file *f, int fd, int type, int pid)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct lease *fresh, *own = NULL;
	struct inode_locks *l;
	int r = lock_alloc(sizeof(*fresh), &fresh);

	if (r < 0)
		return r;
	fresh->file = f;
	fresh->type = type;
	fresh->pid = pid;
	/* Before it can be seen, so that it is there to be told; taken off again if it comes to nothing. */
	f->async = true;
	r = fasync_set(&fresh->async, f, fd, true);
	mutex_lock(&locks_lock);
	l = locks_of(f->inode);
	if (r == 0)
		r = l ? beside_others(l, f, type) : -ENOMEM;
	if (r == 0)
		own = lease_of(l, f);
	if (own) {
		modify(own, type, &gone);
	} else if (r == 0) {
		list_add_tail(&fresh->node, &l->leases);
		f->inode->leased = true;
		fresh = NULL;
	}
	mutex_unlock(&locks_lock);
	if (own)
		waitqueue_wake(&l->wq, 0);
	if (fresh) {
		(void)!fasync_set(&fresh->async, f, -1, false);
		lock_free(fresh);
	}
	return r;
}

/* Ends f's lease, if it has one: -EAGAIN if not. */
static int drop(struct file *f)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inode_locks *l;
	struct lease *own;

	mutex_lock(&locks_lock);
	l = f->inode->locks;
	own = l ? lease_of(l, f) : NULL;
	if (own)
		modify(own, L_F_UNLCK, &gone);
	mutex_unlock(&locks_lock);
	if (!own)
		return -EAGAIN;
	end_leases(l, &gone);
	return 0;
}

int vfs_set_lease(struct file *f, int fd, int type, const struct cred *c, int pid)
{
	int r;

	if (type != L_F_RDLCK && type != L_F_WRLCK && type != L_F_UNLCK)
		return -EINVAL;
	if (c->fsuid != f->inode->uid && !cred_capable(c, L_CAP_LEASE))
		return -EACCES;
	if (!inode_is(f->inode, L_S_IFREG) || (type != L_F_UNLCK && !leases_enable.value))
		return -EINVAL;
	if (type != L_F_UNLCK) {
		r = add(f, fd, type, pid);
		return r < 0 ? r : file_set_owner(f, L_F_OWNER_PID, pid, c->uid, c->euid, true);
	}
	r = drop(f);
	if (r == 0) {
		r = file_set_owner(f, L_F_OWNER_PID, 0, 0, 0, false);
		if (r == 0)
			r = file_set_owner_signal(f, 0);
	}
	return r;
}

int vfs_get_lease(struct file *f)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct inode_locks *l;
	const struct lease *k = NULL;
	int type;

	if (!f->inode->leased)
		return L_F_UNLCK;
	mutex_lock(&locks_lock);
	l = f->inode->locks;
	time_out(l, &gone);
	k = lease_of(l, f);
	type = k ? lease_target(k) : L_F_UNLCK;
	mutex_unlock(&locks_lock);
	end_leases(l, &gone);
	return type;
}

void lease_release(struct file *f)
{
	(void)!drop(f); /* it need not have one */
}

/* ---- by others ---- */

static bool conflicts(const struct lease *k, bool write)
{
	return write || k->type == L_F_WRLCK;
}

/* Asks the holders of what conflicts, once each, to give it up.  *any: there are some; *until: when to look again. */
static void ask(struct inode_locks *l, bool write, bool *any, int64_t *until) REQUIRES(locks_lock)
{
	int64_t limit = lease_break_time.value;
	int64_t at = limit ? host_clock_ns(L_CLOCK_MONOTONIC) + limit * L_NSEC_PER_SEC : NO_DEADLINE;
	struct lease *k;

	*any = false;
	*until = NO_DEADLINE;
	list_for_each_entry(k, &l->leases, node) {
		int64_t *mine = write ? &k->unlock_at : &k->downgrade_at;

		if (!conflicts(k, write))
			continue;
		*any = true;
		if (!*mine && (write || !k->unlock_at)) {
			*mine = at;
			fasync_tell_later(&k->async, L_POLL_MSG);
		}
		if (*mine && *mine < *until)
			*until = *mine;
		if (k->unlock_at && k->unlock_at < *until)
			*until = k->unlock_at;
	}
}

static bool unconflicted(struct inode_locks *l, bool write)
{
	const struct lease *k;
	bool r = true;

	mutex_lock(&locks_lock);
	list_for_each_entry(k, &l->leases, node)
		r &= !conflicts(k, write);
	mutex_unlock(&locks_lock);
	return r;
}

int lease_break_slow(struct inode *i, bool write, bool nonblock)
{
	struct inode_locks *l = i->locks;

	for (;;) {
		struct list_head gone = LIST_HEAD_INIT(gone);
		int64_t until;
		bool any;
		int r;

		mutex_lock(&locks_lock);
		time_out(l, &gone);
		ask(l, write, &any, &until);
		mutex_unlock(&locks_lock);
		end_leases(l, &gone);
		if (fasync_due)
			fasync_send_due();
		if (!any)
			return 0;
		if (nonblock)
			return -EWOULDBLOCK;
		r = wait_event_deadline(&l->wq, until, unconflicted(l, write));
		if (r < 0 && r != -ETIMEDOUT)
			return r;
	}
}
