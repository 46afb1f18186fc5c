/* Arithmetic on lengths and offsets that the guest chose: every sum says whether it overflowed. */
#ifndef BAILEY_BASE_CHECKED_H
#define BAILEY_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define PAGE_SIZE 4096ul
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_SHIFT 12

/* True on success; *sum is untouched by overflow's wrapped value only if the caller checks. */
static inline MUST_CHECK bool checked_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline MUST_CHECK bool checked_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

static inline uint64_t page_down(uint64_t a)
{
	return a & PAGE_MASK;
}

/* Rounds up to a page; false if that overflows. */
static inline MUST_CHECK bool page_up(uint64_t a, uint64_t *up)
{
	if (!checked_add(a, PAGE_SIZE - 1, up))
		return false;
	*up &= PAGE_MASK;
	return true;
}

#define min_of(a, b) ((a) < (b) ? (a) : (b))
#define max_of(a, b) ((a) > (b) ? (a) : (b))

#endif
