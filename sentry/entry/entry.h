/*
 * entry: where guest events meet the sentry.  Start reading at run.c: task_run is the loop every guest thread's sentry
 * thread lives in; dispatch.c turns a system call's number into its handler.
 */
#ifndef BAILEY_SENTRY_ENTRY_ENTRY_H
#define BAILEY_SENTRY_ENTRY_ENTRY_H

#include "abi/sysargs.h"

struct platform;

/* Which calls the platform may answer in the sentry's place: none; those that change nothing (ids, sched_yield); also those whose
 * state the guest's thread then holds itself (its signal mask).  Before there are guests; all, if it is not called. */
enum short_cuts { SHORT_CUTS_OFF, SHORT_CUTS_SAFE, SHORT_CUTS_ALL };
void entry_allow_short_cuts(enum short_cuts s);

/* Runs t's guest code until t must leave; t->exit_code then holds its wait status.  t's own thread. */
void task_run(struct task *t);

/* Carries out a system call: its result, -errno, or a restart code. */
long dispatch(struct task *t, const struct sys_args *args);

#endif
