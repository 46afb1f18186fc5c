/* semget, semop, semtimedop, semctl.  The work is in sentry/ipc/sem.c. */
#include <stdlib.h>

#include "abi/errno.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"
#include "sentry/time/clock.h"

long sys_semget(struct task *t, const struct sys_args *args)
{
	return sem_get(t, (int32_t)args->a[0], (int)args->a[1], (uint32_t)args->a[2]);
}

static long operate(struct task *t, const struct sys_args *args, int64_t deadline_ns)
{
	int id = (int)args->a[0];
	uint32_t count = (uint32_t)args->a[2];
	struct l_sembuf fast[8], *ops = fast;
	int r;

	if (count > tunable_get(&task_ipc_ns(t)->semopm))
		return -E2BIG;
	if (count < 1)
		return -EINVAL;
	if (count > sizeof(fast) / sizeof(fast[0])) {
		ops = malloc(count * sizeof(*ops));
		if (!ops)
			return -ENOMEM;
	}
	r = copy_in(t->ctx, ops, args->a[1], count * sizeof(*ops));
	if (r == 0)
		r = id < 0 ? -EINVAL : sem_operate(t, id, ops, count, deadline_ns);
	if (ops != fast)
		free(ops);
	return r;
}

long sys_semop(struct task *t, const struct sys_args *args)
{
	return operate(t, args, NO_DEADLINE);
}

long sys_semtimedop(struct task *t, const struct sys_args *args)
{
	struct l_timespec ts;
	int r;

	if (!args->a[3])
		return operate(t, args, NO_DEADLINE);
	r = copy_in(t->ctx, &ts, args->a[3], sizeof(ts));
	if (r < 0)
		return r;
	if (!timespec_valid(&ts))
		return (uint32_t)args->a[2] > tunable_get(&task_ipc_ns(t)->semopm) ? -E2BIG : -EINVAL;
	return operate(t, args, deadline_after(&ts));
}

static long get_info(struct task *t, int cmd, uint64_t buf)
{
	const struct ipc_ns *ns = task_ipc_ns(t);
	struct l_seminfo info = {
		.semmap = SEMMNS,
		.semmni = (int)ns->semmni.value,
		.semmns = (int)ns->semmns.value,
		.semmnu = SEMMNS,
		.semmsl = (int)ns->semmsl.value,
		.semopm = (int)ns->semopm.value,
		.semume = SEMOPM,
		.semusz = 20,
		.semvmx = SEMVMX,
		.semaem = SEMVMX,
	};
	int sets, semaphores, max = sem_info(task_ipc_ns(t), &sets, &semaphores), r;

	if (cmd == L_SEM_INFO) {
		info.semusz = sets;
		info.semaem = semaphores;
	}
	r = copy_out(t->ctx, buf, &info, sizeof(info));
	return r < 0 ? r : max;
}

static long get_stat(struct task *t, int id, int cmd, uint64_t buf)
{
	struct l_semid64_ds ds;
	int r, result = sem_stat(t, id, cmd != L_IPC_STAT, cmd == L_SEM_STAT_ANY, &ds);

	if (result < 0)
		return result;
	r = copy_out(t->ctx, buf, &ds, sizeof(ds));
	return r < 0 ? r : result;
}

static long all_values(struct task *t, int id, int cmd, uint64_t buf)
{
	int count = sem_count(t, id, cmd == L_GETALL ? 0444 : 0222), r;
	size_t size;
	uint16_t *values;

	if (count < 0)
		return count;
	size = (size_t)count * sizeof(*values);
	values = malloc(size);
	if (!values)
		return -ENOMEM;
	if (cmd == L_GETALL) {
		r = sem_get_all(t, id, values, count);
		if (r == 0)
			r = copy_out(t->ctx, buf, values, size);
	} else {
		r = copy_in(t->ctx, values, buf, size);
		if (r == 0)
			r = sem_set_all(t, id, values, count);
	}
	free(values);
	return r;
}

long sys_semctl(struct task *t, const struct sys_args *args)
{
	int id = (int)args->a[0], num = (int)args->a[1], cmd = (int)args->a[2], r;
	uint64_t arg = args->a[3];
	struct l_semid64_ds ds;

	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case L_IPC_INFO:
	case L_SEM_INFO:
		return get_info(t, cmd, arg);
	case L_IPC_STAT:
	case L_SEM_STAT:
	case L_SEM_STAT_ANY:
		return get_stat(t, id, cmd, arg);
	case L_GETALL:
	case L_SETALL:
		return all_values(t, id, cmd, arg);
	case L_GETVAL:
	case L_GETPID:
	case L_GETNCNT:
	case L_GETZCNT:
		return sem_query(t, id, num, cmd);
	case L_SETVAL:
		return sem_set_value(t, id, num, (int)arg);
	case L_IPC_SET:
		r = copy_in(t->ctx, &ds, arg, sizeof(ds));
		return r < 0 ? r : sem_set(t, id, &ds.sem_perm);
	case L_IPC_RMID:
		return sem_remove(t, id);
	default:
		return -EINVAL;
	}
}
