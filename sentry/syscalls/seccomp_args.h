/* What seccomp(2) and prctl(2)'s PR_SET_SECCOMP share. */
#ifndef BAILEY_SENTRY_SYSCALLS_SECCOMP_ARGS_H
#define BAILEY_SENTRY_SYSCALLS_SECCOMP_ARGS_H

#include <stdint.h>

#include "base/compiler.h"

struct task;

/* Adds the filter that the struct sock_fprog at gva describes to the calling task: as SECCOMP_SET_MODE_FILTER. */
long seccomp_filter_arg(struct task *t, uint64_t flags, uint64_t gva) MUST_CHECK;

#endif
