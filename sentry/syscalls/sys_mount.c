/* mount, umount2 and pivot_root.  File systems that can be mounted: tmpfs, proc, sysfs, devpts and mqueue. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/fs_types.h"
#include "sentry/syscalls/mount_attr.h"
#include "sentry/vfs/mount.h"

#define PROPAGATION (L_MS_SHARED | L_MS_PRIVATE | L_MS_SLAVE | L_MS_UNBINDABLE)

static unsigned mount_flags_of(uint32_t flags)
{
	static const struct {
		uint32_t ms;
		unsigned mnt;
	} map[] = {
		{L_MS_RDONLY, MNT_RDONLY},
		{L_MS_NOSUID, MNT_NOSUID},
		{L_MS_NODEV, MNT_NODEV},
		{L_MS_NOEXEC, MNT_NOEXEC},
		{L_MS_NOATIME, MNT_NOATIME},
		{L_MS_NODIRATIME, MNT_NODIRATIME},
		{L_MS_STRICTATIME, MNT_STRICTATIME},
		{L_MS_NOSYMFOLLOW, MNT_NOSYMFOLLOW},
	};
	unsigned out = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		out |= flags & map[i].ms ? map[i].mnt : 0;
	return out & MNT_STRICTATIME ? out & ~MNT_NOATIME : out;
}

/* ---- mount ---- */

/* The page of options that the last argument points to, as a string; "" for a null pointer. */
static int copy_in_data(struct task *t, uint64_t gva, char **out)
{
	char *data = calloc(1, PAGE_SIZE + 1);
	ssize_t n;

	if (!data)
		return -ENOMEM;
	n = gva ? copy_in_some(t->ctx, data, gva, PAGE_SIZE) : 0;
	if (n < 0) {
		free(data);
		return (int)n;
	}
	*out = data;
	return 0;
}

static int set_options(struct fs_options *o, char *data)
{
	char *option, *save = NULL;
	int r = 0;

	for (option = strtok_r(data, ",", &save); r == 0 && option; option = strtok_r(NULL, ",", &save))
		r = fs_options_set(o, option);
	return r;
}

static int mount_new(struct task *t, const char *source, const struct path *at, const char *type, uint32_t flags,
		     char *data)
{
	struct fs_options o;
	struct super_block *sb;
	unsigned mnt = mount_flags_of(flags);
	int r = fs_options_init(&o, type, t->cred);

	if (r == 0)
		r = set_options(&o, data);
	if (r == 0)
		r = fs_create(t, &o, &sb);
	if (r < 0)
		return r;
	if (!fs_may_be_shown(t, sb, &mnt)) {
		super_put(sb);
		return -EPERM;
	}
	if (flags & L_MS_RDONLY)
		sb->flags |= SB_RDONLY;
	return vfs_mount(t->fs->ns, sb, at, mnt, source, NULL);
}

static int mount_from(struct task *t, const char *source, const struct path *at, uint32_t flags)
{
	struct lookup l = task_lookup(t);
	struct path from;
	int r;

	if (!source || !*source)
		return -EINVAL;
	r = vfs_resolve(&l, L_AT_FDCWD, source, LOOKUP_FOLLOW, 0, &from);
	if (r < 0)
		return r;
	if (flags & L_MS_BIND)
		/* It has its source's flags; others need a remount. */
		r = vfs_bind(t->fs->ns, &from, at, flags & L_MS_REC, 0);
	else
		r = vfs_move_mount(t->fs->ns, &from, at);
	path_put(&from);
	return r;
}

/* mount_namespaces(7): one kind at a time, and with nothing else. */
static int change_propagation(struct task *t, const struct path *at, uint32_t flags)
{
	static const struct {
		uint32_t ms;
		enum propagation kind;
	} kinds[] = {
		{L_MS_SHARED, PROPAGATION_SHARED},
		{L_MS_PRIVATE, PROPAGATION_PRIVATE},
		{L_MS_SLAVE, PROPAGATION_SLAVE},
		{L_MS_UNBINDABLE, PROPAGATION_UNBINDABLE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((flags & ~(L_MS_REC | L_MS_SILENT)) == kinds[i].ms)
			return vfs_set_propagation(t->fs->ns, at, kinds[i].kind, flags & L_MS_REC);
	return -EINVAL;
}

/* Of the file system as a whole. */
static int reconfigure(const struct path *at, const struct fs_options *o, bool rdonly)
{
	bool was_rdonly = vfs_super(at)->flags & SB_RDONLY;
	int r = vfs_super_set_rdonly(at, rdonly);

	if (r < 0)
		return r;
	r = fs_reconfigure(o, vfs_super(at));
	if (r < 0 && !was_rdonly)
		(void)!vfs_super_set_rdonly(at, false);
	return r;
}

/* MS_BIND says that this mount alone is meant. */
static int remount(struct task *t, const struct path *at, uint32_t flags, char *data)
{
	unsigned old = mount_flags(at->mnt);
	struct fs_options o;
	int r;

	if (flags & L_MS_BIND)
		return vfs_remount(t->fs->ns, at, mount_flags_of(flags));
	fs_options_pick(&o, vfs_super(at), t->cred);
	r = set_options(&o, data);
	if (r == 0 && !cred_ns_capable(t->cred, vfs_super_owner(at), L_CAP_SYS_ADMIN))
		r = -EPERM;
	if (r == 0)
		r = vfs_remount(t->fs->ns, at, mount_flags_of(flags));
	if (r < 0)
		return r;
	r = reconfigure(at, &o, flags & L_MS_RDONLY);
	if (r < 0)
		(void)!vfs_remount(t->fs->ns, at, old & ~MNT_LOCKS);
	return r;
}

struct mount_args {
	char *source, *type, *data;
	uint32_t flags;
};

static int do_mount(struct task *t, const struct mount_args *m, const struct path *at)
{
	if (m->flags & L_MS_REMOUNT)
		return remount(t, at, m->flags, m->data);
	if (m->flags & L_MS_BIND)
		return mount_from(t, m->source, at, m->flags);
	if (m->flags & PROPAGATION)
		return change_propagation(t, at, m->flags);
	if (m->flags & L_MS_MOVE)
		return mount_from(t, m->source, at, m->flags);
	if (!m->type)
		return -EINVAL;
	return mount_new(t, m->source, at, m->type, m->flags, m->data);
}

static int copy_in_opt_path(struct task *t, uint64_t gva, char **out)
{
	*out = NULL;
	return gva ? copy_in_path(t->ctx, gva, out) : 0;
}

long sys_mount(struct task *t, const struct sys_args *args)
{
	struct mount_args m = {.flags = (uint32_t)args->a[3]};
	struct path at;
	int r;

	if ((m.flags & L_MS_MGC_MSK) == L_MS_MGC_VAL)
		m.flags &= ~L_MS_MGC_MSK;
	r = copy_in_opt_path(t, args->a[2], &m.type);
	if (r == 0)
		r = copy_in_opt_path(t, args->a[0], &m.source);
	if (r == -ENAMETOOLONG)
		r = -EINVAL; /* they are no paths */
	if (r == 0)
		r = copy_in_data(t, args->a[4], &m.data);
	if (r == 0)
		r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[1], LOOKUP_FOLLOW, &at);
	if (r == 0) {
		if ((m.flags & L_MS_NOUSER) || args->a[3] > UINT32_MAX)
			r = -EINVAL;
		else
			r = task_may_mount(t) ? do_mount(t, &m, &at) : -EPERM;
		path_put(&at);
	}
	free(m.type);
	free(m.source);
	free(m.data);
	return r;
}

/* The caller's root cannot be taken away; its file system becomes read-only instead. */
static int settle_root(struct task *t, const struct path *at)
{
	if (!cred_ns_capable(t->cred, vfs_super_owner(at), L_CAP_SYS_ADMIN))
		return -EPERM;
	return vfs_super_set_rdonly(at, true);
}

long sys_umount2(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[1];
	unsigned how = (flags & L_MNT_DETACH ? UMOUNT_DETACH : 0) | (flags & L_MNT_EXPIRE ? UMOUNT_EXPIRE : 0);
	struct path at, root;
	int r;

	if (flags & ~(unsigned)(L_MNT_FORCE | L_MNT_DETACH | L_MNT_EXPIRE | L_UMOUNT_NOFOLLOW))
		return -EINVAL;
	r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0],
			LOOKUP_DOWN | (flags & L_UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW), &at);
	if (r < 0)
		return r;
	fs_info_root(t->fs, &root);
	if (!task_may_mount(t))
		r = -EPERM;
	else if ((flags & L_MNT_EXPIRE) && (flags & (L_MNT_FORCE | L_MNT_DETACH)))
		r = -EINVAL;
	else if (at.mnt == root.mnt && vfs_is_mount_root(&at) && !(flags & L_MNT_DETACH))
		r = flags & L_MNT_EXPIRE ? -EINVAL : settle_root(t, &at);
	else
		r = vfs_umount(t->fs->ns, &at, how);
	path_put_unused(&root);
	path_put_unused(&at);
	return r;
}

long sys_pivot_root(struct task *t, const struct sys_args *args)
{
	struct path new_root, put_old, root;
	int r;

	if (!task_may_mount(t))
		return -EPERM;
	r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new_root);
	if (r < 0)
		return r;
	r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[1], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &put_old);
	if (r == 0) {
		fs_info_root(t->fs, &root);
		r = vfs_pivot_root(t->fs->ns, &root, &new_root, &put_old);
		path_put(&root);
		path_put(&put_old);
	}
	path_put(&new_root);
	return r;
}
