/*
 * A thread that changes its signal mask all the time, from one call site, while others send it signals and look at it: a
 * kernel may make that call cheap, but nobody may be able to tell.
 */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>

#define PAGE 4096l
#define ROUNDS 100
#define SENT 2000

/* rt_sigprocmask(2) from one site; -errno for an error. */
__asm__(".text\n.balign 16\nmask_call: mov %rcx, %r10\nmov $14, %eax\nsyscall\nret\n");
extern long mask_call(long how, const void *set, void *old, long size);

static uint64_t bit(int sig)
{
	return 1ull << (sig - 1);
}

static uint64_t mask_now(void)
{
	uint64_t old = 0;

	CHECK_EQ(mask_call(SIG_BLOCK, NULL, &old, 8), 0);
	return old;
}

static void mask_set(uint64_t set)
{
	CHECK_EQ(mask_call(SIG_SETMASK, &set, NULL, 8), 0);
}

/* What both sides of a fork see. */
struct shared {
	_Atomic int step, taken, wrong;
};

static struct shared *shared_new(void)
{
	struct shared *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(s != MAP_FAILED);
	return s;
}

static void await_step(const struct shared *s, int step)
{
	while (s->step < step)
		;
}

static uint64_t status_mask(pid_t pid, const char *key)
{
	char path[64], line[256];
	unsigned long long value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), ": %llx", &value);
	fclose(f);
	return value;
}

TEST(values)
{
	uint64_t a = bit(SIGUSR1) | bit(SIGKILL) | bit(SIGSTOP) | bit(40), b = bit(SIGUSR2), before = mask_now(), old, all = ~0ull;

	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		mask_set(0);
		CHECK_EQ(mask_call(SIG_BLOCK, &a, &old, 8), 0);
		CHECK_EQ(old, 0);
		CHECK_EQ(mask_call(SIG_BLOCK, &b, &old, 8), 0);
		CHECK_EQ(old, bit(SIGUSR1) | bit(40));
		CHECK_EQ(mask_call(SIG_UNBLOCK, &a, &old, 8), 0);
		CHECK_EQ(old, bit(SIGUSR1) | bit(SIGUSR2) | bit(40));
		CHECK_EQ(mask_now(), b);
		CHECK_EQ(mask_call(SIG_SETMASK, &all, NULL, 8), 0);
		CHECK_EQ(mask_now(), ~(bit(SIGKILL) | bit(SIGSTOP)));
		/* Both are the same memory. */
		old = b;
		CHECK_EQ(mask_call(SIG_SETMASK, &old, &old, 8), 0);
		CHECK_EQ(old, ~(bit(SIGKILL) | bit(SIGSTOP)));
		CHECK_EQ(mask_now(), b);
		/* Only the low half of `how` counts, and only if there is a set. */
		CHECK_EQ(mask_call(0x100000000 | SIG_BLOCK, &a, NULL, 8), 0);
		CHECK_EQ(mask_call(77, NULL, &old, 8), 0);
		CHECK_EQ(old, bit(SIGUSR1) | bit(SIGUSR2) | bit(40));
		CHECK_EQ(mask_call(3, &a, &old, 8), -EINVAL);
		CHECK_EQ(mask_call(-1, &a, &old, 8), -EINVAL);
		CHECK_EQ(mask_call(SIG_BLOCK, &a, &old, 4), -EINVAL);
		CHECK_EQ(mask_call(SIG_BLOCK, &a, &old, 0x100000008), -EINVAL);
		CHECK_EQ(mask_now(), bit(SIGUSR1) | bit(SIGUSR2) | bit(40));
	}
	mask_set(before);
}

TEST(faults)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t b = bit(SIGUSR2), before = mask_now();

	REQUIRE(p != MAP_FAILED && munmap(p + PAGE, PAGE) == 0);
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		mask_set(0);
		CHECK_EQ(mask_call(SIG_BLOCK, p + PAGE, NULL, 8), -EFAULT);
		CHECK_EQ(mask_call(SIG_BLOCK, p + PAGE - 4, NULL, 8), -EFAULT);
		CHECK_EQ(mask_call(SIG_BLOCK, (void *)0x8000000000000000, NULL, 8), -EFAULT);
		CHECK_EQ(mask_now(), 0);
		/* The mask is changed before the old one is told. */
		CHECK_EQ(mask_call(SIG_BLOCK, &b, p + PAGE, 8), -EFAULT);
		CHECK_EQ(mask_now(), b);
		mask_set(0);
		CHECK_EQ(mask_call(SIG_BLOCK, &b, (void *)1, 8), -EFAULT);
		CHECK_EQ(mask_now(), b);
		/* Memory that nobody has touched yet. */
		REQUIRE(madvise(p, PAGE, MADV_DONTNEED) == 0);
		CHECK_EQ(mask_call(SIG_SETMASK, p + 8, p + 16, 8), 0);
		CHECK_EQ(*(uint64_t *)(p + 16), b);
		mask_set(b);
		REQUIRE(mprotect(p, PAGE, PROT_READ) == 0);
		CHECK_EQ(mask_call(SIG_SETMASK, p + 8, p + 24, 8), -EFAULT);
		CHECK_EQ(mask_now(), 0);
		REQUIRE(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
	}
	munmap(p, PAGE);
	mask_set(before);
}

static volatile int taken;

static void take(int sig)
{
	taken++;
}

TEST(pending_until_unblocked)
{
	uint64_t before = mask_now(), pending;

	REQUIRE(signal(SIGUSR1, take) != SIG_ERR);
	for (int i = 0; i < ROUNDS && !h_failures; i++) {
		taken = 0;
		mask_set(bit(SIGUSR1));
		REQUIRE(kill(getpid(), SIGUSR1) == 0);
		CHECK_EQ(mask_now(), bit(SIGUSR1));
		REQUIRE(syscall(SYS_rt_sigpending, &pending, 8) == 0);
		CHECK_EQ(pending, bit(SIGUSR1));
		CHECK_EQ(taken, 0);
		mask_set(0);
		CHECK_EQ(taken, 1); /* before the call was back */
		mask_set(bit(SIGUSR1));
		mask_set(0);
		CHECK_EQ(taken, 1);
	}
	signal(SIGUSR1, SIG_DFL);
	mask_set(before);
}

/* ---- others ---- */

static struct shared *state;
static volatile bool blocked;

static void take_unblocked(int sig)
{
	if (blocked)
		state->wrong++;
	state->taken++;
}

/* Blocks and unblocks until all that is sent has come. */
static void toggle(int sig)
{
	mask_set(0);
	while (state->taken < SENT) {
		uint64_t set = bit(sig);

		mask_call(SIG_BLOCK, &set, NULL, 8);
		blocked = true;
		mask_call(SIG_BLOCK, NULL, &set, 8);
		if (!(set & bit(sig)))
			state->wrong++;
		blocked = false;
		set = bit(sig);
		mask_call(SIG_UNBLOCK, &set, NULL, 8);
	}
}

static void send_all(pid_t pid, pid_t tid)
{
	siginfo_t info = {.si_code = SI_QUEUE};

	for (int i = 0; i < SENT && state->wrong == 0;) {
		long r = tid ? syscall(SYS_rt_tgsigqueueinfo, pid, tid, SIGRTMIN, &info)
			     : syscall(SYS_rt_sigqueueinfo, pid, SIGRTMIN, &info);

		if (r == 0)
			i++;
		else
			REQUIRE(errno == EAGAIN);
	}
}

/* Between the two, signals that handler takes come from a child. */
static void expect(void (*handler)(int))
{
	state = shared_new();
	REQUIRE(signal(SIGRTMIN, handler) != SIG_ERR);
}

static pid_t start_sender(bool to_thread)
{
	pid_t parent = getpid(), child = fork();

	REQUIRE(child >= 0);
	if (child == 0) {
		send_all(parent, to_thread ? parent : 0);
		child_exit();
	}
	return child;
}

static void all_came(pid_t sender, uint64_t mask_before)
{
	JOIN(sender);
	CHECK_EQ(state->taken, SENT);
	CHECK_EQ(state->wrong, 0);
	signal(SIGRTMIN, SIG_DFL);
	mask_set(mask_before);
	munmap(state, PAGE);
}

static void sent_while_toggled(bool to_thread)
{
	uint64_t before = mask_now();
	pid_t sender;

	expect(take_unblocked);
	sender = start_sender(to_thread);
	toggle(SIGRTMIN);
	all_came(sender, before);
}

TEST(sent_to_the_process)
{
	sent_while_toggled(false);
}

TEST(sent_to_the_thread)
{
	sent_while_toggled(true);
}

static void count_taken(int sig)
{
	state->taken++;
}

/* The set and the old mask are the same memory, while signals come. */
TEST(exchanged_while_sent)
{
	uint64_t before = mask_now(), want[2] = {bit(SIGUSR2), bit(SIGUSR2) | bit(SIGRTMIN)};
	pid_t sender;

	expect(count_taken);
	mask_set(want[1]);
	sender = start_sender(false);
	for (int i = 0; state->taken < SENT && state->wrong == 0; i++) {
		uint64_t x = want[i % 2];

		if (mask_call(SIG_SETMASK, &x, &x, 8) != 0 || x != want[(i + 1) % 2] || mask_now() != want[i % 2])
			state->wrong++;
	}
	all_came(sender, before);
}

/* ---- threads ---- */

static __thread volatile bool mine_blocked;

static void take_in_thread(int sig)
{
	if (mine_blocked)
		state->wrong++;
	state->taken++;
}

static void *toggle_in_thread(void *arg)
{
	uint64_t set = bit(SIGRTMIN);

	while (state->taken < SENT) {
		mask_call(SIG_BLOCK, &set, NULL, 8);
		mine_blocked = true;
		mine_blocked = false;
		mask_call(SIG_UNBLOCK, &set, NULL, 8);
	}
	return NULL;
}

/* Somebody takes each, whoever blocks it at the moment. */
TEST(many_threads)
{
	uint64_t before = mask_now();
	pthread_t threads[3];
	pid_t sender;

	expect(take_in_thread);
	mask_set(0);
	for (size_t i = 0; i < 3; i++)
		REQUIRE(pthread_create(&threads[i], NULL, toggle_in_thread, NULL) == 0);
	sender = start_sender(false);
	toggle_in_thread(NULL);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	all_came(sender, before);
}

/* ---- who looks on ---- */

/* A child that only computes, and so is seen as it is: what it blocks, and what is kept for it. */
TEST(seen_from_outside)
{
	uint64_t before = mask_now();
	pid_t child;

	state = shared_new();
	child = fork();
	REQUIRE(child >= 0);
	if (child == 0) {
		REQUIRE(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
		for (int i = 0; i < ROUNDS; i++) /* the site is a busy one by now */
			mask_set(i % 2 ? bit(SIGUSR1) | bit(SIGUSR2) : 0);
		state->step = 1;
		await_step(state, 2);
		mask_set(bit(SIGUSR1));
		state->step = 3;
		await_step(state, 4);
		REQUIRE(signal(SIGUSR1, count_taken) != SIG_ERR);
		CHECK_EQ(state->taken, 0);
		mask_set(0);
		CHECK_EQ(state->taken, 1);
		child_exit();
	}
	await_step(state, 1);
	CHECK_EQ(status_mask(child, "SigBlk"), bit(SIGUSR1) | bit(SIGUSR2));
	state->step = 2;
	await_step(state, 3);
	CHECK_EQ(status_mask(child, "SigBlk"), bit(SIGUSR1));
	/* Ignored, but blocked: it is kept, for that may change. */
	REQUIRE(kill(child, SIGUSR1) == 0);
	CHECK_EQ(status_mask(child, "ShdPnd"), bit(SIGUSR1));
	state->step = 4;
	JOIN(child);
	munmap(state, PAGE);
	mask_set(before);
}

/* ---- who inherits it ---- */

ROLE(argc, argv)
{
	uint64_t want = strtoull(argv[2], NULL, 16);

	return mask_now() == want ? 0 : 1;
}

TEST(inherited)
{
	uint64_t before = mask_now(), set = bit(SIGUSR2) | bit(SIGRTMIN);
	char text[32];

	for (int i = 0; i < ROUNDS; i++)
		mask_set(set);
	snprintf(text, sizeof(text), "%llx", (unsigned long long)set);
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		REQUIRE(child >= 0);
		if (child == 0) {
			CHECK_EQ(mask_now(), set);
			execl(h_self, h_self, "@role", text, NULL);
			REQUIRE(false);
		}
		JOIN(child);
	}
	mask_set(before);
}
