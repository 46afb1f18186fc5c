/* open(2), fcntl(2), the *at calls and their flags; locks; what else takes flags on files. */
#ifndef BAILEY_ABI_FCNTL_H
#define BAILEY_ABI_FCNTL_H

#include "abi/types.h"

#define L_O_ACCMODE 00000003
#define L_O_RDONLY 00000000
#define L_O_WRONLY 00000001
#define L_O_RDWR 00000002
#define L_O_CREAT 00000100
#define L_O_EXCL 00000200
#define L_O_NOCTTY 00000400
#define L_O_TRUNC 00001000
#define L_O_APPEND 00002000
#define L_O_NONBLOCK 00004000
#define L_O_NDELAY L_O_NONBLOCK
#define L_O_DSYNC 00010000
#define L_FASYNC 00020000
#define L_O_ASYNC L_FASYNC
#define L_O_DIRECT 00040000
#define L_O_LARGEFILE 00100000
#define L_O_DIRECTORY 00200000
#define L_O_NOFOLLOW 00400000
#define L_O_NOATIME 01000000
#define L_O_CLOEXEC 02000000
#define L___O_SYNC 04000000
#define L_O_SYNC (L___O_SYNC | L_O_DSYNC)
#define L_O_PATH 010000000
#define L___O_TMPFILE 020000000
#define L_O_TMPFILE (L___O_TMPFILE | L_O_DIRECTORY)
/* All that open(2) knows; openat2(2) refuses the rest. */
#define L_VALID_OPEN_FLAGS                                                                                             \
	(L_O_ACCMODE | L_O_CREAT | L_O_EXCL | L_O_NOCTTY | L_O_TRUNC | L_O_APPEND | L_O_NONBLOCK | L_O_SYNC |          \
	 L_FASYNC | L_O_DIRECT | L_O_LARGEFILE | L_O_DIRECTORY | L_O_NOFOLLOW | L_O_NOATIME | L_O_CLOEXEC | L_O_PATH | \
	 L___O_TMPFILE)
/* What fcntl(F_SETFL) changes. */
#define L_SETFL_MASK (L_O_APPEND | L_O_NONBLOCK | L_O_DIRECT | L_O_NOATIME)

#define L_AT_FDCWD (-100)
#define L_AT_SYMLINK_NOFOLLOW 0x100
#define L_AT_EACCESS 0x200
#define L_AT_REMOVEDIR 0x200
#define L_AT_SYMLINK_FOLLOW 0x400
#define L_AT_NO_AUTOMOUNT 0x800
#define L_AT_EMPTY_PATH 0x1000
#define L_AT_STATX_SYNC_TYPE 0x6000
#define L_AT_STATX_SYNC_AS_STAT 0x0000
#define L_AT_STATX_FORCE_SYNC 0x2000
#define L_AT_STATX_DONT_SYNC 0x4000
#define L_AT_RECURSIVE 0x8000
#define L_AT_HANDLE_FID 0x200
#define L_AT_HANDLE_MNT_ID_UNIQUE 0x001
#define L_AT_HANDLE_CONNECTABLE 0x002
#define L_AT_EXECVE_CHECK 0x10000

#define L_F_OK 0
#define L_X_OK 1
#define L_W_OK 2
#define L_R_OK 4

#define L_SEEK_SET 0
#define L_SEEK_CUR 1
#define L_SEEK_END 2
#define L_SEEK_DATA 3
#define L_SEEK_HOLE 4

#define L_F_DUPFD 0
#define L_F_GETFD 1
#define L_F_SETFD 2
#define L_F_GETFL 3
#define L_F_SETFL 4
#define L_F_GETLK 5
#define L_F_SETLK 6
#define L_F_SETLKW 7
#define L_F_SETOWN 8
#define L_F_GETOWN 9
#define L_F_SETSIG 10
#define L_F_GETSIG 11
#define L_F_SETOWN_EX 15
#define L_F_GETOWN_EX 16
#define L_F_GETOWNER_UIDS 17
#define L_F_OFD_GETLK 36
#define L_F_OFD_SETLK 37
#define L_F_OFD_SETLKW 38
#define L_F_SETLEASE 1024
#define L_F_GETLEASE 1025
#define L_F_NOTIFY 1026
#define L_F_DUPFD_QUERY 1027
#define L_F_CREATED_QUERY 1028
#define L_F_CANCELLK 1029
#define L_F_DUPFD_CLOEXEC 1030
#define L_F_SETPIPE_SZ 1031
#define L_F_GETPIPE_SZ 1032
#define L_F_ADD_SEALS 1033
#define L_F_GET_SEALS 1034
#define L_F_GET_RW_HINT 1035
#define L_F_SET_RW_HINT 1036
#define L_F_GET_FILE_RW_HINT 1037 /* Linux took these two back */
#define L_F_SET_FILE_RW_HINT 1038
#define L_FD_CLOEXEC 1

#define L_F_OWNER_TID 0
#define L_F_OWNER_PID 1
#define L_F_OWNER_PGRP 2
struct l_f_owner_ex {
	int32_t type;
	int32_t pid;
};
L_ASSERT_SIZE(struct l_f_owner_ex, 8);

#define L_F_RDLCK 0
#define L_F_WRLCK 1
#define L_F_UNLCK 2
#define L_F_EXLCK 4
#define L_F_SHLCK 8
struct l_flock {
	int16_t l_type;
	int16_t l_whence;
	int32_t pad0_;
	int64_t l_start;
	int64_t l_len;
	int32_t l_pid;
	int32_t pad1_;
};
L_ASSERT_SIZE(struct l_flock, 32);
L_ASSERT_OFFSET(struct l_flock, l_start, 8);
L_ASSERT_OFFSET(struct l_flock, l_pid, 24);

/* flock(2) */
#define L_LOCK_SH 1
#define L_LOCK_EX 2
#define L_LOCK_NB 4
#define L_LOCK_UN 8
#define L_LOCK_MAND 32 /* no more; ignored */

#define L_F_SEAL_SEAL 0x01
#define L_F_SEAL_SHRINK 0x02
#define L_F_SEAL_GROW 0x04
#define L_F_SEAL_WRITE 0x08
#define L_F_SEAL_FUTURE_WRITE 0x10
#define L_F_SEAL_EXEC 0x20

#define L_RWH_WRITE_LIFE_EXTREME 5 /* the last of F_SET_RW_HINT's */

#define L_DN_ACCESS 0x00000001
#define L_DN_MODIFY 0x00000002
#define L_DN_CREATE 0x00000004
#define L_DN_DELETE 0x00000008
#define L_DN_RENAME 0x00000010
#define L_DN_ATTRIB 0x00000020
#define L_DN_MULTISHOT 0x80000000

/* openat2(2) */
struct l_open_how {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};
L_ASSERT_SIZE(struct l_open_how, 24);
#define L_OPEN_HOW_SIZE_VER0 24
#define L_RESOLVE_NO_XDEV 0x01
#define L_RESOLVE_NO_MAGICLINKS 0x02
#define L_RESOLVE_NO_SYMLINKS 0x04
#define L_RESOLVE_BENEATH 0x08
#define L_RESOLVE_IN_ROOT 0x10
#define L_RESOLVE_CACHED 0x20
#define L_VALID_RESOLVE_FLAGS 0x3f

#define L_RENAME_NOREPLACE 1
#define L_RENAME_EXCHANGE 2
#define L_RENAME_WHITEOUT 4

#define L_FALLOC_FL_KEEP_SIZE 0x01
#define L_FALLOC_FL_PUNCH_HOLE 0x02
#define L_FALLOC_FL_NO_HIDE_STALE 0x04
#define L_FALLOC_FL_COLLAPSE_RANGE 0x08
#define L_FALLOC_FL_ZERO_RANGE 0x10
#define L_FALLOC_FL_INSERT_RANGE 0x20
#define L_FALLOC_FL_UNSHARE_RANGE 0x40

#define L_POSIX_FADV_NORMAL 0
#define L_POSIX_FADV_RANDOM 1
#define L_POSIX_FADV_SEQUENTIAL 2
#define L_POSIX_FADV_WILLNEED 3
#define L_POSIX_FADV_DONTNEED 4
#define L_POSIX_FADV_NOREUSE 5

#define L_SYNC_FILE_RANGE_WAIT_BEFORE 1
#define L_SYNC_FILE_RANGE_WRITE 2
#define L_SYNC_FILE_RANGE_WAIT_AFTER 4

#define L_SPLICE_F_MOVE 1
#define L_SPLICE_F_NONBLOCK 2
#define L_SPLICE_F_MORE 4
#define L_SPLICE_F_GIFT 8

/* preadv2(2), pwritev2(2) */
#define L_RWF_HIPRI 0x01
#define L_RWF_DSYNC 0x02
#define L_RWF_SYNC 0x04
#define L_RWF_NOWAIT 0x08
#define L_RWF_APPEND 0x10
#define L_RWF_NOAPPEND 0x20
#define L_RWF_ATOMIC 0x40
#define L_RWF_DONTCACHE 0x80
#define L_RWF_NOSIGNAL 0x100

#define L_CLOSE_RANGE_UNSHARE 2
#define L_CLOSE_RANGE_CLOEXEC 4

/* eventfd2(2), inotify(7), memfd_create(2), userfaultfd(2) */
#define L_EFD_SEMAPHORE 1
#define L_EFD_CLOEXEC L_O_CLOEXEC
#define L_EFD_NONBLOCK L_O_NONBLOCK

#define L_IN_ACCESS 0x00000001
#define L_IN_MODIFY 0x00000002
#define L_IN_ATTRIB 0x00000004
#define L_IN_CLOSE_WRITE 0x00000008
#define L_IN_CLOSE_NOWRITE 0x00000010
#define L_IN_OPEN 0x00000020
#define L_IN_MOVED_FROM 0x00000040
#define L_IN_MOVED_TO 0x00000080
#define L_IN_CREATE 0x00000100
#define L_IN_DELETE 0x00000200
#define L_IN_DELETE_SELF 0x00000400
#define L_IN_MOVE_SELF 0x00000800
#define L_IN_UNMOUNT 0x00002000
#define L_IN_Q_OVERFLOW 0x00004000
#define L_IN_IGNORED 0x00008000
#define L_IN_CLOSE 0x00000018
#define L_IN_MOVE 0x000000c0
#define L_IN_ONLYDIR 0x01000000
#define L_IN_DONT_FOLLOW 0x02000000
#define L_IN_EXCL_UNLINK 0x04000000
#define L_IN_MASK_CREATE 0x10000000
#define L_IN_MASK_ADD 0x20000000
#define L_IN_ISDIR 0x40000000
#define L_IN_ONESHOT 0x80000000
#define L_IN_ALL_EVENTS 0x00000fff
#define L_IN_CLOEXEC L_O_CLOEXEC
#define L_IN_NONBLOCK L_O_NONBLOCK
struct l_inotify_event {
	int32_t wd;
	uint32_t mask;
	uint32_t cookie;
	uint32_t len; /* of the name that follows, padding included */
};
L_ASSERT_SIZE(struct l_inotify_event, 16);

#define L_MFD_CLOEXEC 1u
#define L_MFD_ALLOW_SEALING 2u
#define L_MFD_HUGETLB 4u
#define L_MFD_NOEXEC_SEAL 8u
#define L_MFD_EXEC 16u
#define L_MFD_HUGE_SHIFT 26 /* where the base-2 logarithm of the size lies */
#define L_MFD_HUGE_MASK 63u

/* name_to_handle_at(2) */
struct l_file_handle {
	uint32_t handle_bytes;
	int32_t handle_type;
	/* handle_bytes bytes follow */
};
L_ASSERT_SIZE(struct l_file_handle, 8);
#define L_MAX_HANDLE_SZ 128
#define L_FILEID_INO32_GEN 1
#define L_FILEID_INO64_GEN 0x81
#define L_FILEID_INVALID 0xff
#define L_FILEID_USER_FLAGS_MASK 0xffff0000u
#define L_FILEID_VALID_USER_FLAGS 0x30000u /* connectable, directories alone */

/* copy_file_range, splice and tee take no structures. */

#endif
