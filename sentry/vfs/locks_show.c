/* Locks as text: /proc/locks and the "lock:" lines of /proc/PID/fdinfo/N, as proc(5) shows them. */
#include <stdio.h>

#include "abi/types.h"
#include "sentry/vfs/locks.h"

/* What v says of whoever has a lock; 0: nothing, so the lock is not shown.  An OFD lock is nobody's. */
static int holder(const struct locks_view *v, int pid)
{
	return pid < 0 || !v->nr ? pid : v->nr(pid, v->arg);
}

static void put_lock(const struct locks_view *v, const struct inode *i, bool whole, const struct lock_range *r)
{
	FILE *out = v->out;

	fputs(whole ? "FLOCK  ADVISORY  " : r->pid < 0 ? "OFDLCK ADVISORY  " : "POSIX  ADVISORY  ", out);
	fprintf(out, "%s %d %02x:%02x:%llu ", r->type == L_F_WRLCK ? "WRITE" : "READ", holder(v, r->pid),
		l_major(i->sb->dev), l_minor(i->sb->dev), (unsigned long long)i->ino);
	if (whole)
		fputs("0 EOF\n", out);
	else if (r->end == LOCK_TO_THE_END)
		fprintf(out, "%llu EOF\n", (unsigned long long)r->start);
	else
		fprintf(out, "%llu %llu\n", (unsigned long long)r->start, (unsigned long long)r->end);
}

static void put_lease(const struct locks_view *v, const struct inode *i, const struct lease *k)
{
	int type = lease_target(k);

	fprintf(v->out, "LEASE  %s%s %d %02x:%02x:%llu 0 EOF\n",
		k->unlock_at || k->downgrade_at ? "BREAKING  " : "ACTIVE    ",
		type == L_F_WRLCK   ? "WRITE"
		: type == L_F_RDLCK ? "READ"
				    : "UNLCK",
		holder(v, k->pid), l_major(i->sb->dev), l_minor(i->sb->dev), (unsigned long long)i->ino);
}

static struct lock_range range_of_whole(const struct whole_lock *w)
{
	return (struct lock_range){w->exclusive ? L_F_WRLCK : L_F_RDLCK, 0, LOCK_TO_THE_END, w->pid};
}

/* The first lock in the way of w, as range_blocker and whole_conflicts find it. */
static bool blocks(const void *owner, const struct lock_range *held, const struct lock_waiter *w)
{
	if (owner == w->owner || (held->type != L_F_WRLCK && w->r.type != L_F_WRLCK))
		return false;
	return w->whole || (held->start <= w->r.end && w->r.start <= held->end);
}

/* Those who wait for the lock just shown, each below the first lock that is in its way: later ones do not see it again. */
static void put_waiters(const struct locks_view *v, const struct inode_locks *l, unsigned long id, bool whole,
			const void *owner, const struct lock_range *held) REQUIRES(locks_lock)
{
	struct lock_waiter *w;

	list_for_each_entry(w, &lock_waiters, node) {
		if (w->l != l || w->whole != whole || w->shown || !blocks(owner, held, w))
			continue;
		w->shown = true;
		if (!holder(v, w->r.pid))
			continue;
		fprintf(v->out, "%lu: -> ", id);
		put_lock(v, l->inode, whole, &w->r);
	}
}

static void put_inode(const struct locks_view *v, const struct inode_locks *l, unsigned long *id) REQUIRES(locks_lock)
{
	const struct range_lock *k;
	const struct whole_lock *w;
	const struct lease *lease;

	list_for_each_entry(lease, &l->leases, node) {
		if (!holder(v, lease->pid))
			continue;
		fprintf(v->out, "%lu: ", ++*id);
		put_lease(v, l->inode, lease);
	}
	list_for_each_entry(w, &l->wholes, node) {
		struct lock_range r = range_of_whole(w);

		if (!holder(v, r.pid))
			continue;
		fprintf(v->out, "%lu: ", ++*id);
		put_lock(v, l->inode, true, &r);
		put_waiters(v, l, *id, true, w->owner, &r);
	}
	list_for_each_entry(k, &l->ranges, node) {
		if (!holder(v, k->r.pid))
			continue;
		fprintf(v->out, "%lu: ", ++*id);
		put_lock(v, l->inode, false, &k->r);
		put_waiters(v, l, *id, false, k->owner, &k->r);
	}
}

void vfs_show_locks(const struct locks_view *v)
{
	const struct inode_locks *l;
	struct lock_waiter *w;
	unsigned long id = 0;

	mutex_lock(&locks_lock);
	list_for_each_entry(w, &lock_waiters, node)
		w->shown = false;
	list_for_each_entry(l, &locks_all, all_node)
		put_inode(v, l, &id);
	mutex_unlock(&locks_lock);
}

void vfs_show_file_locks(const struct locks_view *v, const struct file *f, const void *table)
{
	const struct inode_locks *l;
	const struct range_lock *k;
	const struct whole_lock *w;
	const struct lease *lease;
	unsigned long id = 0;

	mutex_lock(&locks_lock);
	l = f->inode->locks;
	if (l) {
		list_for_each_entry(w, &l->wholes, node) {
			struct lock_range r = range_of_whole(w);

			if (w->owner != f)
				continue;
			fprintf(v->out, "lock:\t%lu: ", ++id);
			put_lock(v, l->inode, true, &r);
		}
		list_for_each_entry(k, &l->ranges, node) {
			if (k->file != f || (k->owner != table && k->owner != f))
				continue;
			fprintf(v->out, "lock:\t%lu: ", ++id);
			put_lock(v, l->inode, false, &k->r);
		}
		list_for_each_entry(lease, &l->leases, node) {
			if (lease->file != f)
				continue;
			fprintf(v->out, "lock:\t%lu: ", ++id);
			put_lease(v, l->inode, lease);
		}
	}
	mutex_unlock(&locks_lock);
}
