/* name_to_handle_at(2) and open_by_handle_at(2).  What a handle is: sentry/vfs/handle.c. */
#include <string.h>

#include "abi/capability.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"
#include "sentry/vfs/mount.h"

static int put_mount_id(struct task *t, const struct path *p, uint64_t gva, bool unique)
{
	uint64_t wide = mount_unique_id(p->mnt);
	int32_t id = mount_id(p->mnt);

	return unique ? copy_out(t->ctx, gva, &wide, sizeof(wide)) : copy_out(t->ctx, gva, &id, sizeof(id));
}

static int give_handle(struct task *t, const struct path *p, const struct sys_args *args, unsigned flags)
{
	struct {
		struct l_file_handle head;
		uint8_t bytes[VFS_HANDLE_BYTES];
	} out;
	struct vfs_handle h;
	uint32_t room;
	size_t size = sizeof(out);
	int r = flags & L_AT_HANDLE_CONNECTABLE ? -EOPNOTSUPP : vfs_handle_of(p, flags & L_AT_HANDLE_FID, &h);

	if (r < 0)
		return r;
	if (copy_in(t->ctx, &out.head, args->a[2], sizeof(out.head)) < 0)
		return -EFAULT;
	room = out.head.handle_bytes;
	if (room > L_MAX_HANDLE_SZ)
		return -EINVAL;
	out.head.handle_bytes = sizeof(h.bytes);
	out.head.handle_type = h.type;
	memcpy(out.bytes, h.bytes, sizeof(h.bytes));
	if (room < sizeof(h.bytes)) {
		out.head.handle_type = L_FILEID_INVALID;
		size = sizeof(out.head);
		r = -EOVERFLOW;
	}
	if (put_mount_id(t, p, args->a[3], flags & L_AT_HANDLE_MNT_ID_UNIQUE) < 0 ||
	    copy_out(t->ctx, args->a[2], &out, size) < 0)
		return -EFAULT;
	return r;
}

long sys_name_to_handle_at(struct task *t, const struct sys_args *args)
{
	unsigned flags = (unsigned)args->a[4], lookup = 0;
	struct path p;
	int r;

	if (flags & ~(unsigned)(L_AT_SYMLINK_FOLLOW | L_AT_EMPTY_PATH | L_AT_HANDLE_FID | L_AT_HANDLE_MNT_ID_UNIQUE |
				L_AT_HANDLE_CONNECTABLE))
		return -EINVAL;
	if ((flags & L_AT_HANDLE_FID) && (flags & L_AT_HANDLE_CONNECTABLE))
		return -EINVAL;
	if (flags & L_AT_SYMLINK_FOLLOW)
		lookup |= LOOKUP_FOLLOW;
	if (flags & L_AT_EMPTY_PATH)
		lookup |= LOOKUP_EMPTY;
	r = arg_resolve(t, args->a[0], args->a[1], lookup, &p);
	if (r < 0)
		return r;
	r = give_handle(t, &p, args, flags);
	path_put(&p);
	return r;
}

/* Where the descriptor, or the working directory, lies: any file of the file system does.  Counted. */
static int anchor(struct task *t, int fd, struct path *out)
{
	struct file *f;

	if (fd == L_AT_FDCWD) {
		fs_info_cwd(t->fs, out);
		return 0;
	}
	f = fd_lookup(t->files, fd);
	if (!f)
		return -EBADF;
	path_get(&f->path);
	*out = f->path;
	file_put(f);
	return 0;
}

static int read_handle(struct task *t, uint64_t gva, const struct l_file_handle *head, struct vfs_handle *out)
{
	uint8_t bytes[L_MAX_HANDLE_SZ] = {0};

	if (copy_in(t->ctx, bytes, gva + sizeof(*head), head->handle_bytes) < 0)
		return -EFAULT;
	out->type = head->handle_type;
	memcpy(out->bytes, bytes, sizeof(out->bytes));
	return 0;
}

static int resolve_handle(struct task *t, int fd, uint64_t gva, struct path *out)
{
	struct l_file_handle head;
	struct vfs_handle h;
	struct path at;
	int r;

	if (copy_in(t->ctx, &head, gva, sizeof(head)) < 0)
		return -EFAULT;
	if (head.handle_bytes == 0 || head.handle_bytes > L_MAX_HANDLE_SZ || head.handle_type < 0 ||
	    ((uint32_t)head.handle_type & L_FILEID_USER_FLAGS_MASK & ~L_FILEID_VALID_USER_FLAGS))
		return -EINVAL;
	r = anchor(t, fd, &at);
	if (r < 0)
		return r;
	r = cred_capable(t->cred, L_CAP_DAC_READ_SEARCH) ? read_handle(t, gva, &head, &h) : -EPERM;
	if (r == 0)
		r = vfs_handle_resolve(&at, &h, head.handle_bytes, out);
	path_put(&at);
	return r;
}

long sys_open_by_handle_at(struct task *t, const struct sys_args *args)
{
	uint32_t flags = ((uint32_t)args->a[2] & L_VALID_OPEN_FLAGS) | (args->a[2] & L_O_PATH ? 0 : L_O_LARGEFILE);
	struct lookup l = task_lookup(t);
	struct path p;
	struct file *f;
	int r = resolve_handle(t, (int)args->a[0], args->a[1], &p);

	if (r < 0)
		return r;
	r = vfs_open_path(&l, &p, flags, &f);
	path_put(&p);
	return r < 0 ? r : task_install(t, f, flags & L_O_CLOEXEC);
}
