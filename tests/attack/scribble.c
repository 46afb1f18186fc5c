/* Threads that write over everything writable above the ceiling while others make calls. */
#include "attack.h"

#include <linux/futex.h>
#include <pthread.h>

static struct found found;
static unsigned seed = 1;

static unsigned next_random(unsigned *s)
{
	*s = *s * 1103515245 + 12345;
	return *s >> 8;
}

enum kind { NOISE, WORDS, POINTERS, FLIPS, PIECES, POSITIONS, RINGS, WINDOWS, FIELD };

/* Where a channel holds the memory that calls take along, how much of it there is, and where it came from
 * (platform/systrap/layout.h); the rest stays, so that calls go on being made. */
static bool holds_pieces(uintptr_t at)
{
	uintptr_t off = at % SYSTRAP_CHANNEL_SIZE;

	return at >= SYSTRAP_CHANNELS && at < SYSTRAP_CHANNELS + 48 * SYSTRAP_CHANNEL_SIZE &&
	       off >= CH_GIVE - (CH_GIVE_MAX - 1) * CH_GIVE_SIZE && off < CH_BACK_END;
}

/* Where it holds a lent position and its descriptor. */
static bool holds_position(uintptr_t at)
{
	uintptr_t off = at % SYSTRAP_CHANNEL_SIZE;

	return at >= SYSTRAP_CHANNELS && (off == CH_POSITION || off == CH_POSITION_FD);
}

/* Where it says where the records of windows are, and what was read by them. */
static bool holds_windows(uintptr_t at)
{
	uintptr_t off = at % SYSTRAP_CHANNEL_SIZE;

	return at >= SYSTRAP_CHANNELS && off >= CH_WINDOWS && off <= CH_READ_BYTES;
}

/* The words of rings, which lie where there is no channel, and where a channel names them. */
static bool holds_ring(uintptr_t at)
{
	uintptr_t off = at % SYSTRAP_CHANNEL_SIZE, begin = at - off;

	if (at < SYSTRAP_CHANNELS)
		return false;
	if (*(volatile uint64_t *)(begin + CH_SELF) == begin)
		return off >= CH_RING_SLOTS && off < CH_RING_IO;
	return off % SYSTRAP_RING_SIZE == RG_HEAD || off % SYSTRAP_RING_SIZE == RG_TAIL;
}

struct job {
	enum kind kind;
	unsigned seed;
	unsigned off; /* FIELD: which one, from a channel's start */
};

/* What some field could be, and another could not. */
static uint64_t any_value(unsigned *s)
{
	switch (next_random(s) % 6) {
	case 0:
		return next_random(s) % 20; /* words, flags, descriptors */
	case 1:
		return SYSTRAP_CHANNELS + next_random(s) % (4 * SYSTRAP_CHANNEL_SIZE);
	case 2:
		return CEILING + next_random(s) % SYSTRAP_TEXT_SIZE;
	case 3:
		return (uint64_t)(uintptr_t)&seed;
	case 4:
		return (uint64_t)next_random(s) << 32 | next_random(s);
	default:
		return (uint64_t)next_random(s) << 40;
	}
}

static void *scribble(void *arg)
{
	struct job *j = arg;

	for (;;)
		for (int i = 0; i < found.count; i++) {
			volatile uint64_t *page = (volatile uint64_t *)found.page[i];

			if (!found.writable[i])
				continue;
			if (j->kind == FIELD) {
				if (found.page[i] % SYSTRAP_CHANNEL_SIZE == 0)
					page[j->off / 8] = any_value(&j->seed);
				continue;
			}
			for (int k = 0; k < 512; k++)
				switch (j->kind) {
				case NOISE:
					page[k] = (uint64_t)next_random(&j->seed) << 32 | next_random(&j->seed);
					break;
				case WORDS: /* the hand-over word and its neighbours */
					page[0] = next_random(&j->seed) % (WORD_FRAME + 2);
					break;
				case POINTERS:
					page[k] = CEILING + next_random(&j->seed) % 0x10000000;
					break;
				case PIECES:
					if (holds_pieces((uintptr_t)&page[k]))
						page[k] = next_random(&j->seed) % 2 ?
								  next_random(&j->seed) % 0x8000 :
								  (uint64_t)next_random(&j->seed) << 32 |
									  next_random(&j->seed);
					break;
				case POSITIONS:
					if (holds_position((uintptr_t)&page[k]))
						page[k] = next_random(&j->seed) % 2 ?
								  next_random(&j->seed) % 8 :
								  (uint64_t)next_random(&j->seed) << 40;
					break;
				case WINDOWS:
					if (holds_windows((uintptr_t)&page[k]))
						page[k] = next_random(&j->seed) % 2 ?
								  (uint64_t)SYSTRAP_RECORDS - 4096 + next_random(&j->seed) % 8192 :
								  (uint64_t)next_random(&j->seed) << (next_random(&j->seed) % 40);
					break;
				case RINGS: /* positions mostly, and now and then one that opens it, or another ring, or descriptor */
					if (holds_ring((uintptr_t)&page[k]))
						page[k] = next_random(&j->seed) % 4 ?
								  next_random(&j->seed) % 0x20000 :
								  (uint64_t)next_random(&j->seed) << 32 | next_random(&j->seed) % 16;
					break;
				case FIELD:
					break;
				case FLIPS:
					page[next_random(&j->seed) % 512] ^= 1ull << (next_random(&j->seed) % 64);
					break;
				}
		}
	return NULL;
}

static void *calls(void *arg)
{
	char buf[256];

	for (;;) {
		int fd = open("/proc/self/status", O_RDONLY);

		getppid();
		sigprocmask(SIG_BLOCK, NULL, NULL);
		if (fd >= 0) {
			if (read(fd, buf, sizeof(buf)) < 0)
				return NULL;
			close(fd);
		}
		char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED)
			munmap(p, 8192);
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return NULL;
}

/* Calls that take memory along, whatever becomes of them. */
static void *calls_with_pieces(void *arg)
{
	static char big[65536];
	char path[] = "/proc/self/status", small[600];
	struct stat st;
	int p[2];

	if (pipe2(p, O_NONBLOCK) < 0)
		return NULL;
	for (unsigned i = 0;; i++) {
		struct pollfd fds[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, 0, 0}};
		int fd = open(path, O_RDONLY);

		(void)!write(p[1], big, i * 37 % sizeof(big));
		(void)!read(p[0], big, sizeof(big) - i % 100);
		(void)!write(p[1], small, i % sizeof(small));
		(void)!read(p[0], small, sizeof(small));
		(void)!poll(fds, 3, 0);
		(void)!stat(path, &st);
		(void)!fstat(p[0], &st);
		(void)!readlink("/proc/self/exe", small, sizeof(small));
		(void)!rename("/tmp/none such", "/tmp/nor this");
		(void)!getcwd(small, sizeof(small));
		raise(SIGRTMIN); /* a handler's frame and its return */
		syscall(SYS_futex, small, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		if (fd >= 0) {
			(void)!read(fd, big, sizeof(big));
			close(fd);
		}
	}
	return NULL;
}

static void handler(int sig)
{
}

/* Seeks, with a position that is lent and taken back all the time. */
static void *seeks(void *arg)
{
	FILE *f = tmpfile();
	char buf[64];
	int fd = f ? fileno(f) : -1;

	if (fd < 0 || write(fd, buf, sizeof(buf)) < 0)
		return NULL;
	for (unsigned i = 0;; i++) {
		for (int k = 0; k < 20; k++)
			lseek(fd, k % 3, k % 2 ? SEEK_SET : SEEK_CUR);
		(void)!read(fd, buf, sizeof(buf));
		(void)!write(fd, buf, i % sizeof(buf));
		close(dup(fd));
		if (lseek(fd, 0, SEEK_CUR) < 0)
			(void)!ftruncate(fd, 64);
	}
	return NULL;
}

/* Reads, by windows that are lent and taken back all the time. */
static void *reads(void *arg)
{
	FILE *f = tmpfile();
	char buf[4096] = "";
	int fd = f ? fileno(f) : -1;

	if (fd < 0 || write(fd, buf, sizeof(buf)) < 0)
		return NULL;
	for (unsigned i = 0;; i++) {
		usleep(4000);
		for (int k = 0; k < 150; k++)
			(void)!pread(fd, buf, 1 + i % sizeof(buf), k);
		lseek(fd, 0, SEEK_SET);
		for (int k = 0; k < 30; k++)
			(void)!read(fd, buf, 10);
		(void)!pwrite(fd, buf, i % sizeof(buf), 0);
		close(dup(fd));
	}
	return NULL;
}

/* Pipes that are lent and taken back all the time, to this process and to another one. */
static void *pipes(void *arg)
{
	char buf[4096] = {0};

	for (;;) {
		struct pollfd f;
		int p[2], q[2];
		pid_t pid;

		if (pipe(p) < 0 || pipe(q) < 0)
			return NULL;
		for (int i = 0; i < 300; i++) {
			f = (struct pollfd){p[0], POLLIN, 0};
			(void)!write(p[1], buf, 1 + i % 200);
			if (poll(&f, i % 32 == 31, 0) == 0 && i % 32 == 31)
				continue;
			(void)!read(p[0], buf, i % 64 ? sizeof(buf) : 1);
		}
		pid = fork();
		if (pid == 0) {
			alarm(1);
			close(p[1]);
			close(q[0]);
			while (read(p[0], buf, 1) == 1 && write(q[1], buf, 1) == 1)
				;
			_exit(0);
		}
		close(p[0]);
		close(q[1]);
		for (int i = 0; i < 300 && pid > 0; i++)
			if (write(p[1], buf, 1) != 1 || read(q[0], buf, 1) != 1)
				break;
		close(p[1]);
		close(q[0]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return NULL;
}

static void *(*const victim_of[])(void *) = {
	[NOISE] = calls, [WORDS] = calls, [POINTERS] = calls, [FLIPS] = calls, [PIECES] = calls_with_pieces, [POSITIONS] = seeks,
	[WINDOWS] = reads,
	[RINGS] = pipes,
};

/* How many processes have come to scribble: who has not was no attack. */
static volatile int *begun;

static void prepare(void)
{
	if (!begun)
		begun = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(begun != MAP_FAILED);
	signal(SIGRTMIN, handler);
}

static void wait_for(int count)
{
	for (int ms = 0; ms < 60000 && *begun < count; ms++)
		usleep(1000);
	CHECK_EQ(*begun, count);
	*begun = 0;
}

static void attack(enum kind kind)
{
	prepare();
	for (int round = 0; round < 8; round++) {
		pid_t pid = h_fork();

		if (pid == 0) {
			struct job jobs[2] = {{kind, seed + (unsigned)round, 0}, {kind, seed + 77u + (unsigned)round, 0}};
			pthread_t t;

			/* The threads first: their channels are to be found too. */
			pthread_create(&t, NULL, victim_of[kind], NULL);
			pthread_create(&t, NULL, victim_of[kind], NULL);
			if (kind == RINGS)
				usleep(30000); /* there are to be some */
			find_pages(&found);
			for (int sig = 1; sig < 32; sig++)
				signal(sig, round % 2 ? SIG_DFL : SIG_IGN);
			__atomic_fetch_add(begun, 1, __ATOMIC_SEQ_CST);
			pthread_create(&t, NULL, scribble, &jobs[0]);
			scribble(&jobs[1]);
		}
		wait_for(1);
		finish_off(pid, 300);
		still_alive();
	}
	seed += 100;
}

TEST(noise)
{
	attack(NOISE);
}

TEST(words)
{
	attack(WORDS);
}

TEST(pointers)
{
	attack(POINTERS);
}

TEST(flips)
{
	attack(FLIPS);
}

TEST(positions)
{
	attack(POSITIONS);
}

TEST(windows)
{
	attack(WINDOWS);
}

TEST(rings)
{
	attack(RINGS);
}

TEST(pieces)
{
	attack(PIECES);
}

/* All of it at once: files, pieces, handlers, futexes, positions, windows, rings. */
static void use_everything(void)
{
	static void *(*const all[])(void *) = {calls, calls_with_pieces, seeks, reads, pipes};
	pthread_t t;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		pthread_create(&t, NULL, all[i], NULL);
}

#define FIELDS_AT_A_TIME 8

/* What is behind the first words of the places for bytes is bytes. */
static bool is_bytes(unsigned off)
{
	return (off > CH_OUT + 16 && off < CH_OUT + CH_OUT_SIZE - 64) || (off > CH_PIECES + 8 && off < CH_PIECES + CH_PIECE_SIZE) ||
	       (off > CH_PIECES + CH_PIECE_SIZE + 8 && off < CH_PIECES + 2 * CH_PIECE_SIZE);
}

/* One word of the channels after the other, by itself, so that the rest goes on until that one matters. */
TEST(each_field)
{
	pid_t pids[FIELDS_AT_A_TIME];
	int count = 0, fields = 0;
	bool channels = false;

	prepare();
	find_pages(&found);
	for (int i = 0; i < found.count; i++)
		channels = channels || (found.writable[i] && found.page[i] % SYSTRAP_CHANNEL_SIZE == 0);
	if (!channels)
		SKIP("no channels here");

	for (unsigned off = 0; off < CH_HEADER_SIZE; off += 8) {
		if (is_bytes(off))
			continue;
		pids[count] = h_fork();
		if (pids[count] == 0) {
			struct job j = {FIELD, off + 1, off};

			setsid();
			use_everything();
			find_pages(&found);
			for (int sig = 1; sig < 32; sig++)
				signal(sig, off % 16 ? SIG_DFL : SIG_IGN);
			__atomic_fetch_add(begun, 1, __ATOMIC_SEQ_CST);
			scribble(&j);
		}
		count++, fields++;
		if (count == FIELDS_AT_A_TIME || off == CH_HEADER_SIZE - 8) {
			wait_for(count);
			usleep(100000);
			while (count > 0)
				finish_off(pids[--count], 0);
			still_alive();
		}
	}
	h_say("  %d words\n", fields);
	CHECK(count == 0 && fields > 100);
	still_alive();
}

static struct gate neighbour;

TEST(neighbours_are_untouched)
{
	/* A process that works while its sibling scribbles must get every answer right. */
	pid_t worker, bad;

	gate_init(&neighbour);
	worker = h_fork();
	if (worker == 0) {
		char buf[64];
		int fd;

		use_tmpdir();
		h_dir_owner = getpid();
		fd = open("f", O_RDWR | O_CREAT, 0600);
		gate_pass(&neighbour);
		for (int i = 0; i < 300; i++) {
			int n = snprintf(buf, sizeof(buf), "line %d", i);

			REQUIRE(pwrite(fd, buf, (size_t)n, 0) == n);
			memset(buf, 0, sizeof(buf));
			REQUIRE(pread(fd, buf, sizeof(buf), 0) >= n && atoi(buf + 5) == i);
			REQUIRE(getpid() == (int)syscall(SYS_gettid));
		}
		h_cleanup();
		child_exit();
	}
	bad = h_fork();
	if (bad == 0) {
		struct job j = {NOISE, 5, 0};
		pthread_t t;

		pthread_create(&t, NULL, calls, NULL);
		find_pages(&found);
		gate_open(&neighbour);
		scribble(&j);
	}
	finish_off(bad, 500);
	/* Whether or not the scribbler came as far as opening the gate. */
	gate_open(&neighbour);
	CHECK_EQ(finish_off(worker, 20000), 0);
	gate_free(&neighbour);
	still_alive();
}
