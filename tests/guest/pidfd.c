/* pidfd_open(2) and its kin, CLONE_PIDFD, waitid(P_PIDFD), and whom __WNOTHREAD and PR_SET_PDEATHSIG take for the parent. */
#include "harness.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#endif
#define PIDFD_SELF_GROUP (-10001)

static int pidfd_open_(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int send_(int fd, int sig, siginfo_t *si, unsigned flags)
{
	return (int)syscall(SYS_pidfd_send_signal, fd, sig, si, flags);
}

static short events(int fd, int timeout)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	poll(&p, 1, timeout);
	return p.revents;
}

static pid_t paused_child(void)
{
	pid_t pid = h_fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

/* A child that knows what comes: SIGUSR1 gives its siginfo's code as exit status. */
static pid_t waiting_child(void)
{
	sigset_t m;
	pid_t pid;
	siginfo_t si;

	sigemptyset(&m);
	sigaddset(&m, SIGUSR1);
	sigprocmask(SIG_BLOCK, &m, NULL);
	pid = h_fork();
	if (pid == 0)
		_exit(sigwaitinfo(&m, &si) == SIGUSR1 ? si.si_code & 0xff : 99);
	return pid;
}

static void fdinfo(int fd, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	REQUIRE(read_file(path, text, size) > 0);
}

TEST(open_and_stat)
{
	int fd = pidfd_open_(getpid(), 0), other = pidfd_open_(getpid(), O_NONBLOCK), child;
	char link[64] = "", path[64], text[512], want[64];
	struct stat a, b;
	struct statfs fs;
	pid_t pid;

	REQUIRE(fd >= 0 && other >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR);
	CHECK_EQ(fcntl(other, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(fstat(fd, &a));
	OK(fstat(other, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_dev, b.st_dev);
	OK(fstatfs(fd, &fs));
	CHECK_EQ(fs.f_type, 0x50494446);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0);
	CHECK_STR(link, "anon_inode:[pidfd]");
	fdinfo(fd, text, sizeof(text));
	snprintf(want, sizeof(want), "Pid:\t%d\nNSpid:\t%d\n", getpid(), getpid());
	CHECK(strstr(text, want));
	CHECK_ERR(read(fd, text, 8), EINVAL);
	CHECK_ERR(write(fd, text, 8), EINVAL);
	CHECK_ERR(lseek(fd, 0, SEEK_CUR), ESPIPE);
	CHECK_ERR(fchmod(fd, 0600), EOPNOTSUPP);
	CHECK_ERR(fchown(fd, 5, 5), EOPNOTSUPP);
	CHECK_ERR(ioctl(fd, TCGETS, text), ENOTTY);
	pid = paused_child();
	child = pidfd_open_(pid, 0);
	OK(fstat(child, &b));
	CHECK(a.st_ino != b.st_ino);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_ERR(pidfd_open_(pid, 0), ESRCH);
	CHECK_ERR(pidfd_open_(0, 0), EINVAL);
	CHECK_ERR(pidfd_open_(-1, 0), EINVAL);
	CHECK_ERR(pidfd_open_(getpid(), 1), EINVAL);
	close(child);
	close(fd);
	close(other);
}

TEST(poll_tells_of_the_end)
{
	pid_t pid = paused_child();
	int fd = pidfd_open_(pid, 0);
	char text[512];
	siginfo_t si;

	CHECK_EQ(events(fd, 0), 0);
	OK(send_(fd, SIGKILL, NULL, 0));
	CHECK_EQ(events(fd, 10000), POLLIN);
	fdinfo(fd, text, sizeof(text));
	CHECK(!strstr(text, "Pid:\t-1\n"));
	OK(send_(fd, 0, NULL, 0)); /* a zombie can be signalled */
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOWAIT));
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(events(fd, 0), POLLIN);
	si.si_pid = 0;
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_code, CLD_KILLED);
	CHECK_EQ(si.si_status, SIGKILL);
	CHECK_EQ(events(fd, 0), POLLIN | POLLHUP);
	fdinfo(fd, text, sizeof(text));
	CHECK(strstr(text, "Pid:\t-1\nNSpid:\t-1\n"));
	CHECK_ERR(send_(fd, 0, NULL, 0), ESRCH);
	CHECK_ERR(waitid(P_PIDFD, (id_t)fd, &si, WEXITED), ECHILD);
	close(fd);
}

TEST(waitid)
{
	pid_t pid = paused_child();
	int fd = pidfd_open_(pid, O_NONBLOCK), self = pidfd_open_(getpid(), 0), p[2];
	siginfo_t si = {.si_pid = 1};

	OK(pipe(p));
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG));
	CHECK_EQ(si.si_pid, 0);
	CHECK_ERR(waitid(P_PIDFD, (id_t)fd, &si, WEXITED), EAGAIN);
	CHECK_ERR(waitid(P_PIDFD, (id_t)self, &si, WEXITED), ECHILD);
	CHECK_ERR(waitid(P_PIDFD, (id_t)p[0], &si, WEXITED), EBADF);
	CHECK_ERR(waitid(P_PIDFD, 999, &si, WEXITED), EBADF);
	CHECK_ERR(waitid(P_PIDFD, (id_t)-1, &si, WEXITED), EINVAL);
	kill(pid, SIGKILL);
	CHECK_EQ(events(fd, 10000), POLLIN);
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	CHECK_EQ(si.si_pid, pid);
	close(fd);
	close(self);
}

TEST(send_signal)
{
	pid_t pid = waiting_child();
	int fd = pidfd_open_(pid, 0), self = pidfd_open_(getpid(), 0), p[2], dir;
	siginfo_t si = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	char path[64];

	OK(pipe(p));
	CHECK_ERR(send_(fd, 65, NULL, 0), EINVAL);
	CHECK_ERR(send_(fd, -1, NULL, 0), EINVAL);
	CHECK_ERR(send_(fd, 0, NULL, 8), EINVAL);
	CHECK_ERR(send_(fd, 0, NULL, 3), EINVAL);
	CHECK_ERR(send_(p[0], 0, NULL, 0), EBADF);
	CHECK_ERR(send_(fd, SIGUSR2, &si, 0), EINVAL);
	si.si_code = SI_USER;
	CHECK_ERR(send_(fd, SIGUSR1, &si, 0), EPERM);
	OK(send_(self, 0, NULL, 1));
	OK(send_(self, 0, NULL, 2));
	si.si_code = SI_QUEUE;
	OK(send_(fd, SIGUSR1, &si, 0));
	CHECK_EQ(h_wait(pid), W_EXIT(SI_QUEUE & 0xff));
	close(fd);
	pid = waiting_child();
	fd = pidfd_open_(pid, 0);
	OK(send_(fd, SIGUSR1, NULL, 0));
	CHECK_EQ(h_wait(pid), W_EXIT(SI_USER));
	close(fd);
	pid = waiting_child();
	fd = pidfd_open_(pid, 0);
	OK(send_(fd, SIGUSR1, NULL, 1));
	CHECK_EQ(h_wait(pid), W_EXIT(SI_USER)); /* whatever the scope */
	close(fd);
	pid = waiting_child();
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	OK(send_(dir, SIGUSR1, NULL, 0));
	CHECK_EQ(h_wait(pid), W_EXIT(SI_USER));
	close(dir);
}

TEST(send_to_group)
{
	pid_t pid = h_fork(), member;
	int fd, status;

	if (pid == 0) {
		setpgid(0, 0);
		member = paused_child();
		fd = pidfd_open_(getpid(), 0);
		signal(SIGTERM, SIG_IGN);
		OK(send_(fd, SIGTERM, NULL, 4));
		status = h_wait(member);
		CHECK_EQ(status, SIGTERM);
		child_exit();
	}
	JOIN(pid);
}

TEST(getfd)
{
	int p[2], fd, got, secret;
	struct gate ready;
	char c = 0;
	pid_t pid;

	gate_init(&ready);
	OK(pipe(p));
	pid = h_fork();
	if (pid == 0) {
		secret = dup2(p[1], 77);
		gate_open(&ready);
		pause();
		_exit(secret);
	}
	gate_pass(&ready);
	close(p[1]);
	fd = pidfd_open_(pid, 0);
	got = (int)syscall(SYS_pidfd_getfd, fd, 77, 0);
	CHECK(got >= 0);
	CHECK_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(got, "z", 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'z');
	CHECK_ERR(syscall(SYS_pidfd_getfd, fd, 78, 0), EBADF);
	CHECK_ERR(syscall(SYS_pidfd_getfd, fd, 77, 1), EINVAL);
	CHECK_ERR(syscall(SYS_pidfd_getfd, p[0], 77, 0), EBADF);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_ERR(syscall(SYS_pidfd_getfd, fd, 77, 0), ESRCH);
	close(fd);
	close(got);
	gate_free(&ready);
}

TEST(clone_pidfd)
{
	int fd = -1;
	struct clone_args a = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&fd, .exit_signal = SIGCHLD};
	siginfo_t si;
	long pid;

	CHECK_ERR(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8, 0, 0), EFAULT);
	CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD);
	pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0);
	if (pid == 0)
		_exit(fcntl(fd, F_GETFD) == -1 ? 5 : 6); /* the parent alone has it */
	CHECK(pid > 0 && fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_status, 5);
	close(fd);
	fd = -1;
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid == 0)
		_exit(8);
	CHECK(pid > 0 && fd >= 0);
	OK(waitid(P_PIDFD, (id_t)fd, &si, WEXITED));
	CHECK_EQ(si.si_status, 8);
	close(fd);
	a.flags |= CLONE_PARENT_SETTID;
	a.parent_tid = a.pidfd;
	CHECK_ERR(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
}

static struct gate go;
static _Atomic int thread_tid;

static void *wait_for_go(void *arg)
{
	thread_tid = (int)syscall(SYS_gettid);
	gate_open(arg);
	gate_pass(&go);
	return NULL;
}

TEST(threads)
{
	struct gate ready;
	pthread_t th;
	int fd;

	gate_init(&ready);
	gate_init(&go);
	REQUIRE(pthread_create(&th, NULL, wait_for_go, &ready) == 0);
	gate_pass(&ready);
	CHECK_ERR(pidfd_open_(thread_tid, 0), ENOENT);
	fd = pidfd_open_(thread_tid, O_EXCL);
	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_EXCL);
	CHECK_EQ(events(fd, 0), 0);
	OK(send_(fd, 0, NULL, 0));
	OK(send_(fd, 0, NULL, 2));
	CHECK_ERR(waitid(P_PIDFD, (id_t)fd, NULL, WEXITED | WNOHANG), ECHILD);
	gate_open(&go);
	CHECK_EQ(events(fd, 10000), POLLIN | POLLHUP);
	CHECK_ERR(send_(fd, 0, NULL, 0), ESRCH);
	CHECK_ERR(syscall(SYS_pidfd_getfd, fd, 0, 0), ESRCH);
	pthread_join(th, NULL);
	close(fd);
	gate_free(&go);
	gate_free(&ready);
}

TEST(mrelease_and_madvise)
{
	char *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2] = {{m, 4096}, {m + 4096, 4096}};
	int self = pidfd_open_(getpid(), 0), fd, p[2];
	pid_t pid = paused_child();
	bool may;

	OK(pipe(p));
	fd = pidfd_open_(pid, 0);
	CHECK_ERR(syscall(SYS_process_mrelease, fd, 0), EINVAL); /* nobody kills it */
	CHECK_ERR(syscall(SYS_process_mrelease, fd, 1), EINVAL);
	CHECK_ERR(syscall(SYS_process_mrelease, p[0], 0), EBADF);
	m[0] = 1;
	CHECK_EQ(syscall(SYS_process_madvise, self, v, 2, MADV_COLD, 0), 8192);
	CHECK_EQ(syscall(SYS_process_madvise, self, v, 0, MADV_COLD, 0), 0);
	may = syscall(SYS_process_madvise, fd, v, 2, 3 /* WILLNEED */, 0) == 8192;
	if (!may) { /* CAP_SYS_NICE, which root has */
		CHECK(geteuid() != 0);
		CHECK_ERR(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0), EPERM);
	}
	CHECK_ERR(syscall(SYS_process_madvise, fd, v, 2, MADV_DONTNEED, 0), EINVAL);
	CHECK_ERR(syscall(SYS_process_madvise, self, v, 2, MADV_COLD, 1), EINVAL);
	CHECK_ERR(syscall(SYS_process_madvise, self, v, 2, 999, 0), EINVAL);
	CHECK_ERR(syscall(SYS_process_madvise, p[0], v, 2, MADV_COLD, 0), EBADF);
	CHECK_ERR(syscall(SYS_process_madvise, self, v, 2000, MADV_COLD, 0), EINVAL);
	v[1].iov_base = (void *)0x10000;
	CHECK_EQ(syscall(SYS_process_madvise, self, v, 2, MADV_COLD, 0), 4096);
	if (may)
		CHECK_EQ(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0), 4096);
	v[0].iov_base = (void *)0x10000;
	if (may)
		CHECK_ERR(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0), ENOMEM);
	kill(pid, SIGKILL);
	CHECK_EQ(events(fd, 10000), POLLIN);
	CHECK_ERR(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0), ESRCH);
	CHECK_ERR(syscall(SYS_process_mrelease, fd, 0), ESRCH);
	CHECK_EQ(h_wait(pid), SIGKILL);
	close(fd);
	close(self);
	munmap(m, 8192);
}

struct info { /* struct pidfd_info */
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
};

TEST(get_info)
{
	unsigned long get = _IOWR(0xFF, 11, struct info);
	struct info i = {.mask = 3};
	pid_t pid = paused_child();
	int fd = pidfd_open_(pid, 0);

	if (ioctl(fd, get, &i) < 0 && errno == ENOTTY)
		SKIP("a kernel before 6.13");
	CHECK_EQ(i.mask & 3, 3);
	CHECK_EQ(i.pid, pid);
	CHECK_EQ(i.tgid, pid);
	CHECK_EQ(i.ppid, getpid());
	CHECK_EQ(i.ruid, getuid());
	CHECK_EQ(i.fsgid, getegid());
	CHECK_ERR(ioctl(fd, get, NULL), EINVAL);
	CHECK_ERR(ioctl(fd, get, (void *)8), EFAULT);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	i.mask = 3;
	CHECK_ERR(ioctl(fd, get, &i), ESRCH);
	i.mask = 8;
	OK(ioctl(fd, get, &i));
	CHECK_EQ(i.mask & 11, 8);
	CHECK_EQ(i.exit_code, SIGKILL);
	close(fd);
}

/* What a core dump of it would be like, which newer kernels tell. */
TEST(get_info_of_core)
{
	struct {
		struct info i;
		uint32_t coredump_mask, spare;
	} x = {.i.mask = 16};
	unsigned long get = _IOWR(0xFF, 11, struct info);
	int fd = pidfd_open_(getpid(), 0);
	pid_t pid;

	if (ioctl(fd, _IOWR(0xFF, 11, x), &x) < 0 || !(x.i.mask & 16))
		SKIP("a kernel before 6.16");
	CHECK_EQ(x.i.mask, 16 | 7);
	CHECK_EQ(x.coredump_mask, 4); /* PIDFD_COREDUMP_USER */
	OK(prctl(PR_SET_DUMPABLE, 0));
	OK(ioctl(fd, _IOWR(0xFF, 11, x), &x));
	CHECK_EQ(x.coredump_mask, 2); /* _SKIP */
	OK(prctl(PR_SET_DUMPABLE, 1));
	x.i.mask = 16;
	x.coredump_mask = 77;
	OK(ioctl(fd, get, &x));
	CHECK_EQ(x.coredump_mask, 77); /* behind what was asked for */
	close(fd);
	pid = h_fork();
	if (pid == 0)
		_exit(3);
	fd = pidfd_open_(pid, 0);
	CHECK_EQ(events(fd, 10000), POLLIN);
	x.i.mask = 16;
	OK(ioctl(fd, _IOWR(0xFF, 11, x), &x));
	CHECK_EQ(x.coredump_mask, 0);
	CHECK_EQ(h_wait(pid), W_EXIT(3));
	CHECK_ERR(ioctl(fd, _IOWR(0xFF, 11, x), &x), ESRCH);
	x.i.mask = 16 | 8;
	OK(ioctl(fd, _IOWR(0xFF, 11, x), &x));
	CHECK_EQ(x.i.mask & ~4u, 16 | 8);
	CHECK_EQ(x.i.exit_code, W_EXIT(3));
	close(fd);
}

/* What PIDFD_GET_*_NAMESPACE open, in their order from 1 on. */
static const char *const ns_names[] = {NULL,	"cgroup",	    "ipc",  "mnt",		 "net",	 "pid",
				       "pid_for_children", "time", "time_for_children", "user", "uts"};

static bool same_ns(int fd, const char *name)
{
	struct stat here, there;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino;
}

TEST(get_namespaces)
{
	pid_t pid = paused_child(), other;
	int fd = pidfd_open_(pid, 0), self = pidfd_open_(getpid(), 0);
	uint32_t version = 77;

	for (unsigned n = 1; n <= 10; n++) {
		int ns = ioctl(fd, _IO(0xFF, n), 0);

		CHECK(ns >= 0 && same_ns(ns, ns_names[n]));
		CHECK_EQ(fcntl(ns, F_GETFD), FD_CLOEXEC);
		CHECK_EQ(fcntl(ns, F_GETFL), O_RDONLY);
		CHECK_ERR(ioctl(fd, _IO(0xFF, n), 1), EINVAL);
		close(ns);
	}
	CHECK_ERR(ioctl(fd, _IO(0xFF, 0), 0), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(0xFF, 11), 0), ENOTTY);
	CHECK_ERR(ioctl(fd, _IO(0xFF, 12), 0), ENOTTY);
	CHECK_ERR(ioctl(fd, _IOW(0xFF, 3, int), 0), ENOTTY);
	if (ioctl(fd, _IOR('v', 1, long), &version) == 0) /* FS_IOC_GETVERSION; since 6.15 */
		CHECK_EQ(version, 0);
	if (geteuid() == 0) {
		other = h_fork();
		if (other == 0) {
			REQUIRE(setresuid(4242, 4242, 4242) == 0);
			CHECK_ERR(ioctl(self, _IO(0xFF, 10), 0), EACCES);
			CHECK_ERR(ioctl(self, _IO(0xFF, 10), 1), EINVAL);
			child_exit();
		}
		JOIN(other);
	}
	kill(pid, SIGKILL);
	CHECK_EQ(events(fd, 10000), POLLIN);
	CHECK_ERR(ioctl(fd, _IO(0xFF, 10), 0), ESRCH);
	CHECK_ERR(ioctl(fd, _IO(0xFF, 9), 0), ESRCH);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_ERR(ioctl(fd, _IO(0xFF, 10), 1), ESRCH);
	close(fd);
	close(self);
}

TEST(self)
{
	if (send_(PIDFD_SELF_GROUP, 0, NULL, 0) < 0)
		SKIP("a kernel before 6.14");
	OK(send_(-10000, 0, NULL, 0));
	CHECK_ERR(waitid(P_PIDFD, (id_t)PIDFD_SELF_GROUP, NULL, WEXITED), EINVAL);
}

/* ---- threads as parents ---- */

static void *forks_and_ends(void *arg)
{
	pid_t pid = paused_child();

	CHECK_EQ(waitpid(pid, NULL, WNOHANG | __WNOTHREAD), 0);
	return (void *)(long)pid;
}

TEST(children_of_a_thread)
{
	pthread_t th;
	void *pid;

	REQUIRE(pthread_create(&th, NULL, forks_and_ends, NULL) == 0);
	REQUIRE(pthread_join(th, &pid) == 0);
	kill((pid_t)(long)pid, SIGKILL);
	CHECK_EQ(h_wait((pid_t)(long)pid), SIGKILL);
}

static void *forks_and_waits(void *arg)
{
	*(pid_t *)arg = paused_child();
	gate_pass(&go);
	return NULL;
}

TEST(not_of_other_threads)
{
	_Atomic pid_t pid = 0;
	pthread_t th;

	gate_init(&go);
	REQUIRE(pthread_create(&th, NULL, forks_and_waits, &pid) == 0);
	while (!pid)
		sched_yield();
	CHECK_ERR(waitpid(-1, NULL, WNOHANG | __WNOTHREAD), ECHILD);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
	gate_open(&go);
	pthread_join(th, NULL);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	gate_free(&go);
}

static void *forks_a_mourner(void *arg)
{
	struct gate *ready = arg;
	pid_t pid = h_fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		gate_open(ready);
		for (;;)
			pause();
	}
	gate_pass(ready);
	return (void *)(long)pid;
}

TEST(pdeathsig_of_a_thread)
{
	struct gate ready;
	pthread_t th;
	void *pid;

	gate_init(&ready);
	REQUIRE(pthread_create(&th, NULL, forks_a_mourner, &ready) == 0);
	REQUIRE(pthread_join(th, &pid) == 0);
	CHECK_EQ(h_wait((pid_t)(long)pid), SIGTERM);
	gate_free(&ready);
}
