/*
 * F_NOTIFY: a file that is open on a directory tells its owner, by F_SETSIG's signal or SIGIO, that something happened
 * there.
 *
 * DIVERGES: one call that does two things of which a file tells (a rename within the directory is a removal, too) makes
 * one signal, where Linux sends one for each.
 */
#include "sentry/vfs/dnotify.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "sentry/vfs/fasync.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/windows.h"

struct dnotify {
	struct dnotify *next;  /* of its directory */
	struct file *f;	       /* borrowed: this goes before it does */
	const void *table;     /* whose descriptor asked; for comparison alone */
	uint32_t mask;	       /* L_DN_*; 0: it has told, and was to tell once */
	struct fasync_list to; /* f alone */
};

/* Guards every inode's dnotify and what hangs there.  Inside inode locks and inotify.c's, outside fasync.c's. */
static struct mutex dnotify_lock = MUTEX_INIT;
_Atomic unsigned dnotify_count; /* changed with that lock held */
struct tunable dnotify_enable = {1, 0, 1, NULL};

static struct dnotify *find(const struct file *f, const void *table) REQUIRES(dnotify_lock)
{
	struct dnotify *d = f->inode->dnotify;

	while (d && (d->f != f || d->table != table))
		d = d->next;
	return d;
}

/* Adds to what f tells of; *fresh (consumed then, and NULL afterwards) becomes its record if it has none. */
static int add(struct dnotify **fresh, int fd, uint32_t mask) REQUIRES(dnotify_lock)
{
	struct inode *dir = (*fresh)->f->inode;
	struct dnotify *d = find((*fresh)->f, (*fresh)->table);
	int r = fasync_set(d ? &d->to : &(*fresh)->to, (*fresh)->f, fd, true);

	if (r < 0)
		return r;
	if (!d) {
		d = *fresh;
		*fresh = NULL;
		d->next = dir->dnotify;
		dir->dnotify = d;
		dnotify_count++;
		lends_recall_all();
	}
	d->mask |= mask;
	return 0;
}

int dnotify_set(struct file *f, int fd, const void *table, uint32_t mask, const struct cred *c, int pid)
{
	struct dnotify *fresh;
	int r;

	if (!dnotify_enable.value)
		return -EINVAL;
	if (!(mask & ~L_DN_MULTISHOT)) {
		dnotify_forget(f, table);
		return 0;
	}
	if (!inode_is(f->inode, L_S_IFDIR))
		return -ENOTDIR;
	r = file_set_owner(f, L_F_OWNER_PID, pid, c->uid, c->euid, true);
	if (r < 0)
		return r;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->f = f;
	fresh->table = table;
	mutex_lock(&dnotify_lock);
	r = add(&fresh, fd, mask);
	mutex_unlock(&dnotify_lock);
	free(fresh);
	return r;
}

void dnotify_forget_all(struct file *f, const void *table)
{
	struct inode *dir = f->inode;
	struct dnotify *d, *next, *kept = NULL, *gone = NULL;

	mutex_lock(&dnotify_lock);
	for (d = dir->dnotify; d; d = next) {
		struct dnotify **list = d->f == f && (!table || d->table == table) ? &gone : &kept;

		next = d->next;
		d->next = *list;
		*list = d;
		if (list == &gone) {
			(void)!fasync_set(&d->to, f, -1, false); /* taking off cannot fail */
			dnotify_count--;
		}
	}
	dir->dnotify = kept;
	mutex_unlock(&dnotify_lock);
	for (d = gone; d; d = next) {
		next = d->next;
		free(d);
	}
}

/* events: L_DN_* */
static void tell(struct inode *dir, uint32_t events)
{
	mutex_lock(&dnotify_lock);
	for (struct dnotify *d = dir->dnotify; d; d = d->next) {
		if (!(d->mask & events))
			continue;
		fasync_tell_later(&d->to, L_POLL_MSG);
		if (!(d->mask & L_DN_MULTISHOT))
			d->mask = 0;
	}
	mutex_unlock(&dnotify_lock);
}

void dnotify_tell(struct inode *dir, uint32_t mask)
{
	static const struct {
		uint32_t in, dn;
	} kinds[] = {
		{L_IN_ACCESS, L_DN_ACCESS},
		{L_IN_MODIFY, L_DN_MODIFY},
		{L_IN_ATTRIB, L_DN_ATTRIB},
		{L_IN_CREATE | L_IN_MOVED_TO, L_DN_CREATE},
		{L_IN_DELETE | L_IN_MOVED_FROM, L_DN_DELETE},
	};
	uint32_t events = 0;

	for (size_t n = 0; n < ARRAY_SIZE(kinds); n++)
		if (mask & kinds[n].in)
			events |= kinds[n].dn;
	if (events)
		tell(dir, events);
}

void dnotify_tell_renamed(struct inode *dir)
{
	tell(dir, L_DN_RENAME);
}
