/* Opening: open(2), openat2(2) and execve's opening of a program. */
#include <stdio.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/types.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"

/* What must be permitted for these flags. */
static unsigned access_wanted(uint32_t flags)
{
	static const unsigned by_mode[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
	unsigned mask = by_mode[flags & L_O_ACCMODE];

	return flags & L_O_TRUNC ? mask | MAY_WRITE : mask;
}

static int check_type(const struct path *p, uint32_t flags)
{
	const struct inode *i = p->dentry->inode;

	switch (i->mode & L_S_IFMT) {
	case L_S_IFLNK:
		return -ELOOP;
	case L_S_IFDIR:
		if ((access_wanted(flags) & MAY_WRITE) || (flags & L_O_CREAT))
			return -EISDIR;
		return 0;
	case L_S_IFBLK:
	case L_S_IFCHR:
		/* What a user made is not for devices. */
		return (mount_flags(p->mnt) & MNT_NODEV) || p->dentry->sb->user_ns != &user_ns_first ? -EACCES : 0;
	default:
		return 0;
	}
}

static int call_open(struct inode *i, struct file *f)
{
	if (i->ops && i->ops->open)
		return i->ops->open(i, f);
	switch (i->mode & L_S_IFMT) {
	case L_S_IFIFO:
		return fifo_open(i, f);
	case L_S_IFCHR:
	case L_S_IFBLK:
		return device_open(i, f);
	case L_S_IFSOCK:
		return -ENXIO;
	default:
		return 0;
	}
}

/* f may be open for reading only: O_TRUNC writes all the same, and so not to what is being executed. */
static int truncate_on_open(struct inode *i, const struct file *f)
{
	struct iattr a = {.valid = ATTR_SIZE};
	int r;

	if (!(f->mode & FILE_WRITER)) {
		r = inode_get_write(i);
		if (r < 0)
			return r;
	}
	mutex_lock(&i->lock);
	if (i->mode & (L_S_ISUID | L_S_ISGID)) {
		a.valid |= ATTR_MODE;
		a.mode = i->mode & ~(uint32_t)L_S_ISUID;
		if (i->mode & L_S_IXGRP)
			a.mode &= ~(uint32_t)L_S_ISGID;
	}
	r = setattr_locked(i, &a);
	mutex_unlock(&i->lock);
	if (r == 0)
		notify_file(f, L_IN_MODIFY);
	if (!(f->mode & FILE_WRITER))
		inode_put_write(i);
	return r;
}

/* Opens *p, all checks done. */
static int open_checked(const struct path *p, uint32_t flags, const struct cred *c, struct file **out)
{
	struct inode *i = p->dentry->inode;
	struct file *f = file_new(p, flags & ~(uint32_t)(L_O_CREAT | L_O_EXCL | L_O_TRUNC | L_O_CLOEXEC), c);
	int r = 0;

	if (!f)
		return -ENOMEM;
	if (flags & L_O_PATH) {
		f->mode = FILE_PATH;
		f->ops = &file_no_ops;
		*out = f;
		return 0;
	}
	if ((f->mode & FILE_WRITE) && inode_is(i, L_S_IFREG)) {
		r = path_get_write(p);
		if (r == 0) {
			r = inode_get_write(i);
			if (r < 0)
				path_put_write(p);
		}
		if (r == 0)
			f->mode |= FILE_WRITER;
	} else if ((f->mode & FILE_READ) && inode_is(i, L_S_IFREG)) {
		i->readers++;
		f->mode |= FILE_READER;
	}
	if (r == 0)
		r = lease_break(i, access_wanted(flags & L_O_ACCMODE) & MAY_WRITE, flags & L_O_NONBLOCK);
	if (r < 0)
		f->ops = &file_no_ops;
	if (r == 0) {
		/* A file whose open failed was never open: nothing of the file system's is to be released. */
		r = call_open(i, f);
		if (r < 0)
			f->ops = &file_no_ops;
		f->flags &= ~(uint32_t)L_O_NOCTTY; /* it was for the open of a terminal alone */
	}
	if (r == 0) {
		f->mode |= FILE_OPENED;
		notify_file(f, L_IN_OPEN);
	}
	if (r == 0 && (flags & L_O_TRUNC) && inode_is(i, L_S_IFREG))
		r = truncate_on_open(i, f);
	if (r < 0) {
		file_put(f);
		return r;
	}
	if (f->mode & FILE_STREAM)
		f->mode &= ~FILE_PREAD;
	*out = f;
	return 0;
}

int file_open_path(const struct path *p, uint32_t flags, const struct cred *c, struct file **out)
{
	return p->dentry->inode ? open_checked(p, flags, c, out) : -ENOENT;
}

/* created: by this very call, so that its mode does not bind us. */
static int open_path(const struct lookup *l, const struct path *p, uint32_t flags, bool created, struct file **out)
{
	struct inode *i = p->dentry->inode;
	int r;

	if (flags & L_O_PATH)
		return open_checked(p, flags, l->cred, out);
	if (!created) {
		r = check_type(p, flags);
		if (r == 0)
			r = vfs_permission(p, access_wanted(flags), l->cred);
		if (r < 0)
			return r;
		if ((i->iflags & L_FS_APPEND_FL) && (access_wanted(flags) & MAY_WRITE) &&
		    ((flags & L_O_TRUNC) || !(flags & L_O_APPEND)))
			return -EPERM;
		if ((flags & L_O_NOATIME) && !inode_owner_or_capable(i, l->cred))
			return -EPERM;
	}
	return open_checked(p, created ? flags & ~(uint32_t)L_O_TRUNC : flags, l->cred, out);
}

/* ---- creation ---- */

/*
 * Looks the last component up and creates it if it is not there.  0 with *out the path (counted) and *created set.  The
 * lookup without the directory's lock comes first: most files opened with O_CREAT exist.
 */
static int lookup_or_create(struct walk *w, uint32_t flags, uint32_t mode, struct path *out, bool *created)
{
	struct inode *dir = w->at.dentry->inode;
	struct dentry *d;
	int r;

	*created = false;
	if (w->must_be_dir)
		return -EISDIR;
	r = walk_lookup_last(w, out);
	if (r < 0 || out->dentry->inode)
		return r;
	path_put(out);
	mutex_lock(&dir->lock);
	r = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);
	if (r < 0)
		goto out_unlock;
	if (!d->inode) {
		r = may_create(&w->at, w->l->cred);
		if (r == 0 && !(dir->ops && dir->ops->create))
			r = -EACCES;
		if (r == 0) {
			mode = mode_for_new(w->l, dir, (mode & L_S_IALLUGO) | L_S_IFREG);
			r = dir->ops->create(dir, d, mode, w->l->cred);
		}
		if (r < 0) {
			dentry_put(d);
			goto out_unlock;
		}
		*created = true;
		notify_name(dir, d->name->s, false, L_IN_CREATE);
	}
	*out = (struct path){mount_get(w->at.mnt), d};
out_unlock:
	mutex_unlock(&dir->lock);
	if (r == 0)
		path_follow_mounts(out);
	return r;
}

static int open_create(const struct lookup *l, struct walk *w, uint32_t flags, uint32_t mode, struct file **out)
{
	struct path p;
	bool created;
	int r;

	for (;;) {
		if (w->kind != LAST_NAME) {
			/* ".", ".." and what a magic link leads to exist. */
			r = walk_lookup_last(w, &p);
			if (r < 0)
				return r;
			created = false;
		} else {
			r = lookup_or_create(w, flags, mode, &p, &created);
			if (r < 0)
				return r;
		}
		if (!created && (flags & L_O_EXCL) && (flags & L_O_CREAT)) {
			path_put(&p);
			return -EEXIST;
		}
		if (w->kind != LAST_NAME || !inode_is(p.dentry->inode, L_S_IFLNK))
			break;
		r = flags & L_O_NOFOLLOW ? -ELOOP : walk_follow(w, &p);
		path_put(&p);
		if (r < 0)
			return r;
	}
	/* A directory is its own reason to refuse (check_type). */
	r = created || w->kind != LAST_NAME || inode_is(p.dentry->inode, L_S_IFDIR)
		    ? 0 : may_create_in_sticky(w->at.dentry->inode, p.dentry->inode, l->cred);
	if (r == 0)
		r = open_path(l, &p, flags, created, out);
	if (r == 0 && created)
		(*out)->mode |= FILE_CREATED;
	path_put(&p);
	return r;
}

/* O_TMPFILE: *dir is where the file would be. */
static int open_tmpfile(const struct lookup *l, const struct path *dir, uint32_t flags, uint32_t mode,
			struct file **out)
{
	struct inode *di = dir->dentry->inode, *i;
	struct path p = {dir->mnt, NULL};
	char name[32];
	int r;

	r = may_create(dir, l->cred);
	if (r < 0)
		return r;
	if (!di->ops || !di->ops->tmpfile)
		return -EOPNOTSUPP;
	mutex_lock(&di->lock);
	mode = mode_for_new(l, di, (mode & L_S_IALLUGO) | L_S_IFREG);
	r = di->ops->tmpfile(di, mode, l->cred, &i);
	mutex_unlock(&di->lock);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "#%llu", (unsigned long long)i->ino);
	p.dentry = dentry_alloc(di->sb, dir->dentry, name, __builtin_strlen(name));
	if (!p.dentry) {
		inode_put(i);
		return -ENOMEM;
	}
	p.dentry->flags |= D_UNLINKED | (flags & L_O_EXCL ? 0 : D_LINKABLE);
	dentry_instantiate(p.dentry, i);
	r = open_checked(&p, flags & ~(uint32_t)L_O_TRUNC, l->cred, out);
	dentry_put(p.dentry);
	return r;
}

/* ---- the ways in ---- */

/* One attempt.  *guessed: the file was taken for the one of that path without a look at the directory that it is opened in. */
static int open_once(const struct lookup *l, int dirfd, const char *path, uint32_t flags, uint32_t mode, uint64_t resolve,
		     bool by_name, bool *guessed, struct file **out)
{
	bool tmpfile = (flags & L_O_TMPFILE) == L_O_TMPFILE;
	unsigned lookup_flags = 0;
	struct walk w NOT_ZEROED;
	struct path p;
	int r;

	if (flags & L_O_PATH)
		flags &= L_O_PATH | L_O_DIRECTORY | L_O_NOFOLLOW | L_O_CLOEXEC;
	if ((flags & L_O_CREAT) && (flags & L_O_DIRECTORY))
		return -EINVAL;
	if ((flags & L___O_TMPFILE) && (!tmpfile || !(access_wanted(flags) & MAY_WRITE)))
		return -EINVAL;
	if (path[0] == '\0')
		return -ENOENT;
	if (!(flags & L_O_NOFOLLOW))
		lookup_flags |= LOOKUP_FOLLOW;
	if (flags & L_O_DIRECTORY)
		lookup_flags |= LOOKUP_DIRECTORY;
	if (!(flags & L_O_PATH) && !tmpfile)
		lookup_flags |= LOOKUP_ATTR;
	/* A cached walk has no means to make or empty a file. */
	if ((resolve & L_RESOLVE_CACHED) && ((flags & (L_O_CREAT | L_O_TRUNC)) || tmpfile))
		return -EAGAIN;

	r = walk_begin(&w, l, dirfd, path, resolve);
	w.by_name = by_name;
	if (r == 0)
		r = flags & L_O_CREAT ? walk_to_last(&w) : walk_on(&w);
	if (r < 0)
		goto out_end;
	if (flags & L_O_CREAT) {
		r = open_create(l, &w, flags, mode, out);
		goto out_end;
	}
	r = walk_finish(&w, lookup_flags, &p);
	if (r < 0)
		goto out_end;
	*guessed = w.guessed;
	r = tmpfile ? open_tmpfile(l, &p, flags, mode, out) : open_path(l, &p, flags, false, out);
	path_put(&p);
out_end:
	walk_end(&w);
	return r;
}

int vfs_open(const struct lookup *l, int dirfd, const char *path, uint32_t flags, uint32_t mode, uint64_t resolve,
	     struct file **out)
{
	int r, tries = 0;
	bool guessed;

	/* What was guessed to be there is, if anything goes wrong, perhaps not where the file system had it. */
	do {
		guessed = false;
		r = open_once(l, dirfd, path, flags, mode, resolve, tries > 0, &guessed, out);
	} while (((r == -ESTALE && !(flags & L_O_EXCL)) || (guessed && (r == -ENOENT || r == -ENOTDIR))) && walk_again(&tries));
	return r;
}

int vfs_open_path(const struct lookup *l, const struct path *p, uint32_t flags, struct file **out)
{
	if ((flags & L_O_CREAT) && (flags & L_O_EXCL))
		return -EEXIST;
	if ((flags & L_O_DIRECTORY) && !inode_is(p->dentry->inode, L_S_IFDIR))
		return -ENOTDIR;
	return open_path(l, p, flags, false, out);
}

int vfs_open_exec(const struct lookup *l, int dirfd, const char *path, unsigned flags, struct file **out)
{
	unsigned lookup_flags = 0;
	struct path p;
	struct file *f;
	int r;

	if (flags & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH | L_AT_EXECVE_CHECK))
		return -EINVAL;
	if (!(flags & L_AT_SYMLINK_NOFOLLOW))
		lookup_flags |= LOOKUP_FOLLOW;
	if (flags & L_AT_EMPTY_PATH)
		lookup_flags |= LOOKUP_EMPTY;
	r = vfs_resolve(l, dirfd, path, lookup_flags, 0, &p);
	if (r < 0)
		return r;
	if (inode_is(p.dentry->inode, L_S_IFLNK))
		r = -ELOOP;
	else if (!inode_is(p.dentry->inode, L_S_IFREG))
		r = -EACCES;
	else
		r = vfs_permission(&p, MAY_EXEC, l->cred);
	if (r == 0)
		r = open_checked(&p, L_O_RDONLY | L_O_LARGEFILE, l->cred, &f);
	path_put(&p);
	if (r < 0)
		return r;
	r = inode_deny_write(f->inode);
	if (r < 0) {
		file_put(f);
		return r;
	}
	f->mode |= FILE_DENIES;
	*out = f;
	return 0;
}
