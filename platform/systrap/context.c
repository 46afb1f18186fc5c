/*
 * Guest threads: made, switched to, interrupted, ended.
 *
 * The hand-over is one futex word in the channel.  The sentry writes a WORD_RUN and wakes; the thread leaves the shim
 * by rt_sigreturn, runs until the host has a signal for it, and its shim writes WORD_SENTRY and wakes.  Each sleeps
 * while it is the other's turn, both pinned to one CPU; or both spin, on two (note_call).  Whatever else the word holds was
 * written by somebody who should not have.
 *
 * From a patched call site (patch.c) the thread comes without a signal: WORD_CALL, with its registers in the channel's
 * header.  Mostly all it wants is a result: WORD_RETURN.  It leaves with other registers by WORD_BACK.  When the sentry wants more of
 * it (the vector state, other segment bases), it first has all of it saved into the channel's second frame, from which the thread
 * goes on like from the first.
 *
 * Handlers' frames: where the thread waits in a patched call it writes the frame itself, vector state and all (WORD_FRAME).  The
 * handler's rt_sigreturn, once its site is patched, is the shim's affair alone, unless the sentry has to hear of it.
 *
 * An interrupt is a flag and a host signal.  The flag is tested by the sentry thread after it has said that it is about
 * to let the guest run; the signal stays pending while the thread is in the shim's handler, where all are blocked, and strikes
 * as it leaves; in a patched call it sets CH_KICKED, which the shim looks at on its way out (shim.S).  So none is lost; one that
 * comes late only makes a PF_INTERRUPTED too many.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "abi/audit.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "base/checked.h"
#include "host/process.h"
#include "platform/arch/x86_64/fault.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

/*
 * While a guest thread runs without a break its sentry thread looks after it now and then: for an interrupt that it
 * does not react to (it blocked every signal by an rt_sigreturn of its own), and for a call that waits on the listener
 * where nobody might ever look (it jumped into the leader's text).  The timer is cheap because it hardly ever expires.
 */
#define LOOK_NS 1000000000
/* So often, if it may sleep in a ring.  Who still is in the same sleep then is to come and wait in the sentry. */
#define NAP_NS 50000000
/* So often an interrupt may be found pending before the stub is killed.  Many, because the machine may be busy. */
#define LOOKS_TO_REACT 8
/* Calls that come this soon after the answer to the one before, on the average of so many in a row, are worth spinning for, so long
 * (the cost of some sleeping hand-overs); and no longer, for a CPU that spins is one that nobody else can use. */
#define BRISK_NS 20000
#define BRISK_CALLS 32
/* If so many calls came while the two were parted last, so few are enough to part them again: they came together for a wait (of a
 * program that reads files and writes to a pipe), or for a moment of work. */
#define BRISK_AGAIN 4
#define SPIN_NS 40000
#define GUEST_SPINS 2000
/* A program that has just begun makes so many calls or more, most of them one after the other, with page faults in between: it is not
 * waited for so long to see whether it will. */
#define FRESH_CALLS 64
#define FRESH_SPIN_NS 60000
/* A spinning thread that saw the clock jump so far asks whether it was preempted. */
#define PREEMPTED_NS 40000
/* When so much was lost to others, and that is more than such a part of the time spun, they need the CPU: then it is calm for a
 * while, longer each time that this comes soon.  (What runs for a moment now and then, as the kernel's own threads do, or has far less
 * weight than we have, loses nothing by us.) */
#define LOST_NS 500000
#define LOST_PART 16
#define CALM_MIN_NS 20000000
#define CALM_MAX_NS 1000000000
/* And to end when told to. */
#define EXIT_NS 2000000000
/* So long we sleep until it is looked at once more: who is killed may leave its word as it is. */
#define END_LOOK_NS 2000000
/* So often the CPU is given to a thread that is about to end before we sleep. */
#define END_YIELDS 8

/* ---- birth ---- */

/* Of a birth that went wrong.  The channel may be used again only if no stub has it. */
static void abandon_channel(struct stub *s, uint32_t channel, bool mapped)
{
	struct systrap *st = systrap_of(&s->as);
	struct leader_call unmap = unmap_call(channel_addr(channel), st->frame.channel_size);

	if (mapped && leader_call(s, &unmap) < 0) {
		stub_kill(s, "a channel could not be taken back");
		channel_park(s, channel);
		return;
	}
	channel_free(st, channel);
}

/* Makes a host thread, parked in the shim; mapped: its channel is there already.  Its tid, or -errno. */
static long thread_new(struct stub *s, struct context *c, bool mapped)
{
	const unsigned long flags =
		CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
	struct systrap *st = systrap_of(&s->as);
	uint64_t at = channel_addr(c->channel), size = st->frame.channel_size;
	struct leader_call calls[5];
	unsigned count = 0;
	long result = 0;
	int done, before;

	if (s->inherits) {
		calls[count++] = close_call(SYSTRAP_SOCKET_FD);
		calls[count++] = unmap_windows_call();
	}
	before = (int)count;
	if (!mapped) {
		calls[count++] = (struct leader_call){
			.nr = SYS_mmap,
			.args = {at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, SYSTRAP_OWN_FD,
				 (uint64_t)c->channel * SYSTRAP_CHANNEL_SIZE},
		};
		calls[count++] = (struct leader_call){.nr = SYS_madvise, .args = {at, size, MADV_DONTFORK}};
	}
	calls[count++] = (struct leader_call){
		.nr = SYS_clone,
		.args = {flags, frame_addr(c), 0, at + CH_WORD, 0},
		.child_entry = text_addr(st->base, systrap_shim_thread),
	};
	frame_init(c);
	atomic_store(channel_word(c), WORD_SENTRY);
	done = leader_request(s, calls, count, -1, &result);
	if (done == (int)count) {
		if (s->inherits) /* later threads only look */
			s->inherits = false;
		return result;
	}
	if (done == -ESRCH || (done < 0 && mapped))
		channel_park(s, c->channel);
	else
		abandon_channel(s, c->channel, mapped || done > before);
	return done < 0 ? done : result;
}

static bool take_idle(struct stub *s, struct context *c)
{
	struct systrap *st = systrap_of(&s->as);
	bool found;

	mutex_lock(&st->lock);
	found = s->idle_count > 0;
	if (found) {
		const struct idle_thread *i = &s->idle[--s->idle_count];

		c->tid = i->tid;
		c->channel = i->channel;
		c->second = i->second;
		c->cpu_before_ns = i->cpu_ns;
		/* Known without a gap, so that a notification of its making is never taken for a stray. */
		list_add(&c->node, &s->contexts);
	}
	mutex_unlock(&st->lock);
	return found;
}

int systrap_ctx_spawn(struct pas *as, struct pctx *via, struct pctx **out)
{
	struct stub *s = stub_of(as);
	struct systrap *st = systrap_of(as);
	struct context *c = calloc(1, sizeof(*c));
	bool mapped;
	long tid;
	int r;

	if (!c)
		return -ENOMEM;
	list_init(&c->node);
	placement_init(&c->place);
	c->ctx.as = as;
	c->calm_ns = CALM_MIN_NS;
	c->fresh_calls = via ? 0 : FRESH_CALLS; /* without it a program begins */
	if (via) /* no longer alone there: what it is still to be given might come after what the new thread writes */
		pieces_end(context_of(via));
	if (take_idle(s, c)) {
		c->ch = st->channels + (size_t)c->channel * SYSTRAP_CHANNEL_SIZE;
		frame_init(c);
		goto done;
	}
	mapped = s->spare_channel != POOL_NONE;
	if (mapped) {
		c->channel = s->spare_channel;
		s->spare_channel = POOL_NONE;
	} else {
		r = channel_alloc(st, &c->channel);
		if (r < 0)
			goto out_free;
	}
	c->ch = st->channels + (size_t)c->channel * SYSTRAP_CHANNEL_SIZE;
	birth_begin(st);
	tid = thread_new(s, c, mapped);
	if (tid > 0) {
		c->tid = (pid_t)tid;
		register_context(st, c);
	}
	birth_end(st);
	if (tid < 0) {
		r = (int)tid;
		goto out_free;
	}
done:
	atomic_fetch_add(&s->threads, 1);
	pas_get(as);
	*out = &c->ctx;
	return 0;

out_free:
	free(c);
	return r;
}

bool thread_prepare(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	struct context c = {.ctx.as = &s->as, .channel = s->spare_channel};
	long tid;

	c.ch = st->channels + (size_t)c.channel * SYSTRAP_CHANNEL_SIZE;
	s->spare_channel = POOL_NONE;
	birth_begin(st);
	tid = thread_new(s, &c, true);
	mutex_lock(&st->lock);
	if (tid > 0)
		s->idle[s->idle_count++] = (struct idle_thread){.tid = (pid_t)tid, .channel = c.channel};
	mutex_unlock(&st->lock);
	birth_end(st);
	return tid > 0;
}

struct pf_thread systrap_thread(const struct pctx *ctx)
{
	const struct context *c = container_of(ctx, struct context, ctx);

	return (struct pf_thread){c->tid, c->cpu_before_ns};
}

int systrap_ctx_attach(struct pctx *ctx)
{
	struct context *c = context_of(ctx);

	c->place.naps = ctx->naps;
	c->place.is_napping = rings_is_napping;
	placement_attach(&c->place, c->tid);
	c->brisk_wanted = BRISK_CALLS;
	c->brisk = c->spun_calls = 0;
	c->brisk_ns = 0;
	c->attached = true;
	return 0;
}

/* ---- end ---- */

bool thread_tell_end(struct stub *s, uint32_t channel)
{
	_Atomic uint32_t *word = word_of(systrap_of(&s->as), channel);

	atomic_store(word, WORD_EXIT);
	/* Who goes to sleep says so before it looks at the word for the last time; so the word comes first here. */
	return atomic_load(word + (CH_GUEST_SLEEPS - CH_WORD) / (int)sizeof(*word)) == 0;
}

void thread_wake(struct stub *s, uint32_t channel)
{
	futex_wake_shared(word_of(systrap_of(&s->as), channel));
}

static bool is_gone(struct stub *s, pid_t tid)
{
	bool gone;

	if (!stub_pid_hold(s))
		return false;
	gone = syscall(SYS_tgkill, s->as.host_pid, tid, 0) < 0 && errno == ESRCH;
	stub_pid_drop(s);
	return gone;
}

/* The host clears the word of a thread that ends, and wakes who waits for that, a moment before the thread is gone.  What the word
 * says is only a hint: the guest may have written it. */
bool thread_has_ended(struct stub *s, pid_t tid, uint32_t channel, int64_t deadline_ns)
{
	const struct timespec moment = {.tv_nsec = 20000};
	_Atomic uint32_t *word = word_of(systrap_of(&s->as), channel);

	for (unsigned tries = 0;; tries++) {
		int64_t left = deadline_ns - monotonic_ns();

		if (left > 0 && atomic_load(word) == WORD_EXIT)
			futex_wait_shared(word, WORD_EXIT, min_of(left, (int64_t)END_LOOK_NS));
		if (is_gone(s, tid))
			return true;
		if (left <= 0 || atomic_load(&s->as.dead))
			return false;
		if (tries < END_YIELDS)
			sched_yield();
		else
			nanosleep(&moment, NULL);
	}
}

/* Ends the parked thread and takes its channel out of the stub.  False if that could not be made sure of. */
static bool thread_end(struct stub *s, struct context *c)
{
	struct leader_call unmap = unmap_call(channel_addr(c->channel), systrap_of(&s->as)->frame.channel_size);

	if (!thread_tell_end(s, c->channel))
		thread_wake(s, c->channel);
	return thread_has_ended(s, c->tid, c->channel, monotonic_ns() + EXIT_NS) && leader_call(s, &unmap) == 0;
}

/* others: there are more contexts, one of which may spawn; else what is kept will only be ended. */
static bool keep_idle(struct stub *s, struct context *c, bool others)
{
	struct systrap *st = systrap_of(&s->as);
	int64_t cpu_ns = 0;
	bool kept;

	/* Now, when nobody waits for us, and not when it is wanted.  It may not quite sleep yet: that the next context will seem to have
	 * used. */
	if (!c->gone && others)
		cpu_ns = host_stub_thread_cpu_ns(s->as.host_pid, c->tid);
	mutex_lock(&st->lock);
	kept = !c->gone && s->idle_count < IDLE_MAX;
	list_del_init(&c->node);
	if (kept)
		s->idle[s->idle_count++] = (struct idle_thread){
			.tid = c->tid,
			.channel = c->channel,
			.second = c->in_call || c->second,
			.cpu_ns = max_of(cpu_ns, (int64_t)0),
		};
	mutex_unlock(&st->lock);
	return kept;
}

void systrap_ctx_destroy(struct pctx *ctx)
{
	struct context *c = context_of(ctx);
	struct stub *s = stub_of(ctx->as);
	struct systrap *st = systrap_of(ctx->as);
	bool others;

	pieces_end(c);
	rings_leave(c);
	others = atomic_fetch_sub(&s->threads, 1) > 1;
	if (c->attached)
		placement_detach(&c->place);
	/* It is parked in the shim: a spawn will find it there. */
	if (!keep_idle(s, c, others)) {
		if (!atomic_load(&s->as.dead) && thread_end(s, c)) {
			channel_free(st, c->channel);
		} else {
			if (!atomic_load(&s->as.dead))
				stub_kill(s, "a thread did not end");
			channel_park(s, c->channel);
		}
	}
	pas_put(ctx->as);
	free(c);
}

/* ---- the switch ---- */

static void kick_thread(struct context *c)
{
	struct stub *s = stub_of(c->ctx.as);

	if (!stub_pid_hold(s))
		return;
	syscall(SYS_tgkill, s->as.host_pid, c->tid, SYSTRAP_KICK);
	stub_pid_drop(s);
}

void systrap_interrupt(struct pctx *ctx)
{
	struct context *c = context_of(ctx);

	atomic_store(&c->kick, 1);
	if (atomic_load(&c->in_guest))
		kick_thread(c);
}

/* Is this a word that the guest's side writes? */
static bool is_answer(uint32_t w)
{
	return w == WORD_SENTRY || w == WORD_CALL || w == WORD_KICKED || w == WORD_RUN_KICKED || w == WORD_SAVED ||
	       w == WORD_BACK_KICKED;
}

/* Has somebody else run on our CPU since the last look?  That the clock jumped may also be the hypervisor's doing, or an interrupt's. */
static bool was_preempted(struct context *c)
{
	uint64_t before = c->preemptions;

	c->preemptions = host_preemptions();
	return c->preemptions != before;
}

/* Others had our CPU for `lost`.  Whether they need it, that is: more of it than they would have anyway. */
static bool is_wanted(struct context *c, int64_t lost)
{
	bool wanted;

	c->lost_ns += lost;
	if (c->lost_ns < LOST_NS)
		return false;
	wanted = c->lost_ns > c->spun_ns / LOST_PART;
	c->lost_ns = c->spun_ns = 0;
	return wanted;
}

static void be_calm(struct context *c, int64_t now)
{
	if (now - c->calm_until_ns > CALM_MAX_NS)
		c->calm_ns = CALM_MIN_NS;
	c->calm_until_ns = now + c->calm_ns;
	c->calm_ns = min_of(2 * c->calm_ns, (int64_t)CALM_MAX_NS);
}

/*
 * Spins for the answer while nobody else has a use for our CPU.  The word, which is still `said` if none came: then
 * guest and sentry thread are on one CPU again.
 */
static uint32_t spin_for_guest(struct context *c, uint32_t said)
{
	_Atomic uint32_t *word = channel_word(c);
	int64_t begin = c->left_ns, last = begin, now;
	uint32_t w;

	for (;;) {
		w = atomic_load_explicit(word, memory_order_acquire);
		if (w != said)
			return w;
		__builtin_ia32_pause();
		w = atomic_load_explicit(word, memory_order_acquire);
		if (w != said)
			return w;
		now = monotonic_ns();
		if (now - last > PREEMPTED_NS) {
			if (was_preempted(c) && is_wanted(c, now - last)) {
				be_calm(c, now); /* this CPU is not free */
				break;
			}
			begin += now - last; /* nobody spun meanwhile */
		}
		if (now - begin > (c->fresh_calls ? FRESH_SPIN_NS : SPIN_NS) || !placement_parted(&c->place))
			break;
		last = now;
	}
	placement_rejoin(&c->place);
	c->brisk = c->fresh_calls = 0;
	c->brisk_ns = 0;
	return said;
}

/* Whether calls come thick and fast: this one came `since` after the answer to the one before. */
static bool is_brisk(struct context *c, int64_t since)
{
	bool brisk;

	if (since > SPIN_NS || c->place.waited) { /* it would not have been spun for */
		c->place.waited = false;
		c->brisk = 0;
		c->brisk_ns = 0;
		return false;
	}
	c->brisk_ns += since;
	if (++c->brisk < c->brisk_wanted)
		return false;
	brisk = c->brisk_ns <= (int64_t)c->brisk * BRISK_NS;
	c->brisk = 0;
	c->brisk_ns = 0;
	return brisk;
}

/* A call has come.  When they come thick and fast, both sides are to spin, on two CPUs. */
static void note_call(struct context *c)
{
	int64_t now = monotonic_ns(), since = now - c->left_ns;
	bool fresh = c->fresh_calls > 0 && !c->has_parted;

	if (c->fresh_calls > 0)
		c->fresh_calls--;
	if (c->place.away != PLACEMENT_NONE) {
		c->spun_calls++;
		c->spun_ns += since;
		return;
	}
	if (c->spun_calls) { /* they have come together again since the call before */
		c->brisk_wanted = c->spun_calls < BRISK_CALLS ? BRISK_CALLS : BRISK_AGAIN;
		c->brisk = c->spun_calls = 0;
		c->brisk_ns = 0;
	}
	if ((fresh || is_brisk(c, since)) && now >= c->calm_until_ns)
		c->part_due = true;
}

/* The guest thread has been told to run, and has our CPU for itself if we can have another.  True if so: then we spin. */
static bool part(struct context *c)
{
	c->part_due = false;
	placement_part(&c->place, channel_u32(c, CH_SPIN), GUEST_SPINS);
	if (c->place.away == PLACEMENT_NONE)
		return false;
	c->has_parted = true;
	c->brisk_wanted = BRISK_CALLS; /* until this has paid */
	c->preemptions = host_preemptions(); /* moving over was one */
	atomic_store_explicit(channel_u32(c, CH_SENTRY_SLEEPS), 0, memory_order_relaxed);
	return true;
}

/* A thread that sleeps in a ring for long is told to make its call in the sentry, where it costs nothing and is seen to sleep.
 * True: it is time to look at all else. */
static bool look_at_nap(struct context *c)
{
	uint64_t naps = atomic_load(c->ctx.naps);

	if ((naps & 1) && naps == c->naps_seen)
		kick_thread(c);
	if (naps - c->naps_seen >= MATE_NAPS)
		rings_find_mate(c);
	c->naps_seen = naps;
	if (++c->nap_looks < LOOK_NS / NAP_NS)
		return false;
	c->nap_looks = 0;
	return true;
}

/* Tells the guest thread something and waits until it has handed over; at_once: without guest code in between, so that it
 * must not take long.  The word it left; WORD_DEAD if it is dead. */
static uint32_t tell(struct context *c, uint32_t say, bool at_once)
{
	struct stub *s = stub_of(c->ctx.as);
	_Atomic uint32_t *word = channel_word(c), *sleeps = channel_u32(c, CH_SENTRY_SLEEPS);
	bool spin = c->place.away != PLACEMENT_NONE;
	int looks = 0;

	if (c->ctx.pieces) /* not so if it returns */
		pieces_end(c);
	/* If we do not spin, we are as good as asleep; and who sleeps says so before it looks. */
	if (!spin)
		atomic_store_explicit(sleeps, 1, memory_order_relaxed);
	atomic_store(word, say);
	if (atomic_load(channel_u32(c, CH_GUEST_SLEEPS)))
		futex_wake_shared(word);
	c->left_ns = monotonic_ns();
	if (UNLIKELY(c->part_due) && !at_once)
		spin = part(c);
	if (spin && spin_for_guest(c, say) == say)
		atomic_store(sleeps, 1);
	for (;;) {
		uint32_t w = atomic_load(word);

		if (w != say) {
			atomic_store_explicit(sleeps, 0, memory_order_relaxed);
			if (is_answer(w))
				return w;
			if (!atomic_load(&s->as.dead) && w != WORD_DEAD)
				stub_kill(s, "its hand-over word holds nonsense");
			return WORD_DEAD;
		}
		if (atomic_load(&s->as.dead))
			return WORD_DEAD;
		if (futex_wait_shared(word, say, atomic_load(&c->may_nap) ? NAP_NS : LOOK_NS) != -ETIMEDOUT)
			continue;
		if (atomic_load(&c->may_nap) && !look_at_nap(c))
			continue;
		listener_look(systrap_of(&s->as));
		stub_check_death(s);
		looks = at_once || atomic_load(&c->kick) ? looks + 1 : 0;
		if (looks == LOOKS_TO_REACT)
			stub_kill(s, "a thread does not react");
	}
}

bool context_save(struct context *c)
{
	if (c->gone)
		return false;
	if (!c->in_call)
		return true;
	call_load_rest(c);
	if (!c->saved_along && tell(c, WORD_SAVE, true) != WORD_SAVED) {
		c->gone = true;
		return false;
	}
	c->in_call = false;
	c->second = true;
	c->regs_dirty = true;
	return true;
}

static void redirect_rseq_answer(struct context *c)
{
	const uint64_t answer = channel_addr(c->channel) + CH_RSEQ_RESULT;

	if (c->rseq_due)
		memcpy(c->ch + CH_RSEQ_ANSWER, &answer, sizeof(answer));
}

/* An exit(2) for which the shim has undone a registration returns after all: a filter came in between.  It is made again. */
static void rseq_again(struct context *c)
{
	const uint32_t flags = 0;

	c->rseq_left = false;
	c->rseq_due = true;
	redirect_rseq_answer(c);
	memcpy(c->ch + CH_RSEQ_FLAGS, &flags, sizeof(flags));
	atomic_store_explicit(channel_u32(c, CH_RSEQ_LEAVE), RSEQ_LEAVE, memory_order_relaxed);
	atomic_store_explicit(channel_u32(c, CH_RSEQ_DONE), 0, memory_order_relaxed);
}

/* WORD_RSEQ, which is to be said, means what is due, and then this. */
static void rseq_first(struct context *c, uint32_t then)
{
	memcpy(c->ch + CH_RSEQ_THEN, &then, sizeof(then));
	c->rseq_due = false;
}

/* Lets the guest run until it hands over.  The word it left; WORD_DEAD if it is dead. */
static uint32_t hand_over(struct context *c)
{
	uint32_t say = WORD_RUN;

	if (UNLIKELY(c->rseq_left))
		rseq_again(c);
	if (c->in_call && !c->regs_dirty && !c->bases_dirty && !c->rseq_due) {
		uint32_t word;

		memcpy(c->ch + CH_RESULT, &c->regs.rax, sizeof(c->regs.rax));
		word = tell(c, pieces_return(c), false);
		pieces_arrived(c);
		return word;
	}
	if (c->in_call && !c->regs_dirty && !c->bases_dirty) {
		memcpy(c->ch + CH_RESULT, &c->regs.rax, sizeof(c->regs.rax));
		rseq_first(c, WORD_RETURN); /* its result goes over that of an rseq(2) */
		return tell(c, WORD_RSEQ, false);
	}
	if (c->in_call && !c->bases_dirty && !c->rseq_due && back_store(c))
		return tell(c, WORD_BACK, false);
	if (!context_save(c))
		return WORD_DEAD;
	if (c->bases_dirty)
		say = systrap_of(c->ctx.as)->fsgsbase ? WORD_RUN_INSN : WORD_RUN_CALL;
	frame_store(c);
	if (c->rseq_due) {
		rseq_first(c, say);
		say = WORD_RSEQ;
	}
	return tell(c, say, false);
}

/* ---- calls for the sentry ---- */

/*
 * While its thread waits for the answer to a call, the shim can change its address space for the sentry: a hand-over, where
 * the leader needs four and two notifications.  The result is only as good as the guest: one that lies about it has other memory
 * than the sentry believes, and nobody but itself to fool.
 */
static bool can_call(struct pctx *ctx, const struct pas *as, const struct leader_call *call)
{
	return ctx && ctx->as == as && context_of(ctx)->attached && !context_of(ctx)->gone && filter_lets_shim(call);
}

static void host_call(struct context *c, const struct leader_call *call, bool file, long *result)
{
	memcpy(c->ch + CH_DO_NR, call, CH_DO_RESULT - CH_DO_NR);
	atomic_store_explicit(channel_u32(c, CH_DO_DONE), 0, memory_order_relaxed);
	atomic_store_explicit(channel_u32(c, CH_DO_FILE), file, memory_order_relaxed);
	switch (tell(c, WORD_DO, true)) {
	case WORD_SENTRY:
	case WORD_CALL: /* an idle thread may wait in the call that ended its last context */
	case WORD_SAVED:
		break;
	default:
		c->gone = true;
		*result = -ESRCH;
		return;
	}
	memcpy(result, c->ch + CH_DO_RESULT, sizeof(*result));
	if (*result < -4095)
		*result = -EINVAL; /* nonsense, which the caller's check of what it got would not see */
}

bool context_host_call(struct pctx *ctx, struct pas *as, const struct leader_call *call, long *result)
{
	if (!can_call(ctx, as, call))
		return false;
	host_call(context_of(ctx), call, false, result);
	return true;
}

/* The frame's bytes take the way of what a call gives (pieces.c), of which there is nothing under way. */
int systrap_put_frame(struct pctx *ctx, gva_t at, const struct l_rt_sigframe *frame, gva_t fpstate)
{
	struct context *c = context_of(ctx);
	int64_t result;

	_Static_assert(sizeof(*frame) <= CH_OUT_SIZE && sizeof(*frame) % 8 == 0, "shim.S");
	if (!c->in_call || c->gone)
		return 0;
	if (ctx->pieces)
		pieces_end(c);
	memcpy(c->ch + CH_OUT, frame, sizeof(*frame));
	memcpy(c->ch + CH_DO_ARGS, (uint64_t[]){at, fpstate}, 2 * sizeof(uint64_t));
	c->saved_along = false; /* a fresh vector state comes with it */
	/* It may take long: the guest's stack may have to be read in. */
	if (tell(c, WORD_FRAME, false) != WORD_CALL) {
		c->gone = true;
		return 0;
	}
	memcpy(&result, c->ch + CH_DO_RESULT, sizeof(result));
	return result == 0 ? 1 : -EFAULT;
}

bool context_map_file(struct pctx *ctx, struct pas *as, const struct leader_call *call, int fd, long *result)
{
	struct stub *s = stub_of(as);
	struct leader_call map = *call;
	struct context *c;
	struct msghdr msg;

	map.args[4] = SYSTRAP_FILE_FD;
	if (!can_call(ctx, as, &map) || !files_send(s, fd))
		return false;
	c = context_of(ctx);
	msg = (struct msghdr){
		.msg_control = (void *)(uintptr_t)(channel_addr(c->channel) + CH_DO_CONTROL), /* an address in the stub */
		.msg_controllen = CH_DO_END - CH_DO_CONTROL,
	};
	_Static_assert(sizeof(msg) == CH_DO_CONTROL - CH_DO_MSG, "layout.h");
	if (ctx->pieces) /* they are where the message goes */
		pieces_end(c);
	memcpy(c->ch + CH_DO_MSG, &msg, sizeof(msg));
	host_call(c, &map, true, result);
	if (!c->gone && !files_all_received(s)) {
		/* Files on their way count against the host's user, who may send no more some day. */
		stub_kill(s, "it did not receive a file");
		c->gone = true;
		*result = -ESRCH;
	}
	if (*result != -EBADF)
		return true;
	/* It could not be received, so that nothing was mapped, whoever is to blame. */
	files_give_up(s);
	return false;
}

/* ---- restartable sequences ---- */

/* Writes down what the shim is to ask of the host; the result is to be at `answer` as well.  A registration it undoes by itself
 * when the thread makes an exit(2) from a patched site. */
static void put_rseq(struct context *c, gva_t area, uint32_t size, uint32_t flags, uint32_t sig, uint64_t answer)
{
	atomic_store_explicit(channel_u32(c, CH_RSEQ_LEAVE), flags ? RSEQ_STAY : RSEQ_LEAVE, memory_order_relaxed);
	memcpy(c->ch + CH_RSEQ_AREA, &area, sizeof(area));
	memcpy(c->ch + CH_RSEQ_SIG, &sig, sizeof(sig));
	memcpy(c->ch + CH_RSEQ_SIZE, &size, sizeof(size));
	memcpy(c->ch + CH_RSEQ_FLAGS, &flags, sizeof(flags));
	memcpy(c->ch + CH_RSEQ_ANSWER, &answer, sizeof(answer));
	atomic_store_explicit(channel_u32(c, CH_RSEQ_DONE), 0, memory_order_relaxed);
}

/* What the host said, as far as the channel can be believed: a lie harms the liar, whose thread may lose its
 * registration. */
static int64_t rseq_result(const struct context *c)
{
	int64_t r;

	memcpy(&r, c->ch + CH_RSEQ_RESULT, sizeof(r));
	return r < 0 && r >= -4095 ? r : 0;
}

/* In a patched call, without leaving it. */
static int rseq_now(struct context *c, gva_t area, uint32_t size, uint32_t flags, uint32_t sig)
{
	const struct leader_call call = {.nr = SYS_rseq, .args = {area, size, flags, sig}};
	long result;

	host_call(c, &call, false, &result);
	return result < 0 ? (int)result : 0;
}

/* Done on the thread's way to the guest, for a hand-over of its own would make the start of every thread longer.  If it does not leave
 * a patched call just by returning, but by a frame (for a signal, say), the answer that the host then gives is only noted. */
int systrap_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer)
{
	struct context *c = context_of(ctx);
	uint64_t channel = channel_addr(c->channel);

	if (c->gone)
		return -ESRCH;
	put_rseq(c, area, size, 0, sig, !answer ? channel + CH_RSEQ_RESULT : c->in_call ? channel + CH_RESULT : frame_rax_addr(c));
	c->rseq_due = true;
	return 0;
}

bool systrap_rseq_registered(const struct pctx *ctx)
{
	return rseq_result(context_of(ctx)) == 0;
}

int systrap_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig)
{
	struct context *c = context_of(ctx);
	uint32_t then;

	if (c->rseq_due) {
		c->rseq_due = false; /* it never came to it */
		return 0;
	}
	if (atomic_load(&ctx->as->dead) || c->gone)
		return -ESRCH;
	if (c->rseq_left) {
		c->rseq_left = false;
		if (rseq_result(c) == 0)
			return 0; /* it is done */
	}
	if (c->in_call)
		return rseq_now(c, area, size, L_RSEQ_FLAG_UNREGISTER, sig);
	then = c->second ? WORD_SAVED : WORD_SENTRY;
	put_rseq(c, area, size, L_RSEQ_FLAG_UNREGISTER, sig, channel_addr(c->channel) + CH_RSEQ_RESULT);
	memcpy(c->ch + CH_RSEQ_THEN, &then, sizeof(then));
	if (tell(c, WORD_RSEQ, true) != then) {
		c->gone = true;
		return -ESRCH;
	}
	return (int)rseq_result(c);
}

/* ---- the switch, again ---- */

/* What a system call instruction leaves in the registers is in c->regs; it becomes an event. */
static void decode_call(struct context *c, uint32_t arch, struct pf_event *ev)
{
	struct abi_regs *r = &c->regs;

	ev->kind = PF_SYSCALL;
	ev->arch = arch;
	ev->nr = r->orig_rax = r->rax;
	if (arch == L_AUDIT_ARCH_X86_64)
		memcpy(ev->args, (uint64_t[]){r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}, sizeof(ev->args));
	else
		memcpy(ev->args, (uint64_t[]){r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp}, sizeof(ev->args));
}

/* It comes with an exit(2): has the shim undone the thread's registration? */
static bool has_left(const struct context *c)
{
	return atomic_load_explicit(channel_u32(c, CH_RSEQ_LEAVE), memory_order_relaxed) == RSEQ_LEFT;
}

/* What the shim saves all state for before it hands over (.Lcall_clone). */
static bool saves_along(uint32_t nr)
{
	return nr == SYS_clone || nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone3;
}

/* The thread came by a signal.  False if there is nothing to tell: it is to go on. */
static bool decode_signal(struct context *c, struct pf_event *ev)
{
	struct stub *s = stub_of(c->ctx.as);
	struct l_siginfo info;
	struct l_sigcontext sc;
	uint64_t ip;

	c->in_call = c->second = false;
	frame_load(c, &info, &sc);
	switch (info.si_signo) {
	case L_SIGSYS:
		if (info.si_code != L_SYS_SECCOMP)
			break;
		note_call(c);
		decode_call(c, info.sys.arch, ev);
		ev->hot = s->as.pf->patching && patch_is_hot(s, c->regs.rip);
		return true;
	case L_SIGSEGV:
	case L_SIGBUS:
	case L_SIGFPE:
	case L_SIGILL:
	case L_SIGTRAP:
		if (info.si_code <= 0)
			break; /* somebody on the host sent it */
		ip = c->regs.rip;
		switch (patch_explains(c, info.si_signo)) {
		case PATCH_CALL:
			decode_call(c, L_AUDIT_ARCH_X86_64, ev);
			return true;
		case PATCH_RETRY:
			ev->kind = PF_INTERRUPTED;
			return true;
		case PATCH_RESUME:
			return false;
		case PATCH_NOTHING:
			break;
		}
		if (info.si_signo == L_SIGTRAP && info.fault.addr == ip)
			info.fault.addr = c->regs.rip;
		ev->kind = PF_FAULT;
		ev->fault = (struct pf_fault){
			.signo = info.si_signo,
			.code = info.si_code,
			.addr = info.si_code == L_SI_KERNEL ? 0 : info.fault.addr,
			.trapno = sc.trapno,
			.err = sc.err,
			.cr2 = sc.cr2,
		};
		return true;
	default:
		break;
	}
	patch_hide_detour(c);
	atomic_store(&c->kick, 0);
	ev->kind = PF_INTERRUPTED;
	return true;
}

/* The thread left `word`.  False if it is to go on. */
static bool decode(struct context *c, uint32_t word, struct pf_event *ev)
{
	ev->hot = false;
	switch (word) {
	case WORD_SENTRY:
		if (!decode_signal(c, ev))
			return false;
		break;
	case WORD_CALL:
		note_call(c);
		c->in_call = true;
		call_load(c);
		c->saved_along = saves_along((uint32_t)c->regs.rax);
		c->rseq_left = c->regs.rax == SYS_exit && has_left(c);
		if (pieces_wide((uint32_t)c->regs.rax))
			call_load_rest(c);
		decode_call(c, L_AUDIT_ARCH_X86_64, ev);
		pieces_begin(c, ev->nr, ev->args);
		ev->wants_room = c->want_room;
		c->want_room = 0;
		break;
	case WORD_KICKED:
		c->in_call = true;
		c->saved_along = false;
		call_load(c);
		atomic_store(&c->kick, 0);
		ev->kind = PF_INTERRUPTED;
		break;
	case WORD_BACK_KICKED:
		c->in_call = true;
		c->saved_along = false;
		back_load(c);
		atomic_store(&c->kick, 0);
		ev->kind = PF_INTERRUPTED;
		break;
	default: /* WORD_RUN_KICKED: all is as it was, and its bases may not have been loaded */
		c->bases_dirty = true;
		frame_reload_result(c);
		atomic_store(&c->kick, 0);
		ev->kind = PF_INTERRUPTED;
		break;
	}
	ev->ip = c->regs.rip;
	ev->sp = c->regs.rsp;
	return true;
}

void systrap_run(struct pctx *ctx, struct pf_event *ev)
{
	struct context *c = context_of(ctx);
	_Atomic uint32_t *kicked = channel_u32(c, CH_KICKED);
	struct stub *s = stub_of(ctx->as);
	uint32_t word;

	ev->kind = PF_DEAD;
	if (c->gone || atomic_load(&s->as.dead)) {
		c->gone = true;
		return;
	}
	/* Kicks so far are in c->kick; what the shim finds from now on came after.  (A needless store would take the cache line
	 * away from the thread, which looks at it.) */
	if (atomic_load_explicit(kicked, memory_order_relaxed))
		atomic_store_explicit(kicked, 0, memory_order_relaxed);
	/* First the word, then the test; interrupt has it the other way round. */
	if (c->has_rings) {
		if (atomic_load(&c->sweep_due))
			rings_sweep(c);
		atomic_store(&c->may_owe, true);
	}
	atomic_store(&c->in_guest, 1);
	if (UNLIKELY(atomic_load(&c->kick))) {
		atomic_store(&c->kick, 0);
		atomic_store(&c->in_guest, 0);
		ev->kind = PF_INTERRUPTED;
		ev->ip = c->regs.rip;
		ev->sp = c->regs.rsp;
		return;
	}
	do {
		word = hand_over(c);
		if (word == WORD_SAVED)
			stub_kill(s, "its hand-over word holds nonsense");
		if (word == WORD_DEAD || word == WORD_SAVED) {
			c->gone = true;
			ev->kind = PF_DEAD;
			break;
		}
		/* One that goes on without an event is kicked as ever: it is seen on its way out of the call that it comes to. */
	} while (!decode(c, word, ev));
	/* Seen late it makes a kick too many. */
	atomic_store_explicit(&c->in_guest, 0, memory_order_release);
}

int systrap_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	struct context *c = context_of(ctx);
	uint64_t base = systrap_of(ctx->as)->base;
	bool interrupted = false;
	struct abi_regs saved;
	struct pf_event ev;
	int r = -ESRCH;

	if (c->gone)
		return -ESRCH;
	call_load_rest(c);
	saved = c->regs;
	redirect_rseq_answer(c);
	c->regs.rip = text_addr(base, systrap_shim_cmpxchg);
	c->regs.rdi = addr;
	c->regs.rax = expected;
	c->regs.rdx = desired;
	c->regs.cs = L_USER_CS;
	c->regs.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF;
	c->regs_dirty = true;
	for (;;) {
		systrap_run(ctx, &ev);
		if (ev.kind != PF_INTERRUPTED)
			break;
		interrupted = true; /* before or after the exchange: it goes on from there */
	}
	if (ev.kind == PF_FAULT && ev.ip == text_addr(base, systrap_shim_cmpxchg_end)) {
		*seen = (uint32_t)c->regs.rax;
		r = 0;
	} else if (ev.kind == PF_FAULT) {
		r = -EFAULT;
	}
	/* Segment bases: as they were, and as they still are. */
	c->regs = saved;
	c->regs_dirty = true;
	if (interrupted)
		atomic_store(&c->kick, 1);
	return r;
}
