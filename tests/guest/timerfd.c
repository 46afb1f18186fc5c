/* timerfd_create(2): expirations as reads, once and periodic, relative and absolute. */
#include "harness.h"

#include <sys/timerfd.h>

#define MS 1000000ll

static int64_t ticks(int fd)
{
	uint64_t v;
	ssize_t n = read(fd, &v, sizeof(v));

	return n == sizeof(v) ? (int64_t)v : n;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static int arm(int fd, int flags, int64_t value_ns, int64_t interval_ns)
{
	struct itimerspec its = {.it_value = from_ns(value_ns), .it_interval = from_ns(interval_ns)};

	return timerfd_settime(fd, flags, &its, NULL);
}

TEST(once)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int64_t start = h_now_ns(CLOCK_MONOTONIC);
	struct itimerspec its;

	REQUIRE(fd >= 0);
	OK(arm(fd, 0, 20 * MS, 0));
	OK(timerfd_gettime(fd, &its));
	CHECK(its.it_value.tv_sec == 0 && its.it_value.tv_nsec > 0 && its.it_value.tv_nsec <= 20 * MS);
	CHECK_EQ(ticks(fd), 1);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 20 * MS);
	OK(timerfd_gettime(fd, &its));
	CHECK_EQ(its.it_value.tv_nsec, 0);
	close(fd);
}

TEST(periodic)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct itimerspec its;

	CHECK_ERR(ticks(fd), EAGAIN);
	OK(arm(fd, 0, 5 * MS, 10 * MS));
	usleep(48000);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(ticks(fd) >= 5);
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK(ticks(fd) >= 1);
	OK(timerfd_gettime(fd, &its));
	CHECK_EQ(its.it_interval.tv_nsec, 10 * MS);
	CHECK(its.it_value.tv_nsec > 0);
	OK(arm(fd, 0, 0, 0));
	usleep(15000);
	CHECK_ERR(ticks(fd), EAGAIN);
	close(fd);
}

TEST(absolute)
{
	static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};

	for (int i = 0; i < 3; i++) {
		int fd = timerfd_create(clocks[i], 0);
		int64_t at = h_now_ns(clocks[i]) + 15 * MS;

		OK(arm(fd, TFD_TIMER_ABSTIME, at, 0));
		CHECK_EQ(ticks(fd), 1);
		CHECK(h_now_ns(clocks[i]) >= at);
		OK(arm(fd, TFD_TIMER_ABSTIME, 1, 0)); /* long past */
		CHECK_EQ(ticks(fd), 1);
		close(fd);
	}
}

TEST(setting_again_forgets)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec next = {.it_value = {100, 0}}, old;

	OK(arm(fd, 0, 1 * MS, 50 * MS));
	usleep(5000);
	OK(timerfd_settime(fd, 0, &next, &old));
	CHECK_EQ(old.it_interval.tv_nsec, 50 * MS);
	CHECK_ERR(ticks(fd), EAGAIN);
	close(fd);
}

TEST(errors)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), other = dup(2);
	struct itimerspec bad = {.it_value = {0, 1000000000}};
	char small[4];

	CHECK_ERR(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
	CHECK_ERR(arm(fd, 8, 1, 0), EINVAL);
	CHECK_ERR(arm(fd, 0, -1000000000, 0), EINVAL);
	CHECK_ERR(arm(other, 0, 1, 0), EINVAL);
	CHECK_ERR(arm(-1, 0, 1, 0), EBADF);
	CHECK_ERR(timerfd_settime(fd, 0, NULL, NULL), EFAULT);
	CHECK_ERR(read(fd, small, sizeof(small)), EINVAL);
	CHECK_ERR(write(fd, &bad, 8), EINVAL);
	close(fd);
	close(other);
}
