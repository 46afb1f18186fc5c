/*
 * The sentry's log, and assertions about the sentry itself.
 *
 * Levels below the threshold cost one comparison.  Lines go to the descriptor given by log_set_fd (stderr at
 * first) with one write each, so that lines of several threads do not mix; errors also go to the one given by
 * log_set_error_fd.  Whatever was put into it, a line is one line: what is not printable is written as "?".
 * Guest input never reaches an ASSERT.
 */
#ifndef BAILEY_BASE_LOG_H
#define BAILEY_BASE_LOG_H

#include <stdbool.h>

#include "base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold; /* set before the sentry starts threads; immutable afterwards */

void log_set_fd(int fd);
int log_fd(void);
void log_set_error_fd(int fd);
int log_error_fd(void);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)                                                                                                  \
	do {                                                                                                           \
		if (UNLIKELY(log_threshold >= LOG_INFO))                                                               \
			log_line(LOG_INFO, __VA_ARGS__);                                                               \
	} while (0)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (UNLIKELY(log_threshold >= LOG_DEBUG))                                                              \
			log_line(LOG_DEBUG, __VA_ARGS__);                                                              \
	} while (0)

/* Says what failed and where, then ends the sentry (and with it the sandbox). */
NORETURN void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);
NORETURN void assert_failed(const char *expr, const char *file, int line);

#define ASSERT(x) ((x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))

#endif
