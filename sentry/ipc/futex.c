/* Futexes.  See futex.h. */
#include "sentry/ipc/futex.h"

#include <stdatomic.h>

#include "abi/errno.h"
#include "abi/futex.h"
#include "base/list.h"
#include "base/lock.h"
#include "sentry/mm/mm.h"
#include "sentry/task/task.h"

#define BUCKETS 256

struct bucket {
	struct mutex lock;
	struct list_head waiters; /* of waiter.node; guarded by lock */
};

/* Lives on the waiting thread's stack.  Whoever takes it off its list does everything else with it under the bucket's lock, and
 * the waiter takes that lock before it returns. */
struct waiter {
	struct list_head node;
	struct mm_key key;	       /* guarded by the bucket's lock */
	struct bucket *_Atomic bucket; /* changes under both buckets' locks */
	uint32_t bitset;
	struct sleeper *sleeper;
	_Atomic bool woken;
};

static struct bucket table[BUCKETS];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_init(void)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		mutex_init(&table[i].lock);
		list_init(&table[i].waiters);
	}
}

static struct bucket *bucket_of(const struct mm_key *k)
{
	uint64_t h = (k->object ^ (k->off >> 2) * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;

	pthread_once(&table_once, table_init);
	return &table[h >> 56];
}

static bool key_equal(const struct mm_key *a, const struct mm_key *b)
{
	return a->object == b->object && a->off == b->off;
}

static int get_key(struct task *t, uint64_t addr, bool process_private, struct mm_key *out)
{
	if (addr & 3)
		return -EINVAL;
	return mm_futex_key(t->mm, addr, process_private, out);
}

/* Bucket locks nest by address. */
static void lock_two(struct bucket *a, struct bucket *b) NO_LOCK_ANALYSIS
{
	if (a > b) {
		struct bucket *swap = a;

		a = b;
		b = swap;
	}
	mutex_lock(&a->lock);
	if (a != b)
		mutex_lock(&b->lock);
}

static void unlock_two(struct bucket *a, struct bucket *b) NO_LOCK_ANALYSIS
{
	mutex_unlock(&a->lock);
	if (a != b)
		mutex_unlock(&b->lock);
}

static void wake_waiter(struct waiter *w)
{
	list_del_init(&w->node);
	w->woken = true;
	sleeper_wake(w->sleeper);
}

/* As on Linux at least one is woken, even if n is 0 or less. */
static int wake_in_bucket(struct bucket *b, const struct mm_key *key, int n, uint32_t bitset)
{
	struct waiter *w, *tmp;
	int woken = 0;

	list_for_each_entry_safe(w, tmp, &b->waiters, node) {
		if (!key_equal(&w->key, key) || !(w->bitset & bitset))
			continue;
		wake_waiter(w);
		if (++woken >= n)
			break;
	}
	return woken;
}

/* Takes w off whatever list it is on: true if it was still waiting.  Afterwards nobody else touches it. */
static bool unqueue(struct waiter *w) NO_LOCK_ANALYSIS
{
	for (;;) {
		struct bucket *b = w->bucket;
		bool waiting;

		mutex_lock(&b->lock);
		if (w->bucket != b) {
			mutex_unlock(&b->lock);
			continue;
		}
		waiting = !w->woken;
		list_del_init(&w->node);
		mutex_unlock(&b->lock);
		return waiting;
	}
}

int futex_wait(struct task *t, uint64_t addr, bool process_private, uint32_t val, uint32_t bitset, int64_t deadline_ns)
{
	struct waiter w = {.bitset = bitset, .sleeper = &t->sleeper};
	struct bucket *b;
	uint32_t now;
	int r;

	if (!bitset)
		return -EINVAL;
	r = get_key(t, addr, process_private, &w.key);
	if (r < 0)
		return r;
	b = bucket_of(&w.key);
	w.bucket = b;
	mutex_lock(&b->lock);
	list_add_tail(&w.node, &b->waiters);
	mutex_unlock(&b->lock);

	r = copy_in(t->ctx, &now, addr, sizeof(now));
	if (r == 0 && now != val)
		r = -EAGAIN;
	while (r == 0) {
		sleeper_arm(&t->sleeper);
		if (w.woken)
			break;
		r = sleeper_sleep(&t->sleeper, deadline_ns);
	}
	/* A waker that chose us has counted us: then it is a wake-up, whatever else happened meanwhile. */
	return unqueue(&w) ? r : 0;
}

int futex_wake(struct task *t, uint64_t addr, bool process_private, int n, uint32_t bitset)
{
	struct mm_key key;
	struct bucket *b;
	int r;

	if (!bitset)
		return -EINVAL;
	r = get_key(t, addr, process_private, &key);
	if (r < 0)
		return r;
	b = bucket_of(&key);
	mutex_lock(&b->lock);
	r = wake_in_bucket(b, &key, n, bitset);
	mutex_unlock(&b->lock);
	return r;
}

int futex_requeue(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int m,
		  const uint32_t *cmp)
{
	struct mm_key from, to;
	struct bucket *a, *b;
	struct waiter *w, *tmp;
	uint32_t now;
	int r, done = 0, moved = 0;

	if (n < 0 || m < 0)
		return -EINVAL;
	r = get_key(t, addr, process_private, &from);
	if (r == 0)
		r = get_key(t, addr2, process_private, &to);
	if (r < 0)
		return r;
	a = bucket_of(&from);
	b = bucket_of(&to);
	lock_two(a, b);
	if (cmp) { /* under the locks: nobody may queue between this look and the move */
		r = copy_in(t->ctx, &now, addr, sizeof(now));
		if (r == 0 && now != *cmp)
			r = -EAGAIN;
		if (r < 0)
			goto out;
	}
	list_for_each_entry_safe(w, tmp, &a->waiters, node) {
		if (!key_equal(&w->key, &from))
			continue;
		if (done < n) {
			wake_waiter(w);
			done++;
		} else if (moved < m) {
			list_del_init(&w->node);
			w->key = to;
			w->bucket = b;
			list_add_tail(&w->node, &b->waiters);
			moved++;
		} else {
			break;
		}
		if (a == b && moved && key_equal(&from, &to))
			break;
	}
	r = done + moved;
out:
	unlock_two(a, b);
	return r;
}

static int32_t sign_extend_12(uint32_t v)
{
	return (int32_t)(v << 20) >> 20;
}

static bool wake_op_compare(uint32_t op, uint32_t old)
{
	int32_t arg = sign_extend_12(op & 0xfff), v = (int32_t)old;

	switch ((op >> 24) & 15) {
	case L_FUTEX_OP_CMP_EQ:
		return v == arg;
	case L_FUTEX_OP_CMP_NE:
		return v != arg;
	case L_FUTEX_OP_CMP_LT:
		return v < arg;
	case L_FUTEX_OP_CMP_GE:
		return v >= arg;
	case L_FUTEX_OP_CMP_LE:
		return v <= arg;
	default:
		return v > arg;
	}
}

/* Changes the word at addr as op says; the old value in *old. */
static int wake_op_apply(struct task *t, uint64_t addr, uint32_t op, uint32_t *old)
{
	uint32_t arg = (uint32_t)sign_extend_12((op >> 12) & 0xfff), next, seen;
	int r = copy_in(t->ctx, &seen, addr, sizeof(seen));

	if (((op >> 28) & 8))
		arg = 1u << (arg & 31);
	if (((op >> 28) & 7) > L_FUTEX_OP_XOR || ((op >> 24) & 15) > L_FUTEX_OP_CMP_GE)
		return -ENOSYS;
	do {
		if (r < 0)
			return r;
		*old = seen;
		switch ((op >> 28) & 7) {
		case L_FUTEX_OP_SET:
			next = arg;
			break;
		case L_FUTEX_OP_ADD:
			next = *old + arg;
			break;
		case L_FUTEX_OP_OR:
			next = *old | arg;
			break;
		case L_FUTEX_OP_ANDN:
			next = *old & ~arg;
			break;
		default:
			next = *old ^ arg;
			break;
		}
		r = ua_cmpxchg32(t->ctx, addr, *old, next, &seen);
	} while (r < 0 || seen != *old);
	return 0;
}

int futex_wake_op(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int n2, uint32_t op)
{
	struct mm_key k1, k2;
	struct bucket *a, *b;
	uint32_t old;
	int r;

	r = get_key(t, addr, process_private, &k1);
	if (r == 0)
		r = get_key(t, addr2, process_private, &k2);
	if (r == 0)
		r = wake_op_apply(t, addr2, op, &old);
	if (r < 0)
		return r;
	a = bucket_of(&k1);
	b = bucket_of(&k2);
	lock_two(a, b);
	r = wake_in_bucket(a, &k1, n, L_FUTEX_BITSET_MATCH_ANY);
	if (wake_op_compare(op, old))
		r += wake_in_bucket(b, &k2, n2, L_FUTEX_BITSET_MATCH_ANY);
	unlock_two(a, b);
	return r;
}

void futex_wake_at(struct task *t, uint64_t addr)
{
	/* The waiter may have used either kind; pthread_join uses a shared one. */
	if (futex_wake(t, addr, false, 1, L_FUTEX_BITSET_MATCH_ANY) == 0 &&
	    futex_wake(t, addr, true, 1, L_FUTEX_BITSET_MATCH_ANY) < 0)
		return;
}

/* ---- robust lists ---- */

/*
 * The owner of the word at addr dies: mark it and wake one waiter.  pending: the owner was about to take or leave it, and if
 * it had already made it free it cannot wake anybody any more.
 */
static void robust_death(struct task *t, uint64_t addr, bool pending)
{
	uint32_t word, seen;

	if ((addr & 3) || copy_in(t->ctx, &word, addr, sizeof(word)) < 0)
		return;
	if (pending && word == 0)
		futex_wake_at(t, addr);
	for (;;) {
		if ((word & L_FUTEX_TID_MASK) != (uint32_t)t->tid)
			return;
		if (ua_cmpxchg32(t->ctx, addr, word, (word & L_FUTEX_WAITERS) | L_FUTEX_OWNER_DIED, &seen) < 0)
			return;
		if (seen == word)
			break;
		word = seen;
	}
	if (word & L_FUTEX_WAITERS)
		futex_wake_at(t, addr);
}

void futex_exit_robust_list(struct task *t)
{
	struct l_robust_list_head head;
	uint64_t entry, next, pending;

	if (!t->robust_list || copy_in(t->ctx, &head, t->robust_list, sizeof(head)) < 0)
		return;
	pending = head.list_op_pending & ~1ull;
	entry = head.list.next & ~1ull;
	for (int n = 0; entry != t->robust_list && n < L_ROBUST_LIST_LIMIT; n++) {
		bool more = copy_in(t->ctx, &next, entry, sizeof(next)) == 0;

		if (entry != pending)
			robust_death(t, entry + (uint64_t)head.futex_offset, false);
		if (!more)
			return;
		entry = next & ~1ull;
	}
	if (pending)
		robust_death(t, pending + (uint64_t)head.futex_offset, true);
	t->robust_list = 0;
}
