/* See fs_types.h. */
#include "sentry/syscalls/fs_types.h"

#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/sys/sysfs.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* ---- values ---- */

/* "64m" and the like. */
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

/* As the caller's namespace has it. */
static int parse_id(const char *s, enum id_kind kind, uint32_t *out)
{
	int r = parse_number(s, 10, out);

	if (r < 0)
		return r;
	*out = id_from_ns(task_current()->cred->user_ns, kind, *out);
	return *out == ID_NONE ? -EINVAL : 0;
}

static int parse_mode(const char *s, uint32_t mask, uint32_t *out)
{
	int r = parse_number(s, 8, out);

	*out &= mask;
	return r;
}

/* ---- options by file system ---- */

/* The same, or "50%" of memory. */
static int parse_share(const char *s, uint64_t *out)
{
	size_t len = strlen(s);
	struct host_memory m;
	uint32_t percent;
	char *end;

	if (!len || s[len - 1] != '%')
		return parse_size(s, out);
	percent = (uint32_t)strtoul(s, &end, 10);
	if (end != s + len - 1)
		return -EINVAL;
	host_memory(&m);
	*out = m.total * percent / 100;
	return 0;
}

/* A number of pages. */
static int parse_blocks(const char *s, uint64_t *out)
{
	int r = parse_size(s, out);

	return r == 0 && !checked_mul(*out, PAGE_SIZE, out) ? -EINVAL : r;
}

static int set_tmpfs(struct fs_options *o, const char *key, const char *value)
{
	uint64_t ignored;

	if (!value)
		return -EINVAL;
	if (!strcmp(key, "size") || !strcmp(key, "nr_blocks")) {
		o->tmpfs.set_size = true;
		return key[0] == 's' ? parse_share(value, &o->tmpfs.size) : parse_blocks(value, &o->tmpfs.size);
	}
	if (!strcmp(key, "mode"))
		return parse_mode(value, L_S_IALLUGO, &o->tmpfs.mode);
	if (!strcmp(key, "uid"))
		return parse_id(value, ID_USER, &o->tmpfs.uid);
	if (!strcmp(key, "gid"))
		return parse_id(value, ID_GROUP, &o->tmpfs.gid);
	if (!strcmp(key, "nr_inodes"))
		return parse_size(value, &ignored);
	return -EINVAL;
}

static int set_devpts(struct fs_options *o, const char *key, const char *value)
{
	struct devpts_options *d = &o->devpts;

	if (!strcmp(key, "newinstance")) /* each is */
		return 0;
	if (!value)
		return -EINVAL;
	if (!strcmp(key, "max"))
		return parse_number(value, 10, &d->max);
	if (!strcmp(key, "mode"))
		return parse_mode(value, 0777, &d->mode);
	if (!strcmp(key, "ptmxmode"))
		return parse_mode(value, 0777, &d->ptmx_mode);
	if (!strcmp(key, "uid")) {
		d->set_uid = true;
		return parse_id(value, ID_USER, &d->uid);
	}
	if (!strcmp(key, "gid")) {
		d->set_gid = true;
		return parse_id(value, ID_GROUP, &d->gid);
	}
	return -EINVAL;
}

static int set_none(struct fs_options *o, const char *key, const char *value)
{
	(void)o;
	(void)key;
	(void)value;
	return -EINVAL;
}

/* ramfs has always passed over what it does not know. */
static int set_ramfs(struct fs_options *o, const char *key, const char *value)
{
	return value && !strcmp(key, "mode") ? parse_mode(value, L_S_IALLUGO, &o->tmpfs.mode) : 0;
}

/* What is kept of an option that is not looked at. */
static int set_any(struct fs_options *o, const char *key, const char *value)
{
	(void)o;
	(void)key;
	(void)value;
	return 0;
}

static int resize_tmpfs(const struct fs_options *o, struct super_block *sb)
{
	return o->tmpfs.set_size ? tmpfs_resize(sb, o->tmpfs.size) : 0;
}

static int create_tmpfs(const struct fs_options *o, struct super_block **out)
{
	return tmpfs_create(o->tmpfs.size, o->tmpfs.mode, o->tmpfs.uid, o->tmpfs.gid, out);
}

static int create_devpts(const struct fs_options *o, struct super_block **out)
{
	return devpts_create(&o->devpts, out);
}

static int create_proc(const struct fs_options *o, struct super_block **out)
{
	(void)o;
	return procfs_create(task_pid_ns(task_current()), out);
}

static int create_sysfs(const struct fs_options *o, struct super_block **out)
{
	(void)o;
	return sysfs_create(out);
}

static int create_mqueue(const struct fs_options *o, struct super_block **out)
{
	(void)o;
	return mqueuefs_get(task_ipc_ns(task_current()), out);
}

static const struct fs_type {
	const char *name;
	int (*set)(struct fs_options *o, const char *key, const char *value);
	int (*create)(const struct fs_options *o, struct super_block **out);
	int (*reconfigure)(const struct fs_options *o, struct super_block *sb); /* NULL: nothing changes */
	enum ns_kind of; /* whose owner may mount it: NS_USER is the caller's own */
	bool shared;	 /* the file system is there already */
	bool system;	 /* it tells of the system: see mount_reveals */
} types[] = {
	{"tmpfs", set_tmpfs, create_tmpfs, resize_tmpfs, NS_USER, false, false},
	{"ramfs", set_ramfs, create_tmpfs, NULL, NS_USER, false, false},
	{"proc", set_none, create_proc, NULL, NS_PID, false, true},
	{"sysfs", set_none, create_sysfs, NULL, NS_NET, false, true},
	{"devpts", set_devpts, create_devpts, NULL, NS_USER, false, false},
	{"mqueue", set_none, create_mqueue, NULL, NS_IPC, true, false},
};
static const struct fs_type other_type = {"other", set_any, NULL, NULL, NS_USER, true, false};

int fs_options_init(struct fs_options *o, const char *name, const struct cred *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].name, name))
			continue;
		*o = (struct fs_options){
			.type = &types[i],
			.tmpfs = {.size = tmpfs_default_size(), .mode = 01777, .uid = c->fsuid, .gid = c->fsgid},
			.devpts = {.mode = DEVPTS_DEFAULT_MODE, .max = UINT32_MAX},
		};
		if (types[i].set == set_ramfs) {
			o->tmpfs.size = 0;
			o->tmpfs.mode = 0755;
		}
		return 0;
	}
	return -ENODEV;
}

void fs_options_pick(struct fs_options *o, const struct super_block *sb, const struct cred *c)
{
	if (fs_options_init(o, sb->type, c) < 0)
		*o = (struct fs_options){.type = &other_type};
}

int fs_reconfigure(const struct fs_options *o, struct super_block *sb)
{
	return o->type->reconfigure ? o->type->reconfigure(o, sb) : 0;
}

const char *fs_options_type(const struct fs_options *o)
{
	return o->type->name;
}

int fs_options_set(struct fs_options *o, char *option)
{
	char *value = strchr(option, '=');

	if (value)
		*value++ = '\0';
	return o->type->set(o, option, value);
}

static struct user_ns *owner_of(const struct fs_options *o, const struct task *t)
{
	if (o->type->of == NS_USER)
		return t->cred->user_ns;
	return o->type->of == NS_PID ? pid_ns_common(task_pid_ns(t))->owner : t->ns[o->type->of]->owner;
}

int fs_create(struct task *t, const struct fs_options *o, struct super_block **out)
{
	struct user_ns *owner = owner_of(o, t);
	int r;

	if (!cred_ns_capable(t->cred, owner, L_CAP_SYS_ADMIN))
		return -EPERM;
	r = o->type->create(o, out);
	if (r == 0 && !o->type->shared) {
		user_ns_put((*out)->user_ns);
		(*out)->user_ns = user_ns_get(owner);
	}
	return r;
}

bool fs_may_be_shown(const struct task *t, const struct super_block *sb, unsigned *flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].system && !strcmp(types[i].name, sb->type))
			return !mount_reveals(t->fs->ns, sb, flags);
	return true;
}
