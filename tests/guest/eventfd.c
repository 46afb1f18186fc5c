/* eventfd(2): the counter, the semaphore, what blocks and what poll says. */
#include "harness.h"

#include <inttypes.h>
#include <sys/eventfd.h>

static int64_t take(int fd)
{
	uint64_t v;
	ssize_t n = read(fd, &v, sizeof(v));

	return n == sizeof(v) ? (int64_t)v : n;
}

static ssize_t add(int fd, uint64_t v)
{
	return write(fd, &v, sizeof(v));
}

static short events(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	poll(&p, 1, 0);
	return p.revents;
}

TEST(counts)
{
	int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);

	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(events(fd), POLLIN | POLLOUT);
	CHECK_EQ(take(fd), 3);
	CHECK_ERR(take(fd), EAGAIN);
	CHECK_EQ(events(fd), POLLOUT);
	CHECK_EQ(add(fd, 4), 8);
	CHECK_EQ(add(fd, 0), 8);
	CHECK_EQ(add(fd, 5), 8);
	CHECK_EQ(take(fd), 9);
	CHECK_EQ(add(fd, UINT64_MAX - 1), 8);
	CHECK_ERR(add(fd, 1), EAGAIN);
	CHECK_EQ(events(fd), POLLIN);
	CHECK_EQ(take(fd), (int64_t)(UINT64_MAX - 1));
	close(fd);
}

TEST(semaphore)
{
	int fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);

	CHECK_EQ(take(fd), 1);
	CHECK_EQ(take(fd), 1);
	CHECK_ERR(take(fd), EAGAIN);
	close(fd);
}

TEST(errors)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t v[2] = {1, 1};

	CHECK_ERR(eventfd(0, 0x10), EINVAL);
	CHECK_ERR(write(fd, v, 7), EINVAL);
	CHECK_ERR(read(fd, v, 7), EINVAL);
	CHECK_ERR(add(fd, UINT64_MAX), EINVAL);
	CHECK_ERR(write(fd, (void *)8, 8), EFAULT);
	CHECK_ERR(pread(fd, v, 8, 0), ESPIPE);
	CHECK_EQ(add(fd, 1), 8);
	CHECK_EQ(read(fd, v, 16), 8);
	close(fd);
}

TEST(reader_blocks)
{
	int fd = eventfd(0, 0);
	pid_t pid = h_fork();

	if (pid == 0) {
		CHECK_EQ(take(fd), 42);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(add(fd, 42), 8);
	JOIN(pid);
	close(fd);
}

TEST(writer_blocks)
{
	int fd = eventfd(0, 0);
	pid_t pid;

	CHECK_EQ(add(fd, UINT64_MAX - 1), 8);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(add(fd, 7), 8);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(take(fd), (int64_t)(UINT64_MAX - 1));
	JOIN(pid);
	CHECK_EQ(take(fd), 7);
	close(fd);
}

static int shown_id(int fd)
{
	char path[64], text[512], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	REQUIRE(read_file(path, text, sizeof(text)) > 0);
	at = strstr(text, "\neventfd-id: ");
	return at ? atoi(at + 13) : -1;
}

TEST(ids)
{
	int a = eventfd(7, 0), b = eventfd(7, EFD_SEMAPHORE), c = dup(a);

	CHECK(shown_id(a) >= 0);
	CHECK(shown_id(a) != shown_id(b));
	CHECK_EQ(shown_id(a), shown_id(c));
	close(a);
	close(b);
	close(c);
}
