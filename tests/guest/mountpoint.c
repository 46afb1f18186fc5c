/* A directory or file that something is mounted on, while it is and afterwards. */
#include <sys/mount.h>

#include "harness.h"

/* False, with the test skipped, where mounting is not permitted. */
static bool mount_tmpfs(const char *at)
{
	if (mount("none", at, "tmpfs", 0, NULL) == 0)
		return true;
	CHECK(errno == EPERM || errno == EACCES);
	return false;
}

TEST(busy_while_mounted)
{
	use_tmpdir();
	REQUIRE(mkdir("busy", 0755) == 0);
	REQUIRE(mkdir("other", 0755) == 0);
	if (!mount_tmpfs("busy"))
		SKIP("mounting is not permitted");
	CHECK_ERR(rmdir("busy"), EBUSY);
	CHECK_ERR(rename("busy", "elsewhere"), EBUSY);
	CHECK_ERR(rename("other", "busy"), EBUSY);
	OK(umount("busy"));
	OK(rename("busy", "elsewhere"));
	OK(rename("other", "elsewhere"));
	OK(rmdir("elsewhere"));
}

TEST(two_deep)
{
	use_tmpdir();
	REQUIRE(mkdir("deep", 0755) == 0);
	if (!mount_tmpfs("deep"))
		SKIP("mounting is not permitted");
	REQUIRE(mkdir("deep/hidden", 0755) == 0);
	REQUIRE(mount_tmpfs("deep"));
	CHECK_ERR(access("deep/hidden", F_OK), ENOENT);
	OK(umount("deep"));
	OK(access("deep/hidden", F_OK));
	CHECK_ERR(rmdir("deep"), EBUSY);
	OK(umount("deep"));
	CHECK_ERR(umount("deep"), EINVAL);
	OK(rmdir("deep"));
}

TEST(detached_with_what_is_below)
{
	int fd;

	use_tmpdir();
	REQUIRE(mkdir("lazy", 0755) == 0);
	if (!mount_tmpfs("lazy"))
		SKIP("mounting is not permitted");
	REQUIRE(mkdir("lazy/below", 0755) == 0);
	REQUIRE(mount_tmpfs("lazy/below"));
	fd = open("lazy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_ERR(umount("lazy"), EBUSY);
	OK(umount2("lazy", MNT_DETACH));
	OK(rmdir("lazy"));
	OK(unlinkat(fd, "below", AT_REMOVEDIR));
	OK(close(fd));
}

TEST(moved_away)
{
	use_tmpdir();
	REQUIRE(mkdir("from", 0755) == 0);
	REQUIRE(mkdir("to", 0755) == 0);
	if (!mount_tmpfs("from"))
		SKIP("mounting is not permitted");
	if (mount("from", "to", NULL, MS_MOVE, NULL) < 0) {
		CHECK_EQ(errno, EINVAL); /* the parent is shared */
		OK(umount("from"));
		OK(rmdir("from"));
		OK(rmdir("to"));
		SKIP("the mount cannot be moved");
	}
	OK(rmdir("from"));
	CHECK_ERR(rmdir("to"), EBUSY);
	OK(umount("to"));
	OK(rmdir("to"));
}

TEST(a_file_bound)
{
	use_tmpdir();
	write_file("under", "1", 1, 0644);
	write_file("over", "2", 1, 0644);
	if (mount("over", "under", NULL, MS_BIND, NULL) < 0)
		SKIP("mounting is not permitted");
	CHECK_ERR(unlink("under"), EBUSY);
	CHECK_ERR(unlink("under/"), ENOTDIR);
	OK(unlink("over"));
	OK(umount("under"));
	OK(unlink("under"));
}
