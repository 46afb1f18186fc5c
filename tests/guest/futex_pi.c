/* Futexes with an owner, libc's mutexes of that kind, futex_waitv and the calls of one operation each. */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define NR_futex_waitv 449
#define NR_futex_wake 454
#define NR_futex_wait 455
#define NR_futex_requeue 456
#define U32 2
#define PRIVATE 128

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static uint32_t lock, cond;

static long futex(void *addr, int op, uint32_t val, const void *timeout, void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, timeout, addr2, val3);
}

static uint32_t tid(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

static uint32_t load(uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

TEST(alone)
{
	struct timespec past = {1, 0};

	lock = 0;
	OK(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(load(&lock), tid());
	CHECK_ERR(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_ERR(futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	OK(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(load(&lock), 0);
	CHECK_ERR(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	OK(futex(&lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	lock = FUTEX_OWNER_DIED;
	OK(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(load(&lock), tid() | FUTEX_OWNER_DIED);
	OK(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	lock = 0x3ffffff0; /* nobody's tid */
	CHECK_ERR(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
	CHECK_ERR(futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), ESRCH);
	CHECK_ERR(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	CHECK_ERR(futex((char *)&lock + 1, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((void *)8, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex((void *)8, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(&lock, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
	lock = 0;
	OK(futex(&lock, FUTEX_LOCK_PI, 0, &past, NULL, 0)); /* free: no wait, no timeout */
	OK(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
}

struct locker {
	pthread_t t;
	pid_t tid;
	uint32_t *word, *first; /* first: a lock to be had before word, or NULL */
	int op;
	const struct timespec *until;
	long result;
	struct gate started;
};

static void *take_lock(void *arg)
{
	struct locker *l = arg;

	l->tid = (pid_t)tid();
	if (l->first)
		OK(futex(l->first, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	gate_open(&l->started);
	l->result = futex(l->word, l->op, 0, l->until, NULL, 0) ? -errno : 0;
	if (l->result == 0) {
		CHECK_EQ(load(l->word) & FUTEX_TID_MASK, tid());
		OK(futex(l->word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	}
	if (l->first)
		OK(futex(l->first, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	return NULL;
}

static void start_locker(struct locker *l, uint32_t *word, uint32_t *first, int op)
{
	l->word = word;
	l->first = first;
	l->op = op;
	gate_init(&l->started);
	REQUIRE(pthread_create(&l->t, NULL, take_lock, l) == 0);
	gate_pass(&l->started);
	gate_free(&l->started);
}

TEST(handed_over)
{
	struct locker a = {.until = NULL}, b = {.until = NULL};

	lock = 0;
	OK(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	start_locker(&a, &lock, NULL, FUTEX_LOCK_PI_PRIVATE);
	CHECK(h_wait_state(a.tid, "S"));
	CHECK_EQ(load(&lock), tid() | FUTEX_WAITERS);
	start_locker(&b, &lock, NULL, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG);
	CHECK(h_wait_state(b.tid, "S"));
	CHECK_ERR(futex(&lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	pthread_join(a.t, NULL);
	pthread_join(b.t, NULL);
	CHECK_EQ(a.result, 0);
	CHECK_EQ(b.result, 0);
	CHECK_EQ(load(&lock), 0);
}

TEST(refused_by_trylock_and_time)
{
	struct timespec soon;
	struct locker a = {.until = NULL}, b = {.until = &soon}, c = {.until = &soon};

	lock = 0;
	OK(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	start_locker(&a, &lock, NULL, FUTEX_TRYLOCK_PI_PRIVATE);
	pthread_join(a.t, NULL);
	CHECK_EQ(a.result, -EAGAIN);
	clock_gettime(CLOCK_REALTIME, &soon);
	start_locker(&b, &lock, NULL, FUTEX_LOCK_PI_PRIVATE);
	pthread_join(b.t, NULL);
	CHECK_EQ(b.result, -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &soon);
	start_locker(&c, &lock, NULL, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG);
	pthread_join(c.t, NULL);
	CHECK_EQ(c.result, -ETIMEDOUT);
	OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	CHECK_EQ(load(&lock), 0);
}

TEST(deadlock)
{
	static uint32_t other;
	struct locker a = {.until = NULL};

	lock = other = 0;
	OK(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	start_locker(&a, &lock, &other, FUTEX_LOCK_PI_PRIVATE);
	CHECK(h_wait_state(a.tid, "S"));
	CHECK_ERR(futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
	OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	pthread_join(a.t, NULL);
	CHECK_EQ(a.result, 0);
}

TEST(owner_dies)
{
	uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct gate held, leave;
	pid_t owner, waiter;

	REQUIRE(shared != MAP_FAILED);
	gate_init(&held);
	gate_init(&leave);
	owner = h_fork();
	if (owner == 0) {
		OK(futex(shared, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
		gate_open(&held);
		gate_pass(&leave);
		child_exit();
	}
	gate_pass(&held);
	waiter = h_fork();
	if (waiter == 0) {
		OK(futex(shared, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
		CHECK_EQ(load(shared) & ~FUTEX_WAITERS, tid() | FUTEX_OWNER_DIED);
		OK(futex(shared, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
		child_exit();
	}
	CHECK(h_wait_state(waiter, "S"));
	CHECK_ERR(futex(shared, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	gate_open(&leave);
	JOIN(owner);
	JOIN(waiter);
	CHECK_EQ(load(shared), 0);
	gate_free(&held);
	gate_free(&leave);
	munmap(shared, 4096);
}

struct cond_waiter {
	pthread_t t;
	pid_t tid;
	long result;
	const struct timespec *until;
	struct gate started;
};

static void *wait_cond(void *arg)
{
	struct cond_waiter *w = arg;

	w->tid = (pid_t)tid();
	gate_open(&w->started);
	w->result = futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, w->until, &lock, 0) ? -errno : 0;
	if (w->result == 0) {
		CHECK_EQ(load(&lock) & FUTEX_TID_MASK, tid());
		OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	}
	return NULL;
}

static void start_cond(struct cond_waiter *w, bool sleeps)
{
	gate_init(&w->started);
	REQUIRE(pthread_create(&w->t, NULL, wait_cond, w) == 0);
	gate_pass(&w->started);
	if (sleeps)
		CHECK(h_wait_state(w->tid, "S"));
	gate_free(&w->started);
}

TEST(requeue_pi)
{
	struct cond_waiter w[3] = {{.until = NULL}};

	lock = cond = 0;
	for (int i = 0; i < 3; i++)
		start_cond(&w[i], true);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)1, &lock, 0), EINVAL);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &lock, 5), EAGAIN);
	CHECK_ERR(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &cond, 0), EINVAL);
	CHECK_ERR(futex(&cond, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
	/* The lock is held: all that are taken wait for it. */
	OK(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &lock, 0), 2);
	CHECK_EQ(load(&lock), tid() | FUTEX_WAITERS);
	OK(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	pthread_join(w[0].t, NULL);
	pthread_join(w[1].t, NULL);
	/* The lock is free: the first one has it at once. */
	CHECK_EQ(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &lock, 0), 1);
	pthread_join(w[2].t, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(w[i].result, 0);
	CHECK_EQ(load(&lock), 0);
}

TEST(requeue_pi_fails)
{
	struct timespec past = {1, 0};
	struct cond_waiter w = {.until = &past};

	lock = cond = 0;
	start_cond(&w, false);
	pthread_join(w.t, NULL);
	CHECK_EQ(w.result, -ETIMEDOUT);
	cond = 1;
	CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &lock, 0), EAGAIN);
	CHECK_ERR(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 1, NULL, &cond, 0), EINVAL);
}

static pthread_mutex_t pi_mutex;
static pthread_cond_t pi_cond = PTHREAD_COND_INITIALIZER;
static unsigned counted;

static void *count(void *arg)
{
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&pi_mutex);
		counted++;
		if (i % 8 == 0)
			sched_yield();
		pthread_mutex_unlock(&pi_mutex);
	}
	pthread_mutex_lock(&pi_mutex);
	pthread_cond_signal(&pi_cond);
	pthread_mutex_unlock(&pi_mutex);
	return NULL;
}

TEST(mutex)
{
	pthread_mutexattr_t attr;
	pthread_t t[4];

	pthread_mutexattr_init(&attr);
	OK(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	OK(pthread_mutex_init(&pi_mutex, &attr));
	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&t[i], NULL, count, NULL) == 0);
	pthread_mutex_lock(&pi_mutex);
	while (counted < 1200)
		pthread_cond_wait(&pi_cond, &pi_mutex);
	pthread_mutex_unlock(&pi_mutex);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(counted, 1200);
}

TEST(robust_mutex)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;
	struct gate held;
	pid_t owner, waiter;

	REQUIRE((void *)m != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	REQUIRE(pthread_mutex_init(m, &attr) == 0);
	gate_init(&held);
	for (int round = 0; round < 2; round++) { /* with a waiter when the owner dies, and without */
		owner = h_fork();
		if (owner == 0) {
			CHECK_EQ(pthread_mutex_lock(m), 0);
			gate_open(&held);
			pause();
		}
		gate_pass(&held);
		if (round == 1) {
			kill(owner, SIGKILL);
			CHECK_EQ(h_wait(owner), SIGKILL);
		}
		waiter = h_fork();
		if (waiter == 0) {
			CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
			OK(pthread_mutex_consistent(m));
			OK(pthread_mutex_unlock(m));
			child_exit();
		}
		if (round == 0) {
			CHECK(h_wait_state(waiter, "S"));
			kill(owner, SIGKILL);
			CHECK_EQ(h_wait(owner), SIGKILL);
		}
		JOIN(waiter);
	}
	gate_free(&held);
	munmap(m, 4096);
}

/* ---- several words at once ---- */

static uint32_t words[3];

struct multi {
	pthread_t t;
	pid_t tid;
	long result;
	struct gate started;
};

static void *wait_many(void *arg)
{
	struct multi *m = arg;
	struct waitv v[3];

	for (int i = 0; i < 3; i++)
		v[i] = (struct waitv){0, (uintptr_t)&words[i], U32 | PRIVATE, 0};
	m->tid = (pid_t)tid();
	gate_open(&m->started);
	m->result = syscall(NR_futex_waitv, v, 3, 0, NULL, 0);
	return NULL;
}

TEST(waitv)
{
	struct waitv v = {0, (uintptr_t)&words[0], U32 | PRIVATE, 0};
	struct timespec now;
	struct multi m;

	memset(words, 0, sizeof(words));
	if (syscall(NR_futex_waitv, &v, 0, 0, NULL, 0) == -1 && errno == ENOSYS)
		SKIP("no futex_waitv");
	CHECK_ERR(syscall(NR_futex_waitv, &v, 0, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, &v, 129, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 1, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, NULL, 1, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_waitv, (void *)8, 1, 0, NULL, 0), EFAULT);
	clock_gettime(CLOCK_MONOTONIC, &now);
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, &now, CLOCK_MONOTONIC), ETIMEDOUT);
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, &now, CLOCK_BOOTTIME), EINVAL);
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, &now, CLOCK_REALTIME), ETIMEDOUT);
	v.val = 1;
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, NULL, 0), EAGAIN);
	v.val = 1ull << 32;
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, NULL, 0), EINVAL);
	v = (struct waitv){0, (uintptr_t)&words[0], U32, 1};
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, NULL, 0), EINVAL);
	v = (struct waitv){0, (uintptr_t)&words[0], 0, 0};
	CHECK_ERR(syscall(NR_futex_waitv, &v, 1, 0, NULL, 0), EINVAL);

	gate_init(&m.started);
	REQUIRE(pthread_create(&m.t, NULL, wait_many, &m) == 0);
	gate_pass(&m.started);
	CHECK(h_wait_state(m.tid, "S"));
	CHECK_EQ(futex(&words[1], FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0), 1);
	pthread_join(m.t, NULL);
	CHECK_EQ(m.result, 1);
	CHECK_EQ(futex(&words[0], FUTEX_WAKE_PRIVATE, 5, NULL, NULL, 0), 0);
	gate_free(&m.started);
}

static void *wait_one(void *arg)
{
	struct multi *m = arg;

	m->tid = (pid_t)tid();
	gate_open(&m->started);
	m->result = syscall(NR_futex_wait, &words[0], 0ul, 3ul, U32 | PRIVATE, NULL, 0);
	return NULL;
}

TEST(single_operations)
{
	struct waitv v[2] = {{0, (uintptr_t)&words[0], U32 | PRIVATE, 0}, {0, (uintptr_t)&words[2], U32 | PRIVATE, 0}};
	struct timespec now;
	struct multi m;

	memset(words, 0, sizeof(words));
	if (syscall(NR_futex_wake, &words[0], 1ul, 0, U32) == -1 && errno == ENOSYS)
		SKIP("no futex_wake");
	CHECK_ERR(syscall(NR_futex_wake, &words[0], 0ul, 1, U32), EINVAL);
	CHECK_ERR(syscall(NR_futex_wake, &words[0], 1ul, 1, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_wake, &words[0], 1ul << 32, 1, U32), EINVAL);
	CHECK_ERR(syscall(NR_futex_wait, &words[0], 1ul, 1ul, U32, NULL, 0), EAGAIN);
	CHECK_ERR(syscall(NR_futex_wait, &words[0], 1ul << 32, 1ul, U32, NULL, 0), EINVAL);
	CHECK_ERR(syscall(NR_futex_wait, &words[0], 0ul, 0ul, U32, NULL, 0), EINVAL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	CHECK_ERR(syscall(NR_futex_wait, &words[0], 0ul, 1ul, U32, &now, CLOCK_MONOTONIC), ETIMEDOUT);
	CHECK_ERR(syscall(NR_futex_requeue, v, 1, 1, 1), EINVAL);
	CHECK_ERR(syscall(NR_futex_requeue, NULL, 0, 1, 1), EINVAL);

	gate_init(&m.started);
	REQUIRE(pthread_create(&m.t, NULL, wait_one, &m) == 0);
	gate_pass(&m.started);
	CHECK(h_wait_state(m.tid, "S"));
	CHECK_EQ(syscall(NR_futex_wake, &words[0], 3ul, 0, U32 | PRIVATE), 0); /* none is none here */
	CHECK_EQ(syscall(NR_futex_wake, &words[0], 4ul, 1, U32 | PRIVATE), 0);
	CHECK_EQ(syscall(NR_futex_requeue, v, 0, 0, 1), 1);
	CHECK_EQ(syscall(NR_futex_wake, &words[0], 3ul, 1, U32 | PRIVATE), 0);
	CHECK_EQ(syscall(NR_futex_wake, &words[2], 2ul, 1, U32 | PRIVATE), 1);
	pthread_join(m.t, NULL);
	CHECK_EQ(m.result, 0);
	gate_free(&m.started);
}
