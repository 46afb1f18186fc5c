/* Where a tracee stops by itself: calls, clones, exec, exit, signals, steps.  Called by the tracee's own thread. */
#include <string.h>

#include "abi/errno.h"
#include "abi/ptrace.h"
#include "abi/sched.h"
#include "abi/wait.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"

/* ---- events ---- */

static bool wants(const struct task *t, uint32_t option)
{
	return t->trace.traced && (t->trace.options & option);
}

static void stop_for_event(struct task *t, int event, uint64_t message, bool final)
{
	struct trace_stop s = {.code = L_SIGTRAP | event << 8, .event = event, .message = message, .final = final};
	struct l_siginfo info;

	trace_fill_info(t, &info, s.code);
	s.info = &info;
	(void)!trace_stop_here(t, &s); /* a signal means nothing at an event */
}

int trace_clone_event(const struct task *t, uint64_t flags, int exit_signal)
{
	int event;

	if (!t->trace.traced)
		return 0;
	if (flags & L_CLONE_UNTRACED)
		return 0;
	if ((flags & L_CLONE_VFORK) && wants(t, L_PTRACE_O_TRACEVFORK))
		event = L_PTRACE_EVENT_VFORK;
	else if (flags & L_CLONE_VFORK)
		event = 0;
	else if (exit_signal != L_SIGCHLD)
		event = wants(t, L_PTRACE_O_TRACECLONE) ? L_PTRACE_EVENT_CLONE : 0;
	else
		event = wants(t, L_PTRACE_O_TRACEFORK) ? L_PTRACE_EVENT_FORK : 0;
	return !event && (flags & L_CLONE_PTRACE) ? -1 : event;
}

/* tid, as t's tracer knows it. */
static uint64_t seen_by_tracer(struct task *t, int tid)
{
	int nr;

	mutex_lock(&tasks_lock);
	nr = t->trace.tracer ? global_nr_locked(tid, task_pid_ns(t->trace.tracer)) : tid;
	mutex_unlock(&tasks_lock);
	return (uint64_t)nr;
}

void trace_clone(struct task *t, int event, int child_tid)
{
	if (event > 0)
		stop_for_event(t, event, seen_by_tracer(t, child_tid), false);
}

void trace_vfork_done(struct task *t, int child_tid)
{
	if (wants(t, L_PTRACE_O_TRACEVFORKDONE))
		stop_for_event(t, L_PTRACE_EVENT_VFORK_DONE, seen_by_tracer(t, child_tid), false);
}

void trace_exec(struct task *t, int old_tid)
{
	struct l_siginfo info;

	if (!t->trace.traced)
		return;
	if (wants(t, L_PTRACE_O_TRACEEXEC)) {
		stop_for_event(t, L_PTRACE_EVENT_EXEC, seen_by_tracer(t, old_tid), false);
	} else if (!t->trace.seized) {
		signal_fill_user(&info, L_SIGTRAP, L_SI_USER, t);
		(void)!signal_send_task(t, &info); /* a standard signal is never refused */
	}
}

void trace_exit(struct task *t, int wait_status)
{
	if (wants(t, L_PTRACE_O_TRACEEXIT))
		stop_for_event(t, L_PTRACE_EVENT_EXIT, (uint64_t)wait_status, true);
}

/* ---- system calls ---- */

static void stop_for_call(struct task *t, struct abi_regs *regs, enum trace_op op)
{
	bool good = wants(t, L_PTRACE_O_TRACESYSGOOD);
	struct trace_stop s = {
		.code = L_SIGTRAP | (good ? 0x80 : 0),
		.op = op,
		.message = op == TRACE_OP_ENTRY ? L_PTRACE_EVENTMSG_SYSCALL_ENTRY : L_PTRACE_EVENTMSG_SYSCALL_EXIT,
	};
	struct l_siginfo info;
	int sig;

	trace_fill_info(t, &info, s.code);
	s.info = &info;
	sig = trace_stop(t, &s, regs);
	if (sig_valid(sig)) {
		signal_fill_kernel(&info, sig);
		(void)!signal_send_task(t, &info); /* SI_KERNEL is never refused */
	}
}

/* The call as it stands in the registers, for t and *args; false if there is none any more. */
static bool take_call(struct task *t, const struct abi_regs *regs, struct sys_args *args)
{
	*args = (struct sys_args){(uint32_t)regs->orig_rax,
				  {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9}};
	t->syscall_nr = args->nr;
	return (int32_t)regs->orig_rax != -1;
}

bool trace_syscall_entry(struct task *t, struct sys_args *args)
{
	bool emulate = (t->syscall_work & WORK_EMULATE) != 0;
	struct abi_regs regs;

	if (pctx_get_regs(t->ctx, &regs) < 0)
		return false;
	regs.orig_rax = args->nr;
	regs.rax = (uint64_t)-ENOSYS;
	stop_for_call(t, &regs, TRACE_OP_ENTRY);
	t->result = (long)regs.rax;
	if (!t->trace.regs_dirty)
		return !emulate && !task_killed(t);
	if (pctx_set_regs(t->ctx, &regs) < 0)
		log_debug("the registers that a tracer set were refused");
	return take_call(t, &regs, args) && !emulate && !task_killed(t);
}

bool trace_suspends_seccomp(const struct task *t)
{
	return wants(t, L_PTRACE_O_SUSPEND_SECCOMP);
}

bool trace_seccomp(struct task *t, struct sys_args *args, uint32_t data)
{
	struct trace_stop s = {
		.code = L_SIGTRAP | L_PTRACE_EVENT_SECCOMP << 8,
		.event = L_PTRACE_EVENT_SECCOMP,
		.op = TRACE_OP_SECCOMP,
		.message = data,
	};
	struct l_siginfo info;
	struct abi_regs regs;

	t->result = -ENOSYS;
	if (!wants(t, L_PTRACE_O_TRACESECCOMP) || pctx_get_regs(t->ctx, &regs) < 0)
		return false;
	regs.orig_rax = args->nr;
	regs.rax = (uint64_t)-ENOSYS;
	trace_fill_info(t, &info, s.code);
	s.info = &info;
	(void)!trace_stop(t, &s, &regs); /* a signal means nothing at an event */
	t->result = (long)regs.rax;
	if (!t->trace.regs_dirty)
		return !task_killed(t);
	if (pctx_set_regs(t->ctx, &regs) < 0)
		log_debug("the registers that a tracer set were refused");
	return take_call(t, &regs, args) && !task_killed(t);
}

/* What the tracer sees of a call in hand, whose result is not in the context yet. */
static void show_call(const struct task *t, struct abi_regs *regs)
{
	if (!t->in_syscall) {
		regs->orig_rax = UINT64_MAX;
		return;
	}
	regs->rax = (uint64_t)t->result;
	regs->orig_rax = t->syscall_nr;
}

/*
 * And what the tracer made of it.  Without a number there is no call that could be made again; with one there is, even
 * if it is an earlier one, whose registers the tracer had kept and put back.
 */
static void take_result(struct task *t, const struct abi_regs *regs)
{
	long result = (long)regs->rax;
	bool restarts = result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;

	if ((int32_t)regs->orig_rax < 0) {
		t->in_syscall = false;
	} else if (t->in_syscall || restarts) {
		t->in_syscall = true;
		t->result = result;
		t->syscall_nr = (uint32_t)regs->orig_rax;
	}
}

/* The trap after one instruction, which was the call. */
static void report_step(struct task *t, uint64_t ip)
{
	struct l_siginfo info;

	memset(&info, 0, sizeof(info));
	info.si_signo = L_SIGTRAP;
	info.si_code = L_TRAP_BRKPT;
	info.fault.addr = ip;
	signal_force(t, &info);
}

void trace_syscall_exit(struct task *t)
{
	unsigned work = t->syscall_work;
	struct abi_regs regs;

	if (!(work & (WORK_TRACE | WORK_STEP)) || pctx_get_regs(t->ctx, &regs) < 0)
		return;
	if (work & WORK_TRACE) {
		show_call(t, &regs);
		if (!t->in_syscall)
			regs.orig_rax = t->syscall_nr;
		stop_for_call(t, &regs, TRACE_OP_EXIT);
		if (t->trace.regs_dirty) {
			take_result(t, &regs);
			if (pctx_set_regs(t->ctx, &regs) < 0)
				log_debug("the registers that a tracer set were refused");
		}
	}
	if ((work & WORK_STEP) && !(work & WORK_EMULATE))
		report_step(t, regs.rip);
}

/* ---- signals ---- */

/* A signal that t's tracer made of another. */
static void fill_from_tracer(const struct task *t, int sig, struct l_siginfo *info) REQUIRES(tasks_lock)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = L_SI_USER;
	if (!t->trace.tracer)
		return; /* gone since */
	info->kill.pid = process_nr(t->trace.tracer->process, task_pid_ns(t));
	info->kill.uid = cred_show_uid(t->cred, task_uid(t->trace.tracer));
}

bool trace_signal(struct task *t, struct l_siginfo *info, struct abi_regs *regs)
{
	struct trace_stop s = {.code = info->si_signo, .info = info};
	struct l_siginfo next;
	bool blocked;
	int sig;

	if (!t->trace.traced || info->si_signo == L_SIGKILL)
		return true;
	show_call(t, regs);
	sig = trace_stop(t, &s, regs);
	if (t->trace.regs_dirty)
		take_result(t, regs);
	if (!sig_valid(sig))
		return false;
	mutex_lock(&tasks_lock);
	next = t->trace.info;
	if (sig != next.si_signo)
		fill_from_tracer(t, sig, &next);
	mutex_unlock(&tasks_lock);
	*info = next;
	blocked = (t->blocked & sig_bit(sig)) != 0;
	if (blocked)
		(void)!signal_send_task(t, &next); /* it is kept until then; a real-time signal may be one too many */
	return !blocked;
}

void trace_group_stop(struct task *t, int sig, struct abi_regs *regs)
{
	bool seized = t->trace.seized;
	struct trace_stop s = {.code = sig, .group_stop = true};
	struct l_siginfo info;

	if (seized) {
		s.code = sig | L_PTRACE_EVENT_STOP << 8;
		s.event = L_PTRACE_EVENT_STOP;
		trace_fill_info(t, &info, s.code);
		info.si_signo = sig;
		s.info = &info;
	}
	if (t->in_syscall)
		show_call(t, regs);
	(void)!trace_stop(t, &s, regs); /* a signal means nothing here */
	if (t->trace.regs_dirty)
		take_result(t, regs);
}

void trace_handler(struct task *t, struct abi_regs *regs)
{
	struct trace_stop s = {.code = L_SIGTRAP};
	struct l_siginfo info;

	if (!(t->syscall_work & WORK_STEP))
		return;
	trace_fill_info(t, &info, L_SIGTRAP);
	s.info = &info;
	(void)!trace_stop(t, &s, regs); /* ptrace_notify's, where a signal means nothing */
}

/* ---- single steps ---- */

bool trace_step_begin(struct task *t)
{
	struct abi_regs regs;

	if (pctx_get_regs(t->ctx, &regs) < 0)
		return true;
	if ((t->syscall_work & WORK_WATCH) && !trace_watch_begin(t, regs.rip))
		return false;
	t->trace.guest_step = (regs.eflags & L_EFLAGS_TF) != 0;
	regs.eflags |= L_EFLAGS_TF;
	if (pctx_set_regs(t->ctx, &regs) < 0)
		log_debug("the trap flag could not be set");
	return true;
}

void trace_step_end(struct task *t, struct pf_event *ev)
{
	bool trapped = ev->kind == PF_FAULT && ev->fault.signo == L_SIGTRAP && ev->fault.code == L_TRAP_TRACE;
	struct abi_regs regs;

	if (ev->kind == PF_DEAD)
		return;
	if (ev->kind != PF_INTERRUPTED)
		t->trace.met_ip = 0;
	if (!t->trace.guest_step && pctx_get_regs(t->ctx, &regs) == 0) {
		regs.eflags &= ~(uint64_t)L_EFLAGS_TF;
		if (pctx_set_regs(t->ctx, &regs) < 0)
			log_debug("the trap flag could not be cleared");
	}
	if (!trapped || !(t->syscall_work & WORK_WATCH))
		return;
	if (trace_watch_end(t))
		ev->fault.code = L_TRAP_HWBKPT;
	else if (!(t->syscall_work & WORK_STEP) && !t->trace.guest_step)
		ev->kind = PF_INTERRUPTED; /* nobody asked for this trap */
}
