/*
 * The shim's short cuts in C: calls of a patched site that the guest's own thread answers, from what the sentry has lent it or
 * lets it see.  Each answers exactly what the sentry would, or leaves the call to the sentry, to which nothing has happened then.
 *
 * This is the stub's code: copied to a place of its own beside shim.S, it may call nothing but the shim's own (tools/check-shim),
 * has no data, and no vector registers, which are the guest's.  Its stack is some 1,000 bytes of the channel.  Guest memory is looked
 * at by the shim_ functions only, which survive a fault.  The channel is the guest's to scribble in at any time, and the guest may jump
 * to any byte here: what it gains is what it could do without.
 */
#include <stdatomic.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/futex.h"
#include "platform/platform.h"
#include "platform/systrap/layout.h"

#define SHIM_TEXT __attribute__((section("systrap_shim")))
#define INTO_TEXT static inline __attribute__((always_inline)) /* a function of its own would be elsewhere */

/* In %rax and %rdx. */
struct short_cut {
	long result;
	long taken; /* 0: the call is the sentry's */
};

/* shim.S's; hidden, so that they are reached by their distance and not by a table of addresses, which no stub has. */
#pragma GCC visibility push(hidden)
bool shim_load32(const uint32_t *from, uint32_t *to);
bool shim_touch(uint32_t *word);
size_t shim_copy(void *to, const void *from, size_t n);
extern const uint8_t systrap_text[];
struct short_cut shim_short_cut(uint8_t *channel);
#pragma GCC visibility pop

INTO_TEXT uint64_t ch64(const uint8_t *channel, unsigned off)
{
	return *(const volatile uint64_t *)(channel + off);
}

INTO_TEXT struct short_cut answer(long result)
{
	return (struct short_cut){result, 1};
}

INTO_TEXT struct short_cut not_taken(void)
{
	return (struct short_cut){0, 0};
}

/*
 * lseek where the position is lent to us (struct pctx_position), to a new one that needs nothing but the old: the exchange is all
 * that happens, and if it does not, because somebody took the position back, the sentry is called.
 */
INTO_TEXT struct short_cut seek(uint8_t *channel)
{
	struct pctx_position *at = (struct pctx_position *)(channel + CH_POSITION);
	int64_t offset = (int64_t)ch64(channel, CH_RSI), pos;
	uint32_t whence = (uint32_t)ch64(channel, CH_RDX);

	if (at->fd != (int32_t)ch64(channel, CH_RDI) || whence > L_SEEK_CUR)
		return not_taken();
	pos = atomic_load_explicit(&at->pos, memory_order_relaxed);
	if (pos < 0 || (whence == L_SEEK_CUR && __builtin_add_overflow(offset, pos, &offset)) || offset < 0)
		return not_taken();
	return atomic_compare_exchange_strong(&at->pos, &pos, offset) ? answer(offset) : not_taken();
}

/* ---- reads ---- */

INTO_TEXT uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * A read at pos by a window (platform.h, struct pas_window).  Whatever is unusual is the sentry's: what Linux refuses, what does not lie in
 * the window, what faults; and what was not lent any more when all was copied, for then the bytes may be others.  The fence keeps
 * the second look at the loan behind the copy.
 */
INTO_TEXT struct short_cut read_window(const uint8_t *channel, int64_t pos)
{
	uint64_t buf = ch64(channel, CH_RSI), count = ch64(channel, CH_RDX), loan, in, left;
	int32_t fd = (int32_t)ch64(channel, CH_RDI);
	const volatile struct pas_window *w =
		(const volatile struct pas_window *)(uintptr_t)ch64(channel, CH_WINDOWS) + (uint32_t)fd % PAS_WINDOWS;

	if (pos < 0 || count == 0 || count > WIN_READ_MAX || buf > SYSTRAP_BASE - count || pos > INT64_MAX - WIN_READ_MAX)
		return not_taken();
	loan = atomic_load_explicit(&w->loan, memory_order_acquire);
	if (!loan || w->fd != fd)
		return not_taken();
	left = w->size > (uint64_t)pos ? w->size - (uint64_t)pos : 0;
	count = min64(count, left);
	if (count) {
		if ((uint64_t)pos < w->first)
			return not_taken();
		in = (uint64_t)pos - w->first;
		if (in > w->span || count > w->span - in)
			return not_taken();
		if (shim_copy((void *)(uintptr_t)buf, (const void *)(uintptr_t)(w->at + in), count))
			return not_taken();
	}
	__asm__ volatile("lfence" ::: "memory");
	return atomic_load_explicit(&w->loan, memory_order_acquire) == loan ? answer((long)count) : not_taken();
}

INTO_TEXT struct short_cut counted(uint8_t *channel, struct short_cut s)
{
	struct pctx_reads *reads = (struct pctx_reads *)(channel + CH_READ_COUNT);

	if (s.taken) {
		reads->count++;
		reads->bytes += (uint64_t)s.result;
	}
	return s;
}

/* Where the position is lent, too.  Who takes it back finds it where it was, or behind what was read. */
INTO_TEXT struct short_cut read_on(uint8_t *channel)
{
	struct pctx_position *at = (struct pctx_position *)(channel + CH_POSITION);
	struct short_cut s;
	int64_t pos;

	if (at->fd != (int32_t)ch64(channel, CH_RDI))
		return not_taken();
	pos = atomic_load_explicit(&at->pos, memory_order_relaxed);
	s = read_window(channel, pos);
	return !s.taken || atomic_compare_exchange_strong(&at->pos, &pos, pos + s.result) ? s : not_taken();
}

/* ---- futexes ---- */

/* How many wait for the words of this one's slot. */
INTO_TEXT uint32_t waiters(const uint8_t *channel, uint64_t word, bool shared)
{
	uint64_t table = shared ? (uint64_t)(uintptr_t)systrap_text + SYSTRAP_WAITERS_OFF : ch64(channel, CH_WAITERS);
	const _Atomic uint32_t *counts = (const _Atomic uint32_t *)(uintptr_t)table;

	return atomic_load(&counts[pas_waiter_slot(word)]);
}

/*
 * A futex that nobody waits for is woken here, and one whose word is another than the caller means is not waited for.  Whoever waits is
 * counted before the word is looked at (sentry/ipc/futex.c); who wakes has changed the word before, and looks at the count behind
 * a fence.  Words that processes may share have to be such as Linux takes: it looks for a page that can be written.  Arguments
 * with which Linux is not content are the sentry's, and so is every wait with a timeout.
 */
INTO_TEXT struct short_cut futex(const uint8_t *channel)
{
	uint32_t op = (uint32_t)ch64(channel, CH_RSI), seen;
	bool shared = !(op & L_FUTEX_PRIVATE_FLAG);
	uint64_t at = ch64(channel, CH_RDI);
	uint32_t *word = (uint32_t *)(uintptr_t)at;

	if ((at & 3) || at >= SYSTRAP_BASE)
		return not_taken();
	op &= ~(uint32_t)L_FUTEX_PRIVATE_FLAG;
	if ((op != L_FUTEX_WAIT && op != L_FUTEX_WAKE) && (uint32_t)ch64(channel, CH_R9) == 0)
		return not_taken(); /* no bits */
	switch (op) {
	case L_FUTEX_WAIT:
	case L_FUTEX_WAIT_BITSET:
	case L_FUTEX_WAIT_BITSET | L_FUTEX_CLOCK_REALTIME:
		if (ch64(channel, CH_R10) || (shared && !shim_touch(word)) || !shim_load32(word, &seen))
			return not_taken();
		return seen == (uint32_t)ch64(channel, CH_RDX) ? not_taken() : answer(-EAGAIN);
	case L_FUTEX_WAKE:
	case L_FUTEX_WAKE_BITSET:
		if (shared && !shim_touch(word))
			return not_taken();
		atomic_thread_fence(memory_order_seq_cst);
		return waiters(channel, at, shared) ? not_taken() : answer(0);
	default:
		return not_taken();
	}
}

/* set_robust_list is only written down. */
INTO_TEXT struct short_cut robust_list(uint8_t *channel)
{
	struct pctx_robust *robust = (struct pctx_robust *)(channel + CH_ROBUST);

	if (!atomic_load_explicit(&robust->open, memory_order_relaxed) ||
	    ch64(channel, CH_RSI) != sizeof(struct l_robust_list_head))
		return not_taken();
	atomic_store_explicit(&robust->head, ch64(channel, CH_RDI), memory_order_relaxed);
	return answer(0);
}

/* Called by shim.S for the numbers that are here. */
SHIM_TEXT struct short_cut shim_short_cut(uint8_t *channel)
{
	switch ((uint32_t)ch64(channel, CH_RAX)) {
	case SYS_lseek:
		return seek(channel);
	case SYS_pread64:
		return counted(channel, read_window(channel, (int64_t)ch64(channel, CH_R10)));
	case SYS_read:
		return counted(channel, read_on(channel));
	case SYS_futex:
		return futex(channel);
	case SYS_set_robust_list:
		return robust_list(channel);
	default:
		return not_taken();
	}
}
