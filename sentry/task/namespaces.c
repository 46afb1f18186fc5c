/* See namespaces.h. */
#include "sentry/task/namespaces.h"

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/sched.h"
#include "base/checked.h"
#include "sentry/core/uts.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/signal/signal.h"
#include "sentry/task/internal.h"
#include "sentry/task/pidns.h"
#include "sentry/task/tree.h"
#include "sentry/vfs/mount.h"

void task_first_ns(struct task *t)
{
	static const enum ns_kind only[] = {NS_TIME, NS_CGROUP, NS_NET};

	for (size_t i = 0; i < ARRAY_SIZE(only); i++)
		t->ns[only[i]] = ns_get(ns_initial(only[i]));
	t->ns[NS_UTS] = ns_get(uts_ns_first());
	t->ns[NS_IPC] = ns_get(ipc_ns_first());
	t->ns[NS_PID] = ns_get(pid_ns_first());
}

/* Linux without support for a kind answers so, too. */
#define NOT_HAD (L_CLONE_NEWNET | L_CLONE_NEWTIME)

int task_may_new_ns(const struct task *t, uint64_t flags)
{
	/* Who makes a user namespace holds all capabilities in it, and for what is made along with it. */
	if ((flags & CLONE_NEW_FLAGS) && !(flags & L_CLONE_NEWUSER) && !cred_own_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EPERM;
	return flags & NOT_HAD ? -EINVAL : 0;
}

/* Has its root moved away from the top of its namespace: chroot(2).  A new user namespace could undo that. */
static bool is_chrooted(struct task *t)
{
	struct path root, top;
	bool moved;

	fs_info_root(t->fs, &root);
	moved = !t->fs->ns || mnt_ns_top(t->fs->ns, &top) < 0;
	if (!moved) {
		moved = !path_equal(&root, &top);
		path_put(&top);
	}
	path_put(&root);
	return moved;
}

/* Credentials as t's, in a user namespace of their own. */
static int make_user_ns(struct task *t, struct cred **out)
{
	struct user_ns *u;
	struct cred *c;
	int r = is_chrooted(t) ? -EPERM : user_ns_new(t->cred, &u);

	if (r < 0)
		return r;
	c = cred_copy(t->cred, t->cred->group_count);
	if (c)
		cred_enter_user_ns(c, u);
	user_ns_put(u);
	*out = c;
	return c ? 0 : -ENOMEM;
}

/* For t's children; one at a time. */
static int make_pid_ns(struct task *t, struct user_ns *owner, struct ns **out)
{
	if (t->ns[NS_PID] != pid_ns_common(task_pid_ns(t)))
		return -EINVAL;
	return pid_ns_new(t->ns[NS_PID], owner, out);
}

/* Makes those that flags ask for, but a user and a mount namespace, for owner: made[kind] is counted, whatever the
 * result. */
static int make_new(struct task *t, struct user_ns *owner, uint64_t flags, struct ns *made[NS_KINDS])
{
	int r = 0;

	if (flags & L_CLONE_NEWUTS)
		r = uts_ns_copy(t->ns[NS_UTS], owner, &made[NS_UTS]);
	if (r == 0 && (flags & L_CLONE_NEWIPC))
		r = ipc_ns_new(t->cred, owner, &made[NS_IPC]);
	if (r == 0 && (flags & L_CLONE_NEWCGROUP))
		r = ns_new(NS_CGROUP, owner, &made[NS_CGROUP]); /* there is one group, which is the root of all */
	if (r == 0 && (flags & L_CLONE_NEWPID))
		r = make_pid_ns(t, owner, &made[NS_PID]);
	return r;
}

int task_inherit_ns(struct task *t, struct task *child, uint64_t flags)
{
	struct ns *made[NS_KINDS] = {NULL};
	struct cred *c = NULL;
	int r;

	for (int kind = 0; kind < NS_KINDS; kind++) {
		ns_put(child->ns[kind]);
		child->ns[kind] = t->ns[kind] ? ns_get(t->ns[kind]) : NULL;
	}
	r = flags & L_CLONE_NEWUSER ? make_user_ns(t, &c) : 0;
	if (r < 0)
		return r;
	if (c) {
		cred_put(child->cred);
		child->cred = c;
	}
	r = make_new(t, child->cred->user_ns, flags, made);
	for (int kind = 0; kind < NS_KINDS; kind++) {
		if (!made[kind])
			continue;
		ns_put(child->ns[kind]);
		child->ns[kind] = made[kind];
	}
	if (r == 0 && (flags & L_CLONE_NEWNS))
		r = mnt_ns_copy(t->fs->ns, child->cred->user_ns, child->fs);
	return r;
}

static struct ns *get_mnt_ns(struct task *t)
{
	struct fs_info *fs = task_get_fs(t);
	struct ns *ns;

	if (!fs)
		return NULL;
	mutex_lock(&fs->lock);
	ns = fs->ns ? ns_get(mnt_ns_common(fs->ns)) : NULL;
	mutex_unlock(&fs->lock);
	fs_info_put(fs);
	return ns;
}

static struct ns *get_user_ns(struct task *t)
{
	const struct cred *c = task_get_cred(t);
	struct ns *ns = ns_get(&c->user_ns->ns);

	cred_put(c);
	return ns;
}

static int tell_of_ids(struct process *p, void *arg) REQUIRES(tasks_lock)
{
	struct task *any = process_any_task(p);
	const struct cred *c;

	if (!any)
		return 0;
	c = task_get_cred(any); /* a process's threads are all in one */
	if (user_ns_within(c->user_ns, arg))
		process_ids_changed(p);
	cred_put(c);
	return 0;
}

void task_user_ns_changed(const struct user_ns *u)
{
	process_for_each(tell_of_ids, (void *)u);
}

struct ns *task_get_ns(struct task *t, enum ns_kind kind)
{
	if (kind == NS_MNT)
		return get_mnt_ns(t);
	if (kind == NS_USER)
		return get_user_ns(t);
	if (kind == NS_PID)
		return ns_get(pid_ns_common(task_pid_ns(t)));
	return task_get_children_ns(t, kind);
}

struct ns *task_get_children_ns(struct task *t, enum ns_kind kind)
{
	struct ns *ns;

	mutex_lock(&t->alloc_lock);
	ns = t->ns[kind] ? ns_get(t->ns[kind]) : NULL;
	mutex_unlock(&t->alloc_lock);
	return ns;
}

void task_drop_ns(struct task *t)
{
	struct ns *old[NS_KINDS];

	mutex_lock(&t->alloc_lock);
	for (int kind = 0; kind < NS_KINDS; kind++) {
		old[kind] = t->ns[kind];
		t->ns[kind] = NULL;
	}
	mutex_unlock(&t->alloc_lock);
	for (int kind = 0; kind < NS_KINDS; kind++)
		ns_put(old[kind]);
}

/* ns is consumed. */
static void replace_ns(struct task *t, struct ns *ns)
{
	struct ns *old;

	mutex_lock(&t->alloc_lock);
	old = t->ns[ns->kind];
	t->ns[ns->kind] = ns;
	mutex_unlock(&t->alloc_lock);
	ns_put(old);
}

/* ---- unshare ---- */

#define UNSHARE_FLAGS                                                                                                  \
	(CLONE_NEW_FLAGS | L_CLONE_THREAD | L_CLONE_FS | L_CLONE_SIGHAND | L_CLONE_VM | L_CLONE_FILES | L_CLONE_SYSVSEM)

static bool has_other_threads(struct task *t)
{
	bool others;

	mutex_lock(&tasks_lock);
	others = t->process->thread_count > 1;
	mutex_unlock(&tasks_lock);
	return others;
}

/* What cannot be taken apart any more can be asked for only by those who do not share it. */
static int check_unshare(struct task *t, uint64_t flags)
{
	if (flags & ~UNSHARE_FLAGS)
		return -EINVAL;
	if ((flags & (L_CLONE_THREAD | L_CLONE_SIGHAND | L_CLONE_VM)) && has_other_threads(t))
		return -EINVAL;
	if ((flags & (L_CLONE_SIGHAND | L_CLONE_VM)) && refcount_read(&t->sighand->refs) > 1)
		return -EINVAL;
	return 0;
}

/* What unsharing one thing takes along: unshare(2). */
static uint64_t implied(uint64_t flags)
{
	if (flags & L_CLONE_NEWUSER)
		flags |= L_CLONE_THREAD | L_CLONE_FS;
	if (flags & L_CLONE_VM)
		flags |= L_CLONE_SIGHAND;
	if (flags & L_CLONE_SIGHAND)
		flags |= L_CLONE_THREAD;
	if (flags & L_CLONE_NEWNS)
		flags |= L_CLONE_FS;
	return flags;
}

/* The parts made new, until all are there. */
struct parts {
	struct fs_info *fs;
	struct fdtable *files;
	struct ns *ns[NS_KINDS];
	struct cred *cred;
};

static void parts_put(struct parts *p)
{
	fs_info_put(p->fs);
	if (p->files)
		fdtable_put(p->files);
	for (int kind = 0; kind < NS_KINDS; kind++)
		ns_put(p->ns[kind]);
	cred_put(p->cred);
}

static int make_parts(struct task *t, uint64_t flags, struct parts *p)
{
	struct user_ns *owner;
	int r = 0;

	if ((flags & L_CLONE_FS) && ((flags & L_CLONE_NEWNS) || fs_info_shared(t->fs))) {
		p->fs = fs_info_copy(t->fs);
		if (!p->fs)
			return -ENOMEM;
	}
	if ((flags & L_CLONE_FILES) && fdtable_shared(t->files)) {
		r = fdtable_copy(t->files, &p->files);
		if (r < 0)
			return r;
	}
	if (flags & L_CLONE_NEWUSER) {
		r = make_user_ns(t, &p->cred);
		if (r < 0)
			return r;
	}
	owner = p->cred ? p->cred->user_ns : t->cred->user_ns;
	r = make_new(t, owner, flags, p->ns);
	if (r == 0 && (flags & L_CLONE_NEWNS))
		r = mnt_ns_copy(t->fs->ns, owner, p->fs);
	return r;
}

/* Gives t the new parts; p has the old ones afterwards. */
static void swap_parts(struct task *t, struct parts *p)
{
	struct parts old = {0};

	mutex_lock(&t->alloc_lock);
	if (p->fs) {
		old.fs = t->fs;
		t->fs = p->fs;
	}
	if (p->files) {
		old.files = t->files;
		t->files = p->files;
	}
	mutex_unlock(&t->alloc_lock);
	if (p->files)
		mm_leave_windows(t, false);
	for (int kind = 0; kind < NS_KINDS; kind++)
		if (p->ns[kind])
			replace_ns(t, p->ns[kind]);
	if (p->cred)
		task_set_cred(t, p->cred);
	*p = old;
}

int task_unshare(struct task *t, uint64_t flags)
{
	struct parts p = {0};
	int r;

	flags = implied(flags);
	r = check_unshare(t, flags);
	if (r == 0)
		r = task_may_new_ns(t, flags);
	if (r == 0)
		r = make_parts(t, flags, &p);
	if (r == 0) {
		if (flags & (L_CLONE_NEWIPC | L_CLONE_SYSVSEM))
			sem_undos_leave(t);
		swap_parts(t, &p);
	}
	parts_put(&p);
	mm_clean_windows(t);
	return r;
}

/* ---- setns ---- */

static int enter_user(struct task *t, struct user_ns *u)
{
	struct cred *c;

	if (u == t->cred->user_ns || has_other_threads(t) || fs_info_shared(t->fs))
		return -EINVAL;
	if (!cred_ns_capable(t->cred, u, L_CAP_SYS_ADMIN))
		return -EPERM;
	c = cred_copy(t->cred, t->cred->group_count);
	if (!c)
		return -ENOMEM;
	cred_enter_user_ns(c, u);
	task_set_cred(t, c);
	return 0;
}

static int enter_mnt(struct task *t, struct ns *ns)
{
	if (!cred_own_capable(t->cred, L_CAP_SYS_CHROOT))
		return -EPERM;
	if (fs_info_shared(t->fs))
		return -EINVAL;
	return mnt_ns_enter(mnt_ns_of(ns), t->fs);
}

int task_enter_ns(struct task *t, struct ns *ns)
{
	if (ns->kind == NS_USER)
		return enter_user(t, user_ns_of(ns));
	if (!cred_ns_capable(t->cred, ns->owner, L_CAP_SYS_ADMIN) || !cred_own_capable(t->cred, L_CAP_SYS_ADMIN))
		return -EPERM;
	switch (ns->kind) {
	case NS_MNT:
		return enter_mnt(t, ns);
	case NS_IPC:
		sem_undos_leave(t);
		break;
	case NS_PID: /* it is its children who will be there; nobody gets out of where he is */
		if (!pid_ns_within(ns, pid_ns_common(task_pid_ns(t))))
			return -EINVAL;
		break;
	case NS_TIME:
		if (has_other_threads(t))
			return -EUSERS;
		break;
	default:
		break;
	}
	replace_ns(t, ns_get(ns));
	return 0;
}
