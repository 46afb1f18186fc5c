/*
 * The line between the front process and the sentry: a pair of sockets with a message for every signal that the front got
 * and for every change of the command that the front has to follow.  Each end hangs up when the other's process has died.
 * Private to host/.
 */
#ifndef BAILEY_HOST_LINK_H
#define BAILEY_HOST_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum link_what {
	/* front to sentry */
	LINK_SIGNAL,	      /* signo was sent to the front */
	LINK_TERMINAL_SIGNAL, /* signo came from the terminal, for the whole foreground job */
	LINK_CANNOT_STOP,     /* nobody would resume the front: the caller's job is orphaned */
	LINK_CAUGHT_UP,	      /* all signals that the front had got when it was asked have been passed on */
	/* sentry to front */
	LINK_ROOT,    /* signo: the old root can be unmounted (confine_help.h); the first message */
	LINK_STOPPED, /* the command stopped, by signo */
	LINK_RESUMED,
	LINK_CATCH_UP, /* asks for LINK_CAUGHT_UP, one for each */
};

struct link_message {
	uint8_t what, signo;
};

/* Makes the pair; before the fork.  -errno. */
int link_make(void) MUST_CHECK;
/* After the fork: each keeps its own end. */
void link_keep_front(void);
void link_keep_sentry(void);
/* This process's end, or -1. */
int link_fd(void);
/* A message that cannot be sent is lost: the other end is dead, or is not listening and has hundreds of them. */
void link_send(enum link_what what, int signo);
/* Waits for one.  False: the other end is gone. */
bool link_receive(struct link_message *m) MUST_CHECK;

#endif
