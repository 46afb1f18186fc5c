/*
 * Waiting for several files at once: the engine of poll(2) and select(2).  The caller fills in an array of slots, calls
 * pollset_wait, reads the slots' revents and frees the set.
 */
#ifndef BAILEY_SENTRY_SYSCALLS_POLLSET_H
#define BAILEY_SENTRY_SYSCALLS_POLLSET_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "sentry/core/wait.h"
#include "sentry/vfs/vfs.h"

struct poll_slot {
	struct file *file; /* counted; NULL: nothing to wait for, and revents stays as it is */
	uint32_t events;   /* L_POLL*: these and no others are waited for */
	uint32_t revents;  /* out */
	struct wait_entry entry;
};

#define POLLSET_FAST 8

struct pollset {
	struct poll_slot *slots; /* fast, or allocated */
	size_t count;
	struct poll_slot fast[POLLSET_FAST];
};

/* Makes room for count zeroed slots.  -ENOMEM.  pollset_free afterwards in either case. */
int pollset_init(struct pollset *ps, size_t count) MUST_CHECK;
void pollset_free(struct pollset *ps);
/*
 * Waits until a slot has revents or the monotonic clock reaches deadline_ns (0: not at all).  The number of slots with
 * revents, 0, or -ERESTARTSYS.
 */
int pollset_wait(struct pollset *ps, int64_t deadline_ns) MUST_CHECK;

#endif
