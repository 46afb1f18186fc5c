/* Pipes: order, atomicity, ends that close, non-blocking use, capacity, FIFOs. */
#include "harness.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

static int p[2];

static void open_pipe(int flags)
{
	REQUIRE(pipe2(p, flags) == 0);
}

static void close_pipe(void)
{
	close(p[0]);
	close(p[1]);
}

TEST(basics)
{
	char buf[16];
	struct stat st;

	open_pipe(0);
	CHECK_EQ(write(p[1], "hello", 5), 5);
	CHECK_EQ(read(p[0], buf, 2), 2);
	CHECK(memcmp(buf, "he", 2) == 0);
	CHECK_EQ(read(p[0], buf, 16), 3);
	CHECK(memcmp(buf, "llo", 3) == 0);
	CHECK_EQ(read(p[0], buf, 0), 0);
	CHECK_EQ(write(p[1], buf, 0), 0);
	CHECK_ERR(write(p[0], "x", 1), EBADF);
	CHECK_ERR(read(p[1], buf, 1), EBADF);
	CHECK_ERR(lseek(p[0], 0, SEEK_SET), ESPIPE);
	CHECK_ERR(pread(p[0], buf, 1, 0), ESPIPE);
	CHECK_ERR(pwrite(p[1], buf, 1, 0), ESPIPE);
	CHECK_ERR(ftruncate(p[1], 0), EINVAL);
	CHECK_EQ(fstat(p[0], &st), 0);
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY);
	CHECK_EQ(fcntl(p[1], F_GETFL), O_WRONLY);
	close_pipe();
}

TEST(creation)
{
	CHECK_ERR(pipe2(p, 0x10), EINVAL);
	CHECK_ERR(syscall(SYS_pipe2, 8, 0), EFAULT);
	open_pipe(O_CLOEXEC | O_NONBLOCK);
	CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(p[1], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	close_pipe();
}

TEST(end_of_file)
{
	char c;

	open_pipe(0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	close(p[1]);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 0);
	CHECK_EQ(read(p[0], &c, 1), 0);
	close(p[0]);
}

TEST(end_of_file_waits_for_all_writers)
{
	struct gate g;
	char c;
	pid_t pid;

	gate_init(&g);
	open_pipe(0);
	pid = h_fork();
	if (pid == 0) {
		close(p[0]);
		gate_pass(&g);
		CHECK_EQ(write(p[1], "l", 1), 1);
		child_exit();
	}
	close(p[1]);
	gate_open(&g);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'l');
	CHECK_EQ(read(p[0], &c, 1), 0);
	JOIN(pid);
	close(p[0]);
	gate_free(&g);
}

static volatile int sigpipes;

static void on_sigpipe(int sig)
{
	sigpipes++;
}

TEST(broken_pipe)
{
	pid_t pid;

	open_pipe(0);
	close(p[0]);
	signal(SIGPIPE, on_sigpipe);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	CHECK_EQ(sigpipes, 1);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	CHECK_EQ(sigpipes, 1);
	signal(SIGPIPE, SIG_DFL);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(write(p[1], "x", 1), -1);
		_exit(1);
	}
	CHECK_EQ(h_wait(pid), SIGPIPE);
	close(p[1]);
}

TEST(blocked_writer_sees_the_reader_go)
{
	static char big[200000];
	pid_t me = getpid(), pid;

	open_pipe(0);
	signal(SIGPIPE, SIG_IGN);
	pid = h_fork();
	if (pid == 0) {
		close(p[1]);
		h_wait_state(me, "S");
		_exit(0); /* the last reader */
	}
	close(p[0]);
	ssize_t n = write(p[1], big, sizeof(big));
	CHECK_EQ(n, 65536); /* what had gone in before */
	CHECK_ERR(write(p[1], big, 1), EPIPE);
	JOIN(pid);
	close(p[1]);
	signal(SIGPIPE, SIG_DFL);
}

TEST(non_blocking)
{
	static char buf[65536];
	char c;

	open_pipe(O_NONBLOCK);
	CHECK_ERR(read(p[0], &c, 1), EAGAIN);
	CHECK_EQ(write(p[1], buf, 65536), 65536);
	CHECK_ERR(write(p[1], "x", 1), EAGAIN);
	/* At most PIPE_BUF bytes go in whole or not at all; more may go in part. */
	CHECK_EQ(read(p[0], buf, 4096), 4096);
	CHECK_EQ(write(p[1], buf, 4096), 4096);
	CHECK_EQ(read(p[0], buf, 8192), 8192);
	CHECK_EQ(write(p[1], buf, 65536), 8192);
	/* Half a page free is no room for a page. */
	CHECK_EQ(read(p[0], buf, 2048), 2048);
	CHECK_ERR(write(p[1], buf, 4096), EAGAIN);
	close_pipe();
}

TEST(small_writes_fill_slots)
{
	char c = 'a';
	int n = 0;

	/* Small writes share a page, so 64 KiB fit one byte at a time. */
	open_pipe(O_NONBLOCK);
	while (write(p[1], &c, 1) == 1)
		n++;
	CHECK_EQ(n, 65536);
	close_pipe();
}

TEST(capacity)
{
	char buf[16384];

	open_pipe(O_NONBLOCK);
	CHECK_EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
	CHECK_EQ(fcntl(p[0], F_SETPIPE_SZ, 0), 4096);
	CHECK_ERR(fcntl(p[0], F_SETPIPE_SZ, 0x80000001u), EINVAL);
	CHECK_EQ(fcntl(p[0], F_SETPIPE_SZ, 8000), 8192);
	CHECK_EQ(fcntl(p[1], F_GETPIPE_SZ), 8192);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(write(p[1], buf, 16384), 8192);
	CHECK_ERR(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 131072), 131072);
	CHECK_EQ(write(p[1], buf, 16384), 16384);
	int n = -1;
	CHECK_EQ(ioctl(p[0], FIONREAD, &n), 0);
	CHECK_EQ(n, 24576);
	close_pipe();
}

TEST(atomic_writes)
{
	/* Four writers of 1000-byte records; every record must arrive in one piece. */
	enum { WRITERS = 4, RECORDS = 50, SIZE = 1000 };
	char rec[SIZE];
	pid_t pids[WRITERS];
	int seen[WRITERS] = {0};

	open_pipe(0);
	for (int w = 0; w < WRITERS; w++) {
		pids[w] = h_fork();
		if (pids[w] == 0) {
			close(p[0]);
			memset(rec, 'a' + w, sizeof(rec));
			for (int i = 0; i < RECORDS; i++)
				CHECK_EQ(write(p[1], rec, sizeof(rec)), SIZE);
			child_exit();
		}
	}
	close(p[1]);
	for (;;) {
		size_t have = 0;
		ssize_t n;

		while (have < SIZE && (n = read(p[0], rec + have, SIZE - have)) > 0)
			have += (size_t)n;
		if (have == 0)
			break;
		REQUIRE(have == SIZE);
		for (int i = 1; i < SIZE; i++)
			REQUIRE(rec[i] == rec[0]);
		seen[rec[0] - 'a']++;
	}
	for (int w = 0; w < WRITERS; w++) {
		CHECK_EQ(seen[w], RECORDS);
		JOIN(pids[w]);
	}
	close(p[0]);
}

TEST(large_transfer)
{
	static unsigned char buf[30000];
	pid_t pid;
	size_t total = 0;
	ssize_t n;

	open_pipe(0);
	pid = h_fork();
	if (pid == 0) {
		static unsigned char out[300000];

		close(p[0]);
		for (size_t i = 0; i < sizeof(out); i++)
			out[i] = (unsigned char)(i * 7 >> 3);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(write(p[1], out, sizeof(out)), sizeof(out)); /* a blocking write is whole */
		child_exit();
	}
	close(p[1]);
	while ((n = read(p[0], buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			size_t at = (total + (size_t)i) % 300000;

			if (buf[i] != (unsigned char)(at * 7 >> 3)) {
				CHECK_EQ(buf[i], (unsigned char)(at * 7 >> 3));
				i = n;
			}
		}
		total += (size_t)n;
	}
	CHECK_EQ(total, 1200000);
	JOIN(pid);
	close(p[0]);
}

TEST(poll_states)
{
	struct pollfd r, w;
	static char buf[65536];

	open_pipe(O_NONBLOCK);
	r = (struct pollfd){p[0], POLLIN, 0};
	w = (struct pollfd){p[1], POLLOUT, 0};
	CHECK_EQ(poll(&r, 1, 0), 0);
	CHECK_EQ(poll(&w, 1, 0), 1);
	CHECK_EQ(w.revents, POLLOUT);
	CHECK_EQ(write(p[1], buf, 65536), 65536);
	CHECK_EQ(poll(&r, 1, 0), 1);
	CHECK_EQ(r.revents, POLLIN);
	CHECK_EQ(poll(&w, 1, 0), 0);
	CHECK_EQ(read(p[0], buf, 65536), 65536);
	close(p[1]);
	CHECK_EQ(poll(&r, 1, 0), 1);
	CHECK_EQ(r.revents, POLLHUP);
	close(p[0]);
	open_pipe(0);
	close(p[0]);
	w.fd = p[1];
	CHECK_EQ(poll(&w, 1, 0), 1);
	CHECK_EQ(w.revents, POLLOUT | POLLERR);
	close(p[1]);
}

TEST(vectors)
{
	char a[3], b[4];
	struct iovec out[3] = {{"abc", 3}, {NULL, 0}, {"defg", 4}}, in[2] = {{a, 3}, {b, 4}};

	open_pipe(0);
	CHECK_EQ(writev(p[1], out, 3), 7);
	CHECK_EQ(readv(p[0], in, 2), 7);
	CHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0);
	close_pipe();
}

TEST(faults)
{
	char c;

	open_pipe(O_NONBLOCK);
	CHECK_ERR(write(p[1], (void *)8, 1), EFAULT);
	CHECK_ERR(read(p[0], &c, 1), EAGAIN); /* nothing went in */
	CHECK_EQ(write(p[1], "k", 1), 1);
	CHECK_ERR(read(p[0], (void *)8, 1), EFAULT);
	CHECK_EQ(read(p[0], &c, 1), 1); /* nothing was lost */
	CHECK_EQ(c, 'k');
	close_pipe();
}

/* A piece that the reader's memory cannot take whole is not read; memory that is written and not read can be written from. */
TEST(memory_of_a_kind)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buf[8];

	open_pipe(O_NONBLOCK);
	REQUIRE(m != MAP_FAILED);
	memcpy(m, "written", 8);
	OK(mprotect(m, 4096, PROT_WRITE));
	OK(mprotect(m + 4096, 4096, PROT_NONE));
	CHECK_EQ(write(p[1], m, 8), 8);
	CHECK_ERR(read(p[0], m + 4092, 8), EFAULT);
	CHECK_EQ(read(p[0], buf, 8), 8);
	CHECK_STR(buf, "written");
	CHECK_ERR(madvise(m, 4096, MADV_POPULATE_READ), EINVAL);
	OK(madvise(m, 4096, MADV_POPULATE_WRITE));
	munmap(m, 8192);
	close_pipe();
}

/* What is byte k of the stream that many_pages sends. */
static char stream(size_t k)
{
	return (char)(k * 7 + k / 251);
}

static bool is_stream(const char *buf, size_t len, size_t from)
{
	for (size_t k = 0; k < len; k++)
		if (buf[k] != stream(from + k))
			return false;
	return true;
}

/* Transfers of many pages, which begin and end anywhere in them, go round the ring, and are cut by memory that ends. */
TEST(many_pages)
{
	const size_t page = 4096, room = 16 * page;
	char *from = mmap(NULL, 2 * room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = mmap(NULL, 2 * room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *from_end = from + 2 * room, *to_end = to + 2 * room;
	size_t sent = 0, got = 0;
	struct iovec v[3];

	REQUIRE(from != MAP_FAILED && to != MAP_FAILED);
	OK(mprotect(from_end, page, PROT_NONE));
	OK(mprotect(to_end, page, PROT_NONE));
	for (size_t k = 0; k < 2 * room; k++)
		from[k] = stream(k);
	open_pipe(O_NONBLOCK);

	/* Sizes that leave the ring's pages full to different degrees. */
	for (size_t k = 0; k < 200; k++) {
		ssize_t n;

		if (sent + 3 * page + 100 > 2 * room)
			sent = got = 0; /* the pipe is empty here */
		n = write(p[1], from + sent, 3 * page + k % 100);
		REQUIRE(n == (ssize_t)(3 * page + k % 100));
		sent += (size_t)n;
		for (size_t step = 1 + k * 97 % (2 * page); got < sent;) {
			n = read(p[0], to, step);
			REQUIRE(n > 0 && is_stream(to, (size_t)n, got));
			got += (size_t)n;
		}
	}

	/* The ring holds so much, and no more. */
	CHECK_EQ(write(p[1], from, 2 * room), (ssize_t)room);
	CHECK_ERR(write(p[1], from, page), EAGAIN);
	CHECK_EQ(read(p[0], to, 100), 100);
	CHECK_ERR(write(p[1], from, 100), EAGAIN); /* no page is free */
	CHECK_EQ(read(p[0], to + 100, 5 * page), (ssize_t)(5 * page));
	CHECK_EQ(write(p[1], from + room, 7 * page), (ssize_t)(5 * page)); /* round the end */
	CHECK_EQ(read(p[0], to + 100 + 5 * page, 2 * room - 100 - 5 * page), (ssize_t)(16 * page - 100));
	CHECK(is_stream(to, 21 * page, 0));

	/* Memory that ends: whole pages count. */
	CHECK_EQ(write(p[1], from_end - 3 * page - 50, 5 * page), (ssize_t)(3 * page));
	CHECK_ERR(write(p[1], from_end - 50, page), EFAULT);
	CHECK_EQ(read(p[0], to_end - page - 50, 3 * page), (ssize_t)page);
	CHECK_ERR(read(p[0], to_end - 50, 2 * page), EFAULT);
	CHECK_EQ(read(p[0], to, 3 * page), (ssize_t)(2 * page)); /* nothing was lost */
	CHECK(is_stream(to, 2 * page, 2 * room - 2 * page - 50));

	/* Vectors whose pieces end within pages. */
	v[0] = (struct iovec){from, page + 10};
	v[1] = (struct iovec){from + page + 10, 5};
	v[2] = (struct iovec){from + page + 15, 4 * page};
	CHECK_EQ(writev(p[1], v, 3), (ssize_t)(5 * page + 15));
	v[0] = (struct iovec){to, 3};
	v[1] = (struct iovec){to + 3, 2 * page};
	v[2] = (struct iovec){to + 3 + 2 * page, 4 * page};
	CHECK_EQ(readv(p[0], v, 3), (ssize_t)(5 * page + 15));
	CHECK(is_stream(to, 5 * page + 15, 0));
	close_pipe();

	/* Packets of a page each, and what is left of the last; a read takes one. */
	open_pipe(O_NONBLOCK | O_DIRECT);
	CHECK_EQ(write(p[1], from, 2 * page + 30), (ssize_t)(2 * page + 30));
	CHECK_EQ(read(p[0], to, 3 * page), (ssize_t)page);
	CHECK_EQ(read(p[0], to, 10), 10);
	CHECK_EQ(read(p[0], to, 3 * page), 30);
	CHECK(is_stream(to, 30, 2 * page));
	close_pipe();
	munmap(from, 2 * room + page);
	munmap(to, 2 * room + page);
}

TEST(fifo)
{
	char buf[8];
	pid_t pid;
	int fd;

	use_tmpdir();
	CHECK_EQ(mkfifo("fifo", 0644), 0);
	CHECK_ERR(mkfifo("fifo", 0644), EEXIST);
	CHECK_ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 1), 0); /* no writer yet */
	close(fd);
	/* Opening for reading waits for a writer. */
	pid = h_fork();
	if (pid == 0) {
		int w = open("fifo", O_WRONLY);

		CHECK(w >= 0);
		CHECK_EQ(write(w, "fifo", 4), 4);
		child_exit();
	}
	fd = open("fifo", O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 8), 4);
	CHECK(memcmp(buf, "fifo", 4) == 0);
	JOIN(pid);
	CHECK_EQ(read(fd, buf, 8), 0);
	close(fd);
}

TEST(dev_fd)
{
	char path[32], buf[4];
	int fd;

	open_pipe(0);
	snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && fd != p[0]);
	CHECK_EQ(write(p[1], "ab", 2), 2);
	CHECK_EQ(read(fd, buf, 4), 2);
	close(fd);
	/* Unlike a FIFO, a pipe is opened at once, its writers gone or not: process substitution lives on that. */
	CHECK_EQ(write(p[1], "cd", 2), 2);
	close(p[1]);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 4), 2);
	CHECK_EQ(read(fd, buf, 4), 0);
	close(fd);
	close(p[0]);
}
