/* Synchronous signals: the siginfo, registers and trap numbers of faults, and going on after one. */
#include "harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile struct {
	int signo, code, count;
	uintptr_t addr;
	uint64_t trapno, err, cr2, rip, rsp, rax;
} got;
static sigjmp_buf out;

static void record(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	got.signo = info->si_signo;
	got.code = info->si_code;
	got.addr = (uintptr_t)info->si_addr;
	got.trapno = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO];
	got.err = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
	got.cr2 = (uint64_t)uc->uc_mcontext.gregs[REG_CR2];
	got.rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	got.rsp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
	got.rax = (uint64_t)uc->uc_mcontext.gregs[REG_RAX];
	got.count++;
}

static void record_and_jump(int sig, siginfo_t *info, void *context)
{
	record(sig, info, context);
	siglongjmp(out, 1);
}

static void catch(int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO};

	memset((void *)&got, 0, sizeof(got));
	REQUIRE(sigaction(sig, &sa, NULL) == 0);
}

/* Runs an access that must fault. */
#define FAULT(...)                                                                                                     \
	do {                                                                                                           \
		if (sigsetjmp(out, 1) == 0) {                                                                          \
			__VA_ARGS__;                                                                                   \
			H_FAIL("no fault\n");                                                                    \
		}                                                                                                      \
	} while (0)

/* Page-fault error code bits. */
#define PF_PRESENT 1
#define PF_WRITE 2
#define PF_USER 4
#define PF_INSTR 16

TEST(read_unmapped)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0x123);
	CHECK_EQ(got.signo, SIGSEGV);
	CHECK_EQ(got.code, SEGV_MAPERR);
	CHECK_EQ(got.addr, 0x123);
	CHECK_EQ(got.cr2, 0x123);
	CHECK_EQ(got.trapno, 14);
	CHECK_EQ(got.err, PF_USER);
}

TEST(write_unmapped)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0x456 = 1);
	CHECK_EQ(got.code, SEGV_MAPERR);
	CHECK_EQ(got.addr, 0x456);
	CHECK_EQ(got.err, PF_USER | PF_WRITE);
	CHECK_EQ(got.cr2, 0x456);
	CHECK_EQ(got.trapno, 14);
}

/* Not yet there, an access that is not allowed finds no page; the present bit tells. */
TEST(refused_before_present)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)(p + 5) = 1);
	CHECK_EQ(got.code, SEGV_ACCERR);
	CHECK_EQ(got.err, PF_USER | PF_WRITE);
	REQUIRE(mprotect(p, 4096, PROT_NONE) == 0);
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)(p + 6));
	CHECK_EQ(got.code, SEGV_ACCERR);
	CHECK_EQ(got.err, PF_USER);
	CHECK_EQ(got.cr2, (uintptr_t)p + 6);
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)(p + 7) = 1);
	CHECK_EQ(got.err, PF_USER | PF_WRITE);
	munmap(p, 4096);
}

/* Above user space all pages are there, as far as a fault tells; none of them is the program's. */
TEST(kernel_address)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0xffffffff81000000);
	CHECK_EQ(got.code, SEGV_MAPERR);
	CHECK_EQ(got.addr, 0xffffffff81000000);
	CHECK_EQ(got.trapno, 14);
	CHECK_EQ(got.err, PF_USER | PF_PRESENT);
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0xffffffff81000000 = 1);
	CHECK_EQ(got.err, PF_USER | PF_PRESENT | PF_WRITE);
}

TEST(write_read_only)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch(SIGSEGV, record_and_jump);
	CHECK_EQ(*(volatile char *)(p + 5), 0); /* now it is present */
	FAULT(*(volatile char *)(p + 5) = 1);
	CHECK_EQ(got.code, SEGV_ACCERR);
	CHECK_EQ(got.addr, (uintptr_t)p + 5);
	CHECK_EQ(got.err, PF_USER | PF_WRITE | PF_PRESENT);
	CHECK_EQ(got.trapno, 14);
	munmap(p, 4096);
}

TEST(no_access)
{
	char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)p);
	CHECK_EQ(got.code, SEGV_ACCERR);
	CHECK_EQ(got.addr, (uintptr_t)p);
	munmap(p, 4096);
}

TEST(execute_no_exec)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*p = (char)0xc3;
	catch(SIGSEGV, record_and_jump);
	FAULT(((void (*)(void))p)());
	CHECK_EQ(got.code, SEGV_ACCERR);
	CHECK_EQ(got.addr, (uintptr_t)p);
	CHECK_EQ(got.rip, (uintptr_t)p);
	CHECK_EQ(got.err, PF_USER | PF_PRESENT | PF_INSTR);
	CHECK_EQ(got.trapno, 14);
	CHECK_EQ(got.cr2, (uintptr_t)p);
	munmap(p, 4096);
}

TEST(jump_to_nowhere)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(((void (*)(void))0x1000)());
	CHECK_EQ(got.code, SEGV_MAPERR);
	CHECK_EQ(got.addr, 0x1000);
	CHECK_EQ(got.rip, 0x1000);
	CHECK_EQ(got.err, PF_USER | PF_INSTR);
	CHECK_EQ(got.trapno, 14);
	CHECK_EQ(got.cr2, 0x1000);
}

TEST(non_canonical)
{
	/* A general protection fault has no address: cr2 tells of the page fault before it. */
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0x789);
	CHECK_EQ(got.cr2, 0x789);
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0x8000000000000000);
	CHECK_EQ(got.signo, SIGSEGV);
	CHECK_EQ(got.code, SI_KERNEL);
	CHECK_EQ(got.addr, 0);
	CHECK_EQ(got.trapno, 13);
	CHECK_EQ(got.err, 0);
	CHECK_EQ(got.cr2, 0x789);
	catch(SIGSEGV, record_and_jump);
	FAULT(*(volatile char *)0x8000000000000000 = 1);
	CHECK_EQ(got.trapno, 13);
	CHECK_EQ(got.err, 0);
	/* Through the stack pointer it is the stack's fault, and another signal. */
	catch(SIGBUS, record_and_jump);
	FAULT(__asm__ volatile("movq %%rbp, %%rbx; movq %0, %%rbp; movb 0(%%rbp), %%al; movq %%rbx, %%rbp" ::"r"(0x8000000000000000)
			       : "rax", "rbx"));
	CHECK_EQ(got.signo, SIGBUS);
	CHECK_EQ(got.code, SI_KERNEL);
	CHECK_EQ(got.trapno, 12);
	CHECK_EQ(got.err, 0);
}

/* A selector that names nothing: the error code is the selector. */
TEST(bad_selector)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(__asm__ volatile("movw %w0, %%es" ::"r"(0x7f8)));
	CHECK_EQ(got.signo, SIGSEGV);
	CHECK_EQ(got.code, SI_KERNEL);
	CHECK_EQ(got.trapno, 13);
	CHECK_EQ(got.err, 0x7f8);
}

TEST(privileged)
{
	catch(SIGSEGV, record_and_jump);
	FAULT(__asm__ volatile("hlt"));
	CHECK_EQ(got.code, SI_KERNEL);
	CHECK_EQ(got.trapno, 13);
	catch(SIGSEGV, record_and_jump);
	FAULT(__asm__ volatile("cli"));
	CHECK_EQ(got.trapno, 13);
	catch(SIGSEGV, record_and_jump);
	FAULT(__asm__ volatile("inb $0x80, %%al" ::: "rax"));
	CHECK_EQ(got.trapno, 13);
}

TEST(divide)
{
	int quotient = 1, zero = 0;

	catch(SIGFPE, record_and_jump);
	FAULT(__asm__ volatile("cltd; idivl %1" : "+a"(quotient) : "r"(zero) : "edx", "cc"));
	CHECK_EQ(got.signo, SIGFPE);
	CHECK_EQ(got.code, FPE_INTDIV);
	CHECK_EQ(got.trapno, 0);
	CHECK_EQ(got.err, 0);
	CHECK_EQ(got.addr, got.rip);
}

TEST(x87_exception)
{
	unsigned short cw = 0x37b; /* unmask division by zero */

	catch(SIGFPE, record_and_jump);
	FAULT(__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(cw)));
	__asm__ volatile("fninit");
	CHECK_EQ(got.code, FPE_FLTDIV);
	CHECK_EQ(got.trapno, 16);
	CHECK_EQ(got.err, 0);
}

TEST(simd_exception)
{
	unsigned csr = 0x1f80 & ~(4u << 7); /* unmask division by zero */
	float a = 1, b = 0;

	catch(SIGFPE, record_and_jump);
	FAULT(__asm__ volatile("ldmxcsr %2; divss %1, %0" : "+x"(a) : "x"(b), "m"(csr)));
	csr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(csr));
	CHECK_EQ(got.code, FPE_FLTDIV);
	CHECK_EQ(got.trapno, 19);
}

TEST(illegal)
{
	extern char illegal_here[];

	catch(SIGILL, record_and_jump);
	FAULT(__asm__ volatile(".globl illegal_here\nillegal_here: ud2"));
	CHECK_EQ(got.signo, SIGILL);
	CHECK_EQ(got.code, ILL_ILLOPN);
	CHECK_EQ(got.trapno, 6);
	CHECK_EQ(got.err, 0);
	CHECK_EQ(got.rip, (uintptr_t)illegal_here);
	CHECK_EQ(got.addr, (uintptr_t)illegal_here);
}

TEST(breakpoint)
{
	extern char after_int3[];

	/* A trap: rip is after the instruction, and returning goes on. */
	catch(SIGTRAP, record);
	__asm__ volatile("int3\n.globl after_int3\nafter_int3:");
	CHECK_EQ(got.count, 1);
	CHECK_EQ(got.signo, SIGTRAP);
	CHECK_EQ(got.code, SI_KERNEL);
	CHECK_EQ(got.trapno, 3);
	CHECK_EQ(got.rip, (uintptr_t)after_int3);
}

TEST(single_step)
{
	catch(SIGTRAP, record);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; pushfq; andl $~0x100, (%%rsp); popfq" ::: "cc", "memory");
	CHECK(got.count >= 3 && got.count <= 5);
	CHECK_EQ(got.code, TRAP_TRACE);
	CHECK_EQ(got.trapno, 1);
}

TEST(bus)
{
	int fd;
	char *p;

	use_tmpdir();
	write_file("short", "x", 1, 0644);
	fd = open("short", O_RDWR);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	catch(SIGBUS, record_and_jump);
	CHECK_EQ(p[0], 'x');
	CHECK_EQ(p[4095], 0);
	FAULT(*(volatile char *)(p + 4096 + 7));
	CHECK_EQ(got.signo, SIGBUS);
	CHECK_EQ(got.code, BUS_ADRERR);
	CHECK_EQ(got.addr, (uintptr_t)p + 4096 + 7);
	CHECK_EQ(got.trapno, 14);
	CHECK_EQ(got.err, PF_USER);
	CHECK_EQ(got.cr2, (uintptr_t)p + 4096 + 7);
	catch(SIGBUS, record_and_jump);
	FAULT(*(volatile char *)(p + 4096 + 9) = 1);
	CHECK_EQ(got.err, PF_USER | PF_WRITE);
	munmap(p, 8192);
	close(fd);
}

/* A handler may repair the cause and return: the instruction runs again. */
static char *repair_page;

static void repair(int sig, siginfo_t *info, void *context)
{
	record(sig, info, context);
	mprotect(repair_page, 4096, PROT_READ | PROT_WRITE);
}

TEST(repair_and_go_on)
{
	repair_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	catch(SIGSEGV, repair);
	*(volatile char *)repair_page = 5;
	CHECK_EQ(got.count, 1);
	CHECK_EQ(*(volatile char *)repair_page, 5);
	munmap(repair_page, 4096);
}

static void skip2(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	record(sig, info, context);
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RBX] = 0x1234567890abcdef;
}

TEST(handler_changes_registers)
{
	uint64_t rbx = 0;

	catch(SIGILL, skip2);
	__asm__ volatile("ud2" : "+b"(rbx));
	CHECK_EQ(rbx, 0x1234567890abcdef);
	CHECK_EQ(got.count, 1);
}

static void *many_addr;
static void step_over(int sig, siginfo_t *info, void *context)
{
	got.count++;
	many_addr = info->si_addr;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* movb (%rax), %cl */
}

TEST(many_faults)
{
	catch(SIGSEGV, step_over);
	for (uintptr_t i = 1; i <= 500; i++) {
		__asm__ volatile("movb (%%rax), %%cl" ::"a"(i) : "rcx", "memory");
		if ((uintptr_t)many_addr != i) {
			CHECK_EQ((uintptr_t)many_addr, i);
			break;
		}
	}
	CHECK_EQ(got.count, 500);
}

/* What a fault must leave alone, however it is looked into: all registers, vectors, the red zone. */
TEST(nothing_else_changes)
{
	static uint64_t xmm_in[4] = {0x1111, 0x2222, 0x3333, 0x4444}, xmm_out[4];
	uint64_t below = 0, rbx = 0x5555, r15 = 0x6666, flags = 0;

	catch(SIGSEGV, step_over);
	__asm__ volatile("movdqu (%4), %%xmm2; movdqu 16(%4), %%xmm13; movq $0x77aa, -128(%%rsp); movq $0x88bb, -8(%%rsp);"
			 "movl $0x123, %%eax; stc; movb (%%rax), %%cl; setc %%dl; movdqu %%xmm2, (%5); movdqu %%xmm13, 16(%5);"
			 "movq -128(%%rsp), %0; movzbl %%dl, %%edx; movq %%rdx, %3; addq -8(%%rsp), %0"
			 : "=&r"(below), "+b"(rbx), "+r"(r15), "=&r"(flags)
			 : "r"(xmm_in), "r"(xmm_out)
			 : "rax", "rcx", "rdx", "xmm2", "xmm13", "memory", "cc");
	CHECK_EQ(got.count, 1);
	CHECK_EQ(below, 0x77aa + 0x88bb);
	CHECK(rbx == 0x5555 && r15 == 0x6666 && flags == 1);
	CHECK(memcmp(xmm_in, xmm_out, sizeof(xmm_in)) == 0);
}

/* Threads that fault at the same time: each sees its own. */
static _Thread_local uintptr_t own_addr;
static _Thread_local uint64_t own_err;

static void step_over_own(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	own_addr = (uintptr_t)uc->uc_mcontext.gregs[REG_CR2];
	own_err = (uint64_t)uc->uc_mcontext.gregs[REG_ERR];
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void *fault_often(void *arg)
{
	uintptr_t base = (uintptr_t)arg;
	long wrong = 0;

	for (uintptr_t i = 1; i <= 300; i++) {
		if (base % 2)
			__asm__ volatile("movb (%%rax), %%cl" ::"a"(base + i) : "rcx", "memory");
		else
			__asm__ volatile("movb %%cl, (%%rax)" ::"a"(base + i) : "rcx", "memory");
		wrong += own_addr != base + i || own_err != (base % 2 ? PF_USER : PF_USER | PF_WRITE);
	}
	return (void *)wrong;
}

TEST(threads_fault_at_once)
{
	pthread_t threads[4];
	void *wrong;

	catch(SIGSEGV, step_over_own);
	for (uintptr_t i = 0; i < 4; i++)
		REQUIRE(pthread_create(&threads[i], NULL, fault_often, (void *)(0x1000 * i + i % 2)) == 0);
	for (int i = 0; i < 4; i++) {
		REQUIRE(pthread_join(threads[i], &wrong) == 0);
		CHECK_EQ((long)wrong, 0);
	}
}

static int death_of(void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		fn();
		_exit(50);
	}
	return h_wait(pid) & 0x7f;
}

static void blocked_fault(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	*(volatile char *)0 = 1;
}

static void ignored_fault(void)
{
	signal(SIGSEGV, SIG_IGN);
	*(volatile char *)0 = 1;
}

static void fault_in_handler(int sig)
{
	*(volatile char *)0 = 1;
}

static void nested_fault(void)
{
	signal(SIGSEGV, fault_in_handler);
	*(volatile char *)0 = 1;
}

static void no_stack_for_handler(void)
{
	signal(SIGSEGV, fault_in_handler);
	__asm__ volatile("movq $64, %%rsp; movb $1, 0" ::: "memory");
}

static void default_fault(void)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)0 = 1;
}

TEST(faults_that_kill)
{
	CHECK_EQ(death_of(default_fault), SIGSEGV);
	CHECK_EQ(death_of(blocked_fault), SIGSEGV); /* blocked or ignored, a fault kills */
	CHECK_EQ(death_of(ignored_fault), SIGSEGV);
	CHECK_EQ(death_of(nested_fault), SIGSEGV);
	CHECK_EQ(death_of(no_stack_for_handler), SIGSEGV);
}

static volatile int recursion;

__attribute__((noinline)) static int recurse(int depth)
{
	volatile char frame[1024];

	frame[0] = (char)depth;
	recursion = depth;
	return depth < 1 << 30 ? recurse(depth + 1) + frame[0] : 0;
}

TEST(stack_overflow_on_altstack)
{
	static char alt[65536];
	stack_t st = {.ss_sp = alt, .ss_size = sizeof(alt)};
	struct sigaction sa = {.sa_sigaction = record_and_jump, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	REQUIRE(sigaltstack(&st, NULL) == 0);
	memset((void *)&got, 0, sizeof(got));
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	FAULT(recurse(0));
	CHECK_EQ(got.signo, SIGSEGV);
	CHECK(recursion > 1000);
	/* Twice, since the first must leave nothing behind. */
	FAULT(recurse(0));
	st.ss_flags = SS_DISABLE;
	CHECK_EQ(sigaltstack(&st, NULL), 0);
}
