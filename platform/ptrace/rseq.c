/*
 * Restartable sequences: registered with the host by the guest's thread, through the shim, so that the host sees to cpu_id
 * and to preempted sections.
 *
 * What the host cannot see is that a thread stopped inside a section will be made to run something else: the shim, for a
 * host call, or a handler of the guest's.  It looks at the instruction pointer when the thread resumes, finds it outside and
 * takes the section for left.  So a section is aborted here, as the host would, before anybody sees the registers.
 * Where its descriptor is not in order nothing is done: the host finds that too, and has a signal for it.
 */
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "platform/ptrace/internal.h"

/* Reads the descriptor that the thread's area names.  False if there is none, or the host would not take it. */
static bool read_section(struct ptrace_ctx *ctx, struct l_rseq_cs *cs)
{
	struct pas *as = ctx->base.as;
	uint32_t sig;
	uint64_t at;

	if (pas_read(as, ctx->rseq + offsetof(struct l_rseq, rseq_cs), &at, sizeof(at)) != sizeof(at) || at == 0)
		return false;
	if (pas_read(as, at, cs, sizeof(*cs)) != sizeof(*cs))
		return false;
	if (cs->version || cs->flags || cs->start_ip >= L_TASK_SIZE || cs->post_commit_offset >= L_TASK_SIZE - cs->start_ip ||
	    cs->abort_ip >= L_TASK_SIZE || cs->abort_ip - cs->start_ip < cs->post_commit_offset)
		return false;
	return pas_read(as, cs->abort_ip - sizeof(sig), &sig, sizeof(sig)) == sizeof(sig) && sig == ctx->rseq_sig;
}

void ctx_abort_rseq(struct ptrace_ctx *ctx)
{
	static const uint64_t none = 0;
	struct abi_regs regs;
	struct l_rseq_cs cs;

	if (!ctx->rseq || !read_section(ctx, &cs) || tracee_get_regs(&ctx->tracee, &regs) < 0)
		return;
	if (regs.rip - cs.start_ip >= cs.post_commit_offset)
		return;
	if (pas_write(ctx->base.as, ctx->rseq + offsetof(struct l_rseq, rseq_cs), &none, sizeof(none)) != sizeof(none))
		return;
	regs.rip = cs.abort_ip;
	tracee_set_regs(&ctx->tracee, &regs);
}

static int call(struct ptrace_ctx *ctx, gva_t area, uint32_t size, uint32_t flags, uint32_t sig)
{
	int64_t r = tracee_syscall(&ctx->tracee, SYS_rseq, area, size, flags, sig, 0, 0);

	return r == -ESRCH ? as_lost(to_as(ctx->base.as)) : (int)r;
}

int ptrace_rseq_register(struct pctx *base, gva_t area, uint32_t size, uint32_t sig, bool answer)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	int r;

	(void)answer;
	if (ctx->rseq == area)
		return 0; /* by the parent, before the fork */
	r = call(ctx, area, size, 0, sig);
	if (r == 0) {
		ctx->rseq = area;
		ctx->rseq_sig = sig;
	}
	return r;
}

bool ptrace_rseq_registered(const struct pctx *ctx)
{
	return container_of(ctx, struct ptrace_ctx, base)->rseq != 0;
}

int ptrace_rseq_unregister(struct pctx *base, gva_t area, uint32_t size, uint32_t sig)
{
	struct ptrace_ctx *ctx = to_ctx(base);
	int r = call(ctx, area, size, L_RSEQ_FLAG_UNREGISTER, sig);

	if (r == 0)
		ctx->rseq = 0;
	return r;
}
