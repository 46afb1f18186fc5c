/* pidfd_open(2) and its kin: what ioctl(2) tells of a pidfd. */
#ifndef BAILEY_ABI_PIDFD_H
#define BAILEY_ABI_PIDFD_H

#include "abi/types.h"

#define L_PIDFS_MAGIC 0x50494446

#define L_PIDFD_IOC_TYPE 0xffu
#define L_PIDFD_GET_CGROUP_NAMESPACE 0xff01u
#define L_PIDFD_GET_IPC_NAMESPACE 0xff02u
#define L_PIDFD_GET_MNT_NAMESPACE 0xff03u
#define L_PIDFD_GET_NET_NAMESPACE 0xff04u
#define L_PIDFD_GET_PID_NAMESPACE 0xff05u
#define L_PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE 0xff06u
#define L_PIDFD_GET_TIME_NAMESPACE 0xff07u
#define L_PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE 0xff08u
#define L_PIDFD_GET_USER_NAMESPACE 0xff09u
#define L_PIDFD_GET_UTS_NAMESPACE 0xff0au
#define L_PIDFD_IOC_GET_INFO_NR 11u

#define L_PIDFD_INFO_PID 1ull
#define L_PIDFD_INFO_CREDS 2ull
#define L_PIDFD_INFO_CGROUPID 4ull
#define L_PIDFD_INFO_EXIT 8ull
#define L_PIDFD_INFO_COREDUMP 16ull

#define L_PIDFD_COREDUMP_SKIP 2u
#define L_PIDFD_COREDUMP_USER 4u

#define L_PIDFD_INFO_SIZE_VER0 64u

struct l_pidfd_info {
	uint64_t mask; /* L_PIDFD_INFO_*: what is asked for, what was told */
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code; /* as wait4(2) reports it */
	uint32_t coredump_mask; /* L_PIDFD_COREDUMP_* */
	uint32_t spare;
};
L_ASSERT_SIZE(struct l_pidfd_info, 72);
L_ASSERT_OFFSET(struct l_pidfd_info, coredump_mask, 64);
L_ASSERT_OFFSET(struct l_pidfd_info, exit_code, 60);

#endif
