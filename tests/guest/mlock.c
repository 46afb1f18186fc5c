/* mlock(2), mlock2(2), mlockall(2): what is counted, what is brought in, and RLIMIT_MEMLOCK. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul

static char *map(size_t pages, int prot, int flags)
{
	char *p = mmap(NULL, pages * PAGE, prot, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static long locked_kb(void)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	REQUIRE(n > 0);
	text[n] = 0;
	at = strstr(text, "\nVmLck:");
	return at ? atol(at + 7) : -1;
}

static int resident(const char *p, size_t pages)
{
	unsigned char vec[64];
	int n = 0;

	OK(mincore((void *)p, pages * PAGE, vec));
	for (size_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	return n;
}

TEST(counts_and_brings_in)
{
	char *p = map(16, PROT_READ | PROT_WRITE, 0);

	OK(madvise(p, 16 * PAGE, MADV_NOHUGEPAGE));
	CHECK_EQ(locked_kb(), 0);
	OK(mlock(p + 2 * PAGE + 17, 2 * PAGE));
	CHECK_EQ(locked_kb(), 12);
	CHECK_EQ(resident(p, 16), 3);
	OK(mlock(p + 2 * PAGE, 4 * PAGE)); /* partly locked already */
	CHECK_EQ(locked_kb(), 16);
	CHECK_EQ(resident(p, 16), 4);
	OK(syscall(SYS_mlock2, p + 8 * PAGE, 2 * PAGE, MLOCK_ONFAULT));
	CHECK_EQ(locked_kb(), 24);
	CHECK_EQ(resident(p + 8 * PAGE, 2), 0);
	OK(munlock(p, 4 * PAGE));
	CHECK_EQ(locked_kb(), 16);
	CHECK_ERR(madvise(p + 4 * PAGE, PAGE, MADV_DONTNEED), EINVAL);
	OK(madvise(p + 4 * PAGE, PAGE, 24 /* MADV_DONTNEED_LOCKED */));
	OK(munmap(p, 16 * PAGE));
	CHECK_EQ(locked_kb(), 0);
}

TEST(errors)
{
	char *p = map(4, PROT_READ | PROT_WRITE, 0), *none = map(1, PROT_NONE, 0);

	CHECK_ERR(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
	OK(mlock(p, 0));
	OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_ERR(mlock(p, 4 * PAGE), ENOMEM);
	CHECK_EQ(locked_kb(), 8); /* what comes before the hole is locked all the same */
	CHECK_ERR(munlock(p, 4 * PAGE), ENOMEM);
	CHECK_EQ(locked_kb(), 0);
	CHECK_ERR(mlock(p, (size_t)-PAGE), getuid() == 0 ? EINVAL : ENOMEM); /* to others a matter of limits first */
	CHECK_ERR(mlock(none, PAGE), ENOMEM);
	CHECK_EQ(locked_kb(), 4);
	OK(munlock(none, PAGE));
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(8), EINVAL);
	CHECK_ERR(mlockall(4 /* MCL_ONFAULT alone */), EINVAL);
	munmap(p, 4 * PAGE);
	munmap(none, PAGE);
}

TEST(future)
{
	char *p, *grown;

	OK(mlockall(MCL_FUTURE));
	p = map(4, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(locked_kb(), 16);
	CHECK_EQ(resident(p, 4), 4);
	grown = mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(grown != MAP_FAILED);
	CHECK_EQ(locked_kb(), 32);
	CHECK_EQ(resident(grown, 8), 8);
	pid_t pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(locked_kb(), 0);
		map(1, PROT_READ, 0);
		CHECK_EQ(locked_kb(), 0);
		child_exit();
	}
	JOIN(pid);
	OK(mlockall(MCL_FUTURE | 4));
	char *lazy = map(4, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(locked_kb(), 48);
	CHECK_EQ(resident(lazy, 4), 0);
	OK(munlockall());
	CHECK_EQ(locked_kb(), 0);
	munmap(grown, 8 * PAGE);
	munmap(lazy, 4 * PAGE);
	p = map(4, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(locked_kb(), 0);
	munmap(p, 4 * PAGE);
}

TEST(map_locked)
{
	char *p = map(4, PROT_READ | PROT_WRITE, MAP_LOCKED);

	CHECK_EQ(locked_kb(), 16);
	CHECK_EQ(resident(p, 4), 4);
	munmap(p, 4 * PAGE);
	p = map(4, PROT_READ | PROT_WRITE, MAP_POPULATE);
	CHECK_EQ(resident(p, 4), 4);
	munmap(p, 4 * PAGE);
	p = map(4, PROT_READ | PROT_WRITE, MAP_POPULATE | MAP_NONBLOCK);
	CHECK_EQ(resident(p, 4), 0);
	munmap(p, 4 * PAGE);
}

/* Without CAP_IPC_LOCK the limit holds. */
TEST(limit)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit r = {8 * PAGE, 8 * PAGE};
		char *p = map(16, PROT_READ | PROT_WRITE, 0), *q;
		void *brk0 = sbrk(0);

		OK(setrlimit(RLIMIT_MEMLOCK, &r));
		if (getuid() == 0)
			OK(setresuid(65534, 65534, 65534));
		OK(mlock(p, 8 * PAGE));
		OK(mlock(p, 8 * PAGE));
		CHECK_ERR(mlock(p + 8 * PAGE, 1), ENOMEM);
		CHECK_ERR(mlock(p + 4 * PAGE, 8 * PAGE), ENOMEM);
		CHECK_ERR(mlockall(MCL_CURRENT), ENOMEM);
		OK(mlockall(MCL_FUTURE));
		q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(q == MAP_FAILED && errno == EAGAIN);
		q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
		CHECK(q == MAP_FAILED && errno == EAGAIN);
		CHECK((long)syscall(SYS_brk, (char *)brk0 + PAGE) == (long)brk0);
		CHECK(mremap(p, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EAGAIN);
		OK(munlockall());
		r.rlim_cur = 0;
		OK(setrlimit(RLIMIT_MEMLOCK, &r));
		CHECK_ERR(mlock(p, PAGE), EPERM);
		CHECK_ERR(mlockall(MCL_FUTURE), EPERM);
		q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
		CHECK(q == MAP_FAILED && errno == EPERM);
		child_exit();
	}
	JOIN(pid);
}
