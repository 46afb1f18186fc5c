/* The order is Linux's: the tracer first, who may change the call, then the filters, which judge what it has become. */
#include "sentry/entry/syscall_work.h"

#include "abi/audit.h"
#include "sentry/ptrace/ptrace.h"

bool syscall_work_enter(struct task *t, uint32_t arch, uint64_t ip, struct sys_args *args)
{
	(void)arch, (void)ip;
	if ((t->syscall_work & (WORK_TRACE | WORK_EMULATE)) && !trace_syscall_entry(t, args))
		return false;
	return true;
}

void syscall_work_exit(struct task *t)
{
	trace_syscall_exit(t);
}
