/* Directories in memory.  See memdir.h. */
#include "sentry/fs/tmpfs/memdir.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"

#define FIRST_BUCKETS 8
#define FIRST_SLOTS 8

void memdir_init(struct memdir *m)
{
	*m = (struct memdir){.next_cookie = MEMDIR_FIRST_COOKIE};
}

/*
 * Putting a directory's entries may be the end of directories below, and so on down.  Entries are therefore collected
 * in one list a thread, which the outermost call works off: the depth of a guest's tree is not that of the sentry's
 * stack.
 */
static _Thread_local struct memdir_entry *doomed;
static _Thread_local bool draining;

void memdir_destroy(struct memdir *m)
{
	for (size_t s = 0; s < m->slot_count; s++) {
		struct memdir_entry *e = m->slots[s].entry;

		if (!e)
			continue;
		e->next = doomed;
		doomed = e;
	}
	free(m->slots);
	free(m->buckets);
	memdir_init(m);
	if (draining)
		return;
	draining = true;
	while (doomed) {
		struct memdir_entry *e = doomed;

		doomed = e->next;
		inode_put(e->inode);
		free(e);
	}
	draining = false;
}

/* FNV-1a, started from where the table lies, so that a guest cannot choose names that collide beforehand. */
static uint32_t hash_name(const struct memdir *m, const char *name)
{
	uint32_t h = 2166136261u ^ (uint32_t)((uintptr_t)m >> 4);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

struct memdir_entry *memdir_find(const struct memdir *m, const char *name)
{
	uint32_t h = hash_name(m, name);

	if (m->count == 0)
		return NULL;
	for (struct memdir_entry *e = m->buckets[h & (m->bucket_count - 1)]; e; e = e->next) {
		if (e->hash == h && strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

static int grow_buckets(struct memdir *m)
{
	size_t count = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
	struct memdir_entry **buckets = calloc(count, sizeof(struct memdir_entry *));

	if (!buckets)
		return m->bucket_count ? 0 : -ENOMEM; /* a crowded table still works */
	for (size_t b = 0; b < m->bucket_count; b++) {
		struct memdir_entry *e = m->buckets[b], *next;

		for (; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (count - 1)];
			buckets[e->hash & (count - 1)] = e;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->bucket_count = count;
	return 0;
}

/* Drops the slots of removed entries; the order and the cookies stay. */
static void compact(struct memdir *m)
{
	size_t to = 0;

	for (size_t from = 0; from < m->slot_count; from++) {
		if (!m->slots[from].entry)
			continue;
		m->slots[to] = m->slots[from];
		m->slots[to].entry->slot = to;
		to++;
	}
	m->slot_count = to;
}

static int grow_slots(struct memdir *m)
{
	size_t cap = m->slot_cap ? m->slot_cap * 2 : FIRST_SLOTS;
	struct memdir_slot *slots;

	if (m->slot_count + m->reserved < m->slot_cap)
		return 0;
	if (m->count + m->reserved < m->slot_cap / 2) {
		compact(m);
		return 0;
	}
	slots = realloc(m->slots, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	m->slots = slots;
	m->slot_cap = cap;
	return 0;
}

int memdir_reserve(struct memdir *m, const char *name, struct memdir_entry **out)
{
	size_t len = strlen(name) + 1;
	struct memdir_entry *e;

	if (m->count >= m->bucket_count && grow_buckets(m) < 0)
		return -ENOMEM;
	if (grow_slots(m) < 0)
		return -ENOMEM;
	e = malloc(sizeof(*e) + len);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, len);
	m->reserved++;
	*out = e;
	return 0;
}

void memdir_add_reserved(struct memdir *m, struct memdir_entry *e, struct inode *inode)
{
	struct memdir_entry **bucket;

	m->reserved--;
	e->hash = hash_name(m, e->name);
	e->inode = inode;
	e->cookie = m->next_cookie++;
	e->slot = m->slot_count;
	m->slots[m->slot_count++] = (struct memdir_slot){e->cookie, e};
	bucket = &m->buckets[e->hash & (m->bucket_count - 1)];
	e->next = *bucket;
	*bucket = e;
	m->count++;
	m->live += inode != NULL;
}

void memdir_cancel(struct memdir *m, struct memdir_entry *e)
{
	if (!e)
		return;
	m->reserved--;
	free(e);
}

int memdir_add(struct memdir *m, const char *name, struct inode *inode)
{
	struct memdir_entry *e;
	int r = memdir_reserve(m, name, &e);

	if (r < 0)
		return r;
	memdir_add_reserved(m, e, inode);
	return 0;
}

void memdir_set(struct memdir *m, struct memdir_entry *e, struct inode *inode)
{
	struct inode *old = e->inode;

	m->live -= old != NULL;
	m->live += inode != NULL;
	e->inode = inode;
	if (old)
		inode_put(old);
}

void memdir_remove(struct memdir *m, struct memdir_entry *e)
{
	struct memdir_entry **link = &m->buckets[e->hash & (m->bucket_count - 1)];

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	m->slots[e->slot].entry = NULL;
	m->count--;
	m->live -= e->inode != NULL;
	if (e->inode)
		inode_put(e->inode);
	free(e);
}

struct memdir_entry *memdir_at(const struct memdir *m, int64_t pos)
{
	size_t lo = 0, hi = m->slot_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->slots[mid].cookie < pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo < m->slot_count && !m->slots[lo].entry)
		lo++;
	return lo < m->slot_count ? m->slots[lo].entry : NULL;
}
