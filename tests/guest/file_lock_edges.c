/* Edges of record locks, OFD locks and flock: errors and their order, ranges, splitting and joining, what ends a lock, and how
 * /proc shows them. */
#include "harness.h"

#include <pthread.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

static int open_lock(void)
{
	int fd;

	use_tmpdir();
	fd = open("lock", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	return fd;
}

static int lock_from(int fd, int cmd, int type, int whence, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_whence = (short)whence, .l_start = start, .l_len = len};

	return fcntl(fd, cmd, &fl);
}

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	return lock_from(fd, cmd, type, SEEK_SET, start, len);
}

/* What a child finds in the way of a write lock of [start, start + len): its first lock. */
static struct flock seen(int fd, off_t start, off_t len)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	int p[2];
	pid_t pid;

	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		OK(fcntl(fd, F_GETLK, &fl));
		CHECK_EQ(write(p[1], &fl, sizeof(fl)), sizeof(fl));
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(read(p[0], &fl, sizeof(fl)), sizeof(fl));
	close(p[0]);
	close(p[1]);
	return fl;
}

static void check_seen(int line, int fd, off_t at, int type, off_t start, off_t len)
{
	struct flock fl = seen(fd, at, 1);

	if (fl.l_type != type || (type != F_UNLCK && (fl.l_start != start || fl.l_len != len)))
		H_FAIL("line %d: at %ld type %d from %ld for %ld\n", line, (long)at, fl.l_type, (long)fl.l_start, (long)fl.l_len);
	if (type != F_UNLCK) {
		CHECK_EQ(fl.l_whence, SEEK_SET);
		CHECK_EQ(fl.l_pid, getpid());
	}
}
#define CHECK_SEEN(fd, at, type, start, len) check_seen(__LINE__, fd, at, type, start, len)

TEST(error_order)
{
	int fd = open_lock(), ro = open("lock", O_RDONLY), wo = open("lock", O_WRONLY), path = open("lock", O_PATH);
	int none = open("lock", O_ACCMODE);
	struct flock fl = {.l_type = F_WRLCK, .l_pid = 1};

	CHECK_ERR(lock(wo, F_SETLK, F_RDLCK, 0, 0), EBADF);
	CHECK_ERR(lock(ro, F_SETLK, F_WRLCK, 0, 0), EBADF);
	CHECK_ERR(lock(path, F_SETLK, F_WRLCK, 0, 0), EBADF);
	CHECK_ERR(lock(path, F_GETLK, F_WRLCK, 0, 0), EBADF);
	CHECK_ERR(lock_from(ro, F_SETLK, F_WRLCK, 7, 0, 0), EINVAL);
	CHECK_ERR(lock(ro, F_SETLK, 9, 0, 0), EINVAL);
	CHECK_ERR(lock(ro, F_GETLK, 9, 0, 0), EINVAL);
	CHECK_ERR(lock(ro, F_GETLK, F_UNLCK, 0, 0), EINVAL);
	CHECK_ERR(fcntl(ro, F_OFD_SETLK, &fl), EBADF);
	CHECK_ERR(fcntl(fd, F_OFD_SETLK, &fl), EINVAL);
	CHECK_ERR(fcntl(fd, F_OFD_GETLK, &fl), EINVAL);
	CHECK_ERR(syscall(SYS_fcntl, fd, F_GETLK, 8), EFAULT);
	OK(lock(ro, F_GETLK, F_WRLCK, 0, 0)); /* asking needs no mode */
	CHECK_ERR(flock(99, 0), EINVAL);
	CHECK_ERR(flock(99, LOCK_SH | LOCK_EX), EINVAL);
	OK(flock(fd, 0x20)); /* LOCK_MAND: no longer a lock, and passed over */
	OK(flock(99, 0x20 | LOCK_SH));
	CHECK_ERR(flock(path, LOCK_SH), EBADF);
	OK(flock(ro, LOCK_EX)); /* whatever the mode */
	OK(flock(ro, LOCK_UN));
	if (CHECK(none >= 0)) {
		CHECK_ERR(flock(none, LOCK_EX), EBADF);
		OK(flock(none, LOCK_UN));
	}
	close(none);
	close(path);
	close(wo);
	close(ro);
	close(fd);
}

TEST(ranges)
{
	const off_t max = INT64_MAX;
	int fd = open_lock();

	OK(ftruncate(fd, 100));
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 5, -6), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 5, INT64_MIN), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, max, 2), EOVERFLOW);
	CHECK_ERR(lock_from(fd, F_SETLK, F_WRLCK, SEEK_END, max, 1), EOVERFLOW);
	CHECK_ERR(lock_from(fd, F_SETLK, F_WRLCK, SEEK_END, -101, 1), EINVAL);
	OK(lock(fd, F_SETLK, F_WRLCK, 10, -4)); /* [6, 10) */
	CHECK_SEEN(fd, 6, F_WRLCK, 6, 4);
	CHECK_SEEN(fd, 10, F_UNLCK, 0, 0);
	OK(lock_from(fd, F_SETLK, F_RDLCK, SEEK_END, -10, 5));
	CHECK_SEEN(fd, 92, F_RDLCK, 90, 5);
	CHECK_EQ(lseek(fd, 50, SEEK_SET), 50);
	OK(lock_from(fd, F_SETLK, F_WRLCK, SEEK_CUR, 1, 1));
	CHECK_SEEN(fd, 51, F_WRLCK, 51, 1);
	OK(lock(fd, F_SETLK, F_WRLCK, 200, 0));
	CHECK_SEEN(fd, max, F_WRLCK, 200, 0);
	OK(lock(fd, F_SETLK, F_UNLCK, 300, 0));
	CHECK_SEEN(fd, 250, F_WRLCK, 200, 100);
	OK(lock(fd, F_SETLK, F_WRLCK, max, 1)); /* the last byte: the same as to the end */
	CHECK_SEEN(fd, max, F_WRLCK, max, 0);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	CHECK_EQ(seen(fd, 0, 0).l_type, F_UNLCK);
	close(fd);
}

TEST(split_and_join)
{
	int fd = open_lock();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 20, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 10, 10)); /* between two neighbours */
	CHECK_SEEN(fd, 15, F_WRLCK, 0, 30);
	OK(lock(fd, F_SETLK, F_RDLCK, 10, 10)); /* another type in the middle */
	CHECK_SEEN(fd, 5, F_WRLCK, 0, 10);
	CHECK_SEEN(fd, 15, F_RDLCK, 10, 10);
	CHECK_SEEN(fd, 25, F_WRLCK, 20, 10);
	OK(lock(fd, F_SETLK, F_UNLCK, 5, 20)); /* over three */
	CHECK_SEEN(fd, 0, F_WRLCK, 0, 5);
	CHECK_SEEN(fd, 5, F_UNLCK, 0, 0);
	CHECK_SEEN(fd, 25, F_WRLCK, 25, 5);
	OK(lock(fd, F_SETLK, F_RDLCK, 0, 0)); /* over all */
	CHECK_SEEN(fd, 3, F_RDLCK, 0, 0);
	OK(lock(fd, F_SETLK, F_UNLCK, 100, 1));
	CHECK_SEEN(fd, 3, F_RDLCK, 0, 100);
	CHECK_SEEN(fd, 100, F_UNLCK, 0, 0);
	CHECK_SEEN(fd, 101, F_RDLCK, 101, 0);
	close(fd);
}

TEST(ofd_questions)
{
	struct flock fl = {.l_type = F_WRLCK};
	int a = open_lock(), b = open("lock", O_RDWR);

	OK(lock(a, F_OFD_SETLK, F_RDLCK, 10, 10));
	OK(fcntl(b, F_OFD_GETLK, &fl));
	CHECK_EQ(fl.l_type, F_RDLCK);
	CHECK_EQ(fl.l_pid, -1);
	CHECK_EQ(fl.l_start, 10);
	CHECK_EQ(fl.l_len, 10);
	fl = (struct flock){.l_type = F_WRLCK};
	OK(fcntl(a, F_OFD_GETLK, &fl)); /* one's own is not in the way */
	CHECK_EQ(fl.l_type, F_UNLCK);
	fl = (struct flock){.l_type = F_UNLCK}; /* asks for one's own */
	OK(fcntl(a, F_OFD_GETLK, &fl));
	CHECK_EQ(fl.l_type, F_RDLCK);
	CHECK_EQ(fl.l_start, 10);
	fl = (struct flock){.l_type = F_UNLCK, .l_start = 20};
	OK(fcntl(a, F_OFD_GETLK, &fl));
	CHECK_EQ(fl.l_type, F_UNLCK);
	CHECK_EQ(fl.l_start, 20);
	fl = (struct flock){.l_type = F_UNLCK};
	OK(fcntl(b, F_OFD_GETLK, &fl));
	CHECK_EQ(fl.l_type, F_UNLCK);
	close(a);
	close(b);
}

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void *waiter_lock(void *arg)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return (void *)(intptr_t)(fcntl(*(int *)arg, F_SETLKW, &fl) ? errno : 0);
}

/* A wait is interrupted by a handler without SA_RESTART, and goes on after one with it. */
static void interrupted(bool restart, bool whole)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
	int fd = open_lock(), other = open("lock", O_RDWR);
	struct gate g;
	pid_t pid;

	caught = 0;
	gate_init(&g);
	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(whole ? flock(fd, LOCK_EX) : lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = h_fork();
	if (pid == 0) {
		int r;

		gate_open(&g);
		r = whole ? flock(other, LOCK_EX) : lock(other, F_SETLKW, F_WRLCK, 3, 1);
		CHECK_EQ(caught, SIGUSR1);
		if (restart)
			CHECK_EQ(r, 0);
		else
			CHECK(r == -1 && errno == EINTR);
		child_exit();
	}
	gate_pass(&g);
	CHECK(h_wait_state(pid, "S"));
	OK(kill(pid, SIGUSR1));
	if (restart) {
		struct timespec moment = {0, 1000};

		/* Whether the handler has run or not, the wait goes on. */
		nanosleep(&moment, NULL);
		CHECK(h_wait_state(pid, "S"));
		OK(whole ? flock(fd, LOCK_UN) : lock(fd, F_SETLK, F_UNLCK, 0, 0));
	}
	JOIN(pid);
	close(fd);
	close(other);
	gate_free(&g);
}

TEST(signals)
{
	interrupted(false, false);
	interrupted(true, false);
	interrupted(false, true);
	interrupted(true, true);
}

/* 0: has the lock; 1: EDEADLK. */
__attribute__((noreturn)) static void exit_with_wait(int fd, off_t at)
{
	int r = lock(fd, F_SETLKW, F_WRLCK, at, 1);

	_exit(h_failures || (r < 0 && errno != EDEADLK) ? 2 : r < 0);
}

/*
 * The second child waits for the parent; when that lets go, the first has a lock that the second then waits for, while the
 * first waits for the second: one of them, whoever asks last, is told.
 */
TEST(deadlock_after_change)
{
	struct gate locked, waiting;
	int fd = open_lock();
	pid_t first, second;

	gate_init(&locked);
	gate_init(&waiting);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	first = h_fork();
	if (first == 0) {
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		gate_open(&locked);
		gate_pass(&waiting);
		exit_with_wait(fd, 0);
	}
	gate_pass(&locked);
	second = h_fork();
	if (second == 0) {
		OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		gate_open(&waiting);
		exit_with_wait(fd, 1);
	}
	CHECK(h_wait_state(second, "S"));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	CHECK_EQ(h_wait(first) + h_wait(second), W_EXIT(1));
	close(fd);
	gate_free(&locked);
	gate_free(&waiting);
}

TEST(threads_share)
{
	int fd = open_lock(), other = open("lock", O_RDWR);
	pthread_t th;
	void *r;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(pthread_create(&th, NULL, waiter_lock, &other));
	OK(pthread_join(th, &r));
	CHECK_EQ((intptr_t)r, 0); /* a thread's locks are the process's */
	close(other);		  /* and this ends them all */
	CHECK_EQ(seen(fd, 0, 0).l_type, F_UNLCK);
	close(fd);
}

TEST(what_ends_them)
{
	int fd = open_lock(), again = open("lock", O_RDONLY), whole = open("lock", O_RDWR), p;

	/* dup2 over any descriptor of the file, close_range, O_PATH ones not. */
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	p = open("lock", O_PATH);
	close(p);
	CHECK_EQ(seen(fd, 0, 0).l_type, F_WRLCK);
	CHECK_EQ(dup2(0, again), again);
	CHECK_EQ(seen(fd, 0, 0).l_type, F_UNLCK);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	close(again);
	again = open("lock", O_RDONLY);
	OK(syscall(SYS_close_range, again, again, 0));
	CHECK_EQ(seen(fd, 0, 0).l_type, F_UNLCK);
	/* A child that closes does not end its parent's. */
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(flock(whole, LOCK_EX));
	pid_t pid = h_fork();
	if (pid == 0) {
		close(fd);
		close(whole);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(seen(fd, 0, 0).l_type, F_WRLCK);
	p = open("lock", O_RDONLY);
	CHECK_ERR(flock(p, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	close(p);
	CHECK_EQ(seen(fd, 0, 0).l_type, F_UNLCK);
	/* OFD locks and flocks stay until the last descriptor goes. */
	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
	p = dup(fd);
	close(fd);
	fd = open("lock", O_RDWR);
	CHECK_ERR(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
	close(p);
	OK(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 0));
	close(whole);
	close(fd);
}

/* Locks outlive exec, but for those of descriptors that close on exec. */
ROLE(argc, argv)
{
	int fd = atoi(argv[2]);

	(void)argc;
	CHECK_EQ(seen(fd, 0, 1).l_type, strcmp(argv[3], "kept") == 0 ? F_WRLCK : F_UNLCK);
	return h_failures ? 1 : 0;
}

TEST(exec)
{
	for (int k = 0; k < 2; k++) {
		int fd = open_lock(), also = open("lock", O_RDONLY | (k ? O_CLOEXEC : 0));
		pid_t pid = h_fork();

		if (pid == 0) {
			char num[16];

			OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
			snprintf(num, sizeof(num), "%d", fd);
			execl(h_self, h_self, "@exec", num, k ? "lost" : "kept", NULL);
			_exit(99);
		}
		JOIN(pid);
		close(fd);
		close(also);
	}
}

/* True if a line of the file says all of what fmt does after its number. */
static bool has_line(const char *path, const char *fmt, ...)
{
	static char buf[1 << 16];
	char want[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return false;
	return strstr(buf, want) != NULL;
}

TEST(shown)
{
	int fd = open_lock(), ofd = open("lock", O_RDWR), whole = open("lock", O_RDONLY);
	char info[64], where[64];
	struct gate g;
	struct stat st;
	pid_t pid, me = getpid();

	gate_init(&g);
	OK(fstat(fd, &st));
	snprintf(where, sizeof(where), "%02x:%02x:%lu", major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino);
	OK(lock(fd, F_SETLK, F_WRLCK, 5, 10));
	OK(lock(ofd, F_OFD_SETLK, F_RDLCK, 50, 0));
	OK(flock(whole, LOCK_EX));
	CHECK(has_line("/proc/locks", ": POSIX  ADVISORY  WRITE %d %s 5 14\n", me, where));
	CHECK(has_line("/proc/locks", ": OFDLCK ADVISORY  READ -1 %s 50 EOF\n", where));
	CHECK(has_line("/proc/locks", ": FLOCK  ADVISORY  WRITE %d %s 0 EOF\n", me, where));
	snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", fd);
	CHECK(has_line(info, "lock:\t1: POSIX  ADVISORY  WRITE %d %s 5 14\n", me, where));
	CHECK(!has_line(info, "OFDLCK"));
	snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", ofd);
	CHECK(has_line(info, "lock:\t1: OFDLCK ADVISORY  READ -1 %s 50 EOF\n", where));
	CHECK(!has_line(info, "POSIX"));
	snprintf(info, sizeof(info), "/proc/self/fdinfo/%d", whole);
	CHECK(has_line(info, "lock:\t1: FLOCK  ADVISORY  WRITE %d %s 0 EOF\n", me, where));
	pid = h_fork();
	if (pid == 0) {
		gate_open(&g);
		OK(lock(fd, F_SETLKW, F_RDLCK, 14, 1));
		child_exit();
	}
	gate_pass(&g);
	CHECK(h_wait_state(pid, "S"));
	CHECK(has_line("/proc/locks", ": -> POSIX  ADVISORY  READ %d %s 14 14\n", pid, where));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	JOIN(pid);
	CHECK(!has_line("/proc/locks", "POSIX  ADVISORY  WRITE %d %s", me, where));
	close(fd);
	close(ofd);
	close(whole);
	CHECK(!has_line("/proc/locks", "%s", where));
	gate_free(&g);
}
