/*
 * See placement.h.  Three things are kept: for each allowed CPU its count of active pairs, the number of CPUs with none
 * (idle) and the number with two or more (crowded).  All are atomics that follow from each other's transitions, so that
 * block and unblock take no lock; they may be off for a moment, never for good.
 *
 * The balancer is wanted when some CPU is idle while another is crowded.  It acts only on what it then finds at two
 * ticks in a row: two pairs that hand work to each other (a pipe) are both active for an instant at every turn, and
 * are best left together.
 */
#include "platform/placement.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/lock.h"
#include "platform/stub_clock.h"

#define ACTIVE 1u
#define TICK_NS 5000000
#define TICKS_TO_MOVE 2
/* So often in a row a pair is left where it is because it, or its neighbours, seem to wait for each other. */
#define LEFT_MAX 64
/* So many turns in a row make mates, */
#define TURNS_TO_MATE 4u
#define TURNS_MAX 16u
/* if they sleep so soon after they woke the other.  To wake an idle CPU costs nearly as much. */
#define PROMPT_NS 40000
#define SEVERAL (-1)
/* If two threads together nap so often in a tick (each nap counts twice), and neither does nearly all of it, then a wake-up of an
 * idle CPU costs as much as all else that they do. */
#define TICK_NAPS 250u
#define CPUS_MAX CPU_SETSIZE

static cpu_set_t all_cpus;   /* the process's first mask; immutable after placement_start */
static int cpu_of[CPUS_MAX]; /* index -> host CPU number; immutable after placement_start */
static uint32_t cpu_count;   /* immutable after placement_start; below 2: all of this is off */
static _Atomic int active[CPUS_MAX];
static _Atomic int idle_count, crowded_count;

static struct mutex pairs_lock = MUTEX_INIT;
static struct list_head pairs = LIST_HEAD_INIT(pairs); /* of placement.node; guarded by pairs_lock */
static bool balancer_started;			       /* guarded by pairs_lock */
static _Atomic uint32_t balancer_wanted;	       /* a futex: 0 while the balancer sleeps and may */

static _Thread_local struct placement *current_pair; /* the latest; its outer is the one before */
static _Thread_local uint32_t pinned_to = PLACEMENT_NONE; /* without a pair: the CPU where it still is from its last one */

/* Whom the calling thread wakes, and who wakes it. */
struct turns {
	pid_t woke;	 /* whom it has woken since it slept; SEVERAL, or 0 for nobody */
	int64_t woke_ns; /* when it first did */
	pid_t passed_to; /* as it fell asleep: whose turn it is then */
	bool prompt;	 /* likewise: it fell asleep soon after */
	pid_t with;	 /* who woke it at the end of the last turn, */
	unsigned count;	 /* of so many or more in a row */
};
static _Thread_local struct turns turns;

static bool imbalanced(void)
{
	return atomic_load(&crowded_count) > 0 && atomic_load(&idle_count) > 0;
}

static void want_balancer(void)
{
	/* The plain load keeps the common case (it is awake already) from bouncing the cache line. */
	if (atomic_load_explicit(&balancer_wanted, memory_order_relaxed) == 0 &&
	    atomic_exchange(&balancer_wanted, 1) == 0)
		syscall(SYS_futex, &balancer_wanted, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void count_active(uint32_t cpu)
{
	int old = atomic_fetch_add(&active[cpu], 1);

	if (old == 0)
		atomic_fetch_sub(&idle_count, 1);
	else if (old == 1)
		atomic_fetch_add(&crowded_count, 1);
}

static void uncount_active(uint32_t cpu)
{
	int old = atomic_fetch_sub(&active[cpu], 1);

	if (old == 1)
		atomic_fetch_add(&idle_count, 1);
	else if (old == 2)
		atomic_fetch_sub(&crowded_count, 1);
}

static bool pin(pid_t tid, uint32_t cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu_of[cpu], &one);
	return sched_setaffinity(tid, sizeof(one), &one) == 0;
}

void placement_start(void)
{
	cpu_set_t mask;

	if (cpu_count > 0)
		return;
	if (sched_getaffinity(0, sizeof(mask), &mask) < 0)
		return; /* more CPUs than a cpu_set_t holds: leave them to the scheduler */
	for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (CPU_ISSET(cpu, &mask))
			cpu_of[cpu_count++] = cpu;
	}
	all_cpus = mask;
	atomic_store(&idle_count, (int)cpu_count);
}

void placement_init(struct placement *p)
{
	list_init(&p->node);
	p->sentry_tid = p->guest_tid = 0;
	p->outer = NULL;
	p->naps = NULL;
	p->is_napping = NULL;
	p->crowded_ticks = p->left_count = 0;
	p->turns_seen = 0;
	p->naps_seen = 0;
	p->napped = 0;
	p->took_turns = false;
	p->waited = false;
	atomic_init(&p->mate, 0);
	atomic_init(&p->turns, 0);
	atomic_init(&p->away, PLACEMENT_NONE);
	atomic_init(&p->recalled, false);
	atomic_init(&p->state, PLACEMENT_NONE);
}

/* The CPU of allowed with the fewest active pairs; of several, the one the calling thread runs on. */
static uint32_t least_active_cpu(const cpu_set_t *allowed)
{
	int here = sched_getcpu();
	uint32_t best = 0;
	int best_load = INT32_MAX;

	for (uint32_t i = 0; i < cpu_count; i++) {
		int load = 2 * atomic_load_explicit(&active[i], memory_order_relaxed) - (cpu_of[i] == here);

		if (CPU_ISSET(cpu_of[i], allowed) && load < best_load) {
			best = i;
			best_load = load;
		}
	}
	return best;
}

/* Index of the CPU the calling thread runs on; the least active one of allowed if that is none of them. */
static uint32_t present_cpu(const cpu_set_t *allowed)
{
	int here = sched_getcpu();

	for (uint32_t i = 0; i < cpu_count; i++)
		if (cpu_of[i] == here && CPU_ISSET(here, allowed))
			return i;
	return least_active_cpu(allowed);
}

/* Moves p, whose state was seen as `state`, to a CPU.  False if its state has changed meanwhile: it has just blocked.
 */
static bool move(struct placement *p, uint32_t state, uint32_t to) REQUIRES(pairs_lock)
{
	if (!atomic_compare_exchange_strong(&p->state, &state, to << 1 | (state & ACTIVE)))
		return false;
	if (state & ACTIVE) {
		uncount_active(state >> 1);
		count_active(to);
	}
	/* Either may be dying: then it does not matter where. */
	if (pin(p->guest_tid, to))
		pin(p->sentry_tid, to);
	return true;
}

static bool naps(const struct placement *p)
{
	return p->is_napping && p->is_napping(p);
}

/* Whether only one of cpu's active pairs is awake: then they wait for each other, and are best left together. */
static bool is_napping(uint32_t cpu) REQUIRES(pairs_lock)
{
	const struct placement *p;
	unsigned awake = 0;

	list_for_each_entry (p, &pairs, node)
		awake += atomic_load(&p->state) == (cpu << 1 | ACTIVE) && !naps(p);
	return awake < 2;
}

/* The pair that takes turns with p, if it says so too, or NULL. */
static struct placement *mate_of(const struct placement *p) REQUIRES(pairs_lock)
{
	pid_t mate = atomic_load(&p->mate);
	struct placement *q;

	if (!mate)
		return NULL;
	list_for_each_entry (q, &pairs, node)
		if (q != p && q->sentry_tid == mate && atomic_load(&q->mate) == p->sentry_tid)
			return q;
	return NULL;
}

/* How many pairs are active on the CPU besides p and q. */
static int others_on(uint32_t cpu, const struct placement *p, const struct placement *q)
{
	const uint32_t here = cpu << 1 | ACTIVE;

	return atomic_load(&active[cpu]) - (atomic_load(&p->state) == here) - (atomic_load(&q->state) == here);
}

/*
 * Whether p and its mate have the CPU to themselves and took turns within the last tick.  Turns that they take by naps are not
 * looked at one by one: they have to be many, or one of the two asleep.
 */
static bool is_with_mate(const struct placement *p, uint32_t cpu) REQUIRES(pairs_lock)
{
	const struct placement *q = mate_of(p);

	if (!q || atomic_load(&q->state) >> 1 != cpu || others_on(cpu, p, q) > 0)
		return false;
	if (p->took_turns && q->took_turns)
		return true;
	if (min_of(p->napped, q->napped) >= TICK_NAPS / 8 && p->napped + q->napped >= TICK_NAPS)
		return true;
	return p->napped && q->napped && (naps(p) || naps(q));
}

/* Whether p, which could be moved, is best left alone.  Naps are the guest's own word: unless its mate, which has to be one, says
 * the same by its own, it is not taken for ever. */
static bool is_left(struct placement *p, uint32_t cpu) REQUIRES(pairs_lock)
{
	if (is_with_mate(p, cpu))
		return true;
	if (p->left_count >= LEFT_MAX || !(naps(p) || is_napping(cpu)))
		return false;
	p->left_count++;
	return true;
}

/* Notes what p has done since the last look. */
static void look_at_turns(struct placement *p) REQUIRES(pairs_lock)
{
	uint32_t count = atomic_load(&p->turns);
	uint64_t nap_count = p->naps ? atomic_load_explicit(p->naps, memory_order_relaxed) : 0;

	p->took_turns = count != p->turns_seen;
	p->turns_seen = count;
	p->napped = nap_count - p->naps_seen;
	p->naps_seen = nap_count;
}

/* Looks at one pair.  True if it was moved: one a tick is enough, the counts are then to be looked at afresh. */
static bool consider(struct placement *p) REQUIRES(pairs_lock)
{
	uint32_t state = atomic_load(&p->state);
	uint32_t from = state >> 1, to;

	if (!(state & ACTIVE) || state == PLACEMENT_NONE || atomic_load(&active[from]) < 2 ||
	    atomic_load(&p->away) != PLACEMENT_NONE) {
		p->crowded_ticks = p->left_count = 0;
		return false;
	}
	if (++p->crowded_ticks < TICKS_TO_MOVE)
		return false;
	to = least_active_cpu(&p->allowed);
	if (atomic_load(&active[to]) > 0)
		return false;
	p->crowded_ticks = 0;
	if (is_left(p, from))
		return false;
	p->left_count = 0;
	return move(p, state, to);
}

static void balance(void)
{
	struct placement *p;

	mutex_lock(&pairs_lock);
	list_for_each_entry (p, &pairs, node)
		look_at_turns(p);
	list_for_each_entry (p, &pairs, node) {
		if (consider(p)) {
			/* The next tick starts at another pair. */
			list_del_init(&p->node);
			list_add_tail(&p->node, &pairs);
			break;
		}
	}
	mutex_unlock(&pairs_lock);
}

void placement_leave(void)
{
	if (cpu_count >= 2)
		sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
	pinned_to = PLACEMENT_NONE;
}

uint32_t placement_pinned(void)
{
	return pinned_to;
}

void placement_bring(pid_t tid, uint32_t pinned)
{
	uint32_t here;

	if (!current_pair)
		return;
	here = atomic_load(&current_pair->state) >> 1;
	if (here != pinned && atomic_load(&current_pair->away) == PLACEMENT_NONE)
		pin(tid, here);
}

static void *balancer(void *arg)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};

	(void)arg;
	placement_leave();
	for (;;) {
		while (atomic_load(&balancer_wanted) == 0)
			syscall(SYS_futex, &balancer_wanted, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		nanosleep(&tick, NULL);
		balance();
		if (imbalanced())
			continue;
		atomic_store(&balancer_wanted, 0);
		/* Whoever made it imbalanced before the store saw a 1 and woke nobody. */
		if (imbalanced())
			atomic_store(&balancer_wanted, 1);
	}
	return NULL;
}

static void start_balancer(void) REQUIRES(pairs_lock)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	if (balancer_started)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Without a balancer pairs stay where they were put: slower, not wrong; tried again with the next pair. */
	balancer_started = pthread_create(&thread, &attr, balancer, NULL) == 0;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Makes p count, or not, as load on its CPU. */
static void set_active(struct placement *p, bool on)
{
	uint32_t state = on ? atomic_fetch_or(&p->state, ACTIVE) : atomic_fetch_and(&p->state, ~ACTIVE);

	if (on && !(state & ACTIVE))
		count_active(state >> 1);
	else if (!on && (state & ACTIVE))
		uncount_active(state >> 1);
	if (UNLIKELY(imbalanced()))
		want_balancer();
}

/* Whether the calling thread is pinned to this CPU already. */
static bool is_pinned_to(uint32_t cpu)
{
	return (current_pair ? atomic_load(&current_pair->state) >> 1 : pinned_to) == cpu;
}

void placement_attach(struct placement *p, pid_t guest_tid)
{
	uint32_t cpu;

	if (cpu_count < 2)
		return;
	if (current_pair) {
		placement_rejoin(current_pair);
		set_active(current_pair, false);
	}
	/* In execve the new pair may go where the old one might. */
	p->allowed = all_cpus;
	if (current_pair) {
		mutex_lock(&pairs_lock);
		p->allowed = current_pair->allowed;
		mutex_unlock(&pairs_lock);
	}
	cpu = current_pair ? least_active_cpu(&p->allowed) : present_cpu(&p->allowed);
	p->sentry_tid = gettid();
	p->guest_tid = guest_tid;
	p->crowded_ticks = 0;
	turns = (struct turns){0};
	/* The guest thread first: if it cannot be pinned the sentry's is left alone too.  A CPU that is no more (a cpuset that shrank) has the
	 * fewest pairs for ever: then the one where we are. */
	if (!pin(guest_tid, cpu)) {
		cpu = present_cpu(&p->allowed);
		if (!pin(guest_tid, cpu))
			goto out_unpinned;
	}
	if (!is_pinned_to(cpu) && !pin(p->sentry_tid, cpu)) {
		sched_setaffinity(guest_tid, sizeof(all_cpus), &all_cpus);
		goto out_unpinned;
	}
	atomic_store(&p->state, cpu << 1);
	set_active(p, true);
	p->outer = current_pair;
	current_pair = p;
	mutex_lock(&pairs_lock);
	list_add_tail(&p->node, &pairs);
	start_balancer();
	mutex_unlock(&pairs_lock);
	return;

out_unpinned:
	if (current_pair)
		set_active(current_pair, true);
}

/* It has no CPU beside its own any more. */
static void end_parting(struct placement *p, uint32_t away)
{
	atomic_store(&p->away, PLACEMENT_NONE);
	atomic_store_explicit(p->spins, 0, memory_order_relaxed);
	uncount_active(away);
}

void placement_detach(struct placement *p)
{
	struct placement **link = &current_pair;
	uint32_t state, away;

	if (atomic_load(&p->state) == PLACEMENT_NONE)
		return;
	mutex_lock(&pairs_lock);
	list_del_init(&p->node);
	mutex_unlock(&pairs_lock);
	/* Off the list, it is not moved any more. */
	state = atomic_load(&p->state);
	away = atomic_load(&p->away);
	if (away != PLACEMENT_NONE)
		end_parting(p, away);
	set_active(p, false);
	atomic_store(&p->state, PLACEMENT_NONE);
	if (current_pair != p) {
		while (*link && *link != p)
			link = &(*link)->outer;
		if (*link)
			*link = p->outer;
		return;
	}
	current_pair = p->outer;
	if (current_pair) {
		state = atomic_load(&current_pair->state);
		set_active(current_pair, true);
		pin(current_pair->sentry_tid, state >> 1);
	} else {
		pinned_to = away != PLACEMENT_NONE ? away : state >> 1;
	}
}

void placement_allow(pid_t sentry_tid, const uint8_t *mask, size_t size)
{
	struct placement *p;
	cpu_set_t allowed;
	uint32_t state, to;

	if (cpu_count < 2)
		return;
	CPU_ZERO(&allowed);
	for (size_t cpu = 0; cpu < CPUS_MAX && cpu / 8 < size; cpu++)
		if ((mask[cpu / 8] & 1u << cpu % 8) && CPU_ISSET(cpu, &all_cpus))
			CPU_SET(cpu, &allowed);
	if (CPU_COUNT(&allowed) == 0)
		return;
	mutex_lock(&pairs_lock);
	list_for_each_entry (p, &pairs, node) {
		if (p->sentry_tid != sentry_tid)
			continue;
		p->allowed = allowed;
		atomic_store(&p->recalled, true);
		do {
			state = atomic_load(&p->state);
			if (state == PLACEMENT_NONE || CPU_ISSET(cpu_of[state >> 1], &allowed))
				break;
			to = least_active_cpu(&allowed);
		} while (!move(p, state, to));
	}
	mutex_unlock(&pairs_lock);
}

/* Counts the CPU as active if no pair is on it. */
static bool claim(uint32_t cpu)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&active[cpu], &none, 1))
		return false;
	atomic_fetch_sub(&idle_count, 1);
	return true;
}

void placement_part(struct placement *p, _Atomic uint32_t *spins, uint32_t count)
{
	uint32_t state = atomic_load(&p->state), at = state >> 1;
	cpu_set_t allowed;

	if (state == PLACEMENT_NONE || p->away != PLACEMENT_NONE || p != current_pair || atomic_load(&active[at]) != 1)
		return;
	mutex_lock(&pairs_lock);
	allowed = p->allowed;
	atomic_store(&p->recalled, false);
	mutex_unlock(&pairs_lock);
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (i == at || !CPU_ISSET(cpu_of[i], &allowed) || !claim(i))
			continue;
		if (pin(p->sentry_tid, i)) {
			p->spins = spins;
			atomic_store(&p->away, i);
			atomic_store_explicit(spins, count, memory_order_relaxed);
			return;
		}
		uncount_active(i);
	}
}

static int active_on(uint32_t cpu)
{
	return atomic_load_explicit(&active[cpu], memory_order_relaxed);
}

bool placement_parted(const struct placement *p)
{
	uint32_t away = atomic_load_explicit(&p->away, memory_order_relaxed);

	return away != PLACEMENT_NONE && !atomic_load_explicit(&p->recalled, memory_order_relaxed) && active_on(away) == 1 &&
	       active_on(atomic_load_explicit(&p->state, memory_order_relaxed) >> 1) == 1;
}

void placement_rejoin(struct placement *p)
{
	uint32_t away = atomic_load(&p->away), cpu;

	if (away == PLACEMENT_NONE)
		return;
	end_parting(p, away);
	/* The balancer may move the pair meanwhile. */
	do {
		cpu = atomic_load(&p->state) >> 1;
		pin(p->sentry_tid, cpu);
	} while (atomic_load(&p->state) >> 1 != cpu);
	if (imbalanced())
		want_balancer();
}

void placement_wake(struct placement_seat *seat)
{
	pid_t woken = atomic_load_explicit(&seat->sleeper, memory_order_relaxed);

	if (current_pair) {
		if (!turns.woke)
			turns.woke_ns = monotonic_ns();
		turns.woke = !turns.woke || turns.woke == woken ? woken : SEVERAL;
		atomic_store_explicit(&seat->cpu, atomic_load(&current_pair->state) >> 1, memory_order_relaxed);
	}
	atomic_store_explicit(&seat->waker, current_pair ? current_pair->sentry_tid : 0, memory_order_relaxed);
}

/* Brings p, the calling thread's pair, to its mate's CPU, if the two then have it to themselves. */
static void join_mate(struct placement *p)
{
	struct placement *q;
	uint32_t to;

	mutex_lock(&pairs_lock);
	q = mate_of(p);
	to = q ? atomic_load(&q->state) >> 1 : 0;
	if (q && CPU_ISSET(cpu_of[to], &p->allowed) && others_on(to, p, q) <= 0)
		(void)move(p, atomic_load(&p->state), to);
	mutex_unlock(&pairs_lock);
}

void placement_join(struct placement *p, struct placement *q)
{
	uint32_t here = atomic_load(&p->state), there = atomic_load(&q->state);

	if (here == PLACEMENT_NONE || there == PLACEMENT_NONE)
		return;
	atomic_store(&p->mate, q->sentry_tid);
	atomic_store(&q->mate, p->sentry_tid);
	if (here >> 1 != there >> 1)
		join_mate(p);
}

/* The calling thread, whose pair is p, was woken by waker, which then was on cpu, after it had passed its turn on. */
static void end_turn(struct placement *p, pid_t waker, uint32_t cpu)
{
	if (!turns.prompt || waker != turns.passed_to) {
		turns.count /= 2;
	} else if (waker != turns.with) {
		turns.with = waker;
		turns.count = 1;
	} else if (turns.count < TURNS_MAX) {
		turns.count++;
	}
	atomic_store(&p->mate, turns.count >= TURNS_TO_MATE ? turns.with : 0);
	if (turns.count < TURNS_TO_MATE)
		return;
	atomic_fetch_add_explicit(&p->turns, 1, memory_order_relaxed);
	if (cpu != atomic_load(&p->state) >> 1)
		join_mate(p);
}

void placement_block(struct placement_seat *seat)
{
	if (!current_pair)
		return;
	placement_rejoin(current_pair);
	if (turns.woke) {
		turns.passed_to = turns.woke;
		turns.prompt = monotonic_ns() - turns.woke_ns <= PROMPT_NS;
		turns.woke = 0;
	}
	atomic_store_explicit(&seat->sleeper, current_pair->sentry_tid, memory_order_relaxed);
	current_pair->waited = true;
	set_active(current_pair, false);
}

void placement_unblock(struct placement_seat *seat)
{
	if (!current_pair)
		return;
	set_active(current_pair, true);
	if (turns.passed_to) {
		end_turn(current_pair, atomic_load(&seat->waker), atomic_load(&seat->cpu));
		turns.passed_to = 0;
	}
	atomic_store_explicit(&seat->waker, 0, memory_order_relaxed);
}
