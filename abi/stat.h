/* stat(2), statx(2), statfs(2): file types, permission bits and what the calls fill in. */
#ifndef BAILEY_ABI_STAT_H
#define BAILEY_ABI_STAT_H

#include "abi/types.h"

#define L_S_IFMT 00170000
#define L_S_IFSOCK 0140000
#define L_S_IFLNK 0120000
#define L_S_IFREG 0100000
#define L_S_IFBLK 0060000
#define L_S_IFDIR 0040000
#define L_S_IFCHR 0020000
#define L_S_IFIFO 0010000
#define L_S_ISUID 0004000
#define L_S_ISGID 0002000
#define L_S_ISVTX 0001000
#define L_S_IRWXU 00700
#define L_S_IRUSR 00400
#define L_S_IWUSR 00200
#define L_S_IXUSR 00100
#define L_S_IRWXG 00070
#define L_S_IRGRP 00040
#define L_S_IWGRP 00020
#define L_S_IXGRP 00010
#define L_S_IRWXO 00007
#define L_S_IROTH 00004
#define L_S_IWOTH 00002
#define L_S_IXOTH 00001
#define L_S_IRWXUGO 00777
#define L_S_IALLUGO 07777
#define L_S_IRUGO 00444
#define L_S_IWUGO 00222
#define L_S_IXUGO 00111

#define L_S_ISLNK(m) (((m)&L_S_IFMT) == L_S_IFLNK)
#define L_S_ISREG(m) (((m)&L_S_IFMT) == L_S_IFREG)
#define L_S_ISDIR(m) (((m)&L_S_IFMT) == L_S_IFDIR)
#define L_S_ISCHR(m) (((m)&L_S_IFMT) == L_S_IFCHR)
#define L_S_ISBLK(m) (((m)&L_S_IFMT) == L_S_IFBLK)
#define L_S_ISFIFO(m) (((m)&L_S_IFMT) == L_S_IFIFO)
#define L_S_ISSOCK(m) (((m)&L_S_IFMT) == L_S_IFSOCK)

/* The encoding of st_dev, st_rdev and mknod's dev in user space. */
static inline uint64_t l_makedev(uint32_t major, uint32_t minor)
{
	return (minor & 0xffu) | ((uint64_t)(major & 0xfffu) << 8) | ((uint64_t)(minor & ~0xffu) << 12) |
	       ((uint64_t)(major & ~0xfffu) << 32);
}
static inline uint32_t l_major(uint64_t dev)
{
	return (uint32_t)(((dev >> 8) & 0xfff) | ((dev >> 32) & ~0xfffull));
}
static inline uint32_t l_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | ((dev >> 12) & ~0xffull));
}

struct l_stat {
	uint64_t st_dev;
	uint64_t st_ino;
	uint64_t st_nlink;
	uint32_t st_mode;
	uint32_t st_uid;
	uint32_t st_gid;
	uint32_t pad0_;
	uint64_t st_rdev;
	int64_t st_size;
	int64_t st_blksize;
	int64_t st_blocks; /* of 512 bytes */
	uint64_t st_atime_sec;
	uint64_t st_atime_nsec;
	uint64_t st_mtime_sec;
	uint64_t st_mtime_nsec;
	uint64_t st_ctime_sec;
	uint64_t st_ctime_nsec;
	int64_t unused_[3];
};
L_ASSERT_SIZE(struct l_stat, 144);
L_ASSERT_OFFSET(struct l_stat, st_mode, 24);
L_ASSERT_OFFSET(struct l_stat, st_rdev, 40);
L_ASSERT_OFFSET(struct l_stat, st_size, 48);
L_ASSERT_OFFSET(struct l_stat, st_atime_sec, 72);
L_ASSERT_OFFSET(struct l_stat, st_ctime_nsec, 112);

struct l_statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t pad_;
};
L_ASSERT_SIZE(struct l_statx_timestamp, 16);

struct l_statx {
	uint32_t stx_mask;
	uint32_t stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink;
	uint32_t stx_uid;
	uint32_t stx_gid;
	uint16_t stx_mode;
	uint16_t pad0_;
	uint64_t stx_ino;
	uint64_t stx_size;
	uint64_t stx_blocks;
	uint64_t stx_attributes_mask;
	struct l_statx_timestamp stx_atime;
	struct l_statx_timestamp stx_btime;
	struct l_statx_timestamp stx_ctime;
	struct l_statx_timestamp stx_mtime;
	uint32_t stx_rdev_major;
	uint32_t stx_rdev_minor;
	uint32_t stx_dev_major;
	uint32_t stx_dev_minor;
	uint64_t stx_mnt_id;
	uint32_t stx_dio_mem_align;
	uint32_t stx_dio_offset_align;
	uint64_t stx_subvol;
	uint32_t stx_atomic_write_unit_min;
	uint32_t stx_atomic_write_unit_max;
	uint32_t stx_atomic_write_segments_max;
	uint32_t stx_dio_read_offset_align;
	uint32_t stx_atomic_write_unit_max_opt;
	uint32_t pad1_;
	uint64_t pad2_[8];
};
L_ASSERT_SIZE(struct l_statx, 256);
L_ASSERT_OFFSET(struct l_statx, stx_ino, 32);
L_ASSERT_OFFSET(struct l_statx, stx_atime, 64);
L_ASSERT_OFFSET(struct l_statx, stx_rdev_major, 128);
L_ASSERT_OFFSET(struct l_statx, stx_mnt_id, 144);
L_ASSERT_OFFSET(struct l_statx, stx_subvol, 160);
L_ASSERT_OFFSET(struct l_statx, stx_atomic_write_unit_max_opt, 184);

#define L_STATX_TYPE 0x00000001u
#define L_STATX_MODE 0x00000002u
#define L_STATX_NLINK 0x00000004u
#define L_STATX_UID 0x00000008u
#define L_STATX_GID 0x00000010u
#define L_STATX_ATIME 0x00000020u
#define L_STATX_MTIME 0x00000040u
#define L_STATX_CTIME 0x00000080u
#define L_STATX_INO 0x00000100u
#define L_STATX_SIZE 0x00000200u
#define L_STATX_BLOCKS 0x00000400u
#define L_STATX_BASIC_STATS 0x000007ffu
#define L_STATX_BTIME 0x00000800u
#define L_STATX_MNT_ID 0x00001000u
#define L_STATX_DIOALIGN 0x00002000u
#define L_STATX_MNT_ID_UNIQUE 0x00004000u
#define L_STATX_SUBVOL 0x00008000u
#define L_STATX_WRITE_ATOMIC 0x00010000u
#define L_STATX_DIO_READ_ALIGN 0x00020000u
#define L_STATX__RESERVED 0x80000000u
#define L_STATX_ALL 0x00000fffu

#define L_STATX_ATTR_COMPRESSED 0x00000004
#define L_STATX_ATTR_IMMUTABLE 0x00000010
#define L_STATX_ATTR_APPEND 0x00000020
#define L_STATX_ATTR_NODUMP 0x00000040
#define L_STATX_ATTR_ENCRYPTED 0x00000800
#define L_STATX_ATTR_AUTOMOUNT 0x00001000
#define L_STATX_ATTR_MOUNT_ROOT 0x00002000
#define L_STATX_ATTR_VERITY 0x00100000
#define L_STATX_ATTR_DAX 0x00200000
#define L_STATX_ATTR_WRITE_ATOMIC 0x00400000

struct l_statfs {
	int64_t f_type;
	int64_t f_bsize;
	uint64_t f_blocks;
	uint64_t f_bfree;
	uint64_t f_bavail;
	uint64_t f_files;
	uint64_t f_ffree;
	int32_t f_fsid[2];
	int64_t f_namelen;
	int64_t f_frsize;
	int64_t f_flags;
	int64_t f_spare[4];
};
L_ASSERT_SIZE(struct l_statfs, 120);
L_ASSERT_OFFSET(struct l_statfs, f_fsid, 56);
L_ASSERT_OFFSET(struct l_statfs, f_flags, 80);

#define L_ST_RDONLY 0x0001
#define L_ST_NOSUID 0x0002
#define L_ST_NODEV 0x0004
#define L_ST_NOEXEC 0x0008
#define L_ST_SYNCHRONOUS 0x0010
#define L_ST_VALID 0x0020
#define L_ST_MANDLOCK 0x0040
#define L_ST_NOATIME 0x0400
#define L_ST_NODIRATIME 0x0800
#define L_ST_RELATIME 0x1000
#define L_ST_NOSYMFOLLOW 0x2000

#define L_TMPFS_MAGIC 0x01021994
#define L_PROC_SUPER_MAGIC 0x9fa0
#define L_SYSFS_MAGIC 0x62656572
#define L_OVERLAYFS_SUPER_MAGIC 0x794c7630
#define L_EXT4_SUPER_MAGIC 0xef53
#define L_DEVPTS_SUPER_MAGIC 0x1cd1
#define L_PIPEFS_MAGIC 0x50495045
#define L_SOCKFS_MAGIC 0x534f434b
#define L_ANON_INODE_FS_MAGIC 0x09041934
#define L_CGROUP2_SUPER_MAGIC 0x63677270
#define L_MQUEUE_MAGIC 0x19800202
#define L_NSFS_MAGIC 0x6e736673
#define L_PID_FS_MAGIC 0x50494446
#define L_RAMFS_MAGIC 0x858458f6
#define L_HUGETLBFS_MAGIC 0x958458f6
#define L_FUSE_SUPER_MAGIC 0x65735546

/* ustat(2) */
struct l_ustat {
	int32_t f_tfree, pad;
	uint64_t f_tinode;
	char f_fname[6], f_fpack[6];
	uint32_t pad2;
};
L_ASSERT_SIZE(struct l_ustat, 32);

/* cachestat(2) */
struct l_cachestat_range {
	uint64_t off, len;
};
struct l_cachestat { /* pages */
	uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};
L_ASSERT_SIZE(struct l_cachestat, 40);

#endif
