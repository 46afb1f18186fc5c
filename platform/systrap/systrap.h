/*
 * The systrap platform's private side: its structures, and what its files offer each other.
 *
 *     boot.c      the template stub, from which all others are forked         filter.c   its seccomp filter
 *     notify.c    the listener: who waits for which leader's notification     leader.c   requests to a leader
 *     stub.c      address spaces: create, fork, kill, reap                    channel.c  the pool of channels
 *     recycle.c   stubs that are emptied and used again
 *     memory.c    map and its kin, read and write                             context.c  guest threads: spawn, switch
 *     frame.c     the signal frame in a channel: registers, xstate            probe.c    can it work here?
 *     patch.c     hot call sites made to jump into the shim                   insn.c     the instructions around them
 *     pieces.c    guest memory that calls take along
 *     files.c     how guest threads get files to map                          rings.c    pipes' bytes between guest threads
 *     windows.c   files that they read by themselves
 *
 * Trust.  Everything in a channel is the guest's to scribble on, at any moment: each word is read once, nothing read
 * there is used as an address or an index, and nonsense kills that stub alone.  A leader's notifications cannot be
 * forged: they are known by the thread that made them, and come only with what the sentry asked for.
 *
 * Locks, outermost first: stub.leader_lock (a parent's before its child's), patches.lock, systrap.lock.
 */
#ifndef BAILEY_PLATFORM_SYSTRAP_SYSTRAP_H
#define BAILEY_PLATFORM_SYSTRAP_SYSTRAP_H

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/signal.h"
#include "base/list.h"
#include "base/lock.h"
#include "platform/ops.h"
#include "platform/placement.h"
#include "platform/systrap/layout.h"

/* Linux 6.6; Debian 12's headers are older.  Without it a notification may wake the receiver on another CPU. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1ul << 0)
#endif

/* ---- shim.S and short_cuts.c ---- */

/* The linker gathers the shim in a section of its own, and says where it begins and ends. */
extern const uint8_t systrap_text[], __start_systrap_shim[], __stop_systrap_shim[];
extern const uint8_t systrap_leader_text[], systrap_leader_text_end[];
extern const uint8_t systrap_shim_signal[], systrap_shim_signal_fsgs[], systrap_shim_restorer[], systrap_shim_thread[];
extern const uint8_t systrap_shim_strip[], systrap_shim_cmpxchg[], systrap_shim_cmpxchg_insn[];
extern const uint8_t systrap_shim_cmpxchg_end[], systrap_shim_call[];
extern const uint8_t systrap_leader[], systrap_leader_child[], systrap_leader_next_ip[], systrap_leader_call_ip[];

/* Where a label of the shim lies in every stub, and one of the leader. */
static inline uint64_t text_addr(uint64_t base, const uint8_t *label)
{
	return base + (uint64_t)(label - systrap_text);
}

static inline uint64_t leader_text_addr(uint64_t base, const uint8_t *label)
{
	return base + SYSTRAP_LEADER_OFF + (uint64_t)(label - systrap_leader_text);
}

/* ---- what the template found out about the host's signal frames ---- */

struct frame_layout {
	uint32_t uc_off;       /* from the channel's start: struct ucontext */
	uint32_t fpstate_off;  /* from the channel's start: the XSAVE area */
	uint32_t second;       /* how much further up the second frame lies */
	uint32_t channel_size; /* bytes mapped of each channel */
	uint32_t mxcsr_mask;   /* bits that may be set */
	uint64_t uc_flags;
	struct l_fpx_sw_bytes sw; /* of a whole XSAVE area */
};

/* ---- requests: what a leader reads ---- */

struct leader_call {
	uint64_t nr; /* nr and args as they are in a channel from CH_DO_NR on */
	uint64_t args[6];
	uint64_t child_entry; /* where to go if the call returned 0; 0: on to the next */
};

struct request_slot {
	uint64_t count;
	uint64_t child_slot;
	uint64_t seq;
	uint64_t reserved[5];
	struct leader_call calls[SYSTRAP_REQUEST_MAX];
};
_Static_assert(sizeof(struct leader_call) == RQ_CALL_SIZE, "shim.S");
_Static_assert(offsetof(struct leader_call, args) == CH_DO_ARGS - CH_DO_NR, "shim.S");
_Static_assert(sizeof(struct request_slot) == SYSTRAP_SLOT_SIZE, "shim.S");
_Static_assert(offsetof(struct request_slot, calls) == RQ_CALLS, "shim.S");

/* A notification, as far as anybody cares. */
struct note {
	uint64_t id;
	uint64_t ip;
	int nr;
	uint64_t args[6];
};

/* ---- the platform ---- */

#define PID_BUCKETS 256
#define NOTIF_ROOM 256 /* bytes: for a notification of any kernel; the probe checks */
#define IDLE_MAX 16    /* threads a stub keeps for the next spawn */
#define HEAT_SLOTS 256 /* call sites whose use is counted; those that share a slot share the count */

/* Indices 0 to count-1, handed out and taken back. */
struct pool {
	uint32_t *links;
	uint32_t count, fresh; /* from fresh on none was ever handed out */
	uint32_t free;	       /* the first of a list through links, or POOL_NONE */
};
#define POOL_NONE UINT32_MAX

struct systrap {
	struct platform pf;
	struct stub *template;
	struct frame_layout frame; /* immutable after start */
	uint64_t base;		   /* of the texts and request slots; immutable after start */
	bool fsgsbase;		   /* immutable after start */
	bool sync_wakeup;	   /* of the listener; immutable after start */
	bool mmap_is_atomic;	   /* a failed MAP_FIXED leaves what was there (Linux 6.12); immutable after start */
	pid_t pgid;		   /* the stubs' process group; immutable after start */

	int listener_fd, wake_fd, pool_fd, slots_fd; /* immutable after start */
	uint8_t *channels;			     /* the pool's mapping; immutable after start */
	struct request_slot *slots; /* the slots' mapping; a slot's content is its stub's leader_lock's */

	struct mutex lock;
	/* All that follows is guarded by lock. */
	struct list_head stubs[PID_BUCKETS]; /* of stub.node, by host pid */
	struct list_head strays;	     /* of stray.node: heard of before they were registered; see notify.c */
	uint32_t births;		     /* stubs and threads that are being made */
	struct pool channel_pool, slot_pool;
	struct list_head used; /* of stub.used_node: emptied, to be used again; the latest first */
	unsigned used_count;   /* of these, and of those that are to be or are just being emptied */
	struct list_head left; /* of stub.used_node: to be emptied or killed; the longest there first */
	unsigned left_count; /* of these, and of the one that is just seen to */
	pthread_cond_t left_cond; /* there is one, or it is time to stop */
	bool emptier_started, stopping;
	pthread_t emptier;
	struct list_head ring_blocks; /* of ring_block.node; rings.c */
	unsigned ring_block_count;
	uint64_t serials; /* given out */
	struct list_head waiters; /* of stub.wait_node: those whose waiting thread is not the receiver */
	bool receiving;		  /* some thread is the receiver */
	bool reaper_started;
	pthread_t reaper;
};

/* A thread that no context uses, parked in the shim. */
struct idle_thread {
	pid_t tid;
	uint32_t channel;
	bool second; /* it will resume from the second frame */
	int64_t cpu_ns; /* what it has used so far */
	bool hears;  /* that it is to end: it was awake as it was told */
};

/* Mappings that were put off: of one file, and of anonymous memory. */
struct deferred {
	bool on;
	int fd, error;
	unsigned count;
	struct leader_call calls[SYSTRAP_REQUEST_MAX];
};

struct stub {
	struct pas as;
	struct deferred deferred; /* the making thread's, while there is no context */
	struct list_head node;	   /* guarded by systrap.lock */
	struct list_head contexts; /* of context.node; guarded by systrap.lock */
	uint32_t slot;		   /* immutable */
	_Atomic uint32_t threads;  /* contexts that there are */
	struct mutex leader_lock;
	struct note next; /* the leader's NEXT that waits for an answer; guarded by leader_lock */
	uint64_t seq;	  /* of the last request; guarded by leader_lock */
	int leader_cpu;	  /* to which the leader is pinned, or -1; guarded by leader_lock */
	int socket;	  /* the sentry's end, or a SOCKET_ below; whose it is that maps: the lock of the guest's memory */
	bool inherits;	  /* its parent's socket and windows, so far.  Whoever makes the first thread has it */
	uint32_t spare_channel; /* mapped, and no thread's; or POOL_NONE.  Whoever makes or ends the only thread has it */
	/* Set once, with leader_lock held: NULL before the first patch, its own or its forebears'. */
	struct patches *_Atomic patches;
	_Atomic uint8_t heat[HEAT_SLOTS]; /* how often a call site was seen, by a hash of its address */
	/*
	 * Users of the host pid; STUB_REAPED once it may be anybody's.  The reaper waits for the users to be done
	 * before it lets the pid go.
	 */
	_Atomic uint32_t pid_users;
	_Atomic int64_t killed_ns; /* when it was killed first; 0: not by us */
	_Atomic bool has_rings;		  /* there are blocks of rings in it, perhaps, to its end */
	/* What follows is guarded by systrap.lock. */
	bool reaped, released;	  /* both: free */
	struct list_head used_node; /* released, and kept to be used again; or not, and left to the emptier */
	bool keep; /* if it is left to the emptier: not to be killed */
	uint32_t parked_channels; /* to be freed with the stub: a list through the pool's links */
	unsigned idle_count;
	struct idle_thread idle[IDLE_MAX];

	bool note_ready; /* note is the leader's latest, and nobody has acted on it */
	struct note note;
	pthread_cond_t note_cond;
	struct list_head wait_node;
};

#define STUB_REAPED 0x80000000u
#define SOCKET_NONE (-1)  /* there is none yet */
#define SOCKET_FAILS (-2) /* and there will be none: it would not do */

/* Guest memory as it was when the call in hand was made, in the channel; pieces.c. */
#define PIECE_COUNT 2
struct piece {
	gva_t addr;
	uint32_t len;
	uint8_t kind; /* a PIECE_ of layout.h; 0: there is none */
};

/* What is to be written when it returns. */
struct give {
	gva_t addr;
	uint32_t len;
	uint32_t at; /* where in the channel */
};

/* Memory [low, high) of which the sentry has said whether there is room. */
#define ROOM_COUNT 4
struct room {
	gva_t low, high;
	bool room;
};

struct context {
	struct pctx ctx;
	struct list_head node; /* guarded by systrap.lock */
	pid_t tid;	       /* immutable once spawned */
	int64_t cpu_before_ns; /* what the thread had used in earlier contexts; immutable once spawned */
	uint32_t channel;      /* index; immutable */
	uint8_t *ch;	       /* where the sentry sees it; immutable */
	struct placement place;
	_Atomic uint32_t kick;	   /* an interrupt was asked for and not yet reported */
	_Atomic uint32_t in_guest; /* the guest has, or is about to have, control */
	/* What follows is the attached thread's. */
	bool attached, gone;
	uint32_t brisk, brisk_wanted;	/* calls in a row that came soon after the one before, and how many are to be spun for */
	int64_t brisk_ns;		/* how long they took to come, in all */
	uint32_t spun_calls;		/* that have come since that began */
	int64_t spun_ns, lost_ns;	/* since the last reckoning: how long it was spun for such, and the CPU was others' */
	bool part_due;			/* when it is let go next, sentry and guest thread part */
	bool has_parted;		/* they have done so */
	uint32_t fresh_calls;		/* of a program that has just begun: how many more count as its beginning */
	int64_t left_ns;		/* when it was let go last; CLOCK_MONOTONIC */
	int64_t calm_until_ns, calm_ns; /* no spinning before that; how long the next such calm lasts */
	uint64_t preemptions;		/* of the sentry thread, at the last look */
	bool in_call; /* it waits in a patched call (or on its way back): registers are known, vector state is the thread's own */
	bool saved_along; /* in a call: the vector state is in the second frame all the same */
	bool second;  /* not in a call: its state is in the second frame */
	bool regs_dirty, bases_dirty, result_dirty;
	bool rest_due; /* of regs only what call_load loads is true yet */
	bool may_give;	      /* nobody else has this memory */
	bool given;	      /* by the last return */
	uint8_t give_count, next_room;
	uint32_t give_used;   /* bytes of CH_OUT */
	uint32_t room_version; /* of as.version, which rooms is about */
	gva_t want_room;      /* where a room was missed, or 0 */
	bool has_rings;	      /* it may have slots of rings */
	_Atomic bool sweep_due; /* some of them are closed */
	_Atomic bool may_nap; /* it reads one that is not; written with systrap.lock held, or before there is one */
	_Atomic bool may_owe; /* it has run with rings since the last ring_owed; cleared with systrap.lock held */
	/* Who wrote to a ring that this one read, at the last such look, only to be compared, and its CH_NAPS then. */
	const struct context *ring_writer;
	uint64_t writer_naps;
	uint64_t naps_seen;   /* CH_NAPS at the last look at it, */
	uint32_t nap_looks;   /* and how many looks there were since the last one at all else */
	/* Guarded by systrap.lock. */
	struct ring *rings[2 * CH_RING_ROLE_SLOTS]; /* whose slots those are, or were the last time it ran, or are to be, */
	int ring_fds[2 * CH_RING_ROLE_SLOTS]; /* and the descriptors */
	bool rseq_left;	      /* the shim has undone it, for the exit(2) in hand */
	bool rseq_due;	      /* the next hand-over begins with what the channel's CH_RSEQ_ fields ask for */
	struct piece pieces[PIECE_COUNT]; /* valid if ctx.pieces, as is the next */
	struct give gives[CH_GIVE_MAX];
	struct room rooms[ROOM_COUNT];
	struct abi_regs regs; /* the sentry's copy; the truth between two switches */
};

static inline struct systrap *systrap_of(const struct pas *as)
{
	return container_of(as->pf, struct systrap, pf);
}

static inline struct stub *stub_of(const struct pas *as)
{
	return container_of(as, struct stub, as);
}

static inline struct context *context_of(const struct pctx *ctx)
{
	return container_of(ctx, struct context, ctx);
}

static inline uint64_t channel_addr(uint32_t index)
{
	return SYSTRAP_CHANNELS + (uint64_t)index * SYSTRAP_CHANNEL_SIZE;
}

static inline uint64_t slot_addr(const struct systrap *st, uint32_t slot)
{
	return st->base + SYSTRAP_REQUESTS_OFF + (uint64_t)slot * SYSTRAP_SLOT_SIZE;
}

/* Its table of waiters, in every stub. */
static inline uint64_t waiters_addr(const struct systrap *st, uint32_t slot)
{
	return st->base + SYSTRAP_WAITERS_OFF + ((uint64_t)slot + 1) * SYSTRAP_WAITERS_SIZE;
}

static inline struct leader_call unmap_call(uint64_t addr, uint64_t len)
{
	return (struct leader_call){.nr = SYS_munmap, .args = {addr, len}};
}

/* All windows of a stub, and their records. */
static inline struct leader_call unmap_windows_call(void)
{
	return unmap_call(SYSTRAP_WINDOWS, SYSTRAP_WINDOWS_END - SYSTRAP_WINDOWS);
}

/* SYSTRAP_FD is no file any more. */
static inline struct leader_call no_file_call(void)
{
	return (struct leader_call){.nr = SYS_dup2, .args = {SYSTRAP_NO_FD, SYSTRAP_FD}};
}

/* Closes descriptors from `from` on. */
static inline struct leader_call close_call(unsigned from)
{
	return (struct leader_call){.nr = SYS_close_range, .args = {from, UINT32_MAX, 0}};
}

/* ---- filter.c ---- */

#define FILTER_MAX 1024
/* Writes the stubs' filter for texts at base into f; returns the number of instructions. */
unsigned filter_build(struct sock_filter *f, uint64_t base, bool fsgsbase);
/* Whether the shim may make this memory call: then a guest thread can do it for the sentry, else the leader has to. */
bool filter_lets_shim(const struct leader_call *call);
/* Whether a leader makes this call without notifying the sentry. */
bool filter_lets_leader(const struct leader_call *call);

/* ---- boot.c ---- */

/*
 * Makes the template and fills st->base, frame, fsgsbase, pgid, listener_fd and template.  Single-threaded.  In two steps, between
 * which the sentry may do something else: the template needs a while.  After a failure of either nothing of it is left.
 */
int boot_begin(struct systrap *st, char *why, size_t why_size) MUST_CHECK;
int boot_finish(struct systrap *st, char *why, size_t why_size) MUST_CHECK;

/* ---- futexes shared between processes ---- */

static inline void futex_wake_shared(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Sleeps while *word is value, but no longer than timeout_ns: then it returns -ETIMEDOUT.  May return 0 early. */
static inline int futex_wait_shared(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
	struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};

	return syscall(SYS_futex, word, FUTEX_WAIT, value, &ts, NULL, 0) < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

/* ---- channel.c ---- */

/* A sparse shared memory file of size bytes, mapped; *fd is returned owned. */
int memory_file(const char *name, size_t size, int *fd, void **map) MUST_CHECK;
int channel_pool_create(struct systrap *st, char *why, size_t why_size) MUST_CHECK;
void channel_pool_destroy(struct systrap *st);
/* -EAGAIN when there is none left. */
int channel_alloc(struct systrap *st, uint32_t *index) MUST_CHECK;
/* Only when no stub has it mapped any more.  Wipes it. */
void channel_free(struct systrap *st, uint32_t index) EXCLUDES(st->lock);
/* Has it freed together with s, which has it mapped. */
void channel_park(struct stub *s, uint32_t index);
void channel_free_parked(struct stub *s);
int slot_alloc(struct systrap *st, uint32_t *slot) MUST_CHECK;
/* The counts of a slot's stub (pas_waiters); -1: those of words that processes share. */
_Atomic uint32_t *waiters_of(const struct systrap *st, int64_t slot);
void slot_free(struct systrap *st, uint32_t slot);

/* The hand-over word of any channel, and of the context's. */
static inline _Atomic uint32_t *word_of(const struct systrap *st, uint32_t channel)
{
	return (_Atomic uint32_t *)(void *)(st->channels + (size_t)channel * SYSTRAP_CHANNEL_SIZE + CH_WORD);
}

static inline _Atomic uint32_t *channel_word(const struct context *c)
{
	return (_Atomic uint32_t *)(void *)(c->ch + CH_WORD);
}

/* Another of its words. */
static inline _Atomic uint32_t *channel_u32(const struct context *c, unsigned at)
{
	return (_Atomic uint32_t *)(void *)(c->ch + at);
}

/* ---- notify.c ---- */

int listener_open(struct systrap *st) MUST_CHECK;
/* Sees to notifications for which nobody waits. */
void listener_look(struct systrap *st) EXCLUDES(st->lock);
/* Waits for the stub's leader to notify; -ESRCH if the stub is dead, or was killed because it does not. */
int leader_wait(struct stub *s, struct note *out) MUST_CHECK;
/* The same without waiting: false if there is none. */
bool leader_note_pending(struct stub *s, struct note *out) MUST_CHECK;
/* Answers; -ENOENT if the notification is gone (the leader makes it again, or is dead). */
int leader_reply(struct systrap *st, const struct note *n, long value, uint32_t flags) MUST_CHECK;
/* Answers by putting fd into the stub, as its descriptor number `as`. */
int leader_reply_fd(struct systrap *st, const struct note *n, int fd, uint32_t as) MUST_CHECK;
/* Makes the stub or context known by its host id, and settles what was heard of it before. */
void register_stub(struct systrap *st, struct stub *s) EXCLUDES(st->lock);
void register_context(struct systrap *st, struct context *c) EXCLUDES(st->lock);
/* Looks a leader's stub up.  NULL if there is none. */
struct stub *find_stub(struct systrap *st, pid_t pid) REQUIRES(st->lock);
/* The process pid died and is not registered. */
void note_stray_death(struct systrap *st, pid_t pid) REQUIRES(st->lock);
/* Around the making of a stub or thread, until it is registered. */
void birth_begin(struct systrap *st) EXCLUDES(st->lock);
void birth_end(struct systrap *st) EXCLUDES(st->lock);
/* Marks the stub dead and wakes whoever waits for it. */
void stub_mark_dead(struct systrap *st, struct stub *s) EXCLUDES(st->lock);
void stub_mark_dead_locked(struct systrap *st, struct stub *s) REQUIRES(st->lock);

/* ---- leader.c ---- */

/* Waits for a newborn leader's first NEXT. */
int leader_hello(struct stub *s) MUST_CHECK;
/*
 * Has the stub's leader make the calls in order, up to the first that fails, with fd (or -1) put before them at the number that
 * is the first call's fifth argument, as an mmap has it.  Returns the number that succeeded and stores the last one's result; -ESRCH if the stub is dead; another
 * -errno if fd could not be passed, and then nothing was done.
 */
int leader_request(struct stub *s, const struct leader_call *calls, unsigned count, int fd, long *result) MUST_CHECK
	EXCLUDES(s->leader_lock);
/* The same with s->leader_lock held by the caller. */
int leader_request_locked(struct stub *s, const struct leader_call *calls, unsigned count, int fd,
			  long *result) MUST_CHECK REQUIRES(s->leader_lock);
/* One call: its result, or -ESRCH. */
long leader_call(struct stub *s, const struct leader_call *call) MUST_CHECK EXCLUDES(s->leader_lock);

/* ---- stub.c ---- */

int stub_new(struct systrap *st, struct stub **out) MUST_CHECK;
/* For pas_serial. */
uint64_t serial_new(struct systrap *st) EXCLUDES(st->lock);
void stub_free(struct stub *s);
/* Holds the stub's host pid against reuse; false if the stub has been reaped. */
bool stub_pid_hold(struct stub *s) MUST_CHECK;
void stub_pid_drop(struct stub *s);
void stub_kill(struct stub *s, const char *why);
/* Kills it, as nobody has it any more. */
void stub_end(struct stub *s);
/* True if it was killed long ago and still is not dead.  Then stub_check_death takes it for dead, so that nobody waits for
 * it any more; the reaper has it when its end comes. */
bool stub_overdue(struct stub *s);
void stub_check_death(struct stub *s);

/* ---- recycle.c ---- */

/* Nobody has s any more: leaves it to a thread of its own, the emptier, which makes it ready to be used again, or kills it; what shares
 * memory is made ready before it returns.  False: the caller is to kill it. */
bool stub_leave(struct stub *s) MUST_CHECK EXCLUDES(s->leader_lock);
/* Waits until nobody is at it any more.  All stubs were killed. */
void stub_stop_emptier(struct systrap *st) EXCLUDES(st->lock);
/* It is dead, and will not be used again. */
void stub_forget_used(struct systrap *st, struct stub *s) REQUIRES(st->lock);
bool systrap_as_reuse(struct platform *pf, uint64_t owner, struct pas **out);

int systrap_as_create(struct platform *pf, struct pas **out);
int systrap_as_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out);
void systrap_as_release(struct pas *as);
void systrap_as_leave(struct pas *as);
void systrap_as_kill(struct pas *as);

/* ---- memory.c ---- */

int systrap_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
		uint64_t off);
void systrap_defer(struct pas *as);
int systrap_settle(struct pas *as);
int systrap_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len);
int systrap_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot);
int systrap_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
		  int extra_flags);
int systrap_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg);
int systrap_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec);
ssize_t systrap_read(struct pas *as, gva_t addr, void *buf, size_t len);
ssize_t systrap_move_parts(struct pas *as, gva_t addr, const struct pctx_part *parts, unsigned count, bool write);
ssize_t systrap_write(struct pas *as, gva_t addr, const void *buf, size_t len);

/* ---- files.c ---- */

/* Sends fd on its way to the stub's next SYSTRAP_FILE_FD.  False: it cannot be done. */
bool files_send(struct stub *s, int fd) MUST_CHECK;
/* What was sent did not come: there will be no more. */
void files_give_up(struct stub *s);
/* There is a socket, and the stub has its end. */
bool files_connected(const struct stub *s) MUST_CHECK;
/* Nothing that was sent is left on its way.  None of the stub's threads may be about to receive. */
bool files_all_received(const struct stub *s) MUST_CHECK;
void files_end(struct stub *s);

/* ---- windows.c ---- */

int systrap_windows_new(struct pctx *via, struct pas_window **out);
int systrap_window_map(struct pctx *via, unsigned i, int host_fd, uint64_t off);
int systrap_window_unmap(struct pas *as, struct pctx *via, unsigned i);
bool systrap_show_windows(struct pctx *ctx, bool show);

/* ---- rings.c ---- */

struct pring *systrap_ring_new(struct pctx *ctx, uint64_t peer);
bool systrap_ring_map(struct pring *r, struct pctx *ctx);
bool systrap_ring_give(struct pring *r, struct pctx *ctx, int fd, bool write);
void systrap_ring_open(struct pring *r, const void *buf, size_t len);
size_t systrap_ring_close(struct pring *r, void *buf, void *owe, bool *owed);
void *systrap_ring_owed(struct pctx *ctx);
/* Its thread sleeps in a ring, and nobody has woken it: by its own word, and its writer's. */
bool rings_is_napping(const struct placement *p);
/* A thread sleeps in rings often if CH_NAPS has come so far between two looks at it (context.c: NAP_NS): as placement.c has it. */
#define MATE_NAPS 1250u
/* c's thread, which sleeps in rings often, is to be where the one is that writes to them, if that does too. */
void rings_find_mate(struct context *c) EXCLUDES(systrap_of(c->ctx.as)->lock);
bool systrap_ring_naps(const struct pctx *ctx);
void systrap_ring_io(const struct pctx *ctx, struct pctx_io *out);
/* A fresh context has no slots. */
void rings_init(struct context *c);
/* c's thread, which is not in the guest, has done with those that are closed. */
void rings_sweep(struct context *c) EXCLUDES(systrap_of(c->ctx.as)->lock);
/* c, whose thread is parked or dead, comes to its end. */
void rings_leave(struct context *c) EXCLUDES(systrap_of(c->ctx.as)->lock);
/* The process of s is no more. */
void rings_forget(struct stub *s) EXCLUDES(systrap_of(&s->as)->lock);

/* ---- patch.c ---- */

/*
 * Patches the call site whose system call instruction ends at ip, if it has a form that can be; it may look at and
 * write to [low, high) of guest memory, which is text that nobody writes.  The stub's memory map must not change
 * meanwhile. Nothing is said of the outcome: what was not patched goes on as before.
 */
void systrap_patch(struct pctx *ctx, gva_t ip, uint64_t nr, gva_t low, gva_t high);
/* Counts a call that trapped at ip.  True if it is time to think of a patch. */
bool patch_is_hot(struct stub *s, uint64_t ip);
/*
 * Is a fault (its signal) a patched site's own doing?  PATCH_CALL: somebody came to its middle, or a trampoline found %gs not to
 * be ours; the registers are now as after the system call instruction.  PATCH_RETRY: it was being patched.  PATCH_RESUME: it
 * goes on in a trampoline, of which nobody is to see the registers that there are now.  PATCH_NOTHING: the fault is the guest's, where the
 * registers now say.
 */
enum patch_verdict { PATCH_NOTHING, PATCH_CALL, PATCH_RETRY, PATCH_RESUME };
enum patch_verdict patch_explains(struct context *c, int signo);
/* A thread that was interrupted on its way from a site to its cell is shown to be at the system call instruction. */
void patch_hide_detour(struct context *c);
/* Gives [low, high) back its own text, because it is to be moved. */
void patch_take_back(struct stub *s, gva_t low, gva_t high) EXCLUDES(s->leader_lock);
struct patches *patches_get(struct patches *p);
void patches_put(struct patches *p);

/* ---- pieces.c ---- */

/* Makes the table of what calls take along.  Before the template is made. */
void pieces_table_make(void);
/* The same for the shim. */
void pieces_table_copy(uint8_t page[SYSTRAP_PIECES_SIZE]);
/* What a call may take along, each at its place in the channel (piece_at); kind 0: nothing. */
/* True if call_load's registers are not all of nr's arguments. */
bool pieces_wide(uint64_t nr);
void pieces_find(uint64_t nr, const uint64_t args[6], struct piece out[PIECE_COUNT]);
static inline uint32_t piece_at(unsigned i)
{
	return CH_PIECES + i * CH_PIECE_SIZE;
}
/* A patched call has come; its pieces are there until one of the other two. */
void pieces_begin(struct context *c, uint64_t nr, const uint64_t args[6]);
/* It is about to return: the word that tells the shim so, and whether there is something to copy to the guest. */
uint32_t pieces_return(struct context *c) MUST_CHECK;
/* The thread is back, or dead. */
void pieces_arrived(struct context *c);
/* What is to come out is written now, and all goes by process_vm from here on. */
void pieces_end(struct context *c);
ssize_t systrap_piece_read(struct pctx *ctx, gva_t addr, void *buf, size_t len);
ssize_t systrap_piece_write(struct pctx *ctx, gva_t addr, const void *buf, size_t len);
size_t systrap_piece_string(struct pctx *ctx, gva_t addr, char *dst, size_t cap);
void systrap_pieces_end(struct pctx *ctx);
void systrap_set_room(struct pctx *ctx, gva_t low, gva_t high, bool room);
void systrap_await_given(struct pas *as) EXCLUDES(systrap_of(as)->lock);

/* ---- frame.c ---- */

/* Where the frame keeps rax, in the stub. */
uint64_t frame_rax_addr(const struct context *c);
/* Where the frame begins in the stub. */
uint64_t frame_addr(const struct context *c);
/* The result in the frame, which the shim may have written. */
void frame_reload_result(struct context *c);
/* Reads the registers of a patched call that nearly every call needs, and those that are left, if they are. */
void call_load(struct context *c);
void call_load_rest(struct context *c);
/* Writes the registers with which the thread is to leave a patched call; false if that is not the way for them. */
bool back_store(struct context *c) MUST_CHECK;
/* Reads those that the shim found in a handler's frame. */
void back_load(struct context *c);
/* What a guest thread blocks, as a kernel sigset. */
uint64_t guest_signal_mask(void);
/* Readies the channel, and writes whole frames from which rt_sigreturn makes a fresh thread; c->second says which of
 * them that will be. */
void frame_init(struct context *c);
/* Reads the registers that the kernel stored, and what the signal was. */
void frame_load(struct context *c, struct l_siginfo *info, struct l_sigcontext *sc);
/* Writes back what the sentry changed. */
void frame_store(struct context *c);
ssize_t systrap_get_xstate(struct pctx *ctx, void *buf, size_t cap);
int systrap_set_xstate(struct pctx *ctx, const void *buf, size_t size);

/* ---- context.c ---- */

/*
 * Tells a thread that is parked in the shim to end, wakes it if that was not enough (false: it may sleep), and waits until the host says
 * that it is no more.  thread_has_ended is false if it still is there at deadline_ns (CLOCK_MONOTONIC), or the stub is dead.
 */
bool thread_tell_end(struct stub *s, uint32_t channel) MUST_CHECK;
void thread_wake(struct stub *s, uint32_t channel);
bool thread_has_ended(struct stub *s, pid_t tid, uint32_t channel, int64_t deadline_ns) MUST_CHECK;
/* Makes a thread in s, whose spare channel it takes, that waits for its first context.  Nobody else has s. */
bool thread_prepare(struct stub *s) MUST_CHECK;
/* Sees to it that the whole state is in a frame.  False if the thread is dead. */
bool context_save(struct context *c) MUST_CHECK;
int systrap_put_frame(struct pctx *ctx, gva_t at, const struct l_rt_sigframe *frame, gva_t fpstate);
/* Has ctx's thread, which is in the sentry's hands and the caller's own, make a call that filter_lets_shim, if it is one of as's and
 * nothing is against it.  False: not done.  The result in *result; -ESRCH if the thread is dead. */
bool context_host_call(struct pctx *ctx, struct pas *as, const struct leader_call *call, long *result) MUST_CHECK;
/* The same for an mmap of fd, whatever descriptor the call names. */
bool context_map_file(struct pctx *ctx, struct pas *as, const struct leader_call *call, int fd, long *result) MUST_CHECK;
int systrap_ctx_spawn(struct pas *as, struct pctx *via, struct pctx **out);
int systrap_ctx_attach(struct pctx *ctx);
void systrap_ctx_destroy(struct pctx *ctx);
struct pf_thread systrap_thread(const struct pctx *ctx);
void systrap_run(struct pctx *ctx, struct pf_event *ev);
void systrap_interrupt(struct pctx *ctx);
int systrap_get_regs(struct pctx *ctx, struct abi_regs *out);
int systrap_set_regs(struct pctx *ctx, const struct abi_regs *regs);
void systrap_set_result(struct pctx *ctx, long result);
void systrap_set_answers(struct pctx *ctx, const struct pctx_answers *answers);
int systrap_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen);

int systrap_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer);
bool systrap_rseq_registered(const struct pctx *ctx);
int systrap_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig);

/* ---- probe.c ---- */

/* Why there is no listener where there is one already. */
extern const char foreign_listener_reason[];

int systrap_probe(char *why, size_t why_size);
/* Can a child's memory be read?  Copies size bytes from its `there`; 0, or -errno with the reason in why. */
int probe_memory(pid_t pid, const void *there, void *here, size_t size, char *why, size_t why_size) MUST_CHECK;
/* Does the host keep the old mapping when an mmap with MAP_FIXED over it fails? */
bool probe_mmap_is_atomic(void);

#endif
