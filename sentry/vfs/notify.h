/*
 * Telling watchers what happens to files (inotify(7)).  The VFS calls these where things happen; who watches is
 * inotify.c's matter.  With nobody watching anything they cost one load.
 *
 * All may be called with inode locks held: they take inotify.c's lock, and waitqueue locks inside of it.  The caller
 * holds a reference to each inode it names.
 */
#ifndef BAILEY_SENTRY_VFS_NOTIFY_H
#define BAILEY_SENTRY_VFS_NOTIFY_H

#include "sentry/vfs/vfs.h"

/* mask (one or more L_IN_*) happened to what d names: its directory is told, with the name, and then it itself. */
void notify_dentry(struct dentry *d, uint32_t mask);
/* The same for an open file; O_PATH files, pipes and sockets are not watched. */
void notify_file(const struct file *f, uint32_t mask);
/* mask happened to i, and its directories are not concerned. */
void notify_inode(struct inode *i, uint32_t mask);
/* A name in dir was made or removed (L_IN_CREATE, L_IN_DELETE); is_dir: of a directory. */
void notify_name(struct inode *dir, const char *name, bool is_dir, uint32_t mask);
/* moved went from one name to another.  The names are those at the time of the call. */
void notify_moved(struct inode *old_dir, const char *old_name, struct inode *new_dir, const char *new_name,
		  struct inode *moved);
/* A dentry of i has gone: if no link is left, neither is i, and its watches end. */
void notify_dentry_gone(struct inode *i);
/* sb is mounted nowhere any more: the watches of its inodes end. */
void notify_unmounted(struct super_block *sb);

#endif
