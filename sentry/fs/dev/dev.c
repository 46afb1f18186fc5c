/* devtmpfs: the tree under /dev, and opening a device by its number. */
#include "sentry/fs/dev/dev.h"

#include "abi/errno.h"
#include "base/compiler.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tty/tty.h"

#define TTY_MAJOR 5

static const struct device tty_devices[] = {
	{TTY_MAJOR, 0, &tty_self_ops, FILE_STREAM, tty_open_self},
	{0, 0, NULL, 0, NULL},
};
static const struct device *const tables[] = {memory_devices, tty_devices};

int device_open(struct inode *i, struct file *f)
{
	uint32_t major = l_major(i->rdev), minor = l_minor(i->rdev);

	if (!inode_is(i, L_S_IFCHR))
		return -ENXIO;
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct device *d = tables[t]; d->ops; d++) {
			if (d->major != major || d->minor != minor)
				continue;
			f->ops = d->ops;
			f->mode |= d->mode_bits;
			return d->open ? d->open(i, f) : 0;
		}
	}
	return -ENXIO;
}

/* ---- the tree ---- */

struct entry {
	const char *name;
	uint32_t mode;
	uint32_t major, minor;
	const char *target;
};

static const struct entry entries[] = {
	{"null", L_S_IFCHR | 0666, 1, 3, NULL},
	{"zero", L_S_IFCHR | 0666, 1, 5, NULL},
	{"full", L_S_IFCHR | 0666, 1, 7, NULL},
	{"random", L_S_IFCHR | 0666, 1, 8, NULL},
	{"urandom", L_S_IFCHR | 0666, 1, 9, NULL},
	{"tty", L_S_IFCHR | 0666, TTY_MAJOR, 0, NULL},
	{"fd", L_S_IFLNK | 0777, 0, 0, "/proc/self/fd"},
	{"stdin", L_S_IFLNK | 0777, 0, 0, "/proc/self/fd/0"},
	{"stdout", L_S_IFLNK | 0777, 0, 0, "/proc/self/fd/1"},
	{"stderr", L_S_IFLNK | 0777, 0, 0, "/proc/self/fd/2"},
	{"ptmx", L_S_IFLNK | 0777, 0, 0, "pts/ptmx"},
	{"pts", L_S_IFDIR | 0755, 0, 0, NULL},
	{"shm", L_S_IFDIR | 01777, 0, 0, NULL},
	{"mqueue", L_S_IFDIR | 01777, 0, 0, NULL},
};

static const char devfs_type[] = "devtmpfs";

int devfs_create(struct super_block **out)
{
	struct super_block *sb;
	int r = tmpfs_create_as(devfs_type, 0, 0755, 0, 0, &sb);

	for (size_t n = 0; r == 0 && n < ARRAY_SIZE(entries); n++) {
		const struct entry *e = &entries[n];

		r = tmpfs_populate(dentry_inode(sb->root), e->name, e->mode, l_makedev(e->major, e->minor), e->target);
		if (r < 0)
			super_put(sb);
	}
	if (r == 0)
		*out = sb;
	return r;
}

int devfs_add_console(const struct path *dev, struct file *f)
{
	struct inode *dir = dentry_inode(dev->dentry);
	struct tty *tty = tty_of_file(f);
	int r;

	if (!tty)
		return 0;
	r = dir->sb->type == devfs_type ? tmpfs_enter(dir, "console", tty->inode) : 0;
	tty_put(tty);
	return r;
}
