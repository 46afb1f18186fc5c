/* --strace's lines, decoded from a fake guest's memory; and that no argument, however wild, does any harm. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/mman.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "abi/socket.h"
#include "abi/stat.h"
#include "abi/syscalls.h"
#include "base/checked.h"
#include "platform/fake/fake.h"
#include "sentry/entry/strace.h"
#include "sentry/task/task.h"

#define DATA 0x500000ull /* two pages, then nothing */
#define END (DATA + 2 * PAGE_SIZE)

static struct platform *pf;
static struct pas *as;
static struct task task;
static int pipe_fd[2];

static void setup(void)
{
	char why[100];

	ck_assert_int_eq(platform_start(&fake_platform, &pf, why, sizeof(why)), 0);
	ck_assert_int_eq(pas_create(pf, &as), 0);
	ck_assert_int_eq(pas_map(as, NULL, DATA, 2 * PAGE_SIZE, L_PROT_READ | L_PROT_WRITE, L_MAP_PRIVATE | L_MAP_ANONYMOUS,
				 -1, 0), 0);
	ck_assert_int_eq(pctx_spawn(as, NULL, &task.ctx), 0);
	ck_assert_int_eq(pctx_attach(task.ctx), 0);
	task.tid = 7;
	ck_assert_int_eq(pipe(pipe_fd), 0);
}

static void setup_all(void)
{
	char why[100];

	setup();
	ck_assert_int_eq(strace_init(NULL, pipe_fd[1], why, sizeof(why)), 0);
	ck_assert(strace_on);
}

static void put(gva_t at, const void *bytes, size_t len)
{
	ck_assert_int_eq(copy_out(task.ctx, at, bytes, len), 0);
}

/* What was written since the last time; "" for nothing. */
static const char *written(void)
{
	static char line[20000];
	ssize_t n;

	ck_assert_int_eq(write(pipe_fd[1], "#", 1), 1); /* so that the read does not wait */
	n = read(pipe_fd[0], line, sizeof(line) - 1);
	ck_assert_int_gt(n, 0);
	line[n - 1] = '\0';
	return line;
}

static struct sys_args call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return (struct sys_args){nr, {a, b, c, d, e, f}};
}

/* The line for a call; before its end the guest's memory at `at` is filled. */
static const char *trace_fill(struct sys_args args, long result, gva_t at, const void *bytes, size_t len)
{
	strace_enter(&task, &args);
	if (len)
		put(at, bytes, len);
	strace_exit(&task, &args, result);
	return written();
}

static const char *trace(struct sys_args args, long result)
{
	return trace_fill(args, result, 0, NULL, 0);
}

/* Without the spaces before " = ". */
static const char *squeeze(const char *line)
{
	static char out[20000];
	size_t n = 0;

	for (const char *p = line; *p; p++)
		if (!(p[0] == ' ' && p[1] == ' '))
			out[n++] = *p;
	out[n] = '\0';
	return out;
}
#define CHECK_LINE(line, want) ck_assert_str_eq(squeeze(line), "7 " want "\n")

START_TEST(paths_flags_and_errors)
{
	put(DATA, "/etc/passwd", 12);
	CHECK_LINE(trace(call(SYS_openat, (uint64_t)L_AT_FDCWD, DATA, L_O_RDONLY | L_O_CLOEXEC, 0777, 0, 0), 3),
		   "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3");
	CHECK_LINE(trace(call(SYS_openat, 5, DATA, L_O_WRONLY | L_O_CREAT, 0644, 0, 0), -EACCES),
		   "openat(5, \"/etc/passwd\", O_WRONLY|O_CREAT, 0644) = -1 EACCES (Permission denied)");
	CHECK_LINE(trace(call(SYS_close, (uint64_t)-1, 0, 0, 0, 0, 0), -EBADF),
		   "close(-1) = -1 EBADF (Bad file descriptor)");
	CHECK_LINE(trace(call(SYS_unlink, END - 3, 0, 0, 0, 0, 0), 0), "unlink(\"\") = 0");
	CHECK_LINE(trace(call(SYS_unlink, 0, 0, 0, 0, 0, 0), -EFAULT), "unlink(NULL) = -1 EFAULT (Bad address)");
	CHECK_LINE(trace(call(SYS_unlink, END, 0, 0, 0, 0, 0), -EFAULT), "unlink(0x502000) = -1 EFAULT (Bad address)");
	put(END - 3, "abc", 3); /* no NUL before the end of memory */
	CHECK_LINE(trace(call(SYS_unlink, END - 3, 0, 0, 0, 0, 0), -EFAULT), "unlink(0x501ffd) = -1 EFAULT (Bad address)");
}
END_TEST

START_TEST(buffers)
{
	put(DATA, "hi\n\0\x01" "7\xff\"\\", 9);
	CHECK_LINE(trace(call(SYS_write, 1, DATA, 9, 0, 0, 0), 9), "write(1, \"hi\\n\\0\\0017\\377\\\"\\\\\", 9) = 9");
	/* Filled by the call; as much as the result says. */
	CHECK_LINE(trace_fill(call(SYS_read, 0, DATA, 100, 0, 0, 0), 5, DATA, "world", 5), "read(0, \"world\", 100) = 5");
	CHECK_LINE(trace(call(SYS_read, 0, DATA, 100, 0, 0, 0), -EINTR),
		   "read(0, 0x500000, 100) = -1 EINTR (Interrupted system call)");
	CHECK_LINE(trace(call(SYS_read, 0, DATA, 100, 0, 0, 0), -ERESTARTSYS),
		   "read(0, 0x500000, 100) = ? ERESTARTSYS (to be restarted)");
	put(DATA, "0123456789012345678901234567890123456789", 40);
	CHECK_LINE(trace(call(SYS_write, 1, DATA, 40, 0, 0, 0), 40),
		   "write(1, \"01234567890123456789012345678901\"..., 40) = 40");
}
END_TEST

START_TEST(vectors_and_arrays)
{
	struct l_iovec iov[2] = {{DATA + 100, 3}, {DATA + 200, 50}};
	struct l_pollfd fds[2] = {{.fd = 4, .events = L_POLLIN}, {.fd = -1, .events = L_POLLOUT}};
	uint64_t argv[3] = {DATA + 100, DATA + 200, 0};

	put(DATA, iov, sizeof(iov));
	put(DATA + 100, "abc", 4);
	put(DATA + 200, "defg", 5);
	CHECK_LINE(trace(call(SYS_readv, 3, DATA, 2, 0, 0, 0), 5),
		   "readv(3, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"de\", iov_len=50}], 2) = 5");
	put(DATA, argv, sizeof(argv));
	put(DATA + 300, "/bin/x", 7);
	CHECK_LINE(trace(call(SYS_execve, DATA + 300, DATA, DATA, 0, 0, 0), 0),
		   "execve(\"/bin/x\", [\"abc\", \"defg\"], 0x500000 /* 2 vars */) = 0");
	put(DATA, fds, sizeof(fds));
	strace_enter(&task, &(struct sys_args){SYS_poll, {DATA, 2, 100}});
	fds[0].revents = L_POLLIN | L_POLLHUP;
	put(DATA, fds, sizeof(fds));
	strace_exit(&task, &(struct sys_args){SYS_poll, {DATA, 2, 100}}, 1);
	CHECK_LINE(written(), "poll([{fd=4, events=POLLIN}, {fd=-1, events=POLLOUT}] => "
			      "[{fd=4, revents=POLLIN|POLLHUP}, {fd=-1, revents=0}], 2, 100) = 1");
}
END_TEST

START_TEST(structures)
{
	struct l_stat st = {.st_mode = L_S_IFREG | 0644, .st_size = 12};
	struct l_sigaction sa = {.handler = 0x401000, .flags = L_SA_RESTART | L_SA_SIGINFO,
				 .mask = 1ull << (L_SIGINT - 1) | 1ull << (L_SIGTERM - 1)};
	struct l_sockaddr_in in = {.sin_family = L_AF_INET, .sin_port = 0x5000, .sin_addr = 0x0100007f};
	int status = 7 << 8;
	uint32_t addrlen = sizeof(in);

	CHECK_LINE(trace_fill(call(SYS_fstat, 3, DATA, 0, 0, 0, 0), 0, DATA, &st, sizeof(st)),
		   "fstat(3, {st_mode=S_IFREG|0644, st_size=12, ...}) = 0");
	put(DATA, &sa, sizeof(sa));
	CHECK_LINE(trace(call(SYS_rt_sigaction, L_SIGUSR1, DATA, 0, 8, 0, 0), 0),
		   "rt_sigaction(SIGUSR1, {sa_handler=0x401000, sa_mask=[INT TERM], sa_flags=SA_SIGINFO|SA_RESTART}, NULL, 8) "
		   "= 0");
	CHECK_LINE(trace_fill(call(SYS_wait4, (uint64_t)-1, DATA, 1, 0, 0, 0), 12, DATA, &status, 4),
		   "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 7}], WNOHANG, NULL) = 12");
	put(DATA, &in, sizeof(in));
	put(DATA + 100, &addrlen, 4);
	CHECK_LINE(trace(call(SYS_connect, 3, DATA, sizeof(in), 0, 0, 0), 0),
		   "connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0");
	CHECK_LINE(trace(call(SYS_accept, 3, DATA, DATA + 100, 0, 0, 0), 4),
		   "accept(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, [16]) = 4");
	CHECK_LINE(trace(call(SYS_mmap, 0, 4096, 3, 0x22, (uint64_t)-1, 0), 0x7f0000000000),
		   "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000");
}
END_TEST

START_TEST(calls_without_return_are_written_at_once)
{
	struct sys_args args = call(SYS_exit_group, 3, 0, 0, 0, 0, 0);

	strace_enter(&task, &args);
	CHECK_LINE(written(), "exit_group(3) = ?");
	strace_exit(&task, &args, 0);
	ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(unknown_numbers)
{
	CHECK_LINE(trace(call(400, 1, 2, 0, 0, 0, 0), -ENOSYS),
		   "syscall_0x190(0x1, 0x2, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)");
}
END_TEST

/* Every row, with arguments that point nowhere, everywhere, or count to the sky, results as wild. */
START_TEST(wild_arguments)
{
	static const uint64_t wild[] = {0, 1, 64, DATA, END - 1, END, GUEST_CEILING - 1, UINT64_MAX, 1ull << 63, 0x7fffffff};
	static const long results[] = {0, 1, 4096, -EFAULT, INT64_MAX, INT64_MIN, -4095};
	uint8_t junk[2 * PAGE_SIZE];

	srand(1);
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)rand();
	put(DATA, junk, sizeof(junk));
	for (size_t row = 0; row < abi_syscall_count; row++) {
		for (size_t n = 0; n < 40; n++) {
			struct sys_args args = {.nr = abi_syscalls[row].nr};
			const char *line;

			for (int k = 0; k < 6; k++)
				args.a[k] = n < ARRAY_SIZE(wild) ? wild[n] : wild[(size_t)rand() % ARRAY_SIZE(wild)];
			line = trace(args, results[n % ARRAY_SIZE(results)]);
			ck_assert_uint_gt(strlen(line), 10);
			ck_assert_int_eq(line[strlen(line) - 1], '\n');
			ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
		}
	}
}
END_TEST

START_TEST(names_are_filtered)
{
	char why[100] = "";

	ck_assert_int_eq(strace_init("openat,bogus", pipe_fd[1], why, sizeof(why)), -EINVAL);
	ck_assert(strstr(why, "\"bogus\""));
	ck_assert(!strace_on);
	ck_assert_int_eq(strace_init("getpid,gettid", pipe_fd[1], why, sizeof(why)), 0);
	CHECK_LINE(trace(call(SYS_getpid, 0, 0, 0, 0, 0, 0), 7), "getpid() = 7");
	ck_assert_str_eq(trace(call(SYS_getppid, 0, 0, 0, 0, 0, 0), 7), "");
	ck_assert_str_eq(trace(call(400, 0, 0, 0, 0, 0, 0), 7), "");
}
END_TEST

START_TEST(names_are_excluded)
{
	char why[100] = "";

	ck_assert_int_eq(strace_init("!getpid", pipe_fd[1], why, sizeof(why)), 0);
	ck_assert_str_eq(trace(call(SYS_getpid, 0, 0, 0, 0, 0, 0), 7), "");
	CHECK_LINE(trace(call(SYS_getppid, 0, 0, 0, 0, 0, 0), 7), "getppid() = 7");
}
END_TEST

/* True if a call of that name is shown. */
static bool shows(const char *name)
{
	struct sys_args args = {.nr = abi_syscall_by_name(name)->nr};

	return trace(args, 0)[0] != '\0';
}

static void filter(const char *names)
{
	char why[200] = "";

	ck_assert_msg(strace_init(names, pipe_fd[1], why, sizeof(why)) == 0, "%s", why);
}

START_TEST(exclusions_and_groups)
{
	filter("!getpid,!getppid");
	ck_assert(!shows("getpid") && !shows("getppid") && shows("gettid"));
	filter("!getpid,getppid");
	ck_assert(!shows("getpid") && !shows("getppid") && shows("gettid"));
	filter("%file,!openat,getpid");
	ck_assert(shows("open") && shows("getpid") && shows("execve") && shows("getcwd") && shows("chdir") && shows("renameat2"));
	ck_assert(!shows("openat") && !shows("read") && !shows("fchdir") && !shows("memfd_create"));
	filter("!%memory");
	ck_assert(!shows("mmap") && !shows("brk") && !shows("shmat") && shows("shmget") && shows("read"));
	filter("%desc");
	ck_assert(shows("read") && shows("openat") && shows("poll") && shows("select") && shows("pipe2") && shows("epoll_wait"));
	ck_assert(shows("sendfile") && shows("mmap") && !shows("stat") && !shows("socket") && !shows("getpid"));
	filter("%process,%signal");
	ck_assert(shows("vfork") && shows("wait4") && shows("exit_group") && shows("kill") && shows("rt_sigreturn") && !shows("getpid"));
	filter("%network");
	ck_assert(shows("socket") && shows("socketpair") && shows("sendfile") && !shows("read"));
	filter("%ipc");
	ck_assert(shows("semop") && shows("shmget") && !shows("mq_open"));
}
END_TEST

/* What there is not is said. */
START_TEST(bad_filters)
{
	static const char *const bad[] = {"", ",", "read,", "!", "%", "%files", "!%nothing", "read,!", "!!read", "a%file"};
	char why[300];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		ck_assert_int_eq(strace_init(bad[i], pipe_fd[1], why, sizeof(why)), -EINVAL);
		ck_assert_msg(strstr(why, "there is no "), "%s: %s", bad[i], why);
	}
	ck_assert(!strace_on);
}
END_TEST

START_TEST(first_exec)
{
	char *argv[] = {(char *)(uintptr_t)"a\"b", NULL}, *envp[] = {(char *)(uintptr_t)"A=1", (char *)(uintptr_t)"B=2", NULL};

	filter("read");
	strace_first_exec(&task, "/bin/x", argv, envp, 0);
	ck_assert_str_eq(written(), "");
	filter("%process");
	strace_first_exec(&task, "/bin/x", argv, envp, 0);
	CHECK_LINE(written(), "execve(\"/bin/x\", [\"a\\\"b\"], [/* 2 vars */]) = 0");
	strace_first_exec(&task, "/bin/x", argv, envp + 2, -EACCES);
	CHECK_LINE(written(), "execve(\"/bin/x\", [\"a\\\"b\"], [/* 0 vars */]) = -1 EACCES (Permission denied)");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("strace");
	TCase *lines = tcase_create("lines"), *filter = tcase_create("filter");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(lines, setup_all, NULL);
	tcase_add_test(lines, paths_flags_and_errors);
	tcase_add_test(lines, buffers);
	tcase_add_test(lines, vectors_and_arrays);
	tcase_add_test(lines, structures);
	tcase_add_test(lines, calls_without_return_are_written_at_once);
	tcase_add_test(lines, unknown_numbers);
	tcase_add_test(lines, wild_arguments);
	suite_add_tcase(s, lines);
	tcase_add_checked_fixture(filter, setup, NULL);
	tcase_add_test(filter, names_are_filtered);
	tcase_add_test(filter, names_are_excluded);
	tcase_add_test(filter, exclusions_and_groups);
	tcase_add_test(filter, bad_filters);
	tcase_add_test(filter, first_exec);
	suite_add_tcase(s, filter);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
