/* procfs: the kernel's and the processes' state as files.  Formats are Linux's: see proc(5). */
#ifndef BAILEY_SENTRY_FS_PROC_PROC_H
#define BAILEY_SENTRY_FS_PROC_PROC_H

#include "base/compiler.h"

struct super_block;

/* *out is returned owned.  -ENOMEM. */
int procfs_create(struct super_block **out) MUST_CHECK;

#endif
