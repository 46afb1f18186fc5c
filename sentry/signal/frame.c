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
#define FXSAVE_ALIGN 16 /* of the legacy part alone */

bool signal_on_altstack(const struct task *t, uint64_t sp)
{
	if (t->altstack.ss_flags & (L_SS_DISABLE | (int)L_SS_AUTODISARM))
		return false;
	return sp > t->altstack.ss_sp && sp - t->altstack.ss_sp <= t->altstack.ss_size;
}

void signal_set_altstack(struct task *t, const struct l_stack *s)
{
	if (memcmp(&t->altstack, s, sizeof(*s)) == 0)
		return;
	t->altstack = *s;
	signal_mask_keep(t); /* it is lent with the mask */
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

/*
 * A frame as it lies on the stack, without the return address's slot of its caller: the struct, a gap, the vector state and the word
 * behind it.
 */
struct whole_frame {
	uint64_t at, fpstate; /* addresses */
	size_t state_size;    /* bytes of vector state; more than a legacy one is followed by MAGIC2 */
};

static size_t frame_tail(const struct whole_frame *w)
{
	return w->state_size + (w->state_size > sizeof(struct l_fpstate) ? L_FP_XSTATE_MAGIC2_SIZE : 0);
}

/* Where a frame goes below sp. */
static struct whole_frame place_frame(uint64_t sp)
{
	struct whole_frame w = {.state_size = platform_xstate_size(sandbox_platform())};

	w.fpstate = (sp - frame_tail(&w)) & ~(uint64_t)(XSTATE_ALIGN - 1);
	w.at = ((w.fpstate - sizeof(struct l_rt_sigframe)) & ~15ull) - 8;
	return w;
}

/* The vector state and what marks its end, to x, which has room for it. */
static int put_xstate(struct task *t, const struct whole_frame *w, uint8_t *x)
{
	const uint32_t magic2 = L_FP_XSTATE_MAGIC2;
	struct l_fpstate *fp = (struct l_fpstate *)x;
	ssize_t n = pctx_get_xstate(t->ctx, x, w->state_size);

	if (n < 0)
		return (int)n;
	if (w->state_size > sizeof(*fp)) {
		fp->sw_reserved.magic1 = L_FP_XSTATE_MAGIC1;
		fp->sw_reserved.xstate_size = (uint32_t)w->state_size;
		fp->sw_reserved.extended_size = (uint32_t)w->state_size + L_FP_XSTATE_MAGIC2_SIZE;
		memcpy(x + w->state_size, &magic2, sizeof(magic2));
	}
	return 0;
}

/* Puts the frame on the stack, with t's vector state, and gives t a fresh one. */
static int write_frame(struct task *t, const struct whole_frame *w, const struct l_rt_sigframe *f)
{
	size_t head = (size_t)(w->fpstate - w->at), size = head + frame_tail(w);
	uint8_t *buf;
	int r;

	/* A stack that grows is first extended as far as it takes. */
	r = pctx_put_frame(t->ctx, w->at, f, w->fpstate);
	if (r == -EFAULT && mm_grow_down(t, t->mm, w->at) == 0)
		r = pctx_put_frame(t->ctx, w->at, f, w->fpstate);
	if (r != 0)
		return r < 0 ? r : 0;
	buf = calloc(1, size);
	if (!buf)
		return -ENOMEM;
	memcpy(buf, f, sizeof(*f));
	r = put_xstate(t, w, buf + head);
	if (r == 0)
		r = copy_out(t->ctx, w->at, buf, size);
	if (r == -EFAULT && mm_grow_down(t, t->mm, w->at) == 0)
		r = copy_out(t->ctx, w->at, buf, size);
	if (r == 0)
		r = pctx_set_xstate(t->ctx, NULL, 0);
	free(buf);
	return r;
}

int signal_frame_push(struct task *t, const struct l_sigaction *act, const struct l_siginfo *info,
		      struct abi_regs *regs)
{
	struct l_rt_sigframe f;
	uint64_t sp = choose_stack(t, act, regs);
	bool alt = signal_on_altstack(t, sp) || sp == t->altstack.ss_sp + t->altstack.ss_size;
	struct whole_frame w = place_frame(sp);
	int r;

	if (alt && !(t->altstack.ss_flags & L_SS_DISABLE) && w.at < t->altstack.ss_sp)
		return -EFAULT;
	if (!(act->flags & L_SA_RESTORER))
		return -EFAULT; /* the x86-64 ABI knows no other way back */
	memset(&f, 0, sizeof(f));
	f.pretcode = act->restorer;
	f.uc.uc_flags = L_UC_FP_XSTATE | L_UC_SIGCONTEXT_SS | L_UC_STRICT_RESTORE_SS;
	f.uc.uc_stack = t->altstack;
	regs_to_frame(t, regs, &f.uc.uc_mcontext);
	f.uc.uc_mcontext.fpstate = w.fpstate;
	f.uc.uc_sigmask = t->restore_mask ? t->saved_mask : t->blocked;
	f.uc.uc_mcontext.oldmask = f.uc.uc_sigmask;
	f.info = *info;
	r = write_frame(t, &w, &f);
	if (r < 0)
		return r;
	if (t->altstack.ss_flags & (int)L_SS_AUTODISARM)
		signal_set_altstack(t, &(struct l_stack){.ss_flags = L_SS_DISABLE});
	regs->rdi = (uint64_t)info->si_signo;
	regs->rsi = w.at + offsetof(struct l_rt_sigframe, info);
	regs->rdx = w.at + offsetof(struct l_rt_sigframe, uc);
	regs->rax = 0;
	regs->rip = act->handler;
	regs->rsp = w.at;
	regs->cs = L_USER_CS;
	regs->ss = L_USER_DS;
	regs->eflags &= ~(uint64_t)(L_EFLAGS_DF | L_EFLAGS_RF | L_EFLAGS_TF);
	regs->orig_rax = ~0ull;
	return 0;
}

/*
 * What was read of a frame's memory: [at, at + got).  Mostly that is the whole of it, for the vector state is where place_frame
 * puts it; else that is read by itself.
 */
struct frame_bytes {
	uint64_t at;
	size_t got, cap;
	uint8_t *bytes;
};

static int read_bytes(struct task *t, struct frame_bytes *b, uint64_t at)
{
	ssize_t n = copy_in_some(t->ctx, b->bytes, at, b->cap);

	if (n < 0)
		return -EFAULT;
	b->at = at;
	b->got = (size_t)n;
	return 0;
}

/* Loads the vector state at gva; 0 is a fresh process's.  Uses b up. */
static int pop_xstate(struct task *t, struct frame_bytes *b, uint64_t gva)
{
	size_t cap = platform_xstate_size(sandbox_platform()), size = sizeof(struct l_fpstate), have, marked;
	struct l_fpstate *head;
	uint32_t magic2;
	int r;

	if (!gva)
		return pctx_set_xstate(t->ctx, NULL, 0);
	if (gva & (FXSAVE_ALIGN - 1))
		return -EINVAL;
	if (gva < b->at || gva - b->at > b->got || b->got - (gva - b->at) < cap + sizeof(magic2)) {
		r = read_bytes(t, b, gva);
		if (r < 0)
			return r;
	}
	have = b->got - (size_t)(gva - b->at);
	head = (struct l_fpstate *)(b->bytes + (gva - b->at));
	if (have < size)
		return -EFAULT;
	marked = head->sw_reserved.xstate_size;
	if (head->sw_reserved.magic1 == L_FP_XSTATE_MAGIC1 && marked > size && marked <= cap &&
	    marked <= head->sw_reserved.extended_size) {
		if (have < marked + sizeof(magic2))
			return -EFAULT;
		memcpy(&magic2, (uint8_t *)head + marked, sizeof(magic2));
		if (magic2 == L_FP_XSTATE_MAGIC2)
			size = marked;
	}
	if (size > sizeof(*head) && (gva & (XSTATE_ALIGN - 1)))
		return -EINVAL;
	if (size == sizeof(*head))
		head->sw_reserved.magic1 = 0; /* the legacy part is all that counts */
	return pctx_set_xstate(t->ctx, head, size);
}

static int load_frame(struct task *t, struct frame_bytes *b, struct l_ucontext *uc, struct abi_regs *regs)
{
	int r = read_bytes(t, b, regs->rsp - 8 + offsetof(struct l_rt_sigframe, uc));

	if (r == 0 && b->got < sizeof(*uc))
		r = -EFAULT;
	if (r < 0)
		return r;
	memcpy(uc, b->bytes, sizeof(*uc));
	r = pop_xstate(t, b, uc->uc_mcontext.fpstate);
	return r < 0 ? r : segments_from_frame(regs, uc);
}

int signal_frame_pop(struct task *t, struct abi_regs *regs)
{
	struct frame_bytes b = {.cap = sizeof(struct l_rt_sigframe) + XSTATE_ALIGN + platform_xstate_size(sandbox_platform()) +
				       L_FP_XSTATE_MAGIC2_SIZE};
	struct l_ucontext uc;
	int r;

	b.bytes = malloc(b.cap);
	if (!b.bytes)
		return -ENOMEM;
	r = load_frame(t, &b, &uc, regs);
	free(b.bytes);
	if (r < 0)
		return r;
	regs_from_frame(regs, &uc.uc_mcontext);
	signal_set_blocked(t, uc.uc_sigmask);
	/* As sigaltstack(2) would, but errors are ignored: the rest of the frame is good. */
	uc.uc_stack.ss_flags &= ~L_SS_ONSTACK;
	if ((uc.uc_stack.ss_flags & ~(L_SS_DISABLE | (int)L_SS_AUTODISARM)) == 0 &&
	    ((uc.uc_stack.ss_flags & L_SS_DISABLE) || uc.uc_stack.ss_size >= L_MINSIGSTKSZ) &&
	    !signal_on_altstack(t, regs->rsp))
		signal_set_altstack(t, &uc.uc_stack);
	return 0;
}
