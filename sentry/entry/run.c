/*
 * The run loop: every guest thread's sentry thread lives here.
 *
 *     look for signals -> let the guest run -> act on what happened -> again
 *
 * Who wants this task's attention (a signal, exit_group, a stop) first raises the sleeper's interrupt flag and then, if
 * ctx_running is set, kicks the context.  The loop sets ctx_running first and looks at the flag afterwards.  Both sides
 * use sequentially consistent atomics, so one of them sees the other: nothing is lost without a lock on this path.
 */
#include <stdatomic.h>
#include <string.h>

#include "abi/audit.h"
#include "abi/errno.h"
#include "abi/signal.h"
#include "sentry/entry/entry.h"
#include "sentry/entry/syscall_work.h"
#include "sentry/entry/strace.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/usage.h"
#include "sentry/vfs/vfs.h"

#define NR_read 0

/* A guest exception becomes a signal with the hardware's account of it, unless all it wanted was more stack. */
static void on_fault(struct task *t, const struct pf_fault *f)
{
	struct l_siginfo info;

	if (f->signo == L_SIGSEGV && f->code == L_SEGV_MAPERR && mm_grow_down(t, t->mm, f->addr) == 0)
		return;
	memset(&info, 0, sizeof(info));
	info.si_signo = f->signo;
	info.si_code = f->code;
	info.fault.addr = f->addr;
	t->last_fault = *f;
	signal_force(t, &info);
}

#define RED_ZONE 128

/* What the call copies may lie anywhere in the thread's frames, also where the main stack has not been touched yet. */
static void cover_stack(struct task *t, uint64_t sp)
{
	const struct mm *mm = t->mm;

	if (UNLIKELY(sp - RED_ZONE < mm->stack_start && sp > mm->stack_floor))
		(void)!mm_grow_down(t, t->mm, sp - RED_ZONE); /* else the copy fails, as it should */
}

static void on_syscall(struct task *t, const struct pf_event *ev)
{
	/* Linux looks at the low half of rax only. */
	struct sys_args args = {(uint32_t)ev->nr,
				{ev->args[0], ev->args[1], ev->args[2], ev->args[3], ev->args[4], ev->args[5]}};

	t->syscall_nr = args.nr;
	t->in_syscall = true;
	/* One that has slept in a ring has been entered before. */
	if (UNLIKELY(t->syscall_work) && !t->nap_file && !syscall_work_enter(t, ev->arch, ev->ip, &args)) {
		syscall_work_exit(t);
		return;
	}
	if (UNLIKELY(ev->arch != L_AUDIT_ARCH_X86_64)) {
		t->result = -ENOSYS; /* int 0x80: 32-bit calls are not offered */
		return;
	}
	if (UNLIKELY(ev->hot) && !t->trace.traced) /* a debugger is to find the text as it was */
		mm_patch_text(t, ev);
	if (UNLIKELY(ev->wants_room))
		mm_tell_room(t, ev->wants_room);
	cover_stack(t, ev->sp);
	if (UNLIKELY(strace_on))
		strace_enter(t, &args);
	t->result = dispatch(t, &args);
	if (UNLIKELY(strace_on))
		strace_exit(t, &args, t->result);
	if (UNLIKELY(t->syscall_work))
		syscall_work_exit(t);
}

/* Results of -1 to -4095 are errors; the internal codes lie among them, and signal_work makes results of those. */
static bool needs_signal_work(long result)
{
	return result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;
}

static bool before_guest(struct task *t)
{
	if (UNLIKELY(t->leaving))
		return false;
	if (t->in_syscall && !needs_signal_work(t->result) && !t->restore_mask && !signal_pending(t)) {
		pctx_set_result(t->ctx, t->result);
		t->in_syscall = false;
		return true;
	}
	if (t->in_syscall || t->restore_mask || signal_pending(t))
		return signal_work(t);
	return true;
}

static enum short_cuts allowed = SHORT_CUTS_ALL; /* immutable once there are guests */

void entry_allow_short_cuts(enum short_cuts s)
{
	allowed = s;
}

/* Tells the platform which calls it may answer: those that only ask for an id, change the mask, seek or use a pipe.  With
 * strace on, a tracer or filters, each is to be seen. */
static void publish_answers(struct task *t)
{
	static const struct sys_args none;
	bool seen = strace_on || t->syscall_work;
	struct pctx_answers a;

	atomic_store(&t->answers_stale, false);
	t->may_lend = !seen && allowed == SHORT_CUTS_ALL;
	signal_mask_keep(t);
	if (pctx_robust(t->ctx))
		atomic_store(&pctx_robust(t->ctx)->open, t->may_lend);
	if (seen || allowed == SHORT_CUTS_OFF) {
		pctx_set_answers(t->ctx, NULL);
		return;
	}
	a = (struct pctx_answers){
		.pid = (int)sys_getpid(t, &none),
		.tid = (int)sys_gettid(t, &none),
		.ppid = (int)sys_getppid(t, &none),
		.pgrp = (int)sys_getpgrp(t, &none),
		.uid = (uint32_t)sys_getuid(t, &none),
		.euid = (uint32_t)sys_geteuid(t, &none),
		.gid = (uint32_t)sys_getgid(t, &none),
		.egid = (uint32_t)sys_getegid(t, &none),
	};
	pctx_set_answers(t->ctx, &a);
}

/*
 * What t's thread comes with may be a read that has slept in a ring, with a file that its descriptor need not mean any more: then
 * t->nap_file is that.  A ring that is open yet is closed by the look at the descriptor.
 */
static void take_nap(struct task *t, const struct pf_event *ev)
{
	bool reads = ev->kind == PF_SYSCALL && ev->arch == L_AUDIT_ARCH_X86_64 && (uint32_t)ev->nr == NR_read;
	struct file *f = reads ? fd_lookup(t->files, (int)ev->args[0]) : NULL;

	if (f)
		file_put(f);
	f = pctx_owed(t->ctx);
	if (f && reads)
		t->nap_file = f;
	else if (f)
		file_put(f);
}

static void end_nap(struct task *t)
{
	if (t->nap_file)
		file_put(t->nap_file);
	t->nap_file = NULL;
}

void task_run(struct task *t)
{
	struct pf_event ev;

	while (before_guest(t)) {
		if (UNLIKELY(atomic_load(&t->answers_stale)))
			publish_answers(t);
		signal_mask_give(t);
		atomic_store(&t->ctx_running, true);
		if (UNLIKELY(signal_pending(t) || atomic_load(&t->answers_stale))) {
			atomic_store(&t->ctx_running, false);
			continue;
		}
		if (UNLIKELY(t->syscall_work & (WORK_STEP | WORK_WATCH)) && !trace_step_begin(t)) {
			atomic_store(&t->ctx_running, false);
			continue;
		}
		platform_switch(t->ctx, &ev);
		signal_mask_take(t);
		task_count_own_reads(t);
		/* Seen late it makes a kick too many. */
		atomic_store_explicit(&t->ctx_running, false, memory_order_release);
		if (UNLIKELY(t->syscall_work & (WORK_STEP | WORK_WATCH)))
			trace_step_end(t, &ev);
		if (UNLIKELY(pctx_napped(t->ctx)))
			take_nap(t, &ev);
		switch (ev.kind) {
		case PF_SYSCALL:
			on_syscall(t, &ev);
			break;
		case PF_FAULT:
			on_fault(t, &ev.fault);
			break;
		case PF_INTERRUPTED:
			break;
		case PF_DEAD:
			process_group_exit(t, L_SIGKILL);
			break;
		}
		if (UNLIKELY(t->nap_file != NULL)) /* it did not come to it */
			end_nap(t);
	}
}
