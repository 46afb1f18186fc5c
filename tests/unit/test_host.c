/*
 * host/: clocks, futexes and owners; and above all the sentry's own filter: each call that it must not make is made in
 * a child that has installed the filter, which must be killed by SIGSYS.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "base/compiler.h"
#include "host/caller.h"
#include "host/clock.h"
#include "host/confine.h"
#include "host/facts.h"
#include "host/futex.h"
#include "host/process.h"
#include "host/random.h"
#include "host/system.h"

#define SURVIVED 33

/* ---- the filter ---- */

/* What must not get through, a function each. */

static void try_execve(void)
{
	char *argv[] = {"true", NULL};

	execv("/bin/true", argv);
}

static void try_fork(void)
{
	if (fork() == 0)
		_exit(0);
}

static void try_vfork_flags(void)
{
	syscall(SYS_clone, CLONE_VM | SIGCHLD, 0, 0, 0, 0);
}

static void try_thread_in_new_user_namespace(void)
{
	syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER, 0, 0, 0, 0);
}

static void try_exec_mapping(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_exec_protection(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void try_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void try_connect(void)
{
	connect(0, NULL, 0);
}

static void try_kill_group(void)
{
	kill(0, SIGKILL);
}

static void try_kill_other_group(void)
{
	kill(-INT32_MAX, SIGKILL); /* there is none, should it get through */
}

static void try_other_signals(void)
{
	kill(getppid(), SIGCONT);
}

static void try_signals_to_a_thread(void)
{
	syscall(SYS_tgkill, getppid(), getppid(), SIGCONT);
}

static void try_set_limit(void)
{
	struct rlimit r = {100, 100};

	setrlimit(RLIMIT_NOFILE, &r);
}

static void try_other_limits(void)
{
	struct rlimit r;

	prlimit(1, RLIMIT_NOFILE, NULL, &r);
}

static void try_type_into_terminal(void)
{
	ioctl(0, TIOCSTI, "x");
}

static void try_device_node(void)
{
	syscall(SYS_mknodat, AT_FDCWD, "/tmp/never", S_IFCHR | 0600, 0x103);
}

static void try_ptracer(void)
{
	prctl(PR_SET_PTRACER, -1, 0, 0, 0);
}

static void try_unshare(void)
{
	unshare(CLONE_NEWUSER);
}

static void try_mount(void)
{
	syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static void try_io_uring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
}

static void try_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void try_int80(void)
{
	long r = 20; /* getpid */

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
}

static void try_x32(void)
{
	syscall(0x40000000 | SYS_getpid);
}

static void try_set_owner(void)
{
	fcntl(0, F_SETOWN, 1);
}

static void (*const forbidden[])(void) = {
	try_execve,
	try_fork,
	try_vfork_flags,
	try_thread_in_new_user_namespace,
	try_exec_mapping,
	try_exec_protection,
	try_socket,
	try_connect,
	try_kill_group,
	try_kill_other_group,
	try_other_signals,
	try_signals_to_a_thread,
	try_set_limit,
	try_other_limits,
	try_type_into_terminal,
	try_device_node,
	try_ptracer,
	try_unshare,
	try_mount,
	try_io_uring,
	try_bpf,
	try_int80,
	try_x32,
	try_set_owner,
};

static void drop_and_filter(const char *platform)
{
	struct confine_report rep;

	setpgid(0, 0); /* what gets through that should not hits us alone */
	confine_report_init(&rep);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_filter(&rep, platform) < 0)
		_exit(1);
	if (rep.state[CONFINE_SECCOMP] < 0)
		_exit(77); /* a sanitizer's build goes without */
}

static int run(void (*fn)(void), const char *platform)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		drop_and_filter(platform);
		fn();
		_exit(SURVIVED);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(filter_kills)
{
	int status = run(forbidden[_i], "systrap");

	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return;
	ck_assert_msg(WIFSIGNALED(status), "case %d: status %#x", _i, (unsigned)status);
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

static void *count_up(void *arg)
{
	++*(int *)arg;
	return NULL;
}

/* What the sentry does all day. */
static void everyday(void)
{
	pthread_t threads[4];
	int counts[4] = {0};
	uint64_t soft, hard;
	char *p;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, count_up, &counts[i]) != 0)
			_exit(2);
	for (int i = 0; i < 4; i++)
		if (pthread_join(threads[i], NULL) != 0 || counts[i] != 1)
			_exit(3);
	p = malloc(1 << 24);
	if (!p)
		_exit(4);
	memset(p, 1, 1 << 24);
	p = realloc(p, 1 << 25);
	free(p);
	if (host_getrlimit(RLIMIT_NOFILE, &soft, &hard) < 0 || syscall(SYS_tgkill, getpid(), gettid(), 0) < 0)
		_exit(5);
}

START_TEST(filter_lets_the_sentry_work)
{
	static const char *const platforms[] = {"systrap", "ptrace"};
	int status = run(everyday, platforms[_i]);

	ck_assert_msg(WIFEXITED(status), "status %#x", (unsigned)status);
	ck_assert(WEXITSTATUS(status) == SURVIVED || WEXITSTATUS(status) == 77);
}
END_TEST

/* A row of one platform is not open to the other. */
static void try_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

START_TEST(filter_by_platform)
{
	int status = run(try_ptrace, "systrap");

	ck_assert(WIFEXITED(status) ? WEXITSTATUS(status) == 77 : WTERMSIG(status) == SIGSYS);
	status = run(try_ptrace, "ptrace");
	ck_assert(WIFEXITED(status));
}
END_TEST

/* ---- the report ---- */

START_TEST(report_names_what_is_missing)
{
	struct confine_report rep;
	char text[256], small[8];

	confine_report_init(&rep);
	rep.state[CONFINE_USER_NS] = CONFINE_UNNEEDED;
	rep.state[CONFINE_MOUNT_NS] = 0;
	rep.state[CONFINE_NET_NS] = -EPERM;
	confine_report_text(&rep, text, sizeof(text));
	ck_assert_str_eq(text, "mount; refused by the host: net (EPERM)");
	confine_report_text(&rep, small, sizeof(small));
	ck_assert_uint_lt(strlen(small), sizeof(small));
}
END_TEST

START_TEST(layers_by_key)
{
	for (int i = 0; i < CONFINE_LAYER_COUNT; i++) {
		const char *key = confine_layer_key((enum confine_layer)i);

		ck_assert_int_eq((int)confine_layer_by_key(key, strlen(key)), i);
	}
	ck_assert_int_eq((int)confine_layer_by_key("userns,pidns", 6), CONFINE_USER_NS);
	ck_assert_int_eq((int)confine_layer_by_key("user", 4), CONFINE_LAYER_COUNT);
	ck_assert_int_eq((int)confine_layer_by_key("", 0), CONFINE_LAYER_COUNT);
}
END_TEST

/* ---- what the host says of itself ---- */

START_TEST(facts_fields)
{
	static const char text[] = "Name:\tSeccomp:\t9\nSeccomp:\t2\nSeccomp_filters:\t1\nEmpty:\n";

	ck_assert_int_eq(host_facts_field(text, "Seccomp"), 2);
	ck_assert_int_eq(host_facts_field(text, "Seccomp_filters"), 1);
	ck_assert_int_eq(host_facts_field(text, "NoNewPrivs"), FACT_UNKNOWN);
	ck_assert_int_eq(host_facts_field(text, "Empty"), FACT_UNKNOWN);
	ck_assert_int_eq(host_facts_field("", "Seccomp"), FACT_UNKNOWN);
}
END_TEST

static void cgroup_is(const char *text, int version, const char *path)
{
	struct host_cgroup c;

	host_facts_cgroup(text, &c);
	ck_assert_int_eq(c.version, version);
	ck_assert_str_eq(c.path, path);
}

START_TEST(facts_cgroups)
{
	cgroup_is("0::/user.slice/a:b\n", 2, "/user.slice/a:b");
	cgroup_is("5:cpu,cpuacct:/c\n4:memory:/m\n1:name=systemd:/s\n0::/u\n", 1, "/m");
	cgroup_is("0::/u\n4:hugetlb,memory:/m\n", 1, "/m");
	cgroup_is("4:memoryless:/m\n", 0, "");
	cgroup_is("", 0, "");
	cgroup_is("nonsense", 0, "");
}
END_TEST

START_TEST(cures)
{
	struct host_facts f = {.uid = 1000, .userns_clone = FACT_UNKNOWN, .apparmor_userns = FACT_UNKNOWN, .max_user_namespaces = 9};

	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_USER_NS, -EPERM), "security modules"));
	f.seccomp_filters = 1;
	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_USER_NS, -EPERM), "seccomp profile"));
	f.userns_clone = 0;
	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_PID_NS, -EPERM), "unprivileged_userns_clone"));
	f.max_user_namespaces = 0;
	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_USER_NS, -ENOSPC), "max_user_namespaces"));
	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_USER_NS, -EINVAL), "built without"));
	ck_assert_ptr_nonnull(strstr(host_cure(&f, CONFINE_EMPTY_ROOT, -ENOSYS), "5.12"));
}
END_TEST

/* ---- the rest ---- */

START_TEST(owners)
{
	ck_assert_uint_eq(host_shown_uid(65534), 65534);
	host_know_only(1000, 1001);
	ck_assert_uint_eq(host_shown_uid(1000), 1000);
	ck_assert_uint_eq(host_shown_uid(65534), 0);
	ck_assert_uint_eq(host_shown_gid(65534), 0);
	ck_assert_uint_eq(host_shown_gid(1001), 1001);
	host_know_only(65534, 65534);
	ck_assert_uint_eq(host_shown_uid(65534), 65534);
}
END_TEST

static _Atomic uint32_t word;

static void *wake_later(void *arg)
{
	struct timespec ts = {.tv_nsec = 20000000};

	(void)arg;
	nanosleep(&ts, NULL);
	word = 1;
	host_futex_wake(&word, 1);
	return NULL;
}

START_TEST(futex)
{
	int64_t start = host_clock_ns(CLOCK_MONOTONIC);
	pthread_t t;
	int r;

	word = 0;
	ck_assert_int_eq(host_futex_wait(&word, 1, INT64_MAX), -EAGAIN);
	ck_assert_int_eq(host_futex_wait(&word, 0, start + 10000000), -ETIMEDOUT);
	ck_assert_int_ge(host_clock_ns(CLOCK_MONOTONIC) - start, 10000000);
	ck_assert_int_eq(host_futex_wait(&word, 0, 0), -ETIMEDOUT);
	ck_assert_int_eq(pthread_create(&t, NULL, wake_later, NULL), 0);
	while (word == 0) {
		r = host_futex_wait(&word, 0, INT64_MAX);
		ck_assert(r == 0 || r == -EAGAIN || r == -EINTR);
	}
	pthread_join(t, NULL);
}
END_TEST

START_TEST(clocks_and_machine)
{
	uint8_t a[64] = {0}, b[64] = {0};
	struct host_memory m;
	uint64_t up, loads[3], mask[HOST_CPUS_MAX / 64];

	ck_assert_int_eq(host_clock_ns(12345), -EINVAL);
	ck_assert_int_gt(host_clock_ns(CLOCK_REALTIME), 0);
	ck_assert_int_gt(host_clock_resolution_ns(CLOCK_MONOTONIC), 0);
	host_random(a, sizeof(a));
	host_random(b, sizeof(b));
	ck_assert_int_ne(memcmp(a, b, sizeof(a)), 0);
	host_system_init();
	ck_assert_uint_ge(host_cpu_count(), 1);
	ck_assert_uint_ge(host_cpu_mask(mask, sizeof(mask)), 8);
	host_memory(&m);
	ck_assert_uint_gt(m.total, m.free);
	host_uptime(&up, loads);
	ck_assert_uint_gt(up, 0);
	ck_assert_uint_eq(host_process_rss(getpid(), &up), 0); /* no proc was given */
}
END_TEST

/* What a thread of a stub does, by the proc that the sentry was given. */
START_TEST(stub_threads)
{
	siginfo_t info;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		for (;;)
			continue;
	ck_assert(!host_stub_thread_runnable(pid, pid)); /* no proc yet */
	ck_assert_int_lt(host_stub_thread_cpu(pid, pid), 0);
	host_set_proc_fd(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
	ck_assert(host_stub_thread_runnable(pid, pid));
	ck_assert_int_ge(host_stub_thread_cpu(pid, pid), 0);
	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
	ck_assert(!host_stub_thread_runnable(pid, pid));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
	ck_assert(!host_stub_thread_runnable(pid, pid));
	ck_assert_int_lt(host_stub_thread_cpu(pid, pid), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("host");
	TCase *filter = tcase_create("filter"), *rest = tcase_create("rest");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(filter, filter_kills, 0, (int)ARRAY_SIZE(forbidden));
	tcase_add_loop_test(filter, filter_lets_the_sentry_work, 0, 2);
	tcase_add_test(filter, filter_by_platform);
	suite_add_tcase(s, filter);
	tcase_add_test(rest, report_names_what_is_missing);
	tcase_add_test(rest, layers_by_key);
	tcase_add_test(rest, facts_fields);
	tcase_add_test(rest, facts_cgroups);
	tcase_add_test(rest, cures);
	tcase_add_test(rest, owners);
	tcase_add_test(rest, futex);
	tcase_add_test(rest, clocks_and_machine);
	tcase_add_test(rest, stub_threads);
	suite_add_tcase(s, rest);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
