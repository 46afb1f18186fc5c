/* The mqueue file system: one flat directory, /dev/mqueue by custom; and the limits of what may be made in it. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/common.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/tmpfs/memdir.h"
#include "sentry/fs/tmpfs/meminode.h"
#include "sentry/ipc/ipc_ns.h"
#include "sentry/task/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/notify.h"

#define STATUS_SIZE 80	 /* what stat(2) says of a queue */
#define DIRENT_SIZE 20	 /* and what an entry adds to the directory */
#define MESSAGE_COST 48	 /* RLIMIT_MSGQUEUE counts so much beside each message's bytes, */
#define PRIORITY_COST 48 /* and so much for each priority there may be: getrlimit(2) */

static struct mutex charges_lock =
	MUTEX_INIT; /* a leaf; guards the list, and each file system's count of queues (sb->priv) */
static struct list_head charges = LIST_HEAD_INIT(charges); /* of mq_charge.node */

/* ---- limits ---- */

static int check_attr(const struct l_mq_attr *a, bool privileged)
{
	int64_t max = privileged ? MQ_HARD_MSG_MAX : MQ_MSG_MAX,
		size = privileged ? MQ_HARD_MSGSIZE_MAX : MQ_MSGSIZE_MAX;

	return a->mq_maxmsg <= 0 || a->mq_msgsize <= 0 || a->mq_maxmsg > max || a->mq_msgsize > size ? -EINVAL : 0;
}

static uint64_t cost_of(const struct l_mq_attr *a)
{
	uint64_t messages = (uint64_t)a->mq_maxmsg;

	return messages * ((uint64_t)a->mq_msgsize + MESSAGE_COST) +
	       min_of(messages, (uint64_t)MQ_PRIO_MAX) * PRIORITY_COST;
}

static int charge(struct mq_charge *c, uint64_t limit, bool privileged)
{
	uint64_t sum = c->bytes, all = c->bytes;
	const struct mq_charge *o;
	int r = 0;

	mutex_lock(&charges_lock);
	list_for_each_entry (o, &charges, node) {
		all += o->bytes;
		if (o->uid == c->uid)
			sum += o->bytes;
	}
	if (*c->queues >= (privileged ? MQ_HARD_QUEUES_MAX : MQ_QUEUES_MAX))
		r = -ENOSPC;
	else if (sum > limit || all > MQ_HARD_BYTES)
		r = -EMFILE;
	if (r == 0) {
		list_add_tail(&c->node, &charges);
		(*c->queues)++;
	}
	mutex_unlock(&charges_lock);
	return r;
}

static void uncharge(struct mq_charge *c)
{
	mutex_lock(&charges_lock);
	list_del_init(&c->node);
	(*c->queues)--;
	mutex_unlock(&charges_lock);
}

/* ---- queues ---- */

static void queue_release(struct inode *i)
{
	struct mqueue *q = i->priv;

	if (q) {
		uncharge(mqueue_charge(q));
		mqueue_free(q);
	}
}

static const struct inode_ops queue_inode_ops = {.release = queue_release};

/* A charged queue of sb for t; NULL attributes: the defaults. */
static int new_queue(struct super_block *sb, struct task *t, const struct cred *c, const struct l_mq_attr *attr,
		     struct mqueue **out)
{
	static const struct l_mq_attr defaults = {.mq_maxmsg = MQ_MSG_DEFAULT, .mq_msgsize = MQ_MSGSIZE_DEFAULT};
	bool privileged = cred_capable(c, L_CAP_SYS_RESOURCE);
	uint64_t limit = t ? process_rlimit(t->process, L_RLIMIT_MSGQUEUE) : 0;
	int r = attr ? check_attr(attr, privileged) : 0;
	struct mqueue *q;

	if (r < 0)
		return r;
	attr = attr ? attr : &defaults;
	q = mqueue_new(attr->mq_maxmsg, attr->mq_msgsize);
	if (!q)
		return -ENOMEM;
	*mqueue_charge(q) = (struct mq_charge){.uid = c->uid, .bytes = cost_of(attr), .queues = sb->priv};
	r = charge(mqueue_charge(q), limit, privileged);
	if (r < 0) {
		mqueue_free(q);
		return r;
	}
	*out = q;
	return 0;
}

/* ---- the directory ---- */

static int lookup(struct inode *dir, struct dentry *d)
{
	const struct memdir_entry *e;

	if (strlen(dentry_name(d)) > L_NAME_MAX)
		return -ENAMETOOLONG;
	e = memdir_find(dir->priv, dentry_name(d));
	if (e)
		dentry_instantiate(d, inode_get(e->inode));
	return 0;
}

static void directory_changed(struct inode *dir, int64_t growth)
{
	dir->size += (uint64_t)growth;
	inode_touch(dir, ATTR_MTIME);
	inode_touch(dir, ATTR_ATIME);
}

/* dir's lock is held. */
static int create_with(struct inode *dir, struct dentry *d, uint32_t mode, const struct l_mq_attr *attr,
		       const struct cred *c)
{
	struct inode *i = inode_new(dir->sb, mode, &queue_inode_ops, &mqueue_file_ops);
	struct mqueue *q;
	int r;

	if (!i)
		return -ENOMEM;
	i->priv = NULL;
	r = new_queue(dir->sb, task_current(), c, attr, &q);
	if (r == 0) {
		i->priv = q;
		i->size = STATUS_SIZE;
		inode_init_owner(i, dir, mode, c);
		r = memdir_add(dir->priv, dentry_name(d), inode_get(i));
		if (r < 0)
			inode_put(i); /* the entry's */
	}
	if (r < 0) {
		inode_put(i);
		return r;
	}
	directory_changed(dir, DIRENT_SIZE);
	dentry_instantiate(d, i);
	return 0;
}

static int create(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c)
{
	return create_with(dir, d, mode, NULL, c);
}

static int remove_name(struct inode *dir, struct dentry *d)
{
	mem_unlink_inode(dentry_inode(d));
	memdir_remove(dir->priv, memdir_find(dir->priv, dentry_name(d)));
	directory_changed(dir, -DIRENT_SIZE);
	return 0;
}

static int iterate(struct file *f, struct dir_context *dc)
{
	struct inode *dir = f->inode;

	if (!fs_emit_dots(f, dc))
		return 0;
	mutex_lock(&dir->lock);
	if (mem_dir_emit(dir->priv, f, dc, 0))
		fs_touch_atime(dir, f);
	mutex_unlock(&dir->lock);
	return 0;
}

static void dir_release(struct inode *dir)
{
	memdir_destroy(dir->priv);
	free(dir->priv);
}

static const struct inode_ops dir_inode_ops = {
	.lookup = lookup,
	.create = create,
	.unlink = remove_name,
	.release = dir_release,
};
static const struct file_ops dir_file_ops = {.iterate = iterate, .fsync = fs_fsync_nothing};

/* ---- the super block ---- */

static int statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static void super_release(struct super_block *sb)
{
	free(sb->priv);
}

static const struct super_ops super_ops = {.statfs = statfs, .release = super_release};

static struct inode *make_root(struct ipc_ns *ns, struct super_block *sb)
{
	struct inode *root = inode_new(sb, L_S_IFDIR | 01777, &dir_inode_ops, &dir_file_ops);

	if (!root)
		return NULL;
	root->priv = calloc(1, sizeof(struct memdir));
	if (!root->priv) {
		root->ops = NULL; /* there is nothing to release */
		inode_put(root);
		return NULL;
	}
	memdir_init(root->priv);
	root->uid = ns->uid;
	root->gid = ns->gid;
	root->nlink = 2;
	root->size = 2 * DIRENT_SIZE;
	return root;
}

static int make_super(struct ipc_ns *ns, struct super_block **out)
{
	unsigned *queues = calloc(1, sizeof(*queues));
	struct super_block *sb = queues ? super_new("mqueue", L_MQUEUE_MAGIC, &super_ops, queues) : NULL;
	struct inode *root;

	if (!sb) {
		free(queues);
		return -ENOMEM;
	}
	user_ns_put(sb->user_ns);
	sb->user_ns = user_ns_get(ns->ns.owner);
	root = make_root(ns, sb);
	sb->root = root ? dentry_make_root(sb, root) : NULL;
	if (!sb->root) {
		super_put(sb);
		return -ENOMEM;
	}
	*out = sb;
	return 0;
}

/* The file system of ns and a mount of it that is in no tree.  Made on first use; the namespace puts it. */
static int the_root(struct ipc_ns *ns, struct path *out)
{
	struct super_block *sb;
	int r = 0;

	mutex_lock(&ns->mqueue_lock);
	if (!ns->mqueue_root.mnt) {
		r = make_super(ns, &sb);
		if (r == 0)
			r = vfs_mount(NULL, sb, NULL, 0, "mqueue", &ns->mqueue_root);
	}
	*out = ns->mqueue_root;
	mutex_unlock(&ns->mqueue_lock);
	return r;
}

int mqueuefs_get(struct ipc_ns *ns, struct super_block **out)
{
	struct path root;
	int r = the_root(ns, &root);

	if (r == 0)
		*out = super_get(dentry_inode(root.dentry)->sb);
	return r;
}

/* ---- mq_open and mq_unlink ---- */

static int check_name(const char *name)
{
	return !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EACCES : 0;
}

/* Makes a queue of the name d, unless somebody was faster: -EAGAIN. */
static int make_named(struct task *t, const struct path *root, struct dentry *d, uint32_t mode,
		      const struct l_mq_attr *attr)
{
	struct inode *dir = dentry_inode(root->dentry);
	uint32_t umask;
	int r = vfs_knows(root, t->cred) ? vfs_permission(root, MAY_WRITE | MAY_EXEC, t->cred) : -EOVERFLOW;

	if (r < 0)
		return r;
	mutex_lock(&t->fs->lock);
	umask = t->fs->umask;
	mutex_unlock(&t->fs->lock);
	mutex_lock(&dir->lock);
	if (dentry_inode(d) || dentry_is_unlinked(d))
		r = -EAGAIN;
	else
		r = create_with(dir, d, L_S_IFREG | (mode & L_S_IALLUGO & ~umask), attr, t->cred);
	if (r == 0)
		notify_name(dir, dentry_name(d), false, L_IN_CREATE);
	mutex_unlock(&dir->lock);
	return r;
}

static unsigned access_of(uint32_t flags)
{
	switch (flags & L_O_ACCMODE) {
	case L_O_RDONLY:
		return MAY_READ;
	case L_O_WRONLY:
		return MAY_WRITE;
	default:
		return MAY_READ | MAY_WRITE;
	}
}

static int open_once(struct task *t, const struct path *root, const char *name, uint32_t flags, uint32_t mode,
		     const struct l_mq_attr *attr, struct file **out)
{
	struct path p = {root->mnt, NULL};
	int r = dentry_lookup(root->dentry, name, strlen(name), &p.dentry);

	if (r < 0)
		return r;
	if (!dentry_inode(p.dentry))
		r = flags & L_O_CREAT ? make_named(t, root, p.dentry, mode, attr) : -ENOENT;
	else if ((flags & (L_O_CREAT | L_O_EXCL)) == (L_O_CREAT | L_O_EXCL))
		r = -EEXIST;
	else
		r = vfs_permission(&p, access_of(flags), t->cred);
	if (r == 0)
		r = file_open_path(&p, flags & (L_O_ACCMODE | L_O_NONBLOCK), t->cred, out);
	dentry_put(p.dentry);
	return r;
}

int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode, const struct l_mq_attr *attr,
		struct file **out)
{
	struct path root;
	int r = the_root(task_ipc_ns(t), &root);

	if (r == 0)
		r = check_name(name);
	if (r == 0 && (flags & L_O_ACCMODE) == L_O_ACCMODE)
		r = -EINVAL;
	if (r < 0)
		return r;
	do
		r = open_once(t, &root, name, flags, mode, attr, out);
	while (r == -EAGAIN);
	return r;
}

int mqueue_unlink(struct task *t, const char *name)
{
	struct lookup l = task_lookup(t);
	struct path root;
	int r = the_root(task_ipc_ns(t), &root);

	if (r == 0)
		r = check_name(name);
	if (r < 0)
		return r;
	l.fs = fs_info_new(&root);
	if (!l.fs)
		return -ENOMEM;
	r = vfs_unlink(&l, L_AT_FDCWD, name);
	fs_info_put(l.fs);
	return r;
}
