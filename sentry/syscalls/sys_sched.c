/*
 * Scheduling calls.  The host schedules; what a guest asks of priorities is kept and shown again but has no effect
 * (DIVERGES), and its affinity is its own view of the CPUs it was given.
 */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "base/checked.h"
#include "host/clock.h"
#include "host/system.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

long sys_sched_yield(struct task *t, const struct sys_args *args)
{
	host_yield();
	return 0;
}

/* The task a call names (0: the caller), counted. */
static struct task *task_arg(struct task *t, int pid)
{
	return pid == 0 ? task_get(t) : task_find(pid);
}

long sys_sched_getaffinity(struct task *t, const struct sys_args *args)
{
	uint8_t mask[HOST_CPUS_MAX / 8];
	size_t size = args->a[1] > sizeof(mask) ? sizeof(mask) : (size_t)args->a[1], have;
	struct task *o;
	int r;

	if ((uint32_t)args->a[1] * 8ull < host_cpu_count() || (args->a[1] & 7))
		return -EINVAL;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	task_put(o);
	memset(mask, 0, sizeof(mask));
	have = host_cpu_mask(mask, size);
	r = copy_out(t->ctx, args->a[2], mask, have);
	return r < 0 ? r : (long)have;
}

long sys_sched_setaffinity(struct task *t, const struct sys_args *args)
{
	uint8_t want[HOST_CPUS_MAX / 8] = {0}, have[HOST_CPUS_MAX / 8] = {0};
	size_t n = min_of((uint64_t)(uint32_t)args->a[1], sizeof(want));
	struct task *o;
	bool any = false;
	int r = copy_in(t->ctx, want, args->a[2], n);

	if (r < 0)
		return r;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	task_put(o);
	n = host_cpu_mask(have, sizeof(have));
	for (size_t i = 0; i < n; i++)
		any |= (want[i] & have[i]) != 0;
	return any ? 0 : -EINVAL;
}

long sys_getcpu(struct task *t, const struct sys_args *args)
{
	uint32_t cpu = host_current_cpu(), node = 0;
	int r = 0;

	if (args->a[0])
		r = copy_out(t->ctx, args->a[0], &cpu, sizeof(cpu));
	if (r == 0 && args->a[1])
		r = copy_out(t->ctx, args->a[1], &node, sizeof(node));
	return r;
}

static long policy_of(struct task *t, int pid)
{
	struct task *o = pid < 0 ? NULL : task_arg(t, pid);

	if (pid < 0)
		return -EINVAL;
	if (!o)
		return -ESRCH;
	task_put(o);
	return L_SCHED_NORMAL;
}

long sys_sched_getscheduler(struct task *t, const struct sys_args *args)
{
	return policy_of(t, (int)args->a[0]);
}

/* Real-time policies are not granted: that takes a privilege the sentry does not have. */
static long check_policy(int policy, int priority)
{
	switch (policy & ~L_SCHED_RESET_ON_FORK) {
	case L_SCHED_NORMAL:
	case L_SCHED_BATCH:
	case L_SCHED_IDLE:
		return priority == 0 ? 0 : -EINVAL;
	case L_SCHED_FIFO:
	case L_SCHED_RR:
		return priority >= 1 && priority <= 99 ? -EPERM : -EINVAL;
	default:
		return -EINVAL;
	}
}

long sys_sched_setscheduler(struct task *t, const struct sys_args *args)
{
	struct l_sched_param p;
	long r;

	if ((int)args->a[1] < 0 || !args->a[2])
		return -EINVAL;
	r = copy_in(t->ctx, &p, args->a[2], sizeof(p));
	if (r == 0)
		r = policy_of(t, (int)args->a[0]);
	return r < 0 ? r : check_policy((int)args->a[1], p.sched_priority);
}

long sys_sched_getparam(struct task *t, const struct sys_args *args)
{
	struct l_sched_param p = {0};
	long r = args->a[1] ? policy_of(t, (int)args->a[0]) : -EINVAL;

	return r < 0 ? r : copy_out(t->ctx, args->a[1], &p, sizeof(p));
}

long sys_sched_setparam(struct task *t, const struct sys_args *args)
{
	struct l_sched_param p;
	long r = args->a[1] ? copy_in(t->ctx, &p, args->a[1], sizeof(p)) : -EINVAL;

	if (r == 0)
		r = policy_of(t, (int)args->a[0]);
	return r < 0 ? r : check_policy(L_SCHED_NORMAL, p.sched_priority);
}

static long priority_limit(int policy, int real_time)
{
	switch (policy) {
	case L_SCHED_FIFO:
	case L_SCHED_RR:
		return real_time;
	case L_SCHED_NORMAL:
	case L_SCHED_BATCH:
	case L_SCHED_IDLE:
	case L_SCHED_DEADLINE:
		return 0;
	default:
		return -EINVAL;
	}
}

long sys_sched_get_priority_max(struct task *t, const struct sys_args *args)
{
	return priority_limit((int)args->a[0], 99);
}

long sys_sched_get_priority_min(struct task *t, const struct sys_args *args)
{
	return priority_limit((int)args->a[0], 1);
}

/* ---- nice values ---- */

struct nice_walk {
	struct task *caller;
	int which, who;
	bool set;
	int nice; /* to set */
	int best; /* the lowest found, as 20 - nice; 0: none */
	int error;
};

static bool nice_selects(const struct nice_walk *w, const struct process *p, const struct task *o)
{
	switch (w->which) {
	case L_PRIO_PROCESS:
		return o->tid == (w->who ? w->who : w->caller->tid);
	case L_PRIO_PGRP:
		return p->pgid == (w->who ? w->who : w->caller->process->pgid);
	default:
		return o->cred->uid == (w->who ? (uint32_t)w->who : w->caller->cred->uid);
	}
}

static void nice_visit(struct nice_walk *w, struct task *o)
{
	const struct cred *c = w->caller->cred;

	w->best = max_of(w->best, 20 - o->nice);
	if (!w->set)
		return;
	if (o->cred->uid != c->euid && o->cred->euid != c->euid && !cred_capable(c, L_CAP_SYS_NICE)) {
		w->error = -EPERM;
		return;
	}
	if (w->nice < o->nice && !cred_capable(c, L_CAP_SYS_NICE) &&
	    20 - w->nice > (int)min_of(process_rlimit(o->process, L_RLIMIT_NICE), 40ull)) {
		w->error = -EACCES;
		return;
	}
	o->nice = w->nice;
}

static int nice_process(struct process *p, void *arg)
{
	struct nice_walk *w = arg;
	struct task *o;

	list_for_each_entry(o, &p->threads, thread_node)
		if (nice_selects(w, p, o))
			nice_visit(w, o);
	return 0;
}

long sys_getpriority(struct task *t, const struct sys_args *args)
{
	struct nice_walk w = {t, (int)args->a[0], (int)args->a[1], false, 0, 0, 0};

	if (w.which < L_PRIO_PROCESS || w.which > L_PRIO_USER)
		return -EINVAL;
	process_for_each(nice_process, &w);
	return w.best ? w.best : -ESRCH;
}

long sys_setpriority(struct task *t, const struct sys_args *args)
{
	int nice = max_of(-20, min_of(19, (int)args->a[2]));
	struct nice_walk w = {t, (int)args->a[0], (int)args->a[1], true, nice, 0, 0};

	if (w.which < L_PRIO_PROCESS || w.which > L_PRIO_USER)
		return -EINVAL;
	process_for_each(nice_process, &w);
	return w.best ? w.error : -ESRCH;
}
