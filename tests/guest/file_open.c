/* open and path resolution: flags, links, loops, "..", trailing slashes, permissions. */
#include "harness.h"

#include <limits.h>

static int try_open(const char *path, int flags, mode_t mode)
{
	int fd = open(path, flags, mode);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode;
}

TEST(creation)
{
	use_tmpdir();
	CHECK_ERR(try_open("a", O_RDONLY, 0), ENOENT);
	OK(try_open("a", O_RDWR | O_CREAT, 0640));
	CHECK_EQ(mode_of("a") & 07777, 0640);
	CHECK_ERR(try_open("a", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	OK(try_open("a", O_RDWR | O_CREAT, 0777));
	CHECK_EQ(mode_of("a") & 07777, 0640); /* only a new file gets the mode */
	CHECK_ERR(try_open("none/a", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK_ERR(try_open("a/b", O_CREAT | O_RDWR, 0600), ENOTDIR);
	CHECK_ERR(try_open("", O_RDONLY, 0), ENOENT);
	CHECK_ERR(try_open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
	CHECK_ERR(try_open(".", O_CREAT | O_RDWR, 0600), EISDIR);
	/* A file created read-only can be written through the descriptor that made it. */
	int fd = open("ro", O_RDWR | O_CREAT, 0400);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
}

TEST(umask)
{
	mode_t old;

	use_tmpdir();
	old = umask(077);
	CHECK_EQ(umask(027), 077);
	OK(try_open("um", O_RDWR | O_CREAT, 0777));
	CHECK_EQ(mode_of("um") & 07777, 0750);
	OK(mkdir("umd", 0777));
	CHECK_EQ(mode_of("umd") & 07777, 0750);
	CHECK_EQ(umask(0177777), 027);
	CHECK_EQ(umask(old), 0777);
}

TEST(truncation)
{
	struct stat st;

	use_tmpdir();
	write_file("t", "abcdef", 6, 0600);
	OK(try_open("t", O_WRONLY | O_TRUNC, 0));
	CHECK(stat("t", &st) == 0 && st.st_size == 0);
}

TEST(directories)
{
	char c;
	int fd;

	use_tmpdir();
	OK(mkdir("d", 0755));
	CHECK_ERR(try_open("d", O_WRONLY, 0), EISDIR);
	CHECK_ERR(try_open("d", O_RDWR, 0), EISDIR);
	CHECK_ERR(try_open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
	fd = open("d", O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	CHECK_ERR(read(fd, &c, 1), EISDIR);
	CHECK_ERR(write(fd, &c, 1), EBADF);
	close(fd);
	write_file("file", "x", 1, 0600);
	CHECK_ERR(try_open("file", O_RDONLY | O_DIRECTORY, 0), ENOTDIR);
	CHECK_ERR(try_open("file/", O_RDONLY, 0), ENOTDIR);
	CHECK_ERR(try_open("file/.", O_RDONLY, 0), ENOTDIR);
	CHECK_ERR(try_open("file/..", O_RDONLY, 0), ENOTDIR);
}

TEST(access_mode)
{
	char c;
	int fd;

	use_tmpdir();
	write_file("m", "x", 1, 0600);
	fd = open("m", O_RDONLY);
	CHECK_ERR(write(fd, "y", 1), EBADF);
	CHECK_ERR(ftruncate(fd, 0), EINVAL);
	close(fd);
	fd = open("m", O_WRONLY);
	CHECK_ERR(read(fd, &c, 1), EBADF);
	close(fd);
	fd = open("m", O_PATH);
	CHECK(fd >= 0);
	CHECK_ERR(read(fd, &c, 1), EBADF);
	CHECK_ERR(write(fd, &c, 1), EBADF);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	struct stat st;
	CHECK(fstat(fd, &st) == 0 && st.st_size == 1);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	close(fd);
}

TEST(append)
{
	char buf[16];
	int a, b;

	use_tmpdir();
	a = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
	b = open("log", O_RDWR | O_APPEND);
	CHECK_EQ(write(a, "one", 3), 3);
	CHECK_EQ(write(b, "two", 3), 3);
	CHECK_EQ(write(a, "six", 3), 3);
	CHECK_EQ(lseek(a, 0, SEEK_CUR), 9);
	CHECK_EQ(lseek(b, 0, SEEK_SET), 0);
	CHECK_EQ(write(b, "!", 1), 1);
	CHECK_EQ(pread(b, buf, 16, 0), 10);
	CHECK(memcmp(buf, "onetwosix!", 10) == 0);
	CHECK_EQ(pwrite(b, "?", 1, 0), 1); /* Linux appends here too */
	CHECK_EQ(pread(b, buf, 16, 0), 11);
	close(a);
	close(b);
}

TEST(temporary_file)
{
	struct stat st;
	int fd;

	use_tmpdir();
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		SKIP("the file system has no O_TMPFILE");
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	close(fd);
	CHECK_ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

TEST(symlinks)
{
	char buf[64];
	struct stat st;

	use_tmpdir();
	write_file("target", "t", 1, 0600);
	OK(symlink("target", "link"));
	CHECK_ERR(symlink("x", "link"), EEXIST);
	CHECK_ERR(symlink("", "empty"), ENOENT);
	OK(try_open("link", O_RDONLY, 0));
	CHECK_ERR(try_open("link", O_RDONLY | O_NOFOLLOW, 0), ELOOP);
	CHECK_ERR(try_open("link", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_EQ(readlink("link", buf, sizeof(buf)), 6);
	CHECK(memcmp(buf, "target", 6) == 0);
	CHECK_EQ(readlink("link", buf, 3), 3);
	CHECK_ERR(readlink("target", buf, 64), EINVAL);
	CHECK_ERR(readlink("none", buf, 64), ENOENT);
	CHECK_ERR(readlink("link", buf, 0), EINVAL);
	CHECK(lstat("link", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 6 && (st.st_mode & 0777) == 0777);
	CHECK(stat("link", &st) == 0 && S_ISREG(st.st_mode));
	/* A dangling link: creating through it makes its target. */
	OK(symlink("made", "dangling"));
	CHECK_ERR(try_open("dangling", O_RDONLY, 0), ENOENT);
	CHECK_ERR(try_open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	OK(try_open("dangling", O_RDWR | O_CREAT, 0600));
	CHECK(stat("made", &st) == 0);
	/* A trailing slash follows even where the last component would not be. */
	OK(mkdir("dir", 0700));
	OK(symlink("dir", "dirlink"));
	CHECK(lstat("dirlink/", &st) == 0 && S_ISDIR(st.st_mode));
	CHECK_ERR(try_open("link/", O_RDONLY, 0), ENOTDIR);
	CHECK_ERR(rmdir("dirlink"), ENOTDIR);
	CHECK_ERR(mkdir("dangling2/x", 0700), ENOENT);
	int fd = open("link", O_PATH | O_NOFOLLOW);
	CHECK(fd >= 0);
	CHECK(fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
	CHECK_EQ(readlinkat(fd, "", buf, sizeof(buf)), 6);
	close(fd);
}

TEST(loops)
{
	char name[16], to[16];

	use_tmpdir();
	OK(symlink("self", "self"));
	CHECK_ERR(try_open("self", O_RDONLY, 0), ELOOP);
	OK(symlink("pong", "ping"));
	OK(symlink("ping", "pong"));
	CHECK_ERR(try_open("ping", O_RDONLY, 0), ELOOP);
	CHECK_ERR(try_open("ping/x", O_RDONLY, 0), ELOOP);
	/* Forty links may be followed in one lookup. */
	write_file("l0", "", 0, 0600);
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(to, sizeof(to), "l%d", i - 1);
		OK(symlink(to, name));
	}
	OK(try_open("l40", O_RDONLY, 0));
	CHECK_ERR(try_open("l41", O_RDONLY, 0), ELOOP);
}

TEST(dots)
{
	char cwd[PATH_MAX], here[PATH_MAX];

	use_tmpdir();
	REQUIRE(getcwd(here, sizeof(here)));
	OK(mkdir("x", 0700));
	OK(mkdir("x/y", 0700));
	write_file("x/y/f", "", 0, 0600);
	OK(try_open("x/./y/../y//f", O_RDONLY, 0));
	CHECK_ERR(try_open("x/none/../y/f", O_RDONLY, 0), ENOENT);
	OK(chdir("x/y"));
	OK(chdir(".."));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	CHECK(strncmp(cwd, here, strlen(here)) == 0 && strcmp(cwd + strlen(here), "/x") == 0);
	OK(chdir(here));
	OK(chdir("/.."));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	CHECK_STR(cwd, "/");
	OK(chdir("/../../tmp/.."));
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	CHECK_STR(cwd, "/");
	OK(chdir(here));
	CHECK_ERR(chdir("x/y/f"), ENOTDIR);
	CHECK_ERR(chdir("none"), ENOENT);
	CHECK_ERR(syscall(SYS_getcwd, cwd, 2), ERANGE);
	CHECK_ERR(syscall(SYS_getcwd, 8, 4096), EFAULT);
	CHECK_EQ(syscall(SYS_getcwd, cwd, sizeof(cwd)), (long)strlen(here) + 1);
	/* ".." of a directory reached through a link is the real parent. */
	OK(symlink("x/y", "short"));
	OK(try_open("short/../y/f", O_RDONLY, 0));
	OK(mkdir("gone", 0700));
	OK(chdir("gone"));
	OK(rmdir("../gone"));
	CHECK_ERR(syscall(SYS_getcwd, cwd, sizeof(cwd)), ENOENT);
	CHECK_ERR(try_open("f", O_CREAT | O_RDWR, 0600), ENOENT);
	OK(chdir(here));
}

TEST(long_names)
{
	char name[NAME_MAX + 2], path[PATH_MAX + 10];

	use_tmpdir();
	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = 0;
	OK(try_open(name, O_CREAT | O_RDWR, 0600));
	OK(unlink(name));
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = 0;
	CHECK_ERR(try_open(name, O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	path[PATH_MAX] = 0;
	CHECK_ERR(try_open(path, O_RDONLY, 0), ENAMETOOLONG);
	path[PATH_MAX - 1] = 0;
	OK(try_open(path, O_RDONLY, 0));
}

TEST(relative_to_a_directory)
{
	struct stat st;
	int d, fd;

	use_tmpdir();
	OK(mkdir("at", 0700));
	d = open("at", O_RDONLY | O_DIRECTORY);
	fd = openat(d, "f", O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK(stat("at/f", &st) == 0);
	CHECK(fstatat(d, "f", &st, 0) == 0);
	CHECK(fstatat(d, "../at/f", &st, 0) == 0);
	CHECK_ERR(openat(fd, "g", O_RDONLY), ENOTDIR);
	CHECK_ERR(openat(99, "g", O_RDONLY), EBADF);
	CHECK(openat(99, "/dev/null", O_RDONLY) >= 0); /* an absolute path needs no descriptor */
	CHECK(fstatat(fd, "", &st, AT_EMPTY_PATH) == 0);
	CHECK_ERR(fstatat(fd, "", &st, 0), ENOENT);
	OK(fchdir(d));
	OK(try_open("f", O_RDONLY, 0));
	CHECK_ERR(fchdir(fd), ENOTDIR);
	OK(unlinkat(d, "f", 0));
	OK(chdir(".."));
	OK(unlinkat(AT_FDCWD, "at", AT_REMOVEDIR));
	close(fd);
	close(d);
}

TEST(permissions)
{
	pid_t pid;

	use_tmpdir();
	REQUIRE(chmod(".", 0755) == 0);
	write_file("none", "x", 1, 0000);
	write_file("ronly", "x", 1, 0444);
	OK(mkdir("closed", 0700));
	write_file("closed/f", "x", 1, 0644);
	OK(chmod("closed", 0600));
	OK(mkdir("shut", 0500));
	/* Root does without permission bits, but for executing a file that nobody may. */
	if (geteuid() == 0) {
		OK(try_open("none", O_RDWR, 0));
		OK(access("none", R_OK | W_OK));
		CHECK_ERR(access("none", X_OK), EACCES);
		OK(access("closed/f", R_OK));
		OK(try_open("shut/new", O_CREAT | O_RDWR, 0600));
	}
	pid = h_fork();
	if (pid == 0) {
		if (geteuid() == 0) {
			REQUIRE(chown("closed", 65533, 65533) == 0 && chown("shut", 65533, 65533) == 0);
			REQUIRE(chown("none", 65533, 65533) == 0 && chown("ronly", 65533, 65533) == 0);
			REQUIRE(setgid(65533) == 0 && setuid(65533) == 0);
		}
		CHECK_ERR(try_open("none", O_RDONLY, 0), EACCES);
		OK(try_open("ronly", O_RDONLY, 0));
		CHECK_ERR(try_open("ronly", O_WRONLY, 0), EACCES);
		CHECK_ERR(try_open("ronly", O_RDONLY | O_TRUNC, 0), EACCES);
		CHECK_ERR(try_open("closed/f", O_RDONLY, 0), EACCES);
		CHECK_ERR(chdir("closed"), EACCES);
		CHECK_ERR(try_open("shut/new2", O_CREAT | O_RDWR, 0600), EACCES);
		CHECK_ERR(mkdir("shut/d", 0700), EACCES);
		CHECK_ERR(access("ronly", W_OK), EACCES);
		OK(access("ronly", R_OK));
		OK(access("ronly", F_OK));
		CHECK_ERR(access("ronly", 8), EINVAL);
		CHECK_ERR(truncate("ronly", 0), EACCES);
		child_exit();
	}
	JOIN(pid);
	OK(chmod("closed", 0700));
	OK(chmod("shut", 0700));
}

#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif

/* Whether it was this open that made the file. */
TEST(created_query)
{
	int fd, again, path;

	use_tmpdir();
	unlink("made");
	fd = open("made", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	if (fcntl(fd, F_CREATED_QUERY, 0) < 0 && errno == EINVAL)
		SKIP("an older kernel");
	CHECK_EQ(fcntl(fd, F_CREATED_QUERY, 0), 1);
	again = open("made", O_RDWR | O_CREAT, 0600);
	path = open("made", O_PATH);
	CHECK_EQ(fcntl(again, F_CREATED_QUERY, 0), 0);
	CHECK_EQ(fcntl(path, F_CREATED_QUERY, 0), 0);
	close(fd);
	close(again);
	close(path);
}
