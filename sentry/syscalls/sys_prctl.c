/*
 * prctl and arch_prctl: what a thread or process asks about itself.
 *
 * Of what the options concern some things are not there: machine checks, speculation control, memory merging.  Their state is kept
 * and told, as on a machine where they never come to act.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/prctl.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/syscalls/prctl_mm.h"
#include "sentry/syscalls/seccomp_args.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"

#define XFEATURES_MAX 20u /* those that Linux has a name for */

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

/* ---- credentials ---- */

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
	/* Without the capability even what changes nothing is refused, as it always was. */
	return (change && !(change & ~(uint64_t)L_SECBIT_UNPRIVILEGED)) || cred_own_capable(c, L_CAP_SETPCAP);
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

/* ---- what is kept and told ---- */

/* A policy for machine checks, which never come. */
static long mce_kill(struct task *t, const struct sys_args *args)
{
	uint64_t op = args->a[1], policy = args->a[2];

	if (args->a[3] || args->a[4])
		return -EINVAL;
	if (op == L_PR_MCE_KILL_CLEAR && !policy)
		t->mce_policy = L_PR_MCE_KILL_DEFAULT;
	else if (op == L_PR_MCE_KILL_SET && policy <= L_PR_MCE_KILL_DEFAULT)
		t->mce_policy = (int)policy;
	else
		return -EINVAL;
	return 0;
}

static long io_flusher(struct task *t, const struct sys_args *args)
{
	if (!cred_capable(t->cred, L_CAP_SYS_RESOURCE))
		return -EPERM;
	if (args->a[2] || args->a[3] || args->a[4])
		return -EINVAL;
	if ((int)args->a[0] == L_PR_GET_IO_FLUSHER)
		return args->a[1] ? -EINVAL : t->io_flusher;
	if (args->a[1] > 1)
		return -EINVAL;
	t->io_flusher = args->a[1] == 1;
	return 0;
}

/*
 * The host's mitigations are what they are and not a thread's to change: as on a machine that has no such control, where what is
 * on may be turned on.
 */
static long speculation(const struct sys_args *args)
{
	uint64_t which = args->a[1], want = args->a[2];
	bool set = (int)args->a[0] == L_PR_SET_SPECULATION_CTRL;

	if (args->a[3] || args->a[4] || (!set && want))
		return -EINVAL;
	switch (which) {
	case L_PR_SPEC_STORE_BYPASS:
		return set ? -ENXIO : L_PR_SPEC_ENABLE;
	case L_PR_SPEC_INDIRECT_BRANCH:
		if (!set)
			return L_PR_SPEC_ENABLE;
		if (want == L_PR_SPEC_ENABLE)
			return 0;
		return want == L_PR_SPEC_DISABLE || want == L_PR_SPEC_FORCE_DISABLE ? -EPERM : -ERANGE;
	case L_PR_SPEC_L1D_FLUSH:
		return set ? -EPERM : L_PR_SPEC_FORCE_DISABLE;
	default:
		return -ENODEV;
	}
}

/* POSIX timers get the numbers that their makers ask for, as who restores a process wants it. */
static long timer_restore_ids(struct process *p, const struct sys_args *args)
{
	uint64_t op = args->a[1];

	if (args->a[2] || args->a[3] || args->a[4] || op > L_PR_TIMER_CREATE_RESTORE_IDS_GET)
		return -EINVAL;
	if (op == L_PR_TIMER_CREATE_RESTORE_IDS_GET)
		return p->timer_restore_ids;
	p->timer_restore_ids = op == L_PR_TIMER_CREATE_RESTORE_IDS_ON;
	return 0;
}

/* All processes' futexes are in one table; none has slots of its own. */
static long futex_hash(const struct sys_args *args)
{
	return args->a[1] == L_PR_FUTEX_HASH_GET_SLOTS ? 0 : -EINVAL;
}

static long thp_disable(struct task *t, const struct sys_args *args)
{
	uint64_t flags = args->a[2];

	if ((int)args->a[0] == L_PR_GET_THP_DISABLE)
		return args->a[1] || flags || args->a[3] || args->a[4] ? -EINVAL : t->process->thp_disable;
	if (args->a[3] || args->a[4] || (flags & ~L_PR_THP_DISABLE_EXCEPT_ADVISED) || (flags && !args->a[1]))
		return -EINVAL;
	t->process->thp_disable = args->a[1] ? (uint8_t)(1 | flags) : 0;
	return 0;
}

static long memory_merge(struct task *t, const struct sys_args *args)
{
	if (args->a[2] || args->a[3] || args->a[4])
		return -EINVAL;
	if ((int)args->a[0] == L_PR_GET_MEMORY_MERGE)
		return args->a[1] ? -EINVAL : t->process->memory_merge;
	t->process->memory_merge = args->a[1] != 0;
	return 0;
}

/* ---- memory ---- */

/* Once set it is there to stay: PR_SET_MDWE(2const).  mm_map and mm_protect enforce it. */
static long memory_deny_write_exec(struct task *t, const struct sys_args *args)
{
	uint64_t next = args->a[1], old = t->mm->mdwe;

	if (args->a[2] || args->a[3] || args->a[4])
		return -EINVAL;
	if ((int)args->a[0] == L_PR_GET_MDWE)
		return next ? -EINVAL : (long)old;
	if ((next & ~(uint64_t)(L_PR_MDWE_REFUSE_EXEC_GAIN | L_PR_MDWE_NO_INHERIT)) || next == L_PR_MDWE_NO_INHERIT)
		return -EINVAL;
	if (old && old != next)
		return -EPERM;
	t->mm->mdwe = (uint32_t)next;
	return 0;
}

/* The whole vector's size, of which at most len bytes are copied. */
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

/* A byte that a name of memory may have: what a line of /proc/PID/maps can bear. */
static bool name_char_ok(char c)
{
	return c > 0x1f && c < 0x7f && !strchr("\\`$[]", c);
}

/* PR_SET_VMA_ANON_NAME; a NULL name takes the name away. */
static long set_vma(struct task *t, const struct sys_args *args)
{
	char name[VMA_NAME_MAX];
	ssize_t n;

	if (args->a[1] != L_PR_SET_VMA_ANON_NAME)
		return -EINVAL;
	if (!args->a[4])
		return mm_set_name(t, t->mm, args->a[2], args->a[3], NULL);
	n = copy_in_str(t->ctx, name, args->a[4], sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	for (const char *c = name; *c; c++)
		if (!name_char_ok(*c))
			return -EINVAL;
	return mm_set_name(t, t->mm, args->a[2], args->a[3], name);
}

/* ---- prctl ---- */

static long set_death_signal(struct process *p, uint64_t sig)
{
	if (sig > L_NSIG)
		return -EINVAL;
	p->pdeathsig = (int)sig;
	return 0;
}

static long set_dumpable(struct process *p, uint64_t v)
{
	if (v > L_SUID_DUMP_USER)
		return -EINVAL;
	p->dumpable = v == L_SUID_DUMP_USER;
	return 0;
}

static long set_child_subreaper(struct process *p, uint64_t v)
{
	mutex_lock(&tasks_lock);
	p->child_subreaper = v != 0;
	mutex_unlock(&tasks_lock);
	return 0;
}

static long set_keepcaps(struct task *t, uint64_t v)
{
	if (v > 1)
		return -EINVAL;
	return t->cred->securebits & L_SECBIT_KEEP_CAPS_LOCKED ? -EPERM : change_cred(t, set_keep_caps, v);
}

static long no_new_privs(struct task *t, const struct sys_args *args)
{
	bool set = (int)args->a[0] == L_PR_SET_NO_NEW_PRIVS;

	if (args->a[1] != set || args->a[2] || args->a[3] || args->a[4])
		return -EINVAL;
	return set ? change_cred(t, raise_no_new_privs, 0) : t->cred->no_new_privs;
}

static long drop_from_bounding(struct task *t, uint64_t cap)
{
	if (!cred_own_capable(t->cred, L_CAP_SETPCAP))
		return -EPERM;
	return cap > L_CAP_LAST_CAP ? -EINVAL : change_cred(t, drop_bounding, cap);
}

/* The options that concern credentials. */
static long credentials_option(struct task *t, const struct sys_args *args)
{
	uint64_t a = args->a[1];

	switch ((int)args->a[0]) {
	case L_PR_GET_KEEPCAPS:
		return (t->cred->securebits & L_SECBIT_KEEP_CAPS) != 0;
	case L_PR_SET_KEEPCAPS:
		return set_keepcaps(t, a);
	case L_PR_GET_SECUREBITS:
		return t->cred->securebits;
	case L_PR_SET_SECUREBITS:
		return may_set_securebits(t->cred, a) ? change_cred(t, set_securebits, a) : -EPERM;
	case L_PR_CAPBSET_READ:
		return a > L_CAP_LAST_CAP ? -EINVAL : (long)(t->cred->cap_bounding >> a & 1);
	case L_PR_CAPBSET_DROP:
		return drop_from_bounding(t, a);
	case L_PR_CAP_AMBIENT:
		return cap_ambient(t, args);
	default:
		return no_new_privs(t, args);
	}
}

static long set_seccomp(struct task *t, const struct sys_args *args)
{
	switch (args->a[1]) {
	case L_SECCOMP_MODE_STRICT:
		return seccomp_set_strict(t);
	case L_SECCOMP_MODE_FILTER:
		return seccomp_filter_arg(t, 0, args->a[2]);
	default:
		return -EINVAL;
	}
}

/* Who may trace whom is not Yama's to say here (its ptrace_scope is 0), so that an exception from its rule changes nothing. */
static long set_ptracer(const struct task *t, uint64_t pid)
{
	struct task *o;

	if (pid == 0 || (int)pid == -1)
		return 0;
	o = task_named(t, (int)pid);
	if (!o)
		return -EINVAL;
	task_put(o);
	return 0;
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
		return set_death_signal(p, a);
	case L_PR_GET_PDEATHSIG:
		return put_int(t, a, p->pdeathsig);
	case L_PR_GET_DUMPABLE:
		return p->dumpable;
	case L_PR_SET_DUMPABLE:
		return set_dumpable(p, a);
	case L_PR_GET_KEEPCAPS:
	case L_PR_SET_KEEPCAPS:
	case L_PR_GET_SECUREBITS:
	case L_PR_SET_SECUREBITS:
	case L_PR_CAPBSET_READ:
	case L_PR_CAPBSET_DROP:
	case L_PR_CAP_AMBIENT:
	case L_PR_SET_NO_NEW_PRIVS:
	case L_PR_GET_NO_NEW_PRIVS:
		return credentials_option(t, args);
	case L_PR_SET_CHILD_SUBREAPER:
		return set_child_subreaper(p, a);
	case L_PR_GET_CHILD_SUBREAPER:
		return put_int(t, a, p->child_subreaper);
	case L_PR_GET_TIMING:
	case L_PR_TASK_PERF_EVENTS_DISABLE:
	case L_PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	case L_PR_SET_TIMING: /* statistical is the one way there is */
		return a ? -EINVAL : 0;
	case L_PR_GET_TSC:
		return put_int(t, a, L_PR_TSC_ENABLE);
	case L_PR_SET_TSC:
		return a == L_PR_TSC_ENABLE ? 0 : -EINVAL;
	case L_PR_SET_TIMERSLACK:
		t->timer_slack_ns = a;
		return 0;
	case L_PR_GET_TIMERSLACK:
		return (long)task_timer_slack(t);
	case L_PR_MCE_KILL:
		return mce_kill(t, args);
	case L_PR_MCE_KILL_GET:
		return a || args->a[2] || args->a[3] || args->a[4] ? -EINVAL : t->mce_policy;
	case L_PR_SET_THP_DISABLE:
	case L_PR_GET_THP_DISABLE:
		return thp_disable(t, args);
	case L_PR_GET_TID_ADDRESS:
		return copy_out(t->ctx, a, &t->clear_child_tid, sizeof(t->clear_child_tid));
	case L_PR_GET_SPECULATION_CTRL:
	case L_PR_SET_SPECULATION_CTRL:
		return speculation(args);
	case L_PR_TIMER_CREATE_RESTORE_IDS:
		return timer_restore_ids(p, args);
	case L_PR_FUTEX_HASH:
		return futex_hash(args);
	case L_PR_SET_IO_FLUSHER:
	case L_PR_GET_IO_FLUSHER:
		return io_flusher(t, args);
	case L_PR_SET_SYSCALL_USER_DISPATCH:
		return a == L_PR_SYS_DISPATCH_OFF && !args->a[2] && !args->a[3] && !args->a[4] ? 0 : -EINVAL;
	case L_PR_GET_SECCOMP:
		return t->seccomp_mode;
	case L_PR_SET_SECCOMP:
		return set_seccomp(t, args);
	case L_PR_SET_PTRACER:
		return set_ptracer(t, a);
	case L_PR_SET_MM:
		return prctl_set_mm(t, args);
	case L_PR_SET_VMA:
		return set_vma(t, args);
	case L_PR_SET_MDWE:
	case L_PR_GET_MDWE:
		return memory_deny_write_exec(t, args);
	case L_PR_SET_MEMORY_MERGE:
	case L_PR_GET_MEMORY_MERGE:
		return memory_merge(t, args);
	case L_PR_GET_AUXV:
		return get_auxv(t, args);
	default:
		return -EINVAL;
	}
}

/* ---- arch_prctl ---- */

/* What vector state a thread has: the software bytes of its state say it. */
static long put_xfeatures(struct task *t, uint64_t gva)
{
	size_t size = platform_xstate_size(sandbox_platform());
	struct l_fpstate *fp = calloc(1, size);
	uint64_t features = L_XFEATURE_X87 | L_XFEATURE_SSE;
	ssize_t n;

	if (!fp)
		return -ENOMEM;
	n = pctx_get_xstate(t->ctx, fp, size);
	if (n > 0 && fp->sw_reserved.magic1 == L_FP_XSTATE_MAGIC1)
		features = fp->sw_reserved.xfeatures;
	free(fp);
	features &= ~(uint64_t)(L_XFEATURE_XTILECFG | L_XFEATURE_XTILEDATA); /* of no use without the other, which is not had */
	return n < 0 ? n : copy_out(t->ctx, gva, &features, sizeof(features));
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
	case L_ARCH_GET_XCOMP_SUPP:
	case L_ARCH_GET_XCOMP_PERM:
	case L_ARCH_GET_XCOMP_GUEST_PERM:
		return put_xfeatures(t, addr);
	case L_ARCH_REQ_XCOMP_PERM:
	case L_ARCH_REQ_XCOMP_GUEST_PERM:
		return addr >= XFEATURES_MAX ? -EINVAL : -EOPNOTSUPP; /* nothing is had on demand: no AMX */
	default:
		return -EINVAL;
	}
}
