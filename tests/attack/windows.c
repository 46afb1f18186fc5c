/*
 * Attacks on the windows by which a process reads files by itself, and on their records: written to, made writable or executable,
 * moved, mapped otherwise, unmapped; and looked at when the file is closed, or has become somebody else's.
 */
#include "attack.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>

#define MANY 200
#define PRIVATE (MAP_PRIVATE | MAP_FIXED)
#define ELSEWHERE 0x90000000ul
#define RECEIVE (MSG_DONTWAIT | MSG_CMSG_CLOEXEC)

extern char **environ;
static struct found found;
static uintptr_t at;
static char junk[8192] __attribute__((aligned(4096)));

static long from_shim(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return call_from_shim(at, junk, nr, a, b, c, d, e, f);
}

/* From one site, which is soon a patched one. */
__asm__(".text\n.balign 16\npread_call: mov %rcx, %r10\nmov $17, %eax\nsyscall\nret\n");
extern long pread_call(long fd, void *buf, size_t count, long pos);

static int file_new(int c)
{
	char path[] = "/tmp/windows.XXXXXX", bytes[8192];
	int fd = mkstemp(path);

	REQUIRE(fd >= 0);
	unlink(path);
	memset(bytes, c, sizeof(bytes));
	REQUIRE(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	return fd;
}

static void read_often(int fd, int c)
{
	char buf[100];

	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(pread_call(fd, buf, sizeof(buf), 10), sizeof(buf));
		if (buf[0] != c || buf[99] != c) {
			CHECK_EQ(buf[0], c);
			CHECK_EQ(buf[99], c);
			break;
		}
	}
}

static uintptr_t window_of(int fd)
{
	return SYSTRAP_WINDOWS + (uintptr_t)fd % SYSTRAP_WINDOW_COUNT * SYSTRAP_WINDOW_SIZE;
}

/* It may take a while: until the file's times are settled. */
static bool is_lent(int fd)
{
	for (int i = 0; i < 1000; i++) {
		read_often(fd, 'w');
		catch_everything();
		if (readable(window_of(fd)))
			return true;
		usleep(2000);
	}
	return false;
}

/* A file that is read by a window; false where there are none. */
static bool prepare(int *fd)
{
	find_pages(&found);
	at = obliging_call(&found);
	*fd = file_new('w');
	return at && is_lent(*fd);
}

/* What is there now is read, or nothing. */
static void goes_on(int fd)
{
	catch_everything();
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	read_often(fd, 'w');
	still_alive();
}

TEST(writes)
{
	int fd;

	if (!prepare(&fd))
		SKIP("no such thing here");
	CHECK(!writable(SYSTRAP_RECORDS));
	CHECK(!writable(SYSTRAP_RECORDS + 4096 - 8));
	CHECK(!writable(window_of(fd)));
	for (uint64_t page = SYSTRAP_WINDOWS; page < SYSTRAP_WINDOWS_END; page += page < SYSTRAP_RECORDS ? SYSTRAP_WINDOW_SIZE : 4096)
		for (uint64_t prot = 0; prot < 8; prot++) {
			CHECK(from_shim(SYS_mprotect, page, 4096, prot, 0, 0, 0) < 0);
			CHECK(from_shim(SYS_mremap, page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, ELSEWHERE, 0) < 0);
			CHECK(from_shim(SYS_mremap, ELSEWHERE, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page, 0) < 0);
			CHECK(from_shim(SYS_madvise, page, 4096, MADV_DONTNEED, 0, 0, 0) < 0);
			for (uint64_t own = 0; own < 6; own++) {
				CHECK(from_shim(SYS_mmap, page, 4096, prot, MAP_SHARED | MAP_FIXED, own, 0) < 0);
				CHECK(from_shim(SYS_mmap, page, 4096, prot, PRIVATE | MAP_ANONYMOUS, own, 0) < 0);
				CHECK(from_shim(SYS_mmap, page, 4096, prot, PRIVATE, own, 0) < 0);
			}
		}
	CHECK(!writable(window_of(fd)));
	/* Past their end, and all at once: calls of the guest's own, which do nothing there. */
	(void)from_shim(SYS_munmap, SYSTRAP_WINDOWS_END - 4096, 8192, 0, 0, 0, 0);
	(void)from_shim(SYS_munmap, SYSTRAP_WINDOWS - 4096, 8192, 0, 0, 0, 0);
	(void)from_shim(SYS_munmap, SYSTRAP_WINDOWS, SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS + 4096, 0, 0, 0, 0);
	(void)from_shim(SYS_munmap, SYSTRAP_WINDOWS, UINT64_MAX - SYSTRAP_WINDOWS + 4097, 0, 0, 0, 0);
	CHECK(readable(window_of(fd)) && readable(SYSTRAP_RECORDS));
	goes_on(fd);
	close(fd);
}

TEST(unmaps)
{
	int fd, other;

	if (!prepare(&fd))
		SKIP("no such thing here");
	other = file_new('o');
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(from_shim(SYS_munmap, window_of(fd), SYSTRAP_WINDOW_SIZE, 0, 0, 0, 0), 0);
		goes_on(fd);
		CHECK(pwrite(fd, "w", 1, 0) == 1);
		read_often(other, 'o');
	}
	close(other);
	close(fd);
}

/* A closed file is not there any more, for whoever looks where it was. */
TEST(closed)
{
	int fd;

	if (!prepare(&fd))
		SKIP("no such thing here");
	for (int i = 0; i < 20; i++) {
		uintptr_t window = window_of(fd);
		int again, high;

		REQUIRE(is_lent(fd));
		CHECK_EQ(*(volatile char *)window, 'w');
		if (i % 4 == 0) {
			close(fd);
		} else if (i % 4 == 1) {
			high = open("/dev/null", O_RDONLY);
			CHECK_EQ(dup2(high, fd), fd);
			close(high);
			close(fd);
		} else if (i % 4 == 2) {
			syscall(SYS_close_range, fd, fd, 0);
		} else {
			/* In a copy it never was. */
			pid_t pid = h_fork();

			if (pid == 0)
				_exit(readable(window) || readable(SYSTRAP_RECORDS) ? 1 : 0);
			JOIN(pid);
			close(fd);
		}
		CHECK(!readable(window));
		again = file_new('w');
		CHECK(!readable(window));
		fd = again;
	}
	close(fd);
}

ROLE(argc, argv)
{
	(void)argc, (void)argv;
	find_pages(&found);
	for (unsigned i = 0; i < SYSTRAP_WINDOW_COUNT; i++)
		if (readable(window_of((int)i)))
			return 1;
	return readable(SYSTRAP_RECORDS) ? 2 : 0;
}

/* Nor does the next program find anything, whichever process it is in. */
TEST(next_program)
{
	int fd;

	if (!prepare(&fd))
		SKIP("no such thing here");
	for (int i = 0; i < 10; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			is_lent(fd);
			execl(h_self, h_self, "@next", (char *)NULL);
			_exit(3);
		}
		JOIN(pid);
	}
	close(fd);
}

/* ---- windows that the sentry knows nothing of ---- */

static char *own; /* room in a channel that nobody uses while there are threads */
static volatile int stop;

/* In each process anew, for each has channels of its own. */
static bool find_own(void)
{
	memset(&found, 0, sizeof(found));
	own = NULL;
	find_pages(&found);
	for (int i = 0; i < found.count; i++)
		if (found.writable[i] && found.page[i] >= SYSTRAP_CHANNELS && found.page[i] % SYSTRAP_CHANNEL_SIZE == 0)
			own = (char *)found.page[i] + CH_OUT;
	at = obliging_call(&found);
	return at && own;
}

/* Receives what others are to map, and keeps it, for they are not told that there is something to be received, and closed. */
static void *thief(void *arg)
{
	(void)arg;
	while (!stop) {
		struct msghdr *m = (struct msghdr *)own;

		for (int i = 0; i < found.count; i++)
			if (found.writable[i] && found.page[i] % SYSTRAP_CHANNEL_SIZE == 0)
				*(volatile uint32_t *)(found.page[i] + CH_DO_FILE) = 0;
		*m = (struct msghdr){.msg_control = own + sizeof(*m), .msg_controllen = 24};
		(void)from_shim(SYS_recvmsg, SYSTRAP_SOCKET_FD, (uint64_t)m, RECEIVE, 0, 0, 0);
	}
	return NULL;
}

/* Maps a file of its own where windows and records are, behind the sentry's back. */
static bool map_hidden(int fd)
{
	const uint64_t first = SYSTRAP_WINDOWS, last = SYSTRAP_RECORDS;
	pthread_t t;
	bool ok = false;

	stop = 0;
	REQUIRE(pthread_create(&t, NULL, thief, NULL) == 0);
	for (int i = 0; i < 2000 && !ok; i++) {
		char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p != MAP_FAILED)
			munmap(p, 4096);
		ok = from_shim(SYS_mmap, first, 4096, PROT_READ, PRIVATE, SYSTRAP_FILE_FD, 0) == (long)first;
	}
	stop = 1;
	pthread_join(t, NULL);
	return ok && from_shim(SYS_mmap, last, 4096, PROT_READ, PRIVATE, SYSTRAP_FILE_FD, 0) == (long)last;
}

static bool sees_anything(void)
{
	catch_everything();
	return readable(SYSTRAP_WINDOWS) || readable(SYSTRAP_RECORDS);
}

/* A process with a hidden window, and a child; 0: the child has found nothing. */
static int hide_and_fork(int fd)
{
	pid_t pid;
	int status;

	if (!find_own() || !map_hidden(fd))
		return 0;
	if (!sees_anything())
		return 2;
	pid = fork();
	if (pid == 0)
		_exit(sees_anything() ? 1 : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 3;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

/* Neither its child nor the next program finds what a process has put there by itself. */
TEST(hidden)
{
	char *argv[] = {"x", "@next", NULL};
	int fd = file_new('h');

	if (fd < 10) { /* those numbers are the host's process's, too */
		int high = fcntl(fd, F_DUPFD, 100);

		close(fd);
		fd = high;
	}
	if (!find_own())
		SKIP("no such thing here");
	for (int i = 0; i < 20; i++) {
		pid_t pid = h_fork(), next;
		int status;

		if (pid == 0)
			_exit(hide_and_fork(fd));
		status = finish_off(pid, 20000);
		CHECK(WIFSIGNALED(status) || status == 0);
		REQUIRE(posix_spawn(&next, h_self, NULL, NULL, argv, environ) == 0);
		CHECK_EQ(finish_off(next, 20000), 0);
	}
	close(fd);
	still_alive();
}
