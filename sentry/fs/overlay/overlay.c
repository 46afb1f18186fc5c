/* overlay: a read-only file system below, changes in memory above.  How it works: internal.h. */
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/overlay/internal.h"

/* Numbers of inodes that have no lower begin here, above those of any usual host file system. */
#define FIRST_OWN_INO (1ull << 48)

static int statfs(struct super_block *sb, struct l_statfs *st)
{
	const struct ovl *fs = sb->priv;
	int r = 0;

	if (fs->quota.limit)
		mem_quota_statfs(&fs->quota, st);
	else if (fs->lower->ops->statfs)
		r = fs->lower->ops->statfs(fs->lower, st);
	st->f_type = sb->magic;
	st->f_namelen = L_NAME_MAX;
	return r;
}

static void super_release(struct super_block *sb)
{
	struct ovl *fs = sb->priv;

	super_put(fs->lower);
	mutex_destroy(&fs->lock);
	htable_destroy(&fs->inodes);
	free(fs);
}

static void show_options(struct super_block *sb, char *buf, size_t size)
{
	const struct ovl *fs = sb->priv;

	if (fs->quota.limit)
		snprintf(buf, size, ",size=%luk", (unsigned long)(fs->quota.limit * (PAGE_SIZE / 1024)));
}

static const struct super_ops super_ops = {
	.statfs = statfs,
	.release = super_release,
	.show_options = show_options,
};

int overlay_create(struct super_block *lower, uint64_t size_limit, struct super_block **out)
{
	struct inode *lower_root = dentry_inode(lower->root), *root;
	struct ovl *fs = calloc(1, sizeof(*fs));
	struct super_block *sb;
	int r;

	if (!fs || !lower_root->ops->lookup_inode) {
		r = fs ? -EINVAL : -ENOMEM;
		free(fs);
		super_put(lower);
		return r;
	}
	fs->lower = lower;
	fs->quota.limit = size_limit / PAGE_SIZE;
	mutex_init(&fs->lock);
	htable_init(&fs->inodes);
	list_init(&fs->pins);
	sb = super_new("overlay", L_OVERLAYFS_SUPER_MAGIC, &super_ops, fs);
	if (!sb) {
		super_put(lower);
		free(fs);
		return -ENOMEM;
	}
	sb->next_ino = FIRST_OWN_INO;
	sb->flags = SB_INODE_FLAGS;
	r = ovl_inode_get(sb, inode_get(lower_root), &root);
	if (r == 0) {
		fs->root = root;
		sb->root = dentry_make_root(sb, root);
		r = sb->root ? 0 : -ENOMEM;
	}
	if (r < 0) {
		super_put(sb);
		return r;
	}
	*out = sb;
	return 0;
}
