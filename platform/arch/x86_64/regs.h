/* Rules about register values that hold on every x86-64 Linux. */
#ifndef BAILEY_PLATFORM_ARCH_X86_64_REGS_H
#define BAILEY_PLATFORM_ARCH_X86_64_REGS_H

#include <stdbool.h>

#include "abi/regs.h"

/* The end of user space with four-level page tables, which is all that is used here. */
#define X86_64_TASK_SIZE 0x7ffffffff000ull
/* The page of the legacy vsyscall entries; the same at every boot. */
#define X86_64_VSYSCALL_PAGE 0xffffffffff600000ull

#define X86_64_USER_CS 0x33
#define X86_64_USER_DS 0x2b
#define X86_64_EFLAGS_FRESH 0x202 /* interrupts on, and the bit that is always set */

/*
 * True if a user thread may be resumed with these: the segment bases lie in user space, and no selector names a
 * privileged segment.  The flags are not looked at: the host changes only those that a user may.
 */
bool x86_64_regs_valid(const struct abi_regs *r);

#endif
