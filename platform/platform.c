/*
 * The public face of the platforms: checks arguments once for all of them, so that no ops function sees a range that
 * is empty, unaligned, wraps or reaches past the ceiling, counts references, and calls through.  See platform.h.
 */
#include "platform/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/mman.h"
#include "base/checked.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/arch/x86_64/vdso.h"
#include "platform/ops.h"

/* What may be passed on to the host's mmap.  Growing stacks are left out on purpose: a remote write below one
 * faults where a local access would grow it, so the sentry maps stacks whole. */
#define MAP_FLAGS_OK                                                                                                   \
	(L_MAP_TYPE | L_MAP_FIXED | L_MAP_ANONYMOUS | L_MAP_DENYWRITE | L_MAP_EXECUTABLE | L_MAP_LOCKED |              \
	 L_MAP_NORESERVE | L_MAP_POPULATE | L_MAP_NONBLOCK | L_MAP_STACK | L_MAP_HUGETLB | L_MAP_SYNC |                \
	 ((uint32_t)L_MAP_HUGE_MASK << L_MAP_HUGE_SHIFT))
#define PROT_OK (L_PROT_READ | L_PROT_WRITE | L_PROT_EXEC)

static bool range_ok(gva_t addr, uint64_t len)
{
	uint64_t end;

	return addr % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && len > 0 && checked_add(addr, len, &end) &&
	       end <= GUEST_CEILING;
}

/* ---- platforms ---- */

int platform_probe(const struct platform_ops *ops, char *why, size_t why_size)
{
	return ops->probe(why, why_size);
}

const char *platform_name(const struct platform_ops *ops)
{
	return ops->name;
}

int platform_begin(const struct platform_ops *ops, struct platform **out, char *why, size_t why_size)
{
	int r = ops->begin ? ops->begin(out, why, why_size) : -EOPNOTSUPP;

	if (r == 0)
		(*out)->ops = ops;
	return r;
}

int platform_finish(struct platform *pf, char *why, size_t why_size)
{
	return pf->ops->finish(pf, why, why_size);
}

int platform_start(const struct platform_ops *ops, struct platform **out, char *why, size_t why_size)
{
	struct platform *pf;
	int r;

	if (ops->begin) {
		r = platform_begin(ops, &pf, why, why_size);
		if (r == 0)
			r = platform_finish(pf, why, why_size);
	} else {
		r = ops->start(&pf, why, why_size);
	}
	if (r < 0)
		return r;
	pf->ops = ops;
	*out = pf;
	return 0;
}

void platform_stop(struct platform *pf)
{
	pf->ops->stop(pf);
}

void platform_abandon(struct platform *pf)
{
	if (pf->ops->abandon)
		pf->ops->abandon(pf);
	else
		pf->ops->stop(pf);
}

void platform_note_host(void)
{
	vdso_note();
}

uint64_t platform_vdso(const struct platform *pf)
{
	return pf->vdso;
}

ssize_t platform_vdso_read(const struct platform *pf, uint64_t addr, void *buf, size_t len)
{
	const uint8_t *own = (const uint8_t *)getauxval(AT_SYSINFO_EHDR); /* the same code: the guest's is lent */
	uint64_t size = pf->vdso ? vdso_size() - vdso_ehdr(0) : 0, off = addr - pf->vdso;

	if (!own || addr < pf->vdso || off >= size)
		return -EFAULT;
	len = (size_t)min_of((uint64_t)len, size - off);
	memcpy(buf, own + off, len);
	return (ssize_t)len;
}

size_t platform_xstate_size(const struct platform *pf)
{
	return pf->xstate_size;
}

const struct platform_ops *platform_ops_of(const struct platform *pf)
{
	return pf->ops;
}

/* ---- deaths ---- */

static _Atomic uint32_t death_count; /* a futex; of the process, so that whoever waits outlives any platform */

void platform_note_death(void)
{
	atomic_fetch_add(&death_count, 1);
	syscall(SYS_futex, &death_count, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

uint32_t platform_wait_deaths(uint32_t seen)
{
	uint32_t now;

	while ((now = atomic_load(&death_count)) == seen)
		syscall(SYS_futex, &death_count, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	return now;
}

bool platform_vdso_part(const struct platform *pf, unsigned i, struct pf_vdso_part *out)
{
	return pf->vdso && vdso_part(i, pf->vdso, &out->start, &out->end, &out->name, &out->code);
}

/* ---- pieces ---- */

static _Thread_local struct pctx *own; /* the latest that the thread has attached and not destroyed; or NULL */

/* Whoever looks through another thread's context, which does not run a call, finds none there. */
static bool has_pieces(const struct pctx *ctx)
{
	return ctx == own && ctx->pieces;
}

/* Before the calling thread does to as what the pieces of its call do not know of. */
static void end_pieces_in(const struct pas *as)
{
	if (own && own->pieces && own->as == as)
		as->pf->ops->pieces_end(own);
}

/* The same for what changes the map. */
static void map_changes(struct pas *as)
{
	end_pieces_in(as);
	atomic_fetch_add_explicit(&as->version, 1, memory_order_relaxed);
}

/* ---- address spaces ---- */

int pas_create(struct platform *pf, struct pas **out)
{
	return pf->ops->as_create(pf, out);
}

int pas_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out)
{
	end_pieces_in(via->as);
	return via->as->pf->ops->as_fork(via, out, ctx_out);
}

struct pas *pas_get(struct pas *as)
{
	refcount_inc(&as->refs);
	return as;
}

void pas_put(struct pas *as)
{
	if (as && refcount_dec(&as->refs))
		as->pf->ops->as_release(as);
}

void pas_kill(struct pas *as)
{
	as->pf->ops->as_kill(as);
}

bool pas_is_dead(const struct pas *as)
{
	return atomic_load(&as->dead);
}

pid_t pas_host_pid(const struct pas *as)
{
	return as->host_pid;
}

/* On x86 what can be written can be read; the host's calls on another's memory (process_vm_readv) ask for the right to all the same. */
static int host_prot(int prot)
{
	return prot & L_PROT_WRITE ? prot | L_PROT_READ : prot;
}

/* Whether a mapping, perhaps after an mprotect, is a way to write what others have as well. */
static bool can_share(int flags, int host_fd)
{
	return (flags & L_MAP_TYPE) != L_MAP_PRIVATE && (host_fd < 0 || (fcntl(host_fd, F_GETFL) & O_ACCMODE) != O_RDONLY);
}

int pas_map(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot, int flags, int host_fd, uint64_t off)
{
	uint64_t end;

	if (!range_ok(addr, len) || (prot & ~PROT_OK) || ((uint32_t)flags & ~MAP_FLAGS_OK))
		return -EINVAL;
	if (off % PAGE_SIZE || !checked_add(off, len, &end))
		return -EINVAL;
	if ((host_fd < 0) != !!(flags & L_MAP_ANONYMOUS))
		return -EINVAL;
	if (can_share(flags, host_fd))
		atomic_store_explicit(&as->shares, true, memory_order_relaxed);
	map_changes(as);
	return as->pf->ops->map(as, via, addr, len, host_prot(prot), flags | L_MAP_FIXED, host_fd, off);
}

void pas_defer(struct pas *as)
{
	if (as->pf->ops->defer)
		as->pf->ops->defer(as);
}

int pas_settle(struct pas *as)
{
	return as->pf->ops->settle ? as->pf->ops->settle(as) : 0;
}

int pas_unmap(struct pas *as, struct pctx *via, gva_t addr, uint64_t len)
{
	if (!range_ok(addr, len))
		return -EINVAL;
	map_changes(as);
	return as->pf->ops->unmap(as, via, addr, len);
}

int pas_protect(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, int prot)
{
	if (!range_ok(addr, len) || (prot & ~PROT_OK))
		return -EINVAL;
	map_changes(as);
	return as->pf->ops->protect(as, via, addr, len, host_prot(prot));
}

int pas_remap(struct pas *as, struct pctx *via, gva_t addr, uint64_t old_len, uint64_t new_len, gva_t new_addr,
	      int extra_flags)
{
	/* Linux takes an old length of 0 as a request to duplicate a shared mapping. */
	if (!range_ok(addr, old_len ? old_len : PAGE_SIZE) || !range_ok(new_addr, new_len) ||
	    (extra_flags & ~L_MREMAP_DONTUNMAP))
		return -EINVAL;
	map_changes(as);
	return as->pf->ops->remap(as, via, addr, old_len, new_len, new_addr, extra_flags);
}

int pas_advise(struct pas *as, struct pctx *via, enum pas_advice_op op, gva_t addr, uint64_t len, int arg)
{
	if (!range_ok(addr, len))
		return -EINVAL;
	map_changes(as);
	return as->pf->ops->advise(as, via, op, addr, len, arg);
}

int pas_mincore(struct pas *as, struct pctx *via, gva_t addr, uint64_t len, gva_t vec)
{
	if (!range_ok(addr, len))
		return -EINVAL;
	if (vec >= GUEST_CEILING || len / PAGE_SIZE > GUEST_CEILING - vec)
		return -EFAULT;
	end_pieces_in(as);
	return as->pf->ops->mincore(as, via, addr, len, vec);
}

/* Cuts a transfer off at the ceiling; 0 if it starts at or past it. */
static size_t below_ceiling(gva_t addr, size_t len)
{
	if (addr >= GUEST_CEILING)
		return 0;
	return (size_t)min_of((uint64_t)len, GUEST_CEILING - addr);
}

static ssize_t read_now(struct pas *as, gva_t addr, void *buf, size_t len)
{
	size_t n = below_ceiling(addr, len);

	if (len == 0)
		return 0;
	return n == 0 ? -EFAULT : as->pf->ops->read(as, addr, buf, n);
}

static ssize_t write_now(struct pas *as, gva_t addr, const void *buf, size_t len)
{
	size_t n = below_ceiling(addr, len);

	if (len == 0)
		return 0;
	return n == 0 ? -EFAULT : as->pf->ops->write(as, addr, buf, n);
}

ssize_t pas_read(struct pas *as, gva_t addr, void *buf, size_t len)
{
	end_pieces_in(as);
	return read_now(as, addr, buf, len);
}

ssize_t pas_write(struct pas *as, gva_t addr, const void *buf, size_t len)
{
	end_pieces_in(as);
	return write_now(as, addr, buf, len);
}

ssize_t pctx_read(struct pctx *ctx, gva_t addr, void *buf, size_t len)
{
	size_t n = has_pieces(ctx) ? below_ceiling(addr, len) : 0;
	ssize_t done = n > 0 ? ctx->as->pf->ops->piece_read(ctx, addr, buf, n) : 0;

	return done > 0 ? done : read_now(ctx->as, addr, buf, len);
}

ssize_t pctx_write(struct pctx *ctx, gva_t addr, const void *buf, size_t len)
{
	size_t n = has_pieces(ctx) ? below_ceiling(addr, len) : 0;
	ssize_t done = n > 0 ? ctx->as->pf->ops->piece_write(ctx, addr, buf, n) : 0;

	return done > 0 ? done : write_now(ctx->as, addr, buf, len);
}

static size_t parts_size(const struct pctx_part *parts, unsigned count)
{
	size_t size = 0;

	for (unsigned i = 0; i < count; i++)
		size += parts[i].len;
	return size;
}

/* One part after the other, as far as it goes. */
static ssize_t move_each(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count, bool write)
{
	size_t done = 0;

	for (unsigned i = 0; i < count; i++) {
		ssize_t n = write ? pctx_write(ctx, addr + done, parts[i].at, parts[i].len)
				  : pctx_read(ctx, addr + done, parts[i].at, parts[i].len);

		if (n < 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
		if ((size_t)n < parts[i].len)
			break;
	}
	return (ssize_t)done;
}

static ssize_t move_parts(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count, bool write)
{
	const struct platform_ops *ops = ctx->as->pf->ops;
	size_t size = parts_size(parts, count);

	ASSERT(count <= PCTX_PARTS_MAX);
	if (count < 2 || !ops->move_parts || below_ceiling(addr, size) < size)
		return move_each(ctx, addr, parts, count, write);
	end_pieces_in(ctx->as);
	return ops->move_parts(ctx->as, addr, parts, count, write);
}

ssize_t pctx_read_parts(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count)
{
	return move_parts(ctx, addr, parts, count, false);
}

ssize_t pctx_write_parts(struct pctx *ctx, gva_t addr, const struct pctx_part *parts, unsigned count)
{
	return move_parts(ctx, addr, parts, count, true);
}

size_t pctx_read_string(struct pctx *ctx, gva_t addr, char *dst, size_t cap)
{
	return has_pieces(ctx) ? ctx->as->pf->ops->piece_string(ctx, addr, dst, cap) : 0;
}

void pctx_settle(void)
{
	if (own && own->pieces)
		own->as->pf->ops->pieces_end(own);
}

void pctx_set_room(struct pctx *ctx, gva_t low, gva_t high, bool room)
{
	if (ctx->as->pf->ops->set_room)
		ctx->as->pf->ops->set_room(ctx, low, high, room);
}

bool pas_watch(struct pas *as)
{
	if (own && own->as == as)
		return false;
	pctx_settle(); /* they may want to look at ours */
	atomic_fetch_add(&as->watchers, 1);
	if (atomic_load(&as->giving) != GIVE_NOTHING)
		as->pf->ops->await_given(as);
	return true;
}

void pas_unwatch(struct pas *as)
{
	atomic_fetch_sub(&as->watchers, 1);
}

_Atomic uint32_t *pas_waiters(const struct pas *as, bool shared)
{
	return shared ? as->pf->waiters : as->waiters;
}

/* ---- contexts ---- */

int pctx_spawn(struct pas *as, struct pctx *via, struct pctx **out)
{
	return as->pf->ops->ctx_spawn(as, via, out);
}

int pctx_attach(struct pctx *ctx)
{
	int r = ctx->as->pf->ops->ctx_attach(ctx);

	if (r == 0)
		own = ctx;
	return r;
}

void pctx_destroy(struct pctx *ctx)
{
	if (ctx && ctx == own)
		own = NULL;
	if (ctx)
		ctx->as->pf->ops->ctx_destroy(ctx);
}

struct pas *pctx_as(const struct pctx *ctx)
{
	return ctx->as;
}

struct pf_thread pctx_thread(const struct pctx *ctx)
{
	return ctx->as->pf->ops->thread(ctx);
}

void platform_switch(struct pctx *ctx, struct pf_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ctx->as->pf->ops->run(ctx, ev);
}

void pctx_interrupt(struct pctx *ctx)
{
	ctx->as->pf->ops->interrupt(ctx);
}

int pctx_get_regs(struct pctx *ctx, struct abi_regs *out)
{
	return ctx->as->pf->ops->get_regs(ctx, out);
}

int pctx_set_regs(struct pctx *ctx, const struct abi_regs *regs)
{
	if (!x86_64_regs_valid(regs))
		return -EINVAL;
	return ctx->as->pf->ops->set_regs(ctx, regs);
}

void pctx_set_result(struct pctx *ctx, long result)
{
	ctx->as->pf->ops->set_result(ctx, result);
}

ssize_t pctx_get_xstate(struct pctx *ctx, void *buf, size_t cap)
{
	return ctx->as->pf->ops->get_xstate(ctx, buf, cap);
}

int pctx_set_xstate(struct pctx *ctx, const void *buf, size_t size)
{
	return ctx->as->pf->ops->set_xstate(ctx, buf, size);
}

int pctx_put_frame(struct pctx *ctx, gva_t at, const struct l_rt_sigframe *frame, gva_t fpstate)
{
	const struct platform *pf = ctx->as->pf;
	const uint64_t size = pf->xstate_size + L_FP_XSTATE_MAGIC2_SIZE;

	if (!pf->ops->put_frame)
		return 0;
	if (at >= GUEST_CEILING || sizeof(*frame) > GUEST_CEILING - at || fpstate >= GUEST_CEILING ||
	    size > GUEST_CEILING - fpstate)
		return -EFAULT;
	return pf->ops->put_frame(ctx, at, frame, fpstate);
}

/* The length says which fields there are.  What a stub's filter lets through is bounded; more than this no host knows
 * of. */
#define RSEQ_SIZE_MAX 256u

static bool rseq_area_ok(gva_t area, uint32_t size)
{
	return area < GUEST_CEILING && min_of(size, RSEQ_SIZE_MAX) <= GUEST_CEILING - area;
}

int pctx_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer)
{
	if (!rseq_area_ok(area, size))
		return -EFAULT;
	return ctx->as->pf->ops->rseq_register(ctx, area, min_of(size, RSEQ_SIZE_MAX), sig, answer);
}

bool pctx_rseq_registered(const struct pctx *ctx)
{
	return ctx->as->pf->ops->rseq_registered(ctx);
}

int pctx_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig)
{
	if (!rseq_area_ok(area, size))
		return -EFAULT;
	return ctx->as->pf->ops->rseq_unregister(ctx, area, min_of(size, RSEQ_SIZE_MAX), sig);
}

void platform_features(const struct platform *pf, struct pf_features *out)
{
	*out = (struct pf_features){.patching = pf->patching};
	if (pf->ops->features)
		pf->ops->features(pf, out);
}

void platform_leave_text_alone(struct platform *pf)
{
	pf->patching = false;
}

struct pctx_mask *pctx_mask(const struct pctx *ctx)
{
	return ctx->mask;
}

struct pctx_robust *pctx_robust(const struct pctx *ctx)
{
	return ctx->robust;
}

struct pctx_position *pctx_position(const struct pctx *ctx)
{
	return ctx->position;
}

_Static_assert(PAS_WINDOWS * sizeof(struct pas_window) <= PAGE_SIZE, "a page of records");

int pas_windows_new(struct pctx *via, struct pas_window **out)
{
	const struct platform_ops *ops = via->as->pf->ops;

	return ops->windows_new ? ops->windows_new(via, out) : -ENOSYS;
}

void pas_windows_free(struct pas_window *windows)
{
	munmap(windows, PAGE_SIZE);
}

int pas_window_map(struct pctx *via, unsigned i, int host_fd, uint64_t off)
{
	return via->as->pf->ops->window_map(via, i, host_fd, off);
}

int pas_window_unmap(struct pas *as, struct pctx *via, unsigned i)
{
	return as->pf->ops->window_unmap(as, via, i);
}

bool pas_has_windows(const struct pas *as)
{
	return as->pf->ops->show_windows;
}

bool pctx_show_windows(struct pctx *ctx, bool show)
{
	const struct platform_ops *ops = ctx->as->pf->ops;

	return ops->show_windows && ops->show_windows(ctx, show);
}

bool pctx_has_reads(const struct pctx *ctx)
{
	return UNLIKELY(ctx->reads && __atomic_load_n(&ctx->reads->count, __ATOMIC_RELAXED));
}

struct pctx_reads pctx_peek_reads(const struct pctx *ctx)
{
	struct pctx_reads *r = ctx->reads;

	if (!r)
		return (struct pctx_reads){0};
	return (struct pctx_reads){
		.count = __atomic_load_n(&r->count, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&r->bytes, __ATOMIC_RELAXED),
	};
}

bool pctx_take_reads(struct pctx *ctx, struct pctx_reads *out)
{
	struct pctx_reads *r = ctx->reads;

	if (!pctx_has_reads(ctx))
		return false;
	*out = *r;
	*r = (struct pctx_reads){0};
	return true;
}

uint64_t pas_serial(const struct pas *as)
{
	return as->serial;
}

struct pring *pring_new(struct pctx *ctx, uint64_t peer)
{
	return ctx->as->serial && peer ? ctx->as->pf->ops->ring_new(ctx, peer) : NULL;
}

bool pring_map(struct pring *r, struct pctx *ctx)
{
	return r->ops->ring_map(r, ctx);
}

bool pring_give(struct pring *r, struct pctx *ctx, int fd, bool write)
{
	return r->ops->ring_give(r, ctx, fd, write);
}

void pring_open(struct pring *r, const void *buf, size_t len)
{
	r->ops->ring_open(r, buf, len);
}

size_t pring_close(struct pring *r, void *buf, void *owe, bool *owed)
{
	return r->ops->ring_close(r, buf, owe, owed);
}

bool pctx_napped(const struct pctx *ctx)
{
	return ctx->naps && ((atomic_load_explicit(ctx->naps, memory_order_relaxed) & 1) || atomic_load(&ctx->owed));
}

void *pctx_owed(struct pctx *ctx)
{
	return ctx->naps ? ctx->as->pf->ops->ring_owed(ctx) : NULL;
}

void pctx_io(const struct pctx *ctx, struct pctx_io *out)
{
	*out = (struct pctx_io){0};
	if (ctx->naps)
		ctx->as->pf->ops->ring_io(ctx, out);
}

bool pctx_naps(const struct pctx *ctx)
{
	return ctx->naps && (atomic_load(ctx->naps) & 1) && ctx->as->pf->ops->ring_naps(ctx);
}

uint64_t pctx_nap_count(const struct pctx *ctx)
{
	return ctx->naps ? atomic_load(ctx->naps) / 2 : 0;
}

void pctx_set_answers(struct pctx *ctx, const struct pctx_answers *answers)
{
	const struct platform_ops *ops = ctx->as->pf->ops;

	if (ops->set_answers)
		ops->set_answers(ctx, answers);
}

void pctx_patch(struct pctx *ctx, const struct pf_event *ev, gva_t low, gva_t high)
{
	const struct platform_ops *ops = ctx->as->pf->ops;

	if (ops->patch && low >= GUEST_MIN && low <= ev->ip && ev->ip <= high && high <= GUEST_CEILING)
		ops->patch(ctx, ev->ip, ev->nr, low, high);
}

int pctx_cmpxchg32(struct pctx *ctx, gva_t addr, uint32_t expected, uint32_t desired, uint32_t *seen)
{
	if (addr % sizeof(uint32_t))
		return -EINVAL;
	if (addr >= GUEST_CEILING)
		return -EFAULT;
	return ctx->as->pf->ops->cmpxchg32(ctx, addr, expected, desired, seen);
}
