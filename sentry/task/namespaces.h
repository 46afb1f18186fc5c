/*
 * The namespaces a task is in: unshare(2), setns(2), what clone(2) makes of them.  A task's mount namespace is its
 * fs_info's; the others are in task.ns.
 */
#ifndef BAILEY_SENTRY_TASK_NAMESPACES_H
#define BAILEY_SENTRY_TASK_NAMESPACES_H

#include "sentry/core/ns.h"
#include "sentry/task/task.h"

/* All the flags that ask for a namespace. */
#define CLONE_NEW_FLAGS                                                                                                \
	(L_CLONE_NEWNS | L_CLONE_NEWUTS | L_CLONE_NEWIPC | L_CLONE_NEWUSER | L_CLONE_NEWPID | L_CLONE_NEWNET |         \
	 L_CLONE_NEWCGROUP | L_CLONE_NEWTIME)

/* Gives a new task the first namespace of each kind. */
void task_first_ns(struct task *t);
/* May t ask for these: -EPERM; -EINVAL for kinds that are not had, and what does not go together. */
int task_may_new_ns(const struct task *t, uint64_t flags) MUST_CHECK;
/* u's maps have changed: the tasks in it, and below it, have other ids than they know of. */
void task_user_ns_changed(const struct user_ns *u);
/* Gives child, whose fs_info and credentials it has by now, t's namespaces, or new ones where flags ask for them. */
int task_inherit_ns(struct task *t, struct task *child, uint64_t flags) MUST_CHECK;
/* t's of a kind, counted; NULL once it has ended. */
struct ns *task_get_ns(struct task *t, enum ns_kind kind);
/* The same, but of NS_PID the one that its children will be in. */
struct ns *task_get_children_ns(struct task *t, enum ns_kind kind);
/* Lets go of all of them: at the end. */
void task_drop_ns(struct task *t);

int task_unshare(struct task *t, uint64_t flags) MUST_CHECK;
/* Enters ns (borrowed), of whatever kind. */
int task_enter_ns(struct task *t, struct ns *ns) MUST_CHECK;

#endif
