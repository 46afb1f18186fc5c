/* ptrace(2): debug registers, for breakpoints and watchpoints. */
#include "tracing.h"

#define DR(n) (offsetof(struct user, u_debugreg) + 8 * (n))
#define ENABLE(n) (1ul << 2 * (n))
#define WRITE(n, len_bits) ((1ul | (len_bits) << 2) << (16 + 4 * (n)))
#define LEN4 3ul
#define LEN8 2ul

static unsigned long debug_register(pid_t pid, int n)
{
	unsigned long word = 0;

	OK(pt(PTRACE_PEEKUSER, pid, DR(n), (unsigned long)&word));
	return word;
}

static void stopped_by(pid_t pid, unsigned long slots)
{
	siginfo_t info = {0};

	CHECK_EQ(next(pid), STOPPED(SIGTRAP));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_code, 4); /* TRAP_HWBKPT */
	CHECK_EQ(debug_register(pid, 6) & 15, slots);
	OK(pt(PTRACE_POKEUSER, pid, DR(6), 0));
}

static volatile long watched[4];
static volatile int narrow;

__attribute__((noinline)) static long change(long x)
{
	watched[1] = x;
	return x + 1;
}

static void changes(void)
{
	watched[0] = 1;
	CHECK_EQ(change(5), 6);
	narrow = 3;
	watched[2] = 2;
	CHECK_EQ(change(7), 8);
}

TEST(watchpoints)
{
	pid_t pid = traced_child(changes);
	long value = 0;

	OK(pt(PTRACE_POKEUSER, pid, DR(0), (unsigned long)&watched[1]));
	OK(pt(PTRACE_POKEUSER, pid, DR(3), (unsigned long)&narrow));
	OK(pt(PTRACE_POKEUSER, pid, DR(7), ENABLE(0) | WRITE(0, LEN8) | ENABLE(3) | WRITE(3, LEN4)));
	CHECK_EQ(debug_register(pid, 0), (unsigned long)&watched[1]);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	stopped_by(pid, 1);
	OK(pt(PTRACE_PEEKDATA, pid, (unsigned long)&watched[1], (unsigned long)&value));
	CHECK_EQ(value, 5); /* after the write */
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	stopped_by(pid, 8);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	stopped_by(pid, 1);
	OK(pt(PTRACE_POKEUSER, pid, DR(7), 0));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(breakpoints)
{
	pid_t pid = traced_child(changes);
	struct user_regs_struct regs;

	OK(pt(PTRACE_POKEUSER, pid, DR(1), (unsigned long)change));
	OK(pt(PTRACE_POKEUSER, pid, DR(7), ENABLE(1)));
	for (int i = 0; i < 2; i++) {
		OK(ptrace(PTRACE_CONT, pid, 0, 0));
		stopped_by(pid, 2);
		OK(ptrace(PTRACE_GETREGS, pid, 0, &regs));
		CHECK_EQ(regs.rip, (unsigned long)change); /* before its first instruction */
		CHECK_EQ(regs.rdi, i ? 7 : 5);
	}
	OK(ptrace(PTRACE_CONT, pid, 0, 0)); /* over it, and on */
	JOIN(pid);
}

TEST(debug_register_errors)
{
	pid_t pid = traced_child(changes);

	CHECK_ERR(pt(PTRACE_POKEUSER, pid, DR(0), 0xffff800000000000), EINVAL);
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, DR(4), 1), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, DR(5), 1), EIO);
	CHECK_EQ(debug_register(pid, 4), 0);
	OK(pt(PTRACE_POKEUSER, pid, DR(2), (unsigned long)watched + 1));
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, DR(7), ENABLE(2) | WRITE(2, LEN8)), EINVAL); /* not aligned */
	CHECK_ERR(pt(PTRACE_POKEUSER, pid, DR(7), ENABLE(2) | LEN4 << (18 + 8)),
		  EINVAL); /* an instruction has one byte */
	CHECK_EQ(debug_register(pid, 7), 0);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	JOIN(pid);
}

static void execs(void)
{
	execl("/proc/self/exe", h_self, "@none", (char *)NULL);
	_exit(9);
}

ROLE(argc, argv)
{
	return argc > 1 && strcmp(argv[1], "@none") == 0 ? 0 : 2;
}

TEST(exec_clears_them)
{
	pid_t pid = traced_child(execs);

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC));
	OK(pt(PTRACE_POKEUSER, pid, DR(0), (unsigned long)&watched[3]));
	OK(pt(PTRACE_POKEUSER, pid, DR(7), ENABLE(0) | WRITE(0, LEN8)));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), (SIGTRAP | PTRACE_EVENT_EXEC << 8) << 8 | 0x7f);
	CHECK_EQ(debug_register(pid, 0), 0);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}
