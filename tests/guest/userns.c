/* User namespaces: user_namespaces(7), and what of capabilities(7), credentials(7) and mount_namespaces(7) comes with
 * them. */
#include "harness.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <sys/socket.h>

#ifndef NS_GET_USERNS
#define NS_GET_USERNS _IO(0xb7, 1)
#define NS_GET_PARENT _IO(0xb7, 2)
#define NS_GET_NSTYPE _IO(0xb7, 3)
#define NS_GET_OWNER_UID _IO(0xb7, 4)
#endif

#define NOBODY 65534

/* Writes to /proc/self/NAME: 0, or the errno. */
static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), e = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		e = errno;
	close(fd);
	return e;
}

static int put_map(const char *path, unsigned inside, unsigned outside, unsigned count)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %u %u\n", inside, outside, count);
	return put(path, text);
}

/* The caller enters a namespace of its own, as user and group 0 of it. */
static void become_root(void)
{
	unsigned uid = geteuid(), gid = getegid();

	REQUIRE(unshare(CLONE_NEWUSER) == 0);
	CHECK_EQ(put("/proc/self/setgroups", "deny"), 0);
	CHECK_EQ(put_map("/proc/self/uid_map", 0, uid, 1), 0);
	CHECK_EQ(put_map("/proc/self/gid_map", 0, gid, 1), 0);
	CHECK_EQ(getuid(), 0);
	CHECK_EQ(getegid(), 0);
}

static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];

	REQUIRE(syscall(SYS_capget, &h, d) == 0);
	return d[0].effective | (uint64_t)d[1].effective << 32;
}

static bool has_all_caps(void)
{
	return effective_caps() & 1ull << CAP_SYS_ADMIN && effective_caps() & 1ull << CAP_CHECKPOINT_RESTORE;
}

/* As root or as somebody else: a child, which does everything; its checks count. */
#define IN_CHILD                                                                                                       \
	for (pid_t pid_ = h_fork(); pid_ >= 0; pid_ = pid_ ? (JOIN(pid_), -1) : -1)                                    \
		if (pid_ == 0)

/* ---- making one ---- */

TEST(made_by_unshare)
{
	IN_CHILD
	{
		unsigned uid = getuid(), gid = getgid();
		char text[128];
		struct stat st;

		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		CHECK_EQ(getuid(), NOBODY);
		CHECK_EQ(geteuid(), NOBODY);
		CHECK_EQ(getgid(), NOBODY);
		CHECK_EQ(getegid(), NOBODY);
		CHECK(has_all_caps());
		CHECK_EQ(read_file("/proc/self/uid_map", text, sizeof(text)), 0);
		CHECK_EQ(read_file("/proc/self/gid_map", text, sizeof(text)), 0);
		CHECK(read_file("/proc/self/setgroups", text, sizeof(text)) > 0);
		CHECK_STR(text, "allow\n");
		OK(stat("/proc/self", &st));
		CHECK_EQ(st.st_uid, NOBODY);
		CHECK_ERR(setuid(0), EINVAL); /* there is no such user */
		CHECK_ERR(setgid(0), EINVAL);
		CHECK_ERR(setresuid(0, -1, -1), EINVAL);
		OK(setresuid(-1, -1, -1));
		CHECK_ERR(setgroups(0, NULL), EPERM);
		CHECK_ERR(chown("/proc/self", 0, 0), EINVAL);
		CHECK_EQ(put("/proc/self/setgroups", "deny"), 0);
		CHECK_EQ(put_map("/proc/self/uid_map", 7, uid, 1), 0);
		CHECK_EQ(put_map("/proc/self/gid_map", 8, gid, 1), 0);
		CHECK_EQ(getuid(), 7);
		CHECK_EQ(geteuid(), 7);
		CHECK_EQ(getgid(), 8);
		CHECK(has_all_caps()); /* they go with an execve only */
		OK(stat("/proc/self", &st));
		CHECK_EQ(st.st_uid, 7);
		CHECK_EQ(st.st_gid, 8);
		CHECK(read_file("/proc/self/uid_map", text, sizeof(text)) > 0);
		snprintf(text + 64, 64, "%10u %10u %10u\n", 7, uid, 1);
		CHECK_STR(text, text + 64);
		child_exit();
	}
}

static int count_child(void *arg)
{
	(void)arg;
	CHECK_EQ(getuid(), NOBODY);
	CHECK(has_all_caps());
	child_exit();
}

TEST(made_by_clone)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(count_child, stack + sizeof(stack), CLONE_NEWUSER | SIGCHLD, NULL);

	if (CHECK(pid > 0))
		JOIN(pid);
	CHECK_ERR(clone(count_child, stack + sizeof(stack), CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL), EINVAL);
	CHECK_ERR(clone(count_child, stack + sizeof(stack), CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM,
			NULL),
		  EINVAL);
}

static void *wait_at_gate(void *arg)
{
	gate_pass(arg);
	return NULL;
}

TEST(not_with_threads)
{
	IN_CHILD
	{
		struct gate g;
		pthread_t thread;

		gate_init(&g);
		REQUIRE(pthread_create(&thread, NULL, wait_at_gate, &g) == 0);
		CHECK_ERR(unshare(CLONE_NEWUSER), EINVAL);
		gate_open(&g);
		pthread_join(thread, NULL);
		child_exit();
	}
}

TEST(depth)
{
	IN_CHILD
	{
		int depth = 0;

		for (;;) {
			unsigned uid = geteuid(), gid = getegid();

			if (unshare(CLONE_NEWUSER))
				break;
			depth++;
			REQUIRE(put("/proc/self/setgroups", "deny") == 0);
			REQUIRE(put_map("/proc/self/uid_map", 0, uid, 1) == 0);
			REQUIRE(put_map("/proc/self/gid_map", 0, gid, 1) == 0);
		}
		CHECK_EQ(errno, ENOSPC);
		CHECK(depth > 20 && depth <= 33);
		child_exit();
	}
}

TEST(unmapped_cannot_nest)
{
	IN_CHILD
	{
		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		child_exit();
	}
}

TEST(chrooted_cannot)
{
	if (geteuid() != 0)
		SKIP("chroot needs root");
	use_tmpdir();
	REQUIRE(mkdir("jail", 0755) == 0);
	IN_CHILD
	{
		REQUIRE(chroot("jail") == 0);
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		child_exit();
	}
	OK(rmdir("jail"));
}

TEST(limits)
{
	IN_CHILD
	{
		char text[64];

		become_root();
		CHECK_EQ(put("/proc/sys/user/max_user_namespaces", "0"), 0);
		CHECK(read_file("/proc/sys/user/max_user_namespaces", text, sizeof(text)) > 0);
		CHECK_STR(text, "0\n");
		CHECK_ERR(unshare(CLONE_NEWUSER), ENOSPC);
		CHECK_EQ(put("/proc/sys/user/max_uts_namespaces", "1"), 0);
		OK(unshare(CLONE_NEWUTS));
		CHECK_ERR(unshare(CLONE_NEWUTS), ENOSPC);
		CHECK_EQ(put("/proc/sys/user/max_user_namespaces", "1"), 0);
		OK(unshare(CLONE_NEWUSER));
		child_exit();
	}
}

/* ---- maps ---- */

TEST(map_syntax)
{
	static const char *const bad[] = {
		"",
		"\n",
		"0",
		"0 0",
		"x 0 1",
		"0 0 0",
		"0 0 1 1",
		"0 0 1\n\n",
		"-1 0 1",
		"4294967295 0 1",
		"0 4294967295 1",
		"4294967290 0 10",
		"0 0 1\n0 5 1",
		"0 0 2\n5 1 1",
		"0,0,1",
		"0 0 1x",
		"0 4294967290 10",
	};

	IN_CHILD
	{
		char longer[4200];
		int fd;

		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		fd = open("/proc/self/uid_map", O_RDWR | O_CLOEXEC);
		REQUIRE(fd >= 0);
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			ssize_t n = write(fd, bad[i], strlen(bad[i]));

			if (*bad[i] && !(n == -1 && errno == EINVAL))
				H_FAIL("\"%s\" gave %zd, errno %d\n", bad[i], n, errno);
		}
		memset(longer, ' ', sizeof(longer));
		CHECK_ERR(write(fd, longer, sizeof(longer)), EINVAL);
		CHECK_EQ(put("/proc/self/setgroups", "maybe"), EINVAL);
		CHECK_EQ(put("/proc/self/setgroups", "denyx"), EINVAL);
		CHECK_EQ(put("/proc/self/setgroups", "deny    "), EINVAL); /* too long */
		CHECK_EQ(put("/proc/self/setgroups", "deny\n"), 0);
		CHECK_EQ(put("/proc/self/setgroups", "deny"), 0);
		CHECK_EQ(put("/proc/self/setgroups", "allow"), EPERM);
		close(fd);
		child_exit();
	}
}

TEST(map_by_oneself)
{
	IN_CHILD
	{
		unsigned uid = geteuid(), gid = getegid();

		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		/* Capabilities in the parent are gone, even for those who had them. */
		CHECK_EQ(put_map("/proc/self/uid_map", 0, uid + 1, 1), EPERM);
		CHECK_EQ(put_map("/proc/self/uid_map", 0, uid, 2), EPERM);
		CHECK_EQ(put_map("/proc/self/gid_map", 0, gid, 1), EPERM); /* setgroups is allowed yet */
		CHECK_EQ(put("/proc/self/setgroups", "deny"), 0);
		CHECK_EQ(put_map("/proc/self/gid_map", 0, gid + 1, 1), EPERM);
		CHECK_EQ(put_map("/proc/self/gid_map", 0, gid, 1), 0);
		CHECK_EQ(put_map("/proc/self/gid_map", 0, gid, 1), EPERM); /* once only */
		CHECK_EQ(put_map("/proc/self/uid_map", 5, uid, 1), 0);
		CHECK_EQ(put_map("/proc/self/uid_map", 5, uid, 1), EPERM);
		CHECK_ERR(setgroups(0, NULL), EPERM);
		CHECK_EQ(put("/proc/self/setgroups", "deny"), EPERM);
		child_exit();
	}
}

/* A child in a namespace of its own that waits until the parent has opened the gate. */
struct apart {
	struct gate made, go;
	pid_t pid;
	char path[64];
};

/* In the child 0; the namespace's maps are the parent's to write. */
static pid_t fork_mapped(struct apart *a, unsigned more)
{
	gate_init(&a->made);
	gate_init(&a->go);
	a->pid = h_fork();
	if (a->pid == 0) {
		REQUIRE(unshare(CLONE_NEWUSER | more) == 0);
		gate_open(&a->made);
		gate_pass(&a->go);
		return 0;
	}
	gate_pass(&a->made);
	return a->pid;
}

static const char *map_of(struct apart *a, const char *name)
{
	snprintf(a->path, sizeof(a->path), "/proc/%d/%s", (int)a->pid, name);
	return a->path;
}

static void apart_end(struct apart *a)
{
	gate_open(&a->go);
	JOIN(a->pid);
	gate_free(&a->made);
	gate_free(&a->go);
}

TEST(map_by_parent)
{
	char big[8192], *p = big;
	struct apart a;

	if (geteuid() != 0)
		SKIP("ranges need root");
	use_tmpdir();
	REQUIRE(chmod(h_dir, 0755) == 0);
	write_file("theirs", "x", 1, 0600);
	write_file("others", "x", 1, 0600);
	REQUIRE(chown("theirs", 100005, 200006) == 0);
	REQUIRE(chown("others", 5, 6) == 0);
	if (fork_mapped(&a, 0) == 0) {
		gid_t groups[2] = {3, 1};
		struct stat st;

		CHECK_EQ(getuid(), NOBODY); /* who is root outside has no name here */
		OK(setresgid(0, 0, 0));
		OK(setgroups(2, groups));
		OK(setresuid(0, 0, 0));
		CHECK_EQ(getuid(), 0);
		CHECK_EQ(getgroups(2, groups), 2);
		CHECK_EQ(groups[0] + groups[1], 4);
		groups[0] = 20000;
		CHECK_ERR(setgroups(1, groups), EINVAL);
		CHECK_ERR(setuid(1000), EINVAL);
		OK(stat("theirs", &st));
		CHECK_EQ(st.st_uid, 5);
		CHECK_EQ(st.st_gid, 6);
		OK(stat("others", &st));
		CHECK_EQ(st.st_uid, NOBODY);
		CHECK_EQ(st.st_gid, NOBODY);
		OK(chown("theirs", 7, 8));
		CHECK_ERR(chown("theirs", 1000, 8), EINVAL);
		CHECK_ERR(chown("others", 7, 8), EPERM);
		CHECK_ERR(chmod("others", 0644), EPERM);
		CHECK_ERR(open("others", O_RDONLY), EACCES); /* no capability reaches it */
		OK(chmod("theirs", 0640));
		OK(setresuid(9, 9, 9));
		CHECK_ERR(open("theirs", O_RDONLY), EACCES);
		CHECK_EQ(effective_caps(), 0);
		child_exit();
	}
	CHECK_EQ(put(map_of(&a, "uid_map"), "0 100000 10\n10 100005 10"), EINVAL); /* they overlap */
	for (int i = 0; i < 341; i++)
		p += sprintf(p, "%d %d 1\n", i, 100000 + i);
	REQUIRE(p - big < 4096 + 1024);
	CHECK_EQ(put(map_of(&a, "uid_map"), "0 100000 10\n10 200000 5\n"), 0);
	CHECK_EQ(put(map_of(&a, "gid_map"), "0 200000 1000\n"), 0);
	CHECK_EQ(put(map_of(&a, "gid_map"), "0 200000 1000\n"), EPERM);
	CHECK(read_file(map_of(&a, "uid_map"), big, sizeof(big)) > 0);
	CHECK_STR(big, "         0     100000         10\n        10     200000          5\n");
	apart_end(&a);
	{
		struct stat st;

		OK(stat("theirs", &st));
		CHECK_EQ(st.st_uid, 100007);
		CHECK_EQ(st.st_gid, 200008);
	}
	OK(unlink("theirs"));
	OK(unlink("others"));
}

TEST(map_has_340_lines)
{
	struct apart a;
	char text[8192], *p = text;

	if (geteuid() != 0)
		SKIP("ranges need root");
	if (fork_mapped(&a, 0) == 0) {
		OK(setuid(339));
		CHECK_EQ(getuid(), 339);
		child_exit();
	}
	for (int i = 0; i < 341; i++)
		p += sprintf(p, "%d %d 1\n", i, 1000 + i);
	if (p - text < 4096)
		CHECK_EQ(put(map_of(&a, "uid_map"), text), EINVAL);
	*strrchr(text, '\n') = '\0';
	*(strrchr(text, '\n') + 1) = '\0';
	CHECK_EQ(put(map_of(&a, "uid_map"), text), 0);
	apart_end(&a);
}

TEST(map_by_others)
{
	struct apart a;

	if (fork_mapped(&a, 0) == 0) {
		CHECK_EQ(getuid(), 3);
		child_exit();
	}
	IN_CHILD
	{
		become_root();
		CHECK(put_map(map_of(&a, "uid_map"), 0, 0, 1) != 0); /* neither the namespace nor its parent is ours */
		child_exit();
	}
	CHECK_EQ(put_map(map_of(&a, "uid_map"), 3, geteuid(), 1), 0); /* the owner may, from outside */
	apart_end(&a);
}

/* ---- capabilities ---- */

TEST(capabilities_reach)
{
	pid_t parent = getpid();

	IN_CHILD
	{
		char name[65];

		REQUIRE(gethostname(name, sizeof(name)) == 0);
		become_root();
		CHECK_ERR(sethostname("x", 1), EPERM);
		OK(unshare(CLONE_NEWUTS));
		OK(sethostname("within", 6));
		CHECK_ERR(setdomainname("x", -1), EINVAL);
		if (unshare(CLONE_NEWNS) == 0)
			CHECK_ERR(mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL), EPERM);
		CHECK_ERR(mknod("/tmp/guest.device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
		CHECK_ERR(setpriority(PRIO_PROCESS, 0, -5), EACCES);
		CHECK_EQ(getpriority(PRIO_PROCESS, parent) >= -20, 1);
		child_exit();
	}
}

TEST(signals_to_outside)
{
	pid_t outside;

	if (geteuid() != 0)
		SKIP("another user is needed");
	outside = h_fork();
	if (outside == 0) {
		REQUIRE(setuid(12345) == 0);
		for (;;)
			pause();
	}
	REQUIRE(h_wait_state(outside, "S"));
	IN_CHILD
	{
		become_root();
		CHECK_ERR(kill(outside, 0), EPERM);
		CHECK_ERR(kill(outside, SIGKILL), EPERM);
		child_exit();
	}
	OK(kill(outside, SIGKILL));
	CHECK_EQ(h_wait(outside), SIGKILL);
}

TEST(execve_and_root)
{
	IN_CHILD
	{
		char *argv[] = {(char *)h_self, (char *)"@caps", (char *)"all", NULL};

		become_root();
		execv(h_self, argv);
		_exit(90);
	}
	IN_CHILD
	{
		char *argv[] = {(char *)h_self, (char *)"@caps", (char *)"none", NULL};

		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		execv(h_self, argv);
		_exit(90);
	}
	IN_CHILD
	{
		char *argv[] = {(char *)h_self, (char *)"@caps", (char *)"none", NULL};
		unsigned uid = geteuid();

		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		CHECK_EQ(put_map("/proc/self/uid_map", 1000, uid, 1), 0);
		execv(h_self, argv);
		_exit(90);
	}
}

ROLE(argc, argv)
{
	bool all = argc > 2 && !strcmp(argv[2], "all");

	return (all ? has_all_caps() : effective_caps() == 0) ? 0 : 1;
}

TEST(bounding_and_securebits)
{
	IN_CHILD
	{
		become_root();
		CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN), 1);
		CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
		OK(prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN));
		CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN), 0);
		OK(prctl(PR_SET_SECUREBITS, 1));
		child_exit();
	}
}

/* ---- entering ---- */

static int open_ns(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

TEST(entering)
{
	int own = open_ns(getpid(), "user"), theirs, uts;
	struct apart a;

	REQUIRE(own >= 0);
	CHECK_ERR(setns(own, CLONE_NEWUSER), EINVAL); /* we are there */
	if (fork_mapped(&a, CLONE_NEWUTS) == 0) {
		CHECK_ERR(setns(own, CLONE_NEWUSER), EPERM);
		child_exit();
	}
	CHECK_EQ(put_map(map_of(&a, "uid_map"), 0, geteuid(), 1), 0);
	theirs = open_ns(a.pid, "user");
	uts = open_ns(a.pid, "uts");
	REQUIRE(theirs >= 0 && uts >= 0);
	IN_CHILD
	{
		if (geteuid() != 0)
			CHECK_ERR(setns(uts, CLONE_NEWUTS), EPERM);
		OK(setns(theirs, CLONE_NEWUSER));
		CHECK_EQ(getuid(), 0);
		CHECK(has_all_caps());
		OK(setns(uts, CLONE_NEWUTS));
		OK(sethostname("entered", 7));
		CHECK_ERR(setns(theirs, CLONE_NEWUSER), EINVAL);
		CHECK_ERR(setns(own, CLONE_NEWUSER), EPERM);
		child_exit();
	}
	close(theirs);
	close(uts);
	close(own);
	apart_end(&a);
}

TEST(questions)
{
	int fd = open_ns(getpid(), "user"), theirs, up;
	struct stat here, st;
	struct apart a;
	uid_t owner;

	REQUIRE(fd >= 0);
	OK(fstat(fd, &here));
	CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWUSER);
	if (fork_mapped(&a, CLONE_NEWUTS) == 0) {
		int own = open("/proc/self/ns/user", O_RDONLY);

		CHECK_ERR(ioctl(own, NS_GET_PARENT), EPERM); /* out of sight */
		CHECK_ERR(ioctl(own, NS_GET_USERNS), EPERM);
		OK(ioctl(own, NS_GET_OWNER_UID, &owner));
		CHECK_EQ(owner, 0); /* itself, as it is mapped */
		child_exit();
	}
	CHECK_EQ(put_map(map_of(&a, "uid_map"), 0, geteuid(), 1), 0);
	theirs = open_ns(a.pid, "user");
	REQUIRE(theirs >= 0);
	OK(ioctl(theirs, NS_GET_OWNER_UID, &owner));
	CHECK_EQ(owner, geteuid());
	up = ioctl(theirs, NS_GET_PARENT);
	if (CHECK(up >= 0)) {
		OK(fstat(up, &st));
		CHECK_EQ(st.st_ino, here.st_ino);
		close(up);
	}
	up = ioctl(theirs, NS_GET_USERNS);
	if (CHECK(up >= 0)) {
		OK(fstat(up, &st));
		CHECK_EQ(st.st_ino, here.st_ino);
		close(up);
	}
	close(theirs);
	theirs = open_ns(a.pid, "uts");
	REQUIRE(theirs >= 0);
	up = ioctl(theirs, NS_GET_USERNS);
	if (CHECK(up >= 0)) {
		OK(fstat(up, &st));
		CHECK(st.st_ino != here.st_ino);
		CHECK_EQ(ioctl(up, NS_GET_NSTYPE), CLONE_NEWUSER);
		close(up);
	}
	CHECK_ERR(ioctl(theirs, NS_GET_OWNER_UID, &owner), EINVAL);
	close(theirs);
	close(fd);
	apart_end(&a);
}

/* ---- what others are told ---- */

TEST(senders)
{
	unsigned uid = getuid();
	siginfo_t info;
	sigset_t set;
	struct apart a;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	if (fork_mapped(&a, 0) == 0) {
		CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
		CHECK_EQ(info.si_uid, 4);
		OK(kill(getppid(), SIGUSR1));
		child_exit();
	}
	CHECK_EQ(put_map(map_of(&a, "uid_map"), 4, geteuid(), 1), 0);
	OK(kill(a.pid, SIGUSR1));
	gate_open(&a.go);
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
	CHECK_EQ(info.si_uid, uid);
	OK(waitid(P_PID, (id_t)a.pid, &info, WEXITED));
	CHECK_EQ(info.si_uid, uid);
	CHECK_EQ(info.si_status, 0);
	gate_free(&a.made);
	gate_free(&a.go);
	OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

TEST(peers)
{
	struct ucred c;
	socklen_t len = sizeof(c);
	int s[2];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	IN_CHILD
	{
		REQUIRE(unshare(CLONE_NEWUSER) == 0);
		OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
		CHECK_EQ(c.uid, NOBODY);
		CHECK_EQ(c.gid, NOBODY);
		child_exit();
	}
	OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
	CHECK_EQ(c.uid, geteuid());
	close(s[0]);
	close(s[1]);
}

TEST(status_as_seen)
{
	struct apart a;
	char text[4096], want[64], *line;

	if (fork_mapped(&a, 0) == 0) {
		char path[64];

		CHECK(read_file("/proc/self/status", text, sizeof(text)) > 0);
		line = strstr(text, "\nUid:");
		CHECK(line && !strncmp(line + 1, "Uid:\t2\t2\t2\t2\n", 13));
		snprintf(path, sizeof(path), "/proc/%d/status", (int)getppid());
		CHECK(read_file(path, text, sizeof(text)) > 0);
		line = strstr(text, "\nGid:");
		CHECK(line && !strncmp(line + 1, "Gid:\t65534\t65534\t65534\t65534\n", 29));
		child_exit();
	}
	CHECK_EQ(put_map(map_of(&a, "uid_map"), 2, geteuid(), 1), 0);
	CHECK(read_file(map_of(&a, "status"), text, sizeof(text)) > 0);
	snprintf(want, sizeof(want), "\nUid:\t%u\t%u\t%u\t%u\n", getuid(), getuid(), getuid(), getuid());
	CHECK(strstr(text, want) != NULL);
	apart_end(&a);
}

/* ---- files and mounts ---- */

TEST(owners_of_files)
{
	struct stat st;

	use_tmpdir();
	IN_CHILD
	{
		int fd;

		become_root();
		fd = open("made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		REQUIRE(fd >= 0);
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_uid, 0);
		OK(fchown(fd, 0, 0));
		CHECK_ERR(fchown(fd, 1, -1), EINVAL);
		close(fd);
		child_exit();
	}
	OK(stat("made", &st));
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_gid, getegid());
	OK(unlink("made"));
}

TEST(mounts_of_users)
{
	use_tmpdir();
	mkdir("m", 0755);
	mkdir("n", 0755);
	IN_CHILD
	{
		struct stat st;
		int fd;

		become_root();
		CHECK_ERR(mount("t", "m", "tmpfs", 0, NULL), EPERM); /* the mount namespace is another's */
		REQUIRE(unshare(CLONE_NEWNS) == 0);
		OK(mount("t", "m", "tmpfs", 0, "mode=700,uid=0,gid=0"));
		CHECK_ERR(mount("t", "n", "tmpfs", 0, "uid=1"), EINVAL); /* nobody's */
		OK(stat("m", &st));
		CHECK_EQ(st.st_uid, 0);
		fd = open("m/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		CHECK(fd >= 0);
		close(fd);
		OK(mount("m", "n", NULL, MS_BIND, NULL));
		OK(mount(NULL, "n", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
		CHECK_ERR(open("n/other", O_CREAT | O_WRONLY, 0600), EROFS);
		OK(mount(NULL, "n", NULL, MS_BIND | MS_REMOUNT, NULL)); /* one's own can be taken back */
		OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
		OK(umount("n"));
		OK(umount2("m", MNT_DETACH));
		/* These tell of namespaces that are not ours. */
		CHECK_ERR(mount("p", "m", "proc", 0, NULL), EPERM);
		CHECK_ERR(mount("s", "m", "sysfs", 0, NULL), EPERM);
		CHECK_ERR(mount("q", "m", "mqueue", 0, NULL), EPERM);
		OK(unshare(CLONE_NEWIPC));
		OK(mount("q", "m", "mqueue", 0, NULL));
		OK(umount("m"));
		child_exit();
	}
	OK(rmdir("m"));
	OK(rmdir("n"));
}

TEST(inherited_mounts_are_locked)
{
	use_tmpdir();
	REQUIRE(mkdir("all", 0755) == 0);
	IN_CHILD
	{
		become_root();
		REQUIRE(unshare(CLONE_NEWNS) == 0);
		CHECK_ERR(umount("/proc"), EINVAL);
		CHECK_ERR(umount2("/proc", MNT_DETACH), EINVAL);
		CHECK_ERR(mount("/", "all", NULL, MS_BIND, NULL), EINVAL); /* it would uncover what /proc covers */
		OK(mount("/", "all", NULL, MS_BIND | MS_REC, NULL));
		CHECK_ERR(umount("all/proc"), EINVAL);
		OK(umount2("all", MNT_DETACH));
		child_exit();
	}
	OK(rmdir("all"));
}

TEST(inherited_flags_are_locked)
{
	if (geteuid() != 0)
		SKIP("mounts need root");
	use_tmpdir();
	mkdir("ro", 0755);
	IN_CHILD
	{
		REQUIRE(unshare(CLONE_NEWNS) == 0);
		REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		REQUIRE(mount("t", "ro", "tmpfs", MS_NOSUID | MS_NODEV, NULL) == 0);
		REQUIRE(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0);
		become_root();
		CHECK_ERR(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
		REQUIRE(unshare(CLONE_NEWNS) == 0);
		CHECK_ERR(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL), EPERM);
		CHECK_ERR(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL), EPERM);
		CHECK_ERR(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL), EPERM);
		OK(mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
		CHECK_ERR(umount("ro"), EINVAL);
		child_exit();
	}
	OK(rmdir("ro"));
}

TEST(pivoting)
{
	use_tmpdir();
	IN_CHILD
	{
		become_root();
		REQUIRE(unshare(CLONE_NEWNS) == 0);
		OK(mount("t", ".", "tmpfs", 0, NULL));
		OK(chdir(h_dir));
		OK(mkdir("old", 0755));
		OK(syscall(SYS_pivot_root, ".", "old"));
		OK(chdir("/"));
		OK(access("/old/proc", F_OK));
		OK(umount2("/old", MNT_DETACH));
		CHECK_ERR(access("/old/proc", F_OK), ENOENT);
		OK(mkdir("jail", 0755));
		OK(chroot("jail")); /* which needs a capability, too */
		child_exit();
	}
}

TEST(cgroup_namespaces)
{
	IN_CHILD
	{
		char text[4096], *last;
		struct stat before, after;

		become_root();
		REQUIRE(stat("/proc/self/ns/cgroup", &before) == 0);
		OK(unshare(CLONE_NEWCGROUP));
		OK(stat("/proc/self/ns/cgroup", &after));
		CHECK(before.st_ino != after.st_ino);
		REQUIRE(read_file("/proc/self/cgroup", text, sizeof(text)) > 0);
		last = strrchr(text, ':');
		CHECK(last && !strcmp(last, ":/\n")); /* where it was becomes its root */
		child_exit();
	}
}

TEST(file_capabilities)
{
	/* Revision 2: CAP_NET_RAW, permitted and effective. */
	static const uint32_t caps[5] = {0x02000001, 1 << CAP_NET_RAW, 0, 0, 0};
	uint32_t got[6];

	use_tmpdir();
	write_file("prog", "", 0, 0755);
	IN_CHILD
	{
		become_root();
		if (setxattr("prog", "security.capability", caps, sizeof(caps), 0) == 0) {
			CHECK_EQ(getxattr("prog", "security.capability", got, sizeof(got)), 20);
			CHECK_EQ(got[0], 0x02000001);
			CHECK_EQ(getxattr("prog", "security.capability", NULL, 0), 20);
		} else {
			CHECK_EQ(errno, EOPNOTSUPP);
		}
		CHECK_ERR(setxattr("prog", "security.other", "x", 1, 0), EPERM);
		CHECK_ERR(setxattr("prog", "trusted.other", "x", 1, 0), EPERM);
		child_exit();
	}
	if (getxattr("prog", "security.capability", got, sizeof(got)) > 0 && geteuid() != 0) {
		CHECK_EQ(getxattr("prog", "security.capability", got, sizeof(got)), 24);
		CHECK_EQ(got[0], 0x03000001);
		CHECK_EQ(got[5], geteuid());
	}
	OK(unlink("prog"));
}
