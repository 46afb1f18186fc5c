/*
 * Credentials: who a task is.  A cred is immutable once it is published; a task changes its own by replacing it.
 * Rules: credentials(7), capabilities(7).
 */
#ifndef BAILEY_SENTRY_CORE_CRED_H
#define BAILEY_SENTRY_CORE_CRED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/refcount.h"

struct cred {
	struct refcount refs;
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	uint32_t securebits;
	bool no_new_privs;
	uint32_t group_count;
	uint32_t groups[]; /* supplementary, sorted */
};

/* A writable copy with room for group_count groups (the first of old's are copied); NULL when out of memory. */
struct cred *cred_copy(const struct cred *old, uint32_t group_count);
/* uid and gid everywhere; all capabilities if uid is 0, none otherwise. */
struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count);
/* Of a cred that is not published yet: its groups may be in any order until then. */
void cred_sort_groups(struct cred *c);
struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
/* True if gid is the fsgid or a supplementary group. */
bool cred_in_group(const struct cred *c, uint32_t gid);
bool cred_capable(const struct cred *c, unsigned cap); /* L_CAP_* in the effective set */

#endif
