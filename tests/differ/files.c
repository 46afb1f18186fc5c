/* Files, directories and descriptors. */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int fds[FD_SLOTS];

void files_start(void)
{
	for (int i = 0; i < FD_SLOTS; i++)
		fds[i] = -1;
	keep_fd(open("f0", O_RDWR | O_CREAT, 0644));
	mkdir("d0", 0755);
}

int some_fd(void)
{
	static const int none[] = {-1, 62, 61, 1000};
	int fd = fds[roll(FD_SLOTS)];

	if (once_in(30))
		return PICK(none);
	for (int i = 0; fd < 0 && i < FD_SLOTS; i++)
		fd = fds[i];
	return fd;
}

void keep_fd(long fd)
{
	int *slot = &fds[roll(FD_SLOTS)];

	if (fd < 0)
		return;
	for (int i = 0; i < FD_SLOTS; i++)
		if (fds[i] < 0)
			slot = &fds[i];
	if (*slot >= 0)
		close(*slot);
	*slot = (int)fd;
}

void forget_fd(int fd)
{
	for (int i = 0; i < FD_SLOTS; i++)
		if (fds[i] == fd)
			fds[i] = -1;
}

const char *some_path(void)
{
	static const char *const paths[] = {"f0", "f0", "f1", "f2", "d0", "d1", "d0/f0", "d0/f1", "d0/d2", "d1/f0", "l0", "l1",
					    "p0", ".", "d0/..", "d0/../f1", "l0/f0", "nope/f0", "f0/x", "", "d0/", "f0/"};

	return PICK(paths);
}

/* ---- descriptors ---- */

static void open_step(void)
{
	static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_TRUNC,
				    O_WRONLY | O_APPEND, O_RDWR | O_CREAT | O_TRUNC, O_RDONLY | O_DIRECTORY, O_RDWR | O_CREAT | O_APPEND,
				    O_PATH, O_RDONLY | O_NOFOLLOW, O_PATH | O_NOFOLLOW, O_RDWR | O_TMPFILE, O_RDONLY | O_CREAT};
	static const int modes[] = {0644, 0600, 0, 0777, 0444};
	int f = PICK(flags) | O_NONBLOCK | (once_in(3) ? O_CLOEXEC : 0), mode = PICK(modes);
	const char *path = some_path(), *where;

	step("open(\"%s\"%s, %#o, %#o)", path, some_text(path, &where), f, mode);
	keep_fd(gave(open(where, f, mode)));
}

static void openat_step(void)
{
	int at = once_in(2) ? AT_FDCWD : some_fd(), f = once_in(2) ? O_RDONLY : O_RDWR | O_CREAT;
	const char *path = some_path();

	step("openat(%d, \"%s\", %#o)", at, path, f);
	keep_fd(gave(openat(at, path, f | O_NONBLOCK, 0640)));
}

static void close_step(void)
{
	int fd = some_fd();

	if (once_in(2))
		return;
	step("close(%d)", fd);
	gave(close(fd));
	forget_fd(fd);
}

static void dup_step(void)
{
	int fd = some_fd(), to = 20 + (int)roll(8);

	switch (roll(4)) {
	case 0:
		step("dup(%d)", fd);
		keep_fd(gave(dup(fd)));
		break;
	case 1:
		step("dup2(%d, %d)", fd, to);
		forget_fd(to);
		keep_fd(gave(dup2(fd, to)));
		break;
	case 2:
		step("dup3(%d, %d)", fd, to);
		if (fd != to)
			forget_fd(to);
		keep_fd(gave(dup3(fd, to, O_CLOEXEC)));
		break;
	default:
		step("fcntl(%d, F_DUPFD, %d)", fd, to);
		keep_fd(gave(fcntl(fd, F_DUPFD, to)));
	}
}

static void make_fd_step(void)
{
	int pair[2] = {-1, -1};

	switch (roll(6)) {
	case 0:
		step("pipe2()");
		if (gave(pipe2(pair, O_NONBLOCK)) == 0)
			more(" %d %d", pair[0], pair[1]);
		break;
	case 1:
		step("socketpair()");
		if (gave(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) == 0)
			more(" %d %d", pair[0], pair[1]);
		break;
	case 2: {
		unsigned init = roll(5);
		int flags = EFD_NONBLOCK | (once_in(2) ? EFD_SEMAPHORE : 0);

		step("eventfd(%u, %#x)", init, flags);
		keep_fd(gave(eventfd(init, flags)));
		return;
	}
	case 3:
		step("memfd_create()");
		keep_fd(gave(memfd_create("m", MFD_ALLOW_SEALING)));
		return;
	case 4:
		step("epoll_create()");
		keep_fd(gave(epoll_create1(0)));
		return;
	default:
		step("inotify_init()");
		keep_fd(gave(inotify_init1(IN_NONBLOCK)));
		return;
	}
	keep_fd(pair[0]);
	keep_fd(pair[1]);
}

/* ---- reading and writing ---- */

/* What is read of these tells of processes and of all that was renamed on the machine. */
static bool tells_of_others(int fd)
{
	char link[32], target[64] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, target, sizeof(target) - 1) > 0 && (strstr(target, "signalfd") || strstr(target, "inotify"));
}

static void read_step(void)
{
	int fd = some_fd();
	size_t size = some_size();
	off_t off = (off_t)roll(9000);
	char *p = some_memory(size, false);
	long n;

	if (once_in(2)) {
		step("read(%d, %zu)", fd, size);
		n = read(fd, p, size);
	} else {
		step("pread(%d, %zu, %ld)", fd, size, (long)off);
		n = pread(fd, p, size, off);
	}
	if (gave(n) > 0 && !tells_of_others(fd))
		wrote(p, (size_t)n);
}

/*
 * What is written to a file is there: since 6.16 Linux's tmpfs makes a file longer, and gives it a page, before it finds out that
 * the bytes are not to be had.
 */
static char *memory_for(int fd, size_t size)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? whole_memory(size) : some_memory(size, true);
}

static void write_step(void)
{
	int fd = some_fd();
	size_t size = some_size();
	off_t off = (off_t)roll(9000);
	const char *p = memory_for(fd, size);

	if (once_in(2)) {
		step("write(%d, %zu)", fd, size);
		gave(write(fd, p, size));
	} else {
		step("pwrite(%d, %zu, %ld)", fd, size, (long)off);
		gave(pwrite(fd, p, size, off));
	}
}

static void vector_step(void)
{
	struct iovec iov[4];
	int fd = some_fd(), count = 1 + (int)roll(4);
	bool out = once_in(2);
	char *p = out ? memory_for(fd, 4000) : some_memory(4000, false);

	for (int i = 0; i < count; i++)
		iov[i] = (struct iovec){p + i * 1000, roll(1000)};
	step("%s(%d, %d)", out ? "writev" : "readv", fd, count);
	gave(out ? writev(fd, iov, count) : readv(fd, iov, count));
}

static bool allocated; /* what is allocated and not written is a hole to Linux's lseek */

static void seek_step(void)
{
	int fd = some_fd(), whence = (int)roll(allocated ? 3 : 6);
	long off = (long)roll(20000) - (once_in(4) ? 10000 : 0);

	step("lseek(%d, %ld, %d)", fd, off, whence);
	gave(lseek(fd, off, whence));
}

static void size_step(void)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE,
				    FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE};
	int fd = some_fd(), mode = PICK(modes);
	long off = (long)roll(12000), len = (long)roll(12000) - (once_in(10) ? 1 : 0);
	const char *path = some_path();

	switch (roll(3)) {
	case 0:
		step("ftruncate(%d, %ld)", fd, len);
		gave(ftruncate(fd, len));
		break;
	case 1:
		step("truncate(\"%s\", %ld)", path, len);
		gave(truncate(path, len));
		break;
	default:
		allocated = true;
		step("fallocate(%d, %d, %ld, %ld)", fd, mode, off, len);
		gave(fallocate(fd, mode, off, len));
	}
}

/* What is read of a file that is written at the same time may be either. */
static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && S_ISREG(sa.st_mode) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Linux puts a file's own pages into a pipe: what is written to them later is read from it. */
static bool passes_pages(int in, int out)
{
	struct stat si, so;

	return fstat(in, &si) == 0 && fstat(out, &so) == 0 && S_ISREG(si.st_mode) && S_ISFIFO(so.st_mode);
}

static void move_step(void)
{
	int in = some_fd(), out = some_fd();
	long from = (long)roll(5000), to = (long)roll(5000), *from_at = once_in(2) ? &from : NULL, *to_at = once_in(2) ? &to : NULL;
	size_t size = some_size();

	switch (roll(4)) {
	case 0:
		if (same_file(in, out) || passes_pages(in, out))
			return;
		step("sendfile(%d, %d, %ld, %zu)", out, in, from_at ? from : -1, size);
		gave(sendfile(out, in, from_at, size));
		break;
	case 1:
		step("copy_file_range(%d, %ld, %d, %ld, %zu)", in, from_at ? from : -1, out, to_at ? to : -1, size);
		gave(copy_file_range(in, from_at, out, to_at, size, 0));
		break;
	case 2:
		if (passes_pages(in, out))
			return;
		step("splice(%d, %ld, %d, %ld, %zu)", in, from_at ? from : -1, out, to_at ? to : -1, size);
		gave(splice(in, from_at, out, to_at, size, SPLICE_F_NONBLOCK));
		break;
	default:
		step("tee(%d, %d, %zu)", in, out, size);
		gave(tee(in, out, size, SPLICE_F_NONBLOCK));
	}
	more(" %ld %ld", from, to);
}

/* ---- what is told of files ---- */

static void tell(const struct stat *st)
{
	more(" %o %lu", st->st_mode, (unsigned long)st->st_nlink);
	if (S_ISREG(st->st_mode))
		more(" %ld", (long)st->st_size);
	if (S_ISLNK(st->st_mode))
		more(" %ld", (long)st->st_size);
}

static void stat_step(void)
{
	int fd = some_fd();
	const char *path = some_path(), *where;
	struct stat *st = some_memory(sizeof(*st), false);
	long r;

	switch (roll(4)) {
	case 0:
		step("fstat(%d)", fd);
		r = fstat(fd, st);
		break;
	case 1:
		step("stat(\"%s\"%s)", path, some_text(path, &where));
		r = stat(where, st);
		break;
	case 2:
		step("lstat(\"%s\"%s)", path, some_text(path, &where));
		r = lstat(where, st);
		break;
	default:
		step("fstatat(%d, \"%s\")", fd, path);
		r = fstatat(fd, path, st, once_in(2) ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW);
	}
	if (gave(r) == 0)
		tell(st);
}

static void access_step(void)
{
	const char *path = some_path(), *where;
	int mode = (int)roll(8);
	char *p = some_memory(200, false);

	if (once_in(2)) {
		step("access(\"%s\"%s, %d)", path, some_text(path, &where), mode);
		gave(access(where, mode));
	} else {
		size_t size = roll(8);
		long n;

		step("readlink(\"%s\", %zu)", path, size);
		n = gave(readlink(path, p, size));
		if (n > 0)
			wrote(p, (size_t)n);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_step(void)
{
	const char *path = some_path();
	char *names[32];
	size_t n = 0;
	struct dirent *e;
	DIR *d;

	step("list(\"%s\")", path);
	d = opendir(path);
	if (!d) {
		gave(-1);
		return;
	}
	while (n < 32 && (e = readdir(d))) {
		char *copy;

		if (asprintf(&copy, "%s:%d", e->d_name, e->d_type) < 0)
			_exit(96);
		names[n++] = copy;
	}
	closedir(d);
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		more(" %s", names[i]);
		free(names[i]);
	}
}

/* ---- names ---- */

static void name_step(void)
{
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE, 64};
	const char *a = some_path(), *b = some_path(), *where;
	unsigned f = PICK(flags);
	int mode = (int)roll(0777), at;

	switch (roll(10)) {
	case 0:
		step("mkdir(\"%s\"%s)", a, some_text(a, &where));
		gave(mkdir(where, 0755));
		break;
	case 1:
		step("rmdir(\"%s\")", a);
		gave(rmdir(a));
		break;
	case 2:
		step("unlink(\"%s\"%s)", a, some_text(a, &where));
		gave(unlink(where));
		break;
	case 3:
		step("rename(\"%s\", \"%s\"%s)", a, b, some_text(b, &where));
		gave(rename(a, where));
		break;
	case 4:
		step("renameat2(\"%s\", \"%s\", %u)", a, b, f);
		gave(renameat2(AT_FDCWD, a, AT_FDCWD, b, f));
		break;
	case 5:
		at = once_in(3) ? AT_SYMLINK_FOLLOW : 0;
		step("linkat(\"%s\", \"%s\", %d)", a, b, at);
		gave(linkat(AT_FDCWD, a, AT_FDCWD, b, at));
		break;
	case 6:
		step("symlink(\"%s\", \"%s\")", a, b);
		gave(symlink(a, b));
		break;
	case 7:
		step("mkfifo(\"%s\")", a);
		gave(mkfifo(a, 0600));
		break;
	case 8:
		step("chmod(\"%s\", %#o)", a, mode);
		gave(chmod(a, (mode_t)mode | 0700));
		break;
	default:
		step("utimensat(\"%s\")", a);
		gave(utimensat(AT_FDCWD, a, NULL, AT_SYMLINK_NOFOLLOW));
	}
}

/* ---- flags, locks, readiness ---- */

static void flags_step(void)
{
	static const int set[] = {0, O_APPEND, O_NONBLOCK, O_NONBLOCK | O_APPEND};
	int fd = some_fd(), f = PICK(set) | O_NONBLOCK;

	switch (roll(6)) {
	case 0:
		step("fcntl(%d, F_GETFL)", fd);
		gave(fcntl(fd, F_GETFL));
		break;
	case 1:
		step("fcntl(%d, F_SETFL, %#o)", fd, f);
		gave(fcntl(fd, F_SETFL, f));
		break;
	case 2:
		step("fcntl(%d, F_GETFD)", fd);
		gave(fcntl(fd, F_GETFD));
		break;
	case 3:
		step("fcntl(%d, F_GET_SEALS)", fd);
		gave(fcntl(fd, F_GET_SEALS));
		break;
	case 4:
		f = 1 << roll(5);
		step("fcntl(%d, F_ADD_SEALS, %d)", fd, f);
		gave(fcntl(fd, F_ADD_SEALS, f));
		break;
	default:
		step("fcntl(%d, F_GETPIPE_SZ)", fd);
		gave(fcntl(fd, F_GETPIPE_SZ));
	}
}

/* Linux has one inode behind all eventfds and the like, which is locked for all of them. */
static bool has_inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT);
}

static void lock_step(void)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	static const int ops[] = {LOCK_SH, LOCK_EX, LOCK_UN};
	struct flock lk = {.l_type = PICK(types), .l_whence = SEEK_SET, .l_start = (off_t)roll(100), .l_len = (off_t)roll(100)};
	int fd = some_fd(), op = PICK(ops) | LOCK_NB;

	if (!has_inode(fd))
		return;
	switch (roll(3)) {
	case 0:
		step("flock(%d, %d)", fd, op);
		gave(flock(fd, op));
		break;
	case 1:
		step("fcntl(%d, F_OFD_SETLK, %d, %ld, %ld)", fd, lk.l_type, (long)lk.l_start, (long)lk.l_len);
		gave(fcntl(fd, F_OFD_SETLK, &lk));
		break;
	default:
		step("fcntl(%d, F_OFD_GETLK, %d, %ld, %ld)", fd, lk.l_type, (long)lk.l_start, (long)lk.l_len);
		if (gave(fcntl(fd, F_OFD_GETLK, &lk)) == 0)
			more(" %d %ld %ld", lk.l_type, (long)lk.l_start, (long)lk.l_len);
	}
}

static void poll_step(void)
{
	struct pollfd p[3];

	for (int i = 0; i < 3; i++)
		p[i] = (struct pollfd){.fd = some_fd(), .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	step("poll(%d, %d, %d)", p[0].fd, p[1].fd, p[2].fd);
	if (gave(poll(p, 3, 0)) >= 0)
		more(" %#x %#x %#x", p[0].revents, p[1].revents, p[2].revents);
}

static void epoll_step(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.u32 = roll(100)}, got[4];
	int ep = some_fd(), fd = some_fd(), op = 1 + (int)roll(3);
	uint32_t sum = 0;
	long n;

	if (once_in(3))
		ev.events |= EPOLLET;
	if (once_in(5))
		ev.events |= EPOLLONESHOT;
	if (once_in(2)) {
		step("epoll_ctl(%d, %d, %d, %#x)", ep, op, fd, ev.events);
		gave(epoll_ctl(ep, op, fd, &ev));
		return;
	}
	step("epoll_wait(%d)", ep);
	n = gave(epoll_wait(ep, got, 4, 0));
	for (long i = 0; i < n; i++)
		sum += got[i].events * 101 + got[i].data.u32;
	more(" %u", n < 4 ? sum : 0);
}

static void inotify_step(void)
{
	int fd = some_fd(), wd = 1 + (int)roll(3);
	const char *path = some_path();

	if (once_in(3)) {
		step("inotify_rm_watch(%d, %d)", fd, wd);
		gave(inotify_rm_watch(fd, wd));
		return;
	}
	step("inotify_add_watch(%d, \"%s\")", fd, path);
	gave(inotify_add_watch(fd, path, IN_ALL_EVENTS & ~(uint32_t)(IN_ACCESS | IN_OPEN | IN_CLOSE)));
}

void file_step(void)
{
	static void (*const steps[])(void) = {
		open_step, open_step, open_step, openat_step, close_step, dup_step, make_fd_step, read_step, read_step, read_step,
		write_step, write_step, write_step, vector_step, seek_step, size_step, move_step, move_step, stat_step, stat_step,
		access_step, list_step, name_step, name_step, name_step, flags_step, lock_step, poll_step, epoll_step, inotify_step,
	};

	PICK(steps)();
}
