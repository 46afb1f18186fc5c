/* MOUNT_ATTR_*, as fsmount and mount_setattr take them, in the VFS's terms. */
#ifndef BAILEY_SENTRY_SYSCALLS_MOUNT_ATTR_H
#define BAILEY_SENTRY_SYSCALLS_MOUNT_ATTR_H

#include "base/compiler.h"
#include "sentry/task/task.h"
#include "sentry/vfs/mount.h"

/* May t change what is mounted in its namespace. */
bool task_may_mount(const struct task *t);
/* MNT_* of attr (MOUNT_ATTR_*, times among them).  -EINVAL for what is not known. */
int mount_attr_flags(uint64_t attr, unsigned *out) MUST_CHECK;
/* Reads mount_setattr's structure; *nothing: it asks for no change.  -EINVAL, -E2BIG, -EPERM. */
int mount_attr_change(struct task *t, uint64_t src, uint64_t size, struct mount_change *out, bool *nothing) MUST_CHECK;

#endif
