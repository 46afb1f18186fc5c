/*
 * Mounts, for those outside of the VFS: making, moving and taking them away, and the namespaces they are in
 * (mount_namespaces(7)).
 *
 * A namespace is a tree of mounts.  Functions that change it take the caller's namespace and refuse paths that lie in
 * another
 * (-EINVAL); NULL asks for no such check, which is for the sentry itself.
 */
#ifndef BAILEY_SENTRY_VFS_MOUNT_H
#define BAILEY_SENTRY_VFS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "sentry/core/ns.h"

struct cred;
struct file;
struct mount;
struct mnt_ns;
struct path;
struct super_block;
struct fs_info;
struct inode;
struct waitqueue;

#define MNT_RDONLY 1u
#define MNT_NOSUID 2u
#define MNT_NODEV 4u
#define MNT_NOEXEC 8u
#define MNT_NOATIME 16u
#define MNT_NODIRATIME 32u
#define MNT_STRICTATIME 64u /* with neither this nor NOATIME it is as relatime has it */
#define MNT_NOSYMFOLLOW 128u
/* What those who got the mount from a namespace of more rights cannot take back, or away. */
#define MNT_LOCKED 256u /* it stays where it is */
#define MNT_LOCK_RDONLY 512u
#define MNT_LOCK_NOSUID 1024u
#define MNT_LOCK_NODEV 2048u
#define MNT_LOCK_NOEXEC 4096u
#define MNT_LOCK_ATIME 8192u
#define MNT_LOCKS (MNT_LOCKED | MNT_LOCK_RDONLY | MNT_LOCK_NOSUID | MNT_LOCK_NODEV | MNT_LOCK_NOEXEC | MNT_LOCK_ATIME)
#define MNT_ATIME_FLAGS (MNT_NOATIME | MNT_NODIRATIME | MNT_STRICTATIME)
unsigned mount_flags(const struct mount *m); /* MNT_*; of NULL, none */
int mount_id(const struct mount *m);
uint64_t mount_unique_id(const struct mount *m); /* never given out twice: statmount(2) */

/* fs.mount-max: mounts in a namespace at most (-ENOSPC). */
#define MOUNT_MAX_DEFAULT 100000
extern _Atomic unsigned mount_max;

/* ---- mounting ---- */

/* Mounts sb's root (consumes the reference) on path `at`; at == NULL makes a tree of its own, in no namespace, returned
 * in *root_out (which is otherwise optional).  -EBUSY: the same file system is mounted right there already. */
int vfs_mount(struct mnt_ns *ns, struct super_block *sb, const struct path *at, unsigned flags, const char *source,
	      struct path *root_out) MUST_CHECK;
/* Mounts what src shows at `at` too, with the mounts below it if recursive.  more_flags are added to the flags of src's
 * mount. */
int vfs_bind(struct mnt_ns *ns, const struct path *src, const struct path *at, bool recursive,
	     unsigned more_flags) MUST_CHECK;
int vfs_move_mount(struct mnt_ns *ns, const struct path *from, const struct path *at) MUST_CHECK;
/* The same, beneath the mount whose root at is, which then covers it.  root: the caller's, that has nothing beneath. */
int vfs_move_mount_beneath(struct mnt_ns *ns, const struct path *root, const struct path *from,
			   const struct path *at) MUST_CHECK;
/* -EINVAL unless at is a mount's root; -EPERM for what is locked. */
int vfs_remount(struct mnt_ns *ns, const struct path *at, unsigned flags) MUST_CHECK;

/* The file system that at is in, and who made it; borrowed. */
struct super_block *vfs_super(const struct path *at);
struct user_ns *vfs_super_owner(const struct path *at);
/* Whether the file system as a whole, which is at's, takes no changes.  -EBUSY: a file is open for writing; then nothing
 * has changed. */
int vfs_super_set_rdonly(const struct path *at, bool rdonly) MUST_CHECK;

enum propagation { PROPAGATION_SHARED, PROPAGATION_SLAVE, PROPAGATION_PRIVATE, PROPAGATION_UNBINDABLE };
/* mount_namespaces(7), "Shared subtrees".  recursive: of all mounts below as well. */
int vfs_set_propagation(struct mnt_ns *ns, const struct path *at, enum propagation kind, bool recursive) MUST_CHECK;

#define UMOUNT_DETACH 1u /* whether it is in use or not */
#define UMOUNT_EXPIRE 2u /* -EAGAIN the first time, and again after each use */
/* -EBUSY if it is in use; -EINVAL if at is no mount's root. */
int vfs_umount(struct mnt_ns *ns, const struct path *at, unsigned how) MUST_CHECK;
/* Lets go of a path without that being a use of the mount, as far as UMOUNT_EXPIRE goes. */
void path_put_unused(const struct path *p);

/* pivot_root(2), with the roots and working directories of processes.  root: the caller's. */
int vfs_pivot_root(struct mnt_ns *ns, const struct path *root, const struct path *new_root,
		   const struct path *put_old) MUST_CHECK;

/* Would a new mount of sb in ns, with *flags, show more than a mount of such a file system that ns has already: then c,
 * who owns neither, must not have it.  Else *flags get the locks of that. */
bool mount_reveals(struct mnt_ns *ns, const struct super_block *sb, unsigned *flags);

/* Is p the root of a mount? */
bool vfs_is_mount_root(const struct path *p);

/* ---- trees that are mounted nowhere: open_tree(2), fsmount(2) ---- */

/* A descriptor's file (O_PATH) of a copy of what src shows, which goes with the file unless it was moved somewhere
 * meanwhile. */
int vfs_clone_tree(struct mnt_ns *ns, const struct path *src, bool recursive, const struct cred *c,
		   struct file **out) MUST_CHECK;
/* The same of a new mount of sb (consumed). */
int vfs_detached_mount(struct super_block *sb, unsigned flags, const char *source, const struct cred *c,
		       struct file **out) MUST_CHECK;

/* mount_setattr(2): flags (MNT_*) to set and to take away; propagation unless it is negative (an enum propagation).
 * -EBUSY: a file is open for writing where it would become read-only; then nothing has changed. */
struct mount_change {
	unsigned set, clear;
	int propagation;
	bool recursive;
};
int vfs_mount_setattr(struct mnt_ns *ns, const struct path *at, const struct mount_change *change) MUST_CHECK;

/* ---- asking: listmount(2), statmount(2) ---- */

struct l_statmount;
/* Fills *st and the strings it points into (allocated, *len bytes), as mask (L_STATMOUNT_*) asks, for the mount of that
 * id. -ENOENT; -EPERM if it cannot be reached from root and privileged is false. */
int vfs_statmount(struct mnt_ns *ns, const struct path *root, uint64_t id, uint64_t mask, bool privileged,
		  struct l_statmount *st, char **strings, size_t *len) MUST_CHECK;
/* The ids after `after` of mounts that can be reached from the mount parent (L_LSMT_ROOT: from root), in order; at most
 * max. Their count. */
ssize_t vfs_listmount(struct mnt_ns *ns, const struct path *root, uint64_t parent, uint64_t after, bool reverse,
		      bool privileged, uint64_t *ids, size_t max) MUST_CHECK;

/* ---- namespaces ---- */

/* Makes the tree that root is the top of the first namespace. */
int mnt_ns_adopt(const struct path *root) MUST_CHECK;
/* A copy of ns, owner's: what ns has mounted can be neither taken away nor made less strict there if that is another's.
 * Root and working directory of fs (the caller's alone) are stepped over to the copies of the mounts they are in, and
 * fs is in the copy from then on. */
int mnt_ns_copy(struct mnt_ns *ns, struct user_ns *owner, struct fs_info *fs) MUST_CHECK;
/* What is on top of it, counted; -EINVAL: there is nothing left. */
int mnt_ns_top(struct mnt_ns *ns, struct path *out) MUST_CHECK;
/* Puts fs (the caller's alone) into ns, at its top. */
int mnt_ns_enter(struct mnt_ns *ns, struct fs_info *fs) MUST_CHECK;
/* The one that m is in, counted; NULL if it is in none. */
struct mnt_ns *mnt_ns_of_mount(struct mount *m);
/* What changes with every mount, unmount and remount in ns, and the queue that tells of it. */
uint64_t mnt_ns_events(const struct mnt_ns *ns);
struct waitqueue *mnt_ns_queue(struct mnt_ns *ns);
struct mnt_ns *mnt_ns_get(struct mnt_ns *ns);
void mnt_ns_put(struct mnt_ns *ns);	     /* the last one takes its mounts away.  NULL is allowed */
struct ns *mnt_ns_common(struct mnt_ns *ns); /* borrowed */
unsigned mnt_ns_count(struct mnt_ns *ns);    /* of mounts in it */
struct mnt_ns *mnt_ns_of(struct ns *ns);     /* ns is of kind NS_MNT; borrowed */

/* The namespace whose file i is, borrowed, or NULL: an inode of nsfs has it as its priv. */
struct ns *inode_namespace(const struct inode *i);

/* Writes the lines of /proc/PID/mounts (mountinfo: of that) as seen from root, allocated. */
int vfs_show_mounts(const struct path *root, bool mountinfo, char **out, size_t *len) MUST_CHECK;

#endif
