/*
 * For the programs about pipes that two threads use in small pieces: two pipes, p and q, and calls from one site each, so that a
 * kernel may make them cheap.
 */
#ifndef BAILEY_TESTS_PIPE_LENT_H
#define BAILEY_TESTS_PIPE_LENT_H

#include "harness.h"

#include <pthread.h>

#define MANY 60
#define ROUNDS 40

/* read(2) and write(2) from one site each; -errno for an error. */
__asm__(".text\n.balign 16\nread_call: mov $0, %eax\nsyscall\nret\n.balign 16\nwrite_call: mov $1, %eax\nsyscall\nret\n");
extern long read_call(long fd, void *buf, long len);
extern long write_call(long fd, const void *buf, long len);

static int p[2], q[2];

H_UNUSED static void open_pipes(void)
{
	REQUIRE(pipe(p) == 0 && pipe(q) == 0);
}

H_UNUSED static void close_pipes(void)
{
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

/* Uses the pipe until it may well be lent. */
H_UNUSED static void use(int in, int out)
{
	char c;

	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(write_call(out, &i, 1), 1);
		CHECK_EQ(read_call(in, &c, 1), 1);
		CHECK_EQ(c, i);
	}
}

H_UNUSED static uint8_t byte_at(uint64_t n)
{
	return (uint8_t)(n * 31 + (n >> 8));
}

/* Gives back what comes by in, until its end. */
H_UNUSED static void echo(int in, int out)
{
	char buf[512];
	long n;

	while ((n = read_call(in, buf, sizeof(buf))) > 0)
		if (write_call(out, buf, n) != n)
			return;
}

H_UNUSED static void *echo_thread(void *arg)
{
	echo(p[0], q[1]);
	return NULL;
}

H_UNUSED static void to_and_fro(int rounds)
{
	char buf[512], back[512];

	for (int i = 0; i < rounds && !h_failures; i++) {
		long len = 1 + i % (i % 5 ? 8 : 500), n = 0, k;

		memset(buf, i, (size_t)len);
		CHECK_EQ(write_call(p[1], buf, len), len);
		for (; n < len; n += k) {
			k = read_call(q[0], back + n, len - n);
			if (!CHECK(k > 0))
				return;
		}
		CHECK(memcmp(buf, back, (size_t)len) == 0);
	}
}

#endif
