/* PID namespaces: pid_namespaces(7).  An ordinary user makes a user namespace along. */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>

#ifndef NS_GET_PARENT
#define NS_GET_PARENT _IO(0xb7, 2)
#endif
#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE _IO(0xb7, 3)
#endif

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool was_root;

/* The caller, who is not root, becomes so in a user namespace of its own. */
static void become_root(void)
{
	char uid[32], gid[32];

	was_root = geteuid() == 0;
	if (was_root)
		return;
	snprintf(uid, sizeof(uid), "0 %u 1", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1", getegid());
	REQUIRE(unshare(CLONE_NEWUSER) == 0);
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", uid);
	put("/proc/self/gid_map", gid);
}

/* fork, with the child as pid 1 of a new namespace. */
static pid_t fork_inside(unsigned more)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | more | SIGCHLD, 0, 0, 0, 0);

	REQUIRE(pid >= 0);
	if (pid == 0)
		h_failures = 0;
	return pid;
}

/* The body runs in a child that may make namespaces. */
#define PRIVILEGED                                                                                                     \
	for (pid_t pid_ = h_fork(); pid_ >= 0; pid_ = pid_ ? (JOIN(pid_), -1) : -1)                                    \
		if (pid_ == 0 && (become_root(), true))

static void mount_proc(void)
{
	REQUIRE(unshare(CLONE_NEWNS) == 0);
	REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	REQUIRE(mount("proc", "/proc", "proc", 0, NULL) == 0);
}

static uint64_t number(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* ---- numbers ---- */

TEST(first_is_one)
{
	PRIVILEGED
	{
		pid_t outside = getpid(), pid = fork_inside(0);

		if (pid == 0) {
			pid_t child;

			CHECK_EQ(getpid(), 1);
			CHECK_EQ(syscall(SYS_gettid), 1);
			CHECK_EQ(getppid(), 0);
			CHECK_EQ(getpgrp(), 0); /* its parent's group is not to be seen */
			CHECK_EQ(getsid(0), 0);
			CHECK_EQ(syscall(SYS_set_tid_address, NULL), 1);
			CHECK_ERR(kill(outside, 0), ESRCH);
			child = h_fork();
			if (child == 0) {
				CHECK_EQ(getpid(), 2);
				CHECK_EQ(getppid(), 1);
				CHECK_EQ(setsid(), 2);
				CHECK_EQ(getpgrp(), 2);
				CHECK_EQ(getsid(0), 2);
				CHECK_EQ(getpgid(2), 2);
				child_exit();
			}
			CHECK_EQ(child, 2);
			CHECK_EQ(waitpid(child, NULL, 0), 2);
			child_exit();
		}
		CHECK(pid > 1);
		JOIN(pid);
		child_exit();
	}
}

static void *other_thread(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	return NULL;
}

TEST(threads_have_numbers)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			pthread_t thread;
			pid_t tid = 0;

			REQUIRE(pthread_create(&thread, NULL, other_thread, &tid) == 0);
			pthread_join(thread, NULL);
			CHECK_EQ(tid, 2);
			CHECK_EQ(getpid(), 1);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(parent_sees_both)
{
	PRIVILEGED
	{
		struct gate g;
		char path[64], text[4096], want[64], *line;
		pid_t pid;

		gate_init(&g);
		pid = fork_inside(0);
		if (pid == 0) {
			CHECK_EQ(setsid(), 1);
			gate_pass(&g);
			child_exit();
		}
		REQUIRE(h_wait_state(pid, "S"));
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
		REQUIRE(read_file(path, text, sizeof(text)) > 0);
		line = strstr(text, "\nNSpid:");
		snprintf(want, sizeof(want), "\nNSpid:\t%d\t1\n", (int)pid);
		CHECK(line && !strncmp(line, want, strlen(want)));
		line = strstr(text, "\nNSsid:");
		snprintf(want, sizeof(want), "\nNSsid:\t%d\t1\n", (int)pid);
		CHECK(line && !strncmp(line, want, strlen(want)));
		CHECK_EQ(getsid(pid), pid);
		CHECK_EQ(getpgid(pid), pid);
		gate_open(&g);
		JOIN(pid);
		child_exit();
	}
}

TEST(nested)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			pid_t inner = fork_inside(0);

			if (inner == 0) {
				CHECK_EQ(getpid(), 1);
				CHECK_EQ(getppid(), 0);
				child_exit();
			}
			CHECK_EQ(inner, 2);
			JOIN(inner);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(last_pid)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			char text[32];
			pid_t child;

			mount_proc();
			REQUIRE(read_file("/proc/sys/kernel/ns_last_pid", text, sizeof(text)) > 0);
			CHECK_STR(text, "1\n");
			put("/proc/sys/kernel/ns_last_pid", "99");
			child = h_fork();
			if (child == 0) {
				CHECK_EQ(getpid(), 100);
				child_exit();
			}
			CHECK_EQ(child, 100);
			JOIN(child);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

/* ---- unshare and setns ---- */

TEST(by_unshare)
{
	PRIVILEGED
	{
		uint64_t before = number("/proc/self/ns/pid");
		pid_t own = getpid(), pid;
		pthread_t thread;
		pid_t tid;

		REQUIRE(unshare(CLONE_NEWPID) == 0);
		CHECK_EQ(getpid(), own); /* one's own does not change */
		CHECK_EQ(number("/proc/self/ns/pid"), before);
		CHECK_ERR(open("/proc/self/ns/pid_for_children", O_RDONLY), ENOENT); /* it has not begun */
		CHECK_ERR(unshare(CLONE_NEWPID), EINVAL);
		CHECK_EQ(pthread_create(&thread, NULL, other_thread, &tid), EINVAL);
		pid = h_fork();
		if (pid == 0) {
			CHECK_EQ(getpid(), 1);
			if (h_failures)
				_exit(1);
			for (;;)
				pause();
		}
		CHECK(number("/proc/self/ns/pid_for_children") != before);
		kill(pid, SIGKILL);
		CHECK_EQ(h_wait(pid), SIGKILL);
		CHECK_ERR(fork(), ENOMEM); /* its first process is gone, and there is no other */
		child_exit();
	}
}

TEST(by_setns)
{
	PRIVILEGED
	{
		uint64_t before = number("/proc/self/ns/pid");
		int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), fd;
		struct gate g;
		char path[64];
		pid_t pid, child;

		gate_init(&g);
		pid = fork_inside(0);
		if (pid == 0) {
			CHECK_ERR(setns(own, CLONE_NEWPID), was_root ? EINVAL : EPERM); /* there is no way out */
			gate_pass(&g);
			child_exit();
		}
		snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		REQUIRE(fd >= 0);
		CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWPID);
		{
			int up = ioctl(fd, NS_GET_PARENT);
			struct stat st;

			REQUIRE(up >= 0);
			OK(fstat(up, &st));
			CHECK_EQ(st.st_ino, before);
			close(up);
		}
		OK(setns(fd, CLONE_NEWPID));
		CHECK_EQ(number("/proc/self/ns/pid"), before);
		child = h_fork();
		if (child == 0) {
			CHECK_EQ(getpid(), 2);
			CHECK_EQ(getppid(), 0);
			OK(kill(1, 0));
			child_exit();
		}
		CHECK(child > 2);
		JOIN(child);
		if (was_root)
			OK(setns(own, CLONE_NEWPID));
		else
			CHECK_ERR(setns(own, CLONE_NEWPID), EPERM);
		if (!was_root)
			goto done;
		child = h_fork();
		if (child == 0)
			child_exit();
		JOIN(child);
	done:
		gate_open(&g);
		JOIN(pid);
		child_exit();
	}
}

TEST(flags)
{
	PRIVILEGED
	{
		static char stack[4096];

		CHECK_ERR(syscall(SYS_clone, CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM,
				  stack + sizeof(stack), 0, 0, 0),
			  EINVAL);
		child_exit();
	}
}

/* clone3 with the numbers that the child is to have: innermost first. */
static pid_t fork_numbered(uint64_t flags, const pid_t *numbers, size_t count)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
			set_tid_size;
	} args = {.flags = flags, .exit_signal = SIGCHLD, .set_tid = (uintptr_t)numbers, .set_tid_size = count};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		h_failures = 0;
	return pid;
}

TEST(chosen_numbers)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			pid_t child = fork_numbered(0, (pid_t[]){77}, 1);

			if (child == 0) {
				CHECK_EQ(getpid(), 77);
				CHECK_ERR(fork_numbered(0, (pid_t[]){77}, 1), EEXIST);
				CHECK_ERR(fork_numbered(0, (pid_t[]){1}, 1), EEXIST);
				CHECK_ERR(fork_numbered(0, (pid_t[]){0}, 1), EINVAL);
				CHECK_ERR(fork_numbered(0, (pid_t[]){-5}, 1), EINVAL);
				CHECK_ERR(fork_numbered(0, (pid_t[]){4194304}, 1), EINVAL);
				CHECK_ERR(fork_numbered(0, (pid_t[]){80, 81, 82}, 3),
					  EINVAL); /* so many there are not */
				CHECK_ERR(fork_numbered(0, NULL, 1), EINVAL);
				CHECK_ERR(fork_numbered(0, (pid_t[]){80}, 33), EINVAL);
				CHECK_ERR(fork_numbered(0, (pid_t *)1, 1), EFAULT);
				CHECK_ERR(fork_numbered(CLONE_NEWPID, (pid_t[]){7}, 1), EINVAL); /* the first is 1 */
				child_exit();
			}
			CHECK_EQ(child, 77);
			JOIN(child);
			child = fork_numbered(CLONE_NEWPID, (pid_t[]){1, 42}, 2);
			if (child == 0) {
				CHECK_EQ(getpid(), 1);
				child_exit();
			}
			CHECK_EQ(child, 42);
			JOIN(child);
			child = h_fork();
			if (child == 0)
				child_exit();
			CHECK_EQ(child, 2); /* those chosen did not move the next on */
			JOIN(child);
			child_exit();
		}
		JOIN(pid);
		if (!was_root)
			CHECK_ERR(fork_numbered(0, (pid_t[]){12345}, 1), EPERM);
		child_exit();
	}
}

/* ---- the first process ---- */

TEST(end_of_first_ends_all)
{
	PRIVILEGED
	{
		struct gate up;
		char c;
		pid_t pid;

		gate_init(&up);
		pid = fork_inside(0);
		if (pid == 0) {
			pid_t a = h_fork();

			if (a == 0) {
				signal(SIGTERM, SIG_IGN);
				if (h_fork() == 0)
					setsid();
				gate_open(&up);
				for (;;)
					pause();
			}
			close(up.fd[1]);
			gate_pass(&up);
			gate_pass(&up);
			_exit(7);
		}
		close(up.fd[1]);
		CHECK_EQ(h_wait(pid), W_EXIT(7));
		CHECK_EQ(read(up.fd[0], &c, 1), 0); /* nobody is left who could write */
		child_exit();
	}
}

TEST(orphans_go_to_first)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			struct gate g, done;
			pid_t child, orphan;
			int status;

			gate_init(&g);
			gate_init(&done);
			child = h_fork();
			if (child == 0) {
				if (h_fork() == 0) {
					gate_pass(&g);
					CHECK_EQ(getppid(), 1);
					_exit(h_failures ? 1 : 9);
				}
				child_exit();
			}
			JOIN(child);
			gate_open(&g);
			orphan = wait(&status);
			CHECK_EQ(orphan, 3);
			CHECK_EQ(status, W_EXIT(9));
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

static volatile int caught;
static volatile pid_t caught_from;

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	caught_from = info->si_pid;
	caught = sig;
}

TEST(first_is_safe_from_inside)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			pid_t child = h_fork();

			if (child == 0) {
				OK(kill(1, SIGKILL));
				OK(kill(1, SIGSTOP));
				OK(kill(1, SIGTERM));
				child_exit();
			}
			JOIN(child);
			OK(kill(1, SIGTERM));
			OK(kill(1, SIGKILL));
			CHECK_EQ(kill(-1, SIGTERM), -1); /* there is nobody else */
			CHECK_EQ(errno, ESRCH);
			_exit(h_failures ? 1 : 5);
		}
		CHECK_EQ(h_wait(pid), W_EXIT(5));
		child_exit();
	}
}

TEST(first_from_outside)
{
	PRIVILEGED
	{
		struct gate g;
		pid_t pid;
		int status;

		gate_init(&g);
		pid = fork_inside(0);
		if (pid == 0) {
			struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
			sigset_t set, none;

			sigemptyset(&none);
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL); /* it comes while we wait for it, and not just before */
			sigaction(SIGUSR1, &sa, NULL);
			gate_open(&g);
			while (!caught)
				sigsuspend(&none);
			_exit(caught_from == 0 ? 3 : 4); /* whoever it was is not to be seen */
		}
		gate_pass(&g);
		OK(kill(pid, SIGTERM)); /* without a handler: nothing */
		OK(kill(pid, SIGSTOP));
		CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
		CHECK(WIFSTOPPED(status));
		OK(kill(pid, SIGCONT));
		OK(kill(pid, SIGUSR1));
		CHECK_EQ(h_wait(pid), W_EXIT(3));
		pid = fork_inside(0);
		if (pid == 0)
			for (;;)
				pause();
		OK(kill(pid, SIGKILL));
		CHECK_EQ(h_wait(pid), SIGKILL);
		child_exit();
	}
}

/* ---- who it was ---- */

TEST(senders)
{
	PRIVILEGED
	{
		sigset_t set;
		siginfo_t info;
		pid_t pid;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGCHLD);
		OK(sigprocmask(SIG_BLOCK, &set, NULL));
		pid = fork_inside(0);
		if (pid == 0) {
			pid_t child = h_fork();

			if (child == 0) {
				OK(kill(1, SIGUSR1));
				child_exit();
			}
			memset(&info, 0, sizeof(info));
			sigdelset(&set, SIGCHLD);
			CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
			CHECK_EQ(info.si_pid, 2);
			sigemptyset(&set);
			sigaddset(&set, SIGCHLD);
			CHECK_EQ(sigwaitinfo(&set, &info), SIGCHLD);
			CHECK_EQ(info.si_pid, 2);
			OK(waitid(P_ALL, 0, &info, WEXITED));
			CHECK_EQ(info.si_pid, 2);
			child_exit();
		}
		sigdelset(&set, SIGUSR1);
		CHECK_EQ(sigwaitinfo(&set, &info), SIGCHLD);
		CHECK_EQ(info.si_pid, pid);
		JOIN(pid);
		child_exit();
	}
}

TEST(peers)
{
	PRIVILEGED
	{
		socklen_t len = sizeof(struct ucred);
		struct ucred c;
		int s[2], inner[2];
		pid_t own = getpid(), pid;

		OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		pid = fork_inside(0);
		if (pid == 0) {
			OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
			CHECK_EQ(c.pid, 0);
			OK(socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
			OK(getsockopt(inner[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
			CHECK_EQ(c.pid, 1);
			child_exit();
		}
		JOIN(pid);
		OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
		CHECK_EQ(c.pid, own);
		child_exit();
	}
}

TEST(calls_that_take_numbers)
{
	PRIVILEGED
	{
		pid_t outside = getpid(), pid = fork_inside(0);

		if (pid == 0) {
			struct rlimit rl;
			struct flock fl = {.l_type = F_WRLCK};
			FILE *f = tmpfile();
			cpu_set_t cpus;
			pid_t child;

			OK(prlimit(1, RLIMIT_NOFILE, NULL, &rl));
			CHECK_ERR(prlimit(outside, RLIMIT_NOFILE, NULL, &rl), ESRCH);
			CHECK(getpriority(PRIO_PROCESS, 1) >= 0 || errno == 0);
			CHECK_ERR(getpriority(PRIO_PROCESS, (id_t)outside), ESRCH);
			OK(sched_getaffinity(1, sizeof(cpus), &cpus));
			CHECK_ERR(sched_getaffinity(outside, sizeof(cpus), &cpus), ESRCH);
			CHECK_ERR(syscall(SYS_pidfd_open, outside, 0), ESRCH);
			CHECK_ERR(getpgid(outside), ESRCH);
			CHECK_ERR(syscall(SYS_tgkill, outside, outside, 0), ESRCH);
			OK(syscall(SYS_tgkill, 1, 1, 0));
			if (f) {
				OK(fcntl(fileno(f), F_SETLK, &fl));
				child = h_fork();
				if (child == 0) {
					OK(fcntl(fileno(f), F_GETLK, &fl));
					CHECK_EQ(fl.l_pid, 1);
					OK(fcntl(fileno(f), F_SETOWN, getpid()));
					CHECK_EQ(fcntl(fileno(f), F_GETOWN), 2);
					CHECK_ERR(fcntl(fileno(f), F_SETOWN, outside), ESRCH);
					child_exit();
				}
				JOIN(child);
			}
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(pidfds)
{
	PRIVILEGED
	{
		int outer = (int)syscall(SYS_pidfd_open, getpid(), 0);
		char path[64], text[512];
		pid_t pid;

		REQUIRE(outer >= 0);
		pid = fork_inside(0);
		if (pid == 0) {
			pid_t child = h_fork();
			struct pollfd p;
			int fd;

			if (child == 0) {
				for (;;)
					pause();
			}
			fd = (int)syscall(SYS_pidfd_open, child, 0);
			REQUIRE(fd >= 0);
			CHECK_ERR(syscall(SYS_pidfd_send_signal, outer, 0, NULL, 0), EINVAL);
			OK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
			p = (struct pollfd){fd, POLLIN, 0};
			CHECK_EQ(poll(&p, 1, 10000), 1);
			CHECK_EQ(h_wait(child), SIGKILL);
			mount_proc();
			snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", outer);
			REQUIRE(read_file(path, text, sizeof(text)) > 0);
			CHECK(strstr(text, "\nPid:\t0\n") != NULL);
			child_exit();
		}
		JOIN(pid);
		close(outer);
		child_exit();
	}
}

TEST(groups_outlive_leaders)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			struct gate g, ready;
			pid_t leader;
			int status;

			gate_init(&g);
			gate_init(&ready);
			leader = h_fork();
			if (leader == 0) {
				OK(setpgid(0, 0));
				if (h_fork() == 0) {
					gate_open(&ready);
					for (;;)
						pause();
				}
				gate_pass(&ready);
				child_exit();
			}
			JOIN(leader);
			CHECK_ERR(kill(leader, 0), ESRCH);
			OK(kill(-leader, SIGTERM));
			CHECK_EQ(wait(&status), 3);
			CHECK_EQ(status, SIGTERM);
			CHECK_ERR(kill(-leader, 0), ESRCH);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(execve_of_a_thread)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			char *argv[] = {(char *)h_self, (char *)"@exec", NULL};

			if (h_fork() == 0) {
				execv(h_self, argv);
				_exit(90);
			}
			CHECK_EQ(wait(NULL), 2);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

static void *executes(void *arg)
{
	char *argv[] = {(char *)"/proc/self/exe", (char *)"@done", NULL};

	(void)arg;
	CHECK_EQ(syscall(SYS_gettid), 3);
	execv("/proc/self/exe", argv);
	_exit(91);
}

ROLE(argc, argv)
{
	pthread_t thread;

	(void)argc;
	if (!strcmp(argv[1], "@done"))
		return getpid() == 2 && syscall(SYS_gettid) == 2 && getppid() == 1 && kill(3, 0) == -1 ? 0 : 1;
	pthread_create(&thread, NULL, executes, NULL);
	pthread_join(thread, NULL);
	return 92;
}

/* ---- /proc ---- */

TEST(proc_inside)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			char text[4096];
			ssize_t n;

			CHECK_EQ(readlink("/proc/self", text, sizeof(text)) == 1 && text[0] == '1',
				 0); /* the outer one */
			mount_proc();
			n = readlink("/proc/self", text, sizeof(text) - 1);
			CHECK_EQ(n, 1);
			CHECK_EQ(text[0], '1');
			n = readlink("/proc/thread-self", text, sizeof(text) - 1);
			if (CHECK(n > 0)) {
				text[n] = '\0';
				CHECK_STR(text, "1/task/1");
			}
			REQUIRE(read_file("/proc/1/status", text, sizeof(text)) > 0);
			CHECK(strstr(text, "\nPid:\t1\nPPid:\t0\n") != NULL);
			CHECK(strstr(text, "\nNSpid:\t1\n") != NULL);
			REQUIRE(read_file("/proc/self/stat", text, sizeof(text)) > 0);
			CHECK(!strncmp(text, "1 (", 3));
			CHECK_EQ(access("/proc/2", F_OK), -1);
			CHECK_EQ(access("/proc/1/task/1", F_OK), 0);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(proc_lists_members)
{
	PRIVILEGED
	{
		pid_t pid = fork_inside(0);

		if (pid == 0) {
			struct gate g;
			pid_t child;
			int found = 0;

			mount_proc();
			gate_init(&g);
			child = h_fork();
			if (child == 0) {
				gate_pass(&g);
				child_exit();
			}
			for (int i = 1; i < 5000; i++) {
				char path[32];

				snprintf(path, sizeof(path), "/proc/%d", i);
				found += access(path, F_OK) == 0;
			}
			CHECK_EQ(found, 2);
			gate_open(&g);
			JOIN(child);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

TEST(locks_of_members)
{
	PRIVILEGED
	{
		FILE *ours = tmpfile();
		struct flock fl = {.l_type = F_WRLCK};
		char want[64];
		pid_t pid;

		REQUIRE(ours);
		OK(fcntl(fileno(ours), F_SETLK, &fl));
		snprintf(want, sizeof(want), "ADVISORY  WRITE %d ", (int)getpid());
		pid = fork_inside(0);
		if (pid == 0) {
			static char text[65536];
			FILE *f = tmpfile();

			REQUIRE(f);
			OK(fcntl(fileno(f), F_SETLK, &fl));
			mount_proc();
			REQUIRE(read_file("/proc/locks", text, sizeof(text)) > 0);
			CHECK(strstr(text, "ADVISORY  WRITE 1 ") != NULL);
			CHECK(strstr(text, want) == NULL);
			child_exit();
		}
		JOIN(pid);
		child_exit();
	}
}

/* ---- tracing ---- */

TEST(traced_across)
{
	PRIVILEGED
	{
		struct gate g;
		int status;
		pid_t pid;

		gate_init(&g);
		pid = fork_inside(0);
		if (pid == 0) {
			pid_t child;

			gate_pass(&g);
			child = fork();
			if (child == 0)
				_exit(0);
			CHECK_EQ(child, 2);
			CHECK_EQ(h_wait(child), 0);
			child_exit();
		}
		OK(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEFORK));
		gate_open(&g);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		if (CHECK_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_FORK << 8)) {
			unsigned long child = 0;

			OK(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child));
			CHECK(child > 2); /* as the tracer knows it */
			CHECK_EQ(waitpid((pid_t)child, &status, __WALL), child);
			OK(ptrace(PTRACE_CONT, (pid_t)child, NULL, 0));
			OK(ptrace(PTRACE_DETACH, pid, NULL, 0));
			CHECK_EQ(waitpid((pid_t)child, &status, __WALL), child);
			CHECK_EQ(status, 0);
		}
		JOIN(pid);
		child_exit();
	}
}
