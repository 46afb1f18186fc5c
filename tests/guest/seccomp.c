/* seccomp(2) and prctl(PR_SET_SECCOMP): strict mode, filters and their actions, threads, inheritance. */
#include "harness.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define NR offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define IP offsetof(struct seccomp_data, instruction_pointer)
#define ARG(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define LOAD(off) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, off)
#define RET(action) BPF_STMT(BPF_RET | BPF_K, action)
#define IF_NOT(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define STOPPED(sig) ((sig) << 8 | 0x7f)

static long seccomp(unsigned op, unsigned flags, const void *args)
{
	return syscall(SYS_seccomp, op, flags, args);
}

static long install(const struct sock_filter *f, size_t n, unsigned flags)
{
	struct sock_fprog prog = {(unsigned short)n, (struct sock_filter *)(uintptr_t)f};

	return seccomp(SECCOMP_SET_MODE_FILTER, flags, &prog);
}
#define INSTALL(f) install(f, sizeof(f) / sizeof((f)[0]), 0)

static void no_new_privs(void)
{
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

/* One call gets one action; all others are allowed. */
static void one_call(long nr, uint32_t action)
{
	struct sock_filter f[] = {LOAD(NR), IF_NOT((uint32_t)nr, 1), RET(action), RET(SECCOMP_RET_ALLOW)};

	no_new_privs();
	REQUIRE(INSTALL(f) == 0);
}

static int status_of(void (*body)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		body();
		_exit(h_failures ? 1 : 0);
	}
	return h_wait(pid);
}

static void proc_status(const char *key, int want)
{
	char buf[4096], *p;

	REQUIRE(read_file("/proc/thread-self/status", buf, sizeof(buf)) > 0);
	p = strstr(buf, key);
	if (CHECK(p != NULL))
		CHECK_EQ(atoi(p + strlen(key)), want);
}

/* ---- errors ---- */

TEST(operations)
{
	uint32_t action;
	struct seccomp_notif_sizes sizes;
	struct sock_fprog empty = {0, NULL};

	CHECK_ERR(seccomp(99, 0, NULL), EINVAL);
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_STRICT, 0, &empty), EINVAL);
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_FILTER, 0x8000, &empty), EINVAL);
	CHECK_ERR(
		seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER, &empty),
		EINVAL);
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_FILTER, 0, NULL), EFAULT);
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_FILTER, 0, &empty), EINVAL);
	CHECK_ERR(prctl(PR_SET_SECCOMP, 77, 0, 0, 0), EINVAL);
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);

	action = SECCOMP_RET_KILL_PROCESS;
	OK(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	action = SECCOMP_RET_LOG;
	OK(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
	CHECK_ERR(seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action), EINVAL);
	CHECK_ERR(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, NULL), EFAULT);
	action = 0x12340000;
	CHECK_ERR(seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action), EOPNOTSUPP);
	OK(seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	CHECK_EQ(sizes.seccomp_data, sizeof(struct seccomp_data));
	CHECK_EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
	CHECK_ERR(seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &sizes), EINVAL);
	proc_status("Seccomp:", 0);
	proc_status("Seccomp_filters:", 0);
}

static void needs_no_new_privs(void)
{
	struct sock_filter f[] = {RET(SECCOMP_RET_ALLOW)};

	if (geteuid() == 0)
		REQUIRE(setresuid(65534, 65534, 65534) == 0);
	CHECK_ERR(INSTALL(f), EACCES);
	no_new_privs();
	OK(INSTALL(f));
	OK(INSTALL(f));
	CHECK_EQ(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
	CHECK_ERR(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), EINVAL);
}

TEST(privileges)
{
	CHECK_EQ(status_of(needs_no_new_privs), 0);
}

#define INVALID(...)                                                                                                   \
	do {                                                                                                           \
		struct sock_filter f_[] = {__VA_ARGS__};                                                               \
		CHECK_ERR(INSTALL(f_), EINVAL);                                                                        \
	} while (0)
#define ALLOW RET(SECCOMP_RET_ALLOW)

static void invalid_programs(void)
{
	static struct sock_filter many[4097];
	struct sock_fprog prog = {4097, many};
	const struct sock_filter good[] = {BPF_STMT(BPF_LD | BPF_IMM, 5),
					   BPF_STMT(BPF_ST, 15),
					   BPF_STMT(BPF_LDX | BPF_MEM, 15),
					   BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
					   BPF_STMT(BPF_MISC | BPF_TAX, 0),
					   BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0),
					   ALLOW};

	no_new_privs();
	INVALID(LOAD(NR));				       /* no return at the end */
	INVALID(LOAD(64), ALLOW);			       /* past the data */
	INVALID(LOAD(2), ALLOW);			       /* not aligned */
	INVALID(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), ALLOW); /* halves are not for seccomp */
	INVALID(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), ALLOW);
	INVALID(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), ALLOW);
	INVALID(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 255), ALLOW);
	INVALID(BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), ALLOW);
	INVALID(BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0), ALLOW);
	INVALID(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW);
	INVALID(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), ALLOW);
	INVALID(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ALLOW);
	INVALID(BPF_STMT(BPF_ST, 16), ALLOW);
	INVALID(BPF_STMT(BPF_LD | BPF_MEM, 3), ALLOW); /* never written */
	INVALID(LOAD(NR), IF_NOT(1, 1), BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0),
		ALLOW); /* not on every way */
	INVALID({0xffff, 0, 0, 0}, ALLOW);
	INVALID(BPF_STMT(BPF_RET | BPF_X, 0));
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.len = 2;
	prog.filter = (struct sock_filter *)8;
	CHECK_ERR(seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EFAULT);
	OK(INSTALL(good));
	for (int i = 0; i < 4096; i++)
		many[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 1);
	many[4095] = (struct sock_filter)ALLOW;
	for (int i = 0; i < 7; i++)
		OK(install(many, 4096, 0));
	CHECK_ERR(install(many, 4096, 0), ENOMEM); /* 32768 in all */
}

TEST(programs)
{
	CHECK_EQ(status_of(invalid_programs), 0);
}

/* ---- strict mode ---- */

static void strict_is_deadly(void)
{
	REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0) == 0);
	syscall(SYS_getpid);
	syscall(SYS_exit, 3);
}

static void strict_allows(void)
{
	REQUIRE(seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL) == 0);
	if (syscall(SYS_write, -1, "", 0) == -1 && errno == EBADF)
		syscall(SYS_exit, 5);
	syscall(SYS_exit, 6);
}

TEST(strict_mode)
{
	CHECK_EQ(status_of(strict_is_deadly), SIGKILL);
	CHECK_EQ(status_of(strict_allows), W_EXIT(5));
}

/* ---- actions ---- */

static void errno_action(void)
{
	one_call(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	CHECK_ERR(syscall(SYS_getppid), 77);
	CHECK(syscall(SYS_getpid) > 0);
	one_call(SYS_getuid, SECCOMP_RET_ERRNO | 0xffff);
	CHECK_EQ(syscall(SYS_getuid), -1);
	CHECK_EQ(errno, 4095);
	one_call(SYS_geteuid, SECCOMP_RET_ERRNO | 0);
	CHECK_EQ(syscall(SYS_geteuid), 0);
	proc_status("Seccomp:", 2);
	proc_status("Seccomp_filters:", 3);
	proc_status("NoNewPrivs:", 1);
}

static void kill_process(void)
{
	one_call(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
}

static void kill_thread_alone(void)
{
	one_call(SYS_getppid, SECCOMP_RET_KILL_THREAD);
	syscall(SYS_getppid);
}

static void unknown_action(void)
{
	one_call(SYS_getppid, 0x00120000);
	syscall(SYS_getppid);
}

static void *thread_that_dies(void *arg)
{
	one_call(SYS_getppid, SECCOMP_RET_KILL_THREAD);
	syscall(SYS_getppid);
	_exit(9);
	return arg;
}

static void kill_one_thread(void)
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, thread_that_dies, NULL) == 0);
	pthread_join(t, NULL);
	CHECK(syscall(SYS_getppid) > 0); /* the filter was its own */
}

static void log_action(void)
{
	one_call(SYS_getppid, SECCOMP_RET_LOG);
	CHECK(syscall(SYS_getppid) > 0);
}

static void notify_nobody(void)
{
	one_call(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

static void trace_nobody(void)
{
	one_call(SYS_getppid, SECCOMP_RET_TRACE | 5);
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

TEST(actions)
{
	CHECK_EQ(status_of(errno_action), 0);
	CHECK_EQ(status_of(kill_process) & 0x7f, SIGSYS);
	CHECK_EQ(status_of(kill_thread_alone) & 0x7f, SIGSYS);
	CHECK_EQ(status_of(unknown_action) & 0x7f, SIGSYS);
	CHECK_EQ(status_of(kill_one_thread), 0);
	CHECK_EQ(status_of(log_action), 0);
	CHECK_EQ(status_of(notify_nobody), 0);
	CHECK_EQ(status_of(trace_nobody), 0);
}

static siginfo_t seen;
static long rax_seen;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	seen = *info;
	rax_seen = uc->uc_mcontext.gregs[REG_RAX];
	uc->uc_mcontext.gregs[REG_RAX] = 4242;
}

static void trap_action(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &sa, NULL);
	one_call(SYS_getppid, SECCOMP_RET_TRAP | 99);
	CHECK_EQ(syscall(SYS_getppid), 4242);
	CHECK_EQ(seen.si_signo, SIGSYS);
	CHECK_EQ(seen.si_code, 1); /* SYS_SECCOMP */
	CHECK_EQ(seen.si_errno, 99);
	CHECK_EQ(seen.si_syscall, SYS_getppid);
	CHECK_EQ(seen.si_arch, AUDIT_ARCH_X86_64);
	CHECK(seen.si_call_addr != NULL);
	CHECK_EQ(rax_seen, SYS_getppid);
}

static void trap_unhandled(void)
{
	one_call(SYS_getppid, SECCOMP_RET_TRAP);
	syscall(SYS_getppid);
}

TEST(trap)
{
	CHECK_EQ(status_of(trap_action), 0);
	CHECK_EQ(status_of(trap_unhandled) & 0x7f, SIGSYS);
}

/* ---- what a filter sees ---- */

static void by_argument(void)
{
	const struct sock_filter f[] = {LOAD(ARCH),
					IF_NOT(AUDIT_ARCH_X86_64, 7),
					LOAD(NR),
					IF_NOT(SYS_lseek, 5),
					LOAD(ARG(1) + 4),
					IF_NOT(0x11, 3),
					LOAD(ARG(1)),
					IF_NOT(0x22, 1),
					RET(SECCOMP_RET_ERRNO | 55),
					ALLOW};

	no_new_privs();
	REQUIRE(INSTALL(f) == 0);
	CHECK_ERR(syscall(SYS_lseek, -1, 0x1100000022, 0), 55);
	CHECK_ERR(syscall(SYS_lseek, -1, 0x1000000022, 0), EBADF);
	CHECK_ERR(syscall(SYS_lseek, -1, 0x1100000021, 0), EBADF);
}

/* A little arithmetic: the answer is made of the arguments. */
static void computed(void)
{
	const struct sock_filter f[] = {LOAD(NR),
					BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lseek, 1, 0),
					ALLOW,
					LOAD(ARG(1)),
					BPF_STMT(BPF_ST, 0),
					LOAD(ARG(2)),
					BPF_STMT(BPF_MISC | BPF_TAX, 0),
					BPF_STMT(BPF_LD | BPF_MEM, 0),
					BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0),	 /* a1 * a2 */
					BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 12), /* + 12 */
					BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),	 /* / 2 */
					BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 1),
					BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
					BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), /* by a2; 0: KILL_THREAD */
					BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),
					BPF_STMT(BPF_RET | BPF_A, 0)};

	no_new_privs();
	REQUIRE(INSTALL(f) == 0);
	CHECK_ERR(syscall(SYS_lseek, -1, 10, 4), ((10 * 4 + 12) / 2 ^ 1) / 4);
	CHECK_ERR(syscall(SYS_lseek, -1, 33, 3), ((33 * 3 + 12) / 2 ^ 1) / 3);
	syscall(SYS_lseek, -1, 33, 0);
}

TEST(data)
{
	CHECK_EQ(status_of(by_argument), 0);
	CHECK_EQ(status_of(computed) & 0x7f, SIGSYS);
}

/* ---- several filters ---- */

static void most_restrictive(void)
{
	one_call(SYS_getppid, SECCOMP_RET_ERRNO | 1);
	CHECK_ERR(syscall(SYS_getppid), 1);
	one_call(SYS_getppid, SECCOMP_RET_LOG);
	CHECK_ERR(syscall(SYS_getppid), 1);
	one_call(SYS_getppid, SECCOMP_RET_ERRNO | 2); /* of equals the newest */
	CHECK_ERR(syscall(SYS_getppid), 2);
	one_call(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
	syscall(SYS_getppid);
}

TEST(several_filters)
{
	CHECK_EQ(status_of(most_restrictive) & 0x7f, SIGSYS);
}

/* ---- inheritance ---- */

static void inherited(void)
{
	pid_t pid;

	one_call(SYS_getppid, SECCOMP_RET_ERRNO | 33);
	pid = h_fork();
	if (pid == 0) {
		CHECK_ERR(syscall(SYS_getppid), 33);
		proc_status("Seccomp_filters:", 1);
		execl(h_self, h_self, "@child", (char *)NULL);
		_exit(9);
	}
	JOIN(pid);
}

ROLE(argc, argv)
{
	if (strcmp(argv[1], "@child"))
		return 2;
	return syscall(SYS_getppid) == -1 && errno == 33 ? 0 : 1;
}

TEST(inheritance)
{
	CHECK_EQ(status_of(inherited), 0);
}

/* ---- threads ---- */

struct other {
	struct gate go, told;
	pid_t tid;
	bool own_filter;
	long result;
	int error;
};

static void *other_thread(void *arg)
{
	struct other *o = arg;

	o->tid = (pid_t)syscall(SYS_gettid);
	if (o->own_filter)
		one_call(SYS_getuid, SECCOMP_RET_ALLOW);
	gate_open(&o->told);
	gate_pass(&o->go);
	o->result = syscall(SYS_getppid);
	o->error = errno;
	if (!o->own_filter)
		proc_status("NoNewPrivs:", 1);
	return NULL;
}

static const struct sock_filter no_getppid[] = {LOAD(NR), IF_NOT(SYS_getppid, 1), RET(SECCOMP_RET_ERRNO | 44), ALLOW};

static void synchronise(bool own_filter)
{
	struct other o = {.own_filter = own_filter};
	pthread_t t;

	gate_init(&o.go);
	gate_init(&o.told);
	REQUIRE(pthread_create(&t, NULL, other_thread, &o) == 0);
	gate_pass(&o.told);
	no_new_privs();
	if (own_filter) {
		CHECK_EQ(install(no_getppid, 4, SECCOMP_FILTER_FLAG_TSYNC), o.tid);
		CHECK_ERR(install(no_getppid, 4, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH), ESRCH);
		CHECK(syscall(SYS_getppid) > 0); /* nothing was done */
	} else {
		OK(install(no_getppid, 4, SECCOMP_FILTER_FLAG_TSYNC));
		CHECK_ERR(syscall(SYS_getppid), 44);
	}
	gate_open(&o.go);
	pthread_join(t, NULL);
	if (own_filter) {
		CHECK(o.result > 0);
	} else {
		CHECK_EQ(o.result, -1);
		CHECK_EQ(o.error, 44);
	}
}

static void synchronised(void)
{
	synchronise(false);
}

static void not_synchronised(void)
{
	synchronise(true);
}

TEST(threads)
{
	CHECK_EQ(status_of(synchronised), 0);
	CHECK_EQ(status_of(not_synchronised), 0);
}

/* ---- and a tracer ---- */

static int next(pid_t pid)
{
	int status;

	return waitpid(pid, &status, __WALL) == pid ? status : -1;
}

static pid_t traced(long options)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		long a, b, c;

		ptrace(PTRACE_TRACEME, 0, 0, 0);
		one_call(SYS_getppid, SECCOMP_RET_TRACE | 0x55);
		raise(SIGSTOP);
		a = syscall(SYS_getppid);
		b = syscall(SYS_getppid);
		c = syscall(SYS_getppid);
		CHECK_EQ(a, getpid()); /* made another call */
		CHECK_EQ(b, 77);       /* not made */
		CHECK(c > 0 && c != getpid());
		_exit(h_failures ? 1 : 0);
	}
	REQUIRE(next(pid) == STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, options));
	return pid;
}

TEST(tracer)
{
	const int event = (SIGTRAP | PTRACE_EVENT_SECCOMP << 8) << 8 | 0x7f;
	pid_t pid = traced(PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
	struct user_regs_struct regs;
	unsigned long data = 0;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(next(pid) == event);
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &data));
	CHECK_EQ(data, 0x55);
	OK(ptrace(PTRACE_GETREGS, pid, 0, &regs));
	CHECK_EQ(regs.orig_rax, SYS_getppid);
	regs.orig_rax = SYS_getpid;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(next(pid) == event);
	OK(ptrace(PTRACE_GETREGS, pid, 0, &regs));
	regs.orig_rax = (unsigned long)-1;
	regs.rax = 77;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(next(pid) == event);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(tracer_reads_filters)
{
	pid_t pid = traced(0);
	struct sock_filter f[8];

	if (geteuid() != 0) {
		CHECK_ERR(syscall(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, pid, 0, f), EACCES);
	} else {
		CHECK_EQ(syscall(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, pid, 0, NULL), 4);
		CHECK_EQ(syscall(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, pid, 0, f), 4);
		CHECK_EQ(f[0].code, BPF_LD | BPF_W | BPF_ABS);
		CHECK_EQ(f[1].k, SYS_getppid);
		CHECK_EQ(f[3].k, SECCOMP_RET_ALLOW);
		CHECK_ERR(syscall(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, pid, 1, f), ENOENT);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(next(pid), SIGKILL);
}
