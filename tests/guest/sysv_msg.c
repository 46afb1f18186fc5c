/* System V message queues: msgget(2), msgop(2), msgctl(2). */
#include "harness.h"

#include <sys/ipc.h>
#include <sys/msg.h>

struct message {
	long type;
	char text[8192];
};

static int make(void)
{
	int id = msgget(IPC_PRIVATE, 0600);

	REQUIRE(id >= 0);
	return id;
}

static int send(int id, long type, const char *text, int flags)
{
	struct message m = {.type = type};

	strcpy(m.text, text);
	return msgsnd(id, &m, strlen(text) + 1, flags);
}

/* Receives and compares. */
#define TAKE(id, want_type, flags, type_, text_)                                                                       \
	do {                                                                                                           \
		struct message m_ = {0};                                                                               \
		CHECK_EQ(msgrcv(id, &m_, sizeof(m_.text), want_type, flags), (ssize_t)strlen(text_) + 1);              \
		CHECK_EQ(m_.type, type_);                                                                              \
		CHECK_STR(m_.text, text_);                                                                             \
	} while (0)

static struct msqid_ds stat_of(int id)
{
	struct msqid_ds ds = {0};

	OK(msgctl(id, IPC_STAT, &ds));
	return ds;
}

TEST(types)
{
	int id = make();

	OK(send(id, 5, "five", 0));
	OK(send(id, 3, "three", 0));
	OK(send(id, 3, "three again", 0));
	OK(send(id, 9, "nine", 0));
	TAKE(id, 3, 0, 3, "three");
	TAKE(id, 5, MSG_EXCEPT, 3, "three again");
	OK(send(id, 4, "four", 0));
	TAKE(id, -6, 0, 4, "four");
	TAKE(id, 0, 0, 5, "five");
	CHECK_ERR(msgrcv(id, &(struct message){0}, 8192, 8, IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &(struct message){0}, 8192, -8, IPC_NOWAIT), ENOMSG);
	TAKE(id, -100, 0, 9, "nine");
	CHECK_ERR(msgrcv(id, &(struct message){0}, 8192, 0, IPC_NOWAIT), ENOMSG);
	OK(msgctl(id, IPC_RMID, NULL));
}

TEST(sizes)
{
	struct message m = {.type = 1};
	int id = make();

	OK(send(id, 1, "a long one", 0));
	CHECK_ERR(msgrcv(id, &m, 3, 0, 0), E2BIG);
	CHECK_EQ(stat_of(id).msg_qnum, 1);
	CHECK_EQ(msgrcv(id, &m, 3, 0, MSG_NOERROR), 3);
	CHECK(memcmp(m.text, "a l", 3) == 0);
	CHECK_EQ(stat_of(id).msg_qnum, 0);
	OK(msgsnd(id, &m, 0, 0));
	CHECK_EQ(msgrcv(id, &m, 0, 0, 0), 0);
	CHECK_ERR(msgsnd(id, &m, 8193, 0), EINVAL);
	m.type = 0;
	CHECK_ERR(msgsnd(id, &m, 1, 0), EINVAL);
	CHECK_ERR(msgsnd(id, (void *)8, 1, 0), EFAULT);
	CHECK_ERR(msgrcv(-1, &m, 1, 0, 0), EINVAL);
	OK(msgctl(id, IPC_RMID, NULL));
	CHECK_ERR(send(id, 1, "x", 0), EINVAL);
}

TEST(copy)
{
	struct message m;
	int id = make();

	OK(send(id, 2, "zero", 0));
	OK(send(id, 1, "one", 0));
	if (msgrcv(id, &m, 8192, 1, MSG_COPY | IPC_NOWAIT) < 0 && errno == ENOSYS)
		SKIP("a kernel without MSG_COPY");
	TAKE(id, 1, MSG_COPY | IPC_NOWAIT, 1, "one");
	CHECK_EQ(stat_of(id).msg_qnum, 2);
	CHECK_ERR(msgrcv(id, &m, 8192, 2, MSG_COPY | IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &m, 8192, 0, MSG_COPY), EINVAL);
	CHECK_ERR(msgrcv(id, &m, 8192, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), EINVAL);
	OK(msgctl(id, IPC_RMID, NULL));
}

TEST(full_queue)
{
	static struct message big = {.type = 1};
	struct message m;
	int id = make();
	pid_t pid;

	OK(msgsnd(id, &big, 8192, 0));
	OK(msgsnd(id, &big, 8192, 0));
	CHECK_ERR(msgsnd(id, &big, 1, IPC_NOWAIT), EAGAIN);
	OK(msgsnd(id, &big, 0, IPC_NOWAIT)); /* no bytes fit always */
	pid = h_fork();
	if (pid == 0) {
		big.type = 7;
		OK(msgsnd(id, &big, 100, 0));
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(msgrcv(id, &m, 8192, 0, 0), 8192);
	JOIN(pid);
	CHECK_EQ(msgrcv(id, &m, 8192, 7, IPC_NOWAIT), 100);
	OK(msgctl(id, IPC_RMID, NULL));
}

TEST(receiver_waits)
{
	int id = make();
	struct gate took;
	pid_t pid;

	gate_init(&took);
	pid = h_fork();
	if (pid == 0) {
		struct message m;

		TAKE(id, 2, 0, 2, "for two");
		CHECK_ERR(msgrcv(id, &m, 2, 0, 0), E2BIG);
		gate_open(&took);
		CHECK_ERR(msgrcv(id, &m, 8192, 1000, 0), EIDRM);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	OK(send(id, 1, "for one", 0));
	OK(send(id, 2, "for two", 0));
	gate_pass(&took);
	CHECK_EQ(stat_of(id).msg_lrpid, pid);
	CHECK(h_wait_state(pid, "S"));
	TAKE(id, 1, 0, 1, "for one");
	OK(msgctl(id, IPC_RMID, NULL));
	JOIN(pid);
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST(interrupted)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int id = make();
	struct gate ready;
	pid_t pid;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		struct message m;

		sigaction(SIGUSR1, &sa, NULL);
		gate_open(&ready);
		CHECK_ERR(msgrcv(id, &m, 8192, 0, 0), EINTR);
		child_exit();
	}
	gate_pass(&ready);
	CHECK(h_wait_state(pid, "S"));
	kill(pid, SIGUSR1);
	JOIN(pid);
	OK(msgctl(id, IPC_RMID, NULL));
}

TEST(stat_and_lists)
{
	static char text[65536];
	char want[80];
	struct msqid_ds ds;
	struct msginfo info;
	int id = make(), max, seen = 0;

	CHECK_EQ(stat_of(id).msg_qbytes, 16384);
	OK(send(id, 1, "abc", 0));
	ds = stat_of(id);
	CHECK_EQ(ds.msg_qnum, 1);
	CHECK_EQ(ds.__msg_cbytes, 4);
	CHECK_EQ(ds.msg_lspid, getpid());
	CHECK_EQ(ds.msg_lrpid, 0);
	ds.msg_perm.mode = 0604;
	ds.msg_qbytes = 4;
	OK(msgctl(id, IPC_SET, &ds));
	CHECK_EQ(stat_of(id).msg_perm.mode, 0604);
	CHECK_ERR(send(id, 1, "x", IPC_NOWAIT), EAGAIN);
	max = msgctl(0, MSG_INFO, (void *)&info);
	CHECK(max >= 0 && info.msgpool >= 1 && info.msgmap >= 1 && info.msgtql >= 4);
	for (int i = 0; i <= max; i++)
		seen += msgctl(i, MSG_STAT, &ds) == id;
	CHECK_EQ(seen, 1);
	snprintf(want, sizeof(want), "%10d %10d  %4o  %10u %10u", 0, id, 0604, 4, 1);
	CHECK(read_file("/proc/sysvipc/msg", text, sizeof(text)) > 0);
	CHECK(strstr(text, want));
	OK(msgctl(id, IPC_RMID, NULL));
}

/* /proc/sys/kernel/msg_next_id: the id of the next queue, once; of a place that is taken, the next free one in that sequence. */
TEST(wanted_ids)
{
	enum { PER_SEQUENCE = 32768 };
	int fd = open("/proc/sys/kernel/msg_next_id", O_RDWR | O_CLOEXEC), first, second, third, wanted;
	char text[24];

	if (fd < 0) {
		CHECK(errno == EACCES || errno == ENOENT);
		SKIP("takes root, and a kernel with checkpoints");
	}
	first = make();
	wanted = first + 5 * PER_SEQUENCE + 3;
	REQUIRE(pwrite(fd, text, (size_t)snprintf(text, sizeof(text), "%d", wanted), 0) > 0);
	second = make();
	CHECK_EQ(second, wanted);
	CHECK_EQ(pread(fd, text, sizeof(text), 0), 3);
	CHECK(memcmp(text, "-1\n", 3) == 0);
	wanted = first + 7 * PER_SEQUENCE;
	REQUIRE(pwrite(fd, text, (size_t)snprintf(text, sizeof(text), "%d", wanted), 0) > 0);
	third = make();
	CHECK(third > wanted && third < wanted + PER_SEQUENCE);
	CHECK_EQ(third / PER_SEQUENCE, wanted / PER_SEQUENCE);
	CHECK_ERR(pwrite(fd, "-2", 2, 0), EINVAL);
	OK(msgctl(first, IPC_RMID, NULL));
	OK(msgctl(second, IPC_RMID, NULL));
	OK(msgctl(third, IPC_RMID, NULL));
	close(fd);
}
