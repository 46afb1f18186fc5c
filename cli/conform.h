/*
 * Comparing a command's native run with its run inside.
 *
 *     conform_run      runs the case twice, each time in an empty directory of the same name, and notes what came of it
 *     conform_compare  says where two outcomes differ: a list of differences, each with its two sides as text
 *
 * cmd_conform.c reads the command line and writes the report.  A suite is many cases; a comparison of system calls is one
 * more kind of difference.
 */
#ifndef BAILEY_CLI_CONFORM_H
#define BAILEY_CLI_CONFORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct conform_case {
	char **argv;	      /* NULL-terminated; argv[0] absolute, or a name to look for along PATH */
	char **env;	      /* NULL-terminated, the same on both sides */
	const char *platform; /* of the run inside */
	char **do_options;    /* further options of "bailey do" */
	size_t do_option_count;
	unsigned timeout_s; /* of each run; 0: none */
};

/* What one run left in its directory: NAME.out, NAME.err, and NAME/, the working directory as it was at the end. */
struct conform_outcome {
	const char *name; /* "native" or "inside" */
	int status;	  /* the exit status, 128+N after signal N; or CONFORM_NO_END */
};
#define CONFORM_NO_END (-1) /* it had to be killed when its time was over */

struct conform_difference {
	char *what; /* "status", "stdout", "stderr", or "file PATH" */
	char *native, *inside;
};

struct conform_result {
	char *dir; /* where the outcomes are; removed by conform_end */
	struct conform_outcome native, inside;
	struct conform_difference *differences;
	size_t count;
};

/* 0, or -errno after an error that has been told: that is none of the command's. */
int conform_run(const struct conform_case *c, struct conform_result *out) MUST_CHECK;
int conform_compare(struct conform_result *r) MUST_CHECK;
/* Removes what the runs left, and the differences. */
void conform_end(struct conform_result *r);

/* For conform_files.c: notes one difference; text is copied. */
void conform_note(struct conform_result *r, const char *what, const char *native, const char *inside);
/* Adds the differences between the trees native/ and inside/ in r->dir.  0 or -errno. */
int conform_compare_files(struct conform_result *r) MUST_CHECK;
/* True if both files can be read and hold the same; else *at is the first byte that differs. */
bool conform_same_bytes(int dir, const char *a, const char *b, unsigned long long *at);

#endif
