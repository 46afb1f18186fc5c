/* The sentry's allow-list as rules of libseccomp: see calls.def.  Used when Bailey is built. */
#ifndef BAILEY_HOST_GEN_CONFINE_RULES_H
#define BAILEY_HOST_GEN_CONFINE_RULES_H

#include <seccomp.h>
#include <stdint.h>

#include "base/compiler.h"

/* Stands for the sentry's process id in the filters that are made when Bailey is built. */
#define CONFINE_SELF_MARK 0x5e1f5e1fu

/* Adds all rows for the platform of that name to f.  0, or -errno: then *which is the call whose rule is refused. */
int confine_rules(scmp_filter_ctx f, const char *platform, uint32_t self_pid, const char **which) MUST_CHECK;

#endif
