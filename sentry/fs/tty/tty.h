/*
 * Terminals as the sentry sees them: who controls what.  The terminal itself is the host's (hostfile.c) or a
 * pseudo-terminal of the sentry's own (pty.c).
 *
 * A terminal belongs to at most one session, whose session.tty it is; its foreground group is a number.  Both are
 * guarded by tasks_lock.  A reference to a terminal is one to its inode.
 */
#ifndef BAILEY_SENTRY_FS_TTY_TTY_H
#define BAILEY_SENTRY_FS_TTY_TTY_H

#include "sentry/vfs/vfs.h"

struct l_termio;
struct l_termios;
struct session;
struct tty;
struct tty_ops {
	/* True while all of the sandbox is a background job of the world outside. */
	bool (*is_away)(struct tty *tty);
	/* Opens f, which is on /dev/tty, on the terminal itself: sets ops, mode and priv (then a reference). */
	int (*attach)(struct tty *tty, struct file *f);
	/* vhangup(2): nobody who has it open reaches it any more.  NULL: it is not the sandbox's to hang up. */
	void (*hangup)(struct tty *tty);
};
struct tty {
	const struct tty_ops *ops; /* immutable */
	struct inode *inode;	 /* borrowed: it holds this; immutable */
	struct session *session; /* borrowed: it lets go by tty_disassociate before it ends; guarded by tasks_lock */
	int foreground;		 /* process group, or 0; guarded by tasks_lock */
};

struct tty *tty_get(struct tty *tty);
void tty_put(struct tty *tty);
/* The terminal that f is open on (counted), or NULL. */
struct tty *tty_of_file(struct file *f);

/* A terminal that the calling task has opened: it becomes its session's, if the task leads a session without one and the
 * terminal is free. */
void tty_opened(struct tty *tty);
/* The line hung up: the session's leader gets SIGHUP and SIGCONT, and the session has no terminal any more. */
void tty_lost(struct tty *tty);
/* A signal of the terminal's to its foreground group. */
void tty_signal(struct tty *tty, int sig);
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
/* TIOCSCTTY, TIOCNOTTY, TIOCGPGRP, TIOCSPGRP, TIOCGSID for the calling task; -ENOTTY for others.  from_master: asked at the
 * other end of a pseudo-terminal, where what is asked about need not be the caller's own terminal. */
long tty_job_ioctl(struct tty *tty, struct pctx *ctx, unsigned cmd, uint64_t arg, bool from_master) MUST_CHECK;
/* Gives f, which is to send SIGIO, an owner if it has none: the foreground group, or else the caller. */
int tty_default_owner(struct tty *tty, struct file *f) MUST_CHECK;
/* The older struct termio of a terminal's modes; and sets in *t what a guest's struct termio at gva has: the lower halves of the
 * flags, the discipline and the first characters. */
void termio_of(const struct l_termios *t, struct l_termio *out);
int termio_copy_in(struct pctx *ctx, uint64_t gva, struct l_termios *t) MUST_CHECK;
/* vhangup(2): hangs up the calling task's controlling terminal. */
void tty_vhangup_self(void);

/* /dev/tty: the caller's controlling terminal. */
int tty_open_self(struct inode *i, struct file *f) MUST_CHECK;
extern const struct file_ops tty_self_ops;
/* Which kind of file a terminal is: NULL if f is none of hostfile.c's, or pty.c's. */
struct tty *hostfile_tty(struct file *f);
struct tty *pty_tty(struct file *f);

#endif
