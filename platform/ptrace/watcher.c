/*
 * The watcher: one thread that learns of stubs' deaths and reaps them.
 *
 * It waits for SIGCHLD, not in waitpid: a wait for all children would also take the stops of those that other threads
 * trace.  A stub's end raises SIGCHLD as any child's does, and so does that of a traced thread that is not the last of
 * its stub.  One signal may stand for many, so it says only that there is something to be looked for.
 *
 * When a stub is killed from outside, each traced thread stays a zombie until somebody waits for it, and the leader's
 * end does not show before that of all others; their tracers may sleep in the sentry.  So the watcher waits for the
 * others in their stead.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "platform/ptrace/internal.h"
#include "platform/stub_clock.h"

/* So long the end of the platform waits for that of its stubs. */
#define END_NS 2000000000

/* After the end of a stub that we killed ourselves, which is what happens all the time, the search for others whose
 * signal it may have swallowed is put off until there is a pause. */
#define QUIET_NS 20000000

/* ---- SIGCHLD ---- */

static void on_free(int signo)
{
	(void)signo; /* it has ended a wait, which is all */
}

void watcher_prepare(struct ptrace_platform *pf)
{
	/* Stops of tracees raise none: their tracer is in waitpid.  Nor may SIGCHLD be ignored, as a careless parent can
	 * have left it: the host would then reap stubs behind our back. */
	struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
	struct sigaction free_action = {.sa_handler = on_free};
	sigset_t chld, free_set;

	sigemptyset(&action.sa_mask);
	sigaction(SIGCHLD, &action, &pf->old_sigchld);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &chld, &pf->old_mask);
	sigemptyset(&free_action.sa_mask);
	sigaction(FREE_SIGNAL, &free_action, &pf->old_free);
	sigemptyset(&free_set);
	sigaddset(&free_set, FREE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &free_set, NULL);
}

/* ---- reaping ---- */

static void free_contexts(struct list_head *contexts)
{
	struct ptrace_ctx *ctx, *next;

	list_for_each_entry_safe (ctx, next, contexts, node) {
		list_del_init(&ctx->node);
		free(ctx);
	}
}

static void free_spaces(struct list_head *spaces)
{
	struct ptrace_as *as, *next;

	list_for_each_entry_safe (as, next, spaces, node) {
		list_del_init(&as->node);
		free_contexts(&as->left);
		mutex_destroy(&as->frame_lock);
		mutex_destroy(&as->lock);
		free(as);
	}
}

/* Its threads whose contexts were destroyed while they were dying, as far as they are dead by now. */
static void reap_left(struct ptrace_as *as)
{
	struct ptrace_ctx *ctx, *next;

	mutex_lock(&as->lock);
	list_for_each_entry_safe (ctx, next, &as->left, node) {
		if (!tracee_reap(&ctx->tracee))
			continue;
		list_del_init(&ctx->node);
		free(ctx);
	}
	mutex_unlock(&as->lock);
}

/* True if there is nothing left of a process that was killed and that nobody traces. */
static bool reap_process(pid_t pid)
{
	int status;
	pid_t r;

	do
		r = waitpid(pid, &status, __WALL | WNOHANG);
	while ((r < 0 && errno == EINTR) || (r > 0 && WIFSTOPPED(status)));
	return r != 0;
}

/* Reaps what was killed and let go of; true if pid was among it. */
static bool reap_dying(struct ptrace_platform *pf, pid_t pid)
{
	struct ptrace_as *as, *next;
	struct list_head done;
	bool found = false;

	list_init(&done);
	mutex_lock(&pf->spaces_lock);
	list_for_each_entry_safe (as, next, &pf->dying, node) {
		if (!atomic_load(&as->leader_reaped)) {
			reap_left(as);
			if (!reap_process(as->base.host_pid))
				continue;
		}
		found |= as->base.host_pid == pid;
		list_del_init(&as->node);
		list_add_tail(&as->node, &done);
	}
	mutex_unlock(&pf->spaces_lock);
	free_spaces(&done);
	return found;
}

void watcher_add(struct ptrace_as *as)
{
	struct ptrace_platform *pf = platform_of(as);

	mutex_lock(&pf->spaces_lock);
	list_add_tail(&as->node, &pf->spaces);
	mutex_unlock(&pf->spaces_lock);
}

void watcher_hand_over(struct ptrace_as *as)
{
	struct ptrace_platform *pf = platform_of(as);

	mutex_lock(&pf->spaces_lock);
	list_del_init(&as->node);
	list_add_tail(&as->node, &pf->dying);
	mutex_unlock(&pf->spaces_lock);
	/* Its SIGCHLD may have come before it was on the list. */
	reap_dying(pf, 0);
}

/* ---- deaths that we did not cause ---- */

static bool is_zombie(pid_t tid)
{
	siginfo_t info = {0};

	/* Looks, takes nothing.  Of a thread that lives it may show a stop, which is its tracer's. */
	if (waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid != tid)
		return false;
	return info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
}

/* True if a thread of as has died of itself, which none does: the whole stub was killed. */
static bool has_died(struct ptrace_as *as)
{
	struct ptrace_ctx *ctx;
	bool died = false;

	if (atomic_load(&as->base.dead))
		return false;
	mutex_lock(&as->lock);
	list_for_each_entry (ctx, &as->contexts, node)
		died |= is_zombie(ctx->tracee.tid);
	mutex_unlock(&as->lock);
	return died;
}

/* A dead stub's threads but for the leader.  Their tracers find nothing to wait for, and take that for the end. */
static void reap_threads(struct ptrace_as *as)
{
	struct ptrace_ctx *ctx;

	mutex_lock(&as->lock);
	list_for_each_entry (ctx, &as->contexts, node) {
		if (ctx->tracee.tid != as->base.host_pid && is_zombie(ctx->tracee.tid))
			waitpid(ctx->tracee.tid, NULL, __WALL | WNOHANG);
	}
	mutex_unlock(&as->lock);
}

static void look_for_deaths(struct ptrace_platform *pf)
{
	struct ptrace_as *as;

	mutex_lock(&pf->spaces_lock);
	list_for_each_entry (as, &pf->spaces, node) {
		if (has_died(as))
			(void)as_lost(as);
		if (atomic_load(&as->base.dead)) {
			reap_threads(as);
			reap_left(as);
		}
	}
	mutex_unlock(&pf->spaces_lock);
}

/* ---- the thread ---- */

/* Sleeps until there is a SIGCHLD, which is returned, or something else to do: 0. */
static pid_t next_death(struct ptrace_platform *pf, bool look_later)
{
	const struct timespec quiet = {.tv_nsec = QUIET_NS}, look = {.tv_nsec = pf->dog.look_ns};
	siginfo_t info;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigtimedwait(&chld, &info, look_later ? &quiet : atomic_load(&pf->dog.on) ? &look : NULL) < 0)
		return 0;
	return info.si_pid;
}

static void *watch(void *arg)
{
	struct ptrace_platform *pf = arg;
	bool look_later = false;

	atomic_store(&pf->dog.tid, gettid());
	while (!atomic_load(&pf->stopping)) {
		pid_t pid = next_death(pf, look_later);
		bool ours = pid != 0 && reap_dying(pf, pid);

		if (!ours && (pid != 0 || look_later))
			look_for_deaths(pf);
		look_later = ours;
		watchdog_look(pf);
	}
	return NULL;
}

int watcher_start(struct ptrace_platform *pf)
{
	sigset_t all, old;
	int r = 0;

	mutex_lock(&pf->spaces_lock);
	if (!pf->watcher_started) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		r = -pthread_create(&pf->watcher, NULL, watch, pf);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		pf->watcher_started = r == 0;
	}
	mutex_unlock(&pf->spaces_lock);
	return r;
}

/* Waits for the ends of those that were killed, but not for ever: one may be frozen. */
static void await_ends(struct ptrace_platform *pf)
{
	bool template_reaped = pf->template.pid == 0 || pf->template.reaped;
	int64_t deadline = monotonic_ns() + END_NS, left = END_NS;
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (left > 0) {
		struct timespec ts = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

		template_reaped = template_reaped || reap_process(pf->template.pid);
		reap_dying(pf, 0);
		if (template_reaped && list_empty(&pf->dying))
			return;
		sigtimedwait(&chld, NULL, &ts);
		left = deadline - monotonic_ns();
	}
	log_warn("ptrace: some stubs that were killed do not end: left to the host");
	free_spaces(&pf->dying);
}

void watcher_end(struct ptrace_platform *pf)
{
	sigset_t chld;

	if (pf->watcher_started) {
		atomic_store(&pf->stopping, true);
		pthread_kill(pf->watcher, SIGCHLD);
		pthread_join(pf->watcher, NULL);
	}
	await_ends(pf);
	sigaction(FREE_SIGNAL, &pf->old_free, NULL);
	sigaction(SIGCHLD, &pf->old_sigchld, NULL);
	if (!sigismember(&pf->old_mask, SIGCHLD)) {
		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		pthread_sigmask(SIG_UNBLOCK, &chld, NULL);
	}
	if (sigismember(&pf->old_mask, FREE_SIGNAL)) {
		sigemptyset(&chld);
		sigaddset(&chld, FREE_SIGNAL);
		pthread_sigmask(SIG_BLOCK, &chld, NULL);
	}
}
