/*
 * Futexes made so often that no first-time path is left: waiters and wakers that race, in one process and between two, wake-ups
 * counted, words that are close to one another, and the order in which bad arguments are found.
 */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#define ROUNDS 30
#define MASK_ALL 0xffffffffu
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* One place for all of them. */
__attribute__((noinline)) static long futex(const void *addr, int op, uint32_t val, const void *timeout, const void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *p, uint32_t value)
{
	__atomic_store_n(p, value, __ATOMIC_SEQ_CST);
}

/* ---- turns: a wake-up that is lost hangs the test ---- */

struct turns {
	uint32_t *word;
	int flags;
	uint32_t count;
};

/* Odd is the second one's. */
static void *second(void *arg)
{
	struct turns *t = arg;

	for (uint32_t i = 0; i < t->count; i++) {
		while (load(t->word) != 2 * i + 1)
			futex(t->word, FUTEX_WAIT | t->flags, 2 * i, NULL, NULL, 0);
		store(t->word, 2 * i + 2);
		futex(t->word, FUTEX_WAKE | t->flags, 1, NULL, NULL, 0);
	}
	return NULL;
}

static void first(struct turns *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		store(t->word, 2 * i + 1);
		futex(t->word, FUTEX_WAKE_BITSET | t->flags, 1, NULL, NULL, MASK_ALL);
		while (load(t->word) != 2 * i + 2)
			futex(t->word, FUTEX_WAIT_BITSET | t->flags, 2 * i + 1, NULL, NULL, MASK_ALL);
	}
}

static uint32_t words[1024] __attribute__((aligned(4096)));

static void turns_in_threads(int flags)
{
	struct turns t = {&words[7], flags, 3000};
	pthread_t other;

	store(t.word, 0);
	REQUIRE(pthread_create(&other, NULL, second, &t) == 0);
	first(&t);
	pthread_join(other, NULL);
}

TEST(turns_private)
{
	turns_in_threads(FUTEX_PRIVATE_FLAG);
}

TEST(turns_shared)
{
	turns_in_threads(0);
}

TEST(turns_between_processes)
{
	uint32_t *mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct turns t = {mem + 1024 + 5, 0, 3000};
	pid_t pid;

	REQUIRE(mem != MAP_FAILED);
	pid = h_fork();
	if (pid == 0) {
		/* Under another address. */
		uint32_t *moved = mremap(mem, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x70000000);

		REQUIRE(moved != MAP_FAILED);
		t.word = moved + 1024 + 5;
		second(&t);
		_exit(0);
	}
	first(&t);
	CHECK_EQ(h_wait(pid), 0);
	munmap(mem, 8192);
}

/* A lock as in futex(2)'s literature: 0 free, 1 taken, 2 taken and waited for. */
static uint32_t lock_word;
static long guarded;

static void lock(void)
{
	uint32_t seen = 0;

	if (__atomic_compare_exchange_n(&lock_word, &seen, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_SEQ_CST) != 0)
		futex(&lock_word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static void unlock(void)
{
	if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_SEQ_CST) == 2)
		futex(&lock_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *take_turns(void *arg)
{
	for (int i = 0; i < 5000; i++) {
		lock();
		guarded++;
		if (i % 64 == 0)
			sched_yield();
		unlock();
	}
	return NULL;
}

TEST(a_lock_in_four_threads)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&t[i], NULL, take_turns, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(guarded, 20000);
}

/* ---- counts ---- */

struct sleeper {
	pthread_t t;
	uint32_t *word;
	int op;
	_Atomic pid_t tid;
	long result;
};

static void *sleep_on(void *arg)
{
	struct sleeper *s = arg;

	s->tid = (pid_t)syscall(SYS_gettid);
	s->result = futex(s->word, s->op, load(s->word), NULL, NULL, MASK_ALL);
	return NULL;
}

static void start(struct sleeper *s, uint32_t *word, int op)
{
	*s = (struct sleeper){.word = word, .op = op};
	REQUIRE(pthread_create(&s->t, NULL, sleep_on, s) == 0);
	while (!s->tid)
		sched_yield();
	REQUIRE(h_wait_state(s->tid, "S"));
}

static void finish(struct sleeper *s)
{
	pthread_join(s->t, NULL);
	CHECK_EQ(s->result, 0);
}

/* Nobody but the one word has waiters, whatever lies near. */
TEST(neighbours)
{
	struct sleeper s[3];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++)
			start(&s[i], &words[100], FUTEX_WAIT_PRIVATE);
		for (int i = 0; i < 1024; i++)
			if (i != 100)
				CHECK_EQ(futex(&words[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(&words[100], FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
		CHECK_EQ(futex(&words[100], FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 1);
		CHECK_EQ(futex(&words[100], FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 0);
		for (int i = 0; i < 3; i++)
			finish(&s[i]);
	}
}

/* Wherever the word lies, who waits for it is found. */
TEST(all_over_a_page)
{
	struct sleeper s;

	for (int i = 0; i < 1024; i += 41)
		for (int flag = 0; flag <= FUTEX_PRIVATE_FLAG; flag += FUTEX_PRIVATE_FLAG) {
			start(&s, &words[i], FUTEX_WAIT | flag);
			CHECK_EQ(futex(&words[i], FUTEX_WAKE | flag, 5, NULL, NULL, 0), 1);
			finish(&s);
			CHECK_EQ(futex(&words[i], FUTEX_WAKE | flag, 5, NULL, NULL, 0), 0);
		}
}

/* In private memory the two forms name two words. */
TEST(two_forms)
{
	struct sleeper s;

	start(&s, &words[3], FUTEX_WAIT_PRIVATE);
	CHECK_EQ(futex(&words[3], FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&words[3], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	finish(&s);
	start(&s, &words[3], FUTEX_WAIT);
	CHECK_EQ(futex(&words[3], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&words[3], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	finish(&s);
}

TEST(moved)
{
	struct sleeper s[2];

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 2; i++)
			start(&s[i], &words[200], FUTEX_WAIT_PRIVATE);
		CHECK_EQ(futex(&words[201], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(&words[200], FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)2, &words[201], load(&words[200])), 2);
		CHECK_EQ(futex(&words[200], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(&words[201], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
		CHECK_EQ(futex(&words[201], FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 1);
		CHECK_EQ(futex(&words[201], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		for (int i = 0; i < 2; i++)
			finish(&s[i]);
	}
}

/* Who is not waiting any more is not counted any more, however the wait came to its end: nothing to be seen but its wake-ups. */
TEST(waits_that_end_otherwise)
{
	struct timespec soon = {0, 200000};

	for (int i = 0; i < ROUNDS; i++) {
		CHECK_ERR(futex(&words[300], FUTEX_WAIT_PRIVATE, load(&words[300]), &soon, NULL, 0), ETIMEDOUT);
		CHECK_EQ(futex(&words[300], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	}
	pid_t pid = h_fork();
	if (pid == 0) {
		futex(&words[300], FUTEX_WAIT_PRIVATE, load(&words[300]), NULL, NULL, 0);
		_exit(1);
	}
	CHECK(h_wait_state(pid, "S"));
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_EQ(futex(&words[300], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
}

struct waitv {
	uint64_t val, addr;
	uint32_t flags, reserved;
};

static _Atomic pid_t waitv_tid;

static void *wait_for_three(void *arg)
{
	struct waitv v[3] = {{load(&words[400]), (uintptr_t)&words[400], 2 | 128, 0},
			     {load(&words[500]), (uintptr_t)&words[500], 2 | 128, 0},
			     {load(&words[600]), (uintptr_t)&words[600], 2, 0}};

	waitv_tid = (pid_t)syscall(SYS_gettid);
	return (void *)syscall(SYS_futex_waitv, v, 3, 0, NULL, 0);
}

TEST(several_words)
{
	static const int which[3] = {400, 500, 600};
	pthread_t t;
	void *result;

	if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
		SKIP("no futex_waitv");
	for (int i = 0; i < 9; i++) {
		int flag = i % 3 == 2 ? 0 : FUTEX_PRIVATE_FLAG;

		waitv_tid = 0;
		REQUIRE(pthread_create(&t, NULL, wait_for_three, NULL) == 0);
		while (!waitv_tid)
			sched_yield();
		REQUIRE(h_wait_state(waitv_tid, "S"));
		CHECK_EQ(futex(&words[which[i % 3]], FUTEX_WAKE | flag, 1, NULL, NULL, 0), 1);
		pthread_join(t, &result);
		CHECK_EQ((long)result, i % 3);
		for (int k = 0; k < 3; k++)
			CHECK_EQ(futex(&words[which[k]], FUTEX_WAKE | (k == 2 ? 0 : FUTEX_PRIVATE_FLAG), 1, NULL, NULL, 0), 0);
	}
}

/* Threads that end wake who waits for that. */
static void *nothing(void *arg)
{
	return arg;
}

TEST(joins)
{
	pthread_t t[4];

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 4; i++)
			REQUIRE(pthread_create(&t[i], NULL, nothing, NULL) == 0);
		for (int i = 0; i < 4; i++)
			CHECK_EQ(pthread_join(t[i], NULL), 0);
	}
}

/* ---- bad arguments ---- */

TEST(order_of_errors)
{
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *fixed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec bad = {0, 1000000000}, zero = {0, 0};
	const char *kernel = (char *)0xffff800000000000;

	REQUIRE(none != MAP_FAILED && fixed != MAP_FAILED && gone != MAP_FAILED && munmap(gone, 4096) == 0);
	store(&words[0], 5);
	for (int i = 0; i < ROUNDS; i++) {
		/* The word differs, but that is not looked at. */
		CHECK_ERR(futex((char *)words + 2, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINVAL);
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0), EINVAL);
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE, 0, (void *)8, NULL, 0), EFAULT);
		CHECK_ERR(futex(words, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0), EINVAL);
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
		CHECK_ERR(futex(words, FUTEX_WAKE_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
		CHECK_ERR(futex(words, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		CHECK_ERR(futex((char *)words + 1, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		CHECK_ERR(futex((char *)words + 1, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		CHECK_ERR(futex(words, 0x40 | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0), ENOSYS);
		/* It differs, and that is what counts. */
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EAGAIN);
		CHECK_ERR(futex(words, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE, 0, &zero, NULL, 0), EAGAIN);
		CHECK_ERR(futex(words, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1), EAGAIN);
		CHECK_ERR(futex(words, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 1), EAGAIN);
		CHECK_ERR(futex(fixed, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EAGAIN);
		CHECK_ERR(futex(words, FUTEX_WAIT_PRIVATE, 5, &zero, NULL, 0), ETIMEDOUT);
		/* What is not there, or not to be written. */
		CHECK_ERR(futex(none, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(gone, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(none, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(gone, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(fixed, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(fixed, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
		CHECK_EQ(futex(none, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(gone, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(fixed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex((char *)8, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		CHECK_ERR(futex(kernel, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(kernel, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
		/* How many does not matter where there is nobody. */
		CHECK_EQ(futex(words, FUTEX_WAKE_PRIVATE, 0, NULL, NULL, 0), 0);
		CHECK_EQ(futex(words, FUTEX_WAKE_PRIVATE, 0x80000000, NULL, NULL, 0), 0);
		CHECK_EQ(futex(words, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
		CHECK_EQ(futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 4), 0);
	}
	munmap(none, 4096);
	munmap(fixed, 4096);
}

/* The word stays what it is while others write to it. */
static _Atomic bool over;

static void *wake_shared(void *arg)
{
	while (!over)
		futex(&words[700], FUTEX_WAKE, 1, NULL, NULL, 0);
	return NULL;
}

TEST(a_wake_changes_nothing)
{
	pthread_t t;

	over = false;
	REQUIRE(pthread_create(&t, NULL, wake_shared, NULL) == 0);
	for (uint32_t i = 0; i < 200000; i++) {
		store(&words[700], i);
		CHECK_EQ(load(&words[700]), i);
	}
	over = true;
	pthread_join(t, NULL);
}
