/* inotify(7): instances and their watches. */
#ifndef BAILEY_SENTRY_VFS_INOTIFY_H
#define BAILEY_SENTRY_VFS_INOTIFY_H

#include "sentry/core/tunable.h"
#include "sentry/vfs/vfs.h"

/* /proc/sys/fs/inotify; of the whole sandbox, where Linux counts by user.  A watch keeps its inode in memory. */
extern struct tunable inotify_max_queued_events; /* of an instance */
extern struct tunable inotify_max_instances;
extern struct tunable inotify_max_watches;

/* An instance: flags is L_O_NONBLOCK or 0.  -EMFILE past the limit. */
int inotify_file_new(uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
bool inotify_file_is(const struct file *f);
/* inotify_add_watch(2): the watch's number; mask has been checked.  i is borrowed.  -EEXIST, -ENOSPC, -ENOMEM. */
int inotify_watch(struct file *f, struct inode *i, uint32_t mask) MUST_CHECK;
/* inotify_rm_watch(2).  -EINVAL. */
int inotify_unwatch(struct file *f, int wd) MUST_CHECK;

#endif
