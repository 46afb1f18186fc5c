/* See process.h. */
#include "host/process.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/checked.h"

static int proc_fd = -1;  /* set once at start-up */
static uint64_t fd_limit, raised_fd_limit; /* set once at start-up; 0: not noted */

int host_getrlimit(unsigned resource, uint64_t *soft, uint64_t *hard)
{
	struct rlimit64 r;

	if (prlimit64(0, (enum __rlimit_resource)resource, NULL, &r) < 0)
		return -errno;
	*soft = resource == RLIMIT_NOFILE && fd_limit ? fd_limit : r.rlim_cur;
	*hard = r.rlim_max;
	return 0;
}

void host_note_fd_limit(uint64_t soft, uint64_t raised)
{
	fd_limit = soft;
	raised_fd_limit = raised;
}

uint64_t host_own_fd_limit(void)
{
	return raised_fd_limit;
}

void host_set_proc_fd(int fd)
{
	if (proc_fd >= 0)
		close(proc_fd);
	proc_fd = fd;
}

int host_proc_fd(void)
{
	return proc_fd;
}

int host_process_open(pid_t pid, const char *file)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	char name[48];
	int fd;

	if (proc_fd < 0)
		return -ENOENT;
	snprintf(name, sizeof(name), "%d/%s", pid, file);
	fd = (int)syscall(SYS_openat2, proc_fd, name, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* Reads a short file of a process into text, NUL-terminated; false if that cannot be. */
static bool read_proc(pid_t pid, const char *file, char *text, size_t size)
{
	int fd = host_process_open(pid, file);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

uint64_t host_process_rss(pid_t pid, uint64_t *shared)
{
	unsigned long long resident = 0, file_pages = 0;
	char text[128];

	if (!read_proc(pid, "statm", text, sizeof(text)) || sscanf(text, "%*u %llu %llu", &resident, &file_pages) != 2)
		resident = file_pages = 0;
	*shared = file_pages * PAGE_SIZE;
	return resident * PAGE_SIZE;
}

/* The amount behind a name at a line's beginning, in bytes; 0 if there is none. */
static uint64_t status_bytes(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0)
			return strtoull(line + len, NULL, 10) * 1024;
	}
	return 0;
}

void host_process_status(pid_t pid, struct host_process_status *out)
{
	char text[4096];

	*out = (struct host_process_status){0};
	if (!read_proc(pid, "status", text, sizeof(text)))
		return;
	*out = (struct host_process_status){
		.peak = status_bytes(text, "VmHWM:"),
		.anon = status_bytes(text, "RssAnon:"),
		.file = status_bytes(text, "RssFile:"),
		.shmem = status_bytes(text, "RssShmem:"),
		.page_tables = status_bytes(text, "VmPTE:"),
		.swap = status_bytes(text, "VmSwap:"),
	};
}

void host_process_memory(pid_t pid, struct host_process_memory *out)
{
	unsigned long long minor, major, pages;
	char text[512], *p;

	*out = (struct host_process_memory){0, 0, 0};
	if (!read_proc(pid, "stat", text, sizeof(text)))
		return;
	p = strrchr(text, ')'); /* the name may hold anything */
	/* proc_pid_stat(5), from field 3 on: minflt is 10, majflt 12, rss 24. */
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %llu",
			 &minor, &major, &pages) != 3)
		return;
	*out = (struct host_process_memory){minor, major, pages * PAGE_SIZE};
}

static int64_t ns_of(struct timeval tv)
{
	return (int64_t)tv.tv_sec * 1000000000 + (int64_t)tv.tv_usec * 1000;
}

void host_cpu_times(struct host_cpu_times *out)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	*out = (struct host_cpu_times){ns_of(self.ru_utime), ns_of(self.ru_stime), ns_of(children.ru_utime),
				       ns_of(children.ru_stime)};
}

uint64_t host_preemptions(void)
{
	struct rusage self;

	getrusage(RUSAGE_THREAD, &self);
	return (uint64_t)self.ru_nivcsw;
}

/* The kernel's encoding of a CPU clock by id: see clock_getcpuclockid(3). */
static int64_t cpu_clock_ns(pid_t id, int kind)
{
	struct timespec ts;

	if (clock_gettime((clockid_t)((~(unsigned)id << 3) | (unsigned)kind), &ts) < 0)
		return -errno;
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t host_process_cpu_ns(pid_t pid)
{
	return cpu_clock_ns(pid, 2 /* CPUCLOCK_SCHED */);
}

int64_t host_thread_cpu_ns(pid_t tid)
{
	return cpu_clock_ns(tid, 4 | 2 /* PERTHREAD */);
}

int64_t host_stub_thread_cpu_ns(pid_t pid, pid_t tid)
{
	char file[32], text[96];

	snprintf(file, sizeof(file), "task/%d/schedstat", tid);
	return read_proc(pid, file, text, sizeof(text)) ? (int64_t)strtoull(text, NULL, 10) : -ENOENT;
}

/* Field n, from 3 on, of proc_pid_stat(5): a space stands before each.  NULL if it cannot be learnt. */
static const char *stat_field(pid_t pid, pid_t tid, int n, char *text, size_t size)
{
	char file[32], *p = NULL;

	snprintf(file, sizeof(file), "task/%d/stat", tid);
	if (read_proc(pid, file, text, size))
		p = strrchr(text, ')'); /* the name may hold anything */
	for (int field = 2; p && field < n; field++)
		p = strchr(p + 1, ' ');
	return p ? p + 1 : NULL;
}

int host_stub_thread_cpu(pid_t pid, pid_t tid)
{
	char text[1024];
	const char *cpu = stat_field(pid, tid, 39, text, sizeof(text));

	return cpu ? (int)strtol(cpu, NULL, 10) : -ENOENT;
}

bool host_stub_thread_runnable(pid_t pid, pid_t tid)
{
	char text[1024];
	const char *state = stat_field(pid, tid, 3, text, sizeof(text));

	return state && *state == 'R';
}

pid_t host_gettid(void)
{
	return gettid();
}
