/*
 * Scheduling calls.  The host schedules; what a guest asks of priorities is kept and shown again but has no effect
 * (DIVERGES).  Affinity has: platform/placement.h.
 */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "base/checked.h"
#include "host/system.h"
#include "platform/placement.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/time/timers.h"

long sys_sched_yield(struct task *t, const struct sys_args *args)
{
	host_yield();
	return 0;
}

/* The task a call names (0: the caller), counted. */
static struct task *task_arg(struct task *t, int pid)
{
	return pid == 0 ? task_get(t) : task_named(t, pid);
}

static struct sched_params sched_of(struct task *o)
{
	struct sched_params s;

	task_get_sched(o, &s);
	return s;
}

/* Whether c may change o's scheduling without CAP_SYS_NICE. */
static bool same_owner(const struct cred *c, struct task *o)
{
	const struct cred *oc = task_get_cred(o);
	bool same = c->euid == oc->euid || c->euid == oc->uid;

	cred_put(oc);
	return same;
}

static bool same_owner_or_capable(const struct cred *c, struct task *o)
{
	const struct cred *oc = task_get_cred(o);
	bool may = same_owner(c, o) || cred_ns_capable(c, oc->user_ns, L_CAP_SYS_NICE);

	cred_put(oc);
	return may;
}

long sys_sched_getaffinity(struct task *t, const struct sys_args *args)
{
	uint8_t mask[HOST_CPUS_MAX / 8] = {0};
	size_t size = min_of((uint64_t)(uint32_t)args->a[1], sizeof(mask)), have;
	struct sched_params s;
	struct task *o;
	int r;

	if ((uint32_t)args->a[1] * 8u < host_cpu_count() || (args->a[1] & 7)) /* which wraps, as Linux's does */
		return -EINVAL;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	s = sched_of(o);
	task_put(o);
	have = min_of(host_cpu_mask(mask, sizeof(mask)), size);
	r = copy_out(t->ctx, args->a[2], s.has_cpus ? s.cpus : mask, have);
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
	host_cpu_mask(have, sizeof(have));
	for (size_t i = 0; i < sizeof(want); i++) {
		want[i] &= have[i];
		any |= want[i] != 0;
	}
	if (!same_owner_or_capable(t->cred, o)) {
		r = -EPERM;
	} else if (!any) {
		r = -EINVAL;
	} else {
		mutex_lock(&o->alloc_lock);
		memcpy(o->sched.cpus, want, sizeof(want));
		o->sched.has_cpus = true;
		mutex_unlock(&o->alloc_lock);
		/* One whose thread is only beginning reads the mask itself, after it has made itself known. */
		if (o->host_tid)
			placement_allow(o->host_tid, want, sizeof(want));
	}
	task_put(o);
	return r;
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

/* ---- policies ---- */

struct sched_change {
	int policy; /* without the flag; -1: as it is */
	int priority, nice;
	bool reset_on_fork, set_nice;
};

static bool policy_real_time(int policy)
{
	return policy == L_SCHED_FIFO || policy == L_SCHED_RR;
}

/* The lowest nice value that o may be given without a privilege: RLIMIT_NICE, getrlimit(2). */
static int nice_floor(struct task *o)
{
	return 20 - (int)min_of(process_rlimit(o->process, L_RLIMIT_NICE), 40ull);
}

/* Whether the change takes CAP_SYS_NICE: sched(7), "Privileges and resource limits". */
static bool needs_privilege(const struct cred *c, struct task *o, const struct sched_params *s, const struct sched_change *want)
{
	uint64_t limit = process_rlimit(o->process, L_RLIMIT_RTPRIO);

	if (policy_real_time(want->policy)) {
		if (want->policy != s->policy && limit == 0)
			return true;
		if (want->priority > s->rt_priority && (uint64_t)want->priority > limit)
			return true;
	} else if (want->set_nice && want->nice < o->nice && want->nice < nice_floor(o)) {
		return true;
	}
	if (s->policy == L_SCHED_IDLE && want->policy != L_SCHED_IDLE && o->nice < nice_floor(o))
		return true;
	return (s->reset_on_fork && !want->reset_on_fork) || !same_owner(c, o);
}

/* Changes o as sched_setattr(2) says it may be. */
static long change_policy(struct task *t, struct task *o, struct sched_change *want)
{
	struct sched_params s = sched_of(o);

	if (want->policy < 0) {
		want->policy = s.policy;
		want->reset_on_fork = s.reset_on_fork;
	}
	switch (want->policy) {
	case L_SCHED_NORMAL:
	case L_SCHED_BATCH:
	case L_SCHED_IDLE:
	case L_SCHED_FIFO:
	case L_SCHED_RR:
		break;
	case L_SCHED_DEADLINE: /* DIVERGES: no bandwidth is ever free for it.  Test: sched.policies */
		return cred_capable(t->cred, L_CAP_SYS_NICE) ? -EBUSY : -EPERM;
	default:
		return -EINVAL;
	}
	if (want->priority < 0 || want->priority > 99 || policy_real_time(want->policy) != (want->priority != 0))
		return -EINVAL;
	if (needs_privilege(t->cred, o, &s, want) && !cred_capable(t->cred, L_CAP_SYS_NICE))
		return -EPERM;
	mutex_lock(&o->alloc_lock);
	o->sched.policy = want->policy;
	o->sched.rt_priority = want->priority;
	o->sched.reset_on_fork = want->reset_on_fork;
	if (want->set_nice && !policy_real_time(want->policy))
		o->nice = want->nice;
	mutex_unlock(&o->alloc_lock);
	if (policy_real_time(want->policy))
		process_watch_rt_limit(o->process);
	return 0;
}

static long change_policy_of(struct task *t, int pid, struct sched_change *want)
{
	struct task *o = task_arg(t, pid);
	long r;

	if (!o)
		return -ESRCH;
	r = change_policy(t, o, want);
	task_put(o);
	return r;
}

long sys_sched_getscheduler(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0];
	struct sched_params s;
	struct task *o;

	if (pid < 0)
		return -EINVAL;
	o = task_arg(t, pid);
	if (!o)
		return -ESRCH;
	s = sched_of(o);
	task_put(o);
	return s.policy | (s.reset_on_fork ? L_SCHED_RESET_ON_FORK : 0);
}

static long set_policy(struct task *t, const struct sys_args *args, uint64_t param, int policy)
{
	struct sched_change want = {.policy = policy};
	struct l_sched_param p;
	int r;

	if (!param || (int)args->a[0] < 0)
		return -EINVAL;
	r = copy_in(t->ctx, &p, param, sizeof(p));
	if (r < 0)
		return r;
	want.priority = p.sched_priority;
	if (policy >= 0) {
		want.reset_on_fork = (policy & L_SCHED_RESET_ON_FORK) != 0;
		want.policy = policy & ~L_SCHED_RESET_ON_FORK;
	}
	return change_policy_of(t, (int)args->a[0], &want);
}

long sys_sched_setscheduler(struct task *t, const struct sys_args *args)
{
	return (int)args->a[1] < 0 ? -EINVAL : set_policy(t, args, args->a[2], (int)args->a[1]);
}

long sys_sched_setparam(struct task *t, const struct sys_args *args)
{
	return set_policy(t, args, args->a[1], -1);
}

long sys_sched_getparam(struct task *t, const struct sys_args *args)
{
	struct l_sched_param p;
	struct task *o;

	if (!args->a[1] || (int)args->a[0] < 0)
		return -EINVAL;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	p.sched_priority = sched_of(o).rt_priority;
	task_put(o);
	return copy_out(t->ctx, args->a[1], &p, sizeof(p));
}

/* Reads an attribute structure of any version; on -E2BIG the size that is known goes out. */
static int copy_in_attr(struct task *t, uint64_t addr, struct l_sched_attr *out)
{
	uint32_t size, known = sizeof(*out);
	uint8_t tail[64];
	int r = copy_in(t->ctx, &size, addr, sizeof(size));

	if (r < 0)
		return r;
	if (!size)
		size = L_SCHED_ATTR_SIZE_VER0;
	if (size < L_SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE)
		goto too_big;
	memset(out, 0, sizeof(*out));
	r = copy_in(t->ctx, out, addr, min_of(size, known));
	for (uint32_t at = known, n; r == 0 && at < size; at += n) {
		n = min_of(size - at, (uint32_t)sizeof(tail));
		r = copy_in(t->ctx, tail, addr + at, n);
		for (uint32_t i = 0; r == 0 && i < n; i++)
			if (tail[i])
				goto too_big;
	}
	if (r == 0 && (out->sched_flags & (L_SCHED_FLAG_UTIL_CLAMP_MIN | L_SCHED_FLAG_UTIL_CLAMP_MAX)) &&
	    size < L_SCHED_ATTR_SIZE_VER1)
		return -EINVAL;
	return r;

too_big:
	(void)!copy_out(t->ctx, addr, &known, sizeof(known)); /* as Linux: E2BIG, whether that could be written or not */
	return -E2BIG;
}

long sys_sched_setattr(struct task *t, const struct sys_args *args)
{
	struct l_sched_attr attr;
	struct sched_change want;
	int r;

	if (!args->a[1] || (int)args->a[0] < 0 || (uint32_t)args->a[2])
		return -EINVAL;
	r = copy_in_attr(t, args->a[1], &attr);
	if (r < 0)
		return r;
	if ((int)attr.sched_policy < 0 || (attr.sched_flags & ~(uint64_t)L_SCHED_FLAG_ALL))
		return -EINVAL;
	if (attr.sched_flags & (L_SCHED_FLAG_UTIL_CLAMP_MIN | L_SCHED_FLAG_UTIL_CLAMP_MAX))
		return -EOPNOTSUPP; /* as a kernel without utilization clamping */
	want = (struct sched_change){
		.policy = attr.sched_flags & L_SCHED_FLAG_KEEP_POLICY ? -1 : (int)attr.sched_policy,
		.priority = (int)min_of(attr.sched_priority, 100u),
		.nice = max_of(-20, min_of(19, attr.sched_nice)),
		.reset_on_fork = (attr.sched_flags & L_SCHED_FLAG_RESET_ON_FORK) != 0,
		.set_nice = !(attr.sched_flags & L_SCHED_FLAG_KEEP_PARAMS),
	};
	return change_policy_of(t, (int)args->a[0], &want);
}

long sys_sched_getattr(struct task *t, const struct sys_args *args)
{
	uint32_t size = (uint32_t)args->a[2];
	struct l_sched_attr attr = {0};
	struct sched_params s;
	struct task *o;
	int r;

	if (!args->a[1] || (int)args->a[0] < 0 || size < L_SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE || (uint32_t)args->a[3])
		return -EINVAL;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	s = sched_of(o);
	attr.size = min_of(size, (uint32_t)sizeof(attr));
	attr.sched_policy = (uint32_t)s.policy;
	attr.sched_flags = s.reset_on_fork ? L_SCHED_FLAG_RESET_ON_FORK : 0;
	attr.sched_priority = (uint32_t)s.rt_priority;
	attr.sched_nice = policy_real_time(s.policy) ? 0 : o->nice;
	task_put(o);
	r = copy_out(t->ctx, args->a[1], &attr, attr.size);
	if (r == 0 && size > sizeof(attr))
		r = clear_out(t->ctx, args->a[1] + sizeof(attr), size - sizeof(attr));
	return r;
}

/* The slice of SCHED_RR is Linux's default; another's is about what its fair scheduler gives. */
long sys_sched_rr_get_interval(struct task *t, const struct sys_args *args)
{
	struct l_timespec ts = {0, 0};
	int policy;
	struct task *o;

	if ((int)args->a[0] < 0)
		return -EINVAL;
	o = task_arg(t, (int)args->a[0]);
	if (!o)
		return -ESRCH;
	policy = sched_of(o).policy;
	task_put(o);
	if (policy != L_SCHED_FIFO)
		ts.tv_nsec = policy == L_SCHED_RR ? 100000000 : 4000000;
	return copy_out(t->ctx, args->a[1], &ts, sizeof(ts));
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
	case L_SCHED_EXT:
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

/* Whose PRIO_USER and IOPRIO_WHO_USER mean: 0 is the caller's; ID_NONE is nobody's. */
static uint32_t user_arg(const struct task *t, int who)
{
	return who ? cred_read_uid(t->cred, (uint32_t)who) : t->cred->uid;
}

struct nice_walk {
	struct task *caller;
	int which, who;
	uint32_t uid; /* who, as a user */
	bool set;
	int nice; /* to set */
	int best; /* the lowest found, as 20 - nice; 0: none */
	int error;
};

static bool nice_selects(const struct nice_walk *w, const struct process *p, struct task *o) REQUIRES(tasks_lock)
{
	switch (w->which) {
	case L_PRIO_PROCESS:
		return w->who ? task_nr(o, task_pid_ns(w->caller)) == w->who : o == w->caller;
	case L_PRIO_PGRP:
		return w->who ? pgrp_nr(p, task_pid_ns(w->caller)) == w->who : p->pgid == w->caller->process->pgid;
	default:
		return task_uid(o) == w->uid;
	}
}

static void nice_visit(struct nice_walk *w, struct task *o)
{
	const struct cred *c = w->caller->cred;

	w->best = max_of(w->best, 20 - o->nice);
	if (!w->set)
		return;
	if (!same_owner_or_capable(c, o)) {
		w->error = -EPERM;
		return;
	}
	if (w->nice < o->nice && !cred_capable(c, L_CAP_SYS_NICE) && w->nice < nice_floor(o)) {
		w->error = -EACCES;
		return;
	}
	mutex_lock(&o->alloc_lock);
	o->nice = w->nice;
	mutex_unlock(&o->alloc_lock);
}

static int nice_process(struct process *p, void *arg) REQUIRES(tasks_lock)
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
	struct nice_walk w = {t, (int)args->a[0], (int)args->a[1], user_arg(t, (int)args->a[1]), false, 0, 0, 0};

	if (w.which < L_PRIO_PROCESS || w.which > L_PRIO_USER)
		return -EINVAL;
	process_for_each(nice_process, &w);
	return w.best ? w.best : -ESRCH;
}

long sys_setpriority(struct task *t, const struct sys_args *args)
{
	int nice = max_of(-20, min_of(19, (int)args->a[2]));
	struct nice_walk w = {t, (int)args->a[0], (int)args->a[1], user_arg(t, (int)args->a[1]), true, nice, 0, 0};

	if (w.which < L_PRIO_PROCESS || w.which > L_PRIO_USER)
		return -EINVAL;
	process_for_each(nice_process, &w);
	return w.best ? w.error : -ESRCH;
}

/* ---- priorities of input and output ---- */

struct ioprio_walk {
	struct task *caller;
	int which, who;
	uint32_t uid; /* who, as a user */
	bool set;
	int ioprio; /* to set; else the best found */
	bool found;
	int error;
};

static bool ioprio_selects(const struct ioprio_walk *w, const struct process *p, struct task *o) REQUIRES(tasks_lock)
{
	switch (w->which) {
	case L_IOPRIO_WHO_PROCESS:
		return w->who ? task_nr(o, task_pid_ns(w->caller)) == w->who : o == w->caller;
	case L_IOPRIO_WHO_PGRP:
		return w->who ? pgrp_nr(p, task_pid_ns(w->caller)) == w->who : p->pgid == w->caller->process->pgid;
	default:
		return task_uid(o) == w->uid;
	}
}

/* What o has.  Among several a task without one counts with what its nice value gives: ioprio_set(2). */
static int ioprio_value(const struct ioprio_walk *w, const struct task *o)
{
	int v = o->sched.ioprio;

	if (w->which == L_IOPRIO_WHO_PROCESS || v >> L_IOPRIO_CLASS_SHIFT != L_IOPRIO_CLASS_NONE)
		return v;
	return L_IOPRIO_CLASS_BE << L_IOPRIO_CLASS_SHIFT | (o->nice + 20) / 5;
}

static void ioprio_visit(struct ioprio_walk *w, struct task *o)
{
	const struct cred *c = w->caller->cred;

	mutex_lock(&o->alloc_lock);
	if (!w->set)
		w->ioprio = w->found ? min_of(w->ioprio, ioprio_value(w, o)) : ioprio_value(w, o);
	else if (o->cred->uid == c->euid || o->cred->uid == c->uid || cred_capable(c, L_CAP_SYS_NICE))
		o->sched.ioprio = w->ioprio;
	else
		w->error = -EPERM;
	mutex_unlock(&o->alloc_lock);
	w->found = true;
}

static int ioprio_process(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct ioprio_walk *w = arg;
	struct task *o;

	list_for_each_entry(o, &p->threads, thread_node)
		if (w->error == 0 && ioprio_selects(w, p, o))
			ioprio_visit(w, o);
	return w->error;
}

static long check_ioprio(const struct cred *c, int ioprio)
{
	switch (ioprio >> L_IOPRIO_CLASS_SHIFT & 7) {
	case L_IOPRIO_CLASS_NONE:
		return ioprio & 7 ? -EINVAL : 0;
	case L_IOPRIO_CLASS_RT:
		return cred_capable(c, L_CAP_SYS_NICE) || cred_capable(c, L_CAP_SYS_ADMIN) ? 0 : -EPERM;
	case L_IOPRIO_CLASS_BE:
	case L_IOPRIO_CLASS_IDLE:
		return 0;
	default:
		return -EINVAL;
	}
}

long sys_ioprio_set(struct task *t, const struct sys_args *args)
{
	struct ioprio_walk w = {t,    (int)args->a[0], (int)args->a[1], user_arg(t, (int)args->a[1]),
				true, (int)args->a[2], false,		0};
	long r = check_ioprio(t->cred, w.ioprio);

	if (r < 0)
		return r;
	if (w.which < L_IOPRIO_WHO_PROCESS || w.which > L_IOPRIO_WHO_USER)
		return -EINVAL;
	process_for_each(ioprio_process, &w);
	return w.found ? w.error : -ESRCH;
}

long sys_ioprio_get(struct task *t, const struct sys_args *args)
{
	struct ioprio_walk w = {t, (int)args->a[0], (int)args->a[1], user_arg(t, (int)args->a[1]), false, 0, false, 0};

	if (w.which < L_IOPRIO_WHO_PROCESS || w.which > L_IOPRIO_WHO_USER)
		return -EINVAL;
	process_for_each(ioprio_process, &w);
	return w.found ? w.ioprio : -ESRCH;
}
