/*
 * seccomp(2) among guests: what a program forbids itself and its children.  It has nothing to do with the filters by
 * which Bailey confines stubs and sentry.
 *
 * A task's filters are a chain of counted, immutable programs, the newest first; forks share its tail.  A task with
 * none pays nothing (WORK_SECCOMP in task.syscall_work).
 */
#ifndef BAILEY_SENTRY_SECCOMP_SECCOMP_H
#define BAILEY_SENTRY_SECCOMP_SECCOMP_H

#include "abi/audit.h"
#include "sentry/task/task.h"

/* Strict mode for t, the calling task; -EINVAL if it has filters. */
int seccomp_set_strict(struct task *t) MUST_CHECK;
/* Adds a filter of count instructions (borrowed) to t, the calling task.  With L_SECCOMP_FILTER_FLAG_TSYNC to all
 * threads of its process: if one cannot be synchronised, its tid.  -EINVAL for a program that is not valid or a mode
 * that excludes it, -ENOMEM also for too many instructions. */
long seccomp_add_filter(struct task *t, const struct l_sock_filter *f, size_t count, uint32_t flags) MUST_CHECK;
/* Whether the action is one that filters can return here. */
bool seccomp_action_known(uint32_t action);

/* t's call, before it is made, by t itself: false if it is not to be made, and then t->result is its result.  A tracer
 * may change *args. */
bool seccomp_check(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args) MUST_CHECK;

/* child is to have what t has; it does not run yet. */
void seccomp_inherit(struct task *t, struct task *child) REQUIRES(tasks_lock);
/* At a task's very end. */
void seccomp_drop(struct task *t);
/* For /proc: t's mode, and how many filters it has. */
int seccomp_mode(struct task *t, unsigned *filters);

/* For PTRACE_SECCOMP_GET_FILTER: t's filter number `index`, counted from the oldest.  Its instructions are copied, *out
 * to be freed; their number, or -ENOENT, -EINVAL (not in filter mode), -ENOMEM.  *flags gets L_SECCOMP_FILTER_FLAG_LOG
 * or 0. */
long seccomp_copy_filter(struct task *t, uint64_t index, struct l_sock_filter **out, uint64_t *flags) MUST_CHECK;

#endif
