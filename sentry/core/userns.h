/*
 * User namespaces, user_namespaces(7).  Inside the sentry an id is a number of the first namespace, whoever has it;
 * what a program says or is told is converted where it crosses the boundary, by the maps of that program's namespace.
 */
#ifndef BAILEY_SENTRY_CORE_USERNS_H
#define BAILEY_SENTRY_CORE_USERNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "sentry/core/ns.h"
#include "sentry/core/tunable.h"

struct cred;

#define ID_NONE UINT32_MAX /* no id: what is not mapped */
#define ID_OVERFLOW 65534u /* what is told instead of an id that is not mapped */
#define ID_MAP_MAX 340	   /* extents of a map */
#define USER_NS_DEPTH_MAX 32

enum id_kind { ID_USER, ID_GROUP, ID_KINDS };

struct id_extent {
	uint32_t first, lower, count; /* lower: as the parent has them when given, the sentry's afterwards */
};
struct id_map {
	unsigned count;
	struct id_extent extents[]; /* in the order they were given in */
};

struct user_ns {
	struct ns ns;				 /* ns.owner is the parent */
	unsigned level;				 /* 0: the first; immutable */
	uint32_t uid, gid;			 /* whoever made it; immutable */
	bool parent_could_setfcap;		 /* CAP_SETFCAP was in its maker's hands; immutable */
	struct mutex lock;			 /* guards the setting of: */
	_Atomic(struct id_map *) maps[ID_KINDS]; /* NULL: nothing is mapped yet; once set, immutable */
	_Atomic bool setgroups_denied;
	struct tunable max[NS_KINDS]; /* namespaces made in it and below, of each kind: /proc/sys/user */
	_Atomic int counts[NS_KINDS];
};

extern struct user_ns user_ns_first; /* everything is mapped to itself */

static inline struct user_ns *user_ns_get(struct user_ns *u)
{
	ns_get(&u->ns);
	return u;
}
static inline void user_ns_put(struct user_ns *u)
{
	if (u)
		ns_put(&u->ns);
}
struct user_ns *user_ns_of(struct ns *ns); /* ns is of kind NS_USER */

/* A child of c's namespace, made by c; *out counted.  -EPERM: c's ids have no name in its own; -ENOSPC. */
int user_ns_new(const struct cred *c, struct user_ns **out) MUST_CHECK;
/* Is u the namespace `of`, or one below it. */
bool user_ns_within(const struct user_ns *u, const struct user_ns *of);

/* The sentry's id for what u calls id, and the other way round: ID_NONE where nothing is mapped. */
uint32_t id_from_ns(const struct user_ns *u, enum id_kind kind, uint32_t id);
uint32_t id_to_ns(const struct user_ns *u, enum id_kind kind, uint32_t id);
/* What u is told: ID_OVERFLOW where nothing is mapped. */
uint32_t id_shown(const struct user_ns *u, enum id_kind kind, uint32_t id);

/* What is written to uid_map or gid_map, by `writer` (the caller now) with a file opened by `opener`: 0, -EINVAL,
 * -EPERM, -ENOMEM.  text is NUL-terminated. */
int user_ns_set_map(struct user_ns *u, enum id_kind kind, const char *text, const struct cred *opener,
		    const struct cred *writer) MUST_CHECK;
/* What is written to setgroups: 0, -EINVAL, -EPERM. */
int user_ns_set_setgroups(struct user_ns *u, const char *text) MUST_CHECK;
/* May setgroups(2) be called at all in it. */
bool user_ns_may_setgroups(const struct user_ns *u);

#endif
