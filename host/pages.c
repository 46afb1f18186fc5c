/* See pages.h. */
#include "host/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/list.h"
#include "base/lock.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif

#ifdef __SANITIZE_ADDRESS__ /* which is to see a page that is used after its end */

static uint8_t *alloc(bool *zeroed)
{
	*zeroed = false;
	return aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void host_page_free(uint8_t *page)
{
	free(page);
}

#else

#define CHUNK_SIZE (1ul << 20)
#define PAGES (CHUNK_SIZE / PAGE_SIZE) /* the first is the chunk's own */
#define NONE 0			       /* as a page's number: no page */
/* So many fresh pages are brought in at once: a fault each costs more than all of them together. */
#define BATCH 16
/* A chunk that is free again keeps so many pages that were used, for a file that comes and goes. */
#define KEPT 64

/* At the beginning of each CHUNK_SIZE, aligned to that.  All guarded by chunks_lock. */
struct chunk {
	struct list_head node; /* of chunks_with_room */
	unsigned used;
	unsigned fresh;	  /* from this page on none was ever handed out, and all are zeros */
	unsigned present; /* up to this one they have been brought in */
	unsigned free;	  /* the first of a list through next, or NONE */
	uint16_t next[PAGES];
};
_Static_assert(sizeof(struct chunk) <= PAGE_SIZE, "a chunk's own page");

static struct mutex chunks_lock = MUTEX_INIT;
static struct list_head chunks_with_room = LIST_HEAD_INIT(chunks_with_room);
static unsigned unused_chunks; /* how many chunks have no page in use */

static void reset(struct chunk *c)
{
	c->used = 0;
	c->fresh = c->present = 1;
	c->free = NONE;
}

static struct chunk *chunk_new(void) REQUIRES(chunks_lock)
{
	uint8_t *got = mmap(NULL, 2 * CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;
	struct chunk *c;

	if (got == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)got % CHUNK_SIZE;
	if (before)
		munmap(got, before);
	munmap(got + before + CHUNK_SIZE, CHUNK_SIZE - before);
	c = (struct chunk *)(void *)(got + before);
	reset(c);
	list_add(&c->node, &chunks_with_room);
	unused_chunks++;
	return c;
}

static bool has_room(const struct chunk *c)
{
	return c->free != NONE || c->fresh < PAGES;
}

/* Takes a page; *zeroed: it is all zeros. */
static uint8_t *take(struct chunk *c, bool *zeroed) REQUIRES(chunks_lock)
{
	unsigned n = c->free;

	*zeroed = n == NONE;
	if (n != NONE) {
		c->free = c->next[n];
	} else {
		n = c->fresh++;
		if (n >= c->present) {
			unsigned count = min_of((unsigned)BATCH, (unsigned)PAGES - n);

			/* Where the host cannot, each page comes by its own fault. */
			(void)!madvise((uint8_t *)c + n * PAGE_SIZE, count * PAGE_SIZE, MADV_POPULATE_WRITE);
			c->present = n + count;
		}
	}
	if (c->used++ == 0)
		unused_chunks--;
	if (!has_room(c))
		list_del_init(&c->node);
	return (uint8_t *)c + n * PAGE_SIZE;
}

static uint8_t *alloc(bool *zeroed)
{
	uint8_t *page = NULL;
	struct chunk *c;

	mutex_lock(&chunks_lock);
	c = list_empty(&chunks_with_room) ? chunk_new() : list_first_entry(&chunks_with_room, struct chunk, node);
	if (c)
		page = take(c, zeroed);
	mutex_unlock(&chunks_lock);
	return page;
}

/* No page of c is in use: it goes back to the host, but for the last such one. */
static void give_back(struct chunk *c) REQUIRES(chunks_lock)
{
	if (unused_chunks > 0) {
		list_del_init(&c->node);
		munmap(c, CHUNK_SIZE);
		return;
	}
	unused_chunks++;
	if (c->present > KEPT) {
		madvise((uint8_t *)c + PAGE_SIZE, CHUNK_SIZE - PAGE_SIZE, MADV_DONTNEED);
		reset(c);
	}
}

void host_page_free(uint8_t *page)
{
	struct chunk *c = (struct chunk *)((uintptr_t)page & -CHUNK_SIZE);
	unsigned n = (unsigned)((uintptr_t)page % CHUNK_SIZE / PAGE_SIZE);

	if (!page)
		return;
	mutex_lock(&chunks_lock);
	if (!has_room(c))
		list_add(&c->node, &chunks_with_room);
	c->next[n] = (uint16_t)c->free;
	c->free = n;
	if (--c->used == 0)
		give_back(c);
	mutex_unlock(&chunks_lock);
}

#endif

uint8_t *host_page_alloc(void)
{
	bool zeroed;

	return alloc(&zeroed);
}

uint8_t *host_page_alloc_zeroed(void)
{
	bool zeroed;
	uint8_t *page = alloc(&zeroed);

	if (page && !zeroed)
		memset(page, 0, PAGE_SIZE);
	return page;
}
