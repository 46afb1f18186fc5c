/*
 * What a task keeps of being traced: part of struct task, so that this header knows no tasks.  ptrace.h says what it
 * means.
 *
 * tasks_lock guards all of it but what is marked.  While `stopped` is set the snapshot (regs, xstate, info) is the
 * tracer's, under that lock; else it is the task's own.
 */
#ifndef BAILEY_SENTRY_PTRACE_STATE_H
#define BAILEY_SENTRY_PTRACE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/regs.h"
#include "abi/signal.h"
#include "base/list.h"

struct task;
struct trace_request;

/* task.syscall_work: what is to be done about a system call, or the next switch, besides the call itself. */
enum {
	WORK_TRACE = 1,	  /* PTRACE_SYSCALL: stop at entry and exit */
	WORK_EMULATE = 2, /* PTRACE_SYSEMU: stop at entry, and make no call */
	WORK_STEP = 4,	  /* trap after one instruction */
	WORK_WATCH = 16,  /* step by step: debug registers are set */
	WORK_SECCOMP = 8, /* there are filters, or strict mode */
};
#define WORK_OF_TRACER (WORK_TRACE | WORK_EMULATE | WORK_STEP)

/* What PTRACE_GET_SYSCALL_INFO says of a stop. */
enum trace_op { TRACE_OP_NONE, TRACE_OP_ENTRY, TRACE_OP_EXIT, TRACE_OP_SECCOMP };

struct trace_state {
	struct task *tracer;   /* borrowed: it lets go of its tracees when it ends */
	struct list_head node; /* in tracer->tracees */
	_Atomic bool traced;   /* tracer is not NULL: for its own thread and for senders of signals, without the lock */
	bool seized;
	bool privileged;	  /* the tracer had CAP_SYS_PTRACE when it attached */
	_Atomic uint32_t options; /* L_PTRACE_O_*; its own thread reads them freely */

	bool stopped;	/* in a stop: it waits for its tracer */
	bool listening; /* PTRACE_LISTEN: but not for this stop */
	int code;	/* of the stop, as wait(2) shows it above the low byte; 0: that was waited for */
	int event;	/* L_PTRACE_EVENT_* of the stop, or 0 */
	bool group_stop;
	int resume_signal; /* what the tracer resumed it with */
	enum trace_op op;
	uint64_t message;
	bool has_info;
	struct l_siginfo info;
	struct abi_regs regs;
	uint8_t *xstate; /* allocated on the first attach, freed with the task */
	size_t xstate_size;
	bool regs_dirty, xstate_dirty; /* the tracer changed them */
	struct trace_request *request; /* to be carried out by its own thread in a stop */
	bool zombie;	 /* a thread that is no leader and has ended; its tid stays until the tracer waits */
	int exit_status; /* then */

	/* Guarded by process->sig_lock. */
	bool trap;	    /* PTRACE_INTERRUPT, or a first stop: stop when it looks */
	bool notify;	    /* its group, with which it has stopped, goes on: the same */
	uint32_t stop_seen; /* process->stop_count when it last stopped with its group */

	uint64_t debug[8];   /* debug registers: the tracer's while it is stopped, as the snapshot */
	uint64_t watched[4]; /* its own thread's: what they watch, before a step */
	uint64_t met_ip; /* its own thread's: the breakpoint there was met, and its instruction comes next; 0: none */
	bool guest_step; /* its own thread's: the guest itself has set the trap flag */
};

#endif
