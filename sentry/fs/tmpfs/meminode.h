/*
 * What an inode in memory carries besides its attributes, by type: bytes, entries or a link's text; and extended
 * attributes.  tmpfs and the upper layer of an overlay are made of these.
 */
#ifndef BAILEY_SENTRY_FS_TMPFS_MEMINODE_H
#define BAILEY_SENTRY_FS_TMPFS_MEMINODE_H

#include "sentry/fs/tmpfs/memdir.h"
#include "sentry/fs/tmpfs/memfile.h"
#include "sentry/fs/tmpfs/memxattr.h"

struct mem_inode {
	union {
		struct memfile file;
		struct memdir dir;
		char *target; /* owned; immutable */
	};
	struct memxattrs xattrs;
};

void mem_inode_init(struct mem_inode *m, uint32_t mode, struct mem_quota *quota);
void mem_inode_destroy(struct mem_inode *m, uint32_t mode);
/* statfs from a quota. */
void mem_quota_statfs(const struct mem_quota *q, struct l_statfs *st);
/* Emits the live entries from dc->pos on; false: the buffer is full.  Entries made since the listing was begun
 * (f->version, set here at its start) are left out, so that a program that renames what it lists comes to an end. */
bool mem_dir_emit(struct memdir *d, struct file *f, struct dir_context *dc, int64_t base) MUST_CHECK;
/* One name of i is gone, or has come.  i->lock is taken. */
void mem_unlink_inode(struct inode *i);
void mem_link_inode(struct inode *i);

#endif
