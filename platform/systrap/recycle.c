/*
 * Stubs that are used again.  Each exec takes an address space and gives one back, each exit gives one back; to make a stub
 * and to kill it (a fork, a thread, a channel, two deaths, a page table) costs more than to empty one.  So a stub whose address
 * space has come to its end is kept, if it can be made what a fork of the template is: its leader, the texts, the slots, and
 * beside that nothing but a channel, and a thread that waits for its first context.
 *
 * All of this is done by a thread of its own, the emptier, so that nobody waits for it: who has left the stub goes on, as do those
 * who hear of that.  It kills those that are not kept, for a process's end takes the CPU on which it lives as long as emptying it.
 * But where a thread that only seems to be parked could still write to memory that others have, its process is not to be over
 * before that thread is: such a stub is emptied, or killed, by who leaves it.
 *
 * What its guest may have left there, and how that goes:
 *
 *     threads            told to end as soon as the stub is left; those that sleep are woken by the emptier.  That they have ended
 *                        is the host's word, not the channel's: nothing but the leader is left then, which never runs guest code
 *                        and which no guest can reach.  With them go their signal masks, pending signals, segment bases, rseq
 *                        areas and clocks.
 *     memory             one munmap of all that is below GUEST_CEILING, and with it the cells of patched sites; only after the
 *                        threads, so that nobody can map anything behind its back.  Above, a guest can change nothing but windows.
 *     windows            unmapped, and their records, whoever mapped what is there
 *     trampolines        unmapped, and what was counted for them forgotten
 *     files              the one that it may have received is closed; there is none in its socket, which, too, is the host's
 *                        word, or the socket is closed as well
 *     rings              none: who has ever had some is not used again (their blocks may be another one's, too)
 *     channels           one is kept, wiped by the sentry; the others are unmapped and wiped
 *
 * Whatever of this does not come out as it should, or not in time, is the end of the stub.  The next address space is one of
 * the same owner (platform.h), who could have done to it what he likes anyway.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "base/checked.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

#define USED_MAX 8
/* So many may wait for the emptier.  When there are more it cannot keep up, and they are killed at once. */
#define LEFT_MAX 16
/* A program with more threads than these costs more to empty than to kill. */
#define THREADS_MAX 4
/* So long threads that were told to end may take.  Those that are parked, as they should be, take a few microseconds. */
#define END_NS 100000000

#define CALLS_MAX (THREADS_MAX + 4)
_Static_assert(THREADS_MAX <= IDLE_MAX && CALLS_MAX <= 2 * SYSTRAP_REQUEST_MAX, "two requests empty a stub, mostly one");

/* ---- threads ---- */

/* To the caller's CPU: where they sleep may be the one on which somebody waits to hear of their program's end. */
static void bring_threads_here(struct stub *s)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	if (cpu < 0 || !stub_pid_hold(s))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	for (unsigned i = 0; i < s->idle_count; i++)
		if (!s->idle[i].hears)
			sched_setaffinity(s->idle[i].tid, sizeof(one), &one);
	if (!s->keep)
		sched_setaffinity(s->as.host_pid, sizeof(one), &one);
	stub_pid_drop(s);
}

/* Its threads were told to end.  Nobody else has s any more, so that they stay as they are; they are still looked up by the receiver. */
static bool end_threads(struct stub *s)
{
	int64_t deadline_ns = monotonic_ns() + END_NS;

	for (unsigned i = 0; i < s->idle_count; i++)
		if (!s->idle[i].hears)
			thread_wake(s, s->idle[i].channel);
	for (unsigned i = 0; i < s->idle_count; i++) {
		if (!thread_has_ended(s, s->idle[i].tid, s->idle[i].channel, deadline_ns)) {
			if (!atomic_load(&s->as.dead)) /* no program is in it any more, and nobody need hear of it */
				log_info("systrap: the stub with host id %d is not used again: a thread did not end in time", s->as.host_pid);
			stub_kill(s, NULL);
			return false;
		}
	}
	return true;
}

/* ---- all else ---- */

/* The first thread's channel stays, for the next address space's first thread. */
static void keep_one_channel(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	uint32_t channels[IDLE_MAX];
	unsigned count;

	mutex_lock(&st->lock);
	count = s->idle_count;
	for (unsigned i = 0; i < count; i++)
		channels[i] = s->idle[i].channel;
	s->idle_count = 0;
	mutex_unlock(&st->lock);
	if (count > 0 && s->spare_channel == POOL_NONE) {
		s->spare_channel = channels[0];
		memset(st->channels + (size_t)channels[0] * SYSTRAP_CHANNEL_SIZE, 0, st->frame.channel_size);
	}
	for (unsigned i = 0; i < count; i++)
		if (channels[i] != s->spare_channel)
			channel_free(st, channels[i]);
}

/* Whoever waited for its futexes is gone; a count that is left would have the next program wait for ever, one too few likewise. */
static bool has_waiters(const struct stub *s)
{
	for (unsigned i = 0; i < PAS_WAITER_COUNTS; i++)
		if (atomic_load(&s->as.waiters[i]) != 0)
			return true;
	return false;
}

/* Whether all of them were made and came out well. */
static bool request_all(struct stub *s, const struct leader_call *calls, unsigned count)
{
	const unsigned first = min_of(count, (unsigned)SYSTRAP_REQUEST_MAX);
	long result = 0;

	return leader_request(s, calls, first, -1, &result) == (int)first &&
	       (count == first || leader_request(s, calls + first, count - first, -1, &result) == (int)(count - first));
}

/* False: it is no good any more, and if that is so because it did not do as told, it is killed. */
static bool empty(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	bool patched = atomic_load(&s->patches) != NULL;
	struct leader_call calls[CALLS_MAX];
	bool connected;
	unsigned count = 0;

	if (!end_threads(s))
		return false;
	connected = files_connected(s);
	if (!files_all_received(s)) {
		stub_kill(s, "a file was left on its way");
		return false;
	}
	calls[count++] = unmap_call(0, GUEST_CEILING);
	calls[count++] = unmap_windows_call();
	/* Without its end of a socket, what it has there may be a file. */
	calls[count++] = close_call(connected ? SYSTRAP_FILE_FD : SYSTRAP_SOCKET_FD);
	if (patched)
		calls[count++] = unmap_call(st->base + SYSTRAP_TRAMPOLINES_OFF, SYSTRAP_TRAMPOLINES_SIZE);
	for (unsigned i = s->spare_channel == POOL_NONE ? 1 : 0; i < s->idle_count; i++)
		calls[count++] = unmap_call(channel_addr(s->idle[i].channel), st->frame.channel_size);
	if (!request_all(s, calls, count)) {
		stub_kill(s, atomic_load(&s->as.dead) ? NULL : "it could not be emptied");
		return false;
	}
	if (has_waiters(s)) {
		stub_kill(s, "somebody waits for its futexes");
		return false;
	}
	keep_one_channel(s);
	if (!connected)
		files_end(s);
	patches_put(atomic_exchange(&s->patches, NULL));
	for (unsigned i = 0; i < HEAT_SLOTS; i++)
		atomic_store_explicit(&s->heat[i], 0, memory_order_relaxed);
	return true;
}

/* ---- those that are kept ---- */

/* Room for one of this owner's.  Those of others make room; they are the longest there, or nobody has used any of late. */
static bool take_room(struct systrap *st, uint64_t owner) REQUIRES(st->lock)
{
	struct stub *last;

	if (st->used_count < USED_MAX) {
		st->used_count++;
		return true;
	}
	last = list_empty(&st->used) ? NULL : list_last_entry(&st->used, struct stub, used_node);
	if (!last || last->as.owner == owner)
		return false;
	list_del_init(&last->used_node); /* its place is the new one's */
	stub_kill(last, NULL);
	return true;
}

void stub_forget_used(struct systrap *st, struct stub *s)
{
	if (!s->released || list_empty(&s->used_node))
		return; /* nor is it if the emptier still has it to see to */
	list_del_init(&s->used_node);
	st->used_count--;
}

/* What of its use will be no part of the next address space's. */
static void note_before(struct stub *s)
{
	s->as.before = (struct pas_before){
		.cpu_ns = stub_cpu_ns(s->as.host_pid),
		.minor_faults = atomic_load(&s->as.faults[0]),
		.major_faults = atomic_load(&s->as.faults[1]),
		.used = true,
	};
}

/* The caller has s for himself: makes it ready to be used again, or ends it. */
static void empty_and_keep(struct systrap *st, struct stub *s)
{
	bool keep = empty(s);

	if (keep) {
		note_before(s);
		keep = s->spare_channel == POOL_NONE || thread_prepare(s);
	}
	mutex_lock(&st->lock);
	keep = keep && !atomic_load(&s->as.dead);
	if (keep) {
		s->released = true;
		list_add(&s->used_node, &st->used);
	} else {
		st->used_count--;
	}
	mutex_unlock(&st->lock);
	if (!keep)
		stub_end(s);
}

static void *emptier(void *arg)
{
	struct systrap *st = arg;
	struct stub *s;

	placement_leave();
	mutex_lock(&st->lock);
	for (;;) {
		while (list_empty(&st->left) && !st->stopping)
			pthread_cond_wait(&st->left_cond, &st->lock.m);
		if (list_empty(&st->left))
			break;
		s = list_first_entry(&st->left, struct stub, used_node);
		list_del_init(&s->used_node);
		mutex_unlock(&st->lock);
		bring_threads_here(s);
		if (s->keep)
			empty_and_keep(st, s);
		else
			stub_end(s);
		mutex_lock(&st->lock);
		st->left_count--;
	}
	mutex_unlock(&st->lock);
	return NULL;
}

static bool start_emptier(struct systrap *st) REQUIRES(st->lock)
{
	sigset_t all, old;

	if (st->emptier_started)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	st->emptier_started = pthread_create(&st->emptier, NULL, emptier, st) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return st->emptier_started;
}

void stub_stop_emptier(struct systrap *st)
{
	bool started;

	mutex_lock(&st->lock);
	st->stopping = true;
	started = st->emptier_started;
	pthread_cond_signal(&st->left_cond);
	mutex_unlock(&st->lock);
	if (started)
		pthread_join(st->emptier, NULL);
}

/* Whether s, of which nobody is in the way, is to be used again: then it has a place among those. */
static bool is_kept(struct systrap *st, const struct stub *s) REQUIRES(st->lock)
{
	return s->as.owner && !atomic_load(&s->has_rings) && !atomic_load(&s->as.kept_apart) && s->parked_channels == POOL_NONE &&
	       s->idle_count <= THREADS_MAX && take_room(st, s->as.owner);
}

bool stub_leave(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	bool at_once = atomic_load(&s->as.shares), left;

	if (atomic_load(&s->as.dead) || atomic_load(&s->killed_ns))
		return false;
	mutex_lock(&st->lock);
	if (at_once)
		left = is_kept(st, s);
	else
		left = st->left_count < LEFT_MAX && start_emptier(st);
	for (unsigned i = 0; left && i < s->idle_count; i++)
		s->idle[i].hears = thread_tell_end(s, s->idle[i].channel);
	if (left && !at_once) {
		s->keep = is_kept(st, s);
		list_add_tail(&s->used_node, &st->left);
		st->left_count++;
		pthread_cond_signal(&st->left_cond);
	}
	mutex_unlock(&st->lock);
	if (left && at_once)
		empty_and_keep(st, s);
	return left;
}

bool systrap_as_reuse(struct platform *pf, uint64_t owner, struct pas **out)
{
	struct systrap *st = container_of(pf, struct systrap, pf);
	struct stub *s, *found = NULL;

	mutex_lock(&st->lock);
	list_for_each_entry (s, &st->used, used_node) {
		if (s->as.owner == owner && !atomic_load(&s->as.dead)) {
			found = s;
			break;
		}
	}
	if (found) {
		stub_forget_used(st, found);
		found->released = false;
	}
	mutex_unlock(&st->lock);
	if (!found)
		return false;
	refcount_init(&found->as.refs, 1);
	found->as.serial = serial_new(st);
	atomic_store(&found->as.giving, GIVE_NOTHING);
	atomic_store(&found->as.watchers, 0);
	atomic_store(&found->as.shares, false);
	*out = &found->as;
	return true;
}
