/*
 * Attacks by way of the descriptors that a guest's host process has: what comes in for one mapping is received by somebody else, kept,
 * mapped otherwise, exchanged for another, or left for the next program.  Of all this nothing may come but what could be read
 * anyway.
 */
#include "attack.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>

#define PAGE 4096ul
#define ROUNDS 20
#define SCRATCH 0x90000000ul /* a page for mappings behind everybody's back */
#define RECEIVE (MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
#define PRIVATE (MAP_PRIVATE | MAP_FIXED)

extern char **environ;
static struct found found;
static uintptr_t at;	     /* a call from the shim, or 0 */
static uintptr_t leader_at;  /* where a leader begins with a call of its request */
static char *own;	     /* room in a channel that nobody uses while there are threads */
static char junk[8192] __attribute__((aligned(4096)));

static long from_shim(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return call_from_shim(at, junk, nr, a, b, c, d, e, f);
}

/* False: this platform has nothing of the kind. */
static bool prepare(void)
{
	static const unsigned char next_call[] = {0x4d, 0x85, 0xed, 0x74}; /* test %r13, %r13; jz */

	find_pages(&found);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	at = obliging_call(&found);
	for (int i = 0; i < found.count; i++) {
		uintptr_t page = found.page[i];

		if (found.writable[i] && page >= SYSTRAP_CHANNELS && page % SYSTRAP_CHANNEL_SIZE == 0)
			own = (char *)page + CH_OUT;
		if (found.writable[i] || page % SYSTRAP_REQUESTS_OFF != SYSTRAP_LEADER_OFF)
			continue;
		for (size_t n = 0; n < 512 && !leader_at; n++)
			if (memcmp((char *)page + n, next_call, sizeof(next_call)) == 0)
				leader_at = page + n;
	}
	return at && own;
}

/* Receives a file at SYSTRAP_FILE_FD, if one is on its way. */
static bool receive(void)
{
	struct msghdr *m = (struct msghdr *)own;

	*m = (struct msghdr){.msg_control = own + sizeof(*m), .msg_controllen = 24};
	return from_shim(SYS_recvmsg, SYSTRAP_SOCKET_FD, (uint64_t)m, RECEIVE, 0, 0, 0) == 0;
}

static bool map_kept(int prot, int flags, uint64_t off)
{
	return from_shim(SYS_mmap, SCRATCH, PAGE, (uint64_t)prot, (uint64_t)flags, SYSTRAP_FILE_FD, off) == (long)SCRATCH;
}

/* Two calls from the leader's page, the first of which gives other than 0, the second 0. */
static void from_leader(const uint64_t first[4], const uint64_t second[4])
{
	uint64_t calls[2][8] = {{first[0], first[1], first[2], first[3]}, {second[0], second[1], second[2], second[3]}};
	register uint64_t r12 __asm__("r12") = (uint64_t)calls, r13 __asm__("r13") = 2;

	__asm__ volatile("leaq 1f(%%rip), %%rax; movq %%rax, 120(%%r12); subq $128, %%rsp; jmp *%[to]; 1: addq $128, %%rsp"
			 : "+r"(r12), "+r"(r13)
			 : [to] "r"(leader_at)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r14", "memory");
}

/* Something at SYSTRAP_FD that cannot be mapped, and no socket. */
static void disarm(bool socket_too)
{
	const uint64_t nothing[4] = {SYS_dup2, SYSTRAP_NO_FD, SYSTRAP_FD, 0};
	const uint64_t close_them[4] = {SYS_close_range, socket_too ? SYSTRAP_SOCKET_FD : SYSTRAP_FILE_FD, UINT32_MAX, 0};

	if (leader_at)
		from_leader(nothing, close_them);
}

/* A file of two pages, open for reading alone. */
static int file_of(const char *name, char c, int flags)
{
	char page[PAGE];
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	REQUIRE(fd >= 0);
	for (int i = 0; i < 2; i++) {
		memset(page, c + i, PAGE);
		REQUIRE(write(fd, page, PAGE) == PAGE);
	}
	close(fd);
	fd = open(name, flags);
	REQUIRE(fd >= 0);
	/* Numbers that the host's process uses, too, are none of the guest's: what the sentry answers is EBADF. */
	if (fd < 10) {
		int high = fcntl(fd, F_DUPFD, 100);

		close(fd);
		fd = high;
	}
	return fd;
}

static bool is_whole(const char *name, char c)
{
	char buf[2 * PAGE];
	int fd = open(name, O_RDONLY);
	bool whole = fd >= 0 && read(fd, buf, sizeof(buf)) == sizeof(buf);

	for (size_t i = 0; whole && i < sizeof(buf); i++)
		whole = buf[i] == c + (char)(i / PAGE);
	close(fd);
	return whole;
}

static char *map_file(int fd, int prot, int flags)
{
	return mmap(NULL, PAGE, prot, flags, fd, 0);
}

/* ---- of a program that has just begun ---- */

/* 66: there is a file of somebody else's; 67: one is on its way. */
ROLE(argc, argv)
{
	if (!prepare())
		return 0;
	close(SYSTRAP_FILE_FD); /* the guest's own */
	if (map_kept(PROT_READ, PRIVATE, 0))
		return 66;
	if (receive() && map_kept(PROT_READ, PRIVATE, 0))
		return 67;
	return 0;
}

/* ---- the attacks ---- */

TEST(every_descriptor)
{
	static const int flags[] = {MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_FIXED, MAP_SHARED | MAP_FIXED};

	if (!prepare())
		SKIP("no such thing here");
	for (int fd = 3; fd < 10; fd++)
		close(fd);
	for (uint64_t fd = 0; fd < 10; fd++)
		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			for (uint64_t prot = 1; prot < 8; prot++)
				CHECK(from_shim(SYS_mmap, SCRATCH, PAGE, prot, (uint64_t)flags[i], fd, 0) < 0);
	/* Nothing comes in but by one of them, and there is none of this number to be had otherwise. */
	for (uint64_t fd = 0; fd < 10; fd++) {
		CHECK(fd < 3 || from_shim(SYS_dup2, fd, SYSTRAP_FILE_FD, 0, 0, 0, 0) < 0);
		CHECK(from_shim(SYS_recvmsg, fd, (uint64_t)own, RECEIVE, 0, 0, 0) < 0);
		CHECK(from_shim(SYS_recvmsg, fd, (uint64_t)own, 0, 0, 0, 0) < 0);
	}
	still_alive();
}

static volatile int stop, kept;
static int steals; /* how often that came off */

/* Receives what others are to map, and keeps it, for they are not told that there is something to be received, and closed. */
static void *thief(void *arg)
{
	while (!stop) {
		for (int i = 0; i < found.count; i++)
			if (found.writable[i] && found.page[i] % SYSTRAP_CHANNEL_SIZE == 0)
				*(volatile uint32_t *)(found.page[i] + CH_DO_FILE) = 0;
		if (receive())
			kept = 1;
	}
	return NULL;
}

/* Keeps a file that this process maps. */
static void steal(int fd)
{
	pthread_t t;

	stop = kept = 0;
	REQUIRE(pthread_create(&t, NULL, thief, NULL) == 0);
	for (int i = 0; i < 2000 && !map_kept(PROT_READ, PRIVATE, 0); i++) {
		char *p = map_file(fd, PROT_READ, MAP_PRIVATE);

		if (p != MAP_FAILED)
			munmap(p, PAGE);
	}
	stop = 1;
	pthread_join(t, NULL);
	if (kept)
		steals++;
}

TEST(keeps_a_file)
{
	int fd;

	use_tmpdir();
	fd = file_of("f", 'a', O_RDONLY);
	if (!prepare())
		SKIP("no such thing here");
	steal(fd);
	CHECK(map_kept(PROT_READ, PRIVATE, 0));
	close(SYSTRAP_FILE_FD);
	/* All of the file, for it could be read; but not to be written to. */
	for (int prot = 1; prot < 8; prot++) {
		CHECK(!map_kept(prot, MAP_SHARED | MAP_FIXED, 0));
		CHECK(!map_kept(prot, MAP_SHARED, 0));
		CHECK(!map_kept(prot, MAP_SHARED_VALIDATE | MAP_FIXED, 0));
		if (map_kept(prot, PRIVATE, PAGE) && (prot & PROT_WRITE))
			memset((void *)SCRATCH, 'X', PAGE);
	}
	CHECK(is_whole("f", 'a'));
	/* The process goes on. */
	for (int i = 0; i < 100; i++) {
		char *p = map_file(fd, PROT_READ, MAP_PRIVATE);

		CHECK(p != MAP_FAILED && p[0] == 'a');
		munmap(p, PAGE);
	}
	still_alive();
}

TEST(leaves_it_to_the_next)
{
	char *argv[] = {"x", "@next", NULL};
	int fd, statuses[2] = {0, 0};

	use_tmpdir();
	fd = file_of("f", 'a', O_RDONLY);
	if (!prepare())
		SKIP("no such thing here");
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = h_fork(), next;
		int status;

		if (pid == 0) {
			prepare(); /* it has a channel of its own */
			steal(fd);
			if (round % 2)
				execve(h_self, argv, environ);
			_exit(steals ? 0 : 1);
		}
		status = finish_off(pid, 20000);
		CHECK(WIFSIGNALED(status) || WIFEXITED(status));
		statuses[status == 0]++;
		REQUIRE(posix_spawn(&next, h_self, NULL, NULL, argv, environ) == 0);
		CHECK_EQ(finish_off(next, 20000), 0);
	}
	h_say("  %d of %d went on\n", statuses[1], ROUNDS);
	still_alive();
}

/* What a parent maps while a child of its looks on is none of the child's. */
TEST(child_steals_its_parents)
{
	int fd;

	use_tmpdir();
	fd = file_of("f", 'a', O_RDONLY);
	if (!prepare())
		SKIP("no such thing here");
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid;
		char *p = map_file(fd, PROT_READ, MAP_PRIVATE); /* there is a socket before */

		munmap(p, PAGE);
		pid = h_fork();
		if (pid == 0) {
			int64_t end;

			prepare(); /* it has a channel of its own */
			end = h_now_ns(CLOCK_MONOTONIC) + 20000000;
			do {
				if (receive() || map_kept(PROT_READ, PRIVATE, 0))
					_exit(66);
			} while (h_now_ns(CLOCK_MONOTONIC) < end);
			_exit(0);
		}
		for (int i = 0; i < 200; i++) {
			p = map_file(fd, PROT_READ, MAP_PRIVATE);
			CHECK(p != MAP_FAILED && p[0] == 'a');
			munmap(p, PAGE);
		}
		CHECK_EQ(finish_off(pid, 20000), 0);
	}
	still_alive();
}

/* ---- one file for another ---- */

static void *swapper(void *arg)
{
	while (!stop) {
		receive();
		disarm(false);
		receive();
	}
	return NULL;
}

/*
 * A file that is open for writing is mapped shared, while a thread does all that it can to have another one take its place: one that
 * may only be read, and that the host's descriptor may well be open for writing of.
 */
TEST(exchanges_files)
{
	for (int round = 0; round < 4; round++) {
		pid_t pid;

		use_tmpdir();
		close(file_of("mine", 'a', O_RDWR));
		close(file_of("theirs", 'p', O_RDONLY));
		pid = h_fork();
		if (pid == 0) {
			int mine = open("mine", O_RDWR), theirs = open("theirs", O_RDONLY);
			pthread_t t;

			if (!prepare())
				_exit(0);
			pthread_create(&t, NULL, swapper, NULL);
			for (int i = 0; i < 2000; i++) {
				char *q = map_file(theirs, PROT_READ, MAP_PRIVATE);
				char *p = map_file(mine, PROT_READ | PROT_WRITE, MAP_SHARED);

				if (p != MAP_FAILED) {
					p[0] = '!';
					munmap(p, PAGE);
				}
				if (q != MAP_FAILED)
					munmap(q, PAGE);
			}
			_exit(0);
		}
		finish_off(pid, 20000);
		CHECK(is_whole("theirs", 'p'));
	}
	still_alive();
}

/* ---- what is sent and not received ---- */

#define U32(at) (*(volatile uint32_t *)(channel + (at)))
#define U64(at) (*(volatile uint64_t *)(channel + (at)))

static char *channel;

static void say(uint32_t word)
{
	__atomic_store_n((uint32_t *)(channel + CH_WORD), word, __ATOMIC_SEQ_CST);
	if (U32(CH_SENTRY_SLEEPS))
		from_shim(SYS_futex, (uint64_t)(channel + CH_WORD), 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
}

/* An mmap of fd in the shim's stead: says that it was mapped, and has received nothing. */
static long pretend_to_map(int fd)
{
	uint64_t fs_base, here;

	__asm__ volatile("rdfsbase %0; leaq 0(%%rip), %1" : "=r"(fs_base), "=r"(here));
	U64(CH_RAX) = SYS_mmap;
	U64(CH_RDI) = SCRATCH;
	U64(CH_RSI) = PAGE;
	U64(CH_RDX) = PROT_READ;
	U64(CH_R10) = PRIVATE;
	U64(CH_R8) = (uint64_t)fd;
	U64(CH_R9) = 0;
	U64(CH_FS_BASE) = fs_base;
	U64(CH_RIP) = here;
	U64(CH_RSP) = (uint64_t)__builtin_frame_address(0);
	U64(CH_RFLAGS) = 0x202;
	U64(CH_TAKEN) = 0;
	say(WORD_CALL);
	for (;;) {
		switch (U32(CH_WORD)) {
		case WORD_CALL:
			break;
		case WORD_DO:
			U64(CH_DO_RESULT) = U64(CH_DO_ARGS);
			U32(CH_DO_DONE) = 1;
			say(WORD_CALL);
			break;
		case WORD_RETURN:
		case WORD_GIVE:
			return (long)U64(CH_RESULT);
		default:
			_exit(1);
		}
	}
}

TEST(receives_nothing)
{
	pid_t pid;
	int fd;

	use_tmpdir();
	fd = file_of("f", 'a', O_RDONLY);
	if (!prepare())
		SKIP("no such thing here");
	pid = h_fork();
	if (pid == 0) {
		prepare(); /* it has a channel of its own */
		channel = own - CH_OUT;
		for (int i = 0; i < 50; i++)
			if (pretend_to_map(fd) != SCRATCH)
				_exit(2);
		_exit(0);
	}
	CHECK_EQ(finish_off(pid, 20000), SIGKILL);
	still_alive();
}

/* The same with the socket gone, again and again. */
TEST(without_a_socket)
{
	int fd;

	use_tmpdir();
	fd = file_of("f", 'a', O_RDONLY);
	if (!prepare())
		SKIP("no such thing here");
	for (int i = 0; i < 200; i++) {
		char *p;

		disarm(true);
		p = map_file(fd, PROT_READ, MAP_PRIVATE);
		CHECK(p != MAP_FAILED && p[0] == 'a');
		munmap(p, PAGE);
	}
	still_alive();
}
