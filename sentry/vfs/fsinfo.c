/* Where a process stands in the tree: its root, working directory and umask. */
#include <stdlib.h>

#include "sentry/vfs/internal.h"

static struct fs_info *fs_info_at(const struct path *root, const struct path *cwd, uint32_t umask)
{
	struct fs_info *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	refcount_init(&fs->refs, 1);
	mutex_init(&fs->lock);
	fs->root = *root;
	fs->cwd = *cwd;
	path_get(&fs->root);
	path_get(&fs->cwd);
	fs->umask = umask;
	return fs;
}

struct fs_info *fs_info_new(const struct path *root)
{
	return fs_info_at(root, root, 022);
}

struct fs_info *fs_info_copy(struct fs_info *old)
{
	struct fs_info *fs;

	mutex_lock(&old->lock);
	fs = fs_info_at(&old->root, &old->cwd, old->umask);
	mutex_unlock(&old->lock);
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
	path_put(&fs->root);
	path_put(&fs->cwd);
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
