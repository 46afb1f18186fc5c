/*
 * From parsed options to a running sandbox.  The order matters and is boot.c's subject:
 *
 *     split off the sentry > begin to start the platform > shut the host out > drop privileges > build the guest's root
 *     > the platform has started (single-threaded so far) > helper threads > host-call filter > run
 */
#ifndef BAILEY_CLI_BOOT_H
#define BAILEY_CLI_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/confine.h"
#include "sentry/entry/entry.h"

/* What is mounted over the root, in the order of the command line. */
struct do_mount {
	const char *target; /* absolute guest path */
	bool is_bind;
	size_t bind;	  /* is_bind: which of do_options.binds; else a file system in memory: */
	uint64_t size;	  /* bytes; 0: by percent */
	unsigned percent; /* of the host's memory */
};

struct do_options {
	const char *platform;	  /* "auto", "ptrace" or "systrap" */
	unsigned required;	  /* a bit for each enum confine_layer that must be there */
	bool no_patch;		  /* the guest's text stays as it is */
	enum short_cuts short_cuts; /* which calls the platform may answer by itself */
	struct confine_bind root; /* what is shown as /, under changes in memory */
	bool foreign_root;	  /* --rootfs: the caller's directory means nothing in it */
	struct confine_bind *binds;
	size_t bind_count;
	struct do_mount *mounts;
	size_t mount_count;
	char **env;	     /* the guest's, NULL-terminated */
	const char *workdir; /* absolute guest path; NULL: the caller's own, or / in a foreign root */
	const char *hostname; /* NULL: the usual one */
	bool without_init;   /* CMD is pid 1 */
	bool other_user;     /* uid and gid below, without further groups, instead of the caller's */
	uint32_t uid, gid;
	bool backtrace;
	bool strace;
	const char *strace_calls; /* as strace_init takes them */
	int strace_fd;		  /* -1: standard error */
	int log_fd;		  /* -1: standard error */
	char **argv;		  /* the command, NULL-terminated */
};

/* Runs the command; the exit status. */
int boot(struct do_options *o);

#endif
