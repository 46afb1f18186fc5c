/*
 * Restartable sequences turned against the sandbox: rseq(2) called at every system-call instruction above the ceiling, and
 * critical sections that cover that code, so that the host's kernel sends a thread from the middle of it to where the
 * guest likes.
 */
#include "attack.h"

#include <pthread.h>
#include <sys/rseq.h>

#define NR_RSEQ 334
#define FORGED_SIZE 0x20000ul
#define SIGNATURE 0x53053053u

struct section { /* struct rseq_cs */
	uint32_t version, flags;
	uint64_t start, length, abort;
} __attribute__((aligned(32)));

struct area { /* struct rseq */
	uint32_t cpu_id_start, cpu_id;
	volatile uint64_t cs;
	uint32_t flags, node_id, mm_cid, pad;
} __attribute__((aligned(32)));

struct call {
	uint64_t area, size, flags;
};

static char *forged; /* 64 KiB aligned: a channel that says what we like */
static struct found found;
static struct area area;
static struct section section;

static void prepare(void)
{
	char *p, *thread_pointer;

	if (forged)
		return;
	/* libc's registration would be in the way. */
	__asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
	if (__rseq_size)
		CHECK(syscall(NR_RSEQ, thread_pointer + __rseq_offset, 32, 1, SIGNATURE) == 0);
	p = mmap(NULL, FORGED_SIZE + 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	forged = (char *)(((uintptr_t)p + 0xffff) & ~0xfffful);
	find_pages(&found);
}

/* To `to` as if the shim had come that far in handling its channel, which is the forged one. */
__attribute__((noreturn)) static void jump(uintptr_t to, uint64_t nr, const struct call *c)
{
	__asm__ volatile("movq %1, %%rbx; leaq 0x8000(%%rbx), %%rsp; movq %2, %%rdi; movq %3, %%rsi; movq %4, %%rdx;"
			 "movl %5, %%r10d; xorl %%r8d, %%r8d; xorl %%r9d, %%r9d; jmp *%6"
			 :
			 : "a"(nr), "m"(forged), "m"(c->area), "m"(c->size), "m"(c->flags), "i"(SIGNATURE), "r"(to)
			 : "rbx", "rdi", "rsi", "rdx", "r10");
	__builtin_unreachable();
}

static bool is_text(int i)
{
	return !found.writable[i];
}

static bool is_syscall_insn(uintptr_t at)
{
	volatile unsigned char *code = (unsigned char *)at;

	return code[0] == 0x0f && code[1] == 0x05;
}

/* The forged channel says: rseq, then rseq again, for ever. */
static void forge_channel(void)
{
	const uint32_t words[][2] = {
		{CH_WORD, WORD_RSEQ},
		{CH_RSEQ_SIG, SIGNATURE},
		{CH_RSEQ_SIZE, 32},
		{CH_RSEQ_THEN, WORD_RSEQ},
	};

	memset(forged, 0, FORGED_SIZE);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		memcpy(forged + words[i][0], &words[i][1], 4);
	memcpy(forged + CH_RSEQ_AREA, &(uint64_t){(uint64_t)&area}, 8);
	memcpy(forged + CH_RSEQ_ANSWER, &(uint64_t){(uint64_t)forged + 0x4000}, 8);
}

static void call_everywhere(const struct call *c)
{
	for (int i = 0; i < found.count; i++) {
		if (!is_text(i))
			continue;
		for (size_t at = 0; at < 4095; at++) {
			pid_t pid;

			if (!is_syscall_insn(found.page[i] + at))
				continue;
			pid = h_fork();
			if (pid == 0) {
				for (int sig = 1; sig < 32; sig++)
					signal(sig, SIG_DFL);
				forge_channel();
				jump(found.page[i] + at, NR_RSEQ, c);
			}
			finish_off(pid, 20);
		}
	}
}

TEST(call_at_every_instruction)
{
	const struct call calls[] = {
		{(uint64_t)&area, 32, 0},
		{(uint64_t)&area, 0x100000000ull | 32, 0xffffffff00000000ull},
		{(uint64_t)&area, 0xffffffff, 0},
		{(uint64_t)&area, 32, 0xffffffff},
		{SYSTRAP_BASE + SYSTRAP_REQUESTS_OFF, 32, 0},
		{SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE, 32, 0},
		{0xffffffff81000000ull, 32, 0},
		{0, 32, 1},
	};

	prepare();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		call_everywhere(&calls[i]);
	still_alive();
}

/* ---- sections over the shim ---- */

/* Where an aborted section goes: every signal is blocked here.  What it tries must not reach the host. */
extern const char abort_entry[];
__attribute__((noreturn, used)) static void aborted(void)
{
	for (;;) {
		syscall(SYS_mkdir, marker(), 0777);
		syscall(SYS_kill, victim(), SIGKILL);
	}
}

__asm__(".pushsection .text\n"
	".long 0x53053053\n"
	".globl abort_entry\n"
	"abort_entry:\n"
	"andq $-16, %rsp\n"
	"call aborted\n"
	".popsection\n");

/* Arms the section again and again, and keeps the CPUs busy so that the other thread is preempted. */
static void *arm(void *arg)
{
	for (;;)
		area.cs = (uint64_t)&section;
	return NULL;
}

static void section_over(uintptr_t start, uint64_t length, uintptr_t entry)
{
	const struct call c = {(uint64_t)&area, 32, 0};
	pid_t pid = h_fork();

	if (pid == 0) {
		pthread_t t[3];

		for (int sig = 1; sig < 32; sig++)
			signal(sig, SIG_DFL);
		forge_channel();
		section = (struct section){0, 0, start, length, (uint64_t)abort_entry};
		for (int i = 0; i < 3; i++)
			pthread_create(&t[i], NULL, arm, NULL);
		jump(entry, NR_RSEQ, &c);
	}
	finish_off(pid, 100);
}

TEST(section_over_the_text)
{
	prepare();
	for (int i = 0; i < found.count; i++) {
		if (!is_text(i))
			continue;
		for (size_t at = 0; at < 4095; at++)
			if (is_syscall_insn(found.page[i] + at))
				section_over(found.page[i], 4096, found.page[i] + at);
	}
	still_alive();
}

/* The thread's own registration, by the sentry's leave, with a section that covers all that is above the ceiling. */
TEST(section_over_everything)
{
	pid_t pid;

	prepare();
	pid = h_fork();
	if (pid == 0) {
		pthread_t t;

		section = (struct section){0, 0, CEILING, USER_END - CEILING - 1, (uint64_t)abort_entry};
		for (size_t size = 0; size <= 64; size += 32)
			syscall(NR_RSEQ, &area, size, 0, SIGNATURE);
		pthread_create(&t, NULL, arm, NULL);
		for (int i = 0; i < 20000; i++)
			syscall(SYS_sched_yield);
		_exit(0);
	}
	finish_off(pid, 2000);
	still_alive();
}

/* Areas that go away under a thread that waits: its process alone may suffer. */
TEST(area_unmapped)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			syscall(NR_RSEQ, page, 32, 0, SIGNATURE);
			munmap(page, 4096);
			for (int k = 0; k < 1000; k++)
				sched_yield();
			_exit(0);
		}
		CHECK(finish_off(pid, 5000) >= 0);
	}
	still_alive();
}
