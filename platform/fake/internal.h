/* The fake platform's private header: fake.c has contexts and scripts, memory.c the pages. */
#ifndef BAILEY_PLATFORM_FAKE_INTERNAL_H
#define BAILEY_PLATFORM_FAKE_INTERNAL_H

#include <pthread.h>

#include "base/lock.h"
#include "base/refcount.h"
#include "platform/ops.h"

/* Where a page's bytes are.  Shared by the pages of several address spaces if it is a shared mapping's. */
struct backing {
	struct refcount refs;
	bool shared;	    /* immutable */
	uint8_t *data;	    /* NULL: zeroes; guarded by memory_lock */
	int fd;		    /* a shared file's page, -1 if it is none: each access goes to the file; owned */
	uint64_t off;	    /* in the file, bytes */
};

struct fake_page {
	gva_t addr;
	int prot;
	struct backing *backing; /* counted */
};

struct fake_as {
	struct pas base;
	struct fake_page *pages; /* sorted by addr; guarded by memory_lock */
	size_t page_count, page_cap;
};

static inline struct fake_as *to_fake_as(struct pas *as)
{
	return container_of(as, struct fake_as, base);
}

/* ---- memory.c ---- */

void fake_memory_drop(struct fake_as *as);
int fake_memory_copy(struct fake_as *to, struct fake_as *from) MUST_CHECK;

int fake_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd, uint64_t off);
int fake_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len);
int fake_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot);
int fake_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
	       int extra_flags);
int fake_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec);
int fake_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg);
ssize_t fake_read(struct pas *as, gva_t addr, void *buf, size_t len);
ssize_t fake_write(struct pas *as, gva_t addr, const void *buf, size_t len);
int fake_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen);

#endif
