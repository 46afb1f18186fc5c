/* See signals.h. */
#include "host/signals.h"

#include <pthread.h>
#include <signal.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/compiler.h"
#include "host/signals_internal.h"

void host_signals_guest_set(sigset_t *set)
{
	static const int guest[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
				    SIGUSR2, SIGALRM, SIGTSTP, SIGCONT, SIGWINCH};

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(guest); i++)
		sigaddset(set, guest[i]);
}

void host_signals_block(void)
{
	sigset_t set;

	host_signals_guest_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int host_signals_wait(bool *from_terminal)
{
	siginfo_t info;
	sigset_t set;
	int n;

	host_signals_guest_set(&set);
	do
		n = sigwaitinfo(&set, &info);
	while (n < 0);
	*from_terminal = info.si_code == SI_KERNEL;
	return n;
}
