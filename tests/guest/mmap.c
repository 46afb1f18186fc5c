/* Memory mappings: placement, sharing, protection, holes, files, brk, and what /proc/self/maps says of them. */
#include "harness.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096ul
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static sigjmp_buf out;
static volatile int fault_sig, fault_code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	fault_sig = sig;
	fault_code = info->si_code;
	siglongjmp(out, 1);
}

static void catch_faults(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* The signal that an access gives, or 0. */
static int reading(const volatile char *p)
{
	catch_faults();
	if (sigsetjmp(out, 1))
		return fault_sig;
	(void)*p;
	return 0;
}

static int writing(volatile char *p)
{
	catch_faults();
	if (sigsetjmp(out, 1))
		return fault_sig;
	*p = 'w';
	return 0;
}

static char *anon(size_t len, int prot)
{
	char *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* A file without a name, its first page full of 'a', its second of 'b', ... */
static int temp_file(size_t len)
{
	char name[] = "mXXXXXX", page[PAGE];
	int fd;

	use_tmpdir();
	fd = mkstemp(name);
	REQUIRE(fd >= 0 && unlink(name) == 0);
	for (size_t at = 0; at < len; at += PAGE) {
		size_t n = len - at < PAGE ? len - at : PAGE;

		memset(page, (int)('a' + at / PAGE), n);
		REQUIRE(write(fd, page, n) == (ssize_t)n);
	}
	return fd;
}

/* The line of /proc/self/maps that holds addr, as permissions; "" if there is none. */
static const char *perms_of(const void *addr, unsigned long *start, unsigned long *end)
{
	static char buf[65536], perms[8];
	unsigned long s, e;

	REQUIRE(read_file("/proc/self/maps", buf, sizeof(buf)) > 0);
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx %7s", &s, &e, perms) == 3 && (uintptr_t)addr >= s && (uintptr_t)addr < e) {
			if (start)
				*start = s;
			if (end)
				*end = e;
			return perms;
		}
	return "";
}

TEST(anonymous)
{
	char *p = anon(10 * PAGE, PROT_READ | PROT_WRITE);

	CHECK_EQ((uintptr_t)p % PAGE, 0);
	for (size_t i = 0; i < 10 * PAGE; i += 512)
		CHECK(p[i] == 0);
	memset(p, 1, 10 * PAGE);
	CHECK_STR(perms_of(p, NULL, NULL), "rw-p");
	OK(munmap(p, 10 * PAGE));
	CHECK_EQ(reading(p), SIGSEGV);
	CHECK_STR(perms_of(p, NULL, NULL), "");
	p = anon(10, PROT_READ | PROT_WRITE); /* rounded up to a page */
	p[PAGE - 1] = 1;
	OK(munmap(p, 10));
	CHECK_EQ(reading(p), SIGSEGV);
}

TEST(errors)
{
	int fd = temp_file(PAGE), ro;
	char *p = anon(PAGE, PROT_READ);

	CHECK_ERR((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
	CHECK_ERR((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
	CHECK_ERR((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
	CHECK_ERR((long)mmap((void *)100, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	CHECK_ERR((long)mmap(NULL, 1ul << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR((long)mmap(NULL, (size_t)-1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR((long)mmap((void *)0x7ffffffff000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
	write_file("ro", "x", 1, 0644);
	ro = open("ro", O_RDONLY);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0), EACCES);
	char *priv = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);
	CHECK(priv != MAP_FAILED && writing(priv) == 0);
	char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK_ERR(mprotect(shared, PAGE, PROT_READ | PROT_WRITE), EACCES);
	close(ro);
	ro = open("ro", O_WRONLY);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ro, 0), EACCES);
	close(ro);
	ro = open(".", O_RDONLY);
	CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ro, 0), ENODEV);
	close(ro);
	CHECK_ERR(munmap(p + 1, PAGE), EINVAL);
	CHECK_ERR(munmap(p, 0), EINVAL);
	CHECK_ERR(munmap((void *)0x7ffffffff000, PAGE * 2), EINVAL);
	OK(munmap(p, PAGE));
	OK(munmap(p, PAGE)); /* nothing there is no error */
	CHECK_ERR(mprotect(p, PAGE, PROT_READ), ENOMEM);
	CHECK_ERR(mprotect(p + 1, PAGE, PROT_READ), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, 0x100), EINVAL);
	OK(mprotect(p, 0, PROT_READ));
	munmap(priv, PAGE);
	munmap(shared, PAGE);
	close(fd);
}

TEST(fixed)
{
	char *p = anon(4 * PAGE, PROT_READ | PROT_WRITE), *q;

	memset(p, 'p', 4 * PAGE);
	q = mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + PAGE);
	CHECK(p[0] == 'p' && p[PAGE] == 0 && p[2 * PAGE] == 'p');
	CHECK_EQ(writing(p + PAGE), SIGSEGV);
	CHECK_ERR((long)mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_ERR((long)mmap(p + 3 * PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
		  EEXIST);
	OK(munmap(p + 2 * PAGE, PAGE));
	q = mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q == p + 2 * PAGE);
	/* A hint that is free is taken; one that is not gives another place. */
	OK(munmap(p, 4 * PAGE));
	q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q == p);
	char *r = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(r != MAP_FAILED && r != p);
	munmap(p, PAGE);
	munmap(r, PAGE);
}

TEST(holes)
{
	char *p = anon(5 * PAGE, PROT_READ | PROT_WRITE);
	unsigned long s, e;

	memset(p, 'h', 5 * PAGE);
	OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_EQ(reading(p + 2 * PAGE), SIGSEGV);
	CHECK_EQ(fault_code, SEGV_MAPERR);
	CHECK(p[2 * PAGE - 1] == 'h' && p[3 * PAGE] == 'h');
	perms_of(p + PAGE, &s, &e);
	CHECK_EQ(e, (uintptr_t)p + 2 * PAGE);
	perms_of(p + 3 * PAGE, &s, &e);
	CHECK_EQ(s, (uintptr_t)p + 3 * PAGE);
	OK(munmap(p, 5 * PAGE)); /* over the hole */
	CHECK_EQ(reading(p), SIGSEGV);
	CHECK_EQ(reading(p + 4 * PAGE), SIGSEGV);
}

TEST(protection)
{
	char *p = anon(3 * PAGE, PROT_READ | PROT_WRITE);

	memset(p, 'x', 3 * PAGE);
	OK(mprotect(p + PAGE, PAGE, PROT_READ));
	CHECK_EQ(writing(p), 0);
	CHECK_EQ(writing(p + PAGE), SIGSEGV);
	CHECK_EQ(fault_code, SEGV_ACCERR);
	CHECK_EQ(reading(p + PAGE), 0);
	CHECK_EQ(writing(p + 2 * PAGE), 0);
	CHECK_STR(perms_of(p + PAGE, NULL, NULL), "r--p");
	OK(mprotect(p + PAGE, PAGE, PROT_NONE));
	CHECK_EQ(reading(p + PAGE), SIGSEGV);
	CHECK_STR(perms_of(p + PAGE, NULL, NULL), "---p");
	OK(mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE));
	CHECK(p[PAGE] == 'x');
	/* Up to the hole the change is made, then comes the error. */
	OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_ERR(mprotect(p, 3 * PAGE, PROT_READ), ENOMEM);
	CHECK_EQ(writing(p), SIGSEGV);
	munmap(p, 3 * PAGE);
}

TEST(execute)
{
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	char *p = anon(PAGE, PROT_READ | PROT_WRITE);

	memcpy(p, code, sizeof(code));
	OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(((int (*)(void))p)(), 42);
	CHECK_STR(perms_of(p, NULL, NULL), "r-xp");
	OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	p[1] = 43;
	CHECK_EQ(((int (*)(void))p)(), 43);
	munmap(p, PAGE);
}

TEST(private_file)
{
	int fd = temp_file(3 * PAGE);
	char c, *p;

	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
	REQUIRE(p != MAP_FAILED);
	CHECK(p[0] == 'b' && p[PAGE] == 'c');
	p[0] = 'P';
	CHECK_EQ(pread(fd, &c, 1, PAGE), 1);
	CHECK_EQ(c, 'b');
	/* A page not yet written to still shows the file's. */
	CHECK_EQ(pwrite(fd, "W", 1, 2 * PAGE), 1);
	CHECK_EQ(p[PAGE], 'W');
	close(fd); /* the mapping needs no descriptor */
	CHECK_EQ(p[0], 'P');
	CHECK_EQ(p[2 * PAGE - 1], 'c');
	munmap(p, 2 * PAGE);
}

TEST(shared_file)
{
	int fd = temp_file(2 * PAGE);
	char c, *p, *q;
	pid_t pid;

	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
	p[PAGE] = 'S';
	CHECK_EQ(q[0], 'S');
	CHECK_EQ(pread(fd, &c, 1, PAGE), 1);
	CHECK_EQ(c, 'S');
	CHECK_EQ(pwrite(fd, "F", 1, 0), 1);
	CHECK_EQ(*(volatile char *)p, 'F');
	pid = h_fork();
	if (pid == 0) {
		p[1] = 'C';
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(p[1], 'C');
	CHECK_EQ(pread(fd, &c, 1, 1), 1);
	CHECK_EQ(c, 'C');
	OK(msync(p, 2 * PAGE, MS_SYNC));
	CHECK_STR(perms_of(p, NULL, NULL), "rw-s");
	munmap(p, 2 * PAGE);
	munmap(q, PAGE);
	close(fd);
}

TEST(shared_file_of_unrelated_openings)
{
	int a, b;
	char *p, *q;

	use_tmpdir();
	write_file("both", "0123456789", 10, 0600);
	a = open("both", O_RDWR);
	b = open("both", O_RDWR);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
	REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
	p[0] = 'X';
	CHECK_EQ(*(volatile char *)q, 'X');
	munmap(p, PAGE);
	munmap(q, PAGE);
	close(a);
	close(b);
}

/* Opened for reading alone: the memory shows what others write, and never becomes writable, whatever is done to it. */
TEST(shared_but_not_writable)
{
	int fd, ro;
	volatile char *p;
	char *q, *at, *again;
	pid_t pid;

	use_tmpdir();
	write_file("shown", "0123456789", 10, 0600);
	fd = open("shown", O_RDWR);
	ro = open("shown", O_RDONLY);
	REQUIRE(ftruncate(fd, 2 * PAGE) == 0);
	at = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, ro, 0);
	q = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(at != MAP_FAILED && q != MAP_FAILED);
	p = at;
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(pwrite(fd, "b", 1, PAGE), 1);
	CHECK_EQ(p[PAGE], 'b');
	CHECK_ERR(mprotect(at, 2 * PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERR(mprotect(at + PAGE, PAGE, PROT_WRITE), EACCES);
	OK(mprotect(at, PAGE, PROT_NONE));
	OK(mprotect(at, PAGE, PROT_READ));
	CHECK_STR(perms_of(at, NULL, NULL), "r--s");
	CHECK_EQ(writing(at), SIGSEGV);
	q[0] = 'c';
	CHECK_EQ(p[0], 'c');
	again = mremap(at, 0, 2 * PAGE, MREMAP_MAYMOVE); /* a second view of shared memory */
	REQUIRE(again != MAP_FAILED && again != at);
	q[PAGE + 1] = 'd';
	CHECK_EQ(((volatile char *)again)[PAGE + 1], 'd');
	CHECK_EQ(p[PAGE + 1], 'd');
	CHECK_ERR(mprotect(again, 2 * PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK(mremap(again, 2 * PAGE, PAGE, 0) == again);
	CHECK(mremap(again, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE) == at + PAGE);
	q[1] = 'e';
	CHECK_EQ(p[PAGE + 1], 'e');
	CHECK_ERR(madvise(at, PAGE, MADV_REMOVE), EACCES);
	OK(msync(at, 2 * PAGE, MS_SYNC));
	pid = h_fork();
	if (pid == 0) {
		q[2] = 'f';
		CHECK_EQ(p[2], 'f');
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(p[2], 'f');
	OK(ftruncate(fd, 0));
	CHECK_EQ(reading(at), SIGBUS);
	CHECK_EQ(pwrite(fd, "g", 1, 0), 1);
	CHECK_EQ(p[0], 'g');
	munmap(at, 2 * PAGE);
	munmap(q, 2 * PAGE);
	close(ro);
	close(fd);
}

/* Shared zeros of a /dev/zero that is open for reading alone, and a second view of them. */
TEST(zeros_for_reading)
{
	int zero = open("/dev/zero", O_RDONLY);
	char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, zero, 0), *q;

	REQUIRE(p != MAP_FAILED);
	close(zero);
	CHECK_EQ(p[0], 0);
	q = mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	CHECK(q != p);
	CHECK_EQ(q[2 * PAGE - 1], 0);
	CHECK_ERR(mprotect(q, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK_EQ(p[0], 0); /* still there */
	CHECK_ERR(remap_file_pages(p, PAGE, 0, 1, 0), EINVAL); /* for what may be written alone */
	munmap(p, 2 * PAGE);
	munmap(q, 2 * PAGE);
}

TEST(past_the_end)
{
	int fd = temp_file(PAGE + 100);
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(p[PAGE + 99], 'b');
	CHECK_EQ(p[PAGE + 100], 0); /* the rest of the last page is zero */
	CHECK_EQ(reading(p + 2 * PAGE), SIGBUS);
	OK(ftruncate(fd, 3 * PAGE));
	CHECK_EQ(reading(p + 2 * PAGE), 0);
	OK(ftruncate(fd, PAGE));
	CHECK_EQ(reading(p + PAGE), SIGBUS);
	CHECK_EQ(reading(p), 0);
	/* A system call gets EFAULT where an access gets SIGBUS. */
	int null = open("/dev/null", O_WRONLY), zero = open("/dev/zero", O_RDONLY);
	CHECK_ERR(read(zero, p + PAGE, 10), EFAULT);
	close(null);
	close(zero);
	munmap(p, 3 * PAGE);
	close(fd);
}

TEST(fork_copies_on_write)
{
	char *p = anon(64 * PAGE, PROT_READ | PROT_WRITE);
	char *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	memset(p, 'o', 64 * PAGE);
	OK(mprotect(p + 5 * PAGE, PAGE, PROT_READ));
	pid = h_fork();
	if (pid == 0) {
		for (size_t i = 0; i < 64 * PAGE; i += PAGE)
			CHECK(p[i] == 'o');
		CHECK_EQ(writing(p + 5 * PAGE), SIGSEGV);
		memset(p, 'c', 5 * PAGE);
		OK(munmap(p + 10 * PAGE, PAGE));
		s[0] = 's';
		child_exit();
	}
	JOIN(pid);
	CHECK(p[0] == 'o' && p[10 * PAGE] == 'o');
	CHECK_EQ(s[0], 's');
	munmap(p, 64 * PAGE);
	munmap(s, PAGE);
}

TEST(dont_fork)
{
	char *p = anon(PAGE, PROT_READ | PROT_WRITE), *w = anon(PAGE, PROT_READ | PROT_WRITE);
	pid_t pid;

	p[0] = w[0] = 'x';
	OK(madvise(p, PAGE, MADV_DONTFORK));
	OK(madvise(w, PAGE, MADV_WIPEONFORK));
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(reading(p), SIGSEGV);
		CHECK_EQ(w[0], 0);
		child_exit();
	}
	JOIN(pid);
	CHECK(p[0] == 'x' && w[0] == 'x');
	munmap(p, PAGE);
	munmap(w, PAGE);
}

TEST(madvise_dontneed)
{
	int fd = temp_file(PAGE);
	char *p = anon(2 * PAGE, PROT_READ | PROT_WRITE);
	char *f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	memset(p, 'd', 2 * PAGE);
	OK(madvise(p, PAGE, MADV_DONTNEED));
	CHECK(p[0] == 0 && p[PAGE] == 'd');
	f[0] = 'Z';
	OK(madvise(f, PAGE, MADV_DONTNEED));
	CHECK_EQ(f[0], 'a');
	OK(madvise(p, PAGE, MADV_NORMAL));
	OK(madvise(p, PAGE, MADV_WILLNEED));
	CHECK_ERR(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERR(madvise(p, PAGE, 9999), EINVAL);
	munmap(p, 2 * PAGE);
	CHECK_ERR(madvise(p, PAGE, MADV_DONTNEED), ENOMEM);
	munmap(f, PAGE);
	close(fd);
}

TEST(mremap_in_place)
{
	char *p = anon(8 * PAGE, PROT_READ | PROT_WRITE), *q;

	memset(p, 'm', 8 * PAGE);
	q = mremap(p, 8 * PAGE, 4 * PAGE, 0); /* shrinks */
	CHECK(q == p);
	CHECK_EQ(reading(p + 4 * PAGE), SIGSEGV);
	q = mremap(p, 4 * PAGE, 6 * PAGE, 0); /* grows into the room */
	CHECK(q == p);
	CHECK(p[4 * PAGE - 1] == 'm' && p[5 * PAGE] == 0);
	q = mmap(p + 6 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + 6 * PAGE);
	CHECK_ERR((long)mremap(p, 6 * PAGE, 7 * PAGE, 0), ENOMEM);
	munmap(p, 7 * PAGE);
}

TEST(mremap_moves)
{
	char *p = anon(2 * PAGE, PROT_READ | PROT_WRITE), *q, *target;

	q = mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 'v', 2 * PAGE);
	char *r = mremap(p, 2 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(r != MAP_FAILED);
	CHECK(r[0] == 'v' && r[2 * PAGE - 1] == 'v' && r[2 * PAGE] == 0 && r[300 * PAGE - 1] == 0);
	if (r != p)
		CHECK_EQ(reading(p), SIGSEGV);
	target = anon(4 * PAGE, PROT_READ | PROT_WRITE);
	memset(target, 't', 4 * PAGE);
	char *f = mremap(r, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE);
	CHECK(f == target + PAGE);
	CHECK(target[0] == 't' && target[PAGE] == 'v' && target[3 * PAGE] == 't');
	CHECK_EQ(reading(r), SIGSEGV);
	CHECK_ERR((long)mremap(target, PAGE, PAGE, MREMAP_FIXED, r), EINVAL);
	CHECK_ERR((long)mremap(target + 1, PAGE, PAGE, 0), EINVAL);
	CHECK_ERR((long)mremap(target, PAGE, 0, 0), EINVAL);
	CHECK_ERR((long)mremap(target, PAGE, PAGE, 0x100), EINVAL);
	CHECK_ERR((long)mremap(target, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE), EINVAL);
	CHECK_ERR((long)mremap(p + 100 * PAGE * 1000, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	munmap(target, 4 * PAGE);
	munmap(r + 2 * PAGE, 298 * PAGE);
	munmap(q, PAGE);
}

TEST(mremap_file)
{
	int fd = temp_file(4 * PAGE);
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE), *q;

	q = mremap(p, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	CHECK(q[0] == 'b' && q[PAGE] == 'c' && q[2 * PAGE] == 'd');
	munmap(q, 3 * PAGE);
	close(fd);
}

TEST(brk)
{
	char *start = sbrk(0), *now;

	CHECK_EQ((uintptr_t)syscall(SYS_brk, 0), (uintptr_t)start);
	now = (char *)syscall(SYS_brk, start + 3 * PAGE);
	CHECK(now == start + 3 * PAGE);
	memset(start, 'b', 3 * PAGE);
	now = (char *)syscall(SYS_brk, start + PAGE);
	CHECK(now == start + PAGE);
	char *page = (char *)(((uintptr_t)start + 2 * PAGE) & ~(PAGE - 1));
	CHECK_EQ(reading(page + PAGE), SIGSEGV);
	now = (char *)syscall(SYS_brk, start + 3 * PAGE);
	CHECK(now == start + 3 * PAGE);
	CHECK_EQ(page[PAGE / 2], 0); /* comes back empty */
	CHECK_EQ((uintptr_t)syscall(SYS_brk, 8), (uintptr_t)now);      /* impossible: says where it is */
	CHECK_EQ((uintptr_t)syscall(SYS_brk, 1ul << 62), (uintptr_t)now);
	CHECK(strstr(perms_of(start + PAGE, NULL, NULL), "rw-p"));
	syscall(SYS_brk, start);
}

TEST(address_space_limit)
{
	struct rlimit lim, old;
	pid_t pid = h_fork();

	if (pid == 0) {
		getrlimit(RLIMIT_AS, &old);
		lim = old;
		lim.rlim_cur = 256 << 20;
		REQUIRE(setrlimit(RLIMIT_AS, &lim) == 0);
		CHECK_ERR((long)mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
		char *p = mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		CHECK_ERR((long)mremap(p, 100 << 20, 280 << 20, MREMAP_MAYMOVE), ENOMEM);
		child_exit();
	}
	JOIN(pid);
}

TEST(many_mappings)
{
	enum { N = 300 };
	char *p = anon(2 * N * PAGE, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < N; i++) {
		p[2 * i * PAGE] = (char)i;
		OK(mprotect(p + 2 * i * PAGE, PAGE, PROT_READ));
	}
	for (size_t i = 0; i < N; i++) {
		CHECK(p[2 * i * PAGE] == (char)i);
		CHECK(writing(p + (2 * i + 1) * PAGE) == 0);
	}
	OK(munmap(p, 2 * N * PAGE));
	CHECK_STR(perms_of(p, NULL, NULL), "");
}

TEST(huge_reservation)
{
	char *p = mmap(NULL, 1ul << 38, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	OK(mprotect(p + (1ul << 37), PAGE, PROT_READ | PROT_WRITE));
	CHECK_EQ(writing(p + (1ul << 37)), 0);
	OK(munmap(p, 1ul << 38));
}

TEST(low_addresses)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	CHECK(p != MAP_FAILED && (uintptr_t)p < 1ul << 31);
	munmap(p, PAGE);
	if (geteuid() != 0)
		CHECK_ERR((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
}

TEST(memfd)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char *p;

	REQUIRE(fd >= 0);
	CHECK_EQ(write(fd, "memory", 6), 6);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED && memcmp(p, "memory", 6) == 0);
	OK(ftruncate(fd, 0));
	CHECK_EQ(reading(p), SIGBUS);
	munmap(p, PAGE);
	close(fd);
	CHECK_ERR(memfd_create("x", 0x4000), EINVAL);
}

TEST(msync_mlock)
{
	char *p = anon(2 * PAGE, PROT_READ | PROT_WRITE);

	OK(msync(p, 2 * PAGE, MS_ASYNC));
	CHECK_ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL);
	CHECK_ERR(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	OK(mlock(p, PAGE));
	OK(munlock(p, PAGE));
	munmap(p, 2 * PAGE);
	CHECK_ERR(msync(p, PAGE, MS_SYNC), ENOMEM);
	CHECK_ERR(mlock(p, PAGE), ENOMEM);
}

TEST(mincore)
{
	unsigned char vec[2];
	char *p = anon(2 * PAGE, PROT_READ | PROT_WRITE);

	p[0] = 1;
	OK(mincore(p, PAGE, vec));
	CHECK_EQ(vec[0] & 1, 1);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	munmap(p, 2 * PAGE);
	CHECK_ERR(mincore(p, PAGE, vec), ENOMEM);
}

static void stack_page(int n)
{
	volatile char page[PAGE];

	page[0] = (char)n;
	if (n > 0)
		stack_page(n - 1);
	page[1] = page[0];
}

TEST(stack_grows)
{
	stack_page(1500); /* six of the usual eight megabytes */
}

static void *move_brk(void *arg)
{
	for (int i = 0; i < 100; i++)
		if (sbrk(PAGE) == (void *)-1 && errno != ENOMEM)
			H_FAIL("sbrk: errno %d\n", errno);
	return NULL;
}

/* libc's sbrk is not for threads, but the kernel must stay in one piece: what lies below the break is mapped. */
TEST(brk_of_two_threads)
{
	pid_t pid = h_fork();
	pthread_t t[2];
	char *start;

	if (pid) {
		JOIN(pid);
		return;
	}
	start = sbrk(0);
	for (int i = 0; i < 2; i++)
		REQUIRE(pthread_create(&t[i], NULL, move_brk, NULL) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (char *p = start, *end = (char *)syscall(SYS_brk, 0); p < end; p += PAGE)
		*p = 1;
	child_exit();
}
