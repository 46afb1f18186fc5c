/*
 * Shared subtrees: who hears of a mount or an unmount (mount_namespaces(7), "Shared subtrees"; the kernel's
 * sharedsubtree.rst).
 *
 * Peers have the same group number, and slaves have that number as their master.  A mount that has neither is private
 * and in no list.  All functions need mount_lock held for writing.
 */
#include <limits.h>

#include "sentry/vfs/mount_internal.h"

static struct list_head all_shared = LIST_HEAD_INIT(all_shared); /* of mount.shared; guarded by mount_lock */

static bool group_has_members(int group)
{
	struct mount *m;

	list_for_each_entry (m, &all_shared, shared)
		if (m->group == group || m->master == group)
			return true;
	return false;
}

int mount_new_group(void)
{
	static int last;

	do
		last = last == INT_MAX ? 1 : last + 1;
	while (group_has_members(last));
	return last;
}

void mount_set_groups(struct mount *m, int group, int master)
{
	m->group = group;
	m->master = master;
	list_del_init(&m->shared);
	if (group || master)
		list_add_tail(&m->shared, &all_shared);
}

void mount_make_shared(struct mount *m)
{
	m->unbindable = false;
	if (!m->group)
		mount_set_groups(m, mount_new_group(), m->master);
}

static bool has_peers(const struct mount *m)
{
	const struct mount *x;

	list_for_each_entry (x, &all_shared, shared)
		if (x != m && x->group == m->group)
			return true;
	return false;
}

/* m is no peer any more.  If it was the last one, its slaves hear from its master from now on. */
static void leave_group(struct mount *m)
{
	struct mount *x, *tmp;
	int group = m->group, master = m->master;
	bool last;

	if (!group)
		return;
	last = !has_peers(m);
	mount_set_groups(m, 0, master);
	if (!last)
		return;
	list_for_each_entry_safe (x, tmp, &all_shared, shared)
		if (x->master == group)
			mount_set_groups(x, x->group, master);
}

void mount_leave_groups(struct mount *m)
{
	leave_group(m);
	mount_set_groups(m, 0, 0);
}

void mount_change_propagation(struct mount *m, enum propagation kind)
{
	int master = m->group && has_peers(m) ? m->group : m->master;

	if (kind == PROPAGATION_SHARED) {
		mount_make_shared(m);
		return;
	}
	leave_group(m);
	mount_set_groups(m, 0, kind == PROPAGATION_SLAVE ? master : 0);
	if (kind != PROPAGATION_SLAVE)
		m->unbindable = kind == PROPAGATION_UNBINDABLE;
}

void mount_hear(struct mount *m)
{
	struct mount *last = m;

	m->heard = true;
	m->next_heard = NULL;
	for (struct mount *x = m; x; x = x->next_heard) {
		struct mount *y;

		if (!x->group)
			continue;
		list_for_each_entry (y, &all_shared, shared) {
			/* One without a namespace is being made by this very event. */
			if (y->heard || !y->ns || (y->group != x->group && y->master != x->group))
				continue;
			y->heard = true;
			y->heard_from = x;
			y->next_heard = NULL;
			last->next_heard = y;
			last = y;
		}
	}
}

void mount_unhear(struct mount *m)
{
	while (m) {
		struct mount *next = m->next_heard;

		m->heard = m->hang_copy = false;
		m->next_heard = m->heard_from = m->heard_copy = NULL;
		m = next;
	}
}
