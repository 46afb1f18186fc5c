/* What programs ask about files and file systems besides stat: cachestat(2), ustat(2), sysfs(2), write hints, and poll
 * of the tables of mounts. */
#include "harness.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#define SYS_CACHESTAT 451
#define PAGE 4096ul

struct range {
	uint64_t off, len;
};
struct pages {
	uint64_t cache, dirty, writeback, evicted, recently;
};

/* ---- cachestat ---- */

static long cachestat(int fd, uint64_t off, uint64_t len, struct pages *out, unsigned flags)
{
	struct range r = {off, len};

	memset(out, 0x55, sizeof(*out));
	return syscall(SYS_CACHESTAT, fd, &r, out, flags);
}

static long cached(int fd, uint64_t off, uint64_t len)
{
	struct pages p;

	return cachestat(fd, off, len, &p, 0) == 0 && p.writeback == 0 ? (long)p.cache : -1;
}

static int shm_file(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/shm/%s.%d", name, getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0);
	unlink(path);
	return fd;
}

TEST(pages_in_memory)
{
	static char block[10 * PAGE];
	int fd = shm_file("cache");
	char *map;

	memset(block, 1, sizeof(block));
	CHECK_EQ(cached(fd, 0, 0), 0);
	CHECK_EQ(write(fd, block, sizeof(block)), (long)sizeof(block));
	CHECK_EQ(cached(fd, 0, 0), 10);
	CHECK_EQ(cached(fd, 0, PAGE), 1);
	CHECK_EQ(cached(fd, 1, PAGE), 2);
	CHECK_EQ(cached(fd, 0, 100 * PAGE), 10);
	CHECK_EQ(cached(fd, 9 * PAGE, 0), 1);
	CHECK_EQ(cached(fd, 10 * PAGE, 0), 0);
	CHECK_EQ(cached(fd, (uint64_t)-1, 0), 0);
	CHECK_EQ(cached(fd, PAGE, (uint64_t)-1), 0); /* it wraps, and so ends before it begins */
	REQUIRE(ftruncate(fd, 1 << 20) == 0);
	CHECK_EQ(cached(fd, 0, 0), 10); /* holes are nothing */
	CHECK_EQ(pwrite(fd, "x", 1, 500000), 1);
	CHECK_EQ(cached(fd, 0, 0), 11);
	CHECK_EQ(cached(fd, 10 * PAGE, 0), 1);
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(map != MAP_FAILED);
	map[600000] = 1;
	CHECK_EQ(cached(fd, 10 * PAGE, 0), 2);
	munmap(map, 1 << 20);
	close(fd);
}

TEST(cachestat_arguments)
{
	int fd = shm_file("args"), p[2], path = open("/", O_PATH | O_CLOEXEC),
	    proc = open("/proc/self/status", O_RDONLY);
	struct range r = {0, 0};
	struct pages st;

	CHECK_ERR(cachestat(-1, 0, 0, &st, 0), EBADF);
	CHECK_ERR(cachestat(path, 0, 0, &st, 0), EBADF);
	CHECK_ERR(cachestat(fd, 0, 0, &st, 1), EINVAL);
	CHECK_ERR(syscall(SYS_CACHESTAT, fd, 8, &st, 0), EFAULT);
	CHECK_ERR(syscall(SYS_CACHESTAT, fd, &r, 8, 0), EFAULT);
	CHECK_ERR(syscall(SYS_CACHESTAT, -1, 8, 8, 0), EBADF);
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	CHECK_EQ(cached(p[0], 0, 0), 0);
	CHECK_EQ(cached(proc, 0, 0), 0);
	close(fd), close(path), close(proc), close(p[0]), close(p[1]);
}

/* ---- file systems ---- */

TEST(ustat_of_a_device)
{
	struct {
		int free, pad;
		unsigned long inodes;
		char names[12];
		int pad2;
	} u;
	struct statfs sf;
	struct stat st;

	REQUIRE(stat("/dev/shm", &st) == 0 && statfs("/dev/shm", &sf) == 0);
	memset(&u, 0x55, sizeof(u));
	OK(syscall(SYS_ustat, st.st_dev, &u));
	CHECK(u.pad == 0 && u.pad2 == 0 && u.names[0] == 0);
	CHECK(sf.f_blocks == 0 || u.free != 0x55555555);
	REQUIRE(stat("/proc", &st) == 0);
	OK(syscall(SYS_ustat, st.st_dev, &u));
	CHECK_EQ(u.free, 0);
	CHECK_ERR(syscall(SYS_ustat, st.st_dev, 8), EFAULT);
	CHECK_ERR(syscall(SYS_ustat, 0x7777777, &u), EINVAL);
	CHECK_ERR(syscall(SYS_ustat, 0x7777777, 8), EINVAL);
	CHECK_ERR(syscall(SYS_ustat, 0, &u), EINVAL);
}

TEST(types_of_file_systems)
{
	char name[64] = "", text[8192], line[80], *at;
	long count = syscall(SYS_sysfs, 3), proc, lines = 0;

	if (count < 0 && errno == ENOSYS)
		SKIP("Linux without sysfs(2)");
	CHECK(count > 0);
	proc = syscall(SYS_sysfs, 1, "proc");
	CHECK(proc >= 0 && proc < count);
	OK(syscall(SYS_sysfs, 2, proc, name));
	CHECK_STR(name, "proc");
	CHECK_ERR(syscall(SYS_sysfs, 2, count, name), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 2, proc, 8), EFAULT);
	CHECK_ERR(syscall(SYS_sysfs, 1, "none of these"), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 1, 8), EFAULT);
	CHECK_ERR(syscall(SYS_sysfs, 9), EINVAL);
	REQUIRE(read_file("/proc/filesystems", text, sizeof(text)) > 0);
	for (at = text; (at = strchr(at, '\n')); at++)
		lines++;
	CHECK_EQ(lines, count);
	snprintf(line, sizeof(line), "\t%s\n", name);
	CHECK(strstr(text, line));
}

/* ---- write hints ---- */

static int hint(int fd, int cmd, uint64_t value)
{
	return fcntl(fd, cmd, &value);
}

static long hint_of(int fd)
{
	uint64_t h = 77;

	return fcntl(fd, F_GET_RW_HINT, &h) == 0 ? (long)h : -1;
}

TEST(write_hints)
{
	int fd = shm_file("hint"), path = open("/", O_PATH | O_CLOEXEC), p[2], other;
	char name[64];
	pid_t pid;

	CHECK_EQ(hint_of(fd), 0);
	for (uint64_t h = 0; h <= 5; h++) {
		OK(hint(fd, F_SET_RW_HINT, h));
		CHECK_EQ(hint_of(fd), (long)h);
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	other = open(name, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(hint_of(other), 5); /* it is the file's */
	OK(hint(other, F_SET_RW_HINT, 2));
	CHECK_EQ(hint_of(fd), 2);
	CHECK_ERR(hint(fd, F_SET_RW_HINT, 6), EINVAL);
	CHECK_ERR(hint(fd, F_SET_RW_HINT, 1ull << 32), EINVAL);
	CHECK_ERR(fcntl(fd, F_SET_RW_HINT, 8), EFAULT);
	CHECK_ERR(fcntl(fd, F_GET_RW_HINT, 8), EFAULT);
	CHECK_ERR(hint(path, F_GET_RW_HINT, 0), EBADF);
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	OK(hint(p[0], F_SET_RW_HINT, 3));
	CHECK_EQ(hint_of(p[1]), 3);
	if (getuid() == 0) {
		pid = h_fork();
		if (pid == 0) {
			REQUIRE(setuid(65534) == 0);
			CHECK_ERR(hint(fd, F_SET_RW_HINT, 1), EPERM);
			CHECK_EQ(hint_of(fd), 2);
			child_exit();
		}
		JOIN(pid);
	}
	close(fd), close(other), close(path), close(p[0]), close(p[1]);
}

/* ---- tables of mounts ---- */

static short poll_now(int fd, short events)
{
	struct pollfd pfd = {fd, events, 0};

	CHECK(poll(&pfd, 1, 0) >= 0);
	return pfd.revents;
}

static void watch_table(const char *table)
{
	const short all = POLLIN | POLLPRI | POLLRDNORM, quiet = POLLIN | POLLRDNORM, news = all | POLLERR;
	int fd = open(table, O_RDONLY | O_CLOEXEC), fresh, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {EPOLLPRI | EPOLLET, {0}};
	char buf[64];

	REQUIRE(fd >= 0);
	CHECK_EQ(poll_now(fd, all), quiet);
	REQUIRE(mount("t", "at", "tmpfs", 0, NULL) == 0);
	CHECK_EQ(poll_now(fd, all), news);
	CHECK_EQ(poll_now(fd, all), quiet); /* told once */
	OK(mount(NULL, "at", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	CHECK_EQ(poll_now(fd, all), news);
	OK(mount(NULL, "at", NULL, MS_SHARED, NULL));
	CHECK_EQ(poll_now(fd, all), quiet);
	OK(umount("at"));
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	CHECK_EQ(poll_now(fd, all), news); /* read or not */
	REQUIRE(mount("t", "at", "tmpfs", 0, NULL) == 0);
	fresh = open(table, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(poll_now(fresh, all), quiet);
	CHECK_EQ(poll_now(fd, POLLIN), POLLIN | POLLERR);
	REQUIRE(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	OK(umount("at"));
	CHECK_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	CHECK_EQ(ev.events, EPOLLPRI | EPOLLERR);
	close(fd), close(fresh), close(ep);
}

static void mount_later(int gate_fd, int tid)
{
	char c;

	REQUIRE(read(gate_fd, &c, 1) == 1);
	REQUIRE(h_wait_state(tid, "S"));
	OK(mount("t", "at", "tmpfs", 0, NULL));
	OK(umount("at"));
}

TEST(poll_tells_of_mounts)
{
	pid_t child, pid = h_fork();

	if (pid == 0) {
		struct pollfd pfd;
		struct gate g;

		use_tmpdir();
		REQUIRE(mkdir("at", 0755) == 0);
		if (unshare(CLONE_NEWNS) != 0) {
			h_cleanup();
			_exit(77);
		}
		REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
		watch_table("/proc/mounts");
		watch_table("/proc/self/mountinfo");
		pfd = (struct pollfd){open("/proc/self/mounts", O_RDONLY | O_CLOEXEC), POLLPRI, 0};
		gate_init(&g);
		child = h_fork();
		if (child == 0) {
			mount_later(g.fd[0], getppid());
			child_exit();
		}
		gate_open(&g);
		CHECK_EQ(poll(&pfd, 1, 10000), 1);
		CHECK_EQ(pfd.revents, POLLPRI | POLLERR);
		JOIN(child);
		CHECK(rmdir("at") == 0);
		h_cleanup();
		child_exit();
	}
	int status = h_wait(pid);

	if (status == W_EXIT(77))
		SKIP("no new namespace of mounts");
	CHECK_EQ(status, 0);
}
