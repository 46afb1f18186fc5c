/*
 * The stubs' seccomp filter, by hand: libseccomp knows no instruction pointers.  See the head of shim.S for what the
 * two texts are.  What a stub can make the host do is exactly what this file lets through:
 *
 *     not x86-64 (int 0x80, sysenter)   trap: without this test first, int 0x80 would be judged by 64-bit numbers
 *     from the leader's page            the memory calls below, with mmap of a private file mapping by SYSTRAP_FD; that this is
 *                                       nothing again (dup2); close of what guest threads receive files by;
 *                                       MADV_DONTFORK for a channel; munmap of all that is below GUEST_CEILING; else notify
 *                                       the sentry, which lets a leader do what it asked for, and nobody else
 *     from the shim's pages             rt_sigreturn, exit, sched_yield, FUTEX_WAIT without timeout and FUTEX_WAKE on a channel's
 *                                       address, rseq on guest memory with a bounded length and no flag but that to
 *                                       unregister, arch_prctl(ARCH_SET_FS or _GS) where there is no FSGSBASE;
 *                                       munmap, mprotect, mremap, madvise(MADV_DONTNEED or _FREE) and mmap of private
 *                                       anonymous memory or of a private file mapping by SYSTRAP_FILE_FD, in guest memory
 *                                       (context_host_call); munmap of windows, and mmap there for reading of a private
 *                                       mapping by SYSTRAP_FILE_FD; recvmsg from SYSTRAP_SOCKET_FD, close of SYSTRAP_FILE_FD
 *     all else                          trap: SIGSYS, the guest's system call
 *
 * Two numbers no filter sees: Linux 6.14 takes uretprobe (335), and since 6.18 uprobe (336), past all filters.  Made by
 * anything but a uprobe's trampoline they do nothing but raise SIGILL and return ENXIO, respectively.
 */
#include <linux/audit.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "platform/systrap/systrap.h"

#define FUTEX_WAIT_OP 0
#define FUTEX_WAKE_OP_NR 1
#define ARCH_SET_GS_NR 0x1001
#define ARCH_SET_FS_NR 0x1002
#define RSEQ_FLAG_UNREGISTER_NR 1
#define RSEQ_SIZE_MAX 256 /* as platform.c's */
#define CHANNELS_END (SYSTRAP_CHANNELS + (uint64_t)SYSTRAP_CHANNEL_COUNT * SYSTRAP_CHANNEL_SIZE)
#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

#define OFF_NR offsetof(struct seccomp_data, nr)
#define OFF_ARCH offsetof(struct seccomp_data, arch)
#define OFF_IP offsetof(struct seccomp_data, instruction_pointer)
#define OFF_ARG(i) (offsetof(struct seccomp_data, args) + 8 * (size_t)(i))
#define HIGH(off) ((off) + 4) /* little-endian */

struct program {
	struct sock_filter *f;
	unsigned n;
	uint32_t otherwise; /* what becomes of a call that a rule does not let through */
};

static void emit(struct program *p, uint16_t code, uint64_t k, uint8_t jt, uint8_t jf)
{
	ASSERT(p->n < FILTER_MAX);
	p->f[p->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = (uint32_t)k};
}

static void load(struct program *p, size_t off)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, off, 0, 0);
}

static void ret(struct program *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Refuses (p->otherwise) unless the accumulator compares so with k. */
static void require(struct program *p, uint16_t comparison, uint64_t k)
{
	emit(p, (uint16_t)(BPF_JMP | comparison | BPF_K), k, 1, 0);
	ret(p, p->otherwise);
}

/* Refuses unless the accumulator is below k. */
static void require_less(struct program *p, uint64_t k)
{
	emit(p, BPF_JMP | BPF_JGE | BPF_K, k, 0, 1);
	ret(p, p->otherwise);
}

/* Does action if the accumulator is k, else goes on. */
static void on_equal(struct program *p, uint64_t k, uint32_t action)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
	ret(p, action);
}

/* From here to skip_ends_here it is nr, the number in the accumulator; else that part is skipped. */
static unsigned skip_unless(struct program *p, uint64_t nr)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
	return p->n - 1;
}

static void skip_ends_here(struct program *p, unsigned from)
{
	ASSERT(p->n - from - 1 <= UINT8_MAX);
	p->f[from].jf = (uint8_t)(p->n - from - 1);
}

/* Refuses unless it is guest memory that begins at one argument and is as long as another says; is_guest_range in C. */
static void require_guest_range(struct program *p, unsigned addr, unsigned len)
{
	load(p, HIGH(OFF_ARG(len)));
	require(p, BPF_JEQ, 0);
	load(p, HIGH(OFF_ARG(addr)));
	require_less(p, GUEST_CEILING >> 32);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	load(p, OFF_ARG(addr));
	require(p, BPF_JGE, GUEST_MIN);
	load(p, OFF_ARG(len));
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(p, OFF_ARG(addr));
	emit(p, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
	emit(p, BPF_JMP | BPF_JGE | BPF_X, 0, 1, 0); /* else the sum is beyond 32 bits */
	ret(p, p->otherwise);
}

/* From here to windows_end_here what begins at one argument and is as long as another says lies where windows are, all of it;
 * else that part is skipped.  is_windows_range in C. */
#define WINDOWS_TESTS 5
static void skip_unless_windows(struct program *p, unsigned addr, unsigned len, unsigned from[WINDOWS_TESTS])
{
	load(p, HIGH(OFF_ARG(addr)));
	from[0] = skip_unless(p, (uint64_t)SYSTRAP_WINDOWS >> 32);
	load(p, HIGH(OFF_ARG(len)));
	from[1] = skip_unless(p, 0);
	load(p, OFF_ARG(addr));
	from[2] = p->n;
	emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)SYSTRAP_WINDOWS, 0, 0);
	load(p, OFF_ARG(len));
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	emit(p, BPF_LD | BPF_IMM, SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS, 0, 0);
	from[3] = p->n;
	emit(p, BPF_JMP | BPF_JGE | BPF_X, 0, 0, 0);
	/* So there is no carry: it has to begin that much below the end. */
	emit(p, BPF_LD | BPF_IMM, (uint32_t)SYSTRAP_WINDOWS_END, 0, 0);
	emit(p, BPF_ALU | BPF_SUB | BPF_X, 0, 0, 0);
	emit(p, BPF_ST, 0, 0, 0);
	load(p, OFF_ARG(addr));
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	emit(p, BPF_LD | BPF_MEM, 0, 0, 0);
	from[4] = p->n;
	emit(p, BPF_JMP | BPF_JGE | BPF_X, 0, 0, 0);
}

static void windows_end_here(struct program *p, const unsigned from[WINDOWS_TESTS])
{
	for (unsigned i = 0; i < WINDOWS_TESTS; i++)
		skip_ends_here(p, from[i]);
}

/* Refuses unless arg points into a channel. */
static void require_channel(struct program *p, unsigned arg)
{
	load(p, HIGH(OFF_ARG(arg)));
	require(p, BPF_JEQ, (uint64_t)SYSTRAP_CHANNELS >> 32);
	load(p, OFF_ARG(arg));
	require(p, BPF_JGE, (uint32_t)SYSTRAP_CHANNELS);
	require_less(p, (uint32_t)CHANNELS_END);
}

/* Refuses unless arg is below k. */
static void require_arg_less(struct program *p, unsigned arg, uint64_t k)
{
	load(p, HIGH(OFF_ARG(arg)));
	require(p, BPF_JEQ, 0);
	load(p, OFF_ARG(arg));
	require_less(p, k);
}

/* Calls that change guest memory and nothing else, mmap of a private file mapping by descriptor fd among them. */
static void judge_memory_calls(struct program *p, unsigned fd)
{
	unsigned from = skip_unless(p, SYS_munmap), windows[WINDOWS_TESTS];

	skip_unless_windows(p, 0, 1, windows);
	ret(p, SECCOMP_RET_ALLOW);
	windows_end_here(p, windows);
	require_guest_range(p, 0, 1);
	ret(p, SECCOMP_RET_ALLOW);
	skip_ends_here(p, from);

	from = skip_unless(p, SYS_mprotect);
	require_guest_range(p, 0, 1);
	require_arg_less(p, 2, PROT_ALL + 1);
	ret(p, SECCOMP_RET_ALLOW);
	skip_ends_here(p, from);

	from = skip_unless(p, SYS_madvise);
	require_guest_range(p, 0, 1);
	load(p, OFF_ARG(2)); /* the kernel takes an int */
	on_equal(p, MADV_DONTNEED, SECCOMP_RET_ALLOW);
	on_equal(p, MADV_FREE, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);

	from = skip_unless(p, SYS_mremap);
	require_guest_range(p, 0, 1);
	require_guest_range(p, 0, 2);
	require_guest_range(p, 4, 2);
	require_arg_less(p, 3, (MREMAP_MAYMOVE | MREMAP_FIXED) + 1);
	on_equal(p, 0, SECCOMP_RET_ALLOW);
	on_equal(p, MREMAP_MAYMOVE | MREMAP_FIXED, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);

	from = skip_unless(p, SYS_mmap);
	skip_unless_windows(p, 0, 1, windows);
	require_arg_less(p, 2, PROT_READ + 1);
	load(p, HIGH(OFF_ARG(3)));
	require(p, BPF_JEQ, 0);
	load(p, OFF_ARG(3));
	require(p, BPF_JEQ, MAP_PRIVATE | MAP_FIXED);
	load(p, OFF_ARG(4));
	on_equal(p, fd, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	windows_end_here(p, windows);
	require_guest_range(p, 0, 1);
	require_arg_less(p, 2, PROT_ALL + 1);
	load(p, HIGH(OFF_ARG(3)));
	require(p, BPF_JEQ, 0);
	load(p, OFF_ARG(3));
	emit(p, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)MAP_NORESERVE, 0, 0);
	on_equal(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, SECCOMP_RET_ALLOW);
	on_equal(p, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, SECCOMP_RET_ALLOW);
	require(p, BPF_JEQ, MAP_PRIVATE | MAP_FIXED);
	load(p, OFF_ARG(4)); /* the kernel takes an int */
	on_equal(p, fd, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
}

/* The same rules in C, for the sentry, which must not ask the shim for what would trap. */
static bool is_guest_range(uint64_t addr, uint64_t len)
{
	return addr >= GUEST_MIN && addr < GUEST_CEILING && len <= UINT32_MAX && (uint32_t)addr + len <= UINT32_MAX;
}

static bool is_windows_range(uint64_t addr, uint64_t len)
{
	return addr >= SYSTRAP_WINDOWS && len <= SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS && addr <= SYSTRAP_WINDOWS_END - len;
}

static bool lets_memory_call(const struct leader_call *call, unsigned fd)
{
	const uint64_t *a = call->args, flags = a[3] & ~(uint64_t)MAP_NORESERVE;

	switch (call->nr) {
	case SYS_munmap:
		return is_guest_range(a[0], a[1]) || is_windows_range(a[0], a[1]);
	case SYS_mprotect:
		return is_guest_range(a[0], a[1]) && a[2] <= PROT_ALL;
	case SYS_madvise:
		return is_guest_range(a[0], a[1]) && (a[2] == MADV_DONTNEED || a[2] == MADV_FREE);
	case SYS_mremap:
		return is_guest_range(a[0], a[1]) && is_guest_range(a[0], a[2]) && is_guest_range(a[4], a[2]) &&
		       (a[3] == 0 || a[3] == (MREMAP_MAYMOVE | MREMAP_FIXED));
	case SYS_mmap:
		if (is_windows_range(a[0], a[1]))
			return a[2] <= PROT_READ && a[3] == (MAP_PRIVATE | MAP_FIXED) && a[4] == fd;
		return is_guest_range(a[0], a[1]) && a[2] <= PROT_ALL &&
		       (flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) ||
			flags == (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE) ||
			(flags == (MAP_PRIVATE | MAP_FIXED) && a[4] == fd));
	default:
		return false;
	}
}

bool filter_lets_shim(const struct leader_call *call)
{
	return lets_memory_call(call, SYSTRAP_FILE_FD);
}

bool filter_lets_leader(const struct leader_call *call)
{
	const uint64_t *a = call->args;

	if (call->nr == SYS_dup2)
		return a[0] == SYSTRAP_NO_FD && a[1] == SYSTRAP_FD;
	if (call->nr == SYS_close_range)
		return (a[0] == SYSTRAP_SOCKET_FD || a[0] == SYSTRAP_FILE_FD) && a[1] == UINT32_MAX && a[2] == 0;
	if (call->nr == SYS_munmap && a[0] == 0 && a[1] == GUEST_CEILING)
		return true;
	if (call->nr == SYS_madvise && a[2] == MADV_DONTFORK)
		return a[0] >= SYSTRAP_CHANNELS && a[0] < CHANNELS_END && a[1] <= SYSTRAP_CHANNEL_SIZE;
	return lets_memory_call(call, SYSTRAP_FD);
}

/* munmap of all that is guest memory lets go through; goes on if it is not that. */
static void judge_unmap_all(struct program *p)
{
	static const uint64_t args[2] = {0, GUEST_CEILING};
	unsigned from[4], n = 0;

	for (unsigned i = 0; i < 2; i++) {
		load(p, OFF_ARG(i));
		from[n++] = skip_unless(p, (uint32_t)args[i]);
		load(p, HIGH(OFF_ARG(i)));
		from[n++] = skip_unless(p, args[i] >> 32);
	}
	ret(p, SECCOMP_RET_ALLOW);
	while (n > 0)
		skip_ends_here(p, from[--n]);
}

/* The rest of the program for a call from the leader. */
static void judge_leader_call(struct program *p)
{
	unsigned from, other;

	p->otherwise = SECCOMP_RET_USER_NOTIF;
	load(p, OFF_NR);
	from = skip_unless(p, SYS_dup2); /* the kernel takes unsigned ints here, too */
	load(p, OFF_ARG(0));
	require(p, BPF_JEQ, SYSTRAP_NO_FD);
	load(p, OFF_ARG(1));
	on_equal(p, SYSTRAP_FD, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
	from = skip_unless(p, SYS_close_range);
	load(p, OFF_ARG(1));
	require(p, BPF_JEQ, UINT32_MAX);
	load(p, OFF_ARG(2));
	require(p, BPF_JEQ, 0);
	load(p, OFF_ARG(0));
	on_equal(p, SYSTRAP_SOCKET_FD, SECCOMP_RET_ALLOW);
	on_equal(p, SYSTRAP_FILE_FD, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
	from = skip_unless(p, SYS_madvise);
	load(p, OFF_ARG(2)); /* the kernel takes an int */
	other = skip_unless(p, MADV_DONTFORK);
	require_channel(p, 0);
	require_arg_less(p, 1, SYSTRAP_CHANNEL_SIZE + 1);
	ret(p, SECCOMP_RET_ALLOW);
	skip_ends_here(p, other);
	load(p, OFF_NR);
	skip_ends_here(p, from);
	from = skip_unless(p, SYS_munmap);
	judge_unmap_all(p);
	load(p, OFF_NR);
	skip_ends_here(p, from);
	judge_memory_calls(p, SYSTRAP_FD);
	ret(p, p->otherwise);
	p->otherwise = SECCOMP_RET_TRAP;
}

/* The rest of the program for a call from the shim: nr is in the accumulator. */
static void judge_shim_call(struct program *p, bool fsgsbase)
{
	unsigned from;

	on_equal(p, SYS_rt_sigreturn, SECCOMP_RET_ALLOW);
	on_equal(p, SYS_exit, SECCOMP_RET_ALLOW);
	on_equal(p, SYS_sched_yield, SECCOMP_RET_ALLOW);
	if (!fsgsbase) {
		from = skip_unless(p, SYS_arch_prctl);
		load(p, OFF_ARG(0));
		on_equal(p, ARCH_SET_FS_NR, SECCOMP_RET_ALLOW);
		on_equal(p, ARCH_SET_GS_NR, SECCOMP_RET_ALLOW);
		ret(p, p->otherwise);
		skip_ends_here(p, from);
	}
	from = skip_unless(p, SYS_rseq);
	load(p, HIGH(OFF_ARG(0)));
	require_less(p, GUEST_CEILING >> 32);
	load(p, OFF_ARG(1)); /* the kernel takes a u32, and an int for the flags */
	require_less(p, RSEQ_SIZE_MAX + 1);
	load(p, OFF_ARG(2));
	on_equal(p, 0, SECCOMP_RET_ALLOW);
	on_equal(p, RSEQ_FLAG_UNREGISTER_NR, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
	from = skip_unless(p, SYS_recvmsg);
	load(p, OFF_ARG(0)); /* the kernel takes ints */
	require(p, BPF_JEQ, SYSTRAP_SOCKET_FD);
	require_channel(p, 1);
	load(p, OFF_ARG(2));
	on_equal(p, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
	from = skip_unless(p, SYS_close);
	load(p, OFF_ARG(0));
	on_equal(p, SYSTRAP_FILE_FD, SECCOMP_RET_ALLOW);
	ret(p, p->otherwise);
	skip_ends_here(p, from);
	judge_memory_calls(p, SYSTRAP_FILE_FD);
	require(p, BPF_JEQ, SYS_futex);
	require_channel(p, 0);
	load(p, OFF_ARG(1)); /* the kernel takes an int */
	on_equal(p, FUTEX_WAKE_OP_NR, SECCOMP_RET_ALLOW);
	require(p, BPF_JEQ, FUTEX_WAIT_OP);
	load(p, OFF_ARG(3)); /* no timeout, so that restart_syscall need not be allowed */
	require(p, BPF_JEQ, 0);
	load(p, HIGH(OFF_ARG(3)));
	require(p, BPF_JEQ, 0);
	ret(p, SECCOMP_RET_ALLOW);
}

unsigned filter_build(struct sock_filter *f, uint64_t base, bool fsgsbase)
{
	struct program p = {.f = f, .otherwise = SECCOMP_RET_TRAP};
	uint32_t shim = (uint32_t)base, leader = shim + SYSTRAP_LEADER_OFF, end = shim + SYSTRAP_TEXT_SIZE;
	unsigned from;

	load(&p, OFF_ARCH);
	require(&p, BPF_JEQ, AUDIT_ARCH_X86_64);
	load(&p, HIGH(OFF_IP));
	require(&p, BPF_JEQ, base >> 32);
	load(&p, OFF_IP);
	require(&p, BPF_JGE, shim);
	require_less(&p, end);
	emit(&p, BPF_JMP | BPF_JGE | BPF_K, leader, 1, 0);
	from = p.n; /* farther than a condition can jump */
	emit(&p, BPF_JMP | BPF_JA, 0, 0, 0);
	judge_leader_call(&p);
	p.f[from].k = p.n - from - 1;
	load(&p, OFF_NR);
	judge_shim_call(&p, fsgsbase);
	return p.n;
}
