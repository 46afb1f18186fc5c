/*
 * A thread that seeks all the time, from one call site, while the position is used and looked at in every other way: a kernel may
 * make that call cheap, but nobody may be able to tell.
 */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ROUNDS 200
#define MANY 20

/* lseek(2) from one site; -errno for an error. */
__asm__(".text\n.balign 16\nseek_call: mov $8, %eax\nsyscall\nret\n");
extern long seek_call(long fd, long off, long whence);

static int file_new(void)
{
	char path[] = "/tmp/seek_many.XXXXXX";
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	return fd;
}

static void seek_often(int fd, long last)
{
	for (long i = MANY; i >= 0; i--)
		CHECK_EQ(seek_call(fd, last + i, SEEK_SET), last + i);
}

static long long shown_pos(pid_t pid, int fd)
{
	char path[64], line[256];
	long long pos = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "pos: %lld", &pos);
	fclose(f);
	return pos;
}

TEST(values)
{
	int fd = file_new();

	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		seek_often(fd, 3);
		CHECK_EQ(seek_call(fd, 4, SEEK_CUR), 7);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 7);
		CHECK_EQ(seek_call(fd, -8, SEEK_CUR), -EINVAL);
		seek_often(fd, 7);
		CHECK_EQ(seek_call(fd, -1, SEEK_SET), -EINVAL);
		seek_often(fd, 7);
		CHECK_EQ(seek_call(fd, -7, SEEK_CUR), 0);
		CHECK_EQ(seek_call(fd, 0, SEEK_END), 10);
		seek_often(fd, 5);
		CHECK_EQ(seek_call(fd, INT64_MAX, SEEK_CUR) < 0, 1);
		CHECK_EQ(seek_call(fd, 0, 99), -EINVAL);
		seek_often(fd, 5);
		CHECK_EQ(seek_call(fd, 2, SEEK_DATA), 2);
		CHECK_EQ(seek_call(fd, 2, SEEK_HOLE), 10);
		CHECK_EQ(seek_call(fd, 11, SEEK_HOLE), -ENXIO);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 10);
		/* The number is an unsigned int. */
		seek_often(fd, 1);
		CHECK_EQ(seek_call(fd | 7l << 32, 1, (long)SEEK_CUR | 3l << 32), 2);
		CHECK_EQ(seek_call(-1, 1, SEEK_SET), -EBADF);
	}
	close(fd);
}

TEST(used_in_between)
{
	char c;
	int fd = file_new(), other;

	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		seek_often(fd, 3);
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(c, '3');
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 4);
		seek_often(fd, 6);
		CHECK_EQ(shown_pos(getpid(), fd), 6);
		seek_often(fd, 8);
		CHECK_EQ(write(fd, "89", 2), 2);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 10);
		seek_often(fd, 2);
		other = dup(fd);
		seek_often(fd, 1);
		CHECK_EQ(seek_call(other, 1, SEEK_CUR), 2);
		seek_often(other, 4);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 4);
		close(other);
		seek_often(fd, 9);
		close(fd);
		CHECK_EQ(seek_call(fd, 1, SEEK_SET), -EBADF);
		fd = file_new();
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 10);
		seek_often(fd, 4);
		other = file_new();
		CHECK_EQ(dup2(other, fd), fd);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 10);
		close(other);
		seek_often(fd, 4);
		CHECK_EQ(syscall(SYS_close_range, fd, fd, 0), 0);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), -EBADF);
		fd = file_new();
	}
	close(fd);
}

TEST(kinds)
{
	int ends[2], dir = open("/tmp", O_RDONLY | O_DIRECTORY), fd = open("/proc/self/exe", O_RDONLY), path = open("/tmp", O_PATH);

	REQUIRE(pipe(ends) == 0 && dir >= 0 && fd >= 0 && path >= 0);
	seek_often(fd, 100);
	CHECK_EQ(seek_call(fd, 1, SEEK_CUR), 101);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(seek_call(ends[0], 0, SEEK_SET), -ESPIPE);
		CHECK_EQ(seek_call(dir, 0, SEEK_SET), 0);
		CHECK_EQ(seek_call(path, 0, SEEK_SET), -EBADF);
	}
}

TEST(shared_with_a_child)
{
	int fd = file_new(), status;

	for (int i = 0; i < 20 && !h_failures; i++) {
		pid_t pid;

		seek_often(fd, 5);
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid == 0) {
			bool ok = seek_call(fd, 0, SEEK_CUR) == 5;

			for (int k = 0; k < MANY; k++)
				ok = ok && seek_call(fd, 1, SEEK_CUR) == 6 + k;
			_exit(ok ? 0 : 1);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		CHECK_EQ(seek_call(fd, 0, SEEK_CUR), 5 + MANY);
	}
	close(fd);
}

/* From outside, while the seeks go on: what is shown was the position at some time, and never an old one. */
TEST(looked_at)
{
	int fd = file_new(), status;
	long long last = 0;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0) {
		int own = file_new();

		dup2(own, fd);
		close(own);
		CHECK_EQ(seek_call(fd, 0, SEEK_SET), 0);
		for (long i = 0; i < 400000; i++)
			if (seek_call(fd, 1, SEEK_CUR) != i + 1)
				_exit(1);
		_exit(0);
	}
	usleep(2000);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		char path[64], buf[256] = "";
		long long pos;
		int info;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
		info = open(path, O_RDONLY);
		if (info < 0)
			continue;
		if (read(info, buf, sizeof(buf) - 1) > 0 && sscanf(buf, "pos: %lld", &pos) == 1 && pos != 10) {
			CHECK(pos >= last && pos <= 400000);
			last = pos;
		}
		close(info);
	}
	CHECK_EQ(status, 0);
	close(fd);
}

static _Atomic long added;
static int common;

static void *add_one(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		long r = seek_call(common, 1, SEEK_CUR);

		if (r < 1)
			return (void *)1;
		added++;
	}
	return NULL;
}

TEST(threads)
{
	pthread_t threads[3];
	void *bad;

	common = file_new();
	seek_often(common, 0);
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&threads[i], NULL, add_one, NULL) == 0);
	CHECK(add_one(NULL) == NULL);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &bad);
		CHECK(bad == NULL);
	}
	CHECK_EQ(seek_call(common, 0, SEEK_CUR), added);
	/* One that ends with the position in its hands. */
	for (int i = 0; i < 20; i++) {
		REQUIRE(pthread_create(&threads[0], NULL, add_one, NULL) == 0);
		pthread_join(threads[0], NULL);
		CHECK_EQ(seek_call(common, 0, SEEK_CUR), added);
	}
	close(common);
}
