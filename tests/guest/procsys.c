/* /proc/sys, and what /proc says of the machine. */
#include "proctext.h"

#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/utsname.h>

/* Each is one line of so many numbers, in that order of size. */
TEST(numbers)
{
	static const struct {
		const char *name;
		int count;
	} files[] = {
		{"kernel/cap_last_cap", 1}, {"kernel/ngroups_max", 1}, {"kernel/overflowuid", 1}, {"kernel/pid_max", 1},
		{"kernel/threads-max", 1}, {"kernel/msgmax", 1}, {"kernel/msgmnb", 1}, {"kernel/msgmni", 1},
		{"kernel/shmmni", 1}, {"kernel/shmall", 1}, {"kernel/shmmax", 1}, {"kernel/sem", 4},
		{"kernel/randomize_va_space", 1}, {"kernel/perf_event_paranoid", 1}, {"kernel/printk", 4},
		{"kernel/random/entropy_avail", 1}, {"kernel/random/poolsize", 1}, {"kernel/tainted", 1},
		{"kernel/core_uses_pid", 1}, {"kernel/dmesg_restrict", 1}, {"kernel/pty/max", 1},
		{"kernel/sched_rt_period_us", 1}, {"kernel/ns_last_pid", 1}, {"vm/overcommit_memory", 1},
		{"vm/max_map_count", 1}, {"vm/mmap_min_addr", 1}, {"vm/swappiness", 1}, {"vm/nr_hugepages", 1},
		{"vm/min_free_kbytes", 1}, {"vm/dirty_ratio", 1}, {"fs/file-max", 1}, {"fs/file-nr", 3}, {"fs/nr_open", 1},
		{"fs/inode-nr", 2}, {"fs/inode-state", 7}, {"fs/dentry-state", 6}, {"fs/pipe-max-size", 1},
		{"fs/inotify/max_user_watches", 1}, {"fs/inotify/max_user_instances", 1},
		{"fs/inotify/max_queued_events", 1}, {"fs/epoll/max_user_watches", 1}, {"fs/aio-max-nr", 1}, {"fs/aio-nr", 1},
		{"fs/protected_hardlinks", 1}, {"fs/suid_dumpable", 1}, {"fs/mqueue/msg_max", 1}, {"fs/lease-break-time", 1},
		{"net/core/somaxconn", 1}, {"net/core/rmem_max", 1}, {"net/ipv4/ip_local_port_range", 2},
		{"net/ipv4/tcp_rmem", 3}, {"net/ipv4/ip_forward", 1}, {"net/unix/max_dgram_qlen", 1},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[96], *p = buf, *end;
		int n = 0;

		snprintf(path, sizeof(path), "/proc/sys/%s", files[i].name);
		if (!CHECK(read_file(path, buf, sizeof(buf)) > 0)) {
			h_say("  %s\n", path);
			continue;
		}
		for (;; n++, p = end) {
			strtoull(p, &end, 10);
			if (end == p)
				break;
		}
		if (!CHECK_EQ(n, files[i].count) || !CHECK_STR(p, "\n"))
			h_say("  %s: %s\n", path, buf);
	}
}

TEST(identity)
{
	char first[64], second[64];
	struct utsname u;

	REQUIRE(uname(&u) == 0);
	CHECK(!strncmp(text_of("/proc/sys/kernel/osrelease"), u.release, strlen(u.release)));
	CHECK(!strncmp(text_of("/proc/sys/kernel/hostname"), u.nodename, strlen(u.nodename)));
	CHECK_STR(text_of("/proc/sys/kernel/ostype"), "Linux\n");
	CHECK_STR(text_of("/proc/sys/kernel/arch"), "x86_64\n");
	REQUIRE(strlen(text_of("/proc/sys/kernel/random/boot_id")) == 37);
	strcpy(first, buf);
	CHECK_STR(text_of("/proc/sys/kernel/random/boot_id"), first); /* stays */
	REQUIRE(strlen(text_of("/proc/sys/kernel/random/uuid")) == 37);
	strcpy(second, buf);
	CHECK(strcmp(text_of("/proc/sys/kernel/random/uuid"), second)); /* is another each time */
}

/* Modes count for root as well. */
TEST(not_to_be_written)
{
	struct stat st;

	CHECK_EQ(write_text("/proc/sys/kernel/osrelease", "1.2"), -EACCES);
	CHECK_EQ(write_text("/proc/sys/kernel/ngroups_max", "1"), -EACCES);
	CHECK_EQ(write_text("/proc/sys/kernel/random/uuid", "1"), -EACCES);
	CHECK_EQ(write_text("/proc/sys/kernel/random/boot_id", "1"), -EACCES);
	CHECK(open("/proc/sys/kernel/new", O_CREAT | O_WRONLY, 0600) < 0);
	CHECK(mkdir("/proc/sys/new", 0700) < 0);
	CHECK(unlink("/proc/sys/kernel/osrelease") < 0);
	OK(stat("/proc/sys/kernel/hostname", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	OK(stat("/proc/sys/kernel/osrelease", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0444);
	CHECK_EQ(open("/proc/sys/vm/drop_caches", O_RDONLY), -1);
	CHECK_EQ(errno, EACCES);
	if (getuid() == 0) { /* here root may open, but there is nobody to write to */
		CHECK_EQ(write_text("/proc/version", "x"), -EIO);
		CHECK_EQ(write_text("/proc/self/uid_map", "0 0 1"), -EPERM);
	}
}

static long random_base(void)
{
	int status;
	pid_t pid = h_fork();

	if (pid == 0) {
		execl(h_self, h_self, "@base", NULL);
		_exit(99);
	}
	status = h_wait(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Exits with some bits of where the stack lies. */
ROLE(argc, argv)
{
	int here;

	(void)argc;
	(void)argv;
	return (int)(((uintptr_t)&here >> 12) & 0x3f);
}

/* In a place of its own: natively it would change the machine. */
TEST(values_that_act)
{
	struct utsname u;
	char old[80];

	REQUIRE(uname(&u) == 0);
	if (!strstr(u.version, "Bailey"))
		SKIP("not inside");
	if (getuid() != 0) {
		CHECK_EQ(write_text("/proc/sys/kernel/hostname", "other"), -EACCES);
		return;
	}
	snprintf(old, sizeof(old), "%s", text_of("/proc/sys/kernel/hostname"));
	CHECK_EQ(write_text("/proc/sys/kernel/hostname", "other\nrest"), 0);
	REQUIRE(uname(&u) == 0);
	CHECK_STR(u.nodename, "other");
	CHECK_EQ(write_text("/proc/sys/kernel/hostname", old), 0);
	CHECK_EQ(write_text("/proc/sys/kernel/randomize_va_space", "3"), -EINVAL);
	CHECK_EQ(write_text("/proc/sys/kernel/randomize_va_space", "0"), 0);
	CHECK_STR(text_of("/proc/sys/kernel/randomize_va_space"), "0\n");
	long base = random_base();
	for (int i = 0; i < 4; i++)
		CHECK_EQ(random_base(), base);
	CHECK_EQ(write_text("/proc/sys/kernel/randomize_va_space", "2"), 0);
}

/* Writes a number to a file of /proc/sys and gives what was there; -errno. */
static long change(const char *path, long to)
{
	long old = strtol(text_of(path), NULL, 10);
	char text[24];
	int r;

	snprintf(text, sizeof(text), "%ld", to);
	r = write_text(path, text);
	return r < 0 ? r : old;
}

/* What is set holds for what comes after; in a place of its own, as above. */
TEST(limits_that_act)
{
	int files[80], pipes[2], n = 0, extra;
	long old;
	struct utsname u;
	pid_t pid;
	void *p;

	REQUIRE(uname(&u) == 0);
	if (!strstr(u.version, "Bailey"))
		SKIP("not inside");
	if (getuid() != 0) {
		CHECK_EQ(change("/proc/sys/fs/inotify/max_user_instances", 3), -EACCES);
		CHECK_EQ(change("/proc/sys/kernel/ns_last_pid", 1000), -EPERM);
		return;
	}
	old = change("/proc/sys/fs/inotify/max_user_instances", 3);
	CHECK(old > 3);
	while (n < 80 && (files[n] = inotify_init()) >= 0)
		n++;
	CHECK_EQ(n, 3);
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(change("/proc/sys/fs/inotify/max_user_instances", old), 3);
	CHECK((extra = inotify_init()) >= 0);
	close(extra);
	while (n)
		close(files[--n]);
	CHECK_EQ(change("/proc/sys/fs/inotify/max_user_instances", -1), -EINVAL);

	/* Rounded up to a power of two of pages; it binds those without privileges. */
	old = change("/proc/sys/fs/pipe-max-size", 9000);
	CHECK_STR(text_of("/proc/sys/fs/pipe-max-size"), "16384\n");
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setresuid(65534, 65534, 65534) == 0);
		REQUIRE(pipe(pipes) == 0);
		CHECK_ERR(fcntl(pipes[0], F_SETPIPE_SZ, 1 << 17), EPERM);
		CHECK_EQ(fcntl(pipes[0], F_SETPIPE_SZ, 1 << 14), 1 << 14);
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(change("/proc/sys/fs/pipe-max-size", old), 16384);
	CHECK_EQ(change("/proc/sys/fs/pipe-max-size", 4095), -EINVAL);

	/* The next process has the next free number. */
	CHECK(change("/proc/sys/kernel/ns_last_pid", 20000) > 0);
	pid = h_fork();
	if (pid == 0)
		_exit(0);
	CHECK_EQ(pid, 20001);
	JOIN(pid);

	/* A descriptor beyond it is no limit of the process's, but no table holds it. */
	old = change("/proc/sys/fs/nr_open", 64);
	CHECK_ERR(dup2(2, 300), EBADF);
	CHECK_EQ(change("/proc/sys/fs/nr_open", old), 64);
	CHECK_EQ(dup2(2, 300), 300);
	CHECK_EQ(change("/proc/sys/fs/nr_open", 64), old);
	CHECK_ERR(fork(), EMFILE); /* nor a copy of one that has it */
	close(300);
	pid = h_fork();
	if (pid == 0)
		_exit(0);
	JOIN(pid);
	CHECK_EQ(change("/proc/sys/fs/nr_open", old), 64);

	old = change("/proc/sys/vm/max_map_count", 0);
	p = mmap(NULL, 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p == MAP_FAILED && errno == ENOMEM);
	CHECK_EQ(change("/proc/sys/vm/max_map_count", old), 0);

	CHECK(change("/proc/sys/vm/nr_hugepages", 5) >= 0);
	CHECK_STR(text_of("/proc/sys/vm/nr_hugepages"), "0\n"); /* there are none to be had */
	CHECK_EQ(write_text("/proc/sys/vm/drop_caches", "3"), 0);
	CHECK_EQ(write_text("/proc/sys/vm/drop_caches", "5"), -EINVAL);
	OK(access("/proc/self/stat", F_OK));
}

TEST(machine)
{
	static const struct {
		const char *path, *has;
	} files[] = {
		{"/proc/devices", "Character devices:\n  1 mem\n"}, {"/proc/devices", "\nBlock devices:\n"},
		{"/proc/partitions", "major minor  #blocks  name\n\n"}, {"/proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"},
		{"/proc/interrupts", "CPU0"}, {"/proc/interrupts", "LOC:"}, {"/proc/softirqs", "TIMER:"},
		{"/proc/vmstat", "nr_free_pages "}, {"/proc/vmstat", "\npgpgin "}, {"/proc/vmstat", "\npswpout "},
		{"/proc/meminfo", "\nMemAvailable: "}, {"/proc/meminfo", "\nCached: "}, {"/proc/meminfo", "\nSReclaimable: "},
		{"/proc/meminfo", "\nHugepagesize:       2048 kB\n"}, {"/proc/meminfo", "\nActive(anon): "},
		{"/proc/execdomains", "0-0\tLinux           \t[kernel]\n"}, {"/proc/tty/drivers", "/dev/ptmx       5       2 system\n"},
		{"/proc/filesystems", "nodev\tsysfs\n"}, {"/proc/filesystems", "nodev\tdevpts\n"},
		{"/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"}, {"/proc/key-users", "/"},
		{"/proc/stat", "\nintr "}, {"/proc/stat", "\nsoftirq "},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!CHECK(strstr(text_of(files[i].path), files[i].has) != NULL))
			h_say("  %s: %s\n", files[i].path, files[i].has);
	CHECK(read_file("/proc/diskstats", buf, sizeof(buf)) >= 0);
	CHECK(read_file("/proc/crypto", buf, sizeof(buf)) >= 0);
	CHECK(read_file("/proc/keys", buf, sizeof(buf)) >= 0);
}

/* ---- what cannot be made or changed ---- */

static void nothing_is_made_in(const char *dir)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/nonsense", dir);
	CHECK_ERR(open(name, O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK_ERR(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600), ENOENT);
	CHECK_ERR(mkdir(name, 0700), ENOENT);
	CHECK_ERR(mknod(name, S_IFIFO | 0600, 0), ENOENT);
	CHECK_ERR(mknod(name, S_IFREG | 0600, 0), ENOENT);
	CHECK_ERR(symlink("somewhere", name), ENOENT);
	CHECK_ERR(link("/proc/version", name), ENOENT);
	CHECK_ERR(unlink(name), ENOENT);
	CHECK_ERR(rmdir(name), ENOENT);
	CHECK_ERR(rename("/proc/version", name), ENOENT);
	CHECK_ERR(mkdir(dir, 0700), EEXIST);
}

TEST(nothing_is_made)
{
	static const char *const dirs[] = {"/proc", "/proc/self", "/proc/self/fd", "/proc/self/task", "/proc/sys", "/proc/sys/kernel",
					   "/proc/tty", "/proc/self/ns"};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		nothing_is_made_in(dirs[i]);
	CHECK_ERR(unlink("/proc/version"), geteuid() == 0 ? EPERM : EACCES);
	CHECK_ERR(rename("/proc/version", "/proc/uptime"), geteuid() == 0 ? EPERM : EACCES);
	CHECK_ERR(link("/proc/version", "/proc/uptime"), EEXIST);
}

/* A process's directory is immutable, and below /proc/sys the modes count for root, too. */
TEST(nobody_writes)
{
	struct stat st;

	CHECK_ERR(access("/proc/self/", W_OK), EPERM);
	CHECK_ERR(utimensat(AT_FDCWD, "/proc/self/", NULL, 0), EPERM);
	CHECK_ERR(unlink("/proc/self/stat"), EPERM);
	CHECK_ERR(rmdir("/proc/self/stat"), EPERM);
	CHECK_ERR(rmdir("/proc/self/fd"), EPERM);
	CHECK_ERR(unlink("/proc/self/fd"), EPERM);
	CHECK_ERR(open("/proc/self/", O_TMPFILE | O_RDWR, 0600), EPERM);
	CHECK_ERR(chmod("/proc/self/stat", 0777), EPERM);
	OK(lstat("/proc/self/stat", &st));
	OK(lchown("/proc/self/stat", st.st_uid, st.st_gid));
	OK(access("/proc/sys/kernel", R_OK | X_OK));
	CHECK_ERR(access("/proc/sys/kernel", W_OK), EACCES);
	CHECK_ERR(access("/proc/sys/kernel/ostype", W_OK), EACCES);
	CHECK_ERR(unlink("/proc/sys/kernel/ostype"), EACCES);
	CHECK_ERR(rmdir("/proc/sys/kernel"), EACCES);
	CHECK_ERR(truncate("/proc/sys/kernel/ostype", 0), EACCES);
	CHECK_ERR(chown("/proc/sys/kernel/ostype", 0, 0), EPERM);
	CHECK_ERR(chmod("/proc/sys/kernel/ostype", 0444), EPERM);
}

/* What tells of memory and of waiting agrees with meminfo and is in the form that programs parse. */
TEST(zones_and_pressure)
{
	static const char *const resources[] = {"/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory"};
	long long managed = 0, total;
	double avg[3];
	long long us;
	char *at;

	at = strstr(text_of("/proc/meminfo"), "MemTotal:");
	REQUIRE(at);
	total = atoll(at + 9);
	REQUIRE(!strncmp(text_of("/proc/zoneinfo"), "Node 0, zone", 12));
	CHECK(strstr(buf, "\n  pages free     ") && strstr(buf, "\n      nr_free_pages "));
	for (at = buf; (at = strstr(at, "\n        managed  ")); at++)
		managed += atoll(at + 18) * 4;
	CHECK(managed > 0 && managed < total + total / 20); /* memory that came later may be in no zone */
	for (size_t i = 0; i < 3; i++) {
		if (access(resources[i], F_OK) < 0)
			continue; /* a kernel that does not count */
		REQUIRE(sscanf(text_of(resources[i]), "some avg10=%lf avg60=%lf avg300=%lf total=%lld\n", &avg[0], &avg[1], &avg[2],
			       &us) == 4);
		at = strchr(buf, '\n');
		REQUIRE(at && sscanf(at + 1, "full avg10=%lf avg60=%lf avg300=%lf total=%lld\n", &avg[0], &avg[1], &avg[2], &us) == 4);
	}
	CHECK(!strncmp(text_of("/proc/tty/ldiscs"), "n_tty       0\n", 14));
	OK(access("/proc/tty/ldisc", F_OK));
	OK(access("/proc/driver", F_OK));
	OK(access("/proc/fs", F_OK));
	OK(access("/proc/bus", F_OK));
}
