/* Attributes, link texts and extended attributes of overlay inodes: their own once changed, the lower's before. */
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/overlay/internal.h"

int ovl_getattr(struct inode *i, struct l_statx *st)
{
	if (inode_is(i, L_S_IFREG) && ovl_of(i)->copied_up) {
		mutex_lock(&i->lock);
		memfile_refresh(i, &ovl_of(i)->mem.file);
		mutex_unlock(&i->lock);
	}
	inode_generic_stat(i, st);
	return 0;
}

int ovl_setattr(struct inode *i, const struct iattr *a)
{
	struct ovl_inode *o = ovl_of(i);

	if (a->valid & ATTR_SIZE) {
		int r = ovl_copy_up(i, a->size > 0);

		if (r == 0)
			r = memfile_truncate(i, &o->mem.file, a->size);
		if (r < 0)
			return r;
	}
	inode_apply(i, a);
	o->own_attrs = true;
	ovl_pin(i);
	return 0;
}

int ovl_readlink(struct inode *i, char **out)
{
	struct ovl_inode *o = ovl_of(i);

	if (o->lower)
		return o->lower->ops->readlink(o->lower, out);
	*out = strdup(o->mem.target);
	return *out ? 0 : -ENOMEM;
}

ssize_t ovl_getxattr(struct inode *i, const char *name, void *buf, size_t size)
{
	struct ovl_inode *o = ovl_of(i);

	if (o->own_xattrs)
		return memxattr_get(i, &o->mem.xattrs, name, buf, size);
	/* The lower shows those of users alone; of the others it has none. */
	if (o->lower->ops->getxattr && !strncmp(name, "user.", 5))
		return o->lower->ops->getxattr(o->lower, name, buf, size);
	return memxattr_get(i, &o->mem.xattrs, name, buf, size);
}

ssize_t ovl_listxattr(struct inode *i, char *buf, size_t size)
{
	struct ovl_inode *o = ovl_of(i);

	if (o->own_xattrs)
		return memxattr_list(i, &o->mem.xattrs, buf, size);
	return o->lower->ops->listxattr ? o->lower->ops->listxattr(o->lower, buf, size) : 0;
}

int ovl_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags)
{
	int r = ovl_own_xattrs(i);

	return r < 0 ? r : memxattr_set(i, &ovl_of(i)->mem.xattrs, name, value, size, flags);
}

int ovl_removexattr(struct inode *i, const char *name)
{
	int r = ovl_own_xattrs(i);

	return r < 0 ? r : memxattr_remove(i, &ovl_of(i)->mem.xattrs, name);
}

const struct inode_ops ovl_symlink_ops = {
	.readlink = ovl_readlink,
	OVL_ATTR_OPS,
};
const struct inode_ops ovl_special_ops = {
	OVL_ATTR_OPS,
};
