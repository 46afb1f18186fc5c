/* splice, tee and vmsplice: what moves, what stays, positions, ends, errors. */
#include "harness.h"

#include <sys/resource.h>
#include <sys/uio.h>

static int a[2], b[2], file;

static void begin(void)
{
	REQUIRE(pipe(a) == 0 && pipe(b) == 0);
	use_tmpdir();
	file = open(".", O_TMPFILE | O_RDWR, 0600);
	REQUIRE(file >= 0);
	REQUIRE(write(file, "0123456789", 10) == 10);
	REQUIRE(lseek(file, 0, SEEK_SET) == 0);
}

static void end(void)
{
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	close(file);
}

TEST(file_to_pipe)
{
	char buf[16];
	loff_t off = 4;

	begin();
	CHECK_EQ(splice(file, NULL, a[1], NULL, 3, 0), 3);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 3);
	CHECK_EQ(splice(file, &off, a[1], NULL, 2, 0), 2);
	CHECK_EQ(off, 6);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 3);
	CHECK_EQ(read(a[0], buf, 16), 5);
	CHECK(memcmp(buf, "01245", 5) == 0);
	CHECK_EQ(splice(file, NULL, a[1], NULL, 100, 0), 7);
	CHECK_EQ(splice(file, NULL, a[1], NULL, 100, 0), 0);
	end();
}

TEST(pipe_to_file)
{
	char buf[16] = "";
	loff_t off = 8;

	begin();
	CHECK_EQ(write(a[1], "abcdef", 6), 6);
	CHECK_EQ(splice(a[0], NULL, file, NULL, 2, 0), 2);
	CHECK_EQ(splice(a[0], NULL, file, &off, 100, 0), 4);
	CHECK_EQ(off, 12);
	CHECK_EQ(pread(file, buf, 16, 0), 12);
	CHECK(memcmp(buf, "ab234567cdef", 12) == 0);
	CHECK_ERR(splice(a[0], NULL, file, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	close(a[1]);
	CHECK_EQ(splice(a[0], NULL, file, NULL, 1, 0), 0);
	end();
}

TEST(nothing_is_lost)
{
	struct rlimit limit = {12, RLIM_INFINITY};
	loff_t off = 10;
	char buf[16];

	begin();
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(write(a[1], "a kept", 6), 6);
	CHECK_EQ(splice(a[0], NULL, file, &off, 6, 0), 2);
	CHECK_ERR(splice(a[0], NULL, file, &off, 4, 0), EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(read(a[0], buf, 16), 4);
	CHECK(memcmp(buf, "kept", 4) == 0);
	end();
}

TEST(between_pipes)
{
	static char big[65536];
	char buf[16];

	begin();
	CHECK_EQ(write(a[1], "abcdef", 6), 6);
	CHECK_EQ(tee(a[0], b[1], 4, 0), 4);
	CHECK_EQ(read(b[0], buf, 16), 4);
	CHECK(memcmp(buf, "abcd", 4) == 0);
	CHECK_EQ(splice(a[0], NULL, b[1], NULL, 5, 0), 5);
	CHECK_EQ(read(b[0], buf, 16), 5);
	CHECK(memcmp(buf, "abcde", 5) == 0);
	CHECK_EQ(read(a[0], buf, 16), 1);
	CHECK_EQ(buf[0], 'f');
	CHECK_ERR(tee(a[0], b[1], 4, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(write(b[1], big, sizeof(big)), sizeof(big));
	CHECK_EQ(write(a[1], "x", 1), 1);
	CHECK_ERR(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(read(a[0], buf, 16), 1);
	end();
}

TEST(from_memory)
{
	char buf[16], x[] = "left", y[] = "right";
	struct iovec v[2] = {{x, 4}, {y, 5}};

	begin();
	CHECK_EQ(vmsplice(a[1], v, 2, 0), 9);
	CHECK_EQ(read(a[0], buf, 16), 9);
	CHECK(memcmp(buf, "leftright", 9) == 0);
	CHECK_ERR(vmsplice(file, v, 2, 0), EBADF);
	CHECK_ERR(vmsplice(a[1], v, 2, 64), EINVAL);
	end();
}

static struct iovec one = {"x", 1};

static void vmsplice_waits(void)
{
	alarm(1);
	vmsplice(a[1], &one, 1, 0);
	H_FAIL("vmsplice returned: errno %d\n", errno);
}

/* A pipe's O_NONBLOCK counts for splice and tee, for vmsplice SPLICE_F_NONBLOCK alone. */
TEST(whose_nonblock)
{
	char fill[4096] = "";
	pid_t pid;

	begin();
	OK(fcntl(a[0], F_SETFL, O_NONBLOCK));
	CHECK_ERR(splice(a[0], NULL, file, NULL, 1, 0), EAGAIN);
	CHECK_ERR(splice(a[0], NULL, b[1], NULL, 1, 0), EAGAIN);
	CHECK_ERR(tee(a[0], b[1], 1, 0), EAGAIN);
	OK(fcntl(a[1], F_SETFL, O_NONBLOCK));
	while (write(a[1], fill, sizeof(fill)) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK_ERR(splice(file, NULL, a[1], NULL, 1, 0), EAGAIN);
	CHECK_ERR(vmsplice(a[1], &one, 1, SPLICE_F_NONBLOCK), EAGAIN);
	pid = h_fork();
	if (pid == 0) {
		vmsplice_waits();
		child_exit();
	}
	CHECK_EQ(h_wait(pid), SIGALRM);
	end();
}

TEST(refusals)
{
	loff_t off = 0;
	int again;

	begin();
	again = open(".", O_TMPFILE | O_RDWR, 0600);
	CHECK_ERR(splice(file, NULL, again, NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(a[0], &off, file, NULL, 1, 0), ESPIPE);
	CHECK_ERR(splice(file, NULL, a[1], &off, 1, 0), ESPIPE);
	CHECK_ERR(splice(file, NULL, a[0], NULL, 1, 0), EBADF);
	CHECK_ERR(splice(-1, NULL, a[1], NULL, 1, 0), EBADF);
	CHECK_ERR(splice(file, NULL, a[1], NULL, 1, 64), EINVAL);
	CHECK_EQ(splice(-1, NULL, -1, NULL, 0, 0), 0);
	CHECK_EQ(fcntl(again, F_SETFL, O_APPEND), 0);
	CHECK_ERR(splice(a[0], NULL, again, NULL, 1, 0), EINVAL);
	CHECK_ERR(tee(file, a[1], 1, 0), EINVAL);
	CHECK_ERR(tee(a[0], a[1], 1, 0), EINVAL);
	close(a[0]);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(splice(file, NULL, a[1], NULL, 1, 0), EPIPE);
	close(again);
	end();
}
