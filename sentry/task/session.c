/* Process groups, sessions and orphaned groups.  See setpgid(2), setsid(2), credentials(7). */
#include <string.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "abi/wait.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"

struct task *process_any_task(struct process *p)
{
	if (!list_empty(&p->threads))
		return list_first_entry(&p->threads, struct task, thread_node);
	return process_leader(p);
}

struct task *process_leader(struct process *p)
{
	struct task *t = tid_lookup_locked(p->pid);

	return t && t->process == p ? t : NULL;
}

static struct process *process_lookup_locked(int pid) REQUIRES(tasks_lock)
{
	struct task *t = tid_lookup_locked(pid);

	return t && t->process->pid == pid ? t->process : NULL;
}

/* A process of the group, or NULL; borrowed. */
static const struct process *pgrp_member(int pgid, const struct session *s) REQUIRES(tasks_lock)
{
	for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
		const struct process *p = process_lookup_locked(pid);

		if (p && p->pgid == pgid && p->session == s)
			return p;
	}
	return NULL;
}

bool pgrp_exists_in_session(int pgid, const struct session *s)
{
	return pgrp_member(pgid, s);
}

bool pgrp_is_orphaned(int pgid, const struct process *ignored)
{
	for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
		struct process *p = process_lookup_locked(pid);

		if (!p || p->pgid != pgid || p == ignored || p->zombie || !p->parent ||
		    (p->parent == init_process && !p->started_by_init))
			continue;
		if (p->parent->pgid != pgid && p->parent->session == p->session)
			return false;
	}
	return true;
}

static bool pgrp_has_stopped(int pgid) REQUIRES(tasks_lock)
{
	for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
		struct process *p = process_lookup_locked(pid);

		if (p && p->pgid == pgid && p->job == JOB_STOPPED)
			return true;
	}
	return false;
}

void pgrp_signal_if_orphaned_and_stopped(int pgid, const struct process *leaving)
{
	static const int signals[] = {L_SIGHUP, L_SIGCONT};

	if (!pgrp_is_orphaned(pgid, leaving) || !pgrp_has_stopped(pgid))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
			struct process *p = process_lookup_locked(pid);
			struct l_siginfo info;

			if (!p || p->pgid != pgid || p->zombie)
				continue;
			signal_fill_kernel(&info, signals[i]);
			if (signal_send_member_locked(p, &info) < 0)
				return;
		}
	}
}

void process_report_job_change(struct process *p, int wait_status)
{
	struct process *parent = p->parent;
	struct task *t;
	struct l_siginfo info;

	if (!parent)
		return;
	t = process_any_task(p);
	if (t)
		p->exit_uid = task_uid(t);
	t = process_any_task(parent);
	signal_fill_child(&info, p, L_SIGCHLD, wait_status);
	if (t && !(sighand_action(t->sighand, L_SIGCHLD).flags & L_SA_NOCLDSTOP) &&
	    signal_send_process_locked(parent, &info) < 0)
		log_debug("SIGCHLD to process %d lost", parent->pid);
	waitqueue_wake(&parent->child_wq, 0);
}

void process_orphan_command(struct process *p)
{
	mutex_lock(&tasks_lock);
	p->started_by_init = false;
	mutex_unlock(&tasks_lock);
}

int process_pgid(struct process *p)
{
	int pgid;

	mutex_lock(&tasks_lock);
	pgid = p->pgid;
	mutex_unlock(&tasks_lock);
	return pgid;
}

int process_ppid_in(struct process *p, const struct pid_ns *ns)
{
	int ppid;

	mutex_lock(&tasks_lock);
	ppid = p->parent ? process_nr(p->parent, ns) : 0;
	mutex_unlock(&tasks_lock);
	return ppid;
}

void process_ids_changed(struct process *p)
{
	struct task *t;

	mutex_lock(&p->sig_lock);
	list_for_each_entry(t, &p->threads, thread_node) {
		atomic_store(&t->answers_stale, true);
		if (t->ctx && t->ctx_running)
			pctx_interrupt(t->ctx);
	}
	mutex_unlock(&p->sig_lock);
}

/* p joins the group whose numbers these are. */
static void set_group(struct process *p, int pgid, struct pid *numbers) REQUIRES(tasks_lock)
{
	struct pid *old = p->pgrp_numbers;

	p->pgid = pgid;
	p->pgrp_numbers = pid_get(numbers);
	pid_put(old);
}

int process_setpgid(struct task *t, int pid, int pgid)
{
	struct process *self = t->process, *p;
	const struct process *member;
	int r;

	if (pgid < 0 || (pgid == 0 && pid < 0)) /* 0: the same as pid */
		return -EINVAL;
	mutex_lock(&tasks_lock);
	pid = pid == 0 ? self->pid : pid_named_locked(t, pid);
	pgid = pgid == 0 ? pid : pid_named_locked(t, pgid);
	p = process_lookup_locked(pid);
	r = -EINVAL;
	if (!p && tid_lookup_locked(pid)) /* a thread that leads no process */
		goto out;
	r = -ESRCH;
	if (!p || (p != self && p->parent != self))
		goto out;
	r = -EPERM;
	if (p != self && p->session != self->session)
		goto out;
	if (p != self && p->did_exec) {
		r = -EACCES;
		goto out;
	}
	if (p->session->sid == p->pid)
		goto out;
	member = pgid == pid ? p : pgrp_member(pgid, self->session);
	if (!member)
		goto out;
	set_group(p, pgid, pgid == pid ? p->numbers : member->pgrp_numbers);
	process_ids_changed(p);
	r = 0;
out:
	mutex_unlock(&tasks_lock);
	return r;
}

int process_setsid(struct task *t)
{
	struct process *p = t->process;
	struct session *s = session_new(p->pid), *old = s;
	int r = -EPERM;

	if (!s)
		return -ENOMEM;
	s->numbers = pid_get(p->numbers);
	mutex_lock(&tasks_lock);
	if (p->session->sid == p->pid)
		goto out;
	for (int pid = tid_next_locked(1); pid > 0; pid = tid_next_locked(pid + 1)) {
		struct process *o = process_lookup_locked(pid);

		if (o && o->pgid == p->pid)
			goto out;
	}
	old = p->session;
	p->session = s;
	set_group(p, p->pid, p->numbers);
	process_ids_changed(p);
	r = process_nr(p, task_pid_ns(t));
out:
	mutex_unlock(&tasks_lock);
	session_put(old);
	return r;
}
