/* wait4(2) and waitid(2): finding children with news, and reaping. */
#include "abi/errno.h"
#include "abi/signal.h"
#include "abi/wait.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/task/internal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/usage.h"

static bool selected(const struct task *t, struct process *c, const struct wait_request *req) REQUIRES(tasks_lock)
{
	bool is_clone_child = c->exit_signal != L_SIGCHLD;

	if ((req->options & L___WNOTHREAD) && c->parent_thread != t)
		return false;
	if (!(req->options & L___WALL) && !trace_is_parents(c) && is_clone_child != ((req->options & L___WCLONE) != 0))
		return false;
	switch (req->type) {
	case L_P_PID:
		return c->pid == req->id;
	case L_P_PIDFD:
		return c == req->process;
	case L_P_PGID:
		return c->pgid == req->id;
	default:
		return true;
	}
}

/* c's number is told before it may be reaped: of a number that is not seen from here nothing is. */
static void report(const struct process *c, int status, int code, struct wait_result *out)
{
	out->pid = c->pid;
	out->nr = process_nr(c, task_pid_ns(task_current()));
	out->uid = c->exit_uid;
	out->status = status;
	out->code = code;
	out->usage = c->self;
	rusage_add(&out->usage, &c->reaped_children);
}

static int exit_code_of(int status)
{
	if (l_wifexited(status))
		return L_CLD_EXITED;
	return status & 0x80 ? L_CLD_DUMPED : L_CLD_KILLED;
}

/* One look at c.  True if it has news that req asks for.  *reap is set if the caller must drop the leader it is given. */
static bool look_at(struct process *c, const struct wait_request *req, struct wait_result *out, struct process **reap,
		    struct task **leader) REQUIRES(tasks_lock)
{
	if (c->zombie) {
		if (!(req->options & L_WEXITED) || trace_hides_from_parent(c))
			return false;
		report(c, c->exit_status, exit_code_of(c->exit_status), out);
		if (!(req->options & L_WNOWAIT)) {
			*reap = process_get(c);
			/* Of children that nobody waits for, nothing is counted. */
			rusage_add(&c->parent->reaped_children, &c->self);
			rusage_add(&c->parent->reaped_children, &c->reaped_children);
			*leader = process_unlink(c);
		}
		return true;
	}
	if (c->wait_stopped && (req->options & L_WSTOPPED)) {
		report(c, (c->stop_code << 8) | 0x7f, L_CLD_STOPPED, out);
		if (!(req->options & L_WNOWAIT))
			c->wait_stopped = false;
		return true;
	}
	if (c->wait_continued && (req->options & L_WCONTINUED)) {
		report(c, 0xffff, L_CLD_CONTINUED, out);
		if (!(req->options & L_WNOWAIT))
			c->wait_continued = false;
		return true;
	}
	return false;
}

/* ---- tracees ---- */

static bool selects_tracee(const struct task *o, const struct wait_request *req) REQUIRES(tasks_lock)
{
	switch (req->type) {
	case L_P_PID:
		return o->tid == req->id;
	case L_P_PIDFD:
		return o->process == req->process && o->tid == o->process->pid;
	case L_P_PGID:
		return o->process->pgid == req->id;
	default:
		return true;
	}
}

static void report_tracee(struct task *o, int status, int code, struct wait_result *out)
{
	out->pid = o->tid;
	out->nr = task_nr(o, task_pid_ns(task_current()));
	out->uid = task_uid(o);
	out->status = status;
	out->code = code;
	out->usage = o->process->self;
}

/* Its process has ended, and it is what stands for that. */
static bool leader_ended(const struct task *o) REQUIRES(tasks_lock)
{
	return o->process->zombie && o->tid == o->process->pid;
}

/* One look at a tracee, as look_at at a child.  Its stops are news whether or not they were asked for. */
static bool look_at_tracee(struct task *o, const struct wait_request *req, struct wait_result *out,
			   struct list_head *dropped) REQUIRES(tasks_lock)
{
	int status = o->trace.zombie ? o->trace.exit_status : o->process->exit_status;

	if (o->trace.zombie || leader_ended(o)) {
		if (!(req->options & L_WEXITED))
			return false;
		report_tracee(o, status, exit_code_of(status), out);
		if (!(req->options & L_WNOWAIT))
			trace_reap(o, dropped);
		return true;
	}
	/* SIGKILL ends a stop at once, though its task may not have left it yet. */
	if (!o->trace.stopped || o->trace.listening || !o->trace.code || o->process->kill_count > 0)
		return false;
	report_tracee(o, o->trace.code << 8 | 0x7f, L_CLD_TRAPPED, out);
	if (!(req->options & L_WNOWAIT))
		o->trace.code = 0;
	return true;
}

/* The tracees of one thread: 1, 0 or -ECHILD, as scan. */
static int scan_tracees(struct task *tracer, const struct wait_request *req, struct wait_result *out,
			struct list_head *dropped) REQUIRES(tasks_lock)
{
	struct task *o, *tmp;
	int r = -ECHILD;

	list_for_each_entry_safe(o, tmp, &tracer->tracees, trace.node) {
		if (!selects_tracee(o, req))
			continue;
		if ((req->options & L_WEXITED) || !(o->trace.zombie || leader_ended(o)))
			r = 0;
		if (look_at_tracee(o, req, out, dropped))
			return 1;
	}
	return r;
}

/* The same of t's process. */
static int scan_all_tracees(struct task *t, const struct wait_request *req, struct wait_result *out,
			    struct list_head *dropped) REQUIRES(tasks_lock)
{
	struct task *tracer;
	int r = -ECHILD;

	list_for_each_entry(tracer, &t->process->threads, thread_node) {
		int one;

		if ((req->options & L___WNOTHREAD) && tracer != t)
			continue;
		one = scan_tracees(tracer, req, out, dropped);
		if (one > 0)
			return one;
		if (one == 0)
			r = 0;
	}
	return r;
}

/* 1: found; 0: children, but no news; -ECHILD. */
static int scan(struct task *t, const struct wait_request *req, struct wait_result *out)
{
	struct process *c, *reap = NULL;
	struct list_head dropped = LIST_HEAD_INIT(dropped);
	struct task *leader = NULL;
	int r = -ECHILD, traced;

	mutex_lock(&tasks_lock);
	list_for_each_entry(c, &t->process->children, sibling) {
		if (!selected(t, c, req))
			continue;
		/* Nothing that did not ask for its end will ever be told of a zombie. */
		if ((req->options & L_WEXITED) || !c->zombie || trace_hides_from_parent(c))
			r = 0;
		if (look_at(c, req, out, &reap, &leader)) {
			r = 1;
			break;
		}
	}
	if (r != 1) {
		traced = scan_all_tracees(t, req, out, &dropped);
		if (traced >= 0)
			r = traced;
	}
	mutex_unlock(&tasks_lock);
	trace_drop(&dropped);
	if (reap) {
		process_drop(reap, leader);
		process_put(reap);
	}
	return r;
}

int task_wait(struct task *t, const struct wait_request *req, struct wait_result *out)
{
	int found, r;

	*out = (struct wait_result){0};
	if (req->options & L_WNOHANG) {
		found = scan(t, req, out);
		return found < 0 ? found : 0;
	}
	r = wait_event(&t->process->child_wq, (found = scan(t, req, out)) != 0);
	if (r < 0)
		return r;
	return found < 0 ? found : 0;
}
