/* RLIMIT_RTTIME: the processor time that a thread of a real-time policy may use without waiting. */
#include "harness.h"

#include <sys/resource.h>

#define MS 1000000ll
#define ENOUGH (8000 * MS) /* of processor time: what has not come by then does not come */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	signals++;
}

static int64_t used(void)
{
	return h_now_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Uses the processor until a signal came, or for so long. */
static void spin(int64_t ns)
{
	int64_t end = used() + ns;

	while (!signals && used() < end)
		;
}

static void become(int policy, long soft_ms, long hard_ms)
{
	struct rlimit r = {(rlim_t)soft_ms * 1000, hard_ms < 0 ? RLIM_INFINITY : (rlim_t)hard_ms * 1000};
	struct sched_param param = {.sched_priority = policy == SCHED_OTHER ? 0 : 1};

	REQUIRE(signal(SIGXCPU, on_signal) != SIG_ERR);
	REQUIRE(setrlimit(RLIMIT_RTTIME, &r) == 0);
	REQUIRE(sched_setscheduler(0, policy, &param) == 0);
}

static bool may_be_real_time(void)
{
	struct sched_param param = {.sched_priority = 1};
	bool may;
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(sched_setscheduler(0, SCHED_FIFO, &param) ? 1 : 0);
	may = h_wait(pid) == 0;
	return may;
}
#define NEED_REAL_TIME()                                                                                               \
	do {                                                                                                           \
		if (!may_be_real_time())                                                                               \
			SKIP("no real-time policies");                                                                 \
	} while (0)

TEST(soft_limit_signals)
{
	pid_t pid;

	NEED_REAL_TIME();
	pid = h_fork();
	if (pid == 0) {
		struct rlimit r;

		become(SCHED_FIFO, 50, -1);
		spin(ENOUGH);
		CHECK_EQ(signals, 1);
		REQUIRE(getrlimit(RLIMIT_RTTIME, &r) == 0);
		CHECK_EQ(r.rlim_cur, 50 * 1000 + 1000000); /* the next comes a second later */
		child_exit();
	}
	JOIN(pid);
}

TEST(hard_limit_kills)
{
	pid_t pid;

	NEED_REAL_TIME();
	pid = h_fork();
	if (pid == 0) {
		become(SCHED_RR, 50, 50);
		spin(ENOUGH);
		_exit(9);
	}
	CHECK_EQ(h_wait(pid), SIGKILL);
}

TEST(inherited_by_a_child)
{
	pid_t pid;

	NEED_REAL_TIME();
	pid = h_fork();
	if (pid == 0) {
		become(SCHED_FIFO, 50, -1);
		pid = h_fork();
		if (pid == 0) {
			spin(ENOUGH);
			CHECK_EQ(signals, 1);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
	JOIN(pid);
}

TEST(waiting_begins_anew)
{
	pid_t pid;

	NEED_REAL_TIME();
	pid = h_fork();
	if (pid == 0) {
		struct timespec ms = {0, MS};

		become(SCHED_FIFO, 1000, -1);
		for (int k = 0; k < 30 && !signals; k++) {
			spin(50 * MS);
			nanosleep(&ms, NULL);
		}
		CHECK_EQ(signals, 0);
		child_exit();
	}
	JOIN(pid);
}

TEST(other_policies_are_free)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		become(SCHED_OTHER, 10, 20);
		spin(300 * MS);
		CHECK_EQ(signals, 0);
		child_exit();
	}
	JOIN(pid);
}
