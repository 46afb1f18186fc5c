/* Scheduling calls: affinity, policies, attributes, priorities of input and output: what is set is kept, inherited, shown. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
	uint8_t more[16];
};

#define BE(level) (2 << 13 | (level))

static int first_cpu(void)
{
	cpu_set_t set;

	REQUIRE(sched_getaffinity(0, sizeof(set), &set) == 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			return i;
	return -1;
}

static void *same_affinity(void *arg)
{
	cpu_set_t now;

	OK(sched_getaffinity(0, sizeof(now), &now));
	CHECK(CPU_EQUAL(&now, (cpu_set_t *)arg));
	return NULL;
}

TEST(affinity)
{
	pid_t pid = h_fork();
	cpu_set_t all, one, now;
	pthread_t t;

	if (pid) {
		JOIN(pid);
		return;
	}
	REQUIRE(sched_getaffinity(0, sizeof(all), &all) == 0);
	CPU_ZERO(&one);
	CPU_SET(first_cpu(), &one);
	OK(sched_setaffinity(0, sizeof(one), &one));
	OK(sched_getaffinity(0, sizeof(now), &now));
	CHECK(CPU_EQUAL(&now, &one));
	REQUIRE(pthread_create(&t, NULL, same_affinity, &one) == 0);
	pthread_join(t, NULL);
	pid = h_fork();
	if (pid == 0) {
		same_affinity(&one);
		child_exit();
	}
	JOIN(pid);
	CPU_SET(CPU_SETSIZE - 1, &all); /* CPUs that are not there are left out */
	OK(sched_setaffinity(0, sizeof(all), &all));
	OK(sched_getaffinity(0, sizeof(now), &now));
	CPU_CLR(CPU_SETSIZE - 1, &all);
	CHECK(CPU_EQUAL(&now, &all));
	CPU_ZERO(&one);
	CHECK_ERR(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	CHECK_ERR(sched_setaffinity(0x3ffff0, sizeof(all), &all), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setaffinity, 0, sizeof(all), 8), EFAULT);
	child_exit();
}

/* The calling thread runs on cpu and stays there. */
static bool runs_on(int cpu)
{
	for (int i = 0; i < 100; i++)
		if (sched_getcpu() != cpu)
			return false;
	return true;
}

struct moved {
	_Atomic pid_t tid;
	_Atomic int cpu; /* where it was put; -1: not yet */
};

static void *moved_from_outside(void *arg)
{
	struct moved *m = arg;

	m->tid = gettid();
	while (m->cpu < 0)
		sched_yield();
	CHECK(runs_on(m->cpu));
	return NULL;
}

TEST(affinity_places)
{
	cpu_set_t all, one;
	int last = -1;

	REQUIRE(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct moved m = {0, -1};
		pthread_t t;
		pid_t pid;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		REQUIRE(pthread_create(&t, NULL, moved_from_outside, &m) == 0);
		while (!m.tid)
			sched_yield();
		OK(sched_setaffinity(m.tid, sizeof(one), &one));
		m.cpu = cpu;
		REQUIRE(pthread_join(t, NULL) == 0);
		OK(sched_setaffinity(0, sizeof(one), &one));
		CHECK(runs_on(cpu));
		pid = fork();
		if (pid == 0) {
			CHECK(runs_on(cpu)); /* inherited */
			child_exit();
		}
		JOIN(pid);
		OK(sched_setaffinity(0, sizeof(all), &all));
		last = cpu;
	}
	CHECK(last >= 0);
}

TEST(policies)
{
	struct sched_param zero = {0}, ten = {10}, p = {7};
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	OK(sched_setscheduler(0, SCHED_BATCH, &zero));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
	OK(sched_getparam(0, &p));
	CHECK_EQ(p.sched_priority, 0);
	OK(sched_setparam(0, &zero));
	CHECK_ERR(sched_setparam(0, &ten), EINVAL);
	OK(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &zero));
	CHECK_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
		child_exit();
	}
	JOIN(pid);
	CHECK_ERR(sched_setscheduler(0, SCHED_OTHER, &ten), EINVAL);
	CHECK_ERR(sched_setscheduler(0, SCHED_FIFO, &zero), EINVAL);
	CHECK_ERR(sched_setscheduler(0, 77, &zero), EINVAL);
	CHECK_ERR(sched_setscheduler(0, -1, &zero), EINVAL);
	CHECK_ERR(sched_setscheduler(-1, SCHED_OTHER, &zero), EINVAL);
	CHECK_ERR(sched_setscheduler(0x3ffff0, SCHED_OTHER, &zero), ESRCH);
	CHECK_ERR(sched_setscheduler(0, SCHED_OTHER, NULL), EINVAL);
	CHECK_ERR(sched_setscheduler(0, SCHED_OTHER, (void *)8), EFAULT);
	child_exit();
}

TEST(attributes)
{
	struct attr a = {.size = 48, .policy = SCHED_OTHER, .nice = 3}, got;
	struct timespec ts;
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	OK(syscall(SYS_sched_setattr, 0, &a, 0));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3);
	memset(&got, 0xff, sizeof(got));
	OK(syscall(SYS_sched_getattr, 0, &got, 48, 0));
	CHECK_EQ(got.size, 48);
	CHECK_EQ(got.policy, SCHED_OTHER);
	CHECK_EQ(got.nice, 3);
	CHECK_EQ(got.priority, 0);
	a.flags = 1; /* SCHED_FLAG_RESET_ON_FORK */
	OK(syscall(SYS_sched_setattr, 0, &a, 0));
	OK(syscall(SYS_sched_getattr, 0, &got, 48, 0));
	CHECK_EQ(got.flags, 1);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &got, 47, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &got, 48, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0x3ffff0, &got, 48, 0), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
	a.flags = 0x1000;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	a = (struct attr){.size = 20};
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	CHECK(a.size >= 56);
	a = (struct attr){.size = sizeof(a), .nice = 4, .flags = 1};
	OK(syscall(SYS_sched_setattr, 0, &a, 0));
	a.more[sizeof(a.more) - 1] = 1;
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	OK(sched_rr_get_interval(0, &ts));
	CHECK(ts.tv_sec == 0 && ts.tv_nsec < 1000000000);
	CHECK_ERR(sched_rr_get_interval(-1, &ts), EINVAL);
	CHECK_ERR(sched_rr_get_interval(0x3ffff0, &ts), ESRCH);
	child_exit();
}

TEST(ioprio)
{
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	OK(syscall(SYS_ioprio_set, 1, 0, BE(6)));
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), BE(6));
	CHECK_EQ(syscall(SYS_ioprio_get, 1, getpid()), BE(6));
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), BE(6));
		child_exit();
	}
	JOIN(pid);
	OK(syscall(SYS_ioprio_set, 1, 0, 3 << 13));
	CHECK_EQ(syscall(SYS_ioprio_get, 1, 0), 3 << 13);
	OK(syscall(SYS_ioprio_set, 1, 0, 0));
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 1), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0, 5 << 13), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 9, 0, BE(4)), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_get, 9, 0), EINVAL);
	CHECK_ERR(syscall(SYS_ioprio_set, 1, 0x3ffff0, BE(4)), ESRCH);
	CHECK_ERR(syscall(SYS_ioprio_get, 1, 0x3ffff0), ESRCH);
	child_exit();
}
