/* See terminal.h. */
#include "host/terminal.h"

#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int stat_fd = -1, own_fd = -1; /* immutable once there are threads */

void host_terminal_init(void)
{
	stat_fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	/* Not to wait for a modem's carrier.  The flag is this description's own and comes off again. */
	own_fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (own_fd >= 0)
		fcntl(own_fd, F_SETFL, 0);
}

int host_terminal_own(void)
{
	return own_fd;
}

uint64_t host_terminal_device(int fd)
{
	unsigned dev;

	return ioctl(fd, TIOCGDEV, &dev) < 0 ? 0 : dev;
}

/* proc(5): the device's minor number is in bits 31 to 20 and 7 to 0, the major in 15 to 8. */
static bool is_device(unsigned tty_nr, dev_t dev)
{
	return major(dev) == (tty_nr >> 8 & 0xfff) && minor(dev) == ((tty_nr & 0xff) | (tty_nr >> 12 & 0xfff00));
}

/* /dev/tty is whatever controls the one who opens it. */
static bool is_self(dev_t dev)
{
	return major(dev) == TTYAUX_MAJOR && minor(dev) == 0;
}

bool host_terminal_is_away(int fd)
{
	char line[512], *rest;
	int pgrp, tty_nr, foreground;
	struct stat st;
	ssize_t n;

	if (stat_fd < 0)
		return false;
	n = pread(stat_fd, line, sizeof(line) - 1, 0);
	if (n <= 0)
		return false;
	line[n] = '\0';
	rest = strrchr(line, ')'); /* the name before it may hold anything */
	/* ") S PPID PGRP SESSION TTY_NR TPGID" */
	if (!rest || sscanf(rest + 1, " %*c %*d %d %*d %d %d", &pgrp, &tty_nr, &foreground) != 3)
		return false;
	return tty_nr && foreground > 0 && foreground != pgrp && fstat(fd, &st) == 0 &&
	       (is_self(st.st_rdev) || is_device((unsigned)tty_nr, st.st_rdev));
}
