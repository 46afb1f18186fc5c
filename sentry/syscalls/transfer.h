/* One read or write between a file and guest memory, for the calls that have decoded it (sys_rw.c). */
#ifndef BAILEY_SENTRY_SYSCALLS_TRANSFER_H
#define BAILEY_SENTRY_SYSCALLS_TRANSFER_H

#include "platform/uaccess.h"
#include "sentry/task/task.h"

#define OWN_POSITION INT64_MIN /* as pos: the file's own */

/* Whether f can keep what flags (L_RWF_*) promise: -EOPNOTSUPP, -EINVAL. */
int transfer_check_flags(const struct file *f, unsigned flags) MUST_CHECK;
/* Moves what iov says, within RLIMIT_FSIZE, and counts it as t's.  The count or -errno; RWF_SYNC and RWF_DSYNC are
 * done. */
long transfer(struct task *t, struct file *f, const struct ua_iov *iov, int64_t pos, bool write,
	      unsigned flags) MUST_CHECK;

#endif
