/* The guest's general registers, laid out as Linux's user_regs_struct (what PTRACE_GETREGS and a core file hold). */
#ifndef BAILEY_ABI_REGS_H
#define BAILEY_ABI_REGS_H

#include <stdint.h>

struct abi_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax;
	uint64_t rip, cs, eflags, rsp, ss;
	uint64_t fs_base, gs_base;
	uint64_t ds, es, fs, gs;
};

_Static_assert(sizeof(struct abi_regs) == 27 * 8, "user_regs_struct");

#endif
