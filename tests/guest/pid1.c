/*
 * What Linux makes of process 1 of a pid namespace, pid_namespaces(7).  Natively each test enters a namespace of its own; inside,
 * the runner makes this program the sandbox's process 1, by --init=no.
 */
#include "harness.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/time.h>

static int enter_namespace(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWPID) == 0)
		return 0;
	return unshare(CLONE_NEWUSER | CLONE_NEWPID);
}

/* Runs fn as process 1; false if there is no way to. */
static bool as_pid_1(void (*fn)(void))
{
	pid_t helper;
	int status;

	if (getpid() == 1) {
		fn();
		return true;
	}
	helper = h_fork();
	if (helper == 0) {
		pid_t first;

		if (enter_namespace() < 0)
			_exit(77);
		first = h_fork();
		if (first == 0) {
			fn();
			child_exit();
		}
		status = h_wait(first);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	status = h_wait(helper);
	if (status == W_EXIT(77))
		return false;
	CHECK_EQ(status, 0);
	return true;
}

#define PID_1_TEST(name)                                                                                               \
	static void name##_as_pid_1(void);                                                                             \
	TEST(name)                                                                                                     \
	{                                                                                                              \
		if (!as_pid_1(name##_as_pid_1))                                                                        \
			SKIP("this is not process 1, and there are no pid namespaces");                                \
	}                                                                                                              \
	static void name##_as_pid_1(void)

static volatile sig_atomic_t got, got_from;

static void note(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	got = sig;
	got_from = info->si_pid;
}

static void handle(int sig)
{
	struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

	got = 0;
	OK(sigaction(sig, &a, NULL));
}

static void wait_until_got(int sig)
{
	int64_t end = h_now_ns(CLOCK_MONOTONIC) + 10000000000ll;

	while (got != sig && h_now_ns(CLOCK_MONOTONIC) < end)
		sched_yield();
	CHECK_EQ(got, sig);
}

PID_1_TEST(is_1)
{
	CHECK_EQ(getpid(), 1);
	CHECK_EQ(getppid(), 0);
	CHECK_EQ(gettid(), 1);
}

PID_1_TEST(default_actions_are_not_for_it)
{
	pid_t pid;

	for (int sig = 1; sig <= 64; sig++) {
		if (sig == 32 || sig == 33) /* libc's own */
			continue;
		OK(kill(1, sig));
		OK(syscall(SYS_tgkill, 1, 1, sig));
	}
	pid = h_fork();
	if (pid == 0) {
		OK(kill(1, SIGKILL));
		OK(kill(1, SIGSTOP));
		OK(kill(1, SIGTERM));
		OK(kill(getppid(), SIGSEGV));
		child_exit();
	}
	JOIN(pid);
}

PID_1_TEST(ignores_what_its_timer_kills_with)
{
	struct sigevent kill_it = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct sigevent tell_it = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct itimerspec first = {.it_value = {0, 1000000}}, second = {.it_value = {0, 20000000}};
	struct itimerval alarm = {.it_value = {0, 1000}};
	timer_t a, b;

	handle(SIGUSR2);
	OK(timer_create(CLOCK_MONOTONIC, &kill_it, &a));
	OK(timer_create(CLOCK_MONOTONIC, &tell_it, &b));
	OK(setitimer(ITIMER_REAL, &alarm, NULL));
	OK(timer_settime(a, 0, &first, NULL));
	OK(timer_settime(b, 0, &second, NULL));
	wait_until_got(SIGUSR2);
	OK(timer_delete(a));
	OK(timer_delete(b));
}

PID_1_TEST(handles_what_it_handles)
{
	pid_t pid;

	handle(SIGTERM);
	pid = h_fork();
	if (pid == 0) {
		OK(kill(1, SIGTERM));
		child_exit();
	}
	JOIN(pid);
	wait_until_got(SIGTERM);
	CHECK_EQ(got_from, pid);
	signal(SIGTERM, SIG_DFL);
	OK(kill(1, SIGTERM));
}

PID_1_TEST(what_is_blocked_waits)
{
	struct timespec none = {0, 0};
	sigset_t set, pending;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	OK(kill(1, SIGTERM));
	OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGTERM));
	CHECK_EQ(sigtimedwait(&set, &info, &none), SIGTERM);
	OK(kill(1, SIGTERM));
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL)); /* it is delivered, to nothing */
	OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGTERM));
}

PID_1_TEST(gets_orphans)
{
	int status, p[2];
	pid_t child, orphan = 0, pid;

	OK(pipe(p));
	child = h_fork();
	if (child == 0) {
		pid_t me = getpid();

		orphan = h_fork();
		if (orphan == 0) {
			int64_t end = h_now_ns(CLOCK_MONOTONIC) + 10000000000ll;

			while (getppid() == me && h_now_ns(CLOCK_MONOTONIC) < end)
				sched_yield();
			CHECK_EQ(getppid(), 1);
			_exit(h_failures ? 1 : 5);
		}
		CHECK_EQ(write(p[1], &orphan, sizeof(orphan)), (ssize_t)sizeof(orphan));
		child_exit();
	}
	CHECK_EQ(read(p[0], &orphan, sizeof(orphan)), (ssize_t)sizeof(orphan));
	JOIN(child);
	do
		pid = waitpid(-1, &status, __WALL);
	while (pid < 0 && errno == EINTR);
	CHECK_EQ(pid, orphan);
	CHECK_EQ(status, W_EXIT(5));
	CHECK_ERR(waitpid(-1, &status, 0), ECHILD);
	close(p[0]);
	close(p[1]);
}

PID_1_TEST(kill_all_but_itself)
{
	pid_t pid[3];

	CHECK_ERR(kill(-1, SIGTERM), ESRCH);
	for (int i = 0; i < 3; i++) {
		pid[i] = h_fork();
		if (pid[i] == 0)
			for (;;)
				pause();
	}
	handle(SIGTERM); /* not to be called */
	OK(kill(-1, 0));
	OK(kill(-1, SIGTERM));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(h_wait(pid[i]), SIGTERM);
	CHECK_EQ(got, 0);
	signal(SIGTERM, SIG_DFL);
}

PID_1_TEST(has_no_siblings)
{
	CHECK_ERR(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, NULL, NULL, 0), EINVAL);
}

/* Ends by its own fault, or by that of abort(3), of which SIGABRT does nothing to it. */
ROLE(argc, argv)
{
	if (argc != 3)
		return 2;
	if (strcmp(argv[2], "abort") == 0)
		abort();
	h_fork(); /* another one, which is to end with it */
	if (getpid() == 1)
		*(volatile int *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
	for (;;)
		pause();
}
