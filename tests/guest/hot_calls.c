/*
 * One call site used over and over.  A kernel that makes a busy site cheaper, by whatever trick, must still leave there
 * what Linux leaves: every register, the flags, the stack below the stack pointer, and all ways of coming to the
 * instruction.
 */
#include "harness.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#define ROUNDS 200
#define HWCAP2_FSGSBASE_BIT 2

/* Call sites of the forms that compilers and people write. */
__asm__(".text\n.balign 64\n"
	/* mov $nr, %eax; syscall */
	"hot_mov: mov $39, %eax\nhot_mov_call: syscall\nhot_mov_end: ret\n"
	".balign 64\n"
	"hot_mask: mov $14, %eax\nsyscall\nhot_mask_end: ret\n"
	".balign 64\n"
	"hot_yield: mov $24, %eax\nsyscall\nhot_yield_end: ret\n"
	".balign 64\n"
	/* a bare one, with padding near */
	"hot_bare: mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, "
	"%r10\nsyscall\nhot_bare_end: ret\n"
	".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
	".balign 4096, 0xcc\n"
	/* padding that is executed, behind what looks like a return (48 89 c3: mov %rax, %rbx) */
	"hot_loop: push %rbx\nmov %rdi, %rcx\nxor %edx, %edx\nmov $39, %rax\nsyscall\nmov %rax, %rbx\n"
	".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
	"mov %rbx, %rax\npop %rbx\nret\n"
	".balign 4096, 0x90\n"
	/* REX.B mov $39, %r8d before the instruction, which only looks like the first form */
	"hot_rex: mov $39, %r8d\nsyscall\nmov %r8, %rax\nret\n"
	".balign 64, 0x90\n"
	/* behind instructions that might as well be executed elsewhere; no padding near */
	".fill 160, 1, 0xf4\n.byte 0x0f, 0x1f, 0x44, 0, 0\n.balign 16\n"
	"jmp hot_lead\n.nops 14\n"
	"hot_lead: mov %eax, %r8d\nhot_lead_load: mov (%rsi), %edi\nhot_lead_move: mov %edx, %eax\n"
	"hot_lead_call: syscall\nhot_lead_end: ret\n"
	".fill 160, 1, 0xf4\n.balign 16\n.byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
	"hot_lea: mov $1, %eax\nhot_lea_load: lea hot_text(%rip), %rsi\nhot_lea_call: syscall\nhot_lea_end: ret\n"
	"hot_text: .ascii \"hot\"\n.fill 160, 1, 0xf4\n.balign 64\n");
extern char hot_mov[], hot_mov_call[], hot_mov_end[], hot_mask[], hot_mask_end[], hot_yield[], hot_yield_end[], hot_bare[],
	hot_bare_end[], hot_loop[], hot_rex[], hot_lead[], hot_lead_load[], hot_lead_move[], hot_lead_call[], hot_lead_end[],
	hot_lea[], hot_lea_load[], hot_lea_call[], hot_lea_end[];

static long bare(long nr, long a, long b, long c, long d)
{
	return ((long (*)(long, long, long, long, long))(void *)hot_bare)(nr, a, b, c, d);
}

struct regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
	uint64_t below[16]; /* what lies below the stack pointer; the first is beyond the red zone of with_regs */
	uint8_t xmm[16][16];
};

/* Calls `site` with the registers of *r, and stores what they are then. */
__attribute__((noinline)) static void with_regs(void *site, struct regs *r)
{
	static __thread struct regs *regs;
	static __thread void *to;

	regs = r;
	to = site;
	__asm__ volatile("push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
			 "mov %0, %%r15; push %%r15; mov %1, %%rax; push %%rax\n"
			 ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "movdqu 256+16*\\i(%%r15), %%xmm\\i\n"
			 ".endr\n"
			 /* the red zone as the site will see it: below its return address */
			 ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "mov 128+8*\\i(%%r15), %%rax; mov %%rax, -136+8*\\i(%%rsp)\n"
			 ".endr\n"
			 "pushq 120(%%r15); popfq\n"
			 "mov 0(%%r15), %%rax; mov 8(%%r15), %%rbx; mov 16(%%r15), %%rcx; mov 24(%%r15), %%rdx\n"
			 "mov 32(%%r15), %%rsi; mov 40(%%r15), %%rdi; mov 48(%%r15), %%rbp; mov 56(%%r15), %%r8\n"
			 "mov 64(%%r15), %%r9; mov 72(%%r15), %%r10; mov 80(%%r15), %%r11; mov 88(%%r15), %%r12\n"
			 "mov 96(%%r15), %%r13; mov 104(%%r15), %%r14; mov 112(%%r15), %%r15\n"
			 "call *(%%rsp)\n"
			 "push %%r15; mov 16(%%rsp), %%r15\n"
			 "mov %%rax, 0(%%r15); mov %%rbx, 8(%%r15); mov %%rcx, 16(%%r15); mov %%rdx, 24(%%r15)\n"
			 "mov %%rsi, 32(%%r15); mov %%rdi, 40(%%r15); mov %%rbp, 48(%%r15); mov %%r8, 56(%%r15)\n"
			 "mov %%r9, 64(%%r15); mov %%r10, 72(%%r15); mov %%r11, 80(%%r15); mov %%r12, 88(%%r15)\n"
			 "mov %%r13, 96(%%r15); mov %%r14, 104(%%r15)\n"
			 ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "mov -128+8*\\i(%%rsp), %%rax; mov %%rax, 128+8*\\i(%%r15)\n"
			 ".endr\n"
			 "pop %%rax; mov %%rax, 112(%%r15); pushfq; popq 120(%%r15); cld\n"
			 ".irp i,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			 "movdqu %%xmm\\i, 256+16*\\i(%%r15)\n"
			 ".endr\n"
			 "pop %%rax; pop %%rax\n"
			 "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
			 :
			 : "m"(regs), "m"(to)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1",
			   "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
			   "xmm13", "xmm14", "xmm15");
}

/* Arithmetic flags, direction and the two that are always set. */
#define FLAGS 0xcd5ul

/* args: of the call, in %rdi, %rsi, %rdx and %r10, or NULL. */
static bool regs_survive(void *site, void *end, uint64_t rax, const uint64_t args[4], long result)
{
	struct regs in, out;
	uint64_t flags = 0x202 | (0x8d5 & FLAGS);

	for (size_t i = 0; i < sizeof(in); i++)
		((uint8_t *)&in)[i] = (uint8_t)(i * 7 + 3);
	in.rax = rax;
	in.flags = flags;
	if (args) {
		in.rdi = args[0];
		in.rsi = args[1];
		in.rdx = args[2];
		in.r10 = args[3];
	}
	out = in;
	with_regs(site, &out);
	return CHECK_EQ((long)out.rax, result) && CHECK_EQ(out.rbx, in.rbx) && CHECK_EQ(out.rdx, in.rdx) &&
	       CHECK_EQ(out.rsi, in.rsi) && CHECK_EQ(out.rdi, in.rdi) && CHECK_EQ(out.rbp, in.rbp) &&
	       CHECK_EQ(out.r8, in.r8) && CHECK_EQ(out.r9, in.r9) && CHECK_EQ(out.r10, in.r10) &&
	       CHECK_EQ(out.r12, in.r12) && CHECK_EQ(out.r13, in.r13) && CHECK_EQ(out.r14, in.r14) &&
	       CHECK_EQ(out.r15, in.r15) && CHECK_EQ(out.rcx, (uint64_t)end) &&
	       CHECK_EQ(out.r11 & FLAGS, flags & FLAGS) && CHECK_EQ(out.flags & FLAGS, flags & FLAGS) &&
	       CHECK(memcmp(in.below + 1, out.below + 1, sizeof(in.below) - 8) == 0) &&
	       CHECK(memcmp(in.xmm, out.xmm, sizeof(in.xmm)) == 0);
}

TEST(registers)
{
	for (int i = 0; i < ROUNDS; i++)
		if (!regs_survive(hot_mov, hot_mov_end, 0, NULL, getpid()))
			return;
}

TEST(registers_and_memory)
{
	uint64_t set = 1ull << (SIGUSR2 - 1), old, before;
	const uint64_t block[4] = {SIG_BLOCK, (uint64_t)&set, (uint64_t)&old, 8};
	const uint64_t unblock[4] = {SIG_UNBLOCK, (uint64_t)&set, 0, 8};
	const uint64_t nowhere[4] = {SIG_SETMASK, 8, (uint64_t)&old, 8};

	REQUIRE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &before, 8) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		old = ~before;
		if (!regs_survive(hot_mask, hot_mask_end, 0, block, 0) || !CHECK_EQ(old, before) ||
		    !regs_survive(hot_mask, hot_mask_end, 0, unblock, 0) ||
		    !regs_survive(hot_mask, hot_mask_end, 0, nowhere, -EFAULT) || !CHECK_EQ(old, before) ||
		    !regs_survive(hot_yield, hot_yield_end, 0, NULL, 0))
			return;
	}
}

/* Straight to the instruction, past the mov, with another number in %rax. */
TEST(jump_to_the_instruction)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct regs r = {.rax = SYS_getppid, .flags = 0x202};

		with_regs(hot_mov, &r);
		if (!CHECK_EQ((long)r.rax, getpid()))
			return;
		r = (struct regs){.rax = SYS_getppid, .flags = 0x202};
		with_regs(hot_mov_call, &r);
		if (!CHECK_EQ((long)r.rax, getppid()) || !CHECK_EQ(r.rcx, (uint64_t)hot_mov_end))
			return;
		if (!regs_survive(hot_mov_call, hot_mov_end, SYS_getpid, NULL, getpid()))
			return;
	}
}

TEST(bare_instruction)
{
	char buf[8];
	int p[2];

	REQUIRE(pipe(p) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()) ||
		    !CHECK_EQ(bare(SYS_write, p[1], (long)"abc", 3, 0), 3) ||
		    !CHECK_EQ(bare(SYS_read, p[0], (long)buf, 8, 0), 3) || !CHECK(memcmp(buf, "abc", 3) == 0) ||
		    !CHECK_EQ(bare(SYS_close, -1, 0, 0, 0), -EBADF) || !CHECK_EQ(bare(100000, 0, 0, 0, 0), -ENOSYS))
			break;
	}
	close(p[0]);
	close(p[1]);
}

TEST(padding_that_is_executed)
{
	for (int i = 0; i < ROUNDS; i++)
		if (!CHECK_EQ(((long (*)(long))(void *)hot_loop)(0), getpid()))
			return;
}

TEST(what_only_looks_like_a_mov)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct regs r = {.rax = SYS_getpid, .flags = 0x202};

		with_regs(hot_rex, &r);
		if (!CHECK_EQ((long)r.rax, 39))
			return;
	}
}

/* From each of its instructions on. */
static bool lead_from(void *at, int32_t *number)
{
	struct regs r = {.rax = 77, .rdx = SYS_close, .rdi = 88, .rsi = (uint64_t)number, .r8 = 99, .flags = 0x202};
	bool whole = at == hot_lead, loads = whole || at == hot_lead_load;

	if (at == hot_lead_call)
		r.rax = SYS_getpid;
	with_regs(at, &r);
	return CHECK_EQ((long)r.rax, at == hot_lead_call ? getpid() : -EBADF) && CHECK_EQ(r.r8, whole ? 77u : 99u) &&
	       CHECK_EQ(r.rdi, loads ? (uint32_t)*number : 88) && CHECK_EQ(r.rdx, (uint64_t)SYS_close) &&
	       CHECK_EQ(r.rcx, (uint64_t)hot_lead_end);
}

TEST(instructions_before)
{
	int32_t number = -5;

	for (int i = 0; i < ROUNDS; i++)
		if (!lead_from(hot_lead, &number))
			return;
	for (int i = 0; i < 2 * ROUNDS; i++)
		if (!lead_from(hot_lead_load, &number) || !lead_from(hot_lead_move, &number) ||
		    !lead_from(hot_lead_call, &number) || !lead_from(hot_lead, &number))
			return;
}

TEST(address_before)
{
	char buf[8];
	int p[2];

	REQUIRE(pipe(p) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct regs r = {.rdi = (uint64_t)p[1], .rdx = 3, .flags = 0x202};
		void *at = hot_lea;

		if (i % 20 == 19) {
			at = hot_lea_load;
			r.rax = SYS_write;
		} else if (i % 20 == 18) {
			at = hot_lea_call;
			r.rax = SYS_write;
			r.rsi = (uint64_t)"hot";
		}
		with_regs(at, &r);
		memset(buf, 0, sizeof(buf));
		if (!CHECK_EQ(r.rax, 3u) || !CHECK_EQ(read(p[0], buf, 8), 3) || !CHECK_STR(buf, "hot"))
			break;
	}
	close(p[0]);
	close(p[1]);
}

/* ---- signals ---- */

static int32_t good_number = -7;
static uint64_t fault_rip, fault_addr;
static int faults;

static void mend(int sig, siginfo_t *info, void *uc)
{
	greg_t *regs = ((ucontext_t *)uc)->uc_mcontext.gregs;

	faults++;
	fault_rip = (uint64_t)regs[REG_RIP];
	fault_addr = (uint64_t)info->si_addr;
	regs[REG_RSI] = (greg_t)&good_number;
}

/* One of them faults: that is seen where it stands, and it is executed anew. */
TEST(fault_before)
{
	struct sigaction sa = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO}, old;

	faults = 0;
	REQUIRE(sigaction(SIGSEGV, &sa, &old) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct regs r = {.rax = 77, .rdx = SYS_close, .rsi = i % 4 == 3 ? 8 : (uint64_t)&good_number, .flags = 0x202};
		int before = faults;

		with_regs(hot_lead, &r);
		if (!CHECK_EQ(r.rax, (uint64_t)-EBADF) || !CHECK_EQ(r.rdi, (uint32_t)good_number) || !CHECK_EQ(r.r8, 77u) ||
		    !CHECK_EQ(faults, before + (i % 4 == 3)))
			break;
		if (i % 4 == 3 && (!CHECK_EQ(fault_rip, (uint64_t)hot_lead_load) || !CHECK_EQ(fault_addr, 8u)))
			break;
	}
	sigaction(SIGSEGV, &old, NULL);
}

static uint64_t stepped[4];
static unsigned step_count;

static void step(int sig, siginfo_t *info, void *uc)
{
	greg_t *regs = ((ucontext_t *)uc)->uc_mcontext.gregs;
	uint64_t rip = (uint64_t)regs[REG_RIP];

	if (rip < (uint64_t)hot_lead || rip > (uint64_t)hot_lead_call)
		return;
	if (step_count < 4)
		stepped[step_count] = rip;
	step_count++;
	if (rip == (uint64_t)hot_lead_call)
		regs[REG_EFL] &= ~0x100;
}

/* A program that single-steps itself. */
TEST(steps_before)
{
	struct sigaction sa = {.sa_sigaction = step, .sa_flags = SA_SIGINFO}, old;

	REQUIRE(sigaction(SIGTRAP, &sa, &old) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		bool by_steps = i % 8 == 7;
		struct regs r = {.rax = 77, .rdx = SYS_close, .rsi = (uint64_t)&good_number, .flags = by_steps ? 0x302 : 0x202};

		step_count = 0;
		with_regs(hot_lead, &r);
		if (!CHECK_EQ(r.rax, (uint64_t)-EBADF) || !CHECK_EQ(r.rdi, (uint32_t)good_number) ||
		    !CHECK_EQ(step_count, by_steps ? 4u : 0u))
			break;
		if (by_steps && (!CHECK_EQ(stepped[0], (uint64_t)hot_lead) || !CHECK_EQ(stepped[1], (uint64_t)hot_lead_load) ||
				 !CHECK_EQ(stepped[2], (uint64_t)hot_lead_move) || !CHECK_EQ(stepped[3], (uint64_t)hot_lead_call)))
			break;
	}
	sigaction(SIGTRAP, &old, NULL);
}

static volatile int signals;
static volatile uint64_t seen_rip;

static void count(int sig, siginfo_t *info, void *uc)
{
	signals++;
	seen_rip = (uint64_t)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
}

static void on_signal(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = count, .sa_flags = flags | SA_SIGINFO};

	signals = 0;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

/* A handler sees the instruction as done, and returns behind it. */
TEST(signal_on_the_way_out)
{
	long pid = getpid();

	on_signal(SIGUSR1, 0);
	for (int i = 0; i < ROUNDS; i++) {
		if (!CHECK_EQ(bare(SYS_kill, pid, SIGUSR1, 0, 0), 0) || !CHECK_EQ(signals, i + 1) ||
		    !CHECK_EQ(seen_rip, (uint64_t)hot_bare_end))
			return;
	}
}

static void *signal_now_and_then(void *arg)
{
	pid_t parent = *(pid_t *)arg;
	struct timespec nap = {0, 100000};

	while (kill(parent, SIGUSR1) == 0 && signals < 500)
		nanosleep(&nap, NULL);
	return NULL;
}

/* Signals strike anywhere: before the site, in it, behind it. */
TEST(signals_at_any_moment)
{
	pid_t me = getpid();
	pthread_t t;
	bool good = true;
	sigset_t set;

	on_signal(SIGUSR1, SA_RESTART);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	REQUIRE(pthread_create(&t, NULL, signal_now_and_then, &me) == 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	while (signals < 500 && good)
		good = regs_survive(hot_mov, hot_mov_end, 0, NULL, me) && CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), me) &&
		       lead_from(hot_lead, &good_number);
	signals = 500;
	pthread_join(t, NULL);
}

/* A call that waits is interrupted and made again, from the instruction's own place. */
static void feed_pipe(int sig, siginfo_t *info, void *uc)
{
	signals++;
	if (write(*(int *)info->si_value.sival_ptr, "x", 1) != 1)
		_exit(9);
}

static void *interrupt_reads(void *arg)
{
	int *p = arg;
	pid_t pid = getpid(), reader = p[2];
	siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_QUEUE};

	info.si_value.sival_ptr = &p[1];
	for (int i = 0; i < 50; i++) {
		int before = signals;

		while (!h_wait_state(reader, "S"))
			;
		if (syscall(SYS_rt_tgsigqueueinfo, pid, reader, SIGUSR2, &info) < 0)
			return arg;
		while (signals == before)
			sched_yield();
	}
	return NULL;
}

TEST(restart)
{
	struct sigaction sa = {.sa_sigaction = feed_pipe, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t t;
	void *result;
	int p[3];
	char c;

	REQUIRE(pipe(p) == 0);
	p[2] = (int)syscall(SYS_gettid);
	signals = 0;
	REQUIRE(sigaction(SIGUSR2, &sa, NULL) == 0);
	/* The site is hot before the first one waits. */
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(write(p[1], "y", 1), 1);
		CHECK_EQ(bare(SYS_read, p[0], (long)&c, 1, 0), 1);
	}
	REQUIRE(pthread_create(&t, NULL, interrupt_reads, p) == 0);
	for (int i = 0; i < 50; i++)
		if (!CHECK_EQ(bare(SYS_read, p[0], (long)&c, 1, 0), 1))
			break;
	pthread_join(t, &result);
	CHECK(result == NULL);
	CHECK_EQ(signals, 50);
	close(p[0]);
	close(p[1]);
}

/* ---- threads and processes ---- */

static void *hammer(void *site)
{
	long pid = getpid();

	for (int i = 0; i < 2000; i++)
		if (((long (*)(long))site)(SYS_getpid) != pid)
			return site;
	return NULL;
}

/* A site that none has used, in text of its own for each round: it becomes hot while all use it. */
TEST(threads_at_a_fresh_site)
{
	enum { THREADS = 4, SITES = 8, SITE = 64 };
	static const uint8_t mov[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
	static const uint8_t bare_site[] = {0x89, 0xf8, 0x0f, 0x05, 0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
	/* nopl 0(%rax, %rax); mov %edi, %r8d; mov %esi, %esi; mov %r8d, %eax; syscall; ret */
	static const uint8_t lead[] = {0x0f, 0x1f, 0x44, 0, 0,	  0x41, 0x89, 0xf8, 0x89, 0xf6,
				       0x44, 0x89, 0xc0, 0x0f, 0x05, 0xc3};
	uint8_t page[8192];
	char path[] = "/tmp/hot-XXXXXX";
	int fd = mkstemp(path);
	uint8_t *text;

	memset(page, 0xcc, sizeof(page));
	for (int i = 0; i < SITES; i += 2) {
		memcpy(page + i * SITE + 13, mov, sizeof(mov));
		memcpy(page + (i + 1) * SITE + 27, bare_site, sizeof(bare_site));
	}
	for (int i = 0; i < SITES; i++)
		memcpy(page + 4096 + i * 256 + 11, lead, sizeof(lead));
	REQUIRE(fd >= 0 && write(fd, page, sizeof(page)) == sizeof(page));
	unlink(path);
	text = mmap(NULL, sizeof(page), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	REQUIRE(text != MAP_FAILED);
	close(fd);
	for (int i = 0; i < 2 * SITES; i++) {
		uint8_t *site = i < SITES ? text + i * SITE + (i % 2 ? 27 : 13) : text + 4096 + (i - SITES) * 256 + 16;
		pthread_t t[THREADS];
		void *result;

		for (int k = 0; k < THREADS; k++)
			REQUIRE(pthread_create(&t[k], NULL, hammer, site) == 0);
		for (int k = 0; k < THREADS; k++) {
			pthread_join(t[k], &result);
			CHECK(result == NULL);
		}
	}
	/* The program takes its text into its own hands: from now on it does what it says. */
	REQUIRE(mprotect(text, sizeof(page), PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	memcpy(text + 13, "\xb8\x07\x00\x00\x00\xc3", 6);
	CHECK_EQ(((long (*)(void))(void *)(text + 13))(), 7);
	memcpy(text + 13, mov, sizeof(mov));
	for (int i = 0; i < ROUNDS; i++)
		CHECK_EQ(((long (*)(void))(void *)(text + 13))(), getpid());
	munmap(text, sizeof(page));
}

TEST(fork_goes_on)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		for (int k = 0; k < ROUNDS; k++)
			bare(SYS_getpid, 0, 0, 0, 0);
		pid = h_fork();
		if (pid == 0) {
			for (int k = 0; k < ROUNDS; k++)
				if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()) ||
				    !CHECK_EQ(bare(SYS_getppid, 0, 0, 0, 0), getppid()))
					break;
			child_exit();
		}
		JOIN(pid);
	}
}

/* ---- text of all kinds ---- */

static const uint8_t nop10[] = {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
static const uint8_t mov_site[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
static const uint8_t bare_and_padding[] = {0x0f, 0x05, 0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
static const uint8_t return_wrong[] = {0xb8, 0xef, 0xbe, 0xad, 0xde, 0xc3}; /* mov $0xdeadbeef, %eax; ret */

/* A private mapping of a file that holds these bytes, as a program's text is. */
static uint8_t *map_text(void *at, const uint8_t *bytes, size_t size)
{
	char path[] = "/tmp/hot-XXXXXX";
	int fd = mkstemp(path);
	uint8_t *text;

	REQUIRE(fd >= 0 && unlink(path) == 0 && write(fd, bytes, size) == (ssize_t)size);
	/* Room to grow. */
	REQUIRE(ftruncate(fd, (off_t)size + 4096) == 0);
	text = mmap(at, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), fd, 0);
	REQUIRE(text != MAP_FAILED);
	close(fd);
	return text;
}

static bool calls_getpid(uint8_t *site)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct regs r = {.rax = SYS_getpid, .flags = 0x202};

		with_regs(site, &r);
		if (!CHECK_EQ((long)r.rax, getpid()))
			return false;
	}
	return true;
}

/* Padding at every distance that a short jump might reach, and just does not. */
TEST(padding_far_away)
{
	for (int distance = 120; distance <= 131; distance++) {
		uint8_t page[4096], *text;

		memset(page, 0x90, sizeof(page));
		memcpy(page + 1000, "\x0f\x05\xc3", 3);
		page[1002 + distance - 1] = 0xc3;
		memcpy(page + 1002 + distance, nop10, sizeof(nop10));
		for (int back = 120; back <= 136; back += 8)
			memcpy(page + 1002 - back, return_wrong, sizeof(return_wrong));
		text = map_text(NULL, page, sizeof(page));
		calls_getpid(text + 1000);
		munmap(text, sizeof(page));
	}
}

/* Long no-ops of each size, executed, after what only looks like a return. */
TEST(padding_of_each_length)
{
	for (int prefixes = 1; prefixes < 6; prefixes++) {
		static const uint8_t head[] = {0x53, 0x0f, 0x05, 0x89, 0xc3}, tail[] = {0x89, 0xd8, 0x5b, 0xc3};
		uint8_t page[4096], *at = page + 1000, *text;

		memset(page, 0x90, sizeof(page));
		memcpy(at, head, sizeof(head));
		at += sizeof(head);
		memset(at, 0x66, (size_t)prefixes);
		at += prefixes;
		memcpy(at, nop10 + 1, sizeof(nop10) - 1);
		at += sizeof(nop10) - 1;
		memcpy(at, tail, sizeof(tail));
		text = map_text(NULL, page, sizeof(page));
		calls_getpid(text + 1000);
		munmap(text, sizeof(page));
	}
}

/* The mapping below is data, and stays writable. */
TEST(site_at_the_start_of_its_mapping)
{
	uint8_t page[4096], *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *text;

	REQUIRE(p != MAP_FAILED);
	memset(page, 0x90, sizeof(page));
	memcpy(page, bare_and_padding, sizeof(bare_and_padding));
	text = map_text(p + 4096, page, sizeof(page));
	for (int i = 0; i < 3 && calls_getpid(text); i++)
		p[5] = (uint8_t)i;
	CHECK_EQ(p[5], 2);
	munmap(p, 8192);
}

TEST(text_that_moves_and_grows)
{
	for (int moving = 0; moving < 2; moving++) {
		uint8_t bytes[3 * 4096], *text, *to, *moved;

		memset(bytes, 0x90, sizeof(bytes));
		if (moving)
			memcpy(bytes + 5000, mov_site, sizeof(mov_site));
		else
			memcpy(bytes + 5000, bare_and_padding, sizeof(bare_and_padding));
		text = map_text(NULL, bytes, sizeof(bytes));
		if (!calls_getpid(text + 5000))
			return;
		to = mmap(NULL, sizeof(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		moved = mremap(text, sizeof(bytes), sizeof(bytes), MREMAP_MAYMOVE | MREMAP_FIXED, to);
		REQUIRE(moved == to);
		calls_getpid(moved + 5000);
		moved = mremap(moved, sizeof(bytes), sizeof(bytes) + 4096, MREMAP_MAYMOVE);
		REQUIRE(moved != MAP_FAILED);
		calls_getpid(moved + 5000);
		munmap(moved, sizeof(bytes) + 4096);
	}
}

/* An instruction on one page and the system call behind it on the next, of which the first alone moves: the call returns there. */
TEST(half_a_site_moves)
{
	static const uint8_t entry[] = {0x0f, 0x1f, 0x44, 0, 0, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
	static const uint8_t site[] = {0x48, 0xc7, 0xc6, 5, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* mov $5, %rsi; syscall; ret */
	uint8_t bytes[2 * 4096], *text, *to;

	memset(bytes, 0x90, sizeof(bytes));
	memcpy(bytes + 4075, entry, sizeof(entry));
	memcpy(bytes + 4089, site, sizeof(site));
	text = map_text(NULL, bytes, sizeof(bytes));
	for (int i = 0; i < 2; i++) /* what was here before may have been as busy */
		if (!calls_getpid(text + 4089))
			return;
	to = map_text(NULL, bytes, sizeof(bytes));
	REQUIRE(mremap(text, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	munmap(text + 4096, 4096);
	calls_getpid(to + 4089);
	munmap(to, sizeof(bytes));
}

/* Pages of text come back from the file, one after the other. */
TEST(pages_from_the_file_again)
{
	uint8_t bytes[3 * 4096], *text;

	memset(bytes, 0x90, sizeof(bytes));
	memcpy(bytes + 4080, "\x0f\x05\xc3", 3);
	bytes[4095] = 0xc3;
	memcpy(bytes + 4096, nop10, sizeof(nop10));
	memcpy(bytes + 4106, return_wrong, sizeof(return_wrong));
	memcpy(bytes + 5000, mov_site, sizeof(mov_site));
	memcpy(bytes + 8188, mov_site, sizeof(mov_site)); /* on two pages, of which each may come back alone */
	text = map_text(NULL, bytes, sizeof(bytes));
	for (int i = 0; i < 9; i++) {
		if (!calls_getpid(text + 4080) || !calls_getpid(text + 5000) || !calls_getpid(text + 8188))
			break;
		CHECK(madvise(text + i % 3 * 4096, 4096, MADV_DONTNEED) == 0);
	}
	munmap(text, sizeof(bytes));
}

static volatile bool hammering;

static void *hammer_until_told(void *site)
{
	while (hammering)
		if (((long (*)(long))site)(SYS_getpid) != getpid())
			return site;
	return NULL;
}

/* Other text comes to where a site was, with another number at the same place, and becomes busy while threads run. */
TEST(other_text_at_the_same_place)
{
	uint8_t page[4096], *text;

	memset(page, 0x90, sizeof(page));
	memcpy(page + 100, mov_site, sizeof(mov_site));
	text = map_text(NULL, page, sizeof(page));
	for (int round = 0; round < 40; round++) {
		uint8_t nr = round % 2 ? SYS_getppid : SYS_getpid;
		long want = round % 2 ? getppid() : getpid();
		pthread_t t;
		void *result;

		page[101] = nr;
		map_text(text, page, sizeof(page));
		hammering = true;
		REQUIRE(pthread_create(&t, NULL, hammer_until_told,
				       round % 2 ? (void *)hot_mov : (void *)(text + 100)) == 0);
		for (int i = 0; i < ROUNDS; i++)
			if (!CHECK_EQ(((long (*)(void))(void *)(text + 100))(), want))
				break;
		hammering = false;
		pthread_join(t, &result);
		CHECK(result == NULL);
	}
	munmap(text, sizeof(page));
}

/* A process is copied while its text is being rewritten: each copy has a site that is whole, whatever it had come to. */
TEST(fork_at_any_moment)
{
	for (int round = 0; round < 20; round++) {
		uint8_t page[4096], *text;
		pthread_t t[2];
		void *result;

		memset(page, 0x90, sizeof(page));
		memcpy(page + 100, mov_site, sizeof(mov_site));
		memcpy(page + 200, bare_and_padding, sizeof(bare_and_padding));
		text = map_text(NULL, page, sizeof(page));
		hammering = true;
		for (int i = 0; i < 2; i++)
			REQUIRE(pthread_create(&t[i], NULL, hammer_until_told, text + 100) == 0);
		for (int i = 0; i < 4; i++) {
			pid_t pid = h_fork();

			if (pid == 0) {
				calls_getpid(text + 100);
				calls_getpid(text + 200);
				child_exit();
			}
			JOIN(pid);
		}
		hammering = false;
		for (int i = 0; i < 2; i++) {
			pthread_join(t[i], &result);
			CHECK(result == NULL);
		}
		calls_getpid(text + 200);
		munmap(text, sizeof(page));
	}
}

/* Text that is mapped shared is the file's, which nobody changes but those who write to it. */
TEST(text_mapped_shared)
{
	char path[] = "/tmp/hot-XXXXXX";
	uint8_t page[4096], now[4096], *text, *again;
	int fd = mkstemp(path);

	memset(page, 0x90, sizeof(page));
	memcpy(page + 100, mov_site, sizeof(mov_site));
	memcpy(page + 200, bare_and_padding, sizeof(bare_and_padding));
	REQUIRE(fd >= 0 && unlink(path) == 0 && write(fd, page, sizeof(page)) == sizeof(page));
	text = mmap(NULL, sizeof(page), PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	again = mmap(NULL, sizeof(page), PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(text != MAP_FAILED && again != MAP_FAILED);
	calls_getpid(text + 100);
	calls_getpid(text + 200);
	CHECK(memcmp(text, page, sizeof(page)) == 0);
	CHECK(memcmp(again, page, sizeof(page)) == 0);
	CHECK(pread(fd, now, sizeof(now), 0) == sizeof(now) && memcmp(now, page, sizeof(page)) == 0);
	/* Another call there, written by way of the file. */
	REQUIRE(pwrite(fd, &(uint8_t){SYS_getppid}, 1, 101) == 1);
	for (int i = 0; i < ROUNDS; i++)
		if (!CHECK_EQ(((long (*)(void))(void *)(text + 100))(), getppid()))
			break;
	munmap(text, sizeof(page));
	munmap(again, sizeof(page));
	close(fd);
}

/* A program that sums up its own text and, if that is not what it was, puts it right: it goes on, and so do its calls. */
TEST(self_checking_text)
{
	uint8_t page[4096], *text;
	unsigned changed = 0;

	memset(page, 0x90, sizeof(page));
	memcpy(page + 100, mov_site, sizeof(mov_site));
	text = map_text(NULL, page, sizeof(page));
	for (int i = 0; i < 5; i++) {
		if (!calls_getpid(text + 100))
			break;
		if (memcmp(text, page, sizeof(page)) == 0)
			continue;
		/* Nothing but the call is another: the rest of the page is as it was. */
		changed++;
		CHECK(memcmp(text, page, 100) == 0 && memcmp(text + 107, page + 107, sizeof(page) - 107) == 0);
		REQUIRE(mprotect(text, sizeof(page), PROT_READ | PROT_WRITE) == 0);
		memcpy(text, page, sizeof(page));
		REQUIRE(mprotect(text, sizeof(page), PROT_READ | PROT_EXEC) == 0);
		CHECK(memcmp(text, page, sizeof(page)) == 0);
	}
	/* HOT_CALLS_UNTOUCHED: of a run in which nothing may change. */
	CHECK(changed == 0 || !getenv("HOT_CALLS_UNTOUCHED"));
	h_say("  changed %u times\n", changed);
	munmap(text, sizeof(page));
}

/* ---- the segment bases ---- */

static long own_gs(void *area)
{
	return syscall(SYS_arch_prctl, ARCH_SET_GS, area);
}

TEST(gs_is_the_programs)
{
	static uint64_t area[64];
	uint64_t value, base;

	area[1] = 0x1234567890;
	for (int i = 0; i < ROUNDS; i++)
		bare(SYS_getpid, 0, 0, 0, 0);
	CHECK_EQ(own_gs(area), 0);
	for (int i = 0; i < ROUNDS; i++) {
		if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()) ||
		    !regs_survive(hot_mov, hot_mov_end, 0, NULL, getpid()))
			break;
		__asm__ volatile("mov %%gs:8, %0" : "=r"(value));
		if (!CHECK_EQ(value, 0x1234567890ul))
			break;
	}
	for (int i = 0; i < 64; i++)
		CHECK_EQ(area[i], i == 1 ? 0x1234567890ul : 0);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &base), 0);
	CHECK_EQ(base, (uint64_t)area);
	CHECK_EQ(own_gs(NULL), 0);
	CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &base), 0);
	CHECK_EQ(base, 0);
	for (int i = 0; i < ROUNDS; i++)
		if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()))
			break;
}

TEST(gs_changed_without_a_call)
{
	static uint64_t area[64];
	uint64_t base = 1;

	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
		SKIP("no FSGSBASE");
	for (int i = 0; i < ROUNDS; i++) {
		__asm__ volatile("wrgsbase %0" ::"r"(area));
		if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()))
			break;
		__asm__ volatile("rdgsbase %0" : "=r"(base));
		if (!CHECK_EQ(base, (uint64_t)area))
			break;
		__asm__ volatile("wrgsbase %0" ::"r"(0ul));
		if (!CHECK_EQ(bare(SYS_getpid, 0, 0, 0, 0), getpid()))
			break;
	}
	for (int i = 0; i < 64; i++)
		CHECK_EQ(area[i], 0);
}
