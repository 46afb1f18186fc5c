/*
 * placement: keeps a pair, a sentry thread and the guest thread that it runs, on one CPU.  The two hand over to each
 * other at every system call, and a hand-over to a sleeping CPU costs ten times one on the same CPU.
 *
 * A pair is *active* unless its sentry thread blocks in a wait of its own; only active pairs count as load.  While some
 * CPU has two or more active pairs and another has none, a balancer thread looks every few milliseconds and moves a
 * pair; otherwise it sleeps without a timeout.  Only CPUs of the process's first affinity mask are used.  With one such
 * CPU, or where sched_setaffinity is refused, nothing is pinned and all of this does nothing.
 *
 * Two pairs are *mates* while they wake each other by turns: each sleeps soon after it woke the other, and is woken by that
 * one.  They never have work for two CPUs, and a wake-up costs them most if each has one.  So mates that could be on one CPU
 * alone are brought together, and the balancer does not part them before one of them computes for longer, or they stop.
 */
#ifndef BAILEY_PLATFORM_PLACEMENT_H
#define BAILEY_PLATFORM_PLACEMENT_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

/* Lives in a platform's context; its fields are placement.c's. */
struct placement {
	struct list_head node;	 /* of all pairs; guarded by placement.c's lock */
	pid_t sentry_tid, guest_tid; /* immutable while attached */
	_Atomic uint32_t state;	 /* index of the CPU << 1 | active; PLACEMENT_NONE if not pinned */
	_Atomic uint64_t *naps; /* counts sleeps of the guest thread by itself, their ends too, or NULL; immutable while attached */
	bool (*is_napping)(const struct placement *p); /* it sleeps so, and nobody has woken it; NULL if naps is; likewise */
	struct placement *outer; /* the thread's earlier pair (in execve there are two); its thread's */
	cpu_set_t allowed;	 /* where it may go, never empty; guarded by placement.c's lock */
	_Atomic uint32_t *spins; /* while away: what tells the guest thread to spin; its thread's */
	_Atomic uint32_t away;	 /* index of the CPU that the sentry thread has to itself, or PLACEMENT_NONE; its thread sets it */
	_Atomic bool recalled;	 /* it may not stay away: its mask has changed */
	uint32_t crowded_ticks;	 /* ticks in a row at which it was found active on a crowded CPU; the balancer's */
	unsigned left_count;	 /* how often in a row it was left there nevertheless; likewise */
	bool waited;		 /* it has blocked; its thread's, the platform clears it */
	_Atomic pid_t mate;	 /* sentry_tid of its mate, or 0 */
	_Atomic uint32_t turns;	 /* counts those that it took with mates; its thread does */
	uint32_t turns_seen;	 /* by the balancer, a tick ago; the balancer's, with the rest */
	uint64_t naps_seen;
	uint64_t napped;	 /* how far naps has come within the last tick, */
	bool took_turns;	 /* and whether turns has */
};

/* Where a thread sleeps: how who wakes it and it come to know each other.  All zero at first. */
struct placement_seat {
	_Atomic pid_t sleeper;	/* sentry_tid of the pair that sleeps here, or slept last; 0: none yet */
	_Atomic pid_t waker;	/* likewise who wakes it; 0: somebody without a pair */
	_Atomic uint32_t cpu;	/* waker's, as an index; with it */
};

/* Notes the affinity mask of the process.  A platform's start calls it, single-threaded; harmless if called again. */
void placement_start(void);

/* For a thread that serves no guest: it may run on all CPUs, wherever its maker was pinned. */
void placement_leave(void);

#define PLACEMENT_NONE UINT32_MAX

/* For a placement that is not attached yet; detaching such a one does nothing. */
void placement_init(struct placement *p);

/*
 * Pins the calling thread and the host thread guest_tid to the CPU the caller runs on, and makes p the calling thread's
 * pair.  A new pair begins where its maker is: most live short and hand something back to it, and waking an idle CPU for
 * them costs more than sharing one; those that go on computing are moved by the balancer.  A pair that the thread had is
 * put aside.  Cannot fail: at worst nothing is pinned.
 */
void placement_attach(struct placement *p, pid_t guest_tid);

/* Ends the pair, from the thread that attached it.  The thread's other pair becomes its own again, or else the thread stays where it
 * is until its next pair.  The guest thread may be dead. */
void placement_detach(struct placement *p);

/* Where the calling thread, which has no pair, is pinned from its last one; and pins a sleeping one of which that is known to where the
 * caller's pair is, which is about to wake it for a new pair. */
uint32_t placement_pinned(void);
void placement_bring(pid_t tid, uint32_t pinned);

/*
 * A pair that hands over to and fro all the time, and never sleeps in between, is better off on two CPUs, each of its threads
 * spinning while it is the other's turn.  placement_part gives the calling thread, whose latest pair p must be, a CPU that no
 * active pair is on, if there is one and p has its own CPU for itself; else it does nothing.  They stay apart until
 * placement_rejoin, to be called as soon as placement_parted says no (others want a CPU) or there is nothing to spin for;
 * blocking calls it.  Meanwhile *spins, where the guest thread sees it, is `count`, and then 0.
 */
void placement_part(struct placement *p, _Atomic uint32_t *spins, uint32_t count);
bool placement_parted(const struct placement *p);
void placement_rejoin(struct placement *p);

/*
 * From now on the pairs of the thread sentry_tid go only where mask (size bytes, a bit a CPU, as sched_setaffinity(2) has
 * it) allows, and are moved there at once.  Of CPUs that are none of ours nothing is known: a mask of such alone changes
 * nothing.  Any thread.
 */
void placement_allow(pid_t sentry_tid, const uint8_t *mask, size_t size);

/* The guest threads of p and q take turns by themselves, each napping meanwhile, and have come so far that it shows: they are
 * mates.  p is the calling thread's pair; q does not end meanwhile. */
void placement_join(struct placement *p, struct placement *q);

/* Around a wait of the calling thread that is not for its guest thread, in a seat of its own.  Cheap (a few atomic operations),
 * nothing in a thread without a pair.  They do not nest. */
void placement_block(struct placement_seat *seat);
void placement_unblock(struct placement_seat *seat);
/* The calling thread is about to wake whoever sleeps in seat.  Any thread. */
void placement_wake(struct placement_seat *seat);

#endif
