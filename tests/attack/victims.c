/*
 * Not an attack of its own: a family that the runner shoots at from outside.  Three children, told apart on the host by
 * how much address space they have (10, 20 and 30 GiB more than their parent); the runner kills or freezes the stub of one.
 * It must be seen to die by SIGKILL, and the others must still answer.
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

#define CHILDREN 3
#define TARGET 2 /* the one with the most address space */

struct family {
	int to[CHILDREN][2], from[CHILDREN][2];
	pid_t pids[CHILDREN];
};

/* Asks child i and waits for its answer; false if none comes within ms. */
static bool answers(struct family *f, int i, int ms)
{
	struct pollfd p = {.fd = f->from[i][0], .events = POLLIN};
	char c = (char)('0' + i), got = 0;

	if (write(f->to[i][1], &c, 1) != 1 || poll(&p, 1, ms) != 1)
		return false;
	return read(f->from[i][0], &got, 1) == 1 && got == c;
}

static void begin(struct family *f)
{
	for (int i = 0; i < CHILDREN; i++) {
		REQUIRE(pipe(f->to[i]) == 0 && pipe(f->from[i]) == 0);
		f->pids[i] = h_fork();
		if (f->pids[i] == 0) {
			for (int k = 0; k <= i; k++)
				close(f->to[k][1]);
			child(i + 1, f->to[i][0], f->from[i][1]);
		}
	}
	for (int i = 0; i < CHILDREN; i++)
		REQUIRE(answers(f, i, -1));
	printf("ready\n");
	fflush(stdout);
}

static void others_go_on(struct family *f)
{
	for (int i = 0; i < TARGET; i++) {
		CHECK(answers(f, i, -1));
		kill(f->pids[i], SIGTERM);
		CHECK_EQ(h_wait(f->pids[i]), SIGTERM);
	}
	still_alive();
	if (h_failures == 0) {
		printf("survived\n");
		fflush(stdout);
	}
}

TEST(one_is_shot)
{
	struct family f;
	int status;

	begin(&f);
	CHECK_EQ(wait(&status), f.pids[TARGET]);
	CHECK_EQ(status, SIGKILL);
	others_go_on(&f);
}

static void run_programs(int count)
{
	for (volatile int i = 0; i < count; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		CHECK_EQ(h_wait(pid), 0);
	}
}

/* Not shot at: the runner looks which processes of the host there are after a few programs, tells it to go on, and looks again. */
TEST(many_programs)
{
	sigset_t go_on;
	int sig;

	sigemptyset(&go_on);
	sigaddset(&go_on, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go_on, NULL);
	run_programs(20);
	printf("ready\n");
	fflush(stdout);
	CHECK_EQ(sigwait(&go_on, &sig), 0);
	run_programs(200);
	printf("%s\n", h_failures == 0 ? "done" : "failed");
	fflush(stdout);
	sigwait(&go_on, &sig);
}

/* Once it is frozen it does not answer any more, and cannot even die; but its parent has it killed. */
TEST(one_is_frozen)
{
	struct timespec nap = {0, 10000000};
	struct family f;
	int status = 0;

	begin(&f);
	while (answers(&f, TARGET, 2000))
		nanosleep(&nap, NULL);
	printf("frozen\n");
	fflush(stdout);
	CHECK_EQ(kill(f.pids[TARGET], SIGKILL), 0);
	CHECK_EQ(waitpid(f.pids[TARGET], &status, 0), f.pids[TARGET]);
	CHECK_EQ(status, SIGKILL);
	others_go_on(&f);
}
