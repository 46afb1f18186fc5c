/* The insides of mounts, shared by the files mount*.c. */
#ifndef BAILEY_SENTRY_VFS_MOUNT_INTERNAL_H
#define BAILEY_SENTRY_VFS_MOUNT_INTERNAL_H

#include "sentry/vfs/internal.h"
#include "sentry/vfs/mount.h"

struct mount {
	struct refcount refs;
	struct super_block *sb; /* counted; immutable */
	struct dentry *root;	/* counted; immutable */
	int id;			/* immutable */
	uint64_t unique_id;	/* immutable */
	_Atomic unsigned flags; /* MNT_* */
	_Atomic int writers;	/* files of it open for writing; a mount becomes read-only with none */
	_Atomic bool expiring;	/* marked by UMOUNT_EXPIRE and not used since */
	char *source;		/* immutable */
	/* Guarded by mount_lock. */
	struct mnt_ns *ns;	   /* whose tree it is in, borrowed; NULL: none's */
	struct mount *parent;	   /* counted; NULL: the root of a tree, or detached */
	struct dentry *mountpoint; /* counted; in parent */
	struct list_head children; /* of sibling, each counted */
	struct list_head sibling;
	struct list_head hashed; /* by mount point, while it has a parent */
	/* Shared subtrees.  Peers have one group; events of a group reach those that have it as their master. */
	int group, master; /* 0: none */
	bool unbindable;
	struct list_head shared; /* in the list of all that have a group or a master */
	/* Scratch of one operation. */
	struct mount *copy;	  /* of mount_copy_tree: what was made of it */
	struct mount *next_heard; /* of mount_hear: a queue; */
	struct mount *heard_from; /*   through whom; */
	struct mount *heard_copy; /*   and what the event put there */
	bool heard, hang_copy, doomed, made_rdonly;
	struct list_head doom;	   /* of umount_tree */
	struct mount *left_parent; /* what it held when it was taken out, to be let go without the lock */
	struct dentry *left_mountpoint;
};

struct mnt_ns {
	struct ns ns;
	bool anonymous;	    /* holds a tree that is in no process's namespace (open_tree, fsmount); immutable */
	struct mount *root; /* counted; guarded by mount_lock, as is the next */
	unsigned count;	    /* mounts in it */
	_Atomic uint64_t events; /* changes so far; counted under mount_lock */
	struct waitqueue wq;	 /* of those who poll for them */
};
/* ns, which may be NULL, has changed.  mount_lock held for writing. */
void mnt_ns_touch(struct mnt_ns *ns);

/* ---- mount.c: objects and the tree, mount_lock held for writing where it changes ---- */

/* A mount in no tree; consumes sb on success.  NULL: no memory, or too many. */
struct mount *mount_new(struct super_block *sb, struct dentry *root, unsigned flags, const char *source);
/* The mount that hangs on d in parent, or NULL; borrowed. */
struct mount *mount_child_at(const struct mount *parent, const struct dentry *d);
/* The next of the tree of top, in an order in which parents come first; skip: not those below m. */
struct mount *mount_next(const struct mount *m, const struct mount *top, bool skip);
/* Hangs m (a reference becomes the tree's) on d in parent, and takes it down. */
void mount_hang(struct mount *m, struct mount *parent, struct dentry *d);
void mount_unhang(struct mount *m); /* left_parent and left_mountpoint have what mount_release_left lets go */
/* With mount_lock held if others hold the same; else without it. */
void mount_release_left(struct mount *m);
/* True if d in m can be reached from *root by going up from it. */
bool mount_reachable(const struct mount *m, const struct dentry *d, const struct path *root);
/* The whole tree's namespace, with the counts. */
void mount_tree_set_ns(struct mount *top, struct mnt_ns *ns);
/* True if ns is NULL or m is in it.  Usable: or in a tree that is mounted nowhere. */
bool mount_is_in(const struct mount *m, const struct mnt_ns *ns);
bool mount_is_usable(const struct mount *m, const struct mnt_ns *ns);

/* ---- mount_tree.c ---- */

#define COPY_RECURSIVE 1u  /* with the mounts below */
#define COPY_UNBINDABLE 2u /* unbindable ones, too */
#define COPY_SLAVE 4u	   /* each is a slave of what it is a copy of; else they are peers if that is shared */
#define COPY_SHARED 8u	   /* with COPY_SLAVE: and shared, in a new group */
#define COPY_PRIVATE 16u
#define COPY_DOWN 64u	  /* where it is shared, a slave of it; else as it is */
#define COPY_NS_FILES 32u /* binds of namespaces' files, too */
/* A copy of src as seen from root, in no namespace.  Leaves ->copy of each mount copied set, NULL of those left
 * out.  -EINVAL: src is unbindable. */
int mount_copy_tree(struct mount *src, struct dentry *root, unsigned how, struct mount **out,
		    struct list_head *gone) MUST_CHECK;
/* What m's flags forbid stays forbidden, and all but the top stays where it is. */
void mount_lock_tree(struct mount *m);
/* Hangs the tree m (its reference is the tree's on success) where *at is now covered, telling those that parent's
 * events reach. ns gets it.  May leave mounts on *gone.  -ENOENT, -ENOTDIR, -ENOSPC... */
int mount_attach_tree(struct mnt_ns *ns, struct mount *m, const struct path *at, struct list_head *gone) MUST_CHECK;
/* The same at *place itself, beneath what covers it. */
int mount_attach_tree_here(struct mnt_ns *ns, struct mount *m, const struct path *place,
			   struct list_head *gone) MUST_CHECK;
/* What is on top at *at: borrowed. -ENOENT if the place is gone. */
int mount_find_place(const struct path *at, struct mount **mnt, struct dentry **d) MUST_CHECK;
/* Takes m and all below it out of their tree, onto *gone. tell: what hears of it loses its copies. */
void mount_umount_tree(struct mount *m, bool tell, struct list_head *gone);
/* Lets go of those on *gone; mount_lock not held. */
void mount_release(struct list_head *gone);

/* ---- mount_ops.c, mount_ns.c ---- */

/* A copy of what src shows, in no tree, for the caller's namespace ns; counted. */
int mount_clone(struct mnt_ns *ns, const struct path *src, bool recursive, struct mount **out) MUST_CHECK;
/* A namespace of owner's for the tree m (consumed on success) that no process is in; counted. */
int mnt_ns_anonymous(struct mount *m, struct user_ns *owner, struct mnt_ns **out) MUST_CHECK;

/* ---- mount_propagate.c ---- */

/* Queues whatever hears of events in m, linked by next_heard, m first, masters before their slaves.  mount_unhear
 * afterwards. */
void mount_hear(struct mount *m);
void mount_unhear(struct mount *m);
void mount_make_shared(struct mount *m); /* a group of its own unless it has one */
void mount_change_propagation(struct mount *m, enum propagation kind);
void mount_leave_groups(struct mount *m);
void mount_set_groups(struct mount *m, int group, int master);
int mount_new_group(void);

#endif
