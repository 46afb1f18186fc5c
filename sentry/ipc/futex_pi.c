/*
 * Futexes with an owner: futex(2), "Priority-inheritance futexes".  The word holds its owner's tid, and a waiter sets
 * FUTEX_WAITERS in it so that the owner comes here to hand it over.  Waiters are served first come, first served.
 *
 * DIVERGES: nobody inherits a priority, since the host schedules and priorities have no effect here.  Who owns what, deadlock
 * detection and the death of owners are Linux's.  Test: futex_pi.
 *
 * All waiters stand in one more list, all_pi, by which deadlocks and what a dying task owns are found.  Locks: bucket > pi_lock >
 * tasks_lock.  The word is changed with the bucket locked, so that it and the list agree.
 */
#include <stdatomic.h>

#include "abi/errno.h"
#include "abi/futex.h"
#include "sentry/ipc/futex_internal.h"
#include "sentry/task/pidns.h"

#define CHAIN_MAX 1024 /* owners that wait for owners: Linux's kernel.max_lock_depth */

static struct mutex pi_lock = MUTEX_INIT;
static struct list_head all_pi = LIST_HEAD_INIT(all_pi); /* of futex_waiter.pi_node; guarded by pi_lock */

static struct futex_waiter *first_waiter(struct futex_bucket *b, const struct mm_key *key)
{
	struct futex_waiter *w;

	list_for_each_entry(w, &b->waiters, node)
		if (futex_key_equal(&w->key, key))
			return w;
	return NULL;
}

/* Whether tid, who owns a word, waits in the end for `who`.  pi_lock held. */
static bool would_deadlock(int tid, int who)
{
	struct futex_waiter *w;

	for (int depth = 0; depth < CHAIN_MAX; depth++) {
		int next = 0;

		if (tid == who)
			return true;
		list_for_each_entry(w, &all_pi, pi_node)
			if (task_own_nr(w->task) == tid)
				next = w->owner;
		if (!next)
			return false;
		tid = next;
	}
	return true;
}

/* Queues w behind owner.  b is locked and is where w->key belongs.  -EDEADLK, -ESRCH. */
static int enqueue(struct futex_bucket *b, struct futex_waiter *w, int owner)
{
	struct task *o;
	int r = 0;

	mutex_lock(&pi_lock);
	o = task_named(w->task, owner);
	if (!o || o->futex_dead)
		r = -ESRCH;
	else if (would_deadlock(owner, task_own_nr(w->task)))
		r = -EDEADLK;
	if (r == 0) {
		w->kind = FUTEX_PI;
		w->owner = owner;
		w->bucket = b;
		futex_queue(w->task, b, w);
		list_add_tail(&w->pi_node, &all_pi);
	}
	mutex_unlock(&pi_lock);
	if (o)
		task_put(o);
	return r;
}

static void leave_pi(struct futex_waiter *w)
{
	mutex_lock(&pi_lock);
	list_del_init(&w->pi_node);
	mutex_unlock(&pi_lock);
}

/* heir, the first waiter of its word, is to own it: those behind wait for it from now on. */
static void set_heir(struct futex_bucket *b, struct futex_waiter *heir)
{
	struct futex_waiter *w;

	mutex_lock(&pi_lock);
	list_for_each_entry(w, &b->waiters, node)
		if (w->kind == FUTEX_PI && futex_key_equal(&w->key, &heir->key))
			w->owner = w == heir ? 0 : task_own_nr(heir->task);
	mutex_unlock(&pi_lock);
}

/*
 * Takes the word at addr for `who` if it is free: 1.  Else marks it as waited for: 0, and its owner.  The bucket is locked; the
 * caller reaches the word through t.
 */
static int take(struct task *t, uint64_t addr, struct futex_bucket *b, const struct mm_key *key, struct task *who,
		bool set_waiters, int *owner)
{
	struct futex_waiter *first = first_waiter(b, key);
	uint32_t word, next, seen;
	int r = copy_in(t->ctx, &word, addr, sizeof(word));

	for (; r == 0; word = seen) {
		*owner = (int)(word & L_FUTEX_TID_MASK);
		if (*owner == task_own_nr(who))
			return -EDEADLK;
		if (first) {
			if (first->kind != FUTEX_PI || (!first->inherits && first->owner != *owner))
				return -EINVAL; /* the program wrote over the word, or uses it in two ways */
			if (first->inherits)
				*owner = task_own_nr(first->task);
		}
		if (!first && !*owner)
			next = (uint32_t)task_own_nr(who) | (word & L_FUTEX_OWNER_DIED) |
			       (set_waiters ? L_FUTEX_WAITERS : 0);
		else
			next = word | L_FUTEX_WAITERS;
		r = ua_cmpxchg32(t->ctx, addr, word, next, &seen);
		if (r == 0 && seen == word)
			return !first && !*owner;
	}
	return r;
}

/* The owner died and left the word to w, whose task this is.  The bucket is locked. */
static int inherit(struct futex_waiter *w, uint64_t addr)
{
	uint32_t want = (uint32_t)task_own_nr(w->task) | L_FUTEX_WAITERS | L_FUTEX_OWNER_DIED, word, seen;
	int r = copy_in(w->task->ctx, &word, addr, sizeof(word));

	for (; r == 0; word = seen) {
		r = ua_cmpxchg32(w->task->ctx, addr, word, want, &seen);
		if (r == 0 && seen == word)
			return 0;
	}
	return r;
}

/* Sleeps until w is woken or inherits; what sleeper_sleep gives, if it gave up first. */
static int sleep_until_owner(struct futex_waiter *w, int64_t deadline_ns)
{
	int r = 0;

	for (;;) {
		sleeper_arm(w->sleeper);
		if (w->woken || w->inherits)
			return 0;
		if (r)
			return r;
		r = sleeper_sleep(w->sleeper, deadline_ns);
	}
}

/* The end of a wait that gave r: 0 if w owns the word at addr.  *kind says how far it came. */
static int finish(struct futex_waiter *w, uint64_t addr, int r, enum futex_waiter_kind *kind) NO_LOCK_ANALYSIS
{
	for (;;) {
		struct futex_bucket *b = w->bucket;

		mutex_lock(&b->lock);
		if (w->bucket != b) {
			mutex_unlock(&b->lock);
			continue;
		}
		*kind = w->kind;
		if (w->woken)
			r = 0;
		else if (w->inherits)
			r = inherit(w, addr);
		futex_dequeue(w);
		leave_pi(w);
		mutex_unlock(&b->lock);
		return r;
	}
}

static void waiter_init(struct futex_waiter *w, struct task *t)
{
	*w = (struct futex_waiter){.bitset = L_FUTEX_BITSET_MATCH_ANY, .sleeper = &t->sleeper, .task = t};
	list_init(&w->node);
	list_init(&w->pi_node);
}

int futex_lock_pi(struct task *t, uint64_t addr, bool process_private, bool try_only, int64_t deadline_ns)
{
	struct futex_waiter w;
	struct futex_bucket *b;
	enum futex_waiter_kind kind;
	uint32_t word = 0;
	int r, owner;

	waiter_init(&w, t);
	r = futex_get_key(t, addr, process_private, &w.key);
	if (r < 0)
		return r;
	b = futex_bucket_of(&w.key);
	mutex_lock(&b->lock);
	for (;;) {
		r = take(t, addr, b, &w.key, t, false, &owner);
		if (r != 0)
			break;
		r = enqueue(b, &w, owner);
		if (r != -ESRCH || copy_in(t->ctx, &word, addr, sizeof(word)) < 0 ||
		    (int)(word & L_FUTEX_TID_MASK) == owner)
			break; /* else the owner died just now and has left the word */
	}
	if (r == 0 && try_only) {
		futex_dequeue(&w);
		leave_pi(&w);
		r = -EAGAIN;
	}
	mutex_unlock(&b->lock);
	if (r != 0)
		return r < 0 ? r : 0;
	r = finish(&w, addr, sleep_until_owner(&w, deadline_ns), &kind);
	return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
}

int futex_unlock_pi(struct task *t, uint64_t addr, bool process_private)
{
	struct futex_waiter *heir;
	struct futex_bucket *b;
	struct mm_key key;
	uint32_t word, seen;
	int r = futex_get_key(t, addr, process_private, &key);

	if (r < 0)
		return r;
	b = futex_bucket_of(&key);
	mutex_lock(&b->lock);
	heir = first_waiter(b, &key);
	r = copy_in(t->ctx, &word, addr, sizeof(word));
	for (; r == 0; word = seen) {
		if ((int)(word & L_FUTEX_TID_MASK) != task_own_nr(t))
			r = -EPERM;
		else if (heir && (heir->kind != FUTEX_PI || heir->owner != task_own_nr(t)))
			r = -EINVAL;
		else
			r = ua_cmpxchg32(t->ctx, addr, word,
					 heir ? (uint32_t)task_own_nr(heir->task) | L_FUTEX_WAITERS : 0, &seen);
		if (r < 0 || seen == word)
			break;
	}
	if (r == 0 && heir) {
		set_heir(b, heir);
		leave_pi(heir);
		futex_wake_waiter(heir);
	}
	mutex_unlock(&b->lock);
	return r;
}

int futex_wait_requeue_pi(struct task *t, uint64_t addr, bool process_private, uint32_t val, uint32_t bitset,
			  int64_t deadline_ns, uint64_t addr2)
{
	struct futex_waiter w;
	struct futex_bucket *b;
	enum futex_waiter_kind kind;
	uint32_t now;
	int r;

	if (!bitset || addr == addr2)
		return -EINVAL;
	waiter_init(&w, t);
	w.bitset = bitset;
	w.kind = FUTEX_REQUEUE_PI;
	r = futex_get_key(t, addr2, process_private, &w.target);
	if (r == 0)
		r = futex_get_key(t, addr, process_private, &w.key);
	if (r < 0)
		return r;
	if (futex_key_equal(&w.key, &w.target))
		return -EINVAL;
	b = futex_bucket_of(&w.key);
	w.bucket = b;
	mutex_lock(&b->lock);
	futex_queue(t, b, &w);
	r = copy_in(t->ctx, &now, addr, sizeof(now));
	if (r == 0 && now != val)
		r = -EAGAIN;
	if (r < 0)
		futex_dequeue(&w);
	mutex_unlock(&b->lock);
	if (r < 0)
		return r;
	r = finish(&w, addr2, sleep_until_owner(&w, deadline_ns), &kind);
	if (r != -ERESTARTSYS)
		return r;
	/* Once moved it cannot begin anew: the condition was signalled. */
	return kind == FUTEX_REQUEUE_PI ? -ERESTARTNOINTR : -EAGAIN;
}

/* Moves w, of bucket a, to the word at addr2: 1 if w owns that now and was woken.  Both buckets are locked. */
static int requeue_one(struct task *t, struct futex_waiter *w, uint64_t addr2, struct futex_bucket *b)
{
	struct futex_bucket *a = w->bucket;
	struct mm_key from = w->key;
	int owner, r = take(t, addr2, b, &w->target, w->task, true, &owner);

	if (r < 0)
		return r;
	if (r == 1) {
		futex_wake_waiter(w);
		return 1;
	}
	futex_dequeue(w);
	w->key = w->target;
	r = enqueue(b, w, owner);
	if (r < 0) { /* it stays where it was, first */
		w->key = from;
		futex_queue(t, a, w);
		list_del_init(&w->node);
		list_add(&w->node, &a->waiters);
	}
	return r;
}

int futex_cmp_requeue_pi(struct task *t, uint64_t addr, uint64_t addr2, bool process_private, int n, int m, uint32_t cmp)
{
	struct futex_bucket *a, *b;
	struct futex_waiter *w, *tmp;
	struct mm_key from, to;
	uint32_t now;
	int r, done = 0;

	if (n != 1 || m < 0 || addr == addr2)
		return -EINVAL;
	r = futex_get_key(t, addr, process_private, &from);
	if (r == 0)
		r = futex_get_key(t, addr2, process_private, &to);
	if (r < 0)
		return r;
	if (futex_key_equal(&from, &to))
		return -EINVAL;
	a = futex_bucket_of(&from);
	b = futex_bucket_of(&to);
	futex_lock_two(a, b);
	r = copy_in(t->ctx, &now, addr, sizeof(now));
	if (r == 0 && now != cmp)
		r = -EAGAIN;
	list_for_each_entry_safe(w, tmp, &a->waiters, node) {
		if (r < 0 || done - 1 >= m)
			break;
		if (!futex_key_equal(&w->key, &from))
			continue;
		if (w->kind != FUTEX_REQUEUE_PI || !futex_key_equal(&w->target, &to))
			r = -EINVAL;
		else
			r = requeue_one(t, w, addr2, b);
		if (r >= 0)
			done++;
	}
	futex_unlock_two(a, b);
	return r < 0 ? r : done;
}

void futex_exit_pi(struct task *t)
{
	struct futex_waiter *w, *found;

	mutex_lock(&pi_lock);
	t->futex_dead = true;
	for (;;) {
		struct futex_bucket *b;
		struct mm_key key;

		found = NULL;
		list_for_each_entry(w, &all_pi, pi_node)
			if (w->owner == task_own_nr(t))
				found = w;
		if (!found)
			break;
		b = found->bucket;
		key = found->key;
		mutex_unlock(&pi_lock);
		mutex_lock(&b->lock);
		list_for_each_entry(w, &b->waiters, node)
			if (w->kind == FUTEX_PI && w->owner == task_own_nr(t) && futex_key_equal(&w->key, &key)) {
				w->inherits = true;
				set_heir(b, w);
				sleeper_wake(w->sleeper);
				break;
			}
		mutex_unlock(&b->lock);
		mutex_lock(&pi_lock);
	}
	mutex_unlock(&pi_lock);
}
