/* Arguments of the file system calls.  See fs_args.h. */
#include "sentry/syscalls/fs_args.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/signal/signal.h"

int arg_file(struct task *t, uint64_t fd, struct file **out)
{
	struct file *f = fd_lookup(t->files, (int)fd);

	if (!f)
		return -EBADF;
	*out = f;
	return 0;
}

int arg_file_path_ok(struct task *t, uint64_t fd, struct file **out)
{
	struct file *f = fd_lookup_path_ok(t->files, (int)fd);

	if (!f)
		return -EBADF;
	*out = f;
	return 0;
}

int arg_resolve(struct task *t, uint64_t dirfd, uint64_t path, unsigned flags, struct path *out)
{
	struct lookup l = task_lookup(t);
	char *name;
	int r = copy_in_path(t->ctx, path, &name);

	if (r < 0)
		return r;
	r = vfs_resolve(&l, (int)dirfd, name, flags, 0, out);
	free(name);
	return r;
}

static unsigned lookup_flags(unsigned at_flags)
{
	return (at_flags & L_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (at_flags & L_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}

int arg_resolve_at(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out)
{
	struct lookup l = task_lookup(t);

	if (!path && (at_flags & L_AT_EMPTY_PATH))
		return vfs_resolve(&l, (int)dirfd, "", lookup_flags(at_flags), 0, out);
	return arg_resolve(t, dirfd, path, lookup_flags(at_flags), out);
}

int arg_stat_at(struct task *t, uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out, struct l_statx *st)
{
	struct lookup l = task_lookup(t);
	char *name;
	int r;

	if (!path && (at_flags & L_AT_EMPTY_PATH))
		return vfs_stat(&l, (int)dirfd, "", lookup_flags(at_flags), out, st);
	r = copy_in_path(t->ctx, path, &name);
	if (r < 0)
		return r;
	r = vfs_stat(&l, (int)dirfd, name, lookup_flags(at_flags), out, st);
	free(name);
	return r;
}

int arg_struct(struct task *t, uint64_t src, uint64_t size, size_t min, void *out, size_t known)
{
	uint8_t buf[PAGE_SIZE];
	int r;

	if (size < min)
		return -EINVAL;
	if (size > sizeof(buf))
		return -E2BIG;
	r = copy_in(t->ctx, buf, src, size);
	if (r < 0)
		return r;
	for (size_t n = known; n < size; n++)
		if (buf[n])
			return -E2BIG;
	memset(out, 0, known);
	memcpy(out, buf, min_of((size_t)size, known));
	return 0;
}

int task_check_fsize(struct task *t, uint64_t size)
{
	struct l_siginfo info;

	if (size <= process_rlimit(t->process, L_RLIMIT_FSIZE))
		return 0;
	signal_fill_user(&info, L_SIGXFSZ, L_SI_USER, t);
	/* The task is alive: it is the one that calls. */
	(void)!signal_send_task(t, &info);
	return -EFBIG;
}

int arg_temporary_mask(struct task *t, uint64_t gva, uint64_t size)
{
	sigset mask;
	int r;

	if (!gva)
		return 0;
	r = signal_copy_mask(t, gva, size, &mask);
	if (r == 0)
		signal_set_temporary_mask(t, mask);
	return r;
}

int task_limit_fsize(struct task *t, const struct file *f, int64_t pos, uint64_t *len)
{
	uint64_t limit = process_rlimit(t->process, L_RLIMIT_FSIZE);

	if (LIKELY(limit >= INT64_MAX) || *len == 0 || !inode_is(f->inode, L_S_IFREG))
		return 0;
	if ((uint64_t)pos >= limit)
		return task_check_fsize(t, (uint64_t)pos + 1);
	*len = min_of(*len, limit - (uint64_t)pos);
	return 0;
}
