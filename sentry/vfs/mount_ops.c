/*
 * The calls that change a tree of mounts: mount, bind, move, remount, propagation, umount, pivot_root.  Each is one
 * operation under mount_lock; their errors are those of mount(2), umount(2) and pivot_root(2).
 */
#include "abi/errno.h"
#include "sentry/vfs/mount_internal.h"

/* Hangs the new tree m (consumed in any case) at *at. */
static int attach_new(struct mnt_ns *ns, struct mount *m, const struct path *at)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	int r;

	write_lock(&mount_lock);
	r = mount_attach_tree(ns, m, at, &gone);
	if (r < 0)
		mount_umount_tree(m, false, &gone);
	rw_unlock(&mount_lock);
	mount_release(&gone);
	return r;
}

/* The same file system twice at one place is of no use. */
static int refuse_same_again(const struct path *at, const struct super_block *sb)
{
	struct mount *m;
	struct dentry *d;
	int r;

	read_lock(&mount_lock);
	r = mount_find_place(at, &m, &d);
	if (r == 0 && m->sb == sb && m->root == d && m->parent)
		r = -EBUSY;
	rw_unlock(&mount_lock);
	return r;
}

int vfs_mount(struct mnt_ns *ns, struct super_block *sb, const struct path *at, unsigned flags, const char *source,
	      struct path *root_out)
{
	struct mount *m;
	int r = at ? refuse_same_again(at, sb) : 0;

	m = r == 0 ? mount_new(sb, sb->root, flags, source) : NULL;
	if (!m) {
		super_put(sb);
		return r < 0 ? r : -ENOMEM;
	}
	if (root_out) {
		*root_out = (struct path){m, m->root};
		path_get(root_out);
	}
	if (at)
		r = attach_new(ns, m, at);
	else
		mount_put(m); /* the root of a tree lives by its users */
	if (r < 0 && root_out)
		path_put(root_out);
	return r;
}

/* mount_namespaces(7): a namespace must not hold itself, nor one that may hold it. */
static bool would_loop(const struct mnt_ns *ns, const struct inode *i)
{
	const struct ns *bound = inode_namespace(i);

	return bound && bound->kind == NS_MNT && ns && ns->ns.seq >= bound->seq;
}

/* Is there a mount below src that must not be taken off what it covers.  mount_lock held. */
static bool hides_something(const struct path *src)
{
	const struct mount *m;

	list_for_each_entry (m, &src->mnt->children, sibling)
		if ((m->flags & MNT_LOCKED) && dentry_is_below(m->mountpoint, src->dentry))
			return true;
	return false;
}

/* mount_lock held. */
static int clone_at(struct mnt_ns *ns, const struct path *src, bool recursive, struct mount **out,
		    struct list_head *gone)
{
	if (!mount_is_usable(src->mnt, ns))
		return -EINVAL;
	if (!recursive && hides_something(src))
		return -EINVAL;
	return mount_copy_tree(src->mnt, src->dentry, recursive ? COPY_RECURSIVE | COPY_NS_FILES : 0, out, gone);
}

/* A mount of a file that is in none: of a namespace, which lives on by it. */
static int mount_of_ns_file(const struct path *src, struct mount **out)
{
	if (!inode_namespace(src->dentry->inode))
		return -EINVAL;
	*out = mount_new(super_get(src->dentry->sb), src->dentry, 0, "nsfs");
	if (*out)
		return 0;
	super_put(src->dentry->sb);
	return -ENOMEM;
}

int mount_clone(struct mnt_ns *ns, const struct path *src, bool recursive, struct mount **out)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	int r;

	if (would_loop(ns, src->dentry->inode))
		return -EINVAL;
	write_lock(&mount_lock);
	r = src->mnt ? clone_at(ns, src, recursive, out, &gone) : mount_of_ns_file(src, out);
	rw_unlock(&mount_lock);
	mount_release(&gone);
	return r;
}

int vfs_bind(struct mnt_ns *ns, const struct path *src, const struct path *at, bool recursive, unsigned more_flags)
{
	struct mount *m;
	int r = mount_clone(ns, src, recursive, &m);

	if (r < 0)
		return r;
	m->flags |= more_flags;
	return attach_new(ns, m, at);
}

/* ---- what a mount of the system's own may show ---- */

/* Nothing lies hidden below m.  mount_lock held.
 * DIVERGES: Linux lets pass what covers a directory that is made to be mounted on. */
static bool shows_all(const struct mount *m)
{
	const struct mount *child;

	list_for_each_entry (child, &m->children, sibling)
		if (child->flags & MNT_LOCKED)
			return false;
	return true;
}

bool mount_reveals(struct mnt_ns *ns, const struct super_block *sb, unsigned *flags)
{
	bool found = false;

	if (!ns || ns->ns.owner == &user_ns_first)
		return false;
	read_lock(&mount_lock);
	for (const struct mount *m = ns->root; m && !found; m = mount_next(m, ns->root, false)) {
		if (m->sb->magic != sb->magic || m->root != m->sb->root)
			continue;
		if ((m->flags & MNT_LOCK_RDONLY) && !(*flags & MNT_RDONLY))
			continue;
		if ((m->flags & MNT_LOCK_ATIME) && ((m->flags ^ *flags) & MNT_ATIME_FLAGS))
			continue;
		found = shows_all(m);
		if (found)
			*flags |= m->flags & (MNT_LOCK_RDONLY | MNT_LOCK_ATIME);
	}
	rw_unlock(&mount_lock);
	return !found;
}

/* ---- moving ---- */

static bool is_shared(const struct mount *m)
{
	return m && m->group;
}

static bool tree_has_unbindable(const struct mount *top)
{
	for (const struct mount *m = top; m; m = mount_next(m, top, false))
		if (m->unbindable)
			return true;
	return false;
}

/* A tree that is mounted nowhere is moved as a whole only.  mount_lock held. */
static bool may_be_moved(const struct mnt_ns *ns, const struct mount *m)
{
	return mount_is_in(m, ns) || (m->ns && m->ns->anonymous && m->ns->root == m);
}

/* mount_lock held. */
static int check_move(const struct mnt_ns *ns, const struct mount *m, const struct mount *to, const struct dentry *d)
{
	if (!may_be_moved(ns, m) || !mount_is_usable(to, ns) || (m->flags & MNT_LOCKED))
		return -EINVAL;
	if (is_shared(m->parent) || inode_is(d->inode, L_S_IFDIR) != inode_is(m->root->inode, L_S_IFDIR))
		return -EINVAL;
	if (to->group && tree_has_unbindable(m))
		return -EINVAL;
	for (; to; to = to->parent)
		if (to == m)
			return -ELOOP; /* and so all are below the root of all */
	return m->parent || m->ns->anonymous ? 0 : -EINVAL;
}

/* Takes m from where it is, and hangs it up; where it was is left to be let go.  mount_lock held. */
static int move(struct mount *m, const struct path *to, struct list_head *gone)
{
	struct mnt_ns *from_ns = m->ns;
	struct mount *old_parent;
	struct dentry *old_point;
	int r;

	if (m->parent)
		mount_unhang(m);
	else
		from_ns->root = NULL;
	old_parent = m->left_parent;
	old_point = m->left_mountpoint;
	mount_tree_set_ns(m, NULL); /* it does not hear of its own coming */
	r = mount_attach_tree_here(NULL, m, to, gone);
	if (r == 0)
		return 0;
	mount_tree_set_ns(m, from_ns);
	if (!old_parent) {
		from_ns->root = m;
		return r;
	}
	mount_hang(m, old_parent, old_point);
	return r;
}

int vfs_move_mount(struct mnt_ns *ns, const struct path *from, const struct path *at)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mount *m = from->mnt, *to;
	struct dentry *d;
	int r;

	if (!vfs_is_mount_root(from))
		return -EINVAL;
	write_lock(&mount_lock);
	r = mount_find_place(at, &to, &d);
	if (r == 0)
		r = check_move(ns, m, to, d);
	if (r == 0)
		r = move(m, &(struct path){to, d}, &gone);
	rw_unlock(&mount_lock);
	mount_release_left(m);
	mount_release(&gone);
	return r;
}

/* Would what is told of a mount at place put one on m, which hears of it itself.  mount_lock held. */
static bool would_cover(const struct path *place, const struct mount *m)
{
	return is_shared(place->mnt) && m->group == place->mnt->group && dentry_is_below(place->dentry, m->root);
}

/* *place: what over covers.  mount_lock held. */
static int check_beneath(const struct mnt_ns *ns, const struct path *root, const struct mount *m,
			 const struct mount *over, const struct path *place)
{
	if ((over->flags & MNT_LOCKED) || over == root->mnt || place->mnt == ns->root)
		return -EINVAL;
	for (const struct mount *x = m; x->parent; x = x->parent)
		if (x == over)
			return -EINVAL;
	return would_cover(place, over) || (mount_is_in(m, ns) && would_cover(place, m)) ? -EINVAL : 0;
}

int vfs_move_mount_beneath(struct mnt_ns *ns, const struct path *root, const struct path *from, const struct path *at)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mount *m = from->mnt, *over;
	struct path place;
	struct dentry *d;
	int r;

	if (!ns || !vfs_is_mount_root(from))
		return -EINVAL;
	write_lock(&mount_lock);
	r = mount_find_place(at, &over, &d);
	if (r == 0 && (at->dentry != at->mnt->root || !over->parent))
		r = -EINVAL;
	if (r == 0) {
		place = (struct path){over->parent, over->mountpoint};
		r = check_move(ns, m, place.mnt, place.dentry);
	}
	if (r == 0)
		r = check_beneath(ns, root, m, over, &place);
	if (r == 0)
		r = move(m, &place, &gone);
	rw_unlock(&mount_lock);
	mount_release_left(m);
	mount_release(&gone);
	return r;
}

/* ---- unmounting ---- */

/* mount_lock held. */
static bool copies_in_use(struct mount *m)
{
	struct mount *parent = m->parent;
	bool busy = false;

	mount_hear(parent);
	for (struct mount *y = parent->next_heard; y; y = y->next_heard) {
		const struct mount *c = mount_child_at(y, m->mountpoint);

		busy = busy || (c && list_empty(&c->children) && refcount_read(&c->refs) > 1);
	}
	mount_unhear(parent);
	return busy;
}

/* Two references are the tree's and the caller's.  mount_lock held. */
static int check_umount(struct mount *m, unsigned how)
{
	bool in_use = !m->parent || !list_empty(&m->children) || refcount_read(&m->refs) > 2;

	if (how & UMOUNT_EXPIRE) {
		if (in_use)
			return -EBUSY;
		if (!m->expiring) {
			m->expiring = true;
			return -EAGAIN;
		}
	}
	if (how & UMOUNT_DETACH)
		return m->parent || !m->ns ? 0 : -EINVAL;
	return in_use || copies_in_use(m) ? -EBUSY : 0;
}

int vfs_umount(struct mnt_ns *ns, const struct path *at, unsigned how)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mount *m = at->mnt;
	int r;

	if (!vfs_is_mount_root(at))
		return -EINVAL;
	write_lock(&mount_lock);
	r = mount_is_in(m, ns) && !(m->flags & MNT_LOCKED) ? check_umount(m, how) : -EINVAL;
	if (r == 0 && m->parent)
		mount_umount_tree(m, true, &gone);
	while (r == 0 && !list_empty(&m->children)) /* of a tree's top, which lives by its users */
		mount_umount_tree(list_first_entry(&m->children, struct mount, sibling), false, &gone);
	rw_unlock(&mount_lock);
	mount_release(&gone);
	return r;
}

/* ---- pivot_root ---- */

/* In Linux's order.  m, d: where the old root goes. */
static int check_pivot(const struct mnt_ns *ns, const struct path *root, const struct path *new_root,
		       const struct mount *m, const struct dentry *d)
{
	const struct mount *new = new_root->mnt, *old = root->mnt;

	if (is_shared(m) || is_shared(new->parent) || is_shared(old->parent))
		return -EINVAL;
	if (!mount_is_in(old, ns) || !mount_is_in(new, ns))
		return -EINVAL;
	if (new->flags & MNT_LOCKED)
		return -EINVAL;
	if (new_root->dentry->flags & D_UNLINKED)
		return -ENOENT;
	if (new == old || m == old)
		return -EBUSY;
	if (root->dentry != old->root || new_root->dentry != new->root || !new->parent)
		return -EINVAL;
	if (!mount_reachable(m, d, new_root) || !mount_reachable(new, new_root->dentry, root))
		return -EINVAL;
	return 0;
}

int vfs_pivot_root(struct mnt_ns *ns, const struct path *root, const struct path *new_root, const struct path *put_old)
{
	struct mount *m, *new = new_root->mnt, *old = root->mnt;
	struct dentry *d;
	int r;

	if (!ns || !new || !old || !put_old->mnt)
		return -EINVAL;
	write_lock(&mount_lock);
	r = mount_find_place(put_old, &m, &d);
	if (r == 0)
		r = check_pivot(ns, root, new_root, m, d);
	if (r == 0) {
		mount_unhang(new);
		if (old->flags & MNT_LOCKED) {
			new->flags |= MNT_LOCKED;
			old->flags &= ~MNT_LOCKED;
		}
		if (old->parent) {
			mount_unhang(old);
			mount_hang(new, old->left_parent, old->left_mountpoint);
		} else {
			ns->root = new; /* the references change places along */
		}
		mount_hang(old, m, d);
		old->expiring = false;
	}
	rw_unlock(&mount_lock);
	if (r == 0) {
		fs_infos_step_over(root, new_root);
		mount_release_left(new);
		mount_release_left(old);
	}
	return r;
}
