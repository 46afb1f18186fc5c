/* PR_SET_MM of prctl(2), for sys_prctl.c alone. */
#ifndef BAILEY_SENTRY_SYSCALLS_PRCTL_MM_H
#define BAILEY_SENTRY_SYSCALLS_PRCTL_MM_H

#include "sentry/syscalls/syscalls.h"

/* prctl(2) with option PR_SET_MM; args are all of the call's. */
long prctl_set_mm(struct task *t, const struct sys_args *args);

#endif
