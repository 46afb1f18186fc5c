/*
 * The ptrace platform: works wherever a process may trace its own children, and is what systrap is compared with.
 * This file starts and stops it and makes, forks and ends address spaces; internal.h says what is where.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "platform/arch/x86_64/xstate.h"
#include "platform/ptrace/internal.h"
#include "platform/ptrace/shim.h"

/* ---- start and stop ---- */

/* How large the vector state is and what is in it, as the host shows it of the template. */
static int learn_xstate(struct ptrace_platform *pf)
{
	uint8_t area[16384];
	struct iovec iov = {area, sizeof(area)};
	int r = tracee_seize(&pf->template);

	if (r < 0)
		return r;
	pf->base.xstate_size = XSTATE_LEGACY_SIZE;
	if (ptrace(PTRACE_GETREGSET, pf->template.tid, (void *)NT_X86_XSTATE, &iov) == 0 &&
	    iov.iov_len >= XSTATE_LEGACY_SIZE + XSTATE_HEADER_SIZE) {
		pf->base.xstate_size = iov.iov_len;
		memcpy(&pf->xfeatures, area + XSTATE_SOFTWARE_OFF, sizeof(pf->xfeatures));
	}
	return tracee_park(&pf->template);
}

static int ptrace_start(struct platform **out, char *why, size_t why_size)
{
	struct ptrace_platform *pf = calloc(1, sizeof(*pf));
	int socks[2], r;

	if (!pf) {
		snprintf(why, why_size, "ptrace: out of memory");
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		r = -errno;
		snprintf(why, why_size, "ptrace: cannot make a socket pair: %s", strerror(errno));
		goto out_free;
	}
	pf->sentry_sock = socks[0];
	pf->stub_sock = socks[1];
	mutex_init(&pf->template_lock);
	mutex_init(&pf->fd_lock);
	mutex_init(&pf->spaces_lock);
	list_init(&pf->spaces);
	list_init(&pf->dying);
	pf->dog.look_ns = WATCHDOG_LOOK_NS;
	watcher_prepare(pf);
	placement_start();
	r = stub_make_template(pf, why, why_size);
	if (r < 0)
		goto out_socks;
	r = learn_xstate(pf);
	if (r < 0) {
		snprintf(why, why_size, "ptrace: the template died: %s", strerror(-r));
		goto out_template;
	}
	*out = &pf->base;
	return 0;

out_template:
	kill(pf->template.pid, SIGKILL);
out_socks:
	watcher_end(pf);
	close(pf->sentry_sock);
	close(pf->stub_sock);
out_free:
	free(pf);
	return r;
}

static void ptrace_stop(struct platform *base)
{
	struct ptrace_platform *pf = to_platform(base);

	kill(pf->template.pid, SIGKILL);
	watcher_end(pf);
	close(pf->sentry_sock);
	close(pf->stub_sock);
	free(pf);
}

static int ptrace_probe(char *why, size_t why_size)
{
	struct platform *pf;
	int r = ptrace_start(&pf, why, why_size);

	if (r == 0)
		ptrace_stop(pf);
	return r;
}

/* ---- address spaces ---- */

static struct ptrace_as *as_alloc(struct platform *pf)
{
	struct ptrace_as *as = calloc(1, sizeof(*as));

	if (!as)
		return NULL;
	as->base.pf = pf;
	refcount_init(&as->base.refs, 1);
	mutex_init(&as->lock);
	mutex_init(&as->frame_lock);
	list_init(&as->node);
	list_init(&as->contexts);
	list_init(&as->left);
	return as;
}

/* For one that has no stub yet. */
static void as_free(struct ptrace_as *as)
{
	mutex_destroy(&as->frame_lock);
	mutex_destroy(&as->lock);
	free(as);
}

/* True for the one caller that is first. */
static bool kill_once(struct pas *as)
{
	/*
	 * The process id is ours until the stub's leader is reaped.  Its tracer reaps it when it dies, and sets dead right
	 * after: the id cannot come round to another process in between.
	 */
	if (atomic_exchange(&as->dead, true))
		return false;
	kill(as->host_pid, SIGKILL);
	return true;
}

/* Whoever waits for one of its threads is looked after until that is dead. */
static void ptrace_as_kill(struct pas *as)
{
	if (kill_once(as))
		watchdog_wake(&platform_of(to_as(as))->dog);
}

int as_lost(struct ptrace_as *as)
{
	if (kill_once(&as->base)) {
		watchdog_wake(&platform_of(as)->dog);
		platform_note_death();
	}
	return -ESRCH;
}

static void ptrace_as_release(struct pas *base)
{
	struct ptrace_as *as = to_as(base);

	kill_once(base);
	if (as->creator) {
		struct ptrace_ctx *first = as->first;

		/* It never became a context. */
		if (first->tracee.reaped)
			atomic_store(&as->leader_reaped, true);
		mutex_lock(&as->lock);
		as->first = NULL;
		mutex_unlock(&as->lock);
		placement_detach(&first->placement);
		free(first);
	}
	watcher_hand_over(as);
}

/* Forks a stub in via, which is stopped.  Its process id, or -errno. */
static int64_t fork_stub(struct ptrace_platform *pf, struct tracee *via)
{
	struct abi_regs io = {
		.rax = SYS_clone,
		.rdi = STUB_FORK_FLAGS,
		.r12 = (uint64_t)pf->sentry_pid,
	};
	int r = tracee_run_shim(via, SHIM_AT(pf->shim_base, fork), &io);

	return r < 0 ? -ESRCH : (int64_t)io.rax;
}

static int64_t fork_template(struct ptrace_platform *pf)
{
	int64_t pid = -ESRCH;
	int r;

	mutex_lock(&pf->template_lock);
	r = tracee_seize(&pf->template);
	if (r == 0) {
		pid = fork_stub(pf, &pf->template);
		r = tracee_park(&pf->template);
	}
	mutex_unlock(&pf->template_lock);
	if (r < 0) {
		log_error("the template stub is gone: no program can be started any more; end the sandbox and start it anew");
		return -ESRCH;
	}
	return pid;
}

static int ptrace_as_create(struct platform *base, struct pas **out)
{
	struct ptrace_platform *pf = to_platform(base);
	struct ptrace_as *as = as_alloc(base);
	struct ptrace_ctx *ctx;
	int64_t pid;
	int r;

	if (!as)
		return -ENOMEM;
	ctx = ctx_alloc(as);
	if (!ctx || watcher_start(pf) < 0) {
		free(ctx);
		as_free(as);
		return -ENOMEM;
	}
	pid = fork_template(pf);
	if (pid < 0) {
		free(ctx);
		as_free(as);
		return (int)pid;
	}
	as->base.host_pid = (pid_t)pid;
	ctx_set_thread(ctx, (pid_t)pid);
	as->first = ctx;
	as->creator = gettid();
	watcher_add(as);
	r = ctx_seize(ctx);
	if (r < 0) {
		ptrace_as_release(&as->base);
		return r;
	}
	*out = &as->base;
	return 0;
}

static int ptrace_as_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out)
{
	struct ptrace_platform *pf = to_platform(via->as->pf);
	struct ptrace_as *as = as_alloc(&pf->base);
	struct ptrace_ctx *ctx;
	int64_t pid;

	if (!as)
		return -ENOMEM;
	ctx = ctx_alloc(as);
	if (!ctx) {
		as_free(as);
		return -ENOMEM;
	}
	pid = fork_stub(pf, &to_ctx(via)->tracee);
	if (pid < 0) {
		free(ctx);
		as_free(as);
		return pid == -ESRCH ? as_lost(to_as(via->as)) : (int)pid;
	}
	as->base.host_pid = (pid_t)pid;
	ctx_set_thread(ctx, (pid_t)pid);
	/* The host's fork of a thread has what the thread registered. */
	ctx->rseq = to_ctx(via)->rseq;
	ctx->rseq_sig = to_ctx(via)->rseq_sig;
	ctx_publish(ctx);
	watcher_add(as);
	*out = &as->base;
	*ctx_out = &ctx->base;
	return 0;
}

const struct platform_ops ptrace_platform = {
	.name = "ptrace",
	.probe = ptrace_probe,
	.start = ptrace_start,
	.stop = ptrace_stop,
	.as_create = ptrace_as_create,
	.as_fork = ptrace_as_fork,
	.as_release = ptrace_as_release,
	.as_kill = ptrace_as_kill,
	.map = ptrace_map,
	.unmap = ptrace_unmap,
	.protect = ptrace_protect,
	.remap = ptrace_remap,
	.advise = ptrace_advise,
	.mincore = ptrace_mincore,
	.read = ptrace_read,
	.write = ptrace_write,
	.ctx_spawn = ptrace_ctx_spawn,
	.ctx_attach = ptrace_ctx_attach,
	.ctx_destroy = ptrace_ctx_destroy,
	.thread = ptrace_thread,
	.run = ptrace_run,
	.interrupt = ptrace_interrupt,
	.get_regs = ptrace_get_regs,
	.set_regs = ptrace_set_regs,
	.set_result = ptrace_set_result,
	.get_xstate = ptrace_get_xstate,
	.set_xstate = ptrace_set_xstate,
	.rseq_register = ptrace_rseq_register,
	.rseq_registered = ptrace_rseq_registered,
	.rseq_unregister = ptrace_rseq_unregister,
	.cmpxchg32 = ptrace_cmpxchg32,
};
