/*
 * Stubs that are used again (platform/systrap/recycle.c): what the next address space finds of the one before, which is
 * nothing; whose stubs are used for whom; and guests that do not end as they should.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "platform/platform.h"
#include "platform/systrap/systrap.h"
#include "sentry/core/cred.h"

#define CODE 0x400000ull
#define AFTER_CALL (CODE + 8)
#define DATA 0x500000ull
#define SHARED 0x600000ull
#define RW (L_PROT_READ | L_PROT_WRITE)
#define RX (L_PROT_READ | L_PROT_EXEC)
#define ANON (L_MAP_PRIVATE | L_MAP_ANONYMOUS)
#define SCATTERED 8 /* mappings all over guest memory */
#define KEPT_MOST 8

#define SNIPPET(name, body)                                                                                            \
	extern const uint8_t code_##name[], code_##name##_end[];                                                       \
	__asm__(".pushsection .rodata\n"                                                                               \
		"code_" #name ":\n" body "\ncode_" #name "_end: .byte 0\n"                                             \
		".popsection\n")

/* A call, and then a loop that counts at DATA. */
SNIPPET(call, "nop; mov $1000, %eax; syscall; 1: incl (%rdi); jmp 1b");

static struct systrap *st_of(struct platform *pf)
{
	return container_of(pf, struct systrap, pf);
}

static struct platform *start(void)
{
	struct platform *pf;
	char why[200] = "";
	int r = platform_start(&systrap_platform, &pf, why, sizeof(why));

	ck_assert_msg(r == 0, "%s", why);
	return pf;
}

static struct pas *create(struct platform *pf, uint64_t owner)
{
	struct pas *as;

	ck_assert_int_eq(pas_create_for(pf, owner, &as), 0);
	return as;
}

static uint64_t scattered(int i)
{
	return 0x100000 + (GUEST_CEILING / SCATTERED) * (uint64_t)i / PAGE_SIZE * PAGE_SIZE;
}

static void fill(struct pas *as)
{
	static const char secret[] = "secret";

	ck_assert_int_eq(pas_map(as, NULL, CODE, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(as, NULL, DATA, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_write(as, CODE, code_call, (size_t)(code_call_end - code_call)), code_call_end - code_call);
	ck_assert_int_eq(pas_protect(as, NULL, CODE, PAGE_SIZE, RX), 0);
	for (int i = 0; i < SCATTERED; i++) {
		ck_assert_int_eq(pas_map(as, NULL, scattered(i), PAGE_SIZE, RW, ANON, -1, 0), 0);
		ck_assert_int_eq(pas_write(as, scattered(i), secret, sizeof(secret)), sizeof(secret));
	}
}

static void check_empty(struct pas *as)
{
	char c;

	ck_assert_int_eq(pas_read(as, CODE, &c, 1), -EFAULT);
	ck_assert_int_eq(pas_read(as, DATA, &c, 1), -EFAULT);
	for (int i = 0; i < SCATTERED; i++)
		ck_assert_int_eq(pas_read(as, scattered(i), &c, 1), -EFAULT);
}

/* A thread that has made its call and waits for the answer. */
static struct pctx *thread(struct pas *as)
{
	struct abi_regs regs = {.rip = CODE, .rsp = DATA + PAGE_SIZE, .rdi = DATA, .cs = L_USER_CS, .ss = L_USER_DS,
				.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF};
	struct pf_event ev;
	struct pctx *ctx;

	ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
	ck_assert_int_eq(pctx_attach(ctx), 0);
	ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
	platform_switch(ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_SYSCALL);
	ck_assert_uint_eq(ev.nr, 1000);
	return ctx;
}

static unsigned kept(struct platform *pf)
{
	unsigned n;

	mutex_lock(&st_of(pf)->lock);
	n = st_of(pf)->used_count;
	mutex_unlock(&st_of(pf)->lock);
	return n;
}

/* Until so many are kept, for ten seconds at most. */
static void await_kept(struct platform *pf, unsigned count)
{
	for (int i = 0; i < 10000 && kept(pf) != count; i++)
		usleep(1000);
	ck_assert_uint_eq(kept(pf), count);
}

/* Lets go of it, and waits until the emptier has done with it, for ten seconds at most. */
static void leave(struct platform *pf, struct pas *as)
{
	unsigned left = 1;

	pas_leave(as);
	for (int i = 0; i < 100000 && left > 0; i++) {
		mutex_lock(&st_of(pf)->lock);
		left = st_of(pf)->left_count;
		mutex_unlock(&st_of(pf)->lock);
		if (left > 0)
			usleep(100);
	}
	ck_assert_uint_eq(left, 0);
}

START_TEST(nothing_is_left)
{
	struct platform *pf = start();
	pid_t pid = 0;

	for (int round = 0; round < 20; round++) {
		struct pas *as = create(pf, 7);
		struct pctx *ctx[3];

		if (round > 0)
			ck_assert_int_eq(pas_host_pid(as), pid);
		pid = pas_host_pid(as);
		ck_assert_int_eq(pas_before(as).used, round > 0);
		check_empty(as);
		fill(as);
		for (int i = 0; i < 3; i++)
			ctx[i] = thread(as);
		ck_assert_int_eq(pctx_thread(ctx[0]).before_ns, 0);
		for (int i = 0; i < 3; i++)
			pctx_destroy(ctx[2 - i]);
		leave(pf, as);
		ck_assert_uint_eq(kept(pf), 1);
	}
	platform_stop(pf);
}
END_TEST

START_TEST(channel_is_wiped)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);
	static const uint8_t scribble[16] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
	struct pctx *ctx;
	uint8_t *ch;

	fill(as);
	ctx = thread(as);
	ch = container_of(ctx, struct context, ctx)->ch;
	memset(ch + CH_PIECES, scribble[0], PIECE_COUNT * CH_PIECE_SIZE);
	pctx_destroy(ctx);
	leave(pf, as);
	ck_assert_uint_eq(kept(pf), 1);
	ck_assert(!memmem(ch, st_of(pf)->frame.channel_size, scribble, sizeof(scribble)));
	as = create(pf, 7);
	fill(as);
	ctx = thread(as);
	ck_assert_ptr_eq(container_of(ctx, struct context, ctx)->ch, ch);
	pctx_destroy(ctx);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

START_TEST(patches_are_forgotten)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);
	pid_t pid = pas_host_pid(as);
	struct pctx *ctx;

	if (!pf->patching) {
		leave(pf, as);
		platform_stop(pf);
		return;
	}
	fill(as);
	ctx = thread(as);
	systrap_patch(ctx, AFTER_CALL, 1000, CODE, CODE + PAGE_SIZE);
	ck_assert(atomic_load(&stub_of(as)->patches) != NULL);
	pctx_destroy(ctx);
	leave(pf, as);
	as = create(pf, 7);
	ck_assert_int_eq(pas_host_pid(as), pid);
	ck_assert(atomic_load(&stub_of(as)->patches) == NULL);
	fill(as);
	ctx = thread(as); /* whose call is made by a trap: there is nothing to jump to */
	ck_assert(!container_of(ctx, struct context, ctx)->in_call);
	pctx_destroy(ctx);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

START_TEST(each_owner_has_its_own)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7), *other;
	pid_t pid = pas_host_pid(as);

	fill(as);
	leave(pf, as);
	other = create(pf, 8);
	ck_assert_int_ne(pas_host_pid(other), pid);
	as = create(pf, 7);
	ck_assert_int_eq(pas_host_pid(as), pid);
	/* One that two owners had is nobody's afterwards. */
	pas_had_by(as, 7);
	pas_had_by(as, 8);
	leave(pf, as);
	leave(pf, other);
	as = create(pf, 7);
	ck_assert_int_ne(pas_host_pid(as), pid);
	leave(pf, as);
	/* And without an owner there is none to be kept. */
	as = create(pf, 0);
	pid = pas_host_pid(as);
	leave(pf, as);
	as = create(pf, 0);
	ck_assert_int_ne(pas_host_pid(as), pid);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

/* Who lets go of it in passing does not wait for it. */
START_TEST(put_kills)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);

	pas_get(as);
	leave(pf, as);
	pas_put(as);
	ck_assert_uint_eq(kept(pf), 0);
	platform_stop(pf);
}
END_TEST

START_TEST(forks_inherit_the_owner)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7), *child;
	struct pctx *ctx, *child_ctx;

	fill(as);
	ctx = thread(as);
	ck_assert_int_eq(pas_fork(ctx, &child, &child_ctx), 0);
	pctx_destroy(child_ctx);
	leave(pf, child);
	ck_assert_uint_eq(kept(pf), 1);
	child = create(pf, 7);
	ck_assert_uint_eq(kept(pf), 0);
	check_empty(child);
	leave(pf, child);
	pas_had_by(as, 8);
	ck_assert_int_eq(pas_fork(ctx, &child, &child_ctx), 0);
	pctx_destroy(child_ctx);
	leave(pf, child);
	ck_assert_uint_eq(kept(pf), 1);
	pctx_destroy(ctx);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

START_TEST(so_many_and_no_more)
{
	struct platform *pf = start();
	struct pas *as[2 * KEPT_MOST];

	for (int owner = 7; owner < 9; owner++) {
		for (int i = 0; i < 2 * KEPT_MOST; i++)
			as[i] = create(pf, (uint64_t)owner);
		for (int i = 0; i < 2 * KEPT_MOST; i++)
			leave(pf, as[i]);
		ck_assert_uint_eq(kept(pf), KEPT_MOST);
		/* The second owner's have taken the place of the first one's. */
		for (int i = 0; i < KEPT_MOST; i++)
			ck_assert(pas_before(as[i] = create(pf, (uint64_t)owner)).used);
		ck_assert_uint_eq(kept(pf), 0);
		for (int i = 0; i < KEPT_MOST; i++)
			leave(pf, as[i]);
	}
	platform_stop(pf);
}
END_TEST

START_TEST(dies_while_it_is_kept)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);
	pid_t pid = pas_host_pid(as);

	leave(pf, as);
	ck_assert_uint_eq(kept(pf), 1);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	await_kept(pf, 0);
	as = create(pf, 7);
	ck_assert(!pas_before(as).used);
	fill(as);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

/* Killed at any moment: whoever has it then hears of it, and the next gets another. */
static void *kill_soon(void *arg)
{
	const int *what = arg;

	usleep((useconds_t)(what[1] % 400));
	kill(what[0], what[2]);
	return NULL;
}

/* One life of a stub, of which any step may find it dead. */
static void live(struct platform *pf, unsigned round)
{
	struct abi_regs regs = {.rip = CODE, .rsp = DATA + PAGE_SIZE, .rdi = DATA, .cs = L_USER_CS, .ss = L_USER_DS,
				.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF};
	struct pas *as = create(pf, 7);
	int what[3] = {pas_host_pid(as), (int)(round * 7), SIGKILL};
	struct pctx *ctx = NULL;
	struct pf_event ev;
	pthread_t killer;
	int r;

	ck_assert_int_eq(pthread_create(&killer, NULL, kill_soon, what), 0);
	r = pas_map(as, NULL, CODE, PAGE_SIZE, RW | RX, ANON, -1, 0);
	if (r == 0)
		r = pas_map(as, NULL, DATA, PAGE_SIZE, RW, ANON, -1, 0);
	if (r == 0)
		(void)!pas_write(as, CODE, code_call, (size_t)(code_call_end - code_call));
	if (r == 0)
		r = pctx_spawn(as, NULL, &ctx);
	if (r == 0) {
		ck_assert_int_eq(pctx_attach(ctx), 0);
		ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
		platform_switch(ctx, &ev);
		ck_assert(ev.kind == PF_SYSCALL || ev.kind == PF_DEAD);
		pctx_destroy(ctx);
	}
	ck_assert(r == 0 || r == -ESRCH);
	leave(pf, as);
	pthread_join(killer, NULL);
}

START_TEST(dies_at_any_moment)
{
	struct platform *pf = start();
	struct pas *as;

	for (unsigned round = 0; round < 300; round++)
		live(pf, round);
	await_kept(pf, 0);
	as = create(pf, 7);
	fill(as);
	pctx_destroy(thread(as));
	leave(pf, as);
	ck_assert_uint_eq(kept(pf), 1);
	platform_stop(pf);
}
END_TEST

static void share(struct pas *as, int open_flags)
{
	int file = memfd_create("test", MFD_CLOEXEC), fd;
	char path[64];

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(ftruncate(file, PAGE_SIZE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	fd = open(path, open_flags | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pas_map(as, NULL, SHARED, PAGE_SIZE, L_PROT_READ, L_MAP_SHARED, fd, 0), 0);
	close(fd);
	close(file);
}

static bool emptier_started(struct platform *pf)
{
	bool started;

	mutex_lock(&st_of(pf)->lock);
	started = st_of(pf)->emptier_started;
	mutex_unlock(&st_of(pf)->lock);
	return started;
}

/* What could write to others' memory is not left to the emptier: none of its threads is there any more when it is left. */
START_TEST(shared_memory_is_not_left)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7), *child;
	struct pctx *ctx, *child_ctx;
	pid_t pid = pas_host_pid(as);

	fill(as);
	share(as, O_RDWR);
	ctx = thread(as);
	ck_assert_int_eq(pas_fork(ctx, &child, &child_ctx), 0);
	pctx_destroy(child_ctx);
	pas_leave(child);
	pctx_destroy(ctx);
	pas_leave(as);
	ck_assert(!emptier_started(pf));
	ck_assert_uint_eq(kept(pf), 2);
	/* It is a matter of each program's. */
	as = create(pf, 7);
	ck_assert_int_eq(pas_host_pid(as), pid);
	check_empty(as);
	fill(as);
	share(as, O_RDONLY);
	pctx_destroy(thread(as));
	leave(pf, as);
	ck_assert(emptier_started(pf));
	ck_assert_uint_eq(kept(pf), 2);
	platform_stop(pf);
}
END_TEST

/* A stopped one does not answer: nobody waits for it for long. */
START_TEST(stopped_when_it_is_left)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);
	pid_t pid = pas_host_pid(as);
	struct timespec begin, end;
	struct pctx *ctx;
	siginfo_t info;

	fill(as);
	ctx = thread(as);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	/* Only when all of its threads have. */
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT | __WALL), 0);
	pctx_destroy(ctx);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	leave(pf, as);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_int_lt(end.tv_sec - begin.tv_sec, 3);
	ck_assert_uint_eq(kept(pf), 0);
	for (int i = 0; i < 10000 && kill(pid, 0) == 0; i++)
		usleep(1000);
	ck_assert_int_eq(kill(pid, 0), -1);
	platform_stop(pf);
}
END_TEST

static void *run(void *arg)
{
	struct pctx *ctx = arg;
	struct pf_event ev;

	ck_assert_int_eq(pctx_attach(ctx), 0);
	pctx_set_result(ctx, 0);
	platform_switch(ctx, &ev);
	return NULL;
}

/* A thread that the sentry takes for parked, because a sibling wrote so into its channel, and that goes on running. */
START_TEST(runs_while_it_seems_parked)
{
	struct platform *pf = start();
	struct pas *as = create(pf, 7);
	struct abi_regs regs = {.rip = AFTER_CALL, .rsp = DATA + PAGE_SIZE, .rdi = DATA, .cs = L_USER_CS, .ss = L_USER_DS,
				.eflags = L_EFLAGS_FIXED | L_EFLAGS_IF};
	pid_t pid = pas_host_pid(as);
	uint32_t count = 0;
	struct pctx *ctx;
	pthread_t sentry;

	fill(as);
	ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
	ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
	ck_assert_int_eq(pthread_create(&sentry, NULL, run, ctx), 0);
	while (count == 0) {
		ck_assert_int_eq(pas_read(as, DATA, &count, sizeof(count)), sizeof(count));
		usleep(100);
	}
	atomic_store(channel_word(container_of(ctx, struct context, ctx)), WORD_SENTRY);
	futex_wake_shared(channel_word(container_of(ctx, struct context, ctx)));
	pthread_join(sentry, NULL);
	ck_assert(!pas_is_dead(as));
	container_of(ctx, struct context, ctx)->attached = false; /* by the thread that is gone */
	pctx_destroy(ctx);
	leave(pf, as);
	ck_assert_uint_eq(kept(pf), 0);
	/* It is killed, and its number is let go. */
	for (int i = 0; i < 10000 && kill(pid, 0) == 0; i++)
		usleep(1000);
	ck_assert_int_eq(kill(pid, 0), -1);
	as = create(pf, 7);
	ck_assert(!pas_before(as).used);
	leave(pf, as);
	platform_stop(pf);
}
END_TEST

/* What makes credentials another owner's: anything. */
START_TEST(credentials_are_owners)
{
	static const uint32_t groups[] = {5, 7};
	struct cred *c = cred_new(1000, 1000, groups, 2), *d;
	uint64_t last;

	ck_assert_ptr_nonnull(c);
	d = cred_copy(c, 2);
	ck_assert_ptr_nonnull(d);
	cred_settle(d, c);
	ck_assert_uint_ne(c->owner, 0);
	ck_assert_uint_eq(d->owner, c->owner);
	for (int what = 0; what < 7; what++) {
		cred_put(d);
		d = cred_copy(c, what == 6 ? 1 : 2);
		ck_assert_ptr_nonnull(d);
		switch (what) {
		case 0:
			d->euid = 0;
			break;
		case 1:
			d->fsgid = 0;
			break;
		case 2:
			d->cap_permitted = 1;
			break;
		case 3:
			d->securebits = 1;
			break;
		case 4:
			d->no_new_privs = true;
			break;
		case 5:
			d->groups[1] = 8;
			break;
		}
		cred_settle(d, c);
		ck_assert_uint_ne(d->owner, c->owner);
		last = d->owner;
		cred_settle(d, c);
		ck_assert_uint_eq(d->owner, last);
	}
	cred_put(d);
	cred_put(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recycle");
	TCase *tc = tcase_create("stubs");
	SRunner *runner;
	char why[300];
	int failed;

	if (platform_probe(&systrap_platform, why, sizeof(why)) < 0) {
		printf("SKIP recycle: %s\n", why);
		return 0;
	}
	log_threshold = LOG_ERROR; /* killed guests are among what this is about */
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_is_left);
	tcase_add_test(tc, channel_is_wiped);
	tcase_add_test(tc, patches_are_forgotten);
	tcase_add_test(tc, each_owner_has_its_own);
	tcase_add_test(tc, put_kills);
	tcase_add_test(tc, forks_inherit_the_owner);
	tcase_add_test(tc, so_many_and_no_more);
	tcase_add_test(tc, dies_while_it_is_kept);
	tcase_add_test(tc, dies_at_any_moment);
	tcase_add_test(tc, shared_memory_is_not_left);
	tcase_add_test(tc, stopped_when_it_is_left);
	tcase_add_test(tc, runs_while_it_seems_parked);
	tcase_add_test(tc, credentials_are_owners);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
