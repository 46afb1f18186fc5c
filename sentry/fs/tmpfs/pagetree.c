/* The radix tree of a memory file's pages.  See pagetree.h. */
#include "sentry/fs/tmpfs/pagetree.h"

#include <stdlib.h>

#include "base/checked.h"
#include "host/pages.h"

#define BITS 6
#define FANOUT (1u << BITS)
#define INDEX_BITS 52 /* of a 64-bit offset */

struct page_node {
	unsigned used;
	void *child[FANOUT]; /* nodes; pages at level 1 */
};

/* The highest index that a tree of this height can hold. */
static uint64_t max_index(unsigned height)
{
	unsigned bits = height * BITS;

	return bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
}

static unsigned slot_at(uint64_t index, unsigned level)
{
	return (unsigned)(index >> ((level - 1) * BITS)) & (FANOUT - 1);
}

uint8_t *page_tree_get(const struct page_tree *t, uint64_t index)
{
	void *p = t->root;

	if (index > max_index(t->height) || t->height == 0)
		return NULL;
	for (unsigned level = t->height; level > 0 && p; level--)
		p = ((struct page_node *)p)->child[slot_at(index, level)];
	return p;
}

/* Raises the tree until it can hold index. */
static bool grow(struct page_tree *t, uint64_t index)
{
	while (t->height == 0 || index > max_index(t->height)) {
		struct page_node *n = calloc(1, sizeof(*n));

		if (!n)
			return false;
		if (t->root) {
			n->child[0] = t->root;
			n->used = 1;
		}
		t->root = n;
		t->height++;
	}
	return true;
}

/* A failure half-way leaves empty inner nodes behind, which are harmless: the next remove or add uses them. */
uint8_t *page_tree_add(struct page_tree *t, uint64_t index)
{
	struct page_node *n;
	uint8_t *page;

	if (!grow(t, index))
		return NULL;
	n = t->root;
	for (unsigned level = t->height; level > 1; level--) {
		void **child = &n->child[slot_at(index, level)];

		if (!*child) {
			*child = calloc(1, sizeof(struct page_node));
			if (!*child)
				return NULL;
			n->used++;
		}
		n = *child;
	}
	page = host_page_alloc_zeroed();
	if (!page)
		return NULL;
	n->child[slot_at(index, 1)] = page;
	n->used++;
	return page;
}

/* Removes what of [first, last] lies below n, whose first index is base; the depth is at most INDEX_BITS / BITS. */
static uint64_t remove_below(struct page_node *n, unsigned level, uint64_t base, uint64_t first, uint64_t last)
{
	unsigned shift = (level - 1) * BITS;
	uint64_t removed = 0;

	for (unsigned s = 0; s < FANOUT && n->used > 0; s++) {
		uint64_t child_first = base + ((uint64_t)s << shift);
		uint64_t child_last = child_first + ((1ull << shift) - 1);

		if (!n->child[s] || child_last < first || child_first > last)
			continue;
		if (level == 1) {
			removed++;
			host_page_free(n->child[s]);
		} else {
			struct page_node *child = n->child[s];

			removed += remove_below(child, level - 1, child_first, first, last);
			if (child->used > 0)
				continue;
			free(child);
		}
		n->child[s] = NULL;
		n->used--;
	}
	return removed;
}

uint64_t page_tree_remove(struct page_tree *t, uint64_t first, uint64_t last)
{
	uint64_t removed;

	if (!t->root)
		return 0;
	removed = remove_below(t->root, t->height, 0, first, last);
	if (t->root->used == 0) {
		free(t->root);
		t->root = NULL;
		t->height = 0;
	}
	return removed;
}

static bool next_below(const struct page_node *n, unsigned level, uint64_t base, uint64_t from, uint64_t *found)
{
	unsigned shift = (level - 1) * BITS;

	for (unsigned s = from > base ? slot_at(min_of(from - base, max_index(level)), level) : 0; s < FANOUT; s++) {
		uint64_t child_base = base + ((uint64_t)s << shift);

		if (!n->child[s])
			continue;
		if (level == 1) {
			if (child_base < from)
				continue;
			*found = child_base;
			return true;
		}
		if (next_below(n->child[s], level - 1, child_base, from, found))
			return true;
	}
	return false;
}

bool page_tree_next(const struct page_tree *t, uint64_t *index)
{
	_Static_assert(INDEX_BITS <= 54, "remove_below and next_below recurse at most 9 deep");
	if (!t->root || *index > max_index(t->height))
		return false;
	return next_below(t->root, t->height, 0, *index, index);
}
