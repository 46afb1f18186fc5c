/* poll, select and their kin. */
#include "harness.h"

#include <sys/select.h>

static int p[2];

static void open_pipe(void)
{
	REQUIRE(pipe(p) == 0);
}

static void close_pipe(void)
{
	close(p[0]);
	close(p[1]);
}

TEST(poll_basics)
{
	struct pollfd f[4];
	int file;

	use_tmpdir();
	open_pipe();
	file = open("f", O_RDWR | O_CREAT, 0600);
	f[0] = (struct pollfd){p[0], POLLIN, 99};
	f[1] = (struct pollfd){p[1], POLLIN | POLLOUT, 99};
	f[2] = (struct pollfd){-1, POLLIN, 99}; /* left out */
	f[3] = (struct pollfd){file, POLLIN | POLLOUT, 99};
	CHECK_EQ(poll(f, 4, 0), 2);
	CHECK_EQ(f[0].revents, 0);
	CHECK_EQ(f[1].revents, POLLOUT);
	CHECK_EQ(f[2].revents, 0);
	CHECK_EQ(f[3].revents, POLLIN | POLLOUT); /* files are always ready */
	f[0].fd = 99;
	CHECK_EQ(poll(f, 1, -1), 1);
	CHECK_EQ(f[0].revents, POLLNVAL);
	CHECK_ERR(syscall(SYS_poll, 8, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_poll, f, 1u << 30, 0), EINVAL);
	CHECK_EQ(poll(NULL, 0, 1), 0);
	close(file);
	close_pipe();
}

TEST(poll_waits)
{
	struct pollfd f;
	pid_t me = getpid(), pid;

	open_pipe();
	f = (struct pollfd){p[0], POLLIN, 0};
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		CHECK_EQ(write(p[1], "x", 1), 1);
		child_exit();
	}
	CHECK_EQ(poll(&f, 1, 10000), 1);
	CHECK_EQ(f.revents, POLLIN);
	JOIN(pid);
	close_pipe();
	open_pipe();
	f = (struct pollfd){p[0], POLLIN, 0};
	pid = h_fork();
	if (pid == 0) {
		close(p[1]);
		close(p[0]);
		child_exit();
	}
	close(p[1]);
	CHECK_EQ(poll(&f, 1, -1), 1); /* the last writer goes */
	CHECK_EQ(f.revents, POLLHUP);
	JOIN(pid);
	close(p[0]);
}

TEST(poll_timeout)
{
	struct pollfd f;
	int64_t start = h_now_ns(CLOCK_MONOTONIC);

	open_pipe();
	f = (struct pollfd){p[0], POLLIN, 0};
	CHECK_EQ(poll(&f, 1, 5), 0);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 5000000);
	close_pipe();
}

static volatile int runs;

static void handler(int sig)
{
	runs++;
}

TEST(ppoll_mask)
{
	struct timespec bad = {0, -1}, zero = {0, 0}, ten = {10, 0};
	sigset_t block, empty;

	signal(SIGUSR1, handler);
	runs = 0;
	sigemptyset(&empty);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	CHECK_EQ(ppoll(NULL, 0, &zero, &block), 0);
	CHECK_EQ(runs, 0);
	CHECK_ERR(ppoll(NULL, 0, &ten, &empty), EINTR); /* opens the mask and closes it again, as one */
	CHECK_EQ(runs, 1);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &bad, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &zero, &empty, 4), EINVAL);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
}

TEST(select_basics)
{
	struct timeval zero = {0, 0}, bad = {-1, 0};
	fd_set r, w, e;

	open_pipe();
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	FD_SET(p[0], &e);
	CHECK_EQ(select(p[1] + 1, &r, &w, &e, &zero), 1);
	CHECK(!FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w) && !FD_ISSET(p[0], &e));
	CHECK_EQ(write(p[1], "x", 1), 1);
	FD_SET(p[0], &r);
	CHECK_EQ(select(p[1] + 1, &r, &w, NULL, NULL), 2); /* bits are counted, not descriptors */
	FD_ZERO(&w);
	FD_SET(50, &w); /* beyond the table, which has 64 at least, Linux looks at nothing */
	CHECK_ERR(select(51, NULL, &w, NULL, &zero), EBADF);
	CHECK_EQ(select(0, NULL, NULL, NULL, &zero), 0);
	CHECK_ERR(syscall(SYS_select, -1, NULL, NULL, NULL, &zero), EINVAL);
	CHECK_ERR(syscall(SYS_select, 0, NULL, NULL, NULL, &bad), EINVAL);
	CHECK_ERR(syscall(SYS_select, 64, 8, NULL, NULL, &zero), EFAULT);
	close_pipe();
}

TEST(select_times_left)
{
	struct timeval tv = {0, 3000};
	fd_set r;

	CHECK_EQ(select(0, NULL, NULL, NULL, &tv), 0);
	CHECK(tv.tv_sec == 0 && tv.tv_usec == 0);
	open_pipe();
	CHECK_EQ(write(p[1], "x", 1), 1);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	tv.tv_sec = 10;
	CHECK_EQ(select(p[0] + 1, &r, NULL, NULL, &tv), 1);
	CHECK((tv.tv_sec == 9 && tv.tv_usec > 0) || tv.tv_sec == 10);
	close_pipe();
}

TEST(pselect)
{
	struct timespec ten = {10, 0};
	sigset_t block, empty, now;

	signal(SIGUSR1, handler);
	runs = 0;
	sigemptyset(&empty);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	CHECK_ERR(pselect(0, NULL, NULL, NULL, &ten, &empty), EINTR);
	CHECK_EQ(runs, 1);
	sigprocmask(SIG_UNBLOCK, &block, &now);
	CHECK(sigismember(&now, SIGUSR1));
	CHECK(ten.tv_sec == 10 && ten.tv_nsec == 0);
}
