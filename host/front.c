/* See front.h. */
#include "host/front.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/log.h"
#include "host/confine_internal.h"
#include "host/signals_internal.h"

static struct termios saved[3]; /* set once by front_init */
static bool is_terminal[3];

void front_init(void)
{
	int fd;

	/* A lower descriptor that is free is what open gives. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
	close_range(3, ~0u, 0);
	for (int i = 0; i < 3; i++)
		is_terminal[i] = tcgetattr(i, &saved[i]) == 0;
}

static void restore_terminals(void)
{
	sigset_t ttou;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU); /* from the background too */
	sigprocmask(SIG_BLOCK, &ttou, NULL);
	for (int i = 0; i < 3; i++)
		if (is_terminal[i] && tcsetattr(i, TCSADRAIN, &saved[i]) < 0)
			log_debug("cannot restore the terminal at descriptor %d: %s", i, abi_errno_name(errno));
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
		log_error("internal error: the sentry made a host call that host/calls.def does not list and was "
			  "killed; run "
			  "with BAILEY_HOST_CALLS=report to see which");
	else
		log_error("the sentry was killed by SIG%s; everything inside has ended with it", sigabbrev_np(sig));
	return EXIT_BAILEY;
}

int front_supervise(pid_t sentry)
{
	sigset_t waited;
	siginfo_t info;
	int status;

	confine_drop_caps();
	host_signals_guest_set(&waited);
	sigaddset(&waited, SIGCHLD);
	sigprocmask(SIG_BLOCK, &waited, NULL);
	for (;;) {
		if (waitpid(sentry, &status, WNOHANG) == sentry)
			return status_of(status);
		if (sigwaitinfo(&waited, &info) < 0 || info.si_signo == SIGCHLD)
			continue;
		/* A terminal signals the whole foreground group, the sentry among it. */
		if (info.si_code != SI_KERNEL)
			kill(sentry, info.si_signo);
	}
}
