/* msgget, msgsnd, msgrcv, msgctl.  The work is in sentry/ipc/msg.c. */

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

long sys_msgget(struct task *t, const struct sys_args *args)
{
	return msg_get(t, (int32_t)args->a[0], (uint32_t)args->a[1]);
}

long sys_msgsnd(struct task *t, const struct sys_args *args)
{
	int id = (int)args->a[0];
	uint64_t buf = args->a[1], size = args->a[2];
	struct ipc_msg *m;
	int64_t type;
	long r = copy_in(t->ctx, &type, buf, sizeof(type));

	if (r < 0)
		return r;
	if (size > tunable_get(&task_ipc_ns(t)->msgmax) || id < 0 || type < 1)
		return -EINVAL;
	m = msg_alloc(size);
	if (!m)
		return -ENOMEM;
	m->type = type;
	r = copy_in(t->ctx, m->data, buf + sizeof(type), size);
	if (r == 0)
		r = msg_send(t, id, m, (uint32_t)args->a[3]);
	if (r < 0)
		msg_free(m);
	return r;
}

long sys_msgrcv(struct task *t, const struct sys_args *args)
{
	int id = (int)args->a[0];
	uint64_t buf = args->a[1], size = args->a[2];
	struct ipc_msg *m;
	long r;

	if (id < 0 || (int64_t)size < 0)
		return -EINVAL;
	r = msg_receive(t, id, size, (int64_t)args->a[3], (uint32_t)args->a[4], &m);
	if (r < 0)
		return r;
	size = min_of(size, (uint64_t)m->size);
	r = copy_out(t->ctx, buf, &m->type, sizeof(m->type));
	if (r == 0)
		r = copy_out(t->ctx, buf + sizeof(m->type), m->data, size);
	msg_free(m);
	return r < 0 ? r : (long)size;
}

static long get_info(struct task *t, int cmd, uint64_t buf)
{
	struct ipc_ns *ns = task_ipc_ns(t);
	struct l_msginfo info = {
		.msgpool = (int)(ns->msgmni.value * (ns->msgmnb.value / 1024)),
		.msgmap = (int)ns->msgmnb.value,
		.msgmax = (int)ns->msgmax.value,
		.msgmnb = (int)ns->msgmnb.value,
		.msgmni = (int)ns->msgmni.value,
		.msgssz = 16,
		.msgtql = (int)ns->msgmnb.value,
		.msgseg = 0xffff,
	};
	int queues, messages, bytes, max = msg_info(ns, &queues, &messages, &bytes), r;

	if (cmd == L_MSG_INFO) {
		info.msgpool = queues;
		info.msgmap = messages;
		info.msgtql = bytes;
	}
	r = copy_out(t->ctx, buf, &info, sizeof(info));
	return r < 0 ? r : max;
}

static long get_stat(struct task *t, int id, int cmd, uint64_t buf)
{
	struct l_msqid64_ds ds;
	int r, result = msg_stat(t, id, cmd != L_IPC_STAT, cmd == L_MSG_STAT_ANY, &ds);

	if (result < 0)
		return result;
	r = copy_out(t->ctx, buf, &ds, sizeof(ds));
	return r < 0 ? r : result;
}

long sys_msgctl(struct task *t, const struct sys_args *args)
{
	int id = (int)args->a[0], cmd = (int)args->a[1], r;
	uint64_t buf = args->a[2];
	struct l_msqid64_ds ds;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case L_IPC_INFO:
	case L_MSG_INFO:
		return get_info(t, cmd, buf);
	case L_IPC_STAT:
	case L_MSG_STAT:
	case L_MSG_STAT_ANY:
		return get_stat(t, id, cmd, buf);
	case L_IPC_SET:
		r = copy_in(t->ctx, &ds, buf, sizeof(ds));
		return r < 0 ? r : msg_set(t, id, &ds);
	case L_IPC_RMID:
		return msg_remove(t, id);
	default:
		return -EINVAL;
	}
}
