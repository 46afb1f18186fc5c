/* futex(2), the futex2 calls, robust lists. */
#ifndef BAILEY_ABI_FUTEX_H
#define BAILEY_ABI_FUTEX_H

#include "abi/types.h"

#define L_FUTEX_WAIT 0
#define L_FUTEX_WAKE 1
#define L_FUTEX_FD 2
#define L_FUTEX_REQUEUE 3
#define L_FUTEX_CMP_REQUEUE 4
#define L_FUTEX_WAKE_OP 5
#define L_FUTEX_LOCK_PI 6
#define L_FUTEX_UNLOCK_PI 7
#define L_FUTEX_TRYLOCK_PI 8
#define L_FUTEX_WAIT_BITSET 9
#define L_FUTEX_WAKE_BITSET 10
#define L_FUTEX_WAIT_REQUEUE_PI 11
#define L_FUTEX_CMP_REQUEUE_PI 12
#define L_FUTEX_LOCK_PI2 13
#define L_FUTEX_PRIVATE_FLAG 128
#define L_FUTEX_CLOCK_REALTIME 256
#define L_FUTEX_CMD_MASK (~(L_FUTEX_PRIVATE_FLAG | L_FUTEX_CLOCK_REALTIME))
#define L_FUTEX_BITSET_MATCH_ANY 0xffffffffu

#define L_FUTEX_WAITERS 0x80000000u
#define L_FUTEX_OWNER_DIED 0x40000000u
#define L_FUTEX_TID_MASK 0x3fffffffu

/* FUTEX_WAKE_OP's val3: op << 28 | cmp << 24 | oparg << 12 | cmparg */
#define L_FUTEX_OP_SET 0
#define L_FUTEX_OP_ADD 1
#define L_FUTEX_OP_OR 2
#define L_FUTEX_OP_ANDN 3
#define L_FUTEX_OP_XOR 4
#define L_FUTEX_OP_OPARG_SHIFT 8
#define L_FUTEX_OP_CMP_EQ 0
#define L_FUTEX_OP_CMP_NE 1
#define L_FUTEX_OP_CMP_LT 2
#define L_FUTEX_OP_CMP_LE 3
#define L_FUTEX_OP_CMP_GT 4
#define L_FUTEX_OP_CMP_GE 5

/* futex_wait, futex_wake, futex_requeue, futex_waitv */
#define L_FUTEX2_SIZE_U8 0x00
#define L_FUTEX2_SIZE_U16 0x01
#define L_FUTEX2_SIZE_U32 0x02
#define L_FUTEX2_SIZE_U64 0x03
#define L_FUTEX2_SIZE_MASK 0x03
#define L_FUTEX2_NUMA 0x04
#define L_FUTEX2_MPOL 0x08
#define L_FUTEX2_PRIVATE 128
#define L_FUTEX_32 2
#define L_FUTEX_WAITV_MAX 128
struct l_futex_waitv {
	uint64_t val;
	uint64_t uaddr;
	uint32_t flags;
	uint32_t reserved_;
};
L_ASSERT_SIZE(struct l_futex_waitv, 24);

struct l_robust_list {
	uint64_t next; /* gva; bit 0: a PI futex */
};
struct l_robust_list_head {
	struct l_robust_list list;
	int64_t futex_offset;
	uint64_t list_op_pending; /* gva */
};
L_ASSERT_SIZE(struct l_robust_list_head, 24);
#define L_ROBUST_LIST_LIMIT 2048

#endif
