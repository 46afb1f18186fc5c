/*
 * Attacks on the systrap platform by a guest that does what it likes with its registers, its memory and its channel.
 * What has to hold after each: the guest process died or got an event like any other, a bystander in the same sandbox
 * goes on undisturbed, and nobody waits for ever.
 */
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "platform/platform.h"
#include "platform/systrap/systrap.h"

#define CODE 0x400000ull
#define DATA 0x500000ull
#define DATA_SIZE 0x40000ull /* holds a place that is aligned as channels are */
#define RW (L_PROT_READ | L_PROT_WRITE)
#define RX (L_PROT_READ | L_PROT_EXEC)
#define ANON (L_MAP_PRIVATE | L_MAP_ANONYMOUS)

#define SNIPPET(name, body)                                                                                            \
	extern const uint8_t code_##name[], code_##name##_end[];                                                       \
	__asm__(".pushsection .rodata\n"                                                                               \
		"code_" #name ":\n" body "\ncode_" #name "_end: .byte 0\n"                                             \
		".popsection\n")

SNIPPET(syscalls, "1: mov %rbx, %rax; syscall; jmp 1b");
SNIPPET(int80, "1: mov %rbx, %rax; int $0x80; jmp 1b");
SNIPPET(spin, "1: jmp 1b");
SNIPPET(store, "mov %al, (%rdi); ud2");
SNIPPET(load, "mov (%rdi), %al; ud2");
SNIPPET(scribble, "1: mov %r8, %rdi; mov %r9, %rcx; rep stosb; jmp 1b");

struct world {
	struct platform *pf;
	struct pas *by_as; /* the bystander */
	struct pctx *by_ctx;
};

static struct pas *new_as(struct world *w, const uint8_t *code, const uint8_t *end)
{
	struct pas *as;

	ck_assert_int_eq(pas_create(w->pf, &as), 0);
	ck_assert_int_eq(pas_map(as, NULL, CODE, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(as, NULL, DATA, DATA_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_write(as, CODE, code, (size_t)(end - code)), end - code);
	ck_assert_int_eq(pas_protect(as, NULL, CODE, PAGE_SIZE, RX), 0);
	return as;
}
#define NEW_AS(w, name) new_as(w, code_##name, code_##name##_end)

static struct pctx *new_thread(struct pas *as)
{
	struct pctx *ctx;

	ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
	ck_assert_int_eq(pctx_attach(ctx), 0);
	return ctx;
}

/* Registers of a thread at ip, each with a value that a call could take for something. */
static struct abi_regs regs_at(uint64_t ip)
{
	return (struct abi_regs){
		.rip = ip,
		.rsp = DATA + PAGE_SIZE,
		.rdi = DATA,
		.rsi = PAGE_SIZE,
		.rdx = RW,
		.r10 = L_MAP_PRIVATE | L_MAP_ANONYMOUS | L_MAP_FIXED,
		.r8 = UINT64_MAX,
		.rbx = DATA,
		.r12 = DATA,
		.r15 = DATA,
		.cs = L_USER_CS,
		.ss = L_USER_DS,
		.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF,
	};
}

static void set_regs(struct pctx *ctx, struct abi_regs regs)
{
	ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
}

static uint64_t base_of(const struct world *w)
{
	return container_of(w->pf, struct systrap, pf)->base;
}

static uint64_t channel_of(const struct pctx *ctx)
{
	return channel_addr(container_of(ctx, struct context, ctx)->channel);
}

static void start(struct world *w)
{
	struct abi_regs regs = regs_at(CODE);
	char why[200] = "";
	int r = platform_start(&systrap_platform, &w->pf, why, sizeof(why));

	ck_assert_msg(r == 0, "%s", why);
	w->by_as = NEW_AS(w, syscalls);
	w->by_ctx = new_thread(w->by_as);
	regs.rbx = 1000;
	set_regs(w->by_ctx, regs);
}

/* The bystander makes calls, its memory can be mapped, and it can be forked. */
static void check_bystander(struct world *w)
{
	struct pf_event ev;

	for (int i = 0; i < 3; i++) {
		platform_switch(w->by_ctx, &ev);
		ck_assert_int_eq(ev.kind, PF_SYSCALL);
		ck_assert_uint_eq(ev.nr, 1000);
		ck_assert_uint_eq(ev.args[0], DATA);
	}
	ck_assert_int_eq(pas_map(w->by_as, w->by_ctx, 0x900000, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_unmap(w->by_as, w->by_ctx, 0x900000, PAGE_SIZE), 0);
}

static void finish(struct world *w)
{
	check_bystander(w);
	pctx_destroy(w->by_ctx);
	pas_put(w->by_as);
	platform_stop(w->pf);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Interrupts ctx every 5 ms until told to stop, so that a switch comes back from wherever the guest went. */
struct nudger {
	struct pctx *ctx;
	_Atomic bool stop;
	pthread_t thread;
};

static void *nudge(void *arg)
{
	struct nudger *n = arg;

	while (!atomic_load(&n->stop)) {
		usleep(5000);
		pctx_interrupt(n->ctx);
	}
	return NULL;
}

static void nudger_start(struct nudger *n, struct pctx *ctx)
{
	n->ctx = ctx;
	atomic_init(&n->stop, false);
	ck_assert_int_eq(pthread_create(&n->thread, NULL, nudge, n), 0);
}

static void nudger_stop(struct nudger *n)
{
	atomic_store(&n->stop, true);
	pthread_join(n->thread, NULL);
}

/* ---- the texts ---- */

/* Each step-th byte of a text as an entry, with rax a call worth making. */
static void jump_everywhere(struct world *w, uint64_t from, uint64_t to, unsigned step, uint64_t rax)
{
	struct pf_event ev;
	struct nudger n;

	for (uint64_t ip = from; ip < to; ip += step) {
		struct pas *as = NEW_AS(w, spin);
		struct pctx *ctx = new_thread(as);
		struct abi_regs regs = regs_at(ip);

		regs.rax = rax;
		set_regs(ctx, regs);
		nudger_start(&n, ctx);
		/* It may hang about, trap, fault, or die; what it may not is change memory that only the leader can. */
		for (int i = 0; i < 3; i++)
			platform_switch(ctx, &ev);
		nudger_stop(&n);
		if (ip % 16 == 0)
			check_bystander(w);
		pctx_destroy(ctx);
		pas_put(as);
	}
}

static const uint64_t tempting[] = {SYS_munmap, SYS_rt_sigreturn, SYS_kill};

START_TEST(shim_entries)
{
	struct world w;

	start(&w);
	/* Each byte with one of the calls: the attacks (tests/attack/jump.c) try more. */
	jump_everywhere(&w, base_of(&w) + (unsigned)_i, text_addr(base_of(&w), __stop_systrap_shim), ARRAY_SIZE(tempting), tempting[_i]);
	finish(&w);
}
END_TEST

START_TEST(leader_entries)
{
	struct world w;
	uint64_t leader = SYSTRAP_LEADER_OFF;

	start(&w);
	leader += base_of(&w);
	jump_everywhere(&w, leader, leader + 0xa0, 1, tempting[_i]);
	finish(&w);
}
END_TEST

/* A thread that makes the leader's calls, with nobody waiting on the listener. */
START_TEST(leader_call_unnoticed)
{
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;
	int64_t begin = now_ms();

	start(&w);
	as = NEW_AS(&w, spin);
	ctx = new_thread(as);
	set_regs(ctx, regs_at(leader_text_addr(base_of(&w), systrap_leader_call_ip) - 2));
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	ck_assert_int_lt(now_ms() - begin, 5000);
	ck_assert_int_eq(pas_unmap(as, NULL, DATA, PAGE_SIZE), -ESRCH);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

/* The same while the leader is busy with requests that a forged answer could spoil. */
static void *run_until_dead(void *arg)
{
	struct pctx *ctx = arg;
	struct pf_event ev;

	ck_assert_int_eq(pctx_attach(ctx), 0);
	do {
		platform_switch(ctx, &ev);
	} while (ev.kind != PF_DEAD);
	return NULL;
}

START_TEST(forged_results)
{
	struct world w;
	pthread_t thread;
	struct pas *as;
	struct pctx *ctx;
	struct abi_regs regs;
	int r = 0;

	start(&w);
	as = NEW_AS(&w, spin);
	ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
	regs = regs_at(leader_text_addr(base_of(&w), systrap_leader_next_ip) - 2);
	regs.rax = SYSTRAP_NR_NEXT;
	regs.rdi = 1;
	regs.rsi = 0x900000;
	regs.rdx = slot_addr(container_of(w.pf, struct systrap, pf), stub_of(as)->slot);
	regs.r10 = stub_of(as)->seq + 1;
	set_regs(ctx, regs);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_until_dead, ctx), 0);
	while (r == 0)
		r = pas_map(as, NULL, 0x900000, PAGE_SIZE, RW, ANON, -1, 0);
	ck_assert_int_eq(r, -ESRCH);
	pthread_join(thread, NULL);
	check_bystander(&w);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

START_TEST(thread_exit_by_shim)
{
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx, *other;
	struct abi_regs regs;

	start(&w);
	as = NEW_AS(&w, syscalls);
	ctx = new_thread(as);
	regs = regs_at(text_addr(base_of(&w), systrap_shim_restorer) + 5); /* its syscall instruction */
	regs.rax = SYS_exit;
	set_regs(ctx, regs);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pctx_destroy(ctx);
	/* The address space is as it was, and a thread can be made in it. */
	other = new_thread(as);
	set_regs(other, regs_at(CODE));
	platform_switch(other, &ev);
	ck_assert_int_eq(ev.kind, PF_SYSCALL);
	pctx_destroy(other);
	pas_put(as);
	finish(&w);
}
END_TEST

/* ---- memory ---- */

static void expect_segv(struct world *w, const uint8_t *code, const uint8_t *end, uint64_t addr)
{
	struct pas *as = new_as(w, code, end);
	struct pctx *ctx = new_thread(as);
	struct abi_regs regs = regs_at(CODE);
	struct pf_event ev;

	regs.rdi = addr;
	set_regs(ctx, regs);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_FAULT);
	ck_assert_int_eq(ev.fault.signo, SIGSEGV);
	ck_assert_uint_eq(ev.fault.addr, addr);
	pctx_destroy(ctx);
	pas_put(as);
}

START_TEST(out_of_reach)
{
	struct world w;
	uint64_t base, requests;

	start(&w);
	base = base_of(&w);
	requests = base + SYSTRAP_REQUESTS_OFF;
	expect_segv(&w, code_store, code_store_end, base);
	expect_segv(&w, code_store, code_store_end, base + SYSTRAP_LEADER_OFF);
	expect_segv(&w, code_store, code_store_end, requests);
	/* Others' channels, and the boot's. */
	expect_segv(&w, code_load, code_load_end, channel_of(w.by_ctx));
	expect_segv(&w, code_load, code_load_end, channel_addr(0));
	/* Nothing of the sentry's is left. */
	expect_segv(&w, code_load, code_load_end, (uint64_t)(uintptr_t)&w);
	expect_segv(&w, code_load, code_load_end, (uint64_t)(uintptr_t)systrap_text);
	finish(&w);
}
END_TEST

START_TEST(fork_hides_channel)
{
	struct world w;
	struct pf_event ev;
	struct pas *as, *child_as;
	struct pctx *ctx, *child;
	struct abi_regs regs = regs_at(CODE);

	start(&w);
	as = NEW_AS(&w, load);
	ctx = new_thread(as);
	ck_assert_int_eq(pas_fork(ctx, &child_as, &child), 0);
	ck_assert_int_eq(pctx_attach(child), 0);
	regs.rdi = channel_of(ctx);
	set_regs(child, regs);
	platform_switch(child, &ev);
	ck_assert_int_eq(ev.kind, PF_FAULT);
	ck_assert_uint_eq(ev.fault.addr, channel_of(ctx));
	pctx_destroy(child);
	pas_put(child_as);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

/* ---- numbers ---- */

#define NUMBERS 1000
#define X32 0x40000000u

/* Linux 6.14 lets no filter judge uretprobe (335), and 6.18 uprobe (336); see filter.c. */
static bool no_filter_sees(uint64_t nr)
{
	return (uint32_t)nr == 335 || (uint32_t)nr == 336;
}

START_TEST(every_int80)
{
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;
	struct abi_regs regs = regs_at(CODE);

	start(&w);
	as = NEW_AS(&w, int80);
	ctx = new_thread(as);
	for (uint64_t nr = 0; nr <= NUMBERS; nr++) {
		regs.rbx = nr;
		set_regs(ctx, regs);
		platform_switch(ctx, &ev);
		ck_assert_int_eq(ev.kind, PF_SYSCALL);
		ck_assert_uint_eq(ev.arch, AUDIT_ARCH_I386);
		ck_assert_uint_eq(ev.nr, nr);
	}
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

START_TEST(every_number)
{
	static const uint64_t high[] = {0, 0x40000000, 0xffffffff00000000, 0x3ffffff0};
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;
	struct abi_regs regs = regs_at(CODE);

	start(&w);
	as = NEW_AS(&w, syscalls);
	ctx = new_thread(as);
	for (unsigned h = 0; h < ARRAY_SIZE(high); h++) {
		for (uint64_t nr = 0; nr <= NUMBERS; nr++) {
			regs.rbx = high[h] + nr;
			if (no_filter_sees(regs.rbx))
				continue;
			set_regs(ctx, regs);
			platform_switch(ctx, &ev);
			ck_assert_int_eq(ev.kind, PF_SYSCALL);
			/* The host looks at 32 bits of it, but tells all of them. */
			ck_assert_uint_eq(ev.nr, regs.rbx);
		}
	}
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

/* The next system call instruction of [*at, end), or NULL. */
static const uint8_t *next_syscall(const uint8_t *at, const uint8_t *end)
{
	for (; at + 1 < end; at++)
		if (at[0] == 0x0f && at[1] == 0x05)
			return at;
	return NULL;
}

/* Arguments with which no call passes that passes with some only; %rbx is what the shim takes for its channel. */
static struct abi_regs refused_call_at(uint64_t ip, uint64_t nr)
{
	struct abi_regs regs = regs_at(ip);

	regs.rax = nr;
	regs.rdi = regs.rsi = regs.rdx = regs.r10 = regs.r8 = regs.r9 = UINT64_MAX;
	return regs;
}

/*
 * At each system call instruction of the shim's, those in the middle of others included: what the host carries out without the sentry, with
 * any arguments, is rt_sigreturn, exit and sched_yield.  With which arguments others pass, test_systrap_filter.c has.
 */
START_TEST(every_number_at_each_instruction)
{
	const uint8_t *insn = systrap_text;
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;
	int instructions = 0;

	start(&w);
	as = NEW_AS(&w, spin);
	ctx = new_thread(as);
	for (; (insn = next_syscall(insn, __stop_systrap_shim)); insn++, instructions++) {
		for (uint64_t nr = 0; nr <= 2 * NUMBERS + 1; nr++) {
			uint64_t rax = nr <= NUMBERS ? nr : X32 + nr - NUMBERS - 1;

			if (rax == SYS_rt_sigreturn || rax == SYS_exit || rax == SYS_sched_yield || no_filter_sees(rax))
				continue;
			set_regs(ctx, refused_call_at(text_addr(base_of(&w), insn), rax));
			platform_switch(ctx, &ev);
			ck_assert_msg(ev.kind == PF_SYSCALL && ev.nr == rax, "call %#lx at %#lx: event %d", rax,
				      (unsigned long)(insn - systrap_text), (int)ev.kind);
		}
	}
	ck_assert_int_gt(instructions, 10);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

/* Asks a leader, again and again, so that somebody is always about to read the listener. */
struct asker {
	struct pas *as;
	_Atomic bool stop;
};

static void *ask_a_leader(void *arg)
{
	struct asker *a = arg;

	while (!atomic_load(&a->stop))
		ck_assert_int_eq(pas_map(a->as, NULL, 0x900000, PAGE_SIZE, RW, ANON | L_MAP_FIXED, -1, 0), 0);
	return NULL;
}

/* At the leader's, a guest thread's call ends its stub. */
START_TEST(every_number_at_the_leaders)
{
	const uint8_t *insn = systrap_leader_text;
	struct world w;
	struct pf_event ev;
	struct asker asker = {0};
	pthread_t thread;
	int instructions = 0;

	start(&w);
	asker.as = NEW_AS(&w, spin);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_a_leader, &asker), 0);
	for (; (insn = next_syscall(insn, systrap_leader_text_end)); insn++, instructions++) {
		for (uint64_t nr = 0; nr <= NUMBERS; nr++) {
			struct pas *as;
			struct pctx *ctx;

			if (no_filter_sees(nr))
				continue;
			as = NEW_AS(&w, spin);
			ctx = new_thread(as);
			set_regs(ctx, refused_call_at(leader_text_addr(base_of(&w), insn), nr));
			platform_switch(ctx, &ev);
			ck_assert_msg(ev.kind == PF_DEAD, "call %lu: event %d", (unsigned long)nr, (int)ev.kind);
			pctx_destroy(ctx);
			pas_put(as);
		}
		check_bystander(&w);
	}
	ck_assert_int_eq(instructions, 2);
	atomic_store(&asker.stop, true);
	pthread_join(thread, NULL);
	pas_put(asker.as);
	finish(&w);
}
END_TEST

/* ---- sigreturn ---- */

/* Has the guest return through a frame of its own making. */
static struct pctx *sigreturn_with(struct world *w, struct pas *as, uint64_t mask, uint64_t altstack)
{
	struct pctx *ctx = new_thread(as);
	struct abi_regs regs = regs_at(text_addr(base_of(w), systrap_shim_restorer));
	struct l_ucontext uc = {
		.uc_stack = {.ss_sp = altstack ? altstack : channel_of(ctx) + CH_HEADER_SIZE,
			     .ss_flags = (int32_t)L_SS_AUTODISARM,
			     .ss_size = (altstack ? SYSTRAP_CHANNEL_SIZE : PAGE_SIZE) - CH_HEADER_SIZE},
		.uc_mcontext = {.rip = CODE, .rsp = DATA, .rbx = 1000, .cs = L_USER_CS, .ss = L_USER_DS,
				.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF},
		.uc_sigmask = mask,
	};

	regs.rsp = DATA + 0x100;
	ck_assert_int_eq(pas_write(as, DATA + 0x100, &uc, sizeof(uc)), sizeof(uc));
	set_regs(ctx, regs);
	return ctx;
}

START_TEST(masked_then_call)
{
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;

	start(&w);
	as = NEW_AS(&w, syscalls);
	ctx = sigreturn_with(&w, as, UINT64_MAX, 0);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

START_TEST(masked_then_spin)
{
	struct world w;
	struct pf_event ev;
	struct nudger n;
	struct pas *as;
	struct pctx *ctx;
	int64_t begin = now_ms();

	start(&w);
	as = NEW_AS(&w, spin);
	ctx = sigreturn_with(&w, as, UINT64_MAX, 0);
	nudger_start(&n, ctx);
	do {
		platform_switch(ctx, &ev);
	} while (ev.kind == PF_INTERRUPTED); /* once, perhaps: before it had masked them */
	nudger_stop(&n);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	ck_assert_int_lt(now_ms() - begin, 15000);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

START_TEST(altstack_elsewhere)
{
	struct world w;
	struct pf_event ev;
	struct pas *as;
	struct pctx *ctx;

	start(&w);
	as = NEW_AS(&w, syscalls);
	ctx = sigreturn_with(&w, as, 0, DATA + 0x10000);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pctx_destroy(ctx);
	pas_put(as);
	finish(&w);
}
END_TEST

/* ---- the channel ---- */

struct victim {
	struct pctx *ctx;
	long events;
};

/* Runs whatever comes of it; a guest that seems to be interrupted for ever is left to the killer. */
static void *run_victim(void *arg)
{
	struct victim *v = arg;
	struct pf_event ev;

	ck_assert_int_eq(pctx_attach(v->ctx), 0);
	for (;;) {
		platform_switch(v->ctx, &ev);
		if (ev.kind == PF_DEAD)
			return NULL;
		if (ev.kind == PF_SYSCALL)
			pctx_set_result(v->ctx, 0);
		v->events++;
	}
}

static void scribble(struct world *w, uint64_t offset, uint64_t len, uint8_t value)
{
	struct abi_regs regs = regs_at(CODE);
	struct pas *as = NEW_AS(w, scribble);
	struct victim victims[2] = {0};
	pthread_t threads[2];

	ck_assert_int_eq(pas_write(as, DATA, code_syscalls, (size_t)(code_syscalls_end - code_syscalls)),
			 code_syscalls_end - code_syscalls);
	ck_assert_int_eq(pas_protect(as, NULL, DATA, PAGE_SIZE, RX), 0);
	ck_assert_int_eq(pctx_spawn(as, NULL, &victims[0].ctx), 0);
	ck_assert_int_eq(pctx_spawn(as, NULL, &victims[1].ctx), 0);
	regs.rip = DATA;
	set_regs(victims[0].ctx, regs);
	regs.rip = CODE;
	regs.rax = value;
	regs.r8 = channel_of(victims[0].ctx) + offset;
	regs.r9 = len;
	set_regs(victims[1].ctx, regs);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_victim, &victims[i]), 0);
	for (int i = 0; i < 5; i++) {
		usleep(10000);
		check_bystander(w);
	}
	pas_kill(as);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		pctx_destroy(victims[i].ctx);
	}
	pas_put(as);
}

START_TEST(scribbled_channel)
{
	static const uint8_t values[] = {0, 1, 2, 5, 0x7f, 0xff};
	struct world w;
	uint32_t size;

	start(&w);
	size = container_of(w.pf, struct systrap, pf)->frame.channel_size;
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		scribble(&w, 0, 1, values[i]);		     /* the word */
		scribble(&w, CH_FS_BASE, 16, values[i]);
		scribble(&w, CH_HEADER_SIZE, size - CH_HEADER_SIZE, values[i]); /* the frame */
		scribble(&w, 0, size, values[i]);
	}
	finish(&w);
}
END_TEST

/* ---- the host's hand ---- */

struct storm {
	pid_t pid;
	_Atomic bool stop;
};

static void *stop_and_continue(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->stop)) {
		kill(s->pid, SIGSTOP);
		usleep(300);
		kill(s->pid, SIGCONT);
		usleep(700);
	}
	return NULL;
}

/* A stopped leader makes its notification again: none may be lost or done twice. */
START_TEST(stopped_and_continued)
{
	struct world w;
	struct storm storm = {0};
	struct pf_event ev;
	pthread_t thread;
	uint64_t v = 0;

	start(&w);
	storm.pid = pas_host_pid(w.by_as);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_and_continue, &storm), 0);
	for (uint64_t i = 0; i < 300; i++) {
		struct pas *child_as;
		struct pctx *child;
		int fd = memfd_create("storm", MFD_CLOEXEC);

		check_bystander(&w);
		ck_assert_int_eq(pwrite(fd, &i, sizeof(i), 0), sizeof(i));
		ck_assert_int_eq(pas_map(w.by_as, w.by_ctx, 0xa00000, PAGE_SIZE, RW, L_MAP_SHARED, fd, 0), 0);
		close(fd);
		ck_assert_int_eq(pas_read(w.by_as, 0xa00000, &v, sizeof(v)), sizeof(v));
		ck_assert_uint_eq(v, i);
		if (i % 10)
			continue;
		ck_assert_int_eq(pas_fork(w.by_ctx, &child_as, &child), 0);
		ck_assert_int_eq(pctx_attach(child), 0);
		set_regs(child, regs_at(CODE));
		platform_switch(child, &ev);
		ck_assert_int_eq(ev.kind, PF_SYSCALL);
		pctx_destroy(child);
		pas_put(child_as);
	}
	atomic_store(&storm.stop, true);
	pthread_join(thread, NULL);
	kill(storm.pid, SIGCONT);
	finish(&w);
}
END_TEST

/* Stubs killed at any moment of a fork, a map or a run, by the thousand. */
static void *kill_soon(void *arg)
{
	struct storm *s = arg;

	usleep((useconds_t)(rand() % 600));
	kill(s->pid, SIGKILL);
	return NULL;
}

START_TEST(killed_at_any_moment)
{
	struct world w;

	start(&w);
	for (int i = 0; i < 300; i++) {
		struct pas *as = NEW_AS(&w, syscalls), *child_as;
		struct storm storm = {.pid = pas_host_pid(as)};
		struct pctx *ctx = new_thread(as), *child;
		struct pf_event ev;
		pthread_t thread;

		set_regs(ctx, regs_at(CODE));
		ck_assert_int_eq(pthread_create(&thread, NULL, kill_soon, &storm), 0);
		for (;;) {
			platform_switch(ctx, &ev);
			if (ev.kind == PF_DEAD)
				break;
			if (pas_map(as, ctx, 0xa00000, PAGE_SIZE, RW, ANON, -1, 0) == 0 &&
			    pas_fork(ctx, &child_as, &child) == 0) {
				pctx_destroy(child);
				pas_put(child_as);
			}
		}
		pthread_join(thread, NULL);
		pctx_destroy(ctx);
		pas_put(as);
	}
	/* What they had was used again. */
	ck_assert_uint_lt(container_of(w.pf, struct systrap, pf)->channel_pool.fresh, 200);
	ck_assert_uint_lt(container_of(w.pf, struct systrap, pf)->slot_pool.fresh, 200);
	finish(&w);
}
END_TEST

/* The sentry dies by SIGKILL with guests running: every stub follows. */
START_TEST(sentry_killed)
{
	struct world w;
	int fds[2], status, left = 0;
	pid_t sentry, pids[4];

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	ck_assert_int_eq(pipe(fds), 0);
	sentry = fork();
	if (sentry == 0) {
		pthread_t thread;

		start(&w);
		for (int i = 0; i < 3; i++) {
			struct pas *as = NEW_AS(&w, spin);
			struct pctx *ctx;

			ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
			set_regs(ctx, regs_at(CODE));
			ck_assert_int_eq(pthread_create(&thread, NULL, run_until_dead, ctx), 0);
			pids[i] = pas_host_pid(as);
		}
		pids[3] = pas_host_pid(w.by_as);
		usleep(20000);
		ck_assert_int_eq(write(fds[1], pids, sizeof(pids)), sizeof(pids));
		pause();
	}
	ck_assert_int_eq(read(fds[0], pids, sizeof(pids)), sizeof(pids));
	kill(sentry, SIGKILL);
	ck_assert_int_eq(waitpid(sentry, &status, 0), sentry);
	/* They are ours now: the template, the bystander and the three. */
	for (int64_t end = now_ms() + 5000; now_ms() < end && left < 5;) {
		if (waitpid(-1, &status, WNOHANG) > 0)
			left++;
		else
			usleep(1000);
	}
	ck_assert_int_eq(left, 5);
	ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("systrap");
	TCase *tc = tcase_create("attacks");
	SRunner *runner;
	char why[300];
	int failed;

	if (platform_probe(&systrap_platform, why, sizeof(why)) < 0) {
		printf("SKIP systrap: %s\n", why);
		return 0;
	}
	log_threshold = LOG_ERROR; /* killed guests are what this is about */
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, shim_entries, 0, (int)ARRAY_SIZE(tempting));
	tcase_add_loop_test(tc, leader_entries, 0, (int)ARRAY_SIZE(tempting));
	tcase_add_test(tc, leader_call_unnoticed);
	tcase_add_test(tc, forged_results);
	tcase_add_test(tc, thread_exit_by_shim);
	tcase_add_test(tc, out_of_reach);
	tcase_add_test(tc, fork_hides_channel);
	tcase_add_test(tc, every_int80);
	tcase_add_test(tc, every_number);
	tcase_add_test(tc, every_number_at_each_instruction);
	tcase_add_test(tc, every_number_at_the_leaders);
	tcase_add_test(tc, masked_then_call);
	tcase_add_test(tc, masked_then_spin);
	tcase_add_test(tc, altstack_elsewhere);
	tcase_add_test(tc, scribbled_channel);
	tcase_add_test(tc, stopped_and_continued);
	tcase_add_test(tc, killed_at_any_moment);
	tcase_add_test(tc, sentry_killed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
