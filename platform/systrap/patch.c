/*
 * Patched call sites.  A system call that traps costs a signal frame; one that jumps into the shim does not.  When a
 * site has trapped PATCH_AT times its text is rewritten so that it jumps to a *trampoline*, made for this site alone,
 * which finds the thread's channel, and goes on to the shim.  Three forms of sites can be patched without touching any
 * instruction but those that are replaced (the second is the first one's long form):
 *
 *     mov $nr, %eax; syscall      7 bytes: jmp *cell
 *     mov $nr, %rax; syscall      jmp *cell over the mov, which is as long; the syscall instruction stays
 *     syscall, padding near by    2 bytes: jmp to the padding; in the padding: jmp over it (should it ever be
 * executed); jmp *cell
 *     7 to 24 bytes of            jmp *cell over the first 7 of them; the trampoline begins with what they do.  The rest and
 *     moves and the like; syscall the syscall instruction stay, and are executed only by who jumps there
 *
 * How a trampoline finds the channel, with no register to spare but %rcx and %r11: %gs is the channel's, which no
 * 64-bit Linux program has a use for.  A program may load its own all the same, so the trampoline first sees whether
 * %gs's base is what the channel says its address is.  If not, or if the look faults, the call is made by a trap after
 * all.
 *
 * What was jumped over stays reachable.  In the first form the syscall instruction's own place (a jump there, a restart
 * at RIP-2) holds a byte that is no instruction, traps, and is taken for what it was.  In the third it is the start of
 * the jump.  In the last, where instructions began there are such bytes, too, of the cell's address: the fourth and the
 * sixth can be.  Who comes there goes on in the trampoline; and a fault or a step there is shown where the text is.
 *
 * Trampolines and cells lie in a memory file that the sentry writes and stubs map read-only; a fork's child goes on
 * with its parent's, for it has inherited the patched text.  exec begins anew.
 *
 * While other threads run, text is rewritten as Linux does with its own: first a byte that traps over the first one, then
 * the rest, then the first, and in between every processor that runs this process serialises (membarrier).  A thread that
 * comes along meanwhile traps; its sentry thread waits until the patch is done and lets it try again.
 *
 * Which site a jump belongs to, its own text says: the cell.  Other text may come to a patched site's address.
 */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "base/refcount.h"
#include "platform/systrap/insn.h"
#include "platform/systrap/systrap.h"

/* A patch costs about as much as this many traps (two requests to a leader, two copies). */
#define PATCH_AT 8

/* Larger text is left alone, since all of it is opened to writing for a moment. */
#define TEXT_MAX (16u << 20)

#define NOT_AN_INSTRUCTION 0x06
#define NOR_IS_THIS 0x60 /* the lowest byte of some cells' addresses */
#define MOV_EAX 0xb8
#define JMP_SHORT 0xeb
#define MOV_SIZE 5
#define WIDE_MOV_SIZE 7
#define SYSCALL_SIZE 2
#define JMP_CELL_SIZE 7
#define PADDING_SIZE (2 + JMP_CELL_SIZE)
#define SHORT_REACH 127
/* Of what is executed in a trampoline: bytes of text, and how much longer that may become. */
#define LEAD_MAX 24
#define LEAD_MOVED_MAX 40
#define TRAMPOLINE_REST 60
/* Text that is looked at before a site. */
#define LOOK_BACK 1024

#define PATCHES_SIZE (SYSTRAP_CELLS_SIZE + SYSTRAP_TRAMPOLINES_SIZE)
_Static_assert(SYSTRAP_CELLS_SIZE == SYSTRAP_SITE_MAX * 8, "a cell a site");
_Static_assert(SYSTRAP_TRAMPOLINES_SIZE == SYSTRAP_SITE_MAX * SYSTRAP_TRAMPOLINE_SIZE, "a trampoline a site");
_Static_assert((SYSTRAP_CELLS >> 16 & 0xff) == NOT_AN_INSTRUCTION, "what traps in the middle of a patched site");
_Static_assert(LEAD_MOVED_MAX + TRAMPOLINE_REST <= SYSTRAP_TRAMPOLINE_SIZE, "the longest trampoline");

static const uint8_t syscall_insn[SYSCALL_SIZE] = {0x0f, 0x05};

struct site {
	uint64_t ip;   /* the end of its system call instruction */
	uint32_t nr;   /* of the first two forms: the number it moves to %eax or %rax */
	uint8_t moves; /* MOVES_ */
	uint8_t lead;  /* of the last form: how many bytes before the instruction it begins */
	uint8_t text[LEAD_MAX + 1]; /* and those bytes; the last is none */
};
enum { MOVES_NOTHING, MOVES_EAX, MOVES_RAX, MOVES_LEAD };

/* The patched sites of a process and of those it forked.  Those of others may be among them: what text a site has, only
 * its own memory says. */
struct patches {
	struct refcount refs;
	uint8_t *map; /* cells, then trampolines; immutable pointer */
	struct mutex lock;
	_Atomic uint32_t count;		     /* sites below are immutable; grows with lock held */
	struct site sites[SYSTRAP_SITE_MAX]; /* pages of it are touched as it grows */
};

/* ---- the files of patches ---- */

/* fd: what a stub is to map; the caller's. */
static struct patches *patches_new(int *fd)
{
	struct patches *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *map;

	if (p == MAP_FAILED)
		return NULL;
	if (memory_file("bailey-patches", PATCHES_SIZE, fd, &map) < 0)
		goto out_free;
	if (fcntl(*fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto out_unmap;
	refcount_init(&p->refs, 1);
	mutex_init(&p->lock);
	p->map = map;
	return p;

out_unmap:
	munmap(map, PATCHES_SIZE);
	close(*fd);
out_free:
	munmap(p, sizeof(*p));
	return NULL;
}

struct patches *patches_get(struct patches *p)
{
	if (p)
		refcount_inc(&p->refs);
	return p;
}

void patches_put(struct patches *p)
{
	if (!p || !refcount_dec(&p->refs))
		return;
	munmap(p->map, PATCHES_SIZE);
	mutex_destroy(&p->lock);
	munmap(p, sizeof(*p));
}

/* Has the stub's leader map them. */
static bool map_patches(struct stub *s, int fd) REQUIRES(s->leader_lock)
{
	uint64_t trampolines = systrap_of(&s->as)->base + SYSTRAP_TRAMPOLINES_OFF;
	const struct leader_call calls[] = {
		{.nr = SYS_mmap,
		 .args = {SYSTRAP_CELLS, SYSTRAP_CELLS_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, SYSTRAP_FD, 0}},
		{.nr = SYS_mmap,
		 .args = {trampolines, SYSTRAP_TRAMPOLINES_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
			  SYSTRAP_FD, SYSTRAP_CELLS_SIZE}},
		no_file_call(),
	};
	long result;
	int done = leader_request_locked(s, calls, ARRAY_SIZE(calls), fd, &result);

	if (done == (int)ARRAY_SIZE(calls))
		return true;
	if (done > 0)
		atomic_store(&s->as.kept_apart, true); /* what is mapped now nobody knows to unmap */
	if (done >= 0 && leader_request_locked(s, &calls[2], 1, -1, &result) != 1)
		stub_kill(s, "a descriptor could not be taken back");
	return false;
}

static struct patches *patches_of(struct stub *s) REQUIRES(s->leader_lock)
{
	struct patches *p = atomic_load(&s->patches);
	int fd;

	if (p)
		return p;
	p = patches_new(&fd);
	if (!p)
		return NULL;
	/* Forks inherit the mapping, so that the file is wanted only here. */
	if (map_patches(s, fd)) {
		atomic_store(&s->patches, p);
	} else {
		patches_put(p);
		p = NULL;
	}
	close(fd);
	return p;
}

/* ---- trampolines ---- */

static uint64_t trampoline_addr(const struct stub *s, uint32_t index)
{
	return systrap_of(&s->as)->base + SYSTRAP_TRAMPOLINES_OFF + (uint64_t)index * SYSTRAP_TRAMPOLINE_SIZE;
}

struct code {
	uint8_t *at;
	uint64_t addr; /* where at will be executed */
};

static void put(struct code *c, const void *bytes, size_t n)
{
	memcpy(c->at, bytes, n);
	c->at += n;
	c->addr += n;
}

static void put32(struct code *c, uint32_t value)
{
	put(c, &value, sizeof(value));
}

#define PUT(c, ...) put(c, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Where in its trampoline the last form's instruction begins that begins at text[at], or is the system call; -1: there is none. */
static int moved_at(const struct site *site, size_t at)
{
	uint8_t moved[INSN_MAX];
	size_t from = 0, to = 0;
	struct insn i;

	while (from < at) {
		if (!insn_decode(site->text + from, LEAD_MAX + 1 - from, &i))
			return -1;
		to += insn_move(site->text + from, &i, 0, moved);
		from += i.len;
	}
	return from == at ? (int)to : -1;
}

/* The other way; -1 if no instruction begins there. */
static int text_at(const struct site *site, size_t moved)
{
	for (int at = 0; at <= site->lead; at++)
		if (moved_at(site, (size_t)at) == (int)moved)
			return at;
	return -1;
}

static void put_lead(struct code *c, const struct site *site)
{
	uint64_t start = site->ip - SYSCALL_SIZE - site->lead;
	uint8_t moved[INSN_MAX];
	struct insn i;

	for (size_t at = 0; at < site->lead && insn_decode(site->text + at, LEAD_MAX + 1 - at, &i); at += i.len)
		put(c, moved, insn_move(site->text + at, &i, start + at, moved));
}

/* Neither the flags nor any register but %rcx and %r11 may change before they are saved. */
static void write_trampoline(const struct stub *s, struct patches *p, uint32_t index, const struct site *site)
{
	uint64_t shim = text_addr(systrap_of(&s->as)->base, systrap_shim_call);
	struct code c = {
		.at = p->map + SYSTRAP_CELLS_SIZE + (size_t)index * SYSTRAP_TRAMPOLINE_SIZE,
		.addr = trampoline_addr(s, index),
	};
	uint64_t begin = c.addr;

	if (site->moves == MOVES_LEAD) {
		put_lead(&c, site);
	} else if (site->moves) {
		PUT(&c, MOV_EAX); /* mov $nr, %eax */
		put32(&c, site->nr);
	}
	PUT(&c, 0xf3, 0x48, 0x0f, 0xae, 0xc9); /* rdgsbase %rcx */
	PUT(&c, 0x48, 0xf7, 0xd1);	       /* not %rcx */
	PUT(&c, 0x65, 0x4c, 0x8b, 0x1c, 0x25); /* mov %gs:CH_SELF, %r11 */
	put32(&c, CH_SELF);
	PUT(&c, 0x4a, 0x8d, 0x4c, 0x19, 0x01); /* lea 1(%rcx, %r11), %rcx */
	PUT(&c, 0xe3, 0x02);		       /* jrcxz 1f: %gs is ours */
	PUT(&c, 0x0f, 0x0b);		       /* ud2: it is the guest's, see patch_explains */
	PUT(&c, 0x49, 0x89, 0xa3);	       /* 1: mov %rsp, CH_RSP(%r11) */
	put32(&c, CH_RSP);
	PUT(&c, 0x49, 0x8d, 0xa3); /* lea CH_STACK_TOP(%r11), %rsp */
	put32(&c, CH_STACK_TOP);
	PUT(&c, 0x48, 0xb9); /* mov $ip, %rcx */
	put(&c, &site->ip, sizeof(site->ip));
	PUT(&c, 0xe9); /* jmp systrap_shim_call */
	put32(&c, (uint32_t)(shim - (c.addr + 4)));
	ASSERT(c.addr - begin <= SYSTRAP_TRAMPOLINE_SIZE);
	memcpy(p->map + (size_t)index * sizeof(uint64_t), &begin, sizeof(begin));
}

static uint32_t cell_of(uint32_t index)
{
	return SYSTRAP_CELLS + index * (uint32_t)sizeof(uint64_t);
}

static bool is_same(const struct site *a, const struct site *b)
{
	return a->ip == b->ip && a->nr == b->nr && a->moves == b->moves && a->lead == b->lead &&
	       memcmp(a->text, b->text, sizeof(a->text)) == 0;
}

/* The trampoline of such a site: an earlier one, or a new one; choosy: with a cell whose address has NOR_IS_THIS as its lowest
 * byte.  -1 if there is no room. */
static int64_t take_site(const struct stub *s, struct patches *p, const struct site *site, bool choosy)
{
	uint32_t count;
	int64_t index;

	mutex_lock(&p->lock);
	count = atomic_load(&p->count);
	for (index = 0; index < count; index++) {
		if (is_same(&p->sites[index], site))
			goto out;
	}
	while (choosy && (cell_of(count) & 0xff) != NOR_IS_THIS)
		count++;
	if (count >= SYSTRAP_SITE_MAX) {
		index = -1;
		goto out;
	}
	p->sites[count] = *site;
	write_trampoline(s, p, count, site);
	atomic_store(&p->count, count + 1);
	index = count;
out:
	mutex_unlock(&p->lock);
	return index;
}

/* ---- reading the text ---- */

/* What a patched site jumps through, by its text at `at`: the index, or -1. */
static int64_t cell_index(const struct patches *p, const uint8_t text[JMP_CELL_SIZE])
{
	uint32_t cell;

	memcpy(&cell, text + 3, sizeof(cell));
	if (text[0] != 0xff || text[1] != 0x24 || text[2] != 0x25 || cell < SYSTRAP_CELLS || cell % sizeof(uint64_t))
		return -1;
	cell = (cell - SYSTRAP_CELLS) / sizeof(uint64_t);
	return cell < atomic_load(&p->count) ? (int64_t)cell : -1;
}

/* A window of text around the site. */
struct window {
	gva_t low;
	size_t size;
	size_t end; /* of the system call instruction, from low */
	uint8_t bytes[LOOK_BACK + SHORT_REACH + PADDING_SIZE + 16];
};

static bool read_window(struct pas *as, gva_t ip, gva_t low, gva_t high, struct window *w)
{
	w->low = max_of(low, ip - min_of(ip, (gva_t)LOOK_BACK));
	w->size = min_of((size_t)(high - w->low), sizeof(w->bytes));
	w->end = (size_t)(ip - w->low);
	return w->end >= SYSCALL_SIZE && w->end <= w->size &&
	       systrap_read(as, w->low, w->bytes, w->size) == (ssize_t)w->size && w->bytes[w->end - 2] == 0x0f &&
	       w->bytes[w->end - 1] == 0x05;
}

/* mov $nr, %rax before it, of a number that the 32-bit form would leave there, too? */
static bool moves_wide(const struct window *w, uint64_t nr)
{
	static const uint8_t mov[] = {0x48, 0xc7, 0xc0};
	const uint8_t *at = w->bytes + w->end - SYSCALL_SIZE - WIDE_MOV_SIZE;
	uint32_t imm;

	_Static_assert(WIDE_MOV_SIZE == JMP_CELL_SIZE, "what is replaced");
	if (w->end < SYSCALL_SIZE + WIDE_MOV_SIZE + 1 || memcmp(at, mov, sizeof(mov)) != 0)
		return false;
	memcpy(&imm, at + sizeof(mov), sizeof(imm));
	return imm == nr && imm <= INT32_MAX;
}

/*
 * A handler's return.  Unwinders know it by its unwind table, or by its very bytes where it has none, and those must stay.  glibc's has a
 * table, begins where functions do, and stands behind an assembler's padding, a no-op of several bytes.  Others are taken for such
 * as have none: musl's stands right behind a one-byte no-op, Go's behind int3.
 */
static bool is_restorer_with_table(const struct window *w)
{
	size_t at = w->end - SYSCALL_SIZE - WIDE_MOV_SIZE;

	return (w->low + at) % 16 == 0 && w->bytes[at - 1] == 0x00;
}

/* mov $nr, %eax before it?  A REX byte before that would make it another instruction. */
static bool moves_number(const struct window *w, uint64_t nr)
{
	const uint8_t *mov = w->bytes + w->end - SYSCALL_SIZE - MOV_SIZE;
	uint32_t imm;

	if (w->end < SYSCALL_SIZE + MOV_SIZE + 1 || mov[0] != MOV_EAX || (mov[-1] & 0xf0) == 0x40)
		return false;
	memcpy(&imm, mov + 1, sizeof(imm));
	return imm == nr;
}

/* The length of the long no-op that compilers pad with, of those that are long enough: operand-size prefixes, perhaps a
 * segment's, and nopw 0(%rax, %rax, 1). */
static size_t nop_length(const uint8_t *p, size_t room)
{
	static const uint8_t nopw[] = {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0};
	size_t n = 0;

	while (n < room && p[n] == 0x66)
		n++;
	if (n > 0 && n < room && p[n] == 0x2e)
		n++;
	if (n == 0 || room - n < sizeof(nopw) || memcmp(p + n, nopw, sizeof(nopw)) != 0)
		return 0;
	return n + sizeof(nopw);
}

static bool int3s(const uint8_t *p, size_t room)
{
	if (room < PADDING_SIZE)
		return false;
	for (size_t i = 0; i < PADDING_SIZE; i++) {
		if (p[i] != 0xcc)
			return false;
	}
	return true;
}

/* Padding for a bare site. */
struct padding {
	size_t at;  /* from the window's start */
	size_t len; /* of the no-op that begins there, or of the traps; 0: there is none */
};

/*
 * Within reach of a short jump, and on the page of the site, so that a page that comes back from the file (MADV_DONTNEED, a new
 * mapping) takes both along.  It follows a return, so that what is found is a whole no-op.
 */
static struct padding find_padding(const struct window *w)
{
	gva_t page = page_down(w->low + w->end - 1);
	size_t from = w->end > SHORT_REACH + 1 ? w->end - SHORT_REACH - 1 : 1;
	size_t to = min_of(w->size, w->end + SHORT_REACH - 1);

	if (page_down(w->low + w->end - SYSCALL_SIZE) != page)
		return (struct padding){0};
	for (size_t at = max_of(from, (size_t)1); at < to; at++) {
		size_t room = w->size - at, len;

		if (w->bytes[at - 1] != 0xc3 || page_down(w->low + at) != page)
			continue;
		len = nop_length(w->bytes + at, room);
		if (len < PADDING_SIZE)
			len = int3s(w->bytes + at, room) ? PADDING_SIZE : 0;
		if (len > 0 && len <= SHORT_REACH && page_down(w->low + at + PADDING_SIZE - 1) == page)
			return (struct padding){at, len};
	}
	return (struct padding){0};
}

/* Does a function, or a loop, begin here: on a boundary, behind padding as compilers have it? */
static bool is_entry(const struct window *w, size_t at)
{
	static const uint8_t nops[][8] = {
		{3, 0x0f, 0x1f, 0x00}, {4, 0x0f, 0x1f, 0x40}, {5, 0x0f, 0x1f, 0x44}, {7, 0x0f, 0x1f, 0x80}, {8, 0x0f, 0x1f, 0x84},
	};
	static const uint8_t zeros[8];

	if ((w->low + at) % 16 != 0 || at < 8)
		return false;
	if (w->bytes[at - 1] == 0xcc && w->bytes[at - 2] == 0xcc)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(nops); i++) {
		const uint8_t *nop = w->bytes + at - nops[i][0];

		if (memcmp(nop, nops[i] + 1, 3) == 0 && memcmp(nop + 3, zeros, nops[i][0] - 3u) == 0)
			return true;
	}
	return false;
}

/* The instructions just before a site that could be executed elsewhere. */
struct run {
	unsigned count;
	size_t at[LEAD_MAX]; /* where each begins, from the window's start */
};

static void run_add(struct run *run, size_t at)
{
	if (run->count == LEAD_MAX)
		memmove(run->at, run->at + 1, --run->count * sizeof(run->at[0]));
	run->at[run->count++] = at;
}

/* A patch that begins here: where the text that it lies over ends, at its system call instruction or behind it; else 0. */
static size_t patched_until(const struct window *w, const struct patches *p, size_t at)
{
	int64_t index;

	if (!p || w->size - at < PADDING_SIZE)
		return 0;
	if (w->bytes[at] == JMP_SHORT && cell_index(p, w->bytes + at + 2) >= 0)
		return at + 2 + w->bytes[at + 1]; /* it was padding */
	index = cell_index(p, w->bytes + at);
	if (index < 0)
		return 0;
	return (size_t)(p->sites[index].ip - w->low) - (p->sites[index].moves == MOVES_LEAD ? SYSCALL_SIZE : 0);
}

/* Goes from one instruction to the next, from `at` to the site.  False if it does not come there, or the site is patched already. */
static bool walk(const struct window *w, const struct patches *p, size_t at, struct run *run)
{
	size_t site = w->end - SYSCALL_SIZE, until;
	struct insn i;

	run->count = 0;
	while (at < site) {
		until = patched_until(w, p, at);
		if (until > at) {
			if (until == site)
				return false;
			run->count = 0;
			at = until;
			continue;
		}
		if (!insn_decode(w->bytes + at, w->size - at, &i))
			return false;
		if (i.movable)
			run_add(run, at);
		else
			run->count = 0;
		at += i.len;
	}
	return at == site;
}

/* Of the run's instructions from the k-th on those that begin where the jump will be, behind its first byte: a bit each. */
static unsigned begin_inside(const struct run *run, unsigned k)
{
	unsigned inside = 0;

	for (unsigned i = k + 1; i < run->count && run->at[i] - run->at[k] < JMP_CELL_SIZE; i++)
		inside |= 1u << (run->at[i] - run->at[k]);
	return inside;
}

#define INSIDE_FOURTH (1u << 3)
#define INSIDE_SIXTH (1u << 5)

/* Where the site may begin so that its lead can be moved; *inside: see begin_inside.  All on one page, for the same reason as
 * padding. */
static bool choose_start(const struct window *w, const struct run *run, size_t *start, unsigned *inside)
{
	size_t site = w->end - SYSCALL_SIZE;

	for (unsigned k = run->count; k-- > 0;) {
		gva_t first = w->low + run->at[k];

		if (site - run->at[k] > LEAD_MAX)
			return false;
		*inside = begin_inside(run, k);
		if (site - run->at[k] < JMP_CELL_SIZE || (*inside & ~(INSIDE_FOURTH | INSIDE_SIXTH)) ||
		    page_down(first) != page_down(w->low + w->end - 1))
			continue;
		*start = run->at[k];
		return true;
	}
	return false;
}

/* Makes a site of the last form.  What begins where is known from the nearest entry of a function from which all is known. */
static bool find_lead(const struct window *w, const struct patches *p, struct site *site, unsigned *inside)
{
	struct run run;
	size_t start;
	int moved;

	for (size_t at = w->end - SYSCALL_SIZE; at-- > 0;) {
		if (!is_entry(w, at) || !walk(w, p, at, &run))
			continue;
		if (!choose_start(w, &run, &start, inside))
			return false;
		site->moves = MOVES_LEAD;
		site->lead = (uint8_t)(w->end - SYSCALL_SIZE - start);
		memcpy(site->text, w->bytes + start, site->lead);
		moved = moved_at(site, site->lead);
		return moved >= 0 && moved <= LEAD_MOVED_MAX;
	}
	return false;
}

/* ---- writing it ---- */

static bool has_company(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	bool company;

	mutex_lock(&st->lock);
	company = s->contexts.next != s->contexts.prev;
	mutex_unlock(&st->lock);
	return company;
}

static bool one_call(struct stub *s, uint64_t nr, uint64_t a, uint64_t b, uint64_t c) REQUIRES(s->leader_lock)
{
	struct leader_call call = {.nr = nr, .args = {a, b, c}};
	long result;

	return leader_request_locked(s, &call, 1, -1, &result) == 1;
}

static bool serialise(struct stub *s) REQUIRES(s->leader_lock)
{
	return one_call(s, SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

static bool write_text(struct stub *s, gva_t at, const uint8_t *bytes, size_t n)
{
	return systrap_write(&s->as, at, bytes, n) == (ssize_t)n;
}

/*
 * Bytes to go over what is at [at, at + n).  Meanwhile whoever comes to its first byte, or to one of those `inside` (a bit each), where
 * other instructions begin, traps.  There are bytes that trap for good at these.
 */
static bool replace_text(struct stub *s, gva_t at, const uint8_t *bytes, size_t n, unsigned inside, bool company)
	REQUIRES(s->leader_lock)
{
	static const uint8_t trap = NOT_AN_INSTRUCTION;

	if (!company)
		return write_text(s, at, bytes, n);
	for (unsigned i = 1; inside >> i; i++)
		if ((inside >> i & 1) && !write_text(s, at + i, &trap, 1))
			return false;
	return write_text(s, at, &trap, 1) && serialise(s) && write_text(s, at + 1, bytes + 1, n - 1) && serialise(s) &&
	       write_text(s, at, bytes, 1);
}

static void put_jmp_cell(uint8_t *at, int64_t index)
{
	uint32_t cell = cell_of((uint32_t)index);

	memcpy(at, (const uint8_t[]){0xff, 0x24, 0x25}, 3);
	memcpy(at + 3, &cell, sizeof(cell));
}

/* Where what is replaced begins. */
static gva_t site_start(const struct site *site)
{
	switch (site->moves) {
	case MOVES_EAX:
		return site->ip - SYSCALL_SIZE - MOV_SIZE;
	case MOVES_RAX:
		return site->ip - SYSCALL_SIZE - WIDE_MOV_SIZE;
	case MOVES_LEAD:
		return site->ip - SYSCALL_SIZE - site->lead;
	default:
		return site->ip - SYSCALL_SIZE;
	}
}

static bool patch_moving(struct stub *s, const struct site *site, unsigned inside, int64_t index, bool company)
	REQUIRES(s->leader_lock)
{
	uint8_t jmp[JMP_CELL_SIZE];

	put_jmp_cell(jmp, index);
	return replace_text(s, site_start(site), jmp, sizeof(jmp), inside, company);
}

static bool patch_by_padding(struct stub *s, const struct window *w, struct padding pad, int64_t index, bool company)
	REQUIRES(s->leader_lock)
{
	int64_t distance = (int64_t)(pad.at + 2) - (int64_t)w->end;
	uint8_t detour[PADDING_SIZE] = {JMP_SHORT, (uint8_t)(pad.len - 2)};
	uint8_t jmp[SYSCALL_SIZE] = {JMP_SHORT, (uint8_t)(int8_t)distance};

	ASSERT(distance >= INT8_MIN && distance <= INT8_MAX);
	put_jmp_cell(detour + 2, index);
	return replace_text(s, w->low + pad.at, detour, sizeof(detour), 0, company) &&
	       replace_text(s, w->low + w->end - sizeof(jmp), jmp, sizeof(jmp), 0, company);
}

/* Opens the text [low, high) to writing, or closes it again.  Whole, lest the host's mapping fall into pieces that do not
 * grow together again. */
static bool set_writable(struct stub *s, gva_t low, gva_t high, bool on) REQUIRES(s->leader_lock)
{
	return one_call(s, SYS_mprotect, low, high - low, (on ? PROT_WRITE : 0) | PROT_READ | PROT_EXEC);
}

static void patch_window(struct stub *s, const struct window *w, uint64_t nr, gva_t low, gva_t high)
	REQUIRES(s->leader_lock)
{
	struct site site = {.ip = w->low + w->end, .moves = moves_number(w, nr) ? MOVES_EAX : moves_wide(w, nr) ? MOVES_RAX : 0};
	struct padding pad = {0};
	bool company = has_company(s), ok;
	unsigned inside = site.moves == MOVES_EAX ? 1u << MOV_SIZE : 0;
	struct patches *p;
	int64_t index;

	if ((uint32_t)nr == SYS_rt_sigreturn && (site.moves != MOVES_RAX || !is_restorer_with_table(w)))
		return;
	if (site.moves)
		site.nr = (uint32_t)nr;
	else
		pad = find_padding(w);
	if (!site.moves && pad.len == 0 && !find_lead(w, atomic_load(&s->patches), &site, &inside))
		return;
	/* Of two pages one alone may be thrown away and come back from its file, and half a jump be left. */
	if (page_down(site_start(&site)) != page_down(site.ip - 1))
		return;
	p = patches_of(s);
	index = p ? take_site(s, p, &site, site.moves == MOVES_LEAD && (inside & INSIDE_FOURTH)) : -1;
	if (index < 0 || !set_writable(s, low, high, true))
		return;
	ok = site.moves ? patch_moving(s, &site, inside, index, company) : patch_by_padding(s, w, pad, index, company);
	if (!set_writable(s, low, high, false) || !ok)
		stub_kill(s, "its text is half patched");
}

void systrap_patch(struct pctx *ctx, gva_t ip, uint64_t nr, gva_t low, gva_t high)
{
	struct stub *s = stub_of(ctx->as);
	struct window w;

	if (high - low > TEXT_MAX)
		return;
	mutex_lock(&s->leader_lock);
	if (read_window(ctx->as, ip, low, high, &w))
		patch_window(s, &w, nr, low, high);
	mutex_unlock(&s->leader_lock);
}

/* ---- taking it back ---- */

/* Is the site as we patched it?  Then its original text goes to `was`, which has room for it; the length, else 0. */
static size_t original_text(struct stub *s, const struct patches *p, uint32_t index, uint8_t was[JMP_CELL_SIZE])
{
	const struct site *site = &p->sites[index];
	uint8_t now[JMP_CELL_SIZE], detour[JMP_CELL_SIZE];

	if (site->moves) {
		if (systrap_read(&s->as, site_start(site), now, JMP_CELL_SIZE) != JMP_CELL_SIZE || cell_index(p, now) != index)
			return 0;
		if (site->moves == MOVES_LEAD) {
			memcpy(was, site->text, JMP_CELL_SIZE);
			return JMP_CELL_SIZE;
		}
		if (site->moves == MOVES_RAX) {
			memcpy(was, (const uint8_t[]){0x48, 0xc7, 0xc0}, 3);
			memcpy(was + 3, &site->nr, sizeof(site->nr));
			return JMP_CELL_SIZE;
		}
		was[0] = MOV_EAX;
		memcpy(was + 1, &site->nr, sizeof(site->nr));
		memcpy(was + MOV_SIZE, syscall_insn, SYSCALL_SIZE);
		return JMP_CELL_SIZE;
	}
	if (systrap_read(&s->as, site->ip - SYSCALL_SIZE, now, SYSCALL_SIZE) != SYSCALL_SIZE || now[0] != JMP_SHORT ||
	    systrap_read(&s->as, site->ip + (uint64_t)(int64_t)(int8_t)now[1], detour, sizeof(detour)) !=
		    (ssize_t)sizeof(detour) ||
	    cell_index(p, detour) != index)
		return 0;
	memcpy(was, syscall_insn, SYSCALL_SIZE);
	return SYSCALL_SIZE;
}

void patch_take_back(struct stub *s, gva_t low, gva_t high)
{
	const struct patches *p = atomic_load(&s->patches);
	bool open = false, ok = true;

	if (!p)
		return;
	mutex_lock(&s->leader_lock);
	for (uint32_t i = 0; ok && i < atomic_load(&p->count); i++) {
		uint64_t ip = p->sites[i].ip;
		uint8_t was[JMP_CELL_SIZE];
		size_t n;

		if (ip <= low || ip > high)
			continue;
		n = original_text(s, p, i, was);
		if (n == 0)
			continue;
		ok = open || set_writable(s, low, high, true);
		open = true;
		/* A thread that is in there has no business to be: the text is being moved. */
		ok = ok && write_text(s, site_start(&p->sites[i]), was, n);
	}
	if (open && (!set_writable(s, low, high, false) || !ok))
		stub_kill(s, "its text is half patched");
	mutex_unlock(&s->leader_lock);
}

/* ---- what the trap handler asks ---- */

bool patch_is_hot(struct stub *s, uint64_t ip)
{
	_Atomic uint8_t *heat = &s->heat[(ip ^ ip >> 8 ^ ip >> 16) % HEAT_SLOTS];
	uint8_t seen = atomic_load_explicit(heat, memory_order_relaxed);

	/* Counts may be lost to other threads; and a site that cannot be patched is tried once in so many calls. */
	atomic_store_explicit(heat, (uint8_t)(seen + 1), memory_order_relaxed);
	return seen == PATCH_AT;
}

/* As after a system call instruction that ends at ip. */
static void after_call(struct context *c, uint64_t ip)
{
	c->regs.rip = c->regs.rcx = ip;
	c->regs.r11 = c->regs.eflags;
	c->regs_dirty = true;
}

/* Seven bytes of text; while a patch is under way, when it is done. */
static bool read_settled(struct stub *s, gva_t at, uint8_t text[JMP_CELL_SIZE])
{
	bool read;

	mutex_lock(&s->leader_lock);
	read = systrap_read(&s->as, at, text, JMP_CELL_SIZE) == JMP_CELL_SIZE;
	mutex_unlock(&s->leader_lock);
	return read;
}

static enum patch_verdict explain_illegal(struct context *c, const struct patches *p)
{
	struct stub *s = stub_of(c->ctx.as);
	static const unsigned inside[] = {MOV_SIZE, 3};
	uint8_t text[JMP_CELL_SIZE];
	uint64_t rip = c->regs.rip;
	int64_t index;

	/* Where the byte was that traps while a patch is made there is a jump by now. */
	if (read_settled(s, rip, text) && (text[0] == JMP_SHORT || cell_index(p, text) >= 0))
		return PATCH_RETRY;
	/* The place of an instruction that a whole jump lies over. */
	for (unsigned i = 0; i < ARRAY_SIZE(inside); i++) {
		const struct site *site;
		int moved;

		index = read_settled(s, rip - inside[i], text) ? cell_index(p, text) : -1;
		site = index < 0 ? NULL : &p->sites[index];
		if (site && site->moves == MOVES_EAX && site->ip == rip + SYSCALL_SIZE) {
			after_call(c, site->ip);
			return PATCH_CALL;
		}
		moved = site && site->moves == MOVES_LEAD && site_start(site) == rip - inside[i] ? moved_at(site, inside[i]) : -1;
		if (moved >= 0) {
			c->regs.rip = trampoline_addr(s, (uint32_t)index) + (unsigned)moved;
			c->regs_dirty = true;
			return PATCH_RESUME;
		}
	}
	return PATCH_NOTHING;
}

/* A signal at `moved` of the trampoline, where its site's own instructions are: it is shown where they were.  A step to the first of
 * them was none. */
static bool explain_lead(struct context *c, const struct site *site, size_t moved, int signo, enum patch_verdict *verdict)
{
	int at = text_at(site, moved);

	/* No step goes beyond: the system call instruction is there for who comes to it by steps. */
	if (site->moves != MOVES_LEAD || at < 0 || (at == site->lead && signo != L_SIGTRAP))
		return false;
	if (at == 0 && signo == L_SIGTRAP) {
		*verdict = PATCH_RESUME;
		return true;
	}
	c->regs.rip = site_start(site) + (unsigned)at;
	c->regs_dirty = true;
	*verdict = PATCH_NOTHING;
	return true;
}

enum patch_verdict patch_explains(struct context *c, int signo)
{
	struct stub *s = stub_of(c->ctx.as);
	const struct patches *p = atomic_load(&s->patches);
	uint64_t offset = c->regs.rip - trampoline_addr(s, 0);
	enum patch_verdict verdict;
	const struct site *site;

	if (!p)
		return PATCH_NOTHING;
	if (offset >= SYSTRAP_TRAMPOLINES_SIZE)
		return signo == L_SIGILL ? explain_illegal(c, p) : PATCH_NOTHING;
	if (offset / SYSTRAP_TRAMPOLINE_SIZE >= atomic_load(&p->count))
		return PATCH_NOTHING;
	site = &p->sites[offset / SYSTRAP_TRAMPOLINE_SIZE];
	if (explain_lead(c, site, offset % SYSTRAP_TRAMPOLINE_SIZE, signo, &verdict))
		return verdict;
	if (site->moves == MOVES_EAX || site->moves == MOVES_RAX)
		c->regs.rax = site->nr;
	after_call(c, site->ip);
	return PATCH_CALL;
}

void patch_hide_detour(struct context *c)
{
	struct stub *s = stub_of(c->ctx.as);
	const struct patches *p = atomic_load(&s->patches);
	uint8_t text[JMP_CELL_SIZE];
	int64_t index;

	if (!p || systrap_read(&s->as, c->regs.rip, text, sizeof(text)) != (ssize_t)sizeof(text))
		return;
	index = cell_index(p, text);
	if (index < 0 || p->sites[index].moves)
		return;
	c->regs.rip = p->sites[index].ip - SYSCALL_SIZE;
	c->regs_dirty = true;
}
