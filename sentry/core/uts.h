/* What uname(2) tells, per UTS namespace (uts_namespaces(7)): host and domain name can be set, the rest is fixed. */
#ifndef BAILEY_SENTRY_CORE_UTS_H
#define BAILEY_SENTRY_CORE_UTS_H

#include <stddef.h>

#include "abi/utsname.h"
#include "sentry/core/ns.h"

struct uts_ns;

struct ns *uts_ns_first(void); /* borrowed */
/* A new one of owner's with the same names; *out counted. */
int uts_ns_copy(struct ns *from, struct user_ns *owner, struct ns **out) MUST_CHECK;

/* ns is of kind NS_UTS. */
void uts_get(struct ns *ns, struct l_utsname *out);
/* len is at most L_UTS_LEN. */
void uts_set_nodename(struct ns *ns, const char *name, size_t len);
void uts_set_domainname(struct ns *ns, const char *name, size_t len);

#endif
