/* NUMA calls on a machine whose node 0 is allowed: policies are checked, kept, inherited and shown. */
#include "harness.h"

#include <sys/mman.h>

#define PAGE 4096ul
enum { M_DEFAULT, M_PREFERRED, M_BIND, M_INTERLEAVE, M_LOCAL };
enum { F_NODE = 1, F_ADDR = 2, F_MEMS_ALLOWED = 4 };
#define F_STATIC 0x8000
#define F_RELATIVE 0x4000
#define F_BALANCING 0x2000
#define NR_HOME_NODE 450

static const unsigned long one = 1, none_such = 1ul << 40;

static long set_policy(int mode, const unsigned long *nodes, unsigned long max)
{
	return syscall(SYS_set_mempolicy, mode, nodes, max);
}

static long get_policy(int *mode, unsigned long *nodes, const void *addr, unsigned long flags)
{
	return syscall(SYS_get_mempolicy, mode, nodes, nodes ? 1024ul : 0ul, addr, flags);
}

static long bind_range(const void *p, size_t len, int mode, const unsigned long *nodes, unsigned flags)
{
	return syscall(SYS_mbind, p, len, mode, nodes, nodes ? 64ul : 0ul, flags);
}

static char *pages(size_t n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return memset(p, 1, n * PAGE);
}

/* Some containers refuse these calls to everybody. */
static bool refused(void)
{
	if (set_policy(M_DEFAULT, NULL, 0) == 0)
		return false;
	CHECK(errno == EPERM || errno == ENOSYS);
	return true;
}

TEST(task_policy)
{
	unsigned long nodes[16];
	int mode = -1;

	if (refused())
		SKIP("NUMA calls are refused here");
	OK(get_policy(&mode, NULL, NULL, 0));
	CHECK_EQ(mode, M_DEFAULT);
	OK(set_policy(M_BIND, &one, 64));
	memset(nodes, 0xff, sizeof(nodes));
	OK(get_policy(&mode, nodes, NULL, 0));
	CHECK(mode == M_BIND && nodes[0] == 1 && nodes[15] == 0);
	pid_t pid = fork();
	if (pid == 0) {
		mode = -1;
		OK(get_policy(&mode, NULL, NULL, 0));
		CHECK_EQ(mode, M_BIND);
		child_exit();
	}
	JOIN(pid);
	OK(set_policy(M_BIND | F_STATIC, &one, 64));
	OK(get_policy(&mode, NULL, NULL, 0));
	CHECK_EQ(mode, M_BIND | F_STATIC);
	OK(set_policy(M_PREFERRED, NULL, 0)); /* nobody preferred is the local node */
	OK(get_policy(&mode, nodes, NULL, 0));
	CHECK(mode == M_LOCAL && nodes[0] == 0);
	OK(set_policy(M_INTERLEAVE, &one, 64));
	OK(get_policy(&mode, NULL, NULL, F_NODE));
	CHECK_EQ(mode, 0);
	OK(set_policy(M_DEFAULT, NULL, 0));
	OK(get_policy(&mode, nodes, NULL, F_MEMS_ALLOWED));
	CHECK(mode == 0 && (nodes[0] & 1));
}

TEST(task_policy_errors)
{
	static unsigned long big[513] = {1};
	int mode;

	if (refused())
		SKIP("NUMA calls are refused here");
	CHECK_ERR(set_policy(M_DEFAULT, &one, 64), EINVAL);
	CHECK_ERR(set_policy(M_BIND, NULL, 0), EINVAL);
	CHECK_ERR(set_policy(M_BIND, &none_such, 64), EINVAL);
	CHECK_ERR(set_policy(M_BIND, &one, 1), EINVAL);
	CHECK_ERR(set_policy(M_BIND, &one, 0), EINVAL);
	CHECK_ERR(set_policy(M_BIND, big, 4096 * 8 + 2), EINVAL);
	CHECK_ERR(set_policy(M_BIND, (void *)1, 64), EFAULT);
	CHECK_ERR(set_policy(M_BIND | F_STATIC | F_RELATIVE, &one, 64), EINVAL);
	CHECK_ERR(set_policy(M_INTERLEAVE | F_BALANCING, &one, 64), EINVAL);
	CHECK_ERR(set_policy(M_PREFERRED | F_STATIC, NULL, 0), EINVAL);
	CHECK_ERR(set_policy(M_LOCAL, &one, 64), EINVAL);
	CHECK_ERR(set_policy(99, &one, 64), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, NULL, F_NODE), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, NULL, F_MEMS_ALLOWED | F_ADDR), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, NULL, 8), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, &mode, 0), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, (void *)1, F_ADDR), EFAULT);
}

TEST(range_policy)
{
	unsigned long nodes[16];
	char *p;
	int mode;

	if (refused())
		SKIP("NUMA calls are refused here");
	p = pages(4);
	OK(get_policy(&mode, NULL, p, F_ADDR));
	CHECK_EQ(mode, M_DEFAULT);
	CHECK_ERR(syscall(NR_HOME_NODE, p, PAGE, 0ul, 0ul), ENOENT);
	OK(bind_range(p + PAGE, PAGE, M_BIND, &one, 0));
	OK(get_policy(&mode, nodes, p + PAGE, F_ADDR));
	CHECK(mode == M_BIND && nodes[0] == 1);
	OK(get_policy(&mode, NULL, p + 2 * PAGE, F_ADDR));
	CHECK_EQ(mode, M_DEFAULT);
	OK(get_policy(&mode, NULL, p, F_ADDR | F_NODE));
	CHECK_EQ(mode, 0);
	OK(syscall(NR_HOME_NODE, p, 2 * PAGE, 0ul, 0ul));
	CHECK_ERR(syscall(NR_HOME_NODE, p + 1, PAGE, 0ul, 0ul), EINVAL);
	CHECK_ERR(syscall(NR_HOME_NODE, p, PAGE, 0ul, 1ul), EINVAL);
	CHECK_ERR(syscall(NR_HOME_NODE, p, PAGE, 4000ul, 0ul), EINVAL);
	OK(bind_range(p, 2 * PAGE, M_INTERLEAVE, &one, 0));
	CHECK_ERR(syscall(NR_HOME_NODE, p, PAGE, 0ul, 0ul), EOPNOTSUPP);
	CHECK_ERR(bind_range(p + 1, PAGE, M_BIND, &one, 0), EINVAL);
	CHECK_ERR(bind_range(p, PAGE, M_BIND, &one, 8), EINVAL);
	CHECK_ERR(bind_range(p, PAGE, M_BIND, &none_such, 0), EINVAL);
	OK(bind_range(p, 0, M_BIND, &one, 0));
	OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(bind_range(p, 4 * PAGE, M_BIND, &one, 0), EFAULT);
	OK(bind_range(p, 4 * PAGE, M_DEFAULT, NULL, 0));
	CHECK_ERR(bind_range(p + PAGE, PAGE, M_DEFAULT, NULL, 0), EFAULT);
	OK(get_policy(&mode, NULL, p, F_ADDR));
	CHECK_EQ(mode, M_DEFAULT);
}

TEST(moving)
{
	int nodes[2] = {0, 0}, bad[2] = {0, 4000}, status[2] = {77, 77};
	const unsigned long zero = 0;
	void *at[2];

	if (refused())
		SKIP("NUMA calls are refused here");
	at[0] = pages(2);
	at[1] = (char *)at[0] + PAGE;
	OK(munmap(at[1], PAGE));
	OK(syscall(SYS_move_pages, 0, 2ul, at, NULL, status, 0));
	CHECK(status[0] == 0 && status[1] == -EFAULT);
	status[0] = 77;
	OK(syscall(SYS_move_pages, 0, 1ul, at, nodes, status, 2));
	CHECK_EQ(status[0], 0);
	CHECK_ERR(syscall(SYS_move_pages, 0, 2ul, at, bad, status, 2), ENODEV);
	CHECK_ERR(syscall(SYS_move_pages, 0, 2ul, at, nodes, status, 8), EINVAL);
	CHECK_ERR(syscall(SYS_move_pages, 0, 1ul, (void *)1, NULL, status, 0), EFAULT);
	CHECK_ERR(syscall(SYS_move_pages, 0, 1ul, at, NULL, (void *)1, 0), EFAULT);
	OK(syscall(SYS_move_pages, 0, 0ul, at, NULL, status, 0));
	CHECK_ERR(syscall(SYS_move_pages, 0x7ffffff, 1ul, at, NULL, status, 0), ESRCH);
	CHECK_EQ(syscall(SYS_migrate_pages, 0, 64ul, &one, &one), 0);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64ul, &one, &zero), EINVAL);
	CHECK_ERR(syscall(SYS_migrate_pages, 0x7ffffff, 64ul, &one, &one), ESRCH);
}
