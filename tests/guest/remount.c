/* File systems whose options change while they are mounted: remounts, fspick, and an umount of what is the caller's root. */
#include "mounts.h"

#include <sys/statvfs.h>

enum { NR_fsopen = 430, NR_fsconfig, NR_fsmount, NR_fspick };
enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, CMD_CREATE, CMD_RECONFIGURE };

static int config(int fd, unsigned cmd, const char *key, const char *value, int aux)
{
	return (int)syscall(NR_fsconfig, fd, cmd, key, value, aux);
}

static int pick(const char *path)
{
	int fd = (int)syscall(NR_fspick, AT_FDCWD, path, 1);

	REQUIRE(fd >= 0);
	return fd;
}

static unsigned long long blocks_of(const char *path)
{
	struct statvfs st;

	OK(statvfs(path, &st));
	return st.f_blocks;
}

static bool takes_files(const char *dir)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/probe", dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		CHECK_EQ(errno, EROFS);
		return false;
	}
	close(fd);
	OK(unlink(path));
	return true;
}

/* What /proc/mounts says, which speaks of the mount and its file system as one. */
static bool shown_read_only(const char *where)
{
	char line[512], point[200], options[200];
	FILE *f = fopen("/proc/mounts", "re");
	bool found = false, ro = false;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %199s %*s %199s", point, options) == 2 && !strcmp(point, where)) {
			found = true;
			ro = !strncmp(options, "ro", 2);
		}
	fclose(f);
	CHECK(found);
	return ro;
}

/* ---- values of any kind ---- */

static void kinds(void)
{
	char long_path[5000];
	int fs = (int)syscall(NR_fsopen, "tmpfs", 1);

	REQUIRE(fs >= 0);
	/* Flags of every file system are known by their name; what else is said does not count. */
	OK(config(fs, SET_STRING, "sync", "false", 0));
	OK(config(fs, SET_PATH, "sync", "/", AT_FDCWD));
	OK(config(fs, SET_PATH, "async", "nowhere", 0));
	OK(config(fs, SET_PATH_EMPTY, "dirsync", "", AT_FDCWD));
	OK(config(fs, SET_FD, "lazytime", NULL, 0));
	OK(config(fs, SET_BINARY, "nolazytime", "x", 1));
	/* But it has to be there. */
	CHECK_ERR(config(fs, SET_PATH, "sync", "", AT_FDCWD), ENOENT);
	CHECK_ERR(config(fs, SET_PATH, "sync", (char *)8, AT_FDCWD), EFAULT);
	memset(long_path, 'p', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	CHECK_ERR(config(fs, SET_PATH, "sync", long_path, AT_FDCWD), ENAMETOOLONG);
	CHECK_ERR(config(fs, SET_FD, "sync", NULL, 999), EBADF);
	CHECK_ERR(config(fs, SET_BINARY, "sync", (char *)8, 1), EFAULT);
	CHECK_ERR(config(fs, SET_PATH, "sync", "/", -2), EINVAL);
	/* Others are of one kind. */
	CHECK_ERR(config(fs, SET_PATH, "size", "/", AT_FDCWD), EINVAL);
	CHECK_ERR(config(fs, SET_FD, "source", NULL, 0), EINVAL);
	CHECK_ERR(config(fs, SET_FLAG, "source", NULL, 0), EINVAL);
	CHECK_ERR(config(fs, SET_BINARY, "none", "x", 1), EINVAL);
	OK(config(fs, SET_STRING, "ro", "whatever", 0));
	OK(config(fs, CMD_CREATE, NULL, NULL, 0));
	CHECK_ERR(config(fs, SET_PATH, "sync", "/", AT_FDCWD), EBUSY);
	CHECK_ERR(config(fs, SET_FD, "sync", NULL, 999), EBADF);
	close(fs);
}

TEST(values_of_options)
{
	NEED_ROOT();
	in_private(kinds);
}

/* ---- read-only and back ---- */

static void read_only(void)
{
	int fs, fd;

	mkdirs("d", NULL);
	OK(mount("d", at("d"), "tmpfs", 0, NULL));
	/* Not while a file is open for writing, through whichever mount. */
	mkdirs("e", NULL);
	OK(mount(at("d"), at("e"), NULL, MS_BIND, NULL));
	fd = open(at("e/f"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_ERR(mount(NULL, at("d"), NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
	CHECK(takes_files(at("d")));
	fs = pick(at("d"));
	OK(config(fs, SET_FLAG, "ro", NULL, 0));
	CHECK_ERR(config(fs, CMD_RECONFIGURE, NULL, NULL, 0), EBUSY);
	close(fs);
	CHECK(takes_files(at("d")));
	close(fd);
	fd = open(at("e/f"), O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	OK(mount(NULL, at("d"), NULL, MS_REMOUNT | MS_RDONLY, NULL));
	CHECK(!takes_files(at("d")));
	CHECK(!takes_files(at("e")));
	CHECK(shown_read_only(at("e")));
	close(fd);
	/* What is not said stays as it is. */
	fs = pick(at("e"));
	OK(config(fs, SET_STRING, "sync", "false", 0));
	OK(config(fs, CMD_RECONFIGURE, NULL, NULL, 0));
	CHECK(!takes_files(at("e")));
	OK(config(fs, SET_FLAG, "rw", NULL, 0));
	OK(config(fs, CMD_RECONFIGURE, NULL, NULL, 0));
	CHECK(takes_files(at("e")));
	close(fs);
}

TEST(read_only_and_back)
{
	NEED_ROOT();
	in_private(read_only);
}

/* ---- the size of a tmpfs ---- */

static void resized(void)
{
	char block[8192] = "";
	int fs, fd;

	mkdirs("d", "free");
	OK(mount("d", at("d"), "tmpfs", 0, "size=64k"));
	OK(mount(NULL, at("d"), NULL, MS_REMOUNT, "size=128k"));
	CHECK_EQ(blocks_of(at("d")), 32);
	OK(mount(NULL, at("d"), NULL, MS_REMOUNT, NULL));
	CHECK_EQ(blocks_of(at("d")), 32);
	CHECK_ERR(mount(NULL, at("d"), NULL, MS_REMOUNT, "no-such=1"), EINVAL);
	CHECK_ERR(mount(NULL, at("d"), NULL, MS_REMOUNT, "size=1x"), EINVAL);
	fd = open(at("d/f"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, block, sizeof(block)), sizeof(block));
	CHECK_ERR(mount(NULL, at("d"), NULL, MS_REMOUNT, "size=4k"), EINVAL);
	CHECK_EQ(blocks_of(at("d")), 32);
	OK(mount(NULL, at("d"), NULL, MS_REMOUNT, "nr_blocks=2"));
	CHECK_EQ(blocks_of(at("d")), 2);
	CHECK_ERR(write(fd, block, 1), ENOSPC);
	fs = pick(at("d"));
	OK(config(fs, SET_STRING, "size", "16k", 0));
	CHECK_EQ(blocks_of(at("d")), 2);
	OK(config(fs, CMD_RECONFIGURE, NULL, NULL, 0));
	CHECK_EQ(blocks_of(at("d")), 4);
	CHECK_EQ(write(fd, block, 1), 1);
	close(fs);
	close(fd);
	/* A limit can be taken away, but not come later. */
	OK(mount(NULL, at("d"), NULL, MS_REMOUNT, "size=0"));
	CHECK_EQ(blocks_of(at("d")), 0);
	CHECK_ERR(mount(NULL, at("d"), NULL, MS_REMOUNT, "size=1m"), EINVAL);
	/* A bind mount's remount is of its flags alone. */
	OK(mount("f", at("free"), "tmpfs", 0, "size=64k"));
	OK(mount(NULL, at("free"), NULL, MS_REMOUNT | MS_BIND, "size=128k"));
	CHECK_EQ(blocks_of(at("free")), 16);
}

TEST(size_of_a_tmpfs_that_is_mounted)
{
	NEED_ROOT();
	in_private(resized);
}

/* ---- the caller's root ---- */

static void own_root(void)
{
	pid_t pid;

	mkdirs("r", NULL);
	OK(mount("r", at("r"), "tmpfs", 0, NULL));
	pid = h_fork();
	if (pid == 0) {
		OK(chroot(at("r")));
		OK(chdir("/"));
		CHECK(takes_files("/"));
		CHECK_ERR(umount2("/", MNT_EXPIRE), EINVAL);
		OK(umount2("/", 0)); /* is a remount: it cannot be taken away */
		CHECK(!takes_files("/"));
		OK(umount2("/", 0));
		OK(mount("upper", "/", "tmpfs", 0, NULL));
		OK(umount2("/", 0)); /* what covers it goes */
		CHECK(!takes_files("/"));
		OK(mount(NULL, "/", NULL, MS_REMOUNT, NULL));
		int fd = open("/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		CHECK_ERR(umount2("/", 0), EBUSY);
		close(fd);
		CHECK(takes_files("/"));
		child_exit();
	}
	JOIN(pid);
	CHECK(takes_files(at("r")));
	OK(umount(at("r")));
}

TEST(umount_of_the_root)
{
	NEED_ROOT();
	in_private(own_root);
}

