/*
 * The small files of /proc/PID: input and output, waiting, scheduling, auditing, out-of-memory adjustments of old, and what
 * belongs to subsystems that are not here (security modules, cpusets, NUMA).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/prctl.h"
#include "abi/time.h"
#include "abi/types.h"
#include "base/checked.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/task/usage.h"
#include "sentry/time/posix_timers.h"

typedef unsigned long long ull;

int proc_parse_number(const char *text, int base, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, base);
	if (end == text || end[strspn(end, " \t\n")])
		return -EINVAL;
	if (errno || v < min || v > max)
		return -EINVAL;
	*out = v;
	return 0;
}

/* What read and write calls moved; nothing is said of disks, which are the host's. */
int proc_show_io(const struct proc_ctx *c, FILE *out)
{
	struct io_sum io;

	if (c->node->thread)
		task_io(c->task, &io);
	else
		process_io(c->task->process, &io);
	fprintf(out, "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\n", (ull)io.read_bytes, (ull)io.written_bytes,
		(ull)io.reads, (ull)io.writes);
	fputs("read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n", out);
	return 0;
}

/* Where in the kernel a task sleeps is for nobody to see, as on Linux without the right to know. */
int proc_show_wchan(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputc('0', out);
	return 0;
}

int proc_show_stack(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	(void)out;
	return -EPERM;
}

/* The caller's own call.  DIVERGES: a sleeping task's registers are its own thread's: it is said to be running.  Test: procpid. */
int proc_show_syscall(const struct proc_ctx *c, FILE *out)
{
	struct task *t = c->task;
	struct abi_regs r;

	if (t != task_current() || !t->ctx || pctx_get_regs(t->ctx, &r) < 0) {
		fputs("running\n", out);
		return 0;
	}
	fprintf(out, "%llu 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx\n", (ull)t->syscall_nr, (ull)r.rdi,
		(ull)r.rsi, (ull)r.rdx, (ull)r.r10, (ull)r.r8, (ull)r.r9, (ull)r.rsp, (ull)r.rip);
	return 0;
}

int proc_show_sched(const struct proc_ctx *c, FILE *out)
{
	struct task *t = c->task;
	char comm[TASK_COMM_LEN];
	struct sched_params sched;
	struct rusage_sum use;
	int threads;

	task_get_comm(t, comm);
	task_get_sched(t, &sched);
	task_usage(t, &use);
	mutex_lock(&tasks_lock);
	threads = t->process->thread_count;
	mutex_unlock(&tasks_lock);
	fprintf(out, "%.*s (%d, #threads: %d)\n", TASK_COMM_LEN, comm, task_nr(t, c->node->pid_ns), threads);
	fputs("-------------------------------------------------------------------\n", out);
	fprintf(out, "%-45s:%14lld.%06lld\n", "se.sum_exec_runtime",
		(long long)((use.utime_ns + use.stime_ns) / 1000000), (long long)((use.utime_ns + use.stime_ns) % 1000000));
	fprintf(out, "%-45s:%21llu\n%-45s:%21llu\n%-45s:%21llu\n", "nr_switches", (ull)(use.nvcsw + use.nivcsw),
		"nr_voluntary_switches", (ull)use.nvcsw, "nr_involuntary_switches", (ull)use.nivcsw);
	fprintf(out, "%-45s:%21d\n%-45s:%21d\n", "policy", sched.policy, "prio",
		sched.rt_priority ? 99 - sched.rt_priority : 120 + t->nice);
	return 0;
}

/* ---- timer slack: one's own, or anybody's with CAP_SYS_NICE ---- */

static bool may_slack(const struct proc_ctx *c)
{
	struct task *self = task_current();

	const struct cred *theirs = task_get_cred(c->task);
	bool may = self && (self == c->task || cred_ns_capable(self->cred, theirs->user_ns, L_CAP_SYS_NICE));

	cred_put(theirs);
	return may;
}

int proc_show_timers(const struct proc_ctx *c, FILE *out)
{
	posix_timers_show(c->node->process, c->node->pid_ns, out);
	return 0;
}

int proc_show_timerslack(const struct proc_ctx *c, FILE *out)
{
	if (!may_slack(c))
		return -EPERM;
	fprintf(out, "%llu\n", (ull)task_timer_slack(c->task));
	return 0;
}

int proc_store_timerslack(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t ns;
	int r = proc_parse_number(text, 10, 0, INT64_MAX, &ns);

	(void)len;
	if (r < 0)
		return r;
	if (!may_slack(c))
		return -EPERM;
	c->task->timer_slack_ns = (uint64_t)ns; /* 0: the default */
	return 0;
}

/* ---- core dumps and page marks ---- */

int proc_show_coredump_filter(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);

	if (mm) /* of one that has ended nothing could be dumped */
		fprintf(out, "%08x\n", c->task->process->coredump_filter);
	mm_put(mm);
	return 0;
}

int proc_store_coredump_filter(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t v;
	int r = proc_parse_number(text, 0, 0, UINT32_MAX, &v);

	(void)len;
	if (r < 0)
		return r;
	c->task->process->coredump_filter = (uint32_t)v & L_COREDUMP_FILTER_MASK;
	return 0;
}

/* Marks of pages are the host's; asking to clear them changes nothing that can be seen here. */
int proc_store_clear_refs(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t what;

	(void)c;
	(void)len;
	return proc_parse_number(text, 10, 1, 5, &what);
}

/* ---- out-of-memory adjustments as they were before oom_score_adj: -17 to 15 ---- */

#define OOM_DISABLE (-17)
#define OOM_ADJUST_MAX 15
#define OOM_SCORE_ADJ_MAX 1000

int proc_show_oom_adj(const struct proc_ctx *c, FILE *out)
{
	int adj = c->task->process->oom_score_adj;

	fprintf(out, "%d\n", adj == OOM_SCORE_ADJ_MAX ? OOM_ADJUST_MAX : adj * -OOM_DISABLE / OOM_SCORE_ADJ_MAX);
	return 0;
}

int proc_store_oom_adj(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t v;
	int r = proc_parse_number(text, 0, OOM_DISABLE, OOM_ADJUST_MAX, &v);

	(void)len;
	if (r < 0)
		return r;
	return proc_set_oom_score_adj(c->task->process,
				      v == OOM_ADJUST_MAX ? OOM_SCORE_ADJ_MAX : (int)v * OOM_SCORE_ADJ_MAX / -OOM_DISABLE);
}

/* ---- security modules: none ---- */

int proc_show_attr(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	(void)out;
	return -EINVAL;
}

int proc_store_attr(const struct proc_ctx *c, const char *text, size_t len)
{
	struct task *self = task_current();

	(void)text;
	(void)len;
	return self && self->process == c->task->process ? -EINVAL : -EACCES;
}

#define ATTR(name) PROC_FILE(name, 0666, proc_show_attr, .store = proc_store_attr, .raw = true)
static const struct proc_entry attr_entries[] = {
	ATTR("current"), ATTR("exec"), ATTR("fscreate"), ATTR("keycreate"),
	PROC_FILE("prev", 0444, proc_show_attr, .raw = true), ATTR("sockcreate"),
};
const struct proc_dir proc_attr_dir = {.entries = attr_entries, .count = ARRAY_SIZE(attr_entries)};

/* ---- lists ---- */

/* DIVERGES: which thread made a child is not kept: all are the leader's.  Test: procpid. */
int proc_show_children(const struct proc_ctx *c, FILE *out)
{
	struct process *p = c->task->process, *child;

	if (c->task->tid != p->pid)
		return 0;
	mutex_lock(&tasks_lock);
	list_for_each_entry(child, &p->children, sibling)
		fprintf(out, "%d ", process_nr(child, c->node->pid_ns));
	mutex_unlock(&tasks_lock);
	return 0;
}

/* The lines of /proc/PID/mounts in other words; names are escaped alike. */
int proc_show_mountstats(const struct proc_ctx *c, FILE *out)
{
	char *text, *line, *rest, *source, *where, *type, *fields;
	size_t len;
	int r = proc_mount_table(c, false, &text, &len);

	if (r < 0)
		return r;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		source = strtok_r(line, " ", &fields);
		where = strtok_r(NULL, " ", &fields);
		type = strtok_r(NULL, " ", &fields);
		if (source && where && type)
			fprintf(out, "device %s mounted on %s with fstype %s\n", source, where, type);
	}
	free(text);
	return 0;
}

static void show_numa_file(const struct vma *v, const struct path *root, char *name, FILE *out)
{
	if (vfs_path_name(&v->file->path, root, name, L_PATH_MAX) != 0)
		return;
	fputs(" file=", out);
	for (; *name; name++) {
		if (strchr("\n\t= ", *name))
			fprintf(out, "\\%03o", (unsigned char)*name);
		else
			fputc(*name, out);
	}
}

/* The policy of each mapping: there is one node.  How many pages each has only the host knows. */
int proc_show_numa_maps(const struct proc_ctx *c, FILE *out)
{
	struct task *self = task_current();
	struct mm *mm = task_get_mm(c->task);
	char *name = malloc(L_PATH_MAX);
	struct path root;

	if (!mm || !self || !name) {
		free(name);
		mm_put(mm);
		return name ? 0 : -ENOMEM;
	}
	fs_info_root(self->fs, &root);
	mutex_lock(&mm->lock);
	for (size_t i = 0; i < mm->vma_count; i++) {
		const struct vma *v = mm->vmas[i];

		fprintf(out, "%08llx default", (ull)v->start);
		if (v->file)
			show_numa_file(v, &root, name, out);
		else if (v->kind == VMA_HEAP || v->kind == VMA_STACK)
			fputs(v->kind == VMA_HEAP ? " heap" : " stack", out);
		fputc('\n', out);
	}
	mutex_unlock(&mm->lock);
	path_put(&root);
	free(name);
	mm_put(mm);
	return 0;
}

/* ---- mem: the process's memory, at its addresses ---- */

/* One chunk of either direction; counts, 0 past the end of a process. */
static ssize_t mem_chunk(struct task *t, struct uio *u, uint64_t addr, uint8_t *buf, size_t len, bool write)
{
	ssize_t n;

	if (write) {
		n = uio_take(u, buf, len);
		return n > 0 ? trace_access(t, addr, buf, (size_t)n, true) : n;
	}
	n = trace_access(t, addr, buf, len, false);
	return n > 0 ? uio_put(u, buf, (size_t)n) : n;
}

/* proc_pid_mem(5).  Who may do it is asked each time, so that a descriptor that outlives an exec gives nothing away.
 * DIVERGES: on the ptrace platform what the process itself may not write is written only by itself, or while one of its
 * threads is in a tracer's stop. */
ssize_t proc_mem_transfer(const struct proc_ctx *c, const struct cred *caller, struct uio *u, int64_t pos, bool write)
{
	struct mm *mm;
	uint8_t *buf;
	ssize_t r = proc_may_access(c->task, caller), done = 0;

	if (r < 0)
		return r;
	mm = task_get_mm(c->task);
	if (!mm)
		return 0;
	buf = malloc(PAGE_SIZE);
	r = buf ? 0 : -ENOMEM;
	while (buf && uio_left(u)) {
		uint64_t addr = (uint64_t)pos + (uint64_t)done;
		size_t len = min_of(uio_left(u), PAGE_SIZE - addr % PAGE_SIZE);

		r = mem_chunk(c->task, u, addr, buf, len, write);
		if (r <= 0)
			break;
		done += r;
		if ((size_t)r < len)
			break;
	}
	free(buf);
	mm_put(mm);
	if (done)
		return done;
	return r == -EFAULT ? -EIO : r;
}

/* ---- time namespaces: there is the first alone, whose clocks are the machine's ---- */

int proc_show_timens_offsets(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%-10s %10d %9d\n%-10s %10d %9d\n", "monotonic", 0, 0, "boottime", 0, 0);
	return 0;
}

/* "CLOCK SECONDS NANOSECONDS", the clock by its name or number. */
static bool is_offset(const char *line)
{
	static const char *const clocks[] = {"monotonic", "1", "boottime", "7"};
	unsigned long ns;
	long long seconds;
	char clock[10];
	bool known = false;

	if (sscanf(line, "%9s %lld %lu", clock, &seconds, &ns) != 3 || ns >= L_NSEC_PER_SEC)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(clocks); i++)
		known |= strcmp(clock, clocks[i]) == 0;
	return known;
}

int proc_store_timens_offsets(const struct proc_ctx *c, const char *text, size_t len)
{
	const char *second = strchr(text, '\n');

	(void)len;
	if (c->pos != 0 || c->size >= PAGE_SIZE || !is_offset(text) || (second && second[1] && !is_offset(second + 1)))
		return -EINVAL;
	return cred_capable(c->opener, L_CAP_SYS_TIME) ? -EACCES : -EPERM; /* programs live in it already */
}
