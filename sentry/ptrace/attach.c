/* Who traces whom: attaching, resuming, letting go, and what becomes of a tracee's end.  See ptrace.h. */
#include <stdlib.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ptrace.h"
#include "abi/sched.h"
#include "abi/wait.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"

static int make_room(struct task *o)
{
	uint8_t *room = malloc(platform_xstate_size(sandbox_platform()));

	if (!room)
		return -ENOMEM;
	mutex_lock(&tasks_lock);
	if (!o->trace.xstate) {
		o->trace.xstate = room;
		room = NULL;
	}
	mutex_unlock(&tasks_lock);
	free(room);
	return 0;
}

static void link_tracee(struct task *tracer, struct task *o, bool seized, bool privileged, uint32_t options)
	REQUIRES(tasks_lock)
{
	o->trace.tracer = tracer;
	o->trace.seized = seized;
	o->trace.privileged = privileged;
	o->trace.options = options;
	list_add_tail(&o->trace.node, &tracer->tracees);
	o->trace.traced = true;
}

void trace_unlink(struct task *t)
{
	if (!t->trace.tracer)
		return;
	list_del_init(&t->trace.node);
	t->trace.tracer = NULL;
	t->trace.traced = false;
	t->trace.options = 0;
	atomic_fetch_and(&t->syscall_work, ~(unsigned)WORK_OF_TRACER);
	trace_clear_debug_registers(t);
	atomic_store(&t->answers_stale, true);
}

/* Whether tracer's capabilities hold over o, whatever that executes. */
static bool is_privileged_tracer(struct task *tracer, struct task *o)
{
	const struct cred *c = task_get_cred(tracer), *oc = task_get_cred(o);
	bool may = cred_ns_capable(c, oc->user_ns, L_CAP_SYS_PTRACE);

	cred_put(c);
	cred_put(oc);
	return may;
}

int trace_me(struct task *t)
{
	struct process *p = t->process;
	struct task *tracer;
	int r = make_room(t);

	if (r < 0)
		return r;
	mutex_lock(&tasks_lock);
	tracer = p->parent_thread;
	if (t->trace.tracer || !tracer || p->parent->is_sentry)
		r = -EPERM; /* the sentry's own init is no debugger */
	else
		link_tracee(tracer, t, false, is_privileged_tracer(tracer, t), 0);
	mutex_unlock(&tasks_lock);
	return r;
}

/* Makes o, which runs or sleeps somewhere, come to a first stop. */
static void ask_to_stop(struct task *o, bool seize) REQUIRES(tasks_lock)
{
	struct l_siginfo info;

	if (!seize) {
		signal_fill_kernel(&info, L_SIGSTOP);
		(void)!signal_send_task_locked(o, &info); /* a standard signal is never refused */
	}
	mutex_lock(&o->process->sig_lock);
	/* If it has stopped with its group, it stops once more, for its tracer. */
	o->trace.stop_seen = 0;
	sleeper_wake(&o->sleeper);
	mutex_unlock(&o->process->sig_lock);
}

static bool has_stopped_with_group(struct task *o) REQUIRES(tasks_lock)
{
	bool r;

	mutex_lock(&o->process->sig_lock);
	r = o->process->job == JOB_STOPPED && o->group_stopped;
	mutex_unlock(&o->process->sig_lock);
	return r;
}

static bool stops_for(struct task *o, const struct task *t)
{
	bool r;

	mutex_lock(&tasks_lock);
	r = o->trace.tracer != t || o->trace.stopped || o->dead || !has_stopped_with_group(o);
	mutex_unlock(&tasks_lock);
	return r;
}

int trace_attach(struct task *t, struct task *o, bool seize, uint32_t options)
{
	bool stopped = false;
	int r;

	if (o->process == t->process || o->process->is_sentry)
		return -EPERM;
	r = make_room(o);
	if (r < 0)
		return r;
	mutex_lock(&tasks_lock);
	if (o->dead || o->trace.tracer) {
		r = -EPERM;
	} else {
		stopped = has_stopped_with_group(o);
		link_tracee(t, o, seize, is_privileged_tracer(t, o), options);
		ask_to_stop(o, seize);
	}
	mutex_unlock(&tasks_lock);
	/* One that stands still already can be looked into at once. */
	if (stopped)
		(void)!wait_event(&t->process->child_wq, stops_for(o, t));
	return r;
}

void trace_inherit(struct task *t, struct task *child)
{
	struct trace_state *tr = &t->trace;
	struct l_siginfo info;

	if (!tr->tracer || !child->trace.xstate)
		return;
	link_tracee(tr->tracer, child, tr->seized, tr->privileged, tr->options);
	mutex_lock(&child->process->sig_lock);
	if (tr->seized) {
		child->trace.trap = true;
	} else {
		signal_fill_kernel(&info, L_SIGSTOP);
		(void)!sigpending_add(&child->pending, child->process, &info, false); /* fails for no standard signal */
	}
	sleeper_interrupt(&child->sleeper);
	mutex_unlock(&child->process->sig_lock);
}

struct task *trace_tracee(struct task *t, int tid)
{
	struct task *o = tid_lookup_locked(tid);

	return o && o->trace.tracer == t ? o : NULL;
}

struct task *trace_stopped_tracee(struct task *t, int tid)
{
	struct task *o = trace_tracee(t, tid);

	return o && o->trace.stopped && !o->trace.listening ? o : NULL;
}

/* ---- resuming ---- */

static void resume(struct task *o, int sig) REQUIRES(tasks_lock)
{
	o->trace.resume_signal = sig;
	o->trace.stopped = o->trace.listening = false;
	o->trace.code = 0;
	o->state = 'r';
	sleeper_wake(&o->sleeper);
}

int trace_resume(struct task *t, int tid, int sig, unsigned work)
{
	struct task *o;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(t, tid);
	if (o) {
		atomic_fetch_and(&o->syscall_work, ~(unsigned)WORK_OF_TRACER);
		atomic_fetch_or(&o->syscall_work, work);
		atomic_store(&o->answers_stale, true); /* it looks before it runs */
		resume(o, sig);
	}
	mutex_unlock(&tasks_lock);
	return o ? 0 : -ESRCH;
}

int trace_listen(struct task *t, int tid)
{
	struct task *o;
	int r = 0;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(t, tid);
	if (!o) {
		r = -ESRCH;
	} else if (!o->trace.seized || o->trace.event != L_PTRACE_EVENT_STOP) {
		r = -EIO;
	} else {
		o->trace.listening = true;
		sleeper_wake(&o->sleeper); /* its group may have been continued already */
	}
	mutex_unlock(&tasks_lock);
	return r;
}

int trace_interrupt(struct task *t, int tid)
{
	struct task *o;
	int r = 0;

	mutex_lock(&tasks_lock);
	o = trace_tracee(t, tid);
	if (!o || o->dead) {
		r = -ESRCH;
	} else if (!o->trace.seized) {
		r = -EIO;
	} else {
		mutex_lock(&o->process->sig_lock);
		o->trace.trap = true;
		signal_wake_task(o);
		mutex_unlock(&o->process->sig_lock);
	}
	mutex_unlock(&tasks_lock);
	return r;
}

/* ---- letting go ---- */

/* The end of o's process, which its tracer has seen or never will, becomes its parent's affair. */
static void hand_to_parent(struct task *o, struct list_head *dropped) REQUIRES(tasks_lock)
{
	struct task *leader = process_tell_end(o->process);

	if (leader)
		list_add_tail(&leader->trace.node, dropped);
}

/* o ended as a tracee and nobody traces it any more. */
static void bury(struct task *o, struct list_head *dropped) REQUIRES(tasks_lock)
{
	if (o->trace.zombie) {
		o->trace.zombie = false;
		tid_release(o);
		list_add_tail(&o->trace.node, dropped); /* the table's reference */
	} else if (o->process->zombie && !o->process->reaped) {
		hand_to_parent(o, dropped);
	}
}

void trace_reap(struct task *o, struct list_head *dropped)
{
	trace_unlink(o);
	bury(o, dropped);
}

static void let_go(struct task *o, int sig, struct list_head *dropped) REQUIRES(tasks_lock)
{
	trace_unlink(o);
	if (o->dead) {
		bury(o, dropped);
		return;
	}
	mutex_lock(&o->process->sig_lock);
	o->trace.trap = o->trace.notify = false;
	/* It stops with its group again, if that has stopped. */
	o->trace.stop_seen = 0;
	sleeper_interrupt(&o->sleeper);
	mutex_unlock(&o->process->sig_lock);
	if (o->trace.stopped)
		resume(o, sig);
}

int trace_detach(struct task *t, int tid, int sig)
{
	struct list_head dropped = LIST_HEAD_INIT(dropped);
	struct task *o;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(t, tid);
	if (o)
		let_go(o, sig, &dropped);
	mutex_unlock(&tasks_lock);
	trace_drop(&dropped);
	return o ? 0 : -ESRCH;
}

void trace_release_tracees(struct task *t, struct list_head *dropped)
{
	struct l_siginfo kill;

	signal_fill_kernel(&kill, L_SIGKILL);
	while (!list_empty(&t->tracees)) {
		struct task *o = list_first_entry(&t->tracees, struct task, trace.node);

		if ((o->trace.options & L_PTRACE_O_EXITKILL) && !o->dead)
			(void)!signal_send_process_locked(o->process, &kill); /* never refused */
		let_go(o, 0, dropped);
	}
}

void trace_drop(struct list_head *dropped)
{
	while (!list_empty(dropped)) {
		struct task *o = list_first_entry(dropped, struct task, trace.node);

		list_del_init(&o->trace.node);
		task_put(o);
	}
}

/* ---- ends ---- */

bool trace_stays_zombie(struct task *t, int wait_status)
{
	struct trace_state *tr = &t->trace;

	if (!tr->tracer)
		return false;
	if (signal_process_ignores_children(tr->tracer->process)) {
		trace_unlink(t);
		return false;
	}
	tr->zombie = true;
	tr->exit_status = wait_status;
	trace_tell_tracer(t, l_wifexited(wait_status) ? L_CLD_EXITED : L_CLD_KILLED,
			  l_wifexited(wait_status) ? l_wexitstatus(wait_status) : l_wtermsig(wait_status));
	return true;
}

bool trace_hides_from_parent(struct process *p)
{
	struct task *leader = tid_lookup_locked(p->pid);

	return leader && leader->trace.tracer && leader->trace.tracer->process != p->parent;
}

bool trace_is_parents(struct process *p)
{
	struct task *leader = tid_lookup_locked(p->pid);

	return leader && leader->trace.tracer && leader->trace.tracer->process == p->parent;
}

bool trace_claims_zombie(struct process *p)
{
	struct task *leader = tid_lookup_locked(p->pid);
	struct l_siginfo info;
	struct process *tracer;

	if (!trace_hides_from_parent(p))
		return false;
	tracer = leader->trace.tracer->process;
	if (signal_process_ignores_children(tracer)) {
		trace_unlink(leader);
		return false;
	}
	signal_fill_child(&info, p, L_SIGCHLD, p->exit_status);
	(void)!signal_send_process_locked(tracer, &info); /* a standard signal is never refused */
	waitqueue_wake(&tracer->child_wq, 0);
	return true;
}

int trace_tracer_nr(struct task *t, const struct pid_ns *ns)
{
	int tid;

	mutex_lock(&tasks_lock);
	tid = t->trace.tracer ? task_nr(t->trace.tracer, ns) : 0;
	mutex_unlock(&tasks_lock);
	return tid;
}
