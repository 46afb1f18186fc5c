/*
 * Guest threads: made, switched to, interrupted, ended.
 *
 * The hand-over is one futex word in the channel.  The sentry writes a WORD_RUN and wakes; the thread leaves the shim
 * by rt_sigreturn, runs until the host has a signal for it, and its shim writes WORD_SENTRY and wakes.  Both sleep
 * while it is the other's turn, pinned to one CPU.  Whatever else the word holds was written by somebody who should
 * not have.
 *
 * An interrupt is a flag and a host signal.  The flag is tested by the sentry thread after it has said that it is about
 * to let the guest run; the signal stays pending while the thread is in the shim, where all are blocked, and strikes as
 * it leaves.  So none is lost; one that comes late only makes a PF_INTERRUPTED too many.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "abi/audit.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "platform/arch/x86_64/fault.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

/*
 * While a guest thread runs without a break its sentry thread looks after it now and then: for an interrupt that it
 * does not react to (it blocked every signal by an rt_sigreturn of its own), and for a call that waits on the listener
 * where nobody might ever look (it jumped into the leader's text).  The timer is cheap because it hardly ever expires.
 */
#define LOOK_NS 1000000000
/* So often an interrupt may be found pending before the stub is killed.  Many, because the machine may be busy. */
#define LOOKS_TO_REACT 8
/* And to end when told to. */
#define EXIT_NS 2000000000

/* ---- birth ---- */

static struct leader_call unmap_call(uint64_t addr, uint64_t len)
{
	return (struct leader_call){.nr = SYS_munmap, .args = {addr, len}};
}

/* Undoes a birth that went wrong after `done` of its calls.  The channel may be used again only if no stub has it. */
static void abandon_channel(struct stub *s, uint32_t channel, int done)
{
	struct systrap *st = systrap_of(&s->as);
	struct leader_call undo[2];
	unsigned count = 0;
	long result;

	if (done < 0) {
		channel_park(s, channel);
		return;
	}
	if (done < 3)
		undo[count++] = (struct leader_call){.nr = SYS_close, .args = {SYSTRAP_FD}};
	if (done > 0)
		undo[count++] = unmap_call(channel_addr(channel), st->frame.channel_size);
	if (count > 0 && leader_request(s, undo, count, -1, &result) != (int)count) {
		stub_kill(s, "a channel could not be taken back");
		channel_park(s, channel);
		return;
	}
	channel_free(st, channel);
}

/* Makes a host thread, parked in the shim.  Its tid, or -errno. */
static long thread_new(struct stub *s, struct context *c)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				    CLONE_CHILD_CLEARTID;
	struct systrap *st = systrap_of(&s->as);
	uint64_t at = channel_addr(c->channel), size = st->frame.channel_size;
	const struct leader_call calls[] = {
		{.nr = SYS_mmap,
		 .args = {at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, SYSTRAP_FD,
			  (uint64_t)c->channel * SYSTRAP_CHANNEL_SIZE}},
		{.nr = SYS_madvise, .args = {at, size, MADV_DONTFORK}},
		{.nr = SYS_close, .args = {SYSTRAP_FD}},
		{.nr = SYS_clone,
		 .args = {flags, frame_addr(c), 0, at + CH_WORD, 0},
		 .child_entry = text_addr(st->base, systrap_shim_thread)},
	};
	long result = 0;
	int done;

	frame_init(c);
	atomic_store(channel_word(c), WORD_SENTRY);
	done = leader_request(s, calls, ARRAY_SIZE(calls), st->pool_fd, &result);
	if (done == (int)ARRAY_SIZE(calls))
		return result;
	if (done == -ESRCH)
		abandon_channel(s, c->channel, -1);
	else if (done < 0)
		channel_free(st, c->channel); /* nothing was done */
	else
		abandon_channel(s, c->channel, done);
	return done < 0 ? done : result;
}

static bool take_idle(struct stub *s, struct context *c)
{
	struct systrap *st = systrap_of(&s->as);
	bool found;

	mutex_lock(&st->lock);
	found = s->idle_count > 0;
	if (found) {
		const struct idle_thread *i = &s->idle[--s->idle_count];

		c->tid = i->tid;
		c->channel = i->channel;
		/* Known without a gap, so that a notification of its making is never taken for a stray. */
		list_add(&c->node, &s->contexts);
	}
	mutex_unlock(&st->lock);
	return found;
}

int systrap_ctx_spawn(struct pas *as, struct pctx *via, struct pctx **out)
{
	struct stub *s = stub_of(as);
	struct systrap *st = systrap_of(as);
	struct context *c = calloc(1, sizeof(*c));
	long tid;
	int r;

	(void)via;
	if (!c)
		return -ENOMEM;
	list_init(&c->node);
	placement_init(&c->place);
	c->ctx.as = as;
	if (take_idle(s, c)) {
		c->ch = st->channels + (size_t)c->channel * SYSTRAP_CHANNEL_SIZE;
		frame_init(c);
		goto done;
	}
	r = channel_alloc(st, &c->channel);
	if (r < 0)
		goto out_free;
	c->ch = st->channels + (size_t)c->channel * SYSTRAP_CHANNEL_SIZE;
	birth_begin(st);
	tid = thread_new(s, c);
	if (tid > 0) {
		c->tid = (pid_t)tid;
		register_context(st, c);
	}
	birth_end(st);
	if (tid < 0) {
		r = (int)tid;
		goto out_free;
	}
done:
	pas_get(as);
	*out = &c->ctx;
	return 0;

out_free:
	free(c);
	return r;
}

int systrap_ctx_attach(struct pctx *ctx)
{
	struct context *c = context_of(ctx);

	placement_attach(&c->place, c->tid);
	c->attached = true;
	return 0;
}

/* ---- end ---- */

/* Waits until the host says that the thread is no more: what its word says, the guest may have written. */
static bool thread_ended(struct stub *s, pid_t tid)
{
	const struct timespec moment = {.tv_nsec = 50000};
	int64_t deadline = monotonic_ns() + EXIT_NS;

	for (;;) {
		bool there;

		if (!stub_pid_hold(s))
			return false;
		there = syscall(SYS_tgkill, s->as.host_pid, tid, 0) == 0 || errno != ESRCH;
		stub_pid_drop(s);
		if (!there)
			return true;
		if (monotonic_ns() > deadline)
			return false;
		nanosleep(&moment, NULL);
	}
}

/* Ends the parked thread and takes its channel out of the stub.  False if that could not be made sure of. */
static bool thread_end(struct stub *s, struct context *c)
{
	struct leader_call unmap = unmap_call(channel_addr(c->channel), systrap_of(&s->as)->frame.channel_size);

	atomic_store(channel_word(c), WORD_EXIT);
	futex_wake_shared(channel_word(c));
	return thread_ended(s, c->tid) && leader_call(s, &unmap) == 0;
}

static bool keep_idle(struct stub *s, struct context *c)
{
	struct systrap *st = systrap_of(&s->as);
	bool kept;

	mutex_lock(&st->lock);
	kept = !c->gone && s->idle_count < IDLE_MAX;
	list_del_init(&c->node);
	if (kept)
		s->idle[s->idle_count++] = (struct idle_thread){.tid = c->tid, .channel = c->channel};
	mutex_unlock(&st->lock);
	return kept;
}

void systrap_ctx_destroy(struct pctx *ctx)
{
	struct context *c = context_of(ctx);
	struct stub *s = stub_of(ctx->as);
	struct systrap *st = systrap_of(ctx->as);

	if (c->attached)
		placement_detach(&c->place);
	/* It is parked in the shim: a spawn will find it there. */
	if (!keep_idle(s, c)) {
		if (!atomic_load(&s->as.dead) && thread_end(s, c)) {
			channel_free(st, c->channel);
		} else {
			if (!atomic_load(&s->as.dead))
				stub_kill(s, "a thread did not end");
			channel_park(s, c->channel);
		}
	}
	pas_put(ctx->as);
	free(c);
}

/* ---- the switch ---- */

static void kick_thread(struct context *c)
{
	struct stub *s = stub_of(c->ctx.as);

	if (!stub_pid_hold(s))
		return;
	syscall(SYS_tgkill, s->as.host_pid, c->tid, SYSTRAP_KICK);
	stub_pid_drop(s);
}

void systrap_interrupt(struct pctx *ctx)
{
	struct context *c = context_of(ctx);

	atomic_store(&c->kick, 1);
	if (atomic_load(&c->in_guest))
		kick_thread(c);
}

/* Waits until the guest thread has handed over.  False if it is dead. */
static bool wait_for_guest(struct context *c, uint32_t said)
{
	struct stub *s = stub_of(c->ctx.as);
	_Atomic uint32_t *word = channel_word(c);
	int looks = 0;

	for (;;) {
		uint32_t w = atomic_load(word);

		if (w == WORD_SENTRY)
			return true;
		if (atomic_load(&s->as.dead) || w == WORD_DEAD)
			return false;
		if (w != said) {
			stub_kill(s, "its hand-over word holds nonsense");
			return false;
		}
		if (futex_wait_shared(word, said, LOOK_NS) != -ETIMEDOUT)
			continue;
		listener_look(systrap_of(&s->as));
		stub_check_death(s);
		looks = atomic_load(&c->kick) ? looks + 1 : 0;
		if (looks == LOOKS_TO_REACT)
			stub_kill(s, "a thread does not react to interrupts");
	}
}

/* Has the thread do what op says and waits until it hands over.  False if it is dead. */
static bool give_turn(struct context *c, uint32_t op)
{
	atomic_store(channel_word(c), op);
	futex_wake_shared(channel_word(c));
	return wait_for_guest(c, op);
}

/* Lets the guest run until it hands over.  False if it is dead. */
static bool hand_over(struct context *c)
{
	uint32_t op = WORD_RUN;

	if (c->bases_dirty)
		op = systrap_of(c->ctx.as)->fsgsbase ? WORD_RUN_INSN : WORD_RUN_CALL;
	frame_store(c);
	if (c->rseq_due) {
		memcpy(c->ch + CH_RSEQ_THEN, &op, sizeof(op));
		c->rseq_due = false;
		op = WORD_RSEQ;
	}
	return give_turn(c, op);
}

/* ---- restartable sequences ---- */

/* Writes down what the shim is to ask of the host; the result is to be at `answer` as well. */
static void put_rseq(struct context *c, gva_t area, uint32_t size, uint32_t flags, uint32_t sig, uint64_t answer)
{
	memcpy(c->ch + CH_RSEQ_AREA, &area, sizeof(area));
	memcpy(c->ch + CH_RSEQ_SIG, &sig, sizeof(sig));
	memcpy(c->ch + CH_RSEQ_SIZE, &size, sizeof(size));
	memcpy(c->ch + CH_RSEQ_FLAGS, &flags, sizeof(flags));
	memcpy(c->ch + CH_RSEQ_ANSWER, &answer, sizeof(answer));
}

static void redirect_rseq_answer(struct context *c)
{
	const uint64_t answer = channel_addr(c->channel) + CH_RSEQ_RESULT;

	if (c->rseq_due)
		memcpy(c->ch + CH_RSEQ_ANSWER, &answer, sizeof(answer));
}

/* What the host said, as far as the channel can be believed: a lie harms the liar, whose thread may lose its registration. */
static int64_t rseq_result(const struct context *c)
{
	int64_t r;

	memcpy(&r, c->ch + CH_RSEQ_RESULT, sizeof(r));
	return r < 0 && r >= -4095 ? r : 0;
}

/* Done on the thread's way to the guest, for a hand-over of its own would make the start of every thread longer. */
int systrap_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer)
{
	struct context *c = context_of(ctx);

	if (c->gone)
		return -ESRCH;
	put_rseq(c, area, size, 0, sig, answer ? frame_rax_addr(c) : channel_addr(c->channel) + CH_RSEQ_RESULT);
	c->rseq_due = true;
	return 0;
}

bool systrap_rseq_registered(const struct pctx *ctx)
{
	return rseq_result(context_of(ctx)) == 0;
}

int systrap_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig)
{
	struct context *c = context_of(ctx);
	const uint32_t then = WORD_SENTRY;

	if (c->rseq_due) {
		c->rseq_due = false; /* it never came to it */
		return 0;
	}
	if (c->gone || atomic_load(&ctx->as->dead))
		return -ESRCH;
	put_rseq(c, area, size, L_RSEQ_FLAG_UNREGISTER, sig, channel_addr(c->channel) + CH_RSEQ_RESULT);
	memcpy(c->ch + CH_RSEQ_THEN, &then, sizeof(then));
	if (!give_turn(c, WORD_RSEQ)) {
		c->gone = true;
		return -ESRCH;
	}
	return (int)rseq_result(c);
}

/* ---- the switch, again ---- */

static void decode(struct context *c, struct pf_event *ev)
{
	struct l_siginfo info;
	struct l_sigcontext sc;
	struct abi_regs *r = &c->regs;

	frame_load(c, &info, &sc);
	ev->ip = r->rip;
	ev->sp = r->rsp;
	switch (info.si_signo) {
	case L_SIGSYS:
		if (info.si_code != L_SYS_SECCOMP)
			break;
		ev->kind = PF_SYSCALL;
		ev->arch = info.sys.arch;
		ev->nr = r->orig_rax = r->rax;
		if (ev->arch == L_AUDIT_ARCH_X86_64)
			memcpy(ev->args, (uint64_t[]){r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}, sizeof(ev->args));
		else
			memcpy(ev->args, (uint64_t[]){r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp}, sizeof(ev->args));
		return;
	case L_SIGSEGV:
	case L_SIGBUS:
	case L_SIGFPE:
	case L_SIGILL:
	case L_SIGTRAP:
		if (info.si_code <= 0)
			break; /* somebody on the host sent it */
		ev->kind = PF_FAULT;
		ev->fault = (struct pf_fault){
			.signo = info.si_signo,
			.code = info.si_code,
			.addr = info.si_code == L_SI_KERNEL ? 0 : info.fault.addr,
			.trapno = sc.trapno,
			.err = sc.err,
			.cr2 = sc.cr2,
		};
		return;
	default:
		break;
	}
	atomic_store(&c->kick, 0);
	ev->kind = PF_INTERRUPTED;
}

void systrap_run(struct pctx *ctx, struct pf_event *ev)
{
	struct context *c = context_of(ctx);
	struct stub *s = stub_of(ctx->as);
	bool alive;

	ev->kind = PF_DEAD;
	if (c->gone || atomic_load(&s->as.dead)) {
		c->gone = true;
		return;
	}
	/* First the word, then the test; interrupt has it the other way round. */
	atomic_store(&c->in_guest, 1);
	if (atomic_exchange(&c->kick, 0)) {
		atomic_store(&c->in_guest, 0);
		ev->kind = PF_INTERRUPTED;
		ev->ip = c->regs.rip;
		ev->sp = c->regs.rsp;
		return;
	}
	alive = hand_over(c);
	atomic_store(&c->in_guest, 0);
	if (!alive) {
		c->gone = true;
		return;
	}
	decode(c, ev);
}

int systrap_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	struct context *c = context_of(ctx);
	uint64_t base = systrap_of(ctx->as)->base;
	struct abi_regs saved = c->regs;
	bool interrupted = false;
	struct pf_event ev;
	int r = -ESRCH;

	if (c->gone)
		return -ESRCH;
	redirect_rseq_answer(c);
	c->regs.rip = text_addr(base, systrap_shim_cmpxchg);
	c->regs.rdi = addr;
	c->regs.rax = expected;
	c->regs.rdx = desired;
	c->regs.cs = L_USER_CS;
	c->regs.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF;
	c->regs_dirty = true;
	for (;;) {
		systrap_run(ctx, &ev);
		if (ev.kind != PF_INTERRUPTED)
			break;
		interrupted = true; /* before or after the exchange: it goes on from there */
	}
	if (ev.kind == PF_FAULT && ev.ip == text_addr(base, systrap_shim_cmpxchg_end)) {
		*seen = (uint32_t)c->regs.rax;
		r = 0;
	} else if (ev.kind == PF_FAULT) {
		r = -EFAULT;
	}
	/* Segment bases: as they were, and as they still are. */
	c->regs = saved;
	c->regs_dirty = true;
	if (interrupted)
		atomic_store(&c->kick, 1);
	return r;
}
