/* The network namespace, which takes the host longer to make than all others together.  Private to host/; the sentry's and the template's
 * part is confine_join_network (confine.h). */
#ifndef BAILEY_HOST_CONFINE_NETWORK_H
#define BAILEY_HOST_CONFINE_NETWORK_H

#include <stdbool.h>

#include "base/compiler.h"

/* Before the fork: prepares that the front makes it after that.  False: that cannot be; who needs it makes it before. */
bool network_plan(void) MUST_CHECK;
/* In the front, after the fork: makes it, or tells the others why not.  Nothing if it was not planned. */
void network_make(void);
/* In the sentry, when the template has no more use for it either. */
void network_forget(void);

#endif
