/* Host inodes: the table by device and number, where each is, and the descriptors of directories.  See internal.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/process.h"
#include "sentry/fs/hostfs/internal.h"

static uint64_t node_hash(const struct host_stat *st)
{
	return ((st->ino ^ (st->dev << 32)) * 0x9e3779b97f4a7c15ull) >> 32;
}

uint64_t node_guest_ino(const struct hostfs *fs, uint64_t dev, uint64_t ino)
{
	/* One number space for what may be several host file systems. */
	return dev == fs->root_dev ? ino : ino ^ (dev * 0x9e3779b97f4a7c15ull);
}

/* Mostly they are what they were, and each store that others may see at once costs more than a look. */
#define SET(field, value)                                                                                              \
	do {                                                                                                           \
		if ((field) != (value))                                                                                \
			(field) = (value);                                                                             \
	} while (0)

void node_set_attr(struct inode *i, const struct host_stat *st)
{
	SET(i->mode, st->mode);
	SET(i->uid, st->uid);
	SET(i->gid, st->gid);
	SET(i->nlink, st->nlink);
	SET(i->size, st->size);
	i->blocks = st->blocks;
	i->atime = st->atime;
	i->mtime = st->mtime;
	i->ctime = st->ctime;
	i->btime = st->btime;
}

bool node_is(const struct host_node *n, const struct host_stat *st)
{
	return n->dev == st->dev && n->ino == st->ino && ((n->inode->mode ^ st->mode) & L_S_IFMT) == 0;
}

/* ---- the table ---- */

static int node_new(struct super_block *sb, const struct host_stat *st, struct host_node **out)
{
	const struct inode_ops *ops = &hostfs_special_ops;
	const struct file_ops *fops = NULL;
	struct hostfs *fs = sb->priv;
	struct host_node *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	if (L_S_ISDIR(st->mode)) {
		ops = &hostfs_dir_ops;
		fops = &hostfs_dir_file_ops;
	} else if (L_S_ISREG(st->mode)) {
		ops = &hostfs_file_ops;
		fops = &hostfs_regular_file_ops;
	} else if (L_S_ISLNK(st->mode)) {
		ops = &hostfs_symlink_ops;
	}
	n->inode = inode_new(sb, st->mode, ops, fops);
	if (!n->inode) {
		free(n);
		return -ENOMEM;
	}
	n->inode->ino = node_guest_ino(fs, st->dev, st->ino);
	n->inode->rdev = st->rdev;
	node_set_attr(n->inode, st);
	n->dev = st->dev;
	n->ino = st->ino;
	n->dir_fd = n->kept_fd = n->fds[0].fd = n->fds[1].fd = n->made_fd = -1;
	list_init(&n->lru);
	n->inode->priv = n;
	*out = n;
	return 0;
}

static struct inode *find_locked(struct hostfs *fs, const struct host_stat *st)
{
	for (struct hentry *e = htable_list(&fs->nodes, node_hash(st)); e; e = e->next) {
		struct host_node *n = container_of(e, struct host_node, hashed);

		if (node_is(n, st) && refcount_inc_not_zero(&n->inode->refs))
			return n->inode;
	}
	return NULL;
}

int node_get(struct super_block *sb, const struct host_stat *st, struct host_node *parent, const char *name,
	     struct inode **out)
{
	struct hostfs *fs = sb->priv;
	struct host_node *fresh = NULL;
	struct inode *i;
	int r;

	mutex_lock(&fs->lock);
	i = find_locked(fs, st);
	mutex_unlock(&fs->lock);
	if (!i) {
		r = node_new(sb, st, &fresh);
		if (r < 0)
			return r;
		mutex_lock(&fs->lock);
		i = find_locked(fs, st); /* somebody may have been faster */
		if (!i) {
			htable_add(&fs->nodes, &fresh->hashed, node_hash(st));
			fresh->in_table = true;
			i = fresh->inode;
			fresh = NULL;
		}
		mutex_unlock(&fs->lock);
		if (fresh)
			inode_put(fresh->inode);
	}
	r = parent ? node_set_place(node_of(i), parent, name) : 0;
	if (r < 0) {
		inode_put(i);
		return r;
	}
	*out = i;
	/* A rename may find one of the directories that it has locked; who holds the lock asks the host itself. */
	if (!mutex_trylock(&i->lock))
		return 0;
	node_set_attr(i, st);
	mutex_unlock(&i->lock);
	return 1;
}

void node_release(struct inode *i)
{
	struct hostfs *fs = hostfs_of(i);
	struct host_node *n = node_of(i);

	mutex_lock(&fs->lock);
	if (n->in_table)
		htable_remove(&fs->nodes, &n->hashed);
	if (n->dir_fd >= 0 && n != fs->root)
		fs->dir_fd_count--;
	if (n->kept_fd >= 0)
		fs->kept_count--;
	list_del_init(&n->lru);
	mutex_unlock(&fs->lock);

	if (n->dir_fd >= 0)
		host_close(n->dir_fd);
	if (n->kept_fd >= 0)
		host_close(n->kept_fd);
	node_drop_made(n);
	for (int k = 0; k < 2; k++) {
		if (n->fds[k].fd >= 0)
			host_close(n->fds[k].fd);
	}
	if (n->parent)
		inode_put(n->parent->inode);
	free(n->name);
	free(n);
}

#define MADE_MAX 256 /* made_fds of all nodes */

static _Atomic int made_count;

void node_drop_made(struct host_node *n)
{
	int fd = node_take_made(n);

	if (fd >= 0)
		host_close(fd);
}

int node_take_made(struct host_node *n)
{
	int fd = n->made_fd;

	if (fd >= 0)
		made_count--;
	n->made_fd = -1;
	return fd;
}

void node_keep_made(struct host_node *n, int fd)
{
	mutex_lock(&n->inode->lock);
	node_drop_made(n);
	if (made_count < MADE_MAX) {
		n->made_fd = fd;
		made_count++;
		fd = -1;
	}
	mutex_unlock(&n->inode->lock);
	if (fd >= 0)
		host_close(fd);
}

/* ---- files that were open ---- */

static int take_kept_locked(struct hostfs *fs, struct host_node *n)
{
	int fd = n->kept_fd;

	if (fd >= 0) {
		n->kept_fd = -1;
		list_del_init(&n->lru);
		fs->kept_count--;
	}
	return fd;
}

int node_take_kept(struct host_node *n)
{
	struct hostfs *fs = hostfs_of(n->inode);
	int fd;

	mutex_lock(&fs->lock);
	fd = take_kept_locked(fs, n);
	mutex_unlock(&fs->lock);
	return fd;
}

/* Few, as the descriptors that there may be are for guests' files. */
static unsigned kept_max(void)
{
	static _Atomic unsigned max;
	uint64_t soft, hard;

	if (max == 0) {
		if (host_getrlimit(RLIMIT_NOFILE, &soft, &hard) < 0)
			soft = 0;
		max = (unsigned)max_of(min_of(soft / 64, (uint64_t)KEPT_MAX), (uint64_t)1);
	}
	return max;
}

void node_keep(struct host_node *n, int fd)
{
	struct hostfs *fs = hostfs_of(n->inode);
	int old = fd;

	mutex_lock(&fs->lock);
	if (n->kept_fd < 0) {
		n->kept_fd = fd;
		list_add(&n->lru, &fs->kept);
		fs->kept_count++;
		old = fs->kept_count > kept_max() ? take_kept_locked(fs, list_last_entry(&fs->kept, struct host_node, lru)) : -1;
	}
	mutex_unlock(&fs->lock);
	if (old >= 0)
		host_close(old);
}

bool node_drop_kept(struct hostfs *fs)
{
	bool any = false;

	for (;;) {
		int fd = -1;

		mutex_lock(&fs->lock);
		if (!list_empty(&fs->kept))
			fd = take_kept_locked(fs, list_last_entry(&fs->kept, struct host_node, lru));
		mutex_unlock(&fs->lock);
		if (fd < 0)
			return any;
		host_close(fd);
		any = true;
	}
}

/* ---- places ---- */

int node_set_place(struct host_node *n, struct host_node *parent, const char *name)
{
	struct hostfs *fs = hostfs_of(n->inode);
	struct host_node *old_parent = NULL;
	char *copy = NULL;
	bool same;

	mutex_lock(&fs->lock);
	same = n->parent == parent && strcmp(n->name, name) == 0;
	mutex_unlock(&fs->lock);
	if (same || n == fs->root)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	inode_get(parent->inode);
	mutex_lock(&fs->lock);
	old_parent = n->parent;
	free(n->name);
	n->parent = parent;
	n->name = copy;
	mutex_unlock(&fs->lock);
	if (old_parent)
		inode_put(old_parent->inode);
	return 0;
}

void node_lose_place(struct host_node *n, const struct host_node *parent, const char *name)
{
	struct hostfs *fs = hostfs_of(n->inode);
	struct host_node *old_parent = NULL;

	mutex_lock(&fs->lock);
	if (n->parent == parent && strcmp(n->name, name) == 0) {
		old_parent = n->parent;
		n->parent = NULL;
		free(n->name);
		n->name = NULL;
	}
	mutex_unlock(&fs->lock);
	if (old_parent)
		inode_put(old_parent->inode);
}

/* Copies the place; *parent counted. */
static int read_place(struct host_node *n, struct host_node **parent, char name[L_NAME_MAX + 1])
{
	struct hostfs *fs = hostfs_of(n->inode);
	int r = -ENOENT;

	mutex_lock(&fs->lock);
	if (n->parent) {
		inode_get(n->parent->inode);
		*parent = n->parent;
		strcpy(name, n->name); /* checked against L_NAME_MAX at lookup */
		r = 0;
	}
	mutex_unlock(&fs->lock);
	return r;
}

static int try_at_place(struct host_node *n, int (*fn)(struct host_node *n, const struct node_place *p, void *arg),
			void *arg)
{
	struct node_place place NOT_ZEROED;
	int r = read_place(n, &place.dir, place.name);

	if (r < 0)
		return r;
	place.fd = r = dir_fd_get(place.dir);
	if (r >= 0) {
		r = fn(n, &place, arg);
		dir_fd_put(place.dir);
	}
	inode_put(place.dir->inode);
	return r;
}

/* Directories on the way may be tried again inside of the second try: the lock is taken twice then, which readers may.
 */
int node_at_place(struct host_node *n, int (*fn)(struct host_node *n, const struct node_place *p, void *arg), void *arg)
{
	struct hostfs *fs = hostfs_of(n->inode);
	int r = try_at_place(n, fn, arg);

	if (r != -ESTALE && r != -ENOENT && r != -ENOTDIR)
		return r;
	read_lock(&fs->moves);
	r = try_at_place(n, fn, arg);
	rw_unlock(&fs->moves);
	return r;
}

/* ---- descriptors of directories ---- */

/* Takes one descriptor that nobody uses off the end of the LRU: to be closed by the caller, or -1. */
static int evict_locked(struct hostfs *fs)
{
	struct host_node *n;

	if (fs->dir_fd_count <= DIR_FDS_MAX)
		return -1;
	for (struct list_head *h = fs->dir_fds.prev; h != &fs->dir_fds; h = h->prev) {
		n = list_entry(h, struct host_node, lru);
		if (n->dir_fd_users == 0) {
			int fd = n->dir_fd;

			n->dir_fd = -1;
			list_del_init(&n->lru);
			fs->dir_fd_count--;
			return fd;
		}
	}
	return -1;
}

static int use_locked(struct hostfs *fs, struct host_node *dir)
{
	dir->dir_fd_users++;
	if (dir != fs->root) {
		list_del_init(&dir->lru);
		list_add(&dir->lru, &fs->dir_fds);
	}
	return dir->dir_fd;
}

/* arg: bool, whether for reading. */
static int open_dir_here(struct host_node *dir, const struct node_place *p, void *arg)
{
	const bool *reading = arg;
	struct host_stat st;
	int r, fd = *reading ? host_open_dir(p->fd, p->name) : host_open_dir_path(p->fd, p->name);

	if (fd < 0)
		return fd == -ELOOP || fd == -ENOTDIR ? -ESTALE : fd;
	r = host_stat_fd(fd, &st);
	if (r == 0 && !node_is(dir, &st))
		r = -ESTALE;
	if (r < 0) {
		host_close(fd);
		return r;
	}
	return fd;
}

int dir_fd_peek(struct host_node *dir)
{
	struct hostfs *fs = hostfs_of(dir->inode);
	int fd = -1;

	mutex_lock(&fs->lock);
	if (dir->dir_fd >= 0)
		fd = use_locked(fs, dir);
	mutex_unlock(&fs->lock);
	return fd;
}

int dir_fd_keep(struct host_node *dir, int fd, bool unread)
{
	struct hostfs *fs = hostfs_of(dir->inode);
	int kept;

	mutex_lock(&fs->lock);
	if (dir->dir_fd < 0) { /* else somebody was faster */
		dir->dir_fd = fd;
		dir->dir_fd_unread = unread;
		fs->dir_fd_count++;
		fd = -1;
	}
	kept = use_locked(fs, dir);
	if (fd < 0)
		fd = evict_locked(fs);
	mutex_unlock(&fs->lock);
	if (fd >= 0)
		host_close(fd);
	return kept;
}

static int open_and_keep(struct host_node *dir, bool reading)
{
	int fd = node_at_place(dir, open_dir_here, &reading);

	return fd < 0 ? fd : dir_fd_keep(dir, fd, reading);
}

int dir_fd_get(struct host_node *dir)
{
	int fd = dir_fd_peek(dir);

	return fd >= 0 ? fd : open_and_keep(dir, false);
}

int dir_fd_open_reading(struct host_node *dir)
{
	int fd = dir_fd_peek(dir);

	if (fd < 0)
		fd = open_and_keep(dir, true);
	if (fd < 0)
		return fd;
	dir_fd_put(dir);
	return 0;
}

int dir_fd_read(struct host_node *dir, bool *own)
{
	struct hostfs *fs = hostfs_of(dir->inode);
	int fd = dir_fd_peek(dir), r;
	bool reading = true;

	if (fd < 0)
		fd = open_and_keep(dir, true);
	if (fd < 0)
		return fd;
	mutex_lock(&fs->lock);
	*own = dir->dir_fd_unread;
	dir->dir_fd_unread = false;
	mutex_unlock(&fs->lock);
	if (*own)
		return fd;
	r = host_open_dir(fd, ".");
	dir_fd_put(dir);
	/* By "." only what may be searched is opened. */
	return r == -EACCES ? node_at_place(dir, open_dir_here, &reading) : r;
}

void dir_fd_read_end(struct host_node *dir, int fd, bool own)
{
	if (own)
		dir_fd_put(dir);
	else
		host_close(fd);
}

void dir_fd_put(struct host_node *dir)
{
	struct hostfs *fs = hostfs_of(dir->inode);

	mutex_lock(&fs->lock);
	dir->dir_fd_users--;
	mutex_unlock(&fs->lock);
}

/* ---- attributes ---- */

static int stat_here(struct host_node *n, const struct node_place *p, void *arg)
{
	struct host_stat *st = arg;
	int r = host_stat_at(p->fd, p->name, st);

	return r == 0 && !node_is(n, st) ? -ESTALE : r;
}

void node_refresh(struct inode *i)
{
	struct host_node *n = node_of(i);
	int r, fd = L_S_ISDIR(i->mode) ? dir_fd_peek(n) : -1;
	struct host_stat st;

	if (fd >= 0) {
		r = host_stat_fd(fd, &st);
		dir_fd_put(n);
	} else if (n->fds[0].fd >= 0 || n->fds[1].fd >= 0) {
		r = host_stat_fd(n->fds[0].fd >= 0 ? n->fds[0].fd : n->fds[1].fd, &st);
	} else {
		r = node_at_place(n, stat_here, &st);
	}
	if (r == 0)
		node_set_attr(i, &st);
}
