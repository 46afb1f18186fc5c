/* The end of tasks and processes: letting go of everything, reparenting, and telling the parent.  wait.c reaps. */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/futex.h"
#include "abi/poll.h"
#include "abi/time.h"
#include "abi/wait.h"
#include "host/clock.h"
#include "sentry/ipc/futex.h"
#include "sentry/ipc/sysv.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/namespaces.h"
#include "sentry/task/pidns.h"
#include "sentry/task/rseq.h"
#include "sentry/task/tree.h"
#include "sentry/task/usage.h"
#include "sentry/time/timers.h"

void process_group_exit(struct task *t, int wait_status)
{
	struct process *p = t->process;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	if (!p->group_exiting) {
		p->group_exit_status = wait_status;
		p->group_exiting = true;
		p->job = JOB_RUNNING;
	}
	signal_wake_threads(p);
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);
	t->exit_code = wait_status;
}

/* Only the end of the whole process gets it out early. */
static void wait_until_alone(struct task *t)
{
	struct process *p = t->process;
	struct wait_entry e;
	bool alone;

	wait_entry_init_sleeper(&e, &t->sleeper);
	waitqueue_add(&p->job_wq, &e);
	for (;;) {
		sleeper_arm(&t->sleeper);
		mutex_lock(&tasks_lock);
		alone = p->thread_count == 1;
		mutex_unlock(&tasks_lock);
		if (alone || p->group_exiting)
			break;
		if (sleeper_sleep_uninterruptible(&t->sleeper, NO_DEADLINE) < 0)
			break;
	}
	waitqueue_remove(&e);
}

int task_become_only_thread(struct task *t)
{
	struct process *p = t->process;
	struct task *old_leader = NULL;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	if (p->group_exiting || p->group_exec) {
		mutex_unlock(&p->sig_lock);
		mutex_unlock(&tasks_lock);
		return -ERESTARTNOINTR;
	}
	p->group_exec = t;
	signal_wake_threads(p);
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);

	wait_until_alone(t);

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	p->group_exec = NULL;
	mutex_unlock(&p->sig_lock);
	if (!p->group_exiting && t->tid != p->pid)
		old_leader = tid_take_over(t, p->pid);
	if (old_leader)
		trace_unlink(old_leader);
	mutex_unlock(&tasks_lock);
	if (old_leader)
		task_put(old_leader);
	return p->group_exiting ? -ERESTARTNOINTR : 0;
}

/* Somebody who shares the memory may look at the word, or wait for it. */
static void clear_child_tid(struct task *t)
{
	uint32_t zero = 0;

	if (copy_out(t->ctx, t->clear_child_tid, &zero, sizeof(zero)) == 0)
		futex_wake_at(t, t->clear_child_tid);
}

void task_release_mm(struct task *t)
{
	rseq_release(t);
	if (t->ctx && t->mm) {
		futex_exit_robust_list(t);
		futex_exit_pi(t);
		if (t->clear_child_tid && refcount_read(&t->mm->refs) > 1)
			clear_child_tid(t);
		t->clear_child_tid = 0;
	}
	vfork_complete(t);
}

/* Lets go of t's parts; stub_is_done: of its memory nothing will be used again.  Its comm and cred stay for /proc until it is reaped. */
static void release_parts(struct task *t, bool stub_is_done)
{
	struct mm *mm;
	struct fdtable *files;
	struct fs_info *fs;
	struct pctx *ctx;

	task_release_mm(t);
	sem_undos_leave(t);
	mutex_lock(&t->process->sig_lock);
	ctx = t->ctx;
	if (ctx)
		task_book_rings(t, ctx);
	t->ctx = NULL;
	mutex_unlock(&t->process->sig_lock);
	if (t->files) {
		fdtable_recall(t->files);
		if (t->mm && !fdtable_shared(t->files))
			mm_leave_windows(t, true);
	}
	if (ctx)
		task_drop_ctx(ctx);
	mutex_lock(&t->alloc_lock);
	mm = t->mm;
	files = t->files;
	fs = t->fs;
	t->mm = NULL;
	t->files = NULL;
	t->fs = NULL;
	mutex_unlock(&t->alloc_lock);
	if (files)
		fdtable_put(files);
	if (fs)
		fs_info_put(fs);
	task_drop_ns(t);
	if (stub_is_done)
		mm_put(mm);
	else
		mm_leave(mm);
}

/* ---- the process's end; tasks_lock held in this part ---- */

static bool is_reaper(const struct process *p) REQUIRES(tasks_lock)
{
	return !p->zombie && p->thread_count > 0;
}

/* Who takes p's children: the nearest subreaper above in its PID namespace, or pid 1 of that. */
static struct process *find_reaper(const struct process *p) REQUIRES(tasks_lock)
{
	struct pid_ns *ns = process_pid_ns(p);
	struct process *a;

	for (a = p->parent; a && a != init_process && process_pid_ns(a) == ns; a = a->parent)
		if (a->child_subreaper && is_reaper(a))
			return a;
	a = pid_ns_reaper(ns);
	if (a && a != p && is_reaper(a))
		return a;
	return command_as_init && is_reaper(command_as_init) ? command_as_init : init_process;
}

static void tell_parent(struct process *p) REQUIRES(tasks_lock)
{
	struct l_siginfo info;

	if (!sig_valid(p->exit_signal)) { /* none, or one of clone(2)'s that there is not */
		waitqueue_wake(&p->parent->child_wq, 0);
		return;
	}
	signal_fill_child(&info, p, p->exit_signal, p->exit_status);
	signal_send_process_locked(p->parent, &info);
	waitqueue_wake(&p->parent->child_wq, 0);
}

static struct task *first_thread(struct process *p) REQUIRES(tasks_lock)
{
	return list_empty(&p->threads) ? NULL : list_first_entry(&p->threads, struct task, thread_node);
}

/* What PR_SET_PDEATHSIG asks for: `gone`, the thread that made c, is no more.  It counts as the sender, and has to be allowed to. */
static void send_pdeathsig(struct process *c, const struct task *gone) REQUIRES(tasks_lock)
{
	struct l_siginfo info;

	if (!c->pdeathsig || c->zombie || !signal_permitted(gone, process_leader(c), c->pdeathsig))
		return;
	signal_fill_user(&info, c->pdeathsig, L_SI_USER, gone);
	(void)!signal_send_process_locked(c, &info); /* SI_USER is never refused */
}

/* Another thread of p takes the children of t, which has left it. */
static void hand_over_children(struct process *p, const struct task *t) REQUIRES(tasks_lock)
{
	struct process *c;

	list_for_each_entry(c, &p->children, sibling) {
		if (c->parent_thread != t)
			continue;
		c->parent_thread = first_thread(p);
		send_pdeathsig(c, t);
	}
}

/* True if the parent does not want to hear of its children: wait(2), SIG_IGN and SA_NOCLDWAIT. */
static bool parent_ignores(struct process *p) REQUIRES(tasks_lock)
{
	return p->exit_signal == L_SIGCHLD && signal_process_ignores_children(p->parent);
}

/*
 * c was a zombie already when it got its new parent, which may not want to hear of it: then it is reaped.  Its leader, whose
 * reference is dropped when tasks_lock has been let go, is put on *reaped, by the node that had it among its process's threads.
 */
static void hand_over_zombie(struct process *c, struct list_head *reaped) REQUIRES(tasks_lock)
{
	struct task *leader = process_tell_end(c);

	if (leader)
		list_add_tail(&leader->thread_node, reaped);
}

static void drop_reaped(struct list_head *reaped)
{
	struct task *leader, *tmp;

	list_for_each_entry_safe(leader, tmp, reaped, thread_node) {
		list_del_init(&leader->thread_node);
		process_drop(leader->process, leader);
	}
}

static void reparent_children(struct process *p, const struct task *last, struct list_head *reaped) REQUIRES(tasks_lock)
{
	struct process *reaper = find_reaper(p), *c, *tmp;

	list_for_each_entry_safe(c, tmp, &p->children, sibling) {
		list_del_init(&c->sibling);
		c->parent = reaper;
		process_ids_changed(c);
		c->parent_thread = first_thread(reaper);
		c->exit_signal = L_SIGCHLD;
		list_add_tail(&c->sibling, &reaper->children);
		send_pdeathsig(c, last);
		if (c->zombie && !trace_hides_from_parent(c))
			hand_over_zombie(c, reaped);
		else if (c->pgid != p->pgid)
			pgrp_signal_if_orphaned_and_stopped(c->pgid, NULL);
	}
}

/* The last thread is gone.  Returns true if nobody will wait for p: the caller reaps it, and drops what is on *reaped. */
static bool process_end(struct process *p, struct task *leader_or_last, struct list_head *reaped) REQUIRES(tasks_lock)
{
	bool reap;

	p->exit_status = p->group_exiting ? p->group_exit_status : p->exit_status;
	p->exit_uid = leader_or_last->cred->uid;
	reparent_children(p, leader_or_last, reaped);
	if (p->pgid && p->parent->session == p->session && p->parent->pgid != p->pgid)
		pgrp_signal_if_orphaned_and_stopped(p->pgid, p);
	if (p->session->sid == p->pid)
		p->session->leader_exited = true;
	p->zombie = true;
	if (trace_claims_zombie(p))
		return false;
	reap = parent_ignores(p);
	tell_parent(p);
	return reap;
}

struct task *process_tell_end(struct process *p)
{
	bool reap = parent_ignores(p);

	tell_parent(p);
	return reap ? process_unlink(p) : NULL;
}

/*
 * t begins to exit.  Of threads that exit at once exactly one hears that it is the last: nothing of the process runs guest
 * code any more.  Its status becomes the process's, as on Linux since 5.18: that of the last to begin, for one that was
 * joined before has begun but may still be letting go of its parts.
 */
static bool begin_exit(struct task *t, int wait_status)
{
	bool last;

	mutex_lock(&tasks_lock);
	last = --t->process->live_count == 0;
	if (last)
		t->process->exit_status = wait_status;
	mutex_unlock(&tasks_lock);
	return last;
}

/* Takes t out of its process; true if it was the last one there. */
static bool leave_process(struct task *t) REQUIRES(tasks_lock)
{
	struct process *p = t->process;
	int64_t ns = host_clock_ns(L_CLOCK_THREAD_CPUTIME_ID) - t->host_before_ns;

	p->self.stime_ns += max_of(ns, (int64_t)0);
	p->self.nvcsw += t->sleeper.sleeps;
	io_sum_add(&p->dead_io, &t->io);
	t->host_tid = 0;
	t->dead = true;
	t->state = 'Z';
	mutex_lock(&p->sig_lock);
	list_del_init(&t->thread_node);
	p->thread_count--;
	signal_thread_left(t);
	mutex_unlock(&p->sig_lock);
	return p->thread_count == 0;
}

/* The program's file may be written again before anybody hears of the end. */
static void release_exe(struct process *p)
{
	struct file *exe;

	mutex_lock(&p->exec_lock);
	exe = p->exe;
	p->exe = NULL;
	mutex_unlock(&p->exec_lock);
	if (exe)
		file_put(exe);
}

void task_exit(struct task *t, int wait_status)
{
	struct process *p = t->process;
	struct list_head dropped = LIST_HEAD_INIT(dropped);
	struct task *leader = NULL;
	struct list_head reaped = LIST_HEAD_INIT(reaped);
	bool last, reap = false, drop_tid, last_begun;

	trace_exit(t, wait_status);
	last_begun = begin_exit(t, wait_status);
	if (last_begun) {
		process_timers_stop(p);
		process_book_stub(t);
		release_exe(p);
	}
	release_parts(t, p->is_command && last_begun);
	if (last_begun)
		pid_ns_end(t);

	mutex_lock(&tasks_lock);
	trace_release_tracees(t, &dropped);
	last = leave_process(t);
	drop_tid = t->tid != p->pid && !trace_stays_zombie(t, p->group_exiting ? p->group_exit_status : wait_status);
	if (drop_tid)
		tid_release(t);
	if (last) {
		reap = process_end(p, t, &reaped);
		if (reap)
			leader = process_unlink(p);
	} else {
		hand_over_children(p, t);
	}
	waitqueue_wake(&p->pidfd_wq, L_POLLIN);
	mutex_unlock(&tasks_lock);
	trace_drop(&dropped);
	if (last && p->session->sid == p->pid)
		tty_disassociate(p->session, true);
	if (!last && p->group_exec)
		waitqueue_wake(&p->job_wq, 0);
	if (drop_tid)
		task_put(t); /* the table's reference; the caller holds its own */
	drop_reaped(&reaped);
	if (reap)
		process_drop(p, leader);
}

struct task *process_unlink(struct process *p)
{
	struct task *leader = tid_lookup_locked(p->pid);

	list_del_init(&p->sibling);
	p->reaped = true;
	waitqueue_wake(&p->pidfd_wq, L_POLLIN | L_POLLHUP);
	if (leader) {
		trace_unlink(leader);
		tid_release(leader);
	}
	return leader;
}

void process_drop(struct process *p, struct task *leader)
{
	if (leader)
		task_put(leader); /* the table's; p goes with its last task */
}
