/* Attributes: stat, chmod, chown, times, truncate, extended attributes, and who may change them.  inode(7), xattr(7). */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "sentry/vfs/mount_internal.h"
#include "sentry/vfs/notify.h"

#define STATX_OF_FLAGS (L_STATX_ATTR_IMMUTABLE | L_STATX_ATTR_APPEND | L_STATX_ATTR_NODUMP)
/* NOLINTNEXTLINE(misc-redundant-expression): that they are equal is the point */
_Static_assert(STATX_OF_FLAGS == (L_FS_IMMUTABLE_FL | L_FS_APPEND_FL | L_FS_NODUMP_FL), "told as they are kept");
#define FROZEN (L_FS_IMMUTABLE_FL | L_FS_APPEND_FL)

#define FILE_CAPS "security.capability"

int path_getattr(const struct path *p, bool fresh, struct l_statx *st)
{
	struct inode *i = p->dentry->inode;

	if (!i)
		return -ENOENT;
	if (i->ops && i->ops->getattr && !fresh) {
		int r = i->ops->getattr(i, st);

		if (r < 0)
			return r;
	} else {
		inode_generic_stat(i, st);
	}
	st->stx_mask |= L_STATX_MNT_ID;
	st->stx_mnt_id = (uint64_t)mount_id(p->mnt);
	/* What the VFS knows of every file, though nothing here is mounted by itself or mapped past the page cache. */
	st->stx_attributes_mask |= L_STATX_ATTR_MOUNT_ROOT | L_STATX_ATTR_AUTOMOUNT | L_STATX_ATTR_DAX;
	if (i->sb->flags & SB_INODE_FLAGS) { /* the bits are the same */
		st->stx_attributes_mask |= STATX_OF_FLAGS;
		st->stx_attributes |= i->iflags & STATX_OF_FLAGS;
	}
	if (p->mnt && p->dentry == p->mnt->root)
		st->stx_attributes |= L_STATX_ATTR_MOUNT_ROOT;
	return 0;
}

int vfs_getattr(const struct path *p, struct l_statx *st)
{
	return path_getattr(p, false, st);
}

int super_statfs(struct super_block *sb, struct l_statfs *st)
{
	int r = 0;

	memset(st, 0, sizeof(*st));
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_namelen = L_NAME_MAX;
	if (sb->ops && sb->ops->statfs)
		r = sb->ops->statfs(sb, st);
	if (!st->f_frsize)
		st->f_frsize = st->f_bsize;
	return r;
}

int vfs_statfs(const struct path *p, struct l_statfs *st)
{
	static const struct { unsigned mnt; int64_t st; } flags[] = {
		{MNT_RDONLY, L_ST_RDONLY}, {MNT_NOSUID, L_ST_NOSUID}, {MNT_NODEV, L_ST_NODEV}, {MNT_NOEXEC, L_ST_NOEXEC},
		{MNT_NOATIME, L_ST_NOATIME}, {MNT_NODIRATIME, L_ST_NODIRATIME}, {MNT_NOSYMFOLLOW, L_ST_NOSYMFOLLOW},
	};
	struct super_block *sb = p->dentry->sb;
	int r = super_statfs(sb, st);

	st->f_flags = L_ST_VALID | (mount_flags(p->mnt) & (MNT_NOATIME | MNT_STRICTATIME) ? 0 : L_ST_RELATIME);
	for (size_t n = 0; n < ARRAY_SIZE(flags); n++)
		if (mount_flags(p->mnt) & flags[n].mnt)
			st->f_flags |= flags[n].st;
	if (sb->flags & SB_RDONLY)
		st->f_flags |= L_ST_RDONLY;
	return r;
}

/* ---- changes, and who watches ---- */

/* What changing these is to those who watch: fsnotify's choice, which takes one time without the other for a use. */
static uint32_t event_of(unsigned valid)
{
	uint32_t mask = 0;

	if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID))
		mask |= L_IN_ATTRIB;
	if (valid & ATTR_SIZE)
		mask |= L_IN_MODIFY;
	switch (valid & (ATTR_ATIME | ATTR_MTIME)) {
	case ATTR_ATIME | ATTR_MTIME:
		return mask | L_IN_ATTRIB;
	case ATTR_ATIME:
		return mask | L_IN_ACCESS;
	case ATTR_MTIME:
		return mask | L_IN_MODIFY;
	default:
		return mask;
	}
}

/* Passes on r, what came of a change of d's inode. */
static int changed(struct dentry *d, int r, uint32_t event)
{
	if (r == 0 && event)
		notify_dentry(d, event);
	return r;
}

/* ---- mode and owner ---- */

/* What writing or a change of owner leaves of the mode: set-user-ID goes, set-group-ID where it means execution, or where c
 * could not give it. */
static uint32_t mode_without_privs(const struct inode *i, const struct cred *c)
{
	uint32_t mode = i->mode & ~(uint32_t)L_S_ISUID;

	if ((mode & L_S_ISGID) &&
	    ((mode & L_S_IXGRP) || (!cred_in_group(c, i->gid) && !inode_capable(i, c, L_CAP_FSETID))))
		mode &= ~(uint32_t)L_S_ISGID;
	return mode;
}

/* iflags: those (L_FS_*_FL) that forbid the change. */
static int want_change(const struct path *p, uint32_t iflags)
{
	const struct inode *i = p->dentry->inode;
	int r = path_want_write(p);

	if (r == 0 && (i->iflags & iflags))
		r = -EPERM;
	return r == 0 && i->ops && i->ops->attr_fixed ? -EOPNOTSUPP : r;
}

int vfs_chmod(const struct path *p, uint32_t mode, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	struct iattr a = {.valid = ATTR_MODE};
	int r = want_change(p, FROZEN);

	if (r < 0)
		return r;
	if (inode_is(i, L_S_IFLNK))
		return -EOPNOTSUPP;
	mutex_lock(&i->lock);
	a.mode = (i->mode & L_S_IFMT) | (mode & L_S_IALLUGO);
	if (!inode_owner_or_capable(i, c)) {
		r = -EPERM;
	} else {
		if (!cred_in_group(c, i->gid) && !inode_capable(i, c, L_CAP_FSETID))
			a.mode &= ~(uint32_t)L_S_ISGID;
		r = setattr_locked(i, &a);
	}
	mutex_unlock(&i->lock);
	return changed(p->dentry, r, event_of(a.valid));
}

static bool may_chown(const struct inode *i, uint32_t uid, uint32_t gid, const struct cred *c)
{
	bool owner = c->fsuid == i->uid;

	if (inode_capable(i, c, L_CAP_CHOWN))
		return true;
	if (uid != (uint32_t)-1 && !(owner && uid == i->uid))
		return false;
	return gid == (uint32_t)-1 || (owner && (gid == i->gid || cred_in_group(c, gid)));
}

/* A file that changes is not the one that was given capabilities. */
static int remove_file_caps(struct inode *i)
{
	char value[32];
	ssize_t n;
	int r = 0;

	if (LIKELY(i->no_file_caps))
		return 0;
	i->no_file_caps = true; /* whoever sets them from now on says so */
	n = i->ops && i->ops->getxattr ? i->ops->getxattr(i, FILE_CAPS, value, sizeof(value)) : -EOPNOTSUPP;
	if (n >= 0 || n == -ERANGE)
		r = i->ops->removexattr ? i->ops->removexattr(i, FILE_CAPS) : -EPERM;
	if (r < 0)
		i->no_file_caps = false;
	return r;
}

int vfs_chown(const struct path *p, uint32_t uid, uint32_t gid, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	struct iattr a = {.uid = uid, .gid = gid};
	int r = want_change(p, FROZEN);

	if (r < 0)
		return r;
	if (uid != (uint32_t)-1)
		a.valid |= ATTR_UID;
	if (gid != (uint32_t)-1)
		a.valid |= ATTR_GID;
	if (!super_knows(i->sb, uid == ID_NONE ? i->uid : uid, gid == ID_NONE ? i->gid : gid))
		return -EOVERFLOW;
	mutex_lock(&i->lock);
	if (!inode_is(i, L_S_IFDIR) && (i->mode & (L_S_ISUID | L_S_ISGID))) {
		a.valid |= ATTR_MODE;
		a.mode = mode_without_privs(i, c);
	}
	r = may_chown(i, uid, gid, c) ? setattr_locked(i, &a) : -EPERM;
	mutex_unlock(&i->lock);
	if (r == 0 && inode_is(i, L_S_IFREG))
		r = remove_file_caps(i);
	return changed(p->dentry, r, event_of(a.valid));
}

/* ---- times ---- */

static int fill_time(const struct l_timespec *from, const struct l_timespec *now, struct l_timespec *to, bool *set)
{
	*set = from->tv_nsec != L_UTIME_OMIT;
	if (from->tv_nsec == L_UTIME_NOW)
		*to = *now;
	else if (*set && (from->tv_nsec < 0 || from->tv_nsec >= L_NSEC_PER_SEC))
		return -EINVAL;
	else
		*to = *from;
	return 0;
}

int vfs_utimes(const struct path *p, const struct l_timespec *times, const struct cred *c)
{
	struct l_timespec now = vfs_now(), both[2] = {now, now};
	struct inode *i = p->dentry->inode;
	struct iattr a = {.valid = 0};
	bool atime = true, mtime = true, now_only = true;
	int r;

	if (times) {
		now_only = times[0].tv_nsec == L_UTIME_NOW && times[1].tv_nsec == L_UTIME_NOW;
		r = fill_time(&times[0], &now, &both[0], &atime);
		if (r == 0)
			r = fill_time(&times[1], &now, &both[1], &mtime);
		if (r < 0)
			return r;
	}
	if (!atime && !mtime)
		return 0;
	r = want_change(p, now_only ? L_FS_IMMUTABLE_FL : FROZEN);
	if (r < 0)
		return r;
	/* Who may write may say "now"; another time is the owner's to say. */
	if (!inode_owner_or_capable(i, c)) {
		r = now_only ? inode_permission(i, MAY_WRITE, c) : -EPERM;
		if (r < 0)
			return r;
	}
	a.valid = (atime ? ATTR_ATIME : 0) | (mtime ? ATTR_MTIME : 0);
	a.atime = both[0];
	a.mtime = both[1];
	mutex_lock(&i->lock);
	r = setattr_locked(i, &a);
	mutex_unlock(&i->lock);
	return changed(p->dentry, r, event_of(a.valid));
}

/* ---- sizes ---- */

static int set_size(struct dentry *d, uint64_t size, const struct cred *c)
{
	struct inode *i = d->inode;
	struct iattr a = {.valid = ATTR_SIZE, .size = size};
	int r;

	mutex_lock(&i->lock);
	if ((i->mode & (L_S_ISUID | L_S_ISGID)) && !cred_capable(c, L_CAP_FSETID)) {
		a.valid |= ATTR_MODE;
		a.mode = mode_without_privs(i, c);
	}
	r = setattr_locked(i, &a);
	mutex_unlock(&i->lock);
	return changed(d, r, event_of(a.valid));
}

int vfs_truncate(const struct path *p, uint64_t size, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	int r;

	if (inode_is(i, L_S_IFDIR))
		return -EISDIR;
	if (!inode_is(i, L_S_IFREG))
		return -EINVAL;
	r = vfs_permission(p, MAY_WRITE, c);
	if (r < 0)
		return r;
	if (i->iflags & L_FS_APPEND_FL)
		return -EPERM;
	r = inode_get_write(i);
	if (r < 0)
		return r;
	r = lease_break(i, true, false);
	if (r == 0)
		r = set_size(p->dentry, size, c);
	inode_put_write(i);
	return r;
}

int vfs_ftruncate(struct file *f, uint64_t size)
{
	if (!inode_is(f->inode, L_S_IFREG) || !(f->mode & FILE_WRITE))
		return -EINVAL;
	if (f->inode->iflags & L_FS_APPEND_FL)
		return -EPERM;
	return set_size(f->path.dentry, size, f->cred);
}

int vfs_remove_privs(struct file *f, const struct cred *c)
{
	struct inode *i = f->inode;
	struct iattr a = {.valid = ATTR_MODE};
	int r = remove_file_caps(i);

	if (r < 0)
		return r;
	if (LIKELY(!(i->mode & (L_S_ISUID | L_S_ISGID))) || cred_capable(c, L_CAP_FSETID))
		return 0;
	mutex_lock(&i->lock);
	a.mode = mode_without_privs(i, c);
	if (a.mode != i->mode)
		r = setattr_locked(i, &a);
	else
		a.valid = 0;
	mutex_unlock(&i->lock);
	return changed(f->path.dentry, r, event_of(a.valid));
}

/* ---- flags ---- */

static bool keeps_flags(const struct inode *i)
{
	return (i->sb->flags & SB_INODE_FLAGS) && (inode_is(i, L_S_IFREG) || inode_is(i, L_S_IFDIR));
}

int vfs_get_inode_flags(const struct path *p, uint32_t *out)
{
	const struct inode *i = p->dentry->inode;

	if (!keeps_flags(i))
		return -ENOTTY;
	*out = i->iflags;
	return 0;
}

int vfs_set_inode_flags(const struct path *p, uint32_t flags, const struct cred *c)
{
	const uint32_t known = FROZEN | L_FS_NODUMP_FL | L_FS_NOATIME_FL;
	struct inode *i = p->dentry->inode;
	struct iattr a = {.valid = ATTR_IFLAGS, .iflags = flags};
	int r = path_want_write(p);

	if (r == 0 && !keeps_flags(i))
		r = -ENOTTY;
	if (r < 0)
		return r;
	mutex_lock(&i->lock);
	if (!inode_owner_or_capable(i, c))
		r = -EPERM;
	else if (((flags ^ i->iflags) & FROZEN) && !cred_capable(c, L_CAP_LINUX_IMMUTABLE))
		r = -EPERM;
	else if (flags & ~known)
		r = -EOPNOTSUPP;
	else
		r = setattr_locked(i, &a);
	mutex_unlock(&i->lock);
	return r;
}

/* ---- extended attributes ---- */

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

/* trusted.* is seen by CAP_SYS_ADMIN alone; user.* is for regular files and directories, by their permissions; security.* is
 * read by all. */
static int xattr_permission(const struct path *p, const char *name, unsigned mask, const struct cred *c)
{
	struct inode *i = p->dentry->inode;

	if (mask & MAY_WRITE) {
		int r = path_want_write(p);

		if (r < 0)
			return r;
		if (i->iflags & FROZEN)
			return -EPERM;
	}
	if (!strcmp(name, "security.") || !strcmp(name, "trusted.") || !strcmp(name, "user."))
		return -EINVAL;
	if (has_prefix(name, "security.")) {
		if (!(mask & MAY_WRITE))
			return 0;
		if (!strcmp(name, FILE_CAPS))
			return inode_capable(i, c, L_CAP_SETFCAP) ? 0 : -EPERM;
		return cred_ns_capable(c, i->sb->user_ns, L_CAP_SYS_ADMIN) ? 0 : -EPERM;
	}
	if (has_prefix(name, "system."))
		return -EOPNOTSUPP;
	if (has_prefix(name, "trusted.")) {
		if (!cred_capable(c, L_CAP_SYS_ADMIN))
			return mask & MAY_WRITE ? -EPERM : -ENODATA;
		return 0;
	}
	if (!has_prefix(name, "user."))
		return -EOPNOTSUPP;
	if (!inode_is(i, L_S_IFREG) && !inode_is(i, L_S_IFDIR))
		return mask & MAY_WRITE ? -EPERM : -ENODATA;
	if ((mask & MAY_WRITE) && inode_is(i, L_S_IFDIR) && (i->mode & L_S_ISVTX) && !inode_owner_or_capable(i, c))
		return -EPERM;
	return inode_permission(i, mask, c);
}

static ssize_t get_file_caps(struct inode *i, void *buf, size_t size, const struct cred *c)
{
	uint32_t raw[FILE_CAPS_WORDS];
	ssize_t n = i->ops->getxattr(i, FILE_CAPS, raw, sizeof(raw));

	if (n >= 0)
		n = file_caps_read(i, raw, (size_t)n, c);
	if (n < 0 || size == 0)
		return n;
	if ((size_t)n > size)
		return -ERANGE;
	memcpy(buf, raw, (size_t)n);
	return n;
}

ssize_t vfs_getxattr(const struct path *p, const char *name, void *buf, size_t size, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	int r = xattr_permission(p, name, MAY_READ, c);

	if (r < 0)
		return r;
	if (!i->ops || !i->ops->getxattr)
		return -EOPNOTSUPP;
	return strcmp(name, FILE_CAPS) ? i->ops->getxattr(i, name, buf, size) : get_file_caps(i, buf, size, c);
}

int vfs_setxattr(const struct path *p, const char *name, const void *value, size_t size, int flags,
		 const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	uint32_t raw[FILE_CAPS_WORDS];
	int r = xattr_permission(p, name, MAY_WRITE, c);

	if (r < 0)
		return r;
	if (!strcmp(name, FILE_CAPS)) {
		ssize_t n = size <= sizeof(raw) ? 0 : -EINVAL;

		memcpy(raw, value, n < 0 ? 0 : size);
		n = n < 0 ? n : file_caps_write(i, raw, size, c);
		if (n < 0)
			return (int)n;
		value = raw;
		size = (size_t)n;
		i->no_file_caps = false;
	}
	r = i->ops && i->ops->setxattr ? i->ops->setxattr(i, name, value, size, flags) : -EOPNOTSUPP;
	return changed(p->dentry, r, L_IN_ATTRIB);
}

/* Takes the names that c must not see out of a list of them. */
static ssize_t hide_names(char *buf, ssize_t len, const struct cred *c)
{
	char *to = buf;

	if (cred_capable(c, L_CAP_SYS_ADMIN))
		return len;
	for (char *from = buf; from < buf + len;) {
		size_t n = strlen(from) + 1;

		if (!has_prefix(from, "trusted.")) {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	return to - buf;
}

ssize_t vfs_listxattr(const struct path *p, char *buf, size_t size, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	ssize_t n;

	if (!i->ops || !i->ops->listxattr)
		return 0;
	n = i->ops->listxattr(i, buf, size);
	return n > 0 && size ? hide_names(buf, n, c) : n;
}

int vfs_removexattr(const struct path *p, const char *name, const struct cred *c)
{
	struct inode *i = p->dentry->inode;
	int r = xattr_permission(p, name, MAY_WRITE, c);

	if (r < 0)
		return r;
	r = i->ops && i->ops->removexattr ? i->ops->removexattr(i, name) : -EOPNOTSUPP;
	return changed(p->dentry, r, L_IN_ATTRIB);
}
