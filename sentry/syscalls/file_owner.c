/* The owner of an open file.  See file_owner.h. */
#include "sentry/syscalls/file_owner.h"

#include "abi/errno.h"
#include "platform/uaccess.h"
#include "sentry/signal/signal.h"
#include "sentry/task/pidns.h"
#include "sentry/vfs/fasync.h"

static int in_pgrp(struct process *p, void *arg)
{
	return p->pgid == *(const int *)arg;
}

/* F_SETOWN takes any thread's number for its process; but what is shown is a process's own (exact). */
static bool exists(int type, int pid, bool exact)
{
	struct task *t;
	bool r;

	if (type == L_F_OWNER_PGRP)
		return process_for_each(in_pgrp, &pid) != 0;
	t = task_find(pid);
	r = t && (!exact || type == L_F_OWNER_TID || t->process->pid == pid);
	task_put(t);
	return r;
}

static long set(struct task *t, struct file *f, int type, int pid)
{
	int global = pid < 0 ? -1 : pid_named(t, pid);

	if (global && (global < 0 || !exists(type, global, false)))
		return -ESRCH;
	return file_set_owner(f, type, global, t->cred->uid, t->cred->euid, false);
}

static struct file_owner get(const struct task *t, struct file *f)
{
	struct file_owner o = file_owner(f);

	if (o.pid && !exists(o.type, o.pid, true))
		o.pid = 0;
	else if (o.pid)
		o.pid = o.type == L_F_OWNER_PGRP ? pgrp_global_nr(o.pid, task_pid_ns(t))
						 : global_nr(o.pid, task_pid_ns(t));
	return o;
}

long owner_set(struct task *t, struct file *f, int who)
{
	if (who == INT32_MIN)
		return -EINVAL;
	return who < 0 ? set(t, f, L_F_OWNER_PGRP, -who) : set(t, f, L_F_OWNER_PID, who);
}

long owner_get(const struct task *t, struct file *f)
{
	struct file_owner o = get(t, f);

	return o.type == L_F_OWNER_PGRP ? -(long)o.pid : o.pid;
}

static long set_ex(struct task *t, struct file *f, uint64_t arg)
{
	struct l_f_owner_ex ex;
	int r = copy_in(t->ctx, &ex, arg, sizeof(ex));

	if (r < 0)
		return r;
	if (ex.type < L_F_OWNER_TID || ex.type > L_F_OWNER_PGRP)
		return -EINVAL;
	return set(t, f, ex.type, ex.pid);
}

long owner_fcntl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct l_f_owner_ex ex;
	struct file_owner o;

	switch (cmd) {
	case L_F_SETOWN:
		return owner_set(t, f, (int)arg);
	case L_F_GETOWN:
		return owner_get(t, f);
	case L_F_SETOWN_EX:
		return set_ex(t, f, arg);
	case L_F_GETOWN_EX:
		o = get(t, f);
		ex = (struct l_f_owner_ex){o.type, o.pid};
		return copy_out(t->ctx, arg, &ex, sizeof(ex));
	case L_F_SETSIG:
		if ((int)arg != 0 && !sig_valid((int)arg))
			return -EINVAL;
		return file_set_owner_signal(f, (int)arg);
	default:
		return file_owner(f).sig;
	}
}
