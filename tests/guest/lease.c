/* Leases: F_SETLEASE, F_GETLEASE, and what opens and truncations do to them. */
#include "harness.h"

#include <poll.h>

#define RT (SIGRTMIN + 4)

static int fresh_file(int flags)
{
	int fd;

	use_tmpdir();
	unlink("leased");
	write_file("leased", "data", 4, 0666);
	fd = open("leased", flags);
	REQUIRE(fd >= 0);
	return fd;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, RT);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

/* The next of those, waiting for it up to 10 s; 0: none. */
static int next_signal(siginfo_t *si, int seconds)
{
	struct timespec limit = {seconds, 0};
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigaddset(&set, RT);
	do
		r = sigtimedwait(&set, si, &limit);
	while (r < 0 && errno == EINTR);
	return r < 0 ? 0 : r;
}

TEST(setting)
{
	int fd = fresh_file(O_RDONLY), rw, dir, p[2], path;

	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	CHECK_ERR(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
	CHECK_ERR(fcntl(fd, F_SETLEASE, 77), EINVAL);
	CHECK_ERR(fcntl(99, F_SETLEASE, F_RDLCK), EBADF);
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	OK(fcntl(fd, F_SETLEASE, F_WRLCK)); /* nobody else has it open */
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	rw = open("leased", O_RDWR);
	CHECK_ERR(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
	CHECK_ERR(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
	CHECK_ERR(fcntl(rw, F_SETLEASE, F_RDLCK), EAGAIN); /* itself open for writing */
	CHECK_ERR(fcntl(rw, F_SETLEASE, F_WRLCK), EAGAIN); /* fd */
	close(fd);
	OK(fcntl(rw, F_SETLEASE, F_WRLCK));
	path = open("leased", O_PATH); /* opens nothing */
	CHECK_EQ(fcntl(rw, F_GETLEASE), F_WRLCK);
	CHECK_ERR(fcntl(path, F_SETLEASE, F_RDLCK), EBADF);
	close(path);
	close(rw);
	dir = open(".", O_RDONLY);
	CHECK_ERR(fcntl(dir, F_SETLEASE, F_RDLCK), EINVAL);
	close(dir);
	REQUIRE(pipe(p) == 0);
	CHECK_ERR(fcntl(p[0], F_SETLEASE, F_RDLCK), EINVAL);
	close(p[0]);
	close(p[1]);
}

TEST(two_readers)
{
	int a = fresh_file(O_RDONLY), b = open("leased", O_RDONLY), c;

	OK(fcntl(a, F_SETLEASE, F_RDLCK));
	OK(fcntl(b, F_SETLEASE, F_RDLCK));
	CHECK_ERR(fcntl(a, F_SETLEASE, F_WRLCK), EAGAIN);
	c = open("leased", O_RDONLY); /* in nobody's way */
	CHECK(c >= 0);
	close(c);
	c = dup(a);
	close(a);
	CHECK_EQ(fcntl(c, F_GETLEASE), F_RDLCK); /* the open file's */
	close(c);
	close(b);
}

/* A child opens; what is done about it decides how that ends. */
static pid_t opener(int flags, int expected)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		int fd = open("leased", flags);

		if (expected)
			CHECK(fd < 0 && errno == expected);
		else
			CHECK(fd >= 0);
		child_exit();
	}
	return pid;
}

TEST(nonblocking_opener)
{
	int fd = fresh_file(O_RDONLY);
	siginfo_t si;

	block_signals();
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	JOIN(opener(O_WRONLY | O_NONBLOCK, EWOULDBLOCK));
	CHECK_EQ(next_signal(&si, 0), SIGIO);
	CHECK_EQ(si.si_code, SI_KERNEL);
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK); /* what it is asked to become */
	JOIN(opener(O_WRONLY | O_NONBLOCK, EWOULDBLOCK));
	CHECK_EQ(next_signal(&si, 0), 0); /* it is not asked again */
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	JOIN(opener(O_WRONLY | O_NONBLOCK, 0));
	close(fd);
}

TEST(blocking_openers)
{
	int fd = fresh_file(O_RDONLY);
	siginfo_t si;
	pid_t pid;

	block_signals();
	OK(fcntl(fd, F_SETLEASE, F_WRLCK));
	OK(fcntl(fd, F_SETSIG, RT));
	pid = opener(O_RDONLY, 0);
	CHECK_EQ(next_signal(&si, 10), RT);
	CHECK_EQ(si.si_fd, fd);
	CHECK_EQ(si.si_code, 3); /* POLL_MSG */
	CHECK_EQ(si.si_band, POLLIN | POLLRDNORM | POLLMSG);
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	CHECK(h_wait_state(pid, "S"));
	OK(fcntl(fd, F_SETLEASE, F_RDLCK)); /* is enough for a reader */
	JOIN(pid);
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
	pid = opener(O_RDWR, 0);
	CHECK_EQ(next_signal(&si, 10), RT);
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	CHECK(h_wait_state(pid, "S"));
	OK(fcntl(fd, F_SETLEASE, F_UNLCK));
	JOIN(pid);
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	CHECK_EQ(fcntl(fd, F_GETSIG), 0); /* the owner and its signal went with it */
	CHECK_EQ(fcntl(fd, F_GETOWN), 0);
	close(fd);
}

TEST(truncation_and_close)
{
	int fd = fresh_file(O_RDONLY);
	siginfo_t si;
	pid_t pid;

	block_signals();
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = h_fork();
	if (pid == 0) {
		close(fd);
		OK(truncate("leased", 1));
		child_exit();
	}
	CHECK_EQ(next_signal(&si, 10), SIGIO);
	CHECK(h_wait_state(pid, "S"));
	close(fd); /* ends the lease */
	JOIN(pid);
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST(interrupted_opener)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int fd = fresh_file(O_RDONLY);
	siginfo_t si;
	pid_t pid;

	block_signals();
	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = opener(O_WRONLY, EINTR);
	CHECK_EQ(next_signal(&si, 10), SIGIO);
	CHECK(h_wait_state(pid, "S"));
	OK(kill(pid, SIGUSR1));
	JOIN(pid);
	close(fd);
}

TEST(shown)
{
	char buf[8192], want[64], path[64];
	int fd = fresh_file(O_RDONLY);

	block_signals();
	OK(fcntl(fd, F_SETLEASE, F_RDLCK));
	snprintf(want, sizeof(want), ": LEASE  ACTIVE    READ %d ", getpid());
	CHECK(read_file("/proc/locks", buf, sizeof(buf)) > 0 && strstr(buf, want));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	CHECK(read_file(path, buf, sizeof(buf)) > 0 && strstr(buf, want));
	JOIN(opener(O_WRONLY | O_NONBLOCK, EWOULDBLOCK));
	snprintf(want, sizeof(want), ": LEASE  BREAKING  UNLCK %d ", getpid());
	CHECK(read_file("/proc/locks", buf, sizeof(buf)) > 0 && strstr(buf, want));
	close(fd);
}

TEST(others_files)
{
	int fd;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("needs root");
	fd = fresh_file(O_RDONLY);
	pid = h_fork();
	if (pid == 0) {
		OK(setresuid(1234, 1234, 1234));
		CHECK_ERR(fcntl(fd, F_SETLEASE, F_RDLCK), EACCES);
		child_exit();
	}
	JOIN(pid);
	OK(fchown(fd, 1234, 1234));
	OK(fcntl(fd, F_SETLEASE, F_RDLCK)); /* CAP_LEASE */
	close(fd);
}
