/* Controlling terminals and foreground groups, as termios(3), tty_ioctl(4) and credentials(7) have them. */
#include "sentry/fs/tty/tty.h"

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "platform/uaccess.h"
#include "sentry/task/task.h"

struct tty *tty_get(struct tty *tty)
{
	inode_get(tty->inode);
	return tty;
}

void tty_put(struct tty *tty)
{
	if (tty)
		inode_put(tty->inode);
}

int tty_associate(struct tty *tty, struct session *s, int pgid)
{
	int r = 0;

	mutex_lock(&tasks_lock);
	if (s->tty == tty) {
		/* it is already */
	} else if (s->tty || tty->session) {
		r = -EPERM;
	} else {
		s->tty = tty_get(tty);
		tty->session = s;
		tty->foreground = pgid;
	}
	mutex_unlock(&tasks_lock);
	return r;
}

int tty_foreground(struct session *s)
{
	int pgid;

	mutex_lock(&tasks_lock);
	pgid = s->tty ? s->tty->foreground : 0;
	mutex_unlock(&tasks_lock);
	return pgid;
}

void tty_disassociate(struct session *s)
{
	struct tty *tty;

	mutex_lock(&tasks_lock);
	tty = s->tty;
	s->tty = NULL;
	if (tty) {
		tty->session = NULL;
		tty->foreground = 0;
	}
	mutex_unlock(&tasks_lock);
	tty_put(tty);
}

/* ---- the calls of job control ---- */

static long get_foreground(struct tty *tty, struct task *t, struct pctx *ctx, uint64_t arg)
{
	int32_t pgid;

	mutex_lock(&tasks_lock);
	pgid = t->process->session->tty == tty ? tty->foreground : -ENOTTY;
	mutex_unlock(&tasks_lock);
	return pgid == -ENOTTY ? -ENOTTY : copy_out(ctx, arg, &pgid, sizeof(pgid));
}

struct group_query {
	int pgid;
	const struct session *session;
	bool exists, in_session;
};

static int look_at_group(struct process *p, void *arg)
{
	struct group_query *q = arg;

	if (p->pgid == q->pgid && !p->reaped) {
		q->exists = true;
		q->in_session |= p->session == q->session;
	}
	return q->in_session;
}

static long set_foreground(struct tty *tty, struct task *t, struct pctx *ctx, uint64_t arg)
{
	struct group_query q = {.session = t->process->session};
	int32_t pgid;
	long r = copy_in(ctx, &pgid, arg, sizeof(pgid));

	if (r < 0)
		return r;
	if (pgid < 0)
		return -EINVAL;
	q.pgid = pgid;
	process_for_each(look_at_group, &q);
	mutex_lock(&tasks_lock);
	if (t->process->session->tty != tty)
		r = -ENOTTY;
	else if (!q.exists)
		r = -ESRCH;
	else if (!q.in_session)
		r = -EPERM;
	else
		tty->foreground = pgid;
	mutex_unlock(&tasks_lock);
	return r;
}

static long get_session(struct tty *tty, struct task *t, struct pctx *ctx, uint64_t arg)
{
	int32_t sid = -1;

	mutex_lock(&tasks_lock);
	if (tty->session && t->process->session->tty == tty)
		sid = tty->session->sid;
	mutex_unlock(&tasks_lock);
	return sid < 0 ? -ENOTTY : copy_out(ctx, arg, &sid, sizeof(sid));
}

static long set_controlling(struct tty *tty, struct task *t)
{
	struct process *p = t->process;

	if (p->session->sid != p->pid)
		return -EPERM;
	return tty_associate(tty, p->session, p->pgid);
}

static long give_up(struct tty *tty, struct task *t)
{
	struct process *p = t->process;
	bool mine;

	mutex_lock(&tasks_lock);
	mine = p->session->tty == tty;
	mutex_unlock(&tasks_lock);
	if (!mine)
		return -ENOTTY;
	/* DIVERGES: a process that leads no session keeps the terminal; Linux detaches that process alone. */
	if (p->session->sid == p->pid)
		tty_disassociate(p->session);
	return 0;
}

long tty_job_ioctl(struct tty *tty, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct task *t = task_current();

	if (!t)
		return -ENOTTY;
	switch (cmd) {
	case L_TIOCGPGRP:
		return get_foreground(tty, t, ctx, arg);
	case L_TIOCSPGRP:
		return set_foreground(tty, t, ctx, arg);
	case L_TIOCGSID:
		return get_session(tty, t, ctx, arg);
	case L_TIOCSCTTY:
		return set_controlling(tty, t);
	case L_TIOCNOTTY:
		return give_up(tty, t);
	default:
		return -ENOTTY;
	}
}

/* ---- /dev/tty ---- */

const struct file_ops tty_self_ops = {.read = NULL}; /* replaced by the open */

int tty_open_self(struct inode *i, struct file *f)
{
	struct task *t = task_current();
	struct tty *tty = NULL;

	if (t) {
		mutex_lock(&tasks_lock);
		if (t->process->session->tty)
			tty = tty_get(t->process->session->tty);
		mutex_unlock(&tasks_lock);
	}
	if (!tty)
		return -ENXIO;
	hostfile_attach(tty, f);
	tty_put(tty);
	return 0;
}
