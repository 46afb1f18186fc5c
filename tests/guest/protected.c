/* fs.protected_symlinks, _hardlinks, _fifos and _regular (proc(5)): each as the machine has it set.  As root, for others' names
 * come in. */
#include "harness.h"

#define OTHER 1234
#define THIRD 4321

static int level(const char *name)
{
	char path[64], buf[16];

	snprintf(path, sizeof(path), "/proc/sys/fs/protected_%s", name);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0);
	return atoi(buf);
}

/* Runs fn as user uid without capabilities, in the directory that use_tmpdir made. */
static void as_user(uid_t uid, void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		REQUIRE(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
		fn();
		child_exit();
	}
	JOIN(pid);
}

static bool set_up(mode_t mode)
{
	if (geteuid() != 0)
		return false;
	use_tmpdir();
	chmod(".", 0755);
	mkdir("d", 0700);
	REQUIRE(chmod("d", mode) == 0);
	return true;
}

static void make_link(void)
{
	CHECK(symlink("../target", "d/link") == 0 || errno == EEXIST);
}

static void follow(void)
{
	if (level("symlinks")) {
		CHECK_ERR(open("d/link", O_RDONLY), EACCES);
		CHECK_ERR(open("d/link", O_RDONLY | O_CREAT, 0600), EACCES);
		CHECK_ERR(access("d/link", F_OK), EACCES);
	} else {
		OK(close(open("d/link", O_RDONLY)));
		OK(close(open("d/link", O_RDONLY | O_CREAT, 0600)));
		OK(access("d/link", F_OK));
	}
	CHECK(readlink("d/link", (char[16]){0}, 16) > 0);
	OK(close(open("d/link", O_PATH | O_NOFOLLOW)));
	CHECK_ERR(open("d/link", O_RDONLY | O_NOFOLLOW), ELOOP);
}

static void follow_freely(void)
{
	OK(close(open("d/link", O_RDONLY)));
}

TEST(symlinks)
{
	if (!set_up(01777))
		SKIP("needs root");
	write_file("target", "x", 1, 0644);
	as_user(OTHER, make_link);
	as_user(THIRD, follow);
	follow(); /* root is not excepted */
	as_user(OTHER, follow_freely);
	REQUIRE(chown("d", OTHER, 0) == 0); /* the directory's owner made it */
	as_user(THIRD, follow_freely);
	REQUIRE(chown("d", 0, 0) == 0 && chmod("d", 0777) == 0);
	as_user(THIRD, follow_freely);
	REQUIRE(chmod("d", 01775) == 0);
	as_user(THIRD, follow_freely);
	unlink("d/link");
}

static void link_others(void)
{
	if (level("hardlinks")) {
		CHECK_ERR(link("readable", "d/a"), EPERM);
		CHECK_ERR(link("setuid", "d/b"), EPERM);
		CHECK_ERR(link("setgid", "d/c"), EPERM);
		CHECK_ERR(link("fifo", "d/d"), EPERM);
		CHECK_ERR(link("sym", "d/e"), EPERM);
	} else {
		OK(link("readable", "d/a"));
	}
	OK(link("open", "d/f"));
	CHECK_ERR(link("open", "d/f"), EEXIST);
	CHECK_ERR(link("readable", "d/f"), EEXIST);
	write_file("d/mine", "", 0, 0400);
	OK(link("d/mine", "d/g"));
}

TEST(hardlinks)
{
	static const char *const names[] = {"readable", "setuid", "setgid", "open"};
	static const mode_t modes[] = {0644, 04666, 02676, 0666};

	if (!set_up(0777))
		SKIP("needs root");
	for (int k = 0; k < 4; k++) {
		write_file(names[k], "", 0, 0600);
		REQUIRE(chmod(names[k], modes[k]) == 0);
	}
	REQUIRE(mkfifo("fifo", 0666) == 0 && chmod("fifo", 0666) == 0 && symlink("open", "sym") == 0);
	as_user(OTHER, link_others);
	OK(link("setuid", "d/h")); /* CAP_FOWNER */
}

/* level: of the sysctl for what is called name; found, by one who does not own it, in a sticky directory. */
static void create_over(const char *name, int flags, bool refused)
{
	int fd = open(name, flags, 0600);

	if (refused ? fd >= 0 || errno != EACCES : fd < 0)
		H_FAIL("%s: %d, errno %d, refused %d\n", name, fd, errno, refused);
	if (fd >= 0)
		close(fd);
	fd = open(name, flags & ~O_CREAT, 0600); /* without O_CREAT nobody minds */
	CHECK(fd >= 0);
	close(fd);
}

static void open_in_world(void)
{
	create_over("d/file", O_RDWR | O_CREAT, level("regular") >= 1);
	create_over("d/fifo", O_RDWR | O_CREAT, level("fifos") >= 1);
	CHECK_ERR(open("d/file", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	CHECK_ERR(open("d/dir", O_RDONLY | O_CREAT, 0600), EISDIR);
}

static void open_in_group(void)
{
	create_over("d/file", O_RDWR | O_CREAT, level("regular") >= 2);
	create_over("d/fifo", O_RDWR | O_CREAT, level("fifos") >= 2);
}

static void open_allowed(void)
{
	create_over("d/file", O_RDWR | O_CREAT, false);
	create_over("d/fifo", O_RDWR | O_CREAT, false);
}

TEST(files_and_fifos)
{
	if (!set_up(01777))
		SKIP("needs root");
	write_file("d/file", "", 0, 0666);
	REQUIRE(mkdir("d/dir", 0755) == 0 && mkfifo("d/fifo", 0666) == 0 && chmod("d/fifo", 0666) == 0);
	REQUIRE(chown("d/file", OTHER, OTHER) == 0 && chown("d/fifo", OTHER, OTHER) == 0);
	as_user(THIRD, open_in_world);
	open_in_world(); /* root is not excepted */
	as_user(OTHER, open_allowed);
	REQUIRE(chmod("d", 01775) == 0);
	as_user(THIRD, open_in_group);
	REQUIRE(chmod("d", 01755) == 0);
	as_user(THIRD, open_allowed);
	REQUIRE(chmod("d", 0777) == 0);
	as_user(THIRD, open_allowed);
	REQUIRE(chmod("d", 01777) == 0 && chown("d", OTHER, OTHER) == 0);
	as_user(THIRD, open_allowed);
}

static void refused_to_write(void)
{
	CHECK_ERR(open("/proc/sys/fs/protected_fifos", O_WRONLY), EACCES);
}

TEST(sysctls)
{
	static const char *const names[] = {"symlinks", "hardlinks", "fifos", "regular"};

	if (geteuid() != 0)
		SKIP("needs root");
	for (int k = 0; k < 4; k++) {
		char path[64], buf[8];
		int fd, v = level(names[k]);

		snprintf(path, sizeof(path), "/proc/sys/fs/protected_%s", names[k]);
		fd = open(path, O_WRONLY);
		REQUIRE(fd >= 0);
		CHECK_ERR(write(fd, k < 2 ? "2\n" : "3\n", 2), EINVAL);
		CHECK_ERR(pwrite(fd, "-1\n", 3, 0), EINVAL);
		snprintf(buf, sizeof(buf), "%d\n", v); /* what it is already: this is a test, not the administrator */
		CHECK_EQ(pwrite(fd, buf, 2, 0), 2);
		CHECK_EQ(level(names[k]), v);
		close(fd);
	}
	as_user(OTHER, refused_to_write);
}
