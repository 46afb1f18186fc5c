/*
 * The watchdog.  A sentry thread waits for its stub's next stop in waitpid, which knows no timeout; so the watcher looks
 * after it.  See watchdog.h.
 *
 * An answer is due from a thread that was kicked, that makes a host call or that is on its way to the park.  If it does not
 * come and the stub has neither used any processor time nor waited for it (it is frozen, or hangs in the host's kernel), the stub is killed,
 * and with it one guest process.  A stub that was killed and does not die (a frozen one may not) is abandoned: its tracers
 * are told that it is dead, and it is reaped when it comes to its end.
 */
#include "abi/errno.h"
#include "host/process.h"
#include "platform/ptrace/internal.h"
#include "platform/stub_clock.h"

/* Many, because the machine may be busy, and a host call may wait for a slow disk. */
#define LOOKS_TO_ANSWER 40
/* From SIGKILL to the end. */
#define LOOKS_TO_DIE 4

/* True if it goes on being the same wait in which nothing happens. */
static bool no_progress(struct tracee *t)
{
	struct watched *w = &t->watched;
	uint32_t waits = atomic_load(&w->waits);
	int64_t cpu = stub_cpu_ns(t->pid);
	bool same = waits % 2 && waits == w->seen_waits && cpu == w->cpu_ns && !host_stub_thread_runnable(t->pid, t->tid);

	w->seen_waits = waits;
	w->cpu_ns = cpu;
	return same;
}

/* Its tracer is told for as long as it does not hear: the signal may come before it has begun to wait. */
static void abandon(struct ptrace_platform *pf, struct tracee *t)
{
	if (!atomic_exchange(&t->watched.abandoned, true))
		log_warn("ptrace: thread %d of a stub does not die: left to itself", t->tid);
	if (atomic_load(&t->watched.waits) % 2)
		syscall(SYS_tgkill, pf->sentry_pid, atomic_load(&t->watched.waiter), FREE_SIGNAL);
}

/* True if the limit is reached. */
static bool count_look(struct tracee *t, unsigned limit)
{
	t->watched.looks = no_progress(t) ? t->watched.looks + 1 : 0;
	return t->watched.looks >= limit;
}

/* The dead one's waits end within LOOKS_TO_DIE.  True if it is to be looked at again. */
static bool look_at_dead(struct ptrace_platform *pf, struct tracee *t)
{
	struct watched *w = &t->watched;

	if (atomic_load(&w->waits) % 2 == 0 && !atomic_load(&w->due)) {
		w->looks = 0;
		return false;
	}
	/* A dying process uses time to the end, so only the looks count here. */
	if (++w->looks >= LOOKS_TO_DIE)
		abandon(pf, t);
	return true;
}

static bool look_at_ctx(struct ptrace_platform *pf, struct ptrace_as *as, struct ptrace_ctx *ctx)
{
	struct tracee *t = &ctx->tracee;

	if (atomic_load(&as->base.dead))
		return look_at_dead(pf, t);
	if (!atomic_load(&t->watched.due) && !(atomic_load(&ctx->kicked) && atomic_load(&ctx->running))) {
		t->watched.looks = 0;
		return false;
	}
	if (count_look(t, LOOKS_TO_ANSWER)) {
		log_warn("ptrace: guest process with host id %d killed: it does not answer", t->pid);
		t->watched.looks = 0;
		(void)as_lost(as);
	}
	return true;
}

static bool look_at_template(struct ptrace_platform *pf)
{
	struct tracee *t = &pf->template;

	if (!atomic_load(&t->watched.due)) {
		t->watched.looks = 0;
		return false;
	}
	if (count_look(t, LOOKS_TO_ANSWER)) {
		kill(t->pid, SIGKILL);
		if (t->watched.looks >= LOOKS_TO_ANSWER + LOOKS_TO_DIE)
			abandon(pf, t);
	}
	return true;
}

static bool look_at_all(struct ptrace_platform *pf)
{
	bool more = look_at_template(pf);
	struct ptrace_ctx *ctx;
	struct ptrace_as *as;

	mutex_lock(&pf->spaces_lock);
	list_for_each_entry (as, &pf->spaces, node) {
		mutex_lock(&as->lock);
		list_for_each_entry (ctx, &as->contexts, node)
			more |= look_at_ctx(pf, as, ctx);
		if (as->first)
			more |= look_at_ctx(pf, as, as->first);
		mutex_unlock(&as->lock);
	}
	mutex_unlock(&pf->spaces_lock);
	return more;
}

void watchdog_look(struct ptrace_platform *pf)
{
	struct watchdog *dog = &pf->dog;
	int64_t now;

	if (!atomic_load(&dog->on))
		return;
	now = monotonic_ns();
	if (now - dog->last_ns < dog->look_ns)
		return;
	dog->last_ns = now;
	if (look_at_all(pf))
		return;
	/* Off, then the last look: whoever has come meanwhile has either seen it on, and is seen, or wakes us. */
	atomic_store(&dog->on, false);
	if (look_at_all(pf))
		atomic_store(&dog->on, true);
}
