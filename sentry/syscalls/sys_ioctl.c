/* ioctl: what means the same for every file is done here; the rest is the file's own. */
#include "abi/capability.h"
#include "abi/ioctl.h"
#include "base/checked.h"
#include "sentry/syscalls/file_owner.h"
#include "sentry/syscalls/fs_args.h"

static int set_nonblock(struct task *t, struct file *f, int fd, uint64_t arg)
{
	int32_t on;
	int r = copy_in(t->ctx, &on, arg, sizeof(on));

	return r < 0 ? r : file_set_flags(f, fd, on ? f->flags | L_O_NONBLOCK : f->flags & ~(uint32_t)L_O_NONBLOCK);
}

static int set_async(struct task *t, struct file *f, int fd, uint64_t arg)
{
	int32_t on;
	int r = copy_in(t->ctx, &on, arg, sizeof(on));

	return r < 0 ? r : file_set_async(f, fd, on != 0);
}

/* FIOSETOWN and its kin, of sockets alone. */
static long owner_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	int32_t who;
	int r;

	if (cmd == L_FIOGETOWN || cmd == L_SIOCGPGRP) {
		who = (int32_t)owner_get(t, f);
		return copy_out(t->ctx, arg, &who, sizeof(who));
	}
	r = copy_in(t->ctx, &who, arg, sizeof(who));
	return r < 0 ? r : owner_set(t, f, who);
}

/* Bytes from the position to the end. */
static int bytes_left(struct task *t, struct file *f, uint64_t arg)
{
	struct l_statx st = {0};
	int32_t n;
	int r = vfs_getattr(&f->path, &st);

	if (r < 0)
		return r;
	n = (int32_t)((int64_t)st.stx_size - file_position(f)); /* cut off, as Linux does */
	return copy_out(t->ctx, arg, &n, sizeof(n));
}

static int block_size(struct task *t, struct file *f, uint64_t arg)
{
	struct l_statfs st;
	int32_t n;
	int r = vfs_statfs(&f->path, &st);

	if (r < 0)
		return r;
	n = (int32_t)st.f_bsize;
	return copy_out(t->ctx, arg, &n, sizeof(n));
}

/* How much room the file takes, as Linux says for the kinds that can have quotas. */
static int room_taken(struct task *t, struct file *f, uint64_t arg)
{
	struct l_statx st = {0};
	int64_t bytes;
	int r;

	if (!inode_is(f->inode, L_S_IFREG) && !inode_is(f->inode, L_S_IFDIR))
		return -ENOTTY;
	r = vfs_getattr(&f->path, &st);
	if (r < 0)
		return r;
	bytes = (int64_t)st.stx_blocks * 512;
	return copy_out(t->ctx, arg, &bytes, sizeof(bytes));
}

/* What asks a file system for things that none here has. */
static long block_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case L_FIBMAP:
		return cred_capable(t->cred, L_CAP_SYS_RAWIO) ? -EINVAL : -EPERM;
	case L_FIFREEZE:
		return cred_capable(t->cred, L_CAP_SYS_ADMIN) ? -EOPNOTSUPP : -EPERM;
	case L_FITHAW:
		return cred_capable(t->cred, L_CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
	default: /* FIEMAP */
		return -EOPNOTSUPP;
	}
}

static long file_ioctl(struct task *t, struct file *f, int fd, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case L_FIOCLEX:
		return fd_set_cloexec(t->files, fd, true);
	case L_FIONCLEX:
		return fd_set_cloexec(t->files, fd, false);
	case L_FIONBIO:
		return set_nonblock(t, f, fd, arg);
	case L_FIOASYNC:
		return set_async(t, f, fd, arg);
	case L_FIONREAD:
		if (inode_is(f->inode, L_S_IFREG))
			return bytes_left(t, f, arg);
		break;
	case L_FIOSETOWN:
	case L_SIOCSPGRP:
	case L_FIOGETOWN:
	case L_SIOCGPGRP:
		if (inode_is(f->inode, L_S_IFSOCK))
			return owner_ioctl(t, f, cmd, arg);
		break;
	case L_FICLONE:
	case L_FICLONERANGE:
	case L_FIDEDUPERANGE:
		return share_ioctl(t, f, cmd, arg);
	case L_FIBMAP:
		if (!inode_is(f->inode, L_S_IFREG))
			break;
		return block_ioctl(t, f, cmd, arg);
	case L_FIFREEZE:
	case L_FITHAW:
	case L_FS_IOC_FIEMAP:
		return block_ioctl(t, f, cmd, arg);
	case L_FS_IOC_GETFLAGS:
	case L_FS_IOC_SETFLAGS:
	case L_FS_IOC_FSGETXATTR:
	case L_FS_IOC_FSSETXATTR:
		return inode_flags_ioctl(t, f, cmd, arg);
	case L_FIOQSIZE:
		return room_taken(t, f, arg);
	case L_FIGETBSZ:
		return block_size(t, f, arg);
	}
	return f->ops->ioctl ? f->ops->ioctl(f, t->ctx, cmd, arg) : -ENOTTY;
}

long sys_ioctl(struct task *t, const struct sys_args *args)
{
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = file_ioctl(t, f, (int)args->a[0], (unsigned)args->a[1], args->a[2]);
	file_put(f);
	return r;
}
