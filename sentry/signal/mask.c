/*
 * A task's mask while it runs, and whether anything asks for its attention.
 *
 * While a thread runs, its mask is lent to it: the platform lets it change the mask without an event (platform.h, struct
 * pctx_mask), unless that might be the sentry's business, because signals are pending or somebody looks on.  In the sentry
 * t->blocked is the mask, in the guest what the platform holds; the run loop carries it there and back.  Who queues a signal first
 * takes the leave back (`open`), then reads the mask; the thread stores its mask first, then looks at `open`.  So either the
 * sender decides by the new mask, or the thread comes and asks.
 *
 * Likewise a thread that returns from a handler takes its mask from the frame, if that leaves its alternate stack as it is: who
 * changes that takes the leave back, too.
 */
#include "platform/platform.h"
#include "sentry/signal/signal.h"

/* ---- what asks for attention ---- */

bool signal_is_to_stop(const struct task *t)
{
	const struct process *p = t->process;

	if (t->trace.traced && (t->trace.trap || t->trace.notify))
		return true;
	return p->job == JOB_STOPPED && !(t->trace.traced && t->trace.stop_seen == p->stop_count);
}

/* Whether anything asks for signal_work; sig_lock held. */
static bool work_pending(const struct task *t)
{
	const struct process *p = t->process;

	return ((t->pending.set | p->shared_pending.set) & ~t->blocked) || signal_is_to_stop(t) || task_killed(t);
}

void signal_recompute(struct task *t)
{
	sleeper_set_interrupt_self(&t->sleeper, work_pending(t));
}

/* ---- lending ---- */

void signal_mask_keep(struct task *t)
{
	struct pctx_mask *m = t->ctx ? pctx_mask(t->ctx) : NULL;

	atomic_store(&t->mask_kept, true);
	if (m)
		atomic_store(&m->open, 0);
}

static void lend(struct task *t, struct pctx_mask *m)
{
	struct process *p = t->process;

	if (!t->may_lend)
		return;
	mutex_lock(&p->sig_lock);
	if (!t->pending.set && !p->shared_pending.set) {
		m->altstack = t->altstack;
		atomic_store(&m->open, 1);
		atomic_store(&t->mask_kept, false);
	}
	mutex_unlock(&p->sig_lock);
}

void signal_mask_give(struct task *t)
{
	struct pctx_mask *m = pctx_mask(t->ctx);

	if (!m)
		return;
	if (atomic_load_explicit(&m->set, memory_order_relaxed) != t->blocked)
		atomic_store(&m->set, t->blocked);
	if (UNLIKELY(atomic_load_explicit(&t->mask_kept, memory_order_relaxed)))
		lend(t, m);
}

void signal_mask_take(struct task *t)
{
	const struct pctx_mask *m = pctx_mask(t->ctx);
	sigset mask;

	if (!m)
		return;
	mask = atomic_load(&m->set) & ~SIG_UNBLOCKABLE;
	if (LIKELY(mask == t->blocked && !atomic_load(&t->mask_kept)))
		return;
	mutex_lock(&t->process->sig_lock);
	t->blocked = mask;
	signal_recompute(t);
	mutex_unlock(&t->process->sig_lock);
}

sigset signal_mask_of(const struct task *t)
{
	const struct pctx_mask *m = t->ctx && atomic_load(&t->ctx_running) ? pctx_mask(t->ctx) : NULL;

	return m ? atomic_load(&m->set) & ~SIG_UNBLOCKABLE : t->blocked;
}
