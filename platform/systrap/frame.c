/*
 * The signal frame at the top of a channel.  The host's kernel writes a guest thread's whole state there when it traps
 * and takes it back at rt_sigreturn, so the sentry reads and writes it in place.  Its position was measured by the
 * boot (struct frame_layout) and never depends on what a channel says.
 *
 * The sentry keeps its own copy of the registers from one event to the next resumption.  Other threads of the guest
 * may write to the frame meanwhile: then theirs is the state that is wrong, and the host's checks at rt_sigreturn are
 * the same as for any program.
 */
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/systrap/systrap.h"

#define UC_OFF_MCONTEXT offsetof(struct l_ucontext, uc_mcontext)
#define MXCSR_MASK_OFF offsetof(struct l_fpstate, mxcsr_mask)

static uint8_t *uc_of(const struct context *c)
{
	const struct frame_layout *f = &systrap_of(c->ctx.as)->frame;

	return c->ch + f->uc_off + (c->second ? f->second : 0);
}

static uint8_t *fpstate_of(const struct context *c)
{
	const struct frame_layout *f = &systrap_of(c->ctx.as)->frame;

	return c->ch + f->fpstate_off + (c->second ? f->second : 0);
}

uint64_t frame_addr(const struct context *c)
{
	return channel_addr(c->channel) + (uint64_t)(uc_of(c) - c->ch) - sizeof(uint64_t);
}

uint64_t frame_rax_addr(const struct context *c)
{
	return frame_addr(c) + sizeof(uint64_t) + UC_OFF_MCONTEXT + offsetof(struct l_sigcontext, rax);
}

/* Every signal but those that the shim handles stays blocked in a guest thread. */
uint64_t guest_signal_mask(void)
{
	static const uint8_t handled[] = {L_SIGSYS, L_SIGSEGV, L_SIGBUS, L_SIGFPE, L_SIGILL, L_SIGTRAP, SYSTRAP_KICK};
	uint64_t mask = UINT64_MAX;

	for (unsigned i = 0; i < ARRAY_SIZE(handled); i++)
		mask &= ~(1ull << (handled[i] - 1));
	return mask;
}

/* What says of an area how large it is, and what may be in it. */
static void mark_xstate(const struct context *c)
{
	const struct frame_layout *f = &systrap_of(c->ctx.as)->frame;
	uint8_t *x = fpstate_of(c);

	memcpy(x + MXCSR_MASK_OFF, &f->mxcsr_mask, sizeof(f->mxcsr_mask));
	memcpy(x + XSTATE_SOFTWARE_OFF, &f->sw, sizeof(f->sw));
}

static void put_fresh_xstate(const struct context *c)
{
	const struct frame_layout *f = &systrap_of(c->ctx.as)->frame;
	const uint32_t magic2 = XSTATE_MAGIC2;
	uint8_t *x = fpstate_of(c);

	xstate_fresh(x, f->sw.xstate_size);
	mark_xstate(c);
	memcpy(x + f->sw.xstate_size, &magic2, sizeof(magic2));
}

/* A frame from which rt_sigreturn makes a fresh thread, but for the registers. */
static void put_frame(const struct context *c)
{
	const struct systrap *st = systrap_of(c->ctx.as);
	uint64_t base = channel_addr(c->channel);
	struct l_ucontext uc = {
		.uc_flags = st->frame.uc_flags,
		.uc_stack = {.ss_sp = base + CH_HEADER_SIZE,
			     .ss_flags = (int32_t)L_SS_AUTODISARM,
			     .ss_size = st->frame.second},
		.uc_mcontext = {.cs = L_USER_CS,
				.ss = L_USER_DS,
				.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF,
				.fpstate = base + (uint64_t)(fpstate_of(c) - c->ch)},
		.uc_sigmask = guest_signal_mask(),
	};

	memcpy(uc_of(c), &uc, sizeof(uc));
	put_fresh_xstate(c);
}

static void put_word(const struct context *c, unsigned at, uint64_t value)
{
	memcpy(c->ch + at, &value, sizeof(value));
}

static uint64_t get_word(const struct context *c, unsigned at)
{
	uint64_t value;

	memcpy(&value, c->ch + at, sizeof(value));
	return value;
}

void frame_init(struct context *c)
{
	const struct systrap *st = systrap_of(c->ctx.as);
	bool second = c->second;

	c->second = true;
	put_frame(c);
	put_word(c, CH_SELF, channel_addr(c->channel));
	put_word(c, CH_FRAME, frame_addr(c));
	put_word(c, CH_FPSTATE, channel_addr(c->channel) + (uint64_t)(fpstate_of(c) - c->ch));
	put_word(c, CH_XFEATURES, st->frame.sw.xfeatures);
	put_word(c, CH_WAITERS, waiters_addr(st, stub_of(c->ctx.as)->slot));
	c->second = false;
	put_frame(c);
	c->second = second;
	c->in_call = false;
	systrap_set_answers(&c->ctx, NULL);
	c->ctx.mask = (struct pctx_mask *)(void *)(c->ch + CH_ALTSTACK);
	memset(&c->ctx.mask->altstack, 0, sizeof(c->ctx.mask->altstack));
	atomic_store(&c->ctx.mask->set, 0);
	atomic_store(&c->ctx.mask->open, 0);
	c->ctx.robust = (struct pctx_robust *)(void *)(c->ch + CH_ROBUST);
	atomic_store(&c->ctx.robust->head, 0);
	atomic_store(&c->ctx.robust->open, 0);
	atomic_store(channel_u32(c, CH_RSEQ_LEAVE), RSEQ_STAY);
	c->ctx.position = (struct pctx_position *)(void *)(c->ch + CH_POSITION);
	atomic_store(&c->ctx.position->pos, PCTX_NO_POSITION);
	c->ctx.reads = (struct pctx_reads *)(void *)(c->ch + CH_READ_COUNT);
	*c->ctx.reads = (struct pctx_reads){0};
	put_word(c, CH_WINDOWS, 0);
	rings_init(c);
	memset(&c->regs, 0, sizeof(c->regs));
	c->regs.cs = L_USER_CS;
	c->regs.ss = L_USER_DS;
	c->regs.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF;
	c->regs.orig_rax = UINT64_MAX;
	c->regs_dirty = c->bases_dirty = true;
	c->rest_due = c->result_dirty = false;
}

/* ---- registers as struct l_sigcontext has them ---- */

/* The bases are not among them. */
static void regs_from_sigcontext(struct abi_regs *r, const struct l_sigcontext *sc)
{
	*r = (struct abi_regs){
		.r15 = sc->r15,
		.r14 = sc->r14,
		.r13 = sc->r13,
		.r12 = sc->r12,
		.rbp = sc->rbp,
		.rbx = sc->rbx,
		.r11 = sc->r11,
		.r10 = sc->r10,
		.r9 = sc->r9,
		.r8 = sc->r8,
		.rax = sc->rax,
		.rcx = sc->rcx,
		.rdx = sc->rdx,
		.rsi = sc->rsi,
		.rdi = sc->rdi,
		.orig_rax = UINT64_MAX,
		.rip = sc->rip,
		.cs = sc->cs,
		.eflags = sc->eflags,
		.rsp = sc->rsp,
		.ss = sc->ss,
		.fs_base = r->fs_base,
		.gs_base = r->gs_base,
	};
}

static struct l_sigcontext sigcontext_of(const struct abi_regs *r)
{
	return (struct l_sigcontext){
		.r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rax = r->rax,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rip = r->rip,
		.rsp = r->rsp,
		.eflags = r->eflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
	};
}

/* What the guest sees of %gs: ours is none of its business. */
static uint64_t guest_gs(const struct context *c, uint64_t gs)
{
	return gs == channel_addr(c->channel) ? 0 : gs;
}

void frame_load(struct context *c, struct l_siginfo *info, struct l_sigcontext *sc)
{
	const uint8_t *uc = uc_of(c);
	struct abi_regs *r = &c->regs;

	memcpy(info, uc + sizeof(struct l_ucontext), sizeof(*info));
	memcpy(sc, uc + UC_OFF_MCONTEXT, sizeof(*sc));
	regs_from_sigcontext(r, sc);
	if (systrap_of(c->ctx.as)->fsgsbase) {
		memcpy(&r->fs_base, c->ch + CH_FS_BASE, sizeof(r->fs_base));
		memcpy(&r->gs_base, c->ch + CH_GS_BASE, sizeof(r->gs_base));
	}
	/* A guest that cleared its own gets ours again, so that its call sites find the channel. */
	c->bases_dirty = c->ctx.as->pf->patching && r->gs_base == 0;
	r->gs_base = guest_gs(c, r->gs_base);
	c->rest_due = c->regs_dirty = c->result_dirty = false;
}

void call_load(struct context *c)
{
	struct abi_regs *r = &c->regs;

	r->rax = get_word(c, CH_RAX);
	r->rdi = get_word(c, CH_RDI);
	r->rsi = get_word(c, CH_RSI);
	r->rdx = get_word(c, CH_RDX);
	r->r10 = get_word(c, CH_R10);
	r->rip = r->rcx = get_word(c, CH_RIP);
	r->rsp = get_word(c, CH_RSP);
	r->orig_rax = UINT64_MAX;
	c->rest_due = true;
	c->regs_dirty = c->bases_dirty = c->result_dirty = false;
}

/* The registers that call_load leaves where they are. */
static void load_rest(const struct context *c, struct abi_regs *r)
{
	r->r8 = get_word(c, CH_R8);
	r->r9 = get_word(c, CH_R9);
	r->rbx = get_word(c, CH_RBX);
	r->rbp = get_word(c, CH_RBP);
	r->r12 = get_word(c, CH_R12);
	r->r13 = get_word(c, CH_R13);
	r->r14 = get_word(c, CH_R14);
	r->r15 = get_word(c, CH_R15);
	r->r11 = r->eflags = get_word(c, CH_RFLAGS);
	r->cs = L_USER_CS;
	r->ss = L_USER_DS;
	r->fs_base = get_word(c, CH_FS_BASE);
	r->gs_base = 0; /* ours */
}

void call_load_rest(struct context *c)
{
	if (!c->rest_due)
		return;
	load_rest(c, &c->regs);
	c->rest_due = false;
}

_Static_assert(offsetof(struct pctx_mask, set) == CH_MASK - CH_ALTSTACK &&
		       offsetof(struct pctx_mask, open) == CH_MASK_OPEN - CH_ALTSTACK,
	       "shim.S");
_Static_assert(CH_ROBUST + sizeof(struct pctx_robust) <= CH_GIVE - (CH_GIVE_MAX - 1) * CH_GIVE_SIZE, "layout.h");
_Static_assert(offsetof(struct pctx_reads, bytes) == CH_READ_BYTES - CH_READ_COUNT, "shim.S");
_Static_assert(offsetof(struct l_sigcontext, cs) == CH_BACK_END - CH_BACK, "shim.S");
_Static_assert(XSTATE_SOFTWARE_OFF == 464 && offsetof(struct l_fpx_sw_bytes, xstate_size) == 16, "shim.S");

#define L_EFLAGS_NT 0x4000u
#define L_EFLAGS_ID 0x200000u

bool back_store(struct context *c)
{
	const uint64_t flags = L_EFLAGS_RESTORABLE | L_EFLAGS_NT | L_EFLAGS_ID;
	struct l_sigcontext sc = sigcontext_of(&c->regs);

	if (c->regs.cs != L_USER_CS || sc.rip >= L_TASK_SIZE)
		return false;
	sc.eflags = (sc.eflags & flags) | L_EFLAGS_FIXED | L_EFLAGS_IF;
	memcpy(c->ch + CH_BACK, &sc, CH_BACK_END - CH_BACK);
	c->regs_dirty = c->result_dirty = false;
	return true;
}

void back_load(struct context *c)
{
	struct l_sigcontext sc = {.cs = L_USER_CS, .ss = L_USER_DS};

	memcpy(&sc, c->ch + CH_BACK, CH_BACK_END - CH_BACK);
	regs_from_sigcontext(&c->regs, &sc);
	c->regs.fs_base = get_word(c, CH_FS_BASE);
	c->regs.gs_base = 0; /* ours */
	c->regs_dirty = true;
	c->rest_due = c->bases_dirty = c->result_dirty = false;
}

void frame_store(struct context *c)
{
	const struct systrap *st = systrap_of(c->ctx.as);
	uint8_t *mc = uc_of(c) + UC_OFF_MCONTEXT;
	const struct abi_regs *r = &c->regs;

	if (c->regs_dirty) {
		/* The part that holds registers; err, trapno, cr2 and fpstate stay. */
		struct l_sigcontext sc = sigcontext_of(r);

		memcpy(mc, &sc, offsetof(struct l_sigcontext, err));
	} else if (c->result_dirty) {
		memcpy(mc + offsetof(struct l_sigcontext, rax), &r->rax, sizeof(r->rax));
	}
	if (c->bases_dirty) {
		put_word(c, CH_FS_BASE, r->fs_base);
		put_word(c, CH_GS_BASE, r->gs_base == 0 && st->pf.patching ? channel_addr(c->channel) : r->gs_base);
	}
	c->regs_dirty = c->bases_dirty = c->result_dirty = false;
}

void frame_reload_result(struct context *c)
{
	memcpy(&c->regs.rax, uc_of(c) + UC_OFF_MCONTEXT + offsetof(struct l_sigcontext, rax), sizeof(c->regs.rax));
}

/* ---- registers ---- */

int systrap_get_regs(struct pctx *ctx, struct abi_regs *out)
{
	struct context *c = context_of(ctx);

	if (c->gone)
		return -ESRCH;
	*out = c->regs;
	if (c->rest_due)
		load_rest(c, out); /* a tracer may ask: c->regs is not its to change */
	return 0;
}

int systrap_set_regs(struct pctx *ctx, const struct abi_regs *regs)
{
	struct context *c = context_of(ctx);

	if (c->gone)
		return -ESRCH;
	call_load_rest(c);
	c->bases_dirty |= regs->fs_base != c->regs.fs_base || regs->gs_base != c->regs.gs_base;
	c->regs = *regs;
	/* No other segments exist in a stub. */
	if (c->regs.cs != L_USER_CS_32)
		c->regs.cs = L_USER_CS;
	c->regs.ss = L_USER_DS;
	c->regs_dirty = true;
	return 0;
}

void systrap_set_result(struct pctx *ctx, long result)
{
	struct context *c = context_of(ctx);

	c->regs.rax = (uint64_t)result;
	c->result_dirty = true;
}

void systrap_set_answers(struct pctx *ctx, const struct pctx_answers *a)
{
	struct context *c = context_of(ctx);

	if (a) {
		const uint32_t answers[8] = {
			[CH_ANSWER_PID] = (uint32_t)a->pid,	[CH_ANSWER_TID] = (uint32_t)a->tid,
			[CH_ANSWER_PPID] = (uint32_t)a->ppid,	[CH_ANSWER_PGRP] = (uint32_t)a->pgrp,
			[CH_ANSWER_UID] = a->uid,		[CH_ANSWER_EUID] = a->euid,
			[CH_ANSWER_GID] = a->gid,		[CH_ANSWER_EGID] = a->egid,
		};

		memcpy(c->ch + CH_ANSWERS, answers, sizeof(answers));
	}
	atomic_store_explicit(channel_u32(c, CH_SHORT_CUTS), a != NULL, memory_order_relaxed);
}

/* ---- floating point and vectors ---- */

/* If none of the components beyond the legacy ones has another than its initial state, what lies there is old. */
static void clear_initial(uint8_t *state, size_t size)
{
	const size_t extended = XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE;
	struct l_xstate_header h;

	if (size <= extended)
		return;
	memcpy(&h, state + L_XSTATE_HEADER_OFF, sizeof(h));
	if (!(h.xfeatures & ~(L_XFEATURE_X87 | L_XFEATURE_SSE)))
		memset(state + extended, 0, size - extended);
}

ssize_t systrap_get_xstate(struct pctx *ctx, void *buf, size_t cap)
{
	struct context *c = context_of(ctx);
	const struct frame_layout *f = &systrap_of(ctx->as)->frame;

	if (!context_save(c))
		return -ESRCH;
	memcpy(buf, fpstate_of(c), min_of(cap, (size_t)f->sw.xstate_size));
	clear_initial(buf, min_of(cap, (size_t)f->sw.xstate_size));
	if (cap >= XSTATE_LEGACY_SIZE)
		memcpy((uint8_t *)buf + XSTATE_SOFTWARE_OFF, &f->sw, sizeof(f->sw));
	return f->sw.xstate_size;
}

int systrap_set_xstate(struct pctx *ctx, const void *buf, size_t size)
{
	struct context *c = context_of(ctx);
	const struct frame_layout *f = &systrap_of(ctx->as)->frame;
	uint8_t state[SYSTRAP_CHANNEL_SIZE / 2]; /* boot.c refuses larger ones */
	int r;

	if (!context_save(c))
		return -ESRCH;
	if (size == 0) {
		/* The header says that the rest is initial; see systrap_get_xstate. */
		xstate_fresh(fpstate_of(c), XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE);
		mark_xstate(c);
		return 0;
	}
	r = xstate_from_frame(state, f->sw.xstate_size, f->sw.xfeatures, buf, size);
	if (r < 0)
		return r;
	if (!xstate_loadable(state, f->sw.xstate_size, f->sw.xfeatures))
		return -EINVAL; /* the host's rt_sigreturn would end the stub */
	memcpy(state + XSTATE_SOFTWARE_OFF, &f->sw, sizeof(f->sw));
	memcpy(fpstate_of(c), state, f->sw.xstate_size);
	return 0;
}
