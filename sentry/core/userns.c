/* See userns.h. */
#include "sentry/core/userns.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/core/cred.h"

#define LIMIT                                                                                                          \
	{                                                                                                              \
		NS_MAX, 0, INT32_MAX, NULL                                                                             \
	}
#define LIMITS                                                                                                         \
	{                                                                                                              \
		LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT                                                 \
	}

struct user_ns user_ns_first = {
	.ns = {.refs = {1}, .kind = NS_USER, .ino = 4026531837},
	.parent_could_setfcap = true,
	.lock = MUTEX_INIT,
	.max = LIMITS,
};

struct user_ns *user_ns_of(struct ns *ns)
{
	return container_of(ns, struct user_ns, ns);
}

static void user_ns_free(struct ns *ns)
{
	struct user_ns *u = user_ns_of(ns);

	free(atomic_load(&u->maps[ID_USER]));
	free(atomic_load(&u->maps[ID_GROUP]));
	mutex_destroy(&u->lock);
	free(u);
}

int user_ns_new(const struct cred *c, struct user_ns **out)
{
	struct user_ns *parent = c->user_ns, *u;
	int r;

	if (parent->level > USER_NS_DEPTH_MAX)
		return -ENOSPC;
	/* Who has no name where he is would have no owner's rights there. */
	if (id_to_ns(parent, ID_USER, c->euid) == ID_NONE || id_to_ns(parent, ID_GROUP, c->egid) == ID_NONE)
		return -EPERM;
	u = malloc(sizeof(*u));
	if (u)
		*u = (struct user_ns){.level = parent->level + 1, .uid = c->euid, .gid = c->egid, .max = LIMITS};
	r = ns_init(u, NS_USER, parent, user_ns_free);
	if (r < 0)
		return r;
	mutex_init(&u->lock);
	u->parent_could_setfcap = (c->cap_effective >> L_CAP_SETFCAP & 1) != 0;
	mutex_lock(&parent->lock);
	u->setgroups_denied = parent->setgroups_denied;
	mutex_unlock(&parent->lock);
	*out = u;
	return 0;
}

bool user_ns_within(const struct user_ns *u, const struct user_ns *of)
{
	while (u->level > of->level)
		u = u->ns.owner;
	return u == of;
}

/* ---- converting ---- */

/* Down: from the namespace's ids to those of the first. */
static uint32_t convert(const struct user_ns *u, enum id_kind kind, uint32_t id, bool down)
{
	const struct id_map *m;

	if (LIKELY(u == &user_ns_first) || id == ID_NONE)
		return id;
	m = atomic_load_explicit(&u->maps[kind], memory_order_acquire);
	for (unsigned i = 0; m && i < m->count; i++) {
		const struct id_extent *e = &m->extents[i];
		uint32_t from = down ? e->first : e->lower, to = down ? e->lower : e->first;

		if (id - from < e->count)
			return to + (id - from);
	}
	return ID_NONE;
}

uint32_t id_from_ns(const struct user_ns *u, enum id_kind kind, uint32_t id)
{
	return convert(u, kind, id, true);
}

uint32_t id_to_ns(const struct user_ns *u, enum id_kind kind, uint32_t id)
{
	return convert(u, kind, id, false);
}

uint32_t id_shown(const struct user_ns *u, enum id_kind kind, uint32_t id)
{
	uint32_t shown = id_to_ns(u, kind, id);

	return shown == ID_NONE ? ID_OVERFLOW : shown;
}

/* ---- setting maps ---- */

/* A number and the blanks before it; *text moves past it.  A blank, a line's or the text's end must follow. */
static bool parse_number(const char **text, uint32_t *out)
{
	char *end;
	uint64_t v;

	while (**text == ' ' || **text == '\t')
		(*text)++;
	if (!isdigit((unsigned char)**text))
		return false;
	v = strtoull(*text, &end, 10);
	*text = end;
	*out = (uint32_t)v;
	return v <= UINT32_MAX && (!*end || isspace((unsigned char)*end));
}

static bool overlaps(const struct id_map *m, const struct id_extent *e)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct id_extent *o = &m->extents[i];

		if (o->first <= e->first + (e->count - 1) && e->first <= o->first + (o->count - 1))
			return true;
		if (o->lower <= e->lower + (e->count - 1) && e->lower <= o->lower + (o->count - 1))
			return true;
	}
	return false;
}

/* One line; *text moves to the next. */
static bool parse_extent(const char **text, struct id_extent *e)
{
	if (!parse_number(text, &e->first) || !parse_number(text, &e->lower) || !parse_number(text, &e->count))
		return false;
	while (**text == ' ' || **text == '\t')
		(*text)++;
	if (**text == '\n')
		(*text)++;
	else if (**text)
		return false;
	return e->first != ID_NONE && e->lower != ID_NONE && e->first + e->count > e->first &&
	       e->lower + e->count > e->lower;
}

static int parse_map(const char *text, struct id_map *m)
{
	while (*text) {
		struct id_extent e;

		if (m->count == ID_MAP_MAX || !parse_extent(&text, &e) || overlaps(m, &e))
			return -EINVAL;
		m->extents[m->count++] = e;
	}
	return m->count ? 0 : -EINVAL;
}

/* The parent's user 0 lends his file capabilities to whoever has him in his map: he must be in the maker's hands. */
static bool may_map_root(const struct user_ns *u, const struct id_map *m, const struct cred *opener)
{
	bool has_root = false;

	for (unsigned i = 0; i < m->count; i++)
		has_root |= m->extents[i].lower == 0;
	if (!has_root)
		return true;
	if (opener->user_ns == u)
		return u->parent_could_setfcap;
	return cred_ns_capable(opener, u->ns.owner, L_CAP_SETFCAP);
}

static bool may_map(const struct user_ns *u, enum id_kind kind, const struct id_map *m, const struct cred *opener,
		    const struct cred *writer)
{
	struct user_ns *parent = u->ns.owner;
	unsigned cap = kind == ID_USER ? L_CAP_SETUID : L_CAP_SETGID;

	if (kind == ID_USER && !may_map_root(u, m, opener))
		return false;
	/* One may map oneself alone; as to the group, only where none can be dropped any more. */
	if (m->count == 1 && m->extents[0].count == 1 && u->uid == opener->euid) {
		uint32_t id = id_from_ns(parent, kind, m->extents[0].lower);

		if (kind == ID_USER ? id == opener->euid : u->setgroups_denied && id == opener->egid)
			return true;
	}
	return cred_ns_capable(writer, parent, cap) && cred_ns_capable(opener, parent, cap);
}

/* Turns the parent's ids into the sentry's; false: they are not all mapped, in one piece, there. */
static bool translate(const struct user_ns *parent, enum id_kind kind, struct id_map *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		struct id_extent *e = &m->extents[i];
		uint32_t first = id_from_ns(parent, kind, e->lower);
		const struct id_map *above = atomic_load(&parent->maps[kind]);
		bool whole = parent == &user_ns_first;

		for (unsigned j = 0; above && j < above->count; j++) {
			uint32_t off = e->lower - above->extents[j].first;

			whole |= off < above->extents[j].count && e->count <= above->extents[j].count - off;
		}
		if (first == ID_NONE || !whole)
			return false;
		e->lower = first;
	}
	return true;
}

int user_ns_set_map(struct user_ns *u, enum id_kind kind, const char *text, const struct cred *opener,
		    const struct cred *writer)
{
	struct id_map *m;
	int r = 0;

	if (u == &user_ns_first || (opener->user_ns != u && opener->user_ns != u->ns.owner))
		return -EPERM;
	m = calloc(1, sizeof(*m) + ID_MAP_MAX * sizeof(m->extents[0]));
	if (!m)
		return -ENOMEM;
	mutex_lock(&u->lock);
	if (u->maps[kind] || !cred_ns_capable(opener, u, L_CAP_SYS_ADMIN))
		r = -EPERM;
	if (r == 0)
		r = parse_map(text, m);
	if (r == 0 && (!may_map(u, kind, m, opener, writer) || !translate(u->ns.owner, kind, m)))
		r = -EPERM;
	if (r == 0) {
		struct id_map *fit = realloc(m, sizeof(*m) + m->count * sizeof(m->extents[0]));

		m = fit ? fit : m;
		atomic_store_explicit(&u->maps[kind], m, memory_order_release);
		m = NULL;
	}
	mutex_unlock(&u->lock);
	free(m);
	return r;
}

/* ---- setgroups ---- */

int user_ns_set_setgroups(struct user_ns *u, const char *text)
{
	bool allow = !strncmp(text, "allow", 5);
	int r = 0;

	if (!allow && strncmp(text, "deny", 4) != 0)
		return -EINVAL;
	text += allow ? 5 : 4;
	if (text[strspn(text, " \t\n\r\v\f")])
		return -EINVAL;
	mutex_lock(&u->lock);
	if (allow ? u->setgroups_denied : u->maps[ID_GROUP] != NULL)
		r = -EPERM;
	else if (!allow)
		u->setgroups_denied = true;
	mutex_unlock(&u->lock);
	return r;
}

bool user_ns_may_setgroups(const struct user_ns *u)
{
	return u == &user_ns_first || (u->maps[ID_GROUP] && !u->setgroups_denied);
}
