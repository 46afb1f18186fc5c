/* Signals: sending, actions, masks, alternate stacks, waiting.  The semantics are in sentry/signal. */
#include <string.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "sentry/signal/signal.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"
#include "sentry/time/clock.h"

/* ---- sending ---- */

static bool known_signal(int sig)
{
	return sig >= 0 && sig <= L_NSIG;
}

/* To the whole process of a thread: of which thread it is makes a difference to who may. */
static int send_process(struct task *t, int tid, int sig, const struct l_siginfo *info)
{
	struct task *to = task_named(t, tid);
	int r = 0;

	if (!to)
		return -ESRCH;
	mutex_lock(&tasks_lock);
	if (!known_signal(sig))
		r = -EINVAL;
	else if (!signal_permitted(t, to, sig))
		r = -EPERM;
	else if (sig)
		r = signal_send_process_locked(to->process, info);
	mutex_unlock(&tasks_lock);
	task_put(to);
	return r;
}

static int kill_one(struct task *t, int pid, int sig)
{
	struct l_siginfo info;

	signal_fill_user(&info, sig, L_SI_USER, t);
	return send_process(t, pid, sig, &info);
}

struct broadcast {
	struct task *from;
	int sig;
	int pgid; /* 0: everybody but init and the caller */
	int seen, sent;
};

static int broadcast_one(struct process *p, void *arg) NO_LOCK_ANALYSIS /* process_for_each holds tasks_lock */
{
	struct broadcast *b = arg;
	struct l_siginfo info;

	if (b->pgid ? p->pgid != b->pgid : process_nr(p, task_pid_ns(b->from)) <= 1 || p == b->from->process)
		return 0;
	b->seen++;
	if (!known_signal(b->sig))
		return -EINVAL;
	if (!signal_permitted(b->from, process_leader(p), b->sig))
		return 0;
	b->sent++;
	signal_fill_user(&info, b->sig, L_SI_USER, b->from);
	return b->sig ? signal_send_member_locked(p, &info) : 0;
}

long sys_kill(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0], sig = (int)args->a[1], r;
	struct broadcast b = {t, sig, 0, 0, 0};

	if (pid > 0)
		return kill_one(t, pid, sig);
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == 0)
		b.pgid = process_pgid(t->process);
	else if (pid < -1)
		b.pgid = pid_named(t, -pid);
	r = process_for_each(broadcast_one, &b);
	if (r < 0)
		return r;
	/* "All that may be signalled" may be none of those that there are; of a group one at least has to be. */
	if (b.sent || (b.seen && pid == -1))
		return 0;
	return b.seen ? -EPERM : -ESRCH;
}

static int send_thread(struct task *t, int tgid, int tid, const struct l_siginfo *info)
{
	struct task *target = task_named(t, tid);
	int r = 0;

	if (!target)
		return -ESRCH;
	if (tgid > 0 && process_nr(target->process, task_pid_ns(t)) != tgid) {
		task_put(target);
		return -ESRCH;
	}
	if (!known_signal(info->si_signo)) {
		task_put(target);
		return -EINVAL;
	}
	mutex_lock(&tasks_lock);
	if (!signal_permitted(t, target, info->si_signo))
		r = -EPERM;
	mutex_unlock(&tasks_lock);
	if (r == 0 && info->si_signo)
		r = signal_send_task(target, info);
	task_put(target);
	return r;
}

long sys_tgkill(struct task *t, const struct sys_args *args)
{
	int tgid = (int)args->a[0], tid = (int)args->a[1], sig = (int)args->a[2];
	struct l_siginfo info;

	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	signal_fill_user(&info, sig, L_SI_TKILL, t);
	return send_thread(t, tgid, tid, &info);
}

long sys_tkill(struct task *t, const struct sys_args *args)
{
	int tid = (int)args->a[0], sig = (int)args->a[1];
	struct l_siginfo info;

	if (tid <= 0)
		return -EINVAL;
	signal_fill_user(&info, sig, L_SI_TKILL, t);
	return send_thread(t, 0, tid, &info);
}

static int copy_in_siginfo(struct task *t, struct l_siginfo *info, uint64_t gva, int sig)
{
	int r = copy_in(t->ctx, info, gva, sizeof(*info));

	if (r < 0)
		return r;
	info->si_signo = sig;
	if (signal_has_sender(info))
		info->kill.uid = cred_read_uid(t->cred, info->kill.uid);
	return signal_check_layout(info);
}

/* A siginfo from the guest may not claim to come from the kernel or kill(2), unless it goes to the sending thread
 * itself. */
static bool may_claim(const struct l_siginfo *info, bool own)
{
	return own || (info->si_code < 0 && info->si_code != L_SI_TKILL);
}

long sys_rt_sigqueueinfo(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0], sig = (int)args->a[1], r;
	struct l_siginfo info;

	r = copy_in_siginfo(t, &info, args->a[2], sig);
	if (r < 0)
		return r;
	if (!may_claim(&info, pid == task_own_nr(t)))
		return -EPERM;
	return send_process(t, pid, sig, &info);
}

long sys_rt_tgsigqueueinfo(struct task *t, const struct sys_args *args)
{
	int tgid = (int)args->a[0], tid = (int)args->a[1], sig = (int)args->a[2], r;
	struct l_siginfo info;

	r = copy_in_siginfo(t, &info, args->a[3], sig);
	if (r < 0)
		return r;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	return !may_claim(&info, tid == task_own_nr(t)) ? -EPERM : send_thread(t, tgid, tid, &info);
}

/* ---- actions and masks ---- */

/* A signal that is now ignored must not stay pending: sigaction(2). */
static void drop_pending(struct task *t, int sig)
{
	struct process *p = t->process;
	struct task *o;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	sigpending_drop(&p->shared_pending, p, sig_bit(sig));
	list_for_each_entry (o, &p->threads, thread_node)
		sigpending_drop(&o->pending, p, sig_bit(sig));
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);
}

long sys_rt_sigaction(struct task *t, const struct sys_args *args)
{
	int sig = (int)args->a[0], r;
	struct l_sigaction act, old;
	bool set = args->a[1] != 0;

	if (args->a[3] != L_SIGSET_SIZE)
		return -EINVAL;
	if (set) {
		r = copy_in(t->ctx, &act, args->a[1], sizeof(act));
		if (r < 0)
			return r;
	}
	if (!sig_valid(sig) || (set && (sig_bit(sig) & SIG_UNBLOCKABLE)))
		return -EINVAL;
	mutex_lock(&t->sighand->lock);
	old = t->sighand->action[sig - 1];
	if (set) {
		act.flags &= L_SA_UAPI_FLAGS;
		act.mask &= ~SIG_UNBLOCKABLE;
		t->sighand->action[sig - 1] = act;
	}
	mutex_unlock(&t->sighand->lock);
	if (set &&
	    (act.handler == L_SIG_IGN || (act.handler == L_SIG_DFL && signal_default(sig) == SIG_DEFAULT_IGNORE)))
		drop_pending(t, sig);
	return args->a[2] ? copy_out(t->ctx, args->a[2], &old, sizeof(old)) : 0;
}

long sys_rt_sigprocmask(struct task *t, const struct sys_args *args)
{
	sigset old = t->blocked, set, next;
	int r;

	if (args->a[3] != L_SIGSET_SIZE)
		return -EINVAL;
	if (args->a[1]) {
		r = copy_in(t->ctx, &set, args->a[1], sizeof(set));
		if (r < 0)
			return r;
		switch ((int)args->a[0]) {
		case L_SIG_BLOCK:
			next = old | set;
			break;
		case L_SIG_UNBLOCK:
			next = old & ~set;
			break;
		case L_SIG_SETMASK:
			next = set;
			break;
		default:
			return -EINVAL;
		}
		signal_set_blocked(t, next);
	}
	return args->a[2] ? copy_out(t->ctx, args->a[2], &old, sizeof(old)) : 0;
}

long sys_rt_sigpending(struct task *t, const struct sys_args *args)
{
	sigset pending = signal_pending_set(t) & t->blocked;

	if (args->a[1] > L_SIGSET_SIZE)
		return -EINVAL;
	return copy_out(t->ctx, args->a[0], &pending, args->a[1]);
}

/* Sleeps until a signal calls for attention; only a handler makes it return. */
static long pause_until_signal(struct task *t)
{
	int r;

	do {
		sleeper_arm(&t->sleeper);
		r = sleeper_sleep(&t->sleeper, NO_DEADLINE);
	} while (r == 0);
	return -ERESTARTNOHAND;
}

long sys_rt_sigsuspend(struct task *t, const struct sys_args *args)
{
	sigset mask;
	int r = signal_copy_mask(t, args->a[0], args->a[1], &mask);

	if (r < 0)
		return r;
	signal_set_temporary_mask(t, mask);
	return pause_until_signal(t);
}

long sys_pause(struct task *t, const struct sys_args *args)
{
	return pause_until_signal(t);
}

long sys_rt_sigtimedwait(struct task *t, const struct sys_args *args)
{
	int64_t deadline = NO_DEADLINE;
	struct l_timespec ts;
	struct l_siginfo info;
	sigset set;
	int sig, r = signal_copy_mask(t, args->a[0], args->a[3], &set);

	if (r < 0)
		return r;
	if (args->a[2]) {
		r = copy_in(t->ctx, &ts, args->a[2], sizeof(ts));
		if (r < 0)
			return r;
		if (!timespec_valid(&ts))
			return -EINVAL;
		deadline = deadline_after(&ts);
	}
	set &= ~SIG_UNBLOCKABLE;
	sig = signal_take(t, set, &info);
	if (!sig && !(args->a[2] && ts.tv_sec == 0 && ts.tv_nsec == 0)) {
		/* Unblock what we wait for, so that its arrival wakes us; it is taken here and not delivered. */
		signal_wait_begin(t, set);
		do {
			sleeper_arm(&t->sleeper);
			sig = signal_take(t, set, &info);
			if (sig)
				break;
			r = sleeper_sleep(&t->sleeper, deadline);
		} while (r == 0);
		if (!sig)
			sig = signal_take(t, set, &info);
		signal_wait_end(t);
	}
	if (!sig)
		return r == -ERESTARTSYS ? -EINTR : -EAGAIN;
	if (args->a[1]) {
		r = copy_out(t->ctx, args->a[1], &info, sizeof(info));
		if (r < 0)
			return r;
	}
	return sig;
}

/* ---- frames and stacks ---- */

long sys_rt_sigreturn(struct task *t, const struct sys_args *args)
{
	struct abi_regs regs;
	int r = pctx_get_regs(t->ctx, &regs);

	if (r == 0)
		r = signal_frame_pop(t, &regs);
	if (r == 0)
		r = pctx_set_regs(t->ctx, &regs);
	t->in_syscall = false; /* rax is the frame's */
	if (r < 0)
		signal_force_kernel(t, L_SIGSEGV);
	return 0;
}

long sys_sigaltstack(struct task *t, const struct sys_args *args)
{
	struct l_stack next, old = t->altstack;
	struct abi_regs regs;
	bool on;
	int r = pctx_get_regs(t->ctx, &regs);

	if (r < 0)
		return r;
	on = signal_on_altstack(t, regs.rsp);
	old.ss_flags = (old.ss_flags & ~L_SS_ONSTACK) | (on ? L_SS_ONSTACK : 0);
	if (args->a[0]) {
		int mode;

		r = copy_in(t->ctx, &next, args->a[0], sizeof(next));
		if (r < 0)
			return r;
		if (on)
			return -EPERM;
		if (next.ss_sp == t->altstack.ss_sp && next.ss_size == t->altstack.ss_size &&
		    (next.ss_flags == t->altstack.ss_flags || (next.ss_size == 0 && next.ss_flags == 0)))
			goto out; /* no change, and so nothing to refuse */
		mode = next.ss_flags & ~(int)L_SS_AUTODISARM;
		if (mode != 0 && mode != L_SS_ONSTACK && mode != L_SS_DISABLE)
			return -EINVAL;
		if (mode == L_SS_DISABLE) {
			next.ss_sp = 0;
			next.ss_size = 0;
		} else if (next.ss_size < L_MINSIGSTKSZ) {
			return -ENOMEM;
		}
		next.pad_ = 0;
		signal_set_altstack(t, &next); /* with SS_ONSTACK if it was given: a frame shows that, though it means nothing */
	}
out:
	return args->a[1] ? copy_out(t->ctx, args->a[1], &old, sizeof(old)) : 0;
}

/* What was interrupted goes on. */
long sys_restart_syscall(struct task *t, const struct sys_args *args)
{
	long (*fn)(struct task * t) = t->restart.fn;

	t->restart.fn = NULL;
	return fn ? fn(t) : -EINTR;
}
