/* The first program: it writes a line, looks at its arguments and ends. */
#include "harness.h"

TEST(write)
{
	CHECK_EQ(write(1, "hello\n", 6), 6);
}

TEST(stdio)
{
	CHECK_EQ(printf("hello, %s\n", "stdio"), 13);
	CHECK_EQ(fflush(stdout), 0);
}

TEST(malloc)
{
	char *small = malloc(100), *large = malloc(8 << 20);

	REQUIRE(small && large);
	memset(small, 1, 100);
	memset(large, 2, 8 << 20);
	CHECK(large[(8 << 20) - 1] == 2);
	free(small);
	free(large);
}

TEST(pid)
{
	CHECK(getpid() > 0);
	CHECK_EQ(syscall(SYS_gettid), getpid());
	CHECK(getppid() >= 0);
}
