/* /sys: what libraries look for there to learn of the CPUs. */
#include "harness.h"

#include <dirent.h>
#include <sched.h>
#include <sys/statfs.h>

#define CPU "/sys/devices/system/cpu"

static bool read_text(const char *path, char *buf, size_t size)
{
	ssize_t n = read_file(path, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0 && buf[n - 1] == '\n';
}

TEST(kind)
{
	struct statfs fs;
	struct stat st;

	CHECK_EQ(statfs("/sys", &fs), 0);
	CHECK_EQ(fs.f_type, 0x62656572);
	CHECK_EQ(stat(CPU "/online", &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 4096);
}

/* Every CPU that we may use is in the list, and has a topology. */
TEST(cpus)
{
	static const char *const files[] = {"physical_package_id", "core_id", "core_cpus", "core_cpus_list",
					    "package_cpus_list",   "thread_siblings"};
	char list[4096], text[4096], path[128];
	cpu_set_t online, mine;
	int first, last, n;

	REQUIRE(read_text(CPU "/online", list, sizeof(list)));
	CPU_ZERO(&online);
	for (const char *p = list; *p && *p != '\n'; p += n + (p[n] == ',')) {
		if (sscanf(p, "%d-%d%n", &first, &last, &n) < 2) {
			REQUIRE(sscanf(p, "%d%n", &first, &n) == 1);
			last = first;
		}
		for (int cpu = first; cpu <= last; cpu++)
			CPU_SET(cpu, &online);
	}
	REQUIRE(sched_getaffinity(0, sizeof(mine), &mine) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &mine))
			continue;
		CHECK(CPU_ISSET(cpu, &online));
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			snprintf(path, sizeof(path), CPU "/cpu%d/topology/%s", cpu, files[i]);
			if (!CHECK(read_text(path, text, sizeof(text))))
				fprintf(stderr, "  %s\n", path);
		}
	}
	CHECK(read_text(CPU "/possible", text, sizeof(text)));
	CHECK(read_text(CPU "/present", text, sizeof(text)));
	CHECK(sysconf(_SC_NPROCESSORS_CONF) >= CPU_COUNT(&mine));
}

TEST(listing)
{
	DIR *d = opendir(CPU);
	int cpus = 0, n, end;

	REQUIRE(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		if (sscanf(e->d_name, "cpu%d%n", &n, &end) == 1 && !e->d_name[end])
			cpus++;
	closedir(d);
	CHECK(cpus >= 1);
}

static unsigned long number_in(const char *dir, const char *name)
{
	char path[160], text[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return read_text(path, text, sizeof(text)) ? strtoul(text, NULL, 0) : (unsigned long)-1;
}

TEST(caches)
{
	char dir[128], text[64];
	int cpu = sched_getcpu(), found = 0;

	for (int i = 0; i < 8; i++) {
		unsigned long size;

		snprintf(dir, sizeof(dir), CPU "/cpu%d/cache/index%d", cpu, i);
		if (access(dir, F_OK))
			break;
		found++;
		size = number_in(dir, "size");
		CHECK_EQ(size * 1024, number_in(dir, "number_of_sets") * number_in(dir, "ways_of_associativity") *
					      number_in(dir, "coherency_line_size"));
		CHECK(number_in(dir, "level") >= 1 && number_in(dir, "level") <= 4);
		snprintf(dir, sizeof(dir), CPU "/cpu%d/cache/index%d/type", cpu, i);
		CHECK(read_text(dir, text, sizeof(text)));
		CHECK(!strcmp(text, "Data\n") || !strcmp(text, "Instruction\n") || !strcmp(text, "Unified\n"));
		snprintf(dir, sizeof(dir), CPU "/cpu%d/cache/index%d/shared_cpu_list", cpu, i);
		CHECK(read_text(dir, text, sizeof(text)));
	}
	CHECK(found >= 2);
	CHECK_EQ(sysconf(_SC_LEVEL1_DCACHE_LINESIZE), number_in(CPU "/cpu0/cache/index0", "coherency_line_size"));
}

TEST(node)
{
	char text[65536], link[256];
	ssize_t n;

	CHECK(read_text("/sys/devices/system/node/node0/meminfo", text, sizeof(text)));
	CHECK(!strncmp(text, "Node 0 MemTotal: ", 17) && strstr(text, "\nNode 0 MemFree: "));
	CHECK_EQ(number_in("/sys/devices/system/node/node0", "distance"), 10);
	n = readlink("/sys/devices/system/node/node0/cpu0", link, sizeof(link) - 1);
	REQUIRE(n > 0);
	link[n] = 0;
	CHECK_STR(link, "../../cpu/cpu0");
}

TEST(loopback)
{
	char text[4096], link[256];
	ssize_t n = readlink("/sys/class/net/lo", link, sizeof(link) - 1);

	REQUIRE(n > 0);
	link[n] = 0;
	CHECK_STR(link, "../../devices/virtual/net/lo");
	CHECK(read_text("/sys/class/net/lo/address", text, sizeof(text)));
	CHECK_STR(text, "00:00:00:00:00:00\n");
	CHECK_EQ(number_in("/sys/class/net/lo", "mtu"), 65536);
	CHECK_EQ(number_in("/sys/class/net/lo", "ifindex"), 1);
	CHECK_EQ(number_in("/sys/class/net/lo", "type"), 772);
	CHECK(number_in("/sys/class/net/lo/statistics", "rx_bytes") != (unsigned long)-1);
}

TEST(memory)
{
	char text[4096];

	CHECK(read_text("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)));
	CHECK(strchr(text, '[') && strstr(text, "never"));
	CHECK_EQ(number_in("/sys/kernel/mm/transparent_hugepage", "hpage_pmd_size"), 2 << 20);
	CHECK(number_in("/sys/kernel/mm/hugepages/hugepages-2048kB", "nr_hugepages") != (unsigned long)-1);
	CHECK(access("/sys/fs/cgroup", F_OK) == 0 && access("/sys/block", F_OK) == 0 && access("/sys/dev/block", F_OK) == 0);
}
