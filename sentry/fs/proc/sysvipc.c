/* /proc/sysvipc: proc_sysvipc(5).  The lines are written by sentry/ipc. */
#include "sentry/fs/proc/internal.h"
#include "sentry/ipc/ipc_ns.h"

static int show_msg(const struct proc_ctx *c, FILE *out)
{
	return msg_show(task_ipc_ns(task_current()), c->opener, out);
}

static int show_sem(const struct proc_ctx *c, FILE *out)
{
	return sem_show(task_ipc_ns(task_current()), c->opener, out);
}

static int show_shm(const struct proc_ctx *c, FILE *out)
{
	return shm_show(task_ipc_ns(task_current()), c->opener, out);
}

static const struct proc_entry entries[] = {
	PROC_FILE("msg", 0444, show_msg),
	PROC_FILE("sem", 0444, show_sem),
	PROC_FILE("shm", 0444, show_shm),
};
const struct proc_dir proc_sysvipc_dir = {.entries = entries, .count = ARRAY_SIZE(entries)};
