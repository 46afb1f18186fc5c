/* vfork: the parent waits, the memory is shared until exec or exit. */
#include "harness.h"

#include <spawn.h>

extern char **environ;
static volatile int shared;

ROLE(argc, argv)
{
	return argc > 2 ? atoi(argv[2]) : 0;
}

TEST(child_shares_memory)
{
	pid_t pid;

	shared = 1;
	pid = vfork();
	if (pid == 0) {
		shared = 2;
		_exit(4);
	}
	REQUIRE(pid > 0);
	CHECK_EQ(shared, 2); /* and the parent ran only after the child's end */
	CHECK_EQ(h_wait(pid), 4 << 8);
}

TEST(parent_waits_for_exec)
{
	char *argv[] = {"x", "@exit", "6", NULL};
	pid_t pid;

	shared = 0;
	pid = vfork();
	if (pid == 0) {
		shared++;
		execve(h_self, argv, environ);
		shared = 100;
		_exit(127);
	}
	CHECK_EQ(shared, 1);
	CHECK_EQ(h_wait(pid), 6 << 8);
}

TEST(failed_exec)
{
	char *argv[] = {"x", NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		execve("/nonexistent/program", argv, environ);
		shared = errno;
		_exit(127);
	}
	CHECK_EQ(shared, ENOENT);
	CHECK_EQ(h_wait(pid), 127 << 8);
}

TEST(child_is_killed)
{
	pid_t pid = vfork();

	if (pid == 0) {
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	CHECK_EQ(h_wait(pid), SIGKILL);
}

TEST(own_descriptors_and_pid)
{
	pid_t me = getpid(), pid;
	int fd = dup(2);

	pid = vfork();
	if (pid == 0) {
		shared = getppid() == me && getpid() != me && close(fd) == 0;
		_exit(0);
	}
	CHECK_EQ(shared, 1);
	CHECK_EQ(h_wait(pid), 0);
	CHECK_EQ(close(fd), 0); /* the child closed its own */
}

TEST(handlers_stay_in_the_parent)
{
	struct sigaction now;
	pid_t pid;

	pid = vfork();
	if (pid == 0) {
		signal(SIGUSR1, SIG_IGN);
		_exit(0);
	}
	CHECK_EQ(h_wait(pid), 0);
	sigaction(SIGUSR1, NULL, &now);
	CHECK(now.sa_handler == SIG_DFL);
}

TEST(repeatedly)
{
	char *argv[] = {"x", "@exit", "1", NULL};

	for (int i = 0; i < 30; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execve(h_self, argv, environ);
			_exit(127);
		}
		CHECK_EQ(h_wait(pid), 1 << 8);
	}
}

TEST(posix_spawn)
{
	char *argv[] = {"x", "@exit", "3", NULL};
	pid_t pid;

	REQUIRE(posix_spawn(&pid, h_self, NULL, NULL, argv, environ) == 0);
	CHECK_EQ(h_wait(pid), 3 << 8);
	CHECK_EQ(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ), ENOENT);
	CHECK_ERR(wait(NULL), ECHILD);
}

TEST(grandchild)
{
	pid_t pid;

	shared = 0;
	pid = vfork();
	if (pid == 0) {
		pid_t inner = vfork();

		if (inner == 0) {
			shared++;
			_exit(0);
		}
		waitpid(inner, NULL, 0);
		shared += 10;
		_exit(0);
	}
	CHECK_EQ(shared, 11);
	CHECK_EQ(h_wait(pid), 0);
}
