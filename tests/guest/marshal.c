/*
 * What calls copy, where it is hard to copy: at the ends of what is mapped, into memory that may not be written, from and to
 * the same place, while signals come, with other threads and processes at the same memory.  Each call is made over and
 * over from one site of its own, for a kernel may copy otherwise for a site that is busy; the answers stay the same.
 */
#include "harness.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>

#define ROUNDS 40
#define PAGE 4096l

/* A function that makes one call, whose result is as the kernel gives it: -errno for an error. */
#define SITE(name, nr)                                                                                                 \
	__asm__(".text\n.balign 16\ncall_" #name ": mov %rcx, %r10\nmov $" #nr ", %eax\nsyscall\nret\n");              \
	extern long call_##name(long a, ...) __asm__("call_" #name)
SITE(read, 0);
SITE(write, 1);
SITE(open, 2);
SITE(stat, 4);
SITE(fstat, 5);
SITE(poll, 7);
SITE(sigaction, 13);
SITE(sigprocmask, 14);
SITE(pread, 17);
SITE(pwrite, 18);
SITE(access, 21);
SITE(nanosleep, 35);
SITE(getcwd, 79);
SITE(rename, 82);
SITE(readlink, 89);
SITE(getdents, 217);
SITE(epoll_wait, 232);
SITE(newfstatat, 262);
SITE(pipe2, 293);
SITE(getrandom, 318);
SITE(statx, 332);

#define ROUND for (int i_ = 0; i_ < ROUNDS && !h_failures; i_++)

/* Two pages to use, one that cannot even be read behind them.  `edge` is where they meet. */
static char *edge, *readonly, *missing;

static void on_segv(int sig)
{
	static const char text[] = "a call's fault has become a signal\n";

	(void)!write(2, text, sizeof(text) - 1);
	_exit(1);
}

static void set_up(void)
{
	char *p;

	if (edge)
		return;
	signal(SIGSEGV, on_segv);
	signal(SIGBUS, on_segv);
	use_tmpdir();
	p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	REQUIRE(mprotect(p + 2 * PAGE, PAGE, PROT_NONE) == 0);
	edge = p + 2 * PAGE;
	readonly = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(readonly != MAP_FAILED);
	memset(readonly, 'r', 2 * PAGE);
	REQUIRE(mprotect(readonly, 2 * PAGE, PROT_READ) == 0);
	missing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(missing != MAP_FAILED);
	REQUIRE(munmap(missing, PAGE) == 0);
	write_file("f", "0123456789abcdefghijklmnopqrstuvwxyz", 36, 0644);
	REQUIRE(symlink("a/long/way/to/go", "link") == 0);
}

static int open_f(void)
{
	int fd = open("f", O_RDWR);

	REQUIRE(fd >= 0);
	return fd;
}

/* ---- buffers ---- */

TEST(read_edges)
{
	int fd;

	set_up();
	fd = open_f();
	ROUND
	{
		memset(edge - 100, '.', 100);
		CHECK_EQ(call_pread(fd, edge - 36, 36l, 0l), 36);
		CHECK(memcmp(edge - 36, "0123456789abcdefghijklmnopqrstuvwxyz", 36) == 0);
		CHECK(edge[-37] == '.');
		/* More room than there is, but not more than comes. */
		memset(edge - 100, '.', 100);
		CHECK_EQ(call_pread(fd, edge - 50, 100l, 30l), 6);
		CHECK(memcmp(edge - 50, "uvwxyz..", 8) == 0);
		/* Less room than comes. */
		CHECK_EQ(call_pread(fd, edge - 10, 36l, 0l), 10);
		CHECK(memcmp(edge - 10, "0123456789", 10) == 0);
		CHECK_EQ(call_pread(fd, edge, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pread(fd, readonly, 36l, 0l), -EFAULT);
		CHECK(readonly[0] == 'r');
		CHECK_EQ(call_pread(fd, missing, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pread(fd, NULL, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pread(fd, -4096l, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pread(fd, 1l << 60, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pread(fd, edge - 10, 0l, 0l), 0);
		CHECK_EQ(call_pread(fd, edge - 10, 36l, 36l), 0);
		/* Nothing but what came is touched. */
		memset(edge - 3000, '-', 3000);
		CHECK_EQ(call_pread(fd, edge - 2000, 2000l, 0l), 36);
		CHECK(edge[-2001] == '-' && edge[-2000] == '0' && edge[-1965] == 'z' && edge[-1964] == '-');
	}
	close(fd);
}

TEST(read_consumes_nothing_in_vain)
{
	int p[2];
	char c[16];

	set_up();
	REQUIRE(pipe(p) == 0);
	ROUND
	{
		REQUIRE(write(p[1], "0123456789", 10) == 10);
		CHECK_EQ(call_read(p[0], readonly, 10l), -EFAULT);
		CHECK_EQ(call_read(p[0], edge, 10l), -EFAULT);
		CHECK_EQ(call_read(p[0], missing, 10l), -EFAULT);
		CHECK_EQ(call_read(p[0], c, 16l), 10);
		CHECK(memcmp(c, "0123456789", 10) == 0);
		CHECK_EQ(call_read(-1, readonly, 10l), -EBADF);
	}
	close(p[0]);
	close(p[1]);
}

TEST(write_edges)
{
	char back[64];
	int fd, p[2];

	set_up();
	fd = open("w", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0 && pipe2(p, O_NONBLOCK) == 0);
	memcpy(edge - 10, "ABCDEFGHIJ", 10);
	ROUND
	{
		CHECK_EQ(call_pwrite(fd, edge - 10, 10l, 0l), 10);
		CHECK_EQ(pread(fd, back, 64, 0), 10);
		CHECK(memcmp(back, "ABCDEFGHIJ", 10) == 0);
		CHECK_EQ(call_pwrite(fd, edge, 10l, 0l), -EFAULT);
		CHECK_EQ(call_pwrite(fd, missing, 10l, 0l), -EFAULT);
		CHECK_EQ(call_pwrite(fd, NULL, 10l, 0l), -EFAULT);
		CHECK_EQ(call_pwrite(fd, -4096l, 10l, 0l), -EFAULT);
		CHECK_EQ(call_pwrite(fd, readonly, 10l, 0l), 10);
		CHECK_EQ(pread(fd, back, 64, 0), 10);
		CHECK(memcmp(back, "rrrrrrrrrr", 10) == 0);
		CHECK_EQ(call_write(p[1], edge, 10l), -EFAULT);
		CHECK_EQ(call_read(p[0], back, 1l), -EAGAIN);
		CHECK_EQ(call_write(p[1], edge - 10, 10l), 10);
		CHECK_EQ(call_read(p[0], back, 64l), 10);
		CHECK_EQ(call_write(p[1], edge - 10, 0l), 0);
	}
	close(fd);
	close(p[0]);
	close(p[1]);
}

/* Sizes around what a kernel may have for bounds, whole and at the end of memory. */
TEST(sizes)
{
	static const long sizes[] = {1,	   2,	 7,	8,     63,    64,    511,   512,   1023,  1024,	 1025,	1535, 1536, 1537,
				     2047, 2048, 4095,	4096,  4097,  8191,  8192,  16383, 16384, 16385, 20000, 32768,
				     65535, 65536, 65537, 131072};
	const long max = 131072;
	char *in, *out;
	int fd;

	set_up();
	in = mmap(NULL, (size_t)(max + PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	out = mmap(NULL, (size_t)(max + PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(in != MAP_FAILED && out != MAP_FAILED);
	REQUIRE(mprotect(in + max, PAGE, PROT_NONE) == 0 && mprotect(out + max, PAGE, PROT_NONE) == 0);
	fd = open("sizes", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		long n = sizes[k];

		for (int round = 0; round < 12 && !h_failures; round++) {
			long off = round % 3 ? max - n : 0;

			for (long i = 0; i < n; i++)
				in[off + i] = (char)(i * 7 + round + n);
			memset(out, 0x55, (size_t)max);
			CHECK_EQ(call_pwrite(fd, in + off, n, 5l), n);
			CHECK_EQ(call_pread(fd, out + off, n, 5l), n);
			CHECK(memcmp(in + off, out + off, (size_t)n) == 0);
			CHECK(off == 0 || out[off - 1] == 0x55);
			CHECK(off + n == max || out[off + n] == 0x55);
		}
	}
	munmap(in, (size_t)(max + PAGE));
	munmap(out, (size_t)(max + PAGE));
	close(fd);
}

TEST(beyond_a_file)
{
	char *p, c;
	int fd, small;

	set_up();
	fd = open_f();
	small = open("small", O_RDWR | O_CREAT, 0600);
	REQUIRE(small >= 0 && ftruncate(small, PAGE) == 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, small, 0);
	REQUIRE(p != MAP_FAILED);
	ROUND
	{
		CHECK_EQ(call_pread(fd, p + PAGE - 36, 36l, 0l), 36);
		CHECK_EQ(pread(small, &c, 1, PAGE - 36), 1);
		CHECK(c == '0');
		CHECK_EQ(call_pread(fd, p + PAGE, 36l, 0l), -EFAULT);
		CHECK_EQ(call_pwrite(fd, p + PAGE, 36l, 0l), -EFAULT);
		CHECK_EQ(call_stat((long)"f", p + PAGE), -EFAULT);
		CHECK_EQ(call_stat((long)p + PAGE, edge - 144), -EFAULT);
	}
	munmap(p, 2 * PAGE);
	close(small);
	close(fd);
}

/* ---- structs ---- */

TEST(struct_edges)
{
	struct stat want, *at = (struct stat *)(edge - sizeof(struct stat));
	struct statx *x = (struct statx *)(edge - sizeof(struct statx));
	int fd;

	set_up();
	at = (struct stat *)(edge - sizeof(struct stat));
	x = (struct statx *)(edge - sizeof(struct statx));
	fd = open_f();
	REQUIRE(fstat(fd, &want) == 0);
	ROUND
	{
		memset(edge - 300, 0, 300);
		CHECK_EQ(call_fstat(fd, at), 0);
		CHECK(at->st_ino == want.st_ino && at->st_size == 36 && at->st_mode == want.st_mode);
		CHECK_EQ(call_fstat(fd, edge - sizeof(struct stat) + 8), -EFAULT);
		CHECK_EQ(call_fstat(fd, edge), -EFAULT);
		CHECK_EQ(call_fstat(fd, readonly), -EFAULT);
		CHECK_EQ(call_fstat(fd, readonly + PAGE - 10), -EFAULT);
		CHECK_EQ(call_fstat(fd, NULL), -EFAULT);
		CHECK_EQ(call_fstat(-1, readonly), -EBADF);
		memset(edge - 300, 0, 300);
		CHECK_EQ(call_stat((long)"f", at), 0);
		CHECK(at->st_ino == want.st_ino && at->st_size == 36);
		CHECK_EQ(call_stat((long)"f", readonly), -EFAULT);
		CHECK_EQ(call_stat((long)"f", edge - 1), -EFAULT);
		memset(edge - 300, 'u', 300);
		CHECK_EQ(call_stat((long)"none", at), -ENOENT);
		CHECK(edge[-1] == 'u' && edge[-144] == 'u');
		CHECK_EQ(call_stat((long)"none", readonly), -ENOENT);
		CHECK_EQ(call_newfstatat(AT_FDCWD, "f", at, 0l), 0);
		CHECK(at->st_ino == want.st_ino);
		CHECK_EQ(call_newfstatat(fd, "", at, (long)AT_EMPTY_PATH), 0);
		CHECK_EQ(call_statx(AT_FDCWD, "f", 0l, (long)STATX_BASIC_STATS, x), 0);
		CHECK(x->stx_ino == want.st_ino && x->stx_size == 36);
		CHECK_EQ(call_statx(AT_FDCWD, "f", 0l, (long)STATX_BASIC_STATS, readonly), -EFAULT);
	}
	close(fd);
}

TEST(pipes_and_random)
{
	int fd[2], next, again;
	int *at;

	set_up();
	at = (int *)(edge - 8);
	next = dup(0);
	REQUIRE(next >= 0);
	close(next);
	ROUND
	{
		CHECK_EQ(call_pipe2((long)at, 0l), 0);
		CHECK(at[0] == next && at[1] > next);
		close(at[0]);
		close(at[1]);
		CHECK_EQ(call_pipe2((long)edge - 4, 0l), -EFAULT);
		CHECK_EQ(call_pipe2((long)readonly, 0l), -EFAULT);
		CHECK_EQ(call_pipe2((long)fd, 1l), -EINVAL);
		again = dup(0);
		CHECK_EQ(again, next); /* none was left behind */
		close(again);
		memset(edge - 16, 0, 16);
		CHECK_EQ(call_getrandom((long)edge - 16, 16l, 0l), 16);
		CHECK(memcmp(edge - 16, (char[16]){0}, 16) != 0);
		CHECK_EQ(call_getrandom((long)readonly, 16l, 0l), -EFAULT);
	}
}

TEST(poll_edges)
{
	struct pollfd *fds, both[2];
	int p[2];

	set_up();
	fds = (struct pollfd *)(edge - 2 * sizeof(*fds));
	REQUIRE(pipe(p) == 0 && write(p[1], "x", 1) == 1);
	ROUND
	{
		fds[0] = (struct pollfd){p[0], POLLIN, -1};
		fds[1] = (struct pollfd){p[1], POLLIN | POLLOUT, -1};
		CHECK_EQ(call_poll((long)fds, 2l, 0l), 2);
		CHECK_EQ(fds[0].fd, p[0]);
		CHECK_EQ(fds[0].events, POLLIN);
		CHECK_EQ(fds[0].revents, POLLIN);
		CHECK_EQ(fds[1].revents, POLLOUT);
		CHECK_EQ(call_poll((long)fds, 2l, 1000l), 2);
		CHECK_EQ(call_poll((long)fds, 3l, 0l), -EFAULT);
		CHECK_EQ(call_poll((long)edge, 1l, 0l), -EFAULT);
		CHECK_EQ(call_poll((long)edge, 0l, 0l), 0);
		/* Nothing is ready, for some milliseconds. */
		both[0] = both[1] = (struct pollfd){p[1], POLLIN, -1};
		CHECK_EQ(call_poll((long)both, 2l, i_ % 8 ? 0l : 2l), 0);
		CHECK(both[0].revents == 0 && both[1].revents == 0);
	}
	memcpy(edge - 8, fds, 8);
	REQUIRE(mprotect(edge - PAGE, PAGE, PROT_READ) == 0);
	ROUND CHECK_EQ(call_poll((long)edge - 8, 1l, 0l), -EFAULT);
	REQUIRE(mprotect(edge - PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	close(p[0]);
	close(p[1]);
}

TEST(epoll_edges)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, *at;
	int ep = epoll_create1(0), p[2];

	set_up();
	at = (struct epoll_event *)(edge - sizeof(ev));
	REQUIRE(ep >= 0 && pipe(p) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	ROUND
	{
		memset(at, 0, sizeof(*at));
		CHECK_EQ(call_epoll_wait(ep, at, 1l, 0l), 0);
		CHECK_EQ(call_epoll_wait(ep, at, 1l, 1l), 0);
		REQUIRE(write(p[1], "x", 1) == 1);
		CHECK_EQ(call_epoll_wait(ep, at, 1l, 0l), 1);
		CHECK(at->events == EPOLLIN && at->data.u64 == ev.data.u64);
		memset(at, 0, sizeof(*at));
		CHECK_EQ(call_epoll_wait(ep, at, 10l, 0l), 1); /* there is not more room than it needs */
		CHECK(at->events == EPOLLIN && at->data.u64 == ev.data.u64);
		CHECK_EQ(call_epoll_wait(ep, readonly, 1l, 0l), -EFAULT);
		CHECK_EQ(call_epoll_wait(ep, at, 0l, 0l), -EINVAL);
		CHECK_EQ(call_epoll_wait(ep, at, -1l, 0l), -EINVAL);
		CHECK_EQ(read(p[0], &(char){0}, 1), 1);
	}
	close(ep);
	close(p[0]);
	close(p[1]);
}

TEST(directory_edges)
{
	char *buf;
	long n, all = 0;
	int fd;

	set_up();
	REQUIRE(mkdir("dir", 0700) == 0);
	write_file("dir/one", "", 0, 0600);
	write_file("dir/two", "", 0, 0600);
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	REQUIRE(fd >= 0);
	buf = edge - 1024;
	ROUND
	{
		lseek(fd, 0, SEEK_SET);
		n = call_getdents(fd, readonly, 1024l);
		CHECK_EQ(n, -EFAULT);
		n = call_getdents(fd, edge, 1024l);
		CHECK_EQ(n, -EFAULT);
		n = call_getdents(fd, buf, 1024l);
		CHECK(n > 0 && (all == 0 || n == all)); /* none was lost by the failures */
		all = n;
		CHECK_EQ(call_getdents(fd, buf, 1024l), 0);
	}
	close(fd);
}

/* ---- strings ---- */

static char *string_at_edge(const char *s)
{
	size_t n = strlen(s) + 1;

	memcpy(edge - n, s, n);
	return edge - n;
}

TEST(path_edges)
{
	static char dots[8192];
	char *path, *longest;

	set_up();
	memset(dots, '/', sizeof(dots));
	ROUND
	{
		CHECK_EQ(call_access((long)string_at_edge("f"), 0l), 0);
		CHECK_EQ(call_access((long)string_at_edge(""), 0l), -ENOENT);
		CHECK_EQ(call_access((long)string_at_edge("none"), 0l), -ENOENT);
		path = string_at_edge("f");
		path[1] = 'f'; /* no NUL before the end */
		CHECK_EQ(call_access((long)path, 0l), -EFAULT);
		CHECK_EQ(call_access((long)edge, 0l), -EFAULT);
		CHECK_EQ(call_access((long)missing, 0l), -EFAULT);
		CHECK_EQ(call_access(0l, 0l), -EFAULT);
		CHECK_EQ(call_access(-4096l, 0l), -EFAULT);
		CHECK_EQ(call_access(1l << 60, 0l), -EFAULT);
		/* Over two pages. */
		memcpy(edge - PAGE - 1, "f", 2);
		CHECK_EQ(call_access((long)edge - PAGE - 1, 0l), 0);
		/* Long ones: "./././f" of so many bytes, the NUL included. */
		for (int len = 1500; len <= 4098; len += len >= 1530 && len < 1540 ? 1 : len > 4090 ? 1 : 30) {
			longest = edge - len;
			for (int i = 0; i < len - 1; i++)
				longest[i] = "./"[i % 2];
			longest[len - 2] = 'f';
			longest[len - 1] = 0;
			if (longest[len - 3] == '.')
				longest[len - 3] = '/';
			CHECK_EQ(call_access((long)longest, 0l), len > 4096 ? -ENAMETOOLONG : 0);
		}
		memset(edge - 5000, 'x', 5000);
		CHECK_EQ(call_access((long)edge - 5000, 0l), -ENAMETOOLONG);
		CHECK_EQ(call_access((long)edge - 3000, 0l), -EFAULT);
	}
	CHECK_EQ(call_open((long)string_at_edge("f"), (long)O_RDONLY, 0l) >= 0, 1);
}

TEST(two_strings)
{
	set_up();
	ROUND
	{
		write_file("old", "x", 1, 0600);
		CHECK_EQ(call_rename((long)"old", string_at_edge("new")), 0);
		CHECK_EQ(call_rename((long)string_at_edge("new"), "old"), 0);
		CHECK_EQ(call_rename((long)"old", "old"), 0);
		CHECK_EQ(call_rename((long)"old", edge), -EFAULT);
		CHECK_EQ(call_rename((long)edge, "old"), -EFAULT);
		CHECK_EQ(unlink("old"), 0);
	}
}

TEST(link_and_cwd_edges)
{
	char cwd[256];
	long n;

	set_up();
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	n = (long)strlen(cwd) + 1;
	ROUND
	{
		memset(edge - 100, '.', 100);
		CHECK_EQ(call_readlink((long)"link", edge - 16, 16l), 16);
		CHECK(memcmp(edge - 16, "a/long/way/to/go", 16) == 0);
		CHECK_EQ(call_readlink((long)"link", edge - 16, 100l), 16); /* the length is no more than a bound */
		CHECK_EQ(call_readlink((long)"link", edge - 100, 5l), 5);
		CHECK(memcmp(edge - 100, "a/lon.", 6) == 0);
		CHECK_EQ(call_readlink((long)"link", readonly, 16l), -EFAULT);
		CHECK_EQ(call_readlink((long)"link", edge, 16l), -EFAULT);
		CHECK_EQ(call_readlink((long)"link", edge - 16, 0l), -EINVAL);
		CHECK_EQ(call_readlink((long)"f", readonly, 16l), -EINVAL);
		CHECK_EQ(call_getcwd((long)edge - n, n), n);
		CHECK_STR(edge - n, cwd);
		CHECK_EQ(call_getcwd((long)edge - n, 1000l), n);
		CHECK_EQ(call_getcwd((long)edge - n, n - 1), -ERANGE);
		CHECK_EQ(call_getcwd((long)readonly, 1000l), -EFAULT);
	}
}

/* ---- in and out at the same place ---- */

TEST(the_same_place)
{
	union {
		char bytes[512];
		struct stat st;
		struct timespec ts;
		uint64_t set;
		struct {
			uint64_t handler, flags, restorer, mask;
		} action;
	} u;
	uint64_t none = 0;

	set_up();
	ROUND
	{
		strcpy(u.bytes, "link");
		CHECK_EQ(call_readlink((long)u.bytes, u.bytes, (long)sizeof(u.bytes)), 16);
		CHECK(memcmp(u.bytes, "a/long/way/to/go", 16) == 0);
		strcpy(u.bytes, "link");
		CHECK_EQ(call_readlink((long)u.bytes, u.bytes + 2, 100l), 16);
		CHECK(memcmp(u.bytes, "lia/long/way/to/go", 18) == 0);
		strcpy(u.bytes + 40, "f");
		CHECK_EQ(call_stat((long)u.bytes + 40, u.bytes), 0);
		CHECK_EQ(u.st.st_size, 36);
		u.set = 1ul << (SIGUSR1 - 1);
		CHECK_EQ(call_sigprocmask((long)SIG_SETMASK, &u, &u, 8l), 0);
		CHECK_EQ(u.set, 0);
		CHECK_EQ(call_sigprocmask((long)SIG_SETMASK, &none, &u, 8l), 0);
		CHECK_EQ(u.set, 1ul << (SIGUSR1 - 1));
		CHECK_EQ(call_sigprocmask((long)SIG_SETMASK, &none, readonly, 8l), -EFAULT);
		CHECK_EQ(call_sigprocmask((long)SIG_SETMASK, edge, NULL, 8l), -EFAULT);
		CHECK_EQ(call_sigprocmask((long)SIG_SETMASK, &none, NULL, 16l), -EINVAL);
		memset(&u.action, 0, sizeof(u.action));
		u.action.handler = 1; /* SIG_IGN */
		CHECK_EQ(call_sigaction((long)SIGUSR2, &u, &u, 8l), 0);
		CHECK_EQ(u.action.handler, 0);
		CHECK_EQ(call_sigaction((long)SIGUSR2, &u, &u, 8l), 0);
		CHECK_EQ(u.action.handler, 1);
		u.ts = (struct timespec){0, 1000};
		CHECK_EQ(call_nanosleep((long)&u, &u), 0);
		u.ts = (struct timespec){0, 1000000000};
		CHECK_EQ(call_nanosleep((long)&u, &u), -EINVAL);
	}
}

/* A file that is the process's own memory. */
TEST(own_memory)
{
	static char from[64] = "what is to be read", to[64];
	int fd;

	set_up();
	fd = open("/proc/self/mem", O_RDWR);
	REQUIRE(fd >= 0);
	ROUND
	{
		memset(to, 0, sizeof(to));
		CHECK_EQ(call_pread(fd, to, 64l, (long)from), 64);
		CHECK_STR(to, from);
		/* Over itself: what comes is what was there. */
		CHECK_EQ(call_pread(fd, to, 64l, (long)to), 64);
		CHECK_STR(to, from);
		to[0] = 'W';
		CHECK_EQ(call_pwrite(fd, to, 64l, (long)from), 64);
		CHECK(from[0] == 'W');
		CHECK_EQ(call_pwrite(fd, to, 64l, (long)to), 64);
		CHECK(to[0] == 'W');
		from[0] = 'w';
	}
	close(fd);
}

/* ---- signals ---- */

static int sig_pipe[2];
static volatile int caught, handler_writes;

static void on_signal(int sig)
{
	struct stat st;

	caught++;
	/* The same sites, in the middle of their own calls. */
	if (call_fstat(sig_pipe[0], &st) != 0 || !S_ISFIFO(st.st_mode))
		_exit(2);
	if (handler_writes && caught == 1 && call_write(sig_pipe[1], "signal", 6l) != 6)
		_exit(3);
}

TEST(interrupted)
{
	char buf[64];
	/* Again and again, for the first may come before there is anything to interrupt. */
	struct itimerval soon = {.it_value.tv_usec = 500, .it_interval.tv_usec = 2000};

	set_up();
	REQUIRE(pipe(sig_pipe) == 0);
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction sa = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};

		handler_writes = restart;
		REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
		ROUND
		{
			caught = 0;
			memset(buf, '.', sizeof(buf));
			setitimer(ITIMER_REAL, &soon, NULL);
			CHECK_EQ(call_read(sig_pipe[0], buf, 64l), restart ? 6 : -EINTR);
			setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
			CHECK(caught >= 1);
			CHECK(memcmp(buf, restart ? "signal...." : "..........", 10) == 0);
		}
	}
	/* At any moment: every call's result is whole. */
	handler_writes = 0;
	soon = (struct itimerval){.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000};
	REQUIRE(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART}, NULL) == 0);
	caught = 0;
	setitimer(ITIMER_REAL, &soon, NULL);
	for (int i = 0; (i < 5000 || caught < 50) && !h_failures; i++) {
		long n = 1 + i % 60;

		memset(buf, i, (size_t)n);
		CHECK_EQ(call_write(sig_pipe[1], buf, n), n);
		memset(buf, 0x55, sizeof(buf));
		CHECK_EQ(call_read(sig_pipe[0], buf, 64l), n);
		CHECK(buf[0] == (char)i && buf[n - 1] == (char)i && buf[n] == 0x55);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	signal(SIGALRM, SIG_DFL);
	close(sig_pipe[0]);
	close(sig_pipe[1]);
}

/* ---- others ---- */

TEST(children)
{
	char buf[64];
	int fd, p[2];

	set_up();
	fd = open_f();
	REQUIRE(pipe(p) == 0);
	ROUND
	{
		pid_t pid;

		memset(buf, '.', sizeof(buf));
		pid = h_fork();
		if (pid == 0) {
			CHECK_EQ(call_pread(fd, buf, 10l, 10l), 10);
			CHECK(memcmp(buf, "abcdefghij.", 11) == 0);
			child_exit();
		}
		CHECK_EQ(call_pread(fd, buf, 10l, 0l), 10);
		CHECK(memcmp(buf, "0123456789.", 11) == 0);
		JOIN(pid);
		CHECK(memcmp(buf, "0123456789.", 11) == 0);
		pid = vfork();
		if (pid == 0)
			_exit(call_pread(fd, buf, 10l, 10l) == 10 ? 0 : 1);
		JOIN(pid);
		CHECK(memcmp(buf, "abcdefghij.", 11) == 0); /* it had our memory */
		CHECK_EQ(call_pread(fd, buf, 10l, 0l), 10);
		CHECK(memcmp(buf, "0123456789.", 11) == 0);
	}
	close(fd);
	close(p[0]);
	close(p[1]);
}

/* Shared memory: the other process is told only after the call, and finds what came. */
TEST(shared_with_a_child)
{
	char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd, to[2], back[2];
	pid_t pid;
	char c;

	set_up();
	REQUIRE(shared != MAP_FAILED && pipe(to) == 0 && pipe(back) == 0);
	fd = open_f();
	pid = h_fork();
	if (pid == 0) {
		ROUND
		{
			CHECK_EQ(call_read(to[0], &c, 1l), 1);
			CHECK(memcmp(shared, "klmnopqrst", 10) == 0);
			shared[0] = '!';
			CHECK_EQ(call_write(back[1], shared, 1l), 1);
		}
		child_exit();
	}
	ROUND
	{
		CHECK_EQ(call_pread(fd, shared, 10l, 20l), 10);
		CHECK_EQ(call_write(to[1], "x", 1l), 1);
		CHECK_EQ(call_read(back[0], &c, 1l), 1);
		CHECK(c == '!' && shared[0] == '!');
	}
	JOIN(pid);
	munmap(shared, PAGE);
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(back[i]);
	}
}

struct worker {
	pthread_t thread;
	int number;
	const char *wrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	char name[16], in[3000], out[3000];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "thread%d", w->number);
	fd = (int)call_open((long)name, (long)(O_RDWR | O_CREAT), 0600l);
	for (int i = 0; i < 400 && !w->wrong; i++) {
		long n = 1 + (i * 37 + w->number * 11) % (long)sizeof(in);

		memset(in, i + w->number, (size_t)n);
		memset(out, 0, sizeof(out));
		if (call_pwrite(fd, in, n, 0l) != n || call_pread(fd, out, n, 0l) != n)
			w->wrong = "counts";
		else if (memcmp(in, out, (size_t)n) != 0)
			w->wrong = "bytes";
		else if (call_fstat(fd, &st) != 0 || st.st_size < n)
			w->wrong = "fstat";
		else if (call_stat((long)name, &st) != 0 || !S_ISREG(st.st_mode))
			w->wrong = "stat";
	}
	close(fd);
	return NULL;
}

TEST(threads)
{
	struct worker w[4];

	set_up();
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){.number = i};
		REQUIRE(pthread_create(&w[i].thread, NULL, work, &w[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].wrong)
			H_FAIL("thread %d: wrong %s\n", i, w[i].wrong);
	}
}

/* A buffer that comes and goes while calls fill it: each gives all or EFAULT, and nobody dies. */
static char *coming;
static volatile bool stop;

static void *come_and_go(void *arg)
{
	while (!stop) {
		mprotect(coming, PAGE, PROT_READ);
		mprotect(coming, PAGE, PROT_READ | PROT_WRITE);
		madvise(coming, PAGE, MADV_DONTNEED);
		munmap(coming, PAGE);
		if (mmap(coming, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != coming)
			_exit(4);
	}
	return NULL;
}

TEST(memory_that_goes)
{
	pthread_t thread;
	int fd;

	set_up();
	fd = open_f();
	coming = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(coming != MAP_FAILED);
	stop = false;
	REQUIRE(pthread_create(&thread, NULL, come_and_go, NULL) == 0);
	for (int i = 0; i < 3000 && !h_failures; i++) {
		long n = call_pread(fd, coming, 36l, 0l), r = call_fstat(fd, coming);

		if (n != 36 && n != -EFAULT)
			CHECK_EQ(n, 36);
		if (r != 0 && r != -EFAULT)
			CHECK_EQ(r, 0);
		n = call_pwrite(fd, coming, 36l, 100l);
		if (n != 36 && n != -EFAULT)
			CHECK_EQ(n, 36);
	}
	stop = true;
	pthread_join(thread, NULL);
	munmap(coming, PAGE);
	REQUIRE(ftruncate(fd, 36) == 0);
	close(fd);
}

/* ---- who looks on ---- */

static volatile char *watched; /* a page of private memory, at the same address on both sides of a fork */
static struct shared {
	_Atomic bool stop;
	_Atomic pid_t reader;
} *shared;

static void make_shared(void)
{
	watched = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(watched != MAP_FAILED && shared != MAP_FAILED);
}

static void drop_shared(void)
{
	munmap((void *)watched, PAGE);
	munmap(shared, PAGE);
}

/* Takes what comes through the pipe, one byte at a time, into watched. */
static pid_t start_reader(int p[2])
{
	pid_t pid;

	REQUIRE(pipe2(p, O_NONBLOCK) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		while (!shared->stop)
			call_read(p[0], watched, 1l);
		_exit(0);
	}
	return pid;
}

static void stop_reader(pid_t pid, int p[2])
{
	shared->stop = true;
	JOIN(pid);
	close(p[0]);
	close(p[1]);
}

static bool is_empty(int fd)
{
	int n = -1;

	REQUIRE(ioctl(fd, FIONREAD, &n) == 0);
	return n == 0;
}

/* What a call has taken out of a pipe is in memory, for whoever sees that it has been taken. */
TEST(seen_from_outside)
{
	char byte, seen;
	struct iovec here = {&seen, 1}, there = {NULL, 1};
	int p[2];
	pid_t reader;

	make_shared();
	there.iov_base = (void *)watched;
	reader = start_reader(p);
	for (int i = 0; i < 3000 && !h_failures; i++) {
		byte = (char)i;
		REQUIRE(write(p[1], &byte, 1) == 1);
		while (!is_empty(p[0]))
			;
		REQUIRE(process_vm_readv(reader, &here, 1, &there, 1, 0) == 1);
		CHECK_EQ(seen, byte);
	}
	stop_reader(reader, p);
	drop_shared();
}

/* And what is written there after that stays. */
TEST(written_from_outside)
{
	char byte = 'a', own = 'o', seen;
	struct iovec here = {&own, 1}, there = {NULL, 1}, look = {&seen, 1};
	int p[2];
	pid_t reader;

	make_shared();
	there.iov_base = (void *)watched;
	reader = start_reader(p);
	for (int i = 0; i < 1000 && !h_failures; i++) {
		REQUIRE(write(p[1], &byte, 1) == 1);
		while (!is_empty(p[0]))
			;
		REQUIRE(process_vm_writev(reader, &here, 1, &there, 1, 0) == 1);
		for (int k = 0; k < 3; k++) {
			REQUIRE(process_vm_readv(reader, &look, 1, &there, 1, 0) == 1);
			CHECK_EQ(seen, own);
			sched_yield();
		}
	}
	stop_reader(reader, p);
	drop_shared();
}

/* Two processes that look into each other's memory all the time, piece by piece, get on. */
TEST(seen_by_each_other)
{
	static char buf[64];
	struct iovec here[2] = {{buf, 20}, {buf + 32, 20}}, there[2] = {{NULL, 20}, {NULL, 20}};
	pid_t other, child;

	make_shared();
	there[0].iov_base = (void *)watched;
	there[1].iov_base = (void *)(watched + 100);
	shared->reader = getpid();
	child = fork();
	REQUIRE(child >= 0);
	other = child == 0 ? shared->reader : child;
	for (int i = 0; i < 5000 || child == 0; i++)
		if (process_vm_readv(other, here, 2, there, 2, 0) != 40 || shared->stop)
			break;
	if (child == 0)
		_exit(shared->stop ? 0 : 1);
	shared->stop = true;
	JOIN(child);
	drop_shared();
}

/* A process that has been reported stopped has written what it writes. */
TEST(seen_while_stopped)
{
	char first[32], second[32];
	struct iovec here = {first, sizeof(first)}, there = {NULL, sizeof(first)};
	int status;
	pid_t pid;

	make_shared();
	there.iov_base = (void *)watched;
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		int fd = open_f();

		for (long i = 0; !shared->stop; i++) {
			call_pwrite(fd, &i, (long)sizeof(i), 0l);
			call_pread(fd, watched, 32l, 0l);
		}
		_exit(0);
	}
	for (int i = 0; i < 300 && !h_failures; i++) {
		REQUIRE(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
		here.iov_base = first;
		REQUIRE(process_vm_readv(pid, &here, 1, &there, 1, 0) == 32);
		for (int k = 0; k < 20; k++)
			sched_yield();
		here.iov_base = second;
		REQUIRE(process_vm_readv(pid, &here, 1, &there, 1, 0) == 32);
		CHECK(memcmp(first, second, 32) == 0);
		REQUIRE(kill(pid, SIGCONT) == 0);
	}
	shared->stop = true;
	JOIN(pid);
	drop_shared();
}

/* A call that writes nothing leaves no trace in the memory that it could have written. */
TEST(not_touched)
{
	unsigned char there = 0;
	int fd, other;
	char *p, b = 'b';

	set_up();
	fd = open_f();
	other = open("other", O_RDWR | O_CREAT, 0600);
	REQUIRE(other >= 0 && write(other, "a", 1) == 1 && ftruncate(other, PAGE) == 0);
	ROUND {
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(p != MAP_FAILED);
		CHECK_EQ(call_pread(-1, p, 100l, 0l), -EBADF);
		CHECK_EQ(call_pread(fd, p, 100l, 1l << 40), 0);
		REQUIRE(mincore(p, PAGE, &there) == 0);
		CHECK_EQ(there & 1, 0);
		munmap(p, PAGE);
		/* A private page of a file shows the file until it is written. */
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, other, 0);
		REQUIRE(p != MAP_FAILED);
		b = (char)('a' + i_ % 20);
		CHECK_EQ(call_pread(fd, p, 100l, 1l << 40), 0);
		CHECK_EQ(call_pread(-1, p, 100l, 0l), -EBADF);
		REQUIRE(pwrite(other, &b, 1, 0) == 1);
		CHECK_EQ(p[0], b);
		munmap(p, PAGE);
	}
	close(other);
	close(fd);
}
