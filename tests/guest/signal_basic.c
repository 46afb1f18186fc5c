/* Signals: actions, masks, pending sets, siginfo, order of delivery, and the calls that send and wait for them. */
#include "harness.h"

#include <pthread.h>
#include <sys/time.h>

static volatile int runs, last_sig;
static siginfo_t last_info;
static int order[64];
static volatile int order_count;

static void note(int sig, siginfo_t *info, void *context)
{
	runs++;
	last_sig = sig;
	last_info = *info;
	if (order_count < 64)
		order[order_count++] = sig < SIGRTMIN ? sig : info->si_value.sival_int * 1000 + sig;
}

static void install(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};

	runs = 0;
	order_count = 0;
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

static void mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	if (sig)
		sigaddset(&set, sig);
	REQUIRE(sigprocmask(how, &set, NULL) == 0);
}

static bool is_pending(int sig)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, sig) == 1;
}

TEST(kill_self)
{
	install(SIGUSR1, 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	CHECK_EQ(runs, 1); /* delivered before kill returns */
	CHECK_EQ(last_info.si_signo, SIGUSR1);
	CHECK_EQ(last_info.si_code, SI_USER);
	CHECK_EQ(last_info.si_pid, getpid());
	CHECK_EQ(last_info.si_uid, getuid());
	CHECK_EQ(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0);
	CHECK_EQ(last_info.si_code, SI_TKILL);
	CHECK_EQ(runs, 2);
}

TEST(kill_errors)
{
	struct stat init;

	CHECK_EQ(kill(getpid(), 0), 0);
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(getpid(), -1), EINVAL);
	CHECK_ERR(kill(0x3fffff, 0), ESRCH);
	CHECK_ERR(kill(-0x3fffff, 0), ESRCH);
	CHECK_ERR(kill((pid_t)0x80000000, 0), ESRCH);
	CHECK_EQ(kill(0, 0), 0);
	if (geteuid() != 0 && stat("/proc/1", &init) == 0 && init.st_uid != geteuid())
		CHECK_ERR(kill(1, SIGTERM), EPERM);
}

TEST(action_is_kept)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART}, old;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGHUP);
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	REQUIRE(sigaction(SIGUSR1, NULL, &old) == 0);
	CHECK(old.sa_sigaction == note);
	CHECK_EQ(old.sa_flags & ~0x04000000, SA_SIGINFO | SA_RESTART);
	CHECK(sigismember(&old.sa_mask, SIGHUP) && !sigismember(&old.sa_mask, SIGINT));
	CHECK_ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_EQ(syscall(SYS_rt_sigaction, SIGKILL, NULL, &old, 8), 0);
	CHECK_ERR(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, 8, 8), EFAULT);
}

TEST(mask_and_pending)
{
	sigset_t set, old;

	install(SIGUSR1, 0);
	mask(SIG_BLOCK, SIGUSR1);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1); /* a standard signal is pending once */
	CHECK_EQ(runs, 0);
	CHECK(is_pending(SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	REQUIRE(sigprocmask(SIG_UNBLOCK, &set, &old) == 0);
	CHECK_EQ(runs, 1);
	CHECK(sigismember(&old, SIGUSR1));
	CHECK(!is_pending(SIGUSR1));
	sigfillset(&set);
	CHECK_EQ(sigprocmask(SIG_SETMASK, &set, NULL), 0);
	CHECK_EQ(sigprocmask(SIG_BLOCK, NULL, &old), 0);
	CHECK(!sigismember(&old, SIGKILL) && !sigismember(&old, SIGSTOP));
	CHECK(sigismember(&old, SIGTERM));
	mask(SIG_SETMASK, 0);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, 9, &set, NULL, 8), EINVAL);
	CHECK_EQ(syscall(SYS_rt_sigprocmask, 9, NULL, NULL, 8), 0);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, 8, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, 8, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, &set, 9), EINVAL);
}

static sigset_t mask_in_handler;

static void look_at_mask(int sig)
{
	runs++;
	sigprocmask(SIG_BLOCK, NULL, &mask_in_handler);
}

TEST(mask_during_handler)
{
	struct sigaction sa = {.sa_handler = look_at_mask};
	sigset_t now;

	runs = 0;
	sigaddset(&sa.sa_mask, SIGHUP);
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	CHECK(sigismember(&mask_in_handler, SIGUSR1) && sigismember(&mask_in_handler, SIGHUP));
	CHECK(!sigismember(&mask_in_handler, SIGINT));
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGHUP));
	sa.sa_flags = SA_NODEFER;
	sigemptyset(&sa.sa_mask);
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	raise(SIGUSR1);
	CHECK(!sigismember(&mask_in_handler, SIGUSR1));
	CHECK_EQ(runs, 2);
}

TEST(reset_hand)
{
	struct sigaction old;

	install(SIGUSR1, SA_RESETHAND);
	raise(SIGUSR1);
	CHECK_EQ(runs, 1);
	REQUIRE(sigaction(SIGUSR1, NULL, &old) == 0);
	CHECK(old.sa_handler == SIG_DFL);
}

TEST(ignored)
{
	install(SIGUSR1, 0);
	mask(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	CHECK(is_pending(SIGUSR1));
	signal(SIGUSR1, SIG_IGN); /* drops what is pending */
	CHECK(!is_pending(SIGUSR1));
	raise(SIGUSR1); /* blocked, so not thrown away even though ignored */
	mask(SIG_SETMASK, 0);
	CHECK_EQ(runs, 0);
	raise(SIGUSR1);
	CHECK_EQ(runs, 0);
	signal(SIGUSR1, SIG_DFL);
}

static int death(int sig, bool stop_first)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(sig, SIG_DFL);
		raise(sig);
		_exit(1);
	}
	return h_wait(pid);
}

TEST(default_actions)
{
	static const int deadly[] = {SIGHUP, SIGINT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2, SIGPOLL, SIGPROF, SIGVTALRM, SIGSTKFLT,
			       SIGPWR, SIGKILL};
	static const int core[] = {SIGQUIT, SIGILL, SIGABRT, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGSYS, SIGXCPU, SIGXFSZ};
	static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};

	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		CHECK_EQ(death(deadly[i], false), deadly[i]);
	for (size_t i = 0; i < sizeof(core) / sizeof(core[0]); i++)
		CHECK_EQ(death(core[i], false) & 0x7f, core[i]);
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		CHECK_EQ(death(harmless[i], false), 1 << 8);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig += 10)
		CHECK_EQ(death(sig, false), sig);
}

TEST(real_time_queue)
{
	union sigval v;

	install(SIGRTMIN, 0);
	install(SIGRTMIN + 1, 0);
	mask(SIG_BLOCK, SIGRTMIN);
	mask(SIG_BLOCK, SIGRTMIN + 1);
	/* Queued in order, the lower number first. */
	for (int i = 1; i <= 5; i++) {
		v.sival_int = i;
		CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 1, v), 0);
		v.sival_int = i + 10;
		CHECK_EQ(sigqueue(getpid(), SIGRTMIN, v), 0);
	}
	order_count = 0;
	runs = 0;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	REQUIRE(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK_EQ(runs, 5);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(order[i], (i + 11) * 1000 + SIGRTMIN);
	CHECK_EQ(last_info.si_code, SI_QUEUE);
	CHECK_EQ(last_info.si_pid, getpid());
	mask(SIG_SETMASK, 0);
	CHECK_EQ(runs, 10);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(order[5 + i], (i + 1) * 1000 + SIGRTMIN + 1);
}

TEST(several_at_once)
{
	/* With several pending at once each handler interrupts the one before, so the lowest number runs last. */
	install(SIGUSR1, 0);
	install(SIGUSR2, 0);
	install(SIGHUP, 0);
	mask(SIG_BLOCK, SIGUSR1);
	mask(SIG_BLOCK, SIGUSR2);
	mask(SIG_BLOCK, SIGHUP);
	raise(SIGUSR2);
	raise(SIGHUP);
	raise(SIGUSR1);
	order_count = runs = 0;
	mask(SIG_SETMASK, 0);
	CHECK_EQ(runs, 3);
	CHECK(order[0] == SIGUSR2 && order[1] == SIGUSR1 && order[2] == SIGHUP);
}

TEST(queue_errors)
{
	union sigval v = {.sival_int = 0};
	siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
	pid_t pid;

	CHECK_EQ(sigqueue(getpid(), 0, v), 0);
	CHECK_ERR(sigqueue(getpid(), 65, v), EINVAL);
	CHECK_ERR(sigqueue(0x3fffff, SIGUSR1, v), ESRCH);
	/* Nobody may pretend to another that a signal came from kill or the kernel. */
	pid = h_fork();
	if (pid == 0)
		for (;;)
			pause();
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info), EPERM);
	info.si_code = 1;
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &info), EPERM);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, 8), EFAULT);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	install(SIGUSR1, 0);
	CHECK_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info), 0); /* to oneself one may */
	CHECK_EQ(last_info.si_code, 1);
}

TEST(sigtimedwait)
{
	struct timespec zero = {0, 0}, shortly = {0, 2000000}, bad = {0, 1000000000};
	union sigval v = {.sival_int = 77};
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CHECK_ERR(sigtimedwait(&set, &info, &zero), EAGAIN);
	CHECK_ERR(sigtimedwait(&set, &info, &shortly), EAGAIN);
	CHECK_ERR(sigtimedwait(&set, &info, &bad), EINVAL);
	install(SIGUSR1, 0);
	sigqueue(getpid(), SIGRTMIN, v);
	raise(SIGUSR1);
	/* The lowest number first; libc would hide SI_TKILL. */
	CHECK_EQ(syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8), SIGUSR1);
	CHECK_EQ(info.si_code, SI_TKILL);
	CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
	CHECK_EQ(info.si_code, SI_QUEUE);
	CHECK_EQ(info.si_value.sival_int, 77);
	CHECK_EQ(runs, 0);
	CHECK(!is_pending(SIGUSR1));
	pid_t pid = h_fork(), parent = getppid();
	if (pid == 0) {
		(void)parent;
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_code, SI_USER);
	JOIN(pid);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, 8, &info, &zero, 8), EFAULT);
	mask(SIG_SETMASK, 0);
}

TEST(sigtimedwait_interrupted)
{
	sigset_t set;
	pid_t pid, me = getpid();

	/* A signal that is not waited for and has a handler ends the wait. */
	install(SIGUSR2, SA_RESTART);
	mask(SIG_BLOCK, SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		kill(me, SIGUSR2);
		_exit(0);
	}
	CHECK_ERR(sigwaitinfo(&set, NULL), EINTR);
	CHECK_EQ(runs, 1);
	JOIN(pid);
	mask(SIG_SETMASK, 0);
}

TEST(sigsuspend)
{
	sigset_t set, now;

	install(SIGUSR1, SA_RESTART);
	mask(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK_ERR(sigsuspend(&set), EINTR);
	CHECK_EQ(runs, 1);
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
	mask(SIG_SETMASK, 0);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, &set, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, 8, 8), EFAULT);
}

TEST(sigchld)
{
	sigset_t set;
	pid_t pid;
	int status;

	install(SIGCHLD, 0);
	mask(SIG_BLOCK, SIGCHLD);
	pid = h_fork();
	if (pid == 0)
		_exit(6);
	sigfillset(&set);
	sigdelset(&set, SIGCHLD);
	sigsuspend(&set);
	CHECK_EQ(runs, 1);
	CHECK_EQ(last_info.si_code, CLD_EXITED);
	CHECK_EQ(last_info.si_pid, pid);
	CHECK_EQ(last_info.si_status, 6);
	CHECK_EQ(last_info.si_uid, getuid());
	CHECK_EQ(h_wait(pid), 6 << 8);

	/* Stops and continuations too, unless SA_NOCLDSTOP. */
	pid = h_fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	sigsuspend(&set);
	CHECK_EQ(last_info.si_code, CLD_STOPPED);
	CHECK_EQ(last_info.si_status, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGCONT);
	sigsuspend(&set);
	CHECK_EQ(last_info.si_code, CLD_CONTINUED);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	install(SIGCHLD, SA_NOCLDSTOP);
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(!is_pending(SIGCHLD));
	kill(pid, SIGKILL);
	sigsuspend(&set);
	CHECK_EQ(last_info.si_code, CLD_KILLED);
	CHECK_EQ(last_info.si_status, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	mask(SIG_SETMASK, 0);
	signal(SIGCHLD, SIG_DFL);
}

TEST(fork_inherits_mask_not_pending)
{
	sigset_t now;
	pid_t pid;

	install(SIGUSR1, 0);
	mask(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	pid = h_fork();
	if (pid == 0) {
		CHECK(!is_pending(SIGUSR1));
		sigprocmask(SIG_BLOCK, NULL, &now);
		CHECK(sigismember(&now, SIGUSR1));
		mask(SIG_SETMASK, 0);
		CHECK_EQ(runs, 0);
		raise(SIGUSR1);
		CHECK_EQ(runs, 1);
		child_exit();
	}
	JOIN(pid);
	CHECK(is_pending(SIGUSR1));
	mask(SIG_SETMASK, 0);
}

TEST(cont_and_stop_cancel_each_other)
{
	pid_t pid = h_fork();
	int status;

	if (pid == 0) {
		mask(SIG_BLOCK, SIGTSTP);
		raise(SIGTSTP);
		CHECK(is_pending(SIGTSTP));
		raise(SIGCONT);
		CHECK(!is_pending(SIGTSTP));
		mask(SIG_BLOCK, SIGCONT);
		raise(SIGCONT);
		CHECK(is_pending(SIGCONT));
		raise(SIGTSTP);
		CHECK(!is_pending(SIGCONT));
		raise(SIGCONT);
		child_exit();
	}
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_EQ(status, 0);
}

static pthread_t waiter;
static volatile pid_t handled_by;

static void who(int sig)
{
	handled_by = (pid_t)syscall(SYS_gettid);
}

static void *wait_for_signal(void *arg)
{
	sigset_t empty;
	struct gate *g = arg;

	sigemptyset(&empty);
	gate_open(g);
	pthread_sigmask(SIG_SETMASK, &empty, NULL);
	while (!handled_by)
		sched_yield();
	return (void *)(intptr_t)syscall(SYS_gettid);
}

TEST(process_signal_goes_to_a_thread_that_takes_it)
{
	struct gate g;
	void *tid;

	gate_init(&g);
	signal(SIGUSR1, who);
	mask(SIG_BLOCK, SIGUSR1);
	handled_by = 0;
	REQUIRE(pthread_create(&waiter, NULL, wait_for_signal, &g) == 0);
	gate_pass(&g);
	kill(getpid(), SIGUSR1);
	pthread_join(waiter, &tid);
	CHECK_EQ(handled_by, (intptr_t)tid);
	handled_by = 0;
	REQUIRE(pthread_create(&waiter, NULL, wait_for_signal, &g) == 0);
	gate_pass(&g);
	pthread_kill(waiter, SIGUSR1);
	pthread_join(waiter, &tid);
	CHECK_EQ(handled_by, (intptr_t)tid);
	mask(SIG_SETMASK, 0);
	gate_free(&g);
}

static void *block_all_and_pause(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

TEST(thread_signal_stays_with_it)
{
	sigset_t set;

	/* Pending for one thread is not pending for another. */
	mask(SIG_BLOCK, SIGUSR1);
	signal(SIGUSR1, who);
	pid_t pid = h_fork();
	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, block_all_and_pause, NULL) == 0);
		pthread_kill(t, SIGUSR1);
		sigpending(&set);
		CHECK(!sigismember(&set, SIGUSR1));
		kill(getpid(), SIGUSR1);
		sigpending(&set);
		CHECK(sigismember(&set, SIGUSR1));
		child_exit();
	}
	JOIN(pid);
	mask(SIG_SETMASK, 0);
}

TEST(a_spinning_thread_takes_signals)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		install(SIGUSR1, 0);
		struct itimerval tick = {{0, 1000}, {0, 1000}};

		install(SIGALRM, 0);
		setitimer(ITIMER_REAL, &tick, NULL);
		while (runs < 20)
			;
		_exit(0);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(group)
{
	struct gate g;
	pid_t a, b;

	gate_init(&g);
	a = h_fork();
	if (a == 0) {
		setpgid(0, 0);
		gate_open(&g);
		for (;;)
			pause();
	}
	gate_pass(&g);
	b = h_fork();
	if (b == 0) {
		setpgid(0, a);
		gate_open(&g);
		for (;;)
			pause();
	}
	gate_pass(&g);
	CHECK_EQ(kill(-a, SIGTERM), 0);
	CHECK_EQ(h_wait(a), SIGTERM);
	CHECK_EQ(h_wait(b), SIGTERM);
	gate_free(&g);
}

static void *tell_tid_and_wait(void *arg)
{
	int *fds = arg;
	pid_t tid = gettid();
	sigset_t all;
	char c;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	REQUIRE(write(fds[1], &tid, sizeof(tid)) == sizeof(tid));
	REQUIRE(read(fds[2], &c, 1) == 1);
	return NULL;
}

/* kill and sigqueue find a process by any of its threads. */
TEST(process_named_by_a_thread)
{
	union sigval v = {.sival_int = 7};
	int fds[4]; /* there and back */
	pthread_t t;
	pid_t tid;

	REQUIRE(pipe(fds) == 0 && pipe(fds + 2) == 0);
	install(SIGUSR1, 0);
	int to_thread = fds[3];
	REQUIRE(pthread_create(&t, NULL, tell_tid_and_wait, fds) == 0);
	REQUIRE(read(fds[0], &tid, sizeof(tid)) == sizeof(tid));
	OK(kill(tid, 0));
	OK(sigqueue(tid, SIGUSR1, v));
	CHECK_EQ(last_info.si_code, SI_QUEUE);
	CHECK_EQ(last_info.si_value.sival_int, 7);
	OK(kill(tid, SIGUSR1));
	CHECK_EQ(last_info.si_code, SI_USER);
	REQUIRE(write(to_thread, "x", 1) == 1);
	pthread_join(t, NULL);
	/* Joined is not yet gone. */
	while (kill(tid, 0) == 0)
		sched_yield();
	CHECK_EQ(errno, ESRCH);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* Only to itself may a thread send a siginfo that looks like the kernel's. */
TEST(queueinfo_to_another_thread)
{
	siginfo_t si = {.si_signo = SIGUSR1, .si_code = SI_TKILL};

	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), 999999, SIGUSR1, &si), EPERM);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, 999999, SIGUSR1, &si), EPERM);
	si.si_code = SI_QUEUE;
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), 999999, SIGUSR1, &si), ESRCH);
}
