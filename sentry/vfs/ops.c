/*
 * Changing the tree: mkdir, mknod, symlink, link, unlink, rmdir, rename.  Each walks to the directory of the last component,
 * takes the directory's lock, looks the name up once more under it, checks, and calls the file system.
 */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/types.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

static int walk_to_parent(struct walk *w, const struct lookup *l, int dirfd, const char *path)
{
	int r = walk_begin(w, l, dirfd, path, 0);

	if (path[0] == '\0') /* before a bad dirfd */
		r = -ENOENT;
	return r < 0 ? r : walk_to_last(w);
}

/* ---- something new ---- */

/*
 * Comes to the place of something new: on success the directory's lock is held and *out is its negative dentry.
 * EEXIST goes before the complaints about the directory, as on Linux.
 */
static int lock_new(struct walk *w, bool is_dir, struct dentry **out) NO_LOCK_ANALYSIS
{
	struct inode *dir = w->at.dentry->inode;
	struct dentry *d;
	int r;

	if (w->kind != LAST_NAME)
		return -EEXIST;
	if (w->last_len > L_NAME_MAX)
		return -ENAMETOOLONG;
	mutex_lock(&dir->lock);
	r = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);
	if (r == 0) {
		if (d->inode)
			r = -EEXIST;
		else if (w->must_be_dir && !is_dir)
			r = -ENOENT;
		else
			r = may_create(&w->at, w->l->cred);
		if (r < 0)
			dentry_put(d);
	}
	if (r < 0) {
		mutex_unlock(&dir->lock);
		return r;
	}
	*out = d;
	return 0;
}

/* r is what became of it. */
static void unlock_new(struct walk *w, struct dentry *d, int r) NO_LOCK_ANALYSIS
{
	if (r == 0)
		notify_name(w->at.dentry->inode, d->name->s, inode_is(d->inode, L_S_IFDIR), L_IN_CREATE);
	mutex_unlock(&w->at.dentry->inode->lock);
	dentry_put(d);
}

int vfs_mkdir(const struct lookup *l, int dirfd, const char *path, uint32_t mode)
{
	struct dentry *d;
	struct inode *dir;
	struct walk w NOT_ZEROED;
	int r = walk_to_parent(&w, l, dirfd, path);

	if (r == 0)
		r = lock_new(&w, true, &d);
	if (r == 0) {
		dir = w.at.dentry->inode;
		mode = mode_for_new(l, dir, (mode & (L_S_IRWXUGO | L_S_ISVTX)) | L_S_IFDIR);
		r = dir->ops->mkdir ? dir->ops->mkdir(dir, d, mode, l->cred) : -EPERM;
		unlock_new(&w, d, r);
	}
	walk_end(&w);
	return r;
}

int vfs_may_mknod(uint32_t mode)
{
	switch (mode & L_S_IFMT) {
	case 0:
	case L_S_IFREG:
	case L_S_IFIFO:
	case L_S_IFSOCK:
	case L_S_IFCHR:
	case L_S_IFBLK:
		return 0;
	case L_S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

int vfs_mknod(const struct lookup *l, int dirfd, const char *path, uint32_t mode, uint64_t rdev)
{
	return vfs_mknod_path(l, dirfd, path, mode, rdev, NULL);
}

int vfs_mknod_path(const struct lookup *l, int dirfd, const char *path, uint32_t mode, uint64_t rdev, struct path *out)
{
	struct dentry *d;
	struct inode *dir;
	struct walk w NOT_ZEROED;
	int r = vfs_may_mknod(mode);

	if (r < 0)
		return r;
	if (!(mode & L_S_IFMT))
		mode |= L_S_IFREG;
	r = walk_to_parent(&w, l, dirfd, path);
	if (r == 0)
		r = lock_new(&w, false, &d);
	if (r == 0) {
		dir = w.at.dentry->inode;
		mode = mode_for_new(l, dir, mode);
		/* 0/0 is overlay's whiteout: anybody may make one, since nothing can be reached by it. */
		if ((L_S_ISCHR(mode) || L_S_ISBLK(mode)) && !(L_S_ISCHR(mode) && rdev == 0) &&
		    !cred_capable(l->cred, L_CAP_MKNOD))
			r = -EPERM;
		else if (L_S_ISREG(mode))
			r = dir->ops->create ? dir->ops->create(dir, d, mode, l->cred) : -EACCES;
		else
			r = dir->ops->mknod ? dir->ops->mknod(dir, d, mode, rdev, l->cred) : -EPERM;
		if (r == 0 && out) {
			*out = (struct path){w.at.mnt, d};
			path_get(out);
		}
		unlock_new(&w, d, r);
	}
	walk_end(&w);
	return r;
}

int vfs_symlink(const struct lookup *l, const char *target, int dirfd, const char *path)
{
	struct dentry *d;
	struct inode *dir;
	struct walk w NOT_ZEROED;
	int r;

	if (target[0] == '\0')
		return -ENOENT;
	r = walk_to_parent(&w, l, dirfd, path);
	if (r == 0)
		r = lock_new(&w, false, &d);
	if (r == 0) {
		dir = w.at.dentry->inode;
		r = dir->ops->symlink ? dir->ops->symlink(dir, d, target, l->cred) : -EPERM;
		unlock_new(&w, d, r);
	}
	walk_end(&w);
	return r;
}

/* linkat(2) of *from to where w has come. */
static int link_at(struct walk *w, const struct path *from)
{
	struct inode *target = from->dentry->inode, *dir = w->at.dentry->inode;
	struct dentry *d;
	int r;

	r = lock_new(w, false, &d);
	if (r < 0)
		return r;
	if (from->mnt != w->at.mnt)
		r = -EXDEV;
	else if (target->iflags & (L_FS_APPEND_FL | L_FS_IMMUTABLE_FL))
		r = -EPERM;
	else if (may_link(target, w->l->cred) < 0)
		r = -EPERM;
	else if (inode_is(target, L_S_IFDIR) || !dir->ops->link)
		r = -EPERM;
	else if (target->nlink == 0 && !(from->dentry->flags & D_LINKABLE))
		r = -ENOENT;
	else
		r = dir->ops->link(dir, d, target);
	if (r == 0) {
		from->dentry->flags &= ~D_LINKABLE; /* once; from now on it is a file like others */
		notify_inode(target, L_IN_ATTRIB);
	}
	unlock_new(w, d, r);
	return r;
}

int vfs_link(const struct lookup *l, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
	     unsigned at_flags)
{
	unsigned flags = 0;
	struct path from;
	struct walk w NOT_ZEROED;
	int r;

	if (at_flags & ~(unsigned)(L_AT_SYMLINK_FOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	if (!old_path)
		return 0;
	if (at_flags & L_AT_SYMLINK_FOLLOW)
		flags |= LOOKUP_FOLLOW;
	if (at_flags & L_AT_EMPTY_PATH) {
		/* DIVERGES: Linux lets those link a descriptor, too, whose credentials are the ones it was opened with.
		 */
		if (old_path[0] == '\0' && !cred_capable(l->cred, L_CAP_DAC_READ_SEARCH))
			return -ENOENT;
		flags |= LOOKUP_EMPTY;
	}
	r = vfs_resolve(l, old_dirfd, old_path, flags, 0, &from);
	if (r < 0)
		return r;
	if (!new_path) {
		path_put(&from);
		return 0;
	}
	r = walk_to_parent(&w, l, new_dirfd, new_path);
	if (r == 0)
		r = link_at(&w, &from);
	walk_end(&w);
	path_put(&from);
	return r;
}

/* ---- removal ---- */

static int remove_locked(struct walk *w, struct dentry *d, bool is_dir)
{
	struct inode *dir = w->at.dentry->inode;
	int r;

	if (!d->inode)
		return -ENOENT;
	if (!is_dir && w->must_be_dir)
		return inode_is(d->inode, L_S_IFDIR) ? -EISDIR : -ENOTDIR;
	r = path_want_write(&w->at);
	if (r == 0)
		r = may_delete(&w->at, d, is_dir, w->l->cred);
	if (r < 0)
		return r;
	if (dentry_is_mountpoint(d, w->l->fs->ns))
		return -EBUSY;
	if (is_dir)
		r = dir->ops->rmdir ? dir->ops->rmdir(dir, d) : -EPERM;
	else
		r = dir->ops->unlink ? dir->ops->unlink(dir, d) : -EPERM;
	if (r < 0)
		return r;
	dentry_unlinked(d);
	if (!is_dir)
		notify_inode(d->inode, L_IN_ATTRIB); /* a link less */
	if (refcount_read(&d->refs) == 1) /* ours: nobody has it open */
		notify_dentry_gone(d->inode);
	notify_name(dir, d->name->s, is_dir, L_IN_DELETE);
	return 0;
}

static int remove_name(struct walk *w, bool is_dir)
{
	struct inode *dir = w->at.dentry->inode;
	struct dentry *d;
	int r;

	if (w->last_len > L_NAME_MAX)
		return -ENAMETOOLONG;
	mutex_lock(&dir->lock);
	r = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);
	if (r == 0)
		r = remove_locked(w, d, is_dir);
	else
		d = NULL;
	mutex_unlock(&dir->lock);
	if (r == 0)
		mount_detach_from(d);
	dentry_put(d); /* perhaps the last of the inode: its bytes go without the directory waiting */
	return r;
}

int vfs_unlink(const struct lookup *l, int dirfd, const char *path)
{
	struct walk w NOT_ZEROED;
	int r = walk_to_parent(&w, l, dirfd, path);

	if (r == 0)
		r = w.kind == LAST_NAME ? remove_name(&w, false) : -EISDIR;
	walk_end(&w);
	return r;
}

int vfs_rmdir(const struct lookup *l, int dirfd, const char *path)
{
	struct walk w NOT_ZEROED;
	int r = walk_to_parent(&w, l, dirfd, path);

	if (r == 0) {
		switch (w.kind) {
		case LAST_NAME:
			r = remove_name(&w, true);
			break;
		case LAST_DOT:
			r = -EINVAL;
			break;
		case LAST_DOTDOT:
			r = -ENOTEMPTY;
			break;
		case LAST_ROOT:
			r = -EBUSY;
			break;
		}
	}
	walk_end(&w);
	return r;
}

/* ---- rename ---- */

/* Both directories: the one above first, else by address, as every holder of two does. */
static void lock_two(struct dentry *a, struct dentry *b) NO_LOCK_ANALYSIS
{
	if (a->inode == b->inode) {
		mutex_lock(&a->inode->lock);
		return;
	}
	if (dentry_is_below(a, b) || (!dentry_is_below(b, a) && (uintptr_t)b->inode < (uintptr_t)a->inode)) {
		struct dentry *t = a;

		a = b;
		b = t;
	}
	mutex_lock(&a->inode->lock);
	mutex_lock_nested(&b->inode->lock);
}

static void unlock_two(struct dentry *a, struct dentry *b) NO_LOCK_ANALYSIS
{
	mutex_unlock(&a->inode->lock);
	if (a->inode != b->inode)
		mutex_unlock(&b->inode->lock);
}

/* One half of a rename: d leaves dir for another directory or name.  Its ".." changes if it is a directory that moves. */
static int may_move(const struct path *dir, struct dentry *d, bool other_dir, const struct cred *c)
{
	bool is_dir = inode_is(d->inode, L_S_IFDIR);
	int r = may_delete(dir, d, is_dir, c);

	if (r == 0 && is_dir && other_dir)
		r = inode_permission(d->inode, MAY_WRITE, c);
	return r;
}

static int rename_check(struct walk *from, struct dentry *od, struct walk *to, struct dentry *nd, unsigned flags)
{
	const struct cred *c = from->l->cred;
	bool other_dir = from->at.dentry != to->at.dentry;
	bool od_dir, nd_dir;
	int r;

	if (!od->inode)
		return -ENOENT;
	if ((flags & L_RENAME_NOREPLACE) && nd->inode)
		return -EEXIST;
	if ((flags & L_RENAME_EXCHANGE) && !nd->inode)
		return -ENOENT;
	od_dir = inode_is(od->inode, L_S_IFDIR);
	nd_dir = nd->inode && inode_is(nd->inode, L_S_IFDIR);
	if (!od_dir && (from->must_be_dir || (!(flags & L_RENAME_EXCHANGE) && to->must_be_dir)))
		return -ENOTDIR;
	if ((flags & L_RENAME_EXCHANGE) && !nd_dir && to->must_be_dir)
		return -ENOTDIR;
	if (dentry_is_below(to->at.dentry, od))
		return -EINVAL;
	if (nd->inode && dentry_is_below(from->at.dentry, nd))
		return flags & L_RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (od->inode == nd->inode)
		return 0;

	r = may_move(&from->at, od, other_dir, c);
	if (r < 0)
		return r;
	if (!nd->inode)
		r = may_create(&to->at, c);
	else if (flags & L_RENAME_EXCHANGE)
		r = may_move(&to->at, nd, other_dir, c);
	else
		r = may_delete(&to->at, nd, od_dir, c);
	if (r < 0)
		return r;
	if (dentry_is_mountpoint(od, from->l->fs->ns) || (nd->inode && dentry_is_mountpoint(nd, from->l->fs->ns)))
		return -EBUSY;
	return 0;
}

/* After the move of od, which was called old_name in from, to where nd was. */
static void tell_renamed(struct walk *from, const char *old_name, struct dentry *od, struct walk *to, const char *new_name,
			 struct dentry *nd, unsigned flags)
{
	struct inode *old_dir = from->at.dentry->inode, *new_dir = to->at.dentry->inode;

	notify_moved(old_dir, old_name, new_dir, new_name, od->inode);
	if (flags & L_RENAME_EXCHANGE) {
		notify_inode(od->inode, L_IN_MOVE_SELF);
		notify_moved(new_dir, new_name, old_dir, old_name, nd->inode);
		notify_inode(nd->inode, L_IN_MOVE_SELF);
		return;
	}
	if (nd->inode)
		notify_inode(nd->inode, L_IN_ATTRIB); /* a link less */
	notify_inode(od->inode, L_IN_MOVE_SELF);
}

static int rename_locked(struct walk *from, struct walk *to, unsigned flags) REQUIRES(rename_lock)
{
	struct inode *old_dir = from->at.dentry->inode, *new_dir = to->at.dentry->inode;
	char old_name[L_NAME_MAX + 1] NOT_ZEROED, new_name[L_NAME_MAX + 1] NOT_ZEROED;
	struct dentry *od, *nd;
	int r;

	r = dentry_lookup_locked(from->at.dentry, from->last, from->last_len, &od);
	if (r < 0)
		return r;
	r = dentry_lookup_locked(to->at.dentry, to->last, to->last_len, &nd);
	if (r < 0) {
		dentry_put(od);
		return r;
	}
	r = rename_check(from, od, to, nd, flags);
	if (r == 0 && od->inode != nd->inode) {
		dentry_copy_name(od, old_name, sizeof(old_name));
		dentry_copy_name(nd, new_name, sizeof(new_name));
		r = old_dir->ops->rename
			    ? old_dir->ops->rename(old_dir, od, new_dir, nd, flags, from->l->cred) : -EPERM;
		if (r == 0 && (flags & L_RENAME_EXCHANGE))
			dentry_exchange(od, nd);
		else if (r == 0)
			dentry_move(od, nd);
		if (r == 0)
			tell_renamed(from, old_name, od, to, new_name, nd, flags);
	}
	dentry_put(od);
	dentry_put(nd);
	return r;
}

int vfs_rename(const struct lookup *l, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
	       unsigned flags)
{
	struct walk from, to;
	int r;

	if (flags & ~(unsigned)(L_RENAME_NOREPLACE | L_RENAME_EXCHANGE | L_RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & L_RENAME_EXCHANGE) && (flags & (L_RENAME_NOREPLACE | L_RENAME_WHITEOUT)))
		return -EINVAL;
	if (!old_path)
		return 0;
	r = walk_to_parent(&from, l, old_dirfd, old_path);
	if (r < 0 || !new_path) {
		walk_end(&from);
		return r;
	}
	r = walk_to_parent(&to, l, new_dirfd, new_path);
	if (r < 0)
		goto out;
	if (from.at.mnt != to.at.mnt)
		r = -EXDEV;
	else if (from.kind != LAST_NAME)
		r = -EBUSY;
	else if (to.kind != LAST_NAME)
		r = flags & L_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	else if (from.last_len > L_NAME_MAX || to.last_len > L_NAME_MAX)
		r = -ENAMETOOLONG;
	else
		r = path_want_write(&from.at);
	if (r < 0)
		goto out;
	mutex_lock(&rename_lock);
	lock_two(from.at.dentry, to.at.dentry);
	r = rename_locked(&from, &to, flags);
	unlock_two(from.at.dentry, to.at.dentry);
	mutex_unlock(&rename_lock);
out:
	walk_end(&from);
	walk_end(&to);
	return r;
}
