/*
 * Terminals as the sentry sees them: who controls what.  The terminal itself is the host's (hostfile.c) or, later, a
 * pseudo-terminal of the sentry's own.
 *
 * A terminal belongs to at most one session, whose session.tty it is; its foreground group is a number.  Both are
 * guarded by tasks_lock.  A reference to a terminal is one to its inode.
 */
#ifndef BAILEY_SENTRY_FS_TTY_TTY_H
#define BAILEY_SENTRY_FS_TTY_TTY_H

#include "sentry/vfs/vfs.h"

struct session;
struct tty {
	struct inode *inode;	 /* borrowed: it holds this */
	struct session *session; /* borrowed: it lets go by tty_disassociate before it ends; guarded by tasks_lock */
	int foreground;		 /* process group, or 0; guarded by tasks_lock */
	/* True while all of the sandbox is a background job of the world outside.  Immutable. */
	bool (*is_away)(struct tty *tty);
};

struct tty *tty_get(struct tty *tty);
void tty_put(struct tty *tty);
/* The terminal that f is open on (counted), or NULL. */
struct tty *tty_of_file(struct file *f);

/* Makes tty the controlling terminal of s, whose leader's group comes to the foreground.  -EPERM if either is taken. */
int tty_associate(struct tty *tty, struct session *s, int pgid) MUST_CHECK;
/* The group that a terminal's signals go to: s's terminal's foreground group; 0 if it has no terminal or that has none.
 */
int tty_foreground(struct session *s);
/* s ends (exiting), or its leader gave the terminal up: the foreground group is told by SIGHUP. */
void tty_disassociate(struct session *s, bool exiting);

/*
 * May the calling task touch tty, or is that for another job to do?  sig is L_SIGTTIN for reading, L_SIGTTOU for setting.
 * 0, or -EIO, or -ERESTARTSYS when sig was sent to the task's process group.  See termios(3), "job control".
 */
int tty_check_job(struct tty *tty, int sig) MUST_CHECK;
/* TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCSPGRP, TIOCGSID for the calling task; -ENOIOCTLCMD-like -ENOTTY for others. */
long tty_job_ioctl(struct tty *tty, struct pctx *ctx, unsigned cmd, uint64_t arg) MUST_CHECK;

/* /dev/tty: the caller's controlling terminal. */
int tty_open_self(struct inode *i, struct file *f) MUST_CHECK;
extern const struct file_ops tty_self_ops;
/* Points f at the host file behind tty; f->priv then holds a reference. */
void hostfile_attach(struct tty *tty, struct file *f);

#endif
