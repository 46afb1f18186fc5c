/* Inodes and super blocks: their life, their attribute fields, and who may write while who executes. */
#include "sentry/vfs/internal.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "base/checked.h"
#include "host/clock.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/windows.h"

/* ---- super blocks ---- */

static struct mutex supers_lock = MUTEX_INIT; /* a leaf; guards: */
static struct list_head supers = LIST_HEAD_INIT(supers);

struct super_block *super_find(uint64_t dev)
{
	struct super_block *sb, *found = NULL;

	mutex_lock(&supers_lock);
	list_for_each_entry(sb, &supers, node) {
		if (sb->dev == dev && refcount_inc_not_zero(&sb->refs)) {
			found = sb;
			break;
		}
	}
	mutex_unlock(&supers_lock);
	return found;
}

struct super_block *super_new(const char *type, uint32_t magic, const struct super_ops *ops, void *priv)
{
	static _Atomic uint32_t next_minor = 24; /* the first few belong to the kernel's own on a usual machine */
	struct super_block *sb = calloc(1, sizeof(*sb));

	if (!sb)
		return NULL;
	refcount_init(&sb->refs, 1);
	refcount_init(&sb->holds, 1);
	sb->ops = ops;
	sb->type = type;
	sb->user_ns = user_ns_get(&user_ns_first);
	sb->magic = magic;
	sb->dev = l_makedev(0, next_minor++);
	sb->next_ino = 1;
	sb->priv = priv;
	mutex_lock(&supers_lock);
	list_add_tail(&sb->node, &supers);
	mutex_unlock(&supers_lock);
	return sb;
}

struct super_block *super_get(struct super_block *sb)
{
	refcount_inc(&sb->refs);
	return sb;
}

void super_hold(struct super_block *sb)
{
	refcount_inc(&sb->holds);
}

void super_unhold(struct super_block *sb)
{
	if (!refcount_dec(&sb->holds))
		return;
	mutex_lock(&supers_lock);
	list_del_init(&sb->node);
	mutex_unlock(&supers_lock);
	if (sb->ops && sb->ops->release)
		sb->ops->release(sb);
	user_ns_put(sb->user_ns);
	free(sb);
}

void super_put(struct super_block *sb)
{
	struct dentry *root;

	if (!sb || !refcount_dec(&sb->refs))
		return;
	root = sb->root;
	sb->root = NULL;
	notify_unmounted(sb);
	dcache_drop_super(sb);
	dentry_put(root);
	super_unhold(sb);
}

/* ---- inodes ---- */

_Atomic int64_t vfs_inode_count;

struct inode *inode_new(struct super_block *sb, uint32_t mode, const struct inode_ops *ops, const struct file_ops *fops)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	vfs_inode_count++;
	refcount_init(&i->refs, 1);
	i->ops = ops;
	i->fops = fops;
	super_hold(sb);
	i->sb = sb;
	i->ino = sb->next_ino++;
	mutex_init(&i->lock);
	i->mode = mode;
	i->nlink = 1;
	i->atime = i->mtime = i->ctime = i->btime = vfs_now();
	return i;
}

struct inode *inode_get(struct inode *i)
{
	refcount_inc(&i->refs);
	return i;
}

void inode_put(struct inode *i)
{
	struct super_block *sb;

	if (!i || !refcount_dec(&i->refs))
		return;
	sb = i->sb;
	if (i->fifo)
		fifo_release(i);
	locks_free(i);
	if (i->ops && i->ops->release)
		i->ops->release(i);
	mutex_destroy(&i->lock);
	free(i);
	vfs_inode_count--;
	super_unhold(sb);
}

/* The count goes up by writers and down by executors, and never across zero. */
static int count_step(_Atomic int32_t *count, int32_t step)
{
	int32_t old = *count;

	do {
		if (step > 0 ? old < 0 : old > 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(count, &old, old + step));
	return 0;
}

int inode_get_write(struct inode *i)
{
	return count_step(&i->writers, 1);
}

void inode_put_write(struct inode *i)
{
	i->writers--;
}

int inode_deny_write(struct inode *i)
{
	return count_step(&i->writers, -1);
}

void inode_allow_write(struct inode *i)
{
	i->writers++;
}

/* ---- attributes ---- */

/* The clock of the last tick, as Linux stamps files: cheap, and never ahead of what clock_gettime says. */
struct l_timespec vfs_now(void)
{
	int64_t ns = host_clock_ns(L_CLOCK_REALTIME_COARSE);

	return (struct l_timespec){ns / L_NSEC_PER_SEC, ns % L_NSEC_PER_SEC};
}

void inode_touch(struct inode *i, unsigned which)
{
	struct l_timespec now = vfs_now();

	inode_recall(i);
	if (which & ATTR_ATIME)
		i->atime = now;
	if (which & ATTR_MTIME)
		i->mtime = now;
	if (!which || (which & ATTR_MTIME))
		i->ctime = now;
}

void inode_apply(struct inode *i, const struct iattr *a)
{
	inode_recall(i);
	if (a->valid & ATTR_MODE)
		i->mode = (i->mode & L_S_IFMT) | (a->mode & L_S_IALLUGO);
	if (a->valid & ATTR_UID)
		i->uid = a->uid;
	if (a->valid & ATTR_GID)
		i->gid = a->gid;
	if (a->valid & ATTR_SIZE)
		i->size = a->size;
	if (a->valid & ATTR_ATIME)
		i->atime = a->atime;
	if (a->valid & ATTR_MTIME)
		i->mtime = a->mtime;
	if (a->valid & ATTR_IFLAGS)
		i->iflags = a->iflags;
	i->ctime = vfs_now();
	if ((a->valid & (ATTR_SIZE | ATTR_MTIME)) == ATTR_SIZE)
		i->mtime = i->ctime;
}

/* 0, or -errno.  Changing a size is for those that have somewhere to keep the bytes. */
int setattr_locked(struct inode *i, struct iattr *a)
{
	inode_recall(i);
	if (i->ops && i->ops->setattr)
		return i->ops->setattr(i, a);
	if (a->valid & ATTR_SIZE)
		return -EINVAL;
	inode_apply(i, a);
	return 0;
}

void inode_init_owner(struct inode *i, const struct inode *dir, uint32_t mode, const struct cred *c)
{
	i->uid = c->fsuid;
	i->gid = c->fsgid;
	if (dir)
		i->iflags = dir->iflags & (L_FS_NODUMP_FL | L_FS_NOATIME_FL);
	if (dir && (dir->mode & L_S_ISGID)) {
		i->gid = dir->gid;
		if (L_S_ISDIR(mode))
			mode |= L_S_ISGID;
	}
	i->mode = mode;
}

static struct l_statx_timestamp stamp(const struct l_timespec *ts)
{
	return (struct l_statx_timestamp){.tv_sec = ts->tv_sec, .tv_nsec = (uint32_t)ts->tv_nsec};
}

void inode_generic_stat(struct inode *i, struct l_statx *st)
{
	mutex_lock(&i->lock);
	*st = (struct l_statx){
		.stx_mask = L_STATX_BASIC_STATS | L_STATX_BTIME,
		.stx_blksize = PAGE_SIZE,
		.stx_nlink = i->nlink,
		.stx_uid = i->uid,
		.stx_gid = i->gid,
		.stx_mode = (uint16_t)i->mode,
		.stx_ino = i->ino,
		.stx_size = i->size,
		.stx_blocks = i->blocks,
		.stx_atime = stamp(&i->atime),
		.stx_btime = stamp(&i->btime),
		.stx_ctime = stamp(&i->ctime),
		.stx_mtime = stamp(&i->mtime),
		.stx_rdev_major = l_major(i->rdev),
		.stx_rdev_minor = l_minor(i->rdev),
		.stx_dev_major = l_major(i->sb->dev),
		.stx_dev_minor = l_minor(i->sb->dev),
	};
	mutex_unlock(&i->lock);
}
