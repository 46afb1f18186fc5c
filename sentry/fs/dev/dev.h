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
	uint32_t mode_bits;			     /* FILE_STREAM, or 0 */
	int (*open)(struct inode *i, struct file *f); /* may be NULL */
};

extern const struct device memory_devices[]; /* ends with a NULL ops */

#endif
