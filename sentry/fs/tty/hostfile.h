/* What hostfile.c (bytes and readiness) and hostfile_ioctl.c (terminals) share. */
#ifndef BAILEY_SENTRY_FS_TTY_HOSTFILE_H
#define BAILEY_SENTRY_FS_TTY_HOSTFILE_H

#include "sentry/fs/tty/tty.h"

struct host_watch;
struct hostfile { /* an inode's priv; a file's priv too, which then holds a reference to the inode.  All immutable */
	struct inode *inode; /* borrowed */
	int fd;
	uint32_t host_flags; /* L_O_*, as it came in */
	bool regular, is_tty;
	struct tty *tty;	  /* if is_tty: its own, or, with a reference, that of another descriptor of this terminal */
	struct tty own_tty;
	struct host_watch *watch; /* NULL: always ready */
	struct waitqueue wq;
};

bool hostfile_is_tty(int fd);
long hostfile_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg);

#endif
