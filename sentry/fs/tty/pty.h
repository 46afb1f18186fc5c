/*
 * Pseudo-terminals (pty(7)): two ends with a line (line.h) between them.  The slave is what programs take for a terminal,
 * /dev/pts/N; the master, from /dev/ptmx, is held by what plays keyboard and screen.
 *
 *   devpts.c     the file system: names, numbers, opening      pty_ioctl.c   requests
 *   pty.c        reading, writing, waiting, hanging up
 *
 * A pty lives as long as the slave's inode, of which each open file, of either end, holds a reference.
 *
 * A hang-up (the master was closed, vhangup(2)) cuts off whoever has the slave open at that time: they
 * read the end of file, and all else is EIO.  A file remembers in `version` how many hang-ups there had been when it was
 * opened.
 */
#ifndef BAILEY_SENTRY_FS_TTY_PTY_H
#define BAILEY_SENTRY_FS_TTY_PTY_H

#include "sentry/fs/tty/line.h"
#include "sentry/fs/tty/tty.h"
#include "sentry/vfs/fasync.h"

#define PTY_MAX 1024 /* of all file systems together; kernel.pty.max */
#define PTY_PENDING_SIZE 4096u

struct devpts;
struct pty {
	struct tty tty;
	struct devpts *fs; /* borrowed: the inode's super block holds it; immutable */
	unsigned index;	   /* N; immutable */
	struct waitqueue slave_wq, master_wq;
	struct fasync_list slave_async, master_async; /* whom they tell of input by SIGIO */

	struct mutex lock;
	/* Guarded by lock. */
	struct line line;
	struct ring pending; /* what the master wrote and the line had no room for */
	uint8_t pending_data[PTY_PENDING_SIZE];
	struct l_winsize winsize;
	uint32_t slave_count;	 /* open files of the slave, cut off or not */
	int64_t hangups;	 /* so far */
	bool master_closed;
	bool slave_closed;	 /* there was a slave, and there is none */
	bool locked;		 /* unlockpt(3) has not been called */
	bool exclusive;		 /* TIOCEXCL */
	bool packet;		 /* TIOCPKT: reads of the master begin with a byte that says what follows */
	uint32_t out_told;	 /* line.out.head when the master was last told of output */
	bool master_held;	 /* tcflow(3) at the master: the keyboard is silent */
};

extern const struct file_ops pty_master_ops, pty_slave_ops;

/* A pty on the inode i of its slave (borrowed), whose priv it becomes. */
int pty_new(struct inode *i, struct devpts *fs, unsigned index, struct pty **out) MUST_CHECK;
void pty_free(struct pty *p);
static inline struct pty *pty_of(const struct file *f)
{
	return f->priv;
}
/* Makes f the master's file. */
void pty_open_master(struct pty *p, struct file *f);
/* Makes f a file of the slave: -EIO if that is locked or the master is closed, -EBUSY if it is exclusive. */
int pty_open_slave(struct pty *p, struct file *f) MUST_CHECK;
bool pty_is_hung_up(struct pty *p, const struct file *f) REQUIRES(p->lock);
/*
 * After a change of the line: moves input on, unlocks, and wakes and signals whom that concerns.  Takes the lock's place as the
 * last thing of whoever changed something.
 */
void pty_changed(struct pty *p) RELEASES(p->lock);
void pty_hang_up(struct tty *tty);

long pty_ioctl(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg);

/* ---- devpts.c ---- */

/* The master is closed: the name goes. */
void devpts_remove(struct pty *p);
/* The number may be used again. */
void devpts_release_index(struct pty *p);
/* Opens p's slave by its name in the mount that the master's file is in: TIOCGPTPEER.  flags: L_O_*. */
int devpts_open_peer(struct file *master, uint32_t flags, struct file **out) MUST_CHECK;
/* How many there are: kernel.pty.nr. */
unsigned devpts_count(void);

#endif
