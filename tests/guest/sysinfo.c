/* What a process can ask about itself and the machine: prctl, limits, uname, CPUs. */
#include "harness.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

TEST(name)
{
	char name[17];

	OK(prctl(PR_SET_NAME, "a name that is too long"));
	memset(name, 'x', sizeof(name));
	OK(prctl(PR_GET_NAME, name));
	CHECK_STR(name, "a name that is ");
	CHECK_EQ(name[16], 'x');
	CHECK_ERR(prctl(PR_SET_NAME, 8), EFAULT);
	CHECK_ERR(prctl(PR_GET_NAME, 8), EFAULT);
	CHECK_ERR(prctl(9999), EINVAL);
}

TEST(death_signal)
{
	int sig = -1;
	pid_t pid;

	OK(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(sig, 0);
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
	OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	OK(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(sig, SIGUSR1);
	pid = h_fork();
	if (pid == 0) {
		OK(prctl(PR_GET_PDEATHSIG, &sig));
		CHECK_EQ(sig, 0); /* not inherited */
		child_exit();
	}
	JOIN(pid);
	prctl(PR_SET_PDEATHSIG, 0);
	/* A grandchild that asks for it dies with its parent. */
	struct gate armed;
	int end[2];
	char c;
	gate_init(&armed);
	REQUIRE(pipe(end) == 0);
	pid = h_fork();
	if (pid == 0) {
		if (h_fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			gate_open(&armed);
			for (;;)
				pause();
		}
		gate_pass(&armed);
		_exit(0);
	}
	close(end[1]);
	JOIN(pid);
	CHECK_EQ(read(end[0], &c, 1), 0); /* nobody holds the other end any more */
	close(end[0]);
	gate_free(&armed);
}

TEST(dumpable)
{
	CHECK(prctl(PR_GET_DUMPABLE) >= 0);
	OK(prctl(PR_SET_DUMPABLE, 0));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	OK(prctl(PR_SET_DUMPABLE, 1));
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 5), EINVAL);
}

TEST(limits)
{
	struct rlimit l, old;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		OK(getrlimit((__rlimit_resource_t)i, &l));
		CHECK(l.rlim_cur <= l.rlim_max);
	}
	CHECK_ERR(getrlimit((__rlimit_resource_t)16, &l), EINVAL);
	OK(getrlimit(RLIMIT_CORE, &old));
	l = (struct rlimit){5, 4};
	CHECK_ERR(setrlimit(RLIMIT_CORE, &l), EINVAL);
	l = (struct rlimit){0, old.rlim_max};
	OK(setrlimit(RLIMIT_CORE, &l));
	OK(prlimit(0, RLIMIT_CORE, NULL, &l));
	CHECK_EQ(l.rlim_cur, 0);
	OK(prlimit(getpid(), RLIMIT_CORE, &old, &l));
	CHECK_ERR(prlimit(0x3ffff0, RLIMIT_CORE, NULL, &l), ESRCH);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_CORE, 8, NULL), EFAULT);
	pid_t pid = h_fork();
	if (pid == 0) {
		if (geteuid() == 0)
			REQUIRE(setuid(1000) == 0);
		l = (struct rlimit){10, 10};
		OK(setrlimit(RLIMIT_NOFILE, &l));
		l = (struct rlimit){10, 11};
		CHECK_ERR(setrlimit(RLIMIT_NOFILE, &l), EPERM);
		pid_t inner = h_fork();
		if (inner == 0) {
			OK(getrlimit(RLIMIT_NOFILE, &l));
			CHECK(l.rlim_cur == 10 && l.rlim_max == 10);
			child_exit();
		}
		JOIN(inner);
		child_exit();
	}
	JOIN(pid);
}

TEST(process_limit)
{
	struct rlimit l = {0, 0};
	pid_t pid = h_fork();

	if (pid == 0) {
		if (geteuid() == 0)
			REQUIRE(setuid(4444) == 0);
		OK(setrlimit(RLIMIT_NPROC, &l));
		CHECK_ERR(fork(), EAGAIN);
		child_exit();
	}
	JOIN(pid);
}

TEST(uname)
{
	struct utsname u;
	char host[65];

	OK(uname(&u));
	CHECK_STR(u.sysname, "Linux");
	CHECK_STR(u.machine, "x86_64");
	CHECK(u.release[0] >= '4' && u.release[0] <= '9' && strchr(u.release, '.'));
	CHECK(strlen(u.version) > 0);
	OK(gethostname(host, sizeof(host)));
	CHECK_STR(host, u.nodename);
	CHECK_ERR(syscall(SYS_uname, 8), EFAULT);
}

TEST(sysinfo)
{
	struct sysinfo s;

	memset(&s, 0xff, sizeof(s));
	OK(sysinfo(&s));
	CHECK(s.uptime > 0);
	CHECK(s.mem_unit >= 1 && s.totalram > 0 && s.freeram <= s.totalram);
	CHECK(s.procs > 0);
	CHECK_ERR(syscall(SYS_sysinfo, 8), EFAULT);
}

TEST(cpus)
{
	unsigned cpu = ~0u, node = ~0u;
	cpu_set_t set;
	long n;

	CPU_ZERO(&set);
	n = syscall(SYS_sched_getaffinity, 0, sizeof(set), &set);
	CHECK(n > 0 && n % 8 == 0); /* the raw call gives the size it filled in */
	CHECK(CPU_COUNT(&set) >= 1);
	OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	CHECK(cpu < 4096 && node < 1024);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 3, &set), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0x3ffff0, sizeof(set), &set), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, sizeof(set), 8), EFAULT);
	OK(sched_setaffinity(0, sizeof(set), &set));
	CPU_ZERO(&set);
	CHECK_ERR(sched_setaffinity(0, sizeof(set), &set), EINVAL);
	CHECK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
}

TEST(scheduling)
{
	struct sched_param param;

	OK(sched_yield());
	CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
	OK(sched_getparam(0, &param));
	CHECK_EQ(param.sched_priority, 0);
	CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	CHECK_EQ(sched_get_priority_min(SCHED_FIFO), 1);
	CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
	CHECK_ERR(sched_get_priority_max(77), EINVAL);
	CHECK_ERR(sched_getscheduler(0x3ffff0), ESRCH);
	errno = 0;
	CHECK(getpriority(PRIO_PROCESS, 0) >= -20 && errno == 0); /* whatever the caller has */
	pid_t pid = h_fork();
	if (pid == 0) {
		OK(setpriority(PRIO_PROCESS, 0, 5));
		CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
		CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 15); /* the raw result is 20 - nice */
		if (geteuid() != 0)
			CHECK_ERR(setpriority(PRIO_PROCESS, 0, 0), EACCES);
		child_exit();
	}
	JOIN(pid);
	CHECK_ERR(syscall(SYS_getpriority, 9, 0), EINVAL);
}

TEST(personality)
{
	CHECK_EQ(syscall(SYS_personality, 0xffffffff), 0);
}

static __thread int tls;

TEST(arch_prctl)
{
	unsigned long fs = 0, gs = 1;

	OK(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs));
	CHECK(fs != 0 && (char *)&tls < (char *)fs + 4096 && (char *)&tls > (char *)fs - 65536);
	CHECK_EQ(*(unsigned long *)fs, fs);
	OK(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, 0x1234000));
	OK(syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &gs));
	CHECK_EQ(gs, 0x1234000);
	OK(syscall(SYS_arch_prctl, 0x1001, 0));
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, 1ul << 63), EPERM);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x7777, 0), EINVAL);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x1003, 8), EFAULT);
}

TEST(gs_is_the_programs)
{
	static unsigned long area[4] = {1, 2, 3, 4};
	unsigned long v = 0;

	OK(syscall(SYS_arch_prctl, 0x1001, area));
	for (int i = 0; i < 50; i++) {
		CHECK(getppid() >= 0);
		__asm__ volatile("movq %%gs:16, %0" : "=r"(v));
		CHECK_EQ(v, 3);
	}
	pid_t pid = h_fork();
	if (pid == 0) {
		__asm__ volatile("movq %%gs:8, %0" : "=r"(v));
		CHECK_EQ(v, 2);
		child_exit();
	}
	JOIN(pid);
	OK(syscall(SYS_arch_prctl, 0x1001, 0));
}

TEST(fsgsbase_instructions)
{
	static unsigned long area[2] = {77, 88};
	unsigned long had, v;

	/* Where the machine has them a program changes its bases without a call, and they stay over calls. */
	FILE *f = fopen("/proc/cpuinfo", "r");
	static char line[8192];
	bool have = false;
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "flags", 5) == 0 && strstr(line, " fsgsbase"))
			have = true;
	if (f)
		fclose(f);
	if (!have)
		SKIP("no FSGSBASE");
	__asm__ volatile("rdgsbase %0" : "=r"(had));
	__asm__ volatile("wrgsbase %0" ::"r"(area));
	for (int i = 0; i < 20; i++) {
		syscall(SYS_getppid);
		__asm__ volatile("movq %%gs:8, %0" : "=r"(v));
		CHECK_EQ(v, 88);
	}
	OK(syscall(SYS_arch_prctl, 0x1004, &v));
	CHECK_EQ(v, (unsigned long)area);
	__asm__ volatile("wrgsbase %0" ::"r"(had));
}
