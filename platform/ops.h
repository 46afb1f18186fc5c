/*
 * The private side of platform.h: the operation table that ptrace/, systrap/ and fake/ fill in.  platform.c checks
 * arguments once for all of them and calls through.  Each slot has the contract of the public function of its name.
 * A platform's own structs begin with these headers.
 */
#ifndef BAILEY_PLATFORM_OPS_H
#define BAILEY_PLATFORM_OPS_H

#include "base/refcount.h"
#include "platform/platform.h"

struct platform {
	const struct platform_ops *ops;
	size_t xstate_size;
	bool patching; /* hot call sites are patched; does not change once there are guests */
	uint64_t vdso; /* its ELF header's address in every stub, or 0 */
	_Atomic uint32_t *waiters; /* as pas_waiters of shared words, or NULL; immutable */
};

struct pas {
	struct platform *pf;
	struct refcount refs;
	pid_t host_pid;
	_Atomic bool dead;	    /* set by the reaper, or by whoever found out first */
	uint64_t owner;		    /* as pas_create_for's; 0: the stub is not used again; immutable once others know of it */
	_Atomic bool kept_apart;    /* an owner of another kind had it as well: likewise */
	_Atomic bool shares;	    /* it has, or has had, memory that others have too and that it can write to */
	_Atomic uint32_t *waiters;  /* as pas_waiters of words of its own, or NULL; immutable */
	_Atomic uint32_t version;   /* changes with what is mapped, and how */
	_Atomic uint32_t watchers;  /* others that are between pas_watch and pas_unwatch */
	_Atomic uint32_t giving;    /* GIVE_*: whether what a call has written may not have arrived; pieces.c */
	uint64_t serial;	    /* immutable; 0: it has none, and no rings */
	struct pas_before before;   /* immutable once others know of it */
	_Atomic uint64_t faults[2]; /* the stub's, minor and major, as last noted */
};

enum { GIVE_NOTHING, GIVE_SOON, GIVE_NOW }; /* the sentry has it; the guest's thread is to copy it */

struct pctx {
	struct pas *as; /* counted */
	struct pctx_mask *mask; /* or NULL; immutable once the context has been handed out */
	struct pctx_robust *robust; /* likewise */
	struct pctx_position *position; /* likewise */
	struct pctx_reads *reads;	/* likewise */
	_Atomic uint64_t *naps;		/* odd while a read sleeps in a ring; likewise */
	void *_Atomic owed;		/* see pctx_owed */
	bool pieces;		/* the call in hand has memory with it: see pctx_read; its thread's */
};

/* A platform's own ring begins so. */
struct pring {
	const struct platform_ops *ops;
};

/* A platform calls this once it has set dead of an address space that somebody still uses. */
void platform_note_death(void);

struct platform_ops {
	const char *name;
	int (*probe)(char *why, size_t why_size);
	/* One that starts in two steps has begin and finish, after whose failure there is nothing left; any other has start. */
	int (*start)(struct platform **out, char *why, size_t why_size);
	int (*begin)(struct platform **out, char *why, size_t why_size);
	int (*finish)(struct platform *pf, char *why, size_t why_size);
	void (*stop)(struct platform *pf);
	void (*abandon)(struct platform *pf); /* may be NULL: as stop */
	void (*features)(const struct platform *pf, struct pf_features *out); /* may be NULL: none */

	int (*as_create)(struct platform *pf, struct pas **out);
	/* As as_create, with a stub that another address space of this owner has left; false: there is none.  May be NULL. */
	bool (*as_reuse)(struct platform *pf, uint64_t owner, struct pas **out);
	int (*as_fork)(struct pctx *via, struct pas **out, struct pctx **ctx_out);
	void (*as_release)(struct pas *as); /* last reference gone: kill the stub, free as */
	void (*as_leave)(struct pas *as);   /* the same, and the stub may be kept for as_reuse; may be NULL */
	void (*as_kill)(struct pas *as);
	int (*map)(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd,
		   uint64_t off);
	void (*defer)(struct pas *as); /* with settle; may be NULL */
	int (*settle)(struct pas *as);
	int (*unmap)(struct pas *as, struct pctx *via, gva_t addr, uint64_t len);
	int (*protect)(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot);
	int (*remap)(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
		     int extra_flags);
	int (*advise)(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg);
	int (*mincore)(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec);
	ssize_t (*read)(struct pas *as, gva_t addr, void *buf, size_t len);
	ssize_t (*write)(struct pas *as, gva_t addr, const void *buf, size_t len);
	/* The same for several places; write: to the guest.  NULL: one after the other. */
	ssize_t (*move_parts)(struct pas *as, gva_t addr, const struct pctx_part *parts, unsigned count, bool write);

	/*
	 * Of a context with pieces.  read and write do all of it, or nothing (0) and leave it to the address space's; string
	 * gives the length with the NUL, or 0; pieces_end ends them.  await_given comes back when nothing is giving any more, and
	 * takes its time.  NULL in a platform that never sets pieces.
	 */
	ssize_t (*piece_read)(struct pctx *ctx, gva_t addr, void *buf, size_t len);
	ssize_t (*piece_write)(struct pctx *ctx, gva_t addr, const void *buf, size_t len);
	size_t (*piece_string)(struct pctx *ctx, gva_t addr, char *dst, size_t cap);
	void (*pieces_end)(struct pctx *ctx);
	void (*set_room)(struct pctx *ctx, gva_t low, gva_t high, bool room);
	void (*await_given)(struct pas *as);

	int (*ctx_spawn)(struct pas *as, struct pctx *via, struct pctx **out);
	int (*ctx_attach)(struct pctx *ctx);
	void (*ctx_destroy)(struct pctx *ctx);
	struct pf_thread (*thread)(const struct pctx *ctx);
	void (*run)(struct pctx *ctx, struct pf_event *ev);
	void (*interrupt)(struct pctx *ctx);
	int (*get_regs)(struct pctx *ctx, struct abi_regs *out);
	int (*set_regs)(struct pctx *ctx, const struct abi_regs *regs);
	void (*set_result)(struct pctx *ctx, long result);
	ssize_t (*get_xstate)(struct pctx *ctx, void *buf, size_t cap);
	int (*set_xstate)(struct pctx *ctx, const void *buf, size_t size);
	int (*put_frame)(struct pctx *ctx, gva_t at, const struct l_rt_sigframe *frame, gva_t fpstate); /* may be NULL */
	int (*rseq_register)(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer);
	bool (*rseq_registered)(const struct pctx *ctx);
	int (*rseq_unregister)(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig);
	void (*set_answers)(struct pctx *ctx, const struct pctx_answers *answers); /* may be NULL */
	/* Windows; NULL, all of them, in a platform that has none. */
	int (*windows_new)(struct pctx *via, struct pas_window **out); /* a page, by mmap(2) */
	int (*window_map)(struct pctx *via, unsigned i, int host_fd, uint64_t off);
	int (*window_unmap)(struct pas *as, struct pctx *via, unsigned i);
	bool (*show_windows)(struct pctx *ctx, bool show);
	void (*patch)(struct pctx *ctx, gva_t ip, uint64_t nr, gva_t low, gva_t high); /* may be NULL */
	/* Rings; NULL in a platform without serials. */
	struct pring *(*ring_new)(struct pctx *ctx, uint64_t peer);
	bool (*ring_map)(struct pring *r, struct pctx *ctx);
	bool (*ring_give)(struct pring *r, struct pctx *ctx, int fd, bool write);
	void (*ring_open)(struct pring *r, const void *buf, size_t len);
	size_t (*ring_close)(struct pring *r, void *buf, void *owe, bool *owed);
	void *(*ring_owed)(struct pctx *ctx);
	void (*ring_io)(const struct pctx *ctx, struct pctx_io *out);
	bool (*ring_naps)(const struct pctx *ctx);
	int (*cmpxchg32)(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen);
};

#endif
