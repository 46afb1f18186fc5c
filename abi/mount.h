/* mount(2), umount2(2), the fsopen family, statmount(2) and listmount(2). */
#ifndef BAILEY_ABI_MOUNT_H
#define BAILEY_ABI_MOUNT_H

#include "abi/types.h"

#define L_MS_RDONLY 1u
#define L_MS_NOSUID 2u
#define L_MS_NODEV 4u
#define L_MS_NOEXEC 8u
#define L_MS_SYNCHRONOUS 16u
#define L_MS_REMOUNT 32u
#define L_MS_MANDLOCK 64u
#define L_MS_DIRSYNC 128u
#define L_MS_NOSYMFOLLOW 256u
#define L_MS_NOATIME 1024u
#define L_MS_NODIRATIME 2048u
#define L_MS_BIND 4096u
#define L_MS_MOVE 8192u
#define L_MS_REC 16384u
#define L_MS_SILENT 32768u
#define L_MS_POSIXACL (1u << 16)
#define L_MS_UNBINDABLE (1u << 17)
#define L_MS_PRIVATE (1u << 18)
#define L_MS_SLAVE (1u << 19)
#define L_MS_SHARED (1u << 20)
#define L_MS_RELATIME (1u << 21)
#define L_MS_KERNMOUNT (1u << 22)
#define L_MS_I_VERSION (1u << 23)
#define L_MS_STRICTATIME (1u << 24)
#define L_MS_LAZYTIME (1u << 25)
#define L_MS_NOUSER 0x80000000u
#define L_MS_MGC_VAL 0xc0ed0000u
#define L_MS_MGC_MSK 0xffff0000u

#define L_MNT_FORCE 1
#define L_MNT_DETACH 2
#define L_MNT_EXPIRE 4
#define L_UMOUNT_NOFOLLOW 8

#define L_FSOPEN_CLOEXEC 1
#define L_FSMOUNT_CLOEXEC 1
#define L_FSPICK_CLOEXEC 1
#define L_FSPICK_SYMLINK_NOFOLLOW 2
#define L_FSPICK_NO_AUTOMOUNT 4
#define L_FSPICK_EMPTY_PATH 8
#define L_FSCONFIG_SET_FLAG 0
#define L_FSCONFIG_SET_STRING 1
#define L_FSCONFIG_SET_BINARY 2
#define L_FSCONFIG_SET_PATH 3
#define L_FSCONFIG_SET_PATH_EMPTY 4
#define L_FSCONFIG_SET_FD 5
#define L_FSCONFIG_CMD_CREATE 6
#define L_FSCONFIG_CMD_RECONFIGURE 7
#define L_FSCONFIG_CMD_CREATE_EXCL 8
#define L_OPEN_TREE_CLONE 1
#define L_OPEN_TREE_CLOEXEC 02000000
#define L_MOVE_MOUNT_F_SYMLINKS 0x01
#define L_MOVE_MOUNT_F_AUTOMOUNTS 0x02
#define L_MOVE_MOUNT_F_EMPTY_PATH 0x04
#define L_MOVE_MOUNT_T_SYMLINKS 0x10
#define L_MOVE_MOUNT_T_AUTOMOUNTS 0x20
#define L_MOVE_MOUNT_T_EMPTY_PATH 0x40
#define L_MOVE_MOUNT_SET_GROUP 0x100
#define L_MOVE_MOUNT_BENEATH 0x200
#define L_MOUNT_ATTR_RDONLY 0x01
#define L_MOUNT_ATTR_NOSUID 0x02
#define L_MOUNT_ATTR_NODEV 0x04
#define L_MOUNT_ATTR_NOEXEC 0x08
#define L_MOUNT_ATTR__ATIME 0x70
#define L_MOUNT_ATTR_RELATIME 0x00
#define L_MOUNT_ATTR_NOATIME 0x10
#define L_MOUNT_ATTR_STRICTATIME 0x20
#define L_MOUNT_ATTR_NODIRATIME 0x80
#define L_MOUNT_ATTR_IDMAP 0x00100000
#define L_MOUNT_ATTR_NOSYMFOLLOW 0x00200000

struct l_mount_attr {
	uint64_t attr_set;
	uint64_t attr_clr;
	uint64_t propagation;
	uint64_t userns_fd;
};
L_ASSERT_SIZE(struct l_mount_attr, 32);
#define L_MOUNT_ATTR_SIZE_VER0 32

/* The request of statmount and listmount. */
struct l_mnt_id_req {
	uint32_t size;
	uint32_t mnt_ns_fd;
	uint64_t mnt_id;
	uint64_t param;
	uint64_t mnt_ns_id;
};
L_ASSERT_SIZE(struct l_mnt_id_req, 32);
#define L_MNT_ID_REQ_SIZE_VER0 24

/* What statmount answers. */
struct l_statmount {
	uint32_t size;	   /* with the strings */
	uint32_t mnt_opts; /* of a string: its offset in str, as are those without a number below */
	uint64_t mask;
	uint32_t sb_dev_major, sb_dev_minor;
	uint64_t sb_magic;
	uint32_t sb_flags;
	uint32_t fs_type;
	uint64_t mnt_id, mnt_parent_id;
	uint32_t mnt_id_old, mnt_parent_id_old;
	uint64_t mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, propagate_from;
	uint32_t mnt_root, mnt_point;
	uint64_t mnt_ns_id;
	uint32_t fs_subtype, sb_source;
	uint32_t opt_num, opt_array, opt_sec_num, opt_sec_array;
	uint64_t supported_mask;
	uint32_t mnt_uidmap_num, mnt_uidmap, mnt_gidmap_num, mnt_gidmap;
	uint64_t spare2[43];
	/* str[] follows */
};
L_ASSERT_SIZE(struct l_statmount, 512);
#define L_STATMOUNT_SB_BASIC 0x1ull
#define L_STATMOUNT_MNT_BASIC 0x2ull
#define L_STATMOUNT_PROPAGATE_FROM 0x4ull
#define L_STATMOUNT_MNT_ROOT 0x8ull
#define L_STATMOUNT_MNT_POINT 0x10ull
#define L_STATMOUNT_FS_TYPE 0x20ull
#define L_STATMOUNT_MNT_NS_ID 0x40ull
#define L_STATMOUNT_MNT_OPTS 0x80ull
#define L_STATMOUNT_SB_SOURCE 0x200ull
#define L_STATMOUNT_SUPPORTED_MASK 0x1000ull
/* What is answered here. */
#define L_STATMOUNT_SUPPORTED                                                                                          \
	(L_STATMOUNT_SB_BASIC | L_STATMOUNT_MNT_BASIC | L_STATMOUNT_PROPAGATE_FROM | L_STATMOUNT_MNT_ROOT |            \
	 L_STATMOUNT_MNT_POINT | L_STATMOUNT_FS_TYPE | L_STATMOUNT_MNT_NS_ID | L_STATMOUNT_MNT_OPTS |                  \
	 L_STATMOUNT_SB_SOURCE | L_STATMOUNT_SUPPORTED_MASK)
#define L_MNT_UNIQUE_ID_OFFSET (1ull << 31)
#define L_LISTMOUNT_MAX 1000000
#define L_LSMT_ROOT (~0ull)
#define L_LISTMOUNT_REVERSE 1

#endif
