/* umount2(2), the flags of mounts, MS_MOVE, and shared subtrees. */
#include "mounts.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <sys/statfs.h>

/* ---- umount2 ---- */

static void umounts(void)
{
	int fd;

	mkdirs("m", NULL);
	touch(at("plain"));
	CHECK_ERR(umount2(at("m"), 0), EINVAL); /* not mounted */
	CHECK_ERR(umount2(at("none"), 0), ENOENT);
	OK(mount("m", at("m"), "tmpfs", 0, NULL));
	CHECK_ERR(umount2(at("m"), 0x10), EINVAL);
	CHECK_ERR(umount2(at("m"), MNT_EXPIRE | MNT_DETACH), EINVAL);
	CHECK_ERR(umount2(at("m"), MNT_EXPIRE | MNT_FORCE), EINVAL);
	CHECK_ERR(umount2("/", MNT_EXPIRE), EINVAL);
	/* Twice without a use between. */
	CHECK_ERR(umount2(at("m"), MNT_EXPIRE), EAGAIN);
	CHECK(exists(at("m/.")));
	CHECK_ERR(umount2(at("m"), MNT_EXPIRE), EAGAIN);
	OK(umount2(at("m"), MNT_EXPIRE));
	CHECK(!is_mounted(at("m")));

	OK(symlink("m", at("link")));
	OK(mount("m", at("m"), "tmpfs", 0, NULL));
	CHECK_ERR(umount2(at("link"), UMOUNT_NOFOLLOW), EINVAL);
	fd = open(at("m"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_ERR(umount2(at("link"), 0), EBUSY);
	CHECK_ERR(umount2(at("m"), MNT_EXPIRE), EBUSY);
	OK(umount2(at("link"), MNT_DETACH));
	CHECK(fchdir(fd) == 0);
	CHECK(getcwd((char[4096]){0}, 4096) != NULL || errno == ENOENT);
	touch("in-detached");
	CHECK(exists("in-detached"));
	close(fd);
	OK(chdir("/"));
	OK(rmdir(at("m"))); /* no mount point any more */

	/* What is mounted below is in use; the top goes first where several are at one place. */
	mkdirs("m", NULL);
	OK(mount("lower", at("m"), "tmpfs", 0, NULL));
	mkdirs("m/sub", NULL);
	OK(mount("sub", at("m/sub"), "tmpfs", 0, NULL));
	CHECK_ERR(umount(at("m")), EBUSY);
	CHECK_ERR(rmdir(at("m/sub")), EBUSY);
	CHECK_ERR(rename(at("m"), at("n")), EBUSY);
	OK(mount("upper", at("m"), "tmpfs", 0, NULL));
	CHECK(!exists(at("m/sub")));
	OK(umount(at("m")));
	CHECK(exists(at("m/sub")));
	OK(umount2(at("m"), MNT_DETACH)); /* with what is below */
	CHECK(!is_mounted(at("m/sub")));
	OK(rmdir(at("m")));
}

TEST(umount2)
{
	NEED_ROOT();
	in_private(umounts);
}

static void removed_elsewhere(void)
{
	struct gate ready, done;
	pid_t pid;

	mkdirs("m", NULL);
	gate_init(&ready);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		OK(unshare(CLONE_NEWNS));
		OK(mount("m", at("m"), "tmpfs", 0, NULL));
		gate_open(&ready);
		gate_pass(&done);
		CHECK(!is_mounted(at("m")));
		CHECK(!exists(at("m")));
		child_exit();
	}
	gate_pass(&ready);
	OK(rmdir(at("m"))); /* it is no mount point here */
	gate_open(&done);
	JOIN(pid);
}

TEST(a_mount_point_elsewhere_can_be_removed)
{
	NEED_ROOT();
	in_private(removed_elsewhere);
}

/* ---- mount flags ---- */

static unsigned long flags_of(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 ? (unsigned long)s.f_flags : ~0ul;
}

static void mount_flags(void)
{
	struct stat st;

	mkdirs("m", "b");
	OK(mount("m", at("m"), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	CHECK_EQ(flags_of(at("m")) & 0x3fff & ~0x20ul, MS_NOSUID | MS_NODEV | MS_NOEXEC | 0x1000);
	touch(at("m/f"));
	OK(chmod(at("m/f"), 0755));
	CHECK_ERR(access(at("m/f"), X_OK), EACCES);
	OK(mknod(at("m/null"), S_IFCHR | 0666, (1 << 8) | 3));
	CHECK_ERR(open(at("m/null"), O_RDONLY), EACCES);
	OK(mount(at("m"), at("b"), NULL, MS_BIND, NULL));
	/* A bind has its source's flags until it is remounted, alone. */
	OK(mount(NULL, at("b"), NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	CHECK_ERR(open(at("b/x"), O_CREAT | O_WRONLY, 0600), EROFS);
	CHECK_ERR(mkdir(at("b/x"), 0700), EROFS);
	CHECK_ERR(unlink(at("b/f")), EROFS);
	CHECK_ERR(chmod(at("b/f"), 0600), EROFS);
	touch(at("m/x"));
	CHECK(exists(at("b/x")));
	OK(access(at("b/f"), X_OK));
	OK(umount(at("b")));
	OK(umount(at("m")));

	OK(mount("m", at("m"), "tmpfs", MS_NOATIME, NULL));
	touch(at("m/f"));
	OK(utimensat(AT_FDCWD, at("m/f"), (struct timespec[]){{1, 0}, {2, 0}}, 0));
	{
		char c;
		int fd = open(at("m/f"), O_RDWR | O_CLOEXEC);

		CHECK_EQ(write(fd, "x", 1), 1);
		CHECK_EQ(pread(fd, &c, 1, 0), 1);
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_atime, 1);
		close(fd);
	}
	CHECK_EQ(flags_of(at("m")) & 0x400, 0x400);
	OK(umount(at("m")));

	OK(mount("m", at("m"), "tmpfs", 256 /* MS_NOSYMFOLLOW */, NULL));
	OK(symlink("f", at("m/link")));
	touch(at("m/f"));
	CHECK_ERR(open(at("m/link"), O_RDONLY), ELOOP);
	CHECK_EQ(readlink(at("m/link"), (char[8]){0}, 8), 1);
	CHECK_EQ(flags_of(at("m")) & 0x2000, 0x2000);
	OK(umount(at("m")));
	CHECK_ERR(mount("m", at("m"), "no-such-fs", 0, NULL), ENODEV);
	CHECK_ERR(mount("m", at("none"), "tmpfs", 0, NULL), ENOENT);
	CHECK_ERR(mount("m", at("m"), NULL, 0, NULL), EINVAL);
	CHECK_ERR(mount(NULL, at("m"), NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount("", at("m"), NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount(at("m"), at("b"), NULL, MS_MOVE, NULL), EINVAL);
	CHECK_ERR(mount(NULL, at("m"), NULL, MS_PRIVATE, NULL), EINVAL);
	CHECK_ERR(mount(NULL, at("m"), NULL, MS_REMOUNT, NULL), EINVAL);
	CHECK_ERR(mount("/dev/null", at("m"), NULL, MS_BIND, NULL), ENOTDIR);
	CHECK_ERR(mount(NULL, base, NULL, MS_PRIVATE | MS_SHARED, NULL), EINVAL);
	CHECK_ERR(mount(NULL, base, NULL, MS_PRIVATE | MS_NOSUID, NULL), EINVAL);
}

TEST(flags_of_a_mount)
{
	NEED_ROOT();
	in_private(mount_flags);
}

static void moves(void)
{
	mkdirs("a", "b");
	OK(mount("a", at("a"), "tmpfs", 0, NULL));
	touch(at("a/f"));
	mkdirs("a/in", NULL);
	OK(mount(at("a"), at("b"), NULL, MS_MOVE, NULL));
	CHECK(!exists(at("a/f")));
	CHECK(exists(at("b/f")));
	CHECK_ERR(mount(at("b"), at("b/in"), NULL, MS_MOVE, NULL), ELOOP);
	CHECK_ERR(mount(at("b"), at("b/f"), NULL, MS_MOVE, NULL), EINVAL);
	CHECK_ERR(mount("/", at("a"), NULL, MS_MOVE, NULL), ELOOP);
	OK(umount(at("b")));
}

TEST(moving)
{
	NEED_ROOT();
	in_private(moves);
}

/* ---- sizes ---- */

static unsigned long long blocks_with(const char *type, const char *options)
{
	struct statvfs st;

	OK(mount("m", at("m"), type, 0, options));
	OK(statvfs(at("m"), &st));
	OK(umount(at("m")));
	return st.f_blocks;
}

static void sizes(void)
{
	unsigned long long memory;
	struct sysinfo si;
	struct stat st;

	OK(sysinfo(&si));
	memory = (unsigned long long)si.totalram * si.mem_unit / 4096;
	mkdirs("m", NULL);
	CHECK_EQ(blocks_with("tmpfs", NULL), memory / 2);
	CHECK_EQ(blocks_with("tmpfs", "size=10%"), (memory * 4096 * 10 / 100 + 4095) / 4096);
	CHECK_EQ(blocks_with("tmpfs", "size=1m"), 256);
	CHECK_EQ(blocks_with("tmpfs", "nr_blocks=10"), 10);
	CHECK_EQ(blocks_with("tmpfs", "size=0"), 0);
	CHECK_EQ(blocks_with("ramfs", NULL), 0);
	CHECK_ERR(mount("m", at("m"), "tmpfs", 0, "size=1x"), EINVAL);
	CHECK_ERR(mount("m", at("m"), "tmpfs", 0, "size="), EINVAL);
	CHECK_EQ(blocks_with("tmpfs", "size=%"), 0);
	OK(mount("m", at("m"), "ramfs", 0, NULL));
	OK(stat(at("m"), &st));
	CHECK_EQ(st.st_mode & 07777, 0755);
	OK(umount(at("m")));
}

TEST(sizes_of_tmpfs)
{
	NEED_ROOT();
	in_private(sizes);
}

/* ---- shared subtrees ---- */

static void propagation(void)
{
	char fields[256];
	int group, master;

	mkdirs("a", "peer");
	mkdirs("slave", "private");
	OK(mount("a", at("a"), "tmpfs", 0, NULL));
	mkdirs("a/x", "a/y");
	OK(mount(NULL, at("a"), NULL, MS_SHARED, NULL));
	CHECK(mountinfo_fields(at("a"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "shared:%d", &group), 1);
	OK(mount(at("a"), at("peer"), NULL, MS_BIND, NULL));
	CHECK(mountinfo_fields(at("peer"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "shared:%d", &master), 1);
	CHECK_EQ(group, master);
	OK(mount(at("a"), at("slave"), NULL, MS_BIND, NULL));
	OK(mount(NULL, at("slave"), NULL, MS_SLAVE, NULL));
	CHECK(mountinfo_fields(at("slave"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "master:%d", &master), 1);
	CHECK_EQ(group, master);
	OK(mount(at("a"), at("private"), NULL, MS_BIND, NULL));
	OK(mount(NULL, at("private"), NULL, MS_PRIVATE, NULL));
	CHECK(mountinfo_fields(at("private"), fields, sizeof(fields)));
	CHECK_STR(fields, "");

	/* What is mounted in one is in its peers and slaves. */
	OK(mount("x", at("a/x"), "tmpfs", 0, NULL));
	touch(at("a/x/f"));
	CHECK(exists(at("peer/x/f")));
	CHECK(exists(at("slave/x/f")));
	CHECK(!exists(at("private/x/f")));
	CHECK(mountinfo_fields(at("peer/x"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "shared:%d", &group), 1);
	CHECK(mountinfo_fields(at("slave/x"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "master:%d", &master), 1);
	CHECK_EQ(group, master);
	/* A slave's own are its own. */
	OK(mount("y", at("slave/y"), "tmpfs", 0, NULL));
	CHECK(!is_mounted(at("a/y")));
	/* What is unmounted in a peer goes everywhere. */
	OK(umount(at("peer/x")));
	CHECK(!is_mounted(at("a/x")));
	CHECK(!is_mounted(at("slave/x")));
	OK(umount(at("slave/y")));

	/* A copy in use keeps the others; MNT_DETACH does not ask. */
	OK(mount("x", at("a/x"), "tmpfs", 0, NULL));
	OK(chdir(at("slave/x")));
	CHECK_ERR(umount(at("a/x")), EBUSY);
	OK(umount2(at("a/x"), MNT_DETACH));
	CHECK(!is_mounted(at("slave/x")));
	OK(chdir("/"));

	/* A tree that is bound into a shared mount is shared, below too. */
	mkdirs("tree", NULL);
	OK(mount("tree", at("tree"), "tmpfs", 0, NULL));
	mkdirs("tree/sub", NULL);
	OK(mount("sub", at("tree/sub"), "tmpfs", 0, NULL));
	touch(at("tree/sub/f"));
	OK(mount(at("tree"), at("a/x"), NULL, MS_BIND | MS_REC, NULL));
	CHECK(exists(at("peer/x/sub/f")));
	CHECK(exists(at("slave/x/sub/f")));
	CHECK(mountinfo_fields(at("a/x/sub"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "shared:%d", &group), 1);
	CHECK_ERR(mount(at("a/x"), at("tree/sub"), NULL, MS_MOVE, NULL), EINVAL); /* its parent is shared */
	OK(umount2(at("a/x"), MNT_DETACH));
	CHECK(!is_mounted(at("slave/x/sub")));

	/* Unbindable: neither itself nor as part of a tree. */
	OK(mount(NULL, at("tree/sub"), NULL, MS_UNBINDABLE, NULL));
	CHECK(mountinfo_fields(at("tree/sub"), fields, sizeof(fields)));
	CHECK_STR(fields, "unbindable");
	CHECK_ERR(mount(at("tree/sub"), at("private/y"), NULL, MS_BIND, NULL), EINVAL);
	OK(mount(at("tree"), at("private/y"), NULL, MS_BIND | MS_REC, NULL));
	CHECK(!exists(at("private/y/sub/f")));

	/* A slave that is shared hands on. */
	OK(mount(NULL, at("slave"), NULL, MS_SHARED, NULL));
	CHECK(mountinfo_fields(at("slave"), fields, sizeof(fields)));
	CHECK_EQ(sscanf(fields, "shared:%d master:%d", &group, &master), 2);
	mkdirs("third", NULL);
	OK(mount(at("slave"), at("third"), NULL, MS_BIND, NULL));
	OK(mount(NULL, at("third"), NULL, MS_SLAVE, NULL));
	OK(mount("x", at("a/x"), "tmpfs", 0, NULL));
	touch(at("a/x/deep"));
	CHECK(exists(at("third/x/deep")));
	/* When the group in the middle is gone, its slaves hear from its master. */
	OK(mount(NULL, at("slave"), NULL, MS_PRIVATE, NULL));
	OK(mount("y", at("a/y"), "tmpfs", 0, NULL));
	CHECK(is_mounted(at("third/y")));
	CHECK(!is_mounted(at("slave/y")));
}

TEST(shared_subtrees)
{
	NEED_ROOT();
	in_private(propagation);
}

static void propagation_between_namespaces(void)
{
	struct gate ready, go, done;
	pid_t pid;

	mkdirs("s", NULL);
	OK(mount("s", at("s"), "tmpfs", 0, NULL));
	mkdirs("s/x", "s/y");
	OK(mount(NULL, at("s"), NULL, MS_SHARED, NULL));
	gate_init(&ready);
	gate_init(&go);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		OK(unshare(CLONE_NEWNS));
		OK(mount("x", at("s/x"), "tmpfs", 0, NULL));
		gate_open(&ready);
		gate_pass(&go);
		CHECK(is_mounted(at("s/y")));
		OK(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
		OK(umount(at("s/y")));
		gate_open(&done);
		child_exit();
	}
	gate_pass(&ready);
	CHECK(is_mounted(at("s/x")));
	OK(mount("y", at("s/y"), "tmpfs", 0, NULL));
	gate_open(&go);
	gate_pass(&done);
	CHECK(is_mounted(at("s/y"))); /* a slave's unmount stays its own */
	JOIN(pid);
	CHECK(is_mounted(at("s/x"))); /* the end of the namespace is no unmount */
}

TEST(shared_between_namespaces)
{
	NEED_ROOT();
	in_private(propagation_between_namespaces);
}
