/*
 * The host's files: descriptor-relative access to a directory tree that is not trusted, and plain reads and writes.
 *
 * Names are single components or paths of components; no call here follows a symbolic link, leaves the directory that
 * it is relative to, or blocks on a FIFO or a device.  Descriptors are close-on-exec.  Errors are -errno.
 */
#ifndef BAILEY_HOST_FILE_H
#define BAILEY_HOST_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/time.h"
#include "base/compiler.h"

/* What the host says of a file.  mode, dev and rdev are in Linux's encoding, as the guest's. */
struct host_stat {
	uint64_t dev, ino, rdev, size, blocks; /* blocks of 512 bytes */
	uint32_t mode, nlink, uid, gid, blksize;
	struct l_timespec atime, mtime, ctime, btime;
};

/* What to open a file for. */
enum host_access { HOST_READ, HOST_WRITE, HOST_READ_WRITE };

void host_close(int fd);
/* fd itself (O_PATH ones too), or name in the directory dir_fd, the link itself if it is one. */
int host_stat_fd(int fd, struct host_stat *out) MUST_CHECK;
int host_stat_at(int dir_fd, const char *name, struct host_stat *out) MUST_CHECK;

/* A directory below dir_fd, as an O_PATH descriptor.  path is relative and may have several components. */
int host_open_dir_path(int dir_fd, const char *path) MUST_CHECK;
/* The same for reading its entries. */
int host_open_dir(int dir_fd, const char *path) MUST_CHECK;
/* A file that the caller knows to be a regular one (it checks again by host_stat_fd: names change).  Never blocks. */
int host_open_file(int dir_fd, const char *name, enum host_access access) MUST_CHECK;
/* Makes a regular file, which must not exist; open for reading and writing. */
int host_create_file(int dir_fd, const char *name, uint32_t mode) MUST_CHECK;
/* An unnamed file in the directory (O_TMPFILE). */
int host_open_tmpfile(int dir_fd, uint32_t mode) MUST_CHECK;

ssize_t host_read(int fd, void *buf, size_t len) MUST_CHECK;
ssize_t host_write(int fd, const void *buf, size_t len) MUST_CHECK;
ssize_t host_pread(int fd, void *buf, size_t len, int64_t off) MUST_CHECK;
ssize_t host_pwrite(int fd, const void *buf, size_t len, int64_t off) MUST_CHECK;
int64_t host_lseek(int fd, int64_t off, int whence) MUST_CHECK;
int host_ftruncate(int fd, uint64_t size) MUST_CHECK;
int host_fallocate(int fd, int mode, uint64_t off, uint64_t len) MUST_CHECK;
int host_fsync(int fd, bool data_only) MUST_CHECK;
/* getdents64(2)'s records, as struct l_dirent64. */
ssize_t host_getdents(int fd, void *buf, size_t len) MUST_CHECK;
/* The link's text, not terminated. */
ssize_t host_readlink_at(int dir_fd, const char *name, char *buf, size_t size) MUST_CHECK;

int host_mkdir_at(int dir_fd, const char *name, uint32_t mode) MUST_CHECK;
/* A FIFO or a socket's name; never a device. */
int host_mknod_at(int dir_fd, const char *name, uint32_t mode) MUST_CHECK;
int host_symlink_at(const char *target, int dir_fd, const char *name) MUST_CHECK;
int host_link_at(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name) MUST_CHECK;
/* Gives a file without a name one.  -ENOENT from Linux before 6.10, which wants a capability for it. */
int host_link_fd(int fd, int new_dir_fd, const char *new_name) MUST_CHECK;
int host_unlink_at(int dir_fd, const char *name, bool directory) MUST_CHECK;
int host_rename_at(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name,
		   unsigned flags) MUST_CHECK;
/* -EOPNOTSUPP for a symbolic link, as Linux. */
int host_chmod_at(int dir_fd, const char *name, uint32_t mode) MUST_CHECK;
int host_chmod_fd(int fd, uint32_t mode) MUST_CHECK;
/* UINT32_MAX leaves an id as it is. */
int host_chown_at(int dir_fd, const char *name, uint32_t uid, uint32_t gid) MUST_CHECK;
int host_chown_fd(int fd, uint32_t uid, uint32_t gid) MUST_CHECK;
/* NULL leaves a time as it is. */
int host_utimens_at(int dir_fd, const char *name, const struct l_timespec *atime,
		    const struct l_timespec *mtime) MUST_CHECK;
int host_utimens_fd(int fd, const struct l_timespec *atime, const struct l_timespec *mtime) MUST_CHECK;

ssize_t host_getxattr_fd(int fd, const char *name, void *buf, size_t size) MUST_CHECK;
ssize_t host_listxattr_fd(int fd, char *buf, size_t size) MUST_CHECK;
int host_setxattr_fd(int fd, const char *name, const void *value, size_t size, int flags) MUST_CHECK;
int host_removexattr_fd(int fd, const char *name) MUST_CHECK;

struct host_statfs {
	uint64_t bsize, blocks, bfree, bavail, files, ffree;
	uint32_t namelen;
};
int host_statfs_fd(int fd, struct host_statfs *out) MUST_CHECK;

/* Anonymous memory with a descriptor, of size 0, that may be sealed (L_F_SEAL_*): fcntl(2). */
int host_memfd(const char *name) MUST_CHECK;
int host_add_seals(int fd, uint32_t seals) MUST_CHECK;
/* The first size bytes of a memfd, shared: for pages that are there, and stay; to touch others may be the end.  NULL: it cannot be had. */
void *host_map_memfd(int fd, size_t size) MUST_CHECK;
void host_unmap_memfd(void *map, size_t size);

/* How a descriptor that came in was opened. */
int host_fd_flags(int fd, uint32_t *flags) MUST_CHECK; /* L_O_* */
/* A terminal's requests: arg is a struct of the sentry's, or NULL, or the number itself for those that take one. */
int host_tty_ioctl(int fd, uint32_t request, void *arg) MUST_CHECK;
int host_bytes_ready(int fd, int *count) MUST_CHECK; /* FIONREAD */
/* Which of the poll events (L_POLL*) fd has now, ERR and HUP unasked, in *ready.  0, or -errno. */
int host_poll_now(int fd, uint32_t events, uint32_t *ready) MUST_CHECK;

#endif
