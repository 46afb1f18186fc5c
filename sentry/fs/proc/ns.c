/*
 * /proc/PID/ns: the namespaces, as files of a file system of their own (namespaces(7), ioctl_ns(2)).  There is one of each
 * kind, with the number that Linux gives the first.
 */
#include <stdlib.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/resource.h"
#include "abi/sched.h"
#include "sentry/fs/proc/internal.h"

static const struct namespace {
	const char *label;
	uint64_t ino, type; /* type: L_CLONE_NEW* */
} namespaces[] = {
	[PROC_NS_TIME] = {"time:[4026531834]", 4026531834, L_CLONE_NEWTIME},
	[PROC_NS_CGROUP] = {"cgroup:[4026531835]", 4026531835, L_CLONE_NEWCGROUP},
	[PROC_NS_IPC] = {"ipc:[4026531839]", 4026531839, L_CLONE_NEWIPC},
	[PROC_NS_MNT] = {"mnt:[4026531832]", 4026531832, L_CLONE_NEWNS},
	[PROC_NS_NET] = {"net:[4026531833]", 4026531833, L_CLONE_NEWNET},
	[PROC_NS_PID] = {"pid:[4026531836]", 4026531836, L_CLONE_NEWPID},
	[PROC_NS_USER] = {"user:[4026531837]", 4026531837, L_CLONE_NEWUSER},
	[PROC_NS_UTS] = {"uts:[4026531838]", 4026531838, L_CLONE_NEWUTS},
};

static struct mutex lock = MUTEX_INIT;
static struct file *ns_files[ARRAY_SIZE(namespaces)]; /* made on first use and never put; guarded by lock */

static const struct namespace *namespace_of(const struct file *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (namespaces[i].ino == f->inode->ino)
			return &namespaces[i];
	return NULL;
}

/* A descriptor of the user namespace that owns the others. */
static long open_owner(void)
{
	struct task *self = task_current();
	struct path p;
	struct file *f;
	int r;

	if (!self)
		return -EPERM;
	r = proc_ns_path(PROC_NS_USER, &p);
	if (r < 0)
		return r;
	r = file_open_path(&p, L_O_RDONLY, self->cred, &f);
	path_put(&p);
	if (r < 0)
		return r;
	r = fd_install(self->files, f, 0, (int)process_rlimit(self->process, L_RLIMIT_NOFILE), true);
	if (r < 0)
		file_put(f);
	return r;
}

static long ns_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	const struct namespace *ns = namespace_of(f);
	uint32_t owner = 0;

	switch (cmd) {
	case L_NS_GET_USERNS:
		return ns->type == L_CLONE_NEWUSER ? -EPERM : open_owner(); /* the first one's is out of sight */
	case L_NS_GET_PARENT:
		return ns->type == L_CLONE_NEWUSER || ns->type == L_CLONE_NEWPID ? -EPERM : -EINVAL;
	case L_NS_GET_NSTYPE:
		return (long)ns->type;
	case L_NS_GET_OWNER_UID:
		return ns->type == L_CLONE_NEWUSER ? copy_out(ctx, arg, &owner, sizeof(owner)) : -EINVAL;
	default:
		return -ENOTTY;
	}
}

static const struct file_ops ns_file_ops = {.ioctl = ns_ioctl};
static const struct inode_ops ns_inode_ops = {0};

static int ns_statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_frsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static const struct super_ops ns_super_ops = {.statfs = ns_statfs};

/* All of ns_files; lock held. */
static int make_files(void)
{
	struct super_block *sb = super_new("nsfs", L_NSFS_MAGIC, &ns_super_ops, NULL);
	const struct cred *c = cred_new(0, 0, NULL, 0);
	int r = sb && c ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(namespaces); i++) {
		struct inode *inode;

		if (ns_files[i])
			continue;
		inode = inode_new(sb, L_S_IFREG | 0444, &ns_inode_ops, &ns_file_ops);
		if (!inode) {
			r = -ENOMEM;
			break;
		}
		inode->ino = namespaces[i].ino;
		r = file_anonymous_on(namespaces[i].label, inode, &ns_file_ops, NULL, L_O_RDONLY, FILE_READ, c,
				      &ns_files[i]);
		inode_put(inode);
	}
	cred_put(c);
	if (r < 0 && sb && !ns_files[0])
		super_put(sb);
	return r;
}

int proc_ns_path(enum proc_ns kind, struct path *out)
{
	int r;

	mutex_lock(&lock);
	r = ns_files[kind] ? 0 : make_files();
	if (r == 0) {
		*out = ns_files[kind]->path;
		path_get(out);
	}
	mutex_unlock(&lock);
	return r;
}

static int follow_ns(const struct proc_ctx *c, struct path *out)
{
	return proc_ns_path((enum proc_ns)c->node->entry->value, out);
}

#define NS(name, kind) PROC_MAGIC(name, follow_ns, .value = (kind))
static const struct proc_entry ns_entries[] = {
	NS("cgroup", PROC_NS_CGROUP),
	NS("ipc", PROC_NS_IPC),
	NS("mnt", PROC_NS_MNT),
	NS("net", PROC_NS_NET),
	NS("pid", PROC_NS_PID),
	NS("pid_for_children", PROC_NS_PID),
	NS("time", PROC_NS_TIME),
	NS("time_for_children", PROC_NS_TIME),
	NS("user", PROC_NS_USER),
	NS("uts", PROC_NS_UTS),
};
const struct proc_dir proc_ns_dir = {.entries = ns_entries, .count = ARRAY_SIZE(ns_entries)};
