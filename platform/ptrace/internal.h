/*
 * The ptrace platform's private header.  Files: ptrace.c (start, stop, address spaces), stub.c (the birth of the
 * template), context.c (running a guest thread), memory.c (host calls for memory), watcher.c (deaths), watchdog.c (stubs
 * that do not answer), tracee.c (ptrace itself), rseq.c (restartable sequences).
 *
 * Who traces what.  Tracing is bound to the tracing thread, so there is no leader: each guest thread is traced by the
 * sentry thread that runs it, and host calls are made in a guest thread of the calling sentry thread.  Threads that
 * nobody traces (the template, new ones until attached) sleep in the shim's park; the filter on every stub lets them
 * do nothing else.
 *
 * Locks: spaces_lock is taken before as->lock; the others are held alone.
 */
#ifndef BAILEY_PLATFORM_PTRACE_INTERNAL_H
#define BAILEY_PLATFORM_PTRACE_INTERNAL_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/lock.h"
#include "platform/ops.h"
#include "platform/placement.h"
#include "platform/ptrace/tracee.h"

#define KICK_SIGNAL SIGURG /* ignored by default, so that it does no harm to a thread that is not traced */
#define FREE_SIGNAL SIGURG /* to a sentry thread: gets it out of a wait that the watchdog has ended */

struct ptrace_platform {
	struct platform base;
	pid_t sentry_pid;	 /* immutable */
	uint64_t shim_base;	 /* immutable */
	uint64_t xfeatures;	 /* what an xstate of base.xstate_size bytes can hold; 0: legacy; immutable */
	struct sigaction old_sigchld, old_free; /* immutable */
	sigset_t old_mask;			/* immutable */

	struct mutex template_lock; /* held while somebody traces the template */
	struct tracee template;

	struct mutex fd_lock; /* one descriptor at a time is on its way to a stub */
	int sentry_sock;      /* sends; immutable */
	int stub_sock;	      /* the stubs' end, here only to take back what no stub took; immutable */

	struct mutex spaces_lock;
	struct list_head spaces; /* of ptrace_as.node: those in use; guarded by spaces_lock */
	struct list_head dying;	 /* of ptrace_as.node: killed, not yet reaped; guarded by spaces_lock */
	bool watcher_started;	 /* guarded by spaces_lock */
	_Atomic bool stopping;
	pthread_t watcher;
	struct watchdog dog;
};

struct ptrace_as {
	struct pas base;
	struct list_head node; /* guarded by the platform's spaces_lock */
	struct mutex lock;
	struct list_head contexts; /* of ptrace_ctx.node; guarded by lock */
	struct list_head left;	   /* of ptrace_ctx.node: destroyed while their threads were dying; guarded by lock */
	struct mutex frame_lock;    /* held while a thread of this stub uses the shim's stack for frames */
	_Atomic bool leader_reaped; /* by its tracer: host_pid may be another's */

	/*
	 * A fresh address space's first thread, traced by its creator until pctx_spawn turns it into a context.  Written by
	 * the creator with lock held, read by it without.
	 */
	struct ptrace_ctx *first;
	pid_t creator; /* the thread that may use first; 0 once it is a context */
};

struct ptrace_ctx {
	struct pctx base;
	struct list_head node;
	struct tracee tracee;
	struct placement placement;
	uint64_t rseq;	      /* the area that the thread has registered with the host, or 0 */
	uint32_t rseq_sig;
	uint64_t last_cr2;    /* as the last frame had it; the attached thread's */
	bool at_syscall;      /* the last switch returned PF_SYSCALL */
	_Atomic bool kicked;  /* a switch is to return PF_INTERRUPTED */
	_Atomic bool running; /* in a switch: a kick has to be sent */
};

static inline struct ptrace_platform *to_platform(struct platform *pf)
{
	return container_of(pf, struct ptrace_platform, base);
}

static inline struct ptrace_as *to_as(struct pas *as)
{
	return container_of(as, struct ptrace_as, base);
}

static inline struct ptrace_ctx *to_ctx(struct pctx *ctx)
{
	return container_of(ctx, struct ptrace_ctx, base);
}

static inline struct ptrace_platform *platform_of(struct ptrace_as *as)
{
	return to_platform(as->base.pf);
}

/* ---- stub.c ---- */

/* Makes the template stub; sets shim_base and template.  -errno with a reason. */
int stub_make_template(struct ptrace_platform *pf, char *why, size_t why_size) MUST_CHECK;

/* What the filter lets the shim clone with.  The exit signal of a process is its parent's: SIGCHLD. */
#define STUB_FORK_FLAGS ((uint64_t)(CLONE_PARENT | CLONE_UNTRACED))
#define STUB_THREAD_FLAGS                                                                                              \
	((uint64_t)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_UNTRACED))

/* ---- ptrace.c ---- */

/* Kills the stub: it died, or did what no stub of ours does.  Returns -ESRCH, for the caller to return. */
int as_lost(struct ptrace_as *as);

/* ---- watcher.c ---- */

/* Makes SIGCHLD wait for the watcher, from the sentry's only thread; its threads inherit that. */
void watcher_prepare(struct ptrace_platform *pf);
/* Undoes it, after the template was killed.  Stubs that do not die within a moment are left to the host. */
void watcher_end(struct ptrace_platform *pf);
/* Starts the watcher if it does not run yet.  Not done at the platform's start, which must leave one thread. */
int watcher_start(struct ptrace_platform *pf) MUST_CHECK;
/* Takes a new address space in, or one whose last reference is gone and whose stub was killed. */
void watcher_add(struct ptrace_as *as);
void watcher_hand_over(struct ptrace_as *as);

/* ---- watchdog.c ---- */

/* Looks after every wait there is, if it is time.  Only the watcher calls it. */
void watchdog_look(struct ptrace_platform *pf);

/* ---- context.c ---- */

/* Room for a context of as, before there is a thread for it: then nothing can fail once there is.  NULL: no memory. */
struct ptrace_ctx *ctx_alloc(struct ptrace_as *as);
void ctx_set_thread(struct ptrace_ctx *ctx, pid_t tid);
/* Makes it one of as's contexts, with a reference of its own. */
void ctx_publish(struct ptrace_ctx *ctx);
/* Traces and pins the thread.  Not the public attach: a fresh address space's first thread, too, is used in this way. */
int ctx_seize(struct ptrace_ctx *ctx) MUST_CHECK;

/* The tracee in which the calling thread may make host calls for as; NULL if there is none. */
struct ptrace_ctx *ctx_for_calls(struct ptrace_as *as, struct pctx *via);
/* The calling thread's context in as, or NULL: it cannot end while the thread is busy here. */
struct ptrace_ctx *ctx_mine(struct ptrace_as *as);

int ptrace_ctx_spawn(struct pas *as, struct pctx *via, struct pctx **out);
int ptrace_ctx_attach(struct pctx *ctx);
void ptrace_ctx_destroy(struct pctx *ctx);
struct pf_thread ptrace_thread(const struct pctx *ctx);
void ptrace_run(struct pctx *ctx, struct pf_event *ev);
void ptrace_interrupt(struct pctx *ctx);
int ptrace_get_regs(struct pctx *ctx, struct abi_regs *out);
int ptrace_set_regs(struct pctx *ctx, const struct abi_regs *regs);
void ptrace_set_result(struct pctx *ctx, long result);
ssize_t ptrace_get_xstate(struct pctx *ctx, void *buf, size_t cap);
int ptrace_set_xstate(struct pctx *ctx, const void *buf, size_t size);

/* ---- rseq.c ---- */

/* Aborts the restartable sequence that a stopped thread is in: see rseq.c for when. */
void ctx_abort_rseq(struct ptrace_ctx *ctx);
int ptrace_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer);
bool ptrace_rseq_registered(const struct pctx *ctx);
int ptrace_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig);

/* ---- memory.c ---- */

int ptrace_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
	       uint64_t off);
int ptrace_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len);
int ptrace_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot);
int ptrace_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
		 int extra_flags);
int ptrace_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg);
int ptrace_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec);
ssize_t ptrace_read(struct pas *as, gva_t addr, void *buf, size_t len);
ssize_t ptrace_write(struct pas *as, gva_t addr, const void *buf, size_t len);
int ptrace_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen);

#endif
