/*
 * Mounts as objects, how they hang together, and crossing from one to the next.  What changes the tree as a whole is in
 * mount_tree.c, the calls that do so in mount_ops.c, shared subtrees in mount_propagate.c, namespaces in mount_ns.c,
 * and how a tree reads in /proc/PID/mounts in mount_show.c.
 *
 * A mount in a tree is held by its parent's list, a namespace's root by the namespace; a mount holds its parent and its
 * mount point.  A detached mount lives on for those who stand in it.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/vfs/mount_internal.h"

#define BUCKETS 1024u
#define MOUNTS_MAX 400000 /* in all namespaces together, and in none */
#define FIRST_UNIQUE_ID (1ull << 31)

struct rwlock mount_lock = RWLOCK_INIT;
_Atomic unsigned mount_max = MOUNT_MAX_DEFAULT;

static struct list_head buckets[BUCKETS]; /* of mount.hashed; guarded by mount_lock */
static _Atomic int total;

static size_t hash_of(const struct dentry *d)
{
	uintptr_t h = (uintptr_t)d >> 5;

	return (h ^ h >> 10) % BUCKETS;
}

/* A mount in ns (NULL: in any) that hangs on d, or NULL. */
static struct mount *find_on(const struct dentry *d, const struct mnt_ns *ns)
{
	const struct list_head *b = &buckets[hash_of(d)];
	struct mount *m;

	if (!b->next)
		return NULL;
	list_for_each_entry (m, b, hashed)
		if (m->mountpoint == d && mount_is_in(m, ns))
			return m;
	return NULL;
}

struct mount *mount_new(struct super_block *sb, struct dentry *root, unsigned flags, const char *source)
{
	static _Atomic int next_id = 20;
	static _Atomic uint64_t next_unique = FIRST_UNIQUE_ID;
	struct mount *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->source = strdup(source ? source : "none");
	if (!m->source || ++total > MOUNTS_MAX) {
		if (m->source)
			total--;
		free(m->source);
		free(m);
		return NULL;
	}
	refcount_init(&m->refs, 1);
	m->sb = sb;
	m->root = dentry_get(root);
	m->id = next_id++;
	m->unique_id = ++next_unique;
	m->flags = flags;
	list_init(&m->children);
	list_init(&m->sibling);
	list_init(&m->hashed);
	list_init(&m->shared);
	list_init(&m->doom);
	return m;
}

struct mount *mount_get(struct mount *m)
{
	refcount_inc(&m->refs);
	return m;
}

static void mount_put_unused(struct mount *m)
{
	if (!m || !refcount_dec(&m->refs))
		return;
	ASSERT(!m->parent && list_empty(&m->children) && list_empty(&m->shared));
	dentry_put(m->root);
	super_put(m->sb);
	free(m->source);
	free(m);
	total--;
}

void mount_put(struct mount *m)
{
	if (m && m->expiring)
		m->expiring = false;
	mount_put_unused(m);
}

unsigned mount_flags(const struct mount *m)
{
	return m ? m->flags : 0;
}

int mount_id(const struct mount *m)
{
	return m ? m->id : 0;
}

uint64_t mount_unique_id(const struct mount *m)
{
	return m ? m->unique_id : 0;
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

void path_put_unused(const struct path *p)
{
	dentry_put(p->dentry);
	mount_put_unused(p->mnt);
}

bool path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}

/* ---- crossing ---- */

struct mount *mount_child_at(const struct mount *parent, const struct dentry *d)
{
	const struct list_head *b = &buckets[hash_of(d)];
	struct mount *m;

	if (!b->next)
		return NULL;
	list_for_each_entry (m, b, hashed)
		if (m->mountpoint == d && m->parent == parent)
			return m;
	return NULL;
}

static void fill(struct super_block *sb)
{
	static struct mutex lock = MUTEX_INIT;
	void (*once)(struct super_block *);

	mutex_lock(&lock);
	once = atomic_load(&sb->fill);
	if (once)
		once(sb);
	atomic_store(&sb->fill, NULL);
	mutex_unlock(&lock);
}

void path_follow_mounts(struct path *p)
{
	while (p->mnt && p->dentry->mounts) {
		struct mount *m;

		read_lock(&mount_lock);
		m = mount_child_at(p->mnt, p->dentry);
		if (m)
			mount_get(m);
		rw_unlock(&mount_lock);
		if (!m)
			return;
		if (UNLIKELY(atomic_load_explicit(&m->sb->fill, memory_order_acquire)))
			fill(m->sb);
		path_put(p);
		*p = (struct path){m, dentry_get(m->root)};
	}
}

bool path_above_mount(struct path *p)
{
	struct path up = {NULL, NULL};

	if (!p->mnt || p->dentry != p->mnt->root)
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

bool vfs_is_mount_root(const struct path *p)
{
	return p->mnt && p->dentry == p->mnt->root;
}

int path_want_write(const struct path *p)
{
	if ((mount_flags(p->mnt) & MNT_RDONLY) || (p->dentry->sb->flags & SB_RDONLY))
		return -EROFS;
	return 0;
}

/* ---- the tree ---- */

struct mount *mount_next(const struct mount *m, const struct mount *top, bool skip)
{
	if (!skip && !list_empty(&m->children))
		return list_first_entry(&m->children, struct mount, sibling);
	for (; m != top; m = m->parent)
		if (m->sibling.next != &m->parent->children)
			return list_entry(m->sibling.next, struct mount, sibling);
	return NULL;
}

/* It has to be met: where a file system keeps nothing else (and renames nothing), so have those above it. */
static void hash_way_to(struct dentry *d)
{
	if (d->parent)
		dentry_hash(d);
	for (d = d->parent; d && d->parent && (d->sb->flags & SB_NO_CACHE); d = d->parent)
		dentry_hash(d);
}

void mount_hang(struct mount *m, struct mount *parent, struct dentry *d)
{
	struct list_head *bucket = &buckets[hash_of(d)];

	if (!bucket->next)
		list_init(bucket);
	hash_way_to(d);
	m->parent = mount_get(parent);
	m->mountpoint = dentry_get(d);
	d->mounts++;
	list_add_tail(&m->sibling, &parent->children);
	list_add(&m->hashed, bucket);
	rename_count++;
}

void mount_unhang(struct mount *m)
{
	list_del_init(&m->sibling);
	list_del_init(&m->hashed);
	m->left_parent = m->parent;
	m->left_mountpoint = m->mountpoint;
	m->parent = NULL;
	m->mountpoint = NULL;
	m->left_mountpoint->mounts--;
	rename_count++;
}

void mount_release_left(struct mount *m)
{
	struct mount *parent = m->left_parent;
	struct dentry *d = m->left_mountpoint;

	m->left_parent = NULL;
	m->left_mountpoint = NULL;
	if (d)
		dentry_put(d);
	mount_put_unused(parent);
}

bool mount_reachable(const struct mount *m, const struct dentry *d, const struct path *root)
{
	while (m != root->mnt && m->parent) {
		d = m->mountpoint;
		m = m->parent;
	}
	return m == root->mnt && dentry_is_below(d, root->dentry);
}

void mount_tree_set_ns(struct mount *top, struct mnt_ns *ns)
{
	for (struct mount *m = top; m; m = mount_next(m, top, false)) {
		if (m->ns) {
			m->ns->count--;
			mnt_ns_touch(m->ns);
		}
		m->ns = ns;
		if (ns)
			ns->count++;
	}
	mnt_ns_touch(ns);
}

bool mount_is_in(const struct mount *m, const struct mnt_ns *ns)
{
	return !ns || (m && m->ns == ns);
}

bool mount_in_ns(const struct mount *m, const struct mnt_ns *ns)
{
	bool in;

	read_lock(&mount_lock);
	in = mount_is_in(m, ns);
	rw_unlock(&mount_lock);
	return in;
}

bool mount_is_usable(const struct mount *m, const struct mnt_ns *ns)
{
	return mount_is_in(m, ns) || (m && m->ns && m->ns->anonymous);
}

int path_get_write(const struct path *p)
{
	if (!p->mnt)
		return 0;
	p->mnt->writers++;
	p->mnt->sb->writers++;
	if (!(p->mnt->flags & MNT_RDONLY) && !(p->mnt->sb->flags & SB_RDONLY))
		return 0;
	path_put_write(p);
	return -EROFS;
}

void path_put_write(const struct path *p)
{
	if (p->mnt) {
		p->mnt->writers--;
		p->mnt->sb->writers--;
	}
}

bool dentry_is_mountpoint(const struct dentry *d, const struct mnt_ns *ns)
{
	bool found;

	if (!d->parent)
		return true;
	if (!d->mounts)
		return false;
	read_lock(&mount_lock);
	found = find_on(d, ns) != NULL;
	rw_unlock(&mount_lock);
	return found;
}

void mount_detach_from(struct dentry *d)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mount *m;

	if (!d->mounts)
		return;
	write_lock(&mount_lock);
	while ((m = find_on(d, NULL)) != NULL)
		mount_umount_tree(m, false, &gone);
	rw_unlock(&mount_lock);
	mount_release(&gone);
}
