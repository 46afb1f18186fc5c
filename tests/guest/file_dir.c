/* Names and attributes: links, renames, directories, stat, times, ownership. */
#include "harness.h"

#include <dirent.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

struct dirent64_raw {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static nlink_t links(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_nlink;
}

static bool same(const char *a, const char *b)
{
	struct stat x, y;

	return lstat(a, &x) == 0 && lstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A directory of the test's own, so that tests do not see each other's names. */
static void fresh(const char *name)
{
	use_tmpdir();
	REQUIRE(mkdir(name, 0755) == 0);
	REQUIRE(chdir(name) == 0);
}

TEST(mkdir_rmdir)
{
	struct stat st;

	fresh("mkdir");
	OK(mkdir("d", 0750));
	CHECK(stat("d", &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0750 && st.st_nlink >= 1);
	CHECK_ERR(mkdir("d", 0700), EEXIST);
	CHECK_ERR(mkdir("none/d", 0700), ENOENT);
	CHECK_ERR(mkdir(".", 0700), EEXIST);
	CHECK_ERR(mkdir("/", 0700), EEXIST);
	OK(mkdir("d/e/", 0700));
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(rmdir("d/e/."), EINVAL);
	CHECK_ERR(rmdir("d/e/.."), ENOTEMPTY);
	CHECK_ERR(unlink("d/e"), EISDIR);
	OK(rmdir("d/e/"));
	OK(rmdir("d"));
	CHECK_ERR(rmdir("d"), ENOENT);
	CHECK_ERR(rmdir("/"), EBUSY);
	write_file("f", "", 0, 0600);
	CHECK_ERR(rmdir("f"), ENOTDIR);
	CHECK_ERR(mkdir("f/d", 0700), ENOTDIR);
	CHECK_ERR(unlink("f/"), ENOTDIR);
	CHECK_ERR(unlink("none"), ENOENT);
	CHECK_ERR(unlink(""), ENOENT);
	OK(unlink("f"));
}

TEST(hard_links)
{
	char c;

	fresh("links");
	write_file("a", "1", 1, 0600);
	OK(link("a", "b"));
	CHECK_EQ(links("a"), 2);
	CHECK(same("a", "b"));
	CHECK_ERR(link("a", "b"), EEXIST);
	CHECK_ERR(link("none", "c"), ENOENT);
	OK(mkdir("d", 0700));
	CHECK_ERR(link("d", "e"), EPERM);
	OK(unlink("a"));
	CHECK_EQ(links("b"), 1);
	int fd = open("b", O_RDONLY);
	CHECK_EQ(read(fd, &c, 1), 1);
	close(fd);
	OK(symlink("b", "s"));
	OK(link("s", "t")); /* the link itself */
	CHECK(same("s", "t") && !same("t", "b"));
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
	CHECK(same("u", "b"));
}

TEST(renames)
{
	fresh("renames");
	write_file("a", "a", 1, 0600);
	write_file("b", "bb", 2, 0600);
	OK(rename("a", "c"));
	CHECK(!exists("a") && exists("c"));
	OK(rename("c", "b")); /* over another */
	struct stat st;
	CHECK(stat("b", &st) == 0 && st.st_size == 1);
	OK(rename("b", "b"));
	OK(link("b", "l"));
	OK(rename("b", "l")); /* two names of one file: nothing happens */
	CHECK(exists("b") && exists("l"));
	OK(mkdir("d", 0700));
	OK(mkdir("e", 0700));
	CHECK_ERR(rename("b", "d"), EISDIR);
	CHECK_ERR(rename("d", "b"), ENOTDIR);
	OK(rename("d", "e")); /* an empty directory may be replaced */
	CHECK(!exists("d"));
	write_file("e/f", "", 0, 0600);
	OK(mkdir("d", 0700));
	CHECK_ERR(rename("d", "e"), ENOTEMPTY);
	CHECK_ERR(rename("e", "e/sub"), EINVAL);
	CHECK_ERR(rename("none", "x"), ENOENT);
	CHECK_ERR(rename("b", "none/x"), ENOENT);
	CHECK_ERR(rename("e/.", "x"), EBUSY);
	CHECK_ERR(rename("b/", "x"), ENOTDIR);
	OK(rename("e/f", "f"));
	OK(rename("e", "d/e")); /* to another parent */
	CHECK(exists("d/e"));
	OK(chdir("d/e"));
	CHECK(same("..", "../../d"));
	OK(chdir("../.."));
	OK(symlink("f", "s"));
	OK(rename("s", "s2"));
	CHECK(lstat("s2", &st) == 0 && S_ISLNK(st.st_mode));
	CHECK_ERR(renameat2(AT_FDCWD, "f", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	OK(renameat2(AT_FDCWD, "f", AT_FDCWD, "b2", RENAME_NOREPLACE));
	CHECK_ERR(renameat2(AT_FDCWD, "b2", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
	CHECK_ERR(renameat2(AT_FDCWD, "b2", AT_FDCWD, "b", 0x100), EINVAL);
}

static int count_entries(int fd, size_t buf_size, int *dots, unsigned char *seen, int max)
{
	char buf[32768];
	long n;
	int count = 0;

	while ((n = syscall(SYS_getdents64, fd, buf, buf_size)) > 0)
		for (long at = 0; at < n;) {
			struct dirent64_raw *e = (struct dirent64_raw *)(buf + at);

			REQUIRE(e->reclen >= 24 && e->reclen % 8 == 0 && at + e->reclen <= n);
			if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0) {
				CHECK_EQ(e->type, DT_DIR);
				++*dots;
			} else {
				int i = atoi(e->name + 1);

				CHECK(e->type == DT_REG || e->type == DT_UNKNOWN);
				CHECK(e->ino != 0);
				if (i >= 0 && i < max)
					seen[i]++;
				count++;
			}
			at += e->reclen;
		}
	CHECK_EQ(n, 0);
	return count;
}

TEST(getdents)
{
	unsigned char seen[300] = {0};
	char name[16], buf[64];
	int fd, dots = 0;

	fresh("getdents");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(name, "", 0, 0600);
	}
	fd = open(".", O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	CHECK_EQ(count_entries(fd, 200, &dots, seen, 300), 300); /* a few at a time */
	CHECK_EQ(dots, 2);
	for (int i = 0; i < 300; i++)
		CHECK_EQ(seen[i], 1);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(count_entries(fd, 32768, &dots, seen, 300), 300);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_ERR(syscall(SYS_getdents64, fd, buf, 10), EINVAL); /* no room for one */
	CHECK_ERR(syscall(SYS_getdents64, fd, 8, 4096), EFAULT);
	CHECK_ERR(syscall(SYS_getdents64, 99, buf, 64), EBADF);
	close(fd);
	fd = open("f0", O_RDONLY);
	CHECK_ERR(syscall(SYS_getdents64, fd, buf, 64), ENOTDIR);
	close(fd);
}

TEST(readdir_while_removing)
{
	char name[16];
	DIR *d;
	struct dirent *e;
	int left = 0;

	fresh("rmwhile");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(name, "", 0, 0600);
	}
	d = opendir(".");
	REQUIRE(d);
	while ((e = readdir(d)))
		if (e->d_name[0] == 'f')
			OK(unlink(e->d_name));
	rewinddir(d);
	while ((e = readdir(d)))
		left += e->d_name[0] == 'f';
	CHECK_EQ(left, 0);
	closedir(d);
}

TEST(telldir)
{
	char name[16], at[16];
	struct dirent *e;
	long pos;
	DIR *d;

	fresh("telldir");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(name, "", 0, 0600);
	}
	d = opendir(".");
	REQUIRE(d);
	for (int i = 0; i < 8; i++)
		REQUIRE(readdir(d));
	pos = telldir(d);
	e = readdir(d);
	REQUIRE(e);
	strcpy(at, e->d_name);
	while (readdir(d))
		;
	seekdir(d, pos);
	e = readdir(d);
	if (CHECK(e))
		CHECK_STR(e->d_name, at);
	closedir(d);
}

TEST(stat_fields)
{
	struct stat st, root;
	struct timespec now;

	fresh("stat");
	write_file("f", "12345", 5, 0640);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(stat("f", &st) == 0);
	CHECK(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0640);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_gid, getegid());
	CHECK(st.st_ino != 0);
	CHECK(st.st_blksize >= 512);
	CHECK(st.st_mtim.tv_sec >= now.tv_sec - 5 && st.st_mtim.tv_sec <= now.tv_sec + 1);
	CHECK(stat("/", &root) == 0 && S_ISDIR(root.st_mode));
	CHECK_ERR(stat("none", &st), ENOENT);
	CHECK_ERR(stat("f/x", &st), ENOTDIR);
	CHECK_ERR(syscall(SYS_stat, 8, &st), EFAULT);
	CHECK_ERR(syscall(SYS_stat, "f", 8), EFAULT);
	CHECK_ERR(fstat(99, &st), EBADF);
	CHECK_ERR(fstatat(AT_FDCWD, "f", &st, 0x40000000), EINVAL);
}

TEST(statx)
{
	struct statx sx;
	struct stat st;

	fresh("statx");
	write_file("f", "12345", 5, 0640);
	OK(symlink("f", "l"));
	memset(&sx, 0xff, sizeof(sx));
	CHECK_EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx), 0);
	CHECK(stat("f", &st) == 0);
	CHECK_EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	CHECK_EQ(sx.stx_size, 5);
	CHECK_EQ(sx.stx_mode, st.st_mode);
	CHECK_EQ(sx.stx_ino, st.st_ino);
	CHECK_EQ(sx.stx_uid, st.st_uid);
	CHECK_EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	CHECK_EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	CHECK_EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	CHECK_EQ(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx), 0);
	CHECK(S_ISLNK(sx.stx_mode));
	CHECK_ERR(statx(AT_FDCWD, "f", 0, 0x80000000, &sx), EINVAL);
	CHECK_ERR(statx(AT_FDCWD, "f", 0x40000000, 0, &sx), EINVAL);
	CHECK_ERR(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &sx), EINVAL);
	CHECK_EQ(statx(open("f", O_RDONLY), "", AT_EMPTY_PATH, STATX_SIZE, &sx), 0);
	CHECK_EQ(sx.stx_size, 5);
}

TEST(chmod_chown)
{
	struct stat st;
	int fd;

	fresh("chmod");
	write_file("f", "", 0, 0600);
	OK(chmod("f", 04751));
	CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 04751);
	fd = open("f", O_RDONLY);
	OK(fchmod(fd, 0644));
	CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0644);
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	OK(fchown(fd, geteuid(), getegid()));
	OK(lchown("f", geteuid(), (gid_t)-1));
	CHECK_ERR(chmod("none", 0600), ENOENT);
	CHECK_ERR(fchmod(99, 0600), EBADF);
	close(fd);
	if (geteuid() == 0) {
		OK(chown("f", 1234, 5678));
		CHECK(stat("f", &st) == 0 && st.st_uid == 1234 && st.st_gid == 5678);
		OK(chmod("f", 06755));
		OK(chown("f", 1, 1)); /* takes the set-id bits away */
		CHECK(stat("f", &st) == 0 && (st.st_mode & 07777) == 0755);
	} else {
		CHECK_ERR(chown("f", 0, (gid_t)-1), EPERM);
		CHECK_ERR(chmod("/", 0777), EPERM);
	}
	/* A write by somebody without privilege takes the bits away too. */
	pid_t pid = h_fork();
	if (pid == 0) {
		if (geteuid() == 0)
			REQUIRE(chmod("..", 0755) == 0 && chmod(".", 0777) == 0 && setuid(65533) == 0);
		write_file("w", "", 0, 0755);
		OK(chmod("w", 04755));
		int w = open("w", O_WRONLY);
		CHECK_EQ(write(w, "x", 1), 1);
		CHECK(fstat(w, &st) == 0 && (st.st_mode & 07777) == 0755);
		child_exit();
	}
	JOIN(pid);
}

TEST(times)
{
	struct timespec t[2] = {{1000, 123456789}, {2000, 987654321}};
	struct stat st;
	int fd;

	fresh("times");
	write_file("f", "x", 1, 0600);
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(stat("f", &st) == 0);
	CHECK(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 123456789);
	CHECK(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 987654321);
	CHECK(st.st_ctim.tv_sec > 2000);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec > 1000000);
	t[0].tv_nsec = 1000000000;
	CHECK_ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK(stat("f", &st) == 0 && st.st_atim.tv_sec > 1000000);
	/* Writing moves mtime and ctime; a changed mode moves ctime alone. */
	t[0] = (struct timespec){1, 0};
	t[1] = (struct timespec){1, 0};
	fd = open("f", O_RDWR);
	OK(futimens(fd, t));
	CHECK_EQ(write(fd, "y", 1), 1);
	CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1000000);
	OK(futimens(fd, t));
	OK(fchmod(fd, 0640));
	CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == 1 && st.st_ctim.tv_sec > 1000000);
	OK(ftruncate(fd, 0));
	CHECK(fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1000000);
	close(fd);
	/* A new name moves the directory's. */
	OK(utimensat(AT_FDCWD, ".", t, 0));
	write_file("new", "", 0, 0600);
	CHECK(stat(".", &st) == 0 && st.st_mtim.tv_sec > 1000000);
	OK(symlink("none", "dangling"));
	OK(utimensat(AT_FDCWD, "dangling", t, AT_SYMLINK_NOFOLLOW));
	CHECK_ERR(utimensat(AT_FDCWD, "dangling", t, 0), ENOENT);
}

TEST(nodes)
{
	struct stat st;

	fresh("nodes");
	OK(mknod("reg", S_IFREG | 0600, 0));
	CHECK(stat("reg", &st) == 0 && S_ISREG(st.st_mode));
	OK(mknod("fifo", S_IFIFO | 0600, 0));
	CHECK(stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK_ERR(mknod("dir", S_IFDIR | 0700, 0), EPERM);
	CHECK_ERR(mknod("bad", 0170000 | 0600, 0), EINVAL);
	if (geteuid())
		CHECK_ERR(mknod("chr", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

TEST(sticky)
{
	pid_t pid;

	if (geteuid())
		SKIP("needs root");
	fresh("sticky");
	REQUIRE(chmod("..", 0755) == 0 && chmod(".", 01777) == 0);
	write_file("roots", "", 0, 0666);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setuid(65533) == 0);
		CHECK_ERR(unlink("roots"), EPERM);
		CHECK_ERR(rename("roots", "mine"), EPERM);
		write_file("mine", "", 0, 0600);
		OK(unlink("mine"));
		child_exit();
	}
	JOIN(pid);
}

TEST(setgid_directory)
{
	struct stat st;

	if (geteuid())
		SKIP("needs root");
	fresh("setgid");
	OK(mkdir("d", 0755));
	OK(chown("d", 0, 77));
	OK(chmod("d", 02755));
	write_file("d/f", "", 0, 0600);
	CHECK(stat("d/f", &st) == 0 && st.st_gid == 77);
	OK(mkdir("d/e", 0755));
	CHECK(stat("d/e", &st) == 0 && st.st_gid == 77 && (st.st_mode & 02000));
}

TEST(statfs)
{
	struct statfs s;

	fresh("statfs");
	OK(statfs(".", &s));
	CHECK(s.f_bsize > 0 && s.f_namelen == 255);
	CHECK_ERR(statfs("none", &s), ENOENT);
	OK(statfs("/proc", &s));
	CHECK_EQ(s.f_type, 0x9fa0);
}

TEST(deep_tree)
{
	char up[3 * 30 + 1] = "";

	fresh("deep");
	for (int i = 0; i < 30; i++) {
		OK(mkdir("d", 0700));
		OK(chdir("d"));
		strcat(up, "../");
	}
	write_file("leaf", "", 0, 0600);
	OK(chdir(up));
	CHECK(exists("d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/leaf"));
}
