/* A ring of bytes, of a fixed size that is a power of two.  Whoever owns it guards it. */
#ifndef BAILEY_SENTRY_FS_TTY_RING_H
#define BAILEY_SENTRY_FS_TTY_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring {
	uint8_t *data;	     /* borrowed; of size bytes */
	uint32_t size;	     /* a power of two; immutable */
	uint32_t head, tail; /* count on without end; head - tail bytes lie in it */
};

static inline uint32_t ring_used(const struct ring *r)
{
	return r->head - r->tail;
}

static inline uint32_t ring_room(const struct ring *r)
{
	return r->size - ring_used(r);
}

/* False, and nothing done, if it is full. */
static inline bool ring_put(struct ring *r, uint8_t c)
{
	if (ring_room(r) == 0)
		return false;
	r->data[r->head++ & (r->size - 1)] = c;
	return true;
}

/* There is a byte. */
static inline uint8_t ring_get(struct ring *r)
{
	return r->data[r->tail++ & (r->size - 1)];
}

static inline void ring_clear(struct ring *r)
{
	r->tail = r->head;
}

#endif
