/* Numbers that are no system call give ENOSYS, whatever the arguments. */
#include "harness.h"

static long raw(long nr, long a)
{
	long r;
	register long r10 __asm__("r10") = a, r8 __asm__("r8") = a, r9 __asm__("r9") = a;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(a), "d"(a), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}

TEST(gap)
{
	for (long nr = 337; nr < 424; nr++) /* 336 is uprobe as of Linux 6.18 */
		CHECK_EQ(raw(nr, 0), -ENOSYS);
}

TEST(beyond_the_end)
{
	for (long nr = 480; nr < 520; nr++)
		CHECK_EQ(raw(nr, 0), -ENOSYS);
	CHECK_EQ(raw(1000, 0), -ENOSYS);
	CHECK_EQ(raw(0x3fffffff, 0), -ENOSYS);
	CHECK_EQ(raw(0x7fffffff, -1), -ENOSYS);
	CHECK_EQ(raw(-1, 0), -ENOSYS);
	CHECK_EQ(raw(-1, -1), -ENOSYS);
	CHECK_EQ(raw(-4095, 0), -ENOSYS);
}

TEST(x32)
{
	for (long nr = 0; nr < 560; nr++)
		CHECK_EQ(raw(0x40000000 | nr, 0), -ENOSYS);
}

TEST(removed_calls)
{
	static const int gone[] = {134, 156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 205, 211, 212, 214, 215, 236};

	/* uselib .. vserver: numbers that Linux keeps but does not answer (uselib and _sysctl among them). */
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CHECK_EQ(raw(gone[i], 0), -ENOSYS);
}

TEST(upper_half_is_ignored)
{
	/* Only the lower 32 bits of rax are the number. */
	CHECK_EQ(raw((long)(0x100000000ul | SYS_getpid), 0), getpid());
}

TEST(many)
{
	int pid = getpid();

	for (int i = 0; i < 500; i++)
		if (!CHECK_EQ(raw(SYS_getpid, 0), pid) || !CHECK_EQ(raw(999, 0), -ENOSYS))
			break;
}
