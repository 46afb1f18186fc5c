/* The limits of System V IPC: /proc/sys/kernel/shmmax, shmall and sem, in an IPC namespace of the test's own. */
#include "harness.h"

#include <grp.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define SYS "/proc/sys/kernel/"

static int put(const char *name, const char *text)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), SYS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : errno;
	close(fd);
	return r;
}

static void check_text(const char *name, const char *want)
{
	char path[64], text[128] = "";
	int fd;

	snprintf(path, sizeof(path), SYS "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	CHECK_STR(text, want);
}

static void in_ns(void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		REQUIRE(unshare(CLONE_NEWIPC) == 0);
		fn();
		child_exit();
	}
	JOIN(pid);
}

static void segments(void)
{
	struct shminfo info;
	int id;

	check_text("shmmax", "18446744073692774399\n");
	check_text("shmall", "18446744073692774399\n");
	OK(put("shmmax", "8192"));
	check_text("shmmax", "8192\n");
	OK(shmctl(0, IPC_INFO, (struct shmid_ds *)&info));
	CHECK_EQ(info.shmmax, 8192);
	CHECK_ERR(shmget(IPC_PRIVATE, 8193, 0600), EINVAL);
	id = shmget(IPC_PRIVATE, 8192, 0600);
	CHECK(id >= 0);
	OK(put("shmall", " 3\n"));
	CHECK_ERR(shmget(IPC_PRIVATE, 4097, 0600), ENOSPC);
	CHECK(shmget(IPC_PRIVATE, 4096, 0600) >= 0);
	CHECK_ERR(shmget(IPC_PRIVATE, 1, 0600), ENOSPC);
	OK(put("shmall", "0"));
	CHECK_ERR(shmget(IPC_PRIVATE, 1, 0600), ENOSPC);
	CHECK_EQ(put("shmmax", "none"), EINVAL);
	CHECK_EQ(put("shmmax", "12x"), EINVAL);
	CHECK_EQ(put("shmmax", "-1"), EINVAL);
	check_text("shmmax", "8192\n");
	OK(shmctl(id, IPC_RMID, NULL));
}

static void semaphores(void)
{
	struct sembuf ops[5] = {{0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0}};
	struct seminfo info;
	int id;

	check_text("sem", "32000\t1024000000\t500\t32000\n");
	OK(put("sem", "4 6 3 2\n"));
	check_text("sem", "4\t6\t3\t2\n");
	OK(semctl(0, 0, IPC_INFO, &info));
	CHECK_EQ(info.semmsl, 4);
	CHECK_EQ(info.semmns, 6);
	CHECK_EQ(info.semopm, 3);
	CHECK_EQ(info.semmni, 2);
	CHECK_ERR(semget(IPC_PRIVATE, 5, 0600), EINVAL);
	id = semget(IPC_PRIVATE, 4, 0600);
	CHECK(id >= 0);
	CHECK_ERR(semget(IPC_PRIVATE, 3, 0600), ENOSPC);
	OK(semop(id, ops, 3));
	CHECK_ERR(semop(id, ops, 4), E2BIG);
	CHECK(semget(IPC_PRIVATE, 2, 0600) >= 0);
	OK(put("sem", "10"));
	check_text("sem", "10\t6\t3\t2\n");
	CHECK_EQ(put("sem", "11 x"), EINVAL);
	check_text("sem", "11\t6\t3\t2\n");
	CHECK_EQ(put("sem", "10 6 3 40000000"), ERANGE);
}

TEST(shared_memory)
{
	if (geteuid() != 0)
		SKIP("needs root");
	in_ns(segments);
}

TEST(semaphore_sets)
{
	if (geteuid() != 0)
		SKIP("needs root");
	in_ns(semaphores);
}

TEST(huge_pages_are_for_the_privileged)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		if (geteuid() == 0)
			REQUIRE(setgroups(0, NULL) == 0 && setgid(4711) == 0 && setuid(4711) == 0);
		CHECK_ERR(shmget(IPC_PRIVATE, 2048 * 1024, SHM_HUGETLB | IPC_CREAT | 0600), EPERM);
		child_exit();
	}
	JOIN(pid);
}
