/*
 * The extended attributes of an inode in memory: "user." and "trusted." names, as Linux's tmpfs without security
 * modules and access control lists has them.  Permissions are the VFS's.  The inode's lock guards the list and is taken
 * here.
 */
#ifndef BAILEY_SENTRY_FS_TMPFS_MEMXATTR_H
#define BAILEY_SENTRY_FS_TMPFS_MEMXATTR_H

#include "sentry/vfs/vfs.h"

struct memxattr;
struct memxattrs {
	struct memxattr *first; /* in the order they were set */
	size_t total;		/* bytes of names and values */
};

void memxattrs_free(struct memxattrs *x);
ssize_t memxattr_get(struct inode *i, struct memxattrs *x, const char *name, void *buf, size_t size) MUST_CHECK;
int memxattr_set(struct inode *i, struct memxattrs *x, const char *name, const void *value, size_t size,
		 int flags) MUST_CHECK;
ssize_t memxattr_list(struct inode *i, struct memxattrs *x, char *buf, size_t size) MUST_CHECK;
int memxattr_remove(struct inode *i, struct memxattrs *x, const char *name) MUST_CHECK;

#endif
