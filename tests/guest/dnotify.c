/* F_NOTIFY of fcntl(2): signals about changes in a directory. */
#include "harness.h"

static volatile sig_atomic_t signals, last_fd, last_code;
static volatile long last_band;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	signals++;
	last_fd = info->si_fd;
	last_code = info->si_code;
	last_band = info->si_band;
}

/* How many signals a call sent. */
#define TELLS(call)                                                                                                    \
	({                                                                                                             \
		signals = 0;                                                                                           \
		REQUIRE((call) >= 0);                                                                                  \
		(int)signals;                                                                                          \
	})

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? -1 : close(fd);
}

/* A new directory to watch, which is the working directory; its signal is SIGRTMIN. */
static int watched(const char *name)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	int d;

	use_tmpdir();
	REQUIRE(sigaction(SIGRTMIN, &sa, NULL) == 0 && sigaction(SIGIO, &sa, NULL) == 0);
	REQUIRE(mkdir(name, 0755) == 0 && chdir(name) == 0);
	d = open(".", O_RDONLY | O_CLOEXEC);
	REQUIRE(d >= 0 && fcntl(d, F_SETSIG, SIGRTMIN) == 0);
	return d;
}

TEST(once_or_many_times)
{
	int d = watched("once");

	CHECK_EQ(fcntl(d, F_GETOWN), 0);
	OK(fcntl(d, F_NOTIFY, DN_CREATE));
	CHECK_EQ(fcntl(d, F_GETOWN), getpid());
	CHECK_EQ(TELLS(make("a")), 1);
	CHECK_EQ(last_fd, d);
	CHECK_EQ(last_code, POLL_MSG);
	CHECK_EQ(last_band, POLLIN | POLLRDNORM | POLLMSG);
	CHECK_EQ(TELLS(make("b")), 0);
	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(make("c")), 1);
	CHECK_EQ(TELLS(make("d")), 1);
	CHECK_EQ(TELLS(make("d")), 0); /* it was there */
	OK(fcntl(d, F_NOTIFY, 0));
	CHECK_EQ(TELLS(make("e")), 0);
	close(d);
}

TEST(kinds_of_changes)
{
	int d = watched("kinds"), f;
	char c;

	REQUIRE(mkdir("../other", 0755) == 0 && make("../other/in") == 0 && make("a") == 0);
	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(mkdir("dir", 0755)), 1);
	CHECK_EQ(TELLS(symlink("x", "link")), 1);
	CHECK_EQ(TELLS(link("a", "hard")), 1);
	CHECK_EQ(TELLS(mkfifo("fifo", 0600)), 1);
	CHECK_EQ(TELLS(rename("a", "b")), 1);
	CHECK_EQ(TELLS(rename("../other/in", "in")), 1);
	CHECK_EQ(TELLS(unlink("hard")), 0);
	CHECK_EQ(TELLS(make("dir/below")), 0);
	OK(fcntl(d, F_NOTIFY, 0));

	OK(fcntl(d, F_NOTIFY, DN_DELETE | DN_MULTISHOT));
	CHECK_EQ(TELLS(unlink("fifo")), 1);
	CHECK_EQ(TELLS(unlink("dir/below")), 0);
	CHECK_EQ(TELLS(rmdir("dir")), 1);
	CHECK_EQ(TELLS(rename("in", "../other/in")), 1);
	CHECK_EQ(TELLS(make("new")), 0);
	OK(fcntl(d, F_NOTIFY, 0));

	OK(fcntl(d, F_NOTIFY, DN_MODIFY | DN_MULTISHOT));
	f = open("b", O_RDWR | O_CLOEXEC);
	CHECK_EQ(TELLS(write(f, "x", 1)), 1);
	CHECK_EQ(TELLS(ftruncate(f, 4)), 1);
	CHECK_EQ(TELLS(chmod("b", 0600)), 0);
	OK(fcntl(d, F_NOTIFY, 0));

	OK(fcntl(d, F_NOTIFY, DN_ACCESS | DN_MULTISHOT));
	CHECK_EQ(TELLS(pread(f, &c, 1, 0)), 1);
	OK(fcntl(d, F_NOTIFY, 0));

	OK(fcntl(d, F_NOTIFY, DN_ATTRIB | DN_MULTISHOT));
	CHECK_EQ(TELLS(chmod("b", 0644)), 1);
	CHECK_EQ(TELLS(utimensat(AT_FDCWD, "b", NULL, 0)), 1);
	CHECK_EQ(TELLS(chmod(".", 0700)), 1); /* its own, too */
	OK(fcntl(d, F_NOTIFY, 0));

	OK(fcntl(d, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
	CHECK_EQ(TELLS(rename("b", "c")), 1);
	CHECK_EQ(TELLS(rename("c", "../other/c")), 0);
	CHECK_EQ(TELLS(rename("../other/c", "c")), 0);
	close(f), close(d);
}

TEST(wishes_add_up)
{
	int d = watched("more");

	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	OK(fcntl(d, F_NOTIFY, DN_DELETE));
	CHECK_EQ(TELLS(make("a")), 1);
	CHECK_EQ(TELLS(unlink("a")), 1);
	CHECK_EQ(TELLS(make("a")), 1);
	close(d);
}

TEST(plain_sigio)
{
	int d = watched("plain");

	OK(fcntl(d, F_SETSIG, 0));
	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(make("a")), 1);
	CHECK_EQ(last_code, SI_KERNEL);
	close(d);
}

TEST(two_files_on_one_directory)
{
	int d = watched("two"), e = open(".", O_RDONLY | O_CLOEXEC);

	OK(fcntl(e, F_SETSIG, SIGRTMIN));
	OK(fcntl(d, F_NOTIFY, DN_CREATE));
	OK(fcntl(e, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(make("a")), 2);
	CHECK_EQ(TELLS(make("b")), 1);
	CHECK_EQ(last_fd, e);
	close(d), close(e);
}

/* The close of any descriptor of the file ends it, though the file is still open; another process's does not. */
TEST(ends_with_a_close)
{
	int d = watched("close"), d2 = dup(d);
	pid_t pid;

	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	OK(fcntl(d2, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(make("a")), 1);
	CHECK_EQ(last_fd, d2); /* the latest to ask */
	pid = h_fork();
	if (pid == 0) {
		close(d), close(d2);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(TELLS(make("b")), 1);
	close(d2);
	CHECK_EQ(TELLS(make("c")), 0);
	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_EQ(TELLS(make("d")), 1);
	close(d);
	CHECK_EQ(TELLS(make("e")), 0);
}

TEST(of_another_process)
{
	int d = watched("another");
	pid_t pid;

	OK(fcntl(d, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	signals = 0;
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(make("a"), 0);
		CHECK_EQ(signals, 0); /* the owner's business */
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(signals, 1);
	close(d);
}

TEST(arguments)
{
	int d = watched("args"), f = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
	    path = open(".", O_PATH | O_CLOEXEC), p[2];

	CHECK_ERR(fcntl(f, F_NOTIFY, DN_CREATE), ENOTDIR);
	OK(fcntl(f, F_NOTIFY, 0));
	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	CHECK_ERR(fcntl(p[0], F_NOTIFY, DN_CREATE), ENOTDIR);
	CHECK_ERR(fcntl(path, F_NOTIFY, DN_CREATE), EBADF);
	CHECK_ERR(fcntl(-1, F_NOTIFY, DN_CREATE), EBADF);
	OK(fcntl(d, F_NOTIFY, DN_MULTISHOT)); /* of nothing */
	OK(fcntl(d, F_NOTIFY, 0x100));
	CHECK_EQ(TELLS(make("a")), 0);
	close(d), close(f), close(path), close(p[0]), close(p[1]);
}
