/* ptrace(2) beyond its requests, which abi/audit.h has: options, events, the structures that it fills, the user area.
 */
#ifndef BAILEY_ABI_PTRACE_H
#define BAILEY_ABI_PTRACE_H

#include <stddef.h>

#include "abi/audit.h"
#include "abi/regs.h"
#include "abi/types.h"

#define L_PTRACE_O_TRACESYSGOOD 0x00000001u
#define L_PTRACE_O_TRACEFORK 0x00000002u
#define L_PTRACE_O_TRACEVFORK 0x00000004u
#define L_PTRACE_O_TRACECLONE 0x00000008u
#define L_PTRACE_O_TRACEEXEC 0x00000010u
#define L_PTRACE_O_TRACEVFORKDONE 0x00000020u
#define L_PTRACE_O_TRACEEXIT 0x00000040u
#define L_PTRACE_O_TRACESECCOMP 0x00000080u
#define L_PTRACE_O_EXITKILL 0x00100000u
#define L_PTRACE_O_SUSPEND_SECCOMP 0x00200000u
#define L_PTRACE_O_MASK 0x003000ffu

#define L_PTRACE_EVENT_FORK 1
#define L_PTRACE_EVENT_VFORK 2
#define L_PTRACE_EVENT_CLONE 3
#define L_PTRACE_EVENT_EXEC 4
#define L_PTRACE_EVENT_VFORK_DONE 5
#define L_PTRACE_EVENT_EXIT 6
#define L_PTRACE_EVENT_SECCOMP 7
#define L_PTRACE_EVENT_STOP 128

#define L_PTRACE_EVENTMSG_SYSCALL_ENTRY 1
#define L_PTRACE_EVENTMSG_SYSCALL_EXIT 2

#define L_PTRACE_PEEKSIGINFO_SHARED 1u
struct l_ptrace_peeksiginfo_args {
	uint64_t off;
	uint32_t flags;
	int32_t nr;
};
L_ASSERT_SIZE(struct l_ptrace_peeksiginfo_args, 16);

#define L_PTRACE_SYSCALL_INFO_NONE 0
#define L_PTRACE_SYSCALL_INFO_ENTRY 1
#define L_PTRACE_SYSCALL_INFO_EXIT 2
#define L_PTRACE_SYSCALL_INFO_SECCOMP 3
struct l_ptrace_syscall_info {
	uint8_t op;
	uint8_t reserved;
	uint16_t flags;
	uint32_t arch;
	uint64_t instruction_pointer, stack_pointer;
	union {
		struct {
			uint64_t nr;
			uint64_t args[6];
		} entry;
		struct {
			int64_t rval;
			uint8_t is_error;
		} exit;
		struct {
			uint64_t nr;
			uint64_t args[6];
			uint32_t ret_data;
			uint32_t reserved2;
		} seccomp;
	};
};
L_ASSERT_SIZE(struct l_ptrace_syscall_info, 88);
L_ASSERT_OFFSET(struct l_ptrace_syscall_info, entry, 24);

struct l_ptrace_rseq_configuration {
	uint64_t rseq_abi_pointer;
	uint32_t rseq_abi_size, signature, flags, pad;
};
L_ASSERT_SIZE(struct l_ptrace_rseq_configuration, 24);

struct l_seccomp_metadata {
	uint64_t filter_off, flags;
};
L_ASSERT_SIZE(struct l_seccomp_metadata, 16);

#define L_NT_PRSTATUS 1u
#define L_NT_PRFPREG 2u
#define L_NT_X86_XSTATE 0x202u

/* struct user: what PTRACE_PEEKUSER and PTRACE_POKEUSER give offsets into. */
#define L_USER_REGS_SIZE sizeof(struct abi_regs)
#define L_USER_DEBUGREG_OFF 848u
#define L_USER_DEBUGREG_COUNT 8u
#define L_USER_SIZE 928u /* with what only the kernel's own header has */

#endif
