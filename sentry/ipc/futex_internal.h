/* What the files of the futex calls share: buckets and waiters.  futex.c has plain futexes, futex_pi.c those with an owner. */
#ifndef BAILEY_SENTRY_IPC_FUTEX_INTERNAL_H
#define BAILEY_SENTRY_IPC_FUTEX_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "sentry/ipc/futex.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"

struct futex_bucket {
	struct mutex lock;
	struct list_head waiters; /* of futex_waiter.node; guarded by lock */
};

enum futex_waiter_kind {
	FUTEX_PLAIN,
	FUTEX_REQUEUE_PI, /* in FUTEX_WAIT_REQUEUE_PI, still at the first word */
	FUTEX_PI	  /* waits for the word's owner */
};

/*
 * Lives on the waiting thread's stack.  Whoever takes it off its list does everything else with it under the bucket's lock, and
 * the waiter takes that lock before it returns.
 */
struct futex_waiter {
	struct list_head node;
	struct mm_key key;		     /* guarded by the bucket's lock */
	struct futex_bucket *_Atomic bucket; /* changes under both buckets' locks */
	uint32_t bitset;
	struct sleeper *sleeper;
	_Atomic bool woken;
	_Atomic uint32_t *count; /* where it is counted as waiting (pas_waiters), or NULL; guarded by the bucket's lock */

	/* PI only; guarded by the bucket's lock. */
	enum futex_waiter_kind kind;
	struct task *task;	/* whose waiter it is; immutable */
	struct mm_key target;	/* FUTEX_REQUEUE_PI: the second word; immutable */
	struct list_head pi_node; /* in the list of all PI waiters; guarded by pi_lock */
	int owner;		/* tid it waits for; changes under the bucket's lock and pi_lock */
	_Atomic bool inherits;	/* its owner died: it owns the word and has to write so */
};

struct futex_bucket *futex_bucket_of(const struct mm_key *k);
bool futex_key_equal(const struct mm_key *a, const struct mm_key *b);
/* -EINVAL for a word that is not aligned, -EFAULT. */
int futex_get_key(struct task *t, uint64_t addr, bool process_private, struct mm_key *out) MUST_CHECK;
/* Bucket locks nest by address. */
void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b);
/*
 * Onto the bucket's list, to the end of it, and off any; counted meanwhile, for the platform.  t is any task that uses the word by w's key.
 * The bucket's lock is held; the word is looked at afterwards.
 */
void futex_queue(struct task *t, struct futex_bucket *b, struct futex_waiter *w);
void futex_dequeue(struct futex_waiter *w);
/* Where waiters of a word are counted, or NULL. */
_Atomic uint32_t *futex_count_of(struct task *t, const struct mm_key *k);
/* Takes w off its list and wakes it.  Bucket lock held. */
void futex_wake_waiter(struct futex_waiter *w);
/* Takes w off whatever list it is on: true if it was still waiting.  Afterwards nobody else touches it. */
bool futex_unqueue(struct futex_waiter *w) MUST_CHECK;

#endif
