/* Controlling terminals and job control on pseudo-terminals: termios(3), credentials(7), setsid(2), tty_ioctl(4). */
#include "harness.h"
#include "pty.h"

#include <sys/prctl.h>

/* Begins a session of its own whose terminal is the slave; the parent has the master. */
static void lead_session(struct pair *p)
{
	int fd;

	REQUIRE(setsid() == getpid());
	fd = open(p->name, O_RDWR);
	REQUIRE(fd >= 0);
	close(p->slave); /* not before: the master would see an end */
	p->slave = fd;
	close(p->master);
}

static volatile sig_atomic_t signals[65];

static void count(int sig)
{
	signals[sig]++;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = count, .sa_flags = flags};

	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

/* tty_nr and tpgid of the caller. */
static void own_stat(int *tty_nr, int *tpgid)
{
	char buf[1024], *p;

	REQUIRE(read_file("/proc/self/stat", buf, sizeof(buf)) > 0);
	p = strrchr(buf, ')');
	REQUIRE(p && sscanf(p + 1, " %*c %*d %*d %*d %d %d", tty_nr, tpgid) == 2);
}

TEST(acquire_by_open)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		int tty_nr, tpgid, fd;
		struct stat st;
		char name[64];

		REQUIRE(setsid() == getpid());
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		own_stat(&tty_nr, &tpgid);
		CHECK_EQ(tty_nr, 0);
		CHECK_EQ(tpgid, -1);
		fd = open(p.name, O_RDWR | O_NOCTTY);
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		CHECK_ERR(tcgetpgrp(fd), ENOTTY);
		close(fd);
		fd = open(p.name, O_RDWR);
		REQUIRE(fd >= 0);
		CHECK_EQ(tcgetpgrp(fd), getpid());
		CHECK_EQ(tcgetsid(fd), getpid());
		/* Asked at the other end, too. */
		CHECK_EQ(tcgetpgrp(p.master), getpid());
		OK(fstat(fd, &st));
		own_stat(&tty_nr, &tpgid);
		CHECK_EQ(tty_nr, st.st_rdev);
		CHECK_EQ(tpgid, getpid());
		close(fd);
		fd = open("/dev/tty", O_RDWR);
		REQUIRE(fd >= 0);
		CHECK_EQ(tcgetpgrp(fd), getpid());
		pty_type(fd, "by name\n");
		OK(fstat(fd, &st));
		CHECK_STR(ttyname_r(fd, name, sizeof(name)) ? "none" : name, "/dev/tty");
		/* Who leads the session and gives it up is in the foreground, and so gets SIGHUP. */
		signal(SIGHUP, SIG_DFL); /* nohup(1) may have run us */
		if (!h_failures)
			(void)!ioctl(fd, TIOCNOTTY);
		child_exit();
	}
	EXPECT(p.master, "by name\r\n");
	CHECK_EQ(h_wait(pid), SIGHUP);
	pty_close(&p);
}

TEST(acquire_ignoring_hangup)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		signal(SIGHUP, SIG_IGN);
		lead_session(&p);
		OK(ioctl(p.slave, TIOCNOTTY));
		CHECK_ERR(ioctl(p.slave, TIOCNOTTY), ENOTTY);
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		OK(ioctl(p.slave, TIOCSCTTY, 0));
		OK(ioctl(p.slave, TIOCSCTTY, 0));
		CHECK_EQ(tcgetsid(p.slave), getpid());
		child_exit();
	}
	JOIN(pid);
	pty_close(&p);
}

/* One terminal, one session; only its leader takes one. */
TEST(not_for_others)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		pid_t other;

		lead_session(&p);
		other = h_fork();
		if (other == 0) {
			CHECK_ERR(setsid() < 0 ? 0 : ioctl(p.slave, TIOCSCTTY, 0), EPERM);
			CHECK_ERR(tcgetpgrp(p.slave), ENOTTY);
			CHECK_ERR(tcsetpgrp(p.slave, getpgrp()), ENOTTY);
			child_exit();
		}
		JOIN(other);
		child_exit();
	}
	JOIN(pid);
	pty_close(&p);
}

TEST(keys_send_signals)
{
	static const struct {
		const char *key, *echo;
		int sig;
	} keys[] = {{"\3", "^C", SIGINT}, {"\34", "^\\", SIGQUIT}, {"\32", "^Z", SIGTSTP}};
	struct pair p = pty_pair();
	struct gate ready;
	pid_t pid;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		char buf[10];

		for (int n = 0; n < 3; n++)
			handle(keys[n].sig, 0);
		lead_session(&p);
		gate_open(&ready);
		for (int n = 0; n < 3; n++) {
			CHECK_ERR(read(p.slave, buf, 1), EINTR);
			CHECK_EQ(signals[keys[n].sig], 1);
			gate_open(&ready);
		}
		/* Typed input is gone with the key, unless NOFLSH. */
		CHECK_EQ(read(p.slave, buf, sizeof(buf)), 2);
		CHECK_EQ(buf[0], 'b');
		pty_modes(p.slave, 0, 0, ISIG | ICANON | NOFLSH);
		gate_open(&ready);
		CHECK_ERR(read(p.slave, buf, sizeof(buf)), EINTR);
		gate_open(&ready);
		CHECK_EQ(read(p.slave, buf, sizeof(buf)), 3);
		child_exit();
	}
	close(p.slave);
	for (int n = 0; n < 3; n++) {
		gate_pass(&ready);
		CHECK(h_wait_state(pid, "S"));
		if (n == 2) {
			pty_type(p.master, "a");
			EXPECT(p.master, "a");
		}
		pty_type(p.master, keys[n].key);
		EXPECT(p.master, keys[n].echo);
	}
	gate_pass(&ready);
	pty_type(p.master, "b\n");
	EXPECT(p.master, "b\r\n");
	gate_pass(&ready);
	CHECK(h_wait_state(pid, "S"));
	pty_type(p.master, "x\3");
	gate_pass(&ready);
	pty_type(p.master, "y\n");
	JOIN(pid);
	close(p.master);
	gate_free(&ready);
}

TEST(window_change_signals)
{
	struct pair p = pty_pair();
	struct gate ready;
	pid_t pid;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		struct winsize w;
		char c;

		handle(SIGWINCH, 0);
		lead_session(&p);
		gate_open(&ready);
		CHECK_ERR(read(p.slave, &c, 1), EINTR);
		CHECK_EQ(signals[SIGWINCH], 1);
		OK(ioctl(p.slave, TIOCGWINSZ, &w));
		CHECK_EQ(w.ws_col, 100);
		/* The same size again is no change. */
		OK(ioctl(p.slave, TIOCSWINSZ, &w));
		CHECK_EQ(signals[SIGWINCH], 1);
		child_exit();
	}
	close(p.slave);
	gate_pass(&ready);
	CHECK(h_wait_state(pid, "S"));
	OK(ioctl(p.master, TIOCSWINSZ, &(struct winsize){30, 100, 0, 0}));
	JOIN(pid);
	close(p.master);
	gate_free(&ready);
}

/* A background job that reads is stopped; one that ignores that gets EIO. */
TEST(background_read)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		pid_t job;
		int status;
		char c;

		lead_session(&p);
		job = h_fork();
		if (job == 0) {
			OK(setpgid(0, 0));
			CHECK_EQ(read(p.slave, &c, 1), 1);
			CHECK_EQ(c, 'k');
			child_exit();
		}
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
		OK(tcsetpgrp(p.slave, job));
		OK(kill(-job, SIGCONT));
		pty_type(p.slave, "ready\n");
		JOIN(job);
		/* We are in the background now, and setting is not for us. */
		signal(SIGTTOU, SIG_IGN);
		OK(tcsetpgrp(p.slave, getpid()));
		signal(SIGTTOU, SIG_DFL);
		job = h_fork();
		if (job == 0) {
			OK(setpgid(0, 0));
			signal(SIGTTIN, SIG_IGN);
			CHECK_ERR(read(p.slave, &c, 1), EIO);
			child_exit();
		}
		JOIN(job);
		child_exit();
	}
	close(p.slave);
	EXPECT(p.master, "ready\r\n");
	pty_type(p.master, "k\n");
	JOIN(pid);
	close(p.master);
}

TEST(background_write)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		pid_t job;
		int status;

		lead_session(&p);
		for (int tostop = 0; tostop < 2; tostop++) {
			pty_modes(p.slave, 0, 0, ICANON | (tostop ? TOSTOP : 0));
			job = h_fork();
			if (job == 0) {
				OK(setpgid(0, 0));
				pty_type(p.slave, "w");
				child_exit();
			}
			if (tostop) {
				CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
				CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
				pty_modes(p.slave, 0, 0, ICANON);
				OK(kill(-job, SIGCONT));
			}
			JOIN(job);
		}
		/* Setting modes stops it in any case. */
		job = h_fork();
		if (job == 0) {
			struct termios t;

			OK(setpgid(0, 0));
			OK(tcgetattr(p.slave, &t));
			OK(tcsetattr(p.slave, TCSANOW, &t));
			child_exit();
		}
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
		OK(kill(-job, SIGKILL));
		CHECK_EQ(h_wait(job), SIGKILL);
		child_exit();
	}
	close(p.slave);
	EXPECT(p.master, "ww");
	JOIN(pid);
	close(p.master);
}

/* An orphaned group in the background: nobody could resume it, so it is not stopped. */
TEST(orphaned_read)
{
	struct pair p = pty_pair();
	struct gate done;
	pid_t pid;

	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		pid_t job;

		signal(SIGHUP, SIG_IGN);
		lead_session(&p);
		job = h_fork();
		if (job == 0) {
			pid_t parent = getpid();

			OK(setpgid(0, 0));
			if (h_fork() == 0) {
				char c;

				while (getppid() == parent)
					sched_yield();
				CHECK_ERR(read(p.slave, &c, 1), EIO);
				if (!h_failures)
					gate_open(&done);
				_exit(0);
			}
			_exit(0);
		}
		JOIN(job);
		gate_pass(&done);
		child_exit();
	}
	JOIN(pid);
	gate_free(&done);
	pty_close(&p);
}

/* The master goes: the session's leader gets SIGHUP and SIGCONT, and has no terminal any more. */
TEST(hang_up_signals)
{
	struct pair p = pty_pair();
	struct gate ready;
	pid_t pid;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		char c;

		handle(SIGHUP, 0);
		handle(SIGCONT, 0);
		lead_session(&p);
		gate_open(&ready);
		(void)!read(p.slave, &c, 1); /* 0 or EINTR, whichever comes first */
		while (!signals[SIGHUP] || !signals[SIGCONT])
			sched_yield();
		CHECK_EQ(read(p.slave, &c, 1), 0);
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		child_exit();
	}
	close(p.slave);
	gate_pass(&ready);
	CHECK(h_wait_state(pid, "S"));
	close(p.master);
	JOIN(pid);
	gate_free(&ready);
}

/* The leader goes: the foreground gets SIGHUP; nobody of the session has a controlling terminal, but who has it open keeps it. */
TEST(leader_exits)
{
	struct pair p = pty_pair();
	struct gate ready;
	pid_t pid;

	gate_init(&ready);
	pid = h_fork();
	if (pid == 0) {
		lead_session(&p);
		if (h_fork() == 0) {
			handle(SIGHUP, 0);
			gate_open(&ready);
			while (!signals[SIGHUP])
				sched_yield();
			/* The signal comes a moment before the terminal is let go. */
			for (int fd; (fd = open("/dev/tty", O_RDWR)) >= 0;)
				close(fd);
			CHECK(errno == ENXIO);
			CHECK_ERR(tcgetpgrp(p.slave), ENOTTY);
			if (!h_failures)
				pty_type(p.slave, "still here\n");
			_exit(0);
		}
		gate_pass(&ready);
		child_exit();
	}
	JOIN(pid);
	EXPECT(p.master, "still here\r\n");
	gate_free(&ready);
	pty_close(&p);
}

TEST(vhangup_call)
{
	struct pair p = pty_pair();
	pid_t pid = h_fork();

	if (pid == 0) {
		char c;

		if (geteuid() != 0) {
			CHECK_ERR(vhangup(), EPERM);
			child_exit();
		}
		handle(SIGHUP, SA_RESTART);
		lead_session(&p);
		if (vhangup() == 0) {
			CHECK_EQ(signals[SIGHUP], 1);
			CHECK_EQ(read(p.slave, &c, 1), 0);
			CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		} else {
			CHECK(errno == EPERM);
		}
		child_exit();
	}
	JOIN(pid);
	pty_close(&p);
}
