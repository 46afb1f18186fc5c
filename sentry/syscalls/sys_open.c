/* Opening and closing: open and kin, close, close_range, dup and kin. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/fs_args.h"

static long open_at(struct task *t, uint64_t dirfd, uint64_t path, uint32_t flags, uint32_t mode, uint64_t resolve)
{
	struct lookup l = task_lookup(t);
	struct file *f;
	char *name;
	long r = copy_in_path(t->ctx, path, &name);

	if (r < 0)
		return r;
	r = vfs_open(&l, (int)dirfd, name, flags, mode, resolve, &f);
	free(name);
	if (r < 0)
		return r;
	return task_install(t, f, flags & L_O_CLOEXEC);
}

/* open(2) passes over flags that it does not know; on a 64-bit machine every file may be large. */
static uint32_t open_flags(uint64_t arg)
{
	return ((uint32_t)arg & L_VALID_OPEN_FLAGS) | (arg & L_O_PATH ? 0 : L_O_LARGEFILE);
}

long sys_open(struct task *t, const struct sys_args *args)
{
	return open_at(t, (uint64_t)L_AT_FDCWD, args->a[0], open_flags(args->a[1]), (uint32_t)args->a[2], 0);
}

long sys_openat(struct task *t, const struct sys_args *args)
{
	return open_at(t, args->a[0], args->a[1], open_flags(args->a[2]), (uint32_t)args->a[3], 0);
}

long sys_creat(struct task *t, const struct sys_args *args)
{
	return open_at(t, (uint64_t)L_AT_FDCWD, args->a[0], open_flags(L_O_CREAT | L_O_WRONLY | L_O_TRUNC),
		       (uint32_t)args->a[1], 0);
}

static int check_how(const struct l_open_how *how)
{
	const uint64_t path_flags = L_O_PATH | L_O_DIRECTORY | L_O_NOFOLLOW | L_O_CLOEXEC;
	const uint64_t both = L_RESOLVE_BENEATH | L_RESOLVE_IN_ROOT;

	if ((how->flags & ~(uint64_t)L_VALID_OPEN_FLAGS) || (how->resolve & ~(uint64_t)L_VALID_RESOLVE_FLAGS))
		return -EINVAL;
	if ((how->resolve & both) == both)
		return -EINVAL;
	if (how->flags & (L_O_CREAT | L___O_TMPFILE)) {
		if (how->mode & ~(uint64_t)L_S_IALLUGO)
			return -EINVAL;
	} else if (how->mode) {
		return -EINVAL;
	}
	if ((how->flags & L_O_PATH) && (how->flags & ~path_flags))
		return -EINVAL;
	return 0;
}

long sys_openat2(struct task *t, const struct sys_args *args)
{
	struct l_open_how how;
	int r = arg_struct(t, args->a[2], args->a[3], L_OPEN_HOW_SIZE_VER0, &how, sizeof(how));

	if (r == 0)
		r = check_how(&how);
	if (r < 0)
		return r;
	return open_at(t, args->a[0], args->a[1], open_flags(how.flags), (uint32_t)how.mode, how.resolve);
}

/* ---- close ---- */

long sys_close(struct task *t, const struct sys_args *args)
{
	int r = fd_close(t->files, (int)args->a[0]);

	mm_clean_windows(t);
	/* The descriptor is gone: to do it again would close another's. */
	return r <= -ERESTARTSYS && r >= -ERESTART_RESTARTBLOCK ? -EINTR : r;
}

static int unshare_files(struct task *t)
{
	struct fdtable *old = t->files, *copy;
	int r;

	if (!fdtable_shared(old))
		return 0;
	r = fdtable_copy(old, &copy);
	if (r < 0)
		return r;
	mutex_lock(&t->alloc_lock);
	t->files = copy;
	mutex_unlock(&t->alloc_lock);
	mm_leave_windows(t, false);
	fdtable_put(old);
	return 0;
}

long sys_close_range(struct task *t, const struct sys_args *args)
{
	unsigned first = (unsigned)args->a[0], last = (unsigned)args->a[1], flags = (unsigned)args->a[2];
	int r = 0;

	if ((flags & ~(unsigned)(L_CLOSE_RANGE_UNSHARE | L_CLOSE_RANGE_CLOEXEC)) || first > last)
		return -EINVAL;
	if (flags & L_CLOSE_RANGE_UNSHARE)
		r = unshare_files(t);
	if (r == 0)
		fd_close_range(t->files, first, last, flags & L_CLOSE_RANGE_CLOEXEC);
	mm_clean_windows(t);
	return r;
}

/* ---- dup ---- */

long sys_dup(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file_path_ok(t, args->a[0], &f);

	return r < 0 ? r : task_install(t, f, false);
}

long sys_dup2(struct task *t, const struct sys_args *args)
{
	int new_fd = (int)args->a[1];
	struct file *f;
	int r = arg_file_path_ok(t, args->a[0], &f);

	if (r < 0)
		return r;
	if ((int)args->a[0] == new_fd) {
		file_put(f);
		return new_fd;
	}
	r = fd_replace(t->files, f, new_fd, task_fd_limit(t), false);
	mm_clean_windows(t);
	return r;
}

long sys_dup3(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r;

	if (((uint32_t)args->a[2] & ~(uint32_t)L_O_CLOEXEC) || (int)args->a[0] == (int)args->a[1])
		return -EINVAL;
	if ((int)args->a[1] < 0 || (int)args->a[1] >= task_fd_limit(t))
		return -EBADF;
	r = arg_file_path_ok(t, args->a[0], &f);
	if (r < 0)
		return r;
	r = fd_replace(t->files, f, (int)args->a[1], task_fd_limit(t), args->a[2] & L_O_CLOEXEC);
	mm_clean_windows(t);
	return r;
}
