/*
 * One program after the other: an address space that is made of what another program left must be as good as new.  Each
 * program here leaves secrets, threads and signals behind, and the next looks for them.
 */
#include "harness.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define EXECS 300
#define SECRETS 6
#define SECRET_SIZE (1 << 16)
#define BURN_NS 150000000ll
#define BURN_PAGES 4000

extern char **environ;

/* All over what user space has, away from where Linux puts things: the heap lies anywhere in the first GiB. */
static const uintptr_t secret_at[SECRETS] = {0x90000000, 0xf0000000, 0x100000000, 0x8000000000, 0x200000000000, 0x3f0000000000};

static sigjmp_buf out;

static void on_fault(int sig)
{
	siglongjmp(out, sig);
}

static bool touches(uintptr_t at)
{
	if (sigsetjmp(out, 1))
		return false;
	(void)*(volatile char *)at;
	return true;
}

/* Nothing at `at`: neither for who touches it nor for who asks. */
static bool is_hole(uintptr_t at)
{
	unsigned char in_core;

	return !touches(at) && mincore((void *)at, 4096, &in_core) == -1 && errno == ENOMEM;
}

/* What /proc/self/maps does not tell of is not there: the edges and the middle of each gap.  0, or the number of pages that are. */
static int look_around(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t start, end, last = 0x10000;
	char line[512];
	int found = 0;

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	for (int i = 0; i < SECRETS; i++)
		found += !is_hole(secret_at[i]) + !is_hole(secret_at[i] + SECRET_SIZE - 4096);
	REQUIRE(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) != 2 || start >= 0x7fff00000000)
			continue;
		if (start > last && !strstr(line, "[stack]")) /* which grows down into its gap */
			found += !is_hole(last) + !is_hole(start - 4096) + !is_hole(((start - last) / 2 + last) & ~4095ul);
		last = end;
	}
	fclose(maps);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return found;
}

static void leave_secrets(void)
{
	for (int i = 0; i < SECRETS; i++) {
		char *p = mmap((void *)secret_at[i], SECRET_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		REQUIRE(p == (char *)secret_at[i]);
		memset(p, 0xa5, SECRET_SIZE);
	}
}

/* ---- threads that are alive when their program is left ---- */

static pthread_barrier_t ready;

static void *spins(void *arg)
{
	pthread_barrier_wait(&ready);
	for (;;)
		;
	return NULL;
}

static void *sleeps_masked(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return NULL;
}

static void *calls(void *arg)
{
	pthread_barrier_wait(&ready);
	for (;;)
		syscall(SYS_getppid);
	return NULL;
}

static void leave_threads(void)
{
	static void *(*const kinds[])(void *) = {spins, sleeps_masked, calls};
	pthread_t t;

	pthread_barrier_init(&ready, NULL, 4);
	for (int i = 0; i < 3; i++)
		REQUIRE(pthread_create(&t, NULL, kinds[i], NULL) == 0);
	pthread_barrier_wait(&ready);
}

static int thread_count(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	int n = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Threads: %d", &n);
	if (f)
		fclose(f);
	return n;
}

/* "@again LEFT": looks around, and is the next one after leaving what it can; 66 if it found anything. */
static int again(const char *left)
{
	int n = atoi(left);
	char next[16], *argv[] = {"x", "@again", next, NULL};
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (look_around() || thread_count() != 1 || !sigismember(&mask, SIGUSR2) || sigismember(&mask, SIGUSR1))
		return 66;
	if (n == 0)
		return 33;
	leave_secrets();
	if (n % 3 == 0)
		leave_threads();
	snprintf(next, sizeof(next), "%d", n - 1);
	execve("/proc/self/exe", argv, environ);
	return 67;
}

static int64_t cpu_ns(void)
{
	return h_now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static int burn(void)
{
	char *p = mmap(NULL, BURN_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	madvise(p, BURN_PAGES * 4096, MADV_NOHUGEPAGE);
	while (cpu_ns() < BURN_NS)
		for (int i = 0; i < BURN_PAGES; i++)
			p[i * 4096]++;
	return 0;
}

/* What it has used itself, which is next to nothing. */
static int frugal(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	if (cpu_ns() > BURN_NS / 2 || h_now_ns(CLOCK_THREAD_CPUTIME_ID) > BURN_NS / 2)
		return 1;
	return r.ru_minflt < 0 || r.ru_minflt > BURN_PAGES / 2 ? 2 : 0;
}

ROLE(argc, argv)
{
	if (strcmp(argv[1], "@again") == 0)
		return again(argv[2]);
	if (strcmp(argv[1], "@burn") == 0)
		return burn();
	return frugal();
}

static int run(char *const argv[])
{
	pid_t pid;

	REQUIRE(posix_spawn(&pid, h_self, NULL, NULL, argv, environ) == 0);
	return h_wait(pid);
}

TEST(three_hundred_programs)
{
	char count[16];
	char *argv[] = {"x", "@again", count, NULL};
	sigset_t one;
	pid_t pid = h_fork();

	snprintf(count, sizeof(count), "%d", EXECS);
	if (pid == 0) {
		sigemptyset(&one);
		sigaddset(&one, SIGUSR2);
		sigprocmask(SIG_SETMASK, &one, NULL);
		execve(h_self, argv, environ);
		_exit(255);
	}
	CHECK_EQ(h_wait(pid), 33 << 8);
}

TEST(after_those_that_were_killed)
{
	char *argv[] = {"x", "@again", "0", NULL};
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	sigprocmask(SIG_BLOCK, &one, NULL);
	for (int i = 0; i < 20; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			leave_secrets();
			leave_threads();
			if (i % 2)
				_exit(0);
			raise(SIGKILL);
		}
		h_wait(pid);
		CHECK_EQ(run(argv), 33 << 8);
	}
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

TEST(time_and_faults_are_ones_own)
{
	char *burner[] = {"x", "@burn", NULL}, *thrifty[] = {"x", "@frugal", NULL};

	for (int i = 0; i < 3; i++) {
		struct rusage before, after;

		CHECK_EQ(run(burner), 0);
		getrusage(RUSAGE_CHILDREN, &before);
		CHECK_EQ(run(thrifty), 0);
		getrusage(RUSAGE_CHILDREN, &after);
		CHECK(after.ru_minflt - before.ru_minflt < BURN_PAGES / 2 && after.ru_minflt >= before.ru_minflt);
		CHECK((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec - before.ru_utime.tv_usec <
		      BURN_NS / 2000);
	}
}
