/* pidfd_open(2) and its kin: what ioctl(2) tells of a pidfd. */
#ifndef BAILEY_ABI_PIDFD_H
#define BAILEY_ABI_PIDFD_H

#include "abi/types.h"

#define L_PIDFS_MAGIC 0x50494446

#define L_PIDFD_IOC_TYPE 0xffu
#define L_PIDFD_IOC_GET_INFO_NR 11u

#define L_PIDFD_INFO_PID 1ull
#define L_PIDFD_INFO_CREDS 2ull
#define L_PIDFD_INFO_CGROUPID 4ull
#define L_PIDFD_INFO_EXIT 8ull

struct l_pidfd_info {
	uint64_t mask; /* L_PIDFD_INFO_*: what is asked for, what was told */
	uint64_t cgroupid;
	uint32_t pid, tgid, ppid;
	uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code; /* as wait4(2) reports it */
};
L_ASSERT_SIZE(struct l_pidfd_info, 64);
L_ASSERT_OFFSET(struct l_pidfd_info, exit_code, 60);

#endif
