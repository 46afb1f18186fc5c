/*
 * Handlers' frames and their return, over and over: what a handler begins with, and what comes of each part of the frame that it
 * changes.  Each case is gone through so often that no first-time path is left.
 */
#include "harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#define ROUNDS 24
#define SW_OFF 464 /* struct _fpx_sw_bytes in the legacy part */

struct vectors {
	uint64_t xmm[16][2];
	uint32_t mxcsr;
	uint16_t control;
};

static volatile int runs;
static struct vectors begun; /* what the handler began with */
static void (*change)(ucontext_t *uc);
static ucontext_t seen;

__attribute__((noinline)) static void store(struct vectors *v)
{
	__asm__ volatile("movdqu %%xmm0, (%0); movdqu %%xmm1, 16(%0); movdqu %%xmm2, 32(%0); movdqu %%xmm3, 48(%0);"
			 "movdqu %%xmm4, 64(%0); movdqu %%xmm5, 80(%0); movdqu %%xmm6, 96(%0); movdqu %%xmm7, 112(%0);"
			 "movdqu %%xmm8, 128(%0); movdqu %%xmm9, 144(%0); movdqu %%xmm10, 160(%0); movdqu %%xmm11, 176(%0);"
			 "movdqu %%xmm12, 192(%0); movdqu %%xmm13, 208(%0); movdqu %%xmm14, 224(%0);"
			 "movdqu %%xmm15, 240(%0); stmxcsr 256(%0); fnstcw 260(%0)" ::"r"(v)
			 : "memory");
}

/* Makes a call with all vector registers as in *in; what they are after it, and after what handlers it causes. */
static long call_with(struct vectors *in, struct vectors *out, long nr, long a, long b, long c)
{
	register long ret __asm__("rax") = nr;

	__asm__ volatile("ldmxcsr 256(%[in]); fldcw 260(%[in]);"
			 "movdqu (%[in]), %%xmm0; movdqu 16(%[in]), %%xmm1; movdqu 32(%[in]), %%xmm2; movdqu 48(%[in]), %%xmm3;"
			 "movdqu 64(%[in]), %%xmm4; movdqu 80(%[in]), %%xmm5; movdqu 96(%[in]), %%xmm6; movdqu 112(%[in]), %%xmm7;"
			 "movdqu 128(%[in]), %%xmm8; movdqu 144(%[in]), %%xmm9; movdqu 160(%[in]), %%xmm10;"
			 "movdqu 176(%[in]), %%xmm11; movdqu 192(%[in]), %%xmm12; movdqu 208(%[in]), %%xmm13;"
			 "movdqu 224(%[in]), %%xmm14; movdqu 240(%[in]), %%xmm15; syscall; jmp 1f; nopw %%cs:0(%%rax,%%rax,1);"
			 "1: movdqu %%xmm0, (%[out]); movdqu %%xmm1, 16(%[out]); movdqu %%xmm2, 32(%[out]); movdqu %%xmm3, 48(%[out]);"
			 "movdqu %%xmm4, 64(%[out]); movdqu %%xmm5, 80(%[out]); movdqu %%xmm6, 96(%[out]);"
			 "movdqu %%xmm7, 112(%[out]); movdqu %%xmm8, 128(%[out]); movdqu %%xmm9, 144(%[out]);"
			 "movdqu %%xmm10, 160(%[out]); movdqu %%xmm11, 176(%[out]); movdqu %%xmm12, 192(%[out]);"
			 "movdqu %%xmm13, 208(%[out]); movdqu %%xmm14, 224(%[out]); movdqu %%xmm15, 240(%[out]);"
			 "stmxcsr 256(%[out]); fnstcw 260(%[out])"
			 : "+r"(ret)
			 : [in] "r"(in), [out] "r"(out), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return ret;
}

static struct vectors filled(int seed)
{
	struct vectors v = {.mxcsr = 0x9f80, .control = 0xf7f};

	for (int i = 0; i < 16; i++)
		v.xmm[i][0] = v.xmm[i][1] = 0x0101010101010101u * (uint64_t)(seed + i);
	return v;
}

static bool same(const struct vectors *a, const struct vectors *b)
{
	return memcmp(a->xmm, b->xmm, sizeof(a->xmm)) == 0 && (a->mxcsr & ~0x3fu) == (b->mxcsr & ~0x3fu) &&
	       a->control == b->control;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	struct vectors other = filled(0x55);
	ucontext_t *uc = context;

	store(&begun);
	runs++;
	seen = *uc;
	if (change)
		change(uc);
	__asm__ volatile("movdqu %0, %%xmm0; movdqa %%xmm0, %%xmm3; movdqa %%xmm0, %%xmm15; fninit" ::"m"(other.xmm[0])
			 : "xmm0", "xmm3", "xmm15");
}

static void install(int sig, int flags, void (*what)(ucontext_t *uc))
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	runs = 0;
	change = what;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static long tgkill_self(struct vectors *in, struct vectors *out, int sig)
{
	return call_with(in, out, SYS_tgkill, getpid(), (long)syscall(SYS_gettid), sig);
}

/* ---- what a handler begins with ---- */

static void check_begun(void)
{
	static const struct vectors fresh = {.mxcsr = 0x1f80, .control = 0x37f};

	/* The compiler's own use of a few registers comes before the look. */
	for (int i = 4; i < 16; i++)
		CHECK(begun.xmm[i][0] == 0 && begun.xmm[i][1] == 0);
	CHECK_EQ(begun.mxcsr, fresh.mxcsr);
	CHECK_EQ(begun.control, fresh.control);
}

TEST(begins_afresh)
{
	struct vectors in, out;

	install(SIGUSR1, 0, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		in = filled(i);
		CHECK_EQ(tgkill_self(&in, &out, SIGUSR1), 0);
		CHECK_EQ(runs, i + 1);
		CHECK(same(&in, &out));
		check_begun();
	}
}

static struct vectors in_frame;

static void read_frame(ucontext_t *uc)
{
	memcpy(in_frame.xmm, uc->uc_mcontext.fpregs->_xmm, sizeof(in_frame.xmm));
	in_frame.mxcsr = uc->uc_mcontext.fpregs->mxcsr;
	in_frame.control = uc->uc_mcontext.fpregs->cwd;
}

TEST(the_frame_holds_them)
{
	struct vectors in, out;

	install(SIGUSR1, 0, read_frame);
	for (int i = 0; i < ROUNDS; i++) {
		in = filled(i + 7);
		tgkill_self(&in, &out, SIGUSR1);
		CHECK(same(&in, &in_frame));
		CHECK(same(&in, &out));
	}
}

/* A fault, a page that the handler opens, and the registers after it. */
static char *page;

static void open_page(ucontext_t *uc)
{
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

TEST(after_a_fault)
{
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	install(SIGSEGV, 0, open_page);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t in[2] = {(uint64_t)i, ~(uint64_t)i}, out[2];

		mprotect(page, 4096, PROT_NONE);
		__asm__ volatile("movdqu %1, %%xmm9; movb $1, (%2); movdqu %%xmm9, %0"
				 : "=m"(out)
				 : "m"(in), "r"(page)
				 : "xmm9", "memory");
		CHECK_EQ(runs, i + 1);
		CHECK(memcmp(in, out, sizeof(in)) == 0);
		check_begun();
	}
	signal(SIGSEGV, SIG_DFL);
	munmap(page, 4096);
}

/* ---- what it changes ---- */

static void change_vectors(ucontext_t *uc)
{
	memset(&uc->uc_mcontext.fpregs->_xmm[7], 0x33, 16);
	uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	uc->uc_mcontext.fpregs->cwd = 0x27f;
}

/* The vector state may lie anywhere, if it is aligned and whole. */
static char elsewhere[32768] __attribute__((aligned(4096)));

static void move_vectors(ucontext_t *uc)
{
	char *from = (char *)uc->uc_mcontext.fpregs;
	uint32_t size = *(uint32_t *)(from + SW_OFF + 4); /* extended_size */

	memcpy(elsewhere, from, size);
	memset(from, 0xff, 512);
	memset(elsewhere + 160 + 7 * 16, 0x33, 16);
	uc->uc_mcontext.fpregs = (void *)elsewhere;
}

static void no_vectors(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = NULL;
}

static void legacy_vectors(ucontext_t *uc)
{
	*(uint32_t *)((char *)uc->uc_mcontext.fpregs + SW_OFF) = 0;
}

TEST(vectors_of_the_frame)
{
	struct vectors in, out, want;

	for (int i = 0; i < ROUNDS; i++) {
		in = filled(i);
		install(SIGUSR1, 0, change_vectors);
		tgkill_self(&in, &out, SIGUSR1);
		want = in;
		memset(want.xmm[7], 0x33, 16);
		want.mxcsr = 0x1f80;
		want.control = 0x27f;
		CHECK(same(&want, &out));

		install(SIGUSR1, 0, move_vectors);
		tgkill_self(&in, &out, SIGUSR1);
		want = in;
		memset(want.xmm[7], 0x33, 16);
		CHECK(same(&want, &out));

		install(SIGUSR1, 0, no_vectors);
		tgkill_self(&in, &out, SIGUSR1);
		want = (struct vectors){.mxcsr = 0x1f80, .control = 0x37f};
		CHECK(same(&want, &out));

		install(SIGUSR1, 0, legacy_vectors);
		tgkill_self(&in, &out, SIGUSR1);
		CHECK(same(&in, &out));
	}
}

static void change_registers(ucontext_t *uc)
{
	greg_t *r = uc->uc_mcontext.gregs;

	r[REG_RAX] = 0x1111;
	r[REG_RCX] = 0x2222;
	r[REG_R11] = 0x3333;
	r[REG_R12] = 0x4444;
	r[REG_RBX] = 0x5555;
	r[REG_RBP] = 0x6666;
	r[REG_R9] = 0x7777;
	r[REG_EFL] = (r[REG_EFL] & ~0x8d5ll) | 0x41; /* CF, ZF */
	r[REG_RIP] += 2; /* over a ud2 */
}

TEST(registers_of_the_frame)
{
	static uint64_t out[8];
	long pid = getpid(), tid = (long)syscall(SYS_gettid);

	install(SIGUSR1, 0, change_registers);
	for (int i = 0; i < ROUNDS; i++) {
		memset(out, 0, sizeof(out));
		__asm__ volatile("pushq %%rbp; pushq %%rbx; subq $256, %%rsp; movq %0, %%rdi; movq %1, %%rsi; movl $10, %%edx;"
				 "movl $234, %%eax; syscall; ud2;"
				 "pushq %%rax; leaq %2, %%rax; popq (%%rax); movq %%rcx, 8(%%rax); movq %%r11, 16(%%rax);"
				 "movq %%r12, 24(%%rax); movq %%rbx, 32(%%rax); movq %%rbp, 40(%%rax); movq %%r9, 48(%%rax);"
				 "pushfq; popq 56(%%rax); addq $256, %%rsp; popq %%rbx; popq %%rbp"
				 :
				 : "r"(pid), "r"(tid), "m"(out)
				 : "rax", "rcx", "rdx", "rsi", "rdi", "r9", "r11", "r12", "memory", "cc");
		CHECK_EQ(out[0], 0x1111);
		CHECK_EQ(out[1], 0x2222);
		CHECK_EQ(out[2], 0x3333);
		CHECK_EQ(out[3], 0x4444);
		CHECK_EQ(out[4], 0x5555);
		CHECK_EQ(out[5], 0x6666);
		CHECK_EQ(out[6], 0x7777);
		CHECK_EQ(out[7] & 0x8d5, 0x41);
	}
}

/* The registers that the frame holds when a call is interrupted, and the handler's own. */
TEST(a_call_in_the_frame)
{
	long pid = getpid(), tid = (long)syscall(SYS_gettid);

	install(SIGUSR1, 0, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t rcx, rsp, here;
		long rax = SYS_tgkill;
		register uint64_t r12 __asm__("r12") = 0x1212, r9 __asm__("r9") = 0x99;

		__asm__ volatile("movq %%rsp, %[rsp]; syscall; 1: leaq 1b(%%rip), %[here]"
				 : "+a"(rax), "=c"(rcx), [here] "=&r"(here), [rsp] "=&r"(rsp), "+r"(r12), "+r"(r9)
				 : "D"(pid), "S"(tid), "d"(SIGUSR1)
				 : "r11", "memory");
		CHECK(rax == 0 && r12 == 0x1212 && r9 == 0x99 && rcx == here);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_RAX], 0);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_RIP], here);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_RCX], here);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_RSP], rsp);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_R12], 0x1212);
		CHECK_EQ(seen.uc_mcontext.gregs[REG_RDX], SIGUSR1);
		CHECK_EQ((uint64_t)seen.uc_mcontext.gregs[REG_CSGSFS] & 0xffff, 0x33);
	}
}

/* ---- masks ---- */

static void block_usr2(ucontext_t *uc)
{
	sigaddset(&uc->uc_sigmask, SIGUSR2);
	sigaddset(&uc->uc_sigmask, SIGKILL);
}

static void unblock_usr2(ucontext_t *uc)
{
	raise(SIGUSR2);
	sigdelset(&uc->uc_sigmask, SIGUSR2);
}

static volatile int others;

static void other(int sig)
{
	others++;
}

TEST(mask_of_the_frame)
{
	sigset_t now, none;

	sigemptyset(&none);
	signal(SIGUSR2, other);
	for (int i = 0; i < ROUNDS; i++) {
		others = 0;
		sigprocmask(SIG_SETMASK, &none, NULL);
		install(SIGUSR1, 0, block_usr2);
		raise(SIGUSR1);
		sigprocmask(SIG_SETMASK, NULL, &now);
		CHECK(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGKILL) == 0 && sigismember(&now, SIGUSR1) == 0);
		/* One that waits strikes as the frame unblocks it. */
		install(SIGUSR1, 0, unblock_usr2);
		CHECK_EQ(others, 0);
		raise(SIGUSR1);
		CHECK_EQ(others, 1);
		sigprocmask(SIG_SETMASK, NULL, &now);
		CHECK_EQ(sigismember(&now, SIGUSR2), 0);
	}
	signal(SIGUSR2, SIG_DFL);
}

/* A sender while the other one goes in and out of handlers: nothing is lost. */
static _Atomic int taken, asked;
static _Atomic bool over;
static pthread_t target;

static void take(int sig)
{
	taken++;
}

static void *send(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		asked = i + 1;
		pthread_kill(target, SIGUSR2);
		while (taken <= i)
			sched_yield();
	}
	over = true;
	return NULL;
}

TEST(sent_while_it_returns)
{
	pthread_t t;

	taken = asked = 0;
	over = false;
	target = pthread_self();
	signal(SIGUSR2, take);
	install(SIGUSR1, 0, NULL);
	REQUIRE(pthread_create(&t, NULL, send, NULL) == 0);
	while (!over)
		raise(SIGUSR1);
	pthread_join(t, NULL);
	CHECK_EQ(taken, 3000);
	signal(SIGUSR2, SIG_DFL);
}

/* ---- stacks ---- */

static char alt[65536], alt2[65536];
static stack_t in_handler;

static void look_at_stack(ucontext_t *uc)
{
	char here;

	sigaltstack(NULL, &in_handler);
	CHECK_EQ(&here > alt && &here < alt + sizeof(alt), !!(in_handler.ss_flags & SS_ONSTACK));
}

static void other_stack(ucontext_t *uc)
{
	uc->uc_stack.ss_sp = alt2;
	uc->uc_stack.ss_size = sizeof(alt2);
	uc->uc_stack.ss_flags = 0;
}

TEST(alternate_stacks)
{
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)}, off = {.ss_flags = SS_DISABLE}, now;
	struct vectors in = filled(1), out;

	for (int i = 0; i < ROUNDS; i++) {
		REQUIRE(sigaltstack(&ss, NULL) == 0);
		install(SIGUSR1, SA_ONSTACK, look_at_stack);
		tgkill_self(&in, &out, SIGUSR1);
		CHECK(same(&in, &out));
		CHECK(in_handler.ss_flags == SS_ONSTACK && in_handler.ss_sp == alt);
		CHECK_EQ(sigaltstack(NULL, &now), 0);
		CHECK(now.ss_flags == 0 && now.ss_sp == alt && now.ss_size == sizeof(alt));
		install(SIGUSR1, 0, look_at_stack);
		raise(SIGUSR1);
		CHECK_EQ(in_handler.ss_flags, 0);
		/* The frame's stack is the one that counts. */
		install(SIGUSR1, 0, other_stack);
		raise(SIGUSR1);
		CHECK_EQ(sigaltstack(NULL, &now), 0);
		CHECK(now.ss_sp == alt2);
	}
	REQUIRE(sigaltstack(&off, NULL) == 0);
}

/* A stack that cannot take the frame: SIGSEGV, handled on the other one. */
static sigjmp_buf back;
static int why;

static void no_stack(int sig, siginfo_t *info, void *context)
{
	why = info->si_code;
	siglongjmp(back, 1);
}

TEST(no_room_for_the_frame)
{
	struct sigaction sa = {.sa_sigaction = no_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)}, off = {.ss_flags = SS_DISABLE};
	long pid = getpid(), tid = (long)syscall(SYS_gettid);
	char *p = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static volatile int i;

	install(SIGUSR1, 0, NULL);
	REQUIRE(sigaltstack(&ss, NULL) == 0);
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	for (i = 0; i < ROUNDS; i++) {
		why = 0;
		if (sigsetjmp(back, 1) == 0)
			__asm__ volatile("movq %%rsp, %%rbx; movq %0, %%rsp; movl $234, %%eax; syscall; movq %%rbx, %%rsp" ::"r"(
						 p + 12288),
					 "D"(pid), "S"(tid), "d"(SIGUSR1)
					 : "rax", "rbx", "rcx", "r11", "memory");
		CHECK_EQ(why, SI_KERNEL);
		CHECK_EQ(runs, 0);
	}
	signal(SIGSEGV, SIG_DFL);
	REQUIRE(sigaltstack(&off, NULL) == 0);
	munmap(p, 16384);
}

/* The main stack grows for a frame. */
static int grow_and_raise(void)
{
	long pid = getpid(), tid = (long)syscall(SYS_gettid), ret = 234;
	uint64_t low = (uint64_t)&pid - 512 * 1024;

	__asm__ volatile("movq %%rsp, %%rbx; movq %1, %%rsp; syscall; movq %%rbx, %%rsp"
			 : "+a"(ret)
			 : "r"(low), "D"(pid), "S"(tid), "d"(SIGUSR1)
			 : "rbx", "rcx", "r11", "memory");
	return (int)ret;
}

TEST(the_stack_grows)
{
	for (int i = 0; i < 4; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			install(SIGUSR1, 0, NULL);
			for (int k = 0; k < ROUNDS; k++)
				raise(SIGUSR1);
			REQUIRE(grow_and_raise() == 0);
			REQUIRE(runs == ROUNDS + 1);
			_exit(0);
		}
		CHECK_EQ(h_wait(pid), 0);
	}
}

/* ---- frames that kill ---- */

static void crooked(ucontext_t *uc)
{
	move_vectors(uc);
	memmove(elsewhere + 8, elsewhere, 16384);
	uc->uc_mcontext.fpregs = (void *)(elsewhere + 8);
}

static void not_mapped(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs = (void *)0x10000000;
}

static void cut_off(ucontext_t *uc)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(p + 4096 - 512, uc->uc_mcontext.fpregs, 512);
	munmap(p + 4096, 4096);
	uc->uc_mcontext.fpregs = (void *)(p + 4096 - 512);
}

static void bad_header(ucontext_t *uc)
{
	((uint64_t *)((char *)uc->uc_mcontext.fpregs + 512))[1] = 1; /* xcomp_bv */
}

static void bad_mxcsr(ucontext_t *uc)
{
	uc->uc_mcontext.fpregs->mxcsr = 0x80000000;
}

static void bad_segment(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_CSGSFS] = 0x2b0000000000002b;
}

static void no_memory_there(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = 0x10000000;
}

static char area[32768] __attribute__((aligned(64)));

/* The state elsewhere, at an offset; without marks it is the legacy part alone, which may lie anywhere on 16 bytes. */
static void moved_by(ucontext_t *uc, unsigned offset, bool marked)
{
	uint32_t size;

	memcpy(&size, (char *)uc->uc_mcontext.fpregs + SW_OFF + 4, sizeof(size)); /* extended_size */
	REQUIRE(size <= sizeof(area) - 64);
	memcpy(area + offset, uc->uc_mcontext.fpregs, size);
	if (!marked)
		memset(area + offset + SW_OFF, 0, 48);
	uc->uc_mcontext.fpregs = (void *)(area + offset);
}

static void marked_by_64(ucontext_t *uc)
{
	moved_by(uc, 64, true);
}

static void marked_by_16(ucontext_t *uc)
{
	moved_by(uc, 16, true);
}

static void legacy_by_16(ucontext_t *uc)
{
	moved_by(uc, 16, false);
}

static void legacy_by_8(ucontext_t *uc)
{
	moved_by(uc, 8, false);
}

static int death_by(void (*what)(ucontext_t *uc))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		install(SIGUSR1, 0, NULL);
		for (int i = 0; i < ROUNDS; i++)
			raise(SIGUSR1);
		change = what;
		raise(SIGUSR1);
		_exit(0);
	}
	return h_wait(pid) & ~0x80;
}

TEST(frames_that_kill)
{
	CHECK_EQ(death_by(NULL), 0);
	CHECK_EQ(death_by(marked_by_64), 0);
	CHECK_EQ(death_by(legacy_by_16), 0);
	CHECK_EQ(death_by(marked_by_16), SIGSEGV);
	CHECK_EQ(death_by(legacy_by_8), SIGSEGV);
	CHECK_EQ(death_by(crooked), SIGSEGV);
	CHECK_EQ(death_by(not_mapped), SIGSEGV);
	CHECK_EQ(death_by(cut_off), SIGSEGV);
	CHECK_EQ(death_by(bad_header), SIGSEGV);
	CHECK_EQ(death_by(bad_mxcsr), SIGSEGV);
	CHECK_EQ(death_by(bad_segment), SIGSEGV);
	CHECK_EQ(death_by(no_memory_there), SIGSEGV);
}

/* ---- restorers ---- */

/* As Go's: unwinders know it by its bytes. */
__asm__(".text; .balign 16; .fill 16, 1, 0xcc; restorer_without_table: mov $15, %rax; syscall; int3; .balign 16");
extern const char restorer_without_table[];

struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	const char *restorer;
	uint64_t mask;
};

static void count_run(int sig)
{
	(void)sig;
	runs++;
}

TEST(text_that_unwinders_know)
{
	static const char bytes[] = {0x48, (char)0xc7, (char)0xc0, 15, 0, 0, 0, 0x0f, 0x05};
	struct kernel_sigaction sa = {count_run, 0x04000000 /* SA_RESTORER */, restorer_without_table, 0};

	OK(syscall(SYS_rt_sigaction, SIGUSR1, &sa, NULL, 8));
	runs = 0;
	for (int i = 0; i < 100; i++)
		raise(SIGUSR1);
	CHECK_EQ(runs, 100);
	CHECK(memcmp(restorer_without_table, bytes, sizeof(bytes)) == 0);
}

/* ---- threads, each in and out of handlers ---- */

static void *spin_in_handlers(void *arg)
{
	struct vectors in, out;

	for (int i = 0; i < 500; i++) {
		in = filled((int)(uintptr_t)arg + i);
		tgkill_self(&in, &out, SIGUSR1);
		if (!same(&in, &out))
			return (void *)1;
	}
	return NULL;
}

TEST(in_four_threads)
{
	struct sigaction sa = {.sa_handler = take};
	pthread_t t[4];
	void *bad;

	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	taken = 0;
	for (uintptr_t i = 0; i < 4; i++)
		REQUIRE(pthread_create(&t[i], NULL, spin_in_handlers, (void *)(i * 31)) == 0);
	for (int i = 0; i < 4; i++) {
		REQUIRE(pthread_join(t[i], &bad) == 0);
		CHECK(!bad);
	}
	CHECK_EQ(taken, 2000);
}

/* Nested, and left by a jump. */
static volatile int depth;

static void nest(int sig)
{
	if (++depth % 5)
		raise(sig);
	if (depth % 10 == 0)
		siglongjmp(back, 1);
}

TEST(nested_and_left)
{
	struct sigaction sa = {.sa_handler = nest, .sa_flags = SA_NODEFER};
	static volatile int i;

	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	for (i = 0; i < ROUNDS; i++) {
		depth = 5 * (i % 2);
		if (sigsetjmp(back, 1) == 0)
			raise(SIGUSR1);
		CHECK_EQ(depth, i % 2 ? 10 : 5);
	}
}
