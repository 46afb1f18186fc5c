/*
 * Reference counts that saturate: a count that reaches the ceiling stays there for good, so that a guest that
 * makes it overflow leaks one object instead of freeing it under somebody's feet.
 */
#ifndef BAILEY_BASE_REFCOUNT_H
#define BAILEY_BASE_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/log.h"

struct refcount {
	_Atomic uint32_t n;
};

#define REFCOUNT_SATURATED 0xc0000000u

static inline void refcount_init(struct refcount *r, uint32_t n)
{
	atomic_init(&r->n, n);
}

static inline uint32_t refcount_read(const struct refcount *r)
{
	return atomic_load_explicit(&r->n, memory_order_relaxed);
}

/* The caller holds a reference already, so the count cannot be 0. */
static inline void refcount_inc(struct refcount *r)
{
	uint32_t old = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);

	ASSERT(old != 0);
	if (UNLIKELY(old >= REFCOUNT_SATURATED))
		atomic_store_explicit(&r->n, REFCOUNT_SATURATED, memory_order_relaxed);
}

/* For a lookup that does not hold a reference: false if the object is already dying. */
static inline MUST_CHECK bool refcount_inc_not_zero(struct refcount *r)
{
	uint32_t old = atomic_load_explicit(&r->n, memory_order_relaxed);

	do {
		if (old == 0)
			return false;
		if (UNLIKELY(old >= REFCOUNT_SATURATED))
			return true;
	} while (!atomic_compare_exchange_weak_explicit(&r->n, &old, old + 1, memory_order_acquire,
							memory_order_relaxed));
	return true;
}

/* Returns true to the one caller that dropped the last reference and must free the object. */
static inline MUST_CHECK bool refcount_dec(struct refcount *r)
{
	uint32_t old = atomic_load_explicit(&r->n, memory_order_relaxed);

	do {
		ASSERT(old != 0);
		if (UNLIKELY(old >= REFCOUNT_SATURATED))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&r->n, &old, old - 1, memory_order_acq_rel,
							memory_order_relaxed));
	return old == 1;
}

#endif
