/*
 * The boot: from the sentry, while it is single-threaded, to the template stub.
 *
 * The sentry forks a child that shares its descriptor table, and its root and working directory.  The child drops what privileges
 * it has, puts the texts and the request slots in their places, measures the host's signal frame and installs the handlers.
 * Then, in the shim's text, it unmaps nearly all that it inherited, installs the filter, whose listener thereby appears in
 * the sentry, and becomes a leader.  As its first request it leaves the shared table behind with every
 * descriptor in it, gets the descriptors that every stub has, and unmaps the rest.  No ptrace, no pidfd_getfd, no exec.
 * So the child is at work while the sentry shuts out the host and mounts the guest's root: boot_begin and boot_finish.
 *
 * Nothing kills a stub whose sentry is dead but the leader's own fault when its listener is gone, which reaches every
 * stub (a parent-death signal does not: a fork clears it; but the template has one as well, for the time before).
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/confine.h"
#include "platform/arch/x86_64/vdso.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/systrap/systrap.h"

#define USER_END 0x7ffffffff000
#define SCRATCH_SIZE 0x20000
#define BOOT_FAILED UINT32_MAX /* shim.S */
#define WAIT_STEP_NS 20000000
#define WAIT_STEPS 500
#define HWCAP2_FSGSBASE_BIT 2
#define HLT 0xf4
#define SHIM_STACK 128 /* bytes the shim may use below the frame */
#define ARCH_SET_GS_CODE 0x1001
#define ARCH_SET_FS_CODE 0x1002

/* In channel 0: what the child tells the sentry. */
struct boot_report {
	_Atomic uint32_t word; /* a futex: 0, BOOT_FAILED, or the listener's descriptor plus one */
	int err;
	pid_t pid; /* the child's, as it sees itself */
	char what[52];
	struct frame_layout frame;
};
_Static_assert(offsetof(struct boot_report, word) == 0 && offsetof(struct boot_report, err) == 4, "shim.S");

static struct boot_report *report;
static uint8_t *scratch; /* the alternate stack on which the frame is measured */

/* ---- in the child ---- */

static NORETURN void fail(const char *what, int err)
{
	snprintf(report->what, sizeof(report->what), "%s", what);
	report->err = err;
	atomic_store(&report->word, BOOT_FAILED);
	futex_wake_shared(&report->word);
	_exit(1);
}

static void check(bool ok, const char *what)
{
	if (!ok)
		fail(what, errno);
}

/* Runs on scratch as the shim will on a channel; where the kernel put things, it will put them there too. */
static void measure_frame(int sig, siginfo_t *info, void *uc_arg)
{
	const struct l_ucontext *uc = uc_arg;
	uint64_t top = (uint64_t)(uintptr_t)scratch + SCRATCH_SIZE;
	uint64_t uc_depth = top - (uint64_t)(uintptr_t)uc, fp_depth = top - uc->uc_mcontext.fpstate;
	const uint8_t *fp = (const uint8_t *)(uintptr_t)uc->uc_mcontext.fpstate;
	struct frame_layout *f = &report->frame;
	uint64_t size;

	(void)sig;
	(void)info;
	if (!fp || uc_depth > SYSTRAP_CHANNEL_SIZE / 4 || fp_depth > SYSTRAP_FRESH_SIZE || fp_depth >= uc_depth ||
	    !page_up(max_of(uc_depth + sizeof(uint64_t) + SHIM_STACK, (uint64_t)L_MINSIGSTKSZ), &size))
		return;
	memcpy(&f->sw, fp + XSTATE_SOFTWARE_OFF, sizeof(f->sw));
	f->mxcsr_mask = xstate_mxcsr_mask();
	if (f->sw.magic1 != XSTATE_MAGIC1 || f->sw.xstate_size + sizeof(uint32_t) > fp_depth ||
	    f->sw.xstate_size < XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE)
		return;
	f->uc_flags = uc->uc_flags;
	f->uc_off = (uint32_t)(CH_HEADER_SIZE + size - uc_depth);
	f->fpstate_off = (uint32_t)(CH_HEADER_SIZE + size - fp_depth);
	f->second = (uint32_t)size;
	f->channel_size = (uint32_t)(CH_HEADER_SIZE + 2 * size);
}

static void set_handler(int sig, uint64_t handler, uint64_t restorer)
{
	struct l_sigaction sa = {
		.handler = handler,
		.flags = L_SA_SIGINFO | L_SA_ONSTACK | L_SA_RESTORER,
		.restorer = restorer,
		.mask = UINT64_MAX,
	};

	check(syscall(SYS_rt_sigaction, sig, &sa, NULL, L_SIGSET_SIZE) == 0, "rt_sigaction");
}

static void block_signals(uint64_t mask)
{
	check(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, L_SIGSET_SIZE) == 0, "rt_sigprocmask");
}

/* libc's restorer is private: any code that makes an rt_sigreturn will do, and the shim's is in its place by now. */
static void measure(uint64_t restorer)
{
	stack_t ss = {.ss_size = SCRATCH_SIZE, .ss_flags = (int)L_SS_AUTODISARM};

	scratch = mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(scratch != MAP_FAILED, "mmap");
	ss.ss_sp = scratch;
	check(sigaltstack(&ss, NULL) == 0, "sigaltstack");
	set_handler(SYSTRAP_KICK, (uint64_t)(uintptr_t)measure_frame, restorer);
	block_signals(~(1ull << (SYSTRAP_KICK - 1)));
	check(syscall(SYS_tgkill, getpid(), gettid(), SYSTRAP_KICK) == 0, "tgkill");
	block_signals(UINT64_MAX);
	if (report->frame.channel_size == 0)
		fail("the host's signal frame has an unknown form", EINVAL);
}

/* libc registered the thread's restartable sequences in memory that is about to go. */
static void unregister_rseq(void)
{
	static const uint32_t sizes[] = {32, 33, 64, 128}; /* the first is what every libc so far has used */
	uint8_t *thread_pointer, *area;

	if (__rseq_size == 0)
		return;
	__asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
	area = thread_pointer + __rseq_offset;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (syscall(SYS_rseq, area, sizes[i], RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0)
			return;
	}
	fail("rseq", errno);
}

static void place_text(uint64_t base)
{
	uint8_t *at = (uint8_t *)(uintptr_t)base;
	size_t size = (size_t)(__stop_systrap_shim - systrap_text);

	if (&systrap_text[0] != &__start_systrap_shim[0] || size > SYSTRAP_LEADER_OFF)
		fail("the shim's size", EINVAL);
	check(mmap(at, SYSTRAP_TEXT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at,
	      "mmap of the shim");
	memset(at, HLT, SYSTRAP_TEXT_SIZE);
	memcpy(at, systrap_text, size);
	memcpy(at + SYSTRAP_LEADER_OFF, systrap_leader_text, (size_t)(systrap_leader_text_end - systrap_leader_text));
	check(mprotect(at, SYSTRAP_TEXT_SIZE, PROT_READ | PROT_EXEC) == 0, "mprotect of the shim");
}

static void place_pieces(uint64_t at)
{
	void *page = (void *)(uintptr_t)at;

	check(mmap(page, SYSTRAP_PIECES_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == page,
	      "mmap of the pieces");
	pieces_table_copy(page);
	xstate_fresh((uint8_t *)page + SYSTRAP_FRESH_OFF - SYSTRAP_PIECES_OFF, XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE);
	check(mprotect(page, SYSTRAP_PIECES_SIZE, PROT_READ) == 0, "mprotect of the pieces");
}

static void install_handlers(uint64_t base, bool fsgsbase)
{
	static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SYSTRAP_KICK};
	uint64_t entry = text_addr(base, fsgsbase ? systrap_shim_signal_fsgs : systrap_shim_signal);

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		set_handler(signals[i], entry, text_addr(base, systrap_shim_restorer));
}

/* Channel 0 at an address whose futexes the filter allows; any will do that this process does not use otherwise. */
static uint64_t place_report(struct systrap *st)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint64_t at = channel_addr(i * (SYSTRAP_CHANNEL_COUNT / 16));
		void *want = (void *)(uintptr_t)at;

		if (mmap(want, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, st->pool_fd, 0) ==
		    want)
			return at;
	}
	fail("mmap of a channel", errno);
}

/* The filter, until it is on: in slots that are nobody's yet, so that it can be read when nearly all is unmapped.  Where the sentry,
 * and before that the child, sees it. */
static struct sock_fprog *filter_at(const struct systrap *st)
{
	return (struct sock_fprog *)(void *)&st->slots[st->template->slot + 1];
}

static void write_filter(struct systrap *st)
{
	struct sock_fprog *prog = filter_at(st);

	prog->len = (unsigned short)filter_build((struct sock_filter *)(prog + 1), st->base, st->fsgsbase);
	prog->filter = (struct sock_filter *)(uintptr_t)(slot_addr(st, st->template->slot + 1) + sizeof(*prog));
}

/* What systrap_shim_strip does: all goes but the texts, the slots, the vDSO and what lies above, the report and the stack. */
static void write_last_calls(struct systrap *st)
{
	const uint64_t text_end = st->base + SYSTRAP_PIECES_OFF + SYSTRAP_PIECES_SIZE, slots = st->base + SYSTRAP_REQUESTS_OFF;
	const uint64_t slots_end = slots + SYSTRAP_SLOTS_SIZE, vdso = st->base + SYSTRAP_VDSO_OFF;
	const struct leader_call calls[] = {
		/* They tell where the sentry's thread-local memory is. */
		{.nr = SYS_arch_prctl, .args = {ARCH_SET_FS_CODE, 0}},
		{.nr = SYS_arch_prctl, .args = {ARCH_SET_GS_CODE, 0}},
		unmap_call(0, st->base),
		unmap_call(text_end, slots - text_end),
		unmap_call(slots_end, vdso - slots_end),
		{.nr = SYS_seccomp,
		 .args = {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, slot_addr(st, st->template->slot + 1)}},
	};
	struct request_slot *slot = &st->slots[st->template->slot];

	_Static_assert(ARRAY_SIZE(calls) <= SYSTRAP_REQUEST_MAX, "room for the calls");
	memcpy(slot->calls, calls, sizeof(calls));
	slot->count = ARRAY_SIZE(calls);
}

/* To systrap_shim_strip: the stack goes with the rest. */
static NORETURN void strip(struct systrap *st, uint64_t word)
{
	register uint64_t r14 __asm__("r14") = word, r15 __asm__("r15") = slot_addr(st, st->template->slot);

	__asm__ volatile("jmp *%0" : : "a"(text_addr(st->base, systrap_shim_strip)), "r"(r14), "r"(r15) : "memory");
	__builtin_unreachable();
}

static NORETURN void child(struct systrap *st, pid_t sentry)
{
	struct rlimit no_core = {0, 0};
	void *slots = (void *)(uintptr_t)(st->base + SYSTRAP_REQUESTS_OFF);
	size_t slots_size = SYSTRAP_SLOTS_SIZE;
	uint64_t word;
	int refused;

	block_signals(UINT64_MAX);
	check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "PR_SET_PDEATHSIG");
	if (getppid() != sentry && getppid() != 0) /* 0: it is in another PID namespace, which boot_finish refuses */
		_exit(1);
	check(setrlimit(RLIMIT_CORE, &no_core) == 0, "RLIMIT_CORE");
	/* A session of its own: neither a terminal's signals nor its hangup are for stubs, and the reaper waits for the
	 * process group and for no other children of the sentry's. */
	check(setsid() > 0, "setsid");
	prctl(PR_SET_NAME, "bailey-stub", 0, 0, 0);
	report->pid = getpid();
	unregister_rseq();
	/* For patch.c, and inherited by all stubs.  A process of several threads would wait for all of the host's CPUs (RCU). */
	if (st->pf.patching)
		check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0, "membarrier");
	place_text(st->base);
	place_pieces(st->base + SYSTRAP_PIECES_OFF);
	check(mmap(slots, slots_size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, st->slots_fd, 0) == slots,
	      "mmap of the requests");
	check(vdso_move(st->base + SYSTRAP_VDSO_OFF) == 0, "mremap of the vDSO");
	measure(text_addr(st->base, systrap_shim_restorer));
	word = place_report(st);
	install_handlers(st->base, st->fsgsbase);
	write_filter(st);
	write_last_calls(st);
	errno = -confine_join_network(&refused);
	check(errno == 0, "the network namespace");
	errno = -confine_drop_caps();
	check(errno == 0, "dropping privileges");
	/* process_vm_readv wants it: the loss of capabilities has made us undumpable. */
	check(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0, "PR_SET_DUMPABLE");
	snprintf(report->what, sizeof(report->what), "the filter");
	strip(st, word);
}

/* ---- in the sentry ---- */

/* Can text be rewritten under running threads? */
static bool can_serialise(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
}

/* Both candidates cannot be taken: what is in the way is the stack and what the kernel put beside it. */
static uint64_t free_base(void)
{
	size_t size = SYSTRAP_VDSO_OFF + vdso_size();
	void *want = (void *)(uintptr_t)SYSTRAP_BASE;
	void *got =
		mmap(want, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);

	if (got != MAP_FAILED)
		munmap(got, size);
	return got == want ? SYSTRAP_BASE : SYSTRAP_BASE_2;
}

/* Waits for the child's word.  0, or -errno with the reason in why. */
static int await_report(pid_t pid, char *why, size_t why_size)
{
	for (int i = 0; i < WAIT_STEPS && atomic_load(&report->word) == 0; i++) {
		siginfo_t si = {0};

		futex_wait_shared(&report->word, 0, WAIT_STEP_NS);
		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid && !report->word) {
			snprintf(why, why_size, "the template process died while it was being made");
			return -ECHILD;
		}
	}
	switch (atomic_load(&report->word)) {
	case 0:
		snprintf(why, why_size, "the template process does not answer");
		return -ETIMEDOUT;
	case BOOT_FAILED:
		if (report->err == EBUSY)
			snprintf(why, why_size, "%s", foreign_listener_reason);
		else
			snprintf(why, why_size, "the template process failed: %s: %s", report->what,
				 strerror(report->err));
		return -report->err;
	default:
		return 0;
	}
}

/* How the template becomes what all stubs are.  nothing: a descriptor that cannot be mapped. */
static int strip_template(struct systrap *st, int nothing, char *why, size_t why_size)
{
	struct stub *s = st->template;
	const struct rlimit64 limit = {SYSTRAP_FD_LIMIT, SYSTRAP_FD_LIMIT};
	const uint64_t vdso_end = st->base + SYSTRAP_VDSO_OFF + vdso_size();
	const uint64_t listener = (uint64_t)st->listener_fd, pool = (uint64_t)st->pool_fd;
	/* None of the numbers 0 to 2 is ever free: files.c. */
	const struct leader_call calls[] = {
		{.nr = SYS_close_range, .args = {listener, listener, CLOSE_RANGE_UNSHARE}},
		{.nr = SYS_dup2, .args = {(uint64_t)nothing, SYSTRAP_NO_FD}},
		{.nr = SYS_dup2, .args = {SYSTRAP_NO_FD, SYSTRAP_FD}},
		{.nr = SYS_dup2, .args = {pool, SYSTRAP_OWN_FD}},
		close_call(SYSTRAP_SOCKET_FD),
		unmap_call(vdso_end, USER_END - vdso_end),
	};
	static const char *const names[] = {"close_range", "descriptor 2", "descriptor 1", "descriptor 0",
					    "close_range", "munmap"};
	long result = 0;
	int done;

	_Static_assert(ARRAY_SIZE(calls) <= SYSTRAP_REQUEST_MAX && ARRAY_SIZE(calls) == ARRAY_SIZE(names), "one request");
	if (prlimit64(s->as.host_pid, RLIMIT_NOFILE, &limit, NULL) < 0) {
		int r = -errno;

		snprintf(why, why_size, "the template process's RLIMIT_NOFILE cannot be set: %s", strerror(-r));
		return r;
	}
	done = leader_request(s, calls, ARRAY_SIZE(calls), -1, &result);
	if (done == ARRAY_SIZE(calls))
		return 0;
	if (done < 0)
		result = done;
	snprintf(why, why_size, "the template process failed: %s: %s", names[done < 0 ? 0 : done], strerror((int)-result));
	return (int)result;
}

static int adopt(struct systrap *st, char *why, size_t why_size)
{
	int r, nothing;

	st->listener_fd = (int)atomic_load(&report->word) - 1;
	st->frame = report->frame;
	if (report->pid != st->template->as.host_pid) {
		snprintf(why, why_size, "children are in another pid namespace than the sentry");
		return -EINVAL;
	}
	r = listener_open(st);
	if (r == 0)
		r = leader_hello(st->template);
	if (r < 0) {
		snprintf(why, why_size, "no notification from the template process: %s", strerror(-r));
		return r;
	}
	st->pf.vdso = vdso_ehdr(st->base + SYSTRAP_VDSO_OFF);
	nothing = eventfd(0, EFD_CLOEXEC);
	if (nothing < 0) {
		r = -errno;
		snprintf(why, why_size, "cannot make an event descriptor: %s", strerror(-r));
		return r;
	}
	r = strip_template(st, nothing, why, why_size);
	close(nothing);
	return r;
}

int boot_begin(struct systrap *st, char *why, size_t why_size)
{
	const pid_t sentry = getpid();
	pid_t pid;
	int r;

	report = (struct boot_report *)(void *)st->channels;
	st->base = free_base();
	st->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
	st->pf.patching = st->fsgsbase && can_serialise();
	r = stub_new(st, &st->template);
	if (r < 0) {
		snprintf(why, why_size, "out of memory");
		return r;
	}
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		child(st, sentry);
	if (pid < 0) {
		r = -errno;
		snprintf(why, why_size, "cannot fork: %s", strerror(-r));
		stub_free(st->template);
		return r;
	}
	st->pgid = st->template->as.host_pid = pid;
	register_stub(st, st->template);
	return 0;
}

int boot_finish(struct systrap *st, char *why, size_t why_size)
{
	const pid_t pid = st->template->as.host_pid;
	int r = await_report(pid, why, why_size);

	if (r == 0)
		r = adopt(st, why, why_size);
	if (r == 0)
		return 0;
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED);
	list_del_init(&st->template->node);
	stub_free(st->template);
	return r;
}
