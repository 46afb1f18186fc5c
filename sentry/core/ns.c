/* See ns.h. */
#include "sentry/core/ns.h"

#include <stddef.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/sched.h"
#include "sentry/core/userns.h"

#define FIRST_INO 4026532000ull /* of those made later: Linux numbers them from here on, too */

static const struct kind {
	const char *name;
	uint64_t flag, first_ino; /* first_ino: as Linux numbers the first */
} kinds[NS_KINDS] = {
	[NS_TIME] = {"time", L_CLONE_NEWTIME, 4026531834}, [NS_CGROUP] = {"cgroup", L_CLONE_NEWCGROUP, 4026531835},
	[NS_IPC] = {"ipc", L_CLONE_NEWIPC, 4026531839},	   [NS_MNT] = {"mnt", L_CLONE_NEWNS, 4026531832},
	[NS_NET] = {"net", L_CLONE_NEWNET, 4026531833},	   [NS_PID] = {"pid", L_CLONE_NEWPID, 4026531836},
	[NS_USER] = {"user", L_CLONE_NEWUSER, 4026531837}, [NS_UTS] = {"uts", L_CLONE_NEWUTS, 4026531838},
};

#define ONLY(kind_, ino_) [kind_] = {.refs = {1}, .kind = (kind_), .ino = (ino_), .owner = &user_ns_first}
static struct ns initial[NS_KINDS] = {
	ONLY(NS_TIME, 4026531834),
	ONLY(NS_CGROUP, 4026531835),
	ONLY(NS_NET, 4026531833),
};

static _Atomic uint64_t last_seq = NS_KINDS, last_ino = FIRST_INO;
static _Atomic int counts[NS_KINDS]; /* of those that can be freed */

static void uncount(struct user_ns *from, const struct user_ns *to, enum ns_kind kind)
{
	for (; from != to; from = from->ns.owner)
		from->counts[kind]--;
}

/* DIVERGES: /proc/sys/user's limits hold for all users of a namespace together, not for each. */
static int count(struct user_ns *owner, enum ns_kind kind)
{
	for (struct user_ns *u = owner; u; u = u->ns.owner) {
		if (++u->counts[kind] <= u->max[kind].value)
			continue;
		u->counts[kind]--;
		uncount(owner, u, kind);
		return -ENOSPC;
	}
	return 0;
}

static int count_all(struct user_ns *owner, enum ns_kind kind)
{
	int r = ++counts[kind] > NS_MAX ? -ENOSPC : count(owner, kind);

	if (r < 0)
		counts[kind]--;
	return r;
}

int ns_init(void *object, enum ns_kind kind, struct user_ns *owner, void (*release)(struct ns *ns))
{
	struct ns *ns = object;
	int r = ns ? count_all(owner, kind) : -ENOMEM;

	if (r < 0) {
		free(ns);
		return r;
	}
	*ns = (struct ns){.kind = kind, .ino = ++last_ino, .seq = ++last_seq, .release = release};
	ns->owner = user_ns_get(owner);
	refcount_init(&ns->refs, 1);
	return 0;
}

static void plain_free(struct ns *ns)
{
	free(ns);
}

int ns_new(enum ns_kind kind, struct user_ns *owner, struct ns **out)
{
	struct ns *ns = malloc(sizeof(*ns));
	int r = ns_init(ns, kind, owner, plain_free);

	if (r == 0)
		*out = ns;
	return r;
}

uint64_t ns_id(const struct ns *ns)
{
	return ns->seq ? ns->seq : 1 + (uint64_t)ns->kind;
}

void ns_init_first(struct ns *ns, enum ns_kind kind)
{
	*ns = (struct ns){.kind = kind, .ino = kinds[kind].first_ino, .seq = ++last_seq, .owner = &user_ns_first};
	refcount_init(&ns->refs, 1);
}

struct ns *ns_get(struct ns *ns)
{
	refcount_inc(&ns->refs);
	return ns;
}

void ns_put(struct ns *ns)
{
	struct user_ns *owner;

	if (!ns || !refcount_dec(&ns->refs))
		return;
	if (!ns->release)
		return;
	owner = ns->owner;
	counts[ns->kind]--;
	uncount(owner, NULL, ns->kind);
	ns->release(ns);
	user_ns_put(owner);
}

struct ns *ns_initial(enum ns_kind kind)
{
	return &initial[kind];
}

const char *ns_kind_name(enum ns_kind kind)
{
	return kinds[kind].name;
}

uint64_t ns_kind_flag(enum ns_kind kind)
{
	return kinds[kind].flag;
}
