/*
 * ptrace(2) and registers.  A tracee in a stop has put them into its snapshot (sentry/ptrace/state.h), which is read
 * and changed here under tasks_lock; what it does with them when it is resumed is sentry/ptrace's.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/ptrace.h"
#include "abi/signal.h"
#include "base/checked.h"
#include "platform/arch/x86_64/regs.h"
#include "platform/arch/x86_64/xstate.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/syscalls/ptrace_regs.h"

#define EFLAGS_NT 0x4000u
#define EFLAGS_SETTABLE ((uint64_t)L_EFLAGS_RESTORABLE | EFLAGS_NT)

/* The snapshot of t's tracee, or NULL. */
static struct trace_state *snapshot(struct task *t, int tid) REQUIRES(tasks_lock)
{
	struct task *o = trace_stopped_tracee(t, tid);

	return o ? &o->trace : NULL;
}

/* ---- general registers ---- */

static int get_regs(struct task *t, int tid, struct abi_regs *out)
{
	struct trace_state *tr;

	mutex_lock(&tasks_lock);
	tr = snapshot(t, tid);
	if (tr)
		*out = tr->regs;
	mutex_unlock(&tasks_lock);
	return tr ? 0 : -ESRCH;
}

static int set_regs(struct task *t, int tid, const struct abi_regs *next)
{
	struct trace_state *tr;
	int r = -ESRCH;

	if (!x86_64_regs_valid(next))
		return -EIO;
	mutex_lock(&tasks_lock);
	tr = snapshot(t, tid);
	if (tr) {
		uint64_t fixed = tr->regs.eflags & ~EFLAGS_SETTABLE;

		tr->regs = *next;
		tr->regs.eflags = fixed | (next->eflags & EFLAGS_SETTABLE);
		tr->regs_dirty = true;
		r = 0;
	}
	mutex_unlock(&tasks_lock);
	return r;
}

/* ---- floating point and vectors ---- */

/* A copy of the whole state in *out, to be freed; its size or -errno. */
static ssize_t copy_xstate(struct task *t, int tid, uint8_t **out)
{
	size_t cap = platform_xstate_size(sandbox_platform());
	struct trace_state *tr;
	ssize_t size = -ESRCH;
	uint8_t *buf = malloc(cap);

	if (!buf)
		return -ENOMEM;
	mutex_lock(&tasks_lock);
	tr = snapshot(t, tid);
	if (tr) {
		size = (ssize_t)min_of(tr->xstate_size, cap);
		memcpy(buf, tr->xstate, (size_t)size);
	}
	mutex_unlock(&tasks_lock);
	if (size < 0)
		free(buf);
	else
		*out = buf;
	return size;
}

/* Replaces the first size bytes of the state; the software bytes are nobody's. */
static int replace_xstate(struct trace_state *tr, uint8_t *next, size_t size)
{
	struct l_fpstate *fp = (struct l_fpstate *)next, *old = (struct l_fpstate *)tr->xstate;

	if (!xstate_loadable(next, size, old->sw_reserved.xfeatures))
		return -EINVAL;
	fp->mxcsr_mask = old->mxcsr_mask;
	fp->sw_reserved = old->sw_reserved;
	memcpy(tr->xstate, next, size);
	if (size <= sizeof(*fp) && tr->xstate_size > sizeof(*fp)) {
		struct l_xstate_header *h = (struct l_xstate_header *)(tr->xstate + L_XSTATE_HEADER_OFF);

		h->xfeatures |= L_XFEATURE_X87 | L_XFEATURE_SSE;
	}
	tr->xstate_dirty = true;
	return 0;
}

/* Takes size bytes from gva.  PTRACE_SETREGSET wants a whole XSAVE area. */
static int set_xstate(struct task *t, int tid, uint64_t gva, size_t size)
{
	size_t cap = platform_xstate_size(sandbox_platform());
	uint8_t *next = malloc(cap);
	struct trace_state *tr;
	int r;

	if (!next)
		return -ENOMEM;
	r = copy_in(t->ctx, next, gva, min_of(size, cap));
	if (r == 0) {
		mutex_lock(&tasks_lock);
		tr = snapshot(t, tid);
		r = tr ? replace_xstate(tr, next, min_of(size, tr->xstate_size)) : -ESRCH;
		mutex_unlock(&tasks_lock);
	}
	free(next);
	return r;
}

/* The legacy part: PTRACE_GETFPREGS. */
static int get_fpregs(struct task *t, int tid, uint64_t gva, size_t size)
{
	struct l_fpstate *fp;
	uint8_t *state;
	ssize_t n = copy_xstate(t, tid, &state);
	int r;

	if (n < 0)
		return (int)n;
	fp = (struct l_fpstate *)state;
	memset(&fp->sw_reserved, 0, sizeof(fp->sw_reserved)); /* of signal frames only */
	r = copy_out(t->ctx, gva, fp, min_of(size, sizeof(*fp)));
	free(state);
	return r;
}

/* ---- register sets ---- */

static int get_regset(struct task *t, int tid, uint64_t type, struct l_iovec *iov)
{
	struct abi_regs regs;
	uint8_t *state;
	uint64_t size;
	ssize_t n;
	int r;

	switch (type) {
	case L_NT_PRSTATUS:
		size = sizeof(regs);
		r = get_regs(t, tid, &regs);
		if (r == 0)
			r = copy_out(t->ctx, iov->iov_base, &regs, min_of(iov->iov_len, size));
		break;
	case L_NT_PRFPREG:
		size = sizeof(struct l_fpstate);
		r = get_fpregs(t, tid, iov->iov_base, min_of(iov->iov_len, size));
		break;
	case L_NT_X86_XSTATE:
		n = copy_xstate(t, tid, &state);
		if (n < 0)
			return (int)n;
		if (n <= (ssize_t)sizeof(struct l_fpstate)) {
			free(state);
			return -ENODEV; /* a machine without XSAVE */
		}
		size = (uint64_t)n;
		/* The kernel's software bytes: the features that there are, first. */
		memset(state + offsetof(struct l_fpstate, sw_reserved), 0, sizeof(struct l_fpx_sw_bytes));
		mutex_lock(&tasks_lock);
		if (snapshot(t, tid))
			memcpy(state + offsetof(struct l_fpstate, sw_reserved),
			       &((struct l_fpstate *)snapshot(t, tid)->xstate)->sw_reserved.xfeatures,
			       sizeof(uint64_t));
		mutex_unlock(&tasks_lock);
		r = copy_out(t->ctx, iov->iov_base, state, min_of(iov->iov_len, size));
		free(state);
		break;
	default:
		return -EINVAL;
	}
	iov->iov_len = min_of(iov->iov_len, size);
	return r;
}

/* A part of the general registers, the rest as they are. */
static int set_regs_part(struct task *t, int tid, uint64_t gva, uint64_t len)
{
	struct abi_regs regs;
	int r = get_regs(t, tid, &regs);

	if (r == 0)
		r = copy_in(t->ctx, &regs, gva, min_of(len, (uint64_t)sizeof(regs)));
	return r < 0 ? r : set_regs(t, tid, &regs);
}

static int set_regset(struct task *t, int tid, uint64_t type, struct l_iovec *iov)
{
	size_t whole = platform_xstate_size(sandbox_platform()), size;

	switch (type) {
	case L_NT_PRSTATUS:
		size = sizeof(struct abi_regs);
		iov->iov_len = min_of(iov->iov_len, (uint64_t)size);
		return set_regs_part(t, tid, iov->iov_base, iov->iov_len);
	case L_NT_PRFPREG:
		size = sizeof(struct l_fpstate);
		break;
	case L_NT_X86_XSTATE:
		if (whole <= sizeof(struct l_fpstate))
			return -ENODEV;
		size = whole;
		break;
	default:
		return -EINVAL;
	}
	iov->iov_len = min_of(iov->iov_len, (uint64_t)size);
	if (iov->iov_len < size)
		return type == L_NT_X86_XSTATE ? -EFAULT : -EINVAL; /* all or nothing, as Linux puts it */
	return set_xstate(t, tid, iov->iov_base, size);
}

static long regset(struct task *t, int tid, int request, uint64_t type, uint64_t gva)
{
	uint64_t unit = type == L_NT_PRFPREG ? 4 : 8;
	struct l_iovec iov;
	int r = copy_in(t->ctx, &iov, gva, sizeof(iov));

	if (r < 0)
		return r;
	if (iov.iov_len % unit)
		return -EINVAL;
	r = request == L_PTRACE_GETREGSET ? get_regset(t, tid, type, &iov) : set_regset(t, tid, type, &iov);
	return r < 0 ? r : copy_out(t->ctx, gva + offsetof(struct l_iovec, iov_len), &iov.iov_len, sizeof(iov.iov_len));
}

/* ---- the user area ---- */

static int poke_debug(struct task *t, int tid, unsigned n, uint64_t value)
{
	struct task *o;
	int r = -ESRCH;

	mutex_lock(&tasks_lock);
	o = trace_stopped_tracee(t, tid);
	if (o)
		r = trace_set_debug_register(o, n, value);
	mutex_unlock(&tasks_lock);
	return r;
}

static uint64_t peek_debug(struct task *t, int tid, unsigned n)
{
	struct trace_state *tr;
	uint64_t value = 0;

	mutex_lock(&tasks_lock);
	tr = snapshot(t, tid);
	if (tr)
		value = tr->debug[n];
	mutex_unlock(&tasks_lock);
	return value;
}

/* Where debug register *n lies: false if something else does. */
static bool is_debug_register(uint64_t off, unsigned *n)
{
	if (off < L_USER_DEBUGREG_OFF || off >= L_USER_DEBUGREG_OFF + L_USER_DEBUGREG_COUNT * sizeof(uint64_t))
		return false;
	*n = (unsigned)((off - L_USER_DEBUGREG_OFF) / sizeof(uint64_t));
	return true;
}

/* Registers and debug registers lie there, and zeroes: the rest was of core files of old. */
static long peek_user(struct task *t, int tid, uint64_t off, uint64_t gva)
{
	struct abi_regs regs;
	uint64_t word = 0;
	unsigned n;
	int r = get_regs(t, tid, &regs);

	if (r < 0)
		return r;
	if (off % sizeof(word) || off >= L_USER_SIZE)
		return -EIO;
	if (off < sizeof(regs))
		memcpy(&word, (const uint8_t *)&regs + off, sizeof(word));
	else if (is_debug_register(off, &n))
		word = peek_debug(t, tid, n);
	return copy_out(t->ctx, gva, &word, sizeof(word));
}

static long poke_user(struct task *t, int tid, uint64_t off, uint64_t value)
{
	struct abi_regs regs;
	unsigned n;
	int r = get_regs(t, tid, &regs);

	if (r < 0)
		return r;
	if (off % sizeof(value) || off >= L_USER_SIZE)
		return -EIO;
	if (off < sizeof(regs)) {
		memcpy((uint8_t *)&regs + off, &value, sizeof(value));
		return set_regs(t, tid, &regs);
	}
	return is_debug_register(off, &n) ? poke_debug(t, tid, n, value) : -EIO;
}

static long arch_prctl_of(struct task *t, int tid, uint64_t addr, uint64_t option)
{
	struct abi_regs regs;
	int r = get_regs(t, tid, &regs);

	if (r < 0)
		return r;
	switch (option) {
	case L_ARCH_GET_FS:
		return copy_out(t->ctx, addr, &regs.fs_base, sizeof(regs.fs_base));
	case L_ARCH_GET_GS:
		return copy_out(t->ctx, addr, &regs.gs_base, sizeof(regs.gs_base));
	case L_ARCH_SET_FS:
	case L_ARCH_SET_GS:
		if (addr >= L_TASK_SIZE)
			return -EPERM;
		*(option == L_ARCH_SET_FS ? &regs.fs_base : &regs.gs_base) = addr;
		return set_regs(t, tid, &regs);
	default:
		return -EINVAL;
	}
}

long ptrace_regs_request(struct task *t, int tid, int request, uint64_t addr, uint64_t data)
{
	struct abi_regs regs;
	int r;

	switch (request) {
	case L_PTRACE_GETREGS:
		r = get_regs(t, tid, &regs);
		return r < 0 ? r : copy_out(t->ctx, data, &regs, sizeof(regs));
	case L_PTRACE_SETREGS:
		return set_regs_part(t, tid, data, sizeof(regs));
	case L_PTRACE_GETFPREGS:
		return get_fpregs(t, tid, data, sizeof(struct l_fpstate));
	case L_PTRACE_SETFPREGS:
		return set_xstate(t, tid, data, sizeof(struct l_fpstate));
	case L_PTRACE_GETREGSET:
	case L_PTRACE_SETREGSET:
		return regset(t, tid, request, addr, data);
	case L_PTRACE_PEEKUSER:
		return peek_user(t, tid, addr, data);
	case L_PTRACE_POKEUSER:
		return poke_user(t, tid, addr, data);
	case L_PTRACE_ARCH_PRCTL:
		return arch_prctl_of(t, tid, addr, data);
	default:
		return -EIO;
	}
}
