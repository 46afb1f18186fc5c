/* What files of namespaces tell by ioctl(2): ids, numbers of processes from one to the other, counts of mounts. */
#include "mounts.h"

#include <sys/ioctl.h>

#define GET_MNTNS_ID 0x8008b705u
#define PID_FROM 0x8004b706u
#define TGID_FROM 0x8004b707u
#define PID_IN 0x8004b708u
#define TGID_IN 0x8004b709u
#define MNT_INFO 0x8010b70au
#define GET_ID 0x8008b70du
#define NR_statx 332
#define NR_statmount 457

struct info {
	uint32_t size, nr_mounts;
	uint64_t id;
};

static int ns_of(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	return fd;
}

static void ids_of_mounts(void)
{
	struct {
		uint32_t size, spare;
		uint64_t mnt_id, param, ns_id;
	} request = {24, 0, 0, 0x40 /* MNT_NS_ID */, 0};
	uint64_t answer[64] = {0}, id = 0, longer[4] = {7, 7, 7, 7};
	struct statx st;
	struct info info;
	unsigned before;
	int mnt = ns_of("mnt");

	OK(ioctl(mnt, GET_MNTNS_ID, &id));
	CHECK(id != 0);
	memset(&st, 0, sizeof(st));
	OK(syscall(NR_statx, AT_FDCWD, base, 0, 0x4000 /* MNT_ID_UNIQUE */, &st));
	request.mnt_id = ((uint64_t *)&st)[0x90 / 8]; /* stx_mnt_id */
	OK(syscall(NR_statmount, &request, answer, sizeof(answer), 0));
	CHECK_EQ(answer[14], id); /* mnt_ns_id */
	OK(ioctl(mnt, MNT_INFO, &info));
	CHECK_EQ(info.size, 16);
	CHECK_EQ(info.id, id);
	before = info.nr_mounts;
	CHECK(before > 1);
	mkdirs("more", NULL);
	OK(mount("more", at("more"), "tmpfs", 0, NULL));
	OK(ioctl(mnt, MNT_INFO, &info));
	CHECK_EQ(info.nr_mounts, before + 1);
	/* The size is part of the command: more is taken, less is not. */
	OK(ioctl(mnt, 0x8020b70au, longer));
	CHECK_EQ(longer[1], id);
	CHECK_EQ(longer[2], 7);
	CHECK_ERR(ioctl(mnt, 0x8008b70au, longer), ENOTTY);
	CHECK_ERR(ioctl(mnt, MNT_INFO, NULL), EINVAL);
	CHECK_ERR(ioctl(mnt, MNT_INFO, (void *)8), EFAULT);
	CHECK_ERR(ioctl(mnt, GET_MNTNS_ID, (void *)8), EFAULT);
	close(mnt);
	/* Another namespace has another. */
	OK(unshare(CLONE_NEWNS));
	mnt = ns_of("mnt");
	OK(ioctl(mnt, GET_MNTNS_ID, longer));
	CHECK(longer[0] != id);
	close(mnt);
}

TEST(mount_namespaces)
{
	NEED_ROOT();
	in_private(ids_of_mounts);
}

TEST(ids)
{
	uint64_t a = 0, b = 0;
	int uts = ns_of("uts"), ipc = ns_of("ipc"), mnt = ns_of("mnt");

	OK(ioctl(uts, GET_ID, &a));
	OK(ioctl(ipc, GET_ID, &b));
	CHECK(a && b && a != b);
	CHECK_ERR(ioctl(uts, GET_MNTNS_ID, &a), EINVAL);
	CHECK_ERR(ioctl(uts, MNT_INFO, &a), EINVAL);
	CHECK_ERR(ioctl(mnt, PID_IN, 1), EINVAL);
	CHECK_ERR(ioctl(uts, GET_ID, (void *)8), EFAULT);
	CHECK_ERR(ioctl(uts, 0xb7aa, 1), ENOTTY);
	close(uts);
	close(ipc);
	close(mnt);
}

TEST(numbers_of_processes)
{
	int ours = ns_of("pid"), theirs, status;
	char path[64];
	pid_t pid;

	CHECK_EQ(ioctl(ours, PID_IN, getpid()), getpid());
	CHECK_EQ(ioctl(ours, TGID_FROM, getpid()), getpid());
	CHECK_ERR(ioctl(ours, PID_FROM, 99999999), ESRCH);
	CHECK_ERR(ioctl(ours, PID_IN, -1), ESRCH);
	CHECK_ERR(ioctl(ours, PID_IN, 0), ESRCH);
	if (geteuid() == 0) {
		pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0);
		if (pid == 0) {
			pause();
			_exit(0);
		}
		snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
		theirs = open(path, O_RDONLY | O_CLOEXEC);
		CHECK(theirs >= 0);
		CHECK_EQ(ioctl(theirs, PID_FROM, 1), pid);
		CHECK_EQ(ioctl(theirs, TGID_FROM, 1), pid);
		CHECK_EQ(ioctl(theirs, PID_IN, pid), 1);
		CHECK_EQ(ioctl(theirs, TGID_IN, pid), 1);
		CHECK_ERR(ioctl(theirs, PID_IN, getpid()), ESRCH); /* it is not seen from there */
		CHECK_ERR(ioctl(theirs, PID_FROM, 2), ESRCH);
		close(theirs);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
	}
	close(ours);
}
