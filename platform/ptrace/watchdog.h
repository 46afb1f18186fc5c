/*
 * The watchdog: the watcher's second task.  While somebody waits for a stub that owes an answer, it looks a few times a
 * second whether the answer has come, kills a stub that does not give it, and frees whoever waits for a stub that does not
 * even die.  At all other times it sleeps without a timeout.
 */
#ifndef BAILEY_PLATFORM_PTRACE_WATCHDOG_H
#define BAILEY_PLATFORM_PTRACE_WATCHDOG_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WATCHDOG_LOOK_NS 250000000

struct watchdog {
	_Atomic bool on;    /* somebody may be waiting for an answer */
	_Atomic pid_t tid;  /* the watcher's; 0: not started, it will see `on` when it is */
	int64_t look_ns;    /* immutable once the watcher runs */
	int64_t last_ns;    /* of the last look; the watcher's */
};

/* What it keeps of one tracee. */
struct watched {
	/* Of the thread that waits. */
	_Atomic uint32_t waits; /* odd while it waits */
	_Atomic bool due;	/* an answer of the thread is owed: it is in the shim, or on its way to the park */
	_Atomic pid_t waiter;
	/* Set by the watchdog, for good: waiting is over, whatever becomes of the thread. */
	_Atomic bool abandoned;
	/* The watchdog's own. */
	uint32_t seen_waits;
	unsigned looks; /* at which one and the same wait was found */
	int64_t cpu_ns; /* the stub's processor time at the last look */
};

/*
 * To be called after the reason for looking is there to be seen (w->due, a kick, a kill).  The watchdog goes to sleep the
 * other way round: it takes `on` back, then looks once more.
 */
static inline void watchdog_wake(struct watchdog *dog)
{
	if (!atomic_load(&dog->on) && !atomic_exchange(&dog->on, true) && atomic_load(&dog->tid) != 0)
		syscall(SYS_tgkill, getpid(), atomic_load(&dog->tid), SIGCHLD);
}

#endif
