/* Listing directories, and where a process stands: getdents, chdir, getcwd, chroot, umask.  Changes of the tree:
 * sys_names.c. */
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/dirent.h"
#include "base/checked.h"
#include "sentry/syscalls/fs_args.h"

/* ---- getdents ---- */

#define LISTING_MAX (64u * 1024) /* bytes gathered before they are copied out */

/* Records are made in the sentry's memory, since a file system may hold a lock while it emits. */
struct listing {
	struct dir_context dc;
	uint8_t *buf;
	size_t size, used;
	bool old_format, full;
};

static size_t put_record64(uint8_t *at, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next,
			   size_t size)
{
	struct l_dirent64 d = {.d_ino = ino, .d_off = next, .d_reclen = (uint16_t)size, .d_type = (uint8_t)type};

	memset(at, 0, size);
	memcpy(at, &d, L_DIRENT64_NAME_OFF);
	memcpy(at + L_DIRENT64_NAME_OFF, name, len);
	return size;
}

static size_t put_record(uint8_t *at, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next,
			 size_t size)
{
	struct l_dirent d = {.d_ino = ino, .d_off = (uint64_t)next, .d_reclen = (uint16_t)size};

	memset(at, 0, size);
	memcpy(at, &d, L_DIRENT_NAME_OFF);
	memcpy(at + L_DIRENT_NAME_OFF, name, len);
	at[size - 1] = (uint8_t)type;
	return size;
}

static bool emit(struct dir_context *dc, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next)
{
	struct listing *l = container_of(dc, struct listing, dc);
	/* The name's NUL, and in the old format the type after it. */
	size_t size = l->old_format ? L_DIRENT_NAME_OFF + len + 2 : L_DIRENT64_NAME_OFF + len + 1;

	size = (size + 7) & ~(size_t)7;
	if (size > l->size - l->used) {
		l->full = true;
		return false;
	}
	l->used += (l->old_format ? put_record : put_record64)(l->buf + l->used, name, len, ino, type, next, size);
	return true;
}

static void step_back(struct file *f, int64_t pos)
{
	mutex_lock(&f->pos_lock);
	f->pos = pos;
	mutex_unlock(&f->pos_lock);
}

static long list(struct task *t, const struct sys_args *args, bool old_format)
{
	struct listing l = {.dc.emit = emit, .old_format = old_format};
	int count = (int)args->a[2]; /* a negative one has room for nothing */
	int64_t begin;
	struct file *f;
	long r = arg_file(t, args->a[0], &f);

	if (r < 0)
		return r;
	l.size = count > 0 ? min_of((size_t)count, (size_t)LISTING_MAX) : 0;
	l.buf = malloc(max_of(l.size, (size_t)1));
	if (!l.buf) {
		file_put(f);
		return -ENOMEM;
	}
	mutex_lock(&f->pos_lock);
	begin = f->pos;
	mutex_unlock(&f->pos_lock);
	r = file_iterate(f, &l.dc);
	if (l.used) {
		r = copy_out(t->ctx, args->a[1], l.buf, l.used);
		if (r < 0)
			step_back(f, begin);
		else
			r = (long)l.used;
	} else if (r >= 0) {
		r = l.full ? -EINVAL : 0;
	}
	free(l.buf);
	file_put(f);
	return r;
}

long sys_getdents64(struct task *t, const struct sys_args *args)
{
	return list(t, args, false);
}

long sys_getdents(struct task *t, const struct sys_args *args)
{
	return list(t, args, true);
}

/* ---- where we stand ---- */

static int enter(struct task *t, const struct path *p)
{
	int r = inode_is(dentry_inode(p->dentry), L_S_IFDIR) ? vfs_permission(p, MAY_EXEC, t->cred) : -ENOTDIR;

	if (r == 0)
		fs_info_set_cwd(t->fs, p);
	return r;
}

long sys_chdir(struct task *t, const struct sys_args *args)
{
	struct path p;
	int r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (r < 0)
		return r;
	r = enter(t, &p);
	path_put(&p);
	return r;
}

long sys_fchdir(struct task *t, const struct sys_args *args)
{
	struct file *f;
	int r = arg_file_path_ok(t, args->a[0], &f);

	if (r < 0)
		return r;
	r = enter(t, &f->path);
	file_put(f);
	return r;
}

long sys_chroot(struct task *t, const struct sys_args *args)
{
	struct path p;
	int r = arg_resolve(t, (uint64_t)L_AT_FDCWD, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (r < 0)
		return r;
	r = vfs_permission(&p, MAY_EXEC, t->cred);
	if (r == 0 && !cred_own_capable(t->cred, L_CAP_SYS_CHROOT))
		r = -EPERM;
	if (r == 0)
		fs_info_set_root(t->fs, &p);
	path_put(&p);
	return r;
}

long sys_getcwd(struct task *t, const struct sys_args *args)
{
	char *buf = malloc(L_PATH_MAX);
	struct path root, cwd;
	size_t len;
	long r;

	if (!buf)
		return -ENOMEM;
	fs_info_root(t->fs, &root);
	fs_info_cwd(t->fs, &cwd);
	r = dentry_is_unlinked(cwd.dentry) ? -ENOENT : vfs_path_name_marked(&cwd, &root, buf, L_PATH_MAX);
	path_put(&root);
	path_put(&cwd);
	if (r == 0) {
		len = strlen(buf) + 1;
		if (len > args->a[1])
			r = -ERANGE;
		else
			r = copy_out(t->ctx, args->a[0], buf, len);
		if (r == 0)
			r = (long)len;
	}
	free(buf);
	return r;
}

long sys_umask(struct task *t, const struct sys_args *args)
{
	uint32_t old;

	mutex_lock(&t->fs->lock);
	old = t->fs->umask;
	t->fs->umask = (uint32_t)args->a[0] & L_S_IRWXUGO;
	mutex_unlock(&t->fs->lock);
	return old;
}
