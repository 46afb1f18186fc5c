/*
 * The ptrace platform when a stub does not answer.  What makes one silent here is a thief: a thread of this process that
 * takes the stops which the tracer waits for, as nothing else may.  Whoever waits has to get away, and a bystander in the
 * same sandbox goes on.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/platform.h"
#include "platform/ptrace/internal.h"

#define LOOK_NS 50000000 /* so that the watchdog loses its patience in two seconds, but not with a machine that is busy */
#define CODE 0x400000ull
#define DATA 0x500000ull
#define RW (L_PROT_READ | L_PROT_WRITE)
#define RX (L_PROT_READ | L_PROT_EXEC)
#define ANON (L_MAP_PRIVATE | L_MAP_ANONYMOUS)

extern const uint8_t code_calls[], code_calls_end[], code_spin[], code_spin_end[];
__asm__(".pushsection .rodata\n"
	"code_calls: 1: mov $1000, %eax; syscall; jmp 1b\n"
	"code_calls_end: .byte 0\n"
	"code_spin: 1: jmp 1b\n"
	"code_spin_end: .byte 0\n"
	".popsection\n");

struct world {
	struct platform *pf;
	struct pas *as, *other_as;
	struct pctx *ctx, *other;
};

static struct pctx *new_guest(struct world *w, struct pas **as, const uint8_t *code, const uint8_t *end)
{
	struct abi_regs regs = {
		.rip = CODE,
		.rsp = DATA + PAGE_SIZE,
		.cs = X86_64_USER_CS,
		.ss = X86_64_USER_DS,
		.eflags = X86_64_EFLAGS_FRESH,
		.orig_rax = UINT64_MAX,
	};
	struct pctx *ctx;

	ck_assert_int_eq(pas_create(w->pf, as), 0);
	ck_assert_int_eq(pas_map(*as, NULL, CODE, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(*as, NULL, DATA, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_write(*as, CODE, code, (size_t)(end - code)), end - code);
	ck_assert_int_eq(pas_protect(*as, NULL, CODE, PAGE_SIZE, RX), 0);
	ck_assert_int_eq(pctx_spawn(*as, NULL, &ctx), 0);
	ck_assert_int_eq(pctx_attach(ctx), 0);
	ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
	return ctx;
}

/* The bystander is attached first: the calling thread's contexts are both its own. */
static void start(struct world *w, const uint8_t *code, const uint8_t *end)
{
	char why[200] = "";

	ck_assert_msg(platform_start(&ptrace_platform, &w->pf, why, sizeof(why)) == 0, "%s", why);
	container_of(w->pf, struct ptrace_platform, base)->dog.look_ns = LOOK_NS;
	w->other = new_guest(w, &w->other_as, code_calls, code_calls_end);
	w->ctx = new_guest(w, &w->as, code, end);
}

static void bystander_goes_on(struct world *w)
{
	struct pf_event ev;

	for (int i = 0; i < 100; i++) {
		platform_switch(w->other, &ev);
		ck_assert_int_eq(ev.kind, PF_SYSCALL);
		ck_assert_uint_eq(ev.nr, 1000);
	}
	ck_assert(!pas_is_dead(w->other_as));
}

static void end(struct world *w)
{
	ck_assert(pas_is_dead(w->as));
	pctx_destroy(w->ctx);
	pas_put(w->as);
	bystander_goes_on(w);
	pctx_destroy(w->other);
	pas_put(w->other_as);
	platform_stop(w->pf);
	/* All are reaped. */
	ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

struct thief {
	pthread_t thread;
	pid_t tid;
	_Atomic bool stop;
};

static void *steal(void *p)
{
	struct thief *th = p;

	/* Without a break, for the tracer is after the same. */
	while (!atomic_load(&th->stop))
		waitpid(th->tid, NULL, __WALL | WNOHANG);
	return NULL;
}

static void thief_begin(struct thief *th, struct world *w)
{
	th->tid = to_ctx(w->ctx)->tracee.tid;
	atomic_store(&th->stop, false);
	ck_assert_int_eq(pthread_create(&th->thread, NULL, steal, th), 0);
}

static void thief_end(struct thief *th)
{
	atomic_store(&th->stop, true);
	pthread_join(th->thread, NULL);
}

/* A host call that does not come back: the call fails, the guest process is lost, and no other. */
START_TEST(host_call_without_answer)
{
	struct world w;
	struct thief th;
	int r = 0;

	start(&w, code_spin, code_spin_end);
	thief_begin(&th, &w);
	while (r == 0)
		r = pas_protect(w.as, w.ctx, DATA, PAGE_SIZE, RW);
	thief_end(&th);
	ck_assert_int_eq(r, -ESRCH);
	end(&w);
}
END_TEST

struct kicker {
	pthread_t thread;
	struct pctx *ctx;
	unsigned begin_s; /* seconds to the first kick; then without a break */
	_Atomic bool stop;
};

static void *kick(void *p)
{
	struct kicker *k = p;

	sleep(k->begin_s);
	while (!atomic_load(&k->stop))
		pctx_interrupt(k->ctx);
	return NULL;
}

static void kicker_begin(struct kicker *k, struct world *w, unsigned begin_s)
{
	*k = (struct kicker){.ctx = w->ctx, .begin_s = begin_s};
	ck_assert_int_eq(pthread_create(&k->thread, NULL, kick, k), 0);
}

static void kicker_end(struct kicker *k)
{
	atomic_store(&k->stop, true);
	pthread_join(k->thread, NULL);
}

/* A running guest that does not react to a kick. */
START_TEST(kick_without_answer)
{
	struct world w;
	struct thief th;
	struct kicker k;
	struct pf_event ev = {.kind = PF_INTERRUPTED};

	start(&w, code_spin, code_spin_end);
	kicker_begin(&k, &w, 0);
	thief_begin(&th, &w);
	while (ev.kind == PF_INTERRUPTED)
		platform_switch(w.ctx, &ev);
	thief_end(&th);
	kicker_end(&k);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	end(&w);
}
END_TEST

/* What nobody has asked for an answer may be silent for longer than the watchdog's patience, and is there when it is. */
START_TEST(silence_is_no_crime)
{
	struct world w;
	struct kicker k;
	struct pf_event ev;

	start(&w, code_spin, code_spin_end);
	watchdog_wake(&container_of(w.pf, struct ptrace_platform, base)->dog);
	kicker_begin(&k, &w, 3);
	platform_switch(w.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	kicker_end(&k);
	ck_assert(!pas_is_dead(w.as));
	pas_kill(w.as);
	do
		platform_switch(w.ctx, &ev);
	while (ev.kind == PF_INTERRUPTED);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	end(&w);
}
END_TEST

/* The watchdog sleeps again when there is nothing to look after. */
START_TEST(watchdog_sleeps)
{
	struct world w;
	struct watchdog *dog;

	start(&w, code_calls, code_calls_end);
	dog = &container_of(w.pf, struct ptrace_platform, base)->dog;
	bystander_goes_on(&w);
	while (atomic_load(&dog->on))
		usleep(1000);
	ck_assert_int_eq(pas_protect(w.as, w.ctx, DATA, PAGE_SIZE, RW), 0);
	while (atomic_load(&dog->on))
		usleep(1000);
	pas_kill(w.as);
	end(&w);
}
END_TEST

/* Threads of a killed stub whose tracers were elsewhere when it died: none is waited for, and all are reaped. */
struct sleeper {
	pthread_t thread;
	struct pctx *ctx;
	pthread_barrier_t *attached, *killed;
};

static void *attach_then_destroy(void *p)
{
	struct sleeper *s = p;

	ck_assert_int_eq(pctx_attach(s->ctx), 0);
	pthread_barrier_wait(s->attached);
	pthread_barrier_wait(s->killed);
	pctx_destroy(s->ctx);
	return NULL;
}

#define SLEEPERS 6

START_TEST(dying_threads_are_reaped)
{
	struct world w;
	struct sleeper sleepers[SLEEPERS];
	pthread_barrier_t attached, killed;

	start(&w, code_spin, code_spin_end);
	for (int round = 0; round < 30; round++) {
		pthread_barrier_init(&attached, NULL, SLEEPERS + 1);
		pthread_barrier_init(&killed, NULL, SLEEPERS + 1);
		for (int i = 0; i < SLEEPERS; i++) {
			sleepers[i] = (struct sleeper){.attached = &attached, .killed = &killed};
			ck_assert_int_eq(pctx_spawn(w.as, w.ctx, &sleepers[i].ctx), 0);
			ck_assert_int_eq(pthread_create(&sleepers[i].thread, NULL, attach_then_destroy, &sleepers[i]), 0);
		}
		pthread_barrier_wait(&attached);
		if (round % 2)
			pas_kill(w.as);
		else
			kill(pas_host_pid(w.as), SIGKILL);
		pthread_barrier_wait(&killed);
		for (int i = 0; i < SLEEPERS; i++)
			pthread_join(sleepers[i].thread, NULL);
		pctx_destroy(w.ctx);
		pas_put(w.as);
		w.ctx = new_guest(&w, &w.as, code_spin, code_spin_end);
		pthread_barrier_destroy(&attached);
		pthread_barrier_destroy(&killed);
	}
	pas_kill(w.as);
	end(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ptrace");
	TCase *tc = tcase_create("ptrace");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, host_call_without_answer);
	tcase_add_test(tc, kick_without_answer);
	tcase_add_test(tc, silence_is_no_crime);
	tcase_add_test(tc, watchdog_sleeps);
	tcase_add_test(tc, dying_threads_are_reaped);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
