/* sysfs: the few parts of it that programs and libraries look for, CPUs and NUMA nodes.  It never changes. */
#ifndef BAILEY_SENTRY_FS_SYS_SYSFS_H
#define BAILEY_SENTRY_FS_SYS_SYSFS_H

#include "base/compiler.h"

struct super_block;

/* *out is returned owned.  -ENOMEM. */
int sysfs_create(struct super_block **out) MUST_CHECK;
/* The same, but it is empty until a path leads into it: asking the processor for its caches takes a good part of a start-up. */
int sysfs_create_lazily(struct super_block **out) MUST_CHECK;

#endif
