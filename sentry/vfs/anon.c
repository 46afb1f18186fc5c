/* The file system of things without a name: pipes, sockets, eventfds and their like.  It is mounted nowhere. */
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/vfs/internal.h"

static int anon_statfs(struct super_block *sb, struct l_statfs *st)
{
	st->f_bsize = 4096;
	st->f_namelen = L_NAME_MAX;
	return 0;
}

static const struct super_ops anon_super_ops = {.statfs = anon_statfs};
/* Only a pipe can be opened once more, through /proc/PID/fd. */
static int anon_open(struct inode *i, struct file *f)
{
	return inode_is(i, L_S_IFIFO) ? fifo_open(i, f) : -ENXIO;
}

/* Pipes and sockets have attributes of their own; eventfds and the like share an inode on Linux, which nobody may
 * change. */
static int anon_setattr(struct inode *i, const struct iattr *a)
{
	if (a->valid & ATTR_SIZE)
		return -EINVAL;
	if (!inode_is(i, L_S_IFIFO) && !inode_is(i, L_S_IFSOCK))
		return -EOPNOTSUPP;
	inode_apply(i, a);
	return 0;
}

static const struct inode_ops anon_inode_ops = {.open = anon_open, .setattr = anon_setattr};

/* Made on first use, and never put. */
static struct super_block *anon_super(void)
{
	static struct mutex lock = MUTEX_INIT;
	static struct super_block *sb;
	struct super_block *found;

	mutex_lock(&lock);
	if (!sb)
		sb = super_new("anon_inodefs", L_ANON_INODE_FS_MAGIC, &anon_super_ops, NULL);
	found = sb;
	mutex_unlock(&lock);
	return found;
}

static int open_on(struct dentry *d, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode_bits,
		   const struct cred *c, struct file **out)
{
	struct file *f = file_new(&(struct path){NULL, d}, flags, c);

	if (!f)
		return -ENOMEM;
	f->ops = ops;
	f->priv = priv;
	f->mode = mode_bits;
	if (!(mode_bits & FILE_STREAM))
		f->mode |= FILE_PREAD;
	*out = f;
	return 0;
}

int file_anonymous(const char *name, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode_bits,
		   const struct cred *c, struct file **out)
{
	struct super_block *sb = anon_super();
	size_t len = strlen(name);
	bool numbered = len && name[len - 1] == ':';
	uint32_t mode = 0600;
	char full[64];
	struct inode *i;
	int r;

	if (!strcmp(name, "pipe:"))
		mode |= L_S_IFIFO;
	else if (!strcmp(name, "socket:"))
		mode = L_S_IFSOCK | 0777;
	i = sb ? inode_new(sb, mode, &anon_inode_ops, ops) : NULL;
	if (!i)
		return -ENOMEM;
	i->uid = c->fsuid;
	i->gid = c->fsgid;
	if (numbered)
		snprintf(full, sizeof(full), "%s[%llu]", name, (unsigned long long)i->ino);
	else
		snprintf(full, sizeof(full), "%s", name);
	r = file_anonymous_on(full, i, ops, priv, flags, mode_bits, c, out);
	inode_put(i);
	return r;
}

int file_anonymous_on(const char *name, struct inode *i, const struct file_ops *ops, void *priv, uint32_t flags,
		      uint32_t mode_bits, const struct cred *c, struct file **out)
{
	struct dentry *d = dentry_alloc(i->sb, NULL, name, strlen(name));
	int r;

	if (!d)
		return -ENOMEM;
	d->flags |= D_ANONYMOUS;
	dentry_instantiate(d, inode_get(i));
	r = open_on(d, ops, priv, flags, mode_bits, c, out);
	dentry_put(d);
	return r;
}

int file_anonymous_twin(struct file *of, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode_bits,
			const struct cred *c, struct file **out)
{
	return open_on(of->path.dentry, ops, priv, flags, mode_bits, c, out);
}
