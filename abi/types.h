/* ABI types and limits that belong to no one topic.  Nothing here may include a host uapi header. */
#ifndef BAILEY_ABI_TYPES_H
#define BAILEY_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* Says at compile time that a field of the guest's ABI lies where the guest expects it. */
#define L_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define L_ASSERT_OFFSET(type, field, off) _Static_assert(offsetof(type, field) == (off), "offset of " #field)

struct l_iovec {
	uint64_t iov_base; /* a guest address */
	uint64_t iov_len;
};
L_ASSERT_SIZE(struct l_iovec, 16);

#define L_PATH_MAX 4096 /* bytes, the NUL included */
#define L_NAME_MAX 255
#define L_LINK_MAX 127
#define L_PIPE_BUF 4096
#define L_NGROUPS_MAX 65536
#define L_ARG_MAX 131072
#define L_MAX_ARG_STRLEN 131072 /* one string of argv or envp, the NUL included */
#define L_MAX_ARG_STRINGS 0x7fffffff
#define L_BINPRM_BUF_SIZE 256
#define L_MAXSYMLINKS 40
#define L_UIO_FASTIOV 8
#define L_UIO_MAXIOV 1024
#define L_MAX_RW_COUNT 0x7ffff000 /* INT_MAX rounded down to a page: what one read or write moves at most */
#define L_XATTR_NAME_MAX 255
#define L_XATTR_SIZE_MAX 65536
#define L_XATTR_LIST_MAX 65536
#define L_XATTR_CREATE 1
#define L_XATTR_REPLACE 2
struct l_xattr_args { /* setxattrat, getxattrat */
	uint64_t value; /* where it lies */
	uint32_t size, flags;
};
L_ASSERT_SIZE(struct l_xattr_args, 16);

/* getrandom(2) */
#define L_GRND_NONBLOCK 1
#define L_GRND_RANDOM 2
#define L_GRND_INSECURE 4

/* reboot(2) */
#define L_LINUX_REBOOT_MAGIC1 0xfee1dead
#define L_LINUX_REBOOT_MAGIC2 672274793
#define L_LINUX_REBOOT_MAGIC2A 85072278
#define L_LINUX_REBOOT_MAGIC2B 369367448
#define L_LINUX_REBOOT_MAGIC2C 537993216
#define L_LINUX_REBOOT_CMD_RESTART 0x01234567
#define L_LINUX_REBOOT_CMD_HALT 0xcdef0123
#define L_LINUX_REBOOT_CMD_CAD_ON 0x89abcdef
#define L_LINUX_REBOOT_CMD_CAD_OFF 0
#define L_LINUX_REBOOT_CMD_POWER_OFF 0x4321fedc
#define L_LINUX_REBOOT_CMD_RESTART2 0xa1b2c3d4

/* kcmp(2) */
#define L_KCMP_FILE 0
#define L_KCMP_VM 1
#define L_KCMP_FILES 2
#define L_KCMP_FS 3
#define L_KCMP_SIGHAND 4
#define L_KCMP_IO 5
#define L_KCMP_SYSVSEM 6
#define L_KCMP_EPOLL_TFD 7

struct l_kcmp_epoll_slot {
	uint32_t efd;  /* the epoll */
	uint32_t tfd;  /* the descriptor that it watches */
	uint32_t toff; /* how many items of that descriptor come before */
};

/* personality(2) */
#define L_PER_LINUX 0
#define L_PER_MASK 0xff
#define L_UNAME26 0x0020000
#define L_ADDR_NO_RANDOMIZE 0x0040000
#define L_FDPIC_FUNCPTRS 0x0080000
#define L_MMAP_PAGE_ZERO 0x0100000
#define L_ADDR_COMPAT_LAYOUT 0x0200000
#define L_READ_IMPLIES_EXEC 0x0400000
#define L_ADDR_LIMIT_32BIT 0x0800000
#define L_SHORT_INODE 0x1000000
#define L_WHOLE_SECONDS 0x2000000
#define L_STICKY_TIMEOUTS 0x4000000
#define L_ADDR_LIMIT_3GB 0x8000000
#define L_PER_LINUX32 8
#define L_PER_CLEAR_ON_SETID (L_READ_IMPLIES_EXEC | L_ADDR_NO_RANDOMIZE | L_ADDR_COMPAT_LAYOUT | L_MMAP_PAGE_ZERO)

/* arch_prctl(2) */
#define L_ARCH_SET_GS 0x1001
#define L_ARCH_SET_FS 0x1002
#define L_ARCH_GET_FS 0x1003
#define L_ARCH_GET_GS 0x1004
#define L_ARCH_GET_CPUID 0x1011
#define L_ARCH_SET_CPUID 0x1012
#define L_ARCH_GET_XCOMP_SUPP 0x1021
#define L_ARCH_GET_XCOMP_PERM 0x1022
#define L_ARCH_REQ_XCOMP_PERM 0x1023
#define L_ARCH_GET_XCOMP_GUEST_PERM 0x1024
#define L_ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#define L_ARCH_MAP_VDSO_X32 0x2001
#define L_ARCH_MAP_VDSO_32 0x2002
#define L_ARCH_MAP_VDSO_64 0x2003
#define L_ARCH_GET_UNTAG_MASK 0x4001
#define L_ARCH_ENABLE_TAGGED_ADDR 0x4002
#define L_ARCH_GET_MAX_TAG_BITS 0x4003
#define L_ARCH_SHSTK_ENABLE 0x5001
#define L_ARCH_SHSTK_DISABLE 0x5002
#define L_ARCH_SHSTK_LOCK 0x5003
#define L_ARCH_SHSTK_UNLOCK 0x5004
#define L_ARCH_SHSTK_STATUS 0x5005

/* membarrier(2) */
#define L_MEMBARRIER_CMD_QUERY 0
#define L_MEMBARRIER_CMD_GLOBAL (1 << 0)
#define L_MEMBARRIER_CMD_GLOBAL_EXPEDITED (1 << 1)
#define L_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED (1 << 2)
#define L_MEMBARRIER_CMD_PRIVATE_EXPEDITED (1 << 3)
#define L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define L_MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE (1 << 5)
#define L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE (1 << 6)
#define L_MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ (1 << 7)
#define L_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ (1 << 8)
#define L_MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#define L_MEMBARRIER_CMD_FLAG_CPU (1 << 0)

/* rseq(2) */
#define L_RSEQ_FLAG_UNREGISTER 1
#define L_RSEQ_CPU_ID_UNINITIALIZED (-1)
#define L_RSEQ_CPU_ID_REGISTRATION_FAILED (-2)
struct l_rseq {
	uint32_t cpu_id_start;
	uint32_t cpu_id;
	uint64_t rseq_cs; /* gva of a struct l_rseq_cs, or 0 */
	uint32_t flags;
	uint32_t node_id;
	uint32_t mm_cid;
	uint32_t pad_;
} __attribute__((aligned(32)));
L_ASSERT_SIZE(struct l_rseq, 32);
L_ASSERT_OFFSET(struct l_rseq, rseq_cs, 8);
L_ASSERT_OFFSET(struct l_rseq, mm_cid, 24);
#define L_RSEQ_ORIG_SIZE 32

struct l_rseq_cs {
	uint32_t version;
	uint32_t flags;
	uint64_t start_ip;
	uint64_t post_commit_offset;
	uint64_t abort_ip;
} __attribute__((aligned(32)));
L_ASSERT_SIZE(struct l_rseq_cs, 32);

/* The first address above user space, with four-level page tables. */
#define L_TASK_SIZE 0x7ffffffff000ull

#endif
