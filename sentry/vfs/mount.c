/*
 * The tree of mounts: what hangs where, crossing up and down, and making, moving and taking away mounts.
 * How the tree reads in /proc/PID/mounts is in mount_show.c.
 *
 * A mount in the tree is held by its parent's list; a mount holds its parent and its mount point.  A detached mount
 * lives on for those who stand in it.
 */
#include "sentry/vfs/internal.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"

struct rwlock mount_lock = RWLOCK_INIT;

static struct mount *mount_new(struct super_block *sb /* consumed on success */, struct dentry *root, unsigned flags,
			       const char *source)
{
	static _Atomic int next_id = 20;
	struct mount *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->source = strdup(source ? source : "none");
	if (!m->source) {
		free(m);
		return NULL;
	}
	refcount_init(&m->refs, 1);
	m->sb = sb;
	m->root = dentry_get(root);
	m->id = next_id++;
	m->flags = flags;
	list_init(&m->children);
	list_init(&m->sibling);
	return m;
}

struct mount *mount_get(struct mount *m)
{
	refcount_inc(&m->refs);
	return m;
}

void mount_put(struct mount *m)
{
	if (!m || !refcount_dec(&m->refs))
		return;
	ASSERT(!m->parent && list_empty(&m->children));
	dentry_put(m->root);
	super_put(m->sb);
	free(m->source);
	free(m);
}

unsigned mount_flags(const struct mount *m)
{
	return m ? m->flags : 0;
}

int mount_id(const struct mount *m)
{
	return m ? m->id : 0;
}

void path_get(const struct path *p)
{
	if (p->mnt)
		mount_get(p->mnt);
	dentry_get(p->dentry);
}

void path_put(const struct path *p)
{
	dentry_put(p->dentry);
	mount_put(p->mnt);
}

bool path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}

/* ---- crossing ---- */

/* The mount that hangs on d in parent, or NULL; borrowed.  mount_lock held. */
static struct mount *child_at(const struct mount *parent, const struct dentry *d)
{
	struct mount *m;

	list_for_each_entry(m, &parent->children, sibling)
		if (m->mountpoint == d)
			return m;
	return NULL;
}

void path_follow_mounts(struct path *p)
{
	while (p->dentry->mounts) {
		struct mount *m;

		read_lock(&mount_lock);
		m = child_at(p->mnt, p->dentry);
		if (m)
			mount_get(m);
		rw_unlock(&mount_lock);
		if (!m)
			return;
		path_put(p);
		*p = (struct path){m, dentry_get(m->root)};
	}
}

bool path_above_mount(struct path *p)
{
	struct path up = {NULL, NULL};

	if (p->dentry != p->mnt->root)
		return false;
	read_lock(&mount_lock);
	if (p->mnt->parent) {
		up = (struct path){p->mnt->parent, p->mnt->mountpoint};
		path_get(&up);
	}
	rw_unlock(&mount_lock);
	if (!up.mnt)
		return false;
	path_put(p);
	*p = up;
	return true;
}

int path_want_write(const struct path *p)
{
	if ((mount_flags(p->mnt) & MNT_RDONLY) || (p->dentry->sb->flags & SB_RDONLY))
		return -EROFS;
	return 0;
}

bool dentry_is_mountpoint(const struct dentry *d)
{
	return d->mounts || !d->parent;
}

/* ---- the tree ---- */

/* Hangs m (its reference becomes the tree's) on *at.  mount_lock held for writing. */
static void attach(struct mount *m, const struct path *at)
{
	m->parent = mount_get(at->mnt);
	m->mountpoint = dentry_get(at->dentry);
	m->mountpoint->mounts++;
	list_add_tail(&m->sibling, &at->mnt->children);
	rename_count++;
}

/* Takes m and all below it out of the tree, onto gone by sibling, for release without the lock. */
static void detach(struct mount *m, struct list_head *gone)
{
	while (!list_empty(&m->children))
		detach(list_first_entry(&m->children, struct mount, sibling), gone);
	if (!m->parent)
		return;
	list_del_init(&m->sibling);
	list_add_tail(&m->sibling, gone);
	m->mountpoint->mounts--;
	rename_count++;
}

static void release_detached(struct list_head *gone)
{
	while (!list_empty(gone)) {
		struct mount *m = list_first_entry(gone, struct mount, sibling);
		struct mount *parent = m->parent;
		struct dentry *mountpoint = m->mountpoint;

		list_del_init(&m->sibling);
		write_lock(&mount_lock);
		m->parent = NULL;
		m->mountpoint = NULL;
		rw_unlock(&mount_lock);
		mount_put(m);
		dentry_put(mountpoint);
		mount_put(parent);
	}
}

/* Mounts m (consumed in any case) on *at: a directory on a directory, a file on a file. */
static int mount_attach(struct mount *m, const struct path *at)
{
	struct path where = *at;
	int r = 0;

	path_get(&where);
	path_follow_mounts(&where);
	if (!where.dentry->inode || (where.dentry->flags & D_UNLINKED))
		r = -ENOENT;
	else if (inode_is(where.dentry->inode, L_S_IFDIR) != inode_is(m->root->inode, L_S_IFDIR))
		r = -ENOTDIR;
	if (r == 0) {
		if (where.dentry->parent)
			dentry_hash(where.dentry);
		write_lock(&mount_lock);
		attach(m, &where);
		rw_unlock(&mount_lock);
	} else {
		mount_put(m);
	}
	path_put(&where);
	return r;
}

int vfs_mount(struct super_block *sb, const struct path *at, unsigned mnt_flags, const char *source,
	      struct path *root_out)
{
	struct mount *m = mount_new(sb, sb->root, mnt_flags, source);
	int r = 0;

	if (!m) {
		super_put(sb);
		return -ENOMEM;
	}
	if (root_out) {
		*root_out = (struct path){m, m->root};
		path_get(root_out);
	}
	if (at)
		r = mount_attach(m, at);
	else
		mount_put(m); /* the root of a tree lives by its users */
	if (r < 0 && root_out)
		path_put(root_out);
	return r;
}

int vfs_bind(const struct path *src, const struct path *at, unsigned mnt_flags)
{
	struct super_block *sb = src->dentry->sb;
	struct mount *m = mount_new(super_get(sb), src->dentry, mnt_flags, src->mnt->source);

	if (!m) {
		super_put(sb);
		return -ENOMEM;
	}
	return mount_attach(m, at);
}

/* The mounts below src->dentry, as pairs of (mount, counted) in the order in which they can be bound again. */
static size_t collect_below(const struct mount *top, const struct dentry *below, struct mount **list, size_t cap)
{
	struct mount *m;
	size_t n = 0;

	list_for_each_entry(m, &top->children, sibling) {
		if (below && !dentry_is_below(m->mountpoint, below))
			continue;
		if (n < cap)
			list[n] = mount_get(m);
		n++;
		n += collect_below(m, NULL, list + min_of(n, cap), n < cap ? cap - n : 0);
	}
	return n;
}

static int collect(const struct path *src, struct mount ***list_out, size_t *count_out)
{
	size_t cap = 64, n;

	for (;;) {
		struct mount **list = calloc(cap, sizeof(*list));

		if (!list)
			return -ENOMEM;
		read_lock(&mount_lock);
		n = collect_below(src->mnt, src->dentry, list, cap);
		rw_unlock(&mount_lock);
		if (n <= cap) {
			*list_out = list;
			*count_out = n;
			return 0;
		}
		for (size_t i = 0; i < cap; i++)
			mount_put(list[i]);
		free(list);
		cap = n;
	}
}

/*
 * Each mount below src is hung on the same dentry below the copy of the mount that it hangs in.  copies[i] is the copy of
 * from[i]; entry 0 is the pair (src's mount, the new bind).
 */
int vfs_bind_recursive(const struct path *src, const struct path *at, unsigned mnt_flags)
{
	struct mount **below, **copies;
	struct path top = *at;
	size_t count;
	int r = collect(src, &below, &count);

	if (r < 0)
		return r;
	copies = calloc(count + 1, sizeof(*copies));
	r = copies ? vfs_bind(src, at, mnt_flags) : -ENOMEM;
	if (r == 0) {
		path_get(&top);
		path_follow_mounts(&top);
		copies[0] = top.mnt;
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct mount *parent = copies[0];
		struct mount *m = mount_new(super_get(below[i]->sb), below[i]->root, below[i]->flags, below[i]->source);

		if (!m) {
			super_put(below[i]->sb);
			r = -ENOMEM;
			break;
		}
		write_lock(&mount_lock);
		for (size_t j = 0; j < i; j++)
			if (below[i]->parent == below[j])
				parent = copies[j + 1];
		copies[i + 1] = m;
		if (below[i]->mountpoint)
			attach(m, &(struct path){parent, below[i]->mountpoint});
		rw_unlock(&mount_lock);
	}
	if (copies && copies[0])
		path_put(&top);
	for (size_t i = 0; i < count; i++)
		mount_put(below[i]);
	free(below);
	free(copies);
	return r;
}

int vfs_remount(const struct path *at, unsigned mnt_flags)
{
	if (at->dentry != at->mnt->root)
		return -EINVAL;
	at->mnt->flags = mnt_flags;
	return 0;
}

/* mount_lock held. */
static bool mount_is_below(const struct mount *m, const struct mount *ancestor)
{
	for (; m; m = m->parent)
		if (m == ancestor)
			return true;
	return false;
}

int vfs_move_mount(const struct path *from, const struct path *at)
{
	struct mount *m = from->mnt, *old_parent;
	struct dentry *old_point;
	struct path where = *at;
	int r = 0;

	if (from->dentry != m->root)
		return -EINVAL;
	path_get(&where);
	path_follow_mounts(&where);
	if (where.dentry->parent)
		dentry_hash(where.dentry);
	write_lock(&mount_lock);
	old_parent = m->parent;
	old_point = m->mountpoint;
	if (!old_parent)
		r = -EINVAL;
	else if (inode_is(where.dentry->inode, L_S_IFDIR) != inode_is(m->root->inode, L_S_IFDIR))
		r = -ENOTDIR;
	else if (mount_is_below(where.mnt, m))
		r = -ELOOP;
	if (r == 0) {
		list_del_init(&m->sibling);
		old_point->mounts--;
		attach(m, &where);
	}
	rw_unlock(&mount_lock);
	if (r == 0) {
		dentry_put(old_point);
		mount_put(old_parent);
	}
	path_put(&where);
	return r;
}

int vfs_umount(const struct path *at, bool detach_busy)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mount *m = at->mnt;
	int r = 0;

	if (at->dentry != m->root)
		return -EINVAL;
	write_lock(&mount_lock);
	/* Two references are the tree's and the caller's. */
	if (!detach_busy && (!m->parent || !list_empty(&m->children) || refcount_read(&m->refs) > 2))
		r = -EBUSY;
	else
		detach(m, &gone);
	rw_unlock(&mount_lock);
	release_detached(&gone);
	return r;
}
