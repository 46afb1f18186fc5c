/* Questions about file systems that statfs(2) does not answer: ustat(2), sysfs(2), cachestat(2). */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/syscalls/fs_args.h"

/* ---- ustat(2): how much room is left on a device ---- */

long sys_ustat(struct task *t, const struct sys_args *args)
{
	struct super_block *sb = super_find((uint32_t)args->a[0]);
	struct l_ustat u = {0};
	struct l_statfs st;
	int r;

	if (!sb)
		return -EINVAL;
	r = super_statfs(sb, &st);
	super_put(sb);
	if (r < 0)
		return r;
	u.f_tfree = (int32_t)st.f_bfree; /* cut off, as Linux does */
	u.f_tinode = st.f_ffree;
	return copy_out(t->ctx, args->a[1], &u, sizeof(u));
}

/* ---- sysfs(2): the types of file systems ---- */

#define SYSFS_INDEX_OF 1
#define SYSFS_NAME_OF 2
#define SYSFS_COUNT 3

static long index_of(struct task *t, uint64_t gva)
{
	const char *type;
	long found = -EINVAL;
	char *name;
	int r = copy_in_path(t->ctx, gva, &name);

	if (r < 0)
		return r;
	for (size_t i = 0; found < 0 && (type = proc_filesystem(i)); i++)
		if (strcmp(type, name) == 0)
			found = (long)i;
	free(name);
	return found;
}

static long name_of(struct task *t, uint32_t index, uint64_t gva)
{
	const char *type = proc_filesystem(index);

	return type ? copy_out(t->ctx, gva, type, strlen(type) + 1) : -EINVAL;
}

long sys_sysfs(struct task *t, const struct sys_args *args)
{
	long count = 0;

	switch ((int)args->a[0]) {
	case SYSFS_INDEX_OF:
		return index_of(t, args->a[1]);
	case SYSFS_NAME_OF:
		return name_of(t, (uint32_t)args->a[1], args->a[2]);
	case SYSFS_COUNT:
		while (proc_filesystem((size_t)count))
			count++;
		return count;
	default:
		return -EINVAL;
	}
}

/* ---- cachestat(2): how much of a file is in memory ---- */

/* What others' files have in memory would tell of what others do. */
static bool may_look(const struct file *f, const struct cred *c)
{
	return (f->mode & FILE_WRITE) || inode_owner_or_capable(f->inode, c) ||
	       vfs_permission(&f->path, MAY_WRITE, c) == 0;
}

static long cache_stat(struct task *t, struct file *f, const struct sys_args *args)
{
	struct l_cachestat_range range;
	struct l_cachestat st = {0};
	uint64_t last = UINT64_MAX;

	if (copy_in(t->ctx, &range, args->a[1], sizeof(range)) < 0)
		return -EFAULT;
	if (!may_look(f, t->cred))
		return -EPERM;
	if ((unsigned)args->a[3])
		return -EINVAL;
	if (range.len)
		last = (range.off + range.len - 1) / PAGE_SIZE; /* wraps, as on Linux */
	if (f->ops->cached && last >= range.off / PAGE_SIZE)
		st.nr_cache = f->ops->cached(f, range.off / PAGE_SIZE, last);
	return copy_out(t->ctx, args->a[2], &st, sizeof(st));
}

long sys_cachestat(struct task *t, const struct sys_args *args)
{
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = cache_stat(t, f, args);
	file_put(f);
	return r;
}
