/*
 * Dentries and their cache: names, positive and negative, found again without asking the file system.
 *
 * The cache holds one reference to each dentry in it, and a dentry one to its parent; so an entry whose count is 1 is
 * used by nobody, and while dcache_lock is held nobody can begin to.  Past dcache_limit a hand goes round the LRU list
 * and takes such entries out unless they were found since it last came by.  Directories become free when their last
 * child has gone, so a walk over a tree of any size leaves no more than the limit behind.
 */
#include "sentry/vfs/internal.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/vfs/notify.h"

#define EVICT_SCAN 32  /* entries the hand passes at most for one insertion */
#define EVICT_BATCH 2  /* and takes out, so that the cache shrinks again after use pinned much of it */

struct mutex dcache_lock = MUTEX_INIT;
struct mutex rename_lock = MUTEX_INIT;
_Atomic uint64_t rename_count;
size_t dcache_limit = 65536;

/* Guarded by dcache_lock. */
static struct htable names = HTABLE_INIT(names);
static struct list_head lru = LIST_HEAD_INIT(lru); /* the newest first */
static size_t cached;

static uint64_t name_hash(const struct dentry *parent, const char *name, size_t len)
{
	uint64_t h = (uintptr_t)parent >> 4;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return h ^ (h >> 32);
}

static void name_put(struct dname *n)
{
	if (n && refcount_dec(&n->refs))
		free(n);
}

struct dentry *dentry_alloc(struct super_block *sb, struct dentry *parent, const char *name, size_t name_len)
{
	struct dentry *d = calloc(1, sizeof(*d));
	struct dname *n = malloc(sizeof(*n) + name_len + 1);

	if (!d || !n) {
		free(d);
		free(n);
		return NULL;
	}
	refcount_init(&n->refs, 1);
	n->len = (uint32_t)name_len;
	memcpy(n->s, name, name_len);
	n->s[name_len] = '\0';
	refcount_init(&d->refs, 1);
	d->name = n;
	d->sb = sb;
	d->parent = parent ? dentry_get(parent) : NULL;
	list_init(&d->lru);
	list_init(&d->children);
	list_init(&d->sibling);
	return d;
}

struct dentry *dentry_get(struct dentry *d)
{
	refcount_inc(&d->refs);
	return d;
}

/* The last put of a child may be the last of its parent, and so on up. */
void dentry_put(struct dentry *d)
{
	while (d && refcount_dec(&d->refs)) {
		struct dentry *parent = d->parent;

		ASSERT(!(d->flags & D_HASHED));
		if (d->inode)
			notify_dentry_gone(d->inode);
		inode_put(d->inode);
		name_put(d->name);
		free(d);
		d = parent;
	}
}

struct dentry *dentry_make_root(struct super_block *sb, struct inode *inode)
{
	struct dentry *d = dentry_alloc(sb, NULL, "/", 1);

	if (!d) {
		inode_put(inode);
		return NULL;
	}
	d->inode = inode;
	return d;
}

void dentry_instantiate(struct dentry *d, struct inode *inode)
{
	ASSERT(!d->inode);
	d->inode = inode;
}

struct inode *dentry_inode(const struct dentry *d)
{
	return d->inode;
}

const char *dentry_name(const struct dentry *d)
{
	return d->name->s;
}

void dentry_copy_name(const struct dentry *d, char *buf, size_t size)
{
	size_t n;

	mutex_lock(&dcache_lock);
	n = min_of((size_t)d->name->len, size - 1);
	memcpy(buf, d->name->s, n);
	mutex_unlock(&dcache_lock);
	buf[n] = '\0';
}

struct dentry *dentry_parent(const struct dentry *d)
{
	struct dentry *p;

	mutex_lock(&dcache_lock);
	p = dentry_get(d->parent ? d->parent : (struct dentry *)d);
	mutex_unlock(&dcache_lock);
	return p;
}

uint64_t dentry_parent_ino(const struct dentry *d)
{
	struct dentry *p = dentry_parent(d);
	uint64_t ino = p->inode ? p->inode->ino : 0;

	dentry_put(p);
	return ino;
}

bool dentry_is_unlinked(const struct dentry *d)
{
	return d->flags & D_UNLINKED;
}

bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor)
{
	bool below = false;

	mutex_lock(&dcache_lock);
	for (; d && !below; d = d->parent)
		below = d == ancestor;
	mutex_unlock(&dcache_lock);
	return below;
}

/* ---- the cache ---- */

static void bucket_add(struct dentry *d)
{
	htable_add(&names, &d->hashed, name_hash(d->parent, d->name->s, d->name->len));
	if (d->parent)
		list_add(&d->sibling, &d->parent->children);
}

static void bucket_remove(struct dentry *d)
{
	htable_remove(&names, &d->hashed);
	list_del_init(&d->sibling);
}

/* Takes d out; the cache's reference becomes the caller's, to be put without the lock. */
static void uncache(struct dentry *d)
{
	bucket_remove(d);
	list_del_init(&d->lru);
	d->flags &= ~D_HASHED;
	cached--;
}

static void put_all(struct list_head *gone)
{
	while (!list_empty(gone)) {
		struct dentry *d = list_first_entry(gone, struct dentry, lru);

		list_del_init(&d->lru);
		dentry_put(d);
	}
}

/* Moves what is known of a directory that was removed, the names that are not there, to gone: they would keep it. */
static void uncache_children(struct dentry *d, struct list_head *gone)
{
	struct dentry *child, *tmp;

	list_for_each_entry_safe(child, tmp, &d->children, sibling) {
		uncache(child);
		list_add(&child->lru, gone);
	}
}

/* Moves a few unused entries to gone. */
static void evict(struct list_head *gone)
{
	int taken = 0;

	for (int n = 0; n < EVICT_SCAN && cached > dcache_limit && taken < EVICT_BATCH; n++) {
		struct dentry *d = list_last_entry(&lru, struct dentry, lru);

		if (refcount_read(&d->refs) == 1 && !(d->flags & D_REFERENCED)) {
			uncache(d);
			list_add(&d->lru, gone);
			taken++;
			continue;
		}
		d->flags &= ~D_REFERENCED;
		list_del_init(&d->lru);
		list_add(&d->lru, &lru);
	}
}

size_t dcache_shrink(void)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct dentry *d, *tmp;
	size_t taken = 0;

	mutex_lock(&dcache_lock);
	list_for_each_entry_safe(d, tmp, &lru, lru) {
		if (refcount_read(&d->refs) != 1)
			continue;
		uncache(d);
		list_add(&d->lru, &gone);
		taken++;
	}
	mutex_unlock(&dcache_lock);
	put_all(&gone);
	return taken;
}

void dentry_hash(struct dentry *d)
{
	struct list_head gone = LIST_HEAD_INIT(gone);

	mutex_lock(&dcache_lock);
	if (!(d->flags & D_HASHED)) {
		dentry_get(d);
		d->flags |= D_HASHED;
		bucket_add(d);
		list_add(&d->lru, &lru);
		cached++;
		evict(&gone);
	}
	mutex_unlock(&dcache_lock);
	put_all(&gone);
}

void dentry_drop(struct dentry *d)
{
	bool was_cached;

	mutex_lock(&dcache_lock);
	was_cached = d->flags & D_HASHED;
	if (was_cached)
		uncache(d);
	mutex_unlock(&dcache_lock);
	if (was_cached)
		dentry_put(d);
}

void dentry_unlinked(struct dentry *d)
{
	struct list_head gone = LIST_HEAD_INIT(gone);

	d->flags |= D_UNLINKED;
	mutex_lock(&dcache_lock);
	uncache_children(d, &gone);
	mutex_unlock(&dcache_lock);
	put_all(&gone);
	dentry_drop(d);
}

void dcache_drop_super(struct super_block *sb)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct dentry *d, *tmp;

	mutex_lock(&dcache_lock);
	list_for_each_entry_safe(d, tmp, &lru, lru) {
		if (d->sb != sb)
			continue;
		uncache(d);
		list_add(&d->lru, &gone);
	}
	mutex_unlock(&dcache_lock);
	put_all(&gone);
}

size_t dcache_count(void)
{
	size_t n;

	mutex_lock(&dcache_lock);
	n = cached;
	mutex_unlock(&dcache_lock);
	return n;
}

struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len)
{
	uint64_t hash = name_hash(parent, name, len);
	struct dentry *d = NULL;

	mutex_lock(&dcache_lock);
	for (struct hentry *e = htable_list(&names, hash); e; e = e->next) {
		d = container_of(e, struct dentry, hashed);
		if (e->hash == hash && d->parent == parent && d->name->len == len && !memcmp(d->name->s, name, len))
			break;
		d = NULL;
	}
	if (d) {
		dentry_get(d);
		if (!(d->flags & D_REFERENCED))
			d->flags |= D_REFERENCED;
	}
	mutex_unlock(&dcache_lock);
	return d;
}

struct dentry *dentry_cached(struct dentry *parent, const char *name, size_t name_len)
{
	const struct super_block *sb = parent->sb;
	struct dentry *d = dentry_find(parent, name, name_len);

	/* Uncached file systems keep nothing but mount points; those stay whatever the file system says. */
	if (!d || !sb->ops || !sb->ops->revalidate || d->mounts || sb->ops->revalidate(d))
		return d;
	dentry_drop(d);
	dentry_put(d);
	return NULL;
}

/* Looks up what is not cached; from and path: see super_ops.lookup_along, or NULL. */
static int lookup_new(struct dentry *parent, const char *name, size_t name_len, struct dentry *from, const char *path,
		      struct dentry **out, bool *fresh)
{
	struct inode *dir = parent->inode;
	struct dentry *d;
	int r;

	if (parent->flags & D_UNLINKED)
		return -ENOENT;
	d = dentry_alloc(parent->sb, parent, name, name_len);
	if (!d)
		return -ENOMEM;
	r = path ? parent->sb->ops->lookup_along(from, path, dir, d) : dir->ops->lookup(dir, d);
	if (r < 0) {
		dentry_put(d);
		return r;
	}
	*fresh = r > 0;
	if (!(parent->sb->flags & SB_NO_CACHE))
		dentry_hash(d);
	*out = d;
	return 0;
}

static int lookup_locked(struct dentry *parent, const char *name, size_t name_len, struct dentry **out, bool *fresh)
{
	struct inode *dir = parent->inode;
	struct dentry *d;

	if (!dir->ops || !dir->ops->lookup)
		return -ENOTDIR;
	d = dentry_cached(parent, name, name_len);
	if (!d)
		return lookup_new(parent, name, name_len, NULL, NULL, out, fresh);
	*out = d;
	return 0;
}

int dentry_lookup_locked(struct dentry *parent, const char *name, size_t name_len, struct dentry **out)
{
	bool fresh;

	return lookup_locked(parent, name, name_len, out, &fresh);
}

int dentry_lookup_fresh(struct dentry *parent, const char *name, size_t name_len, struct dentry **out, bool *fresh)
{
	struct inode *dir = parent->inode;
	int r;

	*fresh = false;
	*out = dentry_cached(parent, name, name_len);
	if (*out)
		return 0;
	mutex_lock(&dir->lock);
	r = lookup_locked(parent, name, name_len, out, fresh);
	mutex_unlock(&dir->lock);
	return r;
}

int dentry_lookup_along(struct dentry *from, const char *path, struct dentry *parent, const char *name, size_t name_len,
			struct dentry **out, bool *fresh)
{
	struct inode *dir = parent->inode;
	struct dentry *d;
	int r = -EAGAIN;

	mutex_lock(&dir->lock);
	d = dentry_find(parent, name, name_len);
	if (!d)
		r = lookup_new(parent, name, name_len, from, path, out, fresh);
	mutex_unlock(&dir->lock);
	dentry_put(d);
	return r;
}

int dentry_lookup(struct dentry *parent, const char *name, size_t name_len, struct dentry **out)
{
	bool fresh;

	return dentry_lookup_fresh(parent, name, name_len, out, &fresh);
}

/* ---- renames ---- */

static void rehash(struct dentry *d, struct dentry *parent, struct dname *name)
{
	bool hashed = d->flags & D_HASHED;

	if (hashed)
		bucket_remove(d);
	d->parent = parent;
	d->name = name;
	if (hashed)
		bucket_add(d);
}

void dentry_move(struct dentry *d, struct dentry *target)
{
	struct dentry *old_parent;
	struct dname *old_name;
	struct list_head gone = LIST_HEAD_INIT(gone);
	bool drop;

	if (target->inode)
		target->flags |= D_UNLINKED;
	mutex_lock(&dcache_lock);
	drop = target->flags & D_HASHED;
	if (drop)
		uncache(target);
	uncache_children(target, &gone);
	old_parent = d->parent;
	old_name = d->name;
	refcount_inc(&target->name->refs);
	rehash(d, dentry_get(target->parent), target->name);
	rename_count++;
	mutex_unlock(&dcache_lock);
	name_put(old_name);
	dentry_put(old_parent);
	put_all(&gone);
	if (drop)
		dentry_put(target);
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
	struct dentry *parent;
	struct dname *name;

	mutex_lock(&dcache_lock);
	parent = a->parent;
	name = a->name;
	rehash(a, b->parent, b->name);
	rehash(b, parent, name);
	rename_count++;
	mutex_unlock(&dcache_lock);
}
