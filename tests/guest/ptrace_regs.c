/* ptrace(2): a tracee's memory and registers, breakpoints and single steps. */
#include "tracing.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define USER(field) offsetof(struct user, field)
#define XSTATE_ROOM 16384

static unsigned long peek(pid_t pid, const void *at)
{
	unsigned long word = 0;

	OK(pt(PTRACE_PEEKDATA, pid, (unsigned long)at, (unsigned long)&word));
	return word;
}

/* ---- memory ---- */

static volatile unsigned long datum = 0x1122334455667788;
static const volatile unsigned long constant = 0xdeadbeefcafe; /* in a page that nobody may write */
static char *hidden, *shared;

static void look_at_data(void)
{
	CHECK_EQ(datum, 0x55);
	CHECK_EQ(constant, 0x66);
	REQUIRE(mprotect(hidden, 4096, PROT_READ) == 0);
	CHECK_EQ(hidden[8], 'y');
}

TEST(peek_and_poke)
{
	unsigned long word;
	pid_t pid;

	hidden = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(hidden != MAP_FAILED && shared != MAP_FAILED);
	hidden[8] = 'x';
	REQUIRE(mprotect(hidden, 4096, PROT_NONE) == 0);
	REQUIRE(mprotect(shared, 4096, PROT_READ) == 0);
	pid = traced_child(look_at_data);
	CHECK_EQ(peek(pid, (void *)&datum), 0x1122334455667788);
	CHECK_EQ(peek(pid, (char *)&datum + 1) & 0xff, 0x77);
	OK(pt(PTRACE_POKEDATA, pid, (unsigned long)&datum, 0x55));
	CHECK_EQ(datum, 0x1122334455667788); /* ours is ours */
	OK(pt(PTRACE_POKETEXT, pid, (unsigned long)&constant, 0x66));
	CHECK_EQ(peek(pid, (const void *)&constant), 0x66);
	CHECK_EQ(constant, 0xdeadbeefcafe);
	CHECK_EQ(peek(pid, hidden + 8), 'x');
	OK(pt(PTRACE_POKEDATA, pid, (unsigned long)hidden + 8, 'y'));
	CHECK_ERR(pt(PTRACE_POKEDATA, pid, (unsigned long)shared, 1), EIO);
	CHECK_ERR(pt(PTRACE_PEEKDATA, pid, 0x10, (unsigned long)&word), EIO);
	CHECK_ERR(pt(PTRACE_POKEDATA, pid, 0x10, 1), EIO);
	CHECK_ERR(pt(PTRACE_PEEKDATA, pid, 0xffffffffff600000 - 4, (unsigned long)&word), EIO);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
	munmap(hidden, 4096);
	munmap(shared, 4096);
}

TEST(proc_mem)
{
	pid_t pid;
	char path[64];
	unsigned long word = 0;
	int fd;

	hidden = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid = traced_child(look_at_data);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_EQ(pread(fd, &word, sizeof(word), (off_t)&constant), sizeof(word));
	CHECK_EQ(word, 0xdeadbeefcafe);
	word = 0x66;
	CHECK_EQ(pwrite(fd, &word, sizeof(word), (off_t)&constant), sizeof(word));
	word = 0x55;
	CHECK_EQ(pwrite(fd, &word, sizeof(word), (off_t)&datum), sizeof(word));
	CHECK_EQ(pwrite(fd, "y", 1, (off_t)(hidden + 8)), 1);
	close(fd);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
	munmap(hidden, 4096);
}

/* ---- the user area and the general registers ---- */

static void known_registers(void)
{
	__asm__ volatile("mov $0x1111, %%rbx; mov $0x2222, %%r12; mov $0x3333, %%r15; int3; mov %%r12, %0"
			 : "=m"(datum)
			 :
			 : "rbx", "r12", "r15", "memory");
	CHECK_EQ(datum, 0x4444);
}

TEST(user_area)
{
	pid_t pid = traced_child(known_registers);
	struct user_regs_struct regs;
	unsigned long word;

	CHECK_EQ(sizeof(struct user), 912);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rbx, 0x1111);
	CHECK_EQ(regs.r12, 0x2222);
	CHECK_EQ(regs.r15, 0x3333);
	CHECK_EQ(regs.cs, 0x33);
	CHECK_EQ(regs.ss, 0x2b);
	CHECK_EQ(regs.orig_rax, -1);
	CHECK_EQ(peek(pid, (void *)(regs.rip - 1)) & 0xff, 0xcc);
	OK(pt(PTRACE_PEEKUSER, pid, USER(regs.rbx), (unsigned long)&word));
	CHECK_EQ(word, 0x1111);
	OK(pt(PTRACE_POKEUSER, pid, USER(regs.r12), 0x4444));
	CHECK_ERR(pt(PTRACE_PEEKUSER, pid, 3, (unsigned long)&word), EIO);
	CHECK_ERR(pt(PTRACE_PEEKUSER, pid, 928, (unsigned long)&word), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, 4, 1), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, USER(regs.fs_base), 0x8000000000000000), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, USER(regs.cs), 0x10), EIO);
	OK(pt(PTRACE_PEEKUSER, pid, USER(u_debugreg[0]), (unsigned long)&word));
	CHECK_EQ(word, 0);
	OK(pt(PTRACE_POKEUSER, pid, USER(u_debugreg[7]), 0));
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, USER(u_debugreg[4]), 1), EIO);
	OK(pt(PTRACE_POKEUSER, pid, USER(regs.eflags), regs.eflags | 0x3000)); /* IOPL is not for the asking */
	OK(pt(PTRACE_PEEKUSER, pid, USER(regs.eflags), (unsigned long)&word));
	CHECK_EQ(word, regs.eflags);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(register_sets)
{
	pid_t pid = traced_child(known_registers);
	struct user_regs_struct regs, all;
	struct iovec iov = {&regs, sizeof(regs)};

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	get_regs(pid, &all);
	OK(pt(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov));
	CHECK_EQ(iov.iov_len, sizeof(regs));
	CHECK(memcmp(&regs, &all, sizeof(regs)) == 0);
	iov.iov_len = 64; /* a part */
	OK(pt(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov));
	CHECK_EQ(iov.iov_len, 64);
	regs.r12 = 0x4444;
	OK(pt(PTRACE_SETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov));
	iov.iov_len = 7;
	CHECK_ERR(pt(PTRACE_GETREGSET, pid, NT_PRSTATUS, (unsigned long)&iov), EINVAL);
	iov.iov_len = 8;
	CHECK_ERR(pt(PTRACE_GETREGSET, pid, 0x7777, (unsigned long)&iov), EINVAL);
	CHECK_ERR(pt(PTRACE_GETREGSET, pid, NT_PRSTATUS, 8), EFAULT);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

static void known_vectors(void)
{
	double v[2] = {1.5, -2.5}, out[2];

	__asm__ volatile("movupd %1, %%xmm5; int3; movupd %%xmm5, %0" : "=m"(out) : "m"(v) : "xmm5");
	CHECK(out[0] == 3.25 && out[1] == -2.5);
}

TEST(floating_point)
{
	pid_t pid = traced_child(known_vectors);
	struct user_fpregs_struct fp;
	double v[2], want = 3.25;
	uint32_t bad;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	OK(ptrace(PTRACE_GETFPREGS, pid, 0, &fp));
	memcpy(v, &fp.xmm_space[5 * 4], sizeof(v));
	CHECK(v[0] == 1.5 && v[1] == -2.5);
	CHECK_EQ(fp.cwd, 0x37f);
	CHECK_EQ(fp.mxcsr, 0x1f80);
	bad = fp.mxcsr;
	fp.mxcsr = 0xffffffff;
	CHECK_ERR(pt(PTRACE_SETFPREGS, pid, 0, (unsigned long)&fp), EINVAL);
	fp.mxcsr = bad;
	memcpy(&fp.xmm_space[5 * 4], &want, sizeof(want));
	OK(ptrace(PTRACE_SETFPREGS, pid, 0, &fp));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(extended_state)
{
	pid_t pid = traced_child(known_vectors);
	static uint8_t x[XSTATE_ROOM];
	struct iovec iov = {x, sizeof(x)};
	double v[2], want = 3.25;
	uint64_t features, bad = 1ull << 40;
	size_t size;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	if (pt(PTRACE_GETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov)) {
		end(pid);
		SKIP("no XSAVE here");
	}
	size = iov.iov_len;
	CHECK(size >= 576 && size < sizeof(x));
	memcpy(&features, x + 464, sizeof(features)); /* what there is; gdb goes by this */
	CHECK_EQ(features & 3, 3);
	memcpy(v, x + 160 + 5 * 16, sizeof(v));
	CHECK(v[0] == 1.5 && v[1] == -2.5);
	memcpy(x + 160 + 5 * 16, &want, sizeof(want));
	iov.iov_len = size;
	OK(pt(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov));
	memcpy(x + 520, &bad, sizeof(bad)); /* a compacted area of nothing that there is */
	CHECK_ERR(pt(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov), EINVAL);
	iov.iov_len = 64;
	CHECK_ERR(pt(PTRACE_SETREGSET, pid, NT_X86_XSTATE, (unsigned long)&iov), EFAULT);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* ---- breakpoints ---- */

__attribute__((noinline)) static int twice(int x)
{
	__asm__ volatile("");
	return 2 * x;
}

static void call_twice(void)
{
	CHECK_EQ(twice(21), 42);
	CHECK_EQ(twice(4), 8);
}

TEST(breakpoint)
{
	pid_t pid = traced_child(call_twice);
	struct user_regs_struct regs;
	unsigned long at = (unsigned long)twice, text = peek(pid, (void *)at);
	siginfo_t info;

	OK(pt(PTRACE_POKETEXT, pid, at, (text & ~0xfful) | 0xcc));
	for (int i = 0; i < 2; i++) {
		OK(ptrace(PTRACE_CONT, pid, 0, 0));
		CHECK_EQ(next(pid), STOPPED(SIGTRAP));
		OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
		CHECK_EQ(info.si_code, SI_KERNEL);
		get_regs(pid, &regs);
		CHECK_EQ(regs.rip, at + 1);
		CHECK_EQ(regs.rdi, i ? 4 : 21);
		/* Step over it, as debuggers do. */
		OK(pt(PTRACE_POKETEXT, pid, at, text));
		OK(pt(PTRACE_POKEUSER, pid, USER(regs.rip), at));
		OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		CHECK_EQ(next(pid), STOPPED(SIGTRAP));
		OK(pt(PTRACE_POKETEXT, pid, at, (text & ~0xfful) | 0xcc));
	}
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* ---- single steps ---- */

static void few_instructions(void)
{
	__asm__ volatile("int3; .globl step_first; step_first: nop; inc %%eax; nop; mov %0, %%eax; .globl step_call; "
			 "step_call: syscall; "
			 ".globl step_after; step_after: nop; pushf; pop %%rdx"
			 :
			 : "i"(SYS_getppid)
			 : "rax", "rcx", "rdx", "r11", "memory");
}
extern char step_first[], step_call[], step_after[];

static unsigned long step(pid_t pid, int *code)
{
	struct user_regs_struct regs;
	siginfo_t info = {0};

	OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	get_regs(pid, &regs);
	CHECK_EQ(regs.eflags & 0x100, 0); /* the flag is not the tracee's */
	*code = info.si_code;
	return regs.rip;
}

TEST(single_steps)
{
	pid_t pid = traced_child(few_instructions);
	struct user_regs_struct regs;
	int code;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rip, (unsigned long)step_first);
	CHECK_EQ(step(pid, &code), (unsigned long)step_first + 1);
	CHECK_EQ(code, TRAP_TRACE);
	CHECK_EQ(step(pid, &code), (unsigned long)step_first + 3);
	CHECK_EQ(step(pid, &code), (unsigned long)step_first + 4);
	CHECK_EQ(step(pid, &code), (unsigned long)step_call);
	CHECK_EQ(step(pid, &code), (unsigned long)step_after); /* after the call, not in it */
	CHECK_EQ(code, TRAP_BRKPT);
	get_regs(pid, &regs);
	CHECK_EQ(regs.rax, getpid());
	CHECK_EQ(step(pid, &code), (unsigned long)step_after + 1);
	CHECK_EQ(code, TRAP_TRACE);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

static volatile int handled;

static void on_signal(int sig)
{
	handled++;
}

static void wait_for_handler(void)
{
	signal(SIGUSR1, on_signal);
	__asm__ volatile("int3; nop; nop");
	CHECK_EQ(handled, 1);
}

/* A step with a signal stops at the handler's first instruction. */
TEST(step_into_a_handler)
{
	pid_t pid = traced_child(wait_for_handler);
	struct user_regs_struct regs;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	OK(ptrace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rip, (unsigned long)on_signal);
	CHECK_EQ(regs.rdi, SIGUSR1);
	OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* Many steps through whatever comes: calls, jumps, the C library. */
static void some_work(void)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%d-%s", getppid(), "text");
	CHECK(strstr(buf, "-text") != NULL);
}

TEST(many_steps)
{
	pid_t pid = traced_child(some_work);
	int n = 0;

	for (; n < 500; n++) {
		OK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		if (!CHECK_EQ(next(pid), STOPPED(SIGTRAP)))
			return;
	}
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* The call of a function in the tracee, as debuggers make it: from a stop in a call that would be restarted. */
static void sleep_long(void)
{
	struct timespec ts = {.tv_sec = 1000};

	syscall(SYS_nanosleep, &ts, NULL);
}

TEST(call_a_function)
{
	pid_t pid = traced_child(sleep_long);
	struct user_regs_struct saved, regs;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "S"));
	kill(pid, SIGSTOP);
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	get_regs(pid, &saved);
	CHECK_EQ((long)saved.rax, -516);
	regs = saved;
	regs.rip = (unsigned long)twice;
	regs.rdi = 33;
	regs.rsp = (regs.rsp - 256) & ~15ul;
	regs.rsp -= 8;
	regs.orig_rax = (unsigned long)-1;	   /* or the call would be made again */
	OK(pt(PTRACE_POKEDATA, pid, regs.rsp, 0)); /* where it returns to */
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGSEGV));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rip, 0);
	CHECK_EQ((int)regs.rax, 66);
	OK(ptrace(PTRACE_SETREGS, pid, 0, &saved));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "S")); /* back in its call */
	end(pid);
}
