/*
 * The empty root.  The sentry's mount namespace ends up with a read-only tmpfs that holds
 *
 *     /host     the host's root (or what is to be the guest's) and all below it, read-only, nosuid, nodev; its /proc,
 *               /sys and /dev covered
 *     /bindN    each --bind source: the directory itself, or a directory that holds just the file
 *     /proc     the sentry's own proc, if it has one (host_process_open): what is attached nowhere is unmounted by itself at the
 *               sentry's end, for which that would wait
 *
 * and nothing else: the old root is detached.  Needs Linux 5.12 (mount_setattr).  From 5.14 on the host follows no symbolic
 * link in any of it (nosymfollow), whatever call it is that has one in its path.  See confine.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/compiler.h"
#include "host/confine.h"
#include "host/confine_help.h"
#include "host/process.h"

#define HIDDEN_DIR "empty"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static int set_attributes(int tree, uint64_t attr, bool recursive)
{
	struct mount_attr a = {.attr_set = attr};

	return mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) < 0 ? -errno : 0;
}

/* A copy of what is mounted at and below dir_fd/path (or dir_fd itself: ""), attached nowhere.  A descriptor, or
 * -errno.  *no_links, if it is not NULL: the host follows no links there. */
static int copy_tree(int dir_fd, const char *path, bool read_only, bool recursive, bool *no_links)
{
	int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0);
	int tree = open_tree(dir_fd, path, (unsigned)flags), r;

	if (tree < 0)
		return -errno;
	r = set_attributes(tree, attr | MOUNT_ATTR_NOSYMFOLLOW, recursive);
	if (no_links)
		*no_links = r == 0;
	if (r == -EINVAL) /* before Linux 5.14 */
		r = set_attributes(tree, attr, recursive);
	if (r < 0) {
		close(tree);
		return r;
	}
	return tree;
}

static int attach(int tree, int dir_fd, const char *path)
{
	return move_mount(tree, "", dir_fd, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* A new file system, attached nowhere. */
static int new_mount(const char *type, const char *key, const char *value, unsigned attr)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC), mnt = -1;

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mnt = fsmount(fs, FSMOUNT_CLOEXEC, attr);
	if (mnt < 0)
		mnt = -errno;
	close(fs);
	return mnt;
}

/* Read-only, so that /proc/1/mem does not let a taken-over sentry write its own text. */
static int open_proc(struct confine_report *rep)
{
	int fd;

	if (rep->state[CONFINE_PID_NS] != 0)
		return rep->state[CONFINE_PID_NS];
	fd = new_mount("proc", "subset", "pid",
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return fd;
	host_set_proc_fd(fd);
	return 0;
}

/* ---- with a mount namespace ---- */

/* Mounts that are attached nowhere yet. */
struct trees {
	int root, host;
	int proc; /* not its own */
	int *bind;
	size_t count;
};

static void close_trees(struct trees *t)
{
	if (t->root >= 0)
		close(t->root);
	if (t->host >= 0)
		close(t->host);
	for (size_t i = 0; t->bind && i < t->count; i++)
		if (t->bind[i] >= 0)
			close(t->bind[i]);
	free(t->bind);
}

static int make_trees(struct trees *t, const struct confine_bind *root, struct confine_bind *binds, size_t count)
{
	*t = (struct trees){.root = -1, .host = -1, .proc = host_proc_fd(), .bind = calloc(count + 1, sizeof(*t->bind)), .count = count};
	if (!t->bind)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		t->bind[i] = -1;
	/* What is mounted here must not show outside, nor the other way round. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	t->host = copy_tree(root->dir_fd, "", true, true, NULL);
	if (t->host < 0)
		return t->host;
	for (size_t i = 0; i < count; i++) {
		if (binds[i].dir_fd < 0)
			continue;
		t->bind[i] = copy_tree(binds[i].dir_fd, "", binds[i].read_only, true, &binds[i].no_links);
		if (t->bind[i] < 0)
			return t->bind[i];
	}
	t->root = new_mount("tmpfs", "mode", "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return t->root < 0 ? t->root : 0;
}

static int attach_bind(int root, int tree, struct confine_bind *b, size_t index)
{
	char dir[32], file[64];
	struct stat st;
	int fd;

	if (fstat(tree, &st) < 0)
		return -errno;
	snprintf(dir, sizeof(dir), "bind%zu", index);
	if (mkdirat(root, dir, 0755) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return attach(tree, root, dir);
	/* A file is mounted on a file, and found again by name. */
	b->name = "file";
	snprintf(file, sizeof(file), "%s/%s", dir, b->name);
	fd = openat(root, file, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return attach(tree, root, file);
}

/* Covers a directory of the host's tree, if there is one, by an empty one. */
static int hide(int root, const char *path)
{
	struct stat st;
	int tree, r;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	tree = copy_tree(root, HIDDEN_DIR, true, false, NULL);
	if (tree < 0)
		return tree;
	r = attach(tree, root, path);
	close(tree);
	return r;
}

/* Puts the new root over the old one and everything into it: only what is attached takes mounts (before Linux 6.15). */
static int attach_trees(struct trees *t, struct confine_bind *binds)
{
	static const char *const hidden[] = {"host/proc", "host/sys", "host/dev"};
	int r = attach(t->root, AT_FDCWD, "/");

	if (r < 0)
		return r;
	if (mkdirat(t->root, "host", 0755) < 0 || mkdirat(t->root, HIDDEN_DIR, 0755) < 0)
		return -errno;
	r = attach(t->host, t->root, "host");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(hidden); i++)
		r = hide(t->root, hidden[i]);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		if (t->bind[i] >= 0)
			r = attach_bind(t->root, t->bind[i], &binds[i], i);
	if (r == 0 && t->proc >= 0)
		r = mkdirat(t->root, "proc", 0755) < 0 ? -errno : attach(t->proc, t->root, "proc");
	return r;
}

/* Makes t->root the root and lets go of the old one. */
static int change_root(const struct trees *t)
{
	if (fchdir(t->root) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (!help_wanted(true) && umount2(".", MNT_DETACH) < 0)
			return -errno;
	} else if (errno != EINVAL || chroot(".") < 0) { /* EINVAL: the old root is an initramfs, which stays */
		return -errno;
	}
	if (chdir("/") < 0)
		return -errno;
	return set_attributes(t->root, MOUNT_ATTR_RDONLY, false);
}

static int reopen(int *fd, const char *path)
{
	int new_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (new_fd < 0)
		return -errno;
	if (*fd >= 0)
		close(*fd);
	*fd = new_fd;
	return 0;
}

static int build_empty_root(struct confine_bind *root, struct confine_bind *binds, size_t count)
{
	struct trees t;
	char dir[32];
	int r = make_trees(&t, root, binds, count);

	if (r == 0)
		r = attach_trees(&t, binds);
	if (r == 0)
		r = change_root(&t);
	close_trees(&t);
	if (r == 0)
		r = reopen(&root->dir_fd, "/host");
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (binds[i].dir_fd < 0)
			continue;
		snprintf(dir, sizeof(dir), "/bind%zu", i);
		r = reopen(&binds[i].dir_fd, dir);
	}
	return r;
}

/* ---- without ---- */

/* A file is found by name in its directory, whatever else lies there: hostfs shows the guest just that name. */
static int open_parent(struct confine_bind *b)
{
	const char *slash = strrchr(b->source, '/');
	char *dir;
	int r;

	b->name = slash ? slash + 1 : b->source;
	if (!slash)
		return reopen(&b->dir_fd, ".");
	dir = strndup(b->source, (size_t)(slash - b->source) + 1);
	if (!dir)
		return -ENOMEM;
	r = reopen(&b->dir_fd, dir);
	free(dir);
	return r;
}

static int open_plainly(struct confine_bind *binds, size_t count)
{
	struct stat st;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		binds[i].name = NULL;
		binds[i].no_links = false;
		if (binds[i].dir_fd < 0)
			continue;
		if (fstat(binds[i].dir_fd, &st) < 0)
			r = -errno;
		else if (!S_ISDIR(st.st_mode))
			r = open_parent(&binds[i]);
	}
	return r;
}

static int open_source(struct confine_bind *b, int flags)
{
	b->name = NULL;
	b->dir_fd = open(b->source, O_PATH | O_CLOEXEC | flags);
	if (b->dir_fd >= 0 || (b->optional && (errno == ENOENT || errno == ENOTDIR)))
		return 0;
	b->error = -errno;
	return b->error;
}

int confine_root(struct confine_report *rep, struct confine_bind *root, struct confine_bind *binds, size_t count)
{
	int r = open_source(root, O_DIRECTORY); /* while names still mean what the caller means */

	for (size_t i = 0; r == 0 && i < count; i++)
		r = open_source(&binds[i], 0);
	if (r < 0)
		return r;
	rep->state[CONFINE_PROC] = open_proc(rep);
	rep->state[CONFINE_EMPTY_ROOT] = rep->state[CONFINE_MOUNT_NS];
	if (rep->state[CONFINE_MOUNT_NS] == 0)
		rep->state[CONFINE_EMPTY_ROOT] = build_empty_root(root, binds, count);
	(void)help_wanted(false); /* if it was not asked for */
	if (rep->state[CONFINE_EMPTY_ROOT] == 0)
		return 0;
	return open_plainly(binds, count);
}
