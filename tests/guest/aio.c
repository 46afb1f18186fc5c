/* Linux AIO: io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2), by the calls themselves. */
#include "harness.h"

#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static long io_setup(unsigned n, aio_context_t *ctx)
{
	return syscall(SYS_io_setup, n, ctx);
}

static long io_destroy(aio_context_t ctx)
{
	return syscall(SYS_io_destroy, ctx);
}

static long io_submit(aio_context_t ctx, long n, struct iocb **list)
{
	return syscall(SYS_io_submit, ctx, n, list);
}

static long submit_one(aio_context_t ctx, struct iocb *cb)
{
	return io_submit(ctx, 1, &cb);
}

static long io_getevents(aio_context_t ctx, long min, long max, struct io_event *ev, struct timespec *timeout)
{
	return syscall(SYS_io_getevents, ctx, min, max, ev, timeout);
}

static aio_context_t new_context(unsigned n)
{
	aio_context_t ctx = 0;

	REQUIRE(io_setup(n, &ctx) == 0);
	return ctx;
}

static struct iocb request(int op, int fd, void *buf, size_t len, long long off)
{
	struct iocb cb = {.aio_data = 0x1234, .aio_lio_opcode = (uint16_t)op, .aio_fildes = (uint32_t)fd};

	cb.aio_buf = (uintptr_t)buf;
	cb.aio_nbytes = len;
	cb.aio_offset = off;
	return cb;
}

/* The result of one request that is submitted well and completes. */
static long long result(aio_context_t ctx, struct iocb *cb)
{
	struct io_event ev;

	if (!CHECK_EQ(submit_one(ctx, cb), 1) || !CHECK_EQ(io_getevents(ctx, 1, 1, &ev, NULL), 1))
		return -1000;
	CHECK_EQ(ev.obj, (uintptr_t)cb);
	CHECK_EQ(ev.data, cb->aio_data);
	CHECK_EQ(ev.res2, 0);
	return ev.res;
}

static int scratch_file(void)
{
	int fd;

	use_tmpdir();
	fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0);
	return fd;
}

static long number_of(const char *path)
{
	char buf[64];

	REQUIRE(read_file(path, buf, sizeof(buf)) > 0);
	return atol(buf);
}

/* ---- contexts ---- */

TEST(setup_arguments)
{
	aio_context_t ctx = 0, other = 0;
	long max = number_of("/proc/sys/fs/aio-max-nr");

	CHECK_ERR(io_setup(0, &ctx), EINVAL);
	CHECK_ERR(io_setup(1, NULL), EFAULT);
	CHECK_ERR(io_setup(1, (aio_context_t *)-1), EFAULT);
	ctx = 1;
	CHECK_ERR(io_setup(1, &ctx), EINVAL);
	ctx = 0;
	CHECK_ERR(io_setup(0xffffffff, &ctx), EINVAL);
	CHECK_ERR(io_setup(0x10000000, &ctx), EINVAL);
	if (max < 0x400000)
		CHECK_ERR(io_setup((unsigned)max + 1, &ctx), EAGAIN);
	CHECK_EQ(ctx, 0);
	OK(io_setup(1, &ctx));
	OK(io_setup(1, &other));
	CHECK(ctx && other && ctx != other);
	OK(io_destroy(ctx));
	CHECK_ERR(io_destroy(ctx), EINVAL);
	OK(io_destroy(other));
	CHECK_ERR(io_destroy(0), EINVAL);
	CHECK_ERR(io_destroy((aio_context_t)-1), EINVAL);
}

TEST(counted_by_the_system)
{
	aio_context_t ctx = new_context(300);

	CHECK(number_of("/proc/sys/fs/aio-nr") >= 300);
	OK(io_destroy(ctx));
}

/* A library looks at the memory behind a context before it makes a call. */
TEST(context_can_be_read)
{
	aio_context_t ctx = new_context(4);
	volatile unsigned *ring = (unsigned *)(uintptr_t)ctx;

	CHECK(ring[2] == ring[3]); /* head and tail: nothing has come */
	OK(io_destroy(ctx));
}

TEST(ends_with_fork_and_exec)
{
	aio_context_t ctx = new_context(4);
	struct io_event ev;
	struct timespec now = {0};
	pid_t pid = h_fork();
	char id[32];

	if (pid == 0) {
		CHECK_ERR(io_getevents(ctx, 0, 1, &ev, &now), EINVAL);
		CHECK_ERR(io_destroy(ctx), EINVAL);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		ctx = new_context(4);
		snprintf(id, sizeof(id), "%lu", (unsigned long)ctx);
		execl(h_self, h_self, "@destroy", id, NULL);
		_exit(9);
	}
	JOIN(pid);
	CHECK_EQ(io_getevents(ctx, 0, 1, &ev, &now), 0);
	OK(io_destroy(ctx));
}

ROLE(argc, argv)
{
	if (argc == 3 && strcmp(argv[1], "@destroy") == 0)
		CHECK_ERR(io_destroy(strtoul(argv[2], NULL, 10)), EINVAL);
	return h_failures != 0;
}

/* ---- regular files ---- */

TEST(reads_and_writes)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file();
	char buf[16] = "";
	struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{buf, 2}, {buf + 8, 8}};
	struct iocb cb = request(IOCB_CMD_PWRITE, fd, "hello", 5, 10);

	cb.aio_key = 77; /* taken for no value, and overwritten */
	CHECK_EQ(result(ctx, &cb), 5);
	CHECK_EQ(cb.aio_key, 0);
	cb = request(IOCB_CMD_PREAD, fd, buf, sizeof(buf), 8);
	CHECK_EQ(result(ctx, &cb), 7);
	CHECK(memcmp(buf, "\0\0hello", 7) == 0);
	cb = request(IOCB_CMD_PWRITEV, fd, out, 2, 0);
	CHECK_EQ(result(ctx, &cb), 7);
	cb = request(IOCB_CMD_PREADV, fd, in, 2, 1);
	CHECK_EQ(result(ctx, &cb), 10);
	CHECK(memcmp(buf, "bc", 2) == 0 && memcmp(buf + 8, "defg\0\0\0h", 8) == 0);
	cb = request(IOCB_CMD_PREAD, fd, buf, sizeof(buf), 100);
	CHECK_EQ(result(ctx, &cb), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0); /* not moved */
	cb = request(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
	CHECK_EQ(result(ctx, &cb), 0);
	cb = request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
	CHECK_EQ(result(ctx, &cb), 0);
	close(fd);
	OK(io_destroy(ctx));
}

TEST(flags_of_a_write)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file();
	struct iocb cb = request(IOCB_CMD_PWRITE, fd, "one", 3, 0);

	CHECK_EQ(result(ctx, &cb), 3);
	cb.aio_rw_flags = RWF_APPEND | RWF_DSYNC;
	CHECK_EQ(result(ctx, &cb), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 6);
	cb.aio_rw_flags = 1 << 30;
	CHECK_ERR(submit_one(ctx, &cb), EOPNOTSUPP);
	close(fd);
	OK(io_destroy(ctx));
}

TEST(errors_in_the_event)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file();
	struct rlimit old, one = {.rlim_cur = 4};
	struct iocb cb;

	REQUIRE(ftruncate(fd, 8) == 0);
	cb = request(IOCB_CMD_PREAD, fd, (void *)16, 8, 0);
	CHECK_EQ(result(ctx, &cb), -EFAULT);
	getrlimit(RLIMIT_FSIZE, &old);
	one.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &one);
	cb = request(IOCB_CMD_PWRITE, fd, "x", 1, 4);
	CHECK_EQ(result(ctx, &cb), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	close(fd);
	OK(io_destroy(ctx));
}

TEST(errors_of_the_submission)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file(), rd = open("file", O_RDONLY | O_CLOEXEC), wr = open("file", O_WRONLY | O_CLOEXEC);
	int dir = open(".", O_RDONLY | O_CLOEXEC), path = open("file", O_PATH | O_CLOEXEC);
	char buf[8];
	struct iocb cb = request(IOCB_CMD_PREAD, -1, buf, 8, 0), good = request(IOCB_CMD_PWRITE, fd, "x", 1, 0);
	struct iocb *list[3] = {&good, &cb, &good};
	struct iovec bad[1] = {{(void *)-4096, 100}};
	struct io_event ev[4];

	CHECK_ERR(submit_one(0, &good), EINVAL);
	CHECK_ERR(submit_one(ctx + 4096, &good), EINVAL);
	CHECK_ERR(io_submit(ctx, -1, list), EINVAL);
	CHECK_EQ(io_submit(ctx, 0, NULL), 0);
	CHECK_ERR(io_submit(ctx, 1, NULL), EFAULT);
	CHECK_ERR(submit_one(ctx, (struct iocb *)8), EFAULT);
	CHECK_ERR(submit_one(ctx, &cb), EBADF);
	CHECK_EQ(io_submit(ctx, 3, list), 1); /* up to the one that is bad */
	CHECK_EQ(io_getevents(ctx, 1, 4, ev, NULL), 1);
	cb = request(IOCB_CMD_PREAD, path, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EBADF);
	cb = request(IOCB_CMD_PREAD, wr, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EBADF);
	cb = request(IOCB_CMD_PWRITE, rd, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EBADF);
	cb = request(IOCB_CMD_PREAD, dir, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_PREAD, rd, buf, 8, -1);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_PREAD, rd, buf, (size_t)-1, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_PREADV, rd, bad, 1, 0);
	CHECK_ERR(submit_one(ctx, &cb), EFAULT);
	cb = request(IOCB_CMD_PREADV, rd, bad, 1025, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_NOOP, rd, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(99, rd, buf, 8, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_PREAD, rd, buf, 8, 0);
	cb.aio_reserved2 = 1;
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_FSYNC, fd, buf, 0, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_FSYNC, fd, NULL, 1, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_POLL, fd, (void *)0x10001, 0, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_POLL, fd, (void *)POLLIN, 1, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	cb = request(IOCB_CMD_PREAD, rd, buf, 8, 0);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = (uint32_t)-1;
	CHECK_ERR(submit_one(ctx, &cb), EBADF);
	cb.aio_resfd = (uint32_t)fd;
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	close(fd), close(rd), close(wr), close(dir), close(path);
	OK(io_destroy(ctx));
}

/* The request is written to: its key. */
TEST(request_in_read_only_memory)
{
	aio_context_t ctx = new_context(8);
	struct iocb *cb = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = scratch_file();

	REQUIRE(cb != MAP_FAILED);
	*cb = request(IOCB_CMD_PWRITE, fd, "x", 1, 0);
	REQUIRE(mprotect(cb, 4096, PROT_READ) == 0);
	CHECK_ERR(submit_one(ctx, cb), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
	munmap(cb, 4096);
	close(fd);
	OK(io_destroy(ctx));
}

/* ---- events ---- */

TEST(getevents_arguments)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file();
	struct iocb cb[3], *list[3];
	struct io_event ev[4];
	struct timespec zero = {0}, ms = {0, 1000000}, *bad = (struct timespec *)8;

	for (int i = 0; i < 3; i++) {
		cb[i] = request(IOCB_CMD_PWRITE, fd, "x", 1, i);
		cb[i].aio_data = (uint64_t)i + 1;
		list[i] = &cb[i];
	}
	CHECK_ERR(io_getevents(0, 0, 1, ev, &zero), EINVAL);
	CHECK_ERR(io_getevents(ctx, 2, 1, ev, &zero), EINVAL);
	CHECK_ERR(io_getevents(ctx, -1, 1, ev, &zero), EINVAL);
	CHECK_ERR(io_getevents(ctx, 0, 1, ev, bad), EFAULT);
	CHECK_EQ(io_getevents(ctx, 0, 0, ev, NULL), 0);
	CHECK_EQ(io_getevents(ctx, 0, 1, ev, NULL), 0);
	CHECK_EQ(io_getevents(ctx, 1, 1, ev, &zero), 0);
	CHECK_EQ(io_getevents(ctx, 1, 1, ev, &ms), 0);
	CHECK_EQ(io_submit(ctx, 3, list), 3);
	CHECK_ERR(io_getevents(ctx, 1, 3, (struct io_event *)8, NULL), EFAULT);
	CHECK_EQ(io_getevents(ctx, 1, 2, ev, NULL), 2); /* none was lost */
	CHECK(ev[0].data == 1 && ev[1].data == 2);
	CHECK_EQ(io_getevents(ctx, 2, 4, ev, &ms), 1);
	CHECK_EQ(ev[0].data, 3);
	close(fd);
	OK(io_destroy(ctx));
}

TEST(eventfd_tells)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file(), efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct iocb cb[2], *list[2] = {&cb[0], &cb[1]};
	struct io_event ev[2];
	uint64_t n = 0;

	for (int i = 0; i < 2; i++) {
		cb[i] = request(IOCB_CMD_PWRITE, fd, "x", 1, i);
		cb[i].aio_flags = IOCB_FLAG_RESFD;
		cb[i].aio_resfd = (uint32_t)efd;
	}
	CHECK_EQ(io_submit(ctx, 2, list), 2);
	CHECK_EQ(read(efd, &n, 8), 8);
	CHECK_EQ(n, 2);
	CHECK_EQ(io_getevents(ctx, 2, 2, ev, NULL), 2);
	close(fd), close(efd);
	OK(io_destroy(ctx));
}

/* ---- polling ---- */

TEST(poll_of_what_is_ready)
{
	aio_context_t ctx = new_context(8);
	int fd = scratch_file(), p[2];
	struct iocb cb = request(IOCB_CMD_POLL, fd, (void *)(POLLIN | POLLOUT), 0, 0);

	CHECK_EQ(result(ctx, &cb), POLLIN | POLLOUT);
	cb.aio_buf = POLLPRI; /* which a regular file never tells of */
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	cb = request(IOCB_CMD_POLL, p[1], (void *)POLLOUT, 0, 0);
	CHECK_EQ(result(ctx, &cb), POLLOUT);
	close(p[1]);
	cb = request(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	CHECK_EQ(result(ctx, &cb), POLLHUP);
	close(p[0]), close(fd);
	OK(io_destroy(ctx));
}

TEST(poll_comes_true_later)
{
	aio_context_t ctx = new_context(8);
	int p[2], efd = eventfd(0, EFD_CLOEXEC);
	struct iocb cb;
	struct io_event ev;
	struct timespec zero = {0};
	uint64_t n;

	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	cb = request(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = (uint32_t)efd;
	CHECK_EQ(submit_one(ctx, &cb), 1);
	CHECK_EQ(io_getevents(ctx, 1, 1, &ev, &zero), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(read(efd, &n, 8), 8); /* waits, and nobody asks for events meanwhile */
	CHECK_EQ(n, 1);
	CHECK_EQ(io_getevents(ctx, 1, 1, &ev, &zero), 1);
	CHECK(ev.res & POLLIN); /* Linux tells all that the pipe told, here and there */
	CHECK_EQ(ev.obj, (uintptr_t)&cb);
	close(p[0]), close(p[1]), close(efd);
	OK(io_destroy(ctx));
}

static void *write_later(void *arg)
{
	if (!h_wait_state(getpid(), "S") || write(*(int *)arg, "x", 1) != 1)
		_exit(3);
	return NULL;
}

TEST(getevents_waits_for_a_poll)
{
	aio_context_t ctx = new_context(8);
	int p[2];
	struct iocb cb;
	struct io_event ev;
	pthread_t thread;

	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	cb = request(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	CHECK_EQ(submit_one(ctx, &cb), 1);
	REQUIRE(pthread_create(&thread, NULL, write_later, &p[1]) == 0);
	CHECK_EQ(io_getevents(ctx, 1, 1, &ev, NULL), 1);
	CHECK(ev.res & POLLIN);
	pthread_join(thread, NULL);
	close(p[0]), close(p[1]);
	OK(io_destroy(ctx));
}

TEST(cancel)
{
	aio_context_t ctx = new_context(8);
	int p[2];
	struct iocb cb;
	struct io_event ev;

	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	cb = request(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, NULL, &ev), EFAULT);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, &ev), EINVAL);
	CHECK_EQ(submit_one(ctx, &cb), 1);
	CHECK_ERR(syscall(SYS_io_cancel, 0, &cb, &ev), EINVAL);
	cb.aio_key = 1;
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, &ev), EINVAL);
	cb.aio_key = 0;
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, NULL), EINPROGRESS);
	CHECK_EQ(io_getevents(ctx, 1, 1, &ev, NULL), 1); /* the event comes all the same */
	CHECK_EQ(ev.res, 0);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, &ev), EINVAL);
	close(p[0]), close(p[1]);
	OK(io_destroy(ctx));
}

/* The request holds the file, past its descriptor's end, until its context's. */
TEST(destroy_ends_what_waits)
{
	aio_context_t ctx = new_context(8);
	int p[2], efd = eventfd(0, EFD_CLOEXEC);
	struct iocb cb;
	uint64_t n;
	char c;

	REQUIRE(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	REQUIRE(write(p[1], "x", 1) == 1);
	while (write(p[1], &cb, sizeof(cb)) > 0)
		;
	while (write(p[1], "x", 1) > 0)
		;
	cb = request(IOCB_CMD_POLL, p[1], (void *)POLLOUT, 0, 0);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = (uint32_t)efd;
	CHECK_EQ(submit_one(ctx, &cb), 1);
	close(p[1]);
	OK(io_destroy(ctx));
	CHECK_EQ(read(efd, &n, 8), 8);
	CHECK_EQ(n, 1);
	fcntl(p[0], F_SETFL, 0);
	while (read(p[0], &c, 1) > 0) /* to its end: nobody holds the other one */
		;
	close(p[0]), close(efd);
}

static void on_alarm(int sig)
{
}

TEST(signals_interrupt)
{
	aio_context_t ctx = new_context(8);
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct {
		const void *mask;
		size_t size;
	} pack;
	struct timespec zero = {0};
	struct io_event ev;
	uint64_t mask = 0;
	sigset_t usr, old;

	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigaction(SIGUSR1, &sa, NULL);
	sigprocmask(SIG_BLOCK, &usr, &old);
	kill(getpid(), SIGUSR1);
	pack.mask = &mask;
	pack.size = 8;
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, NULL, &pack), EINTR);
	CHECK_EQ(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, &zero, &pack), 0);
	CHECK_EQ(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, &zero, NULL), 0);
	pack.size = 4;
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, &zero, &pack), EINVAL);
	pack.mask = NULL;
	CHECK_EQ(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, &zero, &pack), 0);
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &ev, &zero, (void *)8), EFAULT);
	sigprocmask(SIG_SETMASK, &old, NULL);
	OK(io_destroy(ctx));
}

static void *destroy_later(void *arg)
{
	if (!h_wait_state(getpid(), "S") || io_destroy(*(aio_context_t *)arg))
		_exit(3);
	return NULL;
}

TEST(destroy_wakes_who_waits)
{
	aio_context_t ctx = new_context(8);
	struct io_event ev;
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, destroy_later, &ctx) == 0);
	CHECK_ERR(io_getevents(ctx, 1, 1, &ev, NULL), EINVAL);
	pthread_join(thread, NULL);
}

/* A context takes no more than it has room for, and takes more once events were taken. */
TEST(bounded)
{
	aio_context_t ctx = new_context(1);
	int fd = scratch_file();
	struct iocb cb = request(IOCB_CMD_PWRITE, fd, "x", 1, 0);
	struct io_event ev[64];
	struct timespec zero = {0};
	long taken = 0, given = 0, n;

	while (taken < 100000 && submit_one(ctx, &cb) == 1)
		taken++;
	CHECK_EQ(errno, EAGAIN);
	CHECK(taken >= 1 && taken < 100000);
	while ((n = io_getevents(ctx, 0, 64, ev, &zero)) > 0)
		given += n;
	CHECK_EQ(given, taken);
	CHECK_EQ(submit_one(ctx, &cb), 1);
	close(fd);
	OK(io_destroy(ctx));
}

/* ---- files that wait ---- */

TEST(pipes)
{
	aio_context_t ctx = new_context(8);
	char buf[8] = "";
	struct iocb cb;
	int p[2];

	REQUIRE(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	cb = request(IOCB_CMD_PREAD, p[0], buf, 8, 0);
	CHECK_EQ(result(ctx, &cb), -EAGAIN);
	cb = request(IOCB_CMD_PWRITE, p[1], "abc", 3, 0);
	CHECK_EQ(result(ctx, &cb), 3);
	cb = request(IOCB_CMD_PREAD, p[0], buf, 8, 0);
	CHECK_EQ(result(ctx, &cb), 3);
	CHECK_STR(buf, "abc");
	cb = request(IOCB_CMD_FSYNC, p[0], NULL, 0, 0);
	CHECK_ERR(submit_one(ctx, &cb), EINVAL);
	close(p[0]), close(p[1]);
	OK(io_destroy(ctx));
}
