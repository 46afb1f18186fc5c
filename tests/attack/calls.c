/* System calls aimed at the memory above the ceiling, at host processes, and at features that a sandbox must refuse. */
#include "attack.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static const uintptr_t targets[] = {SYSTRAP_BASE,
				    SYSTRAP_BASE + 0x1000,
				    SYSTRAP_BASE + SYSTRAP_LEADER_OFF,
				    SYSTRAP_BASE + SYSTRAP_PIECES_OFF,
				    SYSTRAP_BASE_2,
				    SYSTRAP_BASE + SYSTRAP_REQUESTS_OFF,
				    SYSTRAP_BASE + SYSTRAP_WAITERS_OFF,
				    SYSTRAP_BASE + SYSTRAP_TRAMPOLINES_OFF,
				    SYSTRAP_BASE + SYSTRAP_VDSO_OFF,
				    SYSTRAP_CHANNELS,
				    SYSTRAP_CHANNELS + SYSTRAP_CHANNEL_SIZE,
				    SYSTRAP_WINDOWS,
				    SYSTRAP_RECORDS,
				    PTRACE_TOP - 4096,
				    PTRACE_TOP - 8192,
				    CEILING,
				    USER_END - 4096};

/* Whatever the call says, it must not work on that memory. */
#define REFUSED(call)                                                                                                  \
	({                                                                                                             \
		long r_ = (long)(call);                                                                                \
		r_ == -1 ? true : H_FAIL("%s: not refused, %ld\n", #call, r_);                                         \
	})

TEST(mappings)
{
	char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		void *t = (void *)targets[i];

		REFUSED(mmap(t, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		REFUSED(mmap(t, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0));
		REFUSED(mprotect(t, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
		REFUSED(mremap(t, 4096, 8192, MREMAP_MAYMOVE));
		REFUSED(mremap(t, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, p));
		REFUSED(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, t));
		REFUSED(mremap(t, 0, 4096, MREMAP_MAYMOVE));
		REFUSED(madvise(t, 4096, MADV_DONTNEED));
		REFUSED(madvise(t, 4096, MADV_DOFORK));
		REFUSED(mlock(t, 4096));
		REFUSED(msync(t, 4096, MS_SYNC));
		REFUSED(mincore(t, 4096, (unsigned char *)p));
		REFUSED(mincore(p, 4096, t)); /* which the host writes to */
		REFUSED(mincore(p, 65536, (unsigned char *)CEILING - 8));
		REFUSED(madvise(t, 4096, 102 /* MADV_GUARD_INSTALL */));
		REFUSED(prctl(0x53564d41 /* PR_SET_VMA */, 0, t, 4096, "mine"));
		munmap(t, 4096); /* nothing of the guest's lies there: either answer is right */
		/* A range that begins in guest memory and runs on. */
		munmap((void *)(CEILING - 4096), targets[i] - CEILING + 8192);
		REFUSED(mprotect((void *)(CEILING - 4096), targets[i] - CEILING + 8192, PROT_NONE));
		still_alive();
	}
	/* A hint is only a hint. */
	void *m = mmap((void *)CEILING, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED && (uintptr_t)m < CEILING);
	munmap(NULL, 0x7fffffffffff); /* is refused, or ends this process: so in a child */
	pid_t pid = h_fork();
	if (pid == 0) {
		munmap((void *)0x10000, CEILING - 0x10000);
		_exit(0);
	}
	finish_off(pid, 5000);
	still_alive();
}

TEST(wrapping_lengths)
{
	static const size_t lengths[] = {0xfffffffffffff000, 0x8000000000000000, 0x7ffffffff000, 0xffff800000000000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		REFUSED(munmap((void *)0x10000000, lengths[i]));
		REFUSED(mprotect((void *)0x10000000, lengths[i], PROT_READ));
		REFUSED(mmap((void *)0x10000000, lengths[i], PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		REFUSED(mremap((void *)0x10000000, lengths[i], 4096, 0));
	}
	still_alive();
}

TEST(buffers)
{
	char buf[64];
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY), p[2];
	struct iovec mine = {buf, sizeof(buf)};

	REQUIRE(pipe2(p, O_NONBLOCK) == 0);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		void *t = (void *)targets[i];
		struct iovec there = {t, 64};

		CHECK_ERR(read(zero, t, 64), EFAULT);
		CHECK_ERR(write(p[1], t, 64), EFAULT);
		CHECK_ERR(readv(zero, &there, 1), EFAULT);
		CHECK_ERR(writev(p[1], &there, 1), EFAULT);
		CHECK_ERR(syscall(SYS_getcwd, t, 64), EFAULT);
		CHECK_ERR(syscall(SYS_open, t, O_RDONLY), EFAULT);
		CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_REALTIME, t), EFAULT);
		CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, t, NULL, 8), EFAULT);
		CHECK_ERR(syscall(SYS_futex, t, FUTEX_WAKE, 1, NULL, NULL, 0) == 0 ? (errno = EFAULT, -1) : -1, EFAULT);
		CHECK_ERR(syscall(SYS_futex, t, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
		CHECK_ERR(syscall(SYS_futex, buf, FUTEX_WAKE_OP, 1, 1, t, 0), EFAULT);
		REFUSED(process_vm_readv(getpid(), &mine, 1, &there, 1, 0));
		REFUSED(process_vm_writev(getpid(), &mine, 1, &there, 1, 0));
		REFUSED(prctl(PR_SET_MM, PR_SET_MM_START_BRK, t, 0, 0));
	}
	/* The edge: a buffer that ends above the ceiling. */
	char *edge = mmap((void *)(CEILING - 4096), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (edge != MAP_FAILED) {
		ssize_t n = read(zero, edge, 8192);
		CHECK(n == 4096 || (n == -1 && errno == EFAULT));
		n = write(null, edge, 8192); /* the null device reads nothing */
		CHECK(n == 8192 || n == 4096 || (n == -1 && errno == EFAULT));
		munmap(edge, 4096);
	}
	close(zero);
	close(null);
	close(p[0]);
	close(p[1]);
	still_alive();
}

TEST(set_child_tid_above)
{
	/* Words that the kernel writes on its own account when a thread ends. */
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			struct {
				void *next;
				long offset;
				void *pending;
			} robust = {(void *)targets[i], 0, (void *)targets[i]};

			syscall(SYS_set_tid_address, targets[i]);
			syscall(SYS_set_robust_list, &robust, sizeof(robust));
			syscall(SYS_set_robust_list, (void *)targets[i], 24);
			syscall(SYS_rseq, (void *)targets[i], 32, 0, 0x53053053);
			syscall(SYS_arch_prctl, 0x1001, targets[i]);
			_exit(0);
		}
		CHECK(finish_off(pid, 10000) >= 0);
	}
	still_alive();
}

TEST(futex_abuse)
{
	static int words[64];
	struct timespec ns = {0, 1000};

	for (int op = 0; op < 128; op++)
		for (int kind = 0; kind < 3; kind++) {
			/* Whatever they are; with a time limit in the place where most operations have one. */
			pid_t pid = -1;

			if ((op & 0x7f) > 20 && kind)
				continue;
			syscall(SYS_futex, words, op | (kind == 1 ? FUTEX_CLOCK_REALTIME : 0), kind == 2 ? 0x7fffffff : 1, &ns,
				words + 1, ~0u);
			(void)pid;
		}
	for (int i = 0; i < 1000; i++)
		syscall(SYS_futex, words, FUTEX_REQUEUE, 0x7fffffff, (void *)0x7fffffff, words, 0);
	still_alive();
}

TEST(other_processes)
{
	/* Numbers of host processes mean nothing here. */
	static const int pids[] = {2, 3, 100, 1000};

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
		if (kill(pids[i], 0) == 0)
			h_say("  there is a process %d inside\n", pids[i]);
	if (victim() != 0x3ffff0)
		CHECK_ERR(kill(victim(), SIGKILL), ESRCH);
	CHECK_ERR(syscall(SYS_tgkill, victim(), victim(), SIGKILL), ESRCH);
	CHECK_ERR(syscall(SYS_tkill, victim(), SIGKILL), ESRCH);
	REFUSED(syscall(SYS_pidfd_open, victim(), 0));
	REFUSED(ptrace(PTRACE_ATTACH, victim(), NULL, NULL));
	REFUSED(ptrace(PTRACE_SEIZE, victim(), NULL, NULL));
	still_alive();
}

TEST(dangerous_calls)
{
	static const struct {
		int nr;
		const char *name;
	} calls[] = {{SYS_mount, "mount"},	       {SYS_umount2, "umount2"},      {SYS_pivot_root, "pivot_root"},
		     {SYS_reboot, "reboot"},	       {SYS_init_module, "init_module"}, {SYS_finit_module, "finit_module"},
		     {SYS_delete_module, "delete_module"}, {SYS_kexec_load, "kexec_load"}, {SYS_bpf, "bpf"},
		     {SYS_perf_event_open, "perf_event_open"}, {SYS_userfaultfd, "userfaultfd"},
		     {SYS_io_uring_setup, "io_uring_setup"}, {SYS_iopl, "iopl"}, {SYS_ioperm, "ioperm"},
		     {SYS_modify_ldt, "modify_ldt"},   {SYS_swapon, "swapon"},	      {SYS_open_by_handle_at, "open_by_handle_at"},
		     {SYS_add_key, "add_key"},	       {SYS_setns, "setns"},	      {SYS_acct, "acct"},
		     {SYS_settimeofday, "settimeofday"}, {SYS_sethostname, "sethostname"}};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long r = syscall(calls[i].nr, 8, 8, 8, 8, 8, 8);

		if (r != -1)
			H_FAIL("%s: not refused, %ld\n", calls[i].name, r);
	}
	REFUSED(syscall(SYS_arch_prctl, 0x1002, 0x7fff00000000ul + (1ul << 47))); /* not canonical */
	still_alive();
}

/* Every number with rubbish: the child may do as it likes but not take anybody along. */
TEST(every_call_with_rubbish)
{
	static const uint64_t rubbish[] = {0, 1, ~0ull, 0x7fff00000000ull, 0x8000000000000000ull, 0x7fffffff, 0x10000};

	for (int nr = 0; nr < 470; nr++) {
		pid_t pid;

		if (nr == 336)
			nr = 424;
		pid = h_fork();
		if (pid == 0) {
			/* In a group of its own, since kill(0) and kill(-1) are among them. */
			setpgid(0, 0);
			if (nr == SYS_kill || nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone || nr == SYS_pause)
				_exit(0);
			alarm(1);
			for (size_t i = 0; i < 7; i++)
				syscall(nr, rubbish[i], rubbish[(i + 1) % 7], rubbish[(i * 3) % 7], rubbish[(i + 2) % 7],
					rubbish[(i * 2) % 7], rubbish[i]);
			_exit(0);
		}
		if (!CHECK(finish_off(pid, 100) >= 0))
			h_say("  number %d\n", nr);
	}
	still_alive();
}
