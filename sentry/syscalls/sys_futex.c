/* futex(2) and the robust list calls.  The work is in sentry/ipc/futex.c. */
#include "abi/errno.h"
#include "abi/futex.h"
#include "abi/time.h"
#include "host/clock.h"
#include "sentry/ipc/futex.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

/* restart_syscall's way back into a FUTEX_WAIT that had a relative timeout. */
static long futex_wait_again(struct task *t)
{
	struct restart_block *rb = &t->restart;
	int r = futex_wait(t, rb->arg[0], rb->arg[1], (uint32_t)rb->arg[2], (uint32_t)rb->arg[3], rb->deadline_ns);

	return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

static long wait_op(struct task *t, const struct sys_args *args, int cmd, bool process_private, bool realtime)
{
	uint64_t addr = args->a[0], timeout = args->a[3];
	uint32_t val = (uint32_t)args->a[2];
	uint32_t bitset = cmd == L_FUTEX_WAIT ? L_FUTEX_BITSET_MATCH_ANY : (uint32_t)args->a[5];
	int64_t deadline = NO_DEADLINE;
	struct l_timespec ts;
	int r;

	if (timeout) {
		r = copy_in(t->ctx, &ts, timeout, sizeof(ts));
		if (r < 0)
			return r;
		if (!timespec_valid(&ts))
			return -EINVAL;
		deadline = cmd == L_FUTEX_WAIT ? deadline_after(&ts)
					       : deadline_at(realtime ? L_CLOCK_REALTIME : L_CLOCK_MONOTONIC, &ts);
	}
	r = futex_wait(t, addr, process_private, val, bitset, deadline);
	if (r != -ERESTARTSYS || !timeout)
		return r;
	if (cmd == L_FUTEX_WAIT_BITSET)
		return -ERESTARTNOHAND; /* an absolute time can be waited for again as it stands */
	t->restart = (struct restart_block){futex_wait_again, deadline, {addr, process_private, val, bitset}};
	return -ERESTART_RESTARTBLOCK;
}

/* A timeout argument that is a point of time; NULL: none. */
static int deadline_arg(struct task *t, uint64_t timeout, int clock, int64_t *deadline)
{
	struct l_timespec ts;
	int r;

	*deadline = NO_DEADLINE;
	if (!timeout)
		return 0;
	if (clock != L_CLOCK_REALTIME && clock != L_CLOCK_MONOTONIC)
		return -EINVAL;
	r = copy_in(t->ctx, &ts, timeout, sizeof(ts));
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return -EINVAL;
	*deadline = deadline_at(clock, &ts);
	return 0;
}

/* LOCK_PI, whose time is always CLOCK_REALTIME's, LOCK_PI2 and WAIT_REQUEUE_PI. */
static long pi_wait_op(struct task *t, const struct sys_args *args, int cmd, bool process_private, bool realtime)
{
	int64_t deadline;
	int r = deadline_arg(t, args->a[3], realtime || cmd == L_FUTEX_LOCK_PI ? L_CLOCK_REALTIME : L_CLOCK_MONOTONIC, &deadline);

	if (r < 0)
		return r;
	if (cmd == L_FUTEX_WAIT_REQUEUE_PI)
		return futex_wait_requeue_pi(t, args->a[0], process_private, (uint32_t)args->a[2],
					     L_FUTEX_BITSET_MATCH_ANY, deadline, args->a[4]);
	return futex_lock_pi(t, args->a[0], process_private, false, deadline);
}

long sys_futex(struct task *t, const struct sys_args *args)
{
	int op = (int)args->a[1], cmd = op & L_FUTEX_CMD_MASK;
	bool process_private = (op & L_FUTEX_PRIVATE_FLAG) != 0, realtime = (op & L_FUTEX_CLOCK_REALTIME) != 0;
	uint64_t addr = args->a[0], addr2 = args->a[4];
	int val = (int)args->a[2], val2 = (int)args->a[3];
	uint32_t val3 = (uint32_t)args->a[5];

	if (realtime && cmd != L_FUTEX_WAIT_BITSET && cmd != L_FUTEX_WAIT_REQUEUE_PI && cmd != L_FUTEX_LOCK_PI2)
		return -ENOSYS;
	switch (cmd) {
	case L_FUTEX_WAIT:
	case L_FUTEX_WAIT_BITSET:
		return wait_op(t, args, cmd, process_private, realtime);
	case L_FUTEX_WAKE:
		return futex_wake(t, addr, process_private, val, L_FUTEX_BITSET_MATCH_ANY);
	case L_FUTEX_WAKE_BITSET:
		return futex_wake(t, addr, process_private, val, val3);
	case L_FUTEX_REQUEUE:
		return futex_requeue(t, addr, addr2, process_private, val, val2, NULL);
	case L_FUTEX_CMP_REQUEUE:
		return futex_requeue(t, addr, addr2, process_private, val, val2, &val3);
	case L_FUTEX_WAKE_OP:
		return futex_wake_op(t, addr, addr2, process_private, val, val2, val3);
	case L_FUTEX_LOCK_PI:
	case L_FUTEX_LOCK_PI2:
	case L_FUTEX_WAIT_REQUEUE_PI:
		return pi_wait_op(t, args, cmd, process_private, realtime);
	case L_FUTEX_TRYLOCK_PI:
		return futex_lock_pi(t, addr, process_private, true, NO_DEADLINE);
	case L_FUTEX_UNLOCK_PI:
		return futex_unlock_pi(t, addr, process_private);
	case L_FUTEX_CMP_REQUEUE_PI:
		return futex_cmp_requeue_pi(t, addr, addr2, process_private, val, val2, val3);
	default:
		return -ENOSYS;
	}
}

/* ---- futex_waitv(2) and the calls of one operation each ---- */

/* Words of 32 bits only, as Linux has so far.  DIVERGES: no FUTEX2_NUMA, whose words say on which node they are looked for. */
static bool futex2_flags_valid(uint32_t flags)
{
	return (flags & ~L_FUTEX2_PRIVATE) == L_FUTEX2_SIZE_U32;
}

static int word_import(const struct l_futex_waitv *w, struct futex_word *out)
{
	if (!futex2_flags_valid(w->flags) || w->reserved_ || w->val > UINT32_MAX)
		return -EINVAL;
	*out = (struct futex_word){w->uaddr, (uint32_t)w->val, (w->flags & L_FUTEX2_PRIVATE) != 0};
	return 0;
}

static int words_import(struct task *t, uint64_t waiters, unsigned n, struct futex_word *out)
{
	struct l_futex_waitv w;

	for (unsigned i = 0; i < n; i++) {
		int r = copy_in(t->ctx, &w, waiters + i * sizeof(w), sizeof(w));

		if (r == 0)
			r = word_import(&w, &out[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

long sys_futex_waitv(struct task *t, const struct sys_args *args)
{
	struct futex_word words[L_FUTEX_WAITV_MAX];
	unsigned n = (unsigned)args->a[1];
	int64_t deadline;
	int r;

	if ((unsigned)args->a[2] || n == 0 || n > L_FUTEX_WAITV_MAX || !args->a[0])
		return -EINVAL;
	r = deadline_arg(t, args->a[3], (int)args->a[4], &deadline);
	if (r == 0)
		r = words_import(t, args->a[0], n, words);
	return r < 0 ? r : futex_waitv(t, words, n, deadline);
}

long sys_futex_wake(struct task *t, const struct sys_args *args)
{
	uint64_t mask = args->a[1];
	uint32_t flags = (uint32_t)args->a[3];
	int n = (int)args->a[2];

	if (!futex2_flags_valid(flags) || mask > UINT32_MAX || !mask)
		return -EINVAL;
	if (n == 0) /* unlike FUTEX_WAKE it takes that at its word */
		return 0;
	return futex_wake(t, args->a[0], (flags & L_FUTEX2_PRIVATE) != 0, n, (uint32_t)mask);
}

long sys_futex_wait(struct task *t, const struct sys_args *args)
{
	uint64_t val = args->a[1], mask = args->a[2];
	uint32_t flags = (uint32_t)args->a[3];
	int64_t deadline;
	int r;

	if (!futex2_flags_valid(flags) || val > UINT32_MAX || mask > UINT32_MAX)
		return -EINVAL;
	r = deadline_arg(t, args->a[4], (int)args->a[5], &deadline);
	return r < 0 ? r : futex_wait(t, args->a[0], (flags & L_FUTEX2_PRIVATE) != 0, (uint32_t)val, (uint32_t)mask, deadline);
}

long sys_futex_requeue(struct task *t, const struct sys_args *args)
{
	struct futex_word words[2];
	int r;

	if ((unsigned)args->a[1] || !args->a[0])
		return -EINVAL;
	r = words_import(t, args->a[0], 2, words);
	if (r == 0 && words[0].process_private != words[1].process_private)
		r = -EINVAL;
	return r < 0 ? r
		     : futex_requeue(t, words[0].addr, words[1].addr, words[0].process_private, (int)args->a[2], (int)args->a[3],
				     &words[0].val);
}

long sys_set_robust_list(struct task *t, const struct sys_args *args)
{
	if (args->a[1] != sizeof(struct l_robust_list_head))
		return -EINVAL;
	futex_set_robust_list(t, args->a[0]);
	return 0;
}

long sys_get_robust_list(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0];
	uint64_t head, len = sizeof(struct l_robust_list_head);
	struct task *target;
	int r;

	if (pid && pid != task_own_nr(t)) {
		target = task_named(t, pid);
		if (!target)
			return -ESRCH;
		if (target->process != t->process && t->cred->euid != 0) {
			task_put(target);
			return -EPERM;
		}
		head = futex_robust_list(target);
		task_put(target);
	} else {
		head = futex_robust_list(t);
	}
	r = copy_out(t->ctx, args->a[2], &len, sizeof(len));
	return r < 0 ? r : copy_out(t->ctx, args->a[1], &head, sizeof(head));
}
