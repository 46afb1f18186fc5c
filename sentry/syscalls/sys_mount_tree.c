/* open_tree, move_mount and mount_setattr: trees of mounts by descriptors. */
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/mount_attr.h"

#define AT_FLAGS (L_AT_EMPTY_PATH | L_AT_NO_AUTOMOUNT | L_AT_SYMLINK_NOFOLLOW)

/* ---- open_tree ---- */

static int check_open_tree(const struct task *t, unsigned flags)
{
	if (flags & ~(unsigned)(AT_FLAGS | L_AT_RECURSIVE | L_OPEN_TREE_CLONE | L_OPEN_TREE_CLOEXEC))
		return -EINVAL;
	if ((flags & (L_AT_RECURSIVE | L_OPEN_TREE_CLONE)) == L_AT_RECURSIVE)
		return -EINVAL;
	return (flags & L_OPEN_TREE_CLONE) && !task_may_mount(t) ? -EPERM : 0;
}

static int open_tree(struct task *t, uint64_t dirfd, uint64_t path, unsigned flags, struct file **out)
{
	struct path p;
	int r = check_open_tree(t, flags);

	if (r == 0)
		r = arg_resolve_at(t, dirfd, path, flags, &p);
	if (r < 0)
		return r;
	if (flags & L_OPEN_TREE_CLONE)
		r = vfs_clone_tree(t->fs->ns, &p, flags & L_AT_RECURSIVE, t->cred, out);
	else
		r = file_open_path(&p, L_O_PATH, t->cred, out);
	path_put(&p);
	return r;
}

long sys_open_tree(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[2];
	struct file *f;
	int r = open_tree(t, args->a[0], args->a[1], flags, &f);

	return r < 0 ? r : task_install(t, f, flags & L_OPEN_TREE_CLOEXEC);
}

long sys_open_tree_attr(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[2];
	struct mount_change change = {0};
	bool nothing = true;
	struct file *f;
	int r;

	if (!args->a[3] && args->a[4])
		return -EINVAL;
	r = open_tree(t, args->a[0], args->a[1], flags, &f);
	if (r < 0)
		return r;
	if (args->a[3])
		r = mount_attr_change(t, args->a[3], args->a[4], &change, &nothing);
	change.recursive = flags & L_AT_RECURSIVE;
	if (r == 0 && !nothing)
		r = vfs_mount_setattr(t->fs->ns, &f->path, &change);
	if (r == 0)
		return task_install(t, f, flags & L_OPEN_TREE_CLOEXEC);
	file_put(f);
	return r;
}

/* ---- move_mount ---- */

#define MOVE_FLAGS                                                                                                     \
	(L_MOVE_MOUNT_F_SYMLINKS | L_MOVE_MOUNT_F_AUTOMOUNTS | L_MOVE_MOUNT_F_EMPTY_PATH | L_MOVE_MOUNT_T_SYMLINKS |   \
	 L_MOVE_MOUNT_T_AUTOMOUNTS | L_MOVE_MOUNT_T_EMPTY_PATH | L_MOVE_MOUNT_BENEATH)

static unsigned lookup_of(bool follow, bool empty)
{
	return (follow ? 0 : (unsigned)L_AT_SYMLINK_NOFOLLOW) | (empty ? (unsigned)L_AT_EMPTY_PATH : 0);
}

static int move(struct task *t, const struct path *from, const struct path *to, bool beneath)
{
	struct path root;
	int r;

	if (!beneath)
		return vfs_move_mount(t->fs->ns, from, to);
	fs_info_root(t->fs, &root);
	r = vfs_move_mount_beneath(t->fs->ns, &root, from, to);
	path_put(&root);
	return r;
}

long sys_move_mount(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[4];
	struct path from, to;
	int r;

	if (!task_may_mount(t))
		return -EPERM;
	/* MOVE_MOUNT_SET_GROUP is not had: as a kernel that does not know it. */
	if (flags & ~(unsigned)MOVE_FLAGS)
		return -EINVAL;
	r = arg_resolve_at(t, args->a[2], args->a[3],
			   lookup_of(flags & L_MOVE_MOUNT_T_SYMLINKS, flags & L_MOVE_MOUNT_T_EMPTY_PATH), &to);
	if (r < 0)
		return r;
	r = arg_resolve_at(t, args->a[0], args->a[1],
			   lookup_of(flags & L_MOVE_MOUNT_F_SYMLINKS, flags & L_MOVE_MOUNT_F_EMPTY_PATH), &from);
	if (r == 0) {
		r = move(t, &from, &to, flags & L_MOVE_MOUNT_BENEATH);
		path_put(&from);
	}
	path_put(&to);
	return r;
}

/* ---- mount_setattr ---- */

long sys_mount_setattr(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[2];
	struct mount_change change = {.recursive = flags & L_AT_RECURSIVE};
	struct path p;
	bool nothing;
	int r;

	if (flags & ~(unsigned)(AT_FLAGS | L_AT_RECURSIVE))
		return -EINVAL;
	r = mount_attr_change(t, args->a[3], args->a[4], &change, &nothing);
	if (r < 0 || nothing)
		return r;
	r = arg_resolve_at(t, args->a[0], args->a[1], flags, &p);
	if (r < 0)
		return r;
	r = vfs_mount_setattr(t->fs->ns, &p, &change);
	path_put(&p);
	return r;
}
