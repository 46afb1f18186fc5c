/*
 * Devices by number, whatever file system their inodes are in.  Only those that the sentry itself plays exist: no
 * host device is ever opened.  device_open is in vfs.h.
 */
#ifndef BAILEY_SENTRY_FS_DEV_DEV_H
#define BAILEY_SENTRY_FS_DEV_DEV_H

#include "sentry/vfs/vfs.h"

struct device {
	uint32_t major, minor;
	const struct file_ops *ops;
	uint32_t mode_bits;			      /* FILE_STREAM, or 0 */
	int (*open)(struct inode *i, struct file *f); /* may be NULL */
};

/*
 * Shows the terminal that f is open on as "console" in dev, if dev is the root of a devfs: the very inode, so that
 * ttyname(3) finds a name for it.  0 if f is no terminal.
 */
int devfs_add_console(const struct path *dev, struct file *f) MUST_CHECK;

extern const struct device memory_devices[]; /* ends with a NULL ops */

#endif
