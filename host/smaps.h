/* What the host says of a stub's memory mapping by mapping and page by page: its /proc/PID/smaps and pagemap. */
#ifndef BAILEY_HOST_SMAPS_H
#define BAILEY_HOST_SMAPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/* In the order in which smaps has them, all in kB. */
enum host_memory_kind {
	HOST_MEM_RSS,
	HOST_MEM_PSS,
	HOST_MEM_PSS_DIRTY,
	HOST_MEM_SHARED_CLEAN,
	HOST_MEM_SHARED_DIRTY,
	HOST_MEM_PRIVATE_CLEAN,
	HOST_MEM_PRIVATE_DIRTY,
	HOST_MEM_REFERENCED,
	HOST_MEM_ANONYMOUS,
	HOST_MEM_KSM,
	HOST_MEM_LAZY_FREE,
	HOST_MEM_ANON_HUGE,
	HOST_MEM_SHMEM_PMD,
	HOST_MEM_FILE_PMD,
	HOST_MEM_SHARED_HUGETLB,
	HOST_MEM_PRIVATE_HUGETLB,
	HOST_MEM_SWAP,
	HOST_MEM_SWAP_PSS,
	HOST_MEM_KINDS,
};

struct host_mapping {
	uint64_t start, end;
	uint32_t kb[HOST_MEM_KINDS];
};

/* A kind's name in smaps, without the colon. */
const char *host_memory_name(enum host_memory_kind kind);

/* All mappings of the process in the order of their addresses, *out allocated.  -ENOMEM; none if that cannot be learnt. */
int host_process_mappings(pid_t pid, struct host_mapping **out, size_t *count) MUST_CHECK;

/* Bits of an entry: Documentation/admin-guide/mm/pagemap.rst. */
#define HOST_PAGE_PRESENT (1ull << 63)
#define HOST_PAGE_SWAPPED (1ull << 62)

/* A descriptor to read the process's pages by, for host_pagemap_read and close; -errno. */
int host_pagemap_open(pid_t pid) MUST_CHECK;
/* Entries for count pages from the one at addr on, as the unprivileged see them: without page frame numbers.  How many could
 * be read, or -errno. */
ssize_t host_pagemap_read(int fd, uint64_t addr, uint64_t *entries, size_t count) MUST_CHECK;

#endif
