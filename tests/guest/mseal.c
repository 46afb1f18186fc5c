/* What may not be done to a sealed mapping, remap_file_pages, pkey_mprotect without a key, and mmap's validated flags. */
#include "harness.h"

#include <sys/mman.h>

#define PAGE 4096ul
#define NR_MSEAL 462
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

static char *pages(size_t n, int prot)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static long seal(void *p, size_t len, unsigned long flags)
{
	return syscall(NR_MSEAL, p, len, flags);
}

TEST(sealed)
{
	char *p = pages(4, PROT_READ), *to = pages(1, PROT_READ);

	if (seal(p + PAGE, PAGE, 0) < 0 && errno == ENOSYS)
		SKIP("no mseal");
	OK(seal(p + PAGE, PAGE, 0)); /* twice is no error */
	CHECK_ERR(munmap(p + PAGE, PAGE), EPERM);
	CHECK_ERR(munmap(p, 4 * PAGE), EPERM);
	CHECK_ERR(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), EPERM);
	CHECK_ERR((long)mmap(p, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
	CHECK_ERR((long)mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EPERM);
	CHECK_ERR((long)mremap(to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EPERM);
	CHECK_ERR(madvise(p + PAGE, PAGE, MADV_DONTNEED), EPERM);
	OK(madvise(p + PAGE, PAGE, MADV_WILLNEED));
	OK(munmap(p, PAGE));
	OK(munmap(p + 2 * PAGE, 2 * PAGE));
	pid_t pid = fork();
	if (pid == 0) {
		CHECK_ERR(munmap(p + PAGE, PAGE), EPERM); /* inherited */
		child_exit();
	}
	JOIN(pid);
}

TEST(writable_may_be_dropped)
{
	char *p = pages(1, PROT_READ | PROT_WRITE);

	if (seal(p, PAGE, 0) < 0 && errno == ENOSYS)
		SKIP("no mseal");
	p[0] = 1;
	OK(madvise(p, PAGE, MADV_DONTNEED)); /* it could be overwritten as well */
	CHECK_EQ(p[0], 0);
}

TEST(seal_errors)
{
	char *p = pages(3, PROT_READ);

	if (seal(p, 0, 0) < 0 && errno == ENOSYS)
		SKIP("no mseal");
	CHECK_ERR(seal(p, PAGE, 1), EINVAL);
	CHECK_ERR(seal(p + 1, PAGE, 0), EINVAL);
	CHECK_ERR(seal(p, (size_t)-1, 0), EINVAL);
	OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(seal(p, 3 * PAGE, 0), ENOMEM);
	OK(munmap(p, PAGE)); /* nothing was sealed */
}

TEST(remap_file_pages)
{
	int fd = memfd_create("pages", 0);
	char *p, *priv = pages(1, PROT_READ);

	REQUIRE(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pwrite(fd, &"abc"[i], 1, (off_t)(i * (off_t)PAGE)), 1);
	p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	OK(remap_file_pages(p, PAGE, 0, 2, 0));
	CHECK(p[0] == 'c' && p[PAGE] == 'b');
	p[0] = 'z';
	CHECK_EQ(p[2 * PAGE], 'z');
	CHECK_ERR(remap_file_pages(p, PAGE, PROT_READ, 0, 0), EINVAL);
	CHECK_ERR(remap_file_pages(priv, PAGE, 0, 0, 0), EINVAL);
	CHECK_ERR(remap_file_pages(p, 0, 0, 0, 0), EINVAL);
}

TEST(pkey_mprotect)
{
	char *p = pages(1, PROT_READ);

	OK(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ | PROT_WRITE, -1));
	p[0] = 1;
	CHECK_ERR(syscall(SYS_pkey_mprotect, p + 1, PAGE, PROT_READ, -1), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 99), EINVAL);
}

TEST(validated_flags)
{
	int fd = memfd_create("flags", 0);

	REQUIRE(fd >= 0 && ftruncate(fd, PAGE) == 0);
	CHECK((void *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0) != MAP_FAILED);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK((void *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_SYNC, fd, 0) != MAP_FAILED); /* not looked at */
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_HUGETLB, fd, 0), EINVAL);
}
