/* wait4(2) and waitid(2): finding children with news, and reaping. */
#include "abi/errno.h"
#include "abi/signal.h"
#include "abi/wait.h"
#include "sentry/task/internal.h"
#include "sentry/task/usage.h"

static bool selected(const struct task *t, const struct process *c, const struct wait_request *req) REQUIRES(tasks_lock)
{
	bool is_clone_child = c->exit_signal != L_SIGCHLD;

	if ((req->options & L___WNOTHREAD) && c->parent_thread != t)
		return false;
	if (!(req->options & L___WALL) && is_clone_child != ((req->options & L___WCLONE) != 0))
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

static void report(const struct process *c, int status, int code, struct wait_result *out)
{
	out->pid = c->pid;
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
		if (!(req->options & L_WEXITED))
			return false;
		report(c, c->exit_status, exit_code_of(c->exit_status), out);
		if (!(req->options & L_WNOWAIT)) {
			*reap = process_get(c);
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

/* 1: found; 0: children, but no news; -ECHILD. */
static int scan(struct task *t, const struct wait_request *req, struct wait_result *out)
{
	struct process *c, *reap = NULL;
	struct task *leader = NULL;
	int r = -ECHILD;

	mutex_lock(&tasks_lock);
	list_for_each_entry(c, &t->process->children, sibling) {
		if (!selected(t, c, req))
			continue;
		r = 0;
		if (look_at(c, req, out, &reap, &leader)) {
			r = 1;
			break;
		}
	}
	mutex_unlock(&tasks_lock);
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
