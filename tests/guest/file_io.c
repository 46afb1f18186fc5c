/* Reading and writing files: offsets, holes, truncation, vectors, partial faults, limits. */
#include "harness.h"

#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static int temp_file(void)
{
	char name[] = "fXXXXXX";
	int fd;

	use_tmpdir();
	fd = mkstemp(name);
	REQUIRE(fd >= 0);
	REQUIRE(unlink(name) == 0);
	return fd;
}

/* Two pages of which the second cannot be touched; returns the boundary. */
static char *guard(int prot)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	memset(p, 'g', 4096);
	REQUIRE(mprotect(p, 4096, prot) == 0);
	REQUIRE(munmap(p + 4096, 4096) == 0);
	return p + 4096;
}

TEST(offsets)
{
	char buf[16];
	int fd = temp_file();

	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(read(fd, buf, 16), 0);
	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_EQ(read(fd, buf, 4), 4);
	CHECK(memcmp(buf, "3456", 4) == 0);
	CHECK_EQ(lseek(fd, -2, SEEK_CUR), 5);
	CHECK_EQ(lseek(fd, -1, SEEK_END), 9);
	CHECK_EQ(read(fd, buf, 16), 1);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, -11, SEEK_END), EINVAL);
	CHECK_ERR(lseek(fd, 0, 77), EINVAL);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(pread(fd, buf, 4, 2), 4);
	CHECK(memcmp(buf, "2345", 4) == 0);
	CHECK_EQ(pwrite(fd, "AB", 2, 1), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10); /* neither moved it */
	CHECK_EQ(pread(fd, buf, 16, 0), 10);
	CHECK(memcmp(buf, "0AB3456789", 10) == 0);
	CHECK_EQ(pread(fd, buf, 4, 100), 0);
	CHECK_ERR(pread(fd, buf, 4, -1), EINVAL);
	CHECK_ERR(pwrite(fd, buf, 4, -1), EINVAL);
	close(fd);
}

TEST(holes)
{
	char buf[64];
	struct stat st;
	int fd = temp_file();

	CHECK_EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 0); /* seeking alone changes nothing */
	CHECK_EQ(write(fd, "end", 3), 3);
	CHECK(fstat(fd, &st) == 0 && st.st_size == (1 << 20) + 3);
	CHECK(st.st_blocks * 512 < 1 << 20);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(pread(fd, buf, 64, 5000), 64);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(buf[i], 0);
	close(fd);
}

TEST(truncate)
{
	char buf[32];
	struct stat st;
	int fd = temp_file();

	CHECK_EQ(write(fd, "abcdefgh", 8), 8);
	OK(ftruncate(fd, 3));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
	CHECK_EQ(read(fd, buf, 8), 0);
	OK(ftruncate(fd, 6)); /* what was cut off does not come back */
	CHECK_EQ(pread(fd, buf, 32, 0), 6);
	CHECK(memcmp(buf, "abc\0\0\0", 6) == 0);
	OK(ftruncate(fd, 5000));
	CHECK(fstat(fd, &st) == 0 && st.st_size == 5000);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_ERR(ftruncate(99, 0), EBADF);
	write_file("named", "abcdef", 6, 0600);
	OK(truncate("named", 2));
	CHECK(stat("named", &st) == 0 && st.st_size == 2);
	CHECK_ERR(truncate("none", 0), ENOENT);
	CHECK_ERR(truncate(".", 0), EISDIR);
	CHECK_ERR(truncate("named", -5), EINVAL);
	close(fd);
}

TEST(vectors)
{
	char a[4], b[4], c[4];
	struct iovec in[3] = {{a, 4}, {b, 0}, {c, 4}};
	struct iovec out[4] = {{"ab", 2}, {"", 0}, {"cdef", 4}, {"g", 1}};
	struct iovec bad[2] = {{a, 4}, {b, (size_t)-1}};
	static struct iovec many[IOV_MAX + 1];
	int fd = temp_file();

	CHECK_EQ(writev(fd, out, 4), 7);
	CHECK_EQ(preadv(fd, in, 3, 0), 7);
	CHECK(memcmp(a, "abcd", 4) == 0 && memcmp(c, "efg", 3) == 0);
	CHECK_EQ(pwritev(fd, out, 1, 5), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(readv(fd, in, 3), 0);
	CHECK_EQ(readv(fd, in, 0), 0);
	CHECK_ERR(readv(fd, in, -1), EINVAL);
	CHECK_ERR(readv(fd, bad, 2), EINVAL);
	CHECK_ERR(writev(fd, many, IOV_MAX + 1), EINVAL);
	CHECK_EQ(writev(fd, many, IOV_MAX), 0);
	CHECK_ERR(syscall(SYS_readv, fd, 8, 1), EFAULT);
	CHECK_ERR(syscall(SYS_preadv, fd, in, 3, -1L, 0L), EINVAL);
	CHECK_EQ(syscall(SYS_preadv2, fd, in, 3, 0L, 0L, 0), 7);
	CHECK_EQ(syscall(SYS_preadv2, fd, in, 3, -1L, -1L, 0), 0); /* the file's own offset */
	CHECK_ERR(syscall(SYS_preadv2, fd, in, 3, 0L, 0L, 0x4000), EOPNOTSUPP);
	close(fd);
}

TEST(faults)
{
	char buf[8192], *edge = guard(PROT_READ | PROT_WRITE);
	int fd = temp_file(), zero = open("/dev/zero", O_RDONLY);

	/* What lies before the fault is done, and the offset says so. */
	CHECK_EQ(write(fd, edge - 100, 200), 100);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 100);
	CHECK_ERR(write(fd, edge, 1), EFAULT);
	CHECK_ERR(write(fd, (void *)8, 100), EFAULT);
	memset(buf, 'b', sizeof(buf));
	CHECK_EQ(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	lseek(fd, 0, SEEK_SET);
	CHECK_EQ(read(fd, edge - 10, 100), 10);
	CHECK(edge[-1] == 'b');
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_ERR(read(fd, edge, 1), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_ERR(read(fd, (void *)-1, 100), EFAULT);
	CHECK_EQ(read(zero, edge - 10, 100), 10);
	/* Zero bytes touch nothing; only an address beyond the user's is refused. */
	CHECK_EQ(write(fd, edge, 0), 0);
	CHECK_EQ(read(fd, edge, 0), 0);

	struct iovec iov[3] = {{buf, 50}, {edge - 20, 40}, {buf, 50}};
	lseek(fd, 0, SEEK_SET);
	CHECK_EQ(writev(fd, iov, 3), 70);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 70);
	lseek(fd, 0, SEEK_SET);
	CHECK_EQ(readv(fd, iov, 3), 70);
	/* A read-only page cannot be read into. */
	char *ro = guard(PROT_READ);
	CHECK_ERR(read(zero, ro - 10, 5), EFAULT);
	CHECK_EQ(write(fd, ro - 10, 10), 10);
	close(fd);
	close(zero);
}

TEST(huge_counts)
{
	char c = 'x';
	int null = open("/dev/null", O_RDWR);
	int fd = temp_file();

	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(pread(fd, &c, 1, LONG_MAX - 1), 0);
	CHECK_ERR(pwrite(fd, &c, 1, LONG_MAX), EINVAL); /* the end overflows */
	CHECK_ERR(read(fd, &c, (size_t)-1), EFAULT);	/* wraps around */
	close(null);
	close(fd);
}

TEST(file_size_limit)
{
	struct rlimit lim = {1000, RLIM_INFINITY};
	char buf[2000] = {0};
	pid_t pid;
	int fd = temp_file();

	pid = h_fork();
	if (pid == 0) {
		signal(SIGXFSZ, SIG_IGN);
		getrlimit(RLIMIT_FSIZE, &lim);
		lim.rlim_cur = 1000;
		REQUIRE(setrlimit(RLIMIT_FSIZE, &lim) == 0);
		CHECK_EQ(write(fd, buf, 2000), 1000);
		CHECK_ERR(write(fd, buf, 1), EFBIG);
		CHECK_ERR(ftruncate(fd, 1001), EFBIG);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		getrlimit(RLIMIT_FSIZE, &lim);
		lim.rlim_cur = 1000;
		REQUIRE(setrlimit(RLIMIT_FSIZE, &lim) == 0);
		signal(SIGXFSZ, SIG_DFL);
		CHECK_EQ(write(fd, buf, 1), -1);
		child_exit();
	}
	CHECK_EQ(h_wait(pid) & 0x7f, SIGXFSZ);
	close(fd);
}

TEST(big_file)
{
	static char block[1 << 16];
	int fd = temp_file();

	for (int i = 0; i < 64; i++) {
		memset(block, i, sizeof(block));
		CHECK_EQ(write(fd, block, sizeof(block)), sizeof(block));
	}
	for (int i = 63; i >= 0; i--) {
		CHECK_EQ(pread(fd, block, sizeof(block), (off_t)i << 16), sizeof(block));
		CHECK(block[0] == i && block[65535] == i);
	}
	static char all[4 << 20];
	CHECK_EQ(pread(fd, all, sizeof(all), 0), sizeof(all)); /* in one call */
	CHECK(all[0] == 0 && all[sizeof(all) - 1] == 63);
	close(fd);
}

TEST(unlinked_but_open)
{
	char buf[8];
	struct stat st;
	int fd;

	use_tmpdir();
	write_file("gone", "here", 4, 0600);
	fd = open("gone", O_RDWR);
	OK(unlink("gone"));
	CHECK_ERR(open("gone", O_RDONLY), ENOENT);
	CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0);
	CHECK_EQ(read(fd, buf, 8), 4);
	CHECK_EQ(write(fd, "more", 4), 4);
	CHECK_EQ(pread(fd, buf, 8, 0), 8);
	write_file("gone", "other", 5, 0600);
	CHECK_EQ(pread(fd, buf, 4, 0), 4);
	CHECK(memcmp(buf, "here", 4) == 0);
	close(fd);
}

TEST(sendfile_and_copy)
{
	char buf[64];
	off_t off = 2;
	int in = temp_file(), out = temp_file(), p[2];

	CHECK_EQ(write(in, "0123456789", 10), 10);
	CHECK_EQ(sendfile(out, in, &off, 4), 4);
	CHECK_EQ(off, 6);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 10);
	CHECK_EQ(pread(out, buf, 64, 0), 4);
	CHECK(memcmp(buf, "2345", 4) == 0);
	lseek(in, 0, SEEK_SET);
	REQUIRE(pipe(p) == 0);
	CHECK_EQ(sendfile(p[1], in, NULL, 100), 10);
	CHECK_EQ(read(p[0], buf, 64), 10);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 10);
	CHECK_ERR(sendfile(out, 99, NULL, 1), EBADF);
	lseek(in, 0, SEEK_SET);
	lseek(out, 0, SEEK_SET);
	CHECK_EQ(copy_file_range(in, NULL, out, NULL, 10, 0), 10);
	CHECK_EQ(pread(out, buf, 64, 0), 10);
	CHECK(memcmp(buf, "0123456789", 10) == 0);
	close(in);
	close(out);
	close(p[0]);
	close(p[1]);
}

/* What copy_file_range refuses, and that it never goes past the end of what it copies. */
TEST(copy_range_limits)
{
	int in = temp_file(), out = temp_file(), other = memfd_create("other", MFD_CLOEXEC);
	int dir = open(".", O_RDONLY | O_DIRECTORY), ro = open("/proc/self/exe", O_RDONLY), p[2];
	int append = open("append", O_RDWR | O_CREAT | O_APPEND, 0600);
	off_t far = INT64_MAX, near_end = 7, negative = -5, start = 0, two = 2;

	REQUIRE(other >= 0 && dir >= 0 && ro >= 0 && append >= 0 && pipe(p) == 0);
	CHECK_EQ(write(in, "0123456789", 10), 10);
	CHECK_EQ(copy_file_range(in, &near_end, out, NULL, 100, 0), 3);
	CHECK_EQ(near_end, 10);
	CHECK_EQ(copy_file_range(in, &near_end, out, NULL, 100, 0), 0);
	CHECK_ERR(copy_file_range(in, &start, out, &far, 1, 0), EFBIG);
	CHECK_EQ(copy_file_range(in, &far, out, NULL, 1, 0), 0);
	CHECK_ERR(copy_file_range(in, &two, out, NULL, SIZE_MAX, 0), EOVERFLOW);
	CHECK_ERR(copy_file_range(in, &start, in, &two, 5, 0), EINVAL);
	CHECK_EQ(copy_file_range(in, &start, in, &far, 0, 0) < 0 ? errno : 0, EFBIG);
	CHECK_ERR(copy_file_range(in, &negative, out, NULL, 1, 0), EINVAL);
	CHECK_ERR(copy_file_range(in, &start, out, NULL, 1, 1), EINVAL);
	CHECK_ERR(copy_file_range(dir, NULL, out, NULL, 1, 0), EISDIR);
	CHECK_ERR(copy_file_range(in, &start, p[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(copy_file_range(in, &start, append, NULL, 1, 0), EBADF);
	CHECK_ERR(copy_file_range(in, &start, ro, NULL, 1, 0), EBADF);
	CHECK_ERR(copy_file_range(in, &start, other, NULL, 1, 0), EXDEV);
	CHECK_EQ(start, 0);
	close(p[0]), close(p[1]), close(in), close(out), close(other), close(dir), close(ro), close(append);
}

/* Files that could share what they hold are not to be had everywhere; what else is wrong is told first. */
TEST(clone_refused)
{
	int in = temp_file(), out = temp_file(), other = memfd_create("other", MFD_CLOEXEC);
	int dir = open(".", O_RDONLY | O_DIRECTORY), twin = memfd_create("twin", MFD_CLOEXEC);
	struct file_clone_range range = {.src_fd = other};
	struct file_dedupe_range none = {0};

	REQUIRE(other >= 0 && dir >= 0 && twin >= 0);
	CHECK_ERR(ioctl(out, FICLONE, 999), EBADF);
	CHECK_ERR(ioctl(out, FICLONE, other), EXDEV);
	CHECK_ERR(ioctl(out, FICLONE, dir), EISDIR);
	CHECK_ERR(ioctl(twin, FICLONE, other), EOPNOTSUPP);
	CHECK_ERR(ioctl(twin, FICLONERANGE, &range), EOPNOTSUPP);
	CHECK_ERR(ioctl(twin, FICLONERANGE, 8), EFAULT);
	range.src_fd = 999;
	CHECK_ERR(ioctl(twin, FICLONERANGE, &range), EBADF);
	CHECK_ERR(ioctl(twin, FIDEDUPERANGE, &none), EOPNOTSUPP);
	none.reserved1 = 1;
	CHECK_ERR(ioctl(twin, FIDEDUPERANGE, &none), EINVAL);
	none.reserved1 = 0;
	none.dest_count = 200;
	CHECK_ERR(ioctl(twin, FIDEDUPERANGE, &none), ENOMEM);
	close(in), close(out), close(other), close(dir), close(twin);
}

TEST(sync)
{
	int fd = temp_file();

	OK(fsync(fd));
	OK(fdatasync(fd));
	CHECK_ERR(fsync(99), EBADF);
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	OK(fallocate(fd, 0, 0, 10000));
	struct stat st;
	CHECK(fstat(fd, &st) == 0 && st.st_size == 10000);
	CHECK_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	close(fd);
}
