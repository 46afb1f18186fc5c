/* Mounting by descriptors: open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr; statmount and
 * listmount. */
#include "mounts.h"

#include <sys/statfs.h>

enum {
	NR_open_tree = 428,
	NR_move_mount,
	NR_fsopen,
	NR_fsconfig,
	NR_fsmount,
	NR_fspick,
	NR_mount_setattr = 442,
	NR_statmount = 457,
	NR_listmount,
	NR_open_tree_attr = 467,
};
enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, CMD_CREATE, CMD_RECONFIGURE };
#define CLONE 1u
#define RECURSIVE 0x8000u
#define F_EMPTY 4u
#define T_EMPTY 0x40u

struct attr {
	uint64_t set, clr, propagation, userns_fd;
};

static int tree_at(int dirfd, const char *path, unsigned flags)
{
	return (int)syscall(NR_open_tree, dirfd, path, flags);
}

static int move_to(int tree, const char *to)
{
	return (int)syscall(NR_move_mount, tree, "", AT_FDCWD, to, F_EMPTY);
}

static int config(int fd, unsigned cmd, const char *key, const char *value, int aux)
{
	return (int)syscall(NR_fsconfig, fd, cmd, key, value, aux);
}

static int set_attr(int dirfd, const char *path, unsigned flags, struct attr a)
{
	return (int)syscall(NR_mount_setattr, dirfd, path, flags, &a, sizeof(a));
}

static int new_tmpfs(const char *size)
{
	int fs = (int)syscall(NR_fsopen, "tmpfs", 1), mnt;

	REQUIRE(fs >= 0);
	if (size)
		OK(config(fs, SET_STRING, "size", size, 0));
	OK(config(fs, SET_STRING, "source", "made", 0));
	OK(config(fs, CMD_CREATE, NULL, NULL, 0));
	mnt = (int)syscall(NR_fsmount, fs, 1, 0);
	CHECK(mnt >= 0);
	close(fs);
	return mnt;
}

/* ---- fsopen and its kin ---- */

static void contexts(void)
{
	char c, key[300];
	int fs, mnt;

	CHECK_ERR(syscall(NR_fsopen, "no-such", 0), ENODEV);
	CHECK_ERR(syscall(NR_fsopen, "tmpfs", 2), EINVAL);
	CHECK_ERR(syscall(NR_fsopen, (char *)8, 0), EFAULT);
	fs = (int)syscall(NR_fsopen, "tmpfs", 1);
	REQUIRE(fs >= 0);
	CHECK_EQ(fcntl(fs, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(read(fs, &c, 1), ENODATA);
	CHECK_ERR(config(-1, SET_FLAG, "ro", NULL, 0), EINVAL);
	CHECK_ERR(config(999, SET_FLAG, "ro", NULL, 0), EBADF);
	CHECK_ERR(config(0, SET_FLAG, "ro", NULL, 0), EINVAL);
	CHECK_ERR(config(fs, SET_FLAG, "ro", "x", 0), EINVAL);
	CHECK_ERR(config(fs, SET_FLAG, NULL, NULL, 0), EINVAL);
	CHECK_ERR(config(fs, SET_STRING, "size", NULL, 0), EINVAL);
	CHECK_ERR(config(fs, SET_STRING, "size", "1m", 1), EINVAL);
	CHECK_ERR(config(fs, CMD_CREATE, "x", NULL, 0), EINVAL);
	CHECK_ERR(config(fs, 77, NULL, NULL, 0), EOPNOTSUPP);
	CHECK_ERR(config(fs, SET_STRING, "no-such-option", "1", 0), EINVAL);
	CHECK_ERR(config(fs, SET_FLAG, "size", NULL, 0), EINVAL);
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	CHECK_ERR(config(fs, SET_STRING, key, "1", 0), EINVAL);
	CHECK_ERR(config(fs, CMD_RECONFIGURE, NULL, NULL, 0), EBUSY);
	CHECK_ERR(syscall(NR_fsmount, fs, 0, 0), EINVAL); /* nothing made yet */
	OK(config(fs, SET_STRING, "size", "1m", 0));
	OK(config(fs, SET_STRING, "source", "src", 0));
	CHECK_ERR(config(fs, SET_STRING, "source", "again", 0), EINVAL);
	OK(config(fs, CMD_CREATE, NULL, NULL, 0));
	CHECK_ERR(config(fs, CMD_CREATE, NULL, NULL, 0), EBUSY);
	CHECK_ERR(config(fs, SET_STRING, "size", "2m", 0), EBUSY);
	CHECK_ERR(syscall(NR_fsmount, fs, 2, 0), EINVAL);
	CHECK_ERR(syscall(NR_fsmount, fs, 0, 0x30), EINVAL);
	CHECK_ERR(syscall(NR_fsmount, fs, 0, 0x10000), EINVAL);
	CHECK_ERR(syscall(NR_fsmount, -1, 0, 0), EBADF);
	mnt = (int)syscall(NR_fsmount, fs, 1, 8 | 1);
	CHECK(mnt >= 0);
	CHECK_ERR(syscall(NR_fsmount, fs, 1, 0), EBUSY);
	/* It can be used before it is mounted anywhere. */
	CHECK_ERR(openat(mnt, "f", O_CREAT | O_WRONLY, 0600), EROFS);
	mkdirs("d", NULL);
	OK(move_to(mnt, at("d")));
	CHECK(is_mounted(at("d")));
	CHECK_ERR(move_to(mnt, at("nowhere")), ENOENT);
	OK(umount2(at("d"), MNT_DETACH));
	close(mnt);
	close(fs);
}

TEST(fs_contexts)
{
	NEED_ROOT();
	in_private(contexts);
}

static void detached(void)
{
	int mnt = new_tmpfs("256k"), fd;
	struct statfs s;

	mkdirs("d", "e");
	fd = openat(mnt, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	OK(fstatfs(fd, &s));
	CHECK_EQ(s.f_blocks * (uint64_t)s.f_bsize, 256 * 1024);
	OK(move_to(mnt, at("d")));
	CHECK(exists(at("d/file")));
	OK(move_to(mnt, at("e"))); /* by the same descriptor, from there */
	CHECK(exists(at("e/file")));
	CHECK(!exists(at("d/file")));
	close(mnt);
	CHECK(exists(at("e/file")));
	close(fd);
	OK(umount(at("e")));
	/* One that was never mounted goes with its descriptor. */
	mnt = new_tmpfs(NULL);
	OK(mkdirat(mnt, "x", 0700));
	fd = openat(mnt, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(mnt);
	CHECK(openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
	close(fd);
}

TEST(mounts_nowhere)
{
	NEED_ROOT();
	in_private(detached);
}

static void picked(void)
{
	int fs;

	mkdirs("d", NULL);
	OK(mount("d", at("d"), "tmpfs", 0, NULL));
	CHECK_ERR(syscall(NR_fspick, AT_FDCWD, at("d"), 0x10), EINVAL);
	CHECK_ERR(syscall(NR_fspick, AT_FDCWD, at("none"), 0), ENOENT);
	fs = (int)syscall(NR_fspick, AT_FDCWD, at("d"), 1);
	REQUIRE(fs >= 0);
	OK(config(fs, SET_FLAG, "ro", NULL, 0));
	CHECK_ERR(config(fs, CMD_CREATE, NULL, NULL, 0), EBUSY);
	OK(config(fs, CMD_RECONFIGURE, NULL, NULL, 0));
	CHECK_ERR(open(at("d/f"), O_CREAT | O_WRONLY, 0600), EROFS);
	close(fs);
	mkdirs("plain", NULL);
	CHECK_ERR(syscall(NR_fspick, AT_FDCWD, at("plain"), 0), EINVAL);
}

TEST(reconfiguring)
{
	NEED_ROOT();
	in_private(picked);
}

/* ---- open_tree ---- */

static void trees(void)
{
	int tree, plain;

	mkdirs("src", "dst");
	OK(mount("src", at("src"), "tmpfs", 0, NULL));
	mkdirs("src/in", "src/dir");
	OK(mount("in", at("src/in"), "tmpfs", 0, NULL));
	touch(at("src/in/f"));
	touch(at("src/dir/g"));
	CHECK_ERR(tree_at(AT_FDCWD, at("src"), 2), EINVAL);
	CHECK_ERR(tree_at(AT_FDCWD, at("src"), RECURSIVE), EINVAL);
	CHECK_ERR(tree_at(AT_FDCWD, at("none"), 0), ENOENT);
	plain = tree_at(AT_FDCWD, at("src"), O_CLOEXEC);
	CHECK(plain >= 0);
	CHECK_ERR(read(plain, (char[1]){0}, 1), EBADF); /* as O_PATH */
	tree = tree_at(AT_FDCWD, at("src"), CLONE | O_CLOEXEC);
	CHECK(tree >= 0);
	CHECK(faccessat(tree, "in", F_OK, 0) == 0);
	CHECK_ERR(faccessat(tree, "in/f", F_OK, 0), ENOENT);
	OK(move_to(tree, at("dst")));
	CHECK(exists(at("dst/dir/g")));
	OK(umount(at("dst")) == 0 || errno == EBUSY ? 0 : -1);
	close(tree);
	umount2(at("dst"), MNT_DETACH);
	tree = tree_at(AT_FDCWD, at("src"), CLONE | RECURSIVE | O_CLOEXEC);
	CHECK(tree >= 0);
	OK(faccessat(tree, "in/f", F_OK, 0));
	OK(move_to(tree, at("dst")));
	CHECK(exists(at("dst/in/f")));
	close(tree);
	OK(umount2(at("dst"), MNT_DETACH));
	/* A part of it; and one that is no mount's root is not moved. */
	tree = tree_at(AT_FDCWD, at("src/dir"), CLONE | O_CLOEXEC);
	OK(move_to(tree, at("dst")));
	CHECK(exists(at("dst/g")));
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("src/dir"), AT_FDCWD, at("dst"), 0), EINVAL);
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("src"), AT_FDCWD, at("src/dir"), 0), ELOOP);
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("src"), AT_FDCWD, at("dst"), 0x1000), EINVAL);
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, "", AT_FDCWD, at("dst"), 0), ENOENT);
	close(tree);
	close(plain);
}

TEST(open_tree_and_move_mount)
{
	NEED_ROOT();
	in_private(trees);
}

/* ---- mount_setattr ---- */

static void attributes(void)
{
	int fd, tree;

	mkdirs("d", "other");
	OK(mount("d", at("d"), "tmpfs", 0, NULL));
	mkdirs("d/in", NULL);
	OK(mount("in", at("d/in"), "tmpfs", 0, NULL));
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), 1, (struct attr){.set = 1}), EINVAL);
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.set = 1ull << 40}), EINVAL);
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.set = 0x10}), EINVAL);
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.set = 0x10, .clr = 0x10}), EINVAL);
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.propagation = MS_SHARED | MS_SLAVE}), EINVAL);
	CHECK_ERR(set_attr(AT_FDCWD, at("other"), 0, (struct attr){.set = 1}), EINVAL);
	OK(set_attr(AT_FDCWD, at("nowhere"), 0, (struct attr){.set = 0})); /* nothing is asked for */
	CHECK_ERR(syscall(NR_mount_setattr, AT_FDCWD, at("d"), 0, &(struct attr){.set = 1}, 8), EINVAL);
	CHECK_ERR(syscall(NR_mount_setattr, AT_FDCWD, at("d"), 0, &(struct attr){.set = 1}, 5000), E2BIG);
	CHECK_ERR(syscall(NR_mount_setattr, AT_FDCWD, at("d"), 0, NULL, sizeof(struct attr)), EFAULT);

	OK(set_attr(AT_FDCWD, at("d"), RECURSIVE, (struct attr){.set = 1 | 2}));
	CHECK_ERR(open(at("d/f"), O_CREAT | O_WRONLY, 0600), EROFS);
	CHECK_ERR(open(at("d/in/f"), O_CREAT | O_WRONLY, 0600), EROFS);
	OK(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.clr = 1}));
	touch(at("d/f"));
	CHECK_ERR(open(at("d/in/f"), O_CREAT | O_WRONLY, 0600), EROFS);
	OK(set_attr(AT_FDCWD, at("d/in"), 0, (struct attr){.clr = 1}));
	/* A file that is open for writing is in the way, and nothing is done by halves. */
	fd = open(at("d/in/w"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_ERR(set_attr(AT_FDCWD, at("d"), RECURSIVE, (struct attr){.set = 1}), EBUSY);
	touch(at("d/still"));
	CHECK_ERR(mount(NULL, at("d/in"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), EBUSY);
	close(fd);
	OK(set_attr(AT_FDCWD, at("d"), RECURSIVE, (struct attr){.set = 1}));
	OK(set_attr(AT_FDCWD, at("d"), RECURSIVE, (struct attr){.clr = 0x70, .set = 0x10}));
	{
		struct statfs s;

		OK(statfs(at("d/in"), &s));
		CHECK_EQ(s.f_flags & (0x400 | 0x1000 | 1 | 2), 0x400 | 1 | 2);
	}
	OK(set_attr(AT_FDCWD, at("d"), 0, (struct attr){.propagation = MS_SHARED}));
	{
		char fields[128];

		CHECK(mountinfo_fields(at("d"), fields, sizeof(fields)));
		CHECK(strncmp(fields, "shared:", 7) == 0);
	}
	/* A tree that is mounted nowhere can be changed too. */
	tree = tree_at(AT_FDCWD, at("d/in"), CLONE | O_CLOEXEC);
	CHECK(tree >= 0);
	OK(set_attr(tree, "", AT_EMPTY_PATH, (struct attr){.clr = 1}));
	fd = openat(tree, "w2", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_ERR(open(at("d/in/w3"), O_CREAT | O_WRONLY, 0600), EROFS);
	close(fd);
	close(tree);
}

TEST(mount_setattr)
{
	NEED_ROOT();
	in_private(attributes);
}

/* ---- statmount and listmount ---- */

struct request {
	uint32_t size, spare;
	uint64_t id, param, ns;
};

struct answer {
	uint32_t size, mnt_opts;
	uint64_t mask;
	uint32_t dev_major, dev_minor;
	uint64_t magic;
	uint32_t sb_flags, fs_type;
	uint64_t id, parent_id;
	uint32_t id_old, parent_id_old;
	uint64_t attr, propagation, peer_group, master, from;
	uint32_t root, point;
	uint64_t ns;
	uint32_t subtype, source;
	uint8_t rest[512 - 128];
	char str[2048];
};

static uint64_t unique_id(const char *path)
{
	struct {
		uint8_t bytes[256];
	} stx;
	uint64_t id;

	/* STATX_MNT_ID_UNIQUE; stx_mnt_id is at 0x90. */
	REQUIRE(syscall(SYS_statx, AT_FDCWD, path, 0, 0x4000, &stx) == 0);
	memcpy(&id, stx.bytes + 0x90, 8);
	return id;
}

static long stat_mount(uint64_t id, uint64_t mask, struct answer *a, size_t size)
{
	struct request r = {.size = 24, .id = id, .param = mask};

	memset(a, 0, sizeof(*a));
	return syscall(NR_statmount, &r, a, size, 0);
}

static void asked(void)
{
	struct request r = {.size = 24, .id = ~0ull};
	uint64_t ids[512], id, sub;
	struct answer a;
	long n;
	int found = 0;

	mkdirs("d", NULL);
	OK(mount("thesource", at("d"), "tmpfs", MS_NODEV | MS_NOATIME, NULL));
	mkdirs("d/sub", "d/part");
	OK(mount(at("d/part"), at("d/sub"), NULL, MS_BIND, NULL));
	id = unique_id(at("d"));
	sub = unique_id(at("d/sub"));
	CHECK(id > (1ull << 31) && sub > id);
	OK(stat_mount(id, 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x200, &a, sizeof(a)));
	CHECK_EQ(a.mask & 0x23b, 0x23b);
	CHECK_EQ(a.magic, 0x01021994);
	CHECK_EQ(a.id, id);
	CHECK_EQ(a.parent_id, unique_id(base));
	CHECK_EQ(a.attr, 0x4 | 0x10);
	CHECK_EQ(a.propagation, MS_PRIVATE);
	CHECK_STR(a.str + a.point, at("d"));
	CHECK_STR(a.str + a.root, "/");
	CHECK_STR(a.str + a.fs_type, "tmpfs");
	CHECK_STR(a.str + a.source, "thesource");
	OK(stat_mount(sub, 0x8, &a, sizeof(a)));
	CHECK_STR(a.str + a.root, "/part");
	CHECK_EQ(a.mask, 0x8);
	CHECK_ERR(stat_mount(id, 0x10, &a, 512 + 2), EOVERFLOW);
	OK(stat_mount(id, 0x2, &a, 64)); /* as much as there is room for */
	CHECK_EQ(a.size, 64);
	CHECK_ERR(stat_mount(1, 0x2, &a, sizeof(a)), EINVAL);
	CHECK_ERR(stat_mount(id + (1ull << 40), 0x2, &a, sizeof(a)), ENOENT);
	CHECK_ERR(syscall(NR_statmount, &r, &a, sizeof(a), 1), EINVAL);

	n = syscall(NR_listmount, &r, ids, 512, 0);
	CHECK(n >= 3);
	for (long i = 0; i < n; i++) {
		found += ids[i] == id || ids[i] == sub;
		CHECK(i == 0 || ids[i] > ids[i - 1]);
	}
	CHECK_EQ(found, 2);
	r.id = id;
	CHECK_EQ(syscall(NR_listmount, &r, ids, 512, 0), 1);
	CHECK_EQ(ids[0], sub);
	r.param = sub;
	CHECK_EQ(syscall(NR_listmount, &r, ids, 512, 0), 0);
	r = (struct request){.size = 24, .id = ~0ull};
	CHECK_EQ(syscall(NR_listmount, &r, ids, 1, 1), 1); /* the newest first */
	CHECK_EQ(ids[0], sub);
	CHECK_EQ(syscall(NR_listmount, &r, ids, 0, 0), 0);
	CHECK_ERR(syscall(NR_listmount, &r, ids, 512, 2), EINVAL);
	CHECK_ERR(syscall(NR_listmount, &r, ids, 2000000, 0), EOVERFLOW);
	r.size = 16;
	CHECK_ERR(syscall(NR_listmount, &r, ids, 512, 0), EINVAL);
	r.size = 5000;
	CHECK_ERR(syscall(NR_listmount, &r, ids, 512, 0), E2BIG);
}

TEST(statmount_and_listmount)
{
	NEED_ROOT();
	in_private(asked);
}

TEST(as_a_user)
{
	if (geteuid() == 0)
		SKIP("needs an ordinary user");
	CHECK_ERR(syscall(NR_fsopen, "tmpfs", 0), EPERM);
	CHECK_ERR(tree_at(AT_FDCWD, "/", CLONE), EPERM);
	CHECK(tree_at(AT_FDCWD, "/", O_CLOEXEC) >= 0);
	CHECK_ERR(set_attr(AT_FDCWD, "/", 0, (struct attr){.set = 1}), EPERM);
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, "/", AT_FDCWD, "/tmp", 0), EPERM);
	CHECK_ERR(syscall(NR_fspick, AT_FDCWD, "/", 0), EPERM);
	CHECK_ERR(syscall(NR_fsmount, 0, 0, 0), EPERM);
}
