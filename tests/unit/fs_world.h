/* A world for tests of file systems: one super block as the root of a tree, and root as the one who asks. */
#ifndef BAILEY_TESTS_UNIT_FS_WORLD_H
#define BAILEY_TESTS_UNIT_FS_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

static struct path root;
static struct lookup me;

static inline void world_begin(struct super_block *sb /* consumed */)
{
	static const uint32_t no_groups[1];

	ck_assert_int_eq(vfs_mount(NULL, sb, NULL, 0, "root", &root), 0);
	me = (struct lookup){fs_info_new(&root), fdtable_new(), cred_new(0, 0, no_groups, 0)};
	me.fs->umask = 0;
}

static inline void world_end(void)
{
	fs_info_put(me.fs);
	fdtable_put(me.files);
	cred_put(me.cred);
	ck_assert_int_eq(vfs_umount(NULL, &root, UMOUNT_DETACH), 0);
	path_put(&root);
}

static inline int try_open(const char *name, uint32_t flags, uint32_t mode, struct file **out)
{
	return vfs_open(&me, L_AT_FDCWD, name, flags, mode, 0, out);
}

static inline struct file *must_open(const char *name, uint32_t flags)
{
	struct file *f = NULL;

	ck_assert_int_eq(try_open(name, flags, 0644, &f), 0);
	return f;
}

static inline struct l_statx must_stat(const char *name)
{
	struct l_statx st;
	struct path p;

	ck_assert_int_eq(vfs_resolve(&me, L_AT_FDCWD, name, 0, 0, &p), 0);
	ck_assert_int_eq(vfs_getattr(&p, &st), 0);
	path_put(&p);
	return st;
}

static inline int find(const char *name)
{
	struct path p;
	int r = vfs_resolve(&me, L_AT_FDCWD, name, 0, 0, &p);

	if (r == 0)
		path_put(&p);
	return r;
}

static inline ssize_t put_at(struct file *f, const void *buf, size_t len, int64_t pos)
{
	struct uio u = uio_kernel((void *)(uintptr_t)buf, len);

	return file_pwrite(f, &u, pos);
}

static inline ssize_t get_at(struct file *f, void *buf, size_t len, int64_t pos)
{
	struct uio u = uio_kernel(buf, len);

	return file_pread(f, &u, pos);
}

static inline void write_file(const char *name, const char *text)
{
	struct file *f = must_open(name, L_O_WRONLY | L_O_CREAT | L_O_TRUNC);

	ck_assert_int_eq(put_at(f, text, strlen(text), 0), (ssize_t)strlen(text));
	file_put(f);
}

static inline void expect_file(const char *name, const char *text)
{
	struct file *f = must_open(name, L_O_RDONLY);
	char buf[256] = {0};

	ck_assert_int_eq(get_at(f, buf, sizeof(buf) - 1, 0), (ssize_t)strlen(text));
	ck_assert_str_eq(buf, text);
	file_put(f);
}

static inline void make_dir(const char *name)
{
	ck_assert_int_eq(vfs_mkdir(&me, L_AT_FDCWD, name, 0755), 0);
}

static inline int move(const char *from, const char *to, unsigned flags)
{
	return vfs_rename(&me, L_AT_FDCWD, from, L_AT_FDCWD, to, flags);
}

static inline int hard_link(const char *from, const char *to)
{
	return vfs_link(&me, L_AT_FDCWD, from, L_AT_FDCWD, to, 0);
}

static inline int unlink_name(const char *name)
{
	return vfs_unlink(&me, L_AT_FDCWD, name);
}

static inline int rmdir_name(const char *name)
{
	return vfs_rmdir(&me, L_AT_FDCWD, name);
}

/* Lists names into out, each followed by a space, in the order they come; at most per_call a call. */
struct lister {
	struct dir_context dc;
	char *out;
	size_t size;
	unsigned count, room;
};

static inline bool take_name(struct dir_context *dc, const char *name, size_t len, uint64_t ino, unsigned type,
			     int64_t next)
{
	struct lister *l = container_of(dc, struct lister, dc);

	if (l->room == 0)
		return false;
	l->room--;
	l->count++;
	if (l->out && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		snprintf(l->out + strlen(l->out), l->size - strlen(l->out), "%s ", name);
	dc->pos = next;
	return true;
}

static inline unsigned list_some(struct file *f, char *out, size_t size, unsigned room)
{
	struct lister l = {.dc = {.emit = take_name}, .out = out, .size = size, .room = room};

	ck_assert_int_eq(file_iterate(f, &l.dc), 0);
	return l.count;
}

static inline void list_all(const char *name, unsigned per_call, char *out, size_t size)
{
	struct file *f = must_open(name, L_O_RDONLY | L_O_DIRECTORY);

	out[0] = '\0';
	while (list_some(f, out, size, per_call) > 0)
		;
	file_put(f);
}

static inline int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
