/*
 * Mutexes with clang's capability annotations over pthread's.  The order in which they may nest is in
 * docs/LOCKING.md.  Locking cannot fail: a mutex of ours is neither recursive nor robust.
 */
#ifndef BAILEY_BASE_LOCK_H
#define BAILEY_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/log.h"

struct LOCK_TYPE mutex {
	pthread_mutex_t m;
};

#define MUTEX_INIT { PTHREAD_MUTEX_INITIALIZER }

static inline void mutex_init(struct mutex *l)
{
	pthread_mutex_init(&l->m, NULL);
}

static inline void mutex_destroy(struct mutex *l)
{
	pthread_mutex_destroy(&l->m);
}

static inline void mutex_lock(struct mutex *l) ACQUIRES(l) NO_LOCK_ANALYSIS
{
	int r = pthread_mutex_lock(&l->m);

	ASSERT(r == 0);
}

static inline MUST_CHECK bool mutex_trylock(struct mutex *l) TRY_ACQUIRES(true, l) NO_LOCK_ANALYSIS
{
	return pthread_mutex_trylock(&l->m) == 0;
}

/*
 * As mutex_lock, for a lock whose like is held already: the second of two directories, of which a rename may put either above the
 * other later.  TSan knows no time and would call the two orders a deadlock, so it is told none: it draws no order from a trylock.
 */
static inline void mutex_lock_nested(struct mutex *l) ACQUIRES(l) NO_LOCK_ANALYSIS
{
#ifdef __SANITIZE_THREAD__
	while (!mutex_trylock(l))
		__builtin_ia32_pause();
#else
	mutex_lock(l);
#endif
}

static inline void mutex_unlock(struct mutex *l) RELEASES(l) NO_LOCK_ANALYSIS
{
	int r = pthread_mutex_unlock(&l->m);

	ASSERT(r == 0);
}

struct LOCK_TYPE rwlock {
	pthread_rwlock_t l;
};

#define RWLOCK_INIT { PTHREAD_RWLOCK_INITIALIZER }

static inline void rwlock_init(struct rwlock *l)
{
	pthread_rwlock_init(&l->l, NULL);
}

static inline void rwlock_destroy(struct rwlock *l)
{
	pthread_rwlock_destroy(&l->l);
}

static inline void read_lock(struct rwlock *l) NO_LOCK_ANALYSIS
{
	int r = pthread_rwlock_rdlock(&l->l);

	ASSERT(r == 0);
}

static inline void write_lock(struct rwlock *l) NO_LOCK_ANALYSIS
{
	int r = pthread_rwlock_wrlock(&l->l);

	ASSERT(r == 0);
}

static inline void rw_unlock(struct rwlock *l) NO_LOCK_ANALYSIS
{
	int r = pthread_rwlock_unlock(&l->l);

	ASSERT(r == 0);
}

#endif
