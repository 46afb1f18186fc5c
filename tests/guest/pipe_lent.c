/*
 * Pipes that one thread or two use in small pieces, call after call, while everything else is done to them in between: a kernel
 * may make such calls cheap, but nobody may be able to tell.  Processes, signals and onlookers: pipe_lent_apart.c.
 */
#include "pipe_lent.h"

#include <limits.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* ---- one thread ---- */

TEST(lengths)
{
	static uint8_t in[8192], out[8192];
	uint64_t put = 0, got = 0;

	open_pipes();
	use(p[0], p[1]);
	for (unsigned i = 0; i < 6000 && !h_failures; i++) {
		long len = 1 + i * 37 % (i % 7 ? 300 : 5000), n;

		for (long k = 0; k < len; k++)
			out[k] = byte_at(put + (uint64_t)k);
		CHECK_EQ(write_call(p[1], out, len), len);
		put += (uint64_t)len;
		while (got < put - (i % 3 ? 100 : 0) && got + 100 < put) {
			n = read_call(p[0], in, 1 + i % 400);
			if (!CHECK(n > 0))
				break;
			for (long k = 0; k < n; k++, got++)
				if (in[k] != byte_at(got)) {
					CHECK_EQ(in[k], byte_at(got));
					break;
				}
		}
		if (put == got || i % 50 == 0)
			while (got < put) {
				n = read_call(p[0], in, sizeof(in));
				if (!CHECK(n > 0))
					break;
				for (long k = 0; k < n; k++, got++)
					if (in[k] != byte_at(got))
						CHECK_EQ(in[k], byte_at(got));
			}
	}
	close_pipes();
}

TEST(looked_at_in_between)
{
	struct pollfd fd;
	struct stat st;
	char buf[16];
	int n, copy;

	open_pipes();
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], "abc", 3), 3);
		OK(ioctl(p[0], FIONREAD, &n));
		CHECK_EQ(n, 3);
		CHECK_EQ(read_call(p[0], buf, 2), 2);
		fd = (struct pollfd){p[0], POLLIN, 0};
		CHECK_EQ(poll(&fd, 1, 0), 1);
		CHECK_EQ(read_call(p[0], buf, 16), 1);
		CHECK_EQ(buf[0], 'c');
		CHECK_EQ(poll(&fd, 1, 0), 0);
		fd = (struct pollfd){p[1], POLLOUT, 0};
		CHECK_EQ(poll(&fd, 1, 0), 1);
		use(p[0], p[1]);
		OK(fstat(p[0], &st));
		CHECK(S_ISFIFO(st.st_mode));
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], "de", 2), 2);
		copy = dup(p[0]);
		CHECK_EQ(read(copy, buf, 16), 2);
		CHECK_EQ(buf[1], 'e');
		close(copy);
		use(p[0], p[1]);
		CHECK_EQ(fcntl(p[0], F_GETPIPE_SZ), i ? 8192 : 65536);
		CHECK_EQ(write_call(p[1], "f", 1), 1);
		CHECK_EQ(fcntl(p[0], F_SETPIPE_SZ, 8192), 8192);
		use(q[0], q[1]);
		CHECK_EQ(read_call(p[0], buf, 16), 1);
		CHECK_EQ(buf[0], 'f');
		CHECK_EQ(read_call(p[1], buf, 1), -EBADF);
		CHECK_EQ(write_call(p[0], buf, 1), -EBADF);
		CHECK_EQ(read_call(p[0], buf, 0), 0);
		CHECK_EQ(write_call(p[1], buf, 0), 0);
	}
	close_pipes();
}

TEST(nonblocking)
{
	static char page[4096];
	long n, total = 0;
	char c;

	open_pipes();
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		use(p[0], p[1]);
		OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
		CHECK_EQ(read_call(p[0], &c, 1), -EAGAIN);
		use(p[0], p[1]);
		CHECK_EQ(read_call(p[0], &c, 1), -EAGAIN);
		OK(fcntl(p[0], F_SETFL, 0));
	}
	/* As much fits in as ever. */
	use(p[0], p[1]);
	for (int i = 0; i < 1000; i++)
		total += write_call(p[1], page, 3);
	OK(fcntl(p[1], F_SETFL, O_NONBLOCK));
	while ((n = write_call(p[1], page, 1)) == 1)
		total++;
	CHECK_EQ(n, -EAGAIN);
	CHECK_EQ(total, 65536);
	close_pipes();
	open_pipes();
	use(p[0], p[1]);
	OK(fcntl(p[1], F_SETFL, O_DIRECT));
	CHECK_EQ(write_call(p[1], "ab", 2), 2);
	CHECK_EQ(write_call(p[1], "cd", 2), 2);
	CHECK_EQ(read_call(p[0], page, 10), 2);
	CHECK_EQ(read_call(p[0], page, 1), 1);
	close_pipes();
}

TEST(bad_memory)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), c;

	REQUIRE(m != MAP_FAILED);
	OK(mprotect(m + 4096, 4096, PROT_NONE));
	open_pipes();
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], m + 4096, 1), -EFAULT);
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], m + 4090, 10), -EFAULT);
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], "x", 1), 1);
		CHECK_EQ(read_call(p[0], m + 4096, 1), -EFAULT);
		CHECK_EQ(read_call(p[0], (void *)-4096l, 1), -EFAULT);
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, 'x');
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], (void *)0x7ffffffff000l, 1), -EFAULT);
		CHECK(write_call(p[1], "x", -1) < 0);
		/* What a lent ring may write to at once is written to on Linux, too. */
		memset(m, 'y', 4096);
		CHECK_EQ(write_call(p[1], m, 4096), 4096);
		CHECK_EQ(read_call(p[0], m, 4096), 4096);
	}
	close_pipes();
	munmap(m, 8192);
}

TEST(descriptors_change)
{
	int other[2], copy;
	char c;

	open_pipes();
	REQUIRE(pipe(other) == 0);
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		/* Another pipe at the same numbers. */
		use(p[0], p[1]);
		copy = dup(p[0]);
		CHECK_EQ(write_call(p[1], "1", 1), 1);
		CHECK_EQ(write(other[1], "2", 1), 1);
		CHECK_EQ(dup2(other[0], p[0]), p[0]);
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, '2');
		CHECK_EQ(read_call(copy, &c, 1), 1);
		CHECK_EQ(c, '1');
		CHECK_EQ(dup2(copy, p[0]), p[0]);
		close(copy);
		use(p[0], p[1]);
		close(p[1]);
		CHECK_EQ(read_call(p[0], &c, 1), 0);
		CHECK_EQ(write_call(p[1], &c, 1), -EBADF);
		close(p[0]);
		REQUIRE(pipe(p) == 0);
		use(p[0], p[1]);
		close(p[0]);
		signal(SIGPIPE, SIG_IGN);
		CHECK_EQ(write_call(p[1], &c, 1), -EPIPE);
		signal(SIGPIPE, SIG_DFL);
		close(p[1]);
		REQUIRE(pipe(p) == 0);
	}
	close(other[0]);
	close(other[1]);
	close_pipes();
}

TEST(many_pipes)
{
	int a[12][2];

	for (int i = 0; i < 12; i++)
		REQUIRE(pipe(a[i]) == 0);
	for (int k = 0; k < 10; k++)
		for (int i = 0; i < 12; i++)
			use(a[i][0], a[i][1]);
	for (int i = 0; i < 12; i++) {
		close(a[i][0]);
		close(a[i][1]);
	}
}

static long long io_of(const char *what)
{
	char line[128];
	long long n = -1, v;
	FILE *f = fopen("/proc/self/io", "r");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)) && sscanf(line + strlen(what), ": %lld", &v) == 1)
			n = v;
	fclose(f);
	return n;
}

TEST(io_is_counted)
{
	long long wchar, syscw, rchar;

	open_pipes();
	use(p[0], p[1]);
	wchar = io_of("wchar");
	rchar = io_of("rchar");
	syscw = io_of("syscw");
	for (int i = 0; i < 100; i++)
		use(p[0], p[1]);
	CHECK_EQ(io_of("wchar") - wchar, 100 * MANY);
	CHECK_EQ(io_of("syscw") - syscw, 100 * MANY);
	CHECK(io_of("rchar") - rchar >= 100 * MANY);
	close_pipes();
}

/* ---- two threads ---- */

TEST(threads)
{
	pthread_t t;

	open_pipes();
	REQUIRE(pthread_create(&t, NULL, echo_thread, NULL) == 0);
	to_and_fro(3000);
	close(p[1]);
	pthread_join(t, NULL);
	close_pipes();
}

static _Atomic bool over;

/* Does something to one of the four ends now and then. */
static void *disturb(void *arg)
{
	const int fds[] = {p[0], p[1], q[0], q[1]};
	struct pollfd f;
	int n;

	for (unsigned i = 0; !over; i++) {
		int fd = fds[i / 4 % 4];

		switch (i % 4) {
		case 0:
			f = (struct pollfd){fd, POLLIN | POLLOUT, 0};
			poll(&f, 1, i % 3 ? 0 : 1);
			break;
		case 1:
			close(dup(fd));
			break;
		case 2:
			ioctl(fd, FIONREAD, &n);
			break;
		default:
			fcntl(fd, F_GETPIPE_SZ);
		}
		usleep(i % 16 ? 50 : 1500);
	}
	return NULL;
}

TEST(threads_disturbed)
{
	pthread_t t, d;

	open_pipes();
	over = false;
	REQUIRE(pthread_create(&t, NULL, echo_thread, NULL) == 0);
	REQUIRE(pthread_create(&d, NULL, disturb, NULL) == 0);
	to_and_fro(6000);
	over = true;
	pthread_join(d, NULL);
	close(p[1]);
	pthread_join(t, NULL);
	close_pipes();
}

/* One writes a stream in pieces, the other one reads it in others. */
static void *writer(void *arg)
{
	uint8_t buf[700];
	uint64_t put = 0;
	const uint64_t total = (uint64_t)(uintptr_t)arg;

	for (unsigned i = 0; put < total; i++) {
		uint64_t len = 1 + i * 13 % (i % 11 ? 20 : 700), left = total - put;

		if (len > left)
			len = left;
		for (uint64_t k = 0; k < len; k++)
			buf[k] = byte_at(put + k);
		if (write_call(p[1], buf, (long)len) != (long)len)
			return (void *)1;
		put += len;
		if (i % 64 == 0)
			sched_yield();
	}
	close(p[1]);
	return NULL;
}

static void stream(uint64_t total, bool disturbed)
{
	uint8_t buf[900];
	uint64_t got = 0;
	pthread_t t, d;
	void *failed;
	long n;

	open_pipes();
	use(p[0], p[1]);
	over = false;
	REQUIRE(pthread_create(&t, NULL, writer, (void *)(uintptr_t)total) == 0);
	if (disturbed)
		REQUIRE(pthread_create(&d, NULL, disturb, NULL) == 0);
	for (unsigned i = 0; (n = read_call(p[0], buf, 1 + i * 7 % 900)) > 0; i++)
		for (long k = 0; k < n; k++, got++)
			if (buf[k] != byte_at(got) && h_failures < 5)
				CHECK_EQ(buf[k], byte_at(got));
	CHECK_EQ(n, 0);
	CHECK_EQ(got, total);
	over = true;
	if (disturbed)
		pthread_join(d, NULL);
	pthread_join(t, &failed);
	CHECK(!failed);
	close_pipes();
}

TEST(streams)
{
	stream(400000, false);
}

TEST(streams_disturbed)
{
	stream(400000, true);
}

static _Atomic uint64_t consumed;

static void *windowed_writer(void *arg)
{
	uint8_t buf[600], c;
	uint64_t put = 0;

	for (int i = 0; i < MANY; i++)
		if (read_call(q[0], &c, 1) != 1 || write_call(p[1], &c, 1) != 1)
			return (void *)1;
	for (unsigned i = 0; put < 300000; i++) {
		long len = 1 + i * 13 % (i % 11 ? 20 : 600);

		for (long k = 0; k < len; k++)
			buf[k] = byte_at(put + (uint64_t)k);
		while (put + (uint64_t)len - consumed > 3000)
			sched_yield();
		if (write_call(p[1], buf, len) != len)
			return (void *)1;
		put += (uint64_t)len;
	}
	close(p[1]);
	return NULL;
}

/* By turns at first, and then both at once, with never more in it than fits a page. */
TEST(streams_with_a_window)
{
	uint8_t buf[900], c;
	uint64_t got = 0;
	pthread_t t;
	void *failed;
	long n;

	open_pipes();
	consumed = 0;
	REQUIRE(pthread_create(&t, NULL, windowed_writer, NULL) == 0);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(write_call(q[1], &i, 1), 1);
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, i);
	}
	for (unsigned i = 0; (n = read_call(p[0], buf, 1 + i * 7 % 900)) > 0; i++) {
		for (long k = 0; k < n; k++, got++)
			if (buf[k] != byte_at(got) && h_failures < 5)
				CHECK_EQ(buf[k], byte_at(got));
		consumed = got;
	}
	CHECK_EQ(n, 0);
	CHECK(got >= 300000);
	pthread_join(t, &failed);
	CHECK(!failed);
	close_pipes();
}

static void *use_p(void *arg)
{
	for (int i = 0; i < 20; i++)
		use(p[0], p[1]);
	return NULL;
}

TEST(handed_over)
{
	pthread_t t;

	/* By one thread after the other, each to its end. */
	open_pipes();
	for (int i = 0; i < 20; i++) {
		REQUIRE(pthread_create(&t, NULL, use_p, NULL) == 0);
		pthread_join(t, NULL);
		use(p[0], p[1]);
	}
	close_pipes();
}

/* ---- ends that close ---- */

static void *close_writer(void *arg)
{
	usleep((unsigned)(uintptr_t)arg);
	close(q[1]);
	return NULL;
}

TEST(end_of_file_while_reading)
{
	pthread_t t;
	char c;

	for (int i = 0; i < ROUNDS; i++) {
		open_pipes();
		use(q[0], q[1]);
		REQUIRE(pthread_create(&t, NULL, close_writer, (void *)(uintptr_t)(i * 50)) == 0);
		CHECK_EQ(read_call(q[0], &c, 1), 0);
		pthread_join(t, NULL);
		close(q[0]);
		close(p[0]);
		close(p[1]);
	}
}

static _Atomic int echoed;

static void *echo_and_close(void *arg)
{
	char c;

	for (int i = 0; i < MANY; i++)
		if (read_call(p[0], &c, 1) != 1)
			break;
	if (arg)
		usleep((unsigned)(uintptr_t)arg);
	close(p[0]);
	return NULL;
}

TEST(broken_pipe_while_writing)
{
	pthread_t t;
	long n = 0;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < ROUNDS; i++) {
		open_pipes();
		use(p[0], p[1]);
		REQUIRE(pthread_create(&t, NULL, echo_and_close, (void *)(uintptr_t)(i * 20)) == 0);
		do
			n = write_call(p[1], "x", 1);
		while (n == 1);
		CHECK_EQ(n, -EPIPE);
		pthread_join(t, NULL);
		close(p[1]);
		close(q[0]);
		close(q[1]);
	}
	signal(SIGPIPE, SIG_DFL);
}

static void *replace_reader(void *arg)
{
	int null = open("/dev/null", O_RDONLY);

	usleep((unsigned)(uintptr_t)arg);
	CHECK_EQ(dup2(null, p[0]), p[0]);
	echoed = 1;
	close(null);
	return NULL;
}

TEST(replaced_by_another_thread)
{
	pthread_t t;
	char c;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		open_pipes();
		echoed = 0;
		REQUIRE(pthread_create(&t, NULL, replace_reader, (void *)(uintptr_t)(i * 30)) == 0);
		for (bool seen = false; !seen;) {
			long n;

			seen = echoed; /* then what follows is of the other file */
			n = write_call(p[1], "x", 1);
			CHECK(n == 1 || n == -EPIPE);
			if (seen)
				CHECK_EQ(n, -EPIPE);
			n = n == 1 || seen ? read_call(p[0], &c, 1) : 0;
			CHECK(n == 1 || n == 0);
			if (seen)
				CHECK_EQ(n, 0);
		}
		pthread_join(t, NULL);
		close_pipes();
	}
	signal(SIGPIPE, SIG_DFL);
}

static void *two_writers(void *arg)
{
	char buf[PIPE_BUF];

	memset(buf, (int)(uintptr_t)arg, sizeof(buf));
	for (int i = 0; i < 200; i++)
		if (write_call(p[1], buf, 1000) != 1000)
			return (void *)1;
	return NULL;
}

TEST(two_writers_whole)
{
	pthread_t a, b;
	char buf[1000];
	void *failed;

	open_pipes();
	use(p[0], p[1]);
	REQUIRE(pthread_create(&a, NULL, two_writers, (void *)'a') == 0);
	REQUIRE(pthread_create(&b, NULL, two_writers, (void *)'b') == 0);
	for (int i = 0; i < 400; i++) {
		for (long n = 0, k; n < 1000; n += k) {
			k = read_call(p[0], buf + n, 1000 - n);
			if (!CHECK(k > 0))
				break;
		}
		for (int k = 1; k < 1000; k++)
			if (buf[k] != buf[0]) {
				CHECK_EQ(buf[k], buf[0]);
				break;
			}
	}
	pthread_join(a, &failed);
	CHECK(!failed);
	pthread_join(b, &failed);
	CHECK(!failed);
	close_pipes();
}
