/* See uts.h. */
#include "sentry/core/uts.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/lock.h"
#include "sentry/core/userns.h"

struct uts_ns {
	struct ns ns;
	struct mutex lock;
	struct l_utsname names; /* nodename and domainname guarded by lock; the rest is immutable */
};

static struct uts_ns first = {
	.ns = {.refs = {1}, .kind = NS_UTS, .ino = 4026531838, .owner = &user_ns_first},
	.lock = MUTEX_INIT,
	.names = {BAILEY_UTS_SYSNAME, "bailey", BAILEY_UTS_RELEASE, BAILEY_UTS_VERSION, BAILEY_UTS_MACHINE, "(none)"},
};

static struct uts_ns *uts_of(struct ns *ns)
{
	return container_of(ns, struct uts_ns, ns);
}

struct ns *uts_ns_first(void)
{
	return &first.ns;
}

static void uts_ns_free(struct ns *ns)
{
	mutex_destroy(&uts_of(ns)->lock);
	free(uts_of(ns));
}

int uts_ns_copy(struct ns *from, struct user_ns *owner, struct ns **out)
{
	struct uts_ns *u = calloc(1, sizeof(*u));
	int r = ns_init(u, NS_UTS, owner, uts_ns_free);

	if (r < 0)
		return r;
	mutex_init(&u->lock);
	uts_get(from, &u->names);
	*out = &u->ns;
	return 0;
}

void uts_get(struct ns *ns, struct l_utsname *out)
{
	struct uts_ns *u = uts_of(ns);

	mutex_lock(&u->lock);
	*out = u->names;
	mutex_unlock(&u->lock);
}

static void set(struct uts_ns *u, char field[L_UTS_LEN + 1], const char *name, size_t len)
{
	mutex_lock(&u->lock);
	memset(field, 0, L_UTS_LEN + 1);
	memcpy(field, name, len);
	mutex_unlock(&u->lock);
}

void uts_set_nodename(struct ns *ns, const char *name, size_t len)
{
	set(uts_of(ns), uts_of(ns)->names.nodename, name, len);
}

void uts_set_domainname(struct ns *ns, const char *name, size_t len)
{
	set(uts_of(ns), uts_of(ns)->names.domainname, name, len);
}
