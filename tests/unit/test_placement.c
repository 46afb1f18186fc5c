/* Where pairs go that take turns (platform/placement.h): together, unless a mask or somebody else is against it, and apart again
 * when both compute.  The "guest threads" are threads of the test that never run. */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/placement.h"
#include "sentry/core/wait.h"

/* So many turns are enough for two threads that take them, however busy the machine is. */
#define TURNS_MAX 1000000

struct player {
	struct placement place;
	struct sleeper sleeper;
	pthread_t thread, guest;
	_Atomic pid_t guest_tid;
	sem_t guest_here, guest_over, ready, go, over;
	int cpu; /* where it begins */
	void (*play)(struct player *);
	struct player *other;
};

static struct player a, b, c;
static int cpus[2];
static struct waitqueue wq[2]; /* [0]: it is a's turn now, [1]: b's */
static _Atomic int turn;       /* 0: a's, 1: b's, 2: nobody's any more */
static _Atomic bool together;

static uint32_t place_of(const struct player *p)
{
	return atomic_load(&p->place.state) >> 1;
}

static void *guest(void *arg)
{
	struct player *p = arg;

	atomic_store(&p->guest_tid, gettid());
	sem_post(&p->guest_here);
	sem_wait(&p->guest_over);
	return NULL;
}

static void *player(void *arg)
{
	struct player *p = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpus[p->cpu], &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	sleeper_init(&p->sleeper);
	sleeper_set_self(&p->sleeper);
	ck_assert_int_eq(pthread_create(&p->guest, NULL, guest, p), 0);
	sem_wait(&p->guest_here);
	placement_init(&p->place);
	placement_attach(&p->place, atomic_load(&p->guest_tid));
	sem_post(&p->ready);
	sem_wait(&p->go);
	p->play(p);
	sem_wait(&p->over);
	placement_detach(&p->place);
	sem_post(&p->guest_over);
	pthread_join(p->guest, NULL);
	return NULL;
}

/* Makes p's pair, on one of the two CPUs, where it counts as active until it plays, or for good. */
static void begin(struct player *p, int cpu, void (*play)(struct player *))
{
	p->cpu = cpu;
	p->play = play;
	sem_init(&p->guest_here, 0, 0);
	sem_init(&p->guest_over, 0, 0);
	sem_init(&p->ready, 0, 0);
	sem_init(&p->go, 0, 0);
	sem_init(&p->over, 0, 0);
	ck_assert_int_eq(pthread_create(&p->thread, NULL, player, p), 0);
	sem_wait(&p->ready);
	ck_assert_uint_ne(atomic_load(&p->place.state), PLACEMENT_NONE);
}

static void end(struct player *p)
{
	sem_post(&p->over);
	pthread_join(p->thread, NULL);
}

/* False where there are not two CPUs: then there is nothing to see. */
static bool two_cpus(void)
{
	cpu_set_t mask;
	int n = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &mask))
			cpus[n++] = i;
	if (n < 2)
		return false;
	CPU_ZERO(&mask);
	CPU_SET(cpus[0], &mask);
	CPU_SET(cpus[1], &mask);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(mask), &mask), 0);
	placement_start();
	waitqueue_init(&wq[0]);
	waitqueue_init(&wq[1]);
	return true;
}

static void allow(struct player *p, int cpu)
{
	uint8_t mask[CPU_SETSIZE / 8] = {0};

	mask[cpus[cpu] / 8] |= (uint8_t)(1u << cpus[cpu] % 8);
	placement_allow(p->place.sentry_tid, mask, sizeof(mask));
}

static void pass(int to)
{
	atomic_store(&turn, to);
	waitqueue_wake(&wq[0], 0);
	waitqueue_wake(&wq[1], 0);
}

static void answer(struct player *p)
{
	(void)p;
	for (;;) {
		(void)!wait_event(&wq[1], atomic_load(&turn) != 0);
		if (atomic_load(&turn) == 2)
			return;
		pass(0);
	}
}

static void ask(struct player *p)
{
	for (int i = 0; i < TURNS_MAX && place_of(p) != place_of(p->other); i++) {
		pass(1);
		(void)!wait_event(&wq[0], atomic_load(&turn) == 0);
	}
	atomic_store(&together, place_of(p) == place_of(p->other));
	pass(2);
}

static void ask_in_vain(struct player *p)
{
	(void)p;
	for (int i = 0; i < 1000; i++) {
		pass(1);
		(void)!wait_event(&wq[0], atomic_load(&turn) == 0);
	}
	pass(2);
}

static void take_turns(void (*asker)(struct player *))
{
	a.other = &b;
	begin(&a, 0, asker);
	begin(&b, 1, answer);
}

static void go(void)
{
	sem_post(&b.go);
	sem_post(&a.go);
}

START_TEST(mates_come_together)
{
	if (!two_cpus())
		return;
	take_turns(ask);
	go();
	end(&a);
	end(&b);
	ck_assert(atomic_load(&together));
}
END_TEST

START_TEST(masks_keep_mates_apart)
{
	if (!two_cpus())
		return;
	take_turns(ask_in_vain);
	allow(&a, 0);
	allow(&b, 1);
	go();
	sem_post(&a.over);
	pthread_join(a.thread, NULL);
	ck_assert_uint_eq(place_of(&b), 1);
	end(&b);
}
END_TEST

static void compute_until_apart(struct player *p)
{
	while (place_of(p) == place_of(p->other))
		sched_yield();
}

/* As mates are that have stopped taking turns. */
START_TEST(who_computes_gets_a_cpu)
{
	if (!two_cpus())
		return;
	a.other = &b;
	b.other = &a;
	begin(&a, 0, compute_until_apart);
	begin(&b, 0, compute_until_apart);
	atomic_store(&a.place.mate, b.place.sentry_tid);
	atomic_store(&b.place.mate, a.place.sentry_tid);
	go();
	end(&a);
	end(&b);
}
END_TEST

static void block(struct player *p)
{
	placement_block(&p->sleeper.seat);
	sem_post(&p->ready);
	sem_wait(&p->go);
	placement_unblock(&p->sleeper.seat);
}

static void join(struct player *p)
{
	placement_join(&p->place, &p->other->place);
	sem_post(&p->ready);
}

/* a naps by turns with b, which sleeps at the moment; c, if there is one, computes where b is. */
static uint32_t place_after_join(bool masked, bool crowded)
{
	uint32_t place;

	a.other = &b;
	begin(&a, 0, join);
	begin(&b, 1, block);
	if (crowded)
		begin(&c, 1, join); /* never told to */
	if (masked)
		allow(&a, 0);
	sem_post(&b.go);
	sem_wait(&b.ready);
	sem_post(&a.go);
	sem_wait(&a.ready);
	place = place_of(&a);
	ck_assert_uint_eq(place_of(&b), 1);
	end(&a);
	sem_post(&b.go);
	end(&b);
	return place;
}

START_TEST(nappers_are_joined)
{
	if (two_cpus())
		ck_assert_uint_eq(place_after_join(false, false), 1);
}
END_TEST

START_TEST(nappers_are_not_joined_past_a_mask)
{
	if (two_cpus())
		ck_assert_uint_eq(place_after_join(true, false), 0);
}
END_TEST

START_TEST(nappers_are_not_joined_where_another_computes)
{
	if (two_cpus())
		ck_assert_uint_eq(place_after_join(false, true), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("placement");
	TCase *tc = tcase_create("mates");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, mates_come_together);
	tcase_add_test(tc, masks_keep_mates_apart);
	tcase_add_test(tc, who_computes_gets_a_cpu);
	tcase_add_test(tc, nappers_are_joined);
	tcase_add_test(tc, nappers_are_not_joined_past_a_mask);
	tcase_add_test(tc, nappers_are_not_joined_where_another_computes);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
