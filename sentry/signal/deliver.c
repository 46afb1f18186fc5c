/*
 * What a task does with its signals on its way back to the guest: stop, die, run handlers, restart the call in hand.
 *
 * A system call that was interrupted returned a restart code (abi/errno.h); here alone it becomes a result.  Which of
 * "call it again" and EINTR it is depends on whether a handler runs and on that handler's SA_RESTART: signal(7).
 */
#include <string.h>

#include "abi/errno.h"
#include "abi/wait.h"
#include "base/checked.h"
#include "sentry/debug/backtrace.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/task/tree.h"
#include "sentry/time/timers.h"

#define SYSCALL_INSN_SIZE 2 /* syscall and int 0x80 alike */
#define NR_restart_syscall 219

/* The registers, fetched when first needed and written back once. */
struct reg_cache {
	struct abi_regs regs;
	bool loaded;
};

static int load_regs(struct task *t, struct reg_cache *rc)
{
	int r;

	if (rc->loaded)
		return 0;
	r = pctx_get_regs(t->ctx, &rc->regs);
	rc->loaded = r == 0;
	return r;
}

static bool is_restart_code(long r)
{
	return r == -ERESTARTSYS || r == -ERESTARTNOINTR || r == -ERESTARTNOHAND || r == -ERESTART_RESTARTBLOCK;
}

static void call_again(struct task *t, struct abi_regs *regs, uint64_t nr)
{
	regs->rax = nr;
	regs->rip -= SYSCALL_INSN_SIZE;
	t->in_syscall = false;
}

/* The call in hand before a handler runs. */
static void finish_call_for_handler(struct task *t, struct abi_regs *regs, const struct l_sigaction *act)
{
	if (!t->in_syscall)
		return;
	if (t->result == -ERESTARTNOINTR || (t->result == -ERESTARTSYS && (act->flags & L_SA_RESTART))) {
		call_again(t, regs, t->syscall_nr);
		return;
	}
	regs->rax = is_restart_code(t->result) ? (uint64_t)-EINTR : (uint64_t)t->result;
	t->in_syscall = false;
}

/* The call in hand when no handler ran. */
static int finish_call(struct task *t, struct reg_cache *rc)
{
	int r;

	if (!t->in_syscall)
		return 0;
	if (!is_restart_code(t->result)) {
		if (rc->loaded)
			rc->regs.rax = (uint64_t)t->result;
		else
			pctx_set_result(t->ctx, t->result);
		t->in_syscall = false;
		return 0;
	}
	r = load_regs(t, rc);
	if (r < 0)
		return r;
	call_again(t, &rc->regs, t->result == -ERESTART_RESTARTBLOCK ? NR_restart_syscall : t->syscall_nr);
	return 0;
}

/* ---- stopping ---- */

/* Makes all threads of t's process stop. */
static void stop_process(struct task *t, int sig)
{
	struct process *p = t->process;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	/* A SIGCONT that came since the signal was taken wins; so does death. */
	if (!task_killed(t) && p->job == JOB_RUNNING && p->cont_count == t->cont_seen &&
	    !(sig != L_SIGSTOP && pgrp_is_orphaned(p->pgid, NULL))) {
		p->job = JOB_STOPPED;
		p->stop_code = sig;
		p->stop_count += p->stop_count == UINT32_MAX ? 2 : 1;
		p->stop_reported = false;
		p->wait_continued = false;
		signal_wake_threads(p);
	}
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);
}

/* Tells the parent once the last thread has stopped: then, and not before, nothing of p runs.  p->sig_lock held, too. */
static void report_stop_if_complete(struct process *p) REQUIRES(tasks_lock)
{
	struct task *t;

	if (p->job != JOB_STOPPED || p->stop_reported || list_empty(&p->threads))
		return;
	list_for_each_entry(t, &p->threads, thread_node)
		if (!t->group_stopped)
			return;
	p->stop_reported = true;
	if (trace_is_parents(p))
		return; /* who has seen each thread's stop */
	p->wait_stopped = true;
	process_report_job_change(p, L_W_STOPCODE(p->stop_code));
}

static void enter_stop(struct task *t)
{
	struct process *p = t->process;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	t->group_stopped = p->job == JOB_STOPPED;
	t->trace.stop_seen = p->stop_count;
	report_stop_if_complete(p);
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);
}

static void wait_while_stopped(struct task *t)
{
	struct process *p = t->process;
	struct wait_entry e;

	t->state = 'T';
	wait_entry_init_sleeper(&e, &t->sleeper);
	waitqueue_add(&p->job_wq, &e);
	for (;;) {
		sleeper_arm(&t->sleeper);
		if (p->job != JOB_STOPPED || task_killed(t) || t->trace.traced)
			break;
		enter_stop(t); /* each time: it may have been continued and stopped again meanwhile */
		if (sleeper_sleep_uninterruptible(&t->sleeper, NO_DEADLINE) < 0)
			break;
	}
	waitqueue_remove(&e);
	t->state = 'R';
}

/* ---- masks ---- */

/* A process-wide signal that t takes no more may be some other thread's business.  sig_lock held, too. */
static void retarget_shared(struct task *t, sigset lost) REQUIRES(tasks_lock)
{
	sigset moved = t->process->shared_pending.set & lost;
	struct task *o;

	if (!moved)
		return;
	list_for_each_entry(o, &t->process->threads, thread_node)
		if (o != t && (moved & ~signal_mask_of(o)))
			signal_wake_task(o);
}

void signal_set_blocked(struct task *t, sigset mask)
{
	struct process *p = t->process;

	mask &= ~SIG_UNBLOCKABLE;
	if (mask == t->blocked)
		return;
	mutex_lock(&p->sig_lock);
	if (mask & ~t->blocked & p->shared_pending.set) {
		/* tasks_lock comes first.  t's mask is still the old one meanwhile: what arrives now is looked at below. */
		mutex_unlock(&p->sig_lock);
		mutex_lock(&tasks_lock);
		mutex_lock(&p->sig_lock);
		retarget_shared(t, mask & ~t->blocked);
		mutex_unlock(&tasks_lock);
	}
	t->blocked = mask;
	signal_recompute(t);
	mutex_unlock(&p->sig_lock);
}

void signal_thread_left(struct task *t)
{
	sigpending_drop(&t->pending, t->process, ~0ull);
	retarget_shared(t, ~t->blocked);
	report_stop_if_complete(t->process);
}

void signal_wait_begin(struct task *t, sigset set)
{
	mutex_lock(&t->process->sig_lock);
	t->wait_blocked = t->blocked;
	mutex_unlock(&t->process->sig_lock);
	signal_set_blocked(t, t->blocked & ~set);
}

void signal_wait_end(struct task *t)
{
	signal_set_blocked(t, t->wait_blocked);
	mutex_lock(&t->process->sig_lock);
	t->wait_blocked = 0;
	mutex_unlock(&t->process->sig_lock);
}

void signal_set_temporary_mask(struct task *t, sigset mask)
{
	t->saved_mask = t->blocked;
	t->restore_mask = true;
	signal_set_blocked(t, mask);
}

int signal_copy_mask(struct task *t, uint64_t gva, uint64_t size, sigset *out)
{
	if (size != L_SIGSET_SIZE)
		return -EINVAL;
	return copy_in(t->ctx, out, gva, sizeof(*out));
}

bool signal_pending(const struct task *t)
{
	return sleeper_interrupted(&t->sleeper);
}

sigset signal_pending_set(struct task *t)
{
	sigset s;

	mutex_lock(&t->process->sig_lock);
	s = t->pending.set | t->process->shared_pending.set;
	mutex_unlock(&t->process->sig_lock);
	return s;
}

static int take_locked(struct task *t, sigset mask, struct l_siginfo *info)
{
	int sig = sigpending_take(&t->pending, t->process, mask, info);

	if (sig)
		return sig;
	sig = sigpending_take(&t->process->shared_pending, t->process, mask, info);
	if (sig == L_SIGALRM)
		process_itimer_taken(t->process);
	return sig;
}

int signal_take(struct task *t, sigset mask, struct l_siginfo *info)
{
	int sig;

	mutex_lock(&t->process->sig_lock);
	sig = take_locked(t, mask & ~SIG_UNBLOCKABLE, info);
	signal_recompute(t);
	mutex_unlock(&t->process->sig_lock);
	return sig;
}

/* ---- delivery ---- */

enum next { NEXT_NONE, NEXT_SIGNAL, NEXT_STOPPED, NEXT_LEAVE };

static enum next next_signal(struct task *t, struct l_siginfo *info)
{
	struct process *p = t->process;
	enum next n = NEXT_NONE;
	int sig;

	mutex_lock(&p->sig_lock);
	if (task_killed(t)) {
		t->exit_code = p->group_exiting ? p->group_exit_status : 0;
		n = NEXT_LEAVE;
	} else if (signal_is_to_stop(t)) {
		n = NEXT_STOPPED;
	} else {
		sig = take_locked(t, ~t->blocked, info);
		t->cont_seen = p->cont_count;
		if (sig)
			n = NEXT_SIGNAL;
	}
	signal_recompute(t);
	mutex_unlock(&p->sig_lock);
	return n;
}

/* The action for sig, which a one-shot handler loses by being asked for. */
static struct l_sigaction take_action(struct task *t, int sig)
{
	struct l_sigaction *a = &t->sighand->action[sig - 1], act;

	mutex_lock(&t->sighand->lock);
	act = *a;
	if ((a->flags & L_SA_RESETHAND) && a->handler > L_SIG_IGN)
		a->handler = L_SIG_DFL;
	mutex_unlock(&t->sighand->lock);
	return act;
}

/* A traced task's stop, with its group or by itself. */
static int stop_for_tracer(struct task *t, struct reg_cache *rc)
{
	struct process *p = t->process;
	bool with_group;
	int sig, r = load_regs(t, rc);

	if (r < 0)
		return r;
	mutex_lock(&p->sig_lock);
	with_group = p->job == JOB_STOPPED;
	sig = with_group ? p->stop_code : L_SIGTRAP;
	t->trace.trap = t->trace.notify = false; /* it may have become nobody's tracee */
	mutex_unlock(&p->sig_lock);
	if (with_group)
		enter_stop(t);
	trace_group_stop(t, sig, &rc->regs);
	return 0;
}

static int stop(struct task *t, struct reg_cache *rc)
{
	if (t->trace.traced)
		return stop_for_tracer(t, rc);
	wait_while_stopped(t);
	return 0;
}

/* Shows the tracer a signal; 0 if it is not to be acted on. */
static int ask_tracer(struct task *t, struct reg_cache *rc, struct l_siginfo *info)
{
	int r;

	if (!t->trace.traced)
		return 1;
	r = load_regs(t, rc);
	return r < 0 ? r : trace_signal(t, info, &rc->regs);
}

/* Runs the handler's frame up; a stack that cannot take it is a SIGSEGV. */
static int run_handler(struct task *t, struct reg_cache *rc, const struct l_sigaction *act,
		       const struct l_siginfo *info)
{
	int sig = info->si_signo;
	sigset block = t->blocked | act->mask;
	int r = load_regs(t, rc);

	if (r < 0)
		return r;
	finish_call_for_handler(t, &rc->regs, act);
	r = signal_frame_push(t, act, info, &rc->regs);
	if (r == -ESRCH)
		return r;
	if (r < 0) {
		if (sig == L_SIGSEGV) { /* its own handler cannot be reached: no second try */
			mutex_lock(&t->sighand->lock);
			t->sighand->action[L_SIGSEGV - 1].handler = L_SIG_DFL;
			mutex_unlock(&t->sighand->lock);
		}
		signal_force_kernel(t, L_SIGSEGV);
		return 0;
	}
	t->restore_mask = false;
	if (!(act->flags & L_SA_NODEFER))
		block |= sig_bit(sig);
	signal_set_blocked(t, block);
	return 0;
}

/* Whether Linux would leave a core file, core(5): the status says so, though none is written here. */
static bool core_allowed(struct process *p)
{
	return p->dumpable && process_rlimit(p, L_RLIMIT_CORE) >= PAGE_SIZE;
}

void signal_die(struct task *t, int sig)
{
	bool core = signal_default(sig) == SIG_DEFAULT_CORE;

	if (core)
		backtrace_death(t, sig);
	process_group_exit(t, sig | (core && core_allowed(t->process) ? L_WCOREFLAG : 0));
}

static void default_action(struct task *t, int sig)
{
	switch (signal_default(sig)) {
	case SIG_DEFAULT_IGNORE:
	case SIG_DEFAULT_CONT:
		return;
	case SIG_DEFAULT_STOP:
		stop_process(t, sig);
		return;
	case SIG_DEFAULT_CORE:
	case SIG_DEFAULT_TERM:
	default:
		signal_die(t, sig);
		return;
	}
}

bool signal_work(struct task *t)
{
	struct reg_cache rc = {.loaded = false};
	struct l_sigaction act;
	struct l_siginfo info;
	int r;

	pctx_settle();
	for (;;) {
		enum next n = next_signal(t, &info);

		if (n == NEXT_LEAVE)
			return false;
		if (n == NEXT_NONE)
			break;
		r = n == NEXT_STOPPED ? stop(t, &rc) : ask_tracer(t, &rc, &info);
		if (r < 0)
			goto out_dead;
		if (n == NEXT_STOPPED || r == 0)
			continue;
		act = take_action(t, info.si_signo);
		if (act.handler == L_SIG_IGN)
			continue;
		if (act.handler == L_SIG_DFL) {
			if (t->process->unkillable && info.si_signo != L_SIGSTOP) /* that came from outside */
				continue;
			default_action(t, info.si_signo); /* if it was death, next_signal says leave */
			continue;
		}
		r = run_handler(t, &rc, &act, &info);
		if (r < 0)
			goto out_dead;
		if (UNLIKELY(t->syscall_work))
			trace_handler(t, &rc.regs);
	}
	if (t->restore_mask) {
		t->restore_mask = false;
		signal_set_blocked(t, t->saved_mask);
	}
	r = finish_call(t, &rc);
	if (r == 0 && rc.loaded)
		r = pctx_set_regs(t->ctx, &rc.regs);
	if (r == 0)
		return true;
out_dead:
	process_group_exit(t, L_SIGKILL);
	return false;
}
