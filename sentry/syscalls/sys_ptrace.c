/* ptrace(2): decoding.  What the requests mean is sentry/ptrace; registers are sys_ptrace_regs.c. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ptrace.h"
#include "base/checked.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/seccomp/seccomp.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/ptrace_regs.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"

struct request {
	struct task *t; /* who asks */
	int tid;
	uint64_t addr, data;
};

/* t's tracee in a stop, counted; -ESRCH. */
static int tracee_get(const struct request *q, struct task **out)
{
	struct task *o;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		*out = task_get(o);
	mutex_unlock(&tasks_lock);
	return o ? 0 : -ESRCH;
}

/* ---- memory ---- */

static long peek(const struct request *q)
{
	uint64_t word = 0;
	struct task *o;
	int r = tracee_get(q, &o);

	if (r < 0)
		return r;
	r = trace_access(o, q->addr, &word, sizeof(word), false) == sizeof(word) ? 0 : -EIO;
	task_put(o);
	return r < 0 ? r : copy_out(q->t->ctx, q->data, &word, sizeof(word));
}

static long poke(const struct request *q)
{
	uint64_t word = q->data;
	struct task *o;
	int r = tracee_get(q, &o);

	if (r < 0)
		return r;
	r = trace_access(o, q->addr, &word, sizeof(word), true) == sizeof(word) ? 0 : -EIO;
	task_put(o);
	return r;
}

/* ---- stops ---- */

/* Unknown ones are `unknown`.  Whoever is filtered cannot lift others' filters. */
static int check_options(const struct request *q, int unknown)
{
	if (q->data & ~(uint64_t)L_PTRACE_O_MASK)
		return unknown;
	if ((q->data & L_PTRACE_O_SUSPEND_SECCOMP) &&
	    (!cred_capable(q->t->cred, L_CAP_SYS_ADMIN) || q->t->seccomp_mode || trace_suspends_seccomp(q->t)))
		return -EPERM;
	return 0;
}

static long set_options(const struct request *q)
{
	struct task *o;
	int r;

	r = check_options(q, -EINVAL);
	if (r < 0)
		return r;
	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		o->trace.options = (uint32_t)q->data;
	mutex_unlock(&tasks_lock);
	return o ? 0 : -ESRCH;
}

static long get_event_message(const struct request *q)
{
	uint64_t message = 0;
	struct task *o;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		message = o->trace.message;
	mutex_unlock(&tasks_lock);
	return o ? copy_out(q->t->ctx, q->data, &message, sizeof(message)) : -ESRCH;
}

static long get_siginfo(const struct request *q)
{
	struct l_siginfo info;
	struct task *o;
	int r = -ESRCH;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o) {
		r = o->trace.has_info ? 0 : -EINVAL;
		info = o->trace.info;
	}
	mutex_unlock(&tasks_lock);
	return r < 0 ? r : copy_out(q->t->ctx, q->data, &info, sizeof(info));
}

static long set_siginfo(const struct request *q)
{
	struct l_siginfo info;
	struct task *o;
	int r = copy_in(q->t->ctx, &info, q->data, sizeof(info));

	if (r < 0)
		return r;
	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	r = !o ? -ESRCH : o->trace.has_info ? 0 : -EINVAL;
	if (r == 0)
		o->trace.info = info;
	mutex_unlock(&tasks_lock);
	return r;
}

static long get_sigmask(const struct request *q)
{
	sigset mask = 0;
	struct task *o;

	if (q->addr != L_SIGSET_SIZE)
		return -EINVAL;
	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		mask = o->restore_mask ? o->saved_mask : o->blocked;
	mutex_unlock(&tasks_lock);
	return o ? copy_out(q->t->ctx, q->data, &mask, sizeof(mask)) : -ESRCH;
}

static long set_sigmask(const struct request *q)
{
	struct task *o;
	sigset mask;
	int r;

	if (q->addr != L_SIGSET_SIZE)
		return -EINVAL;
	r = copy_in(q->t->ctx, &mask, q->data, sizeof(mask));
	if (r < 0)
		return r;
	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o) {
		mutex_lock(&o->process->sig_lock);
		o->blocked = mask & ~SIG_UNBLOCKABLE;
		o->restore_mask = false;
		sleeper_interrupt(&o->sleeper); /* it looks again */
		mutex_unlock(&o->process->sig_lock);
	}
	mutex_unlock(&tasks_lock);
	return o ? 0 : -ESRCH;
}

/* ---- PTRACE_PEEKSIGINFO ---- */

#define PEEK_BATCH 32

/* Entries off to off + count of the queue; how many there were. */
static int collect(const struct request *q, bool shared, uint64_t off, int count, struct l_siginfo *out)
{
	struct sigpending *pending;
	struct sigqueue *s;
	struct task *o;
	uint64_t at = 0;
	int n = 0;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (!o) {
		mutex_unlock(&tasks_lock);
		return -ESRCH;
	}
	mutex_lock(&o->process->sig_lock);
	pending = shared ? &o->process->shared_pending : &o->pending;
	list_for_each_entry (s, &pending->queue, node) {
		if (n == count)
			break;
		if (at++ >= off)
			out[n++] = s->info;
	}
	mutex_unlock(&o->process->sig_lock);
	mutex_unlock(&tasks_lock);
	return n;
}

static long peek_siginfo(const struct request *q)
{
	struct l_ptrace_peeksiginfo_args a;
	struct l_siginfo infos[PEEK_BATCH];
	long done = 0;
	int r = copy_in(q->t->ctx, &a, q->addr, sizeof(a));

	if (r < 0)
		return r;
	if ((a.flags & ~L_PTRACE_PEEKSIGINFO_SHARED) || a.nr < 0)
		return -EINVAL;
	while (done < a.nr) {
		int want = (int)min_of((long)PEEK_BATCH, a.nr - done);
		int n = collect(q, a.flags & L_PTRACE_PEEKSIGINFO_SHARED, a.off + (uint64_t)done, want, infos);

		if (n < 0)
			return done ? done : n;
		r = n ? copy_out(q->t->ctx, q->data + (uint64_t)done * sizeof(infos[0]), infos,
				 (size_t)n * sizeof(infos[0]))
		      : 0;
		if (r < 0)
			return done ? done : r;
		done += n;
		if (n < want || signal_pending(q->t))
			break;
	}
	return done;
}

/* ---- calls ---- */

static size_t fill_syscall_info(const struct trace_state *tr, struct l_ptrace_syscall_info *out)
{
	const struct abi_regs *r = &tr->regs;
	const uint64_t args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};

	memset(out, 0, sizeof(*out));
	out->arch = L_AUDIT_ARCH_X86_64;
	out->instruction_pointer = r->rip;
	out->stack_pointer = r->rsp;
	switch (tr->op) {
	case TRACE_OP_ENTRY:
		out->op = L_PTRACE_SYSCALL_INFO_ENTRY;
		out->entry.nr = r->orig_rax;
		memcpy(out->entry.args, args, sizeof(args));
		return offsetof(struct l_ptrace_syscall_info, entry) + sizeof(out->entry);
	case TRACE_OP_EXIT:
		out->op = L_PTRACE_SYSCALL_INFO_EXIT;
		out->exit.rval = (int64_t)r->rax;
		out->exit.is_error = r->rax >= (uint64_t)-4095;
		return offsetof(struct l_ptrace_syscall_info, exit.is_error) + 1;
	case TRACE_OP_SECCOMP:
		out->op = L_PTRACE_SYSCALL_INFO_SECCOMP;
		out->seccomp.nr = r->orig_rax;
		memcpy(out->seccomp.args, args, sizeof(args));
		out->seccomp.ret_data = (uint32_t)tr->message;
		return offsetof(struct l_ptrace_syscall_info, seccomp.reserved2);
	case TRACE_OP_NONE:
	default:
		return offsetof(struct l_ptrace_syscall_info, entry);
	}
}

static long get_syscall_info(const struct request *q)
{
	struct l_ptrace_syscall_info info;
	struct task *o;
	size_t size = 0;
	int r;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		size = fill_syscall_info(&o->trace, &info);
	mutex_unlock(&tasks_lock);
	if (!o)
		return -ESRCH;
	r = copy_out(q->t->ctx, q->data, &info, min_of(q->addr, (uint64_t)size));
	return r < 0 ? r : (long)size;
}

/* Changes the snapshot as info says; what kind of stop it is cannot be changed. */
static int change_call(struct trace_state *tr, const struct l_ptrace_syscall_info *info)
{
	struct abi_regs *r = &tr->regs;
	const uint64_t *a = info->entry.args; /* seccomp's begin in the same way */

	if (info->op == L_PTRACE_SYSCALL_INFO_EXIT) {
		if (tr->op != TRACE_OP_EXIT)
			return -EINVAL;
		r->rax = (uint64_t)info->exit.rval;
	} else {
		if (tr->op != (info->op == L_PTRACE_SYSCALL_INFO_ENTRY ? TRACE_OP_ENTRY : TRACE_OP_SECCOMP))
			return -EINVAL;
		r->orig_rax = (uint64_t)(int64_t)(int32_t)info->entry.nr;
		r->rdi = a[0];
		r->rsi = a[1];
		r->rdx = a[2];
		r->r10 = a[3];
		r->r8 = a[4];
		r->r9 = a[5];
	}
	tr->regs_dirty = true;
	return 0;
}

static long set_syscall_info(const struct request *q)
{
	struct l_ptrace_syscall_info info;
	struct task *o;
	int r;

	if (q->addr < sizeof(info))
		return -EINVAL;
	r = copy_in(q->t->ctx, &info, q->data, sizeof(info));
	if (r < 0)
		return r;
	if (info.flags || info.reserved || info.op == L_PTRACE_SYSCALL_INFO_NONE ||
	    info.op > L_PTRACE_SYSCALL_INFO_SECCOMP)
		return -EINVAL;
	if (info.op == L_PTRACE_SYSCALL_INFO_SECCOMP && info.seccomp.reserved2)
		return -EINVAL;
	if (info.op != L_PTRACE_SYSCALL_INFO_EXIT && info.entry.nr != (uint64_t)(int32_t)info.entry.nr)
		return -ERANGE;
	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	r = o ? change_call(&o->trace, &info) : -ESRCH;
	mutex_unlock(&tasks_lock);
	return r;
}

static long get_rseq_configuration(const struct request *q)
{
	struct l_ptrace_rseq_configuration c;
	struct task *o;
	int r;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(q->t, q->tid);
	if (o)
		c = (struct l_ptrace_rseq_configuration){o->rseq, o->rseq_size, o->rseq_sig, 0, 0};
	mutex_unlock(&tasks_lock);
	if (!o)
		return -ESRCH;
	r = copy_out(q->t->ctx, q->data, &c, min_of(q->addr, (uint64_t)sizeof(c)));
	return r < 0 ? r : (long)sizeof(c);
}

/* ---- seccomp filters ---- */

/* Those who are filtered do not look at others' filters. */
static bool may_see_filters(const struct request *q)
{
	return cred_capable(q->t->cred, L_CAP_SYS_ADMIN) && q->t->seccomp_mode == L_SECCOMP_MODE_DISABLED;
}

static long get_filter(const struct request *q)
{
	struct l_sock_filter *insns;
	uint64_t flags;
	struct task *o;
	long n = may_see_filters(q) ? tracee_get(q, &o) : -EACCES;
	int r = 0;

	if (n < 0)
		return n;
	n = seccomp_copy_filter(o, q->addr, &insns, &flags);
	task_put(o);
	if (n < 0)
		return n;
	if (q->data)
		r = copy_out(q->t->ctx, q->data, insns, (size_t)n * sizeof(*insns));
	free(insns);
	return r < 0 ? r : n;
}

static long get_filter_metadata(const struct request *q)
{
	struct l_seccomp_metadata m = {0};
	struct l_sock_filter *insns;
	struct task *o;
	long n = may_see_filters(q) ? tracee_get(q, &o) : -EACCES;

	if (n < 0)
		return n;
	n = q->addr < sizeof(m.filter_off) ? -EINVAL : copy_in(q->t->ctx, &m.filter_off, q->data, sizeof(m.filter_off));
	if (n == 0)
		n = seccomp_copy_filter(o, m.filter_off, &insns, &m.flags);
	task_put(o);
	if (n < 0)
		return n;
	free(insns);
	n = (long)min_of(q->addr, (uint64_t)sizeof(m));
	return copy_out(q->t->ctx, q->data, &m, (size_t)n) < 0 ? -EFAULT : n;
}

/* ---- resuming and ending ---- */

static long resume_with(const struct request *q, unsigned work)
{
	if (q->data > L_NSIG)
		return -EIO;
	return trace_resume(q->t, q->tid, (int)q->data, work);
}

static long attach(const struct request *q, bool seize)
{
	struct task *o;
	long r;

	if (seize && q->addr)
		return -EIO;
	r = seize ? check_options(q, -EIO) : 0;
	if (r < 0)
		return r;
	o = task_find(q->tid);
	if (!o)
		return -ESRCH;
	r = proc_may_access_real(o, q->t->cred) < 0 ? -EPERM : 0;
	if (r == 0)
		r = trace_attach(q->t, o, seize, seize ? (uint32_t)q->data : 0);
	task_put(o);
	return r;
}

static long kill_tracee(const struct request *q)
{
	struct l_siginfo info;
	struct task *o;

	signal_fill_kernel(&info, L_SIGKILL);
	mutex_lock(&tasks_lock);
	o = trace_tracee(q->t, q->tid);
	if (o && !o->dead)
		(void)!signal_send_process_locked(o->process, &info); /* never refused */
	mutex_unlock(&tasks_lock);
	return o ? 0 : -ESRCH;
}

/* Requests that concern a tracee in a stop and no registers. */
static long stopped_request(const struct request *q, int request)
{
	switch (request) {
	case L_PTRACE_PEEKTEXT:
	case L_PTRACE_PEEKDATA:
		return peek(q);
	case L_PTRACE_POKETEXT:
	case L_PTRACE_POKEDATA:
		return poke(q);
	case L_PTRACE_SETOPTIONS:
		return set_options(q);
	case L_PTRACE_GETEVENTMSG:
		return get_event_message(q);
	case L_PTRACE_GETSIGINFO:
		return get_siginfo(q);
	case L_PTRACE_SETSIGINFO:
		return set_siginfo(q);
	case L_PTRACE_PEEKSIGINFO:
		return peek_siginfo(q);
	case L_PTRACE_GETSIGMASK:
		return get_sigmask(q);
	case L_PTRACE_SETSIGMASK:
		return set_sigmask(q);
	case L_PTRACE_GET_SYSCALL_INFO:
		return get_syscall_info(q);
	case L_PTRACE_SET_SYSCALL_INFO:
		return set_syscall_info(q);
	case L_PTRACE_GET_RSEQ_CONFIGURATION:
		return get_rseq_configuration(q);
	case L_PTRACE_SECCOMP_GET_FILTER:
		return get_filter(q);
	case L_PTRACE_SECCOMP_GET_METADATA:
		return get_filter_metadata(q);
	case L_PTRACE_LISTEN:
		return trace_listen(q->t, q->tid);
	case L_PTRACE_CONT:
		return resume_with(q, 0);
	case L_PTRACE_SYSCALL:
		return resume_with(q, WORK_TRACE);
	case L_PTRACE_SYSEMU:
		return resume_with(q, WORK_EMULATE);
	case L_PTRACE_SYSEMU_SINGLESTEP:
		return resume_with(q, WORK_EMULATE | WORK_STEP);
	case L_PTRACE_SINGLESTEP:
		return resume_with(q, WORK_STEP);
	case L_PTRACE_DETACH:
		return q->data > L_NSIG ? -EIO : trace_detach(q->t, q->tid, (int)q->data);
	default:
		return ptrace_regs_request(q->t, q->tid, request, q->addr, q->data);
	}
}

long sys_ptrace(struct task *t, const struct sys_args *args)
{
	struct request q = {t, pid_named(t, (int)args->a[1]), args->a[2], args->a[3]};
	/* Numbers above an int are none of them. */
	int request = (int64_t)args->a[0] == (int)args->a[0] ? (int)args->a[0] : -1;
	bool stopped;

	switch (request) {
	case L_PTRACE_TRACEME:
		return trace_me(t);
	case L_PTRACE_ATTACH:
	case L_PTRACE_SEIZE:
		return attach(&q, request == L_PTRACE_SEIZE);
	case L_PTRACE_INTERRUPT:
		return trace_interrupt(t, q.tid);
	case L_PTRACE_KILL:
		return kill_tracee(&q);
	default:
		break;
	}
	mutex_lock(&tasks_lock);
	stopped = trace_stopped_tracee(t, q.tid) != NULL;
	mutex_unlock(&tasks_lock);
	return stopped ? stopped_request(&q, request) : -ESRCH;
}
