/* See front.h. */
#include "host/front.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/log.h"
#include "host/confine.h"
#include "host/link.h"
#include "host/signals.h"
#include "host/signals_internal.h"
#include "host/terminal.h"

/* Standard input, output and error, and the terminal that controls the caller; set once by front_init. */
static struct caller_tty {
	int fd;
	bool is_terminal;
	struct termios saved;
} ttys[4];
static bool was_closed[3];

void front_init(void)
{
	int fd;

	host_signals_note_inherited();
	signal(SIGCHLD, SIG_DFL); /* else there would be no status to wait for */
	/* A lower descriptor that is free is what open gives. */
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		was_closed[fd] = true;
	if (fd > 2)
		close(fd);
	close_range(3, ~0u, 0);
	host_terminal_init();
	for (int i = 0; i < 4; i++) {
		ttys[i].fd = i < 3 ? i : host_terminal_own();
		ttys[i].is_terminal = tcgetattr(ttys[i].fd, &ttys[i].saved) == 0;
	}
}

bool front_std_was_closed(int fd)
{
	return was_closed[fd];
}

/* Another job's terminal is left as that job has it.  Without waiting for output: nobody may be reading it any more. */
static void restore_terminals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ttys); i++) {
		const struct caller_tty *t = &ttys[i];

		if (!t->is_terminal || host_terminal_is_away(t->fd))
			continue;
		if (tcsetattr(t->fd, TCSANOW, &t->saved) < 0)
			log_debug("cannot restore the terminal at descriptor %d: %s", t->fd, abi_errno_name(errno));
	}
}

static int status_of(int wait_status)
{
	int sig;

	if (WIFEXITED(wait_status)) {
		if (WEXITSTATUS(wait_status) == EXIT_BAILEY)
			restore_terminals();
		return WEXITSTATUS(wait_status);
	}
	sig = WTERMSIG(wait_status);
	restore_terminals();
	if (sig == SIGSYS)
		log_error("internal error: the sentry made a host call that host/calls.def does not list and was killed; run with "
			  "BAILEY_HOST_CALLS=report to see which");
	else if (sig == SIGKILL)
		log_error("the sentry was killed by SIGKILL, and everything inside with it; if nobody meant that, look whether the host "
			  "is short of memory (dmesg)");
	else
		log_error("internal error: the sentry was killed by SIG%s, and everything inside with it; please report what led to it",
			  sigabbrev_np(sig));
	return EXIT_BAILEY;
}

/* ---- stopping with the command ---- */

static void set_mask(int how, int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	sigprocmask(how, &set, NULL);
}

static bool is_pending(int signo)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, signo) > 0;
}

/* While fd has something to read, and each time that more comes, this process gets signo: the kernel sends it, which
 * needs nobody here to be awake.  signo 0: no longer. */
static int signal_on_news(int fd, int signo)
{
	if (signo && (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, signo) < 0))
		return -errno;
	return fcntl(fd, F_SETFL, signo ? O_ASYNC : 0) < 0 ? -errno : 0;
}

/* While we are stopped, a message on the line (the command was resumed from inside) or its end must wake us. */
static void wake_by_line(bool on)
{
	int r = signal_on_news(link_fd(), on ? SIGCONT : 0);

	if (r < 0)
		log_debug("the line to the sentry cannot wake the front: %s", abi_errno_name(-r));
}

static bool has_news(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* In the child of raise_unless_resumed: a byte to ends[1] is a signal to the parent, which has no number in here. */
NORETURN static void send_stop(const int ends[2])
{
	if (write(ends[1], "", 1) == 1 && has_news(link_fd()) && fcntl(ends[0], F_SETSIG, SIGCONT) == 0)
		_exit(write(ends[1], "", 1) != 1);
	_exit(0);
}

/*
 * Sends signo, which stops, to this process, unless the command has been resumed meanwhile.  That must not be asked
 * before the stop is sent: the SIGCONT of news that came between the question and the stop would be thrown away by the
 * latter, and nobody would ever wake us.  So the stop is made pending first, and a SIGCONT that comes from then on
 * undoes it (signal(7)). SIGSTOP cannot be blocked, but it stays pending while its process waits for a child of
 * vfork(2).
 */
static void raise_unless_resumed(int signo)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		raise(signo);
		return;
	}
	/* The child runs while we wait, which is the point.  NOLINTNEXTLINE */
	child = signal_on_news(ends[0], signo) == 0 ? vfork() : -1;
	if (child == 0)
		send_stop(ends);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	if (child < 0 && !has_news(link_fd())) /* or the sentry has ended, and nobody can follow it into its namespace */
		raise(signo);
	close(ends[0]);
	close(ends[1]);
}

/* Stops, so that the caller's shell sees its job stop as the command did.  The kernel does not do it where there is no
 * shell to resume us: a signal that resumed us is what tells. */
static void stop_with_command(int signo)
{
	if (signo != SIGSTOP && signal(signo, SIG_DFL) == SIG_ERR)
		signo = SIGSTOP;
	wake_by_line(true);
	/* A SIGCONT that waits already is for the command, which is about to be resumed. */
	if (!has_news(link_fd()) && !is_pending(SIGCONT)) {
		raise_unless_resumed(signo);
		set_mask(SIG_UNBLOCK, signo);
		set_mask(SIG_BLOCK, signo);
		if (!is_pending(SIGCONT))
			link_send(LINK_CANNOT_STOP, signo);
	}
	wake_by_line(false);
}

/* ---- the loop ---- */

static void take_signal(int signals)
{
	struct signalfd_siginfo s;

	if (read(signals, &s, sizeof(s)) != sizeof(s))
		return;
	switch (s.ssi_signo) {
	case SIGCHLD:
	case SIGTTIN: /* meant for whoever in here touched the terminal: the sentry sees to that */
	case SIGTTOU:
		return;
	case SIGCONT:
		if (s.ssi_code > SI_USER && s.ssi_code != SI_KERNEL)
			return; /* by the line: the command runs already */
		break;
	}
	link_send(s.ssi_code == SI_KERNEL ? LINK_TERMINAL_SIGNAL : LINK_SIGNAL, (int)s.ssi_signo);
}

static void catch_up(int signals)
{
	while (has_news(signals))
		take_signal(signals);
	link_send(LINK_CAUGHT_UP, 0);
}

/* False once the sentry has hung up. */
static bool take_message(int signals)
{
	struct link_message m;

	if (!link_receive(&m))
		return false;
	if (m.what == LINK_STOPPED)
		stop_with_command(m.signo);
	else if (m.what == LINK_CATCH_UP)
		catch_up(signals);
	return true;
}

int front_supervise(pid_t sentry)
{
	struct pollfd p[2] = {{.fd = -1, .events = POLLIN}, {.fd = link_fd(), .events = POLLIN}};
	sigset_t waited;
	int status;

	confine_drop_caps();
	host_signals_guest_set(&waited);
	sigaddset(&waited, SIGCHLD);
	sigaddset(&waited, SIGTTIN);
	sigaddset(&waited, SIGTTOU);
	sigprocmask(SIG_BLOCK, &waited, NULL);
	p[0].fd = signalfd(-1, &waited, SFD_CLOEXEC);
	while (p[0].fd >= 0 && p[1].fd >= 0) {
		if (waitpid(sentry, &status, WNOHANG) == sentry)
			return status_of(status);
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			take_signal(p[0].fd);
		if (p[1].revents && !take_message(p[0].fd))
			p[1].fd = -1;
	}
	/* The sentry is on its way out, or, without a signalfd, cannot be told of signals. */
	while (waitpid(sentry, &status, 0) != sentry)
		;
	return status_of(status);
}
