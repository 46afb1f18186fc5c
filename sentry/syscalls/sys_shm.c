/* shmget, shmat, shmdt, shmctl.  The work is in sentry/ipc/shm.c. */
#include "abi/errno.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

long sys_shmget(struct task *t, const struct sys_args *args)
{
	return shm_get(t, (int32_t)args->a[0], args->a[1], (uint32_t)args->a[2]);
}

long sys_shmat(struct task *t, const struct sys_args *args)
{
	return shm_attach(t, (int)args->a[0], args->a[1], (uint32_t)args->a[2]);
}

long sys_shmdt(struct task *t, const struct sys_args *args)
{
	return shm_detach(t, args->a[0]);
}

static long get_limits(struct task *t, uint64_t buf)
{
	struct l_shminfo64 info = {
		.shmmax = task_ipc_ns(t)->shmmax,
		.shmmin = 1,
		.shmmni = tunable_get(&task_ipc_ns(t)->shmmni),
		.shmseg = tunable_get(&task_ipc_ns(t)->shmmni),
		.shmall = task_ipc_ns(t)->shmall,
	};
	struct l_shm_info used;
	int max = shm_info(task_ipc_ns(t), &used), r = copy_out(t->ctx, buf, &info, sizeof(info));

	return r < 0 ? r : max;
}

static long get_usage(struct task *t, uint64_t buf)
{
	struct l_shm_info info;
	int max = shm_info(task_ipc_ns(t), &info), r = copy_out(t->ctx, buf, &info, sizeof(info));

	return r < 0 ? r : max;
}

static long get_stat(struct task *t, int id, int cmd, uint64_t buf)
{
	struct l_shmid64_ds ds;
	int r, result = shm_stat(t, id, cmd != L_IPC_STAT, cmd == L_SHM_STAT_ANY, &ds);

	if (result < 0)
		return result;
	r = copy_out(t->ctx, buf, &ds, sizeof(ds));
	return r < 0 ? r : result;
}

long sys_shmctl(struct task *t, const struct sys_args *args)
{
	int id = (int)args->a[0], cmd = (int)args->a[1], r;
	uint64_t buf = args->a[2];
	struct l_shmid64_ds ds;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case L_IPC_INFO:
		return get_limits(t, buf);
	case L_SHM_INFO:
		return get_usage(t, buf);
	case L_IPC_STAT:
	case L_SHM_STAT:
	case L_SHM_STAT_ANY:
		return get_stat(t, id, cmd, buf);
	case L_IPC_SET:
		r = copy_in(t->ctx, &ds, buf, sizeof(ds));
		return r < 0 ? r : shm_set(t, id, &ds.shm_perm);
	case L_IPC_RMID:
		return shm_remove(t, id);
	case L_SHM_LOCK:
	case L_SHM_UNLOCK:
		return shm_lock(t, id, cmd == L_SHM_LOCK);
	default:
		return -EINVAL;
	}
}
