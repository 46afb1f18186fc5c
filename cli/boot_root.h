/* The tree that the guest sees, and its standard files. */
#ifndef BAILEY_CLI_BOOT_ROOT_H
#define BAILEY_CLI_BOOT_ROOT_H

#include "base/compiler.h"
#include "cli/boot.h"
#include "host/caller.h"
#include "sentry/task/task.h"

/*
 * Fills args->root, ->cwd and ->std.  root_fd is the host's root (consumed); args->cred is set.
 *
 *     /           the host's root, read-only, under changes in memory (overlay)
 *     /proc       the sentry's own        /sys    empty for now
 *     /dev        the sentry's own        /tmp, /dev/shm   empty, in memory
 *     the binds, in the order given
 *     the caller's working directory, if it is not in the tree already: as the root, read-only under changes in memory
 *
 * 0, or an exit status, and then one line has been logged.
 */
int boot_root(const struct do_options *o, const struct host_caller *caller, int root_fd,
	      struct boot_args *args) MUST_CHECK;

#endif
