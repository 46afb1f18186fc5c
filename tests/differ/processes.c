/* Signals, children, and what is waited for. */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANDLED_MAX 32

static struct {
	int signo, code, value;
} handled[HANDLED_MAX];
static volatile unsigned handled_count;
static const int signals[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGURG, SIGWINCH, SIGCONT};
static pid_t children[4];

static void on_signal(int signo, siginfo_t *info, void *context)
{
	unsigned n = handled_count;

	if (n == HANDLED_MAX)
		return;
	handled[n].signo = signo;
	handled[n].code = info->si_code;
	handled[n].value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
	handled_count = n + 1;
}

void say_handled(void)
{
	sigset_t all, old;

	if (!handled_count)
		return;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < handled_count; i++)
		more(" <%d %d %d>", handled[i].signo, handled[i].code, handled[i].value);
	handled_count = 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void handle(int signo, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	sigaction(signo, &sa, NULL);
}

void processes_start(void)
{
	static char stack[65536];
	const stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaltstack(&ss, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		handle(signals[i], 0);
	handle(SIGRTMIN, 0);
	handle(SIGRTMIN + 1, SA_ONSTACK);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static int some_signal(void)
{
	return once_in(3) ? SIGRTMIN + (int)roll(2) : PICK(signals);
}

/* ---- signals ---- */

static void send_step(void)
{
	int signo = some_signal(), value = (int)roll(1000);

	switch (roll(3)) {
	case 0:
		step("kill(self, %d)", signo);
		gave(kill(getpid(), signo));
		break;
	case 1:
		step("sigqueue(self, %d, %d)", signo, value);
		gave(sigqueue(getpid(), signo, (union sigval){.sival_int = value}));
		break;
	default:
		step("tgkill(self, %d)", signo);
		gave(syscall(SYS_tgkill, getpid(), gettid(), signo));
	}
}

static long mask_of(const sigset_t *set)
{
	long m = 0;

	for (int i = 1; i <= 36; i++)
		if (i != 32 && i != 33 && sigismember(set, i) == 1)
			m |= 1l << i;
	return m;
}

static void mask_step(void)
{
	static const int hows[] = {SIG_BLOCK, SIG_BLOCK, SIG_UNBLOCK, SIG_UNBLOCK, SIG_SETMASK, 7};
	int how = PICK(hows);
	sigset_t set, old, pending;

	sigemptyset(&set);
	sigemptyset(&old);
	for (int i = (int)roll(3); i >= 0; i--)
		sigaddset(&set, some_signal());
	step("sigprocmask(%d, %lx)", how, mask_of(&set));
	if (gave(sigprocmask(how, &set, &old)) == 0)
		more(" %lx", mask_of(&old));
	if (once_in(3)) {
		sigpending(&pending);
		more(" pending %lx", mask_of(&pending));
	}
}

static void action_step(void)
{
	static const int flags[] = {0, SA_RESTART, SA_NODEFER, SA_ONSTACK};
	int signo = some_signal(), f = PICK(flags);
	struct sigaction old;

	if (once_in(4)) {
		int other = once_in(2) ? SIGKILL : 99;

		step("sigaction(%d)", other);
		gave(sigaction(other, &(struct sigaction){.sa_handler = SIG_DFL}, &old));
		return;
	}
	step("sigaction(%d, %#x)", signo, f);
	handle(signo, f);
}

static void take_step(void)
{
	const struct timespec none = {0};
	siginfo_t info = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, some_signal());
	sigaddset(&set, some_signal());
	step("sigtimedwait(%lx)", mask_of(&set));
	if (gave(sigtimedwait(&set, &info, &none)) > 0)
		more(" %d %d", info.si_code, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
}

static void signalfd_step(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, some_signal());
	step("signalfd(%lx)", mask_of(&set));
	keep_fd(gave(signalfd(-1, &set, SFD_NONBLOCK)));
}

/* ---- children ---- */

/* What a child does: nothing that says anything. */
static void child(unsigned way, int fd)
{
	char byte = 'c';

	switch (way) {
	case 0:
		_exit(7);
	case 1:
		if (write(fd, &byte, 1) != 1)
			_exit(1);
		_exit(2);
	case 2:
		kill(getpid(), SIGKILL);
		break;
	case 3:
		*(volatile char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
		break;
	case 4:
		_exit(lseek(fd, 5, SEEK_CUR) > 0 ? 3 : 4);
	default:
		execl("/bin/true", "true", "argument", (char *)NULL);
		_exit(5);
	}
	_exit(6);
}

static void fork_step(void)
{
	pid_t *slot = &PICK(children);
	unsigned way = roll(6);
	int fd = some_fd();
	sigset_t all, old;

	if (*slot > 0)
		return;
	step("fork(): child %d does %u with %d", (int)(slot - children), way, fd);
	/* Its handlers would say what the parent's say. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	*slot = fork();
	if (*slot == 0) {
		signal(SIGSEGV, SIG_DFL);
		child(way, fd);
	}
	if (*slot < 0)
		gave(-1);
	else /* what it does is done before the next step */
		waitid(P_PID, (id_t)*slot, &(siginfo_t){0}, WEXITED | WNOWAIT);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void wait_step(void)
{
	unsigned which = roll(4);
	pid_t pid = children[which];
	siginfo_t info = {0};
	int status = 0;
	long r;

	if (pid <= 0) {
		step("waitpid(none)");
		gave(waitpid(getpid(), &status, WNOHANG));
		return;
	}
	if (once_in(2)) {
		step("wait4(child %u)", which);
		r = wait4(pid, &status, WNOHANG, NULL);
		more(r == pid ? " = it %#x" : " = ? %#x", status);
		if (r == pid)
			children[which] = 0;
		return;
	}
	step("waitid(child %u)", which);
	r = gave(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
	more(" %d %d %d", info.si_signo, info.si_code, info.si_status);
}

/* ---- limits and the like ---- */

static void limit_step(void)
{
	struct rlimit lim;
	mode_t mask = roll(0100) & ~0700u;

	switch (roll(4)) {
	case 0:
		lim = (struct rlimit){4096 * (1 + roll(8)), RLIM_INFINITY};
		step("setrlimit(FSIZE, %lu)", (unsigned long)lim.rlim_cur);
		gave(setrlimit(RLIMIT_FSIZE, &lim));
		break;
	case 1:
		lim = (struct rlimit){20 + roll(44), 64};
		step("setrlimit(NOFILE, %lu)", (unsigned long)lim.rlim_cur);
		gave(setrlimit(RLIMIT_NOFILE, &lim));
		break;
	case 2:
		step("umask(%o)", mask);
		gave(umask(mask));
		break;
	default:
		step("getcpu, sched_yield");
		gave(sched_yield());
		gave(sched_getcpu() >= 0);
	}
}

void process_step(void)
{
	static void (*const steps[])(void) = {send_step, send_step, send_step, mask_step, mask_step, mask_step, action_step,
					      take_step, signalfd_step, fork_step, wait_step, wait_step, limit_step};

	PICK(steps)();
}
