/* Controlling terminals and foreground groups, as termios(3), tty_ioctl(4) and credentials(7) have them. */
#include "sentry/fs/tty/tty.h"

#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "base/log.h"
#include "platform/uaccess.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/task/tree.h"
#include "sentry/vfs/fasync.h"

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

struct tty *tty_of_file(struct file *f)
{
	struct tty *tty = hostfile_tty(f);

	if (!tty)
		tty = pty_tty(f);
	return tty ? tty_get(tty) : NULL;
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

static void send_group(int pgid, int sig)
{
	struct l_siginfo info;

	signal_fill_kernel(&info, sig);
	if (signal_send_pgrp(pgid, &info) < 0)
		log_debug("signal %d: process group %d has gone", sig, pgid);
}

void tty_disassociate(struct session *s, bool exiting)
{
	struct tty *tty;
	int foreground = 0;

	mutex_lock(&tasks_lock);
	tty = s->tty;
	s->tty = NULL;
	if (tty) {
		foreground = tty->foreground;
		tty->session = NULL;
		tty->foreground = 0;
	}
	mutex_unlock(&tasks_lock);
	if (foreground) {
		send_group(foreground, L_SIGHUP);
		if (!exiting)
			send_group(foreground, L_SIGCONT);
	}
	tty_put(tty);
}

void tty_opened(struct tty *tty)
{
	struct task *t = task_current();

	if (t && t->process->session->sid == t->process->pid &&
	    tty_associate(tty, t->process->session, t->process->pgid) < 0)
		log_debug("a session leader opened a terminal that is not for it to control");
}

/* Takes tty from its session: the session's number, or 0 if it had none. */
static int take_from_session(struct tty *tty)
{
	struct session *s;
	int sid = 0;

	mutex_lock(&tasks_lock);
	s = tty->session;
	if (s) {
		sid = s->sid;
		s->tty = NULL;
		tty->session = NULL;
		tty->foreground = 0;
	}
	mutex_unlock(&tasks_lock);
	if (s)
		tty_put(tty);
	return sid;
}

void tty_lost(struct tty *tty)
{
	static const int signals[] = {L_SIGHUP, L_SIGCONT};
	int sid = take_from_session(tty);
	struct process *leader = sid ? process_find(sid) : NULL;

	for (size_t n = 0; leader && n < ARRAY_SIZE(signals); n++) {
		struct l_siginfo info;

		signal_fill_kernel(&info, signals[n]);
		if (signal_send_process(leader, &info) < 0)
			log_debug("signal %d: the session's leader has gone", signals[n]);
	}
	process_put(leader);
}

void tty_signal(struct tty *tty, int sig)
{
	int pgid;

	mutex_lock(&tasks_lock);
	pgid = tty->foreground;
	mutex_unlock(&tasks_lock);
	if (pgid > 0)
		send_group(pgid, sig);
}

void tty_vhangup_self(void)
{
	struct task *t = task_current();
	struct tty *tty = NULL;

	mutex_lock(&tasks_lock);
	if (t && t->process->session->tty)
		tty = tty_get(t->process->session->tty);
	mutex_unlock(&tasks_lock);
	if (tty && tty->ops->hangup)
		tty->ops->hangup(tty);
	tty_put(tty);
}

/* ---- whose turn it is ---- */

static bool ignores_or_blocks(struct task *t, int sig)
{
	return (t->blocked & sig_bit(sig)) || sighand_action(t->sighand, sig).handler == L_SIG_IGN;
}

int tty_check_job(struct tty *tty, int sig)
{
	struct task *t = task_current();
	bool controls, background, orphaned;
	int pgid;

	if (!t)
		return 0;
	mutex_lock(&tasks_lock);
	pgid = t->process->pgid;
	controls = t->process->session->tty == tty;
	background = tty->foreground && tty->foreground != pgid;
	mutex_unlock(&tasks_lock);
	if (!controls || (!background && !tty->ops->is_away(tty)))
		return 0;
	if (ignores_or_blocks(t, sig))
		return sig == L_SIGTTIN ? -EIO : 0;
	mutex_lock(&tasks_lock);
	orphaned = pgrp_is_orphaned(pgid, NULL);
	mutex_unlock(&tasks_lock);
	if (orphaned)
		return -EIO;
	send_group(pgid, sig);
	return -ERESTARTSYS;
}

/* ---- the calls of job control ---- */

/* A group of the world outside has the number 0, as Linux shows groups of an outer pid namespace. */
static long get_foreground(struct tty *tty, struct task *t, struct pctx *ctx, uint64_t arg, bool from_master)
{
	int32_t pgid;

	mutex_lock(&tasks_lock);
	pgid = from_master || t->process->session->tty == tty ? tty->foreground : -ENOTTY;
	mutex_unlock(&tasks_lock);
	if (pgid > 0)
		pgid = tty->ops->is_away(tty) ? 0 : pgrp_global_nr(pgid, task_pid_ns(t));
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
	long r = tty_check_job(tty, L_SIGTTOU);

	if (r == 0)
		r = copy_in(ctx, &pgid, arg, sizeof(pgid));
	if (r < 0)
		return r == -EIO ? -ENOTTY : r;
	if (pgid < 0)
		return -EINVAL;
	pgid = pid_named(t, pgid);
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

static long get_session(struct tty *tty, struct task *t, struct pctx *ctx, uint64_t arg, bool from_master)
{
	int32_t sid = -1;

	mutex_lock(&tasks_lock);
	if (tty->session && (from_master || t->process->session->tty == tty))
		sid = session_nr(tty->session, task_pid_ns(t));
	mutex_unlock(&tasks_lock);
	return sid < 0 ? -ENOTTY : copy_out(ctx, arg, &sid, sizeof(sid));
}

/* arg 1: the terminal is taken from the session that has it, by one who may. */
static long set_controlling(struct tty *tty, struct task *t, uint64_t arg)
{
	struct process *p = t->process;
	bool has, taken;

	mutex_lock(&tasks_lock);
	has = p->session->tty && p->session->tty != tty;
	taken = tty->session && tty->session != p->session;
	mutex_unlock(&tasks_lock);
	if (p->session->sid != p->pid || has)
		return -EPERM;
	if (taken && arg == 1 && cred_capable(t->cred, L_CAP_SYS_ADMIN))
		take_from_session(tty);
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
		tty_disassociate(p->session, false);
	return 0;
}

long tty_job_ioctl(struct tty *tty, struct pctx *ctx, unsigned cmd, uint64_t arg, bool from_master)
{
	struct task *t = task_current();

	if (!t)
		return -ENOTTY;
	switch (cmd) {
	case L_TIOCGPGRP:
		return get_foreground(tty, t, ctx, arg, from_master);
	case L_TIOCSPGRP:
		return set_foreground(tty, t, ctx, arg);
	case L_TIOCGSID:
		return get_session(tty, t, ctx, arg, from_master);
	case L_TIOCSCTTY:
		return set_controlling(tty, t, arg);
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
	int r;

	if (t) {
		mutex_lock(&tasks_lock);
		if (t->process->session->tty)
			tty = tty_get(t->process->session->tty);
		mutex_unlock(&tasks_lock);
	}
	if (!tty)
		return -ENXIO;
	r = tty->ops->attach(tty, f);
	tty_put(tty);
	return r;
}

int tty_default_owner(struct tty *tty, struct file *f)
{
	struct task *t = task_current();
	int group;

	mutex_lock(&tasks_lock);
	group = tty->foreground;
	mutex_unlock(&tasks_lock);
	return file_set_owner(f, group ? L_F_OWNER_PGRP : L_F_OWNER_PID, group ? group : t->process->pid, t->cred->uid,
			      t->cred->euid, true);
}

/* ---- struct termio ---- */

void termio_of(const struct l_termios *t, struct l_termio *out)
{
	*out = (struct l_termio){
		.c_iflag = (uint16_t)t->c_iflag,
		.c_oflag = (uint16_t)t->c_oflag,
		.c_cflag = (uint16_t)t->c_cflag,
		.c_lflag = (uint16_t)t->c_lflag,
		.c_line = t->c_line,
	};
	memcpy(out->c_cc, t->c_cc, sizeof(out->c_cc));
}

static uint32_t lower_half(uint32_t flags, uint16_t lower)
{
	return (flags & 0xffff0000u) | lower;
}

int termio_copy_in(struct pctx *ctx, uint64_t gva, struct l_termios *t)
{
	struct l_termio in;
	int r = copy_in(ctx, &in, gva, sizeof(in));

	if (r < 0)
		return r;
	t->c_iflag = lower_half(t->c_iflag, in.c_iflag);
	t->c_oflag = lower_half(t->c_oflag, in.c_oflag);
	t->c_cflag = lower_half(t->c_cflag, in.c_cflag);
	t->c_lflag = lower_half(t->c_lflag, in.c_lflag);
	t->c_line = in.c_line;
	memcpy(t->c_cc, in.c_cc, sizeof(in.c_cc));
	return 0;
}
