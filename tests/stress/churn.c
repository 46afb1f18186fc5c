/*
 * Makes much of something and lets it go, again and again, so that somebody can look from outside at what stays:
 *
 *     churn WHAT DIRECTORY COUNT ROUNDS
 *
 * After each round it prints a line and waits for one.  What it uses itself it uses from the first round on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUIRE(x) ((x) ? (void)0 : die(#x))
#define PER_DIRECTORY 1000

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	REQUIRE(fd >= 0 && close(fd) == 0);
}

/* Files are made and removed, in directories that are, too. */
static void files(long count)
{
	char name[64];

	for (long done = 0; done < count; done += PER_DIRECTORY) {
		REQUIRE(mkdir("made", 0755) == 0);
		for (int i = 0; i < PER_DIRECTORY; i++) {
			snprintf(name, sizeof(name), "made/a file's name, %d", i);
			make_file(name);
		}
		for (int i = 0; i < PER_DIRECTORY; i++) {
			snprintf(name, sizeof(name), "made/a file's name, %d", i);
			REQUIRE(unlink(name) == 0);
		}
		REQUIRE(rmdir("made") == 0);
	}
}

/* A tree that is there is walked; count is not heeded. */
static void walk_in(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	struct stat st;

	REQUIRE(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		REQUIRE(fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		if (S_ISDIR(st.st_mode))
			walk_in(fd, e->d_name);
	}
	closedir(d);
}

static void walk(long count)
{
	(void)count;
	walk_in(AT_FDCWD, ".");
}

static void forks(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t pid = fork();
		int status;

		REQUIRE(pid >= 0);
		if (pid == 0)
			_exit(7);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
}

static pid_t start_program(bool by_vfork, const char *arg)
{
	pid_t pid = by_vfork ? vfork() : fork();

	if (pid == 0) {
		execl("/proc/self/exe", "churn", arg, (char *)NULL);
		_exit(8);
	}
	return pid;
}

/* Programs, of which half are left by another exec: see main. */
static void execs(long count)
{
	for (long i = 0; i < count; i++) {
		pid_t pid = start_program(i % 2, i % 4 < 2 ? "again" : "end");
		int status;

		REQUIRE(pid >= 0);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
}

/* Descriptors of each kind. */
static void opens(long count)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int pair[2];

	close(open("f", O_WRONLY | O_CREAT, 0644));
	for (long i = 0; i < count; i++) {
		int fd = open("f", O_RDONLY), epfd = epoll_create1(0), efd = eventfd(1, 0);

		REQUIRE(fd >= 0 && epfd >= 0 && efd >= 0);
		REQUIRE(epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &ev) == 0);
		REQUIRE(i & 1 ? pipe(pair) == 0 : socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		REQUIRE(write(pair[1], "left behind", 11) == 11);
		close(fd), close(epfd), close(efd), close(pair[0]), close(pair[1]);
	}
}

static void maps(long count)
{
	for (long i = 0; i < count; i++) {
		size_t size = 4096u << (i & 7);
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(p != MAP_FAILED);
		p[0] = 1;
		if (size > 4096)
			REQUIRE(mprotect(p + 4096, 4096, PROT_READ) == 0);
		REQUIRE(munmap(p, size) == 0);
	}
}

/* Semaphores are made and kept, until no more are to be had. */
static void hoard(long count)
{
	static unsigned short values[32000];

	memset(values, 1, sizeof(values));
	for (long i = 0; i < count; i++) {
		int id = semget(IPC_PRIVATE, 32000, 0600);

		REQUIRE(id >= 0 || errno == ENOMEM || errno == ENOSPC);
		if (id >= 0)
			REQUIRE(semctl(id, 0, SETALL, values) == 0);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(long count);
	} kinds[] = {{"files", files}, {"walk", walk}, {"forks", forks}, {"execs", execs}, {"opens", opens},
		     {"maps", maps}, {"hoard", hoard}};

	if (argc == 2 && strcmp(argv[1], "again") == 0)
		execl("/proc/self/exe", "churn", "end", (char *)NULL);
	if (argc == 2 && strcmp(argv[1], "end") == 0)
		return 7;
	if (argc == 5 && chdir(argv[2]) == 0)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			if (strcmp(kinds[k].name, argv[1]) != 0)
				continue;
			for (int round = 1; round <= atoi(argv[4]); round++) {
				kinds[k].run(atol(argv[3]));
				printf("round %d\n", round);
				fflush(stdout);
				if (getchar() == EOF)
					break;
			}
			return 0;
		}
	fprintf(stderr, "usage: churn files|walk|forks|execs|opens|maps|hoard DIRECTORY COUNT ROUNDS\n");
	return 2;
}
