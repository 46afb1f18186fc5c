/* A sparse array of pages: a radix tree with 64 children a node that grows with the highest index in use. */
#ifndef BAILEY_SENTRY_FS_TMPFS_PAGETREE_H
#define BAILEY_SENTRY_FS_TMPFS_PAGETREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct page_node;
/* No lock of its own: the inode's guards it. */
struct page_tree {
	struct page_node *root;
	unsigned height; /* levels; 0: empty */
};

/* The page at index, or NULL for a hole. */
uint8_t *page_tree_get(const struct page_tree *t, uint64_t index);
/* Puts a zeroed page at index, which must be a hole; NULL: no memory. */
uint8_t *page_tree_add(struct page_tree *t, uint64_t index) MUST_CHECK;
/* Frees the pages [first, last]; returns how many there were. */
uint64_t page_tree_remove(struct page_tree *t, uint64_t first, uint64_t last);
/* The first page at or after *index: true with *index set. */
bool page_tree_next(const struct page_tree *t, uint64_t *index);

#endif
