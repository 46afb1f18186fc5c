/* Who gets SIGIO from an open file: what fcntl and ioctl ask and set of it. */
#ifndef BAILEY_SENTRY_SYSCALLS_FILE_OWNER_H
#define BAILEY_SENTRY_SYSCALLS_FILE_OWNER_H

#include "sentry/task/task.h"

/* F_SETOWN: who is a process, or minus a process group; 0: nobody.  -ESRCH, -EINVAL. */
long owner_set(struct task *t, struct file *f, int who) MUST_CHECK;
long owner_get(const struct task *t, struct file *f); /* F_GETOWN */
/* fcntl's F_SETOWN, F_GETOWN, F_SETOWN_EX, F_GETOWN_EX, F_SETSIG and F_GETSIG. */
long owner_fcntl(struct task *t, struct file *f, unsigned cmd, uint64_t arg) MUST_CHECK;

#endif
