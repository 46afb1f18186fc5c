/* See log.h.  The one place outside host/ that writes to a descriptor: a panic must not depend on anything. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum log_level log_threshold = LOG_WARN;
static int out_fd = STDERR_FILENO; /* set at start-up only, as is error_fd */
static int error_fd = STDERR_FILENO;

void log_set_fd(int fd)
{
	out_fd = fd;
}

int log_fd(void)
{
	return out_fd;
}

void log_set_error_fd(int fd)
{
	error_fd = fd;
}

int log_error_fd(void)
{
	return error_fd;
}

static void write_line(int fd, const char *line, size_t len)
{
	if (write(fd, line, len) < 0)
		return; /* nowhere left to say so */
}

static void PRINTF_LIKE(3, 0) emit(bool error, const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	size_t cap = sizeof(line) - 1;
	int n = snprintf(line, cap, "bailey: %s", prefix);
	int m = vsnprintf(line + n, cap - (size_t)n, fmt, ap);
	size_t len = (size_t)n;

	if (m > 0)
		len = (size_t)n + (size_t)m < cap ? (size_t)n + (size_t)m : cap - 1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	write_line(out_fd, line, len);
	if (error && error_fd != out_fd)
		write_line(error_fd, line, len);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = {"", "warning: ", "info: ", "debug: "};
	va_list ap;

	if (level > log_threshold)
		return;
	va_start(ap, fmt);
	emit(level == LOG_ERROR, prefix[level], fmt, ap);
	va_end(ap);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(true, "internal error: ", fmt, ap);
	va_end(ap);
	abort();
}

void assert_failed(const char *expr, const char *file, int line)
{
	panic("%s:%d: assertion failed: %s", file, line, expr);
}
