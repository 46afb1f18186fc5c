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
 * Turns it on, before there are tasks.  names is a comma-separated list of calls, or NULL or "" for all; "!" in front means all
 * but these.  fd (borrowed for good) is where lines go.  -EINVAL with one line in why for a name that is not in the table.
 */
int strace_init(const char *names, int fd, char *why, size_t why_size) MUST_CHECK;

/* Around dispatch, by t's own thread.  result is as dispatch returned it. */
void strace_enter(struct task *t, const struct sys_args *args);
void strace_exit(struct task *t, const struct sys_args *args, long result);

#endif
