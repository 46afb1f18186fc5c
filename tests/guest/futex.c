/* futex: wait, wake, timeouts, bit sets, requeueing, between processes, robust lists. */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

static long futex(void *addr, int op, uint32_t val, const void *timeout, void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static uint32_t word, word2;

static uint32_t load(uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

TEST(mismatch)
{
	word = 1;
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, ~0u), EAGAIN);
}

TEST(errors)
{
	struct timespec bad = {0, 1000000000}, negative = {-1, 0};

	word = 0;
	CHECK_ERR(futex((void *)2, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((void *)8, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex((char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &negative, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, (void *)8, NULL, 0), EFAULT);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(&word, 99, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
	CHECK_EQ(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
}

/* A word that is not private is looked for in what is mapped there. */
TEST(no_word_there)
{
	uint32_t *gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *locked = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t *past_end;
	int fd = memfd_create("futex", MFD_CLOEXEC);

	REQUIRE(gone != MAP_FAILED && locked != MAP_FAILED && read_only != MAP_FAILED);
	REQUIRE(fd >= 0 && ftruncate(fd, 4096) == 0);
	past_end = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(past_end != MAP_FAILED);
	CHECK_EQ(futex(past_end, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	REQUIRE(ftruncate(fd, 0) == 0 && munmap(gone, 4096) == 0);

	uint32_t *const nowhere[] = {gone, locked, past_end};

	word = 0;
	for (int i = 0; i < 3; i++) {
		CHECK_ERR(futex(nowhere[i], FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(nowhere[i], FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
		CHECK_ERR(futex(nowhere[i], FUTEX_CMP_REQUEUE, 1, (void *)1, &word, 0), EFAULT);
		CHECK_EQ(futex(nowhere[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	}
	CHECK_ERR(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, gone, 0), EFAULT);
	CHECK_ERR(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, locked, 0), EFAULT);
	CHECK_ERR(futex(read_only, FUTEX_WAKE, 1, NULL, NULL, 0),
		  EFAULT); /* another page takes its place when it is written */
	munmap(locked, 4096);
	munmap(read_only, 4096);
	munmap(past_end, 4096);
	close(fd);
}

TEST(timeouts)
{
	struct timespec wait = {0, 3000000}, until;
	int64_t start = h_now_ns(CLOCK_MONOTONIC);

	word = 0;
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &wait, NULL, 0), ETIMEDOUT);
	CHECK(h_now_ns(CLOCK_MONOTONIC) - start >= 3000000);
	clock_gettime(CLOCK_MONOTONIC, &until);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET, 0, &until, NULL, ~0u), ETIMEDOUT); /* absolute, already past */
	clock_gettime(CLOCK_REALTIME, &until);
	CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &until, NULL, ~0u), ETIMEDOUT);
	wait = (struct timespec){0, 0};
	CHECK_ERR(futex(&word, FUTEX_WAIT, 0, &wait, NULL, 0), ETIMEDOUT);
}

struct waiter {
	pthread_t t;
	uint32_t *addr;
	uint32_t bits;
	pid_t tid;
	long result;
	struct gate *started;
};

static void *wait_once(void *arg)
{
	struct waiter *w = arg;

	w->tid = (pid_t)syscall(SYS_gettid);
	gate_open(w->started);
	w->result = futex(w->addr, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, w->bits);
	if (w->result)
		w->result = -errno;
	return NULL;
}

/* Starts a thread and returns when it sleeps on addr. */
static void start_waiter(struct waiter *w, uint32_t *addr, uint32_t bits)
{
	struct gate g;

	gate_init(&g);
	w->addr = addr;
	w->bits = bits;
	w->result = 1;
	w->started = &g;
	REQUIRE(pthread_create(&w->t, NULL, wait_once, w) == 0);
	gate_pass(&g);
	CHECK(h_wait_state(w->tid, "S"));
	gate_free(&g);
}

TEST(wake_counts)
{
	struct waiter w[4];

	word = 0;
	for (int i = 0; i < 4; i++)
		start_waiter(&w[i], &word, ~0u);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	pthread_join(w[0].t, NULL); /* first come, first served */
	CHECK_EQ(w[0].result, 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
	pthread_join(w[1].t, NULL);
	pthread_join(w[2].t, NULL);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
	pthread_join(w[3].t, NULL);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
}

TEST(bit_sets)
{
	struct waiter a, b;

	word = 0;
	start_waiter(&a, &word, 1);
	start_waiter(&b, &word, 2);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
	CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
	pthread_join(b.t, NULL);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 1);
	pthread_join(a.t, NULL);
	CHECK(a.result == 0 && b.result == 0);
}

TEST(requeue)
{
	struct waiter w[4];

	word = word2 = 0;
	for (int i = 0; i < 4; i++)
		start_waiter(&w[i], &word, ~0u);
	CHECK_ERR(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &word2, 7), EAGAIN);
	/* Wakes one and moves two; the result counts them all. */
	CHECK_EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &word2, 0), 3);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 1);
	CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2);
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].t, NULL);
		CHECK_EQ(w[i].result, 0);
	}
	start_waiter(&w[0], &word, ~0u);
	CHECK_EQ(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &word2, 0), 1); /* plain requeue counts the moved too */
	CHECK_EQ(futex(&word2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	pthread_join(w[0].t, NULL);
}

TEST(wake_op)
{
	struct waiter a, b;

	word = word2 = 0;
	start_waiter(&a, &word, ~0u);
	start_waiter(&b, &word2, ~0u);
	/* word2 += 5, and wake its waiters if it was 0. */
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)), 2);
	CHECK_EQ(load(&word2), 5);
	pthread_join(a.t, NULL);
	pthread_join(b.t, NULL);
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 100)), 0);
	CHECK_EQ(load(&word2), 9);
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_LT, 0)), 0);
	CHECK_EQ(load(&word2), 15);
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_LT, 0)), 0);
	CHECK_EQ(load(&word2), 14);
	CHECK_EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, FUTEX_OP(FUTEX_OP_XOR, 15, FUTEX_OP_CMP_LT, 0)), 0);
	CHECK_EQ(load(&word2), 1);
	CHECK_ERR(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, (void *)8, 0), EFAULT);
}

TEST(between_processes)
{
	uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(shared != MAP_FAILED);
	/* Hand over a turn a hundred times: odd is the child's. */
	pid = h_fork();
	if (pid == 0) {
		for (uint32_t i = 0; i < 100; i++) {
			while (load(shared) != 2 * i + 1)
				futex(shared, FUTEX_WAIT, 2 * i, NULL, NULL, 0);
			__atomic_store_n(shared, 2 * i + 2, __ATOMIC_SEQ_CST);
			futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
		}
		child_exit();
	}
	for (uint32_t i = 0; i < 100; i++) {
		__atomic_store_n(shared, 2 * i + 1, __ATOMIC_SEQ_CST);
		futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
		while (load(shared) != 2 * i + 2)
			futex(shared, FUTEX_WAIT, 2 * i + 1, NULL, NULL, 0);
	}
	JOIN(pid);
	munmap(shared, 4096);
}

TEST(two_addresses_of_one_page)
{
	int fd = memfd_create("futex", 0);
	uint32_t *a, *b;
	pid_t pid;

	REQUIRE(fd >= 0 && ftruncate(fd, 4096) == 0);
	a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(a != MAP_FAILED && b != MAP_FAILED && a != b);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(futex(a, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	CHECK_EQ(futex(b, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	JOIN(pid);
	munmap(a, 4096);
	munmap(b, 4096);
	close(fd);
}

TEST(private_words_are_not_shared)
{
	struct waiter w;

	word = 0;
	start_waiter(&w, &word, ~0u);
	pid_t pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0); /* same address, another process */
		CHECK_EQ(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	pthread_join(w.t, NULL);
}

struct robust {
	struct robust_list_head head;
	struct {
		struct robust_list list;
		uint32_t word;
	} lock;
};

static void robust_death(struct robust *r)
{
	r->head.list.next = &r->lock.list;
	r->head.futex_offset = (long)((char *)&r->lock.word - (char *)&r->lock.list);
	r->head.list_op_pending = NULL;
	r->lock.list.next = &r->head.list;
	r->lock.word = (uint32_t)syscall(SYS_gettid);
	REQUIRE(syscall(SYS_set_robust_list, &r->head, sizeof(r->head)) == 0);
}

TEST(robust_list)
{
	struct robust *r = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(r != MAP_FAILED);
	pid = h_fork();
	if (pid == 0) {
		robust_death(r);
		_exit(0);
	}
	JOIN(pid);
	CHECK_EQ(r->lock.word & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
	CHECK_EQ(r->lock.word & FUTEX_TID_MASK, 0);
	/* A list that goes in a circle does no harm. */
	pid = h_fork();
	if (pid == 0) {
		robust_death(r);
		r->lock.list.next = &r->lock.list;
		_exit(0);
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		robust_death(r);
		r->lock.list.next = (void *)8;
		_exit(0);
	}
	JOIN(pid);
	CHECK_ERR(syscall(SYS_set_robust_list, &r->head, 1), EINVAL);
	void *head;
	size_t len;
	CHECK_EQ(syscall(SYS_get_robust_list, 0, &head, &len), 0);
	CHECK_EQ(len, sizeof(struct robust_list_head));
	munmap(r, 4096);
}

static pthread_mutex_t *robust_mutex;

static void *list_of(void *tid)
{
	void *head = NULL;
	size_t len = 0;

	return syscall(SYS_get_robust_list, *(pid_t *)tid, &head, &len) == 0 && len == sizeof(struct robust_list_head) ? head : NULL;
}

/* Set often, as by a program that makes many threads: the last one counts, whoever asks, and what is refused changes nothing. */
TEST(robust_list_set_often)
{
	static struct robust_list_head heads[2];
	pid_t self = (pid_t)syscall(SYS_gettid);
	void *old = list_of(&self), *seen;
	pthread_t t;

	for (int i = 0; i < 100; i++) {
		/* One call site, with a length that is right or wrong. */
		bool good = i % 4 != 3;
		long r = syscall(SYS_set_robust_list, &heads[i % 2], sizeof(heads[0]) + (good ? 0 : 1));

		if (!CHECK_EQ(r, good ? 0 : -1) || !CHECK(list_of(&self) == &heads[good ? i % 2 : (i - 1) % 2]))
			break;
	}
	REQUIRE(pthread_create(&t, NULL, list_of, &self) == 0);
	pthread_join(t, &seen);
	CHECK(seen == &heads[0]);
	CHECK_EQ(syscall(SYS_set_robust_list, old, sizeof(heads[0])), 0);
}

TEST(robust_mutex)
{
	pthread_mutexattr_t attr;
	pid_t pid;

	robust_mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	REQUIRE(pthread_mutex_init(robust_mutex, &attr) == 0);
	pid = h_fork();
	if (pid == 0) {
		pthread_mutex_lock(robust_mutex);
		kill(getpid(), SIGKILL);
	}
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_EQ(pthread_mutex_lock(robust_mutex), EOWNERDEAD);
	OK(pthread_mutex_consistent(robust_mutex));
	OK(pthread_mutex_unlock(robust_mutex));
	munmap(robust_mutex, 4096);
}

static uint32_t contended;
static pthread_mutex_t hot = PTHREAD_MUTEX_INITIALIZER;

static void *hammer(void *arg)
{
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&hot);
		contended++;
		if (i % 16 == 0)
			sched_yield();
		pthread_mutex_unlock(&hot);
	}
	return NULL;
}

TEST(contention)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		REQUIRE(pthread_create(&t[i], NULL, hammer, NULL) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(contended, 4000);
}
