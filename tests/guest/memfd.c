/* memfd_create(2): contents, mappings, seals. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static int make(const char *name, unsigned flags)
{
	int fd = (int)syscall(SYS_memfd_create, name, flags);

	REQUIRE(fd >= 0);
	return fd;
}

TEST(contents)
{
	int fd = make("contents", MFD_CLOEXEC);
	char link[64], text[64] = "";
	struct stat st;
	char buf[8];
	char *map;

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_nlink, 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(readlink(link, text, sizeof(text) - 1) > 0);
	CHECK(strcmp(text, "/memfd:contents (deleted)") == 0);
	CHECK_EQ(write(fd, "abcdef", 6), 6);
	CHECK_EQ(ftruncate(fd, 8192), 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(map != MAP_FAILED);
	CHECK(memcmp(map, "abcdef", 7) == 0);
	map[5000] = 'm';
	CHECK_EQ(pread(fd, buf, 1, 5000), 1);
	CHECK_EQ(buf[0], 'm');
	CHECK_EQ(pwrite(fd, "W", 1, 0), 1);
	CHECK_EQ(map[0], 'W');
	munmap(map, 8192);
	close(fd);
}

TEST(arguments)
{
	char longest[250];

	memset(longest, 'n', sizeof(longest));
	longest[249] = '\0';
	close(make(longest, 0));
	CHECK_ERR(syscall(SYS_memfd_create, "x", 0x4000), EINVAL);
	CHECK_ERR(syscall(SYS_memfd_create, NULL, 0), EFAULT);
	CHECK_ERR(syscall(SYS_memfd_create, "x", 0x8 | 0x10), EINVAL);
}

TEST(seals)
{
	int fd = make("sealed", MFD_ALLOW_SEALING), plain = make("plain", 0);
	char *map;

	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_ERR(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	CHECK_ERR(ftruncate(fd, 5), EPERM);
	CHECK_EQ(ftruncate(fd, 20), 0);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	CHECK_ERR(ftruncate(fd, 30), EPERM);
	CHECK_ERR(pwrite(fd, "x", 1, 20), EPERM);
	CHECK_EQ(pwrite(fd, "x", 1, 19), 1);
	map = mmap(NULL, 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(map != MAP_FAILED);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	munmap(map, 20);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK(mmap(NULL, 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EPERM);
	map = mmap(NULL, 20, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(map != MAP_FAILED);
	CHECK_EQ(map[19], 'x');
	munmap(map, 20);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	close(fd);
	close(plain);
}
