/* Names in an overlay directory: the memdir first, whiteouts included, then the lower directory. */
#include <string.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "sentry/fs/common.h"
#include "sentry/fs/overlay/internal.h"

static struct memdir *entries(const struct inode *dir)
{
	return &ovl_of(dir)->mem.dir;
}

/* ---- looking up ---- */

static int lower_find(struct inode *dir, const char *name, struct inode **out)
{
	struct inode *lower = ovl_lower(dir);

	*out = NULL;
	return lower ? lower->ops->lookup_inode(lower, name, out) : 0;
}

/* Does the lower have the name, so that removing it takes a whiteout? */
static int lower_has(struct inode *dir, const char *name, bool *has)
{
	struct inode *i;
	int r = lower_find(dir, name, &i);

	*has = i != NULL;
	inode_put(i);
	return r;
}

static int find(struct inode *dir, const char *name, struct inode **out)
{
	const struct memdir_entry *e = memdir_find(entries(dir), name);
	struct inode *lower;
	int r;

	*out = NULL;
	if (e) {
		*out = e->inode ? inode_get(e->inode) : NULL;
		return 0;
	}
	r = lower_find(dir, name, &lower);
	return r < 0 || !lower ? r : ovl_inode_get(dir->sb, lower, out);
}

static int lookup_inode(struct inode *dir, const char *name, struct inode **out)
{
	int r;

	mutex_lock(&dir->lock);
	r = find(dir, name, out);
	mutex_unlock(&dir->lock);
	return r;
}

static int lookup(struct inode *dir, struct dentry *d)
{
	struct inode *i;
	int r;

	if (strlen(dentry_name(d)) > L_NAME_MAX)
		return -ENAMETOOLONG;
	r = find(dir, dentry_name(d), &i);
	if (r == 0 && i)
		dentry_instantiate(d, i);
	return r;
}

/* ---- changing a directory ---- */

/* Some file systems give every directory one link; such counts are left alone. */
static void count_subdir(struct inode *dir, int step)
{
	if (dir->nlink >= 2)
		dir->nlink += (uint32_t)step;
}

static void changed(struct inode *dir)
{
	ovl_of(dir)->own_attrs = true;
	inode_touch(dir, ATTR_MTIME);
	ovl_pin(dir);
}

/*
 * A change of one name, made in two steps: prepare allocates what is missing, so that commit cannot fail.  commit puts
 * inode (consumed; NULL: a whiteout) there; erase leaves nothing in the memdir.
 */
struct name_change {
	struct memdir *dir;
	struct memdir_entry *old, *fresh;
};

static int prepare(struct inode *dir, const char *name, struct name_change *ch)
{
	ch->dir = entries(dir);
	ch->old = memdir_find(ch->dir, name);
	ch->fresh = NULL;
	return ch->old ? 0 : memdir_reserve(ch->dir, name, &ch->fresh);
}

static void commit(struct name_change *ch, struct inode *inode)
{
	if (ch->old)
		memdir_set(ch->dir, ch->old, inode);
	else
		memdir_add_reserved(ch->dir, ch->fresh, inode);
}

static void erase(struct name_change *ch)
{
	if (ch->old)
		memdir_remove(ch->dir, ch->old);
	memdir_cancel(ch->dir, ch->fresh);
}

static void cancel(struct name_change *ch)
{
	memdir_cancel(ch->dir, ch->fresh);
}

/* ---- making ---- */

/* Enters i (consumed, also on failure). */
static int enter(struct inode *dir, struct dentry *d, struct inode *i)
{
	struct name_change ch;
	int r = dir->nlink ? prepare(dir, dentry_name(d), &ch) : -ENOENT;

	if (r < 0) {
		inode_put(i);
		return r;
	}
	commit(&ch, inode_get(i));
	if (inode_is(i, L_S_IFDIR))
		count_subdir(dir, 1);
	changed(dir);
	dentry_instantiate(d, i);
	return 0;
}

static int make(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const char *target,
		const struct cred *c)
{
	struct inode *i;
	int r = ovl_inode_new(dir->sb, mode, &i);

	if (r < 0)
		return r;
	inode_init_owner(i, dir, mode, c);
	i->rdev = rdev;
	if (target) {
		ovl_of(i)->mem.target = strdup(target);
		i->size = strlen(target);
		if (!ovl_of(i)->mem.target) {
			inode_put(i);
			return -ENOMEM;
		}
	}
	return enter(dir, d, i);
}

static int create(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c)
{
	return make(dir, d, mode, 0, NULL, c);
}

static int make_node(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const struct cred *c)
{
	return make(dir, d, mode, rdev, NULL, c);
}

static int make_symlink(struct inode *dir, struct dentry *d, const char *target, const struct cred *c)
{
	return make(dir, d, L_S_IFLNK | 0777, 0, target, c);
}

static int make_tmpfile(struct inode *dir, uint32_t mode, const struct cred *c, struct inode **out)
{
	int r = ovl_inode_new(dir->sb, mode, out);

	if (r < 0)
		return r;
	inode_init_owner(*out, dir, mode, c);
	(*out)->nlink = 0;
	return 0;
}

static void own_attrs(struct inode *i)
{
	mutex_lock_nested(&i->lock);
	ovl_of(i)->own_attrs = true;
	mutex_unlock(&i->lock);
	ovl_pin(i);
}

static int make_link(struct inode *dir, struct dentry *d, struct inode *target)
{
	int r = enter(dir, d, inode_get(target));

	if (r == 0) {
		mem_link_inode(target);
		own_attrs(target);
	}
	return r;
}

/* ---- removing ---- */

struct empty_probe {
	struct dir_context dc;
	const struct memdir *hidden;
	bool found;
};

static bool probe_name(struct dir_context *dc, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next)
{
	struct empty_probe *p = container_of(dc, struct empty_probe, dc);

	if (!memdir_find(p->hidden, name))
		p->found = true;
	return !p->found;
}

int ovl_dir_empty(struct inode *i, bool *empty)
{
	struct empty_probe p = {.dc = {.emit = probe_name, .pos = 2}, .hidden = entries(i)};
	struct file *f;
	int r = 0;

	mutex_lock_nested(&i->lock);
	if (entries(i)->live > 0) {
		p.found = true;
	} else if (ovl_lower(i)) {
		r = ovl_lower_open(ovl_lower(i), &f);
		if (r == 0) {
			r = f->ops->iterate(f, &p.dc);
			ovl_lower_close(f);
		}
	}
	mutex_unlock(&i->lock);
	*empty = !p.found;
	return r;
}

/* i loses its name in dir; a directory loses all links, so that nothing can be made in it any more. */
static void drop_link(struct inode *dir, struct inode *i)
{
	mutex_lock_nested(&i->lock);
	if (inode_is(i, L_S_IFDIR)) {
		i->nlink = 0;
		count_subdir(dir, -1);
	} else if (i->nlink > 0) {
		i->nlink--;
	}
	inode_touch(i, 0);
	ovl_of(i)->own_attrs = true;
	mutex_unlock(&i->lock);
	if (i->nlink == 0)
		ovl_unpin(i);
	else
		ovl_pin(i);
}

static int check_empty(struct inode *i)
{
	bool empty;
	int r;

	if (!inode_is(i, L_S_IFDIR))
		return 0;
	r = ovl_dir_empty(i, &empty);
	return r < 0 ? r : empty ? 0 : -ENOTEMPTY;
}

static int remove_name(struct inode *dir, struct dentry *d)
{
	struct inode *i = dentry_inode(d);
	struct name_change ch;
	bool whiteout;
	int r = check_empty(i);

	if (r == 0)
		r = lower_has(dir, dentry_name(d), &whiteout);
	if (r == 0)
		r = prepare(dir, dentry_name(d), &ch);
	if (r < 0)
		return r;
	drop_link(dir, i);
	if (whiteout)
		commit(&ch, NULL);
	else
		erase(&ch);
	changed(dir);
	return 0;
}

/* ---- moving ---- */

static void move_subdir(const struct inode *moved, struct inode *from, struct inode *to)
{
	if (inode_is(moved, L_S_IFDIR) && from != to) {
		count_subdir(from, -1);
		count_subdir(to, 1);
	}
}

static void touch_moved(struct inode *i)
{
	mutex_lock_nested(&i->lock);
	inode_touch(i, 0);
	mutex_unlock(&i->lock);
	own_attrs(i);
}

static int rename_name(struct inode *old_dir, struct dentry *old_d, struct inode *new_dir, struct dentry *new_d,
		       unsigned flags, const struct cred *c)
{
	struct inode *moved = dentry_inode(old_d), *victim = dentry_inode(new_d), *node = NULL;
	bool exchange = flags & L_RENAME_EXCHANGE, whiteout;
	struct name_change from, to;
	int r;

	if (new_dir->nlink == 0)
		return -ENOENT;
	if (victim && !exchange) {
		r = victim == old_dir ? -ENOTEMPTY : check_empty(victim);
		if (r < 0)
			return r;
	}
	if (flags & L_RENAME_WHITEOUT) {
		r = ovl_inode_new(old_dir->sb, L_S_IFCHR, &node);
		if (r < 0)
			return r;
		inode_init_owner(node, old_dir, L_S_IFCHR, c);
	}
	r = lower_has(old_dir, dentry_name(old_d), &whiteout);
	if (r == 0)
		r = prepare(old_dir, dentry_name(old_d), &from);
	if (r < 0)
		goto out_node;
	r = prepare(new_dir, dentry_name(new_d), &to);
	if (r < 0)
		goto out_from;

	if (exchange) {
		inode_get(moved);
		inode_get(victim);
		commit(&from, victim);
		commit(&to, moved);
		move_subdir(victim, new_dir, old_dir);
		touch_moved(victim);
	} else {
		inode_get(moved);
		if (victim)
			drop_link(new_dir, victim);
		commit(&to, moved);
		if (node || whiteout)
			commit(&from, node);
		else
			erase(&from);
	}
	move_subdir(moved, old_dir, new_dir);
	touch_moved(moved);
	changed(old_dir);
	changed(new_dir);
	return 0;

out_from:
	cancel(&from);
out_node:
	inode_put(node);
	return r;
}

const struct inode_ops ovl_dir_ops = {
	.lookup = lookup,
	.lookup_inode = lookup_inode,
	.create = create,
	.mkdir = create,
	.mknod = make_node,
	.symlink = make_symlink,
	.link = make_link,
	.unlink = remove_name,
	.rmdir = remove_name,
	.rename = rename_name,
	.tmpfile = make_tmpfile,
	OVL_ATTR_OPS,
};
