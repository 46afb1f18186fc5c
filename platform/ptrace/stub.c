/*
 * The birth of the template, the stub that all others are forked from.  It starts as a fork of the sentry, while that is
 * single-threaded, and sheds everything: descriptors but one socket, signal handlers, the terminal's session, its
 * whole image.  What stays is the shim's pages, and a filter that lets only the shim make calls.
 *
 * The filter is the second line: guest code runs under PTRACE_SYSEMU, where no call of its gets as far as a filter.
 * It is what holds if a stub is ever let go by its tracer while guest code is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/signal.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/arch/x86_64/vdso.h"
#include "platform/ptrace/internal.h"
#include "platform/ptrace/shim.h"

/* Where the shim is looked for a place: any address above the guest's ceiling will do, but the sentry's own stack may
 * be there, on which the template begins its life. */
#define SHIM_TOP 0x7fffe0000000ull
#define SHIM_STEP 0x4000000ull

/* How a birth failed: what the child writes to its pipe before it exits. */
struct birth_error {
	char step[24];
	int err;
};

/* While it is being born the child has its socket, and a pipe whose end the sentry awaits. */
#define SOCK_FD 0
#define PIPE_FD 1

/* ---- the filter ---- */

/* A call that the shim makes, and the values that one argument of its may have (whole, 64 bits wide). */
struct call_rule {
	uint32_t nr;
	int arg; /* -1: any arguments */
	uint32_t values[2];
};

static const struct call_rule shim_calls[] = {
	{__NR_mmap, -1, {0}},
	{__NR_munmap, -1, {0}},
	{__NR_mprotect, -1, {0}},
	{__NR_mremap, -1, {0}},
	{__NR_madvise, -1, {0}},
	{__NR_msync, -1, {0}},
	{__NR_mlock2, -1, {0}},
	{__NR_munlock, -1, {0}},
	{__NR_mincore, -1, {0}},
	{__NR_pause, -1, {0}},
	{__NR_exit, -1, {0}},
	{__NR_getppid, -1, {0}},
	{__NR_clone, 0, {(uint32_t)STUB_FORK_FLAGS, (uint32_t)STUB_THREAD_FLAGS}},
	{__NR_recvmsg, 0, {SOCK_FD, SOCK_FD}},
	{__NR_close, 0, {1, 1}},
	{__NR_close_range, 0, {1, 1}},
	{__NR_prctl, 0, {PR_SET_PDEATHSIG, PR_SET_PDEATHSIG}},
	{__NR_rseq, 2, {0, RSEQ_FLAG_UNREGISTER}},
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field) + 4)
#define TO_PAGE BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)~(SHIM_TEXT_SIZE - 1))
/* Skips so many instructions. */
#define IF_EQ(value, skip_if, skip_else) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), skip_if, skip_else)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))

struct program {
	struct sock_filter code[160];
	unsigned short len;
};

static void emit(struct program *p, const struct sock_filter *code, size_t count)
{
	ASSERT(p->len + count <= ARRAY_SIZE(p->code));
	memcpy(p->code + p->len, code, count * sizeof(*code));
	p->len = (unsigned short)(p->len + count);
}

static void emit_call_rule(struct program *p, const struct call_rule *r)
{
	const struct sock_filter any[] = {
		IF_EQ(r->nr, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
	};
	const uint32_t low = (uint32_t)(offsetof(struct seccomp_data, args) + (size_t)(r->arg < 0 ? 0 : r->arg) * 8);
	const struct sock_filter by_arg[] = {
		IF_EQ(r->nr, 0, 7),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low + 4),
		IF_EQ(0, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
		IF_EQ(r->values[0], 1, 0),
		IF_EQ(r->values[1], 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_KILL_PROCESS),
	};

	if (r->arg < 0)
		emit(p, any, ARRAY_SIZE(any));
	else
		emit(p, by_arg, ARRAY_SIZE(by_arg));
}

/* The architecture first (or int 0x80 would pass for other calls), then where the call is made, then which it is. */
static int install_filter(uint64_t shim_base)
{
	const struct sock_filter head[] = {
		LOAD(arch),
		IF_EQ(AUDIT_ARCH_X86_64, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		/* Old programs call the vsyscall page, which the host would answer: a signal, which becomes an event. */
		LOAD_HIGH(instruction_pointer),
		IF_EQ(X86_64_VSYSCALL_PAGE >> 32, 0, 4),
		LOAD(instruction_pointer),
		TO_PAGE,
		IF_EQ(X86_64_VSYSCALL_PAGE, 0, 1),
		RETURN(SECCOMP_RET_TRAP),
		LOAD_HIGH(instruction_pointer),
		IF_EQ(shim_base >> 32, 0, 3),
		LOAD(instruction_pointer),
		TO_PAGE,
		IF_EQ(shim_base, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
	};
	const struct sock_filter tail[] = {RETURN(SECCOMP_RET_KILL_PROCESS)};
	struct program p = {.len = 0};
	struct sock_fprog prog;

	emit(&p, head, ARRAY_SIZE(head));
	for (size_t i = 0; i < ARRAY_SIZE(shim_calls); i++)
		emit_call_rule(&p, &shim_calls[i]);
	emit(&p, tail, ARRAY_SIZE(tail));
	prog.len = p.len;
	prog.filter = p.code;
	/* Without SPEC_ALLOW kernels before 5.16 turn speculative store bypass off for the guest, at great cost. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) == 0)
		return 0;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

/* ---- the child ---- */

/* The C library has registered an area that the kernel writes to at every migration, and which is about to go. */
static int unregister_rseq(void)
{
	uintptr_t thread;

	if (__rseq_size == 0)
		return 0;
	__asm__("mov %%fs:0, %0" : "=r"(thread));
	/* The length must be the one registered, which libraries have not agreed on. */
	for (unsigned len = 32; len <= 512; len += 32) {
		if (syscall(SYS_rseq, thread + (uintptr_t)__rseq_offset, len, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0)
			return 0;
	}
	return -1;
}

/* All signals as they are in a fresh process, but SIGSEGV: its handler is the shim's, for tracee_exception. */
static void reset_signals(uint64_t shim_base)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} action = {0};
	unsigned long none = 0;

	for (int signo = 1; signo <= 64; signo++)
		syscall(SYS_rt_sigaction, signo, &action, NULL, sizeof(action.mask));
	/* Never blocked and never left, so that the host needs no way back. */
	action.handler = action.restorer = (void *)SHIM_AT(shim_base, handler);
	action.flags = L_SA_SIGINFO | L_SA_NODEFER | L_SA_RESTORER;
	syscall(SYS_rt_sigaction, SIGSEGV, &action, NULL, sizeof(action.mask));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

static int keep_descriptors(int sock, int pipe_end)
{
	/* Up and out of the way first: either may be the other's number. */
	int high_sock = fcntl(sock, F_DUPFD, 3), high_pipe = fcntl(pipe_end, F_DUPFD, 3);

	if (high_sock < 0 || high_pipe < 0 || dup2(high_sock, SOCK_FD) < 0 || dup2(high_pipe, PIPE_FD) < 0)
		return -1;
	return (int)syscall(SYS_close_range, PIPE_FD + 1, ~0u, 0);
}

static int map_shim(uint64_t base)
{
	void *at = (void *)base;

	if (mmap(at, SHIM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		return -1;
	memcpy(at, ptrace_shim, (size_t)(ptrace_shim_end - ptrace_shim));
	return mprotect(at, SHIM_TEXT_SIZE, PROT_READ | PROT_EXEC);
}

static NORETURN void birth_failed(const char *step)
{
	struct birth_error e = {.err = errno};

	strncpy(e.step, step, sizeof(e.step) - 1);
	if (write(PIPE_FD, &e, sizeof(e)) < 0)
		_exit(2);
	_exit(1);
}

static NORETURN void be_born(uint64_t shim_base, int sock, int pipe_end, pid_t sentry_pid)
{
	const struct rlimit no_core = {0, 0};

	if (keep_descriptors(sock, pipe_end) < 0)
		_exit(3);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		birth_failed("PR_SET_PDEATHSIG");
	if (getppid() != sentry_pid) {
		errno = ECHILD; /* it is dead already, or its children live in another pid namespace */
		birth_failed("getppid");
	}
	reset_signals(shim_base);
	setsid(); /* a terminal's signals are the sentry's business */
	prctl(PR_SET_NAME, "bailey-stub", 0, 0, 0);
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		birth_failed("PR_SET_DUMPABLE");
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		birth_failed("RLIMIT_CORE");
	if (unregister_rseq() < 0)
		birth_failed("rseq");
	if (map_shim(shim_base) < 0)
		birth_failed("mmap");
	errno = -vdso_move(shim_base + SHIM_SIZE);
	if (errno)
		birth_failed("mremap of the vDSO");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		birth_failed("PR_SET_NO_NEW_PRIVS");
	if (install_filter(shim_base) < 0)
		birth_failed("seccomp");
	/* Into the shim, which unmaps all else, closes the pipe and parks. */
	__asm__ volatile("mov %[end], %%r12\n\t"
			 "mov %[text], %%rbx\n\t"
			 "mov %[past], %%rbp\n\t"
			 "jmp *%[go]"
			 :
			 : [text] "S"(shim_base), [past] "d"(shim_base + SHIM_SIZE + vdso_size()), [end] "c"(X86_64_TASK_SIZE),
			   [go] "a"(SHIM_AT(shim_base, birth))
			 : "rbx", "r12", "memory");
	__builtin_unreachable();
}

/* ---- the sentry's side ---- */

static uint64_t free_place(void)
{
	for (uint64_t base = SHIM_TOP; base >= GUEST_CEILING; base -= SHIM_STEP) {
		/* A guard page on either side, so that the sentry's stack does not grow into it before the fork. */
		void *want = (void *)(base - SHIM_SIZE);
		size_t size = 3 * SHIM_SIZE + vdso_size();
		void *got = mmap(want, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (got != MAP_FAILED)
			munmap(got, size);
		if (got == want)
			return base;
	}
	return 0;
}

/* Waits until the child has parked or failed.  0 or -errno, with a reason. */
static int await_birth(int pipe_end, char *why, size_t why_size)
{
	struct birth_error e;
	ssize_t n;

	do
		n = read(pipe_end, &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(e))
		return 0; /* if it died without a word, it cannot be traced */
	e.step[sizeof(e.step) - 1] = 0;
	snprintf(why, why_size, "ptrace: cannot set up a stub process: %s: %s", e.step, strerror(e.err));
	return e.err > 0 ? -e.err : -EIO;
}

static int try_tracing(struct ptrace_platform *pf, char *why, size_t why_size)
{
	int r = tracee_seize(&pf->template);

	if (r == 0)
		r = tracee_park(&pf->template);
	if (r == -EPERM)
		snprintf(why, why_size,
			 "ptrace: not permitted to trace own children: allow ptrace in the seccomp profile, and set "
			 "kernel.yama.ptrace_scope to 0 or 1");
	else if (r < 0)
		snprintf(why, why_size, "ptrace: cannot trace a stub process: %s", strerror(-r));
	return r;
}

int stub_make_template(struct ptrace_platform *pf, char *why, size_t why_size)
{
	int pipe_ends[2], r;
	pid_t pid;

	pf->sentry_pid = getpid();
	pf->shim_base = free_place();
	pf->base.vdso = pf->shim_base ? vdso_ehdr(pf->shim_base + SHIM_SIZE) : 0;
	if (pf->shim_base == 0) {
		snprintf(why, why_size, "ptrace: no room for the shim above the guest's memory");
		return -ENOMEM;
	}
	if (pipe2(pipe_ends, O_CLOEXEC) < 0) {
		r = -errno;
		snprintf(why, why_size, "ptrace: cannot make a pipe: %s", strerror(errno));
		return r;
	}
	/* Not fork(), which has the kernel write the thread's id to memory that will not be there at the thread's end. */
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		be_born(pf->shim_base, pf->stub_sock, pipe_ends[1], pf->sentry_pid);
	r = pid < 0 ? -errno : 0;
	close(pipe_ends[1]);
	if (r < 0) {
		snprintf(why, why_size, "ptrace: cannot fork a stub process: %s", strerror(-r));
	} else {
		tracee_init(&pf->template, pid, pid, pf->shim_base, &pf->dog);
		r = await_birth(pipe_ends[0], why, why_size);
		if (r == 0)
			r = try_tracing(pf, why, why_size);
		if (r < 0) {
			kill(pid, SIGKILL);
		}
	}
	close(pipe_ends[0]);
	return r;
}
