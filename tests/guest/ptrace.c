/* ptrace(2): attaching, stops and events, as a debugger or tracer sees them. */
#include "tracing.h"

#include <pthread.h>

#define SYSGOOD (SIGTRAP | 0x80)
#define EVENT(e) ((SIGTRAP | (e) << 8) << 8 | 0x7f)

static void nothing(void)
{
}

/* ---- who may ---- */

TEST(errors)
{
	pid_t pid;

	CHECK_ERR(pt(PTRACE_ATTACH, 0x3ffffff, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	CHECK_ERR(pt(PTRACE_SEIZE, getppid() > 1 ? getpid() : 1, 0, 0), EPERM);
	pid = h_fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_PEEKDATA, pid, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_KILL, pid, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_INTERRUPT, pid, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_SEIZE, pid, 1, 0), EIO);
	CHECK_ERR(pt(PTRACE_SEIZE, pid, 0, 0x40000000), EIO);
	OK(pt(PTRACE_SEIZE, pid, 0, 0));
	CHECK_ERR(pt(PTRACE_SEIZE, pid, 0, 0), EPERM);
	CHECK_ERR(pt(PTRACE_ATTACH, pid, 0, 0), EPERM);
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH); /* it runs */
	end(pid);
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
}

/* One that its group's stop holds already has stopped for its tracer when the attach returns. */
TEST(attached_while_stopped)
{
	for (int n = 0; n < 40; n++) {
		pid_t pid = h_fork();
		int status;

		if (pid == 0) {
			raise(SIGSTOP);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK_EQ(status, STOPPED(SIGSTOP));
		OK(pt(n & 1 ? PTRACE_SEIZE : PTRACE_ATTACH, pid, 0, 0));
		OK(pt(PTRACE_SETOPTIONS, pid, 0, 0));
		end(pid);
	}
}

TEST(requests_of_a_stop)
{
	pid_t pid = traced_child(nothing);
	siginfo_t info;
	unsigned long message = 77;

	CHECK_ERR(pt(12345, pid, 0, 0), EIO);
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 65), EIO);
	CHECK_ERR(pt(PTRACE_SETOPTIONS, pid, 0, 0x80000000), EINVAL);
	CHECK_ERR(pt(PTRACE_LISTEN, pid, 0, 0), EIO);
	CHECK_ERR(pt(PTRACE_INTERRUPT, pid, 0, 0), EIO);
	CHECK_ERR(pt(PTRACE_GETSIGMASK, pid, 4, (unsigned long)&message), EINVAL);
	CHECK_ERR(pt(PTRACE_GETSIGINFO, pid, 0, 8), EFAULT);
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_signo, SIGSTOP);
	CHECK_EQ(info.si_code, SI_TKILL);
	CHECK_EQ(info.si_pid, pid);
	CHECK_ERR(waitpid(pid, NULL, WNOHANG | __WNOTHREAD | 0x10000), EINVAL);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0); /* it was told */
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(traceme_twice_and_by_whom)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
		CHECK_ERR(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
		child_exit();
	}
	JOIN(pid);
}

/* ---- proc ---- */

static void status_line(pid_t pid, const char *key, char *out, size_t cap)
{
	char path[64], buf[4096], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0);
	p = strstr(buf, key);
	REQUIRE(p);
	p += strlen(key);
	p += strspn(p, " \t");
	snprintf(out, cap, "%.*s", (int)strcspn(p, "\n"), p);
}

TEST(proc_status)
{
	pid_t pid = traced_child(nothing);
	char line[64];

	status_line(pid, "TracerPid:", line, sizeof(line));
	CHECK_EQ(atoi(line), getpid());
	status_line(pid, "State:", line, sizeof(line));
	CHECK_STR(line, "t (tracing stop)");
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	JOIN(pid);
	status_line(getpid(), "TracerPid:", line, sizeof(line));
	CHECK_STR(line, "0");
}

/* ---- signals ---- */

static volatile int got;

static void on_signal(int sig)
{
	got = sig;
}

static void send_signals(void)
{
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	raise(SIGUSR1); /* suppressed */
	CHECK_EQ(got, 0);
	raise(SIGUSR1); /* let through */
	CHECK_EQ(got, SIGUSR1);
	raise(SIGUSR1); /* made another */
	CHECK_EQ(got, SIGUSR2);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1); /* shown although it is ignored */
	raise(SIGCHLD); /* and so is what does nothing by default */
}

TEST(signal_delivery_stops)
{
	pid_t pid = traced_child(send_signals);
	siginfo_t info;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_signo, SIGUSR1);
	info.si_code = SI_USER;
	OK(ptrace(PTRACE_SETSIGINFO, pid, 0, &info));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR1));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR2));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR1));
	CHECK_EQ(next(pid), STOPPED(SIGCHLD));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

static siginfo_t seen;

static void on_info(int sig, siginfo_t *info, void *uc)
{
	seen = *info;
}

static void take_changed_info(void)
{
	struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	raise(SIGUSR1);
	CHECK_EQ(seen.si_code, -42);
	CHECK_EQ(seen.si_value.sival_int, 4711);
	raise(SIGUSR1);
	CHECK_EQ(seen.si_signo, SIGUSR2); /* another signal comes from the tracer */
	CHECK_EQ(seen.si_code, SI_USER);
	CHECK_EQ(seen.si_pid, getppid());
}

TEST(siginfo_can_be_changed)
{
	pid_t pid = traced_child(take_changed_info);
	siginfo_t info;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	info.si_code = -42;
	info.si_value.sival_int = 4711;
	OK(ptrace(PTRACE_SETSIGINFO, pid, 0, &info));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR1));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGUSR2));
	JOIN(pid);
}

static void die_of_segv(void)
{
	*(volatile int *)0x10 = 1;
}

TEST(fault_stops)
{
	pid_t pid = traced_child(die_of_segv);
	siginfo_t info;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGSEGV));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_code, SEGV_MAPERR);
	CHECK_EQ((long)info.si_addr, 0x10);
	OK(ptrace(PTRACE_CONT, pid, 0, SIGSEGV));
	CHECK_EQ(next(pid) & 0x7f, SIGSEGV);
}

static void block_and_queue(void)
{
	union sigval v = {.sival_int = 1};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGRTMIN, v);
	v.sival_int = 2;
	sigqueue(getpid(), SIGRTMIN, v);
	syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
	raise(SIGSTOP);
}

TEST(masks_and_pending)
{
	pid_t pid = traced_child(block_and_queue);
	struct __ptrace_peeksiginfo_args a = {.off = 0, .flags = PTRACE_PEEKSIGINFO_SHARED, .nr = 10};
	siginfo_t info[10];
	uint64_t mask = 0;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	OK(pt(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask));
	CHECK_EQ(mask, 1ull << (SIGRTMIN - 1) | 1ull << (SIGUSR1 - 1));
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, pid, (unsigned long)&a, (unsigned long)info), 2);
	CHECK_EQ(info[0].si_value.sival_int, 1);
	CHECK_EQ(info[1].si_value.sival_int, 2);
	a.off = 1;
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, pid, (unsigned long)&a, (unsigned long)info), 1);
	CHECK_EQ(info[0].si_value.sival_int, 2);
	a = (struct __ptrace_peeksiginfo_args){.nr = 10};
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, pid, (unsigned long)&a, (unsigned long)info), 1);
	CHECK_EQ(info[0].si_signo, SIGUSR1);
	a.nr = -1;
	CHECK_ERR(pt(PTRACE_PEEKSIGINFO, pid, (unsigned long)&a, (unsigned long)info), EINVAL);
	a = (struct __ptrace_peeksiginfo_args){.nr = 1, .flags = 2};
	CHECK_ERR(pt(PTRACE_PEEKSIGINFO, pid, (unsigned long)&a, (unsigned long)info), EINVAL);
	mask = 1ull << (SIGRTMIN - 1);
	OK(pt(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&mask));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1)); /* unblocked by that */
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* ---- system calls ---- */

static void some_calls(void)
{
	long own = syscall(SYS_getpid), changed = syscall(SYS_getppid), other = syscall(SYS_lseek, -1, 0, 0);
	long skipped = syscall(SYS_close, 0x7fffffff);

	CHECK_EQ(own, getpid());
	CHECK_EQ(changed, 1234567);
	CHECK_EQ(other, getppid());
	CHECK_EQ(skipped, 42);
}

static bool to_call(pid_t pid)
{
	return OK(ptrace(PTRACE_SYSCALL, pid, 0, 0)) && CHECK_EQ(next(pid), STOPPED(SYSGOOD));
}

TEST(syscall_stops)
{
	pid_t pid = traced_child(some_calls);
	struct user_regs_struct regs;
	siginfo_t info;
	long nr = -1;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	while (nr != SYS_getpid) { /* the way out of raise first */
		REQUIRE(to_call(pid));
		get_regs(pid, &regs);
		nr = (long)regs.orig_rax;
	}
	CHECK_EQ((long)regs.rax, -ENOSYS);
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_code, SYSGOOD);
	REQUIRE(to_call(pid));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rax, pid);
	CHECK_EQ(regs.orig_rax, SYS_getpid);
	REQUIRE(to_call(pid));
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_getppid);
	REQUIRE(to_call(pid));
	get_regs(pid, &regs);
	regs.rax = 1234567;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	REQUIRE(to_call(pid)); /* into lseek */
	OK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), SYS_getppid));
	REQUIRE(to_call(pid));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rax, getpid());
	REQUIRE(to_call(pid)); /* close, which is not made at all */
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_close);
	regs.orig_rax = (unsigned long)-1;
	regs.rax = 42;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	REQUIRE(to_call(pid));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rax, 42);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(syscall_info)
{
	pid_t pid = traced_child(some_calls);
	struct __ptrace_syscall_info s;
	struct user_regs_struct regs;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof(s), (unsigned long)&s), 24);
	CHECK_EQ(s.op, PTRACE_SYSCALL_INFO_NONE);
	CHECK_EQ(s.arch, 0xc000003e);
	do {
		REQUIRE(to_call(pid));
		CHECK(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof(s), (unsigned long)&s) > 0);
	} while (s.op != PTRACE_SYSCALL_INFO_ENTRY || s.entry.nr != SYS_getpid);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof(s), (unsigned long)&s), 80);
	get_regs(pid, &regs);
	CHECK_EQ(s.instruction_pointer, regs.rip);
	CHECK_EQ(s.stack_pointer, regs.rsp);
	REQUIRE(to_call(pid));
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, pid, sizeof(s), (unsigned long)&s), 33);
	CHECK_EQ(s.op, PTRACE_SYSCALL_INFO_EXIT);
	CHECK_EQ(s.exit.rval, pid);
	CHECK_EQ(s.exit.is_error, 0);
	end(pid);
}

static void sleep_once(void)
{
	struct timespec ts = {.tv_sec = 1000};

	CHECK_ERR(syscall(SYS_nanosleep, &ts, &ts), EINTR);
}

TEST(restart_codes_are_visible)
{
	pid_t pid = traced_child(sleep_once);
	struct user_regs_struct regs;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	do {
		REQUIRE(to_call(pid));
		get_regs(pid, &regs);
	} while (regs.orig_rax != SYS_nanosleep);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "S"));
	kill(pid, SIGUSR1);
	CHECK_EQ(next(pid), STOPPED(SYSGOOD));
	get_regs(pid, &regs);
	CHECK_EQ((long)regs.rax, -516); /* ERESTART_RESTARTBLOCK */
	CHECK_EQ(regs.orig_rax, SYS_nanosleep);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGUSR1));
	get_regs(pid, &regs);
	CHECK_EQ((long)regs.rax, -516);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SYSGOOD));
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_restart_syscall);
	end(pid);
}

static void emulated_calls(void)
{
	long marker = syscall(SYS_getppid), first = syscall(SYS_getpid), second = syscall(SYS_getpid);

	CHECK_EQ(marker, getppid());
	CHECK_EQ(first, 99);
	CHECK_EQ(second, -1); /* ENOSYS */
}

TEST(sysemu)
{
	pid_t pid = traced_child(emulated_calls);
	struct user_regs_struct regs;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	do {
		REQUIRE(to_call(pid));
		get_regs(pid, &regs);
	} while (regs.orig_rax != SYS_getppid);
	REQUIRE(to_call(pid));
	OK(pt(PTRACE_SYSEMU, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SYSGOOD));
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_getpid);
	regs.rax = 99;
	OK(ptrace(PTRACE_SETREGS, pid, 0, &regs));
	OK(pt(PTRACE_SYSEMU, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SYSGOOD)); /* the next entry: there is no exit stop */
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_getpid);
	CHECK_EQ((long)regs.rax, -ENOSYS);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), W_EXIT(0));
}

/* ---- clones, exec, exit ---- */

static void forks(void)
{
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(7);
	CHECK_EQ(h_wait(pid), W_EXIT(7));
}

TEST(fork_event)
{
	pid_t pid = traced_child(forks);
	unsigned long child = 0;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_FORK));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &child));
	CHECK_EQ(next((pid_t)child), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	OK(ptrace(PTRACE_CONT, (pid_t)child, 0, 0));
	CHECK_EQ(next((pid_t)child), W_EXIT(7)); /* ours first, then its parent's */
	CHECK_EQ(next(pid), STOPPED(SIGCHLD));
	OK(ptrace(PTRACE_CONT, pid, 0, SIGCHLD));
	JOIN(pid);
}

static void vforks(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	h_wait(pid);
}

TEST(vfork_events)
{
	pid_t pid = traced_child(vforks);
	unsigned long child = 0, again = 0;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_VFORK));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &child));
	CHECK_EQ(next((pid_t)child), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_DETACH, (pid_t)child, 0, 0));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_VFORK_DONE));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &again));
	CHECK_EQ(again, child);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	JOIN(pid);
}

static void *thread_ends(void *arg)
{
	return arg;
}

static void makes_thread(void)
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, thread_ends, NULL) == 0);
	pthread_join(t, NULL);
}

TEST(clone_event_and_thread_exit)
{
	pid_t pid = traced_child(makes_thread);
	unsigned long thread = 0;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_CLONE));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &thread));
	CHECK_EQ(next((pid_t)thread), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_CONT, (pid_t)thread, 0, 0));
	CHECK_EQ(next((pid_t)thread), W_EXIT(0));
	CHECK_ERR(waitpid((pid_t)thread, NULL, __WALL), ECHILD);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

static void execs(void)
{
	execl(h_self, h_self, "@exit", "5", (char *)NULL);
	_exit(98);
}

TEST(exec_stops)
{
	pid_t pid = traced_child(execs);
	struct user_regs_struct regs;
	unsigned long message = 0;
	siginfo_t info;

	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGTRAP)); /* without the option, a signal */
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, pid);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), W_EXIT(5));

	pid = traced_child(execs);
	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_EXEC));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	CHECK_EQ(message, pid);
	OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SYSGOOD));
	get_regs(pid, &regs);
	CHECK_EQ(regs.rax, 0);
	CHECK_EQ(regs.orig_rax, SYS_execve);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), W_EXIT(5));
}

ROLE(argc, argv)
{
	return argc > 2 && strcmp(argv[1], "@exit") == 0 ? atoi(argv[2]) : 97;
}

static void *thread_execs(void *arg)
{
	execs();
	return arg;
}

static void execs_by_thread(void)
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, thread_execs, NULL) == 0);
	pause();
}

/* The thread takes its leader's id, and the leader is gone without a word. */
TEST(exec_by_another_thread)
{
	pid_t pid = traced_child(execs_by_thread);
	unsigned long thread = 0, message = 0;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_CLONE));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &thread));
	CHECK_EQ(next((pid_t)thread), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	OK(ptrace(PTRACE_CONT, (pid_t)thread, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_EXEC));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	CHECK_EQ(message, thread);
	CHECK_ERR(waitpid((pid_t)thread, NULL, __WALL), ECHILD);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), W_EXIT(5));
}

static void exits(void)
{
	_exit(6);
}

TEST(exit_event)
{
	pid_t pid = traced_child(exits);
	struct user_regs_struct regs;
	unsigned long message = 0;

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_EXIT));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
	CHECK_EQ(message, W_EXIT(6));
	get_regs(pid, &regs);
	CHECK_EQ(regs.orig_rax, SYS_exit_group);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), W_EXIT(6));
}

/* ---- attaching to what runs ---- */

static pid_t sleeper(void)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	REQUIRE(h_wait_state(pid, "S"));
	return pid;
}

TEST(attach_and_detach)
{
	pid_t pid = sleeper();
	siginfo_t info;

	OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_signo, SIGSTOP);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "S")); /* back in pause */
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH);
	OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	OK(ptrace(PTRACE_DETACH, pid, 0, SIGTERM)); /* with a signal */
	CHECK_EQ(h_wait(pid), SIGTERM);
}

TEST(seize_and_interrupt)
{
	pid_t pid = sleeper();
	siginfo_t info;

	OK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0); /* it goes on */
	OK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_STOP));
	OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
	CHECK_EQ(info.si_signo, SIGTRAP);
	CHECK_EQ(info.si_code, SIGTRAP | PTRACE_EVENT_STOP << 8);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "S"));
	end(pid);
}

TEST(group_stop_of_a_seized_one)
{
	pid_t pid = sleeper();

	OK(ptrace(PTRACE_SEIZE, pid, 0, 0));
	kill(pid, SIGSTOP);
	CHECK_EQ(next(pid), STOPPED(SIGSTOP)); /* the signal */
	OK(ptrace(PTRACE_CONT, pid, 0, SIGSTOP));
	CHECK_EQ(next(pid), (SIGSTOP | PTRACE_EVENT_STOP << 8) << 8 | 0x7f); /* and the stop */
	OK(ptrace(PTRACE_LISTEN, pid, 0, 0));
	CHECK_EQ(waitpid(pid, NULL, WNOHANG | __WALL), 0);
	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH); /* it listens */
	kill(pid, SIGCONT);
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_STOP)); /* news: the group goes on */
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), STOPPED(SIGCONT));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	end(pid);
}

TEST(group_stop_of_an_attached_one)
{
	pid_t pid = traced_child(nothing);
	siginfo_t info;

	OK(ptrace(PTRACE_CONT, pid, 0, SIGSTOP));
	CHECK_EQ(next(pid), STOPPED(SIGSTOP));
	CHECK_ERR(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), EINVAL); /* that is how it is told from the signal */
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(attach_to_a_stopped_one)
{
	pid_t pid = sleeper();
	int status;

	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	OK(ptrace(PTRACE_SEIZE, pid, 0, 0));
	CHECK_EQ(next(pid), (SIGSTOP | PTRACE_EVENT_STOP << 8) << 8 | 0x7f);
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	REQUIRE(h_wait_state(pid, "T")); /* stopped as before */
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
}

/* ---- the tracer's end ---- */

static void trace_and_go(pid_t pid, long options)
{
	pid_t tracer = h_fork();

	if (tracer == 0) {
		OK(ptrace(PTRACE_SEIZE, pid, 0, options));
		OK(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
		CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_STOP));
		child_exit();
	}
	JOIN(tracer);
}

TEST(tracer_dies)
{
	pid_t pid = sleeper();

	trace_and_go(pid, 0);
	REQUIRE(h_wait_state(pid, "S")); /* it goes on alone */
	trace_and_go(pid, PTRACE_O_EXITKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
}

/* A tracer that is not the parent hears of the end first. */
TEST(end_of_a_strangers_tracee)
{
	struct gate attached, waited;
	pid_t pid = sleeper(), tracer;
	siginfo_t info;

	gate_init(&attached);
	gate_init(&waited);
	tracer = h_fork();
	if (tracer == 0) {
		OK(ptrace(PTRACE_SEIZE, pid, 0, 0));
		gate_open(&attached);
		OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_status, SIGKILL);
		gate_pass(&waited);
		CHECK_EQ(next(pid), SIGKILL);
		child_exit();
	}
	gate_pass(&attached);
	kill(pid, SIGKILL);
	REQUIRE(h_wait_state(pid, "Z"));
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0); /* not ours yet */
	gate_open(&waited);
	CHECK_EQ(h_wait(pid), SIGKILL);
	JOIN(tracer);
	gate_free(&attached);
	gate_free(&waited);
}

/* ---- races ---- */

static void spins(void)
{
	for (;;)
		getppid();
}

/* Whatever a tracer asks while its tracee dies, it gets an answer. */
TEST(requests_while_it_is_killed)
{
	for (int i = 0; i < 50; i++) {
		pid_t pid = traced_child(spins), killer;
		struct user_regs_struct regs;
		struct gate go;
		int status = STOPPED(0);
		long word;

		gate_init(&go);
		killer = h_fork();
		if (killer == 0) {
			gate_pass(&go);
			kill(pid, SIGKILL);
			_exit(0);
		}
		gate_open(&go);
		while (WIFSTOPPED(status)) {
			ptrace(PTRACE_SYSCALL, pid, 0, 0);
			ptrace(PTRACE_GETREGS, pid, 0, &regs);
			status = next(pid);
			ptrace(PTRACE_GETREGS, pid, 0, &regs);
			ptrace(PTRACE_SETREGS, pid, 0, &regs);
			pt(PTRACE_PEEKDATA, pid, (unsigned long)&got, (unsigned long)&word);
			pt(PTRACE_POKETEXT, pid, (unsigned long)exits, *(unsigned long *)(uintptr_t)exits);
		}
		CHECK_EQ(status, SIGKILL);
		JOIN(killer);
		gate_free(&go);
	}
}

/* ---- waiting ---- */

TEST(waitid_tells_trapped)
{
	pid_t pid = traced_child(nothing);
	siginfo_t info = {0};

	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
	CHECK_EQ(info.si_code, CLD_TRAPPED);
	CHECK_EQ(info.si_status, SIGTRAP | PTRACE_EVENT_EXIT << 8);
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_EXIT));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

static void *other_thread(void *arg)
{
	pid_t pid = *(pid_t *)arg;

	CHECK_ERR(pt(PTRACE_CONT, pid, 0, 0), ESRCH); /* it is not the tracer */
	CHECK_ERR(waitpid(pid, NULL, WNOHANG | __WNOTHREAD), ECHILD);
	return NULL;
}

TEST(tracing_is_a_threads_affair)
{
	pid_t pid = traced_child(nothing);
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, other_thread, &pid) == 0);
	pthread_join(t, NULL);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

TEST(sigchld_says_trapped)
{
	struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO}, old;
	pid_t pid = traced_child(nothing);

	sigaction(SIGCHLD, &sa, &old);
	memset(&seen, 0, sizeof(seen));
	OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_EXIT));
	CHECK_EQ(seen.si_signo, SIGCHLD);
	CHECK_EQ(seen.si_code, CLD_TRAPPED);
	CHECK_EQ(seen.si_pid, pid);
	CHECK_EQ(seen.si_status, SIGTRAP);
	sigaction(SIGCHLD, &old, NULL);
	OK(ptrace(PTRACE_CONT, pid, 0, 0));
	JOIN(pid);
}

/* PTRACE_O_TRACECLONE and so on, of those that seize: children begin with a stop of another kind. */
TEST(children_of_a_seized_one)
{
	struct gate go;
	unsigned long child = 0;
	pid_t pid;

	gate_init(&go);
	pid = h_fork();
	if (pid == 0) {
		gate_pass(&go);
		forks();
		child_exit();
	}
	OK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK));
	gate_open(&go);
	CHECK_EQ(next(pid), EVENT(PTRACE_EVENT_FORK));
	OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &child));
	CHECK_EQ(next((pid_t)child), EVENT(PTRACE_EVENT_STOP));
	OK(ptrace(PTRACE_DETACH, (pid_t)child, 0, 0));
	OK(ptrace(PTRACE_DETACH, pid, 0, 0));
	JOIN(pid);
	gate_free(&go);
}
