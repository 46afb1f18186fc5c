/* What the files of sentry/task share and nobody else needs. */
#ifndef BAILEY_SENTRY_TASK_INTERNAL_H
#define BAILEY_SENTRY_TASK_INTERNAL_H

#include "sentry/task/task.h"

/* The sentry's own init: pid 1, or hidden where CMD is; set before the first guest task, immutable afterwards. */
extern struct process *init_process;
/* CMD where it is pid 1, else NULL; set before it runs, immutable afterwards; counted. */
extern struct process *command_as_init;

/* A process or task of no parent, threads or context yet, count 1; NULL: no memory. */
struct process *process_new(void);
struct task *task_new(struct process *p);
void session_put(struct session *s);
struct session *session_new(int sid);

/* Takes the next free tid and enters t under it (the table holds a reference).  -EAGAIN if there is none.  tasks_lock held. */
int tid_assign(struct task *t) REQUIRES(tasks_lock);
/* The same with the number tid: -EEXIST. */
int tid_take(struct task *t, int tid) MUST_CHECK REQUIRES(tasks_lock);
/* Takes t out of the table; the caller drops the table's reference after unlocking. */
void tid_release(struct task *t) REQUIRES(tasks_lock);

struct task *tid_lookup_locked(int tid) REQUIRES(tasks_lock); /* borrowed */
/* The lowest tid in use that is >= from, or -1. */
int tid_next_locked(int from) REQUIRES(tasks_lock);
/* Gives t, the only thread left, the tid of its process; returns the old leader, whose table reference the caller drops. */
struct task *tid_take_over(struct task *t, int pid) REQUIRES(tasks_lock);

/* Takes a zombie out of the tree and the table.  The leader's table reference is the
 * caller's: give it to process_drop after unlocking. */
struct task *process_unlink(struct process *p) REQUIRES(tasks_lock);
void process_drop(struct process *p, struct task *leader);
/* Tells p's parent that p, a zombie, has ended.  As process_unlink if the parent does not want to know; else NULL. */
struct task *process_tell_end(struct process *p) REQUIRES(tasks_lock);
/* Adds what the stub of t's address space, which t's process is about to leave, has used to the process's sum. */
void process_book_stub(struct task *t);
/* Adds what t's thread has used there to t's own sum: it goes on in another one. */
void task_book_thread(struct task *t);

/* The state a new task's thread loads into its context before it runs. */
struct clone_start {
	struct abi_regs regs;
	size_t xstate_size;
	bool set_child_tid;
	uint64_t child_tid;
	uint8_t xstate[];
};
/* Makes t the calling thread's own. */
void task_set_current(struct task *t);
/* Starts t's sentry thread.  t's reference for the thread is consumed on success. */
int task_start_thread(struct task *t) MUST_CHECK;
/* Calls start(arg) on a thread of the sentry that nobody waits for: a new one, or one that has done with another (workers.c).  -EAGAIN. */
int sentry_thread_start(void *(*start)(void *), void *arg) MUST_CHECK;

void vfork_complete(struct task *t);

/* A parent or process group has changed: p's threads are to learn of it before they next ask. */
void process_ids_changed(struct process *p) REQUIRES(tasks_lock) EXCLUDES(p->sig_lock);
/* True if no member of pgid has a parent in another group of the same session. */
bool pgrp_is_orphaned(int pgid, const struct process *ignored) REQUIRES(tasks_lock);
void pgrp_signal_if_orphaned_and_stopped(int pgid, const struct process *leaving) REQUIRES(tasks_lock);

/* What a task does when it leaves an address space, at its end and in exec: robust futexes, clear_child_tid, vfork's
 * parent. */
void task_release_mm(struct task *t);

#endif
