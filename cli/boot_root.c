/* See boot_root.h.  The tree is built by the VFS's own calls, on behalf of a root user of the sandbox. */
#include "cli/boot_root.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/log.h"
#include "cli/options.h"
#include "host/file.h"
#include "host/front.h"
#include "host/system.h"
#include "host/terminal.h"
#include "sentry/fs/dev/dev.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/fs/sys/sysfs.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/task/pidns.h"
#include "sentry/fs/tty/devpts.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* The tree under construction, and on whose behalf. */
struct builder {
	struct path root;
	struct lookup look;
	uint64_t memory;     /* the host's, bytes */
	uint64_t size_limit; /* bytes, of each file system in memory, unless it was given one */
};

static int failed(const char *what, const char *on, int error, const char *advice)
{
	log_error("do: cannot %s %s: %s; %s", what, on, strerror(-error), error == -ENOMEM ? "free some memory" : advice);
	return EXIT_BAILEY;
}

static int cannot_mount(const char *on, int error)
{
	return failed("mount", on, error, "the root needs a directory there, or nothing");
}

static int resolve(struct builder *b, const char *path, unsigned flags, struct path *out)
{
	return vfs_resolve(&b->look, L_AT_FDCWD, path, LOOKUP_FOLLOW | flags, 0, out);
}

/* The directories that lead to path, and (all) path itself. */
static int make_dirs(struct builder *b, const char *path, bool all)
{
	char *p = strdup(path);
	int r = p ? 0 : -ENOMEM;

	for (char *slash = p; r == 0 && slash;) {
		slash = strchr(slash + 1, '/');
		if (!slash && !all)
			break;
		if (slash)
			*slash = '\0';
		r = vfs_mkdir(&b->look, L_AT_FDCWD, p, 0755);
		if (r == -EEXIST)
			r = 0;
		if (slash)
			*slash = '/';
	}
	free(p);
	return r;
}

/* Mounts sb (consumed) on path, which is made if need be. */
static int mount_at(struct builder *b, struct super_block *sb, const char *path, unsigned flags, const char *source)
{
	struct path at;
	int r = resolve(b, path, LOOKUP_DIRECTORY, &at);

	if (r == -ENOENT) {
		r = make_dirs(b, path, true);
		if (r == 0)
			r = resolve(b, path, LOOKUP_DIRECTORY, &at);
	}
	if (r < 0) {
		super_put(sb);
		return r;
	}
	r = vfs_mount(NULL, sb, &at, flags, source, NULL);
	path_put(&at);
	return r;
}

static int mount_tmpfs(struct builder *b, const char *path, uint64_t size)
{
	struct super_block *sb;
	int r = tmpfs_create(size, 01777, 0, 0, &sb);

	return r < 0 ? r : mount_at(b, sb, path, MNT_NOSUID | MNT_NODEV, "tmpfs");
}

/* ---- the fixed parts ---- */

static int make_root(struct builder *b, int root_fd)
{
	struct super_block *lower, *sb;
	int r = hostfs_create(root_fd, HOSTFS_READ_ONLY, &lower);

	if (r < 0)
		return r;
	r = overlay_create(lower, b->size_limit, &sb);
	if (r < 0)
		return r;
	r = vfs_mount(NULL, sb, NULL, 0, "overlay", &b->root);
	if (r < 0)
		return r;
	r = mnt_ns_adopt(&b->root);
	if (r < 0)
		return r;
	b->look.fs = fs_info_new(&b->root);
	b->look.cred = cred_new(0, 0, NULL, 0);
	return b->look.fs && b->look.cred ? 0 : -ENOMEM;
}

/* As distributions mount it: gid 5 is "tty". */
static int mount_devpts(struct builder *b)
{
	static const struct devpts_options options = {
		.mode = 0620, .ptmx_mode = 0666, .set_gid = true, .gid = 5, .max = UINT32_MAX};
	struct super_block *sb;
	int r = devpts_create(&options, &sb);

	return r < 0 ? r : mount_at(b, sb, "/dev/pts", MNT_NOSUID | MNT_NOEXEC, "devpts");
}

static int mount_mqueue(struct builder *b)
{
	struct super_block *sb;
	int r = mqueuefs_get(ipc_ns_of(ipc_ns_first()), &sb);

	return r < 0 ? r : mount_at(b, sb, "/dev/mqueue", MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, "mqueue");
}

static int mount_system(struct builder *b)
{
	struct super_block *sb;
	int r;

	r = procfs_create(pid_ns_of(pid_ns_first()), &sb);
	if (r == 0)
		r = mount_at(b, sb, "/proc", MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, "proc");
	if (r < 0)
		return cannot_mount("/proc", r);
	r = devfs_create(&sb);
	if (r == 0)
		r = mount_at(b, sb, "/dev", MNT_NOSUID | MNT_NOEXEC, "devtmpfs");
	if (r < 0)
		return cannot_mount("/dev", r);
	r = mount_devpts(b);
	if (r < 0)
		return cannot_mount("/dev/pts", r);
	r = mount_mqueue(b);
	if (r < 0)
		return cannot_mount("/dev/mqueue", r);
	r = mount_tmpfs(b, "/dev/shm", b->size_limit);
	if (r < 0)
		return cannot_mount("/dev/shm", r);
	r = mount_tmpfs(b, "/tmp", b->size_limit);
	if (r < 0)
		return cannot_mount("/tmp", r);
	r = sysfs_create_lazily(&sb);
	if (r == 0)
		r = mount_at(b, sb, "/sys", MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, "sysfs");
	return r < 0 ? cannot_mount("/sys", r) : 0;
}

/* ---- binds ---- */

static int make_file(struct builder *b, const char *path)
{
	struct file *f;
	int r = make_dirs(b, path, false);

	if (r == 0)
		r = vfs_open(&b->look, L_AT_FDCWD, path, L_O_CREAT | L_O_RDONLY, 0644, 0, &f);
	if (r == 0)
		file_put(f);
	return r;
}

/* One file of a directory: the directory is mounted where no path leads, and the file bound from there. */
static int bind_file(struct builder *b, struct super_block *sb, const char *name, const char *target, unsigned flags)
{
	struct path dir, at;
	struct lookup there = b->look;
	struct path file;
	int r = vfs_mount(NULL, sb, NULL, flags, "bind", &dir);

	if (r < 0)
		return r;
	there.fs = fs_info_new(&dir);
	if (!there.fs)
		return -ENOMEM;
	r = vfs_resolve(&there, L_AT_FDCWD, name, 0, 0, &file);
	if (r < 0)
		goto out_fs;
	r = resolve(b, target, 0, &at);
	if (r == -ENOENT) {
		r = make_file(b, target);
		if (r == 0)
			r = resolve(b, target, 0, &at);
	}
	if (r < 0)
		goto out_file;
	r = vfs_bind(NULL, &file, &at, false, flags);
	path_put(&at);
out_file:
	path_put(&file);
out_fs:
	fs_info_put(there.fs);
	return r;
}

static int mount_bind(struct builder *b, const struct confine_bind *bind, const char *target)
{
	unsigned flags = MNT_NOSUID | MNT_NODEV | (bind->read_only ? MNT_RDONLY : 0);
	unsigned how = (bind->read_only ? HOSTFS_READ_ONLY : 0) | (bind->no_links ? HOSTFS_NO_LINKS : 0);
	struct super_block *sb;
	int r = hostfs_create(bind->dir_fd, how, &sb);

	if (r < 0)
		return r;
	if (bind->name)
		return bind_file(b, sb, bind->name, target, flags);
	return mount_at(b, sb, target, flags, bind->source);
}

static int mount_one(struct builder *b, const struct do_options *o, const struct do_mount *m)
{
	const struct confine_bind *bind = &o->binds[m->bind];
	int r;

	if (!m->is_bind) {
		r = mount_tmpfs(b, m->target, m->size ? m->size : b->memory / 100 * m->percent);
		if (r < 0)
			log_error("do: cannot mount a tmpfs at %s: %s; it goes on a directory, which is made if it is missing",
				  quoted(m->target), strerror(-r));
		return r < 0 ? EXIT_BAILEY : 0;
	}
	if (bind->dir_fd < 0)
		return 0; /* optional, and not there */
	r = mount_bind(b, bind, m->target);
	if (r < 0)
		log_error("do: cannot bind %s at %s: %s; a directory goes on a directory and a file on a file, and either is made "
			  "if it is missing, but not in /proc or /sys",
			  quoted(bind->source), quoted(m->target), strerror(-r));
	return r < 0 ? EXIT_BAILEY : 0;
}

static int mount_asked(struct builder *b, const struct do_options *o)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < o->mount_count; i++)
		status = mount_one(b, o, &o->mounts[i]);
	return status;
}

/* ---- the working directory ---- */

/* 0, or why path is no directory inside, on which cred may do mask (MAY_*). */
static int look_for(struct builder *b, const char *path, const struct cred *cred, unsigned mask)
{
	struct lookup look = {.fs = b->look.fs, .cred = cred};
	struct path p;
	int r = vfs_resolve(&look, L_AT_FDCWD, path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, 0, &p);

	if (r < 0)
		return r;
	r = mask ? vfs_permission(&p, mask, cred) : 0;
	path_put(&p);
	return r;
}

/* Shows the caller's directory where it was covered (it lies in /tmp).  cwd_fd is consumed; it may be why there is
 * none. */
static int show_cwd(struct builder *b, const char *cwd, int cwd_fd)
{
	struct super_block *lower, *sb;
	int r;

	if (cwd_fd < 0)
		return cwd_fd;
	if (look_for(b, cwd, b->look.cred, 0) == 0) {
		host_close(cwd_fd);
		return 0;
	}
	r = hostfs_create(cwd_fd, HOSTFS_READ_ONLY, &lower);
	if (r == 0)
		r = overlay_create(lower, b->size_limit, &sb);
	return r < 0 ? r : mount_at(b, sb, cwd, MNT_NOSUID | MNT_NODEV, "overlay");
}

/* What the command's directory is to be, without --workdir: the caller's, or / where that is nowhere to be found (it
 * was removed, or lies in the host's /proc).  Not where it only cannot be reached: it is there, and / would be another.
 */
static int callers_directory(struct builder *b, const struct host_caller *caller, int cwd_fd, const char **out)
{
	int r = caller->cwd ? show_cwd(b, caller->cwd, cwd_fd) : -ENOENT;

	*out = caller->cwd;
	if (r == 0 || r == -EACCES)
		return r;
	log_warn("do: the working directory %s is not to be found inside; starting in /",
		 caller->cwd ? quoted(caller->cwd) : "(removed)");
	*out = "/";
	return 0;
}

static bool starts_at_root(const struct do_options *o, const struct host_caller *caller)
{
	return o->foreign_root || (caller->cwd && strcmp(caller->cwd, "/") == 0);
}

/* The command itself must be able to get there; and to enter, unless it is the caller, who is there already. */
static int enter_cwd(struct builder *b, const struct do_options *o, const struct host_caller *caller, int cwd_fd,
		     const struct cred *cred, const char **out)
{
	char who[32] = "";
	int r = 0;

	if (o->workdir)
		*out = o->workdir;
	else if (starts_at_root(o, caller))
		*out = "/";
	else
		r = callers_directory(b, caller, cwd_fd, out);
	if (r == 0)
		r = look_for(b, *out, cred, o->other_user ? MAY_EXEC : 0);
	if (r == 0)
		return 0;
	if (o->other_user)
		snprintf(who, sizeof(who), " as user %u", o->uid);
	log_error("do: cannot start in %s%s: %s; name another directory inside with --workdir", quoted(*out), who, strerror(-r));
	return EXIT_BAILEY;
}

/* ---- standard files ---- */

/* True if both are one device, opened alike: a terminal is one file inside, whichever descriptors it came by. */
static bool same_device(int a, int b)
{
	struct host_stat sa, sb;
	uint32_t fa, fb;

	return host_stat_fd(a, &sa) == 0 && host_stat_fd(b, &sb) == 0 && L_S_ISCHR(sa.mode) && L_S_ISCHR(sb.mode) &&
	       sa.dev == sb.dev && sa.ino == sb.ino && host_fd_flags(a, &fa) == 0 && host_fd_flags(b, &fb) == 0 &&
	       fa == fb;
}

static int open_std(struct boot_args *args)
{
	static const char *const names[] = {"input", "output", "error"};

	for (int fd = 0; fd < 3; fd++) {
		int r;

		if (front_std_was_closed(fd))
			continue;
		for (int earlier = 0; earlier < fd && !args->std[fd]; earlier++)
			if (args->std[earlier] && same_device(earlier, fd))
				args->std[fd] = file_get(args->std[earlier]);
		if (args->std[fd])
			continue;
		r = hostfile_create(fd, args->cred, &args->std[fd]);
		if (r < 0) {
			log_error("do: cannot pass on standard %s: %s; redirect it to a file, or to /dev/null",
				  names[fd], strerror(-r));
			return EXIT_BAILEY;
		}
	}
	return 0;
}

static bool opened_both_ways(int fd)
{
	uint32_t flags;

	return host_fd_flags(fd, &flags) == 0 && (flags & L_O_ACCMODE) == L_O_RDWR;
}

/*
 * CMD's terminal: the first one among its standard files, or the one that controls the caller.  It is one line, whatever
 * descriptors it came by, and can be read and written by /dev/tty, even if each of them is for one of the two.
 */
static int open_terminal(struct boot_args *args)
{
	const int own = host_terminal_own();
	const uint64_t own_device = host_terminal_device(own);
	uint64_t on[3], device = 0; /* 0: no terminal */
	struct file *line = NULL;

	for (int fd = 0; fd < 3; fd++) {
		on[fd] = args->std[fd] ? host_terminal_device(fd) : 0;
		if (!device)
			device = on[fd];
	}
	if (!device)
		device = own_device;
	for (int fd = 0; device && !line && fd < 3; fd++)
		if (on[fd] == device && opened_both_ways(fd))
			line = args->std[fd];
	if (!line && own >= 0 && own_device == device) {
		int r = hostfile_create(own, args->cred, &args->terminal);

		if (r < 0)
			return failed("pass on", "the terminal", r, "run it without one (setsid)");
		line = args->terminal;
	} else if (own >= 0) {
		host_close(own);
	}
	for (int fd = 0; line && fd < 3; fd++)
		if (args->std[fd] && on[fd] == device)
			hostfile_share_tty(args->std[fd], line);
	return 0;
}

/* The first of them that is a terminal is /dev/console inside. */
static int name_console(struct builder *b, const struct boot_args *args)
{
	struct path dev;
	int r = resolve(b, "/dev", LOOKUP_DIRECTORY, &dev);

	if (r < 0)
		return 0; /* bound away */
	for (int fd = 0; r == 0 && fd < 3; fd++)
		if (args->std[fd])
			r = devfs_add_console(&dev, args->std[fd]);
	if (r == 0 && args->terminal)
		r = devfs_add_console(&dev, args->terminal);
	path_put(&dev);
	return r == -EEXIST ? 0 : r;
}

int boot_root(const struct do_options *o, const struct host_caller *caller, struct boot_args *args)
{
	struct host_memory memory;
	struct builder b = {0};
	int cwd_fd = -ENOENT, status, r;

	host_memory(&memory);
	b.memory = memory.total;
	b.size_limit = tmpfs_default_size();
	if (!o->workdir && !starts_at_root(o, caller) && caller->cwd && caller->cwd[0] == '/')
		cwd_fd = host_open_dir_path(o->root.dir_fd, caller->cwd + 1);
	r = make_root(&b, o->root.dir_fd);
	if (r < 0)
		return failed("make", "the root", r, "--rootfs takes a directory of the host");
	status = mount_system(&b);
	if (status == 0)
		status = mount_asked(&b, o);
	if (status == 0)
		status = enter_cwd(&b, o, caller, cwd_fd, args->cred, &args->cwd);
	fs_info_put(b.look.fs);
	cred_put(b.look.cred);
	args->root = b.root;
	return status;
}

int boot_std(struct boot_args *args)
{
	struct builder b = {
		.root = args->root,
		.look = {.fs = fs_info_new(&args->root), .cred = cred_new(0, 0, NULL, 0)},
	};
	int status, r;

	if (!b.look.fs || !b.look.cred)
		return failed("pass on", "standard files", -ENOMEM, "");
	status = open_std(args);
	if (status == 0)
		status = open_terminal(args);
	if (status == 0 && (r = name_console(&b, args)) < 0)
		status = failed("make", "/dev/console", r, "run it without a terminal");
	fs_info_put(b.look.fs);
	cred_put(b.look.cred);
	return status;
}
