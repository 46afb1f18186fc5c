/* The file systems that a guest can mount, and their options: for mount(2) and fsopen(2). */
#ifndef BAILEY_SENTRY_SYSCALLS_FS_TYPES_H
#define BAILEY_SENTRY_SYSCALLS_FS_TYPES_H

#include "base/compiler.h"
#include "sentry/fs/tty/devpts.h"

struct cred;
struct super_block;
struct fs_type;
struct task;

struct tmpfs_options {
	uint64_t size; /* bytes; 0: no limit */
	bool set_size; /* it was said */
	uint32_t mode, uid, gid;
};

struct fs_options {
	const struct fs_type *type; /* static */
	struct tmpfs_options tmpfs;
	struct devpts_options devpts;
};

/* The defaults of the type called name, for whoever c is.  -ENODEV. */
int fs_options_init(struct fs_options *o, const char *name, const struct cred *c) MUST_CHECK;
/* The same for what sb is, to be changed: of another type (the root's) nothing is known, and any option passed over. */
void fs_options_pick(struct fs_options *o, const struct super_block *sb, const struct cred *c);
/* Gives sb those of the options that can change; -EINVAL. */
int fs_reconfigure(const struct fs_options *o, struct super_block *sb) MUST_CHECK;
const char *fs_options_type(const struct fs_options *o);
/* Takes "key=value" or "key" (which is changed on the way).  -EINVAL. */
int fs_options_set(struct fs_options *o, char *option) MUST_CHECK;
/* A file system with these options, made by t, the caller; *out is returned owned.  -EPERM. */
int fs_create(struct task *t, const struct fs_options *o, struct super_block **out) MUST_CHECK;

/* May t mount sb in its namespace: it tells no more than is told there already.  *flags (MNT_*) may get more locks. */
bool fs_may_be_shown(const struct task *t, const struct super_block *sb, unsigned *flags);

#endif
