/* What the tests of /proc share: files of text, read whole and written in one piece. */
#ifndef TESTS_GUEST_PROCTEXT_H
#define TESTS_GUEST_PROCTEXT_H

#include "harness.h"

static char buf[1 << 16]; /* what text_of has read last */

/* 0, -errno, or 1 if not all of it was taken. */
static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), e;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	e = errno;
	close(fd);
	return n < 0 ? -e : n == (ssize_t)strlen(text) ? 0 : 1;
}

/* "error N" if it cannot be read. */
static const char *text_of(const char *path)
{
	if (read_file(path, buf, sizeof(buf)) < 0)
		snprintf(buf, sizeof(buf), "error %d", errno);
	return buf;
}

#endif
