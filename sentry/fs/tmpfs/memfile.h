/*
 * The bytes of a regular file in memory.
 *
 * They lie in a page tree of the sentry's until the file is first mapped.  From then on they lie in one host memfd,
 * whose size follows the inode's, so that mapped pages, SIGBUS past the end, truncation and holes are the host's
 * business.  While a memfd is only lent to readers (memfile_lend) nobody but the sentry changes anything there: then it is mapped in the
 * sentry, too, and what lies in pages that are there is read and written in place, as in the tree.
 *
 * Locking: the inode's lock guards it all and is held by the caller.  While the bytes are in the tree, those
 * between the size and the end of its page are zero.
 */
#ifndef BAILEY_SENTRY_FS_TMPFS_MEMFILE_H
#define BAILEY_SENTRY_FS_TMPFS_MEMFILE_H

#include "sentry/fs/tmpfs/pagetree.h"
#include "sentry/vfs/vfs.h"

/* Memory that a file system may use, in pages. */
struct mem_quota {
	_Atomic uint64_t used;
	_Atomic uint64_t limit; /* 0: none; changed by a remount */
};
int mem_quota_charge(struct mem_quota *q, uint64_t pages) MUST_CHECK; /* -ENOSPC */
void mem_quota_release(struct mem_quota *q, uint64_t pages);

struct memfile {
	struct page_tree tree;
	int fd;			 /* the memfd, or -1 */
	uint64_t charged;	 /* pages */
	bool beyond;		 /* there are, or were, pages past the size, or holes that were made */
	bool only_lent;		 /* the memfd was made for lending, and no guest has mapped it */
	bool shared;		 /* guests have mapped it, or may: they may make pages of holes */
	bool whole;		 /* it had no hole when last looked at, nor has it had any since */
	uint8_t *map;		 /* the memfd's first map_size bytes, or NULL */
	uint64_t map_size;
	uint32_t seals;		 /* L_F_SEAL_*; what they forbid is refused by the memfd, which has them too */
	struct mem_quota *quota; /* borrowed: the super block's */
};

#define MEMFILE_MAX_SIZE INT64_MAX

void memfile_init(struct memfile *m, struct mem_quota *quota);
void memfile_destroy(struct memfile *m);

/* Bodies of the file and inode operations, for an inode whose content is m; they keep i->size, i->blocks and times. */
ssize_t memfile_read(struct inode *i, struct memfile *m, struct uio *u, int64_t pos) MUST_CHECK;
ssize_t memfile_write(struct inode *i, struct memfile *m, struct file *f, struct uio *u, int64_t pos) MUST_CHECK;
int64_t memfile_lseek(struct inode *i, struct memfile *m, struct file *f, int64_t off, int whence) MUST_CHECK;
/* How many pages of those from the first-th to the last-th there are. */
uint64_t memfile_cached(struct inode *i, struct memfile *m, uint64_t first, uint64_t last);
int memfile_fallocate(struct inode *i, struct memfile *m, int mode, uint64_t off, uint64_t len) MUST_CHECK;
int memfile_truncate(struct inode *i, struct memfile *m, uint64_t size) MUST_CHECK;
int memfile_map(struct inode *i, struct memfile *m, int *host_fd) MUST_CHECK;
/* file_ops.lend_pages. */
bool memfile_lend(struct inode *i, struct memfile *m, struct file *f, uint64_t first, uint64_t reads, struct file_loan *out);
/* F_ADD_SEALS. */
int memfile_add_seals(struct inode *i, struct memfile *m, uint32_t seals) MUST_CHECK;
/* Brings i->size and i->blocks up to date with what was written through mappings. */
void memfile_refresh(struct inode *i, struct memfile *m);
/* Stores bytes of the sentry's at pos, without touching times (copy-up): all of them, or -ENOSPC, -ENOMEM. */
int memfile_store(struct inode *i, struct memfile *m, const void *buf, size_t len, uint64_t pos) MUST_CHECK;

#endif
