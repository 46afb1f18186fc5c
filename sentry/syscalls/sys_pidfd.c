/* The pidfd calls.  What a pidfd says by itself (poll, fdinfo, ioctl) is in sentry/fs/anon/pidfd.c. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/wait.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"

long sys_pidfd_open(struct task *t, const struct sys_args *args)
{
	uint32_t flags = (uint32_t)args->a[1];
	int pid = (int)args->a[0], r;
	struct task *o;
	struct file *f;

	if ((flags & ~(uint32_t)(L_PIDFD_NONBLOCK | L_PIDFD_THREAD)) || pid <= 0)
		return -EINVAL;
	o = task_named(t, pid);
	if (!o)
		return -ESRCH;
	if (o->tid != o->process->pid && !(flags & L_PIDFD_THREAD))
		r = -ENOENT;
	else
		r = pidfd_file_new(o->process, flags & L_PIDFD_THREAD ? o : NULL, flags, t->cred, &f);
	task_put(o);
	return r < 0 ? r : task_install(t, f, true);
}

/* What a pidfd argument stands for, both counted; thread is NULL if the process as a whole is meant. */
struct pidfd_target {
	struct process *process;
	struct task *thread;
};

static void target_put(struct pidfd_target *target)
{
	task_put(target->thread);
	process_put(target->process);
}

/* A pidfd, a directory /proc/PID, or one of PIDFD_SELF_*.  -EBADF. */
static int arg_pidfd(struct task *t, uint64_t fd, bool proc_dir_ok, struct pidfd_target *out)
{
	struct process *p;
	struct file *f;
	int r;

	*out = (struct pidfd_target){NULL, NULL};
	if ((int)fd == L_PIDFD_SELF_THREAD || (int)fd == L_PIDFD_SELF_THREAD_GROUP) {
		out->process = process_get(t->process);
		out->thread = (int)fd == L_PIDFD_SELF_THREAD ? task_get(t) : NULL;
		return 0;
	}
	r = arg_file(t, fd, &f);
	if (r < 0)
		return r;
	if (pidfd_file_is(f)) {
		out->process = process_get(pidfd_process(f));
		out->thread = pidfd_thread(f) ? task_get(pidfd_thread(f)) : NULL;
	} else {
		p = proc_dir_ok ? proc_process_of(f) : NULL;
		out->process = p ? process_get(p) : NULL;
		r = p ? 0 : -EBADF;
	}
	file_put(f);
	return r;
}

/* ---- signals ---- */

static int target_alive(const struct pidfd_target *target) REQUIRES(tasks_lock)
{
	if (target->thread && target->thread->dead && target->thread->tid != target->process->pid)
		return -ESRCH;
	return target->process->reaped ? -ESRCH : 0;
}

static int send_to_target(struct task *t, const struct pidfd_target *target, unsigned scope, const struct l_siginfo *info)
{
	struct process *p = target->process;
	struct task *to = NULL;
	int r;

	mutex_lock(&tasks_lock);
	r = target_alive(target);
	if (r == 0 && !signal_permitted(t, target->thread ? target->thread : process_leader(p), info->si_signo))
		r = -EPERM;
	if (r == 0 && scope == L_PIDFD_SIGNAL_THREAD)
		to = task_get(target->thread ? target->thread : process_any_task(p));
	else if (r == 0 && info->si_signo)
		r = signal_send_process_locked(p, info);
	mutex_unlock(&tasks_lock);
	if (to && info->si_signo)
		r = signal_send_task(to, info);
	task_put(to);
	return r;
}

long sys_pidfd_send_signal(struct task *t, const struct sys_args *args)
{
	unsigned scope = (unsigned)args->a[3];
	int sig = (int)args->a[1], own, r;
	struct pidfd_target target;
	struct l_siginfo info;

	if (scope & ~(L_PIDFD_SIGNAL_THREAD | L_PIDFD_SIGNAL_THREAD_GROUP | L_PIDFD_SIGNAL_PROCESS_GROUP) ||
	    (scope & (scope - 1)))
		return -EINVAL;
	r = arg_pidfd(t, args->a[0], true, &target);
	if (r < 0)
		return r;
	if (!scope)
		scope = target.thread ? L_PIDFD_SIGNAL_THREAD : L_PIDFD_SIGNAL_THREAD_GROUP;
	if (!process_nr(target.process, task_pid_ns(t))) {
		target_put(&target);
		return -EINVAL; /* it is not to be seen from here */
	}
	own = target.process == t->process && scope != L_PIDFD_SIGNAL_PROCESS_GROUP;
	if (args->a[2]) {
		r = copy_in(t->ctx, &info, args->a[2], sizeof(info));
		if (r == 0)
			r = signal_check_layout(&info);
		if (r == 0 && signal_has_sender(&info))
			info.kill.uid = cred_read_uid(t->cred, info.kill.uid);
		if (r == 0 && info.si_signo != sig)
			r = -EINVAL;
		if (r == 0 && !own && (info.si_code >= 0 || info.si_code == L_SI_TKILL))
			r = -EPERM;
	} else {
		signal_fill_user(&info, sig, L_SI_USER, t);
	}
	if (r == 0 && (sig < 0 || sig > L_NSIG))
		r = -EINVAL;
	if (r == 0 && scope == L_PIDFD_SIGNAL_PROCESS_GROUP)
		r = signal_send_pgrp_from(t, target.thread ? target.thread->tid : target.process->pid, &info);
	else if (r == 0)
		r = send_to_target(t, &target, scope, &info);
	target_put(&target);
	return r;
}

/* ---- what is the other's ---- */

/* A task of target that is not past its parts; counted; NULL: gone. */
static struct task *live_task(const struct pidfd_target *target)
{
	struct task *o = target->thread, *first;

	mutex_lock(&tasks_lock);
	if (!o && !list_empty(&target->process->threads)) {
		first = list_first_entry(&target->process->threads, struct task, thread_node);
		o = first;
	}
	if (o && o->dead)
		o = NULL;
	if (o)
		task_get(o);
	mutex_unlock(&tasks_lock);
	return o;
}

static int take_file(struct task *t, struct task *o, int fd, struct file **out)
{
	struct fdtable *files;

	if (proc_may_access(o, t->cred) < 0)
		return -EPERM;
	files = task_get_files(o);
	if (!files)
		return -ESRCH;
	*out = fd_lookup_path_ok(files, fd);
	fdtable_put(files);
	return *out ? 0 : -EBADF;
}

long sys_pidfd_getfd(struct task *t, const struct sys_args *args)
{
	struct pidfd_target target;
	struct task *o;
	struct file *f;
	int r;

	if ((uint32_t)args->a[2])
		return -EINVAL;
	r = arg_pidfd(t, args->a[0], false, &target);
	if (r < 0)
		return r;
	o = live_task(&target);
	r = o ? take_file(t, o, (int)args->a[1], &f) : -ESRCH;
	task_put(o);
	target_put(&target);
	return r < 0 ? r : task_install(t, f, true);
}

/* Memory goes with the stub that held it: a process that is being killed needs no help, only an answer. */
long sys_process_mrelease(struct task *t, const struct sys_args *args)
{
	struct pidfd_target target;
	struct task *o;
	int r;

	if ((uint32_t)args->a[1])
		return -EINVAL;
	r = arg_pidfd(t, args->a[0], false, &target);
	if (r < 0)
		return r;
	o = live_task(&target);
	if (!o)
		r = -ESRCH;
	else
		r = target.process->group_exiting ? 0 : -EINVAL;
	task_put(o);
	target_put(&target);
	return r;
}

static bool advice_for_others(int advice)
{
	return advice == L_MADV_COLD || advice == L_MADV_PAGEOUT || advice == L_MADV_WILLNEED ||
	       advice == L_MADV_COLLAPSE;
}

/* Advises the ranges of iov; bytes done, or the error if none was. */
static long advise_ranges(struct task *t, struct mm *mm, const struct ua_iov *iov, int advice)
{
	uint64_t done = 0;
	int r = 0;

	for (size_t i = 0; i < iov->count && r == 0; i++) {
		uint64_t addr = iov->v[i].iov_base, len = iov->v[i].iov_len;

		r = mm == t->mm ? mm_advise(t, mm, addr, len, advice) : mm_check_mapped(mm, addr, len);
		if (r == 0)
			done += len;
	}
	return done ? (long)done : r;
}

static long advise_target(struct task *t, const struct pidfd_target *target, const struct ua_iov *iov, int advice)
{
	struct task *o = live_task(target);
	struct mm *mm = o ? task_get_mm(o) : NULL;
	long r;

	if (!mm)
		r = -ESRCH;
	else if (proc_may_access(o, t->cred) < 0)
		r = -EPERM;
	else if (mm != t->mm && !advice_for_others(advice))
		r = -EINVAL;
	else if (mm != t->mm && !cred_capable(t->cred, L_CAP_SYS_NICE))
		r = -EPERM;
	else
		r = advise_ranges(t, mm, iov, advice);
	if (mm)
		mm_put(mm);
	task_put(o);
	return r;
}

/* To others only hints can be given, and hints change nothing that could be seen: their ranges are checked, no more. */
long sys_process_madvise(struct task *t, const struct sys_args *args)
{
	struct pidfd_target target;
	struct ua_iov iov;
	long r;

	if ((uint32_t)args->a[4])
		return -EINVAL;
	r = ua_iov_import(t->ctx, args->a[1], args->a[2], &iov);
	if (r < 0)
		return r;
	r = arg_pidfd(t, args->a[0], false, &target);
	if (r == 0) {
		r = advise_target(t, &target, &iov, (int)args->a[3]);
		target_put(&target);
	}
	ua_iov_free(&iov);
	return r;
}
