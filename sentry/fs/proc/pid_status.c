/* What a task is and does: /proc/PID/{stat,status,comm,limits,oom_score_adj,schedstat,personality}. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/resource.h"
#include "abi/time.h"
#include "base/checked.h"
#include "host/process.h"
#include "host/system.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/signal/signal.h"
#include "sentry/task/usage.h"

typedef unsigned long long ull;

/* Flags of a task that programs look for in stat. */
#define L_PF_FORKNOEXEC 0x40u
#define L_PF_RANDOMIZE 0x400000u

/* A task's place in the tree of processes. */
struct relations {
	int ppid, pgid, sid, threads;
	int tty_nr, tty_pgid; /* 0 and -1 without a controlling terminal */
};

static void get_relations(struct process *p, const struct pid_ns *ns, struct relations *out)
{
	struct tty *tty;

	mutex_lock(&tasks_lock);
	tty = p->session ? p->session->tty : NULL;
	*out = (struct relations){
		.ppid = p->parent ? process_nr(p->parent, ns) : 0,
		.pgid = pgrp_nr(p, ns),
		.sid = p->session ? session_nr(p->session, ns) : 0,
		.threads = p->thread_count ? p->thread_count : 1,
		.tty_nr = tty ? (int)tty->inode->rdev : 0,
		.tty_pgid = tty ? tty->foreground : -1,
	};
	mutex_unlock(&tasks_lock);
	if (out->tty_pgid > 0)
		out->tty_pgid = pgrp_global_nr(out->tty_pgid, ns);
}

/* Signals as /proc shows them: masks of what is pending, blocked, ignored and caught. */
struct signal_masks {
	sigset pending, shared_pending, blocked, ignored, caught;
	uint32_t queued;
};

static void get_signals(struct task *t, struct signal_masks *out)
{
	struct process *p = t->process;
	struct sighand *sh;

	memset(out, 0, sizeof(*out));
	mutex_lock(&p->sig_lock);
	out->pending = t->pending.set;
	out->shared_pending = p->shared_pending.set;
	out->blocked = signal_mask_of(t);
	out->queued = p->pending_count;
	mutex_unlock(&p->sig_lock);
	mutex_lock(&t->alloc_lock);
	sh = t->sighand ? sighand_get(t->sighand) : NULL;
	mutex_unlock(&t->alloc_lock);
	if (!sh)
		return;
	for (int sig = 1; sig <= L_NSIG; sig++) {
		uint64_t handler = sighand_action(sh, sig).handler;

		if (handler == L_SIG_IGN)
			out->ignored |= sig_bit(sig);
		else if (handler != L_SIG_DFL)
			out->caught |= sig_bit(sig);
	}
	sighand_put(sh);
}

char proc_task_state(const struct task *t)
{
	char state = t->state;

	if (state == 'Z' || state == 'T' || state == 't')
		return state;
	return (sleeper_is_asleep(&t->sleeper) && state != 'r') || task_naps(t) ? 'S' : 'R';
}

static void usage_of(const struct proc_ctx *c, struct rusage_sum *out)
{
	memset(out, 0, sizeof(*out));
	if (c->node->thread)
		task_usage(c->task, out);
	else
		process_usage(c->task->process, out);
}

static ull ticks(int64_t ns)
{
	return (ull)ns / (L_NSEC_PER_SEC / L_USER_HZ);
}

/* The sizes that stat and status tell of, zero for a task without memory. */
struct memory {
	uint64_t size, rss, peak, locked, data, stack, text, lib;
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	bool any;
};

static void get_memory(struct task *t, struct memory *out)
{
	struct mm *mm = task_get_mm(t);
	uint64_t shared;

	memset(out, 0, sizeof(*out));
	if (!mm)
		return;
	mm_usage(mm, &out->size, &out->rss, &shared);
	mutex_lock(&mm->lock);
	out->any = true;
	out->peak = mm->peak_size;
	out->locked = mm->locked_size;
	out->data = mm->data_size;
	out->stack = mm->stack_size;
	out->text = page_down(mm->end_code + PAGE_SIZE - 1) - page_down(mm->start_code);
	out->start_code = mm->start_code;
	out->end_code = mm->end_code;
	out->start_stack = mm->start_stack;
	out->start_data = mm->start_data;
	out->end_data = mm->end_data;
	out->start_brk = mm->brk_start;
	out->arg_start = mm->arg_start;
	out->arg_end = mm->arg_end;
	out->env_start = mm->env_start;
	out->env_end = mm->env_end;
	for (size_t i = 0; i < mm->vma_count; i++) {
		const struct vma *v = mm->vmas[i];

		if ((v->prot & (L_PROT_EXEC | L_PROT_WRITE)) == L_PROT_EXEC && v->kind != VMA_STACK)
			out->lib += v->end - v->start;
	}
	out->lib += mm_special_size(true);
	out->lib -= min_of(out->lib, out->text);
	mutex_unlock(&mm->lock);
	mm_put(mm);
}

/* As stat has it: below zero for the real-time policies. */
static int shown_priority(const struct task *t, const struct sched_params *s)
{
	return s->rt_priority ? -1 - s->rt_priority : 20 + t->nice;
}

/* proc_pid_stat(5).  Fields that say where code and data lie are for those who may look into the task. */
int proc_show_stat(const struct proc_ctx *c, FILE *out)
{
	struct task *t = c->task, *self = task_current();
	struct process *p = t->process;
	struct relations rel;
	struct signal_masks sig;
	struct rusage_sum use, children = {0};
	struct memory m;
	struct sched_params sched;
	char comm[TASK_COMM_LEN];
	bool permitted = self && proc_may_access(t, self->cred) == 0;
	unsigned flags = L_PF_RANDOMIZE;
	int exit_code;

	get_relations(p, c->node->pid_ns, &rel);
	get_signals(t, &sig);
	usage_of(c, &use);
	get_memory(t, &m);
	task_get_comm(t, comm);
	task_get_sched(t, &sched);
	mutex_lock(&tasks_lock);
	if (!c->node->thread)
		children = p->reaped_children;
	exit_code = permitted ? p->exit_status : 0;
	if (!p->did_exec)
		flags |= L_PF_FORKNOEXEC;
	mutex_unlock(&tasks_lock);
	if (!permitted)
		m.start_stack = m.start_data = m.end_data = m.start_brk = m.arg_start = m.arg_end = m.env_start =
			m.env_end = 0;

	fprintf(out, "%d (%.*s) %c %d %d %d ", task_nr(t, c->node->pid_ns), TASK_COMM_LEN, comm, proc_task_state(t),
		rel.ppid, rel.pgid, rel.sid);
	/* tty_nr, tpgid, flags, faults, CPU time */
	fprintf(out, "%d %d %u %llu %llu %llu %llu %llu %llu %llu %llu ", rel.tty_nr, rel.tty_pgid, flags,
		(ull)use.minflt, (ull)children.minflt, (ull)use.majflt, (ull)children.majflt, ticks(use.utime_ns),
		ticks(use.stime_ns), ticks(children.utime_ns), ticks(children.stime_ns));
	/* priority, nice, threads, itrealvalue, starttime, vsize, rss, its limit */
	fprintf(out, "%d %d %d 0 %llu %llu %llu %llu ", shown_priority(t, &sched), t->nice, rel.threads, ticks(p->start_ns),
		(ull)m.size, (ull)(m.rss / PAGE_SIZE), (ull)process_rlimit(p, L_RLIMIT_RSS));
	/* For a task that may not be looked into, Linux says 1 of its code. */
	fprintf(out, "%llu %llu %llu 0 0 ", permitted ? (ull)m.start_code : (ull)m.any,
		permitted ? (ull)m.end_code : (ull)m.any, (ull)m.start_stack);
	/* The old 31-bit signal masks, wchan, swaps, exit_signal, processor, rt_priority, policy, delays, guest times */
	fprintf(out, "%llu %llu %llu %llu 0 0 0 %d %u %d %d 0 0 0 ", (ull)(sig.pending & INT32_MAX),
		(ull)(sig.blocked & INT32_MAX), (ull)(sig.ignored & INT32_MAX), (ull)(sig.caught & INT32_MAX),
		t->tid == p->pid ? p->exit_signal : -1, task_cpu(t), sched.rt_priority, sched.policy);
	fprintf(out, "%llu %llu %llu %llu %llu %llu %llu %d\n", (ull)m.start_data, (ull)m.end_data, (ull)m.start_brk,
		(ull)m.arg_start, (ull)m.arg_end, (ull)m.env_start, (ull)m.env_end, exit_code);
	return 0;
}

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'T':
		return "T (stopped)";
	case 't':
		return "t (tracing stop)";
	case 'Z':
		return "Z (zombie)";
	default:
		return "S (sleeping)";
	}
}

/* comm with what would break the line escaped. */
static void show_name(struct task *t, FILE *out)
{
	char comm[TASK_COMM_LEN];

	task_get_comm(t, comm);
	fputs("Name:\t", out);
	for (size_t i = 0; i < sizeof(comm) && comm[i]; i++) {
		if (comm[i] == '\n')
			fputs("\\n", out);
		else if (comm[i] == '\\')
			fputs("\\\\", out);
		else
			fputc(comm[i], out);
	}
	fputc('\n', out);
}

static int show_fdsize(struct task *t)
{
	struct fdtable *files = task_get_files(t);
	struct file *f;
	bool cloexec;
	int highest = -1, slots = 64;

	if (!files)
		return 0;
	for (int fd = fdtable_next(files, 0, &f, &cloexec); fd >= 0; fd = fdtable_next(files, fd + 1, &f, &cloexec)) {
		highest = fd;
		file_put(f);
	}
	fdtable_put(files);
	while (slots <= highest)
		slots *= 2;
	return slots;
}

static void show_numbers(struct task *t, const struct pid_ns *ns, FILE *out)
{
	struct process *p = t->process;
	char tgid[PID_TEXT_MAX], pid[PID_TEXT_MAX], pgid[PID_TEXT_MAX], sid[PID_TEXT_MAX];

	mutex_lock(&tasks_lock);
	pid_text(p->numbers, p->pid, ns, tgid);
	pid_text(t->numbers, t->tid, ns, pid);
	pid_text(p->pgrp_numbers, p->pgid, ns, pgid);
	pid_text(p->session ? p->session->numbers : NULL, p->session ? p->session->sid : 0, ns, sid);
	mutex_unlock(&tasks_lock);
	fprintf(out, "NStgid:\t%s\nNSpid:\t%s\nNSpgid:\t%s\nNSsid:\t%s\n", tgid, pid, pgid, sid);
}

static void show_credentials(const struct cred *c, const struct cred *to, FILE *out)
{
	fprintf(out, "Uid:\t%u\t%u\t%u\t%u\n", cred_show_uid(to, c->uid), cred_show_uid(to, c->euid),
		cred_show_uid(to, c->suid), cred_show_uid(to, c->fsuid));
	fprintf(out, "Gid:\t%u\t%u\t%u\t%u\n", cred_show_gid(to, c->gid), cred_show_gid(to, c->egid),
		cred_show_gid(to, c->sgid), cred_show_gid(to, c->fsgid));
}

static void show_capabilities(struct task *t, const struct cred *c, FILE *out)
{
	unsigned filters;
	int mode = seccomp_mode(t, &filters);

	fprintf(out, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
		(ull)c->cap_inheritable, (ull)c->cap_permitted, (ull)c->cap_effective, (ull)c->cap_bounding,
		(ull)c->cap_ambient);
	fprintf(out, "NoNewPrivs:\t%d\nSeccomp:\t%d\nSeccomp_filters:\t%u\n", c->no_new_privs || t->no_new_privs_due, mode, filters);
	/* As PR_GET_SPECULATION_CTRL has it. */
	fputs("Speculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\talways enabled\n", out);
}

static void show_signals(struct task *t, FILE *out)
{
	struct signal_masks sig;

	get_signals(t, &sig);
	fprintf(out, "SigQ:\t%u/%llu\n", sig.queued, (ull)process_rlimit(t->process, L_RLIMIT_SIGPENDING));
	fprintf(out, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n",
		(ull)sig.pending, (ull)sig.shared_pending, (ull)sig.blocked, (ull)sig.ignored, (ull)sig.caught);
}

/* How much of what is resident is whose only the host knows, and says in its status of the stub. */
static void show_memory(const struct proc_ctx *c, FILE *out)
{
	struct mm *mm = task_get_mm(c->task);
	struct host_process_status host;
	struct memory m;
	uint64_t rss;

	if (!mm)
		return;
	get_memory(c->task, &m);
	host_process_status(pas_host_pid(mm->as), &host);
	if (pas_before(mm->as).used)
		host.peak = 0; /* DIVERGES: it may be another program's, so that all we know is what there is */
	mm_put(mm);
	rss = host.anon + host.file + host.shmem;
	fprintf(out, "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8llu kB\nVmPin:\t%8llu kB\n",
		(ull)max_of(m.peak, m.size) / 1024, (ull)m.size / 1024, (ull)m.locked / 1024, 0ull);
	fprintf(out, "VmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\n", (ull)max_of(host.peak, rss) / 1024, (ull)rss / 1024);
	fprintf(out, "RssAnon:\t%8llu kB\nRssFile:\t%8llu kB\nRssShmem:\t%8llu kB\n", (ull)host.anon / 1024,
		(ull)host.file / 1024, (ull)host.shmem / 1024);
	fprintf(out, "VmData:\t%8llu kB\nVmStk:\t%8llu kB\nVmExe:\t%8llu kB\nVmLib:\t%8llu kB\n", (ull)m.data / 1024,
		(ull)m.stack / 1024, (ull)m.text / 1024, (ull)m.lib / 1024);
	fprintf(out, "VmPTE:\t%8llu kB\nVmSwap:\t%8llu kB\nHugetlbPages:\t%8llu kB\n",
		(ull)host.page_tables / 1024, (ull)host.swap / 1024, 0ull);
}

/* "0-1,3" */
static void show_cpu_list(const uint8_t *mask, size_t size, FILE *out)
{
	const char *comma = "";

	for (size_t cpu = 0; cpu < size * 8; cpu++) {
		size_t end = cpu;

		while (end < size * 8 && (mask[end / 8] >> (end % 8) & 1))
			end++;
		if (end == cpu)
			continue;
		fprintf(out, end - cpu > 1 ? "%s%zu-%zu" : "%s%zu", comma, cpu, end - 1);
		comma = ",";
		cpu = end;
	}
}

static void show_cpus(struct task *t, FILE *out)
{
	uint8_t mask[HOST_CPUS_MAX / 8] = {0};
	size_t size = host_cpu_mask(mask, sizeof(mask));
	size_t words = max_of((host_cpu_count() + 31) / 32, 1u);
	struct sched_params sched;

	task_get_sched(t, &sched);
	if (sched.has_cpus)
		memcpy(mask, sched.cpus, sizeof(mask));

	fputs("Cpus_allowed:\t", out);
	for (size_t w = words; w-- > 0;) {
		uint32_t word;

		memcpy(&word, mask + 4 * w, sizeof(word));
		fprintf(out, w + 1 == words ? "%x" : ",%08x", word);
	}
	fputs("\nCpus_allowed_list:\t", out);
	show_cpu_list(mask, size, out);
	fputs("\nMems_allowed:\t1\nMems_allowed_list:\t0\n", out);
}

/* proc_pid_status(5), in Linux's order. */
int proc_show_status(const struct proc_ctx *c, FILE *out)
{
	struct task *t = c->task;
	struct process *p = t->process;
	const struct cred *cred = task_get_cred(t);
	struct fs_info *fs = task_get_fs(t);
	struct relations rel;
	struct rusage_sum use;

	get_relations(p, c->node->pid_ns, &rel);
	usage_of(c, &use);
	show_name(t, out);
	if (fs) {
		mutex_lock(&fs->lock);
		fprintf(out, "Umask:\t%#04o\n", fs->umask);
		mutex_unlock(&fs->lock);
		fs_info_put(fs);
	}
	fprintf(out, "State:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n",
		state_name(proc_task_state(t)), process_nr(p, c->node->pid_ns), task_nr(t, c->node->pid_ns), rel.ppid,
		trace_tracer_nr(t, c->node->pid_ns));
	show_credentials(cred, c->opener, out);
	fprintf(out, "FDSize:\t%d\nGroups:\t", show_fdsize(t));
	for (uint32_t i = 0; i < cred->group_count; i++)
		fprintf(out, i ? " %u" : "%u", cred_show_gid(c->opener, cred->groups[i]));
	fputs(" \n", out);
	show_numbers(t, c->node->pid_ns, out);
	fputs("Kthread:\t0\n", out);
	show_memory(c, out);
	fprintf(out, "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\nThreads:\t%d\n", rel.threads);
	show_signals(t, out);
	show_capabilities(t, cred, out);
	show_cpus(t, out);
	fprintf(out, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n", (ull)use.nvcsw, (ull)use.nivcsw);
	cred_put(cred);
	return 0;
}

int proc_show_comm(const struct proc_ctx *c, FILE *out)
{
	char comm[TASK_COMM_LEN];

	task_get_comm(c->task, comm);
	fprintf(out, "%.*s\n", TASK_COMM_LEN, comm);
	return 0;
}

/* Only threads of the same process may rename. */
int proc_store_comm(const struct proc_ctx *c, const char *text, size_t len)
{
	struct task *self = task_current();

	if (!self || self->process != c->task->process)
		return -EINVAL;
	mutex_lock(&c->task->alloc_lock);
	memset(c->task->comm, 0, TASK_COMM_LEN);
	memcpy(c->task->comm, text, strnlen(text, min_of(len, (size_t)TASK_COMM_LEN - 1)));
	mutex_unlock(&c->task->alloc_lock);
	return 0;
}

/* Nobody kills for want of memory inside: the score is what the adjustment alone gives. */
int proc_show_oom_score(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%d\n", max_of(0, 666 + c->task->process->oom_score_adj * 2 / 3));
	return 0;
}

int proc_show_oom_score_adj(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%d\n", c->task->process->oom_score_adj);
	return 0;
}

int proc_set_oom_score_adj(struct process *p, int v)
{
	struct task *self = task_current();

	if (v < p->oom_score_adj && self && !cred_capable(self->cred, L_CAP_SYS_RESOURCE))
		return -EACCES;
	p->oom_score_adj = v;
	return 0;
}

int proc_store_oom_score_adj(const struct proc_ctx *c, const char *text, size_t len)
{
	int64_t v;
	int r = proc_parse_number(text, 0, -1000, 1000, &v);

	(void)len;
	return r < 0 ? r : proc_set_oom_score_adj(c->task->process, (int)v);
}

int proc_show_personality(const struct proc_ctx *c, FILE *out)
{
	fprintf(out, "%08x\n", c->task->process->personality);
	return 0;
}

/* Time on a CPU, time waited for one (which the sentry does not see), times switched to. */
int proc_show_schedstat(const struct proc_ctx *c, FILE *out)
{
	struct rusage_sum use;

	usage_of(c, &use);
	fprintf(out, "%llu 0 %llu\n", (ull)(use.utime_ns + use.stime_ns), (ull)(use.nvcsw + use.nivcsw));
	return 0;
}

int proc_show_limits(const struct proc_ctx *c, FILE *out)
{
	static const struct {
		const char *name, *unit;
	} limits[L_RLIM_NLIMITS] = {
		[L_RLIMIT_CPU] = {"Max cpu time", "seconds"},
		[L_RLIMIT_FSIZE] = {"Max file size", "bytes"},
		[L_RLIMIT_DATA] = {"Max data size", "bytes"},
		[L_RLIMIT_STACK] = {"Max stack size", "bytes"},
		[L_RLIMIT_CORE] = {"Max core file size", "bytes"},
		[L_RLIMIT_RSS] = {"Max resident set", "bytes"},
		[L_RLIMIT_NPROC] = {"Max processes", "processes"},
		[L_RLIMIT_NOFILE] = {"Max open files", "files"},
		[L_RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
		[L_RLIMIT_AS] = {"Max address space", "bytes"},
		[L_RLIMIT_LOCKS] = {"Max file locks", "locks"},
		[L_RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
		[L_RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
		[L_RLIMIT_NICE] = {"Max nice priority", ""},
		[L_RLIMIT_RTPRIO] = {"Max realtime priority", ""},
		[L_RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};
	struct process *p = c->task->process;
	struct l_rlimit64 now[L_RLIM_NLIMITS];

	mutex_lock(&p->limits_lock);
	memcpy(now, p->rlimits, sizeof(now));
	mutex_unlock(&p->limits_lock);
	fprintf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < L_RLIM_NLIMITS; i++) {
		fprintf(out, "%-25s ", limits[i].name);
		for (int hard = 0; hard < 2; hard++) {
			uint64_t v = hard ? now[i].rlim_max : now[i].rlim_cur;

			if (v == L_RLIM_INFINITY)
				fprintf(out, "%-20s ", "unlimited");
			else
				fprintf(out, "%-20llu ", (ull)v);
		}
		if (limits[i].unit[0])
			fprintf(out, "%-10s", limits[i].unit);
		fputc('\n', out);
	}
	return 0;
}
