/* See regs.h.  The rules are those of PTRACE_SETREGS (the kernel's arch/x86/kernel/ptrace.c). */
#include "platform/arch/x86_64/regs.h"

#define RPL_MASK 3u
#define RPL_USER 3u

static bool selector_ok(uint64_t selector)
{
	return selector == 0 || (selector <= UINT16_MAX && (selector & RPL_MASK) == RPL_USER);
}

bool x86_64_regs_valid(const struct abi_regs *r)
{
	return r->cs != 0 && r->ss != 0 && selector_ok(r->cs) && selector_ok(r->ss) && selector_ok(r->ds) &&
	       selector_ok(r->es) && selector_ok(r->fs) && selector_ok(r->gs) && r->fs_base < X86_64_TASK_SIZE &&
	       r->gs_base < X86_64_TASK_SIZE;
}
