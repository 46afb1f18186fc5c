/* See fault.h.  Sources: the kernel's arch/x86/kernel/traps.c and mm/fault.c (which exception sends which si_code). */
#include "platform/arch/x86_64/fault.h"

#include "base/checked.h"

enum {
	TRAP_DEBUG = 1,
	TRAP_BREAKPOINT = 3,
	TRAP_INVALID_OPCODE = 6,
	TRAP_GENERAL_PROTECTION = 13,
};

bool fault_is_exception(const siginfo_t *info)
{
	/* SI_USER is 0, what kill and its kin send is negative, and SI_KERNEL is an exception without an address. */
	return info->si_code > 0;
}

void fault_from_siginfo(struct pf_fault *f, const siginfo_t *info)
{
	f->signo = info->si_signo;
	f->code = info->si_code;
	f->addr = info->si_code == SI_KERNEL ? 0 : (uint64_t)(uintptr_t)info->si_addr;
	f->err = 0;
	f->cr2 = 0;
	switch (info->si_signo) {
	case SIGILL:
		f->trapno = TRAP_INVALID_OPCODE;
		break;
	case SIGTRAP:
		f->trapno = info->si_code == SI_KERNEL ? TRAP_BREAKPOINT : TRAP_DEBUG;
		break;
	default:
		f->trapno = TRAP_GENERAL_PROTECTION;
		break;
	}
}

bool fault_needs_more(const struct pf_fault *f)
{
	return f->signo != SIGILL && f->signo != SIGTRAP;
}
