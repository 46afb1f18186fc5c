/*
 * Whose turn it is on the caller's terminal.  The sentry is in a pid namespace of its own, where the caller's process
 * groups have no numbers; so it looks at the front process's line in the caller's /proc, which was opened before.
 */
#ifndef BAILEY_HOST_TERMINAL_H
#define BAILEY_HOST_TERMINAL_H

#include <stdbool.h>

/* In the front process, before the fork.  Without a /proc the caller's job counts as the foreground one for ever. */
void host_terminal_init(void);
/* True if the terminal fd is the caller's controlling terminal and another job is in its foreground just now. */
bool host_terminal_is_away(int fd);

#endif
