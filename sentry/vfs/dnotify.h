/* F_NOTIFY of fcntl(2): signals about changes in a directory. */
#ifndef BAILEY_SENTRY_VFS_DNOTIFY_H
#define BAILEY_SENTRY_VFS_DNOTIFY_H

#include "sentry/core/tunable.h"
#include "sentry/vfs/vfs.h"

extern struct tunable dnotify_enable; /* fs.dir-notify-enable */

/* F_NOTIFY by descriptor fd of the table and process named: mask (L_DN_*) is added to what f tells of; none takes all
 * away. -ENOTDIR, -EINVAL (not enabled), -ENOMEM. */
int dnotify_set(struct file *f, int fd, const void *table, uint32_t mask, const struct cred *c, int pid) MUST_CHECK;
/* A descriptor of f in table is closed, or (NULL) f is: what it asked for by that ends. */
void dnotify_forget_all(struct file *f, const void *table);
static inline void dnotify_forget(struct file *f, const void *table)
{
	if (UNLIKELY(f->inode->dnotify != NULL))
		dnotify_forget_all(f, table);
}

/* For inotify.c, whose calls tell of what happens: how many directories are watched, and that mask (L_IN_*) happened to
 * dir or in it; or a rename within it.  The caller may hold inode locks and inotify.c's. */
extern _Atomic unsigned dnotify_count;
void dnotify_tell(struct inode *dir, uint32_t mask);
void dnotify_tell_renamed(struct inode *dir);

#endif
