/* membarrier(2): what it says it can do, who must register, and what a fork inherits. */
#include "harness.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>

#define GET_REGISTRATIONS (1 << 9) /* since Linux 6.3 */

static long barrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

TEST(errors)
{
	CHECK_ERR(syscall(SYS_membarrier, 0, 4, 0), EINVAL);
	CHECK_ERR(barrier(1 << 20), EINVAL);
	CHECK_ERR(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), EPERM);
}

TEST(registers)
{
	long known = barrier(MEMBARRIER_CMD_QUERY);
	pid_t pid;

	REQUIRE(known >= 0);
	CHECK(known & MEMBARRIER_CMD_GLOBAL);
	CHECK(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	CHECK_EQ(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_GLOBAL), 0);
	CHECK_EQ(barrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED), 0);
	if (known & GET_REGISTRATIONS)
		CHECK_EQ(barrier(GET_REGISTRATIONS), MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	pid = fork();
	if (pid == 0)
		_exit(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0 ? 0 : 1);
	JOIN(pid);
}

/* The two halves of Dekker's algorithm: one side has only a compiler's barrier, the other this call. */
static _Atomic int x, y, turn, seen_y;

static void *light_side(void *arg)
{
	for (int n = 1; n <= *(int *)arg; n++) {
		while (atomic_load(&turn) != n)
			;
		atomic_store_explicit(&x, n, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		atomic_store(&seen_y, atomic_load_explicit(&y, memory_order_relaxed));
		atomic_store(&turn, -n);
	}
	return NULL;
}

TEST(orders)
{
	int rounds = 30, both_missed = 0;
	pthread_t th;

	REQUIRE(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0);
	REQUIRE(pthread_create(&th, NULL, light_side, &rounds) == 0);
	for (int n = 1; n <= rounds; n++) {
		int seen_x;

		atomic_store(&turn, n);
		atomic_store_explicit(&y, n, memory_order_relaxed);
		CHECK_EQ(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0);
		seen_x = atomic_load_explicit(&x, memory_order_relaxed);
		while (atomic_load(&turn) != -n)
			;
		both_missed += seen_x != n && atomic_load(&seen_y) != n;
	}
	pthread_join(th, NULL);
	CHECK_EQ(both_missed, 0);
}
