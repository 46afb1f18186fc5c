/* File handles: name_to_handle_at(2) and open_by_handle_at(2), on a tmpfs, and what other file systems say. */
#include "harness.h"

#include <linux/capability.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID 0x200
#endif
#define HANDLE_MNT_ID_UNIQUE 1
#define HANDLE_CONNECTABLE 2
#define TMPFS_BYTES 12

struct handle {
	unsigned bytes;
	int type;
	unsigned char data[128];
};

static char dir[64];

static long name_to_handle(int dfd, const char *path, struct handle *h, void *mount_id, int flags)
{
	return syscall(SYS_name_to_handle_at, dfd, path, h, mount_id, flags);
}

static long open_handle(int dfd, struct handle *h, int flags)
{
	return syscall(SYS_open_by_handle_at, dfd, h, flags);
}

static void remove_dir(void)
{
	if (h_dir_owner == getpid()) {
		nftw(dir, h_remove, 16, FTW_PHYS | FTW_DEPTH);
		rmdir(dir);
	}
}

/* A directory on a tmpfs, as the working directory. */
static void use_tmpfs(void)
{
	if (!dir[0]) {
		strcpy(dir, "/dev/shm/handle.XXXXXX");
		REQUIRE(mkdtemp(dir));
		h_dir_owner = getpid();
		atexit(remove_dir);
	}
	REQUIRE(chdir(dir) == 0);
}

static bool may_open(void)
{
	struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	REQUIRE(syscall(SYS_capget, &hdr, data) == 0);
	return data[0].effective >> CAP_DAC_READ_SEARCH & 1;
}

static struct handle handle_of(const char *path)
{
	struct handle h = {.bytes = sizeof(h.data)};
	int id = 0;

	REQUIRE(name_to_handle(AT_FDCWD, path, &h, &id, 0) == 0);
	return h;
}

static void make(const char *name)
{
	write_file(name, name, strlen(name), 0644);
}

TEST(handle_of_a_file)
{
	struct handle h = {.bytes = 128}, again = {.bytes = TMPFS_BYTES}, other, big = {.bytes = 128};
	int id = 0, id2 = 0;
	uint64_t unique = 0;

	use_tmpfs();
	make("a");
	make("b");
	REQUIRE(symlink("a", "link") == 0);
	OK(name_to_handle(AT_FDCWD, "a", &h, &id, 0));
	CHECK_EQ(h.bytes, TMPFS_BYTES);
	CHECK_EQ(h.type, 1);
	OK(name_to_handle(AT_FDCWD, "a", &again, &id2, 0)); /* room for just that */
	CHECK_EQ(id, id2);
	CHECK(memcmp(&h, &again, 8 + TMPFS_BYTES) == 0);
	other = handle_of("b");
	CHECK(memcmp(h.data, other.data, TMPFS_BYTES) != 0);
	other = handle_of("link");
	CHECK(memcmp(h.data, other.data, TMPFS_BYTES) != 0);
	OK(name_to_handle(AT_FDCWD, "link", &big, &id, AT_SYMLINK_FOLLOW));
	CHECK(memcmp(h.data, big.data, TMPFS_BYTES) == 0);
	OK(name_to_handle(AT_FDCWD, "a", &big, &unique, HANDLE_MNT_ID_UNIQUE));
	CHECK(unique > INT32_MAX);
	big.bytes = 128;
	OK(name_to_handle(AT_FDCWD, "a", &big, &id, AT_HANDLE_FID));
	CHECK(memcmp(h.data, big.data, TMPFS_BYTES) == 0);
}

TEST(handle_of_a_descriptor)
{
	struct handle h, by_fd = {.bytes = 128};
	int id, fd;

	use_tmpfs();
	h = handle_of("a");
	fd = open("a", O_PATH | O_CLOEXEC);
	OK(name_to_handle(fd, "", &by_fd, &id, AT_EMPTY_PATH));
	CHECK(memcmp(&h, &by_fd, 8 + TMPFS_BYTES) == 0);
	CHECK_ERR(name_to_handle(fd, "", &by_fd, &id, 0), ENOENT);
	CHECK_ERR(name_to_handle(-1, "", &by_fd, &id, AT_EMPTY_PATH), EBADF);
	close(fd);
}

TEST(too_little_room)
{
	struct handle h = {.bytes = 0, .type = 77};
	int id = -1;

	use_tmpfs();
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, 0), EOVERFLOW);
	CHECK_EQ(h.bytes, TMPFS_BYTES); /* so much is wanted */
	CHECK(id >= 0);			/* and the rest is told already */
	h.bytes = TMPFS_BYTES - 1;
	memset(h.data, 0x55, sizeof(h.data));
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, 0), EOVERFLOW);
	CHECK_EQ(h.data[0], 0x55);
}

TEST(bad_arguments)
{
	struct handle h = {.bytes = 129};
	int id;

	use_tmpfs();
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, 0), EINVAL);
	h.bytes = 128;
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, 4), EINVAL);
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, AT_SYMLINK_NOFOLLOW), EINVAL);
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, AT_HANDLE_FID | HANDLE_CONNECTABLE), EINVAL);
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, &id, HANDLE_CONNECTABLE), EOPNOTSUPP);
	CHECK_ERR(name_to_handle(AT_FDCWD, "none", &h, &id, 0), ENOENT);
	CHECK_ERR(name_to_handle(AT_FDCWD, "", &h, &id, 0), ENOENT);
	CHECK_ERR(name_to_handle(AT_FDCWD, (char *)8, &h, &id, 0), EFAULT);
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", (void *)8, &id, 0), EFAULT);
	CHECK_ERR(name_to_handle(AT_FDCWD, "a", &h, (void *)8, 0), EFAULT);
}

/* What has no names to be found again by can be told apart all the same. */
TEST(file_systems_without_handles)
{
	static const char *const paths[] = {"/proc", "/proc/self/status", "/sys/kernel", "/dev/pts"};
	struct handle h;
	int id, p[2];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct stat st;
		uint64_t ino;

		h.bytes = 0;
		CHECK_ERR(name_to_handle(AT_FDCWD, paths[i], &h, &id, 0), EOPNOTSUPP);
		CHECK_ERR(name_to_handle(AT_FDCWD, paths[i], &h, &id, AT_HANDLE_FID), EOVERFLOW);
		CHECK_EQ(h.bytes, 12);
		OK(name_to_handle(AT_FDCWD, paths[i], &h, &id, AT_HANDLE_FID));
		CHECK_EQ(h.type, 0x81);
		REQUIRE(stat(paths[i], &st) == 0);
		memcpy(&ino, h.data, 8);
		CHECK_EQ(ino, st.st_ino);
	}
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	h.bytes = 128;
	CHECK_ERR(name_to_handle(p[0], "", &h, &id, AT_EMPTY_PATH), EOPNOTSUPP);
	close(p[0]), close(p[1]);
}

TEST(opens_what_it_stands_for)
{
	struct handle h, d;
	struct stat st, st2;
	char buf[8] = "";
	int fd, anchor;

	use_tmpfs();
	if (!may_open())
		SKIP("CAP_DAC_READ_SEARCH is missing");
	REQUIRE(mkdir("dir", 0755) == 0 && mkdir("dir/deep", 0755) == 0);
	make("dir/deep/er");
	h = handle_of("dir/deep/er");
	d = handle_of("dir/deep");
	anchor = open("a", O_RDONLY | O_CLOEXEC); /* any file there */
	fd = (int)open_handle(anchor, &h, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	REQUIRE(fstat(fd, &st) == 0 && stat("dir/deep/er", &st2) == 0);
	CHECK(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev);
	CHECK_EQ(read(fd, buf, 3), 3);
	CHECK_STR(buf, "dir");
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	/* A new name is nothing to it. */
	REQUIRE(rename("dir/deep/er", "moved") == 0);
	fd = (int)open_handle(AT_FDCWD, &h, O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	fd = (int)open_handle(AT_FDCWD, &d, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0 && fstatat(fd, "../..", &st, 0) == 0 && stat(".", &st2) == 0 && st.st_ino == st2.st_ino);
	close(fd);
	fd = (int)open_handle(AT_FDCWD, &h, O_PATH);
	CHECK(fd >= 0);
	CHECK_ERR(read(fd, buf, 1), EBADF);
	close(fd);
	close(anchor);
	unlink("moved"), rmdir("dir/deep"), rmdir("dir");
}

TEST(refuses_to_open)
{
	struct handle h, bad;
	int fd;

	use_tmpfs();
	if (!may_open())
		SKIP("CAP_DAC_READ_SEARCH is missing");
	h = handle_of("a");
	CHECK_ERR(open_handle(-1, &h, O_RDONLY), EBADF);
	CHECK_ERR(open_handle(AT_FDCWD, (void *)8, O_RDONLY), EFAULT);
	bad = h;
	bad.bytes = 0;
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), EINVAL);
	bad.bytes = 129;
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), EINVAL);
	bad = h;
	bad.type = -1;
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), EINVAL);
	bad = h;
	bad.bytes = 8;
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), ESTALE);
	bad = h;
	bad.data[0] ^= 1; /* another generation */
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), ESTALE);
	fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_ERR(open_handle(fd, &h, O_RDONLY), ESTALE);
	close(fd);
	CHECK_ERR(open_handle(AT_FDCWD, &h, O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open_handle(AT_FDCWD, &h, O_CREAT | O_EXCL | O_RDWR), EEXIST);
	bad = handle_of("link");
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), ELOOP);
	bad = handle_of(".");
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDWR), EISDIR);
	REQUIRE(unlink("b") == 0 || errno == ENOENT);
	make("gone");
	bad = handle_of("gone");
	REQUIRE(unlink("gone") == 0);
	CHECK_ERR(open_handle(AT_FDCWD, &bad, O_RDONLY), ESTALE);
}

TEST(permissions_of_the_file_count)
{
	struct handle h;
	pid_t pid;

	use_tmpfs();
	h = handle_of("a");
	pid = h_fork();
	if (pid == 0) {
		struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
		struct __user_cap_data_struct data[2] = {{0}};

		REQUIRE(syscall(SYS_capset, &hdr, data) == 0);
		CHECK_ERR(open_handle(AT_FDCWD, &h, O_RDONLY), EPERM);
		child_exit();
	}
	JOIN(pid);
}
