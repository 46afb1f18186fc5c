/* fork and the wait family: statuses, options, orphans, zombies. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void die_by(int sig)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	raise(sig);
	_exit(99);
}

static int status_of(void (*fn)(int), int arg)
{
	pid_t pid = h_fork();

	if (pid == 0)
		fn(arg);
	return h_wait(pid);
}

static void do_exit(int code)
{
	_exit(code);
}

TEST(exit_codes)
{
	CHECK_EQ(status_of(do_exit, 0), 0);
	CHECK_EQ(status_of(do_exit, 7), 7 << 8);
	CHECK_EQ(status_of(do_exit, 255), 255 << 8);
	CHECK_EQ(status_of(do_exit, 256 + 3), 3 << 8);
	CHECK_EQ(status_of(do_exit, -1), 255 << 8);
}

TEST(signal_deaths)
{
	CHECK_EQ(status_of(die_by, SIGTERM), SIGTERM);
	CHECK_EQ(status_of(die_by, SIGKILL), SIGKILL);
	CHECK_EQ(status_of(die_by, SIGUSR1), SIGUSR1);
	CHECK_EQ(status_of(die_by, SIGALRM), SIGALRM);
	CHECK_EQ(status_of(die_by, SIGSEGV) & 0x7f, SIGSEGV);
	CHECK_EQ(status_of(die_by, SIGABRT) & 0x7f, SIGABRT);
	CHECK_EQ(status_of(die_by, SIGRTMAX), SIGRTMAX);
	CHECK_EQ(status_of(die_by, SIGCHLD), 99 << 8); /* ignored by default */
	CHECK_EQ(status_of(die_by, SIGURG), 99 << 8);
	CHECK_EQ(status_of(die_by, SIGWINCH), 99 << 8);
}

TEST(pids)
{
	pid_t me = getpid(), pid = h_fork();

	if (pid == 0) {
		CHECK_EQ(getppid(), me);
		CHECK(getpid() != me);
		CHECK_EQ(getpid(), syscall(SYS_gettid));
		CHECK_EQ(getpgrp(), getpgid(me));
		CHECK_EQ(getsid(0), getsid(me));
		child_exit();
	}
	JOIN(pid);
}

TEST(memory_is_copied)
{
	static int data = 1;
	int on_stack = 1;
	int *heap = malloc(sizeof(int));
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(shared != MAP_FAILED);
	*heap = 1;
	*shared = 1;
	pid = h_fork();
	if (pid == 0) {
		CHECK(data == 1 && on_stack == 1 && *heap == 1 && *shared == 1);
		data = on_stack = *heap = *shared = 2;
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(data, 1);
	CHECK_EQ(*(volatile int *)&on_stack, 1);
	CHECK_EQ(*heap, 1);
	CHECK_EQ(*shared, 2);
	munmap(shared, 4096);
	free(heap);
}

TEST(descriptors_share_offsets)
{
	char buf[8];
	int p[2];
	pid_t pid;

	use_tmpdir();
	write_file("f", "abcdef", 6, 0644);
	int fd = open("f", O_RDONLY);
	REQUIRE(fd >= 0);
	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(read(fd, buf, 2), 2);
		close(fd);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(read(fd, buf, 2), 2);
	CHECK(memcmp(buf, "cd", 2) == 0);
	close(fd);
	close(p[0]);
	close(p[1]);
}

TEST(no_child)
{
	int status = 0x5a5a;

	CHECK_ERR(wait(&status), ECHILD);
	CHECK_EQ(status, 0x5a5a);
	CHECK_ERR(waitpid(-1, &status, WNOHANG), ECHILD);
	CHECK_ERR(waitpid(1, &status, 0), ECHILD);
	CHECK_ERR(waitpid(getpid(), &status, 0), ECHILD);
	CHECK_ERR(waitpid(-1, &status, 0x10000000 | 0x00100000), EINVAL);
	CHECK_ERR(syscall(SYS_waitid, P_ALL, 0, NULL, 0, NULL), EINVAL); /* no state asked for */
	CHECK_ERR(syscall(SYS_waitid, 77, 0, NULL, WEXITED, NULL), EINVAL);
	CHECK_ERR(waitid(P_PID, 0, NULL, WEXITED), EINVAL);
}

TEST(nohang)
{
	struct gate g;
	int status = 77;
	pid_t pid;

	gate_init(&g);
	pid = h_fork();
	if (pid == 0) {
		gate_pass(&g);
		_exit(3);
	}
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	CHECK_EQ(status, 77);
	CHECK_EQ(waitpid(-1, &status, WNOHANG), 0);
	CHECK_EQ(waitpid(0, &status, WNOHANG), 0);
	CHECK_EQ(waitpid(-getpgrp(), &status, WNOHANG), 0);
	CHECK_ERR(waitpid(-99999, &status, WNOHANG), ECHILD);
	gate_open(&g);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 3 << 8);
	CHECK_ERR(waitpid(pid, &status, 0), ECHILD);
	gate_free(&g);
}

TEST(bad_status_pointer)
{
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(0);
	CHECK_ERR(syscall(SYS_wait4, pid, (void *)8, 0, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_wait4, pid, NULL, 0, NULL), ECHILD); /* it was reaped all the same */
}

TEST(zombie)
{
	siginfo_t info;
	char buf[512], path[64];
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(5);
	CHECK(h_wait_state(pid, "Z"));
	CHECK_EQ(kill(pid, 0), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(getpgid(pid), getpgrp());
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	CHECK_EQ(read_file(path, buf, sizeof(buf)), 0);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (CHECK(read_file(path, buf, sizeof(buf)) > 0))
		CHECK(strstr(buf, "State:\tZ (zombie)\n"));
	memset(&info, 0, sizeof(info));
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(info.si_signo, SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(info.si_status, 5);
	CHECK_EQ(h_wait(pid), 5 << 8);
	CHECK_ERR(kill(pid, 0), ESRCH);
}

TEST(waitid_codes)
{
	siginfo_t info;
	pid_t pid = h_fork();

	if (pid == 0)
		die_by(SIGKILL);
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_EQ(info.si_status, SIGKILL);
	pid = h_fork();
	if (pid == 0)
		for (;;)
			pause();
	memset(&info, 0xff, sizeof(info));
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG), 0);
	CHECK_EQ(info.si_pid, 0);
	CHECK_EQ(info.si_signo, 0);
	kill(pid, SIGKILL);
	CHECK_EQ(syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED, NULL), 0); /* no siginfo wanted */
}

/* A zombie is no child to one who asks for stops alone. */
TEST(waitid_for_stops)
{
	siginfo_t si;
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(3);
	OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	CHECK_ERR(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOHANG), ECHILD);
	CHECK_ERR(waitid(P_PID, (id_t)pid, &si, WSTOPPED), ECHILD);
	CHECK_ERR(waitid(P_ALL, 0, &si, WSTOPPED | WCONTINUED), ECHILD);
	OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WSTOPPED));
	CHECK_EQ(si.si_status, 3);
	pid = h_fork();
	if (pid == 0)
		for (;;)
			pause();
	OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOHANG));
	kill(pid, SIGSTOP);
	OK(waitid(P_PID, (id_t)pid, &si, WSTOPPED));
	CHECK_EQ(si.si_status, SIGSTOP);
	kill(pid, SIGKILL);
	CHECK_ERR(waitid(P_PID, (id_t)pid, &si, WSTOPPED), ECHILD); /* waits until it is one */
	OK(waitid(P_PID, (id_t)pid, &si, WEXITED));
}

TEST(stop_and_continue)
{
	siginfo_t info;
	int status;
	pid_t pid = h_fork();

	if (pid == 0)
		for (;;)
			pause();
	/* In a group of its own, whose link to the session is this process: an orphaned group ignores SIGTSTP. */
	REQUIRE(setpgid(pid, pid) == 0);
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_EQ(status, SIGSTOP << 8 | 0x7f);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0); /* told once */
	CHECK(h_wait_state(pid, "T"));
	kill(pid, SIGCONT);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
	CHECK_EQ(status, 0xffff);
	CHECK_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);

	kill(pid, SIGTSTP);
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGTSTP);
	kill(pid, SIGCONT);
	CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WCONTINUED), 0);
	CHECK_EQ(info.si_code, CLD_CONTINUED);
	CHECK_EQ(info.si_status, SIGCONT);

	/* A stopped process dies of SIGKILL at once, of SIGTERM once it is continued. */
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGTERM);
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGCONT);
	CHECK_EQ(h_wait(pid), SIGTERM);
	pid = h_fork();
	if (pid == 0) {
		raise(SIGSTOP);
		_exit(1);
	}
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
}

TEST(orphan)
{
	struct gate gone;
	int answer[2], result[2] = {0, 0};
	pid_t pid;

	gate_init(&gone);
	REQUIRE(pipe(answer) == 0);
	pid = h_fork();
	if (pid == 0) {
		if (h_fork() == 0) {
			pid_t before = getppid();

			gate_pass(&gone);
			result[0] = before;
			result[1] = getppid();
			if (write(answer[1], result, sizeof(result)) < 0)
				_exit(1);
			_exit(0);
		}
		_exit(0);
	}
	JOIN(pid);
	gate_open(&gone);
	REQUIRE(read(answer[0], result, sizeof(result)) == sizeof(result));
	CHECK(result[1] != pid);
	CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD); /* the grandchild is not ours */
	close(answer[0]);
	close(answer[1]);
	gate_free(&gone);
}

TEST(subreaper)
{
	struct gate gone;
	int set = 0;
	pid_t pid, grandchild;

	gate_init(&gone);
	REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	CHECK_EQ(prctl(PR_GET_CHILD_SUBREAPER, &set), 0);
	CHECK_EQ(set, 1);
	pid = h_fork();
	if (pid == 0) {
		if (h_fork() == 0) {
			gate_pass(&gone);
			_exit(9);
		}
		_exit(0);
	}
	JOIN(pid);
	gate_open(&gone);
	int status;
	grandchild = wait(&status);
	CHECK(grandchild > 0 && grandchild != pid);
	CHECK_EQ(status, 9 << 8);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	gate_free(&gone);
}

TEST(ignored_sigchld)
{
	struct sigaction sa = {.sa_handler = SIG_IGN}, old;
	pid_t pid;

	sigaction(SIGCHLD, &sa, &old);
	pid = h_fork();
	if (pid == 0)
		_exit(3);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD); /* blocks till it is gone, and keeps no zombie */
	CHECK_ERR(kill(pid, 0), ESRCH);
	sa.sa_handler = SIG_DFL;
	sa.sa_flags = SA_NOCLDWAIT;
	sigaction(SIGCHLD, &sa, NULL);
	pid = h_fork();
	if (pid == 0)
		_exit(3);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	sigaction(SIGCHLD, &old, NULL);
}

TEST(which_child)
{
	struct gate g;
	pid_t a, b;
	int status;

	gate_init(&g);
	a = h_fork();
	if (a == 0) {
		gate_pass(&g);
		_exit(1);
	}
	b = h_fork();
	if (b == 0) {
		setpgid(0, 0);
		_exit(2);
	}
	CHECK_EQ(wait(&status), b);
	CHECK_EQ(status, 2 << 8);
	b = h_fork();
	if (b == 0) {
		setpgid(0, 0);
		_exit(2);
	}
	setpgid(b, b);
	CHECK_EQ(waitpid(-b, &status, 0), b);
	gate_open(&g);
	CHECK_EQ(waitpid(0, &status, 0), a);
	CHECK_EQ(status, 1 << 8);
	gate_free(&g);
}

TEST(resource_usage)
{
	struct rusage ru;
	pid_t pid = h_fork();

	if (pid == 0) {
		for (volatile int i = 0; i < 3000000; i++)
			;
		_exit(0);
	}
	memset(&ru, 0xff, sizeof(ru));
	CHECK_EQ(wait4(pid, NULL, 0, &ru), pid);
	CHECK(ru.ru_utime.tv_sec >= 0 && ru.ru_utime.tv_sec < 10 && ru.ru_utime.tv_usec < 1000000);
	CHECK(ru.ru_maxrss >= 0);
}

TEST(many)
{
	pid_t pids[20];

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++) {
			pids[i] = h_fork();
			if (pids[i] == 0)
				_exit(i);
		}
		for (int i = 19; i >= 0; i--)
			CHECK_EQ(h_wait(pids[i]), i << 8);
	}
	CHECK_ERR(wait(NULL), ECHILD);
}

TEST(nested)
{
	pid_t pid = h_fork();

	for (int depth = 0; pid == 0 && depth < 10; depth++) {
		pid = h_fork();
		if (pid != 0) {
			JOIN(pid);
			child_exit();
		}
	}
	if (pid == 0)
		_exit(0);
	JOIN(pid);
}
