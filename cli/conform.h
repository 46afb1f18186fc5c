/*
 * Comparing a command's native run with its runs inside.
 *
 *     conform_run      runs the case natively and then on each platform, each time in an empty directory of the same name,
 *                      and notes what came of it
 *     conform_compare  says where each run inside differs from the native one: a list of differences, each with its two
 *                      sides as text
 *
 * cmd_conform.c reads the command line and writes the report.  A suite is many cases; a comparison of system calls is one
 * more kind of difference.
 */
#ifndef BAILEY_CLI_CONFORM_H
#define BAILEY_CLI_CONFORM_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct conform_case {
	char **argv;		/* NULL-terminated; argv[0] absolute, or a name to look for along PATH */
	char **env;		/* NULL-terminated, the same on both sides */
	const char **platforms; /* of the runs inside, in order, each another one */
	size_t platform_count;
	const char *bailey; /* whose "do" makes them; NULL: this one */
	char **do_options;  /* further options of it */
	size_t do_option_count;
	unsigned native_timeout_s, inside_timeout_s; /* of each run; 0: none */
	regex_t *ignored;			     /* lines of output that match one are not compared */
	size_t ignored_count;
	const char *keep; /* the directory in which everything stays; NULL: one that goes */
};

struct conform_difference {
	char *what; /* "status", "stdout", "stderr", or "file PATH" */
	char *native, *inside;
};

/*
 * What one run left in the result's directory: NAME.out, NAME.err, NAME.status, and NAME/, the working directory as it was at
 * the end.
 */
struct conform_outcome {
	const char *name; /* "native" or the platform */
	int status;	  /* the exit status, 128+N after signal N; or CONFORM_NO_END */
	double seconds;
	struct conform_difference *differences; /* from the native one */
	size_t count;
};
#define CONFORM_NO_END (-1) /* it had to be killed when its time was over */

struct conform_result {
	char *dir; /* where the outcomes are */
	bool kept; /* conform_end leaves it there */
	struct conform_outcome native, *inside;
	size_t inside_count;
	int signal; /* SIGINT or the like came before the end: the caller's affair once all is tidied up; or 0 */
};

/* 0, or -errno after an error that has been told: that is none of the command's. */
int conform_run(const struct conform_case *c, struct conform_result *out) MUST_CHECK;
int conform_compare(const struct conform_case *c, struct conform_result *r) MUST_CHECK;
/* Lets go of what the runs left, and of the differences. */
void conform_end(struct conform_result *r);

/* For conform_files.c: notes one difference of o's; text is copied. */
void conform_note(struct conform_outcome *o, const char *what, const char *native, const char *inside);
/* Adds the differences between the trees native/ and those of o in dir.  0 or -errno. */
int conform_compare_files(int dir, struct conform_outcome *o) MUST_CHECK;
/* True if both files can be read and hold the same; else *at is the first byte that differs. */
bool conform_same_bytes(int dir, const char *a, const char *b, unsigned long long *at);

#endif
