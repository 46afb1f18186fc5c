/*
 * The list of VMAs: a sorted array of pointers (binary search; a guest has some hundreds).  Private to sentry/mm.
 *
 * Changes are two-phase so that nothing can fail after the host was told: vma_reserve gets the memory first,
 * the host call comes next, and the functions below it cannot fail.
 */
#ifndef BAILEY_SENTRY_MM_VMA_H
#define BAILEY_SENTRY_MM_VMA_H

#include "sentry/mm/mm.h"

/* Spare VMAs for one change: at most two splits and one insertion. */
struct vma_spare {
	struct vma *v[3];
};

/* Gets memory for one change to mm; -ENOMEM leaves nothing.  mm->lock held here and below. */
int vma_reserve(struct mm *mm, struct vma_spare *spare) MUST_CHECK;
/* The same with room in the array for `room` more VMAs: for a change that takes several spares. */
int vma_reserve_more(struct mm *mm, size_t room, struct vma_spare *spare) MUST_CHECK;
void vma_spare_free(struct vma_spare *spare);

/* Index of the first VMA that ends above addr; vma_count if none. */
size_t vma_index(const struct mm *mm, uint64_t addr);

/* Whether nothing is mapped in [addr, addr + len); whether something there is sealed. */
bool vma_range_free(const struct mm *mm, uint64_t addr, uint64_t len);
bool vma_any_sealed(const struct mm *mm, uint64_t addr, uint64_t len);

/* Makes addr a boundary between VMAs if one spans it. */
void vma_split(struct mm *mm, uint64_t addr, struct vma_spare *spare);
/* Drops everything in [start, end), splitting at the edges. */
void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end, struct vma_spare *spare);
/* Inserts a copy of *v (its file reference is taken anew) into a range that is empty, and merges with neighbours. */
void vma_insert(struct mm *mm, const struct vma *v, struct vma_spare *spare);
/* Joins equal neighbours in and around [start, end). */
void vma_merge_range(struct mm *mm, uint64_t start, uint64_t end);

/* A VMA's references to its file, counted by files that count their VMAs, and to its name. */
void vma_refs_get(struct vma *v);
void vma_refs_put(struct vma *v);
/* Takes another name, or NULL; counted anew. */
void vma_set_name(struct vma *v, struct vma_name *name);

/* Whether v counts as data: private and writable, and no stack. */
bool vma_is_data(const struct vma *v);
/* v has grown by len bytes, which the sums that limits and /proc speak of are to count. */
void vma_account(struct mm *mm, const struct vma *v, uint64_t len);

/* Whether faults below v extend it. */
bool vma_grows(const struct vma *v);

static inline uint64_t vma_len(const struct vma *v)
{
	return v->end - v->start;
}

#endif
