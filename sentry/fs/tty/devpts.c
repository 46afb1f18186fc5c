/*
 * devpts, as Linux's filesystems/devpts describes it: a directory of the slaves, and ptmx, each open of which makes a new pair.
 * A slave's name is there as long as its master is open, its number is in use until both ends are closed.
 */
#include "sentry/fs/tty/devpts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/dirent.h"
#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/fs/common.h"
#include "sentry/fs/tty/pty.h"

#define PTMX_MAJOR 5
#define PTMX_MINOR 2
#define SLAVE_MAJOR 136
#define INO_PTMX 2
#define INO_SLAVES 3 /* and up, by number */
#define POS_PTMX 2   /* of a listing; the slaves come after it */
#define POS_SLAVES 3

struct devpts {
	struct devpts_options options; /* immutable */
	struct mutex lock;
	struct inode *ptmx; /* counted; immutable */
	/* Guarded by lock. */
	struct inode *slaves[PTY_MAX]; /* counted: those with a name */
	bool used[PTY_MAX];	       /* numbers */
};

static _Atomic unsigned pty_count;

unsigned devpts_count(void)
{
	return pty_count;
}

/* ---- slaves ---- */

static int slave_open(struct inode *i, struct file *f)
{
	return pty_open_slave(i->priv, f);
}

static void slave_release(struct inode *i)
{
	devpts_release_index(i->priv);
	pty_free(i->priv);
}

static const struct inode_ops slave_inode_ops = {.open = slave_open, .release = slave_release};

void devpts_release_index(struct pty *p)
{
	mutex_lock(&p->fs->lock);
	p->fs->used[p->index] = false;
	mutex_unlock(&p->fs->lock);
	pty_count--;
}

void devpts_remove(struct pty *p)
{
	struct inode *named;

	mutex_lock(&p->fs->lock);
	named = p->fs->slaves[p->index];
	p->fs->slaves[p->index] = NULL;
	mutex_unlock(&p->fs->lock);
	inode_put(named);
}

/* The lowest free number: -ENOSPC if there is none. */
static int take_index(struct devpts *d)
{
	int index = -ENOSPC;

	if (pty_count++ < PTY_MAX) {
		mutex_lock(&d->lock);
		for (unsigned n = 0; n < d->options.max && index < 0; n++)
			if (!d->used[n])
				index = (int)n;
		if (index >= 0)
			d->used[index] = true;
		mutex_unlock(&d->lock);
	}
	if (index < 0)
		pty_count--;
	return index;
}

static int new_slave(struct super_block *sb, const struct cred *c, struct pty **out)
{
	struct devpts *d = sb->priv;
	struct inode *i;
	int index = take_index(d), r;

	if (index < 0)
		return index;
	i = inode_new(sb, L_S_IFCHR | d->options.mode, &slave_inode_ops, NULL);
	r = i ? pty_new(i, d, (unsigned)index, out) : -ENOMEM;
	if (r < 0) {
		mutex_lock(&d->lock);
		d->used[index] = false;
		mutex_unlock(&d->lock);
		pty_count--;
		if (i)
			i->ops = NULL; /* there is no pty to release */
		inode_put(i);
		return r;
	}
	i->ino = INO_SLAVES + (uint64_t)index;
	i->rdev = l_makedev(SLAVE_MAJOR + (uint32_t)index / 256, (uint32_t)index % 256);
	i->uid = d->options.set_uid ? d->options.uid : c->fsuid;
	i->gid = d->options.set_gid ? d->options.gid : c->fsgid;
	mutex_lock(&d->lock);
	d->slaves[index] = inode_get(i);
	mutex_unlock(&d->lock);
	return 0;
}

/* ---- ptmx ---- */

static int ptmx_open(struct inode *i, struct file *f)
{
	struct pty *p;
	int r = new_slave(i->sb, f->cred, &p);

	if (r < 0)
		return r;
	pty_open_master(p, f);
	inode_put(p->tty.inode); /* the file has its own reference */
	return 0;
}

static const struct inode_ops ptmx_inode_ops = {.open = ptmx_open};

int devpts_open_peer(struct file *master, uint32_t flags, struct file **out)
{
	struct pty *p = master->priv;
	struct super_block *sb = p->tty.inode->sb;
	struct path path = {master->path.mnt, NULL};
	char name[16];
	int r, len = snprintf(name, sizeof(name), "%u", p->index);

	r = dentry_lookup(sb->root, name, (size_t)len, &path.dentry);
	if (r < 0)
		return r;
	r = dentry_inode(path.dentry) == p->tty.inode ? file_open_path(&path, flags, master->cred, out) : -EIO;
	dentry_put(path.dentry);
	return r;
}

/* ---- the directory ---- */

/* The number that name is, as it would be printed, or -1. */
static int parse_index(const char *name)
{
	unsigned n = 0;

	if (!*name || (name[0] == '0' && name[1]))
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		n = n * 10 + (unsigned)(*name - '0');
		if (n >= PTY_MAX)
			return -1;
	}
	return (int)n;
}

static int root_lookup(struct inode *dir, struct dentry *dentry)
{
	struct devpts *d = dir->sb->priv;
	const char *name = dentry_name(dentry);
	struct inode *i = NULL;
	int index = parse_index(name);

	if (!strcmp(name, "ptmx")) {
		i = inode_get(d->ptmx);
	} else if (index >= 0) {
		mutex_lock(&d->lock);
		if (d->slaves[index])
			i = inode_get(d->slaves[index]);
		mutex_unlock(&d->lock);
	}
	if (i)
		dentry_instantiate(dentry, i);
	return 0;
}

static bool has_slave(struct devpts *d, unsigned index)
{
	bool has;

	mutex_lock(&d->lock);
	has = d->slaves[index] != NULL;
	mutex_unlock(&d->lock);
	return has;
}

static int root_iterate(struct file *f, struct dir_context *dc)
{
	struct devpts *d = f->inode->sb->priv;

	if (!fs_emit_dots(f, dc))
		return 0;
	if (dc->pos == POS_PTMX) {
		if (!dc->emit(dc, "ptmx", 4, INO_PTMX, L_DT_CHR, POS_SLAVES))
			return 0;
		dc->pos = POS_SLAVES;
	}
	for (; dc->pos >= POS_SLAVES && dc->pos < POS_SLAVES + PTY_MAX; dc->pos++) {
		unsigned index = (unsigned)(dc->pos - POS_SLAVES);
		char name[16];

		if (has_slave(d, index) &&
		    !dc->emit(dc, name, (size_t)snprintf(name, sizeof(name), "%u", index), INO_SLAVES + index, L_DT_CHR,
			      dc->pos + 1))
			break;
	}
	return 0;
}

/* ptmx is an inode of this very file system, which it keeps alive: it goes with the root. */
static void root_release(struct inode *i)
{
	struct devpts *d = i->sb->priv;

	inode_put(d->ptmx);
}

static const struct inode_ops root_inode_ops = {.lookup = root_lookup, .release = root_release};
static const struct file_ops root_file_ops = {.iterate = root_iterate, .fsync = fs_fsync_nothing};

/* ---- the super block ---- */

static int statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_type = sb->magic;
	st->f_bsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static void show_options(struct super_block *sb, char *buf, size_t size)
{
	const struct devpts_options *o = &((struct devpts *)sb->priv)->options;
	char uid[24] = "", gid[24] = "", max[24] = "";

	if (o->set_uid)
		snprintf(uid, sizeof(uid), ",uid=%u", o->uid);
	if (o->set_gid)
		snprintf(gid, sizeof(gid), ",gid=%u", o->gid);
	if (o->max < PTY_MAX)
		snprintf(max, sizeof(max), ",max=%u", o->max);
	snprintf(buf, size, "%s%s,mode=%03o,ptmxmode=%03o%s", uid, gid, o->mode, o->ptmx_mode, max);
}

static void super_release(struct super_block *sb)
{
	struct devpts *d = sb->priv;

	mutex_destroy(&d->lock);
	free(d);
}

static const struct super_ops super_ops = {
	.statfs = statfs,
	.release = super_release,
	.show_options = show_options,
};

static int make_root(struct super_block *sb, struct devpts *d)
{
	struct inode *root = inode_new(sb, L_S_IFDIR | 0755, &root_inode_ops, &root_file_ops);

	if (!root)
		return -ENOMEM;
	root->nlink = 2;
	d->ptmx = inode_new(sb, L_S_IFCHR | d->options.ptmx_mode, &ptmx_inode_ops, NULL);
	if (!d->ptmx) {
		inode_put(root);
		return -ENOMEM;
	}
	d->ptmx->ino = INO_PTMX;
	d->ptmx->rdev = l_makedev(PTMX_MAJOR, PTMX_MINOR);
	sb->root = dentry_make_root(sb, root);
	return sb->root ? 0 : -ENOMEM;
}

int devpts_create(const struct devpts_options *o, struct super_block **out)
{
	struct devpts *d = calloc(1, sizeof(*d));
	struct super_block *sb;
	int r;

	if (!d)
		return -ENOMEM;
	d->options = *o;
	d->options.max = min_of(d->options.max, (uint32_t)PTY_MAX);
	mutex_init(&d->lock);
	sb = super_new("devpts", L_DEVPTS_SUPER_MAGIC, &super_ops, d);
	if (!sb) {
		mutex_destroy(&d->lock);
		free(d);
		return -ENOMEM;
	}
	sb->flags = SB_NO_CACHE; /* names come and go with the masters */
	r = make_root(sb, d);
	if (r < 0) {
		super_put(sb);
		return r;
	}
	*out = sb;
	return 0;
}
