/* Threads that write over everything writable above the ceiling while others make calls. */
#include "attack.h"

#include <pthread.h>

static struct found found;
static unsigned seed = 1;

static unsigned next_random(unsigned *s)
{
	*s = *s * 1103515245 + 12345;
	return *s >> 8;
}

enum kind { NOISE, WORDS, POINTERS, FLIPS };

struct job {
	enum kind kind;
	unsigned seed;
	int pages;
};

static void *scribble(void *arg)
{
	struct job *j = arg;

	for (;;)
		for (int i = 0; i < found.count; i++) {
			volatile uint64_t *page = (volatile uint64_t *)found.page[i];

			if (!found.writable[i])
				continue;
			for (int k = 0; k < 512; k++)
				switch (j->kind) {
				case NOISE:
					page[k] = (uint64_t)next_random(&j->seed) << 32 | next_random(&j->seed);
					break;
				case WORDS: /* the hand-over word and its neighbours */
					page[0] = next_random(&j->seed) % 8;
					break;
				case POINTERS:
					page[k] = CEILING + next_random(&j->seed) % 0x10000000;
					break;
				case FLIPS:
					page[next_random(&j->seed) % 512] ^= 1ull << (next_random(&j->seed) % 64);
					break;
				}
		}
	return NULL;
}

static void *calls(void *arg)
{
	char buf[256];

	for (;;) {
		int fd = open("/proc/self/status", O_RDONLY);

		getppid();
		sigprocmask(SIG_BLOCK, NULL, NULL);
		if (fd >= 0) {
			if (read(fd, buf, sizeof(buf)) < 0)
				return NULL;
			close(fd);
		}
		char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED)
			munmap(p, 8192);
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return NULL;
}

static void attack(enum kind kind)
{
	for (int round = 0; round < 8; round++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			struct job jobs[2] = {{kind, seed + (unsigned)round, 0}, {kind, seed + 77u + (unsigned)round, 0}};
			pthread_t t;

			/* The threads first: their channels are to be found too. */
			pthread_create(&t, NULL, calls, NULL);
			pthread_create(&t, NULL, calls, NULL);
			find_pages(&found);
			for (int sig = 1; sig < 32; sig++)
				signal(sig, round % 2 ? SIG_DFL : SIG_IGN);
			pthread_create(&t, NULL, scribble, &jobs[0]);
			scribble(&jobs[1]);
		}
		finish_off(pid, 300);
		still_alive();
	}
	seed += 100;
}

TEST(noise)
{
	attack(NOISE);
}

TEST(words)
{
	attack(WORDS);
}

TEST(pointers)
{
	attack(POINTERS);
}

TEST(flips)
{
	attack(FLIPS);
}

static struct gate neighbour;

TEST(neighbours_are_untouched)
{
	/* A process that works while its sibling scribbles must get every answer right. */
	pid_t worker, bad;

	gate_init(&neighbour);
	worker = h_fork();
	if (worker == 0) {
		char buf[64];
		int fd;

		use_tmpdir();
		h_dir_owner = getpid();
		fd = open("f", O_RDWR | O_CREAT, 0600);
		gate_pass(&neighbour);
		for (int i = 0; i < 300; i++) {
			int n = snprintf(buf, sizeof(buf), "line %d", i);

			REQUIRE(pwrite(fd, buf, (size_t)n, 0) == n);
			memset(buf, 0, sizeof(buf));
			REQUIRE(pread(fd, buf, sizeof(buf), 0) >= n && atoi(buf + 5) == i);
			REQUIRE(getpid() == (int)syscall(SYS_gettid));
		}
		h_cleanup();
		child_exit();
	}
	bad = h_fork();
	if (bad == 0) {
		struct job j = {NOISE, 5, 0};
		pthread_t t;

		pthread_create(&t, NULL, calls, NULL);
		find_pages(&found);
		gate_open(&neighbour);
		scribble(&j);
	}
	finish_off(bad, 500);
	/* Whether or not the scribbler came as far as opening the gate. */
	gate_open(&neighbour);
	CHECK_EQ(finish_off(worker, 20000), 0);
	gate_free(&neighbour);
	still_alive();
}
