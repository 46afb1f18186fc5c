/*
 * What the files of hostfs share.
 *
 * An inode is known by the host's device and inode number, and reached by a parent node and a name: the root's
 * descriptor is the only one that is always open.  Directories that are in use keep an O_PATH descriptor in an LRU of
 * DIR_FDS_MAX entries; one that has dropped out is opened again by its name from its parent's, and must then still be
 * the same directory (-ESTALE).  A directory that is opened for reading has one for reading there, by which its first listing is
 * read.  Files are reached by (directory descriptor, name), which needs one short host call,
 * cannot leave the tree and follows no link.  This was chosen over an O_PATH descriptor an inode (no bound: a find over
 * /usr would hold 100,000) and over path strings (long host walks, and every rename of a directory rewrites its
 * subtree).
 *
 * Regular files hold one descriptor an inode for reading and one for writing while anybody has them open so.  The one for reading
 * of a small file of a read-only tree is kept after that, for its next open, of KEPT_MAX files.
 *
 * Locks: fs->lock guards the table of nodes, each node's place (parent, name) and the LRU; it is a leaf below the
 * inodes' locks.  node->fds are guarded by the inode's lock, but whoever has the file open may use what it opened.
 *
 * DIVERGES: a read-only tree is taken as unchanging where it is cached: names, and attributes until the next open.  A
 * read-write tree is asked again at each lookup and stat, for a path of cached names once if that tells enough (still_names).
 */
#ifndef BAILEY_SENTRY_FS_HOSTFS_INTERNAL_H
#define BAILEY_SENTRY_FS_HOSTFS_INTERNAL_H

#include "abi/types.h"
#include "base/htable.h"
#include "host/file.h"
#include "sentry/vfs/vfs.h"

#define DIR_FDS_MAX 256u
#define KEPT_MAX 32u
#define KEPT_SIZE_MAX (2ul << 20) /* a file that is removed outside takes room as long as it is kept */

/* What changes with whatever may change who can open a file. */
struct host_mark {
	struct l_timespec ctime;
	uint32_t mode, uid, gid;
};

struct host_node {
	struct inode *inode;	/* borrowed: the node is its priv */
	uint64_t dev, ino;	/* the host's; immutable */
	struct hentry hashed;	/* in the table, if in_table; guarded by fs->lock */
	bool in_table;

	/* Guarded by fs->lock. */
	struct host_node *parent; /* its inode counted; NULL: the root, or nowhere any more */
	char *name;
	int dir_fd; /* O_PATH, or for reading; or -1 */
	bool dir_fd_unread; /* it is for reading, and at its beginning */
	unsigned dir_fd_users;
	struct list_head lru; /* in fs->dir_fds while dir_fd is open; not for the root; of a file in fs->kept */
	int kept_fd;	      /* of a file that nobody has open, for reading; or -1 */

	/* Guarded by inode->lock. */
	struct {
		int fd;
		unsigned users;
	} fds[2]; /* [0] for reading, [1] for writing (and reading, if allowed) */
	struct host_mark opened; /* what the file was when fds[0] was opened */
	int made_fd; /* of the call that made the file, for both, until its first open: that need not heed the mode; or -1 */
};

struct hostfs {
	struct rwlock moves; /* see node_at_place; outside of lock */
	struct mutex lock;
	struct htable nodes;
	struct list_head dir_fds; /* the latest used first */
	unsigned dir_fd_count;
	struct list_head kept; /* files with a kept_fd, the latest first */
	unsigned kept_count;
	struct host_node *root; /* borrowed: the super block's root dentry holds it */
	uint64_t root_dev;	/* immutable */
	bool read_only;		/* immutable */
};

static inline struct hostfs *hostfs_of(const struct inode *i)
{
	return i->sb->priv;
}
static inline struct host_node *node_of(const struct inode *i)
{
	return i->priv;
}

/* ---- node.c ---- */

/* The inode for what the host says is at (parent, name), found or made; counted.  Its attributes are brought up to date: 1; or, as
 * somebody has its lock, who will ask anew, are not: 0. */
int node_get(struct super_block *sb, const struct host_stat *st, struct host_node *parent, const char *name,
	     struct inode **out) MUST_CHECK;
/* The inode's release. */
void node_release(struct inode *i);
/* Attributes from the host's into the inode; i->lock held. */
void node_set_attr(struct inode *i, const struct host_stat *st);
uint64_t node_guest_ino(const struct hostfs *fs, uint64_t dev, uint64_t ino);

/* A directory's descriptor, to be given back by dir_fd_put.  -ESTALE if it is no longer where it was. */
int dir_fd_get(struct host_node *dir) MUST_CHECK;
void dir_fd_put(struct host_node *dir);
/* The same if it is open, else -1. */
int dir_fd_peek(struct host_node *dir) MUST_CHECK;
/* Makes fd (consumed) the directory's descriptor if it has none, and gets it.  unread: it is for reading. */
int dir_fd_keep(struct host_node *dir, int fd, bool unread);
/* The directory will be listed: if no descriptor is open, opens one for reading.  -EACCES: it may be searched all the same. */
int dir_fd_open_reading(struct host_node *dir) MUST_CHECK;
/* A descriptor that reads the directory from its beginning and is the caller's alone, until dir_fd_read_end; *own: it is the
 * directory's. */
int dir_fd_read(struct host_node *dir, bool *own) MUST_CHECK;
void dir_fd_read_end(struct host_node *dir, int fd, bool own);
/* Where a node is: its directory (counted, its descriptor got) and its name. */
struct node_place {
	struct host_node *dir;
	int fd;
	char name[L_NAME_MAX + 1];
};
/*
 * Calls fn with the place of n, and returns what it returns (>= 0: success).  fn makes sure that what it finds there is
 * n, and says -ESTALE if not.  A rename or removal here may have come in between: then (-ESTALE, -ENOENT, -ENOTDIR) it
 * is done once more with fs->moves held, for reading; they hold it for writing from the host's call to node_set_place.
 */
int node_at_place(struct host_node *n, int (*fn)(struct host_node *n, const struct node_place *p, void *arg),
		  void *arg) MUST_CHECK;
/* True if what the host says is this node's file. */
bool node_is(const struct host_node *n, const struct host_stat *st);
/* The node is now called name in parent; or (NULL) has lost that name. */
int node_set_place(struct host_node *n, struct host_node *parent, const char *name) MUST_CHECK;
void node_lose_place(struct host_node *n, const struct host_node *parent, const char *name);
/* Asks the host for the attributes of an open or named node.  i->lock held.  What cannot be reached keeps its old ones.
 */
void node_refresh(struct inode *i);

/* fd, which is consumed, made the file that n is: n's first open may use it.  Only so many are kept: a file that mknod(2) made, or
 * whose open came to nothing, keeps its own as long as it is cached. */
void node_keep_made(struct host_node *n, int fd);
void node_drop_made(struct host_node *n); /* n->inode->lock held, or nobody else has n */
int node_take_made(struct host_node *n);  /* the same; it is the caller's, or -1 */

/* Keeps fd, which is consumed, for n's next open for reading; an older one is closed for it. */
void node_keep(struct host_node *n, int fd);
/* What is kept, which is the caller's then, or -1. */
int node_take_kept(struct host_node *n) MUST_CHECK;
/* Closes all that is kept.  False if there was nothing. */
bool node_drop_kept(struct hostfs *fs);

/* ---- names.c, file.c ---- */

extern const struct inode_ops hostfs_dir_ops, hostfs_file_ops, hostfs_symlink_ops, hostfs_special_ops;
extern const struct file_ops hostfs_dir_file_ops, hostfs_regular_file_ops;

int hostfs_lookup_along(struct dentry *from, const char *path, struct inode *dir, struct dentry *d);
int hostfs_open(struct inode *i, struct file *f);
int hostfs_setattr(struct inode *i, const struct iattr *a);
ssize_t hostfs_getxattr(struct inode *i, const char *name, void *buf, size_t size);
ssize_t hostfs_listxattr(struct inode *i, char *buf, size_t size);
int hostfs_setxattr(struct inode *i, const char *name, const void *value, size_t size, int flags);
int hostfs_removexattr(struct inode *i, const char *name);

#endif
