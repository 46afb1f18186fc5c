/*
 * platform.h: what runs guest code.  A platform makes address spaces (one host process, a *stub*, each) and
 * contexts (one host thread of a stub each), runs a context until something happens, and says what happened.
 * It knows nothing of the sentry and never calls it: the sentry's run loop is
 *
 *     for (;;) { platform_switch(ctx, &ev); act on ev; }
 *
 * Threads.  A context belongs to the one sentry thread that called pctx_attach on it; all pctx_* calls but
 * pctx_interrupt come from that thread.  pas_* calls may come from any thread; `via` is a context of the same address
 * space that the calling thread has attached and that is not running (it is in the sentry's hands), or NULL.
 * The ptrace platform works through `via` where there is one; systrap through the stub's leader.
 *
 * Errors are negative errno in Linux's numbering.  -ESRCH means the stub (or the thread) is dead: the sentry
 * treats it as the guest process having been killed by SIGKILL.
 *
 * Half-done host calls.  If a pas_* call fails part of the way through and the stub's memory may no longer be what
 * the caller thinks, the platform kills the stub itself and returns -ESRCH.  So after any other error the
 * address space is as it was before the call.
 */
#ifndef BAILEY_PLATFORM_PLATFORM_H
#define BAILEY_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/regs.h"
#include "abi/signal.h"
#include "base/compiler.h"

/* A guest virtual address.  Never cast to a pointer; only uaccess and pas_read/pas_write reach what it names. */
typedef uint64_t gva_t;

/* Guest mappings lie in [GUEST_MIN, GUEST_CEILING).  Above are the shim, the leader and the channels; below, where Linux maps
 * little (vm.mmap_min_addr), the cells of patched call sites. */
#define GUEST_MIN 0x70000ull
#define GUEST_CEILING 0x7fff00000000ull

struct platform;
struct pas;  /* an address space: one stub process */
struct pctx; /* a context: one guest thread */

enum pf_event_kind {
	PF_SYSCALL,	/* the guest made a system call; ev->nr and ev->args hold it, and rip is after the instruction */
	PF_FAULT,	/* an exception: ev->fault */
	PF_INTERRUPTED, /* pctx_interrupt, or nothing worth a name: look for work and resume */
	PF_DEAD,	/* the thread or its stub is gone; the context can only be destroyed */
};

struct pf_fault {
	int signo;	 /* L_SIGSEGV, L_SIGBUS, L_SIGFPE, L_SIGILL or L_SIGTRAP */
	int code;	 /* si_code */
	uint64_t addr;	 /* si_addr */
	uint64_t trapno; /* as in sigcontext */
	uint64_t err;
	uint64_t cr2;
};

struct pf_event {
	enum pf_event_kind kind;
	uint32_t arch; /* PF_SYSCALL: AUDIT_ARCH_X86_64, or AUDIT_ARCH_I386 for int 0x80 */
	uint64_t nr;   /* PF_SYSCALL: as in rax, x32 bit and all */
	uint64_t args[6];
	bool hot;	 /* PF_SYSCALL: the call site is worth a pctx_patch */
	gva_t wants_room; /* PF_SYSCALL: pctx_set_room is worth it here; 0: nowhere */
	uint64_t ip, sp; /* always valid but for PF_DEAD */
	struct pf_fault fault;
};

/* What the machine and caller allow, found out before a platform is started. */
struct platform_ops;
extern const struct platform_ops ptrace_platform, systrap_platform;

/*
 * Says whether a platform can work here.  Returns 0, or -errno with a one-line reason (what is missing and how to
 * get it) in why.  Leaves nothing behind.  Call it while the process is single-threaded.
 */
int platform_probe(const struct platform_ops *ops, char *why, size_t why_size) MUST_CHECK;
const char *platform_name(const struct platform_ops *ops);

/*
 * Starts a platform: makes the template stub from which all others are forked.  Must be called while the process is
 * single-threaded, after privileges were dropped and before the sentry's own seccomp filter is installed.
 */
int platform_start(const struct platform_ops *ops, struct platform **out, char *why, size_t why_size) MUST_CHECK;
/*
 * The same in two steps, between which privileges may be dropped and another root entered: the template drops them by itself, and the
 * caller's root and working directory are its own, too.  Nothing but platform_finish may be done with *out before that, and
 * after a failure of it nothing at all.  -EOPNOTSUPP: this one starts in one step.
 */
int platform_begin(const struct platform_ops *ops, struct platform **out, char *why, size_t why_size) MUST_CHECK;
int platform_finish(struct platform *pf, char *why, size_t why_size) MUST_CHECK;
/* Kills and reaps every stub.  All contexts must have been destroyed. */
void platform_stop(struct platform *pf);
/* Kills every stub and waits for none: for who is about to end, as the first process of its PID namespace, and whose end the host
 * therefore lets come after theirs.  Other threads may be there. */
void platform_abandon(struct platform *pf);
/* Size in bytes of this machine's XSAVE area in signal-frame (standard) format; at least 512. */
size_t platform_xstate_size(const struct platform *pf);
const struct platform_ops *platform_ops_of(const struct platform *pf);
/* Notes what of the process's image is to be lent to guests (the vDSO).  Call it first of all, while the host's /proc is in
 * view; without it guests have no vDSO. */
void platform_note_host(void);
/* What makes it faster or simpler on newer hosts. */
struct pf_features {
	bool sync_wakeup; /* who answers a listener's notification hands its CPU over (Linux 6.6) */
	bool atomic_mmap; /* an mmap that fails leaves what was there (Linux 6.12) */
	bool fsgsbase;	  /* bases of %fs and %gs without a call: the processor, and Linux 5.9 */
	bool patching;	  /* busy call sites are patched */
};
void platform_features(const struct platform *pf, struct pf_features *out);
/* No call site is to be patched (platforms that patch none do as before).  Call it before the first context is made. */
void platform_leave_text_alone(struct platform *pf);
/* The guest's vDSO, for AT_SYSINFO_EHDR: the same address in every address space, above GUEST_CEILING; 0: none. */
uint64_t platform_vdso(const struct platform *pf);
/* What lies there, by part, for /proc/PID/maps: false past the last. */
struct pf_vdso_part {
	uint64_t start, end;
	const char *name; /* static: "[vdso]" and the like */
	bool code;
};
bool platform_vdso_part(const struct platform *pf, unsigned i, struct pf_vdso_part *out) MUST_CHECK;
/* What lies at addr in the guest's vDSO, which pas_read does not reach: the count, short at its end; -EFAULT outside. */
ssize_t platform_vdso_read(const struct platform *pf, uint64_t addr, void *buf, size_t len) MUST_CHECK;
/*
 * Waits until the number of stubs that died while in use (by the host's OOM killer, kill -9; those of pas_kill may
 * count too) is no longer seen, and returns it.  For one sentry thread, which then asks pas_is_dead of each process's
 * address space: a guest thread that sleeps in the sentry would not find out by itself.
 */
uint32_t platform_wait_deaths(uint32_t seen);

/* ---- address spaces ---- */

/* Makes an address space with nothing mapped below GUEST_CEILING.  May be used by the calling thread only, until
 * a context was made in it.  Returned owned; ended by pas_put. */
int pas_create(struct platform *pf, struct pas **out) MUST_CHECK;
/*
 * The same for an owner, a number for whoever's memory it will hold: a platform may use the stub of an address space that has
 * come to its end for another one of the same owner, and for no other.  0 is nobody: the stub is made for this one and dies with it.
 */
int pas_create_for(struct platform *pf, uint64_t owner, struct pas **out) MUST_CHECK;
/* Its memory is owner's from now on: if that is another than it was made for, its stub will not be used again.  Any thread. */
void pas_had_by(struct pas *as, uint64_t owner);
/* What the stub had used before the address space was made in it: all zeroes for a new stub.  A fork's is new. */
struct pas_before {
	int64_t cpu_ns;
	uint64_t minor_faults, major_faults;
	bool used; /* it had another address space: its peak size may be that one's */
};
struct pas_before pas_before(const struct pas *as);
/* The stub's page faults, all told, as the caller has just learnt: what comes after them is the next address space's. */
void pas_note_faults(struct pas *as, uint64_t minor, uint64_t major);

/* Makes a copy of via's address space, owner and all, as fork(2) does (private memory copied on write, shared memory shared), and in it
 * one context, not yet attached: attach it from the thread that will run it.  via is in the sentry's hands. */
int pas_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out) MUST_CHECK;

/* Address spaces are counted: a context holds a reference.  The last put kills the stub, without waiting for its end. */
struct pas *pas_get(struct pas *as);
void pas_put(struct pas *as);
/* The same by a task that leaves the address space, with no lock held: the stub may be emptied and used again, a little later, or before
 * it returns if it could write to memory that others have.  If the task is not the last, whoever is kills the stub. */
void pas_leave(struct pas *as);

/* Kills the stub at once (SIGKILL).  Its contexts see PF_DEAD.  Any thread. */
void pas_kill(struct pas *as);
/* True once the stub is known to be dead, whoever killed it. */
bool pas_is_dead(const struct pas *as);
/* The stub's host process id: for messages and for tests that kill it. */
pid_t pas_host_pid(const struct pas *as);

/*
 * Host calls carried out in the stub.  addr and len are page-aligned and lie below GUEST_CEILING (the platform checks:
 * -EINVAL).  prot and flags are Linux's.  pas_map always has MAP_FIXED semantics: the caller chooses addresses.
 * host_fd is the sentry's descriptor (borrowed) or -1 for anonymous memory.
 */
int pas_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
	    uint64_t off) MUST_CHECK;
/*
 * Between the two, pas_map may be put off in an address space that has no context yet, so that several mappings are one request:
 * its errors are then pas_settle's, descriptors must stay open until that, and nothing but pas_map may be called.  After an error
 * the address space is of no use any more.
 */
void pas_defer(struct pas *as);
int pas_settle(struct pas *as) MUST_CHECK;
int pas_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len) MUST_CHECK;
int pas_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot) MUST_CHECK;
/* mremap(2) with MREMAP_MAYMOVE|MREMAP_FIXED when new_addr differs from addr, else in place; extra_flags may hold
 * MREMAP_DONTUNMAP. */
int pas_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
	      int extra_flags) MUST_CHECK;
/* madvise(2), msync(2), mlock2(2), munlock(2) with arguments that the sentry has checked. */
enum pas_advice_op { PAS_MADVISE, PAS_MSYNC, PAS_MLOCK2, PAS_MUNLOCK };
int pas_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg) MUST_CHECK;

/* mincore(2), its answer put at vec, which is guest memory like the rest: a byte a page.  Arguments as mincore's. */
int pas_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec) MUST_CHECK;

/* Reads or writes guest memory with the guest's own access rights.  Returns the count done, short when a fault came
 * part of the way through, or -EFAULT when nothing could be done, -ESRCH when the stub is dead. */
ssize_t pas_read(struct pas *as, gva_t addr, void *buf, size_t len) MUST_CHECK;
ssize_t pas_write(struct pas *as, gva_t addr, const void *buf, size_t len) MUST_CHECK;

/*
 * The same for the address space of ctx, which the calling thread has attached and in its hands.  What the call in hand
 * names, the guest's thread may have brought along: such a read sees the memory as it was when the call was made, and such a
 * write is there when the call returns, or before anything else is done to the address space by this thread.
 */
ssize_t pctx_read(struct pctx *ctx, gva_t addr, void *buf, size_t len) MUST_CHECK;
ssize_t pctx_write(struct pctx *ctx, gva_t addr, const void *buf, size_t len) MUST_CHECK;
/* The same for what lies in several places here and in one there: at most PCTX_PARTS_MAX, by one host call if need be. */
struct pctx_part {
	void *at;
	size_t len;
};
#define PCTX_PARTS_MAX 16
ssize_t pctx_read_parts(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count) MUST_CHECK;
ssize_t pctx_write_parts(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count) MUST_CHECK;
/* A string that was brought along: its length with the NUL, at most cap; 0 if it was not. */
size_t pctx_read_string(struct pctx *ctx, gva_t addr, char *dst, size_t cap) MUST_CHECK;
/* What the calling thread has written for its call is to be there now: before it sleeps, or says that it stops.  Cheap; nothing
 * without a context. */
void pctx_settle(void);
/*
 * Of a PF_SYSCALL's wants_room: memory [low, high) around that address is alike, and there is room or not: it is private, anonymous, can be
 * written, and no copy there can fail.  The caller keeps the mappings as they are meanwhile.
 */
void pctx_set_room(struct pctx *ctx, gva_t low, gva_t high, bool room);
/*
 * Around reads and writes of an address space by others than its own threads: what a call of its has written is there before, and
 * nothing arrives late in between.  May wait for the guest: no lock held.  False, and no pas_unwatch: it is the caller's own.
 */
bool pas_watch(struct pas *as) MUST_CHECK;
void pas_unwatch(struct pas *as);

/*
 * Futexes.  While short cuts are allowed (pctx_set_answers) the platform may answer FUTEX_WAKE with 0 where nobody waits.  For that
 * the sentry keeps count of waiters: whoever is about to wait for a word adds 1 to the word's count, and then looks at the word; when he
 * waits no more he takes it away again.  The counts are those of all words of the same slot: of words that are the address space's
 * own, or (shared) of those that others may reach under other addresses, for all address spaces together.  The slot of a
 * shared word is the same wherever it is mapped.  NULL: nobody looks.
 */
#define PAS_WAITER_COUNTS 64
static inline unsigned pas_waiter_slot(uint64_t addr)
{
	return ((addr >> 2) & 63) ^ ((addr >> 8) & 15);
}
_Atomic uint32_t *pas_waiters(const struct pas *as, bool shared);

/* ---- contexts ---- */

/* Makes a further thread of as, not yet attached.  via as above; NULL in a fresh address space.  Returned owned. */
int pctx_spawn(struct pas *as, struct pctx *via, struct pctx **out) MUST_CHECK;
/* Binds ctx to the calling thread.  Before the first switch the caller loads a state. */
int pctx_attach(struct pctx *ctx) MUST_CHECK;
/* Ends the host thread (the attached thread calls; or anybody, if it was never attached) and frees ctx. */
void pctx_destroy(struct pctx *ctx);
struct pas *pctx_as(const struct pctx *ctx); /* borrowed */

/* The context's host thread, which may have run another context before: then it had used before_ns of CPU time. */
struct pf_thread {
	pid_t tid;
	int64_t before_ns;
};
struct pf_thread pctx_thread(const struct pctx *ctx);

/* Resumes the guest and returns at its next event.  Blocks without bound. */
void platform_switch(struct pctx *ctx, struct pf_event *ev);

/* Makes the context's current or, if it is not running, next switch return PF_INTERRUPTED soon.  Any thread that keeps
 * ctx from being destroyed.  Never waits. */
void pctx_interrupt(struct pctx *ctx);

/* Registers.  Valid between switches.  A set is what the next switch resumes with; -EINVAL for what no user thread may have
 * (a base outside of user space, a privileged selector). */
int pctx_get_regs(struct pctx *ctx, struct abi_regs *out) MUST_CHECK;
int pctx_set_regs(struct pctx *ctx, const struct abi_regs *regs) MUST_CHECK;
/* Only rax: the fast way out of a system call. */
void pctx_set_result(struct pctx *ctx, long result);

/*
 * Floating point and vector state in the format of a signal frame's (XSAVE standard form, software bytes included).
 * get fills at most cap bytes and returns the size; set refuses (-EINVAL) what the host's kernel would refuse.  With
 * size 0 set loads the state of a fresh process.
 */
ssize_t pctx_get_xstate(struct pctx *ctx, void *buf, size_t cap) MUST_CHECK;
int pctx_set_xstate(struct pctx *ctx, const void *buf, size_t size) MUST_CHECK;
/*
 * A handler's frame by the quicker way: *frame goes to `at`, the vector state with its marks to fpstate, a multiple of 64, and
 * the thread gets a fresh process's.  1: done; 0: not this way, and nothing was done; -EFAULT: not all of that could be written.
 */
int pctx_put_frame(struct pctx *ctx, gva_t at, const struct l_rt_sigframe *frame, gva_t fpstate) MUST_CHECK;

/*
 * rseq(2).  Restartable sequences are the host's business: the guest's thread registers its area with the host, which then
 * sees to cpu_id and to sections that are preempted.  That an event takes a thread out of one is a preemption: the section
 * is aborted, and the registers are those of its abort handler, by the time the sentry sees them.
 *
 * register: takes effect by the next switch.  With `answer` the call in hand is the guest's own rseq(2): 0 then may mean that
 * the host's result is known only there, and is put into rax in the place of what the caller sets.  -ENOSYS if the host has
 * none.  The caller has checked what Linux checks; size is what the guest said, area lies below GUEST_CEILING.
 * registered: whether the host took the last one, once that has taken effect.
 * unregister: done on return; -EFAULT if the area cannot be written, which leaves it registered.
 * A fork's child inherits nothing here: its thread is to register again.
 */
int pctx_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer) MUST_CHECK;
bool pctx_rseq_registered(const struct pctx *ctx);
int pctx_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig) MUST_CHECK;

/*
 * After a PF_SYSCALL that says hot: makes further calls from there cheaper, by writing to the guest's text, if the platform
 * can.  [low, high) is the text around ev->ip that may be read and written: mapped, private, executable and not writable by
 * the guest.  The caller keeps the mapping as it is meanwhile.  What the platform cannot do it leaves: there is no result.
 */
void pctx_patch(struct pctx *ctx, const struct pf_event *ev, gva_t low, gva_t high);

/*
 * What some calls have for an answer while nobody looks on: the attached thread tells the platform so, which may then give
 * it without an event.  NULL: every call is an event again.  Until told otherwise no call is answered.
 */
struct pctx_answers {
	int pid, tid, ppid, pgrp; /* getpid, gettid, getppid, getpgrp */
	uint32_t uid, euid, gid, egid;
};
void pctx_set_answers(struct pctx *ctx, const struct pctx_answers *answers);

/*
 * The signal mask of a guest thread, where it may change it itself, as by rt_sigprocmask(2), while it runs and `open` is set.  It
 * stores the mask first, then looks at `open`, and if that is no longer set undoes the change and makes an event of the call.
 * While it is, rt_sigreturn(2) may be done by the thread itself, too, if the frame's alternate stack is this one.
 * The guest can write what it likes here at any time.  All is 0 when the context is made.
 */
struct pctx_mask {
	struct l_stack altstack;
	_Atomic uint64_t set;
	_Atomic uint32_t open;
};
/* NULL: the platform has no such thing.  It is there as long as ctx. */
struct pctx_mask *pctx_mask(const struct pctx *ctx);

/*
 * Where the list of a guest thread's robust futexes begins: which the thread may change itself, as by set_robust_list(2), while
 * `open` is set.  The guest can write what it likes here at any time: it is the thread's own affair.  All is 0 when the context is made.
 */
struct pctx_robust {
	_Atomic uint64_t head;
	_Atomic uint32_t open;
};
/* NULL: the platform has no such thing.  It is there as long as ctx. */
struct pctx_robust *pctx_robust(const struct pctx *ctx);

/*
 * The position of an open file that is a guest thread's to change by lseek(2) while it runs: SEEK_SET and SEEK_CUR on descriptor fd,
 * to where a position may be at all.  The thread exchanges pos atomically for the new one, and whoever wants it back exchanges it
 * for PCTX_NO_POSITION, after which such calls are events again.  fd is written before pos, by the attached thread while it has ctx
 * in its hands.  The guest can write what it likes here at any time.  Nothing is lent when the context is made.
 */
struct pctx_position {
	_Atomic int64_t pos;
	int32_t fd;
};
#define PCTX_NO_POSITION ((int64_t)-1)
/* NULL: the platform has no such thing.  It is there as long as ctx. */
struct pctx_position *pctx_position(const struct pctx *ctx);

/*
 * Windows: files that a guest's threads may read by themselves, as by pread64(2) on descriptor fd, and by read(2) where that one's
 * position is lent as well, while short cuts are allowed.  An address space has PAS_WINDOWS of them, each with a place above
 * GUEST_CEILING where PAS_WINDOW_SIZE bytes of a file are mapped, and a record, which the stub can read and only the sentry can
 * write.  A thread that is shown the records (pctx_show_windows) looks at that of window fd % PAS_WINDOWS: it takes note of
 * `loan`, copies if all is as it should be, and looks at `loan` once more: if that is another, nothing has happened, and
 * the call is an event.  So is every read that is not plainly one of these.  Who lends stores loan last, a number that this record
 * never had; who takes back stores 0 first, and from then on no such read succeeds.
 */
#define PAS_WINDOWS 16
#define PAS_WINDOW_SIZE (64ull << 20)
struct pas_window {
	_Atomic uint64_t loan; /* 0: there is none */
	int32_t fd;
	uint64_t at;	/* where in the stub it is mapped */
	uint64_t first; /* from which byte of the file on, a multiple of pages */
	uint64_t span;	/* so many bytes may be read */
	uint64_t size;	/* where the file ends: a read is short there and gives nothing beyond */
	uint64_t reserved[2];
};
/* Makes the records of via's address space, in which there are none, for no loan; owned, to be let go by pas_windows_free, which may
 * come before or after the end of the address space.  -ENOSYS: the platform has no such thing, or not here. */
int pas_windows_new(struct pctx *via, struct pas_window **out) MUST_CHECK;
void pas_windows_free(struct pas_window *windows);
/* Maps host_fd from off on in window i, in the place of what was there; if that fails nothing is known to be there.  The record, of
 * which loan is 0, is the caller's to fill in but for `at`. */
int pas_window_map(struct pctx *via, unsigned i, int host_fd, uint64_t off) MUST_CHECK;
/* Unmaps what is there, if anything; PAS_WINDOWS: in all of them, and the records, which can be made again then. */
int pas_window_unmap(struct pas *as, struct pctx *via, unsigned i) MUST_CHECK;
/* Whether ctx's thread may look at the records; never so in a new context.  False: the call in hand is none that such a thread could
 * have answered; it may not, or, if it was to be able to, all is as before. */
bool pctx_show_windows(struct pctx *ctx, bool show);
/* Whether there can be windows at all. */
bool pas_has_windows(const struct pas *as);
/* How often it has read by itself, and how much, since the last time.  What a guest makes of these numbers is its own affair. */
struct pctx_reads {
	uint64_t count, bytes;
};
bool pctx_take_reads(struct pctx *ctx, struct pctx_reads *out) MUST_CHECK;
/* The same, but leaves them there; ctx may run meanwhile.  pctx_take_reads must not. */
struct pctx_reads pctx_peek_reads(const struct pctx *ctx);
/* Whether it has read by itself since. */
bool pctx_has_reads(const struct pctx *ctx);

/*
 * Rings: the bytes of a pipe between two guest threads, of which one reads and one writes, where they get at them without an
 * event: while a ring is open, read(2) and write(2) of the descriptor that a thread has been given for it are answered by the
 * platform if there are bytes, or room for all of them; a read of none sleeps there until there are, or for a moment, after
 * which it is an event like the rest.  An interrupt makes an event of a read that sleeps (pctx_napped).  A write that finds
 * room is done whole.
 *
 * The threads may belong to two address spaces.  Both can write what they like into the ring at any time, and it is theirs alone.
 */
#define PRING_SIZE 4096
struct pring;
/* A number that no other address space has, ever. */
uint64_t pas_serial(const struct pas *as);
/*
 * A closed ring between a thread of ctx's address space, the caller's own, and one of the address space `peer`, by its serial.
 * It is where ctx's address space can reach it; the peer's has to be seen to by pring_map.  Both may wait for the stub, in
 * short requests that wait for nothing else: a lock may be held that is not among the platform's.  NULL: there is none to be
 * had.
 */
struct pring *pring_new(struct pctx *ctx, uint64_t peer);
/* False: it is not between ctx's address space and another, or cannot be mapped. */
bool pring_map(struct pring *r, struct pctx *ctx) MUST_CHECK;
/* ctx, the caller's own, reads it (or writes) by descriptor fd from now on.  False: it does so with too many. */
bool pring_give(struct pring *r, struct pctx *ctx, int fd, bool write) MUST_CHECK;
/* Opens it, with len bytes in it, at most PRING_SIZE.  Once. */
void pring_open(struct pring *r, const void *buf, size_t len);
/*
 * Closes it for good, whether it was open or not: nothing is changed there when this returns.  The bytes that are in it,
 * PRING_SIZE at most, go to buf; how many.  Consumes r.
 *
 * A read that sleeps in it, or has slept and is not done, is an event soon, maybe after others have changed what its descriptor
 * means.  Then *owed is true, and that thread is owed `owe`.
 */
size_t pring_close(struct pring *r, void *buf, void *owe, bool *owed) MUST_CHECK;
/* Whether the event in hand may be a read that has slept in a ring.  If there is no such ring any more, its thread takes what
 * it is owed, or NULL; nothing is owed it from then on until it has run again.  A context is not to end before. */
bool pctx_napped(const struct pctx *ctx);
void *pctx_owed(struct pctx *ctx);
/* What ctx's thread has done by rings, as it says itself. */
struct pctx_io {
	uint64_t reads, read_bytes, writes, written_bytes;
};
void pctx_io(const struct pctx *ctx, struct pctx_io *out);
/* Whether it sleeps in a ring just now and nothing has woken it, and how often it has slept there: likewise. */
bool pctx_naps(const struct pctx *ctx);
uint64_t pctx_nap_count(const struct pctx *ctx);

/* Atomic compare and exchange on an aligned word of guest memory, done inside the stub.  *seen gets what was there (it
 * is `expected` exactly if the exchange was done).  -EFAULT if the word is not writable. */
int pctx_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen) MUST_CHECK;

#endif
