/* IPC namespaces: ipc_namespaces(7). */
#include "harness.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static uint64_t number(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* As those do who may not make one alone: with a user namespace, as root of that. */
static bool enter_with_user(void)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0 && put("/proc/self/setgroups", "deny") &&
	       put("/proc/self/uid_map", uid) && put("/proc/self/gid_map", gid);
}

/* A child in an IPC namespace of its own goes on here and returns 0; the parent gets its pid; -1: it may not. */
static pid_t fork_apart(void)
{
	struct gate ready;
	pid_t pid;
	char c;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWIPC) && !enter_with_user())
			_exit(99);
		gate_open(&ready);
		gate_free(&ready);
		return 0;
	}
	close(ready.fd[1]);
	if (read(ready.fd[0], &c, 1) == 1) {
		close(ready.fd[0]);
		return pid;
	}
	close(ready.fd[0]);
	CHECK_EQ(h_wait(pid), W_EXIT(99));
	return -1;
}

#define NEEDS(pid)                                                                                                     \
	if ((pid) < 0)                                                                                                 \
	SKIP("no namespace may be made here")

TEST(ids_apart)
{
	int shm = shmget(0x7e571, 4096, IPC_CREAT | 0600), sem = semget(0x7e571, 2, IPC_CREAT | 0600);
	int msg = msgget(0x7e571, IPC_CREAT | 0600);
	uint64_t here = number("/proc/self/ns/ipc");
	struct shmid_ds ds;
	pid_t pid;

	REQUIRE(shm >= 0 && sem >= 0 && msg >= 0 && here);
	pid = fork_apart();
	if (pid == 0) {
		struct shm_info info;

		CHECK(number("/proc/self/ns/ipc") != here);
		CHECK_EQ(number("/proc/self/ns/ipc"), number("/proc/thread-self/ns/ipc"));
		CHECK_ERR(shmget(0x7e571, 0, 0), ENOENT);
		CHECK_ERR(semget(0x7e571, 0, 0), ENOENT);
		CHECK_ERR(msgget(0x7e571, 0), ENOENT);
		CHECK_ERR(shmctl(shm, IPC_STAT, &ds), EINVAL);
		CHECK_ERR((long)shmat(shm, NULL, 0), EINVAL);
		CHECK_EQ(shmctl(0, SHM_INFO, (void *)&info), 0);
		CHECK_EQ(info.used_ids, 0);
		CHECK(shmget(0x7e571, 8192, IPC_CREAT | IPC_EXCL | 0600) >= 0); /* it goes with the namespace */
		CHECK(semget(0x7e571, 3, IPC_CREAT | IPC_EXCL | 0600) >= 0);
		CHECK(msgget(0x7e571, IPC_CREAT | IPC_EXCL | 0600) >= 0);
		child_exit();
	}
	if (pid > 0)
		JOIN(pid);
	OK(shmctl(shm, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_segsz, 4096);
	OK(shmctl(shm, IPC_RMID, NULL));
	OK(semctl(sem, 0, IPC_RMID));
	OK(msgctl(msg, IPC_RMID, NULL));
	NEEDS(pid);
}

TEST(attached_stays)
{
	pid_t pid = fork_apart();

	NEEDS(pid);
	if (pid == 0) {
		int id = shmget(IPC_PRIVATE, 4096, 0600);
		char *mem = shmat(id, NULL, 0);
		struct shmid_ds ds;

		REQUIRE(id >= 0 && mem != (void *)-1);
		strcpy(mem, "still here");
		if (unshare(CLONE_NEWIPC) == 0) {
			CHECK_STR(mem, "still here");
			CHECK_ERR(shmctl(id, IPC_STAT, &ds), EINVAL);
			OK(shmdt(mem));
		}
		child_exit();
	}
	JOIN(pid);
}

TEST(undo_at_leaving)
{
	pid_t pid = fork_apart();

	NEEDS(pid);
	if (pid == 0) {
		struct sembuf up = {.sem_op = 3, .sem_flg = SEM_UNDO};
		int id = semget(IPC_PRIVATE, 1, 0600), fd;

		fd = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
		REQUIRE(id >= 0 && fd >= 0);
		OK(semop(id, &up, 1));
		CHECK_EQ(semctl(id, 0, GETVAL), 3);
		OK(unshare(CLONE_NEWIPC));
		CHECK_ERR(semctl(id, 0, GETVAL), EINVAL);
		OK(setns(fd, CLONE_NEWIPC));
		CHECK_EQ(semctl(id, 0, GETVAL), 0); /* undone when we left */
		OK(semop(id, &up, 1));
		OK(setns(fd, 0));
		CHECK_EQ(semctl(id, 0, GETVAL), 0);
		CHECK_ERR(setns(fd, CLONE_NEWUTS), EINVAL);
		child_exit();
	}
	JOIN(pid);
}

static int clone_child(void *arg)
{
	int id = *(int *)arg;
	struct msqid_ds ds;

	CHECK_ERR(msgctl(id, IPC_STAT, &ds), EINVAL);
	child_exit();
}

TEST(by_clone)
{
	pid_t pid = fork_apart();

	NEEDS(pid);
	if (pid == 0) {
		static char stack[65536] __attribute__((aligned(16)));
		int id = msgget(IPC_PRIVATE, 0600);
		pid_t child;

		REQUIRE(id >= 0);
		child = clone(clone_child, stack + sizeof(stack), CLONE_NEWIPC | SIGCHLD, &id);
		if (CHECK(child > 0))
			JOIN(child);
		CHECK_ERR(clone(clone_child, stack + sizeof(stack), CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, &id),
			  EINVAL);
		child_exit();
	}
	JOIN(pid);
}

TEST(limits_apart)
{
	char before[64], after[64];
	pid_t pid;

	REQUIRE(read_file("/proc/sys/kernel/msgmax", before, sizeof(before)) > 0);
	pid = fork_apart();
	if (pid == 0) {
		int fd = open("/proc/sys/kernel/msgmax", O_WRONLY | O_CLOEXEC);
		struct msginfo info;

		if (fd >= 0) {
			CHECK_EQ(write(fd, "4097", 4), 4);
			CHECK(msgctl(0, IPC_INFO, (void *)&info) >= 0);
			CHECK_EQ(info.msgmax, 4097);
			close(fd);
		}
		child_exit();
	}
	if (pid > 0)
		JOIN(pid);
	REQUIRE(read_file("/proc/sys/kernel/msgmax", after, sizeof(after)) > 0);
	CHECK_STR(after, before);
	NEEDS(pid);
}

TEST(listed_apart)
{
	int id = msgget(IPC_PRIVATE, 0600);
	char text[8192], own[32];
	pid_t pid;

	REQUIRE(id >= 0);
	snprintf(own, sizeof(own), " %d ", id);
	pid = fork_apart();
	if (pid == 0) {
		REQUIRE(read_file("/proc/sysvipc/msg", text, sizeof(text)) > 0);
		CHECK(strchr(text, '\n') == strrchr(text, '\n')); /* the heading alone */
		child_exit();
	}
	if (pid > 0)
		JOIN(pid);
	REQUIRE(read_file("/proc/sysvipc/msg", text, sizeof(text)) > 0);
	CHECK(strstr(text, own) != NULL);
	OK(msgctl(id, IPC_RMID, NULL));
	NEEDS(pid);
}

TEST(message_queues_apart)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16}, got;
	mqd_t q = mq_open("/guest.ipcns", O_CREAT | O_RDWR | O_CLOEXEC, 0600, &attr);
	pid_t pid;

	REQUIRE(q >= 0);
	pid = fork_apart();
	if (pid == 0) {
		mqd_t other;

		CHECK_ERR(mq_open("/guest.ipcns", O_RDWR), ENOENT);
		attr.mq_maxmsg = 3;
		other = mq_open("/guest.ipcns", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
		if (CHECK(other >= 0)) {
			OK(mq_getattr(other, &got));
			CHECK_EQ(got.mq_maxmsg, 3);
			OK(mq_send(other, "there", 5, 0));
		}
		OK(mq_send(q, "here", 4, 0)); /* what is open stays so */
		child_exit();
	}
	if (pid > 0) {
		char buf[16];

		JOIN(pid);
		CHECK_EQ(mq_receive(q, buf, sizeof(buf), NULL), 4);
	}
	OK(mq_getattr(q, &got));
	CHECK_EQ(got.mq_maxmsg, 2);
	CHECK_EQ(got.mq_curmsgs, 0);
	OK(mq_close(q));
	OK(mq_unlink("/guest.ipcns"));
	NEEDS(pid);
}

TEST(mounted_apart)
{
	pid_t pid;

	if (geteuid() != 0)
		SKIP("mounts need root");
	use_tmpdir();
	pid = fork_apart();
	NEEDS(pid);
	if (pid == 0) {
		struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 16};
		struct stat st;
		mqd_t q;

		REQUIRE(unshare(CLONE_NEWNS) == 0);
		REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		REQUIRE(mkdir("mq", 0700) == 0);
		OK(mount("mqueue", "mq", "mqueue", 0, NULL));
		q = mq_open("/guest.ipcns", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
		CHECK(q >= 0);
		OK(stat("mq/guest.ipcns", &st));
		OK(unlink("mq/guest.ipcns"));
		CHECK_ERR(mq_unlink("/guest.ipcns"), ENOENT);
		OK(unshare(CLONE_NEWIPC)); /* the mount keeps the old queues, which nobody adds to by name */
		OK(mq_send(q, "x", 1, 0));
		OK(umount("mq"));
		OK(rmdir("mq"));
		child_exit();
	}
	JOIN(pid);
}
