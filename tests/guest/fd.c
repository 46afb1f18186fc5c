/* The descriptor table: dup and its kin, flags, limits, closing ranges. */
#include "harness.h"

#include <sys/resource.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

static int null_fd(void)
{
	int fd = open("/dev/null", O_RDWR);

	REQUIRE(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

TEST(lowest_number)
{
	int a = null_fd(), b = null_fd(), c;

	CHECK_EQ(b, a + 1);
	close(a);
	c = dup(b);
	CHECK_EQ(c, a);
	close(b);
	close(c);
}

TEST(dup_family)
{
	int fd = null_fd();

	CHECK_ERR(dup(99), EBADF);
	CHECK_ERR(dup(-1), EBADF);
	CHECK_EQ(dup2(fd, 50), 50);
	CHECK_EQ(dup2(fd, fd), fd);
	CHECK_ERR(dup2(99, 99), EBADF);
	CHECK_ERR(dup2(99, 50), EBADF);
	CHECK(is_open(50));
	CHECK_ERR(dup2(fd, -1), EBADF);
	CHECK_ERR(dup2(fd, 1 << 30), EBADF);
	CHECK_ERR(dup3(fd, fd, 0), EINVAL);
	CHECK_ERR(dup3(fd, 51, O_NONBLOCK), EINVAL);
	CHECK_EQ(dup3(fd, 51, O_CLOEXEC), 51);
	CHECK_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(50, F_GETFD), 0);
	CHECK_EQ(dup2(51, 50), 50); /* the flag is the descriptor's, not the file's */
	CHECK_EQ(fcntl(50, F_GETFD), 0);
	CHECK_EQ(fcntl(fd, F_DUPFD, 60), 60);
	CHECK_EQ(fcntl(fd, F_DUPFD, 60), 61);
	CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 60), 62);
	CHECK_EQ(fcntl(62, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(fcntl(fd, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(fd, F_DUPFD, 1 << 30), EINVAL);
	for (int i = 50; i < 63; i++)
		close(i);
	close(fd);
}

TEST(close_errors)
{
	int fd = null_fd();

	CHECK_EQ(close(fd), 0);
	CHECK_ERR(close(fd), EBADF);
	CHECK_ERR(close(-1), EBADF);
	CHECK_ERR(close(0x7fffffff), EBADF);
}

TEST(shared_description)
{
	int a, b, c;
	char buf[4];

	use_tmpdir();
	write_file("f", "abcdef", 6, 0644);
	a = open("f", O_RDWR);
	b = dup(a);
	c = open("f", O_RDWR);
	CHECK_EQ(read(a, buf, 2), 2);
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 2);
	CHECK_EQ(lseek(c, 0, SEEK_CUR), 0);
	CHECK_EQ(fcntl(b, F_SETFL, O_APPEND), 0);
	CHECK_EQ(fcntl(a, F_GETFL) & O_APPEND, O_APPEND);
	CHECK_EQ(fcntl(c, F_GETFL) & O_APPEND, 0);
	close(a);
	CHECK_EQ(read(b, buf, 2), 2);
	CHECK(memcmp(buf, "cd", 2) == 0);
	close(b);
	close(c);
}

TEST(status_flags)
{
	int fd;

	use_tmpdir();
	fd = open("g", O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_NONBLOCK, 0600);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK | 0100000 /* O_LARGEFILE */);
	/* Only some flags can be changed; the others are ignored. */
	CHECK_EQ(fcntl(fd, F_SETFL, O_WRONLY | O_APPEND), 0);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_APPEND | 0100000);
	CHECK_EQ(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_SETFD, 0), 0);
	CHECK_ERR(fcntl(fd, 9999), EINVAL);
	CHECK_ERR(fcntl(99, F_GETFL), EBADF);
	close(fd);
}

TEST(limit)
{
	struct rlimit old, lim;
	int fd = null_fd(), high;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
	high = dup2(fd, 40);
	lim = old;
	lim.rlim_cur = 20;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	for (int n = 0; n < 30; n++)
		if (open("/dev/null", O_RDONLY) < 0)
			break;
	CHECK_ERR(open("/dev/null", O_RDONLY), EMFILE);
	CHECK_ERR(dup(fd), EMFILE);
	int p[2];
	CHECK_ERR(pipe(p), EMFILE);
	CHECK_ERR(fcntl(fd, F_DUPFD, 0), EMFILE);
	CHECK_ERR(dup2(fd, 20), EBADF);
	CHECK_ERR(fcntl(fd, F_DUPFD, 20), EINVAL);
	CHECK(is_open(high)); /* what is open above the limit stays */
	close(19);
	CHECK_ERR(pipe(p), EMFILE); /* one is not enough, and it is not used up */
	CHECK_EQ(dup(fd), 19);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
	for (int i = fd; i <= 40; i++)
		close(i);
}

TEST(close_range)
{
	int fd = null_fd();

	for (int i = 60; i < 70; i++)
		dup2(fd, i);
	CHECK_EQ(syscall(SYS_close_range, 62, 64, 0), 0);
	CHECK(is_open(61) && !is_open(62) && !is_open(64) && is_open(65));
	CHECK_EQ(syscall(SYS_close_range, 66, 67, CLOSE_RANGE_CLOEXEC), 0);
	CHECK_EQ(fcntl(66, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(68, F_GETFD), 0);
	CHECK_ERR(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_close_range, 60, 61, 0x80), EINVAL);
	CHECK_EQ(syscall(SYS_close_range, 60, ~0u, 0), 0);
	CHECK(!is_open(60) && !is_open(69) && is_open(fd));
	close(fd);
}

TEST(many_descriptors)
{
	struct rlimit old, lim;
	int fd = null_fd();

	REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
	lim = old;
	lim.rlim_cur = old.rlim_max < 1000 ? old.rlim_max : 1000;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	int top = (int)lim.rlim_cur - 1;
	CHECK_EQ(dup2(fd, top), top);
	for (int i = 0; i < 300; i++)
		CHECK(dup(fd) >= 0);
	CHECK_EQ(syscall(SYS_close_range, fd + 1, top, 0), 0);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
	close(fd);
}

TEST(fork_copies_the_table)
{
	int fd = null_fd();
	pid_t pid = h_fork();

	if (pid == 0) {
		CHECK(is_open(fd));
		close(fd);
		CHECK(null_fd() == fd);
		child_exit();
	}
	JOIN(pid);
	CHECK(is_open(fd));
	close(fd);
}

TEST(devices)
{
	char buf[64];
	int fd;

	fd = null_fd();
	CHECK_EQ(read(fd, buf, 64), 0);
	CHECK_EQ(write(fd, buf, 64), 64);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	REQUIRE(fd >= 0);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(read(fd, buf, 64), 64);
	CHECK(buf[0] == 0 && buf[63] == 0);
	CHECK_EQ(write(fd, buf, 64), 64);
	close(fd);
	fd = open("/dev/full", O_RDWR);
	if (CHECK(fd >= 0)) {
		CHECK_ERR(write(fd, buf, 1), ENOSPC);
		CHECK_EQ(read(fd, buf, 1), 1);
		close(fd);
	}
	fd = open("/dev/urandom", O_RDONLY);
	REQUIRE(fd >= 0);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(read(fd, buf, 64), 64);
	int zeros = 0;
	for (int i = 0; i < 64; i++)
		zeros += buf[i] == 0;
	CHECK(zeros < 32);
	close(fd);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(syscall(SYS_getrandom, buf, 64, 0), 64);
	CHECK_ERR(syscall(SYS_getrandom, buf, 64, 0x100), EINVAL);
	struct stat st;
	CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
	CHECK(stat("/dev/zero", &st) == 0 && st.st_rdev == 0x105);
}
