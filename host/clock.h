/* The host's clocks. */
#ifndef BAILEY_HOST_CLOCK_H
#define BAILEY_HOST_CLOCK_H

#include <stdint.h>

#include "base/compiler.h"

/* The time by clock (Linux's numbering, CLOCK_*) in ns; -EINVAL if the host has no such clock.  No time is negative. */
int64_t host_clock_ns(int clock);
/* Its resolution in ns, or -EINVAL. */
int64_t host_clock_resolution_ns(int clock);

#endif
