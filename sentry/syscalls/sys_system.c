/* The system and the process as wholes: uname, sysinfo, limits, usage, prctl, arch_prctl, randomness. */
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

	uts_get(&u);
	wear_personality(&u, t->process->personality);
	return copy_out(t->ctx, args->a[0], &u, sizeof(u));
}

static long set_uts(struct task *t, const struct sys_args *args, void (*set)(const char *name, size_t len))
{
	char name[L_UTS_LEN];
	uint64_t len = args->a[1];
	int r;

	if (!cred_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EPERM;
	if ((int64_t)len < 0 || len > sizeof(name))
		return -EINVAL;
	r = copy_in(t->ctx, name, args->a[0], len);
	if (r < 0)
		return r;
	set(name, len);
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
	if (resource == L_RLIMIT_NOFILE && next->rlim_max > L_NR_OPEN)
		return -EPERM;
	mutex_lock(&p->limits_lock);
	if (next->rlim_max > cur->rlim_max && !cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		r = -EPERM;
	else
		*cur = *next;
	mutex_unlock(&p->limits_lock);
	if (r == 0 && resource == L_RLIMIT_CPU)
		process_watch_cpu_limit(p);
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

	return o->process == t->process || cred_capable(c, L_CAP_SYS_RESOURCE) ||
	       (c->uid == d->uid && c->uid == d->euid && c->uid == d->suid && c->gid == d->gid &&
		c->gid == d->egid && c->gid == d->sgid);
}

long sys_prlimit64(struct task *t, const struct sys_args *args)
{
	unsigned resource = (unsigned)args->a[1];
	struct l_rlimit64 next, old;
	struct task *o;
	int r = 0;

	if (resource >= L_RLIM_NLIMITS)
		return -EINVAL;
	if (args->a[2]) {
		r = copy_in(t->ctx, &next, args->a[2], sizeof(next));
		if (r < 0)
			return r;
	}
	o = args->a[0] ? task_find((int)args->a[0]) : task_get(t);
	if (!o)
		return -ESRCH;
	if (!may_limit(t, o)) {
		r = -EPERM;
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
	uint64_t size, rss;

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
	if ((int)args->a[0] != L_RUSAGE_CHILDREN) {
		mm_usage(t->mm, &size, &rss);
		sum.maxrss_kb = max_of(sum.maxrss_kb, rss / 1024);
	}
	memset(&ru, 0, sizeof(ru));
	ru.ru_utime = ns_to_timeval(sum.utime_ns);
	ru.ru_stime = ns_to_timeval(sum.stime_ns);
	ru.ru_maxrss = (int64_t)sum.maxrss_kb;
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

static long set_name(struct task *t, uint64_t gva)
{
	char name[TASK_COMM_LEN] = {0};
	ssize_t n = copy_in_str(t->ctx, name, gva, sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	name[TASK_COMM_LEN - 1] = 0;
	mutex_lock(&t->alloc_lock);
	memcpy(t->comm, name, sizeof(name));
	mutex_unlock(&t->alloc_lock);
	return 0;
}

static long put_int(struct task *t, uint64_t gva, int v)
{
	int32_t v32 = v;

	return copy_out(t->ctx, gva, &v32, sizeof(v32));
}

/* Publishes a change of one's own credentials that only prctl makes. */
static long change_cred(struct task *t, void (*change)(struct cred *c, uint64_t arg), uint64_t arg)
{
	struct cred *c = cred_copy(t->cred, t->cred->group_count);

	if (!c)
		return -ENOMEM;
	change(c, arg);
	task_set_cred(t, c);
	return 0;
}

static void raise_no_new_privs(struct cred *c, uint64_t arg)
{
	c->no_new_privs = true;
}

static void set_keep_caps(struct cred *c, uint64_t arg)
{
	c->securebits = arg ? c->securebits | L_SECBIT_KEEP_CAPS : c->securebits & ~(uint32_t)L_SECBIT_KEEP_CAPS;
}

static void drop_bounding(struct cred *c, uint64_t arg)
{
	c->cap_bounding &= ~(1ull << arg);
}

static void set_securebits(struct cred *c, uint64_t arg)
{
	c->securebits = (uint32_t)arg;
}

/* A locked bit stays, as do locks. */
static bool may_set_securebits(const struct cred *c, uint64_t bits)
{
	uint64_t change = c->securebits ^ bits, locked = c->securebits & L_SECBIT_LOCKS;

	if ((bits & ~(uint64_t)L_SECBIT_ALL) || (change & locked >> 1) || (locked & ~bits))
		return false;
	return !(change & ~(uint64_t)L_SECBIT_UNPRIVILEGED) || cred_capable(c, L_CAP_SETPCAP);
}

static void clear_ambient(struct cred *c, uint64_t arg)
{
	c->cap_ambient = 0;
}

static void raise_ambient(struct cred *c, uint64_t arg)
{
	c->cap_ambient |= 1ull << arg;
}

static void lower_ambient(struct cred *c, uint64_t arg)
{
	c->cap_ambient &= ~(1ull << arg);
}

static long cap_ambient(struct task *t, const struct sys_args *args)
{
	uint64_t op = args->a[1], cap = args->a[2];
	const struct cred *c = t->cred;

	if (args->a[3] || args->a[4])
		return -EINVAL;
	if (op == L_PR_CAP_AMBIENT_CLEAR_ALL)
		return cap ? -EINVAL : change_cred(t, clear_ambient, 0);
	if (cap > L_CAP_LAST_CAP)
		return -EINVAL;
	switch (op) {
	case L_PR_CAP_AMBIENT_IS_SET:
		return (long)(c->cap_ambient >> cap & 1);
	case L_PR_CAP_AMBIENT_RAISE:
		if (!(c->cap_permitted >> cap & 1) || !(c->cap_inheritable >> cap & 1) ||
		    (c->securebits & L_SECBIT_NO_CAP_AMBIENT_RAISE))
			return -EPERM;
		return change_cred(t, raise_ambient, cap);
	case L_PR_CAP_AMBIENT_LOWER:
		return change_cred(t, lower_ambient, cap);
	default:
		return -EINVAL;
	}
}

static long get_auxv(struct task *t, const struct sys_args *args)
{
	uint64_t auxv[ARRAY_SIZE(t->mm->auxv)];
	int r;

	if (args->a[3] || args->a[4])
		return -EINVAL;
	mutex_lock(&t->mm->lock);
	memcpy(auxv, t->mm->auxv, sizeof(auxv));
	mutex_unlock(&t->mm->lock);
	r = copy_out(t->ctx, args->a[1], auxv, min_of(args->a[2], (uint64_t)sizeof(auxv)));
	return r < 0 ? r : (long)sizeof(auxv);
}

/* PR_SET_MM of the one address that says where arguments or environment lie, for programs that set a title. */
static long set_mm(struct task *t, const struct sys_args *args)
{
	struct mm *mm = t->mm;
	uint64_t *const fields[] = {
		[L_PR_SET_MM_ARG_START] = &mm->arg_start,
		[L_PR_SET_MM_ARG_END] = &mm->arg_end,
		[L_PR_SET_MM_ENV_START] = &mm->env_start,
		[L_PR_SET_MM_ENV_END] = &mm->env_end,
	};
	uint64_t what = args->a[1], addr = args->a[2];
	int r = 0;

	if (args->a[4] || (args->a[3] && what != L_PR_SET_MM_AUXV && what != L_PR_SET_MM_MAP && what != L_PR_SET_MM_MAP_SIZE))
		return -EINVAL;
	if (!cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		return -EPERM;
	if (what >= ARRAY_SIZE(fields) || !fields[what] || addr < GUEST_MIN || addr >= GUEST_CEILING)
		return -EINVAL;
	mutex_lock(&mm->lock);
	if (mm_find(mm, addr)) {
		uint64_t old = *fields[what];

		*fields[what] = addr;
		if (mm->arg_start > mm->arg_end || mm->env_start > mm->env_end) {
			*fields[what] = old;
			r = -EINVAL;
		}
	} else {
		r = -EINVAL;
	}
	mutex_unlock(&mm->lock);
	return r;
}

/* What has to do with the machine, of which there is little to choose. */
static long prctl_machine(struct task *t, const struct sys_args *args)
{
	uint64_t a = args->a[1];

	switch ((int)args->a[0]) {
	case L_PR_GET_TIMING:
		return 0; /* PR_TIMING_STATISTICAL */
	case L_PR_SET_TIMING:
		return a == 0 ? 0 : -EINVAL;
	case L_PR_TASK_PERF_EVENTS_DISABLE:
	case L_PR_TASK_PERF_EVENTS_ENABLE:
		return 0; /* there are none */
	case L_PR_GET_TSC:
		return put_int(t, a, L_PR_TSC_ENABLE);
	case L_PR_SET_TSC:
		return a == L_PR_TSC_ENABLE ? 0 : -EINVAL;
	case L_PR_GET_IO_FLUSHER:
	case L_PR_SET_IO_FLUSHER:
		if (!cred_capable(t->cred, L_CAP_SYS_RESOURCE))
			return -EPERM;
		return a || args->a[2] || args->a[3] || args->a[4] ? -EINVAL : 0; /* it is none, and cannot become one */
	case L_PR_SET_MM:
		return set_mm(t, args);
	case L_PR_GET_AUXV:
		return get_auxv(t, args);
	default:
		return -EINVAL;
	}
}

long sys_prctl(struct task *t, const struct sys_args *args)
{
	struct process *p = t->process;
	uint64_t a = args->a[1];

	switch ((int)args->a[0]) {
	case L_PR_SET_NAME:
		return set_name(t, a);
	case L_PR_GET_NAME:
		return copy_out(t->ctx, a, t->comm, sizeof(t->comm));
	case L_PR_SET_PDEATHSIG:
		if (a > L_NSIG)
			return -EINVAL;
		p->pdeathsig = (int)a;
		return 0;
	case L_PR_GET_PDEATHSIG:
		return put_int(t, a, p->pdeathsig);
	case L_PR_GET_DUMPABLE:
		return p->dumpable;
	case L_PR_SET_DUMPABLE:
		if (a > 1)
			return -EINVAL;
		p->dumpable = a == 1;
		return 0;
	case L_PR_GET_KEEPCAPS:
		return (t->cred->securebits & L_SECBIT_KEEP_CAPS) != 0;
	case L_PR_SET_KEEPCAPS:
		if (a > 1)
			return -EINVAL;
		return t->cred->securebits & L_SECBIT_KEEP_CAPS_LOCKED ? -EPERM : change_cred(t, set_keep_caps, a);
	case L_PR_GET_SECUREBITS:
		return t->cred->securebits;
	case L_PR_SET_SECUREBITS:
		return may_set_securebits(t->cred, a) ? change_cred(t, set_securebits, a) : -EPERM;
	case L_PR_CAPBSET_READ:
		return a > L_CAP_LAST_CAP ? -EINVAL : (long)(t->cred->cap_bounding >> a & 1);
	case L_PR_CAPBSET_DROP:
		if (!cred_capable(t->cred, L_CAP_SETPCAP))
			return -EPERM;
		return a > L_CAP_LAST_CAP ? -EINVAL : change_cred(t, drop_bounding, a);
	case L_PR_CAP_AMBIENT:
		return cap_ambient(t, args);
	case L_PR_SET_NO_NEW_PRIVS:
		if (a != 1 || args->a[2] || args->a[3] || args->a[4])
			return -EINVAL;
		return change_cred(t, raise_no_new_privs, 0);
	case L_PR_GET_NO_NEW_PRIVS:
		if (a || args->a[2] || args->a[3] || args->a[4])
			return -EINVAL;
		return t->cred->no_new_privs;
	case L_PR_SET_CHILD_SUBREAPER:
		mutex_lock(&tasks_lock);
		p->child_subreaper = a != 0;
		mutex_unlock(&tasks_lock);
		return 0;
	case L_PR_GET_CHILD_SUBREAPER:
		return put_int(t, a, p->child_subreaper);
	case L_PR_GET_SECCOMP:
		return 0;
	case L_PR_SET_TIMERSLACK:
		t->timer_slack_ns = a ? a : L_TIMER_SLACK_DEFAULT;
		return 0;
	case L_PR_GET_TIMERSLACK:
		return (long)(t->timer_slack_ns ? t->timer_slack_ns : L_TIMER_SLACK_DEFAULT);
	case L_PR_SET_THP_DISABLE:
		if (args->a[2] || args->a[3] || args->a[4])
			return -EINVAL;
		p->thp_disable = a != 0;
		return 0;
	case L_PR_GET_THP_DISABLE:
		return p->thp_disable;
	case L_PR_GET_TID_ADDRESS:
		return copy_out(t->ctx, a, &t->clear_child_tid, sizeof(t->clear_child_tid));
	default:
		return prctl_machine(t, args);
	}
}

long sys_arch_prctl(struct task *t, const struct sys_args *args)
{
	uint64_t addr = args->a[1];
	struct abi_regs regs;
	int r = pctx_get_regs(t->ctx, &regs);

	if (r < 0)
		return r;
	switch ((int)args->a[0]) {
	case L_ARCH_SET_FS:
	case L_ARCH_SET_GS:
		if (addr >= L_TASK_SIZE)
			return -EPERM;
		if ((int)args->a[0] == L_ARCH_SET_FS)
			regs.fs_base = addr;
		else
			regs.gs_base = addr;
		return pctx_set_regs(t->ctx, &regs);
	case L_ARCH_GET_FS:
		return copy_out(t->ctx, addr, &regs.fs_base, sizeof(regs.fs_base));
	case L_ARCH_GET_GS:
		return copy_out(t->ctx, addr, &regs.gs_base, sizeof(regs.gs_base));
	case L_ARCH_GET_CPUID:
		return 1;
	case L_ARCH_SET_CPUID:
		return -ENODEV;
	default:
		return -EINVAL;
	}
}
