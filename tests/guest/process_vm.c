/* process_vm_readv, process_vm_writev and kcmp: another process's memory, and what two processes have in common. */
#include "harness.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define PAGE 4096ul
enum { C_FILE, C_VM, C_FILES, C_FS, C_SIGHAND, C_IO, C_SYSVSEM, C_EPOLL };

static char *pages(size_t n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static ssize_t get(pid_t pid, void *to, const void *from, size_t len)
{
	struct iovec l = {to, len}, r = {(void *)from, len};

	return process_vm_readv(pid, &l, 1, &r, 1, 0);
}

static ssize_t put(pid_t pid, void *to, const void *from, size_t len)
{
	struct iovec l = {(void *)from, len}, r = {to, len};

	return process_vm_writev(pid, &l, 1, &r, 1, 0);
}

/* A child that waits until a pipe closes and then ends with its first byte of p. */
static pid_t holder(char *p, int *end)
{
	int fds[2];
	pid_t pid;

	REQUIRE(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(fds[1]);
		while (read(fds[0], &c, 1) > 0)
			;
		_exit(p[0]);
	}
	close(fds[0]);
	*end = fds[1];
	return pid;
}

static int release(pid_t pid, int end)
{
	int status;

	close(end);
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(another_process)
{
	char *p = pages(40), *buf = pages(40);
	int end;
	pid_t pid;

	memset(p, 3, 40 * PAGE);
	pid = holder(p, &end);
	memset(p, 4, 40 * PAGE);
	CHECK_EQ(get(pid, buf, p, 40 * PAGE), 40 * PAGE); /* more than one piece */
	CHECK(buf[0] == 3 && buf[40 * PAGE - 1] == 3);
	buf[0] = 9;
	CHECK_EQ(put(pid, p, buf, 1), 1);
	CHECK_EQ(p[0], 4);
	CHECK_EQ(release(pid, end), 9);
	CHECK_ERR(get(pid, buf, p, 1), ESRCH);
}

TEST(lists)
{
	char a[10] = "abcdefghi", x[4] = "", y[8] = "";
	struct iovec remote[3] = {{a, 3}, {NULL, 0}, {a + 5, 4}}, local[2] = {{x, 2}, {y, 8}};

	CHECK_EQ(process_vm_readv(getpid(), local, 2, remote, 3, 0), 7);
	CHECK(memcmp(x, "ab", 2) == 0 && memcmp(y, "cfghi", 6) == 0);
	CHECK_EQ(process_vm_writev(getpid(), local, 1, remote, 3, 0), 2);
	CHECK_EQ(process_vm_readv(getpid(), local, 2, remote, 0, 0), 0);
	CHECK_EQ(process_vm_readv(getpid(), local, 0, remote, 3, 0), 0);
	/* With nothing to do nobody asks who is meant. */
	CHECK_EQ(process_vm_readv(0x7ffffff, local, 0, remote, 3, 0), 0);
	CHECK_ERR(process_vm_readv(0x7ffffff, local, 2, remote, 3, 0), ESRCH);
	CHECK_ERR(process_vm_readv(getpid(), local, 2, remote, 3, 1), EINVAL);
	CHECK_ERR(process_vm_readv(getpid(), local, 1025, remote, 3, 0), EINVAL);
	CHECK_ERR(process_vm_readv(getpid(), local, 2, remote, 1025, 0), EINVAL);
	CHECK_ERR(process_vm_readv(getpid(), (void *)1, 2, remote, 3, 0), EFAULT);
	CHECK_ERR(process_vm_readv(getpid(), local, 2, (void *)1, 3, 0), EFAULT);
	remote[1].iov_len = (size_t)-1;
	CHECK_ERR(process_vm_readv(getpid(), local, 2, remote, 3, 0), EINVAL);
}

TEST(partial)
{
	char *p = pages(3), buf[3 * PAGE];
	struct iovec local = {buf, sizeof(buf)}, remote[2] = {{p, 10}, {(void *)(-PAGE), 10}};

	memset(p, 5, 3 * PAGE);
	OK(munmap(p + PAGE, PAGE));
	CHECK_EQ(get(getpid(), buf, p + 100, 2 * PAGE), PAGE - 100);
	CHECK_ERR(get(getpid(), buf, p + PAGE, PAGE), EFAULT);
	CHECK_EQ(put(getpid(), p + 100, buf, 2 * PAGE), PAGE - 100);
	CHECK_ERR(get(getpid(), p + PAGE, buf, 10), EFAULT);
	CHECK_EQ(process_vm_readv(getpid(), &local, 1, remote, 2, 0), 10);
	CHECK_ERR(process_vm_readv(getpid(), &local, 1, remote + 1, 1, 0), EFAULT);
	OK(mprotect(p, PAGE, PROT_READ));
	CHECK_ERR(put(getpid(), p, buf, 10), EFAULT); /* the rights of the mapping count */
	OK(mprotect(p, PAGE, PROT_NONE));
	CHECK_ERR(get(getpid(), buf, p, 10), EFAULT);
}

TEST(permission)
{
	char *p = pages(1), buf[8];
	int end;
	pid_t pid;

	if (getuid() != 0)
		SKIP("takes two users");
	pid = holder(p, &end);
	pid_t other = fork();
	if (other == 0) {
		REQUIRE(setgid(1000) == 0 && setuid(1000) == 0);
		CHECK_ERR(get(pid, buf, p, 8), EPERM);
		CHECK_ERR(put(pid, p, buf, 8), EPERM);
		CHECK_ERR(syscall(SYS_kcmp, getpid(), pid, C_VM, 0, 0), EPERM);
		CHECK_EQ(get(getpid(), buf, p, 8), 8);
		child_exit();
	}
	JOIN(other);
	CHECK_EQ(release(pid, end), 0);
}

static int waits(void *fd)
{
	char c;

	return (int)read(*(int *)fd, &c, 1);
}

TEST(kcmp)
{
	int fd = open("/dev/null", O_RDONLY), twin = dup(fd), another = open("/dev/null", O_RDONLY), end, fds[2];
	pid_t pid = holder(pages(1), &end), me = getpid(), shares;

	CHECK_EQ(syscall(SYS_kcmp, me, me, C_FILE, fd, twin), 0);
	CHECK_EQ(syscall(SYS_kcmp, me, pid, C_FILE, fd, fd), 0);
	long less = syscall(SYS_kcmp, me, me, C_FILE, fd, another), more = syscall(SYS_kcmp, me, me, C_FILE, another, fd);
	CHECK((less == 1 && more == 2) || (less == 2 && more == 1));
	for (int what = C_VM; what <= C_SIGHAND; what++) {
		CHECK_EQ(syscall(SYS_kcmp, me, me, what, 0, 0), 0);
		CHECK(syscall(SYS_kcmp, me, pid, what, 0, 0) > 0);
	}
	CHECK_EQ(syscall(SYS_kcmp, me, pid, C_IO, 0, 0), 0);
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_FILE, fd, 999), EBADF);
	CHECK_ERR(syscall(SYS_kcmp, me, me, 99, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_kcmp, me, 0x7ffffff, C_VM, 0, 0), ESRCH);
	REQUIRE(pipe(fds) == 0);
	shares = clone(waits, pages(16) + 16 * PAGE, CLONE_VM | CLONE_FILES | CLONE_SYSVSEM | SIGCHLD, &fds[0]);
	REQUIRE(shares > 0);
	CHECK_EQ(syscall(SYS_kcmp, me, shares, C_VM, 0, 0), 0);
	CHECK_EQ(syscall(SYS_kcmp, me, shares, C_FILES, 0, 0), 0);
	CHECK_EQ(syscall(SYS_kcmp, me, shares, C_SYSVSEM, 0, 0), 0);
	CHECK(syscall(SYS_kcmp, me, shares, C_FS, 0, 0) > 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(waitpid(shares, NULL, 0), shares);
	CHECK_EQ(release(pid, end), 0);
}

/* A file by its place among those that an epoll watches. */
TEST(kcmp_epoll)
{
	struct {
		uint32_t ep, fd, skip;
	} slot;
	struct epoll_event ev = {.events = EPOLLIN};
	pid_t me = getpid();
	int ep = epoll_create1(0), fds[2], twin;

	REQUIRE(ep >= 0 && pipe(fds) == 0);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fds[0], &ev));
	slot.ep = (uint32_t)ep;
	slot.fd = (uint32_t)fds[0];
	slot.skip = 0;
	CHECK_EQ(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot), 0);
	CHECK(syscall(SYS_kcmp, me, me, C_EPOLL, fds[1], &slot) > 0);
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, 999, &slot), EBADF);
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], 8), EFAULT);
	slot.skip = 1;
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot), ENOENT);
	slot.skip = 0;
	slot.fd = (uint32_t)fds[1];
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot), ENOENT);
	slot.ep = (uint32_t)fds[1];
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot), EINVAL);
	slot.ep = 999;
	CHECK_ERR(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot), EBADF);

	/* The number is what it was watched under, though it may mean another file now. */
	slot.ep = (uint32_t)ep;
	slot.fd = (uint32_t)fds[0];
	twin = dup(fds[0]);
	REQUIRE(twin >= 0 && dup2(fds[1], fds[0]) == fds[0]);
	CHECK_EQ(syscall(SYS_kcmp, me, me, C_EPOLL, twin, &slot), 0);
	CHECK(syscall(SYS_kcmp, me, me, C_EPOLL, fds[0], &slot) > 0);
	close(twin);
	close(fds[0]);
	close(fds[1]);
	close(ep);
}
