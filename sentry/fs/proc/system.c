/* /proc itself: self, thread-self, and what it says of the machine and of the kernel that Bailey is. */
#include <errno.h>
#include <stdlib.h>

#include "abi/stat.h"
#include "abi/time.h"
#include "abi/utsname.h"
#include "base/checked.h"
#include "host/clock.h"
#include "host/process.h"
#include "host/system.h"
#include "sentry/core/uts.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/task/pidns.h"

typedef unsigned long long ull;

static int text_self(const struct proc_ctx *c, char **out)
{
	struct task *self = task_current();

	if (!self)
		return -ENOENT;
	if (!process_nr(self->process, c->node->pid_ns))
		return -ENOENT;
	return asprintf(out, "%d", process_nr(self->process, c->node->pid_ns)) < 0 ? -ENOMEM : 0;
}

static int text_thread_self(const struct proc_ctx *c, char **out)
{
	struct task *self = task_current();

	if (!self)
		return -ENOENT;
	if (!task_nr(self, c->node->pid_ns))
		return -ENOENT;
	return asprintf(out, "%d/task/%d", process_nr(self->process, c->node->pid_ns), task_nr(self, c->node->pid_ns)) <
			       0
		       ? -ENOMEM
		       : 0;
}

static int show_version(const struct proc_ctx *c, FILE *out)
{
	struct l_utsname u;

	(void)c;
	uts_get(uts_ns_first(), &u); /* what it says of the kernel is the same in all */
	fprintf(out, "%s version %s (bailey@bailey) (cc " __VERSION__ ") %s\n", u.sysname, u.release, u.version);
	return 0;
}

/* How the machine's CPU time was spent, as the sandbox can tell: what its programs and the sentry used, and the rest. */
struct cpu_time {
	int64_t user_ns, system_ns, idle_ns;
};

static struct cpu_time cpu_time(void)
{
	struct host_cpu_times used;
	struct cpu_time t;
	int64_t all = host_clock_ns(L_CLOCK_BOOTTIME) * host_cpu_count();

	host_cpu_times(&used);
	t.user_ns = used.user_ns + used.child_user_ns;
	t.system_ns = used.system_ns + used.child_system_ns;
	t.idle_ns = max_of(all - t.user_ns - t.system_ns, (int64_t)0);
	return t;
}

static int show_uptime(const struct proc_ctx *c, FILE *out)
{
	int64_t up = host_clock_ns(L_CLOCK_BOOTTIME) / 10000000, idle = cpu_time().idle_ns / 10000000;

	(void)c;
	fprintf(out, "%lld.%02lld %lld.%02lld\n", (long long)(up / 100), (long long)(up % 100), (long long)(idle / 100),
		(long long)(idle % 100));
	return 0;
}

static int count_process(struct process *p, void *arg)
{
	struct task *t;
	int *running = arg;

	list_for_each_entry(t, &p->threads, thread_node)
		*running += proc_task_state(t) == 'R';
	return 0;
}

static int count_running(void)
{
	int running = 0;

	process_for_each(count_process, &running);
	return running;
}

static int show_loadavg(const struct proc_ctx *c, FILE *out)
{
	struct task *self = task_current();
	uint64_t seconds, loads[3];

	(void)c;
	host_uptime(&seconds, loads);
	for (int i = 0; i < 3; i++) {
		uint64_t hundredths = ((loads[i] * 100 + (1ull << (L_SI_LOAD_SHIFT - 1))) >> L_SI_LOAD_SHIFT);

		fprintf(out, "%llu.%02llu ", (ull)hundredths / 100, (ull)hundredths % 100);
	}
	fprintf(out, "%d/%d %d\n", count_running(), task_count(), self ? pid_ns_last(self) : tid_last());
	return 0;
}

static ull ticks(int64_t ns)
{
	return (ull)ns / (L_NSEC_PER_SEC / L_USER_HZ);
}

static int show_stat(const struct proc_ctx *c, FILE *out)
{
	struct cpu_time t = cpu_time();
	unsigned cpus = host_cpu_count();
	int64_t boot_ns = host_clock_ns(L_CLOCK_REALTIME) - host_clock_ns(L_CLOCK_BOOTTIME);

	(void)c;
	fprintf(out, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n", ticks(t.user_ns), ticks(t.system_ns), ticks(t.idle_ns));
	/* Which CPU it was is not known: each gets its share. */
	for (unsigned i = 0; i < HOST_CPUS_MAX; i++) {
		if (!host_cpu_usable(i))
			continue;
		fprintf(out, "cpu%u %llu 0 %llu %llu 0 0 0 0 0 0\n", i, ticks(t.user_ns / cpus), ticks(t.system_ns / cpus),
			ticks(t.idle_ns / cpus));
	}
	fprintf(out, "intr 0\nctxt 0\nbtime %lld\nprocesses %llu\nprocs_running %d\nprocs_blocked 0\nsoftirq 0\n",
		(long long)(boot_ns / L_NSEC_PER_SEC), (ull)task_made_count(), count_running());
	return 0;
}

const char *proc_filesystem(size_t index)
{
	static const char *const types[] = {"sysfs", "tmpfs", "proc", "devtmpfs", "sockfs", "pipefs", "devpts", "mqueue", "overlay"};

	return index < ARRAY_SIZE(types) ? types[index] : NULL;
}

static int show_filesystems(const struct proc_ctx *c, FILE *out)
{
	const char *type;

	(void)c;
	for (size_t i = 0; (type = proc_filesystem(i)); i++)
		fprintf(out, "nodev\t%s\n", type);
	return 0;
}

static int show_swaps(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputs("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n", out);
	return 0;
}

static int locker_nr(int pid, const void *arg)
{
	return global_nr(pid, arg);
}

struct locks_view proc_locks_view(const struct proc_ctx *c, FILE *out)
{
	return (struct locks_view){out, locker_nr, c->node->pid_ns};
}

static int show_locks(const struct proc_ctx *c, FILE *out)
{
	struct locks_view v = proc_locks_view(c, out);

	vfs_show_locks(&v);
	return 0;
}

#define TEXT(name, s) PROC_FILE(name, 0444, proc_show_text, .string = (s))

static const struct proc_dir empty_dir = {.count = 0};

/* Nothing of the sandbox is known to have waited: who runs, reads and pages when is the host's business. */
#define CALM "avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
static const struct proc_entry pressure_entries[] = {
	TEXT("cpu", "some " CALM "full " CALM),
	TEXT("io", "some " CALM "full " CALM),
	TEXT("memory", "some " CALM "full " CALM),
};
static const struct proc_dir pressure_dir = {.entries = pressure_entries, .count = ARRAY_SIZE(pressure_entries)};

static const struct proc_entry tty_entries[] = {
	PROC_DIR("driver", 0500, empty_dir),
	TEXT("drivers", "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
			"/dev/console         /dev/console    5       1 system:console\n"
			"/dev/ptmx            /dev/ptmx       5       2 system\n"
			"pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
			"pty_master           /dev/ptm      128 0-1048575 pty:master\n"),
	PROC_DIR("ldisc", 0555, empty_dir),
	TEXT("ldiscs", "n_tty       0\n"),
};
static const struct proc_dir tty_dir = {.entries = tty_entries, .count = ARRAY_SIZE(tty_entries)};

static const struct proc_entry root_entries[] = {
	TEXT("buddyinfo", ""),
	PROC_DIR("bus", 0555, empty_dir),
	TEXT("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
	PROC_FILE("cmdline", 0444, proc_show_string, .string = "bailey"),
	TEXT("consoles", ""),
	PROC_FILE("cpuinfo", 0444, proc_show_cpuinfo),
	TEXT("crypto", ""),
	PROC_FILE("devices", 0444, proc_show_devices),
	TEXT("diskstats", ""),
	PROC_DIR("driver", 0555, empty_dir),
	TEXT("execdomains", "0-0\tLinux           \t[kernel]\n"),
	PROC_FILE("filesystems", 0444, show_filesystems),
	PROC_DIR("fs", 0555, empty_dir),
	PROC_FILE("interrupts", 0444, proc_show_interrupts),
	TEXT("kallsyms", ""),
	PROC_FILE("key-users", 0444, proc_show_key_users),
	TEXT("keys", ""),
	PROC_FILE("loadavg", 0444, show_loadavg),
	PROC_FILE("meminfo", 0444, proc_show_meminfo),
	PROC_FILE("locks", 0444, show_locks),
	TEXT("misc", ""),
	TEXT("modules", ""),
	PROC_LINK("mounts", proc_text_string, .string = "self/mounts"),
	PROC_LINK("net", proc_text_string, .string = "self/net"),
	TEXT("partitions", "major minor  #blocks  name\n\n"),
	PROC_DIR("pressure", 0555, pressure_dir),
	PROC_LINK("self", text_self),
	PROC_FILE("softirqs", 0444, proc_show_softirqs),
	PROC_FILE("stat", 0444, show_stat),
	PROC_FILE("swaps", 0444, show_swaps),
	PROC_DIR("sys", 0555, proc_sys_dir),
	PROC_DIR("sysvipc", 0555, proc_sysvipc_dir),
	PROC_LINK("thread-self", text_thread_self),
	PROC_DIR("tty", 0555, tty_dir),
	PROC_FILE("uptime", 0444, show_uptime),
	PROC_FILE("version", 0444, show_version),
	PROC_FILE("vmstat", 0444, proc_show_vmstat),
	PROC_FILE("zoneinfo", 0444, proc_show_zoneinfo),
};
static const struct proc_dir root_dir = {
	.entries = root_entries,
	.count = ARRAY_SIZE(root_entries),
	.next = proc_root_next,
	.enter = proc_root_enter,
	.member = &proc_pid_entry,
};
const struct proc_entry proc_root_entry = PROC_DIR("/", 0555, root_dir);
