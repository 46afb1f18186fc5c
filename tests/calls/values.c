/* What an argument of each kind may be: first the good value, then those that are wrong in one way each. */
#include "calls.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define HIGH 0x7700000000ull /* what lies above an int is not looked at */

__attribute__((format(printf, 3, 4))) static void add(struct pool *p, uint64_t v, const char *fmt, ...)
{
	struct value *e = &p->v[p->count++];
	va_list ap;

	REQUIRE(p->count <= POOL_MAX);
	va_start(ap, fmt);
	vsnprintf(e->label, sizeof(e->label), fmt, ap);
	va_end(ap);
	e->v = v;
	e->what = VALUE_PLAIN;
}

static void add_number(struct pool *p, uint64_t v)
{
	if ((int64_t)v > -100000 && (int64_t)v < 100000)
		add(p, v, "%ld", (long)v);
	else
		add(p, v, "0x%lx", (unsigned long)v);
}

static void add_numbers(struct pool *p, const uint64_t *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (p->count == 0 || v[i] != p->v[0].v)
			add_number(p, v[i]);
}
#define ADD(p, ...)                                                                                                    \
	do {                                                                                                           \
		static const uint64_t numbers_[] = {__VA_ARGS__};                                                      \
		add_numbers(p, numbers_, ARRAY_SIZE(numbers_));                                                        \
	} while (0)

static void add_bad_pointers(struct pool *p)
{
	add(p, 0, "NULL");
	add(p, 8, "8");
	add(p, WORLD_HOLE, "unmapped");
	add(p, WORLD_RO, "readonly");
	add(p, WORLD_NONE, "untouchable");
	add(p, WORLD_EDGE - 1, "edge-1");
	add(p, WORLD_EDGE - 4, "edge-4");
	add(p, WORLD_EDGE, "edge");
	add(p, WORLD_DATA + 1, "unaligned");
	add(p, 0x7fffffffeff8, "last page");
	add(p, 0x7ffffffff000, "ceiling");
	add(p, 0x800000000000, "not canonical");
	add(p, 0xffff888000000000, "kernel");
	add(p, (uint64_t)-8, "-8");
	add(p, UINT64_MAX, "-1");
}

/* ---- numbers ---- */

/* How many bytes or elements the good value of another argument has, whose length this argument is; 0: of none. */
static uint64_t good_length(const struct abi_syscall *call, unsigned arg)
{
	for (unsigned i = 0; i < ABI_MAX_ARGS && call->args[i].kind; i++) {
		const struct abi_arg *a = &call->args[i];

		if (a->len == ABI_LEN_NONE || a->len_arg != arg)
			continue;
		switch (a->kind) {
		case ABI_ARG_BUF:
			return 64;
		case ABI_ARG_VAR:
			return a->size ? a->size : 64;
		default:
			return 1;
		}
	}
	if (strcmp(call->args[arg].name, "sigsetsize") == 0)
		return 8;
	return call->args[arg].kind == ABI_ARG_SIZE ? 4096 : 0;
}

static void add_lengths(struct pool *p, uint64_t good)
{
	add_number(p, good);
	if (good > 1) {
		add_number(p, good - 1);
		add_number(p, good + 1);
	}
	ADD(p, 0, 1, 7, 1024, 1025, 65536, 1 << 20, INT_MAX, 1ul + INT_MAX, UINT_MAX, 1ul << 32, LONG_MAX, 1ul << 63,
	    -4096ul, UINT64_MAX);
}

static void add_ints(struct pool *p)
{
	ADD(p, 0, 1, 2, 3, 100, 4096, INT_MAX, -1ul, 1ul << 31, -2ul, UINT_MAX, HIGH, HIGH + 1, LONG_MAX, 1ul << 63);
}

static void add_bits(struct pool *p, uint64_t but)
{
	for (unsigned bit = 0; bit < 32; bit++)
		if (!(but >> bit & 1))
			add_number(p, 1ull << bit);
	add_number(p, UINT_MAX);
	add_number(p, 1ull << 32);
	add_number(p, 1ull << 63);
	add_number(p, UINT64_MAX);
}

static void add_flags(struct pool *p, const struct abi_names *names, const char *name)
{
	uint64_t defined = 0;

	if (strcmp(name, "flags") == 0 && names == &abi_names_map)
		add(p, 0x22, "MAP_PRIVATE|MAP_ANONYMOUS");
	else if (names == &abi_names_prot)
		add(p, 3, "PROT_READ|PROT_WRITE");
	else
		add(p, 0, "0");
	for (size_t i = 0; i < names->count; i++) {
		if (names->v[i].value == p->v[0].v)
			continue;
		add(p, names->v[i].value, "%s", names->v[i].name);
		defined |= names->v[i].value;
	}
	add_bits(p, defined);
}

static void add_enum(struct pool *p, const struct abi_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		add(p, names->v[i].value, "%s", names->v[i].name);
	add(p, names->v[0].value + HIGH, "HIGH+%s", names->v[0].name);
	ADD(p, 0, 7, 31, 255, 0x1000, INT_MAX, 1ul << 31, -1ul);
}

/* ---- descriptors and ids ---- */

static void add_fds(struct pool *p)
{
#define F(name) add(p, WORLD_FD_##name, #name);
	WORLD_FDS(F)
#undef F
	add(p, WORLD_FD_file + HIGH, "HIGH+file");
	ADD(p, -1ul, 90, 1023, 1024, 1 << 20, INT_MAX, 1ul << 31, (uint64_t)AT_FDCWD);
}

/* Puts the descriptor first that the call is for. */
static void prefer(struct pool *p, uint64_t v)
{
	for (unsigned i = 0; i < p->count; i++)
		if (p->v[i].v == v) {
			struct value first = p->v[0];

			p->v[0] = p->v[i];
			p->v[i] = first;
			return;
		}
}

static uint64_t good_fd(const char *call, const char *name)
{
	static const struct {
		const char *call, *name;
		uint64_t fd;
	} wanted[] = {
		{NULL, "epfd", WORLD_FD_epoll},	       {NULL, "mqdes", WORLD_FD_mqueue},
		{NULL, "pidfd", WORLD_FD_pidfd},       {NULL, "sockfd", WORLD_FD_sock},
		{"epoll_ctl", "fd", WORLD_FD_eventfd}, {"getdents", "fd", WORLD_FD_dir},
		{"getdents64", "fd", WORLD_FD_dir},    {"fchdir", "fd", WORLD_FD_dir},
		{"inotify_", "fd", WORLD_FD_inotify},  {"timerfd_", "fd", WORLD_FD_timerfd},
		{"tee", "fd_in", WORLD_FD_pipe_r},     {"tee", "fd_out", WORLD_FD_pipe_w},
		{"splice", "fd_in", WORLD_FD_pipe_r},  {"vmsplice", "fd", WORLD_FD_pipe_w},
		{"signalfd", "fd", WORLD_FD_signalfd},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if ((!wanted[i].call || strncmp(call, wanted[i].call, strlen(wanted[i].call)) == 0) &&
		    strcmp(name, wanted[i].name) == 0)
			return wanted[i].fd;
	return WORLD_FD_file;
}

static void add_special(struct pool *p, const char *label, int what)
{
	add(p, 0, "%s", label);
	p->v[p->count - 1].what = what;
}

/* Not process 1, which runs the cases: what is done to it would last. */
static void add_pids(struct pool *p)
{
	add_special(p, "self", VALUE_SELF);
	ADD(p, 0, 4000000, -1ul, INT_MAX, 1ul << 31, HIGH, -2ul);
}

static void add_owners(struct pool *p)
{
	add(p, UINT_MAX, "-1");
	add(p, getuid(), "self");
	add(p, getuid() + HIGH, "HIGH+self");
	ADD(p, 0, 7, UINT_MAX - 1, 1ul << 31);
}

/* ---- memory ---- */

static uint64_t item_string(const char *s)
{
	return world_item(s, strlen(s) + 1);
}

static void add_strings(struct pool *p, const char *const *s, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add(p, item_string(s[i]), "\"%s\"", s[i]);
}

static void add_long_strings(struct pool *p)
{
	static char text[5001];

	memset(text, 'n', sizeof(text) - 1);
	add(p, world_item(text + 5000 - 255, 256), "name of 255");
	add(p, world_item(text + 5000 - 256, 257), "name of 256");
	add(p, world_item(text, sizeof(text)), "name of 5000");
	for (size_t i = 0; i < 4096; i += 2)
		memcpy(text + i, "./", 2);
	add(p, world_item(text, sizeof(text)), "path of 5000");
	text[4095] = '\0';
	add(p, world_item(text, 4096), "path of 4095");
}

static void add_paths(struct pool *p, const char *name)
{
	static const char *const paths[] = {"f",
					    "d",
					    "l",
					    "loop",
					    "dangling",
					    "p",
					    "new",
					    "d/new",
					    "f/",
					    "f/x",
					    "new/",
					    "d/",
					    "d/.",
					    "d/..",
					    "loop/x",
					    "new/x",
					    "",
					    ".",
					    "/",
					    "/proc/self/status",
					    "/proc/self/fd/10",
					    "/dev/null"};

	add_strings(p, paths, ARRAY_SIZE(paths));
	add_long_strings(p);
	add_bad_pointers(p);
	if (strcmp(name, "newpath") == 0 || strcmp(name, "linkpath") == 0)
		prefer(p, p->v[6].v);
}

static void add_names(struct pool *p)
{
	static const char *const names[] = {
		"user.x", "", "/q", "user.", "trusted.x", "security.x", "system.posix_acl_access", "nonsense", "a/b"};

	add_strings(p, names, ARRAY_SIZE(names));
	add_long_strings(p);
	add_bad_pointers(p);
}

static void add_vectors(struct pool *p)
{
	uint64_t s = item_string("x");
	uint64_t good[] = {s, 0}, null[] = {0}, hole[] = {s, WORLD_HOLE, 0}, kernel[] = {(uint64_t)-8, 0};

	add(p, world_item(good, sizeof(good)), "{\"x\"}");
	add(p, world_item(null, sizeof(null)), "{}");
	add(p, world_item(hole, sizeof(hole)), "{\"x\", unmapped}");
	add(p, world_item(kernel, sizeof(kernel)), "{-8}");
	add_bad_pointers(p);
}

static void add_iovecs(struct pool *p)
{
	static const struct {
		const char *label;
		uint64_t v[4];
	} iov[] = {
		{"{data, 64}", {WORLD_DATA, 64}},
		{"{NULL, 0}", {0, 0}},
		{"{NULL, 8}", {0, 8}},
		{"{unmapped, 8}", {WORLD_HOLE, 8}},
		{"{edge-4, 8}", {WORLD_EDGE - 4, 8}},
		{"{-8, 8}", {(uint64_t)-8, 8}},
		{"{data, -1}", {WORLD_DATA, UINT64_MAX}},
		{"{data, LONG_MAX}x2", {WORLD_DATA, LONG_MAX, WORLD_DATA, LONG_MAX}},
		{"{data, 8, unmapped, 8}", {WORLD_DATA, 8, WORLD_HOLE, 8}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
		add(p, world_item(iov[i].v, sizeof(iov[i].v)), "%s", iov[i].label);
	add_bad_pointers(p);
}

/* The good content of a structure, as far as it is not zeros; text is what a union of all would be. */
static void fill(uint8_t *b, enum abi_type type)
{
	uint64_t *q = (uint64_t *)b;
	uint32_t *w = (uint32_t *)b;

	switch (type) {
	case ABI_TYPE_timespec:
		q[1] = 1000000;
		break;
	case ABI_TYPE_timespec2:
		q[0] = q[2] = 1000;
		break;
	case ABI_TYPE_timeval:
		q[1] = 1000;
		break;
	case ABI_TYPE_timeval2:
		q[0] = q[2] = 1000;
		break;
	case ABI_TYPE_itimerspec:
		q[2] = 1000;
		break;
	case ABI_TYPE_itimerval:
		q[2] = 1000;
		break;
	case ABI_TYPE_pollfd:
		w[0] = WORLD_FD_pipe_r, w[1] = 1;
		break;
	case ABI_TYPE_rlimit:
		q[0] = q[1] = 1 << 20;
		break;
	case ABI_TYPE_sigset:
		q[0] = 1 << (SIGUSR1 - 1);
		break;
	case ABI_TYPE_sigevent:
		w[2] = SIGUSR2, w[3] = SIGEV_NONE;
		break;
	case ABI_TYPE_siginfo:
		w[0] = SIGUSR2, w[2] = (uint32_t)SI_QUEUE;
		break;
	case ABI_TYPE_cap_header:
		w[0] = 0x20080522;
		break;
	case ABI_TYPE_clone_args:
		q[4] = SIGCHLD;
		break;
	case ABI_TYPE_epoll_event:
		w[0] = 1;
		break;
	case ABI_TYPE_futex_waitv:
		q[1] = WORLD_DATA, w[4] = 2;
		break;
	case ABI_TYPE_mq_attr:
		q[1] = 2, q[2] = 64;
		break;
	case ABI_TYPE_sched_attr:
		w[0] = 56;
		break;
	case ABI_TYPE_sembuf:
		w[0] = 1 << 16;
		break;
	case ABI_TYPE_stack:
		q[0] = WORLD_DATA, q[2] = 32768;
		break;
	case ABI_TYPE_int:
	case ABI_TYPE_uint:
		w[0] = 16;
		break;
	case ABI_TYPE_msghdr: {
		struct iovec iov = {(void *)WORLD_DATA, 64};

		q[2] = world_item(&iov, sizeof(iov)), q[3] = 1;
		break;
	}
	default:
		break;
	}
}

static void add_structs(struct pool *p, const struct abi_arg *a)
{
	uint8_t bytes[512] = {0};
	size_t size = a->size ? a->size : 64;

	REQUIRE(size <= sizeof(bytes));
	fill(bytes, a->type);
	add(p, world_item(bytes, sizeof(bytes)), "good");
	memset(bytes, 0, sizeof(bytes));
	add(p, world_item(bytes, sizeof(bytes)), "zeros");
	memset(bytes, 0xff, sizeof(bytes));
	add(p, world_item(bytes, sizeof(bytes)), "ones");
	memset(bytes, 0x7f, sizeof(bytes));
	add(p, world_item(bytes, sizeof(bytes)), "0x7f...");
	for (size_t i = 0; i < sizeof(bytes); i += 8)
		memcpy(bytes + i, &(uint64_t){1}, 8);
	add(p, world_item(bytes, sizeof(bytes)), "1, 1, ...");
	add_bad_pointers(p);
}

static void add_pointers(struct pool *p)
{
	add(p, WORLD_DATA, "data");
	add_bad_pointers(p);
}

void pool_make(struct pool *p, const struct abi_syscall *call, unsigned arg)
{
	const struct abi_arg *a = &call->args[arg];
	uint64_t length = good_length(call, arg);

	p->count = 0;
	if (strcmp(a->name, "shmid") == 0)
		add_special(p, "shm", VALUE_SHM);
	if (strcmp(a->name, "semid") == 0)
		add_special(p, "sem", VALUE_SEM);
	if (strcmp(a->name, "msqid") == 0)
		add_special(p, "msg", VALUE_MSG);
	switch (a->kind) {
	case ABI_ARG_SIZE:
		add_lengths(p, length);
		break;
	case ABI_ARG_INT:
	case ABI_ARG_UINT:
	case ABI_ARG_LONG:
		if (length)
			add_lengths(p, length);
		else
			add_ints(p);
		break;
	case ABI_ARG_HEX:
		ADD(p, 0, WORLD_DATA, WORLD_HOLE);
		add_bits(p, 0);
		break;
	case ABI_ARG_OFF:
		ADD(p, 0, 1, 4096, INT_MAX, 1ul << 32, LONG_MAX, 1ul << 63, -1ul, -4096ul);
		break;
	case ABI_ARG_FD:
	case ABI_ARG_DIRFD:
		add_fds(p);
		prefer(p, a->kind == ABI_ARG_DIRFD ? (uint64_t)AT_FDCWD : good_fd(call->name, a->name));
		break;
	case ABI_ARG_PID:
		add_pids(p);
		break;
	case ABI_ARG_UID:
	case ABI_ARG_GID:
		add_owners(p);
		break;
	case ABI_ARG_SIG:
		ADD(p, 0, SIGUSR2, SIGKILL, SIGSTOP, 31, 32, 63, 64, 65, INT_MAX, -1ul, HIGH + 65);
		break;
	case ABI_ARG_MODE:
		ADD(p, 0644, 0, 07777, S_IFREG | 0600, S_IFIFO | 0600, S_IFSOCK | 0600, S_IFDIR | 0700, S_IFLNK | 0700,
		    S_IFCHR, S_IFBLK, 0170000, 0x10000, 0xffff, UINT_MAX, HIGH);
		break;
	case ABI_ARG_DEV:
		ADD(p, 0, 0x103, 0x105, UINT_MAX, UINT64_MAX);
		break;
	case ABI_ARG_FLAGS:
		add_flags(p, a->names, a->name);
		break;
	case ABI_ARG_ENUM:
		add_enum(p, a->names);
		break;
	case ABI_ARG_PATH:
		add_paths(p, a->name);
		break;
	case ABI_ARG_STR:
		add_names(p);
		break;
	case ABI_ARG_STRV:
		add_vectors(p);
		break;
	case ABI_ARG_IOV:
		add_iovecs(p);
		break;
	case ABI_ARG_STRUCT:
	case ABI_ARG_ARRAY:
	case ABI_ARG_VAR:
		add_structs(p, a);
		break;
	default:
		add_pointers(p);
		break;
	}
}
