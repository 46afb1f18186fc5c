/*
 * /sys/devices/system: the CPUs that the sandbox may use, and the node.
 *
 * DIVERGES: the host's topology is not shown.  Each CPU is a core of its own, all of them in one package and one node, as
 * /proc/cpuinfo says too.  Test: sysfs.
 */
#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/system.h"
#include "sentry/fs/sys/internal.h"

#define CPU_DIR "devices/system/cpu"
#define NODE_DIR "devices/system/node"

struct cpu_set {
	bool has[HOST_CPUS_MAX];
	unsigned count, end; /* end: one past the last */
};

/* "0-2,5" */
static char *cpu_list(const struct cpu_set *s)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *comma = "";

	if (!out)
		return NULL;
	for (unsigned first = 0, last; first < s->end; first = last + 1) {
		last = first;
		if (!s->has[first])
			continue;
		while (last + 1 < s->end && s->has[last + 1])
			last++;
		fprintf(out, last > first ? "%s%u-%u" : "%s%u", comma, first, last);
		comma = ",";
	}
	fputc('\n', out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Words of 32 bits in hexadecimal, the highest first, as wide as the CPUs of the machine need. */
static char *cpu_map(const struct cpu_set *s, unsigned end)
{
	unsigned words = (end + 31) / 32, width = words > 1 ? 8 : (end + 3) / 4;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (unsigned w = words; w-- > 0;) {
		uint32_t bits = 0;

		for (unsigned n = 0; n < 32 && w * 32 + n < HOST_CPUS_MAX; n++)
			bits |= (uint32_t)s->has[w * 32 + n] << n;
		fprintf(out, "%0*x%s", (int)width, bits, w ? "," : "\n");
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Adds the same set in both forms. */
static void add_set(struct builder *b, const char *dir, const char *map, const char *list, const struct cpu_set *s,
		    unsigned end)
{
	sysfs_add_text(b, dir, map, cpu_map(s, end));
	sysfs_add_text(b, dir, list, cpu_list(s));
}

/* ---- caches, as the CPU itself describes them to whoever asks ---- */

struct cache {
	unsigned level, type; /* type: 1 data, 2 instruction, 3 unified */
	unsigned sets, ways, line, partitions;
	unsigned threads; /* that share it, at the most */
};

#define CACHES_MAX 8

struct caches {
	struct cache list[CACHES_MAX];
	unsigned count;
};

/* By CPUID's leaf of cache parameters: Intel's, or AMD's of the same form where there is one.  Under a hypervisor each question takes
 * microseconds. */
static void get_caches(struct caches *out)
{
	unsigned leaf = 0x8000001d, a, b, c, d;

	out->count = 0;
	if (!__get_cpuid_count(leaf, 0, &a, &b, &c, &d) || !(a & 31))
		leaf = 4;
	if (leaf == 4 && __get_cpuid_max(0, NULL) < 4)
		return;
	while (out->count < CACHES_MAX) {
		__cpuid_count(leaf, out->count, a, b, c, d);
		if (!(a & 31))
			return;
		out->list[out->count++] = (struct cache){
			.level = a >> 5 & 7,
			.type = a & 31,
			.sets = c + 1,
			.ways = (b >> 22) + 1,
			.line = (b & 0xfff) + 1,
			.partitions = (b >> 12 & 0x3ff) + 1,
			.threads = (a >> 14 & 0xfff) + 1,
		};
	}
}

/* A cache is shared by all CPUs, or by none: which of them are neighbours is not said. */
static void add_caches(struct builder *b, unsigned cpu, const struct caches *caches, const struct cpu_set *self,
		       const struct cpu_set *all)
{
	static const char *const types[] = {"", "Data", "Instruction", "Unified"};
	char dir[64];

	for (unsigned i = 0; i < caches->count; i++) {
		const struct cache k = caches->list[i];
		bool shared = k.level >= 3 && k.threads > 1;

		snprintf(dir, sizeof(dir), CPU_DIR "/cpu%u/cache/index%u", cpu, i);
		sysfs_add(b, dir, "id", "%u\n", shared ? 0 : cpu);
		sysfs_add(b, dir, "level", "%u\n", k.level);
		sysfs_add(b, dir, "type", "%s\n", k.type <= 3 ? types[k.type] : "Unknown");
		sysfs_add(b, dir, "size", "%lluK\n",
			  (unsigned long long)k.sets * k.ways * k.line * k.partitions / 1024);
		sysfs_add(b, dir, "coherency_line_size", "%u\n", k.line);
		sysfs_add(b, dir, "number_of_sets", "%u\n", k.sets);
		sysfs_add(b, dir, "ways_of_associativity", "%u\n", k.ways);
		sysfs_add(b, dir, "physical_line_partition", "%u\n", k.partitions);
		add_set(b, dir, "shared_cpu_map", "shared_cpu_list", shared ? all : self, all->end);
	}
}

/* ---- CPUs and the node ---- */

static void add_cpu(struct builder *b, unsigned cpu, const struct caches *caches, const struct cpu_set *all)
{
	static const struct cpu_set empty;
	struct cpu_set self = empty;
	char dir[64], target[64];

	self.has[cpu] = true;
	self.end = cpu + 1;
	snprintf(dir, sizeof(dir), CPU_DIR "/cpu%u/topology", cpu);
	sysfs_add(b, dir, "physical_package_id", "0\n");
	sysfs_add(b, dir, "die_id", "0\n");
	sysfs_add(b, dir, "core_id", "%u\n", cpu);
	add_set(b, dir, "core_cpus", "core_cpus_list", &self, all->end);
	add_set(b, dir, "thread_siblings", "thread_siblings_list", &self, all->end);
	add_set(b, dir, "die_cpus", "die_cpus_list", all, all->end);
	add_set(b, dir, "package_cpus", "package_cpus_list", all, all->end);
	add_set(b, dir, "core_siblings", "core_siblings_list", all, all->end);
	add_caches(b, cpu, caches, &self, all);
	snprintf(dir, sizeof(dir), CPU_DIR "/cpu%u", cpu);
	sysfs_add(b, dir, "online", "1\n");
	sysfs_add_link(b, dir, "node0", "../../node/node0");
	sysfs_add_link(b, dir, "subsystem", "../../../../bus/cpu");
	snprintf(dir, sizeof(dir), "cpu%u", cpu);
	snprintf(target, sizeof(target), "../../cpu/cpu%u", cpu);
	sysfs_add_link(b, NODE_DIR "/node0", dir, target);
}

static char *node_memory(void)
{
	struct host_memory m;
	char *text = NULL;

	host_memory(&m);
	if (asprintf(&text,
		     "Node 0 MemTotal:       %8llu kB\nNode 0 MemFree:        %8llu kB\nNode 0 MemUsed:        %8llu kB\n"
		     "Node 0 Shmem:          %8llu kB\nNode 0 HugePages_Total: %5u\nNode 0 HugePages_Free:  %5u\n"
		     "Node 0 HugePages_Surp:  %5u\n",
		     (unsigned long long)m.total / 1024, (unsigned long long)m.free / 1024,
		     (unsigned long long)(m.total - m.free) / 1024, (unsigned long long)m.shared / 1024, 0, 0, 0) < 0)
		return NULL;
	return text;
}

void sysfs_add_cpus(struct builder *b)
{
	struct cpu_set all = {.count = 0};
	struct caches caches;

	get_caches(&caches);
	for (unsigned cpu = 0; cpu < HOST_CPUS_MAX; cpu++)
		if (host_cpu_usable(cpu)) {
			all.has[cpu] = true;
			all.count++;
			all.end = cpu + 1;
		}
	sysfs_add_text(b, CPU_DIR, "online", cpu_list(&all));
	sysfs_add_text(b, CPU_DIR, "possible", cpu_list(&all));
	sysfs_add_text(b, CPU_DIR, "present", cpu_list(&all));
	sysfs_add(b, CPU_DIR, "offline", "\n");
	sysfs_add(b, CPU_DIR, "isolated", "\n");
	sysfs_add(b, CPU_DIR, "kernel_max", "%d\n", HOST_CPUS_MAX - 1);
	for (unsigned cpu = 0; cpu < all.end; cpu++)
		if (all.has[cpu])
			add_cpu(b, cpu, &caches, &all);
	sysfs_add(b, NODE_DIR, "online", "0\n");
	sysfs_add(b, NODE_DIR, "possible", "0\n");
	sysfs_add(b, NODE_DIR, "has_cpu", "0\n");
	sysfs_add(b, NODE_DIR, "has_memory", "0\n");
	sysfs_add(b, NODE_DIR, "has_normal_memory", "0\n");
	sysfs_add(b, NODE_DIR "/node0", "distance", "10\n");
	sysfs_add(b, NODE_DIR "/node0", "numastat",
		  "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0\n");
	sysfs_add_made(b, NODE_DIR "/node0", "meminfo", node_memory);
	sysfs_add(b, CPU_DIR "/smt", "active", "0\n");
	sysfs_add(b, CPU_DIR "/smt", "control", "notsupported\n");
	add_set(b, NODE_DIR "/node0", "cpumap", "cpulist", &all, all.end);
}
