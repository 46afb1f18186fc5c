/*
 *     differ DIRECTORY FIRST COUNT STEPS
 *
 * Runs the programs of COUNT seeds, FIRST the first of them, each of STEPS steps, as a child in a new directory below DIRECTORY.
 */
#include "differ.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60 /* for a program, which takes a fraction of one */
#define LINE_MAX_SIZE 1024

static uint64_t state;
static unsigned step_number;
static int out_fd;

/* ---- numbers ---- */

static void seed_with(unsigned seed)
{
	state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	for (int i = 0; i < 8; i++)
		(void)roll(2);
}

unsigned roll(unsigned n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 0x2545f4914f6cdd1dull) >> 33) % n;
}

bool once_in(unsigned n)
{
	return roll(n) == 0;
}

/* ---- what is said ---- */

static char line[LINE_MAX_SIZE];
static size_t line_len;

static void add(const char *fmt, va_list ap)
{
	int n = vsnprintf(line + line_len, sizeof(line) - line_len - 1, fmt, ap);

	if (n > 0)
		line_len += (size_t)n < sizeof(line) - line_len - 1 ? (size_t)n : sizeof(line) - line_len - 2;
}

/* With a call each, and by a descriptor that no step knows: what was said before a program's death is not lost. */
static void end_line(void)
{
	if (!line_len)
		return;
	line[line_len++] = '\n';
	for (size_t at = 0; at < line_len;) {
		ssize_t n = write(out_fd, line + at, line_len - at);

		if (n < 0 && errno != EINTR)
			_exit(99);
		at += n > 0 ? (size_t)n : 0;
	}
	line_len = 0;
}

void step(const char *fmt, ...)
{
	va_list ap;

	end_line();
	line_len = (size_t)snprintf(line, sizeof(line), "%u ", step_number);
	va_start(ap, fmt);
	add(fmt, ap);
	va_end(ap);
}

void more(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(fmt, ap);
	va_end(ap);
}

long gave(long result)
{
	if (result == -1)
		more(" = %s", strerrorname_np(errno));
	else
		more(" = %ld", result);
	return result;
}

void wrote(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint32_t h = 2166136261u;

	size = readable(data, size);
	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 16777619u;
	more(" [%zu:%08x]", size, h);
}

/* ---- programs ---- */

static void remove_below(const char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", dir);
	if (system(command) != 0)
		exit(2);
}

static void run(unsigned steps)
{
	static void (*const kinds[])(void) = {file_step, file_step, file_step, file_step, memory_step, memory_step, process_step};
	const struct rlimit files = {64, 64};

	alarm(SECONDS);
	umask(022);
	setrlimit(RLIMIT_NOFILE, &files);
	out_fd = dup2(1, 63);
	for (int fd = 0; fd < 63; fd++)
		close(fd);
	memory_start();
	files_start();
	processes_start();
	for (step_number = 1; step_number <= steps; step_number++) {
		PICK(kinds)();
		say_handled();
	}
	end_line();
	_exit(0);
}

int main(int argc, char **argv)
{
	unsigned first, count, steps;

	if (argc != 5 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: differ DIRECTORY FIRST COUNT STEPS\n");
		return 2;
	}
	first = (unsigned)strtoul(argv[2], NULL, 10);
	count = (unsigned)strtoul(argv[3], NULL, 10);
	steps = (unsigned)strtoul(argv[4], NULL, 10);
	/* What its children leave behind is this one's to reap. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (unsigned seed = first; seed < first + count; seed++) {
		char dir[32];
		int status;
		pid_t pid;

		snprintf(dir, sizeof(dir), "seed-%u", seed);
		printf("== %u\n", seed);
		fflush(stdout);
		if (mkdir(dir, 0755) < 0)
			return 2;
		pid = fork();
		if (pid == 0) {
			if (chdir(dir) < 0)
				_exit(98);
			seed_with(seed);
			run(steps);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 2;
		printf("== %u ends by %s %d\n", seed, WIFSIGNALED(status) ? "signal" : "exit",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		while (wait(NULL) > 0)
			;
		remove_below(dir);
	}
	return 0;
}
