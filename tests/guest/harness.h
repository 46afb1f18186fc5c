/*
 * The harness of the guest programs.  A file has any number of TEST(name) { ... } and no main; they run in the order of
 * the file, in one process.  Each name is printed before its test starts, so that the last line of a run that hangs or
 * dies says where.  Exit status: 0, or 1 if a check failed, or 77 if every test was skipped.
 *
 * CHECK notes a failure (file:line, the expression, errno) and goes on; REQUIRE ends the process.  In a child made by
 * fork, end with child_exit(), whose status tells the parent of failed checks; wait for it with JOIN.
 *
 *     PROG [NAME...]     runs all tests, or those named, or with -NAME all but that one
 *     PROG --list        prints their names
 *     PROG @role ARGS    a program that executes itself: calls role(), which such a file defines with ROLE
 */
#ifndef BAILEY_TESTS_HARNESS_H
#define BAILEY_TESTS_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define H_UNUSED __attribute__((unused))

struct h_test {
	const char *name;
	void (*fn)(void);
};

static struct h_test h_tests[100];
static int h_test_count;
static volatile int h_failures; /* of this process */
static volatile int h_skipped;
static int (*h_role)(int argc, char **argv);
static char h_dir[64];
static pid_t h_dir_owner;
static const char *h_self; /* absolute path of this program */

/* One line to stderr, in one write. */
static void h_vsay(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int saved = errno;
	size_t n = (size_t)snprintf(line, sizeof(line), "%s", prefix);

	n += (size_t)vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (n > sizeof(line) - 1)
		n = sizeof(line) - 1;
	if (write(2, line, n) != (ssize_t)n)
		_exit(70);
	errno = saved;
}

__attribute__((format(printf, 1, 2))) static void h_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	h_vsay("", fmt, ap);
	va_end(ap);
}

/* Notes a failed check; always false, so that a check can be an expression: if (!CHECK(p)) return; */
__attribute__((format(printf, 3, 4))) static bool h_fail(const char *file, int line, const char *fmt, ...)
{
	char where[256];
	va_list ap;

	h_failures++;
	snprintf(where, sizeof(where), "%s:%d: ", file, line);
	va_start(ap, fmt);
	h_vsay(where, fmt, ap);
	va_end(ap);
	return false;
}

#define H_FAIL(...) h_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(x) ((x) ? true : H_FAIL("CHECK(%s) failed, errno %d (%s)\n", #x, errno, strerror(errno)))
#define REQUIRE(x)                                                                                                     \
	do {                                                                                                           \
		if (!(x)) {                                                                                            \
			H_FAIL("REQUIRE(%s) failed, errno %d (%s)\n", #x, errno, strerror(errno));               \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)
/* Two integers are equal; says both when they are not. */
#define CHECK_EQ(a, b)                                                                                                 \
	({                                                                                                             \
		long long a_ = (long long)(a), b_ = (long long)(b);                                                    \
		a_ == b_ ? true                                                                                        \
			 : H_FAIL("CHECK(%s == %s) failed: %lld (0x%llx), not %lld (0x%llx); errno %d\n", #a, #b, a_,  \
				  (unsigned long long)a_, b_, (unsigned long long)b_, errno);                          \
	})
#define CHECK_STR(a, b)                                                                                                \
	({                                                                                                             \
		const char *a_ = (a), *b_ = (b);                                                                       \
		strcmp(a_, b_) == 0 ? true : H_FAIL("CHECK(%s is %s) failed: \"%s\", not \"%s\"\n", #a, #b, a_, b_);   \
	})
/* The call fails with errno e. */
#define CHECK_ERR(call, e)                                                                                             \
	({                                                                                                             \
		errno = 0;                                                                                             \
		long long r_ = (long long)(call);                                                                      \
		int e_ = errno;                                                                                        \
		r_ == -1 && e_ == (e) ? true                                                                           \
				      : H_FAIL("CHECK(%s fails with %s) failed: result %lld, errno %d (%s)\n", #call,  \
					       #e, r_, e_, strerror(e_));                                              \
	})
/* The call succeeds with 0. */
#define OK(call)                                                                                                       \
	({                                                                                                             \
		long long r_ = (long long)(call);                                                                      \
		r_ == 0 ? true                                                                                         \
			: H_FAIL("%s failed: result %lld, errno %d (%s)\n", #call, r_, errno, strerror(errno));        \
	})

#define SKIP(...)                                                                                                      \
	do {                                                                                                           \
		h_say("  skipped: " __VA_ARGS__);                                                                      \
		h_say("\n");                                                                                           \
		h_skipped++;                                                                                           \
		return;                                                                                                \
	} while (0)

#define TEST(name)                                                                                                     \
	static void test_##name(void);                                                                                 \
	__attribute__((constructor)) static void register_##name(void)                                                 \
	{                                                                                                              \
		h_tests[h_test_count++] = (struct h_test){#name, test_##name};                                         \
	}                                                                                                              \
	static void test_##name(void)

#define ROLE(argc, argv)                                                                                               \
	static int role(int argc, char **argv);                                                                        \
	__attribute__((constructor)) static void register_role(void)                                                   \
	{                                                                                                              \
		h_role = role;                                                                                         \
	}                                                                                                              \
	static int role(int argc, char **argv)

/* ---- children ---- */

H_UNUSED static pid_t h_fork(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		h_say("fork: %s\n", strerror(errno));
		_exit(1);
	}
	if (pid == 0)
		h_failures = 0;
	return pid;
}

__attribute__((noreturn)) H_UNUSED static void child_exit(void)
{
	_exit(h_failures ? 1 : 0);
}

/* Waits for pid, through interruptions, and gives its wait status; -1 if there is no such child. */
H_UNUSED static int h_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}
#define JOIN(pid) CHECK_EQ(h_wait(pid), 0)
#define W_EXIT(code) ((code) << 8)

/* ---- one-shot gates between processes and threads: a pipe with a byte in it ---- */

struct gate {
	int fd[2];
};

H_UNUSED static void gate_init(struct gate *g)
{
	REQUIRE(pipe2(g->fd, O_CLOEXEC) == 0);
}

H_UNUSED static void gate_open(struct gate *g)
{
	ssize_t n;

	do
		n = write(g->fd[1], "x", 1);
	while (n < 0 && errno == EINTR);
	REQUIRE(n == 1);
}

H_UNUSED static void gate_pass(struct gate *g)
{
	ssize_t n;
	char c;

	do
		n = read(g->fd[0], &c, 1);
	while (n < 0 && errno == EINTR);
	REQUIRE(n == 1);
}

H_UNUSED static void gate_free(struct gate *g)
{
	close(g->fd[0]);
	close(g->fd[1]);
}

/* Waits until a thread (tid of any process) sleeps in the kernel, as /proc shows it; false after ten seconds. */
H_UNUSED static bool h_wait_state(pid_t tid, const char *states)
{
	struct timespec end, now;
	char path[64], buf[512], *p;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 10;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	do {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n;

		if (fd < 0)
			return false;
		n = read(fd, buf, sizeof(buf) - 1);
		close(fd);
		if (n <= 0)
			return false;
		buf[n] = 0;
		p = strrchr(buf, ')');
		if (p && p[1] == ' ' && strchr(states, p[2]))
			return true;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	return false;
}

H_UNUSED static int64_t h_now_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return -1;
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- a working directory of the program's own ---- */

static int h_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int h_unlock(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)ftw;
	if (flag == FTW_D || flag == FTW_DNR)
		chmod(path, (st->st_mode & 07777) | 0700);
	return 0;
}

static void h_cleanup(void)
{
	if (h_dir_owner != getpid() || chdir("/"))
		return;
	nftw(h_dir, h_unlock, 16, FTW_PHYS);
	nftw(h_dir, h_remove, 16, FTW_PHYS | FTW_DEPTH);
}

/* Makes an empty directory, goes there and removes it at the end. */
H_UNUSED static void use_tmpdir(void)
{
	if (h_dir[0]) {
		REQUIRE(chdir(h_dir) == 0);
		return;
	}
	strcpy(h_dir, "/tmp/guest.XXXXXX");
	REQUIRE(mkdtemp(h_dir));
	h_dir_owner = getpid();
	atexit(h_cleanup);
	REQUIRE(chdir(h_dir) == 0);
}

H_UNUSED static void write_file(const char *path, const void *data, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, data, size) == (ssize_t)size);
	REQUIRE(fchmod(fd, mode) == 0);
	REQUIRE(close(fd) == 0);
}

/* Reads a whole file into buf, NUL-terminated; the size, or -1. */
H_UNUSED static ssize_t read_file(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (size < cap - 1 && (n = read(fd, buf + size, cap - 1 - size)) > 0)
		size += (size_t)n;
	close(fd);
	buf[size] = 0;
	return n < 0 ? -1 : (ssize_t)size;
}

int main(int argc, char **argv)
{
	static char self[4096];
	int ran = 0;

	if (argc > 1 && argv[1][0] == '@' && h_role)
		return h_role(argc, argv);
	if (!realpath(argv[0], self))
		strcpy(self, argv[0]);
	h_self = self;
	if (argc > 1 && strcmp(argv[1], "--list") == 0) {
		for (int i = 0; i < h_test_count; i++)
			puts(h_tests[i].name);
		return 0;
	}
	for (int i = 0; i < h_test_count; i++) {
		bool wanted = argc == 1 || argv[1][0] == '-';

		for (int a = 1; a < argc; a++)
			if (strcmp(argv[a] + (argv[a][0] == '-'), h_tests[i].name) == 0)
				wanted = argv[a][0] != '-';
		if (!wanted)
			continue;
		h_say("- %s\n", h_tests[i].name);
		h_tests[i].fn();
		ran++;
	}
	h_say("%d tests, %d skipped, %d failed checks\n", ran, h_skipped, h_failures);
	if (ran == 0)
		return 2;
	return h_failures ? 1 : h_skipped == ran ? 77 : 0;
}

#endif
