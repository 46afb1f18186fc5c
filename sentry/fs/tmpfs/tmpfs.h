/* tmpfs: a file system in memory.  tmpfs_create is in vfs.h; this is for file systems made of tmpfs's inodes (dev). */
#ifndef BAILEY_SENTRY_FS_TMPFS_TMPFS_H
#define BAILEY_SENTRY_FS_TMPFS_TMPFS_H

#include "sentry/vfs/vfs.h"

/* As tmpfs_create, under another name and magic number. */
int tmpfs_create_as(const char *type, uint64_t size_limit, uint32_t root_mode, uint32_t uid, uint32_t gid,
		    struct super_block **out) MUST_CHECK;
/* Makes an entry while the file system is not in use yet: a device, a directory or, with target, a symbolic link. */
int tmpfs_populate(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev, const char *target) MUST_CHECK;
/* Enters an inode (borrowed), which may belong to another file system: it keeps its own device and inode number. */
int tmpfs_enter(struct inode *dir, const char *name, struct inode *i) MUST_CHECK;
/* memfd_create(2); flags: L_MFD_*, checked by the caller. */
int memfd_file_new(const char *name, uint32_t flags, const struct cred *c, struct file **out) MUST_CHECK;

/* A regular file of size bytes that never had a name, open for reading and writing, shown as `shown`. */
int tmpfs_unnamed_file(const char *shown, uint64_t size, uint32_t mode, const struct cred *c, struct file **out) MUST_CHECK;

/* For tmpfs's own files: a directory's entries, and super_ops.find_ino. */
struct memdir;
struct memdir *tmpfs_entries(struct inode *dir);
int tmpfs_find_ino(struct super_block *sb, uint64_t ino, struct dentry **out) MUST_CHECK;

#endif
