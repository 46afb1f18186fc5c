/*
 * Trees of mounts as a whole: copying one, hanging one up, taking one down, with all that hear of it.  mount_lock is
 * held for writing throughout; what is let go for the last time is gathered in a list and released after it.
 */
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/vfs/mount_internal.h"

/* ---- copying ---- */

static void set_groups_of_copy(struct mount *copy, const struct mount *m, unsigned how)
{
	if (how & COPY_PRIVATE)
		return;
	if ((how & COPY_DOWN) && m->group)
		mount_set_groups(copy, 0, m->group);
	else if (how & COPY_SLAVE)
		mount_set_groups(copy, how & COPY_SHARED ? mount_new_group() : 0, m->group);
	else
		mount_set_groups(copy, m->group, m->master);
	copy->unbindable = m->unbindable;
}

static struct mount *copy_one(struct mount *m, struct dentry *root, unsigned how)
{
	struct mount *copy = mount_new(super_get(m->sb), root, m->flags, m->source);

	if (!copy) {
		super_put(m->sb);
		return NULL;
	}
	set_groups_of_copy(copy, m, how);
	return copy;
}

static bool is_left_out(const struct mount *m, const struct mount *src, const struct dentry *root, unsigned how)
{
	const struct ns *ns;

	if (m->unbindable && !(how & COPY_UNBINDABLE))
		return true;
	ns = inode_namespace(m->root->inode);
	/* A namespace that held itself would never end. */
	if (ns && ns->kind == NS_MNT && !(how & COPY_NS_FILES))
		return true;
	return m->parent == src && !dentry_is_below(m->mountpoint, root);
}

int mount_copy_tree(struct mount *src, struct dentry *root, unsigned how, struct mount **out, struct list_head *gone)
{
	bool skip = false;

	if (src->unbindable && !(how & COPY_UNBINDABLE))
		return -EINVAL;
	for (struct mount *m = src; m; m = mount_next(m, src, false))
		m->copy = NULL;
	src->copy = copy_one(src, root, how);
	if (!src->copy)
		return -ENOMEM;
	for (struct mount *m = how & COPY_RECURSIVE ? mount_next(src, src, false) : NULL; m;
	     m = mount_next(m, src, skip)) {
		skip = is_left_out(m, src, root, how);
		if (skip)
			continue;
		m->copy = copy_one(m, m->root, how);
		if (!m->copy) {
			mount_umount_tree(src->copy, false, gone);
			return -ENOMEM;
		}
		mount_hang(m->copy, m->parent->copy, m->mountpoint);
	}
	*out = src->copy;
	return 0;
}

void mount_lock_tree(struct mount *top)
{
	static const unsigned locks[][2] = {
		{MNT_RDONLY, MNT_LOCK_RDONLY},
		{MNT_NOSUID, MNT_LOCK_NOSUID},
		{MNT_NODEV, MNT_LOCK_NODEV},
		{MNT_NOEXEC, MNT_LOCK_NOEXEC},
	};

	for (struct mount *m = top; m; m = mount_next(m, top, false)) {
		unsigned add = MNT_LOCK_ATIME | (m != top ? MNT_LOCKED : 0);

		for (size_t i = 0; i < ARRAY_SIZE(locks); i++)
			add |= m->flags & locks[i][0] ? locks[i][1] : 0;
		m->flags |= add;
	}
}

/* ---- hanging up ---- */

static bool may_carry(const struct dentry *d)
{
	return d->inode && !(d->flags & D_UNLINKED) && !d->inode->no_mounts;
}

int mount_find_place(const struct path *at, struct mount **mnt, struct dentry **d)
{
	struct mount *m = at->mnt, *on;

	*d = at->dentry;
	while ((on = mount_child_at(m, *d)) != NULL) {
		m = on;
		*d = on->root;
	}
	*mnt = m;
	return may_carry(*d) ? 0 : -ENOENT;
}

static unsigned tree_size(const struct mount *top)
{
	unsigned n = 0;

	for (const struct mount *m = top; m; m = mount_next(m, top, false))
		n++;
	return n;
}

/* Hangs the tree m there, beneath what hangs there already. */
static void hang_beneath(struct mount *m, struct mount *parent, struct dentry *d)
{
	struct mount *over = mount_child_at(parent, d), *top = m, *next;

	mount_hang(m, parent, d);
	mount_tree_set_ns(m, parent->ns);
	if (!over)
		return;
	while ((next = mount_child_at(top, top->root)) != NULL)
		top = next;
	mount_unhang(over);
	mount_hang(over, top, top->root);
	mount_release_left(over); /* m holds the same */
}

/* Whose copy serves y best: a peer's that has one, else that of whom it hears from. */
static struct mount *copy_source(struct mount *y, const struct mount *first, bool *peer)
{
	struct mount *x;

	*peer = true;
	if (y->group)
		for (x = (struct mount *)first; x != y; x = x->next_heard)
			if (x->group == y->group && x->heard_copy)
				return x->heard_copy;
	*peer = false;
	return y->heard_from->heard_copy;
}

/* Makes the copies that those who hear of m's coming to d in parent get.  They are not hung yet. */
static int make_heard_copies(struct mount *parent, struct dentry *d, struct mount *m, unsigned size,
			     struct list_head *gone)
{
	int r = 0;

	parent->heard_copy = m;
	for (struct mount *y = parent->next_heard; r == 0 && y; y = y->next_heard) {
		bool peer;
		struct mount *from = copy_source(y, parent, &peer);

		if (!dentry_is_below(d, y->root)) {
			y->heard_copy = from; /* its own slaves hear through it */
			continue;
		}
		if (y->ns->count + size > mount_max)
			r = -ENOSPC;
		else
			r = mount_copy_tree(from, from->root,
					    COPY_RECURSIVE | COPY_NS_FILES |
						    (peer ? 0 : COPY_SLAVE | (y->group ? COPY_SHARED : 0)),
					    &y->heard_copy, gone);
		y->hang_copy = r == 0;
	}
	return r;
}

static int tell_of_mount(struct mount *parent, struct dentry *d, struct mount *m, unsigned size, struct list_head *gone)
{
	const struct user_ns *owner = parent->ns ? parent->ns->ns.owner : NULL;
	int r;

	mount_hear(parent);
	r = make_heard_copies(parent, d, m, size, gone);
	for (struct mount *y = parent->next_heard; y; y = y->next_heard) {
		if (!y->hang_copy)
			continue;
		if (r == 0 && y->ns->ns.owner != owner)
			mount_lock_tree(y->heard_copy);
		if (r == 0)
			hang_beneath(y->heard_copy, y, d);
		else
			mount_umount_tree(y->heard_copy, false, gone);
	}
	mount_unhear(parent);
	return r;
}

int mount_attach_tree(struct mnt_ns *ns, struct mount *m, const struct path *at, struct list_head *gone)
{
	struct path place;
	int r = mount_find_place(at, &place.mnt, &place.dentry);

	return r < 0 ? r : mount_attach_tree_here(ns, m, &place, gone);
}

int mount_attach_tree_here(struct mnt_ns *ns, struct mount *m, const struct path *place, struct list_head *gone)
{
	unsigned size = tree_size(m);
	struct mount *parent = place->mnt;
	struct dentry *d = place->dentry;
	int r;

	if (!mount_is_in(parent, ns))
		return -EINVAL;
	if (inode_is(d->inode, L_S_IFDIR) != inode_is(m->root->inode, L_S_IFDIR))
		return -ENOTDIR;
	if (parent->ns && parent->ns != m->ns && parent->ns->count + size > mount_max)
		return -ENOSPC;
	if (parent->group) {
		for (struct mount *x = m; x; x = mount_next(x, m, false))
			mount_make_shared(x);
		r = tell_of_mount(parent, d, m, size, gone);
		if (r < 0)
			return r;
	}
	m->flags &= ~MNT_LOCKED; /* whoever hangs it up may take it down */
	hang_beneath(m, parent, d);
	return 0;
}

/* ---- taking down ---- */

static void doom(struct mount *m, struct list_head *doomed)
{
	m->doomed = true;
	list_add(&m->doom, doomed); /* so children stand before parents */
}

/* The one below m that stays, and covers it: then it takes m's place.  NULL: there is none. */
static struct mount *cover_of(const struct mount *m)
{
	struct mount *child;

	list_for_each_entry (child, &m->children, sibling)
		if (!child->doomed && child->mountpoint == m->root)
			return child;
	return NULL;
}

/* m may go because something it hears of went: if nothing is mounted in it that does not go as well. */
static bool may_follow(const struct mount *m)
{
	const struct mount *child;

	list_for_each_entry (child, &m->children, sibling)
		if (!child->doomed && child->mountpoint != m->root)
			return false;
	return true;
}

static void doom_those_who_hear(struct mount *m, struct list_head *doomed)
{
	struct mount *parent = m->parent;

	if (!parent)
		return;
	mount_hear(parent);
	for (struct mount *y = parent->next_heard; y; y = y->next_heard) {
		struct mount *c = mount_child_at(y, m->mountpoint);

		if (c && !c->doomed && may_follow(c))
			doom(c, doomed);
	}
	mount_unhear(parent);
}

/* Gives what covers m its place. */
static void uncover(struct mount *m)
{
	struct mount *cover = cover_of(m), *parent = m->parent;
	struct dentry *d = m->mountpoint;

	if (!cover)
		return;
	for (; parent && parent->doomed; parent = parent->parent)
		d = parent->mountpoint;
	ASSERT(parent);
	mount_unhang(cover);
	mount_hang(cover, parent, d);
	mount_release_left(cover); /* m is not let go yet */
}

void mount_umount_tree(struct mount *top, bool tell, struct list_head *gone)
{
	struct list_head doomed = LIST_HEAD_INIT(doomed), more = LIST_HEAD_INIT(more);
	struct mount *m, *tmp;

	for (m = top; m; m = mount_next(m, top, false))
		doom(m, &doomed);
	if (tell)
		list_for_each_entry (m, &doomed, doom)
			doom_those_who_hear(m, &more);
	list_splice_tail_init(&more, &doomed);
	list_for_each_entry (m, &doomed, doom)
		uncover(m);
	list_for_each_entry_safe (m, tmp, &doomed, doom) {
		if (m->parent)
			mount_unhang(m);
		if (m->ns)
			m->ns->count--;
		mnt_ns_touch(m->ns);
		m->ns = NULL;
		mount_leave_groups(m);
		m->doomed = false;
		list_del_init(&m->doom);
		list_add_tail(&m->doom, gone);
	}
}

void mount_release(struct list_head *gone)
{
	while (!list_empty(gone)) {
		struct mount *m = list_first_entry(gone, struct mount, doom);

		list_del_init(&m->doom);
		mount_release_left(m);
		mount_put(m);
	}
}
