/* CPU time and input and output of tasks and processes.  See usage.h. */
#include "sentry/task/usage.h"

#include <stdatomic.h>

#include "base/checked.h"
#include "host/process.h"
#include "sentry/mm/mm.h"
#include "sentry/task/internal.h"
#include "sentry/vfs/vfs.h"

/* What as has used so far. */
static int64_t as_cpu_ns(struct pas *as)
{
	int64_t ns = host_process_cpu_ns(pas_host_pid(as)) - pas_before(as).cpu_ns;

	return max_of(ns, (int64_t)0);
}

/* The same of t's address space, which belongs to one process but for a vfork's length, in which the child's share shows with
 * the parent. */
static int64_t stub_cpu_ns(struct task *t)
{
	struct mm *mm = task_get_mm(t);
	int64_t ns = 0;

	if (mm) {
		ns = as_cpu_ns(mm->as);
		mm_put(mm);
	}
	return ns;
}

static int64_t sentry_cpu_ns(const struct task *t)
{
	int64_t ns = t->host_tid ? host_thread_cpu_ns(t->host_tid) - t->host_before_ns : 0;

	return ns > 0 ? ns : 0;
}

/* t's thread of the stub, which is *pid; its tid is 0 if there is none. */
static struct pf_thread guest_thread(struct task *t, pid_t *pid)
{
	struct pf_thread thread = {0};

	*pid = 0;
	mutex_lock(&t->process->sig_lock);
	if (t->ctx) {
		thread = pctx_thread(t->ctx);
		*pid = pas_host_pid(pctx_as(t->ctx));
	}
	mutex_unlock(&t->process->sig_lock);
	return thread;
}

unsigned task_cpu(struct task *t)
{
	pid_t pid;
	struct pf_thread thread = guest_thread(t, &pid);
	int cpu = thread.tid ? host_stub_thread_cpu(pid, thread.tid) : 0;

	return cpu < 0 ? 0 : (unsigned)cpu;
}

/* What t's thread of the stub has used; negative if the host does not tell. */
static int64_t guest_cpu_ns(struct task *t)
{
	pid_t pid;
	struct pf_thread thread = guest_thread(t, &pid);
	int64_t ns;

	ns = thread.tid ? host_stub_thread_cpu_ns(pid, thread.tid) : -1;
	return ns < 0 ? ns : max_of(ns - thread.before_ns, (int64_t)0);
}

/* Without the host's help a thread of several gets an even share of what their stub has used. */
static int64_t cpu_share_ns(struct task *t)
{
	int threads;

	mutex_lock(&tasks_lock);
	threads = t->process->thread_count;
	mutex_unlock(&tasks_lock);
	return stub_cpu_ns(t) / (threads > 1 ? threads : 1);
}

/* By the thread from the first on: a process that gets a second thread would else see the first one's clock go back. */
void task_usage(struct task *t, struct rusage_sum *out)
{
	int64_t ns = guest_cpu_ns(t);

	*out = (struct rusage_sum){
		.utime_ns = ns >= 0 ? t->exec_utime_ns + ns : cpu_share_ns(t),
		.stime_ns = sentry_cpu_ns(t),
		.nvcsw = task_sleeps(t),
	};
}

static void add_memory(struct rusage_sum *sum, struct pas *as)
{
	const struct pas_before before = pas_before(as);
	struct host_process_memory m;

	host_process_memory(pas_host_pid(as), &m);
	if (m.minor_faults < before.minor_faults || m.major_faults < before.major_faults)
		return; /* it cannot be learnt */
	pas_note_faults(as, m.minor_faults, m.major_faults);
	sum->minflt += m.minor_faults - before.minor_faults;
	sum->majflt += m.major_faults - before.major_faults;
	sum->maxrss_kb = max_of(sum->maxrss_kb, m.resident / 1024);
}

void process_memory_usage(struct task *t, struct rusage_sum *out)
{
	struct mm *mm = task_get_mm(t);

	if (!mm)
		return;
	add_memory(out, mm->as);
	mm_put(mm);
}

void rusage_add(struct rusage_sum *sum, const struct rusage_sum *more)
{
	sum->utime_ns += more->utime_ns;
	sum->stime_ns += more->stime_ns;
	sum->nvcsw += more->nvcsw;
	sum->nivcsw += more->nivcsw;
	sum->minflt += more->minflt;
	sum->majflt += more->majflt;
	sum->maxrss_kb = max_of(sum->maxrss_kb, more->maxrss_kb);
}

void process_usage(struct process *p, struct rusage_sum *out)
{
	struct task *t, *any = NULL;

	mutex_lock(&tasks_lock);
	*out = p->self;
	list_for_each_entry(t, &p->threads, thread_node) {
		out->stime_ns += sentry_cpu_ns(t);
		out->nvcsw += t->dead ? 0 : task_sleeps(t);
		if (!any)
			any = task_get(t);
	}
	mutex_unlock(&tasks_lock);
	if (any) {
		out->utime_ns += stub_cpu_ns(any);
		task_put(any);
	}
}

int64_t task_cpu_ns(struct task *t)
{
	struct rusage_sum u;

	task_usage(t, &u);
	return u.utime_ns + u.stime_ns;
}

int64_t process_cpu_ns(struct process *p)
{
	struct rusage_sum u;

	process_usage(p, &u);
	return u.utime_ns + u.stime_ns;
}

void task_book_thread(struct task *t)
{
	int64_t ns = t->mm && !t->vfork ? guest_cpu_ns(t) : 0;

	t->exec_utime_ns += max_of(ns, (int64_t)0);
}

void process_book_stub(struct task *t)
{
	struct rusage_sum sum = {0};

	/* A vfork child's stub is its parent's, and booked there. */
	if (!t->mm || t->vfork)
		return;
	sum.utime_ns = as_cpu_ns(t->mm->as);
	add_memory(&sum, t->mm->as);
	mutex_lock(&tasks_lock);
	rusage_add(&t->process->self, &sum);
	mutex_unlock(&tasks_lock);
}

/* Only t counts here, so that no update can be lost. */
static void step(_Atomic uint64_t *n, uint64_t by)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by, memory_order_relaxed);
}

void task_count_io(struct task *t, bool write, int64_t result)
{
	step(write ? &t->io.writes : &t->io.reads, 1);
	if (result > 0)
		step(write ? &t->io.written_bytes : &t->io.read_bytes, (uint64_t)result);
}

void task_count_own_reads(struct task *t)
{
	struct pctx_reads n;

	if (LIKELY(!pctx_has_reads(t->ctx)))
		return;
	mutex_lock(&t->process->sig_lock); /* who looks on sees them in one place or the other */
	if (pctx_take_reads(t->ctx, &n)) {
		step(&t->io.reads, n.count);
		step(&t->io.read_bytes, n.bytes);
	}
	mutex_unlock(&t->process->sig_lock);
}

/* ---- what threads do without the sentry: rings ---- */

void task_book_rings(struct task *t, const struct pctx *ctx)
{
	struct pctx_io io;

	pctx_io(ctx, &io);
	step(&t->io.reads, io.reads);
	step(&t->io.read_bytes, io.read_bytes);
	step(&t->io.writes, io.writes);
	step(&t->io.written_bytes, io.written_bytes);
	step(&t->sleeper.sleeps, pctx_nap_count(ctx));
}

void task_drop_ctx(struct pctx *ctx)
{
	struct file *owed = pctx_owed(ctx);

	if (owed)
		file_put(owed);
	pctx_destroy(ctx);
}

uint64_t task_sleeps(struct task *t)
{
	uint64_t sleeps;

	mutex_lock(&t->process->sig_lock);
	sleeps = t->sleeper.sleeps + (t->ctx ? pctx_nap_count(t->ctx) : 0);
	mutex_unlock(&t->process->sig_lock);
	return sleeps;
}

bool task_naps(const struct task *t)
{
	bool r;

	mutex_lock(&t->process->sig_lock);
	r = t->ctx && atomic_load(&t->ctx_running) && pctx_naps(t->ctx);
	mutex_unlock(&t->process->sig_lock);
	return r;
}

/* What t has counted, what its thread has read by itself since it last came to the sentry, and what it has done by rings. */
static void add_io(struct io_sum *sum, struct task *t)
{
	struct pctx_reads own;
	struct pctx_io io;

	mutex_lock(&t->process->sig_lock);
	io_sum_add(sum, &t->io);
	if (t->ctx) {
		own = pctx_peek_reads(t->ctx);
		pctx_io(t->ctx, &io);
		sum->reads += own.count + io.reads;
		sum->read_bytes += own.bytes + io.read_bytes;
		sum->writes += io.writes;
		sum->written_bytes += io.written_bytes;
	}
	mutex_unlock(&t->process->sig_lock);
}

void io_sum_add(struct io_sum *sum, const struct io_count *n)
{
	sum->read_bytes += n->read_bytes;
	sum->written_bytes += n->written_bytes;
	sum->reads += n->reads;
	sum->writes += n->writes;
}

void task_io(struct task *t, struct io_sum *out)
{
	*out = (struct io_sum){0};
	add_io(out, t);
}

void process_io(struct process *p, struct io_sum *out)
{
	struct task *t;

	mutex_lock(&tasks_lock);
	*out = p->dead_io;
	list_for_each_entry(t, &p->threads, thread_node)
		if (!t->dead)
			add_io(out, t);
	mutex_unlock(&tasks_lock);
}
