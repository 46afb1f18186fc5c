/*
 * The set of ids in use, as a tree of bits: what is asked of it costs a few words, whatever ids were ever used.  A bit
 * of a level says whether the word of that number one level below has any bit set.
 *
 * Locks: the caller's.
 */
#ifndef BAILEY_SENTRY_TASK_TIDMAP_H
#define BAILEY_SENTRY_TASK_TIDMAP_H

#include <stdint.h>

#define TIDMAP_SIZE (1 << 22) /* ids are 0 to TIDMAP_SIZE - 1 */
#define TIDMAP_LEVELS 4

/* All zero is the empty set.  Half a MiB of address space, of which only what is used has memory. */
struct tidmap {
	uint64_t ids[TIDMAP_SIZE >> 6];
	uint64_t words[TIDMAP_SIZE >> 12];
	uint64_t blocks[TIDMAP_SIZE >> 18];
	uint64_t top[1];
};

/* id is in range; adding what is there and removing what is not are harmless. */
void tidmap_add(struct tidmap *m, int id);
void tidmap_remove(struct tidmap *m, int id);
/* The lowest id in the set that is >= from (0 or more), or -1. */
int tidmap_next(const struct tidmap *m, int from);

#endif
