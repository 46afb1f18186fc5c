/* clone(2), clone3(2), unshare(2), scheduling policies and attributes. */
#ifndef BAILEY_ABI_SCHED_H
#define BAILEY_ABI_SCHED_H

#include "abi/types.h"

#define L_CSIGNAL 0x000000ffull
#define L_CLONE_NEWTIME 0x00000080ull
#define L_CLONE_VM 0x00000100ull
#define L_CLONE_FS 0x00000200ull
#define L_CLONE_FILES 0x00000400ull
#define L_CLONE_SIGHAND 0x00000800ull
#define L_CLONE_PIDFD 0x00001000ull
#define L_CLONE_PTRACE 0x00002000ull
#define L_CLONE_VFORK 0x00004000ull
#define L_CLONE_PARENT 0x00008000ull
#define L_CLONE_THREAD 0x00010000ull
#define L_CLONE_NEWNS 0x00020000ull
#define L_CLONE_SYSVSEM 0x00040000ull
#define L_CLONE_SETTLS 0x00080000ull
#define L_CLONE_PARENT_SETTID 0x00100000ull
#define L_CLONE_CHILD_CLEARTID 0x00200000ull
#define L_CLONE_DETACHED 0x00400000ull
#define L_CLONE_UNTRACED 0x00800000ull
#define L_CLONE_CHILD_SETTID 0x01000000ull
#define L_CLONE_NEWCGROUP 0x02000000ull
#define L_CLONE_NEWUTS 0x04000000ull
#define L_CLONE_NEWIPC 0x08000000ull
#define L_CLONE_NEWUSER 0x10000000ull
#define L_CLONE_NEWPID 0x20000000ull
#define L_CLONE_NEWNET 0x40000000ull
#define L_CLONE_IO 0x80000000ull
#define L_CLONE_CLEAR_SIGHAND 0x100000000ull
#define L_CLONE_INTO_CGROUP 0x200000000ull
#define L_CLONE3_FLAGS 0x3ffffffffull /* all that clone3 knows */

struct l_clone_args {
	uint64_t flags;
	uint64_t pidfd; /* gva of an int */
	uint64_t child_tid; /* gva */
	uint64_t parent_tid; /* gva */
	uint64_t exit_signal;
	uint64_t stack; /* gva of its lowest byte */
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid; /* gva of an array of pid_t */
	uint64_t set_tid_size;
	uint64_t cgroup;
};
L_ASSERT_SIZE(struct l_clone_args, 88);
#define L_CLONE_ARGS_SIZE_VER0 64
#define L_CLONE_ARGS_SIZE_VER1 80
#define L_CLONE_ARGS_SIZE_VER2 88

#define L_SCHED_NORMAL 0
#define L_SCHED_OTHER 0
#define L_SCHED_FIFO 1
#define L_SCHED_RR 2
#define L_SCHED_BATCH 3
#define L_SCHED_IDLE 5
#define L_SCHED_DEADLINE 6
#define L_SCHED_EXT 7
#define L_SCHED_RESET_ON_FORK 0x40000000

struct l_sched_param {
	int32_t sched_priority;
};
L_ASSERT_SIZE(struct l_sched_param, 4);

struct l_sched_attr {
	uint32_t size;
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime;
	uint64_t sched_deadline;
	uint64_t sched_period;
	uint32_t sched_util_min;
	uint32_t sched_util_max;
};
L_ASSERT_SIZE(struct l_sched_attr, 56);
#define L_SCHED_ATTR_SIZE_VER0 48
#define L_SCHED_ATTR_SIZE_VER1 56
#define L_SCHED_FLAG_RESET_ON_FORK 0x01
#define L_SCHED_FLAG_RECLAIM 0x02
#define L_SCHED_FLAG_DL_OVERRUN 0x04
#define L_SCHED_FLAG_KEEP_POLICY 0x08
#define L_SCHED_FLAG_KEEP_PARAMS 0x10
#define L_SCHED_FLAG_UTIL_CLAMP_MIN 0x20
#define L_SCHED_FLAG_UTIL_CLAMP_MAX 0x40
#define L_SCHED_FLAG_ALL 0x7f

/* ioprio_set(2) */
#define L_IOPRIO_CLASS_SHIFT 13
#define L_IOPRIO_CLASS_NONE 0
#define L_IOPRIO_CLASS_RT 1
#define L_IOPRIO_CLASS_BE 2
#define L_IOPRIO_CLASS_IDLE 3
#define L_IOPRIO_WHO_PROCESS 1
#define L_IOPRIO_WHO_PGRP 2
#define L_IOPRIO_WHO_USER 3

#endif
