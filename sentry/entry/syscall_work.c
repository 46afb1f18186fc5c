/* The order is Linux's: the tracer first, who may change the call, then the filters, which judge what it has become. */
#include "sentry/entry/syscall_work.h"

#include "abi/audit.h"
#include "sentry/ptrace/ptrace.h"
#include "sentry/seccomp/seccomp.h"

/* Of arguments that the call does not have the platform need not know, but who looks on is to see what is there. */
static void complete_args(struct task *t, struct sys_args *args)
{
	struct abi_regs regs;

	if (pctx_get_regs(t->ctx, &regs) == 0) {
		args->a[4] = regs.r8;
		args->a[5] = regs.r9;
	}
}

bool syscall_work_enter(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args)
{
	bool native = arch == L_AUDIT_ARCH_X86_64; /* tracers are not shown calls of other kinds, which all fail */

	if (native)
		complete_args(t, args);
	if (native && (t->syscall_work & (WORK_TRACE | WORK_EMULATE)) && !trace_syscall_entry(t, args))
		return false;
	return !(t->syscall_work & WORK_SECCOMP) || seccomp_check(t, arch, ip, args);
}

void syscall_work_exit(struct task *t)
{
	trace_syscall_exit(t);
}
