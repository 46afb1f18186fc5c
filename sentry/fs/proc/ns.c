/* /proc/PID/ns: the namespaces, as files of a file system of their own (namespaces(7), ioctl_ns(2)). */
#include <stdio.h>
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/task/namespaces.h"
#include "sentry/vfs/mount.h"

/* ---- the file system ---- */

static int ns_statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_frsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static const struct super_ops ns_super_ops = {.statfs = ns_statfs};

/* Made on first use, and never put. */
static struct super_block *nsfs_super(void)
{
	static struct mutex lock = MUTEX_INIT;
	static struct super_block *sb;
	struct super_block *found;

	mutex_lock(&lock);
	if (!sb)
		sb = super_new("nsfs", L_NSFS_MAGIC, &ns_super_ops, NULL);
	found = sb;
	mutex_unlock(&lock);
	return found;
}

/* ---- its files ---- */

/* What owns ns, unless that is above the caller's own: out of sight. */
static int open_owner(struct ns *ns)
{
	const struct task *self = task_current();
	struct user_ns *owner = ns->owner;

	return self && owner && user_ns_within(owner, self->cred->user_ns) ? ns_open(&owner->ns) : -EPERM;
}

static int open_pid_parent(struct ns *ns)
{
	const struct task *self = task_current();
	struct ns *parent = pid_ns_parent(ns);

	return self && parent && pid_ns_within(parent, pid_ns_common(task_pid_ns(self))) ? ns_open(parent) : -EPERM;
}

static int put_owner_uid(struct ns *ns, struct pctx *ctx, uint64_t arg)
{
	uint32_t uid;

	if (ns->kind != NS_USER)
		return -EINVAL;
	uid = cred_show_uid(task_current()->cred, user_ns_of(ns)->uid);
	return copy_out(ctx, arg, &uid, sizeof(uid));
}

static int put_id(const struct ns *ns, struct pctx *ctx, uint64_t arg)
{
	uint64_t id = ns_id(ns);

	return copy_out(ctx, arg, &id, sizeof(id));
}

/* A number in the PID namespace ns as the caller has it, or (in) the other way round. */
static int translate_pid(struct ns *ns, int nr, bool in, bool of_process)
{
	struct task *self = task_current(), *t;
	struct pid_ns *theirs, *to;
	int r;

	if (ns->kind != NS_PID)
		return -EINVAL;
	theirs = pid_ns_of(ns);
	to = in ? theirs : task_pid_ns(self);
	t = nr <= 0 ? NULL : in ? task_named(self, nr) : task_find(pid_named_in(theirs, nr));
	if (!t)
		return -ESRCH;
	r = of_process ? process_nr(t->process, to) : task_nr(t, to);
	task_put(t);
	return r ? r : -ESRCH;
}

/* What a longer struct has beyond ours stays as it was. */
static int put_mnt_info(struct ns *ns, struct pctx *ctx, uint64_t arg)
{
	struct l_mnt_ns_info info = {.size = sizeof(info), .mnt_ns_id = ns_id(ns)};

	if (ns->kind != NS_MNT || !arg)
		return -EINVAL;
	info.nr_mounts = mnt_ns_count(mnt_ns_of(ns));
	return copy_out(ctx, arg, &info, sizeof(info));
}

#define SIZE_BITS (0x3fffu << 16) /* of a command's number */

static bool is_mnt_info(unsigned cmd)
{
	return (cmd & ~SIZE_BITS) == (L_NS_MNT_GET_INFO & ~SIZE_BITS) && (cmd & SIZE_BITS) >> 16 >= sizeof(struct l_mnt_ns_info);
}

static long ns_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct ns *ns = inode_namespace(f->inode);

	switch (cmd) {
	case L_NS_GET_USERNS:
		return open_owner(ns);
	case L_NS_GET_PARENT:
		return ns->kind == NS_USER ? open_owner(ns) : ns->kind == NS_PID ? open_pid_parent(ns) : -EINVAL;
	case L_NS_GET_NSTYPE:
		return (long)ns_kind_flag(ns->kind);
	case L_NS_GET_OWNER_UID:
		return put_owner_uid(ns, ctx, arg);
	case L_NS_GET_MNTNS_ID:
		return ns->kind == NS_MNT ? put_id(ns, ctx, arg) : -EINVAL;
	case L_NS_GET_ID:
		return put_id(ns, ctx, arg);
	case L_NS_GET_PID_FROM_PIDNS:
	case L_NS_GET_TGID_FROM_PIDNS:
		return translate_pid(ns, (int)arg, false, cmd == L_NS_GET_TGID_FROM_PIDNS);
	case L_NS_GET_PID_IN_PIDNS:
	case L_NS_GET_TGID_IN_PIDNS:
		return translate_pid(ns, (int)arg, true, cmd == L_NS_GET_TGID_IN_PIDNS);
	default:
		return is_mnt_info(cmd) ? put_mnt_info(ns, ctx, arg) : -ENOTTY;
	}
}

static const struct file_ops ns_file_ops = {.ioctl = ns_ioctl};

static void ns_inode_release(struct inode *i)
{
	ns_put(i->priv);
}

static const struct inode_ops ns_inode_ops = {.release = ns_inode_release};

int ns_file_new(struct ns *ns, const struct cred *c, struct file **out)
{
	struct super_block *sb = nsfs_super();
	struct inode *i = sb ? inode_new(sb, L_S_IFREG | 0444, &ns_inode_ops, &ns_file_ops) : NULL;
	char label[40];
	int r;

	if (!i)
		return -ENOMEM;
	i->priv = ns_get(ns);
	i->ino = ns->ino;
	snprintf(label, sizeof(label), "%s:[%llu]", ns_kind_name(ns->kind), (unsigned long long)ns->ino);
	r = file_anonymous_on(label, i, &ns_file_ops, NULL, L_O_RDONLY, FILE_READ, c, out);
	inode_put(i);
	return r;
}

int ns_open(struct ns *ns)
{
	struct task *self = task_current();
	struct file *f;
	int r;

	if (!self)
		return -EPERM;
	r = ns_file_new(ns, self->cred, &f);
	if (r < 0)
		return r;
	return (int)task_install(self, f, true);
}

/* ---- /proc/PID/ns ---- */

#define FOR_CHILDREN 256u /* in an entry's value: not its own, but its children's */

static int follow_ns(const struct proc_ctx *c, struct path *out)
{
	enum ns_kind kind = (enum ns_kind)(c->node->entry->value & ~FOR_CHILDREN);
	bool for_children = (c->node->entry->value & FOR_CHILDREN) != 0;
	struct ns *ns = for_children ? task_get_children_ns(c->task, kind) : task_get_ns(c->task, kind);
	const struct cred *cred;
	struct file *f;
	int r;

	if (ns && for_children && kind == NS_PID && !pid_ns_has_begun(ns)) {
		ns_put(ns);
		ns = NULL;
	}
	if (!ns)
		return -ENOENT;
	cred = task_get_cred(c->task);
	r = ns_file_new(ns, cred, &f);
	cred_put(cred);
	ns_put(ns);
	if (r < 0)
		return r;
	*out = f->path;
	path_get(out);
	file_put(f);
	return 0;
}

#define NS(name, kind) PROC_MAGIC(name, follow_ns, .value = (kind))
static const struct proc_entry ns_entries[] = {
	NS("cgroup", NS_CGROUP), NS("ipc", NS_IPC),
	NS("mnt", NS_MNT),	 NS("net", NS_NET),
	NS("pid", NS_PID),	 NS("pid_for_children", FOR_CHILDREN | NS_PID),
	NS("time", NS_TIME),	 NS("time_for_children", FOR_CHILDREN | NS_TIME),
	NS("user", NS_USER),	 NS("uts", NS_UTS),
};
const struct proc_dir proc_ns_dir = {.entries = ns_entries, .count = ARRAY_SIZE(ns_entries)};
