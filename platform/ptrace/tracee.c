/* See tracee.h. */
#include "platform/ptrace/tracee.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "base/log.h"
#include "platform/arch/x86_64/fault.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/ptrace/shim.h"

_Static_assert(sizeof(struct abi_regs) == sizeof(struct user_regs_struct), "PTRACE_GETREGS fills abi_regs");
_Static_assert(offsetof(struct abi_regs, rip) == offsetof(struct user_regs_struct, rip), "the order of registers");

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define INT3 0xcc
#define NOT_IN_SYSCALL UINT64_MAX     /* in orig_rax: the host then never restarts a call */

void tracee_init(struct tracee *t, pid_t pid, pid_t tid, uint64_t shim_base, struct watchdog *dog)
{
	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->tid = tid;
	t->shim_base = shim_base;
	t->dog = dog;
}

/* A request that can fail only because the thread is dying. */
static int request(struct tracee *t, enum __ptrace_request req, void *addr, void *data)
{
	if (t->gone)
		return -ESRCH;
	if (ptrace(req, t->tid, addr, data) == 0)
		return 0;
	if (errno != ESRCH)
		log_error("ptrace request %d on thread %d of a stub: %s", (int)req, t->tid, strerror(errno));
	t->gone = true;
	return -ESRCH;
}

/* ---- registers ---- */

static int fetch_regs(struct tracee *t)
{
	int r;

	if (t->regs_known)
		return 0;
	r = request(t, PTRACE_GETREGS, NULL, &t->regs);
	if (r < 0)
		return r;
	if (t->rax_dirty)
		t->regs.rax = t->rax;
	t->regs_known = true;
	return 0;
}

static int flush_regs(struct tracee *t)
{
	int r = 0;

	if (t->regs_dirty) {
		t->regs.orig_rax = NOT_IN_SYSCALL;
		r = request(t, PTRACE_SETREGS, NULL, &t->regs);
	} else if (t->rax_dirty) {
		/* orig_rax still holds the call's number, but what the sentry returns is never a restart code. */
		r = request(t, PTRACE_POKEUSER, (void *)offsetof(struct user, regs.rax), (void *)t->rax);
	}
	t->regs_dirty = t->rax_dirty = false;
	return r;
}

int tracee_get_regs(struct tracee *t, struct abi_regs *out)
{
	int r = fetch_regs(t);

	if (r == 0)
		*out = t->regs;
	return r;
}

void tracee_set_regs(struct tracee *t, const struct abi_regs *regs)
{
	t->regs = *regs;
	t->regs_known = t->regs_dirty = true;
	t->rax_dirty = false;
}

void tracee_set_rax(struct tracee *t, uint64_t rax)
{
	if (t->regs_known)
		t->regs.rax = rax;
	if (!t->regs_dirty) {
		t->rax = rax;
		t->rax_dirty = true;
	}
}

int tracee_siginfo(struct tracee *t, siginfo_t *out)
{
	return request(t, PTRACE_GETSIGINFO, NULL, out);
}

/* ---- running and waiting ---- */

int tracee_resume(struct tracee *t, int req)
{
	int r = flush_regs(t);

	if (r == 0)
		r = request(t, (enum __ptrace_request)req, NULL, NULL);
	t->regs_known = false;
	return r;
}

static struct stop classify(struct tracee *t, int status)
{
	if (!WIFSTOPPED(status)) {
		t->gone = t->reaped = true;
		return (struct stop){STOP_GONE, 0};
	}
	if (status >> 16)
		return (struct stop){STOP_EVENT, 0};
	if (WSTOPSIG(status) == SYSCALL_STOP)
		return (struct stop){STOP_SYSCALL, 0};
	return (struct stop){STOP_SIGNAL, WSTOPSIG(status)};
}

/* From here to the next call with false the thread owes an answer, and the watchdog sees to it that there is an end. */
static void set_due(struct tracee *t, bool due)
{
	atomic_store(&t->watched.due, due);
	if (due)
		watchdog_wake(t->dog);
}

/* Only the waiting thread changes the number. */
static void count_wait(struct watched *w)
{
	atomic_store_explicit(&w->waits, atomic_load_explicit(&w->waits, memory_order_relaxed) + 1, memory_order_release);
}

struct stop tracee_wait(struct tracee *t)
{
	int status;
	pid_t r;

	count_wait(&t->watched);
	do
		r = waitpid(t->tid, &status, __WALL | __WNOTHREAD);
	while (r < 0 && errno == EINTR && !atomic_load(&t->watched.abandoned));
	count_wait(&t->watched);
	if (r < 0) {
		t->gone = true;
		return (struct stop){STOP_GONE, 0};
	}
	return classify(t, status);
}

/* ---- seizing and letting go ---- */

static bool in_park(const struct tracee *t)
{
	return t->regs.rip >= SHIM_AT(t->shim_base, park) && t->regs.rip <= SHIM_AT(t->shim_base, parked);
}

/* A new process has calls of its own to make before it parks; all else that is not in the park has none. */
static bool has_first_steps(const struct tracee *t)
{
	return t->regs.rip >= SHIM_AT(t->shim_base, fork) && t->regs.rip < SHIM_AT(t->shim_base, forked);
}

/* The next stop of a thread that is on its way to the park, and its registers there.  0 or -ESRCH. */
static int next_stop_before_park(struct tracee *t)
{
	struct stop stop = tracee_wait(t);

	if (stop.kind == STOP_GONE)
		return -ESRCH;
	if (stop.kind == STOP_SIGNAL && stop.signo != SIGURG) {
		t->gone = true; /* it trapped on its way to the park: its sentry was not its parent */
		return -ESRCH;
	}
	return fetch_regs(t);
}

/*
 * A thread that is still on its way to the park is led there from call to call.  Not by interrupting it again and again:
 * on a busy CPU it may then be stopped each time before its next instruction, thousands of times over.
 */
static int lead_to_park(struct tracee *t)
{
	int r = request(t, PTRACE_INTERRUPT, NULL, NULL);

	if (r == 0)
		r = next_stop_before_park(t);
	while (r == 0 && !in_park(t)) {
		/* SYSEMU stops it at the park's pause, which is then not made. */
		r = tracee_resume(t, has_first_steps(t) ? PTRACE_SYSCALL : PTRACE_SYSEMU);
		if (r == 0)
			r = next_stop_before_park(t);
	}
	return r;
}

int tracee_seize(struct tracee *t)
{
	int r;

	if (ptrace(PTRACE_SEIZE, t->tid, NULL, (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) < 0) {
		t->gone = errno == ESRCH;
		return -errno;
	}
	t->traced = true;
	atomic_store(&t->watched.waiter, gettid());
	set_due(t, true);
	r = lead_to_park(t);
	set_due(t, false);
	return r;
}

static int detach_at(struct tracee *t, uint64_t ip)
{
	int r = fetch_regs(t);

	if (r < 0)
		return r;
	t->regs.rip = ip;
	t->regs_dirty = true;
	r = flush_regs(t);
	if (r == 0)
		r = request(t, PTRACE_DETACH, NULL, NULL);
	/* One that is dying stays ours to be waited for. */
	if (r == 0)
		t->traced = false;
	t->regs_known = false;
	return r;
}

int tracee_park(struct tracee *t)
{
	return detach_at(t, SHIM_AT(t->shim_base, park));
}

bool tracee_end(struct tracee *t)
{
	if (t->reaped || (!t->gone && detach_at(t, SHIM_AT(t->shim_base, exit)) == 0))
		return true;
	/* A leader's end shows only after that of its siblings, whose tracers may be asleep; it is reaped with the stub. */
	return !t->traced || t->tid == t->pid || tracee_reap(t);
}

bool tracee_reap(struct tracee *t)
{
	int status;
	pid_t r;

	/* If its tracer has ended the host has reaped it, and the number may be another's. */
	if (syscall(SYS_tgkill, t->pid, t->tid, 0) < 0 && errno == ESRCH)
		return true;
	do
		r = waitpid(t->tid, &status, __WALL | WNOHANG);
	while ((r < 0 && errno == EINTR) || (r > 0 && WIFSTOPPED(status)));
	return r != 0;
}

/* ---- the shim ---- */

/* True if the thread has run into one of the shim's int3: a SIGTRAP can also have been sent from outside. */
static bool at_end_of_entry(const struct tracee *t, uint64_t ip)
{
	uint64_t off = ip - t->shim_base;

	return off > 0 && off <= (uint64_t)(ptrace_shim_end - ptrace_shim) && ptrace_shim[off - 1] == INT3;
}

/* Continues a thread that is in the shim, with a signal or 0, until an entry is done.  *io takes the registers.  0, -EFAULT or
 * -ESRCH. */
static int run_to_end(struct tracee *t, int signo, uint64_t entry, struct abi_regs *io)
{
	for (;;) {
		struct stop stop;
		siginfo_t info;
		int r = request(t, PTRACE_CONT, NULL, (void *)(long)signo);

		signo = 0;
		if (r < 0)
			return r;
		stop = tracee_wait(t);
		if (stop.kind == STOP_GONE)
			return -ESRCH;
		/* A kick that came late and a stop signal from outside are not for now. */
		if (stop.kind != STOP_SIGNAL || stop.signo == SIGURG)
			continue;
		if (request(t, PTRACE_GETREGS, NULL, io) < 0 || tracee_siginfo(t, &info) < 0)
			return -ESRCH;
		if (stop.signo == SIGTRAP && at_end_of_entry(t, io->rip))
			return 0;
		if (!fault_is_exception(&info))
			continue;
		if (io->rip == entry)
			return -EFAULT;
		t->gone = true; /* the shim does not trap elsewhere: this stub is not what it should be */
		return -ESRCH;
	}
}

/* Loads *call, which is the guest's registers but for what the caller has changed, and runs the shim from there. */
static int run_with(struct tracee *t, struct abi_regs *call, int signo, struct abi_regs *io)
{
	int r;

	call->orig_rax = NOT_IN_SYSCALL;
	/* The guest may run with the trap or alignment-check flag, or in 32-bit mode. */
	call->eflags = X86_64_EFLAGS_FRESH;
	call->cs = X86_64_USER_CS;
	call->ss = X86_64_USER_DS;
	t->regs_dirty = true; /* from here on the host has the shim's */
	r = request(t, PTRACE_SETREGS, NULL, call);
	if (r < 0)
		return r;
	set_due(t, true);
	r = run_to_end(t, signo, call->rip, io);
	set_due(t, false);
	return r;
}

int tracee_run_shim(struct tracee *t, uint64_t entry, struct abi_regs *io)
{
	struct abi_regs call;
	int r = fetch_regs(t);

	if (r < 0)
		return r;
	call = t->regs;
	call.rax = io->rax;
	call.rdi = io->rdi;
	call.rsi = io->rsi;
	call.rdx = io->rdx;
	call.r10 = io->r10;
	call.r8 = io->r8;
	call.r9 = io->r9;
	call.r12 = io->r12;
	call.r13 = io->r13;
	call.rip = entry;
	return run_with(t, &call, 0, io);
}

/* The frame whose handler has been entered with *regs. */
static int read_frame(struct tracee *t, const struct abi_regs *regs, struct tracee_exception *out)
{
	struct l_rt_sigframe frame;
	struct iovec local = {&frame, sizeof(frame)}, remote = {(void *)regs->rsp, sizeof(frame)};

	if (process_vm_readv(t->tid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(frame)) {
		t->gone = true;
		return -ESRCH;
	}
	out->trapno = frame.uc.uc_mcontext.trapno;
	out->err = frame.uc.uc_mcontext.err;
	out->cr2 = frame.uc.uc_mcontext.cr2;
	return 0;
}

int tracee_exception(struct tracee *t, struct tracee_exception *out)
{
	uint8_t xstate[XSTATE_MAX];
	struct iovec state = {xstate, sizeof(xstate)};
	unsigned long note = NT_X86_XSTATE;
	struct abi_regs call, at_handler;
	int r = fetch_regs(t);

	if (r < 0)
		return r;
	/* A handler begins with fresh vectors, so the guest's have to be kept. */
	if (ptrace(PTRACE_GETREGSET, t->tid, (void *)note, &state) < 0) {
		note = NT_PRFPREG; /* a machine without XSAVE */
		r = request(t, PTRACE_GETREGSET, (void *)note, &state);
	}
	if (r < 0)
		return r;
	call = t->regs;
	call.rip = SHIM_AT(t->shim_base, handler);
	call.rsp = t->shim_base + SHIM_SIZE;
	r = run_with(t, &call, SIGSEGV, &at_handler);
	if (r == 0)
		r = read_frame(t, &at_handler, out);
	if (r == 0)
		r = request(t, PTRACE_SETREGSET, (void *)note, &state);
	return r < 0 ? -ESRCH : 0;
}

int64_t tracee_syscall(struct tracee *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		       uint64_t a5)
{
	struct abi_regs io = {
		.rax = (uint64_t)nr, .rdi = a0, .rsi = a1, .rdx = a2, .r10 = a3, .r8 = a4, .r9 = a5,
	};
	int r = tracee_run_shim(t, SHIM_AT(t->shim_base, syscall), &io);

	return r < 0 ? -ESRCH : (int64_t)io.rax;
}
