/*
 * The front process: the one that the caller started.  It stays outside the sandbox, holds no privilege, and waits: it
 * passes on the signals that it gets, ends as the sentry ended, and gives back a terminal that a dead sentry left in
 * disorder.  When it dies the kernel kills the sentry, and with that every stub.
 */
#ifndef BAILEY_HOST_FRONT_H
#define BAILEY_HOST_FRONT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

#define EXIT_BAILEY 125 /* Bailey's own error */

/* Notes how the terminals at 0, 1 and 2 are set, and gives every one of these that is closed /dev/null.  First of all.
 */
void front_init(void);
/* True if fd, which is 0, 1 or 2, came in closed: so it does for the command. */
bool front_std_was_closed(int fd);
/* Waits for the sentry's end; the exit status to end with: the sentry's own, or EXIT_BAILEY if a signal killed it (said
 * on the log). */
int front_supervise(pid_t sentry) MUST_CHECK;

#endif
