/* Futexes.  See futex.h. */
#include "sentry/ipc/futex.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/futex.h"
#include "sentry/ipc/futex_internal.h"
#include "sentry/task/pidns.h"

#define BUCKETS 256

static struct futex_bucket table[BUCKETS];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_init(void)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		mutex_init(&table[i].lock);
		list_init(&table[i].waiters);
	}
}

struct futex_bucket *futex_bucket_of(const struct mm_key *k)
{
	uint64_t h = (k->object ^ (k->off >> 2) * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;

	pthread_once(&table_once, table_init);
	return &table[h >> 56];
}

bool futex_key_equal(const struct mm_key *a, const struct mm_key *b)
{
	return a->object == b->object && a->off == b->off;
}

int futex_get_key(struct task *t, uint64_t addr, bool process_private, struct mm_key *out)
{
	if (addr & 3)
		return -EINVAL;
	return mm_futex_key(t->mm, addr, process_private, out);
}

void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b) NO_LOCK_ANALYSIS
{
	if (a > b) {
		struct futex_bucket *swap = a;

		a = b;
		b = swap;
	}
	mutex_lock(&a->lock);
	if (a != b)
		mutex_lock(&b->lock);
}

void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b) NO_LOCK_ANALYSIS
{
	mutex_unlock(&a->lock);
	if (a != b)
		mutex_unlock(&b->lock);
}

_Atomic uint32_t *futex_count_of(struct task *t, const struct mm_key *k)
{
	bool own = k->object == (uintptr_t)t->mm && !(k->off & MM_KEY_SHARED_FORM);
	_Atomic uint32_t *counts = pas_waiters(t->mm->as, !own);

	return counts ? &counts[pas_waiter_slot(k->off)] : NULL;
}

void futex_queue(struct task *t, struct futex_bucket *b, struct futex_waiter *w)
{
	w->count = futex_count_of(t, &w->key);
	if (w->count)
		atomic_fetch_add(w->count, 1);
	list_add_tail(&w->node, &b->waiters);
}

void futex_dequeue(struct futex_waiter *w)
{
	list_del_init(&w->node);
	if (w->count)
		atomic_fetch_sub(w->count, 1);
	w->count = NULL;
}

void futex_wake_waiter(struct futex_waiter *w)
{
	futex_dequeue(w);
	w->woken = true;
	sleeper_wake(w->sleeper);
}

/* As on Linux at least one is woken, even if n is 0 or less; -EINVAL if one of them waits for an owner. */
static int wake_in_bucket(struct futex_bucket *b, const struct mm_key *key, int n, uint32_t bitset)
{
	struct futex_waiter *w, *tmp;
	int woken = 0;

	list_for_each_entry_safe(w, tmp, &b->waiters, node) {
		if (!futex_key_equal(&w->key, key))
			continue;
		if (w->kind != FUTEX_PLAIN)
			return -EINVAL;
		if (!(w->bitset & bitset))
			continue;
		futex_wake_waiter(w);
		if (++woken >= n)
			break;
	}
	return woken;
}

bool futex_unqueue(struct futex_waiter *w) NO_LOCK_ANALYSIS
{
	for (;;) {
		struct futex_bucket *b = w->bucket;
		bool waiting;

		mutex_lock(&b->lock);
		if (w->bucket != b) {
			mutex_unlock(&b->lock);
			continue;
		}
		waiting = !w->woken;
		futex_dequeue(w);
		mutex_unlock(&b->lock);
		return waiting;
	}
}

int futex_wait(struct task *t, uint64_t addr, bool process_private, uint32_t val, uint32_t bitset, int64_t deadline_ns)
{
	struct futex_waiter w = {.bitset = bitset, .sleeper = &t->sleeper};
	struct futex_bucket *b;
	uint32_t now;
	int r;

	if (!bitset)
		return -EINVAL;
	r = futex_get_key(t, addr, process_private, &w.key);
	if (r < 0)
		return r;
	b = futex_bucket_of(&w.key);
	w.bucket = b;
	mutex_lock(&b->lock);
	futex_queue(t, b, &w);
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
	return futex_unqueue(&w) ? r : 0;
}

int futex_wake(struct task *t, uint64_t addr, bool process_private, int n, uint32_t bitset)
{
	struct mm_key key;
	struct futex_bucket *b;
	uint32_t word;
	int r;

	if (!bitset)
		return -EINVAL;
	r = futex_get_key(t, addr, process_private, &key);
	if (r < 0)
		return r;
	b = futex_bucket_of(&key);
	mutex_lock(&b->lock);
	r = wake_in_bucket(b, &key, n, bitset);
	mutex_unlock(&b->lock);
	/* Where somebody waits there is a word; elsewhere a file may have ended before the place. */
	if (r == 0 && key.object != (uintptr_t)t->mm && copy_in(t->ctx, &word, addr, sizeof(word)) < 0)
		return -EFAULT;
	return r;
}

/* ---- futex_waitv(2) ---- */

/* Queues all n waiters on what words name; which of them came on in *queued. */
static int waitv_queue(struct task *t, struct futex_waiter *w, const struct futex_word *words, unsigned n, unsigned *queued)
{
	for (*queued = 0; *queued < n; ++*queued) {
		const struct futex_word *word = &words[*queued];
		struct futex_waiter *one = &w[*queued];
		struct futex_bucket *b;
		int r = futex_get_key(t, word->addr, word->process_private, &one->key);

		if (r < 0)
			return r;
		b = futex_bucket_of(&one->key);
		one->bitset = L_FUTEX_BITSET_MATCH_ANY;
		one->sleeper = &t->sleeper;
		one->bucket = b;
		mutex_lock(&b->lock);
		futex_queue(t, b, one);
		mutex_unlock(&b->lock);
	}
	return 0;
}

static int waitv_compare(struct task *t, const struct futex_word *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t now;
		int r = copy_in(t->ctx, &now, words[i].addr, sizeof(now));

		if (r < 0 || now != words[i].val)
			return r < 0 ? r : -EAGAIN;
	}
	return 0;
}

static bool waitv_woken(const struct futex_waiter *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (w[i].woken)
			return true;
	return false;
}

int futex_waitv(struct task *t, const struct futex_word *words, unsigned n, int64_t deadline_ns)
{
	struct futex_waiter *w = calloc(n, sizeof(*w));
	unsigned queued;
	int r;

	if (!w)
		return -ENOMEM;
	r = waitv_queue(t, w, words, n, &queued);
	if (r == 0)
		r = waitv_compare(t, words, n);
	while (r == 0) {
		sleeper_arm(&t->sleeper);
		if (waitv_woken(w, n))
			break;
		r = sleeper_sleep(&t->sleeper, deadline_ns);
	}
	for (unsigned i = 0; i < queued; i++)
		if (!futex_unqueue(&w[i]))
			r = (int)i; /* as Linux, the last of those woken */
	free(w);
	return r;
}

int futex_requeue(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int m,
		  const uint32_t *cmp)
{
	struct mm_key from, to;
	struct futex_bucket *a, *b;
	struct futex_waiter *w, *tmp;
	_Atomic uint32_t *count;
	uint32_t now;
	int r, done = 0, moved = 0;

	if (n < 0 || m < 0)
		return -EINVAL;
	r = futex_get_key(t, addr, process_private, &from);
	if (r == 0)
		r = futex_get_key(t, addr2, process_private, &to);
	if (r < 0)
		return r;
	a = futex_bucket_of(&from);
	b = futex_bucket_of(&to);
	futex_lock_two(a, b);
	/* Who wakes there after what is compared has changed is to find those that are moved. */
	count = futex_count_of(t, &to);
	if (count)
		atomic_fetch_add(count, 1);
	if (cmp) { /* under the locks: nobody may queue between this look and the move */
		r = copy_in(t->ctx, &now, addr, sizeof(now));
		if (r == 0 && now != *cmp)
			r = -EAGAIN;
		if (r < 0)
			goto out;
	}
	list_for_each_entry_safe(w, tmp, &a->waiters, node) {
		if (!futex_key_equal(&w->key, &from))
			continue;
		if (w->kind != FUTEX_PLAIN) {
			r = -EINVAL;
			goto out;
		}
		if (done < n) {
			futex_wake_waiter(w);
			done++;
		} else if (moved < m) {
			futex_dequeue(w);
			w->key = to;
			w->bucket = b;
			futex_queue(t, b, w);
			moved++;
		} else {
			break;
		}
		if (a == b && moved && futex_key_equal(&from, &to))
			break;
	}
	r = done + moved;
out:
	if (count)
		atomic_fetch_sub(count, 1);
	futex_unlock_two(a, b);
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
	struct futex_bucket *a, *b;
	uint32_t old;
	int r;

	r = futex_get_key(t, addr, process_private, &k1);
	if (r == 0)
		r = futex_get_key(t, addr2, process_private, &k2);
	if (r == 0)
		r = wake_op_apply(t, addr2, op, &old);
	if (r < 0)
		return r;
	a = futex_bucket_of(&k1);
	b = futex_bucket_of(&k2);
	futex_lock_two(a, b);
	r = wake_in_bucket(a, &k1, n, L_FUTEX_BITSET_MATCH_ANY);
	if (r >= 0 && wake_op_compare(op, old)) {
		int more = wake_in_bucket(b, &k2, n2, L_FUTEX_BITSET_MATCH_ANY);

		r = more < 0 ? more : r + more;
	}
	futex_unlock_two(a, b);
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
 * The owner of the word at addr dies: mark it and wake one waiter.  A word with an owner (pi) is handed over by futex_exit_pi.
 * pending: the owner was about to take or leave it, and if it had already made it free it cannot wake anybody any more.
 */
static void robust_death(struct task *t, uint64_t addr, bool pi, bool pending)
{
	uint32_t word, seen;

	if ((addr & 3) || copy_in(t->ctx, &word, addr, sizeof(word)) < 0)
		return;
	if (pending && !pi && word == 0)
		futex_wake_at(t, addr);
	for (;;) {
		if ((word & L_FUTEX_TID_MASK) != (uint32_t)task_own_nr(t))
			return;
		if (ua_cmpxchg32(t->ctx, addr, word, (word & L_FUTEX_WAITERS) | L_FUTEX_OWNER_DIED, &seen) < 0)
			return;
		if (seen == word)
			break;
		word = seen;
	}
	if (!pi && (word & L_FUTEX_WAITERS))
		futex_wake_at(t, addr);
}

uint64_t futex_robust_list(struct task *t)
{
	struct pctx_robust *robust;
	uint64_t head;

	mutex_lock(&t->process->sig_lock); /* so that the context stays */
	robust = t->ctx ? pctx_robust(t->ctx) : NULL;
	head = robust ? atomic_load(&robust->head) : t->robust_list;
	mutex_unlock(&t->process->sig_lock);
	return head;
}

void futex_set_robust_list(struct task *t, uint64_t head)
{
	struct pctx_robust *robust = t->ctx ? pctx_robust(t->ctx) : NULL;

	if (robust)
		atomic_store(&robust->head, head);
	else
		t->robust_list = head;
}

void futex_exit_robust_list(struct task *t)
{
	uint64_t entry, next, pending, list = futex_robust_list(t);
	struct l_robust_list_head head;

	if (!list || copy_in(t->ctx, &head, list, sizeof(head)) < 0)
		return;
	pending = head.list_op_pending & ~1ull;
	entry = head.list.next;
	for (int n = 0; (entry & ~1ull) != list && n < L_ROBUST_LIST_LIMIT; n++) {
		uint64_t at = entry & ~1ull;
		bool more = copy_in(t->ctx, &next, at, sizeof(next)) == 0; /* before the mark lets others free it */

		if (at != pending)
			robust_death(t, at + (uint64_t)head.futex_offset, entry & 1, false);
		if (!more)
			return;
		entry = next;
	}
	if (pending)
		robust_death(t, pending + (uint64_t)head.futex_offset, head.list_op_pending & 1, true);
	futex_set_robust_list(t, 0);
}
