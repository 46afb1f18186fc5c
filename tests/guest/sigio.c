/* Signal-driven input and output: O_ASYNC, owners and their signals, for each kind of file that has it. */
#include "harness.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef POLL_IN
#define POLL_IN 1
#endif
#define RT (SIGRTMIN + 3)
#define IN_BAND (POLLIN | POLLRDNORM)
#define OUT_BAND (POLLOUT | POLLWRNORM | POLLWRBAND)

static void block_all(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, RT);
	sigaddset(&set, RT + 1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

/* Takes a pending signal of those that block_all blocks; 0 if there is none. */
static int taken(siginfo_t *si)
{
	struct timespec none = {0, 0};
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, RT);
	sigaddset(&set, RT + 1);
	memset(si, 0, sizeof(*si));
	r = sigtimedwait(&set, si, &none);
	return r < 0 ? 0 : r;
}

static void check_news(int line, int sig, int fd, int code, long band)
{
	siginfo_t si;
	int got = taken(&si);

	if (got != sig || (sig && (si.si_code != code || si.si_fd != fd || si.si_band != band)))
		H_FAIL("line %d: signal %d code %d fd %d band 0x%lx\n", line, got, si.si_code, si.si_fd, (long)si.si_band);
}
#define CHECK_NEWS(fd, code, band) check_news(__LINE__, RT, fd, code, band)
#define CHECK_NO_NEWS() check_news(__LINE__, 0, 0, 0, 0)

static void drop_news(void)
{
	siginfo_t si;

	while (taken(&si))
		;
}

static void be_told(int fd, int sig)
{
	OK(fcntl(fd, F_SETOWN, getpid()));
	OK(fcntl(fd, F_SETSIG, sig));
	OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

TEST(pipes)
{
	char buf[8];
	int p[2];

	block_all();
	REQUIRE(pipe(p) == 0);
	be_told(p[0], RT);
	CHECK(fcntl(p[0], F_GETFL) & O_ASYNC);
	CHECK_NO_NEWS();
	CHECK_EQ(write(p[1], "ab", 2), 2);
	CHECK_NEWS(p[0], POLL_IN, IN_BAND);
	CHECK_NO_NEWS();
	CHECK_EQ(write(p[1], "c", 1), 1); /* it need not have been empty */
	CHECK_NEWS(p[0], POLL_IN, IN_BAND);
	OK(fcntl(p[0], F_SETFL, 0));
	CHECK_EQ(write(p[1], "c", 1), 1);
	CHECK_NO_NEWS();
	be_told(p[1], RT);
	CHECK_EQ(read(p[0], buf, 1), 1);
	CHECK_NEWS(p[1], POLL_OUT, OUT_BAND);
	OK(fcntl(p[0], F_SETFL, O_ASYNC)); /* the owner was kept */
	OK(fcntl(p[1], F_SETFL, 0));
	drop_news();
	close(p[1]);
	CHECK_NEWS(p[0], POLL_IN, IN_BAND);
	CHECK_NO_NEWS();
	close(p[0]);
}

TEST(plain)
{
	siginfo_t si;
	int p[2];

	block_all();
	REQUIRE(pipe(p) == 0);
	be_told(p[0], 0);
	CHECK_EQ(fcntl(p[0], F_GETSIG), 0);
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(taken(&si), SIGIO);
	CHECK_EQ(si.si_code, SI_KERNEL);
	CHECK_EQ(si.si_pid, 0);
	/* SIGIO asked for by name comes with all that is known. */
	OK(fcntl(p[0], F_SETSIG, SIGIO));
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(taken(&si), SIGIO);
	CHECK_EQ(si.si_code, POLL_IN);
	CHECK_EQ(si.si_fd, p[0]);
	/* A signal with codes of its own. */
	OK(fcntl(p[0], F_SETSIG, SIGCHLD));
	CHECK_EQ(write(p[1], "a", 1), 1);
	CHECK_EQ(taken(&si), SIGCHLD);
	CHECK_EQ(si.si_code, SI_SIGIO);
	CHECK_EQ(si.si_fd, p[0]);
	CHECK_ERR(fcntl(p[0], F_SETSIG, 65), EINVAL);
	CHECK_ERR(fcntl(p[0], F_SETSIG, -1), EINVAL);
	close(p[0]);
	close(p[1]);
}

TEST(fifo)
{
	char c;
	int fd;

	block_all();
	use_tmpdir();
	REQUIRE(mkfifo("fifo", 0600) == 0);
	fd = open("fifo", O_RDWR);
	be_told(fd, RT);
	CHECK_EQ(write(fd, "a", 1), 1);
	CHECK_NEWS(fd, POLL_IN, IN_BAND);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_NEWS(fd, POLL_OUT, OUT_BAND);
	CHECK_NO_NEWS();
	close(fd);
}

TEST(sockets)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

	block_all();
	for (int k = 0; k < 3; k++) {
		int sv[2], on = 1, who = getpid();
		char c;

		REQUIRE(socketpair(AF_UNIX, types[k], 0, sv) == 0);
		OK(ioctl(sv[0], FIOSETOWN, &who));
		who = 0;
		OK(ioctl(sv[0], SIOCGPGRP, &who));
		CHECK_EQ(who, getpid());
		OK(fcntl(sv[0], F_SETSIG, RT));
		OK(ioctl(sv[0], FIOASYNC, &on));
		CHECK(fcntl(sv[0], F_GETFL) & O_ASYNC);
		CHECK_EQ(write(sv[1], "a", 1), 1);
		CHECK_NEWS(sv[0], POLL_IN, IN_BAND);
		CHECK_EQ(read(sv[0], &c, 1), 1);
		CHECK_EQ(write(sv[0], "a", 1), 1);
		CHECK_EQ(read(sv[1], &c, 1), 1); /* there was room before */
		CHECK_NO_NEWS();
		if (types[k] != SOCK_DGRAM) {
			OK(shutdown(sv[1], SHUT_WR));
			CHECK_NEWS(sv[0], POLL_IN, IN_BAND);
		}
		close(sv[1]);
		if (types[k] != SOCK_DGRAM)
			CHECK_NEWS(sv[0], POLL_HUP, POLLHUP | POLLERR);
		CHECK_NO_NEWS();
		on = 0;
		OK(ioctl(sv[0], FIOASYNC, &on));
		CHECK(!(fcntl(sv[0], F_GETFL) & O_ASYNC));
		who = -getpgrp();
		OK(ioctl(sv[0], SIOCSPGRP, &who));
		CHECK_EQ(fcntl(sv[0], F_GETOWN), -getpgrp());
		who = 999999;
		CHECK_ERR(ioctl(sv[0], FIOSETOWN, &who), ESRCH);
		CHECK_ERR(ioctl(sv[0], FIOSETOWN, 8), EFAULT);
		close(sv[0]);
	}
}

/* Only who found no room is told of it. */
TEST(socket_room)
{
	char buf[4096] = "";
	int sv[2];

	block_all();
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	be_told(sv[0], RT);
	while (write(sv[0], buf, sizeof(buf)) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK_NO_NEWS();
	while (read(sv[1], buf, sizeof(buf)) > 0)
		;
	CHECK_NEWS(sv[0], POLL_OUT, OUT_BAND);
	CHECK_NO_NEWS();
	close(sv[0]);
	close(sv[1]);
}

TEST(inotify)
{
	int fd = inotify_init1(IN_NONBLOCK);

	block_all();
	use_tmpdir();
	REQUIRE(fd >= 0 && inotify_add_watch(fd, ".", IN_CREATE) > 0);
	be_told(fd, RT);
	close(open("new", O_CREAT | O_WRONLY, 0600));
	CHECK_NEWS(fd, POLL_IN, IN_BAND);
	CHECK_NO_NEWS();
	OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	close(open("newer", O_CREAT | O_WRONLY, 0600));
	CHECK_NO_NEWS();
	close(fd);
}

TEST(terminals)
{
	struct f_owner_ex ex;
	char name[64], buf[8];
	int m = posix_openpt(O_RDWR | O_NOCTTY), s;

	block_all();
	REQUIRE(m >= 0 && grantpt(m) == 0 && unlockpt(m) == 0 && ptsname_r(m, name, sizeof(name)) == 0);
	s = open(name, O_RDWR | O_NOCTTY);
	REQUIRE(s >= 0);
	OK(fcntl(s, F_SETSIG, RT));
	OK(fcntl(s, F_SETFL, O_RDWR | O_ASYNC));
	OK(fcntl(s, F_GETOWN_EX, &ex)); /* the caller, since no group is in its foreground */
	CHECK_EQ(ex.type, F_OWNER_PID);
	CHECK_EQ(ex.pid, getpid());
	CHECK_EQ(write(m, "a\n", 2), 2);
	CHECK(h_wait_state(getpid(), "R"));
	for (int n = 0; n < 1000 && poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 10) != 1; n++)
		;
	CHECK_NEWS(s, POLL_IN, IN_BAND);
	drop_news();
	CHECK_EQ(read(s, buf, 8), 2);
	OK(fcntl(s, F_SETFL, O_RDWR));
	be_told(m, RT + 1);
	CHECK_EQ(write(s, "x", 1), 1);
	siginfo_t si;
	struct timespec long_time = {10, 0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, RT + 1); /* output goes through a work queue */
	CHECK_EQ(sigtimedwait(&set, &si, &long_time), RT + 1);
	CHECK_EQ(si.si_fd, m);
	CHECK_EQ(si.si_code, POLL_IN);
	close(s);
	close(m);
	drop_news();
}

/* What has nothing to tell passes over the flag, and refuses the request. */
TEST(files_without)
{
	int on = 1, off = 0, fd = eventfd(0, 0), file;

	block_all();
	drop_news();
	use_tmpdir();
	file = open("file", O_RDWR | O_CREAT, 0600);
	CHECK_ERR(ioctl(fd, FIOASYNC, &on), ENOTTY);
	CHECK_ERR(ioctl(file, FIOASYNC, &on), ENOTTY);
	OK(ioctl(fd, FIOASYNC, &off));
	CHECK_ERR(ioctl(fd, FIOASYNC, 8), EFAULT);
	be_told(fd, RT);
	be_told(file, RT);
	CHECK(!(fcntl(fd, F_GETFL) & O_ASYNC));
	CHECK(!(fcntl(file, F_GETFL) & O_ASYNC));
	OK(eventfd_write(fd, 1));
	CHECK_EQ(write(file, "x", 1), 1);
	CHECK_NO_NEWS();
	CHECK_ERR(ioctl(fd, FIOSETOWN, &on), ENOTTY);
	CHECK_ERR(ioctl(file, FIOGETOWN, &on), ENOTTY);
	close(fd);
	close(file);
}

TEST(owners)
{
	struct f_owner_ex ex = {7, 7};
	pid_t pid;
	int p[2];

	REQUIRE(pipe(p) == 0);
	OK(fcntl(p[0], F_GETOWN_EX, &ex));
	CHECK_EQ(ex.type, F_OWNER_TID);
	CHECK_EQ(ex.pid, 0);
	CHECK_EQ(fcntl(p[0], F_GETOWN), 0);
	CHECK_ERR(fcntl(p[0], F_SETOWN, 999999), ESRCH);
	CHECK_ERR(fcntl(p[0], F_SETOWN, -999999), ESRCH);
	CHECK_ERR(fcntl(p[0], F_SETOWN, INT32_MIN), EINVAL);
	ex = (struct f_owner_ex){3, getpid()};
	CHECK_ERR(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	ex = (struct f_owner_ex){F_OWNER_PID, 999999};
	CHECK_ERR(fcntl(p[0], F_SETOWN_EX, &ex), ESRCH);
	CHECK_ERR(syscall(SYS_fcntl, p[0], F_SETOWN_EX, 8), EFAULT);
	ex = (struct f_owner_ex){F_OWNER_PGRP, getpgrp()};
	OK(fcntl(p[0], F_SETOWN_EX, &ex));
	CHECK_EQ(fcntl(p[0], F_GETOWN), -getpgrp());
	pid = h_fork();
	if (pid == 0)
		pause();
	OK(fcntl(p[0], F_SETOWN, pid));
	CHECK_EQ(fcntl(p[0], F_GETOWN), pid);
	OK(kill(pid, SIGKILL));
	h_wait(pid);
	CHECK_EQ(fcntl(p[0], F_GETOWN), 0);
	OK(fcntl(p[0], F_GETOWN_EX, &ex));
	CHECK_EQ(ex.type, F_OWNER_PID);
	CHECK_EQ(ex.pid, 0);
	close(p[0]);
	close(p[1]);
}

static pthread_barrier_t barrier;
static int thread_tid, thread_got;

static void *listener(void *arg)
{
	siginfo_t si;

	(void)arg;
	thread_tid = (int)syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	thread_got = taken(&si);
	return NULL;
}

TEST(one_thread)
{
	struct f_owner_ex ex = {F_OWNER_TID, 0};
	pthread_t th;
	int p[2];

	block_all();
	drop_news();
	REQUIRE(pipe(p) == 0);
	pthread_barrier_init(&barrier, NULL, 2);
	OK(pthread_create(&th, NULL, listener, NULL));
	pthread_barrier_wait(&barrier);
	ex.pid = thread_tid;
	OK(fcntl(p[0], F_SETOWN_EX, &ex));
	OK(fcntl(p[0], F_SETSIG, RT));
	OK(fcntl(p[0], F_SETFL, O_ASYNC));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_NO_NEWS(); /* it is not ours */
	pthread_barrier_wait(&barrier);
	pthread_join(th, NULL);
	CHECK_EQ(thread_got, RT);
	CHECK_EQ(write(p[1], "x", 1), 1); /* to nobody */
	CHECK_NO_NEWS();
	close(p[0]);
	close(p[1]);
}

TEST(group)
{
	struct gate ready, sent;
	int p[2];
	pid_t pid;

	block_all();
	gate_init(&ready);
	gate_init(&sent);
	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		siginfo_t si;

		OK(setpgid(0, 0));
		gate_open(&ready);
		gate_pass(&sent);
		CHECK_EQ(taken(&si), RT);
		CHECK_EQ(si.si_fd, p[0]);
		child_exit();
	}
	gate_pass(&ready);
	drop_news();
	OK(fcntl(p[0], F_SETOWN, -pid));
	OK(fcntl(p[0], F_SETSIG, RT));
	OK(fcntl(p[0], F_SETFL, O_ASYNC));
	CHECK_EQ(write(p[1], "x", 1), 1);
	gate_open(&sent);
	JOIN(pid);
	drop_news();
	close(p[0]);
	close(p[1]);
	gate_free(&ready);
	gate_free(&sent);
}

/* The ids of who set the owner count, at the time it was set. */
TEST(permission)
{
	struct gate set;
	int p[2];
	pid_t pid, me = getpid();

	if (geteuid() != 0)
		SKIP("needs root");
	block_all();
	gate_init(&set);
	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		OK(setresuid(1234, 1234, 1234));
		OK(fcntl(p[0], F_SETOWN, me));
		OK(fcntl(p[0], F_SETSIG, RT));
		OK(fcntl(p[0], F_SETFL, O_ASYNC));
		child_exit();
	}
	JOIN(pid);
	drop_news(); /* SIGCHLD */
	CHECK_EQ(fcntl(p[0], F_GETOWN), me);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_NO_NEWS();
	OK(fcntl(p[0], F_SETOWN, me));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_NEWS(p[0], POLL_IN, IN_BAND);
	close(p[0]);
	close(p[1]);
	gate_free(&set);
}

TEST(overflow)
{
	struct rlimit none = {0, 0};
	pid_t pid = h_fork();

	if (pid == 0) {
		siginfo_t si;
		int p[2];

		block_all();
		REQUIRE(pipe(p) == 0);
		be_told(p[0], RT);
		OK(setrlimit(RLIMIT_SIGPENDING, &none));
		CHECK_EQ(write(p[1], "x", 1), 1);
		CHECK_EQ(taken(&si), SIGIO); /* there was no room for the other */
		CHECK_EQ(si.si_code, SI_KERNEL);
		CHECK_EQ(taken(&si), 0);
		child_exit();
	}
	JOIN(pid);
}

static volatile sig_atomic_t handled, handled_fd;

static void on_io(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	handled++;
	handled_fd = si->si_fd;
}

/* Before write(2) returns; and a descriptor's copy is told of by the number that asked. */
TEST(handler)
{
	struct sigaction sa = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
	int p[2], copy;

	REQUIRE(pipe(p) == 0);
	OK(sigaction(RT + 2, &sa, NULL));
	be_told(p[0], RT + 2);
	copy = dup(p[0]);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(handled, 1);
	CHECK_EQ(handled_fd, p[0]);
	close(p[0]);
	CHECK_EQ(write(p[1], "x", 1), 1); /* the copy keeps it going */
	CHECK_EQ(handled, 2);
	close(copy);
	close(p[1]);
	CHECK_EQ(handled, 2);
}
