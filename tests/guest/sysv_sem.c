/* System V semaphores: semget(2), semop(2), semctl(2). */
#include "harness.h"

#include <sys/ipc.h>
#include <sys/sem.h>

union arg {
	int val;
	struct semid_ds *ds;
	unsigned short *array;
	struct seminfo *info;
};

static int make(int count)
{
	int id = semget(IPC_PRIVATE, count, 0600);

	REQUIRE(id >= 0);
	return id;
}

static int op(int id, int num, int by, int flags)
{
	struct sembuf b = {(unsigned short)num, (short)by, (short)flags};

	return semop(id, &b, 1);
}

static int value(int id, int num)
{
	return semctl(id, num, GETVAL);
}

static void set(int id, int num, int v)
{
	OK(semctl(id, num, SETVAL, (union arg){.val = v}));
}

/* Waits until `count` tasks wait at a semaphore. */
static void await(int id, int num, int cmd, int count)
{
	int64_t end = h_now_ns(CLOCK_MONOTONIC) + 10000000000ll;

	while (semctl(id, num, cmd) != count && h_now_ns(CLOCK_MONOTONIC) < end)
		sched_yield();
	CHECK_EQ(semctl(id, num, cmd), count);
}

TEST(values)
{
	unsigned short all[3] = {4, 5, 6}, got[3];
	int id = make(3);

	CHECK_EQ(value(id, 0), 0);
	OK(op(id, 0, 3, 0));
	OK(op(id, 0, -1, 0));
	CHECK_EQ(value(id, 0), 2);
	CHECK_EQ(semctl(id, 0, GETPID), getpid());
	CHECK_EQ(semctl(id, 1, GETPID), 0);
	OK(semctl(id, 0, SETALL, (union arg){.array = all}));
	OK(semctl(id, 0, GETALL, (union arg){.array = got}));
	CHECK(memcmp(all, got, sizeof(all)) == 0);
	CHECK_ERR(semctl(id, 0, SETVAL, (union arg){.val = 32768}), ERANGE);
	CHECK_ERR(semctl(id, 0, SETVAL, (union arg){.val = -1}), ERANGE);
	CHECK_ERR(semctl(id, 3, GETVAL), EINVAL);
	CHECK_ERR(semctl(id, -1, GETVAL), EINVAL);
	all[1] = 40000;
	CHECK_ERR(semctl(id, 0, SETALL, (union arg){.array = all}), ERANGE);
	CHECK_EQ(value(id, 0), 4);
	OK(semctl(id, 0, IPC_RMID));
	CHECK_ERR(semctl(id, 0, GETVAL), EINVAL);
}

TEST(errors)
{
	struct timespec bad = {0, 1000000000}, now = {0, 0};
	struct sembuf b = {0, -1, 0}, many[501] = {{0, 1, 0}};
	int id = make(2);

	CHECK_ERR(semop(id, &b, 0), EINVAL);
	CHECK_ERR(semop(-1, &b, 1), EINVAL);
	CHECK_ERR(semop(id, many, 501), E2BIG);
	CHECK_ERR(semop(id, (void *)8, 1), EFAULT);
	CHECK_ERR(op(id, 2, 1, 0), EFBIG);
	CHECK_ERR(op(id, 0, -1, IPC_NOWAIT), EAGAIN);
	CHECK_ERR(semtimedop(id, &b, 1, &bad), EINVAL);
	CHECK_ERR(semtimedop(id, &b, 1, &now), EAGAIN);
	set(id, 0, 32767);
	CHECK_ERR(op(id, 0, 1, 0), ERANGE);
	CHECK_ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 32001, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, -1, 0600), EINVAL);
	CHECK_ERR(semctl(id, 0, 99), EINVAL);
	OK(semctl(id, 0, IPC_RMID));
}

TEST(all_or_nothing)
{
	struct sembuf b[] = {{0, 2, 0}, {1, -1, IPC_NOWAIT}}, twice[] = {{0, 1, 0}, {0, -1, 0}, {0, 0, 0}};
	int id = make(2);

	CHECK_ERR(semop(id, b, 2), EAGAIN);
	CHECK_EQ(value(id, 0), 0);
	CHECK_EQ(semctl(id, 0, GETPID), 0);
	OK(semop(id, twice, 3)); /* each sees what those before it did */
	set(id, 1, 1);
	OK(semop(id, b, 2));
	CHECK_EQ(value(id, 0), 2);
	CHECK_EQ(value(id, 1), 0);
	OK(semctl(id, 0, IPC_RMID));
}

TEST(waits)
{
	int id = make(2);
	pid_t pid = h_fork();

	if (pid == 0) {
		struct sembuf b[] = {{0, -1, 0}, {1, -2, 0}};

		OK(semop(id, b, 2));
		child_exit();
	}
	await(id, 0, GETNCNT, 1);
	CHECK_EQ(semctl(id, 1, GETNCNT), 0); /* it is semaphore 0 that it waits for */
	OK(op(id, 0, 1, 0));
	await(id, 1, GETNCNT, 1);
	CHECK_EQ(value(id, 0), 1); /* nothing was taken yet */
	OK(op(id, 1, 2, 0));
	JOIN(pid);
	CHECK_EQ(value(id, 0), 0);
	CHECK_EQ(value(id, 1), 0);
	CHECK_EQ(semctl(id, 1, GETPID), pid);

	set(id, 0, 1);
	pid = h_fork();
	if (pid == 0) {
		OK(op(id, 0, 0, 0));
		child_exit();
	}
	await(id, 0, GETZCNT, 1);
	OK(op(id, 0, -1, 0));
	JOIN(pid);
	OK(semctl(id, 0, IPC_RMID));
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST(removed_and_interrupted)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int id = make(1);
	struct gate interrupted;
	pid_t pid;

	gate_init(&interrupted);
	pid = h_fork();
	if (pid == 0) {
		sigaction(SIGUSR1, &sa, NULL);
		CHECK_ERR(op(id, 0, -1, 0), EINTR); /* in spite of SA_RESTART */
		gate_open(&interrupted);
		CHECK_ERR(op(id, 0, -2, 0), EIDRM);
		child_exit();
	}
	await(id, 0, GETNCNT, 1);
	CHECK(h_wait_state(pid, "S"));
	kill(pid, SIGUSR1);
	gate_pass(&interrupted);
	await(id, 0, GETNCNT, 1);
	OK(semctl(id, 0, IPC_RMID));
	JOIN(pid);
}

TEST(timeout)
{
	struct timespec soon = {0, 20000000};
	struct sembuf b = {0, -1, 0};
	int id = make(1);
	int64_t start = h_now_ns(CLOCK_MONOTONIC);

	CHECK_ERR(semtimedop(id, &b, 1, &soon), EAGAIN);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 20000000);
	CHECK_EQ(semctl(id, 0, GETNCNT), 0);
	OK(semctl(id, 0, IPC_RMID));
}

TEST(undo)
{
	int id = make(2);
	pid_t pid;

	set(id, 0, 5);
	pid = h_fork();
	if (pid == 0) {
		OK(op(id, 0, -3, SEM_UNDO));
		OK(op(id, 1, 2, SEM_UNDO));
		OK(op(id, 1, -1, 0));
		CHECK_EQ(value(id, 0), 2);
		if (h_fork() == 0) /* it has none of its parent's to undo */
			child_exit();
		wait(NULL);
		CHECK_EQ(value(id, 0), 2);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(value(id, 0), 5);
	CHECK_EQ(value(id, 1), 0); /* not below zero */
	CHECK_EQ(semctl(id, 0, GETPID), pid);
	pid = h_fork();
	if (pid == 0) {
		OK(op(id, 0, -3, SEM_UNDO));
		set(id, 0, 1); /* forgets what was to be undone */
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(value(id, 0), 1);
	OK(semctl(id, 0, IPC_RMID));
}

TEST(undo_wakes)
{
	int id = make(1);
	struct gate held, go;
	pid_t pid;

	set(id, 0, 1);
	gate_init(&held);
	gate_init(&go);
	pid = h_fork();
	if (pid == 0) {
		OK(op(id, 0, -1, SEM_UNDO));
		gate_open(&held);
		gate_pass(&go);
		child_exit();
	}
	gate_pass(&held);
	gate_open(&go);
	OK(op(id, 0, -1, 0));
	JOIN(pid);
	OK(semctl(id, 0, IPC_RMID));
}

TEST(stat_and_lists)
{
	static char text[65536];
	char want[64];
	struct semid_ds ds;
	struct seminfo info;
	int id = make(3), max, seen = 0;

	OK(semctl(id, 0, IPC_STAT, (union arg){.ds = &ds}));
	CHECK_EQ(ds.sem_nsems, 3);
	CHECK_EQ(ds.sem_otime, 0);
	CHECK_EQ(ds.sem_perm.mode, 0600);
	OK(op(id, 0, 1, 0));
	ds.sem_perm.mode = 0640;
	OK(semctl(id, 0, IPC_SET, (union arg){.ds = &ds}));
	OK(semctl(id, 0, IPC_STAT, (union arg){.ds = &ds}));
	CHECK(ds.sem_otime != 0);
	CHECK_EQ(ds.sem_perm.mode, 0640);
	max = semctl(0, 0, SEM_INFO, (union arg){.info = &info});
	CHECK(max >= 0 && info.semusz >= 1 && info.semaem >= 3);
	CHECK_EQ(info.semvmx, 32767);
	for (int i = 0; i <= max; i++)
		seen += semctl(i, 0, SEM_STAT, (union arg){.ds = &ds}) == id;
	CHECK_EQ(seen, 1);
	snprintf(want, sizeof(want), "%10d %10d  %4o %10u", 0, id, 0640, 3);
	CHECK(read_file("/proc/sysvipc/sem", text, sizeof(text)) > 0);
	CHECK(strstr(text, want));
	OK(semctl(id, 0, IPC_RMID));
}
