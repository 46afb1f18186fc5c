/* The clocks by which the platforms find out that a stub does not answer. */
#ifndef BAILEY_PLATFORM_STUB_CLOCK_H
#define BAILEY_PLATFORM_STUB_CLOCK_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

static inline int64_t clock_read_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static inline int64_t monotonic_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

/* The processor time of all threads of a stub, 0 if it is gone: as clock_getcpuclockid(3) makes the clock's number. */
static inline int64_t stub_cpu_ns(pid_t pid)
{
	return clock_read_ns((clockid_t)((~(unsigned)pid << 3) | 2));
}

#endif
