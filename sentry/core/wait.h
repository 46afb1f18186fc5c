/*
 * The one waiting mechanism.  Whatever can become ready has a waitqueue; whoever waits hangs a wait_entry on it.
 *
 * A sentry thread that blocks does so on its own *sleeper*: it hangs an entry whose callback wakes the sleeper on each
 * queue it cares for, tests its condition, and sleeps.  A signal for the task, or its death, interrupts the sleeper.
 * poll, select and epoll use the same entries with callbacks of their own.
 *
 * Locking: a waitqueue's lock is a leaf but for the sleeper's word and epoll's ready lists (docs/LOCKING.md).
 * Callbacks run with it held and must not sleep or take a waitqueue lock, epoll's excepted.
 */
#ifndef BAILEY_SENTRY_CORE_WAIT_H
#define BAILEY_SENTRY_CORE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/lock.h"
#include "platform/placement.h"

struct waitqueue {
	struct mutex lock;
	struct list_head entries; /* of wait_entry.node; guarded by lock */
};

struct wait_entry {
	struct list_head node;
	struct waitqueue *wq; /* where it hangs; NULL if nowhere; written by its owner only */
	/* events is a poll mask of what happened, or 0 for "something".  True if somebody will see to it, so that an
	 * exclusive entry counts.  Called with wq->lock held. */
	bool (*wake)(struct wait_entry *e, uint32_t events);
	void *arg;
	bool exclusive; /* only so many of these are woken at once */
};

void waitqueue_init(struct waitqueue *wq);
/* Nobody may hang on it any more. */
void waitqueue_destroy(struct waitqueue *wq);
void waitqueue_add(struct waitqueue *wq, struct wait_entry *e);
/* Exclusive entries go last, the others first. */
void waitqueue_add_exclusive(struct waitqueue *wq, struct wait_entry *e);
/* Whether anything hangs on it at the moment. */
bool waitqueue_busy(struct waitqueue *wq);
/* Harmless if e hangs nowhere.  When it returns, the callback is not running and will not run. */
void waitqueue_remove(struct wait_entry *e);
/* Wakes all that are not exclusive, and of those one; or all if events are unknown (0), or an error or end, which stay.
 */
void waitqueue_wake(struct waitqueue *wq, uint32_t events);
/* Wakes all that are not exclusive, and exclusive ones until n of them have taken it; returns how many have. */
int waitqueue_wake_some(struct waitqueue *wq, uint32_t events, int n);

/* ---- sleepers: a sentry thread that may block ---- */

struct sleeper {
	_Atomic uint32_t word;	    /* 1: woken since sleeper_arm */
	_Atomic uint32_t interrupt; /* not 0: a signal is pending for, or death has come to, the task */
	_Atomic bool asleep;	    /* for those who ask what the thread does (/proc/PID/stat) */
	_Atomic uint64_t sleeps;    /* how often it has slept; the owner counts */
	struct placement_seat seat;
};

#define NO_DEADLINE INT64_MAX

void sleeper_init(struct sleeper *s);
/* The calling thread's sleeper: set once when a task's thread starts.  Threads without a task have one of their own. */
struct sleeper *sleeper_self(void);
void sleeper_set_self(struct sleeper *s);

/* Forgets earlier wake-ups.  Call it before testing the condition. */
void sleeper_arm(struct sleeper *s);
/* Sleeps until woken (0), interrupted (-ERESTARTSYS), or the monotonic clock passes deadline_ns (-ETIMEDOUT). */
int sleeper_sleep(struct sleeper *s, int64_t deadline_ns) MUST_CHECK;
/* As sleeper_sleep, but interrupts are ignored: for waits that are known to be short. */
int sleeper_sleep_uninterruptible(struct sleeper *s, int64_t deadline_ns) MUST_CHECK;
void sleeper_wake(struct sleeper *s);
/* Sets or clears the interrupt; setting also wakes. */
void sleeper_interrupt(struct sleeper *s);
/* Of the calling thread's own sleeper: nobody has to be woken. */
void sleeper_set_interrupt_self(struct sleeper *s, bool on);
bool sleeper_interrupted(const struct sleeper *s);
/* It sleeps, and nothing has woken it: what was woken counts as running before its thread does. */
bool sleeper_is_asleep(const struct sleeper *s);

/* An entry whose callback wakes a sleeper. */
void wait_entry_init_sleeper(struct wait_entry *e, struct sleeper *s);

/*
 * Waits on wq until cond is true: 0; or -ERESTARTSYS, or -ETIMEDOUT.  cond is evaluated without wq's lock and takes
 * whatever lock it needs; whoever makes it true wakes wq afterwards.
 */
#define wait_event_deadline(wq_, deadline_ns_, cond_)                                                                  \
	({                                                                                                             \
		struct wait_entry we_;                                                                                 \
		struct sleeper *sl_ = sleeper_self();                                                                  \
		int wr_ = 0;                                                                                           \
		if (!(cond_)) {                                                                                        \
			wait_entry_init_sleeper(&we_, sl_);                                                            \
			waitqueue_add((wq_), &we_);                                                                    \
			for (;;) {                                                                                     \
				sleeper_arm(sl_);                                                                      \
				if (cond_) {                                                                           \
					wr_ = 0;                                                                       \
					break;                                                                         \
				}                                                                                      \
				if (wr_)                                                                               \
					break;                                                                         \
				wr_ = sleeper_sleep(sl_, (deadline_ns_));                                              \
			}                                                                                              \
			waitqueue_remove(&we_);                                                                        \
		}                                                                                                      \
		wr_;                                                                                                   \
	})
#define wait_event(wq_, cond_) wait_event_deadline(wq_, NO_DEADLINE, cond_)

#endif
