/*
 * Who may do what to an inode: mode bits, capabilities, sticky and set-group-ID directories.  Rules: path_resolution(7),
 * inode(7), capabilities(7).
 */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "sentry/vfs/internal.h"

bool inode_capable(const struct inode *i, const struct cred *c, unsigned cap)
{
	return cred_file_capable(c, i->uid, i->gid, cap);
}

int inode_permission_by_mode(const struct inode *i, unsigned mask, const struct cred *c)
{
	uint32_t mode = i->mode;
	bool dir = L_S_ISDIR(mode);

	if (c->fsuid == i->uid)
		mode >>= 6;
	else if ((mode & 070) != ((mode & 07) << 3) && cred_in_group(c, i->gid))
		mode >>= 3;
	if ((mask & ~mode & 7) == 0)
		return 0;
	/* Capabilities: anything in directories; reading; writing; executing what somebody may execute. */
	if (dir ? !(mask & MAY_WRITE) : mask == MAY_READ)
		if (inode_capable(i, c, L_CAP_DAC_READ_SEARCH))
			return 0;
	if (dir || !(mask & MAY_EXEC) || (i->mode & L_S_IXUGO))
		if (inode_capable(i, c, L_CAP_DAC_OVERRIDE))
			return 0;
	return -EACCES;
}

int inode_permission(struct inode *i, unsigned mask, const struct cred *c)
{
	if ((mask & MAY_WRITE) && (i->iflags & L_FS_IMMUTABLE_FL))
		return -EPERM;
	if (i->ops && i->ops->permission)
		return i->ops->permission(i, mask, c);
	return inode_permission_by_mode(i, mask, c);
}

int vfs_permission(const struct path *p, unsigned mask, const struct cred *c)
{
	struct inode *i = p->dentry->inode;

	if (!i)
		return -ENOENT;
	/* Devices, FIFOs and sockets are written to without a change to the file system. */
	if ((mask & MAY_WRITE) && (inode_is(i, L_S_IFREG) || inode_is(i, L_S_IFDIR) || inode_is(i, L_S_IFLNK)) &&
	    path_want_write(p) < 0)
		return -EROFS;
	if ((mask & MAY_EXEC) && inode_is(i, L_S_IFREG) && (mount_flags(p->mnt) & MNT_NOEXEC))
		return -EACCES;
	return inode_permission(i, mask, c);
}

bool inode_owner_or_capable(const struct inode *i, const struct cred *c)
{
	return c->fsuid == i->uid || inode_capable(i, c, L_CAP_FOWNER);
}

bool super_knows(const struct super_block *sb, uint32_t uid, uint32_t gid)
{
	return id_to_ns(sb->user_ns, ID_USER, uid) != ID_NONE && id_to_ns(sb->user_ns, ID_GROUP, gid) != ID_NONE;
}

bool vfs_knows(const struct path *p, const struct cred *c)
{
	return super_knows(p->dentry->sb, c->fsuid, c->fsgid);
}

int may_create(const struct path *dir, const struct cred *c)
{
	int r = path_want_write(dir);

	if (r < 0)
		return r;
	if (dir->dentry->flags & D_UNLINKED)
		return -ENOENT;
	if (!vfs_knows(dir, c))
		return -EOVERFLOW;
	return inode_permission(dir->dentry->inode, MAY_WRITE | MAY_EXEC, c);
}

int may_delete(const struct path *dir, const struct dentry *victim, bool is_dir, const struct cred *c)
{
	const struct inode *d = dir->dentry->inode, *v = victim->inode;
	int r;

	if (!v)
		return -ENOENT;
	r = inode_permission(dir->dentry->inode, MAY_WRITE | MAY_EXEC, c);
	if (r < 0)
		return r;
	if ((d->iflags & L_FS_APPEND_FL) || (v->iflags & (L_FS_APPEND_FL | L_FS_IMMUTABLE_FL)))
		return -EPERM;
	if ((d->mode & L_S_ISVTX) && c->fsuid != v->uid && c->fsuid != d->uid && !inode_capable(v, c, L_CAP_FOWNER))
		return -EPERM;
	if (is_dir) {
		if (!inode_is(v, L_S_IFDIR))
			return -ENOTDIR;
		if (!victim->parent)
			return -EBUSY;
	} else if (inode_is(v, L_S_IFDIR)) {
		return -EISDIR;
	}
	if (dir->dentry->flags & D_UNLINKED)
		return -ENOENT;
	return 0;
}

/* ---- fs.protected_* ---- */

_Atomic unsigned vfs_protected[VFS_PROTECTED_KINDS] = {
	[VFS_PROTECTED_SYMLINKS] = 1,
	[VFS_PROTECTED_HARDLINKS] = 1,
	[VFS_PROTECTED_FIFOS] = 1,
	[VFS_PROTECTED_REGULAR] = 2,
};

int may_follow_link(const struct inode *dir, const struct inode *link, const struct cred *c)
{
	if (!vfs_protected[VFS_PROTECTED_SYMLINKS] || link->uid == c->fsuid || link->uid == dir->uid)
		return 0;
	return (dir->mode & (L_S_ISVTX | L_S_IWOTH)) == (L_S_ISVTX | L_S_IWOTH) ? -EACCES : 0;
}

/* What everybody may link to: it runs with no rights of its own, and the linker could copy and change it. */
static bool harmless_to_link(struct inode *i, const struct cred *c)
{
	if (!L_S_ISREG(i->mode) || (i->mode & L_S_ISUID) || (i->mode & (L_S_ISGID | L_S_IXGRP)) == (L_S_ISGID | L_S_IXGRP))
		return false;
	return inode_permission(i, MAY_READ | MAY_WRITE, c) == 0;
}

int may_link(struct inode *target, const struct cred *c)
{
	if (!vfs_protected[VFS_PROTECTED_HARDLINKS] || inode_owner_or_capable(target, c) || harmless_to_link(target, c))
		return 0;
	return -EPERM;
}

int may_create_in_sticky(const struct inode *dir, const struct inode *found, const struct cred *c)
{
	unsigned level = 1; /* of other types: as if it were set */

	if (!(dir->mode & L_S_ISVTX) || found->uid == dir->uid || found->uid == c->fsuid)
		return 0;
	if (L_S_ISREG(found->mode))
		level = vfs_protected[VFS_PROTECTED_REGULAR];
	else if (L_S_ISFIFO(found->mode))
		level = vfs_protected[VFS_PROTECTED_FIFOS];
	if (level >= 1 && (dir->mode & L_S_IWOTH))
		return -EACCES;
	return level >= 2 && (dir->mode & L_S_IWGRP) ? -EACCES : 0;
}

uint32_t mode_for_new(const struct lookup *l, const struct inode *dir, uint32_t mode)
{
	uint32_t mask;

	mutex_lock(&l->fs->lock);
	mask = l->fs->umask;
	mutex_unlock(&l->fs->lock);
	/* An executable that will get the directory's group must not run with it, unless its maker is of the group. */
	if (!L_S_ISDIR(mode) && (mode & (L_S_ISGID | L_S_IXGRP)) == (L_S_ISGID | L_S_IXGRP) &&
	    (dir->mode & L_S_ISGID) && !cred_in_group(l->cred, dir->gid) && !inode_capable(dir, l->cred, L_CAP_FSETID))
		mode &= ~(uint32_t)L_S_ISGID;
	return mode & ~mask;
}

bool vfs_is_noexec(const struct path *p)
{
	return (mount_flags(p->mnt) & MNT_NOEXEC) != 0;
}

bool vfs_may_suid(const struct path *p, const struct mnt_ns *ns, const struct cred *c)
{
	return !(mount_flags(p->mnt) & MNT_NOSUID) && mount_in_ns(p->mnt, ns) &&
	       user_ns_within(c->user_ns, p->dentry->sb->user_ns);
}
