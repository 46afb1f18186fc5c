/*
 * A thread that the host cannot interrupt: it returns from a signal by the shim's own sigreturn, with a frame that
 * blocks every host signal, and then spins.  Whoever waits for such a thread must not wait for ever.
 */
#include "attack.h"

#include <pthread.h>
#include <ucontext.h>

static struct found found;
static volatile int *spins; /* the attacker's own word, shared with its parent */

static void spin(void)
{
	for (;;)
		++*spins;
}

/* Looks for "syscall" above the ceiling, `skip` of them left out; 0 if there are no more. */
static uintptr_t syscall_above(int skip)
{
	for (int i = 0; i < found.count; i++)
		for (int at = 0; !found.writable[i] && at < 4095; at++) {
			volatile unsigned char *code = (unsigned char *)found.page[i] + at;

			if (code[0] == 0x0f && code[1] == 0x05 && skip-- == 0)
				return (uintptr_t)code;
		}
	return 0;
}

static struct {
	ucontext_t uc; /* what rsp points to at sigreturn */
	char rest[8192];
} frame __attribute__((aligned(64)));

static char spin_stack[65536] __attribute__((aligned(64)));

static void go(uintptr_t site)
{
	memset(&frame, 0, sizeof(frame));
	memset(&frame.uc.uc_sigmask, 0xff, 8);
	frame.uc.uc_mcontext.gregs[REG_RIP] = (greg_t)spin;
	frame.uc.uc_mcontext.gregs[REG_RSP] = (greg_t)(spin_stack + sizeof(spin_stack) - 128 - 8);
	frame.uc.uc_mcontext.gregs[REG_EFL] = 0x202;
	frame.uc.uc_mcontext.gregs[REG_CSGSFS] = 0x33 | 0x2bl << 48;
	__asm__ volatile("movq %0, %%rsp; movl %1, %%eax; jmp *%2" ::"r"(&frame), "i"(SYS_rt_sigreturn), "r"(site) : "memory");
}

/* True once the word counts up. */
static bool counts_up(volatile int *word, int ms)
{
	struct timespec nap = {0, 1000000};
	int before = *word;

	for (int i = 0; i < ms && *word == before; i++)
		nanosleep(&nap, NULL);
	return *word != before;
}

#define SITES 16

/* Starts an attacker at every site, all at once; ends those that came to spin by `how` from outside or inside. */
static void each_site(void (*inside)(void *), int outside_signal)
{
	int *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int count = 0, spinning = 0;
	pid_t pids[SITES];
	int64_t start;

	REQUIRE(words != MAP_FAILED);
	find_pages(&found);
	for (uintptr_t site; count < SITES && (site = syscall_above(count)); count++) {
		spins = words + count;
		pids[count] = h_fork();
		if (pids[count] == 0) {
			for (int sig = 1; sig < 32; sig++)
				signal(sig, SIG_DFL);
			if (inside) {
				pthread_t t;

				pthread_create(&t, NULL, (void *(*)(void *))(void *)inside, NULL);
			}
			go(site);
		}
	}
	for (int i = 0; i < count; i++)
		if (counts_up(words + i, 300)) {
			spinning++;
			if (outside_signal)
				kill(pids[i], outside_signal);
		}
	start = h_now_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < count; i++) {
		int left_ms = 15000 - (int)((h_now_ns(CLOCK_MONOTONIC) - start) / 1000000);

		finish_off(pids[i], left_ms > 100 && (inside || outside_signal) ? left_ms : 100);
	}
	h_say("  %d sites, %d spun, all ended after %d ms\n", count, spinning,
	      (int)((h_now_ns(CLOCK_MONOTONIC) - start) / 1000000));
	munmap(words, 4096);
	still_alive();
}

static void exits_when_spinning(void *arg)
{
	struct timespec nap = {0, 5000000};

	while (*spins == 0)
		nanosleep(&nap, NULL);
	_exit(3);
}

static void execs_when_spinning(void *arg)
{
	struct timespec nap = {0, 5000000};

	while (*spins == 0)
		nanosleep(&nap, NULL);
	execl("/bin/true", "true", NULL);
	_exit(4);
}

static void forks_when_spinning(void *arg)
{
	struct timespec nap = {0, 5000000};
	pid_t pid;

	while (*spins == 0)
		nanosleep(&nap, NULL);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	_exit(5);
}

TEST(killed)
{
	each_site(NULL, SIGKILL);
}

TEST(terminated)
{
	each_site(NULL, SIGTERM);
}

TEST(sibling_exits)
{
	each_site(exits_when_spinning, 0);
}

TEST(sibling_executes)
{
	each_site(execs_when_spinning, 0);
}

TEST(sibling_forks)
{
	each_site(forks_when_spinning, 0);
}

TEST(stopped)
{
	each_site(NULL, SIGSTOP);
}

/* The same with the guest's own sigreturn, which the sentry answers: the mask is then the guest's alone. */
TEST(ordinary_sigreturn)
{
	spins = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = h_fork();

	if (pid == 0) {
		static unsigned char code[2] = {0x0f, 0x05};

		mprotect((void *)((uintptr_t)code & ~4095ul), 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
		go((uintptr_t)code);
	}
	counts_up(spins, 300);
	kill(pid, SIGSTOP); /* cannot be blocked */
	int status;
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	kill(pid, SIGKILL);
	if (!WIFEXITED(status) && !WIFSIGNALED(status))
		CHECK_EQ(h_wait(pid), SIGKILL);
	still_alive();
}
