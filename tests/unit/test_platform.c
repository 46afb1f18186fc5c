/*
 * The platforms, as functions: each case runs on ptrace and, where its probe allows, on systrap.  The guest is a few
 * instructions, written below as assembly and copied into a fresh address space; the test plays the sentry.
 *
 * Each case is a process of its own (libcheck forks), for a platform must be started single-threaded.
 */
#include <check.h>
#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/platform.h"

#define CODE 0x400000ull
#define DATA 0x500000ull
#define STACK 0x600000ull /* one page; the stack pointer starts at its end */
#define RW (L_PROT_READ | L_PROT_WRITE)
#define RX (L_PROT_READ | L_PROT_EXEC)
#define ANON (L_MAP_PRIVATE | L_MAP_ANONYMOUS)

/* ---- guest code ---- */

#define SNIPPET(name, body)                                                                                            \
	extern const uint8_t code_##name[], code_##name##_end[];                                                       \
	__asm__(".pushsection .rodata\n"                                                                               \
		"code_" #name ":\n" body "\ncode_" #name "_end: .byte 0\n"                                             \
		".popsection\n")

SNIPPET(syscalls, "1: mov $1000, %eax; mov $1, %edi; mov $2, %esi; mov $3, %edx; mov $4, %r10d; mov $5, %r8d\n"
		  "mov $6, %r9d; syscall; mov %rax, %rbx; mov $1001, %eax; mov %rbx, %rdi; syscall; jmp 1b");
SNIPPET(int80, "mov $20, %eax; int $0x80; ud2");
SNIPPET(load, "mov (%rdi), %rax; mov $1000, %eax; syscall; ud2");
SNIPPET(store, "mov %rsi, (%rdi); mov $1000, %eax; syscall; ud2");
SNIPPET(divide, "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx; ud2");
SNIPPET(breakpoint, "int3; ud2");
SNIPPET(invalid, "ud2");
SNIPPET(privileged, "hlt; ud2");
SNIPPET(spin, "1: incq (%rdi); jmp 1b");
SNIPPET(fs, "mov %fs:0, %rdi; movdqu %xmm0, (%rsi); mov $1000, %eax; syscall; ud2");
SNIPPET(vsyscall, "mov $0xffffffffff600400, %rax; xor %edi, %edi; call *%rax; mov %rax, %rdi; mov $1000, %eax; syscall");
SNIPPET(deep, "mov $-512, %rax; 1: cmp $-512, %rax; je 1b; ud2");

/* ---- the harness ---- */

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct guest {
	struct platform *pf;
	struct pas *as;
	struct pctx *ctx;
};

static const struct platform_ops *const all_ops[] = {&ptrace_platform, &systrap_platform};
static const struct platform_ops *ops; /* the case's platform */

static void start_platform(struct guest *g, int index)
{
	char why[200] = "";
	int r;

	ops = all_ops[index];
	r = platform_start(ops, &g->pf, why, sizeof(why));
	ck_assert_msg(r == 0, "%s", why);
}

static struct abi_regs fresh_regs(uint64_t ip)
{
	struct abi_regs regs = {
		.rip = ip,
		.rsp = STACK + PAGE_SIZE - 64,
		.cs = X86_64_USER_CS,
		.ss = X86_64_USER_DS,
		.eflags = X86_64_EFLAGS_FRESH,
		.orig_rax = UINT64_MAX,
	};

	return regs;
}

/* An address space with a page each of code, data and stack. */
static struct pas *new_as(struct guest *g, const uint8_t *code, const uint8_t *end)
{
	struct pas *as;

	ck_assert_int_eq(pas_create(g->pf, &as), 0);
	ck_assert_int_eq(pas_map(as, NULL, CODE, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(as, NULL, DATA, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_map(as, NULL, STACK, PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_write(as, CODE, code, (size_t)(end - code)), end - code);
	ck_assert_int_eq(pas_protect(as, NULL, CODE, PAGE_SIZE, RX), 0);
	return as;
}

static void start_guest(struct guest *g, int index, const uint8_t *code, const uint8_t *end)
{
	struct abi_regs regs = fresh_regs(CODE);

	start_platform(g, index);
	g->as = new_as(g, code, end);
	ck_assert_int_eq(pctx_spawn(g->as, NULL, &g->ctx), 0);
	ck_assert_int_eq(pctx_attach(g->ctx), 0);
	ck_assert_int_eq(pctx_set_regs(g->ctx, &regs), 0);
	ck_assert_int_eq(pctx_set_xstate(g->ctx, NULL, 0), 0);
}
#define START(g, name) start_guest(&(g), _i, code_##name, code_##name##_end)

static void end_guest(struct guest *g)
{
	pctx_destroy(g->ctx);
	pas_put(g->as);
	platform_stop(g->pf);
}

static void set_args(struct pctx *ctx, uint64_t rdi, uint64_t rsi)
{
	struct abi_regs regs;

	ck_assert_int_eq(pctx_get_regs(ctx, &regs), 0);
	regs.rdi = rdi;
	regs.rsi = rsi;
	ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
}

static void expect_syscall(struct pctx *ctx, struct pf_event *ev, uint64_t nr)
{
	platform_switch(ctx, ev);
	ck_assert_int_eq(ev->kind, PF_SYSCALL);
	ck_assert_uint_eq(ev->arch, AUDIT_ARCH_X86_64);
	ck_assert_uint_eq(ev->nr, nr);
}

static void expect_fault(struct pctx *ctx, struct pf_event *ev, int signo, uint64_t trapno)
{
	platform_switch(ctx, ev);
	ck_assert_int_eq(ev->kind, PF_FAULT);
	ck_assert_int_eq(ev->fault.signo, signo);
	ck_assert_uint_eq(ev->fault.trapno, trapno);
}

static uint64_t peek(struct pas *as, gva_t addr)
{
	uint64_t v = 0;

	ck_assert_int_eq(pas_read(as, addr, &v, sizeof(v)), sizeof(v));
	return v;
}

/* ---- events ---- */

START_TEST(syscall_loop)
{
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;

	START(g, syscalls);
	for (uint64_t i = 0; i < 100; i++) {
		expect_syscall(g.ctx, &ev, 1000);
		for (uint64_t a = 0; a < 6; a++)
			ck_assert_uint_eq(ev.args[a], a + 1);
		ck_assert_uint_eq(ev.sp, STACK + PAGE_SIZE - 64);
		pctx_set_result(g.ctx, (long)i - 50);
		expect_syscall(g.ctx, &ev, 1001);
		ck_assert_int_eq((int64_t)ev.args[0], (int64_t)i - 50);
		if (i % 10 == 0) { /* the slow way out */
			ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
			ck_assert_uint_eq(regs.rip, ev.ip);
			ck_assert_uint_eq(regs.orig_rax, 1001);
			ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), 0);
		}
	}
	end_guest(&g);
}
END_TEST

START_TEST(int80)
{
	struct guest g;
	struct pf_event ev;

	START(g, int80);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_SYSCALL);
	ck_assert_uint_eq(ev.arch, AUDIT_ARCH_I386);
	ck_assert_uint_eq(ev.nr, 20);
	pctx_set_result(g.ctx, -ENOSYS);
	expect_fault(g.ctx, &ev, SIGILL, 6);
	end_guest(&g);
}
END_TEST

START_TEST(segv)
{
	struct guest g;
	struct pf_event ev;

	START(g, load);
	set_args(g.ctx, 0x123456, 0);
	expect_fault(g.ctx, &ev, SIGSEGV, 14);
	ck_assert_int_eq(ev.fault.code, SEGV_MAPERR);
	ck_assert_uint_eq(ev.fault.addr, 0x123456);
	ck_assert_uint_eq(ev.fault.cr2, 0x123456);
	ck_assert_uint_eq(ev.ip, CODE);
	/* Resumed as it is, it faults again; with the address mended, it goes on. */
	expect_fault(g.ctx, &ev, SIGSEGV, 14);
	set_args(g.ctx, DATA, 0);
	expect_syscall(g.ctx, &ev, 1000);
	end_guest(&g);
}
END_TEST

START_TEST(segv_write)
{
	struct guest g;
	struct pf_event ev;

	START(g, store);
	set_args(g.ctx, CODE + 8, 1);
	expect_fault(g.ctx, &ev, SIGSEGV, 14);
	ck_assert_int_eq(ev.fault.code, SEGV_ACCERR);
	ck_assert_uint_eq(ev.fault.addr, CODE + 8);
	ck_assert_uint_eq(ev.fault.err & ~16ull, 7); /* present, write, user */
	end_guest(&g);
}
END_TEST

START_TEST(exceptions)
{
	struct guest g;
	struct pf_event ev;

	START(g, divide);
	expect_fault(g.ctx, &ev, SIGFPE, 0);
	ck_assert_int_eq(ev.fault.code, FPE_INTDIV);
	end_guest(&g);
	START(g, breakpoint);
	expect_fault(g.ctx, &ev, SIGTRAP, 3);
	ck_assert_uint_eq(ev.ip, CODE + 1);
	expect_fault(g.ctx, &ev, SIGILL, 6);
	end_guest(&g);
	START(g, privileged);
	expect_fault(g.ctx, &ev, SIGSEGV, 13);
	end_guest(&g);
	START(g, load);
	set_args(g.ctx, 0x8000000000000000ull, 0); /* not canonical */
	expect_fault(g.ctx, &ev, SIGSEGV, 13);
	end_guest(&g);
}
END_TEST

START_TEST(vsyscall)
{
	struct guest g;
	struct pf_event ev;

	START(g, vsyscall);
	platform_switch(g.ctx, &ev);
	/* Where the host has no vsyscall page the guest faults there. */
	if (ev.kind == PF_SYSCALL) {
		ck_assert_uint_eq(ev.nr, SYS_time);
		pctx_set_result(g.ctx, 42);
		expect_syscall(g.ctx, &ev, 1000);
		ck_assert_uint_eq(ev.args[0], 42);
	} else {
		ck_assert_int_eq(ev.kind, PF_FAULT);
		ck_assert_int_eq(ev.fault.signo, SIGSEGV);
		ck_assert_uint_eq(ev.ip, 0xffffffffff600400ull);
	}
	end_guest(&g);
}
END_TEST

/* ---- memory ---- */

START_TEST(map_and_protect)
{
	struct guest g;
	struct pf_event ev;
	uint8_t buf[2 * PAGE_SIZE];

	START(g, store);
	set_args(g.ctx, 0x700000, 7);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, PAGE_SIZE, L_PROT_READ, ANON, -1, 0), 0);
	expect_fault(g.ctx, &ev, SIGSEGV, 14);
	ck_assert_int_eq(pas_write(g.as, 0x700000, "x", 1), -EFAULT);
	ck_assert_int_eq(pas_protect(g.as, g.ctx, 0x700000, PAGE_SIZE, RW), 0);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_uint_eq(peek(g.as, 0x700000), 7);
	/* Short at a page that is not there. */
	ck_assert_int_eq(pas_read(g.as, 0x700000 + 100, buf, sizeof(buf)), PAGE_SIZE - 100);
	ck_assert_int_eq(pas_write(g.as, 0x700000 + 100, buf, sizeof(buf)), PAGE_SIZE - 100);
	ck_assert_int_eq(pas_unmap(g.as, g.ctx, 0x700000, PAGE_SIZE), 0);
	ck_assert_int_eq(pas_read(g.as, 0x700000, buf, 1), -EFAULT);
	/* What the platform refuses. */
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700001, PAGE_SIZE, RW, ANON, -1, 0), -EINVAL);
	ck_assert_int_eq(pas_map(g.as, g.ctx, GUEST_CEILING, PAGE_SIZE, RW, ANON, -1, 0), -EINVAL);
	ck_assert_int_eq(pas_unmap(g.as, g.ctx, GUEST_CEILING - PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
	ck_assert_int_eq(pas_unmap(g.as, g.ctx, PAGE_SIZE, UINT64_MAX & PAGE_MASK), -EINVAL);
	ck_assert_int_eq(pas_read(g.as, GUEST_CEILING, buf, 1), -EFAULT);
	end_guest(&g);
}
END_TEST

START_TEST(map_shared_file)
{
	struct guest g;
	struct pf_event ev;
	int fd = memfd_create("test", MFD_CLOEXEC);
	uint64_t *mine;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 2 * PAGE_SIZE), 0);
	mine = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mine, MAP_FAILED);
	START(g, store);
	mine[PAGE_SIZE / 8] = 5;
	/* Several times, to find a descriptor that is left open. */
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, 2 * PAGE_SIZE, RW, L_MAP_SHARED, fd, PAGE_SIZE), 0);
	ck_assert_uint_eq(peek(g.as, 0x700000), 5);
	set_args(g.ctx, 0x700000, 77);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_uint_eq(mine[PAGE_SIZE / 8], 77);
	/* Past the end of the file. */
	struct abi_regs regs = fresh_regs(CODE);

	regs.rdi = 0x700000 + PAGE_SIZE + 8;
	ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), 0);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_FAULT);
	ck_assert_int_eq(ev.fault.signo, SIGBUS);
	ck_assert_uint_eq(ev.fault.addr, 0x700000 + PAGE_SIZE + 8);
	/* A file that cannot be mapped, then one that can: the first's descriptor is not in the way. */
	int null = memfd_create("readonly", MFD_CLOEXEC);
	int unmappable = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x800000, PAGE_SIZE, RW, L_MAP_SHARED, unmappable, 0), -ENODEV);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x800000, PAGE_SIZE, RW, L_MAP_PRIVATE, null, 0), 0);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x800000, PAGE_SIZE, RW, L_MAP_PRIVATE, 999, 0), -EBADF);
	end_guest(&g);
	munmap(mine, 2 * PAGE_SIZE);
}
END_TEST

START_TEST(remap_and_advise)
{
	struct guest g;
	uint64_t v = 9;

	START(g, load);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, 2 * PAGE_SIZE, RW, ANON, -1, 0), 0);
	ck_assert_int_eq(pas_write(g.as, 0x700000, &v, sizeof(v)), sizeof(v));
	ck_assert_int_eq(pas_remap(g.as, g.ctx, 0x700000, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0x900000, 0), 0);
	ck_assert_uint_eq(peek(g.as, 0x900000), 9);
	ck_assert_int_eq(pas_read(g.as, 0x700000, &v, 1), -EFAULT);
	ck_assert_int_eq(pas_remap(g.as, g.ctx, 0x900000, 4 * PAGE_SIZE, PAGE_SIZE, 0x900000, 0), 0);
	ck_assert_int_eq(pas_read(g.as, 0x901000, &v, 1), -EFAULT);
	ck_assert_int_eq(pas_advise(g.as, g.ctx, PAS_MADVISE, 0x900000, PAGE_SIZE, L_MADV_DONTNEED), 0);
	ck_assert_uint_eq(peek(g.as, 0x900000), 0);
	ck_assert_int_eq(pas_advise(g.as, g.ctx, PAS_MADVISE, 0x900000, PAGE_SIZE, 12345), -EINVAL);
	end_guest(&g);
}
END_TEST

START_TEST(cmpxchg)
{
	struct guest g;
	struct pf_event ev;
	uint32_t seen = 0, word = 10;

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_int_eq(pas_write(g.as, DATA, &word, sizeof(word)), sizeof(word));
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, DATA, 10, 11, &seen), 0);
	ck_assert_uint_eq(seen, 10);
	ck_assert_uint_eq(peek(g.as, DATA), 11);
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, DATA, 10, 12, &seen), 0);
	ck_assert_uint_eq(seen, 11);
	ck_assert_uint_eq(peek(g.as, DATA), 11);
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, CODE, 10, 12, &seen), -EFAULT);
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, 0x700000, 10, 12, &seen), -EFAULT);
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, GUEST_CEILING, 10, 12, &seen), -EFAULT);
	ck_assert_int_eq(pctx_cmpxchg32(g.ctx, DATA + 1, 10, 12, &seen), -EINVAL);
	/* The guest has noticed nothing. */
	pctx_set_result(g.ctx, 4711);
	expect_syscall(g.ctx, &ev, 1001);
	ck_assert_uint_eq(ev.args[0], 4711);
	end_guest(&g);
}
END_TEST

/* ---- processes and threads ---- */

START_TEST(fork_copies)
{
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;
	struct pas *child_as;
	struct pctx *child;
	uint64_t v = 1;

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, PAGE_SIZE, RW, L_MAP_SHARED | L_MAP_ANONYMOUS, -1, 0), 0);
	ck_assert_int_eq(pas_write(g.as, DATA, &v, sizeof(v)), sizeof(v));
	ck_assert_int_eq(pas_fork(g.ctx, &child_as, &child), 0);
	ck_assert_int_ne(pas_host_pid(child_as), pas_host_pid(g.as));
	v = 2;
	ck_assert_int_eq(pas_write(g.as, DATA, &v, sizeof(v)), sizeof(v));
	ck_assert_int_eq(pas_write(g.as, 0x700000, &v, sizeof(v)), sizeof(v));
	ck_assert_uint_eq(peek(child_as, DATA), 1);
	ck_assert_uint_eq(peek(child_as, 0x700000), 2);
	/* Both go on after the same call, each with a result of its own. */
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	ck_assert_int_eq(pctx_attach(child), 0);
	regs.rax = 0;
	ck_assert_int_eq(pctx_set_regs(child, &regs), 0);
	pctx_set_result(g.ctx, 33);
	expect_syscall(child, &ev, 1001);
	ck_assert_uint_eq(ev.args[0], 0);
	expect_syscall(g.ctx, &ev, 1001);
	ck_assert_uint_eq(ev.args[0], 33);
	pctx_destroy(child);
	pas_put(child_as);
	expect_syscall(g.ctx, &ev, 1000);
	end_guest(&g);
}
END_TEST

struct thread_arg {
	struct pctx *ctx;
	int rounds;
};

static void *run_thread(void *p)
{
	struct thread_arg *arg = p;
	struct abi_regs regs = fresh_regs(CODE);
	struct pf_event ev;

	regs.rsp -= 1024;
	ck_assert_int_eq(pctx_attach(arg->ctx), 0);
	ck_assert_int_eq(pctx_set_regs(arg->ctx, &regs), 0);
	for (int i = 0; i < arg->rounds; i++) {
		expect_syscall(arg->ctx, &ev, 1000);
		pctx_set_result(arg->ctx, i);
		expect_syscall(arg->ctx, &ev, 1001);
		ck_assert_uint_eq(ev.args[0], (uint64_t)i);
	}
	pctx_destroy(arg->ctx);
	return NULL;
}

START_TEST(eight_threads)
{
	struct guest g;
	struct pf_event ev;
	struct thread_arg args[8];
	pthread_t threads[8];

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		args[i].rounds = 100;
		ck_assert_int_eq(pctx_spawn(g.as, g.ctx, &args[i].ctx), 0);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, &args[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		expect_syscall(g.ctx, &ev, 1001);
		expect_syscall(g.ctx, &ev, 1000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		pthread_join(threads[i], NULL);
	expect_syscall(g.ctx, &ev, 1001);
	end_guest(&g);
}
END_TEST

/* The leader's thread ends first; memory is still reached, and the other thread still runs. */
START_TEST(first_thread_ends)
{
	struct guest g;
	struct pf_event ev;
	struct pctx *second;
	struct abi_regs regs = fresh_regs(CODE);

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_int_eq(pctx_spawn(g.as, g.ctx, &second), 0);
	pctx_destroy(g.ctx);
	usleep(20000);
	ck_assert_int_eq(pctx_attach(second), 0);
	ck_assert_int_eq(pctx_set_regs(second, &regs), 0);
	expect_syscall(second, &ev, 1000);
	ck_assert_uint_eq(peek(g.as, DATA), 0);
	g.ctx = second;
	end_guest(&g);
}
END_TEST

/* As execve does: a new address space for the thread that has one. */
START_TEST(exec_replaces)
{
	struct guest g;
	struct pf_event ev;

	START(g, load);
	for (int i = 0; i < 5; i++) {
		struct pas *as = new_as(&g, code_syscalls, code_syscalls_end);
		struct abi_regs regs = fresh_regs(CODE);
		struct pctx *ctx;

		ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
		ck_assert_int_eq(pctx_attach(ctx), 0);
		ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
		pctx_destroy(g.ctx);
		pas_put(g.as);
		g.as = as;
		g.ctx = ctx;
		expect_syscall(g.ctx, &ev, 1000);
	}
	end_guest(&g);
}
END_TEST

START_TEST(fifty_forks)
{
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	for (int i = 0; i < 50; i++) {
		struct pas *as;
		struct pctx *ctx;

		ck_assert_int_eq(pas_fork(g.ctx, &as, &ctx), 0);
		ck_assert_int_eq(pctx_attach(ctx), 0);
		ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
		expect_syscall(ctx, &ev, 1001);
		/* One in two is ended by its address space alone, never attached, or killed. */
		if (i % 4 == 1)
			pas_kill(as);
		pctx_destroy(ctx);
		pas_put(as);
	}
	for (int i = 0; i < 5; i++) {
		struct pas *as;
		struct pctx *ctx;

		ck_assert_int_eq(pas_fork(g.ctx, &as, &ctx), 0);
		pctx_destroy(ctx);
		pas_put(as);
	}
	end_guest(&g);
	/* Nothing is left behind. */
	ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

/* ---- interrupts and deaths ---- */

struct later {
	struct pctx *ctx;
	pid_t kill;
	unsigned delay_us;
	struct pas *counter; /* if set: not before its word at DATA is past `before` */
	uint64_t before;
};

static void *do_later(void *p)
{
	struct later *l = p;

	usleep(l->delay_us);
	for (uint64_t now = l->before; l->counter && now <= l->before; sched_yield())
		if (pas_read(l->counter, DATA, &now, sizeof(now)) < 0)
			break;
	if (l->kill)
		kill(l->kill, SIGKILL);
	else
		pctx_interrupt(l->ctx);
	return NULL;
}

START_TEST(interrupt_running)
{
	struct guest g;
	struct pf_event ev;

	START(g, spin);
	set_args(g.ctx, DATA, 0);
	for (int i = 0; i < 20; i++) {
		uint64_t before = peek(g.as, DATA);
		struct later l = {.ctx = g.ctx, .delay_us = (unsigned)i * 500, .before = before};
		pthread_t thread;

		if (i > 10)
			l.counter = g.as;
		ck_assert_int_eq(pthread_create(&thread, NULL, do_later, &l), 0);
		platform_switch(g.ctx, &ev);
		ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
		ck_assert_uint_ge(ev.ip, CODE);
		pthread_join(thread, NULL);
		if (l.counter)
			ck_assert_uint_gt(peek(g.as, DATA), before);
	}
	end_guest(&g);
}
END_TEST

START_TEST(interrupt_before_run)
{
	struct guest g;
	struct pf_event ev;

	START(g, syscalls);
	pctx_interrupt(g.ctx);
	pctx_interrupt(g.ctx);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	ck_assert_uint_eq(ev.ip, CODE);
	expect_syscall(g.ctx, &ev, 1000);
	pctx_set_result(g.ctx, 5);
	pctx_interrupt(g.ctx);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	expect_syscall(g.ctx, &ev, 1001);
	ck_assert_uint_eq(ev.args[0], 5);
	end_guest(&g);
}
END_TEST

/* A register that looks like one of the host's restart codes is left alone. */
START_TEST(restart_code_in_rax)
{
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;

	START(g, deep);
	for (int i = 0; i < 20; i++) {
		struct later l = {.ctx = g.ctx, .delay_us = (unsigned)i * 50};
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, do_later, &l), 0);
		platform_switch(g.ctx, &ev);
		ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
		pthread_join(thread, NULL);
		ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
		if (regs.rip > CODE)
			ck_assert_int_eq((int64_t)regs.rax, -512);
		ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), 0);
	}
	end_guest(&g);
}
END_TEST

START_TEST(stub_killed)
{
	struct guest g;
	struct pf_event ev;
	struct pas *other;
	struct pctx *other_ctx;
	struct abi_regs regs;
	struct later l;
	pthread_t thread;
	uint64_t v;

	START(g, spin);
	set_args(g.ctx, DATA, 0);
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	ck_assert_int_eq(pas_fork(g.ctx, &other, &other_ctx), 0);
	l = (struct later){.kill = pas_host_pid(g.as), .delay_us = 20000};
	ck_assert_int_eq(pthread_create(&thread, NULL, do_later, &l), 0);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pthread_join(thread, NULL);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, PAGE_SIZE, RW, ANON, -1, 0), -ESRCH);
	ck_assert_int_eq(pas_read(g.as, DATA, &v, sizeof(v)), -ESRCH);
	pctx_interrupt(g.ctx);
	pctx_destroy(g.ctx);
	pas_put(g.as);
	/* Its child goes on. */
	g.as = other;
	g.ctx = other_ctx;
	ck_assert_int_eq(pctx_attach(g.ctx), 0);
	ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), 0);
	pctx_interrupt(g.ctx);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_INTERRUPTED);
	/* Killed while it is in the sentry's hands. */
	kill(pas_host_pid(g.as), SIGKILL);
	usleep(20000);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	end_guest(&g);
}
END_TEST

/* A sibling's sentry thread sleeps: the death shows all the same, in the other thread and as news, before the sleeper wakes. */
static _Atomic bool death_was_news;

static void *attach_and_sleep(void *p)
{
	struct abi_regs regs = fresh_regs(CODE);
	struct pf_event ev;

	ck_assert_int_eq(pctx_attach(p), 0);
	regs.rdi = DATA + 64;
	ck_assert_int_eq(pctx_set_regs(p, &regs), 0);
	pctx_interrupt(p);
	platform_switch(p, &ev);
	while (!atomic_load(&death_was_news))
		usleep(1000);
	pctx_destroy(p);
	return NULL;
}

static void *await_death(void *p)
{
	uint32_t *seen = p;

	*seen = platform_wait_deaths(0);
	return NULL;
}

START_TEST(death_is_news)
{
	struct guest g;
	struct pf_event ev;
	struct pctx *second;
	struct later l;
	pthread_t sleeper, killer, listener;
	uint32_t seen = 0;

	START(g, spin);
	set_args(g.ctx, DATA, 0);
	ck_assert_int_eq(pctx_spawn(g.as, g.ctx, &second), 0);
	ck_assert_int_eq(pthread_create(&sleeper, NULL, attach_and_sleep, second), 0);
	ck_assert_int_eq(pthread_create(&listener, NULL, await_death, &seen), 0);
	l = (struct later){.kill = pas_host_pid(g.as), .delay_us = 100000};
	ck_assert_int_eq(pthread_create(&killer, NULL, do_later, &l), 0);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	pthread_join(killer, NULL);
	pthread_join(listener, NULL);
	ck_assert(pas_is_dead(g.as));
	ck_assert_uint_eq(seen, 1);
	atomic_store(&death_was_news, true);
	pthread_join(sleeper, NULL);
	end_guest(&g);
}
END_TEST

START_TEST(killed_by_us)
{
	struct guest g;
	struct pf_event ev;

	START(g, syscalls);
	expect_syscall(g.ctx, &ev, 1000);
	pas_kill(g.as);
	platform_switch(g.ctx, &ev);
	ck_assert_int_eq(ev.kind, PF_DEAD);
	end_guest(&g);
}
END_TEST

/* ---- register state ---- */

START_TEST(fs_base_and_xstate)
{
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;
	size_t size;
	uint8_t *state, *again;
	uint64_t tls = 0x1122334455667788;
	const uint8_t xmm0[16] = "Bailey's xmm0 ok";
	uint8_t got[16];

	START(g, fs);
	size = platform_xstate_size(g.pf);
	ck_assert_uint_ge(size, 512);
	state = malloc(size);
	again = malloc(size);
	ck_assert_int_eq(pas_write(g.as, DATA + 64, &tls, sizeof(tls)), sizeof(tls));
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	regs.fs_base = DATA + 64;
	regs.gs_base = 0x123000;
	regs.rsi = DATA + 128;
	ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), 0);
	ck_assert_int_eq(pctx_get_xstate(g.ctx, state, size), (ssize_t)size);
	memcpy(state + 160, xmm0, sizeof(xmm0));
	if (size > 512)
		state[512] |= 2; /* SSE is not in its initial state */
	ck_assert_int_eq(pctx_set_xstate(g.ctx, state, size), 0);
	expect_syscall(g.ctx, &ev, 1000);
	ck_assert_uint_eq(ev.args[0], tls);
	ck_assert_int_eq(pas_read(g.as, DATA + 128, got, sizeof(got)), sizeof(got));
	ck_assert_mem_eq(got, xmm0, sizeof(got));
	ck_assert_int_eq(pctx_get_xstate(g.ctx, again, size), (ssize_t)size);
	ck_assert_mem_eq(again + 160, xmm0, sizeof(xmm0));
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	ck_assert_uint_eq(regs.fs_base, DATA + 64);
	ck_assert_uint_eq(regs.gs_base, 0x123000);
	/* What a kernel refuses: a reserved MXCSR bit, a base in the kernel's half, a privileged segment. */
	memset(again + 24, 0xff, 4);
	ck_assert_int_eq(pctx_set_xstate(g.ctx, again, size), -EINVAL);
	ck_assert_int_eq(pctx_set_xstate(g.ctx, again, 100), -EINVAL);
	regs.fs_base = 0xffff800000000000;
	ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), -EINVAL);
	regs.fs_base = 0;
	regs.cs = 0x10;
	ck_assert_int_eq(pctx_set_regs(g.ctx, &regs), -EINVAL);
	free(state);
	free(again);
	end_guest(&g);
}
END_TEST

START_TEST(probe_leaves_nothing)
{
	char why[200] = "";

	ck_assert_int_eq(platform_probe(all_ops[_i], why, sizeof(why)), 0);
	ck_assert_int_eq(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

/* ---- cost ---- */

/* Not a test of anything but that it ends; prints what docs/MEASUREMENTS.md says. */
START_TEST(cost)
{
	const int rounds = 20000;
	struct guest g;
	struct pf_event ev;
	struct abi_regs regs;
	double t0;

	if (!getenv("BAILEY_TEST_COST"))
		return;
	START(g, syscalls);
	t0 = now_ns();
	for (int i = 0; i < rounds; i++) {
		platform_switch(g.ctx, &ev);
		pctx_set_result(g.ctx, 0);
	}
	printf("%s: %.0f ns a round trip\n", platform_name(ops), (now_ns() - t0) / rounds);
	t0 = now_ns();
	for (int i = 0; i < rounds / 10; i++) {
		ck_assert_int_eq(pas_map(g.as, g.ctx, 0x700000, 10 * PAGE_SIZE, RW, ANON, -1, 0), 0);
		ck_assert_int_eq(pas_unmap(g.as, g.ctx, 0x700000, 10 * PAGE_SIZE), 0);
	}
	printf("%s: %.0f ns an mmap+munmap pair\n", platform_name(ops), (now_ns() - t0) / rounds * 10);
	ck_assert_int_eq(pctx_get_regs(g.ctx, &regs), 0);
	t0 = now_ns();
	for (int i = 0; i < 100; i++) {
		struct pas *as;
		struct pctx *ctx;

		ck_assert_int_eq(pas_fork(g.ctx, &as, &ctx), 0);
		ck_assert_int_eq(pctx_attach(ctx), 0);
		ck_assert_int_eq(pctx_set_regs(ctx, &regs), 0);
		platform_switch(ctx, &ev);
		pctx_destroy(ctx);
		pas_put(as);
	}
	printf("%s: %.0f ns a fork with attach, one switch and end\n", platform_name(ops), (now_ns() - t0) / 100);
	t0 = now_ns();
	for (int i = 0; i < 100; i++) {
		struct pas *as;
		struct pctx *ctx;

		ck_assert_int_eq(pas_create(g.pf, &as), 0);
		ck_assert_int_eq(pctx_spawn(as, NULL, &ctx), 0);
		ck_assert_int_eq(pctx_attach(ctx), 0);
		pctx_destroy(ctx);
		pas_put(as);
	}
	printf("%s: %.0f ns an address space with attach and end\n", platform_name(ops), (now_ns() - t0) / 100);
	end_guest(&g);
}
END_TEST

int main(void)
{
	const struct {
		const char *name;
		const TTest *test;
	} tests[] = {
		{"syscall_loop", syscall_loop}, {"int80", int80}, {"segv", segv}, {"segv_write", segv_write},
		{"exceptions", exceptions}, {"vsyscall", vsyscall}, {"map_and_protect", map_and_protect},
		{"map_shared_file", map_shared_file}, {"remap_and_advise", remap_and_advise}, {"cmpxchg", cmpxchg},
		{"fork_copies", fork_copies}, {"eight_threads", eight_threads}, {"first_thread_ends", first_thread_ends},
		{"exec_replaces", exec_replaces}, {"fifty_forks", fifty_forks},
		{"interrupt_running", interrupt_running}, {"interrupt_before_run", interrupt_before_run},
		{"restart_code_in_rax", restart_code_in_rax}, {"stub_killed", stub_killed},
		{"death_is_news", death_is_news}, {"killed_by_us", killed_by_us}, {"fs_base_and_xstate", fs_base_and_xstate},
		{"probe_leaves_nothing", probe_leaves_nothing}, {"cost", cost},
	};
	Suite *suite = suite_create("platform");
	SRunner *runner;
	char why[200];
	int failed;

	for (int p = 0; p < (int)ARRAY_SIZE(all_ops); p++) {
		TCase *tc;

		if (platform_probe(all_ops[p], why, sizeof(why)) < 0) {
			printf("skipped: %s\n", why);
			continue;
		}
		tc = tcase_create(platform_name(all_ops[p]));
		tcase_set_timeout(tc, 30);
		for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
			tcase_add_loop_test(tc, tests[i].test, p, p + 1);
		suite_add_tcase(suite, tc);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
