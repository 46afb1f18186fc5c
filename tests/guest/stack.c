/* Mappings that grow downwards: the main stack under a raised limit, MAP_GROWSDOWN, its limit, and the gap below it. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul
#define GAP (256 * PAGE)

/* A place with much room below: a mapping is made and taken away again. */
static char *room(size_t len)
{
	char *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(p != MAP_FAILED && munmap(p, len) == 0);
	return p;
}

static char *map_at(char *at, size_t len, int extra)
{
	char *p = mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | extra, -1, 0);

	REQUIRE(p == at);
	return p;
}

/* How a child that writes to p ends: 0, or by which signal. */
static int writing(volatile char *p)
{
	int status;
	pid_t pid = h_fork();

	if (pid == 0) {
		*p = 'w';
		_exit(*p == 'w' ? 0 : 1);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void limit(int what, rlim_t cur)
{
	struct rlimit r;

	REQUIRE(getrlimit(what, &r) == 0);
	r.rlim_cur = cur;
	REQUIRE(setrlimit(what, &r) == 0);
}

__attribute__((noinline)) static int deep(int kib)
{
	volatile char room_here[1024];

	room_here[0] = 1;
	return kib > 0 ? deep(kib - 1) + room_here[0] : 0;
}

static void one_core_less(void)
{
	limit(RLIMIT_CORE, 0);
}

TEST(raised_limit)
{
	struct rlimit r;
	int status;
	pid_t pid;

	REQUIRE(getrlimit(RLIMIT_STACK, &r) == 0);
	if (r.rlim_max < (48ul << 20) || r.rlim_cur > (16ul << 20))
		SKIP("the limit of the stack is not as usual");
	one_core_less();
	pid = h_fork();
	if (pid == 0) {
		limit(RLIMIT_STACK, 48ul << 20);
		CHECK_EQ(deep(30 * 1024), 30 * 1024);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0)
		_exit(deep((int)(r.rlim_cur / 1024) + 64) > 0 ? 0 : 1);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST(grows_down)
{
	char *low = room(64 << 20), *p = map_at(low + (60 << 20), 4 * PAGE, MAP_GROWSDOWN), line[256], want[40];
	bool shown = false;
	FILE *f;

	p[-1] = 1;
	p[-1024 * (long)PAGE] = 2; /* more than one page at once */
	CHECK(p[-1] == 1 && p[-500 * (long)PAGE] == 0);
	snprintf(want, sizeof(want), "%lx-%lx rw-p", (unsigned long)(p - 1024 * PAGE), (unsigned long)(p + 4 * PAGE));
	f = fopen("/proc/self/maps", "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		shown |= strncmp(line, want, strlen(want)) == 0;
	fclose(f);
	CHECK(shown);
	OK(munmap(p - 1024 * PAGE, 1028 * PAGE));
	CHECK_EQ(writing(p - PAGE), SIGSEGV);
}

TEST(not_past_the_limit)
{
	char *low = room(64 << 20), *p = map_at(low + (60 << 20), PAGE, MAP_GROWSDOWN);
	pid_t pid;

	one_core_less();
	pid = h_fork();
	if (pid == 0) {
		limit(RLIMIT_STACK, 1 << 20);
		CHECK_EQ(writing(p - (1 << 20) + PAGE), 0);
		CHECK_EQ(writing(p - (1 << 20)), SIGSEGV);
		limit(RLIMIT_STACK, 8 << 20);
		limit(RLIMIT_AS, PAGE); /* less than there is */
		CHECK_EQ(writing(p - PAGE), SIGSEGV);
		child_exit();
	}
	JOIN(pid);
}

TEST(gap)
{
	char *low = room(64 << 20), *p = map_at(low + (60 << 20), PAGE, MAP_GROWSDOWN);
	char *below = map_at(p - GAP - 16 * PAGE, PAGE, 0);

	one_core_less();
	CHECK_EQ(writing(p - 15 * PAGE), 0); /* the gap is just left */
	CHECK_EQ(writing(p - 16 * PAGE), SIGSEGV);
	OK(mprotect(below, PAGE, PROT_NONE)); /* what cannot be used is gap enough */
	CHECK_EQ(writing(p - 16 * PAGE), 0);
	CHECK_EQ(writing(p - PAGE * 100), 0);
	OK(munmap(p, PAGE));
}

/* Where the main stack begins by now. */
static char *stack_start(void)
{
	unsigned long start = 0, end;
	char line[256];
	FILE *f = fopen("/proc/self/maps", "r");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strstr(line, "[stack]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			start = 0;
		else
			break;
	fclose(f);
	REQUIRE(start != 0);
	return (char *)start;
}

/* What lies a few pages below the main stack stays what it is, however the stack grows. */
TEST(near_neighbour)
{
	char *start = stack_start(), *guard = start - 16 * PAGE;

	one_core_less();
	REQUIRE(mmap(guard, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == guard);
	memset(guard, 'g', PAGE);
	CHECK_EQ(writing(start - PAGE), SIGSEGV); /* too near */
	CHECK_EQ(guard[0], 'g');
	OK(mprotect(guard, PAGE, PROT_NONE)); /* to this the stack may come close */
	start[-(long)PAGE] = 's';
	CHECK_EQ(writing(guard), SIGSEGV);
	CHECK_EQ(writing(guard + PAGE), 0);
	OK(mprotect(guard, PAGE, PROT_READ));
	CHECK_EQ(guard[PAGE - 1], 'g');
	OK(munmap(guard, PAGE));
}

TEST(limits)
{
	struct rlimit r;
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	REQUIRE(getrlimit(RLIMIT_AS, &r) == 0);
	limit(RLIMIT_AS, 256 << 20);
	CHECK_ERR((long)mmap(NULL, 512 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	limit(RLIMIT_AS, r.rlim_max);
	limit(RLIMIT_DATA, 16 << 20);
	CHECK_ERR((long)mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK(mmap(NULL, 32 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(sbrk(32 << 20) == (void *)-1 && errno == ENOMEM);
	child_exit();
}

static volatile uintptr_t handler_at;

static void note_place(int sig)
{
	handler_at = (uintptr_t)&sig;
}

/* The frame of a signal is an access like the program's own: here its stack is about to be left. */
TEST(signal_frame_grows)
{
	char *low = room(64 << 20), *p = map_at(low + (60 << 20), PAGE, MAP_GROWSDOWN);
	struct sigaction sa = {.sa_handler = note_place};
	unsigned long old;

	sigaction(SIGUSR1, &sa, NULL);
	asm volatile("mov %%rsp, %0\n\tmov %1, %%rsp\n\tsyscall\n\tmov %0, %%rsp"
		     : "=&r"(old)
		     : "r"(p + 128), "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
		     : "rcx", "r11", "memory");
	CHECK(handler_at < (uintptr_t)p && handler_at > (uintptr_t)p - 16 * PAGE);
	OK(munmap(p, PAGE));
}

/* ---- the main stack from its beginning ---- */

static void main_stack(unsigned long *start, unsigned long *end)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	REQUIRE(f);
	*start = *end = 0;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[stack]"))
			sscanf(line, "%lx-%lx", start, end);
	fclose(f);
	REQUIRE(*start);
}

/* Touches so much of it, from the top down. */
__attribute__((noinline)) static void use_stack(size_t bytes)
{
	volatile char *p = __builtin_alloca(bytes);

	for (size_t i = bytes; i >= 4096; i -= 4096)
		p[i - 1] = 1;
}

/* A buffer that nobody has touched is filled by the kernel. */
__attribute__((noinline)) static bool read_onto_stack(void)
{
	char buf[1 << 20];
	int fd = open("/dev/zero", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf));

	close(fd);
	return n == sizeof(buf) && buf[12345] == 0;
}

ROLE(argc, argv)
{
	unsigned long start, end, after;

	main_stack(&start, &end);
	CHECK(end - start >= 132 * 1024 && end - start <= 512 * 1024);
	if (argc > 2 && !strcmp(argv[2], "kernel")) {
		CHECK(read_onto_stack());
	} else if (argc > 2 && !strcmp(argv[2], "lower")) {
		struct rlimit r = {512 * 1024, 512 * 1024};

		OK(setrlimit(RLIMIT_STACK, &r));
		use_stack(2 << 20);
		H_FAIL("the lowered limit did not hold\n");
	} else {
		use_stack(2 << 20);
	}
	main_stack(&after, &end);
	CHECK(start - after >= 800 * 1024);
	CHECK(end - after <= 8ul << 20);
	return h_failures ? 1 : 0;
}

static int run_role(const char *how)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit r = {8 << 20, 8 << 20};

		setrlimit(RLIMIT_STACK, &r);
		execl(h_self, h_self, "@stack", how, NULL);
		_exit(99);
	}
	return h_wait(pid);
}

TEST(starts_small_and_grows)
{
	CHECK_EQ(run_role("touch"), 0);
	CHECK_EQ(run_role("kernel"), 0);
}

TEST(a_lowered_limit_binds)
{
	CHECK_EQ(run_role("lower"), SIGSEGV);
}
