/* The signals that open files send to their owners: F_SETOWN, F_SETSIG (fcntl(2)). */
#include <string.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/poll.h"
#include "sentry/signal/signal.h"
#include "sentry/task/tree.h"

/* What poll(2) would say, for a code of L_POLL_*. */
static int64_t band_of(int code)
{
	switch (code) {
	case L_POLL_IN:
		return L_POLLIN | L_POLLRDNORM;
	case L_POLL_OUT:
		return L_POLLOUT | L_POLLWRNORM | L_POLLWRBAND;
	case L_POLL_MSG:
		return L_POLLIN | L_POLLRDNORM | L_POLLMSG;
	case L_POLL_ERR:
		return L_POLLERR;
	case L_POLL_PRI:
		return L_POLLPRI | L_POLLRDBAND;
	default:
		return L_POLLHUP | L_POLLERR;
	}
}

/* Signals whose positive codes mean something of their own. */
static bool has_own_codes(int sig)
{
	switch (sig) {
	case L_SIGILL:
	case L_SIGFPE:
	case L_SIGSEGV:
	case L_SIGBUS:
	case L_SIGTRAP:
	case L_SIGCHLD:
	case L_SIGSYS:
		return true;
	default:
		return false;
	}
}

struct message {
	const struct file_owner *o;
	struct l_siginfo info;
};

/* Whoever set the owner must have been allowed to signal it: by the ids of that time. */
static bool permitted(const struct file_owner *o, struct task *t)
{
	const struct cred *c;
	bool r;

	mutex_lock(&t->alloc_lock);
	c = t->cred;
	r = o->euid == 0 || o->euid == c->suid || o->euid == c->uid || o->uid == c->suid || o->uid == c->uid;
	mutex_unlock(&t->alloc_lock);
	return r;
}

/* To t alone, to its process, or to that as one of a group. */
static int send_as(int type, struct process *p, struct task *t, const struct l_siginfo *info) REQUIRES(tasks_lock)
{
	switch (type) {
	case L_F_OWNER_TID:
		return signal_send_task_locked(t, info);
	case L_F_OWNER_PGRP:
		return signal_send_member_locked(p, info);
	default:
		return signal_send_process_locked(p, info);
	}
}

/* What has no room in the queue becomes a plain SIGIO. */
static void send_one(const struct message *m, struct process *p, struct task *t) REQUIRES(tasks_lock)
{
	struct l_siginfo plain;
	int r = -EAGAIN;

	if (!permitted(m->o, t))
		return;
	if (m->o->sig)
		r = send_as(m->o->type, p, t, &m->info);
	if (r == 0)
		return;
	signal_fill_kernel(&plain, L_SIGIO);
	r = send_as(m->o->type, p, t, &plain);
	if (r < 0)
		log_debug("SIGIO lost: out of memory");
}

static int to_member(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	const struct message *m = arg;
	struct task *t = p->pgid == m->o->pid && !p->zombie ? process_any_task(p) : NULL;

	if (t)
		send_one(m, p, t);
	return 0;
}

void signal_file_owner(const struct file_owner *o, int fd, int code)
{
	struct message m = {.o = o};
	struct task *t;

	m.info.si_signo = o->sig;
	m.info.si_code = o->sig != L_SIGIO && has_own_codes(o->sig) ? L_SI_SIGIO : code;
	m.info.poll.band = band_of(code);
	m.info.poll.fd = fd;
	if (o->type == L_F_OWNER_PGRP) {
		process_for_each(to_member, &m);
		return;
	}
	t = task_find(o->pid);
	if (!t)
		return;
	mutex_lock(&tasks_lock);
	if (!t->dead)
		send_one(&m, t->process, t);
	mutex_unlock(&tasks_lock);
	task_put(t);
}
