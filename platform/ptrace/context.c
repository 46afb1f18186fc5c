/*
 * Contexts: making, attaching and ending guest threads, and the switch that runs one until its next event.
 *
 * A kick is a flag and a signal.  Who kicks sets the flag, then looks whether the context is running; who runs says so,
 * then looks at the flag: one of the two sees the other.  A signal that comes too late finds the flag down and is
 * dropped.
 */
#include <elf.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "platform/arch/x86_64/fault.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/ptrace/internal.h"
#include "platform/ptrace/shim.h"

/* What the calling thread attached last: all that it needs outside of execve, where it has two. */
static _Thread_local struct ptrace_ctx *attached;

/* ---- life ---- */

struct ptrace_ctx *ctx_alloc(struct ptrace_as *as)
{
	struct ptrace_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->base.as = &as->base;
	list_init(&ctx->node);
	placement_init(&ctx->placement);
	return ctx;
}

void ctx_set_thread(struct ptrace_ctx *ctx, pid_t tid)
{
	struct ptrace_as *as = to_as(ctx->base.as);

	struct ptrace_platform *pf = platform_of(as);

	tracee_init(&ctx->tracee, as->base.host_pid, tid, pf->shim_base, &pf->dog);
}

void ctx_publish(struct ptrace_ctx *ctx)
{
	struct ptrace_as *as = to_as(ctx->base.as);

	pas_get(&as->base);
	mutex_lock(&as->lock);
	list_add_tail(&ctx->node, &as->contexts);
	mutex_unlock(&as->lock);
}

int ctx_seize(struct ptrace_ctx *ctx)
{
	int r;

	/* Pinned first, so that even the first stop does not wake another CPU. */
	placement_attach(&ctx->placement, ctx->tracee.tid);
	r = tracee_seize(&ctx->tracee);
	if (r < 0)
		placement_detach(&ctx->placement);
	return r == -ESRCH ? as_lost(to_as(ctx->base.as)) : r;
}

struct ptrace_ctx *ctx_mine(struct ptrace_as *as)
{
	return attached && attached->base.as == &as->base ? attached : NULL;
}

struct ptrace_ctx *ctx_for_calls(struct ptrace_as *as, struct pctx *via)
{
	if (via)
		return to_ctx(via);
	if (as->creator == gettid())
		return as->first;
	return ctx_mine(as);
}

/* The fresh address space's first thread goes back to the park, for whichever thread attaches it. */
static int spawn_first(struct ptrace_as *as, struct pctx **out)
{
	struct ptrace_ctx *ctx = as->first;
	int r = tracee_park(&ctx->tracee);

	if (r < 0)
		return as_lost(as);
	placement_detach(&ctx->placement);
	mutex_lock(&as->lock);
	as->first = NULL;
	mutex_unlock(&as->lock);
	as->creator = 0;
	ctx_publish(ctx);
	*out = &ctx->base;
	return 0;
}

int ptrace_ctx_spawn(struct pas *base, struct pctx *via_base, struct pctx **out)
{
	struct ptrace_as *as = to_as(base);
	struct ptrace_ctx *via = ctx_for_calls(as, via_base), *ctx;
	struct abi_regs io = {.rax = SYS_clone, .rdi = STUB_THREAD_FLAGS};

	if (!via)
		return -EINVAL;
	if (via == as->first)
		return spawn_first(as, out);
	ctx = ctx_alloc(as);
	if (!ctx)
		return -ENOMEM;
	if (tracee_run_shim(&via->tracee, SHIM_AT(via->tracee.shim_base, clone), &io) < 0) {
		free(ctx);
		return as_lost(as);
	}
	if ((int64_t)io.rax < 0) {
		free(ctx);
		return (int)io.rax;
	}
	ctx_set_thread(ctx, (pid_t)io.rax);
	ctx_publish(ctx);
	*out = &ctx->base;
	return 0;
}

struct pf_thread ptrace_thread(const struct pctx *base)
{
	return (struct pf_thread){container_of(base, struct ptrace_ctx, base)->tracee.tid, 0};
}

int ptrace_ctx_attach(struct pctx *base)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	int r;

	if (ctx->tracee.traced)
		return -EINVAL;
	r = ctx_seize(ctx);
	if (r == 0)
		attached = ctx;
	return r;
}

/* Ends the thread and frees ctx, or leaves both to the watcher if the thread is dying and not yet dead. */
static void end_thread(struct ptrace_as *as, struct ptrace_ctx *ctx)
{
	struct tracee *t = &ctx->tracee;
	bool ended = tracee_end(t);

	placement_detach(&ctx->placement);
	if (t->reaped && t->tid == t->pid)
		atomic_store(&as->leader_reaped, true);
	if (t->gone)
		(void)as_lost(as);
	if (ended) {
		free(ctx);
		return;
	}
	mutex_lock(&as->lock);
	list_add_tail(&ctx->node, &as->left);
	mutex_unlock(&as->lock);
}

void ptrace_ctx_destroy(struct pctx *base)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	struct ptrace_as *as = to_as(base->as);

	/* Off the list before the thread ends: no other thread reaches into the stub by its id any more. */
	mutex_lock(&as->lock);
	list_del_init(&ctx->node);
	mutex_unlock(&as->lock);
	if (attached == ctx)
		attached = NULL;
	/* Nobody else can end a thread that was never attached; if it cannot be seized its stub is dead, or is to be. */
	if (!ctx->tracee.traced && !atomic_load(&as->base.dead) && tracee_seize(&ctx->tracee) < 0)
		(void)as_lost(as);
	end_thread(as, ctx);
	pas_put(&as->base);
}

/* ---- events ---- */

/* True if the stop became an event; false if the guest is to go on. */
static bool syscall_event(struct ptrace_ctx *ctx, struct pf_event *ev)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, ctx->tracee.tid, (void *)sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false; /* it is dying: the next wait tells */
	ev->kind = PF_SYSCALL;
	ev->arch = info.arch;
	ev->nr = info.entry.nr;
	for (size_t i = 0; i < ARRAY_SIZE(ev->args); i++)
		ev->args[i] = info.entry.args[i];
	ev->ip = info.instruction_pointer;
	ev->sp = info.stack_pointer;
	return true;
}

/* The filter made a signal of a call to the vsyscall page; the host has done the return to the caller already. */
static void vsyscall_event(const struct abi_regs *regs, struct pf_event *ev)
{
	ev->kind = PF_SYSCALL;
	ev->arch = AUDIT_ARCH_X86_64;
	ev->nr = regs->rax;
	ev->args[0] = regs->rdi;
	ev->args[1] = regs->rsi;
	ev->args[2] = regs->rdx;
	ev->args[3] = regs->r10;
	ev->args[4] = regs->r8;
	ev->args[5] = regs->r9;
}

/* False if the thread is dying. */
static bool fault_event(struct ptrace_ctx *ctx, const siginfo_t *info, struct pf_fault *f)
{
	struct ptrace_as *as = to_as(ctx->base.as);
	struct tracee_exception e = {.cr2 = ctx->last_cr2};
	int r = 0;

	fault_from_siginfo(f, info);
	if (fault_needs_more(f)) {
		ctx_abort_rseq(ctx); /* as the host would for a signal: it will find the thread elsewhere */
		mutex_lock(&as->frame_lock);
		r = tracee_exception(&ctx->tracee, &e);
		mutex_unlock(&as->frame_lock);
		f->trapno = e.trapno;
		f->err = e.err;
	}
	f->cr2 = ctx->last_cr2 = e.cr2;
	return r == 0;
}

static bool signal_event(struct ptrace_ctx *ctx, int signo, struct pf_event *ev)
{
	struct abi_regs regs;
	siginfo_t info;

	if (signo == KICK_SIGNAL) {
		if (!atomic_exchange(&ctx->kicked, false))
			return false;
		ev->kind = PF_INTERRUPTED;
	} else if (tracee_siginfo(&ctx->tracee, &info) < 0 || !fault_is_exception(&info)) {
		return false; /* somebody on the host sent it: guests take signals from guests only */
	}
	ctx_abort_rseq(ctx);
	if (tracee_get_regs(&ctx->tracee, &regs) < 0)
		return false;
	ev->ip = regs.rip;
	ev->sp = regs.rsp;
	if (signo == SIGSYS) {
		vsyscall_event(&regs, ev);
	} else if (signo != KICK_SIGNAL) {
		ev->kind = PF_FAULT;
		return fault_event(ctx, &info, &ev->fault);
	}
	return true;
}

static void run_until_event(struct ptrace_ctx *ctx, struct pf_event *ev)
{
	struct tracee *t = &ctx->tracee;
	bool done = false;

	while (!done) {
		struct stop stop = {STOP_GONE, 0};

		if (tracee_resume(t, PTRACE_SYSEMU) == 0)
			stop = tracee_wait(t);
		switch (stop.kind) {
		case STOP_SYSCALL:
			done = syscall_event(ctx, ev);
			break;
		case STOP_SIGNAL:
			done = signal_event(ctx, stop.signo, ev);
			break;
		case STOP_EVENT:
			break;
		case STOP_GONE:
			as_lost(to_as(ctx->base.as));
			ev->kind = PF_DEAD;
			done = true;
			break;
		}
	}
}

void ptrace_run(struct pctx *base, struct pf_event *ev)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	struct abi_regs regs;

	atomic_store(&ctx->running, true);
	if (!atomic_exchange(&ctx->kicked, false)) {
		run_until_event(ctx, ev);
	} else if (tracee_get_regs(&ctx->tracee, &regs) == 0) {
		ev->kind = PF_INTERRUPTED;
		ev->ip = regs.rip;
		ev->sp = regs.rsp;
	} else {
		as_lost(to_as(base->as));
		ev->kind = PF_DEAD;
	}
	atomic_store(&ctx->running, false);
	ctx->at_syscall = ev->kind == PF_SYSCALL;
}

void ptrace_interrupt(struct pctx *base)
{
	struct ptrace_ctx *ctx = to_ctx(base);

	atomic_store(&ctx->kicked, true);
	if (atomic_load(&ctx->running)) {
		syscall(SYS_tgkill, ctx->tracee.pid, ctx->tracee.tid, KICK_SIGNAL);
		watchdog_wake(ctx->tracee.dog);
	}
}

/* ---- registers ---- */

int ptrace_get_regs(struct pctx *base, struct abi_regs *out)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	int r;

	ctx_abort_rseq(ctx);
	r = tracee_get_regs(&ctx->tracee, out);
	/* After a kick the host may still show the number of a call that was answered long ago. */
	if (r == 0 && !ctx->at_syscall)
		out->orig_rax = UINT64_MAX;
	return r;
}

int ptrace_set_regs(struct pctx *base, const struct abi_regs *regs)
{
	struct ptrace_ctx *ctx = to_ctx(base);

	if (ctx->tracee.gone)
		return -ESRCH;
	tracee_set_regs(&ctx->tracee, regs);
	return 0;
}

void ptrace_set_result(struct pctx *base, long result)
{
	tracee_set_rax(&to_ctx(base)->tracee, (uint64_t)result);
}

/* NT_X86_XSTATE or, on a machine without XSAVE, NT_PRFPREG: both in standard form. */
static long xstate_request(struct ptrace_ctx *ctx, enum __ptrace_request req, void *state, size_t *size)
{
	unsigned long note = *size > XSTATE_LEGACY_SIZE ? NT_X86_XSTATE : NT_PRFPREG;
	struct iovec iov = {state, *size};
	long r = ptrace(req, ctx->tracee.tid, (void *)note, &iov);

	*size = iov.iov_len;
	return r < 0 ? -errno : 0;
}

ssize_t ptrace_get_xstate(struct pctx *base, void *buf, size_t cap)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	struct ptrace_platform *pf = platform_of(to_as(base->as));
	uint8_t state[XSTATE_MAX];
	size_t size = min_of(pf->base.xstate_size, sizeof(state));
	long r = xstate_request(ctx, PTRACE_GETREGSET, state, &size);

	if (r < 0)
		return r;
	xstate_mark(state, size, pf->xfeatures);
	memcpy(buf, state, min_of(size, cap));
	return (ssize_t)size;
}

int ptrace_set_xstate(struct pctx *base, const void *buf, size_t size)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	struct ptrace_platform *pf = platform_of(to_as(base->as));
	uint8_t state[XSTATE_MAX];
	size_t full = min_of(pf->base.xstate_size, sizeof(state));
	long r;

	if (size == 0) {
		xstate_fresh(state, full);
	} else {
		r = xstate_from_frame(state, full, pf->xfeatures, buf, size);
		if (r < 0)
			return (int)r;
		if (!xstate_loadable(state, full, pf->xfeatures))
			return -EINVAL;
	}
	r = xstate_request(ctx, PTRACE_SETREGSET, state, &full);
	if (r == -ESRCH)
		return as_lost(to_as(base->as));
	return r < 0 ? -EINVAL : 0;
}
