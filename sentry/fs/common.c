/* Helpers of the file systems.  See common.h. */
#include "sentry/fs/common.h"

#include "abi/dirent.h"
#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/signal.h"
#include "sentry/task/task.h"
#include "sentry/vfs/mount.h"

#define RELATIME_S (24 * 60 * 60)

static bool not_after(const struct l_timespec *a, const struct l_timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

/* Whether a read of i by f at now leaves its time behind. */
static bool atime_is_due(const struct inode *i, const struct file *f, const struct l_timespec *now)
{
	unsigned flags = mount_flags(f->path.mnt);

	if ((i->iflags & L_FS_NOATIME_FL) || (f->flags & L_O_NOATIME) || (flags & (MNT_NOATIME | MNT_RDONLY)))
		return false;
	if ((flags & MNT_NODIRATIME) && inode_is(i, L_S_IFDIR))
		return false;
	return (flags & MNT_STRICTATIME) || not_after(&i->atime, &i->mtime) || not_after(&i->atime, &i->ctime) ||
	       now->tv_sec - i->atime.tv_sec >= RELATIME_S;
}

void fs_touch_atime(struct inode *i, const struct file *f)
{
	struct l_timespec now = vfs_now();

	if (atime_is_due(i, f, &now))
		i->atime = now;
}

bool fs_atime_is_settled(const struct inode *i, const struct file *f)
{
	struct l_timespec now = vfs_now();

	return !atime_is_due(i, f, &now);
}

unsigned fs_dirent_type(uint32_t mode)
{
	return (mode & L_S_IFMT) >> 12; /* the DT_ constants are the type bits shifted */
}

bool fs_emit_dots(struct file *f, struct dir_context *dc)
{
	if (dc->pos == 0) {
		if (!dc->emit(dc, ".", 1, f->inode->ino, L_DT_DIR, 1))
			return false;
		dc->pos = 1;
	}
	if (dc->pos == 1) {
		if (!dc->emit(dc, "..", 2, dentry_parent_ino(f->path.dentry), L_DT_DIR, 2))
			return false;
		dc->pos = 2;
	}
	return true;
}

int fs_broken_pipe(void)
{
	struct l_siginfo info = {.si_signo = L_SIGPIPE, .si_code = L_SI_USER};
	struct task *t = task_current();

	if (t) {
		info.kill.pid = t->process->pid;
		info.kill.uid = t->cred->uid;
		if (signal_send_task(t, &info) < 0)
			log_debug("SIGPIPE lost: out of memory"); /* the caller's EPIPE still tells */
	}
	return -EPIPE;
}

int fs_fsync_nothing(struct file *f, bool data_only)
{
	(void)f;
	(void)data_only;
	return 0;
}
