/* A read that sleeps on a lent pipe keeps what it began with, whatever becomes of its descriptor; and what a process may map. */
#include "pipe_lent.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

/* ---- a reader that sleeps ---- */

static _Atomic int stage;
static long result;
static char got;

static void *late_reader(void *arg)
{
	use(p[0], p[1]);
	got = 0;
	stage = 1;
	result = read_call(p[0], &got, 1);
	stage = 2;
	return NULL;
}

static pthread_t start_reader(unsigned us)
{
	pthread_t t;

	signal(SIGPIPE, SIG_IGN);
	REQUIRE(pipe(p) == 0);
	stage = 0;
	REQUIRE(pthread_create(&t, NULL, late_reader, NULL) == 0);
	while (stage == 0)
		usleep(500);
	usleep(us);
	return t;
}

/* It still sleeps, and gets the byte that comes now. */
static void end_reader(pthread_t t)
{
	usleep(10000);
	CHECK_EQ(stage, 1);
	CHECK_EQ(write_call(p[1], "Q", 1), 1);
	pthread_join(t, NULL);
	CHECK_EQ(result, 1);
	CHECK_EQ(got, 'Q');
}

static const unsigned naps_us[] = {3000, 15000, 49000, 51000, 250000};

TEST(closed_while_read)
{
	for (unsigned i = 0; i < sizeof(naps_us) / sizeof(naps_us[0]); i++) {
		pthread_t t = start_reader(naps_us[i]);

		CHECK_EQ(close(p[0]), 0);
		end_reader(t);
		CHECK_EQ(write_call(p[1], "x", 1), -EPIPE);
		close(p[1]);
	}
}

TEST(replaced_while_read)
{
	for (unsigned i = 0; i < sizeof(naps_us) / sizeof(naps_us[0]); i++) {
		pthread_t t = start_reader(naps_us[i]);
		int zero = open("/dev/zero", O_RDONLY);

		CHECK_EQ(dup2(zero, p[0]), p[0]);
		end_reader(t);
		CHECK_EQ(read_call(p[0], &got, 1), 1);
		CHECK_EQ(got, 0);
		CHECK_EQ(write_call(p[1], "x", 1), -EPIPE);
		close(zero);
		close(p[0]);
		close(p[1]);
	}
}

TEST(end_while_read)
{
	for (unsigned i = 0; i < sizeof(naps_us) / sizeof(naps_us[0]); i++) {
		pthread_t t = start_reader(naps_us[i]);

		CHECK_EQ(close(p[0]), 0);
		CHECK_EQ(close(p[1]), 0);
		pthread_join(t, NULL);
		CHECK_EQ(result, 0);
	}
}

TEST(flags_while_read)
{
	for (unsigned i = 0; i < sizeof(naps_us) / sizeof(naps_us[0]); i++) {
		pthread_t t = start_reader(naps_us[i]);

		CHECK_EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
		end_reader(t);
		CHECK_EQ(read_call(p[0], &got, 1), -EAGAIN);
		close(p[0]);
		close(p[1]);
	}
}

TEST(duplicated_while_read)
{
	pthread_t t = start_reader(5000);
	int fd = dup(p[0]), n = -1;

	CHECK(fd >= 0);
	CHECK_EQ(ioctl(fd, FIONREAD, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(close(p[0]), 0);
	end_reader(t);
	CHECK_EQ(write_call(p[1], "R", 1), 1);
	CHECK_EQ(read_call(fd, &got, 1), 1);
	CHECK_EQ(got, 'R');
	close(fd);
	close(p[1]);
}

TEST(filtered_while_read)
{
	struct sock_filter no_read[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {sizeof(no_read) / sizeof(no_read[0]), no_read};
	pid_t pid = h_fork();
	pthread_t t;

	if (pid) {
		JOIN(pid);
		return;
	}
	t = start_reader(10000);
	no_read[3].k = (unsigned)p[0];
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) == 0);
	end_reader(t);
	CHECK_EQ(write_call(p[1], "x", 1), 1);
	CHECK_EQ(read_call(p[0], &got, 1), -EXDEV);
	child_exit();
}

/* ---- a writer whose descriptor is replaced, while somebody else has the pipe taken back ---- */

static int other;

static void *look(void *arg)
{
	int n;

	while (stage == 0)
		sched_yield();
	(void)ioctl(p[1], FIONREAD, &n);
	return NULL;
}

static void *replace_writer(void *arg)
{
	while (stage == 0)
		sched_yield();
	usleep(2000);
	CHECK_EQ(dup2(other, p[1]), p[1]);
	stage = 2;
	return NULL;
}

TEST(writer_replaced)
{
	for (int i = 0; i < 10 && !h_failures; i++) {
		pthread_t a, b;
		struct stat st;
		int keep;

		REQUIRE(pipe(p) == 0);
		other = memfd_create("other", 0);
		REQUIRE(other >= 0);
		keep = dup(other);
		stage = 0;
		REQUIRE(pthread_create(&a, NULL, look, NULL) == 0);
		REQUIRE(pthread_create(&b, NULL, replace_writer, NULL) == 0);
		use(p[0], p[1]);
		stage = 1;
		while (stage != 2)
			sched_yield();
		CHECK_EQ(write_call(p[1], "HELLO", 5), 5);
		CHECK_EQ(fstat(keep, &st), 0);
		CHECK_EQ(st.st_size, 5);
		pthread_join(a, NULL);
		pthread_join(b, NULL);
		close(p[0]);
		close(p[1]);
		close(other);
		close(keep);
	}
}

/* ---- a process that has as many mappings as it may ---- */

TEST(no_mappings_left)
{
	time_t end = time(NULL) + 20;
	pid_t pid = h_fork();

	if (pid) {
		JOIN(pid);
		return;
	}
	/* Bounded, for where there may be more, or each takes long. */
	for (int n = 0; n < 70000 && time(NULL) < end; n++)
		if (mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			break;
	open_pipes();
	for (int i = 0; i < 5; i++) {
		use(p[0], p[1]);
		use(q[0], q[1]);
	}
	child_exit();
}
