/*
 * The entries of a directory in memory: a hash table by name, and an array in the order of creation, whose cookies are
 * the positions of a listing.  A cookie is never reused, so a listing goes on where it was whatever came and went.
 *
 * An entry holds an inode (counted), or none: a whiteout, which hides a name of the layer below.  The directory
 * inode's lock guards it all.
 */
#ifndef BAILEY_SENTRY_FS_TMPFS_MEMDIR_H
#define BAILEY_SENTRY_FS_TMPFS_MEMDIR_H

#include "sentry/vfs/vfs.h"

struct memdir_entry {
	struct memdir_entry *next; /* in its bucket */
	struct inode *inode;	   /* counted; NULL: whiteout */
	int64_t cookie;
	size_t slot; /* where it is in the array */
	uint32_t hash;
	char name[];
};

struct memdir_slot {
	int64_t cookie;
	struct memdir_entry *entry; /* NULL: removed */
};

struct memdir {
	struct memdir_entry **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;	     /* entries, whiteouts included */
	size_t live;	     /* entries that are no whiteouts */
	struct memdir_slot *slots;
	size_t slot_count, slot_cap;
	size_t reserved; /* slots promised by memdir_reserve */
	int64_t next_cookie;
};

#define MEMDIR_FIRST_COOKIE 2 /* after "." and ".." */

void memdir_init(struct memdir *m);
/* Puts every inode. */
void memdir_destroy(struct memdir *m);
struct memdir_entry *memdir_find(const struct memdir *m, const char *name);
/* A name that is not there yet.  inode is consumed on success (NULL: a whiteout). */
int memdir_add(struct memdir *m, const char *name, struct inode *inode) MUST_CHECK;
/* The same in two steps, of which the second cannot fail, or is called off. */
int memdir_reserve(struct memdir *m, const char *name, struct memdir_entry **out) MUST_CHECK;
void memdir_add_reserved(struct memdir *m, struct memdir_entry *e, struct inode *inode);
void memdir_cancel(struct memdir *m, struct memdir_entry *e);
/* Changes what an entry leads to; inode is consumed, the old one put. */
void memdir_set(struct memdir *m, struct memdir_entry *e, struct inode *inode);
void memdir_remove(struct memdir *m, struct memdir_entry *e);
/* The first entry at or after position pos, or NULL; whiteouts too. */
struct memdir_entry *memdir_at(const struct memdir *m, int64_t pos);

#endif
