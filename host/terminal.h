/*
 * The caller's terminal, and whose turn it is there.  The sentry is in a pid namespace of its own, where the caller's
 * process groups have no numbers; so it looks at the front process's line in the caller's /proc, which was opened
 * before.
 */
#ifndef BAILEY_HOST_TERMINAL_H
#define BAILEY_HOST_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

/* In the front process, before the fork.  Without a /proc the caller's job counts as the foreground one for ever. */
void host_terminal_init(void);
/* The caller's controlling terminal, open for reading and writing whatever the caller's standard files are; -1 if it
 * has none. Owned by this module until the sentry takes it for the guest. */
int host_terminal_own(void);
/* The device number, in Linux's encoding, of the terminal fd, be it /dev/tty itself; or 0. */
uint64_t host_terminal_device(int fd);
/* True if the terminal fd is the caller's controlling terminal and another job is in its foreground just now. */
bool host_terminal_is_away(int fd);

#endif
