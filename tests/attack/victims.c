/*
 * Not an attack of its own: a family that the runner shoots at from outside.  Three children, told apart on the host by
 * how much address space they have (10, 20 and 30 GiB more than their parent); the runner kills the stub of one.  It must
 * be seen to die by SIGKILL, and the others must still answer.
 */
#include "attack.h"

static void child(int index, int in, int out)
{
	char c;

	if (mmap(NULL, (size_t)index * 10 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		_exit(1);
	while (read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			_exit(2);
	_exit(0);
}

TEST(one_is_shot)
{
	int to[3][2], from[3][2], status;
	pid_t pids[3], gone;

	for (int i = 0; i < 3; i++) {
		REQUIRE(pipe(to[i]) == 0 && pipe(from[i]) == 0);
		pids[i] = h_fork();
		if (pids[i] == 0) {
			for (int k = 0; k <= i; k++)
				close(to[k][1]);
			child(i + 1, to[i][0], from[i][1]);
		}
	}
	for (int i = 0; i < 3; i++) {
		char c = 'r';

		REQUIRE(write(to[i][1], &c, 1) == 1);
		REQUIRE(read(from[i][0], &c, 1) == 1);
	}
	printf("ready\n");
	fflush(stdout);
	gone = wait(&status);
	CHECK_EQ(gone, pids[2]);
	CHECK_EQ(status, SIGKILL);
	for (int i = 0; i < 2; i++) {
		char c = (char)('0' + i), got = 0;

		CHECK_EQ(write(to[i][1], &c, 1), 1);
		CHECK_EQ(read(from[i][0], &got, 1), 1);
		CHECK_EQ(got, c);
		kill(pids[i], SIGTERM);
		CHECK_EQ(h_wait(pids[i]), SIGTERM);
	}
	still_alive();
	printf("survived\n");
	fflush(stdout);
}
