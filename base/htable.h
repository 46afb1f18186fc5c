/*
 * An intrusive hash table that grows with what is in it: what is short does not pay for what may be long.  Entries know their own hash,
 * whose lowest bits choose the bucket.  Nothing fails: where there is no memory to grow, lists get longer.  No locking: the owner's lock
 * guards it.
 */
#ifndef BAILEY_BASE_HTABLE_H
#define BAILEY_BASE_HTABLE_H

#include <stdint.h>
#include <stdlib.h>

#define HTABLE_FIRST 256u /* buckets that it has from the start */
#define HTABLE_STEP 4u	  /* and how many times as many it gets */

struct hentry {
	struct hentry *next;
	uint64_t hash;
};

struct htable {
	struct hentry **buckets; /* first, or allocated */
	size_t mask, count;
	struct hentry *first[HTABLE_FIRST];
};

#define HTABLE_INIT(name) { .buckets = (name).first, .mask = HTABLE_FIRST - 1 }

/* Of a table that is all zeros. */
static inline void htable_init(struct htable *t)
{
	t->buckets = t->first;
	t->mask = HTABLE_FIRST - 1;
}

static inline void htable_destroy(struct htable *t)
{
	if (t->buckets != t->first)
		free(t->buckets);
}

/* The list in which entries of that hash are, with others. */
static inline struct hentry *htable_list(const struct htable *t, uint64_t hash)
{
	return t->buckets[hash & t->mask];
}

static inline void htable_grow_(struct htable *t)
{
	size_t mask = (t->mask + 1) * HTABLE_STEP - 1;
	struct hentry **buckets = calloc(mask + 1, sizeof(*buckets));

	if (!buckets)
		return;
	for (size_t b = 0; b <= t->mask; b++) {
		for (struct hentry *e = t->buckets[b], *next; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & mask];
			buckets[e->hash & mask] = e;
		}
	}
	htable_destroy(t);
	t->buckets = buckets;
	t->mask = mask;
}

static inline void htable_add(struct htable *t, struct hentry *e, uint64_t hash)
{
	struct hentry **b;

	if (t->count > t->mask)
		htable_grow_(t);
	b = &t->buckets[hash & t->mask];
	e->hash = hash;
	e->next = *b;
	*b = e;
	t->count++;
}

/* e is in it. */
static inline void htable_remove(struct htable *t, struct hentry *e)
{
	struct hentry **link = &t->buckets[e->hash & t->mask];

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	t->count--;
}

#endif
