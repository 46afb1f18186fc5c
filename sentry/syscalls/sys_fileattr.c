/*
 * Inode flags, as chattr(1) and lsattr(1) read and write them: ioctl_iflags(2), the same in the words of XFS
 * (FS_IOC_FSSETXATTR), and file_getattr(2).  What of the latter is no inode flag (extent sizes, projects) no file
 * system here can do.
 */
#include <string.h>

#include "abi/ioctl.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"

#define OTHER_FL 0x1 /* stands for whatever has no flag that an inode keeps */

static const struct {
	uint32_t flag, xflag;
} names[] = {
	{L_FS_IMMUTABLE_FL, L_FS_XFLAG_IMMUTABLE},
	{L_FS_APPEND_FL, L_FS_XFLAG_APPEND},
	{L_FS_NODUMP_FL, L_FS_XFLAG_NODUMP},
	{L_FS_NOATIME_FL, L_FS_XFLAG_NOATIME},
};

static int get_xattr(const struct path *p, struct l_fsxattr *out)
{
	uint32_t flags;
	int r = vfs_get_inode_flags(p, &flags);

	*out = (struct l_fsxattr){0};
	for (size_t n = 0; r == 0 && n < ARRAY_SIZE(names); n++)
		if (flags & names[n].flag)
			out->fsx_xflags |= names[n].xflag;
	return r;
}

/* What sets nothing: what is only told, and hints of a size that is 0. */
static uint32_t without_void(const struct l_fsxattr *x)
{
	uint32_t xflags = x->fsx_xflags & ~(L_FS_XFLAG_PREALLOC | L_FS_XFLAG_HASATTR);

	if (!x->fsx_extsize)
		xflags &= ~(uint32_t)(L_FS_XFLAG_EXTSIZE | L_FS_XFLAG_EXTSZINHERIT);
	if (!x->fsx_cowextsize)
		xflags &= ~(uint32_t)L_FS_XFLAG_COWEXTSIZE;
	return xflags;
}

/* The size hints are for a directory's files, or for a file. */
static bool hints_fit(const struct path *p, const struct l_fsxattr *x)
{
	bool dir = inode_is(dentry_inode(p->dentry), L_S_IFDIR);

	return !(x->fsx_xflags & (dir ? L_FS_XFLAG_EXTSIZE : L_FS_XFLAG_EXTSZINHERIT));
}

static int set_xattr(struct task *t, const struct path *p, const struct l_fsxattr *x)
{
	uint32_t left = without_void(x), flags = 0;
	int r;

	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		if (left & names[n].xflag)
			flags |= names[n].flag;
		left &= ~names[n].xflag;
	}
	if (left || x->fsx_extsize || x->fsx_cowextsize || x->fsx_projid || !hints_fit(p, x))
		flags |= OTHER_FL;
	r = vfs_set_inode_flags(p, flags, t->cred);
	return r == -EOPNOTSUPP && !hints_fit(p, x) ? -EINVAL : r;
}

/* ---- ioctl ---- */

long inode_flags_ioctl(struct task *t, struct file *f, unsigned cmd, gva_t arg)
{
	struct l_fsxattr x;
	uint32_t flags;
	int r;

	switch (cmd) {
	case L_FS_IOC_GETFLAGS:
		r = vfs_get_inode_flags(&f->path, &flags);
		return r < 0 ? r : copy_out(t->ctx, arg, &flags, sizeof(flags));
	case L_FS_IOC_SETFLAGS:
		r = copy_in(t->ctx, &flags, arg, sizeof(flags));
		return r < 0 ? r : vfs_set_inode_flags(&f->path, flags, t->cred);
	case L_FS_IOC_FSGETXATTR:
		r = get_xattr(&f->path, &x);
		return r < 0 ? r : copy_out(t->ctx, arg, &x, sizeof(x));
	case L_FS_IOC_FSSETXATTR:
		r = copy_in(t->ctx, &x, arg, sizeof(x));
		return r < 0 ? r : set_xattr(t, &f->path, &x);
	}
	return -ENOTTY;
}

/* ---- file_getattr(2), file_setattr(2) ---- */

/* dirfd, path and at_flags of both calls. */
static int resolve(struct task *t, const struct sys_args *args, struct path *out)
{
	return arg_resolve_at(t, args->a[0], args->a[1], (unsigned)args->a[4], out);
}

static int check_arguments(const struct sys_args *args)
{
	if ((unsigned)args->a[4] & ~(unsigned)(L_AT_SYMLINK_NOFOLLOW | L_AT_EMPTY_PATH))
		return -EINVAL;
	if (args->a[3] > PAGE_SIZE)
		return -E2BIG;
	return args->a[3] < L_FILE_ATTR_SIZE_VER0 ? -EINVAL : 0;
}

/* The caller's structure may be a later one, of which the rest is 0. */
static int put_attr(struct task *t, uint64_t gva, uint64_t size, const struct l_file_attr *attr)
{
	uint8_t buf[PAGE_SIZE] = {0};

	memcpy(buf, attr, sizeof(*attr));
	return copy_out(t->ctx, gva, buf, size);
}

long sys_file_getattr(struct task *t, const struct sys_args *args)
{
	struct l_file_attr attr = {0};
	struct l_fsxattr x;
	struct path p;
	int r = check_arguments(args);

	if (r == 0)
		r = resolve(t, args, &p);
	if (r < 0)
		return r;
	r = get_xattr(&p, &x);
	path_put(&p);
	if (r < 0)
		return r == -ENOTTY ? -EOPNOTSUPP : r;
	attr.fa_xflags = x.fsx_xflags;
	return put_attr(t, args->a[2], args->a[3], &attr);
}

long sys_file_setattr(struct task *t, const struct sys_args *args)
{
	struct l_file_attr attr;
	struct l_fsxattr x;
	struct path p;
	int r = check_arguments(args);

	if (r == 0)
		r = arg_struct(t, args->a[2], args->a[3], L_FILE_ATTR_SIZE_VER0, &attr, sizeof(attr));
	if (r == 0 && (attr.fa_xflags & ~L_FS_XFLAGS_ALL))
		r = -EINVAL;
	if (r == 0)
		r = resolve(t, args, &p);
	if (r < 0)
		return r;
	x = (struct l_fsxattr){
		.fsx_xflags = (uint32_t)attr.fa_xflags,
		.fsx_extsize = attr.fa_extsize,
		.fsx_projid = attr.fa_projid,
		.fsx_cowextsize = attr.fa_cowextsize,
	};
	r = set_xattr(t, &p, &x);
	path_put(&p);
	return r == -ENOTTY ? -EOPNOTSUPP : r;
}
