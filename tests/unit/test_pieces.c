/*
 * What a patched call and the sentry find in a channel: which memory a call takes along, and what becomes of it
 * (platform/systrap/pieces.c); the registers with which it is left; where waiters for a futex are counted.  The guest is this process
 * itself: its memory below the ceiling is the guest's.
 */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/syscalls.h"
#include "platform/systrap/systrap.h"

#define GUEST 0x20000000ull

static uint8_t channel[SYSTRAP_CHANNEL_SIZE] __attribute__((aligned(4096)));
static struct systrap st;
static struct stub stub;
static struct context ctx;
static uint8_t *guest; /* two pages at GUEST */

static void find(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, struct piece p[PIECE_COUNT])
{
	const uint64_t args[6] = {a0, a1, a2, a3, 0, 0};

	memset(p, 0xee, sizeof(*p) * PIECE_COUNT);
	pieces_find(nr, args, p);
}

static void setup(void)
{
	pieces_table_make();
	guest = mmap((void *)(uintptr_t)GUEST, 8192, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert_uint_eq((uintptr_t)guest, GUEST);
	memset(channel, 0, sizeof(channel));
	stub = (struct stub){.as = {.pf = &st.pf, .host_pid = getpid()}, .threads = 1};
	ctx = (struct context){.ctx = {.as = &stub.as}, .ch = channel};
}

static void teardown(void)
{
	munmap(guest, 8192);
}

/* ---- what comes in ---- */

START_TEST(lengths)
{
	struct piece p[PIECE_COUNT];

	find(SYS_write, 3, GUEST, 100, 0, p);
	ck_assert(p[0].kind == PIECE_MEM && p[0].addr == GUEST && p[0].len == 100);
	ck_assert_uint_eq(p[1].kind, 0);
	/* All or nothing. */
	find(SYS_write, 3, GUEST, CH_PIECE_SIZE, 0, p);
	ck_assert(p[0].kind == PIECE_MEM && p[0].len == CH_PIECE_SIZE);
	find(SYS_write, 3, GUEST, CH_PIECE_SIZE + 1, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_write, 3, GUEST, UINT64_MAX, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_write, 3, GUEST, 0, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	/* Arrays. */
	find(SYS_poll, GUEST, 3, 0, 0, p);
	ck_assert(p[0].kind == PIECE_MEM && p[0].len == 3 * sizeof(struct pollfd));
	find(SYS_poll, GUEST, CH_PIECE_SIZE / 8 + 1, 0, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_poll, GUEST, 1ull << 61, 0, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
}
END_TEST

START_TEST(two)
{
	struct piece p[PIECE_COUNT];

	find(SYS_stat, GUEST, GUEST + 500, 0, 0, p);
	ck_assert(p[0].kind == PIECE_STR && p[0].addr == GUEST && p[0].len == CH_PIECE_SIZE);
	ck_assert_uint_eq(p[1].kind, 0);
	find(SYS_rt_sigaction, 10, 0, GUEST, 8, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_rename, GUEST, GUEST + 10, 0, 0, p);
	ck_assert(p[0].kind == PIECE_STR && p[1].kind == PIECE_STR && p[1].addr == GUEST + 10);
}
END_TEST

START_TEST(none)
{
	static const uint64_t numbers[] = {SYS_futex, SYS_getpid, SYS_execve, SYS_clone, SYS_read, 470, 511, 512, 1000, UINT64_MAX};
	struct piece p[PIECE_COUNT];

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		find(numbers[i], GUEST, GUEST, GUEST, GUEST, p);
		ck_assert_uint_eq(p[0].kind, 0);
		ck_assert_uint_eq(p[1].kind, 0);
	}
	/* What is not guest memory is nobody's to name. */
	find(SYS_write, 3, GUEST_CEILING - 10, 10, 0, p);
	ck_assert_uint_eq(p[0].kind, PIECE_MEM);
	find(SYS_write, 3, GUEST_CEILING - 10, 11, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_write, 3, GUEST_CEILING, 1, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_write, 3, UINT64_MAX - 3, 10, 0, p);
	ck_assert_uint_eq(p[0].kind, 0);
	find(SYS_access, GUEST_CEILING - 10, 0, 0, 0, p);
	ck_assert(p[0].kind == PIECE_STR && p[0].len == 10);
}
END_TEST

/* Whatever the registers, a call's pieces fit into their places and are of guest memory. */
START_TEST(all_within)
{
	static const uint64_t values[] = {0,	 1,	  8,	       63,	     64,	 1023,	1024, 1025,
					  16383, 16384,	  16385,       1u << 31,     UINT32_MAX, GUEST, GUEST + 1,
					  GUEST_CEILING - 1, GUEST_CEILING, 1ull << 63, UINT64_MAX};
	unsigned seed = 1;

	for (uint64_t nr = 0; nr < SYSTRAP_PIECES_CALLS + 2; nr++)
		for (int round = 0; round < 500; round++) {
			struct piece p[PIECE_COUNT];
			uint64_t a[6];

			for (int i = 0; i < 6; i++)
				a[i] = values[(unsigned)rand_r(&seed) % ARRAY_SIZE(values)];
			pieces_find(nr, a, p);
			for (int i = 0; i < PIECE_COUNT; i++)
				ck_assert(!p[i].kind ||
					  (p[i].len > 0 && p[i].len <= CH_PIECE_SIZE && p[i].addr + p[i].len <= GUEST_CEILING));
		}
}
END_TEST

static void begin(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint32_t taken0, uint32_t taken1)
{
	const uint64_t args[6] = {a0, a1, a2, 8, 0, 0};

	ctx.ctx.pieces = false;
	atomic_store(channel_u32(&ctx, CH_TAKEN), taken0);
	atomic_store(channel_u32(&ctx, CH_TAKEN + 4), taken1);
	pieces_begin(&ctx, nr, args);
}

START_TEST(what_the_shim_says)
{
	atomic_store(&stub.threads, 2);
	begin(SYS_write, 3, GUEST, 100, 100, 0);
	ck_assert(ctx.ctx.pieces);
	begin(SYS_write, 3, GUEST, 100, 0, 0);
	ck_assert(!ctx.ctx.pieces);
	begin(SYS_write, 3, GUEST, 100, 99, 0); /* lies */
	ck_assert(!ctx.ctx.pieces);
	begin(SYS_write, 3, GUEST, 100, 101, 0);
	ck_assert(!ctx.ctx.pieces);
	begin(SYS_write, 3, GUEST, 100, UINT32_MAX, UINT32_MAX);
	ck_assert(!ctx.ctx.pieces);
	begin(SYS_access, GUEST, 0, 0, 5, 0);
	ck_assert(ctx.ctx.pieces && ctx.pieces[0].len == 5);
	begin(SYS_access, GUEST, 0, 0, CH_PIECE_SIZE + 1, 0);
	ck_assert(!ctx.ctx.pieces);
	begin(SYS_getpid, GUEST, GUEST, GUEST, 5, 5);
	ck_assert(!ctx.ctx.pieces);
}
END_TEST

START_TEST(in)
{
	char buf[100];

	begin(SYS_write, 3, GUEST + 10, 100, 100, 0);
	memset(channel + CH_PIECES, 'i', 100);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 10, buf, 100), 100);
	ck_assert(buf[0] == 'i' && buf[99] == 'i');
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 109, buf, 1), 1);
	/* Beyond it the platform knows nothing. */
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 9, buf, 1), 0);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 10, buf, 101), 0);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 110, buf, 1), 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 9, buf, 1), 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 110, buf, 1), 0);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 109, buf, 1), 1);
	/* Writing there makes it old. */
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 109, buf, 1), 0);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 10, buf, 1), 0);
}
END_TEST

START_TEST(strings)
{
	char buf[100];

	begin(SYS_rename, GUEST, GUEST + 50, 0, 4, 6);
	memcpy(channel + CH_PIECES, "one", 4);
	memcpy(channel + CH_PIECES + CH_PIECE_SIZE, "threes", 6); /* no NUL, whatever the shim says */
	ck_assert_uint_eq(systrap_piece_string(&ctx.ctx, GUEST, buf, sizeof(buf)), 4);
	ck_assert_str_eq(buf, "one");
	ck_assert_uint_eq(systrap_piece_string(&ctx.ctx, GUEST, buf, 3), 0);
	ck_assert_uint_eq(systrap_piece_string(&ctx.ctx, GUEST + 1, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(systrap_piece_string(&ctx.ctx, GUEST + 50, buf, sizeof(buf)), 0);
	channel[CH_PIECES + 1] = 0;
	ck_assert_uint_eq(systrap_piece_string(&ctx.ctx, GUEST, buf, sizeof(buf)), 2);
}
END_TEST

/* ---- what goes out ---- */

/* A read(2) that may give what it finds, in the guest's two pages. */
static void begin_read(void)
{
	begin(SYS_read, 3, GUEST, 100, 0, 0);
	systrap_set_room(&ctx.ctx, GUEST, GUEST + 8192, true);
}

/* What the shim is told to copy: so many pieces, and the bytes of the first. */
static void returns(uint32_t count, const char *first)
{
	struct give g;

	ck_assert_uint_eq(pieces_return(&ctx), count > 0 ? WORD_GIVE : WORD_RETURN);
	ck_assert(count == 0 || atomic_load(channel_u32(&ctx, CH_GIVE_COUNT)) == count);
	ck_assert(!ctx.ctx.pieces);
	ck_assert_uint_eq(atomic_load(&stub.as.giving), count > 0 ? GIVE_NOW : GIVE_NOTHING);
	memcpy(&g, channel + CH_GIVE, sizeof(g));
	if (count > 0)
		ck_assert(g.len == strlen(first) && memcmp(channel + g.at, first, g.len) == 0);
	pieces_arrived(&ctx);
	ck_assert_uint_eq(atomic_load(&stub.as.giving), GIVE_NOTHING);
}

START_TEST(room)
{
	begin(SYS_read, 3, GUEST, 100, 0, 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 5, "a", 1), 0);
	ck_assert_uint_eq(ctx.want_room, GUEST + 5);
	ctx.want_room = 0;
	systrap_set_room(&ctx.ctx, GUEST, GUEST + 4096, true);
	systrap_set_room(&ctx.ctx, GUEST + 4096, GUEST + 8192, false);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 4095, "a", 1), 1);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 4000, "abcdefgh", 97), 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 4096, "a", 1), 0);
	ck_assert_uint_eq(ctx.want_room, 0); /* it is known to be none */
	atomic_fetch_add(&stub.as.version, 1);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 10, "a", 1), 0);
	ck_assert_uint_eq(ctx.want_room, GUEST + 10);
}
END_TEST

START_TEST(out)
{
	char buf[100];

	begin_read();
	memset(guest, '-', 200);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "abcd", 4), 4);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 4, "ef", 2), 2);
	ck_assert(guest[0] == '-');
	returns(1, "abcdef");
	/* Here and there. */
	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "abcd", 4), 4);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 50, "ef", 2), 2);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 60, "gh", 2), 2);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 70, "ij", 2), 2);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 80, "kl", 2), 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 72, "mn", 2), 2);
	returns(4, "abcd");
	returns(0, "");
	/* What is looked at, or written again, is there before. */
	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "abcd", 4), 4);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 4, buf, 10), 0);
	ck_assert(guest[0] == '-');
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST + 3, buf, 10), 0);
	ck_assert(memcmp(guest, "abcd--", 6) == 0);
	ck_assert_uint_eq(atomic_load(&stub.as.giving), GIVE_NOTHING);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "ABCD", 4), 4);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 3, "xy", 2), 0);
	ck_assert(memcmp(guest, "ABCD--", 6) == 0);
	/* Also at its end. */
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "1234", 4), 4);
	pieces_end(&ctx);
	ck_assert(memcmp(guest, "1234--", 6) == 0);
	ck_assert(!ctx.ctx.pieces && atomic_load(&stub.as.giving) == GIVE_NOTHING);
	returns(0, "");
}
END_TEST

START_TEST(no_more_than_there_is_place)
{
	static char much[CH_OUT_SIZE + 1];

	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, much, CH_OUT_SIZE + 1), 0);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, much, CH_OUT_SIZE), CH_OUT_SIZE);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + CH_OUT_SIZE, much, 1), 0);
	ck_assert_uint_eq(pieces_return(&ctx), WORD_GIVE);
	ck_assert_uint_eq(atomic_load(channel_u32(&ctx, CH_GIVE_COUNT)), 1);
	pieces_arrived(&ctx);
}
END_TEST

/* Others may look: nothing is kept from guest memory. */
START_TEST(in_company)
{
	atomic_store(&stub.threads, 2);
	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "x", 1), 0);
	atomic_store(&stub.threads, 1);
	atomic_store(&stub.as.watchers, 1);
	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "x", 1), 0);
	ck_assert_uint_eq(atomic_load(&stub.as.giving), GIVE_NOTHING);
	atomic_store(&stub.as.watchers, 0);
	begin_read();
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST, "x", 1), 1);
	returns(1, "x");
}
END_TEST

/* poll(2): the whole as it came, but where something has been written. */
START_TEST(in_and_out)
{
	struct pollfd fds[2] = {{1, POLLIN, 0}, {2, POLLIN, 0}}, got[2];

	begin(SYS_poll, GUEST, 2, 0, 16, 0);
	systrap_set_room(&ctx.ctx, GUEST, GUEST + 8192, true);
	memcpy(channel + CH_PIECES, fds, sizeof(fds));
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST, got, 16), 16);
	ck_assert(got[0].fd == 1 && got[1].fd == 2);
	ck_assert_int_eq(systrap_piece_write(&ctx.ctx, GUEST + 14, "ab", 2), 2);
	ck_assert_int_eq(systrap_piece_read(&ctx.ctx, GUEST, got, 16), 0);
	ck_assert(memcmp(guest + 14, "ab", 2) == 0);
	returns(0, "");
}
END_TEST

/* ---- a call that is left with other registers ---- */

START_TEST(back)
{
	struct abi_regs regs, *r = &ctx.regs;
	uint64_t word;

	for (size_t i = 0; i < sizeof(*r) / 8; i++)
		((uint64_t *)r)[i] = 0x1000 + i;
	r->cs = L_USER_CS;
	r->ss = L_USER_DS;
	r->gs_base = 0;
	r->ds = r->es = r->fs = r->gs = 0;
	r->eflags = L_EFLAGS_FIXED | L_EFLAGS_IF | L_EFLAGS_CF | L_EFLAGS_TF;
	r->orig_rax = UINT64_MAX;
	regs = *r;
	ctx.regs_dirty = true;
	memcpy(channel + CH_FS_BASE, &r->fs_base, sizeof(r->fs_base));
	ck_assert(back_store(&ctx) && !ctx.regs_dirty);
	memcpy(&word, channel + CH_BACK_RIP, sizeof(word));
	ck_assert_uint_eq(word, regs.rip);
	memcpy(&word, channel + CH_BACK_RSP, sizeof(word));
	ck_assert_uint_eq(word, regs.rsp);
	memset(r, 0xee, sizeof(*r));
	back_load(&ctx);
	ck_assert(ctx.regs_dirty && memcmp(r, &regs, sizeof(regs)) == 0);
	/* Flags that are none of a user's do not go there. */
	r->eflags = UINT64_MAX;
	ck_assert(back_store(&ctx));
	memcpy(&word, channel + CH_BACK_EFLAGS, sizeof(word));
	ck_assert_uint_eq(word & ~(uint64_t)(L_EFLAGS_RESTORABLE | L_EFLAGS_FIXED | L_EFLAGS_IF | 0x204000), 0);
	/* Nor is this the way to where iretq would fault, or to other code. */
	*r = regs;
	r->rip = 0x7ffffffff000;
	ck_assert(!back_store(&ctx));
	r->rip = 0x8000000000000000;
	ck_assert(!back_store(&ctx));
	*r = regs;
	r->cs = L_USER_CS_32;
	ck_assert(!back_store(&ctx));
}
END_TEST

/* ---- waiters ---- */

START_TEST(waiter_slots)
{
	unsigned seen[PAS_WAITER_COUNTS] = {0};

	for (uint64_t at = 0; at < 4096; at += 4) {
		ck_assert_uint_lt(pas_waiter_slot(at), PAS_WAITER_COUNTS);
		seen[pas_waiter_slot(at)]++;
		/* The same in every mapping of the page, and for either form's key. */
		ck_assert_uint_eq(pas_waiter_slot(at), pas_waiter_slot(at + 0x7f1234567000));
		ck_assert_uint_eq(pas_waiter_slot(at), pas_waiter_slot(at | 1));
	}
	for (unsigned i = 0; i < PAS_WAITER_COUNTS; i++)
		ck_assert_uint_eq(seen[i], 1024 / PAS_WAITER_COUNTS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pieces");
	TCase *tc = tcase_create("pieces");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, two);
	tcase_add_test(tc, none);
	tcase_add_test(tc, all_within);
	tcase_add_test(tc, what_the_shim_says);
	tcase_add_test(tc, in);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, room);
	tcase_add_test(tc, out);
	tcase_add_test(tc, no_more_than_there_is_place);
	tcase_add_test(tc, in_company);
	tcase_add_test(tc, in_and_out);
	tcase_add_test(tc, back);
	tcase_add_test(tc, waiter_slots);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
