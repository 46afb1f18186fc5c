/* Edges of tasks: numbers of threads where processes are meant, orphans, what a wait writes, and what /proc keeps and
 * shows. */
#include "harness.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct gate go;
static _Atomic int helper_tid;
static int helper_ready[2];

static void *helper(void *arg)
{
	(void)arg;
	helper_tid = gettid();
	close(helper_ready[1]);
	gate_pass(&go);
	return NULL;
}

/* A thread's number stands for its process, but where a process is to be moved. */
TEST(thread_for_process)
{
	siginfo_t info = {.si_code = SI_QUEUE};
	pthread_t th;
	char c;

	gate_init(&go);
	REQUIRE(pipe(helper_ready) == 0);
	REQUIRE(pthread_create(&th, NULL, helper, NULL) == 0);
	CHECK_EQ(read(helper_ready[0], &c, 1), 0);
	close(helper_ready[0]);
	OK(kill(helper_tid, 0));
	CHECK_EQ(getpgid(helper_tid), getpgrp());
	CHECK_EQ(getsid(helper_tid), getsid(0));
	CHECK_ERR(setpgid(helper_tid, 0), EINVAL);
	signal(SIGUSR1, SIG_IGN);
	OK(syscall(SYS_rt_sigqueueinfo, helper_tid, SIGUSR1, &info));
	signal(SIGUSR1, SIG_DFL);
	gate_open(&go);
	pthread_join(th, NULL);
}

/* All whom one may signal may be nobody: that is no error. */
TEST(kill_all_that_one_may)
{
	pid_t pid = h_fork();

	if (!pid) {
		if (geteuid() == 0)
			REQUIRE(setresuid(12345, 12345, 12345) == 0);
		OK(kill(-1, 0));
		child_exit();
	}
	JOIN(pid);
}

/* At the limit a real-time signal that was sent with more than its number is refused; kill(2)'s loses what it tells. */
TEST(pending_limit)
{
	pid_t pid = h_fork();

	if (!pid) {
		struct rlimit none = {0, 0};
		siginfo_t info = {.si_code = SI_QUEUE};
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		OK(setrlimit(RLIMIT_SIGPENDING, &none));
		CHECK_ERR(syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN), EAGAIN);
		CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info), EAGAIN);
		OK(kill(getpid(), SIGRTMIN));
		OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
		child_exit();
	}
	JOIN(pid);
}

static long clone3(struct clone_args *ca)
{
	long r = syscall(SYS_clone3, ca, sizeof(*ca));

	if (r == 0)
		_exit(0);
	if (r > 0)
		h_wait((pid_t)r);
	return r;
}

TEST(clone_arguments)
{
	struct clone_args unknown = {.flags = 1ull << 40, .exit_signal = SIGCHLD};
	struct clone_args high = {.exit_signal = SIGCHLD, .stack = ~0ull - 4096, .stack_size = 4096};
	struct clone_args wraps = {.exit_signal = SIGCHLD, .stack = ~0ull - 100, .stack_size = 4096};
	struct clone_args signal = {.exit_signal = 65};
	int status;
	long pid;

	CHECK_ERR(clone3(&unknown), EINVAL);
	CHECK_ERR(clone3(&high), EINVAL);
	CHECK_ERR(clone3(&wraps), EINVAL);
	CHECK_ERR(clone3(&signal), EINVAL);
	/* The older call takes a signal that there is not: nobody hears of the end. */
	pid = syscall(SYS_clone, 100, 0, 0, 0, 0);
	if (pid == 0)
		_exit(3);
	REQUIRE(pid > 0);
	CHECK_EQ(waitpid((pid_t)pid, &status, __WCLONE), pid);
	CHECK_EQ(status, W_EXIT(3));
}

static volatile sig_atomic_t death_code, death_pid;

static void on_death(int sig, siginfo_t *info, void *uc)
{
	(void)sig, (void)uc;
	death_code = info->si_code;
	death_pid = info->si_pid;
}

/* The parent's death counts as sent by the parent. */
TEST(parent_death_sender)
{
	int ready[2], result[2];
	struct sigaction sa = {.sa_sigaction = on_death, .sa_flags = SA_SIGINFO};
	sigset_t usr1, old;
	pid_t middle;
	int got[2];

	REQUIRE(pipe(ready) == 0 && pipe(result) == 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	middle = h_fork();
	if (!middle) {
		char c;

		if (!h_fork()) {
			sigprocmask(SIG_BLOCK, &usr1, &old);
			sigaction(SIGUSR1, &sa, NULL);
			prctl(PR_SET_PDEATHSIG, SIGUSR1);
			got[0] = write(ready[1], "x", 1) == 1 ? 0 : -1;
			sigsuspend(&old);
			got[0] = death_code;
			got[1] = death_pid;
			_exit(write(result[1], got, sizeof(got)) != sizeof(got));
		}
		_exit(read(ready[0], &c, 1) != 1);
	}
	CHECK_EQ(h_wait(middle), 0);
	REQUIRE(read(result[0], got, sizeof(got)) == sizeof(got));
	CHECK_EQ(got[0], SI_USER);
	CHECK_EQ(got[1], middle);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(result[i]);
	}
}

/* A zombie whose new parent ignores SIGCHLD is nobody's. */
TEST(orphaned_zombie_of_one_who_ignores)
{
	pid_t pid = h_fork(), middle, orphan;
	int told[2];

	if (pid) {
		JOIN(pid);
		return;
	}
	REQUIRE(pipe(told) == 0);
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	signal(SIGCHLD, SIG_IGN);
	middle = h_fork();
	if (!middle) {
		siginfo_t info;

		signal(SIGCHLD, SIG_DFL);
		orphan = h_fork();
		if (!orphan)
			_exit(7);
		OK(waitid(P_PID, (id_t)orphan, &info, WEXITED | WNOWAIT));
		CHECK_EQ(write(told[1], &orphan, sizeof(orphan)), sizeof(orphan));
		child_exit();
	}
	REQUIRE(read(told[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	CHECK_ERR(wait(NULL), ECHILD);
	/* Linux lets go of its number a moment after it has left the family. */
	for (int n = 0; n < 5000 && kill(orphan, 0) == 0; n++)
		usleep(1000);
	CHECK_ERR(kill(orphan, 0), ESRCH);
	child_exit();
}

/* waitid writes six fields and no more, and zeros when there is nobody. */
TEST(waitid_writes)
{
	long page = sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *end;
	siginfo_t info;
	int words[32];
	pid_t pid;

	REQUIRE(m != MAP_FAILED && munmap(m + page, (size_t)page) == 0);
	memset(&info, 0xff, sizeof(info));
	CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	memcpy(words, &info, sizeof(words));
	for (int i = 0; i < 32; i++)
		CHECK_EQ(words[i], i < 7 && i != 3 ? 0 : -1);
	CHECK_ERR(syscall(SYS_waitid, P_ALL, 0, 8L, WEXITED, NULL), EFAULT);
	pid = h_fork();
	if (!pid)
		_exit(5);
	end = m + page - 28;
	OK(syscall(SYS_waitid, P_PID, pid, end, WEXITED, NULL));
	memcpy(words, end, 28);
	CHECK_EQ(words[0], SIGCHLD);
	CHECK_EQ(words[4], pid);
	CHECK_EQ(words[6], 5);
	munmap(m, (size_t)page);
}

/* ---- /proc ---- */

static size_t pread_text(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	REQUIRE(n != -1);
	buf[n] = '\0';
	return (size_t)n;
}

/* Field n of stat, counted as proc_pid_stat(5) does, from 3 on. */
static long stat_field(const char *stat, int n)
{
	const char *at = strrchr(stat, ')') + 2;

	for (int i = 3; i < n; i++)
		at = strchr(at, ' ') + 1;
	return atol(at);
}

TEST(scheduling_is_shown)
{
	pid_t pid = h_fork();
	struct sched_param none = {0}, ten = {.sched_priority = 10};
	int fd, cpu = sched_getcpu(), last = -1;
	char buf[8192], line[64];
	cpu_set_t one;

	if (pid) {
		JOIN(pid);
		return;
	}
	fd = open("/proc/self/stat", O_RDONLY);
	REQUIRE(fd >= 0);
	OK(sched_setscheduler(0, SCHED_BATCH, &none));
	pread_text(fd, buf, sizeof(buf));
	CHECK_EQ(stat_field(buf, 41), SCHED_BATCH);
	if (sched_setscheduler(0, SCHED_FIFO, &ten) == 0) {
		pread_text(fd, buf, sizeof(buf));
		CHECK_EQ(stat_field(buf, 18), -11);
		CHECK_EQ(stat_field(buf, 40), 10);
		CHECK_EQ(stat_field(buf, 41), SCHED_FIFO);
		OK(sched_setscheduler(0, SCHED_OTHER, &none));
	}
	close(fd);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	OK(sched_setaffinity(0, sizeof(one), &one));
	fd = open("/proc/self/status", O_RDONLY);
	REQUIRE(fd >= 0);
	pread_text(fd, buf, sizeof(buf));
	snprintf(line, sizeof(line), "\nCpus_allowed_list:\t%d%n\n", cpu, &last);
	CHECK(last > 0 && strstr(buf, line) != NULL);
	close(fd);
	child_exit();
}

/* A file of fdinfo/ that has come to stand at the number that it tells of. */
TEST(fdinfo_of_itself)
{
	int fd = open("/dev/null", O_RDONLY), info;
	char name[64], buf[256];

	REQUIRE(fd >= 0);
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = open(name, O_RDONLY);
	REQUIRE(info >= 0 && dup2(info, fd) == fd);
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	CHECK(!strncmp(buf, "pos:\t0\n", 7));
	close(fd);
	close(info);
}

/* Files of a process's memory that were opened before it executed another program tell nothing of that one. */
ROLE(argc, argv)
{
	char buf[4096];
	int bad = argc != 6;

	/* The last is mem, which is read at an address. */
	for (int i = 2; i < argc; i++) {
		int fd = atoi(argv[i]);
		ssize_t n = i < 5 ? read(fd, buf, sizeof(buf)) : pread(fd, buf, 8, (off_t)(uintptr_t)argv);

		if (n != 0)
			bad++;
	}
	return bad;
}

TEST(memory_files_end_with_exec)
{
	static const char *const names[] = {"maps", "smaps", "environ", "mem"};
	char numbers[4][12], name[64],
		*args[] = {(char *)h_self, "@role", numbers[0], numbers[1], numbers[2], numbers[3], NULL};
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "/proc/self/%s", names[i]);
		snprintf(numbers[i], sizeof(numbers[i]), "%d", open(name, O_RDONLY));
		REQUIRE(numbers[i][0] != '-');
	}
	execv(h_self, args);
	_exit(100);
}
