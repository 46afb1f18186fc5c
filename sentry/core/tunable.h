/*
 * A number that /proc/sys shows and that root inside may change, within bounds.  It belongs to the subsystem that acts upon it, which
 * reads .value afresh each time; what was granted under another value stays granted.
 */
#ifndef BAILEY_SENTRY_CORE_TUNABLE_H
#define BAILEY_SENTRY_CORE_TUNABLE_H

#include <stdatomic.h>
#include <stdint.h>

struct tunable {
	_Atomic int64_t value;
	int64_t min, max; /* immutable; the bounds keep what the sentry spends for it bounded, too */
	/* What a new value within the bounds is made of it before it is stored; NULL: nothing. */
	int64_t (*round)(int64_t v);
};

/* The value as a size or count; for those whose min is not negative. */
static inline uint64_t tunable_get(const struct tunable *t)
{
	return (uint64_t)t->value;
}

#endif
