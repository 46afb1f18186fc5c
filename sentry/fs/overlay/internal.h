/*
 * What the files of overlay share: an inode that shows a lower one until it is changed, and then holds the change in
 * memory.
 *
 * There is one overlay inode for a lower inode, found in a table by the lower's address, whatever names lead to it.  It
 * has the lower's number, so st_dev and st_ino never change.  Changes are kept in the overlay inode itself: attributes
 * in its fields, bytes in a memfile (copied up at the first write), names in a memdir (with whiteouts for names of the
 * lower that are gone), extended attributes in a list.  There is no upper tree of dentries and no copying of parents: a
 * changed inode is *pinned* in the table, so that the next lookup of its lower finds it again.
 *
 * Since a moved inode takes its lower along, renaming a lower directory or hard-linking a lower file copies nothing
 * (where Linux's overlayfs says EXDEV, or breaks the link).  A directory made where one was removed has no lower: it is
 * opaque.
 *
 * Locks: an overlay inode's lock is outside of all locks of the lower file system.  fs->lock guards the table and the
 * pins and is a leaf.
 *
 * DIVERGES: the lower tree must not change while it is in use: the sentry trusts what it has cached of it.
 */
#ifndef BAILEY_SENTRY_FS_OVERLAY_INTERNAL_H
#define BAILEY_SENTRY_FS_OVERLAY_INTERNAL_H

#include "base/htable.h"
#include "sentry/fs/tmpfs/meminode.h"

struct ovl {
	struct mem_quota quota;
	struct super_block *lower; /* counted */
	struct inode *root;	   /* borrowed; never pinned: the super block's root holds it */
	struct mutex lock;
	struct htable inodes;	   /* those that have a lower */
	struct list_head pins;	   /* of ovl_inode.pin */
};

struct ovl_inode {
	struct mem_inode mem;
	struct inode *inode;	 /* borrowed: this is its priv */
	struct inode *lower;	 /* counted; NULL: it was made in the overlay; immutable */
	struct hentry hashed;	 /* in the table, if in_table; guarded by fs->lock */
	bool in_table;		 /* guarded by fs->lock */
	struct list_head pin;	 /* in fs->pins, which holds a reference; guarded by fs->lock */
	_Atomic bool copied_up;	 /* a regular file: its bytes are mem.file; set with the inode's lock held */
	bool own_attrs;		 /* attributes were changed; guarded by the inode's lock */
	_Atomic bool own_xattrs; /* extended attributes are mem.xattrs; set with the inode's lock held */
	struct file *lower_file; /* open while lower_users > 0; guarded by the inode's lock, fixed for those users */
	unsigned lower_users;
};

static inline struct ovl_inode *ovl_of(const struct inode *i)
{
	return i->priv;
}
static inline struct ovl *ovl_fs(const struct inode *i)
{
	return i->sb->priv;
}
/* The lower directory whose names show through, or NULL. */
static inline struct inode *ovl_lower(const struct inode *i)
{
	return ovl_of(i)->lower;
}

/* ---- inode.c ---- */

/* A fresh inode without a lower; the caller sets its owner. */
int ovl_inode_new(struct super_block *sb, uint32_t mode, struct inode **out) MUST_CHECK;
/* The inode that shows lower (consumed); counted. */
int ovl_inode_get(struct super_block *sb, struct inode *lower, struct inode **out) MUST_CHECK;
/* i was changed: it must be found again.  Harmless if it has no lower. */
void ovl_pin(struct inode *i);
/* i has no name left. */
void ovl_unpin(struct inode *i);
void ovl_inode_release(struct inode *i);

/* Makes the bytes the overlay's own.  With keep false they become none.  i->lock held. */
int ovl_copy_up(struct inode *i, bool keep) MUST_CHECK;
int ovl_own_xattrs(struct inode *i) MUST_CHECK;

/* An open file of a lower inode, for the overlay's own use: not in any table, freed by ovl_lower_close. */
int ovl_lower_open(struct inode *lower, struct file **out) MUST_CHECK;
void ovl_lower_close(struct file *f);

/* ---- names.c, attr.c, file.c ---- */

/* True if the merged directory has no entry.  i->lock is taken. */
int ovl_dir_empty(struct inode *i, bool *empty) MUST_CHECK;

extern const struct inode_ops ovl_dir_ops, ovl_file_ops, ovl_symlink_ops, ovl_special_ops;
extern const struct file_ops ovl_dir_file_ops, ovl_regular_file_ops;

int ovl_open(struct inode *i, struct file *f);
int ovl_getattr(struct inode *i, struct l_statx *st);
int ovl_setattr(struct inode *i, const struct iattr *a);
int ovl_readlink(struct inode *i, char **out);
ssize_t ovl_getxattr(struct inode *i, const char *name, void *buf, size_t size);
ssize_t ovl_listxattr(struct inode *i, char *buf, size_t size);
int ovl_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags);
int ovl_removexattr(struct inode *i, const char *name);

#define OVL_ATTR_OPS                                                                                                   \
	.getattr = ovl_getattr, .setattr = ovl_setattr, .getxattr = ovl_getxattr, .setxattr = ovl_setxattr,            \
	.listxattr = ovl_listxattr, .removexattr = ovl_removexattr, .release = ovl_inode_release

#endif
