/* The host's files.  See file.h.  Only thin wrappers live here: what a name means is sentry/fs/hostfs's business. */
#include "host/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/stat.h"
#include "host/caller.h"

#define RESULT(call)                                                                                                   \
	({                                                                                                             \
		__auto_type r_ = (call);                                                                               \
		r_ < 0 ? (__typeof__(r_))-errno : r_;                                                                  \
	})

void host_close(int fd)
{
	close(fd);
}

/* ---- attributes ---- */

static struct l_timespec from_statx(const struct statx_timestamp *t)
{
	return (struct l_timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

static int do_statx(int fd, const char *name, int flags, struct host_stat *out)
{
	struct statx x NOT_ZEROED;

	if (statx(fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
		return -errno;
	*out = (struct host_stat){
		.dev = l_makedev(x.stx_dev_major, x.stx_dev_minor),
		.ino = x.stx_ino,
		.rdev = l_makedev(x.stx_rdev_major, x.stx_rdev_minor),
		.size = x.stx_size,
		.blocks = x.stx_blocks,
		.mode = x.stx_mode,
		.nlink = x.stx_nlink,
		.uid = host_shown_uid(x.stx_uid),
		.gid = host_shown_gid(x.stx_gid),
		.blksize = x.stx_blksize,
		.atime = from_statx(&x.stx_atime),
		.mtime = from_statx(&x.stx_mtime),
		.ctime = from_statx(&x.stx_ctime),
		.btime = from_statx(&x.stx_btime),
	};
	return 0;
}

int host_stat_fd(int fd, struct host_stat *out)
{
	return do_statx(fd, "", AT_EMPTY_PATH, out);
}

int host_stat_at(int dir_fd, const char *name, struct host_stat *out)
{
	return do_statx(dir_fd, name, 0, out);
}

/* ---- opening ---- */

/* The host resolves below dir_fd and refuses every symbolic link on the way, the last component's included. */
static int open_beneath(int dir_fd, const char *path, uint64_t flags, uint32_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)RESULT(syscall(SYS_openat2, dir_fd, path, &how, sizeof(how)));
}

int host_open_dir_path(int dir_fd, const char *path)
{
	return open_beneath(dir_fd, path, O_PATH | O_DIRECTORY, 0);
}

int host_open_dir(int dir_fd, const char *path)
{
	return open_beneath(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
}

int host_open_file(int dir_fd, const char *name, enum host_access access)
{
	static const int modes[] = {[HOST_READ] = O_RDONLY, [HOST_WRITE] = O_WRONLY, [HOST_READ_WRITE] = O_RDWR};

	return open_beneath(dir_fd, name, (uint64_t)modes[access] | O_NONBLOCK | O_NOCTTY, 0);
}

int host_create_file(int dir_fd, const char *name, uint32_t mode)
{
	return open_beneath(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK | O_NOCTTY, mode & 07777);
}

int host_open_tmpfile(int dir_fd, uint32_t mode)
{
	return open_beneath(dir_fd, ".", O_RDWR | O_TMPFILE, mode & 07777);
}

/* ---- contents ---- */

ssize_t host_read(int fd, void *buf, size_t len)
{
	return RESULT(read(fd, buf, len));
}

ssize_t host_write(int fd, const void *buf, size_t len)
{
	return RESULT(write(fd, buf, len));
}

ssize_t host_pread(int fd, void *buf, size_t len, int64_t off)
{
	return RESULT(pread(fd, buf, len, off));
}

ssize_t host_pwrite(int fd, const void *buf, size_t len, int64_t off)
{
	return RESULT(pwrite(fd, buf, len, off));
}

int64_t host_lseek(int fd, int64_t off, int whence)
{
	return RESULT(lseek(fd, off, whence));
}

int host_ftruncate(int fd, uint64_t size)
{
	return RESULT(ftruncate(fd, (off_t)size));
}

int host_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
	return RESULT(fallocate(fd, mode, (off_t)off, (off_t)len));
}

int host_fsync(int fd, bool data_only)
{
	return RESULT(data_only ? fdatasync(fd) : fsync(fd));
}

ssize_t host_getdents(int fd, void *buf, size_t len)
{
	return RESULT(getdents64(fd, buf, len));
}

ssize_t host_readlink_at(int dir_fd, const char *name, char *buf, size_t size)
{
	return RESULT(readlinkat(dir_fd, name, buf, size));
}

/* ---- names ---- */

int host_mkdir_at(int dir_fd, const char *name, uint32_t mode)
{
	return RESULT(mkdirat(dir_fd, name, mode & 07777));
}

int host_mknod_at(int dir_fd, const char *name, uint32_t mode)
{
	if (!L_S_ISFIFO(mode) && !L_S_ISSOCK(mode))
		return -EPERM;
	return RESULT(mknodat(dir_fd, name, mode, 0));
}

int host_symlink_at(const char *target, int dir_fd, const char *name)
{
	return RESULT(symlinkat(target, dir_fd, name));
}

int host_link_at(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name)
{
	return RESULT(linkat(old_dir_fd, old_name, new_dir_fd, new_name, 0));
}

int host_link_fd(int fd, int new_dir_fd, const char *new_name)
{
	return RESULT(linkat(fd, "", new_dir_fd, new_name, AT_EMPTY_PATH));
}

int host_unlink_at(int dir_fd, const char *name, bool directory)
{
	return RESULT(unlinkat(dir_fd, name, directory ? AT_REMOVEDIR : 0));
}

int host_rename_at(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name, unsigned flags)
{
	return RESULT(renameat2(old_dir_fd, old_name, new_dir_fd, new_name, flags));
}

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/*
 * chmod without following a link needs fchmodat2 (Linux 6.6).  Before that the way is an O_PATH descriptor through
 * /proc/self/fd, which the sentry does not have: a directory or regular file is opened for reading instead.
 */
int host_chmod_at(int dir_fd, const char *name, uint32_t mode)
{
	long r = RESULT(syscall(SYS_fchmodat2, dir_fd, name, mode & 07777, AT_SYMLINK_NOFOLLOW));
	struct host_stat st;
	int fd;

	if (r != -ENOSYS)
		return (int)r;
	r = host_stat_at(dir_fd, name, &st);
	if (r < 0)
		return (int)r;
	if (!L_S_ISREG(st.mode) && !L_S_ISDIR(st.mode))
		return -EOPNOTSUPP;
	fd = host_open_file(dir_fd, name, HOST_READ);
	if (fd < 0)
		return fd;
	r = RESULT(fchmod(fd, mode & 07777));
	close(fd);
	return (int)r;
}

int host_chmod_fd(int fd, uint32_t mode)
{
	return RESULT(fchmod(fd, mode & 07777));
}

int host_chown_at(int dir_fd, const char *name, uint32_t uid, uint32_t gid)
{
	return RESULT(fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

int host_chown_fd(int fd, uint32_t uid, uint32_t gid)
{
	return RESULT(fchown(fd, uid, gid));
}

static struct timespec to_timespec(const struct l_timespec *t)
{
	if (!t)
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	return (struct timespec){.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};
}

int host_utimens_at(int dir_fd, const char *name, const struct l_timespec *atime, const struct l_timespec *mtime)
{
	struct timespec times[2] = {to_timespec(atime), to_timespec(mtime)};

	return RESULT(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW));
}

int host_utimens_fd(int fd, const struct l_timespec *atime, const struct l_timespec *mtime)
{
	struct timespec times[2] = {to_timespec(atime), to_timespec(mtime)};

	return RESULT(futimens(fd, times));
}

/* ---- extended attributes ---- */

ssize_t host_getxattr_fd(int fd, const char *name, void *buf, size_t size)
{
	return RESULT(fgetxattr(fd, name, buf, size));
}

ssize_t host_listxattr_fd(int fd, char *buf, size_t size)
{
	return RESULT(flistxattr(fd, buf, size));
}

int host_setxattr_fd(int fd, const char *name, const void *value, size_t size, int flags)
{
	return RESULT(fsetxattr(fd, name, value, size, flags));
}

int host_removexattr_fd(int fd, const char *name)
{
	return RESULT(fremovexattr(fd, name));
}

int host_statfs_fd(int fd, struct host_statfs *out)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return -errno;
	*out = (struct host_statfs){
		.bsize = (uint64_t)s.f_bsize,
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.namelen = (uint32_t)s.f_namelen,
	};
	return 0;
}

/* ---- what has no name ---- */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 16u
#endif

/* MFD_EXEC (Linux 6.3) says that guests may map it executable; older kernels always allow that and refuse the flag. */
int host_memfd(const char *name)
{
	int fd = RESULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));

	return fd == -EINVAL ? RESULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)) : fd;
}

void *host_map_memfd(int fd, size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

void host_unmap_memfd(void *map, size_t size)
{
	munmap(map, size);
}

int host_add_seals(int fd, uint32_t seals)
{
	return RESULT(fcntl(fd, F_ADD_SEALS, seals));
}

int host_fd_flags(int fd, uint32_t *flags)
{
	int r = RESULT(fcntl(fd, F_GETFL));

	if (r < 0)
		return r;
	*flags = (uint32_t)r;
	return 0;
}

int host_tty_ioctl(int fd, uint32_t request, void *arg)
{
	return RESULT(ioctl(fd, request, arg));
}

int host_bytes_ready(int fd, int *count)
{
	return RESULT(ioctl(fd, FIONREAD, count));
}

int host_poll_now(int fd, uint32_t events, uint32_t *ready)
{
	struct pollfd p = {.fd = fd, .events = (short)events};
	int r = RESULT(poll(&p, 1, 0));

	if (r < 0)
		return r;
	*ready = (uint16_t)p.revents;
	return 0;
}
