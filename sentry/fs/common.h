/* What several file systems share. */
#ifndef BAILEY_SENTRY_FS_COMMON_H
#define BAILEY_SENTRY_FS_COMMON_H

#include "sentry/vfs/vfs.h"

/* A read through f, as the mount has it: relatime unless told otherwise.  i->lock held. */
void fs_touch_atime(struct inode *i, const struct file *f);
/* Whether reads of i by f leave no new time until something else changes its times, or a day has passed.  Likewise. */
bool fs_atime_is_settled(const struct inode *i, const struct file *f);
/* The d_type of a mode. */
unsigned fs_dirent_type(uint32_t mode);
/* Emits "." and ".." at the positions 0 and 1; other entries come at 2 and after.  False: the buffer is full. */
bool fs_emit_dots(struct file *f, struct dir_context *dc) MUST_CHECK;
/* SIGPIPE to the calling task, for a write that nobody will read.  Returns -EPIPE. */
int fs_broken_pipe(void) MUST_CHECK;
/* file_ops.fsync of a file system in memory. */
int fs_fsync_nothing(struct file *f, bool data_only);

#endif
