/* clone(2): making tasks and processes, and the first steps of a new task's thread. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/sched.h"
#include "abi/wait.h"
#include "base/checked.h"
#include "platform/placement.h"
#include "sentry/entry/entry.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/ipc/sysv.h"
#include "sentry/mm/mm.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/namespaces.h"
#include "sentry/task/pidns.h"
#include "sentry/task/rseq.h"
#include "sentry/time/timers.h"
#include "sentry/vfs/windows.h"

/* Which flags need or exclude which: clone(2), ERRORS. */
static int check_flags(const struct task *t, const struct clone_request *req)
{
	uint64_t f = req->flags;

	if ((f & L_CLONE_THREAD) && !(f & L_CLONE_SIGHAND))
		return -EINVAL;
	if ((f & L_CLONE_SIGHAND) && !(f & L_CLONE_VM))
		return -EINVAL;
	if ((f & L_CLONE_FS) && (f & L_CLONE_NEWNS))
		return -EINVAL;
	if ((f & L_CLONE_PARENT) && t->process->unkillable)
		return -EINVAL; /* pid 1 has no siblings */
	if ((f & L_CLONE_THREAD) && (f & (L_CLONE_NEWPID | L_CLONE_NEWUSER)))
		return -EINVAL;
	if ((f & L_CLONE_THREAD) && t->ns[NS_PID] != pid_ns_common(task_pid_ns(t)))
		return -EINVAL; /* it could not be in another namespace than its process */
	if ((f & L_CLONE_FS) && (f & L_CLONE_NEWUSER))
		return -EINVAL;
	if ((f & L_CLONE_NEWIPC) && (f & L_CLONE_SYSVSEM))
		return -EINVAL;
	if ((f & L_CLONE_PIDFD) && ((f & L_CLONE_DETACHED) || ((f & L_CLONE_PARENT_SETTID) && req->pidfd == req->parent_tid)))
		return -EINVAL;
	return task_may_new_ns(t, f);
}

struct user_count {
	uint32_t uid;
	uint64_t tasks;
};

static int count_of_user(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct user_count *n = arg;
	struct task *t;

	list_for_each_entry(t, &p->threads, thread_node)
		n->tasks += task_uid(t) == n->uid;
	return 0;
}

/* Threads count, and belong to their real user.  Only when there are that many of all users are they counted. */
static int check_process_limit(struct task *t)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_NPROC);
	struct user_count n = {.uid = t->cred->uid};

	if (cred_capable(t->cred, L_CAP_SYS_RESOURCE) || cred_capable(t->cred, L_CAP_SYS_ADMIN) || t->cred->uid == 0)
		return 0;
	if ((uint64_t)task_count() < limit)
		return 0;
	process_for_each(count_of_user, &n);
	return n.tasks >= limit ? -EAGAIN : 0;
}

/* What the child starts with: the parent's registers and vector state, with the changes clone asks for. */
static int capture_state(struct task *t, const struct clone_request *req, struct clone_start **out)
{
	size_t cap = platform_xstate_size(sandbox_platform());
	struct clone_start *s = calloc(1, sizeof(*s) + cap);
	ssize_t n;
	int r;

	if (!s)
		return -ENOMEM;
	r = pctx_get_regs(t->ctx, &s->regs);
	if (r < 0)
		goto out_free;
	n = pctx_get_xstate(t->ctx, s->xstate, cap);
	if (n < 0) {
		r = (int)n;
		goto out_free;
	}
	s->xstate_size = (size_t)n;
	s->regs.rax = 0;
	if (req->stack)
		s->regs.rsp = req->stack;
	if (req->flags & L_CLONE_SETTLS)
		s->regs.fs_base = req->tls;
	s->set_child_tid = (req->flags & L_CLONE_CHILD_SETTID) != 0;
	s->child_tid = req->child_tid;
	*out = s;
	return 0;

out_free:
	free(s);
	return r;
}

/* A process for a child that is not a thread: inherits what fork(2) says it does. */
static struct process *inherit_process(struct task *t, int exit_signal)
{
	struct process *from = t->process, *p = process_new();

	if (!p)
		return NULL;
	p->exit_signal = exit_signal;
	p->personality = from->personality;
	p->dumpable = from->dumpable;
	p->thp_disable = from->thp_disable;
	p->memory_merge = from->memory_merge;
	p->oom_score_adj = from->oom_score_adj;
	p->coredump_filter = from->coredump_filter;
	mutex_lock(&from->limits_lock);
	memcpy(p->rlimits, from->rlimits, sizeof(p->rlimits));
	mutex_unlock(&from->limits_lock);
	mutex_lock(&from->exec_lock);
	if (from->exe)
		p->exe = file_get(from->exe);
	if (from->exe_name)
		p->exe_name = strdup(from->exe_name);
	mutex_unlock(&from->exec_lock);
	return p;
}

static void inherit_sched(struct task *t, struct task *child)
{
	mutex_lock(&t->alloc_lock);
	child->mem_policy = t->mem_policy;
	child->sched = t->sched;
	mutex_unlock(&t->alloc_lock);
	if (!child->sched.reset_on_fork)
		return;
	if (child->sched.rt_priority) {
		child->sched.policy = L_SCHED_NORMAL;
		child->sched.rt_priority = 0;
	}
	child->nice = max_of(child->nice, 0);
	child->sched.reset_on_fork = false;
}

/* The table is about to be used from two address spaces. */
static void end_windows(struct task *t)
{
	fdtable_no_windows(t->files);
	mm_clean_windows(t);
}

/* The parts a child shares or copies.  On failure the child's put frees what it got. */
static int inherit_parts(struct task *t, struct task *child, uint64_t flags)
{
	int r = 0;

	if (flags & L_CLONE_FILES) {
		if (!(flags & L_CLONE_VM))
			end_windows(t);
		child->files = fdtable_get(t->files);
	} else {
		r = fdtable_copy(t->files, &child->files);
	}
	if (r < 0)
		return r;
	child->fs = flags & L_CLONE_FS ? fs_info_get(t->fs) : fs_info_copy(t->fs);
	child->sighand = flags & L_CLONE_SIGHAND ? sighand_get(t->sighand) : sighand_copy(t->sighand);
	if (!child->files || !child->fs || !child->sighand)
		return -ENOMEM;
	if (flags & L_CLONE_CLEAR_SIGHAND)
		sighand_reset(child->sighand, false);
	if (flags & L_CLONE_SYSVSEM) {
		child->sem_undos = sem_undos_share(t);
		if (!child->sem_undos)
			return -ENOMEM;
	}
	child->cred = cred_get(t->cred);
	child->blocked = t->restore_mask ? t->saved_mask : t->blocked;
	child->nice = t->nice;
	inherit_sched(t, child);
	child->timer_slack_default_ns = task_timer_slack(t);
	child->mce_policy = t->mce_policy;
	child->io_flusher = t->io_flusher;
	if (!(flags & L_CLONE_VM) || (flags & L_CLONE_VFORK))
		child->altstack = t->altstack;
	task_get_comm(t, child->comm);
	if (!(flags & L_CLONE_VM))
		rseq_inherit(t, child);
	return task_inherit_ns(t, child, flags);
}

/* The child's host side: another thread of the stub, or a fork of the stub. */
static int make_context(struct task *t, struct task *child, uint64_t flags)
{
	struct pas *as;
	int r;

	if (flags & L_CLONE_VM) {
		r = pctx_spawn(t->mm->as, t->ctx, &child->ctx);
		if (r == 0)
			child->mm = mm_get(t->mm);
		return r;
	}
	r = pas_fork(t->ctx, &as, &child->ctx);
	if (r < 0)
		return r;
	r = mm_fork(t->mm, as, &child->mm);
	if (r < 0) {
		pctx_destroy(child->ctx);
		child->ctx = NULL;
	}
	return r;
}

/* Gives t a descriptor of the child's (CLONE_PIDFD) and tells its number: that, or -errno. */
static int install_pidfd(struct task *t, struct task *child, const struct clone_request *req)
{
	bool thread = (req->flags & L_CLONE_THREAD) != 0;
	struct file *f;
	int32_t fd;
	int r;

	r = pidfd_file_new(child->process, thread ? child : NULL, thread ? L_PIDFD_THREAD : 0, t->cred, &f);
	if (r < 0)
		return r;
	fd = (int32_t)task_install(t, f, true);
	if (fd < 0)
		return fd;
	r = copy_out(t->ctx, req->pidfd, &fd, sizeof(fd));
	if (r == 0)
		return fd;
	(void)!fd_close(t->files, fd);
	return r;
}

/* Whether the parent has something to see to before it may have a child: its end, or a signal.  tasks_lock held. */
static bool has_news(struct task *t)
{
	return task_killed(t) || signal_pending(t) || (signal_pending_set(t) & ~t->blocked);
}

/* Its tid, with which it is in the table, and what that is elsewhere.  tasks_lock held. */
static int assign_numbers(struct task *child, const struct pid_choice *choice) REQUIRES(tasks_lock)
{
	struct pid *numbers;
	int r = pid_chosen_global(choice, child->ns[NS_PID]);

	if (r >= 0)
		r = r ? tid_take(child, r) : tid_assign(child);
	if (r < 0)
		return r;
	r = pid_alloc(child, child->ns[NS_PID], choice, &numbers);
	if (r < 0) {
		tid_release(child);
		task_put(child); /* the table's; the caller has its own */
		return r;
	}
	child->numbers = numbers;
	return 0;
}

/* From here on until fork_end what is sent to several processes is noted for the child.  What came before is the parent's alone. */
static void fork_begin(struct task *t, struct fork_signals *f, bool process)
{
	list_init(&f->node);
	f->set = 0;
	if (!process)
		return;
	mutex_lock(&t->process->sig_lock);
	list_add_tail(&f->node, &t->process->forks);
	mutex_unlock(&t->process->sig_lock);
}

static void fork_end(struct task *t, struct fork_signals *f)
{
	mutex_lock(&t->process->sig_lock);
	list_del_init(&f->node);
	mutex_unlock(&t->process->sig_lock);
}

/* The child, a process that is in the tree just now, has pending what was noted for it; without siginfo, as on Linux. */
static void take_noted(struct task *t, struct task *child, struct fork_signals *f) REQUIRES(tasks_lock)
{
	struct process *p = child->process;

	fork_end(t, f);
	if (!f->set)
		return;
	mutex_lock(&p->sig_lock);
	p->shared_pending.set |= f->set;
	mutex_unlock(&p->sig_lock);
	sleeper_set_interrupt_self(&child->sleeper, true); /* nobody wakes it for these: it looks first thing */
}

/* Enters the child into the tree, unless there is news for the parent: -ERESTARTNOINTR. */
static int link_child(struct task *t, struct task *child, const struct clone_request *req, int event, struct fork_signals *noted)
{
	uint64_t flags = req->flags;
	struct process *p = child->process, *parent;
	int r;

	mutex_lock(&tasks_lock);
	if (has_news(t)) {
		r = -ERESTARTNOINTR;
		goto out;
	}
	r = assign_numbers(child, req->choice);
	if (r < 0)
		goto out;
	list_add_tail(&child->thread_node, &p->threads);
	p->thread_count++;
	p->live_count++;
	seccomp_inherit(t, child);
	if (event)
		trace_inherit(t, child);
	if (flags & L_CLONE_THREAD) {
		/* It was not there to be woken by a stop or a signal of the process: it looks first thing. */
		sleeper_set_interrupt_self(&child->sleeper, true);
		goto out;
	}
	if (flags & L_CLONE_PARENT)
		p->exit_signal = t->process->exit_signal;
	parent = flags & L_CLONE_PARENT ? t->process->parent : t->process;
	p->parent_thread = flags & L_CLONE_PARENT ? t->process->parent_thread : t;
	p->pid = child->tid;
	p->numbers = pid_get(child->numbers);
	pid_ns_begin(p);
	p->parent = parent;
	list_add_tail(&p->sibling, &parent->children);
	p->pgid = t->process->pgid;
	p->pgrp_numbers = pid_get(t->process->pgrp_numbers);
	refcount_inc(&t->process->session->refs);
	p->session = t->process->session;
	take_noted(t, child, noted);
out:
	mutex_unlock(&tasks_lock);
	return r;
}

static void unlink_child(struct task *child, uint64_t flags)
{
	mutex_lock(&tasks_lock);
	list_del_init(&child->thread_node);
	child->process->thread_count--;
	child->process->live_count--;
	if (!(flags & L_CLONE_THREAD))
		list_del_init(&child->process->sibling);
	trace_unlink(child);
	tid_release(child);
	mutex_unlock(&tasks_lock);
	waitqueue_wake(&child->process->job_wq, 0); /* an exec may wait for just this */
	task_put(child); /* the table's */
}

static struct vfork_completion *vfork_completion_new(void)
{
	struct vfork_completion *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	refcount_init(&v->refs, 2); /* the parent's and the child's */
	waitqueue_init(&v->wq);
	return v;
}

static void vfork_completion_put(struct vfork_completion *v)
{
	if (!refcount_dec(&v->refs))
		return;
	waitqueue_destroy(&v->wq);
	free(v);
}

void vfork_complete(struct task *t)
{
	struct vfork_completion *v = t->vfork;

	if (!v)
		return;
	t->vfork = NULL;
	v->done = true;
	waitqueue_wake(&v->wq, 0);
	vfork_completion_put(v);
}

/* The parent of a vfork child sleeps here; only its own death gets it out early.  Consumes v. */
static void vfork_wait(struct task *t, struct vfork_completion *v)
{
	struct wait_entry e;

	wait_entry_init_sleeper(&e, &t->sleeper);
	waitqueue_add(&v->wq, &e);
	for (;;) {
		sleeper_arm(&t->sleeper);
		if (v->done || task_killed(t))
			break;
		if (sleeper_sleep_uninterruptible(&t->sleeper, NO_DEADLINE) < 0)
			break;
	}
	waitqueue_remove(&e);
	vfork_completion_put(v);
}

static long make_child(struct task *t, const struct clone_request *req, struct fork_signals *noted)
{
	struct vfork_completion *vfork = NULL;
	struct process *p;
	struct task *child;
	int pidfd = -1, event, r;
	long tid, nr;

	r = check_process_limit(t);
	if (r < 0)
		return r;
	p = req->flags & L_CLONE_THREAD ? process_get(t->process) : inherit_process(t, req->exit_signal);
	if (!p)
		return -ENOMEM;
	child = task_new(p);
	process_put(p);
	if (!child)
		return -ENOMEM;
	r = inherit_parts(t, child, req->flags);
	if (r < 0)
		goto out_child;
	event = trace_clone_event(t, req->flags, req->exit_signal);
	if (event) {
		child->trace.xstate = malloc(platform_xstate_size(sandbox_platform()));
		if (!child->trace.xstate) {
			r = -ENOMEM;
			goto out_child;
		}
	}
	if (req->flags & L_CLONE_CHILD_CLEARTID)
		child->clear_child_tid = req->child_tid;
	r = capture_state(t, req, &child->start);
	if (r < 0)
		goto out_child;
	r = make_context(t, child, req->flags);
	if (r < 0)
		goto out_child;
	if (req->flags & L_CLONE_VFORK) {
		vfork = vfork_completion_new();
		if (!vfork) {
			r = -ENOMEM;
			goto out_context;
		}
	}
	if (req->flags & L_CLONE_PIDFD) {
		r = pidfd = install_pidfd(t, child, req);
		if (r < 0)
			goto out_vfork;
	}
	r = link_child(t, child, req, event, noted);
	if (r < 0)
		goto out_pidfd;
	tid = child->tid;
	nr = task_nr(child, task_pid_ns(t));
	if (req->flags & L_CLONE_PARENT_SETTID) {
		int32_t tid32 = (int32_t)nr;

		(void)!copy_out(t->ctx, req->parent_tid, &tid32, sizeof(tid32)); /* Linux ignores a fault here, too */
	}
	child->vfork = vfork;
	r = task_start_thread(child);
	if (r < 0) {
		child->vfork = NULL;
		unlink_child(child, req->flags);
		goto out_pidfd;
	}
	trace_clone(t, event, (int)tid);
	if (vfork) {
		vfork_wait(t, vfork);
		trace_vfork_done(t, (int)tid);
	}
	return nr;

out_pidfd:
	if (pidfd >= 0)
		(void)!fd_close(t->files, pidfd);
out_vfork:
	if (vfork) {
		refcount_init(&vfork->refs, 1);
		vfork_completion_put(vfork);
	}
out_context:
	pctx_destroy(child->ctx);
	child->ctx = NULL;
out_child:
	task_put(child);
	return r;
}

long task_clone(struct task *t, const struct clone_request *req)
{
	struct fork_signals noted;
	long r = check_flags(t, req);

	if (r < 0)
		return r;
	fork_begin(t, &noted, !(req->flags & L_CLONE_THREAD));
	r = signal_pending(t) ? -ERESTARTNOINTR : make_child(t, req, &noted); /* link_child looks again */
	fork_end(t, &noted);
	return r;
}

/* ---- the new task's own thread ---- */

/* Affinity is inherited, or may have been set from outside before this thread was there: applies it. */
static void apply_affinity(struct task *t)
{
	struct sched_params s;

	mutex_lock(&t->alloc_lock);
	s = t->sched;
	mutex_unlock(&t->alloc_lock);
	if (s.has_cpus)
		placement_allow(t->host_tid, s.cpus, sizeof(s.cpus));
}

static int load_start(struct task *t)
{
	struct clone_start *s = t->start;
	int r = pctx_attach(t->ctx);

	if (r < 0)
		return r;
	apply_affinity(t);
	r = pctx_set_regs(t->ctx, &s->regs);
	if (r < 0)
		return r;
	r = pctx_set_xstate(t->ctx, s->xstate, s->xstate_size);
	if (r < 0)
		return r;
	rseq_start(t);
	if (s->set_child_tid) {
		int32_t tid = task_own_nr(t);

		(void)!copy_out(t->ctx, s->child_tid, &tid, sizeof(tid)); /* a fault is the guest's own affair */
	}
	t->start = NULL;
	free(s);
	return 0;
}

static void *thread_main(void *arg)
{
	struct task *t = arg;

	task_set_current(t);
	if (t->tid == t->process->pid)
		process_watch_cpu_limit(t->process);
	process_watch_rt_limit(t->process); /* the policy is inherited */
	if (load_start(t) == 0)
		task_run(t);
	else
		process_group_exit(t, L_SIGKILL);
	task_exit(t, t->exit_code);
	task_set_current(NULL);
	task_put(t);
	return NULL;
}

int task_start_thread(struct task *t)
{
	return sentry_thread_start(thread_main, t);
}
