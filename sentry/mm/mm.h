/*
 * mm: a guest address space as the sentry sees it: a list of VMAs for /proc/PID/maps, limits and validation.  The
 * pages, faults and copy-on-write are the host kernel's, in the stub (platform_as).
 *
 * The VMA list and the stub agree: each change holds mm->lock over both.  If the host call fails half-way the
 * platform has killed the stub (-ESRCH) and the process dies.
 */
#ifndef BAILEY_SENTRY_MM_MM_H
#define BAILEY_SENTRY_MM_MM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "abi/prctl.h"
#include "base/compiler.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "platform/platform.h"
#include "sentry/core/tunable.h"
#include "sentry/core/userns.h"
#include "sentry/ipc/aio.h"
#include "sentry/mm/numa.h"

struct file;
struct task;

struct vma {
	uint64_t start, end; /* page-aligned, [start, end) */
	int prot;	     /* L_PROT_* */
	int flags;	     /* L_MAP_SHARED or L_MAP_PRIVATE, L_MAP_ANONYMOUS, L_MAP_GROWSDOWN, L_MAP_NORESERVE */
	struct file *file;   /* counted, or NULL */
	uint64_t off;	     /* in the file (or the shared anonymous object), bytes */
	uint64_t shared_id;  /* names a shared anonymous object, for futex keys; 0: none */
	int kind;	     /* VMA_* */
	bool locked, lock_on_fault; /* mlock2(2); lock_on_fault only with locked */
	uint8_t hints;		    /* VMA_SEQUENTIAL...: what madvise(2) said and /proc tells */
	bool wipe_on_fork, dont_fork, dont_dump;
	bool sealed;		  /* mseal(2) */
	struct mem_policy policy; /* mbind(2) */
	struct vma_name *name;	  /* counted; PR_SET_VMA_ANON_NAME, or NULL */
};
enum { VMA_SEQUENTIAL = 1, VMA_RANDOM = 2, VMA_HUGE = 4, VMA_NO_HUGE = 8, VMA_MERGEABLE = 16 };

/* A name that a program gave to anonymous memory.  Immutable. */
#define VMA_NAME_MAX 80 /* with its NUL */
struct vma_name {
	struct refcount refs;
	char text[VMA_NAME_MAX];
};
enum { VMA_PLAIN, VMA_HEAP, VMA_STACK, VMA_VDSO };

struct mm {
	struct refcount refs; /* tasks and whoever looks */
	struct pas *as;	      /* counted; immutable */
	struct user_ns *user_ns; /* counted: whose capabilities count for it; immutable once a task runs in it */
	struct mutex lock;
	/* Guarded by lock. */
	struct vma **vmas; /* sorted by start */
	size_t vma_count, vma_cap;
	uint64_t total_size, data_size, stack_size, locked_size; /* bytes */
	uint64_t peak_size;
	uint64_t brk_start, brk;
	uint64_t mmap_base; /* search for free ranges goes down from here, */
	bool bottom_up;	    /* or up: ADDR_COMPAT_LAYOUT; immutable once the program runs */
	uint64_t stack_top, stack_limit;
	_Atomic uint64_t stack_start; /* where the main stack begins by now; read without lock, too */
	uint64_t stack_floor;	      /* it never grows to there; immutable once the program runs */
	uint64_t arg_start, arg_end, env_start, env_end; /* for cmdline and environ */
	uint64_t start_code, end_code, start_data, end_data, start_stack;
	uint64_t auxv[2 * 28]; /* as on the stack, AT_NULL-terminated */
	bool lock_future, lock_future_on_fault; /* mlockall(MCL_FUTURE), with MCL_ONFAULT */
	struct fd_windows *windows; /* counted: of the files that its threads read by themselves; or NULL */
	bool guarded; /* it has, or had, guard pages, which are in no VMA: MADV_GUARD_INSTALL */

	_Atomic uint32_t mdwe;	      /* L_PR_MDWE_*: what may not become writable and executable */
	struct aio_contexts aio;      /* io_setup(2)'s; not inherited */
	_Atomic uint32_t membarriers; /* L_MEMBARRIER_CMD_REGISTER_*: what membarrier(2) has registered */
};

/* Most VMAs an address space may have, as vm.max_map_count. */
extern struct tunable mm_max_map_count;
/* Kept free below a mapping that grows. */
#define MM_STACK_GAP (256 * PAGE_SIZE)

/* What of old's mdwe a copy of it, or a program that takes its place, has. */
static inline uint32_t mm_inherited_mdwe(const struct mm *old)
{
	uint32_t mdwe = old->mdwe;

	return mdwe & L_PR_MDWE_NO_INHERIT ? 0 : mdwe;
}

struct mm *mm_new(struct pas *as /* consumed */);
/* Bytes of what is in no VMA but counts as mapped: the vDSO and its data, or its code alone. */
uint64_t mm_special_size(bool code_only);
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
/* The same by the task whose it was, which holds no lock: it may wait for the stub (pas_leave). */
void mm_leave(struct mm *mm);
/* The VMA list of child copies old's, for fork; as is consumed. */
int mm_fork(struct mm *old, struct pas *as, struct mm **out) MUST_CHECK;

/* mmap(2) after decoding.  addr is a hint unless flags has MAP_FIXED.  file is borrowed.  The address, or -errno. */
int64_t mm_map(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot, int flags, struct file *file,
	       uint64_t off, int kind) MUST_CHECK;
int mm_unmap(struct task *t, struct mm *mm, uint64_t addr, uint64_t len) MUST_CHECK;
int mm_protect(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int prot) MUST_CHECK;
int64_t mm_remap(struct task *t, struct mm *mm, uint64_t addr, uint64_t old_len, uint64_t new_len, int flags,
		 uint64_t new_addr) MUST_CHECK;
/* Extends the mapping above addr, if it is one that grows, down to addr's page.  0; -EFAULT if there is nothing to grow or
 * addr is mapped; -ENOMEM if a limit or a neighbour forbids it. */
int mm_grow_down(struct task *t, struct mm *mm, uint64_t addr) MUST_CHECK;
uint64_t mm_brk(struct task *t, struct mm *mm, uint64_t brk);

/* -ENOMEM if a page of the range is not mapped, -EINVAL if it is no range. */
int mm_check_mapped(struct mm *mm, uint64_t addr, uint64_t len) MUST_CHECK;
int mm_advise(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int advice) MUST_CHECK;
/* mincore(2) of a range of whole pages: which of them are there, a byte a page, to the guest's memory at vec. */
int mm_mincore(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, uint64_t vec) MUST_CHECK;
int mm_sync(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags) MUST_CHECK;
/* mlock2(2) and munlock(2): lock says which. */
int mm_lock(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, int flags, bool lock) MUST_CHECK;
/* PR_SET_VMA_ANON_NAME: text names anonymous memory from now on; NULL takes the name away. */
int mm_set_name(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, const char *text) MUST_CHECK;
/* mseal(2): from now on the range can be neither unmapped, moved, protected anew nor mapped over.  -ENOMEM for holes. */
int mm_seal(struct task *t, struct mm *mm, uint64_t addr, uint64_t len) MUST_CHECK;
/* remap_file_pages(2): maps another part of the shared file that is mapped at addr there. */
int mm_remap_file(struct task *t, struct mm *mm, uint64_t addr, uint64_t len, uint64_t page_off, int nonblock) MUST_CHECK;
int mm_lock_all(struct task *t, struct mm *mm, int flags) MUST_CHECK;
int mm_unlock_all(struct task *t, struct mm *mm) MUST_CHECK;
/* Reads or writes memory as far as its protection or, for private memory, its owner's right to change that allows.  t is the
 * calling task or NULL: a platform may refuse (-EINVAL) to force an access through any but a context of mm.  The count done, short
 * where that ends, or -errno. */
ssize_t mm_access(struct task *t, struct mm *mm, uint64_t addr, void *buf, size_t len, bool write) MUST_CHECK;
/* The same within its protection, of any process's memory: pas_read or pas_write with pas_watch around it. */
ssize_t mm_move(struct mm *mm, uint64_t addr, void *buf, size_t len, bool write) MUST_CHECK;
/* Tells t's platform whether there is room around addr (pctx_set_room). */
void mm_tell_room(struct task *t, uint64_t addr);
/* True if every page of [addr, addr + len) is mapped. */
bool mm_range_mapped(struct mm *mm, uint64_t addr, uint64_t len);

/* Room for a mapping of len bytes below ceiling, from mmap_base on; 0 if there is none.  mm->lock held. */
uint64_t mm_find_gap(struct mm *mm, uint64_t len, uint64_t align, uint64_t ceiling) REQUIRES(mm->lock);

/* The VMA that holds addr, or NULL.  mm->lock held. */
struct vma *mm_find(struct mm *mm, uint64_t addr) REQUIRES(mm->lock);

/*
 * The first VMA at or above `at` that maps a file with these operations and stands where a mapping of the whole file at `base`
 * would put it.  *file NULL: of any such file, which *file then is (counted); else only of that, and not past its size.
 */
struct file_ops;
bool mm_next_of_file(struct mm *mm, uint64_t at, uint64_t base, const struct file_ops *ops, struct file **file, uint64_t *start,
		     uint64_t *end) MUST_CHECK;

/* A mapping of a file, which is counted. */
struct mm_mapping {
	uint64_t start, end;
	struct file *file;
};
/* The first of a file that begins at or above from; false if there is none. */
bool mm_next_file_mapping(struct mm *mm, uint64_t from, struct mm_mapping *out) MUST_CHECK;

/* The file that is mapped at addr, counted, or NULL. */
struct file *mm_file_at(struct mm *mm, uint64_t addr);
/* From where the beginning of the file that is mapped at addr is mapped to the end of the mapping at addr, as a program's or
 * library's segments lie; false if no file is, or not its beginning. */
bool mm_file_extent(struct mm *mm, uint64_t addr, uint64_t *start, uint64_t *end);

/* What a futex on a shared mapping is known by: the same words have the same key in every address space. */
struct mm_key {
	uint64_t object; /* an inode's address, a shared anonymous object's id, or the mm's own address (private) */
	uint64_t off;
};
/* In off, whose words are aligned: private memory, but named as what others might share.  As on Linux the two do not meet. */
#define MM_KEY_SHARED_FORM 1u
/* The key of the aligned word at addr; -EFAULT if nothing is mapped there. */
int mm_futex_key(struct mm *mm, uint64_t addr, bool process_private, struct mm_key *out) MUST_CHECK;

/* Writes /proc/PID/maps, smaps or smaps_rollup.  root is borrowed: names are shown as seen from it. */
struct path;
enum mm_show { MM_SHOW_MAPS, MM_SHOW_SMAPS, MM_SHOW_ROLLUP };
int mm_show(struct mm *mm, const struct path *root, enum mm_show what, FILE *out) MUST_CHECK;
/* What is resident, and how much of that is of files or shared memory, comes from the stub's own /proc: 0 if that cannot be had.
 * DIVERGES: windows (sentry/vfs/windows.h) count, too; the host tells their share in smaps alone. */
void mm_usage(struct mm *mm, uint64_t *size_bytes, uint64_t *rss_bytes, uint64_t *shared_bytes);
/*
 * t, whose own thread calls, has read f by fd from pos on, in a call that others might be able to make by themselves from now on
 * (sentry/vfs/windows.h).  Whether its thread can.
 */
bool mm_lend_reads(struct task *t, int fd, struct file *f, int64_t pos);
/* t, whose own thread calls, has closed files, or let go of a table of them: unmaps what was lent of them. */
void mm_clean_windows(struct task *t);
/* t, whose own thread calls, is about to leave its address space, and if all is so its table of descriptors. */
void mm_leave_windows(struct task *t, bool all);
/* The call site of ev, an event of t's that says hot, is to be made cheaper, if it lies in text (pctx_patch). */
void mm_patch_text(struct task *t, const struct pf_event *ev);

#endif
