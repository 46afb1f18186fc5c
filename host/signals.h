/*
 * Host signals that are meant for the guest: sent to the front process (which passes them on) or by a terminal.  They
 * are blocked in every sentry thread, and one thread waits for them.
 */
#ifndef BAILEY_HOST_SIGNALS_H
#define BAILEY_HOST_SIGNALS_H

#include <stdbool.h>

/* Blocks them and ignores SIGPIPE.  Before any thread is made; threads and stubs inherit it. */
void host_signals_block(void);
/* The number of the next one (Linux's); blocks.  *from_terminal: the kernel sent it, to the foreground group. */
int host_signals_wait(bool *from_terminal);

#endif
