/* What the tests of pseudo-terminals share.  Include it after harness.h. */
#ifndef BAILEY_TESTS_PTY_H
#define BAILEY_TESTS_PTY_H

#include <asm/ioctls.h>
#include <sys/ioctl.h>
#include <termios.h>

#define PTY_TIMEOUT_MS 10000

struct pair {
	int master, slave;
	char name[64];
};

H_UNUSED static int pty_master(char name[64])
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
	unsigned n;

	REQUIRE(fd >= 0);
	REQUIRE(ioctl(fd, TIOCSPTLCK, &unlock) == 0);
	REQUIRE(ioctl(fd, TIOCGPTN, &n) == 0);
	snprintf(name, 64, "/dev/pts/%u", n);
	return fd;
}

H_UNUSED static struct pair pty_pair(void)
{
	struct pair p;

	p.master = pty_master(p.name);
	p.slave = open(p.name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	REQUIRE(p.slave >= 0);
	return p;
}

H_UNUSED static void pty_close(struct pair *p)
{
	close(p->slave);
	close(p->master);
}

/* Modes: what is in lflag is set, what is in off is not. */
H_UNUSED static void pty_modes(int fd, tcflag_t iflag, tcflag_t oflag, tcflag_t lflag)
{
	struct termios t;

	REQUIRE(tcgetattr(fd, &t) == 0);
	t.c_iflag = iflag;
	t.c_oflag = oflag;
	t.c_lflag = lflag;
	REQUIRE(tcsetattr(fd, TCSANOW, &t) == 0);
}

H_UNUSED static void pty_raw(int fd, int min, int time)
{
	struct termios t;

	REQUIRE(tcgetattr(fd, &t) == 0);
	cfmakeraw(&t);
	t.c_cc[VMIN] = (cc_t)min;
	t.c_cc[VTIME] = (cc_t)time;
	REQUIRE(tcsetattr(fd, TCSANOW, &t) == 0);
}

H_UNUSED static bool pty_wait(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	return poll(&p, 1, PTY_TIMEOUT_MS) == 1 && (p.revents & events);
}

/* Until events are no more: what was typed takes effect a moment later. */
H_UNUSED static bool pty_wait_none(int fd, short events)
{
	int64_t end = h_now_ns(CLOCK_MONOTONIC) + PTY_TIMEOUT_MS * 1000000ll;

	while (h_now_ns(CLOCK_MONOTONIC) < end) {
		struct pollfd p = {fd, events, 0};

		if (poll(&p, 1, 0) == 0)
			return true;
		sched_yield();
	}
	return false;
}

H_UNUSED static short pty_events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

H_UNUSED static void pty_type(int fd, const char *keys)
{
	REQUIRE(write(fd, keys, strlen(keys)) == (ssize_t)strlen(keys));
}

/* Reads until text has come, whole and nothing else; false (and says what came) if it does not. */
H_UNUSED static bool pty_expect(int fd, const char *text)
{
	char buf[8192];
	size_t len = strlen(text), got = 0;

	while (got < len && pty_wait(fd, POLLIN)) {
		ssize_t n = read(fd, buf + got, len - got);

		if (n <= 0)
			break;
		got += (size_t)n;
		if (memcmp(buf, text, got) != 0)
			break;
	}
	buf[got] = 0;
	if (got == len && memcmp(buf, text, len) == 0)
		return true;
	h_say("  got %zu bytes:", got);
	for (size_t i = 0; i < got; i++)
		h_say(" %02x", (unsigned char)buf[i]);
	h_say("\n");
	return false;
}
#define EXPECT(fd, text) (pty_expect(fd, text) ? true : H_FAIL("EXPECT(%s) failed\n", #text))

/* Types keys at the master; the program's next read gives text, the screen shows echo. */
#define TYPED(p, keys, text, echo)                                                                                     \
	do {                                                                                                           \
		pty_type((p).master, keys);                                                                            \
		EXPECT((p).master, echo);                                                                              \
		EXPECT((p).slave, text);                                                                               \
	} while (0)

#endif
