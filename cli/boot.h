/*
 * From parsed options to a running sandbox.  The order matters and is boot.c's subject:
 *
 *     split off the sentry > shut the host out > drop privileges > start the platform (single-threaded so far)
 *     > build the guest's root > helper threads > host-call filter > run
 */
#ifndef BAILEY_CLI_BOOT_H
#define BAILEY_CLI_BOOT_H

#include <stdbool.h>
#include <stddef.h>

#include "host/confine.h"

struct do_options {
	const char *platform;	    /* "auto", "ptrace" or "systrap" */
	struct confine_bind *binds; /* their sources */
	const char **bind_targets;  /* absolute guest paths */
	size_t bind_count;
	char **env;	     /* the guest's, NULL-terminated */
	const char *workdir; /* absolute guest path; NULL: the caller's own */
	bool strace;
	const char *strace_calls; /* names, comma-separated; NULL: all */
	char **argv;		  /* the command, NULL-terminated */
};

/* Runs the command; the exit status. */
int boot(const struct do_options *o);

#endif
