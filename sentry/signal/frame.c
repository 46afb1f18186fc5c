/*
 * The frame a handler finds on its stack, and rt_sigreturn(2), which loads it back.  The layout is the kernel's (arch/x86
 * ABI): from low to high struct l_rt_sigframe, then the floating-point state, 64-byte aligned, then the red zone.
 * What comes back was in the guest's hands: flags, segments and vector state are made harmless before use.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/signal/signal.h"

#define RED_ZONE 128
#define XSTATE_ALIGN 64

bool signal_on_altstack(const struct task *t, uint64_t sp)
{
	if (t->altstack.ss_flags & (L_SS_DISABLE | (int)L_SS_AUTODISARM))
		return false;
	return sp > t->altstack.ss_sp && sp - t->altstack.ss_sp <= t->altstack.ss_size;
}

static void regs_to_frame(const struct task *t, const struct abi_regs *r, struct l_sigcontext *mc)
{
	*mc = (struct l_sigcontext){
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13,
		.r14 = r->r14, .r15 = r->r15, .rdi = r->rdi, .rsi = r->rsi, .rbp = r->rbp, .rbx = r->rbx,
		.rdx = r->rdx, .rax = r->rax, .rcx = r->rcx, .rsp = r->rsp, .rip = r->rip,
		.eflags = r->eflags, .cs = (uint16_t)r->cs, .ss = (uint16_t)r->ss,
		.err = t->last_fault.err, .trapno = t->last_fault.trapno, .cr2 = t->last_fault.cr2,
	};
}

static void regs_from_frame(struct abi_regs *r, const struct l_sigcontext *mc)
{
	r->r8 = mc->r8;
	r->r9 = mc->r9;
	r->r10 = mc->r10;
	r->r11 = mc->r11;
	r->r12 = mc->r12;
	r->r13 = mc->r13;
	r->r14 = mc->r14;
	r->r15 = mc->r15;
	r->rdi = mc->rdi;
	r->rsi = mc->rsi;
	r->rbp = mc->rbp;
	r->rbx = mc->rbx;
	r->rdx = mc->rdx;
	r->rax = mc->rax;
	r->rcx = mc->rcx;
	r->rsp = mc->rsp;
	r->rip = mc->rip;
	r->eflags = (r->eflags & ~(uint64_t)L_EFLAGS_RESTORABLE) | (mc->eflags & L_EFLAGS_RESTORABLE);
	r->orig_rax = ~0ull;
}

/*
 * The segments of a frame, always with a user's privilege.  Those that name no code and data of a user's make the kernel's
 * return fault: -EINVAL.  A frame that does not say that its ss is meant is given a good one.
 */
static int segments_from_frame(struct abi_regs *r, const struct l_ucontext *uc)
{
	uint16_t cs = uc->uc_mcontext.cs | L_USER_RPL, ss = uc->uc_mcontext.ss | L_USER_RPL;

	if (!(uc->uc_flags & L_UC_STRICT_RESTORE_SS))
		ss = L_USER_DS;
	if ((cs != L_USER_CS && cs != L_USER_CS_32) || ss != L_USER_DS)
		return -EINVAL;
	r->cs = cs;
	r->ss = ss;
	return 0;
}

/* Where the stack begins for this handler; moves t onto its alternate stack if asked and possible. */
static uint64_t choose_stack(struct task *t, const struct l_sigaction *act, const struct abi_regs *regs)
{
	if ((act->flags & L_SA_ONSTACK) && !(t->altstack.ss_flags & L_SS_DISABLE) &&
	    !signal_on_altstack(t, regs->rsp))
		return t->altstack.ss_sp + t->altstack.ss_size;
	return regs->rsp - RED_ZONE;
}

/* A part of the frame goes out; a stack that grows is first extended as far as it takes. */
static int put_on_stack(struct task *t, gva_t at, const void *src, size_t len)
{
	int r = copy_out(t->ctx, at, src, len);

	if (r == -EFAULT && mm_grow_down(t, t->mm, at) == 0)
		r = copy_out(t->ctx, at, src, len);
	return r;
}

/* Writes the vector state just below *sp and moves *sp there. */
static int push_xstate(struct task *t, uint64_t *sp)
{
	size_t cap = platform_xstate_size(sandbox_platform());
	uint8_t *buf = calloc(1, cap + L_FP_XSTATE_MAGIC2_SIZE);
	const uint32_t magic2 = L_FP_XSTATE_MAGIC2;
	struct l_fpstate *fp;
	ssize_t n;
	int r;

	if (!buf)
		return -ENOMEM;
	n = pctx_get_xstate(t->ctx, buf, cap);
	if (n < 0) {
		r = (int)n;
		goto out;
	}
	fp = (struct l_fpstate *)buf;
	if (n > (ssize_t)sizeof(*fp)) {
		fp->sw_reserved.magic1 = L_FP_XSTATE_MAGIC1;
		fp->sw_reserved.xstate_size = (uint32_t)n;
		fp->sw_reserved.extended_size = (uint32_t)n + L_FP_XSTATE_MAGIC2_SIZE;
		memcpy(buf + n, &magic2, sizeof(magic2));
		n += L_FP_XSTATE_MAGIC2_SIZE;
	}
	*sp = (*sp - (uint64_t)n) & ~(uint64_t)(XSTATE_ALIGN - 1);
	r = put_on_stack(t, *sp, buf, (size_t)n);
out:
	free(buf);
	return r;
}

int signal_frame_push(struct task *t, const struct l_sigaction *act, const struct l_siginfo *info,
		      struct abi_regs *regs)
{
	struct l_rt_sigframe f;
	bool alt;
	uint64_t sp = choose_stack(t, act, regs), at;
	int r;

	memset(&f, 0, sizeof(f));
	alt = signal_on_altstack(t, sp) || sp == t->altstack.ss_sp + t->altstack.ss_size;
	r = push_xstate(t, &sp);
	if (r < 0)
		return r;
	f.uc.uc_mcontext.fpstate = sp;
	at = ((sp - sizeof(f)) & ~15ull) - 8;
	if (alt && !(t->altstack.ss_flags & L_SS_DISABLE) && at < t->altstack.ss_sp)
		return -EFAULT;
	if (!(act->flags & L_SA_RESTORER))
		return -EFAULT; /* the x86-64 ABI knows no other way back */
	f.pretcode = act->restorer;
	f.uc.uc_flags = L_UC_FP_XSTATE | L_UC_SIGCONTEXT_SS | L_UC_STRICT_RESTORE_SS;
	f.uc.uc_stack = t->altstack;
	{
		uint64_t fpstate = f.uc.uc_mcontext.fpstate;

		regs_to_frame(t, regs, &f.uc.uc_mcontext);
		f.uc.uc_mcontext.fpstate = fpstate;
	}
	f.uc.uc_sigmask = t->restore_mask ? t->saved_mask : t->blocked;
	f.uc.uc_mcontext.oldmask = f.uc.uc_sigmask;
	f.info = *info;
	r = put_on_stack(t, at, &f, sizeof(f));
	if (r < 0)
		return r;
	if (t->altstack.ss_flags & (int)L_SS_AUTODISARM)
		t->altstack = (struct l_stack){.ss_flags = L_SS_DISABLE};
	regs->rdi = (uint64_t)info->si_signo;
	regs->rsi = at + offsetof(struct l_rt_sigframe, info);
	regs->rdx = at + offsetof(struct l_rt_sigframe, uc);
	regs->rax = 0;
	regs->rip = act->handler;
	regs->rsp = at;
	regs->cs = L_USER_CS;
	regs->ss = L_USER_DS;
	regs->eflags &= ~(uint64_t)(L_EFLAGS_DF | L_EFLAGS_RF | L_EFLAGS_TF);
	regs->orig_rax = ~0ull;
	return 0;
}

/* Whether a state of size bytes at gva is all there: what comes behind it must be in its place. */
static int check_magic2(struct task *t, uint64_t gva, size_t size, bool *whole)
{
	uint32_t magic2;
	int r = copy_in(t->ctx, &magic2, gva + size, sizeof(magic2));

	*whole = r == 0 && magic2 == L_FP_XSTATE_MAGIC2;
	return r;
}

/* Loads the vector state at gva; 0 is a fresh process's. */
static int pop_xstate(struct task *t, uint64_t gva)
{
	size_t cap = platform_xstate_size(sandbox_platform()), size = sizeof(struct l_fpstate);
	struct l_fpstate head;
	bool whole = false;
	uint8_t *buf;
	int r;

	if (!gva)
		return pctx_set_xstate(t->ctx, NULL, 0);
	r = copy_in(t->ctx, &head, gva, sizeof(head));
	if (r < 0)
		return r;
	if (head.sw_reserved.magic1 == L_FP_XSTATE_MAGIC1 && head.sw_reserved.xstate_size > size &&
	    head.sw_reserved.xstate_size <= cap && head.sw_reserved.xstate_size <= head.sw_reserved.extended_size)
		r = check_magic2(t, gva, head.sw_reserved.xstate_size, &whole);
	if (r < 0)
		return r;
	if (whole)
		size = head.sw_reserved.xstate_size;
	else
		head.sw_reserved.magic1 = 0; /* the legacy part is all that counts */
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	r = copy_in(t->ctx, buf, gva, size);
	if (r == 0) {
		memcpy(buf, &head, sizeof(head)); /* what was checked is what is used */
		r = pctx_set_xstate(t->ctx, buf, size);
	}
	free(buf);
	return r;
}

int signal_frame_pop(struct task *t, struct abi_regs *regs)
{
	struct l_ucontext uc;
	uint64_t at;
	int r;

	at = regs->rsp - 8 + offsetof(struct l_rt_sigframe, uc);
	r = copy_in(t->ctx, &uc, at, sizeof(uc));
	if (r < 0)
		return r;
	r = pop_xstate(t, uc.uc_mcontext.fpstate);
	if (r < 0)
		return r;
	r = segments_from_frame(regs, &uc);
	if (r < 0)
		return r;
	regs_from_frame(regs, &uc.uc_mcontext);
	signal_set_blocked(t, uc.uc_sigmask);
	/* As sigaltstack(2) would, but errors are ignored: the rest of the frame is good. */
	uc.uc_stack.ss_flags &= ~L_SS_ONSTACK;
	if ((uc.uc_stack.ss_flags & ~(L_SS_DISABLE | (int)L_SS_AUTODISARM)) == 0 &&
	    ((uc.uc_stack.ss_flags & L_SS_DISABLE) || uc.uc_stack.ss_size >= L_MINSIGSTKSZ) &&
	    !signal_on_altstack(t, regs->rsp))
		t->altstack = uc.uc_stack;
	return 0;
}
