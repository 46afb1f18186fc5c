/* Waitqueues and sleepers.  See wait.h. */
#include "sentry/core/wait.h"

#include <stdatomic.h>
#include <stddef.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "host/futex.h"
#include "platform/placement.h"
#include "platform/platform.h"

void waitqueue_init(struct waitqueue *wq)
{
	mutex_init(&wq->lock);
	list_init(&wq->entries);
}

void waitqueue_destroy(struct waitqueue *wq)
{
	ASSERT(list_empty(&wq->entries));
	mutex_destroy(&wq->lock);
}

void waitqueue_add(struct waitqueue *wq, struct wait_entry *e)
{
	e->exclusive = false;
	e->wq = wq;
	mutex_lock(&wq->lock);
	list_add(&e->node, &wq->entries);
	mutex_unlock(&wq->lock);
}

void waitqueue_add_exclusive(struct waitqueue *wq, struct wait_entry *e)
{
	e->exclusive = true;
	e->wq = wq;
	mutex_lock(&wq->lock);
	list_add_tail(&e->node, &wq->entries);
	mutex_unlock(&wq->lock);
}

bool waitqueue_busy(struct waitqueue *wq)
{
	bool r;

	mutex_lock(&wq->lock);
	r = !list_empty(&wq->entries);
	mutex_unlock(&wq->lock);
	return r;
}

void waitqueue_remove(struct wait_entry *e)
{
	struct waitqueue *wq = e->wq;

	if (!wq)
		return;
	mutex_lock(&wq->lock);
	list_del_init(&e->node);
	mutex_unlock(&wq->lock);
	e->wq = NULL;
}

int waitqueue_wake_some(struct waitqueue *wq, uint32_t events, int n)
{
	struct wait_entry *e, *tmp;
	bool exclusive;
	int woken = 0;

	mutex_lock(&wq->lock);
	list_for_each_entry_safe(e, tmp, &wq->entries, node) {
		if (e->exclusive && woken == n)
			break;
		exclusive = e->exclusive; /* the callback may take the entry away */
		if (e->wake(e, events))
			woken += exclusive;
	}
	mutex_unlock(&wq->lock);
	return woken;
}

void waitqueue_wake(struct waitqueue *wq, uint32_t events)
{
	waitqueue_wake_some(wq, events, !events || (events & (L_POLLERR | L_POLLHUP)) ? -1 : 1);
}

/* ---- sleepers ---- */

static _Thread_local struct sleeper *self;
static _Thread_local struct sleeper fallback; /* of a helper thread, which has no task */

void sleeper_init(struct sleeper *s)
{
	atomic_init(&s->word, 0);
	atomic_init(&s->interrupt, 0);
	atomic_init(&s->asleep, false);
}

struct sleeper *sleeper_self(void)
{
	return self ? self : &fallback;
}

void sleeper_set_self(struct sleeper *s)
{
	self = s;
}

void sleeper_arm(struct sleeper *s)
{
	atomic_store(&s->word, 0);
}

static int sleep_on(struct sleeper *s, int64_t deadline_ns, bool interruptible)
{
	int r = 0;

	/* Whoever need not sleep is not to be seen asleep: a loop that was interrupted arms itself once more before it finds out. */
	if (atomic_load(&s->word))
		return 0;
	if (interruptible && atomic_load(&s->interrupt))
		return -ERESTARTSYS;
	atomic_store_explicit(&s->sleeps, atomic_load_explicit(&s->sleeps, memory_order_relaxed) + 1, memory_order_relaxed);
	pctx_settle();
	placement_block(&s->seat);
	atomic_store(&s->asleep, true);
	for (;;) {
		if (atomic_load(&s->word))
			break;
		if (interruptible && atomic_load(&s->interrupt)) {
			r = -ERESTARTSYS;
			break;
		}
		r = host_futex_wait(&s->word, 0, deadline_ns);
		if (r == -ETIMEDOUT)
			break;
		r = 0;
	}
	atomic_store(&s->asleep, false);
	placement_unblock(&s->seat);
	return r;
}

int sleeper_sleep(struct sleeper *s, int64_t deadline_ns)
{
	return sleep_on(s, deadline_ns, true);
}

int sleeper_sleep_uninterruptible(struct sleeper *s, int64_t deadline_ns)
{
	return sleep_on(s, deadline_ns, false);
}

void sleeper_wake(struct sleeper *s)
{
	placement_wake(&s->seat);
	if (!atomic_exchange(&s->word, 1))
		host_futex_wake(&s->word, 1);
}

/*
 * The flag goes up before the word, and sleep_on tests the word last before it waits: an interrupt that arrives
 * between arming and sleeping finds word 0 and sets it, so the wait returns at once and the flag is seen by the next
 * test of it.
 */
void sleeper_interrupt(struct sleeper *s)
{
	atomic_store(&s->interrupt, 1);
	sleeper_wake(s);
}

void sleeper_set_interrupt_self(struct sleeper *s, bool on)
{
	atomic_store(&s->interrupt, on);
}

bool sleeper_interrupted(const struct sleeper *s)
{
	return atomic_load(&s->interrupt) != 0;
}

/* It may be woken, run and arm itself anew between the loads: the word counts only if one sleep lasted over the look at it. */
bool sleeper_is_asleep(const struct sleeper *s)
{
	uint64_t sleep = atomic_load(&s->sleeps);

	return atomic_load(&s->asleep) && !atomic_load(&s->word) && atomic_load(&s->asleep) && atomic_load(&s->sleeps) == sleep;
}

static bool wake_sleeper(struct wait_entry *e, uint32_t events)
{
	sleeper_wake(e->arg);
	return true;
}

void wait_entry_init_sleeper(struct wait_entry *e, struct sleeper *s)
{
	list_init(&e->node);
	e->wq = NULL;
	e->wake = wake_sleeper;
	e->arg = s;
	e->exclusive = false;
}
