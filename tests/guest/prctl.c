/* prctl(2) and arch_prctl(2): what each option takes, refuses and hands on. */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define GET_AUXV 0x41555856
#define SET_MDWE 65
#define GET_MDWE 66
#define SET_MEMORY_MERGE 67
#define GET_MEMORY_MERGE 68

static long pr(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return syscall(SYS_prctl, op, a, b, c, d);
}

TEST(names)
{
	char name[17] = {0};

	OK(pr(PR_SET_NAME, (unsigned long)"a name that is too long", 0, 0, 0));
	OK(pr(PR_GET_NAME, (unsigned long)name, 0, 0, 0));
	CHECK_STR(name, "a name that is ");
	CHECK_ERR(pr(PR_SET_NAME, 8, 0, 0, 0), EFAULT);
	CHECK_ERR(pr(PR_GET_NAME, 8, 0, 0, 0), EFAULT);
}

TEST(simple_flags)
{
	int v = -1;

	CHECK_ERR(pr(PR_SET_PDEATHSIG, 65, 0, 0, 0), EINVAL);
	OK(pr(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
	OK(pr(PR_GET_PDEATHSIG, (unsigned long)&v, 0, 0, 0));
	CHECK_EQ(v, SIGUSR1);
	OK(pr(PR_SET_PDEATHSIG, 0, 0, 0, 0));
	CHECK_ERR(pr(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
	OK(pr(PR_SET_DUMPABLE, 0, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	OK(pr(PR_SET_DUMPABLE, 1, 0, 0, 0));
	CHECK_ERR(pr(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
	OK(pr(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	OK(pr(PR_GET_CHILD_SUBREAPER, (unsigned long)&v, 0, 0, 0));
	CHECK_EQ(v, 1);
	OK(pr(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
	CHECK_ERR(pr(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_CAPBSET_READ, 64, 0, 0, 0), EINVAL);
	OK(pr(PR_GET_TSC, (unsigned long)&v, 0, 0, 0));
	CHECK_EQ(v, PR_TSC_ENABLE);
	OK(pr(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0));
	CHECK_ERR(pr(PR_SET_TSC, 3, 0, 0, 0), EINVAL);
	OK(pr(PR_GET_TIMING, 0, 0, 0, 0));
	OK(pr(PR_SET_TIMING, 0, 0, 0, 0));
	CHECK_ERR(pr(PR_SET_TIMING, 1, 0, 0, 0), EINVAL);
	OK(pr(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0));
	OK(pr(PR_GET_SECCOMP, 0, 0, 0, 0));
}

TEST(not_of_this_machine)
{
	static const int ops[] = {PR_GET_UNALIGN, PR_SET_UNALIGN, PR_GET_FPEMU, PR_SET_FPEMU, PR_GET_FPEXC, PR_SET_FPEXC,
				  PR_GET_ENDIAN, PR_SET_ENDIAN, PR_MPX_ENABLE_MANAGEMENT, PR_SET_FP_MODE, PR_GET_FP_MODE,
				  PR_SVE_SET_VL, PR_PAC_RESET_KEYS, 0, 17, 48, 200, -1};
	int v;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		CHECK_ERR(pr(ops[i], (unsigned long)&v, 0, 0, 0), EINVAL);
}

TEST(machine_checks)
{
	CHECK_EQ(pr(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
	OK(pr(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	CHECK_EQ(pr(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
	CHECK_ERR(pr(PR_MCE_KILL, PR_MCE_KILL_SET, 3, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_MCE_KILL, 2, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 1, 0), EINVAL);
	CHECK_ERR(pr(PR_MCE_KILL_GET, 1, 0, 0, 0), EINVAL);
	OK(pr(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
	CHECK_EQ(pr(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_DEFAULT);
}

TEST(speculation)
{
	long v = pr(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);

	CHECK(v >= 0 && v < 32);
	CHECK_ERR(pr(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0), ENODEV);
	CHECK_ERR(pr(PR_SET_SPECULATION_CTRL, 99, PR_SPEC_ENABLE, 0, 0), ENODEV);
}

static void *slack_of_thread(void *arg)
{
	long inherited = pr(PR_GET_TIMERSLACK, 0, 0, 0, 0);

	OK(pr(PR_SET_TIMERSLACK, 7, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_TIMERSLACK, 0, 0, 0, 0), 7);
	OK(pr(PR_SET_TIMERSLACK, 0, 0, 0, 0)); /* back to what it began with */
	CHECK_EQ(pr(PR_GET_TIMERSLACK, 0, 0, 0, 0), inherited);
	return (void *)inherited;
}

TEST(timer_slack)
{
	pthread_t th;
	void *inherited;

	OK(pr(PR_SET_TIMERSLACK, 0, 0, 0, 0));
	OK(pr(PR_SET_TIMERSLACK, 123456, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_TIMERSLACK, 0, 0, 0, 0), 123456);
	REQUIRE(pthread_create(&th, NULL, slack_of_thread, NULL) == 0);
	REQUIRE(pthread_join(th, &inherited) == 0);
	CHECK_EQ((long)inherited, 123456);
	CHECK_EQ(pr(PR_GET_TIMERSLACK, 0, 0, 0, 0), 123456);
	OK(pr(PR_SET_TIMERSLACK, 0, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_TIMERSLACK, 0, 0, 0, 0), 50000);
}

TEST(thp_disable)
{
	pid_t pid;

	OK(pr(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(pr(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
		child_exit();
	}
	JOIN(pid);
	CHECK_ERR(pr(PR_SET_THP_DISABLE, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(PR_SET_THP_DISABLE, 0, 0, 1, 0), EINVAL);
	CHECK_ERR(pr(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	OK(pr(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	CHECK_EQ(pr(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

TEST(memory_merge)
{
	if (pr(GET_MEMORY_MERGE, 0, 0, 0, 0) < 0)
		SKIP("a kernel without KSM");
	if (pr(SET_MEMORY_MERGE, 1, 0, 0, 0) < 0)
		SKIP("not permitted");
	CHECK_EQ(pr(GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
	CHECK_ERR(pr(SET_MEMORY_MERGE, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(GET_MEMORY_MERGE, 1, 0, 0, 0), EINVAL);
	OK(pr(SET_MEMORY_MERGE, 0, 0, 0, 0));
}

TEST(auxv)
{
	unsigned long v[128] = {0};
	long size = pr(GET_AUXV, (unsigned long)v, sizeof(v), 0, 0);
	bool page_size = false;

	if (size < 0)
		SKIP("a kernel before 6.4");
	CHECK(size >= 40 * 8);
	for (int i = 0; i < 128 && v[i]; i += 2)
		page_size |= v[i] == 6 && v[i + 1] == 4096; /* AT_PAGESZ */
	CHECK(page_size);
	CHECK_EQ(pr(GET_AUXV, (unsigned long)v, 8, 0, 0), size);
	CHECK_ERR(pr(GET_AUXV, (unsigned long)v, 8, 1, 0), EINVAL);
	CHECK_ERR(pr(GET_AUXV, 8, 8, 0, 0), EFAULT);
}

static void try_mdwe(bool inherit)
{
	char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int set = inherit ? 1 : 3;
	pid_t pid;

	OK(pr(SET_MDWE, set, 0, 0, 0));
	OK(pr(SET_MDWE, set, 0, 0, 0));
	CHECK_EQ(pr(GET_MDWE, 0, 0, 0, 0), set);
	CHECK_ERR(pr(SET_MDWE, 0, 0, 0, 0), EPERM);
	CHECK_ERR((long)mmap(NULL, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EACCES);
	CHECK_ERR(mprotect(m, 4096, PROT_READ | PROT_EXEC), EACCES);
	OK(mprotect(m, 4096, PROT_READ));
	OK(mprotect(x, 4096, PROT_EXEC));
	CHECK_ERR(mprotect(x, 4096, PROT_READ | PROT_WRITE | PROT_EXEC), EACCES);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(pr(GET_MDWE, 0, 0, 0, 0), inherit ? 1 : 0);
		child_exit();
	}
	JOIN(pid);
}

TEST(mdwe)
{
	if (pr(GET_MDWE, 0, 0, 0, 0) < 0)
		SKIP("a kernel before 6.3");
	CHECK_ERR(pr(SET_MDWE, 2, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(SET_MDWE, 4, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(SET_MDWE, 1, 0, 0, 1), EINVAL);
	for (int i = 0; i < 2; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			try_mdwe(i == 0);
			child_exit();
		}
		JOIN(pid);
	}
}

/* In a child: what is locked stays so. */
TEST(securebits)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		if (geteuid() == 0)
			REQUIRE(setresuid(65534, 65534, 65534) == 0);
		CHECK_EQ(pr(PR_GET_SECUREBITS, 0, 0, 0, 0), 0);
		CHECK_ERR(pr(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM); /* that nothing changes is no excuse */
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		if (pr(PR_SET_SECUREBITS, 0x10, 0, 0, 0) == 0) {
			CHECK_EQ(pr(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
			OK(pr(PR_SET_SECUREBITS, 0x20, 0, 0, 0)); /* KEEP_CAPS off, and locked */
			CHECK_EQ(pr(PR_GET_SECUREBITS, 0, 0, 0, 0), 0x20);
			CHECK_ERR(pr(PR_SET_KEEPCAPS, 1, 0, 0, 0), EPERM);
			CHECK_ERR(pr(PR_SET_SECUREBITS, 0x30, 0, 0, 0), EPERM);
			CHECK_ERR(pr(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM);
			CHECK_ERR(pr(PR_SET_SECUREBITS, 0x1020, 0, 0, 0), EPERM);
			OK(pr(PR_SET_SECUREBITS, 0x60, 0, 0, 0));
			CHECK_ERR(pr(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0), EPERM);
		} else {
			CHECK_EQ(errno, EPERM);
		}
		child_exit();
	}
	JOIN(pid);
}

TEST(arch)
{
	unsigned long v = 0, w = 0;

	CHECK_EQ(syscall(SYS_arch_prctl, 0x1011, 0), 1); /* ARCH_GET_CPUID */
	if (syscall(SYS_arch_prctl, 0x1021, &v))	 /* ARCH_GET_XCOMP_SUPP */
		SKIP("a kernel before 5.16");
	CHECK_EQ(v & 3, 3);
	OK(syscall(SYS_arch_prctl, 0x1022, &w));
	CHECK_EQ(w & ~v, 0);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1021, 8), EFAULT);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1023, 64), EINVAL);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1023, 0), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1000, &v), EINVAL);
}
