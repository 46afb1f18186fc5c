/* Requests to a terminal that came in.  What concerns the line goes to the host; job control is the sentry's own
 * (tty.c). */
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/signal.h"
#include "base/compiler.h"
#include "host/file.h"
#include "platform/uaccess.h"
#include "sentry/fs/tty/hostfile.h"

bool hostfile_is_tty(int fd)
{
	struct l_termios t;

	return host_tty_ioctl(fd, L_TCGETS, &t) == 0;
}

/* ---- line settings ---- */

static const struct {
	uint32_t code, baud;
} speeds[] = {
	{0, 0},	     {1, 50},	  {2, 75},	   {3, 110},	     {4, 134},	       {5, 150},   {6, 200},
	{7, 300},    {8, 600},	  {9, 1200},	   {10, 1800},	     {11, 2400},       {12, 4800}, {13, 9600},
	{14, 19200}, {15, 38400}, {0x1001, 57600}, {0x1002, 115200}, {0x1003, 230400},
};

static uint32_t baud_of(uint32_t cflag)
{
	for (size_t n = 0; n < ARRAY_SIZE(speeds); n++) {
		if (speeds[n].code == (cflag & L_CBAUD))
			return speeds[n].baud;
	}
	return 38400;
}

static long get_termios(struct hostfile *h, struct pctx *ctx, uint64_t arg, bool with_speeds)
{
	struct l_termios2 t2 = {0};
	struct l_termios t = {0};
	int r = host_tty_ioctl(h->fd, L_TCGETS, &t);

	if (r < 0)
		return r;
	if (!with_speeds)
		return copy_out(ctx, arg, &t, sizeof(t));
	t2.c_iflag = t.c_iflag;
	t2.c_oflag = t.c_oflag;
	t2.c_cflag = t.c_cflag;
	t2.c_lflag = t.c_lflag;
	t2.c_line = t.c_line;
	for (int n = 0; n < L_NCCS; n++)
		t2.c_cc[n] = t.c_cc[n];
	t2.c_ispeed = t2.c_ospeed = baud_of(t.c_cflag);
	return copy_out(ctx, arg, &t2, sizeof(t2));
}

static long get_termio(struct hostfile *h, struct pctx *ctx, uint64_t arg)
{
	struct l_termio old;
	struct l_termios t = {0};
	int r = host_tty_ioctl(h->fd, L_TCGETS, &t);

	if (r < 0)
		return r;
	termio_of(&t, &old);
	return copy_out(ctx, arg, &old, sizeof(old));
}

/*
 * The variants that wait until all output is written would put the sentry's thread to sleep in the host; the terminal
 * keeps the order of what is written and set anyway.  struct termios2 begins as struct termios does.
 */
static long set_termios(struct hostfile *h, struct pctx *ctx, uint64_t arg, bool old, bool flush_input)
{
	struct l_termios t;
	int r = tty_check_job(h->tty, L_SIGTTOU);

	if (r == 0 && old)
		r = host_tty_ioctl(h->fd, L_TCGETS, &t);
	if (r == 0)
		r = old ? termio_copy_in(ctx, arg, &t) : copy_in(ctx, &t, arg, sizeof(t));
	if (r == 0 && flush_input)
		r = host_tty_ioctl(h->fd, L_TCFLSH, (void *)(uintptr_t)L_TCIFLUSH);
	return r < 0 ? r : host_tty_ioctl(h->fd, L_TCSETS, &t);
}

static long get_winsize(struct hostfile *h, struct pctx *ctx, uint64_t arg)
{
	struct l_winsize w = {0};
	int r = host_tty_ioctl(h->fd, L_TIOCGWINSZ, &w);

	return r < 0 ? r : copy_out(ctx, arg, &w, sizeof(w));
}

static long set_winsize(struct hostfile *h, struct pctx *ctx, uint64_t arg)
{
	struct l_winsize w;
	int r = copy_in(ctx, &w, arg, sizeof(w));

	return r < 0 ? r : host_tty_ioctl(h->fd, L_TIOCSWINSZ, &w);
}

static long get_count(struct hostfile *h, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	int32_t count = 0;
	int r = cmd == L_FIONREAD ? host_bytes_ready(h->fd, &count) : host_tty_ioctl(h->fd, cmd, &count);

	return r < 0 ? r : copy_out(ctx, arg, &count, sizeof(count));
}

/* TCFLSH and TCXONC. */
static long control_flow(struct hostfile *h, unsigned cmd, uint64_t arg)
{
	int r = tty_check_job(h->tty, L_SIGTTOU);

	if (r == 0 && arg > 3)
		r = -EINVAL;
	return r < 0 ? r : host_tty_ioctl(h->fd, cmd, (void *)(uintptr_t)arg);
}

static long tty_ioctl(struct hostfile *h, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case L_TCGETS:
		return get_termios(h, ctx, arg, false);
	case L_TCGETS2:
		return get_termios(h, ctx, arg, true);
	case L_TCSETS:
	case L_TCSETSW:
	case L_TCSETS2:
	case L_TCSETSW2:
		return set_termios(h, ctx, arg, false, false);
	case L_TCSETSF:
	case L_TCSETSF2:
		return set_termios(h, ctx, arg, false, true);
	case L_TCGETA:
		return get_termio(h, ctx, arg);
	case L_TCSETA:
	case L_TCSETAW:
	case L_TCSETAF:
		return set_termios(h, ctx, arg, true, cmd == L_TCSETAF);
	case L_TIOCGWINSZ:
		return get_winsize(h, ctx, arg);
	case L_TIOCSWINSZ:
		return set_winsize(h, ctx, arg);
	case L_TIOCOUTQ:
		return get_count(h, ctx, cmd, arg);
	case L_TCFLSH:
	case L_TCXONC:
		return control_flow(h, cmd, arg);
	case L_TCSBRK:
	case L_TCSBRKP:
		return tty_check_job(h->tty, L_SIGTTOU); /* drain: see set_termios; a window knows no break */
	default:
		return tty_job_ioctl(h->tty, ctx, cmd, arg, false);
	}
}

long hostfile_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct hostfile *h = f->priv;

	if (cmd == L_FIONREAD)
		return get_count(h, ctx, cmd, arg);
	return h->is_tty ? tty_ioctl(h, ctx, cmd, arg) : -ENOTTY;
}
