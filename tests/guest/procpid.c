/* The smaller files of /proc/PID: namespaces, input and output, memory, children, adjustments. */
#include "proctext.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>

#define NS_GET_USERNS 0xb701
#define NS_GET_PARENT 0xb702
#define NS_GET_NSTYPE 0xb703
#define NS_GET_OWNER_UID 0xb704

/* The number behind name at a line's beginning, or -1. */
static long long number(const char *text, const char *name)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, strlen(name)))
			return atoll(line + strlen(name));
	}
	return -1;
}

/* Field 39 of stat: the CPU that it ran on last. */
TEST(last_cpu)
{
	cpu_set_t all, one;

	OK(sched_getaffinity(0, sizeof(all), &all));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		char text[1024], *p;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		OK(sched_setaffinity(0, sizeof(one), &one));
		for (volatile int i = 0; i < 1000; i++)
			;
		REQUIRE(read_file("/proc/self/stat", text, sizeof(text)) > 0);
		p = strrchr(text, ')');
		for (int field = 2; p && field < 39; field++)
			p = strchr(p + 1, ' ');
		REQUIRE(p);
		CHECK_EQ(atoi(p), cpu);
	}
	OK(sched_setaffinity(0, sizeof(all), &all));
}

TEST(namespaces)
{
	static const struct {
		const char *name;
		int type;
	} kinds[] = {{"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mnt", CLONE_NEWNS}, {"net", CLONE_NEWNET},
		     {"pid", CLONE_NEWPID},	  {"user", CLONE_NEWUSER}, {"uts", CLONE_NEWUTS}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64], link[64], want[64];
		struct stat by_link, by_fd;
		struct statfs fs;
		ssize_t n;
		int fd, user;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i].name);
		n = readlink(path, link, sizeof(link) - 1);
		REQUIRE(n > 0);
		link[n] = 0;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		REQUIRE(fd >= 0 && stat(path, &by_link) == 0 && fstat(fd, &by_fd) == 0 && fstatfs(fd, &fs) == 0);
		snprintf(want, sizeof(want), "%s:[%lu]", kinds[i].name, (unsigned long)by_fd.st_ino);
		CHECK_STR(link, want);
		CHECK(by_link.st_ino == by_fd.st_ino && by_link.st_dev == by_fd.st_dev);
		CHECK_EQ(by_fd.st_mode, S_IFREG | 0444);
		CHECK_EQ(fs.f_type, 0x6e736673);
		CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), kinds[i].type);
		CHECK_ERR(read(fd, link, 1), EINVAL);
		if (kinds[i].type != CLONE_NEWUSER) {
			CHECK_ERR(ioctl(fd, NS_GET_OWNER_UID, want), EINVAL);
			user = ioctl(fd, NS_GET_USERNS);
			if (CHECK(user >= 0)) {
				CHECK_EQ(ioctl(user, NS_GET_NSTYPE), CLONE_NEWUSER);
				close(user);
			}
		} else {
			uid_t owner = 77;

			CHECK_ERR(ioctl(fd, NS_GET_USERNS), EPERM);
			OK(ioctl(fd, NS_GET_OWNER_UID, &owner));
			CHECK_ERR(ioctl(fd, NS_GET_OWNER_UID, NULL), EFAULT);
		}
		CHECK_ERR(ioctl(fd, NS_GET_PARENT),
			  kinds[i].type == CLONE_NEWUSER || kinds[i].type == CLONE_NEWPID ? EPERM : EINVAL);
		close(fd);
	}
	CHECK_ERR(readlink("/proc/self/ns/nosuch", buf, 9), ENOENT);
}

/* Every line that Linux has, in its order. */
TEST(status_lines)
{
	static const char *const names[] = {
		"Name",	  "Umask",   "State",	"Tgid",	   "Ngid",     "Pid",	      "PPid",	  "TracerPid", "Uid",
		"Gid",	  "FDSize",  "Groups",	"NStgid",  "NSpid",    "NSpgid",      "NSsid",	  "Kthread",   "VmPeak",
		"VmSize", "VmLck",   "VmPin",	"VmHWM",   "VmRSS",    "RssAnon",     "RssFile",  "RssShmem",  "VmData",
		"VmStk",  "VmExe",   "VmLib",	"VmPTE",   "VmSwap",   "HugetlbPages", "CoreDumping", "THP_enabled",
		"untag_mask", "Threads", "SigQ", "SigPnd", "ShdPnd",   "SigBlk",      "SigIgn",	  "SigCgt",    "CapInh",
		"CapPrm", "CapEff",  "CapBnd",	"CapAmb",  "NoNewPrivs", "Seccomp",   "Seccomp_filters",
		"Speculation_Store_Bypass", "SpeculationIndirectBranch", "Cpus_allowed", "Cpus_allowed_list",
		"Mems_allowed", "Mems_allowed_list", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"};
	size_t i = 0, count = sizeof(names) / sizeof(names[0]);

	REQUIRE(read_file("/proc/self/status", buf, sizeof(buf)) > 0);
	CHECK_EQ(number(buf, "VmRSS:"), number(buf, "RssAnon:") + number(buf, "RssFile:") + number(buf, "RssShmem:"));
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		size_t len = strcspn(line, ":");

		if (i < count && len == strlen(names[i]) && !strncmp(line, names[i], len))
			i++;
	}
	if (!CHECK_EQ(i, count))
		h_say("  no %s after %s\n", i < count ? names[i] : "", i ? names[i - 1] : "");
}

static void *one_read(void *arg)
{
	char c;

	CHECK_EQ(pread(*(int *)arg, &c, 1, 0), 1);
	return NULL;
}

TEST(io)
{
	long long wchar, rchar, syscw, syscr;
	pthread_t t;
	char data[1000] = {0};
	int fd;

	use_tmpdir();
	fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0);
	text_of("/proc/self/io");
	wchar = number(buf, "wchar: ");
	syscw = number(buf, "syscw: ");
	CHECK_EQ(write(fd, data, 1000), 1000);
	CHECK_EQ(pwrite(fd, data, 500, 7), 500);
	text_of("/proc/self/io");
	CHECK_EQ(number(buf, "wchar: "), wchar + 1500);
	CHECK_EQ(number(buf, "syscw: "), syscw + 2);
	rchar = number(buf, "rchar: ");
	syscr = number(buf, "syscr: ");
	CHECK_EQ(number(buf, "cancelled_write_bytes: "), 0);
	/* The text itself and the end behind it have been read since; an ended thread's count stays. */
	rchar += (long long)strlen(buf);
	syscr += 2;
	REQUIRE(pthread_create(&t, NULL, one_read, &fd) == 0);
	pthread_join(t, NULL);
	text_of("/proc/self/io");
	CHECK_EQ(number(buf, "rchar: "), rchar + 1);
	CHECK_EQ(number(buf, "syscr: "), syscr + 1);
	close(fd);
	text_of("/proc/thread-self/io");
	CHECK(number(buf, "syscr: ") >= syscr);
}

static char word[] = "old word";

TEST(mem)
{
	char path[64], c[16] = {0};
	struct gate g, done;
	pid_t pid;
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0);
	CHECK_EQ(pread(fd, c, 8, (off_t)(uintptr_t)word), 8);
	CHECK_STR(c, "old word");
	CHECK_EQ(lseek(fd, (off_t)(uintptr_t)word, SEEK_SET), (off_t)(uintptr_t)word);
	CHECK_EQ(write(fd, "new", 3), 3);
	CHECK_STR(word, "new word");
	CHECK_EQ(read(fd, c, 5), 5);
	CHECK(!strncmp(c, " word", 5));
	CHECK_ERR(pread(fd, c, 8, 0), EIO);
	CHECK_ERR(pread(fd, c, 8, INT64_MAX - 100), EIO);

	/* Across the end of what is mapped: as far as it goes. */
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(munmap(p + 4096, 4096));
	CHECK_EQ(pread(fd, buf, 8192, (off_t)(uintptr_t)p), 4096);
	close(fd);

	gate_init(&g);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		word[0] = 'N';
		gate_open(&g);
		gate_pass(&done);
		CHECK_STR(word, "Xew word");
		child_exit();
	}
	gate_pass(&g);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	CHECK_EQ(pread(fd, c, 8, (off_t)(uintptr_t)word), 8);
	CHECK(!strncmp(c, "New word", 8));
	CHECK_EQ(pwrite(fd, "X", 1, (off_t)(uintptr_t)word), 1);
	gate_open(&done);
	JOIN(pid);
	CHECK_EQ(pread(fd, c, 8, (off_t)(uintptr_t)word), 0); /* it is gone */
	close(fd);
}

TEST(children)
{
	char path[64], want[32];
	pid_t a = h_fork(), b;

	if (a == 0)
		for (;;)
			pause();
	b = h_fork();
	if (b == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	snprintf(want, sizeof(want), "%d %d ", (int)a, (int)b);
	CHECK_STR(text_of(path), want);
	CHECK_ERR(access("/proc/self/children", F_OK), ENOENT);
	kill(a, SIGKILL);
	kill(b, SIGKILL);
	CHECK_EQ(h_wait(a), SIGKILL);
	CHECK_EQ(h_wait(b), SIGKILL);
	CHECK_STR(text_of(path), "");
}

TEST(oom)
{
	CHECK_EQ(write_text("/proc/self/oom_score_adj", "500"), 0);
	CHECK_STR(text_of("/proc/self/oom_score_adj"), "500\n");
	CHECK_STR(text_of("/proc/self/oom_adj"), "8\n");
	CHECK_EQ(write_text("/proc/self/oom_adj", "15\n"), 0);
	CHECK_STR(text_of("/proc/self/oom_score_adj"), "1000\n");
	CHECK_STR(text_of("/proc/self/oom_adj"), "15\n");
	CHECK_EQ(write_text("/proc/self/oom_adj", "16"), -EINVAL);
	CHECK_EQ(write_text("/proc/self/oom_score_adj", "1001"), -EINVAL);
	CHECK_EQ(write_text("/proc/self/oom_score_adj", "x"), -EINVAL);
	CHECK_EQ(write_text("/proc/self/oom_score_adj", ""), -EINVAL);
}

TEST(coredump_filter)
{
	pid_t pid;

	CHECK_STR(text_of("/proc/self/coredump_filter"), "00000033\n");
	CHECK_EQ(write_text("/proc/self/coredump_filter", "0x7f"), 0);
	CHECK_STR(text_of("/proc/self/coredump_filter"), "0000007f\n");
	pid = h_fork();
	if (pid == 0) {
		CHECK_STR(text_of("/proc/self/coredump_filter"), "0000007f\n");
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(write_text("/proc/self/coredump_filter", "51"), 0);
	CHECK_EQ(write_text("/proc/self/coredump_filter", "no"), -EINVAL);
}

TEST(timer_slack)
{
	char want[32];

	OK(prctl(PR_SET_TIMERSLACK, 70000));
	CHECK_STR(text_of("/proc/self/timerslack_ns"), "70000\n");
	CHECK_EQ(write_text("/proc/self/timerslack_ns", "80000"), 0);
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 80000);
	CHECK_EQ(write_text("/proc/self/timerslack_ns", "0"), 0);
	snprintf(want, sizeof(want), "%d\n", prctl(PR_GET_TIMERSLACK));
	CHECK_STR(text_of("/proc/self/timerslack_ns"), want);
	CHECK_EQ(write_text("/proc/self/timerslack_ns", "x"), -EINVAL);
}

TEST(clear_refs)
{
	CHECK_EQ(write_text("/proc/self/clear_refs", "1"), 0);
	CHECK_EQ(write_text("/proc/self/clear_refs", "0"), -EINVAL);
	CHECK_EQ(write_text("/proc/self/clear_refs", "x"), -EINVAL);
}

/* The call that reads it: its number, the buffer, the stack and the place in the text. */
TEST(syscall_of_oneself)
{
	unsigned long nr, a[6], sp, pc;
	int fd = open("/proc/self/syscall", O_RDONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	memset(buf, 0, 200);
	CHECK(read(fd, buf, 200) > 0);
	REQUIRE(sscanf(buf, "%lu %lx %lx %lx %lx %lx %lx %lx %lx", &nr, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &sp, &pc) == 9);
	CHECK_EQ(nr, SYS_read);
	CHECK_EQ(a[0], fd);
	CHECK_EQ(a[1], (uintptr_t)buf);
	CHECK_EQ(a[2], 200);
	CHECK(sp < (uintptr_t)(&fd + 1000) && sp > (uintptr_t)&fd - 65536 && pc != 0);
	close(fd);
}

TEST(plain_texts)
{
	unsigned pid;
	struct stat st;

	CHECK_STR(text_of("/proc/self/loginuid"), "4294967295");
	CHECK_STR(text_of("/proc/self/sessionid"), "4294967295");
	CHECK_STR(text_of("/proc/self/wchan"), "0");
	CHECK_STR(text_of("/proc/self/setgroups"), "allow\n");
	CHECK(strstr(text_of("/proc/self/cgroup"), "0::/") != NULL);
	CHECK(text_of("/proc/self/cpuset")[0] == '/');
	REQUIRE(read_file("/proc/self/sched", buf, sizeof(buf)) > 0);
	CHECK(sscanf(strrchr(strtok(buf, "\n"), '('), "(%u, #threads: 1)", &pid) == 1 && pid == (unsigned)getpid());
	CHECK(strstr(text_of("/proc/self/mountstats"), "device proc mounted on /proc with fstype proc\n") != NULL);
	CHECK_ERR(read_file("/proc/self/attr/current", buf, 100), EINVAL);
	OK(stat("/proc/self/io", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0400);
	OK(stat("/proc/self/mem", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	OK(stat("/proc/self/ns", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0511);
}

TEST(numa_maps)
{
	bool stack = false, text = false;

	REQUIRE(read_file("/proc/self/numa_maps", buf, sizeof(buf)) > 0);
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		char policy[32];
		unsigned long at;

		REQUIRE(sscanf(line, "%lx %31s", &at, policy) == 2);
		CHECK_STR(policy, "default");
		stack |= strstr(line, " stack") != NULL;
		text |= strstr(line, " file=/") && strstr(line, "/procpid");
	}
	CHECK(stack && text);
}

TEST(net)
{
	char link[64];
	ssize_t n = readlink("/proc/net", link, sizeof(link) - 1);

	REQUIRE(n > 0);
	link[n] = 0;
	CHECK_STR(link, "self/net");
	CHECK(strstr(text_of("/proc/net/dev"), "    lo:") != NULL);
	CHECK(!strncmp(text_of("/proc/net/tcp"), "  sl  local_address rem_address   st ", 37));
	CHECK_EQ(strcspn(buf, "\n"), 149);
	CHECK(!strncmp(text_of("/proc/self/net/unix"), "Num       RefCount Protocol Flags    Type St Inode Path\n", 56));
	CHECK(!strncmp(text_of("/proc/net/route"), "Iface\tDestination\t", 18));
	CHECK(!strncmp(text_of("/proc/net/tcp6"), "  sl  local_address                         remote_address ", 57));
}

/* Somebody else's process: what everybody may see, and what only those who may trace it. */
/* stat tells how many descriptors there are, and how long a link of a fixed text is. */
TEST(sizes)
{
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY), more;
	struct stat before, after, st;

	REQUIRE(fd >= 0);
	OK(fstat(fd, &before));
	if (before.st_size == 0)
		SKIP("a kernel before 6.2");
	more = open("/dev/null", O_RDONLY);
	OK(fstat(fd, &after));
	CHECK_EQ(after.st_size, before.st_size + 1);
	close(more);
	OK(stat("/proc/self/fd", &after));
	CHECK_EQ(after.st_size, before.st_size);
	OK(lstat("/proc/mounts", &st));
	CHECK_EQ(st.st_size, 11);
	OK(lstat("/proc/self", &st));
	CHECK_EQ(st.st_size, 0);
	OK(lstat("/proc/self/fd/0", &st));
	CHECK_EQ(st.st_size, 64);
	close(fd);
}

/* What status says of speculation is what prctl(2) does. */
TEST(speculation_lines)
{
	long bypass = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	long branch = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0);

	REQUIRE(read_file("/proc/self/status", buf, sizeof(buf)) > 0);
	if (bypass == PR_SPEC_ENABLE)
		CHECK(strstr(buf, "\nSpeculation_Store_Bypass:\tvulnerable\n"));
	if (bypass == (PR_SPEC_PRCTL | PR_SPEC_ENABLE))
		CHECK(strstr(buf, "\nSpeculation_Store_Bypass:\tthread vulnerable\n"));
	if (branch == PR_SPEC_ENABLE)
		CHECK(strstr(buf, "\nSpeculationIndirectBranch:\talways enabled\n"));
	if (branch == (PR_SPEC_PRCTL | PR_SPEC_ENABLE))
		CHECK(strstr(buf, "\nSpeculationIndirectBranch:\tconditional enabled\n"));
}

static int open_error(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static const char *text_of_task(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return text_of(path);
}

/* What is of memory or of mounts a zombie has no more. */
TEST(zombie)
{
	static const char *const gone[] = {"auxv", "environ", "mem", "pagemap", "smaps_rollup"};
	static const char *const mounts[] = {"mounts", "mountinfo", "mountstats"};
	static const char *const empty[] = {"maps", "smaps", "numa_maps", "cmdline", "coredump_filter"};
	static const char *const dirs[] = {"", "task", "fd", "stat"};
	const bool is_root = geteuid() == 0;
	struct stat st;
	char path[64];
	siginfo_t si;
	pid_t pid = h_fork();

	if (pid == 0)
		_exit(0);
	OK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	/* Its files are root's now, but for the directories that anybody may list. */
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, dirs[i]);
		REQUIRE(stat(path, &st) == 0);
		CHECK_EQ(st.st_uid, i < 2 ? geteuid() : 0);
		CHECK_EQ(st.st_gid, i < 2 ? getegid() : 0);
	}
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		CHECK_EQ(open_error(pid, gone[i]), is_root || !strcmp(gone[i], "smaps_rollup") ? ESRCH : EACCES);
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		CHECK_EQ(open_error(pid, mounts[i]), is_root || strcmp(mounts[i], "mountstats") ? EINVAL : EACCES);
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
		CHECK_STR(text_of_task(pid, empty[i]), "");
	CHECK(strstr(text_of_task(pid, "stat"), ") Z "));
	CHECK_EQ(h_wait(pid), 0);
}

/* Texts have a beginning and no end to seek from; what is bytes has. */
TEST(seeking)
{
	static const char *const texts[] = {"stat", "status", "maps", "mounts", "limits", "comm", "mem"};
	static const char *const bytes[] = {"cmdline", "environ", "auxv", "oom_score_adj"};
	char path[64];
	int fd;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", texts[i]);
		fd = open(path, O_RDONLY);
		CHECK_ERR(lseek(fd, 0, SEEK_END), EINVAL);
		CHECK_ERR(lseek(fd, 0, SEEK_DATA), EINVAL);
		CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
		CHECK_EQ(lseek(fd, 2, SEEK_CUR), 7);
		close(fd);
	}
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", bytes[i]);
		fd = open(path, O_RDONLY);
		CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
		CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
		close(fd);
	}
	fd = open("/proc/sys/kernel/ostype", O_RDONLY);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	CHECK_ERR(open("/proc/version", O_RDONLY | O_DIRECT), EINVAL);
	CHECK_ERR(open("/proc/self/stat", O_RDONLY | O_DIRECT), EINVAL);
}

/* map_files: a link for each mapping of a file. */
TEST(map_files)
{
	char name[128], bad[128], link[256];
	struct dirent *e;
	struct stat st;
	int fd, count = 0;
	char *m;
	DIR *d;

	use_tmpdir();
	fd = open("mapped", O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0 && ftruncate(fd, 12288) == 0);
	m = mmap(NULL, 12288, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(m != MAP_FAILED);
	snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 12288);
	OK(lstat(name, &st));
	CHECK_EQ(st.st_mode, S_IFLNK | 0600); /* as the file is open */
	CHECK_EQ(st.st_size, 64);
	memset(link, 0, sizeof(link));
	CHECK(readlink(name, link, sizeof(link) - 1) > 0);
	CHECK(strrchr(link, '/') && !strcmp(strrchr(link, '/'), "/mapped"));
	CHECK(stat(name, &st) == 0 || errno == EPERM); /* without CAP_CHECKPOINT_RESTORE */
	snprintf(bad, sizeof(bad), "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 4096);
	CHECK_ERR(lstat(bad, &st), ENOENT);
	snprintf(bad, sizeof(bad), "/proc/self/map_files/0%lx-%lx", (long)m, (long)m + 12288);
	CHECK_ERR(lstat(bad, &st), ENOENT);
	CHECK_ERR(lstat("/proc/self/map_files/nonsense", &st), ENOENT);
	d = opendir("/proc/self/map_files");
	REQUIRE(d);
	while ((e = readdir(d)))
		count += e->d_type == DT_LNK && !strcmp(e->d_name, strrchr(name, '/') + 1);
	closedir(d);
	CHECK_EQ(count, 1);
	OK(munmap(m, 12288));
	CHECK_ERR(lstat(name, &st), ENOENT);
	CHECK_ERR(access("/proc/thread-self/map_files", F_OK), ENOENT);
	close(fd);
}

/* A child of another user. */
static pid_t fork_stranger(void)
{
	pid_t pid = h_fork();

	if (pid == 0)
		REQUIRE(setresgid(4711, 4711, 4711) == 0 && setresuid(4711, 4711, 4711) == 0);
	return pid;
}

TEST(map_files_of_others)
{
	char name[128], link[64];
	pid_t pid;

	if (getuid() != 0)
		SKIP("needs root");
	pid = fork_stranger();
	if (pid == 0) {
		OK(access("/proc/self/map_files", R_OK | X_OK)); /* though root owns it now */
		OK(access("/proc/self/fd", R_OK | X_OK));
		snprintf(name, sizeof(name), "/proc/%d/map_files", (int)getppid());
		CHECK(opendir(name) == NULL && errno == EACCES);
		snprintf(name, sizeof(name), "/proc/%d/map_files/1000-2000", (int)getppid());
		CHECK_ERR(readlink(name, link, sizeof(link)), EACCES);
		child_exit();
	}
	JOIN(pid);
}

/* The first time namespace's offsets are none, and stay so. */
TEST(time_offsets)
{
	static const char path[] = "/proc/self/timens_offsets";

	CHECK_STR(text_of(path), "monotonic           0         0\nboottime            0         0\n");
	CHECK_EQ(write_text(path, "monotonic\n"), -EINVAL);
	CHECK_EQ(write_text(path, "realtime 1 0\n"), -EINVAL);
	CHECK_EQ(write_text(path, "monotonic 1 1000000000\n"), -EINVAL);
	if (getuid() == 0) {
		CHECK_EQ(write_text(path, "monotonic 1 0\n"), -EACCES);
		CHECK_EQ(write_text(path, "monotonic 1 0\n7 -1 0\n"), -EACCES);
		CHECK_EQ(write_text(path, "monotonic 1 0\nnonsense\n"), -EINVAL);
	}
}

TEST(permissions)
{
	static const char *const open_to_all[] = {"stat", "status", "cmdline", "statm", "comm", "limits", "wchan"};
	static const char *const guarded[] = {"environ", "maps", "io", "mem", "auxv", "syscall", "stack", "personality"};
	static const char *const links[] = {"exe", "cwd", "root", "ns/pid"};
	char path[64];
	pid_t pid;

	if (getuid() != 0)
		SKIP("needs root");
	pid = fork_stranger();
	if (pid == 0) {
		for (size_t i = 0; i < sizeof(open_to_all) / sizeof(open_to_all[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", (int)getppid(), open_to_all[i]);
			CHECK(read_file(path, buf, sizeof(buf)) >= 0);
		}
		for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", (int)getppid(), guarded[i]);
			CHECK_ERR(open(path, O_RDONLY), EACCES);
		}
		for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", (int)getppid(), links[i]);
			CHECK_ERR(readlink(path, buf, 10), EACCES);
		}
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)getppid());
		CHECK(opendir(path) == NULL && errno == EACCES);
		child_exit();
	}
	JOIN(pid);
}
