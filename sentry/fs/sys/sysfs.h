/* sysfs: the few parts of it that programs and libraries look for, CPUs and NUMA nodes.  It never changes. */
#ifndef BAILEY_SENTRY_FS_SYS_SYSFS_H
#define BAILEY_SENTRY_FS_SYS_SYSFS_H

#include "base/compiler.h"

struct super_block;

/* *out is returned owned.  -ENOMEM. */
int sysfs_create(struct super_block **out) MUST_CHECK;

#endif
