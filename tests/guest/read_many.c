/*
 * Programs that read a file all the time, from one call site, while it is written, cut, closed, replaced and looked at in every other way:
 * a kernel may make such reads cheap, but nobody may be able to tell.  It is long because each way is a test of its own, and all of
 * them need the same two call sites and the same way to read often.
 */
#include "harness.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#define MANY 150
#define PAGE 4096
#define MIB (1024 * 1024l)

/* pread64(2) and read(2) from one site each; -errno for an error. */
__asm__(".text\n"
	".balign 16\npread_call: mov %rcx, %r10\nmov $17, %eax\nsyscall\nret\n"
	".balign 16\nread_call: mov $0, %eax\nsyscall\nret\n");
extern long pread_call(long fd, void *buf, size_t count, long pos);
extern long read_call(long fd, void *buf, size_t count);

static int file_new(size_t size, int c)
{
	char path[] = "/tmp/read_many.XXXXXX", *bytes = malloc(size + 1);
	int fd = mkstemp(path);

	REQUIRE(fd >= 0 && bytes);
	CHECK_EQ(unlink(path), 0);
	memset(bytes, c, size);
	REQUIRE(write(fd, bytes, size) == (ssize_t)size);
	free(bytes);
	return fd;
}

/* Reads often enough for anything to happen that happens by itself; all must be c. */
static void read_often(int fd, int c)
{
	static unsigned calls;
	char buf[64];

	/* File times are coarse, and for a while after a write each read may leave one behind. */
	if (++calls % 3 == 0)
		usleep(5000);

	for (int i = 0; i < MANY && !h_failures; i++) {
		memset(buf, c + 1, sizeof(buf));
		if (!CHECK_EQ(pread_call(fd, buf, sizeof(buf), 0), sizeof(buf)))
			return;
		for (size_t k = 0; k < sizeof(buf); k++)
			if (buf[k] != c) {
				CHECK_EQ(buf[k], c);
				return;
			}
	}
}

TEST(values)
{
	char buf[3 * PAGE], *big = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = file_new(PAGE + 100, 'v'), wronly, again;

	for (int i = 0; i < 4 && !h_failures; i++) {
		read_often(fd, 'v');
		CHECK_EQ(pread_call(fd, buf, 1, PAGE + 99), 1);
		CHECK_EQ(buf[0], 'v');
		CHECK_EQ(pread_call(fd, buf, sizeof(buf), PAGE), 100);
		CHECK_EQ(pread_call(fd, buf, sizeof(buf), 0), PAGE + 100);
		CHECK_EQ(pread_call(fd, buf, 1, PAGE + 100), 0);
		CHECK_EQ(pread_call(fd, buf, 1, 100l * PAGE), 0);
		CHECK_EQ(pread_call(fd, buf, 0, 0), 0);
		CHECK_EQ(pread_call(fd, NULL, 0, 0), 0);
		CHECK_EQ(pread_call(fd, buf, 1, -1), -EINVAL);
		CHECK_EQ(pread_call(fd, buf, 1, INT64_MIN), -EINVAL);
		CHECK_EQ(pread_call(fd, buf, 10, INT64_MAX - 10), 0);
		CHECK(pread_call(fd, buf, 10, INT64_MAX) < 0);
		CHECK_EQ(pread_call(fd, big, 4 * MIB, 0), PAGE + 100);
		CHECK_EQ(big[PAGE + 99], 'v');
		CHECK_EQ(pread_call(fd, (void *)-4096l, 10, 0), -EFAULT);
		CHECK_EQ(pread_call(fd, (void *)(1l << 62), 10, 0), -EFAULT);
		CHECK_EQ(pread_call(fd, buf, SIZE_MAX, 0) < 0, 1);
		/* The number is an unsigned int. */
		CHECK_EQ(pread_call(fd | 5l << 32, buf, 1, 0), 1);
		CHECK_EQ(pread_call(-1, buf, 1, 0), -EBADF);
		CHECK_EQ(pread_call(fd + 16, buf, 1, 0), -EBADF);
	}
	wronly = open("/proc/self/fd/0", O_WRONLY);
	(void)wronly;
	again = open("/tmp", O_WRONLY | O_TMPFILE, 0600);
	if (again >= 0)
		for (int i = 0; i < MANY; i++)
			CHECK_EQ(pread_call(again, buf, 1, 0), -EBADF);
	close(again);
	close(wronly);
	munmap(big, 4 * MIB);
	close(fd);
}

TEST(buffers)
{
	char *m = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = file_new(2 * PAGE, 'b');

	REQUIRE(m != MAP_FAILED);
	OK(munmap(m + PAGE, PAGE));
	OK(mprotect(m + 2 * PAGE, PAGE, PROT_READ));
	read_often(fd, 'b');
	for (int i = 0; i < 3; i++) {
		/* What was copied before the fault counts. */
		m[PAGE - 100] = 0;
		CHECK_EQ(pread_call(fd, m + PAGE - 100, 200, 0), 100);
		CHECK_EQ(m[PAGE - 100], 'b');
		CHECK_EQ(m[PAGE - 1], 'b');
		CHECK_EQ(pread_call(fd, m + PAGE, 200, 0), -EFAULT);
		CHECK_EQ(pread_call(fd, m + 2 * PAGE, 10, 0), -EFAULT);
		CHECK_EQ(m[2 * PAGE], 0);
		CHECK_EQ(pread_call(fd, m, PAGE, PAGE), PAGE);
	}
	/* Nothing was consumed that was not delivered. */
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
		for (int k = 0; k < 20; k++)
			CHECK_EQ(read_call(fd, m, 10), 10);
		CHECK_EQ(read_call(fd, m + PAGE, 200), -EFAULT);
		CHECK_EQ(lseek(fd, 0, SEEK_CUR), 200);
		CHECK_EQ(read_call(fd, m + PAGE - 30, 200), 30);
		CHECK_EQ(lseek(fd, 0, SEEK_CUR), 230);
	}
	munmap(m, 3 * PAGE);
	close(fd);
}

TEST(changes)
{
	char buf[2 * PAGE], *shared;
	int fd = file_new(100, 'a'), other;

	for (int i = 0; i < 20 && !h_failures; i++) {
		read_often(fd, 'a');
		CHECK_EQ(pwrite(fd, "xyz", 3, 98), 3);
		CHECK_EQ(pread_call(fd, buf, 200, 96), 5);
		CHECK_EQ(memcmp(buf, "aaxyz", 5), 0);
		read_often(fd, 'a');
		CHECK_EQ(pread_call(fd, buf, 200, 96), 5);
		OK(ftruncate(fd, 99));
		CHECK_EQ(pread_call(fd, buf, 200, 96), 3);
		read_often(fd, 'a');
		CHECK_EQ(pread_call(fd, buf, 200, 99), 0);
		OK(ftruncate(fd, PAGE + 5));
		CHECK_EQ(pread_call(fd, buf, 2 * PAGE, 98), PAGE + 5 - 98);
		CHECK_EQ(buf[0], 'x');
		CHECK_EQ(buf[1], 0);
		CHECK_EQ(buf[PAGE + 5 - 98 - 1], 0);
		read_often(fd, 'a');
		CHECK_EQ(pread_call(fd, buf, 200, PAGE), 5);
		OK(ftruncate(fd, 0));
		CHECK_EQ(pread_call(fd, buf, 200, 0), 0);
		CHECK_EQ(pread_call(fd, buf, 200, 0), 0);
		memset(buf, 'a', 100);
		CHECK_EQ(pwrite(fd, buf, 100, 0), 100);
		CHECK_EQ(pread_call(fd, buf, 200, 0), 100);
		read_often(fd, 'a');
		CHECK_EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
		CHECK_EQ(write(fd, "end", 3), 3);
		CHECK_EQ(pread_call(fd, buf, 200, 98), 5);
		CHECK_EQ(memcmp(buf, "aaend", 5), 0);
		CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
		OK(ftruncate(fd, 100));
		/* By a mapping, and by other calls. */
		shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		REQUIRE(shared != MAP_FAILED);
		read_often(fd, 'a');
		shared[50] = 'S';
		CHECK_EQ(pread_call(fd, buf, 1, 50), 1);
		CHECK_EQ(buf[0], 'S');
		shared[50] = 'a';
		munmap(shared, PAGE);
		read_often(fd, 'a');
		other = file_new(300, 'o');
		CHECK_EQ(lseek(fd, 90, SEEK_SET), 90);
		CHECK_EQ(lseek(other, 0, SEEK_SET), 0);
		CHECK_EQ(sendfile(fd, other, NULL, 20), 20);
		CHECK_EQ(pread_call(fd, buf, 200, 89), 21);
		CHECK_EQ(buf[0], 'a');
		CHECK_EQ(buf[20], 'o');
		close(other);
		OK(ftruncate(fd, 90));
		OK(ftruncate(fd, 100));
		memset(buf, 'a', 100);
		CHECK_EQ(pwrite(fd, buf, 100, 0), 100);
	}
	close(fd);
}

TEST(descriptors)
{
	int a, b, fd;
	char c;

	for (int i = 0; i < 30 && !h_failures; i++) {
		a = file_new(PAGE, 'A');
		b = file_new(PAGE, 'B');
		read_often(a, 'A');
		read_often(b, 'B');
		fd = dup(a);
		read_often(fd, 'A');
		CHECK_EQ(dup2(b, fd), fd);
		read_often(fd, 'B');
		CHECK_EQ(dup3(a, fd, O_CLOEXEC), fd);
		read_often(fd, 'A');
		OK(close(fd));
		CHECK_EQ(pread_call(fd, &c, 1, 0), -EBADF);
		CHECK_EQ(dup(b), fd);
		CHECK_EQ(pread_call(fd, &c, 1, 0), 1);
		CHECK_EQ(c, 'B');
		read_often(fd, 'B');
		OK(syscall(SYS_close_range, fd, fd, 0));
		CHECK_EQ(pread_call(fd, &c, 1, 0), -EBADF);
		OK(close(a));
		CHECK_EQ(pread_call(a, &c, 1, 0), -EBADF);
		read_often(b, 'B');
		OK(close(b));
		CHECK_EQ(pread_call(b, &c, 1, 0), -EBADF);
	}
}

/* More files than anybody would keep at hand, and closed in another order. */
TEST(many_files)
{
	int fds[70];

	for (int i = 0; i < 70; i++)
		fds[i] = file_new(PAGE + (size_t)i, '0' + i % 10);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 70 && !h_failures; i++)
			read_often(fds[i], '0' + i % 10);
	for (int i = 0; i < 70 && !h_failures; i++) {
		int k = i * 37 % 70;

		read_often(fds[k], '0' + k % 10);
		OK(close(fds[k]));
	}
}

/* Large, and with holes, of which reading must make nothing else. */
TEST(holes)
{
	static const long data[] = {0, 10 * MIB, 33 * MIB, 70 * MIB, 130 * MIB + 5, 200 * MIB};
	struct stat before, after;
	int fd = file_new(0, 0);
	char buf[2 * PAGE];

	for (size_t i = 0; i < 6; i++)
		REQUIRE(pwrite(fd, "data", 4, data[i]) == 4);
	OK(fstat(fd, &before));
	for (int round = 0; round < 3 && !h_failures; round++)
		for (size_t i = 0; i < 6; i++)
			for (int k = 0; k < MANY; k++) {
				if (!CHECK_EQ(pread_call(fd, buf, 4, data[i]), 4) || !CHECK_EQ(memcmp(buf, "data", 4), 0))
					break;
				CHECK_EQ(pread_call(fd, buf, PAGE, data[i] + 2 * MIB), i == 5 ? 0 : PAGE);
				if (i < 5)
					CHECK_EQ(buf[0] | buf[PAGE - 1], 0);
			}
	OK(fstat(fd, &after));
	CHECK_EQ(after.st_blocks, before.st_blocks);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE) < 2 * MIB, 1);
	CHECK_EQ(lseek(fd, 4 * MIB, SEEK_HOLE), 4 * MIB);
	/* One that is made. */
	close(fd);
	fd = file_new(16 * PAGE, 'h');
	read_often(fd, 'h');
	for (int k = 0; k < MANY; k++)
		CHECK_EQ(pread_call(fd, buf, 2 * PAGE, 4 * PAGE), 2 * PAGE);
	CHECK_EQ(buf[0], 'h');
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE) == 0) {
		OK(fstat(fd, &before));
		for (int k = 0; k < MANY && !h_failures; k++) {
			CHECK_EQ(pread_call(fd, buf, 2 * PAGE, 4 * PAGE), 2 * PAGE);
			CHECK_EQ(buf[0] | buf[PAGE - 1], 0);
			CHECK_EQ(buf[PAGE], 'h');
		}
		OK(fstat(fd, &after));
		CHECK_EQ(after.st_blocks, before.st_blocks);
	}
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 16 * PAGE, 4 * PAGE));
	read_often(fd, 'h');
	CHECK_EQ(pread_call(fd, buf, PAGE, 16 * PAGE), 0);
	close(fd);
}

TEST(positions)
{
	unsigned char bytes[PAGE], buf[PAGE];
	int fd = file_new(0, 0), other, status;
	pid_t pid;

	for (int i = 0; i < PAGE; i++)
		bytes[i] = (unsigned char)(i * 7);
	CHECK_EQ(write(fd, bytes, PAGE), PAGE);
	for (int round = 0; round < 20 && !h_failures; round++) {
		CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
		for (int i = 0; i < PAGE / 16 && !h_failures; i++) {
			CHECK_EQ(read_call(fd, buf, 16), 16);
			CHECK_EQ(memcmp(buf, bytes + 16 * i, 16), 0);
			if (i % 50 == 49)
				CHECK_EQ(lseek(fd, 0, SEEK_CUR), 16 * (i + 1));
			if (i == 100) {
				other = dup(fd);
				CHECK_EQ(lseek(other, 0, SEEK_CUR), 16 * (i + 1));
				close(other);
			}
			if (i == 150) {
				pid = h_fork();
				if (pid == 0) {
					CHECK_EQ(read_call(fd, buf, 16), 16);
					CHECK_EQ(memcmp(buf, bytes + 16 * (i + 1), 16), 0);
					CHECK_EQ(lseek(fd, -16, SEEK_CUR), 16 * (i + 1));
					child_exit();
				}
				JOIN(pid);
			}
			if (i == 200)
				CHECK_EQ(pread_call(fd, buf, 16, 0), 16);
		}
		for (int i = 0; i < 20; i++)
			CHECK_EQ(read_call(fd, buf, 16), 0);
		CHECK_EQ(lseek(fd, -40, SEEK_CUR), PAGE - 40);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(read_call(fd, buf, 15), i == 2 ? 10 : 15);
		/* Appended to while it is read, as tail(1) does. */
		CHECK_EQ(pwrite(fd, "more", 4, PAGE), 4);
		CHECK_EQ(read_call(fd, buf, 16), 4);
		CHECK_EQ(memcmp(buf, "more", 4), 0);
		CHECK_EQ(read_call(fd, buf, 16), 0);
		CHECK_EQ(write(fd, "x", 1), 1);
		CHECK_EQ(lseek(fd, 0, SEEK_CUR), PAGE + 5);
		OK(ftruncate(fd, PAGE));
		CHECK_EQ(read_call(fd, buf, 16), 0);
	}
	(void)status;
	close(fd);
}

/* Others, in other processes. */
TEST(by_others)
{
	int fd = file_new(100, 'p'), to_child[2], from_child[2];
	char buf[300], c;
	pid_t pid;

	REQUIRE(pipe(to_child) == 0 && pipe(from_child) == 0);
	read_often(fd, 'p');
	pid = h_fork();
	if (pid == 0) {
		read_often(fd, 'p');
		for (int i = 1; read(to_child[0], &c, 1) == 1 && c != 'q'; i++) {
			if (c == 'w')
				CHECK_EQ(pwrite(fd, &c, 1, 100), 1);
			else if (c == 't')
				OK(ftruncate(fd, 100));
			else
				OK(ftruncate(fd, 50));
			CHECK_EQ(write(from_child[1], "d", 1), 1);
		}
		child_exit();
	}
	for (int i = 0; i < 100 && !h_failures; i++) {
		static const struct {
			char what;
			int size;
		} steps[] = {{'w', 101}, {'c', 50}, {'t', 100}};

		for (int k = 0; k < 3; k++) {
			for (int n = 0; n < 20; n++)
				pread_call(fd, buf, 300, 0);
			CHECK_EQ(write(to_child[1], &steps[k].what, 1), 1);
			CHECK_EQ(read(from_child[0], &c, 1), 1);
			CHECK_EQ(pread_call(fd, buf, 300, 0), steps[k].size);
		}
	}
	CHECK_EQ(write(to_child[1], "q", 1), 1);
	JOIN(pid);
	close(fd);
}

/* ---- threads ---- */

static int common, common_a, common_b;
static _Atomic int stop, bad, progress;

static void *read_common(void *arg)
{
	char buf[200];

	(void)arg;
	while (!stop) {
		long n = pread_call(common, buf, sizeof(buf), 0);

		progress++;
		if (n == -EBADF)
			continue;
		if (n != sizeof(buf) || (buf[0] != 'A' && buf[0] != 'B'))
			bad++;
		else
			for (size_t i = 1; i < sizeof(buf); i++)
				bad += buf[i] != buf[0];
	}
	return NULL;
}

static void let_read(int n)
{
	for (int until = progress + n; progress < until && !bad;)
		sched_yield();
}

TEST(threads)
{
	pthread_t t[3];
	char buf[200];

	common_a = file_new(PAGE, 'A');
	common_b = file_new(PAGE, 'B');
	common = dup(common_a);
	stop = bad = 0;
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t[i], NULL, read_common, NULL) == 0);
	for (int i = 0; i < 300 && !bad; i++) {
		int from = i % 2 ? common_a : common_b;

		let_read(i % 60);
		CHECK_EQ(dup2(from, common), common);
		/* From here on nobody may get anything else. */
		CHECK_EQ(pread_call(common, buf, sizeof(buf), 0), sizeof(buf));
		CHECK_EQ(buf[0], i % 2 ? 'A' : 'B');
		if (i % 10 == 0) {
			close(common);
			CHECK_EQ(pread_call(common, buf, 1, 0), -EBADF);
			CHECK_EQ(dup2(from, common), common);
		}
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(bad, 0);
	close(common);
	close(common_a);
	close(common_b);
}

static void *read_sized(void *arg)
{
	char buf[4 * PAGE];

	(void)arg;
	while (!stop) {
		long n = pread_call(common, buf, sizeof(buf), 0);

		progress++;
		/* What is read while it is cut may be zeros already. */
		if (n != PAGE && n != 4 * PAGE && n != 0 && n != 2 * PAGE)
			bad++;
		for (long i = 0; i < n; i++)
			bad += buf[i] != 'A' && buf[i] != 'B' && buf[i] != 0;
	}
	return NULL;
}

TEST(sizes_in_a_race)
{
	char a[4 * PAGE];
	pthread_t t[2];

	memset(a, 'A', sizeof(a));
	common = file_new(4 * PAGE, 'A');
	stop = bad = 0;
	for (int i = 0; i < 2; i++)
		REQUIRE(pthread_create(&t[i], NULL, read_sized, NULL) == 0);
	for (int i = 0; i < 300 && !bad && !h_failures; i++) {
		char buf[5 * PAGE];

		let_read(i % 60);
		OK(ftruncate(common, PAGE));
		CHECK_EQ(pread_call(common, buf, sizeof(buf), 0), PAGE);
		let_read(i % 30);
		CHECK_EQ(pwrite(common, a, PAGE, PAGE), PAGE);
		CHECK_EQ(pread_call(common, buf, sizeof(buf), 0), 2 * PAGE);
		OK(ftruncate(common, 0));
		CHECK_EQ(pread_call(common, buf, sizeof(buf), 0), 0);
		OK(ftruncate(common, PAGE));
		OK(ftruncate(common, 4 * PAGE));
		CHECK_EQ(pwrite(common, a, sizeof(a), 0), sizeof(a));
		CHECK_EQ(pread_call(common, buf, sizeof(buf), 0), 4 * PAGE);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(bad, 0);
	close(common);
}

/* Each byte is read by one thread alone. */
static _Atomic unsigned char seen[64 * 1024];

static void *read_on(void *arg)
{
	unsigned char buf[3];
	long n;

	(void)arg;
	while ((n = read_call(common, buf, sizeof(buf))) > 0) {
		for (long i = 0; i < n; i++)
			progress += buf[i] == 'r';
	}
	return (void *)n;
}

TEST(one_position)
{
	pthread_t t[3];
	void *r;

	(void)seen;
	common = file_new(30000, 'r');
	CHECK_EQ(lseek(common, 0, SEEK_SET), 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(read_call(common, (char[3]){0}, 3), 3);
	progress = 0;
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t[i], NULL, read_on, NULL) == 0);
	CHECK(read_on(NULL) == NULL);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &r);
		CHECK(r == NULL);
	}
	CHECK_EQ(progress, 30000 - 3 * MANY);
	CHECK_EQ(lseek(common, 0, SEEK_CUR), 30000);
	close(common);
}

/* ---- tables and address spaces ---- */

static char stack[64 * 1024] __attribute__((aligned(16)));
static int given;

static int other_table(void *arg)
{
	int b = file_new(PAGE, 'T');

	(void)arg;
	h_failures = 0;
	read_often(given, 'G');
	if (dup2(b, given) != given)
		_exit(3);
	read_often(given, 'T');
	/* Without leaving: the harness' buffers are the parent's. */
	syscall(SYS_exit, h_failures ? 1 : 0);
	return 0;
}

/* One address space, two tables. */
TEST(two_tables)
{
	pid_t pid;

	given = file_new(PAGE, 'G');
	for (int i = 0; i < 6 && !h_failures; i++) {
		if (i % 2)
			read_often(given, 'G');
		pid = clone(other_table, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		REQUIRE(pid > 0);
		for (int k = 0; k < 3; k++)
			read_often(given, 'G');
		JOIN(pid);
		read_often(given, 'G');
	}
	close(given);
}

/* One table, two address spaces. */
TEST(two_spaces)
{
	int a = file_new(PAGE, 'S'), b = file_new(PAGE, 'P'), fd = dup(a);
	char c;

	for (int i = 0; i < 4 && !h_failures; i++) {
		pid_t pid;

		CHECK_EQ(dup2(a, fd), fd);
		read_often(fd, 'S');
		pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
		REQUIRE(pid >= 0);
		if (pid == 0) {
			h_failures = 0;
			read_often(fd, 'S');
			CHECK_EQ(dup2(b, fd), fd);
			read_often(fd, 'P');
			child_exit();
		}
		JOIN(pid);
		CHECK_EQ(pread_call(fd, &c, 1, 0), 1);
		CHECK_EQ(c, 'P');
		read_often(fd, 'P');
	}
	close(fd);
	CHECK_EQ(pread_call(fd, &c, 1, 0), -EBADF);
	close(a);
	close(b);
}

static void *unshares(void *arg)
{
	int b = file_new(PAGE, 'U');

	(void)arg;
	read_often(given, 'G');
	OK(unshare(CLONE_FILES));
	read_often(given, 'G');
	CHECK_EQ(dup2(b, given), given);
	read_often(given, 'U');
	return NULL;
}

TEST(unshared)
{
	given = file_new(PAGE, 'G');
	for (int i = 0; i < 6 && !h_failures; i++) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, unshares, NULL) == 0);
		for (int k = 0; k < 5; k++)
			read_often(given, 'G');
		pthread_join(t, NULL);
		read_often(given, 'G');
	}
	close(given);
}

TEST(forks)
{
	int a = file_new(PAGE, 'F'), b = file_new(PAGE, 'f');

	for (int i = 0; i < 10 && !h_failures; i++) {
		pid_t pid;

		read_often(a, 'F');
		pid = h_fork();
		if (pid == 0) {
			char c;

			CHECK_EQ(pread_call(a, &c, 1, 0), 1);
			CHECK_EQ(c, 'F');
			CHECK_EQ(dup2(b, a), a);
			read_often(a, 'f');
			close(a);
			CHECK_EQ(pread_call(a, &c, 1, 0), -EBADF);
			child_exit();
		}
		read_often(a, 'F');
		JOIN(pid);
		read_often(a, 'F');
	}
	close(a);
	close(b);
}

ROLE(argc, argv)
{
	int fd = atoi(argv[2]), cut = atoi(argv[3]);
	char c;

	(void)argc;
	CHECK_EQ(pread_call(cut, &c, 1, 0), -EBADF);
	read_often(fd, 'E');
	return h_failures ? 1 : 0;
}

TEST(execs)
{
	int fd = file_new(PAGE, 'E'), cut = file_new(PAGE, 'C');
	char number[16], closed[16];

	OK(fcntl(cut, F_SETFD, FD_CLOEXEC));
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(closed, sizeof(closed), "%d", cut);
	for (int i = 0; i < 5 && !h_failures; i++) {
		pid_t pid;

		read_often(fd, 'E');
		read_often(cut, 'C');
		pid = h_fork();
		if (pid == 0) {
			read_often(fd, 'E');
			read_often(cut, 'C');
			execl(h_self, h_self, "@role", number, closed, (char *)NULL);
			_exit(2);
		}
		JOIN(pid);
		/* And with the table left in use by the parent for a moment. */
		pid = vfork();
		if (pid == 0) {
			for (int k = 0; k < MANY; k++)
				(void)pread_call(fd, stack, 10, 0);
			execl(h_self, h_self, "@role", number, closed, (char *)NULL);
			_exit(2);
		}
		JOIN(pid);
		read_often(fd, 'E');
	}
	close(fd);
	close(cut);
}

/* ---- what else reads do ---- */

static int64_t atime_of(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st.st_atim.tv_sec * 1000000000ll + st.st_atim.tv_nsec;
}

TEST(access_times)
{
	int fd = file_new(100, 't');
	int64_t written, first;

	for (int i = 0; i < 5 && !h_failures; i++) {
		read_often(fd, 't');
		CHECK_EQ(pwrite(fd, "t", 1, 5), 1);
		usleep(20000);
		written = atime_of(fd);
		read_often(fd, 't');
		first = atime_of(fd);
		if (i == 0 && first == written)
			SKIP("reads leave no time behind here");
		CHECK(first > written);
		usleep(20000);
		read_often(fd, 't');
		CHECK_EQ(atime_of(fd), first);
		/* So do changes of the inode alone. */
		OK(fchmod(fd, 0600));
		usleep(20000);
		read_often(fd, 't');
		CHECK(atime_of(fd) > first);
	}
	close(fd);
}

TEST(watched)
{
	struct inotify_event e;
	int fd, in = inotify_init1(IN_NONBLOCK);
	char c;

	use_tmpdir();
	write_file("watched", "w", 1, 0600);
	fd = open("watched", O_RDONLY);
	REQUIRE(fd >= 0 && in >= 0);
	for (int i = 0; i < 3; i++) {
		int wd;

		for (int k = 0; k < MANY; k++)
			CHECK_EQ(pread_call(fd, &c, 1, 0), 1);
		wd = inotify_add_watch(in, i % 2 ? "watched" : ".", IN_ACCESS);
		CHECK(wd >= 0);
		CHECK_EQ(pread_call(fd, &c, 1, 0), 1);
		CHECK(read(in, (char[512]){0}, 512) >= (ssize_t)sizeof(e));
		for (int k = 0; k < MANY; k++) {
			CHECK_EQ(pread_call(fd, &c, 1, 0), 1);
			if (!CHECK(read(in, (char[512]){0}, 512) >= (ssize_t)sizeof(e)))
				break;
		}
		OK(inotify_rm_watch(in, wd));
		while (read(in, (char[512]){0}, 512) > 0)
			;
	}
	close(in);
	close(fd);
}

static bool io_counts(long long *chars, long long *calls)
{
	char text[512];

	return read_file("/proc/self/io", text, sizeof(text)) > 0 &&
	       sscanf(text, "rchar: %lld\nwchar: %*d\nsyscr: %lld", chars, calls) == 2;
}

TEST(counted)
{
	long long chars[3], calls[3];
	int fd = file_new(100, 'n');
	char buf[10];

	if (!io_counts(&chars[0], &calls[0]))
		SKIP("/proc/self/io is not there");
	/* What looking costs itself, then with the reads in between. */
	CHECK(io_counts(&chars[1], &calls[1]));
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(pread_call(fd, buf, 10, 0), 10);
	CHECK(io_counts(&chars[2], &calls[2]));
	CHECK_EQ(calls[2] - calls[1], calls[1] - calls[0] + 1000);
	CHECK((chars[2] - chars[1]) - (chars[1] - chars[0]) - 10000 < 20);
	CHECK((chars[2] - chars[1]) - (chars[1] - chars[0]) - 10000 > -20);
	close(fd);
}

static _Atomic long reads_made;
static _Atomic bool reads_stop;

static void *keep_reading(void *fd)
{
	char buf[10];

	while (!reads_stop) {
		pread_call((int)(intptr_t)fd, buf, sizeof(buf), 0);
		reads_made++;
	}
	return NULL;
}

/* Others see a thread's reads while it makes them. */
TEST(counted_by_others)
{
	int fd = file_new(100, 'n');
	long long chars, calls;
	pthread_t t;

	if (!io_counts(&chars, &calls))
		SKIP("/proc/self/io is not there");
	reads_stop = false;
	REQUIRE(pthread_create(&t, NULL, keep_reading, (void *)(intptr_t)fd) == 0);
	for (int i = 0; i < 3; i++) {
		long made;

		usleep(100000);
		made = reads_made;
		CHECK(io_counts(&chars, &calls));
		CHECK(calls >= made);
	}
	reads_stop = true;
	pthread_join(t, NULL);
	close(fd);
}

/* What is mapped is the program's affair. */
TEST(maps)
{
	static char before[65536], after[65536];
	int fd = file_new(PAGE, 'm');

	/* Twice: the first may make the heap grow. */
	for (int i = 0; i < 2; i++)
		REQUIRE(read_file("/proc/self/maps", before, sizeof(before)) > 0);
	read_often(fd, 'm');
	REQUIRE(read_file("/proc/self/maps", after, sizeof(after)) > 0);
	CHECK_STR(after, before);
	close(fd);
}

TEST(memfds)
{
	int fd = memfd_create("reads", MFD_ALLOW_SEALING);
	char buf[100];

	REQUIRE(fd >= 0);
	memset(buf, 'M', sizeof(buf));
	CHECK_EQ(write(fd, buf, sizeof(buf)), sizeof(buf));
	read_often(fd, 'M');
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	read_often(fd, 'M');
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_EQ(pread_call(fd, buf, 100, 50), 50);
	close(fd);
}

TEST(unlinked)
{
	int fd;

	use_tmpdir();
	for (int i = 0; i < 10 && !h_failures; i++) {
		char buf[100];

		memset(buf, 'u', sizeof(buf));
		write_file("unlinked", buf, sizeof(buf), 0600);
		fd = open("unlinked", O_RDONLY);
		read_often(fd, 'u');
		OK(unlink("unlinked"));
		read_often(fd, 'u');
		memset(buf, 'x', sizeof(buf));
		write_file("unlinked", buf, sizeof(buf), 0600);
		read_often(fd, 'u');
		close(fd);
		fd = open("unlinked", O_RDONLY);
		read_often(fd, 'x');
		write_file("other", "ooo", 3, 0600);
		OK(rename("other", "unlinked"));
		read_often(fd, 'x');
		close(fd);
	}
}

/* A file that is the host's until somebody writes to it, inside; it is not ours to write to outside. */
TEST(copied_up)
{
	char version[256] = "", head[64], buf[64];
	int ro, rw;

	read_file("/proc/version", version, sizeof(version));
	if (!strstr(version, "bailey"))
		SKIP("the file is the host's own");
	ro = open("/etc/passwd", O_RDONLY);
	REQUIRE(ro >= 0 && pread(ro, head, sizeof(head), 0) == sizeof(head));
	for (int i = 0; i < 2 * MANY; i++) {
		CHECK_EQ(pread_call(ro, buf, sizeof(buf), 0), sizeof(buf));
		CHECK_EQ(memcmp(buf, head, sizeof(buf)), 0);
	}
	rw = open("/etc/passwd", O_RDWR);
	if (rw < 0)
		SKIP("it cannot be written");
	for (int i = 0; i < 2 * MANY; i++)
		CHECK_EQ(pread_call(rw, buf, sizeof(buf), 0), sizeof(buf));
	CHECK_EQ(pwrite(rw, "!", 1, 3), 1);
	for (int i = 0; i < 2 * MANY && !h_failures; i++) {
		CHECK_EQ(pread_call(ro, buf, sizeof(buf), 0), sizeof(buf));
		CHECK_EQ(buf[3], '!');
		CHECK_EQ(pread_call(rw, buf, sizeof(buf), 0), sizeof(buf));
		CHECK_EQ(buf[3], '!');
	}
	OK(ftruncate(rw, 10));
	CHECK_EQ(pread_call(ro, buf, sizeof(buf), 0), 10);
	CHECK_EQ(pwrite(rw, head, sizeof(head), 0), sizeof(head));
	CHECK_EQ(pread_call(ro, buf, sizeof(buf), 0), sizeof(buf));
	close(rw);
	close(ro);
}

/* Holes that are made through a mapping stay holes, however often they are read. */
TEST(removed)
{
	int fd = memfd_create("removed", 0);
	static char bytes[64 * PAGE], buf[PAGE];
	struct stat st;
	char *m;

	REQUIRE(fd >= 0);
	memset(bytes, 'r', sizeof(bytes));
	REQUIRE(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	m = mmap(NULL, sizeof(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(m != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		read_often(fd, 'r');
	OK(madvise(m, sizeof(bytes), MADV_REMOVE));
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 64; i++) {
			CHECK_EQ(pread_call(fd, buf, PAGE, i * PAGE), PAGE);
			CHECK_EQ(buf[0], 0);
		}
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_blocks, 0);
	munmap(m, sizeof(bytes));
	close(fd);
}
