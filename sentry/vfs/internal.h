/*
 * What the files of sentry/vfs share and file systems do not see: the insides of dentries, mounts and the walk.
 *
 * Locks: rename_lock is held over every change of a dentry's parent or name; dcache_lock guards the cache's hash and
 * LRU and is held for the change itself, so either suffices to read parent and name.  mount_lock guards the tree
 * of mounts.  Order: rename_lock > inode locks > mount_lock > dcache_lock.
 */
#ifndef BAILEY_SENTRY_VFS_INTERNAL_H
#define BAILEY_SENTRY_VFS_INTERNAL_H

#include "abi/types.h"
#include "base/htable.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* ---- dentries ---- */

struct dname { /* shared by the dentries that a rename left with the same name */
	struct refcount refs;
	uint32_t len;
	char s[];
};

struct dentry {
	struct refcount refs;	       /* one is the cache's while D_HASHED */
	_Atomic uint32_t flags;	       /* D_* */
	_Atomic uint32_t mounts;       /* how many hang on it, in whatever tree; changed with mount_lock held */
	struct dentry *parent;	       /* counted; NULL: a root.  See above */
	struct dname *name;	       /* counted; see above */
	_Atomic(struct inode *) inode; /* counted; NULL: negative; set once, with the directory's lock held */
	struct super_block *sb;	       /* borrowed: the root, or a parent's inode, holds it; immutable */
	struct hentry hashed;	       /* by parent and name; guarded by dcache_lock */
	struct list_head lru;	       /* guarded by dcache_lock */
	struct list_head children;     /* of sibling: those that are in the cache; guarded by dcache_lock */
	struct list_head sibling;      /* guarded by dcache_lock */
};
#define D_HASHED 1u	/* in the cache; changed under dcache_lock */
#define D_REFERENCED 2u /* found since the LRU's hand last passed */
#define D_UNLINKED 4u	/* its name is gone for good */
#define D_LINKABLE 16u	/* made by O_TMPFILE without O_EXCL */
#define D_ANONYMOUS 32u /* of a pipe, socket...: its name is all of its path */

extern struct mutex dcache_lock;
extern struct mutex rename_lock;
extern _Atomic uint64_t rename_count; /* goes up at each rename and mount change: scoped walks look at it */
extern size_t dcache_limit;	      /* cached dentries; more only while they are in use */

/* A negative dentry that is not in the cache, holding parent; NULL: no memory. */
struct dentry *dentry_alloc(struct super_block *sb, struct dentry *parent, const char *name, size_t name_len);
/* As dentry_lookup, with the lock of parent's inode held. */
int dentry_lookup_locked(struct dentry *parent, const char *name, size_t name_len, struct dentry **out) MUST_CHECK;
/* As dentry_lookup; *fresh: the attributes of what was found are up to date. */
int dentry_lookup_fresh(struct dentry *parent, const char *name, size_t name_len, struct dentry **out,
			bool *fresh) MUST_CHECK;
/* The same for a child that is not in the cache, by super_ops.lookup_along.  -EAGAIN: it is there by now. */
int dentry_lookup_along(struct dentry *from, const char *path, struct dentry *parent, const char *name, size_t name_len,
			struct dentry **out, bool *fresh) MUST_CHECK;
/* The child if it is in the cache (counted), good or not, else NULL. */
struct dentry *dentry_find(struct dentry *parent, const char *name, size_t name_len);
/* The child if it is in the cache and good (counted), else NULL.  No file system is asked for it. */
struct dentry *dentry_cached(struct dentry *parent, const char *name, size_t name_len);
/* Puts d into the cache, if it is not there; a mount point must be found again even in a file system without cache. */
void dentry_hash(struct dentry *d);
/* Takes d out of the cache, so that the next lookup asks the file system. */
void dentry_drop(struct dentry *d);
/* As dentry_drop, for a name that was removed. */
void dentry_unlinked(struct dentry *d);
/* After a rename: d gets target's place and name, and target is dropped (unlinked if it was positive). */
void dentry_move(struct dentry *d, struct dentry *target) REQUIRES(rename_lock);
void dentry_exchange(struct dentry *a, struct dentry *b) REQUIRES(rename_lock);
/* True if ancestor is d or above it, in one file system. */
bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor);
/* Drops everything cached of a file system that is going. */
void dcache_drop_super(struct super_block *sb);
size_t dcache_count(void);

void super_hold(struct super_block *sb);
void super_unhold(struct super_block *sb);

/* ---- mounts (their insides are in mount_internal.h) ---- */

extern struct rwlock mount_lock;
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);
/* While something is mounted on *p, steps onto it; *p's references are exchanged. */
void path_follow_mounts(struct path *p);
/* mount_is_in, for those who know no mounts; takes mount_lock. */
bool mount_in_ns(const struct mount *m, const struct mnt_ns *ns);
/* If *p is the root of a mount that hangs somewhere, steps onto the mount point and returns true. */
bool path_above_mount(struct path *p);
/* A file of *p is open for writing until path_put_write.  -EROFS if the mount has become read-only. */
int path_get_write(const struct path *p) MUST_CHECK;
void path_put_write(const struct path *p);
/* -EROFS if the mount or the file system is read-only. */
int path_want_write(const struct path *p) MUST_CHECK;
/* True if d is the root of a file system, or carries a mount in ns (NULL: in any). */
bool dentry_is_mountpoint(const struct dentry *d, const struct mnt_ns *ns);
/* Takes away what is mounted on d in any namespace: its name was removed. */
void mount_detach_from(struct dentry *d);
/* vfs_path_name with mount_lock held. */
int path_name_locked(const struct path *p, const struct path *root, char *buf, size_t size, bool *unreachable)
	MUST_CHECK;

/* ---- the walk ---- */

enum last_kind { LAST_NAME, LAST_DOT, LAST_DOTDOT, LAST_ROOT };

struct walk_frame { /* a path, or the text of a link in it, and how far it was walked */
	const char *at;
	char *owned;
};

/* A walk that has come to the directory of the last component: the component is named and not yet looked up. */
struct walk {
	const struct lookup *l;
	struct path root;     /* counted: where absolute links begin and ".." ends */
	struct path at;	      /* counted */
	uint64_t resolve;     /* L_RESOLVE_* */
	uint64_t renames;     /* rename_count at the start, for scoped walks */
	const char *last;     /* not NUL-terminated; in a frame */
	size_t last_len;
	enum last_kind kind;
	bool must_be_dir;     /* slashes follow */
	int links;	      /* followed so far */
	int depth;
	/* Where the walk was before it came to `at` by cached names alone, which nobody has been asked about (counted; NULL: at is good),
	 * and those names in the text on top. */
	struct dentry *sure;
	const char *unsure, *unsure_end;
	bool by_name;	      /* no more of that */
	bool guessed;	      /* the last component is known by its path alone, its directory may be another (LOOKUP_ATTR) */
	bool fresh;	      /* its attributes are up to date */
	struct walk_frame frames[L_MAXSYMLINKS + 2];
};

/* Begins at dirfd and walks to the last component.  walk_end whatever the result. */
int walk_begin(struct walk *w, const struct lookup *l, int dirfd, const char *path, uint64_t resolve) MUST_CHECK;
int walk_to_last(struct walk *w) MUST_CHECK;
/* After -ESTALE, as somebody outside has moved something between two steps: true if it is to be begun anew, name by name. */
bool walk_again(int *tries);
/* As walk_to_last, but w->at may have come out of the cache unasked: for walk_finish alone. */
int walk_on(struct walk *w) MUST_CHECK;
/* Looks the last component up: *out (counted) may be negative.  Mounts are crossed; links are not followed. */
int walk_lookup_last(struct walk *w, struct path *out) MUST_CHECK;
/* Follows link (the last component, borrowed) and walks on to the last component of where it leads.  If the link leads to an
 * object without a name (a magic link, "/"), w->kind is LAST_ROOT and w->at the object. */
int walk_follow(struct walk *w, const struct path *link) MUST_CHECK;
/* Looks up and follows to the end. flags: LOOKUP_* */
int walk_finish(struct walk *w, unsigned flags, struct path *out) MUST_CHECK;
void walk_end(struct walk *w);

/* ---- permission ---- */

int inode_permission(struct inode *i, unsigned mask, const struct cred *c) MUST_CHECK;
/* ---- file_caps.c: raw is a value of security.capability as it is on i's file system, or becomes so ---- */

#define FILE_CAPS_WORDS 6
/* What c is told: the size, -EOVERFLOW: it is of no meaning to c. */
ssize_t file_caps_read(const struct inode *i, uint32_t raw[FILE_CAPS_WORDS], size_t size,
		       const struct cred *c) MUST_CHECK;
/* What is written when c writes raw: the size, -EINVAL. */
ssize_t file_caps_write(const struct inode *i, uint32_t raw[FILE_CAPS_WORDS], size_t size,
			const struct cred *c) MUST_CHECK;

/* By a capability, which must hold over the inode's owner and group. */
bool inode_capable(const struct inode *i, const struct cred *c, unsigned cap);
/* Can sb's files be theirs: -EOVERFLOW otherwise. */
bool super_knows(const struct super_block *sb, uint32_t uid, uint32_t gid);
int may_create(const struct path *dir, const struct cred *c) MUST_CHECK;
/* victim's removal from dir; is_dir: by rmdir, or rename of a directory over it. */
int may_delete(const struct path *dir, const struct dentry *victim, bool is_dir, const struct cred *c) MUST_CHECK;
/* fs.protected_symlinks: may the last component of a path, link in dir, be followed?  -EACCES, whatever one's capabilities. */
int may_follow_link(const struct inode *dir, const struct inode *link, const struct cred *c) MUST_CHECK;
/* fs.protected_hardlinks: may a further name be given to target?  -EPERM. */
int may_link(struct inode *target, const struct cred *c) MUST_CHECK;
/* fs.protected_fifos and _regular: may O_CREAT open what was found in dir?  -EACCES, whatever one's capabilities. */
int may_create_in_sticky(const struct inode *dir, const struct inode *found, const struct cred *c) MUST_CHECK;
/* The mode of something new in dir: umask, and set-group-ID for those who may not give it. */
uint32_t mode_for_new(const struct lookup *l, const struct inode *dir, uint32_t mode);

/* ---- files ---- */

extern const struct file_ops file_no_ops; /* so that a file always has some */
#define FILE_WRITER 256u   /* counts in inode->writers */
#define FILE_DENIES 512u   /* counts there as executed */
#define FILE_OPENED 1024u  /* watchers were told that it was opened */
#define FILE_READER 4096u  /* counts in inode->readers */
struct file *file_new(const struct path *p, uint32_t flags, const struct cred *c);
void locks_free(struct inode *i);
void lease_release(struct file *f); /* at f's last put */
int lease_break_slow(struct inode *i, bool write, bool nonblock) MUST_CHECK;
/* i is about to be opened, for writing or not, or truncated: waits until no lease stands against that.  -EWOULDBLOCK,
 * -ERESTARTSYS.  No locks held. */
static inline int lease_break(struct inode *i, bool write, bool nonblock)
{
	return LIKELY(!i->leased) ? 0 : lease_break_slow(i, write, nonblock);
}
/* vfs_getattr; fresh: the inode's fields are known to be up to date. */
int path_getattr(const struct path *p, bool fresh, struct l_statx *st) MUST_CHECK;
int setattr_locked(struct inode *i, struct iattr *a) MUST_CHECK REQUIRES(i->lock);

#endif
