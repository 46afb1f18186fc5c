/*
 * Makes the cases and runs each in a child: one argument bad at a time, and then many at once, by a generator of
 * numbers whose seed is in the output.
 *
 *     calls DIRECTORY [-s SEED] [-n RANDOM_CASES_A_CALL] [-i] [CALL...]
 *
 * Goes to DIRECTORY, which it may write to, and should be process 1 of its own namespaces: a case may be kill(-1,
 * SIGKILL).  With -i it runs inside, where also the calls are made that Bailey refuses.  A line for each case: the
 * call, and its errno, 0 or
 * ">0"; "killed N" where a signal ended it; "hangs" where not even a signal did.
 */
#include "calls.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each fits into an exit status, with errno below them. */
enum { CODE_POSITIVE = 201, CODE_STRANGE = 202, CODE_BROKEN = 203 };
#define HANG_SECONDS 5

static unsigned case_number, wrong;
static bool inside;
static volatile sig_atomic_t timed_out;

void die(const char *what, int line)
{
	fprintf(stderr, "calls: line %d: %s: %s\n", line, what, strerror(errno));
	_exit(CODE_BROKEN);
}

/* ---- what is left out ---- */

static const struct {
	const char *call, *why;
} left_out[] = {
	{"uretprobe", "only the kernel's own trampoline may; others get SIGILL"},
	{"uprobe", "as uretprobe"},
	{"rt_sigreturn", "it returns to whatever lies on the stack; tests/guest/signal_frame.c has the cases"},
};

static const struct {
	const char *call, *arg, *label, *why;
} values_left_out[] = {
	{"setpriority", "which", "PRIO_USER", "it would last: the runner is one of the user's processes"},
	{"setpriority", "who", "1", "it would last: process 1 runs the cases"},
	{"ioprio_set", "who", "1", "as above"},
	{"ioprio_set", "which", "3", "as PRIO_USER"},
};

static const char *call_left_out(const char *name)
{
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (strcmp(left_out[i].call, name) == 0)
			return left_out[i].why;
	return NULL;
}

static bool value_left_out(const char *call, const char *arg, const char *label)
{
	for (size_t i = 0; i < sizeof(values_left_out) / sizeof(values_left_out[0]); i++)
		if (strcmp(values_left_out[i].call, call) == 0 && strcmp(values_left_out[i].arg, arg) == 0 &&
		    strcmp(values_left_out[i].label, label) == 0)
			return true;
	return false;
}

static void drop_left_out(struct pool *p, const char *call, const char *arg)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->count; i++)
		if (!value_left_out(call, arg, p->v[i].label))
			p->v[kept++] = p->v[i];
	p->count = kept;
}

/* ---- the child ---- */

static void on_alarm(int sig)
{
	(void)sig;
}

static void prepare_signals(void)
{
	static const int ignored[] = {SIGXFSZ, SIGPIPE, SIGPROF, SIGVTALRM, SIGIO};
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 170000}, {0, 170000}}; /* what blocks is interrupted, soon and again */

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void limit(int what, rlim_t n)
{
	struct rlimit r = {n, n};

	REQUIRE(setrlimit(what, &r) == 0);
}

static void prepare_limits(void)
{
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_AS, 256 << 20);
	limit(RLIMIT_MEMLOCK, 1 << 20);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, 20);
}

static uint64_t resolve(const struct value *v)
{
	int id = 0;

	switch (v->what) {
	case VALUE_PLAIN:
		return v->v;
	case VALUE_SELF:
		return (uint64_t)getpid();
	case VALUE_SHM:
		id = shmget(IPC_PRIVATE, 4096, 0600);
		break;
	case VALUE_SEM:
		id = semget(IPC_PRIVATE, 1, 0600);
		break;
	case VALUE_MSG:
		id = msgget(IPC_PRIVATE, 0600);
		break;
	}
	REQUIRE(id >= 0);
	return (uint64_t)id;
}

/* Makes the call and ends with its result, without memory: the call may have taken all of it away. */
__attribute__((noreturn)) static void fire(uint64_t nr, const uint64_t a[6])
{
	register uint64_t r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];

	__asm__ volatile("syscall\n"
			 "mov $60, %%ebx\n" /* a 0 may be a new thread's, which ends alone */
			 "xor %%edi, %%edi\n"
			 "test %%rax, %%rax\n"
			 "jz 2f\n"
			 "mov $231, %%ebx\n"
			 "mov %[positive], %%edi\n"
			 "jns 2f\n"
			 "mov %[strange], %%edi\n"
			 "neg %%rax\n"
			 "cmp $200, %%rax\n"
			 "ja 2f\n"
			 "mov %%eax, %%edi\n"
			 "2: mov %%rbx, %%rax\n"
			 "syscall\n"
			 "hlt\n"
			 :
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8),
			   "r"(r9), [positive] "i"(CODE_POSITIVE), [strange] "i"(CODE_STRANGE)
			 : "rbx", "rcx", "r11", "memory");
	__builtin_unreachable();
}

__attribute__((noreturn)) static void child(const struct abi_syscall *call, const struct value *v[6])
{
	uint64_t a[6] = {0};

	REQUIRE(setsid() > 0);
	world_files(case_number);
	prepare_limits();
	for (unsigned i = 0; i < ABI_MAX_ARGS && v[i]; i++)
		a[i] = resolve(v[i]);
	prepare_signals();
	fire(call->nr, a);
}

/* ---- the parent ---- */

static void on_hang(int sig)
{
	(void)sig;
	timed_out = 1;
}

/* The wait status of the case's process; children of its own come by, too.  Kills it where it does not end. */
static int await(pid_t pid)
{
	struct itimerval end = {{HANG_SECONDS, 0}, {HANG_SECONDS, 0}}, off = {{0, 0}, {0, 0}};
	int status;
	pid_t got;

	timed_out = 0;
	REQUIRE(setitimer(ITIMER_REAL, &end, NULL) == 0);
	do {
		got = wait(&status);
		if (got < 0 && timed_out)
			kill(pid, SIGKILL);
		REQUIRE(got > 0 || errno == EINTR);
	} while (got != pid);
	REQUIRE(setitimer(ITIMER_REAL, &off, NULL) == 0);
	return status;
}

static void outcome(char out[64], int status)
{
	int code = WEXITSTATUS(status);

	if (timed_out)
		strcpy(out, "hangs");
	else if (WIFSIGNALED(status))
		sprintf(out, "killed %d", WTERMSIG(status));
	else if (code == 0)
		strcpy(out, "0");
	else if (code == CODE_POSITIVE)
		strcpy(out, ">0");
	else if (code < CODE_POSITIVE && strerrorname_np(code))
		strcpy(out, strerrorname_np(code));
	else
		sprintf(out, "strange %d", code);
}

static void run_case(const struct abi_syscall *call, const struct value *v[6])
{
	char result[64];
	pid_t pid;

	case_number++;
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0)
		child(call, v);
	outcome(result, await(pid));
	world_clean(case_number);
	if (call->status == ABI_ABSENT) { /* natively nobody made it, so there is nothing to compare it with */
		if (strcmp(result, strerrorname_np(call->refusal)) == 0)
			return;
		wrong++;
	}
	printf("%s(", call->name);
	for (unsigned i = 0; i < ABI_MAX_ARGS && v[i]; i++)
		printf("%s%s=%s", i ? ", " : "", call->args[i].name, v[i]->label);
	printf(") -> %s\n", result);
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

static void run_random(const struct abi_syscall *call, const struct pool *pools, unsigned args, uint64_t seed,
		       unsigned cases)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ull + call->nr * 0x100000001b3ull;

	for (unsigned n = 0; n < cases; n++) {
		const struct value *v[6] = {NULL};

		for (unsigned i = 0; i < args; i++) {
			uint64_t r = next_random(&state);

			v[i] = &pools[i].v[r >> 8 & 1 ? (r >> 16) % pools[i].count : 0];
		}
		run_case(call, v);
	}
}

static void run_call(const struct abi_syscall *call, uint64_t seed, unsigned random_cases)
{
	static struct pool pools[ABI_MAX_ARGS];
	const struct value *good[6] = {NULL};
	unsigned args = 0;

	world_items_begin();
	for (; args < ABI_MAX_ARGS && call->args[args].kind; args++) {
		pool_make(&pools[args], call, args);
		drop_left_out(&pools[args], call->name, call->args[args].name);
		good[args] = &pools[args].v[0];
	}
	run_case(call, good);
	for (unsigned i = 0; i < args; i++)
		for (unsigned k = 1; k < pools[i].count; k++) {
			const struct value *v[6];

			memcpy(v, good, sizeof(v));
			v[i] = &pools[i].v[k];
			run_case(call, v);
		}
	if (args > 1)
		run_random(call, pools, args, seed, random_cases);
}

static bool wanted(const struct abi_syscall *call, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], call->name) == 0)
			return true;
	return count == 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_hang};
	unsigned long seed = 1, random_cases = 40;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:i")) != -1)
		switch (opt) {
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			random_cases = strtoul(optarg, NULL, 0);
			break;
		case 'i':
			inside = true;
			break;
		default:
			return 2;
		}
	if (optind == argc || chdir(argv[optind])) {
		fprintf(stderr, "usage: calls DIRECTORY [-s SEED] [-n CASES] [-i] [CALL...]\n");
		return 2;
	}
	umask(022);
	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	world_memory();
	printf("# seed %lu, %lu cases by it a call\n", seed, random_cases);
	for (size_t i = 0; i < abi_syscall_count; i++) {
		const struct abi_syscall *call = &abi_syscalls[i];

		if (!wanted(call, argv + optind + 1, argc - optind - 1))
			continue;
		if (call_left_out(call->name))
			printf("# %s left out: %s\n", call->name, call_left_out(call->name));
		else if (inside || call->status != ABI_ABSENT)
			run_call(call, seed, call->status == ABI_ABSENT ? 10 : (unsigned)random_cases);
	}
	printf("# %u wrong\n", wrong);
	return wrong ? 1 : 0;
}
