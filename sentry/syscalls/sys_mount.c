/*
 * mount and umount2, as far as a sandbox has something to mount: tmpfs, proc, devpts, binds, moves and changes of flags.
 *
 * There is one tree of mounts, and nothing is shared between trees: making a mount private, a slave or unbindable changes
 * nothing and succeeds; making it shared is refused, since events would have nowhere to go.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/syscalls/fs_args.h"

#define PROPAGATION (L_MS_SHARED | L_MS_PRIVATE | L_MS_SLAVE | L_MS_UNBINDABLE)

static unsigned mount_flags_of(uint32_t flags)
{
	return (flags & L_MS_RDONLY ? MNT_RDONLY : 0) | (flags & L_MS_NOSUID ? MNT_NOSUID : 0) |
	       (flags & L_MS_NODEV ? MNT_NODEV : 0) | (flags & L_MS_NOEXEC ? MNT_NOEXEC : 0);
}

/* ---- tmpfs's options ---- */

struct tmpfs_options {
	uint64_t size;
	uint32_t mode, uid, gid;
};

/* "64m" and the like; percentages of memory are not known here. */
static int parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "kmgtpe";
	const char *unit;
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	if (end == s)
		return -EINVAL;
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		if (!checked_mul(n, 1ull << (10 * (unit - units + 1)), &n))
			return -EINVAL;
		end++;
	}
	if (*end)
		return -EINVAL;
	*out = n;
	return 0;
}

static int parse_number(const char *s, int base, uint32_t *out)
{
	char *end;
	unsigned long n = strtoul(s, &end, base);

	if (end == s || *end || n > UINT32_MAX)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

static int parse_tmpfs_option(char *option, struct tmpfs_options *o)
{
	char *value = strchr(option, '=');
	uint64_t ignored;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(option, "size"))
		return parse_size(value, &o->size);
	if (!strcmp(option, "mode")) {
		int r = parse_number(value, 8, &o->mode);

		o->mode &= L_S_IALLUGO;
		return r;
	}
	if (!strcmp(option, "uid"))
		return parse_number(value, 10, &o->uid);
	if (!strcmp(option, "gid"))
		return parse_number(value, 10, &o->gid);
	if (!strcmp(option, "nr_inodes") || !strcmp(option, "nr_blocks"))
		return parse_size(value, &ignored);
	return -EINVAL;
}

static int make_tmpfs(struct task *t, char *data, struct super_block **out)
{
	struct tmpfs_options o = {.mode = 01777, .uid = t->cred->fsuid, .gid = t->cred->fsgid};
	char *option, *save = NULL;
	int r;

	for (option = strtok_r(data, ",", &save); option; option = strtok_r(NULL, ",", &save)) {
		r = parse_tmpfs_option(option, &o);
		if (r < 0)
			return r;
	}
	return tmpfs_create(o.size, o.mode, o.uid, o.gid, out);
}

/* ---- devpts's options ---- */

static int parse_devpts_option(char *option, struct devpts_options *o)
{
	char *value = strchr(option, '=');
	int r;

	if (!strcmp(option, "newinstance")) /* each is */
		return 0;
	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (!strcmp(option, "max"))
		return parse_number(value, 10, &o->max);
	if (!strcmp(option, "mode") || !strcmp(option, "ptmxmode")) {
		uint32_t *mode = option[0] == 'm' ? &o->mode : &o->ptmx_mode;

		r = parse_number(value, 8, mode);
		*mode &= 0777;
		return r;
	}
	if (!strcmp(option, "uid")) {
		o->set_uid = true;
		return parse_number(value, 10, &o->uid);
	}
	if (!strcmp(option, "gid")) {
		o->set_gid = true;
		return parse_number(value, 10, &o->gid);
	}
	return -EINVAL;
}

static int make_devpts(char *data, struct super_block **out)
{
	struct devpts_options o = {.mode = DEVPTS_DEFAULT_MODE, .max = UINT32_MAX};
	char *option, *save = NULL;
	int r;

	for (option = strtok_r(data, ",", &save); option; option = strtok_r(NULL, ",", &save)) {
		r = parse_devpts_option(option, &o);
		if (r < 0)
			return r;
	}
	return devpts_create(&o, out);
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

static int mount_new(struct task *t, const char *source, const struct path *at, const char *type, uint32_t flags,
		     char *data)
{
	struct super_block *sb;
	int r;

	if (!strcmp(type, "tmpfs") || !strcmp(type, "ramfs"))
		r = make_tmpfs(t, data, &sb);
	else if (!strcmp(type, "proc"))
		r = procfs_create(&sb);
	else if (!strcmp(type, "devpts"))
		r = make_devpts(data, &sb);
	else if (!strcmp(type, "mqueue"))
		r = mqueuefs_get(&sb);
	else
		return -ENODEV;
	return r < 0 ? r : vfs_mount(sb, at, mount_flags_of(flags), source, NULL);
}

static int mount_from(struct task *t, const char *source, const struct path *at, uint32_t flags)
{
	struct lookup l = task_lookup(t);
	struct path from;
	int r;

	r = vfs_resolve(&l, L_AT_FDCWD, source, LOOKUP_FOLLOW, 0, &from);
	if (r < 0)
		return r;
	if (flags & L_MS_MOVE)
		r = vfs_move_mount(&from, at);
	else
		/* A bind has its source's flags; others need a remount. */
		r = (flags & L_MS_REC ? vfs_bind_recursive : vfs_bind)(&from, at, mount_flags(from.mnt));
	path_put(&from);
	return r;
}

struct mount_args {
	char *source, *type, *data;
	uint32_t flags;
};

static int do_mount(struct task *t, const struct mount_args *m, const struct path *at)
{
	if (m->flags & L_MS_REMOUNT)
		return vfs_remount(at, mount_flags_of(m->flags));
	if (m->flags & (L_MS_BIND | L_MS_MOVE))
		return m->source ? mount_from(t, m->source, at, m->flags) : -EINVAL;
	if (m->flags & PROPAGATION)
		return m->flags & L_MS_SHARED ? -EINVAL : 0;
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
	if (r == 0)
		r = copy_in_data(t, args->a[4], &m.data);
	if (r == 0)
		r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[1], LOOKUP_FOLLOW, &at);
	if (r == 0) {
		r = cred_capable(t->cred, L_CAP_SYS_ADMIN) ? do_mount(t, &m, &at) : -EPERM;
		path_put(&at);
	}
	free(m.type);
	free(m.source);
	free(m.data);
	return r;
}

long sys_umount2(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[1];
	struct path at, root;
	int r;

	if (flags & ~(unsigned)(L_MNT_FORCE | L_MNT_DETACH | L_MNT_EXPIRE | L_UMOUNT_NOFOLLOW))
		return -EINVAL;
	/* To expire takes marks between two calls; nothing here expires. */
	if (flags & L_MNT_EXPIRE)
		return flags & (L_MNT_FORCE | L_MNT_DETACH) ? -EINVAL : -EAGAIN;
	r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0], flags & L_UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &at);
	if (r < 0)
		return r;
	fs_info_root(t->fs, &root);
	if (!cred_capable(t->cred, L_CAP_SYS_ADMIN))
		r = -EPERM;
	else if (path_equal(&at, &root))
		r = -EBUSY;
	else
		r = vfs_umount(&at, flags & L_MNT_DETACH);
	path_put(&root);
	path_put(&at);
	return r;
}
