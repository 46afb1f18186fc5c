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
#include "sentry/core/userns.h"

struct cred {
	struct refcount refs;
	struct user_ns *user_ns; /* counted: where the capabilities hold */
	uint64_t owner;		 /* the same in two creds only if all that follows and the namespace are; never 0: see cred_settle */
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
/* c, a changed copy of old, is as it will be published: from here on it is told apart from old, if they differ at all. */
void cred_settle(struct cred *c, const struct cred *old);
/* uid and gid everywhere; all capabilities if uid is 0, none otherwise. */
struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count);
/* Of a cred that is not published yet: its groups may be in any order until then. */
void cred_sort_groups(struct cred *c);
struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
/* Full capabilities in u, and none elsewhere: what entering or making it gives.  c is not published yet. */
void cred_enter_user_ns(struct cred *c, struct user_ns *u);
/* True if gid is the fsgid or a supplementary group. */
bool cred_in_group(const struct cred *c, uint32_t gid);
/* Has c the capability (L_CAP_*) over what belongs to u: it is in c's effective set, and u is c's namespace or below;
 * or c's euid made u, or what u lies in, in c's own namespace. */
bool cred_ns_capable(const struct cred *c, const struct user_ns *u, unsigned cap);
/* The same over the sandbox as a whole. */
bool cred_capable(const struct cred *c, unsigned cap);
/* The same over what belongs to c's own namespace. */
bool cred_own_capable(const struct cred *c, unsigned cap);
/* The same over a file of owner uid and gid: c's namespace must know both. */
bool cred_file_capable(const struct cred *c, uint32_t uid, uint32_t gid, unsigned cap);
/* Is all that c holds in old's hands as well. */
bool cred_caps_within(const struct cred *c, const struct cred *old);
/* Ids as c's namespace knows them: what programs of it are told (ID_OVERFLOW for unknown ones), and what they mean. */
uint32_t cred_show_uid(const struct cred *c, uint32_t uid);
uint32_t cred_show_gid(const struct cred *c, uint32_t gid);
uint32_t cred_read_uid(const struct cred *c, uint32_t uid); /* ID_NONE: nobody */
uint32_t cred_read_gid(const struct cred *c, uint32_t gid);
/* User 0 of c's namespace; ID_NONE: there is none. */
uint32_t cred_root(const struct cred *c);

#endif
