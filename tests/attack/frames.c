/*
 * Handlers' returns through forged frames, by a restorer that has become a busy one: frames that lie where no frame belongs, and
 * frames that lead there; and the tables of futex waiters.
 */
#include "attack.h"

#include <linux/futex.h>
#include <ucontext.h>

#define RANDOM_FRAMES 150

static uintptr_t restorer;

static void handler(int sig)
{
}

static void find_restorer(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} sa;

	signal(SIGUSR1, handler);
	REQUIRE(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &sa, 8) == 0);
	restorer = (uintptr_t)sa.restorer;
	for (int i = 0; i < 30; i++)
		raise(SIGUSR1);
}

__attribute__((noreturn)) static void return_through(uintptr_t frame)
{
	__asm__ volatile("movq %0, %%rsp; jmp *%1" ::"r"(frame), "r"(restorer) : "memory");
	__builtin_unreachable();
}

static void in_child_return_through(uintptr_t frame)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_DFL);
		return_through(frame);
	}
	finish_off(pid, 60);
}

TEST(frames_where_none_belongs)
{
	static const uintptr_t at[] = {
		0,
		8,
		CEILING - 0x4000 - 304,
		CEILING - 304,
		CEILING - 8,
		CEILING,
		CEILING + SYSTRAP_LEADER_OFF,
		CEILING + SYSTRAP_PIECES_OFF,
		CEILING + SYSTRAP_FRESH_OFF,
		CEILING + SYSTRAP_REQUESTS_OFF,
		CEILING + SYSTRAP_WAITERS_OFF,
		CEILING + SYSTRAP_TRAMPOLINES_OFF,
		SYSTRAP_CHANNELS,
		SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE,
		SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE + CH_BACK,
		SYSTRAP_CHANNELS + 2 * SYSTRAP_CHANNEL_SIZE + CH_BACK - 40,
		USER_END - 8,
		0x8000000000000000,
		0xfffffffffffffff8,
	};

	find_restorer();
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		in_child_return_through(at[i]);
	still_alive();
	CHECK_ERR(access(marker(), F_OK), ENOENT);
}

/* A whole frame, as the last handler's. */
static char good[8192] __attribute__((aligned(64)));
static size_t frame_size, state_at;

static void keep_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *fp = (char *)uc->uc_mcontext.fpregs;
	uint32_t size = *(uint32_t *)(fp + 464 + 4); /* extended_size */

	state_at = 512;
	frame_size = state_at + size;
	if (frame_size <= sizeof(good)) {
		memcpy(good, uc, 304); /* the kernel's struct */
		memcpy(good + state_at, fp, size);
	}
}

static unsigned next_random(unsigned *s)
{
	*s = *s * 1103515245 + 12345;
	return *s >> 8;
}

static uint64_t interesting(unsigned *s)
{
	switch (next_random(s) % 8) {
	case 0:
		return CEILING + next_random(s) % 0x1000; /* the shim */
	case 1:
		return CEILING + SYSTRAP_LEADER_OFF + next_random(s) % 0x100;
	case 2:
		return SYSTRAP_CHANNELS + (next_random(s) % 4) * SYSTRAP_CHANNEL_SIZE + next_random(s) % 0x4000;
	case 3:
		return (SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE + CH_BACK) & ~63ul;
	case 4:
		return (uint64_t)next_random(s) << 40;
	case 5:
		return UINT64_MAX - next_random(s) % 16;
	case 6:
		return (uintptr_t)good + next_random(s) % sizeof(good);
	default:
		return SYSTRAP_CELLS + next_random(s) % 64 * 8;
	}
}

/* The child's own copy of the good frame, with a few words of it forged; sometimes it leads to the host's calls of the shim. */
static void forge(unsigned seed)
{
	uint64_t *w = (uint64_t *)good;
	ucontext_t *uc = (ucontext_t *)(void *)good;
	unsigned s = seed * 7919 + 1;

	uc->uc_mcontext.gregs[REG_RAX] = SYS_mkdir;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)marker();
	uc->uc_mcontext.gregs[REG_RSI] = 0777;
	uc->uc_mcontext.gregs[REG_RBX] = (greg_t)interesting(&s);
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)interesting(&s);
	if (seed % 3 == 0)
		memset(&uc->uc_sigmask, 0xff, 8);
	for (unsigned i = 0; i < seed % 5; i++)
		w[next_random(&s) % (frame_size / 8)] = interesting(&s);
}

TEST(random_frames)
{
	struct sigaction sa = {.sa_sigaction = keep_frame, .sa_flags = SA_SIGINFO};

	find_restorer();
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	REQUIRE(frame_size > 0);
	if (frame_size > sizeof(good))
		SKIP("vector state is large here");
	for (unsigned i = 0; i < RANDOM_FRAMES; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			ucontext_t *uc = (ucontext_t *)(void *)good;

			setsid();
			for (int sig = 1; sig < 32; sig++)
				signal(sig, SIG_DFL);
			/* The state lies in the copy as it did in the frame; the copy is as much aligned. */
			uc->uc_mcontext.fpregs = (void *)(good + state_at);
			if (i % 4 == 3)
				uc->uc_mcontext.fpregs = NULL;
			forge(i);
			return_through((uintptr_t)good);
		}
		finish_off(pid, 30);
	}
	still_alive();
	/* One that leads to a system call instruction of the shim's traps there, and is answered as a call of our own, inside: outside
	 * run-attacks looks. */
	rmdir(marker());
}

/* Everything blocked by the frame, and no call after that: it can be killed all the same. */
TEST(masked_by_a_frame)
{
	pid_t pid;

	find_restorer();
	pid = h_fork();
	if (pid == 0) {
		sigset_t all;

		for (int i = 0; i < 30; i++)
			raise(SIGUSR1);
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		for (;;)
			raise(SIGUSR1);
	}
	CHECK_EQ(finish_off(pid, 50) & 0x7f, SIGKILL);
	still_alive();
}

/* ---- frames of the host's, by which a thread tells the sentry of its call ---- */

#define MAGIC 0x5ca1ab1e0ddba11ull
#define FRAME_R15 104 /* struct l_rt_sigframe: the first thing behind pretcode and the context's head is r8 */
#define FRAME_UC 8
#define FRAMES_AT_A_TIME 8

/* A call by a trap, so that its frame is in the thread's channel; where that is, or 0. */
static char *own_frame(void)
{
	struct found f;
	long r = SYS_gettid;

	memset(&f, 0, sizeof(f));
	find_pages(&f);
	__asm__ volatile("mov %1, %%r15; syscall" : "+a"(r) : "r"(MAGIC) : "r15", "rcx", "r11", "memory");
	for (int i = 0; i < f.count; i++)
		for (uintptr_t at = f.page[i]; f.writable[i] && at < f.page[i] + 4096; at += 8)
			if (f.page[i] >= SYSTRAP_CHANNELS && f.page[i] % SYSTRAP_CHANNEL_SIZE && *(volatile uint64_t *)at == MAGIC)
				return (char *)at - FRAME_R15;
	return NULL;
}

/* A frame in the thread's own channel that says that there was a call, or something else, with registers as they come; then on as if the
 * host had called the handler with it. */
__attribute__((noreturn)) static void signal_with(char *at, uintptr_t shim, unsigned seed)
{
	ucontext_t *uc = (ucontext_t *)(void *)(at + FRAME_UC);
	uint64_t *info = (uint64_t *)(void *)(at + 312); /* si_signo, si_errno; si_code; si_call_addr; si_syscall, si_arch */
	unsigned s = seed * 104729 + 1;
	uint64_t sig = next_random(&s) % 4 ? SIGSYS : next_random(&s) % 65;

	uc->uc_mcontext.gregs[REG_RAX] = next_random(&s) % 2 ? SYS_mkdir : next_random(&s) % 500;
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)marker();
	uc->uc_mcontext.gregs[REG_RSI] = 0777;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)interesting(&s);
	if (next_random(&s) % 2)
		uc->uc_mcontext.gregs[REG_CSGSFS] = (greg_t)((uint64_t)next_random(&s) << 40 | next_random(&s));
	if (next_random(&s) % 2)
		uc->uc_mcontext.gregs[REG_EFL] = (greg_t)interesting(&s);
	if (next_random(&s) % 2)
		uc->uc_mcontext.fpregs = (void *)interesting(&s);
	if (next_random(&s) % 2)
		memset(&uc->uc_sigmask, 0xff, 8);
	for (unsigned i = 0; i < seed % 7; i++)
		((uint64_t *)(void *)at)[next_random(&s) % 56] = interesting(&s);
	info[0] = sig;
	info[1] = next_random(&s) % 3 ? 1 : (uint64_t)next_random(&s) << 8; /* SYS_SECCOMP */
	info[2] = interesting(&s);
	info[3] = next_random(&s) % 3 ? 0xc000003eull << 32 | next_random(&s) % 500 : interesting(&s);
	__asm__ volatile("mov %0, %%rsp; jmp *%1" ::"r"(at), "r"(shim), "D"(sig), "S"(info), "d"(uc) : "memory");
	__builtin_unreachable();
}

TEST(signals_that_were_none)
{
	uintptr_t shim;
	pid_t pids[FRAMES_AT_A_TIME];
	int count = 0;

	catch_everything();
	shim = readable(SYSTRAP_BASE) ? SYSTRAP_BASE : SYSTRAP_BASE_2;
	if (!readable(shim) || !own_frame())
		SKIP("no such thing here");
	for (unsigned i = 0; i < 2 * RANDOM_FRAMES; i++) {
		pids[count] = h_fork();
		if (pids[count++] == 0) {
			char *at = own_frame(); /* it has a channel of its own */

			setsid();
			for (int sig = 1; sig < 32; sig++)
				signal(sig, SIG_DFL);
			if (at)
				signal_with(at, shim, i);
			_exit(0);
		}
		if (count < FRAMES_AT_A_TIME)
			continue;
		while (count > 0)
			finish_off(pids[--count], 40);
	}
	while (count > 0)
		finish_off(pids[--count], 40);
	still_alive();
	rmdir(marker()); /* as above */
}

/* Who could write there might have others' wake-ups lost. */
TEST(tables_of_waiters)
{
	static const uintptr_t bases[] = {SYSTRAP_BASE, SYSTRAP_BASE_2};

	catch_everything();
	for (int i = 0; i < 2; i++)
		for (uintptr_t at = 0; at < 0x10000; at += 0x800) {
			uintptr_t a = bases[i] + SYSTRAP_WAITERS_OFF + at;

			CHECK(!writable(a));
			CHECK(mprotect((void *)(a & ~4095ul), 4096, PROT_READ | PROT_WRITE) < 0);
			CHECK(munmap((void *)(a & ~4095ul), 4096) < 0 || !readable(a) || !writable(a));
		}
	still_alive();
}
