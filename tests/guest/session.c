/* Process groups and sessions. */
#include "harness.h"

ROLE(argc, argv)
{
	struct gate ready = {{-1, atoi(argv[2])}}, end = {{atoi(argv[3]), -1}};

	gate_open(&ready);
	gate_pass(&end);
	return 0;
}

TEST(groups)
{
	struct gate g, end;
	pid_t pid;

	gate_init(&g);
	gate_init(&end);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(getpgrp(), getpgid(getppid()));
		OK(setpgid(0, 0));
		CHECK_EQ(getpgrp(), getpid());
		CHECK_EQ(getpgid(0), getpid());
		gate_open(&g);
		gate_pass(&end);
		child_exit();
	}
	gate_pass(&g);
	CHECK_EQ(getpgid(pid), pid);
	OK(setpgid(pid, pid));
	OK(setpgid(pid, getpgrp()));
	CHECK_EQ(getpgid(pid), getpgrp());
	CHECK_ERR(setpgid(pid, 0x3ffff0), EPERM); /* no such group in this session */
	CHECK_ERR(setpgid(pid, -1), EINVAL);
	CHECK_ERR(setpgid(-1, 0), EINVAL); /* a group of the same number */
	CHECK_ERR(setpgid(-1, 1), ESRCH);
	CHECK_ERR(setpgid(0x3ffff0, 0), ESRCH);
	CHECK_ERR(getpgid(0x3ffff0), ESRCH);
	CHECK_ERR(getsid(0x3ffff0), ESRCH);
	gate_open(&end);
	JOIN(pid);
	gate_free(&g);
	gate_free(&end);
}

TEST(sessions)
{
	struct gate g, end;
	pid_t pid;

	gate_init(&g);
	gate_init(&end);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(setsid(), getpid());
		CHECK_EQ(getsid(0), getpid());
		CHECK_EQ(getpgrp(), getpid());
		CHECK_ERR(setsid(), EPERM);	/* already a leader */
		CHECK_ERR(setpgid(0, 0), EPERM); /* a session's leader stays in its group */
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		gate_open(&g);
		gate_pass(&end);
		child_exit();
	}
	gate_pass(&g);
	CHECK_EQ(getsid(pid), pid);
	CHECK_ERR(setpgid(pid, getpgrp()), EPERM); /* in another session */
	gate_open(&end);
	JOIN(pid);
	gate_free(&g);
	gate_free(&end);
}

TEST(group_leader_cannot_setsid)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		setpgid(0, 0);
		CHECK_ERR(setsid(), EPERM);
		child_exit();
	}
	JOIN(pid);
}

TEST(after_exec)
{
	int ready[2], end[2];
	char a[16], b[16], c;
	pid_t pid;

	REQUIRE(pipe(ready) == 0 && pipe(end) == 0);
	pid = h_fork();
	if (pid == 0) {
		snprintf(a, sizeof(a), "%d", ready[1]);
		snprintf(b, sizeof(b), "%d", end[0]);
		execl(h_self, "x", "@wait", a, b, NULL);
		_exit(98);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK_ERR(setpgid(pid, pid), EACCES); /* too late for the parent */
	CHECK_EQ(write(end[1], "x", 1), 1);
	JOIN(pid);
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
	close(end[1]);
}

TEST(orphaned_group_is_hung_up)
{
	struct gate stopped;
	int report[2];
	char c = 0;
	pid_t pid;

	/* A group with a stopped member that loses its last parent outside gets SIGHUP and SIGCONT. */
	gate_init(&stopped);
	REQUIRE(pipe(report) == 0);
	pid = h_fork();
	if (pid == 0) {
		setsid();
		pid_t child = h_fork();

		if (child == 0) {
			sigset_t set;
			int sig;

			setpgid(0, 0);
			close(report[0]);
			sigemptyset(&set);
			sigaddset(&set, SIGHUP);
			sigprocmask(SIG_BLOCK, &set, NULL);
			raise(SIGSTOP);
			sigwait(&set, &sig);
			_exit(write(report[1], sig == SIGHUP ? "y" : "n", 1) == 1 ? 0 : 1);
		}
		int status;
		waitpid(child, &status, WUNTRACED);
		_exit(0);
	}
	close(report[1]);
	JOIN(pid);
	CHECK_EQ(read(report[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
	close(report[0]);
	gate_free(&stopped);
}
