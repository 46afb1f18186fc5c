/*
 * Attacks: guest programs that try to reach the host or to bring the sandbox down.  They make sense inside only.
 *
 * What must hold, whatever they do: the process that attacks gets an errno, a signal, or dies; every other process goes
 * on; and nothing happens outside.  The runner gives two witnesses of the outside: ATTACK_MARKER, a path that must not
 * come into being on the host, and ATTACK_VICTIM, a host process that must live on.  An attack that finds a way to make a
 * host call of its choice would make the one and kill the other.
 */
#ifndef BAILEY_TESTS_ATTACK_H
#define BAILEY_TESTS_ATTACK_H

#include "harness.h"

#include <setjmp.h>
#include <sys/mman.h>

#include "platform/systrap/layout.h"

#define CEILING 0x7fff00000000ul
#define USER_END 0x7ffffffff000ul

/* Where the ptrace platform keeps things above the ceiling: platform/ptrace/stub.c. */
#define PTRACE_TOP 0x7fffe0000000ul
#define PTRACE_LOWEST 0x7fff80000000ul
#define PTRACE_STEP 0x1000000ul

static sigjmp_buf a_out;

static void a_on_fault(int sig)
{
	siglongjmp(a_out, sig);
}

/* Faults come back as results; on a stack of its own, since an attack may have lost the other. */
H_UNUSED static void catch_everything(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	stack_t st = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_handler = a_on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};

	sigaltstack(&st, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	sigaction(SIGSYS, &sa, NULL);
}

H_UNUSED static bool readable(uintptr_t a)
{
	if (sigsetjmp(a_out, 1))
		return false;
	(void)*(volatile char *)a;
	return true;
}

H_UNUSED static bool writable(uintptr_t a)
{
	if (sigsetjmp(a_out, 1))
		return false;
	__asm__ volatile("lock orb $0, (%0)" ::"r"(a) : "memory");
	return true;
}

/* The pages above the ceiling that can be read, looked for where the platforms put them. */
struct found {
	uintptr_t page[512];
	bool writable[512];
	int count;
};

H_UNUSED static void look_at(struct found *f, uintptr_t page)
{
	if (f->count < 512 && readable(page)) {
		f->page[f->count] = page;
		f->writable[f->count] = writable(page);
		f->count++;
	}
}

H_UNUSED static void find_pages(struct found *f)
{
	f->count = 0;
	catch_everything();
	for (int i = 0; i < 4; i++) {
		look_at(f, SYSTRAP_BASE + (uintptr_t)i * 4096);
		look_at(f, SYSTRAP_BASE_2 + (uintptr_t)i * 4096);
	}
	for (int i = 0; i < 4; i++) {
		look_at(f, SYSTRAP_BASE + SYSTRAP_REQUESTS_OFF + (uintptr_t)i * 4096);
		look_at(f, SYSTRAP_BASE_2 + SYSTRAP_REQUESTS_OFF + (uintptr_t)i * 4096);
	}
	look_at(f, SYSTRAP_BASE + SYSTRAP_TRAMPOLINES_OFF);
	look_at(f, SYSTRAP_BASE_2 + SYSTRAP_TRAMPOLINES_OFF);
	look_at(f, SYSTRAP_CELLS);
	for (uintptr_t c = 0; c < 48; c++)
		for (uintptr_t p = 0; p < 8; p++)
			look_at(f, SYSTRAP_CHANNELS + c * SYSTRAP_CHANNEL_SIZE + p * 4096);
	for (uintptr_t top = PTRACE_TOP; top >= PTRACE_LOWEST; top -= PTRACE_STEP)
		for (uintptr_t p = 0; p < 2; p++)
			look_at(f, top + p * 4096);
	/* Who finds nothing tests nothing. */
	REQUIRE(f->count > 0);
}

/* The text: what can be read but not written, up to the last byte that is not zero. */
H_UNUSED static size_t text_size(uintptr_t page)
{
	size_t n = 4096;

	/* Cells are no code, and trampolines are all alike. */
	if (page == SYSTRAP_CELLS)
		return 8;
	if ((page & (SYSTRAP_TRAMPOLINES_OFF | 0xfff)) == SYSTRAP_TRAMPOLINES_OFF && page >= SYSTRAP_BASE)
		n = 256;
	while (n > 0 && ((volatile char *)page)[n - 1] == 0)
		n--;
	return n < 4095 ? n + 2 : n;
}

/*
 * The shim's system call instruction that goes on to store what it got and return: guest code can use it as a function.  Where
 * there is none (ptrace), a null pointer.
 */
H_UNUSED static uintptr_t obliging_call(const struct found *f)
{
	static const unsigned char store_rax[] = {0x0f, 0x05, 0x48, 0x89, 0x83}; /* syscall; mov %rax, N(%rbx); */
	static const unsigned char return_after[] = {1, 0, 0, 0, 0xc3};		 /* movl $1, M(%rbx); ret */

	for (int i = 0; i < f->count; i++) {
		size_t n = f->writable[i] ? 0 : text_size(f->page[i]);

		for (size_t at = 0; at + 24 < n; at++)
			if (memcmp((char *)f->page[i] + at, store_rax, sizeof(store_rax)) == 0 &&
			    memcmp((char *)f->page[i] + at + 15, return_after, sizeof(return_after)) == 0)
				return f->page[i] + at;
	}
	return 0;
}

/* Makes a call there; what it writes of its result goes to channel.  What the filter does not let through becomes a call of the guest's
 * own, which the sentry answers. */
H_UNUSED static long call_from_shim(uintptr_t at, char *channel, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
				    uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	register char *rbx __asm__("rbx") = channel;
	long r = nr;

	__asm__ volatile("subq $128, %%rsp; callq *%[at]; addq $128, %%rsp"
			 : "+a"(r), "+r"(r10), "+r"(r8), "+r"(r9)
			 : [at] "r"((uint64_t)at), "r"(rbx), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

/* Waits for pid, but no longer than ms; then kills it.  The wait status.  A process that cannot be killed is a failed
 * check: nothing a guest does may bring it there. */
H_UNUSED static int finish_off(pid_t pid, int ms)
{
	int64_t end = h_now_ns(CLOCK_MONOTONIC) + ms * 1000000ll;
	struct timespec nap = {0, 200000};
	int status;

	while (h_now_ns(CLOCK_MONOTONIC) < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		nanosleep(&nap, NULL);
	}
	kill(pid, SIGKILL);
	end = h_now_ns(CLOCK_MONOTONIC) + 20000000000ll;
	while (h_now_ns(CLOCK_MONOTONIC) < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		nanosleep(&nap, NULL);
	}
	H_FAIL("a process outlives SIGKILL by 20 s\n");
	return -1;
}

/* The rest goes on: this process can still call, fork, and map. */
H_UNUSED static void still_alive(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	CHECK(p != MAP_FAILED);
	p[4096] = 1;
	munmap(p, 8192);
	pid = h_fork();
	if (pid == 0)
		_exit(7);
	CHECK_EQ(h_wait(pid), 7 << 8);
}

H_UNUSED static const char *marker(void)
{
	const char *m = getenv("ATTACK_MARKER");

	return m ? m : "/tmp/bailey-attack-marker";
}

H_UNUSED static int victim(void)
{
	const char *v = getenv("ATTACK_VICTIM");

	return v ? atoi(v) : 0x3ffff0;
}

/* A page-aligned area below 4 GiB, for code of other modes and for pointers that fit in 32 bits. */
H_UNUSED static char *low_area(size_t size, int prot)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

#endif
