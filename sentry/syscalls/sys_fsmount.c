/*
 * fsopen, fsconfig, fsmount and fspick: a file system made and mounted in steps.  The descriptor's file is a context:
 * options are gathered in it, the file system is made of them, and a mount of that.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/syscalls/fs_types.h"
#include "sentry/syscalls/mount_attr.h"

#define TEXT_MAX 256 /* of a key or a value, with its NUL */

enum phase { GATHERING, MADE, MOUNTED, RECONFIGURING, FAILED };

struct fs_context {
	struct mutex lock; /* guards the rest */
	enum phase phase;
	bool rdonly;
	char *source; /* or NULL */
	struct fs_options options;
	struct super_block *sb; /* counted; once it is made */
	struct path picked;	/* counted; fspick's */
};

/* ---- the file ---- */

static void context_free(struct fs_context *c)
{
	if (c->sb)
		super_put(c->sb);
	if (c->picked.dentry)
		path_put(&c->picked);
	mutex_destroy(&c->lock);
	free(c->source);
	free(c);
}

static void context_release(struct file *f)
{
	context_free(f->priv);
}

/* Messages of the file system: there are none. */
static ssize_t context_read(struct file *f, struct uio *u, int64_t pos)
{
	(void)f;
	(void)u;
	(void)pos;
	return -ENODATA;
}

static const struct file_ops context_ops = {.read = context_read, .release = context_release};

static struct fs_context *context_new(void)
{
	struct fs_context *c = calloc(1, sizeof(*c));

	if (c)
		mutex_init(&c->lock);
	return c;
}

/* c is consumed in any case. */
static long context_install(struct task *t, struct fs_context *c, bool cloexec)
{
	struct file *f;
	int r = file_anonymous("anon_inode:[fscontext]", &context_ops, c, L_O_RDWR,
			       FILE_READ | FILE_WRITE | FILE_STREAM, t->cred, &f);

	if (r == 0)
		return task_install(t, f, cloexec);
	context_free(c);
	return r;
}

/* The file of a context at fd, counted. */
static int arg_context(struct task *t, uint64_t fd, struct file **out)
{
	int r = arg_file(t, fd, out);

	if (r == 0 && (*out)->ops != &context_ops) {
		file_put(*out);
		r = -EINVAL;
	}
	return r;
}

/* ---- fsopen and fspick ---- */

long sys_fsopen(struct task *t, const struct sys_args *args)
{
	struct fs_context *c;
	char name[PAGE_SIZE];
	ssize_t n;
	int r;

	if (!task_may_mount(t))
		return -EPERM;
	if ((unsigned)args->a[1] & ~(unsigned)L_FSOPEN_CLOEXEC)
		return -EINVAL;
	n = copy_in_str(t->ctx, name, args->a[0], sizeof(name));
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	c = context_new();
	if (!c)
		return -ENOMEM;
	r = fs_options_init(&c->options, name, t->cred);
	if (r == 0)
		return context_install(t, c, args->a[1] & L_FSOPEN_CLOEXEC);
	context_free(c);
	return r;
}

long sys_fspick(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[2];
	struct fs_context *c;
	struct path p;
	int r;

	if (!task_may_mount(t))
		return -EPERM;
	if (flags &
	    ~(unsigned)(L_FSPICK_CLOEXEC | L_FSPICK_SYMLINK_NOFOLLOW | L_FSPICK_NO_AUTOMOUNT | L_FSPICK_EMPTY_PATH))
		return -EINVAL;
	r = arg_resolve_at(t, args->a[0], args->a[1],
			   (flags & L_FSPICK_SYMLINK_NOFOLLOW ? (unsigned)L_AT_SYMLINK_NOFOLLOW : 0) |
				   (flags & L_FSPICK_EMPTY_PATH ? (unsigned)L_AT_EMPTY_PATH : 0),
			   &p);
	if (r < 0)
		return r;
	c = vfs_is_mount_root(&p) ? context_new() : NULL;
	if (!c) {
		r = vfs_is_mount_root(&p) ? -ENOMEM : -EINVAL;
		path_put(&p);
		return r;
	}
	c->picked = p;
	c->phase = RECONFIGURING;
	c->rdonly = vfs_super(&p)->flags & SB_RDONLY;
	fs_options_pick(&c->options, vfs_super(&p), t->cred);
	return context_install(t, c, flags & L_FSPICK_CLOEXEC);
}

/* ---- fsconfig ---- */

/* Options of every file system; false: it is none. */
static bool set_common(struct fs_context *c, const char *key)
{
	static const char *const ignored[] = {"async", "sync", "dirsync", "lazytime", "nolazytime", "mand", "nomand"};

	if (!strcmp(key, "ro") || !strcmp(key, "rw")) {
		c->rdonly = key[1] == 'o';
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		if (!strcmp(ignored[i], key))
			return true;
	return false;
}

/* value is that of a string, and else NULL.  Flags of every file system are known by name, whatever they are given. */
static int set_option(struct fs_context *c, unsigned cmd, const char *key, const char *value)
{
	char text[2 * TEXT_MAX + 1];

	if (c->phase != GATHERING && c->phase != RECONFIGURING)
		return -EBUSY;
	if (set_common(c, key))
		return 0;
	if (cmd != L_FSCONFIG_SET_FLAG && cmd != L_FSCONFIG_SET_STRING)
		return -EINVAL; /* no file system here has an option that is bytes, a path or a descriptor */
	if (!strcmp(key, "source")) {
		if (!value || c->source)
			return -EINVAL;
		c->source = strdup(value);
		return c->source ? 0 : -ENOMEM;
	}
	snprintf(text, sizeof(text), value ? "%s=%s" : "%s", key, value);
	return fs_options_set(&c->options, text);
}

static int make(struct task *t, struct fs_context *c)
{
	int r;

	if (c->phase != GATHERING)
		return -EBUSY;
	r = fs_create(t, &c->options, &c->sb);
	c->phase = r < 0 ? FAILED : MADE;
	if (r == 0 && c->rdonly)
		c->sb->flags |= SB_RDONLY;
	return r;
}

static int reconfigure(struct task *t, struct fs_context *c)
{
	int r;

	if (c->phase != RECONFIGURING)
		return -EBUSY;
	if (!cred_ns_capable(t->cred, vfs_super_owner(&c->picked), L_CAP_SYS_ADMIN))
		return -EPERM;
	r = vfs_super_set_rdonly(&c->picked, c->rdonly);
	return r < 0 ? r : fs_reconfigure(&c->options, vfs_super(&c->picked));
}

/* Which arguments a command has: fsconfig(2). */
static int check_config(int fd, unsigned cmd, uint64_t key, uint64_t value, int aux)
{
	bool ok;

	if (fd < 0)
		return -EINVAL;
	switch (cmd) {
	case L_FSCONFIG_SET_FLAG:
		ok = key && !value && !aux;
		break;
	case L_FSCONFIG_SET_STRING:
		ok = key && value && !aux;
		break;
	case L_FSCONFIG_SET_BINARY:
		ok = key && value && aux > 0 && aux <= 1024 * 1024;
		break;
	case L_FSCONFIG_SET_PATH:
	case L_FSCONFIG_SET_PATH_EMPTY:
		ok = key && value && (aux == L_AT_FDCWD || aux >= 0);
		break;
	case L_FSCONFIG_SET_FD:
		ok = key && !value && aux >= 0;
		break;
	case L_FSCONFIG_CMD_CREATE:
	case L_FSCONFIG_CMD_CREATE_EXCL:
	case L_FSCONFIG_CMD_RECONFIGURE:
		ok = !key && !value && !aux;
		break;
	default:
		return -EOPNOTSUPP;
	}
	return ok ? 0 : -EINVAL;
}

static int copy_in_text(struct task *t, uint64_t src, char text[TEXT_MAX])
{
	ssize_t n = src ? copy_in_str(t->ctx, text, src, TEXT_MAX) : 0;

	return n == -ENAMETOOLONG ? -EINVAL : n < 0 ? (int)n : 0;
}

/* They are not kept. */
static int copy_in_bytes(struct task *t, uint64_t src, size_t size)
{
	uint8_t buf[PAGE_SIZE];
	int r = 0;

	for (size_t n; r == 0 && size; size -= n, src += n) {
		n = min_of(size, sizeof(buf));
		r = copy_in(t->ctx, buf, src, n);
	}
	return r;
}

/* A value that is copied in and checked before anything is made of it: what kind it is depends on cmd. */
static int copy_in_value(struct task *t, unsigned cmd, uint64_t src, int aux, char text[TEXT_MAX])
{
	struct file *f;
	char *path;
	int r;

	switch (cmd) {
	case L_FSCONFIG_SET_STRING:
		return copy_in_text(t, src, text);
	case L_FSCONFIG_SET_BINARY:
		return copy_in_bytes(t, src, (size_t)aux);
	case L_FSCONFIG_SET_PATH:
	case L_FSCONFIG_SET_PATH_EMPTY:
		r = copy_in_path(t->ctx, src, &path);
		if (r < 0)
			return r;
		r = !*path && cmd == L_FSCONFIG_SET_PATH ? -ENOENT : 0;
		free(path);
		return r;
	case L_FSCONFIG_SET_FD:
		r = arg_file_path_ok(t, (uint64_t)aux, &f);
		if (r == 0)
			file_put(f);
		return r;
	default:
		return 0;
	}
}

static int configure(struct task *t, struct fs_context *c, unsigned cmd, const char *key, const char *value)
{
	switch (cmd) {
	case L_FSCONFIG_CMD_CREATE_EXCL:
	case L_FSCONFIG_CMD_CREATE:
		return make(t, c);
	case L_FSCONFIG_CMD_RECONFIGURE:
		return reconfigure(t, c);
	default:
		return set_option(c, cmd, key, cmd == L_FSCONFIG_SET_STRING ? value : NULL);
	}
}

long sys_fsconfig(struct task *t, const struct sys_args *args)
{
	char key[TEXT_MAX] = "", value[TEXT_MAX] = "";
	unsigned cmd = (unsigned)args->a[1];
	struct fs_context *c;
	struct file *f;
	int r = check_config((int)args->a[0], cmd, args->a[2], args->a[3], (int)args->a[4]);

	if (r < 0)
		return r;
	r = arg_context(t, args->a[0], &f);
	if (r < 0)
		return r;
	r = copy_in_text(t, args->a[2], key);
	if (r == 0)
		r = copy_in_value(t, cmd, args->a[3], (int)args->a[4], value);
	if (r == 0 && cmd >= L_FSCONFIG_CMD_CREATE && !task_may_mount(t))
		r = -EPERM;
	if (r == 0) {
		c = f->priv;
		mutex_lock(&c->lock);
		r = configure(t, c, cmd, key, value);
		mutex_unlock(&c->lock);
	}
	file_put(f);
	return r;
}

/* ---- fsmount ---- */

static int mount_made(struct task *t, struct fs_context *c, unsigned flags, struct file **out)
{
	int r;

	if (!c->sb)
		return -EINVAL;
	if (c->phase != MADE)
		return -EBUSY;
	if (!fs_may_be_shown(t, c->sb, &flags))
		return -EPERM;
	r = vfs_detached_mount(super_get(c->sb), flags, c->source, t->cred, out);
	if (r == 0)
		c->phase = MOUNTED;
	return r;
}

long sys_fsmount(struct task *t, const struct sys_args *args)
{
	struct fs_context *c;
	struct file *f, *tree;
	unsigned flags;
	int r;

	if (!task_may_mount(t))
		return -EPERM;
	if ((unsigned)args->a[1] & ~(unsigned)L_FSMOUNT_CLOEXEC)
		return -EINVAL;
	r = mount_attr_flags((unsigned)args->a[2], &flags);
	if (r == 0)
		r = arg_context(t, args->a[0], &f);
	if (r < 0)
		return r;
	c = f->priv;
	mutex_lock(&c->lock);
	r = mount_made(t, c, flags, &tree);
	mutex_unlock(&c->lock);
	file_put(f);
	return r < 0 ? r : task_install(t, tree, args->a[1] & L_FSMOUNT_CLOEXEC);
}
