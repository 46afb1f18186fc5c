/*
 * Names in a host directory: looking up, making, removing, moving.  Every call is relative to a directory's descriptor.  What a
 * change does to the attributes of the directory is not asked for: getattr does, each time.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/caller.h"
#include "sentry/fs/hostfs/internal.h"

/* The VFS splits paths, so this holds already; nothing else keeps a name from climbing out, so it is asked again. */
static int check_name(const char *name)
{
	if (strlen(name) > L_NAME_MAX)
		return -ENAMETOOLONG;
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -ENOENT : 0;
}

/* name in dir; asked for as path in from.  As node_get: 1 if the attributes are up to date. */
static int find(struct inode *from, const char *path, struct inode *dir, const char *name, struct inode **out)
{
	struct host_stat st;
	int fd, r = check_name(name);

	*out = NULL;
	if (r < 0)
		return r;
	fd = dir_fd_get(node_of(from));
	if (fd < 0)
		return fd;
	r = host_stat_at(fd, path, &st);
	dir_fd_put(node_of(from));
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : node_get(dir->sb, &st, node_of(dir), name, out);
}

static int lookup_inode(struct inode *dir, const char *name, struct inode **out)
{
	int r = find(dir, name, dir, name, out);

	return min_of(r, 0);
}

int hostfs_lookup_along(struct dentry *from, const char *path, struct inode *dir, struct dentry *d)
{
	struct inode *i;
	int r = find(dentry_inode(from), path, dir, dentry_name(d), &i);

	if (r >= 0 && i)
		dentry_instantiate(d, i);
	return r;
}

static int lookup(struct inode *dir, struct dentry *d)
{
	struct inode *i;
	int r = find(dir, dentry_name(d), dir, dentry_name(d), &i);

	if (r >= 0 && i)
		dentry_instantiate(d, i);
	return r;
}

/* ---- making ---- */

static bool writable(const struct inode *dir)
{
	return !hostfs_of(dir)->read_only;
}

/* What was made: the file itself if it is open, whatever stands at its name by now. */
static int stat_new(int fd, struct dentry *d, int made, struct host_stat *st)
{
	return made >= 0 ? host_stat_fd(made, st) : host_stat_at(fd, dentry_name(d), st);
}

/*
 * After d's name was made in dir: it belongs to whom Linux would have it belong to, as far as the sentry may give files
 * away, and gets exactly the mode that was asked for, whatever the sentry's umask.  *made: the descriptor that made it, or
 * -1, which it becomes if it is kept.
 */
static int finish_new(struct inode *dir, struct dentry *d, int fd, int *made, uint32_t mode, const struct cred *c)
{
	struct inode want = {.mode = 0}, *i;
	struct host_stat st;
	bool changed = false;
	int r;

	inode_init_owner(&want, dir, mode, c);
	r = stat_new(fd, d, *made, &st);
	if (r < 0)
		return r;
	if (st.uid != want.uid || st.gid != want.gid) {
		r = *made >= 0 ? host_chown_fd(*made, want.uid, want.gid)
			       : host_chown_at(fd, dentry_name(d), want.uid, want.gid);
		if (r < 0 && r != -EPERM)
			return r;
		changed = r == 0;
	}
	if (!L_S_ISLNK(mode) && (changed || st.mode != want.mode)) {
		r = *made >= 0 ? host_chmod_fd(*made, want.mode) : host_chmod_at(fd, dentry_name(d), want.mode);
		if (r < 0 && r != -EPERM && r != -EOPNOTSUPP)
			return r;
		changed = true;
	}
	r = changed ? stat_new(fd, d, *made, &st) : 0;
	if (r == 0)
		r = node_get(dir->sb, &st, node_of(dir), dentry_name(d), &i);
	if (r < 0)
		return r;
	if (*made >= 0) {
		node_keep_made(node_of(i), *made);
		*made = -1;
	}
	dentry_instantiate(d, i);
	return 0;
}

static int make(struct inode *dir, struct dentry *d, uint32_t mode, const char *target, const struct cred *c)
{
	const char *name = dentry_name(d);
	int fd, made = -1, r;

	if (!writable(dir))
		return -EROFS;
	fd = dir_fd_get(node_of(dir));
	if (fd < 0)
		return fd;
	switch (mode & L_S_IFMT) {
	case L_S_IFREG:
		made = host_create_file(fd, name, mode);
		r = min_of(made, 0);
		break;
	case L_S_IFDIR:
		r = host_mkdir_at(fd, name, mode);
		break;
	case L_S_IFLNK:
		r = host_symlink_at(target, fd, name);
		break;
	default:
		r = host_mknod_at(fd, name, mode);
		break;
	}
	if (r == 0)
		r = finish_new(dir, d, fd, &made, mode, c);
	dir_fd_put(node_of(dir));
	if (made >= 0)
		host_close(made);
	return r;
}

static int create(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c)
{
	return make(dir, d, mode, NULL, c);
}

/* No sockets: one that is bound to a name is the sentry's, and nobody outside would find it behind the host's node. */
static int make_node(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const struct cred *c)
{
	if (L_S_ISSOCK(mode))
		return -EPERM;
	return make(dir, d, mode, NULL, c);
}

static int make_symlink(struct inode *dir, struct dentry *d, const char *target, const struct cred *c)
{
	return make(dir, d, L_S_IFLNK | 0777, target, c);
}

struct new_name {
	int dir_fd;
	const char *name;
};

static int link_here(struct host_node *n, const struct node_place *p, void *arg)
{
	const struct new_name *to = arg;
	struct host_stat st;
	int r = host_stat_at(p->fd, p->name, &st);

	if (r == 0 && !node_is(n, &st))
		r = -ESTALE;
	return r < 0 ? r : host_link_at(p->fd, p->name, to->dir_fd, to->name);
}

/* A file that O_TMPFILE made has no place until it is given one by its descriptor. */
static int link_nameless(struct inode *target, struct inode *dir, const struct new_name *to)
{
	struct host_node *n = node_of(target);
	int r = -ENOENT;

	mutex_lock(&target->lock);
	if (n->fds[1].fd >= 0)
		r = host_link_fd(n->fds[1].fd, to->dir_fd, to->name);
	mutex_unlock(&target->lock);
	return r < 0 ? r : node_set_place(n, node_of(dir), to->name);
}

static int make_link(struct inode *dir, struct dentry *d, struct inode *target)
{
	struct new_name to = {.name = dentry_name(d)};
	int r;

	if (!writable(dir))
		return -EROFS;
	to.dir_fd = dir_fd_get(node_of(dir));
	if (to.dir_fd < 0)
		return to.dir_fd;
	r = node_at_place(node_of(target), link_here, &to);
	if (r == -ENOENT && target->nlink == 0)
		r = link_nameless(target, dir, &to);
	dir_fd_put(node_of(dir));
	if (r < 0)
		return r;
	mutex_lock(&target->lock);
	node_refresh(target);
	mutex_unlock(&target->lock);
	dentry_instantiate(d, inode_get(target));
	return 0;
}

/* The owner and mode of a file without a name, as finish_new does for others. */
static int own_nameless(int fd, const struct inode *want)
{
	struct host_stat st;
	int r = host_stat_fd(fd, &st);

	if (r == 0 && (st.uid != want->uid || st.gid != want->gid))
		r = host_chown_fd(fd, want->uid, want->gid);
	if (r == -EPERM)
		r = 0;
	return r < 0 ? r : host_chmod_fd(fd, want->mode);
}

/* The node keeps both descriptors from the start: there is no name to open it by. */
static int make_tmpfile(struct inode *dir, uint32_t mode, const struct cred *c, struct inode **out)
{
	struct inode want = {.mode = 0}, *i;
	struct host_stat st;
	int fd, second, r;

	if (!writable(dir))
		return -EROFS;
	r = dir_fd_get(node_of(dir));
	if (r < 0)
		return r;
	fd = host_open_tmpfile(r, mode);
	dir_fd_put(node_of(dir));
	if (fd < 0)
		return fd;
	inode_init_owner(&want, dir, mode, c);
	second = host_dup(fd);
	r = second < 0 ? second : own_nameless(fd, &want);
	if (r == 0)
		r = host_stat_fd(fd, &st);
	if (r == 0)
		r = node_get(dir->sb, &st, NULL, NULL, &i);
	if (r < 0) {
		host_close(fd);
		if (second >= 0)
			host_close(second);
		return r;
	}
	mutex_lock(&i->lock);
	node_of(i)->fds[0].fd = second;
	node_of(i)->fds[1].fd = fd;
	mutex_unlock(&i->lock);
	*out = i;
	return 0;
}

/* ---- removing and moving ---- */

static void drop_link(struct inode *i)
{
	mutex_lock(&i->lock);
	i->nlink = inode_is(i, L_S_IFDIR) || i->nlink == 0 ? 0 : i->nlink - 1;
	inode_touch(i, 0);
	mutex_unlock(&i->lock);
}

static int remove_name(struct inode *dir, struct dentry *d)
{
	struct inode *i = dentry_inode(d);
	int fd, r;

	if (!writable(dir))
		return -EROFS;
	fd = dir_fd_get(node_of(dir));
	if (fd < 0)
		return fd;
	write_lock(&hostfs_of(dir)->moves);
	r = host_unlink_at(fd, dentry_name(d), inode_is(i, L_S_IFDIR));
	if (r == 0)
		node_lose_place(node_of(i), node_of(dir), dentry_name(d));
	rw_unlock(&hostfs_of(dir)->moves);
	dir_fd_put(node_of(dir));
	if (r < 0)
		return r;
	drop_link(i);
	return 0;
}

/* What the host has moved moves here.  A node that cannot learn its place (no memory) is found again by the next
 * lookup. */
static void move_node(struct host_node *n, struct host_node *from, const char *old_name, struct host_node *to,
		      const char *new_name)
{
	if (node_set_place(n, to, new_name) < 0)
		node_lose_place(n, from, old_name);
}

static int rename_name(struct inode *old_dir, struct dentry *old_d, struct inode *new_dir, struct dentry *new_d,
		       unsigned flags, const struct cred *c)
{
	struct host_node *moved = node_of(dentry_inode(old_d)), *from = node_of(old_dir), *to = node_of(new_dir);
	const char *old_name = dentry_name(old_d), *new_name = dentry_name(new_d);
	struct inode *victim = dentry_inode(new_d);
	struct hostfs *fs = hostfs_of(old_dir);
	int old_fd, new_fd, r;

	if (!writable(old_dir))
		return -EROFS;
	if (flags & L_RENAME_WHITEOUT)
		return -EINVAL;
	old_fd = dir_fd_get(from);
	if (old_fd < 0)
		return old_fd;
	new_fd = dir_fd_get(to);
	if (new_fd < 0) {
		dir_fd_put(from);
		return new_fd;
	}
	write_lock(&fs->moves);
	r = host_rename_at(old_fd, old_name, new_fd, new_name, flags);
	if (r == 0) {
		if (victim && (flags & L_RENAME_EXCHANGE))
			move_node(node_of(victim), to, new_name, from, old_name);
		else if (victim)
			node_lose_place(node_of(victim), to, new_name);
		move_node(moved, from, old_name, to, new_name);
	}
	rw_unlock(&fs->moves);
	dir_fd_put(from);
	dir_fd_put(to);
	if (r < 0)
		return r;
	if (victim && !(flags & L_RENAME_EXCHANGE))
		drop_link(victim);
	return 0;
}

/* ---- links and attributes ---- */

static int read_link_here(struct host_node *n, const struct node_place *p, void *arg)
{
	char buf[L_PATH_MAX] NOT_ZEROED, **out = arg;
	ssize_t len = host_readlink_at(p->fd, p->name, buf, sizeof(buf));

	if (len < 0)
		return len == -EINVAL ? -ESTALE : (int)len;
	*out = strndup(buf, (size_t)len);
	return *out ? 0 : -ENOMEM;
}

static int read_link(struct inode *i, char **out)
{
	return node_at_place(node_of(i), read_link_here, out);
}

static int getattr(struct inode *i, struct l_statx *st)
{
	if (!hostfs_of(i)->read_only) {
		mutex_lock(&i->lock);
		node_refresh(i);
		mutex_unlock(&i->lock);
	}
	inode_generic_stat(i, st);
	return 0;
}

const struct inode_ops hostfs_dir_ops = {
	.open = hostfs_open,
	.lookup = lookup,
	.lookup_inode = lookup_inode,
	.create = create,
	.mkdir = create,
	.mknod = make_node,
	.symlink = make_symlink,
	.link = make_link,
	.unlink = remove_name,
	.rmdir = remove_name,
	.rename = rename_name,
	.tmpfile = make_tmpfile,
	.getattr = getattr,
	.setattr = hostfs_setattr,
	.getxattr = hostfs_getxattr,
	.setxattr = hostfs_setxattr,
	.listxattr = hostfs_listxattr,
	.removexattr = hostfs_removexattr,
	.release = node_release,
};
const struct inode_ops hostfs_file_ops = {
	.open = hostfs_open,
	.getattr = getattr,
	.setattr = hostfs_setattr,
	.getxattr = hostfs_getxattr,
	.setxattr = hostfs_setxattr,
	.listxattr = hostfs_listxattr,
	.removexattr = hostfs_removexattr,
	.release = node_release,
};
const struct inode_ops hostfs_symlink_ops = {
	.readlink = read_link,
	.getattr = getattr,
	.setattr = hostfs_setattr,
	.release = node_release,
};
