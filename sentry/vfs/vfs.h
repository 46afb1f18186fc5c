/*
 * The virtual file system: inodes, dentries, mounts, open files, and the operation tables a file system fills in.
 *
 * Objects are counted (x_get/x_put).  An inode is a file; a dentry is a name in the tree of one file system (negative
 * if d->inode is NULL); a mount hangs a file system's root on a dentry; a path is a mount and a dentry; a file is an
 * open file description.  Lookups return counted references.
 *
 * Lock order (outermost first; docs/LOCKING.md): fs_info.lock and fdtable.lock are leaves for their own fields;
 * rename_lock > dir inode->lock (parent before child, then by address) > file inode->lock > mount_lock > dentry hash
 * lock > waitqueue.lock.  No guest memory is touched with a dentry or inode lock held, but for regular-file read and write
 * bodies that hold only that file's inode->lock.
 */
#ifndef BAILEY_SENTRY_VFS_VFS_H
#define BAILEY_SENTRY_VFS_VFS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "abi/fcntl.h"
#include "abi/stat.h"
#include "abi/time.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/refcount.h"
#include "sentry/core/tunable.h"
#include "sentry/core/cred.h"
#include "sentry/core/uio.h"
#include "sentry/core/wait.h"

struct inode;
struct dentry;
struct mount;
struct mnt_ns;
struct file;
struct super_block;
struct iattr;

struct path {
	struct mount *mnt;
	struct dentry *dentry;
};

/* ---- what a file system fills in ---- */

/* What a file system says of a whole path. */
enum path_says {
	PATH_UNSURE, /* it may name something else: ask name by name */
	PATH_SAME,   /* it names what was cached */
	PATH_FRESH,  /* and the inode's attributes are up to date */
};

struct super_ops {
	/* Fills *st (f_type, f_bsize, ... ); st is zeroed before. */
	int (*statfs)(struct super_block *sb, struct l_statfs *st);
	/* The last reference is gone; frees sb->priv. */
	void (*release)(struct super_block *sb);
	/* True if a cached dentry (negative ones too) is still good.  NULL: always.  The parent's lock may be held. */
	bool (*revalidate)(struct dentry *d);
	/*
	 * One question instead of a revalidate for each name: does path, which leads from `from` down over cached names to d (none of
	 * them "..", a link or a mount point), still name i (d's inode; NULL: nothing)?  That the directories on the way are the
	 * cached ones is not asked.  With reach, i is a directory, and what is in it can be looked up afterwards.  NULL: cannot.
	 */
	enum path_says (*still_names)(struct dentry *from, const char *path, struct dentry *d, struct inode *i, bool reach);
	/* inode_ops.lookup by such a path, whose last name is d's, in dir.  Where still_names is. */
	int (*lookup_along)(struct dentry *from, const char *path, struct inode *dir, struct dentry *d);
	/* For file handles: the name of the inode of that number, counted; -ESTALE if none has it, -ENOMEM.  NULL: handles tell
	 * files apart, and cannot be opened. */
	int (*find_ino)(struct super_block *sb, uint64_t ino, struct dentry **out);
	/* Options for /proc/mounts, after "rw,..."; may be NULL. */
	void (*show_options)(struct super_block *sb, char *buf, size_t size);
};

struct super_block {
	struct refcount refs;  /* mounts and whoever else uses the file system as a whole */
	struct refcount holds; /* inodes, and one for all refs: released when both are gone (root and sb hold each other) */
	const struct super_ops *ops;
	const char *type; /* "tmpfs", "proc", ... static */
	struct user_ns *user_ns; /* counted: who mounted it; changed by nobody but its maker */
	uint64_t dev;	  /* st_dev, Linux encoding; unique */
	uint32_t magic;
	_Atomic uint32_t flags; /* SB_* below; SB_RDONLY changes with a remount */
	_Atomic int writers;	/* files of it open for writing, through mounts; it becomes read-only with none */
	struct dentry *root;  /* counted */
	_Atomic uint64_t next_ino;
	struct list_head node; /* of all; guarded by inode.c's lock */
	/* Called once, when the first path leads across a mount into it; then NULL, as for one that is whole from the start. */
	void (*_Atomic fill)(struct super_block *sb);
	void *priv;
};
#define SB_NO_CACHE 1u	/* dentries are looked up afresh each time (proc) */
#define SB_RDONLY 2u
#define SB_NO_HANDLES 4u  /* whatever find_ino could do: handles tell files apart, and no more (sysfs) */
#define SB_INODE_FLAGS 8u /* its files and directories keep inode flags */
#define SB_SHMEM 16u	  /* what Linux's shmem is: its pages count as shared memory, and allocating some as making a file longer */

/*
 * Directory operations get the directory inode with its lock held, and a dentry d that is negative and already
 * in the tree (for lookup, create, mknod, mkdir, symlink, link) or positive (unlink, rmdir, rename).  On success they
 * set d's inode with dentry_instantiate.  Permissions have been checked by the VFS.  A NULL slot is -EPERM
 * (or what is said beside it).  mode arrives with the umask applied and the type bits set; inode_init_owner turns it and
 * the credentials into a new inode's owner and mode.  The operation keeps nlink and the times of all inodes concerned.
 */
struct inode_ops {
	/* Finds d->name; 0 with d instantiated, or 0 with d left negative if there is no such name, or an error.  1 is as 0, and says
	 * that the attributes of what was found are up to date. */
	int (*lookup)(struct inode *dir, struct dentry *d); /* NULL: -ENOTDIR */
	/* Finds name without a dentry, for a file system that lies above this one (overlay): *out counted, or NULL if
	 * there is no such name.  dir's lock is not held.  NULL slot: cannot be such a layer. */
	int (*lookup_inode)(struct inode *dir, const char *name, struct inode **out);
	int (*create)(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c);
	int (*mkdir)(struct inode *dir, struct dentry *d, uint32_t mode, const struct cred *c);
	int (*mknod)(struct inode *dir, struct dentry *d, uint32_t mode, uint64_t rdev, const struct cred *c);
	int (*symlink)(struct inode *dir, struct dentry *d, const char *target, const struct cred *c);
	int (*link)(struct inode *dir, struct dentry *d, struct inode *target);
	int (*unlink)(struct inode *dir, struct dentry *d);
	int (*rmdir)(struct inode *dir, struct dentry *d);
	/* flags: L_RENAME_NOREPLACE (already checked), L_RENAME_EXCHANGE, L_RENAME_WHITEOUT.  Both directories locked.
	 * The VFS moves the dentries afterwards. */
	int (*rename)(struct inode *old_dir, struct dentry *old_d, struct inode *new_dir, struct dentry *new_d,
		      unsigned flags, const struct cred *c);
	/* An unnamed inode for O_TMPFILE; returned owned. */
	int (*tmpfile)(struct inode *dir, uint32_t mode, const struct cred *c, struct inode **out);

	/* The link's text, allocated and NUL-terminated; the caller frees. */
	int (*readlink)(struct inode *i, char **out); /* NULL: -EINVAL */
	/* A magic link (proc): where it leads, counted, whatever the text says.  NULL: an ordinary link. */
	int (*follow)(struct inode *i, struct path *out);

	/* Brings the inode's attribute fields up to date and fills *st.  NULL: the generic one from the fields. */
	int (*getattr)(struct inode *i, struct l_statx *st);
	/* Applies the valid members of *a (checked by the VFS); i->lock held; ends with inode_apply.  mode has its type bits.
	 * NULL: inode_apply alone (truncate refused). */
	int (*setattr)(struct inode *i, const struct iattr *a);
	bool attr_fixed; /* no attribute can be changed, by whomever: -EOPNOTSUPP, whoever asks */
	/* NULL: by mode and credentials. mask: MAY_* */
	int (*permission)(struct inode *i, unsigned mask, const struct cred *c);

	ssize_t (*getxattr)(struct inode *i, const char *name, void *buf, size_t size); /* NULL: -EOPNOTSUPP */
	int (*setxattr)(struct inode *i, const char *name, const void *value, size_t size, int flags);
	ssize_t (*listxattr)(struct inode *i, char *buf, size_t size);
	int (*removexattr)(struct inode *i, const char *name);

	/* f->inode is set and f->ops is i->fops; may change f->ops, f->priv and f->mode.  NULL: nothing to do.  FIFOs and
	 * devices whose inode has no open go to fifo_open and device_open below.  O_TRUNC is done by setattr afterwards. */
	int (*open)(struct inode *i, struct file *f);
	/* The last reference is gone.  Frees i->priv. */
	void (*release)(struct inode *i);
};

#define MAY_EXEC 1u
#define MAY_WRITE 2u
#define MAY_READ 4u

/* What setattr changes. */
struct iattr {
	uint32_t valid; /* ATTR_* */
	uint32_t mode, uid, gid;
	uint64_t size;
	struct l_timespec atime, mtime;
	uint32_t iflags; /* L_FS_*_FL */
};
#define ATTR_MODE 1u
#define ATTR_UID 2u
#define ATTR_GID 4u
#define ATTR_SIZE 8u
#define ATTR_ATIME 16u
#define ATTR_MTIME 32u
#define ATTR_IFLAGS 64u

struct inode {
	struct refcount refs;
	const struct inode_ops *ops; /* immutable */
	const struct file_ops *fops; /* immutable; what open gives a file */
	struct super_block *sb;	     /* counted; immutable */
	uint64_t ino;		     /* immutable */
	struct mutex lock;
	/* Changed with lock held; read at any time.  mode's type bits are immutable. */
	_Atomic uint32_t mode, uid, gid, nlink;
	_Atomic uint64_t size;
	_Atomic uint32_t iflags; /* L_FS_*_FL, chattr(1) */
	uint64_t rdev; /* immutable */
	/* Guarded by lock. */
	uint64_t blocks; /* of 512 bytes */
	struct l_timespec atime, mtime, ctime, btime;
	_Atomic int32_t writers;	 /* > 0: open for writing; < 0: being executed.  See inode_deny_write */
	_Atomic int32_t readers;	 /* of a regular file: how often it is open for reading alone */
	_Atomic uint32_t lent;		 /* how often its bytes are lent: windows.h */
	_Atomic bool leased;		 /* it has, or once had, a lease */
	struct inode_locks *_Atomic locks; /* flock, POSIX and OFD locks; made on first use; guarded by locks.c's lock */
	struct watch *_Atomic watches;	 /* inotify; written under inotify.c's lock; NULL: nobody watches */
	struct dnotify *_Atomic dnotify; /* F_NOTIFY; written under dnotify.c's lock; NULL: nobody asked */
	_Atomic uint8_t write_hint;	 /* L_RWH_*: F_SET_RW_HINT; kept and told */
	bool no_mounts;			 /* nothing is mounted on it; immutable */
	_Atomic bool no_file_caps;	 /* it is known to have no security.capability: a write need not look */
	void *fifo;			 /* the pipe behind a FIFO; guarded by lock */
	void *priv;			 /* the file system's */
};

/* Emits one directory entry into the sentry's memory (the directory's lock may be held); false means the buffer is
 * full: stop, and come again with the same position.  next_pos is what the file's position becomes once the entry was
 * taken. */
struct dir_context {
	bool (*emit)(struct dir_context *dc, const char *name, size_t name_len, uint64_t ino, unsigned d_type,
		     int64_t next_pos);
	int64_t pos;
};

struct fdtable;
struct file_loan;

/*
 * Operations on an open file.  None is called with an inode lock held; they take it themselves.  pos is the file offset (for
 * files without one, FILE_STREAM, it is ignored).
 * A blocking operation looks at file_nonblock(f) and waits by wait_event: -ERESTARTSYS when a signal comes.  A NULL slot gives
 * the errno beside it.
 */
struct file_ops {
	ssize_t (*read)(struct file *f, struct uio *u, int64_t pos);  /* NULL: -EINVAL */
	ssize_t (*write)(struct file *f, struct uio *u, int64_t pos); /* NULL: -EINVAL; file_appends: the op finds the end itself */
	/* A read(2) of n bytes has been made, or a write(2) of so many is about to be, by fd of table t, from ctx's thread, whose
	 * calls nobody is to see: some of what comes may be lent to the thread (platform.h, rings).  NULL: nothing is. */
	void (*lend)(struct file *f, struct pctx *ctx, struct fdtable *t, int fd, size_t n);
	/* Takes back all that lend has lent.  No lock held. */
	void (*recall)(struct file *f);
	uint32_t by_piece; /* FILE_READ, FILE_WRITE: readv, writev call it for each piece, as Linux where it knows but one buffer */
	int64_t (*lseek)(struct file *f, int64_t off, int whence);    /* NULL: generic by inode size; streams -ESPIPE */
	/*
	 * What of f from first on guests may read by themselves (windows.h), after so many reads of it in a row: false if nothing, or not
	 * yet.  Called with the inode's lock held; what it says is true until that is let go, or until the loan is taken back by inode_recall.
	 * NULL: nothing ever.
	 */
	bool (*lend_pages)(struct file *f, uint64_t first, uint64_t reads, struct file_loan *out);
	bool lendable_pos; /* SEEK_SET and SEEK_CUR do what file_lseek_generic does, and nothing else */
	int (*iterate)(struct file *f, struct dir_context *dc);	      /* NULL: -ENOTDIR */
	/* The events (L_POLL*) true now.  If e is not NULL first hangs it on the queue that tells of changes; a file with
	 * several queues uses one for all.  NULL slot: always readable and writable. */
	uint32_t (*poll)(struct file *f, struct wait_entry *e);
	/* arg is the guest's third argument, as it came.  -ENOTTY for what is not known. */
	long (*ioctl)(struct file *f, struct pctx *ctx, unsigned cmd, uint64_t arg); /* NULL: -ENOTTY */
	/* A host descriptor (borrowed: lives as long as f's inode) and offset to map [off, off+len) from.  -ENODEV if NULL.
	 * *host_fd may be -1: anonymous memory (/dev/zero). */
	int (*mmap)(struct file *f, uint64_t off, uint64_t len, int prot, int flags, int *host_fd, uint64_t *host_off);
	/* A VMA of it has come (1) or gone (-1); mm->lock may be held.  NULL: nobody counts. */
	void (*map_count)(struct file *f, int change);
	int (*fsync)(struct file *f, bool data_only);	  /* NULL: -EINVAL; file systems in memory return 0 */
	int (*fallocate)(struct file *f, int mode, uint64_t off, uint64_t len); /* NULL: -EOPNOTSUPP; streams -ESPIPE */
	/* cachestat(2): how many pages from the first-th to the last-th are in memory.  NULL: none that this one knows of. */
	uint64_t (*cached)(struct file *f, uint64_t first, uint64_t last);
	int (*flush)(struct file *f);			  /* each close(2); NULL: 0 */
	int (*setfl)(struct file *f, uint32_t flags);	  /* F_SETFL, before the flags change; NULL: 0 */
	/* O_ASYNC comes (by descriptor fd) or goes, there also at the end of f: for fasync_set (fasync.h).  NULL: tells nobody */
	int (*fasync)(struct file *f, int fd, bool on);
	void (*fdinfo)(struct file *f, char *buf, size_t size); /* further lines of /proc/PID/fdinfo/N */
	void (*release)(struct file *f);		  /* the last reference is gone */
	/* F_GETPIPE_SZ and the like: fcntl commands that belong to one kind of file.  NULL: -EINVAL */
	long (*fcntl)(struct file *f, unsigned cmd, uint64_t arg);
};

struct file {
	struct refcount refs;
	const struct file_ops *ops; /* never NULL */
	struct path path;    /* counted; for anonymous files (pipes, sockets) a dentry of the anonymous file system */
	struct inode *inode; /* borrowed from path.dentry, or counted if the dentry may change: always counted */
	const struct cred *cred; /* the opener's; counted */
	_Atomic uint32_t flags;	 /* L_O_*: access mode immutable, the rest by F_SETFL */
	uint32_t mode;		 /* FILE_*; immutable */
	struct mutex pos_lock;	 /* held over a read, write or getdents that uses pos */
	_Atomic int64_t pos;	 /* changed under pos_lock; file_pos_peek reads it without */
	int64_t version;	 /* guarded by pos_lock; for iterate's own use */
	struct file_owner *owner; /* F_SETOWN, F_SETSIG; guarded by fasync.c's lock; NULL until used */
	_Atomic bool async;	 /* it may hang in a fasync_list */
	_Atomic bool lent;	 /* who gets at it by its table recalls first; set with that table's lock held, and lend's own */
	void *_Atomic epoll_links; /* epoll's list of items that watch this file; written under epoll's global lock */
	void *priv;
};
#define FILE_READ 1u
#define FILE_WRITE 2u
#define FILE_STREAM 4u /* no position: lseek is -ESPIPE, pread and pwrite too */
#define FILE_PATH 8u   /* O_PATH */
#define FILE_PREAD 16u /* set for all but streams */
#define FILE_CREATED 2048u /* its open made it: F_CREATED_QUERY */
#define FILE_OWN_POS 128u /* the operations keep the position: they get -1 for "where it is", and pos is not used */

struct file_owner { /* who gets SIGIO; fcntl(2) */
	int type; /* L_F_OWNER_* */
	int pid;  /* 0: nobody */
	int sig;  /* F_SETSIG; 0: SIGIO */
	uint32_t uid, euid; /* of who set it */
};

static inline bool file_nonblock(const struct file *f)
{
	return (f->flags & L_O_NONBLOCK) != 0;
}

/* The same for one transfer, which may say RWF_NOWAIT, RWF_APPEND or RWF_NOAPPEND. */
static inline bool file_nonblock_for(const struct file *f, const struct uio *u)
{
	return file_nonblock(f) || (u->rwf & L_RWF_NOWAIT);
}
static inline bool file_appends(const struct file *f, const struct uio *u)
{
	return (u->rwf & L_RWF_APPEND) || ((f->flags & L_O_APPEND) && !(u->rwf & L_RWF_NOAPPEND));
}

/* ---- objects ---- */

extern _Atomic int64_t vfs_file_count, vfs_inode_count; /* how many there are at present, for /proc/sys/fs */

struct inode *inode_new(struct super_block *sb, uint32_t mode, const struct inode_ops *ops,
			const struct file_ops *fops); /* ino assigned, times now, nlink 1, owned; NULL: no memory */
struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i);
static inline bool inode_is(const struct inode *i, uint32_t type)
{
	return (i->mode & L_S_IFMT) == type;
}
/* Exec and writers exclude each other (ETXTBSY). */
int inode_get_write(struct inode *i) MUST_CHECK;  /* -ETXTBSY */
void inode_put_write(struct inode *i);
int inode_deny_write(struct inode *i) MUST_CHECK; /* -ETXTBSY */
void inode_allow_write(struct inode *i);
void inode_generic_stat(struct inode *i, struct l_statx *st); /* takes i->lock */
/* Owner and mode of an inode new in dir: the creator's, or by a set-group-ID directory its group (and, for a directory, bit). */
void inode_init_owner(struct inode *i, const struct inode *dir, uint32_t mode, const struct cred *c);
/* Sets the fields from the valid members of *a, and ctime.  i->lock held. */
void inode_apply(struct inode *i, const struct iattr *a);
struct l_timespec vfs_now(void);		 /* CLOCK_REALTIME, as files are stamped with */
void inode_touch(struct inode *i, unsigned which); /* ATTR_ATIME, ATTR_MTIME (with ctime), 0: ctime alone; i->lock held */

struct super_block *super_new(const char *type, uint32_t magic, const struct super_ops *ops, void *priv);
struct super_block *super_get(struct super_block *sb);
struct super_block *super_find(uint64_t dev); /* in use somewhere; counted, or NULL */
void super_put(struct super_block *sb);

struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* Makes a root dentry for a new file system; consumes inode. */
struct dentry *dentry_make_root(struct super_block *sb, struct inode *inode);
/* Makes a negative dentry positive; consumes the reference to inode. */
void dentry_instantiate(struct dentry *d, struct inode *inode);
struct inode *dentry_inode(const struct dentry *d); /* borrowed while d is held; NULL if negative */
const char *dentry_name(const struct dentry *d);    /* stable only under rename_lock, or in a directory operation */
/* The name at this moment, cut to size. */
void dentry_copy_name(const struct dentry *d, char *buf, size_t size);
uint64_t dentry_parent_ino(const struct dentry *d); /* for ".." in a listing; the root's is its own */
struct dentry *dentry_parent(const struct dentry *d); /* counted; the root's is itself */
bool dentry_is_unlinked(const struct dentry *d);      /* its name is gone */
/* The child called name, from the cache or by the directory's lookup; *out counted, negative if there is none.  No
 * permission is asked, no mount crossed.  parent's inode lock is not held. */
int dentry_lookup(struct dentry *parent, const char *name, size_t name_len, struct dentry **out) MUST_CHECK;

void path_get(const struct path *p);
void path_put(const struct path *p);
bool path_equal(const struct path *a, const struct path *b);

struct file *file_get(struct file *f);
void file_put(struct file *f);
/* A file for an inode of no name (pipe, socket, eventfd...): shown as name in /proc/PID/fd ("pipe:[123]" when name is
 * "pipe:"; "anon_inode:[eventfd]").  f->priv is consumed on success only. */
int file_anonymous(const char *name, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode_bits,
		   const struct cred *c, struct file **out) MUST_CHECK;
/* The same on an inode of the caller's (counted; borrowed), shown as name. */
int file_anonymous_on(const char *name, struct inode *i, const struct file_ops *ops, void *priv, uint32_t flags,
		      uint32_t mode_bits, const struct cred *c, struct file **out) MUST_CHECK;
/* A further file on the inode of `of`, which is anonymous: a pipe's other end. */
int file_anonymous_twin(struct file *of, const struct file_ops *ops, void *priv, uint32_t flags, uint32_t mode_bits,
			const struct cred *c, struct file **out) MUST_CHECK;
/* Opens what p names, without a check of permissions: flags are L_O_*. */
int file_open_path(const struct path *p, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;
/* Called at the last file_put of a file with epoll_links, before it is taken apart; set once by epoll. */
extern void (*file_epoll_forget)(struct file *f);

/* Read and write at the file's own position (stepping it on), or at pos.  Counts, or -errno; 0 bytes is done for no reason but
 * the end.  -EBADF if not open for it. */
ssize_t file_read(struct file *f, struct uio *u) MUST_CHECK;
ssize_t file_write(struct file *f, struct uio *u) MUST_CHECK;
ssize_t file_pread(struct file *f, struct uio *u, int64_t pos) MUST_CHECK;
ssize_t file_pwrite(struct file *f, struct uio *u, int64_t pos) MUST_CHECK;
int64_t file_lseek(struct file *f, int64_t off, int whence) MUST_CHECK;
/* For file_ops: of what has no place to seek to, and yet says nothing against it.  The position, unmoved. */
int64_t file_lseek_noop(struct file *f, int64_t off, int whence) MUST_CHECK;
/* Whether f was opened for reading or writing (-EBADF), and can be (-EINVAL; -EISDIR). */
int file_check_read(const struct file *f) MUST_CHECK;
int file_check_write(const struct file *f) MUST_CHECK;
/* Where f stands; 0 for a stream. */
int64_t file_position(struct file *f);
/* The position for people to see.  It takes no lock: the file may be in the middle of a read that waits, or of the very read that
 * asks (a descriptor of /proc/PID/fdinfo/N put at N). */
static inline int64_t file_pos_peek(const struct file *f)
{
	return f->pos;
}
/* What lseek is for a file of this size; pos_lock held.  For an lseek operation that only adds to it. */
int64_t file_lseek_generic(struct file *f, int64_t off, int whence, uint64_t size) MUST_CHECK;
/* For a directory whose positions are numbers of entries: it has neither an end nor holes. */
int64_t file_lseek_dir(struct file *f, int64_t off, int whence) MUST_CHECK;
int file_iterate(struct file *f, struct dir_context *dc) MUST_CHECK; /* begins and ends at f's position, dc->pos */
uint32_t file_poll(struct file *f, struct wait_entry *e);
int file_set_flags(struct file *f, int fd, uint32_t flags) MUST_CHECK; /* F_SETFL by way of fd */
int file_set_async(struct file *f, int fd, bool on) MUST_CHECK;	       /* FIOASYNC; -ENOTTY where nothing sends SIGIO */

/* ---- where a process stands ---- */

struct fs_info { /* root, working directory and umask; shared by CLONE_FS */
	struct refcount refs;
	struct mutex lock;
	struct path root, cwd; /* guarded by lock */
	struct list_head all;  /* in the list of all of them: fsinfo.c */
	struct mnt_ns *ns;     /* counted; changed by its only user; NULL in tests of the VFS alone */
	uint32_t umask;	       /* guarded by lock */
};
/* Root and working directory there, in the namespace of that mount, umask 022.  NULL: no memory. */
struct fs_info *fs_info_new(const struct path *root);
struct fs_info *fs_info_copy(struct fs_info *old);
void fs_info_root(struct fs_info *fs, struct path *out); /* counted */
void fs_info_cwd(struct fs_info *fs, struct path *out);
void fs_info_set_root(struct fs_info *fs, const struct path *p); /* takes references of its own */
void fs_info_set_cwd(struct fs_info *fs, const struct path *p);
bool fs_info_shared(const struct fs_info *fs);
/* Whatever root or working directory is at `from` is at `to` from now on; both are the caller's. */
void fs_infos_step_over(const struct path *from, const struct path *to);
struct fs_info *fs_info_get(struct fs_info *fs);
void fs_info_put(struct fs_info *fs);

/* The file descriptor table; shared by CLONE_FILES. */
struct fdtable;
struct pctx_position;
/* Forgets all names that nobody uses; how many. */
size_t dcache_shrink(void);
extern struct tunable vfs_nr_open; /* descriptors of a process, whatever its limit */
struct fdtable *fdtable_new(void);
int fdtable_copy(struct fdtable *old, struct fdtable **out) MUST_CHECK; /* fork; -ENOMEM, -EMFILE past vfs_nr_open */
struct fdtable *fdtable_get(struct fdtable *t);
void fdtable_put(struct fdtable *t);
void fdtable_close_on_exec(struct fdtable *t);
bool fdtable_shared(const struct fdtable *t);
/* The file at fd, counted, or NULL (EBADF).  fd_lookup refuses O_PATH files too. */
struct file *fd_lookup(struct fdtable *t, int fd) MUST_CHECK;
struct file *fd_lookup_path_ok(struct fdtable *t, int fd) MUST_CHECK;
/* Puts f (consumed on success) at the lowest free descriptor >= min and < limit (RLIMIT_NOFILE): the number, or -EMFILE. */
int fd_install(struct fdtable *t, struct file *f, int min, int limit, bool cloexec) MUST_CHECK;
/* Whether a descriptor below limit is free at this moment: for those who would rather not begin. */
bool fd_has_room(struct fdtable *t, int limit);
/* dup2(2): puts f (consumed, also on failure) at fd, closing what was there.  -EBADF if fd is not below limit. */
int fd_replace(struct fdtable *t, struct file *f, int fd, int limit, bool cloexec) MUST_CHECK;
/* Two descriptors at once, all or nothing (files consumed on success): pipe2 and socketpair. */
int fd_install_pair(struct fdtable *t, struct file *a, struct file *b, int limit, bool cloexec, int fds[2]) MUST_CHECK;
int fd_get_cloexec(struct fdtable *t, int fd); /* 0, 1 or -EBADF */
int fd_set_cloexec(struct fdtable *t, int fd, bool cloexec) MUST_CHECK;
/* close_range(2) of [first, last]; cloexec: only marks them. */
void fd_close_range(struct fdtable *t, unsigned first, unsigned last, bool cloexec);
int fd_close(struct fdtable *t, int fd) MUST_CHECK;
/* Walks the open descriptors in order: the next one >= from with its file (counted), or -1. */
int fdtable_next(struct fdtable *t, int from, struct file **out, bool *cloexec);
/* How many descriptors the table has room for at present: select(2) looks at no more. */
int fdtable_capacity(struct fdtable *t);
/*
 * f, the caller's counted file, has just been sought by fd, from a thread whose lent position is *at.  If that is all that happens
 * there, and nobody else has f, its position is lent to the thread (platform.h).  Whoever gets at f by the table later takes the loan back.
 */
void fd_note_seek(struct fdtable *t, int fd, struct file *f, struct pctx_position *at);
/* f, whom the caller has by fd of t, is lent from now on, if nobody else has it: whoever gets at it by the table later calls
 * recall. */
bool fd_lend(struct fdtable *t, int fd, struct file *f) MUST_CHECK;
/* Takes back the lent position: before a context ends. */
void fdtable_recall(struct fdtable *t);

/* ---- the walk ---- */

struct lookup {		   /* on whose behalf */
	struct fs_info *fs;
	struct fdtable *files;
	const struct cred *cred;
};
#define LOOKUP_FOLLOW 1u	/* follow a symlink in the last component */
#define LOOKUP_DIRECTORY 2u	/* the result must be a directory */
#define LOOKUP_EMPTY 4u		/* AT_EMPTY_PATH */
#define LOOKUP_DOWN 8u		/* what is mounted on "." too: umount(2) */
#define LOOKUP_ATTR 16u		/* for its attributes alone: another place of the same file would do as well */
/* openat2's RESOLVE_* are given beside, as L_RESOLVE_*. */

/* Resolves path relative to dirfd (or L_AT_FDCWD).  out is counted. */
int vfs_resolve(const struct lookup *l, int dirfd, const char *path, unsigned flags, uint64_t resolve,
		struct path *out) MUST_CHECK;
/* The same, and the attributes of what was found. */
int vfs_stat(const struct lookup *l, int dirfd, const char *path, unsigned flags, struct path *out,
	     struct l_statx *st) MUST_CHECK;
/* The sentry is to the host what c is inside: where the host lets it search, c may search.  Before there are guests. */
void vfs_set_caller(const struct cred *c);
int vfs_open(const struct lookup *l, int dirfd, const char *path, uint32_t flags, uint32_t mode, uint64_t resolve,
	     struct file **out) MUST_CHECK;
/* Opens what p names, with the checks that vfs_open makes of what it finds. */
int vfs_open_path(const struct lookup *l, const struct path *p, uint32_t flags, struct file **out) MUST_CHECK;

/* File handles, name_to_handle_at(2).  Both kinds, those that can be opened and those that only tell files apart, are as long. */
#define VFS_HANDLE_BYTES 12
struct vfs_handle {
	int32_t type; /* L_FILEID_* */
	uint8_t bytes[VFS_HANDLE_BYTES];
};
/* -EOPNOTSUPP: the file system has none that can be opened, and id_only is false. */
int vfs_handle_of(const struct path *p, bool id_only, struct vfs_handle *out) MUST_CHECK;
/* What h, of size bytes, stands for in the file system of `at` (borrowed); *out counted.  -ESTALE, -ENOMEM. */
int vfs_handle_resolve(const struct path *at, const struct vfs_handle *h, size_t size, struct path *out) MUST_CHECK;
/* Opens for execve: regular, executable by cred, on no noexec mount. */
int vfs_open_exec(const struct lookup *l, int dirfd, const char *path, unsigned flags, struct file **out) MUST_CHECK;
/* May c do mask (MAY_*)?  By inode, file system and mount (read-only, noexec). */
/* Mount flags of where p lies. */
bool vfs_is_noexec(const struct path *p);
/* Whether raw, i's security.capability, gives anything in u: it speaks of a root of u's or of what u lies in. */
bool file_caps_for(const struct inode *i, const uint32_t *raw, size_t size, const struct user_ns *u);
/* Can what c makes there have its owner: -EOVERFLOW otherwise. */
bool vfs_knows(const struct path *p, const struct cred *c);
/* Whether set-user-ID bits and file capabilities of p mean something to c, who is in ns. */
bool vfs_may_suid(const struct path *p, const struct mnt_ns *ns, const struct cred *c);
int vfs_permission(const struct path *p, unsigned mask, const struct cred *c) MUST_CHECK;
/* By mode and capabilities alone: what inode_ops.permission may begin with. */
int inode_permission_by_mode(const struct inode *i, unsigned mask, const struct cred *c) MUST_CHECK;
/* Is c the owner, or has it CAP_FOWNER over i. */
bool inode_owner_or_capable(const struct inode *i, const struct cred *c);
int vfs_getattr(const struct path *p, struct l_statx *st) MUST_CHECK;
int vfs_readlink(const struct path *p, char **out) MUST_CHECK; /* allocated; -EINVAL if it is no link */
int vfs_statfs(const struct path *p, struct l_statfs *st) MUST_CHECK;
int super_statfs(struct super_block *sb, struct l_statfs *st) MUST_CHECK; /* but for the flags, which are a mount's */
/* Reads at pos into the sentry's memory, whatever the file's mode says about seeking: exec and proc use it. */
ssize_t vfs_read_kernel(struct file *f, void *buf, size_t len, int64_t pos) MUST_CHECK;
/* The absolute name of p as seen from root, or of what lies outside as seen from the top, in buf: 0, -ENAMETOOLONG; " (deleted)" is
 * appended for an unlinked name. */
int vfs_path_name(const struct path *p, const struct path *root, char *buf, size_t size) MUST_CHECK;
/* The same, "(unreachable)..." if it lies outside: getcwd(2). */
int vfs_path_name_marked(const struct path *p, const struct path *root, char *buf, size_t size) MUST_CHECK;

/* The sysctls fs.protected_*, which proc(5) describes; any thread may change them at any time. */
enum vfs_protected_kind {
	VFS_PROTECTED_SYMLINKS,
	VFS_PROTECTED_HARDLINKS,
	VFS_PROTECTED_FIFOS,
	VFS_PROTECTED_REGULAR,
	VFS_PROTECTED_KINDS
};
extern _Atomic unsigned vfs_protected[VFS_PROTECTED_KINDS];

/* ---- changing the tree; errors as the system call of the name ---- */

int vfs_mkdir(const struct lookup *l, int dirfd, const char *path, uint32_t mode) MUST_CHECK;
/* Whether mknod knows the type in mode: -EPERM for a directory, -EINVAL. */
int vfs_may_mknod(uint32_t mode) MUST_CHECK;
int vfs_mknod(const struct lookup *l, int dirfd, const char *path, uint32_t mode, uint64_t rdev) MUST_CHECK;
/* The same; *out, counted, is what was made (NULL: nobody wants it). */
int vfs_mknod_path(const struct lookup *l, int dirfd, const char *path, uint32_t mode, uint64_t rdev, struct path *out) MUST_CHECK;
int vfs_symlink(const struct lookup *l, const char *target, int dirfd, const char *path) MUST_CHECK;
/* at_flags: AT_SYMLINK_FOLLOW, AT_EMPTY_PATH */
/* Of link and rename, with new_path or both paths NULL: whether the rest would do. */
int vfs_link(const struct lookup *l, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
	     unsigned at_flags) MUST_CHECK;
int vfs_unlink(const struct lookup *l, int dirfd, const char *path) MUST_CHECK;
int vfs_rmdir(const struct lookup *l, int dirfd, const char *path) MUST_CHECK;
int vfs_rename(const struct lookup *l, int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
	       unsigned flags) MUST_CHECK;

/* Attributes of what p names, on behalf of c: rules and errors of chmod, chown (-1: leave), utimensat and truncate. */
int vfs_chmod(const struct path *p, uint32_t mode, const struct cred *c) MUST_CHECK;
int vfs_chown(const struct path *p, uint32_t uid, uint32_t gid, const struct cred *c) MUST_CHECK;
/* times[0] atime, [1] mtime, with L_UTIME_NOW and L_UTIME_OMIT; NULL: both now. */
int vfs_utimes(const struct path *p, const struct l_timespec *times, const struct cred *c) MUST_CHECK;
int vfs_truncate(const struct path *p, uint64_t size, const struct cred *c) MUST_CHECK;
int vfs_ftruncate(struct file *f, uint64_t size) MUST_CHECK;
/* After a write by one who may not: takes set-user-ID and set-group-ID away. */
int vfs_remove_privs(struct file *f, const struct cred *c) MUST_CHECK;
/* The flags of what p names, L_FS_*_FL: -ENOTTY if it keeps none.  Setting: -EPERM, -EOPNOTSUPP (others than those). */
int vfs_get_inode_flags(const struct path *p, uint32_t *out) MUST_CHECK;
int vfs_set_inode_flags(const struct path *p, uint32_t flags, const struct cred *c) MUST_CHECK;
ssize_t vfs_getxattr(const struct path *p, const char *name, void *buf, size_t size, const struct cred *c) MUST_CHECK;
int vfs_setxattr(const struct path *p, const char *name, const void *value, size_t size, int flags,
		 const struct cred *c) MUST_CHECK;
ssize_t vfs_listxattr(const struct path *p, char *buf, size_t size, const struct cred *c) MUST_CHECK;
int vfs_removexattr(const struct path *p, const char *name, const struct cred *c) MUST_CHECK;

/* ---- locks (flock(2), fcntl_locking(2)) ---- */

/* op: L_LOCK_SH, _EX or _UN, perhaps with L_LOCK_NB; pid: the caller's, for /proc/locks. */
int vfs_flock(struct file *f, unsigned op, int pid) MUST_CHECK;
#define LOCK_TO_THE_END (UINT64_MAX >> 1)
struct lock_range {
	int type; /* L_F_RDLCK, L_F_WRLCK, L_F_UNLCK */
	uint64_t start, end; /* bytes, end included; LOCK_TO_THE_END: to the end of the file, wherever that will be */
	int pid;  /* of the owner; -1 for OFD locks */
};
/* owner is the descriptor table (POSIX) or the file (OFD).  wait: sleep for it (-EDEADLK, -ERESTARTSYS), else -EAGAIN.  -ENOLCK:
 * the sandbox holds too many. */
int vfs_lock(struct file *f, const void *owner, const struct lock_range *want, bool wait) MUST_CHECK;
/* Turns *range into the first lock that is in its way (of type L_F_UNLCK: of owner's own there), or its type into L_F_UNLCK. */
void vfs_lock_test(struct file *f, const void *owner, struct lock_range *range);
void vfs_locks_release(struct inode *i, const void *owner); /* all of owner's; at close */
/* F_SETLEASE by descriptor fd of the process pid: type is a lock's.  -EAGAIN if the file is open otherwise, or (L_F_UNLCK) has no
 * lease through f; -EACCES, -EINVAL, -ENOLCK. */
int vfs_set_lease(struct file *f, int fd, int type, const struct cred *c, int pid) MUST_CHECK;
int vfs_get_lease(struct file *f);	/* F_GETLEASE: the type that it has, or is asked to take */
extern struct tunable lease_break_time; /* fs.lease-break-time */
extern struct tunable leases_enable;	/* fs.leases-enable */
/* Where lines on locks go, and what they say of a holder: nr is called with no lock held but locks.c's; 0 hides the
 * lock.  NULL: as the sentry has it. */
struct locks_view {
	FILE *out;
	int (*nr)(int pid, const void *arg);
	const void *arg;
};
void vfs_show_locks(const struct locks_view *v); /* the lines of /proc/locks */
/* The "lock:" lines of f's fdinfo, in the descriptor table `table`. */
void vfs_show_file_locks(const struct locks_view *v, const struct file *f, const void *table);

/* ---- file systems ---- */

/* What one has that is mounted without a size: half of memory, in bytes. */
uint64_t tmpfs_default_size(void);
/* Another limit, in bytes (0: none), for a tmpfs.  -EINVAL: it holds more than that already, or had none. */
int tmpfs_resize(struct super_block *sb, uint64_t size_limit) MUST_CHECK;
/* size_limit in bytes; 0: none. */
int tmpfs_create(uint64_t size_limit, uint32_t root_mode, uint32_t uid, uint32_t gid, struct super_block **out) MUST_CHECK;
/* A directory of the host.  root_fd (an O_PATH directory, consumed) is what the host shows; nothing above it is ever
 * reached and no symlink is followed by the host. */
int hostfs_create(int root_fd, unsigned how, struct super_block **out) MUST_CHECK;
#define HOSTFS_READ_ONLY 1u
#define HOSTFS_NO_LINKS 2u /* the host follows none there, whatever it is asked: paths of several names may be put to it */
/* lower (consumed) read-only, changes in memory. */
int overlay_create(struct super_block *lower, uint64_t size_limit, struct super_block **out) MUST_CHECK;
int devfs_create(struct super_block **out) MUST_CHECK;
/* A file for a host descriptor that comes in (stdin...): fd is consumed. */
int hostfile_create(int fd, const struct cred *c, struct file **out) MUST_CHECK;
/* Both hostfile_create's and one terminal that was opened in two ways: f is from now on a descriptor of `with`'s line, which is what
 * controls a session and what /dev/tty opens.  Before any guest has f. */
void hostfile_share_tty(struct file *f, struct file *with);
/* procfs_create is in sentry/fs/proc/proc.h: it needs tasks. */

/* Opens a FIFO (waiting for the other side as fifo(7) says) or a device by i->rdev (-ENXIO if there is none): sets f->ops
 * and f->priv.  fifo_release frees i->fifo with its inode. */
int fifo_open(struct inode *i, struct file *f) MUST_CHECK;
void fifo_release(struct inode *i);
int device_open(struct inode *i, struct file *f) MUST_CHECK;

/* pipe2(2): two files, owned. */
int pipe_create(uint32_t flags, const struct cred *c, struct file **rd, struct file **wr) MUST_CHECK;

#endif
