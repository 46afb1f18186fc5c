/* execve(2)'s new credentials. */
#ifndef BAILEY_SENTRY_TASK_EXEC_CRED_H
#define BAILEY_SENTRY_TASK_EXEC_CRED_H

#include <stdbool.h>

#include "base/compiler.h"

struct cred;
struct file;
struct task;

struct exec_cred {
	struct cred *cred; /* owned */
	bool secure;	   /* AT_SECURE: the program has what its caller had not */
	bool dumpable;	   /* the process may be looked into afterwards */
	bool clear_personality; /* of L_PER_CLEAR_ON_SETID */
};
/* What t, which is the caller, would be when it ran the program f.  -EPERM if it may not, -EINVAL for attributes that are
 * nonsense, -ENOMEM. */
int exec_plan_cred(struct task *t, const struct file *f, struct exec_cred *out) MUST_CHECK;

#endif
