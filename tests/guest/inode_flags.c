/* Inode flags on a tmpfs: chattr(1)'s ioctls, file_getattr(2) and file_setattr(2), and what the flags forbid. */
#include "harness.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define SYS_FILE_GETATTR 468
#define SYS_FILE_SETATTR 469
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define KEPT (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL)

struct attr {
	uint64_t xflags;
	uint32_t extsize, nextents, projid, cowextsize;
};

static char dir[64];

static int set_flags(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = ioctl(fd, FS_IOC_SETFLAGS, &flags), saved = errno;

	close(fd);
	errno = saved;
	return r;
}

static int get_flags(const char *path)
{
	int flags = -1, fd = open(path, O_RDONLY | O_CLOEXEC), r = ioctl(fd, FS_IOC_GETFLAGS, &flags);

	close(fd);
	return r ? r : flags;
}

static int thaw(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (flag != FTW_SL)
		set_flags(path, 0);
	return 0;
}

static void remove_dir(void)
{
	if (h_dir_owner == getpid() && chdir("/") == 0) {
		nftw(dir, thaw, 16, FTW_PHYS);
		nftw(dir, h_remove, 16, FTW_PHYS | FTW_DEPTH);
	}
}

/* A directory on a tmpfs, as the working directory, with a file f and a directory d, both without flags. */
static void use_tmpfs(void)
{
	if (!dir[0]) {
		strcpy(dir, "/dev/shm/flags.XXXXXX");
		REQUIRE(mkdtemp(dir));
		h_dir_owner = getpid();
		atexit(remove_dir);
	}
	REQUIRE(chdir(dir) == 0);
	nftw(dir, thaw, 16, FTW_PHYS);
	write_file("f", "text", 4, 0644);
	REQUIRE(mkdir("d", 0755) == 0 || errno == EEXIST);
}

static bool may_freeze(void)
{
	struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	REQUIRE(syscall(SYS_capget, &hdr, data) == 0);
	return data[0].effective >> CAP_LINUX_IMMUTABLE & 1;
}
#define NEED_FREEZE()                                                                                                  \
	do {                                                                                                           \
		if (!may_freeze())                                                                                     \
			SKIP("CAP_LINUX_IMMUTABLE is missing");                                                        \
	} while (0)

static long getattr(const char *path, struct attr *a, size_t size, unsigned flags)
{
	return syscall(SYS_FILE_GETATTR, AT_FDCWD, path, a, size, flags);
}

static long setattr(const char *path, struct attr *a, size_t size, unsigned flags)
{
	return syscall(SYS_FILE_SETATTR, AT_FDCWD, path, a, size, flags);
}

static bool has_attr_calls(void)
{
	struct attr a;

	return getattr("f", &a, sizeof(a), 0) == 0 || errno != ENOSYS;
}

static uint64_t shown(const char *path)
{
	struct statx st;

	REQUIRE(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st) == 0);
	CHECK_EQ(st.stx_attributes_mask & 0x70, 0x70);
	return st.stx_attributes & 0x70;
}

TEST(get_and_set)
{
	int fd, flags;
	long version;

	use_tmpfs();
	CHECK_EQ(get_flags("f"), 0);
	CHECK_EQ(shown("f"), 0);
	OK(set_flags("f", FS_NODUMP_FL | FS_NOATIME_FL));
	CHECK_EQ(get_flags("f"), FS_NODUMP_FL | FS_NOATIME_FL);
	CHECK_EQ(shown("f"), STATX_ATTR_NODUMP);
	OK(set_flags("d", FS_NODUMP_FL));
	CHECK_EQ(get_flags("d"), FS_NODUMP_FL);
	for (int bit = 0; bit < 32; bit++)
		if (!((1 << bit) & KEPT))
			CHECK_ERR(set_flags("f", 1 << bit), EOPNOTSUPP);
	CHECK_EQ(get_flags("f"), FS_NODUMP_FL | FS_NOATIME_FL);
	fd = open("f", O_RDWR | O_CLOEXEC);
	CHECK_ERR(ioctl(fd, FS_IOC_GETFLAGS, 8), EFAULT);
	CHECK_ERR(ioctl(fd, FS_IOC_SETFLAGS, 8), EFAULT);
	CHECK_ERR(ioctl(fd, FS_IOC_GETVERSION, &version), ENOTTY);
	close(fd);
	fd = open("f", O_PATH | O_CLOEXEC);
	CHECK_ERR(ioctl(fd, FS_IOC_GETFLAGS, &flags), EBADF);
	close(fd);
	fd = (int)syscall(SYS_memfd_create, "m", 1);
	OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	close(fd);
}

TEST(files_that_keep_none)
{
	static const char *const paths[] = {"/proc/self/status", "/sys/kernel", "/dev/null"};
	struct fsxattr x = {0};
	int fd, p[2], flags = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		CHECK_ERR(ioctl(fd, FS_IOC_GETFLAGS, &flags), ENOTTY);
		CHECK_ERR(ioctl(fd, FS_IOC_FSGETXATTR, &x), ENOTTY);
		close(fd);
	}
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	CHECK_ERR(ioctl(p[0], FS_IOC_GETFLAGS, &flags), ENOTTY);
	CHECK_ERR(ioctl(p[0], FS_IOC_SETFLAGS, &flags), ENOTTY);
	close(p[0]), close(p[1]);
}

TEST(new_files_inherit)
{
	use_tmpfs();
	OK(set_flags("d", FS_NODUMP_FL | FS_NOATIME_FL));
	write_file("d/new", "", 0, 0600);
	REQUIRE(mkdir("d/sub", 0700) == 0 && symlink("x", "d/link") == 0);
	CHECK_EQ(get_flags("d/new"), FS_NODUMP_FL | FS_NOATIME_FL);
	CHECK_EQ(get_flags("d/sub"), FS_NODUMP_FL | FS_NOATIME_FL);
	CHECK_EQ(shown("d/link"), STATX_ATTR_NODUMP);
	OK(set_flags("d", 0));
	unlink("d/new"), unlink("d/link"), rmdir("d/sub");
}

static uint32_t xflags_of(int fd)
{
	struct fsxattr x;

	memset(&x, 0x55, sizeof(x));
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &x));
	CHECK(x.fsx_extsize == 0 && x.fsx_nextents == 0 && x.fsx_projid == 0 && x.fsx_cowextsize == 0 &&
	      x.fsx_pad[0] == 0);
	return x.fsx_xflags;
}

static int set_xflags(int fd, uint32_t xflags)
{
	struct fsxattr x = {.fsx_xflags = xflags};

	return ioctl(fd, FS_IOC_FSSETXATTR, &x);
}

TEST(in_words_of_xfs)
{
	struct fsxattr x = {0};
	int fd, d;

	use_tmpfs();
	fd = open("f", O_RDWR | O_CLOEXEC);
	d = open("d", O_RDONLY | O_CLOEXEC);
	OK(set_xflags(fd, FS_XFLAG_NODUMP | FS_XFLAG_NOATIME));
	CHECK_EQ(xflags_of(fd), FS_XFLAG_NODUMP | FS_XFLAG_NOATIME);
	CHECK_EQ(get_flags("f"), FS_NODUMP_FL | FS_NOATIME_FL);
	OK(set_xflags(fd,
		      FS_XFLAG_HASATTR | FS_XFLAG_PREALLOC | FS_XFLAG_EXTSIZE | FS_XFLAG_COWEXTSIZE)); /* say nothing */
	CHECK_EQ(xflags_of(fd), 0);
	CHECK_ERR(set_xflags(fd, FS_XFLAG_EXTSZINHERIT), EINVAL);
	CHECK_ERR(set_xflags(d, FS_XFLAG_EXTSIZE), EINVAL);
	CHECK_ERR(set_xflags(fd, FS_XFLAG_SYNC), EOPNOTSUPP);
	CHECK_ERR(set_xflags(fd, FS_XFLAG_REALTIME), EOPNOTSUPP);
	CHECK_ERR(set_xflags(fd, 1 << 20), EOPNOTSUPP);
	x.fsx_projid = 5;
	CHECK_ERR(ioctl(fd, FS_IOC_FSSETXATTR, &x), EOPNOTSUPP);
	x.fsx_projid = 0, x.fsx_extsize = 4096;
	CHECK_ERR(ioctl(fd, FS_IOC_FSSETXATTR, &x), EOPNOTSUPP);
	x.fsx_extsize = 0, x.fsx_nextents = 7, x.fsx_pad[0] = 1;
	OK(ioctl(fd, FS_IOC_FSSETXATTR, &x));
	CHECK_ERR(ioctl(fd, FS_IOC_FSSETXATTR, 8), EFAULT);
	close(fd), close(d);
}

TEST(attr_calls)
{
	struct attr a[4];
	struct attr *bad = (struct attr *)8;
	int fd;

	use_tmpfs();
	if (!has_attr_calls())
		SKIP("Linux before 6.17");
	OK(set_flags("f", FS_NODUMP_FL));
	memset(a, 0x55, sizeof(a));
	OK(getattr("f", a, sizeof(a[0]), 0));
	CHECK(a[0].xflags == FS_XFLAG_NODUMP && a[0].extsize == 0 && a[0].nextents == 0);
	CHECK_EQ(a[1].xflags, 0x5555555555555555);
	OK(getattr("f", a, 2 * sizeof(a[0]), 0));
	CHECK_EQ(a[1].xflags, 0); /* fields to come */
	fd = open("f", O_RDONLY | O_CLOEXEC);
	OK(syscall(SYS_FILE_GETATTR, fd, "", a, sizeof(a[0]), AT_EMPTY_PATH));
	OK(syscall(SYS_FILE_GETATTR, fd, NULL, a, sizeof(a[0]), AT_EMPTY_PATH));
	close(fd);
	CHECK_ERR(getattr("f", a, sizeof(a[0]) - 1, 0), EINVAL);
	CHECK_ERR(getattr("f", a, 8192, 0), E2BIG);
	CHECK_ERR(getattr("f", a, sizeof(a[0]), 1), EINVAL);
	CHECK_ERR(getattr("f", bad, sizeof(a[0]), 0), EFAULT);
	CHECK_ERR(getattr("none", a, sizeof(a[0]), 0), ENOENT);
	CHECK_ERR(getattr("/proc/self/status", a, sizeof(a[0]), 0), EOPNOTSUPP);
	REQUIRE(symlink("f", "l") == 0);
	OK(getattr("l", a, sizeof(a[0]), 0));
	CHECK_ERR(getattr("l", a, sizeof(a[0]), AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);

	memset(a, 0, sizeof(a));
	CHECK_ERR(setattr("l", a, sizeof(a[0]), AT_SYMLINK_NOFOLLOW), EOPNOTSUPP);
	a[0].xflags = FS_XFLAG_NOATIME;
	OK(setattr("l", a, sizeof(a), 0));
	CHECK_EQ(get_flags("f"), FS_NOATIME_FL);
	a[1].xflags = 1;
	CHECK_ERR(setattr("f", a, sizeof(a), 0), E2BIG);
	CHECK_ERR(setattr("f", a, 8192, 0), E2BIG);
	CHECK_ERR(setattr("f", a, sizeof(a[0]) - 1, 0), EINVAL);
	CHECK_ERR(setattr("f", a, sizeof(a[0]), 1), EINVAL);
	CHECK_ERR(setattr("f", bad, sizeof(a[0]), 0), EFAULT);
	CHECK_ERR(setattr("/proc/self/status", a, sizeof(a[0]), 0), EOPNOTSUPP);
	a[0].xflags = 1ull << 40;
	CHECK_ERR(setattr("f", a, sizeof(a[0]), 0), EINVAL);
	a[0].xflags = 4;
	CHECK_ERR(setattr("f", a, sizeof(a[0]), 0), EINVAL);
	a[0].xflags = FS_XFLAG_SYNC;
	CHECK_ERR(setattr("f", a, sizeof(a[0]), 0), EOPNOTSUPP);
	unlink("l");
}

/* The owner may set what harms nobody. */
TEST(who_may)
{
	int fd, flags;
	pid_t pid;

	use_tmpfs();
	if (getuid() != 0) {
		CHECK_ERR(set_flags("f", FS_IMMUTABLE_FL), EPERM);
		CHECK_ERR(set_flags("f", FS_APPEND_FL), EPERM);
		OK(set_flags("f", FS_NODUMP_FL));
		return;
	}
	fd = open("f", O_RDONLY | O_CLOEXEC);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setuid(65534) == 0);
		OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
		CHECK_ERR(ioctl(fd, FS_IOC_SETFLAGS, &flags), EPERM);
		child_exit();
	}
	JOIN(pid);
	REQUIRE(fchown(fd, 65534, 65534) == 0);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setuid(65534) == 0);
		flags = FS_NODUMP_FL;
		OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
		flags = FS_IMMUTABLE_FL;
		CHECK_ERR(ioctl(fd, FS_IOC_SETFLAGS, &flags), EPERM);
		CHECK_ERR(set_xflags(fd, FS_XFLAG_APPEND), EPERM);
		child_exit();
	}
	JOIN(pid);
	REQUIRE(fchown(fd, 0, 0) == 0);
	close(fd);
}

TEST(immutable_file)
{
	struct timespec old[2] = {{1, 0}, {1, 0}};
	int fd;

	use_tmpfs();
	NEED_FREEZE();
	fd = open("f", O_RDWR | O_CLOEXEC);
	REQUIRE(symlink("x", "z") == 0);
	OK(set_flags("f", FS_IMMUTABLE_FL));
	CHECK_EQ(shown("f"), STATX_ATTR_IMMUTABLE);
	CHECK_EQ(write(fd, "x", 1), 1); /* what was open stays so */
	CHECK_ERR(open("f", O_WRONLY), EPERM);
	CHECK_ERR(open("f", O_RDONLY | O_TRUNC), EPERM);
	CHECK_ERR(access("f", W_OK), EPERM);
	CHECK_ERR(chmod("f", 0600), EPERM);
	CHECK_ERR(fchmod(fd, 0600), EPERM);
	CHECK_ERR(chown("f", 0, 0), EPERM);
	CHECK_ERR(utimensat(AT_FDCWD, "f", NULL, 0), EPERM);
	CHECK_ERR(utimensat(AT_FDCWD, "f", old, 0), EPERM);
	CHECK_ERR(truncate("f", 0), EPERM);
	CHECK_ERR(fallocate(fd, 0, 0, 100), EPERM);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.a", "x", 1, 0), EPERM);
	CHECK_ERR(syscall(SYS_removexattr, "f", "user.a"), EPERM);
	CHECK_ERR(unlink("f"), EPERM);
	CHECK_ERR(link("f", "g"), EPERM);
	CHECK_ERR(rename("f", "g"), EPERM);
	CHECK_ERR(rename("z", "f"), EPERM);
	CHECK_EQ(open("f", O_RDONLY | O_CLOEXEC) >= 0, 1);
	OK(set_flags("f", 0));
	OK(unlink("f"));
	unlink("z");
	close(fd);
}

TEST(append_only_file)
{
	struct timespec old[2] = {{1, 0}, {1, 0}};
	struct iovec v = {"x", 1};
	int fd, a;

	use_tmpfs();
	NEED_FREEZE();
	fd = open("f", O_RDWR | O_CLOEXEC);
	OK(set_flags("f", FS_APPEND_FL));
	CHECK_EQ(shown("f"), STATX_ATTR_APPEND);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_ERR(ftruncate(fd, 0), EPERM);
	CHECK_ERR(truncate("f", 0), EPERM);
	CHECK_ERR(open("f", O_WRONLY), EPERM);
	CHECK_ERR(open("f", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
	CHECK_ERR(open("f", O_RDONLY | O_TRUNC), EPERM);
	CHECK_ERR(chmod("f", 0600), EPERM);
	CHECK_ERR(chown("f", 0, 0), EPERM);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK_ERR(utimensat(AT_FDCWD, "f", old, 0), EPERM);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100), EPERM);
	CHECK_ERR(syscall(SYS_setxattr, "f", "user.a", "x", 1, 0), EPERM);
	CHECK_ERR(unlink("f"), EPERM);
	CHECK_ERR(link("f", "g"), EPERM);
	CHECK_ERR(rename("f", "g"), EPERM);
	OK(access("f", W_OK));
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	a = open("f", O_RDWR | O_APPEND | O_CLOEXEC);
	CHECK_EQ(write(a, "tail", 4), 4);
	CHECK_ERR(fcntl(a, F_SETFL, 0), EPERM);
	OK(fcntl(a, F_SETFL, O_APPEND | O_NONBLOCK));
	CHECK_ERR(syscall(SYS_pwritev2, a, &v, 1, 0, 0, RWF_NOAPPEND), EPERM);
	OK(set_flags("f", 0));
	close(a), close(fd);
}

TEST(immutable_directory)
{
	use_tmpfs();
	NEED_FREEZE();
	write_file("d/in", "x", 1, 0644);
	OK(set_flags("d", FS_IMMUTABLE_FL));
	CHECK_ERR(open("d/n", O_CREAT | O_RDWR, 0600), EPERM);
	CHECK_ERR(open("d", O_TMPFILE | O_RDWR, 0600), EPERM);
	CHECK_ERR(mkdir("d/n", 0700), EPERM);
	CHECK_ERR(link("f", "d/n"), EPERM);
	CHECK_ERR(rename("f", "d/n"), EPERM);
	CHECK_ERR(unlink("d/in"), EPERM);
	CHECK_ERR(chmod("d", 0700), EPERM);
	CHECK_ERR(rmdir("d"), EPERM);
	CHECK_ERR(rename("d", "e"), EPERM);
	write_file("d/in", "more", 4, 0644); /* the file itself is free */
	OK(set_flags("d", 0));
	OK(unlink("d/in"));
}

TEST(append_only_directory)
{
	use_tmpfs();
	NEED_FREEZE();
	write_file("d/x", "x", 1, 0644);
	write_file("g", "x", 1, 0644);
	OK(set_flags("d", FS_APPEND_FL));
	write_file("d/n", "x", 1, 0644);
	OK(mkdir("d/m", 0700));
	OK(link("f", "d/o"));
	OK(rename("g", "d/g"));
	CHECK_ERR(unlink("d/x"), EPERM);
	CHECK_ERR(rename("d/x", "d/y"), EPERM);
	CHECK_ERR(rename("d/x", "y"), EPERM);
	CHECK_ERR(rename("f", "d/x"), EPERM);
	CHECK_ERR(rmdir("d/m"), EPERM);
	CHECK_ERR(chmod("d", 0700), EPERM);
	OK(set_flags("d", 0));
	unlink("d/x"), unlink("d/n"), unlink("d/o"), unlink("d/g"), rmdir("d/m");
}

TEST(no_access_times)
{
	struct stat before, after;
	struct timespec old[2] = {{1, 0}, {2, 0}};
	char c;
	int fd;

	use_tmpfs();
	OK(set_flags("f", FS_NOATIME_FL));
	REQUIRE(utimensat(AT_FDCWD, "f", old, 0) == 0 && stat("f", &before) == 0);
	fd = open("f", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, &c, 1), 1);
	REQUIRE(stat("f", &after) == 0);
	CHECK_EQ(after.st_atim.tv_sec, 1);
	OK(set_flags("f", 0));
	CHECK_EQ(read(fd, &c, 1), 1);
	REQUIRE(stat("f", &after) == 0);
	CHECK(after.st_atim.tv_sec != 1);
	close(fd);
}
