/*
 * Pieces: guest memory that goes with a call from a patched site, in its channel, so that it is not copied by
 * process_vm_readv and _writev, which cost a microsecond and more each.
 *
 * In: what a call names is in a table made from the one table of system calls; the shim reads a copy of it that stubs cannot write
 * (layout.h), the sentry its own.  The shim takes at most two pieces along; such memory is seen as it was when the call was made.
 *
 * Out: what the call writes is kept in the channel, and copied to the guest by the shim when the call returns.  Until then it is
 * nowhere else.  So that nobody can tell:
 *
 *     It is done only while the stub has one guest thread, and in memory where the sentry says that there is room (pctx_set_room).
 *     It is written by process_vm_writev at once when the thread is about to sleep or to stop, when the sentry does anything else to
 *     the address space, when it reads there, and at every hand-over but the call's return.
 *     Who looks in from outside (pas_watch) first says so, and then waits until nothing is on its way.  A call first says that it
 *     gives (as.giving), then looks for watchers.  While it does, its thread makes no host call that may take long.
 *
 * Nothing here believes the channel: where a piece is and how long it may be follows from the registers as the sentry has
 * read them; the one word per piece that it reads, how much the shim has taken along, is bounded by that.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/syscalls.h"
#include "base/checked.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

/* So long somebody waits for what a call gives.  A guest that lets it wait longer gives no more. */
#define GIVEN_NS 1000000000
#define GIVEN_LOOK_NS 50000

/* Calls that are frequent, and that look at their memory before they do anything that takes time or not at all.  Futexes are not
 * among them: what they look at they have to see when they have queued. */
static const uint16_t calls[] = {
	SYS_write,	 SYS_open,	    SYS_stat,	      SYS_lstat,     SYS_poll,	      SYS_pwrite64,
	SYS_access,	 SYS_nanosleep,	    SYS_chdir,	      SYS_rename,    SYS_mkdir,	      SYS_rmdir,
	SYS_creat,	 SYS_link,	    SYS_unlink,	      SYS_symlink,   SYS_readlink,    SYS_chmod,
	SYS_chown,	 SYS_lchown,	    SYS_rt_sigaction, SYS_statfs,    SYS_rt_sigprocmask, SYS_clock_nanosleep,
	SYS_epoll_ctl,	 SYS_openat,	    SYS_mkdirat,      SYS_fchownat,  SYS_newfstatat,  SYS_unlinkat,
	SYS_renameat,	 SYS_linkat,	    SYS_symlinkat,    SYS_readlinkat, SYS_fchmodat,   SYS_faccessat,
	SYS_ppoll,	 SYS_utimensat,	    SYS_renameat2,    SYS_statx,     SYS_openat2,     SYS_faccessat2,
};

/* As layout.h says. */
struct piece_desc {
	uint8_t kind, addr, len, unit;
	uint16_t size, unused;
};
_Static_assert(sizeof(struct piece_desc) == PC_DESC_SIZE && offsetof(struct piece_desc, kind) == PC_KIND &&
		       offsetof(struct piece_desc, addr) == PC_ADDR && offsetof(struct piece_desc, len) == PC_LEN &&
		       offsetof(struct piece_desc, unit) == PC_UNIT && offsetof(struct piece_desc, size) == PC_SIZE,
	       "shim.S");

struct shape {
	struct piece_desc desc[PIECE_COUNT];
};
_Static_assert(sizeof(struct shape) == SYSTRAP_SHAPE_SIZE, "shim.S");
_Static_assert(sizeof(struct give) == CH_GIVE_SIZE && offsetof(struct give, len) == 8 && offsetof(struct give, at) == 12, "shim.S");

static struct {
	uint8_t shape_of[SYSTRAP_PIECES_CALLS];
	struct shape shapes[SYSTRAP_SHAPE_MAX]; /* the first is never used */
} table; /* immutable once a platform has been started */
static bool wide[ABI_SYSCALL_MAX]; /* likewise */
_Static_assert(SYSTRAP_FRESH_OFF + SYSTRAP_FRESH_SIZE <= SYSTRAP_PIECES_OFF + SYSTRAP_PIECES_SIZE, "the pages of pieces");
_Static_assert(sizeof(table) <= SYSTRAP_FRESH_OFF - SYSTRAP_PIECES_OFF, "the page of pieces");
_Static_assert(CH_WAITERS + 8 <= CH_GIVE - (CH_GIVE_MAX - 1) * CH_GIVE_SIZE && CH_GIVE + CH_GIVE_SIZE <= CH_GIVE_COUNT &&
		       CH_GIVE_COUNT + 4 <= CH_OUT &&
		       CH_OUT + CH_OUT_SIZE <= CH_TAKEN && CH_TAKEN + 4 * PIECE_COUNT <= CH_PIECES &&
		       CH_PIECES + PIECE_COUNT * CH_PIECE_SIZE <= CH_ALTSTACK && CH_MASK_OPEN + 4 <= CH_BACK &&
		       CH_RINGS_END + 192 <= CH_STACK_TOP,
	       "room");

/* ---- the table ---- */

/* What an argument makes the call take along; kind 0: nothing. */
static struct piece_desc desc_of(const struct abi_arg *arg, uint8_t index)
{
	struct piece_desc d = {.kind = arg->dir & ABI_DIR_IN ? PIECE_MEM : 0, .addr = index};

	switch (arg->kind) {
	case ABI_ARG_PATH:
	case ABI_ARG_STR:
		d.kind = PIECE_STR;
		return d;
	case ABI_ARG_STRUCT:
		d.size = arg->size;
		break;
	case ABI_ARG_VAR:
	case ABI_ARG_BUF:
		d.unit = 1;
		break;
	case ABI_ARG_ARRAY:
		d.unit = (uint8_t)min_of(arg->size, (uint16_t)UINT8_MAX);
		break;
	default:
		d.kind = 0;
		break;
	}
	d.len = arg->len_arg;
	if ((d.unit && arg->len != ABI_LEN_ARG) || d.size > CH_PIECE_SIZE || d.unit == UINT8_MAX)
		d.kind = 0;
	return d.kind ? d : (struct piece_desc){0};
}

static struct shape shape_of(const struct abi_syscall *call)
{
	struct shape s = {0};
	unsigned n = 0;

	for (uint8_t i = 0; i < ABI_MAX_ARGS && n < PIECE_COUNT && call->args[i].kind != ABI_ARG_END; i++) {
		s.desc[n] = desc_of(&call->args[i], i);
		n += s.desc[n].kind != 0;
	}
	return s;
}

/* Which calls have more arguments than the first cache line holds. */
static void find_wide(void)
{
	for (unsigned nr = 0; nr < ABI_SYSCALL_MAX; nr++) {
		const struct abi_syscall *call = abi_syscall_by_nr(nr);

		wide[nr] = call && call->args[CH_PIECE_ARGS].kind != ABI_ARG_END;
	}
}

bool pieces_wide(uint64_t nr)
{
	return nr >= ABI_SYSCALL_MAX || wide[nr];
}

void pieces_table_make(void)
{
	unsigned count = 1;

	find_wide();
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct shape s = shape_of(abi_syscall_by_nr(calls[i]));
		unsigned k = 1;

		if (!s.desc[0].kind)
			continue;
		for (unsigned n = 0; n < PIECE_COUNT; n++)
			ASSERT(s.desc[n].addr < CH_PIECE_ARGS && s.desc[n].len < CH_PIECE_ARGS);
		while (k < count && memcmp(&table.shapes[k], &s, sizeof(s)) != 0)
			k++;
		ASSERT(k < SYSTRAP_SHAPE_MAX);
		table.shapes[k] = s;
		table.shape_of[calls[i]] = (uint8_t)k;
		count = max_of(count, k + 1);
	}
}

void pieces_table_copy(uint8_t page[SYSTRAP_PIECES_SIZE])
{
	memcpy(page, &table, sizeof(table));
}

/* ---- what comes in ---- */

/* How many bytes the piece may have; 0: it is not there.  As .Ltake in shim.S. */
static uint32_t reckon_length(const struct piece_desc *d, const uint64_t args[6])
{
	uint64_t n = CH_PIECE_SIZE;

	if (!d->kind || !args[d->addr])
		return 0;
	if (d->kind == PIECE_MEM)
		n = d->unit ? min_of(args[d->len], (uint64_t)CH_PIECE_SIZE + 1) * d->unit : d->size;
	return n <= CH_PIECE_SIZE ? (uint32_t)n : 0;
}

void pieces_find(uint64_t nr, const uint64_t args[6], struct piece out[PIECE_COUNT])
{
	unsigned k = nr < SYSTRAP_PIECES_CALLS ? table.shape_of[nr] : 0;

	for (unsigned i = 0; i < PIECE_COUNT; i++) {
		const struct piece_desc *d = &table.shapes[k].desc[i];
		uint32_t len = reckon_length(d, args);
		uint64_t addr = args[d->addr];

		/* What the guest has no right to name is not there; and nothing wraps. */
		if (addr >= GUEST_CEILING || (d->kind == PIECE_MEM && len > GUEST_CEILING - addr))
			len = 0;
		else if (len > GUEST_CEILING - addr)
			len = (uint32_t)(GUEST_CEILING - addr);
		out[i] = (struct piece){.addr = addr, .len = len, .kind = len ? d->kind : 0};
	}
}

static bool overlap(gva_t a, uint64_t a_len, gva_t b, uint64_t b_len)
{
	return a_len && b_len && a < b + b_len && b < a + a_len;
}

static bool has_shape(uint64_t nr)
{
	return nr < SYSTRAP_PIECES_CALLS && table.shape_of[nr];
}

void pieces_begin(struct context *c, uint64_t nr, const uint64_t args[6])
{
	bool any = false;

	memset(c->pieces, 0, sizeof(c->pieces));
	if (has_shape(nr)) {
		pieces_find(nr, args, c->pieces);
		for (unsigned i = 0; i < PIECE_COUNT; i++) {
			struct piece *p = &c->pieces[i];
			uint32_t taken = atomic_load_explicit(channel_u32(c, CH_TAKEN + 4 * i), memory_order_relaxed);

			if (p->kind == PIECE_STR && taken < p->len)
				p->len = taken;
			else if (taken != p->len)
				p->len = 0;
			if (!p->len)
				p->kind = 0;
			any |= p->kind != 0;
		}
	}
	c->may_give = atomic_load_explicit(&stub_of(c->ctx.as)->threads, memory_order_relaxed) == 1;
	c->ctx.pieces = any || c->may_give;
}

/* ---- what goes out ---- */

/* Forgets what was about another map. */
static void check_rooms(struct context *c)
{
	uint32_t version = atomic_load_explicit(&c->ctx.as->version, memory_order_relaxed);

	if (c->room_version != version) {
		memset(c->rooms, 0, sizeof(c->rooms));
		c->room_version = version;
	}
}

/* The sentry has said that there is room at [addr, addr+len); if it has said nothing about addr, it is to be asked. */
static bool has_room(struct context *c, gva_t addr, size_t len)
{
	check_rooms(c);
	for (unsigned i = 0; i < ROOM_COUNT; i++)
		if (addr >= c->rooms[i].low && addr < c->rooms[i].high)
			return c->rooms[i].room && len <= c->rooms[i].high - addr;
	c->want_room = addr;
	return false;
}

void systrap_set_room(struct pctx *ctx, gva_t low, gva_t high, bool room)
{
	struct context *c = context_of(ctx);

	check_rooms(c);
	c->rooms[c->next_room] = (struct room){low, high, room};
	c->next_room = (uint8_t)((c->next_room + 1u) % ROOM_COUNT);
}

/* From here on until pieces_arrived or write_gives others who want to look have to wait; false: one does already. */
static bool begin_giving(struct context *c)
{
	struct pas *as = c->ctx.as;

	if (c->give_count > 0)
		return true;
	atomic_store(&as->giving, GIVE_SOON);
	if (atomic_load(&as->watchers) == 0)
		return true;
	atomic_store(&as->giving, GIVE_NOTHING);
	c->may_give = false;
	return false;
}

/* What has been kept is written now. */
static void write_gives(struct context *c)
{
	if (c->give_count == 0)
		return;
	for (unsigned i = 0; i < c->give_count; i++) {
		const struct give *g = &c->gives[i];

		if (systrap_write(c->ctx.as, g->addr, c->ch + g->at, g->len) != (ssize_t)g->len)
			log_debug("systrap: what a call gives could not be written");
	}
	c->give_count = 0;
	c->give_used = 0;
	atomic_store(&c->ctx.as->giving, GIVE_NOTHING);
}

uint32_t pieces_return(struct context *c)
{
	c->ctx.pieces = false;
	c->given = c->give_count > 0;
	if (!c->given)
		return WORD_RETURN;
	for (unsigned i = 0; i < c->give_count; i++)
		memcpy(c->ch + CH_GIVE - i * CH_GIVE_SIZE, &c->gives[i], sizeof(c->gives[i]));
	atomic_store_explicit(channel_u32(c, CH_GIVE_COUNT), c->give_count, memory_order_relaxed);
	c->give_count = 0;
	c->give_used = 0;
	/* Seen late it makes others wait on. */
	atomic_store_explicit(&c->ctx.as->giving, GIVE_NOW, memory_order_release);
	return WORD_GIVE;
}

void pieces_arrived(struct context *c)
{
	if (c->given)
		atomic_store_explicit(&c->ctx.as->giving, GIVE_NOTHING, memory_order_release);
	c->given = false;
}

void pieces_end(struct context *c)
{
	c->ctx.pieces = false;
	c->may_give = false;
	write_gives(c);
}

void systrap_pieces_end(struct pctx *ctx)
{
	pieces_end(context_of(ctx));
}

/* The thread, if it is one of those, comes back soon. */
static void kick_all(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	struct context *c;

	if (!stub_pid_hold(s))
		return;
	mutex_lock(&st->lock);
	list_for_each_entry(c, &s->contexts, node)
		syscall(SYS_tgkill, s->as.host_pid, c->tid, SYSTRAP_KICK);
	mutex_unlock(&st->lock);
	stub_pid_drop(s);
}

/* What the sentry has in its hands it soon lets go.  A guest's thread is not waited for so long. */
void systrap_await_given(struct pas *as)
{
	const struct timespec moment = {.tv_nsec = GIVEN_LOOK_NS};
	int64_t deadline_ns = INT64_MAX;
	uint32_t giving;

	while ((giving = atomic_load(&as->giving)) != GIVE_NOTHING && !atomic_load(&as->dead)) {
		if (giving == GIVE_SOON) {
			deadline_ns = INT64_MAX;
		} else if (deadline_ns == INT64_MAX) {
			deadline_ns = monotonic_ns() + GIVEN_NS;
		} else if (monotonic_ns() > deadline_ns) {
			atomic_fetch_add(&as->watchers, 1); /* for ever */
			atomic_store(&as->giving, GIVE_NOTHING);
			break;
		}
		kick_all(stub_of(as));
		nanosleep(&moment, NULL);
	}
}

/* ---- what uaccess asks ---- */

ssize_t systrap_piece_read(struct pctx *ctx, gva_t addr, void *buf, size_t len)
{
	struct context *c = context_of(ctx);

	for (unsigned i = 0; i < c->give_count; i++)
		if (overlap(addr, len, c->gives[i].addr, c->gives[i].len)) {
			write_gives(c);
			return 0;
		}
	for (unsigned i = 0; i < PIECE_COUNT; i++) {
		const struct piece *p = &c->pieces[i];

		if (p->kind && addr >= p->addr && len <= p->len && addr - p->addr <= p->len - len) {
			memcpy(buf, c->ch + piece_at(i) + (addr - p->addr), len);
			return (ssize_t)len;
		}
	}
	return 0;
}

/* Where in the channel [addr, addr+len) is to be kept, or 0. */
static uint32_t place_for(struct context *c, gva_t addr, size_t len)
{
	struct give *last = c->give_count > 0 ? &c->gives[c->give_count - 1] : NULL;
	uint32_t at = CH_OUT + c->give_used;

	if (!c->may_give || len > CH_OUT_SIZE - c->give_used || !has_room(c, addr, len))
		return 0;
	if (last && last->addr + last->len == addr) {
		last->len += (uint32_t)len;
	} else if (c->give_count < CH_GIVE_MAX && begin_giving(c)) {
		c->gives[c->give_count++] = (struct give){addr, (uint32_t)len, at};
	} else {
		return 0;
	}
	c->give_used += (uint32_t)len;
	return at;
}

ssize_t systrap_piece_write(struct pctx *ctx, gva_t addr, const void *buf, size_t len)
{
	struct context *c = context_of(ctx);
	uint32_t at;

	/* A piece that is written over is old. */
	for (unsigned i = 0; i < PIECE_COUNT; i++)
		if (c->pieces[i].kind && overlap(addr, len, c->pieces[i].addr, c->pieces[i].len))
			c->pieces[i].kind = 0;
	for (unsigned i = 0; i < c->give_count; i++)
		if (overlap(addr, len, c->gives[i].addr, c->gives[i].len)) {
			write_gives(c);
			return 0;
		}
	at = place_for(c, addr, len);
	if (at == 0)
		return 0;
	memcpy(c->ch + at, buf, len);
	return (ssize_t)len;
}

size_t systrap_piece_string(struct pctx *ctx, gva_t addr, char *dst, size_t cap)
{
	struct context *c = context_of(ctx);

	for (unsigned i = 0; i < PIECE_COUNT; i++) {
		const struct piece *p = &c->pieces[i];

		if (p->kind == PIECE_STR && p->addr == addr && p->len <= cap) {
			const char *nul;

			memcpy(dst, c->ch + piece_at(i), p->len);
			nul = memchr(dst, 0, p->len);
			if (nul)
				return (size_t)(nul - dst) + 1;
		}
	}
	return 0;
}
