/* What a handler does to a call that waits: EINTR, a restart, or a partial result. */
#include "harness.h"

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <linux/futex.h>

static volatile int runs;
static volatile int feed = -1; /* what the handler writes to, so that a restarted call ends */

static void handler(int sig)
{
	int saved = errno;

	runs++;
	if (feed >= 0 && write(feed, "h", 1) != 1)
		_exit(3);
	errno = saved;
}

static void install(int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};

	runs = 0;
	feed = -1;
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
}

/* A child that signals this process as soon as it sleeps, `times` times. */
static pid_t poke(int times)
{
	pid_t me = getpid(), pid = h_fork();

	if (pid == 0) {
		struct gate never;

		for (int i = 0; i < times; i++) {
			if (!h_wait_state(me, "S"))
				_exit(1);
			kill(me, SIGUSR1);
		}
		(void)never;
		_exit(0);
	}
	return pid;
}

#define POKED(flags, ...)                                                                                              \
	do {                                                                                                           \
		install(flags);                                                                                        \
		pid_t poker = poke(1);                                                                                 \
		__VA_ARGS__;                                                                                           \
		CHECK_EQ(runs, 1);                                                                                     \
		JOIN(poker);                                                                                           \
	} while (0)

TEST(read_without_restart)
{
	int p[2];
	char c;

	REQUIRE(pipe(p) == 0);
	POKED(0, CHECK_ERR(read(p[0], &c, 1), EINTR));
	close(p[0]);
	close(p[1]);
}

TEST(read_with_restart)
{
	int p[2];
	char c = 0;

	REQUIRE(pipe(p) == 0);
	POKED(SA_RESTART, feed = p[1]; CHECK_EQ(read(p[0], &c, 1), 1); CHECK_EQ(c, 'h'));
	close(p[0]);
	close(p[1]);
}

TEST(ignored_signals_do_not_interrupt)
{
	int p[2];
	char c = 0;
	pid_t me = getpid(), pid;

	REQUIRE(pipe(p) == 0);
	signal(SIGUSR1, SIG_IGN);
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		kill(me, SIGUSR1);
		kill(me, SIGWINCH);
		CHECK_EQ(write(p[1], "w", 1), 1);
		child_exit();
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'w');
	JOIN(pid);
	close(p[0]);
	close(p[1]);
}

TEST(partial_write)
{
	static char big[1 << 20];
	int p[2];
	ssize_t n = 0;

	/* What is already in the pipe is the result, restart or not. */
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		REQUIRE(pipe(p) == 0);
		POKED(flags, n = write(p[1], big, sizeof(big)));
		CHECK_EQ(n, 65536);
		close(p[0]);
		close(p[1]);
	}
}

TEST(wait_restarts)
{
	pid_t pid, me = getpid();

	install(SA_RESTART);
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		kill(me, SIGUSR1);
		_exit(4);
	}
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(runs, 1);
	install(0);
	struct gate g;
	gate_init(&g);
	pid = h_fork();
	if (pid == 0) {
		h_wait_state(me, "S");
		kill(me, SIGUSR1);
		gate_pass(&g);
		_exit(0);
	}
	CHECK_ERR(waitpid(pid, NULL, 0), EINTR);
	gate_open(&g);
	JOIN(pid);
	gate_free(&g);
}

TEST(never_restarted)
{
	struct timespec ten = {10, 0};
	struct timeval tv = {10, 0};
	struct epoll_event ev;
	struct pollfd pfd = {.fd = -1};
	sigset_t empty;
	int ep = epoll_create1(0);

	sigemptyset(&empty);
	POKED(SA_RESTART, CHECK_ERR(pause(), EINTR));
	POKED(SA_RESTART, CHECK_ERR(nanosleep(&ten, NULL), EINTR));
	POKED(SA_RESTART, CHECK_ERR(poll(&pfd, 1, 10000), EINTR));
	POKED(SA_RESTART, CHECK_ERR(poll(NULL, 0, -1), EINTR));
	POKED(SA_RESTART, CHECK_ERR(ppoll(NULL, 0, &ten, &empty), EINTR));
	POKED(SA_RESTART, CHECK_ERR(select(0, NULL, NULL, NULL, &tv), EINTR));
	POKED(SA_RESTART, CHECK_ERR(epoll_wait(ep, &ev, 1, -1), EINTR));
	POKED(SA_RESTART, CHECK_ERR(sigsuspend(&empty), EINTR));
	close(ep);
}

TEST(nanosleep_remaining)
{
	struct timespec ten = {10, 0}, rem = {0, 0};

	POKED(0, CHECK_ERR(nanosleep(&ten, &rem), EINTR));
	CHECK(rem.tv_sec >= 5 && rem.tv_sec <= 10 && rem.tv_nsec >= 0 && rem.tv_nsec < 1000000000);
	rem.tv_sec = 0;
	POKED(0, CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, &rem), EINTR));
	CHECK(rem.tv_sec >= 5);
	/* To an absolute time nothing remains to be told. */
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 10;
	rem = (struct timespec){77, 77};
	POKED(0, CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &rem), EINTR));
	CHECK(rem.tv_sec == 77 && rem.tv_nsec == 77);
}

TEST(futex_wait)
{
	struct timespec ten = {10, 0};
	int word = 0;

	POKED(0, CHECK_ERR(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR));
	POKED(SA_RESTART, CHECK_ERR(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ten, NULL, 0), EINTR));
}

static int word_to_wake;

static void waker(int sig)
{
	runs++;
	word_to_wake = 1;
}

TEST(futex_wait_restarts)
{
	struct sigaction sa = {.sa_handler = waker, .sa_flags = SA_RESTART};
	pid_t poker;

	/* Restarted, it finds the word changed. */
	runs = 0;
	word_to_wake = 0;
	REQUIRE(sigaction(SIGUSR1, &sa, NULL) == 0);
	poker = poke(1);
	CHECK_ERR(syscall(SYS_futex, &word_to_wake, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	CHECK_EQ(runs, 1);
	JOIN(poker);
}

TEST(locks)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct gate ready, go;
	pid_t holder, me = getpid();
	int fd;

	use_tmpdir();
	gate_init(&ready);
	gate_init(&go);
	fd = open("lock", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	holder = h_fork();
	if (holder == 0) {
		int own = open("lock", O_RDWR);

		CHECK_EQ(fcntl(own, F_SETLK, &lock), 0);
		CHECK_EQ(flock(own, LOCK_EX), 0);
		gate_open(&ready);
		for (int i = 0; i < 2; i++) {
			gate_pass(&go);
			h_wait_state(me, "S");
			kill(me, SIGUSR1);
		}
		gate_pass(&go);
		child_exit();
	}
	gate_pass(&ready);
	install(0);
	gate_open(&go);
	CHECK_ERR(fcntl(fd, F_SETLKW, &lock), EINTR);
	gate_open(&go);
	CHECK_ERR(flock(fd, LOCK_EX), EINTR);
	gate_open(&go);
	JOIN(holder);
	close(fd);
	gate_free(&ready);
	gate_free(&go);
}

static void sleep_through(long ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};
	int64_t start = h_now_ns(CLOCK_MONOTONIC);

	CHECK_EQ(nanosleep(&ts, NULL), 0);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= ns);
}

/* Without a handler a call that was stopped goes on as if nothing had been. */
TEST(stop_and_continue_resume_a_sleep)
{
	int status;

	/* On a busy machine the stop may come too late; then a longer sleep is stopped. */
	for (long ns = 60000000;; ns *= 4) {
		pid_t pid = h_fork();

		if (pid == 0) {
			sleep_through(ns);
			child_exit();
		}
		h_wait_state(pid, "S");
		kill(pid, SIGSTOP);
		REQUIRE(waitpid(pid, &status, WUNTRACED) == pid);
		if (WIFSTOPPED(status)) {
			kill(pid, SIGCONT);
			JOIN(pid);
			return;
		}
		REQUIRE(status == 0 && ns < 60000000000l);
	}
}

TEST(stop_and_continue_resume_a_read)
{
	int p[2], status;
	char c;

	REQUIRE(pipe(p) == 0);
	pid_t pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(read(p[0], &c, 1), 1);
		child_exit();
	}
	h_wait_state(pid, "S");
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGCONT);
	CHECK_EQ(write(p[1], "x", 1), 1);
	JOIN(pid);
	close(p[0]);
	close(p[1]);
}
