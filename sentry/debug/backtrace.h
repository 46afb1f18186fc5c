/*
 * Where a guest thread is, frame by frame, for a person who asks why a program died.  The frames are found by libunwind
 * from the guest's own unwind tables, read through uaccess.
 *
 * The tables and the stack are the guest's, and may be made to mislead: a backtrace is something to read, never to act
 * upon.  That a parser of hostile data then runs in the sentry is why it must be asked for.
 */
#ifndef BAILEY_SENTRY_DEBUG_BACKTRACE_H
#define BAILEY_SENTRY_DEBUG_BACKTRACE_H

#include "base/compiler.h"

struct task;

/* From now on backtrace_death says something.  Call it before there are tasks and before the sentry's filter.  0, -ENOMEM, -ELIBACC: there is
 * no libunwind, and a warning has said so. */
int backtrace_enable(void) MUST_CHECK;
/* Logs, as warnings, that signal sig kills t's process, and t's frames as module+offset (what addr2line takes).  Does nothing
 * unless enabled.  t is the calling task, its registers in the sentry's hands; no lock held. */
void backtrace_death(struct task *t, int sig);

#endif
