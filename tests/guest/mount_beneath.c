/* Where a mount goes: MOVE_MOUNT_BENEATH, and places of /proc on which nothing is mounted. */
#include "mounts.h"

enum { NR_open_tree = 428, NR_move_mount };
#define CLONE 1u
#define F_EMPTY 4u
#define T_EMPTY 0x40u
#define BENEATH 0x200u

static int tree_of(const char *path)
{
	return (int)syscall(NR_open_tree, AT_FDCWD, path, CLONE | O_CLOEXEC);
}

static int beneath(int tree, const char *to)
{
	return (int)syscall(NR_move_mount, tree, "", AT_FDCWD, to, F_EMPTY | BENEATH);
}

static void tmpfs_with(const char *dir, const char *file)
{
	OK(mkdir(at(dir), 0755));
	OK(mount(dir, at(dir), "tmpfs", 0, NULL));
	touch(at(file));
}

static void placed(void)
{
	int tree, to;

	tmpfs_with("a", "a/A");
	tmpfs_with("b", "b/B");
	mkdirs("plain", NULL);
	tree = tree_of(at("a"));
	CHECK(tree >= 0);
	CHECK_ERR(beneath(tree, at("plain")), EINVAL); /* there has to be something */
	CHECK_ERR(beneath(tree, at("none")), ENOENT);
	touch(at("file"));
	touch(at("file2"));
	OK(mount(at("file2"), at("file"), NULL, MS_BIND, NULL));
	CHECK_ERR(beneath(tree, at("file")), EINVAL);
	OK(umount(at("file")));
	to = open(at("b"), O_PATH | O_CLOEXEC);
	OK(syscall(NR_move_mount, tree, "", to, "", F_EMPTY | T_EMPTY | BENEATH));
	close(tree);
	close(to);
	/* What was there is on top, until it is taken away. */
	CHECK(exists(at("b/B")) && !exists(at("b/A")));
	OK(umount(at("b")));
	CHECK(exists(at("b/A")) && !exists(at("b/B")));
	OK(umount(at("b")));
	CHECK(!exists(at("b/A")));
	CHECK_ERR(umount(at("b")), EINVAL);
	CHECK(exists(at("a/A")));
}

/* One that hangs somewhere moves as well. */
static void moved(void)
{
	tmpfs_with("a", "a/A");
	tmpfs_with("b", "b/B");
	OK(syscall(NR_move_mount, AT_FDCWD, at("a"), AT_FDCWD, at("b"), BENEATH));
	CHECK(!exists(at("a/A")) && exists(at("b/B")));
	CHECK_ERR(umount(at("a")), EINVAL);
	OK(umount(at("b")));
	CHECK(exists(at("b/A")));
	OK(umount(at("b")));
	/* Not beneath itself, nor beneath what it is mounted in. */
	tmpfs_with("c", "c/C");
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("c"), AT_FDCWD, at("c"), BENEATH), EINVAL);
	tmpfs_with("c/d", "c/d/D");
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("c/d"), AT_FDCWD, at("c"), BENEATH), EINVAL);
	CHECK_ERR(syscall(NR_move_mount, AT_FDCWD, at("c"), AT_FDCWD, at("c/d"), BENEATH), ELOOP);
}

/* The caller's root, and what hangs in the root of its namespace, have nothing beneath. */
static void not_there(void)
{
	int tree;

	tmpfs_with("a", "a/A");
	tree = tree_of(at("a"));
	CHECK_ERR(beneath(tree, "/"), EINVAL);
	close(tree);
}

/* Where the place is shared, all that hear of it get one; a mount that would cover itself is refused. */
static void shared(void)
{
	int tree;

	tmpfs_with("a", "a/A");
	tmpfs_with("p", "p/P");
	OK(mkdir(at("p/m"), 0755));
	OK(mkdir(at("q"), 0755));
	OK(mount(NULL, at("p"), NULL, MS_SHARED, NULL));
	OK(mount(at("p"), at("q"), NULL, MS_BIND, NULL));
	OK(mount("m", at("p/m"), "tmpfs", 0, NULL));
	touch(at("p/m/M"));
	CHECK(exists(at("q/m/M")));
	tree = tree_of(at("a"));
	OK(beneath(tree, at("p/m")));
	CHECK(exists(at("p/m/M")) && exists(at("q/m/M")));
	close(tree);
	OK(umount(at("p/m")));
	CHECK(exists(at("p/m/A")) && exists(at("q/m/A")));
	OK(umount(at("p/m")));
	CHECK(exists(at("p/m")) && !exists(at("p/m/A")) && !exists(at("q/m/A")));
}

TEST(beneath_another)
{
	NEED_ROOT();
	in_private(placed);
	in_private(moved);
	in_private(not_there);
	in_private(shared);
}

static void on_links(void)
{
	char path[64];
	int fd, link;

	touch(at("f"));
	touch(at("g"));
	fd = open(at("f"), O_RDONLY | O_CLOEXEC);
	/* The link itself, and not what it stands for. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	link = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	CHECK(link >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", link);
	CHECK_ERR(mount(at("g"), path, NULL, MS_BIND, NULL), ENOENT);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	CHECK_ERR(mount(at("g"), path, NULL, MS_BIND, NULL), ENOENT);
	/* What stands for a file is mounted on as the file. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(mount(at("g"), path, NULL, MS_BIND, NULL));
	OK(umount(at("f")));
	/* Other files of /proc are as good as any. */
	OK(mount(at("g"), "/proc/self/limits", NULL, MS_BIND, NULL));
	OK(umount("/proc/self/limits"));
	close(link);
	close(fd);
}

/* What is mounted deep in /proc is met there, by everybody, and gone with its process or before. */
static void deep_in_proc(void)
{
	char path[64], text[8] = "";
	int fd, status;
	pid_t pid = h_fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	fd = open(at("g"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK_EQ(write(fd, "here", 4), 4);
	close(fd);
	OK(mount(at("g"), "/proc/sys/kernel/hostname", NULL, MS_BIND, NULL));
	fd = open("/proc/sys/kernel/hostname", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, text, sizeof(text)), 4);
	close(fd);
	OK(umount("/proc/sys/kernel/hostname"));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)pid);
	OK(mount(at("g"), path, NULL, MS_BIND, NULL));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, text, sizeof(text)), 4);
	CHECK(memcmp(text, "here", 4) == 0);
	close(fd);
	OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_ERR(open(path, O_RDONLY | O_CLOEXEC), ENOENT);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	CHECK(!exists(path));
}

TEST(mounted_in_proc)
{
	NEED_ROOT();
	in_private(deep_in_proc);
}

TEST(not_on_descriptors)
{
	NEED_ROOT();
	in_private(on_links);
}

