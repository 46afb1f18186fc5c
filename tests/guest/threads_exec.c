/* Eight threads that fork and execute programs at once, while the others allocate and take signals. */
#include "harness.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>

#define THREADS 8
#define ROUNDS 6

extern char **environ;

ROLE(argc, argv)
{
	return atoi(argv[2]);
}

static void *fork_and_exec(void *arg)
{
	int me = (int)(intptr_t)arg, bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		char code[16];
		char *argv[] = {"x", "@exit", code, NULL};
		int want = me * 10 + i, status;
		pid_t pid;

		snprintf(code, sizeof(code), "%d", want);
		if (i % 2) {
			if (posix_spawn(&pid, h_self, NULL, NULL, argv, environ))
				return (void *)-1;
		} else {
			pid = fork();
			if (pid == 0) {
				execve(h_self, argv, environ);
				_exit(255);
			}
		}
		status = h_wait(pid);
		if (status != want << 8) {
			h_say("thread %d round %d: status %x\n", me, i, status);
			bad++;
		}
		/* A mapping of its own comes and goes meanwhile. */
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return (void *)-2;
		memset(p, me, 65536);
		for (int k = 0; k < 65536; k += 4096)
			bad += p[k] != me;
		munmap(p, 65536);
	}
	return (void *)(intptr_t)bad;
}

TEST(eight_threads)
{
	pthread_t t[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&t[i], NULL, fork_and_exec, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		CHECK_EQ((intptr_t)bad, 0);
	}
	CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD);
}

static void *exec_race(void *arg)
{
	char *argv[] = {"x", "@exit", "5", NULL};

	pthread_barrier_wait(arg);
	execve(h_self, argv, environ);
	_exit(99);
}

TEST(all_exec_at_once)
{
	/* One of them wins; the process becomes its program, once. */
	for (int round = 0; round < 5; round++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			pthread_barrier_t b;
			pthread_t t;

			pthread_barrier_init(&b, NULL, THREADS);
			for (int i = 1; i < THREADS; i++)
				REQUIRE(pthread_create(&t, NULL, exec_race, &b) == 0);
			exec_race(&b);
		}
		CHECK_EQ(h_wait(pid), 5 << 8);
	}
}

static void *exit_race(void *arg)
{
	pthread_barrier_wait(arg);
	_exit(6);
}

TEST(exec_against_exit)
{
	for (int round = 0; round < 5; round++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			pthread_barrier_t b;
			pthread_t t;

			pthread_barrier_init(&b, NULL, 2);
			REQUIRE(pthread_create(&t, NULL, exit_race, &b) == 0);
			exec_race(&b);
		}
		int status = h_wait(pid);
		CHECK(status == 5 << 8 || status == 6 << 8);
	}
}
