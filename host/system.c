/* See system.h. */
#include "host/system.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/checked.h"

#define MALLOC_ARENAS 4

static uint64_t cpu_mask[HOST_CPUS_MAX / 64] = {1}; /* immutable after host_system_init */
static unsigned cpu_count = 1;

void host_system_init(void)
{
	unsigned n = 0;

	/* A fixed number of malloc arenas: libc would count CPUs by files, and an arena a sentry thread costs memory.
	 */
	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	memset(cpu_mask, 0, sizeof(cpu_mask));
	if (sched_getaffinity(0, sizeof(cpu_mask), (cpu_set_t *)cpu_mask) < 0)
		cpu_mask[0] = 1; /* more CPUs than there is room for: one is surely there */
	for (size_t i = 0; i < ARRAY_SIZE(cpu_mask); i++)
		n += (unsigned)__builtin_popcountll(cpu_mask[i]);
	cpu_count = max_of(n, 1u);
}

unsigned host_cpu_count(void)
{
	return cpu_count;
}

size_t host_cpu_mask(void *mask, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cpu_mask); i++)
		if (cpu_mask[i])
			used = (i + 1) * 8;
	memcpy(mask, cpu_mask, min_of(size, sizeof(cpu_mask)));
	return max_of(used, (size_t)8);
}

bool host_cpu_usable(unsigned cpu)
{
	return cpu < HOST_CPUS_MAX && (cpu_mask[cpu / 64] >> cpu % 64 & 1);
}

void host_memory(struct host_memory *out)
{
	struct sysinfo s;

	memset(out, 0, sizeof(*out));
	if (sysinfo(&s) < 0)
		return;
	*out = (struct host_memory){
		.total = (uint64_t)s.totalram * s.mem_unit,
		.free = (uint64_t)s.freeram * s.mem_unit,
		.shared = (uint64_t)s.sharedram * s.mem_unit,
		.buffers = (uint64_t)s.bufferram * s.mem_unit,
		.swap_total = (uint64_t)s.totalswap * s.mem_unit,
		.swap_free = (uint64_t)s.freeswap * s.mem_unit,
	};
}

void host_uptime(uint64_t *seconds, uint64_t loads[3])
{
	struct sysinfo s;

	*seconds = 0;
	memset(loads, 0, 3 * sizeof(*loads));
	if (sysinfo(&s) < 0)
		return;
	*seconds = (uint64_t)s.uptime;
	for (int i = 0; i < 3; i++)
		loads[i] = s.loads[i];
}

unsigned host_kernel_version(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0;
	return major << 16 | minor;
}

unsigned host_current_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (unsigned)cpu;
}

void host_yield(void)
{
	sched_yield();
}

int host_memory_barrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

bool host_memory_barrier_works(void)
{
	long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return known > 0 && (known & MEMBARRIER_CMD_GLOBAL);
}
