/* Pending queues and the table of actions.  See signal.h; the caller holds the locks. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/signal/signal.h"
#include "sentry/time/posix_timers.h"

/* Exceptions come before everything else: the frame must tell of the instruction that raised them. */
#define SYNCHRONOUS                                                                                                    \
	(sig_bit(L_SIGSEGV) | sig_bit(L_SIGBUS) | sig_bit(L_SIGILL) | sig_bit(L_SIGTRAP) | sig_bit(L_SIGFPE) |         \
	 sig_bit(L_SIGSYS))

/* What no process has more of, whatever its limit: each takes the sentry's memory. */
#define PENDING_MAX (1u << 17)

void sigpending_init(struct sigpending *q)
{
	list_init(&q->queue);
	q->set = 0;
}

void sigpending_drop(struct sigpending *q, struct process *p, sigset mask)
{
	struct sigqueue *s, *tmp;

	if (!(q->set & mask))
		return;
	list_for_each_entry_safe(s, tmp, &q->queue, node) {
		if (sig_bit(s->info.si_signo) & mask) {
			list_del_init(&s->node);
			if (s->of_timer) {
				posix_timer_dropped(s);
			} else {
				free(s);
				p->pending_count--;
			}
		}
	}
	q->set &= ~mask;
}

int sigpending_add(struct sigpending *q, struct process *p, const struct l_siginfo *info, bool may_fail)
{
	int sig = info->si_signo;
	struct sigqueue *s;
	bool over_limit;

	if (sig < L_SIGRTMIN && (q->set & sig_bit(sig)))
		return 0;
	over_limit = sig < L_SIGRTMIN && info->si_code >= 0; /* one of each kind at most */
	s = over_limit || p->pending_count < min_of(process_rlimit(p, L_RLIMIT_SIGPENDING), (uint64_t)PENDING_MAX)
		    ? malloc(sizeof(*s))
		    : NULL;
	if (!s) {
		if (may_fail && sig >= L_SIGRTMIN)
			return -EAGAIN;
		q->set |= sig_bit(sig); /* delivered without its siginfo, as Linux does */
		return 0;
	}
	s->info = *info;
	s->of_timer = false;
	list_add_tail(&s->node, &q->queue);
	q->set |= sig_bit(sig);
	p->pending_count++;
	return 0;
}

void sigpending_add_entry(struct sigpending *q, struct sigqueue *s)
{
	list_add_tail(&s->node, &q->queue);
	q->set |= sig_bit(s->info.si_signo);
}

void sigpending_remove_entry(struct sigpending *q, struct sigqueue *s)
{
	struct sigqueue *o;

	list_del_init(&s->node);
	list_for_each_entry(o, &q->queue, node)
		if (o->info.si_signo == s->info.si_signo)
			return;
	q->set &= ~sig_bit(s->info.si_signo);
}

static int next_signal(sigset pending)
{
	sigset sync = pending & SYNCHRONOUS;

	return __builtin_ctzll(sync ? sync : pending) + 1;
}

int sigpending_take(struct sigpending *q, struct process *p, sigset mask, struct l_siginfo *info)
{
	struct sigqueue *s, *found = NULL;
	bool more = false;
	int sig;

	if (!(q->set & mask))
		return 0;
	sig = next_signal(q->set & mask);
	list_for_each_entry(s, &q->queue, node) {
		if (s->info.si_signo != sig)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = s;
	}
	if (!more)
		q->set &= ~sig_bit(sig);
	if (found) {
		*info = found->info;
		list_del_init(&found->node);
		if (found->of_timer) {
			posix_timer_taken(found, info);
		} else {
			free(found);
			p->pending_count--;
		}
	} else {
		memset(info, 0, sizeof(*info));
		info->si_signo = sig;
	}
	return sig;
}

/* ---- actions ---- */

struct sighand *sighand_new(void)
{
	struct sighand *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	refcount_init(&s->refs, 1);
	mutex_init(&s->lock);
	return s;
}

struct sighand *sighand_copy(struct sighand *old)
{
	struct sighand *s = sighand_new();

	if (!s)
		return NULL;
	mutex_lock(&old->lock);
	memcpy(s->action, old->action, sizeof(s->action));
	mutex_unlock(&old->lock);
	return s;
}

struct sighand *sighand_get(struct sighand *s)
{
	refcount_inc(&s->refs);
	return s;
}

void sighand_put(struct sighand *s)
{
	if (!s || !refcount_dec(&s->refs))
		return;
	mutex_destroy(&s->lock);
	free(s);
}

void sighand_reset(struct sighand *s, bool exec)
{
	mutex_lock(&s->lock);
	for (int i = 0; i < L_NSIG; i++) {
		struct l_sigaction *a = &s->action[i];

		if (a->handler != L_SIG_IGN)
			a->handler = L_SIG_DFL;
		if (exec || a->handler != L_SIG_IGN) {
			a->flags = 0;
			a->mask = 0;
			a->restorer = 0;
		}
	}
	mutex_unlock(&s->lock);
}

struct l_sigaction sighand_action(struct sighand *s, int sig)
{
	struct l_sigaction a;

	mutex_lock(&s->lock);
	a = s->action[sig - 1];
	mutex_unlock(&s->lock);
	return a;
}
