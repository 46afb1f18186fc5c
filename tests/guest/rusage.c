/* getrusage(2), and what wait4(2) and times(2) tell of children: CPU time, page faults, memory. */
#include "harness.h"

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
