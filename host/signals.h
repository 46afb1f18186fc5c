/*
 * Host signals and the guest.  The front process gets what the caller and the terminal send and passes it on (link.h);
 * the sentry itself is deaf to them, though it is in the same process group: they are blocked in all of its threads.
 */
#ifndef BAILEY_HOST_SIGNALS_H
#define BAILEY_HOST_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Notes what the caller ignores and blocks, which a command inherits.  First of all. */
void host_signals_note_inherited(void);
/* Signal n is bit n-1. */
uint64_t host_signals_ignored(void);
uint64_t host_signals_blocked(void);

/* Blocks what is meant for the guest and what a terminal stops a background job by, and ignores SIGPIPE.  Before any thread
 * is made; threads and stubs inherit it. */
void host_signals_block(void);

enum host_signal_kind {
	HOST_SIGNAL_SENT,	   /* to the front process */
	HOST_SIGNAL_FROM_TERMINAL, /* to the caller's foreground job */
	HOST_SIGNAL_CANNOT_STOP,   /* not a signal: the caller's job is orphaned, nobody would resume it */
};
/* The number of the next one (Linux's); blocks.  Ends the sentry if the front has died. */
int host_signals_wait(enum host_signal_kind *kind);

/*
 * Returns once every signal that the front had got before this call has been returned by host_signals_wait and acted on, or
 * after a second, should the front have been stopped.  Any thread but the one that calls host_signals_wait.
 */
void host_signals_catch_up(void);

/* The command stopped by signo, or goes on: the front does so too, and with it the job that the caller sees. */
void host_signals_command_stopped(int signo);
void host_signals_command_resumed(void);

#endif
