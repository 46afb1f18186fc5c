/*
 * A jump to every byte of the code above the ceiling, with registers chosen so that a system call made there would be one
 * of ours, and with pointers to forged channels and requests wherever that code might follow one.
 */
#include "attack.h"

#include <pthread.h>

#define FORGED_SIZE 0x20000ul

struct registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15;
};

static char *forged; /* 64 KiB aligned: a channel, a slot and a stack in one */

/* Fills the forged memory: word as a channel's hand-over word and a request's count, calls that make the marker and kill
 * the victim where a request has its calls. */
static void forge(uint64_t word)
{
	uint64_t *w = (uint64_t *)forged;
	uint64_t mkdir_call[8] = {SYS_mkdir, (uint64_t)marker(), 0777}, kill_call[8] = {SYS_kill, (uint64_t)victim(), 9};

	for (size_t i = 0; i < FORGED_SIZE / 8; i++)
		w[i] = (uint64_t)forged + 0x8000;
	w[0] = word;
	w[1] = (uint64_t)forged;
	w[2] = 1;
	for (size_t at = 64; at + 64 <= 1024; at += 128) {
		memcpy(forged + at, mkdir_call, 64);
		memcpy(forged + at + 64, kill_call, 64);
	}
	memcpy(forged + 0x8000, forged, 1024);
}

__attribute__((noreturn)) static void jump(uintptr_t to, const struct registers *regs)
{
	static struct registers r;
	static uintptr_t target;

	r = *regs;
	target = to;
	__asm__ volatile("movq %0, %%rbx; movq %1, %%rcx; movq %2, %%rdx; movq %3, %%rsi; movq %4, %%rdi; movq %5, %%rbp;"
			 "movq %6, %%r8; movq %7, %%r9; movq %8, %%r10; movq %9, %%r11; movq %10, %%r12; movq %11, %%r13;"
			 "movq %12, %%r14; movq %13, %%r15; movq %14, %%rsp; movq %15, %%rax; jmp *%16"
			 :
			 : "m"(r.rbx), "m"(r.rcx), "m"(r.rdx), "m"(r.rsi), "m"(r.rdi), "m"(r.rbp), "m"(r.r8), "m"(r.r9),
			   "m"(r.r10), "m"(r.r11), "m"(r.r12), "m"(r.r13), "m"(r.r14), "m"(r.r15), "m"(r.rsp), "m"(r.rax),
			   "m"(target));
	__builtin_unreachable();
}

/* The forged channel's arguments of a short cut in C, and all that it goes by: a position, a window on the shim, waiters, a ring. */
static void forge_short_cut(uint64_t nr)
{
	static const unsigned arguments[] = {CH_RDI, CH_RSI, CH_RDX, CH_R10, CH_R8, CH_R9};
	const uint64_t values[] = {1, (uint64_t)forged + 0xa000, 4096, 0, 0, ~0ul};
	/* struct pas_window: loan, descriptor, where it is mapped, its first byte, how many, and the file's size. */
	const uint64_t window[] = {1, 1, SYSTRAP_BASE, 0, UINT64_MAX, UINT64_MAX};
	const uint64_t position[] = {0, 1}, ring[] = {(uint64_t)SYSTRAP_CHANNEL_SIZE << 32 | 1};

	memcpy(forged + CH_RAX, &nr, 8);
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		memcpy(forged + arguments[i], &values[i], 8);
	memcpy(forged + CH_POSITION, position, sizeof(position));
	memcpy(forged + CH_RING_SLOTS, ring, sizeof(ring));
	memcpy(forged + CH_WINDOWS, &(uint64_t){(uint64_t)forged + 0xc000}, 8);
	for (unsigned i = 0; i < SYSTRAP_WINDOW_COUNT; i++)
		memcpy(forged + 0xc000 + (size_t)i * 64, window, sizeof(window));
}

static void point_at_forged(struct registers *r)
{
	uint64_t f = (uint64_t)forged;

	r->rbx = r->rbp = r->r12 = r->r13 = r->r14 = r->r15 = f;
	r->rsp = f + 0x8000;
	r->rcx = r->r11 = f;
}

static void call_regs(struct registers *r, int which)
{
	*r = (struct registers){0};
	point_at_forged(r);
	if (which == 0) {
		r->rax = SYS_mkdir;
		r->rdi = (uint64_t)marker();
		r->rsi = 0777;
	} else if (which == 1) {
		r->rax = SYS_kill;
		r->rdi = (uint64_t)victim();
		r->rsi = 9;
	} else if (which == 3) {
		/* As in a short cut: every register that may hold the channel, or what was read of it, points there. */
		r->rax = r->rdx = r->rsi = r->rdi = r->r8 = r->r9 = r->r10 = (uint64_t)forged;
	} else {
		/* As the shim's own: a futex call on somebody's channel, then whatever comes. */
		r->rax = SYS_futex;
		r->rdi = SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE;
		r->rsi = 1;
		r->rdx = 0x7fffffff;
	}
}

static struct found found;

/* How many jumps are under way at a time: most of those that do not die hang about. */
#define JUMPERS 8

static void finish_jumpers(pid_t *jumpers, int *n)
{
	while (*n > 0)
		finish_off(jumpers[--*n], 40);
}

static void jump_everywhere(int which, uint64_t word)
{
	pid_t jumpers[JUMPERS];
	struct registers r;
	int jumps = 0, under_way = 0;

	forge(word);
	call_regs(&r, which);
	for (int i = 0; i < found.count; i++) {
		if (found.writable[i])
			continue;
		size_t n = text_size(found.page[i]);
		/* Requests are no code either: that they cannot be executed shows anywhere. */
		size_t step = found.page[i] & SYSTRAP_REQUESTS_OFF ? 61 : 1;
		for (size_t at = 0; at < n; at += step) {
			pid_t pid = h_fork();

			if (pid == 0) {
				static const uint64_t calls[] = {SYS_lseek, SYS_pread64, SYS_read, SYS_futex, SYS_write};

				if (which == 3)
					forge_short_cut(calls[at % 5]);
				setsid(); /* some land where they kill their own group */
				for (int sig = 1; sig < 32; sig++)
					signal(sig, SIG_DFL);
				jump(found.page[i] + at, &r);
			}
			jumpers[under_way++] = pid;
			if (under_way == JUMPERS)
				finish_jumpers(jumpers, &under_way);
			jumps++;
		}
	}
	finish_jumpers(jumpers, &under_way);
	h_say("  %d jumps\n", jumps);
	still_alive();
}

static void prepare(void)
{
	char *p;

	if (forged)
		return;
	p = mmap(NULL, FORGED_SIZE + 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	forged = (char *)(((uintptr_t)p + 0xffff) & ~0xfffful);
	find_pages(&found);
	for (int i = 0; i < found.count; i++)
		h_say("  %lx %s\n", (unsigned long)found.page[i], found.writable[i] ? "writable" : "read-only");
}

TEST(make_a_directory)
{
	prepare();
	jump_everywhere(0, 1);
}

TEST(kill_a_host_process)
{
	prepare();
	jump_everywhere(1, 2);
}

TEST(forged_run_word)
{
	prepare();
	jump_everywhere(2, 3);
}

TEST(forged_exit_word)
{
	prepare();
	jump_everywhere(3, 5);
}

static volatile bool stop;

static void *map_in_a_loop(void *arg)
{
	/* Keeps the leader busy, so that forged results have something to be taken for. */
	while (!stop) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return NULL;
		p[0] = 1;
		mprotect(p, 4096, PROT_READ);
		munmap(p, 65536);
	}
	return NULL;
}

TEST(sibling_forges_results)
{
	struct registers r;

	prepare();
	forge(7);
	call_regs(&r, 0);
	r.rax = SYS_pause; /* the leader's "what next?" */
	r.rdi = 1;
	r.rsi = 0;
	for (int i = 0; i < found.count; i++) {
		if (found.writable[i])
			continue;
		size_t n = text_size(found.page[i]);
		for (size_t at = 0; at + 1 < n; at++) {
			volatile unsigned char *code = (unsigned char *)found.page[i] + at;
			pid_t pid;

			if (code[0] != 0x0f || code[1] != 0x05) /* the system call instructions */
				continue;
			pid = h_fork();
			if (pid == 0) {
				pthread_t t[2];

				for (int sig = 1; sig < 32; sig++)
					signal(sig, SIG_DFL);
				pthread_create(&t[0], NULL, map_in_a_loop, NULL);
				pthread_create(&t[1], NULL, map_in_a_loop, NULL);
				struct timespec ms = {0, 1000000};
				nanosleep(&ms, NULL);
				r.rdx = (uint64_t)forged;
				jump((uintptr_t)code, &r);
			}
			finish_off(pid, 100);
		}
	}
	still_alive();
}

static void change_what_is_not_ours(uintptr_t at)
{
	static const uintptr_t protected[] = {SYSTRAP_BASE,
					      SYSTRAP_BASE + 0x1000,
					      SYSTRAP_BASE + SYSTRAP_LEADER_OFF,
					      SYSTRAP_BASE + SYSTRAP_PIECES_OFF,
					      SYSTRAP_BASE + SYSTRAP_REQUESTS_OFF,
					      SYSTRAP_BASE + SYSTRAP_WAITERS_OFF,
					      SYSTRAP_BASE + SYSTRAP_TRAMPOLINES_OFF,
					      SYSTRAP_BASE + SYSTRAP_VDSO_OFF,
					      SYSTRAP_BASE_2,
					      SYSTRAP_CHANNELS,
					      SYSTRAP_WINDOWS - 4096,
					      SYSTRAP_WINDOWS_END,
					      SYSTRAP_CELLS,
					      0};
	const uint64_t fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	uint64_t mine = (uint64_t)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < sizeof(protected) / sizeof(protected[0]); i++) {
		uint64_t t = protected[i];

		CHECK(call_from_shim(at, forged, SYS_mmap, t, 4096, rwx, fixed, ~0ul, 0) < 0);
		CHECK(call_from_shim(at, forged, SYS_mprotect, t, 4096, rwx, 0, 0, 0) < 0);
		CHECK(call_from_shim(at, forged, SYS_mremap, t, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, mine, 0) < 0);
		CHECK(call_from_shim(at, forged, SYS_mremap, mine, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, t, 0) < 0);
		CHECK(call_from_shim(at, forged, SYS_madvise, t, 4096, MADV_DONTNEED, 0, 0, 0) < 0);
		/* What begins in guest memory and ends there. */
		if (t > CEILING - 1) {
			CHECK(call_from_shim(at, forged, SYS_mmap, CEILING - 4096, t - CEILING + 8192, rwx, fixed, ~0ul, 0) < 0);
			CHECK(call_from_shim(at, forged, SYS_mprotect, CEILING - 4096, t - CEILING + 8192, rwx, 0, 0, 0) < 0);
			call_from_shim(at, forged, SYS_munmap, CEILING - 4096, t - CEILING + 8192, 0, 0, 0, 0);
			CHECK(readable(SYSTRAP_CHANNELS) || readable(SYSTRAP_BASE) || readable(SYSTRAP_BASE_2));
		}
	}
	/* A file: files.c has more of it. */
	for (uint64_t fd = 0; fd < 16; fd++) {
		uint64_t was = mine;

		call_from_shim(at, forged, SYS_mmap, was, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd + 100, 0);
		CHECK(readable(was));
	}
}

/* Behind the sentry's back, but in its own memory: that is its own affair, and the sentry's view of it is wrong from then on. */
static void change_what_is_ours(uintptr_t at)
{
	const uint64_t fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, rw = PROT_READ | PROT_WRITE;
	char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
	int zero = open("/dev/zero", O_RDONLY);

	CHECK(call_from_shim(at, forged, SYS_munmap, (uint64_t)p, 8192, 0, 0, 0, 0) == 0);
	CHECK_ERR(read(zero, p, 4096), EFAULT);
	q = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(call_from_shim(at, forged, SYS_mmap, (uint64_t)q - (1ul << 30), 4096, rw, fixed, ~0ul, 0) >= 0);
	for (int i = 0; i < 50; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			mremap(p, 65536, 131072, MREMAP_MAYMOVE);
			mprotect(p, 65536, PROT_READ); /* the sentry finds a hole where it knows of none: the end */
			_exit(0);
		}
		finish_off(pid, 5000);
	}
}

TEST(memory_calls_from_the_shim)
{
	static void (*const attacks[])(uintptr_t) = {change_what_is_not_ours, change_what_is_ours};
	uintptr_t at;

	prepare();
	at = obliging_call(&found);
	if (!at)
		h_say("  no such instruction here\n");
	for (size_t i = 0; at && i < 2; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			catch_everything();
			attacks[i](at);
			child_exit();
		}
		int status = finish_off(pid, 20000);

		/* It may die of it; its checks may not fail. */
		h_say("  attack %zu: status %#x\n", i, status);
		CHECK(status == 0 || (status & 0x7f));
		still_alive();
	}
}
