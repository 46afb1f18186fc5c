/* Sending: who gets a signal and what happens at once.  See kill(2), signal(7). */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/wait.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"

enum sig_default signal_default(int sig)
{
	switch (sig) {
	case L_SIGQUIT:
	case L_SIGILL:
	case L_SIGTRAP:
	case L_SIGABRT:
	case L_SIGBUS:
	case L_SIGFPE:
	case L_SIGSEGV:
	case L_SIGXCPU:
	case L_SIGXFSZ:
	case L_SIGSYS:
		return SIG_DEFAULT_CORE;
	case L_SIGCHLD:
	case L_SIGURG:
	case L_SIGWINCH:
		return SIG_DEFAULT_IGNORE;
	case L_SIGCONT:
		return SIG_DEFAULT_CONT;
	case L_SIGSTOP:
	case L_SIGTSTP:
	case L_SIGTTIN:
	case L_SIGTTOU:
		return SIG_DEFAULT_STOP;
	default:
		return SIG_DEFAULT_TERM;
	}
}

/* ---- siginfo ---- */

void signal_fill_user(struct l_siginfo *info, int sig, int code, const struct task *from)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
	info->kill.pid = from->process->pid;
	info->kill.uid = from->cred->uid;
}

void signal_fill_kernel(struct l_siginfo *info, int sig)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = L_SI_KERNEL;
}

void signal_fill_child(struct l_siginfo *info, const struct process *p, int sig, int status)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->chld.pid = p->pid;
	info->chld.uid = p->exit_uid;
	info->chld.utime = p->self.utime_ns / 10000000;
	info->chld.stime = p->self.stime_ns / 10000000;
	if (status == L_W_CONTINUED) {
		info->si_code = L_CLD_CONTINUED;
		info->chld.status = L_SIGCONT;
	} else if (l_wifstopped(status)) {
		info->si_code = L_CLD_STOPPED;
		info->chld.status = l_wexitstatus(status);
	} else if (l_wifexited(status)) {
		info->si_code = L_CLD_EXITED;
		info->chld.status = l_wexitstatus(status);
	} else {
		info->si_code = status & L_WCOREFLAG ? L_CLD_DUMPED : L_CLD_KILLED;
		info->chld.status = l_wtermsig(status);
	}
}

/* ---- waking ---- */

void signal_wake_task(struct task *t)
{
	sleeper_interrupt(&t->sleeper);
	if (t->ctx && t->ctx_running)
		pctx_interrupt(t->ctx);
}

void signal_wake_threads(struct process *p)
{
	struct task *t;

	list_for_each_entry(t, &p->threads, thread_node)
		signal_wake_task(t);
	waitqueue_wake(&p->job_wq, 0);
}

/* ---- sending ---- */

static struct sighand *process_sighand(struct process *p)
{
	return list_empty(&p->threads) ? NULL : list_first_entry(&p->threads, struct task, thread_node)->sighand;
}

static bool ignores(struct sighand *sh, int sig)
{
	struct l_sigaction a = sighand_action(sh, sig);

	if (a.handler == L_SIG_IGN)
		return true;
	return a.handler == L_SIG_DFL && signal_default(sig) == SIG_DEFAULT_IGNORE;
}

/* Job-control signals cancel each other in the queues, and SIGCONT resumes at once.  tasks_lock and sig_lock held. */
static void prepare_job_control(struct process *p, int sig) REQUIRES(tasks_lock)
{
	sigset cancel = sig == L_SIGCONT ? SIG_STOPS : signal_default(sig) == SIG_DEFAULT_STOP ? sig_bit(L_SIGCONT) : 0;
	struct task *t;

	if (!cancel)
		return;
	sigpending_drop(&p->shared_pending, p, cancel);
	list_for_each_entry(t, &p->threads, thread_node)
		sigpending_drop(&t->pending, p, cancel);
	if (sig != L_SIGCONT)
		return;
	p->cont_count++;
	list_for_each_entry(t, &p->threads, thread_node) {
		if (!t->trace.seized || !t->group_stopped)
			continue;
		t->trace.notify = true;
		sleeper_wake(&t->sleeper);
	}
	if (p->job == JOB_STOPPED) {
		p->job = JOB_RUNNING;
		list_for_each_entry(t, &p->threads, thread_node)
			t->group_stopped = false;
		p->wait_stopped = false;
		p->wait_continued = true;
		signal_wake_threads(p);
		process_report_job_change(p, L_W_CONTINUED);
	}
}

/* SIGKILL asks nobody. */
static void kill_now(struct process *p)
{
	p->kill_count++;
	if (!p->group_exiting) {
		p->group_exit_status = L_SIGKILL;
		p->group_exiting = true;
		p->job = JOB_RUNNING;
	}
	signal_wake_threads(p);
}

/* A thread that does not block sig: the leader if it can, else the first that sleeps or runs. */
static struct task *choose_thread(struct process *p, int sig)
{
	struct task *t, *any = NULL;

	list_for_each_entry(t, &p->threads, thread_node) {
		if (signal_mask_of(t) & sig_bit(sig))
			continue;
		if (t->tid == p->pid)
			return t;
		if (!any)
			any = t;
	}
	return any;
}

/* Whoever is to act on sig, now pending for target or (NULL) for p.  tasks_lock and p->sig_lock held. */
static void wake_for(struct process *p, struct task *target, int sig)
{
	struct task *t;

	signal_watch_tell(p, sig);
	if (target) {
		signal_mask_keep(target);
		t = signal_mask_of(target) & sig_bit(sig) ? NULL : target;
	} else {
		list_for_each_entry(t, &p->threads, thread_node)
			signal_mask_keep(t);
		t = choose_thread(p, sig);
	}
	if (t)
		signal_wake_task(t);
}

/* Job control is done; should sig be queued at all?  The same locks. */
static bool wanted(struct process *p, struct task *target, int sig, bool force)
{
	struct sighand *sh = target ? target->sighand : process_sighand(p);
	struct task *t = target ? target : list_first_entry(&p->threads, struct task, thread_node);

	if (((signal_mask_of(t) | t->wait_blocked) & sig_bit(sig)) || t->trace.traced)
		return true;
	return !ignores(sh, sig) &&
	       !(p->unkillable && sighand_action(sh, sig).handler == L_SIG_DFL && !(force && sig == L_SIGSTOP));
}

/* It is as good as gone; or no guest's. */
static bool is_deaf(struct process *p)
{
	return list_empty(&p->threads) || p->group_exiting || p->is_sentry;
}

bool signal_has_sender(const struct l_siginfo *info)
{
	if (info->si_code == L_SI_USER ||
	    (info->si_code < L_SI_USER && info->si_code != L_SI_TIMER && info->si_code != L_SI_SIGIO))
		return true;
	return info->si_signo == L_SIGCHLD && info->si_code >= L_CLD_EXITED && info->si_code <= L_CLD_CONTINUED;
}

/* What the receiver is told of the sender: ids as the receiver's namespaces have them. */
static void localise(struct l_siginfo *info, struct task *receiver, bool from_above) REQUIRES(tasks_lock)
{
	const struct cred *c;

	if (!signal_has_sender(info))
		return;
	c = task_get_cred(receiver);
	if (c->user_ns != &user_ns_first) /* there, a guest may have claimed to be nobody */
		info->kill.uid = cred_show_uid(c, info->kill.uid);
	cred_put(c);
	/* What a guest says of itself, by rt_sigqueueinfo(2), is in its own numbers already. */
	if (from_above)
		info->kill.pid = 0;
	else if (info->si_code != L_SI_QUEUE)
		info->kill.pid = global_nr_locked(info->kill.pid, task_pid_ns(receiver));
}

/* Does the calling task send this from where p's PID namespace does not reach. */
static bool is_from_above(const struct process *p)
{
	const struct task *sender = task_current();

	return sender && !process_nr(sender->process, process_pid_ns(p));
}

/* sig, sent to several processes and now pending for p, is so for the children its threads are about to have. */
static void tell_forks(struct process *p, int sig)
{
	struct fork_signals *f;

	list_for_each_entry(f, &p->forks, node) {
		if (sig == L_SIGCONT)
			f->set &= ~SIG_STOPS;
		else if (signal_default(sig) == SIG_DEFAULT_STOP)
			f->set &= ~sig_bit(L_SIGCONT);
		f->set |= sig_bit(sig);
	}
}

/* target NULL: to the process; to_many: as one of several processes.  tasks_lock and p->sig_lock held. */
static int send_locked(struct process *p, struct task *target, const struct l_siginfo *info, bool to_many) REQUIRES(tasks_lock)
{
	struct l_siginfo local = *info;
	bool above = is_from_above(p), force = above || info->si_code == L_SI_KERNEL, again;
	struct sigpending *q = target ? &target->pending : &p->shared_pending;
	int sig = info->si_signo, r;

	/* One that is ending may have stopped for its tracer on the way, and only the sentry itself gets it out of there. */
	if (is_deaf(p) && (sig != L_SIGKILL || info->si_code != L_SI_KERNEL || list_empty(&p->threads) || p->is_sentry))
		return 0;
	if (sig == L_SIGKILL) {
		if (!p->unkillable || force) /* the sentry kills pid 1, and an outer namespace; nobody inside does */
			kill_now(p);
		return 0;
	}
	prepare_job_control(p, sig);
	if (!wanted(p, target, sig, force))
		return 0;
	localise(&local, target ? target : list_first_entry(&p->threads, struct task, thread_node), above);
	again = sig < L_SIGRTMIN && (q->set & sig_bit(sig));
	r = sigpending_add(q, p, &local, info->si_code != L_SI_USER && info->si_code != L_SI_KERNEL);
	if (r < 0)
		return r;
	if (to_many && !again)
		tell_forks(p, sig);
	wake_for(p, target, sig);
	return 0;
}

bool signal_send_timer(struct process *p, struct task *target, struct sigqueue *s)
{
	int sig = s->info.si_signo;

	if (is_deaf(p) || (target && target->dead))
		return false;
	if (sig == L_SIGKILL) {
		if (!p->unkillable)
			kill_now(p);
		return false;
	}
	prepare_job_control(p, sig);
	if (!wanted(p, target, sig, false))
		return false;
	sigpending_add_entry(target ? &target->pending : &p->shared_pending, s);
	wake_for(p, target, sig);
	return true;
}

void signal_unqueue_timer(struct process *p, struct task *target, struct sigqueue *s)
{
	sigpending_remove_entry(target ? &target->pending : &p->shared_pending, s);
}

int signal_send_process_locked(struct process *p, const struct l_siginfo *info)
{
	int r;

	mutex_lock(&p->sig_lock);
	r = send_locked(p, NULL, info, false);
	mutex_unlock(&p->sig_lock);
	return r;
}

int signal_send_member_locked(struct process *p, const struct l_siginfo *info)
{
	int r;

	mutex_lock(&p->sig_lock);
	r = send_locked(p, NULL, info, true);
	mutex_unlock(&p->sig_lock);
	return r;
}

int signal_send_process(struct process *p, const struct l_siginfo *info)
{
	int r;

	mutex_lock(&tasks_lock);
	r = signal_send_process_locked(p, info);
	mutex_unlock(&tasks_lock);
	return r;
}

int signal_send_task_locked(struct task *t, const struct l_siginfo *info)
{
	int r = 0;

	mutex_lock(&t->process->sig_lock);
	if (!t->dead)
		r = send_locked(t->process, t, info, false);
	mutex_unlock(&t->process->sig_lock);
	return r;
}

int signal_send_task(struct task *t, const struct l_siginfo *info)
{
	int r;

	mutex_lock(&tasks_lock);
	r = signal_send_task_locked(t, info);
	mutex_unlock(&tasks_lock);
	return r;
}

struct pgrp_send {
	int pgid, sent;
	const struct l_siginfo *info;
};

static int send_to_member(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct pgrp_send *s = arg;

	if (p->pgid == s->pgid && !p->zombie) {
		s->sent++;
		if (signal_send_member_locked(p, s->info) < 0)
			log_debug("signal %d to process %d lost: too many pending", s->info->si_signo, p->pid);
	}
	return 0;
}

int signal_send_pgrp(int pgid, const struct l_siginfo *info)
{
	struct pgrp_send s = {pgid, 0, info};

	process_for_each(send_to_member, &s);
	return s.sent ? 0 : -ESRCH;
}

struct pgrp_send_from {
	const struct task *from;
	int pgid, seen, sent;
	const struct l_siginfo *info;
};

static int send_to_permitted_member(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct pgrp_send_from *s = arg;

	if (p->pgid != s->pgid)
		return 0;
	s->seen++;
	if (!signal_permitted(s->from, process_leader(p), s->info->si_signo))
		return 0;
	s->sent++;
	return s->info->si_signo ? signal_send_member_locked(p, s->info) : 0;
}

int signal_send_pgrp_from(const struct task *t, int pgid, const struct l_siginfo *info)
{
	struct pgrp_send_from s = {t, pgid, 0, 0, info};
	int r = process_for_each(send_to_permitted_member, &s);

	if (r < 0 || s.sent)
		return r;
	return s.seen ? -EPERM : -ESRCH;
}

void signal_force(struct task *t, const struct l_siginfo *info)
{
	struct process *p = t->process;
	struct l_sigaction *a = &t->sighand->action[info->si_signo - 1];
	bool was_blocked;
	int r;

	mutex_lock(&tasks_lock);
	mutex_lock(&p->sig_lock);
	was_blocked = (t->blocked & sig_bit(info->si_signo)) != 0;
	mutex_lock(&t->sighand->lock);
	if (was_blocked || a->handler == L_SIG_IGN)
		a->handler = L_SIG_DFL;
	if (a->handler == L_SIG_DFL && !t->trace.traced)
		p->unkillable = false;
	mutex_unlock(&t->sighand->lock);
	t->blocked &= ~sig_bit(info->si_signo);
	sigpending_drop(&t->pending, p, sig_bit(info->si_signo)); /* the exception's own siginfo is the one that counts */
	r = sigpending_add(&t->pending, p, info, false);
	ASSERT(r == 0);
	sleeper_interrupt(&t->sleeper);
	mutex_unlock(&p->sig_lock);
	mutex_unlock(&tasks_lock);
}

void signal_force_kernel(struct task *t, int sig)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, sig);
	signal_force(t, &info);
}

bool signal_process_ignores_children(struct process *parent)
{
	struct sighand *sh = process_sighand(parent);
	struct l_sigaction a;

	if (!sh)
		return false;
	a = sighand_action(sh, L_SIGCHLD);
	return a.handler == L_SIG_IGN || (a.flags & L_SA_NOCLDWAIT);
}

bool signal_permitted(const struct task *t, struct task *to, int sig)
{
	const struct cred *c = t->cred, *target;
	bool same;

	if (!to || to->process == t->process || cred_capable(c, L_CAP_KILL))
		return true;
	if (sig == L_SIGCONT && to->process->session == t->process->session)
		return true;
	mutex_lock(&to->alloc_lock);
	target = to->cred;
	same = c->euid == target->suid || c->euid == target->uid || c->uid == target->suid || c->uid == target->uid ||
	       cred_ns_capable(c, target->user_ns, L_CAP_KILL);
	mutex_unlock(&to->alloc_lock);
	return same;
}

/* How many codes of its own the kernel gives sig; 0: none. */
static int own_codes(int sig)
{
	switch (sig) {
	case L_SIGILL:
		return 11;
	case L_SIGFPE:
		return 15;
	case L_SIGSEGV:
		return 10;
	case L_SIGBUS:
		return 5;
	case L_SIGTRAP:
	case L_SIGCHLD:
	case L_SIGIO:
		return 6;
	case L_SIGSYS:
		return 2;
	default:
		return 0;
	}
}

#define KERNEL_SIGINFO_SIZE 48 /* what the kernel keeps of the 128 */
#define ANY_SIGPOLL_CODES 6

int signal_check_layout(const struct l_siginfo *info)
{
	const uint8_t *b = (const uint8_t *)info;
	int code = info->si_code, limit = own_codes(info->si_signo);

	if (code == L_SI_KERNEL || code == L_SI_ASYNCNL || (code >= L_SI_DETHREAD && code <= L_SI_USER))
		return 0;
	if (code > L_SI_USER && code <= (limit ? limit : ANY_SIGPOLL_CODES))
		return 0;
	for (size_t i = KERNEL_SIGINFO_SIZE; i < sizeof(*info); i++)
		if (b[i])
			return -E2BIG;
	return 0;
}
