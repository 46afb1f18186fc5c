/* Open files of overlay: bytes from the lower until copied up, and merged listings. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "sentry/fs/common.h"
#include "sentry/fs/overlay/internal.h"
#include "sentry/vfs/windows.h"

/* ---- opening ---- */

/* The lower file is opened once for all that read it; f->priv says that f is one of them. */
static int use_lower(struct inode *i, struct file *f)
{
	struct ovl_inode *o = ovl_of(i);

	if (o->lower_users == 0) {
		int r = ovl_lower_open(o->lower, &o->lower_file);

		if (r < 0)
			return r;
		if (!o->own_attrs) { /* opening looked at the host again */
			i->size = o->lower->size;
			i->blocks = o->lower->blocks;
			i->mtime = o->lower->mtime;
			i->ctime = o->lower->ctime;
		}
	}
	o->lower_users++;
	f->priv = o;
	return 0;
}

/* What is opened for writing is not copied up before it is written: O_TRUNC would make it needless, and many never
 * write. */
int ovl_open(struct inode *i, struct file *f)
{
	int r = 0;

	mutex_lock(&i->lock);
	if (!ovl_of(i)->copied_up)
		r = use_lower(i, f);
	mutex_unlock(&i->lock);
	return r;
}

static void file_release(struct file *f)
{
	struct ovl_inode *o = ovl_of(f->inode);
	struct file *last = NULL;

	if (!f->priv)
		return;
	mutex_lock(&f->inode->lock);
	if (--o->lower_users == 0) {
		last = o->lower_file;
		o->lower_file = NULL;
	}
	mutex_unlock(&f->inode->lock);
	if (last)
		ovl_lower_close(last);
}

/* ---- bytes ---- */

static ssize_t file_read_at(struct file *f, struct uio *u, int64_t pos)
{
	struct inode *i = f->inode;
	struct ovl_inode *o = ovl_of(i);
	ssize_t n;

	if (!o->copied_up) /* the lower file stays open as long as f */
		return o->lower_file->ops->read(o->lower_file, u, pos);
	mutex_lock(&i->lock);
	n = memfile_read(i, &o->mem.file, u, pos);
	if (n >= 0)
		fs_touch_atime(i, f);
	mutex_unlock(&i->lock);
	return n;
}

/* What the host keeps of the lower file is not known. */
static uint64_t file_cached(struct file *f, uint64_t first, uint64_t last)
{
	struct inode *i = f->inode;
	uint64_t n = 0;

	mutex_lock(&i->lock);
	if (ovl_of(i)->copied_up)
		n = memfile_cached(i, &ovl_of(i)->mem.file, first, last);
	mutex_unlock(&i->lock);
	return n;
}

static ssize_t file_write_at(struct file *f, struct uio *u, int64_t pos)
{
	struct inode *i = f->inode;
	ssize_t n;

	mutex_lock(&i->lock);
	n = ovl_copy_up(i, true);
	if (n == 0)
		n = memfile_write(i, &ovl_of(i)->mem.file, f, u, pos);
	mutex_unlock(&i->lock);
	return n;
}

static int64_t file_seek(struct file *f, int64_t off, int whence)
{
	struct inode *i = f->inode;
	struct ovl_inode *o = ovl_of(i);
	struct file *lower;
	int64_t pos;

	mutex_lock(&i->lock);
	lower = o->lower_file;
	if (o->copied_up) {
		pos = memfile_lseek(i, &o->mem.file, f, off, whence);
	} else if ((whence == L_SEEK_DATA || whence == L_SEEK_HOLE) && lower->ops->lseek) {
		mutex_lock(&lower->pos_lock);
		pos = lower->ops->lseek(lower, off, whence);
		mutex_unlock(&lower->pos_lock);
		if (pos >= 0)
			pos = file_lseek_generic(f, pos, L_SEEK_SET, i->size);
	} else {
		pos = file_lseek_generic(f, off, whence, i->size);
	}
	mutex_unlock(&i->lock);
	return pos;
}

/*
 * A lower file maps straight from its host descriptor.  DIVERGES (as Linux's overlayfs does): such a mapping does not
 * see what is written after the file was copied up.
 */
static int file_map(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off)
{
	struct inode *i = f->inode;
	struct ovl_inode *o = ovl_of(i);
	struct file *lower;
	int r = 0;

	mutex_lock(&i->lock);
	if ((f->mode & FILE_WRITE) && (flags & L_MAP_SHARED))
		r = ovl_copy_up(i, true);
	if (r == 0 && o->copied_up) {
		r = memfile_map(i, &o->mem.file, host_fd);
		*host_off = off;
	} else if (r == 0) {
		lower = o->lower_file;
		r = lower->ops->mmap ? lower->ops->mmap(lower, off, len, prot, flags, host_fd, host_off) : -ENODEV;
	}
	mutex_unlock(&i->lock);
	return r;
}

/*
 * Not a lower file: it is the host's.  A mapping makes pages of its holes where it lies in a host's tmpfs, and gives zeros where it has
 * become shorter outside.
 */
static bool file_lend_pages(struct file *f, uint64_t first, uint64_t reads, struct file_loan *out)
{
	struct ovl_inode *o = ovl_of(f->inode);

	return o->copied_up && memfile_lend(f->inode, &o->mem.file, f, first, reads, out);
}

static int file_allocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct inode *i = f->inode;
	int r;

	mutex_lock(&i->lock);
	r = ovl_copy_up(i, true);
	if (r == 0)
		r = memfile_fallocate(i, &ovl_of(i)->mem.file, mode, off, len);
	if (r == 0)
		inode_touch(i, ATTR_MTIME);
	mutex_unlock(&i->lock);
	return r;
}

const struct file_ops ovl_regular_file_ops = {
	.cached = file_cached,
	.read = file_read_at,
	.write = file_write_at,
	.lseek = file_seek,
	.lendable_pos = true,
	.lend_pages = file_lend_pages,
	.mmap = file_map,
	.fsync = fs_fsync_nothing,
	.fallocate = file_allocate,
	.release = file_release,
};
const struct inode_ops ovl_file_ops = {
	.open = ovl_open,
	OVL_ATTR_OPS,
};

/* ---- listings ---- */

/*
 * First the lower's names, but for those that the memdir has (hidden, replaced, or moved here), at the lower's
 * positions; then the memdir's, from UPPER_BASE on.  A name that moves from the lower to the memdir while the listing
 * is under way is thus seen at most twice and never missed.
 */
#define UPPER_BASE (1ll << 40)

struct merge {
	struct dir_context dc;
	struct dir_context *to;
	const struct memdir *hidden;
	bool full;
};

static bool merge_emit(struct dir_context *dc, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next)
{
	struct merge *m = container_of(dc, struct merge, dc);

	if (!memdir_find(m->hidden, name) && !m->to->emit(m->to, name, len, ino, type, next)) {
		m->full = true;
		return false;
	}
	m->to->pos = next;
	return true;
}

/* f->priv holds the lower's open directory. */
static int iterate_lower(struct file *f, struct dir_context *dc, bool *full)
{
	struct inode *dir = f->inode;
	struct merge m = {.dc = {.emit = merge_emit, .pos = dc->pos}, .to = dc, .hidden = &ovl_of(dir)->mem.dir};
	struct file *lower = f->priv;
	int r;

	if (lower && dc->pos == 2) { /* begun anew: the lower takes its snapshot again */
		ovl_lower_close(lower);
		f->priv = lower = NULL;
	}
	if (!lower) {
		r = ovl_lower_open(ovl_lower(dir), &lower);
		if (r < 0)
			return r;
		f->priv = lower;
	}
	r = lower->ops->iterate(lower, &m.dc);
	*full = m.full;
	return r;
}

static int iterate(struct file *f, struct dir_context *dc)
{
	struct inode *dir = f->inode;
	bool full = false;
	int r = 0;

	if (!fs_emit_dots(f, dc))
		return 0;
	mutex_lock(&dir->lock);
	if (ovl_lower(dir) && dc->pos < UPPER_BASE)
		r = iterate_lower(f, dc, &full);
	if (r == 0 && !full) {
		if (dc->pos < UPPER_BASE)
			dc->pos = UPPER_BASE + MEMDIR_FIRST_COOKIE;
		if (mem_dir_emit(&ovl_of(dir)->mem.dir, f, dc, UPPER_BASE))
			fs_touch_atime(dir, f);
	}
	mutex_unlock(&dir->lock);
	return r;
}

static void dir_release(struct file *f)
{
	if (f->priv)
		ovl_lower_close(f->priv);
}

const struct file_ops ovl_dir_file_ops = {
	.lseek = file_lseek_dir,
	.iterate = iterate,
	.fsync = fs_fsync_nothing,
	.release = dir_release,
};
