/* Requests to either end of a pseudo-terminal: ioctl_tty(2).  Most mean the slave's line, whichever end they are made at. */
#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/signal.h"
#include "base/compiler.h"
#include "platform/uaccess.h"
#include "sentry/fs/tty/pty.h"
#include "sentry/task/task.h"

/* One request, as it came. */
struct request {
	struct file *file;
	struct pty *p;
	struct pctx *ctx;
	unsigned cmd;
	uint64_t arg;
	bool master;
};

static long put_int(const struct request *q, int32_t n)
{
	return copy_out(q->ctx, q->arg, &n, sizeof(n));
}

static int check_setting(const struct request *q)
{
	return tty_check_job(&q->p->tty, L_SIGTTOU);
}

/* ---- modes ---- */

static long get_modes(const struct request *q)
{
	struct l_termios2 t;
	struct l_termio old;

	mutex_lock(&q->p->lock);
	t = q->p->line.t;
	mutex_unlock(&q->p->lock);
	if (q->cmd == L_TCGETA) {
		termio_of((const struct l_termios *)&t, &old);
		return copy_out(q->ctx, q->arg, &old, sizeof(old));
	}
	/* struct termios is how termios2 begins. */
	return copy_out(q->ctx, q->arg, &t, q->cmd == L_TCGETS2 ? sizeof(t) : sizeof(struct l_termios));
}

enum modes_kind { MODES_TERMIO, MODES_TERMIOS, MODES_TERMIOS2 };

/* Output is where the master reads it once it is written, so there is nothing to wait for. */
static long set_modes(const struct request *q, enum modes_kind kind, bool flush)
{
	struct l_termios2 t;
	int r = check_setting(q);

	if (r < 0)
		return r;
	mutex_lock(&q->p->lock);
	t = q->p->line.t; /* the speeds, if they do not come along */
	mutex_unlock(&q->p->lock);
	if (kind == MODES_TERMIO)
		r = termio_copy_in(q->ctx, q->arg, (struct l_termios *)&t);
	else
		r = copy_in(q->ctx, &t, q->arg, kind == MODES_TERMIOS2 ? sizeof(t) : sizeof(struct l_termios));
	if (r < 0)
		return r;
	mutex_lock(&q->p->lock);
	if (flush)
		line_flush_input(&q->p->line);
	line_set_modes(&q->p->line, &t);
	pty_changed(q->p);
	return 0;
}

static long get_winsize(const struct request *q)
{
	struct l_winsize w;

	mutex_lock(&q->p->lock);
	w = q->p->winsize;
	mutex_unlock(&q->p->lock);
	return copy_out(q->ctx, q->arg, &w, sizeof(w));
}

static long set_winsize(const struct request *q)
{
	struct l_winsize w, old;
	int r = copy_in(q->ctx, &w, q->arg, sizeof(w));

	if (r < 0)
		return r;
	mutex_lock(&q->p->lock);
	old = q->p->winsize;
	q->p->winsize = w;
	mutex_unlock(&q->p->lock);
	if (w.ws_row != old.ws_row || w.ws_col != old.ws_col || w.ws_xpixel != old.ws_xpixel ||
	    w.ws_ypixel != old.ws_ypixel)
		tty_signal(&q->p->tty, L_SIGWINCH);
	return 0;
}

/* ---- queues ---- */

static long bytes_to_read(const struct request *q)
{
	int32_t n;

	mutex_lock(&q->p->lock);
	n = (int32_t)(q->master ? ring_used(&q->p->line.out) : line_readable(&q->p->line));
	mutex_unlock(&q->p->lock);
	return put_int(q, n);
}

/* What the master's keyboard sent is the slave's input, and what the slave printed is the master's. */
static long flush(const struct request *q)
{
	bool input = q->arg == L_TCIFLUSH || q->arg == L_TCIOFLUSH;
	bool output = q->arg == L_TCOFLUSH || q->arg == L_TCIOFLUSH;
	int r = check_setting(q);

	if (r < 0)
		return r;
	if (!input && !output)
		return -EINVAL;
	mutex_lock(&q->p->lock);
	if (!q->master && input) {
		ring_clear(&q->p->pending);
		line_flush_input(&q->p->line);
	}
	if (!q->master && output)
		line_flush_output(&q->p->line);
	if (q->master && input)
		ring_clear(&q->p->line.out);
	if (q->master && output)
		ring_clear(&q->p->pending);
	pty_changed(q->p);
	return 0;
}

/* The slave's end of tcflow(3): TCIOFF and TCION send the other end a VSTOP or VSTART. */
static void slave_flow(const struct request *q)
{
	struct line *l = &q->p->line;
	uint8_t key = l->t.c_cc[q->arg == L_TCIOFF ? L_VSTOP : L_VSTART];

	if (q->arg == L_TCOOFF)
		line_stop(l, true);
	else if (q->arg == L_TCOON)
		line_start(l, true);
	else if (key)
		(void)ring_put(&l->out, key); /* full: the other end does not listen */
}

static long flow(const struct request *q)
{
	int r = check_setting(q);

	if (r < 0)
		return r;
	if (q->arg > L_TCION)
		return -EINVAL;
	mutex_lock(&q->p->lock);
	if (!q->master)
		slave_flow(q);
	else if (q->arg == L_TCOOFF || q->arg == L_TCOON)
		q->p->master_held = q->arg == L_TCOOFF;
	pty_changed(q->p);
	return 0;
}

/* As if c had been typed.  Since Linux 6.2 (dev.tty.legacy_tiocsti is 0) only for one who may. */
static long fake_input(const struct request *q)
{
	struct task *t = task_current();
	uint8_t c;
	int r;

	if (!t || !cred_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EIO;
	r = copy_in(q->ctx, &c, q->arg, 1);
	if (r < 0)
		return r;
	mutex_lock(&q->p->lock);
	if (q->master)
		(void)ring_put(&q->p->line.out, c);
	else
		(void)ring_put(&q->p->pending, c);
	pty_changed(q->p);
	return 0;
}

static long set_discipline(const struct request *q)
{
	int32_t n;
	int r = check_setting(q);

	if (r == 0)
		r = copy_in(q->ctx, &n, q->arg, sizeof(n));
	return r < 0 ? r : n == L_N_TTY ? 0 : -EINVAL;
}

/* ---- flags of the pair ---- */

static long get_flag(const struct request *q, const bool *flag)
{
	bool on;

	mutex_lock(&q->p->lock);
	on = *flag;
	mutex_unlock(&q->p->lock);
	return put_int(q, on);
}

static long set_flag(const struct request *q, bool *flag)
{
	int32_t on;
	int r = copy_in(q->ctx, &on, q->arg, sizeof(on));

	if (r < 0)
		return r;
	mutex_lock(&q->p->lock);
	if (flag == &q->p->packet && !*flag)
		q->p->line.events = 0;
	*flag = on != 0;
	mutex_unlock(&q->p->lock);
	return 0;
}

static long set_exclusive(const struct request *q, bool on)
{
	mutex_lock(&q->p->lock);
	q->p->exclusive = on;
	mutex_unlock(&q->p->lock);
	return 0;
}

static long hang_up(const struct request *q)
{
	struct task *t = task_current();

	if (!t || !cred_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EPERM;
	pty_hang_up(&q->p->tty);
	return 0;
}

/* ---- the master's own ---- */

static long send_signal(const struct request *q)
{
	if (q->arg != L_SIGINT && q->arg != L_SIGQUIT && q->arg != L_SIGTSTP)
		return -EINVAL;
	tty_signal(&q->p->tty, (int)q->arg);
	return 0;
}

static long open_peer(const struct request *q)
{
	struct task *t = task_current();
	struct file *f;
	int r;

	if (!t)
		return -ENOTTY;
	r = devpts_open_peer(q->file, (uint32_t)q->arg, &f);
	if (r < 0)
		return r;
	return task_install(t, f, q->arg & L_O_CLOEXEC);
}

static long master_ioctl(const struct request *q)
{
	switch (q->cmd) {
	case L_TIOCGPTN:
		return put_int(q, (int32_t)q->p->index);
	case L_TIOCSPTLCK:
		return set_flag(q, &q->p->locked);
	case L_TIOCGPTLCK:
		return get_flag(q, &q->p->locked);
	case L_TIOCPKT:
		return set_flag(q, &q->p->packet);
	case L_TIOCGPKT:
		return get_flag(q, &q->p->packet);
	case L_TIOCSIG:
		return send_signal(q);
	case L_TIOCGPTPEER:
		return open_peer(q);
	default:
		return -ENOTTY;
	}
}

/* ---- all of them ---- */

static long line_ioctl(const struct request *q)
{
	switch (q->cmd) {
	case L_TCGETA:
	case L_TCGETS:
	case L_TCGETS2:
		return get_modes(q);
	case L_TCSETS:
	case L_TCSETSW:
	case L_TCSETSF:
		return set_modes(q, MODES_TERMIOS, q->cmd == L_TCSETSF);
	case L_TCSETS2:
	case L_TCSETSW2:
	case L_TCSETSF2:
		return set_modes(q, MODES_TERMIOS2, q->cmd == L_TCSETSF2);
	case L_TCSETA:
	case L_TCSETAW:
	case L_TCSETAF:
		return set_modes(q, MODES_TERMIO, q->cmd == L_TCSETAF);
	case L_TIOCGWINSZ:
		return get_winsize(q);
	case L_TIOCSWINSZ:
		return set_winsize(q);
	case L_FIONREAD:
		return bytes_to_read(q);
	case L_TIOCOUTQ:
		return put_int(q, 0); /* see set_modes */
	case L_TCFLSH:
		return flush(q);
	case L_TCXONC:
		return flow(q);
	case L_TCSBRK:
	case L_TCSBRKP:
		return check_setting(q); /* it has drained, and knows no break */
	case L_TIOCSTI:
		return fake_input(q);
	case L_TIOCGETD:
		return put_int(q, L_N_TTY);
	case L_TIOCSETD:
		return set_discipline(q);
	default:
		return -ENOTTY;
	}
}

static long pair_ioctl(const struct request *q)
{
	switch (q->cmd) {
	case L_TIOCEXCL:
	case L_TIOCNXCL:
		return set_exclusive(q, q->cmd == L_TIOCEXCL);
	case L_TIOCGEXCL:
		return get_flag(q, &q->p->exclusive);
	case L_TIOCVHANGUP:
		return hang_up(q);
	case L_TIOCGDEV:
		return put_int(q, (int32_t)q->p->tty.inode->rdev);
	default:
		return -ENOTTY;
	}
}

long pty_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct request q = {f, pty_of(f), ctx, cmd, arg, f->ops == &pty_master_ops};
	bool hung_up;
	long r;

	mutex_lock(&q.p->lock);
	hung_up = pty_is_hung_up(q.p, f);
	mutex_unlock(&q.p->lock);
	if (hung_up)
		return cmd == L_TIOCSPGRP ? -ENOTTY : -EIO;
	r = line_ioctl(&q);
	if (r == -ENOTTY)
		r = pair_ioctl(&q);
	if (r == -ENOTTY && q.master)
		r = master_ioctl(&q);
	return r == -ENOTTY ? tty_job_ioctl(&q.p->tty, ctx, cmd, arg, q.master) : r;
}
