/* Credentials.  See cred.h. */
#include "sentry/core/cred.h"

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
	memcpy(&c->uid, &old->uid, offsetof(struct cred, groups) - offsetof(struct cred, uid));
	c->group_count = group_count;
	memcpy(c->groups, old->groups, shared * sizeof(c->groups[0]));
	return c;
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

	if (c && refcount_dec(&mutable->refs))
		free(mutable);
}

bool cred_in_group(const struct cred *c, uint32_t gid)
{
	return gid == c->fsgid ||
	       bsearch(&gid, c->groups, c->group_count, sizeof(c->groups[0]), compare_gid) != NULL;
}

bool cred_capable(const struct cred *c, unsigned cap)
{
	return cap <= L_CAP_LAST_CAP && (c->cap_effective >> cap & 1);
}
