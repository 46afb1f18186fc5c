/* tmpfs: the super block and the names; what is in a file is memfile.c's.  Behaves as Linux's tmpfs(5). */
#include "sentry/fs/tmpfs/tmpfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/common.h"
#include "sentry/fs/tmpfs/meminode.h"

struct tmpfs {
	struct mem_quota quota;
};

static const struct inode_ops dir_inode_ops, file_inode_ops, symlink_inode_ops, special_inode_ops;
static const struct file_ops dir_file_ops, regular_file_ops;

static struct mem_inode *mem(const struct inode *i)
{
	return i->priv;
}

/* ---- inodes ---- */

/* A fresh inode with no name yet; the caller sets its owner. */
static int new_inode(struct super_block *sb, uint32_t mode, struct inode **out)
{
	const struct inode_ops *ops = &special_inode_ops;
	const struct file_ops *fops = NULL;
	struct tmpfs *t = sb->priv;
	struct mem_inode *m = malloc(sizeof(*m));
	struct inode *i;

	if (!m)
		return -ENOMEM;
	if (L_S_ISDIR(mode)) {
		ops = &dir_inode_ops;
		fops = &dir_file_ops;
	} else if (L_S_ISREG(mode)) {
		ops = &file_inode_ops;
		fops = &regular_file_ops;
	} else if (L_S_ISLNK(mode)) {
		ops = &symlink_inode_ops;
	}
	i = inode_new(sb, mode, ops, fops);
	if (!i) {
		free(m);
		return -ENOMEM;
	}
	mem_inode_init(m, mode, &t->quota);
	i->priv = m;
	if (L_S_ISDIR(mode))
		i->nlink = 2;
	*out = i;
	return 0;
}

static void release(struct inode *i)
{
	mem_inode_destroy(mem(i), i->mode);
	free(i->priv);
}

static int set_target(struct inode *i, const char *target)
{
	mem(i)->target = strdup(target);
	if (!mem(i)->target)
		return -ENOMEM;
	i->size = strlen(target);
	return 0;
}

/* ---- names ---- */

static int lookup_inode_locked(struct inode *dir, const char *name, struct inode **out)
{
	const struct memdir_entry *e = memdir_find(&mem(dir)->dir, name);

	*out = e ? inode_get(e->inode) : NULL;
	return 0;
}

static int lookup_inode(struct inode *dir, const char *name, struct inode **out)
{
	int r;

	mutex_lock(&dir->lock);
	r = lookup_inode_locked(dir, name, out);
	mutex_unlock(&dir->lock);
	return r;
}

static int lookup(struct inode *dir, struct dentry *d)
{
	struct inode *i;
	int r;

	if (strlen(dentry_name(d)) > L_NAME_MAX)
		return -ENAMETOOLONG;
	r = lookup_inode_locked(dir, dentry_name(d), &i);
	if (r == 0 && i)
		dentry_instantiate(d, i);
	return r;
}

/* Enters i (consumed, also on failure) into dir. */
static int enter(struct inode *dir, struct dentry *d, struct inode *i)
{
	int r = dir->nlink ? memdir_add(&mem(dir)->dir, dentry_name(d), inode_get(i)) : -ENOENT;

	if (r < 0) {
		inode_put(i); /* the entry's */
		inode_put(i);
		return r;
	}
	if (inode_is(i, L_S_IFDIR))
		dir->nlink++;
	inode_touch(dir, ATTR_MTIME);
	dentry_instantiate(d, i);
	return 0;
}

static int make(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const char *target,
		const struct cred *c)
{
	struct inode *i;
	int r = new_inode(dir->sb, mode, &i);

	if (r < 0)
		return r;
	inode_init_owner(i, dir, mode, c);
	i->rdev = rdev;
	r = target ? set_target(i, target) : 0;
	if (r < 0) {
		inode_put(i);
		return r;
	}
	return enter(dir, d, i);
}

static int create(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c)
{
	return make(dir, d, mode, 0, NULL, c);
}

static int make_node(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const struct cred *c)
{
	return make(dir, d, mode, rdev, NULL, c);
}

static int make_symlink(struct inode *dir, struct dentry *d, const char *target, const struct cred *c)
{
	return make(dir, d, L_S_IFLNK | 0777, 0, target, c);
}

static int make_tmpfile(struct inode *dir, uint32_t mode, const struct cred *c, struct inode **out)
{
	int r = new_inode(dir->sb, mode, out);

	if (r < 0)
		return r;
	inode_init_owner(*out, dir, mode, c);
	(*out)->nlink = 0;
	return 0;
}

static int make_link(struct inode *dir, struct dentry *d, struct inode *target)
{
	int r = enter(dir, d, inode_get(target));

	if (r == 0)
		mem_link_inode(target);
	return r;
}

static bool is_empty_dir(struct inode *i)
{
	bool empty;

	mutex_lock_nested(&i->lock);
	empty = mem(i)->dir.live == 0;
	mutex_unlock(&i->lock);
	return empty;
}

/* i, whose name in dir is going, loses a link; a directory loses all, so that nothing can be made in it any more. */
static void drop_link(struct inode *dir, struct inode *i)
{
	if (inode_is(i, L_S_IFDIR)) {
		mutex_lock_nested(&i->lock);
		i->nlink = 0;
		inode_touch(i, 0);
		mutex_unlock(&i->lock);
		dir->nlink--;
	} else {
		mem_unlink_inode(i);
	}
}

static int remove_name(struct inode *dir, struct dentry *d)
{
	struct inode *i = dentry_inode(d);

	if (inode_is(i, L_S_IFDIR) && !is_empty_dir(i))
		return -ENOTEMPTY;
	drop_link(dir, i);
	inode_touch(dir, ATTR_MTIME);
	memdir_remove(&mem(dir)->dir, memdir_find(&mem(dir)->dir, dentry_name(d)));
	return 0;
}

/* A directory that changes its parent takes the count of its ".." along. */
static void move_link_count(const struct inode *moved, struct inode *from, struct inode *to)
{
	if (inode_is(moved, L_S_IFDIR) && from != to) {
		from->nlink--;
		to->nlink++;
	}
}

static void touch_moved(struct inode *i)
{
	mutex_lock_nested(&i->lock);
	inode_touch(i, 0);
	mutex_unlock(&i->lock);
}

static int exchange(struct inode *old_dir, struct dentry *old_d, struct inode *new_dir, struct dentry *new_d)
{
	struct memdir *from = &mem(old_dir)->dir, *to = &mem(new_dir)->dir;
	struct inode *a = dentry_inode(old_d), *b = dentry_inode(new_d);

	memdir_set(from, memdir_find(from, dentry_name(old_d)), inode_get(b));
	memdir_set(to, memdir_find(to, dentry_name(new_d)), inode_get(a));
	move_link_count(a, old_dir, new_dir);
	move_link_count(b, new_dir, old_dir);
	touch_moved(a);
	touch_moved(b);
	inode_touch(old_dir, ATTR_MTIME);
	inode_touch(new_dir, ATTR_MTIME);
	return 0;
}

static int rename_name(struct inode *old_dir, struct dentry *old_d, struct inode *new_dir, struct dentry *new_d,
		       unsigned flags, const struct cred *c)
{
	struct memdir *from = &mem(old_dir)->dir, *to = &mem(new_dir)->dir;
	struct inode *moved = dentry_inode(old_d), *victim = dentry_inode(new_d), *whiteout = NULL;
	struct memdir_entry *fresh = NULL, *e;
	int r;

	if (flags & L_RENAME_EXCHANGE)
		return exchange(old_dir, old_d, new_dir, new_d);
	if (new_dir->nlink == 0)
		return -ENOENT;
	if (victim && inode_is(victim, L_S_IFDIR) && (victim == old_dir || !is_empty_dir(victim)))
		return -ENOTEMPTY;
	if (flags & L_RENAME_WHITEOUT) {
		r = new_inode(old_dir->sb, L_S_IFCHR, &whiteout);
		if (r < 0)
			return r;
		inode_init_owner(whiteout, old_dir, L_S_IFCHR, c);
	}
	if (!victim) {
		r = memdir_reserve(to, dentry_name(new_d), &fresh);
		if (r < 0) {
			inode_put(whiteout);
			return r;
		}
	}
	inode_get(moved);
	e = memdir_find(from, dentry_name(old_d));
	if (whiteout)
		memdir_set(from, e, whiteout);
	else
		memdir_remove(from, e);
	if (victim) {
		drop_link(new_dir, victim);
		memdir_set(to, memdir_find(to, dentry_name(new_d)), moved);
	} else {
		memdir_add_reserved(to, fresh, moved);
	}
	move_link_count(moved, old_dir, new_dir);
	touch_moved(moved);
	inode_touch(old_dir, ATTR_MTIME);
	inode_touch(new_dir, ATTR_MTIME);
	return 0;
}

static int iterate(struct file *f, struct dir_context *dc)
{
	struct inode *dir = f->inode;

	if (!fs_emit_dots(f, dc))
		return 0;
	mutex_lock(&dir->lock);
	if (mem_dir_emit(&mem(dir)->dir, f, dc, 0))
		fs_touch_atime(dir, f);
	mutex_unlock(&dir->lock);
	return 0;
}

/* ---- attributes ---- */

static int get_target(struct inode *i, char **out)
{
	*out = strdup(mem(i)->target);
	return *out ? 0 : -ENOMEM;
}

static int file_getattr(struct inode *i, struct l_statx *st)
{
	mutex_lock(&i->lock);
	memfile_refresh(i, &mem(i)->file);
	mutex_unlock(&i->lock);
	inode_generic_stat(i, st);
	return 0;
}

static int file_setattr(struct inode *i, const struct iattr *a)
{
	if ((mem(i)->file.seals & L_F_SEAL_EXEC) && (a->valid & ATTR_MODE) && ((a->mode ^ i->mode) & L_S_IXUGO))
		return -EPERM;
	if (a->valid & ATTR_SIZE) {
		int r = memfile_truncate(i, &mem(i)->file, a->size);

		if (r < 0)
			return r;
	}
	inode_apply(i, a);
	return 0;
}

static ssize_t getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	return memxattr_get(i, &mem(i)->xattrs, name, buf, size);
}

static int setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags)
{
	return memxattr_set(i, &mem(i)->xattrs, name, value, size, flags);
}

static ssize_t listxattr(struct inode *i, char *buf, size_t size)
{
	return memxattr_list(i, &mem(i)->xattrs, buf, size);
}

static int removexattr(struct inode *i, const char *name)
{
	return memxattr_remove(i, &mem(i)->xattrs, name);
}

#define XATTR_OPS .getxattr = getxattr, .setxattr = setxattr, .listxattr = listxattr, .removexattr = removexattr

static const struct inode_ops dir_inode_ops = {
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
	.release = release,
	XATTR_OPS,
};
static const struct inode_ops file_inode_ops = {
	.getattr = file_getattr,
	.setattr = file_setattr,
	.release = release,
	XATTR_OPS,
};
static const struct inode_ops symlink_inode_ops = {
	.readlink = get_target,
	.release = release,
	XATTR_OPS,
};
static const struct inode_ops special_inode_ops = {
	.release = release,
	XATTR_OPS,
};

/* ---- regular files ---- */

static ssize_t file_read_at(struct file *f, struct uio *u, int64_t pos)
{
	struct inode *i = f->inode;
	ssize_t n;

	mutex_lock(&i->lock);
	n = memfile_read(i, &mem(i)->file, u, pos);
	if (n >= 0)
		fs_touch_atime(i, f);
	mutex_unlock(&i->lock);
	return n;
}

static ssize_t file_write_at(struct file *f, struct uio *u, int64_t pos)
{
	struct inode *i = f->inode;
	ssize_t n;

	mutex_lock(&i->lock);
	n = memfile_write(i, &mem(i)->file, f, u, pos);
	mutex_unlock(&i->lock);
	return n;
}

static int64_t file_seek(struct file *f, int64_t off, int whence)
{
	struct inode *i = f->inode;
	int64_t pos;

	mutex_lock(&i->lock);
	pos = memfile_lseek(i, &mem(i)->file, f, off, whence);
	mutex_unlock(&i->lock);
	return pos;
}

static uint64_t file_cached(struct file *f, uint64_t first, uint64_t last)
{
	struct inode *i = f->inode;
	uint64_t n;

	mutex_lock(&i->lock);
	n = memfile_cached(i, &mem(i)->file, first, last);
	mutex_unlock(&i->lock);
	return n;
}

static int file_map(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off)
{
	struct inode *i = f->inode;
	int r;

	(void)len, (void)prot, (void)flags;
	mutex_lock(&i->lock);
	r = memfile_map(i, &mem(i)->file, host_fd);
	mutex_unlock(&i->lock);
	*host_off = off;
	return r;
}

static bool file_lend_pages(struct file *f, uint64_t first, uint64_t reads, struct file_loan *out)
{
	return memfile_lend(f->inode, &mem(f->inode)->file, f, first, reads, out);
}

static int file_allocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *i = f->inode;
	int r;

	mutex_lock(&i->lock);
	r = memfile_fallocate(i, &mem(i)->file, mode, off, len);
	if (r == 0)
		inode_touch(i, ATTR_MTIME);
	mutex_unlock(&i->lock);
	return r;
}

static long file_fcntl(struct file *f, unsigned cmd, uint64_t arg)
{
	struct inode *i = f->inode;
	long r = -EINVAL;

	mutex_lock(&i->lock);
	if (cmd == L_F_GET_SEALS)
		r = mem(i)->file.seals;
	else if (cmd == L_F_ADD_SEALS)
		r = memfile_add_seals(i, &mem(i)->file, (uint32_t)arg);
	mutex_unlock(&i->lock);
	return r;
}

static const struct file_ops regular_file_ops = {
	.read = file_read_at,
	.write = file_write_at,
	.lseek = file_seek,
	.lendable_pos = true,
	.lend_pages = file_lend_pages,
	.cached = file_cached,
	.mmap = file_map,
	.fsync = fs_fsync_nothing,
	.fallocate = file_allocate,
	.fcntl = file_fcntl,
};
static const struct file_ops dir_file_ops = {
	.lseek = file_lseek_dir,
	.iterate = iterate,
	.fsync = fs_fsync_nothing,
};

/* ---- the super block ---- */

static int statfs(struct super_block *sb, struct l_statfs *st)
{
	const struct tmpfs *t = sb->priv;

	st->f_type = sb->magic;
	mem_quota_statfs(&t->quota, st);
	return 0;
}

uint64_t tmpfs_default_size(void)
{
	struct host_memory m;

	host_memory(&m);
	return m.total / PAGE_SIZE / 2 * PAGE_SIZE;
}

static void show_options(struct super_block *sb, char *buf, size_t size)
{
	const struct tmpfs *t = sb->priv;

	uint64_t limit = t->quota.limit;

	if (limit && limit * PAGE_SIZE != tmpfs_default_size())
		snprintf(buf, size, ",size=%luk", (unsigned long)(limit * (PAGE_SIZE / 1024)));
}

static void super_release(struct super_block *sb)
{
	free(sb->priv);
}

static const struct super_ops super_ops = {
	.statfs = statfs,
	.release = super_release,
	.show_options = show_options,
	.find_ino = tmpfs_find_ino,
};

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / PAGE_SIZE + (bytes % PAGE_SIZE != 0);
}

int tmpfs_resize(struct super_block *sb, uint64_t size_limit)
{
	struct tmpfs *t = sb->priv;
	uint64_t limit = pages_of(size_limit);

	if (sb->ops != &super_ops || (limit && (!t->quota.limit || t->quota.used > limit)))
		return -EINVAL;
	t->quota.limit = limit;
	return 0;
}

struct memdir *tmpfs_entries(struct inode *dir)
{
	return &mem(dir)->dir;
}

int tmpfs_create_as(const char *type, uint64_t size_limit, uint32_t root_mode, uint32_t uid, uint32_t gid,
		    struct super_block **out)
{
	struct tmpfs *t = calloc(1, sizeof(*t));
	struct super_block *sb;
	struct inode *root;
	int r;

	if (!t)
		return -ENOMEM;
	t->quota.limit = pages_of(size_limit);
	sb = super_new(type, L_TMPFS_MAGIC, &super_ops, t);
	if (!sb) {
		free(t);
		return -ENOMEM;
	}
	sb->flags = SB_INODE_FLAGS | SB_SHMEM;
	r = new_inode(sb, L_S_IFDIR | (root_mode & L_S_IALLUGO), &root);
	if (r == 0) {
		root->uid = uid;
		root->gid = gid;
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

int tmpfs_create(uint64_t size_limit, uint32_t root_mode, uint32_t uid, uint32_t gid, struct super_block **out)
{
	return tmpfs_create_as("tmpfs", size_limit, root_mode, uid, gid, out);
}

int tmpfs_populate(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, const char *target)
{
	struct inode *i;
	int r = new_inode(dir->sb, mode, &i);

	if (r < 0)
		return r;
	i->rdev = rdev;
	r = target ? set_target(i, target) : 0;
	if (r == 0)
		r = memdir_add(&mem(dir)->dir, name, i);
	if (r < 0) {
		inode_put(i);
		return r;
	}
	if (L_S_ISDIR(mode))
		dir->nlink++;
	return 0;
}

int tmpfs_enter(struct inode *dir, const char *name, struct inode *i)
{
	int r;

	mutex_lock(&dir->lock);
	if (memdir_find(&mem(dir)->dir, name))
		r = -EEXIST;
	else
		r = memdir_add(&mem(dir)->dir, name, i);
	if (r == 0)
		inode_get(i);
	mutex_unlock(&dir->lock);
	return r;
}

/* ---- memfd_create(2) ---- */

/* The file system of files that never had a name, as Linux's internal mount of tmpfs.  Made on first use, and never
 * put. */
static struct super_block *unnamed_super(void)
{
	static struct mutex lock = MUTEX_INIT;
	static struct super_block *sb;
	struct super_block *found;

	mutex_lock(&lock);
	if (!sb && tmpfs_create(0, 0700, 0, 0, &sb) < 0)
		sb = NULL;
	found = sb;
	mutex_unlock(&lock);
	return found;
}

/* An inode without a name, c's. */
static int unnamed_inode(uint32_t mode, const struct cred *c, struct inode **out)
{
	struct super_block *sb = unnamed_super();
	int r = sb ? new_inode(sb, L_S_IFREG | mode, out) : -ENOMEM;

	if (r < 0)
		return r;
	(*out)->uid = c->fsuid;
	(*out)->gid = c->fsgid;
	(*out)->nlink = 0;
	return 0;
}

int tmpfs_unnamed_file(const char *shown, uint64_t size, uint32_t mode, const struct cred *c, struct file **out)
{
	struct inode *i;
	int r = unnamed_inode(mode, c, &i);

	if (r < 0)
		return r;
	mutex_lock(&i->lock);
	r = memfile_truncate(i, &mem(i)->file, size);
	mutex_unlock(&i->lock);
	if (r == 0)
		r = file_anonymous_on(shown, i, &regular_file_ops, NULL, L_O_RDWR | L_O_LARGEFILE,
				      FILE_READ | FILE_WRITE, c, out);
	inode_put(i);
	return r;
}

int memfd_file_new(const char *name, uint32_t flags, const struct cred *c, struct file **out)
{
	char shown[L_NAME_MAX + sizeof("/memfd: (deleted)")];
	struct inode *i;
	int r = unnamed_inode(flags & L_MFD_NOEXEC_SEAL ? 0666 : 0777, c, &i);

	if (r < 0)
		return r;
	if (flags & (L_MFD_ALLOW_SEALING | L_MFD_NOEXEC_SEAL))
		mem(i)->file.seals = flags & L_MFD_NOEXEC_SEAL ? L_F_SEAL_EXEC : 0;
	snprintf(shown, sizeof(shown), "/memfd:%s (deleted)", name);
	r = file_anonymous_on(shown, i, &regular_file_ops, NULL, L_O_RDWR | L_O_LARGEFILE, FILE_READ | FILE_WRITE, c,
			      out);
	inode_put(i);
	return r;
}
