/*
 * Open file descriptions: their life, and reading, writing and seeking at a position.
 *
 * What the calls return is Linux's: a transfer that moved something gives its count, whatever ended it; an error is
 * told only if nothing was moved.  Limits of the process (RLIMIT_FSIZE) are the callers' matter.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "base/checked.h"
#include "sentry/vfs/dnotify.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/windows.h"

void (*file_epoll_forget)(struct file *f);

const struct file_ops file_no_ops = {.read = NULL};

/* Takes references of its own to *p and c.  The access mode is in flags; ops are the inode's. */
_Atomic int64_t vfs_file_count;

struct file *file_new(const struct path *p, uint32_t flags, const struct cred *c)
{
	struct file *f = calloc(1, sizeof(*f));
	uint32_t access = flags & L_O_ACCMODE;

	if (!f)
		return NULL;
	vfs_file_count++;
	refcount_init(&f->refs, 1);
	path_get(p);
	f->path = *p;
	f->inode = inode_get(p->dentry->inode);
	f->cred = cred_get(c);
	f->flags = flags;
	f->mode = FILE_PREAD;
	if (access == L_O_RDONLY || access == L_O_RDWR)
		f->mode |= FILE_READ;
	if (access == L_O_WRONLY || access == L_O_RDWR)
		f->mode |= FILE_WRITE;
	f->ops = f->inode->fops ? f->inode->fops : &file_no_ops;
	mutex_init(&f->pos_lock);
	return f;
}

struct file *file_get(struct file *f)
{
	refcount_inc(&f->refs);
	return f;
}

void file_put(struct file *f)
{
	if (!f || !refcount_dec(&f->refs))
		return;
	if (f->mode & FILE_OPENED)
		notify_file(f, f->mode & FILE_WRITE ? L_IN_CLOSE_WRITE : L_IN_CLOSE_NOWRITE);
	if (f->epoll_links && file_epoll_forget)
		file_epoll_forget(f);
	if (f->inode->leased)
		lease_release(f);
	if (f->inode->locks)
		vfs_locks_release(f->inode, f);
	dnotify_forget(f, NULL);
	if (f->async && f->ops->fasync)
		(void)!f->ops->fasync(f, -1, false);
	if (f->ops->release)
		f->ops->release(f);
	if (f->mode & FILE_READER)
		f->inode->readers--;
	if (f->mode & FILE_WRITER)
		inode_put_write(f->inode);
	if (f->mode & FILE_DENIES)
		inode_allow_write(f->inode);
	if (f->mode & FILE_WRITER)
		path_put_write(&f->path);
	path_put(&f->path);
	inode_put(f->inode);
	cred_put(f->cred);
	free(f->owner);
	mutex_destroy(&f->pos_lock);
	free(f);
	vfs_file_count--;
}

/* ---- transfers ---- */

int file_check_read(const struct file *f)
{
	if (!(f->mode & FILE_READ))
		return -EBADF;
	if (!f->ops->read)
		return inode_is(f->inode, L_S_IFDIR) ? -EISDIR : -EINVAL;
	return 0;
}

int file_check_write(const struct file *f)
{
	if (!(f->mode & FILE_WRITE))
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	return 0;
}

/* A transfer must end within what positions can say. */
static bool ends_past_all(const struct uio *u, int64_t pos)
{
	return pos > 0 && uio_left(u) > (uint64_t)(INT64_MAX - pos);
}

/* Tells watchers of a transfer that moved n bytes. */
static ssize_t moved(struct file *f, ssize_t n, uint32_t event)
{
	if (n > 0)
		notify_file(f, event);
	return n;
}

static ssize_t read_at(struct file *f, struct uio *u, int64_t pos)
{
	return ends_past_all(u, pos) ? -EINVAL : moved(f, f->ops->read(f, u, pos), L_IN_ACCESS);
}

static ssize_t write_at(struct file *f, struct uio *u, int64_t pos)
{
	if (ends_past_all(u, pos))
		return -EINVAL;
	if (inode_is(f->inode, L_S_IFREG)) {
		int r = vfs_remove_privs(f, f->cred);

		if (r < 0)
			return r;
	}
	return moved(f, f->ops->write(f, u, pos), L_IN_MODIFY);
}

static int64_t position(const struct file *f)
{
	return f->mode & FILE_OWN_POS ? -1 : f->pos;
}

ssize_t file_read(struct file *f, struct uio *u)
{
	ssize_t n = file_check_read(f);

	if (n < 0)
		return n;
	if (f->mode & FILE_STREAM)
		return moved(f, f->ops->read(f, u, 0), L_IN_ACCESS);
	mutex_lock(&f->pos_lock);
	n = read_at(f, u, position(f));
	if (n > 0 && !(f->mode & FILE_OWN_POS))
		f->pos += n;
	mutex_unlock(&f->pos_lock);
	return n;
}

ssize_t file_write(struct file *f, struct uio *u)
{
	ssize_t n = file_check_write(f);

	if (n < 0)
		return n;
	if (f->mode & FILE_STREAM)
		return moved(f, f->ops->write(f, u, 0), L_IN_MODIFY);
	mutex_lock(&f->pos_lock);
	n = write_at(f, u, position(f));
	/* An appending write found the end itself, and left it after what it wrote. */
	if (n > 0 && !(f->mode & FILE_OWN_POS))
		f->pos = file_appends(f, u) ? (int64_t)f->inode->size : f->pos + n;
	mutex_unlock(&f->pos_lock);
	return n;
}

ssize_t file_pread(struct file *f, struct uio *u, int64_t pos)
{
	int r;

	if (pos < 0)
		return -EINVAL;
	if (!(f->mode & FILE_PREAD) || (f->mode & FILE_STREAM))
		return -ESPIPE;
	r = file_check_read(f);
	return r < 0 ? r : read_at(f, u, pos);
}

ssize_t file_pwrite(struct file *f, struct uio *u, int64_t pos)
{
	int r;

	if (pos < 0)
		return -EINVAL;
	if (!(f->mode & FILE_PREAD) || (f->mode & FILE_STREAM))
		return -ESPIPE;
	r = file_check_write(f);
	return r < 0 ? r : write_at(f, u, pos);
}

ssize_t vfs_read_kernel(struct file *f, void *buf, size_t len, int64_t pos)
{
	struct uio u = uio_kernel(buf, len);
	ssize_t n = 0;

	if (!f->ops->read)
		return inode_is(f->inode, L_S_IFDIR) ? -EISDIR : -EINVAL;
	while (uio_left(&u)) {
		n = f->ops->read(f, &u, pos + (int64_t)u.done);
		if (n <= 0)
			break;
	}
	return u.done ? moved(f, (ssize_t)u.done, L_IN_ACCESS) : n;
}

/* ---- positions ---- */

int64_t file_lseek_generic(struct file *f, int64_t off, int whence, uint64_t size)
{
	int64_t pos;

	switch (whence) {
	case L_SEEK_SET:
		pos = off;
		break;
	case L_SEEK_CUR:
		if (__builtin_add_overflow(f->pos, off, &pos))
			return -EINVAL;
		break;
	case L_SEEK_END:
		if (__builtin_add_overflow((int64_t)size, off, &pos))
			return -EINVAL;
		break;
	case L_SEEK_DATA: /* a file without holes: all of it is data, and the hole is at its end */
	case L_SEEK_HOLE:
		if (off < 0 || (uint64_t)off >= size)
			return -ENXIO;
		pos = whence == L_SEEK_DATA ? off : (int64_t)size;
		break;
	default:
		return -EINVAL;
	}
	if (pos < 0)
		return -EINVAL;
	if (pos != f->pos) {
		f->pos = pos;
		f->version = 0;
	}
	return pos;
}

int64_t file_lseek_dir(struct file *f, int64_t off, int whence)
{
	return whence == L_SEEK_SET || whence == L_SEEK_CUR ? file_lseek_generic(f, off, whence, 0) : -EINVAL;
}

int64_t file_lseek(struct file *f, int64_t off, int whence)
{
	struct l_statx st;
	int64_t pos;
	int r;

	if (whence < 0 || whence > L_SEEK_HOLE)
		return -EINVAL;
	if (f->mode & FILE_STREAM)
		return f->ops->lseek ? f->ops->lseek(f, off, whence) : -ESPIPE;
	if (!f->ops->lseek && (whence == L_SEEK_END || whence >= L_SEEK_DATA)) {
		r = vfs_getattr(&f->path, &st);
		if (r < 0)
			return r;
	} else {
		st.stx_size = 0;
	}
	mutex_lock(&f->pos_lock);
	if (f->ops->lseek)
		pos = f->ops->lseek(f, off, whence);
	else
		pos = file_lseek_generic(f, off, whence, st.stx_size);
	mutex_unlock(&f->pos_lock);
	return pos;
}

int64_t file_lseek_noop(struct file *f, int64_t off, int whence)
{
	(void)off, (void)whence;
	return f->pos;
}

int64_t file_position(struct file *f)
{
	int64_t pos = file_lseek(f, 0, L_SEEK_CUR);

	return max_of(pos, (int64_t)0);
}

int file_iterate(struct file *f, struct dir_context *dc)
{
	int r;

	if (!inode_is(f->inode, L_S_IFDIR) || !f->ops->iterate)
		return -ENOTDIR;
	if (f->path.dentry->flags & D_UNLINKED)
		return -ENOENT;
	mutex_lock(&f->pos_lock);
	dc->pos = f->pos;
	r = f->ops->iterate(f, dc);
	f->pos = dc->pos;
	mutex_unlock(&f->pos_lock);
	notify_file(f, L_IN_ACCESS);
	return r;
}

/* ---- the rest ---- */

uint32_t file_poll(struct file *f, struct wait_entry *e)
{
	if (!f->ops->poll)
		return L_POLLIN | L_POLLOUT | L_POLLRDNORM | L_POLLWRNORM;
	return f->ops->poll(f, e);
}

/* O_ASYNC comes or goes; it is set only where somebody listens. */
static int change_async(struct file *f, int fd, bool on)
{
	int r;

	if (on)
		f->async = true;
	r = f->ops->fasync(f, fd, on);
	if (r < 0)
		return r;
	if (on)
		f->flags |= L_FASYNC;
	else
		f->flags &= ~(uint32_t)L_FASYNC;
	return 0;
}

int file_set_async(struct file *f, int fd, bool on)
{
	if (((f->flags & L_FASYNC) != 0) == on)
		return 0;
	return f->ops->fasync ? change_async(f, fd, on) : -ENOTTY;
}

int file_set_flags(struct file *f, int fd, uint32_t flags)
{
	uint32_t old = f->flags, async;
	int r;

	if (((flags ^ old) & L_O_APPEND) && (f->inode->iflags & L_FS_APPEND_FL))
		return -EPERM;
	/* Whoever may not have changed the times must not read without a trace. */
	if ((flags & ~old & L_O_NOATIME) && !inode_owner_or_capable(f->inode, f->cred))
		return -EPERM;
	async = (flags ^ old) & L_FASYNC;
	flags = (old & ~(uint32_t)L_SETFL_MASK) | (flags & L_SETFL_MASK);
	if (f->ops->setfl) {
		r = f->ops->setfl(f, flags);
		if (r < 0)
			return r;
	}
	if (async && f->ops->fasync) {
		r = change_async(f, fd, !(old & L_FASYNC));
		if (r < 0)
			return r;
	}
	f->flags = (flags & ~(uint32_t)L_FASYNC) | (f->flags & L_FASYNC);
	if ((old ^ flags) & L_O_NOATIME) { /* it is looked at when a file is lent */
		mutex_lock(&f->inode->lock);
		inode_recall(f->inode);
		mutex_unlock(&f->inode->lock);
	}
	return 0;
}
