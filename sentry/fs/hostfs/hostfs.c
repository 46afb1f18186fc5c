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

/* As host_stat_at of the directory n at path, which has the descriptor by which it was looked at from now on. */
static int stat_and_keep(int fd, const char *path, struct host_node *n, struct host_stat *st)
{
	int opened = host_open_dir_path(fd, path), r;

	if (opened < 0)
		return opened;
	r = host_stat_fd(opened, st);
	if (r < 0 || !node_is(n, st)) {
		host_close(opened);
		return r < 0 ? r : -ESTALE;
	}
	dir_fd_keep(n, opened, false);
	dir_fd_put(n);
	return 0;
}

/*
 * Holds what the host says of path, as seen from dir, against i (NULL: nothing is there).  Where somebody has i's lock its attributes
 * are left to him: a directory's lock may be held by the very caller.  keep: i is a directory, see stat_and_keep.
 */
static enum path_says hold_against(struct inode *dir, const char *path, struct inode *i, bool keep) NO_LOCK_ANALYSIS
{
	enum path_says says = PATH_UNSURE;
	int r, fd = dir_fd_get(node_of(dir));
	struct host_stat st;
	bool locked;

	if (fd < 0)
		return PATH_UNSURE;
	locked = i && mutex_trylock(&i->lock);
	r = keep ? stat_and_keep(fd, path, node_of(i), &st) : host_stat_at(fd, path, &st);
	if (!i) {
		says = r == -ENOENT ? PATH_SAME : PATH_UNSURE;
	} else if (r == 0 && node_is(node_of(i), &st)) {
		says = locked ? PATH_FRESH : PATH_SAME;
		if (locked)
			node_set_attr(i, &st);
	}
	if (locked)
		mutex_unlock(&i->lock);
	dir_fd_put(node_of(dir));
	return says;
}

static bool still_there(struct inode *dir, const char *name, struct inode *i)
{
	if (hold_against(dir, name, i, false) == PATH_UNSURE)
		return false;
	/* Of several names the one that the walk came by is known to be good. */
	return !i || node_set_place(node_of(i), node_of(dir), name) == 0;
}

/* For read-write trees: is what the host has at that name still what the dentry says?  No move may come in between. */
static bool revalidate(struct dentry *d)
{
	struct dentry *parent = dentry_parent(d);
	struct inode *dir = dentry_inode(parent);
	struct hostfs *fs = hostfs_of(dir);
	char name[L_NAME_MAX + 1] NOT_ZEROED;
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

/* The directory i is at the end of path; and in d's parent, unless that is another one than was cached. */
static enum path_says reach(struct dentry *from, const char *path, struct dentry *d, struct inode *i) NO_LOCK_ANALYSIS
{
	struct dentry *parent = dentry_parent(d);
	struct host_node *n = node_of(i);
	struct hostfs *fs = hostfs_of(i);
	char name[L_NAME_MAX + 1] NOT_ZEROED;
	enum path_says says;
	int fd;

	dentry_copy_name(d, name, sizeof(name));
	read_lock(&fs->moves);
	fd = dir_fd_peek(n);
	says = hold_against(dentry_inode(from), path, i, fd < 0);
	if (says != PATH_UNSURE && parent != d && node_set_place(n, node_of(dentry_inode(parent)), name) < 0)
		says = PATH_UNSURE;
	if (fd >= 0)
		dir_fd_put(n);
	rw_unlock(&fs->moves);
	dentry_put(parent);
	return says;
}

/*
 * One statx of the whole path, only where the host follows no link in the middle of it (HOSTFS_NO_LINKS; openat2 would promise as much
 * for three calls): the path stays below `from` whoever swaps what, and an equal answer tells of an inode that is had already.
 */
static enum path_says still_names(struct dentry *from, const char *path, struct dentry *d, struct inode *i, bool to_reach)
{
	return to_reach ? reach(from, path, d, i) : hold_against(dentry_inode(from), path, i, false);
}

static void super_release(struct super_block *sb)
{
	struct hostfs *fs = sb->priv;

	htable_destroy(&fs->nodes);
	free(fs);
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
static const struct super_ops whole_path_ops = {
	.statfs = statfs,
	.release = super_release,
	.revalidate = revalidate,
	.still_names = still_names,
	.lookup_along = hostfs_lookup_along,
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

int hostfs_create(int root_fd, unsigned how, struct super_block **out)
{
	const struct super_ops *ops = how & HOSTFS_READ_ONLY  ? &read_only_ops
				      : how & HOSTFS_NO_LINKS ? &whole_path_ops : &read_write_ops;
	struct hostfs *fs = calloc(1, sizeof(*fs));
	struct super_block *sb = NULL;
	int r = -ENOMEM;

	if (fs) {
		mutex_init(&fs->lock);
		rwlock_init(&fs->moves);
		htable_init(&fs->nodes);
		list_init(&fs->dir_fds);
		list_init(&fs->kept);
		fs->read_only = how & HOSTFS_READ_ONLY;
		sb = super_new("hostfs", HOSTFS_MAGIC, ops, fs);
	}
	if (sb) {
		sb->flags = fs->read_only ? SB_RDONLY : 0;
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
