/* A tracee in a stop: see ptrace.h.  Everything here but trace_run_in is called by the tracee's own thread. */
#include <string.h>

#include "abi/errno.h"
#include "abi/ptrace.h"
#include "abi/wait.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"

void trace_fill_info(const struct task *t, struct l_siginfo *info, int code)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = L_SIGTRAP;
	info->si_code = code;
	info->kill.pid = task_own_nr(t);
	info->kill.uid = cred_show_uid(t->cred, t->cred->uid);
}

void trace_tell_tracer(struct task *t, int si_code, int status)
{
	struct process *p = t->trace.tracer->process;
	struct task *any = process_any_task(p);
	struct l_siginfo info;

	memset(&info, 0, sizeof(info));
	info.si_signo = L_SIGCHLD;
	info.si_code = si_code;
	info.chld.pid = t->tid;
	info.chld.uid = task_uid(t);
	info.chld.status = status;
	if (any && !(sighand_action(any->sighand, L_SIGCHLD).flags & L_SA_NOCLDSTOP) &&
	    signal_send_process_locked(p, &info) < 0)
		log_debug("SIGCHLD to process %d lost", p->pid);
	waitqueue_wake(&p->child_wq, 0);
}

/* ---- requests ---- */

static void finish_request(struct task *t, int result) REQUIRES(tasks_lock)
{
	struct trace_request *r = t->trace.request;

	if (!r)
		return;
	t->trace.request = NULL;
	r->result = result;
	r->done = true;
	/* r is gone once its maker sees that it is done; the maker itself waits for tasks_lock first. */
	sleeper_wake(&r->from->sleeper);
}

/* Waits until t's request has been dealt with; it always is, for its task carries it out or leaves the stop. */
static void wait_for_request(struct task *self, struct trace_request *r)
{
	for (;;) {
		sleeper_arm(&self->sleeper);
		if (r->done)
			break;
		if (sleeper_sleep_uninterruptible(&self->sleeper, NO_DEADLINE) < 0)
			break;
	}
	mutex_lock(&tasks_lock);
	mutex_unlock(&tasks_lock);
}

static bool takes_requests(struct task *o) REQUIRES(tasks_lock)
{
	return o->trace.stopped && !o->trace.request && !task_killed(o);
}

/* o, or another thread of its process: they share their memory. */
static struct task *find_taker(struct task *o) REQUIRES(tasks_lock)
{
	struct task *other;

	if (takes_requests(o))
		return o;
	list_for_each_entry (other, &o->process->threads, thread_node)
		if (takes_requests(other))
			return other;
	return NULL;
}

int trace_run_in(struct task *o, int (*fn)(struct task *o, void *arg), void *arg)
{
	struct task *self = task_current();
	struct trace_request r = {.fn = fn, .arg = arg, .from = self};
	struct task *taker;

	mutex_lock(&tasks_lock);
	taker = self ? find_taker(o) : NULL;
	if (taker) {
		taker->trace.request = &r;
		sleeper_wake(&taker->sleeper);
	}
	mutex_unlock(&tasks_lock);
	if (!taker)
		return -EBUSY;
	wait_for_request(self, &r);
	return r.result;
}

/* ---- the stop ---- */

/* False if there is nobody to stop for. */
static bool begin_stop(struct task *t, const struct trace_stop *s, const struct abi_regs *regs)
{
	struct trace_state *tr = &t->trace;
	bool stops;

	pctx_settle();
	mutex_lock(&tasks_lock);
	stops = tr->tracer && (s->final ? t->process->kill_count == 0 : !task_killed(t));
	if (stops) {
		tr->code = s->code;
		tr->event = s->event;
		tr->op = s->op;
		tr->group_stop = s->group_stop;
		tr->message = s->message;
		tr->has_info = s->info != NULL;
		if (s->info)
			tr->info = *s->info;
		tr->regs = *regs;
		tr->regs_dirty = tr->xstate_dirty = tr->listening = false;
		tr->resume_signal = 0;
		tr->stopped = true;
		mutex_lock(&t->process->sig_lock);
		tr->trap = false; /* whatever it was to stop for, now it has */
		if (s->event == L_PTRACE_EVENT_STOP)
			tr->notify = false;
		mutex_unlock(&t->process->sig_lock);
		t->state = 't';
		trace_tell_tracer(t, s->group_stop ? L_CLD_STOPPED : L_CLD_TRAPPED, s->code & 0x7f);
	}
	mutex_unlock(&tasks_lock);
	return stops;
}

/* Whether the stop is over; else *request is what is to be carried out meanwhile, or NULL. */
static bool is_over(struct task *t, bool final, struct trace_request **request)
{
	struct trace_state *tr = &t->trace;
	bool over;

	mutex_lock(&tasks_lock);
	*request = tr->request;
	over = !tr->stopped || (final ? t->process->kill_count > 0 : task_killed(t)) ||
	       (tr->listening && (tr->trap || tr->notify));
	mutex_unlock(&tasks_lock);
	return over;
}

static void carry_out(struct task *t, struct trace_request *r)
{
	int result = r->fn(t, r->arg);

	mutex_lock(&tasks_lock);
	finish_request(t, result);
	mutex_unlock(&tasks_lock);
}

static void wait_for_tracer(struct task *t, bool final)
{
	struct trace_request *r;

	for (;;) {
		sleeper_arm(&t->sleeper);
		if (is_over(t, final, &r))
			return;
		if (r)
			carry_out(t, r);
		else if (sleeper_sleep_uninterruptible(&t->sleeper, NO_DEADLINE) < 0)
			return;
	}
}

/* The snapshot is the task's again. */
static int end_stop(struct task *t, struct abi_regs *regs)
{
	struct trace_state *tr = &t->trace;
	bool xstate;
	int sig;

	mutex_lock(&tasks_lock);
	tr->stopped = tr->listening = false;
	tr->code = 0;
	finish_request(t, -EBUSY);
	t->state = 'R';
	sig = tr->resume_signal;
	if (tr->regs_dirty)
		*regs = tr->regs;
	xstate = tr->xstate_dirty;
	mutex_unlock(&tasks_lock);
	if (xstate && pctx_set_xstate(t->ctx, tr->xstate, tr->xstate_size) < 0)
		log_debug("the vector state that a tracer set was refused");
	return sig;
}

int trace_stop(struct task *t, const struct trace_stop *s, struct abi_regs *regs)
{
	struct trace_state *tr = &t->trace;
	ssize_t n;

	tr->regs_dirty = false;
	if (!tr->traced)
		return 0;
	n = pctx_get_xstate(t->ctx, tr->xstate, platform_xstate_size(sandbox_platform()));
	if (n < 0)
		return 0; /* the stub is dead, and soon the task */
	tr->xstate_size = (size_t)n;
	if (!begin_stop(t, s, regs))
		return 0;
	wait_for_tracer(t, s->final);
	return end_stop(t, regs);
}

int trace_stop_here(struct task *t, const struct trace_stop *s)
{
	struct abi_regs regs;
	int r, sig;

	t->trace.regs_dirty = false;
	if (!t->trace.traced)
		return 0;
	if (!t->ctx)
		return -ESRCH;
	r = pctx_get_regs(t->ctx, &regs);
	if (r < 0)
		return r;
	if (t->in_syscall) {
		regs.rax = (uint64_t)-ENOSYS;
		regs.orig_rax = t->syscall_nr;
	}
	sig = trace_stop(t, s, &regs);
	if (t->trace.regs_dirty && !s->final) {
		r = pctx_set_regs(t->ctx, &regs);
		if (r < 0)
			log_debug("the registers that a tracer set were refused");
	}
	return sig;
}
