/* Where a process stands in the tree: its root, working directory and umask. */
#include <stdlib.h>

#include "sentry/vfs/internal.h"

static struct mutex all_lock = MUTEX_INIT;
static struct list_head all = LIST_HEAD_INIT(all); /* of fs_info.all; guarded by all_lock */

/* Consumes ns on success. */
static struct fs_info *fs_info_at(const struct path *root, const struct path *cwd, uint32_t umask, struct mnt_ns *ns)
	REQUIRES(all_lock)
{
	struct fs_info *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	refcount_init(&fs->refs, 1);
	mutex_init(&fs->lock);
	fs->ns = ns;
	fs->root = *root;
	fs->cwd = *cwd;
	path_get(&fs->root);
	path_get(&fs->cwd);
	fs->umask = umask;
	list_add_tail(&fs->all, &all);
	return fs;
}

struct fs_info *fs_info_new(const struct path *root)
{
	struct mnt_ns *ns = mnt_ns_of_mount(root->mnt);
	struct fs_info *fs;

	mutex_lock(&all_lock);
	fs = fs_info_at(root, root, 022, ns);
	mutex_unlock(&all_lock);
	if (!fs)
		mnt_ns_put(ns);
	return fs;
}

/* all_lock is held over the whole, so that pivot_root finds either the old one and not yet the new, or both. */
struct fs_info *fs_info_copy(struct fs_info *old)
{
	struct mnt_ns *ns = old->ns ? mnt_ns_get(old->ns) : NULL;
	struct fs_info *fs;

	mutex_lock(&all_lock);
	mutex_lock(&old->lock);
	fs = fs_info_at(&old->root, &old->cwd, old->umask, ns);
	mutex_unlock(&old->lock);
	mutex_unlock(&all_lock);
	if (!fs)
		mnt_ns_put(ns);
	return fs;
}

struct fs_info *fs_info_get(struct fs_info *fs)
{
	refcount_inc(&fs->refs);
	return fs;
}

void fs_info_put(struct fs_info *fs)
{
	if (!fs || !refcount_dec(&fs->refs))
		return;
	mutex_lock(&all_lock);
	list_del_init(&fs->all);
	mutex_unlock(&all_lock);
	path_put(&fs->root);
	path_put(&fs->cwd);
	mnt_ns_put(fs->ns);
	mutex_destroy(&fs->lock);
	free(fs);
}

static void read_path(struct fs_info *fs, const struct path *from, struct path *out)
{
	mutex_lock(&fs->lock);
	*out = *from;
	path_get(out);
	mutex_unlock(&fs->lock);
}

static void replace_path(struct fs_info *fs, struct path *at, const struct path *p)
{
	struct path old;

	path_get(p);
	mutex_lock(&fs->lock);
	old = *at;
	*at = *p;
	mutex_unlock(&fs->lock);
	path_put(&old);
}

void fs_info_root(struct fs_info *fs, struct path *out)
{
	read_path(fs, &fs->root, out);
}

void fs_info_cwd(struct fs_info *fs, struct path *out)
{
	read_path(fs, &fs->cwd, out);
}

void fs_info_set_root(struct fs_info *fs, const struct path *p)
{
	replace_path(fs, &fs->root, p);
}

void fs_info_set_cwd(struct fs_info *fs, const struct path *p)
{
	replace_path(fs, &fs->cwd, p);
}

bool fs_info_shared(const struct fs_info *fs)
{
	return refcount_read(&fs->refs) > 1;
}

/* The caller holds both paths, so that nothing ends here. */
static void step_over(struct fs_info *fs, const struct path *from, const struct path *to)
{
	struct path *at[] = {&fs->root, &fs->cwd};

	for (size_t i = 0; i < 2; i++) {
		bool here;

		mutex_lock(&fs->lock);
		here = path_equal(at[i], from);
		if (here)
			*at[i] = *to;
		mutex_unlock(&fs->lock);
		if (!here)
			continue;
		path_get(to);
		path_put(from);
	}
}

void fs_infos_step_over(const struct path *from, const struct path *to)
{
	struct fs_info *fs;

	mutex_lock(&all_lock);
	list_for_each_entry (fs, &all, all)
		step_over(fs, from, to);
	mutex_unlock(&all_lock);
}
