/* The tree that the guest sees, and its standard files. */
#ifndef BAILEY_CLI_BOOT_ROOT_H
#define BAILEY_CLI_BOOT_ROOT_H

#include "base/compiler.h"
#include "cli/boot.h"
#include "host/caller.h"
#include "sentry/task/task.h"

/*
 * Fills args->root and ->cwd, and makes no thread.  o->root.dir_fd is consumed; args->cred is set.
 *
 *     /           o->root: the host's root or another, under changes in memory (overlay)
 *     /proc       the sentry's own        /sys    empty for now
 *     /dev        the sentry's own        /tmp, /dev/shm   empty, in memory
 *     o->mounts, in their order
 *     the caller's working directory, if it is not in the tree already: as the root, read-only under changes in memory
 *
 * 0, or an exit status, and then one line has been logged.
 */
int boot_root(const struct do_options *o, const struct host_caller *caller, struct boot_args *args) MUST_CHECK;

/* After that: fills args->std and ->terminal.  As boot_root. */
int boot_std(struct boot_args *args) MUST_CHECK;

#endif
