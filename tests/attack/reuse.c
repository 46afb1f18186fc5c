/*
 * Programs that leave their address space in a bad state for the next one: threads that seem parked and are not, channels that
 * are written to until the end, memory mapped behind everybody's back.  The next program in the same sandbox finds nothing of it.
 */
#include "attack.h"

#include <pthread.h>
#include <spawn.h>

#define SECRET 0x200000000000ul
#define ROUNDS 30

extern char **environ;
static struct found found;

/* Of a program that has just begun: 66 if there is a secret, 67 if there is more than one thread's channel. */
ROLE(argc, argv)
{
	uintptr_t first = 0;
	int calls = 0;

	catch_everything();
	if (readable(SECRET) || readable(0x90000000ul))
		return 66;
	find_pages(&found);
	for (int i = 0; i < found.count; i++) {
		uintptr_t channel = found.page[i] & ~(SYSTRAP_CHANNEL_SIZE - 1);

		if (!found.writable[i] || found.page[i] < SYSTRAP_CHANNELS)
			continue;
		if (first && channel != first)
			return 67;
		first = channel;
	}
	for (int i = 0; i < 100; i++) {
		char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		calls += p != MAP_FAILED && *p == 0 && getpid() == (int)syscall(SYS_gettid);
		munmap(p, 8192);
	}
	return calls == 100 ? 0 : 68;
}

/* Says of all the process's threads that they are parked, and so on, without end. */
static void *scribble_words(void *arg)
{
	static unsigned seed = 1;

	for (;;)
		for (int i = 0; i < found.count; i++)
			if (found.writable[i] && found.page[i] % SYSTRAP_CHANNEL_SIZE == 0) {
				seed = seed * 1103515245 + 12345;
				*(volatile uint32_t *)found.page[i] = *(int *)arg ? 1 : seed >> 8 & 15;
			}
	return NULL;
}

/* Its own channel's frames and registers, but for the words that make it die at once. */
static void *scribble_frames(void *arg)
{
	for (;;)
		for (int i = 0; i < found.count; i++)
			if (found.writable[i] && found.page[i] % SYSTRAP_CHANNEL_SIZE != 0)
				((volatile uint64_t *)found.page[i])[rand() % 512] = SECRET;
	return NULL;
}

static void *spin(void *arg)
{
	for (;;)
		;
	return NULL;
}

static void *call(void *arg)
{
	for (;;)
		syscall(SYS_getppid);
	return NULL;
}

static void leave(void *(*worst)(void *), int *arg, bool by_exec)
{
	char *argv[] = {"x", "@victim", NULL};
	struct timespec nap = {0, 2000000};
	pthread_t t;

	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	memset(mmap((void *)SECRET, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), 0xa5, 1 << 20);
	pthread_create(&t, NULL, spin, NULL);
	pthread_create(&t, NULL, call, NULL);
	find_pages(&found);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	pthread_create(&t, NULL, worst, arg);
	nanosleep(&nap, NULL);
	if (by_exec)
		execve(h_self, argv, environ);
	_exit(0);
}

static void next_program(void)
{
	char *argv[] = {"x", "@victim", NULL};
	pid_t pid;

	REQUIRE(posix_spawn(&pid, h_self, NULL, NULL, argv, environ) == 0);
	CHECK_EQ(finish_off(pid, 20000), 0);
}

/* The attacker may die of what it does; what comes of it, or after it, is whole. */
static void attack(void *(*worst)(void *), int arg)
{
	int whole = 0;

	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = h_fork();
		int status;

		if (pid == 0)
			leave(worst, &arg, round % 2);
		status = finish_off(pid, 20000);
		CHECK(WIFSIGNALED(status) || status == 0);
		whole += status == 0;
		next_program();
	}
	h_say("  %d of %d went on\n", whole, ROUNDS);
	still_alive();
}

TEST(seem_parked)
{
	attack(scribble_words, 1);
}

TEST(any_word)
{
	attack(scribble_words, 0);
}

TEST(frames)
{
	attack(scribble_frames, 0);
}

/*
 * A thread that jumps to the shim's own system call instructions, to map memory while its program is left.  With nothing but registers: all
 * it needs afterwards is gone.
 */
static uintptr_t site;

static void *map_on(void *arg)
{
	register long r10 __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = 0;

	__asm__ volatile("jmp *%0" ::"r"(site), "a"(SYS_mmap), "D"(0x90000000ul), "S"(4096ul), "d"(3ul), "r"(r10), "r"(r8), "r"(r9) : "memory");
	return NULL;
}

TEST(maps_until_the_end)
{
	find_pages(&found);
	for (int i = 0; i < found.count; i++)
		for (int at = 0; !found.writable[i] && at < 4095; at++) {
			volatile unsigned char *code = (unsigned char *)found.page[i] + at;
			pid_t pid;

			if (code[0] != 0x0f || code[1] != 0x05)
				continue;
			site = (uintptr_t)code;
			pid = h_fork();
			if (pid == 0)
				leave(map_on, NULL, true);
			finish_off(pid, 3000);
			next_program();
		}
	still_alive();
}
