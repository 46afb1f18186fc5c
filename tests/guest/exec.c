/* execve: what the new program gets, what survives, and every way to be refused. */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>

extern char **environ;

/* Mappings come one above the other, from a third of user space on, each in the first gap that is large enough. */
static bool is_bottom_up(void)
{
	const uintptr_t base = 0x2aaaaaaab000, unit = (1 << 20) + 4096; /* larger than what libraries leave, and of no huge page's size */
	uintptr_t at[4];

	for (int i = 0; i < 4; i++)
		at[i] = (uintptr_t)mmap(NULL, 16 * unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at[0] < base || at[0] > base + (1ul << 28) || at[1] != at[0] + 16 * unit || at[2] != at[1] + 16 * unit)
		return false;
	if (munmap((void *)at[1], 16 * unit) || munmap((void *)at[3], 16 * unit))
		return false;
	/* Too large for the first gap, and small enough for it. */
	return (uintptr_t)mmap(NULL, 17 * unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at[3] &&
	       (uintptr_t)mmap(NULL, 15 * unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at[1] &&
	       (uintptr_t)mmap(NULL, unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at[1] + 15 * unit;
}

ROLE(argc, argv)
{
	sigset_t set;
	struct sigaction sa;

	if (strcmp(argv[1], "@exit") == 0)
		return atoi(argv[2]);
	if (strcmp(argv[1], "@fd-closed") == 0)
		return fcntl(atoi(argv[2]), F_GETFD) == -1 && errno == EBADF ? 0 : 1;
	if (strcmp(argv[1], "@fd-open") == 0)
		return fcntl(atoi(argv[2]), F_GETFD) == 0 ? 0 : 1;
	if (strcmp(argv[1], "@pid") == 0)
		return getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid() ? 0 : 1;
	if (strcmp(argv[1], "@args") == 0) {
		/* Checks that the arguments from 2 on are so many bytes of 'x' each, but for the last. */
		for (int i = 4; i < argc; i++)
			if (strlen(argv[i]) != (size_t)atoi(argv[3]) || argv[i][0] != 'x')
				return 1;
		return argc - 4 == atoi(argv[2]) ? 0 : 1;
	}
	if (strcmp(argv[1], "@signals") == 0) {
		sigprocmask(SIG_BLOCK, NULL, &set);
		if (!sigismember(&set, SIGUSR2) || sigismember(&set, SIGHUP))
			return 1;
		sigaction(SIGUSR1, NULL, &sa); /* was handled */
		if (sa.sa_handler != SIG_DFL)
			return 2;
		sigaction(SIGHUP, NULL, &sa); /* was ignored */
		if (sa.sa_handler != SIG_IGN)
			return 3;
		sigpending(&set);
		return sigismember(&set, SIGUSR2) ? 0 : 4;
	}
	if (strcmp(argv[1], "@altstack") == 0) {
		stack_t st;

		return sigaltstack(NULL, &st) == 0 && st.ss_flags == SS_DISABLE ? 0 : 1;
	}
	if (strcmp(argv[1], "@comm") == 0) {
		char comm[32];

		return read_file("/proc/self/comm", comm, sizeof(comm)) > 0 && strcmp(comm, argv[2]) == 0 ? 0 : 1;
	}
	if (strcmp(argv[1], "@kept") == 0) {
		mode_t mask = umask(0);
		char cwd[256];

		if (mask != 027 || !getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/proc"))
			return 1;
		struct rlimit lim;

		return getrlimit(RLIMIT_CORE, &lim) == 0 && lim.rlim_cur == 0 && alarm(0) > 50 ? 0 : 2;
	}
	if (strcmp(argv[1], "@bottom-up") == 0)
		return is_bottom_up() ? 0 : 1;
	return 99;
}

static void nothing(int sig)
{
}

static int run_args(char *const argv[])
{
	pid_t pid = h_fork();

	if (pid == 0) {
		execve(h_self, argv, environ);
		_exit(errno);
	}
	return h_wait(pid);
}

static int run1(const char *role, const char *arg)
{
	char *argv[] = {(char *)h_self, (char *)role, (char *)arg, NULL};

	return run_args(argv);
}

TEST(plain)
{
	CHECK_EQ(run1("@exit", "0"), 0);
	CHECK_EQ(run1("@exit", "42"), 42 << 8);
}

TEST(close_on_exec)
{
	char a[16], b[16];
	int cloexec = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = open("/dev/null", O_RDONLY);

	snprintf(a, sizeof(a), "%d", cloexec);
	snprintf(b, sizeof(b), "%d", kept);
	CHECK_EQ(run1("@fd-closed", a), 0);
	CHECK_EQ(run1("@fd-open", b), 0);
	/* A failed exec closes nothing. */
	CHECK_ERR(execl("/nonexistent", "x", NULL), ENOENT);
	CHECK_EQ(fcntl(cloexec, F_GETFD), FD_CLOEXEC);
	close(cloexec);
	close(kept);
}

static void *exec_in_thread(void *arg)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	execl(h_self, "x", "@pid", pid, NULL);
	_exit(98);
}

static void *forever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

TEST(from_a_thread)
{
	pid_t pid = h_fork();

	/* The calling thread takes over the process's id; all the others are gone. */
	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, forever, NULL) == 0);
		REQUIRE(pthread_create(&t, NULL, exec_in_thread, NULL) == 0);
		for (;;)
			pause();
	}
	CHECK_EQ(h_wait(pid), 0);
	pid = h_fork();
	if (pid == 0) {
		pthread_t t;

		REQUIRE(pthread_create(&t, NULL, forever, NULL) == 0);
		exec_in_thread(NULL);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(signal_state)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		sigset_t set;

		signal(SIGUSR1, nothing);
		signal(SIGHUP, SIG_IGN);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR2);
		execl(h_self, "x", "@signals", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
	pid = h_fork();
	if (pid == 0) {
		static char stack[16384];
		stack_t st = {.ss_sp = stack, .ss_size = sizeof(stack)};

		REQUIRE(sigaltstack(&st, NULL) == 0);
		execl(h_self, "x", "@altstack", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(what_survives)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit lim = {0, 0};

		umask(027);
		REQUIRE(chdir("/proc") == 0);
		REQUIRE(setrlimit(RLIMIT_CORE, &lim) == 0);
		alarm(100);
		execl(h_self, "x", "@kept", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(comm)
{
	use_tmpdir();
	CHECK_EQ(symlink(h_self, "a-very-long-program-name"), 0);
	pid_t pid = h_fork();
	if (pid == 0) {
		execl("./a-very-long-program-name", "other", "@comm", "a-very-long-pro\n", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(null_argv)
{
	char *none[] = {NULL};
	pid_t pid;

	/* Linux gives the new program one empty argument. */
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_execve, "/bin/true", none, none);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_execve, "/bin/true", NULL, NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(errors)
{
	char *argv[] = {"x", NULL}, *bad[] = {(char *)8, NULL};
	char longname[5000];

	use_tmpdir();
	write_file("plain", "not a program\n", 14, 0644);
	write_file("text", "not a program\n", 14, 0755);
	write_file("empty", "", 0, 0755);
	write_file("elf", "\177ELF", 4, 0755);
	memset(longname, 'a', sizeof(longname));
	longname[sizeof(longname) - 1] = 0;
	mkdir("dir", 0755);
	CHECK_ERR(execv("missing", argv), ENOENT);
	CHECK_ERR(execv("", argv), ENOENT);
	CHECK_ERR(execv("dir", argv), EACCES);
	CHECK_ERR(execv("plain", argv), EACCES);
	CHECK_ERR(execv("plain/x", argv), ENOTDIR);
	CHECK_ERR(execv("text", argv), ENOEXEC);
	CHECK_ERR(execv("empty", argv), ENOEXEC);
	CHECK_ERR(execv("elf", argv), ENOEXEC);
	CHECK_ERR(execv("/dev/null", argv), EACCES);
	CHECK_ERR(execv(longname, argv), ENAMETOOLONG);
	CHECK_ERR(syscall(SYS_execve, 8, argv, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, "/bin/true", 8, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, "/bin/true", bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, "/bin/true", argv, 8), EFAULT);
	symlink("loop", "loop");
	CHECK_ERR(execv("loop", argv), ELOOP);
}

TEST(malformed_elf)
{
	char *argv[] = {"x", NULL};
	static char image[1 << 16];
	ssize_t size;
	int fd = open(h_self, O_RDONLY);

	use_tmpdir();
	size = read(fd, image, sizeof(image));
	close(fd);
	REQUIRE(size > 4096);
	static const struct {
		int off, len;
		unsigned char bytes[8];
		int err;
	} damage[] = {
		{0, 1, {0x7e}, ENOEXEC},				   /* magic */
		{16, 2, {1, 0}, ENOEXEC},				   /* ET_REL */
		{18, 2, {40, 0}, ENOEXEC},				   /* EM_ARM */
		{54, 2, {1, 0}, ENOEXEC},				   /* e_phentsize */
		{56, 2, {0, 0}, ENOEXEC},				   /* e_phnum */
		{32, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 0}, /* e_phoff */
	};
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		char saved[8];

		memcpy(saved, image + damage[i].off, 8);
		memcpy(image + damage[i].off, damage[i].bytes, (size_t)damage[i].len);
		write_file("bad", image, (size_t)size, 0755);
		memcpy(image + damage[i].off, saved, 8);
		errno = 0;
		CHECK_EQ(execv("./bad", argv), -1);
		if (damage[i].err && !CHECK_EQ(errno, damage[i].err))
			h_say("  damage %zu\n", i);
	}
}

TEST(text_busy)
{
	char *argv[] = {"x", NULL};
	int fd;

	use_tmpdir();
	write_file("busy", "#!/bin/sh\n", 10, 0755);
	fd = open("busy", O_WRONLY);
	REQUIRE(fd >= 0);
	CHECK_ERR(execv("./busy", argv), ETXTBSY);
	close(fd);
}

TEST(argument_too_long)
{
	/* One string may have 32 pages, its NUL included. */
	size_t limit = 32 * 4096;
	char *arg = malloc(limit + 1), *argv[] = {"x", "@exit", "0", arg, NULL};

	memset(arg, 'x', limit);
	arg[limit] = 0;
	CHECK_EQ(run_args(argv), E2BIG << 8);
	arg[limit - 1] = 0;
	CHECK_EQ(run_args(argv), 0);
	free(arg);
}

TEST(arguments_of_4_mb)
{
	int count = 40;
	size_t len = 100000;
	char **argv = calloc((size_t)count + 6, sizeof(*argv)), n[16], l[16];
	struct rlimit lim = {64 << 20, RLIM_INFINITY}, old;

	/* All strings together may fill a quarter of the stack limit (and 6 MB at most), never less than 32 pages. */
	getrlimit(RLIMIT_STACK, &old);
	lim.rlim_max = old.rlim_max;
	REQUIRE(setrlimit(RLIMIT_STACK, &lim) == 0);
	snprintf(n, sizeof(n), "%d", count);
	snprintf(l, sizeof(l), "%zu", len);
	argv[0] = "x";
	argv[1] = "@args";
	argv[2] = n;
	argv[3] = l;
	for (int i = 0; i < count; i++) {
		argv[4 + i] = malloc(len + 1);
		memset(argv[4 + i], 'x', len);
		argv[4 + i][len] = 0;
	}
	CHECK_EQ(run_args(argv), 0);
	lim.rlim_cur = 8 << 20;
	REQUIRE(setrlimit(RLIMIT_STACK, &lim) == 0);
	CHECK_EQ(run_args(argv), E2BIG << 8);
	lim.rlim_cur = old.rlim_cur;
	setrlimit(RLIMIT_STACK, &lim);
	for (int i = 0; i < count; i++)
		free(argv[4 + i]);
	free(argv);
}

static int run_script(const char *name, const char *text, char *const argv[])
{
	pid_t pid;

	write_file(name, text, strlen(text), 0755);
	pid = h_fork();
	if (pid == 0) {
		execve(name, argv, environ);
		_exit(100 + errno);
	}
	return h_wait(pid);
}

TEST(shebang)
{
	char *argv[] = {"ignored", "7", NULL};
	char text[5000];

	use_tmpdir();
	CHECK_EQ(run_script("./sh", "#!/bin/sh\nexit $1\n", argv), 7 << 8);
	CHECK_EQ(run_script("./sh2", "#! \t/bin/sh -e  \nfalse\nexit 9\n", argv), 1 << 8);
	CHECK_EQ(run_script("./name", "#!/bin/sh\n[ \"$0\" = ./name ] && [ $# = 1 ]\n", argv), 0);
	/* The rest of the line is one argument. */
	snprintf(text, sizeof(text), "#!%s @args 0 \n", h_self);
	char *none[] = {"x", NULL};
	CHECK_EQ(run_script("./one", text, none), 99 << 8);
	CHECK_EQ(run_script("./noend", "#!/bin/true", argv), 0);
	CHECK_EQ(run_script("./gone", "#!/nonexistent/interpreter\n", argv), (100 + ENOENT) << 8);
	CHECK_EQ(run_script("./nothing", "#!\n", argv), (100 + ENOEXEC) << 8);
	CHECK_EQ(run_script("./blank", "#!   \n", argv), (100 + ENOEXEC) << 8);
}

TEST(nested_shebang)
{
	char *argv[] = {"x", NULL};
	char name[16], text[64];

	use_tmpdir();
	write_file("s0", "#!/bin/true\n", 12, 0755);
	for (int i = 1; i <= 6; i++) {
		int want = i <= 4 ? 0 : (100 + ELOOP) << 8;

		snprintf(name, sizeof(name), "./s%d", i);
		snprintf(text, sizeof(text), "#!./s%d\n", i - 1);
		if (!CHECK_EQ(run_script(name, text, argv), want))
			h_say("  depth %d\n", i);
	}
}

TEST(execveat)
{
	char *argv[] = {"x", "@exit", "4", NULL}, expected[32];
	int fd = open(h_self, O_PATH | O_CLOEXEC);
	pid_t pid;

	REQUIRE(fd >= 0);
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 4 << 8);
	/* Called by a descriptor alone it is called what its file is (since Linux 6.14), with a path by that. */
	const char *base = strrchr(h_self, '/') + 1;
	char *by_file[] = {"x", "@comm", NULL, NULL};

	snprintf(expected, sizeof(expected), "%.15s\n", base);
	by_file[2] = expected;
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", by_file, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
	CHECK_ERR(syscall(SYS_execveat, fd, "", argv, environ, 0), ENOENT);
	CHECK_ERR(syscall(SYS_execveat, 99, "x", argv, environ, 0), EBADF);
	CHECK_ERR(syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH | 0x40000000), EINVAL);
	use_tmpdir();
	symlink(h_self, "link");
	CHECK_ERR(syscall(SYS_execveat, AT_FDCWD, "link", argv, environ, AT_SYMLINK_NOFOLLOW), ELOOP);
	close(fd);

	/* A script is run by the name of its descriptor, if that will be there. */
	write_file("script", "#!/bin/sh\nexit 5\n", 17, 0755);
	fd = open("script", O_RDONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_ERR(syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH), ENOENT);
	REQUIRE(fcntl(fd, F_SETFD, 0) == 0);
	pid = h_fork();
	if (pid == 0) {
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 5 << 8);
	close(fd);
}

TEST(memory_is_new)
{
	/* A mapping made before is not there afterwards: two hundred generations fit into the same address space. */
	pid_t pid = h_fork();

	if (pid == 0) {
		struct rlimit lim = {1 << 30, 1 << 30};

		setrlimit(RLIMIT_AS, &lim);
		if (mmap(NULL, 600 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			_exit(98);
		execl(h_self, "x", "@exit", "0", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
}

TEST(bottom_up_layout)
{
	pid_t pid = h_fork();

	if (pid == 0) {
		personality(ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE);
		execl(h_self, "x", "@bottom-up", NULL);
		_exit(errno);
	}
	CHECK_EQ(h_wait(pid), 0);
	CHECK_EQ(run1("@bottom-up", NULL), 1 << 8);
}
