/* O_TMPFILE: files without a name, and the names they are given.  "@in DIR" does the same in another directory. */
#include "harness.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

static void by_proc(void)
{
	char self[64], buf[8];
	struct stat st, named;
	int fd = open(".", O_RDWR | O_TMPFILE, 0640), again;

	if (!CHECK(fd >= 0))
		return;
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(write(fd, "hello", 5), 5);
	CHECK_EQ(pread(fd, buf, 5, 0), 5);
	OK(ftruncate(fd, 4));
	OK(fchmod(fd, 0600));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	again = open(self, O_RDONLY);
	CHECK_EQ(read(again, buf, sizeof(buf)), 4);
	close(again);
	CHECK_ERR(link(self, "x"), EXDEV); /* the link in /proc itself */
	OK(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	CHECK_ERR(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), EEXIST);
	OK(stat("named", &named));
	CHECK_EQ(named.st_ino, st.st_ino);
	CHECK_EQ(named.st_nlink, 1);
	CHECK_EQ(named.st_size, 4);
	CHECK_EQ(named.st_mode, S_IFREG | 0600);
	OK(link("named", "second"));
	OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 2);
	close(fd);
	CHECK_EQ(read_file("named", buf, sizeof(buf)), 4);
	CHECK_STR(buf, "hell");
	OK(unlink("named"));
	OK(unlink("second"));
}

static void refusals(void)
{
	char self[64];
	int fd = open(".", O_WRONLY | O_TMPFILE | O_EXCL, 0600);

	if (!CHECK(fd >= 0))
		return;
	CHECK_EQ(write(fd, "x", 1), 1);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	CHECK_ERR(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT); /* O_EXCL: never */
	close(fd);
	CHECK_ERR(open(".", O_RDONLY | O_TMPFILE, 0600), EINVAL);
	CHECK_ERR(open("missing", O_RDWR | O_TMPFILE, 0600), ENOENT);
	write_file("file", "", 0, 0600);
	CHECK_ERR(open("file", O_RDWR | O_TMPFILE, 0600), ENOTDIR);
	OK(unlink("file"));
}

static void by_descriptor(void)
{
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);

	if (!CHECK(fd >= 0))
		return;
	if (geteuid() == 0) {
		OK(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
		OK(unlink("named"));
		CHECK_ERR(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH), ENOENT); /* its last name is gone */
	}
	CHECK_ERR(linkat(fd, "", AT_FDCWD, "named", 0), ENOENT);
	close(fd);
}

static void all(void)
{
	by_proc();
	refusals();
	by_descriptor();
}

TEST(here)
{
	use_tmpdir();
	all();
}

ROLE(argc, argv)
{
	REQUIRE(argc == 3 && chdir(argv[2]) == 0);
	all();
	return h_failures ? 1 : 0;
}
