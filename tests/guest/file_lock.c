/* Record locks of processes, of open files, and flock. */
#include "harness.h"

#include <sys/file.h>

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

static int open_lock(void)
{
	int fd;

	use_tmpdir();
	fd = open("lock", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	return fd;
}

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fcntl(fd, cmd, &fl);
}

TEST(record_locks)
{
	struct flock fl;
	int fd = open_lock();
	pid_t me = getpid(), pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	OK(lock(fd, F_SETLK, F_RDLCK, 100, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 12, 2)); /* one's own never conflict */
	pid = h_fork();
	if (pid == 0) {
		CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, 15, 1), EAGAIN);
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
		OK(lock(fd, F_SETLK, F_WRLCK, 20, 5));
		OK(lock(fd, F_SETLK, F_RDLCK, 105, 1));
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 105, 1), EAGAIN);
		fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
		OK(fcntl(fd, F_GETLK, &fl));
		CHECK_EQ(fl.l_type, F_WRLCK);
		CHECK_EQ(fl.l_start, 10);
		CHECK_EQ(fl.l_len, 10);
		CHECK_EQ(fl.l_pid, me);
		fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 30, .l_len = 5};
		OK(fcntl(fd, F_GETLK, &fl));
		CHECK_EQ(fl.l_type, F_UNLCK);
		child_exit();
	}
	JOIN(pid);
	/* Freeing the middle leaves both ends. */
	OK(lock(fd, F_SETLK, F_UNLCK, 13, 4));
	pid = h_fork();
	if (pid == 0) {
		OK(lock(fd, F_SETLK, F_WRLCK, 13, 4));
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 12, 1), EAGAIN);
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 17, 1), EAGAIN);
		child_exit();
	}
	JOIN(pid);
	/* Closing any descriptor of the file drops them all. */
	close(open("lock", O_RDONLY));
	pid = h_fork();
	if (pid == 0) {
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
		child_exit();
	}
	JOIN(pid);
	close(fd);
}

TEST(errors)
{
	int fd = open_lock(), ro = open("lock", O_RDONLY);

	CHECK_ERR(lock(ro, F_SETLK, F_WRLCK, 0, 0), EBADF);
	OK(lock(ro, F_SETLK, F_RDLCK, 0, 0));
	CHECK_ERR(lock(fd, F_SETLK, 9, 0, 0), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, -5, 0), EINVAL);
	CHECK_ERR(lock(99, F_SETLK, F_WRLCK, 0, 0), EBADF);
	CHECK_ERR(syscall(SYS_fcntl, fd, F_SETLK, 8), EFAULT);
	CHECK_ERR(flock(fd, 0), EINVAL);
	CHECK_ERR(flock(99, LOCK_EX), EBADF);
	close(fd);
	close(ro);
}

TEST(waiting)
{
	struct gate locked, g;
	int fd = open_lock();
	pid_t pid;

	gate_init(&locked);
	gate_init(&g);
	pid = h_fork();
	if (pid == 0) {
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
		gate_open(&locked);
		h_wait_state(getppid(), "S");
		child_exit(); /* the end of the process frees its locks */
	}
	gate_pass(&locked);
	OK(lock(fd, F_SETLKW, F_WRLCK, 5, 1));
	JOIN(pid);
	close(fd);
	gate_free(&locked);
	gate_free(&g);
}

TEST(deadlock)
{
	struct gate a, b;
	int fd = open_lock();
	pid_t pid, me = getpid();

	gate_init(&a);
	gate_init(&b);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = h_fork();
	if (pid == 0) {
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		gate_open(&a);
		OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1)); /* waits for the parent */
		child_exit();
	}
	gate_pass(&a);
	CHECK(h_wait_state(pid, "S"));
	CHECK_ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	JOIN(pid);
	(void)me;
	close(fd);
	gate_free(&a);
	gate_free(&b);
}

TEST(open_file_locks)
{
	int a = open_lock(), b = open("lock", O_RDWR), c = dup(a);

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN); /* even within one process */
	OK(lock(c, F_OFD_SETLK, F_WRLCK, 5, 1));
	CHECK_ERR(lock(b, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
	close(a);
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN); /* c still holds it */
	close(c);
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	close(b);
}

TEST(flocks)
{
	int a = open_lock(), b = open("lock", O_RDWR), c;
	pid_t pid;

	OK(flock(a, LOCK_EX));
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_SH)); /* converts */
	OK(flock(b, LOCK_SH | LOCK_NB));
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX));
	c = dup(a);
	close(a);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	pid = h_fork();
	if (pid == 0) {
		OK(flock(c, LOCK_UN)); /* a child shares its parent's */
		child_exit();
	}
	JOIN(pid);
	OK(flock(b, LOCK_EX | LOCK_NB));
	OK(lock(c, F_SETLK, F_WRLCK, 0, 0)); /* flock and fcntl do not know each other */
	close(b);
	close(c);
}
