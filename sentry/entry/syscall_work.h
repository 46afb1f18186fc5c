/* What is done about a system call besides the call: for a tracer, and for seccomp filters.  Only when
 * task.syscall_work says so. */
#ifndef BAILEY_SENTRY_ENTRY_SYSCALL_WORK_H
#define BAILEY_SENTRY_ENTRY_SYSCALL_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/sysargs.h"
#include "base/compiler.h"

struct task;

/* Before the call, by t's own thread.  *args may change.  False: it is not to be made, and t->result is its result. */
bool syscall_work_enter(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args) MUST_CHECK;
/* After it, made or not; t->result may change. */
void syscall_work_exit(struct task *t);

#endif
