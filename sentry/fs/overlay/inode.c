/* Overlay inodes: the table by lower inode, pins, and copying up.  See internal.h. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/overlay/internal.h"
#include "sentry/vfs/windows.h"

#define COPY_SIZE (64 * 1024ul)

static uint64_t lower_hash(const struct inode *lower)
{
	return (((uintptr_t)lower >> 4) * 0x9e3779b97f4a7c15ull) >> 32;
}

/* ---- life ---- */

static int inode_alloc(struct super_block *sb, uint32_t mode, struct inode **out)
{
	const struct inode_ops *ops = &ovl_special_ops;
	const struct file_ops *fops = NULL;
	struct ovl *fs = sb->priv;
	struct ovl_inode *o = calloc(1, sizeof(*o));
	struct inode *i;

	if (!o)
		return -ENOMEM;
	if (L_S_ISDIR(mode)) {
		ops = &ovl_dir_ops;
		fops = &ovl_dir_file_ops;
	} else if (L_S_ISREG(mode)) {
		ops = &ovl_file_ops;
		fops = &ovl_regular_file_ops;
	} else if (L_S_ISLNK(mode)) {
		ops = &ovl_symlink_ops;
	}
	i = inode_new(sb, mode, ops, fops);
	if (!i) {
		free(o);
		return -ENOMEM;
	}
	mem_inode_init(&o->mem, mode, &fs->quota);
	list_init(&o->pin);
	o->inode = i;
	i->priv = o;
	*out = i;
	return 0;
}

int ovl_inode_new(struct super_block *sb, uint32_t mode, struct inode **out)
{
	int r = inode_alloc(sb, mode, out);

	if (r < 0)
		return r;
	ovl_of(*out)->copied_up = true;
	ovl_of(*out)->own_attrs = true;
	ovl_of(*out)->own_xattrs = true;
	if (L_S_ISDIR(mode))
		(*out)->nlink = 2;
	return 0;
}

static void take_attrs(struct inode *i)
{
	struct inode *lower = ovl_of(i)->lower;

	mutex_lock(&lower->lock);
	i->mode = lower->mode;
	i->uid = lower->uid;
	i->gid = lower->gid;
	i->nlink = lower->nlink;
	i->size = lower->size;
	i->blocks = lower->blocks;
	i->atime = lower->atime;
	i->mtime = lower->mtime;
	i->ctime = lower->ctime;
	i->btime = lower->btime;
	mutex_unlock(&lower->lock);
}

static struct inode *find_locked(struct ovl *fs, const struct inode *lower)
{
	for (struct hentry *e = htable_list(&fs->inodes, lower_hash(lower)); e; e = e->next) {
		struct ovl_inode *o = container_of(e, struct ovl_inode, hashed);

		if (o->lower == lower && refcount_inc_not_zero(&o->inode->refs))
			return o->inode;
	}
	return NULL;
}

int ovl_inode_get(struct super_block *sb, struct inode *lower, struct inode **out)
{
	struct ovl *fs = sb->priv;
	struct inode *i, *fresh = NULL;
	int r;

	mutex_lock(&fs->lock);
	i = find_locked(fs, lower);
	mutex_unlock(&fs->lock);
	if (i) {
		inode_put(lower);
		*out = i;
		return 0;
	}
	r = inode_alloc(sb, lower->mode, &fresh);
	if (r < 0) {
		inode_put(lower);
		return r;
	}
	fresh->ino = lower->ino;
	fresh->rdev = lower->rdev;
	ovl_of(fresh)->lower = lower;
	take_attrs(fresh);

	mutex_lock(&fs->lock);
	i = find_locked(fs, lower); /* somebody may have been faster */
	if (!i) {
		htable_add(&fs->inodes, &ovl_of(fresh)->hashed, lower_hash(lower));
		ovl_of(fresh)->in_table = true;
		i = fresh;
		fresh = NULL;
	}
	mutex_unlock(&fs->lock);
	inode_put(fresh);
	*out = i;
	return 0;
}

/* The root is going, and with it the tree: what is only kept by the table goes too. */
static void drop_pins(struct ovl *fs)
{
	struct ovl_inode *o;

	do {
		o = NULL;
		mutex_lock(&fs->lock);
		if (!list_empty(&fs->pins)) {
			o = list_first_entry(&fs->pins, struct ovl_inode, pin);
			list_del_init(&o->pin);
		}
		mutex_unlock(&fs->lock);
		if (o)
			inode_put(o->inode);
	} while (o);
}

void ovl_inode_release(struct inode *i)
{
	struct ovl *fs = ovl_fs(i);
	struct ovl_inode *o = ovl_of(i);

	mutex_lock(&fs->lock);
	if (o->in_table)
		htable_remove(&fs->inodes, &o->hashed);
	mutex_unlock(&fs->lock);
	if (i == fs->root)
		drop_pins(fs);
	mem_inode_destroy(&o->mem, i->mode);
	if (o->lower)
		inode_put(o->lower);
	free(o);
}

void ovl_pin(struct inode *i)
{
	struct ovl *fs = ovl_fs(i);
	struct ovl_inode *o = ovl_of(i);

	if (!o->lower || i == fs->root)
		return;
	mutex_lock(&fs->lock);
	if (list_empty(&o->pin) && i->nlink > 0) {
		list_add(&o->pin, &fs->pins);
		inode_get(i);
	}
	mutex_unlock(&fs->lock);
}

void ovl_unpin(struct inode *i)
{
	struct ovl *fs = ovl_fs(i);
	struct ovl_inode *o = ovl_of(i);
	bool was;

	mutex_lock(&fs->lock);
	was = !list_empty(&o->pin);
	list_del_init(&o->pin);
	mutex_unlock(&fs->lock);
	if (was)
		inode_put(i); /* never the last: the caller holds one */
}

/* ---- the lower's files ---- */

int ovl_lower_open(struct inode *lower, struct file **out)
{
	struct file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	refcount_init(&f->refs, 1);
	f->ops = lower->fops;
	f->inode = inode_get(lower);
	f->flags = L_O_RDONLY | L_O_NOATIME;
	f->mode = FILE_READ | FILE_PREAD;
	mutex_init(&f->pos_lock);
	r = lower->ops->open ? lower->ops->open(lower, f) : 0;
	if (r < 0) {
		inode_put(lower);
		free(f);
		return r;
	}
	*out = f;
	return 0;
}

void ovl_lower_close(struct file *f)
{
	if (f->ops->release)
		f->ops->release(f);
	inode_put(f->inode);
	mutex_destroy(&f->pos_lock);
	free(f);
}

/* ---- copying up ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Stores a buffer of the lower's bytes; pages of zeros stay holes. */
static int store_buffer(struct inode *i, const uint8_t *buf, size_t len, uint64_t pos)
{
	for (size_t at = 0; at < len;) {
		size_t n = min_of(len - at, PAGE_SIZE);

		if (!all_zero(buf + at, n)) {
			int r = memfile_store(i, &ovl_of(i)->mem.file, buf + at, n, pos + at);

			if (r < 0)
				return r;
		}
		at += n;
	}
	return 0;
}

static int copy_bytes(struct inode *i, struct file *lower)
{
	uint8_t *buf = malloc(COPY_SIZE);
	uint64_t pos = 0;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		struct uio u = uio_kernel(buf, COPY_SIZE);
		ssize_t n = lower->ops->read(lower, &u, (int64_t)pos);

		if (n <= 0) {
			r = (int)n;
			break;
		}
		r = store_buffer(i, buf, (size_t)n, pos);
		if (r < 0)
			break;
		pos += (uint64_t)n;
	}
	free(buf);
	return r < 0 ? r : memfile_truncate(i, &ovl_of(i)->mem.file, pos);
}

int ovl_copy_up(struct inode *i, bool keep)
{
	struct ovl_inode *o = ovl_of(i);
	uint64_t size = i->size, blocks = i->blocks;
	struct file *lower;
	int r = 0;

	if (o->copied_up)
		return 0;
	inode_recall(i);
	i->size = i->blocks = 0;
	if (keep) {
		r = o->lower_file ? 0 : ovl_lower_open(o->lower, &lower);
		if (r == 0) {
			r = copy_bytes(i, o->lower_file ? o->lower_file : lower);
			if (!o->lower_file)
				ovl_lower_close(lower);
		}
	}
	if (r < 0) {
		memfile_destroy(&o->mem.file);
		memfile_init(&o->mem.file, &ovl_fs(i)->quota);
		i->size = size;
		i->blocks = blocks;
		return r;
	}
	o->copied_up = true;
	o->own_attrs = true;
	ovl_pin(i);
	return 0;
}

static int copy_xattrs(struct inode *i, char *names, ssize_t names_len, void *value)
{
	struct ovl_inode *o = ovl_of(i);

	for (ssize_t at = 0; at < names_len; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t n = o->lower->ops->getxattr(o->lower, names + at, value, L_XATTR_SIZE_MAX);
		int r;

		if (n < 0)
			continue; /* gone meanwhile, or not to be read */
		r = memxattr_set(i, &o->mem.xattrs, names + at, value, (size_t)n, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Two that do this at once copy the same values. */
int ovl_own_xattrs(struct inode *i)
{
	struct ovl_inode *o = ovl_of(i);
	char *names;
	int r = 0;

	if (o->own_xattrs)
		return 0;
	names = malloc(L_XATTR_LIST_MAX + L_XATTR_SIZE_MAX);
	if (!names)
		return -ENOMEM;
	if (o->lower->ops->listxattr && o->lower->ops->getxattr) {
		ssize_t n = o->lower->ops->listxattr(o->lower, names, L_XATTR_LIST_MAX);

		r = n < 0 ? (int)n : copy_xattrs(i, names, n, names + L_XATTR_LIST_MAX);
	}
	free(names);
	if (r < 0)
		return r;
	mutex_lock(&i->lock);
	o->own_xattrs = true;
	mutex_unlock(&i->lock);
	ovl_pin(i);
	return 0;
}
