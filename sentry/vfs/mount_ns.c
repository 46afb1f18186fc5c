/* Mount namespaces: mount_namespaces(7). */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/stat.h"
#include "base/checked.h"
#include "sentry/vfs/mount_internal.h"

static struct mnt_ns first; /* once mnt_ns_adopt has made it */

struct ns *mnt_ns_common(struct mnt_ns *ns)
{
	return &ns->ns;
}

struct mnt_ns *mnt_ns_of(struct ns *ns)
{
	return container_of(ns, struct mnt_ns, ns);
}

unsigned mnt_ns_count(struct mnt_ns *ns)
{
	unsigned n;

	read_lock(&mount_lock);
	n = ns->count;
	rw_unlock(&mount_lock);
	return n;
}

struct mnt_ns *mnt_ns_of_mount(struct mount *m)
{
	struct mnt_ns *ns = NULL;

	read_lock(&mount_lock);
	if (m && m->ns)
		ns = mnt_ns_get(m->ns); /* whoever holds a mount in it to give to a process holds it as well */
	rw_unlock(&mount_lock);
	return ns;
}

struct mnt_ns *mnt_ns_get(struct mnt_ns *ns)
{
	ns_get(&ns->ns);
	return ns;
}

void mnt_ns_put(struct mnt_ns *ns)
{
	if (ns)
		ns_put(&ns->ns);
}

void mnt_ns_touch(struct mnt_ns *ns)
{
	if (!ns)
		return;
	ns->events++;
	waitqueue_wake(&ns->wq, 0);
}

uint64_t mnt_ns_events(const struct mnt_ns *ns)
{
	return ns->events;
}

struct waitqueue *mnt_ns_queue(struct mnt_ns *ns)
{
	return &ns->wq;
}

static void mnt_ns_free(struct ns *common)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct mnt_ns *ns = mnt_ns_of(common);

	write_lock(&mount_lock);
	if (ns->root)
		mount_umount_tree(ns->root, false, &gone);
	rw_unlock(&mount_lock);
	mount_release(&gone);
	waitqueue_destroy(&ns->wq);
	free(ns);
}

struct ns *inode_namespace(const struct inode *i)
{
	return i->sb->magic == L_NSFS_MAGIC ? i->priv : NULL;
}

int mnt_ns_adopt(const struct path *root)
{
	ns_init_first(&first.ns, NS_MNT);
	waitqueue_init(&first.wq);
	write_lock(&mount_lock);
	first.root = mount_get(root->mnt);
	mount_tree_set_ns(first.root, &first);
	rw_unlock(&mount_lock);
	return 0;
}

static int mnt_ns_new(struct user_ns *owner, struct mnt_ns **out)
{
	struct mnt_ns *ns = calloc(1, sizeof(*ns));
	int r = ns_init(ns, NS_MNT, owner, mnt_ns_free);

	if (r < 0)
		return r;
	waitqueue_init(&ns->wq);
	*out = ns;
	return 0;
}

int mnt_ns_anonymous(struct mount *m, struct user_ns *owner, struct mnt_ns **out)
{
	int r = mnt_ns_new(owner, out);

	if (r < 0)
		return r;
	(*out)->anonymous = true;
	write_lock(&mount_lock);
	(*out)->root = m;
	mount_tree_set_ns(m, *out);
	rw_unlock(&mount_lock);
	return 0;
}

/* Copies old's tree into ns; *at, if it lies in a mount that was copied, is stepped over to the copy and counted once
 * more. */
static int copy_mounts(struct mnt_ns *old, struct mnt_ns *ns, struct path *at[2], struct list_head *gone)
{
	bool less = old->ns.owner != ns->ns.owner; /* what happens there is none of old's business */
	int r;

	write_lock(&mount_lock);
	r = mount_copy_tree(old->root, old->root->root, COPY_RECURSIVE | COPY_UNBINDABLE | (less ? COPY_DOWN : 0),
			    &ns->root, gone);
	if (r == 0 && less)
		mount_lock_tree(ns->root);
	if (r == 0) {
		mount_tree_set_ns(ns->root, ns);
		for (size_t i = 0; i < 2; i++) {
			if (mount_is_in(at[i]->mnt, old) && at[i]->mnt->copy)
				at[i]->mnt = at[i]->mnt->copy;
			path_get(at[i]);
		}
	}
	rw_unlock(&mount_lock);
	return r;
}

/* Puts fs into ns (consumed) at root and cwd. */
static void enter(struct mnt_ns *ns, struct fs_info *fs, const struct path *root, const struct path *cwd)
{
	struct mnt_ns *old;

	fs_info_set_root(fs, root);
	fs_info_set_cwd(fs, cwd);
	mutex_lock(&fs->lock);
	old = fs->ns;
	fs->ns = ns;
	mutex_unlock(&fs->lock);
	mnt_ns_put(old);
}

int mnt_ns_copy(struct mnt_ns *old, struct user_ns *owner, struct fs_info *fs)
{
	struct list_head gone = LIST_HEAD_INIT(gone);
	struct path old_root, old_cwd, root, cwd;
	struct mnt_ns *ns;
	int r = old ? mnt_ns_new(owner, &ns) : -EINVAL;

	if (r < 0)
		return r;
	fs_info_root(fs, &old_root);
	fs_info_cwd(fs, &old_cwd);
	root = old_root;
	cwd = old_cwd;
	r = copy_mounts(old, ns, (struct path *[]){&root, &cwd}, &gone);
	mount_release(&gone);
	if (r == 0) {
		enter(ns, fs, &root, &cwd);
		path_put(&root);
		path_put(&cwd);
	} else {
		mnt_ns_put(ns);
	}
	path_put(&old_root);
	path_put(&old_cwd);
	return r;
}

int mnt_ns_top(struct mnt_ns *ns, struct path *out)
{
	read_lock(&mount_lock);
	if (!ns->root) {
		rw_unlock(&mount_lock);
		return -EINVAL;
	}
	*out = (struct path){ns->root, ns->root->root};
	path_get(out);
	rw_unlock(&mount_lock);
	path_follow_mounts(out);
	return 0;
}

int mnt_ns_enter(struct mnt_ns *ns, struct fs_info *fs)
{
	struct path top;
	int r = mnt_ns_top(ns, &top);

	if (r < 0)
		return r;
	enter(mnt_ns_get(ns), fs, &top, &top);
	path_put(&top);
	return 0;
}
