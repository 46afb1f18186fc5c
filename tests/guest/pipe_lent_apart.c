/* As pipe_lent.c, between processes; and with signals, tracers and filters. */
#include "pipe_lent.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/user.h>

/* ---- processes ---- */

static pid_t echo_process(void)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		close(p[1]);
		close(q[0]);
		echo(p[0], q[1]);
		child_exit();
	}
	close(p[0]);
	close(q[1]);
	return pid;
}

static void with_a_process(int rounds)
{
	pid_t pid;

	open_pipes();
	pid = echo_process();
	to_and_fro(rounds);
	close(p[1]);
	JOIN(pid);
	close(q[0]);
}

TEST(processes)
{
	with_a_process(3000);
}

TEST(many_processes)
{
	for (int i = 0; i < 15 && !h_failures; i++)
		with_a_process(100);
}

TEST(killed)
{
	char c = 0;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 12; i++) {
		pid_t pid, killer;
		long n, m = 1;

		open_pipes();
		pid = echo_process();
		to_and_fro(60);
		killer = h_fork();
		if (killer == 0) {
			close(p[1]);
			close(q[0]);
			usleep((unsigned)i * 300);
			kill(pid, SIGKILL);
			child_exit();
		}
		do {
			n = write_call(p[1], &c, 1);
			if (n == 1)
				m = read_call(q[0], &c, 1);
		} while (n == 1 && m == 1);
		CHECK(n == -EPIPE || m == 0);
		CHECK_EQ(h_wait(pid), SIGKILL);
		JOIN(killer);
		CHECK_EQ(write_call(p[1], &c, 1), -EPIPE);
		CHECK_EQ(read_call(q[0], &c, 1), 0);
		close(p[1]);
		close(q[0]);
	}
	signal(SIGPIPE, SIG_DFL);
}

TEST(writer_killed)
{
	for (int i = 0; i < 10; i++) {
		long n, got = 0;
		char buf[64];
		pid_t pid;

		open_pipes();
		pid = h_fork();
		if (pid == 0) {
			close(p[0]);
			for (;;)
				write_call(p[1], "0123456789", 10);
		}
		close(p[1]);
		while (got < 500 + i * 997 && (n = read_call(p[0], buf, 10)) > 0)
			got += n;
		kill(pid, SIGKILL);
		while ((n = read_call(p[0], buf, sizeof(buf))) > 0)
			got += n;
		CHECK_EQ(n, 0);
		CHECK_EQ(got % 10, 0);
		CHECK_EQ(h_wait(pid), SIGKILL);
		close(p[0]);
		close(q[0]);
		close(q[1]);
	}
}

TEST(stopped)
{
	int status;
	pid_t pid;

	open_pipes();
	pid = echo_process();
	to_and_fro(100);
	for (int i = 0; i < 5; i++) {
		char c = 0;

		OK(kill(pid, SIGSTOP));
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		CHECK_EQ(write_call(p[1], "z", 1), 1);
		CHECK(h_wait_state(pid, "T"));
		OK(kill(pid, SIGCONT));
		CHECK_EQ(read_call(q[0], &c, 1), 1);
		CHECK_EQ(c, 'z');
		to_and_fro(100);
		CHECK(h_wait_state(pid, "S"));
	}
	close(p[1]);
	JOIN(pid);
	close(q[0]);
}

TEST(fork_in_between)
{
	char c;
	pid_t pid;

	open_pipes();
	for (int i = 0; i < 10 && !h_failures; i++) {
		use(p[0], p[1]);
		CHECK_EQ(write_call(p[1], "ab", 2), 2);
		pid = h_fork();
		if (pid == 0) {
			CHECK_EQ(read_call(p[0], &c, 1), 1);
			CHECK_EQ(c, 'a');
			child_exit();
		}
		JOIN(pid);
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, 'b');
		use(p[0], p[1]);
		/* And both go on with it. */
		pid = h_fork();
		if (pid == 0) {
			CHECK_EQ(write_call(p[1], "c", 1), 1);
			CHECK_EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
			child_exit();
		}
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, 'c');
		JOIN(pid);
		CHECK_EQ(read_call(p[0], &c, 1), -EAGAIN);
		OK(fcntl(p[0], F_SETFL, 0));
	}
	close_pipes();
}

ROLE(argc, argv)
{
	int in = atoi(argv[2]), out = atoi(argv[3]);

	echo(in, out);
	return 0;
}

TEST(exec_in_between)
{
	for (int cloexec = 0; cloexec < 2; cloexec++)
		for (int i = 0; i < 4 && !h_failures; i++) {
			char in[16], out[16], c;
			pid_t pid;

			open_pipes();
			pid = h_fork();
			if (pid == 0) {
				close(p[1]);
				close(q[0]);
				for (int k = 0; k < MANY; k++) {
					CHECK_EQ(read_call(p[0], &c, 1), 1);
					CHECK_EQ(write_call(q[1], &c, 1), 1);
				}
				if (cloexec)
					OK(fcntl(p[0], F_SETFD, FD_CLOEXEC));
				snprintf(in, sizeof(in), "%d", p[0]);
				snprintf(out, sizeof(out), "%d", q[1]);
				if (!cloexec)
					CHECK_EQ(read_call(p[0], &c, 1), 1); /* the second is the next program's */
				execl(h_self, h_self, "@role", in, out, NULL);
				child_exit();
			}
			close(p[0]);
			close(q[1]);
			for (int k = 0; k < MANY; k++) {
				CHECK_EQ(write_call(p[1], &k, 1), 1);
				CHECK_EQ(read_call(q[0], &c, 1), 1);
			}
			if (!cloexec) {
				CHECK_EQ(write_call(p[1], "12", 2), 2);
				CHECK_EQ(read_call(q[0], &c, 1), 1);
				CHECK_EQ(c, '2');
				to_and_fro(200);
			} else {
				CHECK_EQ(read_call(q[0], &c, 1), 0);
			}
			close(p[1]);
			h_wait(pid);
			close(q[0]);
		}
}

/* ---- signals ---- */

static _Atomic int handled;

static void handler(int sig)
{
	handled++;
}

static void arm(int flags, long us)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
	/* Again, for the first may come before the call. */
	struct itimerval it = {.it_interval = {2, 0}, .it_value = {0, us}};

	handled = 0;
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
}

static void *write_once_handled(void *arg)
{
	while (!handled)
		usleep(1000);
	CHECK_EQ(write_call(p[1], "L", 1), 1);
	return NULL;
}

TEST(interrupted)
{
	sigset_t alarms;
	pthread_t t;
	char c;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	open_pipes();
	for (int i = 0; i < 10 && !h_failures; i++) {
		use(p[0], p[1]);
		arm(0, 2000 + i * 3000);
		CHECK_EQ(read_call(p[0], &c, 1), -EINTR);
		CHECK(handled >= 1 && handled <= 2);
		arm(0, 0);
		use(p[0], p[1]);
		handled = 0;
		pthread_sigmask(SIG_BLOCK, &alarms, NULL);
		REQUIRE(pthread_create(&t, NULL, write_once_handled, NULL) == 0);
		pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
		arm(SA_RESTART, 5000);
		CHECK_EQ(read_call(p[0], &c, 1), 1);
		CHECK_EQ(c, 'L');
		CHECK_EQ(handled, 1);
		arm(0, 0);
		pthread_join(t, NULL);
	}
	close_pipes();
}

/* Signals all the time change nothing. */
TEST(interrupted_often)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
	struct itimerval it = {{0, 700}, {0, 700}}, none = {{0, 0}, {0, 0}};
	pthread_t t;

	open_pipes();
	REQUIRE(pthread_create(&t, NULL, echo_thread, NULL) == 0);
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
	to_and_fro(3000);
	OK(setitimer(ITIMER_REAL, &none, NULL));
	close(p[1]);
	pthread_join(t, NULL);
	close_pipes();
}

static _Atomic int reader_tid;

static void *slow_reader(void *arg)
{
	char c;

	use(p[0], p[1]);
	reader_tid = (int)syscall(SYS_gettid);
	CHECK_EQ(read_call(p[0], &c, 1), 1);
	CHECK_EQ(c, 'L');
	return NULL;
}

TEST(a_reader_sleeps)
{
	struct rusage before, after;
	struct timespec a, b;
	clockid_t clock;
	pthread_t t;

	open_pipes();
	for (int i = 0; i < 3; i++) {
		reader_tid = 0;
		OK(getrusage(RUSAGE_SELF, &before));
		REQUIRE(pthread_create(&t, NULL, slow_reader, NULL) == 0);
		while (!reader_tid)
			sched_yield();
		CHECK(h_wait_state(reader_tid, "S"));
		REQUIRE(pthread_getcpuclockid(t, &clock) == 0);
		OK(clock_gettime(clock, &a));
		usleep(i ? 300000 : 10000);
		OK(clock_gettime(clock, &b));
		CHECK(b.tv_sec == a.tv_sec && b.tv_nsec - a.tv_nsec < 100000000);
		CHECK(h_wait_state(reader_tid, "S"));
		CHECK_EQ(write(p[1], "L", 1), 1);
		pthread_join(t, NULL);
		OK(getrusage(RUSAGE_SELF, &after));
		CHECK(after.ru_nvcsw > before.ru_nvcsw);
	}
	close_pipes();
}

/* ---- others look on ---- */

TEST(traced)
{
	struct user_regs_struct r;
	int status;
	pid_t pid;

	open_pipes();
	pid = echo_process();
	for (int i = 0; i < 5 && !h_failures; i++) {
		to_and_fro(100);
		CHECK(h_wait_state(pid, "S"));
		OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
		OK(ptrace(PTRACE_GETREGS, pid, 0, &r));
		CHECK_EQ(r.orig_rax, SYS_read);
		CHECK_EQ(r.rdi, p[0]);
		CHECK_EQ(r.rdx, 512);
		CHECK_EQ(write_call(p[1], "t", 1), 1);
		if (i % 2) {
			char c;

			/* The call is made again, and seen. */
			OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
			CHECK_EQ(waitpid(pid, &status, 0), pid);
			OK(ptrace(PTRACE_GETREGS, pid, 0, &r));
			CHECK_EQ(r.orig_rax, SYS_read);
			CHECK_EQ((long)r.rax, -ENOSYS);
			OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
			CHECK_EQ(waitpid(pid, &status, 0), pid);
			OK(ptrace(PTRACE_GETREGS, pid, 0, &r));
			CHECK_EQ((long)r.rax, 1);
			OK(ptrace(PTRACE_SYSCALL, pid, 0, 0));
			CHECK_EQ(waitpid(pid, &status, 0), pid);
			OK(ptrace(PTRACE_GETREGS, pid, 0, &r));
			CHECK_EQ(r.orig_rax, SYS_write);
			OK(ptrace(PTRACE_DETACH, pid, 0, 0));
			CHECK_EQ(read_call(q[0], &c, 1), 1);
		} else {
			char c;

			OK(ptrace(PTRACE_DETACH, pid, 0, 0));
			CHECK_EQ(read_call(q[0], &c, 1), 1);
			CHECK_EQ(c, 't');
		}
	}
	close(p[1]);
	JOIN(pid);
	close(q[0]);
}

static void forbid_writes(unsigned flags)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)p[1], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog));
}

static void *forbid_for_all(void *arg)
{
	while (!reader_tid)
		sched_yield();
	forbid_writes(SECCOMP_FILTER_FLAG_TSYNC);
	reader_tid = 0;
	return NULL;
}

TEST(filtered)
{
	for (int all = 0; all < 2; all++) {
		pid_t pid = h_fork();
		pthread_t t;
		char c;

		if (pid) {
			JOIN(pid);
			continue;
		}
		open_pipes();
		reader_tid = 0;
		if (all)
			REQUIRE(pthread_create(&t, NULL, forbid_for_all, NULL) == 0);
		use(p[0], p[1]);
		if (all) {
			reader_tid = 1;
			while (reader_tid) {
				long n = write_call(p[1], "x", 1);

				CHECK(n == 1 || n == -EXDEV);
				if (n == 1)
					CHECK_EQ(read_call(p[0], &c, 1), 1);
			}
			pthread_join(t, NULL);
		} else {
			forbid_writes(0);
		}
		CHECK_EQ(write_call(p[1], "x", 1), -EXDEV);
		child_exit();
	}
}
