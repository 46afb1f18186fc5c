/* See fake.h: the platform's life, contexts and scripts. */
#include "platform/fake/fake.h"

#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "platform/arch/x86_64/fault.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/fake/internal.h"

#define XSTATE_SIZE 832u /* FXSAVE, header, AVX */
#define XFEATURES 7u

/* Of all contexts: a killed address space has to wake those that run in it. */
static pthread_mutex_t script_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct fake_ctx {
	struct pctx base;
	struct abi_regs regs; /* the attached thread's */
	uint8_t xstate[XSTATE_SIZE];
	bool attached;
	bool in_syscall; /* the last event was a system call */

	/* Guarded by script_lock. */
	bool computes; /* a switch waits for the script to go on */
	struct pf_event *script;
	size_t script_len, script_cap, script_pos;
	long *results;
	size_t result_count, result_cap;
	bool kicked;
	bool done; /* it will answer no more */
};

static struct fake_ctx *to_ctx(struct pctx *ctx)
{
	return container_of(ctx, struct fake_ctx, base);
}

/* Makes room for one more element; a test that is out of memory has failed. */
static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return array;
	*cap = 2 * count + 8;
	array = realloc(array, *cap * size);
	if (!array)
		panic("fake platform: out of memory");
	return array;
}

/* ---- scripts ---- */

void fake_push_event(struct pctx *base, const struct pf_event *ev)
{
	struct fake_ctx *ctx = to_ctx(base);

	pthread_mutex_lock(&script_lock);
	ctx->script = grown(ctx->script, ctx->script_len, &ctx->script_cap, sizeof(*ctx->script));
	ctx->script[ctx->script_len++] = *ev;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&script_lock);
}

void fake_push_syscall(struct pctx *ctx, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
		       uint64_t a5)
{
	const struct pf_event ev = {
		.kind = PF_SYSCALL,
		.arch = AUDIT_ARCH_X86_64,
		.nr = nr,
		.args = {a0, a1, a2, a3, a4, a5},
	};

	fake_push_event(ctx, &ev);
}

void fake_push_fault(struct pctx *ctx, int signo, int code, uint64_t addr)
{
	struct pf_event ev = {.kind = PF_FAULT};
	siginfo_t info = {.si_signo = signo, .si_code = code};

	info.si_addr = (void *)addr;
	fault_from_siginfo(&ev.fault, &info);
	ev.fault.cr2 = addr;
	fake_push_event(ctx, &ev);
}

size_t fake_answered(struct pctx *base)
{
	struct fake_ctx *ctx = to_ctx(base);
	size_t n;

	pthread_mutex_lock(&script_lock);
	n = ctx->result_count;
	pthread_mutex_unlock(&script_lock);
	return n;
}

long fake_result(struct pctx *base, size_t n)
{
	struct fake_ctx *ctx = to_ctx(base);
	long result;

	pthread_mutex_lock(&script_lock);
	while (n >= ctx->result_count && !ctx->done)
		pthread_cond_wait(&changed, &script_lock);
	result = n < ctx->result_count ? ctx->results[n] : 0;
	pthread_mutex_unlock(&script_lock);
	return result;
}

void fake_await_computing(struct pctx *base)
{
	struct fake_ctx *ctx = to_ctx(base);

	pthread_mutex_lock(&script_lock);
	while (!ctx->computes)
		pthread_cond_wait(&changed, &script_lock);
	pthread_mutex_unlock(&script_lock);
}

/* ---- the switch ---- */

/* The registers of a thread that has just run into ev. */
static void enter(struct fake_ctx *ctx, struct pf_event *ev)
{
	struct abi_regs *r = &ctx->regs;

	ctx->in_syscall = ev->kind == PF_SYSCALL;
	r->orig_rax = UINT64_MAX;
	if (ctx->in_syscall) {
		r->orig_rax = ev->nr;
		r->rax = (uint64_t)-ENOSYS;
		r->rdi = ev->args[0];
		r->rsi = ev->args[1];
		r->rdx = ev->args[2];
		r->r10 = ev->args[3];
		r->r8 = ev->args[4];
		r->r9 = ev->args[5];
	}
	ev->ip = r->rip;
	ev->sp = r->rsp;
}

static void fake_run(struct pctx *base, struct pf_event *ev)
{
	struct fake_ctx *ctx = to_ctx(base);

	pthread_mutex_lock(&script_lock);
	if (ctx->in_syscall) {
		ctx->results = grown(ctx->results, ctx->result_count, &ctx->result_cap, sizeof(*ctx->results));
		ctx->results[ctx->result_count++] = (long)ctx->regs.rax;
		ctx->in_syscall = false;
		pthread_cond_broadcast(&changed);
	}
	while (!atomic_load(&base->as->dead) && !ctx->kicked && ctx->script_pos == ctx->script_len) {
		ctx->computes = true;
		pthread_cond_broadcast(&changed);
		pthread_cond_wait(&changed, &script_lock);
	}
	ctx->computes = false;
	if (atomic_load(&base->as->dead)) {
		ev->kind = PF_DEAD;
		ctx->done = true;
		pthread_cond_broadcast(&changed);
	} else if (ctx->kicked) {
		ctx->kicked = false;
		ev->kind = PF_INTERRUPTED;
		enter(ctx, ev);
	} else {
		*ev = ctx->script[ctx->script_pos++];
		enter(ctx, ev);
	}
	pthread_mutex_unlock(&script_lock);
}

static void fake_interrupt(struct pctx *base)
{
	struct fake_ctx *ctx = to_ctx(base);

	pthread_mutex_lock(&script_lock);
	ctx->kicked = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&script_lock);
}

/* ---- platform and address spaces ---- */

static int fake_probe(char *why, size_t why_size)
{
	return 0;
}

static int fake_start(struct platform **out, char *why, size_t why_size)
{
	struct platform *pf = calloc(1, sizeof(*pf));

	if (!pf) {
		snprintf(why, why_size, "fake: out of memory");
		return -ENOMEM;
	}
	pf->xstate_size = XSTATE_SIZE;
	*out = pf;
	return 0;
}

static void fake_stop(struct platform *pf)
{
	free(pf);
}

static int fake_as_create(struct platform *pf, struct pas **out)
{
	static _Atomic pid_t next_pid = 100000; /* nobody's */
	struct fake_as *as = calloc(1, sizeof(*as));

	if (!as)
		return -ENOMEM;
	as->base.pf = pf;
	as->base.host_pid = next_pid++;
	refcount_init(&as->base.refs, 1);
	*out = &as->base;
	return 0;
}

static void fake_as_release(struct pas *base)
{
	struct fake_as *as = to_fake_as(base);

	fake_memory_drop(as);
	free(as);
}

static struct fake_ctx *ctx_new(struct pas *as)
{
	struct fake_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->base.as = pas_get(as);
	xstate_fresh(ctx->xstate, sizeof(ctx->xstate));
	return ctx;
}

static int fake_as_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out)
{
	struct fake_ctx *ctx;
	struct pas *as;
	int r = fake_as_create(via->as->pf, &as);

	if (r < 0)
		return r;
	r = fake_memory_copy(to_fake_as(as), to_fake_as(via->as));
	ctx = r == 0 ? ctx_new(as) : NULL;
	if (!ctx) {
		pas_put(as);
		return -ENOMEM;
	}
	memcpy(ctx->xstate, to_ctx(via)->xstate, sizeof(ctx->xstate));
	*out = as;
	*ctx_out = &ctx->base;
	return 0;
}

static void fake_as_kill(struct pas *as)
{
	pthread_mutex_lock(&script_lock);
	atomic_store(&as->dead, true);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&script_lock);
}

/* ---- contexts ---- */

static int fake_ctx_spawn(struct pas *as, struct pctx *via, struct pctx **out)
{
	struct fake_ctx *ctx = ctx_new(as);

	if (!ctx)
		return -ENOMEM;
	if (via)
		memcpy(ctx->xstate, to_ctx(via)->xstate, sizeof(ctx->xstate));
	*out = &ctx->base;
	return 0;
}

static int fake_ctx_attach(struct pctx *base)
{
	struct fake_ctx *ctx = to_ctx(base);

	if (ctx->attached)
		return -EINVAL;
	ctx->attached = true;
	return 0;
}

static void fake_ctx_destroy(struct pctx *base)
{
	struct fake_ctx *ctx = to_ctx(base);
	struct pas *as = base->as;

	free(ctx->script);
	free(ctx->results);
	free(ctx);
	pas_put(as);
}

static int fake_get_regs(struct pctx *ctx, struct abi_regs *out)
{
	*out = to_ctx(ctx)->regs;
	return 0;
}

static int fake_set_regs(struct pctx *ctx, const struct abi_regs *regs)
{
	to_ctx(ctx)->regs = *regs;
	return 0;
}

static void fake_set_result(struct pctx *ctx, long result)
{
	to_ctx(ctx)->regs.rax = (uint64_t)result;
}

static ssize_t fake_get_xstate(struct pctx *base, void *buf, size_t cap)
{
	struct fake_ctx *ctx = to_ctx(base);

	xstate_mark(ctx->xstate, sizeof(ctx->xstate), XFEATURES);
	memcpy(buf, ctx->xstate, min_of(cap, sizeof(ctx->xstate)));
	return sizeof(ctx->xstate);
}

static int fake_set_xstate(struct pctx *base, const void *buf, size_t size)
{
	struct fake_ctx *ctx = to_ctx(base);

	if (size == 0) {
		xstate_fresh(ctx->xstate, sizeof(ctx->xstate));
		return 0;
	}
	return xstate_from_frame(ctx->xstate, sizeof(ctx->xstate), UINT64_MAX, buf, size);
}

static struct pf_thread fake_thread(const struct pctx *ctx)
{
	(void)ctx;
	return (struct pf_thread){0, 0};
}

/* Nothing preempts a script. */
static int fake_rseq_register(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig, bool answer)
{
	(void)ctx;
	(void)area;
	(void)size;
	(void)sig;
	(void)answer;
	return -ENOSYS;
}

static bool fake_rseq_registered(const struct pctx *ctx)
{
	(void)ctx;
	return false;
}

static int fake_rseq_unregister(struct pctx *ctx, gva_t area, uint32_t size, uint32_t sig)
{
	return fake_rseq_register(ctx, area, size, sig, false);
}

const struct platform_ops fake_platform = {
	.name = "fake",
	.probe = fake_probe,
	.start = fake_start,
	.stop = fake_stop,
	.as_create = fake_as_create,
	.as_fork = fake_as_fork,
	.as_release = fake_as_release,
	.as_kill = fake_as_kill,
	.map = fake_map,
	.unmap = fake_unmap,
	.protect = fake_protect,
	.remap = fake_remap,
	.advise = fake_advise,
	.mincore = fake_mincore,
	.read = fake_read,
	.write = fake_write,
	.ctx_spawn = fake_ctx_spawn,
	.ctx_attach = fake_ctx_attach,
	.ctx_destroy = fake_ctx_destroy,
	.thread = fake_thread,
	.run = fake_run,
	.interrupt = fake_interrupt,
	.get_regs = fake_get_regs,
	.set_regs = fake_set_regs,
	.set_result = fake_set_result,
	.get_xstate = fake_get_xstate,
	.set_xstate = fake_set_xstate,
	.rseq_register = fake_rseq_register,
	.rseq_registered = fake_rseq_registered,
	.rseq_unregister = fake_rseq_unregister,
	.cmpxchg32 = fake_cmpxchg32,
};
