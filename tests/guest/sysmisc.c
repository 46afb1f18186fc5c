/* The kernel's log, the clock's state, personality, and prctl's smaller options. */
#include "harness.h"

#include <linux/prctl.h>
#include <sys/auxv.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

TEST(kernel_log)
{
	char b[16];
	pid_t pid;

	if (getuid() != 0)
		SKIP("needs root");
	CHECK_ERR(klogctl(-1, b, 8), EINVAL);
	CHECK_ERR(klogctl(11, b, 8), EINVAL);
	CHECK_ERR(klogctl(3, b, -1), EINVAL);
	CHECK_ERR(klogctl(3, NULL, 5), EINVAL);
	CHECK_ERR(klogctl(2, NULL, 5), EINVAL);
	CHECK_EQ(klogctl(3, b, 0), 0);
	CHECK_EQ(klogctl(2, b, 0), 0);
	CHECK(klogctl(3, b, sizeof(b)) >= 0);
	CHECK_EQ(klogctl(1, NULL, 0), 0);
	CHECK_EQ(klogctl(0, NULL, 0), 0);
	CHECK_ERR(klogctl(8, NULL, 0), EINVAL);
	CHECK_ERR(klogctl(8, NULL, 9), EINVAL);
	CHECK(klogctl(9, NULL, 0) >= 0);
	CHECK(klogctl(10, NULL, 0) >= 4096);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setuid(4711) == 0);
		CHECK_ERR(klogctl(2, b, 8), EPERM);
		CHECK_ERR(klogctl(9, NULL, 0), EPERM);
		child_exit();
	}
	JOIN(pid);
}

TEST(clock_state)
{
	struct timex tx = {0};
	struct timespec now;
	int state = adjtimex(&tx);

	CHECK(state >= TIME_OK && state <= TIME_ERROR);
	REQUIRE(clock_gettime(CLOCK_REALTIME, &now) == 0);
	CHECK(tx.time.tv_sec <= now.tv_sec && tx.time.tv_sec >= now.tv_sec - 10);
	CHECK(tx.tick >= 9000 && tx.tick <= 11000);
	CHECK_EQ(tx.precision, 1);
	CHECK_EQ(tx.tolerance, 32768000);
	tx.modes = ADJ_OFFSET_SS_READ;
	CHECK_EQ(adjtimex(&tx), state);
	CHECK_ERR(syscall(SYS_adjtimex, 8), EFAULT);
	tx.modes = 0x8000; /* adjtime(3)'s way, and none of its requests */
	CHECK_ERR(adjtimex(&tx), EINVAL);
	tx.modes = 0;
	CHECK_EQ(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &tx), state);
	CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &tx), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_BOOTTIME, &tx), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_adjtime, 10, &tx), EINVAL);
	pid_t pid = h_fork();
	if (pid == 0) {
		if (getuid() == 0)
			REQUIRE(setuid(4711) == 0);
		tx.modes = ADJ_TICK;
		CHECK_ERR(adjtimex(&tx), EPERM);
		tx.modes = 0;
		CHECK_EQ(adjtimex(&tx), state);
		child_exit();
	}
	JOIN(pid);
}

TEST(names)
{
	struct utsname plain, u;
	unsigned major, minor, patch;

	REQUIRE(uname(&plain) == 0 && sscanf(plain.release, "%u.%u", &major, &minor) == 2);
	CHECK_EQ(personality(UNAME26), 0);
	REQUIRE(uname(&u) == 0);
	CHECK(sscanf(u.release, "2.6.%u", &patch) == 1 && patch == minor + 60);
	CHECK_STR(u.release + strspn(u.release, ".0123456789"), plain.release + strspn(plain.release, ".0123456789"));
	CHECK_EQ(personality(PER_LINUX32), UNAME26);
	REQUIRE(uname(&u) == 0);
	CHECK_STR(u.machine, "i686");
	CHECK_STR(u.release, plain.release);
	CHECK_EQ(personality(0), PER_LINUX32);
	REQUIRE(uname(&u) == 0);
	CHECK(memcmp(&u, &plain, sizeof(u)) == 0);
}

static bool executable(const void *p)
{
	static char text[1 << 16];
	unsigned long start, end;
	char perms[8];

	REQUIRE(read_file("/proc/self/maps", text, sizeof(text)) > 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3 && (uintptr_t)p >= start && (uintptr_t)p < end)
			return perms[2] == 'x';
	return false;
}

TEST(read_implies_exec)
{
	char *p;

	personality(READ_IMPLIES_EXEC);
	p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	CHECK(executable(p));
	OK(mprotect(p, 4096, PROT_NONE));
	CHECK(!executable(p));
	OK(mprotect(p, 4096, PROT_READ));
	CHECK(executable(p));
	personality(0);
	OK(mprotect(p, 8192, PROT_READ));
	CHECK(!executable(p));
	munmap(p, 8192);
}

TEST(auxiliary_vector)
{
	unsigned long v[128], file[128];
	long n = prctl(PR_GET_AUXV, v, sizeof(v), 0, 0);
	ssize_t m;
	int fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);

	CHECK(n > 256 && n <= (long)sizeof(v));
	m = read(fd, file, sizeof(file));
	close(fd);
	CHECK(m > 0 && m <= n && memcmp(v, file, (size_t)m) == 0);
	CHECK_EQ(prctl(PR_GET_AUXV, v, 16, 0, 0), n);
	CHECK_ERR(prctl(PR_GET_AUXV, v, sizeof(v), 1, 0), EINVAL);
	CHECK_ERR(prctl(PR_GET_AUXV, 8, sizeof(v), 0, 0), EFAULT);
}

TEST(timing)
{
	int v = 77;

	CHECK_EQ(prctl(PR_GET_TIMING), PR_TIMING_STATISTICAL);
	OK(prctl(PR_SET_TIMING, PR_TIMING_STATISTICAL));
	CHECK_ERR(prctl(PR_SET_TIMING, PR_TIMING_TIMESTAMP), EINVAL);
	OK(prctl(PR_GET_TSC, &v));
	CHECK_EQ(v, PR_TSC_ENABLE);
	OK(prctl(PR_SET_TSC, PR_TSC_ENABLE));
	CHECK_ERR(prctl(PR_SET_TSC, 7), EINVAL);
	OK(prctl(PR_TASK_PERF_EVENTS_DISABLE));
	OK(prctl(PR_TASK_PERF_EVENTS_ENABLE));
	CHECK_ERR(prctl(12345), EINVAL);
}

/* A title by writing over the arguments' place, and by pointing elsewhere. */
TEST(title)
{
	static char text[4096];
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(p != MAP_FAILED);
	pid = h_fork();
	if (pid == 0) {
		/* Root may lack the capability that it takes. */
		if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, p, 0, 0) == 0) {
			strcpy(p, "title of mine");
			OK(prctl(PR_SET_MM, PR_SET_MM_ARG_END, p + 14, 0, 0));
			CHECK_EQ(read_file("/proc/self/cmdline", text, sizeof(text)), 14);
			CHECK_STR(text, "title of mine");
			CHECK_ERR(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 8, 0, 0), EINVAL);
			CHECK_ERR(prctl(PR_SET_MM, PR_SET_MM_ARG_START, p, 1, 0), EINVAL);
			CHECK_ERR(prctl(PR_SET_MM, 99, p, 0, 0), EINVAL);
		}
		if (getuid() == 0)
			REQUIRE(setuid(4711) == 0);
		CHECK_ERR(prctl(PR_SET_MM, PR_SET_MM_ARG_START, p, 0, 0), EPERM);
		child_exit();
	}
	JOIN(pid);
	munmap(p, 4096);
}
