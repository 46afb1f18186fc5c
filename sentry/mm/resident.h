/*
 * What of each VMA is resident, as the host says of the stub.  The host's mappings lie at the same addresses, but it joins
 * what the sentry keeps apart (locked and not, named and not) and parts what the sentry keeps together.
 */
#ifndef BAILEY_SENTRY_MM_RESIDENT_H
#define BAILEY_SENTRY_MM_RESIDENT_H

#include "host/smaps.h"
#include "sentry/mm/mm.h"

struct resident {
	uint64_t kb[HOST_MEM_KINDS];
	uint64_t pss_anon_kb, pss_file_kb, pss_shmem_kb;
};

/* One look at the host's books; used by one thread. */
struct resident_map {
	struct host_mapping *host;
	size_t count, next; /* next: where the search for the next VMA begins */
	int pagemap_fd;	    /* -1: not wanted yet, or cannot be had */
	pid_t pid;
};

/* Looks, if wanted; else the map is empty.  -ENOMEM.  resident_end frees it. */
int resident_begin(struct resident_map *map, struct mm *mm, bool wanted) MUST_CHECK;
void resident_end(struct resident_map *map);
/* What is resident of v.  VMAs are asked for in the order of their addresses. */
void resident_of(struct resident_map *map, const struct vma *v, struct resident *out);
void resident_add(struct resident *sum, const struct resident *more);

#endif
