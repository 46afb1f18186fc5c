/* devpts: /dev/pts with its ptmx.  See devpts.c. */
#ifndef BAILEY_SENTRY_FS_TTY_DEVPTS_H
#define BAILEY_SENTRY_FS_TTY_DEVPTS_H

#include "sentry/vfs/vfs.h"

struct devpts_options {
	uint32_t mode, ptmx_mode; /* of the slaves; of ptmx */
	bool set_uid, set_gid;	  /* the slaves belong to these, else to who opened ptmx */
	uint32_t uid, gid;
	uint32_t max; /* how many in this mount; at most PTY_MAX */
};
#define DEVPTS_DEFAULT_MODE 0600

/* Every mount of it is an instance of its own, as since Linux 4.7. */
int devpts_create(const struct devpts_options *o, struct super_block **out) MUST_CHECK;

#endif
