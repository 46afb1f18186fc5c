/*
 * Vector state beyond SSE, and what sigreturn makes of a frame that was tampered with: the parts of the XSAVE area that the
 * frame holds, seen and changed by a handler; forged flags, segments and addresses; and the core-dump bit of a status.
 */
#include "harness.h"

#include <cpuid.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

#define NO_AVX512 (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
#define SW_OFF 464     /* struct _fpx_sw_bytes in the legacy part */
#define HEADER_OFF 512 /* of the XSAVE area */
enum { X_AVX = 2, X_OPMASK = 5, X_ZMM_HI256 = 6, X_HI16_ZMM = 7 };

static volatile int runs;

static void install(int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO};

	runs = 0;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static char *xsave_of(void *context)
{
	return (char *)((ucontext_t *)context)->uc_mcontext.fpregs;
}

/* Where a component lies in an area in standard form. */
static unsigned component(int n)
{
	unsigned size, offset, c, d;

	__cpuid_count(0xd, n, size, offset, c, d);
	return offset;
}

static uint64_t *features(char *xsave)
{
	return (uint64_t *)(xsave + HEADER_OFF);
}

static uint64_t *sw_features(char *xsave)
{
	return (uint64_t *)(xsave + SW_OFF + 8);
}

/* ---- AVX-512 ---- */

struct wide {
	uint8_t zmm[4][64]; /* 0, 9, 16, 31 */
	uint64_t k[2];	    /* 1, 7 */
} __attribute__((aligned(64)));

static struct wide filled(int seed)
{
	struct wide w;

	for (size_t i = 0; i < sizeof(w); i++)
		((uint8_t *)&w)[i] = (uint8_t)((int)i * 7 + seed);
	return w;
}

static bool same(const struct wide *a, const struct wide *b)
{
	return memcmp(a->zmm, b->zmm, sizeof(a->zmm)) == 0 && memcmp(a->k, b->k, sizeof(a->k)) == 0;
}

/* Loads *in, runs one instruction sequence, stores what there is then in *out. */
#define OVER(what, ...)                                                                                                \
	__asm__ volatile("vmovdqu64 (%0), %%zmm0; vmovdqu64 64(%0), %%zmm9; vmovdqu64 128(%0), %%zmm16;"              \
			 "vmovdqu64 192(%0), %%zmm31; kmovq 256(%0), %%k1; kmovq 264(%0), %%k7\n\t" what              \
			 "\n\tvmovdqu64 %%zmm0, (%1); vmovdqu64 %%zmm9, 64(%1); vmovdqu64 %%zmm16, 128(%1);"          \
			 "vmovdqu64 %%zmm31, 192(%1); kmovq %%k1, 256(%1); kmovq %%k7, 264(%1)" ::"r"(in),            \
			 "r"(out), ##__VA_ARGS__                                                                      \
			 : "xmm0", "xmm9", "xmm16", "xmm31", "k1", "k7", "memory", "rax", "rcx", "rdx", "rdi", "rsi", \
			   "r8", "r10", "r11")

__attribute__((target("avx512f,avx512bw"), noinline)) static void over_trap(const struct wide *in, struct wide *out)
{
	OVER("int3");
}

__attribute__((target("avx512f,avx512bw"), noinline)) static void over_call(const struct wide *in, struct wide *out)
{
	OVER("movl %2, %%eax; syscall", "i"(SYS_sched_yield));
}

__attribute__((target("avx512f,avx512bw"), noinline)) static pid_t over_fork(const struct wide *in, struct wide *out)
{
	static long pid;

	OVER("movl %2, %%eax; movl $17, %%edi; xorl %%esi, %%esi; xorl %%edx, %%edx; xorl %%r10d, %%r10d;"
	     "xorl %%r8d, %%r8d; syscall; movq %%rax, %3",
	     "i"(SYS_clone), "m"(pid));
	return (pid_t)pid;
}

__attribute__((target("avx512f,avx512bw"))) static void spoil(int sig, siginfo_t *info, void *context)
{
	runs++;
	__asm__ volatile("vpternlogd $0xff, %%zmm0, %%zmm0, %%zmm0; vmovdqa64 %%zmm0, %%zmm9; vmovdqa64 %%zmm0, %%zmm16;"
			 "vmovdqa64 %%zmm0, %%zmm31; kxnorq %%k1, %%k1, %%k1; kxnorq %%k7, %%k7, %%k7" ::
				 : "xmm0", "xmm9", "xmm16", "xmm31", "k1", "k7");
}

TEST(avx512_is_preserved)
{
	struct wide in = filled(3), out = filled(99);

	if (NO_AVX512)
		SKIP("no AVX-512");
	install(SIGTRAP, spoil);
	over_trap(&in, &out);
	CHECK_EQ(runs, 1);
	CHECK(same(&in, &out));
	in = filled(5);
	for (int i = 0; i < 100; i++)
		over_call(&in, &out);
	CHECK(same(&in, &out));
}

TEST(avx512_goes_on_in_a_child)
{
	struct wide in = filled(11), out = filled(0);
	pid_t pid;

	if (NO_AVX512)
		SKIP("no AVX-512");
	pid = over_fork(&in, &out);
	if (pid == 0)
		_exit(same(&in, &out) ? 0 : 1);
	REQUIRE(pid > 0);
	CHECK(same(&in, &out));
	CHECK_EQ(h_wait(pid), 0);
}

static void change_avx512(int sig, siginfo_t *info, void *context)
{
	const uint64_t all = 1 << X_AVX | 1 << X_OPMASK | 1 << X_ZMM_HI256 | 1 << X_HI16_ZMM;
	struct wide seen = filled(3), next = filled(77);
	char *x = xsave_of(context);
	struct {
		char *at;
		size_t wide_off, size;
	} parts[] = {
		{x + 160, 0, 16},				  /* xmm0 */
		{x + component(X_AVX), 16, 16},			  /* ymm0, upper half */
		{x + component(X_ZMM_HI256), 32, 32},		  /* zmm0, upper half */
		{x + 160 + 9 * 16, 64, 16},			  /* xmm9 */
		{x + component(X_AVX) + 9 * 16, 80, 16},	  /* ymm9, upper half */
		{x + component(X_ZMM_HI256) + 9 * 32, 96, 32},	  /* zmm9, upper half */
		{x + component(X_HI16_ZMM), 128, 64},		  /* zmm16 */
		{x + component(X_HI16_ZMM) + 15 * 64, 192, 64},	  /* zmm31 */
		{x + component(X_OPMASK) + 1 * 8, 256, 8},	  /* k1 */
		{x + component(X_OPMASK) + 7 * 8, 264, 8},	  /* k7 */
	};

	runs++;
	CHECK_EQ(*features(x) & all, all);
	CHECK_EQ(*sw_features(x) & all, all);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		CHECK(memcmp(parts[i].at, (char *)&seen + parts[i].wide_off, parts[i].size) == 0);
		memcpy(parts[i].at, (char *)&next + parts[i].wide_off, parts[i].size);
	}
}

TEST(handler_sees_and_changes_avx512)
{
	struct wide in = filled(3), out = filled(0), want = filled(77);

	if (NO_AVX512)
		SKIP("no AVX-512");
	install(SIGTRAP, change_avx512);
	over_trap(&in, &out);
	CHECK_EQ(runs, 1);
	CHECK(same(&want, &out));
}

/* ---- AVX, and tampered areas ---- */

__attribute__((target("avx"), noinline)) static void ymm_over_signal(const uint8_t in[32], uint8_t out[32])
{
	__asm__ volatile("vmovdqu (%0), %%ymm5; int3; vmovdqu %%ymm5, (%1)" ::"r"(in), "r"(out) : "xmm5", "memory");
}

/* What ymm5, all 0x5a before, is after a handler that tampers with the frame.  `upper` is what its upper half should be. */
static void check_ymm(void (*handler)(int, siginfo_t *, void *), uint8_t lower, uint8_t upper)
{
	uint8_t in[32], out[32], want[32];

	memset(in, 0x5a, sizeof(in));
	memset(want, lower, 16);
	memset(want + 16, upper, 16);
	install(SIGTRAP, handler);
	ymm_over_signal(in, out);
	CHECK_EQ(runs, 1);
	CHECK(memcmp(out, want, sizeof(want)) == 0);
}

static void change_ymm(int sig, siginfo_t *info, void *context)
{
	char *x = xsave_of(context);

	runs++;
	memset(x + 160 + 5 * 16, 0x11, 16);
	memset(x + component(X_AVX) + 5 * 16, 0x22, 16);
}

static void no_component(int sig, siginfo_t *info, void *context)
{
	runs++;
	*features(xsave_of(context)) &= ~(1ull << X_AVX); /* in its initial state */
}

static void no_sw_component(int sig, siginfo_t *info, void *context)
{
	runs++;
	*sw_features(xsave_of(context)) &= ~(1ull << X_AVX); /* not in the frame: initial, too */
}

static void no_magic(int sig, siginfo_t *info, void *context)
{
	runs++;
	*(uint32_t *)(xsave_of(context) + SW_OFF) = 0; /* a legacy frame */
}

static void no_second_magic(int sig, siginfo_t *info, void *context)
{
	char *x = xsave_of(context);
	uint32_t size = *(uint32_t *)(x + SW_OFF + 16); /* xstate_size */

	runs++;
	CHECK_EQ(*(uint32_t *)(x + size), 0x46505845);
	*(uint32_t *)(x + size) = 0; /* the legacy part is all that counts */
}

static void too_large(int sig, siginfo_t *info, void *context)
{
	runs++;
	*(uint32_t *)(xsave_of(context) + SW_OFF + 16) = 1 << 20;
}

TEST(parts_of_a_frame)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("no AVX");
	check_ymm(change_ymm, 0x11, 0x22);
	check_ymm(no_component, 0x5a, 0);
	check_ymm(no_sw_component, 0x5a, 0);
	check_ymm(no_magic, 0x5a, 0);
	check_ymm(no_second_magic, 0x5a, 0);
	check_ymm(too_large, 0x5a, 0);
}

/* ---- frames that kill ---- */

static void unknown_component(int sig, siginfo_t *info, void *context)
{
	*features(xsave_of(context)) |= 1ull << 62;
}

static void compacted(int sig, siginfo_t *info, void *context)
{
	features(xsave_of(context))[1] = 1ull << 63;
}

static void reserved_bytes(int sig, siginfo_t *info, void *context)
{
	features(xsave_of(context))[2] = 1;
}

static void ignored_bytes(int sig, siginfo_t *info, void *context)
{
	features(xsave_of(context))[3] = 1;
}

static void reserved_mxcsr(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr |= 1u << 16;
}

static greg_t forged_segments;

static void forge_segments(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.gregs[REG_CSGSFS] = forged_segments;
}

static void nowhere(int sig, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)0x8000000000000000;
}

/* How a child ends that returns from a signal through such a frame. */
static int death_by(void (*handler)(int, siginfo_t *, void *))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		install(SIGUSR1, handler);
		raise(SIGUSR1);
		_exit(0);
	}
	return h_wait(pid) & ~0x80;
}

TEST(bad_vector_state)
{
	CHECK_EQ(death_by(unknown_component), SIGSEGV);
	CHECK_EQ(death_by(compacted), SIGSEGV);
	CHECK_EQ(death_by(reserved_bytes), SIGSEGV);
	CHECK_EQ(death_by(ignored_bytes), 0);
	CHECK_EQ(death_by(reserved_mxcsr), SIGSEGV);
}

static int death_by_segments(unsigned cs, unsigned ss)
{
	forged_segments = (greg_t)((uint64_t)ss << 48 | cs);
	return death_by(forge_segments);
}

TEST(forged_segments)
{
	CHECK_EQ(death_by_segments(0x33, 0x2b), 0);
	CHECK_EQ(death_by_segments(0x30, 0x28), 0);	  /* the privilege is always the user's */
	CHECK_EQ(death_by_segments(0x10, 0x2b), SIGSEGV); /* the kernel's code */
	CHECK_EQ(death_by_segments(0, 0x2b), SIGSEGV);
	CHECK_EQ(death_by_segments(0x2b, 0x2b), SIGSEGV); /* not code */
	CHECK_EQ(death_by_segments(0x7fb, 0x2b), SIGSEGV);
	CHECK_EQ(death_by_segments(0x33, 0), SIGSEGV);
	CHECK_EQ(death_by_segments(0x33, 0x18), SIGSEGV); /* the kernel's data */
	CHECK_EQ(death_by_segments(0x33, 0x7fb), SIGSEGV);
}

TEST(forged_address)
{
	CHECK_EQ(death_by(nowhere), SIGSEGV);
}

/* A handler hears of it, with the address as it was forged. */
static sigjmp_buf out;
static uint64_t seen_rip, seen_trapno;
static int seen_code;

static void hears(int sig, siginfo_t *info, void *context)
{
	seen_rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	seen_trapno = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_TRAPNO];
	seen_code = info->si_code;
	siglongjmp(out, 1);
}

TEST(forged_address_is_heard_of)
{
	install(SIGSEGV, hears);
	install(SIGUSR1, nowhere);
	if (sigsetjmp(out, 1) == 0)
		raise(SIGUSR1);
	CHECK_EQ(seen_rip, 0x8000000000000000);
	CHECK_EQ(seen_code, SI_KERNEL);
	CHECK_EQ(seen_trapno, 13);
	signal(SIGSEGV, SIG_DFL);
}

/* ---- flags ---- */

static greg_t flags_to_set;
static volatile int steps;

static void set_flags(int sig, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	if (info->si_code == TRAP_TRACE) {
		steps++;
		*flags &= ~0x100;
	} else {
		runs++;
		*flags |= flags_to_set;
	}
}

/* The flags after a handler has set some. */
static uint64_t flags_after(greg_t set)
{
	uint64_t flags;

	flags_to_set = set;
	install(SIGTRAP, set_flags);
	__asm__ volatile("int3; pushfq; popq %0; pushq $0x202; popfq" : "=r"(flags)::"memory", "cc");
	CHECK_EQ(runs, 1);
	return flags;
}

TEST(flags_of_a_frame)
{
	CHECK_EQ(flags_after(0x3000 /* IOPL */) & 0x3000, 0);
	CHECK_EQ(flags_after(0x4000 /* NT */) & 0x4000, 0);
	CHECK_EQ(flags_after(0x20000 /* VM */) & 0x20000, 0);
	CHECK_EQ(flags_after(0x180000 /* VIF, VIP */) & 0x180000, 0);
	CHECK_EQ(flags_after(0x200000 /* ID */) & 0x200000, 0);
	CHECK_EQ(flags_after(0x400 /* DF */) & 0x400, 0x400);
	CHECK_EQ(flags_after(0x40000 /* AC */) & 0x40000, 0x40000);
	CHECK_EQ(flags_after(0x8d5 /* the arithmetic ones */) & 0x8d5, 0x8d5);
	CHECK(flags_after(0) & 0x200);
	steps = 0;
	flags_after(0x100); /* TF: one instruction, and a trap */
	CHECK_EQ(steps, 1);
}

/* ---- the core-dump bit ---- */

static int status_of(int sig, rlim_t limit, bool dumpable, int *code)
{
	struct rlimit lim = {limit, RLIM_INFINITY};
	siginfo_t info = {0};
	int status = 0;
	pid_t pid = h_fork();

	if (pid == 0) {
		if (setrlimit(RLIMIT_CORE, &lim) < 0)
			_exit(77);
		if (!dumpable)
			prctl(PR_SET_DUMPABLE, 0);
		signal(sig, SIG_DFL);
		raise(sig);
		_exit(1);
	}
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	*code = info.si_code;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

TEST(core_dump_bit)
{
	char pattern[128] = "";
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY), code;

	if (fd >= 0 && read(fd, pattern, sizeof(pattern) - 1) > 0 && strchr("|/@", pattern[0]))
		SKIP("core files go elsewhere");
	if (setrlimit(RLIMIT_CORE, &lim) < 0)
		SKIP("core files are limited");
	use_tmpdir();
	CHECK_EQ(status_of(SIGABRT, 0, true, &code), SIGABRT);
	CHECK_EQ(code, CLD_KILLED);
	CHECK_EQ(status_of(SIGABRT, 4095, true, &code), SIGABRT); /* less than a page is nothing */
	CHECK_EQ(code, CLD_KILLED);
	CHECK_EQ(status_of(SIGABRT, RLIM_INFINITY, true, &code), SIGABRT | 0x80);
	CHECK_EQ(code, CLD_DUMPED);
	CHECK_EQ(status_of(SIGSEGV, RLIM_INFINITY, true, &code), SIGSEGV | 0x80);
	CHECK_EQ(status_of(SIGSEGV, RLIM_INFINITY, false, &code), SIGSEGV); /* not dumpable */
	CHECK_EQ(code, CLD_KILLED);
	CHECK_EQ(status_of(SIGTERM, RLIM_INFINITY, true, &code), SIGTERM); /* not one that dumps */
	CHECK_EQ(status_of(SIGKILL, RLIM_INFINITY, true, &code), SIGKILL);
	close(fd);
}
