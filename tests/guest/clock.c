/* Clocks, sleeps and interval timers. */
#include "harness.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

static volatile int alarms;

static void on_alarm(int sig)
{
	alarms++;
}

TEST(clocks)
{
	static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
				  CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
	struct timespec ts, res;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		ts.tv_nsec = -1;
		OK(syscall(SYS_clock_gettime, ids[i], &ts));
		CHECK(ts.tv_sec >= 0 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
		OK(syscall(SYS_clock_getres, ids[i], &res));
		CHECK(res.tv_sec == 0 && res.tv_nsec > 0);
	}
	OK(syscall(SYS_clock_getres, CLOCK_REALTIME, NULL));
	CHECK_ERR(syscall(SYS_clock_gettime, 99, &ts), EINVAL);
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_REALTIME, 8), EFAULT);
	CHECK_ERR(syscall(SYS_clock_getres, 99, &ts), EINVAL);
}

TEST(monotonic)
{
	int64_t last = h_now_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < 2000; i++) {
		int64_t now = h_now_ns(CLOCK_MONOTONIC);

		if (now < last)
			CHECK(now >= last);
		last = now;
	}
	struct timespec raw;
	OK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &raw));
	CHECK(raw.tv_sec * 1000000000ll + raw.tv_nsec >= last); /* the call agrees with the vDSO */
	CHECK(raw.tv_sec * 1000000000ll + raw.tv_nsec < last + 5000000000ll);
}

TEST(agreement)
{
	struct timespec ts;
	struct timeval tv;
	time_t t, s = -1;

	clock_gettime(CLOCK_REALTIME, &ts);
	OK(syscall(SYS_gettimeofday, &tv, NULL));
	t = (time_t)syscall(SYS_time, &s);
	CHECK_EQ(t, s);
	CHECK(tv.tv_sec - ts.tv_sec <= 2 && tv.tv_usec >= 0 && tv.tv_usec < 1000000);
	CHECK(t - ts.tv_sec <= 2 && t - ts.tv_sec >= -1);
	CHECK(t > 1600000000);
}

TEST(cpu_time)
{
	int64_t start = h_now_ns(CLOCK_PROCESS_CPUTIME_ID), t0 = h_now_ns(CLOCK_THREAD_CPUTIME_ID);
	int64_t wall = h_now_ns(CLOCK_MONOTONIC);
	struct rusage ru;
	struct tms tms;

	while (h_now_ns(CLOCK_PROCESS_CPUTIME_ID) - start < 5000000 && h_now_ns(CLOCK_MONOTONIC) - wall < 5000000000ll)
		;
	CHECK(h_now_ns(CLOCK_PROCESS_CPUTIME_ID) - start >= 5000000);
	CHECK(h_now_ns(CLOCK_THREAD_CPUTIME_ID) > t0);
	OK(getrusage(RUSAGE_SELF, &ru));
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec > 0);
	OK(getrusage(RUSAGE_CHILDREN, &ru));
	OK(getrusage(RUSAGE_THREAD, &ru));
	CHECK_ERR(syscall(SYS_getrusage, 77, &ru), EINVAL);
	CHECK(times(&tms) != (clock_t)-1);
}

TEST(nanosleep)
{
	struct timespec ts = {0, 5000000}, bad = {0, -1};
	int64_t start = h_now_ns(CLOCK_MONOTONIC);

	OK(nanosleep(&ts, NULL));
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 5000000);
	ts.tv_nsec = 0;
	OK(nanosleep(&ts, NULL));
	CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
	bad = (struct timespec){-1, 0};
	CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
	bad = (struct timespec){0, 1000000000};
	CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, 8, NULL), EFAULT);
}

TEST(clock_nanosleep)
{
	struct timespec ts;
	int64_t target;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	target = ts.tv_sec * 1000000000ll + ts.tv_nsec + 4000000;
	ts = (struct timespec){target / 1000000000, target % 1000000000};
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK(h_now_ns(CLOCK_MONOTONIC) >= target);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0); /* already past */
	clock_gettime(CLOCK_REALTIME, &ts);
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
	CHECK_EQ(clock_nanosleep(99, 0, &ts, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EOPNOTSUPP);
}

TEST(alarm)
{
	sigset_t set, empty;

	signal(SIGALRM, on_alarm);
	CHECK_EQ(alarm(100), 0);
	unsigned left = alarm(0);
	CHECK(left >= 99 && left <= 100);
	CHECK_EQ(alarm(0), 0);
	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct itimerval shortly = {{0, 0}, {0, 3000}}, old;
	alarms = 0;
	OK(setitimer(ITIMER_REAL, &shortly, NULL));
	sigsuspend(&empty);
	CHECK_EQ(alarms, 1);
	OK(getitimer(ITIMER_REAL, &old));
	CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

TEST(intervals)
{
	struct itimerval tick = {{0, 2000}, {0, 2000}}, stop = {{0, 0}, {0, 0}}, old;
	sigset_t set, empty;

	signal(SIGALRM, on_alarm);
	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	alarms = 0;
	int64_t start = h_now_ns(CLOCK_MONOTONIC);
	OK(setitimer(ITIMER_REAL, &tick, NULL));
	while (alarms < 5)
		sigsuspend(&empty);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 9000000);
	OK(setitimer(ITIMER_REAL, &stop, &old));
	CHECK_EQ(old.it_interval.tv_usec, 2000);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	tick.it_value.tv_usec = 1000000;
	CHECK_ERR(setitimer(ITIMER_REAL, &tick, NULL), EINVAL);
	CHECK_ERR(setitimer((enum __itimer_which)9, &stop, NULL), EINVAL);
	CHECK_ERR(getitimer((enum __itimer_which)9, &old), EINVAL);
}

static void set_real(suseconds_t value_us, time_t interval_s, suseconds_t interval_us)
{
	struct itimerval v = {{interval_s, interval_us}, {0, value_us}};

	OK(setitimer(ITIMER_REAL, &v, NULL));
}

/* ITIMER_REAL is not set, and has this interval. */
static void check_unset(time_t s, suseconds_t us)
{
	struct itimerval v;

	OK(getitimer(ITIMER_REAL, &v));
	CHECK(v.it_value.tv_sec == 0 && v.it_value.tv_usec == 0);
	CHECK(v.it_interval.tv_sec == s && v.it_interval.tv_usec == us);
}

static void wait_pending(int sig)
{
	sigset_t set;

	do {
		sched_yield();
		sigpending(&set);
	} while (!sigismember(&set, sig));
}

/* One that has fired is set again when its signal is taken. */
TEST(interval_waits_for_its_signal)
{
	struct itimerval now;
	siginfo_t info;
	sigset_t set;

	signal(SIGALRM, on_alarm);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	set_real(1, 3600, 0);
	wait_pending(SIGALRM);
	check_unset(3600, 0);
	CHECK_EQ(sigwaitinfo(&set, &info), SIGALRM);
	CHECK_EQ(info.si_code, SI_KERNEL);
	OK(getitimer(ITIMER_REAL, &now));
	CHECK(now.it_value.tv_sec > 0 && now.it_value.tv_sec <= 3600);
	set_real(1, 0, 1);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(sigwaitinfo(&set, &info), SIGALRM);
	wait_pending(SIGALRM);
	signal(SIGALRM, SIG_IGN); /* drops it: none is taken any more */
	signal(SIGALRM, on_alarm);
	check_unset(0, 1);
	sigpending(&set);
	CHECK(!sigismember(&set, SIGALRM));
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	set_real(0, 0, 0);
}

TEST(interval_ignored_fires_once)
{
	struct itimerval now;

	signal(SIGALRM, SIG_IGN);
	set_real(1, 0, 2000);
	do {
		OK(getitimer(ITIMER_REAL, &now));
	} while (now.it_value.tv_usec);
	check_unset(0, 2000);
	signal(SIGALRM, on_alarm);
	alarms = 0;
	raise(SIGALRM); /* the thread's own, which has nothing to do with the timer */
	CHECK_EQ(alarms, 1);
	check_unset(0, 2000);
	kill(getpid(), SIGALRM); /* anybody's to the process sets it going */
	while (alarms < 10)
		sched_yield();
	set_real(0, 0, 0);
}

TEST(interval_without_value)
{
	struct itimerval v = {{5, 0}, {0, 0}}, now;

	OK(setitimer(ITIMER_REAL, &v, NULL));
	check_unset(0, 0);
	OK(setitimer(ITIMER_VIRTUAL, &v, NULL));
	OK(getitimer(ITIMER_VIRTUAL, &now));
	CHECK(now.it_interval.tv_sec == 5 && now.it_value.tv_sec == 0);
	v.it_interval.tv_sec = 0;
	OK(setitimer(ITIMER_VIRTUAL, &v, NULL));
}

TEST(timers_and_fork)
{
	struct itimerval far = {{0, 0}, {100, 0}}, now;
	pid_t pid;

	OK(setitimer(ITIMER_REAL, &far, NULL));
	pid = h_fork();
	if (pid == 0) {
		OK(getitimer(ITIMER_REAL, &now)); /* a child has none */
		CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
		child_exit();
	}
	JOIN(pid);
	alarm(0);
}

TEST(alarm_kills)
{
	struct itimerval shortly = {{0, 0}, {0, 2000}};
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		setitimer(ITIMER_REAL, &shortly, NULL);
		for (;;)
			; /* even one that makes no call */
	}
	CHECK_EQ(h_wait(pid), SIGALRM);
}
