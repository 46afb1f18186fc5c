/* futex(2) and the robust list calls.  The work is in sentry/ipc/futex.c. */
#include "abi/errno.h"
#include "abi/futex.h"
#include "abi/time.h"
#include "host/clock.h"
#include "sentry/ipc/futex.h"
#include "sentry/syscalls/syscalls.h"
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

long sys_futex(struct task *t, const struct sys_args *args)
{
	int op = (int)args->a[1], cmd = op & L_FUTEX_CMD_MASK;
	bool process_private = (op & L_FUTEX_PRIVATE_FLAG) != 0, realtime = (op & L_FUTEX_CLOCK_REALTIME) != 0;
	uint64_t addr = args->a[0], addr2 = args->a[4];
	int val = (int)args->a[2], val2 = (int)args->a[3];
	uint32_t val3 = (uint32_t)args->a[5];

	if (realtime && cmd != L_FUTEX_WAIT && cmd != L_FUTEX_WAIT_BITSET && cmd != L_FUTEX_WAIT_REQUEUE_PI &&
	    cmd != L_FUTEX_LOCK_PI2)
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
	default:
		return -ENOSYS;
	}
}

long sys_set_robust_list(struct task *t, const struct sys_args *args)
{
	if (args->a[1] != sizeof(struct l_robust_list_head))
		return -EINVAL;
	t->robust_list = args->a[0];
	return 0;
}

long sys_get_robust_list(struct task *t, const struct sys_args *args)
{
	int pid = (int)args->a[0];
	uint64_t head, len = sizeof(struct l_robust_list_head);
	struct task *target;
	int r;

	if (pid && pid != t->tid) {
		target = task_find(pid);
		if (!target)
			return -ESRCH;
		if (target->process != t->process && t->cred->euid != 0) {
			task_put(target);
			return -EPERM;
		}
		head = target->robust_list;
		task_put(target);
	} else {
		head = t->robust_list;
	}
	r = copy_out(t->ctx, args->a[2], &len, sizeof(len));
	return r < 0 ? r : copy_out(t->ctx, args->a[1], &head, sizeof(head));
}
