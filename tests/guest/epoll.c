/* epoll and eventfd. */
#include "harness.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int p[2];

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

TEST(creation)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);

	CHECK(ep >= 0);
	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(epoll_create1(0x1234), EINVAL);
	CHECK_ERR(epoll_create(0), EINVAL);
	close(ep);
}

TEST(control)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), file;

	REQUIRE(pipe(p) == 0);
	use_tmpdir();
	file = open("f", O_RDWR | O_CREAT, 0600);
	OK(add(ep, p[0], EPOLLIN, 1));
	CHECK_ERR(add(ep, p[0], EPOLLIN, 1), EEXIST);
	CHECK_ERR(add(ep, 99, EPOLLIN, 1), EBADF);
	CHECK_ERR(add(99, p[0], EPOLLIN, 1), EBADF);
	CHECK_ERR(add(p[0], p[1], EPOLLIN, 1), EINVAL);
	CHECK_ERR(add(ep, ep, EPOLLIN, 1), EINVAL);
	CHECK_ERR(add(ep, file, EPOLLIN, 1), EPERM); /* files cannot be waited for */
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &ev), ENOENT);
	CHECK_ERR(epoll_ctl(ep, 77, p[0], &ev), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, p[0], 8), EFAULT);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	CHECK_ERR(epoll_wait(ep, &ev, 0, 0), EINVAL);
	CHECK_ERR(epoll_wait(p[0], &ev, 1, 0), EINVAL);
	CHECK_ERR(epoll_wait(99, &ev, 1, 0), EBADF);
	close(ep);
	close(file);
	close(p[0]);
	close(p[1]);
}

TEST(level)
{
	struct epoll_event ev[4];
	int ep = epoll_create1(0);

	REQUIRE(pipe(p) == 0);
	OK(add(ep, p[0], EPOLLIN, 0x1122334455667788));
	OK(add(ep, p[1], EPOLLOUT, 2));
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK(ev[0].events == EPOLLOUT && ev[0].data.u64 == 2);
	CHECK_EQ(write(p[1], "ab", 2), 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(epoll_wait(ep, ev, 4, 0), 2); /* as long as it is so */
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
	CHECK_EQ(epoll_wait(ep, ev, 4, -1), 1);
	CHECK(ev[0].events == EPOLLIN && ev[0].data.u64 == 0x1122334455667788);
	close(p[1]);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(ev[0].events, EPOLLIN | EPOLLHUP);
	/* The last close of a file takes it off. */
	close(p[0]);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
	close(ep);
}

TEST(edge)
{
	struct epoll_event ev[2];
	int ep = epoll_create1(0);
	char c;

	REQUIRE(pipe(p) == 0);
	OK(add(ep, p[0], EPOLLIN | EPOLLET, 1));
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 0);
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 1);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 0); /* told once */
	CHECK_EQ(write(p[1], "b", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 0);
	close(p[0]);
	close(p[1]);
	close(ep);
}

TEST(one_shot)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9};
	int ep = epoll_create1(0);

	REQUIRE(pipe(p) == 0);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	ev.events = EPOLLIN | EPOLLONESHOT;
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	close(p[0]);
	close(p[1]);
	close(ep);
}

TEST(waits)
{
	struct epoll_event ev;
	int ep = epoll_create1(0);
	pid_t me = getpid(), pid;

	REQUIRE(pipe(p) == 0);
	OK(add(ep, p[0], EPOLLIN, 5));
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		CHECK_EQ(write(p[1], "x", 1), 1);
		child_exit();
	}
	CHECK_EQ(epoll_wait(ep, &ev, 1, 10000), 1);
	CHECK_EQ(ev.data.u64, 5);
	JOIN(pid);
	int64_t start = h_now_ns(CLOCK_MONOTONIC);
	char c;
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 4), 0);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 3900000);
	close(p[0]);
	close(p[1]);
	close(ep);
}

TEST(nested)
{
	struct epoll_event ev;
	int a = epoll_create1(0), b = epoll_create1(0);
	struct pollfd f = {.fd = a, .events = POLLIN};

	REQUIRE(pipe(p) == 0);
	OK(add(a, b, EPOLLIN, 1));
	OK(add(b, p[0], EPOLLIN, 2));
	CHECK_ERR(add(b, a, EPOLLIN, 3), ELOOP);
	CHECK_EQ(epoll_wait(a, &ev, 1, 0), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(a, &ev, 1, 0), 1);
	CHECK_EQ(ev.data.u64, 1);
	CHECK_EQ(poll(&f, 1, 0), 1);
	close(p[0]);
	close(p[1]);
	close(a);
	close(b);
}

TEST(duplicates)
{
	struct epoll_event ev[2];
	int ep = epoll_create1(0), d;

	REQUIRE(pipe(p) == 0);
	d = dup(p[0]);
	OK(add(ep, p[0], EPOLLIN, 1));
	OK(add(ep, d, EPOLLIN, 2)); /* another descriptor of the same file */
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 2);
	close(p[0]);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 2); /* the file is still open */
	close(d);
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 0);
	close(p[1]);
	close(ep);
}

TEST(eventfd)
{
	uint64_t v = 0;
	int fd = eventfd(3, EFD_NONBLOCK);
	struct pollfd f = {.fd = fd, .events = POLLIN | POLLOUT};

	REQUIRE(fd >= 0);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 3);
	CHECK_ERR(read(fd, &v, 8), EAGAIN);
	v = 5;
	CHECK_EQ(write(fd, &v, 8), 8);
	CHECK_EQ(write(fd, &v, 8), 8);
	CHECK_EQ(poll(&f, 1, 0), 1);
	CHECK_EQ(f.revents, POLLIN | POLLOUT);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 10);
	CHECK_ERR(read(fd, &v, 4), EINVAL);
	CHECK_ERR(write(fd, &v, 7), EINVAL);
	v = ~0ull;
	CHECK_ERR(write(fd, &v, 8), EINVAL);
	v = ~0ull - 1;
	CHECK_EQ(write(fd, &v, 8), 8);
	v = 1;
	CHECK_ERR(write(fd, &v, 8), EAGAIN);
	CHECK_EQ(poll(&f, 1, 0), 1);
	CHECK_EQ(f.revents, POLLIN);
	close(fd);
	fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 1);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_ERR(read(fd, &v, 8), EAGAIN);
	close(fd);
	CHECK_ERR(eventfd(0, 0x10), EINVAL);
}

TEST(eventfd_between_processes)
{
	uint64_t v = 0;
	int fd = eventfd(0, 0);
	pid_t pid = h_fork();

	if (pid == 0) {
		v = 7;
		CHECK_EQ(write(fd, &v, 8), 8);
		child_exit();
	}
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 7);
	JOIN(pid);
	close(fd);
}

/* A process that watches fd exclusively, and says in a byte to `out` that it was woken. */
static pid_t exclusive_waiter(int fd, int out)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct epoll_event ev;
		int ep = epoll_create1(0);

		REQUIRE(ep >= 0);
		OK(add(ep, fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 1));
		CHECK_EQ(epoll_wait(ep, &ev, 1, 20000), 1);
		CHECK_EQ(write(out, "w", 1), 1);
		child_exit();
	}
	return pid;
}

/* Of those who watch exclusively, each event wakes one. */
TEST(exclusive)
{
	enum { WAITERS = 5 };
	pid_t pids[WAITERS];
	struct pollfd more;
	int told[2];
	char c;

	REQUIRE(pipe(p) == 0 && pipe(told) == 0);
	for (int i = 0; i < WAITERS; i++) {
		pids[i] = exclusive_waiter(p[0], told[1]);
		REQUIRE(h_wait_state(pids[i], "S"));
	}
	for (int i = 0; i < WAITERS; i++) {
		REQUIRE(write(p[1], "x", 1) == 1);
		REQUIRE(read(told[0], &c, 1) == 1);
		JOIN(pids[i]); /* the first that came */
		more = (struct pollfd){told[0], POLLIN, 0};
		CHECK_EQ(poll(&more, 1, 0), 0);
		for (int k = i + 1; k < WAITERS; k++)
			CHECK(h_wait_state(pids[k], "S"));
		REQUIRE(read(p[0], &c, 1) == 1);
	}
	close(p[0]);
	close(p[1]);
	close(told[0]);
	close(told[1]);
}

/* The end of a pipe is everybody's. */
TEST(exclusive_all_see_the_end)
{
	enum { WAITERS = 3 };
	pid_t pids[WAITERS];
	int told[2], end[2];

	REQUIRE(pipe2(end, O_CLOEXEC) == 0 && pipe(told) == 0);
	for (int i = 0; i < WAITERS; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			close(end[1]);
			pids[i] = exclusive_waiter(end[0], told[1]);
			JOIN(pids[i]);
			child_exit();
		}
		pids[i] = pid;
	}
	close(end[1]);
	for (int i = 0; i < WAITERS; i++)
		JOIN(pids[i]);
	close(end[0]);
	close(told[0]);
	close(told[1]);
}
