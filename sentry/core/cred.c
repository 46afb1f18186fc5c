/* Credentials.  See cred.h. */
#include "sentry/core/cred.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"

static struct cred *cred_alloc(uint32_t group_count)
{
	struct cred *c = calloc(1, sizeof(*c) + group_count * sizeof(c->groups[0]));

	if (!c)
		return NULL;
	refcount_init(&c->refs, 1);
	c->group_count = group_count;
	return c;
}

struct cred *cred_copy(const struct cred *old, uint32_t group_count)
{
	struct cred *c = cred_alloc(group_count);
	uint32_t shared = group_count < old->group_count ? group_count : old->group_count;

	if (!c)
		return NULL;
	c->user_ns = user_ns_get(old->user_ns);
	c->owner = old->owner;
	memcpy(&c->uid, &old->uid, offsetof(struct cred, groups) - offsetof(struct cred, uid));
	c->group_count = group_count;
	memcpy(c->groups, old->groups, shared * sizeof(c->groups[0]));
	return c;
}

static uint64_t new_owner(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add(&last, 1) + 1;
}

/* What was changed and changed back has another number all the same. */
void cred_settle(struct cred *c, const struct cred *old)
{
	const size_t plain = offsetof(struct cred, groups) - offsetof(struct cred, uid);

	if (c->owner == old->owner && (c->user_ns != old->user_ns || memcmp(&c->uid, &old->uid, plain) != 0 ||
				       memcmp(c->groups, old->groups, c->group_count * sizeof(c->groups[0])) != 0))
		c->owner = new_owner();
}

static int compare_gid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count)
{
	struct cred *c = cred_alloc(group_count);

	if (!c)
		return NULL;
	c->user_ns = user_ns_get(&user_ns_first);
	c->owner = new_owner();
	c->uid = c->euid = c->suid = c->fsuid = uid;
	c->gid = c->egid = c->sgid = c->fsgid = gid;
	c->cap_bounding = L_CAP_FULL_SET;
	if (uid == 0)
		c->cap_effective = c->cap_permitted = L_CAP_FULL_SET;
	if (group_count)
		memcpy(c->groups, groups, group_count * sizeof(c->groups[0]));
	cred_sort_groups(c);
	return c;
}

void cred_sort_groups(struct cred *c)
{
	qsort(c->groups, c->group_count, sizeof(c->groups[0]), compare_gid);
}

struct cred *cred_get(const struct cred *c)
{
	struct cred *mutable = (struct cred *)c; /* only the count changes */

	refcount_inc(&mutable->refs);
	return mutable;
}

void cred_put(const struct cred *c)
{
	struct cred *mutable = (struct cred *)c;

	if (!c || !refcount_dec(&mutable->refs))
		return;
	user_ns_put(c->user_ns);
	free(mutable);
}

bool cred_in_group(const struct cred *c, uint32_t gid)
{
	return gid == c->fsgid ||
	       bsearch(&gid, c->groups, c->group_count, sizeof(c->groups[0]), compare_gid) != NULL;
}

void cred_enter_user_ns(struct cred *c, struct user_ns *u)
{
	struct user_ns *old = c->user_ns;

	c->user_ns = user_ns_get(u);
	user_ns_put(old);
	c->securebits = 0;
	c->cap_inheritable = c->cap_ambient = 0;
	c->cap_permitted = c->cap_effective = c->cap_bounding = L_CAP_FULL_SET;
}

/* ---- capabilities ---- */

bool cred_own_capable(const struct cred *c, unsigned cap)
{
	return cap <= L_CAP_LAST_CAP && (c->cap_effective >> cap & 1);
}

bool cred_ns_capable(const struct cred *c, const struct user_ns *u, unsigned cap)
{
	for (; u != c->user_ns; u = u->ns.owner) {
		if (u->level <= c->user_ns->level)
			return false;
		if (u->ns.owner == c->user_ns && u->uid == c->euid)
			return true;
	}
	return cred_own_capable(c, cap);
}

bool cred_capable(const struct cred *c, unsigned cap)
{
	return c->user_ns == &user_ns_first && cred_own_capable(c, cap);
}

bool cred_file_capable(const struct cred *c, uint32_t uid, uint32_t gid, unsigned cap)
{
	return cred_own_capable(c, cap) && id_to_ns(c->user_ns, ID_USER, uid) != ID_NONE &&
	       id_to_ns(c->user_ns, ID_GROUP, gid) != ID_NONE;
}

bool cred_caps_within(const struct cred *c, const struct cred *old)
{
	if (c->user_ns == old->user_ns)
		return !(c->cap_permitted & ~old->cap_permitted);
	for (const struct user_ns *u = c->user_ns; u->level; u = u->ns.owner)
		if (u->ns.owner == old->user_ns && u->uid == old->euid)
			return true;
	return false;
}

/* ---- ids ---- */

uint32_t cred_show_uid(const struct cred *c, uint32_t uid)
{
	return id_shown(c->user_ns, ID_USER, uid);
}

uint32_t cred_show_gid(const struct cred *c, uint32_t gid)
{
	return id_shown(c->user_ns, ID_GROUP, gid);
}

uint32_t cred_read_uid(const struct cred *c, uint32_t uid)
{
	return id_from_ns(c->user_ns, ID_USER, uid);
}

uint32_t cred_read_gid(const struct cred *c, uint32_t gid)
{
	return id_from_ns(c->user_ns, ID_GROUP, gid);
}

uint32_t cred_root(const struct cred *c)
{
	return id_from_ns(c->user_ns, ID_USER, 0);
}
