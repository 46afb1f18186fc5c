/* What a case finds: memory at fixed places, a directory of its own and descriptors with fixed numbers. */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

static uint64_t item_end = WORLD_ITEMS;

static void map_at(uint64_t addr, size_t size, int prot)
{
	void *want = (void *)addr;

	REQUIRE(mmap(want, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == want);
}

void world_memory(void)
{
	map_at(WORLD_DATA, WORLD_DATA_SIZE, PROT_READ | PROT_WRITE);
	map_at(WORLD_RO, 4096, PROT_READ);
	map_at(WORLD_NONE, 4096, PROT_NONE);
	map_at(WORLD_EDGE - 4096, 4096, PROT_READ | PROT_WRITE);
	memset((void *)(WORLD_EDGE - 64), 'x', 64);
}

uint64_t world_item(const void *bytes, size_t size)
{
	uint64_t at = item_end;

	item_end = (item_end + size + 63) & ~63ull;
	REQUIRE(item_end <= WORLD_DATA + WORLD_DATA_SIZE);
	memcpy((void *)at, bytes, size);
	return at;
}

void world_items_begin(void)
{
	item_end = WORLD_ITEMS;
}

static void put_fd(int fd, int number)
{
	REQUIRE(fd >= 0);
	if (fd == number)
		return;
	REQUIRE(dup2(fd, number) == number);
	close(fd);
}

static void put_pair(int fds[2], int first, int second)
{
	put_fd(fcntl(fds[0], F_DUPFD, 100), first);
	put_fd(fcntl(fds[1], F_DUPFD, 100), second);
	close(fds[0]);
	close(fds[1]);
}

static void make_files(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644);

	REQUIRE(fd >= 0 && write(fd, "0123456789abcdef", 16) == 16 && lseek(fd, 0, SEEK_SET) == 0);
	put_fd(fd, WORLD_FD_file);
	REQUIRE(mkdir("d", 0755) == 0 && symlink("f", "l") == 0 && symlink("loop", "loop") == 0);
	REQUIRE(mkfifo("p", 0644) == 0 && symlink("nowhere", "dangling") == 0);
	fd = open("d/x", O_WRONLY | O_CREAT | O_EXCL, 0644);
	REQUIRE(fd >= 0 && close(fd) == 0);
}

static void make_fds(void)
{
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 64};
	sigset_t usr1;
	int fds[2];

	put_fd(open("f", O_RDONLY), WORLD_FD_file_ro);
	put_fd(open("f", O_WRONLY), WORLD_FD_file_wo);
	put_fd(open("f", O_RDWR | O_APPEND), WORLD_FD_file_append);
	put_fd(open("d", O_RDONLY | O_DIRECTORY), WORLD_FD_dir);
	put_fd(open("f", O_PATH), WORLD_FD_path);
	put_fd(open("d", O_PATH | O_DIRECTORY), WORLD_FD_path_dir);
	REQUIRE(pipe2(fds, O_NONBLOCK) == 0 && write(fds[1], "pipe", 4) == 4);
	put_pair(fds, WORLD_FD_pipe_r, WORLD_FD_pipe_w);
	put_fd(open("p", O_RDWR | O_NONBLOCK), WORLD_FD_fifo);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0 && write(fds[1], "sock", 4) == 4);
	put_pair(fds, WORLD_FD_sock, 99);
	put_fd(epoll_create1(0), WORLD_FD_epoll);
	put_fd(eventfd(1, EFD_NONBLOCK), WORLD_FD_eventfd);
	put_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), WORLD_FD_timerfd);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	put_fd(signalfd(-1, &usr1, SFD_NONBLOCK), WORLD_FD_signalfd);
	put_fd(inotify_init1(IN_NONBLOCK), WORLD_FD_inotify);
	put_fd((int)syscall(SYS_pidfd_open, getpid(), 0), WORLD_FD_pidfd);
	put_fd(memfd_create("m", MFD_ALLOW_SEALING), WORLD_FD_memfd);
	REQUIRE(ftruncate(WORLD_FD_memfd, 4096) == 0);
	put_fd(open("/dev/null", O_RDWR), WORLD_FD_null);
	put_fd(open("/dev/zero", O_RDWR), WORLD_FD_zero);
	put_fd(mq_open("/calls", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr), WORLD_FD_mqueue);
	REQUIRE(mq_unlink("/calls") == 0);
	put_fd(open("/proc/self/status", O_RDONLY), WORLD_FD_proc);
}

static void dir_name(char name[16], unsigned number)
{
	snprintf(name, 16, "%06u", number);
}

void world_files(unsigned number)
{
	char name[16];

	dir_name(name, number);
	REQUIRE(mkdir(name, 0755) == 0 && chdir(name) == 0);
	make_files();
	make_fds();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path) && errno != ENOENT;
}

static int open_up(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)ftw;
	if (flag == FTW_D || flag == FTW_DNR)
		chmod(path, 0700);
	return 0;
}

void world_clean(unsigned number)
{
	static const char *const usual[] = {"f", "l", "loop", "p", "dangling", "d/x"};
	char name[16], path[64];

	dir_name(name, number);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", name, usual[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/d", name);
	rmdir(path);
	if (rmdir(name) == 0 || errno == ENOENT)
		return;
	nftw(name, open_up, 16, FTW_PHYS);
	nftw(name, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}
