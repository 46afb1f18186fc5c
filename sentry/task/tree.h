/* Questions about the tree of processes, for sentry/signal and the calls that walk it.  tasks_lock held throughout. */
#ifndef BAILEY_SENTRY_TASK_TREE_H
#define BAILEY_SENTRY_TASK_TREE_H

#include "sentry/task/task.h"

/* Tells p's parent that p stopped or continued: SIGCHLD (unless SA_NOCLDSTOP) and a wake-up of its waiters.  p->sig_lock held. */
void process_report_job_change(struct process *p, int wait_status) REQUIRES(tasks_lock);
/* A thread of p that lives, else the leader's task, or NULL; borrowed. */
struct task *process_any_task(struct process *p) REQUIRES(tasks_lock);
/* The leader's task, dead or alive; NULL if p is reaped or the sentry's own; borrowed. */
struct task *process_leader(struct process *p) REQUIRES(tasks_lock);
bool pgrp_is_orphaned(int pgid, const struct process *ignored) REQUIRES(tasks_lock);
bool pgrp_exists_in_session(int pgid, const struct session *s) REQUIRES(tasks_lock);

#endif
