/* The table of tasks, and making and counting tasks and processes.  Their birth is in fork.c, their end in exit.c. */
#include "sentry/task/task.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/prctl.h"
#include "host/clock.h"
#include "host/process.h"
#include "sentry/ipc/sysv.h"
#include "sentry/mm/mm.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/namespaces.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tidmap.h"
#include "sentry/time/timers.h"

struct mutex tasks_lock = MUTEX_INIT;
struct process *init_process, *command_as_init;

/* Indexed by tid; guarded by tasks_lock.  Address space only: pages come with the tids that are used. */
static struct task *by_tid[PID_MAX];
static struct tidmap tids; /* where by_tid is not NULL; guarded by tasks_lock */
static int last_tid;	   /* guarded by tasks_lock */
static int live_count;	   /* guarded by tasks_lock */
static uint64_t made_count; /* likewise */

_Static_assert(PID_MAX == TIDMAP_SIZE, "every tid has its bit");

static _Thread_local struct task *current;

struct task *task_current(void)
{
	return current;
}

void task_set_current(struct task *t)
{
	current = t;
	sleeper_set_self(t ? &t->sleeper : NULL);
	if (t) {
		int64_t before_ns = host_clock_ns(L_CLOCK_THREAD_CPUTIME_ID);

		t->host_before_ns = max_of(before_ns, (int64_t)0);
		t->host_tid = host_gettid();
	}
}

static void enter_table(struct task *t, int tid) REQUIRES(tasks_lock)
{
	t->tid = tid;
	by_tid[tid] = task_get(t);
	tidmap_add(&tids, tid);
	live_count++;
	made_count++;
}

int tid_take(struct task *t, int tid)
{
	if (by_tid[tid])
		return -EEXIST;
	enter_table(t, tid);
	return 0;
}

int tid_assign(struct task *t)
{
	for (int tried = 1; tried < PID_MAX; tried++) {
		if (++last_tid >= PID_MAX)
			last_tid = 300; /* as Linux: low numbers stay with the first processes */
		if (!by_tid[last_tid]) {
			enter_table(t, last_tid);
			return 0;
		}
	}
	return -EAGAIN;
}

void tid_release(struct task *t)
{
	if (t->tid <= 0 || by_tid[t->tid] != t)
		return;
	pid_released(t);
	by_tid[t->tid] = NULL;
	tidmap_remove(&tids, t->tid);
	live_count--;
}

int tid_last(void)
{
	int tid;

	mutex_lock(&tasks_lock);
	tid = last_tid;
	mutex_unlock(&tasks_lock);
	return tid;
}

void tid_set_last(int tid)
{
	mutex_lock(&tasks_lock);
	last_tid = tid;
	mutex_unlock(&tasks_lock);
}

struct task *tid_lookup_locked(int tid)
{
	return tid > 0 && tid < PID_MAX ? by_tid[tid] : NULL;
}

int tid_next_locked(int from)
{
	return tidmap_next(&tids, max_of(from, 1));
}

/* The process whose pid is the lowest that is >= from, or NULL; borrowed. */
static struct process *process_next_locked(int from) REQUIRES(tasks_lock)
{
	for (int tid = tid_next_locked(from); tid > 0; tid = tid_next_locked(tid + 1))
		if (by_tid[tid]->process->pid == tid)
			return by_tid[tid]->process;
	return NULL;
}

struct task *tid_take_over(struct task *t, int pid)
{
	struct task *old_leader = by_tid[pid];

	pid_released(t);
	t->old_numbers = t->numbers;
	t->numbers = pid_get(old_leader->numbers);
	by_tid[t->tid] = NULL;
	tidmap_remove(&tids, t->tid);
	by_tid[pid] = t; /* the reference moves along */
	t->tid = pid;
	live_count--;
	return old_leader;
}

int task_count(void)
{
	int n;

	mutex_lock(&tasks_lock);
	n = live_count;
	mutex_unlock(&tasks_lock);
	return n;
}

uint64_t task_made_count(void)
{
	uint64_t n;

	mutex_lock(&tasks_lock);
	n = made_count;
	mutex_unlock(&tasks_lock);
	return n;
}

struct task *task_find(int tid)
{
	struct task *t = NULL;

	if (tid <= 0 || tid >= PID_MAX)
		return NULL;
	mutex_lock(&tasks_lock);
	if (by_tid[tid])
		t = task_get(by_tid[tid]);
	mutex_unlock(&tasks_lock);
	return t;
}

struct process *process_find(int pid)
{
	struct process *p = NULL;

	if (pid <= 0 || pid >= PID_MAX)
		return NULL;
	mutex_lock(&tasks_lock);
	if (by_tid[pid] && by_tid[pid]->process->pid == pid)
		p = process_get(by_tid[pid]->process);
	mutex_unlock(&tasks_lock);
	return p;
}

struct process *process_of_thread(int tid)
{
	struct process *p = NULL;

	if (tid <= 0 || tid >= PID_MAX)
		return NULL;
	mutex_lock(&tasks_lock);
	if (by_tid[tid])
		p = process_get(by_tid[tid]->process);
	mutex_unlock(&tasks_lock);
	return p;
}

int process_for_each(int (*fn)(struct process *p, void *arg), void *arg)
{
	struct process *p;
	int r = 0;

	mutex_lock(&tasks_lock);
	for (int from = 1; r == 0 && (p = process_next_locked(from)) != NULL;) {
		from = p->pid + 1; /* fn may be the end of p */
		r = fn(p, arg);
	}
	mutex_unlock(&tasks_lock);
	return r;
}

int process_next_pid(int from)
{
	struct process *p;
	int found;

	mutex_lock(&tasks_lock);
	p = process_next_locked(from);
	found = p ? p->pid : -1;
	mutex_unlock(&tasks_lock);
	return found;
}

int process_next_tid(const struct process *p, int from)
{
	struct task *t;
	int found = -1;

	mutex_lock(&tasks_lock);
	list_for_each_entry(t, &p->threads, thread_node)
		if (t->tid >= from && (found < 0 || t->tid < found))
			found = t->tid;
	mutex_unlock(&tasks_lock);
	return found;
}

/* ---- objects ---- */

struct session *session_new(int sid)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	refcount_init(&s->refs, 1);
	s->sid = sid;
	return s;
}

void session_put(struct session *s)
{
	if (!s || !refcount_dec(&s->refs))
		return;
	pid_put(s->numbers);
	free(s);
}

struct process *process_new(void)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	refcount_init(&p->refs, 1);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->threads);
	waitqueue_init(&p->child_wq);
	waitqueue_init(&p->pidfd_wq);
	waitqueue_init(&p->job_wq);
	sigpending_init(&p->shared_pending);
	list_init(&p->forks);
	mutex_init(&p->sig_lock);
	mutex_init(&p->limits_lock);
	mutex_init(&p->exec_lock);
	p->exit_signal = L_SIGCHLD;
	p->dumpable = true;
	p->coredump_filter = L_COREDUMP_FILTER_DEFAULT;
	p->start_ns = host_clock_ns(L_CLOCK_BOOTTIME);
	return p;
}

struct process *process_get(struct process *p)
{
	refcount_inc(&p->refs);
	return p;
}

void process_put(struct process *p)
{
	if (!p || !refcount_dec(&p->refs))
		return;
	sigpending_drop(&p->shared_pending, p, ~0ull);
	process_timers_free(p->timers);
	session_put(p->session);
	pid_put(p->numbers);
	pid_put(p->pgrp_numbers);
	if (p->exe)
		file_put(p->exe);
	free(p->exe_name);
	waitqueue_destroy(&p->child_wq);
	waitqueue_destroy(&p->pidfd_wq);
	waitqueue_destroy(&p->job_wq);
	mutex_destroy(&p->sig_lock);
	mutex_destroy(&p->limits_lock);
	mutex_destroy(&p->exec_lock);
	free(p);
}

struct task *task_new(struct process *p)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	refcount_init(&t->refs, 1);
	list_init(&t->thread_node);
	list_init(&t->trace.node);
	list_init(&t->tracees);
	mutex_init(&t->alloc_lock);
	sleeper_init(&t->sleeper);
	atomic_init(&t->answers_stale, true);
	atomic_init(&t->mask_kept, true);
	sigpending_init(&t->pending);
	t->altstack.ss_flags = L_SS_DISABLE;
	t->process = process_get(p);
	t->state = 'R';
	t->timer_slack_default_ns = L_TIMER_SLACK_DEFAULT;
	t->mce_policy = L_PR_MCE_KILL_DEFAULT;
	task_first_ns(t);
	return t;
}

struct task *task_get(struct task *t)
{
	refcount_inc(&t->refs);
	return t;
}

/* Everything a live task holds is let go in task_exit; what is left goes here. */
void task_put(struct task *t)
{
	if (!t || !refcount_dec(&t->refs))
		return;
	sigpending_drop(&t->pending, t->process, ~0ull); /* of a task that never ran: task_exit does it for others */
	sem_undos_leave(t); /* as above */
	if (t->files)
		fdtable_put(t->files);
	if (t->fs)
		fs_info_put(t->fs);
	task_drop_ns(t);
	mm_put(t->mm);
	sighand_put(t->sighand);
	cred_put(t->cred);
	seccomp_drop(t);
	process_put(t->process);
	pid_put(t->numbers);
	pid_put(t->old_numbers);
	free(t->start);
	free(t->trace.xstate);
	mutex_destroy(&t->alloc_lock);
	free(t);
}

/* ---- parts, for others to look at ---- */

bool task_killed(const struct task *t)
{
	struct task *exec = t->process->group_exec;

	return t->process->group_exiting || (exec && exec != t);
}

struct mm *task_get_mm(struct task *t)
{
	struct mm *mm;

	mutex_lock(&t->alloc_lock);
	mm = t->mm ? mm_get(t->mm) : NULL;
	mutex_unlock(&t->alloc_lock);
	return mm;
}

struct fdtable *task_get_files(struct task *t)
{
	struct fdtable *files;

	mutex_lock(&t->alloc_lock);
	files = t->files ? fdtable_get(t->files) : NULL;
	mutex_unlock(&t->alloc_lock);
	return files;
}

struct fs_info *task_get_fs(struct task *t)
{
	struct fs_info *fs;

	mutex_lock(&t->alloc_lock);
	fs = t->fs ? fs_info_get(t->fs) : NULL;
	mutex_unlock(&t->alloc_lock);
	return fs;
}

const struct cred *task_get_cred(struct task *t)
{
	const struct cred *c;

	mutex_lock(&t->alloc_lock);
	c = cred_get(t->cred);
	mutex_unlock(&t->alloc_lock);
	return c;
}

uint32_t task_uid(struct task *t)
{
	uint32_t uid;

	mutex_lock(&t->alloc_lock);
	uid = t->cred->uid;
	mutex_unlock(&t->alloc_lock);
	return uid;
}

void task_set_cred(struct task *t, const struct cred *c)
{
	const struct cred *old = t->cred; /* which t alone replaces */

	if (old)
		cred_settle((struct cred *)c, old); /* nobody else knows of it yet */
	if (t->mm)
		pas_had_by(t->mm->as, c->owner);
	mutex_lock(&t->alloc_lock);
	t->cred = c;
	mutex_unlock(&t->alloc_lock);
	atomic_store(&t->answers_stale, true);
	if (old && (old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid ||
		    !cred_caps_within(c, old))) {
		t->process->dumpable = false;
		t->process->pdeathsig = 0;
	}
	cred_put(old);
}

void task_get_comm(struct task *t, char comm[TASK_COMM_LEN])
{
	mutex_lock(&t->alloc_lock);
	memcpy(comm, t->comm, TASK_COMM_LEN);
	mutex_unlock(&t->alloc_lock);
}

void task_get_sched(struct task *t, struct sched_params *out)
{
	mutex_lock(&t->alloc_lock);
	*out = t->sched;
	mutex_unlock(&t->alloc_lock);
}

void process_rlimits(struct process *p, unsigned resource, struct l_rlimit64 *out)
{
	mutex_lock(&p->limits_lock);
	*out = p->rlimits[resource];
	mutex_unlock(&p->limits_lock);
}

uint64_t process_rlimit(struct process *p, unsigned resource)
{
	struct l_rlimit64 l;

	process_rlimits(p, resource, &l);
	return l.rlim_cur;
}

int task_fd_limit(struct task *t)
{
	return (int)min_of(process_rlimit(t->process, L_RLIMIT_NOFILE), (uint64_t)INT32_MAX);
}

long task_install(struct task *t, struct file *f, bool cloexec)
{
	int fd = fd_install(t->files, f, 0, task_fd_limit(t), cloexec);

	if (fd < 0)
		file_put(f);
	return fd;
}
