/*
 * PID namespaces, pid_namespaces(7).  Inside the sentry a task, a process group and a session go by their numbers in
 * the first namespace (tid, pid, pgid, sid), whoever asks.  What lies in a namespace below has a number in each on the
 * way down as well: those are its struct pid.  Numbers are converted where they cross the boundary to a program.
 *
 * A struct pid that is NULL is of something in the first namespace alone.
 */
#ifndef BAILEY_SENTRY_TASK_PIDNS_H
#define BAILEY_SENTRY_TASK_PIDNS_H

#include "sentry/core/ns.h"
#include "sentry/task/task.h"

#define PID_NS_DEPTH_MAX 32

struct pid_ns; /* NULL stands for the first, too, in arguments */

struct pid_number {
	struct pid_ns *ns; /* counted */
	int nr;
	struct pid_number *next; /* of the same bucket in ns; guarded by tasks_lock */
	struct pid *pid;
};
struct pid {		      /* immutable, but for what is said above */
	struct refcount refs; /* its task, process, groups and sessions */
	int global;
	unsigned levels;	/* below the first */
	struct pid_number at[]; /* by level - 1 */
};

struct ns *pid_ns_first(void); /* borrowed */
/* A child of parent's (any pid namespace's head), owner's; *out counted.  -EINVAL: owner is not below parent's owner.
 */
int pid_ns_new(struct ns *parent, struct user_ns *owner, struct ns **out) MUST_CHECK;
struct pid_ns *pid_ns_of(struct ns *ns);     /* ns is of kind NS_PID */
struct ns *pid_ns_common(struct pid_ns *ns); /* borrowed */
struct ns *pid_ns_parent(struct ns *ns);     /* borrowed; NULL: the first */
/* Is ns, or lies it in, `of`. */
bool pid_ns_within(struct ns *ns, struct ns *of);
/* Has it had its first process yet: until then nobody can look into it.  tasks_lock not held. */
bool pid_ns_has_begun(struct ns *ns);

/* The one t is in, borrowed: it does not change. */
struct pid_ns *task_pid_ns(const struct task *t);
struct pid_ns *process_pid_ns(const struct process *p);

/* ---- numbers, as ns has them; 0: not to be seen from there ---- */

int pid_nr(const struct pid *pid, int global, const struct pid_ns *ns);
int task_nr(const struct task *t, const struct pid_ns *ns);
int process_nr(const struct process *p, const struct pid_ns *ns);
int pgrp_nr(const struct process *p, const struct pid_ns *ns) REQUIRES(tasks_lock);
int session_nr(const struct session *s, const struct pid_ns *ns);
/* The parent's; 0 for init. */
int process_ppid_in(struct process *p, const struct pid_ns *ns) EXCLUDES(tasks_lock);
/* Of what is the sentry's number, if there is a task or group of that yet. */
int global_nr_locked(int global, const struct pid_ns *ns) REQUIRES(tasks_lock);
int global_nr(int global, const struct pid_ns *ns) EXCLUDES(tasks_lock);
int pgrp_global_nr(int pgid, const struct pid_ns *ns) EXCLUDES(tasks_lock);
/* The number in ns and in each below, with tabs between; "0" if there is none. */
#define PID_TEXT_MAX (8 * (PID_NS_DEPTH_MAX + 2))
void pid_text(const struct pid *pid, int global, const struct pid_ns *ns, char out[PID_TEXT_MAX]);
/* As t itself is told. */
int task_own_nr(const struct task *t);

/* The sentry's number of what t calls nr; -1: there is none.  0 and negative numbers stay what they are. */
int pid_named_locked(const struct task *t, int nr) REQUIRES(tasks_lock);
int pid_named(const struct task *t, int nr) EXCLUDES(tasks_lock);
int pid_named_in(struct pid_ns *ns, int nr) EXCLUDES(tasks_lock);
/* task_find and its like, by the numbers that t knows. */
struct task *task_named(const struct task *t, int nr);
struct process *process_named(const struct task *t, int nr);
struct process *process_of_thread_named(const struct task *t, int nr);
/* The lowest number of a process in ns that is >= from, or -1; likewise of p's threads. */
int process_next_nr(struct pid_ns *ns, int from);
int thread_next_nr(const struct process *p, struct pid_ns *ns, int from);

/* ns_last_pid of t's. */
int pid_ns_last(const struct task *t);
void pid_ns_set_last(const struct task *t, int nr);

/* ---- life ---- */

/* Numbers that are asked for (clone3(2), set_tid): nrs[0] in the namespace itself, the next in its parent; by cred. */
struct pid_choice {
	unsigned count;
	int32_t nrs[PID_NS_DEPTH_MAX];
	const struct cred *cred;
};
/* Of the first namespace: what choice (NULL: nothing) asks for when ns is meant, 0: nothing.  -EINVAL, -EPERM. */
int pid_chosen_global(const struct pid_choice *choice, struct ns *ns) MUST_CHECK REQUIRES(tasks_lock);

struct pid *pid_get(struct pid *pid); /* NULL is allowed, here and in the next */
void pid_put(struct pid *pid);
/* Numbers for t, which has its tid, in ns and above; choice NULL: any.  *out counted.  -ENOMEM: its first process is
 * gone, too; -EAGAIN; -EINVAL, -EPERM and -EEXIST for a choice. */
int pid_alloc(struct task *t, struct ns *ns, const struct pid_choice *choice, struct pid **out) MUST_CHECK
	REQUIRES(tasks_lock);
/* t is out of the table. */
void pid_released(struct task *t) REQUIRES(tasks_lock);
/* p, new, leads its namespace if its number is the first there. */
void pid_ns_begin(struct process *p) REQUIRES(tasks_lock);
/* Who takes over the children of those in ns: NULL in the first. */
struct process *pid_ns_reaper(const struct pid_ns *ns) REQUIRES(tasks_lock);
/* p's namespace if p is the first process there: nobody comes to it from now on.  NULL: p is not. */
struct pid_ns *pid_ns_ending(const struct process *p) REQUIRES(tasks_lock);
/* (pidns_end.c) t is the last of its process to end.  If that is the first of its namespace all others there end as
 * well: this kills them, and returns when they are gone. */
void pid_ns_end(struct task *t) EXCLUDES(tasks_lock);

#endif
