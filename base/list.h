/*
 * An intrusive, circular, doubly linked list.  An empty list is a head that points to itself; a node that is on
 * no list is kept in the same state, so list_del_init may be called twice.  No locking: the owner's lock guards it.
 */
#ifndef BAILEY_BASE_LIST_H
#define BAILEY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }

static inline void list_init(struct list_head *h)
{
	h->next = h->prev = h;
}

static inline bool list_empty(const struct list_head *h)
{
	return h->next == h;
}

static inline void list_insert_between_(struct list_head *n, struct list_head *prev, struct list_head *next)
{
	next->prev = n;
	n->next = next;
	n->prev = prev;
	prev->next = n;
}

/* Puts n first. */
static inline void list_add(struct list_head *n, struct list_head *h)
{
	list_insert_between_(n, h, h->next);
}

/* Puts n last. */
static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	list_insert_between_(n, h->prev, h);
}

/* Takes n off its list and leaves it empty; harmless if it is on none. */
static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* Moves all of from's nodes to the end of to; from is empty afterwards. */
static inline void list_splice_tail_init(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(h, type, member) list_entry((h)->next, type, member)
#define list_last_entry(h, type, member) list_entry((h)->prev, type, member)

#define list_for_each_entry(pos, h, member)                                                                            \
	for (pos = list_first_entry(h, __typeof__(*pos), member); &pos->member != (h);                                 \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* As above; pos may be taken off the list in the body. */
#define list_for_each_entry_safe(pos, tmp, h, member)                                                                  \
	for (pos = list_first_entry(h, __typeof__(*pos), member),                                                      \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                              \
	     &pos->member != (h); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
