/* hostfs: a directory of the host as a file system.  How inodes are kept and reached: internal.h. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/hostfs/internal.h"

#define HOSTFS_MAGIC 0x00c0ffee /* what Linux's own (user mode Linux) has */

/* A FIFO or socket leads out of the sandbox: shown, never opened.  A device is the sandbox's own of that number. */
static int open_special(struct inode *i, struct file *f)
{
	return L_S_ISCHR(i->mode) ? device_open(i, f) : -ENXIO;
}

static int getattr(struct inode *i, struct l_statx *st)
{
	inode_generic_stat(i, st);
	return 0;
}

const struct inode_ops hostfs_special_ops = {
	.open = open_special,
	.getattr = getattr,
	.setattr = hostfs_setattr,
	.release = node_release,
};

static int statfs(struct super_block *sb, struct l_statfs *st)
{
	const struct hostfs *fs = sb->priv;
	struct host_statfs h;
	int r = host_statfs_fd(fs->root->dir_fd, &h);

	if (r < 0)
		return r;
	st->f_type = sb->magic;
	st->f_bsize = st->f_frsize = (int64_t)h.bsize;
	st->f_blocks = h.blocks;
	st->f_bfree = h.bfree;
	st->f_bavail = h.bavail;
	st->f_files = h.files;
	st->f_ffree = h.ffree;
	st->f_namelen = h.namelen;
	return 0;
}

static bool still_there(struct inode *dir, const char *name, struct inode *i)
{
	struct host_stat st;
	int r, fd = dir_fd_get(node_of(dir));

	if (fd < 0)
		return false;
	r = host_stat_at(fd, name, &st);
	dir_fd_put(node_of(dir));
	if (!i)
		return r == -ENOENT;
	/* Of several names the one that the walk came by is known to be good. */
	return r == 0 && node_is(node_of(i), &st) && node_set_place(node_of(i), node_of(dir), name) == 0;
}

/* For read-write trees: is what the host has at that name still what the dentry says?  No move may come in between. */
static bool revalidate(struct dentry *d)
{
	struct dentry *parent = dentry_parent(d);
	struct inode *dir = dentry_inode(parent);
	struct hostfs *fs = hostfs_of(dir);
	char name[L_NAME_MAX + 1];
	bool good = true;

	if (parent != d) {
		dentry_copy_name(d, name, sizeof(name));
		read_lock(&fs->moves);
		good = still_there(dir, name, dentry_inode(d));
		rw_unlock(&fs->moves);
	}
	dentry_put(parent);
	return good;
}

static void super_release(struct super_block *sb)
{
	free(sb->priv);
}

static const struct super_ops read_only_ops = {
	.statfs = statfs,
	.release = super_release,
};
static const struct super_ops read_write_ops = {
	.statfs = statfs,
	.release = super_release,
	.revalidate = revalidate,
};

/* Makes the root's inode of root_fd, which becomes its node's. */
static int make_root(struct super_block *sb, int root_fd)
{
	struct hostfs *fs = sb->priv;
	struct host_stat st;
	struct inode *root;
	int r = host_stat_fd(root_fd, &st);

	if (r < 0)
		return r;
	if (!L_S_ISDIR(st.mode))
		return -ENOTDIR;
	fs->root_dev = st.dev;
	r = node_get(sb, &st, NULL, NULL, &root);
	if (r < 0)
		return r;
	sb->root = dentry_make_root(sb, root);
	if (!sb->root)
		return -ENOMEM;
	fs->root = node_of(root);
	fs->root->dir_fd = root_fd;
	return 0;
}

int hostfs_create(int root_fd, bool read_only, struct super_block **out)
{
	struct hostfs *fs = calloc(1, sizeof(*fs));
	struct super_block *sb = NULL;
	int r = -ENOMEM;

	if (fs) {
		mutex_init(&fs->lock);
		rwlock_init(&fs->moves);
		list_init(&fs->dir_fds);
		fs->read_only = read_only;
		sb = super_new("hostfs", HOSTFS_MAGIC, read_only ? &read_only_ops : &read_write_ops, fs);
	}
	if (sb) {
		sb->flags = read_only ? SB_RDONLY : 0;
		r = make_root(sb, root_fd);
	} else {
		free(fs);
	}
	if (r < 0) {
		if (sb)
			super_put(sb);
		host_close(root_fd);
		return r;
	}
	*out = sb;
	return 0;
}
