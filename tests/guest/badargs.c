/* Bad pointers and bad descriptors over many calls. */
#include "harness.h"

#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Calls whose first argument is a descriptor; the rest would be all right. */
TEST(bad_descriptors)
{
	static char b[256];
	static const int fds[] = {-1, 999, INT_MAX, INT_MIN};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		long fd = fds[i];

		CHECK_ERR(syscall(SYS_read, fd, b, 1), EBADF);
		CHECK_ERR(syscall(SYS_write, fd, b, 1), EBADF);
		CHECK_ERR(syscall(SYS_close, fd), EBADF);
		CHECK_ERR(syscall(SYS_fstat, fd, b), EBADF);
		CHECK_ERR(syscall(SYS_lseek, fd, 0, 0), EBADF);
		CHECK_ERR(syscall(SYS_ioctl, fd, 0x5401, b), EBADF);
		CHECK_ERR(syscall(SYS_pread64, fd, b, 1, 0), EBADF);
		CHECK_ERR(syscall(SYS_pwrite64, fd, b, 1, 0), EBADF);
		CHECK_ERR(syscall(SYS_readv, fd, b, 0), EBADF);
		CHECK_ERR(syscall(SYS_writev, fd, b, 0), EBADF);
		CHECK_ERR(syscall(SYS_dup, fd), EBADF);
		CHECK_ERR(syscall(SYS_dup2, fd, 5), EBADF);
		CHECK_ERR(syscall(SYS_fcntl, fd, F_GETFL, 0), EBADF);
		CHECK_ERR(syscall(SYS_flock, fd, 2), EBADF);
		CHECK_ERR(syscall(SYS_fsync, fd), EBADF);
		CHECK_ERR(syscall(SYS_fdatasync, fd), EBADF);
		CHECK_ERR(syscall(SYS_ftruncate, fd, 0), EBADF);
		CHECK_ERR(syscall(SYS_getdents64, fd, b, 100), EBADF);
		CHECK_ERR(syscall(SYS_fchdir, fd), EBADF);
		CHECK_ERR(syscall(SYS_fchmod, fd, 0), EBADF);
		CHECK_ERR(syscall(SYS_fchown, fd, 0, 0), EBADF);
		CHECK_ERR(syscall(SYS_fstatfs, fd, b), EBADF);
		CHECK_ERR(syscall(SYS_sendfile, fd, 1, NULL, 1), EBADF);
		CHECK_ERR(syscall(SYS_fallocate, fd, 0, 0, 1), EBADF);
		CHECK_ERR(syscall(SYS_fadvise64, fd, 0, 0, 0), EBADF);
		CHECK_ERR(syscall(SYS_epoll_wait, fd, b, 1, 0), EBADF);
		CHECK_ERR(syscall(SYS_epoll_ctl, fd, EPOLL_CTL_ADD, 1, b), EBADF);
		if (fd != AT_FDCWD) {
			CHECK_ERR(syscall(SYS_openat, fd, "x", O_RDONLY, 0), EBADF);
			CHECK_ERR(syscall(SYS_newfstatat, fd, "x", b, 0), EBADF);
			CHECK_ERR(syscall(SYS_mkdirat, fd, "x", 0700), EBADF);
			CHECK_ERR(syscall(SYS_unlinkat, fd, "x", 0), EBADF);
			CHECK_ERR(syscall(SYS_readlinkat, fd, "x", b, 10), EBADF);
			CHECK_ERR(syscall(SYS_faccessat, fd, "x", 0), EBADF);
			CHECK_ERR(syscall(SYS_renameat, fd, "x", fd, "y"), EBADF);
			CHECK_ERR(syscall(SYS_linkat, fd, "x", fd, "y", 0), EBADF);
			CHECK_ERR(syscall(SYS_symlinkat, "x", fd, "y"), EBADF);
			CHECK_ERR(syscall(SYS_fchmodat, fd, "x", 0), EBADF);
			CHECK_ERR(syscall(SYS_fchownat, fd, "x", 0, 0, 0), EBADF);
		}
	}
}

/* Each address that cannot be used: low, the last page's end, beyond the user's, not canonical, the very top. */
static const unsigned long bad[] = {8, 0xfff, 0x7ffffffff000, 0x7ffffffffff8, 0x800000000000, 0xffff800000000000, 0xfffffffffffffff8};

TEST(bad_pointers)
{
	int zero = open("/dev/zero", O_RDONLY), fd;

	use_tmpdir();
	fd = open("f", O_RDWR | O_CREAT, 0600);
	REQUIRE(zero >= 0 && fd >= 0);
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned long p = bad[i];

		CHECK_ERR(syscall(SYS_read, zero, p, 1), EFAULT);
		CHECK_ERR(syscall(SYS_pread64, fd, p, 1, 0), EFAULT);
		CHECK_ERR(syscall(SYS_write, fd, p, 1), EFAULT);
		CHECK_ERR(syscall(SYS_readv, zero, p, 1), EFAULT);
		CHECK_ERR(syscall(SYS_open, p, O_RDONLY), EFAULT);
		CHECK_ERR(syscall(SYS_openat, AT_FDCWD, p, O_RDONLY, 0), EFAULT);
		CHECK_ERR(syscall(SYS_stat, p, &fd), EFAULT);
		CHECK_ERR(syscall(SYS_stat, "/", p), EFAULT);
		CHECK_ERR(syscall(SYS_fstat, fd, p), EFAULT);
		CHECK_ERR(syscall(SYS_lstat, "/", p), EFAULT);
		CHECK_ERR(syscall(SYS_newfstatat, AT_FDCWD, "/", p, 0), EFAULT);
		CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "/", 0, 0xfff, p), EFAULT);
		CHECK_ERR(syscall(SYS_statfs, "/", p), EFAULT);
		CHECK_ERR(syscall(SYS_poll, p, 1, 0), EFAULT);
		CHECK_ERR(syscall(SYS_pipe, p), EFAULT);
		CHECK_ERR(syscall(SYS_pipe2, p, 0), EFAULT);
		CHECK_ERR(syscall(SYS_nanosleep, p, NULL), EFAULT);
		CHECK_ERR(syscall(SYS_clock_gettime, 0, p), EFAULT);
		CHECK_ERR(syscall(SYS_gettimeofday, p, NULL), EFAULT);
		CHECK_ERR(syscall(SYS_getitimer, 0, p), EFAULT);
		CHECK_ERR(syscall(SYS_setitimer, 0, p, NULL), EFAULT);
		CHECK_ERR(syscall(SYS_execve, p, NULL, NULL), EFAULT);
		CHECK_ERR(syscall(SYS_uname, p), EFAULT);
		CHECK_ERR(syscall(SYS_getcwd, p, 100), EFAULT);
		CHECK_ERR(syscall(SYS_chdir, p), EFAULT);
		CHECK_ERR(syscall(SYS_mkdir, p, 0700), EFAULT);
		CHECK_ERR(syscall(SYS_rmdir, p), EFAULT);
		CHECK_ERR(syscall(SYS_unlink, p), EFAULT);
		CHECK_ERR(syscall(SYS_rename, p, "x"), EFAULT);
		CHECK_ERR(syscall(SYS_rename, "f", p), EFAULT);
		CHECK_ERR(syscall(SYS_link, p, "x"), EFAULT);
		CHECK_ERR(syscall(SYS_symlink, p, "x"), EFAULT);
		CHECK_ERR(syscall(SYS_readlink, p, &fd, 4), EFAULT);
		CHECK_ERR(syscall(SYS_readlink, "/proc/self/exe", p, 4), EFAULT);
		CHECK_ERR(syscall(SYS_chmod, p, 0), EFAULT);
		CHECK_ERR(syscall(SYS_chown, p, 0, 0), EFAULT);
		CHECK_ERR(syscall(SYS_access, p, 0), EFAULT);
		CHECK_ERR(syscall(SYS_truncate, p, 0), EFAULT);
		CHECK_ERR(syscall(SYS_getrlimit, 7, p), EFAULT);
		CHECK_ERR(syscall(SYS_setrlimit, 7, p), EFAULT);
		CHECK_ERR(syscall(SYS_getrusage, 0, p), EFAULT);
		CHECK_ERR(syscall(SYS_sysinfo, p), EFAULT);
		CHECK_ERR(syscall(SYS_times, p), EFAULT);
		CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8), EFAULT);
		CHECK_ERR(syscall(SYS_rt_sigprocmask, 0, p, NULL, 8), EFAULT);
		CHECK_ERR(syscall(SYS_rt_sigpending, p, 8), EFAULT);
		CHECK_ERR(syscall(SYS_sigaltstack, p, NULL), EFAULT);
		CHECK_ERR(syscall(SYS_futex, p & ~3ul, 0, 0, NULL, NULL, 0), EFAULT);
		CHECK_ERR(syscall(SYS_getrandom, p, 8, 0), EFAULT);
		CHECK_ERR(syscall(SYS_sendfile, fd, fd, p, 1), EFAULT);
		CHECK_ERR(syscall(SYS_fcntl, fd, F_GETLK, p), EFAULT);
	}
	/* Nothing of this did anything. */
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 10);
	close(fd);
	close(zero);
}

/* Strings and structures that begin well and run into an unmapped page. */
TEST(across_the_edge)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat *st = (struct stat *)(p + 4096 - sizeof(*st) + 8);

	REQUIRE(p != MAP_FAILED && munmap(p + 4096, 4096) == 0);
	memset(p, '/', 4096);
	CHECK_ERR(open(p + 4090, O_RDONLY), EFAULT);
	strcpy(p + 4091, "/tmp");
	CHECK_EQ(access(p + 4091, F_OK), 0); /* ends on the last byte */
	CHECK_ERR(syscall(SYS_stat, "/", st), EFAULT);
	CHECK_ERR(syscall(SYS_uname, p + 4096 - 100), EFAULT);
	CHECK_ERR(syscall(SYS_pipe, p + 4096 - 4), EFAULT);
	OK(mprotect(p, 4096, PROT_READ));
	CHECK_ERR(syscall(SYS_stat, "/", p), EFAULT);
	CHECK_ERR(syscall(SYS_clock_gettime, 0, p), EFAULT);
	munmap(p, 4096);
}

TEST(lengths)
{
	static char b[16];
	int fd = open("/dev/zero", O_RDWR);

	CHECK_ERR(syscall(SYS_read, fd, b, -1L), EFAULT);
	CHECK_ERR(syscall(SYS_read, fd, b, LONG_MIN), EFAULT);
	CHECK_EQ(syscall(SYS_read, fd, b, 0), 0);
	CHECK_ERR(syscall(SYS_getrandom, b, -1L, 0x80), EINVAL);
	CHECK_ERR(syscall(SYS_readlink, "/proc/self/exe", b, -1), EINVAL);
	close(fd);
}

/* A time long past, on a clock that is far from the monotonic one, is past. */
TEST(absolute_times_long_past)
{
	struct timespec ts = {0, 1};

	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
	ts.tv_nsec = 0;
	CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
}

/* What a pipe cannot take whole from one page it does not take; and nobody's iovec is looked at before the descriptor. */
TEST(what_comes_first)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec big = {p, LONG_MAX};
	int fd[2], n = 0;

	REQUIRE(p != MAP_FAILED && munmap(p + 4096, 4096) == 0 && pipe(fd) == 0);
	CHECK_ERR(write(fd[1], p + 4095, 64), EFAULT);
	OK(ioctl(fd[0], FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_ERR(syscall(SYS_writev, fd[0], 8, 1), EBADF);
	CHECK_ERR(syscall(SYS_readv, fd[1], 8, 1), EBADF);
	CHECK_EQ(syscall(SYS_writev, fd[1], &big, 1), 4096); /* of a single one as much as write would take */
	CHECK_EQ(syscall(SYS_writev, fd[1], &big, 1ul << 32), 0); /* the count is an int */
	CHECK_ERR(syscall(SYS_execve, "/etc/passwd/x", 8, NULL), ENOTDIR);
	CHECK_ERR(syscall(SYS_linkat, -1, "f", AT_FDCWD, 8, 0), EBADF);
	CHECK_ERR(syscall(SYS_kill, 4000000, 999), ESRCH);
	CHECK_ERR(syscall(SYS_flock, -1, 0), EINVAL);
	CHECK_EQ(lseek(eventfd(0, 0), 10, SEEK_SET), 0);
	close(fd[0]);
	close(fd[1]);
	munmap(p, 4096);
}

/* A waitid that fails clears the siginfo. */
TEST(waitid_clears)
{
	siginfo_t info;

	memset(&info, 0x55, sizeof(info));
	CHECK_ERR(syscall(SYS_waitid, P_ALL, 0, &info, WEXITED, NULL), ECHILD);
	CHECK_EQ(info.si_signo, 0);
	CHECK_EQ(info.si_pid, 0);
	CHECK_ERR(syscall(SYS_waitid, P_ALL, 0, 8, WEXITED, NULL), EFAULT);
}
