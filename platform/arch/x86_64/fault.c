/* See fault.h.  Sources: the kernel's arch/x86/kernel/traps.c and mm/fault.c (which exception sends which si_code). */
#include "platform/arch/x86_64/fault.h"

#include "base/checked.h"

enum {
	TRAP_DIVIDE = 0,
	TRAP_DEBUG = 1,
	TRAP_BREAKPOINT = 3,
	TRAP_OVERFLOW = 4,
	TRAP_INVALID_OPCODE = 6,
	TRAP_STACK_SEGMENT = 12,
	TRAP_GENERAL_PROTECTION = 13,
	TRAP_PAGE_FAULT = 14,
	TRAP_X87 = 16,
	TRAP_ALIGNMENT = 17,
	TRAP_SIMD = 19,
};

/* Bits of a page fault's error code. */
enum { PF_ERR_PRESENT = 1, PF_ERR_WRITE = 2, PF_ERR_USER = 4, PF_ERR_FETCH = 16 };

bool fault_is_exception(const siginfo_t *info)
{
	/* SI_USER is 0, what kill and its kin send is negative, and SI_KERNEL is an exception without an address. */
	return info->si_code > 0;
}

static void page_fault(struct pf_fault *f, uint64_t ip, bool present, bool readable)
{
	f->trapno = TRAP_PAGE_FAULT;
	f->cr2 = f->addr;
	f->err = PF_ERR_USER | (present ? PF_ERR_PRESENT : 0);
	/* The instruction itself, or its rest (15 bytes at most) on the next page. */
	if (f->addr == ip || (f->addr % PAGE_SIZE == 0 && f->addr - ip < 15))
		f->err |= PF_ERR_FETCH;
	else if (present && readable)
		f->err |= PF_ERR_WRITE;
}

void fault_from_siginfo(struct pf_fault *f, const siginfo_t *info, uint64_t ip, bool readable)
{
	f->signo = info->si_signo;
	f->code = info->si_code;
	f->addr = info->si_code == SI_KERNEL ? 0 : (uint64_t)(uintptr_t)info->si_addr;
	f->err = 0;
	f->cr2 = 0;
	switch (info->si_signo) {
	case SIGSEGV:
		if (info->si_code == SI_KERNEL)
			f->trapno = TRAP_GENERAL_PROTECTION;
		else
			page_fault(f, ip, info->si_code != SEGV_MAPERR, readable);
		break;
	case SIGBUS:
		if (info->si_code == SI_KERNEL)
			f->trapno = TRAP_STACK_SEGMENT;
		else if (info->si_code == BUS_ADRALN)
			f->trapno = TRAP_ALIGNMENT;
		else
			page_fault(f, ip, false, readable);
		break;
	case SIGFPE:
		/* x87 code with unmasked exceptions is rarer than SSE code with them. */
		f->trapno = info->si_code == FPE_INTDIV ? TRAP_DIVIDE :
			    info->si_code == SI_KERNEL	? TRAP_OVERFLOW :
						      TRAP_SIMD;
		break;
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
