/* timer_create(2) and its kin, interval timers and sleeps on CPU time, RLIMIT_CPU. */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

#define MS 1000000ll
#define PROCESS_CLOCK(pid) ((clockid_t)(~(unsigned)(pid) << 3 | 2))
#define THREAD_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))

/* The calls themselves: libc keeps ids of its own. */
static int create(clockid_t clock, struct sigevent *ev, int *id)
{
	return (int)syscall(SYS_timer_create, clock, ev, id);
}

static int settime(int id, int flags, int64_t value_ns, int64_t interval_ns, struct itimerspec *old)
{
	struct itimerspec it = {{interval_ns / 1000000000, interval_ns % 1000000000},
				{value_ns / 1000000000, value_ns % 1000000000}};

	return (int)syscall(SYS_timer_settime, id, flags, &it, old);
}

static int64_t left_ns(int id)
{
	struct itimerspec it;

	if (syscall(SYS_timer_gettime, id, &it))
		return -1;
	return it.it_value.tv_sec * 1000000000ll + it.it_value.tv_nsec;
}

static int overrun(int id)
{
	return (int)syscall(SYS_timer_getoverrun, id);
}

static int delete(int id)
{
	return (int)syscall(SYS_timer_delete, id);
}

static sigset_t block(int sig)
{
	sigset_t m;

	sigemptyset(&m);
	sigaddset(&m, sig);
	REQUIRE(sigprocmask(SIG_BLOCK, &m, NULL) == 0);
	return m;
}

static void burn(clockid_t clock, int64_t ns)
{
	int64_t end = h_now_ns(clock) + ns;

	while (h_now_ns(clock) < end)
		;
}

TEST(once)
{
	sigset_t m = block(SIGALRM);
	struct itimerspec old;
	siginfo_t si;
	int id;

	OK(create(CLOCK_MONOTONIC, NULL, &id));
	CHECK_EQ(left_ns(id), 0);
	OK(settime(id, 0, 5 * MS, 0, &old));
	CHECK_EQ(old.it_value.tv_sec + old.it_value.tv_nsec, 0);
	CHECK_EQ(sigwaitinfo(&m, &si), SIGALRM);
	CHECK_EQ(si.si_code, SI_TIMER);
	CHECK_EQ(si.si_timerid, id);
	CHECK_EQ(si.si_overrun, 0);
	CHECK_EQ(si.si_value.sival_int, id);
	CHECK_EQ(left_ns(id), 0);
	CHECK_EQ(overrun(id), 0);
	OK(delete(id));
	CHECK_ERR(delete(id), EINVAL);
}

TEST(each_clock)
{
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_ptr = &ev};
	sigset_t m = block(SIGRTMIN + 1);
	siginfo_t si;
	int id;

	for (int i = 0; i < 4; i++) {
		int64_t now = h_now_ns(clocks[i]);

		OK(create(clocks[i], &ev, &id));
		OK(settime(id, TIMER_ABSTIME, now + 10 * MS, 0, NULL));
		CHECK_EQ(sigwaitinfo(&m, &si), SIGRTMIN + 1);
		CHECK(h_now_ns(clocks[i]) >= now + 10 * MS);
		CHECK(si.si_value.sival_ptr == &ev);
		/* A time that has passed is due at once. */
		OK(settime(id, TIMER_ABSTIME, 1, 0, NULL));
		CHECK_EQ(sigwaitinfo(&m, &si), SIGRTMIN + 1);
		OK(delete(id));
	}
}

TEST(overrun_of_an_interval)
{
	sigset_t m = block(SIGUSR1), pending;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct timespec ts = {0, 20 * MS};
	struct itimerspec it;
	siginfo_t si;
	int id;

	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, MS, MS, NULL));
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK_EQ(overrun(id), 0); /* of the signal taken last: there was none */
	OK(syscall(SYS_timer_gettime, id, &it));
	CHECK_EQ(it.it_interval.tv_nsec, MS);
	CHECK(it.it_value.tv_nsec > 0 && it.it_value.tv_nsec <= MS);
	CHECK_EQ(sigwaitinfo(&m, &si), SIGUSR1);
	CHECK(si.si_overrun >= 18);
	CHECK_EQ(overrun(id), si.si_overrun);
	CHECK_EQ(sigwaitinfo(&m, &si), SIGUSR1); /* it goes on */
	OK(settime(id, 0, 0, 0, &it));
	CHECK_EQ(it.it_interval.tv_nsec, MS);
	CHECK_EQ(left_ns(id), 0);
	OK(delete(id));
}

/* Setting or deleting a timer takes its pending signal back. */
TEST(set_anew_while_pending)
{
	sigset_t m = block(SIGUSR1), pending;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct timespec none = {0, 0};
	siginfo_t si;
	int id;

	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, 1, 0, NULL));
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGUSR1));
	OK(delete(id));
	CHECK_ERR(sigtimedwait(&m, &si, &none), EAGAIN);
}

static volatile int handled;
static siginfo_t seen;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	seen = *si;
	handled++;
}

TEST(handler)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 42};
	int id;

	OK(sigaction(SIGUSR2, &sa, NULL));
	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, 2 * MS, 2 * MS, NULL));
	while (handled < 3)
		;
	CHECK_EQ(seen.si_code, SI_TIMER);
	CHECK_EQ(seen.si_value.sival_int, 42);
	OK(delete(id));
}

/* An interval timer whose signal is ignored is heard again once somebody listens. */
TEST(ignored)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct timespec ts = {0, 5 * MS};
	int id;

	signal(SIGUSR2, SIG_IGN);
	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, MS, MS, NULL));
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	handled = 0;
	OK(sigaction(SIGUSR2, &sa, NULL));
	while (!handled)
		;
	OK(delete(id));
}

static void *wait_for_usr1(void *arg)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	sigset_t m = block(SIGUSR1);
	siginfo_t si;
	int id;

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, MS, 0, NULL));
	CHECK_EQ(sigwaitinfo(&m, &si), SIGUSR1);
	CHECK_EQ(si.si_code, SI_TIMER);
	return (void *)(long)id;
}

TEST(thread_id)
{
	sigset_t m = block(SIGUSR1);
	struct timespec none = {0, 0};
	siginfo_t si;
	pthread_t th;
	void *id;

	REQUIRE(pthread_create(&th, NULL, wait_for_usr1, NULL) == 0);
	REQUIRE(pthread_join(th, &id) == 0);
	OK(settime((int)(long)id, 0, 1, 0, NULL)); /* the timer outlives the thread, and tells nobody */
	CHECK_ERR(sigtimedwait(&m, &si, &none), EAGAIN);
	OK(delete((int)(long)id));
}

TEST(none)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	int id;

	OK(create(CLOCK_MONOTONIC, &ev, &id));
	OK(settime(id, 0, MS, 0, NULL));
	while (left_ns(id) > 0)
		;
	CHECK_EQ(left_ns(id), 0);
	OK(settime(id, 0, MS, 3 * MS, NULL));
	burn(CLOCK_MONOTONIC, 5 * MS);
	CHECK(left_ns(id) > 0 && left_ns(id) <= 3 * MS);
	OK(delete(id));
}

TEST(errors)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL};
	struct itimerspec it = {{0, 0}, {1, 0}};
	int id;

	CHECK_ERR(create(10, NULL, &id), EINVAL);
	CHECK_ERR(create(12, NULL, &id), EINVAL);
	CHECK_ERR(create(CLOCK_MONOTONIC_RAW, NULL, &id), EOPNOTSUPP);
	CHECK_ERR(create(CLOCK_REALTIME_COARSE, NULL, &id), EOPNOTSUPP);
	CHECK_ERR(create(PROCESS_CLOCK(999999), NULL, &id), EINVAL);
	CHECK_ERR(create(THREAD_CLOCK(getppid()), NULL, &id), EINVAL);
	CHECK_ERR(create(CLOCK_REALTIME, NULL, (int *)8), EFAULT);
	CHECK_ERR(create(CLOCK_REALTIME, (struct sigevent *)8, &id), EFAULT);
	CHECK_ERR(create(CLOCK_REALTIME, &ev, &id), EINVAL);
	ev.sigev_signo = 65;
	CHECK_ERR(create(CLOCK_REALTIME, &ev, &id), EINVAL);
	ev.sigev_signo = SIGUSR1;
	ev.sigev_notify = 7;
	CHECK_ERR(create(CLOCK_REALTIME, &ev, &id), EINVAL);
	ev.sigev_notify = SIGEV_THREAD_ID;
	ev._sigev_un._tid = 1;
	CHECK_ERR(create(CLOCK_REALTIME, &ev, &id), EINVAL);
	OK(create(CLOCK_REALTIME, NULL, &id));
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, 8, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_timer_gettime, id, 8), EFAULT);
	it.it_value.tv_nsec = 1000000000;
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, &it, NULL), EINVAL);
	it.it_value.tv_nsec = 0;
	it.it_interval.tv_sec = -1;
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, &it, NULL), EINVAL);
	OK(delete(id));
	it.it_interval.tv_sec = 0;
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, &it, NULL), EINVAL);
	CHECK_ERR(left_ns(id), EINVAL);
	CHECK_ERR(overrun(id), EINVAL);
}

ROLE(argc, argv)
{
	sigset_t pending;

	/* The timer of the program before is gone, and so is its signal. */
	CHECK_ERR(left_ns(atoi(argv[2])), EINVAL);
	OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
	return h_failures ? 1 : 0;
}

TEST(fork_and_exec)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	char arg[16];
	sigset_t pending;
	pid_t pid = h_fork();
	int id;

	if (pid == 0) {
		block(SIGUSR1);
		OK(create(CLOCK_MONOTONIC, &ev, &id));
		pid = h_fork();
		if (pid == 0) {
			CHECK_ERR(left_ns(id), EINVAL);
			child_exit();
		}
		JOIN(pid);
		OK(settime(id, 0, 1, MS, NULL));
		do
			sigpending(&pending);
		while (!sigismember(&pending, SIGUSR1));
		snprintf(arg, sizeof(arg), "%d", id);
		execl(h_self, h_self, "@after", arg, NULL);
		_exit(99);
	}
	JOIN(pid);
}

TEST(limit_of_signals)
{
	struct rlimit none = {0, 0};
	pid_t pid = h_fork();
	int id;

	if (pid == 0) {
		OK(setrlimit(RLIMIT_SIGPENDING, &none));
		CHECK_ERR(create(CLOCK_MONOTONIC, NULL, &id), EAGAIN);
		child_exit();
	}
	JOIN(pid);
}

TEST(proc_timers)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE, .sigev_signo = SIGUSR1, .sigev_value.sival_ptr = (void *)0x1234};
	char text[512], want[512];
	pid_t pid = h_fork();
	int a, b;

	if (pid == 0) {
		OK(create(CLOCK_MONOTONIC, NULL, &a));
		OK(create(CLOCK_PROCESS_CPUTIME_ID, &ev, &b));
		CHECK(read_file("/proc/self/timers", text, sizeof(text)) > 0);
		snprintf(want, sizeof(want),
			 "ID: %d\nsignal: 10/0000000000001234\nnotify: none/pid.%d\nClockID: -6\n"
			 "ID: %d\nsignal: 14/%016x\nnotify: signal/pid.%d\nClockID: 1\n",
			 b, getpid(), a, a, getpid());
		CHECK_STR(text, want);
		child_exit();
	}
	JOIN(pid);
}

/* ---- CPU time ---- */

TEST(cpu_timers)
{
	clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, PROCESS_CLOCK(getpid()),
			      THREAD_CLOCK(syscall(SYS_gettid))};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	int64_t before;
	int id;

	OK(sigaction(SIGUSR2, &sa, NULL));
	for (int i = 0; i < 4; i++) {
		handled = 0;
		OK(create(clocks[i], &ev, &id));
		before = h_now_ns(clocks[i]);
		CHECK(before > 0);
		OK(settime(id, 0, 20 * MS, 10 * MS, NULL));
		CHECK(left_ns(id) > 0 && left_ns(id) <= 20 * MS);
		while (handled < 2)
			;
		CHECK(h_now_ns(clocks[i]) - before >= 29 * MS);
		CHECK_EQ(seen.si_code, SI_TIMER);
		OK(settime(id, TIMER_ABSTIME, h_now_ns(clocks[i]) + 5 * MS, 0, NULL));
		handled = 0;
		while (!handled)
			;
		OK(delete(id));
	}
}

TEST(other_process_clock)
{
	struct timespec ts = {0, 10 * MS};
	clockid_t clock;
	pid_t pid = h_fork();
	int64_t before;

	if (pid == 0)
		for (;;)
			;
	CHECK_EQ(clock_getcpuclockid(pid, &clock), 0);
	before = h_now_ns(clock);
	CHECK_EQ(clock_nanosleep(clock, 0, &ts, NULL), 0);
	CHECK(h_now_ns(clock) - before >= 10 * MS);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_ERR(clock_gettime(clock, &ts), EINVAL);
}

static void *spin(void *arg)
{
	while (!*(_Atomic int *)arg)
		;
	return NULL;
}

TEST(sleep_on_cpu_clocks)
{
	struct timespec ts = {0, 10 * MS};
	_Atomic int stop = 0;
	pthread_t th;
	clockid_t clock;
	int64_t before;

	CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EINVAL);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &ts, NULL), EOPNOTSUPP);
	CHECK_EQ(clock_nanosleep(PROCESS_CLOCK(999999), 0, &ts, NULL), EINVAL);
	REQUIRE(pthread_create(&th, NULL, spin, &stop) == 0);
	before = h_now_ns(CLOCK_PROCESS_CPUTIME_ID);
	CHECK_EQ(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &ts, NULL), 0);
	CHECK(h_now_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= 10 * MS);
	CHECK_EQ(pthread_getcpuclockid(th, &clock), 0);
	before = h_now_ns(clock);
	ts.tv_sec = (before + 10 * MS) / 1000000000;
	ts.tv_nsec = (before + 10 * MS) % 1000000000;
	CHECK_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(h_now_ns(clock) - before >= 10 * MS);
	stop = 1;
	pthread_join(th, NULL);
}

TEST(itimer_virtual_and_prof)
{
	static const struct {
		int which, sig;
	} t[] = {{ITIMER_VIRTUAL, SIGVTALRM}, {ITIMER_PROF, SIGPROF}};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct itimerval it = {{0, 5000}, {0, 10000}}, old, off = {{0, 0}, {0, 0}};
	int64_t before;

	for (int i = 0; i < 2; i++) {
		handled = 0;
		OK(sigaction(t[i].sig, &sa, NULL));
		before = h_now_ns(CLOCK_PROCESS_CPUTIME_ID);
		OK(setitimer(t[i].which, &it, &old));
		CHECK_EQ(old.it_value.tv_usec, 0);
		OK(getitimer(t[i].which, &old));
		CHECK(old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 14000);
		CHECK_EQ(old.it_interval.tv_usec, 5000);
		while (handled < 3)
			;
		CHECK(h_now_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= MS); /* as cpu_limit says */
		CHECK_EQ(seen.si_code, SI_KERNEL);
		CHECK_EQ(seen.si_signo, t[i].sig);
		OK(setitimer(t[i].which, &off, &old));
		CHECK_EQ(old.it_interval.tv_usec, 5000);
		OK(getitimer(t[i].which, &old));
		CHECK_EQ(old.it_value.tv_usec + old.it_interval.tv_usec, 0);
	}
	CHECK_ERR(getitimer(3, &old), EINVAL);
	CHECK_ERR(setitimer(-1, &it, NULL), EINVAL);
}

TEST(cpu_limit)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	pid_t pid = h_fork();
	struct rlimit l;

	if (pid == 0) {
		handled = 0;
		OK(sigaction(SIGXCPU, &sa, NULL));
		OK(getrlimit(RLIMIT_CPU, &l));
		l.rlim_cur = 1;
		OK(setrlimit(RLIMIT_CPU, &l));
		while (!handled)
			;
		CHECK_EQ(seen.si_code, SI_KERNEL);
		CHECK(h_now_ns(CLOCK_PROCESS_CPUTIME_ID) >= 100 * MS); /* Linux counts whole ticks, whoever had most of them */
		OK(getrlimit(RLIMIT_CPU, &l));
		CHECK_EQ(l.rlim_cur, 2); /* for the next signal, a second later */
		if (h_failures)
			_exit(1);
		l.rlim_cur = l.rlim_max = 1;
		setrlimit(RLIMIT_CPU, &l);
		for (;;)
			;
	}
	CHECK_EQ(h_wait(pid), SIGKILL);
}
