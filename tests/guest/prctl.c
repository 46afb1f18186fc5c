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

/* What can be set is said so, and nothing else is. */
static void speculation_fn(unsigned long what)
{
	long v = pr(PR_GET_SPECULATION_CTRL, what, 0, 0, 0);

	CHECK_ERR(pr(PR_SET_SPECULATION_CTRL, what, PR_SPEC_ENABLE, 1, 0), EINVAL);
	if (v == PR_SPEC_NOT_AFFECTED)
		return;
	if (!(v & PR_SPEC_PRCTL)) {
		CHECK(pr(PR_SET_SPECULATION_CTRL, what, PR_SPEC_DISABLE, 0, 0) == -1 && (errno == ENXIO || errno == EPERM));
		CHECK_EQ(pr(PR_GET_SPECULATION_CTRL, what, 0, 0, 0), v);
		return;
	}
	CHECK_ERR(pr(PR_SET_SPECULATION_CTRL, what, 3, 0, 0), ERANGE);
	OK(pr(PR_SET_SPECULATION_CTRL, what, PR_SPEC_DISABLE, 0, 0));
	CHECK_EQ(pr(PR_GET_SPECULATION_CTRL, what, 0, 0, 0), PR_SPEC_PRCTL | PR_SPEC_DISABLE);
	OK(pr(PR_SET_SPECULATION_CTRL, what, PR_SPEC_FORCE_DISABLE, 0, 0));
	CHECK_ERR(pr(PR_SET_SPECULATION_CTRL, what, PR_SPEC_ENABLE, 0, 0), EPERM);
}

TEST(speculation_is_as_told)
{
	for (unsigned long what = 0; what < 2; what++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			speculation_fn(what);
			child_exit();
		}
		JOIN(pid);
	}
}

struct mm_map { /* struct prctl_mm_map */
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end, auxv;
	uint32_t auxv_size, exe_fd;
};

/* Fields of stat from 26 on: where code and stack are; 45: data, heap, arguments, environment. */
static void read_layout(struct mm_map *m)
{
	uint64_t field[53] = {0};
	char text[1024], *p;

	memset(m, 0, sizeof(*m));
	REQUIRE(read_file("/proc/self/stat", text, sizeof(text)) > 0);
	p = strrchr(text, ')');
	for (int n = 3; p && n <= 52; n++) {
		p = strchr(p + 1, ' ');
		field[n] = p ? strtoull(p, NULL, 10) : 0;
	}
	*m = (struct mm_map){.start_code = field[26], .end_code = field[27], .start_stack = field[28], .start_data = field[45],
			     .end_data = field[46], .start_brk = field[47], .brk = (uint64_t)(uintptr_t)sbrk(0), .arg_start = field[48],
			     .arg_end = field[49], .env_start = field[50], .env_end = field[51], .exe_fd = (uint32_t)-1};
}

static void layout_fn(void)
{
	char title[] = "another title";
	struct mm_map m, now;
	char text[64] = "";
	uint32_t size = 0;

	OK(pr(PR_SET_MM, PR_SET_MM_MAP_SIZE, (unsigned long)&size, 0, 0));
	CHECK_EQ(size, sizeof(m));
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP_SIZE, 8, 0, 0), EFAULT);
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP_SIZE, (unsigned long)&size, 0, 1), EINVAL);
	read_layout(&m);
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP, (unsigned long)&m, sizeof(m) - 1, 0), EINVAL);
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP, 8, sizeof(m), 0), EFAULT);
	m.auxv_size = 8;
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP, (unsigned long)&m, sizeof(m), 0), EINVAL); /* of no vector */
	m.auxv_size = 0;
	m.arg_start = (uint64_t)(uintptr_t)title;
	m.arg_end = m.arg_start - 1;
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_MAP, (unsigned long)&m, sizeof(m), 0), EINVAL);
	m.arg_end = m.arg_start + sizeof(title);
	m.start_code += 16;
	OK(pr(PR_SET_MM, PR_SET_MM_MAP, (unsigned long)&m, sizeof(m), 0)); /* without any capability */
	CHECK_EQ(read_file("/proc/self/cmdline", text, sizeof(text)), (long)sizeof(title));
	CHECK_STR(text, title);
	read_layout(&now);
	CHECK_EQ(now.start_code, m.start_code);
	CHECK_EQ(now.start_stack, m.start_stack);
}

static void layout_fields_fn(void)
{
	static const int fields[] = {PR_SET_MM_START_CODE, PR_SET_MM_END_CODE,	PR_SET_MM_START_DATA, PR_SET_MM_END_DATA,
				     PR_SET_MM_START_STACK, PR_SET_MM_START_BRK, PR_SET_MM_BRK,	 PR_SET_MM_ARG_START,
				     PR_SET_MM_ARG_END,	   PR_SET_MM_ENV_START, PR_SET_MM_ENV_END, PR_SET_MM_AUXV};
	struct mm_map m, now;
	bool may;

	read_layout(&m);
	may = pr(PR_SET_MM, PR_SET_MM_START_CODE, m.start_code, 0, 0) == 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		CHECK_ERR(pr(PR_SET_MM, (unsigned long)fields[i], 0, 0, 0), may ? EINVAL : EPERM);
		CHECK_ERR(pr(PR_SET_MM, (unsigned long)fields[i], 0, 0, 1), EINVAL);
	}
	CHECK_ERR(pr(PR_SET_MM, 99, m.start_code, 0, 0), may ? EINVAL : EPERM);
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_START_CODE, m.start_code, 1, 0), EINVAL);
	if (!may)
		return;
	CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_START_CODE, m.end_code, 0, 0), EINVAL);
	OK(pr(PR_SET_MM, PR_SET_MM_START_CODE, m.start_code + 1, 0, 0));
	OK(pr(PR_SET_MM, PR_SET_MM_END_DATA, m.end_data - 1, 0, 0));
	read_layout(&now);
	CHECK_EQ(now.start_code, m.start_code + 1);
	CHECK_EQ(now.end_data, m.end_data - 1);
}

TEST(layout)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		layout_fn();
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		layout_fields_fn();
		if (geteuid() == 0) {
			REQUIRE(setresuid(4242, 4242, 4242) == 0);
			CHECK_ERR(pr(PR_SET_MM, PR_SET_MM_START_CODE, 0, 0, 0), EPERM);
			CHECK_ERR(pr(PR_SET_MM, 99, 0, 0, 0), EPERM);
		}
		child_exit();
	}
	JOIN(pid);
}

#define RESTORE_IDS 77 /* PR_TIMER_CREATE_RESTORE_IDS */

static void timer_ids_fn(void)
{
	int id;

	OK(pr(RESTORE_IDS, 1, 0, 0, 0));
	CHECK_EQ(pr(RESTORE_IDS, 2, 0, 0, 0), 1);
	id = 77;
	OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
	CHECK_EQ(id, 77);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id), EBUSY);
	id = 5;
	OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
	CHECK_EQ(id, 5);
	id = -1;
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id), EINVAL);
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, 8L), EFAULT);
	OK(pr(RESTORE_IDS, 0, 0, 0, 0));
	OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
	CHECK_EQ(id, 6); /* behind the one that was asked for last */
	OK(syscall(SYS_timer_delete, 77));
	CHECK_ERR(syscall(SYS_timer_delete, 77), EINVAL);
}

TEST(timer_ids)
{
	pid_t pid;

	if (pr(RESTORE_IDS, 2, 0, 0, 0) < 0)
		SKIP("a kernel before 6.15");
	CHECK_EQ(pr(RESTORE_IDS, 2, 0, 0, 0), 0);
	CHECK_ERR(pr(RESTORE_IDS, 3, 0, 0, 0), EINVAL);
	CHECK_ERR(pr(RESTORE_IDS, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(pr(RESTORE_IDS, 1, 0, 0, 1), EINVAL);
	pid = h_fork();
	if (pid == 0) {
		timer_ids_fn();
		child_exit();
	}
	JOIN(pid);
	OK(pr(RESTORE_IDS, 1, 0, 0, 0));
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(pr(RESTORE_IDS, 2, 0, 0, 0), 0); /* not inherited */
		child_exit();
	}
	JOIN(pid);
	OK(pr(RESTORE_IDS, 0, 0, 0, 0));
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
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1023, 20), EINVAL);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1000, &v), EINVAL);
}

static bool has_flag(const char *cpuinfo, const char *flag)
{
	const char *p = strstr(cpuinfo, "\nflags");
	size_t len = strlen(flag);

	for (; p && *p == '\n'; p++)
		for (const char *at = p; (at = strstr(at, flag)) && at < strchr(p + 1, '\n'); at += len)
			if (at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n'))
				return true;
	return false;
}

/* What /proc/cpuinfo says a program can ask for it gets. */
TEST(flags_are_as_told)
{
	static char text[1 << 16];
	long tiles, key;
	pid_t pid;

	REQUIRE(read_file("/proc/cpuinfo", text, sizeof(text)) > 0);
	key = syscall(SYS_pkey_alloc, 0, 0);
	CHECK_EQ(has_flag(text, "ospke"), key > 0);
	if (key > 0)
		OK(syscall(SYS_pkey_free, key));
	pid = h_fork();
	if (pid == 0) {
		tiles = syscall(SYS_arch_prctl, 0x1023, 18); /* ARCH_REQ_XCOMP_PERM of XTILEDATA */
		CHECK_EQ(has_flag(text, "amx_tile"), tiles == 0);
		child_exit();
	}
	JOIN(pid);
}
