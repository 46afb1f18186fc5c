/* Open files of hostfs: regular files through the host descriptors of their inode, and listings of directories. */
#include <stdlib.h>
#include <string.h>

#include "abi/dirent.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "host/caller.h"
#include "sentry/fs/common.h"
#include "sentry/fs/hostfs/internal.h"

#define BOUNCE_SIZE (128 * 1024ul)

/* ---- opening ---- */

static struct host_mark mark_of(const struct host_stat *st)
{
	return (struct host_mark){st->ctime, st->mode, st->uid, st->gid};
}

static bool same_mark(const struct host_mark *a, const struct host_mark *b)
{
	return a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid;
}

/*
 * What is known of a file that was opened for reading: where nothing has changed since we last looked before it was opened, it could be
 * opened by what is so now.
 */
static void note_opened(struct host_node *n, const struct host_stat *st, bool reading)
{
	const struct inode *i = n->inode;
	const struct host_mark before = {i->ctime, i->mode, i->uid, i->gid}, now = mark_of(st);

	if (reading)
		n->opened = same_mark(&before, &now) ? now : (struct host_mark){.mode = 0};
	node_set_attr(n->inode, st);
}

/*
 * Opens the node's file.  Whether it is that file is looked at after, as something else may be put in its place at any time: at worst a
 * FIFO is opened and closed again, as it natively would be opened, without waiting for its other end.
 */
static int open_here(struct host_node *n, const struct node_place *p, void *arg)
{
	const int *kind = arg;
	struct host_stat st;
	int fd, r;

	do
		fd = host_open_file(p->fd, p->name, *kind ? HOST_READ_WRITE : HOST_READ);
	while (fd == -EMFILE && node_drop_kept(hostfs_of(n->inode)));
	if (fd == -EACCES && *kind)
		fd = host_open_file(p->fd, p->name, HOST_WRITE);
	if (fd == -EMFILE)
		return -ENFILE;
	if (fd < 0) { /* of the file, or of what is there instead */
		r = host_stat_at(p->fd, p->name, &st);
		return r == 0 && !node_is(n, &st) ? -ESTALE : fd;
	}
	r = host_stat_fd(fd, &st);
	if (r == 0 && !node_is(n, &st))
		r = -ESTALE;
	if (r < 0) {
		host_close(fd);
		return r;
	}
	note_opened(n, &st, *kind == 0);
	return fd;
}

/* Would an open of what is at the place give what is kept of n? */
static int kept_is_good(struct host_node *n, const struct node_place *p, void *arg)
{
	struct host_mark now;
	struct host_stat st;
	int r = host_stat_at(p->fd, p->name, &st);

	if (r < 0)
		return r;
	if (!node_is(n, &st))
		return -ESTALE;
	node_set_attr(n->inode, &st);
	now = mark_of(&st);
	return same_mark(&n->opened, &now);
}

/*
 * What was kept when the file was closed, if the host says of its name that it is this file still, as it was when it was opened:
 * whoever could open it then can now.  -1: there is none, and the file is to be opened.
 */
static int use_kept(struct host_node *n)
{
	int fd = node_take_kept(n);

	if (fd >= 0 && node_at_place(n, kept_is_good, NULL) <= 0) {
		host_close(fd);
		fd = -1;
	}
	return fd;
}

static int use_fd(struct host_node *n, int kind)
{
	if (n->fds[kind].users == 0 && n->fds[kind].fd < 0) {
		int fd = kind ? node_take_made(n) : use_kept(n);

		if (fd < 0)
			fd = node_at_place(n, open_here, &kind);
		if (fd == -EACCES && n->made_fd >= 0)
			fd = host_dup(n->made_fd);
		if (fd < 0)
			return fd;
		n->fds[kind].fd = fd;
	}
	n->fds[kind].users++;
	return 0;
}

static void unuse_fd(struct host_node *n, int kind)
{
	if (--n->fds[kind].users == 0) {
		if (kind == 0 && hostfs_of(n->inode)->read_only && n->inode->nlink > 0 && n->inode->size <= KEPT_SIZE_MAX && n->opened.mode)
			node_keep(n, n->fds[kind].fd);
		else
			host_close(n->fds[kind].fd);
		n->fds[kind].fd = -1;
	}
}

static bool wants(const struct file *f, int kind)
{
	return f->mode & (kind ? FILE_WRITE : FILE_READ);
}

int hostfs_open(struct inode *i, struct file *f)
{
	struct host_node *n = node_of(i);
	int r = 0;

	if (L_S_ISDIR(i->mode)) {
		r = dir_fd_open_reading(n);
		/* Names in it can be used, though they cannot be read. */
		return r == -EACCES ? 0 : r == -EMFILE ? -ENFILE : r;
	}
	if (!L_S_ISREG(i->mode))
		return -ENXIO;
	mutex_lock(&i->lock);
	if (wants(f, 0))
		r = use_fd(n, 0);
	if (r == 0 && wants(f, 1)) {
		r = use_fd(n, 1);
		if (r < 0 && wants(f, 0))
			unuse_fd(n, 0);
	}
	node_drop_made(n);
	mutex_unlock(&i->lock);
	return r;
}

static void file_release(struct file *f)
{
	struct host_node *n = node_of(f->inode);

	mutex_lock(&n->inode->lock);
	for (int kind = 0; kind < 2; kind++) {
		if (wants(f, kind))
			unuse_fd(n, kind);
	}
	mutex_unlock(&n->inode->lock);
}

/* The descriptor that f itself opened: for what needs reading, or writing. */
static int fd_of(const struct file *f, int kind)
{
	const struct host_node *n = node_of(f->inode);

	return wants(f, kind) ? n->fds[kind].fd : n->fds[!kind].fd;
}

/* ---- reading and writing ---- */

static ssize_t file_read_at(struct file *f, struct uio *u, int64_t pos)
{
	uint64_t left = uio_left(u), total = 0;
	uint8_t small[PAGE_SIZE] NOT_ZEROED, *buf = small;
	size_t buf_size = sizeof(small);
	ssize_t n = 0;

	if (!u->ctx) { /* straight into the sentry's memory */
		n = host_pread(fd_of(f, 0), u->buf + u->done, left, pos);
		if (n > 0)
			u->done += (uint64_t)n;
		return n;
	}
	if (left > sizeof(small)) {
		buf_size = min_of(left, BOUNCE_SIZE);
		buf = malloc(buf_size);
		if (!buf)
			return -ENOMEM;
	}
	while (left > 0) {
		size_t want = min_of(left, buf_size);
		ssize_t got = host_pread(fd_of(f, 0), buf, want, pos + (int64_t)total);

		if (got <= 0) {
			n = got;
			break;
		}
		n = uio_put(u, buf, (size_t)got);
		if (n < 0)
			break;
		total += (uint64_t)n;
		left -= (uint64_t)n;
		if ((size_t)n < want)
			break;
	}
	if (buf != small)
		free(buf);
	return total ? (ssize_t)total : n;
}

/* DIVERGES: an append finds the end and then writes there; only appenders of this sandbox are kept from mixing. */
static ssize_t file_write_at(struct file *f, struct uio *u, int64_t pos)
{
	struct inode *i = f->inode;
	uint64_t left = uio_left(u), total = 0;
	size_t buf_size = min_of(left, BOUNCE_SIZE);
	uint8_t *buf = malloc(buf_size ? buf_size : 1);
	int fd = fd_of(f, 1);
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	mutex_lock(&i->lock);
	if (file_appends(f, u)) {
		node_refresh(i);
		pos = (int64_t)i->size;
	}
	while (left > 0) {
		size_t want = min_of(left, buf_size), taken;

		n = uio_take(u, buf, want);
		if (n <= 0)
			break;
		taken = (size_t)n;
		n = host_pwrite(fd, buf, taken, pos + (int64_t)total);
		if (n < 0)
			break;
		total += (uint64_t)n;
		left -= (uint64_t)n;
		if ((size_t)n < want)
			break;
	}
	if (total && (uint64_t)pos + total > i->size)
		i->size = (uint64_t)pos + total;
	mutex_unlock(&i->lock);
	free(buf);
	return total ? (ssize_t)total : n;
}

static int64_t file_seek(struct file *f, int64_t off, int whence)
{
	struct inode *i = f->inode;

	if (whence == L_SEEK_DATA || whence == L_SEEK_HOLE) {
		off = host_lseek(fd_of(f, 0), off, whence); /* its own offset is never used */
		if (off < 0)
			return off;
		whence = L_SEEK_SET;
	} else if (whence == L_SEEK_END) {
		mutex_lock(&i->lock);
		node_refresh(i);
		mutex_unlock(&i->lock);
	}
	return file_lseek_generic(f, off, whence, i->size);
}

static int file_map(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off)
{
	*host_fd = fd_of(f, 1);
	*host_off = off;
	return 0;
}

static int file_sync(struct file *f, bool data_only)
{
	return hostfs_of(f->inode)->read_only ? 0 : host_fsync(fd_of(f, 1), data_only);
}

static int file_allocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *i = f->inode;
	int r;

	mutex_lock(&i->lock);
	r = host_fallocate(fd_of(f, 1), mode, off, len);
	node_refresh(i);
	mutex_unlock(&i->lock);
	return r;
}

const struct file_ops hostfs_regular_file_ops = {
	.read = file_read_at,
	.write = file_write_at,
	.lseek = file_seek,
	.lendable_pos = true,
	.mmap = file_map,
	.fsync = file_sync,
	.fallocate = file_allocate,
	.release = file_release,
};

/* ---- listings ---- */

/*
 * The names of a directory, read from the host all at once when a listing begins: positions are then indexes, which
 * stay true whatever the host's own positions look like.  Guarded by the file's pos_lock.
 */
struct listing {
	size_t count, cap, size;
	char *dents;  /* struct l_dirent64 records, as the host gave them */
	size_t *offs; /* [count] into dents */
};

static void listing_free(struct listing *l)
{
	if (!l)
		return;
	free(l->dents);
	free(l->offs);
	free(l);
}

static int add_offsets(struct listing *l, size_t from)
{
	while (from < l->size) {
		const struct l_dirent64 *d = (const void *)(l->dents + from);

		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0) {
			if ((l->count & (l->count - 1)) == 0) {
				size_t *offs = realloc(l->offs, (l->count ? l->count * 2 : 1) * sizeof(*offs));

				if (!offs)
					return -ENOMEM;
				l->offs = offs;
			}
			l->offs[l->count++] = from;
		}
		from += d->d_reclen;
	}
	return 0;
}

static int read_all(int fd, struct listing *l)
{
	for (;;) {
		ssize_t n;

		if (l->cap - l->size < 16 * 1024) {
			size_t cap = l->cap ? l->cap * 2 : 32 * 1024;
			char *dents = realloc(l->dents, cap);

			if (!dents)
				return -ENOMEM;
			l->dents = dents;
			l->cap = cap;
		}
		n = host_getdents(fd, l->dents + l->size, l->cap - l->size);
		if (n <= 0)
			return (int)n;
		l->size += (size_t)n;
		n = add_offsets(l, l->size - (size_t)n);
		if (n < 0)
			return (int)n;
	}
}

static int listing_read(struct host_node *dir, struct listing **out)
{
	struct listing *l = calloc(1, sizeof(*l));
	bool own;
	int fd, r;

	if (!l)
		return -ENOMEM;
	fd = dir_fd_read(dir, &own);
	r = fd < 0 ? fd : read_all(fd, l);
	if (fd >= 0)
		dir_fd_read_end(dir, fd, own);
	if (r < 0) {
		listing_free(l);
		return r;
	}
	*out = l;
	return 0;
}

static int iterate(struct file *f, struct dir_context *dc)
{
	struct listing *l = f->priv;

	if (!l || dc->pos == 0) {
		struct listing *fresh;
		int r = listing_read(node_of(f->inode), &fresh);

		if (r < 0)
			return r;
		listing_free(l);
		f->priv = l = fresh;
	}
	if (!fs_emit_dots(f, dc))
		return 0;
	while ((uint64_t)dc->pos - 2 < l->count) {
		const struct l_dirent64 *d = (const void *)(l->dents + l->offs[dc->pos - 2]);

		if (!dc->emit(dc, d->d_name, strlen(d->d_name), d->d_ino, d->d_type, dc->pos + 1))
			return 0;
		dc->pos++;
	}
	return 0;
}

static void dir_release(struct file *f)
{
	listing_free(f->priv);
}

static int dir_sync(struct file *f, bool data_only)
{
	return 0;
}

const struct file_ops hostfs_dir_file_ops = {
	.iterate = iterate,
	.fsync = dir_sync,
	.release = dir_release,
};
