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
