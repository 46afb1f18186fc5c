/* See clock.h. */
#include "host/clock.h"

#include <time.h>

#include "abi/errno.h"

#define NS_PER_SECOND 1000000000ll

int64_t host_clock_ns(int clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return -errno;
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

int64_t host_clock_resolution_ns(int clock)
{
	struct timespec ts;

	if (clock_getres(clock, &ts) < 0)
		return -errno;
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}
