/* Namespaces: unshare(2), setns(2), clone(2), /proc/PID/ns, and pivot_root(2). */
#include "mounts.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#ifndef NS_GET_USERNS
#define NS_GET_USERNS _IO(0xb7, 1)
#define NS_GET_PARENT _IO(0xb7, 2)
#define NS_GET_NSTYPE _IO(0xb7, 3)
#endif

/* ---- namespaces ---- */

static uint64_t ns_number(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

TEST(ns_files)
{
	static const struct {
		const char *name;
		unsigned type;
	} kinds[] = {
		{"mnt", CLONE_NEWNS},	 {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC},	     {"pid", CLONE_NEWPID},
		{"user", CLONE_NEWUSER}, {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64], link[64], want[64];
		struct statfs sfs;
		struct stat st;
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (!CHECK(fd >= 0))
			continue;
		OK(fstat(fd, &st));
		n = readlink(path, link, sizeof(link) - 1);
		if (CHECK(n > 0))
			link[n] = '\0';
		snprintf(want, sizeof(want), "%s:[%lu]", kinds[i].name, (unsigned long)st.st_ino);
		CHECK_STR(link, want);
		CHECK_EQ(ns_number(path), st.st_ino);
		CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), kinds[i].type);
		OK(fstatfs(fd, &sfs));
		CHECK_EQ(sfs.f_type, 0x6e736673);
		CHECK_ERR(ioctl(fd, NS_GET_PARENT), i == 3 || i == 4 ? EPERM : EINVAL);
		close(fd);
	}
}

static void *other_thread(void *arg)
{
	gate_pass(arg);
	return NULL;
}

TEST(unshare_flags)
{
	pid_t pid;

	OK(unshare(0));
	OK(unshare(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM));
	OK(unshare(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)); /* alone, it shares nothing */
	CHECK_ERR(unshare(CLONE_PARENT), EINVAL);
	CHECK_ERR(unshare(CLONE_VFORK), EINVAL);
	pid = h_fork();
	if (pid == 0) {
		static struct gate g;
		pthread_t thread;

		gate_init(&g);
		REQUIRE(pthread_create(&thread, NULL, other_thread, &g) == 0);
		CHECK_ERR(unshare(CLONE_THREAD), EINVAL);
		CHECK_ERR(unshare(CLONE_SIGHAND), EINVAL);
		CHECK_ERR(unshare(CLONE_VM), EINVAL);
		OK(unshare(CLONE_FS | CLONE_FILES));
		gate_open(&g);
		pthread_join(thread, NULL);
		child_exit();
	}
	JOIN(pid);
	if (geteuid() != 0) {
		CHECK_ERR(unshare(CLONE_NEWNS), EPERM);
		CHECK_ERR(unshare(CLONE_NEWUTS), EPERM);
	}
}

static void *change_dir(void *arg)
{
	OK(unshare(CLONE_FS));
	OK(chdir("/proc"));
	umask(0);
	gate_pass(arg);
	return NULL;
}

TEST(unshare_fs_of_a_thread)
{
	struct gate g;
	char cwd[256];
	pthread_t thread;
	mode_t mask = umask(022);

	REQUIRE(chdir("/tmp") == 0);
	gate_init(&g);
	REQUIRE(pthread_create(&thread, NULL, change_dir, &g) == 0);
	gate_open(&g);
	pthread_join(thread, NULL);
	CHECK_STR(getcwd(cwd, sizeof(cwd)), "/tmp");
	CHECK_EQ(umask(mask), 022);
}

static void uts_names(void)
{
	uint64_t before = ns_number("/proc/self/ns/uts");
	char name[65], old[65];
	struct utsname u;
	pid_t pid;
	int fd;

	fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	OK(gethostname(old, sizeof(old)));
	OK(unshare(CLONE_NEWUTS));
	CHECK(ns_number("/proc/self/ns/uts") != before);
	OK(gethostname(name, sizeof(name)));
	CHECK_STR(name, old);
	OK(sethostname("inner", 5));
	OK(setdomainname("dom", 3));
	pid = h_fork();
	if (pid == 0) {
		OK(uname(&u));
		CHECK_STR(u.nodename, "inner");
		OK(unshare(CLONE_NEWUTS));
		OK(sethostname("deep", 4));
		child_exit();
	}
	JOIN(pid);
	OK(gethostname(name, sizeof(name)));
	CHECK_STR(name, "inner");
	CHECK_ERR(setns(fd, CLONE_NEWNS), EINVAL);
	OK(setns(fd, CLONE_NEWUTS));
	CHECK_EQ(ns_number("/proc/self/ns/uts"), before);
	OK(gethostname(name, sizeof(name)));
	CHECK_STR(name, old);
	close(fd);
}

TEST(uts_namespace)
{
	NEED_ROOT();
	in_private(uts_names);
}

static void copy_of_mounts(void)
{
	struct gate ready, done;
	uint64_t mine = ns_number("/proc/self/ns/mnt");
	pid_t pid;

	mkdirs("m", "sub");
	OK(mount("one", at("m"), "tmpfs", 0, NULL));
	touch(at("m/f"));
	OK(chdir(at("m")));
	gate_init(&ready);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		char cwd[256];

		OK(unshare(CLONE_NEWNS));
		CHECK(ns_number("/proc/self/ns/mnt") != mine);
		CHECK(exists("f"));
		CHECK_STR(getcwd(cwd, sizeof(cwd)), at("m"));
		OK(mount("two", at("sub"), "tmpfs", 0, NULL));
		touch(at("sub/inner"));
		CHECK(is_mounted(at("sub")));
		CHECK_ERR(umount(at("m")), EBUSY); /* we stand in it */
		OK(chdir("/"));
		OK(umount(at("m")));
		CHECK(!exists(at("m/f")));
		gate_open(&ready);
		gate_pass(&done);
		child_exit();
	}
	gate_pass(&ready);
	CHECK(exists(at("m/f")));
	CHECK(!exists(at("sub/inner")));
	CHECK(!is_mounted(at("sub")));
	{
		char path[64], text[8192];
		int fd, n;

		snprintf(path, sizeof(path), "/proc/%d/mounts", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (CHECK(fd >= 0)) {
			for (n = 0; n < (int)sizeof(text) - 1;) {
				int more = (int)read(fd, text + n, sizeof(text) - 1 - (size_t)n);

				if (more <= 0)
					break;
				n += more;
			}
			text[n] = '\0';
			CHECK(strstr(text, at("sub")) != NULL);
			close(fd);
		}
		snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, at("sub/inner"));
		CHECK(exists(path)); /* its mounts can be reached by it */
	}
	gate_open(&done);
	JOIN(pid);
	OK(chdir("/"));
	OK(umount(at("m")));
}

TEST(mount_namespace_is_a_copy)
{
	NEED_ROOT();
	in_private(copy_of_mounts);
}

static void setns_to_child(void)
{
	struct gate ready, done;
	pid_t pid;
	int self, fd, pidfd;

	mkdirs("d", NULL);
	gate_init(&ready);
	gate_init(&done);
	self = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	REQUIRE(self >= 0);
	pid = h_fork();
	if (pid == 0) {
		OK(unshare(CLONE_NEWNS | CLONE_NEWUTS));
		OK(sethostname("ofchild", 7));
		OK(mount("x", at("d"), "tmpfs", 0, NULL));
		touch(at("d/of-child"));
		gate_open(&ready);
		gate_pass(&done);
		child_exit();
	}
	gate_pass(&ready);
	{
		char path[64], name[65], cwd[256];

		snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		REQUIRE(fd >= 0);
		OK(chdir("/tmp"));
		OK(setns(fd, 0));
		CHECK(exists(at("d/of-child")));
		CHECK_STR(getcwd(cwd, sizeof(cwd)), "/");
		CHECK_EQ(ns_number("/proc/self/ns/mnt"), ns_number(path));
		OK(setns(self, CLONE_NEWNS));
		CHECK(!exists(at("d/of-child")));
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		REQUIRE(pidfd >= 0);
		CHECK_ERR(setns(pidfd, 0), EINVAL);
		CHECK_ERR(setns(pidfd, CLONE_VM), EINVAL);
		OK(setns(pidfd, CLONE_NEWNS | CLONE_NEWUTS));
		CHECK(exists(at("d/of-child")));
		OK(gethostname(name, sizeof(name)));
		CHECK_STR(name, "ofchild");
		OK(setns(self, 0));
		close(pidfd);
		close(fd);
	}
	gate_open(&done);
	JOIN(pid);
	CHECK_ERR(setns(-1, 0), EBADF);
	CHECK_ERR(setns(0, 0), EINVAL);
	close(self);
}

TEST(setns_by_file_and_pidfd)
{
	NEED_ROOT();
	in_private(setns_to_child);
}

static void bound_ns(void)
{
	char path[64];
	uint64_t number;
	pid_t pid;
	struct gate ready, done;
	cpu_set_t one;
	int fd, self;

	/* Linux tells older from younger by numbers that it takes per CPU. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	OK(sched_setaffinity(0, sizeof(one), &one));
	OK(unshare(CLONE_NEWNS));
	self = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	touch(at("uts"));
	touch(at("mnt"));
	mkdirs("d", NULL);
	OK(mount("/proc/self/ns/uts", at("uts"), NULL, MS_BIND, NULL));
	CHECK_EQ(ns_number(at("uts")), ns_number("/proc/self/ns/uts"));
	/* A namespace is not bound in itself, nor in a younger one. */
	CHECK_ERR(mount("/proc/self/ns/mnt", at("mnt"), NULL, MS_BIND, NULL), EINVAL);
	gate_init(&ready);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		OK(unshare(CLONE_NEWNS));
		OK(mount("x", at("d"), "tmpfs", 0, NULL));
		touch(at("d/in-bound"));
		gate_open(&ready);
		gate_pass(&done);
		child_exit();
	}
	gate_pass(&ready);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	number = ns_number(path);
	OK(mount(path, at("mnt"), NULL, MS_BIND, NULL));
	gate_open(&done);
	JOIN(pid);
	/* Nobody is in it any more, and it is still there. */
	CHECK_EQ(ns_number(at("mnt")), number);
	fd = open(at("mnt"), O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	OK(setns(fd, CLONE_NEWNS));
	CHECK(exists(at("d/in-bound")));
	OK(setns(self, CLONE_NEWNS));
	close(fd);
	close(self);
	OK(umount(at("mnt")));
	OK(umount(at("uts")));
}

TEST(namespace_kept_by_a_bind)
{
	NEED_ROOT();
	in_private(bound_ns);
}

static void clone_newns(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0) {
		OK(mount("x", base, "tmpfs", 0, NULL));
		touch(at("of-clone"));
		OK(sethostname("cloned", 6));
		_exit(h_failures ? 1 : 0);
	}
	REQUIRE(pid > 0);
	JOIN(pid);
	CHECK(!exists(at("of-clone")));
	CHECK_ERR(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

TEST(clone_into_new_namespaces)
{
	NEED_ROOT();
	in_private(clone_newns);
}

/* ---- pivot_root ---- */

static void pivot(void)
{
	pid_t pid;

	mkdirs("new", "plain");
	mkdirs("other", NULL);
	CHECK_ERR(do_pivot(at("plain"), at("plain")), EINVAL); /* no mount point */
	CHECK_ERR(do_pivot(at("nothing"), at("plain")), ENOENT);
	touch(at("file"));
	CHECK_ERR(do_pivot(at("file"), at("plain")), ENOTDIR);
	CHECK_ERR(do_pivot("/", "/"), EBUSY);
	OK(mount("new", at("new"), "tmpfs", 0, NULL));
	CHECK_ERR(do_pivot(at("new"), at("plain")), EINVAL); /* not below it */
	CHECK_ERR(do_pivot(at("new"), "/"), EBUSY);
	CHECK_ERR(do_pivot(at("new"), at("nothing")), ENOENT);
	mkdirs("new/old", "new/dir");
	touch(at("new/marker"));
	OK(mount(NULL, at("new"), NULL, MS_SHARED, NULL));
	CHECK_ERR(do_pivot(at("new"), at("new/old")), EINVAL); /* shared */
	OK(mount(NULL, at("new"), NULL, MS_PRIVATE, NULL));
	pid = h_fork();
	if (pid == 0) {
		char cwd[256];
		struct gate ready, done;
		pid_t other;

		OK(unshare(CLONE_NEWNS));
		gate_init(&ready);
		gate_init(&done);
		OK(chdir("/"));
		other = h_fork();
		if (other == 0) {
			/* Whoever stands on the old root is taken along. */
			gate_pass(&ready);
			CHECK(exists("/marker"));
			CHECK(exists("marker"));
			gate_open(&done);
			child_exit();
		}
		OK(do_pivot(at("new"), at("new/old")));
		CHECK(exists("/marker"));
		CHECK(exists("/old/proc"));
		CHECK_STR(getcwd(cwd, sizeof(cwd)), "/");
		gate_open(&ready);
		gate_pass(&done);
		CHECK_EQ(h_wait(other), 0);
		OK(umount2("/old", MNT_DETACH));
		CHECK(!exists("/old/proc"));
		OK(mkdir("/proc", 0755));
		OK(mount("proc", "/proc", "proc", 0, NULL));
		CHECK(is_mounted("/"));
		CHECK(is_mounted("/proc"));
		child_exit();
	}
	JOIN(pid);
	/* As containers do it: onto itself, then let go of what is on top. */
	pid = h_fork();
	if (pid == 0) {
		OK(unshare(CLONE_NEWNS));
		OK(chdir(at("new")));
		OK(do_pivot(".", "."));
		OK(umount2(".", MNT_DETACH));
		OK(chdir("/"));
		CHECK(exists("/marker"));
		CHECK(!exists("/dev"));
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		OK(chroot(at("plain")));
		OK(chdir("/"));
		OK(mkdir("/n", 0755));
		OK(mount("n", "/n", "tmpfs", 0, NULL));
		OK(mkdir("/n/o", 0755));
		CHECK_ERR(do_pivot("/n", "/n/o"), EINVAL); /* the root is no mount's */
		OK(mkdir("/proc", 0755));
		OK(mount("p", "/proc", "proc", 0, NULL));
		CHECK(is_mounted("/n") && !is_mounted("/")); /* as far as can be seen from here */
		OK(umount("/proc"));
		OK(umount("/n"));
		child_exit();
	}
	JOIN(pid);
	OK(umount(at("new")));
}

TEST(pivot_root)
{
	NEED_ROOT();
	in_private(pivot);
}

TEST(pivot_root_as_user)
{
	if (geteuid() == 0)
		SKIP("needs an ordinary user");
	CHECK_ERR(do_pivot("/", "/"), EPERM);
	CHECK_ERR(umount2("/nowhere", 0), ENOENT);
	CHECK_ERR(umount2("/", 0x100), EINVAL);
	CHECK_ERR(umount2("/", MNT_DETACH), EPERM);
	CHECK_ERR(mount("x", "/tmp", "tmpfs", 0, NULL), EPERM);
}
