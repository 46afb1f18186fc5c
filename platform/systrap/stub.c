/*
 * Address spaces.  A stub is made by a fork in another one's leader with CLONE_PARENT, so that every stub is the
 * sentry's own child: of a guest process for as_fork, of the empty template for as_create.  See recycle.c for those that are
 * used again.
 *
 * One reaper thread waits for the deaths of all.  A stub's process id is used under stub_pid_hold, and the reaper lets
 * the id go only when nobody does; so no signal and no copy can ever hit a stranger.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "platform/stub_clock.h"
#include "platform/systrap/systrap.h"

/* A stub that was killed and is not dead after so long may never be: a frozen one, or one that hangs in the host's kernel. */
#define DEATH_NS 1000000000

uint64_t serial_new(struct systrap *st)
{
	uint64_t serial;

	mutex_lock(&st->lock);
	serial = ++st->serials;
	mutex_unlock(&st->lock);
	return serial;
}

int stub_new(struct systrap *st, struct stub **out)
{
	struct stub *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->as.pf = &st->pf;
	refcount_init(&s->as.refs, 1);
	r = slot_alloc(st, &s->slot);
	if (r < 0) {
		free(s);
		return r;
	}
	s->as.waiters = waiters_of(st, s->slot);
	s->as.serial = serial_new(st);
	list_init(&s->node);
	list_init(&s->contexts);
	list_init(&s->wait_node);
	list_init(&s->used_node);
	mutex_init(&s->leader_lock);
	pthread_cond_init(&s->note_cond, NULL);
	s->parked_channels = s->spare_channel = POOL_NONE;
	s->leader_cpu = -1;
	s->socket = SOCKET_NONE;
	*out = s;
	return 0;
}

/* No process has the slot or a channel of s in its hands any more. */
void stub_free(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);

	for (unsigned i = 0; i < s->idle_count; i++)
		channel_free(st, s->idle[i].channel);
	channel_free_parked(s);
	if (s->spare_channel != POOL_NONE)
		channel_free(st, s->spare_channel);
	rings_forget(s);
	files_end(s);
	slot_free(st, s->slot);
	patches_put(atomic_load(&s->patches));
	pthread_cond_destroy(&s->note_cond);
	mutex_destroy(&s->leader_lock);
	free(s);
}

bool stub_pid_hold(struct stub *s)
{
	if (!(atomic_fetch_add(&s->pid_users, 1) & STUB_REAPED))
		return true;
	atomic_fetch_sub(&s->pid_users, 1);
	return false;
}

void stub_pid_drop(struct stub *s)
{
	atomic_fetch_sub(&s->pid_users, 1);
}

void stub_kill(struct stub *s, const char *why)
{
	int64_t never = 0;

	if (!stub_pid_hold(s))
		return;
	if (why)
		log_warn("guest process with host id %d killed: %s", s->as.host_pid, why);
	kill(s->as.host_pid, SIGKILL);
	stub_pid_drop(s);
	atomic_compare_exchange_strong(&s->killed_ns, &never, monotonic_ns());
}

bool stub_overdue(struct stub *s)
{
	int64_t killed_ns = atomic_load(&s->killed_ns);

	return killed_ns && !atomic_load(&s->as.dead) && monotonic_ns() - killed_ns > DEATH_NS;
}

void stub_check_death(struct stub *s)
{
	if (!stub_overdue(s))
		return;
	log_warn("systrap: the stub with host id %d does not die: left to itself", s->as.host_pid);
	stub_mark_dead(systrap_of(&s->as), s);
}

/* ---- the reaper ---- */

static void reap(struct systrap *st, pid_t pid)
{
	const struct timespec moment = {.tv_nsec = 20000};
	struct stub *s;
	siginfo_t si;
	bool free_it;

	mutex_lock(&st->lock);
	s = find_stub(st, pid);
	if (!s)
		note_stray_death(st, pid);
	mutex_unlock(&st->lock);
	if (s) {
		stub_mark_dead(st, s);
		atomic_fetch_or(&s->pid_users, STUB_REAPED);
		/* What they are at fails soon, for the process is dead. */
		while (atomic_load(&s->pid_users) != STUB_REAPED)
			nanosleep(&moment, NULL);
	}
	waitid(P_PID, (id_t)pid, &si, WEXITED);
	if (!s)
		return;
	mutex_lock(&st->lock);
	list_del_init(&s->node);
	stub_forget_used(st, s);
	s->reaped = true;
	free_it = s->released;
	mutex_unlock(&st->lock);
	if (free_it)
		stub_free(s);
}

/* Ends when there is no stub left, the template neither: then there can never be one again. */
static void *reaper(void *arg)
{
	struct systrap *st = arg;

	for (;;) {
		siginfo_t si = {0};

		if (waitid(P_PGID, (id_t)st->pgid, &si, WEXITED | WNOWAIT) == 0)
			reap(st, si.si_pid);
		else if (errno != EINTR)
			break;
	}
	return NULL;
}

/* Not at the platform's start: confinement that acts on one thread alone is set up after that. */
static int start_reaper(struct systrap *st)
{
	sigset_t all, old;
	int r = 0;

	mutex_lock(&st->lock);
	if (!st->reaper_started) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		r = -pthread_create(&st->reaper, NULL, reaper, st);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		st->reaper_started = r == 0;
	}
	mutex_unlock(&st->lock);
	return r;
}

/* ---- birth and end ---- */

void stub_end(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	bool free_it;

	stub_kill(s, NULL);
	mutex_lock(&st->lock);
	s->released = true;
	free_it = s->reaped;
	mutex_unlock(&st->lock);
	if (free_it)
		stub_free(s);
}

/* Forks the parent's stub.  The new one is returned with its leader waiting for requests. */
static int stub_fork(struct stub *parent, struct stub **out)
{
	struct systrap *st = systrap_of(&parent->as);
	struct leader_call fork_call = {
		.nr = SYS_clone,
		.args = {CLONE_PARENT | SIGCHLD},
		.child_entry = leader_text_addr(st->base, systrap_leader_child),
	};
	struct stub *s;
	long pid = 0;
	int r = stub_new(st, &s);

	if (r < 0)
		return r;
	birth_begin(st);
	/* The child reads the parent's slot once, so that has to stay as it is until the child has said hello. */
	mutex_lock(&parent->leader_lock);
	st->slots[parent->slot].child_slot = slot_addr(st, s->slot);
	r = leader_request_locked(parent, &fork_call, 1, -1, &pid);
	if (r == 1) {
		s->as.host_pid = (pid_t)pid;
		s->leader_cpu = parent->leader_cpu;
		s->inherits = parent != st->template;
		atomic_store(&s->patches, patches_get(atomic_load(&parent->patches)));
		register_stub(st, s);
		r = leader_hello(s);
	} else {
		r = r < 0 ? r : (int)pid;
	}
	mutex_unlock(&parent->leader_lock);
	birth_end(st);
	if (r == 0)
		*out = s;
	else if (s->as.host_pid)
		stub_end(s);
	else
		/* If the parent died a child may yet turn up with that slot, but as a stray it is never answered. */
		stub_free(s);
	return r;
}

int systrap_as_create(struct platform *pf, struct pas **out)
{
	struct systrap *st = container_of(pf, struct systrap, pf);
	struct stub *s;
	int r = start_reaper(st);

	if (r < 0)
		return r;
	r = stub_fork(st->template, &s);
	if (r == 0)
		*out = &s->as;
	return r == -ESRCH ? -EAGAIN : r; /* it is not the caller's process that died */
}

int systrap_as_fork(struct pctx *via, struct pas **out, struct pctx **ctx_out)
{
	struct stub *s;
	int r = stub_fork(stub_of(via->as), &s);

	if (r < 0)
		return r;
	r = systrap_ctx_spawn(&s->as, via, ctx_out);
	if (r < 0) {
		pas_put(&s->as);
		return r;
	}
	s->as.owner = via->as->owner;
	atomic_store(&s->as.shares, atomic_load(&via->as->shares));
	atomic_store(&s->as.kept_apart, atomic_load(&via->as->kept_apart));
	*out = &s->as;
	return 0;
}

void systrap_as_kill(struct pas *as)
{
	stub_kill(stub_of(as), NULL);
}

void systrap_as_release(struct pas *as)
{
	stub_end(stub_of(as));
}

void systrap_as_leave(struct pas *as)
{
	struct stub *s = stub_of(as);

	if (!stub_leave(s))
		stub_end(s);
}
