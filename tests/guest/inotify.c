/* inotify(7): which event comes of what, in which order, and the rules of watches and queues. */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/uio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

static char got[8192];

/* The text of one event: "wd:MASK name", ";"-separated.  Cookies are shown as equal (=) or not (!) to the last one. */
static void show(const struct inotify_event *e)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{IN_ACCESS, "ACCESS"}, {IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"}, {IN_CLOSE_WRITE, "CLOSE_WRITE"},
		{IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"}, {IN_MOVED_FROM, "MOVED_FROM"},
		{IN_MOVED_TO, "MOVED_TO"}, {IN_CREATE, "CREATE"}, {IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"},
		{IN_MOVE_SELF, "MOVE_SELF"}, {IN_UNMOUNT, "UNMOUNT"}, {IN_Q_OVERFLOW, "Q_OVERFLOW"}, {IN_IGNORED, "IGNORED"},
		{IN_ISDIR, "ISDIR"},
	};
	static uint32_t cookie;
	uint32_t left = e->mask;
	char *at = got + strlen(got);
	const char *bar = "";

	at += sprintf(at, "%d:", e->wd);
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		if (!(e->mask & names[n].bit))
			continue;
		at += sprintf(at, "%s%s", bar, names[n].name);
		left &= ~names[n].bit;
		bar = "|";
	}
	if (left)
		at += sprintf(at, "|0x%x", left);
	if (e->len)
		at += sprintf(at, " %s", e->name);
	if (e->mask & IN_MOVED_FROM)
		cookie = e->cookie;
	if (e->mask & (IN_MOVED_FROM | IN_MOVED_TO))
		at += sprintf(at, " %s", e->cookie && e->cookie == cookie ? "=" : "!");
	else
		CHECK_EQ(e->cookie, 0);
	strcpy(at, ";");
}

/* All that fd has, as text. */
static const char *events(int fd)
{
	static char buf[65536] __attribute__((aligned(8)));
	ssize_t n = read(fd, buf, sizeof(buf));

	got[0] = '\0';
	for (ssize_t at = 0; at < n && strlen(got) < sizeof(got) - 400;) {
		const struct inotify_event *e = (const void *)(buf + at);

		CHECK_EQ(e->len % sizeof(*e), 0);
		show(e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return got;
}

static int new_fd(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	REQUIRE(fd >= 0);
	return fd;
}

static void touch(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0644);

	REQUIRE(fd >= 0);
	close(fd);
}

TEST(files_in_a_directory)
{
	int fd = new_fd(), f;
	char c;

	use_tmpdir();
	OK(mkdir("d", 0755));
	CHECK_EQ(inotify_add_watch(fd, "d", IN_ALL_EVENTS), 1);
	CHECK_STR(events(fd), "");
	f = open("d/a", O_CREAT | O_RDWR, 0644);
	CHECK_STR(events(fd), "1:CREATE a;1:OPEN a;");
	CHECK_EQ(write(f, "x", 1), 1);
	CHECK_EQ(write(f, "y", 1), 1);
	CHECK_STR(events(fd), "1:MODIFY a;");
	CHECK_EQ(write(f, "y", 0), 0);
	CHECK_STR(events(fd), "");
	CHECK_EQ(pread(f, &c, 1, 0), 1);
	CHECK_EQ(pread(f, &c, 1, 100), 0);
	CHECK_STR(events(fd), "1:ACCESS a;");
	OK(fchmod(f, 0600));
	CHECK_STR(events(fd), "1:ATTRIB a;");
	OK(fchown(f, (uid_t)-1, getgid()));
	CHECK_STR(events(fd), "1:ATTRIB a;");
	OK(ftruncate(f, 10));
	CHECK_STR(events(fd), "1:MODIFY a;");
	OK(posix_fallocate(f, 0, 4096));
	CHECK_STR(events(fd), "1:MODIFY a;");
	OK(futimens(f, NULL));
	CHECK_STR(events(fd), "1:ATTRIB a;");
	OK(utimensat(AT_FDCWD, "d/a", (struct timespec[2]){{1, 0}, {0, UTIME_OMIT}}, 0));
	CHECK_STR(events(fd), "1:ACCESS a;");
	OK(utimensat(AT_FDCWD, "d/a", (struct timespec[2]){{0, UTIME_OMIT}, {1, 0}}, 0));
	CHECK_STR(events(fd), "1:MODIFY a;");
	close(f);
	CHECK_STR(events(fd), "1:CLOSE_WRITE a;");
	f = open("d/a", O_RDONLY);
	close(f);
	CHECK_STR(events(fd), "1:OPEN a;1:CLOSE_NOWRITE a;");
	f = open("d/a", O_PATH);
	close(f);
	CHECK_STR(events(fd), "");
	f = open("d/a", O_WRONLY | O_TRUNC);
	close(f);
	CHECK_STR(events(fd), "1:OPEN a;1:MODIFY a;1:CLOSE_WRITE a;");
	OK(truncate("d/a", 3));
	CHECK_STR(events(fd), "1:MODIFY a;");
	OK(chmod("d", 0700));
	CHECK_STR(events(fd), "1:ATTRIB|ISDIR;");
	OK(unlink("d/a"));
	CHECK_STR(events(fd), "1:DELETE a;");
	OK(rmdir("d"));
	CHECK_STR(events(fd), "1:DELETE_SELF;1:IGNORED;");
	CHECK_ERR(inotify_rm_watch(fd, 1), EINVAL);
	close(fd);
}

TEST(names)
{
	int fd = new_fd();

	use_tmpdir();
	OK(mkdir("n", 0755));
	CHECK_EQ(inotify_add_watch(fd, "n", IN_ALL_EVENTS), 1);
	OK(mkdir("n/sub", 0755));
	CHECK_STR(events(fd), "1:CREATE|ISDIR sub;");
	OK(symlink("x", "n/l"));
	CHECK_STR(events(fd), "1:CREATE l;");
	OK(mkfifo("n/f", 0600));
	CHECK_STR(events(fd), "1:CREATE f;");
	OK(link("n/f", "n/g"));
	CHECK_STR(events(fd), "1:CREATE g;");
	OK(rename("n/f", "n/h"));
	CHECK_STR(events(fd), "1:MOVED_FROM f =;1:MOVED_TO h =;");
	OK(rename("n/sub", "n/dir"));
	CHECK_STR(events(fd), "1:MOVED_FROM|ISDIR sub =;1:MOVED_TO|ISDIR dir =;");
	OK(rename("n/h", "n/g"));  /* the same file */
	CHECK_STR(events(fd), "");
	OK(rename("n/l", "l"));
	CHECK_STR(events(fd), "1:MOVED_FROM l =;");
	OK(rename("l", "n/l2"));
	CHECK_STR(events(fd), "1:MOVED_TO l2 !;");
	OK(renameat2(AT_FDCWD, "n/l2", AT_FDCWD, "n/dir", RENAME_EXCHANGE));
	CHECK_STR(events(fd), "1:MOVED_FROM l2 =;1:MOVED_TO dir =;1:MOVED_FROM|ISDIR dir =;1:MOVED_TO|ISDIR l2 =;");
	OK(unlink("n/dir"));
	OK(rmdir("n/l2"));
	CHECK_STR(events(fd), "1:DELETE dir;1:DELETE|ISDIR l2;");
	CHECK_ERR(mkdir("n/g", 0755), EEXIST);
	CHECK_ERR(rmdir("n/nothing"), ENOENT);
	CHECK_STR(events(fd), "");
	close(fd);
}

TEST(the_file_itself)
{
	int fd = new_fd(), dir, file, f;

	use_tmpdir();
	OK(mkdir("s", 0755));
	touch("s/a");
	dir = inotify_add_watch(fd, "s", IN_ALL_EVENTS);
	file = inotify_add_watch(fd, "s/a", IN_ALL_EVENTS);
	CHECK_EQ(dir, 1);
	CHECK_EQ(file, 2);
	f = open("s/a", O_RDONLY);
	CHECK_STR(events(fd), "1:OPEN a;2:OPEN;");
	OK(link("s/a", "s/b"));
	CHECK_STR(events(fd), "2:ATTRIB;1:CREATE b;");
	OK(rename("s/a", "s/c"));
	CHECK_STR(events(fd), "1:MOVED_FROM a =;1:MOVED_TO c =;2:MOVE_SELF;");
	OK(unlink("s/b"));
	CHECK_STR(events(fd), "2:ATTRIB;1:DELETE b;");
	OK(unlink("s/c"));
	CHECK_STR(events(fd), "2:ATTRIB;1:DELETE c;");
	OK(fchmod(f, 0600));
	CHECK_STR(events(fd), "1:ATTRIB c;2:ATTRIB;");
	close(f);
	CHECK_STR(events(fd), "1:CLOSE_NOWRITE c;2:CLOSE_NOWRITE;2:DELETE_SELF;2:IGNORED;");

	touch("s/a");
	touch("s/b");
	events(fd);
	CHECK_EQ(inotify_add_watch(fd, "s/a", IN_ALL_EVENTS), 3);
	OK(rename("s/b", "s/a"));
	CHECK_STR(events(fd), "1:MOVED_FROM b =;1:MOVED_TO a =;3:ATTRIB;3:DELETE_SELF;3:IGNORED;");
	CHECK_EQ(inotify_add_watch(fd, "s/a", IN_ALL_EVENTS), 4);
	OK(unlink("s/a"));
	CHECK_STR(events(fd), "4:ATTRIB;4:DELETE_SELF;4:IGNORED;1:DELETE a;");
	OK(mkdir("s/d", 0755));
	events(fd);
	CHECK_EQ(inotify_add_watch(fd, "s/d", IN_ALL_EVENTS), 5);
	OK(rename("s/d", "s/e"));
	CHECK_STR(events(fd), "1:MOVED_FROM|ISDIR d =;1:MOVED_TO|ISDIR e =;5:MOVE_SELF;");
	f = open("s/e", O_RDONLY | O_DIRECTORY);
	CHECK_STR(events(fd), "1:OPEN|ISDIR e;5:OPEN|ISDIR;");
	close(f);
	CHECK_STR(events(fd), "1:CLOSE_NOWRITE|ISDIR e;5:CLOSE_NOWRITE|ISDIR;");
	OK(rmdir("s/e"));
	CHECK_STR(events(fd), "5:DELETE_SELF;5:IGNORED;1:DELETE|ISDIR e;");
	close(fd);
}

TEST(two_watchers)
{
	int a = new_fd(), b = new_fd();

	use_tmpdir();
	touch("two");
	CHECK_EQ(inotify_add_watch(a, "two", IN_OPEN), 1);
	CHECK_EQ(inotify_add_watch(b, "two", IN_CLOSE), 1);
	touch("two");
	CHECK_STR(events(a), "1:OPEN;");
	CHECK_STR(events(b), "1:CLOSE_WRITE;");
	close(a);
	touch("two");
	CHECK_STR(events(b), "1:CLOSE_WRITE;");
	close(b);
}

TEST(masks)
{
	int fd = new_fd(), wd;

	use_tmpdir();
	touch("m");
	OK(symlink("m", "ml"));
	OK(mkdir("md", 0755));
	CHECK_EQ(wd = inotify_add_watch(fd, "m", IN_OPEN), 1);
	CHECK_EQ(inotify_add_watch(fd, "m", IN_CLOSE), wd); /* replaces */
	touch("m");
	CHECK_STR(events(fd), "1:CLOSE_WRITE;");
	CHECK_EQ(inotify_add_watch(fd, "m", IN_OPEN | IN_MASK_ADD), wd);
	touch("m");
	CHECK_STR(events(fd), "1:OPEN;1:CLOSE_WRITE;");
	CHECK_ERR(inotify_add_watch(fd, "m", IN_OPEN | IN_MASK_CREATE), EEXIST);
	CHECK_ERR(inotify_add_watch(fd, "m", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
	CHECK_EQ(inotify_add_watch(fd, "ml", IN_OPEN), wd); /* through the link */
	CHECK_EQ(inotify_add_watch(fd, "ml", IN_OPEN | IN_DONT_FOLLOW), 2);
	CHECK_ERR(inotify_add_watch(fd, "m", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	CHECK_EQ(inotify_add_watch(fd, "md", IN_OPEN | IN_ONLYDIR), 3);
	CHECK_ERR(inotify_add_watch(fd, "m", 0), EINVAL);
	CHECK_ERR(inotify_add_watch(fd, "m", 1u << 20), EINVAL);
	CHECK_ERR(inotify_add_watch(fd, "m", IN_OPEN | 1u << 20), EINVAL);
	CHECK_ERR(inotify_add_watch(fd, "nothing", IN_OPEN), ENOENT);
	CHECK_ERR(inotify_add_watch(fd, "", IN_OPEN), ENOENT);
	CHECK_ERR(inotify_add_watch(fd, (char *)8, IN_OPEN), EFAULT);
	CHECK_ERR(inotify_add_watch(-1, "m", IN_OPEN), EBADF);
	CHECK_ERR(inotify_add_watch(1, "m", IN_OPEN), EINVAL);
	CHECK_ERR(inotify_rm_watch(1, 1), EINVAL);
	CHECK_ERR(inotify_rm_watch(-1, 1), EBADF);
	CHECK_ERR(inotify_rm_watch(fd, 77), EINVAL);
	CHECK_ERR(inotify_rm_watch(fd, -1), EINVAL);
	CHECK_ERR(inotify_init1(1), EINVAL);
	OK(inotify_rm_watch(fd, 2));
	CHECK_STR(events(fd), "2:IGNORED;");
	CHECK_EQ(inotify_add_watch(fd, "ml", IN_OPEN | IN_DONT_FOLLOW), 4); /* numbers are not used again at once */
	close(fd);
}

TEST(unreadable)
{
	use_tmpdir();
	touch("u");
	OK(chmod("u", 0200));
	if (geteuid() == 0)
		SKIP("root may read all");
	int fd = new_fd();

	CHECK_ERR(inotify_add_watch(fd, "u", IN_OPEN), EACCES);
	close(fd);
}

TEST(oneshot_and_excl_unlink)
{
	int fd = new_fd(), f;

	use_tmpdir();
	OK(mkdir("o", 0755));
	touch("o/a");
	CHECK_EQ(inotify_add_watch(fd, "o/a", IN_ALL_EVENTS | IN_ONESHOT), 1);
	touch("o/a");
	CHECK_STR(events(fd), "1:OPEN;1:IGNORED;");
	CHECK_EQ(inotify_add_watch(fd, "o", IN_ALL_EVENTS | IN_EXCL_UNLINK), 2);
	f = open("o/a", O_RDWR);
	OK(unlink("o/a"));
	CHECK_STR(events(fd), "2:OPEN a;2:DELETE a;");
	CHECK_EQ(write(f, "x", 1), 1);
	close(f);
	CHECK_STR(events(fd), "");
	f = open("o/b", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(inotify_add_watch(fd, "o", IN_ALL_EVENTS), 2); /* the flag went with the old mask */
	OK(unlink("o/b"));
	CHECK_EQ(write(f, "x", 1), 1);
	close(f);
	CHECK_STR(events(fd), "2:CREATE b;2:OPEN b;2:DELETE b;2:MODIFY b;2:CLOSE_WRITE b;");
	close(fd);
}

TEST(directory_read)
{
	int fd = new_fd(), d;
	char buf[1024];

	use_tmpdir();
	OK(mkdir("r", 0755));
	CHECK_EQ(inotify_add_watch(fd, "r", IN_ALL_EVENTS), 1);
	d = open("r", O_RDONLY | O_DIRECTORY);
	CHECK(syscall(SYS_getdents64, d, buf, sizeof(buf)) > 0);
	close(d);
	CHECK_STR(events(fd), "1:OPEN|ISDIR;1:ACCESS|ISDIR;1:CLOSE_NOWRITE|ISDIR;");
	close(fd);
}

TEST(attributes_and_copies)
{
	int fd = new_fd(), a, b;

	use_tmpdir();
	write_file("ca", "hello", 5, 0644);
	touch("cb");
	a = open("ca", O_RDONLY);
	b = open("cb", O_RDWR);
	CHECK_EQ(inotify_add_watch(fd, "ca", IN_ALL_EVENTS), 1);
	CHECK_EQ(inotify_add_watch(fd, "cb", IN_ALL_EVENTS), 2);
	CHECK_EQ(sendfile(b, a, NULL, 5), 5);
	CHECK(!strcmp(events(fd), "1:ACCESS;2:MODIFY;") || !strcmp(got, "2:MODIFY;1:ACCESS;"));
	if (setxattr("cb", "user.x", "1", 1, 0) == 0) {
		CHECK_STR(events(fd), "2:ATTRIB;");
		OK(removexattr("cb", "user.x"));
		CHECK_STR(events(fd), "2:ATTRIB;");
	}
	close(a);
	close(b);
	close(fd);
}

TEST(reading)
{
	char buf[64] __attribute__((aligned(8)));
	struct pollfd p;
	int fd = new_fd(), n;

	use_tmpdir();
	OK(mkdir("q", 0755));
	p = (struct pollfd){.fd = fd, .events = POLLIN};
	CHECK_EQ(inotify_add_watch(fd, "q", IN_CREATE), 1);
	CHECK_ERR(read(fd, buf, sizeof(buf)), EAGAIN);
	CHECK_ERR(write(fd, buf, sizeof(buf)), EBADF);
	CHECK_EQ(poll(&p, 1, 0), 0);
	OK(mkdir("q/1234567890123456", 0755)); /* 16 bytes and a NUL: 32 */
	OK(mkdir("q/b", 0755));
	CHECK_EQ(poll(&p, 1, 0), 1);
	OK(ioctl(fd, FIONREAD, &n));
	CHECK_EQ(n, 16 + 32 + 16 + 16);
	CHECK_ERR(read(fd, buf, 47), EINVAL);
	CHECK_EQ(read(fd, buf, 64), 48); /* whole events only */
	CHECK_EQ(((struct inotify_event *)(void *)buf)->len, 32);
	for (int i = 16 + 16; i < 48; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_ERR(read(fd, (void *)8, 64), EFAULT);
	CHECK_ERR(ioctl(fd, TCGETS, buf), ENOTTY);
	close(fd);
}

TEST(reader_blocks)
{
	int fd = inotify_init();
	pid_t pid;

	use_tmpdir();
	OK(mkdir("w", 0755));
	CHECK_EQ(inotify_add_watch(fd, "w", IN_CREATE), 1);
	pid = h_fork();
	if (pid == 0) {
		CHECK_STR(events(fd), "1:CREATE x;");
		child_exit();
	}
	CHECK(h_wait_state(pid, "S"));
	touch("w/x");
	JOIN(pid);
	close(fd);
}

static long limit(const char *name)
{
	char path[128], buf[64];

	snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
	return read_file(path, buf, sizeof(buf)) > 0 ? atol(buf) : -1;
}

TEST(overflow)
{
	long max = limit("max_queued_events"), count = 0, overflows = 0;
	static char buf[1 << 16] __attribute__((aligned(8)));
	int fd = new_fd(), f;
	ssize_t n;

	use_tmpdir();
	REQUIRE(max > 0);
	if (max > 20000)
		SKIP("the queue is long here");
	touch("over");
	CHECK_EQ(inotify_add_watch(fd, "over", IN_OPEN | IN_CLOSE), 1);
	f = open(".", O_PATH);
	for (long i = 0; i < max / 2 + 10; i++)
		close(openat(f, "over", O_RDONLY));
	close(f);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			count++;
			if (e->mask & IN_Q_OVERFLOW) {
				overflows++;
				CHECK_EQ(e->wd, -1);
				CHECK_EQ(e->len, 0);
			}
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	CHECK_EQ(count, max + 1);
	CHECK_EQ(overflows, 1);
	close(open("over", O_RDONLY)); /* there is room again */
	CHECK_STR(events(fd), "1:OPEN;1:CLOSE_NOWRITE;");
	close(fd);
}

TEST(limits_and_fdinfo)
{
	char path[64], buf[1024], want[64];
	int fd = new_fd();
	struct stat st;

	use_tmpdir();
	touch("i");
	OK(stat("i", &st));
	CHECK(limit("max_user_watches") > 0);
	CHECK(limit("max_user_instances") > 0);
	CHECK_EQ(inotify_add_watch(fd, "i", IN_OPEN | IN_ONESHOT), 1);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	REQUIRE(read_file(path, buf, sizeof(buf)) > 0);
	snprintf(want, sizeof(want), "inotify wd:1 ino:%lx sdev:", (unsigned long)st.st_ino);
	CHECK(strstr(buf, want) != NULL);
	CHECK(strstr(buf, "mask:20 ignored_mask:0") != NULL || strstr(buf, "mask:80000020 ignored_mask:0") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(readlink(path, buf, sizeof(buf)), 18);
	CHECK(!memcmp(buf, "anon_inode:inotify", 18));
	close(fd);
}

/* A mapped file, a program that is run: exec opens, reads and closes. */
TEST(executed)
{
	int fd = new_fd();
	pid_t pid;

	use_tmpdir();
	write_file("script", "#!/nonexistent\n", 15, 0755);
	CHECK_EQ(inotify_add_watch(fd, "script", IN_ALL_EVENTS), 1);
	pid = h_fork();
	if (pid == 0) {
		CHECK_ERR(execl("./script", "script", NULL), ENOENT);
		child_exit();
	}
	JOIN(pid);
	CHECK_STR(events(fd), "1:OPEN;1:ACCESS;1:CLOSE_NOWRITE;");
	close(fd);
}

/* One thread opens a file over and over while another begins and ceases to watch its directory: whatever is told names it. */
static void *opens(void *arg)
{
	const atomic_bool *stop = arg;

	while (!atomic_load(stop))
		close(open("d/the-only-name", O_RDONLY));
	return NULL;
}

static long check_names(int fd)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, buf, sizeof(buf));
	long seen = 0;

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		if (!(e->mask & IN_IGNORED))
			CHECK(e->len > 0 && strcmp(e->name, "the-only-name") == 0);
		seen++;
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return seen;
}

TEST(watched_while_it_happens)
{
	int fd = inotify_init1(IN_NONBLOCK), other = inotify_init1(0);
	pthread_t thread;
	atomic_bool stop = false;
	long seen = 0;

	use_tmpdir();
	REQUIRE(fd >= 0 && other >= 0 && mkdir("d", 0755) == 0);
	write_file("d/the-only-name", "x", 1, 0644);
	REQUIRE(inotify_add_watch(other, ".", IN_DELETE_SELF) >= 0); /* somebody watches something all the time */
	REQUIRE(pthread_create(&thread, NULL, opens, &stop) == 0);
	for (int i = 0; i < 300 || (seen < 400 && i < 100000); i++) {
		int wd = inotify_add_watch(fd, "d", IN_OPEN);

		REQUIRE(wd >= 0);
		seen += check_names(fd);
		REQUIRE(inotify_rm_watch(fd, wd) == 0);
		seen += check_names(fd);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CHECK(seen >= 300);
	CHECK_EQ(unlink("d/the-only-name") || rmdir("d"), 0);
	close(other);
	close(fd);
}

/* What was looked for in a directory and is not there does not keep it. */
TEST(removed_after_names_were_looked_for)
{
	int fd = new_fd();

	use_tmpdir();
	OK(mkdir("looked", 0755));
	OK(mkdir("replaces", 0755));
	CHECK_EQ(inotify_add_watch(fd, "looked", IN_DELETE_SELF), 1);
	CHECK_ERR(access("looked/nothing", F_OK), ENOENT);
	OK(rmdir("looked"));
	CHECK_STR(events(fd), "1:DELETE_SELF;1:IGNORED;");
	OK(mkdir("looked", 0755));
	CHECK_EQ(inotify_add_watch(fd, "looked", IN_DELETE_SELF), 2);
	CHECK_ERR(access("looked/nothing", F_OK), ENOENT);
	OK(rename("replaces", "looked"));
	CHECK_STR(events(fd), "2:DELETE_SELF;2:IGNORED;");
	OK(rmdir("looked"));
	close(fd);
}

/* An event that does not fit the first piece is not read into the next. */
TEST(read_by_piece)
{
	int fd = new_fd();
	char buf[256];
	const struct iovec small[2] = {{buf, 8}, {buf + 8, 200}}, none[2] = {{buf, 0}, {buf, 200}},
			   big[2] = {{buf, 32}, {buf + 32, 200}};

	use_tmpdir();
	OK(mkdir("piece", 0755));
	CHECK_EQ(inotify_add_watch(fd, "piece", IN_CREATE), 1);
	touch("piece/a");
	CHECK_ERR(readv(fd, small, 2), EINVAL);
	CHECK_ERR(readv(fd, none, 2), EINVAL);
	touch("piece/b");
	CHECK_EQ(readv(fd, big, 2), 64);
	close(fd);
}
