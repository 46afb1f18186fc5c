/* signalfd(2): what a read gives for each kind of signal, whose signals they are, and what poll and epoll say. */
#include "harness.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>

static sigset_t block(int a, int b)
{
	sigset_t m;

	sigemptyset(&m);
	sigaddset(&m, a);
	if (b)
		sigaddset(&m, b);
	REQUIRE(sigprocmask(SIG_BLOCK, &m, NULL) == 0);
	return m;
}

static short events(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	poll(&p, 1, 0);
	return p.revents;
}

static struct signalfd_siginfo take(int fd)
{
	struct signalfd_siginfo si;

	memset(&si, 0xff, sizeof(si));
	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	return si;
}

TEST(kill_and_sigqueue)
{
	sigset_t m = block(SIGUSR1, SIGRTMIN);
	int fd = signalfd(-1, &m, SFD_NONBLOCK | SFD_CLOEXEC);
	struct signalfd_siginfo si[3];

	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK_EQ(events(fd), 0);
	CHECK_ERR(read(fd, si, sizeof(si)), EAGAIN);
	kill(getpid(), SIGUSR1);
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = (void *)0x123456789abcdef0}));
	CHECK_EQ(events(fd), POLLIN);
	CHECK_EQ(read(fd, si, sizeof(si)), 2 * sizeof(si[0]));
	CHECK_EQ(si[0].ssi_signo, SIGUSR1);
	CHECK_EQ(si[0].ssi_code, SI_USER);
	CHECK_EQ(si[0].ssi_pid, getpid());
	CHECK_EQ(si[0].ssi_uid, getuid());
	CHECK_EQ(si[0].ssi_ptr, 0);
	CHECK_EQ(si[1].ssi_signo, SIGRTMIN);
	CHECK_EQ(si[1].ssi_code, SI_QUEUE);
	CHECK_EQ(si[1].ssi_ptr, 0x123456789abcdef0);
	CHECK_EQ(si[1].ssi_int, (int)0x9abcdef0);
	CHECK_EQ(si[1].ssi_pid, getpid());
	CHECK_EQ(events(fd), 0);
	close(fd);
}

TEST(child)
{
	sigset_t m = block(SIGCHLD, 0);
	int fd = signalfd(-1, &m, 0);
	struct signalfd_siginfo si;
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(7);
	si = take(fd);
	CHECK_EQ(si.ssi_signo, SIGCHLD);
	CHECK_EQ(si.ssi_code, CLD_EXITED);
	CHECK_EQ(si.ssi_pid, pid);
	CHECK_EQ(si.ssi_uid, getuid());
	CHECK_EQ(si.ssi_status, 7);
	CHECK_EQ(h_wait(pid), W_EXIT(7));
	close(fd);
}

TEST(kernel_sent)
{
	sigset_t m = block(SIGALRM, SIGPIPE);
	int fd = signalfd(-1, &m, 0), p[2];
	struct itimerval it = {.it_value.tv_usec = 1000};
	struct signalfd_siginfo si;

	OK(setitimer(ITIMER_REAL, &it, NULL));
	si = take(fd);
	CHECK_EQ(si.ssi_signo, SIGALRM);
	CHECK_EQ(si.ssi_code, SI_KERNEL);
	CHECK_EQ(si.ssi_pid, 0);
	OK(pipe(p));
	close(p[0]);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	si = take(fd);
	CHECK_EQ(si.ssi_signo, SIGPIPE);
	CHECK_EQ(si.ssi_code, SI_USER);
	CHECK_EQ(si.ssi_pid, getpid());
	close(p[1]);
	close(fd);
}

TEST(mask_is_replaced)
{
	sigset_t m = block(SIGUSR1, SIGUSR2), one;
	int fd = signalfd(-1, &m, SFD_NONBLOCK);
	struct signalfd_siginfo si;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	CHECK_EQ(signalfd(fd, &one, 0), fd);
	kill(getpid(), SIGUSR1);
	CHECK_EQ(events(fd), 0);
	CHECK_ERR(read(fd, &si, sizeof(si)), EAGAIN);
	kill(getpid(), SIGUSR2);
	CHECK_EQ(take(fd).ssi_signo, SIGUSR2);
	CHECK_EQ(signalfd(fd, &m, 0), fd);
	CHECK_EQ(take(fd).ssi_signo, SIGUSR1);
	close(fd);
}

TEST(shared_by_fork)
{
	sigset_t m = block(SIGUSR1, 0);
	int fd = signalfd(-1, &m, 0);
	struct signalfd_siginfo si;
	pid_t pid;

	kill(getpid(), SIGUSR1);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(events(fd), 0); /* the parent's signal is not the child's */
		si = take(fd);
		CHECK_EQ(si.ssi_pid, getppid());
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	kill(pid, SIGUSR1);
	JOIN(pid);
	CHECK_EQ(take(fd).ssi_pid, getpid());
	close(fd);
}

static void *reader(void *arg)
{
	struct signalfd_siginfo si;

	if (read(*(int *)arg, &si, sizeof(si)) != sizeof(si))
		return NULL;
	return (void *)(long)si.ssi_code;
}

TEST(thread_reads_its_own)
{
	sigset_t m = block(SIGUSR1, 0);
	int fd = signalfd(-1, &m, 0);
	pthread_t th;
	void *code;

	REQUIRE(pthread_create(&th, NULL, reader, &fd) == 0);
	REQUIRE(pthread_kill(th, SIGUSR1) == 0);
	REQUIRE(pthread_join(th, &code) == 0);
	CHECK_EQ((long)code, SI_TKILL);
	close(fd);
}

TEST(poll_and_epoll_wake)
{
	sigset_t m = block(SIGUSR1, 0);
	int fd = signalfd(-1, &m, SFD_NONBLOCK), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	pid_t me = getpid(), pid;

	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	for (int i = 0; i < 2; i++) {
		pid = h_fork();
		if (pid == 0) {
			CHECK(h_wait_state(me, "S"));
			kill(me, SIGUSR1);
			child_exit();
		}
		if (i == 0)
			CHECK_EQ(poll(&p, 1, 10000), 1);
		else
			CHECK_EQ(epoll_wait(ep, &ev, 1, 10000), 1);
		CHECK_EQ(take(fd).ssi_pid, pid);
		JOIN(pid);
	}
	close(ep);
	close(fd);
}

static volatile int handled;

static void on_signal(int sig)
{
	handled++;
}

TEST(interrupted)
{
	sigset_t m = block(SIGUSR1, 0);
	struct sigaction sa = {.sa_handler = on_signal};
	int fd = signalfd(-1, &m, 0);
	struct signalfd_siginfo si;
	pid_t me = getpid(), pid;

	OK(sigaction(SIGHUP, &sa, NULL));
	pid = h_fork();
	if (pid == 0) {
		CHECK(h_wait_state(me, "S"));
		kill(me, SIGHUP);
		child_exit();
	}
	CHECK_ERR(read(fd, &si, sizeof(si)), EINTR);
	CHECK_EQ(handled, 1);
	JOIN(pid);
	close(fd);
}

TEST(errors_and_fdinfo)
{
	sigset_t m = block(SIGUSR1, 0);
	struct signalfd_siginfo si;
	uint64_t mask = 0x40101; /* SIGHUP, SIGKILL, SIGSTOP */
	int fd = signalfd(-1, &m, 0), p[2];
	char path[64], text[512];

	OK(pipe(p));
	CHECK_ERR(signalfd(p[0], &m, 0), EINVAL);
	CHECK_ERR(signalfd(999, &m, 0), EBADF);
	CHECK_ERR(signalfd(-1, &m, 1), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, &m, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, NULL, 8, 0), EFAULT);
	CHECK_ERR(read(fd, &si, sizeof(si) - 1), EINVAL);
	CHECK_ERR(write(fd, &si, sizeof(si)), EINVAL);
	CHECK_ERR(pread(fd, &si, sizeof(si), 0), ESPIPE);
	kill(getpid(), SIGUSR1);
	CHECK_ERR(read(fd, (void *)8, sizeof(si)), EFAULT);
	CHECK_EQ(syscall(SYS_signalfd4, fd, &mask, 8, 0), fd);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	REQUIRE(read_file(path, text, sizeof(text)) > 0);
	CHECK(strstr(text, "sigmask:\t0000000000000001\n"));
	close(fd);
}
