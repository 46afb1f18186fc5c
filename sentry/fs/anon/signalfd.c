/* signalfd(2): reads take the reader's own pending signals, whoever made the descriptor. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/signal/signal.h"
#include "sentry/vfs/vfs.h"

static const struct file_ops signalfd_ops;

bool signalfd_file_is(const struct file *f)
{
	return f->ops == &signalfd_ops;
}

/* ---- from a siginfo to what a read gives ---- */

enum layout { LAYOUT_KILL, LAYOUT_TIMER, LAYOUT_RT, LAYOUT_POLL, LAYOUT_FAULT, LAYOUT_CHLD, LAYOUT_SYS };

/* Which member of a siginfo's union is meant: by the signal for what the kernel raised, else by the code; sigaction(2). */
static enum layout layout_of(const struct l_siginfo *info)
{
	if (info->si_code > L_SI_USER && info->si_code < L_SI_KERNEL) {
		switch (info->si_signo) {
		case L_SIGILL:
		case L_SIGFPE:
		case L_SIGSEGV:
		case L_SIGBUS:
		case L_SIGTRAP:
			return LAYOUT_FAULT;
		case L_SIGCHLD:
			return LAYOUT_CHLD;
		case L_SIGSYS:
			return LAYOUT_SYS;
		default:
			return info->si_code <= L_POLL_HUP ? LAYOUT_POLL : LAYOUT_KILL;
		}
	}
	if (info->si_code == L_SI_TIMER)
		return LAYOUT_TIMER;
	if (info->si_code == L_SI_SIGIO)
		return LAYOUT_POLL;
	return info->si_code < 0 ? LAYOUT_RT : LAYOUT_KILL;
}

static void convert(const struct l_siginfo *info, struct l_signalfd_siginfo *out)
{
	memset(out, 0, sizeof(*out));
	out->ssi_signo = (uint32_t)info->si_signo;
	out->ssi_errno = info->si_errno;
	out->ssi_code = info->si_code;
	switch (layout_of(info)) {
	case LAYOUT_TIMER:
		out->ssi_tid = (uint32_t)info->timer.tid;
		out->ssi_overrun = (uint32_t)info->timer.overrun;
		out->ssi_ptr = info->timer.value.sival_ptr;
		out->ssi_int = info->timer.value.sival_int;
		break;
	case LAYOUT_POLL:
		out->ssi_band = (uint32_t)info->poll.band;
		out->ssi_fd = info->poll.fd;
		break;
	case LAYOUT_FAULT:
		out->ssi_addr = info->fault.addr;
		out->ssi_addr_lsb = info->si_code >= L_BUS_MCEERR_AR ? (uint16_t)info->fault.addr_lsb : 0;
		break;
	case LAYOUT_CHLD:
		out->ssi_pid = (uint32_t)info->chld.pid;
		out->ssi_uid = info->chld.uid;
		out->ssi_status = info->chld.status;
		out->ssi_utime = (uint64_t)info->chld.utime;
		out->ssi_stime = (uint64_t)info->chld.stime;
		break;
	case LAYOUT_SYS:
		out->ssi_call_addr = info->sys.call_addr;
		out->ssi_syscall = info->sys.nr;
		out->ssi_arch = info->sys.arch;
		break;
	case LAYOUT_RT:
		out->ssi_ptr = info->rt.value.sival_ptr;
		out->ssi_int = info->rt.value.sival_int;
		out->ssi_pid = (uint32_t)info->rt.pid;
		out->ssi_uid = info->rt.uid;
		break;
	case LAYOUT_KILL:
		out->ssi_pid = (uint32_t)info->kill.pid;
		out->ssi_uid = info->kill.uid;
		break;
	}
}

/* ---- the file ---- */

static ssize_t signalfd_read(struct file *f, struct uio *u, int64_t pos)
{
	struct signal_watch *w = f->priv;
	struct task *t = task_current();
	struct l_signalfd_siginfo out;
	struct l_siginfo info;
	ssize_t done = 0;
	int sig, r;

	if (uio_left(u) < sizeof(out))
		return -EINVAL;
	signal_watch_use(t);
	while (uio_left(u) >= sizeof(out)) {
		sig = signal_take(t, w->mask, &info);
		if (!sig && (done || file_nonblock(f)))
			return done ? done : -EAGAIN;
		if (!sig) {
			r = wait_event(&w->wq, (sig = signal_take(t, w->mask, &info)) != 0);
			if (r < 0)
				return r;
		}
		convert(&info, &out);
		if (uio_put(u, &out, sizeof(out)) != sizeof(out))
			return done ? done : -EFAULT;
		done += (ssize_t)sizeof(out);
	}
	return done;
}

static uint32_t signalfd_poll(struct file *f, struct wait_entry *e)
{
	struct signal_watch *w = f->priv;
	struct task *t = task_current();

	if (e)
		waitqueue_add(&w->wq, e);
	signal_watch_use(t);
	return signal_pending_set(t) & w->mask ? L_POLLIN : 0;
}

void signalfd_set_mask(struct file *f, uint64_t mask)
{
	struct signal_watch *w = f->priv;

	w->mask = mask & ~SIG_UNBLOCKABLE;
	waitqueue_wake(&w->wq, 0);
}

static void signalfd_fdinfo(struct file *f, char *buf, size_t size)
{
	struct signal_watch *w = f->priv;

	snprintf(buf, size, "sigmask:\t%016" PRIx64 "\n", w->mask);
}

static void signalfd_release(struct file *f)
{
	signal_watch_remove(f->priv);
	free(f->priv);
}

static const struct file_ops signalfd_ops = {
	.lseek = file_lseek_noop,
	.read = signalfd_read,
	.poll = signalfd_poll,
	.fdinfo = signalfd_fdinfo,
	.release = signalfd_release,
};

int signalfd_file_new(uint64_t mask, uint32_t flags, const struct cred *c, struct file **out)
{
	struct signal_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	signal_watch_add(w, mask & ~SIG_UNBLOCKABLE);
	r = file_anonymous("anon_inode:[signalfd]", &signalfd_ops, w, L_O_RDWR | (flags & L_SFD_NONBLOCK),
			   FILE_READ | FILE_WRITE | FILE_STREAM, c, out);
	if (r < 0) {
		signal_watch_remove(w);
		free(w);
	}
	return r;
}
