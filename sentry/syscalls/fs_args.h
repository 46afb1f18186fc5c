/* What the file system calls share: from argument registers to files and paths, and masks to wait with. */
#ifndef BAILEY_SENTRY_SYSCALLS_FS_ARGS_H
#define BAILEY_SENTRY_SYSCALLS_FS_ARGS_H

#include "abi/errno.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/task/task.h"

/* The file at descriptor fd, counted; -EBADF.  arg_file refuses O_PATH files. */
int arg_file(struct task *t, uint64_t fd, struct file **out) MUST_CHECK;
int arg_file_path_ok(struct task *t, uint64_t fd, struct file **out) MUST_CHECK;
/* Copies a path in and resolves it; LOOKUP_*.  *out counted. */
int arg_resolve(struct task *t, uint64_t dirfd, uint64_t path, unsigned flags, struct path *out) MUST_CHECK;
/* As arg_resolve, by the AT_* flags of a call that knows AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH; a null path with the latter
 * means "". */
int arg_resolve_at(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out) MUST_CHECK;
/* The same, and the attributes of what was found. */
int arg_stat_at(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out,
		struct l_statx *st) MUST_CHECK;
/* A structure that grows from release to release: size bytes of the guest's at src, at least min, into *out of known bytes, the
 * rest of which is zeroed.  -EINVAL: too small; -E2BIG: more than a page, or what is not known is not zero. */
int arg_struct(struct task *t, uint64_t src, uint64_t size, size_t min, void *out, size_t known) MUST_CHECK;
/* -EFBIG, with SIGXFSZ sent, if a file of t's must not reach size. */
int task_check_fsize(struct task *t, uint64_t size) MUST_CHECK;
/* Cuts *len to what RLIMIT_FSIZE lets f grow to, written from pos on; -EFBIG and the signal if that is nothing.  Only regular
 * files are limited. */
int task_limit_fsize(struct task *t, const struct file *f, int64_t pos, uint64_t *len) MUST_CHECK;
/* Whether bytes can be spliced to or from f: it is no directory, and nothing like an eventfd. */
bool arg_splices(const struct file *f);
/* Puts a guest's signal mask (0: none was given) in force until the call's end: ppoll(2) and its kin. */
int arg_temporary_mask(struct task *t, uint64_t gva, uint64_t size) MUST_CHECK;

/* FICLONE, FICLONERANGE and FIDEDUPERANGE, which no file system here can do (sys_copy.c). */
long share_ioctl(struct task *t, struct file *f, unsigned cmd, gva_t arg);
/* FS_IOC_GETFLAGS and its kin (sys_fileattr.c). */
long inode_flags_ioctl(struct task *t, struct file *f, unsigned cmd, gva_t arg);

#endif
