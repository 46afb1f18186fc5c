/* The state that /proc/PID/stat shows: whoever was woken runs, before anybody can ask. */
#include "harness.h"

#include <sys/mman.h>

#define ROUNDS 400
#define CHILDREN 4

static volatile int *counts;

static void nothing(int sig)
{
	(void)sig;
}

static char state_of(pid_t pid)
{
	char path[40], text[256] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	REQUIRE(n > 0 && strrchr(text, ')'));
	return strrchr(text, ')')[2];
}

static void await_sleep(pid_t pid)
{
	while (state_of(pid) != 'S')
		sched_yield();
}

static pid_t counting_child(int which)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct sigaction sa = {.sa_handler = nothing};

		sigaction(SIGUSR1, &sa, NULL);
		for (;;) {
			pause();
			counts[which]++;
		}
	}
	return pid;
}

TEST(woken_by_a_signal)
{
	pid_t pids[CHILDREN];
	int late = 0;

	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(counts != MAP_FAILED);
	for (int c = 0; c < CHILDREN; c++)
		pids[c] = counting_child(c);
	for (int c = 0; c < CHILDREN; c++)
		await_sleep(pids[c]);
	for (int n = 1; n <= ROUNDS; n++) {
		for (int c = 0; c < CHILDREN; c++)
			OK(kill(pids[c], SIGUSR1));
		for (int c = 0; c < CHILDREN; c++) {
			await_sleep(pids[c]);
			late += counts[c] != n;
		}
	}
	CHECK_EQ(late, 0);
	for (int c = 0; c < CHILDREN; c++) {
		kill(pids[c], SIGKILL);
		waitpid(pids[c], NULL, 0);
	}
}

TEST(woken_by_a_pipe)
{
	int fds[2], late = 0;
	char c = 'x';
	pid_t pid;

	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(counts != MAP_FAILED && pipe(fds) == 0);
	pid = h_fork();
	if (pid == 0) {
		while (read(fds[0], &c, 1) == 1)
			counts[0]++;
		_exit(0);
	}
	await_sleep(pid);
	for (int n = 1; n <= ROUNDS; n++) {
		CHECK_EQ(write(fds[1], &c, 1), 1);
		await_sleep(pid);
		late += counts[0] != n;
	}
	CHECK_EQ(late, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
