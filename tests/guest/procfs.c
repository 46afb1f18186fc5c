/* What /proc says about a process, held against what the process knows. */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static char buf[1 << 17];

static const char *field(const char *text, const char *name)
{
	static char value[256];
	const char *p = strstr(text, name);

	if (!p)
		return "";
	p += strlen(name);
	while (*p == '\t' || *p == ' ')
		p++;
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\n"), p);
	return value;
}

TEST(self)
{
	char link[64], want[32];
	ssize_t n = readlink("/proc/self", link, sizeof(link) - 1);

	REQUIRE(n > 0);
	link[n] = 0;
	snprintf(want, sizeof(want), "%d", (int)getpid());
	CHECK_STR(link, want);
	n = readlink("/proc/thread-self", link, sizeof(link) - 1);
	REQUIRE(n > 0);
	link[n] = 0;
	snprintf(want, sizeof(want), "%d/task/%d", (int)getpid(), (int)syscall(SYS_gettid));
	CHECK_STR(link, want);
}

TEST(exe_cwd_root)
{
	char link[4096], cwd[4096];
	struct stat a, b;
	ssize_t n;

	n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	REQUIRE(n > 0);
	link[n] = 0;
	CHECK_STR(link, h_self);
	CHECK(stat("/proc/self/exe", &a) == 0 && stat(h_self, &b) == 0 && a.st_ino == b.st_ino);
	use_tmpdir();
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	n = readlink("/proc/self/cwd", link, sizeof(link) - 1);
	REQUIRE(n > 0);
	link[n] = 0;
	CHECK_STR(link, cwd);
	n = readlink("/proc/self/root", link, sizeof(link) - 1);
	CHECK(n == 1 && link[0] == '/');
	CHECK(stat("/proc/self/cwd/.", &a) == 0 && stat(".", &b) == 0 && a.st_ino == b.st_ino);
}

TEST(fds)
{
	char path[64], link[4096];
	struct dirent *e;
	ssize_t n;
	int fd, p[2], found = 0;
	DIR *d;

	use_tmpdir();
	write_file("f", "abc", 3, 0600);
	fd = open("f", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	REQUIRE(n > 0);
	link[n] = 0;
	CHECK(strlen(link) > 2 && strcmp(link + strlen(link) - 2, "/f") == 0 && link[0] == '/');
	int again = open(path, O_RDONLY);
	CHECK(again >= 0 && again != fd);
	close(again);
	OK(unlink("f"));
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	CHECK(strstr(link, "/f (deleted)"));
	again = open(path, O_RDONLY); /* a magic link: it opens the file, not the name */
	CHECK(again >= 0);
	CHECK_EQ(read(again, link, 8), 3);
	close(again);
	REQUIRE(pipe(p) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	CHECK(strncmp(link, "pipe:[", 6) == 0);
	d = opendir("/proc/self/fd");
	REQUIRE(d);
	while ((e = readdir(d)))
		if (atoi(e->d_name) == fd || atoi(e->d_name) == p[0] || atoi(e->d_name) == p[1])
			found++;
	CHECK_EQ(found, 3);
	closedir(d);
	close(fd);
	CHECK_ERR(readlink("/proc/self/fd/999", link, 8), ENOENT);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", p[0]);
	CHECK(read_file(path, buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, "pos:\t0\n") && strstr(buf, "flags:\t00\n"));
	close(p[0]);
	close(p[1]);
}

ROLE(argc, argv)
{
	char want[256];
	size_t size = 0;

	for (int i = 0; i < argc; i++) {
		strcpy(want + size, argv[i]);
		size += strlen(argv[i]) + 1;
	}
	ssize_t n = read_file("/proc/self/cmdline", buf, sizeof(buf));
	if (n != (ssize_t)size || memcmp(buf, want, size))
		return 1;
	n = read_file("/proc/self/environ", buf, sizeof(buf));
	return n == 8 && memcmp(buf, "A=1\0B=2", 8) == 0 ? 0 : 2;
}

TEST(cmdline_and_environ)
{
	char *argv[] = {"zero", "@args", "", "two words", NULL}, *envp[] = {"A=1", "B=2", NULL};
	pid_t pid = h_fork();

	if (pid == 0) {
		execve(h_self, argv, envp);
		_exit(98);
	}
	JOIN(pid);
}

TEST(status)
{
	sigset_t set;
	char want[64];

	prctl(PR_SET_NAME, "odd (name) x");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	signal(SIGHUP, SIG_IGN);
	REQUIRE(read_file("/proc/self/status", buf, sizeof(buf)) > 0);
	CHECK_STR(field(buf, "Name:"), "odd (name) x");
	CHECK_STR(field(buf, "State:"), "R (running)");
	snprintf(want, sizeof(want), "%d", (int)getpid());
	CHECK_STR(field(buf, "\nTgid:"), want);
	CHECK_STR(field(buf, "\nPid:"), want);
	snprintf(want, sizeof(want), "%d", (int)getppid());
	CHECK_STR(field(buf, "\nPPid:"), want);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", getuid(), geteuid(), geteuid(), geteuid());
	CHECK_STR(field(buf, "\nUid:"), want);
	snprintf(want, sizeof(want), "%u\t%u\t%u\t%u", getgid(), getegid(), getegid(), getegid());
	CHECK_STR(field(buf, "\nGid:"), want);
	CHECK_STR(field(buf, "\nThreads:"), "1");
	CHECK_STR(field(buf, "\nSigBlk:"), "0000000000000200");
	CHECK_STR(field(buf, "\nSigPnd:"), "0000000000000200");
	CHECK(strtoull(field(buf, "\nSigIgn:"), NULL, 16) & 1);
	CHECK(atol(field(buf, "\nVmSize:")) > 0);
	CHECK(strlen(field(buf, "\nCapEff:")) == 16);
	signal(SIGUSR1, SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGHUP, SIG_DFL);
}

TEST(stat)
{
	char comm[32], state;
	int pid, ppid, pgrp, session;
	char *end;

	prctl(PR_SET_NAME, "a ) (b");
	REQUIRE(read_file("/proc/self/stat", buf, sizeof(buf)) > 0);
	end = strrchr(buf, ')');
	REQUIRE(end);
	CHECK_EQ(sscanf(buf, "%d (", &pid), 1);
	CHECK_EQ(pid, getpid());
	snprintf(comm, sizeof(comm), "%.*s", (int)(end - strchr(buf, '(') - 1), strchr(buf, '(') + 1);
	CHECK_STR(comm, "a ) (b");
	CHECK_EQ(sscanf(end + 2, "%c %d %d %d", &state, &ppid, &pgrp, &session), 4);
	CHECK(state == 'R' && ppid == getppid() && pgrp == getpgrp() && session == getsid(0));
	int fields = 0;
	for (char *p = strtok(end + 2, " \n"); p; p = strtok(NULL, " \n"))
		fields++;
	CHECK_EQ(fields, 50); /* 52 with pid and name */
	REQUIRE(read_file("/proc/self/statm", buf, sizeof(buf)) > 0);
	unsigned long size, rss;
	CHECK_EQ(sscanf(buf, "%lu %lu", &size, &rss), 2);
	CHECK(size > 0 && rss <= size);
}

TEST(comm)
{
	int fd;

	prctl(PR_SET_NAME, "first");
	CHECK_EQ(read_file("/proc/self/comm", buf, sizeof(buf)), 6);
	CHECK_STR(buf, "first\n");
	fd = open("/proc/self/comm", O_WRONLY);
	if (CHECK(fd >= 0)) {
		CHECK_EQ(write(fd, "second", 6), 6);
		close(fd);
		prctl(PR_GET_NAME, buf);
		CHECK_STR(buf, "second");
	}
}

TEST(maps)
{
	unsigned long s, e, off, ino, last = 0;
	unsigned maj, min;
	char perms[8];
	char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int here;
	bool saw_stack = false, saw_heap = false, saw_map = false, saw_text = false;

	sbrk(4096);
	REQUIRE(read_file("/proc/self/maps", buf, sizeof(buf)) > 0);
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		if (!CHECK(sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &s, &e, perms, &off, &maj, &min, &ino) == 7))
			h_say("  %s\n", line);
		CHECK(s < e && s >= last && s % 4096 == 0 && e % 4096 == 0);
		last = e;
		if ((uintptr_t)&here >= s && (uintptr_t)&here < e)
			saw_stack = strstr(line, "[stack]") && perms[1] == 'w';
		if ((uintptr_t)p >= s && (uintptr_t)p < e)
			saw_map = strcmp(perms, "r--p") == 0 && ino == 0;
		if ((uintptr_t)&field >= s && (uintptr_t)&field < e)
			saw_text = strcmp(perms, "r-xp") == 0 && ino != 0 && strstr(line, h_self);
		saw_heap |= strstr(line, "[heap]") != NULL;
	}
	CHECK(saw_stack && saw_heap && saw_map && saw_text);
	munmap(p, 8192);
}

TEST(small_reads)
{
	static char whole[1 << 17], parts[1 << 17];
	size_t have = 0;
	ssize_t n = read_file("/proc/self/limits", whole, sizeof(whole)), k;
	int fd = open("/proc/self/limits", O_RDONLY);

	REQUIRE(n > 0 && fd >= 0);
	while ((k = read(fd, parts + have, 7)) > 0)
		have += (size_t)k;
	CHECK_EQ(have, n);
	CHECK(memcmp(whole, parts, have) == 0);
	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_EQ(read(fd, parts, 5), 5);
	CHECK(memcmp(parts, whole + 3, 5) == 0);
	CHECK_EQ(pread(fd, parts, 4, 0), 4);
	close(fd);
}

static void *in_thread(void *arg)
{
	char path[64];
	struct gate *g = arg;

	prctl(PR_SET_NAME, "worker");
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)syscall(SYS_gettid));
	CHECK_EQ(read_file(path, buf, sizeof(buf)), 7);
	CHECK_STR(buf, "worker\n");
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	CHECK_EQ(n, 2);
	closedir(d);
	CHECK(read_file("/proc/self/status", buf, sizeof(buf)) > 0);
	CHECK_STR(field(buf, "\nThreads:"), "2");
	(void)g;
	return NULL;
}

TEST(threads)
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, in_thread, NULL) == 0);
	pthread_join(t, NULL);
}

TEST(other_process)
{
	char path[64];
	pid_t pid = h_fork();

	if (pid == 0)
		for (;;)
			pause();
	CHECK(h_wait_state(pid, "S"));
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	CHECK(read_file(path, buf, sizeof(buf)) > 0);
	CHECK_STR(field(buf, "State:"), "S (sleeping)");
	CHECK_EQ(atoi(field(buf, "\nPPid:")), getpid());
	int fd = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	kill(pid, SIGKILL);
	CHECK_EQ(h_wait(pid), SIGKILL);
	CHECK_ERR(read(fd, buf, 10), ESRCH); /* it is gone */
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	CHECK_ERR(access(path, F_OK), ENOENT);
}

TEST(listing)
{
	struct dirent *e;
	bool self = false, me = false;
	DIR *d = opendir("/proc");

	REQUIRE(d);
	while ((e = readdir(d))) {
		self |= strcmp(e->d_name, "self") == 0;
		me |= atoi(e->d_name) == getpid();
	}
	CHECK(self && me);
	closedir(d);
	CHECK_ERR(open("/proc/no-such-file", O_RDONLY), ENOENT);
	CHECK(open("/proc/new", O_CREAT | O_WRONLY, 0600) < 0);
	CHECK(mkdir("/proc/dir", 0700) < 0);
}

static int count_of(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text += strlen(what);
	}
	return n;
}

/* What has been made since the start is counted, not what there is. */
TEST(processes_made)
{
	long before, after;

	REQUIRE(read_file("/proc/stat", buf, sizeof(buf)) > 0);
	before = atol(field(buf, "processes "));
	for (int i = 0; i < 3; i++) {
		pid_t pid = h_fork();

		if (pid == 0)
			_exit(0);
		JOIN(pid);
	}
	REQUIRE(read_file("/proc/stat", buf, sizeof(buf)) > 0);
	after = atol(field(buf, "processes "));
	CHECK(after >= before + 3);
}

TEST(machine)
{
	CHECK(read_file("/proc/meminfo", buf, sizeof(buf)) > 0);
	CHECK(atol(field(buf, "MemTotal:")) > 0);
	CHECK(read_file("/proc/cpuinfo", buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, "processor\t: 0"));
	CHECK(read_file("/proc/uptime", buf, sizeof(buf)) > 0);
	CHECK(atof(buf) > 0);
	CHECK(read_file("/proc/loadavg", buf, sizeof(buf)) > 0);
	CHECK(read_file("/proc/stat", buf, sizeof(buf)) > 0);
	CHECK(strncmp(buf, "cpu ", 4) == 0 && strstr(buf, "\nbtime "));
	CHECK_EQ(count_of(buf, "\ncpu"), sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(read_file("/proc/version", buf, sizeof(buf)) > 0);
	CHECK(strncmp(buf, "Linux version ", 14) == 0);
	CHECK(read_file("/proc/filesystems", buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, "\tproc\n"));
	CHECK(read_file("/proc/mounts", buf, sizeof(buf)) > 0);
	CHECK(strstr(buf, " / ") && strstr(buf, " /proc proc "));
	CHECK(read_file("/proc/self/mountinfo", buf, sizeof(buf)) > 0);
	CHECK(read_file("/proc/sys/kernel/pid_max", buf, sizeof(buf)) > 0);
	CHECK(read_file("/proc/sys/kernel/ostype", buf, sizeof(buf)) > 0);
	CHECK_STR(buf, "Linux\n");
}
