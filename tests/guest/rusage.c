/* getrusage(2), and what wait4(2) and times(2) tell of children: CPU time, page faults, memory. */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/times.h>

#define SIZE (24l << 20)
#define MOST (SIZE / 1024 * 9 / 10) /* KiB: Linux counts resident pages a CPU at a time, not quite exactly */

/* Touches SIZE bytes, a page at a time. */
static void touch_memory(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(m != MAP_FAILED);
	madvise(m, SIZE, MADV_NOHUGEPAGE);
	for (long i = 0; i < SIZE; i += 4096)
		m[i] = 1;
}

static void burn(int64_t ns)
{
	int64_t end = h_now_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;

	while (h_now_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

static int64_t cpu_ns(const struct rusage *r)
{
	return (r->ru_utime.tv_sec + r->ru_stime.tv_sec) * 1000000000ll + (r->ru_utime.tv_usec + r->ru_stime.tv_usec) * 1000ll;
}

TEST(self)
{
	struct rusage a, b;
	pid_t pid = h_fork();

	if (pid == 0) {
		OK(getrusage(RUSAGE_SELF, &a));
		touch_memory();
		OK(getrusage(RUSAGE_SELF, &b));
		CHECK(b.ru_minflt - a.ru_minflt >= SIZE / 4096);
		CHECK(b.ru_maxrss >= MOST);
		CHECK_EQ(b.ru_nswap, 0);
		child_exit();
	}
	JOIN(pid);
	CHECK_ERR(getrusage(7, &a), EINVAL);
	CHECK_ERR(getrusage(RUSAGE_SELF, (void *)8), EFAULT);
}

TEST(child)
{
	struct rusage of_child, before, after;
	int status;
	pid_t pid;

	OK(getrusage(RUSAGE_CHILDREN, &before));
	pid = h_fork();
	if (pid == 0) {
		touch_memory();
		burn(50000000);
		_exit(0);
	}
	CHECK_EQ(wait4(pid, &status, 0, &of_child), pid);
	CHECK_EQ(status, 0);
	CHECK(of_child.ru_minflt >= SIZE / 4096);
	CHECK(of_child.ru_maxrss >= MOST);
	CHECK(cpu_ns(&of_child) >= 20000000);
	OK(getrusage(RUSAGE_CHILDREN, &after));
	CHECK(after.ru_minflt - before.ru_minflt >= SIZE / 4096);
	CHECK(after.ru_maxrss >= MOST);
	CHECK(cpu_ns(&after) - cpu_ns(&before) >= 20000000);
}

/* A grandchild counts once its parent has waited for it. */
/* What a child used whose end nobody wants to know of, is not the parent's. */
TEST(a_child_that_is_not_waited_for)
{
	struct rusage before, after;
	pid_t pid;

	OK(getrusage(RUSAGE_CHILDREN, &before));
	signal(SIGCHLD, SIG_IGN);
	pid = h_fork();
	if (pid == 0) {
		touch_memory();
		touch_memory();
		touch_memory();
		burn(50000000);
		_exit(0);
	}
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
	OK(getrusage(RUSAGE_CHILDREN, &after));
	CHECK_EQ(cpu_ns(&after), cpu_ns(&before));
	CHECK_EQ(after.ru_maxrss, before.ru_maxrss);
	CHECK_EQ(after.ru_minflt, before.ru_minflt);
}

TEST(grandchild)
{
	struct rusage of_child;
	pid_t pid = h_fork(), grandchild;
	int status;

	if (pid == 0) {
		grandchild = h_fork();
		if (grandchild == 0) {
			touch_memory();
			_exit(0);
		}
		_exit(h_wait(grandchild));
	}
	CHECK_EQ(wait4(pid, &status, 0, &of_child), pid);
	CHECK_EQ(status, 0);
	CHECK(of_child.ru_minflt >= SIZE / 4096);
	CHECK(of_child.ru_maxrss >= MOST);
}

/* Makes calls for a while, if `busy`.  What it is said to have used. */
static int64_t child_usage(bool busy)
{
	struct rusage of_child;
	pid_t pid = h_fork();
	int status;

	if (pid == 0) {
		for (int i = 0; busy && i < 20000; i++)
			close(-1);
		_exit(0);
	}
	CHECK_EQ(wait4(pid, &status, 0, &of_child), pid);
	CHECK_EQ(status, 0);
	return cpu_ns(&of_child);
}

TEST(one_after_the_other)
{
	int64_t busy = 0;

	for (int i = 0; i < 3; i++)
		busy += child_usage(true);
	for (int i = 0; i < 3; i++)
		CHECK(child_usage(false) < busy / 6);
}

#define BURNT_NS 60000000ll

static void *burns(void *arg)
{
	while (h_now_ns(CLOCK_THREAD_CPUTIME_ID) < BURNT_NS)
		;
	return NULL;
}

static int ready[2], go[2];

static void *idles(void *arg)
{
	char c;

	if (write(ready[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
		return (void *)1;
	/* What it did itself, and no share of what the others did. */
	return (void *)(uintptr_t)(h_now_ns(CLOCK_THREAD_CPUTIME_ID) >= BURNT_NS / 2);
}

TEST(threads_have_clocks_of_their_own)
{
	int64_t mine = h_now_ns(CLOCK_THREAD_CPUTIME_ID);
	pthread_t idle, busy;
	clockid_t clock;
	void *wrong;
	char c;

	REQUIRE(pipe(ready) == 0 && pipe(go) == 0);
	REQUIRE(pthread_create(&idle, NULL, idles, NULL) == 0);
	REQUIRE(read(ready[0], &c, 1) == 1);
	REQUIRE(pthread_create(&busy, NULL, burns, NULL) == 0);
	pthread_join(busy, NULL);
	REQUIRE(pthread_getcpuclockid(idle, &clock) == 0);
	CHECK(h_now_ns(clock) < BURNT_NS / 2);
	CHECK(h_now_ns(CLOCK_PROCESS_CPUTIME_ID) >= BURNT_NS);
	CHECK(h_now_ns(CLOCK_THREAD_CPUTIME_ID) - mine < BURNT_NS / 2);
	REQUIRE(write(go[1], "", 1) == 1);
	pthread_join(idle, &wrong);
	CHECK(!wrong);
	/* A thread begins at 0, whatever thread of the host's it is given. */
	for (int i = 0; i < 5; i++) {
		REQUIRE(pthread_create(&busy, NULL, burns, NULL) == 0);
		pthread_join(busy, NULL);
		CHECK(h_now_ns(CLOCK_THREAD_CPUTIME_ID) - mine < BURNT_NS / 2);
	}
}

static void *returns(void *arg)
{
	return arg;
}

TEST(a_thread_clock_does_not_go_back)
{
	int64_t last = 0;

	for (int i = 0; i < 20; i++) {
		int64_t now = h_now_ns(CLOCK_THREAD_CPUTIME_ID);
		pthread_t th;

		CHECK(now >= last);
		last = now;
		REQUIRE(pthread_create(&th, NULL, returns, NULL) == 0);
		pthread_join(th, NULL);
	}
}

TEST(sleeps_are_voluntary_switches)
{
	struct timespec moment = {0, 1000000};
	struct rusage before, after, process;

	OK(getrusage(RUSAGE_THREAD, &before));
	for (int i = 0; i < 10; i++)
		nanosleep(&moment, NULL);
	OK(getrusage(RUSAGE_THREAD, &after));
	OK(getrusage(RUSAGE_SELF, &process));
	CHECK(after.ru_nvcsw - before.ru_nvcsw >= 10);
	CHECK(process.ru_nvcsw >= after.ru_nvcsw);
}
