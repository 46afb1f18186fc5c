/* preadv2(2) and pwritev2(2): the flags of one transfer. */
#include "harness.h"

#include <sys/uio.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static ssize_t put(int fd, const char *s, off_t pos, int flags)
{
	struct iovec v = {(void *)(uintptr_t)s, strlen(s)};

	return pwritev2(fd, &v, 1, pos, flags);
}

static ssize_t get(int fd, char *buf, size_t size, off_t pos, int flags)
{
	struct iovec v = {buf, size};

	return preadv2(fd, &v, 1, pos, flags);
}

static void check_content(const char *name, const char *want)
{
	char buf[64];

	CHECK(read_file(name, buf, sizeof(buf)) >= 0);
	CHECK_STR(buf, want);
}

TEST(append)
{
	int fd;

	use_tmpdir();
	write_file("a", "0123", 4, 0600);
	fd = open("a", O_RDWR);
	CHECK_EQ(put(fd, "45", 0, RWF_APPEND), 2); /* wherever the offset is */
	check_content("a", "012345");
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(put(fd, "6", -1, RWF_APPEND), 1); /* the file's own position moves to the end */
	check_content("a", "0123456");
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_APPEND, 0);
	close(fd);
}

TEST(noappend)
{
	int fd;

	use_tmpdir();
	write_file("n", "0123", 4, 0600);
	fd = open("n", O_RDWR | O_APPEND);
	if (put(fd, "X", 0, RWF_NOAPPEND) < 0) {
		CHECK_EQ(errno, EOPNOTSUPP);
		SKIP("no RWF_NOAPPEND here");
	}
	check_content("n", "X123");
	CHECK_EQ(put(fd, "4", 0, 0), 1);
	check_content("n", "X1234");
	CHECK_ERR(put(fd, "4", 0, RWF_NOAPPEND | RWF_APPEND), EINVAL);
	close(fd);
}

TEST(sync_and_priority)
{
	char buf[8];
	int fd;

	use_tmpdir();
	write_file("s", "0123", 4, 0600);
	fd = open("s", O_RDWR);
	CHECK_EQ(put(fd, "ab", 0, RWF_DSYNC), 2);
	CHECK_EQ(put(fd, "cd", 2, RWF_SYNC), 2);
	CHECK_EQ(get(fd, buf, 4, 0, RWF_HIPRI), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	close(fd);
}

TEST(nowait)
{
	char buf[8];
	int p[2];

	OK(pipe(p));
	CHECK_ERR(get(p[0], buf, 4, -1, RWF_NOWAIT), EAGAIN);
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_EQ(get(p[0], buf, 4, -1, RWF_NOWAIT), 3);
	CHECK_EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(put(p[1], "abc", -1, RWF_NOWAIT), 3);
	close(p[0]);
	close(p[1]);
}

TEST(errors)
{
	char buf[8];
	int fd;

	use_tmpdir();
	write_file("e", "0123", 4, 0600);
	fd = open("e", O_RDWR);
	CHECK_ERR(put(fd, "x", 0, 1 << 20), EOPNOTSUPP);
	CHECK_ERR(get(fd, buf, 4, 0, 1 << 20), EOPNOTSUPP);
	CHECK_ERR(get(fd, buf, 4, -2, 0), EINVAL);
	CHECK_EQ(get(fd, buf, 4, 0, RWF_APPEND), 4); /* nothing to a read */
	close(fd);
}
