/*
 * Command lines, by table: what an option is called, what it takes and what it is for stand in one row, from which both
 * parsing and --help are made.  A long option's value follows "=" or is the next argument; "--" ends the options.
 */
#ifndef BAILEY_CLI_OPTIONS_H
#define BAILEY_CLI_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "base/compiler.h"

enum option_takes {
	TAKES_NOTHING,
	TAKES_VALUE,
	TAKES_PAIR,	 /* two arguments: --bind SRC DST */
	TAKES_AFTER_SIGN /* a value after "=", or none */
};

struct option {
	const char *name; /* without the dashes; of one letter: -v */
	enum option_takes takes;
	const char *values;  /* as --help shows them: "SRC DST" */
	const char *help;    /* NULL: another name of the row above, which is what to document */
	/* 0, or the exit status after an error that it has told.  second is for TAKES_PAIR; values live as long as argv. */
	int (*set)(void *ctx, char *value, char *second);
};

struct command_line {
	const char *command; /* the subcommand, for messages */
	const char *usage;   /* what --help prints before the options */
	const char *closing; /* and after them; may be NULL */
	const struct option *options;
	size_t option_count;
};

#define OPTIONS_DONE (-1) /* --help or --version was answered: end with success */

/*
 * Takes the options from argv[1] on; *rest is then the index of the first argument that is none.  0; OPTIONS_DONE; or an
 * exit status, and then one line has been said.
 */
int options_parse(const struct command_line *cl, void *ctx, int argc, char **argv, int *rest) MUST_CHECK;

/* A line about bad usage that ends with where to look; returns EXIT_BAILEY. */
int usage_error(const struct command_line *cl, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Text as a message shows it: in quotes, cut short if it is long.  Good until the fourth call after this one. */
const char *quoted(const char *text);

#endif
