/*
 * Restartable sequences: rseq(2) and the kernel's Documentation/userspace-api/rseq.rst.  libc has registered the first
 * thread's already where it knows how: each test works in a thread, or process, that has none.
 */
#include "harness.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/ucontext.h>

#define SIG 0x53053053u
#define AUX_FEATURE_SIZE 27
#define AUX_ALIGN 28

struct section { /* struct rseq_cs */
	uint32_t version, flags;
	uint64_t start, length, abort;
} __attribute__((aligned(32)));

struct area { /* struct rseq, with room for what later kernels add */
	uint32_t cpu_id_start, cpu_id;
	uint64_t cs;
	uint32_t flags, node_id, mm_cid, more[25];
} __attribute__((aligned(128)));

static struct area first_area;

static long rseq(void *area, uint32_t size, int flags, uint32_t sig)
{
	return syscall(SYS_rseq, area, size, flags, sig);
}

/* Takes back what libc has registered for the calling thread. */
static void drop_libc(void)
{
	uint8_t *tp;

	if (__rseq_size == 0)
		return;
	__asm__("mov %%fs:0, %0" : "=r"(tp));
	REQUIRE(rseq(tp + __rseq_offset, 32, 1, SIG) == 0);
}

static void run_in_thread(void *(*fn)(void *))
{
	pthread_t th;

	REQUIRE(pthread_create(&th, NULL, fn, NULL) == 0);
	pthread_join(th, NULL);
}

static bool on_an_allowed_cpu(uint32_t cpu)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_ISSET(cpu, &set);
}

static void *errors(void *arg)
{
	static struct area other;
	struct area *a = &first_area;

	drop_libc();
	CHECK_ERR(rseq(a, 32, 2, SIG), EINVAL);
	CHECK_ERR(rseq(a, 32, 3, SIG), EINVAL);
	CHECK_ERR(rseq(a, 32, -1, SIG), EINVAL);
	CHECK_ERR(rseq(a, 32, 1, SIG), EINVAL);
	CHECK_ERR(rseq(NULL, 32, 1, SIG), EINVAL);
	CHECK_ERR(rseq(a, 0, 0, SIG), EINVAL);
	CHECK_ERR(rseq(a, 31, 0, SIG), EINVAL);
	CHECK_ERR(rseq((char *)a + 8, 32, 0, SIG), EINVAL);
	CHECK_ERR(rseq((char *)a + 16, 64, 0, SIG), EINVAL);
	CHECK_ERR(rseq((void *)0x7fffffffffe0, 64, 0, SIG), EFAULT);
	CHECK_ERR(rseq((void *)0xffffffffffffffe0, 32, 0, SIG), EFAULT);
	CHECK(rseq(a, 32, 0, SIG) == 0);
	CHECK_ERR(rseq(a, 32, 0, SIG), EBUSY);
	CHECK_ERR(rseq(a, 32, 0, SIG + 1), EPERM);
	CHECK_ERR(rseq(a, 64, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&other, 32, 0, SIG), EINVAL);
	CHECK_ERR(rseq(a, 32, 2, SIG), EINVAL);
	CHECK_ERR(rseq(a, 64, 1, SIG), EINVAL);
	CHECK_ERR(rseq(&other, 32, 1, SIG), EINVAL);
	CHECK_ERR(rseq(a, 32, 1, SIG + 1), EPERM);
	CHECK_ERR(rseq(a, 32, 3, SIG), EINVAL);
	CHECK(rseq(a, 32, 1, SIG) == 0);
	CHECK(a->cpu_id == (uint32_t)-1 && a->cpu_id_start == 0);
	CHECK_ERR(rseq(a, 32, 1, SIG), EINVAL);
	return NULL;
}

TEST(errors)
{
	run_in_thread(errors);
}

static void *sizes(void *arg)
{
	unsigned long feature = getauxval(AUX_FEATURE_SIZE), align = getauxval(AUX_ALIGN);
	char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	drop_libc();
	REQUIRE(page != MAP_FAILED);
	if (feature) {
		CHECK(feature >= 20 && feature <= 256);
		CHECK(align >= 32 && (align & (align - 1)) == 0);
	}
	/* Larger than any structure there is: what it says is what it has to say again. */
	CHECK(rseq(page, 8192, 0, 7) == 0);
	CHECK_ERR(rseq(page, 8192, 0, 7), EBUSY);
	CHECK_ERR(rseq(page, 256, 1, 7), EINVAL);
	CHECK(rseq(page, 8192, 1, 7) == 0);
	CHECK(rseq(page + 4096, 32, 0, 0) == 0);
	CHECK(rseq(page + 4096, 32, 1, 0) == 0);
	munmap(page, 3 * 4096);
	return NULL;
}

TEST(sizes)
{
	run_in_thread(sizes);
}

static void *unreadable_area(void *arg)
{
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	drop_libc();
	/* Linux looks at the area when it is registered since 6.14; one that cannot be written is a signal later. */
	CHECK_ERR(rseq(page, 32, 0, SIG), EFAULT);
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
	CHECK(rseq(page, 32, 0, SIG) == 0);
	CHECK(rseq(page, 32, 1, SIG) == 0);
	munmap(page, 4096);
	return NULL;
}

TEST(unreadable)
{
	run_in_thread(unreadable_area);
}

static void *cpu_ids(void *arg)
{
	volatile struct area *a = &first_area;
	cpu_set_t all, one;

	drop_libc();
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	CHECK(on_an_allowed_cpu(a->cpu_id));
	CHECK(a->cpu_id_start == a->cpu_id || on_an_allowed_cpu(a->cpu_id_start));
	REQUIRE(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (unsigned cpu = 0; cpu < 64; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
		CHECK(a->cpu_id == cpu);
		CHECK(a->cpu_id_start == cpu);
		CHECK((unsigned)sched_getcpu() == cpu);
	}
	CHECK(sched_setaffinity(0, sizeof(all), &all) == 0);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	return NULL;
}

TEST(cpu_id)
{
	run_in_thread(cpu_ids);
}

/* ---- critical sections ---- */

static volatile sig_atomic_t handled;
static volatile uint64_t handler_saw_cs, handler_ip;
extern const char section_start[], section_end[], section_abort[];

static void handler(int sig, siginfo_t *info, void *uc_arg)
{
	ucontext_t *uc = uc_arg;

	handled++;
	handler_saw_cs = first_area.cs;
	handler_ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
}

static void catch(int sig)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	REQUIRE(sigaction(sig, &sa, NULL) == 0);
	handled = 0;
}

/*
 * A section that does `what`: 0 nothing, 1 sends the thread itself a signal, 2 runs into an undefined instruction, 3 goes
 * round until *stop.  1 if it was aborted, 0 if it came to its end.
 */
static struct section the_section;

__attribute__((noinline)) static int run_section(int what, volatile int *stop)
{
	int aborted;

	the_section = (struct section){0, 0, (uint64_t)section_start, (uint64_t)(section_end - section_start),
				       (uint64_t)section_abort};
	__asm__ volatile("movq %[cs], %[slot]\n"
			 ".globl section_start, section_end, section_abort\n"
			 "section_start:\n"
			 "cmpl $1, %[what]\n"
			 "je 1f\n"
			 "cmpl $2, %[what]\n"
			 "je 2f\n"
			 "cmpl $3, %[what]\n"
			 "je 3f\n"
			 "jmp 4f\n"
			 "1: movl %[nr], %%eax\n"
			 "movl %[tid], %%edi\n"
			 "movl %[sig], %%esi\n"
			 "syscall\n"
			 "jmp 4f\n"
			 "2: ud2\n"
			 "jmp 4f\n"
			 "3: cmpl $0, (%[stop])\n"
			 "je 3b\n"
			 "4: nop\n"
			 "section_end:\n"
			 "xorl %[aborted], %[aborted]\n"
			 "jmp 5f\n"
			 ".byte 0x0f, 0xb9, 0x3d\n" /* ud1 with the signature for its operand */
			 ".long 0x53053053\n"
			 "section_abort:\n"
			 "movl $1, %[aborted]\n"
			 "5:\n"
			 : [aborted] "=&r"(aborted), [slot] "=m"(first_area.cs)
			 : [cs] "r"(&the_section), [what] "r"(what), [nr] "i"(SYS_tkill), [tid] "r"((int)syscall(SYS_gettid)),
			   [sig] "i"(SIGUSR1), [stop] "r"(stop)
			 : "rax", "rcx", "r11", "rdi", "rsi", "memory", "cc");
	return aborted;
}

static void *sections(void *arg)
{
	int runs = 0;

	drop_libc();
	catch(SIGUSR1);
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	/* One in peace comes to its end, sooner or later: it may be preempted. */
	while (run_section(0, NULL) && runs < 10000)
		runs++;
	CHECK(runs < 10000);
	for (int i = 1; i <= 100; i++) {
		CHECK(run_section(1, NULL) == 1);
		CHECK(handled == i);
		CHECK(handler_saw_cs == 0);
		CHECK(handler_ip == (uint64_t)section_abort);
	}
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	/* Unregistered, nobody cares. */
	CHECK(run_section(1, NULL) == 0);
	CHECK(handled == 101);
	first_area.cs = 0;
	return NULL;
}

TEST(a_signal_aborts)
{
	run_in_thread(sections);
}

static void *faults(void *arg)
{
	drop_libc();
	catch(SIGILL);
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	CHECK(run_section(2, NULL) == 1);
	CHECK(handled == 1);
	CHECK(handler_ip == (uint64_t)section_abort);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	return NULL;
}

TEST(a_fault_aborts)
{
	run_in_thread(faults);
}

static volatile int stop_flag, in_section;

static void *spinner(void *arg)
{
	int aborted = 0;

	drop_libc();
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	in_section = 1;
	while (!handled)
		aborted += run_section(3, &stop_flag);
	CHECK(aborted >= 1);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	return NULL;
}

/* A signal from another thread, to one that makes no calls. */
TEST(a_signal_from_elsewhere_aborts)
{
	pthread_t th;

	catch(SIGUSR1);
	stop_flag = in_section = 0;
	REQUIRE(pthread_create(&th, NULL, spinner, NULL) == 0);
	while (!in_section)
		sched_yield();
	CHECK(pthread_kill(th, SIGUSR1) == 0);
	pthread_join(th, NULL);
	CHECK(handled == 1);
}

/* A bad descriptor is a SIGSEGV when the thread is next interrupted.  DIVERGES: SIGKILL on systrap, whose stub dies of it. */
static void *bad_descriptor(void *arg)
{
	drop_libc();
	catch(SIGUSR1);
	if (rseq(&first_area, 32, 0, SIG) != 0)
		_exit(2);
	first_area.cs = 0xffff800000000000ull;
	syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1);
	_exit(1);
}

static int status_of(pid_t pid)
{
	int st = 0;

	REQUIRE(waitpid(pid, &st, 0) == pid);
	return st;
}

TEST(a_bad_descriptor_kills)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0)
		run_in_thread(bad_descriptor);
	int st = status_of(pid);
	CHECK(WIFSIGNALED(st));
	CHECK(WTERMSIG(st) == SIGSEGV || WTERMSIG(st) == SIGKILL);
}

/* ---- fork, exec, exit ---- */

static void *forks(void *arg)
{
	pid_t pid;

	drop_libc();
	catch(SIGUSR1);
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		/* As in the parent. */
		CHECK(on_an_allowed_cpu(first_area.cpu_id));
		CHECK_ERR(rseq(&first_area, 32, 0, SIG), EBUSY);
		CHECK(run_section(1, NULL) == 1);
		CHECK(handled == 1);
		CHECK(rseq(&first_area, 32, 1, SIG) == 0);
		CHECK(rseq(&first_area, 32, 0, SIG + 1) == 0);
		child_exit();
	}
	JOIN(pid);
	CHECK_ERR(rseq(&first_area, 32, 0, SIG), EBUSY);
	CHECK(run_section(1, NULL) == 1);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	return NULL;
}

TEST(fork_inherits)
{
	run_in_thread(forks);
}

static int probe_thread(void *arg)
{
	static struct area a;
	long r = rseq(&a, 32, 0, SIG);

	*(volatile int *)arg = r == 0 ? 1 : -errno;
	syscall(SYS_exit, 0);
	return 0;
}

/* A child that shares memory has none: neither a thread of libc's making nor vfork's. */
TEST(clone_vm_does_not)
{
	static char stack[65536] __attribute__((aligned(16)));
	volatile int told = 0;
	pid_t pid = clone(probe_thread, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)&told);

	REQUIRE(pid > 0);
	CHECK(WIFEXITED(status_of(pid)));
	CHECK(told == 1);
}

ROLE(argc, argv)
{
	drop_libc();
	CHECK_ERR(rseq(&first_area, 32, 1, SIG), EINVAL);
	CHECK(rseq(&first_area, 32, 0, 1) == 0);
	CHECK_ERR(rseq(&first_area, 32, 0, 1), EBUSY);
	return h_failures ? 1 : 0;
}
TEST(exec_clears)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid == 0) {
		drop_libc();
		CHECK(rseq(&first_area, 32, 0, SIG) == 0);
		execl(h_self, h_self, "@after_exec", NULL);
		_exit(99);
	}
	JOIN(pid);
}

static void *registers_and_ends(void *area)
{
	drop_libc();
	CHECK(rseq(area, 32, 0, SIG) == 0);
	return NULL;
}

/* Once a thread can be joined, its area may go. */
TEST(thread_exit)
{
	for (int i = 0; i < 200; i++) {
		void *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pthread_t th;

		REQUIRE(area != MAP_FAILED);
		REQUIRE(pthread_create(&th, NULL, registers_and_ends, area) == 0);
		REQUIRE(pthread_join(th, NULL) == 0);
		REQUIRE(munmap(area, 4096) == 0);
	}
	sched_yield();
}

static void *migrates(void *arg)
{
	volatile struct area *a = &first_area;
	uint32_t saw = 0;

	drop_libc();
	CHECK(rseq(&first_area, 32, 0, SIG) == 0);
	for (int i = 0; i < 2000; i++) {
		saw |= 1u << (a->cpu_id & 31);
		CHECK(on_an_allowed_cpu(a->cpu_id));
		if (i % 16 == 0)
			sched_yield();
	}
	CHECK(saw != 0);
	CHECK(rseq(&first_area, 32, 1, SIG) == 0);
	return NULL;
}

TEST(cpu_id_stays_sane)
{
	run_in_thread(migrates);
}
