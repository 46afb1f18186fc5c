/* Each limit of setrlimit(2): what it stops, with which errno or signal, and whom prlimit(2) lets set it. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/shm.h>

static void set_soft(int what, rlim_t soft)
{
	struct rlimit l;

	REQUIRE(getrlimit(what, &l) == 0);
	l.rlim_cur = soft;
	REQUIRE(setrlimit(what, &l) == 0);
}

/* As another user, without capabilities. */
static void drop_root(void)
{
	if (geteuid() == 0)
		REQUIRE(setresgid(4242, 4242, 4242) == 0 && setresuid(4242, 4242, 4242) == 0);
}

/* Runs fn in a child, which may do what it likes with its limits. */
static void in_child(void (*fn)(void))
{
	pid_t pid = h_fork();

	if (pid == 0) {
		fn();
		child_exit();
	}
	JOIN(pid);
}

static void setting_fn(void)
{
	struct rlimit l = {10, 5}, old;

	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &l), EINVAL);
	CHECK_ERR(syscall(SYS_setrlimit, 16, &l), EINVAL);
	CHECK_ERR(syscall(SYS_getrlimit, -1, &l), EINVAL);
	CHECK_ERR(syscall(SYS_setrlimit, RLIMIT_CORE, 8), EFAULT);
	CHECK_ERR(syscall(SYS_getrlimit, RLIMIT_CORE, 8), EFAULT);
	l = (struct rlimit){1 << 21, 1 << 21};
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &l), EPERM); /* more than fs.nr_open, whoever asks */
	l = (struct rlimit){100, 200};
	OK(setrlimit(RLIMIT_LOCKS, &l));
	OK(getrlimit(RLIMIT_LOCKS, &old));
	CHECK_EQ(old.rlim_cur, 100);
	CHECK_EQ(old.rlim_max, 200);
	drop_root();
	l.rlim_max = 201;
	CHECK_ERR(setrlimit(RLIMIT_LOCKS, &l), EPERM);
	l = (struct rlimit){150, 150};
	OK(setrlimit(RLIMIT_LOCKS, &l)); /* down, and the soft one up to the hard one */
	l = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	CHECK_ERR(setrlimit(RLIMIT_LOCKS, &l), EPERM);
	OK(prlimit(0, RLIMIT_LOCKS, &(struct rlimit){1, 1}, &old)); /* sets, and says what was */
	CHECK_EQ(old.rlim_cur, 150);
}

TEST(setting)
{
	in_child(setting_fn);
}

static void inherited_fn(void)
{
	struct rlimit l;

	OK(getrlimit(RLIMIT_NOFILE, &l));
	CHECK_EQ(l.rlim_cur, 33);
}

static void bequeathing_fn(void)
{
	set_soft(RLIMIT_NOFILE, 33);
	in_child(inherited_fn);
}

TEST(inheritance)
{
	in_child(bequeathing_fn);
}

static void fsize_fn(void)
{
	char buf[2000] = "";
	int fd, from, p[2];

	signal(SIGXFSZ, SIG_IGN);
	use_tmpdir();
	fd = open("limited", O_RDWR | O_CREAT | O_TRUNC, 0600);
	from = open("from", O_RDWR | O_CREAT | O_TRUNC, 0600);
	REQUIRE(fd >= 0 && write(from, buf, 2000) == 2000 && pipe(p) == 0);
	set_soft(RLIMIT_FSIZE, 1000);
	CHECK_EQ(write(fd, buf, 2000), 1000);
	CHECK_ERR(write(fd, buf, 1), EFBIG);
	CHECK_EQ(write(fd, buf, 0), 0);
	CHECK_EQ(pwrite(fd, buf, 100, 950), 50);
	CHECK_ERR(pwrite(fd, buf, 1, 1000), EFBIG);
	CHECK_ERR(ftruncate(fd, 1001), EFBIG);
	OK(ftruncate(fd, 1000));
	CHECK_ERR(truncate("limited", 1001), EFBIG);
	CHECK_ERR(fallocate(fd, 0, 0, 1001), EFBIG);
	OK(ftruncate(fd, 0));
	CHECK_EQ(lseek(from, 0, SEEK_SET), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(copy_file_range(from, &(off_t){0}, fd, &(off_t){900}, 500, 0), 100);
	CHECK_ERR(copy_file_range(from, &(off_t){0}, fd, &(off_t){1000}, 500, 0), EFBIG);
	CHECK_EQ(write(p[1], buf, 2000), 2000);
	CHECK_EQ(splice(p[0], NULL, fd, &(off_t){900}, 500, 0), 100);
	CHECK_ERR(splice(p[0], NULL, fd, &(off_t){1000}, 500, 0), EFBIG);
	CHECK_EQ(lseek(fd, 950, SEEK_SET), 950);
	CHECK_EQ(sendfile(fd, from, &(off_t){0}, 500), 50);
	CHECK_ERR(sendfile(fd, from, &(off_t){0}, 500), EFBIG);
	CHECK_EQ(write(p[1], buf, 1500), 1500); /* a pipe is no file */
}

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void fsize_signal_fn(void)
{
	int fd;

	signal(SIGXFSZ, on_signal);
	use_tmpdir();
	fd = open("signalled", O_RDWR | O_CREAT | O_TRUNC, 0600);
	set_soft(RLIMIT_FSIZE, 10);
	CHECK_EQ(write(fd, "0123456789abc", 13), 10);
	CHECK_EQ(caught, 0);
	CHECK_ERR(write(fd, "x", 1), EFBIG);
	CHECK_EQ(caught, SIGXFSZ);
}

TEST(fsize)
{
	in_child(fsize_fn);
	in_child(fsize_signal_fn);
}

static void nofile_fn(void)
{
	int p[2], fd = open("/dev/null", O_RDONLY);

	set_soft(RLIMIT_NOFILE, (rlim_t)fd + 1);
	CHECK_ERR(open("/dev/null", O_RDONLY), EMFILE);
	CHECK_ERR(dup(fd), EMFILE);
	CHECK_ERR(dup2(fd, fd + 1), EBADF);
	CHECK_ERR(fcntl(fd, F_DUPFD, fd + 1), EINVAL);
	CHECK_ERR(fcntl(fd, F_DUPFD, fd), EMFILE);
	CHECK_ERR(pipe(p), EMFILE);
	CHECK_EQ(dup2(fd, fd), fd);
	set_soft(RLIMIT_NOFILE, 0); /* what is open stays so */
	OK(fcntl(fd, F_GETFD));
	OK(close(fd));
}

TEST(nofile)
{
	in_child(nofile_fn);
}

static void nproc_fn(void)
{
	pid_t pid;

	drop_root();
	set_soft(RLIMIT_NPROC, 1);
	pid = fork();
	CHECK(pid == -1 && errno == EAGAIN);
	if (pid == 0)
		_exit(0);
	set_soft(RLIMIT_NPROC, 2);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(0);
	h_wait(pid);
}

TEST(nproc)
{
	if (geteuid() != 0)
		SKIP("an ordinary user has other processes");
	in_child(nproc_fn);
}

static void as_fn(void)
{
	void *p;

	set_soft(RLIMIT_AS, 256 << 20);
	p = mmap(NULL, 300 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p == MAP_FAILED && errno == ENOMEM);
	p = mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	CHECK(mremap(p, 16 << 20, 400 << 20, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
}

static void data_fn(void)
{
	char *top = sbrk(0);
	void *p;

	set_soft(RLIMIT_DATA, 32 << 20);
	CHECK(sbrk(64 << 20) == (void *)-1 && errno == ENOMEM);
	CHECK_EQ((intptr_t)sbrk(0), (intptr_t)top);
	p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p == MAP_FAILED && errno == ENOMEM);
	p = mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* not writable: no data */
	CHECK(p != MAP_FAILED);
	p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
}

static char *anon(size_t size, int prot, int flags)
{
	return mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* Memory that becomes data by mprotect(2) counts, too. */
static void data_by_mprotect_fn(void)
{
	size_t size = 64 << 20;
	char *m = anon(size, PROT_NONE, 0), *f;
	char *s = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/exe", O_RDONLY);

	REQUIRE(m != MAP_FAILED && s != MAP_FAILED && fd >= 0);
	set_soft(RLIMIT_DATA, 32 << 20);
	CHECK_ERR(mprotect(m, size, PROT_READ | PROT_WRITE), ENOMEM);
	CHECK_ERR(mprotect(m, size, PROT_WRITE | PROT_EXEC), ENOMEM);
	OK(mprotect(m, size, PROT_READ | PROT_EXEC));
	OK(mprotect(m, 8 << 20, PROT_READ | PROT_WRITE));
	CHECK_ERR(mprotect(m, size, PROT_READ | PROT_WRITE), ENOMEM); /* the rest, that is */
	OK(mprotect(m, size, PROT_READ));
	OK(mprotect(s, size, PROT_READ | PROT_WRITE));
	f = mmap(NULL, size, PROT_NONE, MAP_PRIVATE, fd, 0);
	CHECK(f != MAP_FAILED);
	CHECK_ERR(mprotect(f, size, PROT_READ | PROT_WRITE), ENOMEM);
	CHECK(anon(size, PROT_READ | PROT_WRITE, 0) == MAP_FAILED);
	CHECK(anon(size, PROT_READ | PROT_WRITE, MAP_GROWSDOWN) != MAP_FAILED); /* a stack */
	CHECK(anon(size, PROT_READ | PROT_WRITE, MAP_STACK) == MAP_FAILED);
}

/* What comes before the part that is refused stays changed. */
static void data_in_part_fn(void)
{
	char *m = anon(64 << 20, PROT_NONE, 0);

	REQUIRE(m != MAP_FAILED);
	OK(mprotect(m, 4096, PROT_READ));
	set_soft(RLIMIT_DATA, 32 << 20);
	CHECK_ERR(mprotect(m, 64 << 20, PROT_READ | PROT_WRITE), ENOMEM);
	m[0] = 1;
	CHECK_ERR(mprotect(m + 4096, (64 << 20) - 4096, PROT_WRITE), ENOMEM);
}

/* A limit of none at all is meant for brk(2) alone. */
static void no_data_fn(void)
{
	char *m = anon(8192, PROT_NONE, 0);

	REQUIRE(m != MAP_FAILED);
	set_soft(RLIMIT_DATA, 0);
	OK(mprotect(m, 8192, PROT_READ | PROT_WRITE));
	CHECK(anon(4096, PROT_READ | PROT_WRITE, 0) != MAP_FAILED);
	CHECK(sbrk(1 << 20) == (void *)-1 && errno == ENOMEM);
	execl("/bin/true", "true", NULL);
	H_FAIL("no exec\n");
}

/* What a mapping takes the place of does not count twice. */
static void as_replaced_fn(void)
{
	char *m = anon(64 << 20, PROT_NONE, 0);

	REQUIRE(m != MAP_FAILED);
	set_soft(RLIMIT_AS, 96 << 20);
	CHECK(mmap(m, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
	CHECK(anon(64 << 20, PROT_NONE, 0) == MAP_FAILED && errno == ENOMEM);
	set_soft(RLIMIT_AS, 1 << 20); /* less than there is */
	CHECK(anon(4096, PROT_NONE, 0) == MAP_FAILED && errno == ENOMEM);
	OK(mprotect(m, 4096, PROT_READ | PROT_WRITE));
	OK(munmap(m, 64 << 20));
}

TEST(memory)
{
	in_child(as_fn);
	in_child(as_replaced_fn);
	in_child(data_fn);
	in_child(data_by_mprotect_fn);
	in_child(data_in_part_fn);
	in_child(no_data_fn);
}

static void memlock_fn(void)
{
	char *p = mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	set_soft(RLIMIT_MEMLOCK, 16 << 10);
	drop_root();
	OK(mlock(p, 16 << 10));
	CHECK_ERR(mlock(p, 32 << 10), ENOMEM);
	OK(munlock(p, 16 << 10));
	OK(mlock(p, (size_t)-1)); /* comes round to nothing */
	set_soft(RLIMIT_MEMLOCK, 0);
	CHECK_ERR(mlock(p, 4096), EPERM);
	CHECK_ERR(mlock(p, 0), EPERM);
	OK(munlock(p, 4096));
	CHECK_ERR(mlockall(MCL_CURRENT), EPERM);
}

/* Segments of System V that a user has locked count together. */
static void shm_memlock_fn(void)
{
	int a, b;

	set_soft(RLIMIT_MEMLOCK, 16 << 10);
	drop_root();
	a = shmget(IPC_PRIVATE, 12 << 10, IPC_CREAT | 0600);
	b = shmget(IPC_PRIVATE, 32 << 10, IPC_CREAT | 0600);
	REQUIRE(a >= 0 && b >= 0);
	CHECK_ERR(shmctl(b, SHM_LOCK, NULL), ENOMEM);
	OK(shmctl(a, SHM_LOCK, NULL));
	OK(shmctl(a, SHM_LOCK, NULL)); /* it is */
	OK(shmctl(b, IPC_RMID, NULL));
	b = shmget(IPC_PRIVATE, 8 << 10, IPC_CREAT | 0600);
	CHECK_ERR(shmctl(b, SHM_LOCK, NULL), ENOMEM);
	OK(shmctl(a, SHM_UNLOCK, NULL));
	OK(shmctl(b, SHM_LOCK, NULL));
	OK(shmctl(a, IPC_RMID, NULL));
	OK(shmctl(b, IPC_RMID, NULL));
}

TEST(memlock)
{
	in_child(memlock_fn);
	in_child(shm_memlock_fn);
}

static void sigpending_fn(void)
{
	union sigval v = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	set_soft(RLIMIT_SIGPENDING, 0);
	CHECK_ERR(sigqueue(getpid(), SIGRTMIN, v), EAGAIN);
	OK(kill(getpid(), SIGRTMIN)); /* without its particulars */
}

TEST(sigpending)
{
	in_child(sigpending_fn);
}

static void nice_fn(void)
{
	OK(setrlimit(RLIMIT_NICE, &(struct rlimit){20, 20}));
	OK(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){5, 5}));
	drop_root();
	OK(setpriority(PRIO_PROCESS, 0, 5));
	OK(setpriority(PRIO_PROCESS, 0, 0)); /* 20 - 20 */
	CHECK_ERR(setpriority(PRIO_PROCESS, 0, -1), EACCES);
	OK(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){5}));
	CHECK_ERR(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){6}), EPERM);
	OK(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}));
	OK(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}));
	CHECK_ERR(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}), EPERM);
}

TEST(priorities)
{
	struct rlimit l;

	REQUIRE(getrlimit(RLIMIT_NICE, &l) == 0);
	if (geteuid() != 0 || setrlimit(RLIMIT_NICE, &(struct rlimit){l.rlim_cur, l.rlim_max + 1}))
		SKIP("needs CAP_SYS_RESOURCE, to raise a limit first");
	OK(setrlimit(RLIMIT_NICE, &l));
	in_child(nice_fn);
}

TEST(core)
{
	for (int k = 0; k < 2; k++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			use_tmpdir();
			set_soft(RLIMIT_CORE, 0);
			abort();
		}
		CHECK_EQ(h_wait(pid), SIGABRT); /* no WCOREFLAG */
	}
}

static void cpu_fn(void)
{
	signal(SIGXCPU, on_signal);
	caught = 0;
	OK(setrlimit(RLIMIT_CPU, &(struct rlimit){1, 20}));
	while (!caught)
		;
	CHECK_EQ(caught, SIGXCPU);
}

TEST(cpu)
{
	in_child(cpu_fn);
}

/* prlimit of others: CAP_SYS_RESOURCE, or all ids the same. */
TEST(others)
{
	struct gate ready, done;
	struct rlimit l = {7, 7}, old;
	pid_t pid;

	gate_init(&ready);
	gate_init(&done);
	pid = h_fork();
	if (pid == 0) {
		set_soft(RLIMIT_LOCKS, 77);
		gate_open(&ready);
		gate_pass(&done);
		child_exit();
	}
	gate_pass(&ready);
	OK(prlimit(pid, RLIMIT_LOCKS, NULL, &old));
	CHECK_EQ(old.rlim_cur, 77);
	OK(prlimit(pid, RLIMIT_LOCKS, &l, NULL));
	OK(prlimit(pid, RLIMIT_LOCKS, NULL, &old));
	CHECK_EQ(old.rlim_max, 7);
	CHECK_ERR(prlimit(999999, RLIMIT_LOCKS, NULL, &old), ESRCH);
	CHECK_ERR(prlimit(pid, 16, NULL, &old), EINVAL);
	CHECK_ERR(syscall(SYS_prlimit64, pid, RLIMIT_LOCKS, 8, NULL), EFAULT);
	if (geteuid() == 0) {
		pid_t other = h_fork();

		if (other == 0) {
			drop_root();
			CHECK_ERR(prlimit(pid, RLIMIT_LOCKS, NULL, &old), EPERM);
			CHECK_ERR(prlimit(pid, RLIMIT_LOCKS, &l, NULL), EPERM);
			OK(prlimit(getpid(), RLIMIT_LOCKS, NULL, &old));
			child_exit();
		}
		JOIN(other);
	}
	gate_open(&done);
	JOIN(pid);
	gate_free(&ready);
	gate_free(&done);
}
