/* POSIX message queues: mq_overview(7), and the calls beneath <mqueue.h>. */
#include "harness.h"

#include <dirent.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

static char name[64];

static mqd_t make(int flags, long maxmsg, long msgsize)
{
	struct mq_attr a = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
	mqd_t q;

	snprintf(name, sizeof(name), "/guest.%d", (int)getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | flags, 0600, &a);
	REQUIRE(q >= 0);
	return q;
}

static void done(mqd_t q)
{
	OK(mq_close(q));
	OK(mq_unlink(name));
}

static struct timespec from_now(long ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

#define TAKE(q, text, want_prio)                                                                                       \
	do {                                                                                                           \
		char buf_[64] = "";                                                                                    \
		unsigned prio_ = 0;                                                                                    \
		CHECK_EQ(mq_receive(q, buf_, sizeof(buf_), &prio_), (ssize_t)strlen(text) + 1);                        \
		CHECK_STR(buf_, text);                                                                                 \
		CHECK_EQ(prio_, want_prio);                                                                            \
	} while (0)
#define GIVE(q, text, prio) OK(mq_send(q, text, strlen(text) + 1, prio))

TEST(priorities)
{
	mqd_t q = make(0, 8, 64);
	char small[63];

	GIVE(q, "a", 1);
	GIVE(q, "b", 5);
	GIVE(q, "c", 1);
	GIVE(q, "d", 5);
	GIVE(q, "e", 32767);
	CHECK_ERR(mq_send(q, "f", 1, 32768), EINVAL);
	CHECK_ERR(mq_receive(q, small, sizeof(small), NULL), EMSGSIZE);
	TAKE(q, "e", 32767);
	TAKE(q, "b", 5);
	TAKE(q, "d", 5);
	TAKE(q, "a", 1);
	TAKE(q, "c", 1);
	OK(mq_send(q, "", 0, 0));
	CHECK_EQ(mq_receive(q, (char[64]){0}, 64, NULL), 0);
	done(q);
}

TEST(names)
{
	struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 8};
	char longname[300];
	mqd_t q = make(0, 1, 8), other;

	CHECK_ERR(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a), EEXIST);
	CHECK_ERR(mq_open(name, O_RDWR | O_WRONLY), EINVAL);
	other = mq_open(name, O_RDONLY | O_CREAT, 0600, &a);
	CHECK(other >= 0);
	CHECK_ERR(mq_send(other, "x", 1, 0), EBADF);
	CHECK_EQ(fcntl(other, F_GETFD), FD_CLOEXEC);
	OK(mq_close(other));
	other = mq_open(name, O_WRONLY);
	CHECK_ERR(mq_receive(other, (char[8]){0}, 8, NULL), EBADF);
	OK(mq_close(other));
	done(q);
	CHECK_ERR(mq_unlink(name), ENOENT);
	CHECK_ERR(mq_open(name, O_RDWR), ENOENT);
	CHECK_ERR(syscall(SYS_mq_open, "", O_RDWR, 0, NULL), ENOENT);
	CHECK_ERR(syscall(SYS_mq_open, "a/b", O_RDWR, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, ".", O_RDONLY, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, "..", O_RDONLY, 0, NULL), EACCES);
	CHECK_ERR(syscall(SYS_mq_open, 8, O_RDWR, 0, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_open, "a", O_RDWR | O_CREAT, 0600, 8), EFAULT);
	memset(longname, 'n', sizeof(longname) - 1);
	longname[299] = 0;
	CHECK_ERR(syscall(SYS_mq_open, longname, O_RDWR | O_CREAT, 0600, NULL), ENAMETOOLONG);
	CHECK_ERR(syscall(SYS_mq_open, "a", O_RDWR | O_CREAT, 0600, &(struct mq_attr){0}), EINVAL);
	CHECK_ERR(syscall(SYS_mq_open, "a", O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = (16 << 20) + 1}),
		  EINVAL);
	CHECK_ERR(syscall(SYS_mq_open, "a", O_RDWR | O_CREAT, 0600, &(struct mq_attr){.mq_maxmsg = 65537, .mq_msgsize = 1}), EINVAL);
}

TEST(attributes)
{
	struct mq_attr a, old;
	mqd_t q = make(0, 3, 16), file;

	GIVE(q, "x", 0);
	OK(mq_getattr(q, &a));
	CHECK_EQ(a.mq_flags, 0);
	CHECK_EQ(a.mq_maxmsg, 3);
	CHECK_EQ(a.mq_msgsize, 16);
	CHECK_EQ(a.mq_curmsgs, 1);
	a = (struct mq_attr){.mq_flags = O_NONBLOCK, .mq_maxmsg = 77};
	OK(mq_setattr(q, &a, &old));
	CHECK_EQ(old.mq_flags, 0);
	CHECK_EQ(fcntl(q, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	OK(mq_getattr(q, &a));
	CHECK_EQ(a.mq_flags, O_NONBLOCK);
	CHECK_EQ(a.mq_maxmsg, 3);
	a.mq_flags = O_APPEND;
	CHECK_ERR(mq_setattr(q, &a, NULL), EINVAL);
	CHECK_ERR(mq_getattr(-1, &a), EBADF);
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, NULL, 8), EFAULT);
	file = open("/dev/null", O_RDWR);
	CHECK_ERR(mq_getattr(file, &a), EBADF);
	CHECK_ERR(mq_send(file, "x", 1, 0), EBADF);
	CHECK_ERR(syscall(SYS_mq_notify, file, NULL), EBADF);
	close(file);
	CHECK_ERR(mq_send(q, "0123456789abcdefg", 17, 0), EMSGSIZE);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, 8, 4, 0, NULL), EFAULT);
	done(q);
}

TEST(nonblock_and_poll)
{
	mqd_t q = make(O_NONBLOCK, 1, 64);
	struct pollfd p = {q, POLLIN | POLLOUT, 0};

	CHECK_ERR(mq_receive(q, (char[64]){0}, 64, NULL), EAGAIN);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	GIVE(q, "x", 0);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_ERR(mq_send(q, "y", 1, 0), EAGAIN);
	TAKE(q, "x", 0);
	done(q);
}

TEST(poll_wakes)
{
	mqd_t q = make(0, 1, 64);
	pid_t self = getpid(), child = h_fork();
	struct pollfd p = {q, POLLIN, 0};

	if (child == 0) {
		CHECK(h_wait_state(self, "S"));
		GIVE(q, "wake", 2);
		child_exit();
	}
	CHECK_EQ(poll(&p, 1, 20000), 1);
	CHECK_EQ(p.revents, POLLIN);
	TAKE(q, "wake", 2);
	JOIN(child);
	done(q);
}

TEST(timeouts)
{
	mqd_t q = make(0, 1, 64);
	struct timespec ts = from_now(30), bad = {0, 1000000000};
	char buf[64];

	CHECK_ERR(mq_timedreceive(q, buf, 64, NULL, &ts), ETIMEDOUT);
	CHECK_ERR(mq_timedreceive(q, buf, 64, NULL, &bad), EINVAL);
	CHECK_ERR(syscall(SYS_mq_timedreceive, q, buf, 64, NULL, 8), EFAULT);
	GIVE(q, "full", 0);
	ts = from_now(30);
	CHECK_ERR(mq_timedsend(q, "x", 1, 0, &ts), ETIMEDOUT);
	ts = from_now(-1000);
	CHECK_ERR(mq_timedsend(q, "x", 1, 0, &ts), ETIMEDOUT);
	CHECK_EQ(mq_timedreceive(q, buf, 64, NULL, &ts), 5);
	done(q);
}

TEST(hand_over)
{
	mqd_t q = make(0, 1, 64);
	pid_t child = h_fork();

	if (child == 0) {
		TAKE(q, "to a waiter", 9);
		GIVE(q, "one", 1);
		GIVE(q, "two", 2);
		child_exit();
	}
	CHECK(h_wait_state(child, "S"));
	GIVE(q, "to a waiter", 9);
	CHECK(h_wait_state(child, "S"));
	TAKE(q, "one", 1);
	TAKE(q, "two", 2);
	JOIN(child);
	done(q);
}

static volatile sig_atomic_t caught;
static siginfo_t caught_info;

static void handler(int sig, siginfo_t *info, void *uc)
{
	caught = sig;
	caught_info = *info;
}

static void catch_with(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	caught = 0;
	OK(sigaction(sig, &sa, NULL));
}

TEST(interrupted)
{
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		mqd_t q = make(0, 1, 64);
		pid_t self = getpid(), child;

		catch_with(SIGUSR1, flags);
		child = h_fork();
		if (child == 0) {
			CHECK(h_wait_state(self, "S"));
			kill(self, SIGUSR1);
			if (flags) {
				CHECK(h_wait_state(self, "S"));
				GIVE(q, "after", 0);
			}
			child_exit();
		}
		if (flags)
			TAKE(q, "after", 0);
		else
			CHECK_ERR(mq_receive(q, (char[64]){0}, 64, NULL), EINTR);
		CHECK_EQ(caught, SIGUSR1);
		JOIN(child);
		done(q);
	}
}

TEST(notify_signal)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 4711};
	mqd_t q = make(0, 4, 64), twin;
	char buf[128], path[80];
	pid_t child;

	catch_with(SIGUSR2, 0);
	OK(mq_notify(q, &ev));
	CHECK_ERR(mq_notify(q, &ev), EBUSY);
	child = h_fork();
	if (child == 0) {
		CHECK_ERR(mq_notify(q, &ev), EBUSY);
		OK(mq_notify(q, NULL)); /* not its own */
		GIVE(q, "told", 0);
		child_exit();
	}
	while (h_wait(child) == -1 && errno == EINTR)
		;
	CHECK_EQ(caught, SIGUSR2);
	CHECK_EQ(caught_info.si_code, SI_MESGQ);
	CHECK_EQ(caught_info.si_pid, child);
	CHECK_EQ(caught_info.si_uid, getuid());
	CHECK_EQ(caught_info.si_value.sival_int, 4711);
	caught = 0;
	OK(mq_notify(q, &ev)); /* it holds for one message, and only if the queue was empty */
	GIVE(q, "second", 0);
	CHECK_EQ(caught, 0);
	TAKE(q, "told", 0);
	TAKE(q, "second", 0);
	snprintf(path, sizeof(path), "/dev/mqueue%s", name);
	if (access(path, F_OK) == 0) {
		char want[128];

		snprintf(want, sizeof(want), "QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", 0, SIGEV_SIGNAL, SIGUSR2, getpid());
		CHECK(read_file(path, buf, sizeof(buf)) > 0);
		CHECK_STR(buf, want);
	}
	twin = dup(q);
	OK(mq_close(twin)); /* takes it back */
	OK(mq_notify(q, &(struct sigevent){.sigev_notify = SIGEV_NONE}));
	GIVE(q, "quiet", 0);
	CHECK_EQ(caught, 0);
	OK(mq_notify(q, &ev)); /* SIGEV_NONE's is used up, too */
	OK(mq_notify(q, NULL));
	done(q);
}

TEST(notify_ends_with_its_process)
{
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	mqd_t q = make(0, 1, 8);
	pid_t child = h_fork();

	if (child == 0) {
		OK(mq_notify(q, &ev));
		child_exit();
	}
	JOIN(child);
	OK(mq_notify(q, &ev));
	done(q);
}

TEST(notify_errors)
{
	struct sigevent ev = {.sigev_notify = 77};
	mqd_t q = make(0, 1, 8);
	int pair[2];

	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EINVAL);
	ev = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EINVAL);
	CHECK_ERR(syscall(SYS_mq_notify, -1, NULL), EBADF);
	CHECK_ERR(syscall(SYS_mq_notify, q, 8), EFAULT);
	ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_signo = -1, .sigev_value.sival_ptr = (void *)8};
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EFAULT);
	ev.sigev_value.sival_ptr = (char[32]){0};
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EBADF);
	ev.sigev_signo = q;
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), ENOTSOCK);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ev.sigev_signo = pair[0];
	CHECK_ERR(syscall(SYS_mq_notify, q, &ev), EINVAL);
	close(pair[0]);
	close(pair[1]);
	done(q);
}

TEST(file_system)
{
	char path[80], buf[128];
	bool listed = false;
	struct dirent *e;
	struct stat st;
	mqd_t q = make(0, 4, 64);
	DIR *dir;

	snprintf(path, sizeof(path), "/dev/mqueue%s", name);
	if (stat(path, &st) < 0) {
		done(q);
		SKIP("/dev/mqueue is not this namespace's");
	}
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 80);
	GIVE(q, "12345", 0);
	CHECK(read_file(path, buf, sizeof(buf)) > 0);
	CHECK_STR(buf, "QSIZE:6          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n");
	dir = opendir("/dev/mqueue");
	REQUIRE(dir);
	while ((e = readdir(dir)))
		listed = listed || !strcmp(e->d_name, name + 1);
	closedir(dir);
	CHECK(listed);
	OK(unlink(path));
	CHECK_ERR(mq_unlink(name), ENOENT);
	TAKE(q, "12345", 0); /* it lives on */
	OK(mq_close(q));
	q = open(path, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	CHECK(q >= 0);
	CHECK_ERR(mq_send(q, buf, 8193, 0), EMSGSIZE); /* the default size */
	CHECK_ERR(mkdir("/dev/mqueue/d", 0700), EPERM);
	done(q);
}

TEST(limits)
{
	struct rlimit old, r;
	struct mq_attr a = {.mq_maxmsg = 2, .mq_msgsize = 100};
	mqd_t q;

	snprintf(name, sizeof(name), "/guest.%d", (int)getpid());
	OK(getrlimit(RLIMIT_MSGQUEUE, &old));
	r = (struct rlimit){2 * 100 + 2 * 96 - 1, old.rlim_max};
	OK(setrlimit(RLIMIT_MSGQUEUE, &r));
	CHECK_ERR(mq_open(name, O_RDWR | O_CREAT, 0600, &a), EMFILE);
	r.rlim_cur++;
	OK(setrlimit(RLIMIT_MSGQUEUE, &r));
	q = mq_open(name, O_RDWR | O_CREAT, 0600, &a);
	if (CHECK(q >= 0))
		done(q);
	OK(setrlimit(RLIMIT_MSGQUEUE, &old));
}

TEST(name_of_a_descriptor)
{
	char path[64], link[128] = "";
	mqd_t q = mq_open("/bailey-named", O_RDWR | O_CREAT, 0600, NULL);

	REQUIRE(q >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)q);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0);
	CHECK_STR(link, "/bailey-named");
	OK(mq_unlink("/bailey-named"));
	memset(link, 0, sizeof(link));
	CHECK(readlink(path, link, sizeof(link) - 1) > 0);
	CHECK_STR(link, "/bailey-named (deleted)");
	OK(mq_close(q));
}
