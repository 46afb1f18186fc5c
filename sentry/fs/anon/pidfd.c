/*
 * pidfd_open(2): a file that stands for a process or a thread, whatever becomes of its number.
 *
 * The state is the inode's, so that a pidfd can be opened once more through /proc/PID/fd.  All pidfds of one process have the same
 * inode number, which is never used again: programs compare them by it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/pidfd.h"
#include "abi/poll.h"
#include "abi/wait.h"
#include "base/checked.h"
#include "sentry/fs/anon/anon.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/mm/mm.h"
#include "sentry/task/namespaces.h"
#include "sentry/task/pidns.h"
#include "sentry/task/task.h"
#include "sentry/task/tree.h"
#include "sentry/vfs/vfs.h"

struct pidfd {
	struct process *process; /* counted; immutable */
	struct task *thread;	 /* PIDFD_THREAD: counted; immutable; else NULL */
};

static const struct file_ops pidfd_ops;
static const struct inode_ops pidfd_inode_ops;

bool pidfd_file_is(const struct file *f)
{
	return f->ops == &pidfd_ops;
}

struct process *pidfd_process(const struct file *f)
{
	const struct pidfd *pf = f->priv;

	return pf->process;
}

struct task *pidfd_thread(const struct file *f)
{
	const struct pidfd *pf = f->priv;

	return pf->thread;
}

/* ---- what it says of its process ---- */

static bool is_reaped(const struct pidfd *pf) REQUIRES(tasks_lock)
{
	/* Nobody waits for a thread: it is reaped as it ends, but for the leader, whose number is the process's. */
	if (pf->thread && pf->thread->tid != pf->process->pid)
		return pf->thread->dead;
	return pf->process->reaped;
}

static bool has_ended(const struct pidfd *pf) REQUIRES(tasks_lock)
{
	return pf->process->zombie || (pf->thread && pf->thread->dead);
}

static uint32_t pidfd_poll(struct file *f, struct wait_entry *e)
{
	struct pidfd *pf = f->priv;
	uint32_t events = 0;

	if (e)
		waitqueue_add(&pf->process->pidfd_wq, e);
	mutex_lock(&tasks_lock);
	if (is_reaped(pf))
		events = L_POLLIN | L_POLLRDNORM | L_POLLHUP;
	else if (has_ended(pf))
		events = L_POLLIN | L_POLLRDNORM;
	mutex_unlock(&tasks_lock);
	return events;
}

/* In the reader's namespace, and in each below down to the process's own. */
static void pidfd_fdinfo(struct file *f, char *buf, size_t size)
{
	const struct pidfd *pf = f->priv;
	const struct pid_ns *ns = task_pid_ns(task_current());
	char numbers[PID_TEXT_MAX];
	bool reaped;

	mutex_lock(&tasks_lock);
	reaped = is_reaped(pf);
	if (pf->thread)
		pid_text(pf->thread->numbers, pf->thread->tid, ns, numbers);
	else
		pid_text(pf->process->numbers, pf->process->pid, ns, numbers);
	mutex_unlock(&tasks_lock);
	if (reaped)
		snprintf(buf, size, "Pid:\t-1\nNSpid:\t-1\n");
	else
		snprintf(buf, size, "Pid:\t%d\nNSpid:\t%s\n", atoi(numbers), numbers);
}

static void info_of_creds(struct task *t, struct l_pidfd_info *info)
{
	const struct cred *c = task_get_cred(t), *me = task_current()->cred;

	info->mask |= L_PIDFD_INFO_CREDS;
	info->ruid = cred_show_uid(me, c->uid);
	info->rgid = cred_show_gid(me, c->gid);
	info->euid = cred_show_uid(me, c->euid);
	info->egid = cred_show_gid(me, c->egid);
	info->suid = cred_show_uid(me, c->suid);
	info->sgid = cred_show_gid(me, c->sgid);
	info->fsuid = cred_show_uid(me, c->fsuid);
	info->fsgid = cred_show_gid(me, c->fsgid);
	cred_put(c);
}

/* How a core of t would be dumped; 0 for one without memory. */
static uint32_t core_dump_way(struct task *t)
{
	struct mm *mm = task_get_mm(t);

	if (!mm)
		return 0;
	mm_put(mm);
	return t->process->dumpable ? L_PIDFD_COREDUMP_USER : L_PIDFD_COREDUMP_SKIP;
}

static int read_info(const struct pidfd *pf, uint64_t asked, struct l_pidfd_info *info)
{
	const struct pid_ns *ns = task_pid_ns(task_current());
	struct process *p = pf->process;
	struct task *t = NULL;
	bool reaped;

	*info = (struct l_pidfd_info){.mask = L_PIDFD_INFO_CGROUPID, .cgroupid = 1};
	mutex_lock(&tasks_lock);
	reaped = is_reaped(pf);
	if (reaped) {
		info->exit_code = pf->thread ? pf->thread->exit_code : p->exit_status;
	} else {
		t = task_get(pf->thread ? pf->thread : process_any_task(p));
		info->mask |= L_PIDFD_INFO_PID;
		info->pid = (uint32_t)(pf->thread ? task_nr(pf->thread, ns) : process_nr(p, ns));
		info->tgid = (uint32_t)process_nr(p, ns);
		info->ppid = p->parent ? (uint32_t)process_nr(p->parent, ns) : 0;
	}
	mutex_unlock(&tasks_lock);
	if (asked & L_PIDFD_INFO_COREDUMP)
		info->mask |= L_PIDFD_INFO_COREDUMP;
	if (!reaped) {
		if (asked & L_PIDFD_INFO_COREDUMP)
			info->coredump_mask = core_dump_way(t);
		info_of_creds(t, info);
		task_put(t);
		return 0;
	}
	if (!(asked & L_PIDFD_INFO_EXIT))
		return -ESRCH;
	info->mask |= L_PIDFD_INFO_EXIT;
	return 0;
}

/* PIDFD_GET_INFO: the struct's size is part of the command, and may be an older or a newer program's. */
static long get_info(struct file *f, struct pctx *ctx, uint64_t size, uint64_t arg)
{
	struct l_pidfd_info info;
	uint64_t asked;
	uint8_t *out;
	int r;

	if (!arg)
		return -EINVAL;
	r = copy_in(ctx, &asked, arg, sizeof(asked));
	if (r == 0)
		r = read_info(f->priv, asked, &info);
	if (r < 0)
		return r;
	out = calloc(1, size); /* at most 16383: the command has 14 bits for it */
	if (!out)
		return -ENOMEM;
	memcpy(out, &info, min_of(size, (uint64_t)sizeof(info)));
	r = copy_out(ctx, arg, out, size);
	free(out);
	return r;
}

/* Those that /proc/PID/ns has. */
static struct ns *namespace_of(struct task *t, unsigned cmd)
{
	switch (cmd) {
	case L_PIDFD_GET_CGROUP_NAMESPACE:
		return task_get_ns(t, NS_CGROUP);
	case L_PIDFD_GET_IPC_NAMESPACE:
		return task_get_ns(t, NS_IPC);
	case L_PIDFD_GET_MNT_NAMESPACE:
		return task_get_ns(t, NS_MNT);
	case L_PIDFD_GET_NET_NAMESPACE:
		return task_get_ns(t, NS_NET);
	case L_PIDFD_GET_PID_NAMESPACE:
		return task_get_ns(t, NS_PID);
	case L_PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE:
		return task_get_children_ns(t, NS_PID);
	case L_PIDFD_GET_TIME_NAMESPACE:
		return task_get_ns(t, NS_TIME);
	case L_PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE:
		return task_get_children_ns(t, NS_TIME);
	case L_PIDFD_GET_USER_NAMESPACE:
		return task_get_ns(t, NS_USER);
	default:
		return task_get_ns(t, NS_UTS);
	}
}

static long open_namespace(struct task *t, unsigned cmd)
{
	struct ns *uts = task_get_ns(t, NS_UTS), *ns;
	int r = uts ? 0 : -ESRCH; /* it has let go of them all */

	ns_put(uts);
	if (r == 0)
		r = proc_may_access(t, task_current()->cred);
	if (r < 0)
		return r;
	ns = namespace_of(t, cmd);
	if (!ns)
		return -ESRCH;
	r = ns_open(ns);
	ns_put(ns);
	return r;
}

/* A descriptor of a namespace of what f stands for. */
static long get_namespace(struct file *f, unsigned cmd, uint64_t arg)
{
	struct pidfd *pf = f->priv;
	struct task *t = NULL;
	long r;

	mutex_lock(&tasks_lock);
	if (!is_reaped(pf))
		t = task_get(pf->thread ? pf->thread : process_any_task(pf->process));
	mutex_unlock(&tasks_lock);
	if (!t)
		return -ESRCH;
	r = arg ? -EINVAL : open_namespace(t, cmd);
	task_put(t);
	return r;
}

/* Processes are not numbered anew: there is one generation. */
static long get_version(struct pctx *ctx, uint64_t arg)
{
	uint32_t version = 0;

	return arg ? copy_out(ctx, arg, &version, sizeof(version)) : -EINVAL;
}

static long pidfd_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	if (cmd >= L_PIDFD_GET_CGROUP_NAMESPACE && cmd <= L_PIDFD_GET_UTS_NAMESPACE)
		return get_namespace(f, cmd, arg);
	if (cmd == L_FS_IOC_GETVERSION)
		return get_version(ctx, arg);
	if (L_IOC_TYPE(cmd) != L_PIDFD_IOC_TYPE || L_IOC_NR(cmd) != L_PIDFD_IOC_GET_INFO_NR ||
	    L_IOC_DIR(cmd) != (L_IOC_READ | L_IOC_WRITE) || L_IOC_SIZE(cmd) < L_PIDFD_INFO_SIZE_VER0)
		return -ENOTTY;
	return get_info(f, ctx, L_IOC_SIZE(cmd), arg);
}

/* ---- making them ---- */

static int64_t pidfd_lseek(struct file *f, int64_t off, int whence)
{
	return -ESPIPE;
}

static const struct file_ops pidfd_ops = {
	.lseek = pidfd_lseek,
	.poll = pidfd_poll,
	.ioctl = pidfd_ioctl,
	.fdinfo = pidfd_fdinfo,
};

static int pidfd_open_again(struct inode *i, struct file *f)
{
	f->ops = &pidfd_ops;
	f->priv = i->priv;
	return 0;
}

static void pidfd_release(struct inode *i)
{
	struct pidfd *pf = i->priv;

	task_put(pf->thread);
	process_put(pf->process);
	free(pf);
}

static const struct inode_ops pidfd_inode_ops = {
	.open = pidfd_open_again,
	.attr_fixed = true,
	.release = pidfd_release,
};

static int pidfs_statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_bsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static const struct super_ops pidfs_super_ops = {.statfs = pidfs_statfs};

/* Made on first use, and never put. */
static struct super_block *pidfs_super(void)
{
	static struct mutex lock = MUTEX_INIT;
	static struct super_block *sb;
	struct super_block *found;

	mutex_lock(&lock);
	if (!sb)
		sb = super_new("pidfs", L_PIDFS_MAGIC, &pidfs_super_ops, NULL);
	found = sb;
	mutex_unlock(&lock);
	return found;
}

/* The inode number of what pf stands for; fresh is used if it has none yet. */
static uint64_t number_of(struct pidfd *pf, uint64_t fresh)
{
	bool whole = !pf->thread || pf->thread->tid == pf->process->pid;
	uint64_t *ino = whole ? &pf->process->pidfd_ino : &pf->thread->pidfd_ino, found;

	mutex_lock(&tasks_lock);
	if (!*ino)
		*ino = fresh;
	found = *ino;
	mutex_unlock(&tasks_lock);
	return found;
}

int pidfd_file_new(struct process *p, struct task *thread, uint32_t flags, const struct cred *c, struct file **out)
{
	struct super_block *sb = pidfs_super();
	struct pidfd *pf = calloc(1, sizeof(*pf));
	struct inode *i = NULL;
	int r;

	if (sb && pf)
		i = inode_new(sb, 0700, &pidfd_inode_ops, &pidfd_ops);
	if (!i) {
		free(pf);
		return -ENOMEM;
	}
	pf->process = process_get(p);
	pf->thread = thread ? task_get(thread) : NULL;
	i->priv = pf;
	i->ino = number_of(pf, i->ino);
	r = file_anonymous_on("anon_inode:[pidfd]", i, &pidfd_ops, pf, L_O_RDWR | flags, FILE_READ | FILE_WRITE, c, out);
	inode_put(i);
	return r;
}
