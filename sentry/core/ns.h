/*
 * What namespaces of all kinds have in common (namespaces(7)): a count, a kind and a number.  A kind of its own embeds
 * this at its head and says how it is freed.  Kinds of which there is but one are here as a whole (ns_initial).
 */
#ifndef BAILEY_SENTRY_CORE_NS_H
#define BAILEY_SENTRY_CORE_NS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/refcount.h"

enum ns_kind { NS_TIME, NS_CGROUP, NS_IPC, NS_MNT, NS_NET, NS_PID, NS_USER, NS_UTS, NS_KINDS };

struct user_ns;

struct ns {
	struct refcount refs;
	enum ns_kind kind;		/* immutable */
	uint64_t ino;			/* what stat says of its file; immutable */
	uint64_t seq;			/* a later one has a higher number; immutable */
	struct user_ns *owner; /* counted: whose capabilities count for it; a user namespace's parent; immutable */
	void (*release)(struct ns *ns); /* frees it; NULL: it is never freed */
};

/* Namespaces of a kind at most, however /proc/sys/user/max_*_namespaces are set: a further one is -ENOSPC. */
#define NS_MAX 4096

/*
 * Makes a new one of owner's, counted once, of what malloc gave (NULL: -ENOMEM), which begins with a struct ns.  Where it fails,
 * that is freed.  -ENOSPC: there are as many of the kind as there may be.
 */
int ns_init(void *object, enum ns_kind kind, struct user_ns *owner, void (*release)(struct ns *ns)) MUST_CHECK;
/* One that is nothing but this, of owner's; *out counted.  -ENOMEM, -ENOSPC. */
int ns_new(enum ns_kind kind, struct user_ns *owner, struct ns **out) MUST_CHECK;
/* The same for the first of its kind, with the number that Linux gives it; never freed. */
void ns_init_first(struct ns *ns, enum ns_kind kind);
/* A number that no other ever has: ioctl_ns(2). */
uint64_t ns_id(const struct ns *ns);
struct ns *ns_get(struct ns *ns);
void ns_put(struct ns *ns); /* NULL is allowed */
/* The only one of a kind that cannot be made; borrowed. */
struct ns *ns_initial(enum ns_kind kind);

const char *ns_kind_name(enum ns_kind kind); /* "mnt", "uts"... */
uint64_t ns_kind_flag(enum ns_kind kind);    /* L_CLONE_NEW* */

#endif
