/* The system and the process as wholes: uname, sysinfo, limits, usage, randomness. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/prctl.h"
#include "abi/resource.h"
#include "abi/signal.h"
#include "abi/utsname.h"
#include "base/checked.h"
#include "host/random.h"
#include "host/system.h"
#include "sentry/core/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/task/usage.h"
#include "sentry/time/clock.h"
#include "sentry/time/timers.h"

/* ---- the system ---- */

/* personality(2): the release as Linux 2.6 would count it on, the machine of 32 bits. */
static void wear_personality(struct l_utsname *u, uint32_t personality)
{
	char rest[L_UTS_LEN + 1];
	unsigned major, minor;
	int numbers = 0;

	if (personality & L_UNAME26 && sscanf(u->release, "%u.%u%n", &major, &minor, &numbers) == 2) {
		numbers += (int)strspn(u->release + numbers, ".0123456789");
		snprintf(rest, sizeof(rest), "%s", u->release + numbers);
		memset(u->release, 0, sizeof(u->release));
		snprintf(u->release, sizeof(u->release), "2.6.%u%.*s", minor + 60, L_UTS_LEN - 16, rest);
	}
	if ((personality & L_PER_MASK) == L_PER_LINUX32) {
		memset(u->machine, 0, sizeof(u->machine));
		memcpy(u->machine, "i686", 4);
	}
}

long sys_uname(struct task *t, const struct sys_args *args)
{
	struct l_utsname u;

	uts_get(t->ns[NS_UTS], &u);
	wear_personality(&u, t->process->personality);
	return copy_out(t->ctx, args->a[0], &u, sizeof(u));
}

static long set_uts(struct task *t, const struct sys_args *args, void (*set)(struct ns *ns, const char *name, size_t len))
{
	char name[L_UTS_LEN];
	uint64_t len = args->a[1];
	int r;

	if (!cred_ns_capable(t->cred, t->ns[NS_UTS]->owner, L_CAP_SYS_ADMIN))
		return -EPERM;
	if ((int64_t)len < 0 || len > sizeof(name))
		return -EINVAL;
	r = copy_in(t->ctx, name, args->a[0], len);
	if (r < 0)
		return r;
	set(t->ns[NS_UTS], name, len);
	return 0;
}

long sys_sethostname(struct task *t, const struct sys_args *args)
{
	return set_uts(t, args, uts_set_nodename);
}

long sys_setdomainname(struct task *t, const struct sys_args *args)
{
	return set_uts(t, args, uts_set_domainname);
}

long sys_sysinfo(struct task *t, const struct sys_args *args)
{
	struct l_sysinfo si;
	struct host_memory m;
	uint64_t uptime;

	memset(&si, 0, sizeof(si));
	host_memory(&m);
	host_uptime(&uptime, si.loads);
	si.uptime = (int64_t)uptime;
	si.totalram = m.total;
	si.freeram = m.free;
	si.sharedram = m.shared;
	si.bufferram = m.buffers;
	si.totalswap = m.swap_total;
	si.freeswap = m.swap_free;
	si.procs = (uint16_t)task_count();
	si.mem_unit = 1;
	return copy_out(t->ctx, args->a[0], &si, sizeof(si));
}

#define GRND_NONBLOCK 1
#define GRND_RANDOM 2
#define GRND_INSECURE 4

long sys_getrandom(struct task *t, const struct sys_args *args)
{
	uint64_t left = min_of(args->a[1], (uint64_t)INT32_MAX & PAGE_MASK), done = 0;
	uint8_t buf[PAGE_SIZE];
	unsigned flags = (unsigned)args->a[2];

	if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	while (left) {
		size_t n = min_of(left, sizeof(buf));
		ssize_t put;

		host_random(buf, n);
		put = copy_out_some(t->ctx, args->a[0] + done, buf, n);
		if (put < 0)
			return done ? (long)done : put;
		done += (uint64_t)put;
		left -= (uint64_t)put;
		if ((size_t)put < n || (left && signal_pending(t)))
			break;
	}
	return (long)done;
}

/* ---- limits and usage ---- */

static int set_limit(struct task *t, struct process *p, unsigned resource, const struct l_rlimit64 *next)
{
	struct l_rlimit64 *cur = &p->rlimits[resource];
	int r = 0;

	if (next->rlim_cur > next->rlim_max)
		return -EINVAL;
	if (resource == L_RLIMIT_NOFILE && next->rlim_max > tunable_get(&vfs_nr_open))
		return -EPERM;
	mutex_lock(&p->limits_lock);
	if (next->rlim_max > cur->rlim_max && !cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		r = -EPERM;
	else
		*cur = *next;
	mutex_unlock(&p->limits_lock);
	if (r == 0 && resource == L_RLIMIT_CPU)
		process_watch_cpu_limit(p);
	if (r == 0 && resource == L_RLIMIT_RTTIME)
		process_watch_rt_limit(p);
	return r;
}

static void get_limit(struct process *p, unsigned resource, struct l_rlimit64 *out)
{
	mutex_lock(&p->limits_lock);
	*out = p->rlimits[resource];
	mutex_unlock(&p->limits_lock);
}

static bool may_limit(const struct task *t, struct task *o)
{
	const struct cred *c = t->cred, *d = o->cred;

	return o->process == t->process || cred_ns_capable(c, d->user_ns, L_CAP_SYS_RESOURCE) ||
	       (c->uid == d->uid && c->uid == d->euid && c->uid == d->suid && c->gid == d->gid && c->gid == d->egid &&
		c->gid == d->sgid);
}

long sys_prlimit64(struct task *t, const struct sys_args *args)
{
	unsigned resource = (unsigned)args->a[1];
	struct l_rlimit64 next, old;
	struct task *o;
	int r = 0;

	if (args->a[2]) {
		r = copy_in(t->ctx, &next, args->a[2], sizeof(next));
		if (r < 0)
			return r;
	}
	o = (int)args->a[0] ? task_named(t, (int)args->a[0]) : task_get(t);
	if (!o)
		return -ESRCH;
	if (!may_limit(t, o)) {
		r = -EPERM;
	} else if (resource >= L_RLIM_NLIMITS) {
		r = -EINVAL;
	} else {
		get_limit(o->process, resource, &old);
		if (args->a[2])
			r = set_limit(t, o->process, resource, &next);
	}
	task_put(o);
	if (r < 0 || !args->a[3])
		return r;
	return copy_out(t->ctx, args->a[3], &old, sizeof(old));
}

long sys_getrlimit(struct task *t, const struct sys_args *args)
{
	struct l_rlimit64 cur;

	if ((unsigned)args->a[0] >= L_RLIM_NLIMITS)
		return -EINVAL;
	get_limit(t->process, (unsigned)args->a[0], &cur);
	return copy_out(t->ctx, args->a[1], &cur, sizeof(cur));
}

long sys_setrlimit(struct task *t, const struct sys_args *args)
{
	struct l_rlimit64 next;
	int r = copy_in(t->ctx, &next, args->a[1], sizeof(next));

	if (r < 0)
		return r;
	if ((unsigned)args->a[0] >= L_RLIM_NLIMITS)
		return -EINVAL;
	return set_limit(t, t->process, (unsigned)args->a[0], &next);
}

long sys_getrusage(struct task *t, const struct sys_args *args)
{
	struct rusage_sum sum;
	struct l_rusage ru;

	switch ((int)args->a[0]) {
	case L_RUSAGE_SELF:
		process_usage(t->process, &sum);
		break;
	case L_RUSAGE_THREAD:
		task_usage(t, &sum);
		break;
	case L_RUSAGE_CHILDREN:
		mutex_lock(&tasks_lock);
		sum = t->process->reaped_children;
		mutex_unlock(&tasks_lock);
		break;
	default:
		return -EINVAL;
	}
	if ((int)args->a[0] != L_RUSAGE_CHILDREN)
		process_memory_usage(t, &sum);
	memset(&ru, 0, sizeof(ru));
	ru.ru_utime = ns_to_timeval(sum.utime_ns);
	ru.ru_stime = ns_to_timeval(sum.stime_ns);
	ru.ru_maxrss = (int64_t)sum.maxrss_kb;
	ru.ru_minflt = (int64_t)sum.minflt;
	ru.ru_majflt = (int64_t)sum.majflt;
	ru.ru_nvcsw = (int64_t)sum.nvcsw;
	ru.ru_nivcsw = (int64_t)sum.nivcsw;
	return copy_out(t->ctx, args->a[1], &ru, sizeof(ru));
}

/* ---- the process ---- */

long sys_personality(struct task *t, const struct sys_args *args)
{
	uint32_t old = t->process->personality, next = (uint32_t)args->a[0];

	if (next != 0xffffffffu)
		t->process->personality = next;
	return old;
}
