/*
 * ptrace(2) among guests: emulated here, by the threads of the sentry alone.  Rules: ptrace(2).
 *
 *   attach.c   who traces whom, from attaching to letting go
 *   stop.c     a tracee's stops: what it shows its tracer, how it waits, what it takes back
 *   event.c    where stops come from: calls, fork, exec, exit, single steps
 *   memory.c   a tracee's memory, whatever its protection
 *   watch.c    debug registers
 *
 * A tracee stops by its own sentry thread waiting in trace_stop.  It has put its registers into a snapshot (state.h),
 * which the tracer reads and changes under tasks_lock; what needs the tracee's context itself is a request that its
 * thread carries out.
 */
#ifndef BAILEY_SENTRY_PTRACE_PTRACE_H
#define BAILEY_SENTRY_PTRACE_PTRACE_H

#include "sentry/task/task.h"

/* ---- attach.c ---- */

/* PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE (with options), PTRACE_DETACH (sig 0: none); -errno as ptrace(2) says. */
int trace_me(struct task *t) MUST_CHECK;
/* The caller has made sure that t may look into o. */
int trace_attach(struct task *t, struct task *o, bool seize, uint32_t options) MUST_CHECK;
int trace_detach(struct task *t, int tid, int sig) MUST_CHECK;
/* Resumes t's stopped tracee, with sig (0: none) and WORK_*; -ESRCH if there is none such. */
int trace_resume(struct task *t, int tid, int sig, unsigned work) MUST_CHECK;
int trace_listen(struct task *t, int tid) MUST_CHECK;
int trace_interrupt(struct task *t, int tid) MUST_CHECK;
/* t's tracee of that tid, in a stop that t can act on; borrowed; NULL if it is none. */
struct task *trace_stopped_tracee(struct task *t, int tid) REQUIRES(tasks_lock);
/* The same whether it is in a stop or not. */
struct task *trace_tracee(struct task *t, int tid) REQUIRES(tasks_lock);

/* child becomes a tracee of t's tracer as t is. */
void trace_inherit(struct task *t, struct task *child) REQUIRES(tasks_lock);
/* t is nobody's tracee any more.  Its stop, if it is in one, is not ended by that. */
void trace_unlink(struct task *t) REQUIRES(tasks_lock);
/* t ends as a tracer: what it traced goes on alone.  Tasks that are to be put come into `dropped`, for trace_drop. */
void trace_release_tracees(struct task *t, struct list_head *dropped) REQUIRES(tasks_lock);
void trace_drop(struct list_head *dropped) EXCLUDES(tasks_lock);
/* The traced thread t, no leader, has ended: true if it has to stay for its tracer to wait for. */
bool trace_stays_zombie(struct task *t, int wait_status) REQUIRES(tasks_lock) MUST_CHECK;
/* p has ended; true if its leader's tracer, not a thread of the parent, is told first, and nobody else. */
bool trace_claims_zombie(struct process *p) REQUIRES(tasks_lock) MUST_CHECK;
bool trace_hides_from_parent(struct process *p) REQUIRES(tasks_lock); /* a tracer elsewhere has not waited for it yet */
bool trace_is_parents(struct process *p) REQUIRES(tasks_lock); /* its leader is traced by a thread of its parent */
/* t's tracer has waited for the end of tracee o: what comes into `dropped` is to be put. */
void trace_reap(struct task *o, struct list_head *dropped) REQUIRES(tasks_lock);
struct pid_ns;
int trace_tracer_nr(struct task *t, const struct pid_ns *ns); /* 0: none */

/* ---- stop.c ---- */

struct trace_stop {
	int code;
	int event;
	enum trace_op op;
	bool group_stop;
	bool final; /* it is ending; DIVERGES: not for one that SIGKILL ends, which stops no more */
	uint64_t message;
	const struct l_siginfo *info; /* or NULL */
};
/* Stops t, the calling task, if it is traced still.  *regs is what it shows and, on return, what it has.  The signal it
 * was resumed with, or 0. */
int trace_stop(struct task *t, const struct trace_stop *s, struct abi_regs *regs);
/* The same with the context's registers; -ESRCH if there is no context any more. */
int trace_stop_here(struct task *t, const struct trace_stop *s) MUST_CHECK;
/* SIGCHLD to t's tracer and a wake-up of who waits there. */
void trace_tell_tracer(struct task *t, int si_code, int status) REQUIRES(tasks_lock);
/* The siginfo of a stop that is no signal's. */
void trace_fill_info(const struct task *t, struct l_siginfo *info, int code);

/* Has fn run by o, or another thread of its process, in its stop; -EBUSY if none is in one. */
struct trace_request {
	int (*fn)(struct task *o, void *arg);
	void *arg;
	struct task *from;
	int result;
	_Atomic bool done;
};
int trace_run_in(struct task *o, int (*fn)(struct task *o, void *arg), void *arg) MUST_CHECK EXCLUDES(tasks_lock);

/* ---- event.c ---- */

/* Before and after a call of the calling task; entry: false if the call is not to be made.  *args may change. */
bool trace_syscall_entry(struct task *t, struct sys_args *args);
void trace_syscall_exit(struct task *t);
/* For a seccomp filter's sake: false if the call is not to be made. */
bool trace_seccomp(struct task *t, struct sys_args *args, uint32_t data) MUST_CHECK;
/* Whether t's tracer has switched its filters off: PTRACE_O_SUSPEND_SECCOMP. */
bool trace_suspends_seccomp(const struct task *t);
/* Around a switch that is to trap after one instruction.  begin: false if there is something to see to first.  end: *ev
 * is what the guest is to know of it. */
bool trace_step_begin(struct task *t) MUST_CHECK;
void trace_step_end(struct task *t, struct pf_event *ev);
/* Which event a clone is: L_PTRACE_EVENT_* if the child is to be traced; 0: not; -1: it is, without an event. */
int trace_clone_event(const struct task *t, uint64_t flags, int exit_signal);
void trace_clone(struct task *t, int event, int child_tid);
void trace_vfork_done(struct task *t, int child_tid);
/* The new program is in place; it was old_tid that asked for it. */
void trace_exec(struct task *t, int old_tid);
void trace_exit(struct task *t, int wait_status);
/* A signal on its way to t: false if the tracer took it.  *info may change. */
bool trace_signal(struct task *t, struct l_siginfo *info, struct abi_regs *regs) MUST_CHECK;
/* t stops with its group, or because it was asked to. */
void trace_group_stop(struct task *t, int sig, struct abi_regs *regs);
/* A handler's frame is in place and t steps: the tracer sees its first instruction. */
void trace_handler(struct task *t, struct abi_regs *regs);

/* ---- memory.c ---- */

/* Reads or writes o's memory whatever its protection, as far as private memory goes; the count, or -EIO.  write keeps
 * buf. */
ssize_t trace_access(struct task *o, uint64_t addr, void *buf, size_t len, bool write) MUST_CHECK EXCLUDES(tasks_lock);

/* ---- watch.c ---- */

/* Debug register n < 8 of a tracee in a stop; -EIO for what there is not, -EINVAL for what cannot be watched. */
int trace_set_debug_register(struct task *o, unsigned n, uint64_t value) REQUIRES(tasks_lock) MUST_CHECK;
void trace_clear_debug_registers(struct task *o);
/* Around a step of t, the calling task, at ip.  begin: false if it met a breakpoint instead.  end: true if what it
 * watches changed. */
bool trace_watch_begin(struct task *t, uint64_t ip) MUST_CHECK;
bool trace_watch_end(struct task *t) MUST_CHECK;

#endif
