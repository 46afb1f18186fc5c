/* madvise(2): which memory takes which advice; guard pages; mremap(2) of several mappings at once; flags that mmap(2) refuses. */
#include "harness.h"

#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

static char *map(size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(NULL, pages * PAGE, prot, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static int advise_errno(void *p, int advice)
{
	return madvise(p, 4 * PAGE, advice) == 0 ? 0 : errno;
}

enum kind { ANON, SHARED, PRIVATE_FILE, SHARED_FILE, READ_ONLY, LOCKED, NO_ACCESS, HOLE, KINDS };

/* Advice and what each kind of memory says to it. */
static const struct {
	int advice, err[KINDS];
} rules[] = {
	{MADV_NORMAL, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_RANDOM, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_SEQUENTIAL, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_WILLNEED, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_DONTNEED, {0, 0, 0, 0, 0, EINVAL, 0, ENOMEM}},
	{MADV_FREE, {0, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, 0, ENOMEM}},
	{MADV_REMOVE, {EINVAL, 0, EACCES, 0, EACCES, EINVAL, EINVAL, EINVAL}},
	{MADV_DONTFORK, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_DOFORK, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_DONTDUMP, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_DODUMP, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{MADV_WIPEONFORK, {0, EINVAL, EINVAL, EINVAL, EINVAL, 0, 0, ENOMEM}},
	{MADV_KEEPONFORK, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{20 /* COLD */, {0, 0, 0, 0, 0, EINVAL, 0, ENOMEM}},
	{21 /* PAGEOUT */, {0, 0, 0, 0, 0, EINVAL, 0, ENOMEM}},
	{22 /* POPULATE_READ */, {0, 0, 0, 0, 0, 0, EINVAL, ENOMEM}},
	{23 /* POPULATE_WRITE */, {0, 0, 0, 0, EINVAL, 0, EINVAL, ENOMEM}},
	{24 /* DONTNEED_LOCKED */, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{GUARD_INSTALL, {0, 0, 0, 0, 0, EINVAL, 0, ENOMEM}},
	{GUARD_REMOVE, {0, 0, 0, 0, 0, 0, 0, ENOMEM}},
	{-1, {EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL}},
	{5, {EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL}},
	{104, {EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL}},
};

TEST(which_takes_which)
{
	char *p[KINDS], path[] = "advice-file";
	int fd, ro;

	use_tmpdir();
	fd = open(path, O_RDWR | O_CREAT, 0600);
	ro = open(path, O_RDONLY);
	REQUIRE(fd >= 0 && ro >= 0 && ftruncate(fd, 8 * PAGE) == 0);
	p[ANON] = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	p[SHARED] = map(8, PROT_READ | PROT_WRITE, MAP_SHARED, -1);
	p[PRIVATE_FILE] = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	p[SHARED_FILE] = map(8, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	p[READ_ONLY] = map(8, PROT_READ, MAP_SHARED, ro);
	p[LOCKED] = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	OK(mlock(p[LOCKED], 8 * PAGE));
	p[NO_ACCESS] = map(8, PROT_NONE, MAP_PRIVATE, -1);
	p[HOLE] = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	OK(munmap(p[HOLE] + PAGE, PAGE));
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		for (int k = 0; k < KINDS; k++)
			if (!CHECK_EQ(advise_errno(p[k], rules[i].advice), rules[i].err[k]))
				h_say("  advice %d, memory %d\n", rules[i].advice, k);
	CHECK_ERR(madvise(p[ANON] + 1, PAGE, MADV_DONTNEED), EINVAL);
	OK(madvise(p[ANON], 0, MADV_DONTNEED));
	CHECK_ERR(madvise(p[ANON], 0, 77), EINVAL);
	CHECK_ERR(madvise(p[ANON], -PAGE, MADV_DONTNEED), EINVAL);
	for (int k = 0; k < KINDS; k++)
		munmap(p[k], 8 * PAGE);
	close(fd);
	close(ro);
	unlink(path);
}

static sigjmp_buf out;

static void on_fault(int sig)
{
	siglongjmp(out, sig);
}

static bool faults(volatile char *p)
{
	if (sigsetjmp(out, 1))
		return true;
	*p = 1;
	return false;
}

TEST(guard_pages)
{
	char *p = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1), *moved;
	int fds[2];

	signal(SIGSEGV, on_fault);
	memset(p, 7, 8 * PAGE);
	OK(madvise(p + 2 * PAGE, 2 * PAGE, GUARD_INSTALL));
	CHECK(!faults(p + PAGE) && faults(p + 2 * PAGE) && faults(p + 3 * PAGE) && !faults(p + 4 * PAGE));
	REQUIRE(pipe(fds) == 0);
	CHECK_ERR(write(fds[1], p + 2 * PAGE, 16), EFAULT);
	CHECK_EQ(write(fds[1], p + PAGE, 16), 16);
	CHECK_ERR(read(fds[0], p + 3 * PAGE, 16), EFAULT);
	pid_t pid = h_fork();
	if (pid == 0) {
		CHECK(faults(p + 2 * PAGE));
		child_exit();
	}
	JOIN(pid);
	moved = mremap(p, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map(8, PROT_READ, MAP_PRIVATE, -1));
	REQUIRE(moved != MAP_FAILED);
	CHECK(faults(moved + 2 * PAGE) && !faults(moved));
	OK(madvise(moved, 8 * PAGE, GUARD_REMOVE));
	CHECK_EQ(moved[2 * PAGE], 0);
	CHECK_EQ(moved[5 * PAGE], 7);
	OK(madvise(moved + 2 * PAGE, PAGE, GUARD_INSTALL));
	OK(madvise(moved + 2 * PAGE, PAGE, MADV_DONTNEED)); /* which leaves guards in place */
	CHECK(faults(moved + 2 * PAGE));
	munmap(moved, 8 * PAGE);
	close(fds[0]);
	close(fds[1]);
	signal(SIGSEGV, SIG_DFL);
}

/* Since Linux 6.17 several mappings move at once if each stays as long as it is. */
TEST(several_move_at_once)
{
	char *p = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1), *to = map(32, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	unsigned char vec[16];

	for (size_t i = 0; i < 16; i++)
		p[i * PAGE] = (char)i;
	memset(to, 99, 32 * PAGE);
	OK(mprotect(p + 4 * PAGE, 2 * PAGE, PROT_READ));
	OK(munmap(p + 8 * PAGE, 2 * PAGE));
	CHECK(mremap(p, 12 * PAGE, 12 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	for (size_t i = 0; i < 12; i++)
		CHECK_EQ(to[i * PAGE], i == 8 || i == 9 ? 99 : (char)i); /* what lay under the gap stays */
	CHECK_ERR(mincore(p, PAGE, vec), ENOMEM);
	CHECK_ERR(mincore(p + 11 * PAGE, PAGE, vec), ENOMEM);
	OK(mincore(p + 12 * PAGE, PAGE, vec));
	CHECK_ERR(write(open("/dev/null", O_WRONLY), NULL, 0) ? -1 : read(open("/dev/zero", O_RDONLY), to + 4 * PAGE, 1), EFAULT);
	/* A gap at the beginning, nothing at all, or another length. */
	CHECK(mremap(p + 11 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap(to, 12 * PAGE, 13 * PAGE, MREMAP_MAYMOVE, NULL) == MAP_FAILED && errno == EFAULT);
	munmap(p, 16 * PAGE);
	munmap(to, 32 * PAGE);
}

TEST(mremap_arguments)
{
	char *p = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1), *s = map(8, PROT_READ | PROT_WRITE, MAP_SHARED, -1);
	char *at = map(4, PROT_READ, MAP_PRIVATE, -1), *q;

	OK(munmap(at, 4 * PAGE));
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, at + 1) == MAP_FAILED && errno == EINVAL);
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | 4, p) == MAP_FAILED && errno == EINVAL);
	CHECK(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | 4, at) == MAP_FAILED && errno == EINVAL);
	p[0] = 5;
	q = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | 4, at);
	REQUIRE(q != MAP_FAILED);
	CHECK(q == at); /* a hint, and free */
	CHECK(q[0] == 5 && p[0] == 0);
	CHECK(mremap(s, 0, PAGE, 0, NULL) == MAP_FAILED && errno == ENOMEM);
	CHECK(mremap(p, 0, PAGE, MREMAP_MAYMOVE, NULL) == MAP_FAILED && errno == EINVAL);
	s[0] = 9;
	q = mremap(s, 0, PAGE, MREMAP_MAYMOVE, NULL);
	CHECK(q != MAP_FAILED && q[0] == 9);
	munmap(p, 8 * PAGE);
	munmap(s, 8 * PAGE);
}

TEST(mmap_refuses)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	static const int sizes[] = {12, 13, 20, 22, 31, 63};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		CHECK(mmap(NULL, 1 << 21, PROT_READ, (int)(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | ((unsigned)sizes[i] << 26)), -1,
			   0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) == MAP_FAILED && errno == EINVAL);
	CHECK_ERR(syscall(SYS_pkey_alloc, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_free, 1), EINVAL);
	close(fd);
}
