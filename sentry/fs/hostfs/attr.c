/* Attributes and extended attributes of host files: changed on the host, by descriptor or by (directory, name). */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/hostfs/internal.h"

/* ---- attributes ---- */

static int set_by_fd(int fd, const struct iattr *a)
{
	bool uid = a->valid & ATTR_UID, gid = a->valid & ATTR_GID;
	bool atime = a->valid & ATTR_ATIME, mtime = a->valid & ATTR_MTIME;
	int r = 0;

	if (uid || gid)
		r = host_chown_fd(fd, uid ? a->uid : UINT32_MAX, gid ? a->gid : UINT32_MAX);
	if (r == 0 && (a->valid & ATTR_MODE))
		r = host_chmod_fd(fd, a->mode);
	if (r == 0 && (atime || mtime))
		r = host_utimens_fd(fd, atime ? &a->atime : NULL, mtime ? &a->mtime : NULL);
	return r;
}

static int set_by_name(int dir_fd, const char *name, const struct iattr *a)
{
	bool uid = a->valid & ATTR_UID, gid = a->valid & ATTR_GID;
	bool atime = a->valid & ATTR_ATIME, mtime = a->valid & ATTR_MTIME;
	int r = 0;

	if (uid || gid)
		r = host_chown_at(dir_fd, name, uid ? a->uid : UINT32_MAX, gid ? a->gid : UINT32_MAX);
	if (r == 0 && (a->valid & ATTR_MODE))
		r = host_chmod_at(dir_fd, name, a->mode);
	if (r == 0 && (atime || mtime))
		r = host_utimens_at(dir_fd, name, atime ? &a->atime : NULL, mtime ? &a->mtime : NULL);
	return r;
}

static int truncate_by_name(int dir_fd, const char *name, uint64_t size)
{
	int r, fd = host_open_file(dir_fd, name, HOST_WRITE);

	if (fd < 0)
		return fd;
	r = host_ftruncate(fd, size);
	host_close(fd);
	return r;
}

static int set_here(struct host_node *n, const struct node_place *p, void *arg)
{
	const struct iattr *a = arg;
	struct host_stat st;
	int r = host_stat_at(p->fd, p->name, &st);

	if (r == 0 && !node_is(n, &st))
		r = -ESTALE;
	if (r == 0 && (a->valid & ATTR_SIZE))
		r = truncate_by_name(p->fd, p->name, a->size);
	return r < 0 ? r : set_by_name(p->fd, p->name, a);
}

int hostfs_setattr(struct inode *i, const struct iattr *a)
{
	struct host_node *n = node_of(i);
	int fd = n->fds[1].fd >= 0 ? n->fds[1].fd : n->fds[0].fd;
	struct iattr want = *a;
	int r = 0;

	if (hostfs_of(i)->read_only)
		return -EROFS;
	if (fd >= 0 && !((a->valid & ATTR_SIZE) && n->fds[1].fd < 0)) {
		if (a->valid & ATTR_SIZE)
			r = host_ftruncate(fd, a->size);
		if (r == 0)
			r = set_by_fd(fd, a);
	} else if (n == hostfs_of(i)->root) {
		r = set_by_name(n->dir_fd, ".", a);
	} else {
		r = node_at_place(n, set_here, &want);
	}
	node_refresh(i);
	return r;
}

/* ---- extended attributes: those of users alone ---- */

static bool is_user(const char *name)
{
	return strncmp(name, "user.", 5) == 0;
}

static int open_file_here(struct host_node *n, const struct node_place *p, void *arg)
{
	struct host_stat st;
	int r = host_stat_at(p->fd, p->name, &st);

	if (r == 0 && !node_is(n, &st))
		r = -ESTALE;
	return r < 0 ? r : host_open_file(p->fd, p->name, HOST_READ);
}

/* A descriptor to ask by, opened for the one call; regular files and directories have one. */
static int open_for_xattr(struct inode *i)
{
	struct host_node *n = node_of(i);
	int fd, r;

	if (!L_S_ISDIR(i->mode))
		return node_at_place(n, open_file_here, NULL);
	r = dir_fd_get(n);
	if (r < 0)
		return r;
	fd = host_open_dir(r, ".");
	dir_fd_put(n);
	return fd;
}

ssize_t hostfs_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	ssize_t r;
	int fd;

	if (!is_user(name))
		return -EOPNOTSUPP;
	fd = open_for_xattr(i);
	if (fd < 0)
		return fd == -EACCES ? -ENODATA : fd;
	r = host_getxattr_fd(fd, name, buf, size);
	host_close(fd);
	return r;
}

ssize_t hostfs_listxattr(struct inode *i, char *buf, size_t size)
{
	char *all = malloc(L_XATTR_LIST_MAX);
	ssize_t n = 0, total = 0;
	int fd;

	if (!all)
		return -ENOMEM;
	fd = open_for_xattr(i);
	if (fd >= 0) {
		n = host_listxattr_fd(fd, all, L_XATTR_LIST_MAX);
		host_close(fd);
	} else if (fd != -EACCES) {
		n = fd;
	}
	for (ssize_t at = 0; at < n;) {
		size_t len = strlen(all + at) + 1;

		if (is_user(all + at)) {
			if (size > 0 && (size_t)total + len > size) {
				n = -ERANGE;
				break;
			}
			if (size > 0)
				memcpy(buf + total, all + at, len);
			total += (ssize_t)len;
		}
		at += (ssize_t)len;
	}
	free(all);
	return n < 0 && n != -EOPNOTSUPP ? n : total;
}

int hostfs_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags)
{
	int fd, r;

	if (!is_user(name))
		return -EOPNOTSUPP;
	if (hostfs_of(i)->read_only)
		return -EROFS;
	fd = open_for_xattr(i);
	if (fd < 0)
		return fd;
	r = host_setxattr_fd(fd, name, value, size, flags);
	host_close(fd);
	return r;
}

int hostfs_removexattr(struct inode *i, const char *name)
{
	int fd, r;

	if (!is_user(name))
		return -EOPNOTSUPP;
	if (hostfs_of(i)->read_only)
		return -EROFS;
	fd = open_for_xattr(i);
	if (fd < 0)
		return fd;
	r = host_removexattr_fd(fd, name);
	host_close(fd);
	return r;
}
