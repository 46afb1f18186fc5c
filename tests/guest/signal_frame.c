/* The frame a handler runs on: registers and vector state before, during and after; alternate stacks; sigreturn. */
#include "harness.h"

#include <immintrin.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static ucontext_t *seen_uc;
static volatile int runs;
static volatile uintptr_t handler_sp;

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	runs = 0;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static greg_t regs_seen[NGREG];

static void spoil(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	memcpy(regs_seen, uc->uc_mcontext.gregs, sizeof(regs_seen));
	runs++;
	/* Everything a C function may change, and the flags. */
	__asm__ volatile("movq $-1, %%rax; movq %%rax, %%rcx; movq %%rax, %%rdx; movq %%rax, %%rsi; movq %%rax, %%rdi;"
			 "movq %%rax, %%r8; movq %%rax, %%r9; movq %%rax, %%r10; movq %%rax, %%r11; stc; std; cld" ::
				 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm5; movdqa %%xmm0, %%xmm15" ::: "xmm0", "xmm5",
			 "xmm15");
}

/* Loads every register with a value of its own, traps, and stores what they are afterwards. */
TEST(registers_are_restored)
{
	static uint64_t in[16], after[16];

	for (uint64_t i = 0; i < 16; i++)
		in[i] = 0x0101010101010101 * (i + 1);
	install(SIGTRAP, spoil, 0);
	__asm__ volatile("pushq %%rbp; pushq %%rbx\n\t"
			 "subq $128, %%rsp\n\t" /* the calls below must not hit the red zone of this function */
			 "leaq %0, %%rax; pushq %%rax\n\t"
			 "leaq %1, %%rax\n\t"
			 "movq 8(%%rax), %%rbx; movq 16(%%rax), %%rcx; movq 24(%%rax), %%rdx; movq 32(%%rax), %%rsi\n\t"
			 "movq 40(%%rax), %%rdi; movq 48(%%rax), %%rbp; movq 64(%%rax), %%r8; movq 72(%%rax), %%r9\n\t"
			 "movq 80(%%rax), %%r10; movq 88(%%rax), %%r11; movq 96(%%rax), %%r12; movq 104(%%rax), %%r13\n\t"
			 "movq 112(%%rax), %%r14; movq 120(%%rax), %%r15; movq 0(%%rax), %%rax\n\t"
			 "int3\n\t"
			 "xchgq %%rax, (%%rsp)\n\t"
			 "movq %%rbx, 8(%%rax); movq %%rcx, 16(%%rax); movq %%rdx, 24(%%rax); movq %%rsi, 32(%%rax)\n\t"
			 "movq %%rdi, 40(%%rax); movq %%rbp, 48(%%rax); movq %%r8, 64(%%rax); movq %%r9, 72(%%rax)\n\t"
			 "movq %%r10, 80(%%rax); movq %%r11, 88(%%rax); movq %%r12, 96(%%rax); movq %%r13, 104(%%rax)\n\t"
			 "movq %%r14, 112(%%rax); movq %%r15, 120(%%rax); popq 0(%%rax)\n\t"
			 "addq $128, %%rsp\n\t"
			 "popq %%rbx; popq %%rbp"
			 : "=m"(after)
			 : "m"(in)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
			   "memory");
	CHECK_EQ(runs, 1);
	for (int i = 0; i < 16; i++)
		if (i != 7)
			CHECK_EQ(after[i], in[i]);
	CHECK_EQ(regs_seen[REG_RAX], in[0]);
	CHECK_EQ(regs_seen[REG_RBX], in[1]);
	CHECK_EQ(regs_seen[REG_RCX], in[2]);
	CHECK_EQ(regs_seen[REG_RDX], in[3]);
	CHECK_EQ(regs_seen[REG_RSI], in[4]);
	CHECK_EQ(regs_seen[REG_RDI], in[5]);
	CHECK_EQ(regs_seen[REG_RBP], in[6]);
	CHECK_EQ(regs_seen[REG_R8], in[8]);
	CHECK_EQ(regs_seen[REG_R11], in[11]);
	CHECK_EQ(regs_seen[REG_R15], in[15]);
}

TEST(red_zone_is_kept)
{
	uint64_t below = 0;

	install(SIGTRAP, spoil, 0);
	__asm__ volatile("movq $0x55aa, -128(%%rsp); int3; movq -128(%%rsp), %0" : "=r"(below)::"memory");
	CHECK_EQ(below, 0x55aa);
}

TEST(system_call_registers)
{
	/* A call changes rax, rcx (to the return address) and r11 (to the flags), and nothing else. */
	uint64_t rcx = 1, r11 = 2, rdx = 3, rsi = 4, rdi = 5, r8 = 6, r9 = 7, r10 = 8, here;
	register uint64_t v8 __asm__("r8") = r8, v9 __asm__("r9") = r9, v10 __asm__("r10") = r10;
	register uint64_t v11 __asm__("r11");
	long rax = SYS_getppid;

	__asm__ volatile("syscall; 1: leaq 1b(%%rip), %3"
			 : "+a"(rax), "=c"(rcx), "=r"(v11), "=&b"(here), "+d"(rdx), "+S"(rsi), "+D"(rdi), "+r"(v8), "+r"(v9),
			   "+r"(v10)::"memory");
	r11 = v11;
	CHECK_EQ(rax, getppid());
	CHECK_EQ(rcx, here);
	CHECK_EQ(r11 & ~0x8d5ul, 0x202); /* interrupts on; arithmetic flags are whatever they were */
	CHECK(rdx == 3 && rsi == 4 && rdi == 5 && v8 == 6 && v9 == 7 && v10 == 8);
}

static void flags_handler(int sig, siginfo_t *info, void *context)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	runs = (flags & (1 << 10)) == 0; /* the direction flag is clear in a handler */
}

TEST(direction_flag)
{
	uint64_t flags;

	install(SIGTRAP, flags_handler, 0);
	__asm__ volatile("std; int3; pushfq; cld; popq %0" : "=r"(flags)::"memory");
	CHECK_EQ(runs, 1);
	CHECK(flags & (1 << 10));
}

static void spoil_vectors(int sig, siginfo_t *info, void *context)
{
	runs++;
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm1\n\tmovdqa %%xmm0, %%xmm7\n\tmovdqa %%xmm0, %%xmm15"
			 "\n\tfninit" ::: "xmm0", "xmm1", "xmm7", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" ::: "xmm0", "xmm1", "xmm7", "xmm15");
}

TEST(xmm_is_preserved)
{
	uint8_t in[64], after[64];

	for (int i = 0; i < 64; i++)
		in[i] = (uint8_t)(i * 3 + 1);
	install(SIGTRAP, spoil_vectors, 0);
	__asm__ volatile("movdqu (%0), %%xmm0; movdqu 16(%0), %%xmm1; movdqu 32(%0), %%xmm7; movdqu 48(%0), %%xmm15; int3;"
			 "movdqu %%xmm0, (%1); movdqu %%xmm1, 16(%1); movdqu %%xmm7, 32(%1); movdqu %%xmm15, 48(%1)" ::"r"(in),
			 "r"(after)
			 : "xmm0", "xmm1", "xmm7", "xmm15", "memory");
	CHECK_EQ(runs, 1);
	CHECK(memcmp(in, after, sizeof(in)) == 0);
}

__attribute__((target("avx"))) static void ymm_over(void (*what)(void))
{
	uint8_t in[64], after[64];

	for (int i = 0; i < 64; i++)
		in[i] = (uint8_t)(i * 5 + 1);
	if (what)
		what();
	__asm__ volatile("vmovdqu (%0), %%ymm3; vmovdqu 32(%0), %%ymm12; int3; movl %2, %%eax; syscall;"
			 "vmovdqu %%ymm3, (%1); vmovdqu %%ymm12, 32(%1)" ::"r"(in),
			 "r"(after), "i"(SYS_getppid)
			 : "xmm3", "xmm12", "rax", "rcx", "r11", "memory");
	CHECK(memcmp(in, after, sizeof(in)) == 0);
}

TEST(ymm_is_preserved)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("no AVX");
	install(SIGTRAP, spoil_vectors, 0);
	ymm_over(NULL);
	CHECK_EQ(runs, 1);
}

TEST(mxcsr_and_x87_are_preserved)
{
	unsigned csr = 0x3f80 /* round down */, csr_after = 0;
	unsigned short cw = 0x0e7f /* truncate, double */, cw_after = 0, old_cw;

	install(SIGTRAP, spoil_vectors, 0);
	__asm__ volatile("fnstcw %0; fldcw %1; ldmxcsr %2; fldpi; int3; fnstcw %3; stmxcsr %4; fstp %%st(0); fldcw %0"
			 : "+m"(old_cw), "+m"(cw), "+m"(csr), "=m"(cw_after), "=m"(csr_after)::"memory");
	CHECK_EQ(cw_after, 0x0e7f);
	CHECK_EQ(csr_after & ~0x3fu, 0x3f80);
	csr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(csr));
}

static void change_xmm(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	runs++;
	memset(&uc->uc_mcontext.fpregs->_xmm[3], 0x77, 16);
}

TEST(handler_changes_vectors)
{
	uint8_t after[16], want[16];

	memset(want, 0x77, sizeof(want));
	install(SIGTRAP, change_xmm, 0);
	__asm__ volatile("pxor %%xmm3, %%xmm3; int3; movdqu %%xmm3, (%0)" ::"r"(after) : "xmm3", "memory");
	CHECK_EQ(runs, 1);
	CHECK(memcmp(after, want, 16) == 0);
}

static void look_at_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	uint32_t *sw = (uint32_t *)((char *)uc->uc_mcontext.fpregs + 464); /* struct _fpx_sw_bytes */

	seen_uc = uc;
	runs++;
	handler_sp = sp;
	CHECK_EQ((sp + 8) % 16, 8); /* at entry the stack is as after a call */
	CHECK_EQ((uintptr_t)uc->uc_mcontext.fpregs % 64, 0);
	CHECK(uc->uc_flags & 1); /* UC_FP_XSTATE */
	CHECK_EQ(sw[0], 0x46505853);
	CHECK(sw[1] >= 576 + 4);
	CHECK_EQ(*(uint32_t *)((char *)uc->uc_mcontext.fpregs + sw[1] - 4), 0x46505845);
	CHECK_EQ((uint64_t)uc->uc_mcontext.gregs[REG_CSGSFS] & 0xffff, 0x33);
	CHECK(uc->uc_link == NULL);
}

TEST(frame_layout)
{
	install(SIGUSR1, look_at_frame, 0);
	raise(SIGUSR1);
	CHECK_EQ(runs, 1);
}

static char alt[65536] __attribute__((aligned(16)));

static void on_alt(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	stack_t st, other = {.ss_sp = alt, .ss_size = sizeof(alt)};
	uintptr_t sp = (uintptr_t)&st;

	runs++;
	CHECK(sp >= (uintptr_t)alt && sp < (uintptr_t)alt + sizeof(alt));
	CHECK_EQ(sigaltstack(NULL, &st), 0);
	CHECK_EQ(st.ss_flags & SS_ONSTACK, SS_ONSTACK);
	CHECK(st.ss_sp == alt && st.ss_size == sizeof(alt));
	CHECK_ERR(sigaltstack(&other, NULL), EPERM);
	CHECK(uc->uc_stack.ss_sp == alt && uc->uc_stack.ss_size == sizeof(alt));
	CHECK_EQ(uc->uc_stack.ss_flags, 0);
	if (runs == 1)
		raise(SIGUSR2); /* goes on further down on the same stack */
}

TEST(alternate_stack)
{
	stack_t st = {.ss_sp = alt, .ss_size = sizeof(alt)}, old;

	CHECK_EQ(sigaltstack(NULL, &old), 0);
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	REQUIRE(sigaltstack(&st, &old) == 0);
	CHECK_EQ(sigaltstack(NULL, &old), 0);
	CHECK(old.ss_sp == alt && old.ss_size == sizeof(alt) && old.ss_flags == 0);
	install(SIGUSR2, on_alt, SA_ONSTACK);
	install(SIGUSR1, on_alt, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(runs, 2);
	/* Without SA_ONSTACK the ordinary stack is used. */
	install(SIGUSR1, look_at_frame, 0);
	raise(SIGUSR1);
	CHECK(handler_sp < (uintptr_t)alt || handler_sp >= (uintptr_t)alt + sizeof(alt));
	st.ss_size = 100;
	CHECK_ERR(sigaltstack(&st, NULL), ENOMEM);
	st.ss_flags = 0x40;
	CHECK_ERR(sigaltstack(&st, NULL), EINVAL);
	st.ss_flags = SS_DISABLE;
	CHECK_EQ(sigaltstack(&st, NULL), 0);
	CHECK_EQ(sigaltstack(NULL, &old), 0);
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	CHECK_ERR(syscall(SYS_sigaltstack, 8, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_sigaltstack, NULL, 8), EFAULT);
}

static void on_autodisarmed(int sig, siginfo_t *info, void *context)
{
	stack_t st;

	runs++;
	CHECK_EQ(sigaltstack(NULL, &st), 0);
	CHECK_EQ(st.ss_flags, SS_DISABLE);
}

TEST(autodisarm)
{
	stack_t st = {.ss_sp = alt, .ss_size = sizeof(alt), .ss_flags = (int)(1u << 31)}, now;

	REQUIRE(sigaltstack(&st, NULL) == 0);
	install(SIGUSR1, on_autodisarmed, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(runs, 1);
	CHECK_EQ(sigaltstack(NULL, &now), 0);
	CHECK(now.ss_sp == alt);
	st.ss_flags = SS_DISABLE;
	CHECK_EQ(sigaltstack(&st, NULL), 0);
}

static sigjmp_buf env;

static void jump_away(int sig, siginfo_t *info, void *context)
{
	runs++;
	siglongjmp(env, runs);
}

TEST(longjmp_out_of_handler)
{
	sigset_t set;
	volatile int i;

	install(SIGUSR1, jump_away, 0);
	for (i = 0; i < 100; i++)
		if (sigsetjmp(env, 1) == 0)
			raise(SIGUSR1);
	CHECK_EQ(runs, 100);
	sigprocmask(SIG_BLOCK, NULL, &set);
	CHECK(!sigismember(&set, SIGUSR1));
}

static volatile int depth, deepest;

static void nested(int sig, siginfo_t *info, void *context)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (depth < 10)
		raise(SIGUSR1);
	depth--;
}

TEST(nested_handlers)
{
	install(SIGUSR1, nested, SA_NODEFER);
	raise(SIGUSR1);
	CHECK_EQ(deepest, 10);
	CHECK_EQ(depth, 0);
}

static void change_mask(int sig, siginfo_t *info, void *context)
{
	sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2);
	sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGKILL); /* cannot be */
}

TEST(sigreturn_sets_the_mask)
{
	sigset_t set;

	install(SIGUSR1, change_mask, 0);
	raise(SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &set);
	CHECK(sigismember(&set, SIGUSR2));
	CHECK(!sigismember(&set, SIGKILL));
	CHECK(!sigismember(&set, SIGUSR1));
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void bad_flags(int sig, siginfo_t *info, void *context)
{
	/* IOPL 3, NT, VM: sigreturn keeps only what a program may set. */
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x4000 | 0x20000;
	runs++;
}

TEST(sigreturn_sanitises_flags)
{
	uint64_t flags;

	install(SIGTRAP, bad_flags, 0);
	__asm__ volatile("int3; pushfq; popq %0" : "=r"(flags)::"memory");
	CHECK_EQ(runs, 1);
	CHECK_EQ(flags & (0x3000 | 0x4000 | 0x20000), 0);
}

static void bad_fpstate(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.fpregs = (void *)8;
}

static void bad_mxcsr(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr = 0xffffffff;
}

static void no_fpstate(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.fpregs = NULL;
}

static int death_by_frame(void (*handler)(int, siginfo_t *, void *))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		install(SIGUSR1, handler, 0);
		raise(SIGUSR1);
		_exit(0);
	}
	return h_wait(pid) & 0x7f;
}

TEST(bad_frames)
{
	CHECK_EQ(death_by_frame(bad_fpstate), SIGSEGV);
	CHECK_EQ(death_by_frame(bad_mxcsr), SIGSEGV);
	CHECK_EQ(death_by_frame(no_fpstate), 0); /* a fresh state */
	pid_t pid = h_fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		__asm__ volatile("movq $64, %%rsp; movl $15, %%eax; syscall" ::: "memory");
		_exit(1);
	}
	CHECK_EQ(h_wait(pid) & 0x7f, SIGSEGV);
}

TEST(getcontext_swapcontext)
{
	static ucontext_t a;
	volatile int passes = 0;

	CHECK_EQ(getcontext(&a), 0);
	if (passes++ < 3)
		setcontext(&a);
	CHECK_EQ(passes, 4);
}
