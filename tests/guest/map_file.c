/* Mappings of files that come and go: whose bytes they show, what becomes of them, and that they take no descriptor with them. */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul

static sigjmp_buf out;

static void on_fault(int sig)
{
	siglongjmp(out, sig);
}

/* The signal that reading gives, or 0. */
static int reading(const volatile char *p)
{
	int sig;

	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	sig = sigsetjmp(out, 1);
	if (sig == 0)
		(void)*p;
	return sig;
}

/* A file of so many pages, each full of the next character. */
static int make(const char *name, char c, int pages)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	char page[PAGE];

	REQUIRE(fd >= 0);
	for (int i = 0; i < pages; i++) {
		memset(page, c + i, PAGE);
		REQUIRE(write(fd, page, PAGE) == PAGE);
	}
	return fd;
}

static char *map(int fd, int prot, off_t off)
{
	char *p = mmap(NULL, PAGE, prot, MAP_PRIVATE, fd, off);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static char *map_named(const char *name, off_t off)
{
	int fd = open(name, O_RDONLY);
	char *p;

	REQUIRE(fd >= 0);
	p = map(fd, PROT_READ, off);
	close(fd);
	return p;
}

/* How many descriptors there are, the one that is used to look not among them. */
static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -1;

	REQUIRE(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(one_after_the_other)
{
	char name[16], *p[50];

	use_tmpdir();
	for (int i = 0; i < 50; i++) {
		sprintf(name, "f%d", i);
		close(make(name, (char)(' ' + i), 2));
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 50; i++) {
			sprintf(name, "f%d", i);
			p[i] = map_named(name, round % 2 ? (off_t)PAGE : 0);
		}
		for (int i = 0; i < 50; i++) {
			CHECK_EQ(p[i][PAGE - 1], ' ' + i + round % 2);
			OK(munmap(p[i], PAGE));
			CHECK_EQ(reading(p[i]), SIGSEGV);
		}
	}
}

/* As a dynamic linker does it. */
TEST(pieces_of_one)
{
	int fd, prots[] = {PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_NONE};
	char *p;

	use_tmpdir();
	fd = make("f", 'a', 8);
	p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(p != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		CHECK(mmap(p + 2 * i * PAGE, PAGE, prots[i], MAP_PRIVATE | MAP_FIXED, fd, (off_t)(7 - i) * (off_t)PAGE) ==
		      p + 2 * i * PAGE);
	close(fd);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(p[(2 * i + 1) * PAGE], 'a' + 2 * i + 1);
		if (i < 3)
			CHECK_EQ(p[2 * i * PAGE], 'a' + 7 - i);
		else
			CHECK_EQ(reading(p + 2 * i * PAGE), SIGSEGV);
	}
	OK(munmap(p, 8 * PAGE));
}

/* A file that is not in memory: this program's own. */
TEST(itself)
{
	static const char elf[] = "\177ELF";

	for (int i = 0; i < 20; i++) {
		char *p = map_named(h_self, 0), *q = map_named(h_self, PAGE), bytes[PAGE];
		int fd = open(h_self, O_RDONLY);

		CHECK_EQ(memcmp(p, elf, 4), 0);
		CHECK(pread(fd, bytes, PAGE, PAGE) == PAGE && memcmp(q, bytes, PAGE) == 0);
		close(fd);
		OK(munmap(p, PAGE));
		OK(munmap(q, PAGE));
	}
}

TEST(another_by_that_name)
{
	char *old, *new;

	use_tmpdir();
	close(make("f", 'a', 1));
	close(make("g", 'p', 1));
	old = map_named("f", 0);
	OK(rename("g", "f"));
	new = map_named("f", 0);
	CHECK_EQ(old[0], 'a');
	CHECK_EQ(new[0], 'p');
	OK(unlink("f"));
	CHECK_EQ(old[1], 'a');
	CHECK_EQ(new[1], 'p');
	CHECK_ERR(open("f", O_RDONLY), ENOENT);
	close(make("f", 'x', 1));
	munmap(old, PAGE);
	old = map_named("f", 0);
	CHECK_EQ(old[0], 'x');
	CHECK_EQ(new[0], 'p');
	munmap(old, PAGE);
	munmap(new, PAGE);
}

TEST(shorter_and_longer)
{
	int fd;
	char *p, *q;

	use_tmpdir();
	fd = make("f", 'a', 3);
	p = map(fd, PROT_READ, 2 * PAGE);
	CHECK_EQ(p[0], 'c');
	OK(ftruncate(fd, PAGE));
	CHECK_EQ(reading(p), SIGBUS);
	q = map(fd, PROT_READ, PAGE); /* beyond the end already */
	CHECK_EQ(reading(q), SIGBUS);
	OK(ftruncate(fd, 3 * PAGE));
	CHECK_EQ(p[0], 0);
	CHECK(pwrite(fd, "z", 1, PAGE) == 1);
	CHECK_EQ(q[0], 'z');
	close(fd);
	munmap(p, PAGE);
	munmap(q, PAGE);
}

TEST(written_to_privately)
{
	int fd, ro;
	char *p, *q, c;

	use_tmpdir();
	fd = make("f", 'a', 1);
	ro = open("f", O_RDONLY);
	p = map(ro, PROT_READ | PROT_WRITE, 0);
	q = map(ro, PROT_READ, 0);
	memset(p, '!', PAGE);
	CHECK_EQ(q[0], 'a');
	CHECK(pread(fd, &c, 1, 0) == 1 && c == 'a');
	OK(mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	q[1] = '?';
	CHECK(pread(fd, &c, 1, 1) == 1 && c == 'a');
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0), EACCES);
	munmap(p, PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK(pwrite(fd, "s", 1, 0) == 1);
	CHECK_EQ(p[0], 's');
	munmap(p, PAGE);
	/* Shared and private mappings in turns. */
	for (int i = 0; i < 20; i++) {
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		munmap(q, PAGE);
		q = map(ro, PROT_READ | PROT_WRITE, 0);
		q[2] = '#';
		p[0] = (char)i;
		CHECK(pread(fd, &c, 1, 0) == 1 && c == (char)i);
		CHECK(pread(fd, &c, 1, 2) == 1 && c == 'a');
		munmap(p, PAGE);
	}
	munmap(q, PAGE);
	close(fd);
	close(ro);
}

TEST(refused)
{
	int wo, dir, p[2];

	use_tmpdir();
	close(make("f", 'a', 1));
	wo = open("f", O_WRONLY);
	dir = open(".", O_RDONLY);
	OK(pipe(p));
	for (int i = 0; i < 10; i++) {
		char *m;

		CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0), EACCES);
		CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
		CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
		CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 1000, 0), EBADF);
		m = map_named("f", 0);
		CHECK_EQ(m[0], 'a');
		munmap(m, PAGE);
	}
	close(wo);
	close(dir);
	close(p[0]);
	close(p[1]);
}

TEST(no_descriptors)
{
	struct rlimit was, limit;
	int before, fd;
	char *p, *q;

	use_tmpdir();
	fd = make("f", 'a', 2);
	before = descriptors();
	p = map(fd, PROT_READ, 0);
	CHECK_EQ(descriptors(), before);
	/* Not one more can be opened: a mapping needs none. */
	OK(getrlimit(RLIMIT_NOFILE, &was));
	limit = was;
	limit.rlim_cur = (rlim_t)fd + 1;
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	q = map(fd, PROT_READ, PAGE);
	CHECK_EQ(q[0], 'b');
	CHECK(dup(fd) < 0 || before <= fd); /* there may have been a gap below */
	OK(setrlimit(RLIMIT_NOFILE, &was));
	close(fd);
	CHECK_EQ(descriptors(), before - 1);
	CHECK_EQ(open("f", O_RDONLY), fd);
	close(fd);
	CHECK_EQ(p[0], 'a');
	munmap(p, PAGE);
	munmap(q, PAGE);
}

/* ---- other processes ---- */

/* A program that has just begun: no file is there but its own. */
ROLE(argc, argv)
{
	static char buf[65536];

	if (argc < 1 || read_file("/proc/self/maps", buf, sizeof(buf)) <= 0 || strstr(buf, "secret"))
		return 66;
	for (int fd = 3; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 67;
	for (int i = 0; i < 10; i++) {
		char *p = map_named(argv[argc - 1], 0);

		if (p[0] != 'n')
			return 68;
		munmap(p, PAGE);
	}
	return 0;
}

TEST(exec)
{
	use_tmpdir();
	close(make("secret", 'a', 1));
	close(make("next", 'n', 1));
	for (int round = 0; round < 10; round++) {
		char *p = map_named("secret", 0);
		pid_t pid = h_fork();

		CHECK_EQ(p[0], 'a');
		if (pid == 0) {
			char *argv[] = {"x", "@role", "next", NULL};

			if (round % 2)
				munmap(map_named("secret", 0), PAGE);
			closefrom(3);
			execv(h_self, argv);
			_exit(1);
		}
		CHECK_EQ(h_wait(pid), 0);
		munmap(p, PAGE);
	}
}

TEST(parent_and_child)
{
	int fd, other;
	pid_t pid;
	char *p, *q;

	use_tmpdir();
	fd = make("f", 'a', 2);
	other = make("g", 'p', 2);
	p = map(fd, PROT_READ | PROT_WRITE, 0);
	p[0] = '1';
	pid = h_fork();
	q = map(pid == 0 ? other : fd, PROT_READ, PAGE);
	if (pid == 0) {
		CHECK_EQ(p[0], '1');
		CHECK_EQ(p[1], 'a');
		CHECK_EQ(q[0], 'q');
		p[0] = '2';
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(p[0], '1');
	CHECK_EQ(q[0], 'b');
	munmap(p, PAGE);
	munmap(q, PAGE);
	close(fd);
	close(other);
}

static _Atomic bool stop;

static void *mapper(void *arg)
{
	const char *name = arg;

	while (!stop) {
		char *p = map_named(name, 0);

		CHECK_EQ(p[0], name[0]);
		munmap(p, PAGE);
	}
	return NULL;
}

/* Children that are born while threads of their parent map files. */
TEST(threads_and_children)
{
	char names[3][2] = {"b", "c", "d"};
	pthread_t t[3];

	use_tmpdir();
	close(make("a", 'a', 1));
	for (int i = 0; i < 3; i++) {
		close(make(names[i], names[i][0], 1));
		REQUIRE(pthread_create(&t[i], NULL, mapper, names[i]) == 0);
	}
	for (int i = 0; i < 50; i++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			for (int j = 0; j < 3; j++) {
				char *p = map_named("a", 0);

				CHECK_EQ(p[0], 'a');
				munmap(p, PAGE);
			}
			child_exit();
		}
		JOIN(pid);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}
