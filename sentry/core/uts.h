/* The sandbox's host name and what uname(2) tells. */
#ifndef BAILEY_SENTRY_CORE_UTS_H
#define BAILEY_SENTRY_CORE_UTS_H

#include <stddef.h>

#include "abi/utsname.h"

void uts_get(struct l_utsname *out);
/* len at most L_UTS_LEN bytes, no NUL needed.  Any thread. */
void uts_set_nodename(const char *name, size_t len);
void uts_set_domainname(const char *name, size_t len);

#endif
