/* See log.h.  The one place outside host/ that writes to a descriptor: a panic must not depend on anything. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum log_level log_threshold = LOG_WARN;
static int out_fd = STDERR_FILENO; /* set at start-up only */

void log_set_fd(int fd)
{
	out_fd = fd;
}

int log_fd(void)
{
	return out_fd;
}

static void PRINTF_LIKE(2, 0) emit(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	size_t cap = sizeof(line) - 1;
	int n = snprintf(line, cap, "bailey: %s", prefix);
	int m = vsnprintf(line + n, cap - (size_t)n, fmt, ap);
	size_t len = (size_t)n;

	if (m > 0)
		len = (size_t)n + (size_t)m < cap ? (size_t)n + (size_t)m : cap - 1;
	line[len++] = '\n';
	if (write(out_fd, line, len) < 0)
		return; /* nowhere left to say so */
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = {"", "warning: ", "info: ", "debug: "};
	va_list ap;

	if (level > log_threshold)
		return;
	va_start(ap, fmt);
	emit(prefix[level], fmt, ap);
	va_end(ap);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit("internal error: ", fmt, ap);
	va_end(ap);
	abort();
}

void assert_failed(const char *expr, const char *file, int line)
{
	panic("%s:%d: assertion failed: %s", file, line, expr);
}
