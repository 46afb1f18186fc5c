/* What the host says of the machine and of its kernel. */
#ifndef BAILEY_HOST_SYSTEM_H
#define BAILEY_HOST_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define HOST_CPUS_MAX 1024

/* How many CPUs the process could use when host_system_init ran; at least 1. */
unsigned host_cpu_count(void);
/* Their mask as sched_getaffinity(2) gives it: fills at most size bytes, returns how many count (a multiple of 8). */
size_t host_cpu_mask(void *mask, size_t size);
/* True for a CPU of that mask. */
bool host_cpu_usable(unsigned cpu);
/* Notes the CPUs.  Call it before the sentry pins a thread. */
void host_system_init(void);

struct host_memory { /* bytes */
	uint64_t total, free, shared, buffers, swap_total, swap_free;
};
void host_memory(struct host_memory *out);
/* Seconds since the host's start, and its load averages as sysinfo(2) scales them. */
void host_uptime(uint64_t *seconds, uint64_t loads[3]);
/* The CPU the calling thread runs on; lets others run first. */
unsigned host_current_cpu(void);
void host_yield(void);
/* Returns when every thread of the machine has passed a full memory barrier since the call: some milliseconds.  -errno if the
 * host cannot. */
int host_memory_barrier(void) MUST_CHECK;
bool host_memory_barrier_works(void);
/* The host kernel's release, e.g. 6.1 as 0x60001: for what depends on the version. */
unsigned host_kernel_version(void);

#endif
