/*
 * Requests to a leader: the sentry writes calls into the stub's slot, answers the leader's NEXT, and then lets each
 * call go on if, and only if, it is the one that was asked for; those that the filter lets pass are not notified.  The results
 * come as arguments of the following NEXT.
 *
 * A stopped and continued stub (SIGSTOP, the freezer) makes its pending notification again, even one that has just
 * been answered; so the latest of the same kind counts, and a request's number tells an old NEXT from a new one.
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "platform/systrap/systrap.h"

_Static_assert(SYSTRAP_NR_NEXT == SYS_pause, "shim.S");

static bool is_next(const struct systrap *st, const struct stub *s, const struct note *n)
{
	return n->nr == SYSTRAP_NR_NEXT && n->ip == leader_text_addr(st->base, systrap_leader_next_ip) &&
	       n->args[2] == slot_addr(st, s->slot);
}

static bool is_call(const struct systrap *st, const struct note *n, const struct leader_call *call)
{
	return (uint32_t)n->nr == call->nr && n->ip == leader_text_addr(st->base, systrap_leader_call_ip) &&
	       memcmp(n->args, call->args, sizeof(n->args)) == 0;
}

/* Something no leader of ours does: its stub is not to be trusted any further. */
static int nonsense(struct stub *s, const struct note *n)
{
	log_warn("systrap: unexpected call %d at %#lx by a leader", n->nr, (unsigned long)n->ip);
	stub_kill(s, "its leader did not do as asked");
	return -ESRCH;
}

int leader_hello(struct stub *s)
{
	struct systrap *st = systrap_of(&s->as);
	int r = leader_wait(s, &s->next);

	if (r == 0 && (!is_next(st, s, &s->next) || s->next.args[3] != 0))
		return nonsense(s, &s->next);
	return r;
}

/* Answers the leader's NEXT, whichever of its notifications is the live one by now. */
static int answer_next(struct stub *s, int fd, uint32_t as, bool *unsure)
{
	struct systrap *st = systrap_of(&s->as);
	uint64_t seq = s->next.args[3];

	for (;;) {
		int r;

		if (leader_note_pending(s, &s->next) && (!is_next(st, s, &s->next) || s->next.args[3] != seq))
			return nonsense(s, &s->next);
		r = fd >= 0 ? leader_reply_fd(st, &s->next, fd, as) : leader_reply(st, &s->next, 0, 0);
		if (r == -EINTR) {
			*unsure = true; /* answered, but perhaps without the descriptor */
			return 0;
		}
		if (r != -ENOENT)
			return r;
		r = leader_wait(s, &s->next);
		if (r < 0)
			return r;
		if (!is_next(st, s, &s->next) || s->next.args[3] != seq)
			return nonsense(s, &s->next);
	}
}

/* Is it the call that is due, or the latest once more?  Of those that the filter lets a leader make we hear nothing.  *at: the number
 * of calls up to the latest that we heard of. */
static bool is_due(const struct systrap *st, const struct note *n, const struct leader_call *calls, unsigned count, unsigned *at)
{
	for (unsigned i = *at; i < count; i++) {
		if (is_call(st, n, &calls[i])) {
			*at = i + 1;
			return true;
		}
		if (!filter_lets_leader(&calls[i]))
			break;
	}
	return *at > 0 && is_call(st, n, &calls[*at - 1]);
}

/* Sees the request in the slot through.  As leader_request. */
static int carry_out(struct stub *s, const struct leader_call *calls, unsigned count, int fd, long *result,
		     bool *unsure)
{
	struct systrap *st = systrap_of(&s->as);
	uint64_t old_seq = s->next.args[3];
	const uint32_t fd_as = (uint32_t)calls[0].args[4];
	unsigned at = 0;
	struct note n;
	int r = answer_next(s, fd, fd_as, unsure);

	if (r < 0)
		return r; /* unanswered: the leader waits where it was */
	while (r == 0) {
		r = leader_wait(s, &n);
		if (r < 0)
			break;
		if (is_next(st, s, &n) && n.args[3] == s->seq) {
			if (n.args[0] > count)
				return nonsense(s, &n);
			s->next = n;
			*result = (long)n.args[1];
			return (int)n.args[0];
		}
		if (is_next(st, s, &n) && at == 0 && n.args[3] == old_seq) {
			s->next = n;
			r = answer_next(s, fd, fd_as, unsure);
			continue;
		}
		if (!is_due(st, &n, calls, count, &at))
			return nonsense(s, &n);
		r = leader_reply(st, &n, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		if (r == -ENOENT)
			r = 0; /* it will be made again */
	}
	if (r != -ESRCH && !atomic_load(&s->as.dead)) {
		/* Half-way, and no way to know how far: the stub cannot stay. */
		log_warn("systrap: a request to a leader failed: %s", strerror(-r));
		stub_kill(s, "a request to its leader failed");
	}
	return -ESRCH;
}

/*
 * Brings the leader to the caller's CPU.  The host does so by itself for an answer (SYNC_WAKE_UP), but not for one
 * with a descriptor (100 us instead of 30, measured), nor for a fork's child, which it likes to start on an idle CPU.
 */
static void bring_leader_here(struct stub *s)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	if (cpu < 0 || cpu == s->leader_cpu || !stub_pid_hold(s))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(s->as.host_pid, sizeof(one), &one) == 0)
		s->leader_cpu = cpu;
	stub_pid_drop(s);
}

int leader_request_locked(struct stub *s, const struct leader_call *calls, unsigned count, int fd, long *result)
{
	struct request_slot *slot = &systrap_of(&s->as)->slots[s->slot];
	bool unsure = false;
	int r;

	ASSERT(count > 0 && count <= SYSTRAP_REQUEST_MAX);
	if (atomic_load(&s->as.dead))
		return -ESRCH;
	bring_leader_here(s);
	memcpy(slot->calls, calls, count * sizeof(*calls));
	slot->count = count;
	do {
		slot->seq = ++s->seq;
		unsure = false;
		r = carry_out(s, calls, count, fd, result, &unsure);
	} while (unsure && r == 0 && (*result == -ENODEV || *result == -EPERM)); /* SYSTRAP_NO_FD was there */
	return r;
}

int leader_request(struct stub *s, const struct leader_call *calls, unsigned count, int fd, long *result)
{
	int r;

	mutex_lock(&s->leader_lock);
	r = leader_request_locked(s, calls, count, fd, result);
	mutex_unlock(&s->leader_lock);
	return r;
}

long leader_call(struct stub *s, const struct leader_call *call)
{
	long result;
	int r = leader_request(s, call, 1, -1, &result);

	return r < 0 ? r : result;
}
