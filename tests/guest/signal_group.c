/* Signals of a process with several threads: whose they are, stops of the whole process, ends in the middle of it. */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

static const struct timespec soon = {5, 0};

static void ms(long n)
{
	nanosleep(&(struct timespec){n / 1000, n % 1000 * 1000000}, NULL);
}

static void *shared_page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* A signal that is ignored by default is still there for the one who waits for it. */
TEST(wait_for_ignored)
{
	sigset_t set, old;
	siginfo_t info;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGWINCH);
	REQUIRE(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	pid = h_fork();
	if (pid == 0) {
		ms(50);
		kill(getppid(), SIGWINCH);
		ms(50);
		child_exit();
	}
	CHECK_EQ(sigtimedwait(&set, &info, &soon), SIGWINCH);
	CHECK_EQ(sigtimedwait(&set, &info, &soon), SIGCHLD);
	CHECK_EQ(info.si_pid, pid);
	JOIN(pid);
	REQUIRE(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

/* ---- stops ---- */

struct spinners {
	volatile unsigned long count[3];
};

static void *spin(void *arg)
{
	volatile unsigned long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

/* When the parent hears of the stop, no thread runs any more; when it hears of the continuation, they do. */
TEST(stop_means_all)
{
	struct spinners *s = shared_page();
	unsigned long seen[3];
	int status;
	pid_t pid = h_fork();

	if (pid == 0) {
		pthread_t t;

		for (int i = 0; i < 2; i++)
			REQUIRE(pthread_create(&t, NULL, spin, (void *)&s->count[i]) == 0);
		spin((void *)&s->count[2]);
	}
	for (int i = 0; i < 3; i++)
		while (!s->count[i])
			ms(1);
	for (int round = 0; round < 5; round++) {
		OK(kill(pid, SIGSTOP));
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
		for (int i = 0; i < 3; i++)
			seen[i] = s->count[i];
		ms(20);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(s->count[i], seen[i]);
		OK(kill(pid, SIGCONT));
		CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
		CHECK(WIFCONTINUED(status));
		for (int i = 0; i < 3; i++)
			while (s->count[i] == seen[i])
				ms(1);
	}
	OK(kill(pid, SIGKILL));
	CHECK_EQ(h_wait(pid), SIGKILL);
	munmap(s, 4096);
}

/* A SIGCONT after a stop wins, however close together they come and whichever thread takes which. */
TEST(continue_wins)
{
	volatile int *asked = shared_page();
	int status, waited;
	pid_t pid = h_fork();

	if (pid == 0) {
		static struct spinners s;
		pthread_t t;

		signal(SIGCONT, SIG_DFL);
		REQUIRE(pthread_create(&t, NULL, spin, (void *)&s.count[0]) == 0);
		REQUIRE(pthread_create(&t, NULL, spin, (void *)&s.count[1]) == 0);
		for (;;) {
			asked[1] = asked[0];
			sched_yield();
		}
	}
	setpgid(pid, pid);
	for (int i = 1; i <= 300; i++) {
		OK(kill(pid, i & 1 ? SIGSTOP : SIGTSTP));
		if (i % 3 == 0)
			sched_yield();
		OK(kill(pid, SIGCONT));
		asked[0] = i;
		for (waited = 0; asked[1] != i && waited < 5000; waited++)
			ms(1);
		if (!CHECK_EQ(asked[1], i))
			break;
	}
	OK(kill(pid, SIGSTOP));
	do {
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	} while (!WIFSTOPPED(status));
	OK(kill(pid, SIGKILL));
	CHECK_EQ(h_wait(pid), SIGKILL);
	munmap((void *)asked, 4096);
}

/* A thread that is born while its process stops does not run. */
static void *breed(void *arg)
{
	volatile unsigned long *n = arg;
	pthread_t t;

	++*n;
	pthread_detach(pthread_self());
	while (pthread_create(&t, NULL, breed, arg) != 0)
		;
	return NULL;
}

TEST(stop_while_cloning)
{
	volatile unsigned long *n = shared_page();
	unsigned long seen;
	int status;
	pid_t pid = h_fork();

	if (pid == 0) {
		breed((void *)n);
		for (;;)
			pause();
	}
	for (int round = 0; round < 20; round++) {
		seen = *n;
		while (*n < seen + 3)
			ms(1);
		OK(kill(pid, SIGSTOP));
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		seen = *n;
		ms(5);
		CHECK_EQ(*n, seen);
		OK(kill(pid, SIGCONT));
	}
	OK(kill(pid, SIGKILL));
	CHECK_EQ(h_wait(pid), SIGKILL);
	munmap((void *)n, 4096);
}

/* ---- threads that end ---- */

static _Atomic int handled;

static void count_signal(int sig)
{
	handled++;
}

static void *leave_at_once(void *arg)
{
	return NULL;
}

static void *wait_for_good(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* A process's signal whose thread goes away before it took it is taken by another. */
TEST(handed_on)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct sigaction sa = {.sa_handler = count_signal};
		sigset_t set;
		pthread_t t, other;

		REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		for (int i = 0; i < 300; i++) {
			REQUIRE(pthread_create(&t, NULL, leave_at_once, NULL) == 0);
			if (i == 0)
				REQUIRE(pthread_create(&other, NULL, wait_for_good, NULL) == 0);
			REQUIRE(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
			handled = 0;
			OK(kill(getpid(), SIGUSR1));
			pthread_join(t, NULL);
			for (int waited = 0; !handled && waited < 3000; waited++)
				ms(1);
			if (!CHECK_EQ(handled, 1))
				break;
			REQUIRE(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
		}
		child_exit();
	}
	JOIN(pid);
}

static void *leave_with_others(void *arg)
{
	pthread_barrier_wait(arg);
	syscall(SYS_exit, 0);
	return NULL;
}

/* Threads that end at the same moment, with an interval timer that goes on to the last. */
TEST(ends_together)
{
	for (int i = 0; i < 40; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			struct itimerval it = {{0, 500}, {0, 500}};
			pthread_barrier_t barrier;
			pthread_t t;

			signal(SIGALRM, SIG_IGN);
			pthread_barrier_init(&barrier, NULL, 3);
			for (int k = 0; k < 2; k++)
				REQUIRE(pthread_create(&t, NULL, leave_with_others, &barrier) == 0);
			OK(setitimer(ITIMER_REAL, &it, NULL));
			leave_with_others(&barrier);
		}
		JOIN(pid);
	}
}

/* An owner that died after it freed the word and before it woke anybody: its list_op_pending tells. */
static struct {
	struct robust_list_head head;
	struct robust_list node;
	uint32_t word;
} robust;

static void *free_and_die(void *arg)
{
	robust.head.list.next = &robust.head.list;
	robust.head.futex_offset = (char *)&robust.word - (char *)&robust.node;
	robust.head.list_op_pending = &robust.node;
	REQUIRE(syscall(SYS_set_robust_list, &robust.head, sizeof(robust.head)) == 0);
	ms(100);
	robust.word = 0;
	syscall(SYS_exit, 0);
	return NULL;
}

TEST(robust_pending)
{
	pthread_t t;

	robust.word = 1;
	REQUIRE(pthread_create(&t, NULL, free_and_die, NULL) == 0);
	CHECK_EQ(syscall(SYS_futex, &robust.word, FUTEX_WAIT, 1, &soon, NULL, 0), 0);
	pthread_join(t, NULL);
}

/* ---- counts ---- */

/* What is dropped unseen no longer counts against RLIMIT_SIGPENDING. */
TEST(dropped_signals_do_not_count)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit limit = {200, 200};
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGTSTP);
		sigaddset(&set, SIGRTMIN);
		REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
		REQUIRE(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
		for (int i = 0; i < 500; i++) {
			OK(kill(getpid(), SIGTSTP));
			OK(kill(getpid(), SIGCONT));
		}
		OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
		child_exit();
	}
	JOIN(pid);
}

/* What cannot be queued is an error only where a signal of its own would be lost. */
TEST(no_room_in_the_queue)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit none = {0, 0};
		siginfo_t info;
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGRTMIN);
		REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
		REQUIRE(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
		CHECK_ERR(syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN), EAGAIN);
		CHECK_ERR(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}), EAGAIN);
		OK(kill(getpid(), SIGRTMIN)); /* it comes, and tells of nobody */
		CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
		CHECK_EQ(info.si_code, SI_USER);
		CHECK_EQ(info.si_pid, 0);
		OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}));
		CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
		CHECK_EQ(info.si_code, SI_USER);
		OK(kill(getpid(), SIGUSR1));
		CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
		CHECK_EQ(info.si_pid, getpid());
		child_exit();
	}
	JOIN(pid);
}

/* A timer may be set for ever. */
TEST(huge_interval)
{
	struct itimerval it = {.it_interval = {INT64_MAX / 1000000000 - 1, 0}, .it_value = {0, 1000}};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	REQUIRE(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	OK(setitimer(ITIMER_REAL, &it, NULL));
	CHECK_EQ(sigtimedwait(&set, NULL, &soon), SIGALRM);
	OK(getitimer(ITIMER_REAL, &it));
	CHECK(it.it_value.tv_sec > 1000000);
	it = (struct itimerval){0};
	OK(setitimer(ITIMER_REAL, &it, NULL));
	REQUIRE(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

/* A signal to a process group while one of it forks reaches the child too: it is sent before the fork, or the child is there. */
TEST(a_group_that_grows)
{
	REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* the orphans come to this process */
	for (int round = 0; round < 150; round++) {
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (pid == 0) {
			setpgid(0, 0);
			for (int i = 0; i < 8; i++)
				if (fork() == 0)
					break;
			for (;;)
				pause();
		}
		setpgid(pid, pid);
		for (int i = 0; i < round % 30; i++)
			sched_yield();
		CHECK(kill(-pid, SIGTERM) == 0);
		alarm(30);
		while (waitpid(-pid, NULL, 0) > 0)
			;
		alarm(0);
		CHECK_EQ(errno, ECHILD);
	}
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

/* ---- process groups ---- */

#define BALLAST (32ul << 20) /* makes a fork last */

struct rounds {
	_Atomic int begun, sent;
};

/* Forks until a child has a signal that came for the group during its fork: the one it has no siginfo of. */
static int fork_under_fire(struct rounds *s)
{
	char *p = mmap(NULL, BALLAST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const struct timespec none;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (p == MAP_FAILED || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return 2;
	memset(p, 1, BALLAST);
	for (int i = 1; i <= 4000; i++) {
		int status;
		pid_t pid;

		s->begun = i;
		pid = fork();
		if (pid == 0)
			_exit(sigtimedwait(&set, &info, &none) == SIGUSR1 && info.si_pid == 0 && info.si_code == SI_USER);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return 3;
		while (s->sent < i)
			sched_yield();
		if (sigtimedwait(&set, &info, &none) != SIGUSR1 || info.si_pid != getppid())
			return 4; /* the parent has it in any case, and whole */
		if (WEXITSTATUS(status) == 1)
			return 0;
	}
	return 1;
}

TEST(group_signal_during_fork)
{
	struct rounds *s = shared_page();
	int status, i = 1;
	pid_t pid = h_fork();

	if (pid == 0) {
		setpgid(0, 0);
		_exit(fork_under_fire(s));
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (s->begun < i) {
			sched_yield();
			continue;
		}
		nanosleep(&(struct timespec){0, i % 32 * 50000}, NULL);
		CHECK_EQ(kill(-pid, SIGUSR1), 0);
		s->sent = i++;
	}
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
	munmap(s, 4096);
}
