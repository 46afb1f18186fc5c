/*
 * Rings (platform.h): memory of the channels' pool that two guest threads and the sentry share.  The shim moves bytes in and
 * out and one position each (shim.S, .Lring); what the sentry does is to say who may, and to take it back.
 *
 * Blocks.  Rings come in blocks, each in the place of a channel and each for one pair of address spaces (or one alone), in
 * whose stubs it stays mapped until they are dead or want room for another one: so a ring that was used for one pipe is used
 * for another one of the same pair, and its memory is somebody else's only once no stub has it.  A fork's child does not
 * inherit it (MADV_DONTFORK).
 *
 * Slots.  A thread uses a ring because a slot in its channel says so, which is its own process's memory and nobody else's. To
 * close a ring is to clear both slots first, and then to mark both positions: what the threads are in the middle of then fails
 * when they want to move theirs.  A peer that undoes the mark garbles what is under way, and nothing that begins later.
 *
 * A closed ring is not used again while a thread may still be in the middle of copying: it stays that thread's (context.rings)
 * until the thread is seen in the sentry's hands.
 *
 * What the sentry reads here, two positions and the bytes between them, it reads once, and any value will do.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/systrap/systrap.h"

/* So many blocks a stub may have at a time. */
#define BLOCKS_MAX 8
/* And all together: channels are there for threads. */
#define ALL_BLOCKS_MAX 1024
#define SLOT_EMPTY 0x00000000ffffffffull /* no descriptor, and no ring */
#define SLOT_COUNT (2u * CH_RING_ROLE_SLOTS)

struct ring_block {
	struct list_head node; /* this and all below is guarded by systrap.lock */
	uint32_t channel; /* immutable, with the next */
	uint64_t owner;	  /* whose both are; 0 for one alone */
	uint64_t who[2];  /* the address spaces' serials, the same twice for one alone; 0: gone */
	bool had[2];	  /* that stub has it, or may have it */
	bool mapped[2];	  /* it surely has */
	unsigned used;	  /* bits of rings */
};

struct ring {
	struct pring pub;
	struct systrap *st;
	struct ring_block *block; /* immutable, with the next */
	unsigned index;
	uint8_t *mem;
	/* Guarded by systrap.lock. */
	struct context *ends[2]; /* who reads and who writes it, or may be about to yet; or NULL */
	bool closed;
};

_Static_assert(SYSTRAP_RING_COUNT * SYSTRAP_RING_SIZE <= SYSTRAP_RINGS_SIZE && SYSTRAP_RINGS_SIZE <= SYSTRAP_CHANNEL_SIZE &&
		       RG_DATA + RG_DATA_SIZE <= SYSTRAP_RING_SIZE && RG_DATA_SIZE == PRING_SIZE,
	       "room for rings");
_Static_assert((uint64_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE - 1 <= UINT32_MAX, "a ring's place is 32 bits");
_Static_assert(sizeof(struct pctx_io) == 2 * CH_RING_IO_SIZE, "shim.S");

static struct ring *ring_of(struct pring *r)
{
	return container_of(r, struct ring, pub);
}

static _Atomic uint32_t *ring_u32(const struct ring *r, unsigned at)
{
	return (_Atomic uint32_t *)(void *)(r->mem + at);
}

/* As a slot has it. */
static uint64_t place_of(const struct ring *r)
{
	return (uint64_t)(r->mem - r->st->channels);
}

static uint8_t *block_mem(const struct systrap *st, const struct ring_block *b)
{
	return st->channels + (size_t)b->channel * SYSTRAP_CHANNEL_SIZE;
}

static _Atomic uint64_t *slot_of(const struct context *c, unsigned i)
{
	return (_Atomic uint64_t *)(void *)(c->ch + CH_RING_SLOTS + 8 * (size_t)i);
}

/* ---- blocks ---- */

/* Frees b if no stub and no ring has it any more.  The caller then frees *channel if that is one. */
static void block_drop(struct systrap *st, struct ring_block *b, uint32_t *channel) REQUIRES(st->lock)
{
	if (b->had[0] || b->had[1] || b->used)
		return;
	*channel = b->channel;
	list_del_init(&b->node);
	st->ring_block_count--;
	free(b);
}

static void free_channel(struct systrap *st, uint32_t channel)
{
	if (channel == POOL_NONE)
		return;
	memset(st->channels + (size_t)channel * SYSTRAP_CHANNEL_SIZE, 0, SYSTRAP_RINGS_SIZE);
	channel_free(st, channel);
}

void rings_forget(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	struct ring_block *b, *tmp;

	if (!atomic_load(&s->has_rings))
		return;
	for (;;) {
		uint32_t channel = POOL_NONE;

		mutex_lock(&st->lock);
		list_for_each_entry_safe (b, tmp, &st->ring_blocks, node) {
			for (unsigned i = 0; i < 2; i++)
				if (b->who[i] == s->as.serial) {
					b->who[i] = 0;
					b->had[i] = b->mapped[i] = false;
				}
			block_drop(st, b, &channel);
			if (channel != POOL_NONE)
				break;
		}
		mutex_unlock(&st->lock);
		if (channel == POOL_NONE)
			return;
		free_channel(st, channel);
	}
}

/* The pair's block, or NULL. */
static struct ring_block *find_block(struct systrap *st, uint64_t who, uint64_t peer) REQUIRES(st->lock)
{
	struct ring_block *b;

	list_for_each_entry (b, &st->ring_blocks, node)
		if ((b->who[0] == who && b->who[1] == peer) || (b->who[0] == peer && b->who[1] == who))
			return b;
	return NULL;
}

/* Whether the stub with that serial has b, or may have it. */
static bool has_block(const struct ring_block *b, uint64_t who)
{
	return (b->who[0] == who && b->had[0]) || (b->who[1] == who && b->had[1]);
}

static void set_had(struct ring_block *b, uint64_t who, bool had, bool mapped)
{
	for (unsigned i = 0; i < 2; i++)
		if (b->who[i] == who) {
			b->had[i] = had;
			b->mapped[i] = mapped;
		}
}

static bool is_mapped(const struct ring_block *b, uint64_t who)
{
	return (b->who[0] == who && b->mapped[0]) || (b->who[1] == who && b->mapped[1]);
}

/* Takes a block that no ring is of out of s, if it has as many as it may.  False: it has, and none can be taken out. */
static bool make_room(struct stub *s) REQUIRES(s->leader_lock)
{
	struct systrap *st = systrap_of(&s->as);
	uint64_t who = s->as.serial;
	struct ring_block *b, *found = NULL;
	uint32_t channel = POOL_NONE;
	struct leader_call unmap;
	unsigned count = 0;
	long result;

	mutex_lock(&st->lock);
	list_for_each_entry (b, &st->ring_blocks, node) {
		count += has_block(b, who);
		if (!b->used && is_mapped(b, who))
			found = b;
	}
	if (count < BLOCKS_MAX || !found) {
		mutex_unlock(&st->lock);
		return count < BLOCKS_MAX;
	}
	/* Who takes a ring of it meanwhile maps it anew, behind us; and it is there as long as we have it. */
	set_had(found, who, true, false);
	mutex_unlock(&st->lock);
	unmap = unmap_call(channel_addr(found->channel), SYSTRAP_RINGS_SIZE);
	if (leader_request_locked(s, &unmap, 1, -1, &result) != 1) {
		stub_kill(s, atomic_load(&s->as.dead) ? NULL : "rings could not be taken back");
		return false;
	}
	mutex_lock(&st->lock);
	set_had(found, who, false, false);
	block_drop(st, found, &channel);
	mutex_unlock(&st->lock);
	free_channel(st, channel);
	return true;
}

/* Two address spaces share a ring only if they belong to one owner, and neither has had another. */
static bool may_share(const struct stub *s, uint64_t owner)
{
	return s->as.owner && s->as.owner == owner && !atomic_load(&s->as.kept_apart);
}

/* A ring of the pair's block, which is made if there is none. */
static struct ring *take_ring(struct stub *s, uint64_t peer)
{
	struct systrap *st = systrap_of(&s->as);
	struct ring_block *b, *fresh = NULL;
	struct ring *r = calloc(1, sizeof(*r));
	uint32_t channel = POOL_NONE;
	uint64_t owner = peer == s->as.serial ? 0 : s->as.owner;

	if (!r || (peer != s->as.serial && !may_share(s, owner))) {
		free(r);
		return NULL;
	}
	mutex_lock(&st->lock);
	b = find_block(st, s->as.serial, peer);
	mutex_unlock(&st->lock);
	if (!b) {
		fresh = calloc(1, sizeof(*fresh));
		if (!fresh || channel_alloc(st, &channel) < 0)
			goto out;
		*fresh = (struct ring_block){.channel = channel, .owner = owner, .who = {s->as.serial, peer}};
	}
	atomic_store(&s->has_rings, true);
	mutex_lock(&st->lock);
	b = find_block(st, s->as.serial, peer);
	if (!b && fresh && st->ring_block_count < ALL_BLOCKS_MAX) {
		list_add(&fresh->node, &st->ring_blocks);
		st->ring_block_count++;
		b = fresh;
		fresh = NULL;
		channel = POOL_NONE;
	}
	if (b && b->used != (1u << SYSTRAP_RING_COUNT) - 1) {
		r->index = (unsigned)__builtin_ctz(~b->used);
		b->used |= 1u << r->index;
		r->block = b;
	}
	mutex_unlock(&st->lock);
out:
	free(fresh);
	if (channel != POOL_NONE)
		channel_free(st, channel);
	if (!r->block) {
		free(r);
		return NULL;
	}
	r->pub.ops = s->as.pf->ops;
	r->st = st;
	r->mem = block_mem(st, r->block) + (size_t)r->index * SYSTRAP_RING_SIZE;
	return r;
}

/* Its threads have nothing to do with it any more. */
static void ring_free(struct ring *r) EXCLUDES(r->st->lock)
{
	struct systrap *st = r->st;
	uint32_t channel = POOL_NONE;

	mutex_lock(&st->lock);
	r->block->used &= ~(1u << r->index);
	block_drop(st, r->block, &channel);
	mutex_unlock(&st->lock);
	free_channel(st, channel);
	free(r);
}

/* ---- slots ---- */

void rings_init(struct context *c)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		atomic_store(slot_of(c, i), SLOT_EMPTY);
	atomic_store(channel_u32(c, CH_RINGS), 0);
	memset(c->ch + CH_RING_IO, 0, sizeof(struct pctx_io));
	c->ctx.naps = (_Atomic uint64_t *)(void *)(c->ch + CH_NAPS);
	atomic_store(c->ctx.naps, 0);
	atomic_store(&c->ctx.owed, NULL);
	atomic_store(&c->may_nap, false);
	atomic_store(&c->sweep_due, false);
	atomic_store(&c->may_owe, false);
}

/* Gives up c's part in the ring of slot i.  The ring, if that was the last that anybody had of it.  Lock held. */
static struct ring *detach(struct context *c, unsigned i)
{
	struct ring *r = c->rings[i];
	bool last;

	c->rings[i] = NULL;
	atomic_store(slot_of(c, i), SLOT_EMPTY);
	r->ends[i / CH_RING_ROLE_SLOTS] = NULL;
	last = r->closed && !r->ends[0] && !r->ends[1];
	return last ? r : NULL;
}

/* What c has to do with rings that are closed, or with all.  c's thread is not in the guest. */
static void sweep(struct context *c, bool all)
{
	struct systrap *st = systrap_of(c->ctx.as);
	struct ring *ended[SLOT_COUNT];
	unsigned count = 0;
	bool left = false;

	if (!c->has_rings)
		return;
	atomic_store(&c->sweep_due, false);
	mutex_lock(&st->lock);
	for (unsigned i = 0; i < SLOT_COUNT; i++) {
		if (c->rings[i] && (all || c->rings[i]->closed)) {
			struct ring *r = detach(c, i);

			if (r)
				ended[count++] = r;
		}
		left |= c->rings[i] != NULL;
	}
	mutex_unlock(&st->lock);
	c->has_rings = left;
	atomic_store(channel_u32(c, CH_RINGS), left);
	while (count > 0)
		ring_free(ended[--count]);
}

void rings_sweep(struct context *c)
{
	sweep(c, false);
}

void rings_leave(struct context *c)
{
	sweep(c, true);
}

/* ---- the operations ---- */

/* Maps b, which a ring of the caller's is of, where s does not have it. */
static bool map_block(struct stub *s, struct ring_block *b) REQUIRES(s->leader_lock)
{
	struct systrap *st = systrap_of(&s->as);
	uint64_t at = channel_addr(b->channel);
	const struct leader_call calls[] = {
		{.nr = SYS_mmap,
		 .args = {at, SYSTRAP_RINGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, SYSTRAP_OWN_FD,
			  (uint64_t)b->channel * SYSTRAP_CHANNEL_SIZE}},
		{.nr = SYS_madvise, .args = {at, SYSTRAP_RINGS_SIZE, MADV_DONTFORK}},
	};
	const struct leader_call unmap = unmap_call(at, SYSTRAP_RINGS_SIZE);
	bool there, unsure;
	long result;
	int done;

	if (!make_room(s))
		return false;
	atomic_store(&s->has_rings, true);
	mutex_lock(&st->lock);
	set_had(b, s->as.serial, true, false);
	mutex_unlock(&st->lock);
	done = leader_request_locked(s, calls, ARRAY_SIZE(calls), -1, &result);
	there = done == (int)ARRAY_SIZE(calls);
	/* A process may have as many mappings as the host lets it: then there is no ring, and nothing else has happened. */
	unsure = done < 0 || (done == 1 && leader_request_locked(s, &unmap, 1, -1, &result) != 1);
	if (unsure)
		stub_kill(s, atomic_load(&s->as.dead) ? NULL : "rings could not be mapped"); /* it is this stub's to its end */
	mutex_lock(&st->lock);
	set_had(b, s->as.serial, there || unsure, there);
	mutex_unlock(&st->lock);
	return there;
}

bool systrap_ring_map(struct pring *pr, struct pctx *ctx)
{
	struct stub *s = stub_of(ctx->as);
	struct systrap *st = systrap_of(ctx->as);
	struct ring_block *b = ring_of(pr)->block;
	bool mapped, ours;

	if (b->owner && !may_share(s, b->owner))
		return false;
	mutex_lock(&s->leader_lock); /* another thread may be about to map it */
	mutex_lock(&st->lock);
	ours = b->who[0] == s->as.serial || b->who[1] == s->as.serial;
	mapped = is_mapped(b, s->as.serial);
	mutex_unlock(&st->lock);
	if (ours && !mapped)
		mapped = map_block(s, b);
	mutex_unlock(&s->leader_lock);
	return mapped;
}

struct pring *systrap_ring_new(struct pctx *ctx, uint64_t peer)
{
	struct ring *r;

	sweep(context_of(ctx), false);
	r = take_ring(stub_of(ctx->as), peer);
	if (!r)
		return NULL;
	atomic_store(ring_u32(r, RG_HEAD), RING_CLOSED);
	atomic_store(ring_u32(r, RG_TAIL), RING_CLOSED);
	if (systrap_ring_map(&r->pub, ctx))
		return &r->pub;
	ring_free(r);
	return NULL;
}

bool systrap_ring_give(struct pring *pr, struct pctx *ctx, int fd, bool write)
{
	struct context *c = context_of(ctx);
	struct ring *r = ring_of(pr);
	struct systrap *st = systrap_of(ctx->as);
	unsigned i = write ? CH_RING_ROLE_SLOTS : 0, end = i + CH_RING_ROLE_SLOTS;

	sweep(c, false);
	if (!c->in_call)
		return false; /* it makes that call by a trap */
	mutex_lock(&st->lock);
	while (i < end && c->rings[i])
		i++;
	if (i < end) {
		c->rings[i] = r;
		c->ring_fds[i] = fd;
		r->ends[write] = c;
	}
	mutex_unlock(&st->lock);
	if (i == end)
		return false;
	c->has_rings = true;
	if (!write)
		atomic_store(&c->may_nap, true);
	atomic_store(channel_u32(c, CH_RINGS), 1);
	return true;
}

/* Lock held. */
static void put_slots(const struct ring *r, struct context *c)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (c->rings[i] == r)
			atomic_store(slot_of(c, i), place_of(r) << 32 | (uint32_t)c->ring_fds[i]);
}

void systrap_ring_open(struct pring *pr, const void *buf, size_t len)
{
	struct ring *r = ring_of(pr);

	if (len)
		memcpy(r->mem + RG_DATA, buf, len);
	atomic_store(ring_u32(r, RG_WAITING), 0);
	atomic_store(ring_u32(r, RG_HEAD), 0);
	atomic_store(ring_u32(r, RG_TAIL), (uint32_t)len);
	/* Last of all, and of both: what else a peer may make of the ring before, nobody uses it. */
	mutex_lock(&r->st->lock);
	for (unsigned i = 0; i < 2; i++)
		if (r->ends[i])
			put_slots(r, r->ends[i]);
	mutex_unlock(&r->st->lock);
}

/* Clears the slot that c has of r.  Lock held. */
static void take_slot(const struct ring *r, struct context *c)
{
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (c->rings[i] == r)
			atomic_store(slot_of(c, i), SLOT_EMPTY);
}

/* Has c, whose slot was taken, forget r if its thread cannot be using it.  Lock held. */
static void let_go(struct ring *r, struct context *c)
{
	/* It looks at its slot after it has said that it is in the guest. */
	if (atomic_load(&c->in_guest))
		return;
	for (unsigned i = 0; i < SLOT_COUNT; i++)
		if (c->rings[i] == r)
			(void)detach(c, i);
}

/*
 * Whether c's thread is in a read of r that has begun to sleep and will be its next event: r was closed at `head`, so that no
 * read of it comes to its end any more, and that read has not moved the position.  Lock held.
 */
static bool is_asleep_in(const struct ring *r, const struct context *c, uint32_t head)
{
	uint64_t naps = atomic_load(c->ctx.naps);

	return (naps & 1) && atomic_load(&c->may_owe) && atomic_load(channel_u32(c, CH_NAP_RING)) == place_of(r) &&
	       atomic_load(channel_u32(c, CH_NAP_HEAD)) == head && atomic_load(c->ctx.naps) == naps;
}

/* c has a ring that is closed now.  Lock held. */
static void note_closed(struct context *c)
{
	bool may_nap = false;

	for (unsigned i = 0; i < CH_RING_ROLE_SLOTS; i++)
		may_nap |= c->rings[i] && !c->rings[i]->closed;
	atomic_store(&c->may_nap, may_nap);
	atomic_store(&c->sweep_due, true);
}

size_t systrap_ring_close(struct pring *pr, void *buf, void *owe, bool *owed)
{
	struct ring *r = ring_of(pr);
	struct systrap *st = r->st;
	uint32_t head, tail, len, from;
	bool last;

	mutex_lock(&st->lock);
	for (unsigned i = 0; i < 2; i++)
		if (r->ends[i])
			take_slot(r, r->ends[i]);
	tail = atomic_fetch_or(ring_u32(r, RG_TAIL), RING_CLOSED);
	head = atomic_fetch_or(ring_u32(r, RG_HEAD), RING_CLOSED);
	futex_wake_shared(ring_u32(r, RG_TAIL));
	*owed = owe && r->ends[0] && !atomic_load(&r->ends[0]->ctx.owed) && is_asleep_in(r, r->ends[0], head);
	if (*owed)
		atomic_store(&r->ends[0]->ctx.owed, owe);
	for (unsigned i = 0; i < 2; i++)
		if (r->ends[i])
			let_go(r, r->ends[i]);
	len = (tail - head) & 0xffff;
	if (((head | tail) & RING_CLOSED) || len > RG_DATA_SIZE)
		len = 0; /* it was not open, or has been scribbled on */
	from = head & (RG_DATA_SIZE - 1);
	if (from + len > RG_DATA_SIZE) {
		memcpy(buf, r->mem + RG_DATA + from, RG_DATA_SIZE - from);
		memcpy((uint8_t *)buf + RG_DATA_SIZE - from, r->mem + RG_DATA, from + len - RG_DATA_SIZE);
	} else {
		memcpy(buf, r->mem + RG_DATA + from, len);
	}
	r->closed = true;
	for (unsigned i = 0; i < 2; i++)
		if (r->ends[i])
			note_closed(r->ends[i]);
	last = !r->ends[0] && !r->ends[1];
	mutex_unlock(&st->lock);
	if (last)
		ring_free(r);
	return len;
}

/* The sleep is over: what comes of the read is the sentry's. */
void *systrap_ring_owed(struct pctx *ctx)
{
	struct context *c = context_of(ctx);
	struct systrap *st = systrap_of(ctx->as);
	void *owed;

	mutex_lock(&st->lock);
	atomic_store(&c->may_owe, false);
	owed = atomic_exchange(&ctx->owed, NULL);
	if (atomic_load(ctx->naps) & 1)
		atomic_fetch_add(ctx->naps, 1);
	mutex_unlock(&st->lock);
	return owed;
}

/* Its ring is where it says, so that it may be none: then it is what lies there. */
bool rings_is_napping(const struct placement *p)
{
	const struct context *c = container_of(p, struct context, place);
	const uint8_t *channels = systrap_of(c->ctx.as)->channels;
	uint32_t at = atomic_load_explicit(channel_u32(c, CH_NAP_RING), memory_order_relaxed);

	if (!(atomic_load_explicit(c->ctx.naps, memory_order_relaxed) & 1))
		return false;
	if (at % sizeof(uint32_t) || at > (uint64_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE - SYSTRAP_RING_SIZE)
		return false;
	return atomic_load_explicit((_Atomic uint32_t *)(void *)(channels + at + RG_WAITING), memory_order_relaxed) != 0;
}

void rings_find_mate(struct context *c)
{
	struct systrap *st = systrap_of(c->ctx.as);

	mutex_lock(&st->lock);
	for (unsigned i = 0; i < CH_RING_ROLE_SLOTS; i++) {
		struct context *writer = c->rings[i] ? c->rings[i]->ends[1] : NULL;
		uint64_t count;

		if (!writer || writer == c)
			continue;
		count = atomic_load(writer->ctx.naps);
		if (writer == c->ring_writer && count - c->writer_naps >= MATE_NAPS)
			placement_join(&c->place, &writer->place);
		c->ring_writer = writer;
		c->writer_naps = count;
	}
	mutex_unlock(&st->lock);
}

/* Who wakes a reader first takes back that it waits. */
bool systrap_ring_naps(const struct pctx *ctx)
{
	const struct context *c = container_of(ctx, struct context, ctx);
	struct systrap *st = systrap_of(ctx->as);
	bool waits = false;

	mutex_lock(&st->lock);
	for (unsigned i = 0; i < CH_RING_ROLE_SLOTS; i++)
		waits |= c->rings[i] && !c->rings[i]->closed && atomic_load(ring_u32(c->rings[i], RG_WAITING));
	mutex_unlock(&st->lock);
	return waits && !atomic_load(&c->kick);
}

void systrap_ring_io(const struct pctx *ctx, struct pctx_io *out)
{
	const struct context *c = container_of(ctx, struct context, ctx);
	_Atomic uint64_t *n = (_Atomic uint64_t *)(void *)(c->ch + CH_RING_IO);

	*out = (struct pctx_io){
		.reads = atomic_load(&n[0]),
		.read_bytes = atomic_load(&n[1]),
		.writes = atomic_load(&n[2]),
		.written_bytes = atomic_load(&n[3]),
	};
}
