/* The line discipline of pseudo-terminals: termios(3). */
#include "harness.h"
#include "pty.h"

#define EDIT (ICANON | ECHO | ECHOE | ECHOK | ECHOKE | ECHOCTL | IEXTEN | ISIG)

TEST(new_modes)
{
	static const unsigned char keys[] = {[VINTR] = 3,   [VQUIT] = 28,  [VERASE] = 127,  [VKILL] = 21,
					     [VEOF] = 4,    [VMIN] = 1,	   [VSTART] = 17,   [VSTOP] = 19,
					     [VSUSP] = 26,  [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23,
					     [VLNEXT] = 22, [VEOL2] = 0};
	struct pair p = pty_pair();
	struct termios t;

	CHECK(isatty(p.master) && isatty(p.slave));
	for (int side = 0; side < 2; side++) {
		OK(tcgetattr(side ? p.master : p.slave, &t));
		CHECK_EQ(t.c_iflag, ICRNL | IXON);
		CHECK_EQ(t.c_oflag, OPOST | ONLCR);
		CHECK_EQ(t.c_cflag & ~(tcflag_t)CBAUD, CS8 | CREAD);
		CHECK_EQ(t.c_lflag, EDIT);
		CHECK_EQ(t.c_line, 0);
		for (size_t n = 0; n < sizeof(keys); n++)
			CHECK_EQ(t.c_cc[n], keys[n]);
		CHECK_EQ(cfgetospeed(&t), B38400);
	}
	pty_close(&p);
}

TEST(set_modes)
{
	struct pair p = pty_pair();
	struct termios t, now;

	OK(tcgetattr(p.slave, &t));
	t.c_cflag = B9600 | CS7 | PARENB | HUPCL;
	t.c_lflag = NOFLSH;
	t.c_cc[VINTR] = 'i';
	OK(tcsetattr(p.master, TCSADRAIN, &t));
	OK(tcgetattr(p.slave, &now));
	CHECK_EQ(now.c_lflag, NOFLSH);
	CHECK_EQ(now.c_cc[VINTR], 'i');
	/* A pty has 8 bits and no parity. */
	CHECK_EQ(now.c_cflag & (CSIZE | PARENB | CREAD | HUPCL), CS8 | CREAD | HUPCL);
	CHECK_ERR(ioctl(p.slave, TCGETS, (void *)8), EFAULT);
	CHECK_ERR(ioctl(p.slave, TCSETS, (void *)8), EFAULT);
	pty_close(&p);
}

/* With EXTPROC the other end edits, echoes and ends lines: what it sends is read as it comes. */
TEST(edited_elsewhere)
{
	struct pair p = pty_pair();
	char buf[16] = "";
	int n;

	pty_modes(p.slave, 0, 0, EXTPROC | ICANON | ECHO | ISIG);
	CHECK_EQ(write(p.master, "a\003\177", 3), 3);
	CHECK(pty_wait(p.slave, POLLIN));
	do {
		OK(ioctl(p.slave, FIONREAD, &n));
	} while (n < 3);
	CHECK_EQ(n, 3);
	CHECK_EQ(read(p.slave, buf, 1), 1);
	CHECK_EQ(read(p.slave, buf + 1, sizeof(buf) - 1), 2);
	CHECK(memcmp(buf, "a\003\177", 3) == 0);
	CHECK_EQ(poll(&(struct pollfd){p.master, POLLIN, 0}, 1, 50), 0); /* nothing was echoed */
	/* VMIN and VTIME are not for this mode. */
	OK(fcntl(p.slave, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(p.slave, buf, sizeof(buf)), EAGAIN);
	OK(fcntl(p.slave, F_SETFL, 0));
	/* VEOF alone is still an end. */
	CHECK_EQ(write(p.master, "\004", 1), 1);
	CHECK(pty_wait(p.slave, POLLIN));
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 0);
	CHECK_EQ(write(p.master, "x\004", 2), 2);
	do {
		OK(ioctl(p.slave, FIONREAD, &n));
	} while (n < 2);
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 2);
	pty_close(&p);
}

/* struct termio, of before termios: half of each flag, and the first eight characters. */
TEST(old_modes)
{
	struct pair p = pty_pair();
	struct termio old;
	struct termios now;

	OK(tcgetattr(p.slave, &now));
	now.c_iflag |= IUTF8;
	now.c_lflag |= EXTPROC; /* beyond the first half */
	now.c_cc[VWERASE] = 3;
	OK(tcsetattr(p.slave, TCSANOW, &now));
	memset(&old, 0xff, sizeof(old));
	OK(ioctl(p.slave, TCGETA, &old));
	CHECK_EQ(old.c_iflag, now.c_iflag & 0xffff);
	CHECK_EQ(old.c_oflag, now.c_oflag & 0xffff);
	CHECK_EQ(old.c_cflag, now.c_cflag & 0xffff);
	CHECK_EQ(old.c_lflag, now.c_lflag & 0xffff);
	CHECK(memcmp(old.c_cc, now.c_cc, NCC) == 0);
	old.c_lflag &= (unsigned short)~ECHO;
	old.c_cc[VINTR] = 2;
	OK(ioctl(p.master, TCSETA, &old));
	OK(tcgetattr(p.slave, &now));
	CHECK(!(now.c_lflag & ECHO) && (now.c_lflag & EXTPROC));
	CHECK_EQ(now.c_cc[VINTR], 2);
	CHECK_EQ(now.c_cc[VWERASE], 3);
	OK(ioctl(p.slave, TCSETAW, &old));
	OK(ioctl(p.slave, TCSETAF, &old));
	CHECK_ERR(ioctl(p.master, TCGETA, (void *)8), EFAULT);
	CHECK_ERR(ioctl(p.slave, TCSETA, (void *)8), EFAULT);
	CHECK_ERR(ioctl(p.slave, TCGETA, NULL), EFAULT);
	pty_close(&p);
}

TEST(lines)
{
	struct pair p = pty_pair();
	char buf[100];

	TYPED(p, "one\n", "one\n", "one\r\n");
	TYPED(p, "two\r", "two\n", "two\r\n");
	/* Two lines are two reads, and a line may take several. */
	pty_type(p.master, "three\nfour\n");
	CHECK_EQ(read(p.slave, buf, 3), 3);
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 3);
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 5);
	CHECK(memcmp(buf, "four\n", 5) == 0);
	EXPECT(p.master, "three\r\nfour\r\n");
	/* Half a line cannot be read. */
	pty_type(p.master, "half");
	EXPECT(p.master, "half");
	CHECK_EQ(pty_events(p.slave), POLLOUT);
	OK(fcntl(p.slave, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(p.slave, buf, 10), EAGAIN);
	pty_type(p.master, "\n");
	CHECK(pty_wait(p.slave, POLLIN));
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 5);
	pty_close(&p);
}

TEST(end_of_file)
{
	struct pair p = pty_pair();
	char buf[100];

	pty_type(p.master, "ab\4\4");
	CHECK(pty_wait(p.slave, POLLIN));
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 2);
	CHECK_EQ(read(p.slave, buf, sizeof(buf)), 0);
	/* The mark after exactly what was asked for goes with it. */
	pty_type(p.master, "abc\4d\n");
	CHECK_EQ(read(p.slave, buf, 3), 3);
	CHECK_EQ(read(p.slave, buf, 3), 2);
	EXPECT(p.master, "ababcd\r\n");
	pty_close(&p);
}

TEST(more_line_ends)
{
	struct pair p = pty_pair();
	struct termios t;

	OK(tcgetattr(p.slave, &t));
	t.c_cc[VEOL] = ';';
	t.c_cc[VEOL2] = '!';
	OK(tcsetattr(p.slave, TCSANOW, &t));
	TYPED(p, "a;", "a;", "a;");
	TYPED(p, "b!", "b!", "b!");
	t.c_lflag &= ~(tcflag_t)IEXTEN;
	OK(tcsetattr(p.slave, TCSANOW, &t));
	TYPED(p, "c!;", "c!;", "c!;");
	pty_close(&p);
}

TEST(erase)
{
	struct pair p = pty_pair();

	TYPED(p, "abc\177\177d\n", "ad\n", "abc\b \b\b \bd\r\n");
	TYPED(p, "\177\177x\n", "x\n", "x\r\n");
	TYPED(p, "a\1\177b\n", "ab\n", "a^A\b \b\b \bb\r\n");
	TYPED(p, "a\t\177b\n", "ab\n", "a\t\b\b\b\b\b\b\bb\r\n");
	/* Without ECHOE the key itself is shown. */
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, ICANON | ECHO | ECHOCTL);
	TYPED(p, "ab\177\n", "a\n", "ab^?\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, ICANON | ECHO | ECHOPRT | IEXTEN);
	TYPED(p, "abc\177\177z\n", "az\n", "abc\\cb/z\r\n");
	pty_close(&p);
}

TEST(erase_utf8)
{
	struct pair p = pty_pair();

	pty_modes(p.slave, ICRNL | IUTF8, OPOST | ONLCR, EDIT);
	TYPED(p, "a\303\244\177b\n", "ab\n", "a\303\244\b \bb\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, EDIT);
	TYPED(p, "a\303\244\177b\n", "a\303b\n", "a\303\244\b \bb\r\n");
	pty_close(&p);
}

TEST(erase_word)
{
	struct pair p = pty_pair();

	TYPED(p, "ab cd_1, \27x\n", "ab x\n", "ab cd_1, \b \b\b \b\b \b\b \b\b \b\b \bx\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, EDIT & ~(tcflag_t)IEXTEN);
	TYPED(p, "a\27\n", "a\27\n", "a^W\r\n");
	pty_close(&p);
}

TEST(kill)
{
	struct pair p = pty_pair();

	TYPED(p, "abc\25d\n", "d\n", "abc\b \b\b \b\b \bd\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, EDIT & ~(tcflag_t)ECHOKE);
	TYPED(p, "abc\25d\n", "d\n", "abc^U\r\nd\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, EDIT & ~(tcflag_t)(ECHOKE | ECHOK));
	TYPED(p, "abc\25d\n", "d\n", "abc^Ud\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, ICANON);
	pty_type(p.master, "abc\25d\n");
	EXPECT(p.slave, "d\n");
	pty_close(&p);
}

TEST(literal_next_and_reprint)
{
	struct pair p = pty_pair();

	TYPED(p, "a\26\3b\n", "a\3b\n", "a^\b^Cb\r\n");
	TYPED(p, "a\26\177b\n", "a\177b\n", "a^\b^?b\r\n");
	TYPED(p, "ab\22c\n", "abc\n", "ab^R\r\nabc\r\n");
	pty_close(&p);
}

TEST(echo_flags)
{
	struct pair p = pty_pair();

	pty_modes(p.slave, ICRNL, OPOST | ONLCR, ICANON | ECHONL);
	TYPED(p, "secret\n", "secret\n", "\r\n");
	pty_modes(p.slave, ICRNL, OPOST | ONLCR, ICANON | ECHO);
	TYPED(p, "a\1\n", "a\1\n", "a\1\r\n");
	pty_modes(p.slave, ICRNL, 0, ICANON | ECHO);
	TYPED(p, "a\n", "a\n", "a\n");
	pty_close(&p);
}

TEST(input_flags)
{
	struct pair p = pty_pair();

	pty_modes(p.slave, 0, 0, ICANON);
	pty_type(p.master, "a\rb\n");
	EXPECT(p.slave, "a\rb\n");
	pty_modes(p.slave, IGNCR, 0, ICANON);
	pty_type(p.master, "a\rb\n");
	EXPECT(p.slave, "ab\n");
	pty_modes(p.slave, INLCR, 0, 0);
	pty_type(p.master, "a\nb");
	EXPECT(p.slave, "a\rb");
	pty_modes(p.slave, ISTRIP, 0, 0);
	pty_type(p.master, "\341\377");
	EXPECT(p.slave, "a\177");
	pty_modes(p.slave, PARMRK, 0, 0);
	pty_type(p.master, "a\377b");
	EXPECT(p.slave, "a\377\377b");
	pty_close(&p);
}

TEST(output_flags)
{
	struct pair p = pty_pair();

	pty_type(p.slave, "a\nb\tc\r");
	EXPECT(p.master, "a\r\nb\tc\r");
	pty_modes(p.slave, 0, 0, 0);
	pty_type(p.slave, "a\n");
	EXPECT(p.master, "a\n");
	pty_modes(p.slave, 0, OPOST | XTABS | ONLCR, 0);
	pty_type(p.slave, "\nab\tc\t");
	EXPECT(p.master, "\r\nab      c       ");
	pty_modes(p.slave, 0, OPOST | OCRNL, 0);
	pty_type(p.slave, "a\rb");
	EXPECT(p.master, "a\nb");
	pty_modes(p.slave, 0, OPOST | ONLRET, 0);
	pty_type(p.slave, "a\n");
	EXPECT(p.master, "a\n");
	pty_modes(p.slave, 0, OPOST | ONOCR, 0);
	pty_type(p.slave, "\ra\r\r");
	EXPECT(p.master, "a\r");
	pty_modes(p.slave, 0, OPOST | OLCUC, 0);
	pty_type(p.slave, "aBz1");
	EXPECT(p.master, "ABZ1");
	pty_close(&p);
}

/* A line has at most 4096 bytes, its end included; what is typed beyond is lost. */
TEST(long_line)
{
	struct pair p = pty_pair();
	static char keys[5001], buf[8192];
	size_t got = 0;

	pty_modes(p.slave, 0, 0, ICANON);
	memset(keys, 'x', 5000);
	for (size_t n = 0; n < 5000; n += 500)
		CHECK_EQ(write(p.master, keys + n, 500), 500);
	pty_type(p.master, "\n");
	CHECK(pty_wait(p.slave, POLLIN));
	while (got < sizeof(buf) && (got == 0 || buf[got - 1] != '\n')) {
		ssize_t n = read(p.slave, buf + got, sizeof(buf) - got);

		REQUIRE(n > 0);
		got += (size_t)n;
	}
	CHECK_EQ(got, 4096);
	pty_close(&p);
}

/* Nobody reads: the writer of either end finds no room at last. */
TEST(bounded)
{
	struct pair p = pty_pair();
	static char bytes[1024];
	size_t total[2] = {0, 0};

	pty_raw(p.slave, 1, 0);
	for (int side = 0; side < 2; side++) {
		int fd = side ? p.master : p.slave;

		OK(fcntl(fd, F_SETFL, O_NONBLOCK));
		for (;;) {
			ssize_t n = write(fd, bytes, sizeof(bytes));
			struct pollfd later = {fd, POLLOUT, 0};

			if (n < 0 && errno == EAGAIN && poll(&later, 1, 200) == 0)
				break;
			if (n > 0)
				total[side] += (size_t)n;
			if (!CHECK(total[side] < 1 << 20))
				break;
		}
		CHECK(total[side] >= 4096);
		CHECK_EQ(pty_events(fd) & POLLOUT, 0);
	}
	/* And what was taken comes out. */
	for (int side = 0; side < 2; side++) {
		int fd = side ? p.slave : p.master;
		size_t got = 0;
		static char buf[4096];

		while (got < total[side] && pty_wait(fd, POLLIN)) {
			ssize_t n = read(fd, buf, sizeof(buf));

			if (n <= 0)
				break;
			got += (size_t)n;
		}
		CHECK_EQ(got, total[side]);
	}
	CHECK(pty_wait(p.slave, POLLOUT) && pty_wait(p.master, POLLOUT));
	pty_close(&p);
}

TEST(raw_min_and_time)
{
	struct pair p = pty_pair();
	char buf[10];
	int64_t start;
	pid_t pid;

	/* Neither: what is there. */
	pty_raw(p.slave, 0, 0);
	CHECK_EQ(read(p.slave, buf, 10), 0);
	OK(fcntl(p.slave, F_SETFL, O_NONBLOCK));
	CHECK_EQ(read(p.slave, buf, 10), 0);
	OK(fcntl(p.slave, F_SETFL, 0));
	/* Time alone. */
	pty_raw(p.slave, 0, 2);
	start = h_now_ns(CLOCK_MONOTONIC);
	CHECK_EQ(read(p.slave, buf, 10), 0);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 150000000);
	pty_type(p.master, "ab");
	CHECK_EQ(read(p.slave, buf, 1), 1);
	CHECK_EQ(read(p.slave, buf, 10), 1);
	/* Both: the time runs from the first byte. */
	pty_raw(p.slave, 3, 1);
	pty_type(p.master, "ab");
	CHECK_EQ(read(p.slave, buf, 10), 2);
	/* A number alone: it waits for them, unless fewer are asked for. */
	pty_raw(p.slave, 3, 0);
	pty_type(p.master, "ab");
	CHECK(pty_wait(p.slave, POLLOUT));
	CHECK_EQ(pty_events(p.slave) & POLLIN, 0);
	CHECK_EQ(read(p.slave, buf, 2), 2);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(read(p.slave, buf, 10), 3);
		child_exit();
	}
	pty_type(p.master, "a");
	CHECK(h_wait_state(pid, "S"));
	pty_type(p.master, "bc");
	JOIN(pid);
	OK(fcntl(p.slave, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(p.slave, buf, 10), EAGAIN);
	pty_close(&p);
}

/* What was typed under one mode is read under the other. */
TEST(change_of_mode)
{
	struct pair p = pty_pair();
	char buf[10];

	pty_modes(p.slave, 0, 0, ICANON);
	pty_type(p.master, "abc");
	CHECK_EQ(pty_events(p.slave) & POLLIN, 0);
	pty_raw(p.slave, 1, 0);
	CHECK(pty_wait(p.slave, POLLIN));
	CHECK_EQ(read(p.slave, buf, 1), 1);
	pty_modes(p.slave, 0, 0, ICANON);
	CHECK(pty_wait(p.slave, POLLIN));
	CHECK_EQ(read(p.slave, buf, 10), 2);
	pty_close(&p);
}

TEST(flow_control)
{
	struct pair p = pty_pair();

	pty_type(p.master, "\23");
	OK(fcntl(p.slave, F_SETFL, O_NONBLOCK));
	CHECK(pty_wait_none(p.slave, POLLOUT));
	CHECK_ERR(write(p.slave, "x", 1), EAGAIN);
	pty_type(p.master, "\21");
	CHECK(pty_wait(p.slave, POLLOUT));
	pty_type(p.slave, "x");
	EXPECT(p.master, "x");
	/* IXANY: any key will do. */
	pty_modes(p.slave, IXON | IXANY, 0, 0);
	pty_type(p.master, "\23");
	CHECK(pty_wait_none(p.slave, POLLOUT));
	CHECK_ERR(write(p.slave, "x", 1), EAGAIN);
	pty_type(p.master, "k");
	CHECK(pty_wait(p.slave, POLLOUT));
	EXPECT(p.slave, "k");
	/* tcflow: of our own output, and of the other side's. */
	OK(tcflow(p.slave, TCOOFF));
	CHECK_ERR(write(p.slave, "x", 1), EAGAIN);
	OK(tcflow(p.slave, TCOON));
	pty_type(p.slave, "y");
	EXPECT(p.master, "y");
	OK(tcflow(p.slave, TCIOFF));
	EXPECT(p.master, "\23");
	OK(tcflow(p.slave, TCION));
	EXPECT(p.master, "\21");
	CHECK_ERR(ioctl(p.slave, TCXONC, 7), EINVAL);
	/* Without IXON they are keys like others. */
	pty_modes(p.slave, 0, 0, 0);
	pty_type(p.master, "\23\21");
	EXPECT(p.slave, "\23\21");
	pty_close(&p);
}

TEST(counts_and_flush)
{
	struct pair p = pty_pair();
	int n = -1;

	pty_modes(p.slave, 0, 0, ICANON);
	pty_type(p.master, "abc\nde");
	CHECK(pty_wait(p.slave, POLLIN));
	OK(ioctl(p.slave, FIONREAD, &n));
	CHECK_EQ(n, 4);
	OK(tcflush(p.slave, TCIFLUSH));
	CHECK_EQ(pty_events(p.slave) & POLLIN, 0);
	OK(ioctl(p.slave, FIONREAD, &n));
	CHECK_EQ(n, 0);
	OK(ioctl(p.slave, TIOCOUTQ, &n));
	CHECK_EQ(n, 0);
	pty_type(p.slave, "out");
	CHECK(pty_wait(p.master, POLLIN));
	OK(ioctl(p.master, FIONREAD, &n));
	CHECK_EQ(n, 3);
	OK(tcdrain(p.slave));
	OK(tcsendbreak(p.slave, 0));
	OK(tcflush(p.slave, TCOFLUSH)); /* it has reached the other side */
	EXPECT(p.master, "out");
	pty_type(p.master, "abc\n");
	CHECK(pty_wait(p.slave, POLLIN));
	pty_modes(p.slave, 0, 0, ICANON);
	{
		struct termios t;

		OK(tcgetattr(p.slave, &t));
		OK(tcsetattr(p.slave, TCSAFLUSH, &t));
	}
	CHECK_EQ(pty_events(p.slave) & POLLIN, 0);
	CHECK_ERR(ioctl(p.slave, TCFLSH, 3), EINVAL);
	pty_close(&p);
}
