/* See signals.h. */
#include "host/signals.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "abi/errno.h"
#include "base/compiler.h"
#include "host/caller.h"
#include "host/clock.h"
#include "host/front.h"
#include "host/futex.h"
#include "host/link.h"
#include "host/signals_internal.h"

#define CATCH_UP_NS 1000000000ll

static uint64_t ignored, blocked; /* immutable once noted */
static _Atomic uint32_t asked, answered; /* how often the front was asked to catch up, and has said that it did */

static uint64_t bit(int signo)
{
	return 1ull << (signo - 1);
}

void host_signals_note_inherited(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int n = 1; n < _NSIG; n++) {
		struct sigaction a;

		/* libc keeps the first real-time signals for itself and says so by an error. */
		if (sigaction(n, NULL, &a) == 0 && a.sa_handler == SIG_IGN)
			ignored |= bit(n);
		if (sigismember(&mask, n) > 0)
			blocked |= bit(n);
	}
}

uint64_t host_signals_ignored(void)
{
	return ignored;
}

uint64_t host_signals_blocked(void)
{
	return blocked;
}

void host_signals_guest_set(sigset_t *set)
{
	static const int guest[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
				    SIGUSR2, SIGALRM, SIGTSTP, SIGCONT, SIGWINCH};

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(guest); i++)
		if (guest[i] == SIGCONT || !(ignored & bit(guest[i])))
			sigaddset(set, guest[i]);
}

void host_signals_block(void)
{
	sigset_t set;

	host_signals_guest_set(&set);
	/* Job control on the caller's terminal is done for guest processes (host/terminal.h), never to the sentry. */
	sigaddset(&set, SIGTTIN);
	sigaddset(&set, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int host_signals_wait(enum host_signal_kind *kind)
{
	struct link_message m;

	for (;;) {
		if (!link_receive(&m))
			host_exit(EXIT_BAILEY); /* the kernel was asked to kill us anyway */
		if (m.what != LINK_CAUGHT_UP)
			break;
		atomic_fetch_add(&answered, 1);
		host_futex_wake(&answered, INT_MAX);
	}
	*kind = m.what == LINK_TERMINAL_SIGNAL ? HOST_SIGNAL_FROM_TERMINAL :
		m.what == LINK_CANNOT_STOP     ? HOST_SIGNAL_CANNOT_STOP :
						 HOST_SIGNAL_SENT;
	return m.signo;
}

void host_signals_catch_up(void)
{
	const int64_t deadline_ns = host_clock_ns(CLOCK_MONOTONIC) + CATCH_UP_NS;
	const uint32_t mine = atomic_fetch_add(&asked, 1) + 1;
	uint32_t seen;
	int r = 0;

	link_send(LINK_CATCH_UP, 0);
	while ((int32_t)((seen = atomic_load(&answered)) - mine) < 0 && r != -ETIMEDOUT)
		r = host_futex_wait(&answered, seen, deadline_ns);
}

void host_signals_command_stopped(int signo)
{
	link_send(LINK_STOPPED, signo);
}

void host_signals_command_resumed(void)
{
	link_send(LINK_RESUMED, 0);
}
