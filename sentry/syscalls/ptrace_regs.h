/* The requests of ptrace(2) that concern a tracee's registers: general, floating point and vector, and the user area.
 */
#ifndef BAILEY_SENTRY_SYSCALLS_PTRACE_REGS_H
#define BAILEY_SENTRY_SYSCALLS_PTRACE_REGS_H

#include <stdint.h>

#include "base/compiler.h"

struct task;

/* t asks, of its tracee in a stop: -ESRCH if that is over by now, -EIO for a request that there is not. */
long ptrace_regs_request(struct task *t, int tid, int request, uint64_t addr, uint64_t data) MUST_CHECK;

#endif
