/* statmount and listmount: mounts asked for by number. */
#include <stdlib.h>

#include "abi/mount.h"
#include "base/checked.h"
#include "sentry/syscalls/mount_attr.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/vfs/mount.h"

static int copy_in_request(struct task *t, uint64_t src, struct l_mnt_id_req *req)
{
	uint32_t size;
	int r = copy_in(t->ctx, &size, src, sizeof(size));

	if (r == 0)
		r = arg_struct(t, src, size, L_MNT_ID_REQ_SIZE_VER0, req, sizeof(*req));
	if (r < 0)
		return r;
	if (req->mnt_ns_fd)
		return -EINVAL;
	/* Namespaces are not found by number but for one's own. */
	if (req->mnt_ns_id && t->fs->ns && req->mnt_ns_id != mnt_ns_common(t->fs->ns)->seq)
		return -ENOENT;
	return 0;
}

static long give(struct task *t, struct l_statmount *st, const char *strings, size_t len, uint64_t buf, uint64_t size)
{
	uint64_t head = min_of(size, (uint64_t)sizeof(*st));
	bool wanted = len > 1;
	int r = 0;

	if (wanted && size < sizeof(*st) + len)
		return -EOVERFLOW;
	st->size = (uint32_t)(head + (wanted ? len : 0));
	if (wanted)
		r = copy_out(t->ctx, buf + sizeof(*st), strings, len);
	return r < 0 ? r : copy_out(t->ctx, buf, st, head);
}

long sys_statmount(struct task *t, const struct sys_args *args)
{
	struct l_mnt_id_req req;
	struct l_statmount st;
	struct path root;
	char *strings;
	size_t len;
	long r;

	if ((unsigned)args->a[3])
		return -EINVAL;
	r = copy_in_request(t, args->a[0], &req);
	if (r < 0)
		return r;
	if (req.mnt_id <= L_MNT_UNIQUE_ID_OFFSET)
		return -EINVAL;
	fs_info_root(t->fs, &root);
	r = vfs_statmount(t->fs->ns, &root, req.mnt_id, req.param, task_may_mount(t), &st, &strings, &len);
	path_put(&root);
	if (r < 0)
		return r;
	r = give(t, &st, strings, len, args->a[1], args->a[2]);
	free(strings);
	return r;
}

long sys_listmount(struct task *t, const struct sys_args *args)
{
	uint64_t count = args->a[2], *ids;
	struct l_mnt_id_req req;
	struct path root;
	ssize_t n;
	long r;

	if ((unsigned)args->a[3] & ~(unsigned)L_LISTMOUNT_REVERSE)
		return -EINVAL;
	if (count > L_LISTMOUNT_MAX)
		return -EOVERFLOW;
	if (args->a[1] > L_TASK_SIZE - count * sizeof(*ids))
		return -EFAULT;
	r = copy_in_request(t, args->a[0], &req);
	if (r < 0)
		return r;
	if (req.mnt_id <= L_MNT_UNIQUE_ID_OFFSET || (req.param && req.param <= L_MNT_UNIQUE_ID_OFFSET))
		return -EINVAL;
	ids = calloc(min_of(count, (uint64_t)mount_max) + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	fs_info_root(t->fs, &root);
	n = vfs_listmount(t->fs->ns, &root, req.mnt_id, req.param, args->a[3] & L_LISTMOUNT_REVERSE, task_may_mount(t),
			  ids, min_of(count, (uint64_t)mount_max));
	path_put(&root);
	r = n > 0 ? copy_out(t->ctx, args->a[1], ids, (size_t)n * sizeof(*ids)) : 0;
	free(ids);
	return r < 0 ? r : n;
}
