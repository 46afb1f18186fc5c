/*
 * The VFS over tmpfs and over a file system of this file's own, whose every name is a directory and which counts how often it
 * is asked.  What is expected is what Linux 6.18 answers.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "platform/ops.h"
#include "sentry/vfs/internal.h"
#include "sentry/vfs/windows.h"

/* Pipes and devices have tests of their own. */
int fifo_open(struct inode *i, struct file *f)
{
	return -ENXIO;
}

void fifo_release(struct inode *i)
{
}

int device_open(struct inode *i, struct file *f)
{
	return -ENXIO;
}

/* ---- a world: a tmpfs as root, and whoever asks ---- */

static struct path root;
static struct lookup as_root, as_user, as_other;
static const uint32_t no_groups[1];

static struct lookup somebody(uint32_t uid, uint32_t gid)
{
	return (struct lookup){fs_info_new(&root), fdtable_new(), cred_new(uid, gid, no_groups, 0)};
}

static void forget(struct lookup *l)
{
	fs_info_put(l->fs);
	fdtable_put(l->files);
	cred_put(l->cred);
}

static void setup(void)
{
	struct super_block *sb;

	ck_assert_int_eq(tmpfs_create(0, 0755, 0, 0, &sb), 0);
	ck_assert_int_eq(vfs_mount(NULL, sb, NULL, 0, "root", &root), 0);
	as_root = somebody(0, 0);
	as_user = somebody(1000, 1000);
	as_other = somebody(1001, 1001);
	as_root.fs->umask = as_user.fs->umask = as_other.fs->umask = 022;
}

static void teardown(void)
{
	forget(&as_root);
	forget(&as_user);
	forget(&as_other);
	ck_assert_int_eq(vfs_umount(NULL, &root, UMOUNT_DETACH), 0);
	path_put(&root);
}

static int try_open(const struct lookup *l, const char *name, uint32_t flags, uint32_t mode)
{
	struct file *f;
	int r = vfs_open(l, L_AT_FDCWD, name, flags, mode, 0, &f);

	if (r == 0)
		file_put(f);
	return r;
}

static struct file *must_open(const struct lookup *l, const char *name, uint32_t flags, uint32_t mode)
{
	struct file *f = NULL;

	ck_assert_int_eq(vfs_open(l, L_AT_FDCWD, name, flags, mode, 0, &f), 0);
	return f;
}

static void touch(const char *name)
{
	ck_assert_int_eq(try_open(&as_root, name, L_O_CREAT | L_O_WRONLY, 0644), 0);
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, name, 0755), 0);
}

static void make_link(const char *target, const char *name)
{
	ck_assert_int_eq(vfs_symlink(&as_root, target, L_AT_FDCWD, name), 0);
}

static struct path must_find(const char *name)
{
	struct path p = {NULL, NULL};

	ck_assert_int_eq(vfs_resolve(&as_root, L_AT_FDCWD, name, 0, 0, &p), 0);
	return p;
}

static void chmod_to(const char *name, uint32_t mode)
{
	struct path p = must_find(name);

	ck_assert_int_eq(vfs_chmod(&p, mode, as_root.cred), 0);
	path_put(&p);
}

static void chown_to(const char *name, uint32_t uid, uint32_t gid)
{
	struct path p = must_find(name);

	ck_assert_int_eq(vfs_chown(&p, uid, gid, as_root.cred), 0);
	path_put(&p);
}

static int find(const struct lookup *l, const char *name, unsigned flags, uint64_t resolve)
{
	struct path p;
	int r = vfs_resolve(l, L_AT_FDCWD, name, flags, resolve, &p);

	if (r == 0)
		path_put(&p);
	return r;
}

/* ---- open, read, write ---- */

START_TEST(read_and_write)
{
	struct file *f = must_open(&as_root, "/f", L_O_CREAT | L_O_RDWR | L_O_EXCL, 0666);
	char buf[16] = "hello";
	struct uio u = uio_kernel(buf, 5);

	ck_assert_int_eq(file_write(f, &u), 5);
	ck_assert_int_eq(f->pos, 5);
	ck_assert_int_eq(file_lseek(f, 1, L_SEEK_SET), 1);
	u = uio_kernel(buf, sizeof(buf));
	ck_assert_int_eq(file_read(f, &u), 4);
	ck_assert_mem_eq(buf, "ello", 4);
	u = uio_kernel(buf, sizeof(buf));
	ck_assert_int_eq(file_read(f, &u), 0);
	ck_assert_int_eq(file_lseek(f, -6, L_SEEK_END), -EINVAL);
	ck_assert_int_eq(file_lseek(f, 2, L_SEEK_END), 7);
	ck_assert_int_eq(file_lseek(f, 0, 9), -EINVAL);
	u = uio_kernel(buf, 4);
	ck_assert_int_eq(file_pread(f, &u, 0), 4);
	ck_assert_mem_eq(buf, "hell", 4);
	ck_assert_int_eq(file_pread(f, &u, -1), -EINVAL);
	ck_assert_int_eq(f->inode->mode & 07777, 0644);
	file_put(f);

	f = must_open(&as_root, "/f", L_O_WRONLY | L_O_APPEND, 0);
	u = uio_kernel((char[]){'!'}, 1);
	ck_assert_int_eq(file_write(f, &u), 1);
	ck_assert_int_eq(f->pos, 6);
	u = uio_kernel(buf, 1);
	ck_assert_int_eq(file_read(f, &u), -EBADF);
	file_put(f);
	f = must_open(&as_root, "/f", L_O_RDONLY | L_O_TRUNC, 0);
	ck_assert_int_eq(f->inode->size, 0);
	u = uio_kernel(buf, 1);
	ck_assert_int_eq(file_write(f, &u), -EBADF);
	file_put(f);
}
END_TEST

START_TEST(open_errors)
{
	touch("/f");
	make_dir("/d");
	make_link("f", "/to_f");
	make_link("absent", "/dangling");
	make_link("new", "/to_new");
	make_link("loop", "/loop");
	make_link("d", "/to_d");

	static const struct { const char *name; uint32_t flags; int expect; } cases[] = {
		{"/absent", L_O_RDONLY, -ENOENT},
		{"", L_O_RDONLY, -ENOENT},
		{"/f/x", L_O_RDONLY, -ENOTDIR},
		{"/f/", L_O_RDONLY, -ENOTDIR},
		{"/f/x", L_O_RDONLY | L_O_CREAT, -ENOTDIR},
		{"/absent/x", L_O_RDONLY | L_O_CREAT, -ENOENT},
		{"/d", L_O_RDONLY, 0},
		{"/d/", L_O_RDONLY, 0},
		{"/d", L_O_WRONLY, -EISDIR},
		{"/d", L_O_RDONLY | L_O_TRUNC, -EISDIR},
		{"/d", L_O_RDONLY | L_O_CREAT, -EISDIR},
		{"/.", L_O_RDONLY | L_O_CREAT, -EISDIR},
		{"/d", L_O_RDONLY | L_O_CREAT | L_O_EXCL, -EEXIST},
		{"/f", L_O_RDONLY | L_O_CREAT | L_O_EXCL, -EEXIST},
		{"/new/", L_O_RDONLY | L_O_CREAT, -EISDIR},
		{"/f/", L_O_RDONLY | L_O_CREAT, -EISDIR},
		{"/f", L_O_RDONLY | L_O_DIRECTORY, -ENOTDIR},
		{"/d", L_O_RDONLY | L_O_DIRECTORY, 0},
		{"/x", L_O_RDONLY | L_O_DIRECTORY | L_O_CREAT, -EINVAL},
		{"/to_f", L_O_RDONLY, 0},
		{"/to_f", L_O_RDONLY | L_O_NOFOLLOW, -ELOOP},
		{"/to_f", L_O_RDONLY | L_O_NOFOLLOW | L_O_CREAT, -ELOOP},
		{"/to_d", L_O_RDONLY | L_O_NOFOLLOW | L_O_DIRECTORY, -ENOTDIR},
		{"/to_d/", L_O_RDONLY | L_O_NOFOLLOW, 0},
		{"/to_f", L_O_PATH | L_O_NOFOLLOW, 0},
		{"/to_f/", L_O_RDONLY, -ENOTDIR},
		{"/dangling", L_O_RDONLY, -ENOENT},
		{"/dangling", L_O_RDONLY | L_O_CREAT | L_O_EXCL, -EEXIST},
		{"/to_new", L_O_RDONLY | L_O_CREAT, 0},
		{"/new", L_O_RDONLY, 0},
		{"/loop", L_O_RDONLY, -ELOOP},
		{"/loop", L_O_RDONLY | L_O_CREAT, -ELOOP},
		{"/d", L_O_TMPFILE | L_O_RDONLY, -EINVAL},
		{"/d", L_O_TMPFILE | L_O_RDWR, 0},
		{"/f", L_O_TMPFILE | L_O_RDWR, -ENOTDIR},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = try_open(&as_root, cases[i].name, cases[i].flags, 0600);

		ck_assert_msg(r == cases[i].expect, "open(%s, %o) = %d, not %d", cases[i].name, cases[i].flags, r,
			      cases[i].expect);
	}
}
END_TEST

/* ---- the walk ---- */

START_TEST(walking)
{
	char name[L_NAME_MAX + 3], text[16];

	make_dir("/a");
	make_dir("/a/b");
	make_link("/a/b", "/a/abs");
	make_link("../a/./b/", "/a/rel");
	make_link("a", "/s");
	ck_assert_int_eq(find(&as_root, "/a/b/../../a//b/./", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/../../a", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "s/rel/../abs/..", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/a/absent/..", 0, 0), -ENOENT);
	ck_assert_int_eq(find(&as_root, "", 0, 0), -ENOENT);
	ck_assert_int_eq(find(&as_root, "", LOOKUP_EMPTY, 0), 0);
	ck_assert_int_eq(find(&as_root, "s", LOOKUP_DIRECTORY, 0), -ENOTDIR);
	ck_assert_int_eq(find(&as_root, "s", LOOKUP_DIRECTORY | LOOKUP_FOLLOW, 0), 0);

	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[L_NAME_MAX + 2] = '\0';
	ck_assert_int_eq(find(&as_root, name, 0, 0), -ENAMETOOLONG);
	name[L_NAME_MAX + 1] = '\0';
	ck_assert_int_eq(find(&as_root, name, 0, 0), -ENOENT);

	/* 40 links in a row are followed, 41 are not. */
	make_link("/a", "/l0");
	for (int i = 1; i <= 40; i++) {
		snprintf(name, sizeof(name), "/l%d", i);
		snprintf(text, sizeof(text), "l%d", i - 1);
		make_link(text, name);
	}
	ck_assert_int_eq(find(&as_root, "/l39", LOOKUP_FOLLOW, 0), 0);
	ck_assert_int_eq(find(&as_root, "/l40", LOOKUP_FOLLOW, 0), -ELOOP);
	ck_assert_int_eq(find(&as_root, "/l39/b", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/l40/b", 0, 0), -ELOOP);
}
END_TEST

START_TEST(resolve_flags)
{
	struct super_block *sb;
	struct path p;

	make_dir("/a");
	make_dir("/a/b");
	make_dir("/m");
	make_link("/a", "/a/abs");
	make_link("../..", "/a/b/up");
	make_link("b", "/a/in");
	ck_assert_int_eq(tmpfs_create(0, 0755, 0, 0, &sb), 0);
	p = must_find("/m");
	ck_assert_int_eq(vfs_mount(NULL, sb, &p, 0, "m", NULL), 0);
	path_put(&p);
	p = must_find("/a");
	fs_info_set_cwd(as_root.fs, &p);
	path_put(&p);

	static const struct { const char *name; uint64_t resolve; int expect; } cases[] = {
		{"b/../b", L_RESOLVE_BENEATH, 0},
		{"..", L_RESOLVE_BENEATH, -EXDEV},
		{"b/../../a", L_RESOLVE_BENEATH, -EXDEV},
		{"/a", L_RESOLVE_BENEATH, -EXDEV},
		{"abs", L_RESOLVE_BENEATH, -EXDEV},
		{"in", L_RESOLVE_BENEATH, 0},
		{"b/up", L_RESOLVE_BENEATH, -EXDEV},
		{"..", L_RESOLVE_IN_ROOT, 0},
		{"/b", L_RESOLVE_IN_ROOT, 0},
		{"abs", L_RESOLVE_IN_ROOT, -ENOENT},
		{"b/up/b", L_RESOLVE_IN_ROOT, 0},
		{"in", L_RESOLVE_NO_SYMLINKS, -ELOOP},
		{"in/..", L_RESOLVE_NO_SYMLINKS, -ELOOP},
		{"in", L_RESOLVE_NO_MAGICLINKS, 0},
		{"/m", L_RESOLVE_NO_XDEV, -EXDEV},
		{"../m/..", L_RESOLVE_NO_XDEV, -EXDEV},
		{"b", L_RESOLVE_CACHED, 0},
		{"nobody_asked_for_this", L_RESOLVE_CACHED, -EAGAIN},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = find(&as_root, cases[i].name, LOOKUP_FOLLOW, cases[i].resolve);

		ck_assert_msg(r == cases[i].expect, "%s with %lx: %d, not %d", cases[i].name,
			      (unsigned long)cases[i].resolve, r, cases[i].expect);
	}
}
END_TEST

/* ---- permission ---- */

START_TEST(permissions)
{
	struct path p;

	make_dir("/closed");
	touch("/closed/f");
	chmod_to("/closed", 0700);
	ck_assert_int_eq(try_open(&as_user, "/closed/f", L_O_RDONLY, 0), -EACCES);
	ck_assert_int_eq(try_open(&as_root, "/closed/f", L_O_RDONLY, 0), 0);
	touch("/f");
	ck_assert_int_eq(try_open(&as_user, "/f", L_O_RDONLY, 0), 0);
	ck_assert_int_eq(try_open(&as_user, "/f", L_O_WRONLY, 0), -EACCES);
	ck_assert_int_eq(try_open(&as_user, "/f", L_O_RDONLY | L_O_TRUNC, 0), -EACCES);
	ck_assert_int_eq(try_open(&as_user, "/f", L_O_RDONLY | L_O_NOATIME, 0), -EPERM);
	ck_assert_int_eq(try_open(&as_user, "/new", L_O_CREAT | L_O_RDWR, 0600), -EACCES);

	/* The owner's bits bind the owner, though others may more. */
	chown_to("/f", 1000, 1000);
	chmod_to("/f", 0077);
	ck_assert_int_eq(try_open(&as_user, "/f", L_O_RDONLY, 0), -EACCES);
	ck_assert_int_eq(try_open(&as_other, "/f", L_O_RDONLY, 0), 0);
	chmod_to("/f", 0604);
	p = must_find("/f");
	ck_assert_int_eq(vfs_permission(&p, MAY_EXEC, as_root.cred), -EACCES);
	ck_assert_int_eq(vfs_permission(&p, MAY_READ | MAY_WRITE, as_root.cred), 0);
	ck_assert_int_eq(vfs_chmod(&p, 0777, as_other.cred), -EPERM);
	ck_assert_int_eq(vfs_chown(&p, 1001, (uint32_t)-1, as_user.cred), -EPERM);
	ck_assert_int_eq(vfs_chown(&p, (uint32_t)-1, 1000, as_user.cred), 0);
	ck_assert_int_eq(vfs_chown(&p, (uint32_t)-1, 7, as_user.cred), -EPERM);
	path_put(&p);
}
END_TEST

START_TEST(special_bits)
{
	struct path p;
	struct l_statx st = {0};

	/* Sticky: only the file's owner, the directory's and root remove. */
	make_dir("/tmp");
	chmod_to("/tmp", 01777);
	ck_assert_int_eq(try_open(&as_user, "/tmp/mine", L_O_CREAT | L_O_RDWR, 0666), 0);
	ck_assert_int_eq(vfs_unlink(&as_other, L_AT_FDCWD, "/tmp/mine"), -EPERM);
	ck_assert_int_eq(vfs_rename(&as_other, L_AT_FDCWD, "/tmp/mine", L_AT_FDCWD, "/tmp/yours", 0), -EPERM);
	ck_assert_int_eq(vfs_unlink(&as_user, L_AT_FDCWD, "/tmp/mine"), 0);

	/* Set-group-ID directories give their group, and themselves to directories. */
	make_dir("/g");
	chown_to("/g", 0, 50);
	chmod_to("/g", 02777);
	ck_assert_int_eq(vfs_mkdir(&as_user, L_AT_FDCWD, "/g/d", 0755), 0);
	p = must_find("/g/d");
	ck_assert_int_eq(vfs_getattr(&p, &st), 0);
	ck_assert_int_eq(st.stx_gid, 50);
	ck_assert_int_eq(st.stx_mode, L_S_IFDIR | 02755);
	path_put(&p);
	ck_assert_int_eq(try_open(&as_user, "/g/f", L_O_CREAT | L_O_RDWR, 02775), 0);
	p = must_find("/g/f");
	ck_assert_int_eq(vfs_getattr(&p, &st), 0);
	ck_assert_int_eq(st.stx_mode, L_S_IFREG | 0755);

	/* A change of owner takes set-user-ID away, even from root. */
	ck_assert_int_eq(vfs_chmod(&p, 04755, as_root.cred), 0);
	ck_assert_int_eq(vfs_chown(&p, 1, 1, as_root.cred), 0);
	ck_assert_int_eq(p.dentry->inode->mode & 07777, 0755);
	path_put(&p);
}
END_TEST

START_TEST(times)
{
	struct l_timespec ts[2] = {{1, 2}, {3, L_UTIME_OMIT}};
	struct l_timespec now[2] = {{0, L_UTIME_NOW}, {0, L_UTIME_NOW}};
	struct path p;

	touch("/f");
	chmod_to("/f", 0666);
	p = must_find("/f");
	ck_assert_int_eq(vfs_utimes(&p, ts, as_root.cred), 0);
	ck_assert_int_eq(p.dentry->inode->atime.tv_sec, 1);
	ck_assert_int_eq(vfs_utimes(&p, ts, as_user.cred), -EPERM);
	ck_assert_int_eq(vfs_utimes(&p, now, as_user.cred), 0);
	ck_assert_int_eq(vfs_utimes(&p, NULL, as_user.cred), 0);
	chmod_to("/f", 0644);
	ck_assert_int_eq(vfs_utimes(&p, NULL, as_user.cred), -EACCES);
	ts[0].tv_nsec = 1000000000;
	ck_assert_int_eq(vfs_utimes(&p, ts, as_root.cred), -EINVAL);
	path_put(&p);
}
END_TEST

/* ---- changes of the tree ---- */

START_TEST(tree_errors)
{
	make_dir("/d");
	make_dir("/d/full");
	touch("/d/full/f");
	touch("/f");
	make_link("d", "/l");

	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/d", 0755), -EEXIST);
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/", 0755), -EEXIST);
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/d/.", 0755), -EEXIST);
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/l", 0755), -EEXIST);
	ck_assert_int_eq(vfs_mkdir(&as_user, L_AT_FDCWD, "/d", 0755), -EEXIST);
	ck_assert_int_eq(vfs_mkdir(&as_user, L_AT_FDCWD, "/n", 0755), -EACCES);
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/d/slash/", 0755), 0);
	ck_assert_int_eq(vfs_symlink(&as_root, "x", L_AT_FDCWD, "/n/"), -ENOENT);
	ck_assert_int_eq(vfs_symlink(&as_root, "", L_AT_FDCWD, "/n"), -ENOENT);
	ck_assert_int_eq(vfs_mknod(&as_user, L_AT_FDCWD, "/n", L_S_IFCHR, 1), -EACCES);
	ck_assert_int_eq(vfs_mknod(&as_root, L_AT_FDCWD, "/n", L_S_IFDIR, 1), -EPERM);
	ck_assert_int_eq(vfs_link(&as_root, L_AT_FDCWD, "/d", L_AT_FDCWD, "/n", 0), -EPERM);
	ck_assert_int_eq(vfs_link(&as_root, L_AT_FDCWD, "/f", L_AT_FDCWD, "/d", 0), -EEXIST);

	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/d"), -EISDIR);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/f/"), -ENOTDIR);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/absent"), -ENOENT);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/"), -EISDIR);
	ck_assert_int_eq(vfs_unlink(&as_user, L_AT_FDCWD, "/f"), -EACCES);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/d/full"), -ENOTEMPTY);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/d/."), -EINVAL);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/d/.."), -ENOTEMPTY);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/"), -EBUSY);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/f"), -ENOTDIR);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/l"), -ENOTDIR);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/d/slash"), 0);
	ck_assert_int_eq(find(&as_root, "/d/slash", 0, 0), -ENOENT);
}
END_TEST

START_TEST(hard_links)
{
	struct path p;

	touch("/f");
	ck_assert_int_eq(vfs_link(&as_root, L_AT_FDCWD, "/f", L_AT_FDCWD, "/g", 0), 0);
	p = must_find("/g");
	ck_assert_int_eq(p.dentry->inode->nlink, 2);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/f"), 0);
	ck_assert_int_eq(p.dentry->inode->nlink, 1);
	path_put(&p);
}
END_TEST

START_TEST(renames)
{
	make_dir("/a");
	make_dir("/a/b");
	make_dir("/empty");
	make_dir("/full");
	touch("/full/f");
	touch("/f");
	touch("/g");
	ck_assert_int_eq(vfs_link(&as_root, L_AT_FDCWD, "/f", L_AT_FDCWD, "/f2", 0), 0);

	static const struct { const char *from, *to; unsigned flags; int expect; } cases[] = {
		{"/absent", "/x", 0, -ENOENT},
		{"/a", "/a/b/c", 0, -EINVAL},
		{"/a/b", "/a", 0, -ENOTEMPTY},
		{"/a/b", "/a", L_RENAME_EXCHANGE, -EINVAL},
		{"/a", "/f", 0, -ENOTDIR},
		{"/f", "/a", 0, -EISDIR},
		{"/f/", "/x", 0, -ENOTDIR},
		{"/f", "/x/", 0, -ENOTDIR},
		{"/a", "/full", 0, -ENOTEMPTY},
		{"/a/.", "/x", 0, -EBUSY},
		{"/a", "/x/..", 0, -ENOENT},
		{"/a", "/full/..", 0, -EBUSY},
		{"/f", "/g", L_RENAME_NOREPLACE, -EEXIST},
		{"/f", "/x", L_RENAME_EXCHANGE, -ENOENT},
		{"/f", "/x", L_RENAME_EXCHANGE | L_RENAME_NOREPLACE, -EINVAL},
		{"/f", "/x", 64, -EINVAL},
		{"/f", "/f", 0, 0},
		{"/f", "/f2", 0, 0},
		{"/f", "/g", 0, 0},
		{"/a", "/empty", 0, 0},
		{"/empty/b", "/b/", 0, 0},
		{"/b", "/g", L_RENAME_EXCHANGE, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = vfs_rename(&as_root, L_AT_FDCWD, cases[i].from, L_AT_FDCWD, cases[i].to, cases[i].flags);

		ck_assert_msg(r == cases[i].expect, "rename(%s, %s, %u) = %d, not %d", cases[i].from, cases[i].to,
			      cases[i].flags, r, cases[i].expect);
	}
	ck_assert_int_eq(find(&as_root, "/f", 0, 0), -ENOENT);
	ck_assert_int_eq(find(&as_root, "/f2", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/a", 0, 0), -ENOENT);
	ck_assert_int_eq(find(&as_root, "/empty/b", 0, 0), -ENOENT);
	ck_assert_int_eq(find(&as_root, "/g/", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/b/", 0, 0), -ENOTDIR);
}
END_TEST

static void expect_name(const struct path *p, const struct path *from, const char *expect)
{
	char buf[L_PATH_MAX];

	ck_assert_int_eq(vfs_path_name(p, from, buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, expect);
}

START_TEST(names)
{
	struct path d, f;
	char small[7], marked[64];

	make_dir("/d");
	touch("/d/file");
	d = must_find("/d");
	f = must_find("/d/file");
	expect_name(&root, &root, "/");
	expect_name(&f, &root, "/d/file");
	expect_name(&f, &d, "/file");
	expect_name(&d, &d, "/");
	expect_name(&root, &d, "/");
	ck_assert_int_eq(vfs_path_name_marked(&root, &d, marked, sizeof(marked)), 0);
	ck_assert_str_eq(marked, "(unreachable)/");
	ck_assert_int_eq(vfs_path_name(&f, &root, small, sizeof(small)), -ENAMETOOLONG);
	ck_assert_int_eq(vfs_rename(&as_root, L_AT_FDCWD, "/d", L_AT_FDCWD, "/e", 0), 0);
	expect_name(&f, &root, "/e/file");
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/e/file"), 0);
	expect_name(&f, &root, "/e/file (deleted)");
	touch("/e/file");
	expect_name(&f, &root, "/e/file (deleted)");
	path_put(&f);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/e/file"), 0);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/e"), 0);

	/* Nothing can be made in a directory that is gone. */
	fs_info_set_cwd(as_root.fs, &d);
	path_put(&d);
	ck_assert_int_eq(try_open(&as_root, "x", L_O_CREAT | L_O_RDWR, 0600), -ENOENT);
	ck_assert_int_eq(find(&as_root, ".", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "..", 0, 0), 0);
}
END_TEST

START_TEST(tmpfile_gets_a_name)
{
	struct file *f = must_open(&as_root, "/", L_O_TMPFILE | L_O_RDWR, 0600);
	int fd = fd_install(as_root.files, file_get(f), 0, 100, false);

	ck_assert_int_eq(f->inode->nlink, 0);
	ck_assert_int_eq(vfs_link(&as_root, fd, "", L_AT_FDCWD, "/named", L_AT_EMPTY_PATH), 0);
	ck_assert_int_eq(f->inode->nlink, 1);
	ck_assert_int_eq(find(&as_root, "/named", 0, 0), 0);
	file_put(f);
	ck_assert_int_eq(fd_close(as_root.files, fd), 0);

	f = must_open(&as_root, "/", L_O_TMPFILE | L_O_RDWR | L_O_EXCL, 0600);
	fd = fd_install(as_root.files, f, 0, 100, false);
	ck_assert_int_eq(vfs_link(&as_root, fd, "", L_AT_FDCWD, "/never", L_AT_EMPTY_PATH), -ENOENT);
}
END_TEST

START_TEST(text_busy)
{
	struct file *w, *x;

	touch("/prog");
	chmod_to("/prog", 0755);
	w = must_open(&as_root, "/prog", L_O_WRONLY, 0);
	ck_assert_int_eq(vfs_open_exec(&as_root, L_AT_FDCWD, "/prog", 0, &x), -ETXTBSY);
	file_put(w);
	ck_assert_int_eq(vfs_open_exec(&as_root, L_AT_FDCWD, "/prog", 0, &x), 0);
	ck_assert_int_eq(try_open(&as_root, "/prog", L_O_WRONLY, 0), -ETXTBSY);
	ck_assert_int_eq(try_open(&as_root, "/prog", L_O_RDONLY, 0), 0);
	file_put(x);
	ck_assert_int_eq(try_open(&as_root, "/prog", L_O_WRONLY, 0), 0);
	chmod_to("/prog", 0644);
	ck_assert_int_eq(vfs_open_exec(&as_root, L_AT_FDCWD, "/prog", 0, &x), -EACCES);
	ck_assert_int_eq(vfs_open_exec(&as_root, L_AT_FDCWD, "/", 0, &x), -EACCES);
}
END_TEST

/* ---- mounts ---- */

START_TEST(mounts)
{
	struct super_block *sb;
	struct path at, top, sub;
	char *text;
	size_t len;

	make_dir("/m");
	make_dir("/m/under");
	make_dir("/b");
	at = must_find("/m");
	ck_assert_int_eq(tmpfs_create(0, 0755, 0, 0, &sb), 0);
	ck_assert_int_eq(vfs_mount(NULL, sb, &at, MNT_NODEV, "a b", NULL), 0);
	path_put(&at);
	ck_assert_int_eq(find(&as_root, "/m/under", 0, 0), -ENOENT);
	make_dir("/m/sub");
	ck_assert_int_eq(find(&as_root, "/m/sub/../../m/sub", 0, 0), 0);
	sub = must_find("/m/sub");
	expect_name(&sub, &root, "/m/sub");
	ck_assert_int_eq(vfs_show_mounts(&root, false, &text, &len), 0);
	ck_assert_str_eq(text, "root / tmpfs rw,relatime 0 0\na\\040b /m tmpfs rw,nodev,relatime 0 0\n");
	free(text);

	/* No crossing by link or rename, no removal of what carries a mount. */
	touch("/f");
	ck_assert_int_eq(vfs_link(&as_root, L_AT_FDCWD, "/f", L_AT_FDCWD, "/m/f", 0), -EXDEV);
	ck_assert_int_eq(vfs_rename(&as_root, L_AT_FDCWD, "/f", L_AT_FDCWD, "/m/f", 0), -EXDEV);
	ck_assert_int_eq(vfs_rmdir(&as_root, L_AT_FDCWD, "/m"), -EBUSY);
	ck_assert_int_eq(vfs_rename(&as_root, L_AT_FDCWD, "/m", L_AT_FDCWD, "/n", 0), -EBUSY);

	/* A read-only bind of part of it. */
	at = must_find("/b");
	ck_assert_int_eq(vfs_bind(NULL, &sub, &at, false, MNT_RDONLY), 0);
	path_put(&at);
	ck_assert_int_eq(try_open(&as_root, "/b/x", L_O_CREAT | L_O_RDWR, 0600), -EROFS);
	ck_assert_int_eq(try_open(&as_root, "/m/sub/x", L_O_CREAT | L_O_RDWR, 0600), 0);
	ck_assert_int_eq(try_open(&as_root, "/b/x", L_O_RDONLY, 0), 0);
	ck_assert_int_eq(try_open(&as_root, "/b/x", L_O_RDWR, 0), -EROFS);
	ck_assert_int_eq(vfs_mkdir(&as_root, L_AT_FDCWD, "/b/x", 0700), -EEXIST);
	ck_assert_int_eq(vfs_unlink(&as_root, L_AT_FDCWD, "/b/x"), -EROFS);

	top = must_find("/m");
	ck_assert_int_eq(vfs_umount(NULL, &top, 0), -EBUSY);
	path_put(&sub);
	ck_assert_int_eq(vfs_umount(NULL, &top, 0), 0);
	path_put(&top);
	ck_assert_int_eq(find(&as_root, "/m/under", 0, 0), 0);
	ck_assert_int_eq(find(&as_root, "/b/x", 0, 0), 0);
}
END_TEST

START_TEST(bind_recursive)
{
	struct super_block *sb;
	struct path at, src;

	make_dir("/src");
	make_dir("/src/m");
	make_dir("/dst");
	at = must_find("/src/m");
	ck_assert_int_eq(tmpfs_create(0, 0755, 0, 0, &sb), 0);
	ck_assert_int_eq(vfs_mount(NULL, sb, &at, 0, "inner", NULL), 0);
	path_put(&at);
	touch("/src/m/f");
	src = must_find("/src");
	at = must_find("/dst");
	ck_assert_int_eq(vfs_bind(NULL, &src, &at, false, 0), 0);
	ck_assert_int_eq(find(&as_root, "/dst/m/f", 0, 0), -ENOENT);
	ck_assert_int_eq(vfs_bind(NULL, &src, &at, true, 0), 0);
	ck_assert_int_eq(find(&as_root, "/dst/m/f", 0, 0), 0);
	path_put(&src);
	path_put(&at);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(descriptors)
{
	struct fdtable *t = as_root.files, *copy;
	struct file *f = must_open(&as_root, "/", L_O_RDONLY, 0), *g;
	bool cloexec;

	for (int i = 0; i < 130; i++)
		ck_assert_int_eq(fd_install(t, file_get(f), 0, 1024, i & 1), i);
	ck_assert_int_eq(fd_close(t, 70), 0);
	ck_assert_int_eq(fd_close(t, 70), -EBADF);
	ck_assert_int_eq(fd_close(t, -1), -EBADF);
	ck_assert_int_eq(fd_close(t, 3), 0);
	ck_assert_int_eq(fd_install(t, file_get(f), 10, 1024, false), 70);
	ck_assert_int_eq(fd_install(t, file_get(f), 0, 1024, false), 3);
	ck_assert_int_eq(fd_install(t, f, 0, 130, false), -EMFILE);
	ck_assert_int_eq(fd_replace(t, file_get(f), 500, 1024, true), 500);
	ck_assert_int_eq(fd_replace(t, file_get(f), 1024, 1024, true), -EBADF);
	ck_assert_int_eq(fd_get_cloexec(t, 500), 1);
	ck_assert_int_eq(fd_get_cloexec(t, 499), -EBADF);

	ck_assert_int_eq(fdtable_copy(t, &copy), 0);
	fdtable_close_on_exec(copy);
	ck_assert_int_eq(fdtable_next(copy, 1, &g, &cloexec), 2);
	file_put(g);
	ck_assert_ptr_null(fd_lookup(copy, 500));
	fd_close_range(copy, 4, UINT32_MAX, false);
	ck_assert_int_eq(fdtable_next(copy, 4, NULL, NULL), -1);
	fdtable_put(copy);
	g = fd_lookup(t, 500);
	ck_assert_ptr_eq(f, g);
	file_put(g);

	/* An O_PATH descriptor is good for paths alone. */
	g = must_open(&as_root, "/", L_O_PATH, 0);
	ck_assert_int_eq(fd_replace(t, g, 0, 1024, false), 0);
	ck_assert_ptr_null(fd_lookup(t, 0));
	file_put(f);
}
END_TEST

/* ---- lent positions ---- */

/* As lseek(2) does, count times; whether the position is lent then. */
static bool seek_often(struct fdtable *t, int fd, struct pctx_position *at, int count)
{
	while (count-- > 0) {
		struct file *f = fd_lookup(t, fd);

		ck_assert_int_eq(file_lseek(f, 5, L_SEEK_SET), 5);
		fd_note_seek(t, fd, f, at);
		file_put(f);
	}
	return at->pos >= 0 && at->fd == fd;
}

START_TEST(lent_positions)
{
	struct file *f = must_open(&as_root, "/f", L_O_CREAT | L_O_RDWR | L_O_EXCL, 0666), *g;
	struct pctx_position at = {PCTX_NO_POSITION, -1}, other = {PCTX_NO_POSITION, -1};
	struct fdtable *t = fdtable_new(), *copy;
	int fd = fd_install(t, f, 0, 64, false);

	ck_assert(!seek_often(t, fd, &at, 4));
	ck_assert(seek_often(t, fd, &at, 10));
	ck_assert_int_eq(at.pos, 5);
	/* What the thread left there is the position, unless it cannot be. */
	at.pos = 77;
	g = fd_lookup(t, fd);
	ck_assert_int_eq(at.pos, PCTX_NO_POSITION);
	ck_assert_int_eq(g->pos, 77);
	file_put(g);
	ck_assert(seek_often(t, fd, &at, 10));
	at.pos = INT64_MIN;
	fdtable_recall(t);
	ck_assert_int_eq(at.pos, PCTX_NO_POSITION);
	ck_assert_int_eq(f->pos, 5);
	/* One borrower at a time. */
	ck_assert(seek_often(t, fd, &at, 10));
	ck_assert(seek_often(t, fd, &other, 10));
	ck_assert_int_eq(at.pos, PCTX_NO_POSITION);
	/* Nobody else may have the file. */
	ck_assert_int_eq(fdtable_copy(t, &copy), 0);
	ck_assert_int_eq(other.pos, PCTX_NO_POSITION);
	ck_assert(!seek_often(t, fd, &at, 10));
	fdtable_put(copy);
	ck_assert(seek_often(t, fd, &at, 10));
	ck_assert_int_eq(fd_close(t, fd), 0);
	ck_assert_int_eq(at.pos, PCTX_NO_POSITION);
	fdtable_put(t);
}
END_TEST

/* ---- files that are lent to those who read them ---- */

static int windows_mapped;

static int map_window(struct pctx *via, unsigned i, int host_fd, uint64_t off)
{
	windows_mapped++;
	ck_assert_int_ge(host_fd, 0);
	ck_assert_int_eq(off % (32 << 20), 0);
	return 0;
}

static const struct platform_ops window_ops = {.window_map = map_window};
static struct platform window_platform = {.ops = &window_ops};
static struct pas window_space = {.pf = &window_platform};
static struct pctx window_ctx = {.as = &window_space};

/* As pread(2) and read(2) do, until it is lent or will not be. */
static bool read_often(struct fdtable *t, struct fd_windows *w, int fd, int64_t pos)
{
	struct file *f = fd_lookup(t, fd);
	bool lent = false;
	char c;

	for (int i = 0; i < 200 && !lent; i++) {
		ck_assert_int_ge(vfs_read_kernel(f, &c, 1, pos), 0);
		usleep(500); /* times are coarse: for a while after a write each read leaves one behind */
		switch (fd_note_read(t, fd, f, pos)) {
		case READS_SELDOM:
			break;
		case READS_LENT:
			lent = true;
			break;
		case READS_OFTEN:
			lent = fd_lend_window(t, w, &window_ctx, fd, f, pos);
		}
	}
	file_put(f);
	return lent;
}

START_TEST(lent_reads)
{
	struct file *f = must_open(&as_root, "/lent", L_O_CREAT | L_O_RDWR | L_O_EXCL, 0666);
	struct pas_window *records = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fd_windows *w = fd_windows_new(records);
	struct fdtable *t = fdtable_new(), *copy;
	struct uio u = uio_kernel((char *)"0123456789", 10);
	struct iattr a = {.valid = ATTR_SIZE, .size = 4};
	const struct pas_window *r;
	int fd = fd_install(t, f, 0, 64, false), other;
	struct file *g;
	uint64_t loan;

	r = &records[fd];
	windows_mapped = 0;
	ck_assert_int_eq(file_pwrite(f, &u, 0), 10);
	ck_assert(fdtable_set_windows(t, w));
	ck_assert(!fdtable_set_windows(t, w));
	ck_assert(read_often(t, w, fd, 0));
	ck_assert(r->loan && r->fd == fd && r->size == 10 && r->span == 10 && r->first == 0);
	ck_assert_int_eq(windows_mapped, 1);
	/* What changes the file takes it back; the next loan is another, of what is mapped already. */
	loan = r->loan;
	u = uio_kernel((char *)"ab", 2);
	ck_assert_int_eq(file_pwrite(f, &u, 9), 2);
	ck_assert_int_eq(r->loan, 0);
	ck_assert(read_often(t, w, fd, 0));
	ck_assert(r->loan && r->loan != loan && r->size == 11);
	mutex_lock(&f->inode->lock);
	ck_assert_int_eq(setattr_locked(f->inode, &a), 0);
	ck_assert_int_eq(r->loan, 0);
	mutex_unlock(&f->inode->lock);
	ck_assert(read_often(t, w, fd, 0));
	ck_assert_int_eq(r->size, 4);
	/* A hole is not lent. */
	u = uio_kernel((char *)"h", 1);
	ck_assert_int_eq(file_pwrite(f, &u, 3 * 4096), 1);
	ck_assert(read_often(t, w, fd, 0));
	ck_assert_int_eq(r->size, 3 * 4096 + 1);
	ck_assert_int_eq(r->span, 4096);
	ck_assert_int_eq(windows_mapped, 1);
	lends_recall_all();
	ck_assert_int_eq(r->loan, 0);
	ck_assert(read_often(t, w, fd, 0));
	/* Another descriptor of the same window, and back. */
	other = fd_install(t, file_get(f), 16 + fd, 64, false);
	ck_assert_int_eq(other, 16 + fd);
	ck_assert(read_often(t, w, other, 0));
	ck_assert_int_eq(r->fd, other);
	ck_assert_int_eq(windows_mapped, 2);
	ck_assert(read_often(t, w, fd, 0));
	ck_assert_int_eq(fd_close(t, other), 0);
	ck_assert(r->loan);
	ck_assert_int_eq(fdtable_take_stale(t), 0);
	/* A copy of the table has nothing of it. */
	ck_assert_int_eq(fdtable_copy(t, &copy), 0);
	ck_assert(r->loan && !fdtable_has_windows(copy, w));
	fdtable_put(copy);
	/* Closed, by whatever way. */
	g = must_open(&as_root, "/other", L_O_CREAT | L_O_RDWR | L_O_EXCL, 0666);
	ck_assert_int_eq(fd_replace(t, g, fd, 64, false), fd);
	ck_assert_int_eq(r->loan, 0);
	ck_assert_int_eq(fdtable_take_stale(t), 1u << fd);
	ck_assert(fd_window_is_empty(t, w, (unsigned)fd));
	ck_assert_int_eq(fd_note_read(t, fd, g, 0), READS_SELDOM);
	u = uio_kernel((char *)"g", 1);
	ck_assert_int_eq(file_pwrite(g, &u, 0), 1);
	ck_assert(read_often(t, w, fd, 0));
	fdtable_no_windows(t);
	ck_assert_int_eq(r->loan, 0);
	ck_assert_int_eq(fdtable_take_stale(t), 1u << fd);
	ck_assert(!read_often(t, w, fd, 0));
	ck_assert(!fd_windows_left(w));
	fdtable_put(t);
	ck_assert(fd_windows_left(w));
	fd_windows_put(w);
}
END_TEST

/* ---- locks ---- */

static int lock(struct file *f, const void *owner, int type, uint64_t start, uint64_t end)
{
	return vfs_lock(f, owner, &(struct lock_range){type, start, end, 1}, false);
}

static int lock_type_seen(struct file *f, const void *owner, uint64_t start, uint64_t end)
{
	struct lock_range r = {L_F_WRLCK, start, end, 1};

	vfs_lock_test(f, owner, &r);
	return r.type;
}

START_TEST(range_locks)
{
	struct file *f = must_open(&as_root, "/f", L_O_CREAT | L_O_RDWR, 0600);
	struct lock_range r;
	int a, b;

	ck_assert_int_eq(lock(f, &a, L_F_WRLCK, 0, 99), 0);
	ck_assert_int_eq(lock(f, &b, L_F_RDLCK, 50, 60), -EAGAIN);
	ck_assert_int_eq(lock(f, &b, L_F_RDLCK, 100, 110), 0);
	/* A hole in the middle splits it, and filled it is one again. */
	ck_assert_int_eq(lock(f, &a, L_F_UNLCK, 40, 49), 0);
	ck_assert_int_eq(lock_type_seen(f, &b, 40, 49), L_F_UNLCK);
	ck_assert_int_eq(lock_type_seen(f, &b, 39, 39), L_F_WRLCK);
	ck_assert_int_eq(lock_type_seen(f, &b, 50, 50), L_F_WRLCK);
	ck_assert_int_eq(lock(f, &a, L_F_WRLCK, 40, 49), 0);
	r = (struct lock_range){L_F_WRLCK, 45, 45, 1};
	vfs_lock_test(f, &b, &r);
	ck_assert_uint_eq(r.start, 0);
	ck_assert_uint_eq(r.end, 99);
	/* Part of it turned into a read lock. */
	ck_assert_int_eq(lock(f, &a, L_F_RDLCK, 10, 19), 0);
	ck_assert_int_eq(lock(f, &b, L_F_RDLCK, 10, 19), 0);
	ck_assert_int_eq(lock(f, &b, L_F_RDLCK, 9, 19), -EAGAIN);
	ck_assert_int_eq(lock(f, &a, L_F_WRLCK, 10, 10), -EAGAIN);
	vfs_locks_release(f->inode, &b);
	ck_assert_int_eq(lock(f, &a, L_F_WRLCK, 10, 10), 0);
	vfs_locks_release(f->inode, &a);
	ck_assert_int_eq(lock_type_seen(f, &b, 0, UINT64_MAX >> 1), L_F_UNLCK);
	file_put(f);
}
END_TEST

struct locker {
	struct file *f;
	const void *owner;
	uint64_t at;
	int result;
};

static void *lock_and_wait(void *arg)
{
	struct locker *l = arg;

	l->result = vfs_lock(l->f, l->owner, &(struct lock_range){L_F_WRLCK, l->at, l->at, 2}, true);
	if (l->result == -EDEADLK)
		vfs_locks_release(l->f->inode, l->owner);
	return NULL;
}

START_TEST(deadlock)
{
	struct file *f = must_open(&as_root, "/f", L_O_CREAT | L_O_RDWR, 0600);
	struct locker other = {.f = f, .at = 0};
	struct lock_range mine = {L_F_WRLCK, 1, 1, 1};
	pthread_t thread;
	int a, b, r;

	other.owner = &b;
	ck_assert_int_eq(lock(f, &a, L_F_WRLCK, 0, 0), 0);
	ck_assert_int_eq(lock(f, &b, L_F_WRLCK, 1, 1), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, lock_and_wait, &other), 0);
	/* Whichever comes second finds the circle, and lets go of what it has. */
	r = vfs_lock(f, &a, &mine, true);
	ck_assert_int_eq(r == -EDEADLK || r == 0, 1);
	vfs_locks_release(f->inode, &a);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r == -EDEADLK ? other.result : -other.result, r == -EDEADLK ? 0 : EDEADLK);
	vfs_locks_release(f->inode, &b);
	file_put(f);
}
END_TEST

START_TEST(whole_locks)
{
	struct file *a = must_open(&as_root, "/f", L_O_CREAT | L_O_RDWR, 0600), *b = must_open(&as_root, "/f", 0, 0);

	ck_assert_int_eq(vfs_flock(a, L_LOCK_SH, 1), 0);
	ck_assert_int_eq(vfs_flock(b, L_LOCK_SH, 1), 0);
	ck_assert_int_eq(vfs_flock(a, L_LOCK_EX | L_LOCK_NB, 1), -EAGAIN);
	/* The failed conversion has cost a its lock. */
	ck_assert_int_eq(vfs_flock(b, L_LOCK_EX | L_LOCK_NB, 1), 0);
	ck_assert_int_eq(vfs_flock(a, L_LOCK_SH | L_LOCK_NB, 1), -EAGAIN);
	file_put(b);
	ck_assert_int_eq(vfs_flock(a, L_LOCK_EX | L_LOCK_NB, 1), 0);
	ck_assert_int_eq(vfs_flock(a, L_LOCK_UN, 1), 0);
	ck_assert_int_eq(vfs_flock(a, 77, 1), -EINVAL);
	file_put(a);
}
END_TEST

/* ---- the cache, over a file system in which every name is a directory ---- */

static _Atomic long lookups, inodes;

static int every_lookup(struct inode *dir, struct dentry *d);
static void every_release(struct inode *i)
{
	inodes--;
}

static const struct inode_ops every_ops = {.lookup = every_lookup, .release = every_release};

static int every_lookup(struct inode *dir, struct dentry *d)
{
	struct inode *i;

	lookups++;
	if (!strncmp(dentry_name(d), "no", 2))
		return 0;
	i = inode_new(dir->sb, L_S_IFDIR | 0755, &every_ops, NULL);
	if (!i)
		return -ENOMEM;
	inodes++;
	dentry_instantiate(d, i);
	return 0;
}

static void mount_every(const char *name)
{
	struct super_block *sb = super_new("every", 1, NULL, NULL);
	struct inode *i = inode_new(sb, L_S_IFDIR | 0755, &every_ops, NULL);
	struct path at = must_find(name);

	inodes++;
	sb->root = dentry_make_root(sb, i);
	ck_assert_int_eq(vfs_mount(NULL, sb, &at, 0, "every", NULL), 0);
	path_put(&at);
}

START_TEST(cached_walk_asks_nobody)
{
	lookups = 0;
	make_dir("/e");
	mount_every("/e");
	ck_assert_int_eq(find(&as_root, "/e/a/b/c/d", 0, 0), 0);
	ck_assert_int_eq(lookups, 4);
	ck_assert_int_eq(find(&as_root, "/e/a/b/c/nobody", 0, 0), -ENOENT);
	ck_assert_int_eq(lookups, 5);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(find(&as_user, "/e/a/b/../b/c/d", 0, 0), 0);
		ck_assert_int_eq(find(&as_user, "/e/a/b/c/nobody", 0, 0), -ENOENT);
	}
	ck_assert_int_eq(lookups, 5);
}
END_TEST

START_TEST(cache_is_bounded)
{
	char name[64];
	struct path keep;

	inodes = 0;
	make_dir("/e");
	mount_every("/e");
	keep = must_find("/e/kept/deep/down");
	for (int i = 0; i < 200000; i++) {
		snprintf(name, sizeof(name), "/e/%d/%d/%s%d", i % 7, i / 1000, i % 3 ? "f" : "no", i);
		(void)find(&as_root, name, 0, 0);
	}
	ck_assert_uint_le(dcache_count(), dcache_limit + 64);
	ck_assert_int_le(inodes, (long)dcache_limit + 64);
	expect_name(&keep, &root, "/e/kept/deep/down");
	path_put(&keep);
	keep = must_find("/e");
	ck_assert_int_eq(vfs_umount(NULL, &keep, UMOUNT_DETACH), 0);
	path_put(&keep);
	ck_assert_int_eq(inodes, 0);
}
END_TEST

/* Walks and renames at the same time: for the sanitizers. */
static void *rename_much(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		(void)!vfs_rename(&as_root, L_AT_FDCWD, "/x/a", L_AT_FDCWD, "/y/b", 0);
		(void)!vfs_rename(&as_root, L_AT_FDCWD, "/y/b", L_AT_FDCWD, "/x/a", 0);
	}
	return NULL;
}

static void *walk_much(void *arg)
{
	char buf[L_PATH_MAX];
	struct path p;

	for (int i = 0; i < 3000; i++) {
		(void)find(&as_user, "/x/a/c/../c", 0, 0);
		if (vfs_resolve(&as_user, L_AT_FDCWD, "/y/b/c", 0, 0, &p) == 0) {
			(void)!vfs_path_name(&p, &root, buf, sizeof(buf));
			path_put(&p);
		}
		(void)try_open(&as_root, i & 1 ? "/x/f" : "/y/f", L_O_CREAT | L_O_RDWR, 0600);
		(void)!vfs_unlink(&as_root, L_AT_FDCWD, i & 2 ? "/x/f" : "/y/f");
	}
	return NULL;
}

START_TEST(concurrent)
{
	pthread_t threads[4];

	make_dir("/x");
	make_dir("/y");
	make_dir("/x/a");
	make_dir("/x/a/c");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, i < 2 ? rename_much : walk_much, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vfs");
	TCase *tc = tcase_create("vfs");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, read_and_write);
	tcase_add_test(tc, open_errors);
	tcase_add_test(tc, walking);
	tcase_add_test(tc, resolve_flags);
	tcase_add_test(tc, permissions);
	tcase_add_test(tc, special_bits);
	tcase_add_test(tc, times);
	tcase_add_test(tc, tree_errors);
	tcase_add_test(tc, hard_links);
	tcase_add_test(tc, renames);
	tcase_add_test(tc, names);
	tcase_add_test(tc, tmpfile_gets_a_name);
	tcase_add_test(tc, text_busy);
	tcase_add_test(tc, mounts);
	tcase_add_test(tc, bind_recursive);
	tcase_add_test(tc, descriptors);
	tcase_add_test(tc, lent_positions);
	tcase_add_test(tc, lent_reads);
	tcase_add_test(tc, range_locks);
	tcase_add_test(tc, deadlock);
	tcase_add_test(tc, whole_locks);
	tcase_add_test(tc, cached_walk_asks_nobody);
	tcase_add_test(tc, cache_is_bounded);
	tcase_add_test(tc, concurrent);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
