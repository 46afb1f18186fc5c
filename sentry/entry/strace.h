/*
 * --strace: one line for each system call, decoded from the table in abi/, in the form of strace(1).
 *
 * The arguments that a call reads are decoded when it begins (they may be gone afterwards), those that it fills when it
 * ends, and the line is written when it ends, with one write; a call that does not come back is written when it begins.
 * Guest memory is read through uaccess only, and never changes what the call does.
 */
#ifndef BAILEY_SENTRY_ENTRY_STRACE_H
#define BAILEY_SENTRY_ENTRY_STRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/sysargs.h"
#include "base/compiler.h"

struct task;

/* Test this before the calls below; set by strace_init and immutable afterwards. */
extern bool strace_on;

/*
 * Turns it on, before there are tasks.  names is a comma-separated list of calls and groups (%file, %desc, %process, %network,
 * %signal, %ipc, %memory: what they are strace(1) says), or NULL for all; "!" before one takes it away.  A list that begins with
 * "!" means all but these.  fd (borrowed for good) is where lines go.  -EINVAL with one line in why for a name that there is not.
 */
int strace_init(const char *names, int fd, char *why, size_t why_size) MUST_CHECK;

/* Around dispatch, by t's own thread.  result is as dispatch returned it. */
void strace_enter(struct task *t, const struct sys_args *args);
void strace_exit(struct task *t, const struct sys_args *args, long result);
/* CMD's own execve, which the sentry makes for t: it has no guest memory to be decoded from. */
void strace_first_exec(struct task *t, const char *path, char *const *argv, char *const *envp, long result);

#endif
