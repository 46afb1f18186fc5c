/* unshare and setns: leaving what is shared, and entering namespaces.  What they mean is in sentry/task/namespaces.c.
 */
#include "abi/errno.h"
#include "abi/sched.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/task/namespaces.h"
#include "sentry/vfs/mount.h"

long sys_unshare(struct task *t, const struct sys_args *args)
{
	return task_unshare(t, args->a[0]);
}

static int enter_kind(struct task *t, struct task *other, enum ns_kind kind)
{
	struct ns *ns = task_get_ns(other, kind);
	int r = ns ? task_enter_ns(t, ns) : -ESRCH;

	ns_put(ns);
	return r;
}

/* By a process's pidfd: those of its namespaces that flags name. */
static int enter_of_process(struct task *t, const struct file *f, uint64_t flags)
{
	struct process *p = pidfd_process(f);
	struct task *other;
	int r = 0;

	if (!flags || (flags & ~CLONE_NEW_FLAGS))
		return -EINVAL;
	other = task_find(p->pid);
	if (!other || other->process != p) {
		task_put(other);
		return -ESRCH;
	}
	/* The user namespace first: what it gives is needed for the others. */
	if (flags & L_CLONE_NEWUSER)
		r = enter_kind(t, other, NS_USER);
	for (int kind = 0; r == 0 && kind < NS_KINDS; kind++)
		if (kind != NS_USER && (flags & ns_kind_flag((enum ns_kind)kind)))
			r = enter_kind(t, other, (enum ns_kind)kind);
	task_put(other);
	return r;
}

long sys_setns(struct task *t, const struct sys_args *args)
{
	uint64_t flags = (uint32_t)args->a[1];
	struct ns *ns;
	struct file *f;
	int r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	ns = inode_namespace(f->inode);
	if (ns)
		r = flags && flags != ns_kind_flag(ns->kind) ? -EINVAL : task_enter_ns(t, ns);
	else
		r = pidfd_file_is(f) ? enter_of_process(t, f, flags) : -EINVAL;
	file_put(f);
	return r;
}
