/*
 * One host thread under ptrace: seizing, resuming, waiting, its registers, and host calls made in it through the
 * shim.  Everything here is called by the thread that traces it, as ptrace demands.
 *
 * Registers are read when somebody asks and written back when the thread is resumed; a system call's way out is one
 * PTRACE_POKEUSER.  -ESRCH from any function means that the thread is dead or dying.
 */
#ifndef BAILEY_PLATFORM_PTRACE_TRACEE_H
#define BAILEY_PLATFORM_PTRACE_TRACEE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/regs.h"
#include "base/compiler.h"
#include "platform/ptrace/watchdog.h"

struct tracee {
	pid_t pid, tid;	      /* the stub's, and the thread's own; immutable */
	uint64_t shim_base;   /* immutable */
	struct watchdog *dog; /* immutable */
	struct watched watched;
	bool traced;	    /* by the thread in whose hands it is */
	bool gone;	    /* dead or dying; never unset */
	bool reaped;	    /* its end was waited for, tid means nothing any more */
	bool regs_known;    /* regs holds what the guest is to be resumed with */
	bool regs_dirty;    /* and the host does not have it yet */
	bool rax_dirty;	    /* only rax is to be written: rax */
	uint64_t rax;
	struct abi_regs regs;
};

enum stop_kind {
	STOP_SYSCALL, /* at a system call that will not be made */
	STOP_SIGNAL,  /* before a signal: signo */
	STOP_EVENT,   /* nothing of interest: resume it */
	STOP_GONE,
};

struct stop {
	enum stop_kind kind;
	int signo;
};

void tracee_init(struct tracee *t, pid_t pid, pid_t tid, uint64_t shim_base, struct watchdog *dog);

/* Starts to trace a parked thread; it is then stopped in the shim, its registers are the shim's. */
int tracee_seize(struct tracee *t) MUST_CHECK;
/* Lets go of a stopped thread: it parks again. */
int tracee_park(struct tracee *t) MUST_CHECK;
/*
 * Ends the thread without waiting for it.  False if it is dying and has to be waited for once it is dead (tracee_reap):
 * a traced thread stays a zombie until then, and keeps its stub from being reaped.
 */
bool tracee_end(struct tracee *t) MUST_CHECK;
/* Any thread, of a thread that is not the leader, while its stub is not reaped.  True if there is nothing left of it. */
bool tracee_reap(struct tracee *t) MUST_CHECK;

/* Writes the registers that are due and resumes with a request of ptrace's (SYSEMU, CONT); no signal is passed on. */
int tracee_resume(struct tracee *t, int request) MUST_CHECK;
/* The next stop of a resumed thread.  Waits without bound, but for the watchdog: then it is STOP_GONE. */
struct stop tracee_wait(struct tracee *t);

int tracee_get_regs(struct tracee *t, struct abi_regs *out) MUST_CHECK;
/* As they are: the caller has checked them. */
void tracee_set_regs(struct tracee *t, const struct abi_regs *regs);
void tracee_set_rax(struct tracee *t, uint64_t rax);
int tracee_siginfo(struct tracee *t, siginfo_t *out) MUST_CHECK;

/*
 * What the host knows of the last exception of a thread that is stopped before the signal for it, and ptrace does not tell:
 * the host is made to write it into a signal frame, on a stack of the shim's.  One thread of a stub at a time.  All registers
 * of the guest are as they were afterwards.
 */
struct tracee_exception {
	uint64_t trapno, err, cr2;
};
int tracee_exception(struct tracee *t, struct tracee_exception *out) MUST_CHECK;

/*
 * Runs one of the shim's entries in a stopped thread, then has the guest's registers put back at the next resume.  *io
 * gives rax, rdi, rsi, rdx, r10, r8, r9, r12, r13 and takes all registers at the end.  0; -EFAULT if the entry's first
 * instruction faulted (only cmpxchg's can); -ESRCH.
 */
int tracee_run_shim(struct tracee *t, uint64_t entry, struct abi_regs *io) MUST_CHECK;
/* One host call.  Its result, or -ESRCH. */
int64_t tracee_syscall(struct tracee *t, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		       uint64_t a5) MUST_CHECK;

#endif
