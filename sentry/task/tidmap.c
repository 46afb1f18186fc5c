/* See tidmap.h. */
#include "sentry/task/tidmap.h"

#include <stddef.h>

#define BITS 6 /* of an id, that a level decodes */
#define MASK 63u

static uint64_t *level_words(struct tidmap *m, int level)
{
	uint64_t *const levels[TIDMAP_LEVELS] = {m->ids, m->words, m->blocks, m->top};

	return levels[level];
}

void tidmap_add(struct tidmap *m, int id)
{
	unsigned at = (unsigned)id;

	for (int level = 0; level < TIDMAP_LEVELS; level++, at >>= BITS)
		level_words(m, level)[at >> BITS] |= 1ull << (at & MASK);
}

void tidmap_remove(struct tidmap *m, int id)
{
	unsigned at = (unsigned)id;

	for (int level = 0; level < TIDMAP_LEVELS; level++, at >>= BITS) {
		uint64_t *word = &level_words(m, level)[at >> BITS];

		*word &= ~(1ull << (at & MASK));
		if (*word)
			return;
	}
}

int tidmap_next(const struct tidmap *map, int from)
{
	struct tidmap *m = (struct tidmap *)(uintptr_t)map; /* only looked at */
	unsigned at = (unsigned)from;
	int level = 0;

	if (from >= TIDMAP_SIZE)
		return -1;
	/* Up until a word has a bit at `at` or above... */
	for (;;) {
		uint64_t rest = level_words(m, level)[at >> BITS] >> (at & MASK);

		if (rest) {
			at += (unsigned)__builtin_ctzll(rest);
			break;
		}
		at = (at >> BITS) + 1;
		if (++level == TIDMAP_LEVELS || at >= (unsigned)TIDMAP_SIZE >> (BITS * level))
			return -1;
	}
	/* ...and down again by the lowest bits. */
	while (level-- > 0)
		at = at << BITS | (unsigned)__builtin_ctzll(level_words(m, level)[at]);
	return (int)at;
}
