/* What a mount is, and its changes: flags (mount_setattr(2), a remount) and propagation; and trees that are mounted
 * nowhere. */
#include <stdlib.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/core/cred.h"
#include "sentry/vfs/mount_internal.h"
#include "sentry/vfs/windows.h"

/* ---- flags and propagation ---- */

static struct mount *next_of(const struct mount *m, const struct mount *top, bool recursive)
{
	return recursive ? mount_next(m, top, false) : NULL;
}

/* Whoever opens a file for writing counts first and looks at the flag then; here it is the other way round. */
static bool make_read_only(struct mount *top, bool recursive)
{
	bool busy = false;

	for (struct mount *m = top; m; m = next_of(m, top, recursive)) {
		m->made_rdonly = !(m->flags & MNT_RDONLY);
		m->flags |= MNT_RDONLY;
		busy = busy || (m->made_rdonly && m->writers > 0);
	}
	for (struct mount *m = busy ? top : NULL; m; m = next_of(m, top, recursive))
		if (m->made_rdonly)
			m->flags &= ~MNT_RDONLY;
	return !busy;
}

static bool respects_locks(const struct mount *top, const struct mount_change *c)
{
	static const unsigned locks[][2] = {
		{MNT_LOCK_RDONLY, MNT_RDONLY},
		{MNT_LOCK_NOSUID, MNT_NOSUID},
		{MNT_LOCK_NODEV, MNT_NODEV},
		{MNT_LOCK_NOEXEC, MNT_NOEXEC},
	};

	for (const struct mount *m = top; m; m = next_of(m, top, c->recursive)) {
		unsigned next = (m->flags & ~c->clear) | c->set;

		for (size_t i = 0; i < ARRAY_SIZE(locks); i++)
			if ((m->flags & locks[i][0]) && !(next & locks[i][1]))
				return false;
		if ((m->flags & MNT_LOCK_ATIME) && (m->flags ^ next) & MNT_ATIME_FLAGS)
			return false;
	}
	return true;
}

int vfs_mount_setattr(struct mnt_ns *ns, const struct path *at, const struct mount_change *c)
{
	struct mount *top = at->mnt;
	int r = 0;

	if (!vfs_is_mount_root(at))
		return -EINVAL;
	write_lock(&mount_lock);
	if (!mount_is_usable(top, ns))
		r = -EINVAL;
	else if (!respects_locks(top, c))
		r = -EPERM;
	else if ((c->set & MNT_RDONLY) && !make_read_only(top, c->recursive))
		r = -EBUSY;
	for (struct mount *m = r == 0 ? top : NULL; m; m = next_of(m, top, c->recursive)) {
		m->flags = (m->flags & ~c->clear) | c->set;
		if (c->propagation >= 0)
			mount_change_propagation(m, (enum propagation)c->propagation);
	}
	if (r == 0 && (c->set || c->clear)) {
		mnt_ns_touch(top->ns);
		lends_recall_all(); /* reads may have to leave a time behind */
	}
	rw_unlock(&mount_lock);
	return r;
}

int vfs_remount(struct mnt_ns *ns, const struct path *at, unsigned flags)
{
	struct mount_change c = {.set = flags, .clear = ~flags & ~MNT_LOCKS, .propagation = -1};

	return vfs_mount_setattr(ns, at, &c);
}

struct super_block *vfs_super(const struct path *at)
{
	return at->dentry->sb;
}

struct user_ns *vfs_super_owner(const struct path *at)
{
	return at->dentry->sb->user_ns;
}

int vfs_super_set_rdonly(const struct path *at, bool rdonly)
{
	struct super_block *sb = at->dentry->sb;

	if (!rdonly) {
		sb->flags &= ~SB_RDONLY;
		return 0;
	}
	/* Whoever opens a file now sees the flag, or is counted already. */
	if ((atomic_fetch_or(&sb->flags, SB_RDONLY) & SB_RDONLY) || sb->writers == 0)
		return 0;
	sb->flags &= ~SB_RDONLY;
	return -EBUSY;
}

int vfs_set_propagation(struct mnt_ns *ns, const struct path *at, enum propagation kind, bool recursive)
{
	struct mount_change c = {.propagation = (int)kind, .recursive = recursive};

	return vfs_mount_setattr(ns, at, &c);
}

/* ---- trees that are mounted nowhere ---- */

static void tree_file_release(struct file *f)
{
	mnt_ns_put(f->priv);
}

static const struct file_ops tree_file_ops = {.release = tree_file_release};

/* m is consumed in any case. */
static int file_of_tree(struct mount *m, const struct cred *c, struct file **out)
{
	struct path root = {m, m->root};
	struct mnt_ns *ns;
	int r = mnt_ns_anonymous(m, c->user_ns, &ns);

	if (r < 0) {
		struct list_head gone = LIST_HEAD_INIT(gone);

		write_lock(&mount_lock);
		mount_umount_tree(m, false, &gone);
		rw_unlock(&mount_lock);
		mount_release(&gone);
		return r;
	}
	r = file_open_path(&root, L_O_PATH, c, out);
	if (r < 0) {
		mnt_ns_put(ns);
		return r;
	}
	(*out)->ops = &tree_file_ops;
	(*out)->priv = ns;
	return 0;
}

int vfs_clone_tree(struct mnt_ns *ns, const struct path *src, bool recursive, const struct cred *c, struct file **out)
{
	struct mount *m;
	int r = mount_clone(ns, src, recursive, &m);

	return r < 0 ? r : file_of_tree(m, c, out);
}

int vfs_detached_mount(struct super_block *sb, unsigned flags, const char *source, const struct cred *c,
		       struct file **out)
{
	struct mount *m = mount_new(sb, sb->root, flags, source);

	if (m)
		return file_of_tree(m, c, out);
	super_put(sb);
	return -ENOMEM;
}
