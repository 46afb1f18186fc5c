/* Errors of the calls that move bytes between files, and of requests that file systems answer: each as Linux gives it. */
#include "harness.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <linux/fs.h>

static int file, other, dir, p[2];

static void open_files(void)
{
	use_tmpdir();
	file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0600);
	dir = open(".", O_RDONLY);
	REQUIRE(file >= 0 && other >= 0 && dir >= 0 && pipe2(p, O_NONBLOCK) == 0);
	REQUIRE(ftruncate(file, 4096) == 0);
}

static void close_files(void)
{
	close(file);
	close(other);
	close(dir);
	close(p[0]);
	close(p[1]);
}

TEST(splice)
{
	int ev = eventfd(1, EFD_NONBLOCK);
	off_t pos = -1;

	open_files();
	CHECK_ERR(splice(dir, NULL, p[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(ev, NULL, p[1], NULL, 8, 0), EINVAL);
	CHECK_ERR(splice(file, NULL, other, NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(p[0], NULL, p[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(file, &pos, p[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(file, NULL, p[1], NULL, SIZE_MAX, 0), EINVAL);
	CHECK_ERR(splice(file, NULL, p[1], NULL, 1, 0x100), EINVAL);
	CHECK_EQ(splice(999, NULL, p[1], NULL, 0, 0), 0);
	close(ev);
	close_files();
}

TEST(sendfile)
{
	off_t pos = 0;

	open_files();
	CHECK_ERR(sendfile(other, dir, &pos, 1), EINVAL);
	CHECK_ERR(sendfile(other, file, &pos, SIZE_MAX), EINVAL);
	CHECK_ERR(sendfile(dir, file, &pos, 1), EBADF);
	CHECK_ERR(sendfile(other, p[0], &pos, 1), ESPIPE);
	pos = -1;
	CHECK_ERR(sendfile(other, file, &pos, 1), EINVAL);
	close_files();
}

TEST(reading_ahead)
{
	open_files();
	OK(readahead(file, 0, 100));
	CHECK_ERR(readahead(file, 0, SIZE_MAX), EINVAL);
	CHECK_ERR(readahead(p[0], 0, 1), EINVAL);
	CHECK_ERR(readahead(dir, 0, 1), EINVAL);
	close_files();
}

TEST(seeking)
{
	open_files();
	CHECK_EQ(lseek(file, 100, SEEK_SET), 100);
	CHECK_ERR(lseek(file, INT64_MAX, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(file, INT64_MAX, SEEK_END), EINVAL);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 100);
	close_files();
}

TEST(requests)
{
	struct file_clone_range range = {0};
	int ro, n = 0;
	int64_t size = -1;

	open_files();
	range.src_fd = other;
	ro = open("file", O_RDONLY);
	if (geteuid() != 0) { /* never as root: natively this would freeze the machine's own file system */
		CHECK_ERR(ioctl(file, FIBMAP, &n), EPERM);
		CHECK_ERR(ioctl(file, FIFREEZE, 0), EPERM);
		CHECK_ERR(ioctl(file, FITHAW, 0), EPERM);
	}
	CHECK_ERR(ioctl(file, FICLONE, 999), EBADF);
	CHECK_ERR(ioctl(ro, FICLONE, other), EBADF);
	CHECK_ERR(ioctl(file, FICLONE, p[0]), EXDEV);
	CHECK_ERR(ioctl(file, FICLONE, dir), EISDIR);
	/* A file system that shares blocks does it. */
	CHECK(ioctl(file, FICLONE, other) == 0 || errno == EOPNOTSUPP);
	CHECK(ioctl(file, FICLONERANGE, &range) == 0 || errno == EOPNOTSUPP);
	CHECK_ERR(ioctl(file, FICLONERANGE, 8), EFAULT);
	OK(ioctl(file, FIOQSIZE, &size));
	CHECK(size >= 0 && size % 512 == 0);
	CHECK_ERR(ioctl(p[0], FIOQSIZE, &size), ENOTTY);
	CHECK_ERR(ioctl(file, FIOQSIZE, 8), EFAULT);
	close(ro);
	close_files();
}
