/* Users, groups and capabilities of processes. */
#include "harness.h"

#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void as_user(uid_t uid)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setresgid(uid, uid, uid) == 0);
	REQUIRE(setresuid(uid, uid, uid) == 0);
}

TEST(reading)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	OK(getresuid(&r, &e, &s));
	CHECK(r == getuid() && e == geteuid() && s == e);
	OK(getresgid(&gr, &ge, &gs));
	CHECK(gr == getgid() && ge == getegid() && gs == ge);
	CHECK(getgroups(0, NULL) >= 0);
	CHECK_ERR(getgroups(-1, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_getresuid, 8, &e, &s), EFAULT);
}

TEST(setting_to_itself)
{
	OK(setuid(getuid()));
	OK(setgid(getgid()));
	OK(setreuid((uid_t)-1, (uid_t)-1));
	OK(setresuid((uid_t)-1, getuid(), (uid_t)-1));
	OK(setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1));
	CHECK_ERR(syscall(SYS_setuid, -1), EINVAL);
	CHECK_ERR(syscall(SYS_setgid, -1), EINVAL);
}

static void unprivileged(void)
{
	struct stat init;

	CHECK_ERR(setuid(0), EPERM);
	CHECK_ERR(setgid(0), EPERM);
	CHECK_ERR(seteuid(0), EPERM);
	CHECK_ERR(setresuid(1, 2, 3), EPERM);
	CHECK_ERR(setreuid(0, (uid_t)-1), EPERM);
	CHECK_ERR(setgroups(0, NULL), EPERM);
	if (stat("/proc/1", &init) == 0 && init.st_uid != getuid())
		CHECK_ERR(kill(1, 0), EPERM);
	CHECK_EQ(setfsuid((uid_t)-1), getuid());
}

TEST(no_privilege)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		if (geteuid() == 0)
			as_user(4321);
		unprivileged();
		CHECK(getuid() == geteuid());
		child_exit();
	}
	JOIN(pid);
}

TEST(drop_and_return)
{
	uid_t r, e, s;
	pid_t pid;

	if (geteuid())
		SKIP("needs root");
	pid = h_fork();
	if (pid == 0) {
		OK(seteuid(1000));
		CHECK(getuid() == 0 && geteuid() == 1000);
		CHECK_ERR(setgroups(0, NULL), EPERM);
		OK(seteuid(0));
		OK(setresuid(1, 2, 3));
		getresuid(&r, &e, &s);
		CHECK(r == 1 && e == 2 && s == 3);
		OK(setresuid(3, 1, 2)); /* any of the three may change places */
		CHECK_ERR(setresuid(0, 1, 2), EPERM);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		OK(setuid(1000));
		CHECK_ERR(setuid(0), EPERM);
		CHECK_ERR(seteuid(0), EPERM);
		child_exit();
	}
	JOIN(pid);
}

TEST(groups)
{
	gid_t set[3] = {10, 20, 30}, got[8];
	pid_t pid;

	if (geteuid())
		SKIP("needs root");
	pid = h_fork();
	if (pid == 0) {
		OK(setgroups(3, set));
		CHECK_EQ(getgroups(8, got), 3);
		CHECK(got[0] == 10 && got[1] == 20 && got[2] == 30);
		CHECK_ERR(getgroups(2, got), EINVAL);
		CHECK_EQ(getgroups(0, NULL), 3);
		CHECK_ERR(setgroups(65537, set), EINVAL);
		CHECK_ERR(syscall(SYS_setgroups, 1, 8), EFAULT);
		if (h_fork() == 0) {
			CHECK_EQ(getgroups(8, got), 3);
			child_exit();
		}
		int status;
		wait(&status);
		CHECK_EQ(status, 0);
		/* Groups open files. */
		use_tmpdir();
		h_dir_owner = getpid();
		REQUIRE(chmod(".", 0755) == 0);
		write_file("g", "x", 1, 0640);
		OK(chown("g", 0, 20));
		OK(setresgid(50, 50, 50));
		OK(setresuid(50, 50, 50));
		int fd = open("g", O_RDONLY);
		CHECK(fd >= 0);
		CHECK_ERR(open("g", O_WRONLY), EACCES);
		child_exit();
	}
	JOIN(pid);
}

TEST(kill_permission)
{
	struct gate g;
	pid_t target, pid;

	if (geteuid())
		SKIP("needs root");
	gate_init(&g);
	target = h_fork();
	if (target == 0) {
		as_user(1000);
		gate_open(&g);
		for (;;)
			pause();
	}
	gate_pass(&g);
	pid = h_fork();
	if (pid == 0) {
		as_user(1001);
		CHECK_ERR(kill(target, 0), EPERM);
		CHECK_ERR(kill(target, SIGKILL), EPERM);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		as_user(1000);
		OK(kill(target, SIGTERM));
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(h_wait(target), SIGTERM);
	gate_free(&g);
}

/* ---- a thread with other ids than its process's leader ---- */

static struct thread_ids {
	struct gate ready;
	pid_t tid;
} *thread_ids;

static void *be_1000(void *arg)
{
	(void)arg;
	REQUIRE(syscall(SYS_setresuid, 1000, 1000, 1000) == 0); /* this thread alone: past libc */
	thread_ids->tid = gettid();
	gate_open(&thread_ids->ready);
	for (;;)
		pause();
	return NULL;
}

static void leader_and_thread(bool leader_goes)
{
	pid_t target, pid;

	gate_init(&thread_ids->ready);
	target = h_fork();
	if (target == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, be_1000, NULL) == 0);
		if (leader_goes)
			syscall(SYS_exit, 0);
		for (;;)
			pause();
	}
	gate_pass(&thread_ids->ready);
	REQUIRE(!leader_goes || h_wait_state(target, "Z"));
	pid = h_fork();
	if (pid == 0) {
		int fd = (int)syscall(SYS_pidfd_open, target, 0);

		as_user(1000);
		CHECK_ERR(kill(target, 0), EPERM); /* the leader's count, even if it has gone */
		CHECK_ERR(sigqueue(target, SIGTERM, (union sigval){0}), EPERM);
		CHECK_ERR(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), EPERM);
		if (!leader_goes)
			CHECK_ERR(syscall(SYS_tgkill, target, target, 0), EPERM);
		OK(syscall(SYS_tgkill, target, thread_ids->tid, 0));
		OK(kill(thread_ids->tid, 0)); /* a thread's number stands for its process */
		OK(kill(thread_ids->tid, SIGTERM));
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(h_wait(target), SIGTERM);
	gate_free(&thread_ids->ready);
}

TEST(kill_permission_of_threads)
{
	if (geteuid())
		SKIP("needs root");
	thread_ids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(thread_ids != MAP_FAILED);
	leader_and_thread(false);
	leader_and_thread(true);
}

TEST(capabilities)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	pid_t pid;

	OK(syscall(SYS_capget, &h, d));
	if (geteuid() == 0)
		CHECK(d[0].effective & (1u << CAP_DAC_OVERRIDE | 1u << CAP_CHOWN | 1u << CAP_SETUID));
	else
		CHECK(d[0].effective == 0 && d[0].permitted == 0);
	h.version = 1;
	CHECK_ERR(syscall(SYS_capget, &h, d), EINVAL);
	CHECK_EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	CHECK_EQ(syscall(SYS_capget, &h, NULL), 0);
	h.pid = 0x3ffff0;
	CHECK_ERR(syscall(SYS_capget, &h, d), ESRCH);
	/* Leaving root behind leaves the capabilities behind. */
	pid = h_fork();
	if (pid == 0) {
		h = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
		if (geteuid() == 0)
			as_user(1000);
		OK(syscall(SYS_capget, &h, d));
		CHECK(d[0].effective == 0 && d[0].permitted == 0 && d[1].effective == 0);
		d[0].effective = d[0].permitted = 1;
		CHECK_ERR(syscall(SYS_capset, &h, d), EPERM);
		child_exit();
	}
	JOIN(pid);
}

TEST(no_new_privs)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
		child_exit();
	}
	JOIN(pid);
}
