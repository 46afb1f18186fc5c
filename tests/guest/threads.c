/* Threads by clone: creation, ids, thread-local storage, the ends of threads and of their process. */
#include "harness.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#define THREADS 8

static __thread int local = 7;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int counter;

static void *count(void *arg)
{
	local = (int)(intptr_t)arg;
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
	}
	return (void *)(intptr_t)local;
}

TEST(create_and_join)
{
	pthread_t t[THREADS];
	void *result;

	counter = 0;
	for (intptr_t i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&t[i], NULL, count, (void *)(i + 100)) == 0);
	for (intptr_t i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(t[i], &result), 0);
		CHECK_EQ((intptr_t)result, i + 100);
	}
	CHECK_EQ(counter, THREADS * 1000);
	CHECK_EQ(local, 7);
}

static void *many_body(void *arg)
{
	__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(many_short_ones)
{
	counter = 0;
	for (int i = 0; i < 100; i++) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, many_body, NULL) == 0);
		CHECK_EQ(pthread_join(t, NULL), 0);
	}
	CHECK_EQ(counter, 100);
}

static void *ids_body(void *arg)
{
	pid_t *tid = arg;

	*tid = (pid_t)syscall(SYS_gettid);
	CHECK_EQ(getpid(), *(tid + 1));
	CHECK(*tid != getpid());
	CHECK_EQ(syscall(SYS_tgkill, getpid(), *tid, 0), 0);
	CHECK_EQ(syscall(SYS_tkill, *tid, 0), 0);
	CHECK_ERR(syscall(SYS_tgkill, *tid, *tid, 0), ESRCH);
	return NULL;
}

TEST(ids)
{
	pid_t tid[2] = {0, getpid()};
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, ids_body, tid) == 0);
	pthread_join(t, NULL);
	CHECK_ERR(syscall(SYS_tkill, -1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, getpid(), 0, 0), EINVAL);
	CHECK_ERR(waitpid(tid[0], NULL, __WALL | WNOHANG), ECHILD); /* threads are nobody's children */
}

static int ping;

static void *pong(void *arg)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < 200; i++) {
		while (ping % 2 == 0)
			pthread_cond_wait(&cond, &lock);
		ping++;
		pthread_cond_signal(&cond);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

TEST(condition)
{
	pthread_t t;

	ping = 0;
	REQUIRE(pthread_create(&t, NULL, pong, NULL) == 0);
	pthread_mutex_lock(&lock);
	for (int i = 0; i < 200; i++) {
		ping++;
		pthread_cond_signal(&cond);
		while (ping % 2 == 1)
			pthread_cond_wait(&cond, &lock);
	}
	pthread_mutex_unlock(&lock);
	pthread_join(t, NULL);
	CHECK_EQ(ping, 400);
}

static void *forever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void *spin(void *arg)
{
	for (volatile int i = 0;; i++)
		;
	return NULL;
}

static void *exit_group_body(void *arg)
{
	_exit(12);
}

static void *last_one(void *arg)
{
	struct gate *g = arg;

	gate_pass(g);
	_exit(21);
}

static void *thread_exit_code(void *arg)
{
	syscall(SYS_exit, 33);
	return NULL;
}

TEST(exit_group_ends_blocked_and_spinning_threads)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		pthread_t t;

		for (int i = 0; i < 3; i++)
			REQUIRE(pthread_create(&t, NULL, forever, NULL) == 0);
		REQUIRE(pthread_create(&t, NULL, spin, NULL) == 0);
		_exit(11);
	}
	CHECK_EQ(h_wait(pid), 11 << 8);

	pid = h_fork();
	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, forever, NULL) == 0);
		REQUIRE(pthread_create(&t, NULL, exit_group_body, NULL) == 0);
		for (;;)
			pause();
	}
	CHECK_EQ(h_wait(pid), 12 << 8);
}

TEST(main_thread_ends_first)
{
	struct gate g;
	pid_t pid;
	int status;

	gate_init(&g);
	pid = h_fork();
	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, last_one, &g) == 0);
		syscall(SYS_exit, 5);
	}
	CHECK(h_wait_state(pid, "Z"));		       /* the leader is a zombie */
	CHECK_EQ(waitpid(pid, &status, WNOHANG), 0); /* but its process is not */
	CHECK_EQ(kill(pid, 0), 0);
	gate_open(&g);
	CHECK_EQ(h_wait(pid), 21 << 8);
	gate_free(&g);
}

static void *thread_exit_after(void *arg)
{
	gate_pass(arg);
	syscall(SYS_exit, 33);
	return NULL;
}

/* Without exit_group the status is the code of the thread that ended last (the leader's own before Linux 5.18). */
TEST(last_thread_status)
{
	struct gate g;
	pthread_t t;
	pid_t pid;

	gate_init(&g);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(pthread_create(&t, NULL, thread_exit_after, &g) == 0);
		syscall(SYS_exit, 5);
	}
	CHECK(h_wait_state(pid, "Z"));
	gate_open(&g);
	CHECK_EQ(h_wait(pid), 33 << 8);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(pthread_create(&t, NULL, thread_exit_code, NULL) == 0);
		pthread_join(t, NULL);
		syscall(SYS_exit, 5);
	}
	CHECK_EQ(h_wait(pid), 5 << 8);
	gate_free(&g);
}

TEST(fatal_signal_ends_all)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, forever, NULL) == 0);
		REQUIRE(pthread_create(&t, NULL, spin, NULL) == 0);
		kill(getpid(), SIGTERM);
		for (;;)
			pause();
	}
	CHECK_EQ(h_wait(pid), SIGTERM);
}

static void *forks(void *arg)
{
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (pid == 0)
			/* Only the calling thread came along. */
			_exit(local == 7 && getpid() == syscall(SYS_gettid) ? 3 : 4);
		if (h_wait(pid) != 3 << 8)
			return (void *)1;
	}
	return NULL;
}

TEST(fork_from_threads)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&t[i], NULL, forks, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		CHECK(!bad);
	}
}

static int raw_tid, raw_word;

static int raw_body(void *arg)
{
	raw_word = *(int *)arg;
	return 0; /* returns into libc's clone, which calls exit */
}

TEST(raw_clone)
{
	size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int arg = 42, parent_tid = 0, flags, tid;

	REQUIRE(stack != MAP_FAILED);
	raw_tid = 1;
	flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
		CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	tid = clone(raw_body, stack + size, flags, &arg, &parent_tid, NULL, &raw_tid);
	REQUIRE(tid > 0);
	CHECK_EQ(parent_tid, tid);
	/* The kernel clears the word and wakes its waiters when the thread is gone. */
	for (;;) {
		int now = __atomic_load_n(&raw_tid, __ATOMIC_SEQ_CST);

		if (now == 0)
			break;
		CHECK(now == tid || now == 1);
		syscall(SYS_futex, &raw_tid, FUTEX_WAIT, now, NULL, NULL, 0);
	}
	CHECK_EQ(raw_word, 42);
	munmap(stack, size);
}

TEST(clone_errors)
{
	CHECK_ERR(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
}

static int clone_child(void *arg)
{
	*(volatile int *)arg += 1;
	return 9;
}

TEST(clone_vm_process)
{
	/* A process of its own that shares memory, files and working directory. */
	size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int value = 1;
	pid_t pid;

	REQUIRE(stack != MAP_FAILED);
	pid = clone(clone_child, stack + size, CLONE_VM | CLONE_FILES | CLONE_FS | SIGCHLD, &value);
	REQUIRE(pid > 0);
	CHECK_EQ(h_wait(pid), 9 << 8);
	CHECK_EQ(*(volatile int *)&value, 2);

	/* One that ends with no signal is waited for with __WCLONE only. */
	pid = clone(clone_child, stack + size, 0, &value);
	REQUIRE(pid > 0);
	CHECK_ERR(waitpid(pid, NULL, 0), ECHILD);
	CHECK_EQ(waitpid(pid, NULL, __WCLONE), pid);
	munmap(stack, size);
}

/* The word that a task's end clears is of use to those who share its memory: where nobody does it is left. */
TEST(cleared_tid)
{
	size_t size = 64 << 10;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), value = 1;
	long pid;

	REQUIRE(stack != MAP_FAILED && word != MAP_FAILED);
	*word = 77;
	pid = syscall(SYS_clone, CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, word, 0);
	if (pid == 0)
		_exit(0);
	CHECK_EQ(h_wait((pid_t)pid), 0);
	CHECK_EQ(*word, 77);
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_set_tid_address, word);
		raise(SIGKILL);
	}
	CHECK_EQ(h_wait((pid_t)pid), SIGKILL);
	CHECK_EQ(*word, 77);
	pid = clone(clone_child, stack + size, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, &value, NULL, NULL, word);
	CHECK_EQ(h_wait((pid_t)pid), W_EXIT(9));
	CHECK_EQ(*word, 0);
	*word = 77;
	pid = clone(clone_child, stack + size, CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, &value, NULL, NULL, word);
	CHECK_EQ(h_wait((pid_t)pid), W_EXIT(9));
	CHECK_EQ(*word, 0);
	munmap(stack, size);
	munmap(word, 4096);
}

static void *big_stack(void *arg)
{
	volatile char big[3 << 20];

	for (size_t i = 0; i < sizeof(big); i += 4096)
		big[i] = (char)i;
	return (void *)(intptr_t)big[4096 * 5];
}

TEST(stack_of_a_thread)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 << 20);
	REQUIRE(pthread_create(&t, &attr, big_stack, NULL) == 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void cancelled(void *arg)
{
	*(int *)arg = 1;
}

static void *cancel_body(void *arg)
{
	pthread_cleanup_push(cancelled, arg);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

TEST(cancel)
{
	int seen = 0;
	void *result;
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, cancel_body, &seen) == 0);
	REQUIRE(pthread_cancel(t) == 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	CHECK_EQ(seen, 1);
}

TEST(names)
{
	char name[16];

	CHECK_EQ(pthread_setname_np(pthread_self(), "a-name-of-15-ch"), 0);
	CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	CHECK_STR(name, "a-name-of-15-ch");
}
