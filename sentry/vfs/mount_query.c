/* Mounts for those who ask by number: listmount(2) and statmount(2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/mount.h"
#include "abi/types.h"
#include "sentry/vfs/mount_internal.h"

/* mount_lock held. */
static struct mount *find_by_id(const struct mnt_ns *ns, uint64_t id)
{
	struct mount *m = ns ? ns->root : NULL;

	while (m && m->unique_id != id)
		m = mount_next(m, ns->root, false);
	return m;
}

/* ---- statmount ---- */

/* Strings one after the other; what is not there points at the empty one at the beginning. */
struct answer {
	struct l_statmount *st;
	FILE *strings;
	uint32_t used; /* bytes of strings */
	char *name; /* L_PATH_MAX of room */
};

static void put_string(struct answer *a, uint64_t bit, uint32_t *where, const char *s)
{
	*where = a->used;
	fputs(s, a->strings);
	fputc('\0', a->strings);
	a->used += (uint32_t)strlen(s) + 1;
	a->st->mask |= bit;
}

static uint64_t attr_of_flags(unsigned flags)
{
	static const struct {
		unsigned mnt;
		uint64_t attr;
	} map[] = {
		{MNT_RDONLY, L_MOUNT_ATTR_RDONLY},	   {MNT_NOSUID, L_MOUNT_ATTR_NOSUID},
		{MNT_NODEV, L_MOUNT_ATTR_NODEV},	   {MNT_NOEXEC, L_MOUNT_ATTR_NOEXEC},
		{MNT_NOATIME, L_MOUNT_ATTR_NOATIME},	   {MNT_STRICTATIME, L_MOUNT_ATTR_STRICTATIME},
		{MNT_NODIRATIME, L_MOUNT_ATTR_NODIRATIME}, {MNT_NOSYMFOLLOW, L_MOUNT_ATTR_NOSYMFOLLOW},
	};
	uint64_t attr = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		attr |= flags & map[i].mnt ? map[i].attr : 0;
	return attr;
}

static void answer_basics(struct answer *a, const struct mount *m, uint64_t mask)
{
	const struct mount *parent = m->parent ? m->parent : m;
	struct l_statmount *st = a->st;

	if (mask & L_STATMOUNT_SB_BASIC) {
		st->sb_dev_major = l_major(m->sb->dev);
		st->sb_dev_minor = l_minor(m->sb->dev);
		st->sb_magic = m->sb->magic;
		st->sb_flags = m->sb->flags & SB_RDONLY ? L_MS_RDONLY : 0;
		st->mask |= L_STATMOUNT_SB_BASIC;
	}
	if (mask & L_STATMOUNT_MNT_BASIC) {
		st->mnt_id = m->unique_id;
		st->mnt_parent_id = parent->unique_id;
		st->mnt_id_old = (uint32_t)m->id;
		st->mnt_parent_id_old = (uint32_t)parent->id;
		st->mnt_attr = attr_of_flags(m->flags);
		st->mnt_propagation = (m->group ? L_MS_SHARED : 0) | (m->master ? L_MS_SLAVE : 0) |
				      (m->unbindable ? L_MS_UNBINDABLE : 0);
		if (!st->mnt_propagation)
			st->mnt_propagation = L_MS_PRIVATE;
		st->mnt_peer_group = (uint64_t)m->group;
		st->mnt_master = (uint64_t)m->master;
		st->mask |= L_STATMOUNT_MNT_BASIC;
	}
	if (mask & L_STATMOUNT_MNT_NS_ID) {
		st->mnt_ns_id = ns_id(&m->ns->ns);
		st->mask |= L_STATMOUNT_MNT_NS_ID;
	}
	if (mask & L_STATMOUNT_PROPAGATE_FROM) {
		st->propagate_from = (uint64_t)m->master;
		st->mask |= L_STATMOUNT_PROPAGATE_FROM;
	}
}

static void answer_strings(struct answer *a, const struct mount *m, const struct path *root, uint64_t mask)
{
	struct path self = {(struct mount *)m, m->root};
	char options[256] = "";
	bool unreachable;

	fputc('\0', a->strings);
	a->used = 1;
	if (mask & L_STATMOUNT_FS_TYPE)
		put_string(a, L_STATMOUNT_FS_TYPE, &a->st->fs_type, m->sb->type);
	if ((mask & L_STATMOUNT_MNT_ROOT) &&
	    path_name_locked(&(struct path){NULL, m->root}, &(struct path){NULL, m->sb->root}, a->name, L_PATH_MAX,
			     &unreachable) == 0)
		put_string(a, L_STATMOUNT_MNT_ROOT, &a->st->mnt_root, a->name);
	if ((mask & L_STATMOUNT_MNT_POINT) && path_name_locked(&self, root, a->name, L_PATH_MAX, &unreachable) == 0)
		put_string(a, L_STATMOUNT_MNT_POINT, &a->st->mnt_point, unreachable ? "" : a->name);
	if (mask & L_STATMOUNT_SB_SOURCE)
		put_string(a, L_STATMOUNT_SB_SOURCE, &a->st->sb_source, m->source);
	if ((mask & L_STATMOUNT_MNT_OPTS) && m->sb->ops && m->sb->ops->show_options) {
		m->sb->ops->show_options(m->sb, options, sizeof(options));
		if (options[0])
			put_string(a, L_STATMOUNT_MNT_OPTS, &a->st->mnt_opts, options + (options[0] == ','));
	}
	if (mask & L_STATMOUNT_SUPPORTED_MASK) {
		a->st->supported_mask = L_STATMOUNT_SUPPORTED;
		a->st->mask |= L_STATMOUNT_SUPPORTED_MASK;
	}
}

int vfs_statmount(struct mnt_ns *ns, const struct path *root, uint64_t id, uint64_t mask, bool privileged,
		  struct l_statmount *st, char **strings, size_t *len)
{
	struct answer a = {.st = st, .name = malloc(L_PATH_MAX), .strings = open_memstream(strings, len)};
	const struct mount *m;
	int r = 0;

	memset(st, 0, sizeof(*st));
	if (!a.name || !a.strings) {
		r = -ENOMEM;
		goto out;
	}
	read_lock(&mount_lock);
	m = find_by_id(ns, id);
	if (!m) {
		r = -ENOENT;
	} else if (!mount_reachable(m, m->root, root) && !privileged) {
		r = -EPERM;
	} else {
		answer_basics(&a, m, mask);
		answer_strings(&a, m, root, mask);
	}
	rw_unlock(&mount_lock);
out:
	free(a.name);
	if (a.strings && fclose(a.strings) != 0 && r == 0)
		r = -ENOMEM;
	else if (a.strings && r < 0)
		free(*strings);
	return r;
}

/* ---- listmount ---- */

static int up(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int down(const void *a, const void *b)
{
	return up(b, a);
}

/* All that can be reached from *from, in ids (room for ns->count).  mount_lock held. */
static size_t gather(const struct mnt_ns *ns, const struct path *from, uint64_t but, uint64_t after, bool reverse,
		     uint64_t *ids)
{
	size_t n = 0;

	for (const struct mount *m = ns->root; m; m = mount_next(m, ns->root, false)) {
		if (m->unique_id == but || (after && (reverse ? m->unique_id >= after : m->unique_id <= after)))
			continue;
		if (mount_reachable(m, m->root, from))
			ids[n++] = m->unique_id;
	}
	qsort(ids, n, sizeof(*ids), reverse ? down : up);
	return n;
}

ssize_t vfs_listmount(struct mnt_ns *ns, const struct path *root, uint64_t parent, uint64_t after, bool reverse,
		      bool privileged, uint64_t *ids, size_t max)
{
	struct path from = *root;
	uint64_t *all = NULL;
	ssize_t n = 0;

	if (!ns)
		return -ENOENT;
	read_lock(&mount_lock);
	if (parent != L_LSMT_ROOT) {
		from.mnt = find_by_id(ns, parent);
		if (!from.mnt)
			n = -ENOENT;
		else
			from.dentry = from.mnt->root;
	}
	if (n == 0 && !mount_reachable(from.mnt, from.dentry, root) && !privileged)
		n = -EPERM;
	if (n == 0) {
		all = calloc(ns->count + 1, sizeof(*all));
		n = all ? (ssize_t)gather(ns, &from, parent, after, reverse, all) : -ENOMEM;
	}
	rw_unlock(&mount_lock);
	if (n > (ssize_t)max)
		n = (ssize_t)max;
	if (n > 0)
		memcpy(ids, all, (size_t)n * sizeof(*ids));
	free(all);
	return n;
}
