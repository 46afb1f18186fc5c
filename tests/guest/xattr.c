/* xattr(7): names, sizes, flags, lists, who may; and the calls that take a directory. */
#include "harness.h"

#include <sys/xattr.h>

struct args {
	uint64_t value;
	uint32_t size, flags;
};

static long setat(int dir, const char *path, unsigned flags, const char *name, const struct args *a, size_t size)
{
	return syscall(463, dir, path, flags, name, a, size);
}

static long getat(int dir, const char *path, unsigned flags, const char *name, const struct args *a, size_t size)
{
	return syscall(464, dir, path, flags, name, a, size);
}

static long listat(int dir, const char *path, unsigned flags, char *list, size_t size)
{
	return syscall(465, dir, path, flags, list, size);
}

static long removeat(int dir, const char *path, unsigned flags, const char *name)
{
	return syscall(466, dir, path, flags, name);
}

static bool in_list(const char *list, ssize_t n, const char *name)
{
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1)
		if (!strcmp(list + at, name))
			return true;
	return false;
}

static void make(const char *name)
{
	write_file(name, "data", 4, 0644);
}

/* What every file system here does alike; in the directory we are in. */
static void values(void)
{
	char buf[128], list[256];
	ssize_t n;

	make("v");
	CHECK_ERR(getxattr("v", "user.a", buf, sizeof(buf)), ENODATA);
	OK(setxattr("v", "user.a", "hello", 5, 0));
	CHECK_EQ(getxattr("v", "user.a", NULL, 0), 5);
	CHECK_EQ(getxattr("v", "user.a", buf, 5), 5);
	CHECK(!memcmp(buf, "hello", 5));
	CHECK_ERR(getxattr("v", "user.a", buf, 4), ERANGE);
	OK(setxattr("v", "user.a", "longer value", 12, 0));
	CHECK_EQ(getxattr("v", "user.a", buf, sizeof(buf)), 12);
	OK(setxattr("v", "user.empty", NULL, 0, 0));
	CHECK_EQ(getxattr("v", "user.empty", buf, sizeof(buf)), 0);
	CHECK_ERR(setxattr("v", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	CHECK_ERR(setxattr("v", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK_ERR(setxattr("v", "user.a", "x", 1, 4), EINVAL);
	OK(setxattr("v", "user.b", "x", 1, XATTR_CREATE));
	OK(setxattr("v", "user.b", "y", 1, XATTR_REPLACE));
	n = listxattr("v", list, sizeof(list));
	CHECK(n >= 7 + 11 + 7);
	CHECK(in_list(list, n, "user.a") && in_list(list, n, "user.b") && in_list(list, n, "user.empty"));
	CHECK_EQ(listxattr("v", NULL, 0), n);
	CHECK_ERR(listxattr("v", list, (size_t)n - 1), ERANGE);
	OK(removexattr("v", "user.empty"));
	CHECK_ERR(removexattr("v", "user.empty"), ENODATA);
	CHECK_EQ(listxattr("v", list, sizeof(list)), n - 11);
	OK(rename("v", "w"));
	CHECK_EQ(getxattr("w", "user.a", buf, sizeof(buf)), 12);
	OK(unlink("w"));
}

TEST(values_on_disk)
{
	use_tmpdir();
	values();
}

TEST(values_in_memory)
{
	char dir[] = "/dev/shm/guest.XXXXXX";

	REQUIRE(mkdtemp(dir));
	OK(chdir(dir));
	values();
	OK(chdir("/"));
	OK(rmdir(dir));
}

TEST(names_and_sizes)
{
	static char big[65537], name[300];
	char buf[16];

	use_tmpdir();
	make("n");
	CHECK_ERR(setxattr("n", "", "x", 1, 0), ERANGE);
	CHECK_ERR(getxattr("n", "", buf, 1), ERANGE);
	CHECK_ERR(removexattr("n", ""), ERANGE);
	CHECK_ERR(setxattr("n", "user.", "x", 1, 0), EINVAL);
	CHECK_ERR(setxattr("n", "a", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERR(getxattr("n", "user", buf, 1), EOPNOTSUPP);
	CHECK_ERR(getxattr("n", "other.x", buf, 1), EOPNOTSUPP);
	memset(name, 'n', sizeof(name) - 1);
	memcpy(name, "user.", 5);
	CHECK_ERR(setxattr("n", name, "x", 1, 0), ERANGE);
	name[256] = 0;
	CHECK_ERR(setxattr("n", name, "x", 1, 0), ERANGE);
	name[255] = 0;
	OK(setxattr("n", name, "x", 1, 0));
	CHECK_EQ(getxattr("n", name, buf, sizeof(buf)), 1);
	CHECK_ERR(setxattr("n", "user.big", big, 65537, 0), E2BIG);
	CHECK_ERR(setxattr("n", (char *)8, "x", 1, 0), EFAULT);
	CHECK_ERR(setxattr("n", "user.x", (char *)8, 1, 0), EFAULT);
	OK(setxattr("n", "user.x", "x", 1, 0));
	CHECK_ERR(getxattr("n", "user.x", (char *)8, 1), EFAULT);
	CHECK_ERR(setxattr("nothing", "user.x", "x", 1, 0), ENOENT);
	CHECK_ERR(fsetxattr(-1, "user.x", "x", 1, 0), EBADF);
}

TEST(kinds_of_files)
{
	char buf[16];
	int fd;

	use_tmpdir();
	make("k");
	OK(symlink("k", "kl"));
	OK(mkfifo("kf", 0600));
	OK(mkdir("kd", 0755));
	OK(setxattr("kl", "user.through", "x", 1, 0));
	CHECK_EQ(getxattr("k", "user.through", buf, sizeof(buf)), 1);
	CHECK_ERR(lsetxattr("kl", "user.x", "x", 1, 0), EPERM);
	CHECK_ERR(lgetxattr("kl", "user.x", buf, sizeof(buf)), ENODATA);
	CHECK_ERR(lremovexattr("kl", "user.x"), EPERM);
	CHECK_ERR(setxattr("kf", "user.x", "x", 1, 0), EPERM);
	CHECK_ERR(getxattr("kf", "user.x", buf, sizeof(buf)), ENODATA);
	OK(setxattr("kd", "user.x", "dir", 3, 0));
	CHECK_EQ(getxattr("kd", "user.x", buf, sizeof(buf)), 3);
	fd = open("k", O_RDONLY);
	OK(fsetxattr(fd, "user.fd", "123", 3, 0)); /* by the file's permissions, not by how it is open */
	OK(unlink("k"));
	CHECK_EQ(fgetxattr(fd, "user.fd", buf, sizeof(buf)), 3);
	OK(fremovexattr(fd, "user.fd"));
	CHECK_ERR(fgetxattr(fd, "user.fd", buf, sizeof(buf)), ENODATA);
	close(fd);
	fd = open("kd", O_PATH);
	CHECK_ERR(fgetxattr(fd, "user.x", buf, sizeof(buf)), EBADF);
	CHECK_ERR(fsetxattr(fd, "user.x", "x", 1, 0), EBADF);
	CHECK_ERR(flistxattr(fd, buf, sizeof(buf)), EBADF);
	close(fd);
}

/* What root alone may; the others see nothing of it. */
TEST(privileged)
{
	char buf[16], list[256];
	ssize_t n;
	pid_t pid;

	use_tmpdir();
	make("p");
	if (setxattr("p", "trusted.t", "t", 1, 0)) {
		CHECK_EQ(errno, EPERM);
		CHECK_ERR(getxattr("p", "trusted.t", buf, sizeof(buf)), ENODATA);
		CHECK_ERR(removexattr("p", "trusted.t"), EPERM);
		CHECK_ERR(setxattr("p", "security.s", "t", 1, 0), EPERM);
		return;
	}
	OK(setxattr("p", "security.s", "sec", 3, 0));
	OK(symlink("p", "pl"));
	OK(lsetxattr("pl", "trusted.link", "l", 1, 0));
	CHECK_EQ(lgetxattr("pl", "trusted.link", buf, sizeof(buf)), 1);
	CHECK_ERR(lgetxattr("pl", "trusted.other", buf, sizeof(buf)), ENODATA);
	n = listxattr("p", list, sizeof(list));
	CHECK(in_list(list, n, "trusted.t") && in_list(list, n, "security.s"));
	OK(chmod("p", 0666));
	OK(chmod(".", 0777));
	pid = h_fork();
	if (pid == 0) {
		OK(setresgid(65533, 65533, 65533));
		OK(setresuid(65533, 65533, 65533));
		CHECK_ERR(getxattr("p", "trusted.t", buf, sizeof(buf)), ENODATA);
		CHECK_ERR(setxattr("p", "trusted.t", "t", 1, 0), EPERM);
		CHECK_ERR(setxattr("p", "security.s", "t", 1, 0), EPERM);
		CHECK_ERR(removexattr("p", "security.s"), EPERM);
		CHECK_EQ(getxattr("p", "security.s", buf, sizeof(buf)), 3);
		OK(setxattr("p", "user.mine", "1", 1, 0));
		n = listxattr("p", list, sizeof(list));
		CHECK(!in_list(list, n, "trusted.t") && in_list(list, n, "security.s"));
		child_exit();
	}
	JOIN(pid);
	OK(chmod("p", 0600));
	pid = h_fork();
	if (pid == 0) {
		OK(setresgid(65533, 65533, 65533));
		OK(setresuid(65533, 65533, 65533));
		CHECK_ERR(getxattr("p", "user.mine", buf, sizeof(buf)), EACCES);
		CHECK_ERR(setxattr("p", "user.mine", "2", 1, 0), EACCES);
		CHECK_ERR(removexattr("p", "user.mine"), EACCES);
		child_exit();
	}
	JOIN(pid);
}

TEST(at_calls)
{
	char buf[16], list[64];
	struct args a = {(uintptr_t)"val", 3, 0}, g = {(uintptr_t)buf, sizeof(buf), 0};
	struct {
		struct args a;
		uint64_t more;
	} longer = {g, 0};
	int dir, fd;

	use_tmpdir();
	OK(mkdir("at", 0755));
	make("at/f");
	OK(symlink("f", "at/l"));
	dir = open("at", O_RDONLY | O_DIRECTORY);
	if (setat(dir, "f", 0, "user.a", &a, sizeof(a)) && errno == ENOSYS)
		SKIP("no setxattrat here");
	memset(buf, 0, sizeof(buf));
	CHECK_EQ(getat(dir, "f", 0, "user.a", &g, sizeof(g)), 3);
	CHECK(!memcmp(buf, "val", 3));
	CHECK_EQ(getat(dir, "l", 0, "user.a", &longer.a, sizeof(longer)), 3);
	longer.more = 1;
	CHECK_ERR(getat(dir, "l", 0, "user.a", &longer.a, sizeof(longer)), E2BIG);
	CHECK_ERR(getat(dir, "f", 0, "user.a", &g, 15), EINVAL);
	CHECK_ERR(getat(dir, "f", 0, "user.a", &g, 4097), E2BIG);
	g.flags = 1;
	CHECK_ERR(getat(dir, "f", 0, "user.a", &g, sizeof(g)), EINVAL);
	g.flags = 0;
	a.flags = XATTR_CREATE;
	CHECK_ERR(setat(dir, "f", 0, "user.a", &a, sizeof(a)), EEXIST);
	a.flags = 8;
	CHECK_ERR(setat(dir, "f", 0, "user.a", &a, sizeof(a)), EINVAL);
	a.flags = 0;
	CHECK_ERR(setat(dir, "l", AT_SYMLINK_NOFOLLOW, "user.a", &a, sizeof(a)), EPERM);
	CHECK_ERR(getat(dir, "l", AT_SYMLINK_NOFOLLOW, "user.a", &g, sizeof(g)), ENODATA);
	CHECK_ERR(getat(dir, "f", AT_NO_AUTOMOUNT, "user.a", &g, sizeof(g)), EINVAL);
	CHECK_EQ(listat(dir, "f", 0, list, sizeof(list)), 7);
	CHECK_STR(list, "user.a");
	fd = openat(dir, "f", O_RDWR);
	CHECK_EQ(getat(fd, "", AT_EMPTY_PATH, "user.a", &g, sizeof(g)), 3);
	CHECK_EQ(getat(fd, NULL, AT_EMPTY_PATH, "user.a", &g, sizeof(g)), 3);
	CHECK_ERR(getat(fd, "", 0, "user.a", &g, sizeof(g)), ENOENT);
	CHECK_EQ(listat(fd, "", AT_EMPTY_PATH, list, sizeof(list)), 7);
	OK(setat(fd, "", AT_EMPTY_PATH, "user.b", &a, sizeof(a)));
	OK(removeat(fd, "", AT_EMPTY_PATH, "user.b"));
	close(fd);
	fd = openat(dir, "f", O_PATH);
	CHECK_ERR(getat(fd, "", AT_EMPTY_PATH, "user.a", &g, sizeof(g)), EBADF);
	close(fd);
	OK(removeat(dir, "f", 0, "user.a"));
	CHECK_ERR(removeat(dir, "f", 0, "user.a"), ENODATA);
	CHECK_ERR(removeat(dir, "f", AT_NO_AUTOMOUNT, "user.a"), EINVAL);
	CHECK_ERR(getat(-1, "f", 0, "user.a", &g, sizeof(g)), EBADF);
	CHECK_ERR(getat(dir, "f", 0, "user.a", (void *)8, sizeof(g)), EFAULT);
	close(dir);
}
