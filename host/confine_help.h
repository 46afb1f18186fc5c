/*
 * What the front does for the sentry after the fork, while that goes on: making the network namespace takes the host longer than all
 * others together, and letting go of the old root waits for a grace period of the host's.  Private to host/; the sentry's and the
 * template's part is also in confine.h.
 */
#ifndef BAILEY_HOST_CONFINE_HELP_H
#define BAILEY_HOST_CONFINE_HELP_H

#include <stdbool.h>

#include "base/compiler.h"

/* Before the fork.  False: there will be no help; who needs something does it by himself. */
bool help_plan(void) MUST_CHECK;
/* In the front, after the fork: does it all, and lets go of its capabilities.  Nothing if it was not planned. */
void help_give(void);
/* In the sentry, once: the old root lies over the new one, for the front to unmount, or (false) does not.  The result tells whether
 * somebody will. */
bool help_wanted(bool old_root);

#endif
