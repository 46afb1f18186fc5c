/* Clocks and deadlines: the sentry's waits all run on the monotonic clock, whatever clock a call names. */
#ifndef BAILEY_SENTRY_TIME_CLOCK_H
#define BAILEY_SENTRY_TIME_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/time.h"

struct task;

bool timespec_valid(const struct l_timespec *ts);
/* Saturates at INT64_MAX. */
int64_t timespec_to_ns(const struct l_timespec *ts);
struct l_timespec ns_to_timespec(int64_t ns);
struct l_timeval ns_to_timeval(int64_t ns);
bool timeval_valid(const struct l_timeval *tv);
int64_t timeval_to_ns(const struct l_timeval *tv);

/* Monotonic deadlines: a time from now on; a point of another clock (REALTIME, TAI, BOOTTIME, ...). */
int64_t deadline_after(const struct l_timespec *rel);
int64_t deadline_at(int clock, const struct l_timespec *abs);
int64_t monotonic_now(void);

/* Reads a guest's clock id, CPU-time clocks included: ns, or -EINVAL. */
int64_t clock_read(struct task *t, int clock);

#endif
